//! Whose the bytes of the memory in a snapshot are.

use crate::report::sizes::Size;
use crate::wasm::origins::Origin;
use serde::Serialize;
use std::ops::Range;
use wasmparser::{Data, DataKind, Operator, Parser, Payload};

/// What a library brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Library {
    pub(crate) library: String,
    pub(crate) functions: u64,
    pub(crate) code: u64,
    /// What its variables take, and what of that is not zero in the snapshot.
    pub(crate) data: u64,
    pub(crate) data_not_zero: u64,
}

/// A part of the memory: what of it the snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Area {
    pub(crate) part: &'static str,
    pub(crate) bytes: u64,
    pub(crate) not_zero: u64,
}

/// What belongs to no library.
const LINKING: &str = "(adapter and linker)";

/// The libraries of a snapshot, the largest first. Their code is all its code.
pub(crate) fn libraries(component: &[u8], origins: &[Origin], sizes: &[Size]) -> Vec<Library> {
    let segments = segments(component);
    let mut libraries: Vec<_> = origins
        .iter()
        .map(|origin| {
            let memory = origin.memory.clone().unwrap_or_default();
            Library {
                library: match origin.library.as_str() {
                    "" => LINKING.to_owned(),
                    name => name.to_owned(),
                },
                functions: origin.functions,
                code: origin.code,
                data: memory.len() as u64,
                data_not_zero: held(&segments, &memory).1,
            }
        })
        .collect();
    let code = sizes.iter().find(|size| size.part == "code");
    let known: u64 = libraries.iter().map(|library| library.code).sum();
    let rest = code.map_or(0, |code| code.bytes.saturating_sub(known));
    let own = libraries.iter_mut().find(|own| own.library == LINKING);
    own.into_iter().for_each(|own| own.code += rest);
    libraries.retain(|library| library.code + library.data > 0);
    libraries.sort_by_key(|library| std::cmp::Reverse(library.code + library.data));
    libraries
}

/// The areas of the memory; none where it is not known where libraries have theirs. The
/// linker puts the stack first, then all variables, then what is taken at run time.
pub(crate) fn areas(component: &[u8], origins: &[Origin]) -> Vec<Area> {
    let places = || origins.iter().filter_map(|origin| origin.memory.clone());
    let (Some(start), Some(end)) = (
        places().map(|place| place.start).min(),
        places().map(|place| place.end).max(),
    ) else {
        return Vec::new();
    };
    let segments = segments(component);
    let areas = [
        ("stack", 0..start),
        ("libraries' variables", start..end),
        ("taken at run time", end..u32::MAX),
    ];
    let areas = areas.map(|(part, place)| {
        let (bytes, not_zero) = held(&segments, &place);
        Area {
            part,
            bytes,
            not_zero,
        }
    });
    areas.into()
}

/// What a snapshot has in its memory, by address.
fn segments(component: &[u8]) -> Vec<(u32, &[u8])> {
    let mut segments = Vec::new();
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        if let Payload::DataSection(section) = payload {
            let read = section.into_iter().map_while(Result::ok);
            segments.extend(read.filter_map(|data| Some((address(&data)?, data.data))));
        }
    }
    segments
}

fn address(data: &Data<'_>) -> Option<u32> {
    let DataKind::Active {
        memory_index: 0,
        offset_expr,
    } = &data.kind
    else {
        return None;
    };
    match offset_expr.get_operators_reader().into_iter().next()? {
        Ok(Operator::I32Const { value }) => Some(value.cast_unsigned()),
        _ => None,
    }
}

/// How many bytes of a place there are, and how many of them are not zero.
fn held(segments: &[(u32, &[u8])], place: &Range<u32>) -> (u64, u64) {
    let (mut bytes, mut not_zero) = (0, 0);
    for &(address, data) in segments {
        let inside = |at: u32| (at.saturating_sub(address) as usize).min(data.len());
        let part = &data[inside(place.start)..inside(place.end)];
        bytes += part.len() as u64;
        not_zero += part.iter().filter(|&&byte| byte != 0).count() as u64;
    }
    (bytes, not_zero)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sizes;

    fn origin(library: &str, code: u64, memory: Option<Range<u32>>) -> Origin {
        Origin {
            library: library.to_owned(),
            functions: 1,
            code,
            memory,
        }
    }

    #[test]
    fn memory_is_told_apart_by_address() {
        let component = wat::parse_str(
            "(component (core module (memory 1) (func)
                (data (i32.const 90) \"abc\\00defghijklmn\")
                (data (i32.const 200) \"x\\00\")))",
        )
        .unwrap();
        let origins = [
            origin("small", 1, Some(96..100)),
            origin("large", 1, Some(92..96)),
            origin("none", 0, None),
            origin("", 0, None),
        ];
        let areas: Vec<_> = areas(&component, &origins)
            .into_iter()
            .map(|area| (area.part, area.bytes, area.not_zero))
            .collect();
        let expected = [
            ("stack", 2, 2),
            ("libraries' variables", 8, 7),
            ("taken at run time", 7, 6),
        ];
        assert_eq!(areas, expected);
        let sizes = sizes::sizes(&component);
        let libraries = libraries(&component, &origins, &sizes);
        let data: Vec<_> = libraries
            .iter()
            .map(|l| (&*l.library, l.data, l.data_not_zero))
            .collect();
        let expected = [("small", 4, 4), ("large", 4, 3), (LINKING, 0, 0)];
        assert_eq!(data, expected);
        let code: u64 = libraries.iter().map(|library| library.code).sum();
        assert_eq!(code, sizes[0].bytes);
        assert!(super::areas(&component, &origins[2..]).is_empty());
    }
}
