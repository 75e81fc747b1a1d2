//! The order of what comes before the snapshot.

use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
use crate::guest::script::{Draw, Observed, Script, Timing};
use std::time::Instant;

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
        if !script.trace {
            self.stop_tracing().await?;
        }
        if let Some(archive) = script.embedded {
            self.embed(archive).await?;
            self.store.data_mut().watch_files();
        }
        if script.watch {
            self.watch().await?;
        }
        // What came before is this crate's own.
        self.store.data().take_marks();
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
        timing.marks = self.store.data().take_marks();
        if script.watch {
            self.before_snapshot().await?;
            observed.watched = self.watched().await?;
        }
        self.note_draws("on-restore", &mut observed);
        observed.opened_by_path = self.store.data().opened_by_path();
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
