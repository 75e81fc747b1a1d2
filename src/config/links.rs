//! Folders that are there for people, and empty for this crate: a link that leads out of
//! its folder is not followed (`inputs/walk.rs`). Build tools that give a script links to
//! its inputs make such folders, and installers that link to their cache.

use super::text::show_path;
use std::fs;
use std::path::{Path, PathBuf};

/// After as many files that are none, nobody asks any further.
const ENOUGH: usize = 100;

/// The problem with a folder whose files all are links that lead out of it; `instead`
/// says what to name.
pub(super) fn only_links_problem(folder: &Path, instead: &str) -> Option<String> {
    let root = folder.canonicalize().ok()?;
    let mut folders = vec![folder.to_owned()];
    let mut example: Option<PathBuf> = None;
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let inside = |target: PathBuf| target.starts_with(&root);
            if !kind.is_symlink() || path.canonicalize().is_ok_and(inside) {
                return None;
            }
            example.get_or_insert(path);
            seen += 1;
            if seen == ENOUGH {
                break;
            }
        }
        if seen == ENOUGH {
            break;
        }
    }
    let example = example?;
    Some(format!(
        "{} holds only links that lead out of it, for example {}, and such links are not followed; \
         {instead}",
        show_path(folder),
        show_path(&example)
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_of_links_is_told_from_one_with_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let [real, forest] = ["real", "forest"].map(|name| dir.path().join(name));
        fs::create_dir_all(real.join("pkg")).unwrap();
        fs::create_dir_all(forest.join("pkg")).unwrap();
        assert_eq!(only_links_problem(&forest, "x"), None, "an empty folder");
        for name in ["a.py", "pkg/b.py"] {
            fs::write(real.join(name), "1").unwrap();
            symlink(real.join(name), forest.join(name)).unwrap();
        }
        let problem = only_links_problem(&forest, "name a wheel").unwrap();
        assert!(problem.contains("forest` holds only links"), "{problem}");
        assert!(problem.ends_with("; name a wheel"), "{problem}");
        assert_eq!(only_links_problem(&real, "x"), None);
        // A link to the folder is as good as the folder.
        symlink(&real, dir.path().join("link")).unwrap();
        assert_eq!(only_links_problem(&dir.path().join("link"), "x"), None);
        symlink("pkg/c.py", forest.join("c.py")).unwrap();
        fs::write(forest.join("pkg/c.py"), "1").unwrap();
        assert_eq!(only_links_problem(&forest, "x"), None);
    }
}
