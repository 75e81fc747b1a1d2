//! What unit tests need to run a real runtime without the cache and the
//! configuration around it.

mod conformance;
#[path = "../../tests/native/mod.rs"]
pub(crate) mod native;

use crate::config::Config;
use crate::error::Error;
use crate::guest::bytecode;
use crate::guest::draws;
use crate::guest::engine::{self, Compiler};
use crate::guest::environment;
use crate::guest::failure::Failure;
use crate::guest::host::{self, GuestSetup};
use crate::guest::script::{Observed, Script, Setup};
use crate::guest::snapshot;
use crate::inputs::runtime;
use crate::inputs::stdlib;
use crate::packages::bytecode::Source;
use crate::packages::embed::{self, Selection};
use crate::wasm::bodies::{self, Bodies};
use crate::wasm::complete;
use crate::wasm::fuse::{self, Fused};
use crate::wasm::link::Extension;
use crate::wasm::validate::validate;
use crate::wasm::{initialize, link};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The folder of that version of eryx-runtime, which this workspace locks.
pub(crate) fn package(version: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let metadata = |options: &[&str]| {
        cargo_metadata::MetadataCommand::new()
            .cargo_path(env!("CARGO"))
            .manifest_path(&manifest)
            .other_options(options.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
            .exec()
    };
    // What is never compiled is not downloaded by `cargo test` alone.
    let metadata = metadata(&["--locked", "--offline"])
        .or_else(|_| metadata(&["--locked"]))
        .unwrap();
    let package = metadata
        .packages
        .iter()
        .find(|p| p.name.as_str() == "eryx-runtime" && p.version.to_string() == version)
        .unwrap();
    package.manifest_path.parent().unwrap().into()
}

/// One runtime, linked, and the compiled code to take snapshots with.
pub(crate) struct Workbench {
    pub(crate) linked: Vec<u8>,
    engine: Engine,
    pub(crate) stdlib: PathBuf,
    folder: tempfile::TempDir,
}

impl Workbench {
    pub(crate) fn new(version: &str) -> Self {
        Self::with_extensions(version, &[])
    }

    /// With extension modules, which CPython finds in /site-packages.
    pub(crate) fn with_extensions(version: &str, extensions: &[Extension]) -> Self {
        let files = runtime::library_files(&package(version)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("site-packages")).unwrap();
        for Extension { library, .. } in extensions {
            // It has to be there, and is not read.
            let file = library.name.trim_start_matches('/');
            std::fs::write(folder.path().join(file), []).unwrap();
        }
        Self {
            linked: link::link(&runtime::load(&files, true).unwrap(), extensions).unwrap(),
            engine: engine::engine(Compiler::Winch).unwrap(),
            stdlib: stdlib::unpack_stdlib(stdlib::EMBEDDED_STDLIB, folder.path()).unwrap(),
            folder,
        }
    }

    /// Fuses the core modules of the component.
    pub(crate) fn fuse(&mut self) {
        let Fused::Component(fused) = fuse::fuse(&self.linked).unwrap() else {
            panic!("it is not fused");
        };
        validate(&fused).unwrap();
        self.linked = fused;
    }

    /// Adds a module to /site-packages, or takes it away.
    pub(crate) fn module(&self, name: &str, code: Option<&str>) {
        let path = self.site_packages().join(format!("{name}.py"));
        match code {
            Some(code) => std::fs::write(path, code).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
    }

    /// Adds a file to /site-packages.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.site_packages().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Adds a copy of the package in `folder` to /site-packages.
    pub(crate) fn package(&self, name: &str, folder: &Path) {
        let target = self.site_packages().join(name);
        for entry in walkdir::WalkDir::new(folder) {
            let entry = entry.unwrap();
            let path = target.join(entry.path().strip_prefix(folder).unwrap());
            match entry.file_type().is_dir() {
                true => std::fs::create_dir_all(path).unwrap(),
                false => drop(std::fs::copy(entry.path(), path).unwrap()),
            }
        }
    }

    /// What Python may import, as one archive.
    pub(crate) fn archive(&self, sources: bool) -> Vec<u8> {
        let site_packages = self.site_packages();
        let folders = [
            (self.stdlib.as_path(), environment::STDLIB),
            (site_packages.as_path(), environment::SITE_PACKAGES),
        ];
        let selection = Selection {
            exclude: &Config::default().embed_exclude,
            sources,
            compressed: true,
        };
        let archives = folders
            .map(|(folder, guest_path)| embed::archive(folder, guest_path, &selection).unwrap());
        embed::joined(&archives).unwrap()
    }

    pub(crate) fn site_packages(&self) -> PathBuf {
        self.folder.path().join("site-packages")
    }

    fn with_guest_setup<T>(
        &self,
        entropy: u8,
        environment: &[(&str, &str)],
        run: impl FnOnce(&GuestSetup<'_>) -> T,
    ) -> T {
        run(&GuestSetup {
            environment,
            stdlib: &self.stdlib,
            site_packages: &self.site_packages(),
            epoch_seconds: host::DEFAULT_EPOCH_SECONDS,
            seed: [entropy; 32],
            memory_limit: 1 << 30,
            scratch: self.folder.path(),
        })
    }

    fn compile(&self, component: &[u8], bodies: Bodies) -> Component {
        let part = bodies::runnable(component, &self.linked, bodies).unwrap();
        snapshot::compile(&self.engine, Compiler::Winch, &part).unwrap()
    }

    /// Executes `scripts` in a Python that has just started, on the host that
    /// snapshots are taken on: what each printed, or Python's error.
    pub(crate) fn fresh(&self, scripts: &[&str]) -> Vec<Result<String, String>> {
        let code = Code::new(self, self.linked.clone());
        let executed = code.run(0, environment::BUILD, |component, guest_setup| {
            snapshot::execute(component, guest_setup, scripts)
        });
        executed.into_iter().map(|(result, _)| result).collect()
    }

    /// Compiles each of `lists` in an instance of its own, in the order of the list.
    pub(crate) fn bytecode(&self, lists: &[&[Source]]) -> Vec<Vec<Option<Vec<u8>>>> {
        let component = self.compile(&self.linked, Bodies::All);
        let compile = |list: &&[Source]| {
            let mut made = Vec::new();
            let keep = |_: &Source, pyc: Option<&[u8]>| made.push(pyc.map(<[u8]>::to_vec));
            let done = self.with_guest_setup(0, environment::BUILD, |surroundings| {
                bytecode::compile(&component, surroundings, list, true, keep)
            });
            done.unwrap_or_else(|failure| panic!("{:?}", failure.into_error()));
            made
        };
        lists.iter().map(compile).collect()
    }

    /// Takes snapshots, with `imports` and `on_restore` each.
    pub(crate) fn snapshots(&self, scripts: &[(&[&str], &[&str])]) -> Vec<Restorable<'_>> {
        let plans = scripts.iter().map(|&(imports, on_restore)| Plan {
            imports,
            on_restore,
            ..Plan::default()
        });
        self.restorables(&plans.collect::<Vec<_>>())
    }

    /// Takes snapshots.
    pub(crate) fn restorables(&self, plans: &[Plan<'_>]) -> Vec<Restorable<'_>> {
        let taken = self.take(plans).into_iter();
        taken.map(|taken| taken.unwrap().restorable).collect()
    }

    /// Takes snapshots, and says what was noticed, or why there is none.
    pub(crate) fn take(&self, plans: &[Plan<'_>]) -> Vec<Result<Taken<'_>, Error>> {
        let bare = complete::bare(&self.linked).unwrap();
        let instrumented = snapshot::instrument(&bare, &self.linked).unwrap();
        let code = Code::new(self, instrumented.skeleton.clone());
        let take = |plan: &Plan<'_>| {
            let [imports, on_restore] = [plan.imports, plan.on_restore]
                .map(|list| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>());
            let setup = plan.setup.map(|code| Setup {
                name: "warm.py".to_owned(),
                code: code.to_owned(),
            });
            let script = Script {
                embedded: plan.embedded,
                imports: &imports,
                on_restore: &on_restore,
                setup: setup.as_ref(),
                trace: plan.trace,
                watch: true,
                timeout: Duration::from_secs(600),
            };
            let (taken, _, observed) =
                code.try_run(0, environment::BUILD, |component, guest_setup| {
                    let limited = plan.limited(guest_setup);
                    snapshot::take(&instrumented, component, &limited, &script)
                })?;
            let places = match observed.draws.is_empty() {
                true => Vec::new(),
                false => code.try_run(0, environment::BUILD, |component, guest_setup| {
                    draws::places(component, &plan.limited(guest_setup), &script)
                })?,
            };
            let bare = initialize::restore_initialize(&taken.component).unwrap();
            let whole = complete::completed(&bare, &self.linked, &taken.images).unwrap();
            Ok(Taken {
                restorable: Restorable {
                    code: Code::new(self, whole.clone()),
                    whole,
                },
                observed,
                places,
            })
        };
        plans.iter().map(take).collect()
    }
}

/// What a snapshot is taken of.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan<'a> {
    pub(crate) imports: &'a [&'a str],
    pub(crate) on_restore: &'a [&'a str],
    pub(crate) setup: Option<&'a str>,
    pub(crate) trace: bool,
    pub(crate) embedded: Option<&'a [u8]>,
    /// In bytes, if not what is enough for everything.
    pub(crate) memory_limit: Option<u64>,
}

impl Plan<'_> {
    fn limited<'a>(&self, guest_setup: &GuestSetup<'a>) -> GuestSetup<'a> {
        GuestSetup {
            memory_limit: self.memory_limit.unwrap_or(guest_setup.memory_limit),
            ..guest_setup.clone()
        }
    }
}

