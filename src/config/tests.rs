//! The block as a whole, and what is said about mistakes in it, word for word.

use super::paths::{FileType, look};
use super::rules::{KEYWORDS, module_problem};
use super::*;
use crate::error::Stage;
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

const MANIFEST: &str = "/m/Cargo.toml";

fn read(block: Value) -> Result<Config, Error> {
    Config::from_metadata(Some(&block), Path::new(MANIFEST)).map(|(config, _)| config)
}

fn ok(block: Value) -> Config {
    read(block).unwrap()
}

fn notes_of<T>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(error) if error.stage() == Stage::Config => error.report().notes().to_vec(),
        Err(other) => panic!("{other:?}"),
    }
}

/// The notes on a block, without what they all begin with.
fn notes(block: Value) -> Vec<String> {
    notes_of(read(block))
        .into_iter()
        .map(|note| {
            note.strip_prefix("package.metadata.eryx.")
                .unwrap_or_else(|| panic!("no key path: {note}"))
                .to_owned()
        })
        .collect()
}

#[track_caller]
fn one(block: Value, note: &str) {
    assert_eq!(notes(block), [note]);
}

/// One problem, and the note on it has `part` in it.
#[track_caller]
fn one_with(block: Value, part: &str) {
    let notes = notes(block);
    assert!(notes.len() == 1 && notes[0].contains(part), "{notes:?}");
}

#[test]
fn no_block_gives_the_defaults() {
    let manifest = Path::new(MANIFEST);
    let default = Config::default();
    assert_eq!(Config::from_metadata(None, manifest).unwrap().0, default);
    assert_eq!(ok(Value::Null), default);
    assert_eq!(ok(json!({})), default);
    default.check().unwrap();
    default.check_paths(None, None).unwrap();
    assert_eq!(default.timeout, Duration::from_secs(60));
    assert_eq!(
        (default.memory_limit, default.cache_size),
        (1 << 30, 1 << 30)
    );
    assert!(
        default.strip
            && default.fuse
            && default.verify
            && default.warn_unoptimized
            && !default.summary
            && !default.report
    );
    assert_eq!(default.output, "python.wasm");
    assert_eq!(default.engine, CompilerChoice::Auto);
}

#[test]
fn every_key_is_read() {
    let block = json!({
        "imports": ["json", "os.path"],
        "on-restore": ["numpy.random:seed", "app:Pool.reset"],
        "extensions": ["a.so", { "path": "x/b.so", "module": "pkg._core" }],
        "packages": ["vendor/*.whl", "python/mypkg"],
        "wheel-dirs": ["wheels"],
        "lock-extras": ["web"],
        "lock-groups": [],
        "strict-records": true,
        "runtime": "../runtime",
        "stdlib": "lib/python-stdlib.tar.zst",
        "site-packages": "/abs/site",
        "setup": "python/warm.py",
        "trace": true,
        "embed": "none",
        "embed-exclude": ["tkinter", "a.b"],
        "embed-sources": false,
        "compress": 9,
        "engine": "winch",
        "strip": false,
        "fuse": false,
        "verify": false,
        "output": "app.wasm",
        "timeout": "2m",
        "memory-limit": "512MiB",
        "cache-dir": "cache",
        "cache-size": 100_000_000,
        "warn-unoptimized": false,
        "summary": true,
        "report": true,
        "precompile": true,
    });
    // All but `setup-code`, which is there in place of `setup`, and `snapshots`.
    assert_eq!(block.as_object().unwrap().len(), KEYS.len() - 2);
    let config = ok(block);
    let expected = Config {
        imports: vec!["json".into(), "os.path".into()],
        on_restore: vec!["numpy.random:seed".into(), "app:Pool.reset".into()],
        extensions: vec![
            Extension::new("/m/a.so"),
            Extension {
                path: "/m/x/b.so".into(),
                module: Some("pkg._core".into()),
            },
        ],
        packages: vec!["/m/vendor/*.whl".into(), "/m/python/mypkg".into()],
        wheel_dirs: vec!["/m/wheels".into()],
        lock_extras: vec!["web".into()],
        lock_groups: Some(Vec::new()),
        strict_records: true,
        runtime: Some("/m/../runtime".into()),
        stdlib: Some("/m/lib/python-stdlib.tar.zst".into()),
        site_packages: Some("/abs/site".into()),
        setup: Some("/m/python/warm.py".into()),
        setup_code: None,
        trace: true,
        embed: Embed::None,
        embed_exclude: vec!["tkinter".into(), "a.b".into()],
        embed_sources: false,
        compress: Some(9),
        engine: CompilerChoice::Winch,
        strip: false,
        fuse: false,
        verify: false,
        output: "app.wasm".into(),
        timeout: Duration::from_secs(120),
        memory_limit: 512 << 20,
        cache_dir: Some("/m/cache".into()),
        cache_size: 100_000_000,
        warn_unoptimized: false,
        summary: true,
        report: true,
        precompile: Some(Precompile::default()),
    };
    assert_eq!(config, expected);
    config.check().unwrap();
}

#[test]
fn a_manifest_without_a_folder() {
    let block = json!({ "runtime": "rt" });
    for manifest in ["Cargo.toml", ""] {
        let config = Config::from_metadata(Some(&block), Path::new(manifest))
            .unwrap()
            .0;
        assert_eq!(config.runtime, Some("rt".into()));
    }
}

