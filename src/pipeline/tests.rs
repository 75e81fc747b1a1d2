//! What changes while it is read is not kept under the digest it had before.

use super::*;
use crate::config::{Config, Embed};
use crate::inputs::runtime;
use crate::inputs::sources::Sources;
use crate::inputs::stdlib::StdlibSource;
use crate::log::Log;
use crate::store::cache::Cache;
use std::fs;
use std::sync::{Mutex, mpsc};

/// A build whose inputs have been read: a folder as standard library, one of packages.
struct Build {
    dir: tempfile::TempDir,
    out: PathBuf,
    config: Config,
    inputs: Inputs,
    read: ReadInputs,
    turn: Mutex<()>,
    log: Log,
}

impl Build {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["stdlib/os.py", "site/a.py"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x = 1\n").unwrap();
        }
        let config = Config {
            site_packages: Some(dir.path().join("site")),
            embed: Embed::None,
            ..Config::default()
        };
        let libraries = runtime::library_files(&crate::testing::package("0.14.0")).unwrap();
        let mut inputs = Inputs {
            libraries,
            stdlib: StdlibSource::Folder(dir.path().join("stdlib")),
            packages: Sources::locate(&config, &dir.path().join("out")).unwrap(),
            setup: None,
            runtime_version: None,
            eryx: None,
            watched: Vec::new(),
        };
        // One that the test may write to.
        let library = &mut inputs.libraries[0].path;
        let copy = dir.path().join(library.file_name().unwrap());
        fs::copy(&library, &copy).unwrap();
        *library = copy;
        let read = ReadInputs::read(&inputs, &[], None).unwrap();
        Self {
            out: dir.path().join("out"),
            dir,
            config,
            inputs,
            read,
            turn: Mutex::default(),
            log: Log::default(),
        }
    }

    fn cx(&self) -> Context<'_> {
        let cache = self.dir.path().join("cache");
        let (troubles, _) = mpsc::channel();
        Context {
            config: &self.config,
            cache: Cache::open(&cache, "build", self.log.clone(), troubles).unwrap(),
            folder: &self.out,
            turn: &self.turn,
            epoch_seconds: 0,
            log: &self.log,
        }
    }

    fn write(&self, name: &str) {
        fs::write(self.dir.path().join(name), "y = 22\n").unwrap();
    }

    fn stage_stdlib(&self) -> Result<PathBuf, Error> {
        stage_stdlib(&self.cx(), &self.inputs, &self.read)
    }

    fn stage_packages(&self) -> Result<Packages, Error> {
        stage_packages(&self.cx(), &self.inputs, &self.read, &[])
    }

    fn link(&self) -> Result<Linked, Error> {
        let cx = self.cx();
        let key = link::key(&self.config, &self.read, &[]);
        link::link(&cx, &self.inputs, &self.read, &SitePackages::default(), key)
    }
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, said: &str) {
    let error = result.err().expect("it was kept").to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_folder_that_gets_a_file_while_it_is_copied_is_not_kept() {
    let build = Build::new();
    for name in ["stdlib/added.py", "site/added.py"] {
        build.write(name);
        match name.starts_with("stdlib") {
            true => refused(build.stage_stdlib(), "appeared"),
            false => refused(build.stage_packages(), "appeared"),
        }
        assert_eq!(fs::read_dir(&build.out).unwrap().count(), 0, "{name}");
        fs::remove_file(build.dir.path().join(name)).unwrap();
    }
    // What is there now is what was read.
    let stdlib = build.stage_stdlib().unwrap();
    assert!(stdlib.join("os.py").is_file() && !stdlib.join("added.py").exists());
}

#[test]
fn a_file_that_is_edited_while_it_is_copied_is_not_kept() {
    for name in ["stdlib/os.py", "site/a.py"] {
        let build = Build::new();
        build.write(name);
        match name.starts_with("stdlib") {
            true => refused(build.stage_stdlib(), "changed while"),
            false => refused(build.stage_packages(), "changed while"),
        }
        assert_eq!(fs::read_dir(&build.out).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn libraries_that_change_while_they_are_linked_are_not_kept() {
    let build = Build::new();
    let library = &build.inputs.libraries[0].path;
    let content = fs::read(library).unwrap();
    fs::remove_file(library).unwrap();
    fs::write(library, content).unwrap();
    refused(build.link(), "changed while");
}
