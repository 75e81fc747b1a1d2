//! Native extension modules: what a shared library is, what it is called, and
//! what it asks of the others.
//!
//! CPython finds an extension module as a file on `sys.path` and hands its path to
//! `dlopen`, which compares it, byte for byte, with the names given to the linker.
//! So a library is linked as `/site-packages/pkg/_core.cpython-314-wasm32-wasi.so`,
//! and an empty file of that name lies in the mounted folder.
//!
//! Format: <https://github.com/WebAssembly/tool-conventions/blob/main/DynamicLinking.md>.

use crate::python::{INIT, PYTHON, SUFFIX};
use crate::wasm::sections::{self, Encoding, Section, id, module_id};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use wasmparser::{
    BinaryReader, CustomSectionReader, Dylink0Subsection, ExportSectionReader, ExternalKind,
    FuncType, FunctionSectionReader, ImportSectionReader, KnownCustom, MemInfo, MemoryType, Parser,
    Payload, SymbolFlags, TypeRef, TypeSectionReader, ValType, Validator, WasmFeatures,
};

/// What the linker itself provides.
const LINKER_FUNCTIONS: [&str; 4] = ["dlopen", "dlsym", "dlclose", "dlerror"];
const LINKER_ADDRESSES: [&str; 4] = ["__heap_base", "__heap_end", "__stack_high", "__stack_low"];

/// The module that an extension of this file name is, without its package.
///
/// # Errors
/// Which Python or platform the name is for, if not this one.
pub(crate) fn module_name(file_name: &str) -> Result<&str, String> {
    let Some(stem) = file_name.strip_suffix(".so") else {
        return Err(match file_name.rsplit('.').next() {
            Some("pyd" | "dll") => "is an extension for Windows".to_owned(),
            Some("dylib") => "is a library for macOS".to_owned(),
            _ => "is no extension module: the name does not end in `.so`".to_owned(),
        });
    };
    let (module, tag) = stem.split_once('.').unwrap_or((stem, ""));
    match tag {
        "" | "abi3" | "cpython-314-wasm32-wasi" => Ok(module),
        _ => Err(match foreign_tag(tag) {
            Some(what) => format!("is {what}, as its name says"),
            None => format!(
                "has the tag `{tag}` in its name, which CPython for WASI does not look for; it \
                 looks for `{module}{SUFFIX}`, `{module}.abi3.so` and `{module}.so`"
            ),
        }),
    }
}

/// What `cpython-313-x86_64-linux-gnu` means, for a report.
fn foreign_tag(tag: &str) -> Option<String> {
    let (python, platform) = match tag.strip_prefix("cpython-") {
        Some(rest) => {
            let (version, platform) = rest.split_once('-').unwrap_or((rest, ""));
            let digits = version.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let minor = digits.strip_prefix('3')?;
            if minor.is_empty() || !minor.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let free_threaded = version.ends_with('t');
            let build = if free_threaded { ", free-threaded" } else { "" };
            (format!("CPython 3.{minor}{build}"), platform)
        }
        None if tag.starts_with("pypy") => ("PyPy".to_owned(), ""),
        None if tag.starts_with("graalpy") => ("GraalPy".to_owned(), ""),
        None => return None,
    };
    let on = match platform {
        "" => String::new(),
        platform => format!(" on {platform}"),
    };
    Some(format!(
        "for {python}{on}; this is CPython {}.{} on wasm32-wasi",
        PYTHON.0, PYTHON.1
    ))
}

/// What `bytes` are, if they are not a WebAssembly module.
pub(crate) fn foreign_format(bytes: &[u8]) -> Option<String> {
    let word = |at: usize| match bytes.get(at..at + 2) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    };
    let what = match bytes {
        [0x7f, b'E', b'L', b'F', ..] => {
            let machine = match word(18) {
                3 => "x86",
                40 => "ARM",
                62 => "x86-64",
                183 => "AArch64",
                243 => "RISC-V",
                _ => "another processor",
            };
            format!("an ELF library for {machine}, as Linux uses them")
        }
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            "a Mach-O library, as macOS uses them".to_owned()
        }
        [b'M', b'Z', ..] => "a Windows library".to_owned(),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "a static library".to_owned(),
        b"" => "empty".to_owned(),
        [0, b'a', b's', b'm', ..] => return None,
        _ => "not WebAssembly".to_owned(),
    };
    Some(what)
}

