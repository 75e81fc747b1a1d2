//! A file of native code, as Wasmtime writes it for every system: ELF, its header, the
//! sections one after the other, each where its alignment allows, then their table.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use wasmtime_environ::object::read::elf::{FileHeader, SectionHeader};
use wasmtime_environ::object::{Endianness, elf, pod};
use wasmtime_environ::{CompiledFunctionsTable, CompiledModuleInfo, Tunables};

pub(crate) const TEXT: &str = ".text";
pub(crate) const WASM_DATA: &str = ".rodata.wasm";
pub(crate) const INFO: &str = ".wasmtime.info";
const ENGINE: &str = ".wasmtime.engine";

type Header = elf::FileHeader64<Endianness>;
type Entry = elf::SectionHeader64<Endianness>;

/// One section.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) align: u64,
    pub(crate) data: &'a [u8],
}

/// A file of native code.
pub(crate) struct Artifact<'a> {
    header: &'a Header,
    endian: Endianness,
    entries: &'a [Entry],
    /// Parallel to `entries`.
    parts: Vec<Part<'a>>,
}

/// What Wasmtime writes behind its version into the engine section.
#[derive(Deserialize)]
pub(crate) struct EngineSection {
    _target: String,
    _shared_flags: Vec<(String, Flag)>,
    _isa_flags: Vec<(String, Flag)>,
    pub(crate) tunables: Tunables,
    pub(crate) features: u64,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "read to get at what follows it")]
enum Flag {
    Enum(String),
    Num(u8),
    Bool(bool),
}

impl<'a> Artifact<'a> {
    /// # Errors
    /// What is no ELF file of 64 bits, or none that Wasmtime writes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header = Header::parse(bytes)?;
        let endian = header.endian()?;
        let table = header.sections(endian, bytes)?;
        let mut parts = Vec::new();
        for entry in table.iter() {
            let name = table.section_name(endian, entry)?;
            ensure!(entry.sh_type(endian) != elf::SHT_NOBITS, "an empty section");
            parts.push(Part {
                name: std::str::from_utf8(name)?,
                align: entry.sh_addralign(endian),
                data: entry.data(endian, bytes)?,
            });
        }
        let entries = header.section_headers(endian, bytes)?;
        ensure!(parts.len() == entries.len(), "no section names");
        Ok(Self {
            header,
            endian,
            entries,
            parts,
        })
    }

    /// The processor it is for, as ELF numbers them.
    pub(crate) fn machine(&self) -> u16 {
        self.header.e_machine(self.endian)
    }

    pub(crate) fn is_little_endian(&self) -> bool {
        self.endian == Endianness::Little
    }

    /// What the sections have to be aligned to in memory.
    pub(crate) fn alignment(&self) -> u64 {
        self.parts.iter().map(|part| part.align).max().unwrap_or(1)
    }

    pub(crate) fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    pub(crate) fn part(&self, name: &str) -> Result<&Part<'a>> {
        let part = self.parts.iter().find(|part| part.name == name);
        part.with_context(|| format!("no section {name}"))
    }

    pub(crate) fn section(&self, name: &str) -> Result<&'a [u8]> {
        Ok(self.part(name)?.data)
    }

    /// The engine section: a format version, the length of Wasmtime's version, that
    /// version, and the settings.
    fn engine_parts(&self) -> Result<(&'a str, &'a [u8])> {
        let section = self.section(ENGINE)?;
        let length = usize::from(*section.get(1).context("the engine section")?);
        let version = section.get(2..2 + length).context("the engine section")?;
        Ok((std::str::from_utf8(version)?, &section[2 + length..]))
    }

    /// The version of the Wasmtime that wrote it.
    pub(crate) fn wasmtime_version(&self) -> Result<&'a str> {
        Ok(self.engine_parts()?.0)
    }

    /// The settings it was compiled with.
    pub(crate) fn engine(&self) -> Result<EngineSection> {
        postcard::from_bytes(self.engine_parts()?.1).context("the engine section")
    }

    /// The function table of an artifact that holds one core module.
    pub(crate) fn module_table(&self) -> Result<CompiledFunctionsTable> {
        let info = self.section(INFO)?;
        let (_, rest) = postcard::take_from_bytes::<CompiledModuleInfo>(info)?;
        Ok(postcard::take_from_bytes(rest)?.0)
    }

    /// The file with other contents in some sections.
    pub(crate) fn with(&self, new: &[(&str, &[u8])]) -> Result<Vec<u8>> {
        let lengths = self.parts.iter().map(|part| part.data.len());
        let added = new.iter().map(|(_, data)| data.len());
        let size = lengths.sum::<usize>() + added.sum::<usize>();
        let mut out = Vec::with_capacity(size + (64 << 10));
        out.resize(size_of::<Header>(), 0);
        let mut entries = self.entries.to_vec();
        for (entry, part) in entries.iter_mut().zip(&self.parts).skip(1) {
            let replaced = new.iter().find(|(name, _)| *name == part.name);
            let data = replaced.map_or(part.data, |(_, data)| data);
            pad(&mut out, part.align);
            entry.sh_offset.set(self.endian, out.len() as u64);
            entry.sh_size.set(self.endian, data.len() as u64);
            out.extend_from_slice(data);
        }
        pad(&mut out, 8);
        let mut header = *self.header;
        header.e_shoff.set(self.endian, out.len() as u64);
        out.extend_from_slice(pod::bytes_of_slice(&entries));
        out[..size_of::<Header>()].copy_from_slice(pod::bytes_of(&header));
        Ok(out)
    }
}

fn pad(out: &mut Vec<u8>, align: u64) {
    let align = (align as usize).max(1);
    out.resize(out.len().next_multiple_of(align), 0);
}
