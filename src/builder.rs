//! A build, configured and run.

use crate::artifacts::Artifacts;
use crate::build::BUILD;
use crate::caller::Caller;
use crate::cargo::advice;
use crate::cargo::directives::{self, Directive};
use crate::cargo::metadata::Graph;
use crate::config::{self, Config, Extension, Precompile};
use crate::error::{Error, Report, Stage};
use crate::inputs::locate::Inputs;
use crate::inputs::read::ReadInputs;
use crate::inputs::stamp::{FOLDER, Stamp, Stamps};
use crate::inputs::stdlib;
use crate::log::Log;
use crate::native::compile::{ConsumerCompiler, Identity, Precompiler};
use crate::native::target::Target;
use crate::outputs;
use crate::packages::tree;
use crate::pipeline::context::Context;
use crate::pipeline::keys::{self, Tools};
use crate::pipeline::native::{MadeBy, NativeCompiler, NativePlan};
use crate::pipeline::{self, Built};
use crate::report::{self, Facts};
use crate::side_by_side;
use crate::store::cache::Cache;
use crate::store::digest::Digest;
use crate::store::files;
use std::collections::BTreeMap;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// A build configured in Rust instead of, or on top of, the metadata block.
///
/// ```no_run
/// // build.rs
/// fn main() -> Result<(), eryx_preinit_build::Error> {
///     eryx_preinit_build::Builder::from_env()?
///         .import("json")
///         .package("python/app")
///         .build()?;
///     Ok(())
/// }
/// ```
///
/// A build script may run several builders, each with its own
/// [`output`](Builder::output): they share the cache. What an output leaves behind that
/// the script no longer asks for is removed.
#[derive(Clone, Debug)]
pub struct Builder {
    /// What to build. [`Builder::build`] checks it. The setters below write here.
    pub config: Config,
    /// What else to build, side by side where cores allow, by name: the tables of the
    /// block's `snapshots`, or what [`Builder::snapshot`] adds. Each is written to
    /// `<name>.wasm`, whatever its `output` says, and takes the cache from `config`.
    pub snapshots: BTreeMap<String, Config>,
    consumer_compiler: Option<ConsumerCompiler>,
    caller: Caller,
    log: Log,
}

