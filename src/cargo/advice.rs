//! What a build says when it is done: what it built, and how to make it faster.

use crate::artifacts::Artifacts;
use crate::cargo::directives::Directive;
use crate::config::Config;
use std::time::Duration;

/// The packages that a build spends its time in.
pub(crate) const HOT_PACKAGES: [&str; 10] = [
    "cranelift-codegen",
    "winch-codegen",
    "regalloc2",
    "smallvec",
    "wasmparser",
    "wasmtime-environ",
    "wasmtime-wizer",
    "sha2",
    "zstd-sys",
    "eryx-preinit-build",
];

/// Below this, an unoptimised build script is not worth a warning.
pub(crate) const SLOW: Duration = Duration::from_secs(4);

/// Warnings after a build that ran the pipeline.
pub(crate) fn advice(config: &Config, artifacts: &Artifacts, took: Duration) -> Vec<Directive> {
    let wasm = &artifacts.component;
    let mut directives = Vec::new();
    if config.summary {
        directives.push(Directive::Warning(format!(
            "eryx-preinit-build: {} ({:.1} MB, {} import{}) {} in {:.1} s",
            config.output,
            wasm.bytes as f64 / 1e6,
            config.imports.len(),
            if config.imports.len() == 1 { "" } else { "s" },
            if wasm.cached {
                "from the cache"
            } else {
                "built"
            },
            took.as_secs_f64(),
        )));
    }
    if config.warn_unoptimized && env!("ERYX_PREINIT_OPT_LEVEL") == "0" && took > SLOW {
        directives.push(Directive::Warning(format!(
            "eryx-preinit-build took {:.0} s because cargo compiles build scripts without \
             optimisation; what helps is opt-level = 1 in [profile.dev.package] of the workspace \
             for {} (docs/performance.md, \"Make it fast\"; warn-unoptimized = false in \
             [package.metadata.eryx] hides this)",
            took.as_secs_f64(),
            HOT_PACKAGES.join(", "),
        )));
    }
    directives
}

/// For a program that has eryx compile the component whenever it starts.
pub(crate) fn native_code_for_eryx(version: &str) -> Directive {
    Directive::Warning(format!(
        "eryx-preinit-build: eryx {version} will compile python.wasm at every start of the program, \
         which takes seconds to minutes; to have it done here, once, write `fn main() -> \
         Result<(), eryx_preinit_build::Error> {{ eryx_preinit_build::run_with_eryx!().map(drop) }}` \
         in build.rs, with eryx in [build-dependencies] (docs/native-code.md, \"For eryx\"; \
         warn-unoptimized = false in [package.metadata.eryx] hides this)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_have_the_profile_lines_of_the_warning() {
        let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md"));
        let lines: Vec<&str> = document
            .lines()
            .filter_map(|line| line.strip_suffix(".opt-level = 1"))
            .collect();
        assert_eq!(lines, HOT_PACKAGES);
    }
}