/// A snapshot, and what was noticed.
pub(crate) struct Taken<'a> {
    pub(crate) restorable: Restorable<'a>,
    pub(crate) observed: Observed,
    /// Who drew randomness, in a second run.
    pub(crate) places: Vec<draws::Place>,
}

/// A finished snapshot.
pub(crate) struct Restorable<'a> {
    pub(crate) whole: Vec<u8>,
    code: Code<'a>,
}

impl Restorable<'_> {
    /// Executes `scripts` in one new instance, on a host whose randomness `entropy`
    /// stands for: what each printed, or Python's error.
    pub(crate) fn execute(&self, entropy: u8, scripts: &[&str]) -> Vec<Result<String, String>> {
        self.execute_in(&[], entropy, scripts)
    }

    /// As [`execute`](Self::execute), with these environment variables.
    pub(crate) fn execute_in(
        &self,
        environment: &[(&str, &str)],
        entropy: u8,
        scripts: &[&str],
    ) -> Vec<Result<String, String>> {
        let executed = self
            .code
            .run(entropy, environment, |component, guest_setup| {
                snapshot::execute(component, guest_setup, scripts)
            });
        executed.into_iter().map(|(result, _)| result).collect()
    }

    /// As [`execute`](Self::execute), where nothing is mounted.
    pub(crate) fn execute_alone(&self, scripts: &[&str]) -> Vec<Result<String, String>> {
        let executed = self.code.run(1, &[], |component, guest_setup| {
            let empty = tempfile::tempdir().unwrap();
            let alone = GuestSetup {
                stdlib: empty.path(),
                site_packages: empty.path(),
                ..guest_setup.clone()
            };
            snapshot::execute(component, &alone, scripts)
        });
        executed.into_iter().map(|(result, _)| result).collect()
    }

    /// How long each of `scripts` takes in a new instance of `component`, which is
    /// this snapshot compiled in some other way.
    pub(crate) fn time(&self, component: &Component, scripts: &[&str]) -> Vec<Duration> {
        let executed = self.code.bench.with_guest_setup(1, &[], |guest_setup| {
            snapshot::execute(component, guest_setup, scripts)
        });
        let executed = executed.unwrap_or_else(|failure| panic!("{:?}", failure.into_error()));
        executed.into_iter().map(|(_, took)| took).collect()
    }
}

