//! How much memory the guest may take.

use crate::error::Report;
use wasmtime::ResourceLimiter;

/// Tables are the host's memory too: all of them together. CPython's has some 16 000
/// elements.
const TABLE_LIMIT_ELEMENTS: usize = 1 << 20;

/// How many memories, and how many tables there may be: each reserves addresses. CPython
/// has one memory, and extensions use that.
const COUNT_LIMIT: usize = 64;

/// The limit on all memories of a guest together.
pub(crate) struct MemoryLimit {
    bytes: u64,
    taken: u64,
    /// What was granted last: growing can still fail.
    granted: u64,
    reached: bool,
    lifted: bool,
    fixed: bool,
    elements: usize,
}

impl MemoryLimit {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            taken: 0,
            granted: 0,
            reached: false,
            lifted: false,
            fixed: false,
            elements: 0,
        }
    }

    /// Whether the guest asked for more than it may have.
    pub(crate) fn reached(&self) -> bool {
        self.reached
    }

    /// Lets memories grow as they may, without counting it, or no longer.
    pub(crate) fn lift(&mut self, lifted: bool) {
        self.lifted = lifted;
    }

    /// Lets no memory grow, or those again that may.
    pub(crate) fn fix(&mut self, fixed: bool) {
        self.fixed = fixed;
    }

    /// `report`, with a note if the limit was reached.
    pub(crate) fn explain(&self, report: Report) -> Report {
        if self.reached {
            report.note(format!(
                "it asked for more memory than memory-limit allows ({} MiB)",
                self.bytes >> 20
            ))
        } else {
            report
        }
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if self.fixed {
            self.granted = 0;
            return Ok(false);
        }
        if self.lifted {
            self.granted = 0;
            return Ok(true);
        }
        let wanted = desired.saturating_sub(current) as u64;
        let allowed = self.taken.saturating_add(wanted) <= self.bytes;
        self.reached |= !allowed;
        self.granted = if allowed { wanted } else { 0 };
        self.taken = self.taken.saturating_add(self.granted);
        Ok(allowed)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.taken = self.taken.saturating_sub(self.granted);
        self.granted = 0;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self
            .elements
            .saturating_add(desired.saturating_sub(current));
        let allowed = elements <= TABLE_LIMIT_ELEMENTS;
        if allowed {
            self.elements = elements;
        }
        Ok(allowed)
    }

    fn memories(&self) -> usize {
        COUNT_LIMIT
    }

    fn tables(&self) -> usize {
        COUNT_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn all_memories_count_together() {
        let mut limit = MemoryLimit::new(64 << 20);
        let mut grow = |from, to| limit.memory_growing(from, to, None).unwrap();
        assert!(grow(0, 40 * MIB));
        assert!(!grow(0, 25 * MIB), "a second memory");
        assert!(grow(0, 20 * MIB));
        assert!(grow(40 * MIB, 44 * MIB));
        assert!(!grow(44 * MIB, 45 * MIB));
        assert!(limit.reached());
        let report = format!("{:?}", limit.explain(Report::new("failed")));
        assert!(report.contains("memory-limit allows (64 MiB)"), "{report}");
        // The snapshot's own pages.
        limit.lift(true);
        assert!(limit.memory_growing(44 * MIB, 45 * MIB, None).unwrap());
        limit.lift(false);
        assert!(!limit.memory_growing(45 * MIB, 46 * MIB, None).unwrap());
    }

    #[test]
    fn what_the_system_refused_does_not_count() {
        let mut limit = MemoryLimit::new(64 << 20);
        assert!(limit.memory_growing(0, 60 * MIB, None).unwrap());
        // Refused here, nothing is taken, and nothing is given back.
        assert!(!limit.memory_growing(60 * MIB, 70 * MIB, None).unwrap());
        let failed = || wasmtime::format_err!("failed");
        limit.memory_grow_failed(failed()).unwrap();
        assert!(!limit.memory_growing(60 * MIB, 70 * MIB, None).unwrap());
        // Granted, and refused by the system.
        assert!(limit.memory_growing(60 * MIB, 64 * MIB, None).unwrap());
        limit.memory_grow_failed(failed()).unwrap();
        assert!(limit.memory_growing(60 * MIB, 64 * MIB, None).unwrap());
    }

    #[test]
    fn all_tables_count_together() {
        let mut limit = MemoryLimit::new(0);
        let mut grow = |from, to| limit.table_growing(from, to, None).unwrap();
        assert!(grow(0, TABLE_LIMIT_ELEMENTS - 10));
        assert!(!grow(0, 11));
        assert!(grow(0, 10));
        assert!(!grow(10, 11));
    }
}
