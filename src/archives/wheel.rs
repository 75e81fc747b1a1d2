//! Wheels: a zip archive whose name says which Pythons it is for and whose RECORD
//! says what is in it.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>.

use crate::archives::archive::{self, Budget, File};
use crate::python::PYTHON;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use zip::ZipArchive;

/// A wheel whose content is what its RECORD says.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// As they lie in site-packages.
    pub(crate) files: Vec<File>,
    /// What is left out, for verbose output.
    pub(crate) notes: Vec<String>,
}

/// Reads the wheel `bytes`, called `file_name`.
///
/// # Errors
/// Everything found wrong with its name, or else the first thing with its content.
pub(crate) fn read(file_name: &str, bytes: &[u8]) -> Result<Wheel, String> {
    let name = Name::parse(file_name)?;
    name.check_tags()?;
    let files = unzip(bytes)?;
    let dist_info = dist_info(&files)?;
    check_record(&files, &dist_info)?;
    let content = |name: &str| {
        let path = format!("{dist_info}/{name}");
        let file = files.iter().find(|(name, _)| *name == path);
        file.map(|(_, content)| String::from_utf8_lossy(content))
            .ok_or_else(|| format!("it has no `{path}`"))
    };
    let wheel = content("WHEEL")?;
    let version = field(&wheel, "Wheel-Version").unwrap_or_default();
    if version.split('.').next() != Some("1") {
        return Err(format!(
            "its format has version `{version}`, and this crate reads 1.x"
        ));
    }
    content("METADATA")?;
    place(files, &dist_info)
}

/// Whether a wheel called `file_name` is for this Python, by its tags.
///
/// # Errors
/// Why it is not.
pub(crate) fn fits(file_name: &str) -> Result<(), String> {
    Name::parse(file_name)?.check_tags()
}

/// What the file name says.
struct Name<'a> {
    python: &'a str,
    abi: &'a str,
    platform: &'a str,
}

impl<'a> Name<'a> {
    fn parse(file_name: &'a str) -> Result<Self, String> {
        let stem = file_name.strip_suffix(".whl").unwrap_or(file_name);
        let parts: Vec<&str> = stem.split('-').collect();
        match parts[..] {
            [_, _, python, abi, platform] | [_, _, _, python, abi, platform] => Ok(Self {
                python,
                abi,
                platform,
            }),
            _ => Err(
                "its name is not that of a wheel (name-version-python-abi-platform.whl): give it \
                 back the name it was downloaded or built under"
                    .to_owned(),
            ),
        }
    }

    /// Whether one combination of the tags fits this Python.
    fn check_tags(&self) -> Result<(), String> {
        let fits = |tags: &str, fits: &dyn Fn(&str) -> bool| tags.split('.').any(fits);
        let abi3 = self.abi.split('.').any(|abi| abi == "abi3");
        let mut problems = Vec::new();
        if !fits(self.python, &|tag| python_fits(tag, abi3)) {
            problems.push(format!("the Python tag `{}`", self.python));
        }
        if !fits(self.abi, &|tag| {
            tag == "none" || tag == "abi3" || tag == format!("cp{}{}", PYTHON.0, PYTHON.1)
        }) {
            problems.push(format!("the ABI tag `{}`", self.abi));
        }
        if !fits(self.platform, &platform_fits) {
            problems.push(format!(
                "the platform tag `{}`{}",
                self.platform,
                platform_name(self.platform)
            ));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!(
            "it is for another Python: {} does not fit CPython {}.{} on wasm32-wasi; use a \
             `py3-none-any` wheel, or one built for WASI",
            problems.join(" and "),
            PYTHON.0,
            PYTHON.1
        ))
    }
}

fn python_fits(tag: &str, abi3: bool) -> bool {
    let version = |digits: &str| -> Option<(u32, u32)> {
        let major = digits.get(..1)?.parse().ok()?;
        match digits.get(1..)? {
            "" => Some((major, 0)),
            minor => Some((major, minor.parse().ok()?)),
        }
    };
    if let Some(digits) = tag.strip_prefix("py") {
        return version(digits)
            .is_some_and(|(major, minor)| major == PYTHON.0 && minor <= PYTHON.1);
    }
    match tag.strip_prefix("cp").and_then(version) {
        Some(wanted) if abi3 => wanted.0 == PYTHON.0 && wanted.1 <= PYTHON.1,
        Some(wanted) => wanted == PYTHON,
        None => false,
    }
}

