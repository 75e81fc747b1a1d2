//! What is done to a component after its snapshot was taken: exports that the
//! snapshot tool dropped are put back, and custom sections are dropped.
//!
//! Both passes copy sections whole. Function bodies are never decoded, and only
//! the short sections that name things are read at all.

use crate::wasm::sections::{assemble, parse_as};
use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use wasm_encoder::Encode;
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentAliasSectionReader, ComponentExportSectionReader,
    ComponentExternalKind, ComponentImportSectionReader, ComponentOuterAliasKind, ComponentTypeRef,
    CompositeInnerType, ExportSectionReader, ExternalKind, ImportSectionReader, Instance,
    InstanceSectionReader, RecGroup, TypeRef, TypeSectionReader,
};

use crate::wasm::sections::{self, Encoding, Section, check_nesting, component_id, id, module_id};

pub(crate) const INITIALIZE: &str = "_initialize";

/// The order the core specification prescribes, which is not that of the ids.
const MODULE_ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// Puts a no-op `_initialize: func()` export back into each core module that the
/// component expects one of and that lacks it.
///
/// Returns the input unchanged when there is no such module. Modules that are
/// not defined in `component` (imported ones, exports of component instances)
/// are out of reach and left out.
///
/// # Errors
/// When `component` is malformed, or a module that should export the function
/// exports something else by that name.
pub(crate) fn restore_initialize(component: &[u8]) -> Result<Cow<'_, [u8]>> {
    let mut scan = Scan::default();
    scan.component(component, None)?;
    let mut new = BTreeMap::new();
    for (position, module) in scan.modules.iter().enumerate() {
        if !module.expected {
            continue;
        }
        let bytes = add_initialize(module.bytes)
            .with_context(|| format!("adding `{INITIALIZE}` to core module {position}"))?;
        if let Some(bytes) = bytes {
            new.insert(position, bytes);
        }
    }
    if new.is_empty() {
        return Ok(Cow::Borrowed(component));
    }
    sections::map_core_modules(component, &mut |position, _| Ok(new.remove(&position)))
        .map(Cow::Owned)
}

/// Which core modules a component, with those nested in it, expects to export
/// `_initialize`.
#[derive(Default)]
struct Scan<'a> {
    /// In pre-order, as [`sections::map_core_modules`] counts them.
    modules: Vec<Module<'a>>,
}

struct Module<'a> {
    bytes: &'a [u8],
    /// The first halves of the names of its imports `(…, "_initialize")`.
    awaits: Vec<&'a str>,
    expected: bool,
}

/// The core module index space of one component. An entry is a position in
/// [`Scan::modules`], or `None` for a module defined elsewhere.
struct Scope<'p> {
    modules: Vec<Option<usize>>,
    outer: Option<&'p Scope<'p>>,
}

impl Scope<'_> {
    /// The module at `index` of the component `count` levels further out.
    fn module(&self, count: u32, index: u32) -> Result<Option<usize>> {
        let mut scope = self;
        for _ in 0..count {
            scope = scope.outer.context("an alias leaves the component")?;
        }
        entry(&scope.modules, index).context("unknown core module")
    }
}

/// An entry of an index space.
fn entry(space: &[Option<usize>], index: u32) -> Result<Option<usize>> {
    space
        .get(index as usize)
        .copied()
        .with_context(|| format!("index {index} of {}", space.len()))
}

