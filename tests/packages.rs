//! Native extensions, packages and set-up code, with real libraries and real
//! Python.

mod native;
mod runtime;
mod skip;

use eryx_preinit_build::{Extension, Stage};
use runtime::builder;
use std::fs;
#[cfg(feature = "wheels")]
use std::path::Path;
use std::sync::{Arc, Mutex};

#[test]
fn native_extensions_are_linked_and_imported() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, bytes: &[u8]| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("pkg/__init__.py", b"");
    write("pkg/sub/__init__.py", b"");
    write(
        "pkg/sub/_native.cpython-314-wasm32-wasi.so",
        &native::extension("_native", 1),
    );
    write(
        "top.cpython-314-wasm32-wasi.so",
        &native::extension("top", 2),
    );
    write(
        "odd name.so",
        &native::extension_that_needs("_native", "helper_answer", "libhelper.so"),
    );
    write("libhelper.so", &native::library("helper_answer", 3));
    write("pkg/stable.abi3.so", &native::extension("stable", 4));
    write("pkg/bare.so", &native::extension("bare", 5));
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut builder = builder(&out, &["pkg.sub._native", "top"]);
    builder.config.packages = vec![dir.path().join("pkg")];
    let mut named = Extension::new(dir.path().join("odd name.so"));
    named.module = Some("other._native".to_owned());
    builder.config.extensions = vec![
        Extension::new(dir.path().join("top.cpython-314-wasm32-wasi.so")),
        named,
        Extension::new(dir.path().join("libhelper.so")),
    ];
    let mut setup = "import pkg.sub._native, top, other._native, pkg.stable, pkg.bare\n\
         modules = pkg.sub._native, top, other._native, pkg.stable, pkg.bare\n\
         got = [module.answer() for module in modules]\n\
         assert got == [1, 2, 3, 4, 5], got\n"
        .to_owned();
    match native::compiled_from_c(dir.path()) {
        Ok(library) => {
            write("c/cfast.so", &library);
            let extension = Extension::new(dir.path().join("c/cfast.so"));
            builder.config.extensions.push(extension);
            setup += "import cfast\n\
                 assert cfast.square(7) == 49 and cfast.letters() == 14 and cfast.LIMIT == 99\n\
                 assert cfast.count() == 1\n\
                 try:\n    cfast.square(-3)\nexcept ValueError as error:\n    assert str(error) == 'negative'\n\
                 else:\n    raise AssertionError\n";
        }
        Err(why) => skip::skipped("the extension in C", &why),
    }
    builder.config.setup_code = Some(setup);
    let artifacts = builder.build().unwrap();
    assert_eq!(artifacts.warnings, [""; 0]);
    let tree = artifacts.site_packages.unwrap();
    let placeholder = tree.join("pkg/sub/_native.cpython-314-wasm32-wasi.so");
    assert_eq!(fs::metadata(placeholder).unwrap().len(), 0);
}

