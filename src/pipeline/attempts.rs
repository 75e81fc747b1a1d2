//! The step that runs Python: compilers and bodies are tried, the fastest way first,
//! until one gives a snapshot that works.

use crate::error::{Error, Report, Stage};
use crate::guest::draws;
use crate::guest::engine::{self, Compiler};
use crate::guest::environment;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::import_times::{self, Measured};
use crate::guest::script::{Observed, Script, Setup, Timing};
use crate::guest::snapshot::{self, Instrumented};
use crate::packages::tree::SitePackages;
use crate::pipeline::bytecode::Bytecode;
use crate::pipeline::context::Context;
use crate::pipeline::embed;
use crate::pipeline::keys::{self, Keys};
use crate::pipeline::link::{Linked, not_understood};
use crate::store::cache::EntryKind;
use crate::store::digest::{Blob, Digest};
use crate::wasm::bodies::{self, Bodies};
use crate::wasm::complete::{self, Bare};
use crate::wasm::{initialize, strip, validate};
use std::borrow::Cow;
use std::path::Path;
use std::thread;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What the guest sees and runs, but for what the configuration says.
pub(crate) struct GuestInputs<'a> {
    pub(crate) stdlib: &'a Path,
    pub(crate) site_packages: &'a SitePackages,
    pub(crate) setup: Option<&'a Setup>,
}

/// The step, for one linked component.
pub(crate) struct Attempts<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) keys: &'a Keys,
    pub(crate) linked: &'a Linked,
    pub(crate) bytecode: &'a Bytecode<'a>,
    pub(crate) guest: GuestInputs<'a>,
}

/// One way to run the component.
#[derive(Clone, Copy)]
struct Way<'a> {
    compiler: Compiler,
    engine: &'a Engine,
    bodies: Bodies,
}

/// Compiled code, and the way it is for.
struct Ready<'a> {
    way: Way<'a>,
    component: Component,
}

impl<'a> Way<'a> {
    fn is(&self, other: &Way<'_>) -> bool {
        (self.compiler, self.bodies) == (other.compiler, other.bodies)
    }

    fn code_key(&self, link: Digest) -> Digest {
        let engine = engine::fingerprint(self.engine);
        let profile = bodies::profile_digest();
        keys::code(link, self.compiler, engine, self.bodies, profile)
    }

    /// Every way there is, in the order to try them: the profiled bodies before all of
    /// them, the compilers in the order given.
    fn all(engines: &'a [(Compiler, Engine)]) -> impl Iterator<Item = Self> {
        engines.iter().flat_map(|(compiler, engine)| {
            [Bodies::Library, Bodies::Start, Bodies::All].map(|bodies| Self {
                compiler: *compiler,
                engine,
                bodies,
            })
        })
    }
}

/// What running Python gives.
type Snapshot = (Bare, Timing, Observed);

