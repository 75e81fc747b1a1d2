//! `requirements.txt`, with a version and hashes for each requirement, as `uv export
//! --format requirements-txt` and `pip-compile --generate-hashes` write it.
//!
//! Format: <https://pip.pypa.io/en/stable/reference/requirements-file-format/>.

use super::pylock::decoded;
use super::{Locked, LockedFile, Origin, add};
use crate::archives::archive;
use crate::archives::markers::{self, HERE, clip};
use crate::store::checksum::{Check, Checksum};
use pep508_rs::pep440_rs::Operator;
use pep508_rs::{MarkerEnvironment, VersionOrUrl};

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    pub(crate) locked: Vec<Locked>,
    /// Other files to read, from this one's folder.
    pub(crate) included: Vec<String>,
}

/// Options that say where from and how to install: nothing is downloaded here.
const NOT_FOR_US: [&str; 12] = [
    "-i",
    "--index-url",
    "--extra-index-url",
    "--no-index",
    "-f",
    "--find-links",
    "--trusted-host",
    "--require-hashes",
    "--pre",
    "--prefer-binary",
    "--only-binary",
    "--no-binary",
];

/// The requirements that are for this Python.
///
/// # Errors
/// Everything found wrong, with the number of its line.
pub(crate) fn read(text: &str) -> Result<Requirements, Vec<String>> {
    let mut read = Requirements::default();
    let mut problems = Vec::new();
    let text = text.trim_start_matches('\u{feff}');
    for (number, line) in lines(text) {
        let result = match option(&line) {
            Some(("-r" | "--requirement", file)) if !file.is_empty() => {
                read.included.push(file.to_owned());
                Ok(None)
            }
            Some((name, _)) if NOT_FOR_US.contains(&name) => Ok(None),
            Some((name, _)) => Err(format!("the option `{}` is not understood", clip(name))),
            None => requirement(&line),
        };
        match result {
            Ok(locked) => read.locked.extend(locked),
            Err(problem) => add(&mut problems, format!("line {number}: {problem}")),
        }
    }
    match problems.is_empty() {
        true => Ok(read),
        false => Err(problems),
    }
}

/// Lines with the number of their first one, continued ones joined, without comments.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let comment = line.trim_start().starts_with('#');
        let continued = !comment && line.ends_with('\\');
        let line = line
            .strip_suffix('\\')
            .filter(|_| continued)
            .unwrap_or(line);
        match joined.last_mut() {
            Some((_, before)) if open => *before += line,
            _ => joined.push((index + 1, line.to_owned())),
        }
        open = continued;
    }
    for (_, line) in &mut joined {
        let is_space = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
        let mut marks = line.match_indices('#').map(|(at, _)| at);
        if let Some(comment) = marks.find(|&at| is_space(at)) {
            line.truncate(comment);
        }
        *line = line.trim().to_owned();
    }
    joined.retain(|(_, line)| !line.is_empty());
    joined
}

/// The option that a line is, and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    line.starts_with('-').then(|| {
        let end = line.find(|c: char| c == '=' || c.is_whitespace());
        let (name, value) = line.split_at(end.unwrap_or(line.len()));
        (name, value.trim_start_matches('=').trim())
    })
}

/// `None` for one that is not for this Python.
fn requirement(line: &str) -> Result<Option<Locked>, String> {
    let (text, options) = match line.find(" --") {
        Some(at) => line.split_at(at),
        None => (line, ""),
    };
    let shown = clip(text.trim());
    if text.starts_with(['.', '/']) || text.trim_end().ends_with(".whl") && !text.contains('@') {
        return Err(format!(
            "`{shown}` is a path, which locks nothing: name it in `packages`"
        ));
    }
    let requirement =
        markers::requirement(text).map_err(|e| format!("`{shown}` is no requirement: {e}"))?;
    let here = MarkerEnvironment::try_from(HERE).map_err(|e| e.to_string())?;
    if !requirement.evaluate_markers(&here, &[]) {
        return Ok(None);
    }
    let hashes = hashes(options);
    if hashes.is_empty() {
        return Err(format!("`{shown}` has no hash (`--hash=sha256:…`)"));
    }
    let not_pinned = || format!("`{shown}` is not pinned to one version (`==`)");
    let (version, origin) = match &requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
            let [specifier] = &specifiers[..] else {
                return Err(not_pinned());
            };
            if ![Operator::Equal, Operator::ExactEqual].contains(specifier.operator()) {
                return Err(not_pinned());
            }
            let version = specifier.version().clone();
            (Some(version), Origin::Hashes(Check::Any(hashes)))
        }
        Some(VersionOrUrl::Url(url)) => {
            let url = url.to_string();
            let path = url.split(['?', '#']).next().unwrap_or(&url);
            let name = decoded(path.rsplit('/').next().unwrap_or(path));
            if url.starts_with("git+") || name.contains('/') || archive::inside(&name).is_err() {
                return Err(format!("`{shown}` is locked by no file"));
            }
            let check = Check::Any(hashes);
            (None, Origin::Files(vec![LockedFile { name, check }]))
        }
        None => return Err(not_pinned()),
    };
    Ok(Some(Locked {
        name: requirement.name,
        version,
        index: None,
        origin,
    }))
}

