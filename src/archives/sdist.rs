//! Source distributions: the packages of a `.tar.gz`, as they are in the source.
//!
//! No build backend runs. For pure Python that gives what an installer would give,
//! unless the backend makes files; extension modules in C are left out, and a
//! package with a fallback in Python does without.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/source-distribution-format/>.

use crate::archives::archive::{self, Budget, File};
use crate::archives::layout::{is_module_of_project, is_package_of_project};
use crate::archives::wheel::field;
use flate2::read::GzDecoder;
use std::collections::BTreeSet;
use std::io::Read as _;

/// The importable part of a source distribution.
#[derive(Debug)]
pub(crate) struct Sdist {
    /// As they lie in site-packages.
    pub(crate) files: Vec<File>,
}

/// Reads the source distribution `bytes`.
///
/// # Errors
/// The first thing wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Sdist, String> {
    let files = untar(bytes)?;
    let mut tops: Vec<&str> = files
        .iter()
        .map(|(name, _)| name.split_once('/').map_or("", |(top, _)| top))
        .collect();
    tops.dedup();
    let top = match tops[..] {
        [top] if !top.is_empty() => format!("{top}/"),
        _ => return Err("it is no source distribution: not all is in one folder".to_owned()),
    };
    let files: Vec<File> = files
        .into_iter()
        .map(|(name, content)| (name[top.len()..].to_owned(), content))
        .collect();
    let metadata = files.iter().find(|(name, _)| name == "PKG-INFO");
    let Some((_, metadata)) = metadata else {
        return Err("it is no source distribution: it has no `PKG-INFO`".to_owned());
    };
    let metadata = String::from_utf8_lossy(metadata).into_owned();
    // The `src` layout, or packages beside the project's own files.
    let has = |path: &str| files.iter().any(|(name, _)| name == path);
    let root =
        match files.iter().any(|(name, _)| name.starts_with("src/")) && !has("src/__init__.py") {
            true => "src/",
            false => "",
        };
    let importable = importable(&files, root);
    if importable.is_empty() {
        return Err(
            "it holds no package: no folder with an `__init__.py`, and no module".to_owned(),
        );
    }
    let mut kept: Vec<File> = files
        .into_iter()
        .filter_map(|(name, content)| {
            let name = name.strip_prefix(root)?;
            let top = name.split('/').next().unwrap_or(name);
            // C sources and what built them are of no use to the interpreter.
            let source = [".c", ".h", ".pyx", ".pxd", ".cpp", ".o"];
            let keep = importable.contains(top) && !source.iter().any(|end| name.ends_with(end));
            keep.then(|| (name.to_owned(), content))
        })
        .collect();
    // For `importlib.metadata`, which reads this form too.
    let name = field(&metadata, "Name")
        .unwrap_or("unknown")
        .replace('-', "_");
    if archive::inside(&name).is_ok() && !name.contains('/') {
        kept.push((format!("{name}.egg-info/PKG-INFO"), metadata.into_bytes()));
    }
    Ok(Sdist { files: kept })
}

