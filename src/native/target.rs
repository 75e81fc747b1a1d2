//! Which machine native code is for: the triple, and what its processor has.
//!
//! Wasmtime looks at the processor it runs on unless it is given a triple; then
//! it expects nothing beyond the architecture's minimum. So code for other
//! machines always names its triple, also where it is this machine's.

use crate::config::{CpuLevel, Precompile, nearest};
use crate::error::{Error, Report, Stage};
use std::str::FromStr;
use target_lexicon::{OperatingSystem, Triple};
use wasmtime::Config;
use wasmtime_environ::object::elf;

/// The triple this crate, and so the build script, is compiled for.
pub(crate) const HOST: &str = env!("ERYX_PREINIT_HOST");

/// For error messages: the targets people have. Others of these architectures and
/// systems are taken too.
const EXAMPLES: [&str; 10] = [
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "x86_64-pc-windows-msvc",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "aarch64-apple-darwin",
    "aarch64-pc-windows-msvc",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
];

/// Each x86-64 level has what those before it have. Only what Cranelift knows.
const X86_V2: &[&str] = &[
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
    "has_cmpxchg16b",
];
const X86_V3: &[&str] = &[
    "has_avx",
    "has_avx2",
    "has_bmi1",
    "has_bmi2",
    "has_fma",
    "has_lzcnt",
];
const X86_V4: &[&str] = &["has_avx512f", "has_avx512dq", "has_avx512vl"];
const LSE: &[&str] = &["has_lse"];

/// Processors that Cranelift makes code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Architecture {
    X86_64,
    Aarch64,
    Riscv64,
    S390x,
}

impl Architecture {
    fn of(triple: &str) -> Option<Self> {
        use target_lexicon::Architecture as Known;
        match Triple::from_str(triple).ok()?.architecture {
            Known::X86_64 | Known::X86_64h => Some(Self::X86_64),
            Known::Aarch64(_) => Some(Self::Aarch64),
            Known::Riscv64(_) => Some(Self::Riscv64),
            Known::S390x => Some(Self::S390x),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }

    fn levels(self) -> &'static [CpuLevel] {
        use CpuLevel::{Baseline, Lse, Native, X86V2, X86V3, X86V4};
        match self {
            Self::X86_64 => &[Baseline, Native, X86V2, X86V3, X86V4],
            Self::Aarch64 => &[Baseline, Native, Lse],
            Self::Riscv64 | Self::S390x => &[Baseline, Native],
        }
    }
}

/// A machine that code can be made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) triple: String,
    architecture: Architecture,
    cpu: CpuLevel,
}

impl Target {
    /// What the configuration names, or else `cargo`, the target of the program,
    /// or else this machine.
    ///
    /// # Errors
    /// [`Stage::Config`] that lists what there is, when no code can be made for the
    /// target or its processors have no such level.
    pub(crate) fn resolve(precompile: &Precompile, cargo: Option<&str>) -> Result<Self, Error> {
        let triple = precompile.target.as_deref().or(cargo).unwrap_or(HOST);
        let unknown = |source: Option<wasmtime::Error>| {
            let report = Report::new(format!("no native code can be made for `{triple}`"))
                .note(format!("valid targets are {}", EXAMPLES.join(", ")))
                .note("other systems on x86_64, aarch64, riscv64 and s390x are taken too");
            let report = match source {
                Some(source) => report.source(source),
                None => report,
            };
            let hint = match nearest(triple, EXAMPLES) {
                Some(near) if precompile.target.is_some() => format!("did you mean `{near}`?"),
                _ => "set precompile = false in [package.metadata.eryx] for this target, or \
                      precompile.target to the one that runs the code"
                    .to_owned(),
            };
            Stage::Config.error(report.hint(hint))
        };
        let architecture = Architecture::of(triple).ok_or_else(|| unknown(None))?;
        Config::new()
            .target(triple)
            .map_err(|error| unknown(Some(error)))?;
        let target = Self {
            triple: triple.to_owned(),
            architecture,
            cpu: precompile.cpu,
        };
        target.check()?;
        Ok(target)
    }

