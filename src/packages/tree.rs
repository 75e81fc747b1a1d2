//! The folder to mount at /site-packages: the files of all sources, merged, and
//! the libraries among them, ready to link.
//!
//! ```text
//! OUT_DIR/eryx-preinit/
//!   site-packages-<digest>/
//!     site-packages/     what is mounted: at build time, and by the program
//!     libraries/0.so …   what is linked; in the tree, empty files stand for them
//!     record.json        their names, and what there was to say
//! ```
//!
//! Files are copied, with [`std::fs::copy`], which clones where the file system
//! can. Hard links would be cheaper and wrong: an edit of the source would change
//! a folder whose name says what is in it, and a program that may write to what it
//! mounts would write to the source.

use crate::archives::project::{self, discover::is_clutter};
use crate::archives::pyc;
use crate::error::{Error, Report};
use crate::inputs::sources::{Source, SourceFile, SourceKind, Sources, is_library};
use crate::packages::libraries::{Candidate, Libraries, LinkedLibrary};
use crate::packages::{namespace, pth};
use crate::store::digest::Digest;
use crate::store::folder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Prefix of the staged folders.
const STAGED: &str = "site-packages-";
/// In a staged folder: the tree, the libraries, and the [`TreeReport`].
const TREE: &str = "site-packages";
const LIBRARIES: &str = "libraries";
const REPORT: &str = "report.json";

/// How many findings of one kind a report lists.
const SHOWN: usize = 20;

/// What there is at /site-packages.
#[derive(Clone, Debug, Default)]
pub(crate) struct SitePackages {
    /// The folder to mount, where there is something to mount.
    pub(crate) tree: Option<PathBuf>,
    /// The staged folder around it, if it is not a folder of the consumer's.
    staged: Option<PathBuf>,
    pub(crate) report: TreeReport,
}

/// What was found while the tree was made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TreeReport {
    /// In link order.
    pub(crate) libraries: Vec<LinkedLibrary>,
    /// For the person who builds.
    pub(crate) warnings: Vec<String>,
    /// For verbose output.
    pub(crate) notes: Vec<String>,
    /// Extension modules that are there but for another platform, and what they
    /// are, by module name.
    pub(crate) foreign: BTreeMap<String, String>,
}

impl SitePackages {
    /// A file whose change means that the folder is no longer what was made.
    pub(crate) fn marker(&self) -> Option<PathBuf> {
        self.staged.as_ref().map(|folder| folder.join(REPORT))
    }

    /// The bytes of a library of the report.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn read(&self, library: &LinkedLibrary) -> Result<Vec<u8>, Error> {
        let path = self.staged.clone().unwrap_or_default().join(&library.file);
        fs::read(&path).map_err(|e| Error::io("read", &path, e))
    }
}

/// Removes the trees that earlier builds made in `folder`, but those that hold one of
/// `keep`.
pub(crate) fn sweep(folder: &Path, keep: &[PathBuf]) {
    folder::sweep(folder, STAGED, keep);
}

/// The tree of `sources`, whose content has this digest: made below `folder`, or
/// there already. `unchanged` says whether it still has.
///
/// # Errors
/// [`Error::Packages`] when a source cannot be used, or two do not go together;
/// [`Error::Link`] for a library that is not one to link; [`Error::Io`]; those of
/// `unchanged`.
pub(crate) fn prepare(
    sources: &Sources,
    digest: Option<Digest>,
    folder: &Path,
    unchanged: impl FnOnce() -> Result<(), Error>,
) -> Result<SitePackages, Error> {
    let Some(digest) = digest else {
        return Ok(SitePackages::default());
    };
    let staged = folder::staged(folder, STAGED, digest, |dir| {
        make(&sources.list, dir)?;
        unchanged()
    })?;
    let path = staged.join(REPORT);
    let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
    let report = serde_json::from_slice(&bytes)
        .map_err(|e| Error::io("read", &path, std::io::Error::other(e)))?;
    Ok(SitePackages {
        tree: Some(staged.join(TREE)),
        staged: Some(staged),
        report,
    })
}

