//! What an instance needs before its first code: fresh randomness, and the environment of
//! its host (`environment.rs`).
//!
//! A snapshot freezes whatever was seeded while it was made, and every instance
//! would draw the same numbers. So the last code executed before the snapshot
//! (`reseed.py`) looks for what the system's randomness has seeded, and leaves a
//! one-shot hook that seeds it again, from the randomness of the host that runs the
//! instance, before the instance's first code runs.
//!
//! Which generators those are follows from the numbers themselves: the host knows
//! every seed it gave out (`random.rs`), and a Mersenne Twister whose state lies on
//! the sequence of one of them was seeded by the system. A state on no such sequence
//! comes from a program's own seed, which is meant to give the same numbers always.

use crate::guest::environment;
use std::fmt::Write as _;

const SCRIPT: &str = include_str!("reseed.py");

/// How many blocks of 624 numbers to follow the sequences, all together, in search of
/// a generator: 12 million numbers drawn during set-up.
const BLOCKS: u32 = 20_000;

/// Imports the modules that `on_restore` names: importing them may seed something, too.
pub(crate) fn imports(on_restore: &[String]) -> String {
    if on_restore.is_empty() {
        return String::new();
    }
    // The user's namespace may hide built-in names.
    let mut code = String::from(
        "def _eryx_preinit_hooks():
    global _eryx_preinit_hooks
    del _eryx_preinit_hooks
    from builtins import ImportError, SystemExit, __import__, repr
    try:
",
    );
    for hook in on_restore {
        let (module, _) = hook.split_once(':').unwrap_or((hook, ""));
        let _ = writeln!(code, "        __import__('{module}')");
    }
    // One that leaves the interpreter takes it down.
    code.push_str(
        "    except SystemExit as exit:
        raise ImportError(repr(exit)) from exit
_eryx_preinit_hooks()
",
    );
    code
}

