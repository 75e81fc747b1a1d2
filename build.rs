//! Tells the crate how and for what it is compiled: a build script that is slow
//! because it is not optimised should say so, and `native` code is for this machine.
//! And which sources it is made of: a path or git dependency changes without its
//! version, and what it made before is not to be taken for what it makes now.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo sets them for build scripts"
    )]
    let [level, host] = ["OPT_LEVEL", "TARGET"].map(|name| std::env::var(name).unwrap_or_default());
    println!("cargo::rustc-env=ERYX_PREINIT_OPT_LEVEL={level}");
    // This crate's target is the machine that the consumer's build script runs on.
    println!("cargo::rustc-env=ERYX_PREINIT_HOST={host}");
    let mut sources = Vec::new();
    files(Path::new("src"), &mut sources)?;
    sources.sort();
    // Not the same with every Rust: then entries of a shared cache are made once more.
    let mut hasher = DefaultHasher::new();
    for path in sources {
        std::fs::read(&path)?.hash(&mut hasher);
        path.hash(&mut hasher);
    }
    println!(
        "cargo::rustc-env=ERYX_PREINIT_SOURCES={:016x}",
        hasher.finish()
    );
    // Who reads no wheels makes other folders.
    let wheels = if cfg!(feature = "wheels") {
        ".wheels"
    } else {
        ""
    };
    println!("cargo::rustc-env=ERYX_PREINIT_FEATURES={wheels}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    Ok(())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
