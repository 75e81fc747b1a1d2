//! Which `eryx` and `eryx-runtime` packages the consumer depends on, and where they lie.
//!
//! Cargo is asked first, `--offline`, then online if it may be. Cargo downloads what it
//! compiles; this crate's own `eryx-runtime` it never compiles, so the first build asks
//! once more, online. The user's lock file is never written: cargo is always asked with
//! `--locked`. If it will not answer then (it is not told of a `--config` of the command
//! line on every system, and takes the folder that `cargo package` verifies for a member
//! of the workspace around it), Cargo.lock is read as it is, and cargo is asked only where
//! the packages lie, for a manifest of our own in a temporary folder.

use crate::cargo::invocation::Invocation;
use crate::cargo::lock::{Dependency, Lock, Package};
use crate::cargo::manifest::{Consumer, is_unpacked, workspace_root};
use crate::cargo::metadata::{Graph, Located, locate, package_of};
use crate::error::{Error, Report, Stage};
use crate::log::Log;
use crate::store::digest::KeyBuilder;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use std::fs;
use std::path::{Path, PathBuf};

/// What to ask for, and whom.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    /// The cargo that runs this build, if there is one.
    pub(crate) cargo: Option<&'a Path>,
    pub(crate) invocation: &'a Invocation,
    /// The consumer's Cargo.toml.
    pub(crate) manifest: &'a Path,
    pub(crate) consumer: &'a Consumer,
    /// The manifest with the lock file in force beside it.
    pub(crate) top: &'a Path,
    pub(crate) target: Option<&'a str>,
    pub(crate) rustflags: &'a str,
    pub(crate) wanted: Wanted,
    pub(crate) log: &'a Log,
}

/// Whose folders are needed: what the configuration does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) runtime: bool,
    pub(crate) stdlib: bool,
}

/// The manifest of the workspace whose lock file is in force for the `consumer` of
/// `manifest`.
pub(crate) fn top(
    manifest: &Path,
    consumer: &Consumer,
    out_dir: &Path,
    invocation: &Invocation,
) -> PathBuf {
    let folder = manifest.parent().unwrap_or(manifest);
    let own = consumer.workspace_root.join("Cargo.toml");
    if !is_unpacked(folder) {
        return own;
    }
    // In a dependency out of a registry or a vendor folder, a lock file is not the one in
    // force. That is of the workspace which cargo builds, or whose target folder this is.
    let invoked = invocation.manifest();
    let invoked = invoked.map(|manifest| workspace_root(&manifest).join("Cargo.toml"));
    let around = || {
        let mut folders = out_dir.ancestors().skip(1);
        folders.find_map(|dir| {
            let manifest = dir.join("Cargo.toml");
            (dir.join("Cargo.lock").is_file() && manifest.is_file()).then_some(manifest)
        })
    };
    let holds_it = |top: &PathBuf| {
        let text = fs::read_to_string(top.with_extension("lock")).unwrap_or_default();
        let lock = Lock::parse(&text);
        lock.is_ok_and(|lock| lock.package(&consumer.name, None).is_some())
    };
    let invoked = invoked.filter(holds_it);
    invoked.or_else(around).unwrap_or(own)
}

/// The graph of the workspace as the consumer sees it.
///
/// # Errors
/// [`Stage::Graph`] with cargo's own words, and what to do.
pub(crate) fn graph(question: &Question<'_>) -> Result<Graph, Error> {
    let lock_file = question.top.with_extension("lock");
    let Ok(lock) = fs::read_to_string(&lock_file) else {
        // Cargo would write one.
        return question.without_lock();
    };
    match question.ask(question.top, &["--locked"]) {
        Ok(metadata) => {
            let root = package_of(&metadata, question.manifest).ok();
            Ok(locate(&metadata, root))
        }
        Err(refusal) if question.cargo.is_none() => Err(Stage::Graph.error(refusal)),
        Err(refusal) => {
            let why = refusal.notes().join("; ");
            let shown = lock_file.display();
            question
                .log
                .say(&format!("{shown} is read as it is, since {why}"));
            let note = format!("`{shown}` was read as it is, since {why}");
            question
                .by_lock_alone(&lock)
                .map_err(|error| error.note(note))
        }
    }
}

