//! Python runs: the engine, what the guest sees, and its snapshot.

pub(crate) mod clock;
pub(crate) mod diagnosis;
pub(crate) mod engine;
pub(crate) mod environment;
pub(crate) mod failure;
pub(crate) mod filesystem;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod limits;
pub(crate) mod output;
pub(crate) mod random;
pub(crate) mod reseed;
pub(crate) mod script;
pub(crate) mod snapshot;
pub(crate) mod stdlib;
pub(crate) mod stubs;
pub(crate) mod tracing;
