//! What of a linked component came with which library: code, and a place in memory.
//!
//! Linking leaves bodies as they are, and fusing notes a digest of each
//! ([`profile::digests`]): a function is that library's which has such a body. Bodies that
//! several libraries have are the one's whose function stands in front, since a library's
//! functions stay together. What matches none is the adapter's, which the linker rewrites,
//! or the linker's own.
//!
//! Places in memory are told by the linker's exports, or, where fusing made constants of
//! them, by the data: a library's segments keep their bytes.

use crate::wasm::dylink::SharedLibrary;
use crate::wasm::link::Library;
use crate::wasm::profile;
use crate::wasm::sections::{self, module_id};
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{
    BinaryReader, ConstExpr, Data, DataKind, DataSectionReader, ExportSectionReader, ExternalKind,
    GlobalSectionReader, ImportSectionReader, Operator, TypeRef,
};

/// What the linker calls the address of a library's variables, behind the library's name.
const BASE: &str = ":memory_base";

/// Fewer bytes than these may well be another library's.
const TELLING: usize = 16;

/// What one library brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) library: String,
    /// Functions that the component still has, and the bytes of their bodies.
    pub(crate) functions: u64,
    pub(crate) code: u64,
    /// Where its variables are, if it has some and that can be told.
    pub(crate) memory: Option<Range<u32>>,
}

/// What each library brought, and at the end, without a name, what is no library's.
///
/// # Errors
/// When the component or a library is malformed.
pub(crate) fn origins(component: &[u8], libraries: &[&Library]) -> Result<Vec<Origin>> {
    let modules = sections::core_modules(component)?;
    let mut origins = Vec::new();
    for library in libraries {
        origins.push(Origin {
            library: library.name.clone(),
            functions: 0,
            code: 0,
            memory: place(&modules, library)
                .with_context(|| format!("cannot read `{}`", library.name))?,
        });
    }
    origins.push(Origin {
        library: String::new(),
        functions: 0,
        code: 0,
        memory: None,
    });
    let owners = owners(libraries)?;
    for module in modules {
        count(module, &owners, &mut origins)?;
    }
    Ok(origins)
}

/// The libraries that have a body of that digest.
fn owners(libraries: &[&Library]) -> Result<HashMap<u64, Vec<usize>>> {
    let mut owners: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, library) in libraries.iter().enumerate() {
        for digest in profile::digests(&library.wasm)? {
            let owners = owners.entry(digest).or_default();
            if owners.last() != Some(&at) {
                owners.push(at);
            }
        }
    }
    Ok(owners)
}

/// Adds the functions of a core module to those they came with.
fn count(module: &[u8], owners: &HashMap<u64, Vec<usize>>, origins: &mut [Origin]) -> Result<()> {
    let Some(code) = sections::code(module)? else {
        return Ok(());
    };
    let nobody = origins.len() - 1;
    let (mut last, mut end) = (nobody, 0);
    for (body, digest) in sections::bodies(code)?
        .into_iter()
        .zip(profile::digests(module)?)
    {
        let owner = match owners.get(&digest).map(Vec::as_slice) {
            Some(owners) if owners.contains(&last) => last,
            Some([first, ..]) => *first,
            _ => nobody,
        };
        last = owner;
        // With what stands in front of the body: all together are the section.
        origins[owner].code += (body.end - end) as u64;
        origins[owner].functions += 1;
        end = body.end;
    }
    Ok(())
}

/// Where the variables of a library are.
fn place(modules: &[&[u8]], library: &Library) -> Result<Option<Range<u32>>> {
    let size = SharedLibrary::read_base(&library.wasm)?.memory_bytes();
    if size == 0 {
        return Ok(None);
    }
    let export = format!("{}{BASE}", library.name);
    for module in modules {
        if let Some(base) = exported_number(module, &export)? {
            return Ok(range(base, size));
        }
    }
    let own = data(&library.wasm)?;
    for own in own.iter().filter(|own| own.data.len() >= TELLING) {
        let Some((None, offset)) = at(own) else {
            continue;
        };
        let mut bases = Vec::new();
        for module in modules {
            for there in data(module)?.iter().filter(|there| there.data == own.data) {
                bases.extend(at(there).filter(|(base, _)| base.is_some()));
            }
        }
        // Twice the same bytes: nobody knows whose they are.
        if let [(Some(start), _)] = bases[..] {
            return Ok(start.checked_sub(offset).and_then(|base| range(base, size)));
        }
    }
    Ok(None)
}

fn range(base: u32, size: u32) -> Option<Range<u32>> {
    Some(base..base.checked_add(size)?)
}

fn section<'a>(module: &'a [u8], id: u8) -> Result<Option<BinaryReader<'a>>> {
    let sections = sections::parse(module)?.1;
    let found = sections.iter().find(|section| section.id == id);
    Ok(found.map(|section| BinaryReader::new(section.data, 0)))
}

fn data(module: &[u8]) -> Result<Vec<Data<'_>>> {
    match section(module, module_id::DATA)? {
        Some(reader) => Ok(DataSectionReader::new(reader)?
            .into_iter()
            .collect::<Result<_, _>>()?),
        None => Ok(Vec::new()),
    }
}