#[test]
fn the_report_on_a_bad_block_word_for_word() {
    let error = read(json!({
        "imports": ["json", "os.path", "os; rm", "json", 7],
        "extensions": ["a.so", { "path": "a.so", "modul": "x" }],
        "site_packages": "site",
        "engine": "wnich",
        "strip": "true",
        "timeout": 60,
        "memory-limit": "8GiB",
        "output": "../x",
        "bundle": ["numpy"],
    }))
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "config: 12 problems in [package.metadata.eryx] of /m/Cargo.toml"
    );
    assert_eq!(
        format!("{error:?}"),
        r#"eryx-preinit-build failed in stage config: 12 problems in [package.metadata.eryx] of /m/Cargo.toml
  - package.metadata.eryx.bundle: unknown key; the keys are `imports`, `on-restore`, `extensions`, `packages`, `wheel-dirs`, `lock-extras`, `lock-groups`, `strict-records`, `runtime`, `stdlib`, `site-packages`, `setup`, `setup-code`, `trace`, `embed`, `embed-exclude`, `embed-sources`, `compress`, `engine`, `strip`, `fuse`, `verify`, `output`, `timeout`, `memory-limit`, `cache-dir`, `cache-size`, `warn-unoptimized`, `summary`, `report`, `precompile` and `snapshots`
  - package.metadata.eryx.site_packages: unknown key; keys are written with `-`: `site-packages`
  - package.metadata.eryx.imports[2]: `os; rm` is not a Python module name (parts separated by `.`, each made of letters, digits and `_` and not starting with a digit)
  - package.metadata.eryx.imports[3]: `json` repeats imports[0]
  - package.metadata.eryx.imports[4]: expected a string with the name of a Python module, found the integer 7
  - package.metadata.eryx.extensions[1].modul: unknown key; did you mean `module`?
  - package.metadata.eryx.extensions[1].path: `a.so` repeats extensions[0]
  - package.metadata.eryx.engine: expected "auto", "winch" or "cranelift", found the string "wnich"; did you mean "winch"?
  - package.metadata.eryx.strip: expected true or false, found the string "true"; write strip = true
  - package.metadata.eryx.output: `../x` is not a usable file name: it must be a bare name without a path separator; it must end in `.wasm`
  - package.metadata.eryx.timeout: expected a duration such as "60s", found the integer 60; give the unit: timeout = "60s"
  - package.metadata.eryx.memory-limit: 8GiB is more than the 4GiB a 32-bit WebAssembly memory can have"#
    );
}

#[test]
fn one_problem_is_not_problems() {
    let error = read(json!({ "summary": 1 })).unwrap_err();
    assert_eq!(
        error.report().summary(),
        "1 problem in [package.metadata.eryx] of /m/Cargo.toml"
    );
}

#[test]
fn the_block_must_be_a_table() {
    assert_eq!(
        notes_of(read(json!(true))),
        ["package.metadata.eryx: expected a table, found the boolean true"]
    );
    assert_eq!(
        notes_of(read(json!([{ "strip": true }]))),
        [
            "package.metadata.eryx: expected a table, found the array [{ strip = true }]; \
            write [package.metadata.eryx] in single brackets"
        ]
    );
}

#[test]
fn unknown_keys() {
    one(
        json!({ "import": [] }),
        "import: unknown key; did you mean `imports`?",
    );
    one(
        json!({ "Cache_Dir": "x" }),
        "Cache_Dir: unknown key; did you mean `cache-dir`?",
    );
    one_with(json!({ "a.b c": 1 }), "\"a.b c\": unknown key");
    one_with(json!({ "": 1 }), "\"\": unknown key");
    one_with(json!({ "a\nb": 1 }), "\"a\\nb\": unknown key");
    one_with(json!({ "k".repeat(500): 1 }), &("k".repeat(60) + "…: unk"));
}

#[test]
fn wrong_types() {
    one(
        json!({ "imports": "json" }),
        "imports: expected an array of strings, found the string \"json\"; \
           write imports = [\"json\"]",
    );
    one(
        json!({ "imports": "json, os.path" }),
        "imports: expected an array of strings, found the string \"json, os.path\"; \
           write imports = [\"json\", \"os.path\"]",
    );
    one(
        json!({ "imports": "1 2" }),
        "imports: expected an array of strings, found the string \"1 2\"",
    );
    one(
        json!({ "imports": { "json": true, "a": "b" } }),
        "imports: expected an array of strings, found the table { a = \"b\", json = true }",
    );
    one(
        json!({ "imports": [["os", 1.5]] }),
        "imports[0]: expected a string with the name of a Python module, \
           found the array [\"os\", 1.5]",
    );
    one(
        json!({ "extensions": { "path": "a.so" } }),
        "extensions: expected an array of strings or tables, \
           found the table { path = \"a.so\" }; write extensions = [{ path = \"a.so\" }]",
    );
    one(
        json!({ "extensions": [3] }),
        "extensions[0]: expected a string or a table like \
           { path = \"core.so\", module = \"pkg._core\" }, found the integer 3",
    );
    one(
        json!({ "runtime": {} }),
        "runtime: expected a string with a path, found the table {}",
    );
    one(
        json!({ "verify": 1 }),
        "verify: expected true or false, found the integer 1",
    );
    one(
        json!({ "output": [] }),
        "output: expected a string with a file name, found the array []",
    );
    one(
        json!({ "engine": null }),
        "engine: expected \"auto\", \"winch\" or \"cranelift\", \
           found null (which nan and inf become)",
    );
    one(
        json!({ "timeout": 0 }),
        "timeout: expected a duration such as \"60s\", found the integer 0; \
           give the unit: timeout = \"60s\"",
    );
    one(
        json!({ "timeout": 1.5 }),
        "timeout: expected a duration such as \"60s\", found the float 1.5",
    );
    for (value, level) in [
        (json!(true), Some(19)),
        (json!(false), None),
        (json!(22), Some(22)),
    ] {
        assert_eq!(ok(json!({ "compress": value })).compress, level);
    }
    for (value, found) in [
        (json!(-1), "the integer -1"),
        (json!(256), "the integer 256"),
        (json!("high"), "the string \"high\""),
    ] {
        one(
            json!({ "compress": value }),
            &format!("compress: expected true, false or a level from 1 to 22, found {found}"),
        );
    }
    one(
        json!({ "compress": 0 }),
        "compress: 0 is not a level of zstd, which are 1 to 22",
    );
    one(
        json!({ "cache-size": -1 }),
        "cache-size: expected a size such as \"1GiB\" or a number of bytes, \
           found the integer -1",
    );
    one_with(
        json!({ "runtime": ["x".repeat(1000)] }),
        &format!("found the array [\"{}…", "x".repeat(58)),
    );
}

