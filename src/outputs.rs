//! What a build leaves in OUT_DIR for the program to include.

use crate::artifacts::{Artifact, Artifacts};
use crate::config::{Config, Embed, Precompile, variable_prefix};
use crate::error::Error;
use crate::native::loader::{self, EryxLoader, Loader, WasmLoader};
use crate::pipeline::Built;
use crate::pipeline::native::NativePlan;
use crate::store::digest::{Blob, Digest};
use crate::store::files;
use crate::wasm::sections;
use std::path::{Path, PathBuf};

/// A file for the consumer to include.
pub(crate) struct Output<'a> {
    pub(crate) path: PathBuf,
    pub(crate) content: &'a [u8],
    pub(crate) digest: Digest,
    /// Whether it was made by an earlier build.
    pub(crate) cached: bool,
}

/// The files of one output.
pub(crate) struct Outputs<'a> {
    pub(crate) component: Output<'a>,
    pub(crate) native: Option<Output<'a>>,
    pub(crate) component_zst: Option<Output<'a>>,
    pub(crate) native_zst: Option<Output<'a>>,
    pub(crate) loader: Option<Output<'a>>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(path: PathBuf, blob: &'a Blob, cached: bool) -> Self {
        Self {
            path,
            content: &blob.bytes,
            digest: blob.digest(),
            cached,
        }
    }

    /// Writes the content beside its place, unless the file holds these bytes already:
    /// an unchanged modification time spares cargo's dependents work.
    fn prepare(&self) -> Result<Option<tempfile::NamedTempFile>, Error> {
        let Self { path, content, .. } = self;
        let same = std::fs::metadata(path).is_ok_and(|old| old.len() == content.len() as u64)
            && std::fs::read(path).is_ok_and(|old| old == *content);
        let write = || files::written_beside(path, &[content]);
        let written = (!same).then(write).transpose();
        written.map_err(|e| Error::io("write", path, e))
    }

    fn artifact(&self) -> Artifact {
        Artifact {
            path: self.path.clone(),
            bytes: self.content.len() as u64,
            sha256: self.digest.to_string(),
            cached: self.cached,
        }
    }
}

/// Writes the outputs, all of them before the first takes its place.
///
/// # Errors
/// `Stage::Io`; the old files, if any, are untouched unless renaming fails half-way.
pub(crate) fn publish(outputs: &Outputs<'_>) -> Result<Artifacts, Error> {
    let component = std::iter::once(&outputs.component);
    let all = || {
        component
            .clone()
            .chain(&outputs.native)
            .chain(&outputs.component_zst)
            .chain(&outputs.native_zst)
            .chain(&outputs.loader)
    };
    let written = all().map(Output::prepare).collect::<Result<Vec<_>, _>>()?;
    for (file, output) in written.into_iter().zip(all()) {
        if let Some(file) = file {
            file.persist(&output.path)
                .map_err(|e| Error::io("write", &output.path, e.error))?;
        }
    }
    let artifact = |output: &Option<Output<'_>>| output.as_ref().map(Output::artifact);
    Ok(Artifacts {
        native: artifact(&outputs.native),
        component_zst: artifact(&outputs.component_zst),
        native_zst: artifact(&outputs.native_zst),
        loader: artifact(&outputs.loader),
        ..Artifacts::of(outputs.component.artifact())
    })
}

