//! Progress, told to whom the caller of a build says.

use serde::Serialize;
use std::fmt;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// After which time a build says what it is doing, and how often from then on.
const PATIENCE: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_secs(5);

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
    ear: Option<Arc<Ear>>,
    /// Which of several snapshots this is about.
    name: Option<Arc<str>>,
    steps: Option<Arc<Mutex<Vec<Step>>>>,
}

/// A listener, and what goes on that it has not been told of.
struct Ear {
    listener: Box<dyn Fn(&str) + Send + Sync>,
    doing: Mutex<Vec<Arc<Doing>>>,
}

struct Doing {
    what: String,
    since: Instant,
}

impl Log {
    /// Tells `listener`, a line at a time, without a newline.
    pub(crate) fn to(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let ear = Ear {
            listener: Box::new(listener),
            doing: Mutex::default(),
        };
        Self {
            ear: Some(Arc::new(ear)),
            ..Self::default()
        }
    }

    /// Tells stderr, which cargo shows with `-vv` and when the build fails.
    pub(crate) fn stderr() -> Self {
        Self::to(|line| eprintln!("eryx-preinit-build: {line}"))
    }

    /// Says of `name` what it is told.
    pub(crate) fn named(&self, name: &str) -> Self {
        Self {
            name: Some(name.into()),
            ..self.clone()
        }
    }

    pub(crate) fn say(&self, line: &str) {
        if let Some(ear) = &self.ear {
            (ear.listener)(&self.of(line));
        }
    }

    fn of(&self, line: &str) -> String {
        match &self.name {
            Some(name) => format!("{name}: {line}"),
            None => line.to_owned(),
        }
    }

    /// Does `work`, called `what`, and says how long it took.
    pub(crate) fn timed<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = self.doing(what, work);
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
            steps: Some(Arc::default()),
            ..self.clone()
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

    /// Does `work`, called `what` for as long as it takes.
    pub(crate) fn doing<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let Some(ear) = &self.ear else {
            return work();
        };
        let doing = Arc::new(Doing {
            what: self.of(what),
            since: Instant::now(),
        });
        ear.doing().push(doing.clone());
        let _until = Until { ear, doing };
        work()
    }

    /// Does `work`. If that takes long, says every few seconds what it is doing.
    pub(crate) fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        self.watched_every(PATIENCE, PACE, work)
    }

    fn watched_every<T>(&self, patience: Duration, pace: Duration, work: impl FnOnce() -> T) -> T {
        let Some(ear) = &self.ear else {
            return work();
        };
        thread::scope(|scope| {
            let (_end, ended) = mpsc::channel();
            let watch = move || ear.watch(&ended, patience, pace);
            // Without the thread it is silent, and no less of a build.
            let _ = thread::Builder::new().spawn_scoped(scope, watch);
            work()
        })
    }
}

impl Ear {
    fn doing(&self) -> MutexGuard<'_, Vec<Arc<Doing>>> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what goes on until the other end of `ended` is gone.
    fn watch(&self, ended: &Receiver<()>, patience: Duration, pace: Duration) {
        let started = Instant::now();
        let mut wait = patience;
        while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            let shown = |doing: &Arc<Doing>| {
                format!("{} ({} s)", doing.what, doing.since.elapsed().as_secs())
            };
            let doing: Vec<_> = self.doing().iter().map(shown).collect();
            if !doing.is_empty() {
                let seconds = started.elapsed().as_secs();
                (self.listener)(&format!("after {seconds} s: {}", doing.join(", ")));
            }
            wait = pace;
        }
    }
}

/// Takes what is done off the list, also when it panics.
struct Until<'a> {
    ear: &'a Ear,
    doing: Arc<Doing>,
}

impl Drop for Until<'_> {
    fn drop(&mut self) {
        let mut doing = self.ear.doing();
        doing.retain(|doing| !Arc::ptr_eq(doing, &self.doing));
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.ear {
            Some(_) => "Log(to a listener)",
            None => "Log(to nobody)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (Log, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = heard.clone();
        let log = Log::to(move |line| ear.lock().unwrap().push(line.to_owned()));
        (log, heard)
    }

    #[test]
    fn the_listener_hears_every_line() {
        let (log, heard) = log();
        log.say("one");
        assert_eq!(log.timed("two", || 2), 2);
        log.named("web").say("three");
        let heard = heard.lock().unwrap();
        assert_eq!(
            (heard[0].as_str(), heard[2].as_str()),
            ("one", "web: three")
        );
        assert!(heard[1].starts_with("two: "), "{heard:?}");
    }

    #[test]
    fn what_takes_long_is_said_until_it_ends() {
        let (log, heard) = log();
        let waited = Duration::from_millis(10);
        let long = || {
            let web = log.named("web");
            log.doing("link", || {
                web.doing("compile", || {
                    while heard.lock().unwrap().len() < 2 {
                        thread::sleep(waited);
                    }
                });
            });
        };
        log.watched_every(waited, waited, long);
        let said = heard.lock().unwrap().clone();
        assert!(
            said[1].starts_with("after 0 s: link (0 s), web: compile (0 s)"),
            "{said:?}"
        );
        thread::sleep(3 * waited);
        assert_eq!(heard.lock().unwrap().len(), said.len());
        assert!(log.ear.unwrap().doing().is_empty());
    }

    #[test]
    fn a_short_build_says_nothing_and_a_panic_ends_the_watch() {
        let (log, heard) = log();
        log.watched(|| log.doing("link", || ()));
        assert!(heard.lock().unwrap().is_empty());
        let work = || log.watched(|| log.doing("link", || panic!("on purpose")));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        assert!(ended.is_err());
        assert!(log.ear.as_ref().unwrap().doing().is_empty());
        assert_eq!(Log::default().watched(|| 1), 1);
    }
}
