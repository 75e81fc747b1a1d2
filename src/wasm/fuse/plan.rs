//! Which instances become one, and where that one is made.

use super::body;
use super::component::{Component, Definition, Entity, Instance};
use super::module::{Kind, Module};
use super::unfit::unfit;
use crate::wasm::environ;
use anyhow::{Context, Result, ensure};
use std::collections::{HashMap, HashSet};

/// What is to be done with a component.
pub(super) struct Plan {
    /// The instances to fuse, in the order they are made.
    pub(super) members: Vec<usize>,
    /// What each import of each instance is.
    pub(super) imports: Vec<Vec<(Kind, Entity)>>,
    /// Before which definition the fused instance is made: behind all it takes.
    pub(super) place: usize,
    /// What is put off until the fused instance is there.
    pub(super) late: HashSet<usize>,
    /// Of members, what others take.
    pub(super) demanded: Vec<(Kind, Entity)>,
    /// The function that each member starts with, if it is not in `fills`.
    pub(super) starts: HashMap<usize, Entity>,
    /// The members whose start function only fills memory, and its index: linkers make
    /// such functions for what is zero at first.
    pub(super) fills: HashMap<usize, u32>,
    /// The member whose start function is the first code to run, if one's is.
    pub(super) first: Option<usize>,
}

impl Plan {
    /// # Errors
    /// When nothing can be fused, and when the component is malformed.
    pub(super) fn make(component: &Component<'_>) -> Result<Self> {
        let fills = fills(component)?;
        let graph = Graph::new(component, &fills)?;
        let members = graph.members(candidates(component));
        if members.list.len() < 2 {
            return unfit("fewer than two core modules that can become one");
        }
        let place = graph.place(&members);
        let tainted = graph.tainted(&members);
        let starts = starts(component, &members, &fills)?;
        let (written, first) = graph.check_order(&members, place)?;
        graph.check_writers(&members, &written)?;
        let late = graph.late(&tainted, place)?;
        let mut demanded = graph.demanded(&members, &starts)?;
        for symbol in environ::SYMBOLS {
            let constant = exported_constant(component, &members, symbol);
            demanded.extend(constant.filter(|item| !demanded.contains(item)));
        }
        Ok(Self {
            members: members.list,
            imports: graph.imports,
            place,
            late,
            demanded,
            starts,
            first,
            fills,
        })
    }
}

/// The instances whose module is instantiated once, and consists of what can be moved
/// to another.
fn candidates(component: &Component<'_>) -> Vec<usize> {
    let mut uses = vec![0; component.modules.len()];
    for instance in &component.instances {
        if let Instance::Module { module, .. } = instance {
            uses[*module] += 1;
        }
    }
    let instances = component.instances.iter().enumerate();
    instances
        .filter(|(_, instance)| {
            matches!(instance, Instance::Module { module, .. }
                if uses[*module] == 1 && is_movable(&component.modules[*module]))
        })
        .map(|(position, _)| position)
        .collect()
}

/// Shared items would need shared functions, which wasm-encoder has no name for.
fn is_movable(module: &Module<'_>) -> bool {
    let exact =
        |import: &wasmparser::Import<'_>| matches!(import.ty, wasmparser::TypeRef::FuncExact(_));
    !module.memories.iter().any(|memory| memory.shared)
        && !module.globals.iter().any(|global| global.shared)
        && !module.tables.iter().any(|table| table.shared)
        && !module.imports.iter().any(exact)
}

/// The instances whose start function only fills memory, and that function.
fn fills(component: &Component<'_>) -> Result<HashMap<usize, u32>> {
    let mut fills = HashMap::new();
    for instance in candidates(component) {
        let module = component.module_of(instance).context("a bag")?;
        let Some(start) = module.start else { continue };
        let defined = (start as usize).checked_sub(module.imported(Kind::Func));
        let Some(body) = defined.and_then(|defined| module.bodies.get(defined)) else {
            continue;
        };
        if body::only_fills(body)? {
            fills.insert(instance, start);
        }
    }
    Ok(fills)
}

/// The global that one member, and no other, defines and exports as `name`, if nothing
/// can write it.
fn exported_constant(
    component: &Component<'_>,
    members: &Members,
    name: &str,
) -> Option<(Kind, Entity)> {
    let mut found = None;
    for &instance in &members.list {
        let module = component.module_of(instance)?;
        let Ok(index) = module.export(Kind::Global, name) else {
            continue;
        };
        let defined = module.import_position(Kind::Global, index).is_none();
        if found.is_some() || !defined || module.globals[index as usize].mutable {
            return None;
        }
        found = Some((Kind::Global, Entity::Defined { instance, index }));
    }
    found
}

