//! Which objects are alive, by type and by module. `live_objects.py` counts them.

use crate::guest::output::Mark;
use serde::Serialize;

pub(crate) const SCRIPT: &str = include_str!("live_objects.py");

/// The objects of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Objects {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) count: u64,
    /// As `sys.getsizeof` counts.
    pub(crate) bytes: u64,
}

/// The objects of one module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Of these, that of code objects and their tables.
    pub(crate) bytecode: u64,
}

/// The types, the largest first.
pub(crate) fn objects(marks: &[Mark]) -> Vec<Objects> {
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

/// The modules, the largest first. What is no module's has no name.
pub(crate) fn modules(marks: &[Mark]) -> Vec<Module> {
    let read = |(_, line): &Mark| {
        let mut parts = line.strip_prefix('m')?.split('\t');
        Some(Module {
            name: parts.next()?.to_owned(),
            count: parts.next()?.parse().ok()?,
            bytes: parts.next()?.parse().ok()?,
            bytecode: parts.next()?.parse().ok()?,
        })
    };
    let mut modules: Vec<_> = marks.iter().filter_map(read).collect();
    modules.sort_by(|a, b| (b.bytes, &a.name).cmp(&(a.bytes, &b.name)));
    modules
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn marks(lines: &[&str]) -> Vec<Mark> {
        let now = Instant::now();
        lines.iter().map(|&line| (now, line.to_owned())).collect()
    }

    #[test]
    fn the_largest_comes_first_and_what_is_no_count_is_left_out() {
        let marks = marks(&[
            "oa\t1\t5",
            "ob\t2\t9",
            "obad\tx\t1",
            ">import",
            "m\t1\t1\t0",
            "mb\t4\t7\t2",
            "mbad\t1\t1",
        ]);
        let objects = objects(&marks);
        let kinds: Vec<_> = objects.iter().map(|o| o.kind.as_str()).collect();
        assert_eq!(kinds, ["b", "a"]);
        let modules = modules(&marks);
        let names: Vec<_> = modules.iter().map(|m| (&*m.name, m.bytecode)).collect();
        assert_eq!(names, [("b", 2), ("", 0)]);
    }
}
