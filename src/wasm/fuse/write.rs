//! The fused module: what is reached, numbered for the last time, and written.

use super::body::Name;
use super::component::Entity;
use super::constant::{Constant, Part};
use super::merge::{Function, Items, Merged, Mode};
use super::module::{Kind, Module};
use super::plan::Plan;
use crate::wasm::profile;
use crate::wasm::sections::{self, id, module_id};
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap, HashSet};
use wasm_encoder::{
    CustomSection, DataCountSection, DataSection, ElementSection, Elements, Encode, ExportSection,
    FunctionSection, GlobalSection, ImportSection, MemorySection, NameMap, NameSection,
    Section as _, TableSection, TagSection,
};
use wasmparser::BinaryReader;

/// What the fused module imports from: one bag of items, named by number.
pub(super) const OUTSIDE: &str = "outside";

/// The fused module, and how it is to be made use of.
pub(super) struct Written {
    pub(super) module: Vec<u8>,
    /// What it imports, in this order.
    pub(super) imports: Vec<(Kind, Entity)>,
    /// What it exports, and under which name.
    pub(super) exports: HashMap<(Kind, Entity), String>,
}

/// # Errors
/// When something is named that is not there.
pub(super) fn write(merged: &Merged<'_>, plan: &Plan, modules: &[&Module<'_>]) -> Result<Written> {
    let mut exports = Vec::new();
    for &(kind, entity) in &plan.demanded {
        exports.push((kind, entity, merged.number_of(kind, entity)?));
    }
    let numbers = Numbers::new(merged, &exports);
    let names = export_names(plan, modules, &exports)?;
    let mut module = sections::Encoding::Module.header().to_vec();
    sections::push(&mut module, module_id::TYPE, &merged.types.section());
    let imports = write_imports(merged, &numbers, &mut module);
    numbers.functions(merged, &mut module);
    write_tables(merged, &numbers, &mut module);
    write_memories(merged, &mut module);
    write_tags(merged, &mut module);
    numbers.globals(merged, &mut module);
    let mut section = ExportSection::new();
    for &(kind, entity, number) in &exports {
        let number = numbers.of(kind, number);
        section.export(&names[&(kind, entity)], kind.encoder(), number);
    }
    section.append_to(&mut module);
    numbers.elements(merged, &mut module);
    if merged.data_count {
        let count = u32::try_from(merged.data.len())?;
        DataCountSection { count }.append_to(&mut module);
    }
    sections::push(&mut module, id::CODE, &numbers.code(merged));
    write_data(merged, &numbers, &mut module);
    numbers.digests(merged).append_to(&mut module);
    if let Some(section) = numbers.names(merged, plan, modules)? {
        section.append_to(&mut module);
    }
    Ok(Written {
        module,
        imports,
        exports: names,
    })
}

