//! Several modules → one: the index spaces put together, and everything that is left
//! written down.

use super::body::{self, Body, Content, Forward, Maps, Name, Setting};
use super::component::{Component, Entity};
use super::constant::{Constant, Names, Part};
use super::module::{Kind, Module};
use super::plan::Plan;
use super::types::{Types, mapped, moved};
use super::unfit::{Unfit, encoded, unfit};
use crate::wasm::profile;
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use wasm_encoder::EntityType;
use wasm_encoder::reencode::{Error, Reencode};
use wasmparser::{ElementItems, ElementKind, TableInit, TypeRef};

/// How many bytes start functions may fill that have to be written down.
const MOST_FILLED: u32 = 1 << 20;

/// As how many bytes a segment counts at least: there may be 100 000 of them.
const SEGMENT_BYTES: u32 = 32;

/// What the fused module takes from outside.
pub(super) struct Import {
    pub(super) kind: Kind,
    pub(super) entity: Entity,
    pub(super) ty: EntityType,
}

/// A function that a member defines.
pub(super) struct Function<'a> {
    pub(super) member: usize,
    pub(super) ty: u32,
    /// As the member has it.
    pub(super) original: &'a [u8],
    pub(super) digest: u64,
    pub(super) body: Body,
    forward: Option<Forward>,
}

/// A global that a member defines.
pub(super) struct Global {
    pub(super) ty: wasm_encoder::GlobalType,
    pub(super) value: Constant,
    /// Never written: every read is this number.
    pub(super) number: Option<Part>,
}

pub(super) struct Table {
    pub(super) ty: wasm_encoder::TableType,
    pub(super) value: Option<Constant>,
}

pub(super) enum Items {
    Functions(Vec<u32>),
    Expressions(wasm_encoder::RefType, Vec<Constant>),
}

pub(super) enum Mode {
    Active { table: u32, offset: Constant },
    Passive,
    Declared,
}

pub(super) struct Segment {
    pub(super) mode: Mode,
    pub(super) items: Items,
}

pub(super) struct Data<'a> {
    /// Memory and offset of an active segment.
    pub(super) place: Option<(u32, Constant)>,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Data<'_> {
    /// Whether it leaves `range` of a memory alone, for all that is known.
    fn spares(&self, memory: u32, range: &Range<u64>) -> bool {
        let Some((own, offset)) = &self.place else {
            return true;
        };
        let Some(Part::I32(start)) = offset.number() else {
            return *own != memory;
        };
        let start = u64::from(start.cast_unsigned());
        *own != memory || start >= range.end || start + self.bytes.len() as u64 <= range.start
    }
}

/// The members' modules in common index spaces, each of which begins with `imports`.
pub(super) struct Merged<'a> {
    pub(super) types: Types,
    pub(super) imports: Vec<Import>,
    pub(super) functions: Vec<Function<'a>>,
    pub(super) tables: Vec<Table>,
    pub(super) memories: Vec<wasm_encoder::MemoryType>,
    pub(super) globals: Vec<Global>,
    pub(super) tags: Vec<wasm_encoder::TagType>,
    pub(super) segments: Vec<Segment>,
    pub(super) data: Vec<Data<'a>>,
    pub(super) data_count: bool,
    /// Of functions, by number: the one that is called in its place.
    pub(super) forwards: HashMap<u32, u32>,
    /// How many bytes of data start functions have become.
    filled: u32,
    maps: Vec<Maps>,
    members: HashMap<usize, usize>,
}