/// A function type, for comparing and for reports.
type Signature = String;

/// Where a symbol is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Symbol<'a> {
    /// To call it.
    Function(&'a str, Signature),
    /// Its place in the table.
    FunctionAddress(&'a str),
    /// Its place in memory.
    DataAddress(&'a str),
}

impl<'a> Symbol<'a> {
    fn name(&self) -> &'a str {
        match self {
            Self::Function(name, _) | Self::FunctionAddress(name) | Self::DataAddress(name) => name,
        }
    }

    /// Whether the linker provides it.
    fn is_of_linker(&self) -> bool {
        match self {
            Self::Function(name, _) | Self::FunctionAddress(name) => {
                LINKER_FUNCTIONS.contains(name)
            }
            Self::DataAddress(name) => LINKER_ADDRESSES.contains(name),
        }
    }
}

/// What linking has to know of a shared library.
#[derive(Debug, Default)]
pub(crate) struct SharedLibrary<'a> {
    /// Sonames of the libraries it wants loaded.
    pub(crate) needed: Vec<&'a str>,
    /// The modules it can make: what follows `PyInit_`.
    pub(crate) modules: Vec<&'a str>,
    imports: Vec<(Symbol<'a>, SymbolFlags)>,
    functions: HashMap<&'a str, Signature>,
    data: HashSet<&'a str>,
    /// What its variables take, and the functions whose addresses it takes.
    memory_bytes: u32,
    table_elements: u32,
}

/// What all libraries together may have: more is damage, and the linker counts with 32
/// bits.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
const TABLE_ELEMENTS_MAX: u64 = 1 << 20;

/// Alignments are powers of two: no compiler asks for more than a page of 64 KiB.
const ALIGNMENT_MAX: u32 = 16;

impl<'a> SharedLibrary<'a> {
    /// Reads a library made for WASI.
    ///
    /// # Errors
    /// What it is instead.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        if let Some(what) = foreign_format(bytes) {
            return Err(format!("is {what}"));
        }
        let (encoding, sections) =
            sections::parse(bytes).map_err(|e| format!("is damaged WebAssembly: {e:#}"))?;
        if encoding == Encoding::Component {
            return Err("is a WebAssembly component; expected a shared library".to_owned());
        }
        let names: Vec<&str> = sections.iter().filter_map(Section::custom_name).collect();
        if !names.contains(&"dylink.0") {
            return Err(if names.contains(&"dylink") {
                "is a shared library in the format before `dylink.0`: build it with a current \
                 compiler"
                    .to_owned()
            } else {
                "is a WebAssembly module, but no shared library (it has no `dylink.0` section): \
                 compile with `-fPIC` and link with `-shared`"
                    .to_owned()
            });
        }
        let library =
            Self::read(&sections).map_err(|e| format!("is damaged WebAssembly: {e:#}"))?;
        if library.is_for_emscripten() {
            return Err(
                "is a library for Emscripten (as Pyodide uses them), not for WASI".to_owned(),
            );
        }
        check_module(bytes)?;
        Ok(library)
    }

    fn is_for_emscripten(&self) -> bool {
        let prefixes = ["emscripten_", "_emscripten_", "invoke_"];
        let mut names = self.imports.iter().map(|(symbol, _)| symbol.name());
        names.any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// Takes the sizes that the `dylink.0` section states.
    fn set_sizes(&mut self, info: MemInfo) -> Result<()> {
        ensure!(
            info.memory_alignment <= ALIGNMENT_MAX && info.table_alignment <= ALIGNMENT_MAX,
            "it asks to be aligned to 2^{} bytes and 2^{} table elements; at most 2^{ALIGNMENT_MAX} \
             make sense",
            info.memory_alignment,
            info.table_alignment
        );
        ensure!(
            u64::from(info.memory_size) <= MEMORY_BYTES_MAX
                && u64::from(info.table_size) <= TABLE_ELEMENTS_MAX,
            "it states {} bytes of variables and {} table elements; at most {MEMORY_BYTES_MAX} and \
             {TABLE_ELEMENTS_MAX} make sense",
            info.memory_size,
            info.table_size
        );
        self.memory_bytes = info.memory_size;
        self.table_elements = info.table_size;
        Ok(())
    }

    fn calls(&self, name: &str) -> bool {
        self.imports
            .iter()
            .any(|(symbol, _)| matches!(symbol, Symbol::Function(called, _) if *called == name))
    }

    /// How many bytes its variables take.
    pub(crate) fn memory_bytes(&self) -> u32 {
        self.memory_bytes
    }

    /// Any library, without a look at what it is for.
    pub(crate) fn read_base(bytes: &'a [u8]) -> Result<Self> {
        Self::read(&sections::parse(bytes)?.1)
    }

    fn read(sections: &[Section<'a>]) -> Result<Self> {
        let mut reading = Reading::default();
        for section in sections {
            let reader = BinaryReader::new(section.data, 0);
            match section.id {
                id::CUSTOM => reading.custom(reader)?,
                module_id::TYPE => reading.types(reader)?,
                module_id::IMPORT => reading.imports(reader)?,
                module_id::FUNCTION => reading.functions(reader)?,
                module_id::EXPORT => reading.exports(reader)?,
                _ => {}
            }
        }
        Ok(reading.library)
    }
}

/// A library, and what its earlier sections tell the later ones.
#[derive(Default)]
struct Reading<'a> {
    library: SharedLibrary<'a>,
    types: Vec<FuncType>,
    /// Type of each function, imported ones first.
    functions: Vec<u32>,
    flags: HashMap<(&'a str, &'a str), SymbolFlags>,
}

