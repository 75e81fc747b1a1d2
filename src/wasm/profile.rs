//! Which functions run, known by their content.
//!
//! A function is recognised by its body as the library has it, wherever it is linked
//! to. So the same profile serves a library alone and beside extensions, in whatever
//! order, and after modules were fused, when a section of the fused module carries the
//! digests of the bodies it was made from. A function that was not recorded is kept,
//! those of extensions for example, with what it [calls](super::callees). A false match
//! costs one repeated run.

use crate::wasm::callees;
use crate::wasm::sections;
use anyhow::{Result, ensure};
use std::collections::HashMap;
use wasmparser::BinaryReader;

/// Which bodies the component that runs at build time keeps, the fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bodies {
    /// Those that a restored snapshot needs to execute a statement.
    Execute,
    /// Those that starting Python and importing modules of the standard library runs.
    Library,
    /// Also those that packages are likely to run, and compiling their sources.
    Start,
    /// Every body.
    All,
}

impl Bodies {
    /// For cache keys and verbose output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::Library => "library",
            Self::Start => "start",
            Self::All => "all",
        }
    }
}

/// Recorded by `cargo test --release record_profiles -- --ignored`.
///
/// Unsigned LEB128 numbers, one for each function, ascending by digest: what the
/// digest is more than the one before, times eight, plus [`START`], [`EXECUTE`] and
/// [`LIBRARY`].
pub(crate) const RECORDED: &[u8] = include_bytes!("bodies/profiles.bin");

/// Set for what starting Python and importing modules runs.
pub(crate) const START: u8 = 1;
/// Set for what of that no packages are needed for.
pub(crate) const LIBRARY: u8 = 4;
/// Set for what executing a statement in a restored snapshot runs.
pub(crate) const EXECUTE: u8 = 2;

/// The custom section with the digests of the bodies a module was made from, eight
/// bytes each, for a module whose own bodies are not those of a library.
pub(crate) const DIGESTS: &str = "eryx-preinit:bodies";

/// As much of a digest as is kept: a profile of 20 000 functions and a library of as
/// many share one by chance with a probability of 1 in 2 700.
const DIGEST_BITS: u32 = 40;

/// When each recorded function runs, by its digest.
pub(crate) struct Profile(HashMap<u64, u8>);

impl Profile {
    pub(crate) fn recorded() -> Result<Self> {
        Self::parse(RECORDED)
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = BinaryReader::new(bytes, 0);
        let mut functions = HashMap::new();
        let mut digest = 0_u64;
        while !reader.eof() {
            let number = reader.read_var_u64()?;
            digest += number >> 3;
            ensure!(digest >> DIGEST_BITS == 0, "a digest of too many bits");
            functions.insert(digest, (number & 7) as u8);
        }
        Ok(Self(functions))
    }

    /// Whether starting Python and importing modules does without a function of `module`.
    pub(crate) fn leaves_out(&self, module: &[u8]) -> Result<bool> {
        let cold = |digest| self.0.get(&digest).is_some_and(|runs| runs & START == 0);
        Ok(digests(module)?.into_iter().any(cold))
    }

    /// Of each function a module defines, whether it stays. `None` when all do.
    pub(crate) fn hot(&self, module: &[u8], bodies: Bodies) -> Result<Option<Vec<bool>>> {
        let flag = match bodies {
            Bodies::All => return Ok(None),
            Bodies::Start => START,
            Bodies::Library => LIBRARY,
            Bodies::Execute => EXECUTE,
        };
        let digests = digests(module)?;
        let runs: Vec<Option<&u8>> = digests.iter().map(|digest| self.0.get(digest)).collect();
        let mut hot: Vec<bool> = runs
            .iter()
            .map(|runs| runs.is_none_or(|runs| runs & flag != 0))
            .collect();
        if !hot.contains(&false) {
            return Ok(None);
        }
        if bodies == Bodies::Start {
            let unknown = (0..hot.len()).filter(|&function| runs[function].is_none());
            callees::keep(module, unknown.collect(), &mut hot)?;
        }
        Ok(Some(hot))
    }
}

