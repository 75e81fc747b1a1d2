//! What can go wrong, a variant each.

use crate::output::Stream;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why Python could not be loaded, or code not be run.
///
/// `Debug` shows what `Display` does and the causes below it, so that a `main` that
/// returns this error prints something to read.
#[non_exhaustive]
pub enum Error {
    /// The code raised an exception, or does not compile. The sandbox goes on.
    #[non_exhaustive]
    Python {
        /// Python's traceback, as Python prints it: to `sys.stderr`, where what the code
        /// itself wrote there stands before it.
        traceback: String,
    },
    /// Python asked for more memory than it may have, and the execution failed. The
    /// sandbox goes on after a `MemoryError`, and has ended after anything else.
    #[non_exhaustive]
    MemoryLimit {
        /// The limit in bytes.
        bytes: u64,
        /// Python's traceback, where Python could raise `MemoryError`; else what
        /// happened.
        traceback: String,
    },
    /// The execution took longer than it may. The sandbox has ended.
    #[non_exhaustive]
    TimeLimit {
        /// The limit.
        limit: Duration,
    },
    /// The execution took more instructions than it may. The sandbox has ended.
    #[non_exhaustive]
    FuelLimit {
        /// The limit in units of Wasmtime's fuel.
        fuel: u64,
    },
    /// The execution printed more than it may. The sandbox has ended.
    #[non_exhaustive]
    OutputLimit {
        /// The limit in bytes, of both streams together.
        bytes: u64,
        /// The stream that reached it.
        stream: Stream,
    },
    /// The code ended the interpreter, for example by `os._exit()`. The sandbox has
    /// ended.
    #[non_exhaustive]
    Exit {
        /// The status the code gave.
        status: i32,
    },
    /// The code crashed the interpreter, for example by exhausting the stack. The
    /// sandbox has ended.
    #[non_exhaustive]
    Crash {
        /// What Wasmtime says.
        source: wasmtime::Error,
    },
    /// This sandbox ended earlier: an execution was stopped, crashed, or dropped
    /// before it was done. Make another one.
    Ended,
    /// A limit was asked for that the native code was not compiled for.
    #[non_exhaustive]
    NotCompiledFor {
        /// The method that sets the limit.
        limit: &'static str,
        /// The key in `[package.metadata.eryx.precompile]` that makes it possible.
        key: &'static str,
    },
    /// A folder could not be mounted.
    #[non_exhaustive]
    Mount {
        /// The folder.
        folder: PathBuf,
        /// Where Python would have seen it.
        guest: String,
        /// What the system says.
        source: wasmtime::Error,
    },
    /// The snapshot cannot be loaded: it is damaged, or made for another processor,
    /// another Wasmtime or other settings, or it is no Python.
    #[non_exhaustive]
    Load {
        /// What Wasmtime says.
        source: wasmtime::Error,
    },
    /// No instance could be made.
    #[non_exhaustive]
    Instantiate {
        /// What Wasmtime says.
        source: wasmtime::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python { traceback } => f.write_str(traceback.trim_end()),
            Self::MemoryLimit { bytes, traceback } => write!(
                f,
                "Python needs more than the {bytes} bytes of memory that memory_limit allows\n{}",
                traceback.trim_end()
            ),
            Self::TimeLimit { limit } => write!(
                f,
                "the execution took longer than the {limit:?} that time_limit allows"
            ),
            Self::FuelLimit { fuel } => write!(
                f,
                "the execution took more than the {fuel} units of fuel that fuel_limit allows"
            ),
            Self::OutputLimit { bytes, stream } => write!(
                f,
                "the execution printed more than the {bytes} bytes that output_limit allows \
                 (the last of them on {stream})"
            ),
            Self::Exit { status } => {
                write!(f, "the code ended the interpreter with status {status}")
            }
            Self::Crash { .. } => f.write_str("the code crashed the interpreter"),
            Self::Ended => f.write_str(
                "this sandbox has ended, because an execution in it was stopped, crashed or \
                 dropped: make another one",
            ),
            Self::NotCompiledFor { limit, key } => write!(
                f,
                "{limit} needs native code that was compiled for it: set `{key} = true` in \
                 [package.metadata.eryx.precompile] of the crate whose build script made it"
            ),
            Self::Mount { folder, guest, .. } => write!(
                f,
                "cannot mount `{}` at {guest}: a program that was moved has to bring it along \
                 and name it with Snapshot::stdlib or Snapshot::site_packages",
                folder.display()
            ),
            Self::Load { .. } => f.write_str("cannot load Python"),
            Self::Instantiate { .. } => f.write_str("cannot make an instance of Python"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Crash { source }
            | Self::Mount { source, .. }
            | Self::Load { source }
            | Self::Instantiate { source } => Some(source.as_ref()),
            _ => None,
        }
    }
}
