//! The user's code: imports and set-up, and what to say when they fail.

use crate::error::{Error, Report};
use crate::guest::diagnosis::{self, ENDED, EXITED};
use crate::guest::failure::Failure;
use crate::guest::guest::Guest;
use crate::guest::host::GuestSetup;
use crate::guest::script::Setup;

impl Guest {
    pub(crate) async fn import(
        &mut self,
        index: usize,
        module: &str,
        guest_setup: &GuestSetup<'_>,
    ) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        // A SystemExit that leaves `execute` would take the interpreter down, and
        // its traceback with it.
        let code = format!(
            "try:\n    import {module}\nexcept SystemExit as exit:\n    raise ImportError(f'{EXITED} \
             {{exit.code!r}}') from exit"
        );
        let Err(message) = self.execute(&code, &format!("import {module}")).await? else {
            return Ok(());
        };
        let summary = format!("cannot import `{module}` (imports[{index}])");
        let report = self.report(summary, module, &message, guest_setup);
        Err(Failure::Final(Error::Import(report)))
    }

    pub(crate) async fn set_up(
        &mut self,
        setup: &Setup,
        guest_setup: &GuestSetup<'_>,
    ) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        let (name, code) = (literal(&setup.name), literal(&setup.code));
        // An import may have bound any name in this namespace: `globals.py`, say.
        let code = format!(
            "def _eryx_preinit_set_up():
    global _eryx_preinit_set_up
    del _eryx_preinit_set_up
    from builtins import RuntimeError, SystemExit, compile, exec, globals
    try:
        exec(compile({code}, {name}, 'exec', dont_inherit=True), globals())
    except SystemExit as exit:
        raise RuntimeError(f'{ENDED} {{exit.code!r}}') from exit
_eryx_preinit_set_up()
"
        );
        let Err(message) = self.run(&code, &setup.name, Error::Setup).await? else {
            return Ok(());
        };
        let summary = format!("the set-up code `{}` failed", setup.name);
        let traceback = diagnosis::setup_traceback(&message, &setup.name, &setup.code);
        let report = self.report(summary, &setup.name, &message, guest_setup);
        Err(Failure::Final(Error::Setup(
            report.traceback_text(traceback),
        )))
    }

    /// What Python says about `what`, why, and what to do.
    pub(crate) fn report(
        &self,
        summary: String,
        what: &str,
        message: &str,
        guest_setup: &GuestSetup<'_>,
    ) -> Report {
        let host = self.store.data();
        let output = host.take_output();
        // Some runtimes print the traceback as well.
        let printed = output.trim_end();
        let printed = printed.strip_suffix(message.trim_end()).unwrap_or(printed);
        let mut report = Report::new(summary)
            .traceback_text(message)
            .output_text(printed);
        report = host.explain(report);
        if let Some(hint) = diagnosis::hint(
            what,
            message,
            host.memory_limit_reached(),
            &[guest_setup.stdlib, guest_setup.site_packages],
        ) {
            report = report.hint(hint);
        }
        report
    }
}

/// `text` as a string in Python source.
pub(crate) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 16);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}
