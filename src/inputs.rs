//! Everything a build reads, and the digest of what it contains.
//!
//! A build script that finds nothing changed must not read all of it again, so
//! a digest is kept with the file's size and times (`stamp.rs`) and reused while
//! those are the same.

use crate::cache::{Key, KeyBuilder};
use crate::config::Config;
use crate::error::{Error, Report};
use crate::filesystem::BYTECODE_CACHE;
use crate::graph::Graph;
use crate::packages::Sources;
use crate::runtime::{self, LibraryFile, StdlibSource};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    /// Inputs that can change without Cargo.toml or Cargo.lock changing.
    pub(crate) watched: Vec<PathBuf>,
}

impl Inputs {
    /// Finds every input, for a build that writes to `out_dir`; `graph` is only called
    /// when the configuration leaves something to it.
    ///
    /// # Errors
    /// [`Error::Graph`] or [`Error::Runtime`] that says what is missing.
    pub(crate) fn locate(
        config: &Config,
        out_dir: &Path,
        graph: impl FnOnce() -> Result<Graph, Error>,
    ) -> Result<Self, Error> {
        let mut watched = Vec::new();
        let graph = match (&config.runtime, &config.stdlib) {
            (Some(_), Some(_)) => None,
            _ => Some(graph()?),
        };
        let (runtime_dir, runtime_version) = match (&config.runtime, &graph) {
            (Some(dir), _) => {
                watched.push(dir.clone());
                (dir.clone(), None)
            }
            (None, Some(graph)) => {
                let package = graph.runtime()?;
                if !package.immutable {
                    watched.push(package.dir.clone());
                }
                (package.dir.clone(), Some(package.version.clone()))
            }
            (None, None) => unreachable!("the graph is read whenever `runtime` is not set"),
        };
        let stdlib = match (&config.stdlib, &graph) {
            (Some(path), _) => {
                watched.push(path.clone());
                StdlibSource::from_path(path.clone())
            }
            (None, graph) => match graph.as_ref().map(Graph::eryx).transpose()?.flatten() {
                Some(eryx) => {
                    let archive = eryx.dir.join("python-stdlib.tar.zst");
                    if !archive.is_file() {
                        return Err(Error::Runtime(
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
                    StdlibSource::Archive(archive)
                }
                None => StdlibSource::Embedded,
            },
        };
        let packages = Sources::locate(config, out_dir)?;
        watched.extend(packages.watched.iter().cloned());
        watched.extend(config.setup.clone());
        Ok(Self {
            libraries: runtime::library_files(&runtime_dir)?,
            stdlib,
            packages,
            setup: config.setup.clone(),
            runtime_version,
            watched,
        })
    }

    /// Every file that is read, in a fixed order.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be listed.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut files: Vec<PathBuf> = self.libraries.iter().map(|l| l.path.clone()).collect();
        match &self.stdlib {
            StdlibSource::Folder(dir) => files.extend(tree(dir)?),
            StdlibSource::Archive(path) => files.push(path.clone()),
            StdlibSource::Embedded => {}
        }
        for source in &self.packages.list {
            files.extend(source.files()?);
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
    /// [`Error::Io`] when a file cannot be read.
    pub(crate) fn digests(&self, files: &[FileState]) -> Result<Digests, Error> {
        let digests: HashMap<&Path, Key> = files
            .iter()
            .map(|file| (file.path.as_path(), file.digest))
            .collect();
        let digest = |path: &Path| {
            digests.get(path).copied().ok_or_else(|| {
                Error::Io(Report::new(format!(
                    "`{}` appeared while the build was reading its inputs",
                    path.display()
                )))
            })
        };
        let folder = |dir: &Path| -> Result<Key, Error> {
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
                StdlibSource::Embedded => match self.stdlib.archive()? {
                    Some(archive) => Key::of(&archive),
                    None => unreachable!("an embedded archive is an archive"),
                },
            },
            site_packages: self.packages.digest(digest)?,
        })
    }
}

/// Content digests of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) libraries: Key,
    pub(crate) stdlib: Key,
    pub(crate) site_packages: Option<Key>,
}

/// A file as it was when its content was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) path: PathBuf,
    pub(crate) meta: Meta,
    #[serde(with = "hex")]
    pub(crate) digest: Key,
    /// Whether it had been left alone for a while when it was read. Only such
    /// states are stored.
    #[serde(skip, default = "settled")]
    pub(crate) settled: bool,
}

fn settled() -> bool {
    true
}

/// Coarser than any file system's time stamps (FAT: two seconds).
const RACY: Duration = Duration::from_secs(3);

/// What the file system says about a file; any change of content changes it,
/// short of tampering with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub(crate) len: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: i128,
    /// The inode's own change time where there is one: restoring an old mtime
    /// does not restore it.
    pub(crate) changed: i128,
}

impl Meta {
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let modified = metadata.modified().map_or(0, nanoseconds);
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = 0;
        Ok(Self {
            len: metadata.len(),
            modified,
            changed,
        })
    }

    /// The later of the two times, in nanoseconds since 1970.
    fn newest(&self) -> i128 {
        self.modified.max(self.changed)
    }
}

/// Nanoseconds since 1970.
fn nanoseconds(time: SystemTime) -> i128 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i128)
}

