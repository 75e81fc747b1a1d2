//! What Python offers its host: the export `execute`, in the types it has had.

use crate::host::Host;
use wasmtime::component::{ComponentType, Instance, Lift, TypedFunc, WasmList, WasmStr};
use wasmtime::error::Context;
use wasmtime::{Result, Store};

/// The export `execute`.
pub(crate) enum Execute {
    /// Runtimes before 0.8 return output as text.
    Text(Typed<WasmStr>),
    /// Later ones as bytes.
    Bytes(Typed<WasmList<u8>>),
}

type Typed<T> = TypedFunc<(String,), (Result<Returned<T>, String>,)>;

/// What `execute` returns. What was printed is known by then, from `report-output`, and
/// is not copied out of Python a second time: only what points to it is taken.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Returned<T> {
    #[allow(dead_code, reason = "belongs to the type")]
    stdout: T,
    #[allow(dead_code, reason = "belongs to the type")]
    stderr: T,
    #[component(name = "result-json")]
    result_json: String,
    #[component(name = "result-error")]
    result_error: String,
}

/// What an execution left in its result variable.
pub(crate) struct Left {
    /// As JSON, or empty.
    pub(crate) json: String,
    /// Why it is not JSON, or empty.
    pub(crate) error: String,
}

impl<T> From<Returned<T>> for Left {
    fn from(returned: Returned<T>) -> Self {
        Self {
            json: returned.result_json,
            error: returned.result_error,
        }
    }
}

impl Execute {
    /// # Errors
    /// When there is no such export, or its type is none of those that are known.
    pub(crate) fn find(store: &mut Store<Host>, instance: &Instance) -> Result<Self> {
        match instance.get_typed_func(&mut *store, "execute") {
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(_) => {
                let text = instance.get_typed_func(store, "execute");
                Ok(Self::Text(text.context(
                    "the component has no export `execute` of a type that is known here",
                )?))
            }
        }
    }

    /// Runs code. The inner error is Python's traceback.
    pub(crate) async fn call(
        &self,
        store: &mut Store<Host>,
        code: &str,
    ) -> Result<Result<Left, String>> {
        let code = (code.to_owned(),);
        Ok(match self {
            Self::Text(execute) => execute.call_async(store, code).await?.0.map(Left::from),
            Self::Bytes(execute) => execute.call_async(store, code).await?.0.map(Left::from),
        })
    }
}

/// Has `execute` return the variable of this name in place of `result`.
pub(crate) async fn set_result_variable(
    store: &mut Store<Host>,
    instance: &Instance,
    name: &str,
) -> Result<()> {
    let set: TypedFunc<(String,), ()> =
        instance.get_typed_func(&mut *store, "set-result-variable")?;
    set.call_async(store, (name.to_owned(),)).await
}
