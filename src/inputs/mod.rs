//! What is read: where it lies, and what it contains.

pub(crate) mod locate;
#[cfg(feature = "wheels")]
pub(crate) mod locked;
pub(crate) mod project;
pub(crate) mod read;
pub(crate) mod runtime;
pub(crate) mod sources;
pub(crate) mod stamp;
pub(crate) mod states;
pub(crate) mod stdlib;
pub(crate) mod walk;
pub(crate) mod watch;
