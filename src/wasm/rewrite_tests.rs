//! Tests of what is done to a finished snapshot: `initialize`, `strip`, `validate`.

use crate::wasm::initialize::{
    INITIALIZE, TypeIndex, add_initialize, awaited, noop_type, payload, restore_initialize,
};
use crate::wasm::sections::{self, Encoding, Section, id, module_id, parse_as};
use crate::wasm::strip::strip_custom_sections;
use wasmparser::{BinaryReader, ExportSectionReader, ExternalKind, Validator, WasmFeatures};

use arbitrary::Unstructured;
use std::borrow::Cow;
use wasm_encoder::{
    Alias, ComponentAliasSection, ComponentValType, CustomSection, EntityType, ExportKind,
    ExportSection, ImportCompact, ImportSection, Imports, InstanceSection, ModuleArg,
    PrimitiveValType, RawSection,
};

// Input

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn validate(bytes: &[u8]) -> wasmparser::Result<()> {
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(bytes)
        .map(|_| ())
}

/// What the snapshot tool does: drops the export, keeps the function.
fn module_without_initialize(module: &[u8]) -> Vec<u8> {
    let sections = parse_as(module, Encoding::Module).unwrap();
    let mut out = wasm_encoder::Module::new();
    for Section { id, data } in sections {
        if id == module_id::EXPORT {
            let mut section = ExportSection::new();
            for export in exports(module) {
                if export.name != INITIALIZE {
                    section.export(export.name, export.kind.into(), export.index);
                }
            }
            out.section(&section);
        } else {
            out.section(&RawSection { id, data });
        }
    }
    out.finish()
}

fn without_initialize(component: &[u8]) -> Vec<u8> {
    sections::map_core_modules(component, &mut |_, module| {
        Ok(Some(module_without_initialize(module)))
    })
    .unwrap()
}

fn exports(module: &[u8]) -> Vec<wasmparser::Export<'_>> {
    let sections = parse_as(module, Encoding::Module).unwrap();
    let Some(data) = payload(&sections, module_id::EXPORT) else {
        return Vec::new();
    };
    let reader = ExportSectionReader::new(BinaryReader::new(data, 0)).unwrap();
    reader.into_iter().map(Result::unwrap).collect()
}

fn has_initialize(module: &[u8]) -> bool {
    exports(module)
        .iter()
        .any(|export| export.name == INITIALIZE)
}

fn custom_sections(bytes: &[u8]) -> usize {
    let (encoding, sections) = sections::parse(bytes).unwrap();
    let count = |section: &Section<'_>| match (encoding, section.id) {
        (_, id::CUSTOM) => 1,
        (Encoding::Component, id::CORE_MODULE | id::COMPONENT) => custom_sections(section.data),
        _ => 0,
    };
    sections.iter().map(count).sum()
}

/// Checks that a valid component, once its exports were dropped, is valid
/// again with one in exactly the modules at `expected`.
fn check_restores(text: &str, expected: &[usize]) {
    let original = wat(text);
    validate(&original).unwrap();
    assert!(matches!(
        restore_initialize(&original).unwrap(),
        Cow::Borrowed(_)
    ));

    let broken = without_initialize(&original);
    assert!(validate(&broken).is_err());
    let restored = restore_initialize(&broken).unwrap();
    validate(&restored).unwrap();
    let modules = sections::core_modules(&restored).unwrap();
    let with: Vec<_> = (0..modules.len())
        .filter(|&position| has_initialize(modules[position]))
        .collect();
    assert_eq!(with, expected);
    for (before, after) in sections::core_modules(&broken).unwrap().iter().zip(modules) {
        if has_initialize(after) {
            check_extended(before, after);
        } else {
            assert_eq!(*before, after);
        }
    }
    assert!(matches!(
        restore_initialize(&restored).unwrap(),
        Cow::Borrowed(_)
    ));
}

