//! What is run before the snapshot, and what was noticed.

use crate::guest::draws::Draw;
use crate::guest::failure::Failure;
use crate::guest::guest::Guest;
use crate::guest::host::GuestSetup;
use crate::guest::watch::Watched;
use std::time::{Duration, Instant};

/// What to run before the snapshot.
pub(crate) struct Script<'a> {
    pub(crate) imports: &'a [String],
    /// `Config::on_restore`.
    pub(crate) on_restore: &'a [String],
    /// What runs after the imports.
    pub(crate) setup: Option<&'a Setup>,
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

/// What was noticed while the guest ran.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Files that are still open, by their paths in the guest.
    pub(crate) left_open: Vec<String>,
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
    pub(crate) setup: Duration,
    pub(crate) snapshot: Duration,
}

impl Guest {
    /// Runs what comes before the snapshot, but for what is left for instances to run.
    pub(crate) async fn run_script(
        &mut self,
        guest_setup: &GuestSetup<'_>,
        script: &Script<'_>,
    ) -> Result<(Timing, Observed), Failure> {
        let mut observed = Observed::default();
        let mut timing = Timing::default();
        // What start-up drew is CPython's own.
        self.store.data_mut().take_other_draws();
        if script.watch {
            self.watch().await?;
        }
        for (index, module) in script.imports.iter().enumerate() {
            let started = Instant::now();
            self.import(index, module, guest_setup).await?;
            timing.imports.push(started.elapsed());
            self.note_draws(&format!("import {module}"), &mut observed);
        }
        if let Some(setup) = script.setup {
            let started = Instant::now();
            self.set_up(setup, guest_setup).await?;
            timing.setup = started.elapsed();
            observed.left_result = self.left_result;
            self.note_draws(&setup.name, &mut observed);
        }
        self.import_hooks(script.on_restore).await?;
        if script.watch {
            self.before_snapshot().await?;
            observed.watched = self.watched().await?;
        }
        self.note_draws("on-restore", &mut observed);
        observed.left_open = self.store.data().left_open();
        Ok((timing, observed))
    }

    fn note_draws(&mut self, during: &str, observed: &mut Observed) {
        let bytes = self.store.data_mut().take_other_draws();
        if bytes > 0 {
            let during = during.to_owned();
            observed.draws.push(Draw { during, bytes });
        }
    }
}
