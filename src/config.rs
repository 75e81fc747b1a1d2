//! The `[package.metadata.eryx]` block: its schema, its defaults and its rules.
//!
//! Cargo does not look inside `[package.metadata]`, so a misspelt key or a wrong
//! type would go unnoticed unless it is found here. Every problem of a block is
//! reported at once, each with the path of its TOML key: a build script that has
//! to be run again for every typing mistake is slow to set right.
//!
//! Values set through the [`Builder`](crate::Builder) pass the same checks.

use crate::Error;
use crate::error::Report;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::fs;
use std::hash::Hash;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Less than CPython's own start-up needs with a few imports on top.
const MEMORY_MIN: u64 = 64 * MIB;
/// The address space of wasm32.
const MEMORY_MAX: u64 = 4 * GIB;
/// Room for one snapshot: a smaller cache would throw away what it just stored.
const CACHE_MIN: u64 = 64 * MIB;
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const MODULE_CHARS_MAX: usize = 255;
/// What the usual file systems allow.
const FILE_NAME_BYTES_MAX: usize = 255;
/// Longer values are cut when quoted in a report.
const SHOWN_CHARS_MAX: usize = 60;

const BLOCK: &str = "package.metadata.eryx";
const KEYS: &[&str] = &[
    "imports",
    "extensions",
    "runtime",
    "stdlib",
    "site-packages",
    "engine",
    "strip",
    "verify",
    "output",
    "timeout",
    "memory-limit",
    "cache-dir",
    "cache-size",
    "warn-unoptimized",
    "summary",
];
const EXTENSION_KEYS: &[&str] = &["path", "module"];
/// Python 3's hard keywords. Soft ones (`match`, `type`, …) are valid names.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// What to build, and how: the `[package.metadata.eryx]` block of the crate
/// whose build script runs.
///
/// In the block, keys are written with `-` where the fields here have `_`, and
/// relative paths start at the folder of its `Cargo.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// `imports`: the modules to import before the snapshot is taken, in this
    /// order, as dotted Python names. Default: none.
    ///
    /// A name is taken as it is written. Python's `import` statement applies
    /// Unicode NFKC to names, this does not, and which non-ASCII characters a
    /// name may have is decided by [`char::is_alphabetic`] and
    /// [`char::is_alphanumeric`], which is nearly Python's rule.
    pub imports: Vec<String>,
    /// `extensions`: native extension modules to link in, each written as
    /// `"path.so"` or `{ path = "path.so", module = "pkg._core" }`.
    /// Default: none. This version checks the entries but links none, and refuses
    /// a list that is not empty.
    pub extensions: Vec<Extension>,
    /// `runtime`: the folder of an unpacked `eryx-runtime` package, with `libs/`
    /// and `prebuilt/` in it. Default: the package in the dependency graph.
    pub runtime: Option<PathBuf>,
    /// `stdlib`: the Python standard library, either the unpacked folder (with
    /// `os.py` and `encodings/` in it) or a `.tar.zst` archive of it.
    /// Default: the archive in the `eryx` package of the dependency graph; without
    /// one, CPython 3.14.0's, which this crate carries.
    pub stdlib: Option<PathBuf>,
    /// `site-packages`: a folder of third-party Python modules. Default: none.
    pub site_packages: Option<PathBuf>,
    /// `engine`: the compiler for the code that runs at build time, `"auto"`,
    /// `"winch"` or `"cranelift"`. Default: `"auto"`.
    pub engine: EngineChoice,
    /// `strip`: drop debug information and names from the libraries before they
    /// are linked. Default: `true`.
    pub strip: bool,
    /// `verify`: load the first snapshot of each linked component and run `pass` in
    /// it. Validation is not optional. Default: `true`.
    pub verify: bool,
    /// `output`: the file name of the result inside `OUT_DIR`. A bare name that
    /// ends in `.wasm` and is valid on every system. Default: `"python.wasm"`.
    pub output: String,
    /// `timeout`: how long Python's start-up, and then each import, may run at
    /// build time, written as `"500ms"`,
    /// `"60s"`, `"2m"` or `"1h"`; more than 0, at most 24 hours.
    /// Default: 60 seconds.
    pub timeout: Duration,
    /// `memory-limit`: how much linear memory Python may use at build time, in
    /// bytes, from 64 MiB to 4 GiB. Written as an integer or as `"512MiB"`,
    /// `"1GiB"` (powers of 1024), `"512MB"`, `"1GB"` (powers of 1000).
    /// Default: 1 GiB.
    pub memory_limit: u64,
    /// `cache-dir`: the folder for results of earlier builds, to share between
    /// projects; created if it does not exist. The variable
    /// `ERYX_PREINIT_CACHE_DIR` goes before it. Default: below `OUT_DIR`.
    pub cache_dir: Option<PathBuf>,
    /// `cache-size`: how large the cache may grow, in bytes, at least 64 MiB.
    /// Written like `memory-limit`. Default: 1 GiB.
    pub cache_size: u64,
    /// `warn-unoptimized`: warn when this crate is compiled without optimisation
    /// and that made a build slow. Default: `true`.
    pub warn_unoptimized: bool,
    /// `summary`: print one `cargo::warning` line that says what was built and
    /// how long it took. Default: `false`.
    pub summary: bool,
}

/// A native extension module, an entry of [`Config::extensions`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// `path`: the shared library, built for WASI.
    pub path: PathBuf,
    /// `module`: the dotted name to import it under. Default: `None`, the name
    /// is worked out from the file.
    pub module: Option<String>,
}

impl Extension {
    /// The extension at `path`, with its module name left to be worked out.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            module: None,
        }
    }
}

/// The compiler for the code that runs at build time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineChoice {
    /// `"auto"`: Winch where the host has it, with Cranelift behind it (the
    /// default).
    #[default]
    Auto,
    /// `"winch"`: compiles fast, to slower code; not available on every host.
    Winch,
    /// `"cranelift"`: compiles slower, to faster code.
    Cranelift,
}

impl EngineChoice {
    const ALL: [Self; 3] = [Self::Auto, Self::Winch, Self::Cranelift];

    /// The name as it is written in the block.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Winch => "winch",
            Self::Cranelift => "cranelift",
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            imports: Vec::new(),
            extensions: Vec::new(),
            runtime: None,
            stdlib: None,
            site_packages: None,
            engine: EngineChoice::Auto,
            strip: true,
            verify: true,
            output: "python.wasm".to_owned(),
            timeout: Duration::from_secs(60),
            memory_limit: GIB,
            cache_dir: None,
            cache_size: GIB,
            warn_unoptimized: true,
            summary: false,
        }
    }
}

