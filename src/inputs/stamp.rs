//! What the last build of an output saw and wrote, so that a build with nothing to do
//! finds out from file metadata alone.
//!
//! ```text
//! OUT_DIR/eryx-preinit/
//!   stamps/python.wasm.json   one for each output
//!   stale/                    outputs that the build script may not ask for any more
//! ```
//!
//! Why metadata is enough: a key is a digest of contents, and a content is read
//! again as soon as its size, modification time or inode change time differ from
//! those it had *before* it was last read. A file changed within the clock's
//! granularity of that read could keep its times, so a file that was changed just
//! before it was read is always read again. Outputs are checked the same
//! way. This is the rule git uses for its index, and stricter than cargo's own,
//! which looks at modification times only.

use crate::artifacts::Artifacts;
use crate::build::BUILD;
use crate::cargo::metadata::Graph;
use crate::inputs::states::FileState;
use crate::store::digest::Digest;
use crate::store::files::{self, FileStamp};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// This crate's own folder in OUT_DIR.
pub(crate) const FOLDER: &str = "eryx-preinit";
const STAMPS: &str = "stamps";
const STALE: &str = "stale";

/// The stamps of all outputs in one OUT_DIR.
pub(crate) struct Stamps {
    out_dir: PathBuf,
}

impl Stamps {
    pub(crate) fn of(out_dir: &Path) -> Self {
        Self {
            out_dir: out_dir.to_owned(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.out_dir.join(FOLDER).join(STAMPS)
    }

    fn path(&self, output: &str) -> PathBuf {
        self.folder().join(format!("{output}.json"))
    }

    /// The stamp of `output`, empty where there is none. What another output's build set
    /// aside is put back.
    pub(crate) fn load(&self, output: &str) -> Stamp {
        let stamp = Stamp::read(&self.path(output)).unwrap_or_default();
        for path in stamp.written() {
            if let Some(name) = path.file_name()
                && !path.exists()
            {
                let _ = fs::rename(self.stale().join(name), path);
            }
        }
        stamp
    }

    fn all(&self) -> impl Iterator<Item = (PathBuf, Stamp)> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some((entry.path(), Stamp::read(&entry.path())?)))
    }

    /// Stores the stamp of `output` if it changed, without the digests of files that
    /// were too young to be trusted. Failing to only costs time in the next build.
    pub(crate) fn store(&self, output: &str, stamp: &mut Stamp) {
        if !stamp.changed {
            return;
        }
        stamp.build = BUILD.to_owned();
        stamp.files.retain(|file| file.settled);
        if let Ok(bytes) = serde_json::to_vec(stamp) {
            let _ = fs::create_dir_all(self.folder());
            let _ = files::publish(&self.path(output), &[&bytes]);
        }
    }

    /// Sets aside what is none of `outputs` and a build script wrote when its manifest or its code was another
    /// one, as it may not ask for that any more. [`Stamps::load`] puts it back where it
    /// does.
    pub(crate) fn set_aside_others(&self, outputs: &[&str], generation: Digest) {
        let own: Vec<_> = outputs.iter().map(|output| self.path(output)).collect();
        for (path, stamp) in self.all() {
            if own.contains(&path) || stamp.generation == Some(generation.to_string()) {
                continue;
            }
            for file in stamp.written().filter(|file| file.is_file()) {
                let _ = fs::create_dir_all(self.stale());
                if let Some(name) = file.file_name() {
                    let _ = fs::rename(file, self.stale().join(name));
                }
            }
        }
    }

    fn stale(&self) -> PathBuf {
        self.out_dir.join(FOLDER).join(STALE)
    }

    /// The folders that some output's program mounts.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.all().flat_map(|(_, stamp)| stamp.folders).collect()
    }
}

/// The file's content. Anything unexpected reads as an empty stamp: it only
/// saves work.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The build of this crate that wrote it.
    build: String,
    /// Which manifest and code asked for it.
    generation: Option<String>,
    /// The graph, by the digest of manifest, lock file and target.
    graph: Option<(String, Graph)>,
    /// Input files and their digests.
    pub(crate) files: Vec<FileState>,
    /// Folders of this crate's own that the program mounts.
    folders: Vec<PathBuf>,
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
    outputs: Vec<(PathBuf, FileStamp)>,
    artifacts: Artifacts,
}

impl Stamp {
    fn read(path: &Path) -> Option<Self> {
        let bytes = fs::read(path).ok()?;
        let stamp: Self = serde_json::from_slice(&bytes).ok()?;
        (stamp.build == BUILD).then_some(stamp)
    }

    pub(crate) fn set_generation(&mut self, generation: Option<Digest>) {
        let generation = generation.map(|digest| digest.to_string());
        self.changed |= self.generation != generation;
        self.generation = generation;
    }

    /// The graph read under this key, if its packages are still there.
    pub(crate) fn graph(&self, key: Digest) -> Option<Graph> {
        let (known, graph) = self.graph.as_ref()?;
        let present = graph
            .eryx
            .iter()
            .chain(&graph.runtimes)
            // One whose version alone counted has none.
            .all(|package| package.dir.as_os_str().is_empty() || package.dir.is_dir());
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
        let artifacts = self.done.iter().flat_map(|done| done.artifacts.files());
        artifacts.map(|file| file.path.as_path())
    }

    /// Notes a finished build: `watched` are the files of this crate's own whose change
    /// means that it has to run again, `folders` those that the program mounts.
    pub(crate) fn set_done(
        &mut self,
        request: Digest,
        artifacts: &Artifacts,
        watched: &[PathBuf],
        folders: Vec<PathBuf>,
    ) {
        let outputs = artifacts.files().map(|file| &file.path).chain(watched);
        let outputs: Result<Vec<_>, _> = outputs
            .map(|path| FileStamp::of(path).map(|stamp| (path.clone(), stamp)))
            .collect();
        self.changed = true;
        self.folders = folders;
        self.done = outputs.ok().map(|outputs| Done {
            request: request.to_string(),
            outputs,
            artifacts: artifacts.clone(),
        });
    }
}

