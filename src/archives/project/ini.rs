//! `setup.cfg` and `entry_points.txt`: sections of keys and values.
//!
//! What Python's `configparser` makes of them, without interpolation.

use crate::archives::project::value::Value;
use std::collections::BTreeMap;

/// Sections, and in each the texts of its keys. Values of several lines keep their
/// line ends; lines that are none of the format are passed over.
pub(crate) fn read(text: &str) -> Value {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut section = String::new();
    let mut key: Option<String> = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let value = key
                .as_ref()
                .and_then(|key| sections.get_mut(&section)?.get_mut(key));
            if let Some(value) = value {
                value.push('\n');
                value.push_str(trimmed);
            }
            continue;
        }
        key = None;
        if let Some(name) = trimmed.strip_prefix('[') {
            section = name.trim_end_matches(']').trim().to_owned();
            continue;
        }
        if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            let name = name.trim().to_owned();
            let keys = sections.entry(section.clone()).or_default();
            keys.insert(name.clone(), value.trim().to_owned());
            key = Some(name);
        }
    }
    let table = |keys: BTreeMap<String, String>| {
        Value::Table(
            keys.into_iter()
                .map(|(key, text)| (key, Value::Text(text)))
                .collect(),
        )
    };
    Value::Table(
        sections
            .into_iter()
            .map(|(name, keys)| (name, table(keys)))
            .collect(),
    )
}

/// The items of a list: one a line, or separated by commas.
pub(crate) fn list(text: &str) -> Vec<&str> {
    let items = text.split(['\n', ',']).map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}

/// The pairs of a dictionary: one a line, or separated by commas.
pub(crate) fn pairs(text: &str) -> Vec<(&str, &str)> {
    let pairs = list(text)
        .into_iter()
        .filter_map(|item| item.split_once('='));
    pairs
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_dictionaries_go_over_lines() {
        let text = "\u{feff}# c\n[options]\npackage_dir =\n  = src\n\tx=y\n  ; c\n\
                    packages = find:\nodd\n  more\n[options.packages.find]\nwhere: src\n";
        let value = read(text);
        // Section names hold dots themselves.
        let Value::Table(sections) = &value else {
            panic!()
        };
        let options = &sections["options"];
        assert_eq!(
            pairs(options.text_at("package_dir").unwrap()),
            [("", "src"), ("x", "y")]
        );
        assert_eq!(options.text_at("packages"), Some("find:"));
        assert_eq!(
            sections["options.packages.find"].text_at("where"),
            Some("src")
        );
        assert_eq!(list("a, b\nc,"), ["a", "b", "c"]);
    }
}
