//! What cargo has to watch, so that a build runs again when it has to.
//!
//! Cargo compares modification times with that of the last run, of a folder those of all
//! that is below it. So an older file that is moved over a named one is seen only through
//! the folder around both; and a folder in which this build writes is never fresh.

use crate::inputs::walk::holds_at_most;
use std::path::{Path, PathBuf};

/// Cargo looks at every file of a watched folder in every build.
const NEIGHBOURS_MAX: usize = 2000;

/// Paths to watch, for a build that writes to one folder.
pub(crate) struct Watch {
    out_dir: Option<PathBuf>,
    pub(crate) paths: Vec<PathBuf>,
}

impl Watch {
    pub(crate) fn new(out_dir: &Path) -> Self {
        Self {
            out_dir: out_dir.canonicalize().ok(),
            paths: Vec::new(),
        }
    }

    /// Whether this build writes below `folder`.
    pub(crate) fn holds_out_dir(&self, folder: &Path) -> bool {
        match (&self.out_dir, folder.canonicalize()) {
            (Some(out_dir), Ok(folder)) => out_dir.starts_with(folder),
            _ => false,
        }
    }

    pub(crate) fn path(&mut self, path: &Path) {
        if !self.paths.iter().any(|known| known == path) {
            self.paths.push(path.to_owned());
        }
    }

    /// Watches a folder for what is added to it; whether that can be done.
    pub(crate) fn folder(&mut self, folder: &Path) -> bool {
        let can = !self.holds_out_dir(folder);
        if can {
            self.path(folder);
        }
        can
    }

    /// Watches a file that is named by itself, and the folder around it where that is
    /// small: another file may be moved over it.
    pub(crate) fn file(&mut self, file: &Path) {
        self.path(file);
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if holds_at_most(folder, NEIGHBOURS_MAX) {
            self.folder(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_named_file_is_watched_with_its_folder_unless_the_build_writes_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("target/out")).unwrap();
        fs::create_dir(root.join("python")).unwrap();
        fs::write(root.join("python/warm.py"), "").unwrap();
        fs::write(root.join("one.py"), "").unwrap();
        let mut watch = Watch::new(&root.join("target/out"));
        watch.file(&root.join("one.py"));
        watch.file(&root.join("python/warm.py"));
        let expected = ["one.py", "python/warm.py", "python"].map(|path| root.join(path));
        assert_eq!(watch.paths, expected);
        let many = root.join("many");
        fs::create_dir(&many).unwrap();
        for n in 0..=NEIGHBOURS_MAX {
            fs::write(many.join(n.to_string()), "").unwrap();
        }
        watch.file(&many.join("0"));
        assert!(!watch.paths.contains(&many));
    }
}
