//! What the last build in this OUT_DIR saw and wrote, so that a build with
//! nothing to do finds out from file metadata alone.
//!
//! Why metadata is enough: a key is a digest of contents, and a content is read
//! again as soon as its size, modification time or inode change time differ from
//! those it had *before* it was last read. A file changed within the clock's
//! granularity of that read could keep its times, so a file that was changed just
//! before it was read is always read again. Outputs are checked the same
//! way. This is the rule git uses for its index, and stricter than cargo's own,
//! which looks at modification times only.

use crate::artifacts::Artifacts;
use crate::cargo::metadata::{Consumer, Graph};
use crate::inputs::states::FileState;
use crate::store::digest::Digest;
use crate::store::files::{self, Meta};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The file's content. Anything unexpected reads as an empty stamp: it only
/// saves work.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The build of this crate that wrote it.
    build: String,
    /// The consumer, by the digest of its manifest.
    consumer: Option<(String, Consumer)>,
    /// The graph, by the digest of manifest, lock file and target.
    graph: Option<(String, Graph)>,
    /// Input files and their digests.
    pub(crate) files: Vec<FileState>,
    /// The last finished build.
    done: Option<Done>,
    /// Whether it differs from what is stored.
    #[serde(skip)]
    changed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Done {
    /// Digest of the request: configuration, epoch, input paths.
    request: String,
    /// Outputs as they were left.
    outputs: Vec<(PathBuf, Meta)>,
    artifacts: Artifacts,
}

impl Stamp {
    pub(crate) fn load(path: &Path) -> Self {
        let stamp: Option<Self> = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        stamp
            .filter(|stamp| stamp.build == crate::build::BUILD)
            .unwrap_or_default()
    }

    /// Stores the stamp if it changed, without the digests of files that were too
    /// young to be trusted. Failing to only costs time in the next build.
    pub(crate) fn store(&mut self, path: &Path) {
        if !self.changed {
            return;
        }
        self.build = crate::build::BUILD.to_owned();
        self.files.retain(|file| file.settled);
        if let Ok(bytes) = serde_json::to_vec(self) {
            let _ = files::publish(path, &[&bytes]);
        }
    }

    /// The consumer read from a manifest with this digest.
    pub(crate) fn consumer(&self, manifest: Digest) -> Option<Consumer> {
        let (key, consumer) = self.consumer.as_ref()?;
        (*key == manifest.to_string()).then(|| consumer.clone())
    }

    pub(crate) fn set_consumer(&mut self, manifest: Digest, consumer: Consumer) {
        let consumer = Some((manifest.to_string(), consumer));
        self.changed |= self.consumer != consumer;
        self.consumer = consumer;
    }

    /// The graph read under this key, if its packages are still there.
    pub(crate) fn graph(&self, key: Digest) -> Option<Graph> {
        let (known, graph) = self.graph.as_ref()?;
        let present = graph
            .eryx
            .iter()
            .chain(&graph.runtimes)
            .all(|package| package.dir.is_dir());
        (*known == key.to_string() && present).then(|| graph.clone())
    }

    pub(crate) fn set_graph(&mut self, key: Digest, graph: Graph) {
        self.graph = Some((key.to_string(), graph));
        self.changed = true;
    }

    /// The artifacts of the last build, if the request is the same, every input
    /// looks the same and every output is as it was left.
    pub(crate) fn unchanged(&self, request: Digest, files: &[PathBuf]) -> Option<Artifacts> {
        let done = self.done.as_ref()?;
        let same = done.request == request.to_string()
            && files.len() == self.files.len()
            && files
                .iter()
                .zip(&self.files)
                .all(|(path, file)| *path == file.path && is(path, &file.meta))
            && done.outputs.iter().all(|(path, meta)| is(path, meta));
        same.then(|| done.artifacts.clone())
    }

    /// The files the last build wrote.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Path> {
        let files = self.done.iter().flat_map(|done| &done.artifacts.files);
        files.map(|file| file.path.as_path())
    }

    pub(crate) fn set_done(&mut self, request: Digest, outputs: &[PathBuf], artifacts: &Artifacts) {
        let outputs: Result<Vec<_>, _> = outputs
            .iter()
            .map(|path| Meta::of(path).map(|meta| (path.clone(), meta)))
            .collect();
        self.changed = true;
        self.done = outputs.ok().map(|outputs| Done {
            request: request.to_string(),
            outputs,
            artifacts: artifacts.clone(),
        });
    }
}

fn is(path: &Path, expected: &Meta) -> bool {
    Meta::of(path).is_ok_and(|meta| meta == *expected)
}
