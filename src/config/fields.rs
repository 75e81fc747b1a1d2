//! The keys of the block, read with their types.

use super::problems::{Problems, Seen, SeenExtensions};
use super::rules::{
    check_compress, check_embed_exclude, check_import, check_lock_name, check_module,
    check_on_restore, check_output, check_package, check_path, check_timeout, check_wheel_dir,
    module_problem,
};
use super::suggest::nearest;
use super::text::{clip, show, toml};
use super::units::{parse_duration, parse_size};
use super::{CompilerChoice, Config, EXTENSION_KEYS, Embed, Extension};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A rule for an entry of a list of paths, which is shown as it is written.
type CheckPath =
    fn(&mut Problems<'_>, &mut Seen<PathBuf>, usize, &Path, &dyn Fn(&Path) -> String) -> bool;

/// Reads the keys of the block. Each method reports what it finds wrong and
/// returns the default then: the result is not used once there is a problem.
pub(super) struct Fields<'a, 'p> {
    pub(super) table: &'a Map<String, Value>,
    pub(super) dir: &'a Path,
    pub(super) problems: &'a mut Problems<'p>,
}

impl Fields<'_, '_> {
    pub(super) fn imports(&mut self) -> Vec<String> {
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
        self.names(
            "imports",
            items,
            "the name of a Python module",
            check_import,
        )
    }

    pub(super) fn on_restore(&mut self) -> Vec<String> {
        match self.table.get("on-restore") {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                let what = "a module and a callable";
                self.names("on-restore", items, what, check_on_restore)
            }
            Some(other) => {
                let hint = other
                    .as_str()
                    .map(|text| format!("write on-restore = [{}]", clip(&toml(&text.into()))));
                self.problems
                    .expected("on-restore", "an array of strings", other, hint);
                Vec::new()
            }
        }
    }

    fn names(
        &mut self,
        key: &str,
        items: &[Value],
        what: &str,
        check: fn(&mut Problems<'_>, &mut Seen<String>, usize, &str) -> bool,
    ) -> Vec<String> {
        let mut names = Vec::new();
        let mut seen = Seen::default();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(name) => {
                    if check(self.problems, &mut seen, index, name) {
                        names.push(name.clone());
                    }
                }
                other => self.problems.expected(
                    &format!("{key}[{index}]"),
                    &format!("a string with {what}"),
                    other,
                    None,
                ),
            }
        }
        names
    }

    pub(super) fn extensions(&mut self) -> Vec<Extension> {
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

    pub(super) fn packages(&mut self) -> Vec<PathBuf> {
        self.paths("packages", check_package)
    }

    pub(super) fn wheel_dirs(&mut self) -> Vec<PathBuf> {
        self.paths("wheel-dirs", check_wheel_dir)
    }

    /// Names of extras or groups; `None` where the key is not there.
    pub(super) fn lock_names(&mut self, key: &'static str) -> Option<Vec<String>> {
        match self.table.get(key)? {
            Value::Array(items) => {
                let mut names = Vec::new();
                let mut seen = Seen::default();
                for (index, item) in items.iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    let Value::String(name) = item else {
                        self.problems
                            .expected(&key, "a string with a name", item, None);
                        continue;
                    };
                    if check_lock_name(self.problems, &mut seen, key, name) {
                        names.push(name.clone());
                    }
                }
                Some(names)
            }
            other => {
                let hint = other
                    .as_str()
                    .map(|text| format!("write {key} = [{}]", clip(&toml(&text.into()))));
                self.problems
                    .expected(key, "an array of strings", other, hint);
                None
            }
        }
    }

    fn paths(&mut self, key: &str, check: CheckPath) -> Vec<PathBuf> {
        let items = match self.table.get(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                let hint = other.as_str().map(|_| {
                    let text = toml(other);
                    format!("write {key} = [{text}]")
                });
                self.problems
                    .expected(key, "an array of strings", other, hint);
                return Vec::new();
            }
        };
        let mut paths = Vec::new();
        let mut seen = Seen::default();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => {
                    let path = self.dir.join(text);
                    // Joined to the folder, an empty path would not be empty.
                    if !check_path(self.problems, &format!("{key}[{index}]"), text) {
                        continue;
                    }
                    if check(self.problems, &mut seen, index, &path, &|_| show(text)) {
                        paths.push(path);
                    }
                }
                other => self.problems.expected(
                    &format!("{key}[{index}]"),
                    "a string with a path",
                    other,
                    None,
                ),
            }
        }
        paths
    }

    pub(super) fn setup_code(&mut self) -> Option<String> {
        match self.table.get("setup-code")? {
            Value::String(code) => Some(code.clone()),
            other => {
                self.problems
                    .expected("setup-code", "a string with Python code", other, None);
                None
            }
        }
    }

    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
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

    pub(super) fn boolean(&mut self, key: &str, default: bool) -> bool {
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

    pub(super) fn embed_exclude(&mut self, default: Vec<String>) -> Vec<String> {
        let key = "embed-exclude";
        match self.table.get(key) {
            None => default,
            Some(Value::Array(items)) => {
                let what = "the name of a Python module";
                self.names(key, items, what, check_embed_exclude)
            }
            Some(other) => {
                let hint = other
                    .as_str()
                    .map(|text| format!("write {key} = [{}]", clip(&toml(&text.into()))));
                self.problems
                    .expected(key, "an array of strings", other, hint);
                default
            }
        }
    }

    pub(super) fn embed(&mut self) -> Embed {
        let expected = "\"all\", \"imported\" or \"none\"";
        self.choice("embed", expected, Embed::ALL, Embed::name)
    }

    pub(super) fn compress(&mut self) -> Option<u8> {
        match self.table.get("compress")? {
            Value::Bool(compress) => compress.then_some(Config::COMPRESS_LEVEL),
            value => match value.as_u64().and_then(|level| u8::try_from(level).ok()) {
                Some(level) => check_compress(self.problems, level).then_some(level),
                None => {
                    let expected = "true, false or a level from 1 to 22";
                    self.problems.expected("compress", expected, value, None);
                    None
                }
            },
        }
    }

    pub(super) fn engine(&mut self) -> CompilerChoice {
        let expected = "\"auto\", \"winch\" or \"cranelift\"";
        self.choice(
            "engine",
            expected,
            CompilerChoice::ALL,
            CompilerChoice::name,
        )
    }

    /// One of `all`, by its name.
    fn choice<T: Copy + Default, const N: usize>(
        &mut self,
        key: &str,
        expected: &str,
        all: [T; N],
        name: fn(T) -> &'static str,
    ) -> T {
        let Some(value) = self.table.get(key) else {
            return T::default();
        };
        let Some(text) = value.as_str() else {
            self.problems.expected(key, expected, value, None);
            return T::default();
        };
        let known = all.into_iter().find(|choice| name(*choice) == text);
        known.unwrap_or_else(|| {
            let hint = nearest(text, all.map(name)).map(|near| format!("did you mean \"{near}\"?"));
            self.problems.expected(key, expected, value, hint);
            T::default()
        })
    }

    pub(super) fn output(&mut self, default: String) -> String {
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

    pub(super) fn timeout(&mut self, default: Duration) -> Duration {
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

    pub(super) fn size(
        &mut self,
        key: &str,
        default: u64,
        check: fn(&mut Problems<'_>, u64),
    ) -> u64 {
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
