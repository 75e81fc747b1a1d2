//! The root of another crate, `fuzz/Cargo.toml`: the source files that read
//! untrusted bytes, without Wasmtime, and what has to hold for any bytes.

#![allow(dead_code, unused_imports, reason = "the files serve the whole crate")]

mod archives {
    pub(crate) mod archive;
    pub(crate) mod wheel;
}
mod config;
mod error;
mod python;
mod store {
    pub(crate) mod digest;
}
mod wasm {
    pub(crate) mod bodies;
    pub(crate) mod dylink;
    pub(crate) mod environ;
    pub(crate) mod fuse;
    pub(crate) mod initialize;
    pub(crate) mod profile;
    pub(crate) mod sections;
    pub(crate) mod strip;
    pub(crate) mod validate;
}

use archives::wheel;
use config::Config;
use std::path::Path;
use wasm::fuse::{self, Fused};
use wasm::{bodies, dylink, initialize, sections, strip, validate};

/// A `[package.metadata.eryx]` block, as `cargo metadata` hands it over: a
/// configuration that passes its own checks, or a report that can be printed.
pub fn metadata_block(data: &[u8]) {
    let Ok(block) = serde_json::from_slice(data) else {
        return;
    };
    match Config::from_metadata(Some(&block), Path::new("/project/Cargo.toml")) {
        Ok(config) => config.check().expect("what was read is valid"),
        Err(error) => {
            let report = format!("{error:?}");
            assert!(
                report.len() < 1000 + 200 * data.len(),
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
        let whole = bodies::with_bodies(&skeleton, data);
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
    match wheel::read("app-1.0-py3-none-any.whl", data) {
        Ok(wheel) => {
            for (path, _) in &wheel.files {
                let parts = path.split('/');
                let mut odd = parts.filter(|part| ["", ".", ".."].contains(part));
                assert!(odd.next().is_none(), "{path:?}");
            }
        }
        Err(what) => assert!(
            what.len() < 10_000 + 10 * data.len(),
            "{} bytes",
            what.len()
        ),
    }
}