impl Config {
    /// Reads the `[package.metadata.eryx]` block of the `Cargo.toml` at
    /// `manifest`, as `cargo metadata` gives it. No block (or `null`) gives the
    /// defaults.
    ///
    /// Touches no file system: see [`Config::check_paths`] for that part.
    pub(crate) fn from_metadata(block: Option<&Value>, manifest: &Path) -> Result<Self, Error> {
        let mut problems = Problems::new(Some(manifest));
        let table = match block {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(table)) => table,
            Some(other) => {
                let hint = match other {
                    Value::Array(_) => format!("; write [{BLOCK}] in single brackets"),
                    _ => String::new(),
                };
                problems.add("", format!("expected a table, {}{hint}", found(other)));
                return Err(problems.into_error());
            }
        };
        problems.unknown_keys("", table, KEYS);
        let mut fields = Fields {
            table,
            // A manifest without a folder is one in the current folder.
            dir: manifest.parent().unwrap_or(Path::new("")),
            problems: &mut problems,
        };
        let default = Self::default();
        let config = Self {
            imports: fields.imports(),
            extensions: fields.extensions(),
            runtime: fields.path("runtime"),
            stdlib: fields.path("stdlib"),
            site_packages: fields.path("site-packages"),
            engine: fields.engine(),
            strip: fields.boolean("strip", default.strip),
            verify: fields.boolean("verify", default.verify),
            output: fields.output(default.output),
            timeout: fields.timeout(default.timeout),
            memory_limit: fields.size("memory-limit", default.memory_limit, check_memory_limit),
            cache_dir: fields.path("cache-dir"),
            cache_size: fields.size("cache-size", default.cache_size, check_cache_size),
            warn_unoptimized: fields.boolean("warn-unoptimized", default.warn_unoptimized),
            summary: fields.boolean("summary", default.summary),
        };
        problems.finish()?;
        Ok(config)
    }

    /// Checks the values against the rules stated at each field, as they are
    /// checked when they come from `Cargo.toml`. Touches no file system.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with a note for every problem, each beginning with the
    /// key as it is written in `Cargo.toml` (`imports[2]`, `memory-limit`).
    pub fn check(&self) -> Result<(), Error> {
        let mut problems = Problems::new(None);
        let mut seen = Seen::default();
        for (index, name) in self.imports.iter().enumerate() {
            check_import(&mut problems, &mut seen, index, name);
        }
        let mut seen = SeenExtensions::default();
        for (index, extension) in self.extensions.iter().enumerate() {
            let key = format!("extensions[{index}]");
            let path = format!("{key}.path");
            if check_path(&mut problems, &path, &extension.path.to_string_lossy()) {
                seen.paths
                    .check(&mut problems, path, extension.path.clone(), |path| {
                        show_path(path)
                    });
            }
            if let Some(module) = &extension.module {
                check_module(&mut problems, &mut seen.modules, &key, module);
            }
        }
        for (key, path) in [
            ("runtime", &self.runtime),
            ("stdlib", &self.stdlib),
            ("site-packages", &self.site_packages),
        ] {
            if let Some(path) = path {
                check_path(&mut problems, key, &path.to_string_lossy());
            }
        }
        check_output(&mut problems, &self.output);
        check_timeout(&mut problems, self.timeout);
        check_memory_limit(&mut problems, self.memory_limit);
        if let Some(path) = &self.cache_dir {
            check_path(&mut problems, "cache-dir", &path.to_string_lossy());
        }
        check_cache_size(&mut problems, self.cache_size);
        problems.finish()
    }

    /// Checks that the paths lead to what they should lead to.
    ///
    /// `manifest` is the `Cargo.toml` the values come from, or `None` if they
    /// come from the `Builder`: it decides how the keys are written.
    pub(crate) fn check_paths(&self, manifest: Option<&Path>) -> Result<(), Error> {
        let mut problems = Problems::new(manifest);
        for (index, extension) in self.extensions.iter().enumerate() {
            let problem = extension_path_problem(&without_trailing_slash(&extension.path));
            problems.add_if(&format!("extensions[{index}]"), problem);
        }
        type Check = fn(&Path) -> Option<String>;
        let checks: [(&str, &Option<PathBuf>, Check); 4] = [
            ("runtime", &self.runtime, runtime_path_problem),
            ("stdlib", &self.stdlib, stdlib_path_problem),
            (
                "site-packages",
                &self.site_packages,
                site_packages_path_problem,
            ),
            ("cache-dir", &self.cache_dir, cache_dir_problem),
        ];
        for (key, path, check) in checks {
            if let Some(path) = path {
                problems.add_if(key, check(&without_trailing_slash(path)));
            }
        }
        problems.finish()
    }
}

/// The candidate that `word` is most likely a misspelling of, if any is near:
/// at most one edit (insertion, deletion, replacement, swapped neighbours) for
/// every three characters, upper and lower case being the same. Of equally near
/// ones the first; `word` itself is never a suggestion.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .filter_map(|candidate| {
            let other: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            let limit = letters.len().max(other.len()) / 3;
            // The lengths alone rule most candidates out, cheaply.
            if letters.len().abs_diff(other.len()) > limit {
                return None;
            }
            let distance = distance(&letters, &other);
            (distance <= limit).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Damerau-Levenshtein distance (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The problems found so far, and where they were looked for.
struct Problems<'a> {
    /// Where the values come from; `None` for the `Builder`.
    manifest: Option<&'a Path>,
    notes: Vec<String>,
}

impl<'a> Problems<'a> {
    fn new(manifest: Option<&'a Path>) -> Self {
        Self {
            manifest,
            notes: Vec::new(),
        }
    }

    /// What every key path begins with.
    fn key_prefix(&self) -> &'static str {
        match self.manifest {
            Some(_) => BLOCK,
            None => "",
        }
    }

    fn add(&mut self, key: &str, problem: impl Display) {
        let prefix = self.key_prefix();
        let dot = if prefix.is_empty() || key.is_empty() {
            ""
        } else {
            "."
        };
        self.notes.push(format!("{prefix}{dot}{key}: {problem}"));
    }

    fn add_if(&mut self, key: &str, problem: Option<String>) {
        if let Some(problem) = problem {
            self.add(key, problem);
        }
    }

    fn expected(&mut self, key: &str, what: &str, value: &Value, hint: Option<String>) {
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        self.add(key, format!("expected {what}, {}{hint}", found(value)));
    }

    fn unknown_keys(&mut self, parent: &str, table: &Map<String, Value>, known: &[&str]) {
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

    fn finish(self) -> Result<(), Error> {
        if self.notes.is_empty() {
            Ok(())
        } else {
            Err(self.into_error())
        }
    }

    fn into_error(self) -> Error {
        let count = match self.notes.len() {
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        };
        let place = match self.manifest {
            Some(manifest) => format!("[{BLOCK}] of {}", manifest.display()),
            None => "the configuration".to_owned(),
        };
        let report = Report::new(format!("{count} in {place}"));
        Error::Config(self.notes.into_iter().fold(report, Report::note))
    }
}

