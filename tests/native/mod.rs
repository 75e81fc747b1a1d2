//! Extension modules for WASI, made on the spot: core modules in the text format,
//! with the imports and exports that a compiler gives a shared library.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::Path;
use std::process::Command;

/// The module `name`, with a function `answer()` that returns `answer`, made by
/// `PyModule_Create2` as an extension in C would be.
pub fn extension(name: &str, answer: i32) -> Vec<u8> {
    assemble(
        name,
        "",
        "",
        &format!("(call $PyLong_FromLong (i32.const {answer}))"),
    )
}

/// As [`extension`], with the answer asked of the function `function` that some
/// other library defines; `needed` is that library's soname.
pub fn extension_that_needs(name: &str, function: &str, needed: &str) -> Vec<u8> {
    assemble(
        name,
        &format!("(needed \"{needed}\")"),
        &format!("(import \"env\" \"{function}\" (func $asked (result i32)))"),
        "(call $PyLong_FromLong (call $asked))",
    )
}

/// A library that is no extension module: `function` returns `answer`.
pub fn library(function: &str, answer: i32) -> Vec<u8> {
    wat::parse_str(format!(
        "(module (@dylink.0 (mem-info))
            (import \"env\" \"memory\" (memory 0))
            (func (export \"{function}\") (result i32) i32.const {answer}))"
    ))
    .unwrap()
}

/// `cfast.c` compiled in `dir`, or why it cannot be here.
pub fn compiled_from_c(dir: &Path) -> Result<Vec<u8>, String> {
    compiled(dir, "tests/native/cfast.c")
}

/// The file `source` of this package, in C, compiled in `dir`, or why it cannot be here.
pub fn compiled(dir: &Path, source: &str) -> Result<Vec<u8>, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let (object, library) = (dir.join("extension.o"), dir.join("extension.so"));
    for program in ["clang", "wasm-ld"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Err(format!("`{program}` is not installed"));
        }
    }
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}:\n{stderr}");
    };
    // Before clang 17, code at no fixed address was for this target only; without
    // its libraries, the object is the same.
    run(Command::new("clang")
        .args(["--target=wasm32-unknown-emscripten", "-ffreestanding"])
        .args(["-fPIC", "-O1", "-fvisibility=hidden", "-c", "-o"])
        .args([&object, &source]));
    run(Command::new("wasm-ld")
        .args(["--experimental-pic", "-shared", "--no-entry", "-o"])
        .args([&library, &object]));
    Ok(std::fs::read(library).unwrap())
}

/// Memory, from its base: the module's name, then `answer`, then a PyMethodDef
/// and its empty successor, then a PyModuleDef. Pointers are filled in by
/// `__wasm_apply_data_relocs`.
fn assemble(name: &str, dylink: &str, imports: &str, answer: &str) -> Vec<u8> {
    assert!(name.len() < 40);
    wat::parse_str(format!(
        r#"(module
    (@dylink.0 (mem-info (memory 256 4) (table 1 0)) {dylink})
    (import "env" "memory" (memory 1))
    (import "env" "__indirect_function_table" (table 1 funcref))
    (import "env" "__memory_base" (global $memory i32))
    (import "env" "__table_base" (global $table i32))
    (import "env" "PyModule_Create2" (func $PyModule_Create2 (param i32 i32) (result i32)))
    (import "env" "PyLong_FromLong" (func $PyLong_FromLong (param i32) (result i32)))
    {imports}
    (func $answer (param i32 i32) (result i32) {answer})
    (func (export "PyInit_{name}") (result i32)
        (call $PyModule_Create2
            (i32.add (global.get $memory) (i32.const 96))
            (i32.const 1013)))
    (func $at (param $place i32) (param $value i32)
        (i32.store (i32.add (global.get $memory) (local.get $place)) (local.get $value)))
    (func (export "__wasm_apply_data_relocs")
        ;; ml_name, ml_meth
        (call $at (i32.const 64) (i32.add (global.get $memory) (i32.const 40)))
        (call $at (i32.const 68) (global.get $table))
        ;; m_name, m_methods
        (call $at (i32.const 116) (global.get $memory))
        (call $at (i32.const 128) (i32.add (global.get $memory) (i32.const 64))))
    (elem (global.get $table) $answer)
    (data (global.get $memory) "{name}\00")
    ;; `answer`; ml_flags: METH_NOARGS; the definition's reference count; and
    ;; m_size: no state of its own.
    (func $init
        (i32.store (i32.add (global.get $memory) (i32.const 40)) (i32.const 0x77736e61))
        (i32.store (i32.add (global.get $memory) (i32.const 44)) (i32.const 0x00007265))
        (i32.store (i32.add (global.get $memory) (i32.const 72)) (i32.const 4))
        (i32.store (i32.add (global.get $memory) (i32.const 96)) (i32.const 1))
        (i32.store (i32.add (global.get $memory) (i32.const 124)) (i32.const -1)))
    (export "__wasm_call_ctors" (func $init)))"#
    ))
    .unwrap()
}
