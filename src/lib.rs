//! Build-script crate that leaves a *pre-initialised* Python in `OUT_DIR`.
//!
//! At compile time it links CPython for WASI, runs Python's start-up and your
//! imports once under Wasmtime, and writes the memory as it then is into a
//! component: `OUT_DIR/python.wasm`. At run time Python has already started.
//!
//! ```toml
//! [package.metadata.eryx]
//! imports = ["json", "re"]
//!
//! [build-dependencies]
//! eryx-preinit-build = "0.1"
//! ```
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), eryx_preinit_build::Error> {
//!     eryx_preinit_build::run()?;
//!     Ok(())
//! }
//! ```
//!
//! ```ignore
//! // main.rs
//! static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));
//! ```
//!
//! # What the program gets
//!
//! | at compile time | holds |
//! |---|---|
//! | `concat!(env!("OUT_DIR"), "/python.wasm")` | the component (name: `output`) |
//! | `env!("ERYX_PYTHON_WASM")` | its path |
//! | `env!("ERYX_PYTHON_WASM_SHA256")` | its SHA-256, 64 hexadecimal digits |
//! | `env!("ERYX_PYTHON_STDLIB")` | path of the standard library to mount at /python-stdlib |
//! | `env!("ERYX_SITE_PACKAGES")` | path of the packages to mount at /site-packages, or empty |
//!
//! With `precompile` also:
//!
//! | at compile time | holds |
//! |---|---|
//! | `include!(concat!(env!("OUT_DIR"), "/python.rs"))` | module `python`: native code, `config()`, `load()` |
//! | `concat!(env!("OUT_DIR"), "/python.cwasm")` | the native code |
//! | `env!("ERYX_PYTHON_CWASM")` | its path, or empty |
//! | `env!("ERYX_PYTHON_CWASM_SHA256")` | its SHA-256, or empty |
//!
//! # The pipeline
//!
//! Data flows one way, a stage a file:
//!
//! ```text
//! environment, config, graph ─► inputs ─► site_packages ─► link ─► hot + snapshot
//!     ─► rewrite ─► precompile ─► emit        cache: linked, compiled, snapshot, native
//! ```
//!
//! # Features
//!
//! * `runtime` (default): lock `eryx-runtime`, for its files. It is never compiled.
//! * `all-arch`: native code for other architectures than the one that builds.
//! * `wheels`: read wheels and source distributions in `packages` and `extensions`.
//!
//! # Outside a build script
//!
//! [`Builder::new`] takes explicit paths and prints nothing.

#![deny(missing_docs)]
#![deny(unsafe_code)]
#![forbid(unsafe_op_in_unsafe_fn)]

#[cfg(feature = "wheels")]
mod archive;
mod cache;
mod config;
#[cfg(test)]
mod conformance;
mod diagnosis;
mod emit;
mod engine;
mod environment;
mod error;
mod extension;
mod filesystem;
mod graph;
mod host;
mod hot;
mod inputs;
mod link;
mod loader;
mod packages;
mod precompile;
mod random;
#[cfg(feature = "wheels")]
mod requirements;
mod reseed;
mod rewrite;
mod runtime;
#[cfg(feature = "wheels")]
mod sdist;
mod sections;
mod site_packages;
mod snapshot;
mod splice;
mod stages;
mod staging;
mod stamp;
mod target;
#[cfg(test)]
mod testing;
#[cfg(feature = "wheels")]
mod wheel;

pub use config::{Config, CpuLevel, EngineChoice, Extension, OptLevel, Precompile};
pub use error::{Error, Report};

use cache::{Cache, Key, KeyBuilder};
use emit::{Directive, Output};
use environment::Environment;
use graph::{Consumer, Graph};
use inputs::{Inputs, Meta};
use loader::Loader;
use precompile::{Custom, Precompiler};
use serde::{Deserialize, Serialize};
use snapshot::Setup;
use stages::{Built, Makers, NativePlan, Prepared, Stages};
use stamp::Stamp;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::Target;

/// This crate's version, and a digest of its sources: what other ones made is not
/// taken for what these make.
const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "+", env!("ERYX_PREINIT_SOURCES"));

/// Builds what `[package.metadata.eryx]` asks for and tells cargo about it.
///
/// Returns what was written. On failure nothing that an earlier build wrote is
/// touched.
///
/// # Errors
/// One [`Error`] variant a stage; its `Debug` is the report to show.
pub fn run() -> Result<Artifacts, Error> {
    Builder::from_env()?.build()
}

