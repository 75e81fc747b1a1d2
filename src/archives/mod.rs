//! Bytes of an archive → the files in it. No file system, no Wasmtime.

#[cfg(feature = "wheels")]
pub(crate) mod archive;
pub(crate) mod layout;
#[cfg(feature = "wheels")]
pub(crate) mod lock;
#[cfg(feature = "wheels")]
pub(crate) mod markers;
pub(crate) mod pyc;
#[cfg(feature = "wheels")]
pub(crate) mod sdist;
#[cfg(feature = "wheels")]
pub(crate) mod wheel;
