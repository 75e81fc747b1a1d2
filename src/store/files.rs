//! Files that appear whole or not at all, and what the file system says of a file.

use crate::error::Error;
use crate::store::digest::KeyBuilder;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Prefix of files being written: nobody else's files have it.
pub(crate) const TEMPORARY: &str = ".eryx-preinit-";

/// Temporary files of a build that died are swept after this time.
pub(crate) const TEMPORARY_AGE: Duration = Duration::from_secs(3600);

/// Removes files and folders from `folder` that a build which died was writing, once
/// it must be dead.
pub(crate) fn sweep(folder: &Path) {
    for (path, metadata) in entries(folder) {
        if is_temporary(&path) && metadata.modified().is_ok_and(outdated) {
            let _ = match metadata.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
        }
    }
}

pub(crate) fn outdated(modified: SystemTime) -> bool {
    modified.elapsed().is_ok_and(|age| age > TEMPORARY_AGE)
}

pub(crate) fn entries(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .collect()
}

pub(crate) fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, fs::Metadata)> {
    let entries = entries(folder).into_iter();
    entries.filter(|(_, metadata)| metadata.is_file())
}

pub(crate) fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(TEMPORARY))
}

/// Writes a file so that it appears whole or not at all.
///
/// # Errors
/// The I/O error; the old file, if any, is untouched.
pub(crate) fn publish(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let file = written_beside(path, parts)?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

/// What [`publish`] renames: the whole file, under another name in the same folder.
///
/// # Errors
/// The I/O error; nothing is left.
pub(crate) fn written_beside(
    path: &Path,
    parts: &[&[u8]],
) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    // Owner-only is tempfile's default; a shared cache is read by others.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    Ok(file)
}

/// What the file system says about a file; any change of content changes it,
/// short of tampering with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileStamp {
    pub(crate) len: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i128,
    /// The inode's own change time where there is one: restoring an old mtime
    /// does not restore it.
    pub(crate) changed: i128,
}

impl FileStamp {
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let modified = metadata.modified().map_or(0, nanoseconds);
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = 0;
        Ok(Self {
            len: metadata.len(),
            modified,
            changed,
        })
    }

    /// What is known, as parts of a key.
    pub(crate) fn parts<'a>(&self, key: &'a mut KeyBuilder) -> &'a mut KeyBuilder {
        key.part("length", &self.len.to_le_bytes())
            .part("modified", &self.modified.to_le_bytes())
            .part("changed", &self.changed.to_le_bytes())
    }

    /// The later of the two times, in nanoseconds since 1970.
    pub(crate) fn newest(&self) -> i128 {
        self.modified.max(self.changed)
    }
}

/// Nanoseconds since 1970.
pub(crate) fn nanoseconds(time: SystemTime) -> i128 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_replaces_whole_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python.wasm");
        publish(&path, &[b"one"]).unwrap();
        publish(&path, &[b"tw", b"o"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_old_files_with_a_name_of_ours_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * TEMPORARY_AGE;
        let names = [
            ".eryx-preinit-old",
            ".tmp-old",
            "notes.txt",
            ".eryx-preinit-new",
        ];
        for name in names {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            if name != names[3] {
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(old).unwrap();
            }
        }
        sweep(dir.path());
        let left = names.map(|name| dir.path().join(name).exists());
        assert_eq!(left, [false, true, true, true]);
    }
}
