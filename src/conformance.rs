//! Restored state is whole: the programs in `tests/conformance` print the same in
//! a Python that has just started and in one that was restored.
//!
//! `prepared.py` leaves behind whatever an import can: suspended generators, a
//! decimal context, weak references, warning filters, … In the fresh instance it
//! is imported by the first program, in the restored one it was before.

use crate::testing::Workbench;
use std::fs;
use std::path::Path;

/// How many instances are made of one snapshot.
const INSTANCES: usize = 3;

/// How often an instance runs all programs.
const ROUNDS: usize = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs, in the order of their names, each as one string to execute.
fn programs() -> Vec<(String, String)> {
    let mut programs: Vec<_> = fs::read_dir(root().join("tests/conformance"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .filter(|(name, _)| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    programs.sort();
    programs
}

#[test]
fn restored_instances_run_like_fresh_ones() {
    let bench = Workbench::new("0.5.0");
    let prepared = fs::read_to_string(root().join("tests/conformance/prepared.py")).unwrap();
    bench.module("prepared", Some(&prepared));
    let imports = ["prepared", "asyncio", "json", "re", "traceback", "argparse"];
    let programs = programs();
    let all: Vec<&str> = std::iter::repeat_n(&programs, ROUNDS)
        .flatten()
        .map(|(_, code)| code.as_str())
        .collect();
    let fresh = bench.fresh(&all);
    let restored = bench.snapshots(&[(&imports, &[])]).remove(0);
    let mut equal = 0;
    let mut problems = Vec::new();
    for instance in 0..INSTANCES {
        for (index, (expected, output)) in fresh.iter().zip(restored.execute(0, &all)).enumerate() {
            let (name, _) = &programs[index % programs.len()];
            let round = index / programs.len();
            // A program that fails alike in both says little.
            let whole = |printed: &String| printed.lines().count() > 2;
            if *expected == output && output.as_ref().is_ok_and(whole) {
                equal += 1;
            } else {
                problems.push(format!(
                    "{name} in instance {instance}, round {round}:\n{expected:?}\n{output:?}"
                ));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!("{equal} program runs in {INSTANCES} restored instances, all like the fresh one's");
}