/// What a build wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifacts {
    /// The component, first, and whatever else was written to OUT_DIR.
    pub files: Vec<Artifact>,
    /// Folder with the standard library, to mount at /python-stdlib. `None` in a
    /// placeholder build.
    pub stdlib: Option<PathBuf>,
    /// Folder with the third-party packages, to mount at /site-packages, where
    /// there are any.
    pub site_packages: Option<PathBuf>,
    /// What a person should know about what was built, one sentence each: packages
    /// that are missing, extensions that are not linked, files left open. A build
    /// script prints them as warnings, whenever it runs.
    pub warnings: Vec<String>,
    /// Why only placeholders were written, if so: on docs.rs, or with
    /// `ERYX_PREINIT_SKIP` set.
    pub placeholder: Option<String>,
}

/// One file a build wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifact {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether it came from the cache instead of running the pipeline.
    pub cached: bool,
}

impl Artifacts {
    /// The pre-initialised component.
    pub fn python_wasm(&self) -> &Artifact {
        &self.files[0]
    }

    /// Its native code, where it was asked for.
    pub fn python_cwasm(&self) -> Option<&Artifact> {
        self.files
            .iter()
            .find(|file| file.path.extension().is_some_and(|name| name == "cwasm"))
    }
}

/// A build configured in Rust instead of, or on top of, the metadata block.
///
/// ```no_run
/// // build.rs
/// fn main() -> Result<(), eryx_preinit_build::Error> {
///     let mut builder = eryx_preinit_build::Builder::from_env()?;
///     builder.config.imports.push("json".into());
///     builder.build()?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    /// What to build. [`Builder::build`] checks it.
    pub config: Config,
    custom: Option<Custom>,
    source: Source,
}

/// Where a build gets what is not in its configuration.
#[derive(Clone, Debug)]
enum Source {
    /// A build script: the graph comes from cargo, directives go to it.
    Cargo {
        environment: Environment,
        /// The manifest's digest.
        manifest: Key,
        consumer: Box<Consumer>,
    },
    /// Explicit paths.
    Paths { out_dir: PathBuf },
}

impl Builder {
    /// Reads the environment cargo gives build scripts and the consumer's
    /// metadata block.
    ///
    /// # Errors
    /// [`Error::Config`] outside a build script or when the block is invalid;
    /// [`Error::Graph`] when `cargo metadata` fails.
    pub fn from_env() -> Result<Self, Error> {
        let environment = Environment::from_process()?;
        let (manifest, consumer) = read_consumer(&environment)?;
        if consumer.block.is_none() {
            emit::say("no [package.metadata.eryx] block: no imports, defaults for the rest");
        }
        Ok(Self {
            config: Config::from_metadata(consumer.block.as_ref(), &environment.manifest)?,
            custom: None,
            source: Source::Cargo {
                environment,
                manifest,
                consumer: Box::new(consumer),
            },
        })
    }

    /// A build outside cargo: writes below `out_dir`, from the `eryx-runtime`
    /// package folder `runtime`, with the embedded standard library unless
    /// `config.stdlib` names another. Prints no directives.
    pub fn new(out_dir: impl Into<PathBuf>, runtime: impl Into<PathBuf>) -> Self {
        Self {
            config: Config {
                runtime: Some(runtime.into()),
                ..Config::default()
            },
            custom: None,
            source: Source::Paths {
                out_dir: out_dir.into(),
            },
        }
    }