impl Question<'_> {
    /// `cargo metadata` of a manifest, offline and then as the user lets cargo.
    ///
    /// # Errors
    /// A report with cargo's words as notes.
    fn ask(&self, manifest: &Path, options: &[&str]) -> Result<Metadata, Report> {
        let Some(cargo) = self.cargo else {
            return Err(no_cargo());
        };
        let offline = match self.run(cargo, manifest, &[options, &["--offline"]].concat()) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        let report = |error: &cargo_metadata::Error| {
            let shown = format!("`cargo metadata` failed for `{}`", manifest.display());
            Report::new(shown).note(words(error)).hint(self.hint())
        };
        // More network does not make a lock file fit.
        if self.invocation.offline || words(&offline).contains("--locked") {
            return Err(report(&offline));
        }
        self.log
            .say("cargo does not know all packages offline: it may download now");
        self.run(cargo, manifest, options)
            .map_err(|online| report(&online).note(format!("offline: {}", words(&offline))))
    }

    fn run(
        &self,
        cargo: &Path,
        manifest: &Path,
        options: &[&str],
    ) -> Result<Metadata, cargo_metadata::Error> {
        let Some(target) = self.target else {
            return self.metadata(cargo, manifest, options, None);
        };
        match self.metadata(cargo, manifest, options, Some((target, self.rustflags))) {
            // Of a target in a file, cargo tells the name alone. What is for another
            // system is passed over as this one does it; flags are not for this one.
            Err(error) if words(&error).contains("target-specific information") => {
                self.metadata(cargo, manifest, options, Some((HOST, "")))
            }
            answer => answer,
        }
    }

    fn metadata(
        &self,
        cargo: &Path,
        manifest: &Path,
        options: &[&str],
        platform: Option<(&str, &str)>,
    ) -> Result<Metadata, cargo_metadata::Error> {
        let mut options: Vec<String> = options.iter().map(|&s| s.to_owned()).collect();
        if let Some((triple, _)) = platform {
            options.push(format!("--filter-platform={triple}"));
        }
        options.extend(self.invocation.options.iter().cloned());
        let mut command = MetadataCommand::new();
        // Cargo's configuration (a vendored source, say) is found from here.
        if let Some(folder) = self.invocation.folder.as_deref().or(self.top.parent()) {
            command.current_dir(folder);
        }
        let rustflags = platform.map_or(self.rustflags, |(_, flags)| flags);
        command.env("CARGO_ENCODED_RUSTFLAGS", with_files(rustflags));
        command
            .cargo_path(cargo)
            .manifest_path(manifest)
            // Which of the workspace's features are on, a build script cannot
            // see; an optional dependency that is locked is at least located.
            .features(CargoOpt::AllFeatures)
            .other_options(options)
            .exec()
    }

    /// The graph by the lock file alone, and cargo's word for where packages lie.
    fn by_lock_alone(&self, text: &str) -> Result<Graph, Error> {
        let lock = Lock::parse(text)
            .map_err(|e| Stage::Graph.error(Report::new("Cargo.lock cannot be read").source(e)))?;
        let version = self.consumer.version.as_deref();
        let root = lock.package(&self.consumer.name, version);
        let root = root.or_else(|| lock.package(&self.consumer.name, None));
        let mut eryx = listed(&lock, root, "eryx");
        // Features are not in the lock file, and those that ask for them are.
        let mut key = KeyBuilder::new("built of");
        for file in [self.top, self.manifest] {
            key.part("manifest", &fs::read(file).unwrap_or_default());
        }
        let built_of = key.part("lock", text.as_bytes()).finish().to_string();
        for (located, _) in &mut eryx {
            located.built_of.clone_from(&built_of);
        }
        let runtimes = listed(&lock, root, "eryx-runtime");
        let names = |list: &[(Located, &Package)]| list.iter().map(|(l, _)| l.clone()).collect();
        let graph = Graph {
            eryx: names(&eryx),
            runtimes: names(&runtimes),
        };
        let mut chosen = Graph::default();
        if let Some(found) = graph.eryx()? {
            chosen.eryx = match self.wanted.stdlib {
                true => self.located(found, &eryx, text)?,
                // Its version alone counts.
                false => vec![found.clone()],
            };
        }
        if self.wanted.runtime {
            chosen.runtimes = self.located(graph.runtime()?, &runtimes, text)?;
        }
        Ok(chosen)
    }

    /// `chosen`, which is one of `list`, with its folder.
    fn located(
        &self,
        chosen: &Located,
        list: &[(Located, &Package)],
        lock: &str,
    ) -> Result<Vec<Located>, Error> {
        let mut list = list.iter().filter(|(located, _)| located == chosen);
        let Some((located, package)) = list.next() else {
            return Ok(Vec::new());
        };
        Ok(vec![Located {
            dir: self.folder_of(package, lock)?,
            ..located.clone()
        }])
    }

    /// Where cargo has the files of a locked package. It gets a manifest of our own that
    /// asks for exactly that one, and a copy of the lock file, which it may write.
    fn folder_of(&self, package: &Package, lock: &str) -> Result<PathBuf, Error> {
        let shown = format!("{} {}", package.name, package.version);
        let Some(requirement) = package.requirement() else {
            return Err(Stage::Graph.error(
                Report::new(format!(
                    "Cargo.lock does not say in which folder {shown} lies"
                ))
                .hint("set `runtime` and `stdlib` in [package.metadata.eryx]"),
            ));
        };
        let metadata = self.ask_beside("wanted", &requirement, Some(lock))?;
        let mut packages = metadata.packages.iter();
        let found = packages.find(|found| {
            found.name.as_str() == package.name && found.version.to_string() == package.version
        });
        let folder = found.and_then(|found| found.manifest_path.parent());
        folder
            .map(|folder| folder.as_std_path().to_owned())
            .ok_or_else(|| {
                let shown = format!("cargo does not say where {shown} lies");
                Stage::Graph.error(Report::new(shown).hint(self.hint()))
            })
    }

    /// The graph of a consumer that no lock file is known for.
    fn without_lock(&self) -> Result<Graph, Error> {
        let folder = self.manifest.parent().unwrap_or(self.manifest);
        let requirement = format!("path = {:?}\n", folder.to_string_lossy());
        let metadata = self.ask_beside(&self.consumer.name, &requirement, None)?;
        let root = package_of(&metadata, self.manifest).ok();
        Ok(locate(&metadata, root))
    }

    /// `cargo metadata` of a package of our own, in a folder of our own, that depends on
    /// one other.
    fn ask_beside(
        &self,
        name: &str,
        requirement: &str,
        lock: Option<&str>,
    ) -> Result<Metadata, Error> {
        let failed = |e| Error::io("write a manifest to", &std::env::temp_dir(), e);
        let folder = tempfile::tempdir().map_err(failed)?;
        let manifest = folder.path().join("Cargo.toml");
        let text = format!(
            "[package]\nname = \"eryx-preinit-build-asks\"\nversion = \"0.0.0\"\n\
             edition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n[dependencies.{name}]\n\
             {requirement}"
        );
        fs::write(&manifest, text).map_err(failed)?;
        fs::write(folder.path().join("lib.rs"), "").map_err(failed)?;
        if let Some(lock) = lock {
            fs::write(folder.path().join("Cargo.lock"), lock).map_err(failed)?;
        }
        self.ask(&manifest, &[])
            .map_err(|report| Stage::Graph.error(report))
    }

    fn hint(&self) -> &'static str {
        if self.invocation.offline {
            "cargo may not use the network here: run `cargo fetch` (without --target) once \
             where it may, or set `runtime` and `stdlib` in [package.metadata.eryx]: then no \
             graph is needed"
        } else {
            "run `cargo fetch` (without --target) once with network access, or set `runtime` \
             and `stdlib` in [package.metadata.eryx]: then no graph is needed"
        }
    }
}

