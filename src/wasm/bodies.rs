//! Compile only the functions that run.
//!
//! CPython's start-up and a handful of imports execute a third of its
//! functions, and compiling the rest is most of what a pre-initialisation
//! costs. So the component that runs at build time has the body of every other
//! function replaced by `unreachable`, and the snapshot gets all original bodies
//! back.
//!
//! Why that is sound: a function that traps cannot return a wrong value, and
//! WebAssembly code cannot catch a trap. An execution that reaches its end
//! without a trap has therefore run only original bodies, and left exactly the
//! memory, globals and tables the full component would have left. One that does
//! trap is thrown away and run again on the full component (`snapshot.rs`).
//! Nothing the guest can observe changes: a function pointer is a position in a
//! table, and positions stay, although some hold null, which traps as well when it is
//! called (compiled C reads no table, and a test looks whether that holds); indices of
//! functions exist only in code. Which functions to keep is thus a question of speed
//! alone, and a wrong profile costs only time.
//!
//! wizer itself sees no bodies at all: it reads and writes exports and globals, and
//! would validate every body up to three times in a build script with debug assertions.

use crate::store::digest::Digest;
pub(crate) use crate::wasm::profile::Bodies;
use crate::wasm::profile::{self, Profile};
use crate::wasm::sections::{self, Section, bodies, code, function_count, id, module_id};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::collections::HashMap;
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    ElementSection, Elements, Encode, ExportSection, FunctionSection, GlobalSection, Section as _,
    StartSection,
};
use wasmparser::{
    BinaryReader, Element, ElementItems, ElementKind, ElementSectionReader, ExportSectionReader,
    FunctionBody, FunctionSectionReader, GlobalSectionReader, Operator,
};

/// No locals, `unreachable`, `end`: valid for every function type.
const TRAP_BODY: [u8; 3] = [0x00, 0x00, 0x0b];

/// How far apart two table entries may be for one element segment to span them, with
/// traps between: each segment has its own bounds check.
const MAX_GAP: usize = 4;

/// `component` with every function body replaced by a trap, and without digests of the
/// bodies, which are not part of a snapshot.
pub(crate) fn skeleton(component: &[u8]) -> Result<Vec<u8>> {
    sections::map_core_modules(component, &mut |_, module| without_bodies(module).map(Some))
}

/// As [`skeleton`], of one core module.
pub(crate) fn without_bodies(module: &[u8]) -> Result<Vec<u8>> {
    let (encoding, sections) = sections::parse(module)?;
    let mut out = Vec::with_capacity(module.len());
    out.extend_from_slice(&encoding.header());
    for section in sections {
        if section.id == id::CODE {
            sections::push(&mut out, section.id, &traps(section.data)?);
        } else if section.custom_name() != Some(profile::DIGESTS) {
            sections::push(&mut out, section.id, section.data);
        }
    }
    Ok(out)
}

/// What to compile in place of the whole component: only `bodies`, and only the table
/// entries that lead to them.
pub(crate) fn runnable(skeleton: &[u8], component: &[u8], bodies: Bodies) -> Result<Vec<u8>> {
    let profile = Profile::recorded()?;
    let modules = sections::core_modules(component)?;
    sections::map_core_modules(skeleton, &mut |position, module| {
        let Some(original) = modules.get(position) else {
            return Ok(None);
        };
        let Some(code) = code(original)? else {
            return Ok(None);
        };
        let hot = profile.hot(original, bodies)?;
        trimmed(position, module, code, hot.as_deref())
            .map(Some)
            .with_context(|| format!("in core module {position}"))
    })
}

