//! What the guest may write to its /tmp.
//!
//! A file is never larger than what was counted for it: every byte written counts,
//! a size that is set counts, and a write behind the end counts the gap as well.

use crate::error::Report;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

/// What the guest may write to /tmp in one run, in bytes, all in all.
pub(crate) const SCRATCH_BYTES: u64 = 64 << 20;

/// What a new file or folder in /tmp counts for, so that their number is bounded
/// too.
pub(crate) const ENTRY_BYTES: u64 = 4 << 10;

/// How much the guest may still write.
pub(crate) struct Budget {
    left: AtomicU64,
    exceeded: AtomicBool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: AtomicU64::new(SCRATCH_BYTES),
            exceeded: AtomicBool::new(false),
        }
    }
}

impl Budget {
    /// # Errors
    /// The code the guest gets when that much is not left.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), ErrorCode> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        taken.map(drop).map_err(|_| {
            self.exceeded.store(true, Ordering::Relaxed);
            ErrorCode::InsufficientSpace
        })
    }

    /// Adds to the report of a failure that the guest's /tmp was full, if it was.
    pub(crate) fn explain(&self, report: Report) -> Report {
        if self.exceeded.load(Ordering::Relaxed) {
            report.note(format!(
                "it wrote more than the {} MiB that /tmp holds while Python is pre-initialised",
                SCRATCH_BYTES >> 20
            ))
        } else {
            report
        }
    }
}

/// No write may start farther behind than that, whatever is left.
pub(crate) fn within_scratch(offset: u64) -> Result<(), ErrorCode> {
    if offset > SCRATCH_BYTES {
        Err(ErrorCode::FileTooLarge)
    } else {
        Ok(())
    }
}

/// Has `stream` count against the budget.
pub(crate) fn count(stream: &mut DynOutputStream, budget: Arc<Budget>) {
    let file = std::mem::replace(stream, Box::new(Gone));
    *stream = Box::new(Counted { file, budget });
}

/// A file's stream that counts against the budget.
struct Counted {
    file: DynOutputStream,
    budget: Arc<Budget>,
}

impl Counted {
    fn take(&self, bytes: usize) -> StreamResult<()> {
        self.budget.take(bytes as u64).map_err(|_| {
            // wasmtime-wasi goes by the number where there is one.
            let full = if cfg!(unix) {
                std::io::Error::from_raw_os_error(28)
            } else {
                std::io::ErrorKind::StorageFull.into()
            };
            StreamError::LastOperationFailed(full.into())
        })
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.file.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.file.write(bytes)
    }
    fn flush(&mut self) -> StreamResult<()> {
        self.file.flush()
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        self.file.check_write()
    }
    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.file.blocking_write_and_flush(bytes).await
    }
    async fn cancel(&mut self) {
        self.file.cancel().await;
    }
}

/// Holds the place of a stream for the moment that it changes hands.
struct Gone;

#[wasmtime_wasi::async_trait]
impl Pollable for Gone {
    async fn ready(&mut self) {}
}

impl OutputStream for Gone {
    fn write(&mut self, _: bytes::Bytes) -> StreamResult<()> {
        Err(StreamError::Closed)
    }
    fn flush(&mut self) -> StreamResult<()> {
        Err(StreamError::Closed)
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Err(StreamError::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_given_back_and_tells_when_it_was_not_enough() {
        let budget = Budget::default();
        budget.take(SCRATCH_BYTES - 1).unwrap();
        assert!(!budget.exceeded.load(Ordering::Relaxed));
        assert!(budget.take(2).is_err());
        budget.take(1).unwrap();
        assert!(budget.take(1).is_err());
        let report = format!("{:?}", budget.explain(Report::new("failed")));
        assert!(report.contains("64 MiB that /tmp holds"), "{report}");
    }
}
