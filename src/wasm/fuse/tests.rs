use super::*;
use crate::wasm::sections;
use crate::wasm::validate::validate;
use wasmtime::component::{Component as Compiled, Linker, Val};
use wasmtime::{Engine, Store};

/// What the host was asked, in order.
pub(super) type Host = Vec<String>;

pub(super) fn engine() -> Engine {
    Engine::default()
}

/// What making an instance and calling its functions gives, and what the host was
/// asked meanwhile. After a trap, the next call is of a new instance.
pub(super) fn transcript(engine: &Engine, component: &[u8], calls: &[(&str, i32)]) -> Vec<String> {
    let component = Compiled::new(engine, component).unwrap();
    let mut linker: Linker<Host> = Linker::new(engine);
    let mut root = linker.root();
    root.func_wrap("h", |mut store, (x,): (i32,)| {
        store.data_mut().push(format!("h({x})"));
        Ok((x.wrapping_mul(31) ^ 7,))
    })
    .unwrap();
    root.func_wrap("log", |mut store, (text,): (String,)| {
        store.data_mut().push(text);
        Ok(())
    })
    .unwrap();
    let cause = |error: wasmtime::Error| error.root_cause().to_string();
    let mut said = Vec::new();
    let mut calls = calls.iter();
    loop {
        let mut store = Store::new(engine, Host::new());
        let mut failed = false;
        match linker.instantiate(&mut store, &component) {
            Err(error) => said.push(cause(error)),
            Ok(instance) => {
                for (name, argument) in calls.by_ref() {
                    let function = instance.get_func(&mut store, name).unwrap();
                    let mut results = [Val::Bool(false)];
                    let outcome = function.call(&mut store, &[Val::S32(*argument)], &mut results);
                    failed = outcome.is_err();
                    said.push(match outcome {
                        Ok(()) => format!("Ok {name}({argument}) = {results:?}"),
                        Err(error) => format!("{name}({argument}): {}", cause(error)),
                    });
                    if failed {
                        break;
                    }
                }
            }
        }
        said.append(store.data_mut());
        if !failed {
            return said;
        }
    }
}

fn component(text: &str) -> Vec<u8> {
    let component = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    validate(&component).unwrap();
    component
}

pub(super) fn fused_of(component: &[u8]) -> Vec<u8> {
    match fuse(component).unwrap() {
        Fused::Component(fused) => {
            validate(&fused).unwrap();
            fused
        }
        Fused::Unfused(why) => panic!("unfused: {why}"),
    }
}

fn why_unfused(text: &str) -> String {
    match fuse(&component(text)).unwrap() {
        Fused::Component(_) => panic!("fused"),
        Fused::Unfused(why) => why,
    }
}

