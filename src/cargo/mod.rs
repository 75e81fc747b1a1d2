//! What cargo says, and what it is told.

pub(crate) mod advice;
pub(crate) mod directives;
pub(crate) mod environment;
pub(crate) mod invocation;
pub(crate) mod lock;
pub(crate) mod manifest;
pub(crate) mod metadata;
pub(crate) mod resolve;