/// Where a segment is written to: a fixed address, and 0; or none, and how far behind the
/// library's variables begin.
fn at(data: &Data<'_>) -> Option<(Option<u32>, u32)> {
    let DataKind::Active { offset_expr, .. } = &data.kind else {
        return None;
    };
    let mut operators = offset_expr.get_operators_reader().into_iter();
    let first = operators.next()?.ok()?;
    let second = operators.next()?.ok()?;
    match (first, second) {
        (Operator::I32Const { value }, Operator::End) => Some((Some(value.cast_unsigned()), 0)),
        (Operator::GlobalGet { .. }, Operator::End) => Some((None, 0)),
        (Operator::GlobalGet { .. }, Operator::I32Const { value }) => {
            Some((None, value.cast_unsigned()))
        }
        _ => None,
    }
}

/// The number that a module exports as a global.
fn exported_number(module: &[u8], name: &str) -> Result<Option<u32>> {
    let Some(exports) = section(module, module_id::EXPORT)? else {
        return Ok(None);
    };
    for export in ExportSectionReader::new(exports)? {
        let export = export?;
        if export.kind != ExternalKind::Global || export.name != name {
            continue;
        }
        let imported = imported_globals(module)?;
        let defined = (export.index as usize).checked_sub(imported);
        let (Some(at), Some(globals)) = (defined, section(module, module_id::GLOBAL)?) else {
            return Ok(None);
        };
        let global = GlobalSectionReader::new(globals)?.into_iter().nth(at);
        return Ok(number(&global.context("no such global")??.init_expr));
    }
    Ok(None)
}

fn imported_globals(module: &[u8]) -> Result<usize> {
    let Some(imports) = section(module, module_id::IMPORT)? else {
        return Ok(0);
    };
    let mut count = 0;
    for import in ImportSectionReader::new(imports)?.into_imports() {
        count += usize::from(matches!(import?.ty, TypeRef::Global(_)));
    }
    Ok(count)
}

fn number(expression: &ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader().into_iter();
    match (operators.next()?.ok()?, operators.next()?.ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value.cast_unsigned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::runtime;
    use crate::testing::Workbench;
    use crate::wasm::link::ADAPTER;

    /// What was linked of the newest runtime, and what is said of it.
    fn of_runtime(fuse: bool) -> (Vec<u8>, Vec<Origin>) {
        let mut bench = Workbench::new("0.14.0");
        if fuse {
            bench.fuse();
        }
        let files = runtime::library_files(&crate::testing::package("0.14.0")).unwrap();
        let libraries = runtime::load(&files, true).unwrap();
        let shared = libraries.iter().filter(|library| library.name != ADAPTER);
        let origins = origins(&bench.linked, &shared.collect::<Vec<_>>()).unwrap();
        (bench.linked, origins)
    }

    #[test]
    fn fused_or_not_the_same_libraries_have_the_same_places() {
        let (unfused, apart) = of_runtime(false);
        let (fused, together) = of_runtime(true);
        for (component, origins) in [(&unfused, &apart), (&fused, &together)] {
            let modules = sections::core_modules(component).unwrap();
            let codes = modules.iter().map(|module| sections::code(module).unwrap());
            let whole: usize = codes.map(|code| code.map_or(0, <[u8]>::len)).sum();
            let sum: u64 = origins.iter().map(|origin| origin.code).sum();
            // All but the number in front, of modules without functions.
            assert!((whole as u64 - sum) < 20, "{whole} {sum}");
            let of = |name| {
                origins
                    .iter()
                    .find(|origin| origin.library == name)
                    .unwrap()
            };
            let python = of("libpython3.14.so");
            assert!(python.code > whole as u64 / 2, "{origins:?}");
            assert!(of("libc.so").code > 100_000, "{origins:?}");
            assert!(of("").code < whole as u64 / 20, "{origins:?}");
            let mut places: Vec<_> = origins.iter().filter_map(|o| o.memory.clone()).collect();
            places.sort_by_key(|place| place.start);
            assert!(places.len() > 3, "{origins:?}");
            let apart = places
                .iter()
                .zip(&places[1..])
                .all(|(a, b)| a.end <= b.start);
            assert!(apart, "{origins:#?}");
        }
        for (apart, together) in apart.iter().zip(&together) {
            // What has few bytes of its own is not found any more.
            if together.memory.is_some() {
                assert_eq!(apart.memory, together.memory, "{}", apart.library);
            }
            assert!(
                together.functions <= apart.functions + 20,
                "{}",
                apart.library
            );
        }
    }

    #[test]
    fn what_two_libraries_have_belongs_to_the_one_in_front() {
        let library = |name: &str, wat: &str| Library {
            name: name.to_owned(),
            wasm: wat::parse_str(wat).unwrap(),
        };
        let dylink = "(@dylink.0 (mem-info (memory 8 4)))";
        let a = library("a", &format!("(module {dylink} (func) (func (nop)))"));
        let b = library("b", &format!("(module {dylink} (func (nop) (nop)) (func))"));
        let component = wat::parse_str(
            "(component (core module (func) (func (nop)) (func (nop) (nop)) (func) \
             (func (unreachable))))",
        )
        .unwrap();
        let origins = origins(&component, &[&a, &b]).unwrap();
        let counted: Vec<_> = origins.iter().map(|o| (&*o.library, o.functions)).collect();
        assert_eq!(counted, [("a", 2), ("b", 2), ("", 1)]);
        assert!(origins.iter().all(|origin| origin.memory.is_none()));
    }
}
