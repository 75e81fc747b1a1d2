//! Code for the processor that the program runs on.

pub(crate) mod artifact;
pub(crate) mod compile;
pub(crate) mod loader;
pub(crate) mod reuse;
pub(crate) mod target;
