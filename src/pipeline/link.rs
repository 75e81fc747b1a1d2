//! The step from libraries to one linked component.

use crate::config::Config;
use crate::error::{Error, Report, Stage};
use crate::inputs::locate::Inputs;
use crate::inputs::read::ReadInputs;
use crate::inputs::runtime;
use crate::packages::report::LinkedLibrary;
use crate::packages::tree::SitePackages;
use crate::pipeline::context::Context;
use crate::pipeline::keys::{self, Tools};
use crate::store::cache::{Entry, EntryKind};
use crate::store::digest::{Blob, Digest};
use crate::wasm::fuse::{self, Fused};
use crate::wasm::link::{self, Extension, Library};
use crate::wasm::{strip, validate};
use rayon::prelude::*;

/// A linked component, fused if that was asked for.
pub(crate) struct Linked {
    pub(crate) entry: Entry,
    kind: EntryKind,
    key: Digest,
}

/// What is kept of linking: with `fuse`, only what fusing made of it, as nothing reads
/// the component before that again.
pub(crate) fn kind(config: &Config) -> EntryKind {
    match config.fuse {
        true => EntryKind::Fuse,
        false => EntryKind::Link,
    }
}

/// The key of that entry.
pub(crate) fn key(config: &Config, read: &ReadInputs, libraries: &[LinkedLibrary]) -> Digest {
    let tools = Tools::compiled();
    let link = keys::link(tools, read.digests.libraries, config.strip, libraries);
    match config.fuse {
        true => keys::fuse(link),
        false => link,
    }
}

impl Linked {
    /// Whether it came from the cache.
    pub(crate) fn is_kept(&self) -> bool {
        self.entry.cached
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.entry.blob.bytes
    }

    /// Validates and keeps the component, if it is new: what is in the cache is valid.
    /// Takes a while, which is better spent beside the guest.
    ///
    /// # Errors
    /// [`Stage::Link`] when the component is not valid.
    pub(crate) fn keep(&self, cx: &Context<'_>) -> Result<(), Error> {
        if self.entry.cached {
            return Ok(());
        }
        let valid = cx
            .log
            .timed("validate", || validate::validate(self.bytes()));
        valid.map_err(|e| {
            Stage::Link.error(Report::new("the linked component is not valid").source(e))
        })?;
        let Entry { blob, findings, .. } = &self.entry;
        cx.cache.store(self.kind, self.key, blob, findings);
        Ok(())
    }
}

/// The linked component, from the cache or linked now; then it has to be
/// [kept](Linked::keep).
///
/// # Errors
/// [`Stage::Runtime`] for damaged libraries, [`Stage::Link`] for symbols that are missing.
pub(crate) fn link(
    cx: &Context<'_>,
    inputs: &Inputs,
    read: &ReadInputs,
    site_packages: &SitePackages,
    key: Digest,
) -> Result<Linked, Error> {
    let kind = kind(cx.config);
    if let Some(entry) = cx.cache.find(kind, key) {
        cx.log.reused(kind.name());
        return Ok(Linked { entry, kind, key });
    }
    let libraries = cx
        .log
        .timed("load", || runtime::load(&inputs.libraries, cx.config.strip))?;
    let extensions = extensions(site_packages, cx.config.strip)?;
    let findings = link::check(&libraries, &extensions)?;
    let linked = cx
        .log
        .timed("link", || link::link(&libraries, &extensions))?;
    let linked = match cx.config.fuse {
        true => fused(cx, linked)?,
        false => linked,
    };
    read.unchanged(inputs)?;
    Ok(Linked {
        entry: Entry {
            blob: Blob::from(linked),
            findings,
            cached: false,
        },
        kind,
        key,
    })
}

/// The component with one core module in place of the libraries', or as it is.
fn fused(cx: &Context<'_>, linked: Vec<u8>) -> Result<Vec<u8>, Error> {
    let fused = cx.log.timed("fuse", || fuse::fuse(&linked));
    match fused.map_err(not_understood)? {
        Fused::Component(fused) => Ok(fused),
        Fused::Unfused(why) => {
            cx.log.say(&format!("fuse: left as it was linked: {why}"));
            Ok(linked)
        }
    }
}

/// The extension modules, and the libraries they need.
///
/// # Errors
/// [`Stage::Io`] when one cannot be read, [`Stage::Transform`] when it is damaged.
pub(crate) fn extensions(
    site_packages: &SitePackages,
    strip: bool,
) -> Result<Vec<Extension>, Error> {
    let libraries = site_packages.report.libraries.par_iter();
    libraries
        .map(|library| {
            let wasm = site_packages.read(library)?;
            let wasm = match strip {
                true => strip::stripped(&wasm).map_err(not_understood)?,
                false => wasm,
            };
            Ok(Extension {
                library: Library {
                    name: library.name.clone(),
                    wasm,
                },
                openable: library.openable,
                shown: library.shown.clone(),
            })
        })
        .collect()
}

/// For passes over components that stumble over one.
pub(crate) fn not_understood(source: anyhow::Error) -> Error {
    Stage::Transform.error(Report::new("cannot rewrite the component").source(source))
}
