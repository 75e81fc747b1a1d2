//! Components made at random behave alike fused and unfused: modules that share
//! memories, tables and globals, call each other directly, through tables and through
//! functions that only forward, start, and are left out because of something else.

use super::tests::{engine, transcript};
use super::{Fused, fuse};
use crate::wasm::validate::validate;
use std::fmt::Write;

/// xorshift64: the same components in every run.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        match list.is_empty() {
            true => None,
            false => list.get(self.below(list.len())),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Func,
    Memory,
    Table,
    Mutable,
    Constant,
    Constant64,
}

impl What {
    fn import(self) -> &'static str {
        match self {
            Self::Func => "(func $NAME (param i32) (result i32))",
            Self::Memory => "(memory $NAME 1)",
            Self::Table => "(table $NAME 16 funcref)",
            Self::Mutable => "(global $NAME (mut i32))",
            Self::Constant => "(global $NAME i32)",
            Self::Constant64 => "(global $NAME i64)",
        }
    }

    fn alias(self) -> &'static str {
        match self {
            Self::Func => "func",
            Self::Memory => "memory",
            Self::Table => "table",
            _ => "global",
        }
    }
}

/// What a module can name: the name is the same in every module.
type Items = Vec<(What, String)>;

fn of(items: &Items, what: What) -> Vec<String> {
    let found = items.iter().filter(|(w, _)| *w == what);
    found.map(|(_, name)| name.clone()).collect()
}

struct Maker {
    random: Random,
    /// Whether code may change tables.
    changes_tables: bool,
}

impl Maker {
    /// An expression of type i32.
    fn value(&mut self, items: &Items, segments: &[String], depth: usize) -> String {
        let constant = format!("(i32.const {})", self.random.below(1000) as i32 - 500);
        if depth == 0 {
            return match self.random.below(3) {
                0 => constant,
                1 => "(local.get 0)".to_owned(),
                _ => self.global(items).unwrap_or(constant),
            };
        }
        let inner = |this: &mut Self| this.value(items, segments, depth - 1);
        let (a, b) = (inner(self), inner(self));
        let name = |this: &mut Self, what| {
            let names = of(items, what);
            this.random.pick(&names).cloned()
        };
        let made = match self.random.below(14) {
            0 => Some(format!("(i32.add {a} {b})")),
            1 => Some(format!("(i32.xor {a} {b})")),
            2 => name(self, What::Constant)
                .map(|g| format!("(i32.add (global.get ${g}) (i32.const {}))", a.len())),
            3 => name(self, What::Func).map(|f| format!("(call ${f} {a})")),
            4 => name(self, What::Memory)
                .map(|m| format!("(i32.load8_u ${m} offset=7 (i32.and {a} (i32.const 1023)))")),
            5 => name(self, What::Memory).map(|m| {
                format!(
                    "(block (result i32) (i32.store8 ${m} (i32.and {a} (i32.const 1023)) {b}) {b})"
                )
            }),
            6 => name(self, What::Table).map(|t| {
                format!("(call_indirect ${t} (type $f) {a} (i32.and {b} (i32.const 15)))")
            }),
            7 => name(self, What::Mutable)
                .filter(|name| name != "budget")
                .map(|g| format!("(block (result i32) (global.set ${g} {a}) {b})")),
            8 => name(self, What::Memory)
                .map(|m| format!("(i32.add {a} (memory.grow ${m} (i32.const 1)))")),
            9 => name(self, What::Constant64)
                .map(|g| format!("(i32.wrap_i64 (i64.mul (global.get ${g}) (i64.const 3)))")),
            10 => {
                let segment = self.random.pick(segments).cloned();
                name(self, What::Memory).zip(segment).map(|(m, s)| {
                    let init = format!(
                        "(memory.init ${m} ${s} (i32.const 300) (i32.const 0) (i32.const 2))"
                    );
                    format!("(block (result i32) {init} (data.drop ${s}) {a})")
                })
            }
            11 if self.changes_tables => {
                let function = name(self, What::Func);
                name(self, What::Table).zip(function).map(|(t, f)| {
                    let at = self.random.below(16);
                    format!(
                        "(block (result i32) (table.set ${t} (i32.const {at}) (ref.func ${f})) {a})"
                    )
                })
            }
            12 => Some(format!(
                "(if (result i32) (i32.eqz {a}) (then {b}) (else (local.get 0)))"
            )),
            _ => Some(format!("(select {a} {b} (local.get 0))")),
        };
        made.unwrap_or(a)
    }

    fn global(&mut self, items: &Items) -> Option<String> {
        let mut names = of(items, What::Mutable);
        names.extend(of(items, What::Constant));
        let name = self.random.pick(&names)?;
        Some(format!("(global.get ${name})"))
    }

