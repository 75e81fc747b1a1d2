//! From Python's own words to what to do about a failed import.

use crate::config::nearest;
use crate::guest::stdlib;
use crate::inputs::walk::stays_in;
use std::path::Path;

/// What an import that raises SystemExit is reported as.
pub(crate) const EXITED: &str = "the module raised SystemExit with code";

/// What set-up code that raises SystemExit is reported as.
pub(crate) const ENDED: &str = "the code raised SystemExit with code";

/// What to do next about `module`, whose import ended in `traceback`; `roots` are
/// the folders on `sys.path`.
pub(crate) fn hint(
    module: &str,
    traceback: &str,
    memory_limit_reached: bool,
    roots: &[&Path],
) -> Option<String> {
    if memory_limit_reached {
        return Some("raise `memory-limit` in [package.metadata.eryx] (at most \"4GiB\")".into());
    }
    let last = traceback.trim_end().lines().last().unwrap_or_default();
    let (kind, text) = last.split_once(':').unwrap_or((last, ""));
    match kind.rsplit('.').next().unwrap_or(kind) {
        "ModuleNotFoundError" => Some(not_found(module, quoted(text)?, roots)),
        "PackageNotFoundError" => Some(no_metadata(module, text)),
        "ImportError" if text.contains("library not found") => Some(
            "the file is there, but is no extension module for CPython 3.14 on wasm32-wasi, or \
             was not linked: name one that is in `extensions`"
                .into(),
        ),
        "ImportError" if text.contains(EXITED) => Some(format!(
            "`{module}` ends the process when it is imported: it is a program, or refuses this \
             platform; import what it is made of instead"
        )),
        "RuntimeError" if text.contains(ENDED) => Some(
            "set-up code has to run to its end: a snapshot of a program that has ended is of no use"
                .into(),
        ),
        "MemoryError" => Some("raise `memory-limit` in [package.metadata.eryx]".into()),
        // A package may put its own words around what it could not import.
        "ImportError" => absent_below(module, traceback),
        _ => None,
    }
}

/// What to do about a distribution that Python has no metadata of.
fn no_metadata(module: &str, text: &str) -> String {
    let name = text.trim().rsplit(' ').next().unwrap_or_default();
    format!(
        "`{module}` asks for the version (or other metadata) of `{name}`, and site-packages has no \
         `.dist-info` of that name: if it is a project of yours, name the project's folder in \
         `packages` (not the package in it) and set `version` in `[project]` of its \
         pyproject.toml, instead of listing it in `dynamic`; else name its wheel"
    )
}

/// A hint, if an import further up in the traceback failed for a module that CPython for
/// WASI does not have.
fn absent_below(module: &str, traceback: &str) -> Option<String> {
    let missing = traceback.lines().filter_map(|line| {
        let (kind, text) = line.split_once(':')?;
        (kind == "ModuleNotFoundError").then(|| quoted(text))?
    });
    let mut hints = missing.filter_map(|missing| not_in_wasi(module, missing));
    hints.next()
}

/// A hint for modules that are, or were, of the standard library, but not here.
fn not_in_wasi(module: &str, missing: &str) -> Option<String> {
    let top = missing.split('.').next().unwrap_or(missing);
    let why = if stdlib::is_of_this_version(top) {
        "not part of CPython for WASI (elsewhere, the standard library has it)".to_owned()
    } else {
        let version = stdlib::removed_in(top)?;
        format!("not part of Python any more (removed in 3.{version})")
    };
    let asked_for = missing == module || module.starts_with(&format!("{missing}."));
    Some(match asked_for {
        true => format!("`{missing}` is {why}: do without it"),
        false => format!(
            "`{module}` needs `{missing}`, which is {why}: use a version or part of `{module}` that \
             does without it"
        ),
    })
}

