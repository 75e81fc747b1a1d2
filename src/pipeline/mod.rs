//! The order of the steps, from inputs that were read to what the program gets.
//!
//! ```text
//! read ─► stage ─► link ─► bytecode ─► snapshot ─► native ─► compress
//! ```
//!
//! Each step is a function from one value to the next. What it makes is kept under a key
//! ([`keys`]) by [`Cache::memo`](crate::store::cache::Cache::memo), and comes from there
//! the next time. Work that does not depend on each other overlaps: the standard library
//! is unpacked while the libraries are linked, and while the guest runs, which has one
//! thread, code is stored and the linked component validated.

pub(crate) mod attempts;
pub(crate) mod bytecode;
pub(crate) mod compress;
pub(crate) mod context;
pub(crate) mod embed;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod measure;
pub(crate) mod native;

use crate::error::{Error, Report, Stage};
use crate::guest::engine::{self, Compiler};
use crate::guest::environment::{SITE_PACKAGES, STDLIB};
use crate::inputs::locate::Inputs;
use crate::inputs::read::ReadInputs;
use crate::inputs::stdlib;
use crate::packages::bytecode::Mount;
use crate::packages::report::listed;
use crate::packages::tree::{self, SitePackages};
use crate::pipeline::attempts::{Attempts, GuestInputs};
use crate::pipeline::bytecode::Bytecode;
use crate::pipeline::compress::Compressed;
use crate::pipeline::context::Context;
use crate::pipeline::keys::{Content, Keys, Tools};
use crate::pipeline::link::Linked;
use crate::pipeline::native::{NativeCode, NativePlan};
use crate::report::Measurements;
use crate::store::cache::{Entry, EntryKind, Lock, Made};
use crate::store::digest::Blob;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread;
use wasmtime::Engine;

/// What the pipeline made.
pub(crate) struct Built {
    pub(crate) snapshot: Blob,
    /// Whether the snapshot came from the cache.
    pub(crate) cached: bool,
    /// The folder to mount at /python-stdlib.
    pub(crate) stdlib: PathBuf,
    pub(crate) site_packages: SitePackages,
    pub(crate) native: Option<NativeCode>,
    pub(crate) compressed: Option<Compressed>,
    /// What a person should know, for as long as the result is used.
    pub(crate) warnings: Vec<String>,
    /// For the report, if one is wanted.
    pub(crate) measured: Option<Measurements>,
}

/// Runs every step, as far as the cache does not have what it makes.
///
/// # Errors
/// Those of the step that fails; what earlier builds made stays.
pub(crate) fn run(
    cx: &Context<'_>,
    inputs: &Inputs,
    read: &ReadInputs,
    native: Option<&NativePlan<'_>>,
) -> Result<Built, Error> {
    let engines = engine::candidates(cx.config.engine)?;
    let turn = cx.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let mut turn = Some(turn);
    // Threads, not rayon's: one that waits for another build's lock would keep a worker
    // from the build that holds it.
    let (stdlib, packages) = thread::scope(|scope| {
        let stdlib = scope.spawn(|| stage_stdlib(cx, inputs, read));
        let packages = stage_packages(cx, inputs, read, &engines);
        let stdlib = stdlib.join();
        (
            stdlib.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            packages,
        )
    });
    let (stdlib, packages) = (stdlib?, packages?);
    let bytecode = Bytecode {
        cx,
        libraries: read.digests.libraries,
        mounts: mounts(&stdlib, &packages.site_packages),
    };
    if !bytecode.fill()?.is_empty() {
        // The snapshot does not hold what the program is given beside it.
        cx.cache.remove(EntryKind::Snapshot, packages.keys.snapshot);
    } else if packages.linked.as_ref().is_none_or(Linked::is_kept) {
        drop(turn.take());
    }
    let snapshot = take_snapshot(inputs, read, &packages, &stdlib, &bytecode, &engines)?;
    drop(turn);
    let measured = cx.config.report.then(|| {
        let measure = || measure(inputs, read, &packages, &stdlib, &bytecode, &engines);
        let measured = cx.log.timed("measure for the report", measure);
        let measured = measured.unwrap_or_else(|error| Measurements::none(&error));
        for failed in &measured.failed {
            cx.cache.trouble(failed.clone());
            cx.log.say(failed);
        }
        measured
    });
    let native = match native {
        Some(plan) => Some(native::compile(cx, plan, &packages.keys, &snapshot.blob)?),
        None => None,
    };
    let code = native.as_ref().map(|native| &native.blob);
    let compressed = compress::compress(cx, &snapshot.blob, code)?;
    evict(cx, &packages.keys, native.as_ref(), compressed.as_ref());
    let warnings = &packages.site_packages.report.warnings;
    Ok(Built {
        warnings: [&warnings[..], &snapshot.findings].concat(),
        snapshot: snapshot.blob,
        cached: snapshot.cached,
        stdlib,
        site_packages: packages.site_packages,
        native,
        compressed,
        measured,
    })
}

