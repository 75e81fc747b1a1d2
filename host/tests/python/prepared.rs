//! Python of each runtime, prepared once for all tests.

use crate::package;
use eryx_preinit::{Pool, Python, Snapshot};
use eryx_preinit_build::{Builder, CompilerChoice, Precompile};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The oldest runtime, and the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    V0_5,
    V0_14,
}

pub const BOTH: [Runtime; 2] = [Runtime::V0_5, Runtime::V0_14];

impl Runtime {
    fn version(self) -> &'static str {
        match self {
            Self::V0_5 => "0.5.0",
            Self::V0_14 => "0.14.0",
        }
    }

    /// Loaded once, and shared by all tests that need nothing special.
    pub fn python(self) -> &'static Python {
        static PYTHONS: [OnceLock<Python>; 2] = [const { OnceLock::new() }; 2];
        PYTHONS[self as usize].get_or_init(|| self.snapshot().load().unwrap())
    }

    /// With places for so many sandboxes.
    pub fn pooled(self, sandboxes: u32) -> Python {
        self.snapshot().pool(Pool::new(sandboxes)).load().unwrap()
    }

    /// Compiled for limits of time and of fuel.
    pub fn snapshot(self) -> Snapshot {
        let built = self.built(true);
        // SAFETY: the build wrote the file, and nothing else writes there.
        let snapshot = unsafe { Snapshot::from_cwasm_file(&built.native) };
        snapshot.stdlib(&built.stdlib)
    }

    /// Compiled for no limits.
    pub fn unlimited(self) -> Snapshot {
        let built = self.built(false);
        // SAFETY: as above.
        let snapshot = unsafe { Snapshot::from_cwasm_file(&built.native) };
        snapshot.stdlib(&built.stdlib)
    }

    /// The file with the code for no limits.
    pub fn native(self) -> &'static Path {
        &self.built(false).native
    }

    /// The folder that goes to /python-stdlib.
    pub fn stdlib(self) -> &'static Path {
        &self.built(true).stdlib
    }

    fn built(self, limits: bool) -> &'static Built {
        static BUILT: [OnceLock<Built>; 4] = [const { OnceLock::new() }; 4];
        BUILT[2 * self as usize + usize::from(limits)].get_or_init(|| {
            // Builds wait for futures themselves: not on a thread of a runtime.
            let built = std::thread::spawn(move || build(self.version(), limits));
            built.join().unwrap()
        })
    }
}

struct Built {
    native: PathBuf,
    stdlib: PathBuf,
}

/// Single-pass code, so that it takes seconds at opt-level 0.
fn build(version: &str, limits: bool) -> Built {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let out = folder.join(format!("{version}-{limits}"));
    std::fs::create_dir_all(&out).unwrap();
    let mut builder = Builder::new(out, package::folder(version));
    builder.config.imports = ["asyncio", "json", "os", "time"].map(str::to_owned).into();
    builder.config.cache_dir = Some(folder.join("cache"));
    let mut precompile = Precompile::default();
    precompile.compiler = CompilerChoice::Winch;
    precompile.epoch_interruption = limits;
    precompile.consume_fuel = limits;
    builder.config.precompile = Some(precompile);
    let artifacts = builder.build().unwrap();
    Built {
        native: artifacts.native.unwrap().path,
        stdlib: artifacts.stdlib.unwrap(),
    }
}
