//! The snapshot as native code, so that the program has nothing to compile.
//!
//! The engine that compiles here and the one that loads in the program must agree;
//! `loader.rs` writes the second from the same settings.

use crate::config::{CompilerChoice, OptLevel, Precompile};
use crate::error::{Error, Report, Stage};
use crate::guest::engine::{self, Compiler};
use crate::native::artifact::Artifact;
use crate::native::reuse;
use crate::native::target::Target;
use crate::store::digest::{Digest, KeyBuilder};
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use wasmtime::{Config, Engine, Precompiled, Strategy};

/// One way to make native code for a target.
pub(crate) struct Precompiler {
    pub(crate) compiler: Compiler,
    engine: Engine,
}

impl Precompiler {
    /// The ways to try, in order: Winch first where the build should be fast.
    ///
    /// # Errors
    /// [`Stage::Precompile`] when Wasmtime cannot compile for the target.
    pub(crate) fn all(
        precompile: &Precompile,
        target: &Target,
        fast_build: bool,
    ) -> Result<Vec<Self>, Error> {
        let compilers: &[Compiler] = match precompile.compiler {
            CompilerChoice::Winch => &[Compiler::Winch],
            CompilerChoice::Cranelift => &[Compiler::Cranelift],
            CompilerChoice::Auto if fast_build && target.has_winch() => {
                &[Compiler::Winch, Compiler::Cranelift]
            }
            CompilerChoice::Auto => &[Compiler::Cranelift],
        };
        compilers
            .iter()
            .map(|&compiler| {
                let engine = config(precompile, target, compiler)
                    .and_then(|config| Engine::new(&config))
                    .map_err(|error| {
                        Stage::Precompile.error(
                            Report::new(format!(
                                "{} cannot make code for {}",
                                compiler.name(),
                                target.triple
                            ))
                            .source(error)
                            .hint("set precompile.compiler = \"cranelift\""),
                        )
                    })?;
                Ok(Self { compiler, engine })
            })
            .collect()
    }

    /// Wasmtime's version, the target with its level, the settings.
    pub(crate) fn fingerprint(&self) -> Digest {
        KeyBuilder::new("precompiler")
            .part("compiler", self.compiler.name().as_bytes())
            .part("engine", &engine::fingerprint(&self.engine).0)
            .finish()
    }

    /// Native code of `wasm`.
    ///
    /// # Errors
    /// [`Stage::Precompile`] when the compiler does not take the component.
    pub(crate) fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, Error> {
        self.engine.precompile_component(wasm).map_err(|error| {
            Stage::Precompile.error(
                Report::new(format!(
                    "{} cannot compile the snapshot",
                    self.compiler.name()
                ))
                .source(error)
                .hint("set precompile.compiler = \"cranelift\""),
            )
        })
    }

    /// Native code of one core module, with the same settings.
    ///
    /// # Errors
    /// When the compiler does not take the module.
    pub(crate) fn compile_module(&self, module: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(self.engine.precompile_module(module)?)
    }
}

fn config(
    precompile: &Precompile,
    target: &Target,
    compiler: Compiler,
) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .strategy(match compiler {
            Compiler::Winch => Strategy::Winch,
            Compiler::Cranelift => Strategy::Cranelift,
        })
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(precompile.epoch_interruption)
        .consume_fuel(precompile.consume_fuel)
        .memory_init_cow(precompile.memory_init_cow)
        .generate_address_map(precompile.address_map)
        .memory_guaranteed_dense_image_size(reuse::IMAGE_BYTES)
        // Only Windows cannot do without; registering it takes time at each start.
        .native_unwind_info(target.is_windows())
        .cranelift_opt_level(match (compiler, precompile.opt_level) {
            // Winch has no levels; what Cranelift adds to its code is small.
            (Compiler::Winch, _) | (_, OptLevel::None) => wasmtime::OptLevel::None,
            (_, OptLevel::Speed) => wasmtime::OptLevel::Speed,
            (_, OptLevel::SpeedAndSize) => wasmtime::OptLevel::SpeedAndSize,
        });
    target.apply(&mut config)?;
    Ok(config)
}

