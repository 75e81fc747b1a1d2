//! What cargo is told: directives as values, printed in one place.
//!
//! Format: <https://doc.rust-lang.org/cargo/reference/build-scripts.html>.

use crate::cache::{self, Key};
use crate::config::Config;
use crate::error::{Error, Report};
use crate::{Artifact, Artifacts};
use crate::{loader, sections};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One line for cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    /// Run the build script again when the file, or anything below the folder,
    /// changes. Only for paths that exist: a missing one reruns for ever.
    RerunIfChanged(PathBuf),
    /// Run the build script again when the variable changes.
    RerunIfEnvChanged(&'static str),
    /// Set a variable for `env!` in the consumer.
    Env(&'static str, String),
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
            // A newline would end the directive.
            Self::Warning(text) => write!(f, "cargo::warning={}", text.replace('\n', " ")),
        }
    }
}

/// All lines, in the order given, each once.
///
/// # Errors
/// [`Error::Io`] when a value holds a newline, which cargo's line format cannot
/// carry.
pub(crate) fn render(directives: &[Directive]) -> Result<String, Error> {
    let mut lines: Vec<String> = Vec::with_capacity(directives.len());
    for directive in directives {
        let line = directive.to_string();
        if line.contains(['\n', '\r']) {
            return Err(Error::Io(
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
/// As [`render`], and [`Error::Io`] when stdout is closed.
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
/// [`Error::Io`] when it is not UTF-8: cargo reads the protocol as UTF-8.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Io(
            Report::new(format!("`{}` is not valid UTF-8", path.display()))
                .hint("cargo's build-script protocol is UTF-8: move the project or target folder"),
        )
    })
}

/// A file for the consumer to include.
pub(crate) struct Output<'a> {
    pub(crate) path: PathBuf,
    pub(crate) content: &'a [u8],
    pub(crate) digest: Key,
    /// Whether it was made by an earlier build.
    pub(crate) cached: bool,
}

/// Writes the outputs, but for files that hold these bytes already: an unchanged
/// modification time spares cargo's dependents work.
///
/// # Errors
/// [`Error::Io`]; the old files, if any, are untouched unless renaming fails half-way.
pub(crate) fn publish(outputs: &[Output<'_>]) -> Result<Vec<Artifact>, Error> {
    let written = outputs.iter().map(|Output { path, content, .. }| {
        let same = std::fs::metadata(path).is_ok_and(|old| old.len() == content.len() as u64)
            && std::fs::read(path).is_ok_and(|old| old == *content);
        let write = || cache::written_beside(path, &[content]);
        let written = (!same).then(write).transpose();
        written.map_err(|e| Error::io("write", path, e))
    });
    // All of them, before the first takes its place.
    let written = written.collect::<Result<Vec<_>, Error>>()?;
    for (file, output) in written.into_iter().zip(outputs) {
        if let Some(file) = file {
            file.persist(&output.path)
                .map_err(|e| Error::io("write", &output.path, e.error))?;
        }
    }
    let artifact = |output: &Output<'_>| Artifact {
        path: output.path.clone(),
        bytes: output.content.len() as u64,
        sha256: output.digest.to_string(),
        cached: output.cached,
    };
    Ok(outputs.iter().map(artifact).collect())
}

/// An empty component in place of Python, and where there should be native code
/// nothing in its place, so that `include_bytes!` and `include!` compile.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn placeholder(
    out_dir: &Path,
    config: &Config,
    reason: &str,
) -> Result<Artifacts, Error> {
    say(&format!("placeholder only: {reason}"));
    let wasm = out_dir.join(&config.output);
    let mut contents = vec![(wasm.clone(), sections::Kind::Component.header().to_vec())];
    if config.precompile.is_some() {
        let text = loader::placeholder(reason).into_bytes();
        contents.push((wasm.with_extension("cwasm"), Vec::new()));
        contents.push((wasm.with_extension("rs"), text));
    }
    let outputs = contents.iter().map(|(path, content)| Output {
        path: path.clone(),
        content,
        digest: Key::of(content),
        cached: false,
    });
    Ok(Artifacts {
        files: publish(&outputs.collect::<Vec<_>>())?,
        stdlib: None,
        site_packages: None,
        warnings: Vec::new(),
        placeholder: Some(reason.to_owned()),
    })
}

