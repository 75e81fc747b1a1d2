//! What Python prints and leaves behind, and how it is told of errors.

use crate::prepared::{BOTH, Runtime};
use eryx_preinit::{Error, Stream, json};
use std::sync::{Arc, Mutex, mpsc};

#[tokio::test]
async fn each_execution_has_its_output_and_its_result() {
    for runtime in BOTH {
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let code = "import sys\nprint('out ä')\nprint('err', file=sys.stderr)\nresult = {'a': [1]}";
        let output = sandbox.execute(code).await.unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), ("out ä\n", "err\n"));
        assert_eq!(output.result, Some(json!({ "a": [1] })));
        assert_eq!(output.result_error, None);

        let output = sandbox.execute("pass").await.unwrap();
        assert_eq!(
            output,
            Default::default(),
            "{runtime:?}: nothing is left of the first"
        );
        let output = sandbox.execute("result = object()").await.unwrap();
        assert_eq!(output.result, None);
        assert!(
            output.result_error.unwrap().contains("not JSON"),
            "{runtime:?}"
        );
    }
}

#[tokio::test]
async fn names_live_on_for_many_executions() {
    for runtime in BOTH {
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        sandbox.execute("import json\nn = 0").await.unwrap();
        for _ in 0..100 {
            sandbox.execute("n += 1").await.unwrap();
        }
        let output = sandbox.execute("print(json.dumps(n))").await.unwrap();
        assert_eq!(output.stdout, "100\n", "{runtime:?}");
    }
}

#[tokio::test]
async fn exceptions_come_with_their_traceback_and_what_was_printed() {
    for runtime in BOTH {
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let code = "def f(x):\n    return 1 / x\nprint('before')\nf(0)";
        let error = sandbox.execute(code).await.unwrap_err();
        let Error::Python { traceback, .. } = &error else {
            panic!("{runtime:?}: {error:?}");
        };
        for part in ["line 4, in <module>", "line 2, in f", "ZeroDivisionError"] {
            assert!(traceback.contains(part), "{runtime:?}: {traceback}");
        }
        let printed = sandbox.printed();
        assert_eq!(printed.stdout, "before\n", "{runtime:?}");
        assert_eq!(printed.stderr.trim_end(), traceback.trim_end());
        let error = sandbox.execute("def").await.unwrap_err();
        assert!(
            error.to_string().contains("SyntaxError"),
            "{runtime:?}: {error}"
        );
        assert!(!sandbox.has_ended());
    }
}

#[tokio::test]
async fn output_is_handed_on_as_it_is_written() {
    for runtime in BOTH {
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = written.clone();
        let builder = runtime.python().sandbox().on_output(move |stream, bytes| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            kept.lock().unwrap().push((stream, text));
        });
        let (before, seen) = mpsc::channel();
        let builder = builder.callback("look", move |_| {
            let printed = std::mem::take(&mut *written.lock().unwrap());
            before.send(printed).unwrap();
            async { Ok::<_, String>(0) }
        });
        let mut sandbox = builder.build().await.unwrap();
        let code = "
import os, sys
sys.stdout.write('one')
await look()
sys.stderr.write('two')
os.write(1, b'three')
await look()
";
        sandbox.execute(code).await.unwrap();
        let seen: Vec<Vec<(Stream, String)>> = seen.try_iter().collect();
        let expected = [
            vec![(Stream::Stdout, "one".to_owned())],
            vec![
                (Stream::Stderr, "two".to_owned()),
                (Stream::Stdout, "three".to_owned()),
            ],
        ];
        assert_eq!(seen, expected, "{runtime:?}");
    }
}

#[tokio::test]
async fn much_output_and_any_bytes_pass() {
    for runtime in BOTH {
        let (sender, written) = mpsc::channel();
        let builder = runtime.python().sandbox().on_output(move |_, bytes| {
            sender.send(bytes.to_vec()).unwrap();
        });
        let mut sandbox = builder.build().await.unwrap();
        let output = sandbox.execute("print('x' * 10_000_000)").await.unwrap();
        assert_eq!(output.stdout.len(), 10_000_001, "{runtime:?}");
        assert!(written.try_iter().count() > 0);
        let output = sandbox
            .execute(r"import os; os.write(1, b'\xff\x00')")
            .await
            .unwrap();
        assert_eq!(output.stdout, "\u{fffd}\0", "{runtime:?}");
        assert_eq!(
            written.try_iter().flatten().collect::<Vec<_>>(),
            b"\xff\x00"
        );
    }
}

#[tokio::test]
async fn the_result_variable_can_be_named() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox().result_variable("answer");
        let mut sandbox = builder.build().await.unwrap();
        let output = sandbox.execute("result = 1\nanswer = 42").await.unwrap();
        assert_eq!(output.result, Some(json!(42)), "{runtime:?}");
    }
}

#[test]
fn no_async_runtime_is_needed() {
    for runtime in BOTH {
        let builder = runtime.python().sandbox();
        let builder = builder.callback("half", |args| async move {
            args["x"].as_f64().map(|x| x / 2.0).ok_or("no x")
        });
        let mut sandbox = builder.build_blocking().unwrap();
        let code = "import time; time.sleep(0.01); print(await half(x=3))";
        assert_eq!(sandbox.execute_blocking(code).unwrap().stdout, "1.5\n");
    }
}

#[tokio::test]
async fn and_a_runtime_that_is_there_is_no_obstacle() {
    let mut sandbox = Runtime::V0_14.python().sandbox().build().await.unwrap();
    let code = "import time; time.sleep(0.01); print(1)";
    assert_eq!(sandbox.execute_blocking(code).unwrap().stdout, "1\n");
}
