//! Files of bytecode: where Python looks for them, and whether one belongs to a
//! source.

/// What starts every `.pyc` of CPython 3.14: the bytecode's version (3627, little
/// endian), and the end of a line.
pub(crate) const MAGIC: [u8; 4] = [0x2b, 0x0e, 0x0d, 0x0a];

/// The second word of a `.pyc` that names its source by a hash, which Python does not
/// compare when it loads it: times and sizes do not matter, and the source is not read.
const UNCHECKED_HASH: [u8; 4] = [1, 0, 0, 0];

/// The folder beside a source that holds its bytecode.
pub(crate) const FOLDER: &str = "__pycache__";

/// Magic, kind and hash.
const HEADER_BYTES: usize = 16;

/// The path of the bytecode of the source `path` (both with `/`); `None` where `path` is
/// no source.
pub(crate) fn path_of(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".py")?;
    let (folder, name) = match stem.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), stem),
    };
    (!name.is_empty()).then(|| format!("{folder}{FOLDER}/{name}.cpython-314.pyc"))
}

/// Whether `pyc` is what CPython 3.14 made of exactly this `source`, and loads without
/// looking at it.
///
/// Python itself does not compare an unchecked hash: one that is wrong would run other
/// code than the source says.
pub(crate) fn belongs(pyc: &[u8], source: &[u8]) -> bool {
    let Some((header, _)) = pyc.split_at_checked(HEADER_BYTES) else {
        return false;
    };
    header[..4] == MAGIC && header[4..8] == UNCHECKED_HASH && header[8..] == source_hash(source)
}

/// The code in a file of bytecode, as `marshal` wrote it.
pub(crate) fn code(pyc: &[u8]) -> &[u8] {
    pyc.get(HEADER_BYTES..).unwrap_or_default()
}

/// CPython's hash of a source (`_imp.source_hash`): SipHash-1-3 under the key
/// ([`MAGIC`], 0). See "SipHash: a fast short-input PRF", Aumasson and Bernstein, 2012.
fn source_hash(source: &[u8]) -> [u8; 8] {
    let key = u64::from(u32::from_le_bytes(MAGIC));
    let mut state = [
        0x736f_6d65_7073_6575 ^ key,
        0x646f_7261_6e64_6f6d,
        0x6c79_6765_6e65_7261 ^ key,
        0x7465_6462_7974_6573,
    ];
    let (words, rest) = source.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    // The top byte of the last word is the length's lowest.
    last[7] = source.len() as u8;
    for word in words.iter().chain([&last]) {
        let word = u64::from_le_bytes(*word);
        state[3] ^= word;
        round(&mut state);
        state[0] ^= word;
    }
    state[2] ^= 0xff;
    for _ in 0..3 {
        round(&mut state);
    }
    (state[0] ^ state[1] ^ state[2] ^ state[3]).to_le_bytes()
}

fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Bytecode that belongs to `source`, of no code.
    pub(crate) fn bytecode(source: &[u8]) -> Vec<u8> {
        [&MAGIC[..], &UNCHECKED_HASH, &source_hash(source), b"code"].concat()
    }

    #[test]
    fn bytecode_lies_where_cpython_looks_for_it() {
        for (source, expected) in [
            ("os.py", Some("__pycache__/os.cpython-314.pyc")),
            (
                "a/b/__init__.py",
                Some("a/b/__pycache__/__init__.cpython-314.pyc"),
            ),
            ("a/b.c.py", Some("a/__pycache__/b.c.cpython-314.pyc")),
            ("a/b.pyi", None),
            ("a/.py", None),
            ("LICENSE.txt", None),
        ] {
            assert_eq!(path_of(source).as_deref(), expected);
        }
    }

    /// `_imp.source_hash(_imp.pyc_magic_number_token, source)` of CPython 3.14.0.
    #[test]
    fn the_hash_is_cpythons() {
        let all: Vec<u8> = (0..1000).map(|i| (i % 251) as u8).collect();
        for (source, expected) in [
            (&b""[..], [97, 245, 183, 203, 101, 58, 106, 164]),
            (b"x = 1\n", [29, 178, 182, 50, 92, 162, 130, 167]),
            (&all[..7], [231, 62, 159, 226, 62, 205, 97, 65]),
            (&all[..8], [37, 39, 141, 152, 32, 207, 17, 151]),
            (&all, [177, 62, 171, 44, 17, 125, 186, 37]),
        ] {
            assert_eq!(source_hash(source), expected, "{} bytes", source.len());
        }
    }

    #[test]
    fn only_the_bytecode_of_this_source_belongs_to_it() {
        let source = b"x = 1\n";
        let mut pyc = bytecode(source);
        assert_eq!(code(&pyc), b"code");
        assert!(belongs(&pyc, source));
        assert!(!belongs(&pyc, b"x = 2\n"));
        assert!(!belongs(&pyc[..15], source));
        // Another Python's; one whose source Python would have to look at.
        for at in [0, 4, 8] {
            pyc[at] ^= 2;
            assert!(!belongs(&pyc, source));
            pyc[at] ^= 2;
        }
    }
}
