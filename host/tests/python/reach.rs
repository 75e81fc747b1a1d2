//! What Wasmtime works with stays within reach.

use crate::prepared::{BOTH, Runtime};
use eryx_preinit::wasmtime::component::{Component, Val};
use eryx_preinit::wasmtime::{Engine, Result};
use eryx_preinit::{Error, Host, Python, Snapshot};

#[tokio::test]
async fn host_functions_can_be_replaced_and_have_data() {
    for runtime in BOTH {
        let snapshot = runtime.snapshot().linker(|linker| {
            let mut tcp = linker.instance("eryx:net/tcp@0.1.0")?;
            tcp.func_new("connect", |mut store, _, params, results| {
                let host: &mut Host = store.data_mut();
                if let (Some(asked), Some(Val::String(name))) = (host.data_mut(), params.first()) {
                    let asked: &mut Vec<String> = asked;
                    asked.push(name.clone());
                }
                let refused = Val::Variant("connection-refused".to_owned(), None);
                results[0] = Val::Result(Err(Some(Box::new(refused))));
                Ok(())
            })
        });
        let python = snapshot.load().unwrap();
        let builder = python.sandbox().data(Vec::<String>::new());
        let mut sandbox = builder.build().await.unwrap();
        let code = "
import socket
try:
    socket.create_connection(('example.test', 80), 1)
except OSError as e:
    print('refused')
";
        assert_eq!(
            sandbox.execute(code).await.unwrap().stdout,
            "refused\n",
            "{runtime:?}"
        );
        let host = sandbox.store().data();
        assert_eq!(
            host.data(),
            Some(&vec!["example.test".to_owned()]),
            "{runtime:?}"
        );
        assert_eq!(host.data::<String>(), None);
    }
}

#[tokio::test]
async fn exports_can_be_called_and_instances_be_made_without_this_crate() -> Result<()> {
    for runtime in BOTH {
        let python = runtime.python();
        let mut sandbox = python.sandbox().build().await?;
        sandbox.execute("x = 1").await?;
        let instance = *sandbox.instance();
        let store = sandbox.store_mut();
        let clear = instance.get_func(&mut *store, "clear-state").unwrap();
        clear.call_async(store, &[], &mut []).await?;
        let error = sandbox.execute("print(x)").await.unwrap_err();
        assert!(
            error.to_string().contains("NameError"),
            "{runtime:?}: {error}"
        );

        assert!(Engine::same(python.engine(), python.component().engine()));
        let pre = python.instance_pre().clone();
        let store = sandbox.store_mut();
        pre.instantiate_async(store).await?;
    }
    Ok(())
}

#[tokio::test]
async fn settings_of_the_engine_can_be_changed() {
    let snapshot = Runtime::V0_14.snapshot();
    // Native code that does not fit is refused, whichever settings are tried.
    let error = snapshot.config(|config| {
        config.memory_guard_size(0);
    });
    let error = error.load().err().unwrap();
    assert!(matches!(error, Error::Load { .. }), "{error:?}");
    let snapshot = Runtime::V0_14.snapshot();
    let python = snapshot.config(|config| {
        config.async_stack_size(16 << 20);
    });
    python.load().unwrap().sandbox().build().await.unwrap();
}

#[test]
fn what_is_no_python_is_refused() {
    // SAFETY: Wasmtime refuses what it did not write by its header.
    let error = unsafe { Python::from_cwasm(&b"not native code"[..]) };
    let error = error.err().unwrap();
    assert!(matches!(error, Error::Load { .. }), "{error:?}");
    let error = Snapshot::from_wasm(&b"\0asm"[..]).load().err().unwrap();
    assert!(matches!(error, Error::Load { .. }), "{error:?}");

    let component = wat::parse_str("(component)").unwrap();
    let python = Python::from_wasm(component).unwrap();
    let error = python.sandbox().build_blocking().err().unwrap();
    assert!(matches!(error, Error::Instantiate { .. }), "{error:?}");
    assert!(format!("{error:?}").contains("execute"), "{error:?}");
}

#[tokio::test]
async fn native_code_is_found_to_need_its_settings() {
    // Compiled by the same Wasmtime for other settings each.
    let wat = r#"(component (core module))"#;
    for bits in 0..4 {
        let mut config = eryx_preinit::wasmtime::Config::new();
        config
            .wasm_component_model_async(true)
            .epoch_interruption(bits & 1 != 0)
            .consume_fuel(bits & 2 != 0);
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        // SAFETY: Wasmtime has just written it.
        let python = unsafe { Python::from_cwasm(component.serialize().unwrap()) }.unwrap();
        let limited = python.sandbox().fuel_limit(1).build().await.err().unwrap();
        assert_eq!(
            matches!(limited, Error::NotCompiledFor { .. }),
            bits & 2 == 0
        );
        let limit = std::time::Duration::from_secs(1);
        let limited = python
            .sandbox()
            .time_limit(limit)
            .build()
            .await
            .err()
            .unwrap();
        assert_eq!(
            matches!(limited, Error::NotCompiledFor { .. }),
            bits & 1 == 0
        );
    }
}
