//! Native code: made by the pipeline, loaded and run as a program would, refused
//! where it should be.

mod project;
mod runtime;

use eryx_preinit_build::{Artifacts, Builder, CompilerChoice, Precompile, Stage};
use project::Project;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Single-pass code, so that a test takes seconds at opt-level 0.
fn builder(out: &Path, cache: &Path, imports: &[&str]) -> Builder {
    fs::create_dir_all(out).unwrap();
    let mut builder = Builder::new(out, runtime::folder("0.5.0"));
    builder.config.imports = imports.iter().map(|&s| s.to_owned()).collect();
    builder.config.cache_dir = Some(cache.to_owned());
    let mut precompile = Precompile::default();
    precompile.compiler = CompilerChoice::Winch;
    builder.config.precompile = Some(precompile);
    builder
}

fn native(artifacts: &Artifacts) -> Vec<u8> {
    fs::read(&artifacts.native.as_ref().unwrap().path).unwrap()
}

fn remove_entries(cache: &Path, stage: &str) -> usize {
    let entries = fs::read_dir(cache.join(stage)).unwrap();
    entries
        .map(|entry| fs::remove_file(entry.unwrap().path()).unwrap())
        .count()
}

#[test]
fn reused_functions_give_the_bytes_that_compiling_everything_gives() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let out = dir.path().join("out");
    let builder = |imports: &[&str]| builder(&out, &cache, imports);
    let first = native(&builder(&["json"]).build().unwrap());
    // More imports, larger memory: the functions of the first are taken.
    let imports = ["json", "csv", "random", "asyncio", "decimal"];
    let spliced = builder(&imports).build().unwrap();
    assert!(!spliced.native.as_ref().unwrap().cached);
    let spliced = native(&spliced);
    assert!(first != spliced, "other imports, other data");
    // Only what was compiled in full names its code for reuse.
    assert_eq!(fs::read_dir(cache.join("reuse")).unwrap().count(), 1);

    assert_eq!(remove_entries(&cache, "reuse"), 1);
    assert_eq!(remove_entries(&cache, "native"), 2);
    let whole = builder(&imports).build().unwrap();
    assert!(!whole.native.as_ref().unwrap().cached);
    assert!(spliced == native(&whole), "the bytes differ");
}

#[cfg(feature = "all-arch")]
#[test]
fn python_is_compiled_for_another_architecture() {
    let (target, machine) = match cfg!(target_arch = "aarch64") {
        true => ("x86_64-unknown-linux-gnu", 62),
        false => ("aarch64-unknown-linux-gnu", 183),
    };
    let dir = tempfile::tempdir().unwrap();
    let mut builder = builder(&dir.path().join("out"), &runtime::cache(), &["json"]);
    let precompile = builder.config.precompile.as_mut().unwrap();
    precompile.target = Some(target.to_owned());
    let code = native(&builder.build().unwrap());
    assert_eq!(&code[..4], b"\x7fELF");
    assert_eq!(u16::from_le_bytes([code[18], code[19]]), machine);
    let loader = fs::read_to_string(dir.path().join("out/python.rs")).unwrap();
    assert!(
        loader.contains(&format!("TARGET: &str = {target:?}")),
        "{loader}"
    );
    // This machine says what it is for, and does not run it.
    let mut config = wasmtime::Config::new();
    config
        .strategy(wasmtime::Strategy::Winch)
        .wasm_component_model_async(true);
    let engine = wasmtime::Engine::new(&config).unwrap();
    // SAFETY: Wasmtime wrote these bytes, and refuses them.
    let error = unsafe { wasmtime::component::Component::deserialize(&engine, &code) }.err();
    let text = format!("{:?}", error.unwrap());
    assert!(text.contains("architecture"), "{text}");
}

#[test]
fn a_function_of_the_consumer_s_is_called_only_when_needed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = runtime::cache();
    // Nothing that an earlier run could have left.
    let unique = format!("RUN = {}", std::process::id());
    let calls = Arc::new(AtomicU32::new(0));
    let build = |name: &str| {
        let counter = calls.clone();
        let out = dir.path().join(name);
        fs::create_dir_all(&out).unwrap();
        let mut builder = Builder::new(&out, runtime::folder("0.5.0"));
        builder.config.imports = vec!["json".to_owned()];
        builder.config.setup_code = Some(unique.clone());
        builder.config.cache_dir = Some(cache.clone());
        builder.precompile_with(move |wasm, target| {
            counter.fetch_add(1, Ordering::Relaxed);
            assert!(wasm.starts_with(b"\0asm"));
            let mut config = wasmtime::Config::new();
            config.target(target)?;
            // A component of its own: what is compiled is the function's business.
            wasmtime::Engine::new(&config)?.precompile_component(b"\0asm\x0d\0\x01\0")
        });
        builder.build().unwrap()
    };
    let first = build("one");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(first.native.as_ref().unwrap().path.is_file());
    assert!(!dir.path().join("one/python.rs").exists());
    // Nothing changed; then another OUT_DIR with the same cache.
    assert_eq!(build("one"), first);
    assert!(build("two").native.as_ref().unwrap().cached);
    assert_eq!(calls.load(Ordering::Relaxed), 1);

    // What is no longer asked for is not left to be included by mistake.
    let mut without = Builder::new(dir.path().join("one"), runtime::folder("0.5.0"));
    without.config.imports = vec!["json".to_owned()];
    without.config.cache_dir = Some(cache.clone());
    assert_eq!(without.build().unwrap().native, None);
    assert!(!dir.path().join("one/python.cwasm").exists());
}