/// Checks that `after` is `before` with at most one more item in the
/// sections that describe functions, everything else being the same bytes.
fn check_extended(before: &[u8], after: &[u8]) {
    let extended = [
        module_id::TYPE,
        module_id::FUNCTION,
        module_id::EXPORT,
        id::CODE,
    ];
    let split = |bytes| {
        parse_as(bytes, Encoding::Module)
            .unwrap()
            .into_iter()
            .map(|section| (section.id, section.data))
            .partition::<Vec<_>, _>(|(id, _)| extended.contains(id))
    };
    let (old, old_rest) = split(before);
    let (new, new_rest) = split(after);
    assert_eq!(old_rest, new_rest);
    for (id, data) in &new {
        let old = old.iter().find(|(other, _)| other == id);
        let old = old.map_or(&[0][..], |(_, data)| data);
        if *id == module_id::TYPE && *data == old {
            continue;
        }
        let items = |data| {
            let mut reader = BinaryReader::new(data, 0);
            let count = reader.read_var_u32().unwrap();
            (count, &data[reader.current_position()..])
        };
        let ((old_count, old_items), (new_count, new_items)) = (items(old), items(data));
        assert_eq!(new_count, old_count + 1, "section {id}");
        assert!(new_items.starts_with(old_items), "section {id}");
    }
    let old_ids: Vec<_> = old.iter().map(|(id, _)| id).collect();
    assert!(
        old_ids
            .iter()
            .all(|id| new.iter().any(|(other, _)| other == *id))
    );
}

/// Checks a module on its own.
fn check_module(module: &[u8]) -> Vec<u8> {
    validate(module).unwrap();
    let new = add_initialize(module).unwrap().unwrap();
    validate(&new).unwrap();
    check_extended(module, &new);
    let (old_exports, new_exports) = (exports(module), exports(&new));
    let (added, kept) = new_exports.split_last().unwrap();
    assert_eq!(kept, old_exports);
    assert_eq!((added.name, added.kind), (INITIALIZE, ExternalKind::Func));
    assert!(add_initialize(&new).unwrap().is_none());
    new
}

// `add_initialize`

