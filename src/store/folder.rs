//! Folders below OUT_DIR that are made once from inputs and then read by Python:
//! complete or not there at all, and repaired when something was changed in them.

use crate::build::BUILD;
use crate::error::Error;
use crate::store::digest::{Digest, KeyBuilder};
use crate::store::files::FileStamp;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// In each folder: what was put there, by names, sizes and times.
const RECORD: &str = "listing";

/// The folder `<prefix><digest>` in `folder`, as an earlier build left it, or made
/// by `fill`. Others with this prefix stay until [`sweep`].
///
/// # Errors
/// Those of `fill`, and `Stage::Io`; nothing incomplete is left.
pub(crate) fn staged(
    folder: &Path,
    prefix: &str,
    digest: Digest,
    fill: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let target = folder.join(name(prefix, BUILD, digest));
    if fs::read_to_string(target.join(RECORD)).is_ok_and(|record| record == listing(&target)) {
        return Ok(target);
    }
    // Filled beside its place and renamed, so that a killed build leaves nothing
    // that looks complete.
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    let made = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(folder)
        .map_err(|e| Error::io("create a folder in", folder, e))?;
    fill(made.path())?;
    let path = made.path().join(RECORD);
    fs::write(&path, listing(made.path())).map_err(|e| Error::io("write", &path, e))?;
    let _ = fs::remove_dir_all(&target);
    let made = made.keep();
    if let Err(error) = fs::rename(&made, &target) {
        let _ = fs::remove_dir_all(&made);
        return Err(Error::io("create", &target, error));
    }
    Ok(target)
}

/// What the folder is called that `build` of this crate makes: what another one made of the
/// same content may differ.
fn name(prefix: &str, build: &str, digest: Digest) -> String {
    let name = KeyBuilder::new("folder of this build")
        .part("build", build.as_bytes())
        .part("content", &digest.0)
        .finish();
    format!("{prefix}{}", &name.to_string()[..16])
}

/// Takes what was added to a [`staged`] folder since for a part of it.
///
/// # Errors
/// `Stage::Io`.
pub(crate) fn accept(target: &Path) -> Result<(), Error> {
    let path = target.join(RECORD);
    fs::write(&path, listing(target)).map_err(|e| Error::io("write", &path, e))
}

/// Removes the folders with this prefix that hold none of `keep`.
pub(crate) fn sweep(folder: &Path, prefix: &str, keep: &[PathBuf]) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if ours && !keep.iter().any(|kept| kept.starts_with(&path)) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Folders and files below `folder`, sorted, the files with sizes and times: enough
/// to notice an edited or partly deleted tree without reading it.
fn listing(folder: &Path) -> String {
    let mut text = String::new();
    let entries = walkdir::WalkDir::new(folder)
        .min_depth(1)
        .sort_by_file_name();
    for entry in entries.into_iter().flatten() {
        if entry.depth() == 1 && entry.file_name() == RECORD {
            continue;
        }
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let path = path.display();
        let _ = if entry.file_type().is_dir() {
            writeln!(text, "{path}/")
        } else {
            match FileStamp::of(entry.path()) {
                Ok(meta) => writeln!(text, "{} {} {path}", meta.len, meta.modified),
                Err(_) => writeln!(text, "unreadable {path}"),
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Report, Stage};

    fn key() -> Digest {
        Digest::of(b"digest")
    }

    fn make(folder: &Path) -> PathBuf {
        staged(folder, "made-", key(), |dir| {
            fs::write(dir.join("a"), "content").unwrap();
            Ok(())
        })
        .unwrap()
    }

    #[test]
    fn it_is_made_once_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let target = make(dir.path());
        let again = staged(dir.path(), "made-", key(), |_| panic!("it is there")).unwrap();
        assert_eq!(again, target);
        for edited in ["edited, longer", "CONTENT"] {
            fs::write(target.join("a"), edited).unwrap();
            assert_eq!(make(dir.path()), target);
            assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "content");
        }
        fs::create_dir(target.join("namespace")).unwrap();
        assert_eq!(make(dir.path()), target);
        assert!(!target.join("namespace").exists());
    }

    #[test]
    fn another_build_of_this_crate_makes_its_own() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            make(dir.path()),
            dir.path().join(name("made-", BUILD, key()))
        );
        assert_ne!(name("made-", BUILD, key()), name("made-", "other", key()));
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let error = staged(dir.path(), "made-", key(), |made| {
            fs::write(made.join("half"), "").unwrap();
            Err(Stage::Io.error(Report::new("no")))
        });
        assert!(error.is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_others_with_the_prefix_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let target = make(dir.path());
        for name in ["made-older", "else"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        sweep(dir.path(), "made-", std::slice::from_ref(&target));
        assert!(target.is_dir() && dir.path().join("else").is_dir());
        assert!(!dir.path().join("made-older").exists());
    }
}
