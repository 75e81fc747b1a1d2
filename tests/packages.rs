//! Native extensions, packages and set-up code, with real libraries and real
//! Python.

mod native;
mod python;

use eryx_preinit_build::Extension;
use python::builder;
use std::fs;

#[test]
fn native_extensions_are_linked_and_imported() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("pkg/__init__.py", b"");
    write("pkg/sub/__init__.py", b"");
    write(
        "pkg/sub/_native.cpython-314-wasm32-wasi.so",
        &native::extension("_native", 1),
    );
    write(
        "top.cpython-314-wasm32-wasi.so",
        &native::extension("top", 2),
    );
    write(
        "odd name.so",
        &native::extension_that_needs("_native", "helper_answer", "libhelper.so"),
    );
    write("libhelper.so", &native::library("helper_answer", 3));
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut builder = builder(&out, &["pkg.sub._native", "top"]);
    builder.config.packages = vec![dir.path().join("pkg")];
    let mut named = Extension::new(dir.path().join("odd name.so"));
    named.module = Some("other._native".to_owned());
    builder.config.extensions = vec![
        Extension::new(dir.path().join("top.cpython-314-wasm32-wasi.so")),
        named,
        Extension::new(dir.path().join("libhelper.so")),
    ];
    builder.config.setup_code = Some(
        "import pkg.sub._native, top, other._native\n\
         got = [pkg.sub._native.answer(), top.answer(), other._native.answer()]\n\
         assert got == [1, 2, 3], got\n"
            .to_owned(),
    );
    let artifacts = builder.build().unwrap();
    assert_eq!(artifacts.warnings, [""; 0]);
    let tree = artifacts.site_packages.unwrap();
    let placeholder = tree.join("pkg/sub/_native.cpython-314-wasm32-wasi.so");
    assert_eq!(fs::metadata(placeholder).unwrap().len(), 0);
}