#[test]
fn an_empty_module_gets_all_four_sections() {
    let new = check_module(&wat("(module)"));
    let expected = wat(r#"(module (func (export "_initialize")))"#);
    assert_eq!(new, expected);
}

#[test]
fn missing_sections_go_where_the_order_has_them() {
    for text in [
        "(module (memory 1) (data (i32.const 0) \"x\"))",
        "(module (memory 1) (data \"x\") (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))))",
        "(module (type (func (param i32))) (table 1 funcref) (global i32 (i32.const 0)))",
        "(module (import \"a\" \"b\" (func (param i32))) (tag) (start 1) (func))",
        "(module (import \"a\" \"b\" (func)) (elem declare func 0))",
        "(module (@custom \"a\" \"1\") (memory 1) (@custom \"b\" (after memory) \"2\"))",
        "(module (@custom \"a\" \"1\") (@custom \"b\" \"2\"))",
        "(module (@custom \"a\" (before import) \"1\") (import \"a\" \"b\" (func (param i32)))
            (@custom \"b\" (before func) \"2\") (func $f (export \"f\")) (@custom \"c\" (before code) \"3\"))",
    ] {
        check_module(&wat(text));
    }
}

#[test]
fn a_missing_section_goes_in_front_of_trailing_names() {
    let mut module = wasm_encoder::Module::new();
    let custom = |name: &'static str| CustomSection {
        name: name.into(),
        data: (&[][..]).into(),
    };
    module.section(&custom("dylink.0"));
    module.section(&wasm_encoder::MemorySection::new());
    module.section(&custom("name"));
    let new = check_module(&module.finish());
    let ids: Vec<_> = parse_as(&new, Encoding::Module)
        .unwrap()
        .into_iter()
        .map(|section| section.id)
        .collect();
    assert_eq!(ids, [0, 1, 3, 5, 7, 10, 0]);
}

#[test]
fn a_plain_type_is_reused() {
    let module = wat("(module (type (func (param i32))) (type (func)) (type (func)))");
    let sections = parse_as(&module, Encoding::Module).unwrap();
    assert_eq!(noop_type(&sections).unwrap(), TypeIndex::Existing(1));
    check_module(&module);
}

#[test]
fn types_that_only_look_plain_are_not_reused() {
    for (text, next) in [
        (
            "(module (rec (type (func)) (type (struct))) (type (func (result i32))))",
            3,
        ),
        ("(module (type (sub (func))))", 1),
        (
            "(module (type $a (sub (func))) (type (sub final $a (func))))",
            2,
        ),
        ("(module (type (shared (func))))", 1),
        ("(module (rec))", 0),
    ] {
        let module = wat(text);
        let sections = parse_as(&module, Encoding::Module).unwrap();
        assert_eq!(
            noop_type(&sections).unwrap(),
            TypeIndex::New(next),
            "{text}"
        );
        check_module(&module);
    }
    let module = wat("(module (rec (type (struct)) (type (func))) (rec (type (func))))");
    let sections = parse_as(&module, Encoding::Module).unwrap();
    assert_eq!(noop_type(&sections).unwrap(), TypeIndex::Existing(2));
    check_module(&module);
}

#[test]
fn compact_imports_count_one_by_one() {
    let func = EntityType::Function(0);
    let mut imports = ImportSection::new();
    imports.import("a", "b", func);
    imports.imports(Imports::Compact1 {
        module: "m",
        items: vec![
            ImportCompact {
                name: "_initialize",
                ty: func,
            },
            ImportCompact {
                name: "y",
                ty: func,
            },
        ]
        .into(),
    });
    imports.imports(Imports::Compact2 {
        module: "n",
        ty: func,
        names: vec!["_initialize", "z"].into(),
    });
    let mut types = wasm_encoder::TypeSection::new();
    types.ty().function([], []);
    let mut module = wasm_encoder::Module::new();
    module.section(&types);
    module.section(&imports);
    let module = module.finish();
    assert_eq!(awaited(&module).unwrap(), ["m", "n"]);
    assert_eq!(exports(&check_module(&module))[0].index, 5);
}

#[test]
fn another_kind_of_export_is_an_error() {
    let module = wat(r#"(module (memory (export "_initialize") 1))"#);
    let error = add_initialize(&module).unwrap_err().to_string();
    assert!(error.contains("Memory"), "{error}");
}

#[test]
fn repeated_unordered_and_unknown_sections_are_errors() {
    for ids in [&[3, 3][..], &[7, 3], &[12, 9], &[10, 12], &[99]] {
        let mut module = Encoding::Module.header().to_vec();
        for &id in ids {
            sections::push(&mut module, id, &[0]);
        }
        assert!(add_initialize(&module).is_err(), "{ids:?}");
    }
}

// `restore_initialize`

#[test]
fn alias_form() {
    check_restores(
        r#"(component
            (core module $other (func (export "_initialize")))
            (core module $m
                (func (export "_initialize"))
                (func (export "f") (param i32) (result i32) local.get 0))
            (core module $user (import "e" "init" (func)) (start 0))
            (core instance $o (instantiate $other))
            (core instance $i (instantiate $m))
            (alias core export $i "_initialize" (core func $init))
            (core instance $bundle (export "init" (func $init)))
            (core instance (instantiate $user (with "e" (instance $bundle))))
        )"#,
        &[1],
    );
}

#[test]
fn whole_instance_form() {
    check_restores(
        r#"(component
            (core module $a (func (export "_initialize")))
            (core module $b (func (export "_initialize")))
            (core module $user (import "x" "_initialize" (func)) (start 0))
            (core instance $ia (instantiate $a))
            (core instance $ib (instantiate $b))
            (core instance (instantiate $user
                (with "y" (instance $ia)) (with "x" (instance $ib))))
        )"#,
        &[1],
    );
}

/// The bundle has an `_initialize` of its own, made from a function by
/// another name.
#[test]
fn a_bundle_asks_nothing_of_its_modules() {
    let component = wat(r#"(component
            (core module $a (func (export "start")))
            (core module $user (import "x" "_initialize" (func)))
            (core instance $ia (instantiate $a))
            (alias core export $ia "start" (core func $start))
            (core instance $bundle (export "_initialize" (func $start)))
            (alias core export $bundle "_initialize" (core func))
            (core instance (instantiate $user (with "x" (instance $bundle))))
        )"#);
    validate(&component).unwrap();
    assert!(matches!(
        restore_initialize(&component).unwrap(),
        Cow::Borrowed(_)
    ));
}

