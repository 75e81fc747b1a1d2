//! The core modules of a component, how they are instantiated, and what each item of
//! the core index spaces is in the end.

use super::module::{Kind, Module};
use super::unfit::{Unfit, encoded, unfit};
use crate::wasm::sections::{self, Section, component_id, id};
use anyhow::{Context, Result, ensure};
use wasm_encoder::reencode::{Error, Reencode, ReencodeComponent, RoundtripReencoder};
use wasmparser::{
    BinaryReader, CanonicalFunction, ComponentAlias, ComponentAliasSectionReader,
    ComponentCanonicalSectionReader, ComponentExportSectionReader, ComponentExternalKind,
    ComponentImportSectionReader, ComponentInstance, ComponentInstanceSectionReader,
    ComponentOuterAliasKind, ComponentTypeRef, Instance as RawInstance, InstanceSectionReader,
};

/// One step of making an instance of the component. Aliases of core items are none:
/// they are made again where they are needed.
pub(super) enum Definition<'a> {
    /// What knows nothing of core items, copied as it is.
    Section(Section<'a>),
    /// One alias of a component item.
    Alias(ComponentAlias<'a>),
    Module(usize),
    Instance(usize),
    Canonical(usize),
}

/// `canon …`: most define a core function; `lift` one of the component.
pub(super) struct Canonical {
    pub(super) function: CanonicalFunction,
    /// The core items it names.
    pub(super) uses: Vec<(Kind, u32)>,
}

impl Canonical {
    pub(super) fn is_lift(&self) -> bool {
        matches!(self.function, CanonicalFunction::Lift { .. })
    }
}

pub(super) enum Instance<'a> {
    Module {
        module: usize,
        args: Vec<(&'a str, u32)>,
    },
    /// A bag of items.
    Items(Vec<(&'a str, Kind, u32)>),
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Export { instance: u32, name: &'a str },
    Canonical(usize),
}

/// What an item is, however many instances hand it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entity {
    /// Defined by the module of an instance, with its index there.
    Defined { instance: usize, index: u32 },
    /// A function made by `canon`.
    Canonical(usize),
}

#[derive(Default)]
pub(super) struct Component<'a> {
    pub(super) definitions: Vec<Definition<'a>>,
    /// Where in `definitions` code of another component may run.
    pub(super) foreign_code: Vec<usize>,
    pub(super) modules: Vec<Module<'a>>,
    pub(super) instances: Vec<Instance<'a>>,
    pub(super) canonicals: Vec<Canonical>,
    items: [Vec<Item<'a>>; 5],
}

impl<'a> Component<'a> {
    /// # Errors
    /// When the component is malformed, or has what fusing does not understand.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let (encoding, sections) = sections::parse(bytes)?;
        ensure!(encoding == sections::Encoding::Component, "not a component");
        let mut component = Self::default();
        for section in sections {
            let reader = BinaryReader::new(section.data, 0);
            match section.id {
                id::CORE_MODULE => {
                    let position = component.modules.len();
                    let module = Module::read(section.data)
                        .with_context(|| format!("in core module {position}"))?;
                    component.modules.push(module);
                    component.definitions.push(Definition::Module(position));
                }
                component_id::CORE_INSTANCE => {
                    for instance in InstanceSectionReader::new(reader)? {
                        component.instance(instance?)?;
                    }
                }
                component_id::ALIAS => {
                    for alias in ComponentAliasSectionReader::new(reader)? {
                        component.alias(alias?)?;
                    }
                }
                component_id::CANONICAL => {
                    for function in ComponentCanonicalSectionReader::new(reader)? {
                        component.canonical(function?)?;
                    }
                }
                _ => component.other(section)?,
            }
        }
        Ok(component)
    }

    fn instance(&mut self, instance: RawInstance<'a>) -> Result<()> {
        let position = self.instances.len();
        self.definitions.push(Definition::Instance(position));
        self.instances.push(match instance {
            RawInstance::Instantiate { module_index, args } => {
                let module = module_index as usize;
                ensure!(module < self.modules.len(), "no core module {module}");
                let args: Vec<_> = args.iter().map(|arg| (arg.name, arg.index)).collect();
                let known = args.iter().all(|(_, index)| (*index as usize) < position);
                ensure!(
                    known,
                    "core instance {position} takes one that is not there"
                );
                Instance::Module { module, args }
            }
            RawInstance::FromExports(exports) => Instance::Items(
                exports
                    .iter()
                    .map(|export| {
                        let kind = Kind::from(export.kind);
                        self.item(kind, export.index)?;
                        Ok((export.name, kind, export.index))
                    })
                    .collect::<Result<_>>()?,
            ),
        });
        Ok(())
    }

    fn alias(&mut self, alias: ComponentAlias<'a>) -> Result<()> {
        match alias {
            ComponentAlias::CoreInstanceExport {
                kind,
                instance_index: instance,
                name,
            } => {
                ensure!(
                    (instance as usize) < self.instances.len(),
                    "no core instance {instance}"
                );
                self.items[Kind::from(kind) as usize].push(Item::Export { instance, name });
            }
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule,
                ..
            }
            | ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module,
                ..
            } => return unfit("an alias of a core module"),
            _ => self.definitions.push(Definition::Alias(alias)),
        }
        Ok(())
    }

    fn canonical(&mut self, function: CanonicalFunction) -> Result<()> {
        let mut uses = Uses(Vec::new());
        let mut section = wasm_encoder::CanonicalFunctionSection::new();
        uses.parse_component_canonical(&mut section, function.clone())
            .map_err(encoded)?;
        for &(kind, index) in &uses.0 {
            self.item(kind, index)?;
        }
        let position = self.canonicals.len();
        let canonical = Canonical {
            function,
            uses: uses.0,
        };
        if !canonical.is_lift() {
            self.items[Kind::Func as usize].push(Item::Canonical(position));
        }
        self.canonicals.push(canonical);
        self.definitions.push(Definition::Canonical(position));
        Ok(())
    }

    /// Sections in which core items have no part, if they are as they should be.
    fn other(&mut self, section: Section<'a>) -> Result<()> {
        let reader = BinaryReader::new(section.data, 0);
        match section.id {
            // It names core items by their indices, which change.
            id::CUSTOM if section.custom_name() == Some("component-name") => return Ok(()),
            id::COMPONENT => check_nested(section.data, 0)?,
            component_id::INSTANCE => {
                for instance in ComponentInstanceSectionReader::new(reader)? {
                    if self.component_instance(&instance?)? {
                        self.foreign_code.push(self.definitions.len());
                    }
                }
            }
            component_id::START => self.foreign_code.push(self.definitions.len()),
            component_id::IMPORT => {
                for import in ComponentImportSectionReader::new(reader)? {
                    if matches!(import?.ty, ComponentTypeRef::Module(_)) {
                        return unfit("an imported core module");
                    }
                }
            }
            component_id::EXPORT => {
                for export in ComponentExportSectionReader::new(reader)? {
                    if export?.kind == ComponentExternalKind::Module {
                        return unfit("an exported core module");
                    }
                }
            }
            _ => {}
        }
        self.definitions.push(Definition::Section(section));
        Ok(())
    }

    /// Whether making this instance may run code.
    fn component_instance(&self, instance: &ComponentInstance<'_>) -> Result<bool> {
        let module = ComponentExternalKind::Module;
        let (modules, runs) = match instance {
            ComponentInstance::Instantiate { args, .. } => {
                (args.iter().any(|arg| arg.kind == module), true)
            }
            ComponentInstance::FromExports(exports) => {
                (exports.iter().any(|export| export.kind == module), false)
            }
        };
        match modules {
            true => unfit("a core module that is handed on"),
            false => Ok(runs),
        }
    }

    fn item(&self, kind: Kind, index: u32) -> Result<Item<'a>> {
        let item = self.items[kind as usize].get(index as usize).copied();
        item.with_context(|| format!("no core {kind:?} {index}"))
    }

    /// What an item of a core index space is.
    pub(super) fn entity(&self, kind: Kind, index: u32) -> Result<Entity> {
        match self.item(kind, index)? {
            Item::Canonical(position) => Ok(Entity::Canonical(position)),
            Item::Export { instance, name } => self.export(instance, kind, name),
        }
    }

    /// What an instance exports under a name.
    fn export(&self, instance: u32, kind: Kind, name: &str) -> Result<Entity> {
        // Each step leads to an instance that was made earlier.
        let (mut instance, mut name) = (instance, name);
        loop {
            match &self.instances[instance as usize] {
                Instance::Items(items) => {
                    let item = items.iter().find(|(n, k, _)| (*n, *k) == (name, kind));
                    let (.., index) = item.with_context(|| {
                        format!("core instance {instance} has no {kind:?} `{name}`")
                    })?;
                    match self.item(kind, *index)? {
                        Item::Canonical(position) => return Ok(Entity::Canonical(position)),
                        Item::Export {
                            instance: i,
                            name: n,
                        } => (instance, name) = (i, n),
                    }
                }
                Instance::Module { module, args } => {
                    let module = &self.modules[*module];
                    let index = module.export(kind, name)?;
                    let Some(position) = module.import_position(kind, index) else {
                        return Ok(Entity::Defined {
                            instance: instance as usize,
                            index,
                        });
                    };
                    let import = &module.imports[position];
                    instance = arg(args, import.module)?;
                    name = import.name;
                }
            }
        }
    }

    /// What each import of an instance's module is.
    pub(super) fn imports(&self, instance: usize) -> Result<Vec<(Kind, Entity)>> {
        let Instance::Module { module, args } = &self.instances[instance] else {
            return Ok(Vec::new());
        };
        let module = &self.modules[*module];
        module
            .imports
            .iter()
            .zip(module.import_kinds())
            .map(|(import, kind)| {
                let from = arg(args, import.module)?;
                Ok((kind, self.export(from, kind, import.name)?))
            })
            .collect()
    }

    /// The module of an instance that is no bag.
    pub(super) fn module_of(&self, instance: usize) -> Option<&Module<'a>> {
        match &self.instances[instance] {
            Instance::Module { module, .. } => Some(&self.modules[*module]),
            Instance::Items(_) => None,
        }
    }
}