impl<'a> Reading<'a> {
    fn custom(&mut self, reader: BinaryReader<'a>) -> Result<()> {
        let KnownCustom::Dylink0(subsections) = CustomSectionReader::new(reader)?.as_known() else {
            return Ok(());
        };
        for subsection in subsections {
            match subsection.context("in the `dylink.0` section")? {
                Dylink0Subsection::MemInfo(info) => self.library.set_sizes(info)?,
                Dylink0Subsection::Needed(needed) => self.library.needed.extend(needed),
                Dylink0Subsection::ImportInfo(infos) => {
                    let flags = infos.iter().map(|i| ((i.module, i.field), i.flags));
                    self.flags.extend(flags);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn types(&mut self, reader: BinaryReader<'a>) -> Result<()> {
        let types = TypeSectionReader::new(reader)?.into_iter_err_on_gc_types();
        self.types = types.collect::<Result<_, _>>()?;
        Ok(())
    }

    fn imports(&mut self, reader: BinaryReader<'a>) -> Result<()> {
        for import in ImportSectionReader::new(reader)?.into_imports() {
            let import = import?;
            let symbol = match (import.module, import.ty) {
                (module, TypeRef::Func(ty)) => {
                    self.functions.push(ty);
                    if module != "env" {
                        continue;
                    }
                    Symbol::Function(import.name, self.signature(ty))
                }
                ("GOT.func", _) => Symbol::FunctionAddress(import.name),
                ("GOT.mem", _) => Symbol::DataAddress(import.name),
                _ => continue,
            };
            let flags = self.flags.get(&(import.module, import.name));
            let flags = flags.copied().unwrap_or(SymbolFlags::empty());
            self.library.imports.push((symbol, flags));
        }
        Ok(())
    }

    fn functions(&mut self, reader: BinaryReader<'a>) -> Result<()> {
        for ty in FunctionSectionReader::new(reader)? {
            self.functions.push(ty?);
        }
        Ok(())
    }

    fn exports(&mut self, reader: BinaryReader<'a>) -> Result<()> {
        for export in ExportSectionReader::new(reader)? {
            let export = export?;
            match export.kind {
                ExternalKind::Func => {
                    if let Some(module) = export.name.strip_prefix(INIT) {
                        self.library.modules.push(module);
                    }
                    let ty = self.functions.get(export.index as usize).copied();
                    let signature = self.signature(ty.unwrap_or(u32::MAX));
                    self.library.functions.insert(export.name, signature);
                }
                ExternalKind::Global => {
                    self.library.data.insert(export.name);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn signature(&self, index: u32) -> Signature {
        let ty = self.types.get(index as usize);
        ty.map(signature).unwrap_or_default()
    }
}

/// Checks what the linker and wizer take for granted: that indices are in range, and
/// that nothing is used that no snapshot keeps. Bodies are validated when all is linked.
fn check_module(bytes: &[u8]) -> Result<(), String> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|e| format!("is damaged WebAssembly: {e:#}"))?;
        let valid = validator.payload(&payload);
        valid.map_err(|e| format!("is damaged WebAssembly: {e:#}"))?;
        let refused = refused(&payload).map_err(|e| format!("is damaged WebAssembly: {e:#}"))?;
        if let Some(what) = refused {
            return Err(what.to_owned());
        }
    }
    Ok(())
}

/// What of a library's section is refused.
fn refused(payload: &Payload<'_>) -> Result<Option<&'static str>> {
    const TAGS: &str = "throws C++ exceptions, or uses `setjmp`, which the Wasmtime of this crate \
                        does not run: build it with `-fno-exceptions` and without `setjmp`";
    const MEMORIES: &str = "has a memory of 64 bits, a shared one, or one with pages of its own: \
                            build it for wasm32-wasi, without threads";
    const PROGRAM: &str = "is a program (it exports `_start`): link it with `-shared`";
    let odd = |memory: MemoryType| {
        memory.memory64 || memory.shared || memory.page_size_log2.is_some_and(|log2| log2 != 16)
    };
    match payload {
        Payload::TagSection(_) => return Ok(Some(TAGS)),
        Payload::ImportSection(imports) => {
            for import in imports.clone().into_imports() {
                match import?.ty {
                    TypeRef::Tag(_) => return Ok(Some(TAGS)),
                    TypeRef::Memory(memory) if odd(memory) => return Ok(Some(MEMORIES)),
                    _ => {}
                }
            }
        }
        Payload::MemorySection(memories) => {
            for memory in memories.clone() {
                if odd(memory?) {
                    return Ok(Some(MEMORIES));
                }
            }
        }
        Payload::ExportSection(exports) => {
            for export in exports.clone() {
                if export?.name == "_start" {
                    return Ok(Some(PROGRAM));
                }
            }
        }
        _ => {}
    }
    Ok(None)
}

fn signature(ty: &FuncType) -> Signature {
    let list = |types: &[ValType]| {
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        types.join(", ")
    };
    let mut text = format!("({})", list(ty.params()));
    if !ty.results().is_empty() {
        let _ = write!(text, " -> {}", list(ty.results()));
    }
    text
}

/// What linking `set` behind `base` would fail on, or do silently.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// One for each symbol and library.
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// Looks for every symbol that a library of `set` imports. Libraries are named in
/// reports by the text beside them; `base` comes first in link order.
pub(crate) fn check_symbols<'a>(base: &'a [Named<'a>], set: &'a [Named<'a>]) -> Findings {
    let exports = Exports::of(base.iter().chain(set));
    let mut errors = Vec::new();
    let mut repeated = Repeated::new(base.iter().map(|(name, _)| *name));
    for importer in set {
        for (symbol, flags) in &importer.1.imports {
            match exports.find(importer, symbol) {
                Found::By(exporters) => repeated.add(symbol.name(), &exporters),
                Found::Otherwise(error) => errors.push(error),
                Found::Nowhere(error) => {
                    if !flags.contains(SymbolFlags::BINDING_WEAK) && !symbol.is_of_linker() {
                        errors.extend(error);
                    }
                }
            }
        }
    }
    errors.extend(too_large(base.iter().chain(set)));
    Findings {
        errors,
        warnings: repeated.warnings(),
    }
}

/// A library, and what it is called in reports.
pub(crate) type Named<'a> = (&'a str, SharedLibrary<'a>);

/// What the libraries define.
struct Exports<'a> {
    functions: HashMap<&'a str, Vec<(&'a str, &'a Signature)>>,
    data: HashMap<&'a str, Vec<&'a str>>,
}

/// Where a symbol is.
enum Found<'a> {
    /// In these libraries.
    By(Vec<&'a str>),
    /// In some, of another type.
    Otherwise(String),
    /// In none; what to say of that, if another finding does not say it.
    Nowhere(Option<String>),
}

impl<'a> Exports<'a> {
    fn of(libraries: impl Iterator<Item = &'a Named<'a>>) -> Self {
        let mut exports = Self {
            functions: HashMap::new(),
            data: HashMap::new(),
        };
        for (name, library) in libraries {
            for (symbol, signature) in &library.functions {
                let functions = exports.functions.entry(symbol).or_default();
                functions.push((name, signature));
            }
            for symbol in &library.data {
                exports.data.entry(symbol).or_default().push(name);
            }
        }
        exports
    }

    fn find(&self, importer: &Named<'a>, symbol: &Symbol<'a>) -> Found<'a> {
        let (importer, library) = importer;
        match symbol {
            Symbol::Function(symbol, wanted) => match self.functions.get(symbol) {
                Some(found) => self.of_type(importer, symbol, wanted, found),
                None => Found::Nowhere(Some(format!(
                    "{importer} needs the function `{symbol}` {wanted}"
                ))),
            },
            Symbol::FunctionAddress(symbol) => match self.functions.get(symbol) {
                Some(found) => Found::By(found.iter().map(|(name, _)| *name).collect()),
                // Called as well: that says more.
                None if library.calls(symbol) => Found::Nowhere(None),
                None => Found::Nowhere(Some(format!("{importer} needs the function `{symbol}`"))),
            },
            Symbol::DataAddress(symbol) => match self.data.get(symbol) {
                Some(found) => Found::By(found.clone()),
                None => Found::Nowhere(Some(format!("{importer} needs the variable `{symbol}`"))),
            },
        }
    }

    fn of_type(
        &self,
        importer: &str,
        symbol: &str,
        wanted: &Signature,
        found: &[(&'a str, &'a Signature)],
    ) -> Found<'a> {
        let same = found.iter().filter(|(_, signature)| *signature == wanted);
        let same: Vec<&str> = same.map(|(name, _)| *name).collect();
        match (&same[..], found) {
            ([], [(exporter, signature), ..]) => Found::Otherwise(format!(
                "{importer} calls `{symbol}` as {wanted}, but {exporter} has it as {signature}: it \
                 was built for another version"
            )),
            _ => Found::By(same),
        }
    }
}

/// What is wrong with the sizes of all libraries together.
fn too_large<'a>(libraries: impl Iterator<Item = &'a Named<'a>>) -> Option<String> {
    let (mut bytes, mut elements) = (0, 0);
    for (_, library) in libraries {
        bytes += u64::from(library.memory_bytes);
        elements += u64::from(library.table_elements);
    }
    (bytes > MEMORY_BYTES_MAX || elements > TABLE_ELEMENTS_MAX).then(|| {
        format!(
            "the libraries together state {bytes} bytes of variables and {elements} table \
             elements; at most {MEMORY_BYTES_MAX} and {TABLE_ELEMENTS_MAX} can be linked"
        )
    })
}

/// Symbols that more than one library defines and another library uses.
struct Repeated<'a> {
    base: HashSet<&'a str>,
    /// By the first library that has them and the last.
    symbols: BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>,
}

impl<'a> Repeated<'a> {
    /// How many symbols a warning lists.
    const SHOWN: usize = 5;

    fn new(base: impl Iterator<Item = &'a str>) -> Self {
        Self {
            base: base.collect(),
            symbols: BTreeMap::new(),
        }
    }

    fn add(&mut self, symbol: &'a str, exporters: &[&'a str]) {
        let [first, .., last] = exporters else {
            return;
        };
        // C++ defines its inline functions in every library that uses them.
        if !self.base.contains(last) && !symbol.starts_with("_Z") {
            self.symbols
                .entry((first, last))
                .or_default()
                .insert(symbol);
        }
    }

    fn warnings(self) -> Vec<String> {
        let warning = |((first, last), symbols): ((&str, &str), BTreeSet<&str>)| {
            let shown: Vec<&str> = symbols.iter().copied().take(Self::SHOWN).collect();
            let more = match symbols.len() - shown.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "{first} and {last} both define `{}`{more}; every library gets the first",
                shown.join("`, `")
            )
        };
        self.symbols.into_iter().map(warning).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(wat: &str) -> Vec<u8> {
        wat::parse_str(wat).unwrap()
    }

    fn what(wat: &str) -> String {
        SharedLibrary::parse(&library(wat)).unwrap_err()
    }

    #[test]
    fn names_say_the_module_and_what_they_are_for() {
        for (file, module) in [
            ("fast.cpython-314-wasm32-wasi.so", "fast"),
            ("_core.abi3.so", "_core"),
            ("_core.so", "_core"),
        ] {
            assert_eq!(module_name(file), Ok(module));
        }
        for (file, said) in [
            (
                "x.cpython-313-wasm32-wasi.so",
                "for CPython 3.13 on wasm32-wasi; this is CPython 3.14",
            ),
            (
                "x.cpython-314-x86_64-linux-gnu.so",
                "for CPython 3.14 on x86_64-linux-gnu",
            ),
            ("x.cpython-314-wasm32-emscripten.so", "on wasm32-emscripten"),
            ("x.cpython-314t-wasm32-wasi.so", "3.14, free-threaded"),
            ("x.pypy311-pp73-x86_64-linux-gnu.so", "for PyPy"),
            ("x.odd.so", "has the tag `odd`"),
            ("x.pyd", "for Windows"),
            ("x.dylib", "for macOS"),
            ("x.txt", "does not end in `.so`"),
        ] {
            let problem = module_name(file).unwrap_err();
            assert!(problem.contains(said), "{file}: {problem}");
        }
    }

    #[test]
    fn contents_say_what_they_are() {
        let mut elf = b"\x7fELF\x02\x01\x01\0".to_vec();
        elf.resize(18, 0);
        elf.extend([62, 0]);
        for (bytes, said) in [
            (&elf[..], "ELF library for x86-64"),
            (b"\x7fELF", "ELF library"),
            (b"\xcf\xfa\xed\xfe", "Mach-O"),
            (b"MZ\x90", "Windows"),
            (b"", "is empty"),
            (b"hello", "not WebAssembly"),
            (b"\0asm\x01\0\0\0\x01\x7f", "damaged"),
            (b"\0asm\x0d\0\x01\0", "component"),
        ] {
            let problem = SharedLibrary::parse(bytes).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
        assert!(what("(module)").contains("no `dylink.0` section"));
        assert!(what(r#"(module (@custom "dylink" "x"))"#).contains("before `dylink.0`"));
        assert!(what(r#"(module (@custom "dylink.0" "\02\7f"))"#).contains("damaged"));
        let emscripten = r#"(module (@dylink.0 (mem-info))
            (import "env" "emscripten_get_now" (func (result f64))))"#;
        assert!(what(emscripten).contains("Emscripten"));
    }

    #[test]
    fn what_would_make_the_linker_panic_is_an_error() {
        for (wat, said) in [
            (
                r#"(module (@dylink.0 (mem-info (memory 16 40))))"#,
                "aligned to 2^40",
            ),
            (
                r#"(module (@dylink.0 (mem-info (table 1 33))))"#,
                "2^33 table",
            ),
            (
                r#"(module (@dylink.0 (mem-info (memory 0xffffffff 0))))"#,
                "4294967295 bytes",
            ),
            (
                r#"(module (@dylink.0 (mem-info (table 0xffffffff 0))))"#,
                "4294967295 table",
            ),
            (
                r#"(module (@dylink.0 (mem-info)) (tag (export "boom") (param i32)))"#,
                "-fno-exceptions",
            ),
            (
                r#"(module (@dylink.0 (mem-info))
                    (import "env" "__cpp_exception" (tag (param i32))))"#,
                "-fno-exceptions",
            ),
            (
                r#"(module (@dylink.0 (mem-info)) (memory i64 1))"#,
                "64 bits",
            ),
            (
                r#"(module (@dylink.0 (mem-info)) (memory 1 1 shared))"#,
                "shared",
            ),
            (
                r#"(module (@dylink.0 (mem-info)) (import "env" "memory" (memory i64 1)))"#,
                "64 bits",
            ),
            (
                r#"(module (@dylink.0 (mem-info)) (func (export "_start")))"#,
                "is a program",
            ),
        ] {
            let said_of_it = what(wat);
            assert!(said_of_it.contains(said), "{wat}: {said_of_it}");
        }
        // Text cannot say these: an export, an import and a function of what is not there.
        let module = |section: &[u8]| {
            let mut bytes = library("(module (@dylink.0 (mem-info)))");
            bytes.extend(section);
            SharedLibrary::parse(&bytes).unwrap_err()
        };
        for section in [
            &[7, 5, 1, 1, b'f', 0, 9][..],
            &[7, 5, 1, 1, b'g', 3, 9],
            &[2, 9, 1, 3, b'e', b'n', b'v', 1, b'f', 0, 9],
            &[3, 2, 1, 9],
        ] {
            let said = module(section);
            assert!(
                said.starts_with("is damaged WebAssembly"),
                "{section:?}: {said}"
            );
        }
    }

    #[test]
    fn libraries_that_are_too_large_together_are_an_error() {
        let large = "(module (@dylink.0 (mem-info (memory 0x30000000 4))))";
        assert_eq!(findings(large, &[]).errors, [""; 0]);
        let errors = findings(large, &[large]).errors;
        assert!(
            errors[0].contains("1610612736 bytes of variables"),
            "{errors:?}"
        );
    }

    /// Reads `base` and `set` and lists what is found.
    fn findings(base: &str, set: &[&str]) -> Findings {
        let base = library(base);
        let set: Vec<Vec<u8>> = set.iter().map(|wat| library(wat)).collect();
        let base = [("base.so", SharedLibrary::read_base(&base).unwrap())];
        let names = ["a.so", "b.so", "c.so"];
        let set: Vec<_> = names
            .into_iter()
            .zip(&set)
            .map(|(name, bytes)| (name, SharedLibrary::parse(bytes).unwrap()))
            .collect();
        check_symbols(&base, &set)
    }

    const BASE: &str = r#"(module (@dylink.0 (mem-info))
        (func (export "f") (param i32))
        (global (export "v") i32 (i32.const 0)))"#;

    #[test]
    fn symbols_that_are_there_are_no_finding() {
        let fine = r#"(module (@dylink.0 (mem-info) (needed "libpython3.14.so")
                (import-info "env" "maybe" binding-weak))
            (import "env" "memory" (memory 1))
            (import "env" "f" (func (param i32)))
            (import "env" "dlopen" (func (param i32 i32) (result i32)))
            (import "env" "maybe" (func))
            (import "GOT.func" "f" (global (mut i32)))
            (import "GOT.mem" "v" (global (mut i32)))
            (import "GOT.mem" "__heap_base" (global (mut i32)))
            (func (export "PyInit_fine") (result i32) i32.const 0))"#;
        let bytes = library(fine);
        let library = SharedLibrary::parse(&bytes).unwrap();
        assert_eq!(library.modules, ["fine"]);
        assert_eq!(library.needed, ["libpython3.14.so"]);
        let findings = findings(BASE, &[fine]);
        assert_eq!(findings.errors, [""; 0]);
        assert_eq!(findings.warnings, [""; 0]);
    }

    #[test]
    fn missing_symbols_are_named_with_their_library() {
        let broken = r#"(module (@dylink.0 (mem-info))
            (import "env" "nope" (func (param i32) (result i64)))
            (import "env" "f" (func (param i64)))
            (import "GOT.func" "nope" (global (mut i32)))
            (import "GOT.func" "none" (global (mut i32)))
            (import "GOT.mem" "nil" (global (mut i32))))"#;
        assert_eq!(
            findings(BASE, &[broken]).errors,
            [
                "a.so needs the function `nope` (i32) -> i64",
                "a.so calls `f` as (i64), but base.so has it as (i32): it was built for another \
                 version",
                "a.so needs the function `none`",
                "a.so needs the variable `nil`",
            ]
        );
    }

    #[test]
    fn repeated_symbols_are_named_with_both_libraries() {
        let twice = r#"(module (@dylink.0 (mem-info))
            (import "env" "g" (func $g))
            (func (export "g"))
            (func (export "_Zinline"))
            (func (export "PyInit_x") (result i32) i32.const 0))"#;
        let findings = findings(BASE, &[twice, twice]);
        assert_eq!(findings.errors, [""; 0]);
        assert_eq!(
            findings.warnings,
            ["a.so and b.so both define `g`; every library gets the first"]
        );
    }
}