    /// A module that imports some of `before`, and what it offers.
    fn module(&mut self, number: usize, before: &[(String, Items)]) -> Made {
        let mut text = "(type $f (func (param i32) (result i32)))\n".to_owned();
        let mut items = Items::new();
        let mut imports = Vec::new();
        for (instance, offered) in before {
            for (what, name) in offered {
                let needed = name == "budget";
                if (needed || !self.random.one_in(3)) && !items.iter().any(|(_, n)| n == name) {
                    let import = what.import().replace("NAME", name);
                    writeln!(text, "(import \"{instance}\" \"{name}\" {import})").unwrap();
                    items.push((*what, name.clone()));
                    imports.push((instance.clone(), *what, name.clone()));
                }
            }
        }
        let taken = items.clone();
        self.define(number, &mut text, &mut items);
        let mut functions = String::new();
        let mut segments = Vec::new();
        if !of(&items, What::Memory).is_empty() && self.random.one_in(2) {
            writeln!(functions, "(data $d{number} \"\\{:02x}\\01\")", number + 16).unwrap();
            segments.push(format!("d{number}"));
        }
        let own: Vec<String> = (0..1 + self.random.below(4))
            .map(|at| format!("f{number}_{at}"))
            .collect();
        for name in &own {
            items.push((What::Func, name.clone()));
        }
        for name in &own {
            let body = self.body(&items, &segments);
            writeln!(functions, "(func ${name} (type $f) {body})").unwrap();
        }
        self.segments(number, &items, &own, &mut functions);
        let offered: Items = items
            .iter()
            .filter(|item| !taken.contains(item) || self.random.one_in(3))
            .cloned()
            .collect();
        for (what, name) in &offered {
            let kind = what.alias();
            writeln!(functions, "(export \"{name}\" ({kind} ${name}))").unwrap();
        }
        Made {
            text: format!("{text}{functions}"),
            offered,
            imports,
        }
    }

    fn define(&mut self, number: usize, text: &mut String, items: &mut Items) {
        if number == 0 {
            writeln!(text, "(global $budget (mut i32) (i32.const 300))").unwrap();
            items.push((What::Mutable, "budget".to_owned()));
        }
        for (what, odds) in [(What::Memory, 12), (What::Table, 12)] {
            if number == 0 || self.random.one_in(odds) {
                let name = format!("{}{number}", what.alias());
                let size = if what == What::Memory {
                    "1 20"
                } else {
                    "16 funcref"
                };
                writeln!(text, "({} ${name} {size})", what.alias()).unwrap();
                items.push((what, name));
            }
        }
        let known = of(items, What::Constant);
        for at in 0..self.random.below(4) {
            let name = format!("g{number}_{at}");
            let (what, ty, value) = match self.random.below(4) {
                0 => (What::Mutable, "(mut i32)", "(i32.const 5)".to_owned()),
                1 => (
                    What::Constant64,
                    "i64",
                    "(i64.const -77777777777)".to_owned(),
                ),
                2 => {
                    let base = self
                        .random
                        .pick(&known)
                        .map(|g| format!("(i32.add (global.get ${g}) (i32.const 3))"));
                    let value = base.unwrap_or("(i32.const 8)".to_owned());
                    (What::Constant, "i32", value)
                }
                _ => (What::Constant, "i32", format!("(i32.const {})", number * 4)),
            };
            writeln!(text, "(global ${name} {ty} {value})").unwrap();
            items.push((what, name));
        }
    }

    /// A function's body: mostly something that costs of the budget, so that every
    /// run comes to an end.
    fn body(&mut self, items: &Items, segments: &[String]) -> String {
        let tables = of(items, What::Table);
        if let (true, Some(table)) = (self.random.one_in(3), self.random.pick(&tables)) {
            let table = table.clone();
            let entry = self.random.below(18);
            return format!("(call_indirect ${table} (type $f) (local.get 0) (i32.const {entry}))");
        }
        let value = self.value(items, segments, 3);
        format!(
            "(if (i32.eqz (global.get $budget)) (then unreachable)) \
             (global.set $budget (i32.sub (global.get $budget) (i32.const 1))) {value}"
        )
    }

