//! Everything a build reads, and the digest of what it contains.
//!
//! A build script that finds nothing changed must not read all of it again, so
//! a digest is kept with the file's size and times (`stamp.rs`) and reused while
//! those are the same.

use crate::cargo::metadata::Graph;
use crate::cargo::resolve::Wanted;
use crate::config::Config;
use crate::error::{Error, Report, Stage};
use crate::inputs::runtime::{self, LibraryFile};
use crate::inputs::sources::Sources;
use crate::inputs::states::FileState;
use crate::inputs::stdlib::{EMBEDDED_DIGEST, StdlibSource};
use crate::inputs::walk::tree;
use crate::inputs::watch::Watch;
use crate::store::digest::{Digest, KeyBuilder};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The files of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// In link order.
    pub(crate) libraries: Vec<LibraryFile>,
    pub(crate) stdlib: StdlibSource,
    pub(crate) packages: Sources,
    /// The file to run after the imports.
    pub(crate) setup: Option<PathBuf>,
    /// The version of the runtime package, where a graph told it.
    pub(crate) runtime_version: Option<String>,
    /// The consumer's `eryx`, where the graph told of one: its version, and a digest of all
    /// it is built of.
    pub(crate) eryx: Option<(String, String)>,
    /// Inputs that can change without Cargo.toml or Cargo.lock changing.
    pub(crate) watched: Vec<PathBuf>,
}

impl Inputs {
    /// Finds every input, for a build that writes to `out_dir`; `graph` is only called
    /// when the configuration leaves something to it.
    ///
    /// # Errors
    /// [`Stage::Graph`] or [`Stage::Runtime`] that says what is missing.
    pub(crate) fn locate(
        config: &Config,
        out_dir: &Path,
        graph: impl FnOnce(Wanted) -> Result<Graph, Error>,
    ) -> Result<Self, Error> {
        let mut watched = Vec::new();
        let wanted = wanted(config);
        let graph = (wanted.runtime || wanted.stdlib).then(|| graph(wanted));
        let graph = graph.transpose()?;
        let (runtime_dir, runtime_version) = runtime_of(config, graph.as_ref(), &mut watched)?;
        let stdlib = stdlib_of(config, graph.as_ref(), out_dir, &mut watched)?;
        let eryx = graph.as_ref().map(Graph::eryx).transpose()?.flatten();
        let eryx = eryx.map(|eryx| (eryx.version.to_string(), eryx.built_of.clone()));
        let packages = Sources::locate(config, out_dir)?;
        watched.extend(packages.watched.iter().cloned());
        if let Some(setup) = &config.setup {
            let mut watch = Watch::new(out_dir);
            watch.file(setup);
            watched.append(&mut watch.paths);
        }
        Ok(Self {
            libraries: runtime::library_files(&runtime_dir)?,
            stdlib,
            packages,
            setup: config.setup.clone(),
            runtime_version,
            eryx,
            watched,
        })
    }

    /// Every file that is read, in a fixed order.
    ///
    /// # Errors
    /// [`Stage::Io`] when a folder cannot be listed.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files: Vec<PathBuf> = self.libraries.iter().map(|l| l.path.clone()).collect();
        match &self.stdlib {
            StdlibSource::Folder(dir) => files.extend(tree(dir)?),
            StdlibSource::Archive(path) => files.push(path.clone()),
            StdlibSource::Embedded => {}
        }
        for source in &self.packages.list {
            files.extend(source.files()?.into_iter().map(|file| file.path));
        }
        files.extend(self.setup.clone());
        // A project's packages may be named one by one, too.
        let mut seen = HashSet::new();
        files.retain(|path| seen.insert(path.clone()));
        Ok(files)
    }

    /// Digests of the parts that stages depend on.
    ///
    /// # Errors
    /// [`Stage::Io`] when a file cannot be read.
    pub(crate) fn digests(&self, files: &[FileState]) -> Result<Digests, Error> {
        let digests: HashMap<&Path, Digest> = files
            .iter()
            .map(|file| (file.path.as_path(), file.digest))
            .collect();
        let digest = |path: &Path| {
            digests.get(path).copied().ok_or_else(|| {
                Stage::Io.error(Report::new(format!(
                    "`{}` appeared while the build was reading its inputs",
                    path.display()
                )))
            })
        };
        let folder = |dir: &Path| -> Result<Digest, Error> {
            let mut key = KeyBuilder::new("folder");
            for path in tree(dir)? {
                let relative = path.strip_prefix(dir).unwrap_or(&path);
                key.part(&relative.to_string_lossy(), &digest(&path)?.0);
            }
            Ok(key.finish())
        };
        let mut libraries = KeyBuilder::new("libraries");
        for library in &self.libraries {
            libraries.part(library.name, &digest(&library.path)?.0);
        }
        Ok(Digests {
            libraries: libraries.finish(),
            stdlib: match &self.stdlib {
                StdlibSource::Folder(dir) => folder(dir)?,
                StdlibSource::Archive(path) => digest(path)?,
                StdlibSource::Embedded => EMBEDDED_DIGEST,
            },
            site_packages: self.packages.digest(digest)?,
        })
    }
}

