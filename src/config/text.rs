//! Values as a report shows them: on one line, as they look in a `Cargo.toml`.

use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// Longer values are cut when quoted in a report.
const SHOWN_CHARS_MAX: usize = 60;

/// "found the string "json"", for a value of the wrong type.
pub(super) fn found(value: &Value) -> String {
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
pub(super) fn toml(value: &Value) -> String {
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

pub(super) fn toml_key(key: &str) -> String {
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
pub(super) fn show(text: &str) -> String {
    format!("`{}`", clip(text))
}

/// Not cut: a path is only of use as a whole.
pub(super) fn show_path(path: &Path) -> String {
    format!("`{}`", printable(path.to_string_lossy().chars()))
}

pub(super) fn clip(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown = printable(chars.by_ref().take(SHOWN_CHARS_MAX));
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

/// With invisible characters escaped: they may be what is wrong, and a line
/// break would break up the lines a build script prints.
pub(super) fn printable(chars: impl Iterator<Item = char>) -> String {
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

pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
