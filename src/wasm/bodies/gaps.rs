//! Finding what the profiles lack: the functions that packages run, or compiling their
//! sources, and that are not compiled at first.
//!
//! With a folder of packages as an installer leaves it, and code that imports them:
//!
//! ```text
//! ERYX_PREINIT_RECORD=/path/to/eryx-runtime-0.14.0 ERYX_PREINIT_GAPS=/path/to/site-packages \
//!     ERYX_PREINIT_GAPS_CODE='import rich.console' \
//!     cargo test --release --lib profile_gaps -- --ignored --nocapture
//! ```
//!
//! What it prints belongs into `everyday.py`, `methods.py`, `objects.py` or `syntax.py`.

use super::record::run;
use super::*;
use crate::guest::environment::SITE_PACKAGES;
use crate::inputs::{runtime, stdlib, walk};
use crate::packages::bytecode::Mount;
use crate::wasm::link;
use std::fs;
use std::path::Path;
use wasmparser::{KnownCustom, Name, Parser, Payload};

#[test]
#[ignore = "prints what to record; run by hand with packages at hand"]
#[expect(
    clippy::disallowed_methods,
    reason = "a maintainer's switches, not a build's"
)]
fn profile_gaps() {
    let variable = |name| std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set"));
    let (packages, code) = (
        variable("ERYX_PREINIT_GAPS"),
        variable("ERYX_PREINIT_GAPS_CODE"),
    );
    let dir = tempfile::tempdir().unwrap();
    let stdlib = stdlib::unpack_stdlib(stdlib::EMBEDDED_STDLIB, dir.path()).unwrap();
    // A copy: bytecode would be written beside the sources.
    let site_packages = dir.path().join("site-packages");
    copy(Path::new(&packages), &site_packages);
    let mount = Mount {
        folder: &site_packages,
        guest_path: SITE_PACKAGES,
    };
    let sources = mount.without_bytecode().unwrap();
    let code = [
        format!("import sys; sys.path.insert(0, {SITE_PACKAGES:?})"),
        code.into_string().unwrap(),
    ];
    for package in std::env::split_paths(&variable("ERYX_PREINIT_RECORD")) {
        let files = runtime::library_files(&package).unwrap();
        let linked = |strip| link::link(&runtime::load(&files, strip).unwrap(), &[]).unwrap();
        let (stripped, named) = (linked(true), linked(false));
        let folders = [stdlib.as_path(), &site_packages];
        let ran = run(&stripped, folders, None, &code, &sources, true);
        let modules = [&stripped, &named].map(|linked| sections::core_modules(linked).unwrap());
        for ((module, named), ran) in modules[0].iter().zip(&modules[1]).zip(ran) {
            for name in gaps(module, named, &ran).unwrap() {
                println!("{}: {name}", package.display());
            }
        }
    }
}

/// The names of the functions that ran and are not compiled at first.
fn gaps(module: &[u8], named: &[u8], ran: &[usize]) -> Result<Vec<String>> {
    let Some(hot) = Profile::recorded()?.hot(module, Bodies::Start)? else {
        return Ok(Vec::new());
    };
    let imported = sections::imported_functions(&sections::parse(module)?.1)?;
    let mut names = HashMap::new();
    for payload in Parser::new(0).parse_all(named) {
        let Payload::CustomSection(section) = payload? else {
            continue;
        };
        let KnownCustom::Name(section) = section.as_known() else {
            continue;
        };
        for name in section {
            let Name::Function(map) = name? else { continue };
            for naming in map {
                let naming = naming?;
                names.insert(naming.index, naming.name);
            }
        }
    }
    let cold = ran.iter().filter(|&&function| !hot[function]);
    let shown = cold.map(|&function| {
        let index = imported + u32::try_from(function)?;
        Ok(names
            .get(&index)
            .copied()
            .unwrap_or("a function without a name")
            .to_owned())
    });
    shown.collect()
}

fn copy(from: &Path, to: &Path) {
    for path in walk::tree(from).unwrap() {
        let target = to.join(path.strip_prefix(from).unwrap());
        if path.is_file() && !path.iter().any(|part| part == "__pycache__") {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&path, target).unwrap();
        }
    }
}
