//! Every limit stops what it is for, says so, and stops nothing else.

use crate::prepared::{BOTH, Runtime};
use eryx_preinit::{Error, Python, Stream};
use std::time::{Duration, Instant};

/// So much that the machine would have to be ill.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn memory_is_bounded_and_python_goes_on_after_a_memory_error() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox().memory_limit(64 << 20);
        let mut sandbox = builder.build().await.unwrap();
        let error = sandbox
            .execute("x = bytearray(200 << 20)")
            .await
            .unwrap_err();
        let Error::MemoryLimit {
            bytes, traceback, ..
        } = &error
        else {
            panic!("{runtime:?}: {error}");
        };
        assert_eq!(*bytes, 64 << 20);
        assert!(traceback.contains("<user>"), "{traceback}");

        let caught = "try:\n    bytearray(200 << 20)\nexcept MemoryError:\n    print('caught')";
        assert_eq!(sandbox.execute(caught).await.unwrap().stdout, "caught\n");
        // An error of its own, although the limit was reached before.
        let other = "try:\n    bytearray(200 << 20)\nexcept MemoryError:\n    pass\n1 / 0";
        let error = sandbox.execute(other).await.unwrap_err();
        assert!(
            matches!(error, Error::Python { .. }),
            "{runtime:?}: {error}"
        );
        let error = sandbox
            .execute("raise MemoryError('mine')")
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Python { .. }),
            "{runtime:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_snapshot_that_is_too_large_for_the_limit_is_refused() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox().memory_limit(1 << 20);
        let error = builder.build().await.err().unwrap();
        assert!(
            matches!(error, Error::MemoryLimit { bytes, .. } if bytes == 1 << 20),
            "{runtime:?}: {error}"
        );
    }
}

async fn stopped_in_time(python: &Python, code: &str) {
    let limit = Duration::from_millis(300);
    let mut sandbox = python.sandbox().time_limit(limit).build().await.unwrap();
    let first = sandbox.execute("x = 1; print('in time')").await.unwrap();
    assert_eq!(first.stdout, "in time\n");
    let started = Instant::now();
    let error = sandbox.execute(code).await.unwrap_err();
    assert!(
        matches!(error, Error::TimeLimit { limit: reached, .. } if reached == limit),
        "{code}: {error}"
    );
    assert!(
        started.elapsed() >= limit,
        "{code}: {:?}",
        started.elapsed()
    );
    assert!(started.elapsed() < LONG, "{code}");
    assert!(sandbox.has_ended());
    let error = sandbox.execute("print(x)").await.unwrap_err();
    assert!(matches!(error, Error::Ended), "{error}");
}

#[tokio::test]
async fn time_is_bounded_whether_python_computes_or_waits() {
    for runtime in BOTH {
        stopped_in_time(runtime.python(), "while True: pass").await;
        // One instruction of Python, much of C.
        stopped_in_time(runtime.python(), "sum(range(1 << 40))").await;
        stopped_in_time(runtime.python(), "import time; time.sleep(600)").await;
    }
    // Runtimes before 0.10 have no timers for asyncio.
    let sleep = "import asyncio; await asyncio.sleep(600)";
    stopped_in_time(Runtime::V0_14.python(), sleep).await;
}

#[tokio::test]
async fn others_on_the_thread_have_their_turn_while_python_computes() {
    for runtime in BOTH {
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let other = tokio::time::sleep(Duration::from_millis(20));
        tokio::select! {
            biased;
            result = sandbox.execute("while True: pass") => panic!("{result:?}"),
            () = other => {}
        }
        assert!(sandbox.has_ended(), "its execution was dropped");
    }
}

#[tokio::test]
async fn fuel_is_bounded_for_each_execution() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox().fuel_limit(300_000_000);
        let mut sandbox = builder.build().await.unwrap();
        for _ in 0..20 {
            sandbox.execute("for _ in range(1000): pass").await.unwrap();
        }
        let error = sandbox.execute("while True: pass").await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::FuelLimit {
                    fuel: 300_000_000,
                    ..
                }
            ),
            "{runtime:?}: {error}"
        );
        assert!(sandbox.has_ended());
    }
}

