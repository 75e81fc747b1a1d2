//! The base libraries of one `eryx-runtime` package, and the Python standard
//! library.
//!
//! Since 0.5 the package has carried, compressed with zstd, the shared libraries
//! of CPython for WASI (`libs/`), eryx's own two (`prebuilt/`), and the adapter
//! from WASI preview 1 to preview 2.

use crate::error::{Error, Report, Stage};
use crate::wasm::link::{ADAPTER, Library};
use crate::wasm::strip::stripped;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

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

const ADAPTER_FILE: &str = "wasi_snapshot_preview1.reactor.wasm";

/// One file of the runtime package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LibraryFile {
    /// The soname libraries need each other by, or [`ADAPTER`].
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

/// Whether a library of this soname is linked into every component.
pub(crate) fn has_library(soname: &str) -> bool {
    // `dlopen` and its like come with the linker.
    soname == "libdl.so" || LIBRARIES.iter().any(|&(name, _)| name == soname)
}

/// The files of the runtime package in `dir`, in link order, the adapter last.
///
/// # Errors
/// [`Stage::Runtime`] that lists every file that is missing.
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
    Err(Stage::Runtime.error(report.hint(
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
    Stage::Runtime.error(
        Report::new(format!("`{}` is damaged", path.display()))
            .source(source)
            .hint(
                "remove the package's folder and run `cargo fetch` to have cargo unpack it again",
            ),
    )
}