/// A component as wit-component links libraries: a shim for what is lowered later, a
/// module with memory, table and the addresses of symbols, a library, what fills the
/// shim's table, and what finishes the addresses at last.
const LINKED: &str = r#"(component
    (import "h" (func $h (param "x" s32) (result s32)))
    (import "log" (func $log (param "text" string)))
    (core module $shim
        (type $log (func (param i32 i32)))
        (table (export "table") 1 funcref)
        (func (export "log") (param i32 i32)
            (call_indirect (type $log) (local.get 0) (local.get 1) (i32.const 0))))
    (core module $env
        (import "shim" "log" (func $log (param i32 i32)))
        (type $forward (func (param i32) (result i32)))
        (memory (export "memory") 1)
        (table (export "table") 8 funcref)
        (global (export "memory_base") i32 (i32.const 1024))
        (global (export "table_base") i32 (i32.const 1))
        (global (export "stack") (mut i32) (i32.const 900))
        (global (export "got.text") (mut i32) (i32.const 0))
        (global (export "got.twice") (mut i32) (i32.const 5))
        (func (export "twice") (param i32) (result i32)
            (call_indirect (type $forward) (local.get 0) (i32.const 5)))
        (export "log" (func $log)))
    (core module $lib
        (import "env" "memory" (memory 0))
        (import "env" "table" (table 0 funcref))
        (import "env" "memory_base" (global $memory i32))
        (import "env" "table_base" (global $table i32))
        (import "env" "stack" (global $stack (mut i32)))
        (import "got" "text" (global $text (mut i32)))
        (import "got" "twice" (global $twice (mut i32)))
        (import "env" "twice" (func $twice_there (param i32) (result i32)))
        (import "env" "log" (func $log (param i32 i32)))
        (import "env" "h" (func $h (param i32) (result i32)))
        (type $call (func (param i32) (result i32)))
        (global (export "text") i32 (i32.const 16))
        (func $twice_here (export "twice") (param i32) (result i32)
            (i32.mul (local.get 0) (i32.const 2)))
        (func $next (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
        (func $unused (export "unused") (param i32) (result i32) (local.get 0))
        (func (export "run") (param i32) (result i32)
            (global.set $stack (i32.sub (global.get $stack) (i32.const 16)))
            (i32.store (global.get $stack) (local.get 0))
            (call $log (global.get $text) (i32.const 5))
            (i32.add
                (call $twice_there (i32.load (global.get $stack)))
                (i32.add
                    (call_indirect (type $call) (call $h (local.get 0)) (global.get $twice))
                    (i32.add
                        (call_indirect (type $call) (i32.const 7) (global.get $table))
                        (i32.load (i32.add (global.get $memory) (i32.const 8)))))))
        (func (export "ready") (result i32)
            (i32.store (i32.add (global.get $memory) (i32.const 8)) (i32.const 40))
            (i32.const 0))
        (func $bss
            (memory.fill
                (i32.add (i32.const 24) (global.get $memory)) (i32.const 0) (i32.const 100))
            ;; "ello"
            (i32.store offset=1
                (i32.add (i32.const 16) (global.get $memory)) (i32.const 0x6f6c6c65)))
        (start $bss)
        (elem (global.get $table) func $next)
        (data (i32.add (global.get $memory) (i32.const 16)) "h...."))
    (core module $fixup
        (import "" "table" (table 1 funcref))
        (import "" "log" (func $log (param i32 i32)))
        (elem (i32.const 0) func $log))
    (core module $init
        (import "env" "memory" (memory 0))
        (import "env" "table" (table 0 funcref))
        (import "env" "memory_base" (global $memory i32))
        (import "env" "got.text" (global $got (mut i32)))
        (import "lib" "text" (global $text i32))
        (import "lib" "ready" (func $ready (result i32)))
        (import "lib" "twice" (func $twice (param i32) (result i32)))
        (start $start)
        (elem (i32.const 5) func $twice)
        (func $start
            (global.set $got (i32.add (global.get $memory) (global.get $text)))
            (drop (call $ready))))
    (core func $h (canon lower (func $h)))
    (core instance $shim (instantiate $shim))
    (core instance $env (instantiate $env (with "shim" (instance $shim))))
    (core instance $lib (instantiate $lib
        (with "env" (instance
            (export "memory" (memory $env "memory")) (export "table" (table $env "table"))
            (export "memory_base" (global $env "memory_base"))
            (export "table_base" (global $env "table_base"))
            (export "stack" (global $env "stack"))
            (export "twice" (func $env "twice")) (export "log" (func $env "log"))
            (export "h" (func $h))))
        (with "got" (instance
            (export "text" (global $env "got.text"))
            (export "twice" (global $env "got.twice"))))))
    (core func $log (canon lower (func $log)
        (memory (core memory $env "memory"))))
    (core instance (instantiate $fixup (with "" (instance
        (export "table" (table $shim "table")) (export "log" (func $log))))))
    (core instance (instantiate $init
        (with "env" (instance $env)) (with "lib" (instance $lib))))
    (func (export "run") (param "x" s32) (result s32) (canon lift (core func $lib "run"))))"#;

#[test]
fn what_a_linker_makes_becomes_one_module() {
    let linked = component(LINKED);
    let fused = fused_of(&linked);
    let calls = [("run", 3), ("run", -1)];
    let before = transcript(&engine(), &linked, &calls);
    assert_eq!(before, transcript(&engine(), &fused, &calls));
    // 2 * 3 + 2 * h(3) + 8 + 40
    assert_eq!(before[0], "Ok run(3) = [S32(234)]");
    assert_eq!(before[2..], ["hello", "h(3)", "hello", "h(-1)"]);
    // The shim, what fills its table, the fused module, and what starts.
    let modules = sections::core_modules(&fused).unwrap();
    assert_eq!(modules.len(), 4);
    let module = module::Module::read(modules[2]).unwrap();
    let sizes = [
        module.memories.len(),
        module.tables.len(),
        module.imports.len(),
    ];
    assert_eq!(sizes, [1, 1, 2]);
    // Of 8 globals, only the stack pointer is none but a number.
    assert_eq!(module.globals.len(), 1);
    // `unused`, `bss` and the functions that forward are gone.
    assert_eq!(module.bodies.len(), 5);
    // So are the addresses in segments, and what the start function set.
    let constants = |operators: wasmparser::OperatorsReader<'_>| {
        let operators = operators.into_iter().map(|operator| operator.unwrap());
        operators
            .map(|operator| format!("{operator:?}"))
            .collect::<Vec<_>>()
    };
    for element in &module.elements {
        if let wasmparser::ElementKind::Active { offset_expr, .. } = &element.kind {
            let offset = constants(offset_expr.get_operators_reader());
            assert!(
                offset[0].starts_with("I32Const") && offset.len() == 2,
                "{offset:?}"
            );
        }
    }
    let start = module.bodies.last().unwrap();
    let body = wasmparser::FunctionBody::new(wasmparser::BinaryReader::new(start, 0));
    let start = constants(body.get_operators_reader().unwrap());
    assert_eq!(start.len(), 3, "{start:?}");
}

