//! Function bodies: decoded once, with what they name renumbered, but for functions
//! and globals, whose final numbers are only known when all bodies have been read.

use super::constant::Part;
use super::types::{mapped, moved};
use super::unfit::{Unfit, encoded, unfit};
use anyhow::{Result, bail, ensure};
use std::ops::Range;
use wasm_encoder::Encode;
use wasm_encoder::reencode::{Error, Reencode};
use wasmparser::{BinaryReader, BlockType, FunctionBody, Operator, ValType};

/// Where the items of a member are in the fused module.
#[derive(Default)]
pub(super) struct Maps {
    pub(super) types: Vec<u32>,
    /// Numbers before functions that are not reached are left out.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Vec<u32>,
    pub(super) memories: Vec<u32>,
    /// Numbers before constants are left out.
    pub(super) globals: Vec<u32>,
    pub(super) tags: Vec<u32>,
    /// How many segments there are before this member's.
    pub(super) elements: u32,
    pub(super) data: u32,
}

/// A place in a body that names a function or a global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Call(u32),
    ReturnCall(u32),
    Reference(u32),
    Get(u32),
    Set(u32),
}

/// A body without the instructions in `names`, each of which belongs at an offset.
#[derive(Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    pub(super) names: Vec<(usize, Name)>,
    /// The tables it may write to.
    pub(super) tables: Vec<u32>,
}

macro_rules! plain {
    (memarg $memarg:ident $stays:ident) => {
        $stays && $memarg.memory == 0
    };
    (blockty $ty:ident $stays:ident) => {
        is_plain_block(*$ty)
    };
    (local_index $_:ident $stays:ident) => {
        true
    };
    (relative_depth $_:ident $stays:ident) => {
        true
    };
    (targets $_:ident $stays:ident) => {
        true
    };
    (value $_:ident $stays:ident) => {
        true
    };
    (lane $_:ident $stays:ident) => {
        true
    };
    (lanes $_:ident $stays:ident) => {
        true
    };
    (ordering $_:ident $stays:ident) => {
        true
    };
    ($other:ident $_:ident $stays:ident) => {
        false
    };
}

macro_rules! define_is_plain {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// Whether an instruction names nothing that moves: it has no operand, or only
        /// such as are listed above. `stays` says whether the first memory does.
        #[allow(unused_variables, reason = "most operands are told by their names alone")]
        fn is_plain(operator: &Operator<'_>, stays: bool) -> bool {
            match operator {
                $(Operator::$op $({ $($arg),* })? => true $($(&& plain!($arg $arg stays))*)?,)*
                _ => false,
            }
        }
    };
}
wasmparser::for_each_operator!(define_is_plain);

fn is_plain_block(ty: BlockType) -> bool {
    match ty {
        BlockType::Empty => true,
        BlockType::Type(ty) => !matches!(ty, ValType::Ref(_)),
        BlockType::FuncType(_) => false,
    }
}

/// A constant that was read and not yet written: it may be the base of an address.
#[derive(Clone, Copy)]
enum Pending {
    Nothing,
    Base(i32),
    Offset(i32, i32),
}