/// One module of [`runnable`].
fn trimmed(position: usize, module: &[u8], code: &[u8], hot: Option<&[bool]>) -> Result<Vec<u8>> {
    let (encoding, sections) = sections::parse(module)?;
    let mut functions = Functions::new(&sections, hot)?;
    let mut out = Vec::with_capacity(module.len() + code.len() / 2);
    out.extend_from_slice(&encoding.header());
    for section in sections {
        let reader = BinaryReader::new(section.data, 0);
        match section.id {
            module_id::FUNCTION => {
                let mut new = FunctionSection::new();
                for &function in &functions.kept {
                    new.function(functions.types[function]);
                }
                new.append_to(&mut out);
            }
            id::CODE => {
                same_functions(position, section.data, code)?;
                sections::push(&mut out, id::CODE, &functions.code(code)?);
            }
            module_id::EXPORT => {
                let mut new = ExportSection::new();
                functions.parse_export_section(&mut new, ExportSectionReader::new(reader)?)?;
                new.append_to(&mut out);
            }
            module_id::GLOBAL => {
                let mut new = GlobalSection::new();
                functions.parse_global_section(&mut new, GlobalSectionReader::new(reader)?)?;
                new.append_to(&mut out);
            }
            module_id::START => {
                let function = functions.moved(reader.clone().read_var_u32()?);
                StartSection {
                    function_index: function,
                }
                .append_to(&mut out);
            }
            module_id::ELEMENT => {
                let mut new = ElementSection::new();
                functions.in_table = true;
                for element in ElementSectionReader::new(reader)? {
                    functions.element(&mut new, element?)?;
                }
                functions.in_table = false;
                new.append_to(&mut out);
            }
            id::CUSTOM => {}
            _ => sections::push(&mut out, section.id, section.data),
        }
    }
    Ok(out)
}

/// The functions of one module, some of them left out: not only their bodies,
/// since thousands of functions that only trap still take seconds to compile
/// without optimisation. Each left-out function is replaced by a trap of its
/// type, wherever it is named.
struct Functions<'a> {
    /// Of each defined function, whether it stays; all do when there is none.
    hot: Option<&'a [bool]>,
    imported: u32,
    /// Type index of each defined function.
    types: Vec<u32>,
    /// Defined functions that stay, in order.
    kept: Vec<usize>,
    /// Their new indices.
    moved: HashMap<usize, u32>,
    /// Of each type, a left-out function that stays, as a trap.
    traps: HashMap<u32, usize>,
    /// A trap for table entries, of whatever type: a call through the table
    /// checks the type, and traps just the same when it differs.
    any_trap: Option<usize>,
    in_table: bool,
}

