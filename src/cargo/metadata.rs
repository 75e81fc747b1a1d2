//! The consumer, as cargo sees it: its metadata block, and which `eryx` and
//! `eryx-runtime` packages its dependency graph holds.
//!
//! The block comes from `cargo metadata --no-deps`, which resolves and downloads
//! nothing. The graph is asked for only when a package has to be located, first
//! `--offline`. Cargo downloads what it compiles; this crate's own `eryx-runtime` it
//! never compiles, so the first build asks once more, online.

use crate::error::{Error, Report};
use crate::log::Log;
use crate::store::digest::KeyBuilder;
use cargo_metadata::semver::Version;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, Node, Package, PackageId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

/// The consumer's own package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    pub(crate) version: String,
    /// `[package.metadata.eryx]`, if there is one.
    pub(crate) block: Option<serde_json::Value>,
    /// Where Cargo.lock is, if it exists.
    pub(crate) workspace_root: PathBuf,
}

/// A package of the graph.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Located {
    pub(crate) version: Version,
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// Whether the consumer itself depends on it.
    pub(crate) direct: bool,
    /// Whether it comes from a registry, so that its files never change.
    pub(crate) immutable: bool,
    /// Of `eryx`: a digest of its dependencies, with their versions and features.
    pub(crate) built_of: String,
}

/// What the graph holds of `eryx`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Graph {
    pub(crate) eryx: Vec<Located>,
    pub(crate) runtimes: Vec<Located>,
}

/// Reads the consumer's package, without resolving anything where that is possible.
///
/// # Errors
/// [`Error::Graph`] with cargo's own words.
pub(crate) fn consumer(cargo: &Path, manifest: &Path, out_dir: &Path) -> Result<Consumer, Error> {
    let read = |manifest: &Path, no_deps: bool| {
        let mut command = MetadataCommand::new();
        command.cargo_path(cargo).manifest_path(manifest);
        if let Some(folder) = manifest.parent() {
            command.current_dir(folder);
        }
        if no_deps {
            command.no_deps();
        }
        command.other_options(["--offline".to_owned()]).exec()
    };
    let metadata = read(manifest, true).or_else(|error| {
        // Cargo takes a vendored package for one of the workspace around it, which
        // does not list it as its own.
        let folder = manifest.parent().unwrap_or(manifest);
        match is_unpacked(folder)
            .then(|| workspace_around(out_dir))
            .flatten()
        {
            Some(top) => read(&top, false).map_err(|e| failed(&top, e)),
            None => Err(failed(manifest, error)),
        }
    })?;
    let package = package_of(&metadata, manifest)?;
    Ok(Consumer {
        name: package.name.to_string(),
        version: package.version.to_string(),
        block: package.metadata.get("eryx").cloned(),
        workspace_root: metadata.workspace_root.clone().into(),
    })
}

/// The manifest of the workspace whose lock file is in force for the package of
/// `manifest`, which cargo says belongs to `workspace_root`.
pub(crate) fn top(manifest: &Path, workspace_root: &Path, out_dir: &Path) -> PathBuf {
    // In a dependency out of a registry or a vendor folder, a lock file is not the
    // one in force: the graph is that of the workspace whose target folder this is.
    let folder = manifest.parent().unwrap_or(manifest);
    if workspace_root.join("Cargo.lock").is_file() && !is_unpacked(folder) {
        return workspace_root.join("Cargo.toml");
    }
    workspace_around(out_dir).unwrap_or_else(|| manifest.to_owned())
}

/// Whether cargo unpacked the package in `folder`, out of a registry or by vendoring.
fn is_unpacked(folder: &Path) -> bool {
    [".cargo-ok", ".cargo-checksum.json"]
        .iter()
        .any(|marker| folder.join(marker).exists())
}

/// The manifest of the workspace that has its target folder at the usual place.
fn workspace_around(out_dir: &Path) -> Option<PathBuf> {
    out_dir
        .ancestors()
        .skip(1)
        .find(|dir| dir.join("Cargo.lock").is_file() && dir.join("Cargo.toml").is_file())
        .map(|dir| dir.join("Cargo.toml"))
}

