//! Inputs → linked component → compiled code → snapshot, each from the cache
//! where its key is known.
//!
//! | entry | depends on |
//! |---|---|
//! | link | library bytes, those of extensions, `strip`, wit-component |
//! | code | link, compiler and its settings, Wasmtime, profile, which bodies |
//! | snapshot | link, standard library, site-packages, imports, set-up, clock, limits, engine |
//! | native | snapshot, target, compiler and its settings, Wasmtime |
//!
//! Work that does not depend on each other overlaps: the standard library is
//! unpacked while the libraries are linked, and while the guest runs, which has
//! one thread, code is stored and the linked component validated.

use crate::cargo::directives::Directive;
use crate::config::Config;
use crate::error::{Error, Report};
use crate::guest::engine::{self, Compiler};
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::guest::script::{Observed, Script, Setup};
use crate::guest::snapshot::{self, Instrumented};
use crate::inputs::locate::{Digests, Inputs};
use crate::inputs::runtime;
use crate::inputs::states::{self, FileState};
use crate::inputs::stdlib::{self, StdlibSource};
use crate::log;
use crate::native::compile::{self, Custom, Precompiler};
use crate::native::reuse;
use crate::native::target::Target;
use crate::packages::tree::SitePackages;
use crate::store::cache::{Cache, Lookup, Stage};
use crate::store::digest::{Digest, KeyBuilder};
use crate::wasm::bodies::{self, Bodies};
use crate::wasm::{initialize, link, strip, validate};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What is linked with, for keys. Cargo.lock pins it for the crate itself, a
/// consumer's may differ in the patch version, which does not change formats.
const WIT_COMPONENT: &str = "wit-component 0.254";

/// A finished snapshot.
pub(crate) struct Built {
    pub(crate) wasm: Vec<u8>,
    /// SHA-256 of `wasm`.
    pub(crate) digest: Digest,
    /// Whether the whole snapshot came from the cache.
    pub(crate) cached: bool,
    /// The folder to mount at /python-stdlib.
    pub(crate) stdlib: PathBuf,
    pub(crate) native: Option<Native>,
    /// About the cache, this once.
    pub(crate) warnings: Vec<Directive>,
    /// About the result, for as long as it is used.
    pub(crate) findings: Vec<String>,
}

/// What was read of the inputs.
pub(crate) struct Prepared {
    /// Every input, as it was when its digest was taken.
    pub(crate) files: Vec<FileState>,
    pub(crate) digests: Digests,
    pub(crate) site_packages: SitePackages,
    /// What runs after the imports.
    pub(crate) setup: Option<Setup>,
}

/// Native code of a snapshot.
pub(crate) struct Native {
    pub(crate) code: Vec<u8>,
    /// SHA-256 of `code`.
    pub(crate) digest: Digest,
    pub(crate) cached: bool,
    /// What made it; `None` is the consumer's own function.
    pub(crate) compiler: Option<Compiler>,
}

/// Who makes native code, and for which machine.
pub(crate) struct NativePlan<'a> {
    pub(crate) target: &'a Target,
    pub(crate) makers: &'a Makers<'a>,
    /// Whether earlier native code may be used: an address map names positions in
    /// the component that move.
    pub(crate) reuse: bool,
}

pub(crate) enum Makers<'a> {
    /// In the order to try them.
    Ours(Vec<Precompiler>),
    /// The consumer's function, in this executable.
    Custom(&'a Custom, PathBuf),
}

/// One run of the pipeline.
pub(crate) struct Stages<'a> {
    pub(crate) config: &'a Config,
    pub(crate) inputs: &'a Inputs,
    pub(crate) prepared: &'a Prepared,
    pub(crate) cache: Cache,
    /// This crate's own folder in OUT_DIR.
    pub(crate) folder: &'a Path,
    pub(crate) epoch_seconds: u64,
    pub(crate) native: Option<NativePlan<'a>>,
    warnings: Mutex<Vec<Directive>>,
    findings: Mutex<Vec<String>>,
}

