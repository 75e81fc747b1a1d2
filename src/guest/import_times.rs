//! What each import takes, and which objects are alive behind them.
//!
//! The guest's clock is made up, so the host measures: Python writes a line when a module
//! begins to load and when it has ended, and the host notes when each came. This runs in
//! an instance that is thrown away; the snapshot is of one without.

use crate::guest::alarm::block_on;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
use crate::guest::live_objects::{self, Module, Objects};
use crate::guest::output::Mark;
use crate::guest::script::Script;
use serde::Serialize;
use std::time::Instant;
use wasmtime::component::Component;

const IMPORT_TIMES: &str = include_str!("import_times.py");

/// A module that was loaded, and those that were because of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Since the first import began.
    pub(crate) start_ms: f64,
    /// Without that of the imports in it.
    pub(crate) own_ms: f64,
    pub(crate) cumulative_ms: f64,
    pub(crate) imports: Vec<Import>,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) imports: Vec<Import>,
    /// The largest first.
    pub(crate) objects: Vec<Objects>,
    pub(crate) modules: Vec<Module>,
}

/// Runs the script in an instance of its own.
pub(crate) fn measure(
    component: &Component,
    guest_setup: &GuestSetup<'_>,
    script: &Script<'_>,
) -> Result<Measured, Failure> {
    let failed = |message| Failure::of_own_code("imports cannot be measured", message);
    block_on(async {
        let mut guest = Guest::start(component, guest_setup, script.timeout).await?;
        guest.store.data().listen();
        let times = guest.execute(IMPORT_TIMES, "import times").await?;
        times.map_err(failed)?;
        let (timing, _) = guest.run_script(guest_setup, script).await?;
        guest.store.data().take_marks();
        let live = guest.execute(live_objects::SCRIPT, "live objects").await?;
        live.map_err(failed)?;
        let marks = guest.store.data().take_marks();
        Ok(Measured {
            imports: tree(&timing.marks),
            objects: live_objects::objects(&marks),
            modules: live_objects::modules(&marks),
        })
    })
}

/// The imports as they were nested. What did not end, or did not begin, is left out.
fn tree(marks: &[Mark]) -> Vec<Import> {
    let mut done = Vec::new();
    let mut open: Vec<(Instant, Import)> = Vec::new();
    let Some(&(zero, _)) = marks.first() else {
        return done;
    };
    let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e3;
    for (at, line) in marks {
        if let Some(name) = line.strip_prefix('>') {
            let import = Import {
                name: name.to_owned(),
                start_ms: ms(zero, *at),
                ..Import::default()
            };
            open.push((*at, import));
        } else if line == "<"
            && let Some((from, mut import)) = open.pop()
        {
            import.cumulative_ms = ms(from, *at);
            let inner: f64 = import.imports.iter().map(|i| i.cumulative_ms).sum();
            import.own_ms = (import.cumulative_ms - inner).max(0.0);
            let parent = open.last_mut();
            parent
                .map_or(&mut done, |(_, parent)| &mut parent.imports)
                .push(import);
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_begins_inside_another_is_nested() {
        let zero = Instant::now();
        let mark = |ms, line: &str| (zero + Duration::from_millis(ms), line.to_owned());
        let marks = [
            mark(0, ">a"),
            mark(10, ">a.b"),
            mark(30, "<"),
            mark(40, "<"),
            mark(41, "<"),
            mark(50, ">c"),
        ];
        let imports = tree(&marks);
        assert_eq!(imports.len(), 1, "{imports:?}");
        assert_eq!((imports[0].cumulative_ms, imports[0].own_ms), (40.0, 20.0));
        assert_eq!(imports[0].imports[0].name, "a.b");
        assert_eq!(imports[0].imports[0].start_ms, 10.0);
    }
}
