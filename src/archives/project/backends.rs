//! Which files the build back ends other than setuptools would install.

use crate::archives::project::discover::{Search, fits};
use crate::archives::project::names::{import_name, normal_name};
use crate::archives::project::plan::Plan;
use crate::archives::project::said::Said;
use crate::archives::project::setuptools;
use crate::archives::project::value::Value;
use crate::archives::project::view::{join, normal};

/// Takes what the project's own back end would take: nothing, if its rules find nothing.
pub(super) fn follow(plan: &mut Plan<'_>, said: &Said) {
    match backend(&said.pyproject) {
        "hatch" => hatch(plan, said),
        "flit" => flit(plan, said),
        "poetry" => poetry(plan, said),
        "pdm" => pdm(plan, said),
        "maturin" => maturin(plan, said),
        "uv" => uv(plan, said),
        "scikit" => scikit(plan, said),
        _ => setuptools::follow(plan, said),
    }
}

/// The back end, by what it is called or by what it is made of.
fn backend(pyproject: &Value) -> &'static str {
    const KNOWN: [(&str, &str); 8] = [
        ("hatch", "hatch"),
        ("flit", "flit"),
        ("poetry", "poetry"),
        ("pdm", "pdm"),
        ("maturin", "maturin"),
        ("uv_build", "uv"),
        ("uv-build", "uv"),
        ("scikit", "scikit"),
    ];
    let system = pyproject.at("build-system");
    let named = system.and_then(|system| system.text_at("build-backend"));
    let requires = system.and_then(|system| system.texts_at("requires"));
    let mut candidates: Vec<&str> = named.into_iter().collect();
    // A back end of the project's own wraps what it requires.
    candidates.extend(requires.into_iter().flatten());
    if candidates.is_empty() && pyproject.at("tool.poetry").is_some() {
        return "poetry";
    }
    let known = candidates.iter().find_map(|candidate| {
        if candidate.starts_with("setuptools") {
            return Some("setuptools");
        }
        let known = KNOWN.iter().find(|(start, _)| candidate.starts_with(start));
        known.map(|&(_, backend)| backend)
    });
    known.unwrap_or("setuptools")
}

/// Takes a package or module called `name` (dotted for one in a namespace) from the
/// first of `roots` that has it.
fn take_module(plan: &mut Plan<'_>, roots: &[&str], name: &str) -> bool {
    let path = name.replace('.', "/");
    let file = format!("{path}.py");
    roots.iter().any(|root| {
        let folder = join(root, &path);
        (plan.view.is_package(&folder) && plan.take(&folder, &path))
            || plan.take(&join(root, &file), &file)
    }) || roots.iter().any(|root| {
        // Written with other capitals, or without an `__init__.py`.
        let entries = plan.view.glance(root).into_iter();
        let mut same = entries.filter(|entry| {
            let stem = entry.name.strip_suffix(".py").unwrap_or(&entry.name);
            stem.eq_ignore_ascii_case(name) && (entry.is_folder != entry.name.ends_with(".py"))
        });
        same.next().is_some_and(|entry| {
            let from = join(root, &entry.name);
            let python = !entry.is_folder || plan.view.holds_modules(&from);
            python && plan.take(&from, &entry.name)
        })
    })
}

/// <https://hatch.pypa.io/latest/plugins/builder/wheel/>
fn hatch(plan: &mut Plan<'_>, said: &Said) {
    let of_wheel = said.pyproject.at("tool.hatch.build.targets.wheel");
    let of_all = said.pyproject.at("tool.hatch.build");
    let key = |key: &str| {
        let found = [of_wheel, of_all].into_iter().flatten();
        found.filter_map(|table| table.at(key)).next()
    };
    let packages = key("packages").map(Value::texts).unwrap_or_default();
    let mut sources = Sources::default();
    for package in &packages {
        if let Some((folder, _)) = package.trim_end_matches('/').rsplit_once('/') {
            sources.add(folder, "");
        }
    }
    match key("sources") {
        Some(list @ Value::List(_)) => list.texts().iter().for_each(|from| sources.add(from, "")),
        Some(table) => {
            for (from, to) in table.entries() {
                sources.add(from, to.text().unwrap_or_default());
            }
        }
        None => {}
    }
    let only = match key("only-include").map(Value::texts) {
        Some(only) if !only.is_empty() => only,
        _ => packages,
    };
    for path in &only {
        let to = sources.of(path);
        plan.take_named(path, &to);
    }
    if only.is_empty() {
        for pattern in key("include").map(Value::texts).unwrap_or_default() {
            take_pattern(plan, pattern, &sources);
        }
    }
    for (from, to) in key("force-include").into_iter().flat_map(Value::entries) {
        plan.take_named(from, to.text().unwrap_or_default());
    }
    if plan.parts.is_empty()
        && let Some(name) = said.name()
    {
        let name = import_name(name);
        if !take_module(plan, &["", "src"], &name) {
            take_from_one_namespace(plan, &name);
        }
    }
    leave_out_excluded(plan, key("exclude"));
    if key("hooks").is_some() {
        plan.notes
            .push("the build hooks of hatch are not run".to_owned());
    }
}

