//! What a lock file stands for: exactly the files it names, out of `wheel-dirs`. Nothing is
//! downloaded; what is missing is listed, with the command that fetches it.

use crate::archives::lock::file_name::{FileName, Kind};
use crate::archives::lock::{Locked, Origin, pylock, requirements_txt};
use crate::config::Wanted;
use crate::error::{Error, Report, Stage};
use crate::python::PYTHON;
use crate::store::checksum::Check;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is to be installed for a lock file.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files, with what each has to hold, and folders of projects.
    pub(crate) paths: Vec<(PathBuf, Option<Check>)>,
    /// The lock files that were read.
    pub(crate) read: Vec<PathBuf>,
}

/// Finds what the lock file at `path` names for what is `wanted`, in the folders
/// `wheel_dirs`.
///
/// # Errors
/// [`Stage::Packages`] with everything that is wrong, or else everything that is missing;
/// [`Stage::Io`].
pub(crate) fn find(
    key: &str,
    path: &Path,
    wheel_dirs: &[PathBuf],
    wanted: Wanted<'_>,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut locked = Vec::new();
    read(key, path, wanted, &mut found.read, &mut locked)?;
    let available = list(wheel_dirs)?;
    let mut absent = Absent::default();
    for (folder, locked) in &locked {
        match &locked.origin {
            Origin::Folder(path) => {
                let plain: PathBuf = folder.join(path).components().collect();
                found.paths.push((plain, None));
            }
            Origin::Files(files) => {
                let names = files.iter().map(|file| (file.name.as_str(), &file.check));
                let present = |&(name, check): &(&str, &Check)| {
                    let path = available.get(name)?.clone();
                    Some((path, Some(check.clone())))
                };
                let best = absent.best(locked, names.collect());
                found
                    .paths
                    .extend(best.iter().find_map(present).or_else(|| {
                        absent.missing(locked, &best);
                        None
                    }));
            }
            Origin::Hashes(check) => {
                let version = locked.version.as_ref();
                let names = available.keys().map(String::as_str).filter(|name| {
                    FileName::parse(name).is_some_and(|n| n.is_of(locked.name.as_ref(), version))
                });
                let names: Vec<_> = names.map(|name| (name, check)).collect();
                if names.is_empty() {
                    absent.missing(locked, &[]);
                    continue;
                }
                let best = absent.best(locked, names);
                found.paths.extend(passing(&best, &available)?);
            }
        }
    }
    absent.report(key, path, wheel_dirs)?;
    Ok(found)
}

/// The first of several files that passes. What it holds is looked at only if there is a
/// choice: it is checked anyway before it is used.
fn passing(
    names: &[(&str, &Check)],
    available: &BTreeMap<String, PathBuf>,
) -> Result<Option<(PathBuf, Option<Check>)>, Error> {
    for &(name, check) in names {
        let path = &available[name];
        let content = || std::fs::read(path).map_err(|e| Error::io("read", path, e));
        if names.len() == 1 || check.passes(&content()?) {
            return Ok(Some((path.clone(), Some(check.clone()))));
        }
    }
    // None does: that of the first is the one to tell of.
    let first = names.first();
    Ok(first.map(|&(name, check)| (available[name].clone(), Some(check.clone()))))
}

/// Reads a lock file and those it includes, each once, with the folders they are in.
fn read(
    key: &str,
    path: &Path,
    wanted: Wanted<'_>,
    read_before: &mut Vec<PathBuf>,
    locked: &mut Vec<(PathBuf, Locked)>,
) -> Result<(), Error> {
    if read_before.iter().any(|read| read == path) {
        return Ok(());
    }
    read_before.push(path.to_owned());
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let text = String::from_utf8(bytes).map_err(|_| vec!["it is not UTF-8".to_owned()]);
    let is_toml = path.extension().is_some_and(|end| end == "toml");
    let result = text.and_then(|text| match is_toml {
        true => pylock::read(&text, wanted).map(|packages| (packages, Vec::new())),
        false => requirements_txt::read(&text).map(|read| (read.locked, read.included)),
    });
    let (packages, included) = result.map_err(|problems| {
        let report = Report::new(format!(
            "{key}: `{}` does not lock what is to be installed",
            path.display()
        ));
        let report = problems.into_iter().fold(report, Report::note);
        Stage::Packages.error(report.hint(match is_toml {
            true => "`uv export --format pylock.toml` and `pip lock` write such files",
            false => {
                "`uv export --format requirements-txt` and `pip-compile --generate-hashes` write \
                 such files"
            }
        }))
    })?;
    locked.extend(
        packages
            .into_iter()
            .map(|package| (folder.clone(), package)),
    );
    for other in included {
        let other: PathBuf = folder.join(other).components().collect();
        read(key, &other, wanted, read_before, locked)?;
    }
    Ok(())
}

