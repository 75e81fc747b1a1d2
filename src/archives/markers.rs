//! Environment markers: conditions in requirements and lock files, as they are for
//! CPython 3.14 on WASI.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/dependency-specifiers/>,
//! and for the two sets of lock files
//! <https://packaging.python.org/en/latest/specifications/pylock-toml/>.

use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{
    MarkerEnvironment, MarkerEnvironmentBuilder, MarkerTree, Requirement, VerbatimUrl,
};
use std::str::FromStr;

/// What CPython 3.14 for WASI says about itself (`os.name`, `sys.platform`,
/// `platform.*`). The patch release differs between runtimes; no package of note
/// depends on it.
pub(crate) const HERE: MarkerEnvironmentBuilder<'static> = MarkerEnvironmentBuilder {
    implementation_name: "cpython",
    implementation_version: "3.14.0",
    os_name: "posix",
    platform_machine: "wasm32",
    platform_python_implementation: "CPython",
    platform_release: "0.0.0",
    platform_system: "wasi",
    platform_version: "0.0.0",
    python_full_version: "3.14.0",
    python_version: "3.14",
    sys_platform: "wasi",
};

/// Where pep508_rs 0.9 expects an operator, it panics at the second half of a character.
/// Names, versions and URLs are ASCII.
const NOT_ASCII: &str = "it holds characters that are not ASCII";

/// Reads a requirement.
///
/// # Errors
/// Why it is none.
pub(crate) fn requirement(text: &str) -> Result<Requirement<VerbatimUrl>, String> {
    let text = text.trim();
    if !text.is_ascii() {
        return Err(NOT_ASCII.to_owned());
    }
    // Of a name that ends so, and that something follows, pep508_rs 0.9 panics.
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let extras = rest.trim_start().strip_prefix('[').unwrap_or_default();
    let extras = extras.split([']', '@', ';']).next().unwrap_or_default();
    let extras = extras.split(|c| !is_word(c));
    let mut names = [name].into_iter().chain(extras);
    if let Some(name) = names.find(|name| name.ends_with(['.', '_', '-'])) {
        return Err(format!("the name `{}` ends in no letter", clip(name)));
    }
    Requirement::from_str(text).map_err(|e| clip(&e.to_string()))
}

/// What is chosen of what lock files can select by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chosen<'a> {
    pub(crate) extras: &'a [String],
    pub(crate) groups: &'a [String],
}

/// Whether a marker holds here, with what is `chosen`.
///
/// # Errors
/// Why it is no marker.
pub(crate) fn holds(marker: &str, chosen: Chosen<'_>) -> Result<bool, String> {
    let wrong = |why: &str| format!("the marker `{}` is none: {}", clip(marker), clip(why));
    if !marker.is_ascii() {
        return Err(wrong(NOT_ASCII));
    }
    let replaced = with_sets(marker, chosen);
    let here = MarkerEnvironment::try_from(HERE).map_err(|e| e.to_string())?;
    let tree =
        MarkerTree::parse_str::<VerbatimUrl>(&replaced).map_err(|e| wrong(&e.to_string()))?;
    Ok(tree.evaluate(&here, &[]))
}

/// Whether this Python is one of `specifiers`.
///
/// # Errors
/// Why they are none.
pub(crate) fn is_for_this_python(specifiers: &str) -> Result<bool, String> {
    let wrong = |e: String| format!("`{}` are no versions: {}", clip(specifiers), clip(&e));
    let wanted = VersionSpecifiers::from_str(specifiers).map_err(|e| wrong(e.to_string()))?;
    let python = Version::from_str(HERE.python_full_version).map_err(|e| wrong(e.to_string()))?;
    Ok(wanted.contains(&python))
}

