//! The pipeline without cargo around it: real libraries, real Python.

use eryx_preinit_build::{Builder, CompilerChoice, Stage};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod runtime;

use runtime::builder;

/// A builder whose site-packages holds `modules`.
fn with_modules(dir: &Path, modules: &[(&str, &str)]) -> Builder {
    let site_packages = dir.join("site-packages");
    fs::create_dir_all(&site_packages).unwrap();
    for (name, code) in modules {
        fs::write(site_packages.join(format!("{name}.py")), code).unwrap();
    }
    let out = dir.join("out");
    fs::create_dir_all(&out).unwrap();
    let mut builder = builder(&out, &[modules[0].0]);
    builder.config.site_packages = Some(site_packages);
    builder
}

#[track_caller]
fn import_error(builder: &Builder) -> String {
    match builder.build() {
        Err(error) if error.stage() == Stage::Import => format!("{:?}", error.report()),
        Err(other) => panic!("another stage failed: {other:?}"),
        Ok(_) => panic!("it built"),
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let [one, two] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let mut digests = Vec::new();
    for (dir, engine) in [
        (&one, CompilerChoice::Auto),
        (&two, CompilerChoice::Cranelift),
    ] {
        let mut builder = with_modules(
            dir.path(),
            &[(
                "pkg_a",
                "import json, re\nX = {i: str(i) for i in range(99)}\n",
            )],
        );
        // Other times, another engine, a cold cache for the second.
        builder.config.engine = engine;
        builder.config.cache_dir = None;
        digests.push(builder.build().unwrap().component.sha256.clone());
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn secrets_made_before_the_snapshot_are_warned_of_also_from_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let secret = (
        "app_secret",
        "import os, secrets\nKEY = os.environ.get('KEY') or secrets.token_hex(16)\n\
         def draw():\n    global KEY\n    KEY = secrets.token_hex(16)\n",
    );
    let build = |out: &str, on_restore: &[&str]| {
        let mut builder = with_modules(&dir.path().join(out), &[secret]);
        builder.config.on_restore = on_restore.iter().map(|&s| s.to_owned()).collect();
        // As in a build script whose `main` is asynchronous.
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let artifacts = runtime
            .unwrap()
            .block_on(async { builder.build() })
            .unwrap();
        artifacts.warnings
    };
    let warnings = build("one", &[]);
    let named = "`app_secret` draws from the system's randomness before the snapshot \
                 (/site-packages/app_secret.py, line 2)";
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with(named), "{warnings:?}");
    assert_eq!(build("two", &[]), warnings);
    assert_eq!(build("three", &["app_secret:draw"]), [""; 0]);
}

#[test]
fn nothing_changed_is_noticed_and_a_lost_or_edited_output_is_too() {
    let dir = tempfile::tempdir().unwrap();
    let builder = builder(dir.path(), &["json"]);
    let first = builder.build().unwrap();
    let wasm = first.component.path.clone();
    let bytes = fs::read(&wasm).unwrap();
    let modified = fs::metadata(&wasm).unwrap().modified().unwrap();
    assert_eq!(builder.build().unwrap(), first);
    assert_eq!(fs::metadata(&wasm).unwrap().modified().unwrap(), modified);
    fs::remove_file(&wasm).unwrap();
    assert!(builder.build().unwrap().component.cached);
    assert_eq!(fs::read(&wasm).unwrap(), bytes);
    fs::write(&wasm, b"edited").unwrap();
    builder.build().unwrap();
    assert_eq!(fs::read(&wasm).unwrap(), bytes);
}

#[test]
fn snapshots_side_by_side_share_link_and_code_and_fail_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = builder(dir.path(), &["json"]);
    builder.config.cache_dir = None;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    builder.progress(move |line| ear.lock().unwrap().push(line.to_owned()));
    builder.snapshot("web", |config| config.imports = vec!["csv".to_owned()]);
    builder.snapshot("same", |_| ());
    builder.snapshot("bad", |config| config.imports = vec!["nope".to_owned()]);
    let error = builder.build().unwrap_err();
    assert_eq!(error.stage(), Stage::Import);
    assert_eq!(error.report().notes()[0], "in the snapshot `bad`");
    let said = std::mem::take(&mut *heard.lock().unwrap()).join("\n");
    let times = |what: &str| said.matches(what).count();
    assert_eq!(
        (times("link: "), times(" compile: ") + times("\ncompile: ")),
        (1, 1),
        "{said}"
    );
    assert!(
        times("fuse: from the cache") >= 2 && times("web: import csv") == 1,
        "{said}"
    );

    // What did not fail is there, and not made again.
    builder.snapshots.remove("bad");
    let artifacts = builder.build().unwrap();
    let said = std::mem::take(&mut *heard.lock().unwrap()).join("\n");
    assert_eq!(said.matches("nothing changed").count(), 3, "{said}");
    let names: Vec<_> = artifacts.snapshots.keys().collect();
    assert_eq!(names, ["same", "web"]);
    let [same, web] = ["same", "web"].map(|name| &artifacts.snapshots[name]);
    assert!(web.component.path.ends_with("web.wasm"));
    assert_eq!(same.component.sha256, artifacts.component.sha256);
    assert_ne!(web.component.sha256, artifacts.component.sha256);
    assert_eq!(web.stdlib, artifacts.stdlib);
    assert!(web.stdlib.as_ref().unwrap().join("os.py").is_file());
}

