//! The other way to host: eryx's `Sandbox`, on an older Wasmtime, runs the same
//! component.

mod project;

use std::process::Command;

#[test]
fn eryx_0_5_runs_the_snapshot() {
    let output = Command::new(env!("CARGO"))
        .current_dir(project::root())
        .args(["run", "--offline", "-p", "eryx-consumer"])
        .env("CARGO_TARGET_DIR", project::shared("target"))
        .env("ERYX_PREINIT_CACHE_DIR", project::shared("cache"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "{\"ok\": true, \"restored\": true}\n",
        "{stderr}"
    );
}
