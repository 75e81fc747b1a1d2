//! Literals in Python code: what `setup.py` passes to `setup()` and what a module
//! assigns, where it is written out. Nothing is executed.

use crate::archives::project::value::Value;
use std::collections::BTreeMap;

/// How deep literals may be nested.
const DEPTH_MAX: usize = 16;

/// What was found in a file of Python.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    /// What module-level names are assigned first.
    pub(crate) assigned: BTreeMap<String, Value>,
    /// The arguments of `setup()`.
    pub(crate) setup: BTreeMap<String, Value>,
}

/// Reads `name = literal` at the top level, and in the call of `setup`.
///
/// `find_packages('src', exclude=['x'])` becomes a table: `find` (true), `namespaces`
/// and the arguments.
pub(crate) fn read(code: &str) -> Literals {
    let mut reader = Reader {
        code,
        at: 0,
        inside: false,
    };
    let mut literals = Literals::default();
    let mut depth = 0usize;
    // How deep the arguments of `setup` are.
    let mut setup: Option<usize> = None;
    while let Some(token) = reader.token() {
        match token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                setup = setup.filter(|&inside| depth >= inside);
            }
            name if is_name(name) => {
                let after = reader.at;
                match reader.token() {
                    Some("(") if name == "setup" => {
                        depth += 1;
                        setup = Some(depth);
                        continue;
                    }
                    Some("=") if depth == 0 || setup == Some(depth) => {
                        reader.inside = depth > 0;
                        let value = reader.start_value(&literals.assigned);
                        let into = match depth {
                            0 => &mut literals.assigned,
                            _ => &mut literals.setup,
                        };
                        if let Some(value) = value {
                            into.entry(name.to_owned()).or_insert(value);
                        }
                        continue;
                    }
                    _ => {}
                }
                reader.at = after;
            }
            _ => {}
        }
    }
    literals
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

struct Reader<'a> {
    code: &'a str,
    at: usize,
    /// Whether the value that is read is in brackets, where line ends do not count.
    inside: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.code[self.at..]
    }

    /// The next token: a name or number, a whole string, or one character; `==` and
    /// other pairs with `=` are one. Comments and white space are passed over.
    fn token(&mut self) -> Option<&'a str> {
        loop {
            let trimmed = self
                .rest()
                .trim_start_matches(|c: char| c.is_whitespace() || c == '\\');
            self.at = self.code.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                break;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
        let rest = self.rest();
        let first = rest.chars().next()?;
        let mut length = first.len_utf8();
        if first == '"' || first == '\'' {
            length = string_length(rest);
        } else if first == '_' || first.is_alphanumeric() {
            let end = |c: char| c != '_' && !c.is_alphanumeric();
            length = rest.find(end).unwrap_or(rest.len());
            // A prefix belongs to its string.
            let quoted = &rest[length..];
            if length <= 2 && quoted.starts_with(['"', '\'']) && is_prefix(&rest[..length]) {
                length += string_length(quoted);
            }
        } else if "=!<>+-*/%:|&^@".contains(first) && rest[length..].starts_with('=') {
            length += 1;
        }
        self.at += length;
        Some(&rest[..length])
    }

    fn peek(&mut self) -> Option<&'a str> {
        let at = self.at;
        let token = self.token();
        self.at = at;
        token
    }

    /// The value behind a `=`, if it is a literal and nothing else; else the reader
    /// stays where the value starts.
    fn start_value(&mut self, known: &BTreeMap<String, Value>) -> Option<Value> {
        let at = self.at;
        let value = self.value(known, 0).filter(|_| self.is_over());
        if value.is_none() {
            self.at = at;
        }
        value
    }

    /// Whether the expression ends here.
    fn is_over(&mut self) -> bool {
        let line = self.rest().trim_start_matches([' ', '\t']);
        match self.inside {
            true => matches!(self.peek(), None | Some("," | ")")),
            false => line.is_empty() || line.starts_with(['\n', '\r', '#', ';']),
        }
    }

    fn value(&mut self, known: &BTreeMap<String, Value>, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.token()? {
            "True" => Some(Value::Flag(true)),
            "False" => Some(Value::Flag(false)),
            "None" => Some(Value::Other),
            "[" => self.list("]", known, depth),
            "(" => self.list(")", known, depth),
            "{" => self.table(known, depth),
            name if name.ends_with(['"', '\'']) => {
                let mut text = unquoted(name)?;
                while let Some(next) = self.peek()
                    && next.ends_with(['"', '\''])
                    && (self.inside || depth > 0)
                {
                    self.token();
                    text += &unquoted(next)?;
                }
                Some(Value::Text(text))
            }
            number if number.starts_with(|c: char| c.is_ascii_digit()) => Some(Value::Other),
            name if is_name(name) => self.named(name, known, depth),
            _ => None,
        }
    }

    /// A name that was assigned a literal, or a call of `find_packages`.
    fn named(
        &mut self,
        name: &str,
        known: &BTreeMap<String, Value>,
        depth: usize,
    ) -> Option<Value> {
        let mut name = name;
        while self.peek() == Some(".") {
            self.token();
            name = self.token()?;
        }
        let namespaces = match name {
            "find_packages" => false,
            "find_namespace_packages" => true,
            name => return known.get(name).cloned(),
        };
        if self.token()? != "(" {
            return None;
        }
        let mut found = BTreeMap::from([
            ("find".to_owned(), Value::Flag(true)),
            ("namespaces".to_owned(), Value::Flag(namespaces)),
        ]);
        let mut positions = ["where", "exclude", "include"].into_iter();
        loop {
            let at = self.at;
            let token = self.token()?;
            if token == ")" {
                return Some(Value::Table(found));
            }
            if token == "," {
                continue;
            }
            let key = match is_name(token) && self.peek() == Some("=") {
                true => {
                    self.token();
                    token
                }
                false => {
                    self.at = at;
                    positions.next()?
                }
            };
            found.insert(key.to_owned(), self.value(known, depth + 1)?);
        }
    }

    fn list(&mut self, end: &str, known: &BTreeMap<String, Value>, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        loop {
            match self.peek()? {
                token if token == end => {
                    self.token();
                    return Some(Value::List(items));
                }
                "," => {
                    self.token();
                }
                _ => items.push(self.value(known, depth + 1)?),
            }
        }
    }

    fn table(&mut self, known: &BTreeMap<String, Value>, depth: usize) -> Option<Value> {
        let mut entries = BTreeMap::new();
        loop {
            match self.peek()? {
                "}" => {
                    self.token();
                    return Some(Value::Table(entries));
                }
                "," => {
                    self.token();
                }
                _ => {
                    let Value::Text(key) = self.value(known, depth + 1)? else {
                        return None;
                    };
                    if self.token()? != ":" {
                        return None;
                    }
                    entries.insert(key, self.value(known, depth + 1)?);
                }
            }
        }
    }
}

