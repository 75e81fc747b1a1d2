//! Why a call into the guest did not return, and what to do about it.

use crate::error::{Error, Report};
use crate::guest::engine::{self};
use crate::guest::host::Host;
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
    pub(crate) fn failure(
        self,
        store: &Store<Host>,
        summary: &str,
        timeout: Duration,
        stage: fn(Report) -> Error,
        hint: &str,
    ) -> Failure {
        let host = store.data();
        let report = host.explain(Report::new(summary).output_text(host.take_output()));
        let report = if hint.is_empty() {
            report
        } else {
            report.hint(hint)
        };
        let timed_out = |report: Report| {
            Failure::Final(stage(
                report.note(format!("it ran longer than {timeout:?}")).hint(
                    "is there an endless loop at import time? If it only is slow, raise \
                 `timeout` in [package.metadata.eryx]",
                ),
            ))
        };
        match self {
            Self::Timeout => timed_out(report),
            Self::Error(error) => {
                if error.is::<I32Exit>() {
                    let note = "it ended the process (`os._exit`, or a fatal error in C code)";
                    return Failure::Final(stage(report.note(note)));
                }
                match error.downcast_ref::<Trap>() {
                    Some(Trap::Interrupt) => timed_out(report),
                    Some(Trap::StackOverflow) => Failure::Final(stage(
                        report
                            .note(format!(
                                "it used up the stack ({} MiB)",
                                engine::WASM_STACK_BYTES >> 20
                            ))
                            .hint("is there a recursion without end at import time?"),
                    )),
                    Some(Trap::UnreachableCodeReached) => Failure::Trap(stage(
                        report
                            .note("C code in it gave up (`abort`, or a failed assertion)")
                            .source(error),
                    )),
                    Some(Trap::MemoryOutOfBounds) => Failure::Trap(stage(
                        report
                            .note(
                                "it left its memory, as C code does that calls itself without end",
                            )
                            .source(error),
                    )),
                    Some(_) => Failure::Trap(stage(report.source(error))),
                    // The host refused something, and would do so again.
                    None if format!("{error:?}").contains("fuel allocated for hostcalls") => {
                        Failure::Final(stage(report.source(error).hint(
                            "it printed megabytes: runtimes hand all output over at once; have \
                             it print less while it is imported",
                        )))
                    }
                    None => Failure::Final(stage(report.source(error))),
                }
            }
        }
    }
}
