//! What of a project's source would be installed, and as what: a folder of somebody's
//! project, or an unpacked source distribution.
//!
//! No build back end runs, and no code of the project: its files are read
//! (`pyproject.toml`, `setup.cfg`, literals in `setup.py`, what an earlier build left in
//! `.egg-info`) and followed as the back end they are for follows them.

mod backends;
pub(crate) mod discover;
pub(crate) mod headers;
mod ini;
mod literal;
mod metadata;
pub(crate) mod names;
pub(crate) mod plan;
mod said;
mod setuptools;
mod value;
pub(crate) mod view;

use crate::archives::project::metadata::Metadata;
use crate::archives::project::plan::{Part, Plan};
use crate::archives::project::said::Said;
use crate::archives::project::view::{Files, View};

/// The files that make a folder a project.
pub(crate) const MARKS: [&str; 3] = ["pyproject.toml", "setup.py", "setup.cfg"];

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

/// Finds out what would be installed of the project.
///
/// # Errors
/// Why that cannot be told, in words that follow the project's name.
pub(crate) fn read(files: &dyn Files) -> Result<Layout, String> {
    let view = View::new(files);
    let said = Said::read(&view)?;
    let mut plan = Plan::new(&view);
    backends::follow(&mut plan, &said);
    if plan.parts.is_empty() {
        setuptools::discover(&mut plan);
    }
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

#[cfg(test)]
mod tests;