/// Keeps the cache below its size, and what was just used in it.
fn evict(
    cx: &Context<'_>,
    keys: &Keys,
    native: Option<&NativeCode>,
    compressed: Option<&Compressed>,
) {
    let mut used = vec![
        (link::kind(cx.config), keys.link),
        (EntryKind::Snapshot, keys.snapshot),
    ];
    used.extend(keys.embedded.iter().map(|&key| (EntryKind::Embedded, key)));
    used.extend(native.map(|native| (EntryKind::Native, native.key)));
    let frames = compressed.into_iter();
    let frames = frames.flat_map(|files| [&files.component].into_iter().chain(&files.native));
    used.extend(frames.map(|frame| (EntryKind::Compressed, frame.key)));
    cx.cache.evict(cx.config.cache_size, &used);
}

/// /site-packages, and what follows from it.
struct Packages {
    site_packages: SitePackages,
    keys: Keys,
    /// The linked component, where no snapshot of it is in the cache.
    linked: Option<Linked>,
    /// Others that want the same wait for it, and find it done.
    _lock: Option<Lock>,
}

/// The folder to mount at /python-stdlib, unpacked where it comes as an archive.
fn stage_stdlib(cx: &Context<'_>, inputs: &Inputs, read: &ReadInputs) -> Result<PathBuf, Error> {
    let unchanged = || read.unchanged(inputs);
    let digest = read.digests.stdlib;
    let stage = || stdlib::stage(&inputs.stdlib, digest, cx.folder, unchanged);
    let stdlib = cx.log.timed("stdlib", stage)?;
    let mount = Mount {
        folder: &stdlib,
        guest_path: STDLIB,
    };
    embed::prepare(cx, read, mount)?;
    Ok(stdlib)
}

/// The folder to mount at /site-packages, and the libraries in it linked with CPython's,
/// unless that has been done and snapshotted.
fn stage_packages(
    cx: &Context<'_>,
    inputs: &Inputs,
    read: &ReadInputs,
    engines: &[(Compiler, Engine)],
) -> Result<Packages, Error> {
    let site_packages = cx.log.timed("site-packages", || {
        let unchanged = || read.unchanged(inputs);
        let digest = read.digests.site_packages;
        tree::prepare(&inputs.packages, digest, cx.folder, unchanged)
    })?;
    // Warnings too: cargo shows them only if the build succeeds.
    let record = &site_packages.report;
    for note in record.notes.iter().chain(&record.warnings) {
        cx.log.say(note);
    }
    if cx.config.strict_records && !record.records.is_empty() {
        let report = Report::new("strict-records: the RECORD of a wheel is not exact");
        let hint = "have who made the wheel make it again, or say strict-records = false";
        let report = listed(report, record.records.clone()).hint(hint);
        return Err(Stage::Packages.error(report));
    }
    let keys = keys(cx, read, &site_packages, engines);
    let lock = cx.cache.lock(keys.snapshot);
    let linked = match cx.cache.has(EntryKind::Snapshot, keys.snapshot) {
        true => None,
        false => Some(link::link(cx, inputs, read, &site_packages, keys.link)?),
    };
    Ok(Packages {
        site_packages,
        keys,
        linked,
        _lock: lock,
    })
}

