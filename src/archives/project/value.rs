//! What a project says about itself, whichever language it says it in.

use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// A value of TOML, of an INI file, or a literal of Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Flag(bool),
    List(Vec<Self>),
    Table(BTreeMap<String, Self>),
    /// Numbers and dates, which nothing here needs.
    Other,
}

impl Value {
    pub(crate) fn empty() -> Self {
        Self::Table(BTreeMap::new())
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// Where it is wrong, and how.
    pub(crate) fn from_toml(text: &str) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..at]
                .iter()
                .filter(|&&b| b == b'\n')
                .count()
                + 1;
            format!("line {line}: {}", error.message())
        })?;
        Ok(Self::of_table(table.get_ref()))
    }

    fn of_table(table: &DeTable<'_>) -> Self {
        let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let key: &std::borrow::Cow<'_, str> = key.get_ref();
            (key.clone().into_owned(), Self::of(value.get_ref()))
        };
        Self::Table(table.iter().map(entry).collect())
    }

    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.clone().into_owned()),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::of(item.get_ref())).collect())
            }
            DeValue::Table(table) => Self::of_table(table),
            _ => Self::Other,
        }
    }

    /// The value at `path`, whose keys are separated by dots.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, key| match value {
            Self::Table(table) => table.get(key),
            _ => None,
        })
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text at `path`.
    pub(crate) fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path).and_then(Self::text)
    }

    /// The texts of a list, or the one that stands for such a list.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::List(list) => list.iter().filter_map(Self::text).collect(),
            _ => Vec::new(),
        }
    }

    /// The texts at `path`; `None` where there is nothing.
    pub(crate) fn texts_at(&self, path: &str) -> Option<Vec<&str>> {
        self.at(path).map(Self::texts)
    }

    pub(crate) fn flag_at(&self, path: &str) -> Option<bool> {
        match self.at(path) {
            Some(Self::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// Keys and values of a table; none of anything else.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Self)> {
        let table = match self {
            Self::Table(table) => Some(table),
            _ => None,
        };
        let entries = table.into_iter().flatten();
        entries.map(|(key, value)| (key.as_str(), value))
    }

    /// Keys and texts of the table at `path`.
    pub(crate) fn pairs_at(&self, path: &str) -> Vec<(&str, &str)> {
        let entries = self.at(path).into_iter().flat_map(Self::entries);
        entries
            .filter_map(|(key, value)| Some((key, value.text()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_is_read_and_its_errors_say_where() {
        let value = Value::from_toml("a.b = ['x', 1, { c = 'y' }]\n[d]\ne = true\n").unwrap();
        assert_eq!(value.texts_at("a.b"), Some(vec!["x"]));
        assert_eq!(value.at("a.b").unwrap().items()[2].text_at("c"), Some("y"));
        assert_eq!(value.flag_at("d.e"), Some(true));
        assert_eq!(value.at("d.e.f"), None);
        let error = Value::from_toml("a = 1\nb = [\n").unwrap_err();
        assert!(error.starts_with("line "), "{error}");
        assert!(Value::from_toml(&"[".repeat(100_000)).is_err());
    }
}
