//! The runtimes the tests link, and the cache they share.

#![allow(dead_code, reason = "each test uses its part")]

use eryx_preinit_build::Builder;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The eryx-runtime package of that version, from this workspace's lock file.
pub fn folder(version: &str) -> PathBuf {
    static FOLDERS: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let folders = FOLDERS.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let metadata = |options: &[&str]| {
            cargo_metadata::MetadataCommand::new()
                .cargo_path(env!("CARGO"))
                .manifest_path(&manifest)
                .other_options(options.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
                .exec()
        };
        // They are never compiled, so `cargo test` alone does not download them.
        let metadata = metadata(&["--locked", "--offline"])
            .or_else(|_| metadata(&["--locked"]))
            .unwrap();
        let packages = metadata.packages.iter();
        packages
            .filter(|package| package.name.as_str() == "eryx-runtime")
            .map(|package| {
                let folder = package.manifest_path.parent().unwrap();
                (package.version.to_string(), folder.into())
            })
            .collect()
    });
    folders[version].clone()
}

/// Linked components and code are made once for all tests. Snapshots that an earlier run
/// of a test program left are not there: its tests run Python.
pub fn cache() -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    let cache = CACHE.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        for kind in ["snapshot", "native", "reuse", "verified"] {
            let _ = std::fs::remove_dir_all(cache.join(kind));
        }
        cache
    });
    cache.clone()
}

pub fn builder(out: &Path, imports: &[&str]) -> Builder {
    let mut builder = Builder::new(out, folder("0.14.0"));
    builder.config.imports = imports.iter().map(|&s| s.to_owned()).collect();
    builder.config.cache_dir = Some(cache());
    builder
}
