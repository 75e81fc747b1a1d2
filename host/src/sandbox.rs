//! One Python, separate from all others.

use crate::blocking::block_on;
use crate::clock::{self, Ticking};
use crate::error::Error;
use crate::export::{Execute, Left};
use crate::host::Host;
use crate::limits::{Limits, Stop};
use crate::output::Output;
use crate::python::Python;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::Instance;
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

/// One Python, separate from all others: its own memory, files and limits.
/// [`Python::sandbox`] makes it.
pub struct Sandbox {
    python: Python,
    store: Store<Host>,
    instance: Instance,
    execute: Execute,
    limits: Limits,
    /// Whether nothing can run here any more, or something that was dropped still does.
    ended: bool,
    /// Behind the store: a place is free when that is gone.
    _place: Option<OwnedSemaphorePermit>,
}

impl Sandbox {
    pub(crate) fn new(
        python: Python,
        store: Store<Host>,
        instance: Instance,
        execute: Execute,
        limits: Limits,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            python,
            store,
            instance,
            execute,
            limits,
            ended: false,
            _place: place,
        }
    }

    /// Runs Python code, with `await` at the top level if it likes. Names it defines
    /// are there for the next execution in this sandbox.
    ///
    /// Dropping the future stops the code, and ends the sandbox.
    ///
    /// # Errors
    /// [`Error::Python`] with the traceback when the code raises an exception; else the
    /// variant of the limit that stopped it, or of what it did. After that
    /// [`Sandbox::printed`] still gives what it printed.
    pub async fn execute(&mut self, code: &str) -> Result<Output, Error> {
        if self.ended {
            return Err(Error::Ended);
        }
        // Until it is known how this one went: nothing else can run in between.
        self.ended = true;
        let deadline = self.prepare()?;
        let ticking = self.python.loaded().epoch_interruption;
        let ticking = ticking.then(|| Ticking::new(self.python.engine()));
        let call = self.execute.call(&mut self.store, code);
        let returned = clock::timeout(deadline, call).await;
        drop(ticking);
        match returned {
            Some(Ok(Ok(left))) => {
                self.ended = false;
                Ok(self.output(left))
            }
            Some(Ok(Err(traceback))) => {
                self.ended = false;
                Err(self.raised(traceback))
            }
            Some(Err(error)) => Err(self.stopped(error)),
            None => Err(self.too_late()),
        }
    }

    /// Like [`Sandbox::execute`], for programs without an async runtime.
    ///
    /// # Errors
    /// As [`Sandbox::execute`].
    pub fn execute_blocking(&mut self, code: &str) -> Result<Output, Error> {
        block_on(self.execute(code))
    }

    /// What the last execution has printed, also if it failed.
    pub fn printed(&self) -> Output {
        self.store.data().printed.output()
    }

    /// Whether the sandbox has ended: every execution would give [`Error::Ended`].
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The store that the instance lives in.
    pub fn store(&self) -> &Store<Host> {
        &self.store
    }

    /// The store, to call into the instance.
    pub fn store_mut(&mut self) -> &mut Store<Host> {
        &mut self.store
    }

    /// The instance itself.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Sets the limits of one execution; returns when it has to be done.
    fn prepare(&mut self) -> Result<Option<Instant>, Error> {
        let deadline = self.limits.time;
        let deadline = deadline.and_then(|limit| Instant::now().checked_add(limit));
        let host = self.store.data_mut();
        host.deadline = deadline;
        host.memory.reached = false;
        host.printed.clear();
        if self.python.loaded().epoch_interruption {
            self.store.set_epoch_deadline(1);
        }
        if self.python.loaded().consume_fuel {
            let filled = self.store.set_fuel(self.limits.fuel.unwrap_or(u64::MAX));
            filled.map_err(|source| Error::Crash { source })?;
        }
        Ok(deadline)
    }

    fn output(&self, left: Left) -> Output {
        let mut output = self.printed();
        match serde_json::from_str(&left.json) {
            Ok(value) => output.result = Some(value),
            Err(_) if left.json.is_empty() => {}
            Err(error) => output.result_error = Some(format!("result is not JSON: {error}")),
        }
        if !left.error.is_empty() {
            output.result_error = Some(left.error);
        }
        output
    }

    /// The code ended with an exception.
    fn raised(&self, traceback: String) -> Error {
        match self.limits.memory {
            Some(bytes) if self.store.data().memory.reached && is_memory_error(&traceback) => {
                Error::MemoryLimit { bytes, traceback }
            }
            _ => Error::Python { traceback },
        }
    }

    /// The instance was stopped, and can do nothing more.
    fn stopped(&self, error: wasmtime::Error) -> Error {
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return match *stop {
                Stop::Time => self.too_late(),
                Stop::Output { limit, stream } => Error::OutputLimit {
                    bytes: limit,
                    stream,
                },
            };
        }
        if let Some(&I32Exit(status)) = error.downcast_ref::<I32Exit>() {
            return Error::Exit { status };
        }
        let trap = error.downcast_ref::<Trap>();
        if let (Some(Trap::OutOfFuel), Some(fuel)) = (trap, self.limits.fuel) {
            return Error::FuelLimit { fuel };
        }
        match self.limits.memory {
            Some(bytes) if self.store.data().memory.reached => Error::MemoryLimit {
                bytes,
                traceback: format!("{error:#}"),
            },
            _ => Error::Crash { source: error },
        }
    }

    fn too_late(&self) -> Error {
        Error::TimeLimit {
            limit: self.limits.time.unwrap_or_default(),
        }
    }
}

/// Whether the exception that a traceback ends with is `MemoryError`.
fn is_memory_error(traceback: &str) -> bool {
    let mut lines = traceback.trim_end().lines();
    lines
        .next_back()
        .is_some_and(|last| last.starts_with("MemoryError"))
}
