/// A 64-bit checksum, many times faster than a cryptographic digest: it finds
/// damage, not an attacker who computes it too.
struct Checksum {
    lanes: [u64; 4],
    rest: [u8; 32],
    length: u64,
}

impl Checksum {
    fn new() -> Self {
        Self {
            lanes: [1, 2, 3, 4],
            rest: [0; 32],
            length: 0,
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        let filled = (self.length % 32) as usize;
        self.length += bytes.len() as u64;
        if filled > 0 {
            let taken = bytes.len().min(32 - filled);
            self.rest[filled..filled + taken].copy_from_slice(&bytes[..taken]);
            if filled + taken < 32 {
                return;
            }
            let block = self.rest;
            self.block(&block);
            bytes = &bytes[taken..];
        }
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            self.block(block);
        }
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    fn block(&mut self, block: &[u8; 32]) {
        let (words, _) = block.as_chunks::<8>();
        // Multiplying by an odd number and rotating are one to one: a word that
        // differs leaves a lane that differs.
        let mut lane = 0;
        while lane < 4 {
            let word = u64::from_le_bytes(words[lane]);
            self.lanes[lane] = (self.lanes[lane] ^ word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
            lane += 1;
        }
    }

    fn finish(mut self) -> u64 {
        let filled = (self.length % 32) as usize;
        self.rest[filled..].fill(0);
        let block = self.rest;
        self.block(&block);
        self.lanes.into_iter().fold(self.length, |sum, lane| {
            (sum ^ lane)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(31)
        })
    }
}
