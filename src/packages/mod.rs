//! What lies at /site-packages.

pub(crate) mod bytecode;
pub(crate) mod libraries;
pub(crate) mod namespace;
pub(crate) mod pth;
#[cfg(feature = "wheels")]
pub(crate) mod requirements;
pub(crate) mod tree;