/// `marker` with `"name" in extras` and `"name" in dependency_groups`, which only lock
/// files have, replaced by what is always or never so.
fn with_sets(marker: &str, chosen: Chosen<'_>) -> String {
    let tokens = tokens(marker);
    let mut replaced = String::with_capacity(marker.len());
    let mut at = 0;
    while at < tokens.len() {
        let (not, set) = match tokens[at..] {
            [_, "not", "in", set, ..] => (true, set),
            [_, "in", set, ..] => (false, set),
            _ => (false, ""),
        };
        let names = match set {
            "extras" => Some(chosen.extras),
            "dependency_groups" => Some(chosen.groups),
            _ => None,
        };
        match names {
            Some(names) if tokens[at].starts_with(['"', '\'']) => {
                let name = normalized(tokens[at].trim_matches(['"', '\'']));
                let holds = names.iter().any(|chosen| normalized(chosen) == name) != not;
                replaced += ["python_version < '0'", "python_version >= '0'"][usize::from(holds)];
                at += if not { 4 } else { 3 };
            }
            _ => {
                replaced += tokens[at];
                at += 1;
            }
        }
        replaced.push(' ');
    }
    replaced
}

/// Words, quoted texts, and single other characters.
fn tokens(marker: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "_.".contains(c);
    let is_operator = |c: char| "<>=!~".contains(c);
    let mut tokens = Vec::new();
    let mut rest = marker.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |fits: &dyn Fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let end = match first {
            '"' | '\'' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            c if is_word(c) => end_of(&is_word),
            c if is_operator(c) => end_of(&is_operator),
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(end);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

/// A project's name as indexes compare it.
pub(crate) fn normalized(name: &str) -> String {
    let mut normalized = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c {
            '-' | '_' | '.' if normalized.ends_with('-') => {}
            '-' | '_' | '.' => normalized.push('-'),
            c => normalized.extend(c.to_lowercase()),
        }
    }
    normalized
}

/// The beginning of a text that others wrote, in one line.
pub(crate) fn clip(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut clipped: String = line.chars().take(100).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
        .escape_debug()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_those_of_this_python() {
        for (marker, expected) in [
            ("sys_platform == 'wasi'", true),
            ("sys_platform != 'wasi' or python_version < '3.9'", false),
            ("'dev' in dependency_groups", true),
            (
                "\"Dev\" in dependency_groups and sys_platform == 'wasi'",
                true,
            ),
            ("'docs' in dependency_groups", false),
            ("'docs' not in dependency_groups", true),
            ("'web' in extras", false),
            ("'C_L_I' in extras and 'web' not in extras", true),
            (
                "('web' in extras or 'gui' not  in extras) and os_name == 'posix'",
                true,
            ),
            ("'wasm' in platform_machine", true),
            // A text that looks like a set is a text.
            ("platform_version != \"'x' in extras\"", true),
        ] {
            let chosen = Chosen {
                extras: &["c.l-i".to_owned()],
                groups: &["dev".to_owned()],
            };
            assert_eq!(holds(marker, chosen), Ok(expected), "{marker}");
        }
        for wrong in [
            "",
            "x",
            "'a' in",
            "'unclosed",
            "extras",
            "os_name == 'a' os_name",
        ] {
            let problem = holds(wrong, Chosen::default()).unwrap_err();
            assert!(problem.contains("the marker"), "{problem}");
        }
    }

    #[test]
    fn names_that_end_oddly_are_refused() {
        for wrong in [
            "a- ",
            "a-",
            "a->=1",
            "a.;x",
            "a[b-]",
            "a [b, c_ ] >=1",
            "-",
            "",
        ] {
            requirement(wrong).unwrap_err();
        }
        for good in ["a-b >= 1", "a[b-c,d]==1", " a.b ", "a @ https://e.org/[x-]"] {
            requirement(good).unwrap();
        }
    }

    #[test]
    fn versions_of_python_are_compared() {
        assert_eq!(is_for_this_python(">=3.9"), Ok(true));
        assert_eq!(is_for_this_python(">=3.9,<3.14"), Ok(false));
        assert!(is_for_this_python("three").unwrap_err().contains("`three`"));
    }

    #[test]
    fn names_are_compared_as_indexes_do() {
        assert_eq!(normalized("Zope._-Interface "), "zope-interface");
        assert_eq!(normalized("a.b"), "a-b");
    }
}
