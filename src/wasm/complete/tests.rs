use super::*;
use crate::wasm::sections::code;
use wasmparser::Operator;
use wasmtime_wizer::{ComponentInstanceState, Wizer};

/// A memory in each of two modules, one with a passive segment that code names, and a
/// module that imports one.
const COMPONENT: &str = r#"(component
    (core module $a
        (memory (export "m") 2)
        (global (export "g") (mut i32) (i32.const 1))
        (func (export "first") (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 2)))
        (func (export "second") (data.drop 1))
        (data (i32.const 8) "at start")
        (data "passive"))
    (core module $c (import "a" "m" (memory 2)) (func (drop (i32.load (i32.const 0)))))
    (core module $b (memory (export "m") 0 5) (data "") (func (drop (i32.const 5))))
    (core instance $i (instantiate $a))
    (core instance (instantiate $c (with "a" (instance $i))))
    (core instance (instantiate $b)))"#;

/// What wizer is told: the marks, and a value for each global.
struct State(Vec<String>);

impl ComponentInstanceState for State {
    async fn call_func_ret_list_u8(
        &mut self,
        _: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let known = self.0.iter().position(|name| name == func);
        let number = known.unwrap_or_else(|| {
            self.0.push(func.to_owned());
            self.0.len() - 1
        });
        contents(&mark(number).unwrap());
    }

    async fn call_func_ret_s32(&mut self, _: &str, _: &str) -> i32 {
        42
    }

    async fn call_func_ret_s64(&mut self, _: &str, _: &str) -> i64 {
        unreachable!("no such global")
    }

    async fn call_func_ret_f32(&mut self, _: &str, _: &str) -> u32 {
        unreachable!("no such global")
    }

    async fn call_func_ret_f64(&mut self, _: &str, _: &str) -> u64 {
        unreachable!("no such global")
    }
}

fn snapshot(component: &[u8], images: &[Image]) -> Result<Vec<u8>> {
    let bare = bare(component)?;
    let wizer = Wizer::new();
    let (context, runs) = wizer.instrument_component(&bare).unwrap();
    for index in 0..3 {
        let runs = with_memories(&runs, component)?;
        assert_eq!(sizes(&runs, index), sizes(component, index));
    }
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    let taken = runtime.block_on(wizer.snapshot_component(&context, &mut State(Vec::new())));
    completed(&taken.unwrap(), component, images)
}

/// The address and the bytes of every active segment.
type Active = Vec<(i32, Vec<u8>)>;

/// The segments of the core module at `index`: the active ones, and the bytes of others.
fn segments(component: &[u8], index: usize) -> (Active, Vec<Vec<u8>>) {
    let module = sections::core_modules(component).unwrap()[index];
    let (mut active, mut passive) = (Vec::new(), Vec::new());
    for section in sections::parse(module).unwrap().1 {
        if section.id != module_id::DATA {
            continue;
        }
        for data in DataSectionReader::new(BinaryReader::new(section.data, 0)).unwrap() {
            let data = data.unwrap();
            match data.kind {
                DataKind::Passive => passive.push(data.data.to_vec()),
                DataKind::Active { offset_expr, .. } => {
                    let Operator::I32Const { value } =
                        offset_expr.get_operators_reader().read().unwrap()
                    else {
                        panic!("no constant");
                    };
                    active.push((value, data.data.to_vec()));
                }
            }
        }
    }
    (active, passive)
}

fn sizes(component: &[u8], index: usize) -> Vec<u64> {
    let module = sections::core_modules(component).unwrap()[index];
    let sections = sections::parse(module).unwrap().1;
    let memories = Memories::of(&[], &sections, &[]);
    let types = memories.unwrap().types.into_iter();
    types.map(|ty| ty.initial).collect()
}

#[test]
fn bodies_and_memories_come_back_to_their_modules() {
    let component = wat::parse_str(COMPONENT).unwrap();
    let mut first = vec![0; 3 << 16];
    first[7] = 1;
    first[100..103].copy_from_slice(b"abc");
    first[2 << 16] = 2;
    let images = [Image::of(&first, None), Image::of(&[], None)];
    let whole = snapshot(&component, &images).unwrap();
    crate::wasm::validate::validate(&whole).unwrap();

    let active = [(7, &b"\x01"[..]), (100, b"abc"), (2 << 16, b"\x02")];
    let active = active.map(|(at, bytes)| (at, bytes.to_vec())).to_vec();
    // Those that were applied are empty, and keep the places of the others.
    let passive = vec![b"".to_vec(), b"passive".to_vec()];
    assert_eq!(segments(&whole, 0), (active, passive));
    assert_eq!(sizes(&whole, 0), [3]);
    assert_eq!(segments(&whole, 2), (vec![], vec![vec![]]));
    assert_eq!(sizes(&whole, 2), [0]);

    let [whole, component] =
        [&whole[..], &component].map(|bytes| sections::core_modules(bytes).unwrap()[..3].to_vec());
    for (new, old) in whole.into_iter().zip(component) {
        assert_eq!(code(new).unwrap(), code(old).unwrap());
    }
}

#[test]
fn a_memory_that_nobody_read_is_an_error() {
    let component = wat::parse_str(COMPONENT).unwrap();
    let error = snapshot(&component, &[Image::of(&[1], None)]).unwrap_err();
    assert!(format!("{error:#}").contains("nobody read"), "{error:#}");
}

#[test]
fn functions_that_were_added_stay_behind_the_others() {
    let old = wat::parse_str("(component (core module (func nop) (func)))").unwrap();
    let text = "(component (core module (func) (func) (func unreachable)))";
    let whole = completed(&wat::parse_str(text).unwrap(), &old, &[]).unwrap();
    let text = "(component (core module (func nop) (func) (func unreachable)))";
    assert_eq!(whole, wat::parse_str(text).unwrap());
}

#[test]
fn there_are_marks_for_many_memories_but_not_for_all() {
    let all = (0..255).map(|number| mark(number).unwrap());
    let all: std::collections::BTreeSet<_> = all.collect();
    assert_eq!(all.len(), 255);
    assert!(mark(255).is_err());
}
