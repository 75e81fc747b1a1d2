//! Every key of the pipeline, as a pure function of what it depends on.
//!
//! A key covers everything that can change what is kept under it, and nothing else: the
//! table in docs/how-it-works.md says it in words, the tests below say it in code.

use crate::config::Config;
use crate::guest::engine::Compiler;
use crate::guest::script::Setup;
use crate::inputs::locate::Inputs;
use crate::inputs::stdlib::StdlibSource;
use crate::packages::embed::Selection;
use crate::packages::report::LinkedLibrary;
use crate::store::digest::{Digest, KeyBuilder};
use crate::wasm::bodies::Bodies;
use crate::wasm::link::linker_version;
use std::path::Path;

/// The versions of what makes entries, down to the patch: the consumer's lock file decides
/// them.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) linker: &'a str,
    /// wizer has the same.
    pub(crate) wasmtime: &'a str,
}

impl Tools<'static> {
    /// Those that this build script is compiled with.
    pub(crate) fn compiled() -> Self {
        Self {
            linker: linker_version(),
            wasmtime: wasmtime_environ::VERSION,
        }
    }
}

/// The keys of the steps that later ones name.
pub(crate) struct Keys {
    /// Of the archives of what Python may import, one for each folder, if there are to be
    /// any.
    pub(crate) embedded: Vec<Digest>,
    /// Of the linked component, fused if that was asked for.
    pub(crate) link: Digest,
    /// Also what the guest's randomness is derived from.
    pub(crate) content: Digest,
    pub(crate) snapshot: Digest,
}

/// The linked component, from the digest of the base libraries.
pub(crate) fn link(
    tools: Tools<'_>,
    libraries: Digest,
    strip: bool,
    extensions: &[LinkedLibrary],
) -> Digest {
    let mut key = KeyBuilder::new("link");
    key.part("linker", tools.linker.as_bytes())
        .part("libraries", &libraries.0)
        .part("strip", &[u8::from(strip)]);
    for library in extensions {
        key.part("extension", library.name.as_bytes())
            .part("openable", &[u8::from(library.openable)])
            .part("digest", library.digest.as_bytes());
    }
    key.finish()
}

/// The linked component with its core modules fused.
pub(crate) fn fuse(link: Digest) -> Digest {
    KeyBuilder::new("fuse").part("link", &link.0).finish()
}

/// What Python sees and runs.
pub(crate) struct Content<'a> {
    pub(crate) link: Digest,
    pub(crate) stdlib: Digest,
    pub(crate) site_packages: Option<Digest>,
    pub(crate) epoch_seconds: u64,
    pub(crate) memory_limit: u64,
    pub(crate) imports: &'a [String],
    pub(crate) on_restore: &'a [String],
    pub(crate) setup: Option<&'a Setup>,
    pub(crate) trace: bool,
    /// The keys of the archives in its memory.
    pub(crate) embedded: &'a [Digest],
}

impl Content<'_> {
    /// Also what the guest's randomness is derived from.
    pub(crate) fn key(&self) -> Digest {
        let mut key = KeyBuilder::new("content");
        key.part("link", &self.link.0)
            .part("stdlib", &self.stdlib.0)
            .part("epoch", &self.epoch_seconds.to_le_bytes())
            .part("memory", &self.memory_limit.to_le_bytes())
            .part("trace", &[u8::from(self.trace)]);
        if let Some(site_packages) = self.site_packages {
            key.part("site-packages", &site_packages.0);
        }
        for embedded in self.embedded {
            key.part("embedded", &embedded.0);
        }
        for import in self.imports {
            key.part("import", import.as_bytes());
        }
        for hook in self.on_restore {
            key.part("on-restore", hook.as_bytes());
        }
        if let Some(setup) = self.setup {
            key.part("setup", setup.name.as_bytes())
                .part("code", setup.code.as_bytes());
        }
        key.finish()
    }
}

/// The finished snapshot of this content, taken by one of these compilers, each with the
/// fingerprint of its engine.
pub(crate) fn snapshot(
    tools: Tools<'_>,
    content: Digest,
    verify: bool,
    engines: &[(Compiler, Digest)],
) -> Digest {
    let mut key = KeyBuilder::new("snapshot");
    key.part("content", &content.0)
        .part("wasmtime", tools.wasmtime.as_bytes())
        .part("verify", &[u8::from(verify)]);
    for (compiler, engine) in engines {
        key.part(compiler.name(), &engine.0);
    }
    key.finish()
}

/// Compiled code of the linked component; `profile` is the digest of the profiles.
pub(crate) fn code(
    link: Digest,
    compiler: Compiler,
    engine: Digest,
    bodies: Bodies,
    profile: Digest,
) -> Digest {
    let mut key = KeyBuilder::new("code");
    key.part("link", &link.0)
        .part("compiler", compiler.name().as_bytes())
        .part("engine", &engine.0)
        .part("bodies", bodies.name().as_bytes());
    if bodies != Bodies::All {
        key.part("profile", &profile.0);
    }
    key.finish()
}