#[cfg(feature = "wheels")]
#[test]
fn with_packages_and_extensions_too_only_the_profiled_bodies_are_compiled() {
    for version in ["0.5.0", "0.14.0"] {
        let dir = tempfile::tempdir().unwrap();
        let library = match native::compiled_from_c(dir.path()) {
            Ok(library) => library,
            Err(why) => return skip::skipped("the extension in C", &why),
        };
        let many = native::compiled(dir.path(), "src/wasm/bodies/extension.c").unwrap();
        let imports = [
            "cfast", "cmany", "few", "jinja2", "click", "attrs", "project",
        ];
        let mut builder = builder(dir.path(), &imports);
        // Their sources are compiled in the guest, as far as they are Python.
        for (name, text) in [
            (
                "project.py",
                "import json\nNAME = json.dumps({'é': [1.5, None]})\n",
            ),
            ("broken.py", "print 'of another Python'\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
            builder.config.packages.push(dir.path().join(name));
        }
        let wheels = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wheels");
        builder.config.packages.push(wheels.join("*.whl"));
        builder.config.packages.push(wheels.join("*.tar.gz"));
        builder.config.cache_dir = Some(dir.path().join("cache"));
        builder.config.runtime = Some(runtime::folder(version));
        // In two phases; in one phase, with types of its own; in one phase.
        for (name, library) in [
            ("cfast", library),
            ("cmany", many),
            ("few", native::extension("few", 7)),
        ] {
            let path = dir
                .path()
                .join(format!("{name}.cpython-314-wasm32-wasi.so"));
            fs::write(&path, library).unwrap();
            builder.config.extensions.push(Extension::new(path));
        }
        builder.config.setup_code = Some(
            "import cfast, jinja2\nassert cfast.square(6) == 36\n\
             page = jinja2.Template('<b>{{ x|e }}</b>{% for y in x %}{{ y }}{% endfor %}')\n\
             assert page.render(x='<a') == '<b>&lt;a</b><a'"
                .to_owned(),
        );
        let said = Arc::new(Mutex::new(String::new()));
        let lines = said.clone();
        builder.progress(move |line| *lines.lock().unwrap() += &format!("{line}\n"));
        builder.build().unwrap();
        let said = said.lock().unwrap();
        assert!(said.contains("bodies: start"), "{said}");
        assert!(!said.contains("trying another way"), "{said}");
    }
}

#[test]
fn projects_and_archives_are_imported_with_their_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "app/pyproject.toml",
        "[project]\nname = 'my-app'\nversion = '2.3.4'\n[project.entry-points.'my.plugins']\n\
         a = 'my_app:main'\n[build-system]\nrequires = ['hatchling']\n\
         build-backend = 'hatchling.build'\n",
    );
    write(
        "app/src/my_app/__init__.py",
        "from importlib.metadata import version\n__version__ = version('my-app')\n\
         def main(): return __version__\n",
    );
    write("site/inside.pth", "vendored\n");
    write("site/vendored/followed.py", "X = 1\n");
    write("site/ns/one.py", "X = 1\n");
    write("two/ns/two.py", "X = 2\n");
    let mut builder = builder(dir.path(), &["my_app", "followed", "ns.one", "ns.two"]);
    builder.config.site_packages = Some(dir.path().join("site"));
    builder.config.packages = vec![dir.path().join("app"), dir.path().join("two/ns")];
    let mut setup = "from importlib import metadata\n\
         assert my_app.__version__ == '2.3.4'\n\
         [point] = metadata.entry_points(group='my.plugins')\n\
         assert point.load()() == '2.3.4'\n\
         assert metadata.packages_distributions()['my_app'] == ['my-app']\n\
         assert any(str(f) == 'my_app/__init__.py' for f in metadata.files('my-app'))\n"
        .to_owned();
    #[cfg(feature = "wheels")]
    {
        builder.config.packages.push(old_sdist(dir.path()));
        setup += "import old\nassert old.VERSION == '6.0', old\n";
    }
    builder.config.setup_code = Some(setup);
    assert_eq!(builder.build().unwrap().warnings, [""; 0]);
}

