//! The error every stage reports through.
//!
//! A build script that returns `Err` is printed by the standard library with
//! `Debug`, so `Debug` here is the report a person reads, and `Display` its
//! first line.

mod shown;

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

/// Where a build failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The `[package.metadata.eryx]` block or the [`Builder`](crate::Builder)
    /// holds something invalid. Every problem found is in the report.
    Config,
    /// `cargo metadata` failed, or the graph does not say which runtime to use.
    Graph,
    /// The runtime package or the standard library is missing or damaged.
    Runtime,
    /// The libraries could not be linked into one component.
    Link,
    /// Wasmtime refused its configuration on this host.
    Engine,
    /// The component could not be instrumented or compiled.
    Compile,
    /// The component could not be instantiated.
    Instantiate,
    /// A package could not be read, or does not go with the others.
    Packages,
    /// CPython failed while starting up.
    PythonInit,
    /// An import raised, exited, ran out of time or out of memory.
    Import,
    /// The code to run after the imports raised, exited, or ran out of time or
    /// memory.
    Setup,
    /// The snapshot could not be written back into a valid component.
    Transform,
    /// The snapshot could not be compiled to native code.
    Precompile,
    /// The cache directory could not be used.
    Cache,
    /// Reading or writing a file failed.
    Io,
}

impl Stage {
    /// Its name in reports and in verbose output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Graph => "graph",
            Self::Runtime => "runtime",
            Self::Link => "link",
            Self::Engine => "engine",
            Self::Compile => "compile",
            Self::Instantiate => "instantiate",
            Self::Packages => "packages",
            Self::PythonInit => "python-init",
            Self::Import => "import",
            Self::Setup => "setup",
            Self::Transform => "transform",
            Self::Precompile => "precompile",
            Self::Cache => "cache",
            Self::Io => "io",
        }
    }

    pub(crate) fn error(self, report: Report) -> Error {
        Error {
            stage: self,
            report,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What went wrong, and where.
///
/// `Display` is the one-line summary. `Debug` is the whole report: what, where, why and
/// what to do in at most 25 lines, and what does not fit these below `more:`, because
/// that is what `fn main() -> Result<(), eryx_preinit_build::Error>` prints.
pub struct Error {
    stage: Stage,
    report: Report,
}

impl Error {
    /// What went wrong, in the parts it was found in.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Where it went wrong.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        self.stage.error(self.report.note(note))
    }

    /// Says first of all that this was in `place`.
    pub(crate) fn in_place(self, place: impl Into<String>) -> Self {
        self.stage.error(self.report.first_note(place))
    }

    /// An I/O failure on `path` while doing `action` ("read", "create", …).
    pub(crate) fn io(action: &str, path: &Path, source: std::io::Error) -> Self {
        let hint = io_hint(&source);
        let report = Report::new(format!("cannot {action} `{}`", path.display())).source(source);
        Stage::Io.error(match hint {
            Some(hint) => report.hint(hint),
            None => report,
        })
    }
}

/// Runs code of another crate that is known to panic on input it does not expect: that
/// is an error of the build like others, and one to report.
///
/// # Errors
/// What the panic said.
pub(crate) fn caught<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, Report> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    // What `run` was given is not used again after a panic.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| panicked(what, &*panic))
}

/// What to say of a panic.
pub(crate) fn panicked(what: &str, panic: &(dyn std::any::Any + Send)) -> Report {
    let text = panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Report::new(format!("{what} panicked"))
        .note(text.unwrap_or_else(|| "it did not say why".to_owned()))
        .hint("please report this with the versions in use, and the extensions if there are any")
}

fn io_hint(source: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind as Kind;
    match source.kind() {
        Kind::StorageFull | Kind::QuotaExceeded => Some(
            "the disk is full: free some space, or point `cache-dir` at another disk; \
             what was built before is untouched",
        ),
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            Some("check that the build may write there; nothing built before was changed")
        }
        _ => None,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.report.0.summary)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eryx-preinit-build failed in stage {}: ", self.stage)?;
        f.write_str(&shown::shown(&self.report.0))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.report.0.source.as_ref();
        source.map(|source| &**source as &(dyn StdError + 'static))
    }
}

/// The text of an [`Error`], in the parts it was found in.
pub struct Report(Box<Parts>);

#[derive(Default)]
struct Parts {
    summary: String,
    notes: Vec<String>,
    traceback: Option<String>,
    output: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Report {
    pub(crate) fn new(summary: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            summary: summary.into(),
            ..Parts::default()
        }))
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }

    pub(crate) fn traceback_text(mut self, traceback: impl Into<String>) -> Self {
        self.0.traceback = Some(traceback.into());
        self
    }

    pub(crate) fn output_text(mut self, output: impl Into<String>) -> Self {
        let output = output.into();
        if !output.trim().is_empty() {
            self.0.output = Some(output);
        }
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// One line: what failed, on which input.
    pub fn summary(&self) -> &str {
        &self.0.summary
    }

    /// Further findings, one item each (for `Config`: every problem, with its
    /// TOML key path).
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// Python's own traceback, where there is one.
    pub fn traceback(&self) -> Option<&str> {
        self.0.traceback.as_deref()
    }

    /// What the guest wrote to stdout and stderr before the failure, if
    /// anything.
    pub fn output(&self) -> Option<&str> {
        self.0.output.as_deref()
    }

    /// What to do next, where we know.
    pub fn help(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What is to be known first, such as where that was.
    fn first_note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.insert(0, note.into());
        self
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown::shown(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::shown::{SHOWN_BYTES, shortened};
    use super::*;

    #[test]
    fn debug_is_the_whole_report() {
        let error = Stage::Import.error(
            Report::new("cannot import `nope`")
                .traceback_text("Traceback:\n  ModuleNotFoundError: nope\n")
                .output_text("hello\n")
                .source(std::io::Error::other("inner"))
                .hint("install it"),
        );
        assert_eq!(
            format!("{error:?}"),
            "eryx-preinit-build failed in stage import: cannot import `nope`\n\n    \
             Traceback:\n      ModuleNotFoundError: nope\n\n  the guest printed:\n    hello\n  \
             caused by: inner\n\n  help: install it"
        );
        assert_eq!(error.to_string(), "import: cannot import `nope`");
        assert_eq!(StdError::source(&error).unwrap().to_string(), "inner");
    }

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = Error::io(
            "write",
            Path::new("/x/y"),
            std::io::Error::from(std::io::ErrorKind::StorageFull),
        );
        assert!(error.report().help().unwrap().contains("disk is full"));
        assert_eq!(error.stage(), Stage::Io);
    }

    #[test]
    fn endless_text_is_cut_in_the_middle() {
        let text = format!(
            "{}ü{}",
            "a".repeat(SHOWN_BYTES / 2 - 1),
            "b".repeat(1 << 20)
        );
        let report = format!("{:?}", Report::new("x").traceback_text(text));
        assert!(report.len() < SHOWN_BYTES + 1000, "{}", report.len());
        assert!(
            report.contains("[… 1009 KiB left out …]"),
            "{}",
            report.len()
        );
        assert_eq!(shortened("short"), "short");
    }

    #[test]
    fn a_panic_of_another_crate_is_a_report() {
        let report = caught("linker", || -> u8 { panic!("{} ends", "all") }).unwrap_err();
        assert_eq!(report.summary(), "linker panicked");
        assert_eq!(report.notes(), ["all ends"]);
        assert_eq!(caught("linker", || 7).ok(), Some(7));
    }

    #[test]
    fn empty_output_is_left_out() {
        let report = Report::new("x").output_text("  \n");
        assert_eq!(report.output(), None);
    }
}
