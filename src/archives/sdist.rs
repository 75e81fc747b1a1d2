//! Source distributions, and installed trees in an archive: their packages, as they are
//! in the source.
//!
//! No build back end runs. For pure Python that gives what an installer would give,
//! unless the back end makes files; extension modules in C are left out, and a
//! package with a fallback in Python does without.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/source-distribution-format/>.

use crate::archives::Importable;
use crate::archives::archive::{BYTES_MAX, FILES_MAX, File};
use crate::archives::listing::named;
use crate::archives::project::view::{Entry, Files, is_identifier, join};
use crate::archives::project::{self, Layout, MARKS};
use crate::archives::unpack::{self, Unpacked};
use std::collections::BTreeMap;

/// Sources of what is compiled, and what compiling leaves: of no use to the interpreter.
const COMPILED: [&str; 8] = [".c", ".h", ".pyx", ".pxd", ".cpp", ".hpp", ".cc", ".o"];

/// Reads the archive `bytes`: a source distribution, or a tree that was installed and
/// then packed (`NAME-wasi.tar.gz`).
///
/// # Errors
/// The first thing wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Importable, String> {
    let packed = match unpack::is_zip(bytes) {
        true => unpack::unzip(bytes)?,
        false => unpack::untar(bytes)?,
    };
    let Unpacked { files, warnings } = packed.follow_links()?;
    let mut importable = match top(&files) {
        Some(top) if is_project(&files, &top) => from_project(files, &top)?,
        // Without a folder around it, which installers take, too.
        None if is_project(&files, "") => from_project(files, "")?,
        top => installed(files, top.as_deref())?,
    };
    importable.warnings.splice(0..0, warnings);
    Ok(importable)
}

/// The one folder that everything is in.
fn top(files: &[File]) -> Option<String> {
    let (top, _) = files.first()?.0.split_once('/')?;
    let prefix = format!("{top}/");
    let all = files.iter().all(|(name, _)| name.starts_with(&prefix));
    all.then_some(prefix)
}

fn is_project(files: &[File], top: &str) -> bool {
    let is_mark = |name: &str| name == "PKG-INFO" || MARKS.contains(&name);
    let mut inside = files.iter().filter_map(|(name, _)| name.strip_prefix(top));
    inside.any(is_mark)
}

/// The packages of the source distribution whose files are below `top`.
fn from_project(files: Vec<File>, top: &str) -> Result<Importable, String> {
    let inside = files.into_iter();
    let project = Project(
        inside
            .map(|(name, content)| (name[top.len()..].to_owned(), content))
            .collect(),
    );
    let layout = project::read(&project)?;
    project.take(layout)
}

/// The files of a source distribution.
struct Project(BTreeMap<String, Vec<u8>>);

impl Project {
    /// Where files go, by the layout.
    fn take(self, layout: Layout) -> Result<Importable, String> {
        let mut importable = Importable {
            warnings: layout.warnings,
            notes: layout.notes,
            ..Importable::default()
        };
        let mut placed: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut compiled = Vec::new();
        let mut bytes = 0u64;
        // What the layout says of a folder goes before what lies there.
        let mut parts = layout.parts;
        parts.sort_by_key(|part| std::cmp::Reverse(part.to.len()));
        for part in &parts {
            for (path, content) in self.below(&part.from) {
                let rest = path[part.from.len()..].trim_start_matches('/');
                let to = join(&part.to, rest);
                if COMPILED.iter().any(|end| path.ends_with(end)) {
                    compiled.push(path);
                } else if !placed.contains_key(&to) && !path.contains("__pycache__/") {
                    bytes += content.len() as u64;
                    if bytes > BYTES_MAX || placed.len() >= FILES_MAX {
                        return Err("its parts are more than an archive may hold".to_owned());
                    }
                    placed.insert(to, content.clone());
                }
            }
        }
        if !compiled.is_empty() {
            let sources = named(&compiled);
            importable
                .notes
                .push(format!("{sources} left out: it is not compiled"));
        }
        if placed.is_empty() {
            return Err("it holds no package: its folders are empty".to_owned());
        }
        placed.extend(layout.made);
        if let Some(folder) = layout.dist_info {
            let record = project::record(&folder, placed.keys().map(String::as_str));
            placed.insert(format!("{folder}/RECORD"), record);
        }
        importable.files = placed.into_iter().collect();
        Ok(importable)
    }

    /// A file, or the files below a folder.
    fn below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a Vec<u8>)> {
        let files = self.0.range(path.to_owned()..);
        files
            .map(|(name, content)| (name.as_str(), content))
            .take_while(move |(name, _)| name.starts_with(path))
            .filter(move |(name, _)| {
                path.is_empty() || matches!(name.as_bytes().get(path.len()), None | Some(b'/'))
            })
    }
}

