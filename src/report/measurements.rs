//! What is found out only for a report.

use crate::guest::import_times::Measured;
use crate::packages::embed_list::Part;
use crate::wasm::origins::Origin;

/// What is found out only for a report. What could not be is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measurements {
    pub(crate) guest: Measured,
    /// What each library brought to the linked component.
    pub(crate) origins: Vec<Origin>,
    /// How large the archive of what Python may import is, if there is one.
    pub(crate) archive_bytes: Option<u64>,
    pub(crate) embedded: Vec<Part>,
    pub(crate) left_out: Vec<Part>,
    /// What could not be found out, and why.
    pub(crate) failed: Vec<String>,
}
