//! RECORD: what a wheel says it holds, against what it does hold.
//!
//! Installers read it loosely, and many wheels in use have one that is not exact. So that
//! is a warning, and content whose hash is another an error.

use crate::archives::archive::File;
use crate::archives::listing::named;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The differences between the wheel's RECORD and its `files`, if there are any.
///
/// # Errors
/// When there is no RECORD, or when content is not what it says and more than line ends
/// differ.
pub(crate) fn check(files: &[File], dist_info: &str) -> Result<Option<String>, String> {
    let path = format!("{dist_info}/RECORD");
    let Some((_, record)) = files.iter().find(|(name, _)| *name == path) else {
        return Err(format!("it has no `{path}`"));
    };
    let record = String::from_utf8_lossy(record);
    let names: HashSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let mut differences = Differences::default();
    let listed = listed(&record, &names, &mut differences);
    // Signatures cannot be listed, since RECORD is what they sign.
    let unlisted = [path.clone(), format!("{path}.jws"), format!("{path}.p7s")];
    let present: Vec<&File> = files
        .iter()
        .filter(|(name, _)| !unlisted.contains(name))
        .collect();
    let found: Vec<(&str, Finding)> = present
        .par_iter()
        .map(|(name, content)| {
            let finding = match listed.get(name.as_str()) {
                Some(hashes) => compare(content, hashes),
                None => Finding::NotListed,
            };
            (name.as_str(), finding)
        })
        .collect();
    for (name, finding) in found {
        match finding {
            Finding::Right => {}
            Finding::NotListed => differences.add("does not list", name),
            Finding::NoHash => differences.add("has no hash it can be checked by for", name),
            Finding::LineEnds => differences.add("has the hash of other line ends for", name),
            Finding::Wrong => {
                return Err(format!(
                    "`{name}` is not what `{path}` says: the wheel was damaged or changed"
                ));
            }
        }
    }
    Ok(differences.shown(&path))
}

