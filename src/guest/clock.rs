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

    pub(crate) fn sleep(&self, nanoseconds: u64) {
        let slept = self.slept.load(Ordering::Relaxed);
        self.slept
            .store(slept.saturating_add(nanoseconds), Ordering::Relaxed);
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
        self.clock.sleep(nanoseconds);
        self.wasi.subscribe_duration(0)
    }
}
