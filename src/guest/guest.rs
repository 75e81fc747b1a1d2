//! A running Python: code is executed in it, under a time limit.

use crate::error::{Error, Report};
use crate::guest::diagnosis::{self, ENDED, EXITED};
use crate::guest::environment;
use crate::guest::failure::{Failure, Stop};
use crate::guest::host::{self, GuestSetup, Host};
use crate::guest::random::SEEDS_MAX;
use crate::guest::reseed;
use crate::guest::script::Setup;
use crate::guest::tracing;
use std::sync::mpsc;
use std::time::Duration;
use wasmtime::component::{Component, Instance, Lift, Val, WasmList};
use wasmtime::{Engine, Store};
use wasmtime_wizer::ComponentInstanceState;

/// A finder that finds nothing and remembers what it was asked for, behind all
/// others. It shares the user's global names, which may hide built-in ones: it uses
/// none of them, and leaves none.
pub(crate) const WATCH_MISSES: &str = r#"
def _eryx_preinit_watch():
    import sys
    from builtins import any, classmethod, str
    class EryxPreinitMisses:
        names = []
        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if path and name.rpartition('.')[2].startswith('_') and name not in cls.names:
                if any(str(place).startswith('/site-packages') for place in path):
                    cls.names.append(name)
    sys.meta_path.append(EryxPreinitMisses)
_eryx_preinit_watch()
del _eryx_preinit_watch
"#;

/// Prints what that finder remembers, and takes it out.
pub(crate) const MISSES: &str = r#"
def _eryx_preinit_watch():
    import sys
    from builtins import getattr, list
    for finder in list(sys.meta_path):
        if getattr(finder, '__name__', None) == 'EryxPreinitMisses':
            sys.meta_path.remove(finder)
            sys.stdout.write('\n'.join(finder.names))
_eryx_preinit_watch()
del _eryx_preinit_watch
"#;

/// `pass`, and a look whether what waited in `compile` was called: a runtime that
/// compiles elsewhere would leave every instance with the same random numbers.
pub(crate) const RESTORED: &str = "
import builtins
if hasattr(builtins.compile, '_eryx_preinit_waits'):
    raise RuntimeError('this runtime does not run what seeds generators again')
";

pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| {
            Failure::Final(Error::Instantiate(
                Report::new("cannot start the async runtime").source(e),
            ))
        })?
        .block_on(future)
}

/// A running instance.
pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    instance: Instance,
    timeout: Duration,
    /// Where C code has its environment variables.
    environ: Option<u32>,
    /// Whether the snapshot says that none were read yet.
    pub(crate) environment_forgotten: bool,
}