/// A component, compiled as it is in a build: the profiled bodies, and if these do
/// not do, all of them.
struct Code<'a> {
    bench: &'a Workbench,
    bytes: Vec<u8>,
    start: Component,
    all: OnceCell<Component>,
}

impl<'a> Code<'a> {
    fn new(bench: &'a Workbench, bytes: Vec<u8>) -> Self {
        Self {
            bench,
            start: bench.compile(&bytes, Bodies::Start),
            bytes,
            all: OnceCell::new(),
        }
    }

    fn run<T>(
        &self,
        entropy: u8,
        environment: &[(&str, &str)],
        run: impl Fn(&Component, &GuestSetup<'_>) -> Result<T, Failure>,
    ) -> T {
        let result = self.try_run(entropy, environment, run);
        result.unwrap_or_else(|error| panic!("{error:?}"))
    }

    fn try_run<T>(
        &self,
        entropy: u8,
        environment: &[(&str, &str)],
        run: impl Fn(&Component, &GuestSetup<'_>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let result = self
            .bench
            .with_guest_setup(entropy, environment, |guest_setup| {
                match run(&self.start, guest_setup) {
                    Err(Failure::Trap(error)) => {
                        eprintln!("with all bodies, after: {error:?}");
                        let compile = || self.bench.compile(&self.bytes, Bodies::All);
                        run(self.all.get_or_init(compile), guest_setup)
                    }
                    done => done,
                }
            });
        result.map_err(Failure::into_error)
    }
}