/// Renumbers what a body names. Reads of globals whose value is `known` become that
/// value, and `base + offset` of two known numbers becomes their sum: the three
/// instructions stand side by side, and no label can lead between them.
pub(super) fn rewrite(body: &[u8], maps: &Maps, known: &[Option<Part>]) -> Result<Body> {
    let mut out = Body::default();
    out.bytes.reserve(body.len());
    let mut locals = FunctionBody::new(BinaryReader::new(body, 0)).get_locals_reader()?;
    locals.get_count().encode(&mut out.bytes);
    let mut mapper = Mapper::new(maps);
    for _ in 0..locals.get_count() {
        let (count, ty) = locals.read()?;
        count.encode(&mut out.bytes);
        mapper.val_type(ty).map_err(encoded)?.encode(&mut out.bytes);
    }
    let stays = maps.memories.first().is_none_or(|memory| *memory == 0);
    let mut copied = locals.original_position();
    let mut operators = FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader()?;
    let mut pending = Pending::Nothing;
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        let end = operators.original_position();
        match (pending, &operator) {
            (Pending::Nothing, _) => {}
            (Pending::Base(base), Operator::I32Const { value }) => {
                pending = Pending::Offset(base, *value);
                copied = end;
                continue;
            }
            (Pending::Offset(base, offset), Operator::I32Add) => {
                pending = Pending::Nothing;
                push_i32(&mut out.bytes, base.wrapping_add(offset));
                copied = end;
                continue;
            }
            _ => pending.flush(&mut out.bytes),
        }
        pending = Pending::Nothing;
        if is_plain(&operator, stays) && !is_padded(&operator, end - start) {
            continue;
        }
        out.bytes.extend_from_slice(&body[copied..start]);
        copied = end;
        pending = out.operator(operator, maps, &mut mapper, known)?;
    }
    out.bytes.extend_from_slice(&body[copied..]);
    Ok(out)
}

/// Whether linkers left room in a number for a longer one.
fn is_padded(operator: &Operator<'_>, size: usize) -> bool {
    size == 6
        && matches!(operator, Operator::I32Const { value }
            if (-(1 << 27)..1 << 27).contains(value))
}

impl Pending {
    fn flush(self, out: &mut Vec<u8>) {
        match self {
            Self::Nothing => {}
            Self::Base(base) => push_i32(out, base),
            Self::Offset(base, offset) => {
                push_i32(out, base);
                push_i32(out, offset);
            }
        }
    }
}

fn push_i32(out: &mut Vec<u8>, value: i32) {
    out.push(0x41);
    value.encode(out);
}

impl Body {
    /// Adds an instruction that names something.
    fn operator(
        &mut self,
        operator: Operator<'_>,
        maps: &Maps,
        mapper: &mut Mapper<'_>,
        known: &[Option<Part>],
    ) -> Result<Pending> {
        let name = match operator {
            Operator::Call { function_index } => {
                Name::Call(moved(&maps.functions, function_index, "function")?)
            }
            Operator::ReturnCall { function_index } => {
                Name::ReturnCall(moved(&maps.functions, function_index, "function")?)
            }
            Operator::RefFunc { function_index } => {
                Name::Reference(moved(&maps.functions, function_index, "function")?)
            }
            Operator::GlobalGet { global_index } => {
                let global = moved(&maps.globals, global_index, "global")?;
                match known.get(global as usize).copied().flatten() {
                    Some(Part::I32(base)) => return Ok(Pending::Base(base)),
                    Some(number) => {
                        number
                            .instruction(&|function| function)
                            .encode(&mut self.bytes);
                        return Ok(Pending::Nothing);
                    }
                    None => Name::Get(global),
                }
            }
            Operator::GlobalSet { global_index } => {
                Name::Set(moved(&maps.globals, global_index, "global")?)
            }
            _ => return self.other(operator, mapper),
        };
        self.names.push((self.bytes.len(), name));
        Ok(Pending::Nothing)
    }

    fn other(&mut self, operator: Operator<'_>, mapper: &mut Mapper<'_>) -> Result<Pending> {
        let only_reads = matches!(
            operator,
            Operator::CallIndirect { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::TableGet { .. }
                | Operator::TableSize { .. }
                // What is there already stays as it is.
                | Operator::TableGrow { .. }
        );
        let instruction = mapper.instruction(operator).map_err(encoded)?;
        instruction.encode(&mut self.bytes);
        let tables = std::mem::take(&mut mapper.tables);
        if !only_reads {
            self.tables.extend(tables);
        }
        Ok(Pending::Nothing)
    }

    /// The finished body, with `write` for each name.
    pub(super) fn finish(&self, mut write: impl FnMut(Name, &mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 4 * self.names.len());
        let mut copied = 0;
        for &(at, name) in &self.names {
            out.extend_from_slice(&self.bytes[copied..at]);
            copied = at;
            write(name, &mut out);
        }
        out.extend_from_slice(&self.bytes[copied..]);
        out
    }
}

/// Renumbers what has its final number already.
struct Mapper<'a> {
    maps: &'a Maps,
    /// The tables that were named.
    tables: Vec<u32>,
}

