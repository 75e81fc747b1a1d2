//! Whether a component is valid.

use crate::wasm::sections::{self, id, module_id};
use anyhow::Result;
use wasmparser::{BinaryReader, GlobalSectionReader, GlobalType, Validator, WasmFeatures};

/// Checks that `component` is valid.
pub(crate) fn validate(component: &[u8]) -> Result<()> {
    let features = WasmFeatures::all();
    Validator::new_with_features(features).validate_all(component)?;
    Ok(())
}

/// Checks a component that differs from a valid one, `original`, in what wizer
/// and [`restore_initialize`] change, without validating every body again.
///
/// A body is valid relative to its module's types, imports, functions, tables,
/// tags, element segments, and the types of its memories and globals. Where those
/// are the same bytes (functions: the same in front of those that were added), the
/// bodies are valid because they were; everything else is validated as
/// `skeleton`, the component with bodies that are valid in any module.
pub(crate) fn validate_derived(original: &[u8], component: &[u8], skeleton: &[u8]) -> Result<()> {
    let originals = sections::core_modules(original)?;
    let modules = sections::core_modules(component)?;
    let mut same = originals.len() == modules.len();
    for (original, module) in originals.into_iter().zip(modules) {
        same &= same_context(original, module)?;
    }
    validate(if same { skeleton } else { component })
}

/// Whether two modules declare the same, as far as bodies are concerned.
pub(crate) fn same_context(original: &[u8], module: &[u8]) -> Result<bool> {
    if original == module {
        return Ok(true);
    }
    let section = |module: &[u8], id: u8| -> Result<Vec<u8>> {
        let sections = sections::parse(module)?.1;
        let found = sections.into_iter().find(|section| section.id == id);
        Ok(found
            .map(|section| section.data.to_vec())
            .unwrap_or_default())
    };
    for id in [
        module_id::TYPE,
        module_id::IMPORT,
        module_id::FUNCTION,
        module_id::TABLE,
        module_id::TAG,
        module_id::ELEMENT,
        id::CODE,
    ] {
        if section(original, id)? != section(module, id)? {
            return Ok(false);
        }
    }
    let globals = |module: &[u8]| -> Result<Vec<GlobalType>> {
        let data = section(module, module_id::GLOBAL)?;
        if data.is_empty() {
            return Ok(Vec::new());
        }
        GlobalSectionReader::new(BinaryReader::new(&data, 0))?
            .into_iter()
            .map(|global| Ok(global?.ty))
            .collect()
    };
    Ok(globals(original)? == globals(module)?)
}