/// The packages called `name` that `root` needs, by version, their folders still unknown.
fn listed<'a>(
    lock: &'a Lock,
    root: Option<&'a Package>,
    name: &str,
) -> Vec<(Located, &'a Package)> {
    let found = lock.dependencies(root, name).into_iter();
    let mut found: Vec<(Located, &Package)> = found
        .filter_map(|Dependency { package, direct }| {
            let located = Located {
                version: package.version.parse().ok()?,
                dir: PathBuf::new(),
                direct,
                immutable: package.is_from_registry(),
                built_of: String::new(),
            };
            Some((located, package))
        })
        .collect();
    found.sort_by(|(one, _), (two, _)| one.cmp(two));
    found
}

/// The triple this crate, and so the build script, is compiled for.
const HOST: &str = env!("ERYX_PREINIT_HOST");

/// What cargo said, without what stands before it.
fn words(error: &cargo_metadata::Error) -> String {
    match error {
        cargo_metadata::Error::CargoMetadata { stderr } => stderr.trim().to_owned(),
        other => other.to_string(),
    }
}

fn no_cargo() -> Report {
    Report::new("there is no cargo to ask which `eryx-runtime` this package depends on")
        .note("the variable CARGO is not set, as it is where cargo runs a build script")
        .hint(
            "set both `runtime` and `stdlib` in [package.metadata.eryx]: then no cargo is \
             needed; or name the paths in build.rs with `Builder::new`, which does not read \
             Cargo.toml either",
        )
}

