//! Progress, for verbose output.

use std::time::Instant;

/// Progress, on stderr: cargo shows it with `-vv` and when the build fails.
pub(crate) fn say(text: &str) {
    eprintln!("eryx-preinit-build: {text}");
}

/// Runs one stage and says how long it took.
pub(crate) fn timed<T>(stage: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    say(&format!("{stage}: {:.2?}", started.elapsed()));
    result
}
