//! A consumer package in a temporary folder, built by a real cargo.
//!
//! All of them share one target folder, so that Wasmtime is compiled once, and
//! one cache, so that Python's code is.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub struct Project {
    dir: tempfile::TempDir,
    name: String,
    _alone: MutexGuard<'static, ()>,
}

/// One project at a time: cargo has a lock on the shared folder anyway, and what one
/// test builds with other variables (`DOCS_RS`) would not be fresh for the next.
static ALONE: Mutex<()> = Mutex::new(());

pub const MAIN: &str = r#"
static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));

fn main() {
    println!("bytes {}", PYTHON.len());
    println!("path {}", env!("ERYX_PYTHON_WASM"));
    println!("sha256 {}", env!("ERYX_PYTHON_WASM_SHA256"));
    println!("stdlib {}", env!("ERYX_PYTHON_STDLIB"));
    println!("site-packages {}", env!("ERYX_SITE_PACKAGES"));
}
"#;

pub const BUILD: &str = "fn main() -> Result<(), eryx_preinit_build::Error> {
    eryx_preinit_build::run()?;
    Ok(())
}
";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn shared(what: &str) -> PathBuf {
    root().join("target").join("consumers").join(what)
}

/// This crate as packages in a registry depend on it. With the features of the tests:
/// others would compile everything once more.
pub const FROM_REGISTRY: &str = if cfg!(feature = "wheels") {
    concat!(
        "{ version = \"",
        env!("CARGO_PKG_VERSION"),
        "\", features = [\"wheels\"] }\n"
    )
} else {
    concat!("\"", env!("CARGO_PKG_VERSION"), "\"\n")
};

/// A `--config` by which this crate is the one of the registry.
pub fn patch() -> String {
    format!(
        "patch.crates-io.eryx-preinit-build.path={:?}",
        root().to_str().unwrap()
    )
}

/// The folder of the newest runtime that this workspace locks.
pub fn runtime() -> PathBuf {
    let metadata = cargo_metadata::MetadataCommand::new()
        .cargo_path(env!("CARGO"))
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--locked".to_owned(), "--offline".to_owned()])
        .exec()
        .unwrap();
    let mut packages = metadata.packages.iter();
    let runtime = packages
        .find(|p| p.name.as_str() == "eryx-runtime" && p.version.minor == 14)
        .unwrap();
    runtime.manifest_path.parent().unwrap().into()
}

/// The cache of all projects. Linked components and code are kept between runs of the
/// tests; snapshots are not, so that these tests run Python.
pub fn cache() -> PathBuf {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    let cache = CACHE.get_or_init(|| {
        let cache = shared("cache");
        for kind in ["snapshot", "native", "reuse", "verified"] {
            let _ = std::fs::remove_dir_all(cache.join(kind));
        }
        // Nor does what a script wrote there count as done.
        let built = std::fs::read_dir(shared("target").join("debug/build"));
        for folder in built.into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir_all(folder.path().join("out/eryx-preinit/stamps"));
        }
        cache
    });
    cache.clone()
}

/// The `[dependencies]` of a host on plain Wasmtime, in the versions and with the features
/// that let it share what the build side compiles.
pub const HOST_DEPENDENCIES: &str = r#"[dependencies]
anyhow = "1"
tokio = { version = "1", features = ["rt", "time"] }
wasmtime = { version = "48", default-features = false, features = ["runtime", "std", "async", "anyhow", "component-model", "component-model-async", "cranelift", "winch", "parallel-compilation", "pooling-allocator"] }
wasmtime-wasi = { version = "48", default-features = false, features = ["p2"] }

# For the features that the build side turns on in them.
semver = "1"
serde = "1"
serde_core = "1"
wasm-encoder = { version = "0.254", default-features = false, features = ["std", "component-model", "wasmparser"] }
wasmparser = { version = "0.254", default-features = false, features = ["hash-collections"] }
"#;

impl Project {
    /// A package called `name`, in a folder called `folder`, with `block` as its
    /// metadata.
    pub fn new(folder: &str, name: &str, block: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let project = Self {
            name: name.to_owned(),
            dir,
            _alone: ALONE.lock().unwrap_or_else(PoisonError::into_inner),
        };
        // The temporary folder's own name is random; what is tested is below.
        std::fs::create_dir_all(project.dir.path().join(folder)).unwrap();
        std::fs::write(project.dir.path().join(".folder"), folder).unwrap();
        std::fs::create_dir(project.path().join("src")).unwrap();
        project.write("src/main.rs", MAIN);
        project.write("build.rs", BUILD);
        project.block(block);
        // The versions the workspace was tested with, fetched already.
        std::fs::copy(root().join("Cargo.lock"), project.path().join("Cargo.lock")).unwrap();
        project
    }

