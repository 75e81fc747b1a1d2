//! One thread for the process that wakes who waits for a time, and moves on the epochs
//! of engines that run Python. With it, limits hold under any executor.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use wasmtime::Engine;

/// How often running code is asked whether it may go on.
const TICK: Duration = Duration::from_millis(5);

static CLOCK: LazyLock<&'static Clock> = LazyLock::new(|| {
    let clock: &Clock = Box::leak(Box::default());
    std::thread::Builder::new()
        .name("eryx-preinit-clock".to_owned())
        .spawn(|| clock.run())
        .expect("the system can start a thread");
    clock
});

#[derive(Default)]
struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By time, and a number that tells equal times apart.
    sleepers: BTreeMap<(Instant, u64), Waker>,
    /// Engines, and how many executions each has.
    running: Vec<(Engine, usize)>,
    next: u64,
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let later = state.sleepers.split_off(&(now, u64::MAX));
            let due = std::mem::replace(&mut state.sleepers, later);
            if !due.is_empty() {
                // A waker may be anybody's code, and may even sleep again.
                drop(state);
                due.into_values().for_each(Waker::wake);
                state = self.lock();
            }
            for (engine, _) in &state.running {
                engine.increment_epoch();
            }
            let sleeper = state.sleepers.first_key_value();
            let sleeper = sleeper.map(|(&(time, _), _)| time.saturating_duration_since(now));
            let tick = (!state.running.is_empty()).then_some(TICK);
            let wait = sleeper.into_iter().chain(tick).min();
            state = match wait {
                Some(wait) => {
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

/// Moves the epoch of an engine on until it is dropped.
pub(crate) struct Ticking(Engine);

impl Ticking {
    pub(crate) fn new(engine: &Engine) -> Self {
        let mut state = CLOCK.lock();
        let mut engines = state.running.iter_mut();
        match engines.find(|(other, _)| Engine::same(other, engine)) {
            Some((_, count)) => *count += 1,
            None => {
                state.running.push((engine.clone(), 1));
                CLOCK.changed.notify_one();
            }
        }
        Self(engine.clone())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        let mut state = CLOCK.lock();
        state.running.retain_mut(|(engine, count)| {
            if Engine::same(engine, &self.0) {
                *count -= 1;
            }
            *count > 0
        });
    }
}

/// Waits for a time; for ever if there is none.
pub(crate) struct Sleep {
    until: Option<Instant>,
    key: Option<(Instant, u64)>,
}

impl Sleep {
    pub(crate) fn new(until: Option<Instant>) -> Self {
        Self { until, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        if Instant::now() >= until {
            return Poll::Ready(());
        }
        let mut state = CLOCK.lock();
        let key = match self.key {
            Some(key) => key,
            None => {
                state.next += 1;
                (until, state.next)
            }
        };
        state.sleepers.insert(key, cx.waker().clone());
        if state
            .sleepers
            .first_key_value()
            .is_some_and(|(&first, _)| first == key)
        {
            CLOCK.changed.notify_one();
        }
        drop(state);
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            CLOCK.lock().sleepers.remove(&key);
        }
    }
}

/// What `future` gives, or `None` if it is not done by `until`.
pub(crate) async fn timeout<F: Future>(until: Option<Instant>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep = pin!(Sleep::new(until));
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::block_on;

    #[test]
    fn sleepers_wake_in_their_time_and_leave_nothing_behind() {
        let started = Instant::now();
        let after = |ms| Some(started + Duration::from_millis(ms));
        block_on(async {
            assert!(
                timeout(after(40), std::future::pending::<()>())
                    .await
                    .is_none()
            );
            assert!(started.elapsed() >= Duration::from_millis(40));
            let late = Sleep::new(after(3_600_000));
            assert!(timeout(after(60), late).await.is_none());
            assert_eq!(timeout(None, std::future::ready(7)).await, Some(7));
        });
        assert!(started.elapsed() >= Duration::from_millis(60));
        assert!(started.elapsed() < Duration::from_secs(60));
        let far = started + Duration::from_secs(600);
        let sleepers = &CLOCK.lock().sleepers;
        assert!(
            sleepers.keys().all(|&(time, _)| time < far),
            "dropped, so forgotten"
        );
    }
}
