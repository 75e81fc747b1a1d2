//! An instance that imports from its memory, without any folder, behaves like one that
//! imports from mounts.

use super::*;
use crate::testing::{Plan, Restorable, Workbench};
#[cfg(feature = "wheels")]
use std::{fs, path::Path};

#[test]
fn the_script_fits_into_a_string_literal() {
    assert!(!SCRIPT.contains(['\\']) && !SCRIPT.contains("'''"));
}

/// A package with data, a namespace package, a distribution, and a module that does not
/// compile.
const FILES: &[(&str, &str)] = &[
    ("pkg/__init__.py", "'''A package.'''\nfrom . import sub\n"),
    (
        "pkg/sub.py",
        "# A comment, ü.\ndef fails():\n    raise ValueError('x')  # here\n",
    ),
    (
        "pkg/__main__.py",
        "print('main', __name__, __spec__.name)\n",
    ),
    ("pkg/data/a.txt", "ü\n"),
    ("pkg/data/deep/b.bin", "b\0b"),
    ("pkg/empty.txt", ""),
    ("space/one/__init__.py", "x = 1\n"),
    ("space/data.txt", "text"),
    ("broken.py", "def f(:\n"),
    ("opens/__init__.py", OPENS),
    ("opens/a.txt", ""),
    ("opens/b.txt", ""),
    (
        "reads.py",
        "import opens, pkgutil; pkgutil.get_data('opens', 'b.txt')\n",
    ),
    ("single.py", "'''Single.'''\nvalue = 1\n"),
    (
        "dist_name-1.5.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: Dist.Name\nVersion: 1.5\nRequires-Dist: other\n",
    ),
    (
        "dist_name-1.5.dist-info/entry_points.txt",
        "[group]\nfirst = pkg.sub:fails\n",
    ),
    (
        "dist_name-1.5.dist-info/RECORD",
        "pkg/__init__.py,,\npkg/gone.py,,\ndist_name-1.5.dist-info/METADATA,,\n",
    ),
];

const OPENS: &str = "
import linecache, os
folder = os.path.dirname(__file__)
if os.path.exists(folder):
    with open(folder + '/b.txt'):
        os.listdir(folder)
    for name in ('/b.txt', '/a.txt'):
        try:
            os.close(os.open(folder + name, os.O_RDONLY))
        except OSError:
            pass
    linecache.getlines(__file__)
";

/// Prints what each module looks like that can be imported.
const MODULES: &str = include_str!("modules.py");

/// Prints what the interfaces around imports say.
const INTERFACES: &str = concat!(include_str!("show.py"), include_str!("interfaces.py"));

/// Prints what code sees that opens embedded files by their paths.
const BY_PATH: &str = concat!(include_str!("show.py"), include_str!("by_path.py"));

/// Modules that the build imports: what is asked of them is answered by what is in the
/// snapshot, and of others by what an instance imports.
const IMPORTS: &[&str] = &["pkg", "xml.etree.ElementTree"];

const NAMES: &str = "import __main__; print(sorted(vars(__main__)))";

/// Adds real packages, and the pure half of one with an extension.
#[cfg(feature = "wheels")]
fn add_wheels(bench: &Workbench) {
    use crate::archives::{sdist, wheel};
    let wheels = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wheels");
    let mut count = 0;
    for entry in fs::read_dir(wheels).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let bytes = || fs::read(&path).unwrap();
        let files = match name.rsplit('.').next() {
            Some("whl") => wheel::read(name, &bytes()).unwrap().files,
            Some("gz") => sdist::read(&bytes()).unwrap().files,
            _ => continue,
        };
        count += 1;
        for (name, content) in files {
            bench.file(&name, content);
        }
    }
    assert_eq!(count, 4);
}

/// Uses them.
#[cfg(feature = "wheels")]
const WHEELS: &str = include_str!("wheels.py");

/// A snapshot of which an instance has mounts, and one of which it has none.
struct Both<'a> {
    mounted: Restorable<'a>,
    embedded: Restorable<'a>,
}

impl<'a> Both<'a> {
    fn of(bench: &'a Workbench) -> Self {
        for (name, content) in FILES {
            bench.file(name, content);
        }
        #[cfg(feature = "wheels")]
        add_wheels(bench);
        let archive = bench.archive(true);
        let plan = |embedded| Plan {
            imports: IMPORTS,
            embedded,
            ..Plan::default()
        };
        let mut snapshots = bench.restorables(&[plan(None), plan(Some(&archive))]);
        let embedded = snapshots.remove(1);
        let mounted = snapshots.remove(0);
        Self { mounted, embedded }
    }

