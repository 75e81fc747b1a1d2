//! What is run before the snapshot, and what was noticed.

use crate::guest::output::Mark;
use std::time::Duration;

/// What to run before the snapshot.
pub(crate) struct Script<'a> {
    pub(crate) imports: &'a [String],
    /// What Python is to import from memory: an archive (`packages/embed.rs`).
    pub(crate) embedded: Option<&'a [u8]>,
    /// `Config::on_restore`.
    pub(crate) on_restore: &'a [String],
    /// What runs after the imports.
    pub(crate) setup: Option<&'a Setup>,
    /// `Config::trace`.
    pub(crate) trace: bool,
    /// Whether to watch what packages, or the set-up, ask the import system for.
    pub(crate) watch: bool,
    /// For start-up, for each import, and for the set-up.
    pub(crate) timeout: Duration,
}

/// Code to run after the imports, in the namespace of the code that runs later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// The file name in tracebacks and code objects.
    pub(crate) name: String,
    pub(crate) code: String,
}

/// What the import system wrote down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Private modules of packages that were asked for and are not there: extensions
    /// that a package can do without are called so.
    pub(crate) misses: Vec<String>,
    /// Modules whose functions are registered to run on restore.
    pub(crate) restoring: Vec<String>,
}

/// Randomness drawn for something else than seeding a generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draw {
    /// What was running.
    pub(crate) during: String,
    pub(crate) bytes: u64,
}

/// What was noticed while the guest ran.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Files that are still open, by their paths in the guest.
    pub(crate) left_open: Vec<String>,
    /// A file of each package that opened one on its mount, though it is embedded.
    pub(crate) opened_by_path: Vec<String>,
    /// Whether instances see the environment variables of their host.
    pub(crate) environment_forgotten: bool,
    pub(crate) watched: Watched,
    pub(crate) draws: Vec<Draw>,
    /// Whether the set-up leaves a global `result`.
    pub(crate) left_result: bool,
}

impl Observed {
    /// Whether functions of the user's run in every instance.
    pub(crate) fn hooks(&self, script: &Script<'_>) -> bool {
        !script.on_restore.is_empty() || !self.watched.restoring.is_empty()
    }
}

/// How long the guest took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timing {
    pub(crate) start: Duration,
    pub(crate) imports: Vec<Duration>,
    /// What told the host of modules that were loaded, if it listens.
    pub(crate) marks: Vec<Mark>,
    pub(crate) setup: Duration,
    pub(crate) snapshot: Duration,
}