impl Guest {
    pub(crate) async fn start(
        component: &Component,
        surroundings: &GuestSetup<'_>,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let engine = component.engine();
        let linker = host::linker(engine, component).map_err(Failure::Final)?;
        let host = Host::new(surroundings).map_err(Failure::Final)?;
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
            }),
            Err(stop) => Err(stop.failure(
                &store,
                "CPython did not start",
                timeout,
                Error::PythonInit,
                "check that `stdlib` belongs to this runtime (the `eryx` and `eryx-runtime` \
                 packages must have the same version)",
            )),
        }
    }

    /// Has the snapshot say that no environment variables were read yet; C code has them
    /// at the address `environ` of the component's only memory.
    pub(crate) fn forget_environment(&mut self, environ: Option<u32>) {
        self.environ = environ;
    }

    pub(crate) async fn import(
        &mut self,
        index: usize,
        module: &str,
        surroundings: &GuestSetup<'_>,
    ) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        // A SystemExit that leaves `execute` would take the interpreter down, and
        // its traceback with it.
        let code = format!(
            "try:\n    import {module}\nexcept SystemExit as exit:\n    raise ImportError(f'{EXITED} \
             {{exit.code!r}}') from exit"
        );
        let Err(message) = self.execute(&code, &format!("import {module}")).await? else {
            return Ok(());
        };
        let summary = format!("cannot import `{module}` (imports[{index}])");
        let report = self.report(summary, module, &message, surroundings);
        Err(Failure::Final(Error::Import(report)))
    }

    pub(crate) async fn set_up(
        &mut self,
        setup: &Setup,
        surroundings: &GuestSetup<'_>,
    ) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        let (name, code) = (literal(&setup.name), literal(&setup.code));
        let code = format!(
            "try:\n    exec(compile({code}, {name}, 'exec', dont_inherit=True), globals())\n\
             except SystemExit as exit:\n    raise RuntimeError(f'{ENDED} {{exit.code!r}}') from exit"
        );
        let Err(message) = self.run(&code, &setup.name, Error::Setup).await? else {
            return Ok(());
        };
        let summary = format!("the set-up code `{}` failed", setup.name);
        let traceback = diagnosis::setup_traceback(&message, &setup.name, &setup.code);
        let report = self.report(summary, &setup.name, &message, surroundings);
        Err(Failure::Final(Error::Setup(
            report.traceback_text(traceback),
        )))
    }

    /// What Python says about `what`, why, and what to do.
    pub(crate) fn report(
        &self,
        summary: String,
        what: &str,
        message: &str,
        surroundings: &GuestSetup<'_>,
    ) -> Report {
        let host = self.store.data();
        let output = host.take_output();
        // Some runtimes print the traceback as well.
        let printed = output.trim_end();
        let printed = printed.strip_suffix(message.trim_end()).unwrap_or(printed);
        let mut report = Report::new(summary)
            .traceback_text(message)
            .output_text(printed);
        report = host.explain(report);
        if let Some(hint) = diagnosis::hint(
            what,
            message,
            host.memory_limit_reached(),
            &[surroundings.stdlib, surroundings.site_packages],
        ) {
            report = report.hint(hint);
        }
        report
    }

    /// Turns off what traces user code line by line, where the runtime does so unasked.
    pub(crate) async fn stop_tracing(&mut self) -> Result<(), Failure> {
        self.execute(tracing::STOP, "tracing")
            .await?
            .map_err(|message| own_code_failed("tracing cannot be turned off", message))
    }

    /// Has the import system write down which private modules of packages it does
    /// not find: extensions that a package can do without are called so.
    pub(crate) async fn watch_misses(&mut self) -> Result<(), Failure> {
        self.execute(WATCH_MISSES, "import hook")
            .await?
            .map_err(|message| own_code_failed("the import system cannot be watched", message))
    }

    /// What was written down; the import system is left as it was.
    pub(crate) async fn misses(&mut self) -> Result<Vec<String>, Failure> {
        self.store.data_mut().take_output();
        self.execute(MISSES, "import hook")
            .await?
            .map_err(|message| own_code_failed("the import system cannot be watched", message))?;
        let text = self.store.data().take_output();
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Leaves what seeds again, in a restored instance, what was seeded so far.
    pub(crate) async fn reseed(&mut self, on_restore: &[String]) -> Result<(), Failure> {
        self.store.data_mut().take_output();
        // By itself: what it seeds has to be known in the next step.
        let imports = reseed::imports(on_restore);
        if !imports.is_empty() {
            let imported = self.execute(&imports, "on-restore").await?;
            self.prepared(imported)?;
        }
        if self.store.data().seeds_missed() {
            return Err(Failure::Final(Error::Import(
                Report::new(format!(
                    "more than {SEEDS_MAX} generators were seeded from the system's randomness"
                ))
                .note("each of them has to be found again, and seeded in every instance")
                .hint("make them when they are needed, not in an import or the set-up"),
            )));
        }
        let code = reseed::code(self.store.data().seeds(), on_restore);
        let prepared = self.execute(&code, "on-restore").await?;
        self.prepared(prepared)
    }

    pub(crate) fn prepared(&self, result: Result<(), String>) -> Result<(), Failure> {
        result.map_err(|message| {
            Failure::Final(Error::Import(
                Report::new("cannot prepare what is to run on restore")
                    .traceback_text(message)
                    .output_text(self.store.data().take_output())
                    .hint(
                        "each entry of `on-restore` names a module that can be imported and, \
                         behind a colon, something callable in it: \"numpy.random:seed\"",
                    ),
            ))
        })
    }

    /// Runs code, after the state was finalized: as every instance will, with what
    /// `reseed` left behind.
    pub(crate) async fn works(&mut self, code: &str, on_restore: &[String]) -> Result<(), Failure> {
        let Err(message) = self.execute(code, "pass").await? else {
            return Ok(());
        };
        let report = if on_restore.is_empty() {
            Report::new("the finished snapshot cannot run `pass`")
                .hint("please report this with the versions in use")
        } else {
            Report::new("an instance of the snapshot cannot run what `on-restore` names").hint(
                "it runs without arguments before the first code of each instance, which sees \
                 the mounts and nothing else",
            )
        };
        let output = self.store.data().take_output();
        let report = report.traceback_text(message).output_text(output);
        Err(Failure::Final(if on_restore.is_empty() {
            Error::Transform(report)
        } else {
            Error::Import(report)
        }))
    }

    /// Runs Python code, called `what` in reports; the inner error is what Python
    /// says about it.
    pub(crate) async fn execute(
        &mut self,
        code: &str,
        what: &str,
    ) -> Result<Result<(), String>, Failure> {
        self.run(code, what, Error::Import).await
    }

    /// As [`execute`](Self::execute), with the stage to report if it does not return.
    pub(crate) async fn run(
        &mut self,
        code: &str,
        what: &str,
        stage: fn(Report) -> Error,
    ) -> Result<Result<(), String>, Failure> {
        let Some(func) = self.export("execute") else {
            return Err(Failure::Final(Error::PythonInit(
                Report::new("the runtime has no `execute` export")
                    .hint("use an eryx-runtime from 0.5.0 to 0.14"),
            )));
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
            Val::Result(Ok(_)) => Ok(()),
            Val::Result(Err(Some(message))) => Err(match *message {
                Val::String(message) => message,
                other => format!("{other:?}"),
            }),
            other => Err(format!("unexpected answer from `execute`: {other:?}")),
        })
    }

    pub(crate) async fn finalize(&mut self) -> Result<(), Failure> {
        let Some(func) = self.export("finalize-preinit") else {
            return Err(Failure::Final(Error::PythonInit(
                Report::new("the runtime has no `finalize-preinit` export")
                    .hint("use an eryx-runtime from 0.5.0 to 0.14"),
            )));
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
                Error::PythonInit,
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

    pub(crate) async fn read<R: Lift + Send + Sync + 'static, T>(
        &mut self,
        instance: &str,
        func: &str,
        read: impl FnOnce(&Store<Host>, R) -> T,
    ) -> T {
        // wizer made these exports itself; its trait leaves no room for errors.
        let missing = "wizer's own accessor is missing or failed";
        let instance = self
            .instance
            .get_export_index(&mut self.store, None, instance)
            .expect(missing);
        let func = self
            .instance
            .get_export_index(&mut self.store, Some(&instance), func)
            .expect(missing);
        let func = self
            .instance
            .get_typed_func::<(), (R,)>(&mut self.store, func)
            .expect(missing);
        self.store.set_epoch_deadline(u64::MAX / 2);
        // The bound on what a call may hand over is meant for the guest's own.
        self.store.set_hostcall_fuel(usize::MAX);
        let (value,) = func.call_async(&mut self.store, ()).await.expect(missing);
        read(&self.store, value)
    }
}

