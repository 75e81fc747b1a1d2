//! Real consumer packages, built by a real cargo, with real Python.

mod project;
mod skip;

use project::{MAIN, Project};
use std::path::Path;

/// The lines about the consumer's own unit: `Fresh`, `Dirty`, `Compiling`, …
fn units<'a>(stderr: &'a str, name: &str) -> Vec<&'a str> {
    stderr
        .lines()
        .map(str::trim)
        .filter(|line| {
            let mut words = line.split_whitespace();
            words
                .next()
                .is_some_and(|word| ["Fresh", "Dirty"].contains(&word))
                && words.next() == Some(name)
        })
        .collect()
}

#[test]
fn from_nothing_to_fresh_to_changed_imports() {
    let name = "plain-consumer";
    let project = Project::new(
        "plain",
        name,
        "[package.metadata.eryx]\nimports = [\"json\", \"re\"]",
    );
    let first = project.cargo(&["run"], &[]).succeeded();
    let wasm = first.value("path");
    assert!(Path::new(&wasm).ends_with("python.wasm"), "{wasm}");
    let bytes = std::fs::read(&wasm).unwrap();
    assert_eq!(first.value("bytes"), bytes.len().to_string());
    assert!(bytes.len() <= 24_000_000, "{} bytes", bytes.len());
    assert!(Path::new(&first.value("stdlib")).join("os.py").is_file());

    let second = project.cargo(&["build", "-v"], &[]).succeeded();
    let stderr = second.stderr();
    assert!(units(&stderr, name)[0].starts_with("Fresh"), "{stderr}");

    // `check` has its own OUT_DIR in some cargo versions, the same in others:
    // either way it works and says nothing new.
    project.cargo(&["check"], &[]).succeeded();

    project.block("[package.metadata.eryx]\nimports = [\"json\", \"re\", \"csv\"]");
    let third = project.cargo(&["run", "-vv"], &[]).succeeded();
    assert_ne!(first.value("sha256"), third.value("sha256"));
    let stderr = third.stderr();
    assert!(stderr.contains("import csv"), "{stderr}");
    assert!(stderr.contains("fuse: from the cache"), "{stderr}");
    assert!(!stderr.contains("preinit-build: compile"), "{stderr}");

    // What was built before is there at once.
    project.block("[package.metadata.eryx]\nimports = [\"json\", \"re\"]");
    let back = project.cargo(&["run", "-vv"], &[]).succeeded();
    assert_eq!(first.value("sha256"), back.value("sha256"));
    let stderr = back.stderr();
    assert!(stderr.contains("snapshot: from the cache"), "{stderr}");
}

#[test]
fn a_broken_block_names_every_key_and_spares_what_was_built() {
    let project = Project::new("config", "config-consumer", "[package.metadata.eryx]");
    let good = project.cargo(&["run"], &[]).succeeded();
    let wasm = good.value("path");
    let before = std::fs::read(&wasm).unwrap();

    project.block(
        "[package.metadata.eryx]\nimport = [\"json\"]\nimports = [\"json\", \"os; rm\", \"json\"]\ntimeout = 60",
    );
    let stderr = project.cargo(&["build"], &[]).failed().stderr();
    for key in [
        "package.metadata.eryx.import:",
        "did you mean `imports`",
        "package.metadata.eryx.imports[1]:",
        "package.metadata.eryx.imports[2]:",
        "package.metadata.eryx.timeout:",
    ] {
        assert!(stderr.contains(key), "{key} is not in:\n{stderr}");
    }

    project.block("[package.metadata.eryx]\nimports = [\"jsn\"]");
    let stderr = project.cargo(&["build"], &[]).failed().stderr();
    assert!(stderr.contains("cannot import `jsn`"), "{stderr}");
    assert!(
        stderr.contains("ModuleNotFoundError: No module named 'jsn'"),
        "{stderr}"
    );
    assert!(stderr.contains("did you mean `json`?"), "{stderr}");
    assert_eq!(std::fs::read(&wasm).unwrap(), before);
}