#[test]
fn good_module_names() {
    let long = "x".repeat(255);
    for name in [
        "json",
        "os.path",
        "_",
        "__future__",
        "a1.b_2",
        "match",
        "type",
        "naïve",
        "日本",
        &long,
        "pkg.__main__",
        "_core",
        "true",
    ] {
        assert_eq!(module_problem(name), None, "{name}");
    }
}

#[test]
fn bad_module_names() {
    for name in [
        "",
        ".",
        "a..b",
        ".a",
        "a.",
        "os; rm",
        " json",
        "json ",
        "json\n",
        "1a",
        "a.1",
        "a-b",
        "a b",
        "a\0",
        "import os",
        "a/b",
        "é\u{301}",
        "a\u{200b}",
        "\u{202e}a",
        "a'b",
        "a\"b",
        "a\\b",
        "a(b)",
        "*",
        "__main__",
    ] {
        assert!(module_problem(name).is_some(), "{name:?}");
    }
    for keyword in KEYWORDS {
        assert!(module_problem(keyword).is_some(), "{keyword}");
        assert!(module_problem(&format!("a.{keyword}.b")).is_some());
    }
}

#[test]
fn what_is_said_about_module_names() {
    let problem = |name: &str| module_problem(name).unwrap();
    let rule = "is not a Python module name (parts separated by `.`, each made of letters, \
                  digits and `_` and not starting with a digit)";
    assert_eq!(problem(""), "the module name is empty");
    assert_eq!(
        problem(" json"),
        "` json` has whitespace around the name; write \"json\""
    );
    assert_eq!(
        problem("class"),
        "`class` is not a Python module name: it is a keyword"
    );
    assert_eq!(
        problem("a.class.b"),
        "`a.class.b` is not a Python module name: `class` is a keyword"
    );
    assert_eq!(
        problem("__main__"),
        "`__main__` cannot be imported ahead of time: it is the program that runs later"
    );
    assert_eq!(
        problem(&"x".repeat(256)),
        format!(
            "`{}…` is too long: 256 characters, and 255 are allowed",
            "x".repeat(60)
        )
    );
    assert_eq!(
        problem("a\nb\u{202e}"),
        format!("`a\\nb\\u{{202e}}` {rule}")
    );
    for (name, hint) in [
        ("a..b", ""),
        (
            ".a",
            "; relative names have no meaning here, write the full one",
        ),
        (
            "scikit-learn",
            "; write it as in the import statement, perhaps \"scikit_learn\"",
        ),
        ("import os as o", "; write only the name: \"os\""),
        ("from os import path", "; write only the name: \"os\""),
        ("pkg/mod.py", "; write \"pkg.mod\""),
        ("os, json", "; write one string for each: \"os\", \"json\""),
    ] {
        assert_eq!(problem(name), format!("`{name}` {rule}{hint}"));
    }
}

#[test]
fn on_restore_entries() {
    let one = |entry: &str, note: &str| {
        one(
            json!({ "on-restore": [entry] }),
            &format!("on-restore[0]: {note}"),
        );
    };
    one(
        "numpy.random",
        "`numpy.random` names no callable; write \"module:callable\"",
    );
    one(
        "os:",
        "`` is not the name of a callable; write \"module:callable\"",
    );
    one(
        "os:system('x')",
        "`system('x')` is not the name of a callable; write \"module:callable\"",
    );
    one(":seed", "the module name is empty");
    one_with(
        json!({ "on-restore": ["a:b", "a:b"] }),
        "repeats on-restore[0]",
    );
    one_with(
        json!({ "on-restore": "a:b" }),
        "write on-restore = [\"a:b\"]",
    );
}

#[test]
fn repeated_imports_name_the_first() {
    assert_eq!(
        notes(json!({ "imports": ["a", "b", "a", "b", "a", "", ""] })),
        [
            "imports[2]: `a` repeats imports[0]",
            "imports[3]: `b` repeats imports[1]",
            "imports[4]: `a` repeats imports[0]",
            "imports[5]: the module name is empty",
            "imports[6]: the module name is empty",
        ]
    );
}

