//! Shared libraries and the preview 1 adapter → one component, with
//! wit-component's linker.
//!
//! The libraries follow the dynamic linking convention of
//! <https://github.com/WebAssembly/tool-conventions/blob/main/DynamicLinking.md>.
//!
//! Linked, most of what the libraries export is of no use to anybody any more, and
//! each exported function costs a trampoline when it is compiled, and memory in every
//! instance. So only the exports that something in the component names stay.

use crate::error::{Error, Report, Stage, caught};
use crate::wasm::dylink::{SharedLibrary, check_symbols};
use crate::wasm::sections::{self, component_id, id, module_id};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::sync::OnceLock;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ExportSection, Module, Section as _};
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentAliasSectionReader, ExportSectionReader,
    ImportSectionReader, KnownCustom, Operator, Parser, Payload,
};
use wit_component::ComponentEncoder;

/// The preview 1 adapter, by the import module name it stands for.
pub(crate) const ADAPTER: &str = "wasi_snapshot_preview1";

/// A decompressed library, ready to link.
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) wasm: Vec<u8>,
}

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
/// [`Stage::Link`]: which symbol or library is missing, and who needs it.
pub(crate) fn link(base: &[Library], extensions: &[Extension]) -> Result<Vec<u8>, Error> {
    // wit-component panics on a repeated name.
    let mut names = BTreeSet::new();
    for library in base.iter().chain(extensions.iter().map(|e| &e.library)) {
        if !names.insert(library.name.as_str()) {
            return Err(Stage::Link.error(Report::new(format!(
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
    let encode = || {
        let component = linker.encode()?;
        // `ref.func` may name exported functions only. CPython's libraries have none.
        let named = extensions
            .par_iter()
            .map(|extension| names_functions(&extension.library.wasm))
            .collect::<anyhow::Result<Vec<_>>>()?;
        match named.contains(&true) {
            true => Ok(component),
            false => without_unnamed_exports(&component),
        }
    };
    caught("wit-component", encode)
        .map_err(|report| Stage::Link.error(report))?
        .map_err(|e| failed("cannot link the libraries into a component", e))
}

/// The version of wit-component in use, for keys: the consumer's lock file decides it, down
/// to the patch. wit-component exports no version, but writes it into every component.
pub(crate) fn linker_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let component = ComponentEncoder::default().module(&Module::new().finish());
        let component = component.and_then(|mut encoder| encoder.encode());
        // A version that cannot be read is one of its own.
        component
            .and_then(|wasm| processed_by(&wasm, "wit-component"))
            .unwrap_or_default()
    })
}

/// The version that `tool` noted in the section `producers` of a component.
fn processed_by(component: &[u8], tool: &str) -> anyhow::Result<String> {
    for payload in Parser::new(0).parse_all(component) {
        let Payload::CustomSection(section) = payload? else {
            continue;
        };
        let KnownCustom::Producers(fields) = section.as_known() else {
            continue;
        };
        for field in fields {
            for value in field?.values {
                let value = value?;
                if value.name == tool {
                    return Ok(value.version.to_owned());
                }
            }
        }
    }
    anyhow::bail!("no version of {tool} in the section `producers`")
}

/// What `look` finds first in the bodies of a core module.
fn find_instruction<T>(
    wasm: &[u8],
    look: impl Fn(&Operator<'_>) -> Option<T>,
) -> anyhow::Result<Option<T>> {
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload? {
            for operator in body.get_operators_reader()? {
                if let Some(found) = look(&operator?) {
                    return Ok(Some(found));
                }
            }
        }
    }
    Ok(None)
}

/// Whether there is a `ref.func` in a body, which compilers of C do not write.
fn names_functions(wasm: &[u8]) -> anyhow::Result<bool> {
    let named = find_instruction(wasm, |operator| {
        matches!(operator, Operator::RefFunc { .. }).then_some(())
    })?;
    Ok(named.is_some())
}

/// What an extension may not do, because no snapshot keeps it: change tables, or give
/// up segments.
///
/// # Errors
/// [`Stage::Link`] with the extension and the instruction.
fn check_instructions(extension: &Extension) -> Result<(), Error> {
    let shown = &extension.shown;
    let lost = |operator: &Operator<'_>| match operator {
        Operator::TableSet { .. } => Some("table.set"),
        Operator::TableGrow { .. } => Some("table.grow"),
        Operator::TableFill { .. } => Some("table.fill"),
        Operator::TableCopy { .. } => Some("table.copy"),
        Operator::TableInit { .. } => Some("table.init"),
        Operator::ElemDrop { .. } => Some("elem.drop"),
        Operator::DataDrop { .. } => Some("data.drop"),
        Operator::MemoryInit { .. } => Some("memory.init"),
        _ => None,
    };
    let found = find_instruction(&extension.library.wasm, lost)
        .map_err(|e| failed(&format!("cannot read {shown}"), e))?;
    match found {
        None => Ok(()),
        Some(instruction) => Err(Stage::Link.error(
            Report::new(format!(
                "{shown} uses `{instruction}`, whose effect no snapshot keeps"
            ))
            .hint("build it without threads and without reference types"),
        )),
    }
}

/// The component without those exports of its core modules that nothing in it names.
fn without_unnamed_exports(component: &[u8]) -> anyhow::Result<Vec<u8>> {
    let Some(named) = named_exports(component)? else {
        return Ok(component.to_vec());
    };
    sections::map_section(component, module_id::EXPORT, |_, exports, out| {
        let mut kept = ExportSection::new();
        for export in ExportSectionReader::new(BinaryReader::new(exports, 0))? {
            let export = export?;
            if named.contains(export.name) {
                RoundtripReencoder.parse_export(&mut kept, export)?;
            }
        }
        kept.append_to(out);
        Ok(())
    })
}

/// Every name by which something in the component may ask for an export of a
/// core module: those of aliases, and those core modules import. `None` when there are
/// nested components, which may ask, too.
fn named_exports(component: &[u8]) -> anyhow::Result<Option<HashSet<String>>> {
    let mut named = HashSet::new();
    for section in sections::parse(component)?.1 {
        let reader = BinaryReader::new(section.data, 0);
        match section.id {
            component_id::ALIAS => {
                for alias in ComponentAliasSectionReader::new(reader)? {
                    if let ComponentAlias::CoreInstanceExport { name, .. } = alias? {
                        named.insert(name.to_owned());
                    }
                }
            }
            id::CORE_MODULE => {
                let sections = sections::parse(section.data)?.1;
                for section in sections
                    .iter()
                    .filter(|section| section.id == module_id::IMPORT)
                {
                    let reader = BinaryReader::new(section.data, 0);
                    for import in ImportSectionReader::new(reader)?.into_imports() {
                        named.insert(import?.name.to_owned());
                    }
                }
            }
            id::COMPONENT => return Ok(None),
            _ => {}
        }
    }
    Ok(Some(named))
}

/// Looks for the symbols that extensions ask for, and returns what to warn about.
///
/// # Errors
/// [`Stage::Link`] with every missing symbol and the library that needs it.
pub(crate) fn check(base: &[Library], extensions: &[Extension]) -> Result<Vec<String>, Error> {
    if extensions.is_empty() {
        return Ok(Vec::new());
    }
    extensions.par_iter().try_for_each(check_instructions)?;
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
    Err(Stage::Link.error(findings.errors.into_iter().fold(report, Report::note)))
}

fn failed(summary: &str, source: anyhow::Error) -> Error {
    Stage::Link.error(Report::new(summary).source(source))
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
    fn exports_nobody_names_are_dropped() {
        let component = wat::parse_str(
            r#"(component
                (core module $m
                    (table (export "table") 2 funcref)
                    (memory (export "aliased") 1)
                    (global (export "g") i32 (i32.const 7))
                    (func (export "imported"))
                    (func (export "unused")))
                (core module $n (import "m" "imported" (func)))
                (core instance $i (instantiate $m))
                (core instance (instantiate $n (with "m" (instance $i))))
                (alias core export $i "aliased" (core memory $x)))"#,
        )
        .unwrap();
        let kept = without_unnamed_exports(&component).unwrap();
        let features = wasmparser::WasmFeatures::all();
        let mut validator = wasmparser::Validator::new_with_features(features);
        validator.validate_all(&kept).unwrap();
        let module = sections::core_modules(&kept).unwrap()[0];
        let sections = sections::parse(module).unwrap().1;
        let section = sections
            .iter()
            .find(|section| section.id == module_id::EXPORT);
        let names: Vec<&str> =
            ExportSectionReader::new(BinaryReader::new(section.unwrap().data, 0))
                .unwrap()
                .into_iter()
                .map(|export| export.unwrap().name)
                .collect();
        assert_eq!(names, ["aliased", "imported"]);
    }

    #[test]
    fn a_reference_to_a_function_is_found() {
        let wat = |body: &str| {
            let text = format!("(module (func $f (export \"f\")) (func {body} drop))");
            names_functions(&wat::parse_str(text).unwrap()).unwrap()
        };
        assert!(wat("ref.func $f"));
        assert!(!wat("i32.const 0xd2"));
    }

    #[test]
    fn an_instruction_that_no_snapshot_keeps_is_refused() {
        let check = |body: &str| {
            let text = format!("(module (table 1 funcref) (func {body}))");
            check_instructions(&Extension {
                library: Library {
                    name: "m.so".to_owned(),
                    wasm: wat::parse_str(text).unwrap(),
                },
                openable: true,
                shown: "`m.so`".to_owned(),
            })
        };
        check("i32.const 0 table.get 0 drop").unwrap();
        let error = check("i32.const 0 ref.null func table.set 0").unwrap_err();
        assert!(
            error.to_string().contains("`m.so` uses `table.set`"),
            "{error}"
        );
    }

    #[test]
    fn the_linker_s_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../Cargo.lock");
        let version = linker_version();
        let entry = format!("name = \"wit-component\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&entry), "{version:?}");
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
