//! What `importlib.metadata` says of a project: its name, version, requirements and entry
//! points, from where the project says them.

use crate::archives::project::headers::field;
use crate::archives::project::names::{dist_info, import_name, normal_name};
use crate::archives::project::plan::{Part, Plan};
use crate::archives::project::said::Said;
use crate::archives::project::value::Value;
use crate::archives::project::view::{View, join, normal};
use crate::archives::project::{ini, literal, setuptools};
use std::collections::BTreeMap;

/// A distribution's metadata.
pub(super) struct Metadata {
    folder: String,
    text: String,
    entry_points: String,
}

impl Metadata {
    /// What the project says of itself; `None`, with a note, where its version is known
    /// to its build only.
    pub(super) fn find(said: &Said, view: &View<'_>, plan: &mut Plan<'_>) -> Option<Self> {
        let name = said.name()?;
        let egg_info = own_egg_info(plan, name);
        let left = |file: &str| {
            let folder = egg_info.as_ref()?;
            view.is_file(&join(folder, file))
                .then(|| view.text(&join(folder, file)))?
        };
        let text = match &said.pkg_info {
            Some(text) => Some(text.clone()),
            None => version(said, view, plan)
                .map(|version| render(said, name, &version))
                // What an editable installation, or another build, left there.
                .or_else(|| left("PKG-INFO")),
        };
        let folder = text
            .as_deref()
            .and_then(|text| dist_info(field(text, "Name")?, field(text, "Version")?));
        let (Some(folder), Some(text)) = (folder, text) else {
            plan.notes.push(format!(
                "no metadata of `{}`: its version is not written down; set `version` in \
                 `[project]` of its pyproject.toml (instead of `dynamic`), or name a wheel built \
                 from it, if it asks for its own version",
                name.escape_debug()
            ));
            return None;
        };
        // What a build wrote is complete.
        let entry_points = match said.pkg_info.is_some().then(|| left("entry_points.txt")) {
            Some(Some(text)) => text,
            _ => entry_points(said),
        };
        Some(Self {
            folder,
            text,
            entry_points,
        })
    }

    /// The folder, and the files in it.
    pub(super) fn files(self, parts: &[Part]) -> (String, Vec<(String, Vec<u8>)>) {
        let mut tops: Vec<&str> = parts
            .iter()
            .filter_map(|part| part.to.split('/').next())
            .map(|top| top.strip_suffix(".py").unwrap_or(top))
            .filter(|top| !top.is_empty())
            .collect();
        tops.sort_unstable();
        tops.dedup();
        let mut files = vec![("METADATA", self.text)];
        if !tops.is_empty() {
            files.push(("top_level.txt", tops.join("\n") + "\n"));
        }
        if !self.entry_points.is_empty() {
            files.push(("entry_points.txt", self.entry_points));
        }
        let path = |(name, text): (&str, String)| (join(&self.folder, name), text.into_bytes());
        let files = files.into_iter().map(path).collect();
        (self.folder.clone(), files)
    }
}

/// The folder that a build left for this project: at its root, or beside its packages.
fn own_egg_info(plan: &Plan<'_>, name: &str) -> Option<String> {
    let mut roots = vec![String::new()];
    roots.extend(["src", "lib"].map(str::to_owned));
    for part in &plan.parts {
        roots.extend(
            part.from
                .rsplit_once('/')
                .map(|(folder, _)| folder.to_owned()),
        );
    }
    let own = |folder: &String| {
        let file = folder.rsplit('/').next().unwrap_or(folder);
        let stem = file.trim_end_matches(".egg-info");
        normal_name(stem) == normal_name(name)
    };
    let mut found = roots
        .iter()
        .filter_map(|root| setuptools::egg_info(plan, root));
    found.find(own)
}

/// The version, where it is written down.
fn version(said: &Said, view: &View<'_>, plan: &Plan<'_>) -> Option<String> {
    let pyproject = &said.pyproject;
    let fixed = ["project.version", "tool.poetry.version"];
    if let Some(version) = fixed.iter().find_map(|key| pyproject.text_at(key)) {
        return Some(version.to_owned());
    }
    let tool = |key: &str| pyproject.text_at(key);
    if let Some(attribute) = tool("tool.setuptools.dynamic.version.attr") {
        return attribute_of(view, plan, attribute);
    }
    let dynamic = pyproject.at("tool.setuptools.dynamic.version");
    let files = dynamic.and_then(|dynamic| dynamic.texts_at("file"));
    if let Some(&file) = files.as_ref().and_then(|files| files.first()) {
        return first_line(view, file);
    }
    for key in ["tool.hatch.version.path", "tool.pdm.version.path"] {
        if let Some(path) = tool(key) {
            return assigned_in(view, &normal(path)?, &["__version__", "VERSION", "version"]);
        }
    }
    if let Some(version) = said.cfg("metadata", "version") {
        let version = version.trim();
        return match version.split_once(':') {
            Some(("attr", attribute)) => attribute_of(view, plan, attribute.trim()),
            Some(("file", file)) => first_line(view, file.trim()),
            _ => Some(version.to_owned()),
        };
    }
    if let Some(version) = said.setup_py.setup.get("version").and_then(Value::text) {
        return Some(version.to_owned());
    }
    of_module(said, view, plan)
}

/// flit takes the version from the module itself.
fn of_module(said: &Said, view: &View<'_>, plan: &Plan<'_>) -> Option<String> {
    let backend = said.pyproject.text_at("build-system.build-backend");
    backend.filter(|backend| backend.starts_with("flit"))?;
    let part = plan.parts.first()?;
    let file = match view.is_file(&part.from) {
        true => part.from.clone(),
        false => join(&part.from, "__init__.py"),
    };
    assigned_in(view, &file, &["__version__"])
}