    pub fn path(&self) -> PathBuf {
        let folder = std::fs::read_to_string(self.dir.path().join(".folder")).unwrap();
        self.dir.path().join(folder)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Makes a file look new.
    pub fn touch(&self, path: &str) {
        let file = std::fs::File::options()
            .write(true)
            .open(self.path().join(path));
        file.unwrap()
            .set_modified(std::time::SystemTime::now())
            .unwrap();
    }

    /// Writes Cargo.toml with another metadata block.
    pub fn block(&self, block: &str) {
        // TOML's basic strings escape as JSON does.
        let crate_path = format!("{:?}", root().to_str().unwrap());
        // The features of the tests: others would compile everything once more.
        let features = if cfg!(feature = "wheels") {
            ", features = [\"wheels\"]"
        } else {
            ""
        };
        self.write(
            "Cargo.toml",
            &format!(
                "[workspace]\n\n[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
                 {block}\n\n[build-dependencies]\neryx-preinit-build = {{ path = {crate_path}{features} }}\n",
                self.name
            ),
        );
    }

    /// `cargo ARGS`, offline, with the shared target folder and cache.
    pub fn cargo(&self, args: &[&str], vars: &[(&str, &str)]) -> Ran {
        self.run(Command::new(env!("CARGO")), args, vars)
    }

    /// The OUT_DIR of [`Project::script`].
    pub fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// The package's compiled build script, without a cargo around it, and with few
    /// variables but these.
    pub fn script(&self, vars: &[(&str, &str)]) -> Ran {
        let prefix = format!("{}-", self.name);
        let built = std::fs::read_dir(shared("target").join("debug/build")).unwrap();
        let newest = built
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path().join("build-script-build"))
            .filter(|script| script.is_file())
            .max_by_key(|script| script.metadata().unwrap().modified().unwrap());
        std::fs::create_dir_all(self.out()).unwrap();
        let mut command = Command::new(newest.unwrap());
        command
            .env_clear()
            .current_dir(self.path())
            .env("PATH", "/usr/bin")
            .env("HOME", std::env::home_dir().unwrap())
            .env("CARGO_MANIFEST_DIR", self.path())
            .env("OUT_DIR", self.out())
            .env("PROFILE", "debug")
            .env("ERYX_PREINIT_CACHE_DIR", cache())
            .envs(vars.iter().copied());
        Ran(command.output().unwrap())
    }

    /// [`Project::cargo`] while nobody can write to the package's folder; `None`, and
    /// why, where that cannot be had.
    pub fn cargo_read_only(&self, args: &[&str]) -> Result<Ran, String> {
        // Permissions do not stop root, whom tests in containers run as.
        let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && \
                      cd \"$0\" && ! touch x 2> /dev/null && exec \"$@\"";
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c", script]);
        unshare.arg(self.path());
        let mut probe = Command::new("unshare");
        probe.args(["--mount", "--map-root-user", "sh", "-c", script]);
        probe.arg(self.path()).arg("true");
        match probe.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => return Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => return Err(format!("unshare: {error}")),
        }
        unshare.arg(env!("CARGO"));
        Ok(self.run(unshare, args, &[]))
    }

    fn run(&self, mut command: Command, args: &[&str], vars: &[(&str, &str)]) -> Ran {
        command
            .current_dir(self.path())
            .args(args)
            .arg("--offline")
            .env("CARGO_TARGET_DIR", shared("target"))
            .env("ERYX_PREINIT_CACHE_DIR", cache())
            // As build dependencies have it: what both sides use is compiled once.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("CARGO_PROFILE_DEV_OPT_LEVEL")
            .env_remove("DOCS_RS")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        for (name, value) in vars {
            command.env(name, value);
        }
        Ran(command.output().unwrap())
    }
}

pub struct Ran(Output);

impl Ran {
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.0.status.success(), "cargo failed:\n{}", self.stderr());
        self
    }

    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(
            !self.0.status.success(),
            "cargo succeeded:\n{}",
            self.stderr()
        );
        self
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The value printed behind `name` by the consumer.
    #[track_caller]
    pub fn value(&self, name: &str) -> String {
        let stdout = self.stdout();
        stdout
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")))
            .unwrap_or_else(|| panic!("no {name} in:\n{stdout}"))
            .to_owned()
    }
}