#[test]
fn damaged_entries_are_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = builder(dir.path(), &["json"]);
    builder.config.cache_dir = None;
    let first = builder.build().unwrap();
    let folder = dir.path().join("eryx-preinit");
    for stage in ["fuse", "code", "snapshot"] {
        for entry in fs::read_dir(folder.join(stage)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            fs::write(&path, bytes).unwrap();
        }
    }
    // An edited standard library is put back, too.
    let stdlib = first.stdlib.clone().unwrap();
    fs::write(stdlib.join("json/__init__.py"), "raise SystemExit").unwrap();
    fs::remove_file(&first.component.path).unwrap();
    let again = builder.build().unwrap();
    assert!(!again.component.cached);
    assert_eq!(first.component.sha256, again.component.sha256);
    assert!(
        fs::read_to_string(stdlib.join("json/__init__.py"))
            .unwrap()
            .len()
            > 1000
    );
}

#[test]
fn a_failing_import_shows_python_s_traceback_and_what_it_printed() {
    let dir = tempfile::tempdir().unwrap();
    let text = import_error(&with_modules(
        dir.path(),
        &[(
            "broken",
            "print('on my way')\ndef f():\n    raise ValueError('no luck')\nf()\n",
        )],
    ));
    for part in [
        "cannot import `broken` (imports[0])",
        "File \"/site-packages/broken.py\", line 3, in f",
        "ValueError: no luck",
        "on my way",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn a_missing_dependency_is_told_from_a_missing_module() {
    let dir = tempfile::tempdir().unwrap();
    let text = import_error(&with_modules(
        dir.path(),
        &[("needy", "import not_there\n")],
    ));
    assert!(text.contains("`needy` depends on `not_there`"), "{text}");
}

#[test]
fn a_module_that_exits_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (code, said) in [
        ("raise SystemExit(3)\n", "raised SystemExit with code 3"),
        ("import os\nos._exit(4)\n", "ended the process"),
    ] {
        let text = import_error(&with_modules(dir.path(), &[("exits", code)]));
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }
}

#[test]
fn waiting_for_the_clock_ends() {
    let dir = tempfile::tempdir().unwrap();
    let code = "import time\nend = time.monotonic() + 0.05\nwhile time.monotonic() < end:\n    pass\ntime.sleep(0.01)\n";
    with_modules(dir.path(), &[("waits", code)])
        .build()
        .unwrap();
}

#[test]
fn an_endless_loop_times_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = with_modules(dir.path(), &[("endless", "while True:\n    pass\n")]);
    // Start-up has the same limit, and this machine may be slow.
    builder.config.timeout = Duration::from_secs(20);
    let text = import_error(&builder);
    assert!(text.contains("longer than 20s"), "{text}");
    assert!(text.contains("`timeout`"), "{text}");
}

#[test]
fn an_endless_sleep_ends_in_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let code = "import time\nwhile True:\n    time.sleep(3600)\n";
    let text = import_error(&with_modules(dir.path(), &[("endless", code)]));
    assert!(text.contains("it waits without end"), "{text}");
    assert!(text.contains("endless loop at import time"), "{text}");
}

