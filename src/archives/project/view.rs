//! The files of a project, wherever they lie, and which of them were looked at.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// The files of a project. Paths have `/` between their parts, and none of the parts is
/// `.` or `..`; the project's own folder is the empty path.
pub(crate) trait Files {
    /// What is directly in `folder`, sorted by name. Nothing in what is no folder.
    fn list(&self, folder: &str) -> Vec<Entry>;
    fn is_file(&self, path: &str) -> bool;
    fn is_folder(&self, path: &str) -> bool;
    /// The content of a file, if it is one that can be read.
    fn read(&self, path: &str) -> Option<Vec<u8>>;
    /// One path for all ways to this folder: links may lead there.
    fn real(&self, folder: &str) -> String {
        folder.to_owned()
    }
}

/// A file or a folder in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) is_folder: bool,
}

/// Files larger than this are not read to find out about a project.
const READ_MAX: usize = 4 << 20;
/// How deep a folder is searched for Python files.
const DEPTH_MAX: usize = 8;

/// The project, and what was seen of it: what decides a layout has to be watched.
pub(crate) struct View<'a> {
    files: &'a dyn Files,
    listed: RefCell<BTreeSet<String>>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            listed: RefCell::default(),
            read: RefCell::default(),
        }
    }

    /// The folders whose listing counted, and the files that were read.
    pub(crate) fn seen(self) -> (Vec<String>, Vec<String>) {
        let [listed, read] = [self.listed, self.read].map(RefCell::into_inner);
        (listed.into_iter().collect(), read.into_iter().collect())
    }

    /// What is in `folder`, where another file there would change the layout.
    pub(crate) fn list(&self, folder: &str) -> Vec<Entry> {
        self.listed.borrow_mut().insert(folder.to_owned());
        self.files.list(folder)
    }

    /// What is in `folder`, for a search whose result is no part of the layout.
    pub(crate) fn glance(&self, folder: &str) -> Vec<Entry> {
        self.files.list(folder)
    }

    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.files.is_file(path)
    }

    pub(crate) fn is_folder(&self, path: &str) -> bool {
        self.files.is_folder(path)
    }

    /// Whether the folder is a package with an `__init__.py`.
    pub(crate) fn is_package(&self, folder: &str) -> bool {
        self.is_file(&join(folder, "__init__.py"))
    }

    /// The text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let bytes = self
            .files
            .read(path)
            .filter(|bytes| bytes.len() <= READ_MAX)?;
        self.read.borrow_mut().insert(path.to_owned());
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether Python finds modules below `folder`.
    pub(crate) fn holds_modules(&self, folder: &str) -> bool {
        self.holds_modules_at(folder, DEPTH_MAX, &mut HashMap::new())
    }

    /// Whether there are modules in `folder`, or down to `depth` folders below it; `searched`
    /// has how deep a folder was looked into on another way to it. Folders that are linked
    /// crosswise have more ways to them than anybody can follow.
    fn holds_modules_at(
        &self,
        folder: &str,
        depth: usize,
        searched: &mut HashMap<String, usize>,
    ) -> bool {
        let real = self.files.real(folder);
        if searched.get(&real).is_some_and(|&known| known >= depth) {
            return false;
        }
        searched.insert(real, depth);
        let entries = self.files.list(folder);
        let module = |entry: &Entry| {
            !entry.is_folder && (entry.name.ends_with(".py") || entry.name.ends_with(".so"))
        };
        entries.iter().any(module)
            || (depth > 0
                && entries.iter().filter(|entry| entry.is_folder).any(|entry| {
                    is_identifier(&entry.name)
                        && self.holds_modules_at(&join(folder, &entry.name), depth - 1, searched)
                }))
    }
}

/// `folder/name`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", path) | (path, "") => path.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

/// A path as a project writes it, without what does not count; `None` if it leads out.
pub(crate) fn normal(path: &str) -> Option<String> {
    if path.starts_with(['/', '~']) || path.contains(['\\', '\0']) || path.get(1..2) == Some(":") {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether it is a name that Python can import.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archives::project::tests::Memory;
    use std::cell::Cell;

    /// Folders `to0` to `to9`, of which each has a link to every other one.
    struct Crosswise {
        /// How often any was listed.
        listed: Cell<usize>,
        /// The one with a module in it.
        module: &'static str,
    }

    impl Files for Crosswise {
        fn list(&self, folder: &str) -> Vec<Entry> {
            self.listed.set(self.listed.get() + 1);
            // Before it takes minutes.
            assert!(self.listed.get() <= 10 * (DEPTH_MAX + 1));
            let own = self.real(folder);
            let others = (0..10).map(|n| format!("to{n}")).filter(|n| *n != own);
            let mut entries: Vec<Entry> = others
                .map(|name| Entry {
                    name,
                    is_folder: true,
                })
                .collect();
            if own == self.module {
                entries.push(Entry {
                    name: "one.py".to_owned(),
                    is_folder: false,
                });
            }
            entries
        }

        fn is_file(&self, _: &str) -> bool {
            false
        }

        fn is_folder(&self, _: &str) -> bool {
            true
        }

        fn read(&self, _: &str) -> Option<Vec<u8>> {
            None
        }

        fn real(&self, folder: &str) -> String {
            folder.rsplit('/').next().unwrap_or(folder).to_owned()
        }
    }

    #[test]
    fn folders_linked_crosswise_are_searched_once_for_each_depth() {
        for (module, holds) in [("to7", true), ("none", false)] {
            let files = Crosswise {
                listed: Cell::new(0),
                module,
            };
            assert_eq!(View::new(&files).holds_modules("to0"), holds);
        }
    }

    #[test]
    fn modules_are_searched_for_down_to_a_depth() {
        for (depth, holds) in [(0, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let module = format!("top/{}one.py", "below/".repeat(depth));
            let files = Memory([(module, String::new())].into());
            assert_eq!(View::new(&files).holds_modules("top"), holds);
        }
    }

    #[test]
    fn paths_that_lead_out_are_none() {
        for (path, expected) in [
            ("a/b", Some("a/b")),
            ("./a//b/", Some("a/b")),
            ("a/../b", Some("b")),
            (".", Some("")),
            ("../a", None),
            ("a/../../b", None),
            ("/a", None),
            ("~/a", None),
            ("C:/a", None),
            ("a\\b", None),
        ] {
            assert_eq!(normal(path).as_deref(), expected, "{path}");
        }
    }
}
