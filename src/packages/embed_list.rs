//! What is in the archive that Python imports from, and what of its folders is not: by
//! package, for the report.

use crate::error::Error;
use crate::inputs::walk::tree;
use crate::packages::bytecode::Mount;
use crate::packages::embed::{WORDS, excluded_by, taken_apart};
use serde::Serialize;
use std::collections::BTreeMap;

/// A module or package that is in no other, or a file beside these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// The folder in the guest.
    pub(crate) folder: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// Parts by folder and name.
#[derive(Default)]
struct Parts(BTreeMap<(String, String), (u64, u64)>);

impl Parts {
    fn add(&mut self, folder: &str, name: String, bytes: u64) {
        let entry = self.0.entry((folder.to_owned(), name)).or_default();
        *entry = (entry.0 + 1, entry.1 + bytes);
    }

    /// The largest first.
    fn listed(self) -> Vec<Part> {
        let parts = self.0.into_iter();
        let mut parts: Vec<_> = parts
            .map(|((folder, name), (files, bytes))| Part {
                name,
                folder,
                files,
                bytes,
            })
            .collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        parts
    }
}

/// What is in an archive, each part with all that the archive has of it: together they are
/// the archive, but for the four bytes in front.
pub(crate) fn embedded(archive: &[u8]) -> Vec<Part> {
    let mut parts = Parts::default();
    let Some((words, names, _)) = taken_apart(archive) else {
        return Vec::new();
    };
    let mut names = names;
    for member in words.chunks_exact(WORDS) {
        let Some((name, rest)) = names.split_at_checked(member[1] as usize) else {
            break;
        };
        names = rest;
        let path = String::from_utf8_lossy(name);
        // `/python-stdlib/email/parser.py`
        let (folder, relative) = path[1..].split_once('/').unwrap_or(("", &path));
        let stored = u64::from(member[3]) + u64::from(member[6]);
        let bytes = stored + (name.len() + 4 * WORDS) as u64;
        parts.add(&format!("/{folder}"), top(relative), bytes);
    }
    parts.listed()
}

/// What is in the folders and not embedded, by the size of the files: the modules
/// `exclude`, or, where that is `None`, everything.
///
/// # Errors
/// `Stage::Io` when a folder cannot be listed.
pub(crate) fn left_out(
    mounts: &[Mount<'_>],
    exclude: Option<&[String]>,
) -> Result<Vec<Part>, Error> {
    let mut parts = Parts::default();
    for mount in mounts {
        for path in tree(mount.folder)? {
            let relative = path.strip_prefix(mount.folder).unwrap_or(&path);
            let names: Vec<_> = relative.iter().map(|name| name.to_string_lossy()).collect();
            let relative = names.join("/");
            let name = match exclude {
                None => Some(top(&relative)),
                Some(exclude) => excluded_by(&relative, exclude).cloned(),
            };
            let file = path.metadata().ok().filter(std::fs::Metadata::is_file);
            if let (Some(name), Some(file)) = (name, file) {
                parts.add(mount.guest_path, name, file.len());
            }
        }
    }
    Ok(parts.listed())
}

/// The module that a file belongs to, without what is behind its first dot; of what is no
/// module, the name of the file or folder.
fn top(relative: &str) -> String {
    let (name, is_folder) = match relative.split_once('/') {
        Some((folder, _)) => (folder, true),
        None => (relative, false),
    };
    let module = [".py", ".pyc", ".so"].iter().any(|end| name.ends_with(end));
    match name.split_once('.') {
        Some((stem, _)) if module && !is_folder => stem.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::embed::{Selection, archive};
    use std::fs;

    #[test]
    fn every_byte_of_the_archive_is_of_one_part() {
        let dir = tempfile::tempdir().unwrap();
        for (name, size) in [
            ("pkg/__init__.py", 10),
            ("pkg/inner/data.bin", 5000),
            ("one.py", 20),
            ("ext.cpython-314-wasm32-wasi.so", 1),
            ("pkg-1.0.dist-info/METADATA", 30),
            ("test/__init__.py", 7),
            ("test/data.txt", 8),
            ("LICENSE.txt", 3),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x".repeat(size)).unwrap();
        }
        let exclude = ["test".to_owned()];
        let selection = Selection {
            exclude: &exclude,
            sources: true,
            compressed: true,
        };
        let archive = archive(dir.path(), "/site-packages", &selection).unwrap();
        let parts = embedded(&archive);
        let sum: u64 = parts.iter().map(|part| part.bytes).sum();
        assert_eq!(sum + 4, archive.len() as u64);
        let mut names: Vec<_> = parts.iter().map(|part| (&*part.name, part.files)).collect();
        names.sort_unstable();
        let expected = [
            ("LICENSE.txt", 1),
            ("ext", 1),
            ("one", 1),
            ("pkg", 2),
            ("pkg-1.0.dist-info", 1),
        ];
        assert_eq!(names, expected);
        assert!(parts.iter().all(|part| part.folder == "/site-packages"));
        assert!(
            parts
                .iter()
                .zip(&parts[1..])
                .all(|(a, b)| a.bytes >= b.bytes)
        );

        let mount = Mount {
            folder: dir.path(),
            guest_path: "/site-packages",
        };
        let left = left_out(&[mount], Some(&exclude)).unwrap();
        let left: Vec<_> = left.iter().map(|p| (&*p.name, p.files, p.bytes)).collect();
        assert_eq!(left, [("test", 2, 15)]);
        assert_eq!(left_out(&[mount], None).unwrap().len(), 6);
        assert!(embedded(b"no").is_empty() && embedded(&archive[..90]).is_empty());
    }
}
