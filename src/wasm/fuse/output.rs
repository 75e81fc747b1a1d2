//! The component around the fused module: its own definitions, with core items
//! renumbered, and the aliases and bags of items that are still needed.

use super::component::{Canonical, Component, Definition, Entity, push_alias};
use super::module::{Kind, Module};
use super::plan::Plan;
use super::unfit::{Unfit, encoded};
use super::write::{OUTSIDE, Written};
use crate::wasm::sections::{self, id};
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, ComponentAliasSection, ComponentSection, InstanceSection,
    ModuleArg,
};

/// # Errors
/// When a definition names what is not there yet.
pub(super) fn write(component: &Component<'_>, plan: &Plan, written: &Written) -> Result<Vec<u8>> {
    let mut output = Output {
        component,
        plan,
        written,
        members: plan.members.iter().copied().collect(),
        out: sections::Encoding::Component.header().to_vec(),
        module_count: 0,
        modules: HashMap::new(),
        instance_count: 0,
        instances: HashMap::new(),
        fused: None,
        starter: None,
        counts: [0; 5],
        items: HashMap::new(),
    };
    for (place, definition) in component.definitions.iter().enumerate() {
        if place == plan.place {
            output.fused()?;
        }
        if !plan.late.contains(&place) {
            output.definition(definition)?;
        }
    }
    if plan.place == component.definitions.len() {
        output.fused()?;
    }
    Ok(output.out)
}

/// Items, and under which names.
type Bag = Vec<(String, Kind, Entity)>;

struct Output<'c, 'a> {
    component: &'c Component<'a>,
    plan: &'c Plan,
    written: &'c Written,
    members: HashSet<usize>,
    out: Vec<u8>,
    module_count: u32,
    /// New indices of modules that stay.
    modules: HashMap<usize, u32>,
    instance_count: u32,
    /// New indices of instances that stay.
    instances: HashMap<usize, u32>,
    /// The fused instance.
    fused: Option<u32>,
    /// The module that only calls what it is given.
    starter: Option<u32>,
    counts: [u32; 5],
    /// New indices of items that were defined or given an alias.
    items: HashMap<(Kind, Entity), u32>,
}

impl<'c, 'a> Output<'c, 'a> {
    fn definition(&mut self, definition: &Definition<'_>) -> Result<()> {
        match definition {
            Definition::Section(section) => sections::push(&mut self.out, section.id, section.data),
            Definition::Alias(alias) => push_alias(&mut self.out, alias)?,
            Definition::Module(module) => self.module(*module),
            Definition::Instance(instance) => self.instance(*instance)?,
            Definition::Canonical(position) => self.canonical(*position)?,
        }
        Ok(())
    }

    fn push_module(&mut self, bytes: &[u8]) -> u32 {
        sections::push(&mut self.out, id::CORE_MODULE, bytes);
        self.module_count += 1;
        self.module_count - 1
    }

    /// Members' modules are gone.
    fn module(&mut self, module: usize) {
        let of_member = |member: &usize| {
            let of = self.component.module_of(*member);
            of.is_some_and(|of| std::ptr::eq(of, &self.component.modules[module]))
        };
        if !self.plan.members.iter().any(of_member) {
            let index = self.push_module(self.component.modules[module].bytes);
            self.modules.insert(module, index);
        }
    }

    /// The fused module, its instance, and what waited for it.
    fn fused(&mut self) -> Result<()> {
        let module = self.push_module(&self.written.module);
        let imports: Vec<_> = (0..)
            .zip(&self.written.imports)
            .map(|(number, &(kind, entity)): (u32, _)| (number.to_string(), kind, entity))
            .collect();
        let args = match imports.is_empty() {
            true => Vec::new(),
            false => vec![(OUTSIDE, self.bag(&imports)?)],
        };
        self.fused = Some(self.instantiate(module, args));
        for (place, definition) in self.component.definitions[..self.plan.place]
            .iter()
            .enumerate()
        {
            if self.plan.late.contains(&place) {
                self.definition(definition)?;
            }
        }
        Ok(())
    }

    fn instance(&mut self, instance: usize) -> Result<()> {
        if self.members.contains(&instance) {
            return match self.plan.starts.get(&instance) {
                Some(function) => self.start(*function),
                None => Ok(()),
            };
        }
        // Bags are made again for those who take them.
        let Some(module) = self.component.module_of(instance) else {
            return Ok(());
        };
        let args = self.args(instance, module)?;
        let position = self
            .component
            .modules
            .iter()
            .position(|other| std::ptr::eq(other, module));
        let index = position.and_then(|position| self.modules.get(&position));
        let index = *index.context("a module that comes later")?;
        let index = self.instantiate(index, args);
        self.instances.insert(instance, index);
        Ok(())
    }