#[tokio::test]
async fn output_is_bounded_for_each_execution() {
    for runtime in BOTH {
        let python = runtime.python();
        for (code, stream) in [
            ("while True: print('x' * 99)", Stream::Stdout),
            ("print('x' * (20 << 20))", Stream::Stdout),
            (
                "import sys\nwhile True: print('x', file=sys.stderr)",
                Stream::Stderr,
            ),
            (
                "import os\nwhile True: os.write(1, b'x' * 99)",
                Stream::Stdout,
            ),
        ] {
            let mut sandbox = python.sandbox().output_limit(1000).build().await.unwrap();
            for _ in 0..3 {
                sandbox.execute("print('x' * 900)").await.unwrap();
            }
            let error = sandbox.execute(code).await.unwrap_err();
            assert!(
                matches!(error, Error::OutputLimit { bytes: 1000, stream: s, .. } if s == stream),
                "{runtime:?}, {code}: {error}"
            );
            let printed = sandbox.printed();
            assert!(printed.stdout.len() + printed.stderr.len() <= 1000);
        }
    }
}

#[test]
fn limits_that_the_code_was_not_compiled_for_are_refused() {
    let python = Runtime::V0_14.unlimited().load().unwrap();
    let time = python.sandbox().time_limit(LONG).build_blocking();
    let text = time.err().unwrap().to_string();
    assert!(text.contains("`epoch-interruption = true`"), "{text}");
    let fuel = python.sandbox().fuel_limit(1).build_blocking();
    let text = fuel.err().unwrap().to_string();
    assert!(text.contains("`consume-fuel = true`"), "{text}");
    let builder = python.sandbox().memory_limit(64 << 20);
    let mut sandbox = builder.build_blocking().unwrap();
    assert_eq!(sandbox.execute_blocking("print(1)").unwrap().stdout, "1\n");
}

#[tokio::test]
async fn code_that_ends_the_interpreter_ends_only_its_sandbox() {
    for runtime in BOTH {
        let limit = Duration::from_secs(5);
        let sandbox = || runtime.python().sandbox().time_limit(limit).build();
        let mut exits = sandbox().await.unwrap();
        let error = exits
            .execute("import os\nprint('bye')\nos._exit(3)")
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Exit { .. }),
            "{runtime:?}: {error:?}"
        );
        assert_eq!(exits.printed().stdout, "bye\n");
        let error = exits.execute("print(1)").await.unwrap_err();
        assert!(matches!(error, Error::Ended), "{runtime:?}: {error:?}");

        let mut raises = sandbox().await.unwrap();
        let error = raises.execute("import sys; sys.exit(2)").await.unwrap_err();
        let expected = match (runtime, &error) {
            // It goes round in circles there.
            (Runtime::V0_5, Error::TimeLimit { .. }) => true,
            (Runtime::V0_14, Error::Python { traceback, .. }) => {
                traceback.ends_with(
                    "SystemExit: 2
",
                ) && !raises.has_ended()
            }
            _ => false,
        };
        assert!(expected, "{runtime:?}: {error:?}");
        let mut aborts = sandbox().await.unwrap();
        let error = aborts.execute("import os; os.abort()").await.unwrap_err();
        assert!(
            matches!(error, Error::Crash { .. }),
            "{runtime:?}: {error:?}"
        );
        assert_eq!(
            sandbox()
                .await
                .unwrap()
                .execute("print(2)")
                .await
                .unwrap()
                .stdout,
            "2\n"
        );
    }
}

#[tokio::test]
async fn recursion_without_end_is_an_exception() {
    for runtime in BOTH {
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let error = sandbox.execute("def f(): f()\nf()").await.unwrap_err();
        let Error::Python { traceback, .. } = error else {
            panic!("{runtime:?}: {error:?}");
        };
        assert!(traceback.contains("RecursionError"), "{traceback}");
        sandbox.execute("print(1)").await.unwrap();
    }
}
