//! What lies at /site-packages.

pub(crate) mod bytecode;
pub(crate) mod libraries;
#[cfg(feature = "wheels")]
pub(crate) mod requirements;
pub(crate) mod tree;
