//! The section level of the binary format, for modules and components alike:
//! eight bytes of header, then `id: byte, size: u32 (LEB128), payload`.
//!
//! Passes that move whole sections work at this level, because decoding what
//! they do not change is what makes a pass slow in an unoptimised build script.
//! Format: <https://webassembly.github.io/spec/core/binary/modules.html> and
//! <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>.

use anyhow::{Context, Result, bail, ensure};
use std::borrow::Cow;
use std::ops::Range;
use wasm_encoder::Encode;
use wasmparser::{BinaryReader, ImportSectionReader, TypeRef};

/// Section ids used by more than one pass.
pub(crate) mod id {
    /// Custom sections, the same id in modules and in components.
    pub(crate) const CUSTOM: u8 = 0;
    /// Function bodies of a core module.
    pub(crate) const CODE: u8 = 10;
    /// A core module inside a component.
    pub(crate) const CORE_MODULE: u8 = 1;
    /// A component nested in a component.
    pub(crate) const COMPONENT: u8 = 4;
}

/// Sections of a component that define, or refer to, core modules.
pub(crate) mod component_id {
    pub(crate) const CORE_INSTANCE: u8 = 2;
    pub(crate) const INSTANCE: u8 = 5;
    pub(crate) const ALIAS: u8 = 6;
    pub(crate) const CANONICAL: u8 = 8;
    pub(crate) const START: u8 = 9;
    pub(crate) const IMPORT: u8 = 10;
    pub(crate) const EXPORT: u8 = 11;
}

/// Sections of a core module, besides [`id::CODE`].
pub(crate) mod module_id {
    pub(crate) const TYPE: u8 = 1;
    pub(crate) const IMPORT: u8 = 2;
    pub(crate) const FUNCTION: u8 = 3;
    pub(crate) const TABLE: u8 = 4;
    pub(crate) const MEMORY: u8 = 5;
    pub(crate) const GLOBAL: u8 = 6;
    pub(crate) const EXPORT: u8 = 7;
    pub(crate) const START: u8 = 8;
    pub(crate) const ELEMENT: u8 = 9;
    pub(crate) const DATA: u8 = 11;
    pub(crate) const DATA_COUNT: u8 = 12;
    pub(crate) const TAG: u8 = 13;
}

/// How deep components may nest: enough for any real one, and a bound on
/// recursion.
const MAX_NESTING: usize = 100;

/// # Errors
/// When `depth` is more than components may nest.
pub(crate) fn check_nesting(depth: usize) -> Result<()> {
    ensure!(
        depth <= MAX_NESTING,
        "components are nested more than {MAX_NESTING} levels deep"
    );
    Ok(())
}

const MODULE_HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";
const COMPONENT_HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// What the eight bytes in front of the sections say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Module,
    Component,
}

impl Encoding {
    pub(crate) fn header(self) -> [u8; 8] {
        match self {
            Self::Module => MODULE_HEADER,
            Self::Component => COMPONENT_HEADER,
        }
    }
}

/// One section, its payload not yet decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'a> {
    pub(crate) id: u8,
    pub(crate) data: &'a [u8],
}

impl<'a> Section<'a> {
    /// The name of a custom section, or `None` for any other section.
    pub(crate) fn custom_name(&self) -> Option<&'a str> {
        if self.id != id::CUSTOM {
            return None;
        }
        BinaryReader::new(self.data, 0).read_string().ok()
    }
}

/// Splits a module or component into its sections.
///
/// # Errors
/// When the header is neither, or a section runs past the end.
pub(crate) fn parse(bytes: &[u8]) -> Result<(Encoding, Vec<Section<'_>>)> {
    ensure!(
        bytes.len() >= 8,
        "{} bytes are too few for WebAssembly",
        bytes.len()
    );
    let (header, body) = bytes.split_at(8);
    let encoding = if header == MODULE_HEADER {
        Encoding::Module
    } else if header == COMPONENT_HEADER {
        Encoding::Component
    } else {
        bail!("not WebAssembly: the first eight bytes are {header:02x?}");
    };
    let mut reader = BinaryReader::new(body, 8);
    let mut sections = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()? as usize;
        let data = reader.read_bytes(size)?;
        sections.push(Section { id, data });
    }
    Ok((encoding, sections))
}