#[test]
fn names_and_digests_go_with_the_functions() {
    let linked = component(LINKED);
    let digests = |component: &[u8]| -> Vec<u64> {
        let modules = sections::core_modules(component).unwrap();
        let digests = modules
            .into_iter()
            .map(|m| crate::wasm::profile::digests(m).unwrap());
        digests.flatten().collect()
    };
    let fused = fused_of(&linked);
    let before = digests(&linked);
    assert!(digests(&fused).iter().all(|digest| before.contains(digest)));
    // The shim and what fills its table come first, as they did.
    let modules = sections::core_modules(&fused).unwrap();
    let module = module::Module::read(modules[2]).unwrap();
    let names = wasmparser::BinaryReader::new(module.names.unwrap(), 0);
    let mut found = Vec::new();
    for section in wasmparser::NameSectionReader::new(names) {
        if let wasmparser::Name::Function(map) = section.unwrap() {
            found.extend(
                map.into_iter()
                    .map(|naming| naming.unwrap().name.to_owned()),
            );
        }
    }
    found.sort();
    assert_eq!(found, ["next", "start", "twice_here"]);
}

/// The host writes to the variables of C code, and has to find them.
#[test]
fn where_the_environment_is_can_still_be_told() {
    let text = r#"(component
        (core module $env
            (global (export "libc.so:memory_base") i32 (i32.const 4096))
            (global (export "libx.so:memory_base") i32 (i32.const 8192)))
        (core module $libc
            (import "env" "libc.so:memory_base" (global $base i32))
            (global (export "__wasilibc_environ") i32 (i32.const 24))
            (func (export "base") (param i32) (result i32) (global.get $base)))
        (core instance $env (instantiate $env))
        (core instance $libc (instantiate $libc (with "env" (instance $env))))
        (func (export "f") (param "x" s32) (result s32)
            (canon lift (core func $libc "base"))))"#;
    let before = component(text);
    let fused = fused_of(&before);
    let address = |bytes: &[u8]| crate::wasm::environ::address(bytes).unwrap();
    assert_eq!(address(&before), Some(4096 + 24));
    assert_eq!(address(&fused), Some(4096 + 24));
}