impl<'a> Mapper<'a> {
    fn new(maps: &'a Maps) -> Self {
        Self {
            maps,
            tables: Vec::new(),
        }
    }
}

impl Reencode for Mapper<'_> {
    type Error = Unfit;

    fn type_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        mapped(&self.maps.types, index, "type")
    }
    fn memory_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        mapped(&self.maps.memories, index, "memory")
    }
    fn tag_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        mapped(&self.maps.tags, index, "tag")
    }
    fn table_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        let table = mapped(&self.maps.tables, index, "table")?;
        self.tables.push(table);
        Ok(table)
    }
    fn element_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        Ok(self.maps.elements.saturating_add(index))
    }
    fn data_index(&mut self, index: u32) -> Result<u32, Error<Unfit>> {
        Ok(self.maps.data.saturating_add(index))
    }
    // Those that `Body::operator` knows never come here.
    fn function_index(&mut self, _: u32) -> Result<u32, Error<Unfit>> {
        Err(Error::UserError(Unfit(
            "an unknown use of functions".into(),
        )))
    }
    fn global_index(&mut self, _: u32) -> Result<u32, Error<Unfit>> {
        Err(Error::UserError(Unfit("an unknown use of globals".into())))
    }
}

/// A function that does nothing but call what is in a table, with its own arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forward {
    pub(super) ty: u32,
    pub(super) table: u32,
    pub(super) entry: u32,
}

/// Whether a body of a function with `params` parameters only forwards.
pub(super) fn forward(body: &[u8], params: usize, maps: &Maps) -> Result<Option<Forward>> {
    // Locals, two bytes a parameter or three, and three short instructions.
    if body.len() > 32 + 3 * params {
        return Ok(None);
    }
    let body = FunctionBody::new(BinaryReader::new(body, 0));
    if body.get_locals_reader()?.get_count() != 0 {
        return Ok(None);
    }
    let mut operators = body.get_operators_reader()?;
    for param in 0..params {
        match operators.read()? {
            Operator::LocalGet { local_index } if local_index as usize == param => {}
            _ => return Ok(None),
        }
    }
    let Operator::I32Const { value } = operators.read()? else {
        return Ok(None);
    };
    let Operator::CallIndirect {
        type_index,
        table_index,
    } = operators.read()?
    else {
        return Ok(None);
    };
    let (Operator::End, true) = (operators.read()?, operators.eof()) else {
        return Ok(None);
    };
    Ok(Some(Forward {
        ty: moved(&maps.types, type_index, "type")?,
        table: moved(&maps.tables, table_index, "table")?,
        entry: value.cast_unsigned(),
    }))
}

/// `global.set` of a number, in a function that does nothing else before but that and
/// storing numbers.
pub(super) struct Setting {
    pub(super) global: u32,
    pub(super) value: i32,
    /// The instructions, in the body as it is read.
    range: Range<usize>,
}

/// The settings a body begins with.
pub(super) fn settings(body: &[u8], maps: &Maps, known: &[Option<Part>]) -> Result<Vec<Setting>> {
    let mut operators = FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader()?;
    let mut settings = Vec::new();
    let mut start = operators.original_position();
    let mut stack: Vec<i32> = Vec::new();
    loop {
        match operators.read()? {
            Operator::I32Const { value } => stack.push(value),
            Operator::GlobalGet { global_index } => {
                let global = moved(&maps.globals, global_index, "global")?;
                match known.get(global as usize).copied().flatten() {
                    Some(Part::I32(value)) => stack.push(value),
                    _ => break,
                }
            }
            Operator::I32Add => match (stack.pop(), stack.pop()) {
                (Some(right), Some(left)) => stack.push(left.wrapping_add(right)),
                _ => break,
            },
            Operator::GlobalSet { global_index } if stack.len() == 1 => {
                let end = operators.original_position();
                settings.push(Setting {
                    global: moved(&maps.globals, global_index, "global")?,
                    value: stack[0],
                    range: start..end,
                });
                (start, stack) = (end, Vec::new());
            }
            Operator::I32Store { .. } if stack.len() == 2 => {
                (start, stack) = (operators.original_position(), Vec::new());
            }
            _ => break,
        }
    }
    Ok(settings)
}

