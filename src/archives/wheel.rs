//! Wheels: a zip archive whose name says which Pythons it is for and whose RECORD
//! says what is in it.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>.

use crate::archives::archive::File;
use crate::archives::listing::named;
use crate::archives::project::headers::field;
use crate::archives::{Importable, record, unpack};
use crate::python::PYTHON;
use std::collections::BTreeMap;

/// Reads the wheel `bytes`, called `file_name`.
///
/// # Errors
/// Everything found wrong with its name, or else the first thing with its content.
pub(crate) fn read(file_name: &str, bytes: &[u8]) -> Result<Importable, String> {
    let name = Name::parse(file_name)?;
    name.check_tags()?;
    let packed = unpack::unzip(bytes)?;
    if let Some(link) = packed.links.first() {
        return Err(format!(
            "`{}` is a symbolic link, which a wheel cannot hold",
            link.name
        ));
    }
    let unpack::Unpacked {
        files,
        mut warnings,
    } = packed.follow_links()?;
    let dist_info = dist_info(&files)?;
    let record = record::check(&files, &dist_info)?;
    warnings.extend(record.clone());
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
    let mut importable = place(files);
    warnings.append(&mut importable.warnings);
    importable.warnings = warnings;
    importable.record = record;
    Ok(importable)
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

/// Where the files lie once they are installed. What is in a folder `….data` goes to
/// different places, whatever is before the dot: installers look at the end only.
fn place(files: Vec<File>) -> Importable {
    let mut placed: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut moved = Vec::new();
    let mut elsewhere = Vec::new();
    let mut importable = Importable::default();
    for (name, content) in files {
        let (top, rest) = name.split_once('/').unwrap_or(("", &name));
        if !top.ends_with(".data") {
            placed.insert(name, content);
            continue;
        }
        match rest.split_once('/') {
            Some(("purelib" | "platlib", path)) => moved.push((path.to_owned(), content)),
            // Not for a sandbox.
            Some(("scripts" | "headers", _)) => importable.notes.push(format!(
                "`{name}` is left out: it does not go to site-packages"
            )),
            _ => elsewhere.push(name),
        }
    }
    for (path, content) in moved {
        if placed.get(&path).is_some_and(|other| *other != content) {
            importable.warnings.push(format!(
                "`{path}` is there twice: the one in `.data` counts"
            ));
        }
        placed.insert(path, content);
    }
    if !elsewhere.is_empty() {
        importable.warnings.push(format!(
            "{} left out: an installer puts that outside of site-packages",
            named(&elsewhere)
        ));
    }
    importable.files = placed.into_iter().collect();
    importable
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};
    use std::io::{Cursor, Write};
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
        let record = record_of(&all);
        all.push(("app-1.0.dist-info/RECORD", record.as_bytes()));
        zipped(&all)
    }

    fn record_of(files: &[(&str, &[u8])]) -> String {
        let line = |(name, content): &(&str, &[u8])| {
            let name = match name.contains([',', '"']) {
                true => format!("\"{}\"", name.replace('"', "\"\"")),
                false => (*name).to_owned(),
            };
            let digest = record::base64_url(&Sha256::digest(content));
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
                "app-1.0.dist-info/METADATA",
                "app-1.0.dist-info/RECORD",
                "app-1.0.dist-info/WHEEL",
                "app/__init__.py",
                "app/_x.so",
                "app/odd, \"name\".txt",
                "more.py",
            ]
        );
        let read = read(NAME, &bytes).unwrap();
        assert!(
            read.notes[0].contains("data/scripts/app"),
            "{:?}",
            read.notes
        );
        assert_eq!(read.warnings, [""; 0]);
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
        let right = record_of(&good);
        names(&with(right.clone(), &[]));
        for (bytes, said) in [
            (
                with(right.replace("app.py,sha256=", "app.py,sha256=A"), &[]),
                "damaged or changed",
            ),
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
        assert!(
            problem(&wheel(&[("a", b""), ("a/b.py", b"")])).contains("is a file, and a folder")
        );
        assert!(problem(&wheel(&[("zeros", &vec![0; 65 << 20])])).contains("times larger"));

        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("app.py", "other.py", SimpleFileOptions::default())
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
    fn folders_of_data_count_however_they_are_spelt() {
        let bytes = wheel(&[
            ("App-1.0.0.data/purelib/app.py", b"moved"),
            ("app.py", b"at the top"),
            ("App-1.0.0.data/platlib/more.py", b""),
            ("App-1.0.0.data/data/share/x", b""),
            ("App-1.0.0.data/odd/y", b""),
        ]);
        let read = read(NAME, &bytes).unwrap();
        let files: BTreeMap<_, _> = read.files.into_iter().collect();
        assert_eq!(files["app.py"], b"moved");
        assert!(files.contains_key("more.py"));
        assert_eq!(
            files.keys().filter(|name| name.contains(".data")).count(),
            0
        );
        assert!(
            read.warnings[0].contains("`app.py` is there twice"),
            "{:?}",
            read.warnings
        );
        let out = "`App-1.0.0.data/data/share/x`, `App-1.0.0.data/odd/y` left out";
        assert!(read.warnings[1].contains(out), "{:?}", read.warnings);
    }

    #[test]
    fn names_that_differ_in_case_only_are_two_files() {
        assert_eq!(names(&wheel(&[("a.py", b""), ("A.py", b"")])).len(), 5);
    }

    #[test]
    fn a_member_that_is_repeated_counts_as_it_is_last() {
        // Two members of one length, of which the second gets the name of the first.
        let mut files: Vec<(&str, &[u8])> = vec![
            ("app.py", b"old"),
            ("apq.py", b"new"),
            ("app-1.0.dist-info/WHEEL", WHEEL.as_bytes()),
            ("app-1.0.dist-info/METADATA", METADATA.as_bytes()),
        ];
        let named: Vec<(&str, &[u8])> = vec![("app.py", b"new"), files[2], files[3]];
        let record = record_of(&named);
        files.push(("app-1.0.dist-info/RECORD", record.as_bytes()));
        let mut bytes = zipped(&files);
        for at in 0..bytes.len() - 6 {
            if bytes[at..].starts_with(b"apq.py") {
                bytes[at + 2] = b'p';
            }
        }
        let read = read(NAME, &bytes).unwrap();
        assert!(read.files.contains(&("app.py".to_owned(), b"new".to_vec())));
        assert!(read.warnings[0].contains("twice"), "{:?}", read.warnings);
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
            // Names are covered by RECORD only, so that a warning tells of those.
            if let Ok(wheel) = read(NAME, &damaged)
                && wheel.warnings.is_empty()
            {
                assert_eq!(wheel.files, read(NAME, &bytes).unwrap().files, "at {at}");
            }
        }
    }
}