fn is(path: &Path, expected: &FileStamp) -> bool {
    FileStamp::of(path).is_ok_and(|stamp| stamp == *expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Artifact;
    use crate::inputs::states::states;
    use std::time::{Duration, SystemTime};

    /// OUT_DIR, with one input that nobody has touched for a while.
    struct Build {
        out_dir: tempfile::TempDir,
        input: PathBuf,
    }

    impl Build {
        fn new() -> Self {
            let out_dir = tempfile::tempdir().unwrap();
            let input = out_dir.path().join("input.py");
            fs::write(&input, "1").unwrap();
            Self { out_dir, input }
        }

        fn stamps(&self) -> Stamps {
            Stamps::of(self.out_dir.path())
        }

        fn output(&self, name: &str) -> PathBuf {
            self.out_dir.path().join(name)
        }

        /// Writes `output` as a build of this request and generation would.
        fn done(&self, output: &str, request: &str, generation: &str) {
            let path = self.output(output);
            fs::write(&path, output).unwrap();
            let mut stamp = self.stamps().load(output);
            stamp.set_generation(Some(digest(generation)));
            stamp.files = states(std::slice::from_ref(&self.input), &[]).unwrap();
            for file in &mut stamp.files {
                file.settled = true;
            }
            let folders = vec![self.output("stdlib")];
            stamp.set_done(digest(request), &artifacts(&path), &[], folders);
            self.stamps().store(output, &mut stamp);
            self.stamps()
                .set_aside_others(&[output], digest(generation));
        }

        fn unchanged(&self, output: &str, request: &str) -> bool {
            let stamp = self.stamps().load(output);
            let files = std::slice::from_ref(&self.input);
            stamp.unchanged(digest(request), files).is_some()
        }
    }

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn artifacts(path: &Path) -> Artifacts {
        Artifacts {
            warnings: vec!["a warning".to_owned()],
            ..Artifacts::of(Artifact {
                path: path.to_owned(),
                bytes: 1,
                sha256: String::new(),
                cached: false,
            })
        }
    }

    #[test]
    fn nothing_changed_means_request_inputs_and_outputs() {
        let build = Build::new();
        assert!(!build.unchanged("a.wasm", "r"));
        build.done("a.wasm", "r", "g");
        assert!(build.unchanged("a.wasm", "r"));
        assert!(!build.unchanged("a.wasm", "other"));
        assert!(!build.unchanged("b.wasm", "r"));
        fs::write(&build.input, "longer").unwrap();
        assert!(!build.unchanged("a.wasm", "r"), "another input");
        build.done("a.wasm", "r", "g");
        fs::write(build.output("a.wasm"), "longer than it was").unwrap();
        assert!(!build.unchanged("a.wasm", "r"), "another output");
        build.done("a.wasm", "r", "g");
        fs::remove_file(build.output("a.wasm")).unwrap();
        assert!(!build.unchanged("a.wasm", "r"), "no output");
    }

    #[test]
    fn an_input_that_comes_is_a_change() {
        let build = Build::new();
        build.done("a.wasm", "r", "g");
        let stamp = build.stamps().load("a.wasm");
        let other = build.output("other.py");
        let files = [build.input.clone(), other];
        assert!(stamp.unchanged(digest("r"), &files).is_none());
        assert!(stamp.unchanged(digest("r"), &files[..1]).is_some());
        assert!(stamp.unchanged(digest("r"), &[]).is_none());
    }

    #[test]
    fn a_file_that_was_written_just_now_is_read_again() {
        let build = Build::new();
        build.done("a.wasm", "r", "g");
        let mut stamp = build.stamps().load("a.wasm");
        stamp.files = states(std::slice::from_ref(&build.input), &[]).unwrap();
        stamp.changed = true;
        build.stamps().store("a.wasm", &mut stamp);
        assert!(build.stamps().load("a.wasm").files.is_empty());
        let file = fs::File::options().write(true).open(&build.input).unwrap();
        // What the file system notes of the change itself stays new on Unix.
        file.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
        assert!(!build.unchanged("a.wasm", "r"));
    }

    #[test]
    fn what_another_build_of_this_crate_wrote_is_no_stamp() {
        let build = Build::new();
        build.done("a.wasm", "r", "g");
        let path = build.stamps().path("a.wasm");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace(BUILD, "another")).unwrap();
        assert!(!build.unchanged("a.wasm", "r"));
        fs::write(&path, "no JSON").unwrap();
        assert!(!build.unchanged("a.wasm", "r"));
    }

    #[test]
    fn outputs_of_one_build_script_leave_each_other_alone() {
        let build = Build::new();
        build.done("a.wasm", "r", "g");
        build.done("b.wasm", "r", "g");
        build.done("a.wasm", "s", "g");
        assert!(build.unchanged("a.wasm", "s") && build.unchanged("b.wasm", "r"));
        assert_eq!(build.stamps().folders().len(), 2);
    }

    #[test]
    fn an_output_that_may_be_gone_is_set_aside_until_it_is_asked_for() {
        let build = Build::new();
        build.done("a.wasm", "r", "g");
        build.done("b.wasm", "r", "g");
        build.done("a.wasm", "r", "another manifest");
        assert!(build.output("a.wasm").exists());
        assert!(!build.output("b.wasm").exists());
        build.stamps().load("b.wasm");
        assert_eq!(fs::read(build.output("b.wasm")).unwrap(), b"b.wasm");
    }
}
