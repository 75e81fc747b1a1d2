//! What a core module consists of, its bodies not yet decoded.

use crate::wasm::sections::{self, id, module_id};
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use wasmparser::{
    BinaryReader, ConstExpr, Data, DataKind, DataSectionReader, Element, ElementKind,
    ElementSectionReader, ExportSectionReader, ExternalKind, FunctionSectionReader,
    GlobalSectionReader, GlobalType, Import, ImportSectionReader, MemorySectionReader, MemoryType,
    RecGroup, TableInit, TableSectionReader, TableType, TagSectionReader, TagType, TypeRef,
    TypeSectionReader,
};

/// The index spaces that imports and exports name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Func,
    Table,
    Memory,
    Global,
    Tag,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Func,
        Self::Table,
        Self::Memory,
        Self::Global,
        Self::Tag,
    ];

    pub(super) fn encoder(self) -> wasm_encoder::ExportKind {
        match self {
            Self::Func => wasm_encoder::ExportKind::Func,
            Self::Table => wasm_encoder::ExportKind::Table,
            Self::Memory => wasm_encoder::ExportKind::Memory,
            Self::Global => wasm_encoder::ExportKind::Global,
            Self::Tag => wasm_encoder::ExportKind::Tag,
        }
    }
}

impl From<ExternalKind> for Kind {
    fn from(kind: ExternalKind) -> Self {
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => Self::Func,
            ExternalKind::Table => Self::Table,
            ExternalKind::Memory => Self::Memory,
            ExternalKind::Global => Self::Global,
            ExternalKind::Tag => Self::Tag,
        }
    }
}

fn kind_of(ty: &TypeRef) -> Kind {
    match ty {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => Kind::Func,
        TypeRef::Table(_) => Kind::Table,
        TypeRef::Memory(_) => Kind::Memory,
        TypeRef::Global(_) => Kind::Global,
        TypeRef::Tag(_) => Kind::Tag,
    }
}

/// A core module. Each index space holds what is imported first.
#[derive(Default)]
pub(super) struct Module<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) groups: Vec<RecGroup>,
    pub(super) imports: Vec<Import<'a>>,
    /// Of each kind, the positions in `imports`.
    imported: [Vec<usize>; 5],
    /// Type indices.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Vec<TableType>,
    pub(super) memories: Vec<MemoryType>,
    pub(super) globals: Vec<GlobalType>,
    pub(super) tags: Vec<TagType>,
    /// Of the tables defined here.
    pub(super) table_values: Vec<TableInit<'a>>,
    /// Of the globals defined here.
    pub(super) global_values: Vec<ConstExpr<'a>>,
    exports: HashMap<&'a str, (Kind, u32)>,
    /// The name of what is exported, the first if it has several.
    export_names: HashMap<(Kind, u32), &'a str>,
    pub(super) start: Option<u32>,
    pub(super) elements: Vec<Element<'a>>,
    pub(super) data: Vec<Data<'a>>,
    pub(super) data_count: bool,
    pub(super) bodies: Vec<&'a [u8]>,
    /// The payload of the section `name`.
    pub(super) names: Option<&'a [u8]>,
}