#[test]
fn bad_extensions() {
    assert_eq!(
        notes(json!({ "extensions": [
              { "path": "a.so", "module": "p.q" },
              { "path": "./b.so", "module": "p.q" },
              "b.so",
              { "module": "p-q" },
              { "path": 1, "module": 2 },
              { "path": "" },
          ] })),
        [
            "extensions[1].module: `p.q` repeats extensions[0].module",
            "extensions[2]: `b.so` repeats extensions[1].path",
            "extensions[3]: the table has no `path`",
            "extensions[3].module: `p-q` is not a Python module name (parts separated by \
               `.`, each made of letters, digits and `_` and not starting with a digit); write \
               it as in the import statement, perhaps \"p_q\"",
            "extensions[4].path: expected a string, found the integer 1",
            "extensions[4].module: expected a string with the name of a Python module, found \
               the integer 2",
            "extensions[5].path: the path is empty",
        ]
    );
}

#[test]
fn bad_paths() {
    for key in ["runtime", "stdlib", "site-packages", "cache-dir"] {
        one(json!({ key: "" }), &format!("{key}: the path is empty"));
        one_with(json!({ key: "a\0b" }), "holds a NUL character");
        one(
            json!({ key: "a\nb" }),
            &format!("{key}: `a\\nb` holds a line break, which Cargo cannot be told"),
        );
    }
}

#[test]
fn engines() {
    for engine in CompilerChoice::ALL {
        assert_eq!(ok(json!({ "engine": engine.name() })).engine, engine);
    }
    one_with(json!({ "engine": "Winch" }), "did you mean \"winch\"?");
    one(
        json!({ "engine": "llvm" }),
        "engine: expected \"auto\", \"winch\" or \"cranelift\", found the string \"llvm\"",
    );
}

#[test]
fn output_names() {
    for good in [
        "a.wasm",
        "python.v2.wasm",
        "console.wasm",
        "com10.wasm",
        "é.wasm",
    ] {
        assert_eq!(ok(json!({ "output": good })).output, good);
    }
    for bad in [
        "",
        ".",
        "..",
        ".wasm",
        ".a.wasm",
        "a",
        "a.WASM",
        "a/b.wasm",
        "a\\b.wasm",
        "a\n.wasm",
        "a\0.wasm",
        "c:a.wasm",
        "con.wasm",
        "Nul.wasm",
        "AUX .wasm",
        "lpt9.x.wasm",
        "com¹.wasm",
        "CONIN$.wasm",
    ] {
        assert_eq!(notes(json!({ "output": bad })).len(), 1, "{bad:?}");
    }
    one(json!({ "output": "" }), "output: the file name is empty");
    one(
        json!({ "output": "con" }),
        "output: `con` is not a usable file name: Windows reserves the name `CON`; \
           it must end in `.wasm`",
    );
    one_with(
        json!({ "output": "x".repeat(300) + ".wasm" }),
        "it has 305 bytes, and 255 are allowed",
    );
}

#[test]
fn timeouts() {
    for (text, millis) in [
        ("500ms", 500),
        ("1ms", 1),
        ("60s", 60_000),
        ("2m", 120_000),
        ("1h", 3_600_000),
        ("24h", 86_400_000),
        ("086400s", 86_400_000),
    ] {
        let timeout = ok(json!({ "timeout": text })).timeout;
        assert_eq!(timeout, Duration::from_millis(millis), "{text}");
    }
    for zero in ["0s", "0ms", "00h"] {
        one(
            json!({ "timeout": zero }),
            "timeout: a timeout of 0 would stop Python before it starts",
        );
    }
    one(
        json!({ "timeout": "25h" }),
        "timeout: 90000s is longer than the maximum of 24h",
    );
    let rule = "is not a duration (a whole number and `ms`, `s`, `m` or `h`)";
    for (text, hint) in [
        ("60", "; write \"60s\""),
        ("60 s", "; write \"60s\""),
        ("60S", "; write \"60s\""),
        ("2 minutes", "; write \"2m\""),
        ("1.5s", "; for example \"90s\""),
        ("1d", "; for example \"90s\""),
        ("", ""),
        ("-1s", ""),
        ("+1s", ""),
        ("s", ""),
        ("٣s", ""),
    ] {
        one(
            json!({ "timeout": text }),
            &format!("timeout: `{text}` {rule}{hint}"),
        );
    }
    for huge in ["18446744073709551615h", "99999999999999999999999s"] {
        one(
            json!({ "timeout": huge }),
            &format!("timeout: `{huge}` is longer than the maximum of 24h"),
        );
    }
}

