//! What is taken over of a folder that is to be mounted.

use crate::archives::pyc;
use crate::error::{Error, Report};
use std::path::{Path, PathBuf};

/// The files below `dir`, and folders with nothing to see in them (to Python a package
/// too), sorted, links followed that stay in `dir`; no bytecode caches, which differ
/// between two installations of the same packages. What Python sees in a mount
/// (`filesystem.rs`), and nothing from outside that a package could ask for with a link.
pub(crate) fn tree(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let list_error = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::Io(Report::new(format!("cannot list `{}`", dir.display())).source(e))
    };
    let root = dir.canonicalize().map_err(|e| list_error(e.into()))?;
    let leads_out = |entry: &walkdir::DirEntry| {
        let target = || entry.path().canonicalize();
        entry.path_is_symlink() && target().is_ok_and(|target| !target.starts_with(&root))
    };
    let mut found: Vec<PathBuf> = Vec::new();
    let walk = walkdir::WalkDir::new(dir)
        .min_depth(1)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != pyc::FOLDER && !leads_out(entry));
    for entry in walk {
        let path = match entry {
            Ok(entry) if entry.file_type().is_file() || entry.file_type().is_dir() => {
                entry.into_path()
            }
            // Devices and pipes.
            Ok(_) => continue,
            // To Python a folder; what is in it is known already.
            Err(e) if e.loop_ancestor().is_some() => match e.path() {
                Some(path) => path.to_owned(),
                None => continue,
            },
            // A link that leads nowhere.
            Err(e) if e.depth() > 0 && e.path().is_some_and(Path::is_symlink) => continue,
            Err(e) => return Err(list_error(e.into())),
        };
        // What comes next below a folder is in it: then it is not empty.
        if found
            .last()
            .is_some_and(|last| path.parent() == Some(last.as_path()))
        {
            found.pop();
        }
        found.push(path);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folder_are_not_there() {
        use std::os::unix::fs::symlink;
        let [dir, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::create_dir(dir.path().join("pkg")).unwrap();
        fs::write(dir.path().join("pkg/a.py"), "1").unwrap();
        symlink(outside.path().join("secret"), dir.path().join("pkg/file")).unwrap();
        symlink(outside.path(), dir.path().join("pkg/folder")).unwrap();
        symlink("/nowhere/at/all", dir.path().join("pkg/nothing")).unwrap();
        symlink("a.py", dir.path().join("pkg/b.py")).unwrap();
        symlink("..", dir.path().join("pkg/round")).unwrap();
        let found = tree(dir.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["pkg/a.py", "pkg/b.py", "pkg/round"]);
    }
}
