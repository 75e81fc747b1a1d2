//! Progress, told to whom the caller of a build says.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

type Listener = dyn Fn(&str) + Send + Sync;

/// Who is told what a build does; by default nobody.
#[derive(Clone, Default)]
pub(crate) struct Log(Option<Arc<Listener>>);

impl Log {
    /// Tells `listener`, a line at a time, without a newline.
    pub(crate) fn to(listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells stderr, which cargo shows with `-vv` and when the build fails.
    pub(crate) fn stderr() -> Self {
        Self::to(|line| eprintln!("eryx-preinit-build: {line}"))
    }

    /// Says of `name` what it is told.
    pub(crate) fn named(&self, name: &str) -> Self {
        let (log, name) = (self.clone(), name.to_owned());
        match &self.0 {
            Some(_) => Self::to(move |line| log.say(&format!("{name}: {line}"))),
            None => Self(None),
        }
    }

    pub(crate) fn say(&self, line: &str) {
        if let Some(listener) = &self.0 {
            listener(line);
        }
    }

    /// Does `work`, called `what`, and says how long it took.
    pub(crate) fn timed<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.say(&format!("{what}: {:.2?}", started.elapsed()));
        result
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Log(to a listener)",
            None => "Log(to nobody)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

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
