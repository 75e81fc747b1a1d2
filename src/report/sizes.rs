//! Where the bytes of a component are. They sum up to its size.

use serde::Serialize;
use wasmparser::{Parser, Payload};

/// A part of the component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) part: &'static str,
    pub(crate) bytes: u64,
}

const CODE: &str = "code";
const DATA: &str = "memory, not zero";
const ZEROS: &str = "memory, zero";
const ELEMENTS: &str = "function tables";
const CUSTOM: &str = "custom sections";
const OTHER: &str = "other";

/// The parts, the last of which is what belongs to no other.
pub(crate) fn sizes(component: &[u8]) -> Vec<Size> {
    let mut parts = [CODE, DATA, ZEROS, ELEMENTS, CUSTOM].map(|part| Size { part, bytes: 0 });
    let mut add = |part: &str, bytes: usize| {
        let found = parts.iter_mut().find(|size| size.part == part);
        found
            .into_iter()
            .for_each(|size| size.bytes += bytes as u64);
    };
    // What cannot be read is in `other`.
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::CodeSectionStart { range, .. } => add(CODE, range.len()),
            Payload::ElementSection(section) => add(ELEMENTS, section.range().len()),
            Payload::CustomSection(section) => add(CUSTOM, section.range().len()),
            Payload::DataSection(section) => {
                for segment in section.into_iter().map_while(Result::ok) {
                    let zeros = segment.data.iter().filter(|&&byte| byte == 0).count();
                    add(ZEROS, zeros);
                    add(DATA, segment.data.len() - zeros);
                }
            }
            _ => {}
        }
    }
    let known: u64 = parts.iter().map(|size| size.bytes).sum();
    let mut sizes = parts.to_vec();
    sizes.push(Size {
        part: OTHER,
        bytes: (component.len() as u64).saturating_sub(known),
    });
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_sum_up_to_the_whole() {
        let wasm = wat::parse_str(
            "(component (core module (memory 1) (func) (data (i32.const 0) \"a\\00\\00\")))",
        )
        .unwrap();
        let sizes = sizes(&wasm);
        let of = |part| sizes.iter().find(|size| size.part == part).unwrap().bytes;
        assert_eq!((of(DATA), of(ZEROS)), (1, 2));
        assert!(of(CODE) > 0);
        let sum: u64 = sizes.iter().map(|size| size.bytes).sum();
        assert_eq!(sum, wasm.len() as u64);
        assert_eq!(super::sizes(b"none").last().unwrap().bytes, 4);
    }
}
