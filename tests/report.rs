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
    for text in ["Stages", "_markupbase", "Live objects", "<rect"] {
        assert!(dom.contains(text), "{text} is not in the page");
    }
    for foreign in ["<script", "src=", "href=", "url("] {
        assert!(!dom.contains(foreign), "{foreign} is in the page");
    }
    run(format!("--screenshot={}", shot.display()));
    assert!(fs::metadata(shot).unwrap().len() > 10_000);
}