#[test]
fn sizes() {
    for (value, bytes) in [
        (json!("64MiB"), 64 << 20),
        (json!("4GiB"), 4 << 30),
        (json!("512MB"), 512_000_000),
        (json!("1GB"), 1_000_000_000),
        (json!("70000kB"), 70_000_000),
        (json!("70000KB"), 70_000_000),
        (json!("65536KiB"), 64 << 20),
        (json!(67_108_864), 64 << 20),
    ] {
        assert_eq!(ok(json!({ "memory-limit": value })).memory_limit, bytes);
        assert_eq!(ok(json!({ "cache-size": value })).cache_size, bytes);
    }
    assert_eq!(ok(json!({ "cache-size": u64::MAX })).cache_size, u64::MAX);
    assert_eq!(ok(json!({ "cache-size": "2TiB" })).cache_size, 2 << 40);
    one(
        json!({ "memory-limit": "63MiB" }),
        "memory-limit: 63MiB is less than the minimum of 64MiB",
    );
    one(
        json!({ "memory-limit": 512 }),
        "memory-limit: 512 bytes is less than the minimum of 64MiB \
           (a number without a unit counts bytes)",
    );
    one(
        json!({ "memory-limit": 4_294_967_297_u64 }),
        "memory-limit: 4294967297 bytes is more than the 4GiB a 32-bit WebAssembly memory \
           can have",
    );
    one(
        json!({ "cache-size": 0 }),
        "cache-size: 0 bytes is less than the minimum of 64MiB",
    );
    one(
        json!({ "cache-size": "99999999TiB" }),
        "cache-size: `99999999TiB` is more bytes than 64 bits can count",
    );
    let rule = "is not a size (a whole number and `KiB`, `MiB`, `GiB`, `kB`, `MB` or `GB`)";
    for (text, hint) in [
        ("1 GiB", "; write \"1GiB\""),
        ("1gib", "; write \"1GiB\""),
        ("512M", "; write \"512MiB\""),
        ("512mb", "; write \"512MB\""),
        ("1000", "; write bytes without quotes: memory-limit = 1000"),
        ("1.5GiB", "; for example \"512MiB\""),
        ("-1GiB", ""),
        ("", ""),
        ("GiB", ""),
    ] {
        one(
            json!({ "memory-limit": text }),
            &format!("memory-limit: `{text}` {rule}{hint}"),
        );
    }
}

#[test]
fn values_from_rust_are_checked_too() {
    let mut config = Config {
        imports: vec!["json".into(), "a b".into(), "json".into()],
        extensions: vec![Extension::new("x.so"), Extension::new("x.so")],
        runtime: Some(PathBuf::new()),
        cache_dir: Some("a\nb".into()),
        output: "x".into(),
        timeout: Duration::ZERO,
        memory_limit: 1,
        cache_size: 0,
        compress: Some(23),
        ..Config::default()
    };
    config.extensions[1].module = Some("__main__".into());
    let error = config.check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "config: 11 problems in the configuration"
    );
    assert_eq!(
        error.report().notes(),
        [
            "imports[1]: `a b` is not a Python module name (parts separated by `.`, each made \
               of letters, digits and `_` and not starting with a digit); write one string for \
               each: \"a\", \"b\"",
            "imports[2]: `json` repeats imports[0]",
            "extensions[1].path: `x.so` repeats extensions[0].path",
            "extensions[1].module: `__main__` cannot be imported ahead of time: it is the \
               program that runs later",
            "runtime: the path is empty",
            "output: `x` is not a usable file name: it must end in `.wasm`",
            "timeout: a timeout of 0 would stop Python before it starts",
            "memory-limit: 1 byte is less than the minimum of 64MiB (a number without a unit \
               counts bytes)",
            "cache-dir: `a\\nb` holds a line break, which Cargo cannot be told",
            "cache-size: 0 bytes is less than the minimum of 64MiB",
            "compress: 23 is not a level of zstd, which are 1 to 22",
        ]
    );
}

#[test]
fn nearest_names() {
    let modules = ["json", "os", "sys", "asyncio", "collections", "re", "io"];
    for (word, near) in [
        ("jsno", Some("json")),
        ("JSON", Some("json")),
        ("jsonn", Some("json")),
        ("asincio", Some("asyncio")),
        ("colections", Some("collections")),
        ("sy", Some("sys")),
        ("json", None),
        ("so", None),
        ("", None),
        ("numpy", None),
    ] {
        assert_eq!(nearest(word, modules), near, "{word}");
    }
    assert_eq!(nearest("abd", ["abc", "abe"]), Some("abc"));
    assert_eq!(nearest("x", []), None);
    assert_eq!(nearest("", [""]), None);
}