/// The files of site-packages by their paths, with the number of the source of each.
pub(crate) type Tree = BTreeMap<String, (usize, Content)>;

/// One file on its way into the tree.
struct Member {
    /// Where it goes, below /site-packages, with `/`.
    path: String,
    content: Content,
}

#[derive(Clone)]
pub(crate) enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
    /// To Python a package without modules.
    EmptyFolder,
}

impl Content {
    pub(crate) fn read(&self) -> Result<std::borrow::Cow<'_, [u8]>, Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.into()),
            Self::EmptyFolder => Ok([][..].into()),
            Self::File(path) => {
                let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
                Ok(bytes.into())
            }
        }
    }
}

/// What one source brings.
#[derive(Default)]
struct Contents {
    members: Vec<Member>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

fn make(sources: &[Source], dir: &Path) -> Result<(), Error> {
    let contents = sources.par_iter().map(contents).collect::<Vec<_>>();
    let mut merge = Merge::new(sources);
    for (index, contents) in all(contents)?.into_iter().enumerate() {
        merge.source(index, contents)?;
    }
    let libraries = merge.libraries()?;
    merge.check_names(dir)?;
    let Merge {
        mut tree,
        mut report,
        ..
    } = merge;
    report.warnings.extend(pth::follow(&mut tree, sources)?);
    #[cfg(feature = "wheels")]
    report.warnings.extend(unsatisfied(&tree)?);

    write(&dir.join(TREE), &tree)?;
    let folder = dir.join(LIBRARIES);
    fs::create_dir(&folder).map_err(|e| Error::io("create", &folder, e))?;
    for (number, (mut library, bytes)) in libraries.into_iter().enumerate() {
        library.file = format!("{LIBRARIES}/{number}.so");
        let path = dir.join(&library.file);
        fs::write(&path, &bytes).map_err(|e| Error::io("write", &path, e))?;
        report.libraries.push(library);
    }
    let path = dir.join(REPORT);
    let bytes = serde_json::to_vec(&report).unwrap_or_default();
    fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
}

/// The files of all sources, on their way into one tree.
struct Merge<'a> {
    sources: &'a [Source],
    tree: Tree,
    native: Vec<Candidate<'a>>,
    conflicts: Vec<String>,
    report: TreeReport,
}

impl<'a> Merge<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            tree: Tree::new(),
            native: Vec::new(),
            conflicts: Vec::new(),
            report: TreeReport::default(),
        }
    }

    fn source(&mut self, index: usize, contents: Contents) -> Result<(), Error> {
        let source = &self.sources[index];
        for note in contents.notes {
            self.report.notes.push(format!("{}: {note}", source.key));
        }
        for warning in contents.warnings {
            let warning = format!("{}: {warning}", source.shown());
            self.report.warnings.push(warning);
        }
        for member in contents.members {
            if is_bytecode(&member.path) {
                continue;
            }
            // A bare library gets its place when it is known what it is.
            let bare = matches!(source.kind, SourceKind::Library(_));
            if bare || is_library(Path::new(&member.path)) {
                self.native.push(Candidate {
                    source,
                    index,
                    path: member.path.clone(),
                    bytes: member.content.read()?.into(),
                });
            }
            if !bare {
                self.member(index, member)?;
            }
        }
        Ok(())
    }

    fn member(&mut self, index: usize, member: Member) -> Result<(), Error> {
        let Member { path, content } = member;
        let Some((other, known)) = self.tree.get(&path) else {
            self.tree.insert(path, (index, content));
            return Ok(());
        };
        let other = *other;
        let both = || {
            let [one, two] = [other, index].map(|index| self.sources[index].shown());
            format!("`{path}` comes from {one} and from {two}")
        };
        let (old, new) = (known.read()?, content.read()?);
        if old == new {
            return Ok(());
        }
        let is_init = path.ends_with("/__init__.py");
        if is_init && namespace::only_shares(&old) && namespace::only_shares(&new) {
            if namespace::needs_setuptools(&old) {
                drop(old);
                self.tree.insert(path, (other, content));
            }
        } else if is_clutter(&path) {
            let warning = format!("{}: the first is kept", both());
            self.report.warnings.push(warning);
        } else {
            let conflict = both();
            self.conflicts.push(conflict);
        }
        Ok(())
    }

    /// Sorts the libraries, and puts a placeholder where each extension module goes.
    fn libraries(&mut self) -> Result<Vec<(LinkedLibrary, Vec<u8>)>, Error> {
        let native = std::mem::take(&mut self.native);
        let libraries = Libraries::sort(native, &mut self.report)?;
        for (path, index) in libraries.places {
            let placeholder = (index, Content::Bytes(Vec::new()));
            if let Some((other, _)) = self.tree.insert(path.clone(), placeholder)
                && other != index
            {
                self.conflicts.push(format!(
                    "`{path}` comes from {} and from {}",
                    self.sources[other].shown(),
                    self.sources[index].shown()
                ));
            }
        }
        Ok(libraries.list)
    }

    /// Whether all files can lie in one folder, and in the one they will lie in.
    fn check_names(&mut self, dir: &Path) -> Result<(), Error> {
        self.conflicts
            .extend(in_a_file(&mut self.tree, self.sources));
        let same = same_but_for_case(&self.tree, self.sources);
        if !same.is_empty() {
            match tells_case_apart(dir)? {
                true => self.report.warnings.extend(same.into_iter().map(|pair| {
                    format!("{pair}: both are kept, but not every file system can hold them")
                })),
                false => self.conflicts.extend(same),
            }
        }
        if self.conflicts.is_empty() {
            return Ok(());
        }
        Err(Error::Packages(listed(
            Report::new("two packages bring the same file").hint("leave one of the two out"),
            std::mem::take(&mut self.conflicts),
        )))
    }
}