/// Folders and files at `root` that are imported, by the list the project's own
/// tools left, or else by what they look like.
fn importable(files: &[File], root: &str) -> BTreeSet<String> {
    let at_root = || files.iter().filter_map(|(name, _)| name.strip_prefix(root));
    let listed = files.iter().find(|(name, _)| {
        name.strip_prefix(root)
            .or(Some(name.as_str()))
            .and_then(|name| name.strip_suffix(".egg-info/top_level.txt"))
            .is_some_and(|name| !name.contains('/'))
    });
    if let Some((_, text)) = listed {
        let text = String::from_utf8_lossy(text);
        let names: BTreeSet<&str> = text.lines().map(str::trim).collect();
        let found: BTreeSet<String> = at_root()
            .filter_map(|name| {
                let top = name.split('/').next()?;
                names
                    .contains(top.strip_suffix(".py").unwrap_or(top))
                    .then(|| top.to_owned())
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    at_root()
        .filter_map(|name| match name.split_once('/') {
            Some((top, "__init__.py")) => is_package_of_project(top).then(|| top.to_owned()),
            Some(_) => None,
            None => {
                let module = name.strip_suffix(".py")?;
                is_module_of_project(module).then(|| name.to_owned())
            }
        })
        .collect()
}

fn untar(bytes: &[u8]) -> Result<Vec<File>, String> {
    let damaged = |e: std::io::Error| format!("it is no whole `.tar.gz`: {e}");
    let mut budget = Budget::new(bytes.len() as u64);
    // Long names are read whole, whatever their size.
    let unpacked = GzDecoder::new(bytes).take(budget.stream_limit());
    let mut tar = tar::Archive::new(unpacked);
    let mut files: Vec<File> = Vec::new();
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .map_err(|_| "it holds a name that is not UTF-8".to_owned())?;
        let name = archive::inside(name.strip_prefix("./").unwrap_or(&name))?.to_owned();
        if !kind.is_file() {
            return Err(format!(
                "`{name}` is a link or a device, which is not unpacked"
            ));
        }
        let content = budget.read(&name, entry)?;
        files.push((name, content));
    }
    files.sort();
    if let Some(pair) = files.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("it holds two files called `{}`", pair[0].0));
    }
    if let Some((one, two)) = archive::case_collision(files.iter().map(|(name, _)| name.as_str())) {
        return Err(format!(
            "`{one}` and `{two}` are one file where case does not count"
        ));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    const PKG_INFO: &str = "Metadata-Version: 2.1\nName: my-app\nVersion: 1.0\n";

    fn packed(fill: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        fill(&mut tar);
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn add(tar: &mut tar::Builder<GzEncoder<Vec<u8>>>, name: &str, content: &str) {
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
                "my_app/__init__.py",
                "my_app/data.txt",
                "single.py",
                "my_app.egg-info/PKG-INFO"
            ]
        );
        let layered = sdist(&[
            ("my_app-1.0/src/my_app/__init__.py", ""),
            ("my_app-1.0/src/my_app.egg-info/PKG-INFO", ""),
            ("my_app-1.0/other/__init__.py", ""),
        ]);
        assert_eq!(
            names(&layered),
            ["my_app/__init__.py", "my_app.egg-info/PKG-INFO"]
        );
    }

    #[test]
    fn the_project_s_own_list_goes_first() {
        let listed = sdist(&[
            ("my_app-1.0/my_app.egg-info/top_level.txt", "tests\n_mod\n"),
            ("my_app-1.0/tests/__init__.py", ""),
            ("my_app-1.0/_mod.py", ""),
            ("my_app-1.0/other/__init__.py", ""),
        ]);
        assert_eq!(
            names(&listed),
            ["_mod.py", "tests/__init__.py", "my_app.egg-info/PKG-INFO"]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let link = packed(|tar| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, "my_app-1.0/my_app/x.py", "/etc/passwd")
                .unwrap();
        });
        for (bytes, said) in [
            (b"no archive".to_vec(), "no whole `.tar.gz`"),
            (sdist(&[]), "holds no package"),
            (sdist(&[("elsewhere/x.py", "")]), "not all is in one folder"),
            (sdist(&[("../x.py", "")]), "leads out"),
            (sdist(&[("/etc/x.py", "")]), "absolute"),
            (
                sdist(&[("my_app-1.0/a.py", ""), ("my_app-1.0/A.py", "")]),
                "case does not count",
            ),
            (
                sdist(&[("my_app-1.0/a.py", ""), ("my_app-1.0/a.py", "")]),
                "two files called",
            ),
            (packed(|tar| add(tar, "a-1/a.py", "")), "no `PKG-INFO`"),
            (link, "is a link or a device"),
        ] {
            let problem = read(&bytes).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
