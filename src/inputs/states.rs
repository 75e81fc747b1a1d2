//! Files as they were when their content was read.
//!
//! A build script that finds nothing changed must not read everything again, so a
//! digest is kept with the file's size and times (`stamp.rs`) and reused while those are
//! the same.

use crate::error::{Error, Report, Stage};
use crate::store::digest::{Digest, KeyBuilder};
use crate::store::files::{FileStamp, nanoseconds};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file as it was when its content was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) path: PathBuf,
    pub(crate) meta: FileStamp,
    #[serde(with = "hex")]
    pub(crate) digest: Digest,
    /// Whether it had been left alone for a while when it was read. Only such
    /// states are stored.
    #[serde(skip, default = "settled")]
    pub(crate) settled: bool,
}

pub(crate) fn settled() -> bool {
    true
}

/// Coarser than any file system's time stamps (FAT: two seconds).
pub(crate) const RACY: Duration = Duration::from_secs(3);

/// Digests `paths`, in parallel, reusing those of `known` that still hold.
///
/// # Errors
/// [`Stage::Io`] when a file cannot be read.
pub(crate) fn states(paths: &[PathBuf], known: &[FileState]) -> Result<Vec<FileState>, Error> {
    let known: HashMap<&Path, &FileState> = known
        .iter()
        .map(|file| (file.path.as_path(), file))
        .collect();
    paths
        .par_iter()
        .map(|path| {
            // Before reading: a change during the read then looks like a change.
            let meta = FileStamp::of(path)?;
            if let Some(file) = known.get(path.as_path())
                && file.meta == meta
            {
                return Ok((*file).clone());
            }
            let now = nanoseconds(SystemTime::now());
            // To Python, an empty folder is another thing than an empty file.
            let digest = match path.is_dir() {
                true => KeyBuilder::new("empty folder").finish(),
                false => Digest::of(&fs::read(path).map_err(|e| Error::io("read", path, e))?),
            };
            Ok(FileState {
                settled: meta.newest() < now - RACY.as_nanos() as i128,
                path: path.clone(),
                meta,
                digest,
            })
        })
        .collect()
}

/// Whether every file still looks as it did when its digest was taken.
///
/// # Errors
/// [`Stage::Io`] that names the first that does not: what was made of it meanwhile is
/// not what the digest says.
pub(crate) fn unchanged(files: &[FileState]) -> Result<(), Error> {
    let changed = files
        .par_iter()
        .find_first(|file| FileStamp::of(&file.path).ok().as_ref() != Some(&file.meta));
    match changed {
        None => Ok(()),
        Some(file) => Err(Stage::Io.error(
            Report::new(format!(
                "`{}` changed while the build was reading it",
                file.path.display()
            ))
            .hint("run the build again; nothing of this one was kept"),
        )),
    }
}

mod hex {
    use super::Digest;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(key: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).ok_or_else(|| D::Error::custom("not a SHA-256 digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_changes_under_the_build_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let states = states(std::slice::from_ref(&path), &[]).unwrap();
        unchanged(&states).unwrap();
        fs::write(&path, "longer").unwrap();
        let error = unchanged(&states).unwrap_err();
        assert!(error.to_string().contains("changed while"), "{error}");
    }

    #[test]
    fn an_empty_file_is_no_empty_folder() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().join("file"), dir.path().join("folder")];
        fs::write(&paths[0], "").unwrap();
        fs::create_dir(&paths[1]).unwrap();
        let states = states(&paths, &[]).unwrap();
        assert_ne!(states[0].digest, states[1].digest);
    }

    #[test]
    fn a_digest_is_reused_only_while_the_file_looks_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let mut first = states(std::slice::from_ref(&path), &[]).unwrap();
        let wrong = Digest::of(b"a digest nobody computed");
        first[0].digest = wrong;
        let reused = states(std::slice::from_ref(&path), &first).unwrap();
        assert_eq!(reused[0].digest, wrong);
        fs::write(&path, "two!").unwrap();
        let fresh = states(std::slice::from_ref(&path), &first).unwrap();
        assert_eq!(fresh[0].digest, Digest::of(b"two!"));
    }
}
