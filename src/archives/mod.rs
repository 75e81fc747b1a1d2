//! Bytes of an archive → the files in it; files of a project → what of them is installed.
//! No file system, no Wasmtime.

#[cfg(feature = "wheels")]
pub(crate) mod archive;
#[cfg(feature = "wheels")]
pub(crate) mod links;
pub(crate) mod listing;
#[cfg(feature = "wheels")]
pub(crate) mod lock;
#[cfg(feature = "wheels")]
pub(crate) mod markers;
pub(crate) mod project;
pub(crate) mod pyc;
#[cfg(feature = "wheels")]
pub(crate) mod record;
#[cfg(feature = "wheels")]
pub(crate) mod sdist;
#[cfg(feature = "wheels")]
pub(crate) mod unpack;
#[cfg(feature = "wheels")]
pub(crate) mod wheel;

/// What of an archive goes into site-packages.
#[cfg(feature = "wheels")]
#[derive(Debug, Default)]
pub(crate) struct Importable {
    /// As they lie in site-packages, sorted, each path once.
    pub(crate) files: Vec<archive::File>,
    /// What is not as it should be, and what was done about it.
    pub(crate) warnings: Vec<String>,
    /// How a wheel's RECORD differs from what is in it; one of the warnings.
    pub(crate) record: Option<String>,
    /// What is left out, for verbose output.
    pub(crate) notes: Vec<String>,
}
