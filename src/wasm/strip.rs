//! Custom sections are dropped: debug information, names, and what else no one reads.

use crate::wasm::sections::{self, Encoding, Section, assemble, check_nesting, id, parse_as};
use anyhow::Result;
use std::borrow::Cow;

/// Removes custom sections (names, producers, debug info, …) from the component
/// and every core module in it, at every nesting level.
///
/// Returns the input unchanged when there is none. The other sections keep
/// their order and their payload.
///
/// # Errors
/// When `component` cannot be split into sections.
pub(crate) fn strip_custom_sections(component: &[u8]) -> Result<Cow<'_, [u8]>> {
    let stripped = strip(component, Encoding::Component, 0)?;
    Ok(stripped.map_or(Cow::Borrowed(component), Cow::Owned))
}

/// The bytes without custom sections, or `None` when they contain none.
pub(crate) fn strip(bytes: &[u8], expected: Encoding, depth: usize) -> Result<Option<Vec<u8>>> {
    check_nesting(depth)?;
    let sections = parse_as(bytes, expected)?;
    let mut changed = false;
    let mut kept = Vec::with_capacity(sections.len());
    for Section { id, data } in sections {
        let inner = match (expected, id) {
            (_, id::CUSTOM) => {
                changed = true;
                continue;
            }
            (Encoding::Component, id::CORE_MODULE) => strip(data, Encoding::Module, depth + 1)?,
            (Encoding::Component, id::COMPONENT) => strip(data, Encoding::Component, depth + 1)?,
            _ => None,
        };
        changed |= inner.is_some();
        kept.push((id, inner.map_or(Cow::Borrowed(data), Cow::Owned)));
    }
    Ok(changed.then(|| assemble(expected, &kept)))
}

/// Drops the custom sections that linking does not read.
///
/// `dylink.0` describes the shared library, `component-type*` its WIT world.
pub(crate) fn stripped(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (encoding, sections) = sections::parse(wasm)?;
    let mut out = Vec::with_capacity(wasm.len());
    out.extend_from_slice(&encoding.header());
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

#[cfg(test)]
mod tests {
    use super::*;

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