/// A folder that is removed again.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("eryx-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        path
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// `problem` with the path of this folder cut out.
    fn short(&self, problem: Option<String>) -> String {
        let slashes = |text: &str| text.replace('\\', "/");
        let here = slashes(&self.0.display().to_string());
        slashes(&problem.unwrap_or_default())
            .replace(&format!("{here}/"), "")
            .replace(&here, ".")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn good_paths_pass() {
    let dir = Scratch::new();
    dir.folder("rt/libs");
    dir.folder("rt/prebuilt");
    dir.file("lib/os.py");
    dir.folder("lib/encodings");
    let mut config = Config {
        extensions: vec![Extension::new(dir.file("a.so"))],
        runtime: Some(dir.0.join("rt/")),
        stdlib: Some(dir.0.join("lib")),
        site_packages: Some(dir.folder("site")),
        cache_dir: Some(dir.0.join("not/there/yet")),
        ..Config::default()
    };
    config.check_paths(None, None).unwrap();
    config.stdlib = Some(dir.file("python-stdlib.tar.zst"));
    config.cache_dir = Some(dir.folder("cache"));
    config.check_paths(None, None).unwrap();
    config.cache_dir = Some("relative/cache".into());
    config.check_paths(None, None).unwrap();
}

#[test]
fn all_bad_paths_are_reported_with_their_keys() {
    let dir = Scratch::new();
    dir.file("core.so");
    dir.folder("site-packages");
    let file = dir.file("file");
    let config = Config {
        extensions: vec![Extension::new(dir.0.join("coer.so"))],
        runtime: Some(file.clone()),
        stdlib: Some(file.clone()),
        site_packages: Some(dir.0.join("site_packages")),
        cache_dir: Some(file),
        ..Config::default()
    };
    let expected = [
        "extensions[0]: `coer.so` does not exist; did you mean `core.so`?",
        "runtime: `file` is a file; expected the folder of an unpacked eryx-runtime package",
        "stdlib: `file` is a file whose name does not end in `.tar.zst`; expected such an \
           archive or the unpacked folder",
        "site-packages: `site_packages` does not exist; did you mean `site-packages`?",
        "cache-dir: `file` is a file, not a folder",
    ];
    let from = |manifest: Option<&Path>| -> Vec<String> {
        notes_of(config.check_paths(manifest, None))
            .into_iter()
            .map(|note| dir.short(Some(note)))
            .collect()
    };
    assert_eq!(from(None), expected);
    assert_eq!(
        from(Some(Path::new(MANIFEST))),
        expected.map(|note| format!("package.metadata.eryx.{note}"))
    );
}

#[test]
fn runtime_folders() {
    let dir = Scratch::new();
    let problem = |path: &Path| dir.short(runtime_path_problem(path));
    let lib = dir.folder("vendor/eryx-runtime-0.10.0/libs");
    dir.folder("vendor/eryx-runtime-0.10.0/prebuilt");
    assert_eq!(
        problem(&dir.folder("empty")),
        "`empty` is not an unpacked eryx-runtime package: it holds no `libs/` and no \
           `prebuilt/`"
    );
    assert_eq!(
        problem(&dir.folder("vendor")),
        "`vendor` is not an unpacked eryx-runtime package: it holds no `libs/` and no \
           `prebuilt/`; did you mean `vendor/eryx-runtime-0.10.0`?"
    );
    assert!(problem(&lib).ends_with("; did you mean `vendor/eryx-runtime-0.10.0`?"));
    dir.folder("vendor/eryx-runtime-0.11.0/libs");
    dir.folder("vendor/eryx-runtime-0.11.0/prebuilt");
    assert!(
        problem(&dir.folder("vendor"))
            .ends_with("; 2 folders in it are, for example `vendor/eryx-runtime-0.10.0`")
    );
    assert!(problem(&dir.file("e.crate")).ends_with("; unpack it first (`tar xzf`)"));
}

#[test]
fn stdlib_folders() {
    let dir = Scratch::new();
    dir.file("up/python-stdlib/os.py");
    dir.folder("up/python-stdlib/encodings");
    assert_eq!(
        dir.short(stdlib_path_problem(&dir.0.join("up"))),
        "`up` is not the Python standard library: it holds no `os.py` and no `encodings/`; \
           did you mean `up/python-stdlib`?"
    );
    dir.file("half/os.py");
    assert_eq!(
        dir.short(stdlib_path_problem(&dir.0.join("half"))),
        "`half` is not the Python standard library: it holds no `encodings/`"
    );
    assert_eq!(
        dir.short(stdlib_path_problem(&dir.0.join("up/python-stdlb"))),
        "`up/python-stdlb` does not exist; did you mean `python-stdlib`?"
    );
}

#[cfg(unix)]
#[test]
fn folders_of_links_are_told_what_to_name_instead() {
    let dir = Scratch::new();
    dir.folder("forest/encodings");
    dir.file("os.py");
    std::os::unix::fs::symlink(dir.0.join("os.py"), dir.0.join("forest/os.py")).unwrap();
    let forest = dir.0.join("forest");
    for (problem, instead) in [
        (stdlib_path_problem(&forest), "`.tar.zst`"),
        (package_path_problem(&forest), "a wheel or modules"),
        (site_packages_path_problem(&forest), "install copies"),
    ] {
        let problem = dir.short(problem);
        assert!(
            problem.starts_with("`forest` holds only links"),
            "{problem}"
        );
        assert!(problem.contains(instead), "{problem}");
    }
    // One file of its own, and it is taken as it is.
    dir.file("forest/encodings/utf_8.py");
    assert_eq!(stdlib_path_problem(&forest), None);
}

#[test]
fn missing_paths_name_the_missing_part() {
    let dir = Scratch::new();
    dir.folder("vendor/deep");
    dir.file("file");
    dir.file("vendro");
    let absent = |path: &str| dir.short(look(&dir.0.join(path), Some(FileType::File)).err());
    assert_eq!(
        absent("vendr/deep/a.so"),
        "`vendr/deep/a.so` does not exist: `.` holds no `vendr`; did you mean `vendor`?"
    );
    assert_eq!(
        absent("file/a.so"),
        "`file/a.so` does not exist: `file` is a file, not a folder"
    );
    assert_eq!(
        absent("~/a.so"),
        "`~/a.so` does not exist: `.` holds no `~`; `~` and variables are not expanded"
    );
    assert!(look(Path::new(""), None).is_err());
    assert!(look(Path::new("no-such-thing-here/x"), None).is_err());
    assert!(look(Path::new("a\0b"), None).is_err());
    assert!(look(&dir.0.join("x".repeat(5000)), None).is_err());
    assert_eq!(
        dir.short(cache_dir_problem(&dir.0.join("file/a/b"))),
        "`file/a/b` cannot be created: `file` is a file, not a folder"
    );
    assert_eq!(
        dir.short(extension_path_problem(&dir.0.join("vendor"))),
        "`vendor` is a folder; expected the file of an extension module"
    );
    assert_eq!(
        dir.short(site_packages_path_problem(&dir.file("x.whl"))),
        "`x.whl` is a file; expected a folder of Python modules; name the wheel in `packages`"
    );
}

#[test]
fn a_slash_behind_a_file_does_not_hide_it() {
    let dir = Scratch::new();
    let mut path = dir.file("file").into_os_string();
    path.push("/");
    let config = Config {
        cache_dir: Some(path.into()),
        ..Config::default()
    };
    assert!(config.check_paths(None, None).is_err());
}

// Windows resolves `..` without looking at the disk.
#[cfg(unix)]
#[test]
fn missing_paths_with_dots() {
    let dir = Scratch::new();
    dir.file("file");
    let absent = |path: &str| dir.short(look(&dir.0.join(path), Some(FileType::File)).err());
    assert_eq!(
        absent("file/../a.so"),
        "`file/../a.so` does not exist: `file` is a file, not a folder"
    );
    assert_eq!(
        absent("nope/../a.so"),
        "`nope/../a.so` does not exist: `.` holds no `nope`"
    );
}

#[cfg(unix)]
#[test]
fn links_to_nothing_and_odd_files() {
    let dir = Scratch::new();
    let link = dir.0.join("link");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    let expected = "`link` is a symbolic link to something that does not exist";
    assert_eq!(dir.short(extension_path_problem(&link)), expected);
    assert_eq!(dir.short(extension_path_problem(&link.join("x"))), expected);
    assert_eq!(dir.short(cache_dir_problem(&link.join("x"))), expected);
    assert_eq!(
        extension_path_problem(Path::new("/dev/null")).unwrap(),
        "`/dev/null` is neither a file nor a folder"
    );
}

const DOCUMENT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/docs/configuration.md"
));

