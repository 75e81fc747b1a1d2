//! What was found while a tree was made, and how findings are listed.

use crate::error::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was found while the tree was made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct TreeReport {
    /// In link order.
    pub(crate) libraries: Vec<LinkedLibrary>,
    /// For the person who builds.
    pub(crate) warnings: Vec<String>,
    /// Those of them that say how the RECORD of a wheel is not exact.
    pub(crate) records: Vec<String>,
    /// For verbose output.
    pub(crate) notes: Vec<String>,
    /// Extension modules that are there but for another platform, and what they
    /// are, by module name.
    pub(crate) foreign: BTreeMap<String, String>,
}

/// A library to link behind CPython's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LinkedLibrary {
    /// What it is linked as: the path that CPython opens, or the soname by which
    /// others need it.
    pub(crate) name: String,
    /// Whether CPython opens it as an extension module.
    pub(crate) openable: bool,
    /// What it is called in reports: `extensions[0] (…)`.
    pub(crate) shown: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub(crate) digest: String,
    /// Where it is, below the staged folder.
    pub(crate) file: String,
}

/// `report` with the findings as notes.
pub(crate) fn listed(report: Report, findings: Vec<String>) -> Report {
    findings.into_iter().fold(report, Report::note)
}
