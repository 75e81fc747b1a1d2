//! Runtimes before 0.6 trace all user code, whether or not the host looks at what that
//! reports: each line calls a Python function, and takes hundreds of times as long.
//!
//! They call `sys.settrace(__main__._eryx_trace_func)` for each execution and look at
//! that name for nothing else, so `None` in its place means no tracing. Callbacks report
//! their events without it. Later runtimes decide for each execution, by what the host
//! says: there the function stays.

use crate::guest::failure::Failure;
use crate::guest::instance::Guest;

/// Executed first: imports and set-up code are spared the tracing as well.
///
/// It shares the user's global names, which may hide built-in ones: it uses none of them,
/// and leaves none.
const STOP: &str = r#"
def _eryx_preinit_trace():
    import __main__, sys
    from builtins import getattr, hasattr
    code = getattr(getattr(__main__, '_eryx_exec', None), '__code__', None)
    if hasattr(__main__, '_eryx_trace_func') and code and code.co_argcount == 1:
        __main__._eryx_trace_func = None
        sys.settrace(None)
_eryx_preinit_trace()
del _eryx_preinit_trace
"#;

impl Guest {
    /// Turns off what traces user code line by line, where the runtime does so unasked.
    pub(crate) async fn stop_tracing(&mut self) -> Result<(), Failure> {
        let stopped = self.execute(STOP, "tracing").await?;
        stopped.map_err(|message| Failure::of_own_code("tracing cannot be turned off", message))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Plan, Workbench};

    /// Counts what the runtime reports to its host.
    const COUNT: &str = "
import _eryx
def counted(*event):
    events.append(event)
events = []
_eryx._eryx_report_trace = counted
";
    const LOOP: &str = "for i in range(100):\n    pass\n";

    fn events(bench: &Workbench, trace: bool) -> usize {
        let snapshots = bench.restorables(&[Plan {
            trace,
            ..Plan::default()
        }]);
        let results = snapshots[0].execute(1, &[COUNT, LOOP, "print(len(events))"]);
        results[2].as_ref().unwrap().trim().parse().unwrap()
    }

    #[test]
    fn runtime_0_5_traces_only_when_asked() {
        let bench = Workbench::new("0.5.0");
        assert_eq!(events(&bench, false), 0);
        // Two a turn, and a few around them.
        assert!(events(&bench, true) > 200);
    }

    #[test]
    fn runtime_0_14_keeps_its_trace_function() {
        let bench = Workbench::new("0.14.0");
        let snapshots = bench.restorables(&[Plan::default()]);
        let results = snapshots[0].execute(
            1,
            &["import __main__; print(callable(__main__._eryx_trace_func))"],
        );
        assert_eq!(results, [Ok("True\n".to_owned())]);
        assert_eq!(events(&bench, false), 0);
    }
}
