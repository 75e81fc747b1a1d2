//! Functions of the host that Python calls by name.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

type Answer = Pin<Box<dyn Future<Output = Result<Value, String>> + Send>>;

/// A function of the host that Python calls: `await get_time(zone="UTC")`, or
/// `await invoke("get_time", zone="UTC")`.
///
/// ```
/// use eryx_preinit::{Callback, json};
///
/// let callback = Callback::new("greet", |args| async move {
///     let name = args["name"].as_str().ok_or("greet needs a name")?;
///     Ok::<_, &str>(format!("Hello {name}"))
/// })
/// .description("Says hello")
/// .parameters(json!({ "properties": { "name": { "type": "string" } } }));
/// ```
#[derive(Clone)]
pub struct Callback {
    name: String,
    description: String,
    parameters: Value,
    call: Arc<dyn Fn(Value) -> Answer + Send + Sync>,
}

impl Callback {
    /// `call` gets the arguments as a JSON object and gives a value that becomes
    /// Python's, or an error, whose text Python raises as an exception.
    ///
    /// A dot in the name makes a namespace: `http.get` is `await http.get(…)`. Several
    /// calls run side by side where Python awaits them together (`asyncio.gather`).
    /// What is still running when Python cancels it, or when the execution ends, is
    /// dropped at its next `await`.
    pub fn new<F, Fut, T, E>(name: impl Into<String>, call: F) -> Self
    where
        F: Fn(Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Value>,
        E: fmt::Display,
    {
        Self {
            name: name.into(),
            description: String::new(),
            parameters: serde_json::json!({ "type": "object" }),
            call: Arc::new(move |arguments| {
                let answer = call(arguments);
                Box::pin(async move {
                    match answer.await {
                        Ok(value) => Ok(value.into()),
                        Err(error) => Err(error.to_string()),
                    }
                })
            }),
        }
    }

    /// What `list_callbacks()` in Python says about it.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = text.into();
        self
    }

    /// The JSON schema of the arguments. Python may give arguments by position then,
    /// in the order of the schema's `properties`.
    pub fn parameters(mut self, schema: Value) -> Self {
        self.parameters = schema;
        self
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback")
            .field("name", &self.name)
            .field("description", &self.description)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// Those of one sandbox, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callbacks(BTreeMap<String, Callback>);

impl Callbacks {
    /// In place of one that has the same name.
    pub(crate) fn add(&mut self, callback: Callback) {
        self.0.insert(callback.name.clone(), callback);
    }

    /// Name, description and JSON schema of each.
    pub(crate) fn described(&self) -> impl Iterator<Item = [String; 3]> {
        self.0.values().map(|callback| {
            [
                callback.name.clone(),
                callback.description.clone(),
                callback.parameters.to_string(),
            ]
        })
    }

    /// The answer to a call as JSON, or an error for Python.
    pub(crate) fn call(
        &self,
        name: &str,
        arguments: &str,
    ) -> impl Future<Output = Result<String, String>> + Send + use<> {
        let answer = match (self.0.get(name), serde_json::from_str(arguments)) {
            (None, _) => Err(format!("no callback is named `{name}`")),
            (_, Err(error)) => Err(format!("the arguments of `{name}` are not JSON: {error}")),
            (Some(callback), Ok(arguments)) => Ok((callback.call)(arguments)),
        };
        async move { answer?.await.map(|value| value.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocking::block_on;

    #[test]
    fn calls_find_their_callback_or_say_why_not() {
        let mut callbacks = Callbacks::default();
        callbacks.add(Callback::new("twice", |_| async {
            Err::<Value, _>("replaced")
        }));
        callbacks.add(Callback::new("twice", |args| async move {
            let x = args["x"].as_i64().ok_or("no x")?;
            Ok::<_, &str>(2 * x)
        }));
        let call = |name, arguments| block_on(callbacks.call(name, arguments));
        assert_eq!(call("twice", r#"{"x": 21}"#), Ok("42".to_owned()));
        assert_eq!(call("twice", "{}"), Err("no x".to_owned()));
        assert!(call("thrice", "{}").unwrap_err().contains("`thrice`"));
        assert!(call("twice", "{").unwrap_err().contains("not JSON"));
        assert_eq!(callbacks.described().count(), 1);
    }
}
