//! What values may be, whether they come from the block or from Rust.

use super::problems::{Problems, Seen};
use super::text::show;
use super::units::{GIB, KIB, MIB, size_text};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
/// Python 3's hard keywords. Soft ones (`match`, `type`, …) are valid names.
pub(super) const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

pub(super) fn check_import(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    index: usize,
    name: &str,
) -> bool {
    check_name(problems, seen, format!("imports[{index}]"), name)
}

pub(super) fn check_embed_exclude(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    index: usize,
    name: &str,
) -> bool {
    check_name(problems, seen, format!("embed-exclude[{index}]"), name)
}

pub(super) fn check_on_restore(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    index: usize,
    name: &str,
) -> bool {
    let key = format!("on-restore[{index}]");
    let expected = "write \"module:callable\"";
    let problem = match name.split_once(':') {
        None => Some(format!("{} names no callable; {expected}", show(name))),
        Some((module, _)) if module_problem(module).is_some() => module_problem(module),
        Some((_, attribute)) if module_problem(attribute).is_some() => Some(format!(
            "{} is not the name of a callable; {expected}",
            show(attribute)
        )),
        Some(_) => None,
    };
    match problem {
        Some(problem) => {
            problems.add(&key, problem);
            false
        }
        None => seen.check(problems, key, name.to_owned(), |name| show(name)),
    }
}

pub(super) fn check_module(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    key: &str,
    module: &str,
) {
    check_name(problems, seen, format!("{key}.module"), module);
}

pub(super) fn check_name(
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

/// A name of an extra or of a dependency group, as Python's packaging has them.
pub(super) fn check_lock_name(
    problems: &mut Problems<'_>,
    seen: &mut Seen<String>,
    key: String,
    name: &str,
) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric();
    let valid = name.starts_with(letter)
        && name.ends_with(letter)
        && name.chars().all(|c| letter(c) || "-_.".contains(c));
    if !valid {
        let rule = "ASCII letters and digits, with `-`, `_` and `.` between them";
        problems.add(
            &key,
            format!(
                "{} is not the name of an extra or group ({rule})",
                show(name)
            ),
        );
        return false;
    }
    seen.check(problems, key, name.to_owned(), |name| show(name))
}

pub(super) fn check_path(problems: &mut Problems<'_>, key: &str, path: &str) -> bool {
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

pub(super) fn check_package(
    problems: &mut Problems<'_>,
    seen: &mut Seen<PathBuf>,
    index: usize,
    path: &Path,
    show: &dyn Fn(&Path) -> String,
) -> bool {
    check_listed(problems, seen, format!("packages[{index}]"), path, show)
}

pub(super) fn check_wheel_dir(
    problems: &mut Problems<'_>,
    seen: &mut Seen<PathBuf>,
    index: usize,
    path: &Path,
    show: &dyn Fn(&Path) -> String,
) -> bool {
    check_listed(problems, seen, format!("wheel-dirs[{index}]"), path, show)
}

fn check_listed(
    problems: &mut Problems<'_>,
    seen: &mut Seen<PathBuf>,
    key: String,
    path: &Path,
    show: &dyn Fn(&Path) -> String,
) -> bool {
    check_path(problems, &key, &path.to_string_lossy())
        && seen.check(problems, key, path.to_owned(), |path| show(path))
}

pub(super) fn check_setup(problems: &mut Problems<'_>, file: bool, code: Option<&str>) {
    match code {
        Some(_) if file => problems.add(
            "setup-code",
            "`setup` is there too; keep one of them (the file can hold the code)",
        ),
        Some(code) if code.contains('\0') => {
            problems.add("setup-code", "the code holds a NUL character");
        }
        _ => {}
    }
}

pub(super) fn check_output(problems: &mut Problems<'_>, name: &str) {
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
pub(super) fn windows_device(name: &str) -> Option<String> {
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

pub(super) fn check_timeout(problems: &mut Problems<'_>, timeout: Duration) {
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

pub(super) fn check_memory_limit(problems: &mut Problems<'_>, size: u64) {
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

pub(super) fn check_cache_size(problems: &mut Problems<'_>, size: u64) {
    check_size_min(problems, "cache-size", size, CACHE_MIN);
}

pub(super) fn check_compress(problems: &mut Problems<'_>, level: u8) -> bool {
    let valid = (1..=22).contains(&level);
    if !valid {
        problems.add(
            "compress",
            format!("{level} is not a level of zstd, which are 1 to 22"),
        );
    }
    valid
}

pub(super) fn check_size_min(problems: &mut Problems<'_>, key: &str, size: u64, min: u64) {
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
pub(super) fn module_problem(name: &str) -> Option<String> {
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
pub(super) fn module_hint(name: &str) -> String {
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

pub(super) fn is_dotted_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
            && chars.all(|c| c == '_' || c.is_alphanumeric())
    })
}