    fn check(&self) -> Result<(), Error> {
        let levels = self.architecture.levels();
        if !levels.contains(&self.cpu) {
            let names: Vec<&str> = levels.iter().map(|level| level.name()).collect();
            return Err(Stage::Config.error(
                Report::new(format!(
                    "precompile.cpu: {} processors have no level `{}`",
                    self.architecture.name(),
                    self.cpu.name()
                ))
                .note(format!("the target is {}", self.triple))
                .note(format!("its levels are {}", names.join(", "))),
            ));
        }
        if self.cpu == CpuLevel::Native && self.triple != HOST {
            return Err(Stage::Config.error(
                Report::new("precompile.cpu: `native` is this machine, and the target is another")
                    .note(format!(
                        "this machine is {HOST}, the target {}",
                        self.triple
                    ))
                    .hint("name the level of the machine that will run the code"),
            ));
        }
        if Some(self.architecture) != Architecture::of(HOST) && !cfg!(feature = "all-arch") {
            return Err(Stage::Config.error(
                Report::new(format!(
                    "precompile: code for {} needs the feature `all-arch` of eryx-preinit-build",
                    self.architecture.name()
                ))
                .note(format!(
                    "this machine is {HOST}, the target {}",
                    self.triple
                ))
                .hint(
                    "write eryx-preinit-build = { version = \"0.1\", features = [\"all-arch\"] } \
                     under [build-dependencies]; it adds Cranelift's other back ends",
                ),
            ));
        }
        Ok(())
    }

    pub(crate) fn has_winch(&self) -> bool {
        use Architecture::{Aarch64, X86_64};
        matches!(self.architecture, X86_64 | Aarch64)
    }

    pub(crate) fn is_windows(&self) -> bool {
        let triple = Triple::from_str(&self.triple);
        triple.is_ok_and(|triple| triple.operating_system == OperatingSystem::Windows)
    }

    /// The ELF machine number that code for this target carries.
    pub(crate) fn elf_machine(&self) -> u16 {
        match self.architecture {
            Architecture::X86_64 => elf::EM_X86_64,
            Architecture::Aarch64 => elf::EM_AARCH64,
            Architecture::Riscv64 => elf::EM_RISCV,
            Architecture::S390x => elf::EM_S390,
        }
    }

    /// Has `config` make code for this machine.
    ///
    /// # Errors
    /// When Wasmtime does not know the triple.
    pub(crate) fn apply(&self, config: &mut Config) -> wasmtime::Result<()> {
        if self.cpu == CpuLevel::Native {
            return Ok(());
        }
        config.target(&self.triple)?;
        let parts: &[&[&str]] = match self.cpu {
            CpuLevel::Baseline | CpuLevel::Native => &[],
            CpuLevel::X86V2 => &[X86_V2],
            CpuLevel::X86V3 => &[X86_V2, X86_V3],
            CpuLevel::X86V4 => &[X86_V2, X86_V3, X86_V4],
            CpuLevel::Lse => &[LSE],
        };
        for flag in parts.iter().copied().flatten() {
            // SAFETY: the code is loaded by Wasmtime, which refuses it where the
            // processor lacks what it was compiled with.
            #[expect(unsafe_code, reason = "Wasmtime's only way to set a level")]
            unsafe {
                config.cranelift_flag_enable(flag);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(target: Option<&str>, cpu: CpuLevel) -> Result<Target, String> {
        let precompile = Precompile {
            target: target.map(str::to_owned),
            cpu,
            ..Precompile::default()
        };
        Target::resolve(&precompile, Some(HOST)).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn cargo_s_target_is_the_default_and_this_machine_the_last_resort() {
        let default = Precompile::default();
        assert_eq!(Target::resolve(&default, None).unwrap().triple, HOST);
        let musl = HOST.replace("gnu", "musl");
        assert_eq!(Target::resolve(&default, Some(&musl)).unwrap().triple, musl);
    }

    #[test]
    fn every_example_is_known_to_wasmtime() {
        for triple in EXAMPLES {
            assert!(Architecture::of(triple).is_some());
            Config::new().target(triple).unwrap();
        }
    }

    #[test]
    fn unknown_targets_and_levels_list_the_valid_ones() {
        let text = resolve(Some("x86_64-unknown-linx-gnu"), CpuLevel::Baseline).unwrap_err();
        assert!(text.contains("aarch64-apple-darwin"), "{text}");
        assert!(
            text.contains("did you mean `x86_64-unknown-linux-gnu`?"),
            "{text}"
        );
        let text = resolve(Some("wasm32-wasip1"), CpuLevel::Baseline).unwrap_err();
        assert!(text.contains("for `wasm32-wasip1`"), "{text}");
        let text = resolve(Some("aarch64-apple-darwin"), CpuLevel::X86V3).unwrap_err();
        assert!(
            text.contains("aarch64 processors have no level `x86-64-v3`"),
            "{text}"
        );
        assert!(
            text.contains("its levels are baseline, native, lse"),
            "{text}"
        );
        let text = resolve(Some("s390x-unknown-linux-gnu"), CpuLevel::Native).unwrap_err();
        assert!(text.contains("is this machine"), "{text}");
    }

    #[cfg(not(feature = "all-arch"))]
    #[test]
    fn another_architecture_says_which_feature_it_needs() {
        let text = resolve(Some("riscv64gc-unknown-linux-gnu"), CpuLevel::Baseline).unwrap_err();
        assert!(text.contains("features = [\"all-arch\"]"), "{text}");
    }
}
