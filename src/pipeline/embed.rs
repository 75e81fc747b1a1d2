//! The step from the folders that Python sees to the archive that it imports from.

use crate::config::{Config, Embed};
use crate::error::Error;
use crate::guest::environment::{SITE_PACKAGES, STDLIB};
use crate::inputs::read::ReadInputs;
use crate::packages::embed::{self, Selection};
use crate::pipeline::context::Context;
use crate::pipeline::keys::{self, Keys};
use crate::store::cache::{EntryKind, Made};
use crate::store::digest::{Blob, Digest};
use std::path::Path;

/// The archive's key; `None` where nothing is embedded.
pub(crate) fn key(config: &Config, read: &ReadInputs) -> Option<Digest> {
    let digests = &read.digests;
    (config.embed == Embed::All).then(|| {
        keys::embedded(
            digests.libraries,
            digests.stdlib,
            digests.site_packages,
            &selection(config),
        )
    })
}

/// The archive of the two folders, from the cache or made now; `None` where nothing is
/// embedded.
///
/// # Errors
/// `Stage::Io` when a file cannot be read; `Stage::Packages` for too many of them.
pub(crate) fn archive(
    cx: &Context<'_>,
    keys: &Keys,
    stdlib: &Path,
    site_packages: Option<&Path>,
) -> Result<Option<Blob>, Error> {
    let Some(key) = keys.embedded else {
        return Ok(None);
    };
    let mut folders = vec![(stdlib, STDLIB)];
    folders.extend(site_packages.map(|folder| (folder, SITE_PACKAGES)));
    let entry = cx.cache.memo(EntryKind::Embedded, key, || {
        let make = || embed::archive(&folders, &selection(cx.config));
        cx.log.timed("embed", make).map(Made::from)
    })?;
    Ok(Some(entry.blob))
}

fn selection(config: &Config) -> Selection<'_> {
    Selection {
        exclude: &config.embed_exclude,
        sources: config.embed_sources,
    }
}
