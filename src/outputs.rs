//! What a build leaves in OUT_DIR for the program to include.

use crate::artifacts::{Artifact, Artifacts};
use crate::config::{Config, Embed, Precompile, variable_prefix};
use crate::error::Error;
use crate::native::loader::{self, EryxLoader, Loader};
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
    pub(crate) loader: Option<Output<'a>>,
}

/// The files that were written.
pub(crate) struct Published {
    pub(crate) component: Artifact,
    pub(crate) native: Option<Artifact>,
    pub(crate) loader: Option<Artifact>,
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
pub(crate) fn publish(outputs: &Outputs<'_>) -> Result<Published, Error> {
    let component = std::iter::once(&outputs.component);
    let all = || {
        component
            .clone()
            .chain(&outputs.native)
            .chain(&outputs.loader)
    };
    let written = all().map(Output::prepare).collect::<Result<Vec<_>, _>>()?;
    for (file, output) in written.into_iter().zip(all()) {
        if let Some(file) = file {
            file.persist(&output.path)
                .map_err(|e| Error::io("write", &output.path, e.error))?;
        }
    }
    Ok(Published {
        component: outputs.component.artifact(),
        native: outputs.native.as_ref().map(Output::artifact),
        loader: outputs.loader.as_ref().map(Output::artifact),
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
) -> Result<Published, Error> {
    let made = built.native.as_ref().zip(native);
    let imports = &config.imports;
    let path = wasm.with_extension("cwasm");
    let variables = variable_prefix(&wasm.file_stem().unwrap_or_default().to_string_lossy());
    let file_name = &path.file_name().unwrap_or_default().to_string_lossy();
    let loader = made.and_then(|(made, (plan, precompile))| {
        let text = match made.compiler {
            Some(compiler) => Loader {
                file_name,
                variables: &variables,
                code: &made.blob.bytes,
                digest: made.blob.digest(),
                compiler,
                target: &plan.target,
                precompile,
                imports,
                mounts: config.embed == Embed::None,
            }
            .render(),
            None if plan.is_for_eryx() => EryxLoader {
                file_name,
                digest: made.blob.digest(),
                target: &plan.target,
                imports,
                stdlib: &built.stdlib,
                site_packages: built.site_packages.tree.as_deref(),
            }
            .render(),
            None => return None,
        };
        Some((Blob::from(text.into_bytes()), made.cached))
    });
    let native = made.map(|(made, _)| Output::new(path.clone(), &made.blob, made.cached));
    publish(&Outputs {
        component: Output::new(wasm.to_owned(), &built.snapshot, built.cached),
        native,
        loader: loader
            .as_ref()
            .map(|(text, cached)| Output::new(wasm.with_extension("rs"), text, *cached)),
    })
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
    let beside = |extension, blob| {
        let wanted = config.precompile.is_some();
        wanted.then(|| Output::new(wasm.with_extension(extension), blob, false))
    };
    let published = publish(&Outputs {
        native: beside("cwasm", &native),
        loader: beside("rs", &loader),
        component: Output::new(wasm.clone(), &component, false),
    })?;
    Ok(Artifacts {
        component: published.component,
        native: published.native,
        loader: published.loader,
        report: None,
        report_json: None,
        stdlib: None,
        site_packages: None,
        warnings: Vec::new(),
        placeholder: Some(reason.to_owned()),
        snapshots: Default::default(),
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
