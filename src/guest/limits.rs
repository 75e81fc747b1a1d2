//! How much memory the guest may take.

use wasmtime::ResourceLimiter;

/// Tables are the host's memory too. CPython's has some 16 000 elements.
pub(crate) const TABLE_LIMIT_ELEMENTS: usize = 1 << 20;

pub(crate) struct MemoryLimit {
    pub(crate) bytes: u64,
    pub(crate) reached: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired as u64 <= self.bytes;
        self.reached |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_LIMIT_ELEMENTS)
    }
}
