//! The Python standard library: where it comes from, and its folder.

use crate::archives::pyc;
use crate::error::{Error, Report, Stage};
use crate::inputs::walk::tree;
use crate::store::digest::Digest;
use crate::store::folder;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Prefix of the folders the standard library is unpacked into.
pub(crate) const STAGED: &str = "stdlib-";

/// Folder of the archive, and of what is unpacked from it.
pub(crate) const STDLIB_FOLDER: &str = "python-stdlib";

/// Where the standard library comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StdlibSource {
    /// A folder that holds `os.py`, copied once below OUT_DIR.
    Folder(PathBuf),
    /// A `python-stdlib.tar.zst`, unpacked once below OUT_DIR.
    Archive(PathBuf),
    /// The archive inside this crate.
    Embedded,
}

/// CPython 3.14.0's standard library with the modules the eryx runtime adds, and the
/// bytecode of all of them: byte for byte the archive of eryx 0.14.0, for consumers
/// without `eryx`.
pub(crate) const EMBEDDED_STDLIB: &[u8] = include_bytes!("../../stdlib/python-stdlib.tar.zst");

/// Its SHA-256: not to be computed in every build.
pub(crate) const EMBEDDED_DIGEST: Digest = Digest([
    0x49, 0x44, 0x47, 0x53, 0x6a, 0x45, 0xb3, 0x0f, 0xab, 0xae, 0x69, 0xe8, 0x06, 0xb6, 0x4c, 0x46,
    0x67, 0xa9, 0xd9, 0x30, 0xf5, 0x32, 0x9d, 0x29, 0xb1, 0x9a, 0xbe, 0x05, 0x15, 0xb0, 0xbb, 0x8f,
]);

impl StdlibSource {
    /// The source a path stands for, by what is there.
    pub(crate) fn from_path(path: PathBuf) -> Self {
        if path.is_file() {
            Self::Archive(path)
        } else {
            Self::Folder(path)
        }
    }
}

/// The standard library below `folder`, from an earlier build if it is still as that
/// left it, with all bytecode that need not be compiled. `unchanged` says whether the
/// source still has this digest.
///
/// # Errors
/// As [`unpack_stdlib`]; [`Stage::Io`] when a folder cannot be copied; those of
/// `unchanged`.
pub(crate) fn stage(
    source: &StdlibSource,
    digest: Digest,
    folder: &Path,
    unchanged: impl FnOnce() -> Result<(), Error>,
) -> Result<PathBuf, Error> {
    let target = folder::staged(folder, STAGED, digest, |dir| {
        let stdlib = unpack_or_copy(source, dir)?;
        // Once it is staged, every build with this digest takes it for what it is to hold.
        unchanged()?;
        match source {
            // It has all there is.
            StdlibSource::Embedded => Ok(()),
            _ => with_bytecode(&stdlib),
        }
    })?;
    Ok(target.join(STDLIB_FOLDER))
}

/// Puts the standard library into `dir`, and returns its folder there.
fn unpack_or_copy(source: &StdlibSource, dir: &Path) -> Result<PathBuf, Error> {
    match source {
        StdlibSource::Embedded => unpack_stdlib(EMBEDDED_STDLIB, dir),
        StdlibSource::Archive(path) => {
            let archive = fs::read(path).map_err(|e| Error::io("read", path, e))?;
            unpack_stdlib(&archive, dir)
        }
        StdlibSource::Folder(path) => {
            let target = dir.join(STDLIB_FOLDER);
            copy_folder(path, &target)?;
            Ok(target)
        }
    }
}

/// Copies what [`tree`] finds in `from`.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    for path in tree(from)? {
        let target = to.join(path.strip_prefix(from).unwrap_or(&path));
        let folder = match path.is_dir() {
            true => target.as_path(),
            false => target.parent().unwrap_or(to),
        };
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        if !path.is_dir() {
            fs::copy(&path, &target).map_err(|e| Error::io("write", &target, e))?;
        }
    }
    Ok(())
}

/// Keeps the bytecode in `stdlib` that belongs to its source, and adds that of the
/// embedded archive to sources which are the same there.
///
/// Bytecode follows from its source: the libraries of all runtimes are CPython 3.14's,
/// whose bytecode has one version ([`pyc::MAGIC`]).
fn with_bytecode(stdlib: &Path) -> Result<(), Error> {
    let mut without = Vec::new();
    let mut bytecode = HashSet::new();
    for path in tree(stdlib)? {
        let relative = path.strip_prefix(stdlib).unwrap_or(&path);
        let relative = relative.to_string_lossy().replace('\\', "/");
        let Some(place) = pyc::path_of(&relative) else {
            continue;
        };
        let place = stdlib.join(place);
        let source = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        if fs::read(&place).is_ok_and(|found| pyc::belongs(&found, &source)) {
            bytecode.insert(place);
        } else {
            without.push((relative, source));
        }
    }
    remove_other_bytecode(stdlib, &bytecode)?;
    if without.is_empty() {
        return Ok(());
    }
    let embedded = embedded_files()?;
    without.into_par_iter().try_for_each(|(relative, source)| {
        let file = |name: &str| embedded.get(&format!("{STDLIB_FOLDER}/{name}"));
        let place = pyc::path_of(&relative).unwrap_or_default();
        let (true, Some(code)) = (file(&relative) == Some(&source), file(&place)) else {
            return Ok(());
        };
        write_bytecode(&stdlib.join(place), code)
    })
}