struct Keys {
    link: Digest,
    /// Also what the guest's randomness is derived from.
    content: Digest,
    snapshot: Digest,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(
        config: &'a Config,
        inputs: &'a Inputs,
        prepared: &'a Prepared,
        cache: Cache,
        folder: &'a Path,
        epoch_seconds: u64,
        native: Option<NativePlan<'a>>,
    ) -> Self {
        Self {
            config,
            inputs,
            prepared,
            cache,
            folder,
            epoch_seconds,
            native,
            warnings: Mutex::default(),
            findings: Mutex::default(),
        }
    }

    /// The snapshot, from the cache or by running Python.
    pub(crate) fn run(&self) -> Result<Built, Error> {
        let engines = self.engines()?;
        let keys = self.keys(&engines);
        // Others that want the same wait here and find it done.
        let _lock = self.cache.lock(keys.snapshot);
        let (wasm, digest, cached, stdlib) = match self.get(Stage::Snapshot, keys.snapshot) {
            Some((wasm, digest)) => {
                log::say("snapshot: from the cache");
                self.found_before(keys.link);
                self.found_before(keys.snapshot);
                (wasm, digest, true, self.stdlib()?)
            }
            None => {
                let (wasm, digest, stdlib) = self.build(&engines, &keys)?;
                (wasm, digest, false, stdlib)
            }
        };
        let mut used = vec![(Stage::Link, keys.link), (Stage::Snapshot, keys.snapshot)];
        let native = match &self.native {
            Some(plan) => {
                let (native, key) = self.native(plan, &keys, &wasm, digest)?;
                used.push((Stage::Native, key));
                Some(native)
            }
            None => None,
        };
        self.cache.evict(self.config.cache_size, &used);
        let warnings = self.warnings.lock().map(|mut w| std::mem::take(&mut *w));
        let findings = self.findings.lock().map(|mut f| std::mem::take(&mut *f));
        Ok(Built {
            wasm,
            digest,
            cached,
            stdlib,
            native,
            warnings: warnings.unwrap_or_default(),
            findings: findings.unwrap_or_default(),
        })
    }

