//! What a build wrote.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a build wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifacts {
    /// The pre-initialised component; a placeholder build writes an empty one.
    pub component: Artifact,
    /// Its native code, where it was asked for.
    pub native: Option<Artifact>,
    /// The component, compressed with zstd, where `compress` asked for it.
    pub component_zst: Option<Artifact>,
    /// The native code, compressed with zstd, where `compress` asked for it.
    pub native_zst: Option<Artifact>,
    /// The file of Rust to `include!` that loads the native code, where this crate made
    /// that code, or else what is compressed.
    pub loader: Option<Artifact>,
    /// The page that says where time and bytes went, where `report` asked for it.
    pub report: Option<Artifact>,
    /// The same as JSON.
    pub report_json: Option<Artifact>,
    /// Folder with the standard library, to mount at /python-stdlib. `None` in a
    /// placeholder build.
    pub stdlib: Option<PathBuf>,
    /// Folder with the third-party packages, to mount at /site-packages, where
    /// there are any.
    pub site_packages: Option<PathBuf>,
    /// What a person should know about what was built, one sentence each: packages
    /// that are missing, extensions that are not linked, files left open. A build
    /// script prints them as warnings, whenever it runs.
    pub warnings: Vec<String>,
    /// Why only placeholders were written, if so: on docs.rs, or with
    /// `ERYX_PREINIT_SKIP` set.
    pub placeholder: Option<String>,
    /// What was written for the further snapshots of
    /// [`Builder::snapshots`](crate::Builder::snapshots), by their names.
    #[serde(skip)]
    pub snapshots: BTreeMap<String, Artifacts>,
}

/// One file a build wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifact {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its content, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Whether it came from the cache instead of running the pipeline.
    pub cached: bool,
}

impl Artifacts {
    /// The component alone.
    pub(crate) fn of(component: Artifact) -> Self {
        Self {
            component,
            native: None,
            component_zst: None,
            native_zst: None,
            loader: None,
            report: None,
            report_json: None,
            stdlib: None,
            site_packages: None,
            warnings: Vec::new(),
            placeholder: None,
            snapshots: BTreeMap::new(),
        }
    }

    /// Every file that was written, the component first; without those of `snapshots`.
    pub fn files(&self) -> impl Iterator<Item = &Artifact> {
        let component = std::iter::once(&self.component);
        let program = component.chain(&self.native).chain(&self.loader);
        let program = program.chain(&self.component_zst).chain(&self.native_zst);
        program.chain(&self.report).chain(&self.report_json)
    }
}
