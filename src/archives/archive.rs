//! What every archive of packages has to keep to: names that stay inside, and no
//! more content than a package can have.
//!
//! Archives are read into memory and checked as a whole before anything is
//! written, so a refused one leaves nothing.

use std::io::Read;

/// More files than this are refused.
pub(crate) const FILES_MAX: usize = 100_000;
/// More content than this is refused, in bytes.
pub(crate) const BYTES_MAX: u64 = 1 << 30;
/// Above [`BOMB_BYTES`], content that is this many times larger than the archive
/// is refused: text packs to a fifth or a tenth, bombs to a thousandth.
const BOMB_RATIO: u64 = 200;
const BOMB_BYTES: u64 = 64 << 20;

/// A file of an archive: its path with `/`, and its content.
pub(crate) type File = (String, Vec<u8>);

/// The name of a member, if it leads to a place inside the folder it is unpacked
/// to, on every system.
///
/// # Errors
/// Why it does not.
pub(crate) fn inside(name: &str) -> Result<&str, String> {
    let problem = if name.is_empty() {
        "has an empty name"
    } else if name.starts_with('/') || name.as_bytes().get(1) == Some(&b':') {
        "has an absolute path"
    } else if name.contains('\\') {
        "has a backslash in its path, which is a separator on Windows"
    } else if name.chars().any(char::is_control) {
        "has control characters in its path"
    } else if name.split('/').any(|part| part == "..") {
        "leads out of the archive's folder"
    } else if name.split('/').any(|part| part.is_empty() || part == ".") {
        "has an odd path"
    } else {
        return Ok(name);
    };
    Err(format!("`{}` {problem}", name.escape_debug()))
}

/// The same, for formats in which `./a//b` is another way to write `a/b`.
///
/// # Errors
/// As [`inside`].
pub(crate) fn inside_loosely(name: &str) -> Result<String, String> {
    if name.starts_with('/') {
        return inside(name).map(str::to_owned);
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    inside(&parts.join("/")).map(str::to_owned)
}

/// Reads members, and counts what they hold.
pub(crate) struct Budget {
    /// What a whole archive of this size may hold, in bytes.
    limit: u64,
    used: u64,
    files: usize,
}

impl Budget {
    pub(crate) fn new(archive_bytes: u64) -> Self {
        Self {
            limit: archive_bytes
                .saturating_mul(BOMB_RATIO)
                .clamp(BOMB_BYTES, BYTES_MAX),
            used: 0,
            files: 0,
        }
    }

    /// How many bytes to unpack at most, names and paddings included.
    pub(crate) fn stream_limit(&self) -> u64 {
        self.limit + FILES_MAX as u64 * 1024
    }

    /// The content of the next member.
    ///
    /// # Errors
    /// When there is too much of it, or it is damaged.
    pub(crate) fn read(&mut self, name: &str, content: impl Read) -> Result<Vec<u8>, String> {
        self.files += 1;
        if self.files > FILES_MAX {
            return Err(format!("it holds more than {FILES_MAX} files"));
        }
        // Whatever the header says about the size.
        let left = self.limit.saturating_sub(self.used);
        let mut bytes = Vec::new();
        content
            .take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| format!("`{name}` is damaged: {e}"))?;
        self.count(bytes.len())?;
        Ok(bytes)
    }

    /// Counts a file that holds what another one does.
    ///
    /// # Errors
    /// When there is too much.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.files += 1;
        if self.files > FILES_MAX {
            return Err(format!("it holds more than {FILES_MAX} files"));
        }
        self.count(bytes.len())
    }

    fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.used += bytes as u64;
        match self.limit {
            limit if self.used <= limit => Ok(()),
            BYTES_MAX => Err(format!("it holds more than {} MiB", BYTES_MAX >> 20)),
            _ => Err(format!(
                "its content is more than {BOMB_RATIO} times larger than the archive"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_stay_inside_pass() {
        for good in ["a", "a/b.py", "a..b/c", ".hidden", "ünï/蛇.py"] {
            assert_eq!(inside(good), Ok(good));
        }
        for (bad, said) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("C:/x", "absolute"),
            ("../x", "leads out"),
            ("a/../../x", "leads out"),
            ("a\\..\\x", "backslash"),
            ("a//b", "odd"),
            ("./a", "odd"),
            ("a\nb", "control"),
        ] {
            let problem = inside(bad).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }

    #[test]
    fn what_does_not_count_is_left_out_of_a_name() {
        assert_eq!(inside_loosely("./a//b/."), Ok("a/b".to_owned()));
        for bad in ["", "./", "/a", "a/../b", "./../a"] {
            assert!(inside_loosely(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_read() {
        let mut budget = Budget::new(1000);
        let mut zeros = std::io::repeat(0).take(1 << 30);
        let problem = budget.read("zeros", &mut zeros);
        assert!(problem.unwrap_err().contains("200 times larger"));
        assert_eq!(zeros.limit(), (1 << 30) - BOMB_BYTES - 1);
        let mut budget = Budget::new(u64::MAX);
        budget.used = BYTES_MAX - 10;
        let problem = budget.read("endless", std::io::repeat(0));
        assert!(problem.unwrap_err().contains("more than 1024 MiB"));
    }
}