impl<'a> Module<'a> {
    /// # Errors
    /// When the module is malformed.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let (encoding, sections) = sections::parse(bytes)?;
        ensure!(encoding == sections::Encoding::Module, "not a core module");
        let mut module = Self {
            bytes,
            ..Self::default()
        };
        for section in sections {
            if section.custom_name() == Some("name") {
                let mut reader = BinaryReader::new(section.data, 0);
                reader.read_string()?;
                module.names = Some(reader.read_bytes(reader.bytes_remaining())?);
            } else {
                module
                    .section(section.id, BinaryReader::new(section.data, 0))
                    .with_context(|| format!("in section {}", section.id))?;
            }
        }
        let defined = module.functions.len() - module.imported(Kind::Func);
        ensure!(
            defined == module.bodies.len(),
            "{defined} functions have {} bodies",
            module.bodies.len()
        );
        Ok(module)
    }

    fn section(&mut self, section: u8, reader: BinaryReader<'a>) -> Result<()> {
        match section {
            module_id::TYPE => {
                for group in TypeSectionReader::new(reader)? {
                    self.groups.push(group?);
                }
            }
            module_id::IMPORT => {
                for import in ImportSectionReader::new(reader)?.into_imports() {
                    self.import(import?);
                }
            }
            module_id::FUNCTION => {
                for ty in FunctionSectionReader::new(reader)? {
                    self.functions.push(ty?);
                }
            }
            module_id::TABLE => {
                for table in TableSectionReader::new(reader)? {
                    let table = table?;
                    self.tables.push(table.ty);
                    self.table_values.push(table.init);
                }
            }
            module_id::MEMORY => {
                for memory in MemorySectionReader::new(reader)? {
                    self.memories.push(memory?);
                }
            }
            module_id::TAG => {
                for tag in TagSectionReader::new(reader)? {
                    self.tags.push(tag?);
                }
            }
            module_id::GLOBAL => {
                for global in GlobalSectionReader::new(reader)? {
                    let global = global?;
                    self.globals.push(global.ty);
                    self.global_values.push(global.init_expr);
                }
            }
            _ => self.later_section(section, reader)?,
        }
        Ok(())
    }

    fn later_section(&mut self, section: u8, mut reader: BinaryReader<'a>) -> Result<()> {
        match section {
            module_id::EXPORT => {
                for export in ExportSectionReader::new(reader)? {
                    let export = export?;
                    let item = (Kind::from(export.kind), export.index);
                    let again = self.exports.insert(export.name, item);
                    ensure!(again.is_none(), "`{}` is exported twice", export.name);
                    self.export_names.entry(item).or_insert(export.name);
                }
            }
            module_id::START => self.start = Some(reader.read_var_u32()?),
            module_id::ELEMENT => {
                for element in ElementSectionReader::new(reader)? {
                    self.elements.push(element?);
                }
            }
            module_id::DATA_COUNT => self.data_count = true,
            id::CODE => {
                let count = reader.read_var_u32()?;
                for _ in 0..count {
                    let size = reader.read_var_u32()? as usize;
                    self.bodies.push(reader.read_bytes(size)?);
                }
            }
            module_id::DATA => {
                for data in DataSectionReader::new(reader)? {
                    self.data.push(data?);
                }
            }
            id::CUSTOM => {}
            _ => anyhow::bail!("unknown section"),
        }
        Ok(())
    }

    fn import(&mut self, import: Import<'a>) {
        match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => self.functions.push(ty),
            TypeRef::Table(ty) => self.tables.push(ty),
            TypeRef::Memory(ty) => self.memories.push(ty),
            TypeRef::Global(ty) => self.globals.push(ty),
            TypeRef::Tag(ty) => self.tags.push(ty),
        }
        self.imported[kind_of(&import.ty) as usize].push(self.imports.len());
        self.imports.push(import);
    }

    /// How many items of a kind are imported.
    pub(super) fn imported(&self, kind: Kind) -> usize {
        self.imported[kind as usize].len()
    }

    /// The import that item `index` of a kind is, as its position.
    pub(super) fn import_position(&self, kind: Kind, index: u32) -> Option<usize> {
        self.imported[kind as usize].get(index as usize).copied()
    }

    /// The kind of each import.
    pub(super) fn import_kinds(&self) -> impl Iterator<Item = Kind> {
        self.imports.iter().map(|import| kind_of(&import.ty))
    }

    /// How many items of a kind there are, imported or defined.
    pub(super) fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Func => self.functions.len(),
            Kind::Table => self.tables.len(),
            Kind::Memory => self.memories.len(),
            Kind::Global => self.globals.len(),
            Kind::Tag => self.tags.len(),
        }
    }

    /// # Errors
    /// When there is no such export, or it is of another kind, or of something that is
    /// not there.
    pub(super) fn export(&self, kind: Kind, name: &str) -> Result<u32> {
        let found = self.exports.get(name);
        let &(found, index) = found.with_context(|| format!("no export `{name}`"))?;
        ensure!(found == kind, "`{name}` is a {found:?}, not a {kind:?}");
        ensure!(
            (index as usize) < self.count(kind),
            "`{name}` exports {kind:?} {index}, which is not there"
        );
        Ok(index)
    }

    pub(super) fn export_name(&self, kind: Kind, index: u32) -> Option<&'a str> {
        self.export_names.get(&(kind, index)).copied()
    }

    /// The tables and memories that instantiating the module writes to.
    pub(super) fn written(&self) -> Vec<(Kind, u32)> {
        let tables = self.elements.iter().filter_map(|e| match e.kind {
            ElementKind::Active { table_index, .. } => {
                Some((Kind::Table, table_index.unwrap_or(0)))
            }
            _ => None,
        });
        let memories = self.data.iter().filter_map(|data| match data.kind {
            DataKind::Active { memory_index, .. } => Some((Kind::Memory, memory_index)),
            DataKind::Passive => None,
        });
        tables.chain(memories).collect()
    }
}
