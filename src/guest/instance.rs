//! A running Python: code is executed in it, under a time limit.

use crate::error::{Report, Stage};
use crate::guest::alarm::{Alarm, within};
use crate::guest::failure::Failure;
use crate::guest::host::{GuestSetup, Host};
use crate::guest::linker;
use crate::wasm::image::Image;
use std::time::Duration;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, Val};

/// A running instance.
pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    pub(super) instance: Instance,
    timeout: Duration,
    /// Where C code has its environment variables.
    pub(super) environ: Option<u32>,
    /// Whether the snapshot says that none were read yet.
    pub(crate) environment_forgotten: bool,
    /// Whether the code executed last left a global `result`, which the runtime takes
    /// for its answer, and takes away.
    pub(crate) left_result: bool,
    /// What its memories hold, by the names of their accessors.
    pub(super) images: Vec<(String, Image)>,
    /// Why its state could not be read, if it could not.
    pub(super) unreadable: Option<wasmtime::Error>,
}

impl Guest {
    pub(crate) async fn start(
        component: &Component,
        guest_setup: &GuestSetup<'_>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let engine = component.engine();
        let linker = linker::linker(engine, component).map_err(Failure::Final)?;
        let host = Host::new(guest_setup).map_err(Failure::Final)?;
        let mut store = Store::new(engine, host);
        store.limiter(|host| host.limiter());
        let outcome = {
            let _alarm = Alarm::set(&mut store, engine, timeout);
            within(timeout, linker.instantiate_async(&mut store, component)).await
        };
        match outcome {
            Ok(instance) => Ok(Self {
                store,
                instance,
                timeout,
                environ: None,
                environment_forgotten: false,
                left_result: false,
                images: Vec::new(),
                unreadable: None,
            }),
            Err(stop) => Err(stop.failure(
                &store,
                "CPython did not start",
                timeout,
                Stage::PythonInit,
                "check that `stdlib` belongs to this runtime (the `eryx` and `eryx-runtime` \
                 packages must have the same version)",
            )),
        }
    }

    /// Checks that a Python that has just started did so on the files and the
    /// randomness of this crate: with the system's, every build would differ, and the
    /// secrets of this machine would be in the snapshot.
    pub(crate) fn check_isolation(&mut self) -> Result<(), Failure> {
        let host = self.store.data_mut();
        // `PYTHONHASHSEED` is not set, so that the hash secret is drawn.
        let missing = match (host.take_other_draws() > 0, host.used_files()) {
            (true, true) => return Ok(()),
            (false, _) => "drew none of this crate's randomness",
            (true, false) => "opened none of the files that this crate shows it",
        };
        Err(Failure::Final(
            Stage::PythonInit.error(
                Report::new(format!("CPython started, but {missing}"))
                    .note("its snapshot would depend on the machine that builds, and is not taken")
                    .hint("please report this with the versions in use, those of `wasmtime*` too"),
            ),
        ))
    }

    /// Runs Python code, called `what` in reports; the inner error is what Python
    /// says about it.
    pub(crate) async fn execute(
        &mut self,
        code: &str,
        what: &str,
    ) -> Result<Result<(), String>, Failure> {
        self.run(code, what, Stage::Import).await
    }

    /// As [`execute`](Self::execute), with the stage to report if it does not return.
    pub(crate) async fn run(
        &mut self,
        code: &str,
        what: &str,
        stage: Stage,
    ) -> Result<Result<(), String>, Failure> {
        let Some(func) = self.export("execute") else {
            return Err(Failure::Final(
                Stage::PythonInit.error(
                    Report::new("the runtime has no `execute` export")
                        .hint("use an eryx-runtime from 0.5.0 to 0.14"),
                ),
            ));
        };
        let mut results = [Val::Bool(false)];
        let engine = self.store.engine().clone();
        let outcome = {
            let _alarm = Alarm::set(&mut self.store, &engine, self.timeout);
            let params = [Val::String(code.to_owned())];
            within(
                self.timeout,
                func.call_async(&mut self.store, &params, &mut results),
            )
            .await
        };
        if let Err(stop) = outcome {
            let summary = format!("`{what}` did not finish");
            return Err(stop.failure(&self.store, &summary, self.timeout, stage, ""));
        }
        let [result] = results;
        Ok(match result {
            Val::Result(Ok(output)) => {
                self.left_result = output.is_some_and(|output| has_result(&output));
                Ok(())
            }
            Val::Result(Err(Some(message))) => Err(match *message {
                Val::String(message) => message,
                other => format!("{other:?}"),
            }),
            other => Err(format!("unexpected answer from `execute`: {other:?}")),
        })
    }

    pub(crate) async fn finalize(&mut self) -> Result<(), Failure> {
        let Some(func) = self.export("finalize-preinit") else {
            return Err(Failure::Final(
                Stage::PythonInit.error(
                    Report::new("the runtime has no `finalize-preinit` export")
                        .hint("use an eryx-runtime from 0.5.0 to 0.14"),
                ),
            ));
        };
        let engine = self.store.engine().clone();
        let outcome = {
            let _alarm = Alarm::set(&mut self.store, &engine, self.timeout);
            within(self.timeout, func.call_async(&mut self.store, &[], &mut [])).await
        };
        outcome.map_err(|stop| {
            stop.failure(
                &self.store,
                "cannot finalize the pre-initialization",
                self.timeout,
                Stage::PythonInit,
                "",
            )
        })
    }