/// Writes what the pipeline made, the component to `wasm` and the rest beside it.
///
/// # Errors
/// As [`publish`].
pub(crate) fn publish_built(
    wasm: &Path,
    built: &Built,
    native: Option<(&NativePlan<'_>, &Precompile)>,
    config: &Config,
) -> Result<Artifacts, Error> {
    let made = built.native.as_ref();
    let beside = |extension: &str| wasm.with_extension(extension);
    let loader = loader(wasm, built, native, config);
    let loader = loader.map(|text| Blob::from(text.into_bytes()));
    let compressed = built.compressed.as_ref();
    let component_zst = compressed.map(|files| &files.component);
    let native_zst = compressed.and_then(|files| files.native.as_ref());
    publish(&Outputs {
        component: Output::new(wasm.to_owned(), &built.snapshot, built.cached),
        native: made.map(|made| Output::new(beside("cwasm"), &made.blob, made.cached)),
        component_zst: component_zst.map(|f| Output::new(beside("wasm.zst"), &f.blob, f.cached)),
        native_zst: native_zst.map(|f| Output::new(beside("cwasm.zst"), &f.blob, f.cached)),
        loader: loader.as_ref().map(|text| {
            let cached = made.map_or(built.cached, |made| made.cached);
            Output::new(beside("rs"), text, cached)
        }),
    })
}

/// The file for the program to include, where there is one to make: for native code of
/// this crate or of eryx, or for a compressed component.
fn loader(
    wasm: &Path,
    built: &Built,
    native: Option<(&NativePlan<'_>, &Precompile)>,
    config: &Config,
) -> Option<String> {
    let variables = variable_prefix(&wasm.file_stem().unwrap_or_default().to_string_lossy());
    let imports = &config.imports;
    let mounts = config.embed == Embed::None;
    let compressed = config.compress.is_some();
    let Some((made, (plan, precompile))) = built.native.as_ref().zip(native) else {
        let loader = WasmLoader {
            file_name: &name(wasm),
            variables: &variables,
            bytes: built.snapshot.bytes.len(),
            digest: built.snapshot.digest(),
            imports,
            mounts,
        };
        return compressed.then(|| loader.render());
    };
    let file_name = &name(&wasm.with_extension("cwasm"));
    if let Some(compiler) = made.compiler {
        let loader = Loader {
            file_name,
            variables: &variables,
            code: &made.blob.bytes,
            digest: made.blob.digest(),
            compiler,
            target: &plan.target,
            precompile,
            imports,
            mounts,
            compressed,
        };
        return Some(loader.render());
    }
    let loader = EryxLoader {
        file_name,
        bytes: made.blob.bytes.len(),
        digest: made.blob.digest(),
        target: &plan.target,
        imports,
        stdlib: &built.stdlib,
        site_packages: built.site_packages.tree.as_deref(),
        compressed,
    };
    plan.is_for_eryx().then(|| loader.render())
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Writes the report beside the component: the page, and the same as JSON.
///
/// # Errors
/// `Stage::Io`.
pub(crate) fn publish_report(
    wasm: &Path,
    page: String,
    json: String,
) -> Result<(Artifact, Artifact), Error> {
    let stem = wasm.file_stem().unwrap_or_default().to_string_lossy();
    let write = |extension: &str, text: String| {
        let blob = Blob::from(text.into_bytes());
        let path = wasm.with_file_name(format!("{stem}-report.{extension}"));
        let output = Output::new(path, &blob, false);
        if let Some(file) = output.prepare()? {
            let failed = |e: tempfile::PersistError| Error::io("write", &output.path, e.error);
            file.persist(&output.path).map_err(failed)?;
        }
        Ok(output.artifact())
    };
    Ok((write("html", page)?, write("json", json)?))
}

/// An empty component in place of Python, and where there should be native code
/// nothing in its place, so that `include_bytes!` and `include!` compile.
///
/// # Errors
/// `Stage::Io`.
pub(crate) fn placeholder(
    out_dir: &Path,
    config: &Config,
    reason: &str,
    for_eryx: bool,
) -> Result<Artifacts, Error> {
    let wasm = out_dir.join(&config.output);
    let component = Blob::from(sections::Encoding::Component.header().to_vec());
    let native = Blob::from(Vec::new());
    let loader = Blob::from(loader::placeholder(reason, for_eryx).into_bytes());
    let compress = config.compress.is_some();
    let precompile = config.precompile.is_some();
    let beside = |wanted: bool, extension: &str, blob| {
        wanted.then(|| Output::new(wasm.with_extension(extension), blob, false))
    };
    Ok(Artifacts {
        placeholder: Some(reason.to_owned()),
        ..publish(&Outputs {
            component: Output::new(wasm.clone(), &component, false),
            native: beside(precompile, "cwasm", &native),
            component_zst: beside(compress, "wasm.zst", &native),
            native_zst: beside(compress && precompile, "cwasm.zst", &native),
            loader: beside(compress || precompile, "rs", &loader),
        })?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_one_output_cannot_be_written_all_stay_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let [old, new] = [&b"old"[..], b"new"].map(|bytes| Blob::from(bytes.to_vec()));
        let write = |component, native: &str, second| {
            publish(&Outputs {
                component: Output::new(dir.path().join("a"), component, false),
                native: Some(Output::new(dir.path().join(native), second, false)),
                component_zst: None,
                native_zst: None,
                loader: None,
            })
        };
        write(&old, "b", &old).unwrap();
        assert!(write(&new, "none/b", &new).is_err());
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
        let published = write(&new, "b", &old).unwrap();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"new");
        assert_eq!(published.native.unwrap().bytes, 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
