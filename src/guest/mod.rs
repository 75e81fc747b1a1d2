//! Python runs: the engine, what the guest sees, and its snapshot.

pub(crate) mod accessors;
pub(crate) mod alarm;
pub(crate) mod bytecode;
pub(crate) mod clock;
pub(crate) mod diagnosis;
pub(crate) mod draws;
pub(crate) mod engine;
pub(crate) mod environment;
pub(crate) mod failure;
pub(crate) mod filesystem;
pub(crate) mod host;
pub(crate) mod instance;
pub(crate) mod limits;
pub(crate) mod linker;
pub(crate) mod output;
pub(crate) mod random;
pub(crate) mod reseed;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod scratch;
pub(crate) mod script;
pub(crate) mod snapshot;
pub(crate) mod stubs;
pub(crate) mod tracing;
pub(crate) mod user_code;
pub(crate) mod watch;
