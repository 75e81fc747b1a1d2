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

    fn real(&self, folder: &str) -> String {
        let path = self
            .inside(folder)
            .and_then(|path| path.canonicalize().ok());
        path.and_then(|path| path.into_os_string().into_string().ok())
            .unwrap_or_else(|| folder.to_owned())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::archives::project;
    use crate::inputs::walk::tests::crosswise;

    #[test]
    fn a_folder_has_one_path_whatever_leads_to_it() {
        let dir = crosswise();
        let files = Folder::new(dir.path());
        assert_eq!(files.real("d0/to_d1/to_d2"), files.real("d2"));
        assert_ne!(files.real("d1"), files.real("d2"));
    }

    #[test]
    fn a_project_of_folders_linked_crosswise_is_looked_at_in_time() {
        let dir = crosswise();
        fs::write(dir.path().join("setup.py"), "").unwrap();
        let started = std::time::Instant::now();
        let problem = project::read(&Folder::new(dir.path())).unwrap_err();
        assert!(problem.contains("it holds no package"), "{problem}");
        // There are millions of ways through them.
        assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    }
}