/// The rows of the tables below `heading` whose first column is called `first`.
fn rows(heading: &str, first: &str) -> Vec<Vec<&'static str>> {
    let depth = |line: &str| line.bytes().take_while(|&byte| byte == b'#').count();
    let mut rows = Vec::new();
    // Whether the rows of the table that this line is in are wanted.
    let mut wanted = None;
    let section = DOCUMENT
        .lines()
        .skip_while(|&line| line != heading)
        .skip(1)
        .take_while(|line| !(1..=depth(heading)).contains(&depth(line)));
    for line in section {
        let Some(row) = line.strip_prefix('|') else {
            wanted = None;
            continue;
        };
        let cells: Vec<_> = row
            .trim_end_matches('|')
            .split('|')
            .map(str::trim)
            .collect();
        match wanted {
            None => wanted = Some(cells[0] == first),
            Some(true) if !cells[0].starts_with("---") => rows.push(cells),
            Some(_) => {}
        }
    }
    rows
}

/// What a cell says that is code and nothing else.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// The rows by key: those of `keys`, each once, and no others.
#[track_caller]
fn rows_of(heading: &str, keys: &[&str]) -> Vec<(&'static str, Vec<&'static str>)> {
    let rows: Vec<_> = rows(heading, "key")
        .into_iter()
        .map(|row| (code(row[0]).expect("a key in backticks"), row))
        .collect();
    let mut documented: Vec<&str> = rows.iter().map(|(key, _)| *key).collect();
    let mut keys = keys.to_vec();
    documented.sort_unstable();
    keys.sort_unstable();
    assert_eq!(documented, keys, "{heading}");
    rows
}

/// Each default that is written down gives what `with` gives without the key. `open`
/// are the keys whose default is no value.
#[track_caller]
fn defaults_are_those_of_the_code(
    heading: &str,
    keys: &[&str],
    open: &[&str],
    with: impl Fn(Value) -> Config,
) {
    let default = with(json!({}));
    for (key, row) in rows_of(heading, keys) {
        match code(row[2]) {
            Some(text) => {
                let value: Value = serde_json::from_str(text).expect(key);
                assert_eq!(with(json!({ key: value })), default, "{key}");
                assert!(!open.contains(&key), "{key}");
            }
            None => assert!(open.contains(&key) && !row[2].is_empty(), "{key}"),
        }
    }
}

fn snapshots(block: Value) -> Snapshots {
    let read = Config::from_metadata(Some(&block), Path::new(MANIFEST));
    let (config, snapshots) = read.unwrap();
    check_snapshots(&snapshots, &config.output).unwrap();
    snapshots
}

#[test]
fn snapshots_inherit_and_replace() {
    let read = snapshots(json!({
        "imports": ["json", "re"],
        "setup": "setup.py",
        "output": "app.wasm",
        "memory-limit": "512MiB",
        "precompile": { "cpu": "native", "pooling": true },
        "snapshots": {
            "web": { "imports": ["csv"], "setup-code": "x = 1", "precompile": true },
            "plain": {},
        },
    }));
    assert_eq!(read.keys().collect::<Vec<_>>(), ["plain", "web"]);
    let (plain, web) = (&read["plain"], &read["web"]);
    assert_eq!(plain.imports, ["json", "re"]);
    assert_eq!(plain.setup.as_deref(), Some(Path::new("/m/setup.py")));
    assert!(plain.precompile.as_ref().unwrap().pooling);
    assert_eq!(web.imports, ["csv"]);
    assert_eq!(
        (&web.setup, web.setup_code.as_deref()),
        (&None, Some("x = 1"))
    );
    assert_eq!(web.precompile, Some(Precompile::default()));
    assert_eq!(web.memory_limit, 512 << 20);
    assert!(snapshots(json!({})).is_empty());
}