/// Reads the graph of the workspace `top` as the package of `manifest` sees it:
/// `--offline`, then as cargo would.
///
/// # Errors
/// [`Error::Graph`] with cargo's own words.
pub(crate) fn graph(
    cargo: &Path,
    manifest: &Path,
    top: &Path,
    target: Option<&str>,
    rustflags: &str,
    log: &Log,
) -> Result<Graph, Error> {
    let run = |network: &[&str]| {
        let mut options: Vec<String> = network.iter().map(|&s| s.to_owned()).collect();
        if let Some(target) = target {
            options.push(format!("--filter-platform={target}"));
        }
        let mut command = MetadataCommand::new();
        if let Some(folder) = top.parent() {
            // Cargo's configuration (a vendored source, say) is found from here.
            command.current_dir(folder);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", with_files(rustflags));
        command
            .cargo_path(cargo)
            .manifest_path(top)
            // Which of the workspace's features are on, a build script cannot
            // see; an optional dependency that is locked is at least located.
            .features(CargoOpt::AllFeatures)
            .other_options(options)
            .exec()
    };
    let offline = run(&["--offline", "--locked"]).or_else(|_| run(&["--offline"]));
    let metadata = offline.or_else(|offline| {
        log.say("cargo does not know all packages offline: it may download now");
        run(&["--locked"]).or_else(|_| run(&[])).map_err(|online| {
            Error::Graph(failure(top, online).note(format!("offline: {offline}")))
        })
    })?;
    Ok(locate(&metadata, package_of(&metadata, manifest).ok()))
}

/// The flags under which the graph holds what is never compiled: this crate's own
/// `eryx-runtime`, of which only the files are wanted.
fn with_files(rustflags: &str) -> String {
    let mut flags: Vec<&str> = rustflags.split('\u{1f}').collect();
    flags.retain(|flag| !flag.is_empty());
    flags.extend(["--cfg", "eryx_preinit_files"]);
    flags.join("\u{1f}")
}

fn locate(metadata: &Metadata, root: Option<&Package>) -> Graph {
    let nodes: HashMap<_, _> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (&node.id, node))
        .collect();
    let mut reachable = HashSet::new();
    let mut direct = HashSet::new();
    match root {
        None => reachable.extend(metadata.packages.iter().map(|package| &package.id)),
        Some(root) => {
            let mut queue = VecDeque::from([&root.id]);
            reachable.insert(&root.id);
            while let Some(id) = queue.pop_front() {
                for dependency in nodes.get(id).iter().flat_map(|node| &node.dependencies) {
                    if *id == root.id {
                        direct.insert(dependency);
                    }
                    if reachable.insert(dependency) {
                        queue.push_back(dependency);
                    }
                }
            }
        }
    }
    let find = |name: &str| {
        let mut found: Vec<Located> = metadata
            .packages
            .iter()
            .filter(|package| package.name.as_str() == name && reachable.contains(&package.id))
            .map(|package| Located {
                version: package.version.clone(),
                dir: package
                    .manifest_path
                    .parent()
                    .map(|dir| dir.as_std_path().to_owned())
                    .unwrap_or_default(),
                direct: direct.contains(&package.id),
                built_of: match name {
                    "eryx" => built_of(&nodes, &package.id),
                    _ => String::new(),
                },
                immutable: package.source.as_ref().is_some_and(|source| {
                    source.repr.starts_with("registry+") || source.repr.starts_with("sparse+")
                }),
            })
            .collect();
        found.sort();
        found
    };
    Graph {
        eryx: find("eryx"),
        runtimes: find("eryx-runtime"),
    }
}

/// A digest of the package and all it depends on: identifiers hold names, versions and
/// sources.
fn built_of(nodes: &HashMap<&PackageId, &Node>, package: &PackageId) -> String {
    let mut found = BTreeSet::from([package]);
    let mut queue = vec![package];
    while let Some(id) = queue.pop() {
        for dependency in nodes.get(id).iter().flat_map(|node| &node.dependencies) {
            if found.insert(dependency) {
                queue.push(dependency);
            }
        }
    }
    let mut key = KeyBuilder::new("built of");
    for id in found {
        key.part("package", id.repr.as_bytes());
        for feature in nodes.get(id).iter().flat_map(|node| &node.features) {
            key.part("feature", feature.as_bytes());
        }
    }
    key.finish().to_string()
}

