//! Python imports from an archive in its memory, without any folder.
//!
//! `embedded.py` puts a path hook in front of Python's own, and serves folders of the
//! archive (`packages/embed.rs`) with loaders that are Python's own but for where their
//! bytes come from. That is sound: the archive holds what the folders hold that Python
//! sees at build time, so an import gives the same module with the same paths, from
//! wherever its code is read. What is not in the archive is looked for in the folder
//! itself, as if the hook were not there.
//!
//! The archive is never written to, nor are references to its parts kept: an import writes
//! only what it makes.

use crate::error::Error;
use crate::guest::failure::Failure;
use crate::guest::instance::Guest;

const SCRIPT: &str = include_str!("embedded.py");

/// The archive's file in the guest's /tmp, which `embedded.py` removes.
const FILE: &str = "eryx-preinit-embedded";

impl Guest {
    /// Has Python import from `archive`, a copy of which it keeps in memory.
    pub(crate) async fn embed(&mut self, archive: &[u8]) -> Result<(), Failure> {
        let path = self.store.data().scratch().join(FILE);
        std::fs::write(&path, archive).map_err(|e| Failure::Final(Error::io("write", &path, e)))?;
        self.execute(&code(), "embedded library")
            .await?
            .map_err(|message| Failure::of_own_code("the modules cannot be embedded", message))
    }
}

/// What Python executes before everything else.
fn code() -> String {
    format!(
        "exec(compile('''{SCRIPT}''', '<eryx-preinit-build>', 'exec'), \
         {{'__name__': '_eryx_preinit_embedded', 'path': '/tmp/{FILE}'}})"
    )
}

#[cfg(test)]
mod tests;