fn arg(args: &[(&str, u32)], name: &str) -> Result<u32> {
    let found = args.iter().find(|(found, _)| *found == name);
    let (_, instance) = found.with_context(|| format!("nothing is passed as `{name}`"))?;
    Ok(*instance)
}

/// Core modules of this component must not be used by those nested in it.
fn check_nested(component: &[u8], depth: usize) -> Result<()> {
    sections::check_nesting(depth)?;
    for section in sections::parse(component)?.1 {
        match section.id {
            id::COMPONENT => check_nested(section.data, depth + 1)?,
            component_id::ALIAS => {
                let reader = BinaryReader::new(section.data, 0);
                for alias in ComponentAliasSectionReader::new(reader)? {
                    if let ComponentAlias::Outer {
                        kind: ComponentOuterAliasKind::CoreModule,
                        ..
                    } = alias?
                    {
                        return unfit("a nested component that uses core modules from outside");
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The section of one alias of a component item.
pub(super) fn push_alias(out: &mut Vec<u8>, alias: &ComponentAlias<'_>) -> Result<()> {
    let mut section = wasm_encoder::ComponentAliasSection::new();
    section.alias(RoundtripReencoder.component_alias(alias.clone())?);
    wasm_encoder::ComponentSection::append_to_component(&section, out);
    Ok(())
}

/// Notes which core items a canonical definition names.
struct Uses(Vec<(Kind, u32)>);

impl Uses {
    fn note(&mut self, kind: Kind, index: u32) -> Result<u32, Error<Unfit>> {
        self.0.push((kind, index));
        Ok(index)
    }
}

impl Reencode for Uses {
    type Error = Unfit;

    fn function_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        self.note(Kind::Func, index)
    }
    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        self.note(Kind::Memory, index)
    }
    fn table_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        self.note(Kind::Table, index)
    }
}

impl ReencodeComponent for Uses {}
