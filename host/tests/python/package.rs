//! Where cargo keeps the runtimes.

use std::path::{Path, PathBuf};

/// The folder of that version of eryx-runtime, which this workspace locks.
pub fn folder(version: &str) -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
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
    let mut packages = metadata.packages.iter();
    let package = packages
        .find(|p| p.name.as_str() == "eryx-runtime" && p.version.to_string() == version)
        .unwrap();
    package.manifest_path.parent().unwrap().into()
}