/// A source distribution whose packages are below `lib/`, as only its `setup.py` says.
#[cfg(feature = "wheels")]
fn old_sdist(dir: &std::path::Path) -> std::path::PathBuf {
    let path = dir.join("old-6.0.tar.gz");
    let file = fs::File::create(&path).unwrap();
    let compressed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let mut tar = tar::Builder::new(compressed);
    for (name, text) in [
        (
            "PKG-INFO",
            "Metadata-Version: 1.0\nName: old\nVersion: 6.0\n",
        ),
        (
            "setup.py",
            "setup(package_dir={'': 'lib'}, packages=['old'])\n",
        ),
        ("old/speed.pyx", ""),
        (
            "lib/old/__init__.py",
            "from importlib.metadata import version\nVERSION = version('old')\n",
        ),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("old-6.0/{name}"), text.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
    path
}

/// Builds what cannot be built: nothing is compiled for that.
#[track_caller]
fn link_error(extensions: &[(&str, Vec<u8>)], parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let mut builder = builder(dir.path(), &[]);
    for (name, bytes) in extensions {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        builder.config.extensions.push(Extension::new(path));
    }
    let error = builder.build().unwrap_err();
    assert_eq!(error.stage(), Stage::Link, "{error:?}");
    let text = format!("{error:?}");
    for part in parts {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn missing_symbols_are_named_with_the_library() {
    let no_such = native::extension_that_needs("x", "PyNo_SuchFunction", "libpython3.14.so");
    link_error(
        &[("x.so", no_such)],
        &[
            "extensions[0] (`",
            "x.so`) needs the function `PyNo_SuchFunction` () -> i32",
        ],
    );
    let other_signature = native::extension_that_needs("y", "PyLong_FromLong", "libpython3.14.so");
    link_error(
        &[("y.so", other_signature)],
        &["calls `PyLong_FromLong` as () -> i32, but libpython3.14.so has it as (i32) -> i32"],
    );
    let no_library = native::extension_that_needs("z", "f", "libnone.so");
    link_error(
        &[("z.so", no_library)],
        &["needs the library `libnone.so`, which is not there: add it to `extensions`"],
    );
}

/// A file that RECORD does not list is a warning, or an error where that is asked for: also
/// of a wheel that an earlier build took.
#[cfg(feature = "wheels")]
#[test]
fn strict_records_refuse_what_is_not_listed() {
    use std::io::Write as _;
    let dir = tempfile::tempdir().unwrap();
    let wheel = dir.path().join("app-1.0-py3-none-any.whl");
    let mut zip = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
    let metadata = "Metadata-Version: 2.1\nName: app\nVersion: 1.0\n";
    for (name, content) in [
        ("app.py", ""),
        ("app-1.0.dist-info/METADATA", metadata),
        (
            "app-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nTag: py3-none-any\n",
        ),
        ("app-1.0.dist-info/RECORD", "app-1.0.dist-info/RECORD,,\n"),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let mut builder = builder(dir.path(), &["app"]);
    builder.package(&wheel);
    let warnings = builder.build().unwrap().warnings;
    assert!(
        warnings[0].contains("is not exact: it does not list"),
        "{warnings:?}"
    );
    builder.config.strict_records = true;
    let error = builder.build().unwrap_err();
    let report = format!("{error:?}");
    for part in [
        "strict-records",
        "is not exact: it does not list",
        "packages[0]",
    ] {
        assert!(report.contains(part), "{report}");
    }
}

/// The packages in tests/wheels, locked as tools lock them, with one that is not for here.
#[cfg(feature = "wheels")]
const LOCK: &str = r#"
lock-version = "1.0"
created-by = "the tests"
requires-python = ">=3.10"

[[packages]]
name = "attrs"
version = "26.1.0"
wheels = [{ url = "https://files.example/a/attrs-26.1.0-py3-none-any.whl", upload-time = 2026-03-19T00:00:00Z, hashes = { sha256 = "c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309" } }]

[[packages]]
name = "colorama"
version = "0.4.6"
marker = "sys_platform == 'win32'"
wheels = [{ name = "colorama-0.4.6-py3-none-any.whl", hashes = { sha256 = "c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309" } }]

[[packages]]
name = "jinja2"
version = "3.1.6"
wheels = [{ name = "jinja2-3.1.6-py3-none-any.whl", hashes = { sha256 = "85ece4451f492d0c13c5dd7c13a64681a86afae63a5f347908daf103ce6d2f67" } }]

[[packages]]
name = "MarkupSafe"
version = "3.0.4"
sdist = { name = "markupsafe-3.0.4.tar.gz", hashes = { sha256 = "2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6" } }
wheels = [{ name = "markupsafe-3.0.4-cp314-cp314-manylinux_2_17_x86_64.whl", hashes = { sha256 = "2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6" } }]
"#;

#[cfg(feature = "wheels")]
#[test]
fn exactly_the_locked_files_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let wheels = dir.path().join("wheels");
    fs::create_dir(&wheels).unwrap();
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wheels");
    for entry in fs::read_dir(tests).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, wheels.join(path.file_name().unwrap())).unwrap();
    }
    let lock = dir.path().join("pylock.toml");
    fs::write(&lock, LOCK).unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut builder = builder(&out, &["jinja2", "attrs"]);
    builder.config.packages = vec![lock.clone()];
    builder.config.wheel_dirs = vec![wheels.clone()];
    let artifacts = builder.build().unwrap();
    let tree = artifacts.site_packages.unwrap();
    assert!(tree.join("markupsafe/_native.py").is_file());
    assert!(!tree.join("click").exists(), "it is there, and not locked");

    // The same, locked in the other way.
    let mut text = String::new();
    for (line, hash) in [
        (
            "attrs==26.1.0",
            "c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309",
        ),
        (
            "jinja2==3.1.6",
            "85ece4451f492d0c13c5dd7c13a64681a86afae63a5f347908daf103ce6d2f67",
        ),
        (
            "markupsafe==3.0.4",
            "2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6",
        ),
    ] {
        text += &format!("{line} \\\n    --hash=sha256:{hash}\n");
    }
    let requirements = dir.path().join("requirements.txt");
    fs::write(&requirements, text).unwrap();
    builder.config.packages = vec![requirements];
    let again = builder.build().unwrap();
    assert_eq!(again.component.sha256, artifacts.component.sha256);

    // A file that is not the locked one, and then none.
    let wheel = wheels.join("attrs-26.1.0-py3-none-any.whl");
    let mut bytes = fs::read(&wheel).unwrap();
    bytes.push(0);
    fs::write(&wheel, bytes).unwrap();
    builder.config.packages = vec![lock];
    let text = format!("{:?}", builder.build().unwrap_err());
    assert!(text.contains("not those that are locked"), "{text}");
    assert!(text.contains("attrs-26.1.0-py3-none-any.whl"), "{text}");
    fs::remove_file(&wheel).unwrap();
    let text = format!("{:?}", builder.build().unwrap_err());
    assert!(
        text.contains("pip download --no-deps --python-version 3.14"),
        "{text}"
    );
    assert!(text.contains("attrs==26.1.0"), "{text}");
}
