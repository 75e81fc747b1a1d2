//! The guest's randomness at build time: the same bytes in every build of the same
//! inputs, and a record of which of them seeded a generator.
//!
//! `random.Random()` seeds CPython's Mersenne Twister with 624 32-bit words
//! (`random_seed_urandom` in Modules/_randommodule.c), which WASI's libc asks for in
//! pieces of at most 256 bytes, as POSIX limits `getentropy`. So ten requests of
//! these sizes in a row are a seed, which is how `reseed.rs` tells a generator seeded
//! by the system from one that a program seeded.

use sha2::{Digest as _, Sha256};
use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::random::random;

/// The largest request answered, in bytes. CPython asks for 256 at a time.
const REQUEST_LIMIT_BYTES: u64 = 1 << 20;

/// How many seeds are recorded: they are the host's memory, and the guest's once more.
pub(crate) const SEEDS_MAX: usize = 4096;

/// Bytes of a seed of the Mersenne Twister.
pub(crate) const SEED_BYTES: usize = 624 * 4;
const PIECE_BYTES: usize = 256;
const LAST_PIECE_BYTES: usize = SEED_BYTES % PIECE_BYTES;

/// SHA-256 in counter mode.
pub(crate) struct Randomness {
    key: [u8; 32],
    counter: u64,
    /// Of the last block, what was not given out.
    rest: Vec<u8>,
    /// Whole pieces given out in a row.
    pieces: Vec<u8>,
    seeds: Vec<Vec<u8>>,
    missed: bool,
    /// Bytes given out that are part of no seed.
    other: u64,
}

/// Has wasmtime-wasi ask [`Randomness`] for what `os.urandom` and the seeds of
/// generators come from.
pub(crate) struct GuestRandomness;

impl HasData for GuestRandomness {
    type Data<'a> = &'a mut Randomness;
}

impl random::Host for Randomness {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let bytes = self.bytes(len);
        bytes.ok_or_else(|| wasmtime::format_err!("asked for {len} random bytes"))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.word())
    }
}

impl Randomness {
    /// The stream that `key` gives for one `purpose`.
    pub(crate) fn new(key: &[u8; 32], purpose: &[u8]) -> Self {
        Self {
            key: Sha256::new()
                .chain_update(key)
                .chain_update(purpose)
                .finalize()
                .into(),
            counter: 0,
            rest: Vec::new(),
            pieces: Vec::new(),
            seeds: Vec::new(),
            missed: false,
            other: 0,
        }
    }

    /// The next `len` bytes, or `None` where no program would ask for so many.
    pub(crate) fn bytes(&mut self, len: u64) -> Option<Vec<u8>> {
        if len > REQUEST_LIMIT_BYTES {
            return None;
        }
        let len = len as usize;
        let mut bytes = std::mem::take(&mut self.rest);
        while bytes.len() < len {
            let block = Sha256::new()
                .chain_update(self.key)
                .chain_update(self.counter.to_le_bytes())
                .finalize();
            bytes.extend_from_slice(&block);
            self.counter += 1;
        }
        self.rest = bytes.split_off(len);
        self.record(&bytes);
        Some(bytes)
    }

    /// The next 64 bits.
    pub(crate) fn word(&mut self) -> u64 {
        let bytes = self.bytes(8).unwrap_or_default();
        bytes.try_into().map_or(0, u64::from_le_bytes)
    }

    /// The seeds of generators given out so far.
    pub(crate) fn seeds(&self) -> &[Vec<u8>] {
        &self.seeds
    }

    /// Whether there were more seeds than are recorded.
    pub(crate) fn seeds_missed(&self) -> bool {
        self.missed
    }

    /// How many bytes were given out since the last call for something else than the
    /// seed of a generator. Nothing may be asking for a seed just now.
    pub(crate) fn take_other(&mut self) -> u64 {
        self.drop_pieces();
        std::mem::take(&mut self.other)
    }

    /// Pieces that were no seed after all.
    fn drop_pieces(&mut self) {
        self.other += self.pieces.len() as u64;
        self.pieces.clear();
    }

    fn record(&mut self, bytes: &[u8]) {
        let before_last = SEED_BYTES - LAST_PIECE_BYTES;
        match bytes.len() {
            PIECE_BYTES => {
                self.pieces.extend_from_slice(bytes);
                let older = self.pieces.len().saturating_sub(before_last);
                self.pieces.drain(..older);
                self.other += older as u64;
            }
            LAST_PIECE_BYTES if self.pieces.len() == before_last => {
                let mut seed = std::mem::take(&mut self.pieces);
                seed.extend_from_slice(bytes);
                self.missed |= self.seeds.len() == SEEDS_MAX;
                if !self.missed {
                    self.seeds.push(seed);
                }
            }
            _ => {
                self.drop_pieces();
                self.other += bytes.len() as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_depends_on_key_and_purpose_and_not_on_how_it_is_read() {
        let read = |key, purpose: &[u8], pieces: &[u64]| -> Vec<u8> {
            let mut stream = Randomness::new(&[key; 32], purpose);
            pieces
                .iter()
                .flat_map(|&len| stream.bytes(len).unwrap())
                .collect()
        };
        let whole = read(1, b"a", &[100]);
        assert_eq!(read(1, b"a", &[1, 31, 32, 0, 36]), whole);
        assert_ne!(read(2, b"a", &[100]), whole);
        assert_ne!(read(1, b"b", &[100]), whole);
        assert!(Randomness::new(&[0; 32], b"").bytes(u64::MAX).is_none());
    }

    #[test]
    fn ten_pieces_in_a_row_are_a_seed() {
        let mut stream = Randomness::new(&[0; 32], b"");
        let seed = |stream: &mut Randomness, first: &[u64]| {
            let sizes = first.iter().copied().chain([256; 9]).chain([192]);
            let all: Vec<u8> = sizes.flat_map(|len| stream.bytes(len).unwrap()).collect();
            all[all.len() - SEED_BYTES..].to_vec()
        };
        let one = seed(&mut stream, &[24]);
        let two = seed(&mut stream, &[]);
        // A long `os.urandom` in front.
        let three = seed(&mut stream, &[256, 256, 256]);
        assert_eq!(stream.seeds(), [one, two, three]);
        assert_eq!(stream.take_other(), 24 + 3 * 256);
        // No seed: too few pieces, or something in between.
        for len in [
            256, 192, 256, 256, 256, 256, 8, 256, 256, 256, 256, 256, 192,
        ] {
            stream.bytes(len);
        }
        assert_eq!(stream.seeds().len(), 3);
        assert_eq!(stream.take_other(), 10 * 256 + 2 * 192 + 8);
        stream.bytes(256);
        assert_eq!((stream.take_other(), stream.take_other()), (256, 0));
        assert!(!stream.seeds_missed());
        for _ in 0..SEEDS_MAX {
            seed(&mut stream, &[]);
        }
        assert!(stream.seeds_missed() && stream.seeds().len() == SEEDS_MAX);
    }
}
