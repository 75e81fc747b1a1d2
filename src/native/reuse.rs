//! Native code of a snapshot out of that of another with the same function bodies.
//!
//! Snapshots of one linked component differ in the contents of memories and
//! mutable globals and in how large memories are. None of that is in the native
//! code of functions. It is in the artifact's data and metadata, which are made
//! here without compiling anything, and in the start-up function of the module
//! that defines the memory: Wasmtime calls it where copy-on-write is not to be
//! had. Only that function is compiled, with traps for all others. Those come from the
//! earlier artifact.
//!
//! Why the result is what compiling all of it would have given: see [`splice`].
//! Where a condition named there does not hold, everything is compiled; a test
//! compares the two ways byte for byte.

use crate::native::artifact::{Artifact, EngineSection, INFO, TEXT, WASM_DATA};
use crate::store::digest::{Digest, KeyBuilder};
use crate::wasm::bodies;
use crate::wasm::sections::{self, Section, id, module_id};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use wasmparser::{
    BinaryReader, Data, DataKind, DataSectionReader, GlobalSectionReader, MemorySectionReader,
    Operator, Validator, WasmFeatures,
};
use wasmtime_environ::component::{
    CompiledComponentInfo, ComponentArtifacts, ComponentTypesBuilder, Translator,
};
use wasmtime_environ::object::write::Object;
use wasmtime_environ::object::{Architecture, BinaryFormat, Endianness};
use wasmtime_environ::{
    Abi, CompiledFunctionsTable, CompiledFunctionsTableBuilder, DefinedFuncIndex, EntityRef,
    FilePos, FinishedObject, FuncKey, ObjectBuilder, PrimaryMap, ScopeVec, StaticModuleIndex,
    WasmChecksum,
};

/// Up to this size, memory is always stored as an image that can be mapped;
/// `precompile.rs` says so to Wasmtime.
pub(crate) const IMAGE_BYTES: u64 = 64 << 20;

/// What of a snapshot compiled functions depend on, and what they do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Digest of what functions are compiled from: everything but bodies, data,
    /// initial values of mutable globals, and minimum sizes of memories.
    pub(crate) digest: Digest,
    /// The minimum size of every defined memory, in order.
    minimums: Vec<u64>,
    /// Where the code section of each core module starts in the component.
    code: Vec<Option<u64>>,
}

/// The shape of `wasm`; `None` where start-up code is more than this module
/// understands.
pub(crate) fn shape(wasm: &[u8]) -> Result<Option<Shape>> {
    let mut key = KeyBuilder::new("shape");
    let mut minimums = Vec::new();
    for section in sections::parse(wasm)?.1 {
        match section.id {
            id::CORE_MODULE => {
                key.part("core module", &[]);
                if !module_shape(section.data, &mut key, &mut minimums)? {
                    return Ok(None);
                }
            }
            // Core modules in it would be missed.
            id::COMPONENT => return Ok(None),
            id => {
                key.part("section", &[id]).part("content", section.data);
            }
        }
    }
    let code = sections::core_modules(wasm)?
        .into_iter()
        .map(|module| {
            let sections = sections::parse(module)?.1;
            let code = sections.iter().find(|section| section.id == id::CODE);
            Ok(code.map(|section| offset(wasm, section)))
        })
        .collect::<Result<_>>()?;
    Ok(Some(Shape {
        digest: key.finish(),
        minimums,
        code,
    }))
}

fn offset(wasm: &[u8], section: &Section<'_>) -> u64 {
    (section.data.as_ptr().addr() - wasm.as_ptr().addr()) as u64
}

fn module_shape(module: &[u8], key: &mut KeyBuilder, minimums: &mut Vec<u64>) -> Result<bool> {
    for section in sections::parse(module)?.1 {
        let reader = || BinaryReader::new(section.data, 0);
        key.part("section", &[section.id]);
        match section.id {
            // Bodies are those of the linked component.
            id::CODE => {}
            module_id::MEMORY => {
                for memory in MemorySectionReader::new(reader())? {
                    let mut memory = memory?;
                    minimums.push(memory.initial);
                    memory.initial = 0;
                    key.part("memory", format!("{memory:?}").as_bytes());
                }
            }
            module_id::GLOBAL => {
                for global in GlobalSectionReader::new(reader())? {
                    let global = global?;
                    key.part("global", format!("{:?}", global.ty).as_bytes());
                    // An immutable global is a constant in compiled code.
                    if !global.ty.mutable {
                        let mut init = global.init_expr.get_binary_reader();
                        key.part("value", init.read_bytes(init.bytes_remaining())?);
                    }
                }
            }
            module_id::DATA => {
                if !data_shape(DataSectionReader::new(reader())?, key)? {
                    return Ok(false);
                }
            }
            // For validation only.
            module_id::DATA_COUNT => {}
            _ => {
                key.part("content", section.data);
            }
        }
    }
    Ok(true)
}

