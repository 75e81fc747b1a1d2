//! What a report says. docs/report.md describes its shape as JSON.

use crate::config::{Config, Embed};
use crate::guest::import_times::{Import, Measured, Objects};
use crate::log::Step;
use crate::report::sizes::{self, Size};
use serde::Serialize;

/// Goes up when the shape of the JSON changes for those who read it.
const VERSION: u32 = 1;

/// What a report is made from.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    /// The finished component.
    pub(crate) wasm: &'a [u8],
    pub(crate) seconds: f64,
    pub(crate) steps: Vec<Step>,
    pub(crate) measured: Option<&'a Measured>,
    pub(crate) warnings: &'a [String],
}

/// What a report says.
#[derive(Debug, Serialize)]
pub(crate) struct BuildReport {
    version: u32,
    pub(super) output: String,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) stages: Vec<Step>,
    pub(super) sizes: Vec<Size>,
    pub(super) imports: Vec<Import>,
    pub(super) objects: Vec<Objects>,
    pub(super) embedded: Embedded,
    pub(super) warnings: Vec<String>,
}

/// What instances import without any folder.
#[derive(Debug, Serialize)]
pub(crate) struct Embedded {
    /// `embed`, as it is configured.
    pub(super) embed: &'static str,
    /// Of the archive in the snapshot.
    pub(super) bytes: Option<u64>,
    /// What was left out of it.
    pub(super) excluded: Vec<String>,
    pub(super) sources: bool,
}

/// The report of a finished build.
pub(crate) fn collect(facts: &Facts<'_>) -> BuildReport {
    let config = facts.config;
    let measured = facts.measured.cloned().unwrap_or_default();
    let embeds = config.embed == Embed::All;
    let excluded = config.embed_exclude.iter().filter(|_| embeds);
    BuildReport {
        version: VERSION,
        output: config.output.clone(),
        bytes: facts.wasm.len() as u64,
        seconds: facts.seconds,
        stages: facts.steps.clone(),
        sizes: sizes::sizes(facts.wasm),
        imports: measured.imports,
        objects: measured.objects,
        embedded: Embedded {
            embed: config.embed.name(),
            bytes: measured.embedded_bytes,
            excluded: excluded.cloned().collect(),
            sources: embeds && config.embed_sources,
        },
        warnings: facts
            .warnings
            .iter()
            .cloned()
            .chain(measured.failed)
            .collect(),
    }
}

impl BuildReport {
    /// For programs.
    pub(crate) fn json(&self) -> String {
        // Plain data, with text for keys: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