/// The folder of the runtime package, and its version where the graph tells it.
fn runtime_of(
    config: &Config,
    graph: Option<&Graph>,
    watched: &mut Vec<PathBuf>,
) -> Result<(PathBuf, Option<String>), Error> {
    match (&config.runtime, graph) {
        (Some(dir), _) => {
            watched.push(dir.clone());
            Ok((dir.clone(), None))
        }
        (None, Some(graph)) => {
            let package = graph.runtime()?;
            if !package.immutable {
                watched.push(package.dir.clone());
            }
            Ok((package.dir.clone(), Some(package.version.to_string())))
        }
        (None, None) => unreachable!("the graph is read whenever `runtime` is not set"),
    }
}

/// The standard library: the one that is configured, that of the consumer's eryx, or the
/// embedded one.
fn stdlib_of(
    config: &Config,
    graph: Option<&Graph>,
    out_dir: &Path,
    watched: &mut Vec<PathBuf>,
) -> Result<StdlibSource, Error> {
    if let Some(path) = &config.stdlib {
        let source = StdlibSource::from_path(path.clone());
        let mut watch = Watch::new(out_dir);
        match source {
            StdlibSource::Archive(_) => watch.file(path),
            _ => watch.path(path),
        }
        watched.append(&mut watch.paths);
        return Ok(source);
    }
    let Some(eryx) = graph.map(Graph::eryx).transpose()?.flatten() else {
        return Ok(StdlibSource::Embedded);
    };
    let archive = eryx.dir.join("python-stdlib.tar.zst");
    if !archive.is_file() {
        return Err(Stage::Runtime.error(
            Report::new(format!(
                "the eryx {} package has no python-stdlib.tar.zst",
                eryx.version
            ))
            .note(format!("expected {}", archive.display()))
            .hint("set `stdlib` in [package.metadata.eryx]"),
        ));
    }
    if !eryx.immutable {
        watched.push(archive.clone());
    }
    Ok(StdlibSource::Archive(archive))
}

/// What the graph has to say.
fn wanted(config: &Config) -> Wanted {
    Wanted {
        runtime: config.runtime.is_none(),
        stdlib: config.stdlib.is_none(),
    }
}

/// Content digests of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) libraries: Digest,
    pub(crate) stdlib: Digest,
    pub(crate) site_packages: Option<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::states::states;
    use std::fs;

    fn inputs(site_packages: &Path) -> Inputs {
        Inputs {
            libraries: Vec::new(),
            stdlib: StdlibSource::Embedded,
            packages: Sources::locate(
                &Config {
                    site_packages: Some(site_packages.to_owned()),
                    ..Config::default()
                },
                Path::new("out"),
            )
            .unwrap(),
            setup: None,
            runtime_version: None,
            eryx: None,
            watched: Vec::new(),
        }
    }

    fn site_digest(dir: &Path) -> Option<Digest> {
        let inputs = inputs(dir);
        let states = states(&inputs.files().unwrap(), &[]).unwrap();
        inputs.digests(&states).unwrap().site_packages
    }

    #[test]
    fn names_and_contents_count_but_not_where_the_folder_is() {
        let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for dir in [&one, &two] {
            fs::create_dir(dir.path().join("pkg")).unwrap();
            fs::write(dir.path().join("pkg/a.py"), "1").unwrap();
        }
        assert_eq!(site_digest(one.path()), site_digest(two.path()));
        fs::create_dir(two.path().join("pkg/__pycache__")).unwrap();
        fs::write(two.path().join("pkg/__pycache__/a.pyc"), "x").unwrap();
        assert_eq!(site_digest(one.path()), site_digest(two.path()));
        // To Python this is a package, and in no listing of files.
        fs::create_dir(two.path().join("namespace")).unwrap();
        assert_ne!(site_digest(one.path()), site_digest(two.path()));
        // Nor does it become less of one by what Python does not see in it.
        let namespace = site_digest(two.path());
        fs::create_dir(two.path().join("namespace/__pycache__")).unwrap();
        assert_eq!(site_digest(two.path()), namespace);
        fs::remove_dir_all(two.path().join("namespace")).unwrap();
        assert_eq!(site_digest(one.path()), site_digest(two.path()));
        fs::rename(two.path().join("pkg/a.py"), two.path().join("pkg/b.py")).unwrap();
        assert_ne!(site_digest(one.path()), site_digest(two.path()));
    }

    #[test]
    fn a_packed_standard_library_is_watched_with_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let [folder, out_dir] = ["vendor", "target/out"].map(|name| root.join(name));
        fs::create_dir_all(&out_dir).unwrap();
        fs::create_dir(&folder).unwrap();
        let watched = |path: &Path| {
            let config = Config {
                stdlib: Some(path.to_owned()),
                ..Config::default()
            };
            let mut watched = Vec::new();
            stdlib_of(&config, None, &out_dir, &mut watched).unwrap();
            watched
        };
        let archive = folder.join("python-stdlib.tar.zst");
        fs::write(&archive, "").unwrap();
        // An older one may be moved over it.
        assert_eq!(watched(&archive), [archive.clone(), folder.clone()]);
        assert_eq!(watched(&folder), [folder]);
        let beside = root.join("python-stdlib.tar.zst");
        fs::write(&beside, "").unwrap();
        assert_eq!(watched(&beside), [beside], "this build writes there");
    }

    #[test]
    fn the_graph_is_not_read_when_both_paths_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            runtime: Some(dir.path().to_owned()),
            stdlib: Some(dir.path().to_owned()),
            ..Config::default()
        };
        let error = Inputs::locate(&config, dir.path(), |_| panic!("not needed")).unwrap_err();
        assert!(
            format!("{error:?}").contains("libpython3.14.so.zst"),
            "{error:?}"
        );
    }
}
