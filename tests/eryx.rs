//! The other way to host: eryx's `Sandbox`, on an older Wasmtime, runs the same
//! component.

mod project;

use std::process::Command;

#[test]
fn eryx_0_5_runs_the_snapshot() {
    let cargo = |args: &[&str]| {
        Command::new(env!("CARGO"))
            .current_dir(project::root().join("tests/eryx-consumer"))
            .args(args)
            .arg("--locked")
            .env("CARGO_TARGET_DIR", project::shared("target"))
            .env("ERYX_PREINIT_CACHE_DIR", project::shared("cache"))
            // eryx's own Python, which its feature `embedded` would want to embed.
            .env("ERYX_PRECOMPILE_BOOTSTRAP", "1")
            // As build dependencies have it: eryx is one, too.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("CARGO_PROFILE_DEV_OPT_LEVEL")
            .output()
            .unwrap()
    };
    // This workspace's own `cargo fetch` does not cover eryx.
    if !cargo(&["fetch", "--offline"]).status.success() {
        let fetched = cargo(&["fetch"]);
        let stderr = String::from_utf8_lossy(&fetched.stderr);
        assert!(fetched.status.success(), "{stderr}");
    }
    // Compiled at start; from native code that eryx made in build.rs, in the program
    // and beside it.
    for form in ["wasm", "bytes", "file"] {
        let output = cargo(&["run", "--offline", "--", form]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{form}: {stderr}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut numbers = Vec::new();
        for line in stdout.lines() {
            // One native extension came with the snapshot, one was imported just now.
            let expected = r#"{"restored": true, "native": [true, false, 1, 2]} "#;
            let number = line.strip_prefix(expected);
            numbers.push(number.unwrap_or_else(|| panic!("{form}: {stdout}\n{stderr}")));
        }
        assert!(!numbers.is_empty(), "{form}: {stderr}");
        // `random` was imported before the snapshot, and seeded again in each instance.
        let count = numbers.len();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "{form}: {stdout}");
    }
}