/// Digests `paths`, in parallel, reusing those of `known` that still hold.
///
/// # Errors
/// [`Error::Io`] when a file cannot be read.
pub(crate) fn states(paths: &[PathBuf], known: &[FileState]) -> Result<Vec<FileState>, Error> {
    let known: HashMap<&Path, &FileState> = known
        .iter()
        .map(|file| (file.path.as_path(), file))
        .collect();
    paths
        .par_iter()
        .map(|path| {
            // Before reading: a change during the read then looks like a change.
            let meta = Meta::of(path)?;
            if let Some(file) = known.get(path.as_path())
                && file.meta == meta
            {
                return Ok((*file).clone());
            }
            let now = nanoseconds(SystemTime::now());
            let content = if path.is_dir() {
                Vec::new()
            } else {
                fs::read(path).map_err(|e| Error::io("read", path, e))?
            };
            Ok(FileState {
                settled: meta.newest() < now - RACY.as_nanos() as i128,
                path: path.clone(),
                meta,
                digest: Key::of(&content),
            })
        })
        .collect()
}

/// The files below `dir`, and folders with nothing to see in them (to Python a package
/// too), sorted, links followed that stay in `dir`; no bytecode caches, which differ
/// between two installations of the same packages. What Python sees in a mount
/// (`filesystem.rs`), and nothing from outside that a package could ask for with a link.
pub(crate) fn tree(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let list_error = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::Io(Report::new(format!("cannot list `{}`", dir.display())).source(e))
    };
    let root = dir.canonicalize().map_err(|e| list_error(e.into()))?;
    let leads_out = |entry: &walkdir::DirEntry| {
        let target = || entry.path().canonicalize();
        entry.path_is_symlink() && target().is_ok_and(|target| !target.starts_with(&root))
    };
    let mut found: Vec<PathBuf> = Vec::new();
    let walk = walkdir::WalkDir::new(dir)
        .min_depth(1)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != BYTECODE_CACHE && !leads_out(entry));
    for entry in walk {
        let path = match entry {
            Ok(entry) if entry.file_type().is_file() || entry.file_type().is_dir() => {
                entry.into_path()
            }
            // Devices and pipes.
            Ok(_) => continue,
            // To Python a folder; what is in it is known already.
            Err(e) if e.loop_ancestor().is_some() => match e.path() {
                Some(path) => path.to_owned(),
                None => continue,
            },
            // A link that leads nowhere.
            Err(e) if e.depth() > 0 && e.path().is_some_and(Path::is_symlink) => continue,
            Err(e) => return Err(list_error(e.into())),
        };
        // What comes next below a folder is in it: then it is not empty.
        if found
            .last()
            .is_some_and(|last| path.parent() == Some(last.as_path()))
        {
            found.pop();
        }
        found.push(path);
    }
    Ok(found)
}

/// Whether every file still looks as it did when its digest was taken.
///
/// # Errors
/// [`Error::Io`] that names the first that does not: what was made of it meanwhile is
/// not what the digest says.
pub(crate) fn unchanged(files: &[FileState]) -> Result<(), Error> {
    let changed = files
        .par_iter()
        .find_first(|file| Meta::of(&file.path).ok().as_ref() != Some(&file.meta));
    match changed {
        None => Ok(()),
        Some(file) => Err(Error::Io(
            Report::new(format!(
                "`{}` changed while the build was reading it",
                file.path.display()
            ))
            .hint("run the build again; nothing of this one was kept"),
        )),
    }
}

mod hex {
    use super::Key;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let text = String::deserialize(deserializer)?;
        Key::parse(&text).ok_or_else(|| D::Error::custom("not a SHA-256 digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            watched: Vec::new(),
        }
    }

    fn site_digest(dir: &Path) -> Option<Key> {
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

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folder_are_not_there() {
        use std::os::unix::fs::symlink;
        let [dir, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::create_dir(dir.path().join("pkg")).unwrap();
        fs::write(dir.path().join("pkg/a.py"), "1").unwrap();
        symlink(outside.path().join("secret"), dir.path().join("pkg/file")).unwrap();
        symlink(outside.path(), dir.path().join("pkg/folder")).unwrap();
        symlink("/nowhere/at/all", dir.path().join("pkg/nothing")).unwrap();
        symlink("a.py", dir.path().join("pkg/b.py")).unwrap();
        symlink("..", dir.path().join("pkg/round")).unwrap();
        let found = tree(dir.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["pkg/a.py", "pkg/b.py", "pkg/round"]);
    }

    #[test]
    fn what_changes_under_the_build_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let states = states(std::slice::from_ref(&path), &[]).unwrap();
        unchanged(&states).unwrap();
        fs::write(&path, "longer").unwrap();
        let error = unchanged(&states).unwrap_err();
        assert!(error.to_string().contains("changed while"), "{error}");
    }

    #[test]
    fn a_digest_is_reused_only_while_the_file_looks_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let mut first = states(std::slice::from_ref(&path), &[]).unwrap();
        let wrong = Key::of(b"a digest nobody computed");
        first[0].digest = wrong;
        let reused = states(std::slice::from_ref(&path), &first).unwrap();
        assert_eq!(reused[0].digest, wrong);
        fs::write(&path, "two!").unwrap();
        let fresh = states(std::slice::from_ref(&path), &first).unwrap();
        assert_eq!(fresh[0].digest, Key::of(b"two!"));
    }

    #[test]
    fn the_graph_is_not_read_when_both_paths_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            runtime: Some(dir.path().to_owned()),
            stdlib: Some(dir.path().to_owned()),
            ..Config::default()
        };
        let error = Inputs::locate(&config, dir.path(), || panic!("not needed")).unwrap_err();
        assert!(
            format!("{error:?}").contains("libpython3.14.so.zst"),
            "{error:?}"
        );
    }
}