/// What was seen before, with its key, to name both places of a repetition.
struct Seen<T>(HashMap<T, String>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq> Seen<T> {
    /// Whether `value` is new; if it is not, that is a problem.
    fn check(
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
struct SeenExtensions {
    paths: Seen<PathBuf>,
    modules: Seen<String>,
}

/// Reads the keys of the block. Each method reports what it finds wrong and
/// returns the default then: the result is not used once there is a problem.
struct Fields<'a, 'p> {
    table: &'a Map<String, Value>,
    dir: &'a Path,
    problems: &'a mut Problems<'p>,
}

impl Fields<'_, '_> {
    fn imports(&mut self) -> Vec<String> {
        let items = match self.table.get("imports") {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let hint = other.as_str().and_then(|text| {
                    let names: Vec<&str> = text
                        .split(|c: char| c == ',' || c.is_whitespace())
                        .filter(|name| !name.is_empty())
                        .collect();
                    let valid = !names.is_empty()
                        && names.iter().all(|name| module_problem(name).is_none());
                    valid.then(|| format!("write imports = [\"{}\"]", names.join("\", \"")))
                });
                self.problems
                    .expected("imports", "an array of strings", other, hint);
                return Vec::new();
            }
        };
        let mut imports = Vec::new();
        let mut seen = Seen::default();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(name) => {
                    if check_import(self.problems, &mut seen, index, name) {
                        imports.push(name.clone());
                    }
                }
                other => self.problems.expected(
                    &format!("imports[{index}]"),
                    "a string with the name of a Python module",
                    other,
                    None,
                ),
            }
        }
        imports
    }

    fn extensions(&mut self) -> Vec<Extension> {
        let items = match self.table.get("extensions") {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let hint = match other {
                    Value::String(_) | Value::Object(_) => {
                        let text = toml(other);
                        // A value that had to be cut is no example.
                        (clip(&text) == text).then(|| format!("write extensions = [{text}]"))
                    }
                    _ => None,
                };
                self.problems
                    .expected("extensions", "an array of strings or tables", other, hint);
                return Vec::new();
            }
        };
        let mut seen = SeenExtensions::default();
        items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                self.extension(&format!("extensions[{index}]"), item, &mut seen)
            })
            .collect()
    }

    fn extension(
        &mut self,
        key: &str,
        item: &Value,
        seen: &mut SeenExtensions,
    ) -> Option<Extension> {
        let table = match item {
            Value::String(path) => {
                let path = self.extension_path(key, path, seen)?;
                return Some(Extension::new(path));
            }
            Value::Object(table) => table,
            other => {
                let expected =
                    "a string or a table like { path = \"core.so\", module = \"pkg._core\" }";
                self.problems.expected(key, expected, other, None);
                return None;
            }
        };
        self.problems.unknown_keys(key, table, EXTENSION_KEYS);
        let path = match table.get("path") {
            None => {
                self.problems.add(key, "the table has no `path`");
                None
            }
            Some(Value::String(path)) => self.extension_path(&format!("{key}.path"), path, seen),
            Some(other) => {
                self.problems
                    .expected(&format!("{key}.path"), "a string", other, None);
                None
            }
        };
        let module = match table.get("module") {
            None => None,
            Some(Value::String(module)) => {
                check_module(self.problems, &mut seen.modules, key, module);
                Some(module.clone())
            }
            Some(other) => {
                self.problems.expected(
                    &format!("{key}.module"),
                    "a string with the name of a Python module",
                    other,
                    None,
                );
                None
            }
        };
        Some(Extension {
            module,
            ..Extension::new(path?)
        })
    }

    fn extension_path(
        &mut self,
        key: &str,
        text: &str,
        seen: &mut SeenExtensions,
    ) -> Option<PathBuf> {
        let valid = check_path(self.problems, key, text);
        let path = self.dir.join(text);
        (valid
            && seen
                .paths
                .check(self.problems, key.to_owned(), path.clone(), |_| show(text)))
        .then_some(path)
    }

    fn path(&mut self, key: &str) -> Option<PathBuf> {
        match self.table.get(key)? {
            Value::String(text) => {
                check_path(self.problems, key, text).then(|| self.dir.join(text))
            }
            other => {
                self.problems
                    .expected(key, "a string with a path", other, None);
                None
            }
        }
    }

    fn boolean(&mut self, key: &str, default: bool) -> bool {
        match self.table.get(key) {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                let hint = other
                    .as_str()
                    .map(str::to_ascii_lowercase)
                    .filter(|text| text == "true" || text == "false")
                    .map(|text| format!("write {key} = {text}"));
                self.problems.expected(key, "true or false", other, hint);
                default
            }
        }
    }

    fn engine(&mut self) -> EngineChoice {
        let key = "engine";
        let expected = "\"auto\", \"winch\" or \"cranelift\"";
        let Some(value) = self.table.get(key) else {
            return EngineChoice::default();
        };
        let Some(text) = value.as_str() else {
            self.problems.expected(key, expected, value, None);
            return EngineChoice::default();
        };
        let known = EngineChoice::ALL
            .into_iter()
            .find(|engine| engine.name() == text);
        known.unwrap_or_else(|| {
            let hint = nearest(text, EngineChoice::ALL.map(EngineChoice::name))
                .map(|near| format!("did you mean \"{near}\"?"));
            self.problems.expected(key, expected, value, hint);
            EngineChoice::default()
        })
    }

    fn output(&mut self, default: String) -> String {
        match self.table.get("output") {
            None => default,
            Some(Value::String(name)) => {
                check_output(self.problems, name);
                name.clone()
            }
            Some(other) => {
                self.problems
                    .expected("output", "a string with a file name", other, None);
                default
            }
        }
    }

    fn timeout(&mut self, default: Duration) -> Duration {
        let key = "timeout";
        match self.table.get(key) {
            None => default,
            Some(Value::String(text)) => match parse_duration(text) {
                Ok(timeout) => {
                    check_timeout(self.problems, timeout);
                    timeout
                }
                Err(problem) => {
                    self.problems.add(key, problem);
                    default
                }
            },
            Some(other) => {
                let hint = other.as_u64().map(|number| {
                    let number = if number == 0 { 60 } else { number };
                    format!("give the unit: {key} = \"{number}s\"")
                });
                self.problems
                    .expected(key, "a duration such as \"60s\"", other, hint);
                default
            }
        }
    }

    fn size(&mut self, key: &str, default: u64, check: fn(&mut Problems<'_>, u64)) -> u64 {
        let size = match self.table.get(key) {
            None => return default,
            Some(Value::String(text)) => parse_size(key, text).map_err(Some),
            Some(other) => other.as_u64().ok_or_else(|| {
                let expected = "a size such as \"1GiB\" or a number of bytes";
                self.problems.expected(key, expected, other, None);
                None
            }),
        };
        match size {
            Ok(size) => {
                check(self.problems, size);
                size
            }
            Err(problem) => {
                self.problems.add_if(key, problem);
                default
            }
        }
    }
}

fn check_import(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    index: usize,
    name: &str,
) -> bool {
    check_name(problems, seen, format!("imports[{index}]"), name)
}

fn check_module(problems: &mut Problems<'_>, seen: &mut Seen<String>, key: &str, module: &str) {
    check_name(problems, seen, format!("{key}.module"), module);
}

fn check_name(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    key: String,
    name: &str,
) -> bool {
    match module_problem(name) {
        Some(problem) => {
            problems.add(&key, problem);
            false
        }
        None => seen.check(problems, key, name.to_owned(), |name| show(name)),
    }
}

fn check_path(problems: &mut Problems<'_>, key: &str, path: &str) -> bool {
    let problem = if path.is_empty() {
        "the path is empty".to_owned()
    } else if path.contains('\0') {
        format!("{} holds a NUL character", show(path))
    } else if path.contains(['\n', '\r']) {
        // What a build script tells Cargo ends at a line break.
        format!(
            "{} holds a line break, which Cargo cannot be told",
            show(path)
        )
    } else {
        return true;
    };
    problems.add(key, problem);
    false
}

fn check_output(problems: &mut Problems<'_>, name: &str) {
    let mut reasons = Vec::new();
    if name.contains(['/', '\\']) {
        reasons.push("it must be a bare name without a path separator".to_owned());
    } else if name.starts_with('.') {
        reasons.push("it must not start with `.`".to_owned());
    }
    if name.chars().any(char::is_control) {
        reasons.push("it must not hold line breaks or other control characters".to_owned());
    }
    if let Some(c) = name.chars().find(|c| r#"<>:"|?*"#.contains(*c)) {
        reasons.push(format!("Windows does not allow `{c}` in a name"));
    }
    if let Some(device) = windows_device(name) {
        reasons.push(format!("Windows reserves the name `{device}`"));
    }
    if name.len() > FILE_NAME_BYTES_MAX {
        reasons.push(format!(
            "it has {} bytes, and {FILE_NAME_BYTES_MAX} are allowed",
            name.len()
        ));
    }
    if !name.ends_with(".wasm") {
        reasons.push("it must end in `.wasm`".to_owned());
    }
    if name.is_empty() {
        problems.add("output", "the file name is empty");
    } else if !reasons.is_empty() {
        problems.add(
            "output",
            format!(
                "{} is not a usable file name: {}",
                show(name),
                reasons.join("; ")
            ),
        );
    }
}

/// The device that `name` means on Windows, whatever its extension.
fn windows_device(name: &str) -> Option<String> {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    let device = stem.to_ascii_uppercase();
    let numbered = ["COM", "LPT"].iter().any(|prefix| {
        device.strip_prefix(prefix).is_some_and(|number| {
            let mut chars = number.chars();
            chars.next().is_some_and(|c| "123456789¹²³".contains(c)) && chars.next().is_none()
        })
    });
    let named = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&device.as_str());
    (numbered || named).then_some(device)
}

fn check_timeout(problems: &mut Problems<'_>, timeout: Duration) {
    if timeout.is_zero() {
        problems.add(
            "timeout",
            "a timeout of 0 would stop Python before it starts",
        );
    } else if timeout > TIMEOUT_MAX {
        problems.add(
            "timeout",
            format!("{timeout:?} is longer than the maximum of 24h"),
        );
    }
}

fn check_memory_limit(problems: &mut Problems<'_>, size: u64) {
    if size > MEMORY_MAX {
        problems.add(
            "memory-limit",
            format!(
                "{} is more than the {} a 32-bit WebAssembly memory can have",
                size_text(size),
                size_text(MEMORY_MAX)
            ),
        );
    }
    check_size_min(problems, "memory-limit", size, MEMORY_MIN);
}

fn check_cache_size(problems: &mut Problems<'_>, size: u64) {
    check_size_min(problems, "cache-size", size, CACHE_MIN);
}

fn check_size_min(problems: &mut Problems<'_>, key: &str, size: u64, min: u64) {
    if size < min {
        // So small a number was most likely meant in another unit.
        let hint = if 0 < size && size < 64 * KIB {
            " (a number without a unit counts bytes)"
        } else {
            ""
        };
        problems.add(
            key,
            format!(
                "{} is less than the minimum of {}{hint}",
                size_text(size),
                size_text(min)
            ),
        );
    }
}

/// Why `name` cannot be imported, if it cannot. What passes is safe to write
/// into Python source as it is.
fn module_problem(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the module name is empty".to_owned());
    }
    let shown = show(name);
    let length = name.chars().count();
    if length > MODULE_CHARS_MAX {
        return Some(format!(
            "{shown} is too long: {length} characters, and {MODULE_CHARS_MAX} are allowed"
        ));
    }
    if name == "__main__" {
        return Some(format!(
            "{shown} cannot be imported ahead of time: it is the program that runs later"
        ));
    }
    let trimmed = name.trim();
    if trimmed != name && is_dotted_name(trimmed) {
        return Some(format!(
            "{shown} has whitespace around the name; write \"{trimmed}\""
        ));
    }
    if !is_dotted_name(name) {
        return Some(format!(
            "{shown} is not a Python module name (parts separated by `.`, each made of letters, \
             digits and `_` and not starting with a digit){}",
            module_hint(name)
        ));
    }
    let keyword = name.split('.').find(|part| KEYWORDS.contains(part))?;
    Some(if keyword == name {
        format!("{shown} is not a Python module name: it is a keyword")
    } else {
        format!("{shown} is not a Python module name: `{keyword}` is a keyword")
    })
}

