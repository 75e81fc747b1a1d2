//! What a memory holds, as data segments.
//!
//! A segment costs a few bytes, so one may span a few zeros, and a module may have only
//! so many. Which zeros it spans depends on the contents alone: the same memory always
//! gives the same segments.
//!
//! Unoptimised, a look at every byte of a memory takes seconds. So pages of zeros are
//! found by comparing them as a whole, and what is left is read by words.

use rayon::prelude::*;
use std::ops::Range;
use wasm_encoder::Encode;

/// How many segments a memory may have: Wasmtime takes 100 000 a module.
const SEGMENTS_MAX: usize = 50_000;

/// Zeros between two segments that cost no more than another segment does: its kind, an
/// address of up to five bytes with its instructions, and its length.
const GAP: usize = 9;

/// What is compared with zeros as a whole.
const PAGE: usize = 4096;
/// What one thread reads at a time.
const CHUNK: usize = 1 << 20;
const WORD: usize = 8;

/// The contents of a memory, and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// In bytes.
    pub(crate) size: u64,
    segments: Vec<Segment>,
    data: Vec<u8>,
}

/// A part that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    address: usize,
    len: usize,
}

impl Segment {
    fn end(&self) -> usize {
        self.address + self.len
    }
}

/// Bytes that are to be in the image in place of those in the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) address: usize,
    pub(crate) bytes: [u8; 4],
}

