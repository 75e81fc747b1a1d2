//! Which Wasmtime compiler runs Python at build time, and how it is set up.
//!
//! Winch compiles in one pass: three to four times faster than Cranelift, for
//! code that runs once. It exists for x86-64 and aarch64 and refuses some
//! proposals, so Cranelift stands behind it.

use crate::config::CompilerChoice;
use crate::error::{Error, Report, Stage};
use crate::store::digest::{Digest, KeyBuilder};
use std::hash::{Hash, Hasher};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Memory, MemoryType, OptLevel, RegallocAlgorithm, Store, Strategy};

/// So much that Python's own limits on recursion are reached first, whichever the
/// compiler: single-pass code uses several times the stack for the same calls. It
/// is reserved, and takes memory only as far as it is used.
pub(crate) const WASM_STACK_BYTES: usize = 64 << 20;
const ASYNC_STACK_BYTES: usize = WASM_STACK_BYTES + (8 << 20);

/// A compiler this host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    Winch,
    Cranelift,
}

impl Compiler {
    /// For cache keys and verbose output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Winch => "winch",
            Self::Cranelift => "cranelift",
        }
    }

    /// The compilers to try, in order.
    pub(crate) fn candidates(choice: CompilerChoice) -> &'static [Self] {
        match choice {
            CompilerChoice::Winch => &[Self::Winch],
            CompilerChoice::Cranelift => &[Self::Cranelift],
            CompilerChoice::Auto if host_has_winch() => &[Self::Winch, Self::Cranelift],
            CompilerChoice::Auto => &[Self::Cranelift],
        }
    }
}

/// The engines to try, in order: those this host has.
///
/// # Errors
/// [`Stage::Engine`] when it has none of them.
pub(crate) fn candidates(choice: CompilerChoice) -> Result<Vec<(Compiler, Engine)>, Error> {
    let mut engines = Vec::new();
    let mut refused = None;
    for &compiler in Compiler::candidates(choice) {
        match engine(compiler) {
            Ok(engine) => engines.push((compiler, engine)),
            Err(error) => refused = Some(error),
        }
    }
    match (engines.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(engines),
    }
}

fn host_has_winch() -> bool {
    cfg!(any(target_arch = "x86_64", target_arch = "aarch64"))
}

/// How much address space an engine may reserve for a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    /// Everything a memory can grow to, so that accesses need no checks and growing
    /// moves nothing.
    Plenty,
    /// What a memory takes: `ulimit -v` bounds it, as some build services do.
    Few,
}

/// What a memory may grow by before it is moved, where addresses are few.
const FEW_GROWTH_BYTES: u64 = 64 << 20;

/// An engine for running Python once.
///
/// # Errors
/// [`Stage::Engine`] when this host cannot run code of that compiler.
pub(crate) fn engine(compiler: Compiler) -> Result<Engine, Error> {
    let engine = engine_with(compiler, Addresses::Plenty)?;
    if reserves_memory(&engine) {
        return Ok(engine);
    }
    engine_with(compiler, Addresses::Few)
}

/// Whether the system lets the engine reserve what one memory takes.
fn reserves_memory(engine: &Engine) -> bool {
    let mut store = Store::new(engine, ());
    Memory::new(&mut store, MemoryType::new(1, None)).is_ok()
}

fn engine_with(compiler: Compiler, addresses: Addresses) -> Result<Engine, Error> {
    let mut config = Config::new();
    if addresses == Addresses::Few {
        config
            .memory_reservation(0)
            .memory_guard_size(0)
            .memory_reservation_for_growth(FEW_GROWTH_BYTES);
    }
    config
        .strategy(match compiler {
            Compiler::Winch => Strategy::Winch,
            Compiler::Cranelift => Strategy::Cranelift,
        })
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        // The code runs once: compiling it is most of the time. Winch leaves
        // trampolines to Cranelift, so both settings count for it too.
        .cranelift_opt_level(OptLevel::None)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass)
        // Nobody reads them: a trap here is run again or reported by Python.
        .native_unwind_info(cfg!(windows))
        .generate_address_map(false);
    Engine::new(&config).map_err(|e| {
        Stage::Engine.error(
            Report::new(format!("Wasmtime cannot use {} here", compiler.name()))
                .source(e)
                .hint("set engine = \"auto\" in [package.metadata.eryx]"),
        )
    })
}

/// Everything of the engine that compiled code depends on: Wasmtime's version,
/// the compiler's settings and the host's CPU features.
pub(crate) fn fingerprint(engine: &Engine) -> Digest {
    let mut collected = Collected(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut collected);
    KeyBuilder::new("engine")
        .part("hash", &collected.0)
        .finish()
}

/// What is hashed, as bytes: the standard hashers give 64 bits only.
struct Collected(Vec<u8>);

impl Hasher for Collected {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Loads code that [`Component::serialize`] made.
///
/// # Errors
/// When it was made by another Wasmtime, or for another configuration.
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: Wasmtime asks for bytes that `serialize` wrote. These come from a
    // cache entry whose digest was checked when it was read, under a key that
    // only this crate writes; who can write there can also edit the consumer's
    // target folder, and with it the program itself.
    #[expect(unsafe_code, reason = "the only way to load compiled code")]
    unsafe {
        Component::deserialize(engine, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_differ_in_their_fingerprint_and_equal_ones_do_not() {
        let fingerprint = |compiler| fingerprint(&engine(compiler).unwrap());
        assert_eq!(
            fingerprint(Compiler::Cranelift),
            fingerprint(Compiler::Cranelift)
        );
        if host_has_winch() {
            assert_ne!(
                fingerprint(Compiler::Winch),
                fingerprint(Compiler::Cranelift)
            );
        }
    }

    #[test]
    fn the_choice_decides_what_is_tried() {
        assert_eq!(
            Compiler::candidates(CompilerChoice::Winch),
            [Compiler::Winch]
        );
        assert_eq!(
            Compiler::candidates(CompilerChoice::Cranelift),
            [Compiler::Cranelift]
        );
        assert_eq!(
            Compiler::candidates(CompilerChoice::Auto).last(),
            Some(&Compiler::Cranelift)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn python_starts_where_address_space_is_bounded() {
        let output = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 4000000 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "guest::engine::tests::start_python", "--ignored"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "the test above runs it, in a process whose address space is bounded"]
    fn start_python() {
        let plenty = engine_with(Compiler::Winch, Addresses::Plenty).unwrap();
        assert!(!reserves_memory(&plenty));
        let bench = crate::testing::Workbench::new("0.5.0");
        let printed = bench.fresh(&["print(sum(range(10)))"]);
        assert_eq!(printed, [Ok("45\n".to_owned())]);
    }
}