/// Modules with segments, then modules that start, in an order that can be heard.
const STARTS: &str = r#"(component
    (import "h" (func $h (param "x" s32) (result s32)))
    (core func $h (canon lower (func $h)))
    (core instance $host (export "h" (func $h)))
    (core module $a
        (import "host" "h" (func $h (param i32) (result i32)))
        (memory (export "m") 1)
        (global $state (export "state") (mut i32) (i32.const 1))
        (start $s)
        (func $s (drop (call $h (global.get $state))) (global.set $state (i32.const 10)))
        (func (export "get") (param i32) (result i32)
            (i32.add (global.get $state) (i32.load8_u (local.get 0))))
        (data (i32.const 0) "\05"))
    (core module $other
        (import "host" "h" (func $h (param i32) (result i32)))
        (import "a" "state" (global $state (mut i32)))
        (start $s)
        (func $s (drop (call $h (i32.add (global.get $state) (i32.const 100))))))
    (core module $b
        (import "host" "h" (func $h (param i32) (result i32)))
        (import "a" "state" (global $state (mut i32)))
        (import "a" "m" (memory 1))
        (start $s)
        (func $s
            (drop (call $h (i32.add (global.get $state) (i32.load8_u (i32.const 0)))))
            (global.set $state (i32.const 20))))
    (core instance $a (instantiate $a (with "host" (instance $host))))
    (core instance (instantiate $other (with "host" (instance $host)) (with "a" (instance $a))))
    (core instance (instantiate $other (with "host" (instance $host)) (with "a" (instance $a))))
    (core instance (instantiate $b (with "host" (instance $host)) (with "a" (instance $a))))
    (func (export "get") (param "x" s32) (result s32) (canon lift (core func $a "get"))))"#;

#[test]
fn what_starts_does_so_in_the_same_order() {
    let before = component(STARTS);
    let fused = fused_of(&before);
    let calls = [("get", 0)];
    let heard = transcript(&engine(), &before, &calls);
    assert_eq!(heard[1..], ["h(1)", "h(110)", "h(110)", "h(15)"]);
    assert_eq!(transcript(&engine(), &fused, &calls), heard);
}

#[test]
fn what_is_not_understood_is_left_and_told() {
    let module = "(core module $m (func (export \"f\")))";
    for (text, why) in [
        (
            format!("(component {module} (core instance (instantiate $m)))"),
            "fewer than two",
        ),
        (
            format!(
                "(component {module} (core instance (instantiate $m)) \
                 (core instance (instantiate $m)))"
            ),
            "fewer than two",
        ),
        (
            format!("(component {module} (export \"m\" (core module $m)))"),
            "an exported core module",
        ),
        (
            "(component (import \"m\" (core module $m)) (core instance (instantiate $m)))".into(),
            "an imported core module",
        ),
        (
            format!(
                "(component {module} (component (alias outer 1 $m (core module $n))) \
                 (core instance (instantiate $m)))"
            ),
            "a nested component that uses core modules from outside",
        ),
        (
            // The second start function would see what the third writes.
            STARTS.replace(
                "(start $s)\n        (func $s\n",
                "(data (i32.const 0) \"!\")\n        (start $s)\n        (func $s\n",
            ),
            "code that runs while the modules are being instantiated",
        ),
    ] {
        let found = why_unfused(&text);
        assert!(found.contains(why), "{found}\n{text}");
    }
}

#[test]
fn functions_that_forward_in_a_circle_still_trap() {
    let text = r#"(component
        (core module $a
            (type $f (func (param i32) (result i32)))
            (table (export "t") 2 funcref)
            (func (export "f") (param i32) (result i32)
                (call_indirect (type $f) (local.get 0) (i32.const 0)))
            (func (export "g") (param i32) (result i32)
                (call_indirect (type $f) (local.get 0) (i32.const 7)))
            (func (export "other") (param i32 i32) (result i32) (local.get 0)))
        (core module $b
            (import "a" "t" (table 2 funcref))
            (import "a" "f" (func $f (param i32) (result i32)))
            (elem (i32.const 0) func $f))
        (core instance $a (instantiate $a))
        (core instance $b (instantiate $b (with "a" (instance $a))))
        (func (export "f") (param "x" s32) (result s32) (canon lift (core func $a "f")))
        (func (export "g") (param "x" s32) (result s32) (canon lift (core func $a "g"))))"#;
    let before = component(text);
    let fused = fused_of(&before);
    let calls = [("f", 1), ("g", 1)];
    let said = transcript(&engine(), &before, &calls);
    assert!(
        said[0].contains("stack exhausted") && said[1].contains("out of bounds"),
        "{said:?}"
    );
    assert_eq!(transcript(&engine(), &fused, &calls), said);
}

