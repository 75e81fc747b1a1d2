//! What is taken over of a folder that is to be mounted.
//!
//! One rule for links: a link that leads out of its folder is not there. Nothing from
//! outside gets into a program because a package asks for it with a link.

use crate::archives::pyc;
use crate::error::{Error, Report, Stage};
use std::path::{Path, PathBuf};

/// More links to folders than this are refused: folders that are linked crosswise are
/// seen once for each way through them.
const FOLDER_LINKS_MAX: usize = 4096;

/// Whether `path` is in the folder `root` (a canonical path), links followed, or leads
/// nowhere.
pub(crate) fn stays_in(root: &Path, path: &Path) -> bool {
    path.canonicalize()
        .map_or(true, |path| path.starts_with(root))
}

/// The files below `dir`, and folders with nothing to see in them (to Python a package
/// too), sorted, links followed that stay in `dir`; no bytecode caches. What Python sees
/// in a mount (`filesystem.rs`).
///
/// # Errors
/// [`Stage::Io`] when a folder cannot be listed, or links have no end.
pub(crate) fn tree(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    tree_in(dir, dir)
}

/// The same, of a folder whose links may lead anywhere in `root` that `dir` is not in.
///
/// # Errors
/// As [`tree`].
pub(crate) fn tree_in(dir: &Path, root: &Path) -> Result<Vec<PathBuf>, Error> {
    let list_error = |e: Box<dyn std::error::Error + Send + Sync>| {
        Stage::Io.error(Report::new(format!("cannot list `{}`", dir.display())).source(e))
    };
    let canonical = |path: &Path| path.canonicalize().map_err(|e| list_error(e.into()));
    let (own, root) = (canonical(dir)?, canonical(root)?);
    let leads_out = |entry: &walkdir::DirEntry| {
        // What holds the folder would hold itself.
        let around = |target: PathBuf| target != own && own.starts_with(target);
        entry.path_is_symlink()
            && (!stays_in(&root, entry.path()) || entry.path().canonicalize().is_ok_and(around))
    };
    let mut found: Vec<PathBuf> = Vec::new();
    let mut folder_links = 0;
    let walk = walkdir::WalkDir::new(dir)
        .min_depth(1)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != pyc::FOLDER && !leads_out(entry));
    for entry in walk {
        let path = match entry {
            Ok(entry) if entry.file_type().is_file() || entry.file_type().is_dir() => {
                folder_links += usize::from(entry.path_is_symlink() && entry.file_type().is_dir());
                if folder_links > FOLDER_LINKS_MAX {
                    return Err(too_many_links(dir, entry.path()));
                }
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

fn too_many_links(dir: &Path, example: &Path) -> Error {
    Stage::Io.error(
        Report::new(format!(
            "`{}` has more than {FOLDER_LINKS_MAX} links to folders, counted on every way to them",
            dir.display()
        ))
        .note(format!("for example `{}`", example.display()))
        .hint("remove links between folders that lead to each other, or install copies"),
    )
}

/// Whether at most `count` files and folders are below `dir`, links followed.
pub(crate) fn holds_at_most(dir: &Path, count: usize) -> bool {
    let walk = walkdir::WalkDir::new(dir).min_depth(1).follow_links(true);
    walk.into_iter().take(count + 1).count() <= count
}

#[cfg(test)]
pub(super) mod tests {
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
    fn links_of_a_part_may_lead_through_the_whole() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("src/pkg")).unwrap();
        fs::create_dir(root.join("data")).unwrap();
        fs::write(root.join("data/x.txt"), "x").unwrap();
        symlink("../../data", root.join("src/pkg/data")).unwrap();
        symlink("../..", root.join("src/pkg/up")).unwrap();
        let part = root.join("src/pkg");
        assert_eq!(tree_in(&part, root).unwrap(), [part.join("data/x.txt")]);
        assert_eq!(tree(&part).unwrap(), [""; 0].map(PathBuf::from));
    }

    /// Eight folders `d0` to `d7`, each with a link `to_d1` or the like to every other one.
    #[cfg(unix)]
    pub(in crate::inputs) fn crosswise() -> tempfile::TempDir {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..8).map(|n| format!("d{n}")).collect();
        for name in &names {
            fs::create_dir(dir.path().join(name)).unwrap();
            for other in names.iter().filter(|other| *other != name) {
                let link = dir.path().join(name).join(format!("to_{other}"));
                symlink(format!("../{other}"), link).unwrap();
            }
        }
        dir
    }

    #[cfg(unix)]
    #[test]
    fn folders_linked_crosswise_are_refused_in_time() {
        let dir = crosswise();
        let error = tree(dir.path()).unwrap_err();
        assert!(
            format!("{error:?}").contains("4096 links to folders"),
            "{error:?}"
        );
    }

    #[test]
    fn counting_ends_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert!(holds_at_most(dir.path(), 3));
        assert!(!holds_at_most(dir.path(), 2));
    }
}
