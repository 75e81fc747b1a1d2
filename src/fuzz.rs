//! The root of another crate, `fuzz/Cargo.toml`: the source files that read
//! untrusted bytes, without Wasmtime, and what has to hold for any bytes.

#![allow(dead_code, unused_imports, reason = "the files serve the whole crate")]

mod archives;
mod config;
mod error;
mod python;
mod store {
    pub(crate) mod checksum;
    pub(crate) mod digest;
}
mod wasm {
    pub(crate) mod bodies;
    pub(crate) mod callees;
    pub(crate) mod complete;
    pub(crate) mod dylink;
    pub(crate) mod environ;
    pub(crate) mod fuse;
    pub(crate) mod image;
    pub(crate) mod initialize;
    pub(crate) mod profile;
    pub(crate) mod sections;
    pub(crate) mod strip;
    pub(crate) mod validate;
}

use archives::lock::{self, file_name::FileName, pylock, requirements_txt};
use archives::project::view::{Entry, Files};
use archives::{Importable, project, sdist, wheel};
use config::Config;
use std::collections::BTreeMap;
use std::path::Path;
use wasm::fuse::{self, Fused};
use wasm::{bodies, complete, dylink, initialize, sections, strip, validate};

/// A `[package.metadata.eryx]` block, as `cargo metadata` hands it over: a
/// configuration that passes its own checks, or a report that can be printed.
pub fn metadata_block(data: &[u8]) {
    let Ok(block) = serde_json::from_slice(data) else {
        return;
    };
    match Config::from_metadata(Some(&block), Path::new("/project/Cargo.toml")) {
        Ok((config, snapshots)) => {
            let valid = "what was read is valid";
            config.check().expect(valid);
            config::check_snapshots(&snapshots, &config.output).expect(valid);
        }
        Err(error) => {
            let report = format!("{error:?}");
            assert!(
                report.len() < 10_000 + 200 * data.len(),
                "{} bytes",
                report.len()
            );
        }
    }
}

/// Bytes as a component: every pass returns. A valid component stays valid, keeps
/// its modules, and has nothing custom after stripping.
pub fn rewriter(data: &[u8]) {
    let valid = validate::validate(data).is_ok();
    let check = |pass: &str, result: anyhow::Result<Vec<u8>>| match result {
        Ok(new) if valid => {
            if let Err(error) = validate::validate(&new) {
                panic!("{pass} made a valid component invalid: {error:?}");
            }
            Some(new)
        }
        Ok(new) => Some(new),
        Err(_) => None,
    };
    let stripped = strip::strip_custom_sections(data).map(|new| new.into_owned());
    if let Some(stripped) = check("stripping", stripped) {
        let again = strip::strip_custom_sections(&stripped).unwrap();
        assert_eq!(again, stripped, "nothing is left to strip");
    }
    let restored = initialize::restore_initialize(data).map(|new| new.into_owned());
    if let Some(restored) = check("restoring", restored) {
        let again = initialize::restore_initialize(&restored).unwrap();
        assert_eq!(again, restored, "nothing is left to restore");
    }
    if let Some(skeleton) = check("taking bodies out", bodies::skeleton(data)) {
        // Not valid itself where a memory is exported that is said to be larger.
        let bare = complete::bare(data);
        let whole = bare.and_then(|bare| complete::completed(&bare, data, &[]));
        if let Some(whole) = check("putting bodies back", whole) {
            let modules = |bytes| sections::core_modules(bytes).unwrap().len();
            assert_eq!(modules(&whole), modules(data));
        }
        check(
            "dropping exports",
            bodies::runnable(&skeleton, data, bodies::Bodies::All),
        );
    }
}

/// Bytes as a component whose modules are fused: a valid one stays valid, and says of
/// each function what it was made from.
pub fn fuse_modules(data: &[u8]) {
    let Ok(Fused::Component(fused)) = fuse::fuse(data) else {
        return;
    };
    if validate::validate(data).is_err() {
        return;
    }
    if let Err(error) = validate::validate(&fused) {
        panic!("fusing made a valid component invalid: {error:?}");
    }
    for module in sections::core_modules(&fused).unwrap() {
        wasm::profile::digests(module).unwrap();
    }
}