    /// Has `compile` make the native code, for programs that load it with another
    /// Wasmtime than this crate's: it gets the component and the target triple, and
    /// returns the code. Turns [`Config::precompile`] on, of which only `target`
    /// counts then.
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
        self.config.precompile.get_or_insert_default();
        self.custom = Some(Custom::new(compile, Location::caller()));
        self
    }

    /// Runs the pipeline, or finds that there is nothing to do.
    ///
    /// # Errors
    /// One [`Error`] variant a stage; its `Debug` is the report to show.
    pub fn build(&self) -> Result<Artifacts, Error> {
        let started = Instant::now();
        let config = &self.config;
        let mut directives = self.source.directives();
        config.check()?;
        if let Some(reason) = self.source.placeholder() {
            let artifacts = emit::placeholder(self.source.out_dir(), config, reason)?;
            return self.finish(artifacts, directives);
        }
        config.check_paths(self.source.manifest())?;
        let native = self.native()?;

        let folder = self.source.out_dir().join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let stamp_file = stamp_file(self.source.out_dir());
        let mut stamp = Stamp::load(&stamp_file);
        self.source.remember(&mut stamp);
        let out_dir = self.source.out_dir();
        let inputs = Inputs::locate(config, out_dir, || self.source.graph(&mut stamp))?;
        directives.extend(
            inputs
                .watched
                .iter()
                .cloned()
                .map(Directive::RerunIfChanged),
        );

        let files = inputs.files()?;
        let epoch_seconds = self.source.epoch_seconds();
        let request = request(config, &inputs, epoch_seconds, native.as_ref());
        if let Some(artifacts) = stamp.unchanged(request, &files) {
            emit::say(&format!("nothing changed ({:.1?})", started.elapsed()));
            stamp.store(&stamp_file);
            directives.extend(emit::warnings(&artifacts));
            return self.finish(artifacts, directives);
        }

        stamp.files = inputs::states(&files, &stamp.files)?;
        let digests = inputs.digests(&stamp.files)?;
        let cache_dir = self.source.cache_dir(config);
        let cache = Cache::open(cache_dir.as_deref().unwrap_or(&folder), BUILD)?;
        let setup = self.source.setup(config)?;
        let site_packages = emit::timed("site-packages", || {
            let unchanged = || inputs::unchanged(&stamp.files);
            site_packages::prepare(&inputs.packages, digests.site_packages, &folder, unchanged)
        })?;
        // Warnings too: cargo shows them only if the build succeeds.
        let record = &site_packages.record;
        for note in record.notes.iter().chain(&record.warnings) {
            emit::say(note);
        }
        let prepared = Prepared {
            files: stamp.files.clone(),
            digests,
            site_packages,
            setup,
        };
        let plan = native.as_ref().map(Native::plan);
        let built = Stages::new(
            config,
            &inputs,
            &prepared,
            cache,
            &folder,
            epoch_seconds,
            plan,
        )
        .run()?;
        let site_packages = &prepared.site_packages;
        let artifacts = Artifacts {
            files: self.publish(&built, native.as_ref())?,
            stdlib: Some(built.stdlib.clone()),
            site_packages: site_packages.tree.clone(),
            warnings: [&site_packages.record.warnings[..], &built.findings].concat(),
            placeholder: None,
        };
        let mut outputs: Vec<PathBuf> = artifacts.files.iter().map(|f| f.path.clone()).collect();
        // What an earlier configuration wrote must not be included by mistake.
        for stale in stamp
            .written()
            .filter(|&path| !outputs.iter().any(|output| output == path))
        {
            let _ = std::fs::remove_file(stale);
        }
        outputs.push(built.stdlib.join("os.py"));
        outputs.extend(site_packages.marker());
        stamp.set_done(request, &outputs, &artifacts);
        stamp.store(&stamp_file);
        // Only now: until here, the last result is as it was.
        site_packages.sweep(&folder);
        runtime::sweep_stdlib(&folder, &built.stdlib);
        for folder in [self.source.out_dir(), &folder] {
            cache::sweep(folder);
        }

        emit::say(&format!("done in {:.2?}", started.elapsed()));
        directives.extend(built.warnings);
        directives.extend(emit::warnings(&artifacts));
        directives.extend(emit::advice(config, &artifacts, started.elapsed()));
        self.finish(artifacts, directives)
    }

    /// Who makes native code and for what, if any is to be made.
    fn native(&self) -> Result<Option<Native<'_>>, Error> {
        let Some(precompile) = &self.config.precompile else {
            return Ok(None);
        };
        let target = Target::resolve(precompile, self.source.target())?;
        let makers = match &self.custom {
            None => Makers::Ours(Precompiler::all(precompile, &target, self.source.debug())?),
            Some(custom) => {
                let executable = std::env::current_exe()
                    .map_err(|e| Error::io("find", Path::new("the running executable"), e))?;
                Makers::Custom(custom, executable)
            }
        };
        Ok(Some(Native {
            precompile,
            target,
            makers,
        }))
    }

    /// Writes the results to OUT_DIR.
    fn publish(&self, built: &Built, native: Option<&Native<'_>>) -> Result<Vec<Artifact>, Error> {
        let wasm = self.source.out_dir().join(&self.config.output);
        let mut outputs = vec![Output {
            path: wasm.clone(),
            content: &built.wasm,
            digest: built.digest,
            cached: built.cached,
        }];
        let (Some(made), Some(native)) = (&built.native, native) else {
            return emit::publish(&outputs);
        };
        let path = wasm.with_extension("cwasm");
        let text = made.compiler.map(|compiler| {
            Loader {
                file_name: &path.file_name().unwrap_or_default().to_string_lossy(),
                code: &made.code,
                digest: made.digest,
                compiler,
                target: &native.target,
                precompile: native.precompile,
                imports: &self.config.imports,
            }
            .render()
        });
        outputs.push(Output {
            path: path.clone(),
            content: &made.code,
            digest: made.digest,
            cached: made.cached,
        });
        if let Some(text) = &text {
            outputs.push(Output {
                path: wasm.with_extension("rs"),
                content: text.as_bytes(),
                digest: Key::of(text.as_bytes()),
                cached: made.cached,
            });
        }
        emit::publish(&outputs)
    }

    fn finish(
        &self,
        artifacts: Artifacts,
        mut directives: Vec<Directive>,
    ) -> Result<Artifacts, Error> {
        if let Source::Cargo { .. } = self.source {
            directives.extend(emit::variables(&artifacts)?);
            emit::print(&directives)?;
        }
        Ok(artifacts)
    }
}