    /// A bag for each module name that a module imports from.
    fn args(&mut self, instance: usize, module: &Module<'a>) -> Result<Vec<(&'a str, u32)>> {
        let mut bags: Vec<(&str, Bag)> = Vec::new();
        for (import, &(kind, entity)) in module.imports.iter().zip(&self.plan.imports[instance]) {
            let bag = match bags.iter_mut().find(|(name, _)| *name == import.module) {
                Some((_, bag)) => bag,
                None => {
                    bags.push((import.module, Vec::new()));
                    &mut bags.last_mut().context("just pushed")?.1
                }
            };
            if !bag.iter().any(|(name, ..)| name == import.name) {
                bag.push((import.name.to_owned(), kind, entity));
            }
        }
        bags.into_iter()
            .map(|(name, bag)| Ok((name, self.bag(&bag)?)))
            .collect()
    }

    fn bag(&mut self, items: &[(String, Kind, Entity)]) -> Result<u32> {
        let mut exports = Vec::with_capacity(items.len());
        for (name, kind, entity) in items {
            exports.push((name.as_str(), kind.encoder(), self.item(*kind, *entity)?));
        }
        let mut section = InstanceSection::new();
        section.export_items(exports);
        section.append_to_component(&mut self.out);
        self.instance_count += 1;
        Ok(self.instance_count - 1)
    }

    fn instantiate(&mut self, module: u32, args: Vec<(&str, u32)>) -> u32 {
        let mut section = InstanceSection::new();
        let args = args.into_iter();
        section.instantiate(
            module,
            args.map(|(name, bag)| (name, ModuleArg::Instance(bag))),
        );
        section.append_to_component(&mut self.out);
        self.instance_count += 1;
        self.instance_count - 1
    }

    /// Calls the function that a member starts with, where the member was made.
    fn start(&mut self, function: Entity) -> Result<()> {
        let starter = match self.starter {
            Some(starter) => starter,
            None => {
                let starter = self.push_module(&starter());
                *self.starter.insert(starter)
            }
        };
        let bag = self.bag(&[("start".to_owned(), Kind::Func, function)])?;
        self.instantiate(starter, vec![(OUTSIDE, bag)]);
        Ok(())
    }

    fn canonical(&mut self, position: usize) -> Result<()> {
        let component = self.component;
        let canonical: &Canonical = &component.canonicals[position];
        let mut renamed = Renamed(HashMap::new());
        for &(kind, index) in &canonical.uses {
            let item = self.item(kind, component.entity(kind, index)?)?;
            renamed.0.insert((kind, index), item);
        }
        let mut section = CanonicalFunctionSection::new();
        renamed
            .parse_component_canonical(&mut section, canonical.function.clone())
            .map_err(encoded)?;
        section.append_to_component(&mut self.out);
        if !canonical.is_lift() {
            let index = self.next(Kind::Func);
            let entity = Entity::Canonical(position);
            self.items.insert((Kind::Func, entity), index);
        }
        Ok(())
    }

    fn next(&mut self, kind: Kind) -> u32 {
        let count = &mut self.counts[kind as usize];
        *count += 1;
        *count - 1
    }

    /// The index of an item, by way of an alias if it is the first time it is needed.
    fn item(&mut self, kind: Kind, entity: Entity) -> Result<u32> {
        if let Some(&index) = self.items.get(&(kind, entity)) {
            return Ok(index);
        }
        let Entity::Defined { instance, index } = entity else {
            anyhow::bail!("a canonical function that comes later");
        };
        let (of, name) = match self.written.exports.get(&(kind, entity)) {
            Some(name) => (self.fused, name.as_str()),
            None => {
                let module = self.component.module_of(instance).context("a bag")?;
                let name = module.export_name(kind, index);
                let of = self.instances.get(&instance).copied();
                (of, name.context("an item that is not exported")?)
            }
        };
        let mut section = ComponentAliasSection::new();
        section.alias(Alias::CoreInstanceExport {
            instance: of.context("an instance that comes later")?,
            kind: kind.encoder(),
            name,
        });
        section.append_to_component(&mut self.out);
        let index = self.next(kind);
        self.items.insert((kind, entity), index);
        Ok(index)
    }
}

/// A module that calls the one function it is given when it is instantiated.
fn starter() -> Vec<u8> {
    let mut types = wasm_encoder::TypeSection::new();
    types.ty().function([], []);
    let mut imports = wasm_encoder::ImportSection::new();
    imports.import(OUTSIDE, "start", wasm_encoder::EntityType::Function(0));
    let mut module = wasm_encoder::Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&wasm_encoder::StartSection { function_index: 0 });
    module.finish()
}

/// The core items of a canonical definition, by their former index.
struct Renamed(HashMap<(Kind, u32), u32>);

impl Renamed {
    fn get(&self, kind: Kind, index: u32) -> Result<u32, Error<Unfit>> {
        let found = self.0.get(&(kind, index)).copied();
        found.ok_or_else(|| Error::UserError(Unfit(format!("no core {kind:?} {index}"))))
    }
}

impl Reencode for Renamed {
    type Error = Unfit;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        self.get(Kind::Func, index)
    }
    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        self.get(Kind::Memory, index)
    }
    fn table_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        self.get(Kind::Table, index)
    }
}

impl ReencodeComponent for Renamed {}