impl<'a> Functions<'a> {
    fn new(sections: &[Section<'_>], hot: Option<&'a [bool]>) -> Result<Self> {
        let imported = sections::imported_functions(sections)?;
        let mut types = Vec::new();
        for section in sections {
            if section.id == module_id::FUNCTION {
                for ty in FunctionSectionReader::new(BinaryReader::new(section.data, 0))? {
                    types.push(ty?);
                }
            }
        }
        let mut functions = Self {
            hot,
            imported,
            kept: Vec::new(),
            moved: HashMap::new(),
            traps: HashMap::new(),
            any_trap: None,
            in_table: false,
            types,
        };
        for (function, &ty) in functions.types.iter().enumerate() {
            let keep = functions.is_hot(function) || {
                functions.any_trap.get_or_insert(function);
                *functions.traps.entry(ty).or_insert(function) == function
            };
            if keep {
                let index = imported + u32::try_from(functions.kept.len())?;
                functions.moved.insert(function, index);
                functions.kept.push(function);
            }
        }
        Ok(functions)
    }

    fn is_hot(&self, function: usize) -> bool {
        self.hot
            .is_none_or(|hot| hot.get(function).copied().unwrap_or(true))
    }

    /// The new index of a function, or of the trap that stands for it.
    fn moved(&self, index: u32) -> u32 {
        let Some(function) = index.checked_sub(self.imported).map(|f| f as usize) else {
            return index;
        };
        let stays = if self.is_hot(function) {
            Some(function)
        } else if self.in_table {
            self.any_trap
        } else {
            let ty = self.types.get(function);
            ty.and_then(|ty| self.traps.get(ty)).copied()
        };
        // An index out of range stays one, for validation to find.
        stays
            .and_then(|function| self.moved.get(&function))
            .copied()
            .unwrap_or(u32::MAX)
    }

    /// Adds an element segment. Table entries that would trap are left null, and so
    /// trap too: storing thousands of them is one huge function, which takes Cranelift
    /// seconds without optimisation.
    fn element(&mut self, section: &mut ElementSection, element: Element<'_>) -> Result<()> {
        let (table_index, offset, items) = match (&element.kind, &element.items) {
            (
                ElementKind::Active {
                    table_index,
                    offset_expr,
                },
                ElementItems::Functions(items),
            ) if self.hot.is_some() => (*table_index, offset_expr, items),
            _ => return Ok(self.parse_element(section, element)?),
        };
        let offset = self.const_expr(offset.clone())?;
        let items = items.clone().into_iter().collect::<Result<Vec<_>, _>>()?;
        let stays = |index: u32| {
            let function = index.checked_sub(self.imported);
            function.is_none_or(|function| self.is_hot(function as usize))
        };
        let stay: Vec<usize> = (0..items.len()).filter(|&at| stays(items[at])).collect();
        for run in stay.chunk_by(|before, after| after - before <= MAX_GAP) {
            let (first, last) = (run[0], run[run.len() - 1]);
            let offset = offset.clone().with_i32_const(i32::try_from(first)?);
            let moved: Vec<u32> = items[first..=last].iter().map(|&i| self.moved(i)).collect();
            section.active(
                table_index,
                &offset.with_i32_add(),
                Elements::Functions(moved.into()),
            );
        }
        Ok(())
    }

    /// The code section of the functions that stay.
    fn code(&self, code: &[u8]) -> Result<Vec<u8>> {
        if self.hot.is_none() {
            return Ok(code.to_vec());
        }
        let ranges = bodies(code)?;
        let bodies = self
            .kept
            .par_iter()
            .map(|&function| match self.is_hot(function) {
                true => self.body(&code[ranges[function].clone()]),
                false => Ok(TRAP_BODY.to_vec()),
            })
            .collect::<Result<Vec<_>>>()?;
        let mut out = Vec::with_capacity(code.len() / 2);
        bodies.len().encode(&mut out);
        for body in bodies {
            body.len().encode(&mut out);
            out.extend_from_slice(&body);
        }
        Ok(out)
    }

    /// A body with the functions it names moved. Everything else is copied.
    fn body(&self, body: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(body.len() + 16);
        let mut copied = 0;
        let mut operators = FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader()?;
        while !operators.eof() {
            let start = operators.original_position();
            let (opcode, function_index) = match operators.read()? {
                Operator::Call { function_index } => (0x10, function_index),
                Operator::ReturnCall { function_index } => (0x12, function_index),
                Operator::RefFunc { function_index } => (0xd2, function_index),
                _ => continue,
            };
            out.extend_from_slice(&body[copied..start]);
            out.push(opcode);
            self.moved(function_index).encode(&mut out);
            copied = operators.original_position();
        }
        out.extend_from_slice(&body[copied..]);
        Ok(out)
    }
}

impl Reencode for Functions<'_> {
    type Error = std::convert::Infallible;

    fn function_index(
        &mut self,
        index: u32,
    ) -> Result<u32, wasm_encoder::reencode::Error<Self::Error>> {
        Ok(self.moved(index))
    }
}

fn same_functions(position: usize, stub: &[u8], code: &[u8]) -> Result<()> {
    ensure!(
        function_count(stub)? == function_count(code)?,
        "core module {position} changed its number of functions"
    );
    Ok(())
}

/// For the keys of code compiled from a part of the bodies.
pub(crate) fn profile_digest() -> Digest {
    Digest::of(profile::RECORDED)
}

