//! The house rules that a compiler does not know: data flows one way between the files of
//! `src/`, and the pure parts stay pure. Read off the `use` lines and the paths in the
//! code, apart from tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A file of `src/`, as a module path: `wasm::link`.
type Module = String;

/// The code of every module, without comments, and without what only tests or fuzzing
/// compile.
fn modules() -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root).sort_by_file_name();
    let files = files.into_iter().map(|entry| entry.unwrap().into_path());
    let texts: Vec<(PathBuf, String)> = files
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().into(), text)
        })
        .collect();
    let tests: Vec<Module> = texts
        .iter()
        .flat_map(|(path, text)| test_modules(&module(path), text))
        .collect();
    let in_tests = |module: &str| {
        let mut tests = tests.iter();
        tests.any(|test| module == test || module.starts_with(&format!("{test}::")))
    };
    let texts = texts.iter().map(|(path, text)| (module(path), code(text)));
    texts
        .filter(|(module, _)| module != "fuzz" && !in_tests(module))
        .collect()
}

/// The modules in files of their own that `text`, of `module`, declares for tests.
fn test_modules(module: &str, text: &str) -> Vec<Module> {
    let declared = text.split("#[cfg(test)]\nmod ").skip(1);
    declared
        .filter_map(|rest| rest.split_once([';', ' ']))
        .filter(|(_, rest)| !rest.starts_with('{'))
        .map(|(name, _)| match module {
            "lib" => name.to_owned(),
            module => format!("{module}::{name}"),
        })
        .collect()
}

fn module(path: &Path) -> Module {
    let path: PathBuf = match path.file_name().unwrap().to_str() {
        Some("mod.rs") => path.parent().unwrap().into(),
        _ => path.with_extension(""),
    };
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    parts.join("::")
}

/// The part in front of the tests, without comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let lines = text[..end].lines();
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that start with `crate::`, groups in braces taken apart.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || "_$".contains(c)) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
        let stem = &rest[..end.unwrap_or(rest.len())];
        match rest[stem.len()..].strip_prefix('{') {
            Some(group) if stem.is_empty() || stem.ends_with("::") => {
                let group = &group[..group.find('}').unwrap()];
                for name in group.split(',').filter(|name| !name.trim().is_empty()) {
                    paths.push(format!("{stem}{}", name.trim()));
                }
            }
            _ => paths.push(stem.to_owned()),
        }
    }
    paths
}

/// The module that a path leads into: the longest that there is.
fn target(modules: &BTreeMap<Module, String>, path: &str) -> Option<Module> {
    let parts: Vec<&str> = path.split("::").collect();
    (1..=parts.len())
        .rev()
        .map(|len| parts[..len].join("::"))
        .find(|module| modules.contains_key(module))
}

/// What each module takes from others, parents apart: `mod.rs` files only list.
fn arrows(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    modules
        .iter()
        .map(|(module, code)| {
            let targets = paths(code).into_iter();
            let targets = targets.filter_map(|path| target(modules, &path));
            let others = targets.filter(|other| other != module);
            (module.clone(), others.collect())
        })
        .collect()
}

#[test]
fn nothing_imports_the_crate_root() {
    let modules = modules();
    for (module, code) in &modules {
        for path in paths(code) {
            let found = target(&modules, &path);
            assert!(
                found.is_some(),
                "{module} takes `{path}` from the crate root"
            );
        }
    }
}

#[test]
fn there_are_no_circles() {
    let modules = modules();
    let arrows = arrows(&modules);
    for start in modules.keys() {
        // Everything that can be reached; a circle comes back.
        let mut reached = BTreeSet::new();
        let mut queue: Vec<Module> = arrows[start].iter().cloned().collect();
        while let Some(module) = queue.pop() {
            if reached.insert(module.clone()) {
                queue.extend(arrows[&module].iter().cloned());
            }
        }
        let back: Vec<_> = arrows.iter().filter(|(_, to)| to.contains(start)).collect();
        let back = back.iter().find(|(from, _)| reached.contains(*from));
        assert!(
            !reached.contains(start),
            "{start} is in a circle, by way of {:?}",
            back.map(|(from, _)| from)
        );
    }
}

