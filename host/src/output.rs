//! What Python prints: kept, counted, and handed on as it is written.

use crate::limits::Stop;
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// What one execution gave.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Output {
    /// What it wrote to `sys.stdout`. Bytes that are not UTF-8 are replaced;
    /// [`SandboxBuilder::on_output`](crate::SandboxBuilder::on_output) gets them as
    /// they are.
    pub stdout: String,
    /// What it wrote to `sys.stderr`, likewise.
    pub stderr: String,
    /// The value it left in the variable `result`, or in the one that
    /// [`SandboxBuilder::result_variable`](crate::SandboxBuilder::result_variable)
    /// names. `None` if there is none, or if it cannot be written as JSON.
    pub result: Option<Value>,
    /// Why the value cannot be written as JSON, if there is one and it cannot.
    pub result_error: Option<String>,
}

/// One of Python's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// `sys.stdout`.
    Stdout,
    /// `sys.stderr`.
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// What gets output as it is written.
pub(crate) type Sink = Box<dyn FnMut(Stream, &[u8]) + Send>;

/// What one sandbox prints. Clones share it.
#[derive(Clone)]
pub(crate) struct Printed(Arc<Mutex<Streams>>);

struct Streams {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    limit: u64,
    sink: Option<Sink>,
}

impl Printed {
    /// At most `limit` bytes for each execution.
    pub(crate) fn new(limit: u64, sink: Option<Sink>) -> Self {
        Self(Arc::new(Mutex::new(Streams {
            stdout: Vec::new(),
            stderr: Vec::new(),
            limit,
            sink,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was printed.
    pub(crate) fn clear(&self) {
        let mut streams = self.lock();
        streams.stdout.clear();
        streams.stderr.clear();
    }

    /// # Errors
    /// [`Stop::Output`] when these bytes would be too many; none of them is kept.
    pub(crate) fn write(&self, stream: Stream, bytes: &[u8]) -> Result<(), Stop> {
        let mut streams = self.lock();
        let length = streams.stdout.len() + streams.stderr.len() + bytes.len();
        if length as u64 > streams.limit {
            return Err(Stop::Output {
                limit: streams.limit,
                stream,
            });
        }
        match stream {
            Stream::Stdout => streams.stdout.extend_from_slice(bytes),
            Stream::Stderr => streams.stderr.extend_from_slice(bytes),
        }
        if let Some(sink) = &mut streams.sink {
            sink(stream, bytes);
        }
        Ok(())
    }

    /// A copy of what was printed since the last [`Printed::clear`].
    pub(crate) fn output(&self) -> Output {
        let streams = self.lock();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Output {
            stdout: text(&streams.stdout),
            stderr: text(&streams.stderr),
            ..Output::default()
        }
    }
}

/// One of WASI's own streams, which code that passes `sys.stdout` by writes to.
pub(crate) struct Pipe {
    pub(crate) printed: Printed,
    pub(crate) stream: Stream,
}

/// How much WASI may hand over at once.
const AT_ONCE_BYTES: usize = 64 << 10;

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // For interfaces of WASI 0.3, which no runtime imports.
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self {
            printed: self.printed.clone(),
            stream: self.stream,
        })
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.printed
            .write(self.stream, &bytes)
            .map_err(|stop| StreamError::Trap(stop.into()))
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(AT_ONCE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_count_and_what_is_too_much_is_not_kept() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let sink: Sink = Box::new(move |stream, bytes| sender.send((stream, bytes.len())).unwrap());
        let printed = Printed::new(5, Some(sink));
        printed.write(Stream::Stdout, b"abc").unwrap();
        printed.write(Stream::Stderr, b"\xff").unwrap();
        let stop = printed.write(Stream::Stderr, b"xy").unwrap_err();
        assert!(matches!(
            stop,
            Stop::Output {
                limit: 5,
                stream: Stream::Stderr
            }
        ));
        let output = printed.output();
        assert_eq!((&*output.stdout, &*output.stderr), ("abc", "\u{fffd}"));
        let seen: Vec<_> = receiver.try_iter().collect();
        assert_eq!(seen, [(Stream::Stdout, 3), (Stream::Stderr, 1)]);
        printed.clear();
        printed.write(Stream::Stdout, b"12345").unwrap();
    }
}
