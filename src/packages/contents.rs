//! What one source brings to site-packages.

use crate::archives::project;
use crate::error::{Error, Report, Stage};
use crate::inputs::sources::{Source, SourceFile, SourceKind};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of site-packages by their paths, with the number of the source of each.
pub(crate) type Tree = BTreeMap<String, (usize, Content)>;

/// One file on its way into the tree.
pub(crate) struct Member {
    /// Where it goes, below /site-packages, with `/`.
    pub(crate) path: String,
    pub(crate) content: Content,
}

#[derive(Clone)]
pub(crate) enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
    /// To Python a package without modules.
    EmptyFolder,
}

impl Content {
    pub(crate) fn read(&self) -> Result<std::borrow::Cow<'_, [u8]>, Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.into()),
            Self::EmptyFolder => Ok([][..].into()),
            Self::File(path) => {
                let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
                Ok(bytes.into())
            }
        }
    }
}

/// What one source brings.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) members: Vec<Member>,
    /// For the person who builds.
    pub(crate) warnings: Vec<String>,
    /// How the RECORD of a wheel is not exact; one of the warnings.
    pub(crate) record: Option<String>,
    /// For verbose output.
    pub(crate) notes: Vec<String>,
}

/// The files of one source, read or to be copied.
///
/// # Errors
/// [`Stage::Packages`] for an archive that cannot be used; [`Stage::Io`].
pub(crate) fn contents(source: &Source) -> Result<Contents, Error> {
    if matches!(source.kind, SourceKind::Wheel | SourceKind::Sdist) {
        return unpack(source);
    }
    let mut contents = Contents::default();
    for SourceFile { path, target } in source.files()? {
        let content = match path.is_dir() {
            true => Content::EmptyFolder,
            false => Content::File(path),
        };
        // WebAssembly's paths are UTF-8: no guest could name the file.
        let Some(path) = guest_path(&target) else {
            let shown = target.display();
            let note = format!("`{shown}` is left out: its name is not UTF-8");
            contents.notes.push(note);
            continue;
        };
        contents.members.push(Member { path, content });
    }
    if let SourceKind::Project(layout) = &source.kind {
        contents.warnings = layout.warnings.clone();
        contents.notes.extend(layout.notes.iter().cloned());
        let mut add = |path: &str, content: &[u8]| {
            contents.members.push(Member {
                path: path.to_owned(),
                content: Content::Bytes(content.to_owned()),
            });
        };
        for (path, content) in &layout.made {
            add(path, content);
        }
        if let Some(folder) = &layout.dist_info {
            let paths = contents.members.iter().map(|member| member.path.as_str());
            let record = project::record(folder, paths);
            contents.members.push(Member {
                path: format!("{folder}/RECORD"),
                content: Content::Bytes(record),
            });
        }
    }
    Ok(contents)
}

/// A path as Python writes it; `None` where Python could not.
fn guest_path(relative: &Path) -> Option<String> {
    let parts = relative.components().map(|part| part.as_os_str().to_str());
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

#[cfg(feature = "wheels")]
fn unpack(source: &Source) -> Result<Contents, Error> {
    let bytes = fs::read(&source.path).map_err(|e| Error::io("read", &source.path, e))?;
    let unpacked = match source.kind {
        SourceKind::Wheel => crate::archives::wheel::read(&source.file_name(), &bytes),
        _ => crate::archives::sdist::read(&bytes),
    };
    let unpacked = unpacked.map_err(|problem| {
        let shown = format!("{} cannot be used: {problem}", source.shown());
        Stage::Packages.error(Report::new(shown))
    })?;
    let members = unpacked.files.into_iter().map(|(path, content)| Member {
        path,
        content: Content::Bytes(content),
    });
    Ok(Contents {
        members: members.collect(),
        warnings: unpacked.warnings,
        record: unpacked.record,
        notes: unpacked.notes,
    })
}

#[cfg(not(feature = "wheels"))]
fn unpack(source: &Source) -> Result<Contents, Error> {
    let what = match source.kind {
        SourceKind::Wheel => "a wheel",
        _ => "a source distribution",
    };
    Err(Stage::Packages.error(
        Report::new(format!(
            "{} is {what}, which this crate reads with its feature `wheels` only",
            source.shown()
        ))
        .hint(
            "in [build-dependencies], write eryx-preinit-build = { version = \"0.1\", features = \
             [\"wheels\"] }; or name the unpacked package folder",
        ),
    ))
}