/// What was probably meant by `name`, which is not a dotted name.
fn module_hint(name: &str) -> String {
    let name = name.trim();
    let underscored = name.replace('-', "_");
    let dotted = name
        .strip_suffix(".py")
        .unwrap_or(name)
        .replace(['/', '\\'], ".");
    let words: Vec<&str> = name
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    if let ["import" | "from", module, ..] = words[..]
        && is_dotted_name(module)
    {
        format!("; write only the name: \"{module}\"")
    } else if name.starts_with('.') && is_dotted_name(name.trim_start_matches('.')) {
        "; relative names have no meaning here, write the full one".to_owned()
    } else if name.contains('-') && is_dotted_name(&underscored) {
        format!("; write it as in the import statement, perhaps \"{underscored}\"")
    } else if name.contains(['/', '\\']) && is_dotted_name(&dotted) {
        format!("; write \"{dotted}\"")
    } else if words.len() > 1 && words.iter().all(|word| is_dotted_name(word)) {
        format!("; write one string for each: \"{}\"", words.join("\", \""))
    } else {
        String::new()
    }
}

fn is_dotted_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
            && chars.all(|c| c == '_' || c.is_alphanumeric())
    })
}

/// The digits at the start of `text` and what follows them; `None` without
/// digits.
fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let Some((number, millis)) = number_and_unit(text).and_then(|(number, unit)| {
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        Some((number, millis))
    }) else {
        return Err(format!(
            "{} is not a duration (a whole number and `ms`, `s`, `m` or `h`){}",
            show(text),
            duration_hint(text)
        ));
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{} is longer than the maximum of 24h", show(text)))
}

fn duration_hint(text: &str) -> String {
    let text = without_spaces(text).to_lowercase();
    let Some((number, unit)) = number_and_unit(&text) else {
        return String::new();
    };
    let unit = match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        _ => return "; for example \"90s\"".to_owned(),
    };
    format!("; write {}", clip(&format!("\"{number}{unit}\"")))
}

fn parse_size(key: &str, text: &str) -> Result<u64, String> {
    let Some((number, factor)) = number_and_unit(text).and_then(|(number, unit)| {
        let factor = match unit {
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            "TiB" => TIB,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return None,
        };
        Some((number, factor))
    }) else {
        return Err(format!(
            "{} is not a size (a whole number and `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`){}",
            show(text),
            size_hint(key, text)
        ));
    };
    number
        .parse()
        .ok()
        .and_then(|number: u64| number.checked_mul(factor))
        .ok_or_else(|| format!("{} is more bytes than 64 bits can count", show(text)))
}

fn size_hint(key: &str, text: &str) -> String {
    let text = without_spaces(text).to_lowercase();
    let Some((number, unit)) = number_and_unit(&text) else {
        return String::new();
    };
    let unit = match unit {
        "" | "b" | "byte" | "bytes" => {
            let bytes = clip(&format!("{key} = {number}"));
            return format!("; write bytes without quotes: {bytes}");
        }
        "k" | "kib" => "KiB",
        "m" | "mib" => "MiB",
        "g" | "gib" => "GiB",
        "t" | "tib" => "TiB",
        "kb" => "kB",
        "mb" => "MB",
        "gb" => "GB",
        "tb" => "TB",
        _ => return "; for example \"512MiB\"".to_owned(),
    };
    format!("; write {}", clip(&format!("\"{number}{unit}\"")))
}

fn size_text(size: u64) -> String {
    for (factor, unit) in [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
        if size > 0 && size.is_multiple_of(factor) {
            return format!("{}{unit}", size / factor);
        }
    }
    match size {
        1 => "1 byte".to_owned(),
        _ => format!("{size} bytes"),
    }
}

/// "found the string "json"", for a value of the wrong type.
fn found(value: &Value) -> String {
    let shown = clip(&toml(value));
    match value {
        // TOML has no null: `cargo metadata` writes it for these numbers.
        Value::Null => "found null (which nan and inf become)".to_owned(),
        Value::Bool(_) => format!("found the boolean {shown}"),
        Value::Number(number) if number.is_f64() => format!("found the float {shown}"),
        Value::Number(_) => format!("found the integer {shown}"),
        Value::String(_) => format!("found the string {shown}"),
        Value::Array(_) => format!("found the array {shown}"),
        Value::Object(_) => format!("found the table {shown}"),
    }
}

/// `value` as it looks in a `Cargo.toml`, on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let mut entries: Vec<String> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", toml_key(key), toml(value)))
                .collect();
            entries.sort_unstable();
            format!("{{ {} }}", entries.join(", "))
        }
        // Strings, numbers and booleans look the same in JSON.
        scalar => scalar.to_string(),
    }
}

fn toml_key(key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare {
        clip(key)
    } else {
        clip(&Value::from(key).to_string())
    }
}

/// `text` in backticks, on one line.
fn show(text: &str) -> String {
    format!("`{}`", clip(text))
}

/// Not cut: a path is only of use as a whole.
fn show_path(path: &Path) -> String {
    format!("`{}`", printable(path.to_string_lossy().chars()))
}

fn clip(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown = printable(chars.by_ref().take(SHOWN_CHARS_MAX));
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// With invisible characters escaped: they may be what is wrong, and a line
/// break would break up the lines a build script prints.
fn printable(chars: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for c in chars {
        if c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() {
            text.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "{}", c.escape_debug());
        }
    }
    text
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// A file with a slash behind it would count as missing, not as a file.
fn without_trailing_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

fn extension_path_problem(path: &Path) -> Option<String> {
    match look(path, Some(Kind::File)) {
        Ok(Kind::File) => None,
        Ok(Kind::Folder) => Some(format!(
            "{} is a folder; expected the file of an extension module",
            show_path(path)
        )),
        Err(problem) => Some(problem),
    }
}

fn runtime_path_problem(path: &Path) -> Option<String> {
    let missing = |folder: &Path| -> Vec<&'static str> {
        ["libs", "prebuilt"]
            .into_iter()
            .filter(|name| !folder.join(name).is_dir())
            .collect()
    };
    match look(path, Some(Kind::Folder)) {
        Ok(Kind::Folder) => {
            let lacks: Vec<String> = missing(path)
                .iter()
                .map(|name| format!("no `{name}/`"))
                .collect();
            (!lacks.is_empty()).then(|| {
                format!(
                    "{} is not an unpacked eryx-runtime package: it holds {}{}",
                    show_path(path),
                    lacks.join(" and "),
                    one_level_off(path, |folder| missing(folder).is_empty())
                )
            })
        }
        Ok(Kind::File) => {
            let hint = if path.extension().is_some_and(|end| end == "crate") {
                "; unpack it first (`tar xzf`)"
            } else {
                ""
            };
            Some(format!(
                "{} is a file; expected the folder of an unpacked eryx-runtime package{hint}",
                show_path(path)
            ))
        }
        Err(problem) => Some(problem),
    }
}

fn stdlib_path_problem(path: &Path) -> Option<String> {
    let missing = |folder: &Path| -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !folder.join("os.py").is_file() {
            missing.push("no `os.py`");
        }
        if !folder.join("encodings").is_dir() {
            missing.push("no `encodings/`");
        }
        missing
    };
    match look(path, None) {
        Ok(Kind::Folder) => {
            let lacks = missing(path);
            (!lacks.is_empty()).then(|| {
                format!(
                    "{} is not the Python standard library: it holds {}{}",
                    show_path(path),
                    lacks.join(" and "),
                    one_level_off(path, |folder| missing(folder).is_empty())
                )
            })
        }
        Ok(Kind::File) => {
            let archive = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with(".tar.zst"));
            (!archive).then(|| {
                format!(
                    "{} is a file whose name does not end in `.tar.zst`; expected such an \
                     archive or the unpacked folder",
                    show_path(path)
                )
            })
        }
        Err(problem) => Some(problem),
    }
}

