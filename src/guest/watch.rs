//! What packages ask the import system for, and who registers to run on restore.

use crate::guest::failure::Failure;
use crate::guest::instance::Guest;
use crate::guest::script::Watched;
use crate::guest::user_code::literal;

const WATCH: &str = include_str!("watch.py");
const WATCHED: &str = include_str!("watched.py");

const UNWATCHED: &str = "the import system cannot be watched";

/// `snapshot_restore_py`, for packages that register functions with it.
const SNAPSHOT_RESTORE: &str = include_str!("snapshot_restore.py");

fn parse(text: &str) -> Watched {
    let mut watched = Watched::default();
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("miss", name)) => watched.misses.push(name.to_owned()),
            Some(("restore", name)) => watched.restoring.push(name.to_owned()),
            _ => {}
        }
    }
    watched
}

impl Guest {
    /// Has the import system write down what is asked for.
    pub(crate) async fn watch(&mut self) -> Result<(), Failure> {
        let code = format!(
            "{WATCH}\n_eryx_preinit_watch({})\n",
            literal(SNAPSHOT_RESTORE)
        );
        self.execute(&code, "import hook")
            .await?
            .map_err(|message| Failure::of_own_code(UNWATCHED, message))
    }

    /// What was written down; the import system is left as it was.
    pub(crate) async fn watched(&mut self) -> Result<Watched, Failure> {
        self.store.data_mut().take_output();
        self.execute(WATCHED, "import hook")
            .await?
            .map_err(|message| Failure::of_own_code(UNWATCHED, message))?;
        Ok(parse(&self.store.data().take_output()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Plan, Workbench};

    const REGISTERS: &str = "
from snapshot_restore_py import register_after_restore, register_before_snapshot
log = []
@register_before_snapshot
def first():
    log.append('before, first')
register_before_snapshot(log.append, 'before, second')
@register_after_restore
def restored():
    log.append('after, first')
register_after_restore(lambda *a, **k: log.append(('after', a, k)), 1, key=2)
def hook():
    log.append('on-restore')
";
    const LOG: &str = "['before, second', 'before, first', 'after, first', \
                       ('after', (1,), {'key': 2}), 'on-restore']\n";

    #[test]
    fn what_is_registered_runs_before_the_snapshot_and_in_every_instance() {
        let bench = Workbench::new("0.5.0");
        bench.module("registers", Some(REGISTERS));
        bench.module(
            "fails",
            Some(
                "import snapshot_restore_py\n@snapshot_restore_py.register_before_snapshot\n\
                 def fail():\n    raise SystemExit(3)\n",
            ),
        );
        let plan = |imports| Plan {
            imports,
            ..Plan::default()
        };
        let hooked = Plan {
            on_restore: &["registers:hook"],
            ..plan(&["registers"])
        };
        let mut taken = bench.take(&[hooked, plan(&["fails"]), plan(&["json"])]);
        let nobody = taken.remove(2).unwrap();
        let error = format!("{:?}", taken.remove(1).map(drop).unwrap_err());
        assert!(
            error.contains("`register_before_snapshot` failed"),
            "{error}"
        );
        assert!(error.contains("SystemExit(3)"), "{error}");
        let registers = taken.remove(0).unwrap();
        assert_eq!(registers.observed.watched.restoring.len(), 2);
        let print = "import registers\nprint(registers.log)";
        // Once, in each instance.
        for entropy in [1, 2] {
            let log = registers.restorable.execute(entropy, &[print, print]);
            assert_eq!(log, [Ok(LOG.to_owned()), Ok(LOG.to_owned())]);
        }
        // Where nobody asks for it, it is not there, and the import system as it was.
        let code = "import sys\nprint([f.__name__ for f in sys.meta_path if 'ryx' in f.__name__])\n\
                    import snapshot_restore_py";
        let error = nobody.restorable.execute(1, &[code]).remove(0).unwrap_err();
        assert!(
            error.contains("No module named 'snapshot_restore_py'"),
            "{error}"
        );

        // An installed package of that name comes first, and its functions run as well.
        let own = format!("{SNAPSHOT_RESTORE}\nINSTALLED = True\n");
        bench.module("snapshot_restore_py", Some(&own));
        let installed = bench.take(&[hooked]).remove(0).unwrap();
        let code = "import registers, snapshot_restore_py\nprint(registers.log)\n\
                    print(snapshot_restore_py.INSTALLED)";
        let printed = installed.restorable.execute(1, &[code]);
        assert_eq!(printed, [Ok(format!("{LOG}True\n"))]);
    }

    #[test]
    fn what_the_guest_printed_beside_it_is_no_module() {
        let watched = parse("hello\nmiss a._b\nrestore a.c\nmiss\n");
        assert_eq!(watched.misses, ["a._b"]);
        assert_eq!(watched.restoring, ["a.c"]);
    }
}
