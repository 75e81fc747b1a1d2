//! What a snapshot is taken without comes back: function bodies and memory.
//!
//! wizer copies what it is given several times, and looks at every byte of a memory. So it
//! is given neither: modules without bodies (`bodies.rs`), and for each memory a short mark
//! in place of what that holds. As a mark takes one page, modules say to wizer that their
//! memories, and those they import, may be smaller than they are. It writes a component in
//! which each mark is the only active data segment of its memory. Here the mark goes, and
//! the memory's size and segments take its place, with all bodies and imports of the
//! linked component.
//!
//! Why that is sound: wizer writes a memory's contents and size into these segments and
//! the memory section, and nowhere else; it does not look at what is in them, and leaves
//! imports of core modules as they are. Passive segments stay the first, so that code
//! finds them at their positions. What runs has its memories as they were linked.

use crate::wasm::bodies::without_bodies;
use crate::wasm::image::Image;
use crate::wasm::sections::{
    self, Section, bodies, function_count, id, imported_memories, module_id,
};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::convert::Infallible;
use wasm_encoder::Encode;
use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder};
use wasm_encoder::{ImportSection, MemorySection, Section as _};
use wasmparser::{
    BinaryReader, Data, DataKind, DataSectionReader, ImportSectionReader, MemorySectionReader,
    MemoryType,
};

/// Starts each mark; the number of the memory is behind it, from one.
const MARK: &[u8] = b"eryx-preinit-build: the contents of memory ";

/// A snapshot that is to be completed.
pub(crate) struct Bare {
    pub(crate) component: Vec<u8>,
    /// Of its memories, as the numbers in the marks count them.
    pub(crate) images: Vec<Image>,
}

/// What wizer is told that a memory holds: `number` counts them from zero, in the order in
/// which it asks.
///
/// # Errors
/// When there are more memories than marks.
pub(crate) fn mark(number: usize) -> Result<Vec<u8>> {
    let number = u8::try_from(number + 1).context("too many memories")?;
    // One page, whatever size the memory's are: wizer counts whole ones.
    let mut contents = vec![0; 1 << 16];
    contents[..MARK.len()].copy_from_slice(MARK);
    contents[MARK.len()] = number;
    Ok(contents)
}

/// `component` as wizer is to see it: its skeleton, whose memories may be small.
pub(crate) fn bare(component: &[u8]) -> Result<Vec<u8>> {
    sections::map_core_modules(component, &mut |_, module| {
        let skeleton = without_bodies(module)?;
        let (encoding, sections) = sections::parse(&skeleton)?;
        let mut out = Vec::with_capacity(skeleton.len());
        out.extend_from_slice(&encoding.header());
        for section in sections {
            let reader = BinaryReader::new(section.data, 0);
            match section.id {
                module_id::IMPORT => {
                    let mut new = ImportSection::new();
                    Small.parse_import_section(&mut new, ImportSectionReader::new(reader)?)?;
                    new.append_to(&mut out);
                }
                module_id::MEMORY => {
                    let mut new = MemorySection::new();
                    Small.parse_memory_section(&mut new, MemorySectionReader::new(reader)?)?;
                    new.append_to(&mut out);
                }
                _ => sections::push(&mut out, section.id, section.data),
            }
        }
        Ok(Some(out))
    })
}

/// Memories of no minimum size.
struct Small;

impl Reencode for Small {
    type Error = Infallible;

    fn memory_type(
        &mut self,
        mut ty: MemoryType,
    ) -> Result<wasm_encoder::MemoryType, reencode::Error> {
        ty.initial = 0;
        RoundtripReencoder.memory_type(ty)
    }
}

/// What wizer made of [`bare`] to run it, with the memories of `component`.
pub(crate) fn with_memories(bare: &[u8], component: &[u8]) -> Result<Vec<u8>> {
    let originals = sections::core_modules(component)?;
    sections::map_core_modules(bare, &mut |position, module| {
        let Some(original) = originals.get(position) else {
            return Ok(None);
        };
        let originals = sections::parse(original)?.1;
        let (encoding, sections) = sections::parse(module)?;
        let mut out = Vec::with_capacity(module.len());
        out.extend_from_slice(&encoding.header());
        for section in sections {
            let kept = match section.id {
                module_id::IMPORT | module_id::MEMORY => find(&originals, section.id)?,
                _ => section.data,
            };
            sections::push(&mut out, section.id, kept);
        }
        Ok(Some(out))
    })
}

/// `snapshot` (what wizer made of [`bare`], or what was added to that) with all bodies of
/// `component`, and the contents of its memories in place of their marks.
///
/// Modules are matched by their position: wizer keeps their order and appends its own
/// accessor module, which stays as it is. So do functions behind those of `component`.
pub(crate) fn completed(snapshot: &[u8], component: &[u8], images: &[Image]) -> Result<Vec<u8>> {
    let originals = sections::core_modules(component)?;
    sections::map_core_modules(snapshot, &mut |position, module| {
        let Some(original) = originals.get(position) else {
            return Ok(None);
        };
        completed_module(module, original, images)
            .map(Some)
            .with_context(|| format!("in core module {position}"))
    })
}

