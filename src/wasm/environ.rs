//! Where a linked component keeps the environment variables of C code.

use crate::wasm::sections::{self, id, module_id};
use anyhow::Result;
use wasmparser::{
    BinaryReader, ExportSectionReader, ExternalKind, GlobalSectionReader, ImportSectionReader,
    Operator, TypeRef,
};

/// wasi-libc's variable, as its library exports it: where it lies behind the library's
/// memory base.
const VARIABLE: &str = "__wasilibc_environ";
/// The memory base of the library, as the linker exports it.
const MEMORY_BASE: &str = "libc.so:memory_base";

/// The exports that say so: constants that have to stay.
pub(crate) const SYMBOLS: [&str; 2] = [VARIABLE, MEMORY_BASE];

/// The address of `char **__wasilibc_environ` in the component's memory; `None` where the
/// component says of no such place, or of several.
///
/// # Errors
/// When the component is malformed.
pub(crate) fn address(linked: &[u8]) -> Result<Option<u32>> {
    let (mut bases, mut offsets) = (Vec::new(), Vec::new());
    for section in sections::parse(linked)?.1 {
        if section.id == id::CORE_MODULE {
            bases.extend(constant(section.data, MEMORY_BASE)?);
            offsets.extend(constant(section.data, VARIABLE)?);
        }
    }
    Ok(match (&bases[..], &offsets[..]) {
        ([base], [offset]) => base.checked_add(*offset),
        _ => None,
    })
}

/// The value of the constant global that a core module defines and exports as `name`.
fn constant(module: &[u8], name: &str) -> Result<Option<u32>> {
    let (mut imported, mut globals, mut index) = (0, Vec::new(), None);
    for section in sections::parse(module)?.1 {
        let reader = BinaryReader::new(section.data, 0);
        match section.id {
            module_id::IMPORT => imported = imported_globals(reader)?,
            module_id::GLOBAL => {
                for global in GlobalSectionReader::new(reader)? {
                    let value = global?.init_expr.get_operators_reader().read()?;
                    globals.push(match value {
                        Operator::I32Const { value } => Some(value.cast_unsigned()),
                        _ => None,
                    });
                }
            }
            module_id::EXPORT => {
                for export in ExportSectionReader::new(reader)? {
                    let export = export?;
                    if export.kind == ExternalKind::Global && export.name == name {
                        index = Some(export.index);
                    }
                }
            }
            _ => {}
        }
    }
    let defined = index.and_then(|index: u32| index.checked_sub(imported));
    Ok(defined.and_then(|defined| globals.get(defined as usize).copied().flatten()))
}

fn imported_globals(imports: BinaryReader<'_>) -> Result<u32> {
    let mut count = 0;
    for import in ImportSectionReader::new(imports)?.into_imports() {
        count += u32::from(matches!(import?.ty, TypeRef::Global(_)));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(base: &str, environ: &str) -> Vec<u8> {
        wat::parse_str(format!(
            "(component
               (core module (global (export \"libc.so:memory_base\") {base}))
               (core module
                 (import \"env\" \"__memory_base\" (global i32))
                 (import \"env\" \"f\" (func))
                 (global i32 (i32.const 1))
                 (global (export \"{environ}\") i32 (i32.const 2004))))"
        ))
        .unwrap()
    }

    #[test]
    fn the_address_is_the_base_and_the_offset() {
        let found = |base, environ| address(&component(base, environ)).unwrap();
        let base = "i32 (i32.const 0x100000)";
        assert_eq!(found(base, VARIABLE), Some(0x10_0000 + 2004));
        assert_eq!(found(base, "environ"), None);
        assert_eq!(found("i64 (i64.const 8)", VARIABLE), None);
        assert_eq!(found("i32 (i32.const -2000)", VARIABLE), None);
    }

    #[test]
    fn of_two_places_none_is_it() {
        let one = component("i32 (i32.const 8)", VARIABLE);
        let section = |bytes: &[u8]| bytes[8..].to_vec();
        let twice = [&one[..], &section(&one)].concat();
        assert_eq!(address(&twice).unwrap(), None);
    }
}
