//! Who draws from the system's randomness before the snapshot.
//!
//! What a module makes of it (a key, a token, an id) is the same in every instance,
//! and everybody who has the inputs of the build can compute it. The host sees every
//! request, and knows which are seeds of generators that are seeded again
//! (`random.rs`). It does not see who asks: when there was such a request, an instance
//! that is thrown away runs the same once more, with an `os.urandom` that looks at its
//! callers. The snapshot is of an instance without.

use crate::guest::alarm::block_on;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
use crate::guest::script::{Draw, Script};
use std::collections::{BTreeMap, BTreeSet};
use wasmtime::component::Component;

const DRAWS: &str = include_str!("draws.py");
const DRAWN: &str = include_str!("drawn.py");

/// More places than these are not listed.
const PLACES_SHOWN: usize = 8;

/// Where in Python something was drawn: outside the standard library, if it was
/// called from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    module: String,
    file: String,
    line: u32,
}

/// Runs the script in an instance of its own, and returns who drew what.
pub(crate) fn places(
    component: &Component,
    guest_setup: &GuestSetup<'_>,
    script: &Script<'_>,
) -> Result<Vec<Place>, Failure> {
    block_on(async {
        let mut guest = Guest::start(component, guest_setup, script.timeout).await?;
        guest.watch_draws().await?;
        guest.run_script(guest_setup, script).await?;
        guest.places().await
    })
}

impl Guest {
    /// Has `os.urandom` write down who called it.
    pub(crate) async fn watch_draws(&mut self) -> Result<(), Failure> {
        let failed = |message| Failure::of_own_code("randomness cannot be watched", message);
        self.execute(DRAWS, "draws").await?.map_err(failed)
    }

    /// What was written down.
    pub(crate) async fn places(&mut self) -> Result<Vec<Place>, Failure> {
        let failed = |message| Failure::of_own_code("randomness cannot be watched", message);
        self.store.data_mut().take_output();
        self.execute(DRAWN, "draws").await?.map_err(failed)?;
        let text = self.store.data().take_output();
        Ok(text.lines().filter_map(parse).collect())
    }
}

fn parse(line: &str) -> Option<Place> {
    let mut parts = line.split('\t');
    let place = Place {
        module: parts.next()?.to_owned(),
        file: parts.next()?.to_owned(),
        line: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(place)
}

/// What to warn about: one text a module, or, where nobody was found, one for all.
///
/// `restoring` are modules with a function that runs on restore: these draw again.
pub(crate) fn warnings(draws: &[Draw], places: &[Place], restoring: &[&str]) -> Vec<String> {
    if draws.is_empty() {
        return Vec::new();
    }
    if places.is_empty() {
        let during: Vec<_> = draws
            .iter()
            .map(|draw| format!("`{}` ({} bytes)", draw.during, draw.bytes))
            .collect();
        return vec![format!(
            "the system's randomness is drawn during {}, by whom could not be found: {FROZEN}; \
             draw it when it is first needed, or again in a function that `on-restore` names",
            during.join(", ")
        )];
    }
    let mut modules: BTreeMap<(&str, &str), BTreeSet<u32>> = BTreeMap::new();
    for place in places {
        let module = (place.module.as_str(), place.file.as_str());
        modules.entry(module).or_default().insert(place.line);
    }
    modules.retain(|(module, _), _| !restoring.contains(module));
    let left_out = modules.len().saturating_sub(PLACES_SHOWN);
    let mut warnings: Vec<String> = modules
        .into_iter()
        .take(PLACES_SHOWN)
        .map(|((module, file), lines)| {
            let word = if lines.len() == 1 { "line" } else { "lines" };
            let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
            format!(
                "`{module}` draws from the system's randomness before the snapshot ({file}, {word} \
                 {}): {FROZEN}; draw it when it is first needed, or again in a function that \
                 `on-restore` names, as \"{module}:FUNCTION\"",
                lines.join(", ")
            )
        })
        .collect();
    if left_out > 0 {
        warnings.push(format!("{left_out} more modules draw, too"));
    }
    warnings
}

const FROZEN: &str = "what it is used for is the same in every instance, and who has the inputs \
                      of the build can compute it";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Plan, Taken, Workbench};

    #[test]
    fn a_module_is_named_once_with_its_lines() {
        let draws = [Draw {
            during: "import app".to_owned(),
            bytes: 24,
        }];
        let places: Vec<Place> = [
            "app\t/site-packages/app.py\t7",
            "app\t/site-packages/app.py\t3",
            "lib\t/site-packages/lib.py\t1",
            "a line that the program printed",
            "a\tb\tc",
            "a\tb\t1\tmore",
        ]
        .into_iter()
        .filter_map(parse)
        .collect();
        assert_eq!(places.len(), 3);
        let warnings = |restoring: &[&str]| warnings(&draws, &places, restoring);
        let both = warnings(&[]);
        assert_eq!(both.len(), 2);
        assert!(
            both[0].contains("(/site-packages/app.py, lines 3, 7)"),
            "{both:?}"
        );
        assert!(both[0].contains("\"app:FUNCTION\""), "{both:?}");
        let one = warnings(&["app"]);
        assert!(one.len() == 1 && one[0].starts_with("`lib`"), "{one:?}");
        assert_eq!(warnings(&["app", "lib"]), [""; 0]);
    }

    #[test]
    fn without_a_place_it_is_said_what_was_running() {
        let draw = |during: &str, bytes| Draw {
            during: during.to_owned(),
            bytes,
        };
        assert_eq!(warnings(&[], &[], &[]), [""; 0]);
        let said = warnings(&[draw("import a", 16), draw("warm.py", 8)], &[], &["a"]);
        assert!(
            said[0].contains("`import a` (16 bytes), `warm.py` (8 bytes)"),
            "{said:?}"
        );
    }

    /// A module whose secrets are made when it is imported, and one that draws again.
    const SECRETS: &str = "import os, secrets, uuid
