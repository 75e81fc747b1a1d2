//! Runs the Python that [`eryx-preinit-build`] started while the program was compiled.
//!
//! ```toml
//! [package.metadata.eryx]
//! imports = ["json", "re"]
//! precompile = true
//!
//! [build-dependencies]
//! eryx-preinit-build = "0.2"
//!
//! [dependencies]
//! eryx-preinit = "0.2"
//! ```
//!
//! ```no_run
//! # // Documentation has no build script, whose files the real `python!` includes.
//! # mod eryx_preinit {
//! #     macro_rules! python {
//! #         () => { ::eryx_preinit::Python::from_wasm(b"".as_slice()) };
//! #     }
//! #     pub(crate) use python;
//! #     pub use ::eryx_preinit::Error;
//! # }
//! // build.rs: fn main() -> Result<(), eryx_preinit_build::Error> { eryx_preinit_build::run().map(drop) }
//! #[tokio::main]
//! async fn main() -> Result<(), eryx_preinit::Error> {
//!     let python = eryx_preinit::python!()?;
//!     let mut sandbox = python.sandbox().memory_limit(64 << 20).build().await?;
//!     let output = sandbox.execute("print(6 * 7)").await?;
//!     print!("{}", output.stdout);
//!     Ok(())
//! }
//! ```
//!
//! # The parts
//!
//! * [`Snapshot`]: Python as the build left it, and how it is to be loaded.
//! * [`Python`]: loaded and linked. One for each program; cheap to clone, shared
//!   between threads.
//! * [`Sandbox`]: one instance of it, with memory, files and limits of its own, made in
//!   about a millisecond by [`Python::sandbox`].
//! * [`Sandbox::execute`]: runs code in it, any number of times. Names stay defined.
//!
//! A sandbox sees the standard library and the packages of the build, read-only, and
//! nothing else: no other files, no network, no environment, no input. What more it may
//! have, [`SandboxBuilder`] gives.
//!
//! # Without an async runtime
//!
//! [`SandboxBuilder::build_blocking`] and [`Sandbox::execute_blocking`] need none.
//!
//! # Limits
//!
//! | of | set by | beyond it |
//! |---|---|---|
//! | memory | [`memory_limit`](SandboxBuilder::memory_limit) | `MemoryError` in Python; [`Error::MemoryLimit`] if the code ends with it |
//! | time of an execution | [`time_limit`](SandboxBuilder::time_limit) | [`Error::TimeLimit`] |
//! | instructions of an execution | [`fuel_limit`](SandboxBuilder::fuel_limit) | [`Error::FuelLimit`] |
//! | output of an execution | [`output_limit`](SandboxBuilder::output_limit) | [`Error::OutputLimit`] |
//!
//! Limits of time and of fuel need code that was compiled for them: set
//! `epoch-interruption = true` or `consume-fuel = true` in
//! `[package.metadata.eryx.precompile]`.
//!
//! # Nothing of Wasmtime is hidden
//!
//! [`Python::engine`], [`Python::component`] and [`Python::instance_pre`],
//! [`Sandbox::store_mut`] and [`Sandbox::instance`] give what Wasmtime works with, also
//! to what its `bindgen!` generates. [`Snapshot::linker`] defines host functions, and
//! [`Snapshot::config`] changes the engine's settings. [`wasmtime`] and
//! [`wasmtime_wasi`] are the crates in use.
//!
//! [`eryx-preinit-build`]: https://docs.rs/eryx-preinit-build

// The first example has a module of this crate's name.
#![doc(test(no_crate_inject))]
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod answer;
mod blocking;
mod builder;
mod callback;
mod clock;
#[doc(hidden)]
pub mod dependencies;
mod error;
mod export;
mod host;
mod imports;
mod limits;
mod network;
mod output;
mod pool;
mod python;
mod sandbox;
mod snapshot;

pub use builder::SandboxBuilder;
pub use callback::Callback;
pub use error::Error;
pub use host::Host;
pub use output::{Output, Stream};
pub use pool::Pool;
pub use python::Python;
pub use sandbox::Sandbox;
pub use serde_json::{Value, json};
pub use snapshot::{Generated, Snapshot};
pub use wasmtime;
pub use wasmtime_wasi;

/// What the build script left, as a [`Snapshot`] that is still to be loaded.
///
/// `snapshot!()` has the native code in the program itself. `snapshot!(file: PATH)`, an
/// unsafe expression, maps a copy of the file `ERYX_PYTHON_CWASM` at run time, as
/// [`Snapshot::from_cwasm_file`] does, and the program does not contain it. Of a build
/// script with several snapshots or outputs, `snapshot!("web")` and `snapshot!("web", file: PATH)` give
/// that of `web.wasm`.
///
/// The build needs `precompile = true`, or `compress = true`: a component that is compiled
/// in seconds when it is loaded. What is compressed needs the feature `zstd` of this crate. The folders of the standard library and of the
/// packages are those of the build, on the machine that built: see [`Snapshot::stdlib`]
/// for programs that are moved.
#[macro_export]
macro_rules! snapshot {
    () => {
        $crate::snapshot!("python")
    };
    (file: $path:expr) => {
        $crate::snapshot!("python", file: $path)
    };
    ($name:literal) => {{
        $crate::__generated!($name);
        $crate::Snapshot::generated($crate::__settings!(), generated::python::load)
            .stdlib(generated::python::STDLIB)
            .site_packages(generated::python::SITE_PACKAGES)
    }};
    ($name:literal, file: $path:expr) => {{
        $crate::__generated!($name);
        let load = generated::python::load_file;
        $crate::Snapshot::generated_file($crate::__settings!(), load, $path)
            .stdlib(generated::python::STDLIB)
            .site_packages(generated::python::SITE_PACKAGES)
    }};
}

/// What the build script left, loaded: a `Result<Python, Error>`.
///
/// Short for `snapshot!().load()`, and `python!("web")` for `snapshot!("web").load()`.
/// Call it once in a program and clone what it gives: every mention of it puts the code
/// into the program again.
#[macro_export]
macro_rules! python {
    ($($name:literal)?) => {
        $crate::snapshot!($($name)?).load()
    };
}

/// The generated file, which finds this crate's Wasmtime around it.
#[doc(hidden)]
#[macro_export]
macro_rules! __generated {
    ($name:literal) => {
        mod generated {
            #[allow(unused_imports)]
            pub use $crate::dependencies::*;
            include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
        }
    };
}

/// What it says.
#[doc(hidden)]
#[macro_export]
macro_rules! __settings {
    () => {
        $crate::Generated {
            config: generated::python::config,
            epoch_interruption: generated::python::EPOCH_INTERRUPTION,
            consume_fuel: generated::python::CONSUME_FUEL,
        }
    };
}