fn starts(
    component: &Component<'_>,
    members: &Members,
    fills: &HashMap<usize, u32>,
) -> Result<HashMap<usize, Entity>> {
    let mut starts = HashMap::new();
    for &instance in &members.list {
        if fills.contains_key(&instance) {
            continue;
        }
        let module = component.module_of(instance).context("a bag")?;
        let Some(index) = module.start else { continue };
        ensure!(
            (index as usize) < module.count(Kind::Func),
            "no function {index} to start"
        );
        let entity = match module.import_position(Kind::Func, index) {
            Some(position) => component.imports(instance)?[position].1,
            None => Entity::Defined { instance, index },
        };
        starts.insert(instance, entity);
    }
    Ok(starts)
}

#[derive(Default)]
struct Members {
    list: Vec<usize>,
    set: HashSet<usize>,
}

impl Members {
    fn add(&mut self, instance: usize) {
        self.list.push(instance);
        self.set.insert(instance);
    }

    fn remove(&mut self, instance: usize) {
        self.list.retain(|&member| member != instance);
        self.set.remove(&instance);
    }

    fn defines(&self, entity: Entity) -> bool {
        matches!(entity, Entity::Defined { instance, .. } if self.set.contains(&instance))
    }
}

/// What depends on members, by position.
struct Tainted {
    instances: Vec<bool>,
    canonicals: Vec<bool>,
}

impl Tainted {
    fn has(&self, entity: Entity) -> bool {
        match entity {
            Entity::Defined { instance, .. } => self.instances[instance],
            Entity::Canonical(position) => self.canonicals[position],
        }
    }
}

/// What depends on what.
struct Graph<'c, 'a> {
    component: &'c Component<'a>,
    fills: &'c HashMap<usize, u32>,
    imports: Vec<Vec<(Kind, Entity)>>,
    /// What each canonical definition takes.
    uses: Vec<Vec<(Kind, Entity)>>,
    /// The positions of instances and canonical definitions among all definitions.
    instance_places: Vec<usize>,
    canonical_places: Vec<usize>,
}

impl<'c, 'a> Graph<'c, 'a> {
    fn new(component: &'c Component<'a>, fills: &'c HashMap<usize, u32>) -> Result<Self> {
        let imports = (0..component.instances.len())
            .map(|instance| component.imports(instance))
            .collect::<Result<_>>()?;
        let uses = component
            .canonicals
            .iter()
            .map(|canonical| {
                let uses = canonical.uses.iter();
                uses.map(|&(kind, index)| Ok((kind, component.entity(kind, index)?)))
                    .collect()
            })
            .collect::<Result<_>>()?;
        let (mut instance_places, mut canonical_places) = (Vec::new(), Vec::new());
        for (place, definition) in component.definitions.iter().enumerate() {
            match definition {
                Definition::Instance(_) => instance_places.push(place),
                Definition::Canonical(_) => canonical_places.push(place),
                _ => {}
            }
        }
        Ok(Self {
            component,
            fills,
            imports,
            uses,
            instance_places,
            canonical_places,
        })
    }

    fn place_of(&self, entity: Entity) -> usize {
        match entity {
            Entity::Defined { instance, .. } => self.instance_places[instance],
            Entity::Canonical(position) => self.canonical_places[position],
        }
    }

    /// What members take from others.
    fn taken<'m>(&'m self, members: &'m Members) -> impl Iterator<Item = Entity> + 'm {
        let imports = members.list.iter().flat_map(|&m| &self.imports[m]);
        imports
            .map(|(_, entity)| *entity)
            .filter(|entity| !members.defines(*entity))
    }

    fn tainted(&self, members: &Members) -> Tainted {
        let mut tainted = Tainted {
            instances: vec![false; self.imports.len()],
            canonicals: vec![false; self.uses.len()],
        };
        for definition in &self.component.definitions {
            match *definition {
                Definition::Instance(instance) => {
                    tainted.instances[instance] = members.set.contains(&instance)
                        || self.imports[instance].iter().any(|(_, e)| tainted.has(*e));
                }
                Definition::Canonical(position) => {
                    tainted.canonicals[position] =
                        self.uses[position].iter().any(|(_, e)| tainted.has(*e));
                }
                _ => {}
            }
        }
        tainted
    }

    /// As many of the candidates as can be fused, in the order they are made.
    ///
    /// A host may allow a module no more tables and memories than the modules have now,
    /// and does by default when it has a pool. So the modules with a memory come first,
    /// and one that would bring a second table is left.
    fn members(&self, mut candidates: Vec<usize>) -> Members {
        let most = |kind| {
            let counts = candidates.iter().map(|&c| self.defined(c, kind));
            counts.max().unwrap_or(0)
        };
        let most = [Kind::Table, Kind::Memory].map(|kind| (kind, most(kind)));
        candidates.sort_by_key(|&instance| (self.defined(instance, Kind::Memory) == 0, instance));
        let mut members = Members::default();
        for instance in candidates {
            members.add(instance);
            let small = most.iter().all(|&(kind, most)| {
                let counts = members.list.iter().map(|&m| self.defined(m, kind));
                counts.sum::<usize>() <= most
            });
            if !small || !self.fits(&members) {
                members.remove(instance);
            }
        }
        members.list.sort_unstable();
        members
    }