fn is_prefix(text: &str) -> bool {
    text.chars().all(|c| "rRbBuUfF".contains(c))
}

/// How long the string is that `rest` starts with, quotes included.
fn string_length(rest: &str) -> usize {
    let quote = &rest[..1];
    let triple = quote.repeat(3);
    let end = match rest.starts_with(&triple) {
        true => triple.as_str(),
        false => quote,
    };
    let mut at = end.len();
    while at < rest.len() {
        let left = &rest[at..];
        if left.starts_with(end) {
            return at + end.len();
        }
        let mut chars = left.chars();
        let step = match chars.next() {
            Some('\\') => 1 + chars.next().map_or(0, char::len_utf8),
            // Not closed: the line ends it.
            Some('\n') if end.len() == 1 => return at,
            Some(c) => c.len_utf8(),
            None => break,
        };
        at += step;
    }
    rest.len()
}

/// The content of a string token; `None` if it is not plain text.
fn unquoted(token: &str) -> Option<String> {
    let start = token.find(['"', '\''])?;
    let (prefix, quoted) = token.split_at(start);
    if prefix.contains(['b', 'B']) || (prefix.contains(['f', 'F']) && quoted.contains('{')) {
        return None;
    }
    let quotes = match quoted.len() >= 6 && quoted.starts_with(&quoted[..1].repeat(3)) {
        true => 3,
        false => 1,
    };
    let text = quoted.get(quotes..quoted.len().checked_sub(quotes)?)?;
    let plain = !text.contains('\\') || prefix.contains(['r', 'R']);
    plain.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(value: Option<&Value>) -> Vec<&str> {
        value.map(Value::texts).unwrap_or_default()
    }

    #[test]
    fn what_setup_is_called_with_is_read() {
        let literals = read(
            "'''doc: setup(name='no')'''\nfrom setuptools import setup, Extension, find_packages\n\
             VERSION = \"1.2\" # it\nPACKAGES = [\n    'a', # first\n    'a.b']\n\
             x == 'y'\nBUILT = '1.' + minor\nOVER = 'a'\n'b'\n\
             ext = Extension(name='ext', sources=['a.c'])\n\
             setuptools.setup(name = r'my-app', version=VERSION, packages=PACKAGES,\n\
                 package_dir={'': 'lib', \"x\": 'y' 'z'}, f=f'{name}', b=BUILT,\n\
                 ext_modules=[Extension('q', name='other')], py_modules=('one', 'two',))\n",
        );
        assert_eq!(texts(literals.setup.get("name")), ["my-app"]);
        assert_eq!(texts(literals.setup.get("version")), ["1.2"]);
        assert_eq!(texts(literals.setup.get("packages")), ["a", "a.b"]);
        assert_eq!(texts(literals.setup.get("py_modules")), ["one", "two"]);
        let folders = &literals.setup["package_dir"];
        let Value::Table(folders) = folders else {
            panic!()
        };
        assert_eq!(folders[""].text(), Some("lib"));
        assert_eq!(folders["x"].text(), Some("yz"));
        for missing in ["f", "b", "ext_modules"] {
            assert_eq!(literals.setup.get(missing), None, "{missing}");
        }
        assert_eq!(literals.assigned.get("BUILT"), None);
        assert_eq!(texts(literals.assigned.get("OVER")), ["a"]);
        let literals = read("setup(version='1.'\n + minor, name='a'\n'b')");
        assert_eq!(literals.setup.get("version"), None);
        assert_eq!(texts(literals.setup.get("name")), ["ab"]);
    }

    #[test]
    fn a_search_for_packages_is_a_table() {
        let code = "setup(packages=setuptools.find_packages('src', exclude=['tests*']))";
        let literals = read(code);
        let found = &literals.setup["packages"];
        assert_eq!(found.flag_at("find"), Some(true));
        assert_eq!(found.text_at("where"), Some("src"));
        assert_eq!(found.texts_at("exclude"), Some(vec!["tests*"]));
        let literals = read("setup(packages=find_namespace_packages(where=SRC))");
        assert_eq!(
            literals.setup.get("packages"),
            None,
            "what SRC is, is not known"
        );
    }

    #[test]
    fn damaged_code_ends() {
        for code in [
            "setup(x='",
            "setup(x=[",
            "setup(x={'a'",
            "'''",
            "\\",
            "setup(x=ü'ö'",
            "a='\\",
        ] {
            read(code);
        }
        read(&format!("setup(x={}", "[".repeat(100_000)));
    }
}