#[test]
fn what_is_wrong_in_a_snapshot_has_its_path() {
    one(
        json!({ "snapshots": { "web": { "import": ["json"] } } }),
        "snapshots.web.import: unknown key; did you mean `imports`?",
    );
    one(
        json!({ "snapshots": { "web": { "cache_dir": "x" } } }),
        "snapshots.web.cache_dir: unknown key; the keys are `imports`, `on-restore`, `extensions`, \
         `packages`, `wheel-dirs`, `lock-extras`, `lock-groups`, `strict-records`, `runtime`, `stdlib`, `site-packages`, `setup`, `setup-code`, \
         `trace`, `embed`, `embed-exclude`, `embed-sources`, `compress`, `engine`, `strip`, `fuse`, `verify`, \
         `timeout`, `memory-limit`, `warn-unoptimized`, `summary`, `report` and `precompile`",
    );
    one(
        json!({ "snapshots": { "web": { "cache-dir": "x" } } }),
        "snapshots.web.cache-dir: cannot differ between snapshots: all snapshots share one cache: \
         set it in the block",
    );
    one_with(
        json!({ "snapshots": { "web": { "output": "x.wasm" } } }),
        "snapshots.web.output: cannot differ between snapshots: the name of the table",
    );
    // Once, where it stands.
    one_with(
        json!({ "strip": 1, "snapshots": { "a": {}, "b": {} } }),
        "strip: expected",
    );
    one_with(
        json!({ "strip": 1, "snapshots": { "a": { "strip": true } } }),
        "strip: expected",
    );
    let both = json!({ "snapshots": { "a": { "precompile": { "cpu": "i386" }, "imports": [1] } } });
    let both = notes(both);
    assert!(
        both[0].starts_with("snapshots.a.imports[0]: expected"),
        "{both:?}"
    );
    assert!(
        both[1].starts_with("snapshots.a.precompile.cpu: "),
        "{both:?}"
    );
    one_with(
        json!({ "snapshots": ["web"] }),
        "snapshots: expected tables such as",
    );
    one_with(
        json!({ "snapshots": { "web": true } }),
        "snapshots.web: expected a table",
    );
}

#[test]
fn names_of_snapshots() {
    let named = |names: &[&str]| {
        let tables = names.iter().map(|name| ((*name).to_owned(), json!({})));
        json!({ "output": "app.wasm", "snapshots": Value::Object(tables.collect()) })
    };
    assert_eq!(snapshots(named(&["web", "a-b", "3_d"])).len(), 3);
    one_with(
        named(&["my web"]),
        "snapshots.\"my web\": a name consists of ASCII letters",
    );
    one_with(named(&[""]), "a name consists of ASCII letters");
    one_with(named(&["-a"]), "a name consists of ASCII letters");
    one_with(named(&["../a"]), "a name consists of ASCII letters");
    one_with(named(&[&"a".repeat(101)]), "at most 100 letters");
    one_with(named(&["nul"]), "Windows reserves the name `NUL`");
    one_with(
        named(&["Python"]),
        "snapshots.Python: this name is the block's",
    );
    one_with(named(&["App"]), "the block's own `output` is \"app.wasm\"");
    one_with(
        named(&["a-b", "a_b"]),
        "its variables are those of `a-b`, ERYX_A_B_WASM",
    );
}

#[test]
fn snapshots_from_rust_pass_the_same_checks() {
    let mut config = Config::default();
    config.imports.push("no name".to_owned());
    let of = |name: &str, config: &Config| {
        let snapshots = Snapshots::from([(name.to_owned(), config.clone())]);
        notes_of(check_snapshots(&snapshots, "python.wasm"))
    };
    let wrong = of("web", &config);
    assert!(
        wrong[0].starts_with("snapshots.web.imports[0]: "),
        "{wrong:?}"
    );
    assert_eq!(of("python", &Config::default()).len(), 1);
    config.imports.clear();
    config.setup = Some("/none/setup.py".into());
    let wrong = notes_of(config.check_paths(Some(Path::new(MANIFEST)), Some("web")));
    let path = "package.metadata.eryx.snapshots.web.setup: ";
    assert!(wrong[0].starts_with(path), "{wrong:?}");
}

#[test]
fn the_documents_list_every_key_with_its_default() {
    let open = [
        "setup",
        "setup-code",
        "site-packages",
        "runtime",
        "stdlib",
        "cache-dir",
        "lock-groups",
        SNAPSHOTS,
    ];
    defaults_are_those_of_the_code("## Keys", KEYS, &open, ok);
    rows_of("## Extensions", EXTENSION_KEYS);
    let with = |table: Value| ok(json!({ "precompile": table }));
    defaults_are_those_of_the_code("## Native code", precompile::KEYS, &["target"], with);
}

#[test]
fn the_documents_list_every_choice() {
    let levels: Vec<String> = rows("## Native code", "level")
        .iter()
        .map(|row| row[0].to_owned())
        .collect();
    let quoted = |name: &str| format!("`\"{name}\"`");
    assert_eq!(levels, CpuLevel::ALL.map(|level| quoted(level.name())));

    let compilers = CompilerChoice::ALL.map(|choice| quoted(choice.name()));
    let opt_levels = OptLevel::ALL.map(|level| quoted(level.name()));
    let embeds = Embed::ALL.map(|choice| quoted(choice.name()));
    for (heading, key, choices) in [
        ("## Keys", "embed", &embeds[..]),
        ("## Keys", "engine", &compilers),
        ("## Native code", "compiler", &compilers),
        ("## Native code", "opt-level", &opt_levels),
    ] {
        let rows = rows(heading, "key");
        let row = rows.iter().find(|row| code(row[0]) == Some(key));
        let meaning = row.expect(key)[3];
        for choice in choices {
            assert!(meaning.contains(choice), "{key}: no {choice}");
        }
    }
}