/// The files in the folders, by name; of one name, the first. A folder need not be there
/// yet: what is missing is said with the command that makes it.
fn list(folders: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut files = BTreeMap::new();
    for folder in folders {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io("list", folder, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| Error::io("list", folder, e))?;
            if let Ok(name) = entry.file_name().into_string() {
                files.entry(name).or_insert_with(|| entry.path());
            }
        }
    }
    Ok(files)
}

/// What cannot be had.
#[derive(Default)]
struct Absent {
    /// One line for each package.
    notes: Vec<String>,
    /// `attrs==26.1.0`.
    wanted: Vec<String>,
    platforms: Vec<String>,
    indexes: Vec<String>,
    /// Packages that no file is for.
    foreign: usize,
}

impl Absent {
    /// Those of the files that are for this Python, the best first. If none is, that is
    /// noted.
    fn best<'a>(
        &mut self,
        locked: &Locked,
        files: Vec<(&'a str, &'a Check)>,
    ) -> Vec<(&'a str, &'a Check)> {
        let mut fitting: Vec<(Kind, (&str, &Check))> = Vec::new();
        let mut why = String::new();
        for file in files {
            match FileName::parse(file.0).map(|name| name.kind().clone()) {
                Some(Kind::Foreign(problem)) => why = format!("`{}`: {problem}", file.0),
                Some(kind) => fitting.push((kind, file)),
                None => why = format!("`{}` is neither wheel nor `.tar.gz`", file.0),
            }
        }
        if fitting.is_empty() {
            self.foreign += 1;
            let shown = locked.shown();
            self.notes
                .push(format!("{shown} has no file for this Python; {why}"));
        }
        fitting.sort_by(|(one, _), (two, _)| two.cmp(one));
        fitting.into_iter().map(|(_, file)| file).collect()
    }

    /// Notes that none of the files is there. Of a package without any file for this
    /// Python, more is noted already.
    fn missing(&mut self, locked: &Locked, files: &[(&str, &Check)]) {
        let shown = locked.shown();
        match (files, &locked.origin) {
            ([], Origin::Files(_)) => return,
            ([], _) => self.notes.push(format!("{shown}: no file of it")),
            ([(one, _)], _) => self.notes.push(format!("{shown}: `{one}`")),
            ([(best, _), ..], _) => {
                let others = files.len() - 1;
                self.notes
                    .push(format!("{shown}: `{best}`, or {others} other(s)"));
            }
        }
        self.wanted.push(shown);
        let platform = files.first().and_then(|(name, _)| FileName::platform(name));
        let new = |list: &[String], text: &str| !list.iter().any(|known| known == text);
        if let Some(platform) = platform.filter(|platform| new(&self.platforms, platform)) {
            self.platforms.push(platform.to_owned());
        }
        if let Some(index) = locked
            .index
            .as_ref()
            .filter(|index| new(&self.indexes, index))
        {
            self.indexes.push(index.clone());
        }
    }

    fn report(self, key: &str, path: &Path, wheel_dirs: &[PathBuf]) -> Result<(), Error> {
        if self.notes.is_empty() {
            return Ok(());
        }
        let count = self.notes.len();
        let shown: Vec<String> = wheel_dirs
            .iter()
            .map(|folder| format!("`{}`", folder.display()))
            .collect();
        let place = match &shown[..] {
            [] => "there: `wheel-dirs` names no folder".to_owned(),
            folders => format!("in {}", folders.join(", ")),
        };
        let packages = if count == 1 { "package" } else { "packages" };
        let report = Report::new(format!(
            "{key}: {count} {packages} of `{}` cannot be had: not {place}, or not for this Python",
            path.display()
        ));
        let hint = match self.wanted.is_empty() {
            true => "lock a version that has a `py3-none-any` wheel, or one for WASI".to_owned(),
            false => self.command(wheel_dirs.first().map(PathBuf::as_path)),
        };
        let report = self.notes.into_iter().fold(report, Report::note);
        Err(Stage::Packages.error(report.hint(hint)))
    }

    /// The command that fetches what is missing.
    fn command(&self, folder: Option<&Path>) -> String {
        let mut words = vec!["pip download --no-deps".to_owned()];
        words.push(format!("--python-version {}.{}", PYTHON.0, PYTHON.1));
        if self.platforms.is_empty() {
            words.push("--implementation py --abi none --platform any".to_owned());
        } else {
            // Pure wheels pass, too.
            words.push(format!(
                "--implementation cp --abi cp{}{}",
                PYTHON.0, PYTHON.1
            ));
            let platforms = self.platforms.iter();
            words.extend(platforms.map(|platform| format!("--platform {}", quoted(platform))));
        }
        let mut indexes = self.indexes.iter();
        let pypi = |index: &&String| index.starts_with("https://pypi.org/");
        words.extend(
            indexes
                .by_ref()
                .filter(|index| !pypi(index))
                .map(|index| format!("--extra-index-url {}", quoted(index))),
        );
        let folder = folder.map_or("wheels".into(), Path::to_string_lossy);
        words.push(format!("--dest {}", quoted(&folder)));
        words.extend(self.wanted.iter().map(|wanted| quoted(wanted)));
        let command = words.join(" ");
        match folder == "wheels" {
            true => format!("write wheel-dirs = [\"wheels\"] beside `packages`, and run {command}"),
            false => format!("run {command}"),
        }
    }
}

