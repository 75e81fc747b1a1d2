//! The consumer's own package, out of its Cargo.toml as it lies there: no cargo is asked,
//! so it does not matter whether there is one, or what it thinks of the folders around.

use crate::error::{Error, Report, Stage};
use serde_json::Value as Json;
use std::path::{Component, Path, PathBuf};
use toml::{Table, Value};

/// The consumer's own package.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Consumer {
    pub(crate) name: String,
    /// `None` where the workspace has it.
    pub(crate) version: Option<String>,
    /// `[package.metadata.eryx]`, if there is one.
    pub(crate) block: Option<Json>,
    /// The folder of the workspace it is a member of, or else its own.
    pub(crate) workspace_root: PathBuf,
}

/// The package of the Cargo.toml at `path`, which holds `text`.
///
/// # Errors
/// [`Stage::Config`] when it is no manifest of a package.
pub(crate) fn consumer(path: &Path, text: &str) -> Result<Consumer, Error> {
    let refused = |report: Report| Stage::Config.error(report.hint("run `cargo check` for more"));
    let manifest: Table = text.parse().map_err(|e: toml::de::Error| {
        let shown = format!("`{}` cannot be read", path.display());
        refused(Report::new(shown).source(e))
    })?;
    let name = text_at(&manifest, &["package", "name"]).ok_or_else(|| {
        let shown = format!("`{}` names no package", path.display());
        refused(Report::new(shown))
    })?;
    Ok(Consumer {
        name: name.to_owned(),
        version: text_at(&manifest, &["package", "version"]).map(str::to_owned),
        block: at(&manifest, &["package", "metadata", "eryx"]).map(json),
        workspace_root: workspace_of(path, &manifest),
    })
}

/// The workspace of the Cargo.toml at `path`; its own folder where it cannot be read.
pub(crate) fn workspace_root(path: &Path) -> PathBuf {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    workspace_of(path, &text.parse().unwrap_or_default())
}

/// The folder whose Cargo.lock is that of the package whose `manifest` is at `path`, by
/// cargo's rules: the first folder above that is a workspace and does not exclude it.
fn workspace_of(path: &Path, manifest: &Table) -> PathBuf {
    let own = path.parent().unwrap_or(Path::new("")).to_owned();
    // What cargo unpacked is no member of what lies around it.
    if manifest.contains_key("workspace") || is_unpacked(&own) || is_packaged(&own) {
        return own;
    }
    if let Some(named) = text_at(manifest, &["package", "workspace"]) {
        return plain(&own.join(named));
    }
    let around = own.ancestors().skip(1).find(|folder| {
        let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        let root: Table = text.parse().unwrap_or_default();
        root.contains_key("workspace") && !excludes(folder, &root, &own)
    });
    around.map_or_else(|| own.clone(), Path::to_owned)
}

/// Whether the workspace says that what is in `folder` is not its own.
fn excludes(root: &Path, manifest: &Table, folder: &Path) -> bool {
    let named = |key: &str| {
        let list = at(manifest, &["workspace", key]).and_then(Value::as_array);
        let mut paths = list.into_iter().flatten().filter_map(Value::as_str);
        paths.any(|path| folder.starts_with(plain(&root.join(path))))
    };
    named("exclude") && !named("members")
}

/// Whether cargo unpacked the package in `folder`, out of a registry or by vendoring.
pub(crate) fn is_unpacked(folder: &Path) -> bool {
    [".cargo-ok", ".cargo-checksum.json"]
        .iter()
        .any(|marker| folder.join(marker).exists())
}

/// Whether `folder` is what `cargo package` would upload, where it verifies that.
fn is_packaged(folder: &Path) -> bool {
    folder.join("Cargo.toml.orig").exists()
}

/// `path` without `.` and `..`, by its text alone, as cargo does it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (last, tables) = keys.split_last()?;
    let mut table = table;
    for key in tables {
        table = table.get(*key)?.as_table()?;
    }
    table.get(*last)
}

