//! The base libraries of one `eryx-runtime` package, and the Python standard
//! library.
//!
//! Since 0.5 the package has carried, compressed with zstd, the shared libraries
//! of CPython for WASI (`libs/`), eryx's own two (`prebuilt/`), and the adapter
//! from WASI preview 1 to preview 2.

use crate::cache::Key;
use crate::error::{Error, Report};
use crate::{sections, staging};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Prefix of the folders the standard library is unpacked into.
const STAGED: &str = "stdlib-";

/// Folder of the archive, and of what is unpacked from it.
const STDLIB_FOLDER: &str = "python-stdlib";

/// Link order. The first library that defines a symbol wins, so it matters; it
/// holds for every version from 0.5.0 to 0.14.0.
const LIBRARIES: [(&str, &str); 10] = [
    ("libwasi-emulated-process-clocks.so", "libs"),
    ("libwasi-emulated-signal.so", "libs"),
    ("libwasi-emulated-mman.so", "libs"),
    ("libwasi-emulated-getpid.so", "libs"),
    ("libc.so", "libs"),
    ("libc++abi.so", "libs"),
    ("libc++.so", "libs"),
    ("libpython3.14.so", "libs"),
    ("liberyx_runtime.so", "prebuilt"),
    ("liberyx_bindings.so", "prebuilt"),
];

/// The preview 1 adapter, by the import module name it stands for.
pub(crate) const ADAPTER: &str = "wasi_snapshot_preview1";
const ADAPTER_FILE: &str = "wasi_snapshot_preview1.reactor.wasm";

/// One file of the runtime package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LibraryFile {
    /// The soname libraries need each other by, or [`ADAPTER`].
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

/// A decompressed library, ready to link.
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) wasm: Vec<u8>,
}

/// Whether a library of this soname is linked into every component.
pub(crate) fn has_library(soname: &str) -> bool {
    // `dlopen` and its like come with the linker.
    soname == "libdl.so" || LIBRARIES.iter().any(|&(name, _)| name == soname)
}

/// The files of the runtime package in `dir`, in link order, the adapter last.
///
/// # Errors
/// [`Error::Runtime`] that lists every file that is missing.
pub(crate) fn library_files(dir: &Path) -> Result<Vec<LibraryFile>, Error> {
    let files: Vec<LibraryFile> = LIBRARIES
        .iter()
        .map(|&(name, folder)| LibraryFile {
            name,
            path: dir.join(folder).join(format!("{name}.zst")),
        })
        .chain([LibraryFile {
            name: ADAPTER,
            path: dir.join("libs").join(format!("{ADAPTER_FILE}.zst")),
        }])
        .collect();
    let missing: Vec<&LibraryFile> = files.iter().filter(|file| !file.path.is_file()).collect();
    if missing.is_empty() {
        return Ok(files);
    }
    let mut report = Report::new(format!(
        "`{}` is not a complete eryx-runtime package",
        dir.display()
    ));
    for file in missing {
        report = report.note(format!("missing: {}", file.path.display()));
    }
    Err(Error::Runtime(report.hint(
        "use the package as crates.io ships it (its libs/ and prebuilt/ folders are not in the \
         git repository); if it was unpacked by cargo, remove the folder and run `cargo fetch`",
    )))
}

/// Reads and decompresses the libraries, in parallel, in the order given.
///
/// With `strip`, debug information and names are dropped before linking: they
/// are two thirds of the bytes of runtime 0.5.0.
pub(crate) fn load(files: &[LibraryFile], strip: bool) -> Result<Vec<Library>, Error> {
    files
        .par_iter()
        .map(|file| {
            let compressed =
                std::fs::read(&file.path).map_err(|e| Error::io("read", &file.path, e))?;
            let wasm = zstd::decode_all(&compressed[..]).map_err(|e| damaged(&file.path, e))?;
            // wit-component finds the adapter's stack pointer by its name.
            let wasm = if strip && file.name != ADAPTER {
                stripped(&wasm).map_err(|e| damaged(&file.path, e))?
            } else {
                wasm
            };
            Ok(Library {
                name: file.name.to_owned(),
                wasm,
            })
        })
        .collect()
}

fn damaged(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Runtime(
        Report::new(format!("`{}` is damaged", path.display()))
            .source(source)
            .hint(
                "remove the package's folder and run `cargo fetch` to have cargo unpack it again",
            ),
    )
}

/// Drops the custom sections that linking does not read.
///
/// `dylink.0` describes the shared library, `component-type*` its WIT world.
pub(crate) fn stripped(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (kind, sections) = sections::parse(wasm)?;
    let mut out = Vec::with_capacity(wasm.len());
    out.extend_from_slice(&kind.header());
    for section in sections {
        let needed = section
            .custom_name()
            .is_none_or(|name| name == "dylink.0" || name.starts_with("component-type"));
        if needed {
            sections::push(&mut out, section.id, section.data);
        }
    }
    Ok(out)
}

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
const EMBEDDED_STDLIB: &[u8] = include_bytes!("../stdlib/python-stdlib.tar.zst");

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

/// The standard library unpacked below `folder`, from an earlier build if it is
/// still as that left it.
///
/// # Errors
/// As [`unpack_stdlib`].
pub(crate) fn staged_stdlib(
    source: &StdlibSource,
    digest: Key,
    folder: &Path,
) -> Result<PathBuf, Error> {
    let target = staging::staged(folder, STAGED, digest, |dir| {
        let archive = source
            .archive()?
            .ok_or_else(|| Error::Runtime(Report::new("the standard library is not an archive")))?;
        unpack_stdlib(&archive, dir).map(drop)
    })?;
    Ok(target.join(STDLIB_FOLDER))
}

/// Removes the standard libraries that earlier builds unpacked in `folder`, but not
/// `stdlib`.
pub(crate) fn sweep_stdlib(folder: &Path, stdlib: &Path) {
    staging::sweep(folder, STAGED, stdlib.parent());
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
        staged_stdlib(&StdlibSource::Embedded, Key::of(b"digest"), folder).unwrap()
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
        sweep_stdlib(dir.path(), &stdlib);
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
        let error = staged_stdlib(
            &StdlibSource::from_path(path),
            Key::of(b"digest"),
            &dir.path().join("out"),
        )
        .unwrap_err();
        assert!(format!("{error:?}").contains("cannot unpack"), "{error:?}");
        assert_eq!(fs::read_dir(dir.path().join("out")).unwrap().count(), 0);
    }

    #[test]
    fn stripping_keeps_what_linking_reads() {
        let module = wat::parse_str(
            r#"(module (@custom "dylink.0" "x") (@custom "component-type:a" "y")
                       (@custom "producers" "z") (func $named))"#,
        )
        .unwrap();
        let stripped = stripped(&module).unwrap();
        let sections = sections::parse(&stripped).unwrap().1;
        let names: Vec<_> = sections.iter().filter_map(|s| s.custom_name()).collect();
        assert_eq!(names, ["dylink.0", "component-type:a"]);
    }
}
