//! Constant expressions: read, with the globals they name put in, and folded.

use super::types::moved;
use super::unfit::unfit;
use anyhow::{Context, Result, ensure};
use wasm_encoder::{HeapType, Instruction};
use wasmparser::{ConstExpr, Operator};

/// A constant expression of the fused module: instructions in order. What is known is
/// a single constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant(pub(super) Vec<Part>);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    I32(i32),
    I64(i64),
    /// The bits.
    F32(u32),
    F64(u64),
    V128(i128),
    /// A function, by its number before functions that are not reached are left out.
    Function(u32),
    Null(HeapType),
    /// A global that is imported.
    Global(u32),
    Arithmetic(Arithmetic),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Arithmetic {
    I32Add,
    I32Sub,
    I32Mul,
    I64Add,
    I64Sub,
    I64Mul,
}

/// What the constant expressions of a member name.
pub(super) struct Names<'a> {
    pub(super) functions: &'a [u32],
    pub(super) globals: &'a [u32],
    pub(super) types: &'a [u32],
    /// Of each global of the fused module, the constant that can stand for it: none
    /// for imported ones.
    pub(super) values: &'a [Option<Constant>],
    pub(super) imported: usize,
}

impl Names<'_> {
    /// # Errors
    /// When the expression does more than extended constant expressions may.
    pub(super) fn read(&self, expression: &ConstExpr<'_>) -> Result<Constant> {
        let mut stack: Vec<Constant> = Vec::new();
        let mut operators = expression.get_operators_reader();
        loop {
            let constant = match operators.read()? {
                Operator::End => break,
                Operator::I32Const { value } => Constant(vec![Part::I32(value)]),
                Operator::I64Const { value } => Constant(vec![Part::I64(value)]),
                Operator::F32Const { value } => Constant(vec![Part::F32(value.bits())]),
                Operator::F64Const { value } => Constant(vec![Part::F64(value.bits())]),
                Operator::V128Const { value } => Constant(vec![Part::V128(value.i128())]),
                Operator::RefFunc { function_index } => {
                    let function = moved(self.functions, function_index, "function")?;
                    Constant(vec![Part::Function(function)])
                }
                Operator::RefNull { hty } => Constant(vec![Part::Null(self.heap_type(hty)?)]),
                Operator::GlobalGet { global_index } => self.global(global_index)?,
                Operator::I32Add => binary(&mut stack, Arithmetic::I32Add)?,
                Operator::I32Sub => binary(&mut stack, Arithmetic::I32Sub)?,
                Operator::I32Mul => binary(&mut stack, Arithmetic::I32Mul)?,
                Operator::I64Add => binary(&mut stack, Arithmetic::I64Add)?,
                Operator::I64Sub => binary(&mut stack, Arithmetic::I64Sub)?,
                Operator::I64Mul => binary(&mut stack, Arithmetic::I64Mul)?,
                _ => return unfit("a constant expression that makes objects"),
            };
            stack.push(constant);
        }
        ensure!(
            stack.len() == 1,
            "a constant expression of {} values",
            stack.len()
        );
        stack.pop().context("a constant expression of no value")
    }

    /// A global that is imported stays one; for another, its value is put in.
    fn global(&self, index: u32) -> Result<Constant> {
        let global = moved(self.globals, index, "global")?;
        if (global as usize) < self.imported {
            return Ok(Constant(vec![Part::Global(global)]));
        }
        let value = self.values.get(global as usize).cloned().flatten();
        value.with_context(|| format!("global {index} is no constant"))
    }

    fn heap_type(&self, ty: wasmparser::HeapType) -> Result<HeapType> {
        struct Reencoder<'a>(&'a [u32]);
        impl wasm_encoder::reencode::Reencode for Reencoder<'_> {
            type Error = super::unfit::Unfit;
            fn type_index(
                &mut self,
                index: u32,
            ) -> Result<u32, wasm_encoder::reencode::Error<super::unfit::Unfit>> {
                super::types::mapped(self.0, index, "type")
            }
        }
        wasm_encoder::reencode::Reencode::heap_type(&mut Reencoder(self.types), ty)
            .map_err(super::unfit::encoded)
    }
}

fn binary(stack: &mut Vec<Constant>, operation: Arithmetic) -> Result<Constant> {
    let (right, left) = (stack.pop(), stack.pop());
    let (left, right) = left.zip(right).context("arithmetic without operands")?;
    let folded = match (operation, left.0.as_slice(), right.0.as_slice()) {
        (Arithmetic::I32Add, [Part::I32(a)], [Part::I32(b)]) => Part::I32(a.wrapping_add(*b)),
        (Arithmetic::I32Sub, [Part::I32(a)], [Part::I32(b)]) => Part::I32(a.wrapping_sub(*b)),
        (Arithmetic::I32Mul, [Part::I32(a)], [Part::I32(b)]) => Part::I32(a.wrapping_mul(*b)),
        (Arithmetic::I64Add, [Part::I64(a)], [Part::I64(b)]) => Part::I64(a.wrapping_add(*b)),
        (Arithmetic::I64Sub, [Part::I64(a)], [Part::I64(b)]) => Part::I64(a.wrapping_sub(*b)),
        (Arithmetic::I64Mul, [Part::I64(a)], [Part::I64(b)]) => Part::I64(a.wrapping_mul(*b)),
        _ => {
            let parts = left.0.into_iter().chain(right.0);
            return Ok(Constant(
                parts.chain([Part::Arithmetic(operation)]).collect(),
            ));
        }
    };
    Ok(Constant(vec![folded]))
}

impl Constant {
    /// The number it is, if it is a single one.
    pub(super) fn number(&self) -> Option<Part> {
        match self.0.as_slice() {
            [part @ (Part::I32(_) | Part::I64(_) | Part::F32(_) | Part::F64(_))] => Some(*part),
            _ => None,
        }
    }

    /// The functions it refers to.
    pub(super) fn functions(&self) -> impl Iterator<Item = u32> {
        self.0.iter().filter_map(|part| match part {
            Part::Function(function) => Some(*function),
            _ => None,
        })
    }

    /// With functions numbered by `number`.
    pub(super) fn encoder(&self, number: &impl Fn(u32) -> u32) -> wasm_encoder::ConstExpr {
        wasm_encoder::ConstExpr::extended(self.0.iter().map(|part| part.instruction(number)))
    }
}

impl Part {
    pub(super) fn instruction(self, number: &impl Fn(u32) -> u32) -> Instruction<'static> {
        match self {
            Self::I32(value) => Instruction::I32Const(value),
            Self::I64(value) => Instruction::I64Const(value),
            Self::F32(bits) => Instruction::F32Const(wasm_encoder::Ieee32::new(bits)),
            Self::F64(bits) => Instruction::F64Const(wasm_encoder::Ieee64::new(bits)),
            Self::V128(value) => Instruction::V128Const(value),
            Self::Function(function) => Instruction::RefFunc(number(function)),
            Self::Null(ty) => Instruction::RefNull(ty),
            Self::Global(global) => Instruction::GlobalGet(global),
            Self::Arithmetic(operation) => match operation {
                Arithmetic::I32Add => Instruction::I32Add,
                Arithmetic::I32Sub => Instruction::I32Sub,
                Arithmetic::I32Mul => Instruction::I32Mul,
                Arithmetic::I64Add => Instruction::I64Add,
                Arithmetic::I64Sub => Instruction::I64Sub,
                Arithmetic::I64Mul => Instruction::I64Mul,
            },
        }
    }
}
