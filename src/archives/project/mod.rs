//! What of a project's source would be installed, and as what: a folder of somebody's
//! project, or an unpacked source distribution.
//!
//! No build back end runs, and no code of the project: its files are read
//! (`pyproject.toml`, `setup.cfg`, literals in `setup.py`, what an earlier build left in
//! `.egg-info`) and followed as the back end they are for follows them.

mod backends;
pub(crate) mod discover;
mod ini;
mod literal;
pub(crate) mod metadata;
pub(crate) mod names;
mod setuptools;
mod value;
pub(crate) mod view;

use discover::Search;
use literal::Literals;
use metadata::Metadata;
use value::Value;
use view::{Files, View, join, normal};

/// The files that make a folder a project.
pub(crate) const MARKS: [&str; 3] = ["pyproject.toml", "setup.py", "setup.cfg"];

/// How many findings of one kind are named.
const NAMED: usize = 8;

/// What of a project goes into site-packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) parts: Vec<Part>,
    /// Files that are not in the source, as they lie in site-packages: metadata.
    pub(crate) made: Vec<(String, Vec<u8>)>,
    /// The folder of metadata among them, if there is one.
    pub(crate) dist_info: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// What is not taken, for verbose output.
    pub(crate) notes: Vec<String>,
    /// Folders of the project: what is in them decided.
    pub(crate) listed: Vec<String>,
    /// Files of the project that were read.
    pub(crate) read: Vec<String>,
}

/// A file or folder of the project, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// Below the project's folder.
    pub(crate) from: String,
    /// Below site-packages; of a folder, empty for what is in it.
    pub(crate) to: String,
}

/// What the project's files say.
struct Said {
    pyproject: Value,
    /// Sections, which have dots in their names.
    setup_cfg: Value,
    setup_py: Literals,
    /// The text of PKG-INFO in a source distribution.
    pkg_info: Option<String>,
}

impl Said {
    fn read(view: &View<'_>) -> Result<Self, String> {
        let text = |name: &str| view.is_file(name).then(|| view.text(name)).flatten();
        let pyproject = match text("pyproject.toml") {
            Some(text) => Value::from_toml(text.trim_start_matches('\u{feff}'))
                .map_err(|problem| format!("its `pyproject.toml` is no TOML: {problem}"))?,
            None => Value::empty(),
        };
        Ok(Self {
            pyproject,
            setup_cfg: ini::read(&text("setup.cfg").unwrap_or_default()),
            setup_py: literal::read(&text("setup.py").unwrap_or_default()),
            pkg_info: text("PKG-INFO"),
        })
    }

    /// What `setup.cfg` says under `key` of `section`.
    fn cfg(&self, section: &str, key: &str) -> Option<&str> {
        let Value::Table(sections) = &self.setup_cfg else {
            return None;
        };
        let keys = sections.get(section)?;
        // Old files write dashes.
        keys.text_at(key)
            .or_else(|| keys.text_at(&key.replace('_', "-")))
    }

    /// The name of the distribution.
    fn name(&self) -> Option<&str> {
        let pkg_info = self.pkg_info.as_deref();
        pkg_info
            .and_then(|text| metadata::field(text, "Name"))
            .or_else(|| self.pyproject.text_at("project.name"))
            .or_else(|| self.pyproject.text_at("tool.poetry.name"))
            .or_else(|| self.pyproject.text_at("tool.flit.metadata.dist-name"))
            .or_else(|| self.pyproject.text_at("tool.flit.metadata.module"))
            .or_else(|| self.cfg("metadata", "name"))
            .or_else(|| self.setup_py.setup.get("name").and_then(Value::text))
    }
}

/// Finds out what would be installed of the project.
///
/// # Errors
/// Why that cannot be told, in words that follow the project's name.
pub(crate) fn read(files: &dyn Files) -> Result<Layout, String> {
    let view = View::new(files);
    let said = Said::read(&view)?;
    let mut plan = Plan::new(&view);
    plan.follow(&said);
    plan.parts.sort();
    plan.parts.dedup();
    if plan.parts.is_empty() {
        let looked = "no folder with an `__init__.py`, and no module";
        let why: String = plan.warnings.iter().map(|why| format!("; {why}")).collect();
        return Err(format!("it holds no package: {looked}{why}"));
    }
    let metadata = Metadata::find(&said, &view, &mut plan);
    let mut layout = Layout {
        parts: plan.parts,
        warnings: plan.warnings,
        notes: plan.notes,
        ..Layout::default()
    };
    if let Some(metadata) = metadata {
        let (dist_info, made) = metadata.files(&layout.parts);
        layout.dist_info = Some(dist_info);
        layout.made = made;
    }
    (layout.listed, layout.read) = view.seen();
    Ok(layout)
}

/// A RECORD of these files, for tools that ask what a distribution consists of.
pub(crate) fn record<'a>(dist_info: &str, paths: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut text = String::new();
    for path in paths {
        match path.contains([',', '"']) {
            true => text += &format!("\"{}\",,\n", path.replace('"', "\"\"")),
            false => text += &format!("{path},,\n"),
        }
    }
    (text + &format!("{dist_info}/RECORD,,\n")).into_bytes()
}

/// A layout that is being made.
struct Plan<'a> {
    view: &'a View<'a>,
    parts: Vec<Part>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Plan<'a> {
    fn new(view: &'a View<'a>) -> Self {
        Self {
            view,
            parts: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes what the project's back end would take, or else what looks like it.
    fn follow(&mut self, said: &Said) {
        backends::follow(self, said);
        if self.parts.is_empty() {
            setuptools::discover(self);
        }
    }

    /// Takes a file or folder that the project names; whether it is there.
    fn take(&mut self, from: &str, to: &str) -> bool {
        let (Some(path), Some(to)) = (normal(from), normal(to)) else {
            self.warnings.push(format!(
                "`{}` is not taken: it leads out of the project",
                from.escape_debug()
            ));
            return false;
        };
        let is_file = self.view.is_file(&path);
        // A file at the root itself would have no name.
        if (is_file && to.is_empty()) || !(is_file || self.view.is_folder(&path)) {
            return false;
        }
        self.parts.push(Part { from: path, to });
        true
    }

    /// Takes what the project names, and says so if it is not there.
    fn take_named(&mut self, from: &str, to: &str) {
        let said = self.warnings.len();
        if !self.take(from, to) && self.warnings.len() == said {
            self.warnings.push(format!(
                "`{}`, which the project's configuration names, is not there",
                from.escape_debug()
            ));
        }
    }

    /// Takes what a search finds in `folder`.
    fn search(&mut self, folder: &str, search: Search<'_>) {
        let found = search.run(self.view, folder);
        for name in found.names {
            self.parts.push(Part {
                from: join(folder, &name),
                to: name,
            });
        }
        if !found.passed_over.is_empty() {
            self.notes
                .push(format!("{} left out", named(&found.passed_over)));
        }
    }
}

/// `` `a`, `b` and 3 more ``.
pub(crate) fn named<T: std::fmt::Display>(names: &[T]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().take(NAMED).enumerate() {
        text += if index == 0 { "" } else { ", " };
        text += &format!("`{name}`");
    }
    match names.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