/// A body without the settings of globals that `gone` tells.
pub(super) fn without(
    body: &[u8],
    settings: &[Setting],
    gone: impl Fn(u32) -> bool,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut copied = 0;
    for setting in settings.iter().filter(|setting| gone(setting.global)) {
        ensure!(setting.range.start >= copied, "settings out of order");
        out.extend_from_slice(&body[copied..setting.range.start]);
        copied = setting.range.end;
    }
    out.extend_from_slice(&body[copied..]);
    Ok(out)
}

/// `memory.fill` or `i32.store` with numbers.
pub(super) struct Fill {
    pub(super) memory: u32,
    pub(super) start: u64,
    pub(super) content: Content,
}

/// What is written.
#[derive(Clone, Copy)]
pub(super) enum Content {
    Repeated { value: u8, size: u32 },
    Number(i32),
}

impl Content {
    /// In bytes.
    pub(super) fn size(self) -> u32 {
        match self {
            Self::Repeated { size, .. } => size,
            Self::Number(_) => 4,
        }
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Repeated { value, size } => vec![value; size as usize],
            Self::Number(number) => number.to_le_bytes().to_vec(),
        }
    }
}

/// Whether a body does nothing but fill memory with what it computes of constants.
pub(super) fn only_fills(body: &[u8]) -> Result<bool> {
    let operators = FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader()?;
    for operator in operators {
        match operator? {
            Operator::I32Const { .. }
            | Operator::GlobalGet { .. }
            | Operator::I32Add
            | Operator::MemoryFill { .. }
            | Operator::I32Store { .. }
            | Operator::End => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// What a body that only fills memory fills.
///
/// # Errors
/// [`Unfit`] when a number is not known.
pub(super) fn fills(body: &[u8], maps: &Maps, known: &[Option<Part>]) -> Result<Vec<Fill>> {
    let mut fills = Vec::new();
    let mut stack: Vec<i32> = Vec::new();
    let operators = FunctionBody::new(BinaryReader::new(body, 0)).get_operators_reader()?;
    for operator in operators {
        match operator? {
            Operator::I32Const { value } => stack.push(value),
            Operator::GlobalGet { global_index } => {
                let global = moved(&maps.globals, global_index, "global")?;
                match known.get(global as usize).copied().flatten() {
                    Some(Part::I32(value)) => stack.push(value),
                    _ => return unfit("a start function that fills memory at a place not known"),
                }
            }
            Operator::I32Add => match (stack.pop(), stack.pop()) {
                (Some(right), Some(left)) => stack.push(left.wrapping_add(right)),
                _ => bail!("an addition without operands"),
            },
            Operator::MemoryFill { mem } => match (stack.pop(), stack.pop(), stack.pop()) {
                (Some(size), Some(value), Some(start)) => fills.push(Fill {
                    memory: moved(&maps.memories, mem, "memory")?,
                    start: u64::from(start.cast_unsigned()),
                    content: Content::Repeated {
                        value: value.to_le_bytes()[0],
                        size: size.cast_unsigned(),
                    },
                }),
                _ => bail!("memory.fill without operands"),
            },
            Operator::I32Store { memarg } => match (stack.pop(), stack.pop()) {
                (Some(number), Some(start)) => fills.push(Fill {
                    memory: moved(&maps.memories, memarg.memory, "memory")?,
                    start: u64::from(start.cast_unsigned()).saturating_add(memarg.offset),
                    content: Content::Number(number),
                }),
                _ => bail!("i32.store without operands"),
            },
            _ => {}
        }
    }
    Ok(fills)
}
