//! Functions of the host that Python calls.

use crate::prepared::{BOTH, Runtime};
use eryx_preinit::{Callback, Error, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Barrier;

#[tokio::test]
async fn arguments_and_answers_are_values() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox();
        let builder = builder
            .callback("echo", |args| async { Ok::<Value, String>(args) })
            .callback("shop.price", |args| async move {
                let item = args["item"].as_str().ok_or("which item?")?;
                Ok::<_, &str>(item.len())
            })
            .callback_with(
                Callback::new("add", |args| async move {
                    let sum = args["a"].as_i64().zip(args["b"].as_i64());
                    sum.map(|(a, b)| a + b).ok_or("add needs two integers")
                })
                .description("Adds two integers")
                .parameters(json!({ "properties": { "a": {}, "b": {} } })),
            );
        let mut sandbox = builder.build().await.unwrap();
        let code = r#"
value = {"text": "ä\"'\\\n", "list": [1, 2.5, None, True], "nested": {"deep": []}}
assert await echo(**value) == value
assert await invoke("echo", **value) == value
assert await add(20, b=22) == 42
assert await shop.price(item="tea") == 3
result = {c["name"]: c["description"] for c in list_callbacks()}
"#;
        let output = sandbox.execute(code).await.unwrap();
        let names = json!({ "echo": "", "shop.price": "", "add": "Adds two integers" });
        assert_eq!(output.result, Some(names), "{runtime:?}");
    }
}

#[tokio::test]
async fn failures_are_exceptions_in_python() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox();
        let builder = builder.callback("fail", |_| async {
            Err::<Value, _>("no \"luck\"\n'today'")
        });
        let mut sandbox = builder.build().await.unwrap();
        let code = "try:\n    await fail()\nexcept Exception as e:\n    print(e)";
        let output = sandbox.execute(code).await.unwrap();
        assert!(
            output.stdout.contains("no \"luck\""),
            "{runtime:?}: {output:?}"
        );
        let error = sandbox.execute("await fail()").await.unwrap_err();
        let Error::Python { traceback, .. } = error else {
            panic!("{runtime:?}: {error:?}");
        };
        assert!(
            traceback.contains("no \"luck\""),
            "{runtime:?}: {traceback}"
        );
        // Runtime 0.5 raises an exception that came out of an `await` once more in the
        // next execution.
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let code = "try:\n    await invoke('none')\nexcept Exception as e:\n    print(e)";
        let output = sandbox.execute(code).await.unwrap();
        assert!(output.stdout.contains("none"), "{runtime:?}: {output:?}");
    }
}

#[tokio::test]
async fn calls_run_side_by_side() {
    for runtime in BOTH {
        // Each waits for all three.
        let barrier = Arc::new(Barrier::new(3));
        let builder = runtime
            .python()
            .sandbox()
            .time_limit(Duration::from_secs(60));
        let builder = builder.callback("meet", move |args| {
            let barrier = barrier.clone();
            async move {
                barrier.wait().await;
                Ok::<_, String>(args["n"].clone())
            }
        });
        let mut sandbox = builder.build().await.unwrap();
        let code = "import asyncio\nresult = await asyncio.gather(*[meet(n=n) for n in range(3)])";
        let output = sandbox.execute(code).await.unwrap();
        assert_eq!(output.result, Some(json!([0, 1, 2])), "{runtime:?}");
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_call_that_python_cancels_is_dropped() {
    // Runtimes before 0.10 have no timers of their own.
    let cancelled = Arc::new(AtomicBool::new(false));
    let flag = cancelled.clone();
    let builder = Runtime::V0_14
        .python()
        .sandbox()
        .time_limit(Duration::from_secs(60));
    let builder = builder.callback("never", move |_| {
        let dropped = Dropped(flag.clone());
        async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
            Ok::<_, String>(0)
        }
    });
    let mut sandbox = builder.build().await.unwrap();
    let code = "
import asyncio
try:
    await asyncio.wait_for(never(), timeout=0.05)
except TimeoutError:
    print('too late')
";
    assert_eq!(sandbox.execute(code).await.unwrap().stdout, "too late\n");
    assert!(cancelled.load(Ordering::SeqCst), "the future still lives");
    assert_eq!(sandbox.execute("print(1)").await.unwrap().stdout, "1\n");
}

#[tokio::test]
async fn an_execution_that_is_dropped_half_way_drops_its_calls() {
    for runtime in BOTH {
        let cancelled = Arc::new(AtomicBool::new(false));
        let called = Arc::new(tokio::sync::Notify::new());
        let (flag, notify) = (cancelled.clone(), called.clone());
        let builder = runtime.python().sandbox().callback("never", move |_| {
            let dropped = Dropped(flag.clone());
            notify.notify_one();
            async move {
                let _dropped = dropped;
                std::future::pending::<()>().await;
                Ok::<_, String>(0)
            }
        });
        let mut sandbox = builder.build().await.unwrap();
        tokio::select! {
            result = sandbox.execute("await never()") => panic!("{result:?}"),
            () = called.notified() => {}
        }
        let error = sandbox.execute("print(1)").await.unwrap_err();
        assert!(matches!(error, Error::Ended), "{runtime:?}: {error:?}");
        drop(sandbox);
        assert!(cancelled.load(Ordering::SeqCst), "{runtime:?}");
    }
}

#[tokio::test]
async fn calls_that_wait_for_ever_or_block_are_bounded_by_the_time_limit() {
    for runtime in BOTH {
        let limit = Duration::from_millis(200);
        let sandbox = || {
            let builder = runtime.python().sandbox().time_limit(limit);
            builder
                .callback("wait", |_| async {
                    std::future::pending::<()>().await;
                    Ok::<_, String>(0)
                })
                .callback("block", |_| async {
                    std::thread::sleep(Duration::from_millis(400));
                    Ok::<_, String>(0)
                })
                .build()
        };
        let forever = "await block()\nwhile True: pass";
        for code in ["await wait()", forever] {
            let started = Instant::now();
            let error = sandbox().await.unwrap().execute(code).await.unwrap_err();
            assert!(
                matches!(error, Error::TimeLimit { .. }),
                "{runtime:?}, {code}: {error:?}"
            );
            assert!(started.elapsed() < Duration::from_secs(60));
        }
    }
}

#[tokio::test]
async fn each_sandbox_has_its_own_callbacks_and_calls_many() {
    for runtime in BOTH {
        let python = runtime.python();
        let counts = [const { AtomicUsize::new(0) }; 2].map(Arc::new);
        for (index, count) in counts.iter().enumerate() {
            let counter = count.clone();
            let builder = python.sandbox().callback("count", move |_| {
                let before = counter.fetch_add(1, Ordering::SeqCst);
                async move { Ok::<_, String>(before) }
            });
            let mut sandbox = builder.build().await.unwrap();
            for _ in 0..3 {
                let code = format!("for _ in range({}): await count()", 50 * (index + 1));
                sandbox.execute(&code).await.unwrap();
            }
        }
        let counts = counts.map(|count| count.load(Ordering::SeqCst));
        assert_eq!(counts, [150, 300], "{runtime:?}");
        let mut without = python.sandbox().build().await.unwrap();
        let error = without.execute("await count()").await.unwrap_err();
        assert!(
            error.to_string().contains("NameError"),
            "{runtime:?}: {error}"
        );
    }
}