#[test]
fn nothing_expected() {
    for text in [
        "(component)",
        "(component (core module $m) (core instance (instantiate $m)))",
        r#"(component (core module $m (memory (export "_initialize") 1))
            (core instance $i (instantiate $m))
            (alias core export $i "_initialize" (core memory)))"#,
        r#"(component
            (core module $m (memory (export "_initialize") 1))
            (core module $n (import "x" "_initialize" (memory 1)))
            (core instance $i (instantiate $m))
            (core instance (instantiate $n (with "x" (instance $i)))))"#,
    ] {
        let component = wat(text);
        validate(&component).unwrap();
        assert!(matches!(
            restore_initialize(&component).unwrap(),
            Cow::Borrowed(_)
        ));
    }
}

#[test]
fn expecting_a_function_of_a_memory_is_an_error() {
    let component = wat(
        r#"(component (core module $m (memory (export "_initialize") 1))
            (core instance $i (instantiate $m))
            (core func (alias core export $i "_initialize")))"#,
    );
    let error = format!("{:#}", restore_initialize(&component).unwrap_err());
    assert!(error.contains("core module 0"), "{error}");
}

#[test]
fn one_module_with_several_instances() {
    check_restores(
        r#"(component
            (core module $m (import "e" "g" (global i32)) (func (export "_initialize")))
            (core module $e (global (export "g") i32 (i32.const 0)))
            (core instance $e (instantiate $e))
            (core instance $i (instantiate $m (with "e" (instance $e))))
            (core instance $j (instantiate $m (with "e" (instance $e))))
            (core instance $k (instantiate $m (with "e" (instance $e))))
            (core func (alias core export $j "_initialize"))
            (core func (alias core export $k "_initialize"))
        )"#,
        &[0],
    );
}

#[test]
fn nested_components_have_index_spaces_of_their_own() {
    check_restores(
        r#"(component
            (core module $unused (func (export "_initialize")))
            (component
                (core module $a (func (export "_initialize")))
                (component
                    (core module $b (func (export "_initialize")))
                    (core instance $i (instantiate $b))
                    (core func (alias core export $i "_initialize"))))
            (core module $c (func (export "_initialize")))
            (core instance $i (instantiate $c))
            (core func (alias core export $i "_initialize"))
        )"#,
        &[2, 3],
    );
}

#[test]
fn outer_aliases_reach_outer_modules() {
    check_restores(
        r#"(component $root
            (core module (func (export "_initialize")))
            (core module $a (func (export "_initialize")))
            (component $mid
                (core module $b (func (export "_initialize")))
                (component
                    (alias outer $mid $b (core module $alias_b))
                    (alias outer $root $a (core module $alias_a))
                    (core instance $i (instantiate $alias_a))
                    (core func (alias core export $i "_initialize"))))
            (component
                (component
                    (alias outer $root $a (core module $alias_a))
                    (core instance (instantiate $alias_a))))
        )"#,
        &[1],
    );
    // An alias with count zero, which the text format has no name for.
    check_restores(
        r#"(component
            (core module $a (func (export "_initialize")))
            (alias outer 0 0 (core module $again))
            (core instance $i (instantiate $again))
            (core func (alias core export $i "_initialize"))
        )"#,
        &[0],
    );
}

/// Imports, instance exports and exports take indices of the core module
/// space too.
#[test]
fn modules_from_elsewhere_are_counted_and_left_alone() {
    check_restores(
        r#"(component
            (import "imported" (core module $imported (export "_initialize" (func))))
            (import "f" (func))
            (import "inst" (instance $inst
                (export "m" (core module (export "_initialize" (func))))))
            (alias export $inst "m" (core module $aliased))
            (core module $a (func (export "_initialize")))
            (core module $b (func (export "_initialize")))
            (export $exported "out" (core module $a))
            (core module $c (func (export "_initialize")))
            (core instance $i (instantiate $imported))
            (core func (alias core export $i "_initialize"))
            (core instance $j (instantiate $aliased))
            (core func (alias core export $j "_initialize"))
            (core instance $k (instantiate $exported))
            (core func (alias core export $k "_initialize"))
            (core instance $l (instantiate $c))
            (core func (alias core export $l "_initialize"))
        )"#,
        &[0, 2],
    );
}

