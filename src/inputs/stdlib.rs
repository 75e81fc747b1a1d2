//! The Python standard library: where it comes from, and its folder.

use crate::error::{Error, Report};
use crate::store::digest::Digest;
use crate::store::folder;
use std::path::{Path, PathBuf};

/// Prefix of the folders the standard library is unpacked into.
pub(crate) const STAGED: &str = "stdlib-";

/// Folder of the archive, and of what is unpacked from it.
pub(crate) const STDLIB_FOLDER: &str = "python-stdlib";

/// Where the standard library comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StdlibSource {
    /// A folder that holds `os.py`, used where it is.
    Folder(PathBuf),
    /// A `python-stdlib.tar.zst`, unpacked once into the cache.
    Archive(PathBuf),
    /// The archive inside this crate.
    Embedded,
}

/// CPython 3.14.0's standard library with the modules the eryx runtime adds,
/// byte for byte the archive of eryx 0.5.0, for consumers without `eryx`.
pub(crate) const EMBEDDED_STDLIB: &[u8] = include_bytes!("../../stdlib/python-stdlib.tar.zst");

impl StdlibSource {
    /// The source a path stands for, by what is there.
    pub(crate) fn from_path(path: PathBuf) -> Self {
        if path.is_file() {
            Self::Archive(path)
        } else {
            Self::Folder(path)
        }
    }

    /// The archive's bytes; `None` for a folder.
    pub(crate) fn archive(&self) -> Result<Option<std::borrow::Cow<'static, [u8]>>, Error> {
        match self {
            Self::Folder(_) => Ok(None),
            Self::Embedded => Ok(Some(EMBEDDED_STDLIB.into())),
            Self::Archive(path) => {
                let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
                Ok(Some(bytes.into()))
            }
        }
    }
}

/// The folder to mount at /python-stdlib: where the source is an archive, unpacked below
/// `folder`, or from an earlier build if it is still as that left it.
///
/// # Errors
/// [`Error::Runtime`] when the archive is damaged, or is not a standard library;
/// [`Error::Io`] when it cannot be written.
pub(crate) fn stage(
    source: &StdlibSource,
    digest: Digest,
    folder: &Path,
) -> Result<PathBuf, Error> {
    let archive = match source {
        StdlibSource::Folder(folder) => return Ok(folder.clone()),
        archive => archive,
    };
    let target = folder::staged(folder, STAGED, digest, |dir| {
        let archive = archive
            .archive()?
            .ok_or_else(|| Error::Runtime(Report::new("the standard library is not an archive")))?;
        unpack_stdlib(&archive, dir).map(drop)
    })?;
    Ok(target.join(STDLIB_FOLDER))
}

/// Removes the standard libraries that earlier builds unpacked in `folder`, but those
/// that hold one of `keep`.
pub(crate) fn sweep(folder: &Path, keep: &[PathBuf]) {
    folder::sweep(folder, STAGED, keep);
}

/// Unpacks a standard library archive into `dir`, and returns the folder in it
/// that holds `os.py`.
///
/// # Errors
/// [`Error::Runtime`] when the archive is damaged, or is not a standard library;
/// [`Error::Io`] when it cannot be written.
pub(crate) fn unpack_stdlib(archive: &[u8], dir: &Path) -> Result<PathBuf, Error> {
    let bad = |source: std::io::Error| {
        Error::Runtime(
            Report::new("cannot unpack the Python standard library archive")
                .note(format!("into {}", dir.display()))
                .source(source)
                .hint("`stdlib` names a folder, or the python-stdlib.tar.zst of the eryx package"),
        )
    };
    // Decompressed as a whole: streaming through small reads is several times
    // slower in an unoptimised build script.
    let bytes = zstd::decode_all(archive).map_err(bad)?;
    let mut tar = tar::Archive::new(&bytes[..]);
    tar.set_preserve_mtime(false);
    tar.set_preserve_permissions(false);
    tar.unpack(dir).map_err(bad)?;
    let folder = dir.join(STDLIB_FOLDER);
    if folder.join("os.py").is_file() {
        Ok(folder)
    } else {
        Err(Error::Runtime(
            Report::new("the standard library archive does not hold python-stdlib/os.py")
                .hint("use the python-stdlib.tar.zst of the eryx package"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn staged(folder: &Path) -> PathBuf {
        stage(&StdlibSource::Embedded, Digest::of(b"digest"), folder).unwrap()
    }

    #[test]
    fn the_standard_library_is_unpacked_once_and_repaired() {
        let dir = tempfile::tempdir().unwrap();
        // What an earlier version, or a killed build, left.
        fs::create_dir(dir.path().join("stdlib-older")).unwrap();
        let stdlib = staged(dir.path());
        let os = stdlib.join("os.py");
        let before = fs::metadata(&os).unwrap().modified().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        sweep(dir.path(), std::slice::from_ref(&stdlib));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(staged(dir.path()), stdlib);
        assert_eq!(fs::metadata(&os).unwrap().modified().unwrap(), before);
        fs::remove_file(&os).unwrap();
        assert_eq!(staged(dir.path()), stdlib);
        assert!(os.is_file());
    }

    #[test]
    fn a_damaged_archive_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python-stdlib.tar.zst");
        fs::write(&path, &EMBEDDED_STDLIB[..1000]).unwrap();
        let error = stage(
            &StdlibSource::from_path(path),
            Digest::of(b"digest"),
            &dir.path().join("out"),
        )
        .unwrap_err();
        assert!(format!("{error:?}").contains("cannot unpack"), "{error:?}");
        assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    }
}
