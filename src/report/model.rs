//! What a report says. docs/report.md describes its shape as JSON.

use crate::config::{Config, Embed};
use crate::guest::import_times::Import;
use crate::guest::live_objects::Objects;
use crate::log::Step;
use crate::packages::embed_list::Part;
use crate::report::measurements::Measurements;
use crate::report::memory::{self, Area, Library};
use crate::report::modules::{self, Package};
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
    pub(crate) measured: Option<&'a Measurements>,
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
    pub(super) libraries: Vec<Library>,
    pub(super) memory: Vec<Area>,
    pub(super) imports: Vec<Import>,
    pub(super) objects: Vec<Objects>,
    pub(super) packages: Vec<Package>,
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
    /// What it leaves out, as it is configured.
    pub(super) excluded: Vec<String>,
    pub(super) sources: bool,
    /// What the archive holds, by package.
    pub(super) contents: Vec<Part>,
    /// What Python finds only in folders that are mounted.
    pub(super) left_out: Vec<Part>,
}

/// The report of a finished build.
pub(crate) fn collect(facts: &Facts<'_>) -> BuildReport {
    let config = facts.config;
    let measured = facts.measured.cloned().unwrap_or_default();
    let embeds = config.embed == Embed::All;
    let excluded = config.embed_exclude.iter().filter(|_| embeds);
    let sizes = sizes::sizes(facts.wasm);
    BuildReport {
        version: VERSION,
        output: config.output.clone(),
        bytes: facts.wasm.len() as u64,
        seconds: facts.seconds,
        stages: facts.steps.clone(),
        libraries: memory::libraries(facts.wasm, &measured.origins, &sizes),
        memory: memory::areas(facts.wasm, &measured.origins),
        sizes,
        imports: measured.guest.imports,
        objects: measured.guest.objects,
        packages: modules::packages(&measured.guest.modules),
        embedded: Embedded {
            embed: config.embed.name(),
            bytes: measured.archive_bytes,
            excluded: excluded.cloned().collect(),
            sources: embeds && config.embed_sources,
            contents: measured.embedded,
            left_out: measured.left_out,
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
