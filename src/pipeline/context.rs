//! What every step of the pipeline may use.

use crate::config::Config;
use crate::log::Log;
use crate::store::cache::Cache;
use std::path::Path;

/// What every step of the pipeline may use: the request, the cache, and whom to tell.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) cache: Cache,
    /// This crate's own folder in OUT_DIR.
    pub(crate) folder: &'a Path,
    pub(crate) epoch_seconds: u64,
    pub(crate) log: &'a Log,
}
