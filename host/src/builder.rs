//! A sandbox that is still to be made: what it may use.

use crate::blocking::block_on;
use crate::callback::{Callback, Callbacks};
use crate::error::Error;
use crate::export::{self, Execute};
use crate::host::Host;
use crate::limits::{Limits, MemoryLimit, Stop};
use crate::network::Network;
use crate::output::{Pipe, Printed, Sink, Stream};
use crate::python::Python;
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::any::Any;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// A sandbox that is still to be made. Without more, it may use any amount of memory
/// and time, print 16 MiB in an execution, and see nothing of its host.
pub struct SandboxBuilder {
    python: Python,
    limits: Limits,
    callbacks: Callbacks,
    mounts: Vec<(PathBuf, String, FsPerms)>,
    sink: Option<Sink>,
    result_variable: Option<String>,
    network: Network,
    data: Option<Box<dyn Any + Send>>,
    wasi: WasiCtxBuilder,
}

impl SandboxBuilder {
    pub(crate) fn new(python: Python) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        // The files are the standard library's: small, and local. A thread for each
        // reading would cost more than the reading.
        wasi.allow_blocking_current_thread(true)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        Self {
            python,
            limits: Limits::default(),
            callbacks: Callbacks::default(),
            mounts: Vec::new(),
            sink: None,
            result_variable: None,
            network: Network::default(),
            data: None,
            wasi,
        }
    }

    /// The largest memory Python may have, in bytes, with what the snapshot holds
    /// already (some 20 MB). Beyond it Python raises `MemoryError`.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.limits.memory = Some(bytes);
        self
    }

    /// The longest an execution may take, waiting included. What runs longer is stopped
    /// within some ten milliseconds.
    ///
    /// Needs code compiled with `epoch-interruption = true`; else
    /// [`SandboxBuilder::build`] fails.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.limits.time = Some(limit);
        self
    }

    /// The most an execution may do, in units of Wasmtime's fuel: about one for each
    /// instruction of WebAssembly, some hundred for one line of Python. The same code
    /// takes the same.
    ///
    /// Needs code compiled with `consume-fuel = true`; else [`SandboxBuilder::build`]
    /// fails.
    pub fn fuel_limit(mut self, fuel: u64) -> Self {
        self.limits.fuel = Some(fuel);
        self
    }

    /// The most an execution may print, in bytes, on both streams together: 16 MiB,
    /// unless this says otherwise.
    pub fn output_limit(mut self, bytes: u64) -> Self {
        self.limits.output = bytes;
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.wasi.env(name, value);
        self
    }

    /// Shows a folder to Python, at `guest`, to read only.
    pub fn mount(self, folder: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.mount_with(folder, guest, FsPerms::ReadOnly)
    }

    /// Shows a folder to Python, at `guest`, to read, write and delete in.
    pub fn mount_writable(self, folder: impl Into<PathBuf>, guest: impl Into<String>) -> Self {
        self.mount_with(folder, guest, FsPerms::ReadWrite)
    }

    fn mount_with(
        mut self,
        folder: impl Into<PathBuf>,
        guest: impl Into<String>,
        permissions: FsPerms,
    ) -> Self {
        self.mounts.push((folder.into(), guest.into(), permissions));
        self
    }

    /// What Python reads from `sys.stdin`. Without it there is nothing to read.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.wasi.stdin(MemoryInputPipe::new(bytes.into()));
        self
    }

    /// Gets what Python prints, as it is written, bytes and all. It runs on the thread
    /// that executes, and should return soon.
    pub fn on_output(mut self, sink: impl FnMut(Stream, &[u8]) + Send + 'static) -> Self {
        self.sink = Some(Box::new(sink));
        self
    }

    /// Adds a function that Python can call: see [`Callback::new`].
    ///
    /// ```no_run
    /// # fn f(python: eryx_preinit::Python) {
    /// let sandbox = python.sandbox().callback("get_time", |_| async {
    ///     Ok::<_, String>("12:00")
    /// });
    /// // In Python: print(await get_time())
    /// # }
    /// ```
    pub fn callback<F, Fut, T, E>(self, name: impl Into<String>, call: F) -> Self
    where
        F: Fn(Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Value>,
        E: fmt::Display,
    {
        self.callback_with(Callback::new(name, call))
    }

    /// Adds a function that Python can call, with a description or a schema, in place of
    /// one that has the same name.
    pub fn callback_with(mut self, callback: Callback) -> Self {
        self.callbacks.add(callback);
        self
    }

    /// Lets Python connect by TCP, where `allow` says so for a host name or address and a
    /// port. Without it there is no network. TLS needs a host function of the program's
    /// own: see [`Snapshot::linker`](crate::Snapshot::linker).
    ///
    /// `allow` sees the name as Python gave it. Where a name leads is for who runs its
    /// DNS to say, so allow only names that you trust.
    ///
    /// A tokio runtime that executes must have IO enabled.
    pub fn tcp(mut self, allow: impl Fn(&str, u16) -> bool + Send + Sync + 'static) -> Self {
        self.network = Network::new(allow);
        self
    }

    /// The variable that [`Output::result`](crate::Output::result) comes from, in place
    /// of `result`.
    pub fn result_variable(mut self, name: impl Into<String>) -> Self {
        self.result_variable = Some(name.into());
        self
    }

    /// A value for host functions that [`Snapshot::linker`](crate::Snapshot::linker)
    /// defined: [`Host::data`] gives it to them.
    pub fn data(mut self, data: impl Any + Send) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// Changes what WASI shows to Python: clocks, randomness, arguments.
    pub fn wasi(mut self, change: impl FnOnce(&mut WasiCtxBuilder)) -> Self {
        change(&mut self.wasi);
        self
    }

    /// Makes the sandbox. With a [`Pool`](crate::Pool), waits for a free place.
    ///
    /// # Errors
    /// * [`Error::NotCompiledFor`] when a limit needs other native code.
    /// * [`Error::Mount`] when a folder cannot be opened.
    /// * [`Error::MemoryLimit`] when the snapshot is larger than that.
    /// * [`Error::Instantiate`] when the system has no memory left, or when the
    ///   component is no Python that this crate knows.
    pub async fn build(self) -> Result<Sandbox, Error> {
        self.check()?;
        let python = self.python.clone();
        let place = python.place().await;
        let limits = self.limits.clone();
        let result_variable = self.result_variable.clone();
        let mut store = self.store()?;
        let made = async {
            let pre = &python.loaded().pre;
            let instance = pre.instantiate_async(&mut store).await?;
            let execute = Execute::find(&mut store, &instance)?;
            if let Some(name) = &result_variable {
                export::set_result_variable(&mut store, &instance, name).await?;
            }
            Ok((instance, execute))
        };
        match made.await {
            Ok((instance, execute)) => Ok(Sandbox::new(
                python, store, instance, execute, limits, place,
            )),
            Err(source) => Err(match limits.memory {
                Some(bytes) if store.data().memory.reached => Error::MemoryLimit {
                    bytes,
                    traceback: format!("{source:#}"),
                },
                _ => Error::Instantiate { source },
            }),
        }
    }

    /// Like [`SandboxBuilder::build`], for programs without an async runtime.
    ///
    /// # Errors
    /// As [`SandboxBuilder::build`].
    pub fn build_blocking(self) -> Result<Sandbox, Error> {
        block_on(self.build())
    }

    fn check(&self) -> Result<(), Error> {
        let loaded = self.python.loaded();
        if self.limits.time.is_some() && !loaded.epoch_interruption {
            return Err(Error::NotCompiledFor {
                limit: "time_limit",
                key: "epoch-interruption",
            });
        }
        if self.limits.fuel.is_some() && !loaded.consume_fuel {
            return Err(Error::NotCompiledFor {
                limit: "fuel_limit",
                key: "consume-fuel",
            });
        }
        Ok(())
    }

    /// The store, with everything in it but Python.
    fn store(mut self) -> Result<Store<Host>, Error> {
        let loaded = self.python.loaded();
        let library = loaded.mounts.iter();
        let library =
            library.map(|(folder, guest)| (folder.clone(), (*guest).to_owned(), FsPerms::ReadOnly));
        for (folder, guest, permissions) in library.chain(self.mounts) {
            let mounted = self.wasi.preopened_dir(&folder, &guest, permissions);
            if let Err(source) = mounted {
                return Err(Error::Mount {
                    folder,
                    guest,
                    source,
                });
            }
        }
        let printed = Printed::new(self.limits.output, self.sink);
        let pipe = |stream| Pipe {
            printed: printed.clone(),
            stream,
        };
        self.wasi
            .stdout(pipe(Stream::Stdout))
            .stderr(pipe(Stream::Stderr));
        let host = Host {
            wasi: self.wasi.build(),
            table: ResourceTable::new(),
            memory: MemoryLimit {
                bytes: self.limits.memory,
                reached: false,
            },
            callbacks: Arc::new(self.callbacks),
            printed,
            deadline: None,
            network: self.network,
            data: self.data,
        };
        let mut store = Store::new(self.python.engine(), host);
        store.limiter(|host| &mut host.memory);
        if loaded.epoch_interruption {
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|store| {
                let deadline = store.data().deadline;
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(Stop::Time.into());
                }
                // Others on this thread have their turn.
                Ok(UpdateDeadline::Yield(1))
            });
        }
        if loaded.consume_fuel {
            let filled = store.set_fuel(u64::MAX);
            filled.map_err(|source| Error::Instantiate { source })?;
        }
        Ok(store)
    }
}
