//! Who asks for a build: a build script that cargo runs, or any other program.

use crate::cargo::directives::{self, Directive};
use crate::cargo::environment::Environment;
use crate::cargo::manifest::{self, Consumer};
use crate::cargo::metadata::Graph;
use crate::cargo::resolve::{self, Question, Wanted};
use crate::config::Config;
use crate::error::{Error, Report, Stage};
use crate::guest::host;
use crate::guest::script::Setup;
use crate::inputs::stamp::Stamp;
use crate::log::Log;
use crate::store::digest::{Digest, KeyBuilder};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where a build gets what is not in its configuration.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A build script: the graph comes from cargo, directives go to it.
    BuildScript {
        environment: Box<Environment>,
        /// The manifest's digest.
        manifest: Digest,
        consumer: Box<Consumer>,
    },
    /// A program with explicit paths.
    Program { out_dir: PathBuf },
}

impl Caller {
    /// The build script that is running.
    ///
    /// # Errors
    /// [`Stage::Config`] outside a build script, or when the manifest is none;
    /// [`Stage::Io`] when it cannot be read.
    pub(crate) fn build_script() -> Result<Self, Error> {
        let environment = Box::new(Environment::from_process()?);
        let path = &environment.manifest;
        let text = std::fs::read_to_string(path).map_err(|e| {
            let shown = format!("cannot read `{}`", path.display());
            let hint = "have the build bring Cargo.toml along (with Bazel: in the `data` of the \
                        build script), or name the paths in build.rs with `Builder::new`, which \
                        does not read it";
            Stage::Io.error(Report::new(shown).source(e).hint(hint))
        })?;
        let manifest = KeyBuilder::new("manifest")
            // Cargo may give two checkouts the same OUT_DIR.
            .part("path", path.as_os_str().as_encoded_bytes())
            .part("content", text.as_bytes())
            .finish();
        let consumer = Box::new(manifest::consumer(path, &text)?);
        Ok(Self::BuildScript {
            environment,
            manifest,
            consumer,
        })
    }

    pub(crate) fn out_dir(&self) -> &Path {
        match self {
            Self::BuildScript { environment, .. } => &environment.out_dir,
            Self::Program { out_dir } => out_dir,
        }
    }

    pub(crate) fn manifest(&self) -> Option<&Path> {
        Some(&self.environment()?.manifest)
    }

    /// The triple the program is compiled for.
    pub(crate) fn target(&self) -> Option<&str> {
        self.environment()?.target.as_deref()
    }

    /// Whether a fast build counts for more than fast code.
    pub(crate) fn debug(&self) -> bool {
        self.environment().is_some_and(|env| env.debug)
    }

    /// Why no Python is wanted, if it is not.
    pub(crate) fn placeholder(&self) -> Option<&'static str> {
        self.environment()?.placeholder
    }

    pub(crate) fn epoch_seconds(&self) -> u64 {
        let set = self.environment().and_then(|env| env.epoch_seconds);
        set.unwrap_or(host::DEFAULT_EPOCH_SECONDS)
    }

    /// The shared cache, if there is one: the variable goes before the block.
    pub(crate) fn cache_dir(&self, config: &Config) -> Option<PathBuf> {
        let variable = self.environment().and_then(|env| env.cache_dir.clone());
        variable.or_else(|| config.cache_dir.clone())
    }

    fn environment(&self) -> Option<&Environment> {
        match self {
            Self::BuildScript { environment, .. } => Some(environment),
            Self::Program { .. } => None,
        }
    }

    /// What of the caller decides which outputs there are: its manifest, and the
    /// executable that holds its code. `None` for a program, which may write one
    /// output now and another one later.
    pub(crate) fn generation(&self) -> Option<Digest> {
        let Self::BuildScript { manifest, .. } = self else {
            return None;
        };
        let executable = std::env::current_exe().ok()?;
        let stamp = crate::store::files::FileStamp::of(&executable).ok()?;
        let mut key = KeyBuilder::new("generation");
        key.part("manifest", &manifest.0);
        Some(stamp.parts(&mut key).finish())
    }

    /// What runs after the imports.
    ///
    /// # Errors
    /// [`Stage::Io`] when the file cannot be read, [`Stage::Setup`] when it is not
    /// UTF-8.
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
            Stage::Setup.error(
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

    /// The dependency graph, asked of cargo only when manifest, lock file, target or
    /// rustc's flags changed, and once for all builds with the same `asked`.
    ///
    /// # Errors
    /// [`Stage::Graph`] with cargo's own words.
    pub(crate) fn graph(
        &self,
        stamp: &mut Stamp,
        wanted: Wanted,
        asked: &Mutex<Option<(Digest, Graph)>>,
        log: &Log,
    ) -> Result<Graph, Error> {
        let Self::BuildScript {
            environment,
            consumer,
            ..
        } = self
        else {
            // `Builder::new` sets `runtime`; the standard library is embedded.
            return Ok(Graph::default());
        };
        let top = top(environment, consumer);
        let mut key = KeyBuilder::new("graph");
        for file in [&environment.manifest, &top, &top.with_extension("lock")] {
            key.part("path", file.as_os_str().as_encoded_bytes())
                .part("content", &std::fs::read(file).unwrap_or_default());
        }
        let target = environment.target.as_deref();
        key.part("target", target.unwrap_or("").as_bytes());
        key.part("rustflags", environment.rustflags.as_bytes());
        let invocation = &environment.invocation;
        for option in &invocation.options {
            key.part("option", option.as_bytes());
        }
        key.part(
            "wanted",
            &[u8::from(wanted.runtime), u8::from(wanted.stdlib)],
        );
        let key = key.finish();
        if let Some(graph) = stamp.graph(key) {
            return Ok(graph);
        }
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, graph)) = asked.as_ref().filter(|(asked, _)| *asked == key) {
            stamp.set_graph(key, graph.clone());
            return Ok(graph.clone());
        }
        let graph = log.timed("graph", || {
            resolve::graph(&Question {
                cargo: environment.cargo.as_deref(),
                invocation,
                manifest: &environment.manifest,
                consumer,
                top: &top,
                target,
                rustflags: &environment.rustflags,
                wanted,
                log,
            })
        })?;
        stamp.set_graph(key, graph.clone());
        *asked = Some((key, graph.clone()));
        Ok(graph)
    }

    /// The directives every build ends with, whatever it did.
    pub(crate) fn directives(&self) -> Vec<Directive> {
        let Self::BuildScript {
            environment,
            consumer,
            ..
        } = self
        else {
            return Vec::new();
        };
        let top = top(environment, consumer);
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

    /// Tells cargo, where it is cargo that asks.
    ///
    /// # Errors
    /// [`Stage::Io`] for what cargo's protocol cannot carry, or a closed stdout.
    pub(crate) fn tell(&self, directives: &[Directive]) -> Result<(), Error> {
        match self {
            Self::BuildScript { .. } => directives::print(directives),
            Self::Program { .. } => Ok(()),
        }
    }
}

/// The workspace's manifest, with the lock file in force beside it.
fn top(environment: &Environment, consumer: &Consumer) -> PathBuf {
    resolve::top(
        &environment.manifest,
        consumer,
        &environment.out_dir,
        &environment.invocation,
    )
}