    /// Native code of the snapshot `wasm`, and its key.
    fn native(
        &self,
        plan: &NativePlan<'_>,
        keys: &Keys,
        wasm: &[u8],
        digest: Digest,
    ) -> Result<(Native, Digest), Error> {
        let makers = match plan.makers {
            Makers::Ours(makers) => makers,
            Makers::Custom(custom, executable) => {
                return self.native_by(plan.target, custom, executable, wasm, digest);
            }
        };
        for maker in makers {
            let key = maker.key(digest);
            if let Some((code, digest)) = self.get(Stage::Native, key) {
                log::say(&format!(
                    "precompile ({}): from the cache",
                    maker.compiler.name()
                ));
                let native = Native {
                    code,
                    digest,
                    cached: true,
                    compiler: Some(maker.compiler),
                };
                return Ok((native, key));
            }
        }
        let mut last = None;
        for maker in makers {
            match self.precompiled(maker, plan, keys, wasm, digest) {
                Ok(code) => {
                    compile::check(&code, plan.target)?;
                    let key = maker.key(digest);
                    let native = self.put_native(key, code, Some(maker.compiler));
                    return Ok((native, key));
                }
                Err(error) => {
                    log::say(&format!("{error}; trying another compiler"));
                    last = Some(error);
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Precompile(Report::new("no compiler to try"))))
    }

    /// New native code of `wasm`: with the functions of earlier code where there is
    /// some, or else all of it.
    fn precompiled(
        &self,
        maker: &Precompiler,
        plan: &NativePlan<'_>,
        keys: &Keys,
        wasm: &[u8],
        digest: Digest,
    ) -> Result<Vec<u8>, Error> {
        // Without a shape there is nothing to reuse, and no harm.
        let shape = plan.reuse.then(|| reuse::shape(wasm).ok().flatten());
        let reuse = shape.flatten().map(|shape| {
            KeyBuilder::new("reuse")
                .part("link", &keys.link.0)
                .part("shape", &shape.digest.0)
                .part("engine", &maker.fingerprint().0)
                .finish()
        });
        if let Some(key) = &reuse
            && let Some(code) = self.spliced(maker, *key, wasm)
        {
            return Ok(code);
        }
        let stage = format!(
            "precompile ({}, {})",
            maker.compiler.name(),
            plan.target.triple
        );
        let code = log::timed(&stage, || maker.compile(wasm))?;
        if let Some(key) = reuse {
            let names = format!("{} {}", maker.key(digest), keys.snapshot);
            let names = names.as_bytes();
            self.put(Stage::Reuse, key, names, Digest::of(names));
        }
        Ok(code)
    }

    /// Native code with the functions of the artifact that the entry `reuse` names.
    fn spliced(&self, maker: &Precompiler, reuse: Digest, wasm: &[u8]) -> Option<Vec<u8>> {
        let (names, _) = self.get(Stage::Reuse, reuse)?;
        let (native, snapshot) = std::str::from_utf8(&names).ok()?.split_once(' ')?;
        let (artifact, _) = self.get(Stage::Native, Digest::parse(native)?)?;
        let (earlier, _) = self.get(Stage::Snapshot, Digest::parse(snapshot)?)?;
        let stage = format!("precompile ({}, functions reused)", maker.compiler.name());
        let base = reuse::Base {
            wasm: &earlier,
            artifact: &artifact,
        };
        let spliced = log::timed(&stage, || {
            reuse::splice(base, wasm, &|module| maker.compile_module(module))
        });
        match spliced {
            Ok(code) => Some(code),
            Err(error) => {
                log::say(&format!("cannot reuse native code: {error:#}"));
                None
            }
        }
    }

    /// Native code by the consumer's function.
    fn native_by(
        &self,
        target: &Target,
        custom: &Custom,
        executable: &Path,
        wasm: &[u8],
        digest: Digest,
    ) -> Result<(Native, Digest), Error> {
        let program = std::fs::read(executable).map_err(|e| Error::io("read", executable, e))?;
        let key = custom.key(digest, target, Digest::of(&program));
        let _lock = self.cache.lock(key);
        if let Some((code, digest)) = self.get(Stage::Native, key) {
            log::say("precompile (precompile_with): from the cache");
            let native = Native {
                code,
                digest,
                cached: true,
                compiler: None,
            };
            return Ok((native, key));
        }
        let stage = format!("precompile (precompile_with, {})", target.triple);
        let code = log::timed(&stage, || custom.compile(wasm, target))?;
        compile::check(&code, target)?;
        Ok((self.put_native(key, code, None), key))
    }

    fn put_native(&self, key: Digest, code: Vec<u8>, compiler: Option<Compiler>) -> Native {
        let digest = Digest::of(&code);
        self.put(Stage::Native, key, &code, digest);
        Native {
            code,
            digest,
            cached: false,
            compiler,
        }
    }

    fn build(
        &self,
        engines: &[(Compiler, Engine)],
        keys: &Keys,
    ) -> Result<(Vec<u8>, Digest, PathBuf), Error> {
        let (linked, (stdlib, code)) = rayon::join(
            || self.linked(keys),
            || (self.stdlib(), self.compiled(engines, keys)),
        );
        let ((linked, new), stdlib) = (linked?, stdlib?);
        let empty = tempfile::tempdir()
            .map_err(|e| Error::io("create a temporary folder in", &std::env::temp_dir(), e))?;
        let skeleton = bodies::skeleton(&linked).map_err(not_understood)?;
        let instrumented = log::timed("instrument", || snapshot::instrument(&skeleton))?;
        let run = Run {
            stages: self,
            keys,
            linked: &linked,
            new,
            instrumented: &instrumented,
            surroundings: GuestSetup {
                stdlib: &stdlib,
                site_packages: self
                    .prepared
                    .site_packages
                    .tree
                    .as_deref()
                    .unwrap_or(empty.path()),
                epoch_seconds: self.epoch_seconds,
                seed: keys.content.0,
                memory_limit: self.config.memory_limit,
                scratch: self.folder,
            },
        };
        let (wasm, digest) = run.snapshot(engines, code)?;
        // What Python read is what the key says.
        states::unchanged(&self.prepared.files)?;
        self.put(Stage::Snapshot, keys.snapshot, &wasm, digest);
        Ok((wasm, digest, stdlib))
    }

    /// Compiled code in the cache, of the first way to run that has some: all
    /// bodies, if an earlier build needed them.
    fn compiled(&self, engines: &[(Compiler, Engine)], keys: &Keys) -> Option<Compiled> {
        for (compiler, engine) in engines {
            for bodies in [Bodies::All, Bodies::Start] {
                let key = code_key(keys, *compiler, engine, bodies);
                let Some((code, _)) = self.get(Stage::Code, key) else {
                    continue;
                };
                match log::timed("load code", || engine::load(engine, &code)) {
                    Ok(component) => {
                        return Some(Compiled {
                            compiler: *compiler,
                            bodies,
                            component,
                        });
                    }
                    Err(error) => self.warn(format!(
                        "compiled code in the cache does not load, and is built again: {error}"
                    )),
                }
            }
        }
        None
    }

    /// The engines to try, in order: those this host has.
    fn engines(&self) -> Result<Vec<(Compiler, Engine)>, Error> {
        let mut engines = Vec::new();
        let mut refused = None;
        for &compiler in Compiler::candidates(self.config.engine) {
            match engine::engine(compiler) {
                Ok(engine) => engines.push((compiler, engine)),
                Err(error) => refused = Some(error),
            }
        }
        match (engines.is_empty(), refused) {
            (true, Some(error)) => Err(error),
            _ => Ok(engines),
        }
    }

    fn keys(&self, engines: &[(Compiler, Engine)]) -> Keys {
        let mut link = KeyBuilder::new("link");
        link.part("linker", WIT_COMPONENT.as_bytes())
            .part("libraries", &self.prepared.digests.libraries.0)
            .part("strip", &[u8::from(self.config.strip)]);
        for library in &self.prepared.site_packages.record.libraries {
            link.part("extension", library.name.as_bytes())
                .part("openable", &[u8::from(library.openable)])
                .part("digest", library.digest.as_bytes());
        }
        let link = link.finish();
        let mut content = KeyBuilder::new("content");
        content
            .part("link", &link.0)
            .part("stdlib", &self.prepared.digests.stdlib.0)
            .part("epoch", &self.epoch_seconds.to_le_bytes())
            .part("memory", &self.config.memory_limit.to_le_bytes());
        if let Some(site_packages) = self.prepared.digests.site_packages {
            content.part("site-packages", &site_packages.0);
        }
        for import in &self.config.imports {
            content.part("import", import.as_bytes());
        }
        for hook in &self.config.on_restore {
            content.part("on-restore", hook.as_bytes());
        }
        if let Some(setup) = &self.prepared.setup {
            content
                .part("setup", setup.name.as_bytes())
                .part("code", setup.code.as_bytes());
        }
        let content = content.finish();
        let mut snapshot = KeyBuilder::new("snapshot");
        snapshot
            .part("content", &content.0)
            .part("verify", &[u8::from(self.config.verify)]);
        for (compiler, engine) in engines {
            snapshot.part(compiler.name(), &engine::fingerprint(engine).0);
        }
        Keys {
            link,
            content,
            snapshot: snapshot.finish(),
        }
    }

    /// The linked component, and whether it is new to the cache.
    fn linked(&self, keys: &Keys) -> Result<(Vec<u8>, bool), Error> {
        if let Some((linked, _)) = self.get(Stage::Link, keys.link) {
            log::say("link: from the cache");
            self.found_before(keys.link);
            return Ok((linked, false));
        }
        let libraries = log::timed("load", || {
            runtime::load(&self.inputs.libraries, self.config.strip)
        })?;
        let extensions = self.extensions()?;
        let findings = link::check(&libraries, &extensions)?;
        self.found(keys.link, findings);
        let linked = log::timed("link", || link::link(&libraries, &extensions))?;
        states::unchanged(&self.prepared.files)?;
        Ok((linked, true))
    }

    /// The extension modules, and the libraries they need.
    fn extensions(&self) -> Result<Vec<link::Extension>, Error> {
        let site_packages = &self.prepared.site_packages;
        let libraries = site_packages.record.libraries.par_iter();
        libraries
            .map(|library| {
                let wasm = site_packages.read(library)?;
                let wasm = match self.config.strip {
                    true => strip::stripped(&wasm).map_err(not_understood)?,
                    false => wasm,
                };
                Ok(link::Extension {
                    library: link::Library {
                        name: library.name.clone(),
                        wasm,
                    },
                    openable: library.openable,
                    shown: library.shown.clone(),
                })
            })
            .collect()
    }

    /// The folder to mount at /python-stdlib, unpacked where it comes as an
    /// archive.
    fn stdlib(&self) -> Result<PathBuf, Error> {
        if let StdlibSource::Folder(folder) = &self.inputs.stdlib {
            return Ok(folder.clone());
        }
        log::timed("stdlib", || {
            stdlib::staged_stdlib(
                &self.inputs.stdlib,
                self.prepared.digests.stdlib,
                self.folder,
            )
        })
    }

    fn get(&self, stage: Stage, key: Digest) -> Option<(Vec<u8>, Digest)> {
        match self.cache.get(stage, key) {
            Lookup::Hit(bytes, digest) => Some((bytes, digest)),
            Lookup::Miss => None,
            Lookup::Corrupt(what) => {
                self.warn(what);
                None
            }
        }
    }

    /// Says what a package does without, and warns of files left open.
    fn say_observed(&self, keys: &Keys, observed: &Observed) {
        for module in &observed.misses {
            let why = match self.prepared.site_packages.record.foreign.get(module) {
                Some(what) => format!("the file for it {what}"),
                None => "no native extension of that name is linked".to_owned(),
            };
            log::say(&format!(
                "optional module `{module}` was tried and is not there ({why}); its package goes \
                 on without it"
            ));
        }
        let left_open = observed.left_open.iter().map(|path| {
            format!(
                "`{path}` is still open when the snapshot is taken: the restored program gets \
                 EBADF from it; close it in the code that opens it (an import, or the set-up)"
            )
        });
        self.found(keys.snapshot, left_open.collect());
    }

    /// A cache that cannot be written to costs time later, not the build now.
    fn put(&self, stage: Stage, key: Digest, payload: &[u8], digest: Digest) {
        if let Err(error) = self.cache.put(stage, key, payload, digest) {
            self.warn(format!(
                "cannot store the {} stage in the cache: {error}",
                stage.name()
            ));
        }
    }

    /// Notes what a stage found, now and when its result comes from the cache.
    fn found(&self, key: Digest, findings: Vec<String>) {
        if findings.is_empty() {
            return;
        }
        if let Ok(bytes) = serde_json::to_vec(&findings) {
            self.put(Stage::Findings, key, &bytes, Digest::of(&bytes));
        }
        self.note(findings);
    }

    fn found_before(&self, key: Digest) {
        if let Some((bytes, _)) = self.get(Stage::Findings, key) {
            self.note(serde_json::from_slice(&bytes).unwrap_or_default());
        }
    }

    fn note(&self, findings: Vec<String>) {
        if let Ok(mut list) = self.findings.lock() {
            list.extend(findings);
        }
    }

    fn warn(&self, text: String) {
        if let Ok(mut warnings) = self.warnings.lock() {
            warnings.push(Directive::Warning(format!("eryx-preinit-build: {text}")));
        }
    }
}

/// Compiled code, and what it was compiled from.
struct Compiled {
    compiler: Compiler,
    bodies: Bodies,
    component: Component,
}

fn code_key(keys: &Keys, compiler: Compiler, engine: &Engine, bodies: Bodies) -> Digest {
    let mut key = KeyBuilder::new("code");
    key.part("link", &keys.link.0)
        .part("compiler", compiler.name().as_bytes())
        .part("engine", &engine::fingerprint(engine).0)
        .part("bodies", bodies.name().as_bytes());
    if bodies != Bodies::All {
        key.part("profile", &bodies::profile_digest().0);
    }
    key.finish()
}

/// The part of the pipeline that runs Python.
struct Run<'a> {
    stages: &'a Stages<'a>,
    keys: &'a Keys,
    linked: &'a [u8],
    /// Whether `linked` is not in the cache yet, and so not validated.
    new: bool,
    instrumented: &'a Instrumented<'a>,
    surroundings: GuestSetup<'a>,
}