/// The variables the consumer reads with `env!`.
///
/// # Errors
/// [`Error::Io`] when a path is not UTF-8.
pub(crate) fn variables(artifacts: &Artifacts) -> Result<Vec<Directive>, Error> {
    let wasm = artifacts.python_wasm();
    // Empty where there is none: `env!` fails on a missing one.
    let folder = |folder: &Option<PathBuf>| folder.as_deref().map_or(Ok(String::new()), text);
    let native = match artifacts.python_cwasm() {
        Some(code) => (text(&code.path)?, code.sha256.clone()),
        None => Default::default(),
    };
    Ok(vec![
        Directive::Env("ERYX_PYTHON_WASM", text(&wasm.path)?),
        Directive::Env("ERYX_PYTHON_WASM_SHA256", wasm.sha256.clone()),
        Directive::Env("ERYX_PYTHON_CWASM", native.0),
        Directive::Env("ERYX_PYTHON_CWASM_SHA256", native.1),
        Directive::Env("ERYX_PYTHON_STDLIB", folder(&artifacts.stdlib)?),
        Directive::Env("ERYX_SITE_PACKAGES", folder(&artifacts.site_packages)?),
    ])
}

/// What the build found, as warnings of this crate.
pub(crate) fn warnings(artifacts: &Artifacts) -> Vec<Directive> {
    let warning = |text: &String| Directive::Warning(format!("eryx-preinit-build: {text}"));
    artifacts.warnings.iter().map(warning).collect()
}

/// The packages that a build spends its time in.
const HOT_PACKAGES: [&str; 10] = [
    "cranelift-codegen",
    "winch-codegen",
    "regalloc2",
    "smallvec",
    "wasmparser",
    "wasmtime-environ",
    "wasmtime-wizer",
    "sha2",
    "zstd-sys",
    "eryx-preinit-build",
];

/// Below this, an unoptimised build script is not worth a warning.
const SLOW: Duration = Duration::from_secs(4);

/// Warnings after a build that ran the pipeline.
pub(crate) fn advice(config: &Config, artifacts: &Artifacts, took: Duration) -> Vec<Directive> {
    let wasm = artifacts.python_wasm();
    let mut directives = Vec::new();
    if config.summary {
        directives.push(Directive::Warning(format!(
            "eryx-preinit-build: {} ({:.1} MB, {} import{}) {} in {:.1} s",
            config.output,
            wasm.bytes as f64 / 1e6,
            config.imports.len(),
            if config.imports.len() == 1 { "" } else { "s" },
            if wasm.cached {
                "from the cache"
            } else {
                "built"
            },
            took.as_secs_f64(),
        )));
    }
    if config.warn_unoptimized && env!("ERYX_PREINIT_OPT_LEVEL") == "0" && took > SLOW {
        directives.push(Directive::Warning(format!(
            "eryx-preinit-build took {:.0} s because cargo compiles build scripts without \
             optimisation; what helps is opt-level = 1 in [profile.dev.package] of the workspace \
             for {} (docs/performance.md, \"Make it fast\"; warn-unoptimized = false in \
             [package.metadata.eryx] hides this)",
            took.as_secs_f64(),
            HOT_PACKAGES.join(", "),
        )));
    }
    directives
}

/// Progress, on stderr: cargo shows it with `-vv` and when the build fails.
pub(crate) fn say(text: &str) {
    eprintln!("eryx-preinit-build: {text}");
}

/// Runs one stage and says how long it took.
pub(crate) fn timed<T>(stage: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    say(&format!("{stage}: {:.2?}", started.elapsed()));
    result
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
            Directive::Env("ERYX_PYTHON_WASM", "/out/python.wasm".into()),
            Directive::Warning("two\nlines".into()),
        ];
        assert_eq!(
            render(&directives).unwrap(),
            "cargo::rerun-if-changed=/a b/Cargo.toml\n\
             cargo::rerun-if-env-changed=DOCS_RS\n\
             cargo::rustc-env=ERYX_PYTHON_WASM=/out/python.wasm\n\
             cargo::warning=two lines\n"
        );
    }

    #[test]
    fn the_documents_have_the_profile_lines_of_the_warning() {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md"));
        let lines: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_suffix(".opt-level = 1"))
            .collect();
        assert_eq!(lines, HOT_PACKAGES);
    }

    #[test]
    fn when_one_output_cannot_be_written_all_stay_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let output = |name: &str, content: &'static [u8]| Output {
            path: dir.path().join(name),
            content,
            digest: Key::of(content),
            cached: false,
        };
        publish(&[output("a", b"old"), output("b", b"old")]).unwrap();
        publish(&[output("a", b"new"), output("none/b", b"new")]).unwrap_err();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
        let files = publish(&[output("a", b"new"), output("b", b"old")]).unwrap();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"new");
        assert_eq!(files[1].bytes, 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_newline_in_a_path_is_refused() {
        let error =
            render(&[Directive::RerunIfChanged("/a\ncargo::rustc-env=X=Y".into())]).unwrap_err();
        assert!(error.to_string().contains("cannot be told"), "{error}");
    }
}
