//! Build-script crate that leaves a *pre-initialised* Python in `OUT_DIR`.
//!
//! At compile time it links CPython for WASI, runs Python's start-up and your
//! imports once under Wasmtime, and writes the memory as it then is into a
//! component: `OUT_DIR/python.wasm`. At run time Python has already started.
//!
//! ```toml
//! [package.metadata.eryx]
//! imports = ["json", "re"]
//!
//! [build-dependencies]
//! eryx-preinit-build = "0.2"
//! ```
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), eryx_preinit_build::Error> {
//!     eryx_preinit_build::run()?;
//!     Ok(())
//! }
//! ```
//!
//! ```ignore
//! // main.rs
//! static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));
//! ```
//!
//! # What the program gets
//!
//! | at compile time | holds |
//! |---|---|
//! | `concat!(env!("OUT_DIR"), "/python.wasm")` | the component (name: `output`) |
//! | `env!("ERYX_PYTHON_WASM")` | its path |
//! | `env!("ERYX_PYTHON_WASM_SHA256")` | its SHA-256, 64 hexadecimal digits |
//! | `env!("ERYX_PYTHON_STDLIB")` | path of the standard library to mount at /python-stdlib |
//! | `env!("ERYX_SITE_PACKAGES")` | path of the packages to mount at /site-packages, or empty |
//!
//! With `precompile` also:
//!
//! | at compile time | holds |
//! |---|---|
//! | `include!(concat!(env!("OUT_DIR"), "/python.rs"))` | module `python`: native code, `config()`, `load()` |
//! | `concat!(env!("OUT_DIR"), "/python.cwasm")` | the native code |
//! | `env!("ERYX_PYTHON_CWASM")` | its path, or empty |
//! | `env!("ERYX_PYTHON_CWASM_SHA256")` | its SHA-256, or empty |
//!
//! # The pipeline
//!
//! [`Builder::build`] is a chain: each stage is a function from one value to the next, and
//! what it makes is kept under a key that covers all it depends on.
//!
//! ```text
//! locate ─► read ─► stage ─► link ─► snapshot ─► native ─► publish
//! ```
//!
//! `inputs` finds and reads the files, `packages` lays out /site-packages, `wasm` works on
//! components as bytes, `guest` runs Python, `native` makes code for the program, and
//! `store` keeps what was made. docs/how-it-works.md says what each stage does, and what
//! its key covers.
//!
//! # Features
//!
//! * `runtime` (default): lock `eryx-runtime` 0.14 and 0.5, for their files. They are never
//!   compiled.
//! * `all-arch`: native code for other architectures than the one that builds.
//! * `wheels`: read wheels and source distributions in `packages` and `extensions`.
//!
//! # Outside a build script
//!
//! [`Builder::new`] takes explicit paths and prints nothing; [`Builder::progress`] tells a
//! function what it does.

#![deny(missing_docs)]
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::too_many_lines, clippy::excessive_nesting))]
#![forbid(unsafe_op_in_unsafe_fn)]

mod archives;
mod artifacts;
mod build;
mod builder;
mod caller;
mod cargo;
mod config;
mod error;
mod guest;
mod inputs;
mod log;
mod native;
mod outputs;
mod packages;
mod pipeline;
mod python;
mod report;
mod side_by_side;
mod store;
#[cfg(test)]
mod testing;
mod wasm;

pub use artifacts::{Artifact, Artifacts};
pub use builder::Builder;
pub use config::{CompilerChoice, Config, CpuLevel, Embed, Extension, OptLevel, Precompile};
pub use error::{Error, Report, Stage};

/// As [`run`], and has the consumer's own `eryx` make native code of the snapshot.
///
/// `eryx` has to be in `[build-dependencies]`, with the feature `embedded` or `preinit`, in
/// the version that the program uses. Gives what [`run`] returns. In the program,
/// `include!(concat!(env!("OUT_DIR"), "/python.rs"))` brings `python::sandbox()`, an
/// `eryx::SandboxBuilder` with native code, standard library and packages.
///
/// ```ignore
/// // build.rs
/// fn main() -> Result<(), eryx_preinit_build::Error> {
///     eryx_preinit_build::run_with_eryx!().map(drop)
/// }
/// // main.rs
/// include!(concat!(env!("OUT_DIR"), "/python.rs"));
/// let sandbox = python::sandbox().build()?;
/// ```
#[macro_export]
macro_rules! run_with_eryx {
    () => {
        $crate::Builder::from_env().and_then(|mut builder| {
            builder
                .precompile_with_eryx(|wasm, target| {
                    ::eryx::PythonExecutor::precompile_with_target(
                        wasm,
                        ::core::option::Option::Some(target),
                    )
                })
                .build()
        })
    };
}

/// Builds what `[package.metadata.eryx]` asks for, with the tables of its `snapshots`, and
/// tells cargo about it.
///
/// Returns what was written. On failure nothing that an earlier build wrote is
/// touched; snapshots that do not fail are written all the same.
///
/// # Errors
/// An [`Error`] says at which [`Stage`]; its `Debug` is the report to show.
pub fn run() -> Result<Artifacts, Error> {
    Builder::from_env()?.build()
}
