//! Shared libraries and the preview 1 adapter → one component, with
//! wit-component's linker.
//!
//! The libraries follow the dynamic linking convention of
//! <https://github.com/WebAssembly/tool-conventions/blob/main/DynamicLinking.md>.

use crate::error::{Error, Report};
use crate::extension::{SharedLibrary, check_symbols};
use crate::runtime::{ADAPTER, Library};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// An extension module, or a library that one needs.
pub(crate) struct Extension {
    pub(crate) library: Library,
    /// Whether CPython opens it, under its name.
    pub(crate) openable: bool,
    /// What it is called in reports.
    pub(crate) shown: String,
}

/// Links the base libraries in the order given, and extensions behind them.
///
/// # Errors
/// [`Error::Link`]: which symbol or library is missing, and who needs it.
pub(crate) fn link(base: &[Library], extensions: &[Extension]) -> Result<Vec<u8>, Error> {
    // wit-component panics on a repeated name.
    let mut names = BTreeSet::new();
    for library in base.iter().chain(extensions.iter().map(|e| &e.library)) {
        if !names.insert(library.name.as_str()) {
            return Err(Error::Link(Report::new(format!(
                "two libraries are named `{}`",
                library.name
            ))));
        }
    }
    // What it produces is validated once, when it is compiled and when the
    // snapshot is finished.
    let mut linker = wit_component::Linker::default()
        .validate(false)
        .use_built_in_libdl(true);
    for library in base {
        linker = if library.name == ADAPTER {
            linker.adapter(&library.name, &library.wasm)
        } else {
            linker.library(&library.name, &library.wasm, false)
        }
        .map_err(|e| failed(&format!("cannot link `{}`", library.name), e))?;
    }
    for extension in extensions {
        let Library { name, wasm } = &extension.library;
        linker = linker
            .library(name, wasm, extension.openable)
            .map_err(|e| failed(&format!("cannot link {}", extension.shown), e))?;
    }
    linker
        .encode()
        .map_err(|e| failed("cannot link the libraries into a component", e))
}

/// Looks for the symbols that extensions ask for, and returns what to warn about.
///
/// # Errors
/// [`Error::Link`] with every missing symbol and the library that needs it.
pub(crate) fn check(base: &[Library], extensions: &[Extension]) -> Result<Vec<String>, Error> {
    if extensions.is_empty() {
        return Ok(Vec::new());
    }
    let base = base
        .par_iter()
        .filter(|library| library.name != ADAPTER)
        .map(|library| {
            let read = SharedLibrary::read_base(&library.wasm)
                .map_err(|e| failed(&format!("cannot read `{}`", library.name), e))?;
            Ok((library.name.as_str(), read))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let set = extensions
        .par_iter()
        .map(|extension| {
            let read = SharedLibrary::read_base(&extension.library.wasm)
                .map_err(|e| failed(&format!("cannot read {}", extension.shown), e))?;
            Ok((extension.shown.as_str(), read))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let findings = check_symbols(&base, &set);
    if findings.errors.is_empty() {
        return Ok(findings.warnings);
    }
    let report = match findings.errors.len() {
        1 => Report::new("a symbol is missing"),
        count => Report::new(format!("{count} symbols are missing")),
    };
    let report = report.hint(
        "a library that defines it belongs into `extensions`; what CPython for WASI does not \
         have has to be left out when the extension is built",
    );
    Err(Error::Link(
        findings.errors.into_iter().fold(report, Report::note),
    ))
}

fn failed(summary: &str, source: anyhow::Error) -> Error {
    Error::Link(Report::new(summary).source(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_name_is_an_error_and_no_panic() {
        let library = || Library {
            name: "libx.so".to_owned(),
            wasm: Vec::new(),
        };
        let error = link(&[library(), library()], &[]).unwrap_err();
        assert!(error.to_string().contains("libx.so"), "{error}");
    }

    #[test]
    fn what_is_no_library_is_named() {
        let library = Library {
            name: "libx.so".to_owned(),
            wasm: b"\x7fELF".to_vec(),
        };
        let error = link(&[library], &[]).unwrap_err();
        assert!(format!("{error:?}").contains("libx.so"), "{error:?}");
    }
}
