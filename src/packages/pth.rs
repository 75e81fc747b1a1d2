//! `.pth` files in site-packages, which Python's `site` reads at start-up elsewhere and
//! nothing reads here.
//!
//! A line that is a path inside the tree is followed: what lies there is put beside the
//! other modules, which go before it, as on `sys.path`. Anything else is a warning.

use crate::archives::listing::named;
use crate::error::Error;
use crate::inputs::sources::{Source, is_library};
use crate::packages::contents::{Content, Tree};
use std::path::{Component, Path, PathBuf};

/// Does what can be done of the `.pth` files at the top of `tree`; warnings of the rest.
///
/// # Errors
/// `Stage::Io` when a file cannot be read.
pub(crate) fn follow(tree: &mut Tree, sources: &[Source]) -> Result<Vec<String>, Error> {
    let is_pth = |path: &&String| path.ends_with(".pth") && !path.contains('/');
    let names: Vec<String> = tree.keys().filter(is_pth).cloned().collect();
    let mut warnings = Vec::new();
    for name in names {
        let Some((index, content)) = tree.get(&name) else {
            continue;
        };
        let (index, text) = (*index, content.read()?.into_owned());
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut problems = Vec::new();
        let mut runs_code = false;
        for line in text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim_end)
        {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with("import ") || line.starts_with("import\t") {
                runs_code = true;
                continue;
            }
            problems.extend(follow_path(tree, line.trim(), &sources[index]));
        }
        if runs_code {
            problems.push(not_run(&name).to_owned());
        }
        if !problems.is_empty() {
            let who = sources[index].shown();
            warnings.push(format!("`{name}` of {who}: {}", problems.join("; ")));
        }
    }
    Ok(warnings)
}

/// What it means that the code in the file does not run.
fn not_run(name: &str) -> &'static str {
    if name.ends_with("-nspkg.pth") {
        "its line of code is not run, nor needed: a folder without an `__init__.py` is a \
         namespace package"
    } else if name.starts_with("__editable__") {
        "its line of code is not run: an editable installation leads to a project elsewhere; \
         name that project's folder in `packages`"
    } else {
        "its line of code is not run: if something depends on it, do the same in `setup`"
    }
}

/// Puts what lies at `line` at the top of the tree, or says why not.
fn follow_path(tree: &mut Tree, line: &str, source: &Source) -> Option<String> {
    let shown = line.escape_debug();
    let Some(prefix) = inside(line, source) else {
        return Some(format!(
            "`{shown}` is outside of the folder and not taken: name the project or package \
             there in `packages`"
        ));
    };
    if prefix.is_empty() {
        return None;
    }
    let prefix = format!("{prefix}/");
    let here = tree
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix));
    let mut added: Vec<(String, (usize, Content))> = Vec::new();
    let mut libraries = Vec::new();
    let mut found = false;
    for (path, (index, content)) in here {
        found = true;
        let rest = &path[prefix.len()..];
        let top = rest.split('/').next().unwrap_or(rest);
        let stem = top.strip_suffix(".py").unwrap_or(top);
        let hidden = tree.contains_key(&format!("{stem}.py"))
            || tree.contains_key(&format!("{stem}/__init__.py"))
            || tree.contains_key(rest);
        if hidden || rest.is_empty() {
            continue;
        }
        match is_library(Path::new(path)) {
            true => libraries.push(path.clone()),
            false => added.push((rest.to_owned(), (*index, content.clone()))),
        }
    }
    if !found {
        return Some(format!("`{shown}` leads to nothing that is there"));
    }
    tree.extend(added);
    (!libraries.is_empty()).then(|| {
        format!(
            "`{shown}` is followed, but for extension modules: {}",
            named(&libraries)
        )
    })
}

/// Where in the tree a path leads, if it leads into it.
fn inside(line: &str, source: &Source) -> Option<String> {
    let path = Path::new(line);
    let relative = match path.is_absolute() {
        true => path.strip_prefix(&source.path).ok()?.to_owned(),
        false => PathBuf::from(line),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in relative.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}
