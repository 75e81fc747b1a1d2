//! Which build of this crate this is.

/// This crate's version, a digest of its sources, and its features: results of any other
/// build of this crate are never reused.
pub(crate) const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "+",
    env!("ERYX_PREINIT_SOURCES"),
    env!("ERYX_PREINIT_FEATURES"),
);
