//! The other way to host: eryx's `Sandbox`, on an older Wasmtime, runs the same
//! component.

mod project;

use std::process::{Command, Output};
use std::sync::Once;

fn cargo(args: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .current_dir(project::root().join("tests/eryx-consumer"))
        .args(args)
        .env("CARGO_TARGET_DIR", project::shared("target"))
        .env("ERYX_PREINIT_CACHE_DIR", project::shared("cache"))
        // eryx's own Python, which its feature `embedded` would want to embed.
        .env("ERYX_PRECOMPILE_BOOTSTRAP", "1")
        // As build dependencies have it: eryx is one, too.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env_remove("CARGO_PROFILE_DEV_OPT_LEVEL")
        .output()
        .unwrap()
}

/// What the consumer prints that loads Python in this form, and runs this script in it.
fn run(form: &str, script: &str) -> String {
    static FETCH: Once = Once::new();
    FETCH.call_once(|| {
        // This workspace's own `cargo fetch` does not cover eryx.
        if !cargo(&["fetch", "--locked", "--offline"]).status.success() {
            let fetched = cargo(&["fetch", "--locked"]);
            let stderr = String::from_utf8_lossy(&fetched.stderr);
            assert!(fetched.status.success(), "{stderr}");
        }
    });
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    let output = cargo(&["run", "--locked", "--offline", "--", form, script, empty]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{form}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn eryx_0_5_runs_the_snapshot() {
    // Compiled at start; from native code that eryx made in build.rs, in the program
    // and beside it; and without a folder to import from.
    for form in ["wasm", "bytes", "file", "alone"] {
        let stdout = run(form, "state");
        let mut numbers = Vec::new();
        for line in stdout.lines() {
            // One native extension came with the snapshot, one was imported just now.
            let expected = r#"{"restored": true, "native": [true, false, 1, 2]} "#;
            let number = line.strip_prefix(expected);
            numbers.push(number.unwrap_or_else(|| panic!("{form}: {stdout}")));
        }
        assert!(!numbers.is_empty(), "{form}");
        // `random` was imported before the snapshot, and seeded again in each instance.
        let count = numbers.len();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "{form}: {stdout}");
    }
}

#[test]
fn every_module_imports_in_eryx_without_a_folder_as_it_does_with_one() {
    let [alone, mounted] = ["alone", "mounted"].map(|form| run(form, "modules"));
    let pairs = alone.lines().zip(mounted.lines());
    let others: Vec<_> = pairs.filter(|(alone, mounted)| alone != mounted).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(alone.lines().count(), mounted.lines().count());
    assert!(alone.lines().count() > 500, "{alone}");
}