/// The flags under which the graph holds what is never compiled: this crate's own
/// `eryx-runtime`, of which only the files are wanted.
fn with_files(rustflags: &str) -> String {
    let mut flags: Vec<&str> = rustflags.split('\u{1f}').collect();
    flags.retain(|flag| !flag.is_empty());
    flags.extend(["--cfg", "eryx_preinit_files"]);
    flags.join("\u{1f}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::manifest;
    use cargo_metadata::semver::Version;

    const ALL: Wanted = Wanted {
        runtime: true,
        stdlib: true,
    };

    /// The graph of a package in a folder, as a build script that writes to `out_dir`
    /// asks for it.
    fn asked(manifest: &Path, out_dir: &Path, invocation: &Invocation) -> Result<Graph, Error> {
        let consumer = manifest::consumer(manifest, &fs::read_to_string(manifest).unwrap())?;
        graph(&Question {
            cargo: Some(Path::new(env!("CARGO"))),
            invocation,
            manifest,
            top: &top(manifest, &consumer, out_dir, invocation),
            consumer: &consumer,
            // Without one, dependencies of no platform would count.
            target: Some("x86_64-unknown-linux-gnu"),
            rustflags: "",
            wanted: ALL,
            log: &Log::default(),
        })
    }

    fn offline() -> Invocation {
        Invocation {
            offline: true,
            ..Invocation::default()
        }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A package in `folder`, `rest` below its `[package]`.
    fn package(folder: &Path, name: &str, rest: &str) -> PathBuf {
        let manifest = folder.join("Cargo.toml");
        let text = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
             rust-version = \"1.95\"\n{rest}"
        );
        write(&manifest, &text);
        write(&folder.join("src/lib.rs"), "");
        manifest
    }

    fn cargo(folder: &Path, arguments: &[&str]) -> Vec<u8> {
        let ran = std::process::Command::new(env!("CARGO"))
            .args(arguments)
            .arg("--offline")
            .current_dir(folder)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{arguments:?}: {stderr}");
        ran.stdout
    }

    /// This workspace's lock file, whose packages are all downloaded.
    fn lock(folder: &Path) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let lock = folder.join("Cargo.lock");
        fs::copy(root.join("Cargo.lock"), &lock).unwrap();
        lock
    }

    #[test]
    fn this_very_package_is_found() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let lock = fs::read(manifest.with_extension("lock")).unwrap();
        let graph = asked(&manifest, Path::new("/out"), &Invocation::default()).unwrap();
        // The newest line, and that of the newest eryx that this crate's Rust compiles.
        for eryx in [Version::new(0, 14, 0), Version::new(0, 5, 0)] {
            let runtime = graph.runtime_of(&eryx).unwrap().unwrap();
            assert!(runtime.dir.join("libs").is_dir(), "{runtime:?}");
        }
        assert_eq!(fs::read(manifest.with_extension("lock")).unwrap(), lock);
    }

    #[test]
    fn the_default_is_0_14_on_any_rust_with_any_resolver() {
        for edition in ["2021", "2024"] {
            let project = tempfile::tempdir().unwrap();
            let own = env!("CARGO_MANIFEST_DIR");
            let rest = format!(
                "[workspace]\n[build-dependencies]\neryx-preinit-build = {{ path = '{own}' }}\n"
            );
            let manifest = package(project.path(), "d", &rest);
            let text = fs::read_to_string(&manifest).unwrap();
            write(
                &manifest,
                &text.replace("\"2024\"", &format!("\"{edition}\"")),
            );
            // Resolved afresh, among what is downloaded: this workspace locks both.
            cargo(project.path(), &["generate-lockfile"]);
            let graph = asked(&manifest, Path::new("/out"), &offline()).unwrap();
            let runtime = graph.runtime().unwrap();
            assert_eq!((runtime.version.major, runtime.version.minor), (0, 14));
            assert!(runtime.immutable && !runtime.direct, "{runtime:?}");
        }
    }

    #[test]
    fn what_is_never_compiled_is_asked_for_beside_the_flags_of_the_build() {
        assert_eq!(with_files(""), "--cfg\u{1f}eryx_preinit_files");
        assert_eq!(
            with_files("-Cdebuginfo=1\u{1f}--cfg\u{1f}x"),
            "-Cdebuginfo=1\u{1f}--cfg\u{1f}x\u{1f}--cfg\u{1f}eryx_preinit_files"
        );
    }

    #[test]
    fn a_lock_file_that_cargo_would_change_is_read_and_stays() {
        let project = tempfile::tempdir().unwrap();
        let path = project.path();
        package(&path.join("patched"), "semver", "");
        let text = fs::read_to_string(path.join("patched/Cargo.toml")).unwrap();
        write(
            &path.join("patched/Cargo.toml"),
            &text.replace("0.1.0", "1.0.999"),
        );
        let manifest = package(
            &path.join("app"),
            "app",
            "[workspace]\n[dependencies]\nsemver = \"1\"\neryx-runtime = \"=0.5.0\"\n",
        );
        let app = manifest.parent().unwrap();
        let lock = lock(app);
        let patch = "patch.crates-io.semver.path=\"../patched\"";
        cargo(app, &["metadata", "--format-version=1", "--config", patch]);
        let before = fs::read_to_string(&lock).unwrap();
        assert!(before.contains("1.0.999"), "{before}");

        // A cargo that does not know of the patch would lock another one.
        for invocation in [
            offline(),
            Invocation {
                // As the build was started: this cargo's answer is all there is to know.
                options: vec!["--config".to_owned(), patch.to_owned()],
                folder: Some(app.to_owned()),
                ..offline()
            },
            Invocation::default(),
        ] {
            let graph = asked(&manifest, Path::new("/out"), &invocation).unwrap();
            let runtime = graph.runtime().unwrap();
            assert_eq!(runtime.version, Version::new(0, 5, 0));
            assert!(runtime.direct && runtime.immutable, "{runtime:?}");
            crate::inputs::runtime::library_files(&runtime.dir).unwrap();
            assert_eq!(fs::read_to_string(&lock).unwrap(), before, "{invocation:?}");
        }

        // Nor is a damaged one mended.
        fs::write(&lock, "version = 4\n[[package]]\n").unwrap();
        let error = asked(&manifest, Path::new("/out"), &offline()).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("failed to parse lock file"), "{text}");
        assert_eq!(
            fs::read_to_string(&lock).unwrap(),
            "version = 4\n[[package]]\n"
        );
    }

    #[test]
    fn what_is_not_downloaded_is_named_and_not_asked_for_offline() {
        let project = tempfile::tempdir().unwrap();
        let manifest = package(
            project.path(),
            "app",
            "[workspace]\n[dependencies]\neryx-runtime = \"=0.5.0\"\n",
        );
        let lock = lock(project.path());
        cargo(project.path(), &["metadata", "--format-version=1"]);
        // No such package was ever published.
        let text = fs::read_to_string(&lock).unwrap();
        write(&lock, &text.replace("0.5.0", "0.5.77"));
        let text = fs::read_to_string(&manifest).unwrap();
        write(&manifest, &text.replace("0.5.0", "0.5.77"));
        let before = fs::read_to_string(&lock).unwrap();
        let error = asked(&manifest, Path::new("/out"), &offline()).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("may not use the network"), "{text}");
        assert!(text.contains("0.5.77"), "{text}");
        // Who was asked online as well names both answers.
        assert!(!text.contains("offline: error"), "{text}");
        assert_eq!(fs::read_to_string(&lock).unwrap(), before);
    }

    #[test]
    fn a_target_in_a_file_does_not_matter() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let consumer = manifest::consumer(&manifest, &fs::read_to_string(&manifest).unwrap());
        let graph = graph(&Question {
            cargo: Some(Path::new(env!("CARGO"))),
            invocation: &offline(),
            manifest: &manifest,
            top: &manifest,
            consumer: &consumer.unwrap(),
            // All that a build script is told of `--target ../my-kernel.json`.
            target: Some("my-kernel"),
            rustflags: "-Ctarget-cpu=of-my-kernel",
            wanted: ALL,
            log: &Log::default(),
        });
        let graph = graph.unwrap();
        let runtime = graph.runtime_of(&Version::new(0, 5, 0)).unwrap().unwrap();
        assert!(runtime.dir.join("libs").is_dir(), "{runtime:?}");
    }

    #[test]
    fn packaged_beside_the_workspace_a_consumer_has_its_own_lock_file() {
        let project = tempfile::tempdir().unwrap();
        let path = project.path();
        write(
            &path.join("Cargo.toml"),
            "[workspace]\nmembers = [\"member\"]\n",
        );
        package(&path.join("member"), "member", "");
        let unpacked = path.join("build/package/member-0.1.0");
        let manifest = package(
            &unpacked,
            "member",
            "[dependencies]\neryx-runtime = \"=0.5.0\"\n",
        );
        write(&unpacked.join("Cargo.toml.orig"), "");
        // As `cargo package` writes it: with what the package needs.
        write(
            &path.join("lone/Cargo.toml"),
            &(fs::read_to_string(&manifest).unwrap() + "[workspace]\n"),
        );
        write(&path.join("lone/src/lib.rs"), "");
        lock(&path.join("lone"));
        cargo(&path.join("lone"), &["metadata", "--format-version=1"]);
        let lock = unpacked.join("Cargo.lock");
        fs::copy(path.join("lone/Cargo.lock"), &lock).unwrap();
        let before = fs::read(&lock).unwrap();
        let out_dir = path.join("build/debug/build/member-1/out");
        let graph = asked(&manifest, &out_dir, &offline()).unwrap();
        assert!(graph.runtime().unwrap().dir.join("libs").is_dir());
        assert_eq!(fs::read(&lock).unwrap(), before);

        // Older cargos package no lock file: none is written then.
        fs::remove_file(&lock).unwrap();
        let graph = asked(&manifest, &out_dir, &offline()).unwrap();
        assert!(graph.runtime().unwrap().direct);
        assert!(!lock.exists());
    }

    #[test]
    fn without_cargo_the_two_ways_out_are_named() {
        let project = tempfile::tempdir().unwrap();
        let manifest = package(project.path(), "app", "");
        lock(project.path());
        let text = fs::read_to_string(&manifest).unwrap();
        let error = graph(&Question {
            cargo: None,
            invocation: &Invocation::default(),
            manifest: &manifest,
            top: &manifest,
            consumer: &manifest::consumer(&manifest, &text).unwrap(),
            target: None,
            rustflags: "",
            wanted: ALL,
            log: &Log::default(),
        })
        .unwrap_err();
        let text = format!("{error:?}");
        for said in ["no cargo", "`runtime` and `stdlib`", "Builder::new"] {
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn vendored_a_consumer_and_its_runtime_are_found() {
        let project = tempfile::tempdir().unwrap();
        let path = project.path();
        let rest = "[workspace]\n[dependencies]\neryx-runtime = \"=0.5.0\"\n";
        let manifest = package(path, "v", rest);
        lock(path);
        let vendored = cargo(path, &["vendor"]);
        write(
            &path.join(".cargo/config.toml"),
            &String::from_utf8(vendored).unwrap(),
        );
        let out_dir = path.join("target/debug/build/c-1/out");
        let graph = asked(&manifest, &out_dir, &offline()).unwrap();
        let runtime = graph.runtime().unwrap();
        assert!(runtime.dir.ends_with("vendor/eryx-runtime"), "{runtime:?}");
        assert!(runtime.immutable && runtime.direct, "{runtime:?}");
        crate::inputs::runtime::library_files(&runtime.dir).unwrap();

        // A consumer that is a vendored dependency itself: the lock file in force is
        // not beside it.
        let inner = package(
            &path.join("vendor/c"),
            "c",
            "[package.metadata.eryx]\nimports = [\"re\"]\n\
             [dependencies]\neryx-runtime = \"=0.5.0\"\n",
        );
        write(
            &path.join("vendor/c/.cargo-checksum.json"),
            "{\"files\":{}}",
        );
        let text = fs::read_to_string(&manifest).unwrap();
        write(
            &manifest,
            &text.replace("[dependencies]", "[dependencies]\nc = \"0.1\""),
        );
        cargo(path, &["metadata", "--format-version=1"]);
        let consumer = manifest::consumer(&inner, &fs::read_to_string(&inner).unwrap()).unwrap();
        assert_eq!(consumer.block.as_ref().unwrap()["imports"][0], "re");
        let invoked = Invocation {
            folder: Some(path.join("src")),
            ..offline()
        };
        // By its target folder, or by where cargo was started.
        for (out_dir, invocation) in [
            (out_dir.as_path(), &offline()),
            (Path::new("/out"), &invoked),
        ] {
            assert_eq!(top(&inner, &consumer, out_dir, invocation), manifest);
            let graph = asked(&inner, out_dir, invocation).unwrap();
            assert!(graph.runtime().unwrap().direct);
        }
        let elsewhere = top(&inner, &consumer, Path::new("/out"), &offline());
        assert_eq!(elsewhere, inner);
    }
}
