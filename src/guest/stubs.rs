//! Imports that are not WASI, answered by reflection on their types, so that every
//! version of the runtime's WIT works without knowing it.

use crate::guest::host::Host;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType, Val};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, Network};

/// What a stub says when the guest calls it.
pub(crate) const NOT_AVAILABLE: &str = "not available during pre-initialization";

/// Whether an import is left to wasmtime-wasi.
pub(crate) fn is_defined(name: &str) -> bool {
    name.starts_with("wasi:")
        && (!name.starts_with("wasi:sockets/")
            || name.starts_with("wasi:sockets/network@")
            || name.starts_with("wasi:sockets/instance-network@"))
}

pub(crate) fn define_stubs(
    linker: &mut Linker<Host>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        match item.ty {
            _ if is_defined(name) => {}
            ComponentItem::ComponentFunc(func) => stub(&mut linker.root(), name, name, &func)?,
            ComponentItem::ComponentInstance(instance) => {
                let mut target = linker.instance(name)?;
                for (member, item) in instance.exports(engine) {
                    match item.ty {
                        ComponentItem::ComponentFunc(func) => {
                            let full = format!("{name}#{member}");
                            stub(&mut target, member, &full, &func)?;
                        }
                        ComponentItem::Resource(_) => {
                            target.resource(member, stubbed(member), |_, _| Ok(()))?;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Stands for any resource type of an import that is stubbed.
pub(crate) struct Stubbed;

/// The host's type of a stubbed import's resource, which may be one that it uses from
/// an interface of WASI that is not stubbed.
pub(crate) fn stubbed(resource: &str) -> ResourceType {
    match resource {
        "pollable" => ResourceType::host::<DynPollable>(),
        "input-stream" => ResourceType::host::<DynInputStream>(),
        "output-stream" => ResourceType::host::<DynOutputStream>(),
        "network" => ResourceType::host::<Network>(),
        _ => ResourceType::host::<Stubbed>(),
    }
}

pub(crate) fn stub(
    target: &mut LinkerInstance<'_, Host>,
    name: &str,
    full_name: &str,
    func: &ComponentFunc,
) -> wasmtime::Result<()> {
    // The guest's sys.stdout and sys.stderr: kept for reports. As bytes, because a list of
    // values takes thirty times the memory.
    if name == "report-output" {
        let types: Vec<Type> = func.params().map(|(_, ty)| ty).collect();
        match types.as_slice() {
            [Type::U32, Type::String] => {
                return target.func_wrap(name, |store, (_, text): (u32, String)| {
                    store.data().output.write(text.as_bytes());
                    Ok(())
                });
            }
            [Type::U32, Type::List(list)] if list.ty() == Type::U8 => {
                return target.func_wrap(name, |store, (_, bytes): (u32, Vec<u8>)| {
                    store.data().output.write(&bytes);
                    Ok(())
                });
            }
            _ => {}
        }
    }
    let full_name = full_name.to_owned();
    if func.async_() {
        target.func_new_concurrent(name, move |_, ty, _, results| {
            let full_name = full_name.clone();
            Box::pin(async move { answer(&full_name, &ty, results) })
        })
    } else {
        target.func_new(name, move |_, ty, _, results| {
            answer(&full_name, &ty, results)
        })
    }
}

pub(crate) fn answer(name: &str, ty: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    for (result, ty) in results.iter_mut().zip(ty.results()) {
        *result = neutral(name, &ty).ok_or_else(|| {
            wasmtime::format_err!(
                "`{name}` is {NOT_AVAILABLE}, and its result has no neutral value"
            )
        })?;
    }
    Ok(())
}

/// A value of `ty` that says "not available" where it can and nothing where it
/// cannot; `None` when only a live object would do.
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
        Type::Record(record) => Val::Record(
            record
                .fields()
                .map(|field| Some((field.name.to_owned(), neutral(name, &field.ty)?)))
                .collect::<Option<_>>()?,
        ),
        Type::Tuple(tuple) => Val::Tuple(
            tuple
                .types()
                .map(|ty| neutral(name, &ty))
                .collect::<Option<_>>()?,
        ),
        Type::Enum(names) => Val::Enum(names.names().next()?.to_owned()),
        Type::Variant(variant) => {
            // A case that carries text can say why; prefer it.
            let cases: Vec<_> = variant.cases().collect();
            let spoken = cases
                .iter()
                .rfind(|case| matches!(case.ty, Some(Type::String)));
            let case = match spoken {
                Some(case) => case,
                None => cases.first()?,
            };
            let payload = match &case.ty {
                None => None,
                Some(ty) => Some(Box::new(refusal(name, ty)?)),
            };
            Val::Variant(case.name.to_owned(), payload)
        }
        Type::Result(result) => match result.err() {
            Some(error) => Val::Result(Err(Some(Box::new(refusal(name, &error)?)))),
            None => Val::Result(Err(None)),
        },
        _ => return None,
    })
}

/// Like [`neutral`], for the error side: text says what is wrong.
pub(crate) fn refusal(name: &str, ty: &Type) -> Option<Val> {
    match ty {
        Type::String => Some(Val::String(format!("`{name}` is {NOT_AVAILABLE}"))),
        ty => neutral(name, ty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::engine::{self, Compiler};

    /// What a stub answers for an import of type `() -> ty`.
    fn answer_of(definitions: &str, ty: &str) -> Option<Val> {
        let engine = engine::engine(Compiler::Cranelift).unwrap();
        let wat = format!("(component {definitions} (import \"f\" (func (result {ty}))))");
        let component = Component::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        let imports = component.component_type();
        let (_, import) = imports
            .imports(&engine)
            .find(|(name, _)| *name == "f")
            .unwrap();
        let ComponentItem::ComponentFunc(func) = import.ty else {
            panic!("f is a function");
        };
        let ty = func.results().next().unwrap();
        neutral("f", &ty)
    }

    #[test]
    fn results_refuse_and_say_why() {
        let Some(Val::Result(Err(Some(message)))) = answer_of("", "(result string (error string))")
        else {
            panic!("a result is an error");
        };
        assert_eq!(
            *message,
            Val::String("`f` is not available during pre-initialization".into())
        );
    }

    #[test]
    fn other_types_get_neutral_values() {
        for (ty, value) in [
            ("u32", Val::U32(0)),
            ("string", Val::String(String::new())),
            ("(list u8)", Val::List(Vec::new())),
            ("(option string)", Val::Option(None)),
            (
                "(tuple u8 bool)",
                Val::Tuple(vec![Val::U8(0), Val::Bool(false)]),
            ),
        ] {
            assert_eq!(answer_of("", ty), Some(value), "{ty}");
        }
    }

    #[test]
    fn errors_that_carry_text_are_preferred() {
        let definitions = r#"
            (type $e' (variant (case "refused") (case "io-error" string)))
            (import "e" (type $e (eq $e')))"#;
        let Some(Val::Result(Err(Some(error)))) = answer_of(definitions, "(result (error $e))")
        else {
            panic!("a result is an error");
        };
        let Val::Variant(case, Some(_)) = *error else {
            panic!("a case with text");
        };
        assert_eq!(case, "io-error");
    }
}
