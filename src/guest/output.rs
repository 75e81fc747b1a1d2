//! What the guest prints, kept for reports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// More of the guest's output than this is dropped.
pub(crate) const OUTPUT_LIMIT_BYTES: usize = 256 << 10;

/// More lines for the host than these are dropped.
const MARKS_LIMIT: usize = 200_000;

/// The guest's stdout and stderr, bounded; and, for who [listens](Output::listen), lines
/// for the host.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>, Arc<Mutex<Option<Vec<Mark>>>>);

/// What starts a line for the host, which no reader sees.
pub(crate) const MARK: u8 = 0x1e;

/// Such a line, and when it came: the guest has no clock of its own.
pub(crate) type Mark = (Instant, String);

/// In place of what did not fit.
pub(crate) const OUTPUT_DROPPED: &[u8] = b"\n(it printed more than is kept)";

impl Output {
    pub(crate) fn write(&self, bytes: &[u8]) {
        if let Some((&MARK, line)) = bytes.split_first()
            && let Some(marks) = &mut *self.marks()
        {
            if marks.len() < MARKS_LIMIT {
                marks.push((Instant::now(), String::from_utf8_lossy(line).into_owned()));
            }
            return;
        }
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Above the limit the buffer ends in the notice.
        let Some(room) = OUTPUT_LIMIT_BYTES.checked_sub(buffer.len()) else {
            return;
        };
        match bytes.get(..room) {
            Some(first) if bytes.len() > room => {
                buffer.extend_from_slice(first);
                buffer.extend_from_slice(OUTPUT_DROPPED);
            }
            _ => buffer.extend_from_slice(bytes),
        }
    }

    /// Keeps lines for the host from now on. Otherwise they are output like any other.
    pub(crate) fn listen(&self) {
        self.marks().get_or_insert_default();
    }

    /// The lines for the host since the last call; none for who does not listen.
    pub(crate) fn take_marks(&self) -> Vec<Mark> {
        self.marks()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn marks(&self) -> MutexGuard<'_, Option<Vec<Mark>>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> String {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *buffer)).into_owned()
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        Output::write(self, &bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_LIMIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_the_host_are_output_unless_somebody_listens() {
        let output = Output::default();
        output.write(b"\x1e>a");
        assert_eq!(output.take(), "\x1e>a");
        output.listen();
        output.write(b"\x1e>a");
        output.write(b"b");
        assert_eq!(output.take(), "b");
        assert_eq!(output.take_marks()[0].1, ">a");
        assert!(output.take_marks().is_empty());
    }

    #[test]
    fn output_is_bounded() {
        let output = Output::default();
        let all = "x".repeat(OUTPUT_LIMIT_BYTES);
        output.write(all.as_bytes());
        assert_eq!(output.take(), all);
        output.write(all.as_bytes());
        for _ in 0..3 {
            output.write(b"more");
        }
        let kept = output.take();
        assert_eq!(kept.len(), OUTPUT_LIMIT_BYTES + OUTPUT_DROPPED.len());
        assert!(kept.ends_with("x\n(it printed more than is kept)"));
        assert_eq!(output.take(), "");
    }
}
