//! What the guest sees at build time: its mounts, a clock and randomness that are
//! the same in every build, and nothing else.
//!
//! Imports that are not WASI are answered by reflection on the component's type,
//! so that every version of the runtime's WIT works without knowing it.

use crate::error::{Error, Report};
use crate::guest::clock::{CountingClock, nanoseconds};
use crate::guest::filesystem::{self, Files, View};
use crate::guest::limits::MemoryLimit;
use crate::guest::output::Output;
use crate::guest::random::Randomness;
use crate::guest::stubs::define_stubs;
use std::path::Path;
use std::time::Duration;
use wasmtime::component::{Component, Linker, Resource, ResourceTable};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::filesystem::{WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::{Deterministic, FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Where the guest's time starts: 2025-01-01T00:00:00Z, unless `SOURCE_DATE_EPOCH`
/// (<https://reproducible-builds.org/specs/source-date-epoch/>) says otherwise.
pub(crate) const DEFAULT_EPOCH_SECONDS: u64 = 1_735_689_600;

/// Bytes of WASI's insecure randomness before it repeats; CPython uses none.
const INSECURE_RANDOM_BYTES: u64 = 4 << 10;

/// The instance of wasmtime-wasi that `os.urandom` and the seeds of generators come
/// from.
const RANDOM: &str = "wasi:random/random@0.2.12";
/// The one that waits.
const MONOTONIC_CLOCK: &str = "wasi:clocks/monotonic-clock@0.2.12";
/// And the one that hands out the mounts.
const FILESYSTEM_PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// What one run of the guest may use, and what it sees.
#[derive(Clone, Debug)]
pub(crate) struct GuestSetup<'a> {
    /// Mounted at /python-stdlib, read-only.
    pub(crate) stdlib: &'a Path,
    /// Mounted at /site-packages, read-only.
    pub(crate) site_packages: &'a Path,
    /// Seconds since 1970 at which the guest's clock starts.
    pub(crate) epoch_seconds: u64,
    /// What the guest's random stream is derived from.
    pub(crate) seed: [u8; 32],
    /// Largest linear memory in bytes.
    pub(crate) memory_limit: u64,
    /// Its environment variables.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Where the folder behind /tmp is made.
    pub(crate) scratch: &'a Path,
}

/// Store data of one run.
pub(crate) struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: MemoryLimit,
    pub(crate) output: Output,
    randomness: Randomness,
    clock: CountingClock,
    /// Behind `wasi`, which has the folder for /tmp open.
    files: Files,
}

