//! Components and modules as bytes: bytes → bytes. No file system, no Wasmtime.

pub(crate) mod bodies;
pub(crate) mod callees;
pub(crate) mod complete;
pub(crate) mod dylink;
pub(crate) mod environ;
pub(crate) mod fuse;
pub(crate) mod image;
pub(crate) mod initialize;
pub(crate) mod link;
pub(crate) mod origins;
pub(crate) mod profile;
#[cfg(test)]
mod rewrite_tests;
pub(crate) mod sections;
pub(crate) mod strip;
pub(crate) mod validate;
