//! The user's code: imports and set-up, and what to say when they fail.

use crate::error::{Report, Stage};
use crate::guest::diagnosis::{self, ENDED, EXITED};
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
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
        Err(Failure::Final(Stage::Import.error(report)))
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
        let Err(message) = self.run(&code, &setup.name, Stage::Setup).await? else {
            return Ok(());
        };
        let summary = format!("the set-up code `{}` failed", setup.name);
        let traceback = diagnosis::setup_traceback(&message, &setup.name, &setup.code);
        let report = self.report(summary, &setup.name, &message, guest_setup);
        Err(Failure::Final(
            Stage::Setup.error(report.traceback_text(traceback)),
        ))
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

#[cfg(test)]
mod tests {
    use crate::testing::{Plan, Workbench};

    /// Fills memory, so that none can grow any more, and frees what is needed for other code.
    const FULL: &str = "
hold = []
try:
    while True:
        hold.append(bytearray(1 << 16))
except MemoryError:
    pass
del hold[-64:]
";

    #[test]
    fn what_the_user_s_code_leaves_is_noticed() {
        let bench = Workbench::new("0.5.0");
        bench.module(
            "opener",
            Some("FILE = open('/python-stdlib/os.py')\ndef run():\n    pass\n"),
        );
        let set_up = |code| Plan {
            setup: Some(code),
            ..Plan::default()
        };
        let full = Plan {
            memory_limit: Some(64 << 20),
            ..set_up(FULL)
        };
        let opens = Plan {
            on_restore: &["opener:run"],
            ..Plan::default()
        };
        let plans = [
            full,
            set_up("result = [1]"),
            set_up("result = object()"),
            set_up("results = 1"),
            opens,
        ];
        let taken = bench.take(&plans).into_iter();
        let taken: Vec<_> = taken.map(|taken| taken.unwrap()).collect();
        let print = taken[0].restorable.execute(1, &["print(len(hold) > 400)"]);
        assert_eq!(print, [Ok("True\n".to_owned())]);
        let left_result: Vec<_> = taken
            .iter()
            .map(|taken| taken.observed.left_result)
            .collect();
        assert_eq!(left_result, [false, true, true, false, false]);
        let left_open: Vec<_> = taken
            .iter()
            .map(|taken| &taken.observed.left_open)
            .collect();
        assert_eq!(left_open[4][..], ["/python-stdlib/os.py"]);
        assert!(left_open[..4].iter().all(|open| open.is_empty()));
    }

    #[test]
    fn a_gap_in_a_file_counts() {
        let sparse = "
def sparse(name, at):
    with open('/tmp/' + name, 'wb') as file:
        file.seek(at)
        file.write(b'x')
sparse('a', 40 << 20)
try:
    sparse('b', 40 << 20)
except OSError as error:
    print(error.errno)
sparse('c', 10 << 20)
with open('/tmp/a', 'r+b') as file:
    file.seek(39 << 20)
    file.write(b'inside')
print('done')
";
        let printed = Workbench::new("0.5.0").fresh(&[sparse]);
        // ENOSPC, as WASI numbers it.
        assert_eq!(printed, [Ok("51\ndone\n".to_owned())]);
    }
}
