//! Why a call into the guest did not return, and what to do about it.

use crate::error::{Error, Report, Stage};
use crate::guest::clock;
use crate::guest::engine;
use crate::guest::host::Host;
use std::io;
use std::time::Duration;
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

/// What a run of the guest ended with, if not with a snapshot.
pub(crate) enum Failure {
    /// Wrong, whatever code runs it.
    Final(Error),
    /// A trap: perhaps a body that was left out, or a compiler's fault.
    Trap(Error),
}

impl Failure {
    /// Of code of this crate, which is right if the runtime is.
    pub(crate) fn of_own_code(summary: &str, message: String) -> Self {
        Self::Final(
            Stage::Import.error(
                Report::new(summary)
                    .traceback_text(message)
                    .hint("please report this with the versions in use"),
            ),
        )
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Final(error) | Self::Trap(error) => error,
        }
    }
}

/// Why a call into the guest did not return.
pub(crate) enum Stop {
    Timeout,
    Error(wasmtime::Error),
}

impl Stop {
    /// The failure to report: `hint` is for causes that say nothing of what to do.
    pub(crate) fn failure(
        self,
        store: &Store<Host>,
        summary: &str,
        timeout: Duration,
        stage: Stage,
        hint: &str,
    ) -> Failure {
        let host = store.data();
        let limited = host.memory_limit_reached();
        let cause = Cause::of(&self, limited);
        let mut report = host.explain(Report::new(summary).output_text(host.take_output()));
        if let Some(note) = cause.note(timeout) {
            report = report.note(note);
        }
        if let Some(hint) = cause.hint().or(Some(hint)).filter(|hint| !hint.is_empty()) {
            report = report.hint(hint);
        }
        if let (Self::Error(error), false) = (self, cause.is_said_in_full()) {
            report = report.source(error);
        }
        match cause.is_worth_a_retry() {
            true => Failure::Trap(stage.error(report)),
            false => Failure::Final(stage.error(report)),
        }
    }
}

/// What kind of end it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    TimedOut,
    WaitedTooLong,
    Exited,
    MemoryLimit,
    NoMemory,
    PrintedTooMuch,
    StackOverflow,
    Aborted,
    LeftMemory,
    OtherTrap,
    Unknown,
}

impl Cause {
    fn of(stop: &Stop, memory_limit_reached: bool) -> Self {
        let error = match stop {
            Stop::Timeout => return Self::TimedOut,
            Stop::Error(error) => error,
        };
        if error.is::<I32Exit>() {
            return Self::Exited;
        }
        if error.is::<clock::WaitedTooLong>() {
            return Self::WaitedTooLong;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::TimedOut,
            Some(Trap::StackOverflow) => Self::StackOverflow,
            Some(Trap::UnreachableCodeReached) => Self::Aborted,
            Some(Trap::MemoryOutOfBounds) => Self::LeftMemory,
            Some(_) => Self::OtherTrap,
            None if memory_limit_reached => Self::MemoryLimit,
            None if refused_by_system(error) => Self::NoMemory,
            None if format!("{error:?}").contains("fuel allocated for hostcalls") => {
                Self::PrintedTooMuch
            }
            None => Self::Unknown,
        }
    }

    fn note(self, timeout: Duration) -> Option<String> {
        Some(match self {
            Self::TimedOut => format!("it ran longer than {timeout:?}"),
            Self::WaitedTooLong => {
                "it waits without end (`sleep` moves its clock and returns at once, and it slept \
                 for more than a year)"
                    .to_owned()
            }
            Self::StackOverflow => format!(
                "it used up the stack ({} MiB)",
                engine::WASM_STACK_BYTES >> 20
            ),
            Self::Exited => {
                "it ended the process (`os._exit`, or a fatal error in C code)".to_owned()
            }
            Self::NoMemory => "the system refused memory, or addresses for it".to_owned(),
            Self::Aborted => "C code in it gave up (`abort`, or a failed assertion)".to_owned(),
            Self::LeftMemory => {
                "it left its memory, as C code does that calls itself without end".to_owned()
            }
            // The host's own note says how much memory it may have.
            Self::MemoryLimit | Self::PrintedTooMuch | Self::OtherTrap | Self::Unknown => {
                return None;
            }
        })
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Self::TimedOut => Some(
                "is there an endless loop at import time? If it only is slow, raise `timeout` in \
                 [package.metadata.eryx]",
            ),
            Self::WaitedTooLong => Some(
                "is there an endless loop at import time? Wait in the program, which starts after \
                 the snapshot",
            ),
            Self::MemoryLimit => {
                Some("raise `memory-limit` in [package.metadata.eryx] (at most \"4GiB\")")
            }
            Self::NoMemory => Some(
                "is the address space of the build bounded (`ulimit -v`)? Allow it 4 GB, or set no \
                 bound: what is reserved is not used",
            ),
            Self::PrintedTooMuch => Some(
                "it printed megabytes: runtimes hand all output over at once; have it print less \
                 while it is imported",
            ),
            Self::StackOverflow => Some("is there a recursion without end at import time?"),
            Self::Exited | Self::Aborted | Self::LeftMemory | Self::OtherTrap | Self::Unknown => {
                None
            }
        }
    }

    /// Whether all bodies, or another compiler, may do better: the host's refusals are
    /// for all of them.
    fn is_worth_a_retry(self) -> bool {
        matches!(self, Self::Aborted | Self::LeftMemory | Self::OtherTrap)
    }

    /// Whether Wasmtime's own words say nothing more.
    fn is_said_in_full(self) -> bool {
        use Cause::*;
        matches!(self, TimedOut | WaitedTooLong | Exited | StackOverflow)
    }
}

