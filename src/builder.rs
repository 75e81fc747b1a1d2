//! A build, configured and run.

use crate::artifacts::{Artifact, Artifacts};
use crate::build::BUILD;
use crate::cargo::advice;
use crate::cargo::directives::{self, Directive};
use crate::cargo::environment::Environment;
use crate::cargo::metadata::{self, Consumer, Graph};
use crate::config::{Config, Precompile};
use crate::error::{Error, Report};
use crate::guest::host;
use crate::guest::script::Setup;
use crate::inputs::locate::Inputs;
use crate::inputs::stamp::Stamp;
use crate::inputs::{states, stdlib};
use crate::log;
use crate::native::compile::{Custom, Precompiler};
use crate::native::loader::Loader;
use crate::native::target::Target;
use crate::outputs::{self, Output};
use crate::packages::tree;
use crate::pipeline::{Built, Makers, NativePlan, Prepared, Stages};
use crate::store::cache::Cache;
use crate::store::digest::{Digest, KeyBuilder};
use crate::store::files::{self, Meta};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
pub(crate) enum Source {
    /// A build script: the graph comes from cargo, directives go to it.
    Cargo {
        environment: Environment,
        /// The manifest's digest.
        manifest: Digest,
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
            log::say("no [package.metadata.eryx] block: no imports, defaults for the rest");
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
            let artifacts = outputs::placeholder(self.source.out_dir(), config, reason)?;
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
            log::say(&format!("nothing changed ({:.1?})", started.elapsed()));
            stamp.store(&stamp_file);
            directives.extend(directives::warnings(&artifacts));
            return self.finish(artifacts, directives);
        }

        stamp.files = states::states(&files, &stamp.files)?;
        let digests = inputs.digests(&stamp.files)?;
        let cache_dir = self.source.cache_dir(config);
        let cache = Cache::open(cache_dir.as_deref().unwrap_or(&folder), BUILD)?;
        let setup = self.source.setup(config)?;
        let site_packages = log::timed("site-packages", || {
            let unchanged = || states::unchanged(&stamp.files);
            tree::prepare(&inputs.packages, digests.site_packages, &folder, unchanged)
        })?;
        // Warnings too: cargo shows them only if the build succeeds.
        let record = &site_packages.record;
        for note in record.notes.iter().chain(&record.warnings) {
            log::say(note);
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
        stdlib::sweep_stdlib(&folder, &built.stdlib);
        for folder in [self.source.out_dir(), &folder] {
            files::sweep(folder);
        }

        log::say(&format!("done in {:.2?}", started.elapsed()));
        directives.extend(built.warnings);
        directives.extend(directives::warnings(&artifacts));
        directives.extend(advice::advice(config, &artifacts, started.elapsed()));
        self.finish(artifacts, directives)
    }

    /// Who makes native code and for what, if any is to be made.
    pub(crate) fn native(&self) -> Result<Option<Native<'_>>, Error> {
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
    pub(crate) fn publish(
        &self,
        built: &Built,
        native: Option<&Native<'_>>,
    ) -> Result<Vec<Artifact>, Error> {
        let wasm = self.source.out_dir().join(&self.config.output);
        let mut outputs = vec![Output {
            path: wasm.clone(),
            content: &built.wasm,
            digest: built.digest,
            cached: built.cached,
        }];
        let (Some(made), Some(native)) = (&built.native, native) else {
            return outputs::publish(&outputs);
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
                digest: Digest::of(text.as_bytes()),
                cached: made.cached,
            });
        }
        outputs::publish(&outputs)
    }

    pub(crate) fn finish(
        &self,
        artifacts: Artifacts,
        mut directives: Vec<Directive>,
    ) -> Result<Artifacts, Error> {
        if let Source::Cargo { .. } = self.source {
            directives.extend(directives::variables(&artifacts)?);
            directives::print(&directives)?;
        }
        Ok(artifacts)
    }
}

/// This crate's own folder in OUT_DIR: the cache, the unpacked standard library
/// and the stamp.
pub(crate) const FOLDER: &str = "eryx-preinit";

pub(crate) fn stamp_file(out_dir: &Path) -> PathBuf {
    out_dir.join(FOLDER).join("stamp.json")
}

/// What makes native code, resolved.
pub(crate) struct Native<'a> {
    precompile: &'a Precompile,
    target: Target,
    makers: Makers<'a>,
}

impl Native<'_> {
    pub(crate) fn plan(&self) -> NativePlan<'_> {
        NativePlan {
            target: &self.target,
            makers: &self.makers,
            reuse: !self.precompile.address_map,
        }
    }

    /// Everything that decides the code, short of reading files.
    pub(crate) fn request(&self, request: &mut KeyBuilder) {
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
pub(crate) fn request(
    config: &Config,
    inputs: &Inputs,
    epoch_seconds: u64,
    native: Option<&Native<'_>>,
) -> Digest {
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
pub(crate) fn read_consumer(environment: &Environment) -> Result<(Digest, Consumer), Error> {
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
        None => metadata::consumer(&environment.cargo, manifest, &environment.out_dir)?,
    };
    Ok((key, consumer))
}

impl Source {
    pub(crate) fn out_dir(&self) -> &Path {
        match self {
            Self::Cargo { environment, .. } => &environment.out_dir,
            Self::Paths { out_dir } => out_dir,
        }
    }

    pub(crate) fn manifest(&self) -> Option<&Path> {
        match self {
            Self::Cargo { environment, .. } => Some(&environment.manifest),
            Self::Paths { .. } => None,
        }
    }

    /// The triple the program is compiled for.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Cargo { environment, .. } => environment.target.as_deref(),
            Self::Paths { .. } => None,
        }
    }

    /// Whether a fast build counts for more than fast code.
    pub(crate) fn debug(&self) -> bool {
        match self {
            Self::Cargo { environment, .. } => environment.debug,
            Self::Paths { .. } => false,
        }
    }

    pub(crate) fn placeholder(&self) -> Option<&'static str> {
        match self {
            Self::Cargo { environment, .. } => environment.placeholder,
            Self::Paths { .. } => None,
        }
    }

    pub(crate) fn epoch_seconds(&self) -> u64 {
        match self {
            Self::Cargo { environment, .. } => environment.epoch_seconds,
            Self::Paths { .. } => None,
        }
        .unwrap_or(host::DEFAULT_EPOCH_SECONDS)
    }

    /// The shared cache, if there is one: the variable goes before the block.
    pub(crate) fn cache_dir(&self, config: &Config) -> Option<PathBuf> {
        match self {
            Self::Cargo { environment, .. } => environment.cache_dir.clone(),
            Self::Paths { .. } => None,
        }
        .or_else(|| config.cache_dir.clone())
    }

    /// What runs after the imports.
    pub(crate) fn setup(&self, config: &Config) -> Result<Option<Setup>, Error> {
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
    pub(crate) fn remember(&self, stamp: &mut Stamp) {
        if let Self::Cargo {
            manifest, consumer, ..
        } = self
        {
            stamp.set_consumer(*manifest, (**consumer).clone());
        }
    }

    /// The dependency graph, asked of cargo only when manifest, lock file, target or
    /// rustc's flags changed.
    pub(crate) fn graph(&self, stamp: &mut Stamp) -> Result<Graph, Error> {
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
        let graph = log::timed("graph", || {
            metadata::graph(
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
    pub(crate) fn directives(&self) -> Vec<Directive> {
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
    pub(crate) fn top(environment: &Environment, consumer: &Consumer) -> PathBuf {
        metadata::top(
            &environment.manifest,
            &consumer.workspace_root,
            &environment.out_dir,
        )
    }
}
