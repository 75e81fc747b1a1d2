//! What the benches against the peer share: its imports, its run, its runtime.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What is imported before the snapshot.
pub const IMPORTS: [&str; 2] = ["json", "re"];

/// The peer's pre-initialised component.
pub fn pre_initialize(stdlib: &Path) -> Result<Vec<u8>> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(eryx_runtime::preinit::pre_initialize(stdlib, None, &IMPORTS, &[]))
}

/// The package folder of the runtime that both use.
pub fn runtime_folder() -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .exec()?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "eryx-runtime")
        .context("eryx-runtime in the graph")?;
    Ok(package.manifest_path.parent().context("a folder")?.into())
}
