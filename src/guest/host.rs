//! What the guest sees at build time: its mounts, a clock and randomness that are
//! the same in every build, and nothing else.

use crate::error::{Error, Report, Stage};
use crate::guest::clock::{Clocks, CountingClock};
use crate::guest::filesystem::{Files, View};
use crate::guest::limits::MemoryLimit;
use crate::guest::output::{Mark, Output};
use crate::guest::random::Randomness;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{Deterministic, FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Where the guest's time starts: 2025-01-01T00:00:00Z, unless `SOURCE_DATE_EPOCH`
/// (<https://reproducible-builds.org/specs/source-date-epoch/>) says otherwise.
pub(crate) const DEFAULT_EPOCH_SECONDS: u64 = 1_735_689_600;

/// Bytes of WASI's insecure randomness before it repeats; CPython uses none.
const INSECURE_RANDOM_BYTES: u64 = 4 << 10;

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
    /// What all linear memories may take together, in bytes.
    pub(crate) memory_limit: u64,
    /// Its environment variables.
    pub(crate) environment: &'a [(&'a str, &'a str)],
    /// Where the folder behind /tmp is made.
    pub(crate) scratch: &'a Path,
}

/// Store data of one run.
pub(crate) struct Host {
    pub(super) wasi: WasiCtx,
    table: ResourceTable,
    limits: MemoryLimit,
    pub(crate) output: Output,
    pub(super) randomness: Randomness,
    clock: CountingClock,
    /// Behind `wasi`, which has the folder for /tmp open.
    files: Files,
}

impl Host {
    /// # Errors
    /// [`Stage::Instantiate`] when a mount cannot be opened, [`Stage::Io`] when
    /// there is no folder for /tmp.
    pub(crate) fn new(guest_setup: &GuestSetup<'_>) -> Result<Self, Error> {
        let output = Output::default();
        let stream = |purpose: &[u8]| Randomness::new(&guest_setup.seed, purpose);
        let wall_clock = CountingClock::new(Duration::from_secs(guest_setup.epoch_seconds));
        let clock = wall_clock.starting_at_zero();
        let mut builder = WasiCtxBuilder::new();
        builder
            .envs(guest_setup.environment)
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
        let files = Files::new(guest_setup.epoch_seconds, guest_setup.scratch)?;
        for (host, guest, permissions) in [
            (guest_setup.stdlib, "/python-stdlib", FsPerms::ReadOnly),
            (
                guest_setup.site_packages,
                "/site-packages",
                FsPerms::ReadOnly,
            ),
            (files.scratch(), "/tmp", FsPerms::ReadWrite),
        ] {
            builder
                .preopened_dir(host, guest, permissions)
                .map_err(|e| {
                    Stage::Instantiate.error(
                        Report::new(format!("cannot mount `{}` at {guest}", host.display()))
                            .source(e),
                    )
                })?;
        }
        Ok(Self {
            wasi: builder.build(),
            table: ResourceTable::new(),
            limits: MemoryLimit::new(guest_setup.memory_limit),
            output,
            randomness: stream(b"secure"),
            clock,
            files,
        })
    }

    /// Files and folders that the guest has opened and not closed, sorted.
    pub(crate) fn left_open(&self) -> Vec<String> {
        self.files.left_open()
    }

    /// Has files of packages noted that are opened from now on.
    pub(crate) fn watch_files(&mut self) {
        self.files.watch();
    }

    /// The first file of each package that was opened since, unless imports or tracebacks
    /// read such files.
    pub(crate) fn opened_by_path(&self) -> Vec<String> {
        let mut packages = HashSet::new();
        let files = self.files.opened_by_path();
        let data = files.filter(|path| !is_code(path));
        let first = data.filter(|path| packages.insert(path.split('/').nth(2)));
        first.map(str::to_owned).collect()
    }

    /// The host's folder behind /tmp.
    pub(crate) fn scratch(&self) -> &Path {
        self.files.scratch()
    }

    /// The store's memory limiter.
    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// Has the guest's memory stay as large as it is, or lets it grow again.
    pub(crate) fn fix_memory(&mut self, fixed: bool) {
        self.limits.fix(fixed);
    }

    /// Whether the guest asked for more memory than it may have.
    pub(crate) fn memory_limit_reached(&self) -> bool {
        self.limits.reached()
    }

    /// `report`, with those limits the guest ran into that its own error may not
    /// tell.
    pub(crate) fn explain(&self, report: Report) -> Report {
        let report = self.files.explain(report);
        self.limits.explain(report)
    }

    /// Keeps lines for the host from now on.
    pub(crate) fn listen(&self) {
        self.output.listen();
    }

    /// The lines for the host since the last call, and when each came.
    pub(crate) fn take_marks(&self) -> Vec<Mark> {
        self.output.take_marks()
    }

    /// What the guest printed since the last call.
    pub(crate) fn take_output(&self) -> String {
        self.output.take()
    }

    /// Whether the guest opened any file or folder.
    pub(crate) fn used_files(&self) -> bool {
        self.files.used()
    }

    /// How many bytes of randomness the guest drew since the last call, for something
    /// else than the seed of a generator.
    pub(crate) fn take_other_draws(&mut self) -> u64 {
        self.randomness.take_other()
    }

    /// Lifts the limit on memory, or sets it again.
    pub(crate) fn lift_memory_limit(&mut self, lifted: bool) {
        self.limits.lift(lifted);
    }

    /// The seeds that random number generators of the guest were given so far.
    pub(crate) fn seeds(&self) -> &[Vec<u8>] {
        self.randomness.seeds()
    }

    /// Whether there were more of them than are known.
    pub(crate) fn seeds_missed(&self) -> bool {
        self.randomness.seeds_missed()
    }

    /// The guest's clocks.
    pub(super) fn guest_clocks(&mut self) -> Clocks<'_> {
        Clocks {
            wasi: WasiClocksCtxView {
                ctx: self.wasi.clocks(),
                table: &mut self.table,
            },
            clock: &self.clock,
        }
    }

    /// The guest's files.
    pub(super) fn view(&mut self) -> View<'_> {
        View {
            wasi: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            files: &mut self.files,
        }
    }
}

/// Whether Python itself reads files of that name, to import them or to show their lines.
fn is_code(path: &str) -> bool {
    [".py", ".pyc", ".so", ".pth"]
        .iter()
        .any(|end| path.ends_with(end))
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
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
