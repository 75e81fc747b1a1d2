//! Whether paths lead to what they should, and what was meant if they do not.

use super::links::only_links_problem;
use super::suggest::nearest;
use super::text::{show, show_path};
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// A file with a slash behind it would count as missing, not as a file.
pub(super) fn without_trailing_slash(path: &Path) -> PathBuf {
    path.components().collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    File,
    Folder,
}

pub(super) fn extension_path_problem(path: &Path) -> Option<String> {
    match look(path, Some(FileType::File)) {
        Ok(FileType::File) => None,
        Ok(FileType::Folder) => Some(format!(
            "{} is a folder; expected the file of an extension module",
            show_path(path)
        )),
        Err(problem) => Some(problem),
    }
}

/// A path with wildcards: `*` for any characters of a name, `?` for one.
pub(crate) struct Pattern {
    /// Where to look. It holds no wildcards.
    pub(crate) folder: PathBuf,
    /// The names below it.
    parts: Vec<Part>,
}

/// A name that may hold wildcards.
struct Part(Vec<char>);

impl Pattern {
    /// `None` for a path without wildcards, or one that exists as it is written.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let is_wild = |part: &Component<'_>| {
            let name = part.as_os_str().to_string_lossy();
            name.contains(['*', '?'])
        };
        let first = path.components().position(|part| is_wild(&part))?;
        if path.exists() {
            return None;
        }
        let fixed: PathBuf = path.components().take(first).collect();
        let parts = path.components().skip(first);
        let parts = parts.map(|part| {
            part.as_os_str()
                .to_str()
                .map(|name| Part(name.chars().collect()))
        });
        Some(Self {
            folder: match fixed.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => fixed,
            },
            parts: parts.collect::<Option<_>>()?,
        })
    }

    fn shown(&self) -> String {
        let parts = self.parts.iter().map(|part| part.0.iter().collect());
        parts.collect::<Vec<String>>().join("/")
    }
}

impl Part {
    fn fits(&self, name: &str) -> bool {
        // A name that starts with `.` is hidden, as in a shell.
        if name.starts_with('.') && self.0.first() != Some(&'.') {
            return false;
        }
        // `reached[i]`: the first `i` characters of the pattern fit so far.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        let skip_stars = |reached: &mut Vec<bool>| {
            for (i, &c) in self.0.iter().enumerate() {
                reached[i + 1] |= reached[i] && c == '*';
            }
        };
        skip_stars(&mut reached);
        for c in name.chars() {
            let mut next = vec![false; reached.len()];
            for (i, &expected) in self.0.iter().enumerate() {
                match expected {
                    '*' => next[i] |= reached[i],
                    expected => next[i + 1] |= reached[i] && (expected == '?' || expected == c),
                }
            }
            skip_stars(&mut next);
            reached = next;
        }
        reached.last() == Some(&true)
    }
}

/// What fits the pattern, sorted by name; none in what is no folder.
pub(crate) fn matching(pattern: &Pattern) -> Vec<PathBuf> {
    let mut found = vec![pattern.folder.clone()];
    for part in &pattern.parts {
        let inside = |folder: &PathBuf| -> Vec<PathBuf> {
            let names = names_in(folder, None).into_iter();
            let fitting = names.filter(|name| part.fits(name));
            fitting.map(|name| folder.join(name)).collect()
        };
        found = found.iter().flat_map(inside).collect();
    }
    found
}

pub(super) fn package_path_problem(path: &Path) -> Option<String> {
    if let Some(pattern) = Pattern::of(path) {
        return match look(&pattern.folder, Some(FileType::Folder)) {
            Ok(FileType::Folder) if matching(&pattern).is_empty() => Some(format!(
                "nothing in {} fits {}",
                show_path(&pattern.folder),
                show(&pattern.shown())
            )),
            Ok(FileType::Folder) => matching(&pattern)
                .iter()
                .find_map(|path| package_path_problem(path)),
            Ok(FileType::File) => Some(format!(
                "{} is a file, not a folder",
                show_path(&pattern.folder)
            )),
            Err(problem) => Some(problem),
        };
    }
    match look(path, None) {
        Ok(FileType::Folder) => only_links_problem(path, "name a wheel or modules (`.py`)"),
        Ok(FileType::File) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".so") {
                return Some(format!(
                    "{} is a shared library; name it in `extensions`",
                    show_path(path)
                ));
            }
            if is_lock_file(path) {
                return None;
            }
            if let Some(hint) = other_lock_file(&name) {
                return Some(format!("{} {hint}", show_path(path)));
            }
            let known = [".whl", ".tar.gz", ".tgz", ".zip", ".py"];
            (!known.iter().any(|end| name.ends_with(end))).then(|| {
                format!(
                    "{} is none of wheel (`.whl`), source distribution (`.tar.gz`, \
                     `.zip`), module (`.py`), package folder and lock file (`pylock.toml`, `requirements.txt`)",
                    show_path(path)
                )
            })
        }
        Err(problem) => Some(problem),
    }
}