fn package_of<'a>(metadata: &'a Metadata, manifest: &Path) -> Result<&'a Package, Error> {
    let same = |package: &&Package| {
        let found = package.manifest_path.as_std_path();
        found == manifest || found.canonicalize().ok() == manifest.canonicalize().ok()
    };
    metadata.packages.iter().find(same).ok_or_else(|| {
        Error::Graph(Report::new(format!(
            "cargo metadata does not list the package of `{}`",
            manifest.display()
        )))
    })
}

fn failed(manifest: &Path, source: cargo_metadata::Error) -> Error {
    Error::Graph(failure(manifest, source))
}

fn failure(manifest: &Path, source: cargo_metadata::Error) -> Report {
    Report::new(format!(
        "`cargo metadata` failed for `{}`",
        manifest.display()
    ))
    .source(source)
    .hint(
        "run `cargo fetch` (without --target) once with network access, or set `runtime` and \
         `stdlib` in [package.metadata.eryx]: then no graph is needed",
    )
}

impl Graph {
    /// The consumer's `eryx`, if it has one.
    ///
    /// # Errors
    /// [`Error::Graph`] when there are several and the consumer names none.
    pub(crate) fn eryx(&self) -> Result<Option<&Located>, Error> {
        only(&self.eryx, "eryx")
    }

    /// The runtime package to use: of the version of the consumer's `eryx`; without
    /// one, the package the consumer itself depends on, or else the newest.
    ///
    /// # Errors
    /// [`Error::Graph`] that says which versions there are and how to get the
    /// right one.
    pub(crate) fn runtime(&self) -> Result<&Located, Error> {
        match self.eryx()? {
            Some(eryx) => self.runtime_of(&eryx.version),
            None if self.runtimes.iter().any(|runtime| runtime.direct) => {
                only(&self.runtimes, "eryx-runtime")
            }
            // This crate's own dependencies are one a minor line.
            None => Ok(self.runtimes.iter().max_by_key(|runtime| &runtime.version)),
        }?
        .ok_or_else(|| {
            Error::Graph(
                Report::new("no `eryx-runtime` package in the dependency graph").hint(
                    "keep the default feature `runtime` of eryx-preinit-build, or add \
                     `eryx-runtime = \"0.14\"` to [target.'cfg(eryx_preinit_files)'.dependencies], \
                     or set `runtime` in [package.metadata.eryx]",
                ),
            )
        })
    }

    /// The runtime of this eryx: of the same version, or else the newest that is
    /// compatible by cargo's rules.
    fn runtime_of(&self, eryx: &Version) -> Result<Option<&Located>, Error> {
        let same = self.runtimes.iter().find(|found| found.version == *eryx);
        let compatible = || {
            let found = self.runtimes.iter();
            found
                .filter(|found| {
                    (found.version.major, found.version.minor) == (eryx.major, eryx.minor)
                })
                .max_by_key(|found| &found.version)
        };
        if let Some(runtime) = same.or_else(compatible) {
            return Ok(Some(runtime));
        }
        let mut report = Report::new(format!(
            "this package uses eryx {eryx}, but its graph has no eryx-runtime {eryx}"
        ));
        for runtime in &self.runtimes {
            report = report.note(format!("there is eryx-runtime {}", runtime.version));
        }
        Err(Error::Graph(report.hint(format!(
            "add `eryx-runtime = \"={eryx}\"` to \
             [target.'cfg(eryx_preinit_files)'.dependencies] of this package: it is located, and \
             never compiled"
        ))))
    }
}