/// Removes what is in the bytecode folders of `dir`, but not `keep`.
fn remove_other_bytecode(dir: &Path, keep: &HashSet<PathBuf>) -> Result<(), Error> {
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    for entry in entries.filter(|entry| !entry.file_type().is_dir()) {
        let path = entry.path();
        let folder = path.parent().and_then(Path::file_name);
        if folder.is_some_and(|name| name == pyc::FOLDER) && !keep.contains(path) {
            fs::remove_file(path).map_err(|e| Error::io("remove", path, e))?;
        }
    }
    Ok(())
}

/// Writes a file of bytecode, and makes its folder where there is none.
fn write_bytecode(path: &Path, code: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
    fs::write(path, code).map_err(|e| Error::io("write", path, e))
}

/// The files of the embedded archive, by their paths in it.
fn embedded_files() -> Result<HashMap<String, Vec<u8>>, Error> {
    let read = || -> std::io::Result<_> {
        let bytes = zstd::decode_all(EMBEDDED_STDLIB)?;
        let mut files = HashMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            files.insert(name, content);
        }
        Ok(files)
    };
    read().map_err(|e| {
        Stage::Runtime.error(Report::new("the standard library in this crate is damaged").source(e))
    })
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
/// [`Stage::Runtime`] when the archive is damaged, or is not a standard library;
/// [`Stage::Io`] when it cannot be written.
pub(crate) fn unpack_stdlib(archive: &[u8], dir: &Path) -> Result<PathBuf, Error> {
    let bad = |source: std::io::Error| {
        Stage::Runtime.error(
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
        Err(Stage::Runtime.error(
            Report::new("the standard library archive does not hold python-stdlib/os.py")
                .hint("use the python-stdlib.tar.zst of the eryx package"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage_unchanged(
        source: &StdlibSource,
        content: &[u8],
        folder: &Path,
    ) -> Result<PathBuf, Error> {
        stage(source, Digest::of(content), folder, || Ok(()))
    }

    fn staged(folder: &Path) -> PathBuf {
        stage_unchanged(&StdlibSource::Embedded, b"digest", folder).unwrap()
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

    fn bytecode(stdlib: &Path, name: &str) -> Option<Vec<u8>> {
        fs::read(stdlib.join(pyc::path_of(name).unwrap())).ok()
    }

    #[test]
    fn every_embedded_source_has_the_bytecode_that_belongs_to_it() {
        let files = embedded_files().unwrap();
        let sources = files.iter().filter_map(|(name, source)| {
            let pyc = pyc::path_of(name)?;
            Some((name, source, files.get(&pyc)))
        });
        let mut count = 0;
        for (name, source, code) in sources {
            let code = code.unwrap_or_else(|| panic!("{name}"));
            assert!(pyc::belongs(code, source), "{name}");
            count += 1;
        }
        assert_eq!(count, 671);
        let others = files.keys().filter(|name| name.ends_with(".pyc")).count();
        assert_eq!(others, count);
    }

    #[test]
    fn a_folder_gets_the_bytecode_of_what_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let whole = staged(dir.path());
        let folder = dir.path().join("own");
        for name in ["os.py", "abc.py", "json/__init__.py", "stat.py"] {
            fs::create_dir_all(folder.join("json")).unwrap();
            fs::copy(whole.join(name), folder.join(name)).unwrap();
        }
        // Edited, with bytecode from before; the other has some that belongs to it.
        fs::write(folder.join("abc.py"), "x = 1\n").unwrap();
        for name in ["abc.py", "stat.py"] {
            let code = bytecode(&whole, name).unwrap();
            write_bytecode(&folder.join(pyc::path_of(name).unwrap()), &code).unwrap();
        }
        fs::write(folder.join("__pycache__/gone.cpython-314.pyc"), "").unwrap();
        let source = StdlibSource::from_path(folder);
        let copied = stage_unchanged(&source, b"own", dir.path()).unwrap();
        assert_eq!(fs::read(copied.join("abc.py")).unwrap(), b"x = 1\n");
        for name in ["os.py", "json/__init__.py", "stat.py"] {
            assert!(bytecode(&copied, name).is_some(), "{name}");
            assert_eq!(bytecode(&copied, name), bytecode(&whole, name), "{name}");
        }
        assert_eq!(bytecode(&copied, "abc.py"), None);
        let cached = fs::read_dir(copied.join("__pycache__")).unwrap().count();
        assert_eq!(cached, 2);
    }

    #[test]
    fn the_digest_of_the_embedded_archive_is_its_own() {
        assert_eq!(Digest::of(EMBEDDED_STDLIB), EMBEDDED_DIGEST);
    }

    #[test]
    fn a_damaged_archive_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python-stdlib.tar.zst");
        fs::write(&path, &EMBEDDED_STDLIB[..1000]).unwrap();
        let source = StdlibSource::from_path(path);
        let error = stage_unchanged(&source, b"digest", &dir.path().join("out")).unwrap_err();
        assert!(format!("{error:?}").contains("cannot unpack"), "{error:?}");
        assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    }
}