/// `wasi_0_0_0_wasm32` and the other ways in which WASI is spelt.
fn platform_fits(tag: &str) -> bool {
    tag == "any" || (tag.contains("wasi") && tag.contains("wasm32"))
}

fn platform_name(tag: &str) -> &'static str {
    let names = [
        ("linux", " (Linux)"),
        ("macosx", " (macOS)"),
        ("win", " (Windows)"),
        ("emscripten", " (Emscripten)"),
        ("pyodide", " (Emscripten, for Pyodide)"),
        ("pyemscripten", " (Emscripten, for Pyodide)"),
        ("android", " (Android)"),
        ("ios", " (iOS)"),
    ];
    let name = names.iter().find(|(part, _)| tag.contains(part));
    name.map_or("", |(_, name)| name)
}

fn unzip(bytes: &[u8]) -> Result<Vec<File>, String> {
    let damaged = |e: zip::result::ZipError| format!("it is no whole zip archive: {e}");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    if zip.has_duplicate_names() {
        return Err("it holds two files of one name".to_owned());
    }
    if zip.has_overlapping_entries().map_err(damaged)? {
        return Err("its files overlap in the archive".to_owned());
    }
    let mut budget = Budget::new(bytes.len() as u64);
    let mut files = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        if entry.is_dir() {
            archive::inside(name.trim_end_matches('/'))?;
            continue;
        }
        archive::inside(&name)?;
        if entry.is_symlink() {
            return Err(format!(
                "`{name}` is a symbolic link, which a wheel cannot hold"
            ));
        }
        if entry.encrypted() {
            return Err(format!("`{name}` is encrypted"));
        }
        let member = zip
            .by_index(index)
            .map_err(|e| format!("`{name}` cannot be read: {e}"))?;
        let content = budget.read(&name, member)?;
        files.push((name, content));
    }
    if let Some((one, two)) = archive::case_collision(files.iter().map(|(name, _)| name.as_str())) {
        return Err(format!(
            "`{one}` and `{two}` are one file where case does not count"
        ));
    }
    Ok(files)
}

/// The wheel's own folder of metadata.
fn dist_info(files: &[File]) -> Result<String, String> {
    let mut folders: Vec<&str> = files
        .iter()
        .filter_map(|(name, _)| name.split_once('/'))
        .map(|(folder, _)| folder)
        .filter(|folder| folder.ends_with(".dist-info"))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    match folders[..] {
        [folder] => Ok(folder.to_owned()),
        [] => Err("it has no `.dist-info` folder: it is no wheel".to_owned()),
        _ => Err(format!(
            "it has more than one `.dist-info` folder: {}",
            folders.join(", ")
        )),
    }
}

