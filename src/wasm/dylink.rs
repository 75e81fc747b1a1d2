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
use crate::wasm::sections::{self, Kind, Section, id, module_id};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use wasmparser::{
    BinaryReader, CustomSectionReader, Dylink0Subsection, ExportSectionReader, ExternalKind,
    FuncType, FunctionSectionReader, ImportSectionReader, KnownCustom, SymbolFlags, TypeRef,
    TypeSectionReader, ValType,
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
}

impl<'a> SharedLibrary<'a> {
    /// Reads a library made for WASI.
    ///
    /// # Errors
    /// What it is instead.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        if let Some(what) = foreign_format(bytes) {
            return Err(format!("is {what}"));
        }
        let (kind, sections) =
            sections::parse(bytes).map_err(|e| format!("is damaged WebAssembly: {e:#}"))?;
        if kind == Kind::Component {
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
        let emscripten = library.imports.iter().any(|(symbol, _)| {
            let name = symbol.name();
            name.starts_with("emscripten_")
                || name.starts_with("_emscripten_")
                || name.starts_with("invoke_")
        });
        if emscripten {
            return Err(
                "is a library for Emscripten (as Pyodide uses them), not for WASI".to_owned(),
            );
        }
        Ok(library)
    }

    fn calls(&self, name: &str) -> bool {
        self.imports
            .iter()
            .any(|(symbol, _)| matches!(symbol, Symbol::Function(called, _) if *called == name))
    }

    /// Any library, without a look at what it is for.
    pub(crate) fn read_base(bytes: &'a [u8]) -> Result<Self> {
        Self::read(&sections::parse(bytes)?.1)
    }

    fn read(sections: &[Section<'a>]) -> Result<Self> {
        let mut library = Self::default();
        let mut types: Vec<FuncType> = Vec::new();
        // Type of each function, imported ones first.
        let mut functions: Vec<u32> = Vec::new();
        let mut flags: HashMap<(&str, &str), SymbolFlags> = HashMap::new();
        let signature = |types: &[FuncType], index: u32| {
            types.get(index as usize).map(signature).unwrap_or_default()
        };
        for section in sections {
            let reader = BinaryReader::new(section.data, 0);
            match section.id {
                id::CUSTOM => {
                    let KnownCustom::Dylink0(subsections) =
                        CustomSectionReader::new(reader)?.as_known()
                    else {
                        continue;
                    };
                    for subsection in subsections {
                        match subsection.context("in the `dylink.0` section")? {
                            Dylink0Subsection::Needed(needed) => library.needed.extend(needed),
                            Dylink0Subsection::ImportInfo(infos) => {
                                flags.extend(infos.iter().map(|i| ((i.module, i.field), i.flags)));
                            }
                            _ => {}
                        }
                    }
                }
                module_id::TYPE => {
                    types = TypeSectionReader::new(reader)?
                        .into_iter_err_on_gc_types()
                        .collect::<Result<_, _>>()?;
                }
                module_id::IMPORT => {
                    for import in ImportSectionReader::new(reader)?.into_imports() {
                        let import = import?;
                        let symbol = match (import.module, import.ty) {
                            (module, TypeRef::Func(ty)) => {
                                functions.push(ty);
                                if module != "env" {
                                    continue;
                                }
                                Symbol::Function(import.name, signature(&types, ty))
                            }
                            ("GOT.func", _) => Symbol::FunctionAddress(import.name),
                            ("GOT.mem", _) => Symbol::DataAddress(import.name),
                            _ => continue,
                        };
                        let flags = flags.get(&(import.module, import.name));
                        let flags = flags.copied().unwrap_or(SymbolFlags::empty());
                        library.imports.push((symbol, flags));
                    }
                }
                module_id::FUNCTION => {
                    for ty in FunctionSectionReader::new(reader)? {
                        functions.push(ty?);
                    }
                }
                module_id::EXPORT => {
                    for export in ExportSectionReader::new(reader)? {
                        let export = export?;
                        match export.kind {
                            ExternalKind::Func => {
                                if let Some(module) = export.name.strip_prefix(INIT) {
                                    library.modules.push(module);
                                }
                                let ty = functions.get(export.index as usize).copied();
                                library
                                    .functions
                                    .insert(export.name, signature(&types, ty.unwrap_or(u32::MAX)));
                            }
                            ExternalKind::Global => {
                                library.data.insert(export.name);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(library)
    }
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
pub(crate) fn check_symbols<'a>(
    base: &'a [(&'a str, SharedLibrary<'a>)],
    set: &'a [(&'a str, SharedLibrary<'a>)],
) -> Findings {
    let mut functions: HashMap<&str, Vec<(&str, &Signature)>> = HashMap::new();
    let mut data: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, library) in base.iter().chain(set) {
        for (symbol, signature) in &library.functions {
            functions.entry(symbol).or_default().push((name, signature));
        }
        for symbol in &library.data {
            data.entry(symbol).or_default().push(name);
        }
    }
    let mut errors = Vec::new();
    let mut repeated = Repeated::new(base.iter().map(|(name, _)| *name));
    for (name, library) in set {
        for (symbol, flags) in &library.imports {
            let weak = flags.contains(SymbolFlags::BINDING_WEAK);
            match symbol {
                Symbol::Function(symbol, wanted) => match functions.get(symbol) {
                    Some(found) => {
                        let same = found.iter().filter(|(_, signature)| *signature == wanted);
                        let same: Vec<&str> = same.map(|(name, _)| *name).collect();
                        if let ([], [(exporter, signature), ..]) = (&same[..], &found[..]) {
                            errors.push(format!(
                                "{name} calls `{symbol}` as {wanted}, but {exporter} has it as \
                                 {signature}: it was built for another version"
                            ));
                        }
                        repeated.add(symbol, &same);
                    }
                    None if weak || LINKER_FUNCTIONS.contains(symbol) => {}
                    None => errors.push(format!("{name} needs the function `{symbol}` {wanted}")),
                },
                Symbol::FunctionAddress(symbol) => match functions.get(symbol) {
                    Some(found) => {
                        let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
                        repeated.add(symbol, &names);
                    }
                    None if weak || LINKER_FUNCTIONS.contains(symbol) => {}
                    // Called as well: that says more.
                    None if library.calls(symbol) => {}
                    None => errors.push(format!("{name} needs the function `{symbol}`")),
                },
                Symbol::DataAddress(symbol) => match data.get(symbol) {
                    Some(found) => repeated.add(symbol, found),
                    None if weak || LINKER_ADDRESSES.contains(symbol) => {}
                    None => errors.push(format!("{name} needs the variable `{symbol}`")),
                },
            }
        }
    }
    Findings {
        errors,
        warnings: repeated.warnings(),
    }
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
