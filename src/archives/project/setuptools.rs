//! Projects of setuptools, configured in `pyproject.toml`, `setup.cfg` or `setup.py`, and
//! what it does without a configuration.
//!
//! <https://setuptools.pypa.io/en/latest/userguide/package_discovery.html>.

use crate::archives::listing::named;
use crate::archives::project::discover::Search;
use crate::archives::project::ini;
use crate::archives::project::plan::Plan;
use crate::archives::project::said::Said;
use crate::archives::project::value::Value;
use crate::archives::project::view::{is_identifier, join, normal};
use std::collections::BTreeMap;

/// Folders that hold packages where neither `src` nor the project's own folder does.
const OTHER_ROOTS: [&str; 4] = ["lib", "python", "source", "Lib"];

/// What a project of setuptools says of its packages.
#[derive(Debug, Default)]
struct Configured {
    /// Where packages lie, by their dotted names; empty for those not named.
    folders: BTreeMap<String, String>,
    packages: Option<Packages>,
    modules: Vec<String>,
}

#[derive(Debug)]
enum Packages {
    Listed(Vec<String>),
    Searched(Vec<Searched>),
}

#[derive(Debug)]
struct Searched {
    folder: String,
    include: Vec<String>,
    exclude: Vec<String>,
    namespaces: bool,
}

/// Takes what the project says, and nothing if it says nothing.
pub(super) fn follow(plan: &mut Plan<'_>, said: &Said) {
    let configured = Configured::read(said);
    if said.pkg_info.is_some() && configured.take_listed_tops(plan) {
        return;
    }
    match &configured.packages {
        Some(Packages::Listed(packages)) => configured.take_packages(plan, packages),
        Some(Packages::Searched(searches)) => {
            for search in searches {
                search.run(plan);
            }
        }
        // Only where sources lie is said.
        None if configured.modules.is_empty() => {
            if let Some(root) = configured.root().filter(|root| !root.is_empty()) {
                plan.search(&root, Search::SOURCES);
            }
        }
        None => {}
    }
    for module in &configured.modules {
        let file = format!("{}.py", module.replace('.', "/"));
        let root = configured.root().unwrap_or_default();
        plan.take_named(&join(&root, &file), &file);
    }
}

/// What setuptools takes by itself, or nearly so.
pub(super) fn discover(plan: &mut Plan<'_>) {
    let is_root = |folder: &str| plan.view.is_folder(folder) && !plan.view.is_package(folder);
    if is_root("src") {
        plan.search("src", Search::SOURCES);
    }
    if plan.parts.is_empty() {
        plan.search("", Search::FLAT);
    }
    for folder in OTHER_ROOTS {
        let is_root = plan.view.is_folder(folder) && !plan.view.is_package(folder);
        if plan.parts.is_empty() && is_root {
            plan.search(folder, Search::SOURCES);
        }
    }
    if plan.parts.is_empty() {
        let namespaces = Search {
            namespaces: true,
            ..Search::FLAT
        };
        plan.search("", namespaces);
    }
}

impl Configured {
    fn read(said: &Said) -> Self {
        let mut configured = Self::default();
        configured.read_pyproject(&said.pyproject);
        configured.read_setup_cfg(said);
        configured.read_setup_py(&said.setup_py.setup);
        configured
    }

    fn read_pyproject(&mut self, pyproject: &Value) {
        let Some(tool) = pyproject.at("tool.setuptools") else {
            return;
        };
        for (package, folder) in tool.pairs_at("package-dir") {
            self.folders.insert(package.to_owned(), folder.to_owned());
        }
        self.modules = owned(&tool.texts_at("py-modules").unwrap_or_default());
        self.packages = match tool.at("packages") {
            Some(list @ Value::List(_)) => Some(Packages::Listed(owned(&list.texts()))),
            Some(table) => table.at("find").map(|find| {
                let texts = |key: &str| owned(&find.texts_at(key).unwrap_or_default());
                let folders = match texts("where") {
                    folders if folders.is_empty() => vec![".".to_owned()],
                    folders => folders,
                };
                let search = |folder| Searched {
                    folder,
                    include: texts("include"),
                    exclude: texts("exclude"),
                    namespaces: find.flag_at("namespaces").unwrap_or(true),
                };
                Packages::Searched(folders.into_iter().map(search).collect())
            }),
            None => None,
        };
    }

    fn read_setup_cfg(&mut self, said: &Said) {
        if self.folders.is_empty() {
            for (package, folder) in ini::pairs(said.cfg("options", "package_dir").unwrap_or("")) {
                self.folders.insert(package.to_owned(), folder.to_owned());
            }
        }
        if self.modules.is_empty() {
            self.modules = owned(&ini::list(said.cfg("options", "py_modules").unwrap_or("")));
        }
        let Some(packages) = said
            .cfg("options", "packages")
            .filter(|_| self.packages.is_none())
        else {
            return;
        };
        let namespaces = match packages.trim().trim_end_matches(':') {
            "find" => false,
            "find_namespace" => true,
            _ => {
                self.packages = Some(Packages::Listed(owned(&ini::list(packages))));
                return;
            }
        };
        let texts = |key: &str| {
            let text = said.cfg("options.packages.find", key).unwrap_or_default();
            owned(&ini::list(text))
        };
        self.packages = Some(Packages::Searched(vec![Searched {
            folder: texts("where")
                .pop()
                .unwrap_or_else(|| self.default_folder()),
            include: texts("include"),
            exclude: texts("exclude"),
            namespaces,
        }]));
    }

