//! `OUT_DIR/python.rs`: what a program needs to load the native code, or a compressed
//! component, as one module of Rust that it includes.
//!
//! It repeats the settings the code was compiled with, so that the program cannot
//! state them differently, and holds the length and a checksum, so that other
//! bytes are refused before Wasmtime, which trusts what it loads, sees them.

use crate::config::Precompile;
use crate::guest::engine::Compiler;
use crate::native::artifact::Artifact;
use crate::native::target::Target;
use crate::store::digest::Digest;
use std::path::Path;

// The checksum, for this crate and for the generated file: the same code.
include!("loader/checksum.rs");
const CHECKSUM: &str = include_str!("loader/checksum.rs");

const TEMPLATE: &str = include_str!("loader/python.rs.in");
const EMBEDDED: &str = include_str!("loader/embedded.rs.in");
const COMPRESSED: &str = include_str!("loader/compressed.rs.in");
const WASM: &str = include_str!("loader/wasm.rs.in");
const POOLING: &str = include_str!("loader/pooling.rs.in");
const ERYX: &str = include_str!("loader/eryx.rs.in");
const ERYX_EMBEDDED: &str = include_str!("loader/eryx-embedded.rs.in");
const ERYX_COMPRESSED: &str = include_str!("loader/eryx-compressed.rs.in");
const ERYX_PLACEHOLDER: &str = include_str!("loader/eryx-placeholder.rs.in");
const PLACEHOLDER: &str = include_str!("loader/placeholder.rs.in");

/// What is mapped starts at a page.
const PAGE_BYTES: u64 = 4096;

/// What the generated file describes.
pub(crate) struct Loader<'a> {
    /// The file beside it in OUT_DIR.
    pub(crate) file_name: &'a str,
    /// What the names of the output's variables start with.
    pub(crate) variables: &'a str,
    pub(crate) code: &'a [u8],
    pub(crate) digest: Digest,
    pub(crate) compiler: Compiler,
    pub(crate) target: &'a Target,
    pub(crate) precompile: &'a Precompile,
    pub(crate) imports: &'a [String],
    /// Whether Python finds in folders what was not imported.
    pub(crate) mounts: bool,
    /// Whether the program holds the code compressed.
    pub(crate) compressed: bool,
}

impl Loader<'_> {
    /// The text of the file.
    pub(crate) fn render(&self) -> String {
        let mut checksum = Checksum::new();
        checksum.update(self.code);
        let strategy = match self.compiler {
            // Also without its compiler, Wasmtime has to know the calling
            // convention.
            Compiler::Winch => {
                "// Needs Wasmtime's feature `winch`, or precompile.compiler = \"cranelift\".\n            \
                 .strategy(wasmtime::Strategy::Winch)\n            "
            }
            Compiler::Cranelift => "",
        };
        let artifact = Artifact::parse(self.code).ok();
        let version = artifact.as_ref().and_then(|a| a.wasmtime_version().ok());
        let alignment = artifact.as_ref().map_or(1, Artifact::alignment);
        let embedded = match self.compressed {
            true => COMPRESSED,
            false => EMBEDDED,
        };
        let values = [
            ("@EMBEDDED@", embedded.to_owned()),
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@VARIABLES@", self.variables.to_owned()),
            ("@FILE@", literal(&format!("/{}", self.file_name))),
            (
                "@COMPRESSED_FILE@",
                literal(&format!("/{}.zst", self.file_name)),
            ),
            ("@ALIGN@", alignment.max(PAGE_BYTES).to_string()),
            ("@BYTES@", self.code.len().to_string()),
            ("@SHA256@", literal(&self.digest.to_string())),
            ("@CHECKSUM@", format!("{:#018x}", checksum.finish())),
            ("@IMPORTS@", list(self.imports)),
            ("@MOUNTS@", self.mounts.to_string()),
            ("@TARGET@", literal(&self.target.triple)),
            ("@CPU@", literal(self.precompile.cpu.name())),
            ("@COMPILER@", literal(self.compiler.name())),
            ("@WASMTIME@", literal(version.unwrap_or_default())),
            ("@STRATEGY@", strategy.to_owned()),
            (
                "@POOLING@",
                match self.precompile.pooling {
                    true => POOLING.to_owned(),
                    false => String::new(),
                },
            ),
            ("@EPOCH@", self.precompile.epoch_interruption.to_string()),
            ("@FUEL@", self.precompile.consume_fuel.to_string()),
            ("@COW@", self.precompile.memory_init_cow.to_string()),
            ("@ADDRESS_MAP@", self.precompile.address_map.to_string()),
        ];
        fill(TEMPLATE, &values)
    }
}

/// What the generated file for a compressed component describes.
pub(crate) struct WasmLoader<'a> {
    /// The component's, in OUT_DIR.
    pub(crate) file_name: &'a str,
    /// What the names of the output's variables start with.
    pub(crate) variables: &'a str,
    pub(crate) bytes: usize,
    pub(crate) digest: Digest,
    pub(crate) imports: &'a [String],
    /// Whether Python finds in folders what was not imported.
    pub(crate) mounts: bool,
}

