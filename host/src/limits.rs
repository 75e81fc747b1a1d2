//! How much a sandbox may use, and what stops it.

use crate::output::Stream;
use std::fmt;
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// Output that is kept for one execution, unless more is asked for.
const DEFAULT_OUTPUT_BYTES: u64 = 16 << 20;

/// Tables are the host's memory too. CPython's have some 16 000 elements.
const TABLE_ELEMENTS: usize = 1 << 20;

/// What a sandbox may use. Without a value there is no limit.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Largest linear memory in bytes.
    pub(crate) memory: Option<u64>,
    /// Of each execution.
    pub(crate) time: Option<Duration>,
    /// Of each execution.
    pub(crate) fuel: Option<u64>,
    /// Bytes that an execution may print.
    pub(crate) output: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: None,
            time: None,
            fuel: None,
            output: DEFAULT_OUTPUT_BYTES,
        }
    }
}

/// The store's memory limiter.
pub(crate) struct MemoryLimit {
    pub(crate) bytes: Option<u64>,
    /// Whether more was asked for since this was last set to `false`.
    pub(crate) reached: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = self.bytes.is_none_or(|bytes| desired as u64 <= bytes);
        self.reached |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

/// Why this crate stopped an execution, as an error that passes through Wasmtime.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    Time,
    Output { limit: u64, stream: Stream },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "the time limit was reached",
            Self::Output { .. } => "the output limit was reached",
        })
    }
}

impl std::error::Error for Stop {}