/// A word for a shell, whatever it holds.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=+:!".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};
    use std::fs;

    fn sha256(content: &str) -> String {
        let digest = Sha256::digest(content.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A lock file with packages of one name, version 1, and files of which each holds
    /// its own name.
    fn pylock(packages: &[(&str, &[&str])]) -> String {
        let mut text = "lock-version = \"1.0\"\ncreated-by = \"t\"\n".to_owned();
        for (name, files) in packages {
            text += &format!("[[packages]]\nname = \"{name}\"\nversion = \"1\"\nwheels = [\n");
            for file in *files {
                let hash = sha256(file);
                text += &format!("{{ name = \"{file}\", hashes = {{ sha256 = \"{hash}\" }} }},\n");
            }
            text += "]\n";
        }
        text
    }

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new(lock: &str, text: &str, wheels: &[&str]) -> Self {
            let dir = Self(tempfile::tempdir().unwrap());
            fs::create_dir(dir.0.path().join("wheels")).unwrap();
            for name in wheels {
                fs::write(dir.0.path().join("wheels").join(name), name).unwrap();
            }
            dir.write(lock, text);
            dir
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.0.path().join(path), text).unwrap();
        }

        fn find(&self, lock: &str) -> Result<Found, Error> {
            let wheels = [self.0.path().join("wheels")];
            super::find(
                "packages[0]",
                &self.0.path().join(lock),
                &wheels,
                Wanted::default(),
            )
        }

        fn names(&self, lock: &str) -> Vec<String> {
            let found = self.find(lock).unwrap();
            let names = found.paths.iter().map(|(path, check)| {
                let content = fs::read(path).unwrap_or_default();
                assert!(check.as_ref().is_none_or(|check| check.passes(&content)));
                path.file_name().unwrap().to_string_lossy().into_owned()
            });
            names.collect()
        }
    }

    const PURE: &str = "a-1-py3-none-any.whl";
    const WASI: &str = "a-1-cp314-cp314-wasi_0_0_0_wasm32.whl";
    const LINUX: &str = "a-1-cp314-cp314-manylinux_2_17_x86_64.whl";
    const SDIST: &str = "a-1.tar.gz";

    #[test]
    fn the_best_locked_file_that_is_there_is_taken() {
        let lock = pylock(&[("a", &[SDIST, PURE, LINUX, WASI])]);
        for (there, best) in [
            (&[SDIST, PURE, LINUX, WASI][..], WASI),
            (&[SDIST, PURE, LINUX], PURE),
            (&[SDIST, LINUX, "a-2-py3-none-any.whl"], SDIST),
        ] {
            let dir = Dir::new("pylock.toml", &lock, there);
            assert_eq!(dir.names("pylock.toml"), [best]);
        }
    }

    #[test]
    fn requirements_are_found_by_name_version_and_hash() {
        let text = format!(
            "A==1.0 --hash=sha256:{} --hash=sha256:{}\n-r more.txt\n",
            sha256(PURE),
            sha256(SDIST)
        );
        // The wheel for WASI is not one of those that are locked.
        let dir = Dir::new("requirements.txt", &text, &[WASI, PURE, SDIST]);
        let more = format!(
            "b==2 --hash=sha256:{}\n-r requirements.txt\n",
            sha256("b-2.tar.gz")
        );
        dir.write("more.txt", &more);
        dir.write("wheels/b-2.tar.gz", "b-2.tar.gz");
        assert_eq!(dir.names("requirements.txt"), [PURE, "b-2.tar.gz"]);
        let read = dir.find("requirements.txt").unwrap().read;
        assert_eq!(read.len(), 2);
        assert!(read[1].ends_with("more.txt"));
    }

    #[test]
    fn what_is_missing_is_listed_with_one_command() {
        let lock = pylock(&[
            ("a", &[SDIST, PURE]),
            ("b", &["b-1-cp314-cp314-wasi_0_0_0_wasm32.whl"]),
            ("c", &["c-1-cp314-cp314-win_amd64.whl"]),
            ("d", &["d-1-py3-none-any.whl"]),
        ]);
        let dir = Dir::new("pylock.toml", &lock, &["d-1-py3-none-any.whl"]);
        let text = format!("{:?}", dir.find("pylock.toml").unwrap_err());
        let wheels = dir.0.path().join("wheels");
        for said in [
            "3 packages of",
            "a==1: `a-1-py3-none-any.whl`, or 1 other",
            "b==1: `b-1-cp314",
            "c==1 has no file for this Python; `c-1-cp314-cp314-win_amd64.whl`: it is for another",
            "run pip download --no-deps --python-version 3.14 --implementation cp --abi cp314 \
             --platform wasi_0_0_0_wasm32",
            &format!("--dest {} a==1 b==1", wheels.display()),
        ] {
            assert!(text.contains(said), "{said} is not in:\n{text}");
        }
        assert!(!text.contains("d==1"), "{text}");

        // A folder that is not there yet, or not named.
        fs::remove_dir_all(&wheels).unwrap();
        let text = format!("{:?}", dir.find("pylock.toml").unwrap_err());
        assert!(text.contains("a==1 b==1 d==1"), "{text}");
        let error = super::find(
            "packages[0]",
            &dir.0.path().join("pylock.toml"),
            &[],
            Wanted::default(),
        );
        let text = format!("{:?}", error.unwrap_err());
        assert!(text.contains("wheel-dirs = [\"wheels\"]"), "{text}");
    }

    /// The command does what it says, as far as that goes without a network.
    #[test]
    #[ignore = "runs pip"]
    fn pip_takes_the_command() {
        let absent = Absent {
            wanted: vec!["attrs==26.1.0".to_owned(), "jinja2==3.1.6".to_owned()],
            ..Absent::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let wheels = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wheels");
        for platforms in [vec![], vec!["wasi_0_0_0_wasm32".to_owned()]] {
            let dest = dir.path().join(format!("it's {}", platforms.len()));
            let absent = Absent {
                platforms,
                wanted: absent.wanted.clone(),
                ..Absent::default()
            };
            let command = absent.command(Some(&dest));
            let command = command.strip_prefix("run ").unwrap();
            let script = format!("{command} --no-index --find-links '{wheels}'");
            let ran = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{script}: {stderr}");
            assert_eq!(fs::read_dir(dest).unwrap().count(), 2);
        }
    }

    #[test]
    fn what_locks_nothing_is_refused() {
        let dir = Dir::new("requirements.txt", "attrs\n", &[]);
        let text = format!("{:?}", dir.find("requirements.txt").unwrap_err());
        assert!(text.contains("line 1: `attrs` has no hash"), "{text}");
        assert!(text.contains("pip-compile --generate-hashes"), "{text}");
        dir.write("pylock.toml", "lock-version = \"9\"\n");
        let text = format!("{:?}", dir.find("pylock.toml").unwrap_err());
        assert!(text.contains("`9`") && text.contains("uv export"), "{text}");
    }

    #[test]
    fn a_word_stays_one_for_the_shell() {
        assert_eq!(quoted("a==1.0+x"), "a==1.0+x");
        assert_eq!(quoted("a b; 'c'"), "'a b; '\\''c'\\'''");
        assert_eq!(quoted(""), "''");
    }
}
