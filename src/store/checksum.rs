//! Checksums that others wrote down, of what a file should hold.

#![cfg_attr(
    not(feature = "wheels"),
    allow(dead_code, reason = "only lock files have checksums")
)]

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// What a file's content has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// All of the checksums are the content's.
    All(Vec<Checksum>),
    /// One of them is: they are those of several files.
    Any(Vec<Checksum>),
}

impl Check {
    pub(crate) fn passes(&self, content: &[u8]) -> bool {
        match self {
            Self::All(checksums) => checksums.iter().all(|checksum| checksum.fits(content)),
            Self::Any(checksums) => checksums.iter().any(|checksum| checksum.fits(content)),
        }
    }
}

/// A checksum that is safe to rely on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Sha256(String),
    Sha384(String),
    Sha512(String),
}

impl Checksum {
    /// `None` for an algorithm that is no safe choice, or a value that is none of it.
    pub(crate) fn parse(algorithm: &str, hexadecimal: &str) -> Option<Self> {
        let hexadecimal = hexadecimal.to_ascii_lowercase();
        let (digits, make): (usize, fn(String) -> Self) = match algorithm {
            "sha256" => (64, Self::Sha256),
            "sha384" => (96, Self::Sha384),
            "sha512" => (128, Self::Sha512),
            _ => return None,
        };
        let valid =
            hexadecimal.len() == digits && hexadecimal.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| make(hexadecimal))
    }

    fn fits(&self, content: &[u8]) -> bool {
        match self {
            Self::Sha256(expected) => *expected == hexadecimal(&Sha256::digest(content)),
            Self::Sha384(expected) => *expected == hexadecimal(&Sha384::digest(content)),
            Self::Sha512(expected) => *expected == hexadecimal(&Sha512::digest(content)),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_content() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let hash = Checksum::parse("sha256", &empty.to_ascii_uppercase()).unwrap();
        assert!(hash.fits(b"") && !hash.fits(b"x"));
        let both = [
            hash,
            Checksum::parse("sha256", &empty.replace('e', "f")).unwrap(),
        ]
        .to_vec();
        assert!(Check::Any(both.clone()).passes(b"") && !Check::Any(both.clone()).passes(b"x"));
        assert!(
            !Check::All(both.clone()).passes(b"") && Check::All(both[..1].to_vec()).passes(b"")
        );
        let long = hexadecimal(&Sha512::digest(b"x"));
        assert!(Checksum::parse("sha512", &long).unwrap().fits(b"x"));
        let middle = hexadecimal(&Sha384::digest(b"x"));
        assert!(Checksum::parse("sha384", &middle).unwrap().fits(b"x"));
        for (algorithm, value) in [
            ("md5", "d41d8cd98f00b204e9800998ecf8427e"),
            ("sha256", &empty[1..]),
            ("sha256", &empty.replace('e', "g")),
            ("SHA256", empty),
        ] {
            assert_eq!(Checksum::parse(algorithm, value), None);
        }
    }
}