#[test]
fn indices_out_of_range_are_errors() {
    for text in [
        "(component (core instance (instantiate 0)))",
        "(component (core module) (core instance (instantiate 0 (with \"a\" (instance 7)))))",
        "(component (core func (alias core export 3 \"_initialize\")))",
    ] {
        assert!(restore_initialize(&wat(text)).is_err(), "{text}");
    }
    for count in [1, u32::MAX] {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::Outer {
            kind: wasm_encoder::ComponentOuterAliasKind::CoreModule,
            count,
            index: 0,
        });
        let mut component = wasm_encoder::Component::new();
        component.section(&RawSection {
            id: id::CORE_MODULE,
            data: &wat("(module)"),
        });
        component.section(&aliases);
        assert!(restore_initialize(&component.finish()).is_err());
    }
}

// `strip_custom_sections`

#[test]
fn strip_reaches_every_level() {
    let component = wat(r#"(component $outer
            (core module $a (func $f (export "f")) (@producers (language "C" "99")))
            (component $inner
                (core module $b (func $g (param $x i32)) (@custom "x" (before func) "y"))
                (component $innermost (core module $c)))
            (core instance $i (instantiate $a))
            (func (canon lift (core func $i "f")))
        )"#);
    validate(&component).unwrap();
    assert!(custom_sections(&component) >= 7);
    let stripped = strip_custom_sections(&component).unwrap();
    validate(&stripped).unwrap();
    assert_eq!(custom_sections(&stripped), 0);
    assert_eq!(non_custom(&component), non_custom(&stripped));
    assert!(matches!(
        strip_custom_sections(&stripped).unwrap(),
        Cow::Borrowed(_)
    ));
}

/// The sections at all levels that are not custom and contain no others.
fn non_custom(bytes: &[u8]) -> Vec<(Encoding, u8, &[u8])> {
    let (encoding, sections) = sections::parse(bytes).unwrap();
    let mut out = Vec::new();
    for Section { id, data } in sections {
        match (encoding, id) {
            (_, id::CUSTOM) => {}
            (Encoding::Component, id::CORE_MODULE | id::COMPONENT) => {
                out.push((encoding, id, &[][..]));
                out.extend(non_custom(data));
            }
            _ => out.push((encoding, id, data)),
        }
    }
    out
}

#[test]
fn one_custom_section_at_any_place_is_enough() {
    for text in [
        "(component (@custom \"a\" \"\"))",
        "(component (core module (@custom \"a\" \"\")))",
        "(component (component (core module (@custom \"a\" \"\")) (core module)))",
    ] {
        let component = wat(text);
        assert_eq!(custom_sections(&component), 1);
        let stripped = strip_custom_sections(&component).unwrap();
        assert_eq!(custom_sections(&stripped), 0, "{text}");
        assert_eq!(non_custom(&component), non_custom(&stripped));
    }
}

#[test]
fn only_components_are_accepted() {
    let module = wat("(module)");
    let mut swapped = Encoding::Component.header().to_vec();
    sections::push(&mut swapped, id::CORE_MODULE, &Encoding::Component.header());
    for bytes in [&module[..], b"", &swapped] {
        assert!(restore_initialize(bytes).is_err());
        assert!(strip_custom_sections(bytes).is_err());
    }
}

#[test]
fn nesting_without_end_is_an_error() {
    let mut component = Encoding::Component.header().to_vec();
    for _ in 0..2000 {
        let mut outer = Encoding::Component.header().to_vec();
        sections::push(&mut outer, id::COMPONENT, &component);
        component = outer;
    }
    assert!(restore_initialize(&component).is_err());
    assert!(strip_custom_sections(&component).is_err());
}