#[test]
fn eating_memory_is_an_error_that_names_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = with_modules(dir.path(), &[("eats", "x = bytearray(10**9)\n")]);
    builder.config.memory_limit = 128 << 20;
    let text = import_error(&builder);
    assert!(text.contains("MemoryError"), "{text}");
    assert!(text.contains("memory-limit"), "{text}");
}

#[test]
fn the_guest_sees_its_mounts_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let code = r#"
import os
assert sorted(os.environ) == ["PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "PYTHONUNBUFFERED"], sorted(os.environ)
for attempt in (
    lambda: open("/site-packages/new", "w"),
    lambda: open("/python-stdlib/os.py", "a"),
    lambda: open("/site-packages/../../../../../../etc/passwd"),
    lambda: open("/etc/passwd"),
    lambda: os.listdir("/etc"),
    lambda: os.mkdir("/x"),
):
    try:
        attempt()
    except OSError:
        pass
    else:
        raise AssertionError(attempt)
try:
    import socket
    socket.create_connection(("127.0.0.1", 80), timeout=1)
except Exception:
    pass
else:
    raise AssertionError("connected")
"#;
    with_modules(dir.path(), &[("nosy", code)]).build().unwrap();
    assert_eq!(
        fs::read_dir(dir.path().join("site-packages"))
            .unwrap()
            .count(),
        1
    );
}

/// Imports `other`, whose source cannot be compiled here, and shows that it is there all
/// the same: in tracebacks, and to who asks for it.
const LOOKS: &str = r#"
import importlib.machinery, inspect, json, traceback
def never(*_):
    raise AssertionError("compiled")
importlib.machinery.SourceFileLoader.source_to_code = never
import csv, other
assert other.WHO == "this source", other.WHO
assert "who = WHO" in inspect.getsource(other.fails), inspect.getsource(other.fails)
try:
    other.fails()
except LookupError:
    text = traceback.format_exc()
    assert 'File "/site-packages/other.py", line 4, in fails' in text, text
    assert "raise LookupError(who)" in text, text
try:
    import leftover
except AssertionError:
    pass
"#;

const OTHER: &str =
    "WHO = 'this source'\ndef fails():\n    who = WHO\n    raise LookupError(who)\n";

/// What lies in the bytecode folder of `folder`, and in the cache.
fn bytecode(folder: &Path, cache: &Path) -> (Vec<String>, usize) {
    let names = fs::read_dir(folder.join("__pycache__")).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let entries = fs::read_dir(cache.join("bytecode")).unwrap().count();
    (names, entries)
}

#[test]
fn python_imports_from_bytecode_of_its_sources() {
    for version in ["0.5.0", "0.14.0"] {
        let dir = tempfile::tempdir().unwrap();
        let modules = [
            ("looks", LOOKS),
            ("other", OTHER),
            ("leftover", "print 'python 2'\n"),
        ];
        let mut builder = with_modules(dir.path(), &modules);
        let cache = dir.path().join("cache");
        builder.config.cache_dir = Some(cache.clone());
        builder.config.runtime = Some(runtime::folder(version));
        // What a package brings may be of another source.
        let site_packages = builder.config.site_packages.clone().unwrap();
        fs::create_dir(site_packages.join("__pycache__")).unwrap();
        let stale = site_packages.join("__pycache__/other.cpython-314.pyc");
        fs::write(&stale, "not bytecode").unwrap();

        let artifacts = builder.build().unwrap();
        let given = artifacts.site_packages.clone().unwrap();
        let expected = ["looks.cpython-314.pyc", "other.cpython-314.pyc"].map(str::to_owned);
        let (names, entries) = bytecode(&given, &cache);
        assert_eq!(names, expected);
        // That one does not compile is an entry, too.
        assert_eq!(entries, 3);
        assert_eq!(fs::read(&stale).unwrap(), b"not bytecode");
        let stdlib = artifacts.stdlib.unwrap();
        assert!(
            stdlib
                .join("json/__pycache__/__init__.cpython-314.pyc")
                .is_file()
        );

        // One changed file compiles one file.
        let looks = fs::read(given.join("__pycache__/looks.cpython-314.pyc")).unwrap();
        fs::write(site_packages.join("other.py"), format!("{OTHER}# more\n")).unwrap();
        let artifacts = builder.build().unwrap();
        let given = artifacts.site_packages.clone().unwrap();
        assert_eq!(bytecode(&given, &cache), (expected.to_vec(), 4));
        assert_eq!(
            fs::read(given.join("__pycache__/looks.cpython-314.pyc")).unwrap(),
            looks
        );

        // Where the folder is gone, or part of it, it is filled from the cache.
        fs::remove_file(given.join("__pycache__/looks.cpython-314.pyc")).unwrap();
        fs::remove_file(&artifacts.component.path).unwrap();
        let again = builder.build().unwrap();
        assert!(again.component.cached);
        assert_eq!(bytecode(&given, &cache), (expected.to_vec(), 4));
        // And if that has lost it, the guest makes it again.
        fs::remove_dir_all(cache.join("bytecode")).unwrap();
        fs::remove_file(given.join("__pycache__/looks.cpython-314.pyc")).unwrap();
        fs::remove_file(&artifacts.component.path).unwrap();
        let again = builder.build().unwrap();
        assert_eq!(again.component.sha256, artifacts.component.sha256);
        assert_eq!(bytecode(&given, &cache), (expected.to_vec(), 3));
    }
}