#[test]
fn what_is_pure_knows_neither_wasmtime_nor_the_file_system() {
    // `wasmtime_environ` reads and writes a format; it runs nothing.
    let foreign = [
        "wasmtime::",
        "wasmtime_wasi",
        "wasmtime_wizer",
        "std::fs",
        "tempfile",
    ];
    let mut looked_at = 0;
    for (module, code) in modules() {
        if !["wasm", "archives"].contains(&module.split("::").next().unwrap()) {
            continue;
        }
        looked_at += 1;
        let found = foreign.iter().find(|name| code.contains(*name));
        assert_eq!(found, None, "{module}");
        let rooms = [
            "guest",
            "native",
            "cargo",
            "inputs",
            "packages",
            "store::files",
        ];
        for path in paths(&code) {
            let found = rooms.iter().find(|room| path.starts_with(*room));
            assert_eq!(found, None, "{module} takes `{path}`");
        }
    }
    assert!(looked_at > 8, "{looked_at} modules");
}

/// `src/fuzz.rs` is the root of another crate, which only `.ci/fuzz` compiles.
#[test]
fn fuzzing_has_every_file_that_its_files_take_from() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fuzz.rs");
    let (mut listed, mut folder) = (Vec::new(), String::new());
    for line in std::fs::read_to_string(root).unwrap().lines() {
        let Some((_, name)) = line.split_once("mod ") else {
            folder = if line == "}" { String::new() } else { folder };
            continue;
        };
        if let Some(name) = name.strip_suffix(" {") {
            folder = format!("{name}::");
        } else if let Some(name) = name.strip_suffix(';') {
            listed.push(format!("{folder}{name}"));
        }
    }
    assert!(listed.len() > 10, "{listed:?}");

    let has = |module: &str| {
        let mut listed = listed.iter();
        listed.any(|name| module == name || module.starts_with(&format!("{name}::")))
    };
    for (module, others) in arrows(&modules()) {
        let missing = others.iter().find(|other| has(&module) && !has(other));
        assert_eq!(missing, None, "{module} takes it; add it to src/fuzz.rs");
    }
}

#[test]
fn only_what_is_declared_for_tests_is_left_out() {
    let text = "#[cfg(test)]\nmod a;\nmod b;\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(test_modules("x::y", text), ["x::y::a"]);
    assert_eq!(test_modules("lib", text), ["a"]);
    let modules = modules();
    // Of the same name, one for tests and one not.
    assert!(modules.contains_key("archives::record"));
    for tests in ["wasm::bodies::record", "wasm::fuse::tests", "testing"] {
        assert!(!modules.contains_key(tests), "{tests}");
    }
}

#[test]
fn the_reader_of_paths_reads_them() {
    let code =
        "use crate::a::{self, B, c::D};\nuse crate::e::F;\nlet x = crate::g::h(1);\nmy_crate::x";
    assert_eq!(paths(code), ["a::self", "a::B", "a::c::D", "e::F", "g::h"]);
}

/// `.ci/run` compares the Rust that compiles all this with the one in the first of these.
#[test]
fn both_published_crates_have_one_version_and_one_oldest_rust() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = |file: &str, key: &str| -> Vec<String> {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(key));
        lines.map(str::to_owned).collect()
    };
    for key in ["version", "rust-version"] {
        let shared = format!("{key}.workspace = true");
        let host = lines("host/Cargo.toml", key);
        assert_eq!(host, std::slice::from_ref(&shared));
        let all = lines("Cargo.toml", key);
        assert!(all.len() == 2 && all[1] == shared, "{all:?}");
        let number = all[0].split('"').nth(1).unwrap();
        let documents = match key {
            "version" => ["CHANGELOG.md", "host/CHANGELOG.md"],
            _ => ["CONTRIBUTING.md", "docs/configuration.md"],
        };
        for document in documents {
            let text = std::fs::read_to_string(root.join(document)).unwrap();
            assert!(text.contains(number), "{document} does not say {number}");
        }
    }
}
