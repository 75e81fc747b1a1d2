//! What a snapshot holds that no instance needs: garbage, caches, and what is left of both
//! in free memory.
//!
//! Free memory is filled with blocks of zeros, which then are freed again. That is sound:
//! only the guest's own allocator hands memory out and takes it back, so nothing is
//! written that somebody uses. For the time of it the host refuses to let memory grow,
//! which C code is told as it always is: by an allocation that fails. Python makes a
//! `MemoryError` of it, which is caught, and nothing else runs meanwhile.

use crate::guest::failure::Failure;
use crate::guest::instance::Guest;

const SCRIPT: &str = include_str!("image.py");

impl Guest {
    /// Leaves no garbage, caches or remains of them in memory.
    pub(crate) async fn clean(&mut self) -> Result<(), Failure> {
        let failed = |message| Failure::of_own_code("memory cannot be cleaned", message);
        self.execute(&code("False"), "cleaning")
            .await?
            .map_err(failed)?;
        self.store.data_mut().fix_memory(true);
        let filled = self.execute(&code("True"), "cleaning").await;
        self.store.data_mut().fix_memory(false);
        filled?.map_err(failed)
    }
}

/// The script, with memory that cannot grow if it is `full`. The user's code may have
/// given names of its own to the built-in functions.
fn code(full: &str) -> String {
    format!(
        "def _eryx_preinit_clean():
    global _eryx_preinit_clean
    del _eryx_preinit_clean
    from builtins import compile, exec
    exec(compile('''{SCRIPT}''', '<eryx-preinit-build>', 'exec'), {{'full': {full}}})
_eryx_preinit_clean()"
    )
}