/// Whether the system has no memory, or no addresses: what an instance reserves is more
/// than it uses.
fn refused_by_system(error: &wasmtime::Error) -> bool {
    let refused = |error: &(dyn std::error::Error + 'static)| {
        let io = error.downcast_ref::<io::Error>();
        io.is_some_and(|error| error.kind() == io::ErrorKind::OutOfMemory)
            // The error of a system call is not always one of the standard library's.
            || error.to_string().contains("mmap failed")
            || error.to_string().contains("Cannot allocate memory")
    };
    error.chain().any(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_note_and_its_hint_and_only_traps_are_tried_again() {
        use Cause::*;
        let timeout = Duration::from_secs(7);
        let error = |message: &str| Stop::Error(wasmtime::Error::msg(message.to_owned()));
        let trap = |trap: Trap| Stop::Error(trap.into());
        let refused = || io::Error::from(io::ErrorKind::OutOfMemory);
        let table = [
            (
                Stop::Timeout,
                false,
                TimedOut,
                "longer than 7s",
                "`timeout`",
                false,
            ),
            (
                trap(Trap::Interrupt),
                false,
                TimedOut,
                "longer than 7s",
                "endless loop",
                false,
            ),
            (
                Stop::Error(I32Exit(3).into()),
                false,
                Exited,
                "ended the process",
                "",
                false,
            ),
            (
                Stop::Error(clock::WaitedTooLong.into()),
                false,
                WaitedTooLong,
                "without end",
                "endless loop",
                false,
            ),
            (error("no"), true, MemoryLimit, "", "`memory-limit`", false),
            (
                Stop::Error(refused().into()),
                false,
                NoMemory,
                "refused",
                "ulimit -v",
                false,
            ),
            (
                error("mmap failed to reserve"),
                false,
                NoMemory,
                "refused",
                "ulimit -v",
                false,
            ),
            (
                error("fuel allocated for hostcalls has been exhausted"),
                false,
                PrintedTooMuch,
                "",
                "printed megabytes",
                false,
            ),
            (
                trap(Trap::StackOverflow),
                false,
                StackOverflow,
                "64 MiB",
                "recursion",
                false,
            ),
            (
                trap(Trap::UnreachableCodeReached),
                false,
                Aborted,
                "gave up",
                "",
                true,
            ),
            (
                trap(Trap::MemoryOutOfBounds),
                true,
                LeftMemory,
                "left its memory",
                "",
                true,
            ),
            (
                trap(Trap::IndirectCallToNull),
                false,
                OtherTrap,
                "",
                "",
                true,
            ),
            (error("other"), false, Unknown, "", "", false),
        ];
        for (stop, limited, cause, note, hint, retry) in table {
            assert_eq!(Cause::of(&stop, limited), cause);
            let said = cause.note(timeout).unwrap_or_default();
            assert!(
                said.contains(note) && said.is_empty() == note.is_empty(),
                "{said}"
            );
            let said = cause.hint().unwrap_or_default();
            assert!(
                said.contains(hint) && said.is_empty() == hint.is_empty(),
                "{said}"
            );
            assert_eq!(cause.is_worth_a_retry(), retry, "{cause:?}");
            let full = [TimedOut, WaitedTooLong, Exited, StackOverflow].contains(&cause);
            assert_eq!(cause.is_said_in_full(), full, "{cause:?}");
        }
    }
}