/// This crate's own folder in OUT_DIR: the cache, the unpacked standard library
/// and the stamp.
const FOLDER: &str = "eryx-preinit";

fn stamp_file(out_dir: &Path) -> PathBuf {
    out_dir.join(FOLDER).join("stamp.json")
}

/// What makes native code, resolved.
struct Native<'a> {
    precompile: &'a Precompile,
    target: Target,
    makers: Makers<'a>,
}

impl Native<'_> {
    fn plan(&self) -> NativePlan<'_> {
        NativePlan {
            target: &self.target,
            makers: &self.makers,
            reuse: !self.precompile.address_map,
        }
    }

    /// Everything that decides the code, short of reading files.
    fn request(&self, request: &mut KeyBuilder) {
        request.part("target", self.target.triple.as_bytes());
        match &self.makers {
            Makers::Ours(makers) => {
                for maker in makers {
                    request.part("compiler", &maker.fingerprint().0);
                }
            }
            Makers::Custom(custom, executable) => {
                let meta = Meta::of(executable).ok();
                let text = format!("{custom:?} {executable:?} {meta:?}");
                request.part("executable", text.as_bytes());
            }
        }
    }
}

/// Everything asked for but the contents of files.
fn request(
    config: &Config,
    inputs: &Inputs,
    epoch_seconds: u64,
    native: Option<&Native<'_>>,
) -> Key {
    let mut request = KeyBuilder::new("request");
    request
        // Snapshots are taken by it, and it writes native code.
        .part("wasmtime", wasmtime_environ::VERSION.as_bytes())
        .part("config", format!("{config:?}").as_bytes())
        .part("inputs", format!("{inputs:?}").as_bytes())
        .part("epoch", &epoch_seconds.to_le_bytes());
    if let Some(native) = native {
        native.request(&mut request);
    }
    request.finish()
}

/// The consumer, asked of cargo only when its manifest changed, and the
/// manifest's digest.
fn read_consumer(environment: &Environment) -> Result<(Key, Consumer), Error> {
    let manifest = &environment.manifest;
    let content = std::fs::read(manifest).map_err(|e| Error::io("read", manifest, e))?;
    let key = KeyBuilder::new("manifest")
        // Cargo may give two checkouts the same OUT_DIR.
        .part("path", manifest.as_os_str().as_encoded_bytes())
        .part("content", &content)
        .finish();
    let stamp = Stamp::load(&stamp_file(&environment.out_dir));
    let consumer = match stamp.consumer(key) {
        Some(consumer) => consumer,
        None => graph::consumer(&environment.cargo, manifest, &environment.out_dir)?,
    };
    Ok((key, consumer))
}

impl Source {
    fn out_dir(&self) -> &Path {
        match self {
            Self::Cargo { environment, .. } => &environment.out_dir,
            Self::Paths { out_dir } => out_dir,
        }
    }

    fn manifest(&self) -> Option<&Path> {
        match self {
            Self::Cargo { environment, .. } => Some(&environment.manifest),
            Self::Paths { .. } => None,
        }
    }

    /// The triple the program is compiled for.
    fn target(&self) -> Option<&str> {
        match self {
            Self::Cargo { environment, .. } => environment.target.as_deref(),
            Self::Paths { .. } => None,
        }
    }