/// Exceptions, several memories, references to functions, SIMD, recursive types, and
/// tables with values: fused, all of it is still valid.
#[test]
fn everything_modules_may_have_stays_valid() {
    let text = r#"(component
        (core module $a
            (rec (type $f (func (param (ref null $f)))) (type (struct (field i32))))
            (type $g (func (param i32)))
            (tag (export "tag") (type $g))
            (memory (export "m") 1) (memory (export "n") 2 3)
            (global (export "v") v128 (v128.const i32x4 1 2 3 4))
            (global (export "null") (ref null func) (ref.null func))
            (func $recursive (export "recursive") (type $f))
            (table (export "t") 3 (ref null $f) (ref.func $recursive))
            (table (export "own") 4 funcref))
        (core module $b
            (rec (type $f (func (param (ref null $f)))) (type (struct (field i32))))
            (type $g (func (param i32)))
            (import "a" "tag" (tag $tag (type $g)))
            (import "a" "n" (memory $n 1))
            (import "a" "m" (memory $m 1))
            (import "a" "own" (table $own 4 funcref))
            (import "a" "v" (global $v v128))
            (import "a" "null" (global $null (ref null func)))
            (global $copy v128 (global.get $v))
            (global $none (ref null func) (global.get $null))
            (func $throw (local (ref null $g))
                (block $caught (result i32)
                    (try_table (catch $tag $caught)
                        (throw $tag (i32.load $m offset=3 (i32.const 1))))
                    (i32.const 0))
                drop
                (memory.copy $m $n (i32.const 0) (i32.const 0) (i32.const 9))
                (memory.init $n $d (i32.const 0) (i32.const 0) (i32.const 1))
                (table.init $own $e (i32.const 0) (i32.const 0) (i32.const 1))
                (drop (i8x16.extract_lane_s 3 (global.get $copy)))
                (drop (v128.load $n offset=1 (i32.const 0)))
                (drop (ref.func $throw))
                (call_ref $g (i32.const 1) (local.get 0)))
            (elem $e funcref (ref.func $throw) (ref.null func))
            (elem (table $own) (i32.const 1) func $throw)
            (data $d "data")
            (export "throw" (func $throw)))
        (core instance $a (instantiate $a))
        (core instance $b (instantiate $b (with "a" (instance $a))))
        (func (export "throw") (canon lift (core func $b "throw"))))"#;
    fused_of(&component(text));
}

#[test]
fn an_import_of_another_type_is_not_made_valid() {
    let text = r#"(component
        (core module $a (func (export "f") (result i32) i32.const 0))
        (core module $b (import "a" "f" (func $f (result i64))) (func (drop (call $f))))
        (core instance $a (instantiate $a))
        (core instance (instantiate $b (with "a" (instance $a)))))"#;
    let invalid = wat::parse_str(text).unwrap();
    assert!(validate(&invalid).is_err());
    assert!(matches!(fuse(&invalid).unwrap(), Fused::Unfused(why) if why.contains("another type")));
}

/// Every outcome but a panic, an overflow or a huge allocation is fine.
#[test]
fn damaged_components_do_not_panic() {
    let linked = component(LINKED);
    let (mut errors, mut made) = (0, 0);
    for at in 0..linked.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut damaged = linked.clone();
            damaged[at] ^= change;
            match fuse(&damaged) {
                Err(_) => errors += 1,
                Ok(Fused::Unfused(_)) => {}
                Ok(Fused::Component(fused)) => {
                    made += 1;
                    if validate(&damaged).is_ok() {
                        validate(&fused).unwrap();
                    }
                }
            }
        }
        let _ = fuse(&linked[..at]);
    }
    assert!(errors > 1000 && made > 500, "{errors}, {made}");
}

/// What fuzzing starts from is what is tested here.
#[test]
fn the_seeds_of_fuzzing_are_fused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/fuse");
    for (name, text) in [("linked", LINKED), ("starts", STARTS)] {
        let path = folder.join(name).with_extension("wasm");
        let seed = std::fs::read(&path).unwrap_or_default();
        assert!(seed == component(text), "write {name}.wasm again");
        fused_of(&seed);
    }
}