/// Appends one section to `out`.
pub(crate) fn push(out: &mut Vec<u8>, id: u8, data: &[u8]) {
    out.push(id);
    data.len().encode(out);
    out.extend_from_slice(data);
}

/// Gets the position of a core module in pre-order and its bytes, and returns
/// the new bytes, or `None` to keep the old ones.
pub(crate) type RewriteModule<'a> = dyn FnMut(usize, &[u8]) -> Result<Option<Vec<u8>>> + 'a;

/// Rewrites every core module of a component, nested components included.
pub(crate) fn map_core_modules(
    component: &[u8],
    rewrite: &mut RewriteModule<'_>,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(component.len());
    map_into(component, 0, &mut 0, rewrite, &mut out)?;
    Ok(out)
}

fn map_into(
    component: &[u8],
    depth: usize,
    position: &mut usize,
    rewrite: &mut RewriteModule<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    check_nesting(depth)?;
    let (encoding, sections) = parse(component)?;
    ensure!(
        encoding == Encoding::Component,
        "expected a component, found a core module"
    );
    out.extend_from_slice(&encoding.header());
    for section in sections {
        match section.id {
            id::CORE_MODULE => {
                let new = rewrite(*position, section.data)?;
                *position += 1;
                push(out, section.id, new.as_deref().unwrap_or(section.data));
            }
            id::COMPONENT => {
                let mut nested = Vec::with_capacity(section.data.len());
                map_into(section.data, depth + 1, position, rewrite, &mut nested)?;
                push(out, section.id, &nested);
            }
            _ => push(out, section.id, section.data),
        }
    }
    Ok(())
}

/// Rewrites the section `id` of every core module that has one: `rewrite` gets the
/// module's position and the payload, and appends the section that takes its place.
pub(crate) fn map_section(
    component: &[u8],
    id: u8,
    mut rewrite: impl FnMut(usize, &[u8], &mut Vec<u8>) -> Result<()>,
) -> Result<Vec<u8>> {
    map_core_modules(component, &mut |position, module| {
        let (encoding, sections) = parse(module)?;
        let mut out = Vec::with_capacity(module.len());
        out.extend_from_slice(&encoding.header());
        for section in sections {
            if section.id == id {
                rewrite(position, section.data, &mut out)
                    .with_context(|| format!("in section {id} of core module {position}"))?;
            } else {
                push(&mut out, section.id, section.data);
            }
        }
        Ok(Some(out))
    })
}

/// The core modules of a component in the order [`map_core_modules`] visits
/// them.
pub(crate) fn core_modules(component: &[u8]) -> Result<Vec<&[u8]>> {
    fn collect<'a>(component: &'a [u8], depth: usize, modules: &mut Vec<&'a [u8]>) -> Result<()> {
        check_nesting(depth)?;
        for section in parse(component)?.1 {
            match section.id {
                id::CORE_MODULE => modules.push(section.data),
                id::COMPONENT => collect(section.data, depth + 1, modules)?,
                _ => {}
            }
        }
        Ok(())
    }
    let mut modules = Vec::new();
    collect(component, 0, &mut modules)?;
    Ok(modules)
}

pub(crate) fn parse_as(bytes: &[u8], expected: Encoding) -> Result<Vec<Section<'_>>> {
    let (encoding, sections) = parse(bytes)?;
    ensure!(
        encoding == expected,
        "expected a {expected:?}, found a {encoding:?}"
    );
    Ok(sections)
}