/// Whether a file of `packages` stands for others that it locks, by its name:
/// `pylock.toml`, `pylock.NAME.toml`, or any `.txt`.
pub(crate) fn is_lock_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".txt")
        || name == "pylock.toml"
        || (name.starts_with("pylock.") && name.ends_with(".toml"))
}

/// What to say of a lock file that is of one tool alone.
fn other_lock_file(name: &str) -> Option<String> {
    let (tool, command) = match name {
        "uv.lock" => ("uv", "`uv export --format pylock.toml -o pylock.toml`"),
        "pdm.lock" => ("pdm", "`pdm export -f pylock -o pylock.toml`"),
        "poetry.lock" => ("Poetry", "`poetry export --output requirements.txt`"),
        "Pipfile.lock" => ("Pipenv", "`pipenv requirements --hash > requirements.txt`"),
        _ => return None,
    };
    Some(format!(
        "is {tool}'s own lock file, and this crate reads `pylock.toml` and `requirements.txt`: run \
         {command}, and name that"
    ))
}

/// A folder that is not there yet is what the missing files are fetched to.
pub(super) fn wheel_dir_problem(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!(
            "{} is a file; expected a folder of wheels",
            show_path(path)
        )),
        Err(error) if is_absent(&error) => None,
        Err(error) => Some(unreadable(path, &error)),
    }
}

pub(super) fn setup_path_problem(path: &Path) -> Option<String> {
    match look(path, Some(FileType::File)) {
        Ok(FileType::File) => None,
        Ok(FileType::Folder) => Some(format!(
            "{} is a folder; expected a Python file",
            show_path(path)
        )),
        Err(problem) => Some(problem),
    }
}

pub(super) fn runtime_path_problem(path: &Path) -> Option<String> {
    let missing = |folder: &Path| -> Vec<&'static str> {
        ["libs", "prebuilt"]
            .into_iter()
            .filter(|name| !folder.join(name).is_dir())
            .collect()
    };
    match look(path, Some(FileType::Folder)) {
        Ok(FileType::Folder) => {
            let lacks: Vec<String> = missing(path)
                .iter()
                .map(|name| format!("no `{name}/`"))
                .collect();
            (!lacks.is_empty()).then(|| {
                format!(
                    "{} is not an unpacked eryx-runtime package: it holds {}{}",
                    show_path(path),
                    lacks.join(" and "),
                    one_level_off(path, |folder| missing(folder).is_empty())
                )
            })
        }
        Ok(FileType::File) => {
            let hint = if path.extension().is_some_and(|end| end == "crate") {
                "; unpack it first (`tar xzf`)"
            } else {
                ""
            };
            Some(format!(
                "{} is a file; expected the folder of an unpacked eryx-runtime package{hint}",
                show_path(path)
            ))
        }
        Err(problem) => Some(problem),
    }
}

pub(super) fn stdlib_path_problem(path: &Path) -> Option<String> {
    let missing = |folder: &Path| -> Vec<&'static str> {
        let mut missing = Vec::new();
        if !folder.join("os.py").is_file() {
            missing.push("no `os.py`");
        }
        if !folder.join("encodings").is_dir() {
            missing.push("no `encodings/`");
        }
        missing
    };
    match look(path, None) {
        Ok(FileType::Folder) => {
            let lacks = missing(path);
            if lacks.is_empty() {
                return only_links_problem(path, "name a `.tar.zst` archive of it");
            }
            Some(format!(
                "{} is not the Python standard library: it holds {}{}",
                show_path(path),
                lacks.join(" and "),
                one_level_off(path, |folder| missing(folder).is_empty())
            ))
        }
        Ok(FileType::File) => {
            let archive = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with(".tar.zst"));
            (!archive).then(|| {
                format!(
                    "{} is a file whose name does not end in `.tar.zst`; expected such an \
                     archive or the unpacked folder",
                    show_path(path)
                )
            })
        }
        Err(problem) => Some(problem),
    }
}

pub(super) fn site_packages_path_problem(path: &Path) -> Option<String> {
    match look(path, Some(FileType::Folder)) {
        Ok(FileType::Folder) => {
            only_links_problem(path, "install copies (with uv, `UV_LINK_MODE=copy`)")
        }
        Ok(FileType::File) => {
            let hint = if path.extension().is_some_and(|end| end == "whl") {
                "; name the wheel in `packages`"
            } else {
                ""
            };
            Some(format!(
                "{} is a file; expected a folder of Python modules{hint}",
                show_path(path)
            ))
        }
        Err(problem) => Some(problem),
    }
}

