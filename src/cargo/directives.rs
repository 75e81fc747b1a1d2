//! What cargo is told: directives as values, printed in one place.
//!
//! Format: <https://doc.rust-lang.org/cargo/reference/build-scripts.html>.

use crate::artifacts::{Artifact, Artifacts};
use crate::config::variable_prefix;
use crate::error::{Error, Report, Stage};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One line for cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    /// Run the build script again when the file, or anything below the folder,
    /// changes. Only for paths that exist: a missing one reruns for ever.
    RerunIfChanged(PathBuf),
    /// Run the build script again when the variable changes.
    RerunIfEnvChanged(&'static str),
    /// Set a variable for `env!` in the consumer.
    Env(String, String),
    /// Show a warning (for path packages; cargo hides those of dependencies).
    Warning(String),
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RerunIfChanged(path) => {
                write!(f, "cargo::rerun-if-changed={}", path.display())
            }
            Self::RerunIfEnvChanged(name) => write!(f, "cargo::rerun-if-env-changed={name}"),
            Self::Env(name, value) => write!(f, "cargo::rustc-env={name}={value}"),
            Self::Warning(text) => write!(f, "cargo::warning={}", shown(text)),
        }
    }
}

/// `text` in one line that a terminal shows as it is: line breaks end a directive, and
/// other control characters, which packages can put into what is quoted of them, act on
/// terminals.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push(' '),
            // These turn the direction of text.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                shown.extend(c.escape_default());
            }
            c => shown.push(c),
        }
    }
    shown
}

/// All lines, in the order given, each once.
///
/// # Errors
/// [`Stage::Io`] when a value holds a newline, which cargo's line format cannot
/// carry.
pub(crate) fn render(directives: &[Directive]) -> Result<String, Error> {
    let mut lines: Vec<String> = Vec::with_capacity(directives.len());
    for directive in directives {
        let line = directive.to_string();
        if line.contains(['\n', '\r']) {
            return Err(Stage::Io.error(
                Report::new(format!("cargo cannot be told about {line:?}"))
                    .note("its build-script protocol is line by line, and this holds a newline")
                    .hint("rename the file or folder"),
            ));
        }
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// Prints the directives for cargo.
///
/// # Errors
/// As [`render`], and [`Stage::Io`] when stdout is closed.
pub(crate) fn print(directives: &[Directive]) -> Result<(), Error> {
    use std::io::Write;
    let text = render(directives)?;
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|e| Error::io("write", Path::new("<stdout>"), e))
}

/// `path` as text, for directives.
///
/// # Errors
/// [`Stage::Io`] when it is not UTF-8: cargo reads the protocol as UTF-8.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Stage::Io.error(
            Report::new(format!("`{}` is not valid UTF-8", path.display()))
                .hint("cargo's build-script protocol is UTF-8: move the project or target folder"),
        )
    })
}

/// The output that a build script wrote first.
static FIRST: OnceLock<String> = OnceLock::new();

/// The variables the consumer reads with `env!`, named after the output: `ERYX_WEB_WASM`
/// for `web.wasm`. Those of `python.wasm` are also set for the first output of a build
/// script, whatever it is called.
///
/// # Errors
/// [`Stage::Io`] when a path is not UTF-8.
pub(crate) fn variables(artifacts: &Artifacts) -> Result<Vec<Directive>, Error> {
    let path = &artifacts.component.path;
    let output = path.file_stem().unwrap_or_default().to_string_lossy();
    let first = FIRST.get_or_init(|| output.to_string());
    variables_of(artifacts, &output, *first == output)
}

