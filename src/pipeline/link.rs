//! The step from libraries to one linked component.

use crate::error::{Error, Report, Stage};
use crate::inputs::locate::Inputs;
use crate::inputs::read::ReadInputs;
use crate::inputs::runtime;
use crate::packages::tree::SitePackages;
use crate::pipeline::context::Context;
use crate::store::cache::{Entry, EntryKind};
use crate::store::digest::{Blob, Digest};
use crate::wasm::fuse::{self, Fused};
use crate::wasm::link::{self, Extension, Library};
use crate::wasm::{strip, validate};
use rayon::prelude::*;

/// A linked component.
pub(crate) struct Linked {
    pub(crate) entry: Entry,
    key: Digest,
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
        cx.cache.store(EntryKind::Link, self.key, blob, findings);
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
    if let Some(entry) = cx.cache.find(EntryKind::Link, key) {
        cx.log.say("link: from the cache");
        return Ok(Linked { entry, key });
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
fn extensions(site_packages: &SitePackages, strip: bool) -> Result<Vec<Extension>, Error> {
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