/// What differs, by what it is.
#[derive(Default)]
struct Differences(BTreeMap<&'static str, Vec<String>>);

impl Differences {
    fn add(&mut self, what: &'static str, name: &str) {
        let names = self.0.entry(what).or_default();
        names.push(name.escape_debug().to_string());
    }

    fn shown(&self, path: &str) -> Option<String> {
        let all: Vec<String> = self
            .0
            .iter()
            .map(|(what, names)| format!("{what} {}", named(names)))
            .collect();
        (!all.is_empty()).then(|| format!("`{path}` is not exact: it {}", all.join("; it ")))
    }
}

/// What comparing a file with its hashes gave.
enum Finding {
    Right,
    NotListed,
    NoHash,
    LineEnds,
    Wrong,
}

/// The hashes that RECORD has for each of `names`. A file may be listed twice.
fn listed(
    record: &str,
    names: &HashSet<&str>,
    differences: &mut Differences,
) -> HashMap<String, Vec<String>> {
    let mut listed: HashMap<String, Vec<String>> = HashMap::new();
    for line in record.trim_start_matches('\u{feff}').lines() {
        if line.trim().is_empty() {
            continue;
        }
        let (written, hash) = row(line);
        let mut name = written.trim_start_matches("./").to_owned();
        if !names.contains(name.as_str()) {
            // As some tools for Windows write it.
            name = name.replace('\\', "/");
        }
        if names.contains(name.as_str()) {
            listed.entry(name).or_default().push(hash);
        } else if name.ends_with('/') {
            differences.add("lists the folder", &name);
        } else {
            differences.add("lists what is not there,", &name);
        }
    }
    listed
}

/// The name and the hash of one row. Names with a comma are not always quoted: the last
/// two fields are the hash and the size.
fn row(line: &str) -> (String, String) {
    let mut fields = csv(line);
    if fields.len() > 3 && !line.starts_with('"') {
        let rest = fields.split_off(fields.len() - 2);
        fields = vec![fields.join(",")];
        fields.extend(rest);
    }
    let mut fields = fields.into_iter();
    let name = fields.next().unwrap_or_default();
    (name, fields.next().unwrap_or_default())
}

/// Compares content with the hashes of its rows: one that fits is enough.
fn compare(content: &[u8], hashes: &[String]) -> Finding {
    let known: Vec<(&str, &str)> = hashes
        .iter()
        .filter_map(|hash| hash.split_once('='))
        .filter(|(algorithm, _)| digest(algorithm, b"").is_some())
        .collect();
    if known.is_empty() {
        return Finding::NoHash;
    }
    let fits = |content: &[u8]| {
        known.iter().any(|(algorithm, expected)| {
            digest(algorithm, content).is_some_and(|digest| is_written(&digest, expected))
        })
    };
    if fits(content) {
        return Finding::Right;
    }
    let unix = to_unix(content);
    match fits(&unix) || fits(&to_windows(&unix)) {
        true => Finding::LineEnds,
        false => Finding::Wrong,
    }
}

/// The digest by an algorithm that is safe; `None` for others.
fn digest(algorithm: &str, content: &[u8]) -> Option<Vec<u8>> {
    match algorithm.trim() {
        "sha256" => Some(Sha256::digest(content).to_vec()),
        "sha384" => Some(Sha384::digest(content).to_vec()),
        "sha512" => Some(Sha512::digest(content).to_vec()),
        _ => None,
    }
}

/// Whether `text` is the digest: in the base64 of the format, in the usual one, or in
/// hexadecimal digits.
fn is_written(digest: &[u8], text: &str) -> bool {
    let text = text.trim().trim_end_matches('=');
    let hex = || {
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    base64_url(digest) == text.replace('+', "-").replace('/', "_") || hex() == text
}

fn to_unix(content: &[u8]) -> Vec<u8> {
    let mut unix = Vec::with_capacity(content.len());
    for (index, &byte) in content.iter().enumerate() {
        if !(byte == b'\r' && content.get(index + 1) == Some(&b'\n')) {
            unix.push(byte);
        }
    }
    unix
}

fn to_windows(unix: &[u8]) -> Vec<u8> {
    let mut windows = Vec::with_capacity(unix.len());
    for &byte in unix {
        if byte == b'\n' {
            windows.push(b'\r');
        }
        windows.push(byte);
    }
    windows
}

/// The fields of one line of RECORD.
fn csv(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else {
            break;
        };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

/// Base64 with `-` and `_`, without padding.
pub(crate) fn base64_url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0u32, |word, &byte| word << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(DIGITS[(word >> (18 - 6 * digit)) as usize & 63].into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "app-1.0.dist-info";

    /// What there is to say of a wheel of these files whose RECORD has these rows.
    fn checked(rows: &[&str], files: &[(&str, &str)]) -> Result<Option<String>, String> {
        let file =
            |(name, content): &(&str, &str)| ((*name).to_owned(), content.as_bytes().to_vec());
        let mut all: Vec<File> = files.iter().map(file).collect();
        all.push((format!("{INFO}/RECORD"), rows.join("\n").into_bytes()));
        check(&all, INFO)
    }

    fn row_of(name: &str, content: &str) -> String {
        let digest = base64_url(&Sha256::digest(content));
        format!("{name},sha256={digest},{}", content.len())
    }

    #[test]
    fn what_is_not_exact_is_said() {
        let right = row_of("app.py", "x\n");
        let windows = row_of("app.py", "x\r\n");
        let unsafe_hash = right.replace("sha256", "md5");
        let misspelt = right.replace("sha256", "sha");
        for (rows, said) in [
            (vec![], "does not list `app.py`"),
            (
                vec![right.as_str(), "gone.py,sha256=x,1"],
                "lists what is not there, `gone.py`",
            ),
            (
                vec![&right, "../../bin/app,,"],
                "lists what is not there, `../../bin/app`",
            ),
            (vec![&right, "app/,,"], "lists the folder `app/`"),
            (
                vec![&windows],
                "has the hash of other line ends for `app.py`",
            ),
            (
                vec!["app.py,,"],
                "has no hash it can be checked by for `app.py`",
            ),
            (
                vec!["app.py"],
                "has no hash it can be checked by for `app.py`",
            ),
            (
                vec![&unsafe_hash],
                "has no hash it can be checked by for `app.py`",
            ),
            (
                vec![&misspelt],
                "has no hash it can be checked by for `app.py`",
            ),
        ] {
            let warning = checked(&rows, &[("app.py", "x\n")]).unwrap().unwrap();
            assert!(warning.contains(said), "{said}: {warning}");
        }
        let many: Vec<(String, &str)> = (0..20).map(|n| (format!("{n}.py"), "")).collect();
        let many: Vec<(&str, &str)> = many
            .iter()
            .map(|(name, text)| (name.as_str(), *text))
            .collect();
        let warning = checked(&[], &many).unwrap().unwrap();
        assert!(warning.contains("`7.py` and 12 more"), "{warning}");
    }

    #[test]
    fn other_ways_to_write_it_are_no_difference() {
        let right = row_of("app.py", "x");
        let hex = format!("app.py,sha256={:x},1", Sha256::digest("x"));
        let usual = right.replace('-', "+").replace('_', "/");
        for rows in [
            vec![right.as_str(), ""],
            vec![&right, &right],
            vec!["app.py,sha256=wrong,1", &right],
            vec![&hex],
            vec![&usual],
            vec![&right.replace("app.py", "./app.py")],
            vec![&format!("\u{feff}{right}\r")],
        ] {
            assert_eq!(checked(&rows, &[("app.py", "x")]), Ok(None), "{rows:?}");
        }
        let comma = row_of("d/a,b.txt", "y");
        let quoted = comma.replace("d/a,b.txt", "\"d/a,b.txt\"");
        for row in [comma, quoted, row_of("d\\a,b.txt", "y")] {
            assert_eq!(checked(&[&row], &[("d/a,b.txt", "y")]), Ok(None), "{row}");
        }
        let signature = (&*format!("{INFO}/RECORD.jws"), "{}");
        assert_eq!(checked(&[&right], &[("app.py", "x"), signature]), Ok(None));
    }

    #[test]
    fn other_content_is_an_error() {
        let row = row_of("app.py", "x\n");
        for content in ["y\n", "x", "x\r", "x\n\n", ""] {
            let problem = checked(&[&row], &[("app.py", content)]).unwrap_err();
            assert!(problem.contains("damaged or changed"), "{problem}");
        }
    }

    #[test]
    fn base64_is_that_of_the_format() {
        assert_eq!(base64_url(b""), "");
        assert_eq!(base64_url(b"f"), "Zg");
        assert_eq!(base64_url(b"fo"), "Zm8");
        assert_eq!(base64_url(b"foo"), "Zm9v");
        assert_eq!(base64_url(&[0xff, 0xef, 0xbf]), "_--_");
    }
}