/// Bytes as a shared library: what it is, or why it is none, and then the symbols it
/// asks for.
pub fn shared_library(data: &[u8]) {
    match dylink::SharedLibrary::parse(data) {
        Ok(_) => {
            let library = dylink::SharedLibrary::read_base(data).expect("it was read before");
            let set = [("fuzzed", library)];
            let findings = dylink::check_symbols(&[], &set);
            assert!(findings.errors.len() <= data.len());
        }
        Err(what) => assert!(what.len() < 1000 + 10 * data.len(), "{} bytes", what.len()),
    }
}

/// Bytes as a wheel: files that stay in their folder, no more than the limits allow,
/// or what is wrong.
pub fn wheel(data: &[u8]) {
    check_importable(data, wheel::read("app-1.0-py3-none-any.whl", data));
}

/// Bytes as a source distribution, or as an installed tree: as for wheels.
pub fn sdist(data: &[u8]) {
    check_importable(data, sdist::read(data));
}

fn check_importable(data: &[u8], result: Result<Importable, String>) {
    match result {
        Ok(importable) => {
            for (path, _) in &importable.files {
                check_path(path);
            }
            let twice = importable.files.windows(2).find(|pair| pair[0].0 >= pair[1].0);
            assert!(twice.is_none(), "{:?}", twice.map(|pair| &pair[0].0));
        }
        Err(what) => assert!(
            what.len() < 10_000 + 10 * data.len(),
            "{} bytes",
            what.len()
        ),
    }
}

/// Bytes as a lock file of either kind: packages whose files have bare names and something
/// to check them by, or problems that can be read.
pub fn lock_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for read in [
        pylock::read(text, config::Wanted::default()),
        requirements_txt::read(text).map(|read| read.locked),
    ] {
        match read {
            Ok(packages) => packages.iter().for_each(locked),
            Err(problems) => {
                assert!(!problems.is_empty() && problems.len() < 30);
                let bytes: usize = problems.iter().map(String::len).sum();
                assert!(bytes < 100_000 + 10 * data.len(), "{bytes} bytes");
            }
        }
    }
}

fn locked(package: &lock::Locked) {
    let shown = package.shown();
    assert!(!shown.contains(char::is_whitespace), "{shown:?}");
    if let lock::Origin::Files(files) = &package.origin {
        assert!(!files.is_empty(), "{shown:?}");
        for file in files {
            let odd = |c: char| c.is_control() || "/\\".contains(c);
            assert!(!file.name.contains(odd), "{:?}", file.name);
            assert!(![".", ".."].contains(&file.name.as_str()));
            FileName::parse(&file.name);
        }
    }
}

fn check_path(path: &str) {
    let mut odd = path.split('/').filter(|part| ["", ".", ".."].contains(part));
    assert!(odd.next().is_none(), "{path:?}");
}

/// Bytes as the files of a project: a layout of parts that are there and stay in their
/// folder, or what is wrong. Files end with a byte 1, and their names with a byte 0.
pub fn project(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files = text.split('\u{1}').filter_map(|file| file.split_once('\0'));
    let inside = |name: &str| {
        let mut parts = name.split('/');
        parts.all(|part| !["", ".", ".."].contains(&part)) && !name.contains('\\')
    };
    let files = files
        .filter(|(name, _)| inside(name))
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
    let project = Project(files.collect());
    let Ok(layout) = project::read(&project) else {
        return;
    };
    assert!(!layout.parts.is_empty());
    for part in &layout.parts {
        assert!(project.is_file(&part.from) || project.is_folder(&part.from), "{part:?}");
        if !part.to.is_empty() {
            check_path(&part.to);
        }
    }
    for (path, content) in &layout.made {
        check_path(path);
        assert!(content.len() < 1000 + 20 * data.len());
    }
}

/// The files of a project.
struct Project(BTreeMap<String, String>);

impl Files for Project {
    fn list(&self, folder: &str) -> Vec<Entry> {
        let mut entries: BTreeMap<&str, bool> = BTreeMap::new();
        for path in self.0.keys() {
            let rest = match folder {
                "" => Some(path.as_str()),
                folder => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
            };
            if let Some(rest) = rest {
                let (name, is_folder) = match rest.split_once('/') {
                    Some((name, _)) => (name, true),
                    None => (rest, false),
                };
                entries.insert(name, is_folder);
            }
        }
        let entry = |(name, is_folder): (&str, bool)| Entry {
            name: name.to_owned(),
            is_folder,
        };
        entries.into_iter().map(entry).collect()
    }

    fn is_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn is_folder(&self, path: &str) -> bool {
        path.is_empty() || self.0.keys().any(|name| name.starts_with(&format!("{path}/")))
    }

    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.clone().into_bytes())
    }
}