KEY = secrets.token_hex(16)
INSTANCE = uuid.uuid4()
NONCE = os.urandom(8)
import again
";
    const AGAIN: &str = "import os
from snapshot_restore_py import register_after_restore
@register_after_restore
def draw():
    global KEY
    KEY = os.urandom(16)
draw()
";

    #[test]
    fn who_makes_a_secret_before_the_snapshot_is_named() {
        let bench = Workbench::new("0.5.0");
        bench.module("app_secrets", Some(SECRETS));
        bench.module("again", Some(AGAIN));
        bench.module(
            "hook",
            Some("import os\nNONCE = os.urandom(300)\ndef run():\n    pass\n"),
        );
        let plans = [
            Plan {
                imports: &["json", "app_secrets", "tempfile"],
                setup: Some("import random\n\nPIN = random.SystemRandom().random()\n"),
                on_restore: &["hook:run"],
                ..Plan::default()
            },
            // Generators that are seeded again, and a set of text with its hash secret.
            Plan {
                imports: &["random", "tempfile", "uuid"],
                setup: Some("import random\nown = random.Random()\n{'a', 'b'}"),
                ..Plan::default()
            },
        ];
        let taken = bench.take(&plans);
        let [Ok(secrets), Ok(seeds)] = &taken[..] else {
            panic!("{:?}", taken.into_iter().find_map(Result::err));
        };
        let draws = secrets.observed.draws.iter();
        let during: Vec<_> = draws
            .map(|draw| (draw.during.as_str(), draw.bytes))
            .collect();
        assert_eq!(
            during,
            [
                ("import app_secrets", 16 + 16 + 8 + 16),
                ("warm.py", 7),
                ("on-restore", 300)
            ]
        );
        let places = |taken: &Taken<'_>| -> Vec<(String, String, u32)> {
            let places = taken.places.iter();
            places
                .map(|p| (p.module.clone(), p.file.clone(), p.line))
                .collect()
        };
        let place = |module: &str, file: &str, line| (module.to_owned(), file.to_owned(), line);
        assert_eq!(
            places(secrets),
            [
                place("app_secrets", "/site-packages/app_secrets.py", 2),
                place("app_secrets", "/site-packages/app_secrets.py", 3),
                place("app_secrets", "/site-packages/app_secrets.py", 4),
                place("again", "/site-packages/again.py", 6),
                place("__main__", "warm.py", 3),
                place("hook", "/site-packages/hook.py", 2),
            ]
        );
        assert_eq!(secrets.observed.watched.restoring, ["again"]);
        assert_eq!(seeds.observed.draws, []);
    }
}