    /// A function exported as `name`, `[async]name`, or by an instance `exports`.
    pub(crate) fn export(&mut self, name: &str) -> Option<wasmtime::component::Func> {
        for name in [name.to_owned(), format!("[async]{name}")] {
            if let Some(func) = self.instance.get_func(&mut self.store, &name) {
                return Some(func);
            }
        }
        let exports = self
            .instance
            .get_export_index(&mut self.store, None, "exports")?;
        let func = self
            .instance
            .get_export_index(&mut self.store, Some(&exports), name)?;
        self.instance.get_func(&mut self.store, func)
    }
}

/// Whether what `execute` returned has an answer in it.
fn has_result(output: &Val) -> bool {
    let Val::Record(fields) = output else {
        return false;
    };
    let answers = ["result-json", "result-error"];
    fields.iter().any(|(name, value)| {
        answers.contains(&name.as_str()) && *value != Val::String(String::new())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::alarm::block_on;
    use crate::guest::engine::{self, Compiler};
    use crate::guest::host;
    use crate::guest::snapshot;
    use std::path::Path;

    /// Starts a component that is no Python with 64 MiB of memory, and takes a snapshot of
    /// it, or looks whether it started as Python does.
    fn run(wat: &str, take: bool) -> Result<(), String> {
        let wasm = wat::parse_str(wat).unwrap();
        let instrumented = snapshot::instrument(&wasm, &wasm).unwrap();
        let engine = engine::engine(Compiler::Cranelift).unwrap();
        let component =
            snapshot::compile(&engine, Compiler::Cranelift, &instrumented.skeleton).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let setup = guest_setup(folder.path());
        let outcome = block_on(async {
            let mut guest = Guest::start(&component, &setup, Duration::from_secs(60)).await?;
            match take {
                true => guest.snapshot(&instrumented.context).await.map(drop),
                false => guest.check_isolation(),
            }
        });
        outcome.map_err(|failure| format!("{:?}", failure.into_error()))
    }

    fn guest_setup(folder: &Path) -> GuestSetup<'_> {
        GuestSetup {
            stdlib: folder,
            site_packages: folder,
            epoch_seconds: host::DEFAULT_EPOCH_SECONDS,
            seed: [0; 32],
            memory_limit: 64 << 20,
            environment: &[],
            scratch: folder,
        }
    }

    fn component(memories: &str) -> String {
        // Wizer finds memories by their exports.
        let module = format!("(core module $m {memories} (func (export \"f\")))");
        format!("(component {module} (core instance (instantiate $m)))")
    }

    #[test]
    fn a_guest_that_starts_on_nothing_of_ours_is_refused() {
        let error = run("(component)", false).unwrap_err();
        assert!(
            error.contains("drew none of this crate's randomness"),
            "{error}"
        );
    }

    /// Draws randomness when it starts, and opens nothing.
    const DRAWS: &str = r#"(component
        (import "wasi:random/random@0.2.12" (instance $random
            (export "get-random-u64" (func (result u64)))))
        (core func $draw (canon lower (func $random "get-random-u64")))
        (core module $m
            (import "random" "draw" (func $draw (result i64)))
            (func $start (drop (call $draw)))
            (start $start))
        (core instance (instantiate $m
            (with "random" (instance (export "draw" (func $draw)))))))"#;

    #[test]
    fn a_guest_that_opens_no_file_of_ours_is_refused() {
        let error = run(DRAWS, false).unwrap_err();
        assert!(
            error.contains("opened none of the files that this crate shows it"),
            "{error}"
        );
    }

    #[test]
    fn memories_and_tables_count_together_and_are_counted() {
        run(&component("(memory 1000)"), true).unwrap();
        let error = run(&component(&"(memory 500) ".repeat(3)), true).unwrap_err();
        assert!(error.contains("memory-limit allows (64 MiB)"), "{error}");
        assert!(error.contains("help: raise `memory-limit`"), "{error}");
        let error = run(&component(&"(memory 0) ".repeat(65)), true).unwrap_err();
        assert!(error.contains("memory count too high"), "{error}");
        let error = run(&component(&"(table 400000 funcref) ".repeat(3)), true).unwrap_err();
        assert!(error.contains("table"), "{error}");
    }

    #[test]
    fn a_memory_that_cannot_be_read_is_an_error() {
        // At our limit there is a page to spare, at its own there is none.
        run(&component("(memory 1024)"), true).unwrap();
        let error = run(&component("(memory 1 1)"), true).unwrap_err();
        assert!(error.contains("cannot read the state"), "{error}");
        assert!(error.contains("as large as it can be"), "{error}");
        // Of a module without exports, wizer sees no memory, and stumbles over that.
        let blind = "(component (core module $m (memory 1)) (core instance (instantiate $m)))";
        let error = run(blind, true).unwrap_err();
        assert!(error.contains("wasmtime-wizer panicked"), "{error}");
    }
}
