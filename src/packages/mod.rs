//! What lies at /site-packages.

pub(crate) mod bytecode;
pub(crate) mod contents;
pub(crate) mod embed;
pub(crate) mod embed_list;
pub(crate) mod libraries;
pub(crate) mod merge;
pub(crate) mod namespace;
pub(crate) mod pth;
pub(crate) mod report;
#[cfg(feature = "wheels")]
pub(crate) mod requirements;
pub(crate) mod tree;