fn site_packages_path_problem(path: &Path) -> Option<String> {
    match look(path, Some(Kind::Folder)) {
        Ok(Kind::Folder) => None,
        Ok(Kind::File) => {
            let hint = if path.extension().is_some_and(|end| end == "whl") {
                "; unpack the wheel into one (`pip install --target`)"
            } else {
                ""
            };
            Some(format!(
                "{} is a file; expected a folder of Python modules{hint}",
                show_path(path)
            ))
        }
        Err(problem) => Some(problem),
    }
}

fn cache_dir_problem(path: &Path) -> Option<String> {
    // It may be missing, together with folders above it, but nothing on the way
    // to it may be a file.
    for folder in path.ancestors() {
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) if folder == path => {
                return Some(format!("{} is a file, not a folder", show_path(path)));
            }
            Ok(_) => {
                return Some(format!(
                    "{} cannot be created: {} is a file, not a folder",
                    show_path(path),
                    show_path(folder)
                ));
            }
            Err(error) if is_absent(&error) => {
                if fs::symlink_metadata(folder).is_ok() {
                    return Some(dangling(folder));
                }
            }
            Err(error) => return Some(unreadable(path, &error)),
        }
    }
    None
}

/// What `path` leads to, or why it leads nowhere.
fn look(path: &Path, want: Option<Kind>) -> Result<Kind, String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(Kind::Folder),
        Ok(found) if found.is_file() => Ok(Kind::File),
        Ok(_) => Err(format!(
            "{} is neither a file nor a folder",
            show_path(path)
        )),
        Err(error) if is_absent(&error) => Err(absent(path, want)),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", show_path(path))
}

fn dangling(link: &Path) -> String {
    format!(
        "{} is a symbolic link to something that does not exist",
        show_path(link)
    )
}

/// Which part of `path` is missing, and what may have been meant.
fn absent(path: &Path, want: Option<Kind>) -> String {
    let shown = show_path(path);
    for missing in path.ancestors() {
        if let Ok(found) = fs::symlink_metadata(missing) {
            return if found.is_symlink() {
                dangling(missing)
            } else if found.is_file() {
                // `file/../name` gets here.
                format!(
                    "{shown} does not exist: {} is a file, not a folder",
                    show_path(missing)
                )
            } else {
                format!("{shown} does not exist")
            };
        }
        let (Some(parent), Some(name)) = (missing.parent(), missing.file_name()) else {
            continue;
        };
        let folder = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return format!(
                    "{shown} does not exist: {} is a file, not a folder",
                    show_path(folder)
                );
            }
            Err(_) => continue,
        }
        let name = name.to_string_lossy();
        let want = if missing == path {
            want
        } else {
            Some(Kind::Folder)
        };
        let part = if missing == path {
            String::new()
        } else {
            format!(": {} holds no {}", show_path(folder), show(&name))
        };
        let siblings = names_in(folder, want);
        let hint = match nearest(&name, siblings.iter().map(String::as_str)) {
            _ if name == "~" || name.starts_with('$') => {
                "; `~` and variables are not expanded".to_owned()
            }
            Some(near) => format!("; did you mean {}?", show(near)),
            None => String::new(),
        };
        return format!("{shown} does not exist{part}{hint}");
    }
    format!("{shown} does not exist")
}