pub(super) fn cache_dir_problem(path: &Path) -> Option<String> {
    // It may be missing, together with folders above it, but nothing on the way
    // to it may be a file.
    for folder in path.ancestors() {
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) if folder == path => {
                return Some(format!("{} is a file, not a folder", show_path(path)));
            }
            Ok(_) => {
                return Some(format!(
                    "{} cannot be created: {} is a file, not a folder",
                    show_path(path),
                    show_path(folder)
                ));
            }
            Err(error) if is_absent(&error) => {
                if fs::symlink_metadata(folder).is_ok() {
                    return Some(dangling(folder));
                }
            }
            Err(error) => return Some(unreadable(path, &error)),
        }
    }
    None
}

/// What `path` leads to, or why it leads nowhere.
pub(super) fn look(path: &Path, want: Option<FileType>) -> Result<FileType, String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(FileType::Folder),
        Ok(found) if found.is_file() => Ok(FileType::File),
        Ok(_) => Err(format!(
            "{} is neither a file nor a folder",
            show_path(path)
        )),
        Err(error) if is_absent(&error) => Err(absent(path, want)),
        Err(error) => Err(unreadable(path, &error)),
    }
}

pub(super) fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", show_path(path))
}

pub(super) fn dangling(link: &Path) -> String {
    format!(
        "{} is a symbolic link to something that does not exist",
        show_path(link)
    )
}

/// Which part of `path` is missing, and what may have been meant.
pub(super) fn absent(path: &Path, want: Option<FileType>) -> String {
    let shown = show_path(path);
    for missing in path.ancestors() {
        if let Ok(found) = fs::symlink_metadata(missing) {
            return if found.is_symlink() {
                dangling(missing)
            } else if found.is_file() {
                // `file/../name` gets here.
                format!(
                    "{shown} does not exist: {} is a file, not a folder",
                    show_path(missing)
                )
            } else {
                format!("{shown} does not exist")
            };
        }
        let (Some(parent), Some(name)) = (missing.parent(), missing.file_name()) else {
            continue;
        };
        let folder = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        match fs::metadata(folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return format!(
                    "{shown} does not exist: {} is a file, not a folder",
                    show_path(folder)
                );
            }
            Err(_) => continue,
        }
        let name = name.to_string_lossy();
        let want = if missing == path {
            want
        } else {
            Some(FileType::Folder)
        };
        let part = if missing == path {
            String::new()
        } else {
            format!(": {} holds no {}", show_path(folder), show(&name))
        };
        let siblings = names_in(folder, want);
        let hint = match nearest(&name, siblings.iter().map(String::as_str)) {
            _ if name == "~" || name.starts_with('$') => {
                "; `~` and variables are not expanded".to_owned()
            }
            Some(near) => format!("; did you mean {}?", show(near)),
            None => String::new(),
        };
        return format!("{shown} does not exist{part}{hint}");
    }
    format!("{shown} does not exist")
}

/// Sorted, so that a report does not depend on the file system's order.
pub(super) fn names_in(folder: &Path, want: Option<FileType>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            entry.file_type().is_ok_and(|kind| {
                // A link may lead to either.
                kind.is_symlink()
                    || match want {
                        None => true,
                        Some(FileType::File) => kind.is_file(),
                        Some(FileType::Folder) => kind.is_dir(),
                    }
            })
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

/// A hint, if a folder inside `path` or the one around it is what was meant:
/// said, not used, because which one is meant is a guess.
pub(super) fn one_level_off(path: &Path, fits: impl Fn(&Path) -> bool) -> String {
    let inside: Vec<PathBuf> = names_in(path, Some(FileType::Folder))
        .iter()
        .map(|name| path.join(name))
        .filter(|folder| fits(folder))
        .collect();
    match (&inside[..], path.parent()) {
        ([one], _) => format!("; did you mean {}?", show_path(one)),
        ([first, ..], _) => format!(
            "; {} folders in it are, for example {}",
            inside.len(),
            show_path(first)
        ),
        ([], Some(parent)) if fits(parent) => format!("; did you mean {}?", show_path(parent)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_may_be_in_any_part_of_a_path() {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "a1/dist/x.whl",
            "a2/dist/y.whl",
            "a2/dist/.z.whl",
            "b/dist/z.whl",
            "a3/x.whl",
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let pattern = Pattern::of(&dir.path().join(pattern)).unwrap();
            assert_eq!(pattern.folder, dir.path());
            let found = matching(&pattern);
            let names = found
                .iter()
                .map(|path| path.strip_prefix(dir.path()).unwrap());
            names
                .map(|name| name.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(found("a?/dist/*.whl"), ["a1/dist/x.whl", "a2/dist/y.whl"]);
        assert_eq!(found("*/x.whl"), ["a3/x.whl"]);
        assert_eq!(found("a*/none/*"), [""; 0]);
        assert!(Pattern::of(&dir.path().join("a1/dist/x.whl")).is_none());
        let problem = package_path_problem(&dir.path().join("c*/x.whl")).unwrap();
        assert!(problem.ends_with("fits `c*/x.whl`"), "{problem}");
    }
}
