//! What the files of a project say, read but not judged.

use crate::archives::project::headers::field;
use crate::archives::project::ini;
use crate::archives::project::literal::{self, Literals};
use crate::archives::project::value::Value;
use crate::archives::project::view::View;

/// What the project's files say.
pub(super) struct Said {
    pub(super) pyproject: Value,
    /// Sections, which have dots in their names.
    pub(super) setup_cfg: Value,
    pub(super) setup_py: Literals,
    /// The text of PKG-INFO in a source distribution.
    pub(super) pkg_info: Option<String>,
}

impl Said {
    pub(super) fn read(view: &View<'_>) -> Result<Self, String> {
        let text = |name: &str| view.is_file(name).then(|| view.text(name)).flatten();
        let pyproject = match text("pyproject.toml") {
            Some(text) => Value::from_toml(text.trim_start_matches('\u{feff}'))
                .map_err(|problem| format!("its `pyproject.toml` is no TOML: {problem}"))?,
            None => Value::empty(),
        };
        Ok(Self {
            pyproject,
            setup_cfg: ini::read(&text("setup.cfg").unwrap_or_default()),
            setup_py: literal::read(&text("setup.py").unwrap_or_default()),
            pkg_info: text("PKG-INFO"),
        })
    }

    /// What `setup.cfg` says under `key` of `section`.
    pub(super) fn cfg(&self, section: &str, key: &str) -> Option<&str> {
        let Value::Table(sections) = &self.setup_cfg else {
            return None;
        };
        let keys = sections.get(section)?;
        // Old files write dashes.
        keys.text_at(key)
            .or_else(|| keys.text_at(&key.replace('_', "-")))
    }

    /// The name of the distribution.
    pub(super) fn name(&self) -> Option<&str> {
        let pkg_info = self.pkg_info.as_deref();
        pkg_info
            .and_then(|text| field(text, "Name"))
            .or_else(|| self.pyproject.text_at("project.name"))
            .or_else(|| self.pyproject.text_at("tool.poetry.name"))
            .or_else(|| self.pyproject.text_at("tool.flit.metadata.dist-name"))
            .or_else(|| self.pyproject.text_at("tool.flit.metadata.module"))
            .or_else(|| self.cfg("metadata", "name"))
            .or_else(|| self.setup_py.setup.get("name").and_then(Value::text))
    }
}
