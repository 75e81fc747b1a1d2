//! Python imports from an archive in its memory, without any folder.
//!
//! `embedded.py` puts a path hook in front of Python's own, and serves folders of the
//! archive (`packages/embed.rs`) with loaders that are Python's own but for where their
//! bytes come from. That is sound: the archive holds what the folders hold that Python
//! sees at build time, so an import gives the same module with the same paths, from
//! wherever its code is read. What is not in the archive is looked for in the folder
//! itself, as if the hook were not there.
//!
//! `embedded/files.py` serves the same files to `open`, `os.stat`, `os.listdir` and what is
//! built on them, such as pathlib, `importlib.resources` and `importlib.metadata`. All other
//! paths go to the built-in functions. That is sound: the archive's content is what the
//! mounts had, and the file system under a mount cannot be written to. Code that goes
//! around these functions (`os.open`, `io.FileIO`, C) sees the mounts only.
//!
//! The archive is never written to, nor are references to its parts kept: an import writes
//! only what it makes.

use crate::error::Error;
use crate::guest::failure::Failure;
use crate::guest::instance::Guest;

/// The second has the names of the first.
const SCRIPT: &str = concat!(
    include_str!("embedded.py"),
    include_str!("embedded/files.py")
);

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