fn completed_module(module: &[u8], original: &[u8], images: &[Image]) -> Result<Vec<u8>> {
    let (encoding, sections) = sections::parse(module)?;
    let originals = sections::parse(original)?.1;
    let memories = Memories::of(&sections, &originals, images)?;
    let mut out = Vec::with_capacity(module.len() + original.len());
    out.extend_from_slice(&encoding.header());
    for section in &sections {
        let original = || find(&originals, section.id);
        match section.id {
            id::CODE => push_bodies(section.data, original()?, &mut out)?,
            module_id::IMPORT => sections::push(&mut out, section.id, original()?),
            module_id::MEMORY => memories.push_types(&mut out)?,
            module_id::DATA_COUNT => memories.push_count(section, &mut out)?,
            module_id::DATA => memories.push_segments(section, &mut out)?,
            _ => sections::push(&mut out, section.id, section.data),
        }
    }
    Ok(out)
}

/// The section `id`, which has to be there.
fn find<'a>(sections: &[Section<'a>], id: u8) -> Result<&'a [u8]> {
    let found = sections.iter().find(|section| section.id == id);
    Ok(found.with_context(|| format!("no section {id}"))?.data)
}

/// The bodies of `code`, and behind them those that `stub` has more.
fn push_bodies(stub: &[u8], code: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let [count, known] = [function_count(stub)?, function_count(code)?];
    ensure!(count >= known, "functions are missing");
    if count == known {
        sections::push(out, id::CODE, code);
        return Ok(());
    }
    let added = bodies(stub)?.split_off(known as usize);
    let mut all = Vec::with_capacity(code.len() + 16);
    count.encode(&mut all);
    let mut rest = BinaryReader::new(code, 0);
    rest.read_var_u32()?;
    all.extend_from_slice(rest.read_bytes(rest.bytes_remaining())?);
    for body in added {
        stub[body].encode(&mut all);
    }
    sections::push(out, id::CODE, &all);
    Ok(())
}

/// The memories of one module whose contents are marks, by their indices.
struct Memories<'a> {
    marked: BTreeMap<u32, &'a Image>,
    /// Indices of imported memories come first.
    imported: u32,
    /// As they were linked.
    types: Vec<MemoryType>,
}

impl<'a> Memories<'a> {
    fn of(
        sections: &[Section<'_>],
        originals: &[Section<'_>],
        images: &'a [Image],
    ) -> Result<Self> {
        let mut memories = Self {
            marked: BTreeMap::new(),
            imported: imported_memories(originals)?,
            types: Vec::new(),
        };
        if let Ok(section) = find(originals, module_id::MEMORY) {
            let reader = MemorySectionReader::new(BinaryReader::new(section, 0))?;
            memories.types = reader.into_iter().collect::<Result<_, _>>()?;
        }
        if let Ok(section) = find(sections, module_id::DATA) {
            for segment in DataSectionReader::new(BinaryReader::new(section, 0))? {
                if let Some((memory, number)) = marked(&segment?) {
                    let image = images.get(number).context("a memory nobody read")?;
                    memories.marked.insert(memory, image);
                }
            }
        }
        Ok(memories)
    }

    fn push_types(&self, out: &mut Vec<u8>) -> Result<()> {
        let mut new = MemorySection::new();
        for (index, &ty) in (self.imported..).zip(&self.types) {
            let mut ty = ty;
            if let Some(image) = self.marked.get(&index) {
                ty.initial = image.size >> ty.page_size_log2.unwrap_or(16);
            }
            new.memory(RoundtripReencoder.memory_type(ty)?);
        }
        new.append_to(out);
        Ok(())
    }

    /// How many segments there are more than with marks.
    fn count(&self, count: u32) -> Result<u32> {
        let segments: usize = self.marked.values().map(|image| image.segments()).sum();
        let count = (count as usize + segments).checked_sub(self.marked.len());
        Ok(u32::try_from(count.context("fewer segments than marks")?)?)
    }

    fn push_count(&self, section: &Section<'_>, out: &mut Vec<u8>) -> Result<()> {
        let mut new = Vec::new();
        let count = BinaryReader::new(section.data, 0).read_var_u32()?;
        self.count(count)?.encode(&mut new);
        sections::push(out, section.id, &new);
        Ok(())
    }

    fn push_segments(&self, section: &Section<'_>, out: &mut Vec<u8>) -> Result<()> {
        if self.marked.is_empty() {
            sections::push(out, section.id, section.data);
            return Ok(());
        }
        let mut new = Vec::new();
        let reader = DataSectionReader::new(BinaryReader::new(section.data, 0))?;
        self.count(reader.count())?.encode(&mut new);
        for segment in reader {
            let segment = segment?;
            match marked(&segment) {
                Some((memory, _)) => {
                    let ty = self.types.get((memory - self.imported) as usize);
                    let is64 = ty.context("an unknown memory")?.memory64;
                    self.marked[&memory].encode(memory, is64, &mut new);
                }
                None => new.extend_from_slice(&section.data[segment.range]),
            }
        }
        sections::push(out, section.id, &new);
        Ok(())
    }
}

/// The memory that `segment` is the mark of, and the number in it, from zero.
fn marked(segment: &Data<'_>) -> Option<(u32, usize)> {
    let DataKind::Active { memory_index, .. } = segment.kind else {
        return None;
    };
    let [number] = *segment.data.strip_prefix(MARK)? else {
        return None;
    };
    Some((memory_index, usize::from(number).checked_sub(1)?))
}

#[cfg(test)]
mod tests;
