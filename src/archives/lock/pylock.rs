//! `pylock.toml`.
//!
//! Format: <https://packaging.python.org/en/latest/specifications/pylock-toml/>.

use super::{Locked, LockedFile, Origin, add};
use crate::archives::archive;
use crate::archives::markers::{Chosen, clip, holds, is_for_this_python, normalized};
use crate::config::{Wanted, nearest};
use crate::store::checksum::{Check, Checksum};
use pep508_rs::PackageName;
use pep508_rs::pep440_rs::Version;
use std::collections::HashMap;
use std::str::FromStr;
use toml::{Table, Value};

/// The packages that are locked for this Python and `wanted`.
///
/// # Errors
/// Everything found wrong.
pub(crate) fn read(text: &str, wanted: Wanted<'_>) -> Result<Vec<Locked>, Vec<String>> {
    let table: Table = text
        .parse()
        .map_err(|e: toml::de::Error| vec![e.to_string()])?;
    let mut problems = Vec::new();
    if let Err(problem) = is_for_here(&table) {
        problems.push(problem);
    }
    problems.extend(unknown(&table, wanted));
    let default: Vec<String> = texts(&table, "default-groups").map(str::to_owned).collect();
    let chosen = Chosen {
        extras: wanted.extras,
        groups: wanted.groups.unwrap_or(&default),
    };
    let Some(packages) = table.get("packages").and_then(Value::as_array) else {
        problems.push("it has no `[[packages]]`".to_owned());
        return Err(problems);
    };
    let mut found = Vec::new();
    let mut seen: HashMap<PackageName, usize> = HashMap::new();
    for (index, package) in packages.iter().enumerate() {
        let name = package.get("name").and_then(Value::as_str);
        let shown = name.map_or_else(|| format!("packages[{index}]"), clip);
        match read_package(package, chosen) {
            Ok(None) => {}
            Ok(Some(locked)) => {
                if let Some(first) = seen.insert(locked.name.clone(), index) {
                    let problem = "is locked twice for this Python: the markers of";
                    add(
                        &mut problems,
                        format!("{shown} {problem} packages[{first}] and packages[{index}] hold"),
                    );
                }
                found.push(locked);
            }
            Err(problem) => add(&mut problems, format!("{shown}: {problem}")),
        }
    }
    match problems.is_empty() {
        true => Ok(found),
        false => Err(problems),
    }
}