impl<'a> Scan<'a> {
    fn component(&mut self, component: &'a [u8], outer: Option<&Scope<'_>>) -> Result<()> {
        // Every level has one more scope around it.
        check_nesting(std::iter::successors(outer, |scope| scope.outer).count())?;
        let mut scope = Scope {
            modules: Vec::new(),
            outer,
        };
        // The module each core instance is made from; `None` for a bundle of
        // items too, which came out of their modules through aliases.
        let mut instances = Vec::new();
        for section in parse_as(component, Encoding::Component)? {
            let reader = BinaryReader::new(section.data, 0);
            match section.id {
                id::CORE_MODULE => {
                    scope.modules.push(Some(self.modules.len()));
                    self.modules.push(Module {
                        bytes: section.data,
                        awaits: awaited(section.data)?,
                        expected: false,
                    });
                }
                id::COMPONENT => self.component(section.data, Some(&scope))?,
                component_id::CORE_INSTANCE => {
                    for instance in InstanceSectionReader::new(reader)? {
                        let module = self.core_instance(&instance?, &scope, &instances)?;
                        instances.push(module);
                    }
                }
                component_id::ALIAS => {
                    for alias in ComponentAliasSectionReader::new(reader)? {
                        self.alias(&alias?, &mut scope, &instances)?;
                    }
                }
                component_id::IMPORT => {
                    for import in ComponentImportSectionReader::new(reader)? {
                        if matches!(import?.ty, ComponentTypeRef::Module(_)) {
                            scope.modules.push(None);
                        }
                    }
                }
                // An export is an index of its own for what it exports.
                component_id::EXPORT => {
                    for export in ComponentExportSectionReader::new(reader)? {
                        let export = export?;
                        if export.kind == ComponentExternalKind::Module {
                            let module = scope.module(0, export.index)?;
                            scope.modules.push(module);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes what an instance takes from the instances passed to it whole, and
    /// returns its module.
    fn core_instance(
        &mut self,
        instance: &Instance<'_>,
        scope: &Scope<'_>,
        instances: &[Option<usize>],
    ) -> Result<Option<usize>> {
        let Instance::Instantiate { module_index, args } = instance else {
            return Ok(None);
        };
        let module = scope.module(0, *module_index)?;
        for arg in args {
            let passed = entry(instances, arg.index).context("unknown core instance")?;
            if let (Some(module), Some(passed)) = (module, passed)
                && self.modules[module].awaits.contains(&arg.name)
            {
                self.modules[passed].expected = true;
            }
        }
        Ok(module)
    }

    fn alias(
        &mut self,
        alias: &ComponentAlias<'_>,
        scope: &mut Scope<'_>,
        instances: &[Option<usize>],
    ) -> Result<()> {
        match *alias {
            ComponentAlias::CoreInstanceExport {
                kind: ExternalKind::Func,
                instance_index,
                name: INITIALIZE,
            } => {
                let module = entry(instances, instance_index).context("unknown core instance")?;
                if let Some(module) = module {
                    self.modules[module].expected = true;
                }
            }
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule,
                count,
                index,
            } => {
                let module = scope.module(count, index)?;
                scope.modules.push(module);
            }
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module,
                ..
            } => scope.modules.push(None),
            _ => {}
        }
        Ok(())
    }
}

/// The names under which a module imports a function `_initialize`.
pub(crate) fn awaited(module: &[u8]) -> Result<Vec<&str>> {
    let sections = parse_as(module, Encoding::Module)?;
    let mut names = Vec::new();
    if let Some(data) = payload(&sections, module_id::IMPORT) {
        for import in imports(data)?.into_imports() {
            let import = import?;
            if import.name == INITIALIZE && is_func(import.ty) {
                names.push(import.module);
            }
        }
    }
    Ok(names)
}

pub(crate) fn payload<'a>(sections: &[Section<'a>], id: u8) -> Option<&'a [u8]> {
    let section = sections.iter().find(|section| section.id == id);
    section.map(|section| section.data)
}

pub(crate) fn imports(data: &[u8]) -> Result<ImportSectionReader<'_>> {
    Ok(ImportSectionReader::new(BinaryReader::new(data, 0))?)
}

fn is_func(ty: TypeRef) -> bool {
    matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_))
}

/// The module with a function `_initialize` that does nothing, or `None` when
/// it exports one already.
pub(crate) fn add_initialize(module: &[u8]) -> Result<Option<Vec<u8>>> {
    let sections = parse_as(module, Encoding::Module)?;
    check_order(&sections)?;
    if exports_initialize(&sections)? {
        return Ok(None);
    }
    let mut new: Vec<_> = sections
        .iter()
        .map(|section| (section.id, Cow::Borrowed(section.data)))
        .collect();

    let ty = match noop_type(&sections)? {
        TypeIndex::Existing(index) => index,
        TypeIndex::New(index) => {
            // A function type, no parameters, no results.
            append(&mut new, module_id::TYPE, &[0x60, 0, 0])?;
            index
        }
    };
    let mut item = Vec::new();
    ty.encode(&mut item);
    append(&mut new, module_id::FUNCTION, &item)?;

    item.clear();
    INITIALIZE.encode(&mut item);
    item.push(0); // a function
    function_count(&sections)?.encode(&mut item);
    append(&mut new, module_id::EXPORT, &item)?;

    // Two bytes of body: no locals, `end`.
    append(&mut new, id::CODE, &[2, 0, 0x0b])?;
    Ok(Some(assemble(Encoding::Module, &new)))
}

