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
            .output()
            .unwrap()
    };
    // This workspace's own `cargo fetch` does not cover eryx.
    if !cargo(&["fetch", "--offline"]).status.success() {
        let fetched = cargo(&["fetch"]);
        let stderr = String::from_utf8_lossy(&fetched.stderr);
        assert!(fetched.status.success(), "{stderr}");
    }
    let output = cargo(&["run", "--offline"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        "{\"ok\": true, \"restored\": true}",
        "{stderr}"
    );
}
