//! `__init__.py` files that only make a namespace package, which distributions share.

/// What such a file is made of, without quotes' kinds and white space.
const LINES: [&str; 16] = [
    "importpkgutil",
    "importpkg_resources",
    "frompkgutilimportextend_path",
    "frompkg_resourcesimportdeclare_namespace",
    "__path__=__import__('pkgutil').extend_path(__path__,__name__)",
    "__path__=pkgutil.extend_path(__path__,__name__)",
    "__path__=extend_path(__path__,__name__)",
    "__import__('pkg_resources').declare_namespace(__name__)",
    "pkg_resources.declare_namespace(__name__)",
    "declare_namespace(__name__)",
    "try:",
    "exceptImportError:",
    "exceptModuleNotFoundError:",
    "exceptException:",
    "except:",
    "pass",
];

/// Whether an `__init__.py` does nothing but share its package, or nothing at all: in one
/// tree, any two of them have the same effect.
pub(crate) fn only_shares(code: &[u8]) -> bool {
    let Ok(code) = std::str::from_utf8(code) else {
        return false;
    };
    let code = without_docstring(code.trim_start_matches('\u{feff}'));
    code.lines().all(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let plain: String = line
            .chars()
            .filter(|c| !c.is_whitespace() && *c != ';')
            .collect();
        plain.is_empty() || LINES.contains(&plain.replace('"', "'").as_str())
    })
}

/// Whether the file needs setuptools' own module, which is hardly ever there.
pub(crate) fn needs_setuptools(code: &[u8]) -> bool {
    code.windows(13).any(|part| part == b"pkg_resources")
}

fn without_docstring(code: &str) -> &str {
    let mut rest = code.trim_start();
    while let Some(line) = rest.strip_prefix('#') {
        rest = line.find('\n').map_or("", |end| &line[end..]).trim_start();
    }
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(text) = rest.strip_prefix(quote) {
            return match text.find(quote) {
                Some(end) => &text[end + quote.len()..],
                None => rest,
            };
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shares_its_package_counts() {
        for code in [
            "",
            "# a comment\n\n'''Doc.'''\n",
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
            "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)  # it\n",
            "try:\n    __import__(\"pkg_resources\").declare_namespace(__name__)\nexcept ImportError:\n\
             \x20   from pkgutil import extend_path\n    __path__ = extend_path(__path__, __name__)\n",
            "import pkg_resources\npkg_resources.declare_namespace(__name__);\n",
        ] {
            assert!(only_shares(code.as_bytes()), "{code}");
        }
        for code in [
            "x = 1",
            "'''Doc.'''\nimport os",
            "'''not closed",
            "\u{feff}from . import a",
        ] {
            assert!(!only_shares(code.as_bytes()), "{code}");
        }
        assert!(!only_shares(b"\xff"));
    }
}
