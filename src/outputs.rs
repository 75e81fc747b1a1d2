//! What a build leaves in OUT_DIR for the program to include.

use crate::artifacts::{Artifact, Artifacts};
use crate::config::Config;
use crate::error::Error;
use crate::log::say;
use crate::native::loader;
use crate::store::digest::Digest;
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

/// Writes the outputs, but for files that hold these bytes already: an unchanged
/// modification time spares cargo's dependents work.
///
/// # Errors
/// [`Error::Io`]; the old files, if any, are untouched unless renaming fails half-way.
pub(crate) fn publish(outputs: &[Output<'_>]) -> Result<Vec<Artifact>, Error> {
    let written = outputs.iter().map(|Output { path, content, .. }| {
        let same = std::fs::metadata(path).is_ok_and(|old| old.len() == content.len() as u64)
            && std::fs::read(path).is_ok_and(|old| old == *content);
        let write = || files::written_beside(path, &[content]);
        let written = (!same).then(write).transpose();
        written.map_err(|e| Error::io("write", path, e))
    });
    // All of them, before the first takes its place.
    let written = written.collect::<Result<Vec<_>, Error>>()?;
    for (file, output) in written.into_iter().zip(outputs) {
        if let Some(file) = file {
            file.persist(&output.path)
                .map_err(|e| Error::io("write", &output.path, e.error))?;
        }
    }
    let artifact = |output: &Output<'_>| Artifact {
        path: output.path.clone(),
        bytes: output.content.len() as u64,
        sha256: output.digest.to_string(),
        cached: output.cached,
    };
    Ok(outputs.iter().map(artifact).collect())
}

/// An empty component in place of Python, and where there should be native code
/// nothing in its place, so that `include_bytes!` and `include!` compile.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn placeholder(
    out_dir: &Path,
    config: &Config,
    reason: &str,
) -> Result<Artifacts, Error> {
    say(&format!("placeholder only: {reason}"));
    let wasm = out_dir.join(&config.output);
    let mut contents = vec![(wasm.clone(), sections::Kind::Component.header().to_vec())];
    if config.precompile.is_some() {
        let text = loader::placeholder(reason).into_bytes();
        contents.push((wasm.with_extension("cwasm"), Vec::new()));
        contents.push((wasm.with_extension("rs"), text));
    }
    let outputs = contents.iter().map(|(path, content)| Output {
        path: path.clone(),
        content,
        digest: Digest::of(content),
        cached: false,
    });
    Ok(Artifacts {
        files: publish(&outputs.collect::<Vec<_>>())?,
        stdlib: None,
        site_packages: None,
        warnings: Vec::new(),
        placeholder: Some(reason.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_one_output_cannot_be_written_all_stay_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let output = |name: &str, content: &'static [u8]| Output {
            path: dir.path().join(name),
            content,
            digest: Digest::of(content),
            cached: false,
        };
        publish(&[output("a", b"old"), output("b", b"old")]).unwrap();
        publish(&[output("a", b"new"), output("none/b", b"new")]).unwrap_err();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
        let files = publish(&[output("a", b"new"), output("b", b"old")]).unwrap();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"new");
        assert_eq!(files[1].bytes, 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