/// Whether data segments are as wizer writes them: first those that were there, which are
/// passive and in the key, then the memory's content.
///
/// Code names passive segments by their position, so they must be the first.
fn data_shape(segments: DataSectionReader<'_>, key: &mut KeyBuilder) -> Result<bool> {
    let mut content = false;
    for segment in segments {
        let segment = segment?;
        match segment.kind {
            DataKind::Passive if content => return Ok(false),
            DataKind::Passive => {
                key.part("passive", segment.data);
            }
            DataKind::Active { .. } if !at_constant(&segment) => return Ok(false),
            DataKind::Active { .. } => content = true,
        }
    }
    Ok(true)
}

fn at_constant(data: &Data<'_>) -> bool {
    let DataKind::Active { offset_expr, .. } = &data.kind else {
        return false;
    };
    matches!(
        offset_expr.get_operators_reader().read(),
        Ok(Operator::I32Const { .. })
    )
}

/// A snapshot and its artifact.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) wasm: &'a [u8],
    pub(crate) artifact: &'a [u8],
}

/// The artifact of `wasm`, a snapshot with the same bodies as that of `base`, with
/// the functions of `base`. `compile` compiles one core module with the settings
/// that `base` was compiled with.
///
/// Why it is what compiling `wasm` would give: native code of a function depends
/// on its body, which is the same; on the module around it, which
/// [`Shape::digest`] covers; and on the minimum size of memories, up to which
/// accesses may go unchecked, and which must not be smaller than in `base`.
///
/// The data and metadata that are made here are made for `base` too, and must be
/// what its artifact holds.
///
/// A start-up function can differ only where its module does, and does not depend on
/// bodies. Such modules are compiled alone and without bodies, before and after. If the
/// lengths of all functions are the same,
/// so are the distances by which code is linked, and bytes that differ are
/// constants: they are carried over, unless linking changed them in `base`. All
/// other sections of both must be equal.
///
/// # Errors
/// The condition that does not hold.
pub(crate) fn splice(
    base: Base<'_>,
    wasm: &[u8],
    compile: &dyn Fn(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let [old_shape, new_shape] = [base.wasm, wasm].map(shape);
    let (old_shape, new_shape) = (
        old_shape?.context("an earlier snapshot")?,
        new_shape?.context("a snapshot")?,
    );
    ensure!(old_shape.digest == new_shape.digest, "other modules");
    let mut minimums = old_shape.minimums.iter().zip(&new_shape.minimums);
    ensure!(
        old_shape.minimums.len() == new_shape.minimums.len()
            && minimums.all(|(old, new)| old <= new),
        "a memory starts smaller"
    );
    let whole = Artifact::parse(base.artifact)?;
    ensure!(
        whole.is_little_endian(),
        "data is made for little-endian processors"
    );
    // The layout rule is checked on a file that Wasmtime wrote.
    ensure!(
        whole.with(&[])? == base.artifact,
        "the artifact is laid out in another way"
    );
    let engine = whole.engine()?;
    let old_info: ComponentArtifacts =
        postcard::from_bytes(whole.section(INFO)?).context("the metadata")?;

    let (old, new) = rayon::join(
        || Derived::of(base.wasm, &engine, &whole),
        || Derived::of(wasm, &engine, &whole),
    );
    let (mut old, mut new) = (old?, new?);
    let mut table = Table::of(&old_info.table)?;
    old.complete(&old_info, &table)?;
    ensure!(
        old.data == whole.section(WASM_DATA)? && old.serialized()? == whole.section(INFO)?,
        "Wasmtime makes data or metadata in another way"
    );
    for (index, (from, to)) in old_shape.code.iter().zip(&new_shape.code).enumerate() {
        let (Some(from), Some(to)) = (*from, *to) else {
            continue;
        };
        let module = StaticModuleIndex::new(index);
        let known = old_info
            .static_modules
            .get(module)
            .context("other modules")?;
        ensure!(
            known.meta.code_section_offset == from,
            "core modules are in another order"
        );
        table.move_positions(module, from, to)?;
    }
    new.complete(&old_info, &table)?;
    let text = text(&whole, &old_info, [base.wasm, wasm], compile)?;
    let info = new.serialized()?;
    whole.with(&[(TEXT, &text), (WASM_DATA, &new.data), (INFO, &info)])
}

/// Data and metadata of an artifact, made as Wasmtime makes them around compiling.
struct Derived {
    artifacts: ComponentArtifacts,
    data: Vec<u8>,
}

impl Derived {
    fn of(wasm: &[u8], engine: &EngineSection, whole: &Artifact<'_>) -> Result<Self> {
        let features = WasmFeatures::from_bits_truncate(engine.features);
        let mut validator = Validator::new_with_features(features);
        let scope = ScopeVec::new();
        let mut types = ComponentTypesBuilder::new(&validator);
        let translator = Translator::new(&engine.tunables, &mut validator, &mut types, &scope);
        let (component, modules) = translator.translate(wasm)?;
        // Data that is mapped is aligned to pages.
        let page = whole.part(WASM_DATA)?.align.max(0x1000);
        let object = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let mut builder = ObjectBuilder::new(object, &engine.tunables);
        let mut static_modules = PrimaryMap::new();
        for (_, mut module) in modules {
            let types = types.module_types_builder_mut();
            module.finalize_memory_init(&engine.tunables, page, IMAGE_BYTES, types);
            module.finalize_table_init(&engine.tunables, types);
            static_modules.push(builder.append(module)?);
        }
        let object = Vec::<u8>::finish_object(builder, &())?;
        let (types, ty) = types.finish(&component.component);
        Ok(Self {
            artifacts: ComponentArtifacts {
                ty,
                info: CompiledComponentInfo {
                    component: component.component,
                },
                table: CompiledFunctionsTableBuilder::new().finish(),
                types,
                static_modules,
                checksum: WasmChecksum::from_binary(wasm, engine.tunables.recording),
            },
            data: Artifact::parse(&object)?.section(WASM_DATA)?.to_vec(),
        })
    }

    /// Adds what compiling tells.
    fn complete(&mut self, compiled: &ComponentArtifacts, table: &Table) -> Result<()> {
        ensure!(
            compiled.static_modules.len() == self.artifacts.static_modules.len(),
            "other modules"
        );
        for (index, module) in self.artifacts.static_modules.iter_mut() {
            module.module.needs_gc_heap |= compiled.static_modules[index].module.needs_gc_heap;
        }
        self.artifacts.table = table.to_real()?;
        Ok(())
    }

    fn serialized(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(&self.artifacts).context("the metadata")
    }
}

/// The text of `whole` with the constants of the new start-up functions.
fn text(
    whole: &Artifact<'_>,
    whole_info: &ComponentArtifacts,
    [old, new]: [&[u8]; 2],
    compile: &dyn Fn(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut text = whole.section(TEXT)?.to_vec();
    let modules = [old, new].map(sections::core_modules);
    let [old, new] = [modules[0].as_ref(), modules[1].as_ref()]
        .map(|modules| modules.map_err(|e| anyhow::anyhow!("{e:#}")));
    for (index, (old, new)) in old?.iter().zip(new?).enumerate() {
        let index = StaticModuleIndex::new(index);
        let keys = [Abi::Wasm, Abi::Array].map(|abi| FuncKey::ModuleStartup(abi, index));
        if old == new || range(&whole_info.table, keys[0]).is_none() {
            continue;
        }
        let [old, new] = [old, new].map(|module| compile(&bodies::without_bodies(module)?));
        let [old, new] = [old?, new?];
        let [old, new] = [Artifact::parse(&old)?, Artifact::parse(&new)?];
        same_but_data(&old, &new)?;
        let [old_table, new_table] = [old.module_table()?, new.module_table()?];
        ensure!(
            postcard::to_allocvec(&Table::of(&old_table)?.func_locs)?
                == postcard::to_allocvec(&Table::of(&new_table)?.func_locs)?,
            "a function has another length"
        );
        let (old, new) = (old.section(TEXT)?, new.section(TEXT)?);
        ensure!(old.len() == new.len(), "code of another length");
        let mut patched = 0;
        for (key, alone) in keys.into_iter().zip([Abi::Wasm, Abi::Array]) {
            let alone = FuncKey::ModuleStartup(alone, StaticModuleIndex::new(0));
            let (Some(place), Some(at)) = (range(&whole_info.table, key), range(&old_table, alone))
            else {
                bail!("no start-up function");
            };
            ensure!(
                place.len() == at.len(),
                "a start-up function has another length"
            );
            for (place, at) in place.zip(at) {
                if old[at] != new[at] {
                    ensure!(text[place] == old[at], "a constant and a link share bytes");
                    text[place] = new[at];
                    patched += 1;
                }
            }
        }
        let differing = old.iter().zip(new).filter(|(old, new)| old != new).count();
        ensure!(differing == patched, "other functions differ");
    }
    Ok(text)
}

fn same_but_data(old: &Artifact<'_>, new: &Artifact<'_>) -> Result<()> {
    ensure!(old.parts().len() == new.parts().len(), "other sections");
    for (old, new) in old.parts().iter().zip(new.parts()) {
        ensure!(
            old.name == new.name && old.align == new.align,
            "other sections"
        );
        let differs = [TEXT, WASM_DATA, INFO].contains(&old.name);
        ensure!(
            differs || old.data == new.data,
            "section {} differs",
            old.name
        );
    }
    Ok(())
}

fn range(table: &CompiledFunctionsTable, key: FuncKey) -> Option<Range<usize>> {
    let location = table.func_loc(key)?;
    let start = location.start as usize;
    Some(start..start + location.length as usize)
}

/// [`CompiledFunctionsTable`], whose fields are private, as it is serialized.
#[derive(Serialize, Deserialize)]
struct Table {
    namespaces: Vec<u32>,
    func_loc_starts: Vec<u32>,
    sparse_starts: Vec<u32>,
    src_loc_starts: Vec<u32>,
    sparse_indices: Vec<u32>,
    func_locs: Vec<(u32, u32)>,
    src_locs: Vec<u32>,
}

impl Table {
    fn of(table: &CompiledFunctionsTable) -> Result<Self> {
        let bytes = postcard::to_allocvec(table)?;
        let (this, rest) = postcard::take_from_bytes::<Self>(&bytes)?;
        ensure!(
            rest.is_empty() && postcard::to_allocvec(&this)? == bytes,
            "the function table has another format"
        );
        Ok(this)
    }

    fn to_real(&self) -> Result<CompiledFunctionsTable> {
        Ok(postcard::from_bytes(&postcard::to_allocvec(self)?)?)
    }

    /// Moves the positions of a module's functions in the component with its code
    /// section.
    fn move_positions(&mut self, module: StaticModuleIndex, from: u64, to: u64) -> Result<()> {
        let key = FuncKey::DefinedWasmFunction(module, DefinedFuncIndex::new(0));
        let namespace = key.into_parts().0.into_raw();
        let Some(at) = self.namespaces.iter().position(|raw| *raw == namespace) else {
            return Ok(());
        };
        let none = postcard::to_allocvec(&FilePos::none())?;
        let start = self.src_loc_starts[at] as usize;
        let end = match self.src_loc_starts.get(at + 1) {
            Some(end) => *end as usize,
            None => self.src_locs.len(),
        };
        for position in self
            .src_locs
            .get_mut(start..end)
            .context("the function table")?
        {
            if postcard::to_allocvec(position)? != none {
                let moved = u64::from(*position) - from + to;
                *position = u32::try_from(moved)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CompilerChoice, Precompile};
    use crate::native::compile::Precompiler;
    use crate::native::target::Target;

    /// A component whose memory has `pages` pages, with `data` at `at`, and
    /// globals, one of which is a constant.
    fn component(pages: u32, at: u32, data: &str, value: i32, constant: i32) -> Vec<u8> {
        wat::parse_str(format!(
            r#"(component
                (core module $memory
                    (memory (export "memory") {pages})
                    (data $passive "passive")
                    (global (export "g") (mut i32) (i32.const {value}))
                    (global $c i32 (i32.const {constant}))
                    (func (export "constant") (result i32) global.get $c)
                    (func (export "init")
                        (memory.init $passive
                            (i32.const 4) (global.get $c) (i32.const 2))
                        (data.drop $passive))
                    (data (i32.const {at}) "{data}"))
                (core module $code
                    (import "m" "memory" (memory 1))
                    (import "m" "g" (global $g (mut i32)))
                    (table 3 funcref)
                    (elem (i32.const 1) func $f $grow)
                    (func $grow (result i32) (memory.grow (i32.const 1)))
                    (func $f (export "f") (param i32) (result i32)
                        (i32.load8_u (i32.add (local.get 0) (global.get $g)))))
                (core instance $m (instantiate $memory))
                (core instance $i (instantiate $code (with "m" (instance $m))))
                (func (export "f") (param "x" u32) (result u32)
                    (canon lift (core func $i "f"))))"#
        ))
        .unwrap()
    }

    fn maker(compiler: CompilerChoice, cow: bool) -> Precompiler {
        let precompile = Precompile {
            compiler,
            memory_init_cow: cow,
            ..Precompile::default()
        };
        let target = Target::resolve(&precompile, None).unwrap();
        let mut all = Precompiler::all(&precompile, &target, false).unwrap();
        all.remove(0)
    }

    fn spliced(maker: &Precompiler, old: &[u8], new: &[u8]) -> Result<Vec<u8>> {
        let artifact = maker.compile(old).unwrap();
        let base = Base {
            wasm: old,
            artifact: &artifact,
        };
        splice(base, new, &|module| maker.compile_module(module))
    }

    #[test]
    fn another_snapshot_gets_the_bytes_that_compiling_it_gives() {
        let old = component(2, 70_000, "some data", 8, 5);
        let long = "longer ".repeat(3000);
        for new in [
            component(2, 70_000, "same size", 8, 5),
            component(2, 70_001, "other", -7_000_000, 5),
            component(9, 90_000, &long, 300, 5),
        ] {
            for compiler in [CompilerChoice::Cranelift, CompilerChoice::Winch] {
                for cow in [true, false] {
                    let maker = maker(compiler, cow);
                    match spliced(&maker, &old, &new) {
                        Ok(code) => assert!(code == maker.compile(&new).unwrap()),
                        // Without images, start-up code names the data's place:
                        // a longer constant is longer code, and nothing is reused.
                        Err(error) => assert!(!cow, "{error:#}"),
                    }
                }
            }
        }
    }

    #[test]
    fn what_functions_depend_on_must_be_equal() {
        let old = component(2, 8, "some data", 8, 5);
        let maker = maker(CompilerChoice::Cranelift, true);
        let error = |new: &[u8]| spliced(&maker, &old, new).unwrap_err().to_string();
        assert_eq!(error(&component(2, 8, "some data", 8, 6)), "other modules");
        assert_eq!(
            error(&component(1, 8, "some data", 8, 5)),
            "a memory starts smaller"
        );
    }

    #[test]
    fn damaged_artifacts_are_errors() {
        let old = component(2, 8, "some data", 8, 5);
        let new = component(2, 8, "some more", 8, 5);
        let maker = maker(CompilerChoice::Cranelift, true);
        let artifact = maker.compile(&old).unwrap();
        let attempt = |artifact: &[u8]| {
            let base = Base {
                wasm: &old,
                artifact,
            };
            splice(base, &new, &|module| maker.compile_module(module))
        };
        assert!(attempt(&artifact).is_ok());
        for cut in (0..artifact.len()).step_by(97) {
            assert!(attempt(&artifact[..cut]).is_err(), "{cut}");
        }
        let data = {
            let whole = Artifact::parse(&artifact).unwrap();
            let data = whole.section(WASM_DATA).unwrap();
            data.as_ptr().addr() - artifact.as_ptr().addr()
        };
        let mut edited = artifact.clone();
        edited[data + 8] ^= 1;
        let error = attempt(&edited).unwrap_err().to_string();
        assert!(error.contains("in another way"), "{error}");
    }
}