// Properties

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn module(&mut self, max_imports: usize) -> Vec<u8> {
        let config = wasm_smith::Config {
            max_imports,
            // Numbers longer than necessary are valid too.
            min_uleb_size: u8::try_from(1 + self.below(5)).unwrap(),
            max_memories: 2,
            max_tables: 2,
            gc_enabled: self.below(2) == 0,
            ..wasm_smith::Config::default()
        };
        self.module_of(config)
    }

    fn module_of(&mut self, config: wasm_smith::Config) -> Vec<u8> {
        let size = 256 + self.below(3000);
        let dna: Vec<u8> = (0..size).map(|_| self.next().to_le_bytes()[3]).collect();
        let module = wasm_smith::Module::new(config, &mut Unstructured::new(&dna));
        self.with_custom_sections(&module.unwrap().to_bytes())
    }

    fn with_custom_sections(&mut self, module: &[u8]) -> Vec<u8> {
        let mut out = Encoding::Module.header().to_vec();
        for section in parse_as(module, Encoding::Module).unwrap() {
            if self.below(3) == 0 {
                sections::push(&mut out, id::CUSTOM, b"\x01?anything");
            }
            // The size as long as it may be: a section keeps its payload,
            // not the way its size is written.
            out.push(section.id);
            let size = section.data.len();
            for shift in [0, 7, 14, 21] {
                out.push(u8::try_from((size >> shift) & 0x7f).unwrap() | 0x80);
            }
            out.push(u8::try_from(size >> 28).unwrap());
            out.extend_from_slice(section.data);
        }
        out
    }

    /// A component around core modules, other components, and custom
    /// sections between them.
    fn component(&mut self, depth: usize) -> Vec<u8> {
        let mut component = wasm_encoder::Component::new();
        for _ in 0..self.below(4) {
            let (id, data) = match self.below(3) {
                0 if depth > 0 => (id::COMPONENT, self.component(depth - 1)),
                1 => (id::CUSTOM, b"\x04name1234".to_vec()),
                // One import, because two may have the same name, which is
                // valid in a module by itself only.
                _ => (id::CORE_MODULE, self.module(1)),
            };
            component.section(&RawSection { id, data: &data });
        }
        component.finish()
    }
}

#[test]
fn any_module_takes_the_export() {
    let mut exports_before = 0;
    for seed in 0..300 {
        let module = Random::new(seed).module(100);
        exports_before += exports(&module).len();
        check_module(&module);
    }
    assert!(exports_before > 300, "the modules are too plain to matter");
}

