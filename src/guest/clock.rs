//! The guest's clocks at build time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// How far the guest's clocks move with each reading.
pub(crate) const CLOCK_STEP_NANOS: u64 = 10_000;

/// How much waiting, on all clocks together, counts as waiting without end: one year.
/// Waiting takes no real time, so that a loop of `sleep(3600)` would otherwise run until
/// the clock overflows.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// The guest waited for longer than [`LONGEST_WAIT`].
#[derive(Debug)]
pub(crate) struct WaitedTooLong;

impl std::fmt::Display for WaitedTooLong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the guest waited for more than a year of its clock")
    }
}

impl std::error::Error for WaitedTooLong {}

/// A clock that moves when it is read or waited for, and at no other time: what the
/// guest computes from it is the same in every build, and a loop that waits for a time
/// to come still ends.
#[derive(Clone)]
pub(crate) struct CountingClock {
    start: Duration,
    readings: Arc<AtomicU64>,
    /// Nanoseconds waited for, on all clocks.
    slept: Arc<AtomicU64>,
}

impl CountingClock {
    pub(crate) fn new(start: Duration) -> Self {
        Self {
            start,
            readings: Arc::default(),
            slept: Arc::default(),
        }
    }

    /// Another clock, which starts at zero: who waits for one waits for both.
    pub(crate) fn starting_at_zero(&self) -> Self {
        Self {
            slept: self.slept.clone(),
            ..Self::new(Duration::ZERO)
        }
    }

    fn read(&self) -> Duration {
        let time = self.peek();
        self.readings.fetch_add(1, Ordering::Relaxed);
        time
    }

    /// What the next reading will be.
    pub(crate) fn peek(&self) -> Duration {
        let readings = self.readings.load(Ordering::Relaxed);
        self.start
            + Duration::from_nanos(readings.saturating_mul(CLOCK_STEP_NANOS))
            + Duration::from_nanos(self.slept.load(Ordering::Relaxed))
    }

    /// Moves the clock by `nanoseconds`, if that is not waiting without end.
    pub(crate) fn sleep(&self, nanoseconds: u64) -> Result<(), WaitedTooLong> {
        let slept = self.slept.load(Ordering::Relaxed);
        let slept = slept.saturating_add(nanoseconds);
        if Duration::from_nanos(slept) > LONGEST_WAIT {
            return Err(WaitedTooLong);
        }
        self.slept.store(slept, Ordering::Relaxed);
        Ok(())
    }
}

/// As WASI's clocks count.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl HostWallClock for CountingClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(CLOCK_STEP_NANOS)
    }
    fn now(&self) -> Duration {
        self.read()
    }
}

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        CLOCK_STEP_NANOS
    }
    fn now(&self) -> u64 {
        nanoseconds(self.read())
    }
}

/// wasmtime-wasi's clocks, where waiting takes no time.
pub(crate) struct Clocks<'a> {
    pub(crate) wasi: WasiClocksCtxView<'a>,
    pub(crate) clock: &'a CountingClock,
}

/// Has wasmtime-wasi call [`Clocks`] for what it calls its own view for.
pub(crate) struct GuestClocks;

impl HasData for GuestClocks {
    type Data<'a> = Clocks<'a>;
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        monotonic_clock::Host::now(&mut self.wasi)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        monotonic_clock::Host::resolution(&mut self.wasi)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let left = when.saturating_sub(nanoseconds(self.clock.peek()));
        self.subscribe_duration(left)
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clock.sleep(nanoseconds)?;
        self.wasi.subscribe_duration(0)
    }
}