impl Files for Project {
    fn list(&self, folder: &str) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (path, _) in self.below(folder) {
            let rest = path[folder.len()..].trim_start_matches('/');
            let (name, is_folder) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            // What is below one folder comes in a row.
            if !name.is_empty() && entries.last().is_none_or(|last| last.name != name) {
                let name = name.to_owned();
                entries.push(Entry { name, is_folder });
            }
        }
        entries
    }

    fn is_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || self.below(path).any(|(name, _)| name.len() > path.len())
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).cloned()
    }
}

/// The files of an installed tree, which lie as they are imported.
fn installed(files: Vec<File>, top: Option<&str>) -> Result<Importable, String> {
    // The folder itself may have been packed.
    let prefix = match top {
        Some("site-packages/") => "site-packages/",
        _ => "",
    };
    let importable = files.iter().any(|(name, _)| {
        let name = name.strip_prefix(prefix).unwrap_or(name);
        let module = [".py", ".so"].iter().any(|end| name.ends_with(end));
        let top = name.split(['/', '.']).next().unwrap_or(name);
        module && is_identifier(top)
    });
    if !importable {
        return Err(match top {
            Some(top) => format!(
                "it is no source distribution: `{top}` holds no `PKG-INFO`, pyproject.toml,                  setup.py or setup.cfg; nor is it an installed tree, which holds modules and                  packages"
            ),
            None => "it is neither a source distribution, in which all is in one folder, nor an                      installed tree, which holds modules and packages"
                .to_owned(),
        });
    }
    let files = files.into_iter();
    Ok(Importable {
        files: files
            .filter(|(name, _)| !name.contains("__pycache__/"))
            .map(|(name, content)| match name.strip_prefix(prefix) {
                Some(rest) => (rest.to_owned(), content),
                None => (name, content),
            })
            .collect(),
        ..Importable::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    type Tar = tar::Builder<GzEncoder<Vec<u8>>>;

    const PKG_INFO: &str = "Metadata-Version: 2.1\nName: my-app\nVersion: 1.0\n";

    fn packed(fill: impl FnOnce(&mut Tar)) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        fill(&mut tar);
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn add(tar: &mut Tar, name: &str, content: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // `set_path` would refuse what is tested here.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }

    fn sdist(files: &[(&str, &str)]) -> Vec<u8> {
        packed(|tar| {
            add(tar, "my_app-1.0/PKG-INFO", PKG_INFO);
            for (name, content) in files {
                add(tar, name, content);
            }
        })
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let files = read(bytes).unwrap().files;
        files.into_iter().map(|(name, _)| name).collect()
    }

    /// Without the metadata.
    fn code(bytes: &[u8]) -> Vec<String> {
        let mut names = names(bytes);
        names.retain(|name| !name.contains(".dist-info/"));
        names
    }

    fn add_link(tar: &mut Tar, kind: tar::EntryType, name: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, name, target).unwrap();
    }

    #[test]
    fn both_layouts_are_read() {
        let flat = sdist(&[
            ("my_app-1.0/setup.py", ""),
            ("my_app-1.0/my_app/__init__.py", ""),
            ("my_app-1.0/my_app/_speed.c", ""),
            ("my_app-1.0/my_app/data.txt", ""),
            ("my_app-1.0/single.py", ""),
            ("my_app-1.0/tests/__init__.py", ""),
            ("my_app-1.0/docs/conf.py", ""),
        ]);
        assert_eq!(
            names(&flat),
            [
                "my_app-1.0.dist-info/METADATA",
                "my_app-1.0.dist-info/RECORD",
                "my_app-1.0.dist-info/top_level.txt",
                "my_app/__init__.py",
                "my_app/data.txt",
                "single.py",
            ]
        );
        let layered = sdist(&[
            ("my_app-1.0/src/my_app/__init__.py", ""),
            ("my_app-1.0/src/my_app.egg-info/PKG-INFO", ""),
            ("my_app-1.0/other/__init__.py", ""),
        ]);
        assert_eq!(code(&layered), ["my_app/__init__.py"]);
    }

    #[test]
    fn the_project_s_own_list_goes_first() {
        let listed = sdist(&[
            ("my_app-1.0/my_app.egg-info/top_level.txt", "tests\n_mod\n"),
            ("my_app-1.0/tests/__init__.py", ""),
            ("my_app-1.0/_mod.py", ""),
            ("my_app-1.0/other/__init__.py", ""),
        ]);
        assert_eq!(code(&listed), ["_mod.py", "tests/__init__.py"]);
    }

    #[test]
    fn links_inside_are_followed_and_those_to_the_outside_refused() {
        use tar::EntryType::{Link, Symlink};
        let bytes = packed(|tar| {
            add(tar, "my_app-1.0/PKG-INFO", PKG_INFO);
            add(tar, "my_app-1.0/my_app/__init__.py", "x");
            add(tar, "my_app-1.0/docs/data.txt", "y");
            add_link(tar, Symlink, "my_app-1.0/my_app/b.py", "__init__.py");
            add_link(tar, Symlink, "my_app-1.0/my_app/data", "../docs");
            add_link(tar, Symlink, "my_app-1.0/my_app/gone.py", "nothing.py");
            add_link(
                tar,
                Link,
                "my_app-1.0/my_app/c.py",
                "my_app-1.0/my_app/__init__.py",
            );
        });
        assert_eq!(
            code(&bytes),
            [
                "my_app/__init__.py",
                "my_app/b.py",
                "my_app/c.py",
                "my_app/data/data.txt"
            ]
        );
        let read = read(&bytes).unwrap();
        assert!(
            read.files
                .contains(&("my_app/c.py".to_owned(), b"x".to_vec()))
        );
        assert_eq!(
            read.warnings,
            ["`my_app-1.0/my_app/gone.py` is left out: it is a link that leads nowhere"]
        );
    }

    #[test]
    fn an_installed_tree_is_taken_as_it_is() {
        let bytes = packed(|tar| {
            add(tar, "./num/__init__.py", "");
            add(tar, "./num/__pycache__/__init__.pyc", "");
            add(tar, "./num/_core.cpython-314-wasm32-wasi.so", "");
            add(tar, "num-1.0.dist-info/METADATA", PKG_INFO);
        });
        assert_eq!(
            names(&bytes),
            [
                "num-1.0.dist-info/METADATA",
                "num/__init__.py",
                "num/_core.cpython-314-wasm32-wasi.so"
            ]
        );
        let one = packed(|tar| add(tar, "num/__init__.py", ""));
        assert_eq!(names(&one), ["num/__init__.py"]);
        let bare = packed(|tar| {
            add(tar, "PKG-INFO", PKG_INFO);
            add(tar, "num.py", "");
            add(tar, "._num.py", "of a Mac");
        });
        assert_eq!(code(&bare), ["num.py"]);
        let folder = packed(|tar| add(tar, "site-packages/num.py", ""));
        assert_eq!(names(&folder), ["num.py"]);
    }

    #[test]
    fn an_archive_of_a_repository_is_a_project() {
        let bytes = packed(|tar| {
            add(
                tar,
                "my-app-main/pyproject.toml",
                "[project]\nname = 'my-app'\nversion = '2'\n",
            );
            add(tar, "my-app-main/src/my_app/__init__.py", "");
            add(tar, "my-app-main/src/my_app/_c.pyx", "");
        });
        assert_eq!(code(&bytes), ["my_app/__init__.py"]);
        assert!(names(&bytes).contains(&"my_app-2.dist-info/METADATA".to_owned()));
        let notes = read(&bytes).unwrap().notes;
        assert!(
            notes[0].contains("`src/my_app/_c.pyx` left out"),
            "{notes:?}"
        );
    }

    #[test]
    fn a_zip_is_read_too() {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, content) in [("a-1/PKG-INFO", PKG_INFO), ("a-1/a.py", "x")] {
            zip.start_file(name, options).unwrap();
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.add_symlink("a-1/b.py", "a.py", options).unwrap();
        let bytes = zip.finish().unwrap().into_inner();
        assert_eq!(code(&bytes), ["a.py", "b.py"]);
    }

    #[test]
    fn what_is_there_twice_counts_as_it_is_last() {
        let twice = sdist(&[("my_app-1.0/a.py", "1"), ("my_app-1.0/a.py", "2")]);
        let read = read(&twice).unwrap();
        assert!(read.files.contains(&("a.py".to_owned(), b"2".to_vec())));
        assert!(read.warnings[0].contains("`my_app-1.0/a.py` is there twice"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let link = packed(|tar| {
            add(tar, "my_app-1.0/PKG-INFO", PKG_INFO);
            add_link(
                tar,
                tar::EntryType::Symlink,
                "my_app-1.0/x.py",
                "/etc/passwd",
            );
        });
        let device = packed(|tar| {
            add_link(tar, tar::EntryType::Fifo, "my_app-1.0/x.py", "y");
        });
        for (bytes, said) in [
            (b"no archive".to_vec(), "no whole `.tar.gz`"),
            (sdist(&[]), "holds no package"),
            (
                sdist(&[("elsewhere/x.txt", "")]),
                "it is neither a source distribution",
            ),
            (sdist(&[("../x.py", "")]), "leads out"),
            (sdist(&[("/etc/x.py", "")]), "absolute"),
            (
                packed(|tar| add(tar, "a-1/a.py", "")),
                "`a-1/` holds no `PKG-INFO`",
            ),
            (link, "outside of the archive"),
            (device, "is a device"),
        ] {
            let problem = read(&bytes).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