/// Whether RECORD lists every file, and nothing else, with the right hash.
fn check_record(files: &[File], dist_info: &str) -> Result<(), String> {
    let path = format!("{dist_info}/RECORD");
    let Some((_, record)) = files.iter().find(|(name, _)| *name == path) else {
        return Err(format!("it has no `{path}`"));
    };
    let record = String::from_utf8_lossy(record);
    let mut listed: HashMap<String, String> = HashMap::new();
    for line in record.lines().filter(|line| !line.trim().is_empty()) {
        let [name, hash, ..] = &csv(line)[..] else {
            return Err(format!(
                "`{path}` has the odd line `{}`",
                line.escape_debug()
            ));
        };
        listed.insert(name.clone(), hash.clone());
    }
    // Signatures cannot be listed, since RECORD is what they sign.
    let unlisted = [path.clone(), format!("{path}.jws"), format!("{path}.p7s")];
    let present: Vec<&File> = files
        .iter()
        .filter(|(name, _)| !unlisted.contains(name))
        .collect();
    let names: HashSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for name in listed.keys() {
        if !names.contains(name.as_str()) {
            return Err(format!("`{path}` lists `{name}`, which is not there"));
        }
    }
    present.par_iter().try_for_each(|(name, content)| {
        let Some(expected) = listed.get(name) else {
            return Err(format!("`{name}` is not listed in `{path}`"));
        };
        let (algorithm, expected) = expected.split_once('=').unwrap_or((expected, ""));
        let digest = match algorithm {
            "sha256" => Sha256::digest(content).to_vec(),
            "sha384" => Sha384::digest(content).to_vec(),
            "sha512" => Sha512::digest(content).to_vec(),
            "" => return Err(format!("`{path}` has no hash of `{name}`")),
            other => {
                return Err(format!(
                    "`{path}` hashes `{name}` with `{other}`, which is no safe choice"
                ));
            }
        };
        if base64_url(&digest) != expected.trim_end_matches('=') {
            return Err(format!(
                "`{name}` is not what `{path}` says: the wheel was damaged or changed"
            ));
        }
        Ok(())
    })
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
fn base64_url(bytes: &[u8]) -> String {
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

/// Where the files lie once they are installed.
fn place(files: Vec<File>, dist_info: &str) -> Result<Wheel, String> {
    let data = format!("{}.data/", dist_info.trim_end_matches(".dist-info"));
    let mut notes = Vec::new();
    let mut placed = Vec::new();
    for (name, content) in files {
        let Some(rest) = name.strip_prefix(&data) else {
            placed.push((name, content));
            continue;
        };
        match rest.split_once('/') {
            Some(("purelib" | "platlib", path)) => placed.push((path.to_owned(), content)),
            // Scripts, headers, and files that go elsewhere: not for a sandbox.
            _ => notes.push(format!(
                "`{name}` is left out: it does not go to site-packages"
            )),
        }
    }
    Ok(Wheel {
        files: placed,
        notes,
    })
}

/// A header of WHEEL or METADATA.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    fields(text, name).next()
}

/// All headers called `name`; the description below the first empty line is none.
pub(crate) fn fields<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .take_while(|line| !line.trim().is_empty())
        .filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    const NAME: &str = "app-1.0-py3-none-any.whl";
    const WHEEL: &str = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    const METADATA: &str = "Metadata-Version: 2.1\nName: app\nVersion: 1.0\n";

    /// A zip archive of these files, as they are.
    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// A wheel called app 1.0 of these files, with all it needs.
    pub(crate) fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut all = files.to_vec();
        all.push(("app-1.0.dist-info/WHEEL", WHEEL.as_bytes()));
        all.push(("app-1.0.dist-info/METADATA", METADATA.as_bytes()));
        let record = record(&all);
        all.push(("app-1.0.dist-info/RECORD", record.as_bytes()));
        zipped(&all)
    }

    fn record(files: &[(&str, &[u8])]) -> String {
        let line = |(name, content): &(&str, &[u8])| {
            let name = match name.contains([',', '"']) {
                true => format!("\"{}\"", name.replace('"', "\"\"")),
                false => (*name).to_owned(),
            };
            let digest = base64_url(&Sha256::digest(content));
            format!("{name},sha256={digest},{}\n", content.len())
        };
        files.iter().map(line).collect::<String>() + "app-1.0.dist-info/RECORD,,\n"
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let wheel = read(NAME, bytes).unwrap();
        wheel.files.into_iter().map(|(name, _)| name).collect()
    }

    fn problem(bytes: &[u8]) -> String {
        read(NAME, bytes).unwrap_err()
    }

    #[test]
    fn a_good_wheel_is_read() {
        let bytes = wheel(&[
            ("app/__init__.py", b"x = 1"),
            ("app/odd, \"name\".txt", b""),
            ("app-1.0.data/purelib/more.py", b""),
            ("app-1.0.data/platlib/app/_x.so", b""),
            ("app-1.0.data/scripts/app", b"#!python"),
        ]);
        assert_eq!(
            names(&bytes),
            [
                "app/__init__.py",
                "app/odd, \"name\".txt",
                "more.py",
                "app/_x.so",
                "app-1.0.dist-info/WHEEL",
                "app-1.0.dist-info/METADATA",
                "app-1.0.dist-info/RECORD",
            ]
        );
        let notes = read(NAME, &bytes).unwrap().notes;
        assert!(notes[0].contains("data/scripts/app"), "{notes:?}");
    }

    #[test]
    fn names_and_tags_are_checked() {
        let bytes = wheel(&[]);
        for fits in [
            NAME,
            "app-1.0-1-py2.py3-none-any.whl",
            "app-1.0-py314-none-any.whl",
            "app-1.0-py38-none-any.whl",
            "app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl",
            "app-1.0-cp314-cp314-wasm32_wasi.whl",
            "app-1.0-cp39-abi3-wasip1_wasm32.whl",
            "app-1.0-cp314-none-any.whl",
        ] {
            read(fits, &bytes).unwrap_or_else(|problem| panic!("{fits}: {problem}"));
        }
        for (other, said) in [
            (
                "app-1.0-cp313-cp313-wasi_0_0_0_wasm32.whl",
                "the Python tag `cp313` and the ABI tag `cp313`",
            ),
            (
                "app-1.0-cp314-cp314-manylinux_2_17_x86_64.whl",
                "`manylinux_2_17_x86_64` (Linux)",
            ),
            (
                "app-1.0-cp314-cp314-emscripten_4_0_9_wasm32.whl",
                "(Emscripten)",
            ),
            (
                "app-1.0-cp314-cp314t-wasi_0_0_0_wasm32.whl",
                "the ABI tag `cp314t`",
            ),
            (
                "app-1.0-cp315-abi3-wasi_0_0_0_wasm32.whl",
                "the Python tag `cp315`",
            ),
            ("app-1.0-py2-none-any.whl", "the Python tag `py2`"),
            ("app-1.0-py315-none-any.whl", "the Python tag `py315`"),
            ("app.whl", "name is not that of a wheel"),
        ] {
            let problem = read(other, &bytes).unwrap_err();
            assert!(problem.contains(said), "{other}: {problem}");
        }
    }

    #[test]
    fn the_record_has_to_be_right() {
        let good: [(&str, &[u8]); 3] = [
            ("app.py", b"x"),
            ("app-1.0.dist-info/WHEEL", WHEEL.as_bytes()),
            ("app-1.0.dist-info/METADATA", METADATA.as_bytes()),
        ];
        let with = |record: String, more: &[(&str, &[u8])]| {
            let mut files = good.to_vec();
            files.extend(more);
            files.push(("app-1.0.dist-info/RECORD", record.as_bytes()));
            zipped(&files)
        };
        let right = record(&good);
        names(&with(right.clone(), &[]));
        for (bytes, said) in [
            (
                with(right.clone(), &[("more.py", b"")]),
                "`more.py` is not listed",
            ),
            (
                with(format!("{right}gone.py,sha256=x,1\n"), &[]),
                "`gone.py`, which is not there",
            ),
            (
                with(right.replace("app.py,sha256=", "app.py,sha256=A"), &[]),
                "damaged or changed",
            ),
            (
                with(right.replace("app.py,sha256=", "app.py,md5="), &[]),
                "with `md5`",
            ),
            (with("app.py".to_owned(), &[]), "odd line"),
            (zipped(&good), "no `app-1.0.dist-info/RECORD`"),
            (zipped(&good[..1]), "no `.dist-info` folder"),
            (
                wheel(&[("other-2.dist-info/METADATA", b"")]),
                "more than one `.dist-info`",
            ),
        ] {
            let problem = problem(&bytes);
            assert!(problem.contains(said), "{problem}");
        }
        // A signature is not listed, and need not be.
        names(&with(right, &[("app-1.0.dist-info/RECORD.jws", b"{}")]));
    }

    #[test]
    fn hostile_archives_are_refused() {
        for (name, said) in [
            ("../evil.py", "leads out"),
            ("/etc/evil.py", "absolute"),
            ("a/../../evil.py", "leads out"),
            ("a\\..\\evil.py", "backslash"),
        ] {
            let problem = problem(&wheel(&[(name, b"")]));
            assert!(problem.contains(said), "{problem}");
        }
        assert!(problem(&wheel(&[("a.py", b""), ("A.py", b"")])).contains("case does not count"));
        assert!(problem(&wheel(&[("zeros", &vec![0; 65 << 20])])).contains("times larger"));

        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("app.py", "/etc/passwd", SimpleFileOptions::default())
            .unwrap();
        let link = link.finish().unwrap().into_inner();
        assert!(
            problem(&link).contains("symbolic link"),
            "{}",
            problem(&link)
        );

        let mut encrypted = wheel(&[("app.py", b"x")]);
        // Bit 0 of the flags, in each central header.
        for at in 0..encrypted.len() - 10 {
            if encrypted[at..].starts_with(b"PK\x01\x02") {
                encrypted[at + 8] |= 1;
            }
        }
        assert!(
            problem(&encrypted).contains("encrypted"),
            "{}",
            problem(&encrypted)
        );
    }

    #[test]
    fn damage_is_an_error_wherever_it_is() {
        let bytes = wheel(&[
            ("app/__init__.py", b"x = 1\n"),
            ("app/data.txt", &[b'x'; 500]),
        ]);
        for cut in 0..bytes.len() {
            assert!(read(NAME, &bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            // Times, for example, may say anything; what is read is what was packed.
            if let Ok(wheel) = read(NAME, &damaged) {
                assert_eq!(wheel.files, read(NAME, &bytes).unwrap().files, "at {at}");
            }
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
