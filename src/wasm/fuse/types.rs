//! The types of several modules in one type section.

use super::unfit::{Unfit, encoded};
use anyhow::{Context, Result};
use std::collections::HashMap;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{Encode, TypeSection};
use wasmparser::{BinaryReader, RecGroup};

/// A type section that grows. Types are equal when their text is, so a type that
/// stands alone and does not name itself is there once.
#[derive(Default)]
pub(super) struct Types {
    groups: Vec<u8>,
    group_count: u32,
    count: u32,
    known: HashMap<Vec<u8>, u32>,
}

impl Types {
    /// Adds the types of a module, and returns the new index of each.
    ///
    /// # Errors
    /// When a type names one that is not there.
    pub(super) fn add(&mut self, groups: &[RecGroup]) -> Result<Vec<u32>> {
        let mut moved = Vec::new();
        for group in groups {
            let size = u32::try_from(group.types().len())?;
            let mut names = Names {
                moved: &moved,
                base: self.count,
                size,
                itself: false,
            };
            let mut section = TypeSection::new();
            names
                .parse_recursive_type_group(section.ty(), group.clone())
                .map_err(encoded)?;
            let bytes = only_item(&section)?;
            if size == 1 && !names.itself {
                if let Some(&known) = self.known.get(&bytes) {
                    moved.push(known);
                    continue;
                }
                self.known.insert(bytes.clone(), self.count);
            }
            moved.extend(self.count..self.count + size);
            self.groups.extend(bytes);
            self.group_count += 1;
            self.count += size;
        }
        Ok(moved)
    }

    /// The payload of the section.
    pub(super) fn section(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.groups.len() + 5);
        self.group_count.encode(&mut out);
        out.extend(&self.groups);
        out
    }
}

/// The bytes of the one group in `section`.
fn only_item(section: &TypeSection) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    let mut reader = BinaryReader::new(&bytes, 0);
    let (_size, _count) = (reader.read_var_u32()?, reader.read_var_u32()?);
    Ok(reader.read_bytes(reader.bytes_remaining())?.to_vec())
}

/// Types that are named in a group of types: those before it, and its own.
struct Names<'a> {
    moved: &'a [u32],
    base: u32,
    size: u32,
    itself: bool,
}

impl Reencode for Names<'_> {
    type Error = Unfit;

    fn type_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        if let Some(moved) = self.moved.get(index as usize) {
            return Ok(*moved);
        }
        self.itself = true;
        let own = index - self.moved.len() as u32;
        match own < self.size {
            true => Ok(self.base + own),
            false => Err(Error::UserError(Unfit(format!(
                "type {index} is not there"
            )))),
        }
    }
}

/// The entry of an index space of a member.
pub(super) fn moved(map: &[u32], index: u32, what: &str) -> Result<u32> {
    let moved = map.get(index as usize).copied();
    moved.with_context(|| format!("no {what} {index}"))
}

/// The same, for re-encoders.
pub(super) fn mapped(map: &[u32], index: u32, what: &str) -> Result<u32, Error<Unfit>> {
    moved(map, index, what).map_err(|error| Error::UserError(Unfit(error.to_string())))
}