    fn segments(&mut self, number: usize, items: &Items, own: &[String], out: &mut String) {
        let constants = of(items, What::Constant);
        let offset = |this: &mut Self| match this.random.pick(&constants) {
            Some(global) if this.random.one_in(2) => format!("(global.get ${global})"),
            _ => format!("(i32.const {})", this.random.below(14)),
        };
        for table in of(items, What::Table) {
            if self.random.one_in(2) {
                let functions = of(items, What::Func);
                let mut list = String::new();
                for _ in 0..1 + self.random.below(4) {
                    let name = self.random.pick(&functions).cloned();
                    write!(list, " ${}", name.unwrap_or(own[0].clone())).unwrap();
                }
                let at = offset(self);
                writeln!(out, "(elem (table ${table}) {at} func{list})").unwrap();
            }
        }
        for memory in of(items, What::Memory) {
            if self.random.one_in(2) {
                let at = offset(self);
                writeln!(out, "(data (memory ${memory}) {at} \"some{number}\")").unwrap();
            }
        }
        // What ref.func names has to be declared.
        let functions = of(items, What::Func).join(" $");
        writeln!(out, "(elem declare func ${functions})").unwrap();
        let memories = of(items, What::Memory);
        match (self.random.below(8), self.random.pick(&memories)) {
            (0, _) => writeln!(
                out,
                "(start $s) (func $s (drop (call ${} (i32.const 3))))",
                own[0]
            ),
            (1 | 2, Some(memory)) => {
                let (value, at) = (self.random.below(2), self.random.below(30));
                writeln!(
                    out,
                    "(start $s) (func $s (memory.fill ${memory} (i32.add (i32.const {at}) \
                     (i32.const 6)) (i32.const {value}) (i32.const 9)) \
                     (i32.store ${memory} offset=2 (i32.const {at}) \
                     (i32.add (i32.const {value}) (i32.const 7))))"
                )
            }
            _ => Ok(()),
        }
        .unwrap();
    }

    /// A component, and how many functions it exports.
    fn component(&mut self) -> (String, Vec<String>) {
        let mut text = "(component
            (import \"h\" (func $h (param \"x\" s32) (result s32)))
            (core func $hl (canon lower (func $h)))
            (core instance $host (export \"h\" (func $hl)))\n"
            .to_owned();
        let mut before = vec![("host".to_owned(), vec![(What::Func, "h".to_owned())])];
        let mut lifted = Vec::new();
        for number in 0..2 + self.random.below(4) {
            let made = self.module(number, &before);
            writeln!(text, "(core module $m{number}\n{})", made.text).unwrap();
            let mut args = String::new();
            for (instance, _) in &before {
                let own = made.imports.iter().filter(|(from, ..)| from == instance);
                if self.random.one_in(2) {
                    write!(args, " (with \"{instance}\" (instance ${instance}))").unwrap();
                    continue;
                }
                write!(args, " (with \"{instance}\" (instance").unwrap();
                for (_, what, name) in own {
                    let kind = what.alias();
                    write!(args, " (export \"{name}\" ({kind} ${instance} \"{name}\"))").unwrap();
                }
                args.push_str("))");
            }
            writeln!(
                text,
                "(core instance $i{number} (instantiate $m{number}{args}))"
            )
            .unwrap();
            if self.random.one_in(8) {
                // A second instance: its module has to stay.
                writeln!(text, "(core instance (instantiate $m{number}{args}))").unwrap();
            }
            for name in of(&made.offered, What::Func) {
                lifted.push((number, name));
            }
            before.push((format!("i{number}"), made.offered));
        }
        let mut names = Vec::new();
        for (at, (number, name)) in lifted.into_iter().enumerate() {
            writeln!(
                text,
                "(func (export \"e{at}\") (param \"x\" s32) (result s32) \
                 (canon lift (core func $i{number} \"{name}\")))"
            )
            .unwrap();
            names.push(format!("e{at}"));
        }
        text.push(')');
        (text, names)
    }
}

struct Made {
    text: String,
    offered: Items,
    imports: Vec<(String, What, String)>,
}

#[test]
fn fused_components_do_what_they_did() {
    let engine = engine();
    let (mut fused_count, mut results, mut traps) = (0, 0, 0);
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let changes_tables = random.one_in(4);
        let mut maker = Maker {
            random,
            changes_tables,
        };
        let (text, names) = maker.component();
        let component = wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        validate(&component).unwrap_or_else(|e| panic!("seed {seed}: {e:#}\n{text}"));
        let fused = match fuse(&component).unwrap() {
            Fused::Component(fused) => fused,
            Fused::Unfused(_) => continue,
        };
        fused_count += 1;
        validate(&fused).unwrap_or_else(|e| panic!("seed {seed}: {e:#}\n{text}"));
        let calls: Vec<(&str, i32)> = names
            .iter()
            .flat_map(|name| [(name.as_str(), 3), (name.as_str(), -900)])
            .collect();
        let before = transcript(&engine, &component, &calls);
        let after = transcript(&engine, &fused, &calls);
        assert_eq!(before, after, "seed {seed}\n{text}");
        let ok = before.iter().filter(|said| said.starts_with("Ok")).count();
        results += ok;
        traps += before.len() - ok;
        // What is fused once has nothing more to fuse.
        if let Fused::Component(again) = fuse(&fused).unwrap() {
            validate(&again).unwrap();
            assert_eq!(
                before,
                transcript(&engine, &again, &calls),
                "seed {seed}, again"
            );
        }
    }
    println!("{fused_count} components, {results} results, {traps} traps");
    assert!(fused_count > 60, "{fused_count}");
    assert!(results > 500 && traps > 200, "{results}, {traps}");
}