/// Folders whose sources are not all those of the embedded archive: the rest is compiled.
#[test]
fn another_standard_library_gets_its_bytecode_too() {
    let dir = tempfile::tempdir().unwrap();
    let first = builder(&dir.path().join("first"), &["json"]);
    fs::create_dir(dir.path().join("first")).unwrap();
    let stdlib = first.build().unwrap().stdlib.unwrap();
    let own = dir.path().join("own");
    for entry in walkdir::WalkDir::new(&stdlib) {
        let entry = entry.unwrap();
        let target = own.join(entry.path().strip_prefix(&stdlib).unwrap());
        match entry.file_type().is_dir() {
            true => fs::create_dir(&target).unwrap(),
            false => drop(fs::copy(entry.path(), &target).unwrap()),
        }
    }
    // Edited behind its bytecode.
    let json = own.join("json/__init__.py");
    let edited = format!("{}\nEDITED = True\n", fs::read_to_string(&json).unwrap());
    fs::write(&json, edited).unwrap();
    let mut second = builder(&dir.path().join("second"), &[]);
    fs::create_dir(dir.path().join("second")).unwrap();
    let cache = dir.path().join("cache");
    second.config.cache_dir = Some(cache.clone());
    second.config.stdlib = Some(own);
    second.config.setup_code = Some("import json\nassert json.EDITED".to_owned());
    let given = second.build().unwrap().stdlib.unwrap();
    let (names, entries) = bytecode(&given.join("json"), &cache);
    assert!(
        names.contains(&"__init__.cpython-314.pyc".to_owned()),
        "{names:?}"
    );
    assert_eq!(entries, 1);
}

#[test]
fn a_runtime_without_its_files_lists_them() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = dir.path().join("runtime");
    fs::create_dir_all(runtime.join("libs")).unwrap();
    fs::create_dir_all(runtime.join("prebuilt")).unwrap();
    let error = Builder::new(dir.path().join("out"), runtime)
        .build()
        .unwrap_err();
    assert_eq!(error.stage(), Stage::Runtime, "{error:?}");
    assert!(
        format!("{error:?}").contains("libpython3.14.so.zst"),
        "{error:?}"
    );
}

#[test]
fn eight_builds_at_once_run_python_once() {
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    let artifacts: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..8)
            .map(|index| {
                let out = dir.path().join(format!("out-{index}"));
                let shared = shared.clone();
                scope.spawn(move || {
                    fs::create_dir_all(&out).unwrap();
                    let mut builder = builder(&out, &["json"]);
                    builder.config.cache_dir = Some(shared);
                    builder.build().unwrap()
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .collect()
    });
    let built = artifacts.iter().filter(|a| !a.component.cached).count();
    assert_eq!(built, 1);
    let first = &artifacts[0].component.sha256;
    assert!(artifacts.iter().all(|a| a.component.sha256 == *first));
}

#[test]
fn the_oldest_runtime_works_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(dir.path(), runtime::folder("0.5.0"));
    builder.config.imports = vec!["json".to_owned(), "re".to_owned()];
    builder.config.cache_dir = Some(runtime::cache());
    let artifacts = builder.build().unwrap();
    assert!(artifacts.component.bytes > 1_000_000);
}