/// Where hatch puts what lies in a folder.
#[derive(Default)]
struct Sources(Vec<(String, String)>);

impl Sources {
    fn add(&mut self, from: &str, to: &str) {
        if let (Some(from), Some(to)) = (normal(from), normal(to)) {
            self.0.push((from, to));
        }
    }

    fn of(&self, path: &str) -> String {
        let Some(path) = normal(path) else {
            return path.to_owned();
        };
        let fitting = self.0.iter().filter_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_str())?;
            let whole = rest.is_empty() || rest.starts_with('/') || from.is_empty();
            whole.then(|| (from.len(), join(to, rest.trim_start_matches('/'))))
        });
        fitting.max().map_or(path.clone(), |(_, to)| to)
    }
}

/// Takes what stands in a pattern of files before its first wildcard.
fn take_pattern(plan: &mut Plan<'_>, pattern: &str, sources: &Sources) {
    let pattern = pattern.trim_start_matches('/');
    let fixed: Vec<&str> = pattern
        .split('/')
        .take_while(|part| !part.contains(['*', '?', '[']))
        .collect();
    let folder = fixed.join("/");
    if !folder.is_empty() {
        // A pattern for what is not there takes nothing.
        plan.take(&folder, &sources.of(&folder));
        return;
    }
    let files = plan.view.list("").into_iter();
    let files: Vec<String> = files
        .filter(|entry| !entry.is_folder && entry.name.ends_with(".py"))
        .filter(|entry| fits(pattern, &entry.name))
        .map(|entry| entry.name)
        .collect();
    for file in files {
        plan.take(&file, &sources.of(&file));
    }
}

/// `FOLDER/name/__init__.py`, if only one folder has it: a namespace package.
fn take_from_one_namespace(plan: &mut Plan<'_>, name: &str) {
    let entries = plan.view.list("").into_iter();
    let folders: Vec<String> = entries
        .filter(|entry| entry.is_folder && plan.view.is_package(&join(&entry.name, name)))
        .map(|entry| entry.name)
        .collect();
    if let [namespace] = &folders[..] {
        plan.take(namespace, namespace);
    }
}

/// Drops parts that a pattern excludes as a whole.
fn leave_out_excluded(plan: &mut Plan<'_>, patterns: Option<&Value>) {
    let patterns = patterns.map(Value::texts).unwrap_or_default();
    let excluded = |path: &str| {
        patterns.iter().any(|pattern| {
            let pattern = pattern.trim_end_matches("/**").trim_end_matches('/');
            match pattern.strip_prefix('/') {
                Some(pattern) => fits(pattern, path),
                None if pattern.contains('/') => fits(pattern, path),
                None => path.split('/').any(|part| fits(pattern, part)),
            }
        })
    };
    let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.parts)
        .into_iter()
        .partition(|part| excluded(&part.from));
    plan.parts = kept;
    for part in out {
        plan.notes
            .push(format!("`{}` left out, as `exclude` says", part.from));
    }
}

/// <https://flit.pypa.io/en/stable/pyproject_toml.html>
fn flit(plan: &mut Plan<'_>, said: &Said) {
    let module = ["tool.flit.module.name", "tool.flit.metadata.module"]
        .iter()
        .find_map(|key| said.pyproject.text_at(key))
        .map(str::to_owned)
        .or_else(|| said.name().map(|name| name.replace('-', "_")));
    if let Some(module) = module {
        take_module(plan, &["", "src"], &module);
    }
}