#[test]
fn any_instantiated_module_is_restored() {
    for seed in 0..300 {
        let module = add_initialize(&Random::new(seed).module(0))
            .unwrap()
            .unwrap();
        let user = wat(r#"(module (import "m" "_initialize" (func)))"#);

        let mut instances = InstanceSection::new();
        instances.instantiate(0, [] as [(&str, ModuleArg); 0]);
        let mut aliases = ComponentAliasSection::new();
        let mut users = InstanceSection::new();
        if seed % 2 == 0 {
            users.instantiate(1, [("m", ModuleArg::Instance(0))]);
        } else {
            aliases.alias(Alias::CoreInstanceExport {
                instance: 0,
                kind: ExportKind::Func,
                name: INITIALIZE,
            });
        }
        let mut component = wasm_encoder::Component::new();
        for data in [&module, &user] {
            let id = id::CORE_MODULE;
            component.section(&RawSection { id, data });
        }
        component.section(&instances);
        component.section(&aliases);
        component.section(&users);
        let component = component.finish();
        validate(&component).unwrap();

        let broken = without_initialize(&component);
        assert!(validate(&broken).is_err());
        let restored = restore_initialize(&broken).unwrap();
        validate(&restored).unwrap();
        let before = sections::core_modules(&broken).unwrap();
        let after = sections::core_modules(&restored).unwrap();
        check_extended(before[0], after[0]);
        assert_eq!(before[1], after[1]);

        let stripped = strip_custom_sections(&restored).unwrap();
        validate(&stripped).unwrap();
        assert_eq!(non_custom(&stripped), non_custom(&restored));
    }
}

/// A component that awaits `_initialize` of `module`, and exports those of its
/// functions that take and return numbers, as "f0" and so on.
fn runnable(module: &[u8]) -> (Vec<u8>, usize) {
    let user = wat(r#"(module (import "m" "_initialize" (func)))"#);
    let mut instances = InstanceSection::new();
    instances.instantiate(0, [] as [(&str, ModuleArg); 0]);
    instances.instantiate(1, [("m", ModuleArg::Instance(0))]);
    let mut aliases = ComponentAliasSection::new();
    let mut types = wasm_encoder::ComponentTypeSection::new();
    let mut lifted = wasm_encoder::CanonicalFunctionSection::new();
    let mut exported = wasm_encoder::ComponentExportSection::new();
    let number = |ty: &wasmparser::ValType| {
        Some(match ty {
            wasmparser::ValType::I32 => PrimitiveValType::S32,
            wasmparser::ValType::I64 => PrimitiveValType::S64,
            wasmparser::ValType::F32 => PrimitiveValType::F32,
            wasmparser::ValType::F64 => PrimitiveValType::F64,
            _ => return None,
        })
    };
    let numbers = |list: &[wasmparser::ValType]| list.iter().map(number).collect();
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let known = validator.validate_all(module).unwrap();
    let known = known.as_ref();
    let mut count = 0;
    for export in exports(module) {
        if export.kind != wasmparser::ExternalKind::Func {
            continue;
        }
        let ty = known.core_function_at(export.index);
        let ty = known[ty].unwrap_func();
        let (params, results): (Option<Vec<_>>, Option<Vec<_>>) =
            (numbers(ty.params()), numbers(ty.results()));
        // Where more would go into memory.
        let (Some(params), Some([] | [_])) = (params, results.as_deref()) else {
            continue;
        };
        let result = results.and_then(|results| results.first().copied());
        let names: Vec<String> = (0..params.len()).map(|at| format!("p{at}")).collect();
        types
            .function()
            .params(names.iter().map(String::as_str).zip(params))
            .result(result.map(ComponentValType::Primitive));
        aliases.alias(Alias::CoreInstanceExport {
            instance: 0,
            kind: ExportKind::Func,
            name: export.name,
        });
        let index = u32::try_from(count).unwrap();
        lifted.lift(index, index, [] as [wasm_encoder::CanonicalOption; 0]);
        let (name, kind) = (format!("f{count}"), wasm_encoder::ComponentExportKind::Func);
        // An export is a function of its own, so there are twice as many.
        exported.export(&name, kind, index, None);
        count += 1;
    }
    let mut component = wasm_encoder::Component::new();
    for data in [module, &user] {
        let id = id::CORE_MODULE;
        component.section(&RawSection { id, data });
    }
    component.section(&instances).section(&aliases);
    component
        .section(&types)
        .section(&lifted)
        .section(&exported);
    (component.finish(), count)
}

/// What each of the `count` functions of a component gives, in an instance of its
/// own, when it is called twice.
fn behaviour(engine: &wasmtime::Engine, component: &[u8], count: usize) -> Vec<String> {
    use wasmtime::component::{Component, Linker, Val, types::Type};
    let component = Component::new(engine, component).unwrap();
    let linker = Linker::new(engine);
    let mut said = Vec::new();
    for name in (0..count).map(|at| format!("f{at}")) {
        let mut store = wasmtime::Store::new(engine, ());
        store.set_fuel(20_000).unwrap();
        let cause = |error: wasmtime::Error| format!("{:?}", error.root_cause().to_string());
        let instance = match linker.instantiate(&mut store, &component) {
            Ok(instance) => instance,
            Err(error) => return vec![cause(error)],
        };
        let function = instance.get_func(&mut store, &name).unwrap();
        let ty = function.ty(&store);
        let arguments: Vec<Val> = ty
            .params()
            .map(|(_, ty)| match ty {
                Type::S32 => Val::S32(77),
                Type::S64 => Val::S64(-5_000_000_000),
                Type::Float32 => Val::Float32(0.5),
                _ => Val::Float64(-1e300),
            })
            .collect();
        for _ in 0..2 {
            let mut results = vec![Val::Bool(false); ty.results().len()];
            said.push(match function.call(&mut store, &arguments, &mut results) {
                Ok(()) => format!("{results:?}, {} left", store.get_fuel().unwrap()),
                Err(error) => cause(error),
            });
        }
    }
    said
}

#[test]
fn what_components_do_stays_the_same() {
    let engine = wasmtime::Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
    let (mut results, mut failures) = (0, 0);
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let plain = wasm_smith::Config {
            export_everything: true,
            max_imports: 0,
            max_memory32_bytes: 1 << 20,
            max_table_elements: 1000,
            disallow_traps: seed % 2 == 0,
            exceptions_enabled: false,
            gc_enabled: false,
            memory64_enabled: false,
            // Among these are references that only Wasmtime's feature `gc` has.
            reference_types_enabled: false,
            relaxed_simd_enabled: false,
            threads_enabled: false,
            ..wasm_smith::Config::default()
        };
        let module = random.module_of(plain);
        let whole = add_initialize(&module).unwrap().unwrap();
        let (component, count) = runnable(&whole);
        validate(&component).unwrap();
        let before = behaviour(&engine, &component, count);

        let restored = without_initialize(&component);
        let restored = restore_initialize(&restored).unwrap();
        assert_eq!(behaviour(&engine, &restored, count), before, "seed {seed}");
        let stripped = strip_custom_sections(&restored).unwrap();
        assert_eq!(behaviour(&engine, &stripped, count), before, "seed {seed}");
        let ended = before.iter().filter(|said| said.ends_with("left")).count();
        results += ended;
        failures += before.len() - ended;
    }
    assert!(
        results > 100 && failures > 20,
        "{results} and {failures} calls say little"
    );
}

#[test]
fn any_component_is_valid_without_custom_sections() {
    let mut removed = 0;
    for seed in 0..300 {
        let component = Random::new(seed).component(3);
        validate(&component).unwrap();
        let stripped = strip_custom_sections(&component).unwrap();
        validate(&stripped).unwrap();
        removed += custom_sections(&component);
        assert_eq!(custom_sections(&stripped), 0);
        assert_eq!(non_custom(&component), non_custom(&stripped));
        let borrowed = matches!(stripped, Cow::Borrowed(_));
        assert_eq!(borrowed, custom_sections(&component) == 0);
    }
    assert!(removed > 300, "only {removed} sections were removed");
}

/// Every outcome but a panic, an overflow or a huge allocation is fine.
#[test]
fn damaged_input_does_not_panic() {
    let component = wat(r#"(component $root
            (import "imported" (core module $imported (export "f" (func))))
            (core module $a (import "a" "b" (func)) (import "a" "m" (memory 1))
                (rec (type (func)) (type (struct)))
                (func $f (export "f")) (func (export "_initialize")) (table 1 funcref)
                (elem (i32.const 0) func $f) (data (i32.const 0) "data"))
            (core module $env (func (export "b")) (memory (export "m") 1))
            (component (alias outer $root $env (core module $alias))
                (core module $c (func (export "_initialize")))
                (core instance $i (instantiate $c))
                (core func (alias core export $i "_initialize")))
            (core module $user (import "x" "_initialize" (func)) (start 0))
            (export "out" (core module $a))
            (core instance $e (instantiate $env))
            (core instance $i (instantiate $a (with "a" (instance $e))))
            (core instance $user (instantiate $user (with "x" (instance $i))))
            (func (export "f") (canon lift (core func $i "f")))
        )"#);
    validate(&component).unwrap();
    let broken = without_initialize(&component);
    let mut random = Random::new(7);
    let (mut good, mut bad) = (0, 0);
    for round in 0..2000 {
        let mut bytes = if round % 2 == 0 { &component } else { &broken }.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(8) {
                0 => bytes.truncate(at.max(1)),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, random.next().to_le_bytes()[0]),
                3 => bytes[at] = 0xff,
                4 => bytes[at] = bytes[at].wrapping_add(1),
                _ => bytes[at] = random.next().to_le_bytes()[0],
            }
            if bytes.len() < 2 {
                break;
            }
        }
        match restore_initialize(&bytes) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
        if let Ok(stripped) = strip_custom_sections(&bytes) {
            assert_eq!(custom_sections(&stripped), 0);
        }
        // Modules by themselves, so that those nothing refers to any more
        // are tried too.
        for module in sections::core_modules(&bytes).unwrap_or_default() {
            let _ = add_initialize(module);
        }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn random_bytes_do_not_panic() {
    let mut random = Random::new(11);
    for _ in 0..2000 {
        let mut bytes = Encoding::Component.header().to_vec();
        for _ in 0..random.below(4) {
            let size = random.below(40);
            let data: Vec<u8> = (0..size).map(|_| random.next().to_le_bytes()[0]).collect();
            let id = u8::try_from(random.below(13)).unwrap();
            sections::push(&mut bytes, id, &data);
        }
        let _ = restore_initialize(&bytes);
        let _ = strip_custom_sections(&bytes);
        // The same sections as a core module.
        bytes[..8].copy_from_slice(&Encoding::Module.header());
        let _ = add_initialize(&bytes);
    }
}
