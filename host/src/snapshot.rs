//! Python as the build left it, and how it is to be loaded.

use crate::error::Error;
use crate::host::Host;
use crate::imports;
use crate::pool::Pool;
use crate::python::{Loaded, Python};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine};

/// Python as [`eryx-preinit-build`](https://docs.rs/eryx-preinit-build) left it, and
/// how it is to be loaded. [`snapshot!`](crate::snapshot!) gives that of this build.
pub struct Snapshot {
    code: Code,
    stdlib: PathBuf,
    site_packages: PathBuf,
    pool: Option<Pool>,
    configure: Vec<Configure>,
    link: Vec<Link>,
}

type Configure = Box<dyn Fn(&mut Config) + Send>;
type Load = Box<dyn FnOnce(&Engine) -> wasmtime::Result<Component> + Send>;
type Link = Box<dyn FnOnce(&mut Linker<Host>) -> wasmtime::Result<()> + Send>;

/// Settings that code is compiled with, and that are the same when it is loaded.
#[derive(Clone, Copy, Debug)]
struct Compiled {
    epoch_interruption: bool,
    consume_fuel: bool,
    #[cfg(feature = "compiler")]
    winch: bool,
    memory_init_cow: bool,
}

enum Code {
    #[cfg(feature = "compiler")]
    Wasm {
        bytes: Cow<'static, [u8]>,
        consume_fuel: bool,
    },
    Native(Cow<'static, [u8]>),
    NativeFile(PathBuf),
    Generated {
        generated: Generated,
        load: Load,
    },
}

/// What the generated file says about its native code. For [`snapshot!`](crate::snapshot!).
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    pub config: fn() -> Config,
    pub epoch_interruption: bool,
    pub consume_fuel: bool,
}

impl Snapshot {
    fn new(code: Code) -> Self {
        Self {
            code,
            stdlib: PathBuf::new(),
            site_packages: PathBuf::new(),
            pool: None,
            configure: Vec::new(),
            link: Vec::new(),
        }
    }

    /// The bytes of a `python.wasm`, or with the feature `zstd` of a `python.wasm.zst`, to be
    /// compiled at run time: this takes seconds.
    /// Time limits are possible; for others see [`Snapshot::consume_fuel`].
    #[cfg(feature = "compiler")]
    pub fn from_wasm(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self::new(Code::Wasm {
            bytes: bytes.into(),
            consume_fuel: false,
        })
    }

    /// The bytes of a `python.cwasm`. The settings they were compiled with are found by
    /// trying.
    ///
    /// # Safety
    /// The bytes must be what Wasmtime wrote: it runs them as native code, and cannot
    /// tell.
    #[allow(unsafe_code, reason = "the caller vouches for the code")]
    pub unsafe fn from_cwasm(bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self::new(Code::Native(bytes.into()))
    }

    /// Like [`Snapshot::from_cwasm`], for a file, which is mapped: faster, and what
    /// instances only read is shared with the file.
    ///
    /// # Safety
    /// As [`Snapshot::from_cwasm`], and nobody may change or replace the file until the
    /// last sandbox is gone.
    #[allow(unsafe_code, reason = "the caller vouches for the code")]
    pub unsafe fn from_cwasm_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Code::NativeFile(path.into()))
    }

    #[doc(hidden)]
    pub fn generated(
        generated: Generated,
        load: fn(&Engine) -> wasmtime::Result<Component>,
    ) -> Self {
        Self::new(Code::Generated {
            generated,
            load: Box::new(load),
        })
    }

    /// # Safety
    /// As [`Snapshot::from_cwasm_file`].
    #[doc(hidden)]
    #[allow(unsafe_code, reason = "the caller vouches for the file")]
    pub unsafe fn generated_file(
        generated: Generated,
        load: unsafe fn(&Engine, PathBuf) -> wasmtime::Result<Component>,
        path: impl Into<PathBuf>,
    ) -> Self {
        let path = path.into();
        Self::new(Code::Generated {
            generated,
            // SAFETY: the caller's promise is the same.
            load: Box::new(move |engine| unsafe { load(engine, path) }),
        })
    }

    /// The folder of the standard library, which every sandbox sees, read-only, at
    /// `/python-stdlib`. An empty path is none, which is enough where modules are embedded.
    /// With `embed = "none"`, [`snapshot!`](crate::snapshot!) names that of the build, which
    /// a program that runs on another machine has to bring along.
    pub fn stdlib(mut self, folder: impl Into<PathBuf>) -> Self {
        self.stdlib = folder.into();
        self
    }

    /// The folder of the packages, at `/site-packages`, likewise.
    pub fn site_packages(mut self, folder: impl Into<PathBuf>) -> Self {
        self.site_packages = folder.into();
        self
    }

    /// Reserves memory and stacks for many sandboxes.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Whether code that is compiled at run time counts what it does, for
    /// [`fuel_limit`](crate::SandboxBuilder::fuel_limit). It is slower then. Says nothing
    /// about native code, which was compiled with it or not.
    #[cfg(feature = "compiler")]
    pub fn consume_fuel(mut self, enable: bool) -> Self {
        if let Code::Wasm { consume_fuel, .. } = &mut self.code {
            *consume_fuel = enable;
        }
        self
    }

    /// Changes the engine's settings before it is made. Wasmtime refuses native code
    /// under settings that do not fit.
    pub fn config(mut self, change: impl Fn(&mut Config) + Send + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// Defines host functions, in place of this crate's where they have the same name:
    /// `eryx:net/tcp@0.1.0`, say, which is refused otherwise.
    pub fn linker(
        mut self,
        define: impl FnOnce(&mut Linker<Host>) -> wasmtime::Result<()> + Send + 'static,
    ) -> Self {
        self.link.push(Box::new(define));
        self
    }

    /// Loads it: native code in milliseconds, a `python.wasm` in seconds.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn load(self) -> Result<Python, Error> {
        self.try_load().map_err(|source| Error::Load { source })
    }

    fn try_load(self) -> wasmtime::Result<Python> {
        let pool = self.pool;
        let engine = |mut config: Config| {
            self.configure.iter().for_each(|change| change(&mut config));
            if let Some(pool) = &pool {
                pool.configure(&mut config);
            }
            Engine::new(&config)
        };
        let (component, epoch_interruption, consume_fuel) = self.code.load(engine)?;
        let engine = component.engine();
        let mut linker = imports::linker(engine, &component)?;
        linker.allow_shadowing(true);
        for define in self.link {
            define(&mut linker)?;
        }
        let mounts = [
            (self.stdlib, "/python-stdlib"),
            (self.site_packages, "/site-packages"),
        ];
        Ok(Python::new(Loaded {
            pre: linker.instantiate_pre(&component)?,
            component,
            mounts: mounts
                .into_iter()
                .filter(|(folder, _)| !folder.as_os_str().is_empty())
                .collect(),
            epoch_interruption,
            consume_fuel,
            places: pool.map(|pool| Arc::new(Semaphore::new(pool.sandboxes()))),
        }))
    }
}

