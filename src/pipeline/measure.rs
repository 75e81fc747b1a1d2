//! The step that only a report needs. What fails here, the report lacks.

use crate::config::Embed;
use crate::error::Error;
use crate::guest::engine::Compiler;
use crate::guest::live_objects::Module;
use crate::inputs::locate::Inputs;
use crate::inputs::runtime;
use crate::packages::embed_list::{self, Part};
use crate::pipeline::attempts::Attempts;
use crate::pipeline::embed;
use crate::pipeline::link::{self, not_understood};
use crate::report::Measurements;
use crate::wasm::link::{ADAPTER, Library};
use crate::wasm::origins::{self, Origin};
use std::collections::BTreeSet;
use wasmtime::Engine;

/// What the imports take and make, and what is where.
pub(crate) fn measure(
    inputs: &Inputs,
    attempts: &Attempts<'_>,
    engines: &[(Compiler, Engine)],
) -> Measurements {
    let cx = attempts.cx;
    let mut failed = Vec::new();
    let archive = embed::archive(cx, attempts.keys, &attempts.bytecode.mounts);
    let archive = or_lack(archive, "what is embedded", &mut failed);
    let guest = attempts.measure(engines, archive.as_deref());
    let guest = or_lack(guest, "imports and objects", &mut failed);
    let origins = or_lack(origins(inputs, attempts), "libraries", &mut failed);
    let left_out = left_out(attempts, &guest.modules);
    Measurements {
        archive_bytes: archive.as_ref().map(|archive| archive.len() as u64),
        embedded: archive
            .as_deref()
            .map(embed_list::embedded)
            .unwrap_or_default(),
        left_out: or_lack(left_out, "what is not embedded", &mut failed),
        guest,
        origins,
        failed,
    }
}

impl Measurements {
    /// Where nothing could be found out.
    pub(crate) fn none(error: &Error) -> Self {
        let failed = vec![lacks("all but stages and sizes", error)];
        Self {
            failed,
            ..Self::default()
        }
    }
}

fn lacks(what: &str, error: &Error) -> String {
    format!("the report lacks {what}: {error:?}")
}

fn or_lack<T: Default>(found: Result<T, Error>, what: &str, failed: &mut Vec<String>) -> T {
    found.unwrap_or_else(|error| {
        failed.push(lacks(what, &error));
        T::default()
    })
}

/// What each library brought to the linked component.
fn origins(inputs: &Inputs, attempts: &Attempts<'_>) -> Result<Vec<Origin>, Error> {
    let strip = attempts.cx.config.strip;
    let base = runtime::load(&inputs.libraries, strip)?;
    let extensions = link::extensions(attempts.guest.site_packages, strip)?;
    let extensions = extensions.iter().map(|extension| &extension.library);
    let libraries: Vec<&Library> = base
        .iter()
        .filter(|library| library.name != ADAPTER)
        .chain(extensions)
        .collect();
    origins::origins(attempts.linked.bytes(), &libraries).map_err(not_understood)
}

/// What Python can import only from folders that are mounted: what `embed-exclude` names;
/// without an archive, that of which nothing was imported.
fn left_out(attempts: &Attempts<'_>, modules: &[Module]) -> Result<Vec<Part>, Error> {
    let config = attempts.cx.config;
    let mounts = &attempts.bytecode.mounts;
    if config.embed == Embed::All {
        return embed_list::left_out(mounts, Some(&config.embed_exclude));
    }
    let names = modules.iter().map(|module| module.name.split('.').next());
    let loaded: BTreeSet<_> = names.flatten().collect();
    let mut parts = embed_list::left_out(mounts, None)?;
    parts.retain(|part| !loaded.contains(&*part.name));
    Ok(parts)
}