/// The code to execute last before the snapshot.
///
/// `seeds` are those given out (`Randomness::seeds`), `on_restore` is
/// `Config::on_restore`.
pub(crate) fn code(seeds: &[Vec<u8>], on_restore: &[String]) -> String {
    let mut code = String::from(
        "def _eryx_preinit_reseed():
    global _eryx_preinit_reseed
    del _eryx_preinit_reseed
    from builtins import compile, exec
    exec(compile('''",
    );
    code.push_str(SCRIPT);
    code.push_str("''', '<eryx-preinit-build>', 'exec'), {'seeds': [");
    for seed in seeds {
        // CPython takes an integer's 32-bit words from the lowest.
        code.push_str("0x");
        for byte in seed.iter().rev() {
            let _ = write!(code, "{byte:02x}");
        }
        code.push(',');
    }
    code.push_str("], 'hooks': [");
    for hook in on_restore {
        let (module, attribute) = hook.split_once(':').unwrap_or((hook, ""));
        let _ = write!(code, "('{module}', '{attribute}'),");
    }
    let _ = write!(code, "], 'blocks': {BLOCKS}, 'build': [");
    for (name, _) in environment::BUILD {
        let _ = write!(code, "'{name}',");
    }
    code.push_str("]})\n_eryx_preinit_reseed()\n");
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Plan, Workbench};
    use std::collections::HashMap;
    use wasmtime::component::Component;
    use wasmtime::{Config, Engine};

    /// What a program may do with randomness before the snapshot.
    const SEEDED: &str = "
import _random, gc, logging, random, tempfile, threading, uuid
from random import random as captured, gauss

own = random.Random()                       # seeded by the system, never used
used = random.Random()
for _ in range(5000):                       # … and used, over several blocks
    used.random()
used.gauss(0, 1)                            # leaves half a pair
class Sub(random.Random):
    pass
sub = Sub()
twister = _random.Random(7)
bare = _random.Random()                     # of no interest to the garbage collector
class Meta(type):
    def __eq__(self, other):
        return self is other
class Unhashable(metaclass=Meta):
    pass
odd = Unhashable()
fixed = random.Random(42)
fixed_sub = Sub('seed')
kept = random.Random(); kept.seed(b'x'); [kept.random() for _ in range(1000)]
random.random(); random.gauss(0, 1)
try:
    next(tempfile._get_candidate_names())
    tempfile.gettempdir()
except OSError:
    pass
uuid.uuid1()
gc.freeze()                                 # as one does before fork()
log = []
def restored():
    log.append(random.random())
";

    const DRAW: &str = "
import gc, logging, os, random, secrets, seeded, tempfile, uuid
print('module', random.getrandbits(64))
print('captured', seeded.captured())
print('gauss', seeded.gauss(0, 1))
print('own', seeded.own.random())
print('used', seeded.used.gauss(0, 1), seeded.used.random())
print('sub', seeded.sub.random())
print('bare', seeded.bare.random())
print('urandom', os.urandom(8).hex(), secrets.token_hex(8))
print('tempfile', next(tempfile._get_candidate_names()))
print('node', uuid.getnode())
print('clock', uuid.uuid1().clock_seq)
print('= fixed', seeded.fixed.random())
print('= fixed_sub', seeded.fixed_sub.random())
print('= kept', seeded.kept.random())
print('= twister', seeded.twister.random())
print('hook', seeded.log)
print('lazy', __import__('lazy').NUMBER, __import__('lazy').draw())
print('= compile', type(compile).__name__)
print('= frozen', gc.get_freeze_count() > 0)
";

    fn lines(printed: &str) -> HashMap<String, String> {
        let split = |line: &str| {
            let at = line
                .rfind(|c: char| c.is_alphabetic() || c == '_')
                .unwrap_or(0);
            let at = line[..=at]
                .find(' ')
                .filter(|_| !line.starts_with('='))
                .unwrap_or(at + 1);
            (line[..at].to_owned(), line[at..].to_owned())
        };
        printed.lines().map(split).collect()
    }

    fn fresh_on(version: &str) {
        let bench = Workbench::new(version);
        bench.module("seeded", Some(SEEDED));
        bench.module(
            "explicit",
            Some("import random\nrandom.seed(42)\nrandom.random()\n"),
        );
        bench.module("failing", Some("def restored():\n    import there\n"));
        bench.module("there", Some(""));
        // Seeded by the import that only `on-restore` asks for.
        bench.module(
            "lazy",
            Some("import random\nown = random.Random()\nNUMBER = 0\ndef hook():\n    pass\ndef draw():\n    return own.random()\n"),
        );
        let snapshots = bench.snapshots(&[
            (&["seeded"], &["lazy:hook", "seeded:restored"]),
            (&["explicit", "failing"], &["failing:restored"]),
        ]);
        let [seeded, explicit] = &snapshots[..] else {
            panic!("two snapshots");
        };

        let drawn = [1, 2].map(|entropy| {
            let printed = seeded.execute(entropy, &[DRAW]).remove(0).unwrap();
            assert!(
                printed.contains("= compile builtin_function_or_method"),
                "{printed}"
            );
            lines(&printed)
        });
        assert_eq!(drawn[0].len(), 19, "{drawn:?}");
        for (name, value) in &drawn[0] {
            let other = &drawn[1][name];
            assert_eq!(
                value == other,
                name.starts_with('='),
                "{name}: {value} {other}"
            );
        }

        // A program's own seed stays: the second number of the sequence comes next.
        let second = "import random\nnext = random.random()\nrandom.seed(42)\n\
                      random.random()\nprint(next == random.random())";
        assert_eq!(explicit.execute(1, &[second]), [Ok("True\n".to_owned())]);

        // No code runs where a hook failed, not even later.
        bench.module("there", None);
        for result in explicit.execute(1, &["print(1)", "print(2)"]) {
            let error = result.unwrap_err();
            assert!(error.contains("No module named 'there'"), "{error}");
        }

        // The first code's own error is shown as if nothing had been there.
        let error = seeded.execute(1, &["a b"]).remove(0).unwrap_err();
        assert!(error.contains("SyntaxError"), "{error}");
        assert!(!error.contains("eryx-preinit-build"), "{error}");
    }

    #[test]
    fn every_instance_of_runtime_0_5_draws_its_own_numbers() {
        fresh_on("0.5.0");
    }

    #[test]
    fn every_instance_of_runtime_0_14_draws_its_own_numbers() {
        fresh_on("0.14.0");
    }

    /// Names of this crate's code that set-up code hides, and modules that are stand-ins.
    const HOSTILE: &str = "
import sys
class StandIn:
    def __getattr__(self, name):
        return StandIn()
for name in 'tempfile', 'uuid', 'logging', '_random', 'random':
    sys.modules[name] = StandIn()
from re import *
exec = globals = hasattr = getattr = repr = list = sys = 1
SystemExit = ImportError = RuntimeError = __import__ = 1
";

    #[test]
    fn set_up_code_may_hide_every_name_and_replace_modules() {
        let bench = Workbench::new("0.5.0");
        bench.module(
            "pairs",
            Some(
                "import _random\nPAIR = (_random.Random(), ((_random.Random(), 1), 2))\n\
                 def first():\n    return PAIR[0].random()\n\
                 def second():\n    return PAIR[1][0][0].random()\n",
            ),
        );
        bench.module("globals", Some(""));
        let plan = Plan {
            imports: &["pairs", "globals", "random", "tempfile"],
            on_restore: &["pairs:first"],
            setup: Some(HOSTILE),
            ..Plan::default()
        };
        let taken = bench.take(&[plan]).remove(0).unwrap();
        let drawn = [1, 2].map(|entropy| {
            let code =
                "print(pairs.first())\nprint(pairs.second())\nprint(exec, compile.__module__)";
            let printed = taken
                .restorable
                .execute(entropy, &[code])
                .remove(0)
                .unwrap();
            printed.lines().map(str::to_owned).collect::<Vec<_>>()
        });
        // Generators in tuples, one inside another, which the collector does not list.
        assert_ne!(drawn[0][0], drawn[1][0]);
        assert_ne!(drawn[0][1], drawn[1][1]);
        assert_eq!(drawn[0][2], "1 re");
    }

    /// ```text
    /// cargo test --release --lib measure_the_first_code -- --ignored --nocapture
    /// ```
    #[test]
    #[ignore = "a measurement: it prints numbers and asserts nothing of them"]
    fn measure_the_first_code() {
        const PAIRS: usize = 500;
        let bench = Workbench::new("0.5.0");
        // Alike but for the hook: where things lie in memory is worth 100 µs.
        bench.module("fresh", Some("import random\nrandom.seed(None)\n"));
        bench.module("plain", Some("import random\nrandom.seed(1234)\n"));
        let snapshots = bench.snapshots(&[(&["fresh"], &[]), (&["plain"], &[])]);
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        config.epoch_interruption(true);
        config.max_wasm_stack(4 << 20).async_stack_size(8 << 20);
        let engine = Engine::new(&config).unwrap();
        let compiled: Vec<_> = snapshots
            .iter()
            .map(|snapshot| Component::new(&engine, &snapshot.whole).unwrap())
            .collect();
        // Pairs, each time with another one first: what drifts or comes first in a pair
        // weighs on both alike.
        let mut micros = [const { Vec::new() }; 6];
        for pair in 0..PAIRS {
            for which in [pair % 2, 1 - pair % 2] {
                let times = snapshots[which].time(&compiled[which], &["pass"; 3]);
                for (nth, took) in times.into_iter().enumerate() {
                    micros[2 * nth + which].push(took.as_secs_f64() * 1e6);
                }
            }
        }
        for (nth, code) in ["first", "second", "third"].into_iter().enumerate() {
            let [fresh, plain] = [&micros[2 * nth], &micros[2 * nth + 1]];
            let differences: Vec<f64> = fresh.iter().zip(plain).map(|(a, b)| a - b).collect();
            println!(
                "{code} code, medians: {:.0} µs re-seeding, {:.0} µs without; of the \
                 differences {:.0} µs, half of them between {:.0} and {:.0}",
                quantile(fresh, 0.5),
                quantile(plain, 0.5),
                quantile(&differences, 0.5),
                quantile(&differences, 0.25),
                quantile(&differences, 0.75),
            );
        }
    }

    fn quantile(values: &[f64], part: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * part) as usize]
    }

    #[test]
    fn modules_of_hooks_are_imported_and_may_not_leave_the_interpreter() {
        let code = imports(&["a.b:c.d".to_owned(), "e:f".to_owned()]);
        assert!(
            code.contains(
                "    try:\n        __import__('a.b')\n        __import__('e')\n    except SystemExit"
            ),
            "{code}"
        );
        assert_eq!(imports(&[]), "");
    }

    #[test]
    fn the_code_has_seeds_as_integers_and_hooks_as_pairs() {
        let code = code(&[vec![1, 0, 2]], &["a.b:c.d".to_owned()]);
        assert!(
            code.ends_with(
                "{'seeds': [0x020001,], 'hooks': [('a.b', 'c.d'),], 'blocks': 20000, 'build': \
                 ['PYTHONHOME','PYTHONPATH','PYTHONUNBUFFERED','PYTHONDONTWRITEBYTECODE',]})\n\
                 _eryx_preinit_reseed()\n"
            ),
            "{code}"
        );
        // It is written into a string literal.
        assert!(!SCRIPT.contains(['\\']) && !SCRIPT.contains("'''"));
    }
}
