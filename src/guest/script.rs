//! What is run before the snapshot, and what was noticed.

use std::time::Duration;

/// What to run before the snapshot.
pub(crate) struct Script<'a> {
    pub(crate) imports: &'a [String],
    /// `Config::on_restore`.
    pub(crate) on_restore: &'a [String],
    /// What runs after the imports.
    pub(crate) setup: Option<&'a Setup>,
    /// `Config::trace`.
    pub(crate) trace: bool,
    /// Whether to watch for modules that packages try to import in vain.
    pub(crate) watch_misses: bool,
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

/// What was noticed while the guest ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Files that are still open, by their paths in the guest.
    pub(crate) left_open: Vec<String>,
    /// Whether instances see the environment variables of their host.
    pub(crate) environment_forgotten: bool,
    /// Private modules of packages that were asked for and are not there.
    pub(crate) misses: Vec<String>,
}

/// How long the guest took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timing {
    pub(crate) start: Duration,
    pub(crate) imports: Vec<Duration>,
    pub(crate) setup: Duration,
    pub(crate) snapshot: Duration,
}
