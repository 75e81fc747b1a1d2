//! The report: what is in it, what it leaves alone, and what a browser makes of it.

mod runtime;
mod skip;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn json(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("python-report.json")).unwrap()).unwrap()
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item[key].as_str().unwrap().to_owned())
        .collect()
}

fn sum(list: &Value, key: &str) -> u64 {
    let list = list.as_array().unwrap().iter();
    list.map(|item| item[key].as_u64().unwrap()).sum()
}

#[test]
fn a_report_says_where_time_and_bytes_went_and_leaves_the_snapshot_alone() {
    let dir = tempfile::tempdir().unwrap();
    let [with, without] = ["with", "without"].map(|name| dir.path().join(name));
    let build = |out: &Path, report| {
        fs::create_dir_all(out).unwrap();
        let mut builder = runtime::builder(out, &["html.parser", "csv"]);
        // Its own: the second build may not take the snapshot of the first.
        builder.config.cache_dir = Some(out.join("cache"));
        builder.config.report = report;
        builder.build().unwrap()
    };
    let reported = build(&with, true);
    let plain = build(&without, false);
    assert!(!plain.component.cached && !reported.component.cached);
    assert_eq!(plain.component.sha256, reported.component.sha256);
    assert_eq!(plain.report, None);
    assert!(!without.join("python-report.html").exists());
    let entries = |out: &Path| {
        let entries = fs::read_dir(out.join("cache/snapshot")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.collect::<Vec<_>>()
    };
    assert_eq!(entries(&with), entries(&without));

    let report = json(&with);
    assert_eq!(report["version"], 1);
    assert_eq!(report["warnings"], serde_json::json!([]));
    let stages = names(&report["stages"], "name");
    for stage in ["stdlib", "link", "compile", "import csv", "snapshot"] {
        assert!(stages.iter().any(|name| name == stage), "{stages:?}");
    }
    let imported = names(&report["imports"], "name");
    assert_eq!(imported, ["html.parser", "csv"]);
    let inner = names(&report["imports"][0]["imports"], "name");
    assert!(inner.iter().any(|n| n == "_markupbase"), "{inner:?}");
    assert!(report["imports"][0]["cumulative_ms"].as_f64() > Some(0.0));
    assert_eq!(report["bytes"], reported.component.bytes);
    assert_eq!(sum(&report["sizes"], "bytes"), reported.component.bytes);
    let types = names(&report["objects"], "type");
    assert!(types.iter().any(|n| n == "builtins.dict"), "{types:?}");
    libraries_and_memory(&report);
    objects_of_packages(&report);

    renders(&reported.report.unwrap().path);

    // Switched off it goes, switched on it comes, also from the cache.
    assert!(build(&with, false).component.cached);
    assert!(!with.join("python-report.html").exists());
    assert!(!with.join("python-report.json").exists());
    let again = build(&with, true);
    assert!(again.component.cached && again.report.is_some());
    let report = json(&with);
    let stages = report["stages"].as_array().unwrap();
    let snapshot = stages.iter().find(|stage| stage["name"] == "snapshot");
    assert_eq!(snapshot.unwrap()["cached"], true);
    assert_eq!(names(&report["imports"], "name"), imported);
    // Nothing changed: it stays.
    assert_eq!(build(&with, true), again);
    assert!(with.join("python-report.html").is_file());
}

/// The one in `list` whose `key` is `name`.
fn one<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let found = list
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// All code is some library's, and all memory is of one area.
fn libraries_and_memory(report: &Value) {
    let size = |part| {
        one(&report["sizes"], "part", part)["bytes"]
            .as_u64()
            .unwrap()
    };
    let libraries = &report["libraries"];
    assert_eq!(sum(libraries, "code"), size("code"));
    let of = |library, key: &str| one(libraries, "library", library)[key].as_u64().unwrap();
    let python = "libpython3.14.so";
    assert!(of(python, "code") > size("code") / 2, "{libraries}");
    assert!(of(python, "functions") > 5000, "{libraries}");
    assert!(of("libc.so", "code") > 100_000, "{libraries}");
    assert!(
        of("(adapter and linker)", "code") < size("code") / 20,
        "{libraries}"
    );
    for library in libraries.as_array().unwrap() {
        assert!(library["data_not_zero"].as_u64() <= library["data"].as_u64());
    }
    let memory = &report["memory"];
    let not_zero = size("memory, not zero");
    assert_eq!(sum(memory, "bytes"), not_zero + size("memory, zero"));
    assert_eq!(sum(memory, "not_zero"), not_zero);
    let variables = one(memory, "part", "libraries' variables")["not_zero"]
        .as_u64()
        .unwrap();
    assert!(
        sum(libraries, "data_not_zero") <= variables && variables < not_zero,
        "{memory}"
    );
    assert!(of(python, "data_not_zero") > variables / 2, "{libraries}");
    let archive = report["embedded"]["bytes"].as_u64();
    let heap = &one(memory, "part", "taken at run time")["bytes"];
    assert!(heap.as_u64() > archive, "{memory}");
}

/// Each object is of one type and of one module.
fn objects_of_packages(report: &Value) {
    let (types, packages) = (&report["objects"], &report["packages"]);
    for key in ["count", "bytes"] {
        assert_eq!(sum(types, key), sum(packages, key));
    }
    let of = |name, key: &str| one(packages, "name", name)[key].as_u64().unwrap();
    for name in ["csv", "html", "re"] {
        let (all, code) = (of(name, "bytes"), of(name, "bytecode"));
        assert!(
            4000 < code && code < all && all < 1_000_000,
            "{name}: {code} of {all}"
        );
    }
    let html = one(packages, "name", "html");
    let parser = one(&html["modules"], "name", "html.parser");
    assert!(parser["bytecode"].as_u64() > Some(10_000), "{html}");
    for key in ["count", "bytes", "bytecode"] {
        assert_eq!(sum(&html["modules"], key), html[key]);
    }
    // Little is nobody's.
    let nobody = of("(no module)", "bytes");
    assert!(nobody < sum(packages, "bytes") / 10, "{packages}");
}

/// What is embedded is listed to the last byte, and what is not as well.
#[test]
fn a_report_lists_what_is_embedded_and_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let site_packages = dir.path().join("site-packages");
    for (name, code) in [
        ("used/__init__.py", "from used import inner"),
        (
            "used/inner.py",
            "table = list(range(100_000))\ndef f(): pass",
        ),
        ("idle/__init__.py", "1"),
        ("idle/data.txt", "some text"),
    ] {
        let path = site_packages.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, code).unwrap();
    }
    let build = |name: &str, set: fn(&mut eryx_preinit_build::Config)| {
        let out = dir.path().join(name);
        fs::create_dir_all(&out).unwrap();
        let mut builder = runtime::builder(&out, &["used"]);
        builder.site_packages(&site_packages);
        builder.config.report = true;
        set(&mut builder.config);
        builder.build().unwrap();
        json(&out)
    };
    let all = build("all", |config| config.embed_exclude.push("idle".to_owned()));
    let embedded = &all["embedded"];
    assert_eq!(sum(&embedded["contents"], "bytes") + 4, embedded["bytes"]);
    let used = one(&embedded["contents"], "name", "used");
    assert_eq!(
        (&used["folder"], &used["files"]),
        (&"/site-packages".into(), &2.into())
    );
    assert_eq!(
        one(&embedded["contents"], "name", "json")["folder"],
        "/python-stdlib"
    );
    let left = one(&embedded["left_out"], "name", "idle");
    assert_eq!((&left["files"], &left["bytes"]), (&2.into(), &10.into()));
    // The table is of the module that has it.
    let used = one(&all["packages"], "name", "used");
    let inner = one(&used["modules"], "name", "used.inner");
    let bytes = inner["bytes"].as_u64().unwrap();
    assert!((400_000..8_000_000).contains(&bytes), "{used}");
    assert!(inner["bytecode"].as_u64() < Some(5000), "{used}");

    let none = build("none", |config| {
        config.embed = eryx_preinit_build::Embed::None;
        config.fuse = false;
    });
    libraries_and_memory(&none);
    let embedded = &none["embedded"];
    assert_eq!(embedded["bytes"], Value::Null);
    assert_eq!(names(&embedded["contents"], "name"), [""; 0]);
    let left = names(&embedded["left_out"], "name");
    assert!(left.iter().any(|name| name == "idle") && left.iter().any(|name| name == "csv"));
    assert!(!left.iter().any(|name| name == "used"), "{left:?}");
}

/// Has a browser load the page, where there is one.
fn renders(page: &Path) {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let version = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    let Some(browser) = browsers.iter().find(version) else {
        return skip::skipped("the page in a browser", "there is no chromium on PATH");
    };
    let shot: PathBuf = page.with_file_name("report.png");
    let options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ];
    let run = |option: String| {
        let profile = page.with_file_name("profile");
        let output = Command::new(browser)
            .args(options)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(option)
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains(":CONSOLE"), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    let dom = run("--dump-dom".to_owned());
    for text in [
        "Stages",
        "_markupbase",
        "Live objects by type",
        "Live objects by package",
        "libpython3.14.so",
        "taken at run time",
        "/python-stdlib/email",
        "<rect",
    ] {
        assert!(dom.contains(text), "{text} is not in the page");
    }
    for foreign in ["<script", "src=", "href=", "url("] {
        assert!(!dom.contains(foreign), "{foreign} is in the page");
    }
    run(format!("--screenshot={}", shot.display()));
    assert!(fs::metadata(shot).unwrap().len() > 10_000);
}