impl Builder {
    /// Reads the environment cargo gives build scripts and the consumer's
    /// metadata block. Progress goes to stderr, which cargo shows with `-vv` and when
    /// the build fails.
    ///
    /// # Errors
    /// [`Stage::Config`](crate::Stage::Config) outside a build script or when the block is invalid;
    /// [`Stage::Io`](crate::Stage::Io) when Cargo.toml cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        let caller = Caller::build_script()?;
        let log = Log::stderr();
        let (config, snapshots) = match &caller {
            Caller::BuildScript {
                environment,
                consumer,
                ..
            } => {
                if consumer.block.is_none() {
                    log.say("no [package.metadata.eryx] block: no imports, defaults for the rest");
                }
                let block = consumer.block.as_ref();
                let manifest = &environment.manifest;
                let (mut config, mut snapshots) = Config::from_metadata(block, manifest)?;
                for config in snapshots.values_mut().chain([&mut config]) {
                    config.report |= environment.report;
                }
                (config, snapshots)
            }
            Caller::Program { .. } => Default::default(),
        };
        Ok(Self {
            config,
            snapshots,
            consumer_compiler: None,
            caller,
            log,
        })
    }

    /// A build outside cargo: writes below `out_dir`, from the `eryx-runtime`
    /// package folder `runtime`, with the embedded standard library unless
    /// `config.stdlib` names another. Prints nothing: see [`Builder::progress`].
    pub fn new(out_dir: impl Into<PathBuf>, runtime: impl Into<PathBuf>) -> Self {
        Self {
            config: Config {
                runtime: Some(runtime.into()),
                ..Config::default()
            },
            snapshots: BTreeMap::new(),
            consumer_compiler: None,
            caller: Caller::Program {
                out_dir: out_dir.into(),
            },
            log: Log::default(),
        }
    }

    /// Tells `listener` what the build does and how long it took, a line at a time,
    /// without a newline; from several threads. After ten seconds it also hears every five
    /// what is going on.
    pub fn progress(&mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> &mut Self {
        self.log = Log::to(listener);
        self
    }

    /// Adds a snapshot, `<name>.wasm`: a copy of [`Builder::config`] as it is now, which
    /// `change` changes. In place of one that has this name.
    pub fn snapshot(
        &mut self,
        name: impl Into<String>,
        change: impl FnOnce(&mut Config),
    ) -> &mut Self {
        let mut config = self.config.clone();
        change(&mut config);
        self.snapshots.insert(name.into(), config);
        self
    }

    /// Adds a module to [`Config::imports`].
    pub fn import(&mut self, module: impl Into<String>) -> &mut Self {
        self.config.imports.push(module.into());
        self
    }

    /// Adds an entry to [`Config::on_restore`].
    pub fn on_restore(&mut self, callable: impl Into<String>) -> &mut Self {
        self.config.on_restore.push(callable.into());
        self
    }

    /// Adds an entry to [`Config::packages`].
    pub fn package(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.config.packages.push(path.into());
        self
    }

    /// Adds an entry to [`Config::extensions`].
    pub fn extension(&mut self, extension: Extension) -> &mut Self {
        self.config.extensions.push(extension);
        self
    }

    /// Sets [`Config::site_packages`].
    pub fn site_packages(&mut self, folder: impl Into<PathBuf>) -> &mut Self {
        self.config.site_packages = Some(folder.into());
        self
    }

    /// Sets [`Config::setup_code`], in place of [`Config::setup`].
    pub fn setup_code(&mut self, code: impl Into<String>) -> &mut Self {
        self.config.setup = None;
        self.config.setup_code = Some(code.into());
        self
    }

    /// Sets [`Config::output`].
    pub fn output(&mut self, file_name: impl Into<String>) -> &mut Self {
        self.config.output = file_name.into();
        self
    }

    /// Sets [`Config::cache_dir`].
    pub fn cache_dir(&mut self, folder: impl Into<PathBuf>) -> &mut Self {
        self.config.cache_dir = Some(folder.into());
        self
    }

    /// Sets [`Config::stdlib`].
    pub fn stdlib(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.config.stdlib = Some(path.into());
        self
    }

    /// Sets [`Config::precompile`].
    pub fn precompile(&mut self, precompile: Precompile) -> &mut Self {
        self.config.precompile = Some(precompile);
        self
    }

    /// Has `compile` make the native code, for programs that load it with another
    /// Wasmtime than this crate's: it gets the component and the target triple, and
    /// returns the code. Turns [`Config::precompile`] on, of which only `target`
    /// counts then, for `snapshots` too.
    ///
    /// `compile` is called only when needed. Its result is kept in the cache by the
    /// component, the target, and the executable and line that call this: a build
    /// script holds `compile` and every crate it uses, in the versions and with the
    /// features that cargo resolved. What else `compile` depends on (variables it
    /// captures, files it reads) is not known to the cache.
    ///
    /// ```ignore
    /// // build.rs, with eryx in [build-dependencies] too
    /// let mut builder = eryx_preinit_build::Builder::from_env()?;
    /// builder.precompile_with(|wasm, target| {
    ///     eryx::PythonExecutor::precompile_with_target(wasm, Some(target))
    /// });
    /// builder.build()?;
    /// ```
    #[track_caller]
    pub fn precompile_with<E>(
        &mut self,
        compile: impl Fn(&[u8], &str) -> Result<Vec<u8>, E> + Send + Sync + 'static,
    ) -> &mut Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.precompile_all();
        self.consumer_compiler = Some(ConsumerCompiler::new(compile, Location::caller()));
        self
    }

    /// As [`precompile_with`](Self::precompile_with), where `compile` calls the compiler of
    /// the consumer's `eryx`: its result is kept by the version of `eryx` and of all it is
    /// built of, so that an edited build script does not compile again. Writes
    /// `python.rs`, too, with a function `python::sandbox()` that gives a
    /// `SandboxBuilder`. [`run_with_eryx!`](crate::run_with_eryx) calls it.
    pub fn precompile_with_eryx<E>(
        &mut self,
        compile: impl Fn(&[u8], &str) -> Result<Vec<u8>, E> + Send + Sync + 'static,
    ) -> &mut Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.precompile_all();
        self.consumer_compiler = Some(ConsumerCompiler::eryx(compile));
        self
    }

    fn precompile_all(&mut self) {
        for config in std::iter::once(&mut self.config).chain(self.snapshots.values_mut()) {
            config.precompile.get_or_insert_default();
        }
    }

    /// Runs the pipeline, or finds that there is nothing to do; for `config` and for each
    /// of `snapshots`. One that fails does not keep the others from being written.
    ///
    /// # Errors
    /// One [`Error`] variant a stage; its `Debug` is the report to show. If several
    /// snapshots fail, the first one's, with a note for each other.
    pub fn build(&self) -> Result<Artifacts, Error> {
        self.log.watched(|| self.build_all())
    }

    fn build_all(&self) -> Result<Artifacts, Error> {
        self.config.check()?;
        config::check_snapshots(&self.snapshots, &self.config.output)?;
        let parts = self.parts();
        if self.caller.placeholder().is_none() {
            for (name, part) in &parts {
                part.config.check_paths(self.caller.manifest(), *name)?;
            }
        }
        let shared = Shared::default();
        let finished = side_by_side::each(&parts, |(_, part)| part.build_one(&shared))
            .map_err(|e| Stage::Io.error(Report::new("cannot start a thread").source(e)))?;
        let names = parts.iter().map(|(name, _)| *name);
        let finished = all(names.zip(finished))?;
        if self.caller.placeholder().is_none() {
            let outputs: Vec<_> = parts.iter().map(|(_, p)| &p.config.output[..]).collect();
            self.sweep(&outputs);
        }
        let mut directives = self.caller.directives();
        for part in &finished {
            directives.extend(part.watched.iter().cloned().map(Directive::RerunIfChanged));
            directives.extend(part.said.iter().cloned());
            directives.extend(directives::warnings(&part.artifacts));
            directives.extend(directives::variables(&part.artifacts)?);
        }
        self.caller.tell(&directives)?;
        let mut built = finished.into_iter().map(|part| part.artifacts);
        let names = self.snapshots.keys().cloned();
        let artifacts = built.next().expect("`config` is built");
        let snapshots = names.zip(built).collect();
        Ok(Artifacts {
            snapshots,
            ..artifacts
        })
    }

    /// A builder for each snapshot, `config`'s first.
    fn parts(&self) -> Vec<(Option<&str>, Self)> {
        let part = |config: Config, log| Self {
            config,
            snapshots: BTreeMap::new(),
            consumer_compiler: self.consumer_compiler.clone(),
            caller: self.caller.clone(),
            log,
        };
        let mut parts = vec![(None, part(self.config.clone(), self.log.clone()))];
        for (name, config) in &self.snapshots {
            let config = Config {
                output: format!("{name}.wasm"),
                cache_dir: self.config.cache_dir.clone(),
                cache_size: self.config.cache_size,
                ..config.clone()
            };
            parts.push((Some(name.as_str()), part(config, self.log.named(name))));
        }
        parts
    }

    /// Removes what earlier builds left and none of `outputs` needs: only now, until here
    /// the last results are as they were.
    fn sweep(&self, outputs: &[&str]) {
        let out_dir = self.caller.out_dir();
        let stamps = Stamps::of(out_dir);
        if let Some(generation) = self.caller.generation() {
            stamps.set_aside_others(outputs, generation);
        }
        let folder = out_dir.join(FOLDER);
        let mounted = stamps.folders();
        stdlib::sweep(&folder, &mounted);
        tree::sweep(&folder, &mounted);
        files::sweep(&folder);
        files::sweep(out_dir);
    }

    /// Builds `config` alone.
    fn build_one(&self, shared: &Shared) -> Result<Finished, Error> {
        let started = Instant::now();
        if let Some(reason) = self.caller.placeholder() {
            return self.placeholder(reason);
        }
        let mut last = LastBuild::load(self)?;
        // locate
        let inputs = self.locate(&mut last.stamp, shared)?;
        let native = self.native(&inputs)?;
        let epoch_seconds = self.caller.epoch_seconds();
        let native_request = native.as_ref().map(NativePlan::request);
        let tools = Tools::compiled();
        let request = keys::request(tools, &self.config, &inputs, epoch_seconds, native_request);
        if let Some(artifacts) = last.stamp.unchanged(request, &inputs.files()?) {
            self.log
                .say(&format!("nothing changed ({:.1?})", started.elapsed()));
            last.store();
            return Ok(Finished {
                artifacts,
                watched: inputs.watched,
                said: Vec::new(),
            });
        }
        // read
        let setup = self.caller.setup(&self.config)?;
        let read = ReadInputs::read(&inputs, &last.stamp.files, setup)?;
        // stage ─► link ─► snapshot ─► native
        let log = self.log.remembering();
        let (troubles, heard) = mpsc::channel();
        let cx = Context {
            config: &self.config,
            cache: self.cache(&last.folder, troubles, &log)?,
            folder: &last.folder,
            turn: &shared.turn,
            epoch_seconds,
            log: &log,
        };
        let built = pipeline::run(&cx, &inputs, &read, native.as_ref())?;
        // publish
        let mut artifacts = self.publish(&built, native.as_ref())?;
        self.report(&cx, &built, &mut artifacts, started);
        last.replace(request, read, &built, &artifacts);
        self.log.say(&done(&artifacts, started.elapsed()));
        let mut said: Vec<_> = heard.try_iter().map(directives::warning).collect();
        said.extend(self.advice(&inputs, &artifacts, started.elapsed()));
        Ok(Finished {
            artifacts,
            watched: inputs.watched,
            said,
        })
    }

    fn placeholder(&self, reason: &str) -> Result<Finished, Error> {
        self.log.say(&format!("placeholder only: {reason}"));
        let compiler = self.consumer_compiler.as_ref();
        let for_eryx = compiler.is_some_and(|compiler| *compiler.identity() == Identity::Eryx);
        let out_dir = self.caller.out_dir();
        let artifacts = outputs::placeholder(out_dir, &self.config, reason, for_eryx)?;
        Ok(Finished {
            artifacts,
            watched: Vec::new(),
            said: Vec::new(),
        })
    }

    fn locate(&self, stamp: &mut Stamp, shared: &Shared) -> Result<Inputs, Error> {
        let asked = &shared.asked;
        let graph = |wanted| self.caller.graph(stamp, wanted, asked, &self.log);
        Inputs::locate(&self.config, self.caller.out_dir(), graph)
    }

    fn cache(
        &self,
        folder: &Path,
        troubles: mpsc::Sender<String>,
        log: &Log,
    ) -> Result<Cache, Error> {
        let shared = self.caller.cache_dir(&self.config);
        let root = shared.as_deref().unwrap_or(folder);
        Cache::open(root, BUILD, log.clone(), troubles)
    }

    /// Who makes native code and for what, if any is to be made.
    fn native(&self, inputs: &Inputs) -> Result<Option<NativePlan<'_>>, Error> {
        let Some(precompile) = &self.config.precompile else {
            return Ok(None);
        };
        let target = Target::resolve(precompile, self.caller.target())?;
        let compiler = match &self.consumer_compiler {
            None => {
                let debug = self.caller.debug();
                NativeCompiler::Ours(Precompiler::all(precompile, &target, debug)?)
            }
            Some(compiler) => {
                let made_by = MadeBy::of(compiler, inputs.eryx.as_ref())?;
                NativeCompiler::Consumer(compiler, made_by)
            }
        };
        Ok(Some(NativePlan {
            target,
            compiler,
            reuse: !precompile.address_map,
        }))
    }

    /// Writes the results to OUT_DIR.
    fn publish(&self, built: &Built, native: Option<&NativePlan<'_>>) -> Result<Artifacts, Error> {
        let wasm = self.caller.out_dir().join(&self.config.output);
        let native = native.zip(self.config.precompile.as_ref());
        Ok(Artifacts {
            stdlib: Some(built.stdlib.clone()),
            site_packages: built.site_packages.tree.clone(),
            warnings: built.warnings.clone(),
            ..outputs::publish_built(&wasm, built, native, &self.config)?
        })
    }

    /// Writes the report, if one is wanted. Without it the build is as good.
    fn report(&self, cx: &Context<'_>, built: &Built, artifacts: &mut Artifacts, from: Instant) {
        if !self.config.report {
            return;
        }
        let report = report::collect(&Facts {
            config: &self.config,
            wasm: &built.snapshot.bytes,
            seconds: from.elapsed().as_secs_f64(),
            steps: cx.log.steps(),
            measured: built.measured.as_ref(),
            warnings: &built.warnings,
        });
        let wasm = &artifacts.component.path;
        match outputs::publish_report(wasm, report::page(&report), report.json()) {
            Ok((page, json)) => {
                (artifacts.report, artifacts.report_json) = (Some(page), Some(json))
            }
            Err(error) => cx
                .cache
                .trouble(format!("cannot write the report: {error}")),
        }
    }

    fn advice(&self, inputs: &Inputs, artifacts: &Artifacts, took: Duration) -> Vec<Directive> {
        let mut advice = advice::advice(&self.config, artifacts, took);
        if let (Some((version, _)), None, true) = (
            &inputs.eryx,
            &self.config.precompile,
            self.config.warn_unoptimized,
        ) {
            advice.push(advice::native_code_for_eryx(version));
        }
        advice
    }
}

