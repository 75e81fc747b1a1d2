//! Sources that have no bytecode yet, in folders that Python is to see.
//!
//! Those folders lie below OUT_DIR and hold no bytecode but what belongs to the source
//! beside it: that of the standard library's archive, and what is compiled from here on.

use crate::archives::pyc;
use crate::error::Error;
use crate::inputs::walk::tree;
use crate::store::folder;
use std::fs;
use std::path::{Path, PathBuf};

/// A source without bytecode.
pub(crate) struct Source {
    /// Its path in the guest.
    pub(crate) guest_path: String,
    pub(crate) content: Vec<u8>,
    /// Where its bytecode is to lie.
    bytecode: PathBuf,
}

impl Source {
    /// Writes its bytecode to where Python looks for it.
    ///
    /// # Errors
    /// `Stage::Io`.
    pub(crate) fn write(&self, bytecode: &[u8]) -> Result<(), Error> {
        let folder = self.bytecode.parent().unwrap_or(&self.bytecode);
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        fs::write(&self.bytecode, bytecode).map_err(|e| Error::io("write", &self.bytecode, e))
    }
}

/// A folder, and where the guest sees it.
#[derive(Clone, Copy)]
pub(crate) struct Mount<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) guest_path: &'a str,
}

impl Mount<'_> {
    /// The sources that have no bytecode, in a fixed order.
    ///
    /// # Errors
    /// `Stage::Io` when the folder cannot be read.
    pub(crate) fn without_bytecode(&self) -> Result<Vec<Source>, Error> {
        let mut sources = Vec::new();
        for path in tree(self.folder)? {
            let relative = path.strip_prefix(self.folder).unwrap_or(&path);
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            let relative = parts.join("/");
            let Some(bytecode) = pyc::path_of(&relative).map(|path| self.folder.join(path)) else {
                continue;
            };
            if path.is_dir() || bytecode.exists() {
                continue;
            }
            sources.push(Source {
                guest_path: format!("{}/{relative}", self.guest_path),
                content: fs::read(&path).map_err(|e| Error::io("read", &path, e))?,
                bytecode,
            });
        }
        Ok(sources)
    }

    /// Takes the bytecode that was written for a part of the staged folder.
    ///
    /// # Errors
    /// `Stage::Io`.
    pub(crate) fn accept(&self) -> Result<(), Error> {
        folder::accept(self.folder.parent().unwrap_or(self.folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_without_bytecode_are_listed_and_what_is_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let staged = folder::staged(
            dir.path(),
            "made-",
            crate::store::digest::Digest::of(b"x"),
            |made| {
                fs::create_dir_all(made.join("tree/pkg/__pycache__")).unwrap();
                for name in [
                    "pkg/a.py",
                    "pkg/b.py",
                    "c.py",
                    "c.txt",
                    "pkg/__pycache__/a.cpython-314.pyc",
                ] {
                    fs::write(made.join("tree").join(name), name).unwrap();
                }
                Ok(())
            },
        );
        let folder = staged.unwrap().join("tree");
        let mount = Mount {
            folder: &folder,
            guest_path: "/site-packages",
        };
        let sources = mount.without_bytecode().unwrap();
        let paths: Vec<_> = sources
            .iter()
            .map(|source| source.guest_path.as_str())
            .collect();
        assert_eq!(paths, ["/site-packages/c.py", "/site-packages/pkg/b.py"]);
        for source in &sources {
            source.write(b"bytecode").unwrap();
        }
        mount.accept().unwrap();
        assert!(mount.without_bytecode().unwrap().is_empty());
        let again = folder::staged(
            dir.path(),
            "made-",
            crate::store::digest::Digest::of(b"x"),
            |_| panic!("it is there"),
        );
        assert_eq!(again.unwrap().join("tree"), folder);
    }
}