/// The values of `--hash=ALGORITHM:VALUE` that are known.
fn hashes(options: &str) -> Vec<Checksum> {
    let words = options.replace("--hash", " ").replace('=', " ");
    words
        .split_whitespace()
        .filter_map(|word| word.split_once(':'))
        .filter_map(|(algorithm, value)| Checksum::parse(algorithm, value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn what_tools_write_is_read() {
        let text = format!(
            "\u{feff}# made by a tool\n--index-url https://pypi.org/simple\n-r other.txt\n\
             --requirement=more.txt # why\n\
             Attrs[x]==26.1.0 \\\n    --hash=sha256:{A} \\\n    --hash=sha512:{A}{A}\n    # via app\n\
             colorama==0.4 ; sys_platform == 'win32' --hash=sha256:{A}\n\
             wasi-only===1.0 ; sys_platform == 'wasi' --hash md5:0 --hash sha256:{A}\n\
             url @ https://e.org/u-1%2Bx-py3-none-any.whl#frag --hash=sha256:{A}\n\n"
        );
        let read = read(&text).unwrap();
        assert_eq!(read.included, ["other.txt", "more.txt"]);
        let shown: Vec<String> = read.locked.iter().map(Locked::shown).collect();
        assert_eq!(shown, ["attrs==26.1.0", "wasi-only==1.0", "url"]);
        let sha256 = Checksum::Sha256(A.to_owned());
        let sha512 = Checksum::Sha512(A.repeat(2));
        let both = Origin::Hashes(Check::Any(vec![sha256.clone(), sha512]));
        assert_eq!(read.locked[0].origin, both);
        let one = Check::Any(vec![sha256]);
        assert_eq!(read.locked[1].origin, Origin::Hashes(one.clone()));
        let file = LockedFile {
            name: "u-1+x-py3-none-any.whl".to_owned(),
            check: one,
        };
        assert_eq!(read.locked[2].origin, Origin::Files(vec![file]));
    }

    #[test]
    fn what_locks_nothing_is_said_with_its_line() {
        let text = format!(
            "a==1\nb>=1 --hash=sha256:{A}\nc --hash=sha256:{A}\nd==1.* --hash=sha256:{A}\n\
             ./e --hash=sha256:{A}\n-e .\n??? \\\n --hash=sha256:{A}\n\
             f @ git+https://e.org/f --hash=sha256:{A}\ng==1,!=2 --hash=sha256:{A}\n"
        );
        let problems = read(&text).unwrap_err();
        for (problem, said) in problems.iter().zip([
            "line 1: `a==1` has no hash",
            "line 2: `b>=1` is not pinned",
            "line 3: `c` is not pinned",
            "line 4: `d==1.*` is not pinned",
            "line 5: `./e` is a path",
            "line 6: the option `-e` is not understood",
            "line 7: `???` is no requirement",
            "line 9: `f @ git+https://e.org/f` is locked by no file",
            "line 10: `g==1,!=2` is not pinned",
        ]) {
            assert!(problem.contains(said), "{problem}");
        }
        assert_eq!(problems.len(), 9, "{problems:?}");
        let many = read(&"a==1\n".repeat(100)).unwrap_err();
        assert_eq!((many.len(), many[20].as_str()), (21, "and more"));
    }
}