fn not_found(module: &str, missing: &str, roots: &[&Path]) -> String {
    let top = missing.split('.').next().unwrap_or(missing);
    let asked_for = missing == module || module.starts_with(&format!("{missing}."));
    let names = top_level(roots);
    let near = || nearest(top, names.iter().map(String::as_str));
    let is_there = names.iter().any(|name| name == top);
    if let (false, Some(hint)) = (is_there, not_in_wasi(module, missing)) {
        return hint;
    }
    if let Some(hint) = roots.iter().find_map(|root| editable(root, top)) {
        return hint;
    }
    if roots.iter().any(|root| leads_out(root, top)) {
        return format!(
            "`{top}` is a symbolic link that leads out of its folder, which Python does not see \
             here: install copies (with uv, UV_LINK_MODE=copy)"
        );
    }
    let native = missing.rsplit('.').next().unwrap_or(missing);
    if native.starts_with('_') && !asked_for {
        return format!(
            "`{module}` needs the native extension `{missing}`, which CPython for WASI does not \
             have: name one built for WASI in `extensions`, or use a pure-Python alternative"
        );
    }
    if is_there {
        return format!(
            "`{top}` is there, but has no submodule `{missing}`: if its build makes that, name a \
             wheel instead of its source"
        );
    }
    if asked_for {
        return match near() {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "`{top}` is neither in the standard library nor in site-packages: name its \
                 folder or wheel in `packages` in [package.metadata.eryx], or install it into a \
                 folder (`pip install --target DIR {top}`) and name that as `site-packages`"
            ),
        };
    }
    format!(
        "`{module}` depends on `{top}`: add it to `packages`, or install it into `site-packages`"
    )
}

/// A traceback of set-up code, without the frames above that code, and with its
/// lines, which Python cannot read.
pub(crate) fn setup_traceback(traceback: &str, name: &str, code: &str) -> String {
    let own = format!("  File \"{name}\", line ");
    let lines: Vec<&str> = traceback.lines().collect();
    let is_frame = |line: &str| line.starts_with("  File ") || line.starts_with("    ");
    let first = lines.iter().position(|line| line.starts_with(&own));
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        // The runtime's own frames, and that of the code which runs the user's.
        if is_frame(line) && first.is_some_and(|first| index < first) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        let shown = lines
            .get(index + 1)
            .is_some_and(|next| next.starts_with("    "));
        let number: Option<usize> = line
            .strip_prefix(&own)
            .and_then(|rest| rest.split(',').next()?.parse().ok());
        if let (false, Some(number)) = (shown, number)
            && let Some(source) = code.lines().nth(number.saturating_sub(1))
        {
            text.push_str("    ");
            text.push_str(source.trim());
            text.push('\n');
        }
    }
    text
}

/// A hint, if `top` is installed in `root` in editable mode: by a `.pth` file only.
fn editable(root: &Path, top: &str) -> Option<String> {
    let hint = |file: &str, project: &str| {
        format!(
            "`{top}` is an editable installation (`{file}`), which leads to its project elsewhere: \
             name {project} in `packages`"
        )
    };
    let entries = std::fs::read_dir(root).ok()?.flatten();
    for entry in entries {
        let name = entry.file_name().into_string().unwrap_or_default();
        if !name.ends_with(".pth") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let holds = |line: &&str| {
            let folder = Path::new(line.trim());
            folder.join(top).is_dir() || folder.join(format!("{top}.py")).is_file()
        };
        if let Some(folder) = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .find(holds)
        {
            return Some(hint(&name, &format!("the package in `{}`", folder.trim())));
        }
        if name.starts_with("__editable__.") && text.contains(&format!("_{top}_")) {
            return Some(hint(&name, "the project's folder"));
        }
    }
    None
}

/// Whether the module `top` of `root`, or what makes it a package, is somewhere else.
fn leads_out(root: &Path, top: &str) -> bool {
    let Ok(root) = root.canonicalize() else {
        return false;
    };
    [format!("{top}.py"), format!("{top}/__init__.py")]
        .iter()
        .any(|file| !stays_in(&root, &root.join(file)))
}

/// The name in quotes in `No module named 'x'`.
fn quoted(text: &str) -> Option<&str> {
    text.split('\'').nth(1)
}