fn only<'a>(found: &'a [Located], name: &str) -> Result<Option<&'a Located>, Error> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let mut direct = several.iter().filter(|package| package.direct);
            match (direct.next(), direct.next()) {
                (Some(one), None) => Ok(Some(one)),
                _ => {
                    let mut report = Report::new(format!(
                        "the dependency graph has several versions of `{name}`"
                    ));
                    for package in several {
                        report = report.note(format!(
                            "{} in {}",
                            package.version,
                            package.dir.display()
                        ));
                    }
                    Err(Error::Graph(report.hint(format!(
                        "depend on one of them in this package's Cargo.toml (`{name} = \"=…\"`), \
                         or set `runtime` and `stdlib` in [package.metadata.eryx]"
                    ))))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(version: &str, direct: bool) -> Located {
        Located {
            version: version.parse().unwrap(),
            dir: format!("/registry/x-{version}").into(),
            direct,
            immutable: true,
            built_of: String::new(),
        }
    }

    fn graph(eryx: &[(&str, bool)], runtimes: &[(&str, bool)]) -> Graph {
        let list = |found: &[(&str, bool)]| found.iter().map(|&(v, d)| located(v, d)).collect();
        Graph {
            eryx: list(eryx),
            runtimes: list(runtimes),
        }
    }

    fn version(graph: &Graph) -> String {
        graph.runtime().unwrap().version.to_string()
    }

    #[test]
    fn the_runtime_has_the_version_of_eryx() {
        let graph = graph(
            &[("0.9.1", true)],
            &[("0.14.0", false), ("0.5.0", false), ("0.9.1", false)],
        );
        assert_eq!(version(&graph), "0.9.1");
    }

    #[test]
    fn a_patch_version_apart_is_compatible_and_the_newest_counts() {
        let runtimes = [("0.5.0", false), ("0.9.2", false), ("0.9.10", false)];
        assert_eq!(version(&graph(&[("0.9.1", true)], &runtimes)), "0.9.10");
        // A direct dependency of another line does not make it fit.
        let runtimes = [("0.5.0", true), ("0.9.0", false)];
        assert_eq!(version(&graph(&[("0.9.1", true)], &runtimes)), "0.9.0");
    }

    #[test]
    fn a_runtime_of_another_version_says_how_to_change_it() {
        let error = graph(&[("0.9.1", true)], &[("0.5.0", false), ("0.14.0", false)])
            .runtime()
            .unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("eryx-runtime = \"=0.9.1\""), "{text}");
        assert!(text.contains("cfg(eryx_preinit_files)"), "{text}");
    }

    #[test]
    fn without_eryx_the_newest_runtime_is_it() {
        assert_eq!(version(&graph(&[], &[("0.6.0", false)])), "0.6.0");
        // By number: as text, 0.9 is greater.
        let several = [("0.5.0", false), ("0.14.0", false), ("0.9.1", false)];
        assert_eq!(version(&graph(&[], &several)), "0.14.0");
        let error = graph(&[], &[]).runtime().unwrap_err();
        assert!(format!("{error:?}").contains("feature `runtime`"));
    }

    #[test]
    fn among_several_the_direct_one_counts() {
        let two = graph(&[], &[("0.5.0", true), ("0.14.0", false)]);
        assert_eq!(version(&two), "0.5.0");
        let error = graph(&[], &[("0.5.0", true), ("0.14.0", true)])
            .runtime()
            .unwrap_err();
        assert!(format!("{error:?}").contains("several versions"));
    }

    #[test]
    fn this_very_package_is_found() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let cargo = Path::new(env!("CARGO"));
        let out_dir = manifest.parent().unwrap();
        let consumer = consumer(cargo, &manifest, out_dir).unwrap();
        assert_eq!(consumer.name, "eryx-preinit-build");
        assert_eq!(consumer.block, None);
        let top = top(&manifest, &consumer.workspace_root, out_dir);
        assert_eq!(top, manifest);
        // Without one, dependencies of no platform would count.
        let target = Some("x86_64-unknown-linux-gnu");
        let graph = super::graph(cargo, &manifest, &top, target, "", &Log::default()).unwrap();
        // The newest line, and that of the newest eryx that this crate's Rust compiles.
        for eryx in [Version::new(0, 14, 0), Version::new(0, 5, 0)] {
            let runtime = graph.runtime_of(&eryx).unwrap().unwrap();
            assert!(runtime.dir.join("libs").is_dir(), "{runtime:?}");
        }
    }

    #[test]
    fn the_default_is_0_14_on_any_rust_with_any_resolver() {
        for edition in ["2021", "2024"] {
            let project = tempfile::tempdir().unwrap();
            let path = project.path();
            std::fs::create_dir(path.join("src")).unwrap();
            std::fs::write(path.join("src/lib.rs"), "").unwrap();
            let own = env!("CARGO_MANIFEST_DIR");
            let text = format!(
                "[package]\nname = \"d\"\nversion = \"0.1.0\"\nedition = \"{edition}\"\n\
                 rust-version = \"1.95\"\n\n[workspace]\n\n[build-dependencies]\n\
                 eryx-preinit-build = {{ path = '{own}' }}\n"
            );
            let manifest = path.join("Cargo.toml");
            std::fs::write(&manifest, text).unwrap();
            // Resolved afresh, among what is downloaded: this workspace locks both.
            let cargo = Path::new(env!("CARGO"));
            let graph =
                super::graph(cargo, &manifest, &manifest, None, "", &Log::default()).unwrap();
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
    fn vendored_a_consumer_and_its_runtime_are_found() {
        let project = tempfile::tempdir().unwrap();
        let path = project.path();
        std::fs::create_dir_all(path.join("src")).unwrap();
        std::fs::create_dir_all(path.join(".cargo")).unwrap();
        std::fs::write(path.join("src/lib.rs"), "").unwrap();
        std::fs::write(
            path.join("Cargo.toml"),
            "[package]\nname = \"v\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [dependencies]\neryx-runtime = \"=0.5.0\"\n\n[workspace]\n",
        )
        .unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(root.join("Cargo.lock"), path.join("Cargo.lock")).unwrap();
        let vendored = std::process::Command::new(env!("CARGO"))
            .args(["vendor", "--offline"])
            .current_dir(path)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&vendored.stderr);
        assert!(vendored.status.success(), "{stderr}");
        std::fs::write(path.join(".cargo/config.toml"), &vendored.stdout).unwrap();

        let manifest = path.join("Cargo.toml");
        let cargo = Path::new(env!("CARGO"));
        let graph = super::graph(cargo, &manifest, &manifest, None, "", &Log::default()).unwrap();
        let runtime = graph.runtime().unwrap();
        assert!(runtime.dir.ends_with("vendor/eryx-runtime"), "{runtime:?}");
        assert!(runtime.immutable && runtime.direct, "{runtime:?}");
        crate::inputs::runtime::library_files(&runtime.dir).unwrap();

        // A consumer that is a vendored dependency itself: cargo finds the workspace
        // around it, and refuses.
        let vendored = path.join("vendor/c");
        std::fs::create_dir_all(vendored.join("src")).unwrap();
        std::fs::write(vendored.join("src/lib.rs"), "").unwrap();
        std::fs::write(
            vendored.join("Cargo.toml"),
            "[package]\nname = \"c\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n\
             [package.metadata.eryx]\nimports = [\"re\"]\n\n\
             [dependencies]\neryx-runtime = \"=0.5.0\"\n",
        )
        .unwrap();
        std::fs::write(vendored.join(".cargo-checksum.json"), "{\"files\":{}}").unwrap();
        let text = std::fs::read_to_string(&manifest).unwrap();
        let text = text.replace("[dependencies]", "[dependencies]\nc = \"1\"");
        std::fs::write(&manifest, text).unwrap();
        let out_dir = path.join("target/debug/build/c-1/out");
        let inner = vendored.join("Cargo.toml");
        let consumer = consumer(cargo, &inner, &out_dir).unwrap();
        assert_eq!(consumer.block.unwrap()["imports"][0], "re");
        let top = top(&inner, &consumer.workspace_root, &out_dir);
        assert_eq!(top, manifest);
        let graph = super::graph(cargo, &inner, &top, None, "", &Log::default()).unwrap();
        assert!(graph.runtime().unwrap().direct);
    }
}
