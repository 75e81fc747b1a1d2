//! The pipeline outside a build script: explicit paths, no cargo.
//!
//! ```text
//! cargo run --example preinit -- OUT_DIR ERYX_RUNTIME_FOLDER [IMPORT…]
//! ```

use eryx_preinit_build::{Builder, Error};

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let (Some(out_dir), Some(runtime)) = (args.next(), args.next()) else {
        eprintln!("usage: preinit OUT_DIR ERYX_RUNTIME_FOLDER [IMPORT…]");
        std::process::exit(2);
    };
    std::fs::create_dir_all(&out_dir).expect("OUT_DIR can be created");
    let mut builder = Builder::new(out_dir, runtime);
    builder.config.imports = args.collect();
    builder.progress(|line| eprintln!("{line}"));
    let artifacts = builder.build()?;
    let wasm = artifacts.component;
    println!(
        "{} {} bytes, sha256 {}",
        wasm.path.display(),
        wasm.bytes,
        wasm.sha256
    );
    Ok(())
}
