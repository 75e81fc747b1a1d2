//! Which build of this crate this is.

/// This crate's version, and a digest of its sources: what other ones made is not
/// taken for what these make.
pub(crate) const BUILD: &str =
    concat!(env!("CARGO_PKG_VERSION"), "+", env!("ERYX_PREINIT_SOURCES"));
