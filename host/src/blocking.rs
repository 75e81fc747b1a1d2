//! Futures for programs without an async runtime.

use std::future::Future;
use tokio::runtime::Handle;
use wasmtime_wasi::runtime::in_tokio;

/// Waits for `future`. WASI's own work runs on the runtime that wasmtime-wasi starts
/// where there is none.
pub(crate) fn block_on<F>(future: F) -> F::Output
where
    F: Future + Send,
    F::Output: Send,
{
    if Handle::try_current().is_err() {
        return in_tokio(future);
    }
    // A thread of a runtime must not wait for futures itself.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| in_tokio(future)).join();
        waiting.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