/// Checks that `code` is a precompiled component for `target`, by its ELF header:
/// Wasmtime writes ELF for every system.
///
/// # Errors
/// [`Stage::Precompile`] that says what it is instead.
pub(crate) fn check(code: &[u8], target: &Target) -> Result<(), Error> {
    let wrong = |what: String| {
        Stage::Precompile.error(
            Report::new(format!("what was compiled is {what}"))
                .note(format!(
                    "a precompiled component for {} was expected",
                    target.triple
                ))
                .hint("does the function given to `precompile_with` compile for its `target`?"),
        )
    };
    match Engine::detect_precompiled(code) {
        Some(Precompiled::Component) => {}
        Some(Precompiled::Module) => return Err(wrong("a precompiled core module".to_owned())),
        None => {
            return Err(wrong(format!(
                "{} bytes that no Wasmtime wrote",
                code.len()
            )));
        }
    }
    let machine = Artifact::parse(code).map_or(0, |artifact| artifact.machine());
    if machine != target.elf_machine() {
        return Err(wrong(format!("code for ELF machine {machine}")));
    }
    Ok(())
}

type Compile =
    dyn Fn(&[u8], &str) -> Result<Vec<u8>, Box<dyn StdError + Send + Sync>> + Send + Sync;

/// A compiler of the consumer's, and where in the consumer's code it was given.
#[derive(Clone)]
pub(crate) struct ConsumerCompiler {
    compile: Arc<Compile>,
    identity: Identity,
}

/// What tells a compiler of the consumer's from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The place in the consumer's code where it was given, and so the executable.
    Place(String),
    /// It is `eryx`, in the version that the dependency graph tells.
    Eryx,
}

impl fmt::Debug for ConsumerCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a compiler of the consumer's: {:?}", self.identity)
    }
}