/// Whether Python would take the file for what it compiled some time: it may not
/// belong to the source beside it. `bytecode.rs` makes what does.
fn is_bytecode(path: &str) -> bool {
    path.split('/').any(|part| part == pyc::FOLDER)
}

/// All values, or every error there is: the first, with what the others say as
/// notes.
fn all<T>(results: Vec<Result<T, Error>>) -> Result<Vec<T>, Error> {
    let mut values = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    match errors.len() {
        0 => Ok(values),
        1 => Err(errors.remove(0)),
        count => {
            let report = Report::new(format!("{count} packages cannot be used"));
            let notes = errors
                .iter()
                .map(|error| error.report().summary().to_owned());
            Err(Error::Packages(notes.fold(report, Report::note)))
        }
    }
}

/// `report` with the first findings as notes, and how many more there are.
pub(crate) fn listed(mut report: Report, findings: Vec<String>) -> Report {
    let more = findings.len().saturating_sub(SHOWN);
    for finding in findings.into_iter().take(SHOWN) {
        report = report.note(finding);
    }
    match more {
        0 => report,
        more => report.note(format!("and {more} more")),
    }
}

fn contents(source: &Source) -> Result<Contents, Error> {
    if matches!(source.kind, SourceKind::Wheel | SourceKind::Sdist) {
        return unpack(source);
    }
    let mut contents = Contents::default();
    for SourceFile { path, target } in source.files()? {
        let content = match path.is_dir() {
            true => Content::EmptyFolder,
            false => Content::File(path),
        };
        // WebAssembly's paths are UTF-8: no guest could name the file.
        let Some(path) = guest_path(&target) else {
            let shown = target.display();
            let note = format!("`{shown}` is left out: its name is not UTF-8");
            contents.notes.push(note);
            continue;
        };
        contents.members.push(Member { path, content });
    }
    if let SourceKind::Project(layout) = &source.kind {
        contents.warnings = layout.warnings.clone();
        contents.notes.extend(layout.notes.iter().cloned());
        let mut add = |path: &str, content: &[u8]| {
            contents.members.push(Member {
                path: path.to_owned(),
                content: Content::Bytes(content.to_owned()),
            });
        };
        for (path, content) in &layout.made {
            add(path, content);
        }
        if let Some(folder) = &layout.dist_info {
            let paths = contents.members.iter().map(|member| member.path.as_str());
            let record = project::record(folder, paths);
            contents.members.push(Member {
                path: format!("{folder}/RECORD"),
                content: Content::Bytes(record),
            });
        }
    }
    Ok(contents)
}

