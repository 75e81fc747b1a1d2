//! Many sandboxes: one after another, at a time, on several threads, in a pool.

use crate::prepared::{BOTH, Runtime};
use eryx_preinit::{Error, Python};
use std::time::Duration;

#[tokio::test]
async fn a_thousand_sandboxes_know_nothing_of_each_other() {
    let python = Runtime::V0_5.pooled(1);
    for n in 0..1000 {
        let mut sandbox = python.sandbox().build().await.unwrap();
        let code = format!("assert 'n' not in globals()\nn = {n}\nprint(n)");
        let output = sandbox.execute(&code).await.unwrap();
        assert_eq!(output.stdout, format!("{n}\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_share_a_pool_of_ten() {
    let python = Runtime::V0_14.pooled(10);
    let run = |n: usize, python: Python| async move {
        let builder = python.sandbox().time_limit(Duration::from_secs(120));
        let builder = builder.callback("twice", |args| async move {
            tokio::task::yield_now().await;
            Ok::<_, String>(2 * args["n"].as_u64().unwrap_or_default())
        });
        let mut sandbox = builder.build().await.unwrap();
        let code = format!("print(await twice(n={n}))");
        sandbox.execute(&code).await.unwrap().stdout
    };
    let tasks: Vec<_> = (0..1000)
        .map(|n| tokio::spawn(run(n, python.clone())))
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), format!("{}\n", 2 * n));
    }
}

#[test]
fn threads_share_one_python() {
    for runtime in BOTH {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for n in 0..10 {
                        let builder = runtime.python().sandbox();
                        let mut sandbox = builder.build_blocking().unwrap();
                        let code = format!("print({thread} * 10 + {n})");
                        let output = sandbox.execute_blocking(&code).unwrap();
                        assert_eq!(output.stdout, format!("{}\n", thread * 10 + n));
                    }
                });
            }
        });
    }
}

#[tokio::test]
async fn a_sandbox_can_move_between_threads() {
    let mut sandbox = Runtime::V0_14.python().sandbox().build().await.unwrap();
    sandbox.execute("x = 1").await.unwrap();
    let moved = std::thread::spawn(move || sandbox.execute_blocking("print(x)").unwrap().stdout);
    assert_eq!(moved.join().unwrap(), "1\n");
}

#[tokio::test]
async fn places_of_a_pool_come_free_however_their_sandboxes_end() {
    for runtime in BOTH {
        let python = runtime.pooled(2);
        let limit = Duration::from_millis(50);
        for round in 0..10 {
            let sandbox = || python.sandbox().time_limit(limit).build();
            let mut stopped = sandbox().await.unwrap();
            let error = stopped.execute("while True: pass").await.unwrap_err();
            assert!(
                matches!(error, Error::TimeLimit { .. }),
                "{runtime:?}: {error:?}"
            );
            let mut dropped = python.sandbox().build().await.unwrap();
            let execution = dropped.execute("x = 'x' * 1_000_000\nwhile True: pass");
            assert!(tokio::time::timeout(limit, execution).await.is_err());
            // Both places are taken: who comes next waits, and a wait that is given up
            // takes no place.
            let third = tokio::time::timeout(limit, python.sandbox().build());
            assert!(
                third.await.is_err(),
                "{runtime:?}, round {round}: a third place"
            );
            if round % 2 == 0 {
                drop(stopped);
            }
        }
        let mut last = [
            python.sandbox().build().await.unwrap(),
            python.sandbox().build().await.unwrap(),
        ];
        for sandbox in &mut last {
            let output = sandbox.execute("print('x' in globals())").await.unwrap();
            assert_eq!(output.stdout, "False\n", "{runtime:?}");
        }
    }
}