impl ConsumerCompiler {
    /// A function that is known by its `place`.
    pub(crate) fn new<E>(
        compile: impl Fn(&[u8], &str) -> Result<Vec<u8>, E> + Send + Sync + 'static,
        place: &Location<'_>,
    ) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::with(compile, Identity::Place(place.to_string()))
    }

    /// A function that calls the compiler of the consumer's `eryx`.
    pub(crate) fn eryx<E>(
        compile: impl Fn(&[u8], &str) -> Result<Vec<u8>, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self::with(compile, Identity::Eryx)
    }

    fn with<E>(
        compile: impl Fn(&[u8], &str) -> Result<Vec<u8>, E> + Send + Sync + 'static,
        identity: Identity,
    ) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let compile = move |wasm: &[u8], target: &str| compile(wasm, target).map_err(Into::into);
        Self {
            compile: Arc::new(compile),
            identity,
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// # Errors
    /// [`Stage::Precompile`] with the function's own error.
    pub(crate) fn compile(&self, wasm: &[u8], target: &Target) -> Result<Vec<u8>, Error> {
        (self.compile)(wasm, &target.triple).map_err(|error| {
            let what = match self.identity {
                Identity::Place(_) => "the function given to `precompile_with`",
                Identity::Eryx => "eryx's own compiler",
            };
            Stage::Precompile
                .error(Report::new(format!("{what} failed for {}", target.triple)).source(error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CpuLevel;
    use crate::native::target::HOST;

    fn wasm() -> Vec<u8> {
        wat::parse_str(
            r#"(component
                (core module $m
                    (memory 1) (data (i32.const 8) "data")
                    (func (export "f") (param i32) (result i32) local.get 0 i32.popcnt))
                (core instance $i (instantiate $m))
                (func (export "f") (param "x" u32) (result u32)
                    (canon lift (core func $i "f"))))"#,
        )
        .unwrap()
    }

    fn version(code: &[u8]) -> String {
        let artifact = Artifact::parse(code).unwrap();
        artifact.wasmtime_version().unwrap().to_owned()
    }

    fn compile(precompile: &Precompile) -> (Target, Vec<u8>) {
        let target = Target::resolve(precompile, None).unwrap();
        let all = Precompiler::all(precompile, &target, false).unwrap();
        let code = all[0].compile(&wasm()).unwrap();
        check(&code, &target).unwrap();
        (target, code)
    }

    #[test]
    fn each_level_and_setting_has_its_own_key() {
        let mut variants = vec![Precompile::default()];
        let levels: &[CpuLevel] = match HOST.starts_with("x86_64") {
            true => &[CpuLevel::X86V2, CpuLevel::X86V3, CpuLevel::X86V4],
            false => &[],
        };
        variants.extend(levels.iter().map(|&cpu| Precompile {
            cpu,
            ..Precompile::default()
        }));
        variants.push(Precompile {
            consume_fuel: true,
            ..Precompile::default()
        });
        variants.push(Precompile {
            epoch_interruption: true,
            ..Precompile::default()
        });
        variants.push(Precompile {
            memory_init_cow: false,
            ..Precompile::default()
        });
        variants.push(Precompile {
            opt_level: OptLevel::SpeedAndSize,
            ..Precompile::default()
        });
        variants.push(Precompile {
            compiler: CompilerChoice::Winch,
            ..Precompile::default()
        });
        let mut keys: Vec<Digest> = variants
            .iter()
            .map(|precompile| {
                let target = Target::resolve(precompile, None).unwrap();
                let all = Precompiler::all(precompile, &target, false).unwrap();
                all[0].fingerprint()
            })
            .collect();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn other_systems_on_this_processor_need_no_feature() {
        let architecture = HOST.split('-').next().unwrap();
        for system in ["unknown-linux-musl", "apple-darwin", "pc-windows-msvc"] {
            let precompile = Precompile {
                target: Some(format!("{architecture}-{system}")),
                ..Precompile::default()
            };
            let (_, code) = compile(&precompile);
            // Another system's code is refused, and the message says so.
            let mut config = Config::new();
            config.wasm_component_model_async(true);
            let engine = Engine::new(&config).unwrap();
            let error = engine::load(&engine, &code).err().map(|e| format!("{e:?}"));
            if !HOST.contains(&system[system.find('-').unwrap()..][..6]) {
                assert!(error.unwrap().contains("operating system"));
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[expect(
        unsafe_code,
        reason = "the code is loaded, or refused, and never run on the older processor"
    )]
    #[test]
    fn a_processor_below_the_level_is_refused() {
        let baseline = Precompile::default();
        let target = Target::resolve(&baseline, None).unwrap();
        let mut config = config(&baseline, &target, Compiler::Cranelift).unwrap();
        // SAFETY: nothing is run, and to have less is to know less.
        unsafe { config.detect_host_feature(|_| Some(false)) };
        let oldest = Engine::new(&config).unwrap();
        let load = |cpu| {
            let (_, code) = compile(&Precompile {
                cpu,
                ..Precompile::default()
            });
            engine::load(&oldest, &code).map(drop)
        };
        load(CpuLevel::Baseline).unwrap();
        for level in [CpuLevel::X86V2, CpuLevel::X86V3, CpuLevel::X86V4] {
            let text = format!("{:?}", load(level).unwrap_err());
            assert!(text.contains("not available on the host"), "{text}");
        }
    }

    #[cfg(feature = "all-arch")]
    #[test]
    fn other_processors_get_their_own_elf() {
        for target in [
            "x86_64-unknown-linux-gnu",
            "aarch64-unknown-linux-gnu",
            "aarch64-apple-darwin",
            "riscv64gc-unknown-linux-gnu",
            "s390x-unknown-linux-gnu",
        ] {
            let precompile = Precompile {
                target: Some(target.to_owned()),
                ..Precompile::default()
            };
            let (target, code) = compile(&precompile);
            assert_eq!(
                Artifact::parse(&code).unwrap().machine(),
                target.elf_machine()
            );
        }
    }

    #[test]
    fn the_version_of_the_compiler_is_in_the_file() {
        let (_, code) = compile(&Precompile::default());
        assert_eq!(version(&code), "48");
    }

    #[test]
    fn code_of_another_version_is_refused_by_name() {
        let (_, mut code) = compile(&Precompile::default());
        let own = version(&code);
        let text = [&[own.len() as u8], own.as_bytes()].concat();
        let at = code.windows(text.len()).position(|bytes| bytes == text);
        code[at.unwrap() + text.len() - 1] ^= 1;
        let other = version(&code);
        assert_ne!(other, own);
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        let error = engine::load(&Engine::new(&config).unwrap(), &code).err();
        let text = format!("{:?}", error.unwrap());
        assert!(text.contains(&format!("version '{other}'")), "{text}");
    }

    #[test]
    fn what_is_no_precompiled_component_is_refused() {
        let target = Target::resolve(&Precompile::default(), None).unwrap();
        let text = |code: &[u8]| format!("{:?}", check(code, &target).unwrap_err());
        assert!(text(b"").contains("0 bytes that no Wasmtime wrote"));
        assert!(text(&wasm()).contains("bytes that no Wasmtime wrote"));
        let engine = Engine::default();
        let module = engine.precompile_module(b"\0asm\x01\0\0\0").unwrap();
        assert!(text(&module).contains("a precompiled core module"));
        let (_, mut code) = compile(&Precompile::default());
        code[18..20].copy_from_slice(&[0, 0]);
        assert!(text(&code).contains("code for ELF machine 0"));
    }

    #[test]
    fn a_function_of_the_consumer_s_keeps_its_error() {
        let target = Target::resolve(&Precompile::default(), None).unwrap();
        let custom = ConsumerCompiler::new(
            |_, target| Err::<Vec<u8>, _>(format!("no {target}")),
            Location::caller(),
        );
        let error = custom.compile(b"", &target).unwrap_err();
        assert!(format!("{error:?}").contains(&format!("caused by: no {HOST}")));
    }
}