    /// How many items of a kind the module of an instance defines.
    fn defined(&self, instance: usize, kind: Kind) -> usize {
        let module = self.component.module_of(instance);
        module.map_or(0, |module| module.count(kind) - module.imported(kind))
    }

    /// Whether nothing that members take depends on members in its turn.
    fn fits(&self, members: &Members) -> bool {
        let tainted = self.tainted(members);
        !self.taken(members).any(|entity| tainted.has(entity))
    }

    fn place(&self, members: &Members) -> usize {
        let first = self.instance_places[members.list[0]];
        self.taken(members)
            .map(|entity| self.place_of(entity) + 1)
            .fold(first, usize::max)
    }

    /// No code may run before every segment of members was in its place, nor before
    /// the fused instance is there. Gives where each table and memory of members is
    /// written to last, and the member that starts first, unless other code runs
    /// before.
    fn check_order(&self, members: &Members, place: usize) -> Result<(Written, Option<usize>)> {
        let mut written = Written::new();
        let mut last = 0;
        for &member in &members.list {
            let at = self.instance_places[member];
            for entity in self.written(member)? {
                written.insert(entity, at);
                last = last.max(at);
            }
        }
        let mut code: Vec<(usize, Option<usize>)> = self
            .component
            .foreign_code
            .iter()
            .map(|&at| (at, None))
            .collect();
        for (instance, &at) in self.instance_places.iter().enumerate() {
            let fills = members.set.contains(&instance) && self.fills.contains_key(&instance);
            let module = self.component.module_of(instance);
            if !fills && module.is_some_and(|module| module.start.is_some()) {
                code.push((at, Some(instance)));
            }
        }
        let first = code.into_iter().min();
        match first {
            Some((at, _)) if at < last || at < place => {
                unfit("code that runs while the modules are being instantiated")
            }
            Some((_, Some(instance))) if members.set.contains(&instance) => {
                Ok((written, Some(instance)))
            }
            _ => Ok((written, None)),
        }
    }

    /// What others write to must have been written by members before, since it will
    /// be.
    fn check_writers(&self, members: &Members, written: &Written) -> Result<()> {
        for (instance, &at) in self.instance_places.iter().enumerate() {
            if members.set.contains(&instance) {
                continue;
            }
            for entity in self.written(instance)? {
                if written.get(&entity).is_some_and(|&last| at < last) {
                    return unfit("segments of other modules in between");
                }
            }
        }
        Ok(())
    }

    /// The tables and memories that making an instance writes to.
    fn written(&self, instance: usize) -> Result<Vec<(Kind, Entity)>> {
        let Some(module) = self.component.module_of(instance) else {
            return Ok(Vec::new());
        };
        let entity = |(kind, index)| {
            ensure!((index as usize) < module.count(kind), "no {kind:?} {index}");
            Ok(match module.import_position(kind, index) {
                Some(position) => self.imports[instance][position],
                None => (kind, Entity::Defined { instance, index }),
            })
        };
        let mut written = module.written();
        if self.fills.contains_key(&instance) {
            let memories = (0..).take(module.memories.len());
            written.extend(memories.map(|memory| (Kind::Memory, memory)));
        }
        written.into_iter().map(entity).collect()
    }

    /// What comes before the fused instance and needs it.
    fn late(&self, tainted: &Tainted, place: usize) -> Result<HashSet<usize>> {
        let mut late = HashSet::new();
        for (at, definition) in self.component.definitions[..place].iter().enumerate() {
            match *definition {
                Definition::Instance(instance) if tainted.instances[instance] => {}
                Definition::Canonical(position) if tainted.canonicals[position] => {
                    if self.component.canonicals[position].is_lift() {
                        return unfit("a function that is lifted before its module can be made");
                    }
                }
                _ => continue,
            }
            late.insert(at);
        }
        Ok(late)
    }

    fn demanded(
        &self,
        members: &Members,
        starts: &HashMap<usize, Entity>,
    ) -> Result<Vec<(Kind, Entity)>> {
        let mut seen = HashSet::new();
        let others = (0..self.imports.len()).filter(|instance| !members.set.contains(instance));
        let imports = others.flat_map(|instance| &self.imports[instance]).copied();
        let uses = self.uses.iter().flatten().copied();
        let starts = members.list.iter().filter_map(|m| starts.get(m));
        Ok(imports
            .chain(uses)
            .chain(starts.map(|&entity| (Kind::Func, entity)))
            .filter(|item| members.defines(item.1) && seen.insert(*item))
            .collect())
    }
}

/// Where tables and memories are written to last.
type Written = HashMap<(Kind, Entity), usize>;
