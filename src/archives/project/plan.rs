//! The parts of a project that are taken, while they are being collected.

use crate::archives::listing::named;
use crate::archives::project::discover::Search;
use crate::archives::project::view::{View, join, normal};

/// A file or folder of the project, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// Below the project's folder.
    pub(crate) from: String,
    /// Below site-packages; of a folder, empty for what is in it.
    pub(crate) to: String,
}

/// A layout that is being made.
pub(super) struct Plan<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) parts: Vec<Part>,
    pub(super) warnings: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(view: &'a View<'a>) -> Self {
        Self {
            view,
            parts: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes a file or folder that the project names; whether it is there.
    pub(super) fn take(&mut self, from: &str, to: &str) -> bool {
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
    pub(super) fn take_named(&mut self, from: &str, to: &str) {
        let said = self.warnings.len();
        if !self.take(from, to) && self.warnings.len() == said {
            self.warnings.push(format!(
                "`{}`, which the project's configuration names, is not there",
                from.escape_debug()
            ));
        }
    }

    /// Takes what a search finds in `folder`.
    pub(super) fn search(&mut self, folder: &str, search: Search<'_>) {
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