impl<'a> Merged<'a> {
    /// # Errors
    /// When the members are malformed, or do not fit each other.
    pub(super) fn make(component: &Component<'a>, plan: &Plan) -> Result<Self> {
        let modules: Vec<&Module<'a>> = plan
            .members
            .iter()
            .map(|&instance| component.module_of(instance).context("a bag"))
            .collect::<Result<_>>()?;
        let mut merged = Self {
            types: Types::default(),
            imports: Vec::new(),
            functions: Vec::new(),
            tables: Vec::new(),
            memories: Vec::new(),
            globals: Vec::new(),
            tags: Vec::new(),
            segments: Vec::new(),
            data: Vec::new(),
            data_count: modules.iter().any(|module| module.data_count),
            forwards: HashMap::new(),
            filled: 0,
            maps: Vec::new(),
            members: plan.members.iter().copied().zip(0..).collect(),
        };
        for module in &modules {
            let types = merged.types.add(&module.groups)?;
            merged.maps.push(Maps {
                types,
                ..Maps::default()
            });
        }
        let outside = merged.take_imports(&modules, plan)?;
        merged.number(&modules, plan, &outside)?;
        merged.check_imports(&modules, plan)?;
        merged.define(&modules, plan)?;
        merged.read_bodies(&modules)?;
        merged.settle_globals(plan)?;
        merged.find_forwards(plan)?;
        Ok(merged)
    }

    /// How many items of a kind are imported.
    pub(super) fn imported(&self, kind: Kind) -> usize {
        self.imports
            .iter()
            .filter(|import| import.kind == kind)
            .count()
    }

    /// The number of what a member defines.
    pub(super) fn number_of(&self, kind: Kind, entity: Entity) -> Result<u32> {
        let Entity::Defined { instance, index } = entity else {
            anyhow::bail!("a function of no module");
        };
        let member = self.members.get(&instance).context("not a member")?;
        moved(map(&self.maps[*member], kind), index, "item")
    }