/// Extras and groups that are wanted, and that the file does not have.
fn unknown(table: &Table, wanted: Wanted<'_>) -> Vec<String> {
    let extras: Vec<&str> = texts(table, "extras").collect();
    let mut groups: Vec<&str> = texts(table, "dependency-groups").collect();
    // Tools may leave the default ones out of the list of all.
    let default = texts(table, "default-groups");
    groups.extend(
        default
            .filter(|name| !groups.contains(name))
            .collect::<Vec<_>>(),
    );
    let missing = |key: &str, names: &[String], known: &[&str]| -> Vec<String> {
        let is_unknown = |name: &&String| {
            let mut known = known.iter();
            known.all(|known| normalized(known) != normalized(name))
        };
        let known: Vec<String> = known.iter().copied().map(clip).collect();
        let problem = |name: &String| {
            let name = clip(name);
            let near = nearest(&name, known.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            match known.is_empty() {
                true => format!("{key}: it has no `{name}`, nor any other"),
                false => format!("{key}: it has no `{name}`, but {}{near}", known.join(", ")),
            }
        };
        names.iter().filter(is_unknown).map(problem).collect()
    };
    let mut problems = missing("lock-extras", wanted.extras, &extras);
    problems.extend(missing(
        "lock-groups",
        wanted.groups.unwrap_or_default(),
        &groups,
    ));
    problems
}

/// Whether the file as a whole is one to read, for this Python.
fn is_for_here(table: &Table) -> Result<(), String> {
    let version = table.get("lock-version").and_then(Value::as_str);
    match version.map(|version| version.split('.').next()) {
        Some(Some("1")) => {}
        _ => {
            let shown = version.map_or_else(
                || "none".to_owned(),
                |version| format!("`{}`", clip(version)),
            );
            return Err(format!(
                "its lock-version is {shown}, and this crate reads 1.x: it is no `pylock.toml`, or \
                 a newer one"
            ));
        }
    }
    if let Some(wanted) = table.get("requires-python").and_then(Value::as_str)
        && !is_for_this_python(wanted)?
    {
        return Err(format!(
            "it is for Python {}, and this is 3.14",
            clip(wanted)
        ));
    }
    let mut environments = texts(table, "environments").peekable();
    if environments.peek().is_none() {
        return Ok(());
    }
    let mut others = Vec::new();
    for marker in environments {
        if holds(marker, Chosen::default())? {
            return Ok(());
        }
        others.push(format!("`{}`", clip(marker)));
    }
    others.truncate(3);
    Err(format!(
        "it was made for other systems than this one, which is CPython 3.14 with `sys_platform == \
         'wasi'`: {}",
        others.join(", ")
    ))
}

/// `None` for a package that is not wanted here.
fn read_package(package: &Value, chosen: Chosen<'_>) -> Result<Option<Locked>, String> {
    let text = |key: &str| package.get(key).and_then(Value::as_str);
    let name = text("name").ok_or("it has no `name`")?;
    let name = PackageName::from_str(name).map_err(|_| "its name is none".to_owned())?;
    let version = text("version")
        .map(|text| Version::from_str(text).map_err(|_| format!("`{}` is no version", clip(text))));
    if let Some(marker) = text("marker")
        && !holds(marker, chosen)?
    {
        return Ok(None);
    }
    if let Some(wanted) = text("requires-python")
        && !is_for_this_python(wanted)?
    {
        return Err(format!(
            "it is for Python {}, and this is 3.14",
            clip(wanted)
        ));
    }
    let origin = if let Some(folder) = package.get("directory") {
        let path = folder.get("path").and_then(Value::as_str);
        let path = path.ok_or("its `directory` has no `path`")?.to_owned();
        match folder.get("subdirectory").and_then(Value::as_str) {
            Some(inner) => Origin::Folder(format!("{path}/{inner}")),
            None => Origin::Folder(path),
        }
    } else if let Some(vcs) = package.get("vcs") {
        let part = |key: &str| {
            vcs.get(key)
                .and_then(Value::as_str)
                .map_or_else(String::new, clip)
        };
        return Err(format!(
            "it is locked as a commit ({} of {}), and nothing is downloaded: build a wheel of it \
             (`pip wheel --no-deps`), lock that, or name it in `packages`",
            part("commit-id"),
            part("url"),
        ));
    } else {
        Origin::Files(files(package)?)
    };
    Ok(Some(Locked {
        name,
        version: version.transpose()?,
        index: text("index").map(str::to_owned),
        origin,
    }))
}

/// All files that a package may come in.
fn files(package: &Value) -> Result<Vec<LockedFile>, String> {
    let wheels = match package.get("wheels") {
        None => &[][..],
        Some(wheels) => wheels.as_array().ok_or("its `wheels` are no list")?,
    };
    let others = ["sdist", "archive"].map(|key| package.get(key));
    let mut found = Vec::new();
    for file in wheels.iter().chain(others.into_iter().flatten()) {
        found.push(read_file(file)?);
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err("it has no `wheels`, `sdist`, `archive` or `directory`".to_owned()),
    }
}

fn read_file(file: &Value) -> Result<LockedFile, String> {
    let text = |key: &str| file.get(key).and_then(Value::as_str);
    let last = |path: &str| {
        let path = path.split(['?', '#']).next().unwrap_or(path);
        decoded(path.rsplit(['/', '\\']).next().unwrap_or(path))
    };
    let name = text("name")
        .map(str::to_owned)
        .or_else(|| text("url").or_else(|| text("path")).map(last))
        .ok_or("a file of it has no `name`, `url` or `path`")?;
    if name.contains('/') || archive::inside(&name).is_err() {
        return Err(format!("`{}` is no name of a file", clip(&name)));
    }
    let hashes = file.get("hashes").and_then(Value::as_table);
    let hashes: Vec<Checksum> = hashes
        .into_iter()
        .flatten()
        .filter_map(|(algorithm, value)| Checksum::parse(algorithm, value.as_str()?))
        .collect();
    if hashes.is_empty() {
        return Err(format!(
            "`{}` has no sha256, sha384 or sha512 in `hashes`",
            clip(&name)
        ));
    }
    Ok(LockedFile {
        name,
        check: Check::All(hashes),
    })
}

/// `%2B` and the like as the character that is meant.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| first == b'%');
        let value = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.unwrap_or(first));
        rest = if value.is_some() {
            &behind[2..]
        } else {
            behind
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn texts<'a>(table: &'a Table, key: &str) -> impl Iterator<Item = &'a str> {
    let list = table.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn lock(rest: &str) -> Result<Vec<Locked>, Vec<String>> {
        let text = format!("lock-version = \"1.0\"\ncreated-by = \"test\"\n{rest}");
        read(&text.replace("HASH", HASH), Wanted::default())
    }

    #[test]
    fn extras_and_groups_are_chosen_by_name() {
        let package = |name: &str, marker: &str| {
            format!(
                "[[packages]]\nname = \"{name}\"\nmarker = \"{marker}\"\n\
                 directory = {{ path = \"x\" }}\n"
            )
        };
        let text = "lock-version = \"1.0\"\nextras = [\"web\", \"cli\"]\n\
                    dependency-groups = [\"dev\", \"docs\"]\ndefault-groups = [\"dev\"]\n"
            .to_owned()
            + &package("w", "'web' in extras")
            + &package("dev", "'dev' in dependency_groups")
            + &package("docs", "'docs' in dependency_groups");
        let names = |extras: &[&str], groups: Option<&[&str]>| {
            let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
            let (extras, groups) = (owned(extras), groups.map(owned));
            let wanted = Wanted {
                extras: &extras,
                groups: groups.as_deref(),
            };
            let found = read(&text, wanted)?;
            Ok::<_, Vec<String>>(
                found
                    .iter()
                    .map(Locked::shown)
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(names(&[], None).unwrap(), "dev");
        assert_eq!(names(&["Web"], None).unwrap(), "w dev");
        assert_eq!(names(&[], Some(&[])).unwrap(), "");
        assert_eq!(names(&["cli"], Some(&["docs"])).unwrap(), "docs");
        assert_eq!(
            names(&["wbe"], Some(&["dev", "x"])).unwrap_err(),
            [
                "lock-extras: it has no `wbe`, but web, cli; did you mean `web`?",
                "lock-groups: it has no `x`, but dev, docs",
            ]
        );
    }

    #[test]
    fn only_what_is_for_this_python_is_read() {
        let found = lock(
            r#"
requires-python = ">=3.11"
environments = ["sys_platform == 'win32'", "sys_platform == 'wasi'"]
extras = ["web"]
dependency-groups = ["dev", "docs"]
default-groups = ["dev"]

[[packages]]
name = "Attrs"
version = "26.1.0"
index = "https://pypi.org/simple"
sdist = { url = "https://files.example/attrs-26.1.0.tar.gz", upload-time = 2026-01-01T00:00:00Z, size = 3, hashes = { sha256 = "HASH" } }
wheels = [
  { url = "https://files.example/attrs-26.1.0%2Bx-py3-none-any.whl?a=/b", hashes = { md5 = "0", sha256 = "HASH" } },
  { name = "attrs-26.1.0-cp314-cp314-wasi_0_0_0_wasm32.whl", path = "x/y", hashes = { sha256 = "HASH" } },
]

[[packages]]
name = "colorama"
marker = "sys_platform == 'win32'"

[[packages]]
name = "pytest"
marker = "'dev' in dependency_groups"
archive = { path = "vendor\\pytest-1.tar.gz", hashes = { sha256 = "HASH" } }

[[packages]]
name = "sphinx"
marker = "'docs' in dependency_groups or 'web' in extras"

[[packages]]
name = "app"
directory = { path = ".", editable = true, subdirectory = "py" }
"#,
        )
        .unwrap();
        let shown: Vec<String> = found.iter().map(Locked::shown).collect();
        assert_eq!(shown, ["attrs==26.1.0", "pytest", "app"]);
        let names = |locked: &Locked| match &locked.origin {
            Origin::Files(files) => files.iter().map(|file| file.name.clone()).collect(),
            Origin::Folder(path) => vec![path.clone()],
            Origin::Hashes(_) => Vec::new(),
        };
        assert_eq!(
            names(&found[0]),
            [
                "attrs-26.1.0+x-py3-none-any.whl",
                "attrs-26.1.0-cp314-cp314-wasi_0_0_0_wasm32.whl",
                "attrs-26.1.0.tar.gz",
            ]
        );
        assert_eq!(names(&found[1]), ["pytest-1.tar.gz"]);
        assert_eq!(names(&found[2]), ["./py"]);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let file = "wheels = [{ name = \"a-1-py3-none-any.whl\", hashes = { sha256 = \"HASH\" } }]";
        let problems = lock(&format!(
            "requires-python = \"<3.14\"\n\
             [[packages]]\nname = \"a\"\n{file}\n[[packages]]\nname = \"A\"\n{file}\n\
             [[packages]]\nversion = \"1\"\n[[packages]]\nname = \"b\"\n\
             [[packages]]\nname = \"c\"\nmarker = \"what\"\n\
             [[packages]]\nname = \"d\"\nvcs = {{ type = \"git\", url = \"u\", commit-id = \"01ab\" }}\n\
             [[packages]]\nname = \"e\"\nsdist = {{ name = \"../e\", hashes = {{ sha256 = \"HASH\" }} }}\n\
             [[packages]]\nname = \"f\"\nsdist = {{ name = \"f-1.tar.gz\", hashes = {{ md5 = \"0\" }} }}\n\
             [[packages]]\nname = \"g\"\nrequires-python = \">=4\"\n"
        ))
        .unwrap_err();
        for (problem, said) in problems.iter().zip([
            "it is for Python <3.14",
            "A is locked twice for this Python: the markers of packages[0] and packages[1]",
            "packages[2]: it has no `name`",
            "b: it has no `wheels`",
            "c: the marker `what",
            "d: it is locked as a commit (01ab of u)",
            "e: `../e` is no name of a file",
            "f: `f-1.tar.gz` has no sha256",
            "g: it is for Python >=4",
        ]) {
            assert!(problem.contains(said), "{problem}");
        }
        assert_eq!(problems.len(), 9, "{problems:?}");
        for (text, said) in [
            ("lock-version = \"2.0\"\npackages = []", "`2.0`"),
            ("packages = []", "none"),
            ("lock-version = \"1.0\"", "no `[[packages]]`"),
            ("lock-version = \"1.0\npackages", "TOML parse error"),
            (
                "lock-version = \"1.0\"\nenvironments = [\"os_name == 'nt'\"]\npackages = []",
                "made for other systems",
            ),
        ] {
            let problems = read(text, Wanted::default()).unwrap_err().join("\n");
            assert!(problems.contains(said), "{problems}");
        }
        assert_eq!(lock("packages = []").unwrap(), []);
    }
}
