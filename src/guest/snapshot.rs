//! Instrument → instantiate → import → finalize → snapshot.
//!
//! wasmtime-wizer adds exports that read every memory and global, and writes
//! the globals into a component that starts in that state. It is given the component
//! without function bodies and contents of memories, which come back later
//! (`wasm/complete.rs`).

use crate::error::{Error, Report, Stage, caught};
use crate::guest::alarm::block_on;
use crate::guest::engine::Compiler;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::instance::Guest;
use crate::guest::restore::RESTORED;
use crate::guest::script::{Observed, Script, Timing};
use crate::wasm::complete::{self, Bare};
use crate::wasm::environ;
#[cfg(test)]
use crate::{guest::bytecode, packages::bytecode::Source};
use std::time::{Duration, Instant};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wizer::{ComponentContext, Wizer};

/// A component ready to be snapshotted.
pub(crate) struct Instrumented<'a> {
    pub(crate) context: ComponentContext<'a>,
    /// The instrumented component, still without bodies.
    pub(crate) skeleton: Vec<u8>,
    /// Where C code has its environment variables.
    environ: Option<u32>,
}

/// Instruments what [`complete::bare`] made of `component`.
///
/// # Errors
/// [`Stage::Compile`] when the component is invalid, or does what a snapshot
/// cannot capture.
pub(crate) fn instrument<'a>(bare: &'a [u8], component: &[u8]) -> Result<Instrumented<'a>, Error> {
    let failed = |report: Report| Stage::Compile.error(report);
    let summary = "cannot instrument the component";
    let not_understood = |e: anyhow::Error| failed(Report::new(summary).source(e));
    let environ = environ::address(bare).map_err(not_understood)?;
    let instrument = || Wizer::new().instrument_component(bare);
    let (context, skeleton) = caught("wasmtime-wizer", instrument)
        .map_err(failed)?
        .map_err(|e| failed(Report::new(summary).source(e)))?;
    let skeleton = complete::with_memories(&skeleton, component).map_err(not_understood)?;
    Ok(Instrumented {
        context,
        skeleton,
        environ,
    })
}

/// Starts Python, runs the script, and returns the snapshot, which is to be completed.
pub(crate) fn take(
    instrumented: &Instrumented<'_>,
    component: &Component,
    guest_setup: &GuestSetup<'_>,
    script: &Script<'_>,
) -> Result<(Bare, Timing, Observed), Failure> {
    block_on(async {
        let started = Instant::now();
        let mut guest = Guest::start(component, guest_setup, script.timeout).await?;
        let start = started.elapsed();
        guest.check_isolation()?;
        let (mut timing, mut observed) = guest.run_script(guest_setup, script).await?;
        timing.start = start;
        guest.clean().await?;
        // Nothing may be executed behind it.
        guest.reseed(script.on_restore).await?;
        guest.finalize().await?;
        guest.forget_environment(instrumented.environ);
        let started = Instant::now();
        let snapshot = guest.snapshot(&instrumented.context).await?;
        timing.snapshot = started.elapsed();
        observed.environment_forgotten = guest.environment_forgotten;
        guest.works(RESTORED, observed.hooks(script)).await?;
        Ok((snapshot, timing, observed))
    })
}

/// Runs `scripts`, has `sources` compiled, and returns the snapshot. With `failing` ones,
/// which raise, also does all that comes before a snapshot.
#[cfg(test)]
pub(crate) fn record(
    instrumented: &Instrumented<'_>,
    component: &Component,
    guest_setup: &GuestSetup<'_>,
    archive: Option<&[u8]>,
    scripts: &[String],
    sources: &[Source],
    failing: Option<&[&str]>,
) -> Result<Bare, Failure> {
    block_on(async {
        let mut guest = Guest::start(component, guest_setup, Duration::from_secs(600)).await?;
        if let Some(archive) = archive {
            guest.embed(archive).await?;
        }
        for script in scripts {
            if let Err(message) = guest.execute(script, "script").await? {
                panic!("{message}");
            }
        }
        for script in failing.unwrap_or_default() {
            guest.execute(script, "script").await?.unwrap_err();
        }
        if !sources.is_empty() {
            bytecode::call_guest(&mut guest, sources).await?;
        }
        if failing.is_some() {
            // What runs beside packages and set-up code, and finds who draws.
            guest.watch_draws().await?;
            guest.watch().await?;
            let asks = "import os, snapshot_restore_py\nos.urandom(8)";
            guest.execute(asks, "script").await?.unwrap();
            guest.before_snapshot().await?;
            guest.watched().await?;
            guest.places().await?;
            guest.clean().await?;
            // The hook is called behind the snapshot, which is too late to be recorded.
            let on_restore = ["random:seed".to_owned()];
            guest.import_hooks(&on_restore).await?;
            guest.reseed(&on_restore).await?;
            guest.works(RESTORED, true).await?;
            guest.reseed(&[]).await?;
            guest.finalize().await?;
        }
        guest.snapshot(&instrumented.context).await
    })
}

/// What a script printed, or why it failed, and how long it took.
#[cfg(test)]
pub(crate) type Executed = (Result<String, String>, Duration);

/// Executes `scripts` one after another in one instance.
#[cfg(test)]
pub(crate) fn execute(
    component: &Component,
    guest_setup: &GuestSetup<'_>,
    scripts: &[&str],
) -> Result<Vec<Executed>, Failure> {
    block_on(async {
        let mut guest = Guest::start(component, guest_setup, Duration::from_secs(600)).await?;
        let mut results = Vec::new();
        for script in scripts {
            let started = Instant::now();
            let result = guest.execute(script, "script").await?;
            let took = started.elapsed();
            let printed = guest.store.data().take_output();
            results.push((result.map(|()| printed), took));
        }
        Ok(results)
    })
}

/// Instantiates a finished snapshot and runs `pass` in it, behind the user's functions
/// if there are `hooks`.
pub(crate) fn smoke_test(
    component: &Component,
    guest_setup: &GuestSetup<'_>,
    hooks: bool,
    timeout: Duration,
) -> Result<(), Failure> {
    block_on(async {
        let mut guest = Guest::start(component, guest_setup, timeout).await?;
        guest.works("pass", hooks).await
    })
}

/// Compiles a component for one run.
///
/// # Errors
/// [`Stage::Compile`] with Wasmtime's reason.
pub(crate) fn compile(
    engine: &Engine,
    compiler: Compiler,
    component: &[u8],
) -> Result<Component, Error> {
    Component::new(engine, component).map_err(|e| {
        Stage::Compile.error(
            Report::new(format!("{} cannot compile the component", compiler.name())).source(e),
        )
    })
}
