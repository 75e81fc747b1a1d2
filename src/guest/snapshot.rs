//! Instrument → instantiate → import → finalize → snapshot.
//!
//! wasmtime-wizer adds exports that read every memory and global, and writes
//! what it read there into a component that starts in that state. It is given the
//! component without function bodies (`hot.rs`).

use crate::error::{Error, Report};
use crate::guest::engine::Compiler;
use crate::guest::failure::Failure;
use crate::guest::guest::{Guest, RESTORED, block_on};
use crate::guest::host::GuestSetup;
use crate::guest::script::{Observed, Script, Timing};
use crate::wasm::environ;
use std::time::{Duration, Instant};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wizer::{ComponentContext, Wizer};

/// A component ready to be snapshotted.
pub(crate) struct Instrumented<'a> {
    context: ComponentContext<'a>,
    /// The instrumented component, still without bodies.
    pub(crate) skeleton: Vec<u8>,
    /// Where C code has its environment variables.
    environ: Option<u32>,
}

/// # Errors
/// [`Error::Compile`] when the component is invalid, or does what a snapshot
/// cannot capture.
pub(crate) fn instrument(skeleton: &[u8]) -> Result<Instrumented<'_>, Error> {
    let failed = |report: Report| Error::Compile(report);
    let summary = "cannot instrument the component";
    let environ = environ::address(skeleton).map_err(|e| failed(Report::new(summary).source(e)))?;
    let (context, skeleton) = Wizer::new()
        .instrument_component(skeleton)
        .map_err(|e| failed(Report::new(summary).source(e)))?;
    Ok(Instrumented {
        context,
        skeleton,
        environ,
    })
}

/// Starts Python, runs the script, and returns the snapshot, without bodies.
pub(crate) fn take(
    instrumented: &Instrumented<'_>,
    component: &Component,
    surroundings: &GuestSetup<'_>,
    script: &Script<'_>,
) -> Result<(Vec<u8>, Timing, Observed), Failure> {
    block_on(async {
        let mut observed = Observed::default();
        let mut timing = Timing::default();
        let started = Instant::now();
        let mut guest = Guest::start(component, surroundings, script.timeout).await?;
        timing.start = started.elapsed();
        if !script.trace {
            guest.stop_tracing().await?;
        }
        if script.watch_misses {
            guest.watch_misses().await?;
        }
        for (index, module) in script.imports.iter().enumerate() {
            let started = Instant::now();
            guest.import(index, module, surroundings).await?;
            timing.imports.push(started.elapsed());
        }
        if let Some(setup) = script.setup {
            let started = Instant::now();
            guest.set_up(setup, surroundings).await?;
            timing.setup = started.elapsed();
        }
        if script.watch_misses {
            observed.misses = guest.misses().await?;
        }
        observed.left_open = guest.store.data().left_open();
        // Nothing may be executed behind it.
        guest.reseed(script.on_restore).await?;
        guest.finalize().await?;
        guest.forget_environment(instrumented.environ);
        let started = Instant::now();
        let snapshot = Wizer::new()
            .snapshot_component(&instrumented.context, &mut guest)
            .await
            .map_err(|e| {
                Failure::Final(Error::Transform(
                    Report::new("cannot write the snapshot").source(e),
                ))
            })?;
        timing.snapshot = started.elapsed();
        observed.environment_forgotten = guest.environment_forgotten;
        guest.works(RESTORED, script.on_restore).await?;
        Ok((snapshot, timing, observed))
    })
}

/// Runs `scripts`, and `failing` ones, which raise, and returns the snapshot.
#[cfg(test)]
pub(crate) fn record(
    instrumented: &Instrumented<'_>,
    component: &Component,
    surroundings: &GuestSetup<'_>,
    scripts: &[String],
    failing: &[&str],
    finalize: bool,
) -> Result<Vec<u8>, Failure> {
    block_on(async {
        let mut guest = Guest::start(component, surroundings, Duration::from_secs(600)).await?;
        for script in scripts {
            if let Err(message) = guest.execute(script, "script").await? {
                panic!("{message}");
            }
        }
        for script in failing {
            guest.execute(script, "script").await?.unwrap_err();
        }
        if finalize {
            // The hook is called behind the snapshot, which is too late to be recorded.
            let on_restore = ["random:seed".to_owned()];
            guest.reseed(&on_restore).await?;
            guest.works(RESTORED, &on_restore).await?;
            guest.reseed(&[]).await?;
            guest.finalize().await?;
        }
        let snapshot = Wizer::new()
            .snapshot_component(&instrumented.context, &mut guest)
            .await;
        Ok(snapshot.unwrap())
    })
}

/// What a script printed, or why it failed, and how long it took.
#[cfg(test)]
pub(crate) type Executed = (Result<String, String>, Duration);

/// Executes `scripts` one after another in one instance.
#[cfg(test)]
pub(crate) fn execute(
    component: &Component,
    surroundings: &GuestSetup<'_>,
    scripts: &[&str],
) -> Result<Vec<Executed>, Failure> {
    block_on(async {
        let mut guest = Guest::start(component, surroundings, Duration::from_secs(600)).await?;
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

/// Instantiates a finished snapshot and runs `pass` in it.
pub(crate) fn smoke_test(
    component: &Component,
    surroundings: &GuestSetup<'_>,
    on_restore: &[String],
    timeout: Duration,
) -> Result<(), Failure> {
    block_on(async {
        let mut guest = Guest::start(component, surroundings, timeout).await?;
        guest.works("pass", on_restore).await
    })
}

/// Compiles a component for one run.
///
/// # Errors
/// [`Error::Compile`] with Wasmtime's reason.
pub(crate) fn compile(
    engine: &Engine,
    compiler: Compiler,
    component: &[u8],
) -> Result<Component, Error> {
    Component::new(engine, component).map_err(|e| {
        Error::Compile(
            Report::new(format!("{} cannot compile the component", compiler.name())).source(e),
        )
    })
}