/// What builds that run side by side have in common.
#[derive(Default)]
struct Shared {
    /// Who holds it makes what the others may use.
    turn: Mutex<()>,
    /// What cargo said last of the dependency graph.
    asked: Mutex<Option<(Digest, Graph)>>,
}

/// A finished build, and what cargo is to be told of it.
struct Finished {
    artifacts: Artifacts,
    watched: Vec<PathBuf>,
    said: Vec<Directive>,
}

/// All builds, or what failed first, with a word on the others that failed.
fn all<'a, T>(
    finished: impl Iterator<Item = (Option<&'a str>, Result<T, Error>)>,
) -> Result<Vec<T>, Error> {
    let mut done = Vec::new();
    let mut failed: Option<Error> = None;
    for (name, result) in finished {
        failed = match (failed, name, result) {
            (failed, _, Ok(part)) => {
                done.push(part);
                failed
            }
            (None, None, Err(error)) => Some(error),
            (None, Some(name), Err(error)) => {
                Some(error.in_place(format!("in the snapshot `{name}`")))
            }
            (Some(first), name, Err(error)) => {
                let name = name.unwrap_or_default();
                Some(first.note(format!("the snapshot `{name}` failed, too: {error}")))
            }
        };
    }
    failed.map_or(Ok(done), Err)
}

