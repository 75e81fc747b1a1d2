//! What is wrong with a configuration, collected, so that all of it is reported at
//! once.

use super::BLOCK;
use super::suggest::nearest;
use super::text::{clip, found, listed, toml_key};
use crate::error::{Error, Report, Stage};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::path::{Path, PathBuf};

/// The problems found so far, and where they were looked for.
pub(super) struct Problems<'a> {
    /// Where the values come from; `None` for the `Builder`.
    manifest: Option<&'a Path>,
    /// The table in `snapshots` that is read.
    snapshot: Option<Snapshot>,
    notes: Vec<String>,
}

struct Snapshot {
    name: String,
    /// The keys that it has itself; what is wrong with others is said of the block.
    own: Option<Vec<String>>,
}

impl<'a> Problems<'a> {
    pub(super) fn new(manifest: Option<&'a Path>) -> Self {
        Self {
            manifest,
            snapshot: None,
            notes: Vec::new(),
        }
    }

    /// For the snapshot `name`, where there is one.
    pub(super) fn of(manifest: Option<&'a Path>, name: Option<&str>) -> Self {
        let name = name.map(str::to_owned);
        Self {
            snapshot: name.map(|name| Snapshot { name, own: None }),
            ..Self::new(manifest)
        }
    }

    /// Has `read` read the table `name` of `snapshots`, which has the keys `own` itself.
    pub(super) fn within<T>(
        &mut self,
        name: &str,
        own: Option<&Map<String, Value>>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let own = own.map(|table| table.keys().cloned().collect());
        let name = name.to_owned();
        let before = self.snapshot.replace(Snapshot { name, own });
        let result = read(self);
        self.snapshot = before;
        result
    }

    pub(super) fn add(&mut self, key: &str, problem: impl Display) {
        let mut path = Vec::new();
        path.extend(self.manifest.map(|_| BLOCK.to_owned()));
        if let Some(Snapshot { name, own }) = &self.snapshot {
            let first = key.split(['.', '[']).next().unwrap_or_default();
            if own
                .as_ref()
                .is_some_and(|own| !own.iter().any(|k| k == first))
            {
                return;
            }
            path.push(format!("snapshots.{}", clip(&toml_key(name))));
        }
        if !key.is_empty() {
            path.push(key.to_owned());
        }
        self.notes.push(format!("{}: {problem}", path.join(".")));
    }

    pub(super) fn add_if(&mut self, key: &str, problem: Option<String>) {
        if let Some(problem) = problem {
            self.add(key, problem);
        }
    }

    pub(super) fn expected(&mut self, key: &str, what: &str, value: &Value, hint: Option<String>) {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        self.add(key, format!("expected {what}, {}{hint}", found(value)));
    }

    pub(super) fn unknown_keys(
        &mut self,
        parent: &str,
        table: &Map<String, Value>,
        known: &[&str],
    ) {
        let mut unknown: Vec<&str> = table
            .keys()
            .map(String::as_str)
            .filter(|key| !known.contains(key))
            .collect();
        // serde_json's `preserve_order`, if another crate turns it on, must not
        // change a report.
        unknown.sort_unstable();
        for key in unknown {
            let hyphenated = key.replace('_', "-");
            let problem = if known.contains(&hyphenated.as_str()) {
                format!("unknown key; keys are written with `-`: `{hyphenated}`")
            } else if let Some(near) = nearest(&hyphenated, known.iter().copied()) {
                format!("unknown key; did you mean `{near}`?")
            } else {
                format!("unknown key; the keys are {}", listed(known))
            };
            let dot = if parent.is_empty() { "" } else { "." };
            self.add(&format!("{parent}{dot}{}", toml_key(key)), problem);
        }
    }

    pub(super) fn finish(self) -> Result<(), Error> {
        if self.notes.is_empty() {
            Ok(())
        } else {
            Err(self.into_error())
        }
    }

    pub(super) fn into_error(self) -> Error {
        let count = match self.notes.len() {
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        };
        let place = match self.manifest {
            Some(manifest) => format!("[{BLOCK}] of {}", manifest.display()),
            None => "the configuration".to_owned(),
        };
        let report = Report::new(format!("{count} in {place}"));
        Stage::Config.error(self.notes.into_iter().fold(report, Report::note))
    }
}

/// What was seen before, with its key, to name both places of a repetition.
pub(super) struct Seen<T>(HashMap<T, String>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq> Seen<T> {
    /// Whether `value` is new; if it is not, that is a problem.
    pub(super) fn check(
        &mut self,
        problems: &mut Problems<'_>,
        key: String,
        value: T,
        show: impl Fn(&T) -> String,
    ) -> bool {
        if let Some(first) = self.0.get(&value) {
            problems.add(&key, format!("{} repeats {first}", show(&value)));
            return false;
        }
        self.0.insert(value, key);
        true
    }
}

#[derive(Default)]
pub(super) struct SeenExtensions {
    pub(super) paths: Seen<PathBuf>,
    pub(super) modules: Seen<String>,
}