    /// Notes what members take from outside, once for each type it is taken as, and
    /// returns the number of each import of each member.
    fn take_imports(&mut self, modules: &[&Module<'a>], plan: &Plan) -> Result<Vec<Vec<u32>>> {
        let mut counts = [0; 5];
        let mut known = HashMap::new();
        let mut all = Vec::new();
        for (member, module) in modules.iter().enumerate() {
            let mut numbers = Vec::new();
            let resolved = &plan.imports[plan.members[member]];
            for (import, &(kind, entity)) in module.imports.iter().zip(resolved) {
                let inside = matches!(entity, Entity::Defined { instance, .. }
                    if self.members.contains_key(&instance));
                if inside {
                    // Numbered with what its member defines.
                    numbers.push(u32::MAX);
                    continue;
                }
                let ty = self.entity_type(member, import.ty)?;
                let number = *known
                    .entry((kind, entity, format!("{ty:?}")))
                    .or_insert_with(|| {
                        self.imports.push(Import { kind, entity, ty });
                        counts[kind as usize] += 1;
                        counts[kind as usize] - 1
                    });
                numbers.push(number);
            }
            all.push(numbers);
        }
        Ok(all)
    }

    fn entity_type(&self, member: usize, ty: TypeRef) -> Result<EntityType> {
        TypesOf(&self.maps[member]).entity_type(ty).map_err(encoded)
    }

    /// Gives every item of every member its number: first what is imported, then what
    /// members define, in their order.
    fn number(&mut self, modules: &[&Module<'a>], plan: &Plan, outside: &[Vec<u32>]) -> Result<()> {
        for kind in Kind::ALL {
            let mut next = u32::try_from(self.imported(kind))?;
            let mut bases = Vec::new();
            for module in modules {
                bases.push(next);
                next += u32::try_from(module.count(kind) - module.imported(kind))?;
            }
            for (member, module) in modules.iter().enumerate() {
                let resolved = &plan.imports[plan.members[member]];
                let mut numbers = Vec::with_capacity(module.count(kind));
                for (position, &(found, entity)) in resolved.iter().enumerate() {
                    if found != kind {
                        continue;
                    }
                    numbers.push(match entity {
                        Entity::Defined { instance, index }
                            if self.members.contains_key(&instance) =>
                        {
                            let other = self.members[&instance];
                            let imported = u32::try_from(modules[other].imported(kind))?;
                            bases[other] + (index - imported)
                        }
                        _ => outside[member][position],
                    });
                }
                let defined = module.count(kind) - module.imported(kind);
                numbers.extend(bases[member]..bases[member] + u32::try_from(defined)?);
                *map_mut(&mut self.maps[member], kind) = numbers;
            }
        }
        Ok(())
    }

    /// What a member takes from another has to be of the type it expects, or the
    /// component would not be valid, and the fused module might be.
    fn check_imports(&self, modules: &[&Module<'a>], plan: &Plan) -> Result<()> {
        for (member, module) in modules.iter().enumerate() {
            let resolved = &plan.imports[plan.members[member]];
            for (import, &(_, entity)) in module.imports.iter().zip(resolved) {
                let Entity::Defined { instance, index } = entity else {
                    continue;
                };
                let Some(&other) = self.members.get(&instance) else {
                    continue;
                };
                let there = type_of(modules[other], import.ty, index)?;
                let fits = match (import.ty, there) {
                    (TypeRef::Table(a), TypeRef::Table(b)) => {
                        (a.table64, self.ref_type(member, a.element_type)?)
                            == (b.table64, self.ref_type(other, b.element_type)?)
                            && within(a.initial, a.maximum, b.initial, b.maximum)
                    }
                    (TypeRef::Memory(a), TypeRef::Memory(b)) => {
                        (a.memory64, a.page_size_log2) == (b.memory64, b.page_size_log2)
                            && within(a.initial, a.maximum, b.initial, b.maximum)
                    }
                    (a, b) => self.entity_type(member, a)? == self.entity_type(other, b)?,
                };
                if !fits {
                    return unfit(format!("`{}` is imported as another type", import.name));
                }
            }
        }
        Ok(())
    }

    fn ref_type(&self, member: usize, ty: wasmparser::RefType) -> Result<wasm_encoder::RefType> {
        TypesOf(&self.maps[member]).ref_type(ty).map_err(encoded)
    }

    fn define(&mut self, modules: &[&Module<'a>], plan: &Plan) -> Result<()> {
        let mut values = vec![None; self.imported(Kind::Global)];
        for (member, module) in modules.iter().enumerate() {
            self.define_globals(member, module, &mut values)?;
        }
        for (member, module) in modules.iter().enumerate() {
            let names = self.names(member, &values);
            let mut types = TypesOf(&self.maps[member]);
            let tables = module.tables.iter().skip(module.imported(Kind::Table));
            let mut new_tables = Vec::new();
            for (ty, init) in tables.zip(&module.table_values) {
                new_tables.push(Table {
                    ty: types.table_type(*ty).map_err(encoded)?,
                    value: match init {
                        TableInit::RefNull => None,
                        TableInit::Expr(expression) => Some(names.read(expression)?),
                    },
                });
            }
            let mut memories = Vec::new();
            for ty in module.memories.iter().skip(module.imported(Kind::Memory)) {
                memories.push(types.memory_type(*ty).map_err(encoded)?);
            }
            let mut tags = Vec::new();
            for ty in module.tags.iter().skip(module.imported(Kind::Tag)) {
                tags.push(types.tag_type(*ty).map_err(encoded)?);
            }
            let segments = self.segments(member, module, &names)?;
            let data = self.data_of(member, module, &names)?;
            self.maps[member].elements = u32::try_from(self.segments.len())?;
            self.maps[member].data = u32::try_from(self.data.len())?;
            self.tables.extend(new_tables);
            self.memories.extend(memories);
            self.tags.extend(tags);
            self.segments.extend(segments);
            self.data.extend(data);
            if let Some(&start) = plan.fills.get(&plan.members[member]) {
                let body = module.bodies[start as usize - module.imported(Kind::Func)];
                self.fill(member, body)?;
            }
        }
        Ok(())
    }

    /// Does what a start function does that only fills memory, by segments behind those
    /// of its member. What is zero already needs none.
    fn fill(&mut self, member: usize, body: &[u8]) -> Result<()> {
        let imported = self.imports.iter().filter_map(|import| match import.ty {
            EntityType::Memory(ty) => Some(ty),
            _ => None,
        });
        let memories: Vec<_> = imported.chain(self.memories.iter().copied()).collect();
        let own = self.imported(Kind::Memory);
        for fill in body::fills(body, &self.maps[member], &self.known())? {
            let ty = memories.get(fill.memory as usize).context("no memory")?;
            let page = 1_u64 << ty.page_size_log2.unwrap_or(16);
            let size = fill.content.size();
            let end = fill.start.saturating_add(u64::from(size));
            let fits = !ty.memory64 && end <= ty.minimum.saturating_mul(page);
            let (true, Ok(start)) = (fits, u32::try_from(fill.start)) else {
                return unfit("a start function that fills more memory than there is");
            };
            if let Content::Repeated { value: 0, .. } = fill.content
                && fill.memory as usize >= own
                && self
                    .data
                    .iter()
                    .all(|data| data.spares(fill.memory, &(fill.start..end)))
            {
                continue;
            }
            self.filled = self.filled.saturating_add(size.max(SEGMENT_BYTES));
            if self.filled > MOST_FILLED {
                return unfit("start functions that fill much memory");
            }
            let offset = Constant(vec![Part::I32(start.cast_signed())]);
            self.data.push(Data {
                place: Some((fill.memory, offset)),
                bytes: fill.content.bytes().into(),
            });
        }
        Ok(())
    }

    /// Adds a member's globals, and to `values` the constant that may stand for each
    /// in a constant expression.
    fn define_globals(
        &mut self,
        member: usize,
        module: &Module<'a>,
        values: &mut Vec<Option<Constant>>,
    ) -> Result<()> {
        let globals = module.globals.iter().skip(module.imported(Kind::Global));
        for (ty, expression) in globals.zip(&module.global_values) {
            let value = self.names(member, values).read(expression)?;
            values.push((!ty.mutable).then(|| value.clone()));
            let ty = TypesOf(&self.maps[member])
                .global_type(*ty)
                .map_err(encoded)?;
            self.globals.push(Global {
                ty,
                value,
                number: None,
            });
        }
        Ok(())
    }

    fn names<'n>(&'n self, member: usize, values: &'n [Option<Constant>]) -> Names<'n> {
        let maps = &self.maps[member];
        Names {
            functions: &maps.functions,
            globals: &maps.globals,
            types: &maps.types,
            values,
            imported: self.imported(Kind::Global),
        }
    }

    fn segments(
        &self,
        member: usize,
        module: &Module<'a>,
        names: &Names<'_>,
    ) -> Result<Vec<Segment>> {
        let maps = &self.maps[member];
        let mut segments = Vec::new();
        for element in &module.elements {
            let mode = match &element.kind {
                ElementKind::Passive => Mode::Passive,
                ElementKind::Declared => Mode::Declared,
                ElementKind::Active {
                    table_index,
                    offset_expr,
                } => Mode::Active {
                    table: moved(&maps.tables, table_index.unwrap_or(0), "table")?,
                    offset: names.read(offset_expr)?,
                },
            };
            let items = match &element.items {
                ElementItems::Functions(functions) => Items::Functions(
                    functions
                        .clone()
                        .into_iter()
                        .map(|function| moved(&maps.functions, function?, "function"))
                        .collect::<Result<_>>()?,
                ),
                ElementItems::Expressions(ty, expressions) => Items::Expressions(
                    self.ref_type(member, *ty)?,
                    expressions
                        .clone()
                        .into_iter()
                        .map(|expression| names.read(&expression?))
                        .collect::<Result<_>>()?,
                ),
            };
            segments.push(Segment { mode, items });
        }
        Ok(segments)
    }

    fn data_of(
        &self,
        member: usize,
        module: &Module<'a>,
        names: &Names<'_>,
    ) -> Result<Vec<Data<'a>>> {
        let maps = &self.maps[member];
        let data = module.data.iter().map(|data| {
            let place = match &data.kind {
                wasmparser::DataKind::Passive => None,
                wasmparser::DataKind::Active {
                    memory_index,
                    offset_expr,
                } => {
                    let memory = moved(&maps.memories, *memory_index, "memory")?;
                    Some((memory, names.read(offset_expr)?))
                }
            };
            Ok(Data {
                place,
                bytes: data.data.into(),
            })
        });
        data.collect()
    }

    fn read_bodies(&mut self, modules: &[&Module<'a>]) -> Result<()> {
        let known = self.known();
        for (member, module) in modules.iter().enumerate() {
            let digests = profile::digests(module.bytes)?;
            let params = param_counts(module);
            let maps = &self.maps[member];
            let types = &module.functions[module.imported(Kind::Func)..];
            let read = module
                .bodies
                .par_iter()
                .zip(types)
                .zip(digests)
                .map(|((&original, &ty), digest)| {
                    let params = *params
                        .get(ty as usize)
                        .with_context(|| format!("no type {ty}"))?;
                    let forward = match params {
                        Some(params) => body::forward(original, params, maps)?,
                        None => None,
                    };
                    Ok(Function {
                        member,
                        ty: moved(&maps.types, ty, "type")?,
                        original,
                        digest,
                        body: body::rewrite(original, maps, &known)?,
                        forward,
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            self.functions.extend(read);
        }
        Ok(())
    }

    /// Of each global, the number that it always is as far as its type tells.
    fn known(&self) -> Vec<Option<Part>> {
        let defined = self.globals.iter();
        let defined = defined.map(|global| match global.ty.mutable {
            true => None,
            false => global.value.number(),
        });
        let imported = std::iter::repeat_n(None, self.imported(Kind::Global));
        imported.chain(defined).collect()
    }

    /// Finds globals that are numbers: those that cannot be written, those that could
    /// and never are, and those that are only written by what runs first, before
    /// anything reads them.
    fn settle_globals(&mut self, plan: &Plan) -> Result<()> {
        let known = self.known();
        let imported = self.imported(Kind::Global);
        let mut writes = vec![0; known.len()];
        for (_, name) in self.functions.iter().flat_map(|f| &f.body.names) {
            if let Name::Set(global) = name {
                writes[*global as usize] += 1;
            }
        }
        let mut given = HashSet::new();
        for &(kind, entity) in &plan.demanded {
            if kind == Kind::Global {
                given.insert(self.number_of(kind, entity)? as usize);
            }
        }
        let first = self.first_function(plan)?;
        let settings = match first {
            Some(function) => {
                let Function {
                    member, original, ..
                } = self.functions[function];
                body::settings(original, &self.maps[member], &known)?
            }
            None => Vec::new(),
        };
        let mut early: HashMap<u32, (usize, i32)> = HashMap::new();
        for Setting { global, value, .. } in &settings {
            let entry = early.entry(*global).or_default();
            *entry = (entry.0 + 1, *value);
        }
        let mut set = HashSet::new();
        for (at, global) in self.globals.iter_mut().enumerate() {
            let number = imported + at;
            if given.contains(&number) {
                continue;
            }
            let early = early.get(&u32::try_from(number)?);
            global.number = match early {
                _ if writes[number] == 0 => global.value.number(),
                Some(&(count, value)) if count == writes[number] => {
                    set.insert(u32::try_from(number)?);
                    Some(Part::I32(value))
                }
                _ => None,
            };
        }
        if let Some(first) = first {
            let function = &mut self.functions[first];
            let body = body::without(function.original, &settings, |g| set.contains(&g))?;
            function.body = body::rewrite(&body, &self.maps[function.member], &known)?;
        }
        Ok(())
    }

    /// The function that is the first to run, if it is one of these.
    fn first_function(&self, plan: &Plan) -> Result<Option<usize>> {
        let Some(entity) = plan.first.and_then(|first| plan.starts.get(&first)) else {
            return Ok(None);
        };
        let inside = matches!(entity, Entity::Defined { instance, .. }
            if self.members.contains_key(instance));
        if !inside {
            return Ok(None);
        }
        let number = self.number_of(Kind::Func, *entity)? as usize;
        Ok(Some(number - self.imported(Kind::Func)))
    }

    /// Finds functions that only call what is in a table, where that is known: nothing
    /// writes to the table but segments whose place is known.
    fn find_forwards(&mut self, plan: &Plan) -> Result<()> {
        let imported = u32::try_from(self.imported(Kind::Func))?;
        let contents = self.table_contents(plan)?;
        let target = |forward: &Forward| {
            let entry = contents.get(&forward.table)?.get(&forward.entry)?;
            let function = entry.checked_sub(imported)?;
            let found = self.functions.get(function as usize)?;
            (found.ty == forward.ty).then_some(*entry)
        };
        let direct: HashMap<u32, u32> = self
            .functions
            .iter()
            .zip(imported..)
            .filter_map(|(function, number)| {
                let forward = function.forward.as_ref()?;
                (function.ty == forward.ty).then_some(())?;
                Some((number, target(forward)?))
            })
            .collect();
        for &number in direct.keys() {
            // A forward may lead to another. Those that lead in a circle stay.
            let mut last = number;
            let mut steps = 0;
            while let Some(&next) = direct.get(&last) {
                last = next;
                steps += 1;
                if steps > direct.len() {
                    last = number;
                    break;
                }
            }
            self.forwards.insert(number, last);
        }
        Ok(())
    }

    /// The functions in each table that only segments write to.
    fn table_contents(&self, plan: &Plan) -> Result<HashMap<u32, HashMap<u32, u32>>> {
        let imported = self.imported(Kind::Table);
        let mut written: HashSet<u32> = (0..u32::try_from(imported)?).collect();
        written.extend(self.functions.iter().flat_map(|f| &f.body.tables));
        for &(kind, entity) in &plan.demanded {
            if kind == Kind::Table {
                written.insert(self.number_of(kind, entity)?);
            }
        }
        let mut contents: HashMap<u32, HashMap<u32, u32>> = HashMap::new();
        for segment in &self.segments {
            let Mode::Active { table, offset } = &segment.mode else {
                continue;
            };
            match (&segment.items, offset.number()) {
                (Items::Functions(functions), Some(Part::I32(offset))) => {
                    let entries = contents.entry(*table).or_default();
                    for (at, &function) in (0..).zip(functions) {
                        entries.insert(offset.cast_unsigned().saturating_add(at), function);
                    }
                }
                _ => drop(written.insert(*table)),
            }
        }
        contents.retain(|table, _| !written.contains(table));
        Ok(contents)
    }
}

fn map(maps: &Maps, kind: Kind) -> &[u32] {
    match kind {
        Kind::Func => &maps.functions,
        Kind::Table => &maps.tables,
        Kind::Memory => &maps.memories,
        Kind::Global => &maps.globals,
        Kind::Tag => &maps.tags,
    }
}

fn map_mut(maps: &mut Maps, kind: Kind) -> &mut Vec<u32> {
    match kind {
        Kind::Func => &mut maps.functions,
        Kind::Table => &mut maps.tables,
        Kind::Memory => &mut maps.memories,
        Kind::Global => &mut maps.globals,
        Kind::Tag => &mut maps.tags,
    }
}

/// The type that item `index` of a module has, of the kind that `like` is.
fn type_of(module: &Module<'_>, like: TypeRef, index: u32) -> Result<TypeRef> {
    let index = index as usize;
    let found = match like {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => {
            module.functions.get(index).map(|ty| TypeRef::Func(*ty))
        }
        TypeRef::Table(_) => module.tables.get(index).map(|ty| TypeRef::Table(*ty)),
        TypeRef::Memory(_) => module.memories.get(index).map(|ty| TypeRef::Memory(*ty)),
        TypeRef::Global(_) => module.globals.get(index).map(|ty| TypeRef::Global(*ty)),
        TypeRef::Tag(_) => module.tags.get(index).map(|ty| TypeRef::Tag(*ty)),
    };
    found.with_context(|| format!("no item {index}"))
}

/// Whether what is there is at least as large, and grows no further, than asked.
fn within(asked: u64, at_most: Option<u64>, there: u64, maximum: Option<u64>) -> bool {
    there >= asked && at_most.is_none_or(|at_most| maximum.is_some_and(|max| max <= at_most))
}

/// How many parameters each function type of a module has.
fn param_counts(module: &Module<'_>) -> Vec<Option<usize>> {
    let types = module.groups.iter().flat_map(|group| group.types());
    types
        .map(|ty| match &ty.composite_type.inner {
            wasmparser::CompositeInnerType::Func(function) => Some(function.params().len()),
            _ => None,
        })
        .collect()
}

/// Renumbers types, and nothing else.
struct TypesOf<'a>(&'a Maps);

impl Reencode for TypesOf<'_> {
    type Error = Unfit;

    fn type_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        mapped(&self.0.types, index, "type")
    }
}
