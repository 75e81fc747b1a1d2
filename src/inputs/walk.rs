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
    let mut linked = Linked::default();
    let walk = walkdir::WalkDir::new(dir)
        .min_depth(1)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != pyc::FOLDER && !leads_out(entry));
    for entry in walk {
        linked.count(dir, &entry)?;
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

/// How much was reached through links. Each way through links is a path of its own to
/// Python, and folders that lead to each other have more ways than can be listed.
#[derive(Default)]
struct Linked {
    /// The depth of the outermost link that the walk is in.
    depth: Option<usize>,
    entries: usize,
}

impl Linked {
    const LIMIT: usize = 100_000;

    fn count(
        &mut self,
        dir: &Path,
        entry: &walkdir::Result<walkdir::DirEntry>,
    ) -> Result<(), Error> {
        let (depth, is_link) = match entry {
            Ok(entry) => (entry.depth(), entry.path_is_symlink()),
            Err(error) => (error.depth(), true),
        };
        if self.depth.is_some_and(|outermost| depth <= outermost) {
            self.depth = None;
        }
        if is_link && self.depth.is_none() {
            self.depth = Some(depth);
        }
        self.entries += usize::from(self.depth.is_some());
        if self.entries <= Self::LIMIT {
            return Ok(());
        }
        let path = match entry {
            Ok(entry) => Some(entry.path()),
            Err(error) => error.path(),
        };
        Err(Error::Io(
            Report::new(format!(
                "`{}` holds more than {} paths that lead through symbolic links",
                dir.display(),
                Self::LIMIT
            ))
            .note(format!(
                "the last of them is `{}`",
                path.unwrap_or(dir).display()
            ))
            .hint("remove links between its folders: each way through them is a path to Python"),
        ))
    }
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

    #[cfg(unix)]
    #[test]
    fn folders_that_lead_to_each_other_are_refused_and_not_walked_to_the_end() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let folders: Vec<_> = (0..9).map(|i| dir.path().join(format!("f{i}"))).collect();
        for folder in &folders {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("a.py"), "1").unwrap();
        }
        // Three of them are no problem: every path is there.
        let crosswise = |folders: &[PathBuf]| {
            for (i, from) in folders.iter().enumerate() {
                for (j, to) in folders.iter().enumerate() {
                    let link = from.join(format!("to{j}"));
                    if i != j && !link.exists() {
                        symlink(to, link).unwrap();
                    }
                }
            }
        };
        crosswise(&folders[..3]);
        let paths = tree(dir.path()).unwrap();
        assert!(paths.contains(&dir.path().join("f0/to1/to2/a.py")));
        crosswise(&folders);
        let started = std::time::Instant::now();
        let error = tree(dir.path()).unwrap_err();
        let text = format!("{error:?}");
        assert!(
            text.contains("100000 paths that lead through symbolic links"),
            "{text}"
        );
        assert!(started.elapsed() < std::time::Duration::from_secs(60));
    }
}
