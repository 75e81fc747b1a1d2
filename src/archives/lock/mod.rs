//! Lock files: text → the packages that are locked for this Python, and the files each of
//! them may come in. No file system: `inputs/locked.rs` finds the files.

pub(crate) mod file_name;
pub(crate) mod pylock;
pub(crate) mod requirements_txt;

use crate::store::checksum::Check;
use pep508_rs::PackageName;
use pep508_rs::pep440_rs::Version;

/// A locked package that is wanted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Locked {
    pub(crate) name: PackageName,
    pub(crate) version: Option<Version>,
    /// The index it comes from, where that is said.
    pub(crate) index: Option<String>,
    pub(crate) origin: Origin,
}

/// What a locked package comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// One of these files, by name.
    Files(Vec<LockedFile>),
    /// Any file of this name and version that passes.
    Hashes(Check),
    /// A project's folder, from the lock file's own.
    Folder(String),
}

/// A file that is locked by name and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockedFile {
    pub(crate) name: String,
    pub(crate) check: Check,
}

impl Locked {
    /// `attrs==26.1.0`, as installers take it.
    pub(crate) fn shown(&self) -> String {
        match &self.version {
            Some(version) => format!("{}=={version}", self.name),
            None => self.name.to_string(),
        }
    }
}

/// Adds `problem`, unless there are so many that nobody reads them.
fn add(problems: &mut Vec<String>, problem: String) {
    const SHOWN: usize = 20;
    match problems.len() {
        0..SHOWN => problems.push(problem),
        SHOWN => problems.push("and more".to_owned()),
        _ => {}
    }
}