/// A path as Python writes it; `None` where Python could not.
fn guest_path(relative: &Path) -> Option<String> {
    let parts = relative.components().map(|part| part.as_os_str().to_str());
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

#[cfg(feature = "wheels")]
fn unpack(source: &Source) -> Result<Contents, Error> {
    let bytes = fs::read(&source.path).map_err(|e| Error::io("read", &source.path, e))?;
    let unpacked = match source.kind {
        SourceKind::Wheel => crate::archives::wheel::read(&source.file_name(), &bytes),
        _ => crate::archives::sdist::read(&bytes),
    };
    let unpacked = unpacked.map_err(|problem| {
        let shown = format!("{} cannot be used: {problem}", source.shown());
        Error::Packages(Report::new(shown))
    })?;
    let members = unpacked.files.into_iter().map(|(path, content)| Member {
        path,
        content: Content::Bytes(content),
    });
    Ok(Contents {
        members: members.collect(),
        warnings: unpacked.warnings,
        notes: unpacked.notes,
    })
}

#[cfg(not(feature = "wheels"))]
fn unpack(source: &Source) -> Result<Contents, Error> {
    let what = match source.kind {
        SourceKind::Wheel => "a wheel",
        _ => "a source distribution",
    };
    Err(Error::Packages(
        Report::new(format!(
            "{} is {what}, which this crate reads with its feature `wheels` only",
            source.shown()
        ))
        .hint(
            "in [build-dependencies], write eryx-preinit-build = { version = \"0.1\", features = \
             [\"wheels\"] }; or name the unpacked package folder",
        ),
    ))
}

/// Files of one source that are folders of another.
fn in_a_file(tree: &mut Tree, sources: &[Source]) -> Vec<String> {
    let mut clashes = Vec::new();
    let mut full = Vec::new();
    for (path, (index, _)) in tree.iter() {
        let mut folder = path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            match tree.get(above) {
                // Empty in one source only.
                Some((_, Content::EmptyFolder)) => full.push(above.to_owned()),
                Some((other, _)) => clashes.push(format!(
                    "`{above}` is a file of {}, and a folder of {}",
                    sources[*other].shown(),
                    sources[*index].shown()
                )),
                None => {}
            }
            folder = above;
        }
    }
    for folder in full {
        tree.remove(&folder);
    }
    clashes
}

