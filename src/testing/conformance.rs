//! Restored state is whole: the programs in `tests/conformance` print the same in
//! a Python that has just started and in one that was restored.
//!
//! `prepared.py` leaves behind whatever an import can: suspended generators, a
//! decimal context, weak references, warning filters, … In the fresh instance it
//! is imported by the first program, in the restored one it was before.
//!
//! CPython's own tests have to end alike in both, too.

use crate::testing::{Plan, Restorable, Workbench, native};
use crate::wasm::link::{Extension, Library};
use crate::wasm::sections;
use std::fs;
use std::path::{Path, PathBuf};

/// How many instances are made of one snapshot.
const INSTANCES: usize = 3;

/// How often an instance runs all programs.
const ROUNDS: usize = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs, in the order of their names, each as one string to execute.
fn programs() -> Vec<(String, String)> {
    let mut programs: Vec<_> = fs::read_dir(root().join("tests/conformance"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .filter(|(name, _)| name.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    programs.sort();
    programs
}

/// What a bench needs to run the programs.
const IMPORTS: [&str; 6] = ["prepared", "asyncio", "json", "re", "traceback", "argparse"];

fn prepare(bench: &Workbench) {
    let prepared = fs::read_to_string(root().join("tests/conformance/prepared.py")).unwrap();
    bench.module("prepared", Some(&prepared));
}

/// Runs `all` in restored instances, `names` in turns, and compares with what a fresh
/// one said.
fn compare(
    names: &[&str],
    fresh: &[Result<String, String>],
    restored: &Restorable<'_>,
    all: &[&str],
) {
    let mut equal = 0;
    let mut problems = Vec::new();
    for instance in 0..INSTANCES {
        for (index, (expected, output)) in fresh.iter().zip(restored.execute(0, all)).enumerate() {
            let (name, round) = (names[index % names.len()], index / names.len());
            // A program that fails alike in both says little.
            let whole = |printed: &String| printed.lines().count() > 2;
            if *expected == output && output.as_ref().is_ok_and(whole) {
                equal += 1;
            } else {
                problems.push(format!(
                    "{name} in instance {instance}, round {round}:\n{expected:?}\n{output:?}"
                ));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!("{equal} program runs in {INSTANCES} restored instances, all like the fresh one's");
}

#[test]
fn restored_instances_of_runtime_0_5_run_like_fresh_ones() {
    restored_instances_run_like_fresh_ones("0.5.0");
}

#[test]
fn restored_instances_of_runtime_0_14_run_like_fresh_ones() {
    restored_instances_run_like_fresh_ones("0.14.0");
}

fn restored_instances_run_like_fresh_ones(version: &str) {
    let bench = Workbench::new(version);
    prepare(&bench);
    let programs = programs();
    let names: Vec<&str> = programs.iter().map(|(name, _)| name.as_str()).collect();
    let all: Vec<&str> = std::iter::repeat_n(&programs, ROUNDS)
        .flatten()
        .map(|(_, code)| code.as_str())
        .collect();
    let fresh = bench.fresh(&all);
    let restored = bench.snapshots(&[(&IMPORTS, &[])]).remove(0);
    compare(&names, &fresh, &restored, &all);
}

/// Imports an extension when it runs: the library is opened, and its symbol found.
const OPENS: &str =
    "import fast\nprint(fast.answer(), fast.__name__)\nprint(fast)\nprint(dir(fast))";

/// Turns the tracing of every line off, which snapshots of runtimes before 0.6 do
/// without: a fresh instance takes hours with it.
const NO_TRACE: &str = "import sys, __main__\n__main__._eryx_trace_func = None\nsys.settrace(None)";

/// A runtime, with an extension that is linked and opened when it is imported.
fn bench(version: &str, extension: bool) -> Workbench {
    let extensions = [Extension {
        library: Library {
            name: "/site-packages/fast.cpython-314-wasm32-wasi.so".to_owned(),
            wasm: native::extension("fast", 7),
        },
        openable: true,
        shown: "fast".to_owned(),
    }];
    Workbench::with_extensions(version, if extension { &extensions } else { &[] })
}

/// Fresh instances of the component as it is linked, restored ones of the fused.
fn fused_instances_run_like_unfused_ones(version: &str, extension: bool) {
    let mut bench = bench(version, extension);
    prepare(&bench);
    let mut programs = programs();
    if extension {
        programs.truncate(1);
        programs.push(("fast".to_owned(), OPENS.to_owned()));
    }
    let names: Vec<&str> = programs.iter().map(|(name, _)| name.as_str()).collect();
    let all: Vec<&str> = programs.iter().map(|(_, code)| code.as_str()).collect();
    let fresh = bench.fresh(&all);
    bench.fuse();
    let restored = bench.snapshots(&[(&IMPORTS, &[])]).remove(0);
    compare(&names, &fresh, &restored, &all);
    // Lazily filled tables, constant bases: of the segments, none is left to run.
    let modules = sections::core_modules(&restored.whole).unwrap();
    assert!(modules.len() <= 4, "{} core modules", modules.len());
}

#[test]
fn fused_0_5_runs_like_unfused() {
    fused_instances_run_like_unfused_ones("0.5.0", false);
}

#[test]
fn fused_0_14_runs_like_unfused() {
    fused_instances_run_like_unfused_ones("0.14.0", false);
}

#[test]
fn fused_0_5_opens_libraries() {
    fused_instances_run_like_unfused_ones("0.5.0", true);
}

#[test]
fn fused_0_14_opens_libraries() {
    fused_instances_run_like_unfused_ones("0.14.0", true);
}

/// Modules of CPython's package `test`, of those that need no threads, processes,
/// network or files of their own; without those that take long, and `test_descr`, whose
/// recursion ends any instance.
const MODULES: &[&str] = &[
    "test_abc",
    "test_array",
    "test_augassign",
    "test_base64",
    "test_binascii",
    "test_bisect",
    "test_bool",
    "test_calendar",
    "test_collections",
    "test_contains",
    "test_context",
    "test_contextlib",
    "test_copy",
    "test_copyreg",
    "test_coroutines",
    "test_dataclasses",
    "test_decorators",
    "test_defaultdict",
    "test_dict",
    "test_dictviews",
    "test_difflib",
    "test_enum",
    "test_enumerate",
    "test_exception_group",
    "test_exceptions",
    "test_extcall",
    "test_fnmatch",
    "test_format",
    "test_fractions",
    "test_functools",
    "test_gc",
    "test_generators",
    "test_genericalias",
    "test_graphlib",
    "test_hash",
    "test_hashlib",
    "test_heapq",
    "test_hmac",
    "test_html",
    "test_ipaddress",
    "test_iter",
    "test_json",
    "test_keyword",
    "test_list",
    "test_listcomps",
    "test_memoryview",
    "test_operator",
    "test_ordered_dict",
    "test_patma",
    "test_pprint",
    "test_property",
    "test_quopri",
    "test_raise",
    "test_random",
    "test_range",
    "test_re",
    "test_reprlib",
    "test_scope",
    "test_shlex",
    "test_slice",
    "test_sort",
    "test_strftime",
    "test_string",
    "test_strptime",
    "test_struct",
    "test_super",
    "test_textwrap",
    "test_time",
    "test_tuple",
    "test_types",
    "test_typing",
    "test_unary",
    "test_unpack",
    "test_urlparse",
    "test_userdict",
    "test_userlist",
    "test_weakref",
    "test_weakset",
    "test_with",
    "test_yield_from",
    "test_zlib",
];

/// Runs the tests of `module`, and prints the end of each.
const RUN: &str = r#"
def run(module):
    import contextlib, io, re, unittest
    class Ends(unittest.TestResult):
        def startTest(self, test):
            super().startTest(test)
            ends[test.id()] = "ok"
        def end(self, test, what):
            ends[test.id()] = what
        def addSkip(self, test, reason):
            self.end(test, "skipped: " + reason)
        def addError(self, test, error):
            self.end(test, "error: " + error[0].__name__)
        def addFailure(self, test, error):
            self.end(test, "failure: " + error[0].__name__)
        def addSubTest(self, test, subtest, error):
            if error is not None:
                self.end(test, "failure: " + error[0].__name__)
        def addExpectedFailure(self, test, error):
            self.end(test, "expected failure")
        def addUnexpectedSuccess(self, test):
            self.end(test, "unexpected success")
    def flat(suite):
        for test in suite:
            yield from flat(test) if isinstance(test, unittest.TestSuite) else [test]
    # The C stack has no guard on WASI: what exhausts it ends any instance.
    deep = re.compile("recurs|deep|nest|overflow|depth|crash", re.I)
    ends = {}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        suite = unittest.defaultTestLoader.loadTestsFromName("test." + module)
        tests = [test for test in flat(suite) if not deep.search(test.id())]
        unittest.TestSuite(tests).run(Ends())
    for name, end in ends.items():
        print(name, "...", end)
"#;

/// The folder of CPython's package `test`, which is not part of any runtime:
/// `.ci/cpython-tests` gets Debian's of 3.11, most of which 3.14 passes.
#[expect(clippy::disallowed_methods, reason = "a test's switch, not a build's")]
fn cpython_s_own_tests() -> PathBuf {
    std::env::var_os("ERYX_PREINIT_CPYTHON_TESTS")
        .expect("ERYX_PREINIT_CPYTHON_TESTS names the folder `test`")
        .into()
}

/// What counts is that both Pythons end each test alike: a fresh one of the component as
/// it is linked, and a restored one of the fused.
fn cpython_s_own_tests_end_alike(version: &str, extension: bool) {
    let package = cpython_s_own_tests();
    let bench = || {
        let bench = bench(version, extension);
        bench.package("test", &package);
        // A module that cannot be imported here is found out when its tests are run.
        let load = format!(
            "import importlib\nfor name in {MODULES:?}:\n    try:\n        \
             importlib.import_module('test.' + name)\n    except BaseException:\n        pass\n"
        );
        bench.module("tests", Some(&load));
        bench
    };
    let mut scripts = vec![
        NO_TRACE.to_owned(),
        "import tests".to_owned(),
        RUN.to_owned(),
    ];
    if extension {
        scripts.push(OPENS.to_owned());
    }
    let prepared = scripts.len();
    scripts.extend(MODULES.iter().map(|name| format!("run({name:?})")));
    let scripts: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let (fresh, restored) = std::thread::scope(|scope| {
        let fresh = scope.spawn(|| bench().fresh(&scripts));
        let mut bench = bench();
        bench.fuse();
        let restored = bench.snapshots(&[(&["tests"], &[])]).remove(0);
        let restored = restored.execute(0, &scripts);
        (fresh.join().unwrap(), restored)
    });
    // The fresh one says here what the other one said before its snapshot was taken.
    let ready = fresh[..prepared].iter().chain(&restored[..prepared]);
    ready.for_each(|result| assert!(result.is_ok(), "{result:?}"));
    let passed = ends_alike(
        &scripts[prepared..],
        &fresh[prepared..],
        &restored[prepared..],
    );
    assert!(passed > 1000, "only {passed} tests passed");
}

/// Compares how each test ended, module by module; how many ended well.
fn ends_alike(
    scripts: &[&str],
    fresh: &[Result<String, String>],
    restored: &[Result<String, String>],
) -> usize {
    let (mut equal, mut passed, mut problems) = (0, 0, Vec::new());
    for (name, (fresh, restored)) in scripts.iter().zip(fresh.iter().zip(restored)) {
        let (Ok(fresh), Ok(restored)) = (fresh, restored) else {
            problems.push(format!("{name}: {fresh:?} and {restored:?}"));
            continue;
        };
        if fresh.lines().count() != restored.lines().count() || fresh.is_empty() {
            problems.push(format!("{name}: not the same tests"));
        }
        for (fresh, restored) in fresh.lines().zip(restored.lines()) {
            match fresh == restored {
                true => equal += 1,
                false => problems.push(format!("fresh:    {fresh}\nrestored: {restored}")),
            }
            passed += usize::from(fresh.ends_with("... ok"));
        }
    }
    println!(
        "{equal} tests of {} modules end alike, {passed} of them well",
        scripts.len()
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    passed
}

#[test]
#[ignore = "needs CPython's package `test`: run .ci/cpython-tests"]
fn cpython_s_own_tests_end_alike_on_0_5() {
    cpython_s_own_tests_end_alike("0.5.0", false);
}

#[test]
#[ignore = "needs CPython's package `test`: run .ci/cpython-tests"]
fn cpython_s_own_tests_end_alike_on_0_5_with_an_extension() {
    cpython_s_own_tests_end_alike("0.5.0", true);
}

#[test]
#[ignore = "needs CPython's package `test`: run .ci/cpython-tests"]
fn cpython_s_own_tests_end_alike_on_0_14() {
    cpython_s_own_tests_end_alike("0.14.0", false);
}

#[test]
#[ignore = "needs CPython's package `test`: run .ci/cpython-tests"]
fn cpython_s_own_tests_end_alike_on_0_14_with_an_extension() {
    cpython_s_own_tests_end_alike("0.14.0", true);
}

/// Those of CPython's own tests that are about importing, and about files that are read.
const IMPORT_MODULES: &[&str] = &[
    "test_filecmp",
    "test_fileinput",
    "test_glob",
    "test_import",
    "test_importlib",
    "test_inspect",
    "test_linecache",
    "test_modulefinder",
    "test_pkg",
    "test_pkgutil",
    "test_pyclbr",
    "test_runpy",
    "test_zipimport",
];

/// Prints what reads a module of the standard library.
const LOADER: &str = "import xml.dom; print(type(xml.dom.__loader__).__name__)";

/// Compares a Python that imports the standard library from mounted files with one that
/// imports it from its memory: what either does while importing is tested, the tests
/// themselves come from files.
fn cpython_s_import_tests_end_alike(version: &str) {
    let bench = Workbench::new(version);
    bench.package("test", &cpython_s_own_tests());
    let archive = bench.archive(true);
    let snapshots = bench.restorables(&[
        Plan::default(),
        Plan {
            embedded: Some(&archive),
            ..Plan::default()
        },
    ]);
    let runs: Vec<String> = IMPORT_MODULES
        .iter()
        .map(|name| format!("run({name:?})"))
        .collect();
    let mut scripts = vec![NO_TRACE, RUN, LOADER];
    let prepared = scripts.len();
    scripts.extend(runs.iter().map(String::as_str));
    let [mounted, embedded] = [0, 1].map(|at: usize| snapshots[at].execute(0, &scripts));
    // They do import in different ways.
    let [files, memory] = [&mounted, &embedded].map(|results| results[prepared - 1].as_ref());
    assert_eq!(files.unwrap(), "SourceFileLoader\n");
    assert_ne!(memory.unwrap(), "SourceFileLoader\n");
    let passed = ends_alike(
        &scripts[prepared..],
        &mounted[prepared..],
        &embedded[prepared..],
    );
    assert!(passed > 500, "only {passed} tests passed");
}

#[test]
#[ignore = "needs CPython's package `test`: run .ci/cpython-tests"]
fn cpython_s_own_tests_of_importing_on_0_5() {
    cpython_s_import_tests_end_alike("0.5.0");
}

#[test]
#[ignore = "needs CPython's package `test`: run .ci/cpython-tests"]
fn cpython_s_own_tests_of_importing_on_0_14() {
    cpython_s_import_tests_end_alike("0.14.0");
}
