//! SHA-256 digests, and keys made of named parts.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::OnceLock;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    /// The digest of one piece of content.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Parses what `Display` writes.
    pub(crate) fn parse(hex: &str) -> Option<Self> {
        let mut key = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (byte, digits) in key.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(key))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Content, and its digest once somebody asked for it: unoptimised, a digest of
/// what is built takes longer than to write it.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    digest: OnceLock<Digest>,
}

impl Blob {
    pub(crate) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(&self.bytes))
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            digest: OnceLock::new(),
        }
    }
}

/// Collects what a key depends on. Every part is framed by its label and length,
/// so that no two different lists of parts hash alike.
pub(crate) struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Starts a key of the kind `purpose`, bound to this crate's version.
    pub(crate) fn new(purpose: &str) -> Self {
        let mut builder = Self(Sha256::new());
        builder.part("purpose", purpose.as_bytes());
        builder.part("eryx-preinit-build", env!("CARGO_PKG_VERSION").as_bytes());
        builder
    }

    pub(crate) fn part(&mut self, label: &str, content: &[u8]) -> &mut Self {
        for bytes in [label.as_bytes(), content] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
        self
    }

    pub(crate) fn finish(&mut self) -> Digest {
        Digest(self.0.finalize_reset().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_framed() {
        let ab = KeyBuilder::new("t").part("a", b"bc").finish();
        let a_b = KeyBuilder::new("t").part("ab", b"c").finish();
        let twice = KeyBuilder::new("t").part("a", b"b").part("", b"c").finish();
        assert!(ab != a_b && ab != twice && a_b != twice);
    }

    #[test]
    fn a_key_reads_back() {
        let key = Digest::of(b"x");
        assert_eq!(Digest::parse(&key.to_string()), Some(key));
        assert_eq!(Digest::parse("zz"), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
    }
}
