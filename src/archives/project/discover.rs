//! What of a folder is meant to be installed, by names and contents alone.

use crate::archives::project::view::{Entry, View, is_identifier, join};

/// Folders beside packages that are for the project's own people and tools.
const NO_PACKAGES: &[&str] = &[
    "bench",
    "benchmark",
    "benchmarks",
    "bin",
    "build",
    "changelog",
    "ci",
    "debian",
    "demo",
    "demos",
    "dist",
    "doc",
    "docs",
    "documentation",
    "env",
    "example",
    "examples",
    "exercise",
    "exercises",
    "htmlcov",
    "manpages",
    "news",
    "newsfragments",
    "node_modules",
    "notebooks",
    "packaging",
    "requirements",
    "rust",
    "samples",
    "scripts",
    "site_scons",
    "target",
    "tasks",
    "test",
    "testing",
    "tests",
    "tools",
    "unit_test",
    "unit_tests",
    "util",
    "utils",
    "venv",
];
/// Modules beside packages that are for the project's own tools.
const NO_MODULES: &[&str] = &[
    "__init__",
    "benchmark",
    "benchmarks",
    "build",
    "conanfile",
    "conftest",
    "dodo",
    "example",
    "examples",
    "exercise",
    "exercises",
    "ez_setup",
    "fabfile",
    "hatch_build",
    "manage",
    "noxfile",
    "pavement",
    "setup",
    "setupbase",
    "tasks",
    "test",
    "tests",
    "toxfile",
    "versioneer",
];
/// Folders that wheels leave beside their packages by mistake.
const CLUTTER: &[&str] = &[
    "benchmark",
    "benchmarks",
    "doc",
    "docs",
    "example",
    "examples",
    "scripts",
    "test",
    "testing",
    "tests",
    "tools",
];

/// Whether a package at the root of a project is meant to be installed.
fn is_package_of_project(name: &str) -> bool {
    is_identifier(name) && !NO_PACKAGES.contains(&name)
}

/// Whether a module at the root of a project is meant to be installed.
fn is_module_of_project(name: &str) -> bool {
    is_identifier(name) && !NO_MODULES.contains(&name)
}

/// Whether nobody means to import this file of site-packages: none of Python's at the
/// top, or one of a folder of tests and the like.
pub(crate) fn is_clutter(path: &str) -> bool {
    match path.split_once('/') {
        Some((top, _)) => CLUTTER.contains(&top),
        None => ![".py", ".so", ".pth"].iter().any(|end| path.ends_with(end)),
    }
}

/// What is taken of a folder, and what is not although it could be imported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Names of folders, and of files with their `.py`.
    pub(crate) names: Vec<String>,
    pub(crate) passed_over: Vec<String>,
}

/// How a folder is searched.
#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    /// Whether folders without an `__init__.py` count.
    pub(crate) namespaces: bool,
    /// Whether modules count.
    pub(crate) modules: bool,
    /// Whether names decide what is meant: beside a project's own files.
    pub(crate) by_name: bool,
    /// Patterns of dotted names with `*`; empty means all.
    pub(crate) include: &'a [&'a str],
    pub(crate) exclude: &'a [&'a str],
}

impl Search<'_> {
    /// All that is in a folder of sources only.
    pub(crate) const SOURCES: Self = Self {
        namespaces: true,
        modules: true,
        by_name: false,
        include: &[],
        exclude: &[],
    };
    /// What is in a project's own folder.
    pub(crate) const FLAT: Self = Self {
        namespaces: false,
        by_name: true,
        ..Self::SOURCES
    };

    /// Looks at what is directly in `folder`.
    pub(crate) fn run(&self, view: &View<'_>, folder: &str) -> Found {
        let mut found = Found::default();
        for entry in view.list(folder) {
            match self.wanted(view, folder, &entry) {
                Some(true) => found.names.push(entry.name),
                Some(false) => found.passed_over.push(entry.name),
                None => {}
            }
        }
        found
    }

    /// Whether an entry is taken; `None` for what is nothing to Python.
    fn wanted(&self, view: &View<'_>, folder: &str, entry: &Entry) -> Option<bool> {
        if !entry.is_folder {
            let stem = entry.name.strip_suffix(".py")?;
            let meant = !self.by_name || is_module_of_project(stem);
            return (self.modules && is_identifier(stem) && stem != "__init__").then_some(meant);
        }
        if !is_identifier(&entry.name) || entry.name == "__pycache__" {
            return None;
        }
        let path = join(folder, &entry.name);
        let package = view.is_package(&path);
        let namespace = !package && self.namespaces && view.holds_modules(&path);
        if !package && !namespace {
            return None;
        }
        // A pattern may be for what is in a namespace.
        let included = self.include.is_empty()
            || self.include.iter().any(|pattern| {
                fits(pattern, &entry.name)
                    || (!package && pattern.split('.').next() == Some(entry.name.as_str()))
            });
        let excluded = self
            .exclude
            .iter()
            .any(|pattern| fits(pattern, &entry.name));
        let meant = !self.by_name || is_package_of_project(&entry.name);
        Some(included && !excluded && (meant || !self.include.is_empty()))
    }
}

/// Whether `name` fits a pattern in which `*` stands for any characters.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("tests*", "tests", true),
            ("tests*", "tests.a", true),
            ("*.tests", "a.tests", true),
            ("*.tests", "tests", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a", "ab", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn clutter_is_what_nobody_imports() {
        for path in [
            "LICENSE",
            "CHANGELOG.md",
            "tests/__init__.py",
            "docs/conf.py",
        ] {
            assert!(is_clutter(path), "{path}");
        }
        for path in ["a.py", "a.so", "a.pth", "a/LICENSE", "a/tests/__init__.py"] {
            assert!(!is_clutter(path), "{path}");
        }
    }
}
