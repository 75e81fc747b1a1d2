//! Bytes of an archive → the files in it. No file system, no Wasmtime.

pub(crate) mod archive;
pub(crate) mod layout;
pub(crate) mod pyc;
pub(crate) mod sdist;
pub(crate) mod wheel;