/// Files and folders whose names are the same where case does not count.
fn same_but_for_case(tree: &Tree, sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folded: HashMap<String, (&str, usize)> = HashMap::new();
    for (path, (index, _)) in tree {
        let mut name = path.as_str();
        loop {
            let (other, first) = *folded.entry(name.to_lowercase()).or_insert((name, *index));
            if other != name {
                found.push(format!(
                    "`{other}` from {} and `{name}` from {} are the same where case does not count",
                    sources[first].shown(),
                    sources[*index].shown()
                ));
                break;
            }
            match name.rsplit_once('/') {
                Some((folder, _)) => name = folder,
                None => break,
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Whether the file system of `dir` has two files for names that differ in case.
fn tells_case_apart(dir: &Path) -> Result<bool, Error> {
    let probe = dir.join("case");
    fs::write(&probe, "").map_err(|e| Error::io("write", &probe, e))?;
    let apart = !dir.join("CASE").exists();
    fs::remove_file(&probe).map_err(|e| Error::io("remove", &probe, e))?;
    Ok(apart)
}

fn write(root: &Path, tree: &Tree) -> Result<(), Error> {
    let create = |path: &Path| fs::create_dir_all(path).map_err(|e| Error::io("create", path, e));
    create(root)?;
    let folders: BTreeSet<&str> = tree
        .keys()
        .filter_map(|path| path.rsplit_once('/'))
        .map(|(folder, _)| folder)
        .collect();
    for folder in folders {
        create(&root.join(folder))?;
    }
    tree.par_iter().try_for_each(|(path, (_, content))| {
        let target = root.join(path);
        match content {
            Content::File(source) => fs::copy(source, &target).map(drop),
            Content::Bytes(bytes) => fs::write(&target, bytes),
            Content::EmptyFolder => fs::create_dir_all(&target),
        }
        .map_err(|e| Error::io("write", &target, e))
    })
}

/// Warnings on what packages say they need.
#[cfg(feature = "wheels")]
fn unsatisfied(tree: &Tree) -> Result<Vec<String>, Error> {
    let mut metadata = Vec::new();
    let mut importable = BTreeSet::new();
    for (path, (_, content)) in tree {
        let (top, rest) = path.split_once('/').unwrap_or((path, ""));
        let is_metadata = (top.ends_with(".dist-info") && rest == "METADATA")
            || (top.ends_with(".egg-info") && rest == "PKG-INFO");
        if is_metadata {
            metadata.push(String::from_utf8_lossy(&content.read()?).into_owned());
        }
        importable.insert(top.strip_suffix(".py").unwrap_or(top).to_owned());
    }
    let importable: Vec<String> = importable.into_iter().collect();
    Ok(crate::packages::requirements::unsatisfied(
        &metadata,
        &importable,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Extension};
    use crate::inputs::states;

    const PLAIN: &str = "(module (@dylink.0 (mem-info)) (func (export \"f\")))";

    fn module(name: &str) -> String {
        format!(
            "(module (@dylink.0 (mem-info)) (func (export \"PyInit_{name}\") (result i32) i32.const 0))"
        )
    }

    /// A folder of files; those that start with `(module` are assembled.
    fn files(list: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in list {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match content.starts_with("(module") {
                true => fs::write(path, wat::parse_str(content).unwrap()).unwrap(),
                false => fs::write(path, content).unwrap(),
            }
        }
        dir
    }

    /// Stages `packages` and `extensions`, given as paths below `dir`.
    fn stage(
        dir: &Path,
        packages: &[&str],
        extensions: &[(&str, &str)],
    ) -> Result<SitePackages, Error> {
        let config = Config {
            packages: packages.iter().map(|path| dir.join(path)).collect(),
            extensions: extensions
                .iter()
                .map(|(path, module)| Extension {
                    module: (!module.is_empty()).then(|| (*module).to_owned()),
                    ..Extension::new(dir.join(path))
                })
                .collect(),
            site_packages: Some(dir.join("site")).filter(|path| path.is_dir()),
            ..Config::default()
        };
        let sources = Sources::locate(&config, Path::new("out"))?;
        let digest = sources.digest(|path| {
            let state = states::states(&[path.to_owned()], &[])?;
            Ok(state[0].digest)
        })?;
        prepare(&sources, digest, &dir.join("out"), || Ok(()))
    }

    fn links(staged: &SitePackages) -> Vec<(&str, bool)> {
        let libraries = staged.report.libraries.iter();
        libraries
            .map(|library| (library.name.as_str(), library.openable))
            .collect()
    }

    #[track_caller]
    fn refused(result: Result<SitePackages, Error>, said: &str) {
        let text = format!("{:?}", result.unwrap_err());
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }

    #[test]
    fn sources_are_merged_and_extensions_get_their_places() {
        let dir = files(&[
            ("site/installed.py", "x"),
            ("site/installed/_c.abi3.so", &module("_c")),
            ("pkg/__init__.py", "y"),
            ("one.py", "z"),
            ("fast.cpython-314-wasm32-wasi.so", &module("fast")),
            ("built.so", &module("_core")),
            ("libx.so", PLAIN),
            (
                "user.so",
                "(module (@dylink.0 (mem-info) (needed \"libx.so\" \"libc.so\")) (func (export \"PyInit_user\")))",
            ),
        ]);
        let staged = stage(
            dir.path(),
            &["pkg", "one.py"],
            &[
                ("fast.cpython-314-wasm32-wasi.so", ""),
                ("built.so", "pkg._core"),
                ("libx.so", ""),
                ("user.so", ""),
            ],
        )
        .unwrap();
        assert_eq!(
            links(&staged),
            [
                ("/site-packages/installed/_c.abi3.so", true),
                ("/site-packages/fast.cpython-314-wasm32-wasi.so", true),
                ("/site-packages/pkg/_core.cpython-314-wasm32-wasi.so", true),
                ("libx.so", false),
                ("/site-packages/user.cpython-314-wasm32-wasi.so", true),
            ]
        );
        let tree = staged.tree.clone().unwrap();
        let size = |path: &str| fs::metadata(tree.join(path)).unwrap().len();
        assert_eq!(
            (
                size("installed.py"),
                size("pkg/__init__.py"),
                size("one.py")
            ),
            (1, 1, 1)
        );
        assert_eq!(size("installed/_c.abi3.so"), 0);
        assert_eq!(size("pkg/_core.cpython-314-wasm32-wasi.so"), 0);
        assert!(!tree.join("libx.so").exists());
        let bytes = staged.read(&staged.report.libraries[3]).unwrap();
        assert_eq!(
            Digest::of(&bytes).to_string(),
            staged.report.libraries[3].digest
        );
        assert_eq!(staged.report.warnings, [""; 0]);

        // Editing a source changes nothing that was staged.
        fs::write(dir.path().join("one.py"), "edited").unwrap();
        assert_eq!(size("one.py"), 1);
    }

    #[test]
    fn a_file_of_two_packages_names_both() {
        let dir = files(&[
            ("site/pkg/__init__.py", "x"),
            ("pkg/__init__.py", "y"),
            ("pkg/same.py", "z"),
            ("site/pkg/same.py", "z"),
            ("pkg/sub", ""),
            ("site/pkg/sub/x.py", ""),
        ]);
        let result = stage(dir.path(), &["pkg"], &[]);
        let text = format!("{:?}", result.unwrap_err());
        let path = |name: &str| dir.path().join(name).display().to_string();
        for part in [
            format!(
                "`pkg/__init__.py` comes from site-packages (`{}`) and from packages[0] (`{}`)",
                path("site"),
                path("pkg")
            ),
            "`pkg/sub` is a file of packages[0]".to_owned(),
        ] {
            assert!(text.contains(&part), "{part} is not in:\n{text}");
        }
        assert!(!text.contains("same.py"), "{text}");
    }

    #[test]
    fn names_that_differ_in_case_are_told_apart_where_the_file_system_does() {
        let dir = files(&[("up/PKG/x.py", ""), ("pkg/y.py", "")]);
        let staged = stage(dir.path(), &["up/PKG", "pkg"], &[]);
        if !tells_case_apart(dir.path()).unwrap() {
            refused(staged, "are the same where case does not count");
            return;
        }
        let staged = staged.unwrap();
        let warning = &staged.report.warnings[0];
        assert!(warning.contains("`PKG` from packages[0]"), "{warning}");
        assert!(warning.contains("not every file system"), "{warning}");
        let tree = staged.tree.unwrap();
        assert!(tree.join("PKG/x.py").exists() && tree.join("pkg/y.py").exists());
    }

    #[test]
    fn a_namespace_s_init_may_be_in_every_part_of_it() {
        let pkgutil = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n";
        let setuptools = "__import__('pkg_resources').declare_namespace(__name__)\n";
        let dir = files(&[
            ("site/ns/__init__.py", setuptools),
            ("ns/__init__.py", pkgutil),
            ("ns/one.py", "x"),
        ]);
        let staged = stage(dir.path(), &["ns"], &[]).unwrap();
        assert_eq!(staged.report.warnings, [""; 0]);
        let init = staged.tree.unwrap().join("ns/__init__.py");
        // The one that needs nothing.
        assert_eq!(fs::read_to_string(init).unwrap(), pkgutil);
        fs::write(dir.path().join("ns/__init__.py"), "VERSION = 1").unwrap();
        refused(
            stage(dir.path(), &["ns"], &[]),
            "`ns/__init__.py` comes from",
        );
    }

    #[test]
    fn an_empty_folder_of_one_source_may_be_full_in_another() {
        let dir = files(&[("ns/one.py", "x")]);
        fs::create_dir_all(dir.path().join("site/ns")).unwrap();
        let tree = stage(dir.path(), &["ns"], &[]).unwrap().tree.unwrap();
        assert!(tree.join("ns/one.py").is_file());
    }

    #[test]
    fn what_nobody_imports_is_kept_once() {
        let dir = files(&[
            ("site/tests/__init__.py", "one"),
            ("tests/__init__.py", "two"),
            ("site/LICENSE", "of one"),
        ]);
        let staged = stage(dir.path(), &["tests"], &[]).unwrap();
        let warnings = staged.report.warnings.join("\n");
        assert!(
            warnings.contains("`tests/__init__.py` comes from site-packages"),
            "{warnings}"
        );
        assert!(warnings.contains("the first is kept"), "{warnings}");
        let kept = staged.tree.unwrap().join("tests/__init__.py");
        assert_eq!(fs::read_to_string(kept).unwrap(), "one");
    }

    #[test]
    fn pth_files_are_followed_inside_and_named_otherwise() {
        let dir = files(&[
            ("site/in.pth", "# c\nvendored\n\n"),
            ("site/vendored/inner.py", "x"),
            ("site/vendored/shown.py", "hidden by the one at the top"),
            ("site/vendored/_c.so", PLAIN),
            ("site/shown.py", "top"),
            ("site/out.pth", "/no/such/place\n../elsewhere\nnothing\n"),
            ("site/ns-nspkg.pth", "import sys, types\n"),
            (
                "site/__editable__.app-1.pth",
                "import __editable___app_finder\n",
            ),
            ("site/hook.pth", "import hook\n"),
        ]);
        let absolute = dir.path().join("site/vendored").display().to_string();
        fs::write(dir.path().join("site/abs.pth"), absolute).unwrap();
        let staged = stage(dir.path(), &[], &[]).unwrap();
        let tree = staged.tree.clone().unwrap();
        let text = |path: &str| fs::read_to_string(tree.join(path)).unwrap();
        assert_eq!(
            (text("inner.py"), text("shown.py")),
            ("x".into(), "top".into())
        );
        let warnings = staged.report.warnings.join("\n");
        for said in [
            "`out.pth` of site-packages (`",
            "`/no/such/place` is outside of the folder",
            "`../elsewhere` is outside of the folder",
            "`nothing` leads to nothing that is there",
            "`in.pth` of",
            "but for extension modules: `vendored/_c.so`",
            "`ns-nspkg.pth` of",
            "nor needed",
            "`__editable__.app-1.pth` of",
            "name that project's folder in `packages`",
            "`hook.pth` of",
            "do the same in `setup`",
        ] {
            assert!(warnings.contains(said), "{said} is not in:\n{warnings}");
        }
        assert!(!tree.join("_c.so").exists());
    }

    #[test]
    fn a_project_brings_its_metadata_and_says_what_it_leaves_out() {
        let dir = files(&[
            (
                "app/pyproject.toml",
                "[project]\nname = 'my-app'\nversion = '2.3.4'\n",
            ),
            ("app/my_app/__init__.py", "x"),
            ("app/tests/__init__.py", "y"),
        ]);
        let staged = stage(dir.path(), &["app"], &[]).unwrap();
        let info = staged.tree.clone().unwrap().join("my_app-2.3.4.dist-info");
        let text = |name: &str| fs::read_to_string(info.join(name)).unwrap();
        assert!(text("METADATA").contains("Name: my-app\nVersion: 2.3.4\n"));
        assert_eq!(text("top_level.txt"), "my_app\n");
        let record = text("RECORD");
        assert!(record.contains("my_app/__init__.py,,\n") && record.contains("/RECORD,,\n"));
        assert_eq!(staged.report.notes, ["packages[0]: `tests` left out"]);
        assert_eq!(staged.report.warnings, [""; 0]);
    }

    #[test]
    fn libraries_that_cannot_be_linked_say_why() {
        let dir = files(&[
            ("elf.so", "\x7fELF"),
            ("old.cpython-313-wasm32-wasi.so", &module("old")),
            ("plain.so", PLAIN),
            ("renamed.so", &module("_core")),
            (
                "needy.so",
                "(module (@dylink.0 (mem-info) (needed \"libnone.so\" \"renamed.so\")) (func (export \"PyInit_needy\")))",
            ),
        ]);
        for (path, module, said) in [
            ("elf.so", "", "is an ELF library"),
            ("old.cpython-313-wasm32-wasi.so", "", "for CPython 3.13"),
            (
                "plain.so",
                "",
                "exports no `PyInit_plain`), and no other library needs it",
            ),
            ("renamed.so", "", "say `module = \"_core\"`"),
            (
                "renamed.so",
                "pkg.other",
                "it exports no `PyInit_other`, but `PyInit__core`",
            ),
            (
                "needy.so",
                "",
                "needs the library `libnone.so`, which is not there",
            ),
        ] {
            refused(stage(dir.path(), &[], &[(path, module)]), said);
        }
        // All at once.
        let both = stage(dir.path(), &[], &[("elf.so", ""), ("plain.so", "")]);
        refused(both, "2 problems with native extensions");
        assert_eq!(
            fs::read_dir(dir.path().join("out")).unwrap().count(),
            0,
            "nothing is left of a refused set"
        );
    }

    #[test]
    fn a_folder_may_hold_libraries_for_the_machine_that_builds() {
        let dir = files(&[
            ("site/pkg/__init__.py", ""),
            (
                "site/pkg/_speedups.cpython-314-x86_64-linux-gnu.so",
                "\x7fELF",
            ),
            ("site/pkg/libodd.so", PLAIN),
        ]);
        let staged = stage(dir.path(), &[], &[]).unwrap();
        assert_eq!(links(&staged), []);
        let warnings = staged.report.warnings.join("\n");
        assert!(
            warnings.contains("`pkg._speedups` is missing"),
            "{warnings}"
        );
        assert!(
            warnings.contains("no extension module, and no other library needs it"),
            "{warnings}"
        );
        let why = &staged.report.foreign["pkg._speedups"];
        assert!(why.contains("CPython 3.14 on x86_64-linux-gnu"), "{why}");
    }

    #[cfg(not(feature = "wheels"))]
    #[test]
    fn a_wheel_names_the_feature_that_reads_it() {
        let dir = files(&[("a-1-py3-none-any.whl", ""), ("a.tar.gz", "")]);
        for path in ["a-1-py3-none-any.whl", "a.tar.gz"] {
            refused(stage(dir.path(), &[path], &[]), "features = [\"wheels\"]");
        }
    }

    #[cfg(feature = "wheels")]
    #[test]
    fn a_wheel_s_extensions_are_linked_and_its_needs_looked_at() {
        let native = wat::parse_str(module("_x")).unwrap();
        let wheel = crate::archives::wheel::tests::wheel(&[
            ("app/__init__.py", b""),
            ("app/_x.cpython-314-wasm32-wasi.so", &native),
        ]);
        let dir = files(&[("wanting/wanting.py", ""), ("wanting/setup.py", "")]);
        fs::write(
            dir.path().join("app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl"),
            &wheel,
        )
        .unwrap();
        let staged = stage(
            dir.path(),
            &["wanting"],
            &[("app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl", "")],
        )
        .unwrap();
        assert_eq!(
            links(&staged),
            [("/site-packages/app/_x.cpython-314-wasm32-wasi.so", true)]
        );
        let other = crate::archives::wheel::tests::wheel(&[("app/__init__.py", b"other")]);
        fs::write(dir.path().join("app-1.0-py3-none-any.whl"), &other).unwrap();
        let twice = stage(
            dir.path(),
            &["app-1.0-py3-none-any.whl"],
            &[("app-1.0-cp314-cp314-wasi_0_0_0_wasm32.whl", "")],
        );
        refused(twice, "`app/__init__.py` comes from packages[0]");
        fs::write(
            dir.path().join("app-1.0-py3-none-any.whl"),
            &wheel[..wheel.len() / 2],
        )
        .unwrap();
        refused(
            stage(dir.path(), &["app-1.0-py3-none-any.whl"], &[]),
            "packages[0] (`",
        );
    }
}
