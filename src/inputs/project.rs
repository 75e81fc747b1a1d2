//! A folder of somebody's project, read for its layout.

use crate::archives::project::view::{Entry, Files};
use crate::inputs::walk::stays_in;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a project in a folder. What a link makes of something outside is not the
/// project's own.
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The project in `path`; its canonical path, if it has one.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            root: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        }
    }

    fn inside(&self, path: &str) -> Option<PathBuf> {
        let path = self.root.join(path);
        stays_in(&self.root, &path).then_some(path)
    }
}

impl Files for Folder {
    fn list(&self, folder: &str) -> Vec<Entry> {
        let Some(entries) = self.inside(folder).and_then(|path| fs::read_dir(path).ok()) else {
            return Vec::new();
        };
        let mut entries: Vec<Entry> = entries
            .flatten()
            .filter(|entry| stays_in(&self.root, &entry.path()))
            .filter_map(|entry| {
                Some(Entry {
                    name: entry.file_name().into_string().ok()?,
                    is_folder: fs::metadata(entry.path()).ok()?.is_dir(),
                })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn is_file(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|path| path.is_file())
    }

    fn is_folder(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|path| path.is_dir())
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.inside(path)?).ok()
    }
}