#[test]
fn a_failing_function_keeps_its_own_error_and_what_was_built() {
    let dir = tempfile::tempdir().unwrap();
    let cache = runtime::cache();
    let mut builder = builder(dir.path(), &cache, &["json"]);
    builder.precompile_with(|_, _| Err::<Vec<u8>, _>("no licence for this compiler"));
    let error = builder.build().unwrap_err();
    let text = format!("{error:?}");
    assert_eq!(error.stage(), Stage::Precompile, "{text}");
    assert!(
        text.contains("caused by: no licence for this compiler"),
        "{text}"
    );
    builder.precompile_with(|_, _| Ok::<_, std::io::Error>(b"not native code".to_vec()));
    let text = format!("{:?}", builder.build().unwrap_err());
    assert!(text.contains("15 bytes that no Wasmtime wrote"), "{text}");
}

#[test]
fn a_target_that_cannot_be_is_refused_before_anything_is_built() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = builder(dir.path(), &dir.path().join("cache"), &["json"]);
    let precompile = builder.config.precompile.as_mut().unwrap();
    precompile.target = Some("x86_64-unknown-linuks-gnu".to_owned());
    let error = builder.build().unwrap_err();
    let text = format!("{error:?}");
    assert_eq!(error.stage(), Stage::Config, "{text}");
    assert!(text.contains("aarch64-apple-darwin"), "{text}");
    assert!(!dir.path().join("cache").exists());
}

/// Loads the file form under all kinds of damage, then runs the embedded form.
const MAIN: &str = r#"
#![deny(warnings, missing_docs, clippy::all)]
//! A program with Python in it.

include!(concat!(env!("OUT_DIR"), "/python.rs"));

fn refused(engine: &wasmtime::Engine, bytes: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("eryx-refused-{}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    let error = unsafe { python::load_file(engine, &path) }.err();
    std::fs::remove_file(&path).unwrap();
    format!("{:?}", error.expect("it must be refused")).replace('\n', " ")
}

fn main() {
    let config = python::config();
    let engine = wasmtime::Engine::new(&config).unwrap();
    let good = std::fs::read(env!("ERYX_PYTHON_CWASM")).unwrap();
    assert_eq!(good, python::CWASM);
    assert_eq!(python::CWASM.as_ptr().addr() % 4096, 0);
    println!("imports {:?}", python::IMPORTS);
    println!("compiler {}", python::COMPILER);
    println!("wasmtime {}", python::WASMTIME);
    println!("sha256 {}", python::SHA256 == env!("ERYX_PYTHON_CWASM_SHA256"));
    println!("truncated {}", refused(&engine, &good[..good.len() / 2]));
    let mut edited = good;
    let middle = edited.len() / 2;
    edited[middle] ^= 1;
    println!("edited {}", refused(&engine, &edited));
    let component = python::load(&engine).unwrap();
    let exports = component.component_type().exports(&engine).count();
    println!("exports {exports}");
    let mapped = unsafe { python::load_file(&engine, env!("ERYX_PYTHON_CWASM")) };
    println!("mapped {}", mapped.is_ok());
    // Wasmtime refuses a component that does not fit in its pool.
    let pooled = wasmtime::Engine::new(&python::pooling(2)).unwrap();
    println!("pooled {}", python::load(&pooled).is_ok());
    let mut other = python::config();
    other.consume_fuel(true);
    let other = wasmtime::Engine::new(&other).unwrap();
    let error = python::load(&other).err().unwrap();
    println!("settings {}", format!("{error:?}").replace('\n', " "));
    // On another machine, the path of the build is anybody's.
    let built = std::fs::read(env!("ERYX_PYTHON_CWASM")).unwrap();
    std::fs::write(env!("ERYX_PYTHON_CWASM"), "somebody else's code").unwrap();
    let loaded = python::load(&engine);
    std::fs::write(env!("ERYX_PYTHON_CWASM"), built).unwrap();
    println!("embedded {}", loaded.is_ok());
}
"#;

#[test]
fn a_program_loads_what_was_compiled_for_it_and_nothing_else() {
    let block = |extra: &str| {
        format!(
            "[package.metadata.eryx]\nimports = [\"json\"]\n{extra}\n\n{}",
            project::HOST_DEPENDENCIES
        )
    };
    let project = Project::new(
        "native",
        "native-consumer",
        &block("precompile = { epoch-interruption = true, pooling = true }"),
    );
    project.write("src/main.rs", MAIN);
    let ran = project.cargo(&["run"], &[]).succeeded();
    assert_eq!(ran.value("imports"), "[\"json\"]");
    assert_eq!(ran.value("compiler"), "winch", "a dev profile, and auto");
    assert_eq!(ran.value("wasmtime"), "48");
    assert_eq!(ran.value("sha256"), "true");
    assert_ne!(ran.value("exports"), "0");
    assert_eq!(ran.value("mapped"), "true");
    assert_eq!(ran.value("pooled"), "true");
    assert_eq!(ran.value("embedded"), "true");
    for (name, part) in [
        ("truncated", "is truncated: it has"),
        ("edited", "was changed after it was compiled"),
        (
            "settings",
            "with winch of Wasmtime 48, and cannot be loaded here",
        ),
        ("settings", "without fuel support"),
    ] {
        let text = ran.value(name);
        assert!(text.contains(part), "{name}: {text}");
    }

    // A placeholder compiles under the same lints.
    project
        .cargo(&["build"], &[("ERYX_PREINIT_SKIP", "1")])
        .succeeded();

    project.block(&block(
        "precompile = { cpu = \"lse\", target = \"x86_64-apple-darwin\" }",
    ));
    let stderr = project.cargo(&["build"], &[]).failed().stderr();
    assert!(
        stderr.contains("its levels are baseline, native, x86-64-v2, x86-64-v3, x86-64-v4"),
        "{stderr}"
    );
}