/// The archive of what Python may import from a folder, which it sees at `guest_path`. The
/// bytecode in it follows from the sources and from the base libraries.
pub(crate) fn embedded(
    libraries: Digest,
    guest_path: &str,
    folder: Digest,
    selection: &Selection<'_>,
) -> Digest {
    let mut key = KeyBuilder::new("embedded");
    key.part("libraries", &libraries.0)
        .part("path", guest_path.as_bytes())
        .part("folder", &folder.0)
        .part("sources", &[u8::from(selection.sources)])
        .part("compressed", &[u8::from(selection.compressed)]);
    for module in selection.exclude {
        key.part("exclude", module.as_bytes());
    }
    key.finish()
}

/// The bytecode that CPython of these libraries makes of a source, whose path it holds.
pub(crate) fn bytecode(libraries: Digest, guest_path: &str, source: &[u8]) -> Digest {
    KeyBuilder::new("bytecode")
        .part("libraries", &libraries.0)
        .part("path", guest_path.as_bytes())
        .part("source", source)
        .finish()
}

/// That a snapshot of this code was loaded and ran.
pub(crate) fn verified(code: Digest) -> Digest {
    KeyBuilder::new("verified").part("code", &code.0).finish()
}

/// Native code of a snapshot, by this crate. `rank` is how many compilers are tried
/// first: what is built must not depend on what happens to be in the cache.
pub(crate) fn native(snapshot: Digest, precompiler: Digest, rank: usize) -> Digest {
    KeyBuilder::new("native")
        .part("snapshot", &snapshot.0)
        .part("engine", &precompiler.0)
        .part("rank", &(rank as u64).to_le_bytes())
        .finish()
}

/// Native code of a snapshot, by a function of the consumer's.
pub(crate) fn native_by_consumer(snapshot: Digest, target: &str, made_by: Digest) -> Digest {
    KeyBuilder::new("precompile_with")
        .part("snapshot", &snapshot.0)
        .part("target", target.as_bytes())
        .part("made by", &made_by.0)
        .finish()
}

/// A file with this content, compressed.
pub(crate) fn compressed(content: Digest, level: u8) -> Digest {
    KeyBuilder::new("compressed")
        .part("content", &content.0)
        .part("level", &[level])
        .part("zstd", &zstd::zstd_safe::VERSION_NUMBER.to_le_bytes())
        .finish()
}

/// Which native code has the functions of every snapshot of this shape.
pub(crate) fn reuse(link: Digest, shape: Digest, precompiler: Digest) -> Digest {
    KeyBuilder::new("reuse")
        .part("link", &link.0)
        .part("shape", &shape.0)
        .part("engine", &precompiler.0)
        .finish()
}

/// Everything asked for but the contents of files: what a build with nothing to do
/// compares.
pub(crate) fn request(
    tools: Tools<'_>,
    config: &Config,
    inputs: &Inputs,
    epoch_seconds: u64,
    native: Option<Digest>,
) -> Digest {
    let mut key = KeyBuilder::new("request");
    // Snapshots are taken by it, and it writes native code.
    key.part("wasmtime", tools.wasmtime.as_bytes())
        .part("linker", tools.linker.as_bytes())
        .part("epoch", &epoch_seconds.to_le_bytes());
    config.parts(&mut key);
    inputs_parts(inputs, &mut key);
    if let Some(native) = native {
        key.part("native", &native.0);
    }
    key.finish()
}

fn inputs_parts(inputs: &Inputs, key: &mut KeyBuilder) {
    let path = |key: &mut KeyBuilder, label: &str, path: &Path| {
        key.part(label, path.as_os_str().as_encoded_bytes());
    };
    for library in &inputs.libraries {
        key.part("library", library.name.as_bytes());
        path(key, "path", &library.path);
    }
    match &inputs.stdlib {
        StdlibSource::Folder(folder) => path(key, "stdlib folder", folder),
        StdlibSource::Archive(archive) => path(key, "stdlib archive", archive),
        StdlibSource::Embedded => drop(key.part("stdlib embedded", &[])),
    }
    for source in &inputs.packages.list {
        // `Debug` of the kind: a name, and the module of a library.
        key.part("source", source.key.as_bytes())
            .part("kind", format!("{:?}", source.kind).as_bytes());
        path(key, "path", &source.path);
    }
    for (file, check) in &inputs.packages.locked {
        path(key, "locked", file);
        // Which checksums, and whether all have to fit.
        key.part("check", format!("{check:?}").as_bytes());
    }
    if let Some(setup) = &inputs.setup {
        path(key, "setup", setup);
    }
    let version = inputs.runtime_version.as_deref().unwrap_or_default();
    key.part("runtime", version.as_bytes());
}

#[cfg(test)]
mod tests;