    fn read_setup_py(&mut self, setup: &BTreeMap<String, Value>) {
        if let (true, Some(folders)) = (self.folders.is_empty(), setup.get("package_dir")) {
            let folders = folders.entries();
            self.folders = folders
                .filter_map(|(package, folder)| {
                    Some((package.to_owned(), folder.text()?.to_owned()))
                })
                .collect();
        }
        if let (true, Some(modules)) = (self.modules.is_empty(), setup.get("py_modules")) {
            self.modules = owned(&modules.texts());
        }
        let Some(packages) = setup.get("packages").filter(|_| self.packages.is_none()) else {
            return;
        };
        if packages.flag_at("find").is_none() {
            let listed = owned(&packages.texts());
            self.packages = (!listed.is_empty()).then_some(Packages::Listed(listed));
            return;
        }
        let texts = |key: &str| owned(&packages.texts_at(key).unwrap_or_default());
        self.packages = Some(Packages::Searched(vec![Searched {
            folder: texts("where")
                .pop()
                .unwrap_or_else(|| self.default_folder()),
            include: texts("include"),
            exclude: texts("exclude"),
            namespaces: packages.flag_at("namespaces").unwrap_or(false),
        }]));
    }

    /// Where packages lie that nothing else is said of.
    fn root(&self) -> Option<String> {
        self.folders.get("").cloned()
    }

    fn default_folder(&self) -> String {
        self.root().unwrap_or_else(|| ".".to_owned())
    }

    /// The folder of a package.
    fn folder_of(&self, package: &str) -> String {
        let mut prefix = package;
        let mut rest = String::new();
        loop {
            if let Some(folder) = self.folders.get(prefix) {
                return join(folder, &rest);
            }
            let Some((above, name)) = prefix.rsplit_once('.') else {
                let root = self.root().unwrap_or_default();
                return join(&root, &join(prefix, &rest));
            };
            rest = join(name, &rest);
            prefix = above;
        }
    }

    fn take_packages(&self, plan: &mut Plan<'_>, packages: &[String]) {
        let mut sorted: Vec<&str> = packages.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        for package in &sorted {
            let folder = self.folder_of(package);
            // What lies in the folder of a listed package comes with that.
            let implied = package.rsplit_once('.').is_some_and(|(above, name)| {
                sorted.binary_search(&above).is_ok() && join(&self.folder_of(above), name) == folder
            });
            if !implied {
                plan.take_named(&folder, &package.replace('.', "/"));
            }
        }
    }

    /// Takes what `top_level.txt` of a source distribution lists; whether any of it is
    /// there. It lies in the `.egg-info` that setuptools writes beside the packages.
    fn take_listed_tops(&self, plan: &mut Plan<'_>) -> bool {
        let mut roots: Vec<String> = self.folders.values().cloned().collect();
        roots.extend(["", "src"].map(str::to_owned));
        roots.extend(OTHER_ROOTS.map(str::to_owned));
        let folders = plan.view.glance("").into_iter();
        roots.extend(
            folders
                .filter(|entry| entry.is_folder)
                .map(|entry| entry.name),
        );
        let listed = roots.iter().find_map(|root| {
            let info = egg_info(plan, root)?;
            let text = plan.view.text(&join(&info, "top_level.txt"))?;
            Some((root.clone(), text))
        });
        let Some((beside, text)) = listed else {
            return false;
        };
        let mut missing = Vec::new();
        for name in text
            .lines()
            .map(str::trim)
            .filter(|name| is_identifier(name))
        {
            let mut folders = vec![self.folder_of(name), join(&beside, name)];
            folders.extend(roots.iter().map(|root| join(root, name)));
            let taken = take_top(plan, &folders, name);
            if !taken {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            plan.notes.push(format!(
                "{} of `top_level.txt` is not there as Python: it is compiled, or made by the build",
                named(&missing)
            ));
        }
        for (package, folder) in self
            .folders
            .iter()
            .filter(|(package, _)| package.contains('.'))
        {
            plan.take(folder, &package.replace('.', "/"));
        }
        !plan.parts.is_empty()
    }
}

/// Takes the module or package `name` from the first of `places` that has it; a folder
/// without modules is the last choice.
fn take_top(plan: &mut Plan<'_>, places: &[String], name: &str) -> bool {
    let file = format!("{name}.py");
    for place in places {
        if plan.view.is_package(place) {
            return plan.take(place, name);
        }
        if plan.take(&format!("{place}.py"), &file) {
            return true;
        }
    }
    let namespace = places.iter().find(|place| plan.view.holds_modules(place));
    namespace.is_some_and(|place| plan.take(place, name))
}

/// The folder of metadata that setuptools left in `folder`.
pub(super) fn egg_info(plan: &Plan<'_>, folder: &str) -> Option<String> {
    let entries = plan.view.glance(folder).into_iter();
    let mut folders = entries.filter(|entry| entry.is_folder && entry.name.ends_with(".egg-info"));
    folders.next().map(|entry| join(folder, &entry.name))
}

impl Searched {
    fn run(&self, plan: &mut Plan<'_>) {
        let [include, exclude] = [&self.include, &self.exclude]
            .map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
        let Some(folder) = normal(&self.folder) else {
            // Says so.
            plan.take(&self.folder, "");
            return;
        };
        let search = Search {
            namespaces: self.namespaces,
            modules: false,
            by_name: folder.is_empty(),
            include: &include,
            exclude: &exclude,
        };
        plan.search(&folder, search);
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}