    /// Adds to `problems` where `script` does not print the same in both; how many lines
    /// it prints.
    fn same(&self, script: &str, problems: &mut Vec<String>) -> usize {
        let mounted = self.mounted.execute(1, &[script]).remove(0).unwrap();
        let alone = self.embedded.execute_alone(&[script]).remove(0).unwrap();
        for (mounted, alone) in mounted.lines().zip(alone.lines()) {
            if mounted != alone {
                problems.push(format!("mounted: {mounted}\nalone:   {alone}"));
            }
        }
        let lines = alone.lines().count();
        if lines != mounted.lines().count() {
            problems.push(format!("{lines} lines without mounts"));
        }
        lines
    }
}

fn behaves_alike(version: &str) {
    let bench = Workbench::new(version);
    let both = Both::of(&bench);
    let mut problems = Vec::new();
    #[cfg(feature = "wheels")]
    assert_eq!(both.same(WHEELS, &mut problems), 11);
    let scripts = [NAMES, INTERFACES, BY_PATH, MODULES];
    let lines = scripts.map(|script| both.same(script, &mut problems));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(
        lines[0] == 1 && lines[1] > 150 && lines[2] > 120 && lines[3] > 500,
        "{lines:?}"
    );
}

#[test]
fn modules_of_runtime_0_5_are_the_same_without_any_folder() {
    behaves_alike("0.5.0");
}

#[test]
fn modules_of_runtime_0_14_are_the_same_without_any_folder() {
    behaves_alike("0.14.0");
}

const WITHOUT_SOURCES: &str = "
import csv, inspect, single
print(csv.__spec__.loader.get_source('csv'))
try:
    inspect.getsource(csv.DictReader)
except OSError:
    print('no source')
# It has no bytecode.
print(inspect.getsource(single))
";

const MOUNTED_LATER: &str = "
import later, single, turtledemo
print(later.value, single.value, turtledemo.__file__)
";

#[test]
fn sources_can_be_left_out_and_mounts_add_what_is_not_embedded() {
    let bench = Workbench::new("0.14.0");
    for (name, content) in FILES {
        bench.file(name, content);
    }
    let archive = bench.archive(false);
    assert!(archive.len() + (1 << 20) < bench.archive(true).len());
    let plan = Plan {
        imports: &["reads"],
        embedded: Some(&archive),
        ..Plan::default()
    };
    let taken = bench.take(&[plan]).remove(0).unwrap();
    // One of each package, and nothing that is served from memory.
    let opened = &taken.observed.opened_by_path;
    assert_eq!(opened, &["/site-packages/opens/a.txt"]);
    let snapshot = taken.restorable;
    let alone = snapshot.execute_alone(&[WITHOUT_SOURCES, "import turtledemo"]);
    let expected = "None\nno source\n'''Single.'''\nvalue = 1\n\n";
    assert_eq!(alone[0], Ok(expected.to_owned()));
    let error = alone[1].as_ref().unwrap_err();
    assert!(error.contains("No module named 'turtledemo'"), "{error}");
    // A new module, another one of an embedded name, and what is left out.
    bench.module("later", Some("value = 2"));
    bench.module("single", Some("value = 3"));
    let printed = snapshot.execute(1, &[MOUNTED_LATER]).remove(0);
    let expected = "2 1 /python-stdlib/turtledemo/__init__.py\n";
    assert_eq!(printed, Ok(expected.to_owned()));
}

/// ```text
/// cargo test --lib measure_what_embedding_costs -- --ignored --nocapture
/// ```
#[test]
#[ignore = "a measurement: it prints numbers and asserts nothing of them"]
fn measure_what_embedding_costs() {
    const NINE: &str = "import csv, decimal, dataclasses, argparse, urllib.request, \
                        xml.etree.ElementTree, email.message, typing, logging";
    let bench = Workbench::new("0.14.0");
    let archives = [true, false].map(|sources| bench.archive(sources));
    for embedded in [None, Some(&archives[0][..]), Some(&archives[1])] {
        let plan = Plan {
            imports: &["json", "re"],
            embedded,
            ..Plan::default()
        };
        let snapshot = bench.restorables(&[plan]).remove(0);
        let bytes = crate::wasm::strip::strip_custom_sections(&snapshot.whole).unwrap();
        println!(
            "archive: {:?}, python.wasm: {}, zstd -19: {}",
            embedded.map(<[u8]>::len),
            bytes.len(),
            zstd::encode_all(&bytes[..], 19).unwrap().len()
        );
        let engine = wasmtime::Engine::new(
            wasmtime::Config::new()
                .wasm_component_model_async(true)
                .epoch_interruption(true)
                .max_wasm_stack(4 << 20)
                .async_stack_size(8 << 20),
        )
        .unwrap();
        let compiled = wasmtime::component::Component::new(&engine, &snapshot.whole).unwrap();
        for _ in 0..3 {
            println!("{:?}", snapshot.time(&compiled, &["pass", NINE]));
        }
    }
}