fn rank(id: u8) -> Option<usize> {
    MODULE_ORDER.iter().position(|&other| other == id)
}

/// A section that comes twice or out of order would make the indices computed
/// from the first one wrong.
fn check_order(sections: &[Section<'_>]) -> Result<()> {
    let mut last = None;
    for section in sections.iter().filter(|section| section.id != id::CUSTOM) {
        let rank = rank(section.id).with_context(|| format!("unknown section {}", section.id))?;
        ensure!(
            last < Some(rank),
            "section {} is out of order or repeated",
            section.id
        );
        last = Some(rank);
    }
    Ok(())
}

fn exports_initialize(sections: &[Section<'_>]) -> Result<bool> {
    let Some(data) = payload(sections, module_id::EXPORT) else {
        return Ok(false);
    };
    for export in ExportSectionReader::new(BinaryReader::new(data, 0))? {
        let export = export?;
        if export.name == INITIALIZE {
            ensure!(
                export.kind == ExternalKind::Func,
                "`{INITIALIZE}` is exported as {:?}, not as a function",
                export.kind
            );
            return Ok(true);
        }
    }
    Ok(false)
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TypeIndex {
    Existing(u32),
    /// The index the next appended type gets.
    New(u32),
}

pub(crate) fn noop_type(sections: &[Section<'_>]) -> Result<TypeIndex> {
    let mut next = 0;
    if let Some(data) = payload(sections, module_id::TYPE) {
        for group in TypeSectionReader::new(BinaryReader::new(data, 0))? {
            let group = group?;
            if is_noop(&group) {
                return Ok(TypeIndex::Existing(next));
            }
            // The section counts groups, the index space counts their members.
            next += u32::try_from(group.types().len())?;
        }
    }
    Ok(TypeIndex::New(next))
}

/// Whether the group is the type that `(func)` alone stands for. A member of a
/// larger group is another type, even when it looks the same.
fn is_noop(group: &RecGroup) -> bool {
    let mut types = group.types();
    let (Some(ty), None) = (types.next(), types.next()) else {
        return false;
    };
    let composite = &ty.composite_type;
    ty.is_final
        && ty.supertype_idx.is_none()
        && !composite.shared
        && composite.descriptor_idx.is_none()
        && composite.describes_idx.is_none()
        && matches!(&composite.inner, CompositeInnerType::Func(func)
            if func.params().is_empty() && func.results().is_empty())
}

/// The size of the function index space: imported functions, then defined ones.
fn function_count(sections: &[Section<'_>]) -> Result<u32> {
    let mut count = 0_u32;
    if let Some(data) = payload(sections, module_id::IMPORT) {
        for import in imports(data)?.into_imports() {
            count += u32::from(is_func(import?.ty));
        }
    }
    if let Some(data) = payload(sections, module_id::FUNCTION) {
        let defined = BinaryReader::new(data, 0).read_var_u32()?;
        count = count.checked_add(defined).context("too many functions")?;
    }
    Ok(count)
}

/// Appends one encoded item to a section that is a count and as many items,
/// making the section when there is none.
fn append(sections: &mut Vec<(u8, Cow<'_, [u8]>)>, id: u8, item: &[u8]) -> Result<()> {
    let Some((_, data)) = sections.iter_mut().find(|(other, _)| *other == id) else {
        let section = [&[1], item].concat();
        sections.insert(place(sections, id), (id, Cow::Owned(section)));
        return Ok(());
    };
    let mut reader = BinaryReader::new(data, 0);
    let count = reader.read_var_u32()?;
    let items = &data[reader.current_position()..];
    // Five bytes hold any count.
    let mut new = Vec::with_capacity(5 + items.len() + item.len());
    let count = count.checked_add(1).context("too many items")?;
    count.encode(&mut new);
    new.extend_from_slice(items);
    new.extend_from_slice(item);
    *data = Cow::Owned(new);
    Ok(())
}

/// Where a section that is missing belongs. Custom sections may be anywhere, but
/// `name` is meant to stay behind the others and `dylink.0` in front of them.
fn place(sections: &[(u8, Cow<'_, [u8]>)], id: u8) -> usize {
    let before = |(other, _): &(u8, _)| rank(*other).is_some_and(|other| Some(other) < rank(id));
    let known = |(other, _): &(u8, _)| rank(*other).is_some();
    match sections.iter().rposition(before) {
        Some(last) => last + 1,
        None => sections.iter().position(known).unwrap_or(sections.len()),
    }
}
