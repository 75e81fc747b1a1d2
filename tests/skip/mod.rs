//! Tests that cannot run everywhere.

use std::io::Write;

/// Says that a part of a test does not run here, past the test's captured output. With
/// `ERYX_PREINIT_NO_SKIPS` set, as CI does, that is a failure.
#[track_caller]
pub fn skipped(what: &str, why: &str) {
    #[expect(clippy::disallowed_methods, reason = "a switch for the tests alone")]
    let strict = std::env::var_os("ERYX_PREINIT_NO_SKIPS").is_some();
    assert!(!strict, "{what} cannot run here: {why}");
    // Not `eprintln!`, which tests capture.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "skipped: {what}, since {why}").unwrap();
}