/// <https://python-poetry.org/docs/pyproject/#packages>
fn poetry(plan: &mut Plan<'_>, said: &Said) {
    let tool = said.pyproject.at("tool.poetry");
    let packages = tool.and_then(|tool| tool.at("packages"));
    for package in packages.map(Value::items).unwrap_or_default() {
        let formats = package.texts_at("format");
        if formats.is_some_and(|formats| !formats.contains(&"wheel")) {
            continue;
        }
        let Some(include) = package.text_at("include") else {
            continue;
        };
        let from = package.text_at("from").unwrap_or_default();
        let to = package.text_at("to").unwrap_or_default();
        let mut sources = Sources::default();
        sources.add(from, to);
        match include.contains(['*', '?']) {
            true if from.is_empty() || !include.starts_with('*') => {
                take_pattern(plan, &join(from, include), &sources);
            }
            // All that is in the folder.
            true => plan.search(from, Search::SOURCES),
            false => plan.take_named(&join(from, include), &join(to, include)),
        }
    }
    let include = tool.and_then(|tool| tool.at("include"));
    for item in include.map(Value::items).unwrap_or_default() {
        // Without a format, it is for the source distribution.
        let formats = item.texts_at("format").unwrap_or_default();
        if let (true, Some(path)) = (formats.contains(&"wheel"), item.text_at("path")) {
            take_pattern(plan, path, &Sources::default());
        }
    }
    if packages.is_none()
        && let Some(name) = said.name()
    {
        take_module(plan, &["", "src"], &import_name(name));
    }
}

/// <https://backend.pdm-project.org/build_config/>
fn pdm(plan: &mut Plan<'_>, said: &Said) {
    let tool = said.pyproject.at("tool.pdm.build");
    let text = |key: &str| tool.and_then(|tool| tool.text_at(key));
    let folder = match text("package-dir") {
        Some(folder) => folder.to_owned(),
        None if plan.view.is_folder("src") && !plan.view.is_package("src") => "src".to_owned(),
        None => String::new(),
    };
    let mut sources = Sources::default();
    sources.add(&folder, "");
    let includes = tool.and_then(|tool| tool.texts_at("includes"));
    for pattern in includes.unwrap_or_default() {
        take_pattern(plan, pattern, &sources);
    }
    if plan.parts.is_empty()
        && let Some(folder) = normal(&folder)
    {
        let search = match folder.is_empty() {
            true => Search::FLAT,
            false => Search::SOURCES,
        };
        plan.search(&folder, search);
    }
    leave_out_excluded(plan, tool.and_then(|tool| tool.at("excludes")));
}

/// <https://www.maturin.rs/project_layout>
fn maturin(plan: &mut Plan<'_>, said: &Said) {
    let tool = said.pyproject.at("tool.maturin");
    let text = |key: &str| tool.and_then(|tool| tool.text_at(key));
    let module = text("module-name").map(str::to_owned);
    let module = module.or_else(|| said.name().map(import_name));
    let tops = tool.and_then(|tool| tool.texts_at("python-packages"));
    let roots = match text("python-source") {
        Some(source) => vec![source],
        None => vec!["", "python", "src"],
    };
    let named = tops.unwrap_or_default();
    let own = module
        .as_deref()
        .and_then(|module| module.split('.').next());
    for top in own.into_iter().chain(named) {
        take_module(plan, &roots, top);
    }
    if text("bindings") != Some("bin") {
        plan.warnings.push(format!(
            "its part in Rust (`{}`) is not compiled: build it for wasm32-wasi and name it in \
             `extensions`, if it is needed",
            module.as_deref().unwrap_or("module-name").escape_debug()
        ));
    }
}

/// <https://docs.astral.sh/uv/concepts/build-backend/>
fn uv(plan: &mut Plan<'_>, said: &Said) {
    let tool = said.pyproject.at("tool.uv.build-backend");
    let root = tool
        .and_then(|tool| tool.text_at("module-root"))
        .unwrap_or("src");
    let modules = tool.and_then(|tool| tool.texts_at("module-name"));
    let own = || said.name().map(|name| normal_name(name).replace('-', "_"));
    let modules = match modules {
        Some(modules) => modules.iter().map(|&module| module.to_owned()).collect(),
        None => Vec::from_iter(own()),
    };
    let Some(root) = normal(root) else {
        plan.take(root, "");
        return;
    };
    for module in &modules {
        if !take_module(plan, &[&root], module) {
            let path = module.replace('.', "/");
            plan.take(&join(&root, &path), &path);
        }
    }
}

/// <https://scikit-build-core.readthedocs.io/en/latest/configuration/>
fn scikit(plan: &mut Plan<'_>, said: &Said) {
    match said.pyproject.at("tool.scikit-build.wheel.packages") {
        Some(table @ Value::Table(_)) => {
            for (to, from) in table.entries() {
                plan.take_named(from.text().unwrap_or_default(), to);
            }
        }
        Some(list) => {
            for from in list.texts() {
                let name = from.trim_end_matches('/').rsplit('/').next();
                plan.take_named(from, name.unwrap_or_default());
            }
        }
        None => {
            if let Some(name) = said.name() {
                take_module(plan, &["src", "python", ""], &import_name(name));
            }
        }
    }
    plan.warnings.push(
        "what CMake would build of it is not built: build it for wasm32-wasi and name it in \
         `extensions`, if it is needed"
            .to_owned(),
    );
}