/// Sorted, so that a report does not depend on the file system's order.
fn names_in(folder: &Path, want: Option<Kind>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            entry.file_type().is_ok_and(|kind| {
                // A link may lead to either.
                kind.is_symlink()
                    || match want {
                        None => true,
                        Some(Kind::File) => kind.is_file(),
                        Some(Kind::Folder) => kind.is_dir(),
                    }
            })
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

/// A hint, if a folder inside `path` or the one around it is what was meant:
/// said, not used, because which one is meant is a guess.
fn one_level_off(path: &Path, fits: impl Fn(&Path) -> bool) -> String {
    let inside: Vec<PathBuf> = names_in(path, Some(Kind::Folder))
        .iter()
        .map(|name| path.join(name))
        .filter(|folder| fits(folder))
        .collect();
    match (&inside[..], path.parent()) {
        ([one], _) => format!("; did you mean {}?", show_path(one)),
        ([first, ..], _) => format!(
            "; {} folders in it are, for example {}",
            inside.len(),
            show_path(first)
        ),
        ([], Some(parent)) if fits(parent) => format!("; did you mean {}?", show_path(parent)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const MANIFEST: &str = "/m/Cargo.toml";

    fn read(block: Value) -> Result<Config, Error> {
        Config::from_metadata(Some(&block), Path::new(MANIFEST))
    }

    fn ok(block: Value) -> Config {
        read(block).unwrap()
    }

    fn notes_of<T>(result: Result<T, Error>) -> Vec<String> {
        match result {
            Ok(_) => Vec::new(),
            Err(error @ Error::Config(_)) => error.report().notes().to_vec(),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// The notes on a block, without what they all begin with.
    fn notes(block: Value) -> Vec<String> {
        notes_of(read(block))
            .into_iter()
            .map(|note| {
                note.strip_prefix("package.metadata.eryx.")
                    .unwrap_or_else(|| panic!("no key path: {note}"))
                    .to_owned()
            })
            .collect()
    }

    #[track_caller]
    fn one(block: Value, note: &str) {
        assert_eq!(notes(block), [note]);
    }

    /// One problem, and the note on it has `part` in it.
    #[track_caller]
    fn one_with(block: Value, part: &str) {
        let notes = notes(block);
        assert!(notes.len() == 1 && notes[0].contains(part), "{notes:?}");
    }

    #[test]
    fn no_block_gives_the_defaults() {
        let manifest = Path::new(MANIFEST);
        let default = Config::default();
        assert_eq!(Config::from_metadata(None, manifest).unwrap(), default);
        assert_eq!(ok(Value::Null), default);
        assert_eq!(ok(json!({})), default);
        default.check().unwrap();
        default.check_paths(None).unwrap();
        assert_eq!(default.timeout, Duration::from_secs(60));
        assert_eq!(
            (default.memory_limit, default.cache_size),
            (1 << 30, 1 << 30)
        );
        assert!(default.strip && default.verify && default.warn_unoptimized && !default.summary);
        assert_eq!(default.output, "python.wasm");
        assert_eq!(default.engine, EngineChoice::Auto);
    }

    #[test]
    fn every_key_is_read() {
        let block = json!({
            "imports": ["json", "os.path"],
            "extensions": ["a.so", { "path": "x/b.so", "module": "pkg._core" }],
            "runtime": "../runtime",
            "stdlib": "lib/python-stdlib.tar.zst",
            "site-packages": "/abs/site",
            "engine": "winch",
            "strip": false,
            "verify": false,
            "output": "app.wasm",
            "timeout": "2m",
            "memory-limit": "512MiB",
            "cache-dir": "cache",
            "cache-size": 100_000_000,
            "warn-unoptimized": false,
            "summary": true,
        });
        assert_eq!(block.as_object().unwrap().len(), KEYS.len());
        let config = ok(block);
        let expected = Config {
            imports: vec!["json".into(), "os.path".into()],
            extensions: vec![
                Extension::new("/m/a.so"),
                Extension {
                    path: "/m/x/b.so".into(),
                    module: Some("pkg._core".into()),
                },
            ],
            runtime: Some("/m/../runtime".into()),
            stdlib: Some("/m/lib/python-stdlib.tar.zst".into()),
            site_packages: Some("/abs/site".into()),
            engine: EngineChoice::Winch,
            strip: false,
            verify: false,
            output: "app.wasm".into(),
            timeout: Duration::from_secs(120),
            memory_limit: 512 << 20,
            cache_dir: Some("/m/cache".into()),
            cache_size: 100_000_000,
            warn_unoptimized: false,
            summary: true,
        };
        assert_eq!(config, expected);
        config.check().unwrap();
    }

    #[test]
    fn a_manifest_without_a_folder() {
        let block = json!({ "runtime": "rt" });
        for manifest in ["Cargo.toml", ""] {
            let config = Config::from_metadata(Some(&block), Path::new(manifest)).unwrap();
            assert_eq!(config.runtime, Some("rt".into()));
        }
    }

    #[test]
    fn the_report_on_a_bad_block_word_for_word() {
        let error = read(json!({
            "imports": ["json", "os.path", "os; rm", "json", 7],
            "extensions": ["a.so", { "path": "a.so", "modul": "x" }],
            "site_packages": "site",
            "engine": "wnich",
            "strip": "true",
            "timeout": 60,
            "memory-limit": "8GiB",
            "output": "../x",
            "packages": ["numpy"],
        }))
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "config: 12 problems in [package.metadata.eryx] of /m/Cargo.toml"
        );
        assert_eq!(
            format!("{error:?}"),
            r#"eryx-preinit-build failed in stage config: 12 problems in [package.metadata.eryx] of /m/Cargo.toml
  - package.metadata.eryx.packages: unknown key; the keys are `imports`, `extensions`, `runtime`, `stdlib`, `site-packages`, `engine`, `strip`, `verify`, `output`, `timeout`, `memory-limit`, `cache-dir`, `cache-size`, `warn-unoptimized` and `summary`
  - package.metadata.eryx.site_packages: unknown key; keys are written with `-`: `site-packages`
  - package.metadata.eryx.imports[2]: `os; rm` is not a Python module name (parts separated by `.`, each made of letters, digits and `_` and not starting with a digit)
  - package.metadata.eryx.imports[3]: `json` repeats imports[0]
  - package.metadata.eryx.imports[4]: expected a string with the name of a Python module, found the integer 7
  - package.metadata.eryx.extensions[1].modul: unknown key; did you mean `module`?
  - package.metadata.eryx.extensions[1].path: `a.so` repeats extensions[0]
  - package.metadata.eryx.engine: expected "auto", "winch" or "cranelift", found the string "wnich"; did you mean "winch"?
  - package.metadata.eryx.strip: expected true or false, found the string "true"; write strip = true
  - package.metadata.eryx.output: `../x` is not a usable file name: it must be a bare name without a path separator; it must end in `.wasm`
  - package.metadata.eryx.timeout: expected a duration such as "60s", found the integer 60; give the unit: timeout = "60s"
  - package.metadata.eryx.memory-limit: 8GiB is more than the 4GiB a 32-bit WebAssembly memory can have"#
        );
    }

    #[test]
    fn one_problem_is_not_problems() {
        let error = read(json!({ "summary": 1 })).unwrap_err();
        assert_eq!(
            error.report().summary(),
            "1 problem in [package.metadata.eryx] of /m/Cargo.toml"
        );
    }

    #[test]
    fn the_block_must_be_a_table() {
        assert_eq!(
            notes_of(read(json!(true))),
            ["package.metadata.eryx: expected a table, found the boolean true"]
        );
        assert_eq!(
            notes_of(read(json!([{ "strip": true }]))),
            [
                "package.metadata.eryx: expected a table, found the array [{ strip = true }]; \
              write [package.metadata.eryx] in single brackets"
            ]
        );
    }

    #[test]
    fn unknown_keys() {
        one(
            json!({ "import": [] }),
            "import: unknown key; did you mean `imports`?",
        );
        one(
            json!({ "Cache_Dir": "x" }),
            "Cache_Dir: unknown key; did you mean `cache-dir`?",
        );
        for planned in ["packages", "setup", "setup-code", "precompile"] {
            one_with(
                json!({ planned: 1 }),
                &format!("{planned}: unknown key; the keys are `imports`, "),
            );
        }
        one_with(json!({ "a.b c": 1 }), "\"a.b c\": unknown key");
        one_with(json!({ "": 1 }), "\"\": unknown key");
        one_with(json!({ "a\nb": 1 }), "\"a\\nb\": unknown key");
        one_with(json!({ "k".repeat(500): 1 }), &("k".repeat(60) + "…: unk"));
    }

    #[test]
    fn wrong_types() {
        one(
            json!({ "imports": "json" }),
            "imports: expected an array of strings, found the string \"json\"; \
             write imports = [\"json\"]",
        );
        one(
            json!({ "imports": "json, os.path" }),
            "imports: expected an array of strings, found the string \"json, os.path\"; \
             write imports = [\"json\", \"os.path\"]",
        );
        one(
            json!({ "imports": "1 2" }),
            "imports: expected an array of strings, found the string \"1 2\"",
        );
        one(
            json!({ "imports": { "json": true, "a": "b" } }),
            "imports: expected an array of strings, found the table { a = \"b\", json = true }",
        );
        one(
            json!({ "imports": [["os", 1.5]] }),
            "imports[0]: expected a string with the name of a Python module, \
             found the array [\"os\", 1.5]",
        );
        one(
            json!({ "extensions": { "path": "a.so" } }),
            "extensions: expected an array of strings or tables, \
             found the table { path = \"a.so\" }; write extensions = [{ path = \"a.so\" }]",
        );
        one(
            json!({ "extensions": [3] }),
            "extensions[0]: expected a string or a table like \
             { path = \"core.so\", module = \"pkg._core\" }, found the integer 3",
        );
        one(
            json!({ "runtime": {} }),
            "runtime: expected a string with a path, found the table {}",
        );
        one(
            json!({ "verify": 1 }),
            "verify: expected true or false, found the integer 1",
        );
        one(
            json!({ "output": [] }),
            "output: expected a string with a file name, found the array []",
        );
        one(
            json!({ "engine": null }),
            "engine: expected \"auto\", \"winch\" or \"cranelift\", \
             found null (which nan and inf become)",
        );
        one(
            json!({ "timeout": 0 }),
            "timeout: expected a duration such as \"60s\", found the integer 0; \
             give the unit: timeout = \"60s\"",
        );
        one(
            json!({ "timeout": 1.5 }),
            "timeout: expected a duration such as \"60s\", found the float 1.5",
        );
        one(
            json!({ "cache-size": -1 }),
            "cache-size: expected a size such as \"1GiB\" or a number of bytes, \
             found the integer -1",
        );
        one_with(
            json!({ "runtime": ["x".repeat(1000)] }),
            &format!("found the array [\"{}…", "x".repeat(58)),
        );
    }

    #[test]
    fn good_module_names() {
        let long = "x".repeat(255);
        for name in [
            "json",
            "os.path",
            "_",
            "__future__",
            "a1.b_2",
            "match",
            "type",
            "naïve",
            "日本",
            &long,
            "pkg.__main__",
            "_core",
            "true",
        ] {
            assert_eq!(module_problem(name), None, "{name}");
        }
    }

    #[test]
    fn bad_module_names() {
        for name in [
            "",
            ".",
            "a..b",
            ".a",
            "a.",
            "os; rm",
            " json",
            "json ",
            "json\n",
            "1a",
            "a.1",
            "a-b",
            "a b",
            "a\0",
            "import os",
            "a/b",
            "é\u{301}",
            "a\u{200b}",
            "\u{202e}a",
            "a'b",
            "a\"b",
            "a\\b",
            "a(b)",
            "*",
            "__main__",
        ] {
            assert!(module_problem(name).is_some(), "{name:?}");
        }
        for keyword in KEYWORDS {
            assert!(module_problem(keyword).is_some(), "{keyword}");
            assert!(module_problem(&format!("a.{keyword}.b")).is_some());
        }
    }

    #[test]
    fn what_is_said_about_module_names() {
        let problem = |name: &str| module_problem(name).unwrap();
        let rule = "is not a Python module name (parts separated by `.`, each made of letters, \
                    digits and `_` and not starting with a digit)";
        assert_eq!(problem(""), "the module name is empty");
        assert_eq!(
            problem(" json"),
            "` json` has whitespace around the name; write \"json\""
        );
        assert_eq!(
            problem("class"),
            "`class` is not a Python module name: it is a keyword"
        );
        assert_eq!(
            problem("a.class.b"),
            "`a.class.b` is not a Python module name: `class` is a keyword"
        );
        assert_eq!(
            problem("__main__"),
            "`__main__` cannot be imported ahead of time: it is the program that runs later"
        );
        assert_eq!(
            problem(&"x".repeat(256)),
            format!(
                "`{}…` is too long: 256 characters, and 255 are allowed",
                "x".repeat(60)
            )
        );
        assert_eq!(
            problem("a\nb\u{202e}"),
            format!("`a\\nb\\u{{202e}}` {rule}")
        );
        for (name, hint) in [
            ("a..b", ""),
            (
                ".a",
                "; relative names have no meaning here, write the full one",
            ),
            (
                "scikit-learn",
                "; write it as in the import statement, perhaps \"scikit_learn\"",
            ),
            ("import os as o", "; write only the name: \"os\""),
            ("from os import path", "; write only the name: \"os\""),
            ("pkg/mod.py", "; write \"pkg.mod\""),
            ("os, json", "; write one string for each: \"os\", \"json\""),
        ] {
            assert_eq!(problem(name), format!("`{name}` {rule}{hint}"));
        }
    }

    #[test]
    fn repeated_imports_name_the_first() {
        assert_eq!(
            notes(json!({ "imports": ["a", "b", "a", "b", "a", "", ""] })),
            [
                "imports[2]: `a` repeats imports[0]",
                "imports[3]: `b` repeats imports[1]",
                "imports[4]: `a` repeats imports[0]",
                "imports[5]: the module name is empty",
                "imports[6]: the module name is empty",
            ]
        );
    }

    #[test]
    fn bad_extensions() {
        assert_eq!(
            notes(json!({ "extensions": [
                { "path": "a.so", "module": "p.q" },
                { "path": "./b.so", "module": "p.q" },
                "b.so",
                { "module": "p-q" },
                { "path": 1, "module": 2 },
                { "path": "" },
            ] })),
            [
                "extensions[1].module: `p.q` repeats extensions[0].module",
                "extensions[2]: `b.so` repeats extensions[1].path",
                "extensions[3]: the table has no `path`",
                "extensions[3].module: `p-q` is not a Python module name (parts separated by \
                 `.`, each made of letters, digits and `_` and not starting with a digit); write \
                 it as in the import statement, perhaps \"p_q\"",
                "extensions[4].path: expected a string, found the integer 1",
                "extensions[4].module: expected a string with the name of a Python module, found \
                 the integer 2",
                "extensions[5].path: the path is empty",
            ]
        );
    }

    #[test]
    fn bad_paths() {
        for key in ["runtime", "stdlib", "site-packages", "cache-dir"] {
            one(json!({ key: "" }), &format!("{key}: the path is empty"));
            one_with(json!({ key: "a\0b" }), "holds a NUL character");
            one(
                json!({ key: "a\nb" }),
                &format!("{key}: `a\\nb` holds a line break, which Cargo cannot be told"),
            );
        }
    }

    #[test]
    fn engines() {
        for engine in EngineChoice::ALL {
            assert_eq!(ok(json!({ "engine": engine.name() })).engine, engine);
        }
        one_with(json!({ "engine": "Winch" }), "did you mean \"winch\"?");
        one(
            json!({ "engine": "llvm" }),
            "engine: expected \"auto\", \"winch\" or \"cranelift\", found the string \"llvm\"",
        );
    }

    #[test]
    fn output_names() {
        for good in [
            "a.wasm",
            "python.v2.wasm",
            "console.wasm",
            "com10.wasm",
            "é.wasm",
        ] {
            assert_eq!(ok(json!({ "output": good })).output, good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".wasm",
            ".a.wasm",
            "a",
            "a.WASM",
            "a/b.wasm",
            "a\\b.wasm",
            "a\n.wasm",
            "a\0.wasm",
            "c:a.wasm",
            "con.wasm",
            "Nul.wasm",
            "AUX .wasm",
            "lpt9.x.wasm",
            "com¹.wasm",
            "CONIN$.wasm",
        ] {
            assert_eq!(notes(json!({ "output": bad })).len(), 1, "{bad:?}");
        }
        one(json!({ "output": "" }), "output: the file name is empty");
        one(
            json!({ "output": "con" }),
            "output: `con` is not a usable file name: Windows reserves the name `CON`; \
             it must end in `.wasm`",
        );
        one_with(
            json!({ "output": "x".repeat(300) + ".wasm" }),
            "it has 305 bytes, and 255 are allowed",
        );
    }

    #[test]
    fn timeouts() {
        for (text, millis) in [
            ("500ms", 500),
            ("1ms", 1),
            ("60s", 60_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("24h", 86_400_000),
            ("086400s", 86_400_000),
        ] {
            let timeout = ok(json!({ "timeout": text })).timeout;
            assert_eq!(timeout, Duration::from_millis(millis), "{text}");
        }
        for zero in ["0s", "0ms", "00h"] {
            one(
                json!({ "timeout": zero }),
                "timeout: a timeout of 0 would stop Python before it starts",
            );
        }
        one(
            json!({ "timeout": "25h" }),
            "timeout: 90000s is longer than the maximum of 24h",
        );
        let rule = "is not a duration (a whole number and `ms`, `s`, `m` or `h`)";
        for (text, hint) in [
            ("60", "; write \"60s\""),
            ("60 s", "; write \"60s\""),
            ("60S", "; write \"60s\""),
            ("2 minutes", "; write \"2m\""),
            ("1.5s", "; for example \"90s\""),
            ("1d", "; for example \"90s\""),
            ("", ""),
            ("-1s", ""),
            ("+1s", ""),
            ("s", ""),
            ("٣s", ""),
        ] {
            one(
                json!({ "timeout": text }),
                &format!("timeout: `{text}` {rule}{hint}"),
            );
        }
        for huge in ["18446744073709551615h", "99999999999999999999999s"] {
            one(
                json!({ "timeout": huge }),
                &format!("timeout: `{huge}` is longer than the maximum of 24h"),
            );
        }
    }

    #[test]
    fn sizes() {
        for (value, bytes) in [
            (json!("64MiB"), 64 << 20),
            (json!("4GiB"), 4 << 30),
            (json!("512MB"), 512_000_000),
            (json!("1GB"), 1_000_000_000),
            (json!("70000kB"), 70_000_000),
            (json!("70000KB"), 70_000_000),
            (json!("65536KiB"), 64 << 20),
            (json!(67_108_864), 64 << 20),
        ] {
            assert_eq!(ok(json!({ "memory-limit": value })).memory_limit, bytes);
            assert_eq!(ok(json!({ "cache-size": value })).cache_size, bytes);
        }
        assert_eq!(ok(json!({ "cache-size": u64::MAX })).cache_size, u64::MAX);
        assert_eq!(ok(json!({ "cache-size": "2TiB" })).cache_size, 2 << 40);
        one(
            json!({ "memory-limit": "63MiB" }),
            "memory-limit: 63MiB is less than the minimum of 64MiB",
        );
        one(
            json!({ "memory-limit": 512 }),
            "memory-limit: 512 bytes is less than the minimum of 64MiB \
             (a number without a unit counts bytes)",
        );
        one(
            json!({ "memory-limit": 4_294_967_297_u64 }),
            "memory-limit: 4294967297 bytes is more than the 4GiB a 32-bit WebAssembly memory \
             can have",
        );
        one(
            json!({ "cache-size": 0 }),
            "cache-size: 0 bytes is less than the minimum of 64MiB",
        );
        one(
            json!({ "cache-size": "99999999TiB" }),
            "cache-size: `99999999TiB` is more bytes than 64 bits can count",
        );
        let rule = "is not a size (a whole number and `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`)";
        for (text, hint) in [
            ("1 GiB", "; write \"1GiB\""),
            ("1gib", "; write \"1GiB\""),
            ("512M", "; write \"512MiB\""),
            ("512mb", "; write \"512MB\""),
            ("1000", "; write bytes without quotes: memory-limit = 1000"),
            ("1.5GiB", "; for example \"512MiB\""),
            ("-1GiB", ""),
            ("", ""),
            ("GiB", ""),
        ] {
            one(
                json!({ "memory-limit": text }),
                &format!("memory-limit: `{text}` {rule}{hint}"),
            );
        }
    }

    #[test]
    fn values_from_rust_are_checked_too() {
        let mut config = Config {
            imports: vec!["json".into(), "a b".into(), "json".into()],
            extensions: vec![Extension::new("x.so"), Extension::new("x.so")],
            runtime: Some(PathBuf::new()),
            cache_dir: Some("a\nb".into()),
            output: "x".into(),
            timeout: Duration::ZERO,
            memory_limit: 1,
            cache_size: 0,
            ..Config::default()
        };
        config.extensions[1].module = Some("__main__".into());
        let error = config.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "config: 10 problems in the configuration"
        );
        assert_eq!(
            error.report().notes(),
            [
                "imports[1]: `a b` is not a Python module name (parts separated by `.`, each made \
                 of letters, digits and `_` and not starting with a digit); write one string for \
                 each: \"a\", \"b\"",
                "imports[2]: `json` repeats imports[0]",
                "extensions[1].path: `x.so` repeats extensions[0].path",
                "extensions[1].module: `__main__` cannot be imported ahead of time: it is the \
                 program that runs later",
                "runtime: the path is empty",
                "output: `x` is not a usable file name: it must end in `.wasm`",
                "timeout: a timeout of 0 would stop Python before it starts",
                "memory-limit: 1 byte is less than the minimum of 64MiB (a number without a unit \
                 counts bytes)",
                "cache-dir: `a\\nb` holds a line break, which Cargo cannot be told",
                "cache-size: 0 bytes is less than the minimum of 64MiB",
            ]
        );
    }

    #[test]
    fn nearest_names() {
        let modules = ["json", "os", "sys", "asyncio", "collections", "re", "io"];
        for (word, near) in [
            ("jsno", Some("json")),
            ("JSON", Some("json")),
            ("jsonn", Some("json")),
            ("asincio", Some("asyncio")),
            ("colections", Some("collections")),
            ("sy", Some("sys")),
            ("json", None),
            ("so", None),
            ("", None),
            ("numpy", None),
        ] {
            assert_eq!(nearest(word, modules), near, "{word}");
        }
        assert_eq!(nearest("abd", ["abc", "abe"]), Some("abc"));
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest("", [""]), None);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(distance(&chars(a), &chars(b)), expected, "{a} {b}");
        }
    }

    /// A folder that is removed again.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("eryx-config-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        }

        fn folder(&self, name: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(&path).unwrap();
            path
        }

        /// `problem` with the path of this folder cut out.
        fn short(&self, problem: Option<String>) -> String {
            let slashes = |text: &str| text.replace('\\', "/");
            let here = slashes(&self.0.display().to_string());
            slashes(&problem.unwrap_or_default())
                .replace(&format!("{here}/"), "")
                .replace(&here, ".")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn good_paths_pass() {
        let dir = Scratch::new();
        dir.folder("rt/libs");
        dir.folder("rt/prebuilt");
        dir.file("lib/os.py");
        dir.folder("lib/encodings");
        let mut config = Config {
            extensions: vec![Extension::new(dir.file("a.so"))],
            runtime: Some(dir.0.join("rt/")),
            stdlib: Some(dir.0.join("lib")),
            site_packages: Some(dir.folder("site")),
            cache_dir: Some(dir.0.join("not/there/yet")),
            ..Config::default()
        };
        config.check_paths(None).unwrap();
        config.stdlib = Some(dir.file("python-stdlib.tar.zst"));
        config.cache_dir = Some(dir.folder("cache"));
        config.check_paths(None).unwrap();
        config.cache_dir = Some("relative/cache".into());
        config.check_paths(None).unwrap();
    }

    #[test]
    fn all_bad_paths_are_reported_with_their_keys() {
        let dir = Scratch::new();
        dir.file("core.so");
        dir.folder("site-packages");
        let file = dir.file("file");
        let config = Config {
            extensions: vec![Extension::new(dir.0.join("coer.so"))],
            runtime: Some(file.clone()),
            stdlib: Some(file.clone()),
            site_packages: Some(dir.0.join("site_packages")),
            cache_dir: Some(file),
            ..Config::default()
        };
        let expected = [
            "extensions[0]: `coer.so` does not exist; did you mean `core.so`?",
            "runtime: `file` is a file; expected the folder of an unpacked eryx-runtime package",
            "stdlib: `file` is a file whose name does not end in `.tar.zst`; expected such an \
             archive or the unpacked folder",
            "site-packages: `site_packages` does not exist; did you mean `site-packages`?",
            "cache-dir: `file` is a file, not a folder",
        ];
        let from = |manifest: Option<&Path>| -> Vec<String> {
            notes_of(config.check_paths(manifest))
                .into_iter()
                .map(|note| dir.short(Some(note)))
                .collect()
        };
        assert_eq!(from(None), expected);
        assert_eq!(
            from(Some(Path::new(MANIFEST))),
            expected.map(|note| format!("package.metadata.eryx.{note}"))
        );
    }

    #[test]
    fn runtime_folders() {
        let dir = Scratch::new();
        let problem = |path: &Path| dir.short(runtime_path_problem(path));
        let lib = dir.folder("vendor/eryx-runtime-0.10.0/libs");
        dir.folder("vendor/eryx-runtime-0.10.0/prebuilt");
        assert_eq!(
            problem(&dir.folder("empty")),
            "`empty` is not an unpacked eryx-runtime package: it holds no `libs/` and no \
             `prebuilt/`"
        );
        assert_eq!(
            problem(&dir.folder("vendor")),
            "`vendor` is not an unpacked eryx-runtime package: it holds no `libs/` and no \
             `prebuilt/`; did you mean `vendor/eryx-runtime-0.10.0`?"
        );
        assert!(problem(&lib).ends_with("; did you mean `vendor/eryx-runtime-0.10.0`?"));
        dir.folder("vendor/eryx-runtime-0.11.0/libs");
        dir.folder("vendor/eryx-runtime-0.11.0/prebuilt");
        assert!(
            problem(&dir.folder("vendor"))
                .ends_with("; 2 folders in it are, for example `vendor/eryx-runtime-0.10.0`")
        );
        assert!(problem(&dir.file("e.crate")).ends_with("; unpack it first (`tar xzf`)"));
    }

    #[test]
    fn stdlib_folders() {
        let dir = Scratch::new();
        dir.file("up/python-stdlib/os.py");
        dir.folder("up/python-stdlib/encodings");
        assert_eq!(
            dir.short(stdlib_path_problem(&dir.0.join("up"))),
            "`up` is not the Python standard library: it holds no `os.py` and no `encodings/`; \
             did you mean `up/python-stdlib`?"
        );
        dir.file("half/os.py");
        assert_eq!(
            dir.short(stdlib_path_problem(&dir.0.join("half"))),
            "`half` is not the Python standard library: it holds no `encodings/`"
        );
        assert_eq!(
            dir.short(stdlib_path_problem(&dir.0.join("up/python-stdlb"))),
            "`up/python-stdlb` does not exist; did you mean `python-stdlib`?"
        );
    }

    #[test]
    fn missing_paths_name_the_missing_part() {
        let dir = Scratch::new();
        dir.folder("vendor/deep");
        dir.file("file");
        dir.file("vendro");
        let absent = |path: &str| dir.short(look(&dir.0.join(path), Some(Kind::File)).err());
        assert_eq!(
            absent("vendr/deep/a.so"),
            "`vendr/deep/a.so` does not exist: `.` holds no `vendr`; did you mean `vendor`?"
        );
        assert_eq!(
            absent("file/a.so"),
            "`file/a.so` does not exist: `file` is a file, not a folder"
        );
        assert_eq!(
            absent("~/a.so"),
            "`~/a.so` does not exist: `.` holds no `~`; `~` and variables are not expanded"
        );
        assert!(look(Path::new(""), None).is_err());
        assert!(look(Path::new("no-such-thing-here/x"), None).is_err());
        assert!(look(Path::new("a\0b"), None).is_err());
        assert!(look(&dir.0.join("x".repeat(5000)), None).is_err());
        assert_eq!(
            dir.short(cache_dir_problem(&dir.0.join("file/a/b"))),
            "`file/a/b` cannot be created: `file` is a file, not a folder"
        );
        assert_eq!(
            dir.short(extension_path_problem(&dir.0.join("vendor"))),
            "`vendor` is a folder; expected the file of an extension module"
        );
        assert_eq!(
            dir.short(site_packages_path_problem(&dir.file("x.whl"))),
            "`x.whl` is a file; expected a folder of Python modules; unpack the wheel into one \
             (`pip install --target`)"
        );
    }

    #[test]
    fn a_slash_behind_a_file_does_not_hide_it() {
        let dir = Scratch::new();
        let mut path = dir.file("file").into_os_string();
        path.push("/");
        let config = Config {
            cache_dir: Some(path.into()),
            ..Config::default()
        };
        assert!(config.check_paths(None).is_err());
    }

    // Windows resolves `..` without looking at the disk.
    #[cfg(unix)]
    #[test]
    fn missing_paths_with_dots() {
        let dir = Scratch::new();
        dir.file("file");
        let absent = |path: &str| dir.short(look(&dir.0.join(path), Some(Kind::File)).err());
        assert_eq!(
            absent("file/../a.so"),
            "`file/../a.so` does not exist: `file` is a file, not a folder"
        );
        assert_eq!(
            absent("nope/../a.so"),
            "`nope/../a.so` does not exist: `.` holds no `nope`"
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_to_nothing_and_odd_files() {
        let dir = Scratch::new();
        let link = dir.0.join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let expected = "`link` is a symbolic link to something that does not exist";
        assert_eq!(dir.short(extension_path_problem(&link)), expected);
        assert_eq!(dir.short(extension_path_problem(&link.join("x"))), expected);
        assert_eq!(dir.short(cache_dir_problem(&link.join("x"))), expected);
        assert_eq!(
            extension_path_problem(Path::new("/dev/null")).unwrap(),
            "`/dev/null` is neither a file nor a folder"
        );
    }
}
