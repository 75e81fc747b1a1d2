//! What the inputs contain.

use crate::error::{Error, Report, Stage};
use crate::guest::script::Setup;
use crate::inputs::locate::{Digests, Inputs};
use crate::inputs::states::{self, FileState};

/// The inputs, read.
pub(crate) struct ReadInputs {
    /// Every file, as it was when its digest was taken.
    pub(crate) files: Vec<FileState>,
    pub(crate) digests: Digests,
    /// What runs after the imports.
    pub(crate) setup: Option<Setup>,
}

impl ReadInputs {
    /// Reads `inputs`, but not again what looks as it does in `known`.
    ///
    /// # Errors
    /// [`Stage::Io`] when a file cannot be read.
    pub(crate) fn read(
        inputs: &Inputs,
        known: &[FileState],
        setup: Option<Setup>,
    ) -> Result<Self, Error> {
        let files = states::states(&inputs.files()?, known)?;
        let digests = inputs.digests(&files)?;
        Ok(Self {
            files,
            digests,
            setup,
        })
    }

    /// Whether `inputs` are still what was read: the same files, and each as it was.
    ///
    /// # Errors
    /// [`Stage::Io`] that names the first file that is not: what was made of it meanwhile
    /// is not what its digest says.
    pub(crate) fn unchanged(&self, inputs: &Inputs) -> Result<(), Error> {
        let now = inputs.files()?;
        let read = self.files.iter().map(|file| &file.path);
        let come = now.iter().zip(read).find(|(now, read)| now != read);
        let come = come.map(|(now, _)| now).or(match now.len() {
            len if len > self.files.len() => now.get(self.files.len()),
            _ => None,
        });
        if let Some(path) = come {
            return Err(Stage::Io.error(
                Report::new(format!(
                    "`{}` appeared, or a file before it went, while the build was reading its \
                     inputs",
                    path.display()
                ))
                .hint("run the build again; nothing of this one was kept"),
            ));
        }
        states::unchanged(&self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::inputs::sources::Sources;
    use crate::inputs::stdlib::StdlibSource;
    use std::fs;
    use std::path::Path;

    #[test]
    fn a_file_that_comes_or_goes_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.py"), "").unwrap();
        let config = Config {
            site_packages: Some(dir.path().to_owned()),
            ..Config::default()
        };
        let inputs = Inputs {
            libraries: Vec::new(),
            stdlib: StdlibSource::Embedded,
            packages: Sources::locate(&config, Path::new("out")).unwrap(),
            setup: None,
            runtime_version: None,
            eryx: None,
            watched: Vec::new(),
        };
        let read = ReadInputs::read(&inputs, &[], None).unwrap();
        read.unchanged(&inputs).unwrap();
        for name in ["a.py", "c.py"] {
            fs::write(dir.path().join(name), "").unwrap();
            let error = read.unchanged(&inputs).unwrap_err();
            assert!(error.to_string().contains("appeared"), "{error}");
            fs::remove_file(dir.path().join(name)).unwrap();
            read.unchanged(&inputs).unwrap();
        }
        fs::remove_file(dir.path().join("b.py")).unwrap();
        assert!(read.unchanged(&inputs).is_err());
    }
}