impl Host {
    /// # Errors
    /// [`Error::Instantiate`] when a mount cannot be opened, [`Error::Io`] when
    /// there is no folder for /tmp.
    pub(crate) fn new(surroundings: &GuestSetup<'_>) -> Result<Self, Error> {
        let output = Output::default();
        let stream = |purpose: &[u8]| Randomness::new(&surroundings.seed, purpose);
        let wall_clock = CountingClock::new(Duration::from_secs(surroundings.epoch_seconds));
        let clock = wall_clock.starting_at_zero();
        let mut builder = WasiCtxBuilder::new();
        builder
            .envs(surroundings.environment)
            .stdout(output.clone())
            .stderr(output.clone())
            .insecure_random(Deterministic::new(
                stream(b"insecure")
                    .bytes(INSECURE_RANDOM_BYTES)
                    .unwrap_or_default(),
            ))
            .insecure_random_seed(stream(b"seed").word().into())
            .wall_clock(wall_clock)
            .monotonic_clock(clock.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .allow_blocking_current_thread(true);
        let files = Files::new(surroundings.epoch_seconds, surroundings.scratch)?;
        for (host, guest, permissions) in [
            (surroundings.stdlib, "/python-stdlib", FsPerms::ReadOnly),
            (
                surroundings.site_packages,
                "/site-packages",
                FsPerms::ReadOnly,
            ),
            (files.scratch(), "/tmp", FsPerms::ReadWrite),
        ] {
            builder
                .preopened_dir(host, guest, permissions)
                .map_err(|e| {
                    Error::Instantiate(
                        Report::new(format!("cannot mount `{}` at {guest}", host.display()))
                            .source(e),
                    )
                })?;
        }
        Ok(Self {
            wasi: builder.build(),
            table: ResourceTable::new(),
            limits: MemoryLimit {
                bytes: surroundings.memory_limit,
                reached: false,
            },
            output,
            randomness: stream(b"secure"),
            clock,
            files,
        })
    }

    /// Files and folders that the guest has opened and not closed, sorted.
    pub(crate) fn left_open(&self) -> Vec<String> {
        self.files.left_open(&self.table)
    }

    /// The host's folder behind /tmp.
    pub(crate) fn scratch(&self) -> &Path {
        self.files.scratch()
    }

    /// The store's memory limiter.
    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// Whether the guest asked for more memory than it may have.
    pub(crate) fn memory_limit_reached(&self) -> bool {
        self.limits.reached
    }

    /// `report`, with those limits the guest ran into that its own error may not
    /// tell.
    pub(crate) fn explain(&self, report: Report) -> Report {
        let report = self.files.explain(report);
        if self.limits.reached {
            report.note(format!(
                "it asked for more memory than memory-limit allows ({} MiB)",
                self.limits.bytes >> 20
            ))
        } else {
            report
        }
    }

    /// What the guest printed since the last call.
    pub(crate) fn take_output(&self) -> String {
        self.output.take()
    }

    /// The seeds that random number generators of the guest were given so far.
    pub(crate) fn seeds(&self) -> &[Vec<u8>] {
        self.randomness.seeds()
    }

    /// Whether there were more of them than are known.
    pub(crate) fn seeds_missed(&self) -> bool {
        self.randomness.seeds_missed()
    }

    /// Has the guest's clocks move on by `nanoseconds`, in no time.
    fn sleep(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clock.sleep(nanoseconds);
        monotonic_clock::Host::subscribe_duration(&mut WasiClocksView::clocks(self), 0)
    }

    /// The guest's files.
    pub(crate) fn view(&mut self) -> View<'_> {
        View {
            wasi: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            files: &mut self.files,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// A linker with WASI, and a stub for everything else `component` imports.
///
/// # Errors
/// [`Error::Instantiate`] when an import is of a kind no stub can stand for.
pub(crate) fn linker(engine: &Engine, component: &Component) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    define_wasi(&mut linker)
        .and_then(|()| define_stubs(&mut linker, engine, component))
        .map_err(|e| {
            Error::Instantiate(Report::new("cannot provide the component's imports").source(e))
        })?;
    Ok(linker)
}

fn define_wasi(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define_interfaces(linker)?;
    filesystem::define(linker)?;
    linker.allow_shadowing(true);
    let mut random = linker.instance(RANDOM)?;
    random.func_wrap("get-random-bytes", |mut store, (len,): (u64,)| {
        let host: &mut Host = store.data_mut();
        let bytes = host.randomness.bytes(len);
        let bytes = bytes.ok_or_else(|| wasmtime::format_err!("asked for {len} random bytes"))?;
        Ok((bytes,))
    })?;
    random.func_wrap("get-random-u64", |mut store, ()| {
        let host: &mut Host = store.data_mut();
        Ok((host.randomness.word(),))
    })?;
    let mut clock = linker.instance(MONOTONIC_CLOCK)?;
    clock.func_wrap("subscribe-duration", |mut store, (duration,): (u64,)| {
        let host: &mut Host = store.data_mut();
        Ok((host.sleep(duration)?,))
    })?;
    clock.func_wrap("subscribe-instant", |mut store, (when,): (u64,)| {
        let host: &mut Host = store.data_mut();
        let left = when.saturating_sub(nanoseconds(host.clock.peek()));
        Ok((host.sleep(left)?,))
    })?;
    linker
        .instance(FILESYSTEM_PREOPENS)?
        .func_wrap("get-directories", |mut store, (): ()| {
            let host: &mut Host = store.data_mut();
            let directories = preopens::Host::get_directories(&mut host.filesystem())?;
            for (descriptor, path) in &directories {
                host.files.mounted(descriptor.rep(), path);
            }
            Ok((directories,))
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What wasmtime-wasi implements, but for the sockets that [`define_stubs`] refuses:
/// a fifth of this crate's code would be their bindings, for a guest without network.
fn define_interfaces(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::filesystem::WasiFilesystem;
    use wasmtime_wasi::p2::bindings::{cli, filesystem, random, sockets};
    use wasmtime_wasi::random::WasiRandom;
    use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

    let l = linker;
    // Streams, clocks, randomness and standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    random::insecure::add_to_linker::<Host, WasiRandom>(l, |host| host.wasi.random())?;
    random::insecure_seed::add_to_linker::<Host, WasiRandom>(l, |host| host.wasi.random())?;
    cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Host, WasiSockets>(l, &options, Host::sockets)?;
    sockets::instance_network::add_to_linker::<Host, WasiSockets>(l, Host::sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::output::{OUTPUT_DROPPED, OUTPUT_LIMIT_BYTES};

    #[test]
    fn sleeping_takes_no_time_and_printing_no_memory() {
        // Its output comes as a list of bytes.
        let bench = crate::testing::Workbench::new("0.14.0");
        let sleep = "
import time
before, wall = time.monotonic(), time.time()
time.sleep(3600)
deadline = time.monotonic() + 3600
while time.monotonic() < deadline:
    time.sleep(60)
print(round(time.monotonic() - before, 1), round(time.time() - wall, 1))
";
        let started = std::time::Instant::now();
        let printed = bench.fresh(&[sleep, "print('x' * 3_000_000)"]);
        assert!(
            started.elapsed() < Duration::from_secs(600),
            "two hours for the guest"
        );
        assert_eq!(printed[0], Ok("7200.0 7200.0\n".to_owned()));
        let long = printed[1].as_ref().unwrap();
        assert_eq!(long.len(), OUTPUT_LIMIT_BYTES + OUTPUT_DROPPED.len());
    }
}