/// The literal that `package.module.NAME` is assigned.
fn attribute_of(view: &View<'_>, plan: &Plan<'_>, attribute: &str) -> Option<String> {
    let (module, name) = attribute.rsplit_once('.')?;
    let (top, rest) = module.split_once('.').unwrap_or((module, ""));
    let rest = rest.replace('.', "/");
    plan.parts.iter().find_map(|part| {
        let stem = part.to.strip_suffix(".py").unwrap_or(&part.to);
        if stem != top {
            return None;
        }
        let path = join(&part.from, &rest);
        let files = [
            part.from.clone(),
            format!("{path}.py"),
            join(&path, "__init__.py"),
        ];
        files
            .iter()
            .filter(|file| file.ends_with(".py") && view.is_file(file))
            .find_map(|file| assigned_in(view, file, &[name]))
    })
}

/// The literal that one of `names` is assigned at the top of a module.
fn assigned_in(view: &View<'_>, file: &str, names: &[&str]) -> Option<String> {
    let literals = literal::read(&view.text(file)?);
    let mut values = names.iter().filter_map(|name| literals.assigned.get(*name));
    let version = values.next()?.text()?;
    Some(version.trim_start_matches('v').to_owned())
}

fn first_line(view: &View<'_>, file: &str) -> Option<String> {
    let text = view.text(&normal(file)?)?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// METADATA as a back end would write it, without the description.
fn render(said: &Said, name: &str, version: &str) -> String {
    let mut text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
    let mut header = |key: &str, value: &str| {
        // A header is one line.
        if !value.contains(['\n', '\r']) {
            text += &format!("{key}: {value}\n");
        }
    };
    let project = said.pyproject.at("project");
    if let Some(summary) = project.and_then(|project| project.text_at("description")) {
        header("Summary", summary);
    }
    let python = project.and_then(|project| project.text_at("requires-python"));
    if let Some(python) = python.or_else(|| said.cfg("options", "python_requires")) {
        header("Requires-Python", python.trim());
    }
    for requirement in requirements(said) {
        header("Requires-Dist", &requirement);
    }
    let extras = project.and_then(|project| project.at("optional-dependencies"));
    for (extra, list) in extras.into_iter().flat_map(Value::entries) {
        header("Provides-Extra", extra);
        for requirement in list.texts() {
            header("Requires-Dist", &with_extra(requirement, extra));
        }
    }
    text
}

fn requirements(said: &Said) -> Vec<String> {
    if let Some(list) = said.pyproject.texts_at("project.dependencies") {
        return list.into_iter().map(str::to_owned).collect();
    }
    if let Some(Value::Table(table)) = said.pyproject.at("tool.poetry.dependencies") {
        // poetry writes versions in a way of its own, so that only names are taken.
        let needed = |(name, value): (&String, &Value)| {
            let optional = value.flag_at("optional") == Some(true) || value.at("markers").is_some();
            (name != "python" && !optional).then(|| name.clone())
        };
        return table.iter().filter_map(needed).collect();
    }
    if let Some(text) = said.cfg("options", "install_requires") {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return lines.map(str::to_owned).collect();
    }
    let literal = said.setup_py.setup.get("install_requires");
    let list = literal.map(Value::texts).unwrap_or_default();
    list.into_iter().map(str::to_owned).collect()
}

/// A requirement that counts with an extra only.
fn with_extra(requirement: &str, extra: &str) -> String {
    let extra = import_name(extra).replace('_', "-");
    match requirement.split_once(';') {
        Some((needed, marker)) => {
            format!(
                "{}; ({}) and extra == '{extra}'",
                needed.trim(),
                marker.trim()
            )
        }
        None => format!("{requirement}; extra == '{extra}'"),
    }
}

/// The text of `entry_points.txt`.
fn entry_points(said: &Said) -> String {
    let mut groups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut add = |group: &str, name: &str, value: &str| {
        let names = groups.entry(group.to_owned()).or_default();
        names.insert(name.to_owned(), value.to_owned());
    };
    let tables = [
        ("project.scripts", "console_scripts"),
        ("project.gui-scripts", "gui_scripts"),
        ("tool.poetry.scripts", "console_scripts"),
        ("tool.flit.scripts", "console_scripts"),
    ];
    for (key, group) in tables {
        for (name, value) in said.pyproject.pairs_at(key) {
            add(group, name, value);
        }
    }
    for key in [
        "project.entry-points",
        "tool.poetry.plugins",
        "tool.flit.entrypoints",
    ] {
        for (group, entries) in said.pyproject.at(key).into_iter().flat_map(Value::entries) {
            for (name, value) in entries.entries() {
                value
                    .text()
                    .into_iter()
                    .for_each(|value| add(group, name, value));
            }
        }
    }
    if let Value::Table(sections) = &said.setup_cfg
        && let Some(entries) = sections.get("options.entry_points")
    {
        for (group, list) in entries.entries() {
            for (name, value) in ini::pairs(list.text().unwrap_or_default()) {
                add(group, name, value);
            }
        }
    }
    let literal = said.setup_py.setup.get("entry_points");
    for (group, list) in literal.into_iter().flat_map(Value::entries) {
        for (name, value) in list.texts().iter().flat_map(|text| ini::pairs(text)) {
            add(group, name, value);
        }
    }
    let mut text = String::new();
    for (group, entries) in groups {
        text += &format!("[{group}]\n");
        for (name, value) in entries {
            text += &format!("{name} = {value}\n");
        }
        text.push('\n');
    }
    text
}
