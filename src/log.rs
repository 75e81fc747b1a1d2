//! Progress, told to whom the caller of a build says.

use serde::Serialize;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

type Listener = dyn Fn(&str) + Send + Sync;

/// A step of the build that is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    /// Whether an earlier build made it.
    pub(crate) cached: bool,
}

/// Who is told what a build does; by default nobody.
#[derive(Clone, Default)]
pub(crate) struct Log {
    listener: Option<Arc<Listener>>,
    steps: Option<Arc<Mutex<Vec<Step>>>>,
}

impl Log {
    /// Tells `listener`, a line at a time, without a newline.
    pub(crate) fn to(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            listener: Some(Arc::new(listener)),
            steps: None,
        }
    }

    /// Tells stderr, which cargo shows with `-vv` and when the build fails.
    pub(crate) fn stderr() -> Self {
        Self::to(|line| eprintln!("eryx-preinit-build: {line}"))
    }

    pub(crate) fn say(&self, line: &str) {
        if let Some(listener) = &self.listener {
            listener(line);
        }
    }

    /// Does `work`, called `what`, and says how long it took.
    pub(crate) fn timed<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.took(what, started.elapsed());
        result
    }

    /// Says how long `what` took.
    pub(crate) fn took(&self, what: &str, time: Duration) {
        self.say(&format!("{what}: {time:.2?}"));
        self.note(what, time, false);
    }

    /// Says that an earlier build made `what`.
    pub(crate) fn reused(&self, what: &str) {
        self.say(&format!("{what}: from the cache"));
        self.note(what, Duration::ZERO, true);
    }

    /// As this one, and remembers the steps of one build.
    pub(crate) fn remembering(&self) -> Self {
        Self {
            listener: self.listener.clone(),
            steps: Some(Arc::default()),
        }
    }

    /// The steps that were remembered, in the order in which they ended.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let steps = self.steps.iter();
        let steps =
            steps.flat_map(|all| all.lock().unwrap_or_else(PoisonError::into_inner).clone());
        steps.collect()
    }

    fn note(&self, what: &str, time: Duration, cached: bool) {
        let Some(steps) = &self.steps else { return };
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(Step {
            name: what.to_owned(),
            seconds: time.as_secs_f64(),
            cached,
        });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.listener {
            Some(_) => "Log(to a listener)",
            None => "Log(to nobody)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listener_hears_every_line() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = heard.clone();
        let log = Log::to(move |line| ear.lock().unwrap().push(line.to_owned()));
        log.say("one");
        assert_eq!(log.timed("two", || 2), 2);
        let heard = heard.lock().unwrap();
        assert_eq!(heard[0], "one");
        assert!(heard[1].starts_with("two: "), "{heard:?}");
    }
}