pub(crate) fn assemble(encoding: Encoding, sections: &[(u8, Cow<'_, [u8]>)]) -> Vec<u8> {
    // At most one id and five bytes of size in front of each payload.
    let size = sections
        .iter()
        .map(|(_, data)| data.len() + 6)
        .sum::<usize>();
    let mut out = Vec::with_capacity(8 + size);
    out.extend_from_slice(&encoding.header());
    for (id, data) in sections {
        push(&mut out, *id, data);
    }
    out
}

/// The code section of a core module.
pub(crate) fn code(module: &[u8]) -> Result<Option<&[u8]>> {
    let sections = parse(module)?.1;
    let code = sections.iter().find(|section| section.id == id::CODE);
    Ok(code.map(|section| section.data))
}

/// How many bodies a code section says it has.
pub(crate) fn function_count(code: &[u8]) -> Result<u32> {
    Ok(BinaryReader::new(code, 0).read_var_u32()?)
}

/// How many functions a module of these sections imports: their indices come first.
pub(crate) fn imported_functions(sections: &[Section<'_>]) -> Result<u32> {
    imported(sections, |ty| {
        matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_))
    })
}

/// How many memories a module of these sections imports: their indices come first.
pub(crate) fn imported_memories(sections: &[Section<'_>]) -> Result<u32> {
    imported(sections, |ty| matches!(ty, TypeRef::Memory(_)))
}

fn imported(sections: &[Section<'_>], counts: impl Fn(&TypeRef) -> bool) -> Result<u32> {
    let mut count = 0;
    for section in sections {
        if section.id == module_id::IMPORT {
            let reader = ImportSectionReader::new(BinaryReader::new(section.data, 0))?;
            for import in reader.into_imports() {
                count += u32::from(counts(&import?.ty));
            }
        }
    }
    Ok(count)
}

/// The byte ranges of the bodies in a code section, without their size prefix.
pub(crate) fn bodies(code: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut reader = BinaryReader::new(code, 0);
    let count = reader.read_var_u32()?;
    let mut ranges = Vec::with_capacity((count as usize).min(code.len()));
    for _ in 0..count {
        let size = reader.read_var_u32()? as usize;
        let start = reader.original_position();
        reader.read_bytes(size)?;
        ranges.push(start..start + size);
    }
    ensure!(reader.eof(), "bytes after the last function body");
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module_with_custom(name: &str) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        module.section(&wasm_encoder::CustomSection {
            name: name.into(),
            data: (&[1, 2, 3][..]).into(),
        });
        module.finish()
    }

    fn nested() -> Vec<u8> {
        let mut inner = MODULE_HEADER.to_vec();
        inner.clear();
        inner.extend_from_slice(&COMPONENT_HEADER);
        push(&mut inner, id::CORE_MODULE, &module_with_custom("inner"));
        let mut outer = COMPONENT_HEADER.to_vec();
        push(&mut outer, id::CORE_MODULE, &module_with_custom("first"));
        push(&mut outer, id::COMPONENT, &inner);
        push(&mut outer, id::CORE_MODULE, &module_with_custom("last"));
        outer
    }

    #[test]
    fn modules_come_in_pre_order() {
        let component = nested();
        let names: Vec<_> = core_modules(&component)
            .unwrap()
            .into_iter()
            .map(|module| parse(module).unwrap().1[0].custom_name().unwrap())
            .collect();
        assert_eq!(names, ["first", "inner", "last"]);
    }

    #[test]
    fn keeping_everything_keeps_the_bytes() {
        let component = nested();
        let mut seen = Vec::new();
        let same = map_core_modules(&component, &mut |position, _| {
            seen.push(position);
            Ok(None)
        })
        .unwrap();
        assert_eq!(same, component);
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn nested_modules_are_replaced() {
        let component = nested();
        let new = map_core_modules(&component, &mut |position, _| {
            Ok((position == 1).then(|| MODULE_HEADER.to_vec()))
        })
        .unwrap();
        let modules = core_modules(&new).unwrap();
        assert_eq!(modules[1], MODULE_HEADER);
        assert_eq!(modules[2], module_with_custom("last"));
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        let mut component = COMPONENT_HEADER.to_vec();
        for _ in 0..200 {
            let mut outer = COMPONENT_HEADER.to_vec();
            push(&mut outer, id::COMPONENT, &component);
            component = outer;
        }
        assert!(core_modules(&component).is_err());
        assert!(map_core_modules(&component, &mut |_, _| Ok(None)).is_err());
    }

    #[test]
    fn garbage_is_an_error() {
        for bytes in [
            &b""[..],
            b"\0asm",
            b"\x7fELF\x02\x01\x01\0",
            b"\0asm\x01\0\0\0\x01\x7f",
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
