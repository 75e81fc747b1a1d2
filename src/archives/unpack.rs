//! Bytes of an archive → the files and links in it, checked.

use crate::archives::archive::{self, Budget, File};
use crate::archives::links::{self, Link};
use flate2::read::GzDecoder;
use std::collections::{BTreeMap, HashSet};
use std::io::{Cursor, Read as _};
use zip::ZipArchive;

/// What an archive holds, links not followed.
pub(crate) struct Packed {
    /// Each name once.
    files: BTreeMap<String, Vec<u8>>,
    pub(crate) links: Vec<Link>,
    warnings: Vec<String>,
    budget: Budget,
}

/// What an archive holds.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// Sorted by name, each name once, without links.
    pub(crate) files: Vec<File>,
    /// What is not as it should be, and what was done about it.
    pub(crate) warnings: Vec<String>,
}

/// Whether the bytes are those of a zip archive.
pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK")
}

/// Reads a `.tar.gz`.
///
/// # Errors
/// The first thing wrong with it.
pub(crate) fn untar(bytes: &[u8]) -> Result<Packed, String> {
    let damaged = |e: std::io::Error| format!("it is no whole `.tar.gz`: {e}");
    let mut budget = Budget::new(bytes.len() as u64);
    // Long names are read whole, whatever their size.
    let unpacked = GzDecoder::new(bytes).take(budget.stream_limit());
    let mut tar = tar::Archive::new(unpacked);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut links = Vec::new();
    let mut warnings = Vec::new();
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let name = match String::from_utf8(entry.path_bytes().into_owned()) {
            Ok(name) => archive::inside_loosely(&name)?,
            Err(odd) => {
                let name = String::from_utf8_lossy(odd.as_bytes())
                    .escape_debug()
                    .to_string();
                warnings.push(format!("`{name}` is left out: its name is not UTF-8"));
                continue;
            }
        };
        // What macOS adds for itself.
        if name
            .rsplit('/')
            .next()
            .is_some_and(|file| file.starts_with("._"))
        {
            continue;
        }
        if kind.is_symlink() || kind.is_hard_link() {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            let target = String::from_utf8_lossy(&target).into_owned();
            links.push(match kind.is_symlink() {
                true => Link::symbolic(&name, &target)?,
                false => Link::hard(&name, &target)?,
            });
            continue;
        }
        if !kind.is_file() {
            return Err(format!("`{name}` is a device, which is not unpacked"));
        }
        let content = budget.read(&name, entry)?;
        // As tar itself, which writes one over the other.
        if files.get(&name).is_some_and(|other| *other != content) {
            warnings.push(format!("`{name}` is there twice: the last one counts"));
        }
        files.insert(name, content);
    }
    Ok(Packed {
        files,
        links,
        warnings,
        budget,
    })
}

/// Reads a zip archive.
///
/// # Errors
/// The first thing wrong with it.
pub(crate) fn unzip(bytes: &[u8]) -> Result<Packed, String> {
    let damaged = |e: zip::result::ZipError| format!("it is no whole zip archive: {e}");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let mut warnings = Vec::new();
    if zip.has_duplicate_names() {
        // As Python's own reader does it.
        warnings.push("it holds files of one name twice: the last one counts".to_owned());
    }
    if zip.has_overlapping_entries().map_err(damaged)? {
        return Err("its files overlap in the archive".to_owned());
    }
    let mut budget = Budget::new(bytes.len() as u64);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut links = Vec::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_data(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        if entry.is_dir() {
            archive::inside(name.trim_end_matches('/'))?;
            continue;
        }
        archive::inside(&name)?;
        if entry.encrypted() {
            return Err(format!("`{name}` is encrypted"));
        }
        let is_link = entry.is_symlink();
        let member = zip
            .by_index(index)
            .map_err(|e| format!("`{name}` cannot be read: {e}"))?;
        let content = budget.read(&name, member)?;
        if is_link {
            links.push(Link::symbolic(&name, &String::from_utf8_lossy(&content))?);
        } else {
            files.insert(name, content);
        }
    }
    Ok(Packed {
        files,
        links,
        warnings,
        budget,
    })
}

impl Packed {
    /// Replaces links by what they lead to.
    ///
    /// # Errors
    /// When a name is a file and something else, too.
    pub(crate) fn follow_links(mut self) -> Result<Unpacked, String> {
        let mut files: Vec<File> = self.files.into_iter().collect();
        let left = links::resolve(&mut files, self.links, &mut self.budget)?;
        let gone = |name| format!("`{name}` is left out: it is a link that leads nowhere");
        self.warnings.extend(left.into_iter().map(gone));
        // A file cannot be a folder as well.
        let names: HashSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        for name in &names {
            let mut path = *name;
            while let Some((folder, _)) = path.rsplit_once('/') {
                if names.contains(folder) {
                    return Err(format!(
                        "`{folder}` is a file, and a folder with `{name}` in it"
                    ));
                }
                path = folder;
            }
        }
        Ok(Unpacked {
            files,
            warnings: self.warnings,
        })
    }
}
