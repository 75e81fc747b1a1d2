#[path = "../native/mod.rs"]
mod native;

use eryx_preinit_build::{Builder, Error, Extension};

fn main() -> Result<(), Error> {
    let mut builder = Builder::from_env()?;
    // Two native extensions: one is imported before the snapshot, one in the program.
    for (name, answer) in [("early", 1), ("late", 2)] {
        let path = format!("{}/{name}.so", std::env::var("OUT_DIR").unwrap());
        let library = native::extension(name, answer);
        if std::fs::read(&path).ok().as_ref() != Some(&library) {
            std::fs::write(&path, library).unwrap();
        }
        builder.config.extensions.push(Extension::new(path));
    }
    builder.config.imports.push("early".into());
    builder.precompile_with_eryx(|wasm, target| {
        eryx::PythonExecutor::precompile_with_target(wasm, Some(target))
    });
    builder.build().map(drop)
}
