//! Calls into the guest, and the time they may take.

use crate::error::{Error, Report};
use crate::guest::failure::{Failure, Stop};
use crate::guest::host::Host;
use std::sync::mpsc;
use std::time::Duration;
use wasmtime::{Engine, Store};

pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| {
            Failure::Final(Error::Instantiate(
                Report::new("cannot start the async runtime").source(e),
            ))
        })?
        .block_on(future)
}

pub(crate) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Stop> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result.map_err(Stop::Error),
        Err(_) => Err(Stop::Timeout),
    }
}

/// What the guest may hand to the host in one call, in bytes.
pub(crate) const CALL_BYTES: usize = 128 << 20;

/// Interrupts running guest code after a while: the timeout of [`within`] only
/// fires while the guest waits.
pub(crate) struct Alarm {
    stop: mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Alarm {
    pub(crate) fn set(store: &mut Store<Host>, engine: &Engine, timeout: Duration) -> Self {
        store.set_hostcall_fuel(CALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_trap();
        let (stop, stopped) = mpsc::channel();
        let engine = engine.clone();
        let thread = std::thread::spawn(move || {
            if stopped.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