impl WasmLoader<'_> {
    /// The text of the file.
    pub(crate) fn render(&self) -> String {
        let values = [
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@VARIABLES@", self.variables.to_owned()),
            (
                "@COMPRESSED_FILE@",
                literal(&format!("/{}.zst", self.file_name)),
            ),
            ("@BYTES@", self.bytes.to_string()),
            ("@SHA256@", literal(&self.digest.to_string())),
            ("@IMPORTS@", list(self.imports)),
            ("@MOUNTS@", self.mounts.to_string()),
        ];
        fill(WASM, &values)
    }
}

/// `names` as a Rust slice of strings.
fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!("&[{}]", names.join(", "))
}

/// What the generated file for eryx describes.
pub(crate) struct EryxLoader<'a> {
    /// The file beside it in OUT_DIR.
    pub(crate) file_name: &'a str,
    pub(crate) bytes: usize,
    pub(crate) digest: Digest,
    pub(crate) target: &'a Target,
    pub(crate) imports: &'a [String],
    pub(crate) stdlib: &'a Path,
    pub(crate) site_packages: Option<&'a Path>,
    /// Whether the program holds the code compressed.
    pub(crate) compressed: bool,
}

impl EryxLoader<'_> {
    /// The text of the file.
    pub(crate) fn render(&self) -> String {
        let folder = |path: &Path| literal(&path.to_string_lossy());
        let site_packages = self.site_packages.map_or_else(|| literal(""), folder);
        let embedded = match self.compressed {
            true => ERYX_COMPRESSED,
            false => ERYX_EMBEDDED,
        };
        let values = [
            ("@EMBEDDED@", embedded.to_owned()),
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@FILE@", literal(&format!("/{}", self.file_name))),
            (
                "@COMPRESSED_FILE@",
                literal(&format!("/{}.zst", self.file_name)),
            ),
            ("@BYTES@", self.bytes.to_string()),
            ("@SHA256@", literal(&self.digest.to_string())),
            ("@IMPORTS@", list(self.imports)),
            ("@TARGET@", literal(&self.target.triple)),
            ("@STDLIB@", folder(self.stdlib)),
            ("@SITE_PACKAGES@", site_packages),
        ];
        fill(ERYX, &values)
    }
}

/// The file of a build that wrote no Python: it compiles, and does not load.
pub(crate) fn placeholder(reason: &str, for_eryx: bool) -> String {
    fill(
        match for_eryx {
            true => ERYX_PLACEHOLDER,
            false => PLACEHOLDER,
        },
        &[
            ("@VERSION@", env!("CARGO_PKG_VERSION").to_owned()),
            ("@REASON@", literal(reason)),
        ],
    )
}

fn fill(template: &str, values: &[(&str, String)]) -> String {
    let body: String = CHECKSUM
        .lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("    {line}\n"),
        })
        .collect();
    let mut text = template.replace("    @CHECKSUM_CODE@\n", &body);
    for (name, value) in values {
        text = text.replace(name, value);
    }
    text
}

/// `text` as a Rust string literal.
fn literal(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(parts: &[&[u8]]) -> u64 {
        let mut checksum = Checksum::new();
        for part in parts {
            checksum.update(part);
        }
        checksum.finish()
    }

    #[test]
    fn the_checksum_depends_on_every_bit_and_the_length_only() {
        let bytes: Vec<u8> = (0..200).map(|i| (i * 7) as u8).collect();
        let whole = sum(&[&bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(sum(&[&bytes[..cut], &bytes[cut..]]), whole);
            assert_ne!(sum(&[&bytes[..cut]]), whole);
        }
        for bit in 0..8 * bytes.len() {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&[&other]), whole, "bit {bit}");
        }
        assert_ne!(sum(&[&[0; 31]]), sum(&[&[0; 32]]));
        assert_ne!(sum(&[]), sum(&[&[0]]));
    }

    #[test]
    fn every_value_is_filled_in() {
        let precompile = Precompile::default();
        let target = Target::resolve(&precompile, None).unwrap();
        let loader = |compressed| {
            Loader {
                file_name: "python.cwasm",
                variables: "ERYX_PYTHON_",
                code: b"",
                digest: Digest::of(b""),
                compiler: Compiler::Winch,
                target: &target,
                precompile: &precompile,
                imports: &["json".to_owned()],
                mounts: true,
                compressed,
            }
            .render()
        };
        let eryx = |compressed| {
            EryxLoader {
                file_name: "python.cwasm",
                bytes: 0,
                digest: Digest::of(b""),
                target: &target,
                imports: &[],
                stdlib: Path::new("/out/stdlib"),
                site_packages: None,
                compressed,
            }
            .render()
        };
        let wasm = WasmLoader {
            file_name: "web.wasm",
            variables: "ERYX_WEB_",
            bytes: 8,
            digest: Digest::of(b""),
            imports: &[],
            mounts: false,
        };
        assert!(eryx(false).contains(r#"sandbox_at("/out/stdlib", "")"#));
        assert!(loader(false).contains(".strategy(wasmtime::Strategy::Winch)"));
        for text in [loader(true), eryx(true)] {
            assert!(text.contains(r#""/python.cwasm.zst""#), "{text}");
        }
        assert!(wasm.render().contains(r#""/web.wasm.zst""#));
        let texts = [false, true].map(|second| {
            let reason = "a \"reason\"";
            [loader(second), eryx(second), placeholder(reason, second)]
        });
        for text in texts.iter().flatten().chain([&wasm.render()]) {
            assert!(!text.contains('@'), "{text}");
        }
    }
}
