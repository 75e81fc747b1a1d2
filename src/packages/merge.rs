//! The files of all sources, merged: which of two is kept, and when that is an error.

use crate::archives::project::discover::is_clutter;
use crate::archives::pyc;
use crate::error::{Error, Report, Stage};
use crate::inputs::sources::{Source, SourceKind, is_library};
use crate::packages::contents::{Content, Contents, Member, Tree};
use crate::packages::libraries::{Candidate, Libraries};
use crate::packages::namespace;
use crate::packages::report::{LinkedLibrary, TreeReport, listed};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The files of all sources, on their way into one tree.
pub(crate) struct Merge<'a> {
    sources: &'a [Source],
    pub(crate) tree: Tree,
    native: Vec<Candidate<'a>>,
    conflicts: Vec<String>,
    pub(crate) report: TreeReport,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            tree: Tree::new(),
            native: Vec::new(),
            conflicts: Vec::new(),
            report: TreeReport::default(),
        }
    }

    /// Adds what a source brings.
    ///
    /// # Errors
    /// [`Stage::Io`] when a file cannot be read.
    pub(crate) fn source(&mut self, index: usize, contents: Contents) -> Result<(), Error> {
        let source = &self.sources[index];
        for note in contents.notes {
            self.report.notes.push(format!("{}: {note}", source.key));
        }
        let record = contents.record.iter();
        let record = record.map(|how| format!("{}: {how}", source.shown()));
        self.report.records.extend(record);
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
    ///
    /// # Errors
    /// [`Stage::Link`] for libraries that are not ones to link.
    pub(crate) fn libraries(&mut self) -> Result<Vec<(LinkedLibrary, Vec<u8>)>, Error> {
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

    /// Whether all files can lie in one folder, and in `dir`, where they will lie.
    ///
    /// # Errors
    /// [`Stage::Packages`] that names both sources of each file that cannot.
    pub(crate) fn check_names(&mut self, dir: &Path) -> Result<(), Error> {
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
        Err(Stage::Packages.error(listed(
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
pub(crate) fn tells_case_apart(dir: &Path) -> Result<bool, Error> {
    let probe = dir.join("case");
    fs::write(&probe, "").map_err(|e| Error::io("write", &probe, e))?;
    let apart = !dir.join("CASE").exists();
    fs::remove_file(&probe).map_err(|e| Error::io("remove", &probe, e))?;
    Ok(apart)
}
