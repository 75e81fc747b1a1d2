//! The CPython that is linked.

/// The CPython this crate links, as its file names and wheel tags have it.
pub(crate) const PYTHON: (u32, u32) = (3, 14);

/// What CPython 3.14 for WASI puts first when it looks for an extension module.
pub(crate) const SUFFIX: &str = ".cpython-314-wasm32-wasi.so";

/// The function that makes the module `name`, whatever package it is in.
pub(crate) const INIT: &str = "PyInit_";