impl ComponentInstanceState for Guest {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let environ = self.environ;
        let forgotten = self.read(instance, func, |store, list: WasmList<u8>| {
            let Some(environ) = environ else {
                contents(list.as_le_slice(store));
                return false;
            };
            let mut memory = list.as_le_slice(store).to_vec();
            let forgotten = environment::forget(&mut memory, environ);
            contents(&memory);
            forgotten
        });
        self.environment_forgotten |= forgotten.await;
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func, |_, value| value).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func, |_, value| value).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.read(instance, func, |_, value: f32| value.to_bits())
            .await
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.read(instance, func, |_, value: f64| value.to_bits())
            .await
    }
}

/// `text` as a string in Python source.
pub(crate) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 16);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

/// For code of this file, which is right if the runtime is.
pub(crate) fn own_code_failed(summary: &str, message: String) -> Failure {
    Failure::Final(Error::Import(
        Report::new(summary)
            .traceback_text(message)
            .hint("please report this with the versions in use"),
    ))
}

pub(crate) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Stop> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result.map_err(Stop::Error),
        Err(_) => Err(Stop::Timeout),
    }
}

/// What the guest may hand to the host in one call, in bytes.
pub(crate) const CALL_BYTES: usize = 128 << 20;

/// Interrupts running guest code after a while: the timeout of [`within`] only
/// fires while the guest waits.
pub(crate) struct Alarm {
    stop: mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Alarm {
    pub(crate) fn set(store: &mut Store<Host>, engine: &Engine, timeout: Duration) -> Self {
        store.set_hostcall_fuel(CALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_trap();
        let (stop, stopped) = mpsc::channel();
        let engine = engine.clone();
        let thread = std::thread::spawn(move || {
            if stopped.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