impl Run<'_> {
    /// Tries the fastest way first: what is compiled, then Winch before
    /// Cranelift, the profiled bodies before all of them.
    fn snapshot(
        &self,
        engines: &[(Compiler, Engine)],
        mut compiled: Option<Compiled>,
    ) -> Result<(Vec<u8>, Digest), Error> {
        // Opening a library runs functions that start-up and imports do not, and so
        // does what the library calls: a run of the profiled bodies would trap.
        let profiled = self
            .stages
            .prepared
            .site_packages
            .record
            .libraries
            .is_empty()
            && bodies::is_profiled(self.linked).map_err(not_understood)?;
        let mut last = None;
        let mut enough = profiled;
        for (compiler, engine) in engines {
            for bodies in [Bodies::Start, Bodies::All] {
                // What was missing for one compiler is for the next.
                if bodies == Bodies::Start && !enough {
                    continue;
                }
                let ready = match compiled.take() {
                    Some(ready) if (ready.compiler, ready.bodies) == (*compiler, bodies) => {
                        Some(ready.component)
                    }
                    // Compiled for a later way: what comes before was no use.
                    Some(later) => {
                        compiled = Some(later);
                        continue;
                    }
                    None => None,
                };
                log::say(&format!(
                    "engine: {}, bodies: {}",
                    compiler.name(),
                    bodies.name()
                ));
                match self.attempt(*compiler, engine, bodies, ready) {
                    Ok(built) => return Ok(built),
                    Err(Attempt::Failed(error)) => return Err(error),
                    Err(Attempt::Trap(error)) => {
                        log::say(&format!("{error}; trying another way"));
                        enough = false;
                        last = Some(error);
                    }
                    Err(Attempt::Compile(error)) => {
                        log::say(&format!("{error}; trying another way"));
                        last = Some(error);
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::Engine(Report::new("no compiler to try"))))
    }

    fn attempt(
        &self,
        compiler: Compiler,
        engine: &Engine,
        bodies: Bodies,
        ready: Option<Component>,
    ) -> Result<(Vec<u8>, Digest), Attempt> {
        let stages = self.stages;
        let (component, fresh) = match ready {
            Some(component) => (component, false),
            None => {
                let part = bodies::runnable(&self.instrumented.skeleton, self.linked, bodies)
                    .map_err(|e| Attempt::Failed(not_understood(e)))?;
                let component =
                    log::timed("compile", || snapshot::compile(engine, compiler, &part))
                        .map_err(Attempt::Compile)?;
                (component, true)
            }
        };
        let script = Script {
            imports: &stages.config.imports,
            on_restore: &stages.config.on_restore,
            setup: stages.prepared.setup.as_ref(),
            watch_misses: stages.prepared.site_packages.tree.is_some(),
            timeout: stages.config.timeout,
        };
        // The guest has one thread: the other cores store what is new.
        let (taken, validated) = thread::scope(|scope| {
            if fresh {
                scope.spawn(|| {
                    let key = code_key(self.keys, compiler, engine, bodies);
                    log::timed("store code", || match component.serialize() {
                        Ok(code) => stages.put(Stage::Code, key, &code, Digest::of(&code)),
                        Err(error) => stages.warn(format!("cannot serialize code: {error}")),
                    });
                });
            }
            let validated = scope.spawn(|| self.validate_linked());
            let taken = snapshot::take(self.instrumented, &component, &self.surroundings, &script);
            (taken, validated.join())
        });
        let (taken, timing, observed) = taken?;
        log::say(&format!("python start: {:.2?}", timing.start));
        for (module, took) in stages.config.imports.iter().zip(&timing.imports) {
            log::say(&format!("import {module}: {took:.2?}"));
        }
        if let Some(setup) = &stages.prepared.setup {
            log::say(&format!("set-up {}: {:.2?}", setup.name, timing.setup));
        }
        log::say(&format!("snapshot: {:.2?}", timing.snapshot));
        stages.say_observed(self.keys, &observed);
        validated
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map_err(|e| {
                Attempt::Failed(Error::Link(
                    Report::new("the linked component is not valid").source(e),
                ))
            })?;
        self.finish(compiler, engine, &taken)
    }

    /// An entry of the link stage is a valid component: only what is not from
    /// there has to be validated.
    fn validate_linked(&self) -> anyhow::Result<()> {
        if self.new {
            log::timed("validate", || validate::validate(self.linked))?;
            let digest = Digest::of(self.linked);
            self.stages
                .put(Stage::Link, self.keys.link, self.linked, digest);
        }
        Ok(())
    }

    /// All bodies back, `_initialize` back, stripped, validated and tried out.
    fn finish(
        &self,
        compiler: Compiler,
        engine: &Engine,
        taken: &[u8],
    ) -> Result<(Vec<u8>, Digest), Attempt> {
        let transformed = log::timed("transform", || {
            let whole = bodies::with_bodies(taken, self.linked)?;
            let whole = initialize::restore_initialize(&whole)?.into_owned();
            anyhow::Ok(if self.stages.config.strip {
                strip::strip_custom_sections(&whole)?.into_owned()
            } else {
                whole
            })
        });
        let wasm = transformed.map_err(|e| Attempt::Failed(not_understood(e)))?;
        let (digest, works) = rayon::join(
            || Digest::of(&wasm),
            || {
                bodies::skeleton(&wasm)
                    .and_then(|skeleton| validate::validate_derived(self.linked, &wasm, &skeleton))
                    .map_err(|e| {
                        Attempt::Failed(Error::Transform(
                            Report::new("the snapshot is not a valid component")
                                .source(e)
                                .hint("please report this with the versions in use"),
                        ))
                    })?;
                self.verify(compiler, engine, &wasm)
            },
        );
        works?;
        Ok((wasm, digest))
    }

    /// Loads the finished snapshot and runs `pass` in it, compiling no more of it
    /// than that takes. Once for each linked component and engine: later
    /// snapshots differ in the contents of memory only, and the instance they
    /// were taken from has just run `pass`.
    fn verify(&self, compiler: Compiler, engine: &Engine, wasm: &[u8]) -> Result<(), Attempt> {
        let stages = self.stages;
        let key = KeyBuilder::new("verified")
            .part(
                "code",
                &code_key(self.keys, compiler, engine, Bodies::All).0,
            )
            .finish();
        if !stages.config.verify || stages.get(Stage::Verified, key).is_some() {
            return Ok(());
        }
        let mut outcome = Ok(());
        log::timed("verify", || {
            let profiled =
                bodies::is_profiled(self.linked).map_err(|e| Attempt::Failed(not_understood(e)))?;
            let ways = [Bodies::Execute, Bodies::Start, Bodies::All];
            for &bodies in if profiled { &ways[..] } else { &ways[2..] } {
                let part = bodies::runnable(wasm, self.linked, bodies)
                    .map_err(|e| Attempt::Failed(not_understood(e)))?;
                let component =
                    snapshot::compile(engine, compiler, &part).map_err(Attempt::Compile)?;
                outcome = snapshot::smoke_test(
                    &component,
                    &self.surroundings,
                    &stages.config.on_restore,
                    stages.config.timeout,
                );
                if !matches!(outcome, Err(Failure::Trap(_))) {
                    break;
                }
            }
            Ok::<_, Attempt>(())
        })?;
        outcome?;
        stages.put(Stage::Verified, key, &[], Digest::of(&[]));
        Ok(())
    }
}

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

fn not_understood(source: anyhow::Error) -> Error {
    Error::Transform(Report::new("cannot rewrite the component").source(source))
}