/// Why an attempt did not give a snapshot.
enum Attempt {
    /// Final: another way would fail alike.
    Failed(Error),
    /// This compiler does not take the component.
    Compile(Error),
    /// The guest trapped; all bodies, or another compiler, may not.
    Trap(Error),
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Final(error) => Self::Failed(error),
            Failure::Trap(error) => Self::Trap(error),
        }
    }
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Attempts<'_> {
    /// A finished snapshot, and what was found while it was taken.
    ///
    /// # Errors
    /// What the last way failed with, or the first failure that is final.
    pub(crate) fn snapshot(
        &self,
        engines: &[(Compiler, Engine)],
    ) -> Result<(Blob, Vec<String>), Error> {
        let cx = self.cx;
        let linked = self.linked.bytes();
        let bare = complete::bare(linked).map_err(not_understood)?;
        let instrument = || snapshot::instrument(&bare, linked);
        let instrumented = cx.log.timed("instrument", instrument)?;
        let mut fewest = self.fewest()?;
        let mut ready = self.ready(engines, fewest);
        let mut last = None;
        for way in Way::all(engines) {
            // What was missing for one compiler is for the next.
            if way.bodies < fewest {
                continue;
            }
            // Compiled for a later way: what comes before was no use.
            if ready.as_ref().is_some_and(|ready| !ready.way.is(&way)) {
                continue;
            }
            cx.log.say(&format!(
                "engine: {}, bodies: {}",
                way.compiler.name(),
                way.bodies.name()
            ));
            let error = match self.attempt(way, &instrumented, ready.take()) {
                Ok(built) => return Ok(built),
                Err(Attempt::Failed(error)) => return Err(error),
                Err(Attempt::Trap(error)) => {
                    fewest = match way.bodies {
                        Bodies::Execute | Bodies::Library => Bodies::Start,
                        Bodies::Start | Bodies::All => Bodies::All,
                    };
                    error
                }
                Err(Attempt::Compile(error)) => error,
            };
            cx.log.say(&format!("{error}; trying another way"));
            last = Some(error);
        }
        Err(last.unwrap_or_else(|| Stage::Engine.error(Report::new("no compiler to try"))))
    }

    /// What the imports took and made, in an instance that is thrown away: the snapshot
    /// has nothing of it. All bodies run, as nobody recorded which of them this needs.
    ///
    /// # Errors
    /// What running Python failed with.
    pub(crate) fn measure(
        &self,
        engines: &[(Compiler, Engine)],
        embedded: Option<&[u8]>,
    ) -> Result<Measured, Error> {
        let empty = tempfile::tempdir()
            .map_err(|e| Error::io("create a temporary folder in", &std::env::temp_dir(), e))?;
        let setup = self.setup(empty.path());
        let script = self.script(embedded);
        let mut last = Stage::Engine.error(Report::new("no compiler to try"));
        for (compiler, engine) in engines {
            match snapshot::compile(engine, *compiler, self.linked.bytes()) {
                Ok(component) => {
                    let measured = import_times::measure(&component, &setup, &script);
                    return measured.map_err(Failure::into_error);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The fewest bodies that may do. What extensions call is known where they are in one
    /// module with it.
    fn fewest(&self) -> Result<Bodies, Error> {
        let packages = self.guest.site_packages;
        let linked = self.linked.bytes();
        let known = packages.report.libraries.is_empty()
            || bodies::is_fused(linked).map_err(not_understood)?;
        if !known || !bodies::is_profiled(linked).map_err(not_understood)? {
            return Ok(Bodies::All);
        }
        let only_library = packages.tree.is_none()
            && self.guest.setup.is_none()
            && self.cx.config.on_restore.is_empty()
            && self.bytecode.fill()?.is_empty();
        Ok(match only_library {
            true => Bodies::Library,
            false => Bodies::Start,
        })
    }

    /// Compiled code in the cache, of the first way that has some and keeps at least the
    /// `fewest` bodies: all of them, if an earlier build needed them.
    fn ready<'e>(&self, engines: &'e [(Compiler, Engine)], fewest: Bodies) -> Option<Ready<'e>> {
        let cache = &self.cx.cache;
        let all_first = engines.chunks(1).flat_map(|engine| {
            let mut ways: Vec<_> = Way::all(engine).collect();
            ways.reverse();
            ways
        });
        for way in all_first.filter(|way| way.bodies >= fewest) {
            let Some(code) = cache.find(EntryKind::Code, way.code_key(self.keys.link)) else {
                continue;
            };
            let load = || engine::load(way.engine, &code.blob.bytes);
            match self.cx.log.timed("load code", load) {
                Ok(component) => return Some(Ready { way, component }),
                Err(error) => cache.trouble(format!(
                    "compiled code in the cache does not load, and is built again: {error}"
                )),
            }
        }
        None
    }

    fn attempt(
        &self,
        way: Way<'_>,
        instrumented: &Instrumented<'_>,
        ready: Option<Ready<'_>>,
    ) -> Result<(Blob, Vec<String>), Attempt> {
        let new = ready.is_none();
        let component = match ready {
            Some(ready) => ready.component,
            None => self.compile(way, &instrumented.skeleton)?,
        };
        // Where nothing else is mounted.
        let empty = tempfile::tempdir()
            .map_err(|e| Error::io("create a temporary folder in", &std::env::temp_dir(), e))?;
        let setup = self.setup(empty.path());
        // The guest has one thread: the other cores store what is new.
        let (made, kept) = thread::scope(|scope| {
            if new {
                scope.spawn(|| self.store_code(way, &component));
            }
            let kept = scope.spawn(|| self.linked.keep(self.cx));
            let made = self.take(way, instrumented, &component, &setup);
            let made = made.and_then(|taken| self.made_of(way, taken, &component, &setup));
            (made, kept.join())
        });
        // That the linked component is valid, what was made of it relies on.
        kept.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        made
    }

    /// The finished snapshot of what running Python gave, and what was found.
    fn made_of(
        &self,
        way: Way<'_>,
        (embedded, (taken, timing, observed)): (Option<Vec<u8>>, Snapshot),
        component: &Component,
        setup: &GuestSetup<'_>,
    ) -> Result<(Blob, Vec<String>), Attempt> {
        let script = self.script(embedded.as_deref());
        self.say_taken(&timing, &observed);
        let mut findings = frozen(&observed);
        findings.extend(self.who_draws(component, setup, &script, &observed));
        let wasm = self.finish(way, &taken, setup, observed.hooks(&script))?;
        Ok((wasm, findings))
    }

    /// The archive in the snapshot, if there is one, and what running Python gives, which
    /// first compiles what nobody compiled yet.
    fn take(
        &self,
        way: Way<'_>,
        instrumented: &Instrumented<'_>,
        component: &Component,
        setup: &GuestSetup<'_>,
    ) -> Result<(Option<Vec<u8>>, Snapshot), Attempt> {
        self.compile_sources(way, component, setup)?;
        let embedded = embed::archive(self.cx, self.keys, &self.bytecode.mounts)?;
        let script = self.script(embedded.as_deref());
        let take = || snapshot::take(instrumented, component, setup, &script);
        let taken = self.cx.log.doing("run Python and its imports", take)?;
        Ok((embedded, taken))
    }

    /// Has every source that Python sees compiled, as far as CPython compiles it.
    fn compile_sources(
        &self,
        way: Way<'_>,
        component: &Component,
        setup: &GuestSetup<'_>,
    ) -> Result<(), Attempt> {
        let sources = self.bytecode.fill()?;
        if sources.is_empty() {
            return Ok(());
        }
        let all = way.bodies == Bodies::All;
        Ok(self.bytecode.compile(component, setup, &sources, all)?)
    }

    fn compile(&self, way: Way<'_>, component: &[u8]) -> Result<Component, Attempt> {
        let part =
            bodies::runnable(component, self.linked.bytes(), way.bodies).map_err(not_understood)?;
        let compile = || snapshot::compile(way.engine, way.compiler, &part);
        let compiled = self.cx.log.timed("compile", compile);
        compiled.map_err(Attempt::Compile)
    }

    fn store_code(&self, way: Way<'_>, component: &Component) {
        let Context { cache, log, .. } = self.cx;
        let key = way.code_key(self.keys.link);
        log.timed("store code", || match component.serialize() {
            Ok(code) => cache.store(EntryKind::Code, key, &Blob::from(code), &[]),
            Err(error) => cache.trouble(format!("cannot serialize code: {error}")),
        });
    }

    fn script<'s>(&'s self, embedded: Option<&'s [u8]>) -> Script<'s> {
        let config = self.cx.config;
        Script {
            embedded,
            imports: &config.imports,
            on_restore: &config.on_restore,
            setup: self.guest.setup,
            trace: config.trace,
            watch: self.guest.site_packages.tree.is_some() || self.guest.setup.is_some(),
            timeout: config.timeout,
        }
    }

    fn setup<'g>(&'g self, empty: &'g Path) -> GuestSetup<'g> {
        GuestSetup {
            stdlib: self.guest.stdlib,
            site_packages: self.guest.site_packages.tree.as_deref().unwrap_or(empty),
            epoch_seconds: self.cx.epoch_seconds,
            seed: self.keys.content.0,
            memory_limit: self.cx.config.memory_limit,
            environment: environment::BUILD,
            scratch: self.cx.folder,
        }
    }

    /// Says how long the guest took and what a package does without.
    fn say_taken(&self, timing: &Timing, observed: &Observed) {
        let log = self.cx.log;
        log.took("python start", timing.start);
        for (module, took) in self.cx.config.imports.iter().zip(&timing.imports) {
            log.took(&format!("import {module}"), *took);
        }
        if let Some(setup) = self.guest.setup {
            log.took(&format!("set-up {}", setup.name), timing.setup);
        }
        log.took("snapshot", timing.snapshot);
        let foreign = &self.guest.site_packages.report.foreign;
        for module in &observed.watched.misses {
            let why = match foreign.get(module) {
                Some(what) => format!("the file for it {what}"),
                None => "no native extension of that name is linked".to_owned(),
            };
            log.say(&format!(
                "optional module `{module}` was tried and is not there ({why}); its package goes \
                 on without it"
            ));
        }
    }

    /// Warnings of who drew from the system's randomness before the snapshot.
    fn who_draws(
        &self,
        component: &Component,
        setup: &GuestSetup<'_>,
        script: &Script<'_>,
        observed: &Observed,
    ) -> Vec<String> {
        if observed.draws.is_empty() {
            return Vec::new();
        }
        let log = self.cx.log;
        let places = log.timed("who draws", || draws::places(component, setup, script));
        // Without them, the warning says less.
        let places = places.unwrap_or_else(|failure| {
            log.say(&format!("cannot find who draws: {}", failure.into_error()));
            Vec::new()
        });
        let hooks = script.on_restore.iter();
        let restoring: Vec<&str> = hooks
            .map(|hook| {
                hook.split_once(':')
                    .map_or(hook.as_str(), |(module, _)| module)
            })
            .chain(observed.watched.restoring.iter().map(String::as_str))
            .collect();
        draws::warnings(&observed.draws, &places, &restoring)
    }

    /// `_initialize` back, stripped, bodies and memory back, validated and tried out, behind
    /// the user's functions if there are `hooks`.
    fn finish(
        &self,
        way: Way<'_>,
        taken: &Bare,
        setup: &GuestSetup<'_>,
        hooks: bool,
    ) -> Result<Blob, Attempt> {
        let linked = self.linked.bytes();
        let transformed = self.cx.log.timed("transform", || {
            // While it is small: what is put back has nothing to restore or strip.
            let bare = initialize::restore_initialize(&taken.component)?;
            let bare = match self.cx.config.strip {
                true => strip::strip_custom_sections(&bare)?,
                false => Cow::Borrowed(&bare[..]),
            };
            complete::completed(&bare, linked, &taken.images)
        });
        let wasm = transformed.map_err(not_understood)?;
        let wasm = Blob::from(wasm);
        let (_, works) = rayon::join(
            // Whoever publishes it asks.
            || wasm.digest(),
            || {
                is_valid(linked, &wasm.bytes)?;
                self.verify(way, &wasm.bytes, setup, hooks)
            },
        );
        works?;
        Ok(wasm)
    }

    /// Loads the finished snapshot and runs `pass` in it, compiling no more of it
    /// than that takes. Once for each linked component and engine: later
    /// snapshots differ in the contents of memory only, and the instance they
    /// were taken from has just run `pass`.
    fn verify(
        &self,
        way: Way<'_>,
        wasm: &[u8],
        setup: &GuestSetup<'_>,
        hooks: bool,
    ) -> Result<(), Attempt> {
        let cx = self.cx;
        let all = Way {
            bodies: Bodies::All,
            ..way
        };
        let key = keys::verified(all.code_key(self.keys.link));
        if !cx.config.verify || cx.cache.find(EntryKind::Verified, key).is_some() {
            return Ok(());
        }
        cx.log
            .timed("verify", || self.smoke_test(all, wasm, setup, hooks))?;
        let nothing = Blob::from(Vec::new());
        cx.cache.store(EntryKind::Verified, key, &nothing, &[]);
        Ok(())
    }

    fn smoke_test(
        &self,
        way: Way<'_>,
        wasm: &[u8],
        setup: &GuestSetup<'_>,
        hooks: bool,
    ) -> Result<(), Attempt> {
        let timeout = self.cx.config.timeout;
        let profiled = bodies::is_profiled(self.linked.bytes()).map_err(not_understood)?;
        let ways = [Bodies::Execute, Bodies::Start, Bodies::All];
        let mut outcome = Ok(());
        for &bodies in if profiled { &ways[..] } else { &ways[2..] } {
            let part =
                bodies::runnable(wasm, self.linked.bytes(), bodies).map_err(not_understood)?;
            let component =
                snapshot::compile(way.engine, way.compiler, &part).map_err(Attempt::Compile)?;
            outcome = snapshot::smoke_test(&component, setup, hooks, timeout);
            if !matches!(outcome, Err(Failure::Trap(_))) {
                break;
            }
        }
        Ok(outcome?)
    }
}

/// What to warn of: what no instance can use as it is.
fn frozen(observed: &Observed) -> Vec<String> {
    let left_open = observed.left_open.iter().map(|path| {
        format!(
            "`{path}` is still open when the snapshot is taken: the restored program gets \
             EBADF from it; close it in the code that opens it (an import, or the set-up)"
        )
    });
    let opened = observed.opened_by_path.iter().map(|path| {
        format!(
            "`{path}` was opened in a way that an instance can only use with the packages mounted: \
             the file is not embedded, or the code goes around Python's `open` (`os.open`, \
             `io.FileIO`, C); open it with `open`, or mount the packages"
        )
    });
    let left_result = observed.left_result.then(|| {
        "the set-up leaves a global `result`: the runtime takes the answer of each `execute` from \
         that name, and removes it before the next; use another name"
            .to_owned()
    });
    let unknown_environment = (!observed.environment_forgotten).then(|| {
        "this runtime keeps its environment variables at an unknown place: instances see those of \
         the build, not those of their host"
            .to_owned()
    });
    let findings = left_open
        .chain(opened)
        .chain(left_result)
        .chain(unknown_environment);
    findings.collect()
}

fn is_valid(linked: &[u8], wasm: &[u8]) -> Result<(), Error> {
    bodies::skeleton(wasm)
        .and_then(|skeleton| validate::validate_derived(linked, wasm, &skeleton))
        .map_err(|e| {
            Stage::Transform.error(
                Report::new("the snapshot is not a valid component")
                    .source(e)
                    .hint("please report this with the versions in use"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_instance_can_use_is_warned_of() {
        let fine = Observed {
            environment_forgotten: true,
            ..Observed::default()
        };
        assert_eq!(frozen(&fine), [""; 0]);
        let observed = Observed {
            left_open: vec!["/tmp/log".to_owned()],
            opened_by_path: vec!["/site-packages/a/b.txt".to_owned()],
            left_result: true,
            environment_forgotten: false,
            ..Observed::default()
        };
        let warnings = frozen(&observed);
        let said = [
            "`/tmp/log` is still open",
            "`/site-packages/a/b.txt` was opened in a way that",
            "leaves a global `result`",
            "environment variables at an unknown place",
        ];
        assert_eq!(warnings.len(), said.len(), "{warnings:?}");
        for (warning, said) in warnings.iter().zip(said) {
            assert!(warning.contains(said), "{warning}");
        }
    }
}