/// The last line of a build.
fn done(artifacts: &Artifacts, took: Duration) -> String {
    match &artifacts.report {
        Some(report) => format!("done in {took:.2?}; report: {}", report.path.display()),
        None => format!("done in {took:.2?}"),
    }
}

/// What the last build of an output left, and where.
struct LastBuild<'a> {
    builder: &'a Builder,
    stamps: Stamps,
    stamp: Stamp,
    /// This crate's own folder in OUT_DIR.
    folder: PathBuf,
}

impl<'a> LastBuild<'a> {
    fn load(builder: &'a Builder) -> Result<Self, Error> {
        let out_dir = builder.caller.out_dir();
        let folder = out_dir.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let stamps = Stamps::of(out_dir);
        let mut stamp = stamps.load(&builder.config.output);
        stamp.set_generation(builder.caller.generation());
        Ok(Self {
            builder,
            stamps,
            stamp,
            folder,
        })
    }

    fn store(&mut self) {
        let output = &self.builder.config.output;
        self.stamps.store(output, &mut self.stamp);
    }

    /// Notes the finished build, and removes what earlier ones of this output left.
    fn replace(&mut self, request: Digest, read: ReadInputs, built: &Built, artifacts: &Artifacts) {
        // What an earlier configuration wrote must not be included by mistake.
        let kept: Vec<&Path> = artifacts.files().map(|file| file.path.as_path()).collect();
        for stale in self.stamp.written().filter(|path| !kept.contains(path)) {
            let _ = std::fs::remove_file(stale);
        }
        let mut watched = vec![built.stdlib.join("os.py")];
        watched.extend(built.site_packages.marker());
        let mut folders = vec![built.stdlib.clone()];
        folders.extend(built.site_packages.tree.clone());
        self.stamp.files = read.files;
        self.stamp.set_done(request, artifacts, &watched, folders);
        self.store();
    }
}