fn variables_of(artifacts: &Artifacts, output: &str, first: bool) -> Result<Vec<Directive>, Error> {
    // Empty where there is none: `env!` fails on a missing one.
    let folder = |folder: &Option<PathBuf>| folder.as_deref().map_or(Ok(String::new()), text);
    let native = match &artifacts.native {
        Some(code) => (text(&code.path)?, code.sha256.clone()),
        None => Default::default(),
    };
    let file = |file: &Option<Artifact>| match file {
        Some(file) => text(&file.path),
        None => Ok(String::new()),
    };
    let site_packages = folder(&artifacts.site_packages)?;
    let values = [
        ("WASM", text(&artifacts.component.path)?),
        ("WASM_SHA256", artifacts.component.sha256.clone()),
        ("CWASM", native.0),
        ("CWASM_SHA256", native.1),
        ("WASM_ZST", file(&artifacts.component_zst)?),
        ("CWASM_ZST", file(&artifacts.native_zst)?),
        ("STDLIB", folder(&artifacts.stdlib)?),
        ("SITE_PACKAGES", site_packages.clone()),
    ];
    let mut prefixes = vec![variable_prefix(output)];
    if first && prefixes[0] != PYTHON {
        prefixes.push(PYTHON.to_owned());
    }
    let mut directives = Vec::new();
    for prefix in prefixes {
        let named = values
            .iter()
            .map(|(name, value)| (format!("{prefix}{name}"), value));
        directives.extend(named.map(|(name, value)| Directive::Env(name, value.clone())));
        if prefix == PYTHON {
            let name = "ERYX_SITE_PACKAGES".to_owned();
            directives.push(Directive::Env(name, site_packages.clone()));
        }
    }
    Ok(directives)
}

const PYTHON: &str = "ERYX_PYTHON_";

/// A warning of this crate.
pub(crate) fn warning(text: String) -> Directive {
    Directive::Warning(format!("eryx-preinit-build: {text}"))
}

/// What the build found, as warnings of this crate.
pub(crate) fn warnings(artifacts: &Artifacts) -> Vec<Directive> {
    artifacts.warnings.iter().cloned().map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_printed_once_and_in_order() {
        let directives = [
            Directive::RerunIfChanged("/a b/Cargo.toml".into()),
            Directive::RerunIfEnvChanged("DOCS_RS"),
            Directive::RerunIfChanged("/a b/Cargo.toml".into()),
            Directive::Env("ERYX_PYTHON_WASM".into(), "/out/python.wasm".into()),
            Directive::Warning("two\nlines, a\r and \u{1b}[1m".into()),
        ];
        assert_eq!(
            render(&directives).unwrap(),
            "cargo::rerun-if-changed=/a b/Cargo.toml\n\
             cargo::rerun-if-env-changed=DOCS_RS\n\
             cargo::rustc-env=ERYX_PYTHON_WASM=/out/python.wasm\n\
             cargo::warning=two lines, a\\r and \\u{1b}[1m\n"
        );
    }

    #[test]
    fn variables_are_named_after_the_output() {
        let artifacts = Artifacts {
            stdlib: Some("/out/stdlib".into()),
            ..Artifacts::of(Artifact {
                path: "/out/my-web.wasm".into(),
                bytes: 1,
                sha256: "d".into(),
                cached: false,
            })
        };
        let names = |first| -> Vec<String> {
            let directives = variables_of(&artifacts, "my-web", first).unwrap();
            let lines = directives.iter().map(ToString::to_string);
            lines
                .map(|line| line.replace("cargo::rustc-env=", ""))
                .filter(|line| line.contains("_WASM=") || line.contains("PACKAGES"))
                .collect()
        };
        let own = [
            "ERYX_MY_WEB_WASM=/out/my-web.wasm",
            "ERYX_MY_WEB_SITE_PACKAGES=",
        ];
        assert_eq!(names(false), own);
        let all = names(true);
        assert_eq!(all[..2], own);
        assert_eq!(
            all[2..],
            [
                "ERYX_PYTHON_WASM=/out/my-web.wasm",
                "ERYX_PYTHON_SITE_PACKAGES=",
                "ERYX_SITE_PACKAGES="
            ]
        );
    }

    #[test]
    fn control_characters_in_a_warning_are_shown() {
        let warning = Directive::Warning("a\r\u{1b}[2J\u{85}\tb\0 ü蛇\u{202e}x\nc".into());
        assert_eq!(
            render(&[warning]).unwrap(),
            "cargo::warning=a\\r\\u{1b}[2J\\u{85}\\tb\\u{0} ü蛇\\u{202e}x c\n"
        );
    }

    #[test]
    fn a_newline_in_a_path_is_refused() {
        let error =
            render(&[Directive::RerunIfChanged("/a\ncargo::rustc-env=X=Y".into())]).unwrap_err();
        assert!(error.to_string().contains("cannot be told"), "{error}");
    }
}
