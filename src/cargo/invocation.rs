//! How the cargo was started that runs this build script.
//!
//! Cargo hands its configuration on in files and variables, but not what its command line
//! says: `--offline`, `--frozen`, `--config`. A cargo that the build script starts would
//! then resolve something else, or go online against the user's word. Systems tell a
//! process how its parent was started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What counts of cargo's command line. Empty where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// Whether it must not use the network.
    pub(crate) offline: bool,
    /// `--config` and `-Z`, with their values, for cargos that are to do the same.
    pub(crate) options: Vec<String>,
    /// The value of `--manifest-path`.
    pub(crate) manifest: Option<PathBuf>,
    /// The folder it runs in, where its configuration is searched for and relative paths
    /// start.
    pub(crate) folder: Option<PathBuf>,
}

impl Invocation {
    /// How `cargo`, the parent of this process, was started.
    pub(crate) fn of_parent(cargo: &Path) -> Self {
        parent::read(cargo).unwrap_or_default()
    }

    fn parse<'a>(arguments: impl IntoIterator<Item = &'a OsStr>) -> Self {
        let mut invocation = Self::default();
        let mut arguments = arguments.into_iter().skip(1);
        while let Some(argument) = arguments.next() {
            // What is not Unicode can be a value, and of none that counts.
            let argument = argument.to_str().unwrap_or_default();
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ if argument.len() > 2 && argument.starts_with("-Z") => {
                    ("-Z", Some(&argument[2..]))
                }
                _ => (argument, None),
            };
            let mut value = || {
                value
                    .or_else(|| arguments.next()?.to_str())
                    .map(str::to_owned)
            };
            match name {
                "--" => break,
                "--offline" | "--frozen" => invocation.offline = true,
                "--config" | "-Z" => {
                    let value = value().map(|value| [name.to_owned(), value]);
                    invocation.options.extend(value.into_iter().flatten());
                }
                "--manifest-path" => invocation.manifest = value().map(PathBuf::from),
                _ => {}
            }
        }
        invocation
    }

    /// The manifest that cargo was started for.
    pub(crate) fn manifest(&self) -> Option<PathBuf> {
        let folder = self.folder.as_deref()?;
        if let Some(named) = &self.manifest {
            return Some(folder.join(named));
        }
        let mut manifests = folder.ancestors().map(|folder| folder.join("Cargo.toml"));
        manifests.find(|manifest| manifest.is_file())
    }
}

#[cfg(target_os = "linux")]
mod parent {
    use super::Invocation;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};

    pub(super) fn read(cargo: &Path) -> Option<Invocation> {
        let process = PathBuf::from(format!("/proc/{}", std::os::unix::process::parent_id()));
        // Another program's arguments mean something else.
        let program = fs::read_link(process.join("exe")).ok()?;
        if program != cargo.canonicalize().ok()? {
            return None;
        }
        let line = fs::read(process.join("cmdline")).ok()?;
        let arguments = line.strip_suffix(b"\0").unwrap_or(&line).split(|&b| b == 0);
        Some(Invocation {
            folder: fs::read_link(process.join("cwd")).ok(),
            ..Invocation::parse(arguments.map(OsStr::from_bytes))
        })
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod parent {
    use super::Invocation;
    use std::ffi::OsStr;
    use std::path::Path;
    use std::process::Command;

    pub(super) fn read(cargo: &Path) -> Option<Invocation> {
        let parent = std::os::unix::process::parent_id().to_string();
        let ps = ["-ww", "-o", "args=", "-p", &parent];
        let said = Command::new("ps").args(ps).output().ok()?;
        let line = String::from_utf8(said.stdout).ok()?;
        let line = line.trim().strip_prefix(cargo.to_str()?)?;
        // Where one argument ends, and which folder values are relative to, is not told:
        // only the flags count.
        let read = Invocation::parse(
            [""].into_iter()
                .chain(line.split_whitespace())
                .map(OsStr::new),
        );
        Some(Invocation {
            offline: read.offline,
            ..Invocation::default()
        })
    }
}

#[cfg(not(unix))]
mod parent {
    use super::Invocation;
    use std::path::Path;

    pub(super) fn read(_cargo: &Path) -> Option<Invocation> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Invocation {
        Invocation::parse(line.split(' ').map(OsStr::new))
    }

    #[test]
    fn only_cargo_s_own_arguments_count() {
        let all = parse(
            "cargo run --config a=1 -Zx --frozen --config=b=c -Z y=z --manifest-path x/Cargo.toml",
        );
        assert!(all.offline);
        let options = ["--config", "a=1", "-Z", "x", "--config", "b=c", "-Z", "y=z"];
        assert_eq!(all.options, options);
        assert_eq!(all.manifest.as_deref(), Some(Path::new("x/Cargo.toml")));
        assert!(parse("cargo --offline build").offline);
        assert_eq!(
            parse("cargo run -- --offline --config x"),
            Invocation::default()
        );
        assert_eq!(
            parse("cargo build --offline-not --config"),
            Invocation::default()
        );
        assert_eq!(parse("--offline"), Invocation::default());
    }

    #[test]
    fn the_manifest_is_the_one_named_or_the_next_above() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("src/deep");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let mut invocation = Invocation {
            folder: Some(inner.clone()),
            ..Invocation::default()
        };
        assert_eq!(invocation.manifest(), Some(dir.path().join("Cargo.toml")));
        invocation.manifest = Some("../x.toml".into());
        assert_eq!(invocation.manifest(), Some(inner.join("../x.toml")));
        assert_eq!(Invocation::default().manifest(), None);
    }

    /// A shell in cargo's place, and this test program as what it starts.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_parent_s_command_line_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let run = "\"$0\" --ignored --exact cargo::invocation::tests::the_child; exit $?";
        let ran = std::process::Command::new("/bin/sh")
            .args(["-c", run])
            .arg(std::env::current_exe().unwrap())
            .args(["build", "--config", "a b", "--frozen"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[ignore = "the other test starts it, from a shell"]
    fn the_child() {
        let read = Invocation::of_parent(Path::new("/bin/sh"));
        assert!(read.offline);
        assert_eq!(read.options, ["--config", "a b"]);
        assert_eq!(read.folder, std::env::current_dir().ok());
        // Another program's arguments mean something else.
        let other = Invocation::of_parent(Path::new("/bin/ls"));
        assert_eq!(other, Invocation::default());
    }
}