fn keys(
    cx: &Context<'_>,
    read: &ReadInputs,
    site_packages: &SitePackages,
    engines: &[(Compiler, Engine)],
) -> Keys {
    let libraries = &site_packages.report.libraries;
    let link = link::key(cx.config, read, libraries);
    let embedded = embed::keys(cx.config, read);
    let content = Content {
        link,
        embedded: &embedded,
        stdlib: read.digests.stdlib,
        site_packages: read.digests.site_packages,
        epoch_seconds: cx.epoch_seconds,
        memory_limit: cx.config.memory_limit,
        imports: &cx.config.imports,
        on_restore: &cx.config.on_restore,
        setup: read.setup.as_ref(),
        trace: cx.config.trace,
    }
    .key();
    let engines: Vec<_> = engines
        .iter()
        .map(|(compiler, engine)| (*compiler, engine::fingerprint(engine)))
        .collect();
    Keys {
        embedded,
        link,
        content,
        snapshot: keys::snapshot(Tools::compiled(), content, cx.config.verify, &engines),
    }
}

/// The folders that Python sees.
fn mounts<'a>(stdlib: &'a Path, site_packages: &'a SitePackages) -> Vec<Mount<'a>> {
    let packages = site_packages.tree.as_deref();
    let folders = [(Some(stdlib), STDLIB), (packages, SITE_PACKAGES)];
    folders
        .into_iter()
        .filter_map(|(folder, guest_path)| folder.map(|folder| Mount { folder, guest_path }))
        .collect()
}

/// The finished snapshot, from the cache or by running Python, which first compiles the
/// sources that nobody compiled yet.
fn take_snapshot(
    inputs: &Inputs,
    read: &ReadInputs,
    packages: &Packages,
    stdlib: &Path,
    bytecode: &Bytecode<'_>,
    engines: &[(Compiler, Engine)],
) -> Result<Entry, Error> {
    let cx = bytecode.cx;
    let keys = &packages.keys;
    cx.cache.memo(EntryKind::Snapshot, keys.snapshot, || {
        let made_now;
        let linked = match &packages.linked {
            Some(linked) => linked,
            // The snapshot's entry was damaged.
            None => {
                made_now = link::link(cx, inputs, read, &packages.site_packages, keys.link)?;
                &made_now
            }
        };
        let attempts = Attempts {
            cx,
            keys,
            linked,
            bytecode,
            guest: GuestInputs {
                stdlib,
                site_packages: &packages.site_packages,
                setup: read.setup.as_ref(),
            },
        };
        let (wasm, findings) = attempts.snapshot(engines)?;
        // What Python read is what the key says.
        read.unchanged(inputs)?;
        Ok(Made {
            blob: wasm,
            findings: [&linked.entry.findings[..], &findings].concat(),
        })
    })
}

/// What a report says and a snapshot does not.
fn measure(
    inputs: &Inputs,
    read: &ReadInputs,
    packages: &Packages,
    stdlib: &Path,
    bytecode: &Bytecode<'_>,
    engines: &[(Compiler, Engine)],
) -> Result<Measurements, Error> {
    let cx = bytecode.cx;
    let keys = &packages.keys;
    let made_now;
    let linked = match &packages.linked {
        Some(linked) => linked,
        None => {
            made_now = link::link(cx, inputs, read, &packages.site_packages, keys.link)?;
            &made_now
        }
    };
    let guest = GuestInputs {
        stdlib,
        site_packages: &packages.site_packages,
        setup: read.setup.as_ref(),
    };
    let attempts = Attempts {
        cx,
        keys,
        linked,
        bytecode,
        guest,
    };
    Ok(measure::measure(inputs, &attempts, engines))
}

#[cfg(test)]
mod tests;
