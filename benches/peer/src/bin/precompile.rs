//! Times precompilation with Cranelift: all of Python, and again when one import more
//! changed nothing but its memory.
//!
//! ```text
//! cargo run --release --manifest-path benches/peer/Cargo.toml --bin precompile
//! ```
//!
//! The stages print their own times on stderr; the line that counts is `precompile`.

use anyhow::Result;
use eryx_preinit_build::{Builder, CompilerChoice, Precompile};

fn main() -> Result<()> {
    let out = tempfile::tempdir()?;
    let mut builder = Builder::new(out.path(), peer::runtime_folder()?);
    builder.config.imports = peer::IMPORTS.map(String::from).to_vec();
    let mut precompile = Precompile::default();
    precompile.compiler = CompilerChoice::Cranelift;
    builder.config.precompile = Some(precompile);
    builder.build()?;
    builder.config.imports.push("csv".into());
    builder.build()?;
    Ok(())
}
