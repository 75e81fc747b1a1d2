//! A build in a process of its own: the test binary, started again.
//!
//! Every file that uses this has an ignored test `child` that calls [`child`].

#![allow(dead_code, reason = "each test uses its part")]

use eryx_preinit_build::{Builder, CompilerChoice};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// What to build, and around it what.
#[derive(Clone)]
pub struct Build {
    pub runtime: PathBuf,
    pub out: PathBuf,
    pub cache: PathBuf,
    pub site_packages: Option<PathBuf>,
    /// Whether native code is made too, by the compiler that is quickest.
    pub native: bool,
    pub imports: Vec<&'static str>,
    /// Shell commands in front of it: `umask 077`.
    pub shell: String,
    pub variables: Vec<(&'static str, String)>,
    /// The user it runs as, where only root may choose.
    pub user: Option<u32>,
    /// The test binary, unless it is this one.
    pub binary: Option<PathBuf>,
}

impl Build {
    pub fn new(runtime: &Path, folder: &Path) -> Self {
        Self {
            runtime: runtime.to_owned(),
            out: folder.join("out"),
            cache: folder.join("cache"),
            site_packages: None,
            native: false,
            imports: vec!["json"],
            shell: ":".to_owned(),
            variables: Vec::new(),
            user: None,
            binary: None,
        }
    }

    /// Starts it, its output piped.
    pub fn start(&self) -> Child {
        std::fs::create_dir_all(&self.out).unwrap();
        let mut command = Command::new("sh");
        let binary = self.binary.clone();
        command
            .args(["-c", &format!("{}; exec \"$0\" \"$@\"", self.shell)])
            .arg(binary.unwrap_or_else(|| std::env::current_exe().unwrap()))
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env("CHILD_RUNTIME", &self.runtime)
            .env("CHILD_OUT", &self.out)
            .env("CHILD_CACHE", &self.cache)
            .env("CHILD_IMPORTS", self.imports.join(","))
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(folder) = &self.site_packages {
            command.env("CHILD_SITE_PACKAGES", folder);
        }
        if self.native {
            command.env("CHILD_NATIVE", "winch");
        }
        #[cfg(unix)]
        if let Some(user) = self.user {
            use std::os::unix::process::CommandExt;
            command.uid(user).gid(user);
        }
        command.spawn().unwrap()
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ended {
        Ended::of(self.start())
    }
}

/// How a build ended.
pub struct Ended {
    /// SHA-256 of the snapshot, and whether it came from the cache; or the report.
    pub result: Result<(String, bool), String>,
}

impl Ended {
    pub fn of(child: Child) -> Self {
        let Output { stdout, stderr, .. } = child.wait_with_output().unwrap();
        let stdout = String::from_utf8_lossy(&stdout);
        let said = |word: &str| stdout.find(word).map(|at| &stdout[at + word.len()..]);
        let result = if let Some(built) = said("CHILD BUILT ") {
            let mut words = built.split_whitespace();
            let sha256 = words.next().unwrap().to_owned();
            Ok((sha256, words.next() == Some("true")))
        } else {
            let stderr = String::from_utf8_lossy(&stderr);
            Err(said("CHILD FAILED ").map_or(format!("{stdout}{stderr}"), str::to_owned))
        };
        Self { result }
    }

    #[track_caller]
    pub fn built(self) -> (String, bool) {
        self.result
            .unwrap_or_else(|report| panic!("it failed: {report}"))
    }

    #[track_caller]
    pub fn failed(self) -> String {
        self.result.expect_err("it built")
    }
}

#[expect(clippy::disallowed_methods, reason = "set by `Build::start`")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the new process does.
pub fn child() {
    let Some(runtime) = variable("CHILD_RUNTIME") else {
        println!("nothing to do: the other tests start this in a process of its own");
        return;
    };
    let mut builder = Builder::new(variable("CHILD_OUT").unwrap(), runtime);
    builder.config.cache_dir = variable("CHILD_CACHE").map(PathBuf::from);
    builder.config.site_packages = variable("CHILD_SITE_PACKAGES").map(PathBuf::from);
    let imports = variable("CHILD_IMPORTS").unwrap();
    builder.config.imports = imports.split(',').map(str::to_owned).collect();
    if variable("CHILD_NATIVE").is_some() {
        let precompile = builder.config.precompile.get_or_insert_default();
        precompile.compiler = CompilerChoice::Winch;
    }
    builder.progress(|line| eprintln!("{line}"));
    match builder.build() {
        Ok(artifacts) => {
            let wasm = artifacts.component;
            println!("CHILD BUILT {} {}", wasm.sha256, wasm.cached);
        }
        Err(error) => println!("CHILD FAILED {error:?}"),
    }
}