impl Image {
    /// The image of `memory`, with `patch` in it.
    pub(crate) fn of(memory: &[u8], patch: Option<Patch>) -> Self {
        let chunks = memory.par_chunks(CHUNK).enumerate();
        let found = chunks.map(|(index, chunk)| nonzero(chunk, index * CHUNK));
        let mut found: Vec<Segment> = found.collect::<Vec<_>>().concat();
        if let Some(patch) = patch {
            found.push(Segment {
                address: patch.address,
                len: patch.bytes.len(),
            });
            found.sort_by_key(|segment| segment.address);
        }
        let segments = few(found);
        let mut data = Vec::with_capacity(segments.iter().map(|segment| segment.len).sum());
        for segment in &segments {
            let mut bytes = &memory[segment.address..segment.end()];
            if let Some(patch) = patch.filter(|patch| holds(segment, patch)) {
                let at = patch.address - segment.address;
                data.extend_from_slice(&bytes[..at]);
                data.extend_from_slice(&patch.bytes);
                bytes = &bytes[at + patch.bytes.len()..];
            }
            data.extend_from_slice(bytes);
        }
        Self {
            size: memory.len() as u64,
            segments,
            data,
        }
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Appends the segments, as active ones of this memory, whose addresses are 64 bits
    /// wide if it `is64`.
    pub(crate) fn encode(&self, memory: u32, is64: bool, out: &mut Vec<u8>) {
        const I32_CONST: u8 = 0x41;
        const I64_CONST: u8 = 0x42;
        const END: u8 = 0x0b;
        let mut data = &self.data[..];
        for segment in &self.segments {
            match memory {
                0 => out.push(0),
                // With the index of the memory.
                index => {
                    out.push(2);
                    index.encode(out);
                }
            }
            if is64 {
                out.push(I64_CONST);
                (segment.address as u64).cast_signed().encode(out);
            } else {
                out.push(I32_CONST);
                (segment.address as u32).cast_signed().encode(out);
            }
            out.push(END);
            let (bytes, rest) = data.split_at(segment.len);
            bytes.encode(out);
            data = rest;
        }
    }
}

fn holds(segment: &Segment, patch: &Patch) -> bool {
    (segment.address..segment.end()).contains(&patch.address)
}

/// The parts of `chunk`, which lies at `address`, that hold more than zeros.
fn nonzero(chunk: &[u8], address: usize) -> Vec<Segment> {
    static ZEROS: [u8; PAGE] = [0; PAGE];
    let mut found: Vec<Segment> = Vec::new();
    let mut add = |part: Range<usize>| match found.last_mut() {
        Some(last) if last.end() == part.start => last.len += part.len(),
        _ => found.push(Segment {
            address: part.start,
            len: part.len(),
        }),
    };
    for (index, page) in chunk.chunks(PAGE).enumerate() {
        if *page == ZEROS[..page.len()] {
            continue;
        }
        let start = address + index * PAGE;
        for (index, word) in page.chunks(WORD).enumerate() {
            if *word != ZEROS[..word.len()] {
                let start = start + index * WORD;
                add(start..start + word.len());
            }
        }
    }
    for segment in &mut found {
        let bytes = &chunk[segment.address - address..segment.end() - address];
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let ending = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        segment.address += zeros;
        segment.len -= zeros + ending;
    }
    found
}

/// The segments, in order, over gaps that are not worth a new one, or, if there were too
/// many, over larger ones.
fn few(mut segments: Vec<Segment>) -> Vec<Segment> {
    let mut gap = GAP;
    loop {
        segments = joined(&segments, gap);
        if segments.len() <= SEGMENTS_MAX {
            return segments;
        }
        gap += gap / 4;
    }
}

fn joined(segments: &[Segment], gap: usize) -> Vec<Segment> {
    let mut joined: Vec<Segment> = Vec::with_capacity(segments.len());
    for segment in segments {
        match joined.last_mut() {
            Some(last) if segment.address <= last.end() + gap => {
                last.len = last.end().max(segment.end()) - last.address;
            }
            _ => joined.push(*segment),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{BinaryReader, DataKind, DataSectionReader, Operator};

    /// The memory that the encoded segments give, and how many there are.
    fn restored(image: &Image, memory: u32, is64: bool) -> (Vec<u8>, usize) {
        let mut section = Vec::new();
        image.segments().encode(&mut section);
        image.encode(memory, is64, &mut section);
        let mut bytes = vec![0; usize::try_from(image.size).unwrap()];
        let mut count = 0;
        let reader = DataSectionReader::new(BinaryReader::new(&section, 0)).unwrap();
        for segment in reader {
            let segment = segment.unwrap();
            let DataKind::Active {
                memory_index,
                offset_expr,
            } = segment.kind
            else {
                panic!("{:?}", segment.kind);
            };
            assert_eq!(memory_index, memory);
            let at = match offset_expr.get_operators_reader().read().unwrap() {
                Operator::I32Const { value } if !is64 => value.cast_unsigned() as usize,
                Operator::I64Const { value } if is64 => usize::try_from(value).unwrap(),
                other => panic!("{other:?}"),
            };
            bytes[at..at + segment.data.len()].copy_from_slice(segment.data);
            count += 1;
        }
        (bytes, count)
    }

    /// Bytes with runs of zeros of all lengths, the same in every run.
    fn mixed(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let random = (state >> 33) as usize;
            let zeros = [0, 3, 8, 9, 10, 17, 40, 5_000][random % 8];
            bytes.resize(bytes.len() + zeros, 0);
            bytes.resize(bytes.len() + 1 + random / 8 % 20, (random >> 16) as u8);
        }
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn an_image_gives_the_memory_again() {
        for len in [0, 1, 7, 4095, 4097, CHUNK - 3, 2 * CHUNK + 13] {
            let memory = mixed(len);
            let image = Image::of(&memory, None);
            assert_eq!(image.size, len as u64);
            for (index, is64) in [(0, false), (0, true), (3, false)] {
                assert!(restored(&image, index, is64).0 == memory, "{len} bytes");
            }
        }
    }

    #[test]
    fn zeros_cost_nothing_and_small_gaps_are_spanned() {
        assert_eq!(Image::of(&[0; 100_000], None).segments(), 0);
        let mut memory = vec![0; 100_000];
        for at in [4_000, 4_001 + GAP, 50_000, 50_001 + 4 * GAP] {
            memory[at] = 1;
        }
        let image = Image::of(&memory, None);
        assert_eq!(image.segments(), 3);
        assert_eq!(image.data.len(), 2 + GAP + 2);
    }

    #[test]
    fn there_are_only_so_many_segments() {
        let mut memory = vec![0; 8 << 20];
        for (index, at) in (0..memory.len() - 200).step_by(80).enumerate() {
            memory[at + index % 30] = 1;
        }
        let image = Image::of(&memory, None);
        assert!((1..=SEGMENTS_MAX).contains(&image.segments()));
        assert!(restored(&image, 0, false) == (memory, image.segments()));
    }

    #[test]
    fn a_patch_is_in_the_image_and_nowhere_else() {
        for at in [0, 4, 4092, 4096, 8000, 60_000] {
            let mut memory = mixed(50_000);
            memory.resize(65_536, 0);
            let patch = Patch {
                address: at,
                bytes: [0xff; 4],
            };
            let image = Image::of(&memory, Some(patch));
            memory[at..at + 4].copy_from_slice(&[0xff; 4]);
            assert!(restored(&image, 0, false).0 == memory, "at {at}");
        }
    }
}