fn text_at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a str> {
    at(table, keys)?.as_str()
}

/// As cargo hands metadata over. What JSON lacks becomes text, or null.
fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Table(table) => {
            let entries = table.iter().map(|(key, value)| (key.clone(), json(value)));
            Json::Object(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_block_is_what_cargo_metadata_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Cargo.toml");
        let text = "[package]\nname = \"a-b\"\nversion = \"1.2.3-beta.1\"\nedition = \"2024\"\n\
                    [package.metadata.eryx]\nimports = [\"json\", 're']\nsummary = true\n\
                    cache-size = 1_000\nodd = [1.5, -7, 0x10, inf]\n\
                    precompile = { cpu = \"\\u0062aseline\" }\n[workspace]\n";
        fs::create_dir(dir.path().join("src")).unwrap();
        fs::write(dir.path().join("src/lib.rs"), "").unwrap();
        fs::write(&path, text).unwrap();
        let ours = consumer(&path, text).unwrap();
        let theirs = cargo_metadata::MetadataCommand::new()
            .cargo_path(env!("CARGO"))
            .manifest_path(&path)
            .no_deps()
            .other_options(["--offline".to_owned()])
            .exec()
            .unwrap();
        let package = &theirs.packages[0];
        assert_eq!(ours.name, package.name.as_str());
        assert_eq!(ours.version, Some(package.version.to_string()));
        assert_eq!(ours.block.as_ref(), package.metadata.get("eryx"));
        assert_eq!(
            ours.workspace_root,
            theirs.workspace_root.into_std_path_buf()
        );
    }

    #[test]
    fn what_is_no_package_is_said_with_its_line() {
        let path = Path::new("/p/Cargo.toml");
        for (text, said) in [
            ("[package\n", "line 1"),
            ("[workspace]\n", "names no package"),
            ("[package]\nname = 1\n", "names no package"),
        ] {
            let error = consumer(path, text).unwrap_err();
            assert!(format!("{error:?}").contains(said), "{error:?}");
        }
        let none = consumer(path, "[package]\nname = \"a\"\nversion.workspace = true").unwrap();
        assert_eq!((none.version, none.block), (None, None));
    }

    #[test]
    fn the_workspace_is_the_one_that_cargo_finds() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let package = "[package]\nname = \"x\"\nversion = \"1.0.0\"\nedition = \"2024\"\n";
        let write = |path: &str, text: &str| {
            let folder = root.join(path);
            fs::create_dir_all(folder.join("src")).unwrap();
            fs::write(folder.join("src/lib.rs"), "").unwrap();
            fs::write(folder.join("Cargo.toml"), text).unwrap();
        };
        let members = "members = [\"in/*\", \"out/but\", \"far/named\"]";
        write(
            "",
            &format!("[workspace]\n{members}\nexclude = [\"./out\", \"far\"]"),
        );
        for (path, extra) in [
            ("in/member", ""),
            ("out/excluded", ""),
            ("out/but", ""),
            ("out/own", "[workspace]\n"),
            ("far/named", "workspace = \"../..\"\n"),
        ] {
            let text = package.replace('x', path.rsplit('/').next().unwrap());
            write(path, &(text + extra));
        }
        for path in [
            "in/member",
            "out/excluded",
            "out/but",
            "out/own",
            "far/named",
        ] {
            let manifest = root.join(path).join("Cargo.toml");
            let text = fs::read_to_string(&manifest).unwrap();
            let found = consumer(&manifest, &text).unwrap().workspace_root;
            let cargo = std::process::Command::new(env!("CARGO"))
                .args(["locate-project", "--workspace", "--message-format=plain"])
                .current_dir(root.join(path))
                .output()
                .unwrap();
            let said = String::from_utf8(cargo.stdout).unwrap();
            assert_eq!(found.join("Cargo.toml"), Path::new(said.trim()), "{path}");
        }
    }
}
