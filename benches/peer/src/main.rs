//! Times this crate against its peer, `eryx_runtime::preinit::pre_initialize`
//! 0.5.0, on the same runtime and imports, alternating, in one process.
//!
//! ```text
//! cargo run --manifest-path benches/peer/Cargo.toml              # opt-level 0, as build scripts are
//! cargo run --manifest-path benches/peer/Cargo.toml --release    # optimised
//! ```
//!
//! An argument sets the number of rounds (3). Prints the median of each.

use anyhow::{Context, Result};
use eryx_preinit_build::Builder;
use peer::{IMPORTS, pre_initialize, runtime_folder};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let rounds = match std::env::args().nth(1) {
        Some(rounds) => rounds.parse().context("the argument is a number of rounds")?,
        None => 3,
    };
    let runtime = runtime_folder()?;
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut sizes = (0, 0);
    let mut sha256 = String::new();
    for _ in 0..rounds {
        let out = tempfile::tempdir()?;
        let mut builder = Builder::new(out.path(), &runtime);
        builder.config.imports = IMPORTS.map(String::from).to_vec();
        let (cold, artifacts) = timed(|| builder.build())?;
        sizes.0 = artifacts.component.bytes;
        sha256.clone_from(&artifacts.component.sha256);
        let (warm, _) = timed(|| builder.build())?;
        builder.config.imports.push("csv".into());
        let (imports, _) = timed(|| builder.build())?;
        let stdlib = artifacts.stdlib.context("a standard library")?;
        let (peer, wasm) = timed(|| pre_initialize(&stdlib))?;
        sizes.1 = wasm.len() as u64;
        for (list, time) in times.iter_mut().zip([cold, imports, warm, peer]) {
            list.push(time);
        }
    }
    let [cold, imports, warm, peer] = times.map(median);
    println!("opt-level {}, runtime 0.5.0, imports {IMPORTS:?}, median of {rounds}", opt_level());
    println!("peer, all                 {:>9.2} s   {:>5.1} MB", peer.as_secs_f64(), sizes.1 as f64 / 1e6);
    println!("this crate, cold          {:>9.2} s   {:>5.1} MB", cold.as_secs_f64(), sizes.0 as f64 / 1e6);
    println!("  ratio                   {:>9.2} x", peer.as_secs_f64() / cold.as_secs_f64());
    println!("this crate, one import more {:>7.2} s", imports.as_secs_f64());
    println!("this crate, nothing changed {:>7.1} ms", warm.as_secs_f64() * 1e3);
    println!("python.wasm, at either opt-level: SHA-256 {sha256}");
    Ok(())
}

fn opt_level() -> &'static str {
    if cfg!(debug_assertions) { "0" } else { "3" }
}

fn timed<T, E: Into<anyhow::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T)> {
    let started = Instant::now();
    let value = work().map_err(Into::into)?;
    Ok((started.elapsed(), value))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