/// Modules and packages directly below the roots.
fn top_level(roots: &[&Path]) -> Vec<String> {
    let mut names: Vec<String> = roots
        .iter()
        .filter_map(|root| std::fs::read_dir(root).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".py").unwrap_or(&name);
            (!name.contains(['.', '-'])).then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_for(module: &str, last: &str) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for name in ["json", "xml"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("random.py"), "").unwrap();
        let traceback = format!("Traceback (most recent call last):\n  …\n{last}\n");
        hint(module, &traceback, false, &[dir.path()])
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_is_named() {
        let [dir, outside] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("__init__.py"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("linked")).unwrap();
        let last = "ModuleNotFoundError: No module named 'linked'";
        let hint = hint("linked", last, false, &[dir.path()]).unwrap();
        assert!(hint.contains("UV_LINK_MODE=copy"), "{hint}");
    }

    #[test]
    fn each_cause_has_its_own_advice() {
        let not_found = |name: &str| format!("ModuleNotFoundError: No module named '{name}'");
        for (module, last, advice) in [
            ("jsn", not_found("jsn"), "did you mean `json`?"),
            ("randon", not_found("randon"), "did you mean `random`?"),
            (
                "json.tols",
                not_found("json.tols"),
                "has no submodule `json.tols`",
            ),
            (
                "numpy",
                not_found("numpy"),
                "pip install --target DIR numpy",
            ),
            (
                "flask",
                not_found("werkzeug"),
                "`flask` depends on `werkzeug`",
            ),
            (
                "fast",
                not_found("fast._speedups"),
                "native extension `fast._speedups`",
            ),
            (
                "app",
                "importlib.metadata.PackageNotFoundError: No package metadata was found for my-app"
                    .into(),
                "set `version` in `[project]`",
            ),
            (
                "prog",
                format!("ImportError: {EXITED} 3"),
                "ends the process",
            ),
            (
                "ext",
                "ImportError: library not found".into(),
                "`extensions`",
            ),
            ("big", "MemoryError".into(), "memory-limit"),
        ] {
            let hint = hint_for(module, &last).unwrap_or_default();
            assert!(hint.contains(advice), "{module}: {hint}");
        }
        assert_eq!(hint_for("x", "ValueError: no"), None);
    }

    #[test]
    fn what_wasi_lacks_is_never_to_be_installed() {
        let not_found = |name: &str| format!("ModuleNotFoundError: No module named '{name}'");
        for (module, last, advice) in [
            (
                "turtle",
                not_found("_tkinter"),
                "`turtle` needs `_tkinter`, which is not part of CPython for WASI",
            ),
            (
                "fcntl",
                not_found("fcntl"),
                "`fcntl` is not part of CPython for WASI",
            ),
            ("term", not_found("termios"), "`term` needs `termios`"),
            (
                "old",
                not_found("imp"),
                "not part of Python any more (removed in 3.12)",
            ),
            (
                "wrapped",
                format!("{}\n\nImportError: install it", not_found("mmap")),
                "`wrapped` needs `mmap`",
            ),
        ] {
            let hint = hint_for(module, &last).unwrap_or_default();
            assert!(hint.contains(advice), "{module}: {hint}");
            assert!(!hint.contains("pip install"), "{hint}");
        }
    }

    #[test]
    fn an_editable_installation_is_named() {
        let [dir, elsewhere] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir(elsewhere.path().join("one")).unwrap();
        write(
            "__editable__.one-1.pth",
            &elsewhere.path().display().to_string(),
        );
        write(
            "__editable__.two-1.pth",
            "import __editable___two_1_finder; _.install()\n",
        );
        for (module, project) in [
            ("one", elsewhere.path().to_str().unwrap()),
            ("two", "the project's"),
        ] {
            let last = format!("ModuleNotFoundError: No module named '{module}'");
            let hint = hint(module, &last, false, &[dir.path()]).unwrap();
            assert!(
                hint.contains("editable") && hint.contains(project),
                "{hint}"
            );
        }
    }

    #[test]
    fn a_setup_traceback_starts_in_the_user_s_file_and_shows_its_lines() {
        let traceback = "Traceback (most recent call last):\n  \
            File \"<string>\", line 1, in <module>\n  \
            File \"<user>\", line 2, in <module>\n  \
            File \"warm.py\", line 2, in <module>\n  \
            File \"/site-packages/a.py\", line 1, in f\n    g()\n\
            ValueError: no\n";
        assert_eq!(
            setup_traceback(traceback, "warm.py", "import a\n  a.f()\n"),
            "Traceback (most recent call last):\n  File \"warm.py\", line 2, in <module>\n    \
             a.f()\n  File \"/site-packages/a.py\", line 1, in f\n    g()\nValueError: no\n"
        );
    }
}
