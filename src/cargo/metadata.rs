//! Which `eryx` and `eryx-runtime` packages the consumer's dependency graph holds, and
//! which of them are to be used.

use crate::error::{Error, Report, Stage};
use crate::store::digest::KeyBuilder;
use cargo_metadata::semver::Version;
use cargo_metadata::{Metadata, Node, Package, PackageId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

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

/// What the graph holds for `root`; without a root, all of it.
pub(crate) fn locate(metadata: &Metadata, root: Option<&Package>) -> Graph {
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

pub(crate) fn package_of<'a>(
    metadata: &'a Metadata,
    manifest: &Path,
) -> Result<&'a Package, Error> {
    let same = |package: &&Package| {
        let found = package.manifest_path.as_std_path();
        found == manifest || found.canonicalize().ok() == manifest.canonicalize().ok()
    };
    metadata.packages.iter().find(same).ok_or_else(|| {
        Stage::Graph.error(Report::new(format!(
            "cargo metadata does not list the package of `{}`",
            manifest.display()
        )))
    })
}

impl Graph {
    /// The consumer's `eryx`, if it has one.
    ///
    /// # Errors
    /// [`Stage::Graph`] when there are several and the consumer names none.
    pub(crate) fn eryx(&self) -> Result<Option<&Located>, Error> {
        only(&self.eryx, "eryx")
    }

    /// The runtime package to use: of the version of the consumer's `eryx`; without
    /// one, the package the consumer itself depends on, or else the newest.
    ///
    /// # Errors
    /// [`Stage::Graph`] that says which versions there are and how to get the
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
            Stage::Graph.error(
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
    pub(crate) fn runtime_of(&self, eryx: &Version) -> Result<Option<&Located>, Error> {
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
        Err(Stage::Graph.error(report.hint(format!(
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
                    Err(Stage::Graph.error(report.hint(format!(
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
}
