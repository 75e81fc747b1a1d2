//! What every instance does before its first code, left behind and tried out.

use crate::error::{Report, Stage};
use crate::guest::failure::Failure;
use crate::guest::instance::Guest;
use crate::guest::random::SEEDS_MAX;
use crate::guest::reseed;

/// `pass`, and a look whether what waited in `compile` was called: a runtime that
/// compiles elsewhere would leave every instance with the same random numbers.
pub(crate) const RESTORED: &str = "
def _eryx_preinit_restored():
    global _eryx_preinit_restored
    del _eryx_preinit_restored
    import builtins
    from builtins import RuntimeError, hasattr
    if hasattr(builtins.compile, '_eryx_preinit_waits'):
        raise RuntimeError('this runtime does not run what seeds generators again')
_eryx_preinit_restored()
";

/// Runs what is registered with `snapshot_restore_py`, the last first.
const BEFORE_SNAPSHOT: &str = "
def _eryx_preinit_before_snapshot():
    global _eryx_preinit_before_snapshot
    del _eryx_preinit_before_snapshot
    import sys
    from builtins import RuntimeError, SystemExit, getattr, list, repr, reversed
    registered = getattr(sys.modules.get('snapshot_restore_py'), 'get_before_snapshot', list)
    try:
        for call, arguments, keywords in reversed(list(registered())):
            call(*arguments, **keywords)
    except SystemExit as exit:
        raise RuntimeError(repr(exit)) from exit
_eryx_preinit_before_snapshot()
";

impl Guest {
    /// Imports the modules that `on_restore` names: that may seed something, which has
    /// to be known when [`reseed`](Self::reseed) is called.
    pub(crate) async fn import_hooks(&mut self, on_restore: &[String]) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        let imports = reseed::imports(on_restore);
        if imports.is_empty() {
            return Ok(());
        }
        let imported = self.execute(&imports, "on-restore").await?;
        self.prepared(imported)
    }

    /// Runs what packages registered to run before the snapshot.
    pub(crate) async fn before_snapshot(&mut self) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        let Err(message) = self.execute(BEFORE_SNAPSHOT, "before the snapshot").await? else {
            return Ok(());
        };
        let host = self.store.data();
        let report = Report::new("a function registered with `register_before_snapshot` failed")
            .traceback_text(message)
            .output_text(host.take_output());
        Err(Failure::Final(Stage::Import.error(host.explain(report))))
    }

    /// Leaves what seeds again, in a restored instance, what was seeded so far, and
    /// runs what is to run there. Nothing may be executed behind it.
    pub(crate) async fn reseed(&mut self, on_restore: &[String]) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        if self.store.data().seeds_missed() {
            return Err(Failure::Final(
                Stage::Import.error(
                    Report::new(format!(
                        "more than {SEEDS_MAX} generators were seeded from the system's randomness"
                    ))
                    .note("each of them has to be found again, and seeded in every instance")
                    .hint("make them when they are needed, not in an import or the set-up"),
                ),
            ));
        }
        let code = reseed::code(self.store.data().seeds(), on_restore);
        let prepared = self.execute(&code, "on-restore").await?;
        self.prepared(prepared)
    }

    pub(crate) fn prepared(&self, result: Result<(), String>) -> Result<(), Failure> {
        result.map_err(|message| {
            Failure::Final(
                Stage::Import.error(
                    self.store
                        .data()
                        .explain(Report::new("cannot prepare what is to run on restore"))
                        .traceback_text(message)
                        .output_text(self.store.data().take_output())
                        .hint(
                            "each entry of `on-restore` names a module that can be imported and, \
                         behind a colon, something callable in it: \"numpy.random:seed\"",
                        ),
                ),
            )
        })
    }

    /// Runs code, after the state was finalized: as every instance will, with what
    /// `reseed` left behind. `hooks` says whether the user's functions run first.
    pub(crate) async fn works(&mut self, code: &str, hooks: bool) -> Result<(), Failure> {
        let Err(message) = self.execute(code, "pass").await? else {
            return Ok(());
        };
        let host = self.store.data();
        let failed = |summary: &str, hint: &str| {
            host.explain(Report::new(summary))
                .traceback_text(message)
                .output_text(host.take_output())
                .hint(hint)
        };
        Err(Failure::Final(if hooks {
            Stage::Import.error(failed(
                "an instance of the snapshot cannot run what `on-restore` names, or what is \
                 registered with `register_after_restore`",
                "it runs before the first code of each instance, which sees the mounts and \
                 nothing else; what `on-restore` names is called without arguments",
            ))
        } else {
            Stage::Transform.error(failed(
                "the finished snapshot cannot run `pass`",
                "please report this with the versions in use",
            ))
        }))
    }
}
