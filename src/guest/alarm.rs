//! Calls into the guest, and the time they may take.

use crate::error::{Report, Stage, panicked};
use crate::guest::failure::{Failure, Stop};
use crate::guest::host::Host;
use std::sync::mpsc;
use std::time::Duration;
use wasmtime::{Engine, Store};

/// For what the host does on the guest's behalf: the guest has a stack of its own.
const STACK_BYTES: usize = 8 << 20;

/// Runs `future` to its end, on a thread of its own: the consumer's build script may be
/// inside a runtime, in which no other can be entered.
pub(crate) fn block_on<T: Send>(
    future: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, Failure> {
    let failed = |what: &str, source| {
        Failure::Final(Stage::Instantiate.error(Report::new(what).source(source)))
    };
    let run = move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|e| failed("cannot start the async runtime", e))?
            .block_on(future)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("python".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run)
            .map_err(|e| failed("cannot start a thread for Python", e))?;
        thread.join().unwrap_or_else(|panic| {
            let report = panicked("the run of Python, or wasmtime-wizer", &*panic);
            Err(Failure::Final(Stage::Transform.error(report)))
        })
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_around_it_is_no_hindrance() {
        let outer = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let inner = outer.block_on(async {
            block_on(async {
                let result = within(Duration::from_secs(60), async { wasmtime::Result::Ok(7) });
                Ok::<_, Failure>(result.await.ok())
            })
        });
        assert_eq!(inner.ok(), Some(Some(7)));
    }
}
