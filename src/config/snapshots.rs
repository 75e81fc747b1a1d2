//! `snapshots`: tables that inherit from the block, one for each further snapshot.

use super::problems::Problems;
use super::rules::windows_device;
use super::{BLOCK, Config, KEYS, SNAPSHOTS};
use crate::error::Error;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The further snapshots, by their names.
pub(crate) type Snapshots = BTreeMap<String, Config>;

/// What is the same for all snapshots of a package, and why.
const SHARED: &[(&str, &str)] = &[
    ("output", "the name of the table names the file"),
    (
        "cache-dir",
        "all snapshots share one cache: set it in the block",
    ),
    (
        "cache-size",
        "all snapshots share one cache: set it in the block",
    ),
    (SNAPSHOTS, "a snapshot has no snapshots of its own"),
];
const NAME_BYTES_MAX: usize = 100;
/// The prefix of the variables that the first output of a build script sets.
const PYTHON: &str = "ERYX_PYTHON_";

/// What the names of an output's variables start with.
pub(crate) fn variable_prefix(output: &str) -> String {
    let letters = output.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    format!("ERYX_{}_", letters.collect::<String>())
}

/// Reads the tables, each on top of `block`, whose own output is `output`.
pub(super) fn read(
    block: &Map<String, Value>,
    dir: &Path,
    output: &str,
    problems: &mut Problems<'_>,
) -> Snapshots {
    let tables = match block.get(SNAPSHOTS) {
        None => return Snapshots::new(),
        Some(Value::Object(tables)) => tables,
        Some(other) => {
            let expected = format!("tables such as [{BLOCK}.snapshots.web]");
            problems.expected(SNAPSHOTS, &expected, other, None);
            return Snapshots::new();
        }
    };
    check_names(tables.keys(), output, problems);
    // By name, whatever features of serde_json other crates turn on.
    let tables: BTreeMap<_, _> = tables.iter().collect();
    let mut snapshots = Snapshots::new();
    for (name, table) in tables {
        let Value::Object(own) = table else {
            problems.within(name, None, |problems| {
                problems.expected("", "a table", table, None);
            });
            continue;
        };
        problems.within(name, None, |problems| check_keys(own, problems));
        let merged = merged(block, own);
        let config = problems.within(name, Some(own), |problems| {
            Config::read(&merged, dir, problems)
        });
        snapshots.insert(name.clone(), config);
    }
    snapshots
}

/// The block's keys, with those of the table in their place.
fn merged(block: &Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = block.clone();
    for key in SHARED.iter().map(|(key, _)| *key) {
        merged.remove(key);
    }
    // They exclude each other.
    if own.contains_key("setup") || own.contains_key("setup-code") {
        merged.remove("setup");
        merged.remove("setup-code");
    }
    let shared = |key: &str| SHARED.iter().any(|(shared, _)| *shared == key);
    let own = own.iter().filter(|(key, _)| !shared(key));
    merged.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    merged
}

fn check_keys(own: &Map<String, Value>, problems: &mut Problems<'_>) {
    let shared = |key: &str| SHARED.iter().find(|(shared, _)| *shared == key);
    let known: Vec<&str> = KEYS
        .iter()
        .copied()
        .filter(|key| shared(key).is_none())
        .collect();
    let rest = own.iter().filter(|(key, _)| shared(key).is_none());
    let rest = rest.map(|(key, value)| (key.clone(), value.clone()));
    problems.unknown_keys("", &rest.collect(), &known);
    for (key, why) in SHARED.iter().filter(|(key, _)| own.contains_key(*key)) {
        problems.add(key, format!("cannot differ between snapshots: {why}"));
    }
}

/// Checks the names of snapshots that are written beside `output`.
pub(super) fn check_names<'a>(
    names: impl Iterator<Item = &'a String>,
    output: &str,
    problems: &mut Problems<'_>,
) {
    let stem = output.strip_suffix(".wasm").unwrap_or(output);
    let mut names: Vec<&String> = names.collect();
    names.sort_unstable();
    let mut seen = BTreeMap::new();
    for name in names {
        let prefix = variable_prefix(name);
        let problem = if let Some(problem) = name_problem(name) {
            Some(problem)
        } else if prefix == PYTHON {
            Some("this name is the block's: its keys stand in the block itself".to_owned())
        } else if prefix == variable_prefix(stem) {
            Some(format!(
                "the block's own `output` is \"{output}\"; choose another name"
            ))
        } else {
            let same = seen.insert(prefix.clone(), name);
            same.map(|same| {
                format!("its variables are those of `{same}`, {prefix}WASM; choose another name")
            })
        };
        problems.within(name, None, |problems| problems.add_if("", problem));
    }
}

fn name_problem(name: &str) -> Option<String> {
    let letter = |c: char| c.is_ascii_alphanumeric();
    let valid = name.starts_with(letter) && name.chars().all(|c| letter(c) || "-_".contains(c));
    if !valid {
        let rule = "a name consists of ASCII letters, digits, `-` and `_`, and starts with a \
                    letter or digit";
        return Some(format!("{rule}: it names files and variables"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Some(format!("a name has at most {NAME_BYTES_MAX} letters"));
    }
    windows_device(name).map(|device| format!("Windows reserves the name `{device}`"))
}

/// Checks what is set in Rust: the names, and each snapshot's values.
///
/// # Errors
/// [`Stage::Config`](crate::error::Stage::Config), with a note for every problem.
pub(crate) fn check(snapshots: &Snapshots, output: &str) -> Result<(), Error> {
    let mut problems = Problems::new(None);
    check_names(snapshots.keys(), output, &mut problems);
    problems.finish()?;
    for (name, config) in snapshots {
        config.check_as(Some(name))?;
    }
    Ok(())
}
