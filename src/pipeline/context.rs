//! What every step of the pipeline may use.

use crate::config::Config;
use crate::log::Log;
use crate::store::cache::Cache;
use std::path::Path;
use std::sync::Mutex;

/// What every step of the pipeline may use: the request, the cache, and whom to tell.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) cache: Cache,
    /// This crate's own folder in OUT_DIR.
    pub(crate) folder: &'a Path,
    /// Held by the one build, of those that run side by side, which makes what the others
    /// may share: staged folders, the linked component and its code.
    pub(crate) turn: &'a Mutex<()>,
    pub(crate) epoch_seconds: u64,
    pub(crate) log: &'a Log,
}
