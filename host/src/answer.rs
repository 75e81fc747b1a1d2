//! Answers for host functions that this crate does not know: a value of whatever
//! type the function's result has, so that every version of the runtime runs.

use wasmtime::component::types::{ComponentFunc, Type};
use wasmtime::component::{Val, types};
use wasmtime::{Result, format_err};

/// Puts a value of its type into each of `results`: an error that says why where the
/// type has one, else nothing, zero or empty.
///
/// # Errors
/// When a result is of a type that only a live object belongs to, such as a resource.
pub(crate) fn answer(name: &str, func: &ComponentFunc, results: &mut [Val]) -> Result<()> {
    for (result, ty) in results.iter_mut().zip(func.results()) {
        *result = neutral(name, &ty).ok_or_else(|| {
            format_err!("`{name}` is not offered by this host, and no value can say so")
        })?;
    }
    Ok(())
}

/// A value of `ty` that says "not offered" where it can and nothing where it cannot; `None`
/// when only a live object would do.
pub(crate) fn neutral(name: &str, ty: &Type) -> Option<Val> {
    Some(match ty {
        Type::Bool => Val::Bool(false),
        Type::S8 => Val::S8(0),
        Type::U8 => Val::U8(0),
        Type::S16 => Val::S16(0),
        Type::U16 => Val::U16(0),
        Type::S32 => Val::S32(0),
        Type::U32 => Val::U32(0),
        Type::S64 => Val::S64(0),
        Type::U64 => Val::U64(0),
        Type::Float32 => Val::Float32(0.0),
        Type::Float64 => Val::Float64(0.0),
        Type::Char => Val::Char(' '),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Map(_) => Val::Map(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Enum(names) => Val::Enum(names.names().next()?.to_owned()),
        Type::Record(record) => {
            let fields = record.fields();
            let fields =
                fields.map(|field| Some((field.name.to_owned(), neutral(name, &field.ty)?)));
            Val::Record(fields.collect::<Option<_>>()?)
        }
        Type::Tuple(tuple) => {
            let fields = tuple.types().map(|ty| neutral(name, &ty));
            Val::Tuple(fields.collect::<Option<_>>()?)
        }
        Type::Variant(variant) => refusal_or_first(name, variant)?,
        Type::Result(result) => Val::Result(Err(match result.err() {
            Some(error) => Some(Box::new(refusal(name, &error)?)),
            None => None,
        })),
        _ => return None,
    })
}

/// A case that carries text can say why; without one it is the first case.
fn refusal_or_first(name: &str, variant: &types::Variant) -> Option<Val> {
    let cases: Vec<_> = variant.cases().collect();
    let text = cases
        .iter()
        .rfind(|case| matches!(case.ty, Some(Type::String)));
    let case = text.or(cases.first())?;
    let payload = match &case.ty {
        Some(ty) => Some(Box::new(refusal(name, ty)?)),
        None => None,
    };
    Some(Val::Variant(case.name.to_owned(), payload))
}

fn refusal(name: &str, ty: &Type) -> Option<Val> {
    match ty {
        Type::String => Some(Val::String(format!("`{name}` is not offered by this host"))),
        ty => neutral(name, ty),
    }
}
