//! Memory and stacks for many sandboxes, reserved once.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Core modules that one Python is linked of, with room for more extensions.
const CORE_INSTANCES: u32 = 64;
/// Tables of all of them.
const TABLES: u32 = 16;

/// Memory and stacks for many sandboxes, reserved once and used again: for programs
/// that make many, one after another or at a time.
///
/// [`SandboxBuilder::build`](crate::SandboxBuilder::build) waits while all places are
/// taken. A place takes address space (some 4 GiB), and memory as far as it is used.
///
/// ```no_run
/// # fn main() -> Result<(), eryx_preinit::Error> {
/// # let bytes: &'static [u8] = &[];
/// use eryx_preinit::{Pool, Snapshot};
///
/// let python = Snapshot::from_wasm(bytes).pool(Pool::new(1000)).load()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    sandboxes: u32,
    keep_resident: usize,
}

impl Pool {
    /// Room for that many sandboxes at a time.
    pub fn new(sandboxes: u32) -> Self {
        Self {
            sandboxes,
            keep_resident: 8 << 20,
        }
    }

    /// How many bytes of its memory each place keeps, at most, when its sandbox is
    /// dropped. What was written in them is put back by copying, which is cheaper than
    /// to have the system take the pages away and bring them again. 8 MiB, unless
    /// this says otherwise.
    pub fn keep_resident(mut self, bytes: usize) -> Self {
        self.keep_resident = bytes;
        self
    }

    pub(crate) fn sandboxes(&self) -> usize {
        self.sandboxes as usize
    }

    pub(crate) fn configure(&self, config: &mut Config) {
        let count = self.sandboxes;
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(count)
            .total_core_instances(count.saturating_mul(CORE_INSTANCES))
            .total_memories(count)
            .total_tables(count.saturating_mul(TABLES))
            // One that Python runs on, and one for what it waits for.
            .total_stacks(count.saturating_mul(2))
            .max_component_instance_size(1 << 20)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_core_instance_size(4 << 20)
            .table_elements(100_000)
            .linear_memory_keep_resident(self.keep_resident)
            .table_keep_resident(1 << 20)
            .async_stack_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
}