/// The digest of each function a module defines.
///
/// # Errors
/// When the module is malformed, or its section of digests is of another module.
pub(crate) fn digests(module: &[u8]) -> Result<Vec<u64>> {
    let Some(code) = sections::code(module)? else {
        return Ok(Vec::new());
    };
    let ranges = sections::bodies(code)?;
    for section in sections::parse(module)?.1 {
        if section.custom_name() == Some(DIGESTS) {
            let mut reader = BinaryReader::new(section.data, 0);
            reader.read_string()?;
            let bytes = reader.read_bytes(reader.bytes_remaining())?;
            let (digests, rest) = bytes.as_chunks::<8>();
            ensure!(
                rest.is_empty() && digests.len() == ranges.len(),
                "digests of other bodies"
            );
            return Ok(digests.iter().map(|d| u64::from_le_bytes(*d)).collect());
        }
    }
    Ok(ranges.into_iter().map(|body| digest(&code[body])).collect())
}

/// The digest of one body. It need not withstand anybody, but be quick without
/// optimisation: a word at a time, each mixed into all bits.
fn digest(body: &[u8]) -> u64 {
    let mix = |digest: u64, word: u64| {
        let product = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    };
    let (words, rest) = body.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mut digest = body.len() as u64;
    for word in words.iter().chain([&last]) {
        digest = mix(digest, u64::from_le_bytes(*word));
    }
    mix(digest, 0) >> (u64::BITS - DIGEST_BITS)
}

/// The file [`RECORDED`] of these functions, and when they run.
#[cfg(test)]
pub(crate) fn encode(functions: &std::collections::BTreeMap<u64, u8>) -> Vec<u8> {
    use wasm_encoder::Encode;
    let mut out = Vec::new();
    let mut last = 0;
    for (digest, runs) in functions {
        let number: u64 = (digest - last) << 3 | u64::from(*runs);
        number.encode(&mut out);
        last = *digest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const MODULE: &str = "(module
        (func (result i32) i32.const 1)
        (func (param i32) local.get 0 drop)
        (func (result i64) i64.const 2))";

    #[test]
    fn what_is_known_and_does_not_run_is_left_out() {
        let module = wat::parse_str(MODULE).unwrap();
        let digests = digests(&module).unwrap();
        let recorded = BTreeMap::from([(digests[0], START), (digests[1], EXECUTE | LIBRARY)]);
        let profile = Profile::parse(&encode(&recorded)).unwrap();
        let hot = |bodies| profile.hot(&module, bodies).unwrap();
        assert_eq!(hot(Bodies::Start), Some(vec![true, false, true]));
        assert_eq!(hot(Bodies::Execute), Some(vec![false, true, true]));
        assert_eq!(hot(Bodies::Library), Some(vec![false, true, true]));
        assert_eq!(hot(Bodies::All), None);
    }

    #[test]
    fn a_module_made_of_others_has_their_digests() {
        let library = wat::parse_str(MODULE).unwrap();
        let expected: Vec<u64> = digests(&library).unwrap().into_iter().rev().collect();
        let made = |count: usize| {
            let mut made = wat::parse_str("(module (func) (func) (func))").unwrap();
            let section = wasm_encoder::CustomSection {
                name: DIGESTS.into(),
                data: expected[..count]
                    .iter()
                    .flat_map(|d| d.to_le_bytes())
                    .collect(),
            };
            wasm_encoder::Section::append_to(&section, &mut made);
            digests(&made)
        };
        assert_eq!(made(3).unwrap(), expected);
        assert!(made(2).is_err());
    }

    #[test]
    fn every_byte_counts() {
        let body: Vec<u8> = (0..100).collect();
        for length in 1..body.len() {
            let whole = digest(&body[..length]);
            assert_ne!(whole, digest(&body[..length - 1]));
            for at in 0..length {
                let mut other = body[..length].to_vec();
                other[at] ^= 0x80;
                assert_ne!(whole, digest(&other), "{at} of {length}");
            }
        }
    }

    #[test]
    fn the_recorded_profile_makes_sense() {
        let Profile(functions) = Profile::recorded().unwrap();
        let count = |flag| functions.values().filter(|&runs| runs & flag != 0).count();
        assert!(functions.len() > 10_000);
        assert!((1..functions.len() / 2).contains(&count(START)));
        assert!((1..count(START)).contains(&count(LIBRARY)));
        assert!((1..count(LIBRARY)).contains(&count(EXECUTE)));
        // What packages run includes it.
        assert!(
            functions
                .values()
                .all(|runs| runs & LIBRARY == 0 || runs & START != 0)
        );
        // A number cut short, and a digest without end.
        assert!(Profile::parse(&RECORDED[..RECORDED.len() - 1]).is_err());
        assert!(Profile::parse(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }
}
