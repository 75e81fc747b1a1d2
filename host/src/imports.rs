//! What Python asks its host for besides WASI: callbacks, output as it is written,
//! timers, lines as they are executed, TCP, TLS.
//!
//! The names are those of the runtimes 0.5 to 0.14; the types are looked up in the
//! component, because they differ between versions. What is not known here is
//! answered by [`answer`].

use crate::answer::{answer, neutral};
use crate::clock::Sleep;
use crate::host::Host;
use crate::network;
use crate::output::Stream;
use std::time::{Duration, Instant};
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, LinkerInstance, Val, WasmList, WasmStr};
use wasmtime::{Engine, Result, StoreContextMut, format_err};

/// A linker with WASI and all that `component` imports.
pub(crate) fn linker(engine: &Engine, component: &Component) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (name, item) in component.component_type().imports(engine) {
        // Not `define_unknown_imports_as_traps`: it takes the version of WASI that the
        // component names for unknown, and hides the compatible one behind traps.
        if name.starts_with("wasi:") {
            continue;
        }
        match item.ty {
            ComponentItem::ComponentFunc(func) => define(&mut linker.root(), name, &func)?,
            ComponentItem::ComponentInstance(interface) => {
                let mut instance = linker.instance(name)?;
                for (member, item) in interface.exports(engine) {
                    if let ComponentItem::ComponentFunc(func) = item.ty {
                        if name == network::TCP && network::define(&mut instance, member, &func)? {
                            continue;
                        }
                        unknown(&mut instance, member, &format!("{name}#{member}"), &func)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(linker)
}

fn define(linker: &mut LinkerInstance<'_, Host>, name: &str, func: &ComponentFunc) -> Result<()> {
    let params: Vec<Type> = func.params().map(|(_, ty)| ty).collect();
    match (name, params.as_slice()) {
        ("invoke", [Type::String, Type::String]) if func.async_() => invoke(linker, name),
        ("list-callbacks", []) => linker.func_new(name, |store, func, _, results| {
            list_callbacks(store.data(), &func, results)
        }),
        ("report-output", [Type::U32, Type::String]) => {
            linker.func_wrap(name, |store: StoreContextMut<'_, Host>, (id, text)| {
                let text: WasmStr = text;
                print(store.data(), id, text.to_str(&store)?.as_bytes())
            })
        }
        ("report-output", [Type::U32, Type::List(list)]) if list.ty() == Type::U8 => linker
            .func_wrap(name, |store: StoreContextMut<'_, Host>, (id, bytes)| {
                let bytes: WasmList<u8> = bytes;
                print(store.data(), id, bytes.as_le_slice(&store))
            }),
        // Not read: only what points to it is taken.
        ("report-trace", [Type::U32, Type::String, Type::String]) => {
            linker.func_wrap(name, |_, _: (u32, WasmStr, WasmStr)| Ok(()))
        }
        ("sleep", [Type::U64]) if func.async_() => sleep(linker, name),
        _ => unknown(linker, name, name, func),
    }
}

/// A callback, by name, with its arguments and its answer as JSON.
fn invoke(linker: &mut LinkerInstance<'_, Host>, name: &str) -> Result<()> {
    linker.func_wrap_concurrent(name, |accessor, (name, arguments): (String, String)| {
        Box::pin(async move {
            let callbacks = accessor.with(|mut store| store.get().callbacks.clone());
            Ok((callbacks.call(&name, &arguments).await,))
        })
    })
}

/// What `asyncio` waits with, from runtime 0.10 on.
fn sleep(linker: &mut LinkerInstance<'_, Host>, name: &str) -> Result<()> {
    linker.func_wrap_concurrent(name, |_, (nanoseconds,): (u64,)| {
        Box::pin(async move {
            let until = Instant::now().checked_add(Duration::from_nanos(nanoseconds));
            Sleep::new(until).await;
            Ok(())
        })
    })
}

/// A record for each callback, whatever other fields the record has.
fn list_callbacks(host: &Host, func: &ComponentFunc, results: &mut [Val]) -> Result<()> {
    let element = func.results().next().and_then(|result| match result {
        Type::List(list) => Some(list.ty()),
        _ => None,
    });
    let (Some(Type::Record(record)), [result]) = (element, results) else {
        return Err(format_err!(
            "`list-callbacks` is of a type that is not known"
        ));
    };
    let describe = |[name, description, schema]: [String; 3]| {
        let fields = record.fields().map(|field| {
            let value = match field.name {
                "name" => Some(Val::String(name.clone())),
                "description" => Some(Val::String(description.clone())),
                "parameters-schema-json" => Some(Val::String(schema.clone())),
                _ => neutral("list-callbacks", &field.ty),
            };
            Some((field.name.to_owned(), value?))
        });
        fields.collect::<Option<_>>().map(Val::Record)
    };
    let list: Option<_> = host.callbacks.described().map(describe).collect();
    *result = Val::List(list.ok_or_else(|| format_err!("`list-callbacks` wants live objects"))?);
    Ok(())
}

/// As the runtimes number the streams.
fn print(host: &Host, id: u32, bytes: &[u8]) -> Result<()> {
    let stream = match id {
        0 => Stream::Stdout,
        _ => Stream::Stderr,
    };
    Ok(host.printed.write(stream, bytes)?)
}

fn unknown(
    linker: &mut LinkerInstance<'_, Host>,
    name: &str,
    full_name: &str,
    func: &ComponentFunc,
) -> Result<()> {
    let full_name = full_name.to_owned();
    if func.async_() {
        linker.func_new_concurrent(name, move |_, func, _, results| {
            let full_name = full_name.clone();
            Box::pin(async move { answer(&full_name, &func, results) })
        })
    } else {
        linker.func_new(name, move |_, func, _, results| {
            answer(&full_name, &func, results)
        })
    }
}
