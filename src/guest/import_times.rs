//! What each import takes, and which objects are alive behind them.
//!
//! The guest's clock is made up, so the host measures: Python writes a line when a module
//! begins to load and when it has ended, and the host notes when each came. This runs in
//! an instance that is thrown away; the snapshot is of one without.

use crate::guest::alarm::block_on;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
use crate::guest::output::Mark;
use crate::guest::script::Script;
use serde::Serialize;
use std::time::Instant;
use wasmtime::component::Component;

const IMPORT_TIMES: &str = include_str!("import_times.py");
const LIVE_OBJECTS: &str = include_str!("live_objects.py");

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

/// The objects of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Objects {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) count: u64,
    /// As `sys.getsizeof` counts.
    pub(crate) bytes: u64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) imports: Vec<Import>,
    /// The largest first.
    pub(crate) objects: Vec<Objects>,
    /// How large the archive of what Python may import is, if there is one.
    pub(crate) embedded_bytes: Option<u64>,
    /// Why there is nothing, if it could not be measured.
    pub(crate) failed: Option<String>,
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
        let live = guest.execute(LIVE_OBJECTS, "live objects").await?;
        live.map_err(failed)?;
        Ok(Measured {
            imports: tree(&timing.marks),
            objects: objects(&guest.store.data().take_marks()),
            embedded_bytes: script.embedded.map(|archive| archive.len() as u64),
            failed: None,
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

fn objects(marks: &[Mark]) -> Vec<Objects> {
    let read = |(_, line): &Mark| {
        let mut parts = line.strip_prefix('o')?.split('\t');
        Some(Objects {
            kind: parts.next()?.to_owned(),
            count: parts.next()?.parse().ok()?,
            bytes: parts.next()?.parse().ok()?,
        })
    };
    let mut objects: Vec<_> = marks.iter().filter_map(read).collect();
    objects.sort_by(|a, b| (b.bytes, &a.kind).cmp(&(a.bytes, &b.kind)));
    objects
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

    #[test]
    fn the_largest_type_comes_first() {
        let now = Instant::now();
        let lines = ["oa\t1\t5", "ob\t2\t9", "obad\tx\t1", ">import"];
        let marks = lines.map(|line| (now, line.to_owned()));
        let objects = objects(&marks);
        let kinds: Vec<_> = objects.iter().map(|o| o.kind.as_str()).collect();
        assert_eq!(kinds, ["b", "a"]);
    }
}