#[test]
fn several_builders_leave_each_other_s_outputs_alone() {
    let project = Project::new("two", "two-consumer", "[package.metadata.eryx]");
    let builders = |second: &str| {
        project.write(
            "build.rs",
            &format!(
                "use eryx_preinit_build::{{Builder, Error}};\nfn main() -> Result<(), Error> {{\n    \
                 Builder::from_env()?.import(\"json\").build()?;\n    {second}\n    Ok(())\n}}\n"
            ),
        );
    };
    let main = "
static PYTHON: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/python.wasm\"));
static WEB: &[u8] = include_bytes!(env!(\"ERYX_WEB_WASM\"));

fn main() {
    println!(\"bytes {}\", PYTHON.len());
    println!(\"web {}\", WEB.len());
    println!(\"path {}\", env!(\"ERYX_PYTHON_WASM\"));
    println!(\"web-path {}\", env!(\"ERYX_WEB_WASM\"));
    println!(\"sha256 {}\", env!(\"ERYX_PYTHON_WASM_SHA256\"));
    println!(\"web-sha256 {}\", env!(\"ERYX_WEB_WASM_SHA256\"));
    println!(\"stdlib {}\", env!(\"ERYX_PYTHON_STDLIB\"));
    println!(\"web-stdlib {}\", env!(\"ERYX_WEB_STDLIB\"));
}
";
    project.write("src/main.rs", main);
    let web = "Builder::from_env()?.import(\"re\").output(\"web.wasm\").build()?;";
    builders(web);
    let both = project.cargo(&["run"], &[]).succeeded();
    assert!(both.value("path").ends_with("python.wasm"));
    assert!(both.value("web-path").ends_with("web.wasm"));
    assert_ne!(both.value("sha256"), both.value("web-sha256"));
    assert_eq!(both.value("stdlib"), both.value("web-stdlib"));
    assert!(Path::new(&both.value("stdlib")).join("os.py").is_file());

    // Neither has anything to do when the script runs again.
    project.touch("Cargo.toml");
    let again = project.cargo(&["build", "-vv"], &[]).succeeded().stderr();
    assert_eq!(again.matches("nothing changed").count(), 2, "{again}");

    // Another script: both are there again, or the one it asks for alone.
    builders(&format!("{web} // again"));
    let again = project.cargo(&["run"], &[]).succeeded();
    assert_eq!(again.value("web-sha256"), both.value("web-sha256"));
    project.write("src/main.rs", MAIN);
    builders("");
    let one = project.cargo(&["run"], &[]).succeeded();
    assert_eq!(one.value("sha256"), both.value("sha256"));
    let out_dir = Path::new(&one.value("path")).parent().unwrap().to_owned();
    let left = |name: &str| out_dir.join(name).exists();
    assert!(left("python.wasm") && !left("web.wasm"));
}

#[test]
fn tables_of_snapshots_are_built_and_removed() {
    let block = "[package.metadata.eryx]\nimports = [\"json\"]";
    let web = "[package.metadata.eryx.snapshots.web]\nimports = [\"csv\"]";
    let project = Project::new("tables", "tables-consumer", &format!("{block}\n{web}"));
    let main = "
static WEB: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/web.wasm\"));

fn main() {
    println!(\"bytes {}\", WEB.len());
    println!(\"path {}\", env!(\"ERYX_PYTHON_WASM\"));
    println!(\"web-path {}\", env!(\"ERYX_WEB_WASM\"));
    println!(\"same {}\", env!(\"ERYX_PYTHON_STDLIB\") == env!(\"ERYX_WEB_STDLIB\"));
}
";
    project.write("src/main.rs", main);
    let skipped = project.cargo(&["run"], &[("ERYX_PREINIT_SKIP", "1")]);
    assert_eq!(skipped.succeeded().value("bytes"), "8");
    let both = project.cargo(&["run"], &[]).succeeded();
    assert_ne!(both.value("bytes"), "8");
    assert!(both.value("path").ends_with("python.wasm"));
    assert!(both.value("web-path").ends_with("web.wasm"));
    assert_eq!(both.value("same"), "true");

    project.block(&format!("{block}\n{web}\ncache-dir = \"c\""));
    let stderr = project.cargo(&["build"], &[]).failed().stderr();
    let path = "package.metadata.eryx.snapshots.web.cache-dir: cannot differ";
    assert!(stderr.contains(path), "{stderr}");
    assert!(Path::new(&both.value("web-path")).is_file());

    project.write("src/main.rs", MAIN);
    project.block(block);
    let one = project.cargo(&["run"], &[]).succeeded();
    assert_eq!(one.value("path"), both.value("path"));
    assert!(!Path::new(&both.value("web-path")).exists());
}

#[test]
fn a_program_loads_the_snapshot_of_a_table_by_its_name() {
    let block = "[package.metadata.eryx]
precompile = true

[package.metadata.eryx.snapshots.web]
imports = [\"csv\"]

[package.metadata.eryx.snapshots.small]
compress = 1

[package.metadata.eryx.snapshots.component]
imports = [\"csv\"]
compress = 1
precompile = false";
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("host");
    let dependencies = project::HOST_DEPENDENCIES.replace(
        "[dependencies]",
        &format!("[dependencies]\neryx-preinit = {{ path = {host:?}, features = [\"zstd\"] }}"),
    );
    let project = Project::new(
        "named",
        "named-consumer",
        &format!("{block}\n\n{dependencies}"),
    );
    let main = r#"
fn main() {
    let code = "import sys; print('loaded', 'csv' in sys.modules); import decimal, inspect
print(len(inspect.getsource(decimal)))";
    // Single-pass code, as the program is not optimised.
    let component = eryx_preinit::snapshot!("component");
    let component = component.config(|config| {
        config.strategy(eryx_preinit::wasmtime::Strategy::Winch);
    });
    let bytes = include_bytes!(env!("ERYX_COMPONENT_WASM_ZST"));
    let read = eryx_preinit::Snapshot::from_wasm(&bytes[..]).config(|config| {
        config.strategy(eryx_preinit::wasmtime::Strategy::Winch);
    });
    for python in [
        eryx_preinit::python!(),
        eryx_preinit::python!("web"),
        eryx_preinit::python!("small"),
        component.load(),
        read.load(),
    ] {
        let mut sandbox = python.unwrap().sandbox().build_blocking().unwrap();
        print!("{}", sandbox.execute_blocking(code).unwrap().stdout);
    }
    for (zst, whole) in [
        (env!("ERYX_SMALL_WASM_ZST"), env!("ERYX_SMALL_WASM")),
        (env!("ERYX_SMALL_CWASM_ZST"), env!("ERYX_SMALL_CWASM")),
        (env!("ERYX_COMPONENT_WASM_ZST"), env!("ERYX_COMPONENT_WASM")),
    ] {
        let [zst, whole] = [zst, whole].map(|path| std::fs::read(path).unwrap());
        assert!(zst.len() < whole.len() / 2);
        let frame = eryx_preinit::dependencies::zstd::decode_all(&zst[..]).unwrap();
        assert!(frame == whole);
    }
    assert_eq!(env!("ERYX_PYTHON_WASM_ZST"), "");
    assert_eq!(env!("ERYX_COMPONENT_CWASM_ZST"), "");
}
"#;
    project.write("src/main.rs", main);
    let ran = project.cargo(&["run"], &[]).succeeded();
    let stdout = ran.stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    let loaded = ["False", "True", "False", "True", "True"].map(|csv| format!("loaded {csv}"));
    assert!(lines.iter().step_by(2).eq(&loaded), "{stdout}");
    // From the archive, compressed or not.
    assert!(
        lines
            .iter()
            .skip(1)
            .step_by(2)
            .all(|line| *line == lines[1]),
        "{stdout}"
    );
    assert_ne!(lines[1], "0");
    // Placeholders compile.
    project
        .cargo(&["build"], &[("ERYX_PREINIT_SKIP", "1")])
        .succeeded();
}

#[test]
fn spaces_and_other_scripts_in_paths_work() {
    let project = Project::new(
        "a folder, ünïcode 蛇",
        "odd-consumer",
        "[package.metadata.eryx]\nimports = [\"local_module\"]\nsite-packages = \"my packages\"\n\
         output = \"python.wasm\"",
    );
    std::fs::create_dir(project.path().join("my packages")).unwrap();
    project.write("my packages/local_module.py", "ANSWER = 42\n");
    let first = project.cargo(&["run"], &[]).succeeded();

    // The package is watched: an edit builds again, an unrelated file does not.
    project.write("notes.txt", "not an input");
    let same = project.cargo(&["build", "-v"], &[]).succeeded().stderr();
    assert!(
        units(&same, "odd-consumer")[0].starts_with("Fresh"),
        "{same}"
    );
    project.write("my packages/local_module.py", "ANSWER = 43\n");
    let edited = project.cargo(&["run"], &[]).succeeded();
    assert_ne!(first.value("sha256"), edited.value("sha256"));
    // Written only below OUT_DIR.
    let mut names: Vec<_> = std::fs::read_dir(project.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "Cargo.lock",
            "Cargo.toml",
            "build.rs",
            "my packages",
            "notes.txt",
            "src"
        ]
    );
}

#[test]
fn placeholders_are_quick_and_explicit() {
    let project = Project::new(
        "docs",
        "docs-consumer",
        "[package.metadata.eryx]\nimports = [\"json\"]",
    );
    for (variable, reason) in [
        ("DOCS_RS", "docs.rs"),
        ("ERYX_PREINIT_SKIP", "ERYX_PREINIT_SKIP"),
    ] {
        let ran = project
            .cargo(&["run", "-vv"], &[(variable, "1")])
            .succeeded();
        assert_eq!(ran.value("bytes"), "8", "an empty component");
        assert!(ran.stderr().contains(reason), "{}", ran.stderr());
    }
    // The variable is watched: without it, the real thing is built.
    let real = project.cargo(&["run"], &[]).succeeded();
    assert!(real.value("bytes").parse::<u64>().unwrap() > 1_000_000);
}

#[test]
fn without_a_block_the_defaults_hold() {
    let project = Project::new("bare", "bare-consumer", "");
    let ran = project.cargo(&["run", "-vv"], &[]).succeeded();
    assert!(
        ran.stderr().contains("no [package.metadata.eryx] block"),
        "{}",
        ran.stderr()
    );
    assert!(ran.value("bytes").parse::<u64>().unwrap() > 1_000_000);
}

#[test]
fn a_read_only_source_tree_builds() {
    let project = Project::new(
        "read-only",
        "read-only-consumer",
        "[package.metadata.eryx]\nimports = [\"json\"]",
    );
    // Writing the lock file is cargo's business, not ours.
    project.cargo(&["metadata"], &[]).succeeded();
    match project.cargo_read_only(&["run"]) {
        Ok(ran) => assert!(ran.succeeded().value("bytes").parse::<u64>().unwrap() > 1_000_000),
        Err(why) => skip::skipped("a read-only mount", &why),
    }
}

#[test]
fn a_package_is_verified_from_its_archive() {
    let project = Project::new("package", "package-consumer", "");
    let manifest = "[workspace]\n\n[package]\nname = \"package-consumer\"\nversion = \"0.1.0\"\n\
         edition = \"2024\"\nlicense = \"MIT\"\ndescription = \"d\"\n\n\
         [package.metadata.eryx]\nimports = [\"json\"]\n\n\
         [build-dependencies]\neryx-preinit-build = ";
    project.write(
        "Cargo.toml",
        &(manifest.to_owned() + project::FROM_REGISTRY),
    );
    // This crate may not be published yet.
    let patch = project::patch();
    let ran = project
        .cargo(&["package", "--allow-dirty", "--config", &patch], &[])
        .succeeded();
    assert!(ran.stderr().contains("Verifying"), "{}", ran.stderr());
}

#[cfg(unix)]
#[test]
fn a_member_is_verified_in_any_target_folder() {
    let project = Project::new("member", "member-consumer", "");
    let manifest = "[package]\nname = \"member-consumer\"\nversion = \"0.1.0\"\n\
         edition = \"2024\"\nlicense = \"MIT\"\ndescription = \"d\"\n\n\
         [package.metadata.eryx]\nimports = [\"json\"]\n\n\
         [build-dependencies]\neryx-preinit-build = ";
    project.write(
        "member/Cargo.toml",
        &(manifest.to_owned() + project::FROM_REGISTRY),
    );
    project.write("member/build.rs", project::BUILD);
    project.write("member/src/main.rs", project::MAIN);
    project.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"member\"]\nresolver = \"3\"\n",
    );
    // In the workspace, and not called `target`: cargo takes what it unpacks there for a
    // member. Under another name, it is what all tests compiled.
    std::fs::create_dir_all(project::shared("target")).unwrap();
    let build = project.path().join("build");
    std::os::unix::fs::symlink(project::shared("target"), &build).unwrap();
    let vars = [("CARGO_TARGET_DIR", build.to_str().unwrap())];
    let patch = project::patch();
    let package = [
        "package",
        "-p",
        "member-consumer",
        "--allow-dirty",
        "--config",
        &patch,
    ];
    let ran = project.cargo(&package, &vars).succeeded();
    assert!(ran.stderr().contains("Verifying"), "{}", ran.stderr());
}

#[test]
fn the_lock_file_is_never_written() {
    let project = Project::new("locked", "locked-consumer", "[package.metadata.eryx]");
    // Nothing but tests uses it: no consumer compiles anything again for this.
    project.write(
        "patched/Cargo.toml",
        "[package]\nname = \"wasm-smith\"\nversion = \"0.254.99\"\nedition = \"2024\"\n",
    );
    project.write("patched/src/lib.rs", "");
    let manifest = std::fs::read_to_string(project.path().join("Cargo.toml")).unwrap();
    project.write(
        "Cargo.toml",
        &(manifest + "\n[dependencies]\nwasm-smith = \"0.254\"\n"),
    );
    // Relative to where cargo is started.
    let patch = "patch.crates-io.wasm-smith.path=\"patched\"";
    project
        .cargo(&["metadata", "--config", patch], &[])
        .succeeded();
    let lock = || std::fs::read_to_string(project.path().join("Cargo.lock")).unwrap();
    let before = lock();
    assert!(before.contains("0.254.99"), "{before}");
    project
        .cargo(&["build", "--locked", "--config", patch], &[])
        .succeeded();
    assert_eq!(lock(), before);
}

#[test]
fn a_build_script_needs_no_cargo_where_the_paths_are_given() {
    let block = "[package.metadata.eryx]\nimports = [\"json\"]";
    let project = Project::new("script", "script-consumer", block);
    let built = project.cargo(&["run"], &[]).succeeded();

    // As other build tools run it: a few variables, and none that says where cargo is.
    let alone = project.script(&[]).failed().stderr();
    for said in ["no cargo", "`runtime` and `stdlib`", "Builder::new"] {
        assert!(alone.contains(said), "{said} is not in:\n{alone}");
    }
    // Of a target in a file, cargo tells the name alone.
    let custom = [
        ("CARGO", env!("CARGO")),
        ("PATH", env!("PATH")),
        ("TARGET", "my-kernel"),
    ];
    let custom = project.script(&custom).succeeded();

    let runtime = project::runtime();
    let stdlib = built.value("stdlib");
    let paths = format!("runtime = {runtime:?}\nstdlib = {stdlib:?}");
    project.block(&format!("{block}\n{paths}"));
    let is_python = |ran: &project::Ran| {
        let stdout = ran.stdout();
        let mut lines = stdout.lines();
        let line = lines.find_map(|line| line.strip_prefix("cargo::rustc-env=ERYX_PYTHON_WASM="));
        let wasm = Path::new(line.unwrap());
        wasm.metadata().unwrap().len() > 1_000_000
    };
    assert!(is_python(&custom));
    std::fs::remove_dir_all(project.out()).unwrap();
    assert!(is_python(&project.script(&[]).succeeded()));

    // What Python's clock can show, and what it cannot.
    let epoch = |value: &str| project.script(&[("SOURCE_DATE_EPOCH", value)]);
    for bad in ["1667997441000", "18446744073709551615", "soon"] {
        let stderr = epoch(bad).failed().stderr();
        for said in ["SOURCE_DATE_EPOCH", bad, "from 0 to 9214646399"] {
            assert!(stderr.contains(said), "{said} is not in:\n{stderr}");
        }
    }
    project.block(&format!(
        "[package.metadata.eryx]\nimports = [\"logging\", \"email.utils\"]\n{paths}\n\
         setup-code = \"import datetime, io, zipfile; datetime.datetime.now(); \
         zipfile.ZipFile(io.BytesIO(), 'w').write(zipfile.__file__)\""
    ));
    for good in ["0", "9214646399"] {
        epoch(good).succeeded();
    }
}

#[cfg(feature = "wheels")]
#[test]
fn real_packages_are_staged_watched_and_set_up() {
    let name = "packages-consumer";
    let project = Project::new(
        "packages",
        name,
        "[package.metadata.eryx]\nimports = [\"jinja2\", \"attrs\", \"click\", \"mypkg.part\"]\n\
         packages = [\"wheels/*.whl\", \"wheels/markupsafe-3.0.4.tar.gz\", \"python/mypkg\"]\n\
         setup = \"python/warm.py\"",
    );
    std::fs::create_dir(project.path().join("wheels")).unwrap();
    for entry in std::fs::read_dir(project::root().join("tests/wheels")).unwrap() {
        let path = entry.unwrap().path();
        let target = project
            .path()
            .join("wheels")
            .join(path.file_name().unwrap());
        std::fs::copy(&path, target).unwrap();
    }
    project.write("python/mypkg/__init__.py", "");
    // What no earlier run of this test has left in the cache.
    let part = format!("RUN = {}\n", std::process::id());
    project.write("python/mypkg/part.py", &part);
    project.write(
        "python/warm.py",
        "import importlib.metadata, jinja2, mypkg.part\n\
         env = jinja2.Environment(autoescape=True)\n\
         hello = env.from_string('Hello {{ name }}')\n\
         assert hello.render(name='<b>') == 'Hello &lt;b&gt;'\n\
         assert importlib.metadata.version('jinja2') == '3.1.6'\n\
         assert importlib.metadata.version('markupsafe') == '3.0.4'\n\
         assert __name__ == '__main__'\n\
         print = str = getattr = None\n\
         kept = open(jinja2.__file__)\n\
         left = open('/tmp/left', 'w')\n",
    );
    let first = project.cargo(&["run", "-vv"], &[]).succeeded();
    let stderr = first.stderr();
    for said in [
        "optional module `markupsafe._speedups` was tried and is not there",
        "`/tmp/left` is still open",
        "set-up python/warm.py",
    ] {
        assert!(stderr.contains(said), "{said} is not in:\n{stderr}");
    }
    assert!(!stderr.contains(" needs "), "nothing is missing:\n{stderr}");
    let embedded = "`/site-packages/jinja2/__init__.py` is still open";
    assert!(!stderr.contains(embedded), "it is in memory:\n{stderr}");
    let site_packages = std::path::PathBuf::from(first.value("site-packages"));
    for file in ["jinja2/environment.py", "attr/__init__.py", "mypkg/part.py"] {
        assert!(site_packages.join(file).is_file(), "{file}");
    }

    let build = || project.cargo(&["build", "-v"], &[]).succeeded().stderr();
    assert!(units(&build(), name)[0].starts_with("Fresh"));
    project.write("unrelated.py", "");
    assert!(units(&build(), name)[0].starts_with("Fresh"));
    // Another file may be moved over the set-up file, so its folder is watched.
    project.write("python/beside.py", "");
    assert!(units(&build(), name)[0].starts_with("Dirty"));
    assert!(
        site_packages.exists(),
        "nothing that Python sees has changed"
    );
    project.write("python/mypkg/added.py", "");
    assert!(units(&build(), name)[0].starts_with("Dirty"));
    // The last result's packages were replaced by the new one's.
    assert!(!site_packages.exists());
    // A file beside the wheels is looked at, and no reason to run Python.
    project.write("wheels/notes.txt", "");
    let again = project.cargo(&["build", "-vv"], &[]).succeeded().stderr();
    // If the test was quick, the last build's files were too young for the stamp.
    let quick = ["nothing changed", "snapshot: from the cache"];
    assert!(quick.iter().any(|said| again.contains(said)), "{again}");
    assert!(again.contains("is still open"), "warned again:\n{again}");

    project.write(
        "python/warm.py",
        "def f():\n    print('so far')\n    return 1 / 0\n\nf()\n",
    );
    let stderr = project.cargo(&["build"], &[]).failed().stderr();
    for said in [
        "failed in stage setup: the set-up code `python/warm.py` failed",
        "File \"python/warm.py\", line 5, in <module>\n          f()",
        "File \"python/warm.py\", line 3, in f\n          return 1 / 0",
        "ZeroDivisionError: division by zero",
        "so far",
    ] {
        assert!(stderr.contains(said), "{said} is not in:\n{stderr}");
    }
    assert!(!stderr.contains("<user>"), "{stderr}");
}