/// Whether the profile leaves out any body of `component`.
pub(crate) fn is_profiled(component: &[u8]) -> Result<bool> {
    let profile = Profile::recorded()?;
    for module in sections::core_modules(component)? {
        if profile.leaves_out(module)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a module of `component` says which bodies it was made from, as fused ones do.
pub(crate) fn is_fused(component: &[u8]) -> Result<bool> {
    for module in sections::core_modules(component)? {
        let digests = |section: &Section<'_>| section.custom_name() == Some(profile::DIGESTS);
        if sections::parse(module)?.1.iter().any(digests) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The code section of each core module, `None` for a module without one.
/// A code section of as many functions, all of which trap.
fn traps(code: &[u8]) -> Result<Vec<u8>> {
    let count = function_count(code)?;
    // A number alone must not decide how much memory this takes.
    ensure!(
        count as usize <= code.len(),
        "{count} function bodies in {} bytes",
        code.len()
    );
    let mut out = Vec::with_capacity(8 + 4 * count as usize);
    count.encode(&mut out);
    for _ in 0..count {
        TRAP_BODY.len().encode(&mut out);
        out.extend_from_slice(&TRAP_BODY);
    }
    Ok(out)
}

#[cfg(test)]
mod gaps;
#[cfg(test)]
mod record;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::complete::completed;

    /// A module that calls, stores and exports a function that is kept (`$hot`)
    /// and one that is not (`$cold`), and another that imports from it.
    const COMPONENT: &str = r#"(component
        (core module $m
            (import "host" "f" (func $imported))
            (table (export "table") 2 funcref)
            (global (export "g") i32 (i32.const 7))
            (func $cold (param i32) (result i32) local.get 0)
            (func $other (param i32) (result i32) i32.const 2)
            (func $hot (export "hot") (result i32)
                call $imported
                i32.const 1
                call $cold
                drop
                i32.const 0
                call $other)
            (export "cold" (func $cold))
            (export "unused" (func $other))
            (elem (i32.const 0) func $cold $hot))
        (core module $host (func (export "f")))
        (core instance $h (instantiate $host))
        (core instance $i (instantiate $m (with "host" (instance $h))))
        (alias core export $i "hot" (core func $x))
        (alias core export $i "cold" (core func $y)))"#;

    const ONLY_HOT: &[bool] = &[false, false, true];

    fn component() -> Vec<u8> {
        wat::parse_str(COMPONENT).unwrap()
    }

    fn valid(bytes: &[u8]) {
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
            .validate_all(bytes)
            .unwrap();
    }

    fn trimmed_first_module(hot: Option<&[bool]>) -> Vec<u8> {
        let component = component();
        let new = sections::map_core_modules(&component, &mut |position, module| match (
            position,
            code(module)?,
        ) {
            (0, Some(code)) => trimmed(0, module, code, hot).map(Some),
            _ => Ok(None),
        })
        .unwrap();
        valid(&new);
        sections::core_modules(&new).unwrap()[0].to_vec()
    }

    fn exports(module: &[u8]) -> Vec<String> {
        let sections = sections::parse(module).unwrap().1;
        let section = sections
            .iter()
            .find(|section| section.id == module_id::EXPORT)
            .unwrap();
        ExportSectionReader::new(BinaryReader::new(section.data, 0))
            .unwrap()
            .into_iter()
            .map(|export| export.unwrap().name.to_owned())
            .collect()
    }

    #[test]
    fn a_skeleton_is_valid_and_gets_its_bodies_back() {
        let component = component();
        let skeleton = skeleton(&component).unwrap();
        valid(&skeleton);
        assert_ne!(skeleton, component);
        assert_eq!(completed(&skeleton, &component, &[]).unwrap(), component);
    }

    #[test]
    fn a_count_without_bodies_takes_no_memory() {
        let mut code = Vec::new();
        u32::MAX.encode(&mut code);
        assert!(traps(&code).is_err());
        assert!(bodies(&code).is_err());
    }

    #[test]
    fn a_snapshot_of_another_component_is_refused() {
        let other = wat::parse_str("(component (core module (func)))").unwrap();
        let more = wat::parse_str(
            "(component (core module (func) (func) (func) (func) (func) (func) (func) (func)))",
        )
        .unwrap();
        assert!(completed(&skeleton(&other).unwrap(), &more, &[]).is_err());
    }

    #[test]
    fn left_out_functions_become_one_trap_a_type() {
        let module = trimmed_first_module(Some(ONLY_HOT));
        assert_eq!(exports(&module), ["table", "g", "hot", "cold", "unused"]);
        // `$cold` and `$other` have the same type: one trap for both.
        let code = codes_of(&module);
        let ranges = bodies(code).unwrap();
        assert_eq!(ranges.len(), 2);
        assert_eq!(code[ranges[0].clone()], TRAP_BODY);
        let text = format!("{:?}", calls(&code[ranges[1].clone()]));
        // The import keeps its index, both calls go to the trap behind it.
        assert_eq!(text, "[0, 1, 1]");
    }

    fn codes_of(module: &[u8]) -> &[u8] {
        let sections = sections::parse(module).unwrap().1;
        sections
            .iter()
            .find(|section| section.id == id::CODE)
            .unwrap()
            .data
    }

    fn calls(body: &[u8]) -> Vec<u32> {
        FunctionBody::new(BinaryReader::new(body, 0))
            .get_operators_reader()
            .unwrap()
            .into_iter()
            .filter_map(|operator| match operator.unwrap() {
                Operator::Call { function_index } => Some(function_index),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn table_entries_that_would_trap_are_null() {
        let hot: Vec<bool> = (0..10).map(|at| [0, 2, 6, 9].contains(&at)).collect();
        let text = "(module
            (import \"env\" \"t\" (table 20 funcref)) (import \"env\" \"b\" (global i32))
            (func $0) (func $1) (func $2) (func $3) (func $4) (func $5) (func $6) (func $7)
            (func $8) (func $9)
            (elem (global.get 0) func $1 $0 $1 $2 $1 $3 $4 $5 $7 $6 $9))";
        let module = wat::parse_str(text).unwrap();
        let new = trimmed(0, &module, codes_of(&module), Some(&hot)).unwrap();
        valid(&new);
        let section = sections::parse(&new).unwrap().1;
        let section = section
            .iter()
            .find(|section| section.id == module_id::ELEMENT);
        let segments: Vec<_> =
            ElementSectionReader::new(BinaryReader::new(section.unwrap().data, 0))
                .unwrap()
                .into_iter()
                .map(|element| {
                    let element = element.unwrap();
                    let (ElementItems::Functions(items), ElementKind::Active { offset_expr, .. }) =
                        (element.items, element.kind)
                    else {
                        panic!("another kind of segment");
                    };
                    let mut offset = offset_expr.get_operators_reader();
                    let _base = offset.read().unwrap();
                    let Operator::I32Const { value } = offset.read().unwrap() else {
                        panic!("not the base and a number");
                    };
                    let items: Vec<u32> = items.into_iter().map(Result::unwrap).collect();
                    (value, items)
                })
                .collect();
        // Kept: 0, the trap 1, 2, 6, 9. What is further apart than the gap is two segments.
        assert_eq!(segments, [(1, vec![0, 1, 2]), (9, vec![3, 4])]);
    }

    #[test]
    fn python_calls_through_tables_and_never_reads_them() {
        for version in ["0.5.0", "0.14.0"] {
            let linked = crate::testing::Workbench::new(version).linked;
            let modules = sections::core_modules(&linked).unwrap().into_iter();
            for code in modules.filter_map(|module| code(module).unwrap()) {
                let readers = bodies(code).unwrap().into_par_iter().filter(|range| {
                    FunctionBody::new(BinaryReader::new(&code[range.clone()], 0))
                        .get_operators_reader()
                        .unwrap()
                        .into_iter()
                        .any(|operator| {
                            matches!(
                                operator.unwrap(),
                                Operator::TableGet { .. }
                                    | Operator::TableCopy { .. }
                                    | Operator::RefIsNull
                                    | Operator::RefFunc { .. }
                            )
                        })
                });
                assert_eq!(readers.count(), 0, "{version}");
            }
        }
    }
}
