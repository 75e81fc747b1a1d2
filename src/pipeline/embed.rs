//! The step from the folders that Python sees to the archive that it imports from.
//!
//! Each folder has an archive of its own in the cache: an edited package does not have the
//! standard library compressed again, which is done while the libraries are linked.

use crate::config::{Config, Embed};
use crate::error::Error;
use crate::guest::environment::{SITE_PACKAGES, STDLIB};
use crate::inputs::read::ReadInputs;
use crate::packages::bytecode::Mount;
use crate::packages::embed::{self, Selection};
use crate::pipeline::context::Context;
use crate::pipeline::keys::{self, Keys};
use crate::store::cache::{EntryKind, Made};
use crate::store::digest::Digest;

/// The archives' keys, in the order of the folders; none where nothing is embedded.
pub(crate) fn keys(config: &Config, read: &ReadInputs) -> Vec<Digest> {
    if config.embed != Embed::All {
        return Vec::new();
    }
    let site_packages = read.digests.site_packages;
    let folders = [
        (STDLIB, Some(read.digests.stdlib)),
        (SITE_PACKAGES, site_packages),
    ];
    folders
        .into_iter()
        .filter_map(|(path, digest)| Some(key(config, read, path, digest?)))
        .collect()
}

fn key(config: &Config, read: &ReadInputs, guest_path: &str, folder: Digest) -> Digest {
    keys::embedded(
        read.digests.libraries,
        guest_path,
        folder,
        &selection(config),
    )
}

/// Makes the archive of the standard library, if it is not in the cache and there is
/// nothing left to compile in it.
///
/// # Errors
/// As [`archive`].
pub(crate) fn prepare(cx: &Context<'_>, read: &ReadInputs, stdlib: Mount<'_>) -> Result<(), Error> {
    if cx.config.embed != Embed::All {
        return Ok(());
    }
    let key = key(cx.config, read, STDLIB, read.digests.stdlib);
    // Others that want the same wait for it, and find it done.
    let _lock = cx.cache.lock(key);
    if cx.cache.has(EntryKind::Embedded, key) || !stdlib.without_bytecode()?.is_empty() {
        return Ok(());
    }
    part(cx, key, stdlib).map(drop)
}

/// The archive of the folders, each from the cache or made now; `None` where nothing is
/// embedded.
///
/// # Errors
/// `Stage::Io` when a file cannot be read; `Stage::Packages` for too many of them.
pub(crate) fn archive(
    cx: &Context<'_>,
    keys: &Keys,
    mounts: &[Mount<'_>],
) -> Result<Option<Vec<u8>>, Error> {
    let parts = keys.embedded.iter().zip(mounts);
    let parts = parts
        .map(|(&key, &mount)| part(cx, key, mount))
        .collect::<Result<Vec<_>, _>>()?;
    match parts.is_empty() {
        true => Ok(None),
        false => embed::joined(&parts).map(Some),
    }
}

fn part(cx: &Context<'_>, key: Digest, mount: Mount<'_>) -> Result<Vec<u8>, Error> {
    let entry = cx.cache.memo(EntryKind::Embedded, key, || {
        let make = || embed::archive(mount.folder, mount.guest_path, &selection(cx.config));
        cx.log.timed("embed", make).map(Made::from)
    })?;
    Ok(entry.blob.bytes)
}

fn selection(config: &Config) -> Selection<'_> {
    Selection {
        exclude: &config.embed_exclude,
        sources: config.embed_sources,
        compressed: config.compress.is_none(),
    }
}
