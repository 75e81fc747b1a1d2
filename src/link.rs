//! Shared libraries and the preview 1 adapter → one component, with
//! wit-component's linker.
//!
//! The libraries follow the dynamic linking convention of
//! <https://github.com/WebAssembly/tool-conventions/blob/main/DynamicLinking.md>.

use crate::error::{Error, Report};
use crate::runtime::{ADAPTER, Library};
use std::collections::BTreeSet;

/// Links the base libraries in the order given.
///
/// # Errors
/// [`Error::Link`] with the linker's own words: which symbol or library is
/// missing, and who needs it.
pub(crate) fn link(base: &[Library]) -> Result<Vec<u8>, Error> {
    // wit-component panics on a repeated name.
    let mut names = BTreeSet::new();
    for library in base {
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
    linker
        .encode()
        .map_err(|e| failed("cannot link the libraries into a component", e))
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
        let error = link(&[library(), library()]).unwrap_err();
        assert!(error.to_string().contains("libx.so"), "{error}");
    }

    #[test]
    fn what_is_no_library_is_named() {
        let library = Library {
            name: "libx.so".to_owned(),
            wasm: b"\x7fELF".to_vec(),
        };
        let error = link(&[library]).unwrap_err();
        assert!(format!("{error:?}").contains("libx.so"), "{error:?}");
    }
}