/// The names of what is exported: those it had, if they are not taken. wizer removes
/// exports by the names that are left out.
fn export_names(
    plan: &Plan,
    modules: &[&Module<'_>],
    exports: &[(Kind, Entity, u32)],
) -> Result<HashMap<(Kind, Entity), String>> {
    let mut taken: HashSet<String> = ["_initialize", "_start"].map(str::to_owned).into();
    let mut names = HashMap::new();
    for &(kind, entity, number) in exports {
        let Entity::Defined { instance, index } = entity else {
            anyhow::bail!("an export of no module");
        };
        let member = plan.members.iter().position(|member| *member == instance);
        let module = modules[member.context("an export of no member")?];
        let name = module.export_name(kind, index).unwrap_or("start");
        let name = match taken.contains(name) {
            true => format!("{name}:{number}"),
            false => name.to_owned(),
        };
        taken.insert(name.clone());
        names.insert((kind, entity), name);
    }
    Ok(names)
}

fn write_imports(merged: &Merged<'_>, numbers: &Numbers, out: &mut Vec<u8>) -> Vec<(Kind, Entity)> {
    let mut section = ImportSection::new();
    let mut imports = Vec::new();
    let mut function = 0;
    for import in &merged.imports {
        if import.kind == Kind::Func {
            function += 1;
            if !numbers.reached.contains(&(function - 1)) {
                continue;
            }
        }
        let name = imports.len().to_string();
        section.import(OUTSIDE, &name, import.ty);
        imports.push((import.kind, import.entity));
    }
    if !section.is_empty() {
        section.append_to(out);
    }
    imports
}

fn write_tables(merged: &Merged<'_>, numbers: &Numbers, out: &mut Vec<u8>) {
    let mut section = TableSection::new();
    for table in &merged.tables {
        match &table.value {
            None => section.table(table.ty),
            Some(value) => section.table_with_init(table.ty, &numbers.constant(value)),
        };
    }
    if !section.is_empty() {
        section.append_to(out);
    }
}

fn write_memories(merged: &Merged<'_>, out: &mut Vec<u8>) {
    let mut section = MemorySection::new();
    for memory in &merged.memories {
        section.memory(*memory);
    }
    if !section.is_empty() {
        section.append_to(out);
    }
}

fn write_tags(merged: &Merged<'_>, out: &mut Vec<u8>) {
    let mut section = TagSection::new();
    for tag in &merged.tags {
        section.tag(*tag);
    }
    if !section.is_empty() {
        section.append_to(out);
    }
}

fn write_data(merged: &Merged<'_>, numbers: &Numbers, out: &mut Vec<u8>) {
    let mut section = DataSection::new();
    for data in &merged.data {
        let bytes = data.bytes.iter().copied();
        match &data.place {
            Some((memory, offset)) => section.active(*memory, &numbers.constant(offset), bytes),
            None => section.passive(bytes),
        };
    }
    if !section.is_empty() {
        section.append_to(out);
    }
}

/// Which functions and globals stay, and their last numbers.
struct Numbers {
    imported_functions: u32,
    imported_globals: u32,
    reached: BTreeSet<u32>,
    /// By number before; those that are left out have none.
    functions: HashMap<u32, u32>,
    globals: HashMap<u32, u32>,
    forwards: HashMap<u32, u32>,
    /// What bodies refer to by `ref.func`.
    referred: BTreeSet<u32>,
    /// The globals that are numbers, by number before.
    constants: HashMap<u32, Part>,
}

impl Numbers {
    fn new(merged: &Merged<'_>, exports: &[(Kind, Entity, u32)]) -> Self {
        let exported = |wanted: Kind| {
            let found = exports.iter().filter(move |(kind, ..)| *kind == wanted);
            found.map(|(.., number)| *number)
        };
        let imported_globals = merged.imported(Kind::Global) as u32;
        let exported_globals: HashSet<u32> = exported(Kind::Global).collect();
        let mut constants = HashMap::new();
        let mut globals: HashMap<u32, u32> = (0..imported_globals).map(|g| (g, g)).collect();
        for (global, number) in merged.globals.iter().zip(imported_globals..) {
            if let Some(part) = global.number {
                constants.insert(number, part);
            }
            if global.number.is_none() || exported_globals.contains(&number) {
                globals.insert(number, globals.len() as u32);
            }
        }
        let mut numbers = Self {
            imported_functions: merged.imported(Kind::Func) as u32,
            imported_globals,
            reached: BTreeSet::new(),
            functions: HashMap::new(),
            globals,
            forwards: merged.forwards.clone(),
            referred: BTreeSet::new(),
            constants,
        };
        numbers.reach(merged, exported(Kind::Func));
        let reached = numbers.reached.iter().copied().zip(0..);
        numbers.functions = reached.collect();
        numbers
    }

    /// Finds what exports, tables and constants lead to.
    fn reach(&mut self, merged: &Merged<'_>, exported: impl Iterator<Item = u32>) {
        let mut waiting: Vec<u32> = exported.collect();
        let globals = merged.globals.iter().zip(self.imported_globals..);
        let globals = globals.filter(|(_, number)| self.globals.contains_key(number));
        waiting.extend(globals.flat_map(|(global, _)| global.value.functions()));
        let tables = merged
            .tables
            .iter()
            .filter_map(|table| table.value.as_ref());
        waiting.extend(tables.flat_map(Constant::functions));
        for segment in &merged.segments {
            match &segment.items {
                Items::Functions(functions) => waiting.extend(functions),
                Items::Expressions(_, expressions) => {
                    waiting.extend(expressions.iter().flat_map(Constant::functions));
                }
            }
        }
        while let Some(number) = waiting.pop() {
            let number = self.forwarded(number);
            if !self.reached.insert(number) {
                continue;
            }
            let Some(function) = self.function(merged, number) else {
                continue;
            };
            for (_, name) in &function.body.names {
                match *name {
                    Name::Call(called) | Name::ReturnCall(called) => waiting.push(called),
                    Name::Reference(referred) => {
                        self.referred.insert(self.forwarded(referred));
                        waiting.push(referred);
                    }
                    Name::Get(_) | Name::Set(_) => {}
                }
            }
        }
    }

    fn forwarded(&self, number: u32) -> u32 {
        self.forwards.get(&number).copied().unwrap_or(number)
    }

    fn function<'m, 'a>(&self, merged: &'m Merged<'a>, number: u32) -> Option<&'m Function<'a>> {
        let function = number.checked_sub(self.imported_functions)?;
        merged.functions.get(function as usize)
    }

    /// The functions that stay, in their order.
    fn kept<'m, 'a>(&self, merged: &'m Merged<'a>) -> Vec<&'m Function<'a>> {
        let reached = self.reached.iter();
        reached
            .filter_map(|&number| self.function(merged, number))
            .collect()
    }

    fn of(&self, kind: Kind, number: u32) -> u32 {
        match kind {
            Kind::Func => self.of_function(number),
            Kind::Global => self.of_global(number),
            _ => number,
        }
    }

    /// A number out of range stays one, for validation to find.
    fn of_function(&self, number: u32) -> u32 {
        let number = self.forwarded(number);
        self.functions.get(&number).copied().unwrap_or(u32::MAX)
    }

    fn of_global(&self, number: u32) -> u32 {
        self.globals.get(&number).copied().unwrap_or(u32::MAX)
    }

    fn constant(&self, constant: &Constant) -> wasm_encoder::ConstExpr {
        constant.encoder(&|function| self.of_function(function))
    }

    fn functions(&self, merged: &Merged<'_>, out: &mut Vec<u8>) {
        let mut section = FunctionSection::new();
        for function in self.kept(merged) {
            section.function(function.ty);
        }
        section.append_to(out);
    }

    fn globals(&self, merged: &Merged<'_>, out: &mut Vec<u8>) {
        let mut section = GlobalSection::new();
        for (global, number) in merged.globals.iter().zip(self.imported_globals..) {
            if self.globals.contains_key(&number) {
                section.global(global.ty, &self.constant(&global.value));
            }
        }
        if !section.is_empty() {
            section.append_to(out);
        }
    }

    /// The segments, and one that declares what bodies refer to: what was declared by
    /// being exported need not be any more.
    fn elements(&self, merged: &Merged<'_>, out: &mut Vec<u8>) {
        let mut section = ElementSection::new();
        for segment in &merged.segments {
            let (functions, expressions): (Vec<u32>, Vec<_>);
            let items = match &segment.items {
                Items::Functions(items) => {
                    functions = items.iter().map(|&f| self.of_function(f)).collect();
                    Elements::Functions(functions.into())
                }
                Items::Expressions(ty, items) => {
                    expressions = items.iter().map(|item| self.constant(item)).collect();
                    Elements::Expressions(*ty, expressions.into())
                }
            };
            match &segment.mode {
                Mode::Passive => section.passive(items),
                Mode::Declared => section.declared(items),
                Mode::Active { table, offset } => {
                    // Functions of table 0 have the short form only where it is not
                    // spelled out.
                    let table = (*table != 0).then_some(*table);
                    section.active(table, &self.constant(offset), items)
                }
            };
        }
        if !self.referred.is_empty() {
            let referred = self.referred.iter().map(|&f| self.of_function(f));
            let referred: Vec<u32> = referred.collect();
            section.declared(Elements::Functions(referred.into()));
        }
        if !section.is_empty() {
            section.append_to(out);
        }
    }

    /// The payload of the code section.
    fn code(&self, merged: &Merged<'_>) -> Vec<u8> {
        let kept = self.kept(merged);
        let bodies: Vec<Vec<u8>> = kept
            .par_iter()
            .map(|function| function.body.finish(|name, out| self.name(name, out)))
            .collect();
        let size = bodies.iter().map(|body| body.len() + 5).sum::<usize>();
        let mut out = Vec::with_capacity(size + 5);
        bodies.len().encode(&mut out);
        for body in bodies {
            body.len().encode(&mut out);
            out.extend_from_slice(&body);
        }
        out
    }

    fn name(&self, name: Name, out: &mut Vec<u8>) {
        let (opcode, number) = match name {
            Name::Call(function) => (0x10, self.of_function(function)),
            Name::ReturnCall(function) => (0x12, self.of_function(function)),
            Name::Reference(function) => (0xd2, self.of_function(function)),
            Name::Get(global) => match self.constants.get(&global) {
                Some(part) => return part.instruction(&|function| function).encode(out),
                None => (0x23, self.of_global(global)),
            },
            Name::Set(global) => (0x24, self.of_global(global)),
        };
        out.push(opcode);
        number.encode(out);
    }

    /// The section by which the profile recognises the functions.
    fn digests(&self, merged: &Merged<'_>) -> CustomSection<'static> {
        let kept = self.kept(merged);
        let digests = kept
            .iter()
            .flat_map(|function| function.digest.to_le_bytes());
        CustomSection {
            name: profile::DIGESTS.into(),
            data: digests.collect::<Vec<u8>>().into(),
        }
    }

    /// The names that the members' functions have.
    fn names(
        &self,
        merged: &Merged<'_>,
        plan: &Plan,
        modules: &[&Module<'_>],
    ) -> Result<Option<NameSection>> {
        let mut all = HashMap::new();
        for (member, module) in modules.iter().enumerate() {
            for (index, name) in function_names(module) {
                let imported = module.imported(Kind::Func);
                let Some(defined) = (index as usize).checked_sub(imported) else {
                    continue;
                };
                if defined < module.bodies.len() {
                    let instance = plan.members[member];
                    let number =
                        merged.number_of(Kind::Func, Entity::Defined { instance, index })?;
                    all.insert(number, name);
                }
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        let mut map = NameMap::new();
        for (before, number) in self.reached.iter().zip(0..) {
            if let Some(name) = all.get(before) {
                map.append(number, name);
            }
        }
        let mut section = NameSection::new();
        section.functions(&map);
        Ok(Some(section))
    }
}

/// The function names of a module. They are for people: what is malformed is left out.
fn function_names<'a>(module: &Module<'a>) -> Vec<(u32, &'a str)> {
    let Some(names) = module.names else {
        return Vec::new();
    };
    let sections = wasmparser::NameSectionReader::new(BinaryReader::new(names, 0));
    let functions = sections.filter_map(|section| match section {
        Ok(wasmparser::Name::Function(functions)) => Some(functions),
        _ => None,
    });
    let namings = functions.flat_map(|functions| functions.into_iter());
    namings
        .filter_map(|naming| naming.ok())
        .map(|naming| (naming.index, naming.name))
        .collect()
}