    /// Whether a fast build counts for more than fast code.
    fn debug(&self) -> bool {
        match self {
            Self::Cargo { environment, .. } => environment.debug,
            Self::Paths { .. } => false,
        }
    }

    fn placeholder(&self) -> Option<&'static str> {
        match self {
            Self::Cargo { environment, .. } => environment.placeholder,
            Self::Paths { .. } => None,
        }
    }

    fn epoch_seconds(&self) -> u64 {
        match self {
            Self::Cargo { environment, .. } => environment.epoch_seconds,
            Self::Paths { .. } => None,
        }
        .unwrap_or(host::DEFAULT_EPOCH_SECONDS)
    }

    /// The shared cache, if there is one: the variable goes before the block.
    fn cache_dir(&self, config: &Config) -> Option<PathBuf> {
        match self {
            Self::Cargo { environment, .. } => environment.cache_dir.clone(),
            Self::Paths { .. } => None,
        }
        .or_else(|| config.cache_dir.clone())
    }

    /// What runs after the imports.
    fn setup(&self, config: &Config) -> Result<Option<Setup>, Error> {
        if let Some(code) = &config.setup_code {
            return Ok(Some(Setup {
                name: "<setup-code>".to_owned(),
                code: code.clone(),
            }));
        }
        let Some(path) = &config.setup else {
            return Ok(None);
        };
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        let code = String::from_utf8(bytes).map_err(|e| {
            Error::Setup(
                Report::new(format!("`{}` is not UTF-8", path.display()))
                    .source(e)
                    .hint("store the set-up file as UTF-8"),
            )
        })?;
        // As it is written in the block: the same wherever the package lies.
        let folder = self.manifest().and_then(Path::parent);
        let name = match folder.and_then(|folder| path.strip_prefix(folder).ok()) {
            Some(name) => name.to_string_lossy(),
            None => path.file_name().unwrap_or_default().to_string_lossy(),
        };
        Ok(Some(Setup {
            name: name.replace('\\', "/"),
            code: code.trim_start_matches('\u{feff}').to_owned(),
        }))
    }

    /// Spares the next build to ask cargo for the consumer.
    fn remember(&self, stamp: &mut Stamp) {
        if let Self::Cargo {
            manifest, consumer, ..
        } = self
        {
            stamp.set_consumer(*manifest, (**consumer).clone());
        }
    }

    /// The dependency graph, asked of cargo only when manifest, lock file, target or
    /// rustc's flags changed.
    fn graph(&self, stamp: &mut Stamp) -> Result<Graph, Error> {
        let Self::Cargo {
            environment,
            consumer,
            ..
        } = self
        else {
            // `Builder::new` sets `runtime`; the standard library is embedded.
            return Ok(Graph::default());
        };
        let top = Self::top(environment, consumer);
        let mut key = KeyBuilder::new("graph");
        for file in [&environment.manifest, &top, &top.with_extension("lock")] {
            key.part("path", file.as_os_str().as_encoded_bytes())
                .part("content", &std::fs::read(file).unwrap_or_default());
        }
        key.part(
            "target",
            environment.target.as_deref().unwrap_or("").as_bytes(),
        );
        key.part("rustflags", environment.rustflags.as_bytes());
        let key = key.finish();
        if let Some(graph) = stamp.graph(key) {
            return Ok(graph);
        }
        let graph = emit::timed("graph", || {
            graph::graph(
                &environment.cargo,
                &environment.manifest,
                &top,
                environment.target.as_deref(),
                &environment.rustflags,
            )
        })?;
        stamp.set_graph(key, graph.clone());
        Ok(graph)
    }

    /// The directives every build ends with, whatever it did.
    fn directives(&self) -> Vec<Directive> {
        let Self::Cargo {
            environment,
            consumer,
            ..
        } = self
        else {
            return Vec::new();
        };
        let top = Self::top(environment, consumer);
        let lock = top.with_extension("lock");
        let mut directives = Environment::directives();
        directives.extend(
            [environment.manifest.clone(), top, lock]
                .into_iter()
                .filter(|path| path.is_file())
                .map(Directive::RerunIfChanged),
        );
        directives
    }

    /// The workspace's manifest, with the lock file in force beside it.
    fn top(environment: &Environment, consumer: &Consumer) -> PathBuf {
        graph::top(
            &environment.manifest,
            &consumer.workspace_root,
            &environment.out_dir,
        )
    }
}