impl Code {
    /// The component, and whether it was compiled for limits of time and of fuel.
    #[allow(unsafe_code, reason = "who made a `Snapshot` vouched for the code")]
    fn load(
        self,
        engine: impl Fn(Config) -> wasmtime::Result<Engine>,
    ) -> wasmtime::Result<(Component, bool, bool)> {
        match self {
            #[cfg(feature = "compiler")]
            Self::Wasm {
                bytes,
                consume_fuel,
            } => {
                let compiled = Compiled {
                    epoch_interruption: true,
                    consume_fuel,
                    winch: false,
                    memory_init_cow: true,
                };
                let bytes = decompressed(bytes)?;
                let component = Component::new(&engine(compiled.config())?, bytes)?;
                Ok((component, true, consume_fuel))
            }
            // SAFETY: whoever called `from_cwasm` promised that Wasmtime wrote them.
            Self::Native(bytes) => Compiled::find(engine, |engine| unsafe {
                Component::deserialize(engine, &bytes)
            }),
            // SAFETY: whoever called `from_cwasm_file` promised the same of the file,
            // and that it stays as it is.
            Self::NativeFile(path) => Compiled::find(engine, |engine| unsafe {
                Component::deserialize_file(engine, &path)
            }),
            Self::Generated { generated, load } => {
                let component = load(&engine((generated.config)())?)?;
                Ok((
                    component,
                    generated.epoch_interruption,
                    generated.consume_fuel,
                ))
            }
        }
    }
}

/// How a zstd frame starts: RFC 8878, 3.1.1.
#[cfg(feature = "compiler")]
const ZSTD: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// The component, decompressed if it is compressed.
#[cfg(feature = "compiler")]
fn decompressed(bytes: Cow<'static, [u8]>) -> wasmtime::Result<Cow<'static, [u8]>> {
    if !bytes.starts_with(&ZSTD) {
        return Ok(bytes);
    }
    #[cfg(feature = "zstd")]
    return zstd::decode_all(&bytes[..])
        .map(Cow::Owned)
        .map_err(|error| wasmtime::format_err!("the component cannot be decompressed: {error}"));
    #[cfg(not(feature = "zstd"))]
    Err(wasmtime::format_err!(
        "the component is compressed: turn on the feature `zstd` of eryx-preinit"
    ))
}

impl Compiled {
    fn config(self) -> Config {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .wasm_component_model_async(true)
            .epoch_interruption(self.epoch_interruption)
            .consume_fuel(self.consume_fuel)
            .memory_init_cow(self.memory_init_cow)
            // What Python needs for its own limit on recursion to be reached first.
            .max_wasm_stack(4 << 20)
            .async_stack_size(8 << 20);
        #[cfg(feature = "compiler")]
        if self.winch {
            config.strategy(wasmtime::Strategy::Winch);
        }
        config
    }

    /// All settings, the most usual ones first.
    fn all() -> impl Iterator<Item = Self> {
        (0..16_u8).map(|bits| Self {
            epoch_interruption: bits & 1 != 0,
            consume_fuel: bits & 2 != 0,
            #[cfg(feature = "compiler")]
            winch: bits & 4 != 0,
            memory_init_cow: bits & 8 == 0,
        })
    }

    /// Loads code under the settings it was compiled with.
    ///
    /// # Errors
    /// The first, where none fits: under the most usual settings.
    fn find(
        engine: impl Fn(Config) -> wasmtime::Result<Engine>,
        load: impl Fn(&Engine) -> wasmtime::Result<Component>,
    ) -> wasmtime::Result<(Component, bool, bool)> {
        let mut first = None;
        for compiled in Self::all() {
            let component = engine(compiled.config()).and_then(|engine| load(&engine));
            match component {
                Ok(component) => {
                    return Ok((
                        component,
                        compiled.epoch_interruption,
                        compiled.consume_fuel,
                    ));
                }
                Err(error) => first.get_or_insert(error),
            };
        }
        Err(first.unwrap_or_else(|| wasmtime::format_err!("no settings to try")))
    }
}
