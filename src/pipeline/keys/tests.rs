//! Each input changes its key, and nothing else does.

use super::*;
use crate::config::{CompilerChoice, CpuLevel, Extension, OptLevel, Precompile};
use crate::inputs::runtime::LibraryFile;
use crate::inputs::sources::{Source, SourceKind, Sources};
use crate::store::checksum::Check;
use std::time::Duration;

fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// Checks that every key differs from all others, and comes out the same again.
#[track_caller]
fn all_differ(keys: impl Fn() -> Vec<Digest>) {
    let (first, again) = (keys(), keys());
    assert_eq!(first, again);
    for (index, key) in first.iter().enumerate() {
        let twin = first[..index].iter().position(|other| other == key);
        assert_eq!(twin, None, "{index} has the key of another one");
    }
}

const TOOLS: Tools<'_> = Tools {
    linker: "1",
    wasmtime: "2",
};

fn link(libraries: Digest, strip: bool, extensions: &[LinkedLibrary]) -> Digest {
    super::link(TOOLS, libraries, strip, extensions)
}

fn snapshot(content: Digest, verify: bool, engines: &[(Compiler, Digest)]) -> Digest {
    super::snapshot(TOOLS, content, verify, engines)
}

fn request(config: &Config, inputs: &Inputs, epoch_seconds: u64, native: Option<Digest>) -> Digest {
    super::request(TOOLS, config, inputs, epoch_seconds, native)
}

#[test]
fn versions_of_tools() {
    let [linker, wasmtime] = ["linker", "wasmtime"].map(|changed| Tools {
        linker: if changed == "linker" { "other" } else { "1" },
        wasmtime: if changed == "wasmtime" { "other" } else { "2" },
    });
    let (config, inputs) = (Config::default(), inputs(|_| {}));
    let request = |tools| super::request(tools, &config, &inputs, 1, None);
    all_differ(|| {
        vec![
            request(TOOLS),
            request(linker),
            request(wasmtime),
            super::link(TOOLS, digest("l"), true, &[]),
            super::link(linker, digest("l"), true, &[]),
            super::snapshot(TOOLS, digest("c"), true, &[]),
            super::snapshot(wasmtime, digest("c"), true, &[]),
        ]
    });
    let lock = include_str!("../../../Cargo.lock");
    let Tools { linker, wasmtime } = Tools::compiled();
    for (name, version) in [("wit-component", linker), ("wasmtime", wasmtime)] {
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&entry), "{name} {version:?}");
    }
}

fn library(change: impl Fn(&mut LinkedLibrary)) -> Vec<LinkedLibrary> {
    let mut library = LinkedLibrary {
        name: "/site-packages/a.so".to_owned(),
        openable: true,
        shown: "extensions[0]".to_owned(),
        digest: digest("a").to_string(),
        file: "libraries/0.so".to_owned(),
    };
    change(&mut library);
    vec![library]
}

#[test]
fn the_linked_component() {
    let base = digest("libraries");
    all_differ(|| {
        vec![
            link(base, true, &[]),
            link(digest("others"), true, &[]),
            link(base, false, &[]),
            link(base, true, &library(|_| {})),
            link(base, true, &library(|l| l.name.push('x'))),
            link(base, true, &library(|l| l.openable = false)),
            link(base, true, &library(|l| l.digest = digest("b").to_string())),
            link(base, true, &[library(|_| {}), library(|_| {})].concat()),
            fuse(link(base, true, &[])),
            fuse(link(base, false, &[])),
        ]
    });
    // What a library is called in reports, and where its copy lies, is not linked.
    assert_eq!(
        link(base, true, &library(|_| {})),
        link(
            base,
            true,
            &library(|l| {
                l.shown.clear();
                l.file.clear();
            })
        )
    );
}

fn content(change: impl Fn(&mut Content<'_>)) -> Digest {
    let mut content = plain_content();
    change(&mut content);
    content.key()
}

#[test]
fn what_python_sees_and_runs() {
    let [a, b] = ["a", "b"].map(str::to_owned);
    let setup = |name: &str, code: &str| Setup {
        name: name.to_owned(),
        code: code.to_owned(),
    };
    all_differ(|| {
        vec![
            content(|_| {}),
            content(|c| c.link = digest("other")),
            content(|c| c.stdlib = digest("other")),
            content(|c| c.site_packages = Some(digest("packages"))),
            content(|c| c.epoch_seconds = 3),
            content(|c| c.memory_limit = 3),
            content(|c| c.trace = true),
            with_imports(std::slice::from_ref(&a)),
            with_imports(std::slice::from_ref(&b)),
            with_imports(&[a.clone(), b.clone()]),
            with_imports(&[b.clone(), a.clone()]),
            with_hook(std::slice::from_ref(&a)),
            with_setup(&setup("s.py", "1")),
            with_setup(&setup("t.py", "1")),
            with_setup(&setup("s.py", "2")),
        ]
    });
}

fn with_imports(imports: &[String]) -> Digest {
    Content {
        imports,
        ..plain_content()
    }
    .key()
}

fn with_hook(on_restore: &[String]) -> Digest {
    Content {
        on_restore,
        ..plain_content()
    }
    .key()
}

fn with_setup(setup: &Setup) -> Digest {
    Content {
        setup: Some(setup),
        ..plain_content()
    }
    .key()
}

fn plain_content() -> Content<'static> {
    Content {
        link: digest("link"),
        stdlib: digest("stdlib"),
        site_packages: None,
        epoch_seconds: 1,
        memory_limit: 2,
        imports: &[],
        on_restore: &[],
        setup: None,
        trace: false,
        embedded: &[],
    }
}

#[test]
fn snapshots_and_code() {
    let (winch, cranelift) = (
        (Compiler::Winch, digest("w")),
        (Compiler::Cranelift, digest("c")),
    );
    let [content, other] = ["content", "other"].map(digest);
    all_differ(|| {
        vec![
            snapshot(content, true, &[winch, cranelift]),
            snapshot(other, true, &[winch, cranelift]),
            snapshot(content, false, &[winch, cranelift]),
            snapshot(content, true, &[cranelift]),
            snapshot(content, true, &[winch, (Compiler::Cranelift, digest("d"))]),
        ]
    });
    let code_of = |link, compiler, engine, bodies, profile: &str| {
        code(
            digest(link),
            compiler,
            digest(engine),
            bodies,
            digest(profile),
        )
    };
    let (winch, cranelift) = (Compiler::Winch, Compiler::Cranelift);
    all_differ(|| {
        vec![
            code_of("l", winch, "e", Bodies::Start, "p"),
            code_of("m", winch, "e", Bodies::Start, "p"),
            code_of("l", cranelift, "e", Bodies::Start, "p"),
            code_of("l", winch, "f", Bodies::Start, "p"),
            code_of("l", winch, "e", Bodies::All, "p"),
            code_of("l", winch, "e", Bodies::Execute, "p"),
            code_of("l", winch, "e", Bodies::Library, "p"),
            code_of("l", winch, "e", Bodies::Start, "q"),
            verified(code_of("l", winch, "e", Bodies::Start, "p")),
            verified(code_of("l", winch, "e", Bodies::All, "p")),
        ]
    });
    // All bodies are all bodies, whatever the profile.
    assert_eq!(
        code_of("l", winch, "e", Bodies::All, "p"),
        code_of("l", winch, "e", Bodies::All, "q")
    );
}

#[test]
fn native_code() {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(digest);
    all_differ(|| {
        vec![
            native(a, b, 0),
            native(c, b, 0),
            native(a, c, 0),
            native(a, b, 1),
            native_by_consumer(a, "t", b),
            native_by_consumer(c, "t", b),
            native_by_consumer(a, "u", b),
            native_by_consumer(a, "t", c),
            reuse(a, b, c),
            reuse(d, b, c),
            reuse(a, d, c),
            reuse(a, b, d),
            compressed(a, 3),
            compressed(b, 3),
            compressed(a, 4),
        ]
    });
}

fn inputs(change: impl Fn(&mut Inputs)) -> Inputs {
    let mut inputs = Inputs {
        libraries: vec![LibraryFile {
            name: "libc.so",
            path: "runtime/libc.so.zst".into(),
        }],
        stdlib: StdlibSource::Embedded,
        packages: Sources {
            list: vec![Source {
                key: "packages[0]".to_owned(),
                path: "a.py".into(),
                kind: SourceKind::Module,
            }],
            watched: Vec::new(),
            locked: vec![("a.whl".into(), Check::All(Vec::new()))],
        },
        setup: None,
        runtime_version: None,
        eryx: None,
        watched: Vec::new(),
    };
    change(&mut inputs);
    inputs
}

#[test]
fn the_request_s_inputs() {
    let config = Config::default();
    let of = |change: fn(&mut Inputs)| request(&config, &inputs(change), 1, None);
    all_differ(|| {
        vec![
            of(|_| {}),
            of(|i| i.libraries[0].path = "other/libc.so.zst".into()),
            of(|i| i.libraries.clear()),
            of(|i| i.stdlib = StdlibSource::Folder("lib".into())),
            of(|i| i.stdlib = StdlibSource::Archive("lib".into())),
            of(|i| i.packages.list.clear()),
            of(|i| i.packages.list[0].path = "b.py".into()),
            of(|i| i.packages.locked.clear()),
            of(|i| i.packages.locked[0].0 = "b.whl".into()),
            of(|i| i.packages.locked[0].1 = Check::Any(Vec::new())),
            of(|i| i.packages.list[0].kind = SourceKind::Package),
            of(|i| i.packages.list[0].kind = SourceKind::Library(None)),
            of(|i| i.packages.list[0].kind = SourceKind::Library(Some("m".to_owned()))),
            of(|i| i.setup = Some("setup.py".into())),
            of(|i| i.runtime_version = Some("0.14.0".to_owned())),
            request(&config, &inputs(|_| {}), 2, None),
            request(&config, &inputs(|_| {}), 1, Some(digest("native"))),
        ]
    });
    // Cargo watches these; the build does not depend on which they are.
    assert_eq!(
        of(|_| {}),
        of(|inputs| inputs.watched.push("Cargo.toml".into()))
    );
}

#[test]
fn every_key_of_the_configuration() {
    let config_with = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        request(&config, &inputs(|_| {}), 1, None)
    };
    all_differ(|| {
        vec![
            config_with(|_| {}),
            config_with(|c| c.imports.push("a".into())),
            config_with(|c| c.on_restore.push("a".into())),
            config_with(|c| c.extensions.push(Extension::new("a"))),
            config_with(|c| {
                let mut extension = Extension::new("a");
                extension.module = Some("m".into());
                c.extensions.push(extension);
            }),
            config_with(|c| c.packages.push("a".into())),
            config_with(|c| c.wheel_dirs.push("a".into())),
            config_with(|c| c.lock_extras.push("a".into())),
            config_with(|c| c.lock_groups = Some(Vec::new())),
            config_with(|c| c.lock_groups = Some(vec!["a".into()])),
            config_with(|c| c.strict_records = true),
            config_with(|c| c.runtime = Some("a".into())),
            config_with(|c| c.stdlib = Some("a".into())),
            config_with(|c| c.site_packages = Some("a".into())),
            config_with(|c| c.setup = Some("a".into())),
            config_with(|c| c.setup_code = Some("a".into())),
            config_with(|c| c.compress = Some(1)),
            config_with(|c| c.compress = Some(2)),
            config_with(|c| c.engine = CompilerChoice::Cranelift),
            config_with(|c| c.strip = false),
            config_with(|c| c.fuse = false),
            config_with(|c| c.verify = false),
            config_with(|c| c.output = "a.wasm".into()),
            config_with(|c| c.timeout = Duration::from_secs(1)),
            config_with(|c| c.memory_limit = 1),
            config_with(|c| c.cache_dir = Some("a".into())),
            config_with(|c| c.cache_size = 1),
            config_with(|c| c.warn_unoptimized = false),
            config_with(|c| c.summary = true),
            config_with(|c| c.report = true),
        ]
    });
}

#[test]
fn every_key_of_precompile() {
    let with = |change: fn(&mut Precompile)| {
        let mut precompile = Precompile::default();
        change(&mut precompile);
        let config = Config {
            precompile: Some(precompile),
            ..Config::default()
        };
        request(&config, &inputs(|_| {}), 1, None)
    };
    all_differ(|| {
        vec![
            request(&Config::default(), &inputs(|_| {}), 1, None),
            with(|_| {}),
            with(|p| p.target = Some("x86_64-unknown-linux-musl".into())),
            with(|p| p.cpu = CpuLevel::X86V3),
            with(|p| p.compiler = CompilerChoice::Winch),
            with(|p| p.opt_level = OptLevel::None),
            with(|p| p.epoch_interruption = true),
            with(|p| p.consume_fuel = true),
            with(|p| p.memory_init_cow = false),
            with(|p| p.address_map = true),
            with(|p| p.pooling = true),
        ]
    });
}

#[test]
fn the_archive_depends_on_what_is_in_it_and_the_snapshot_on_the_archive() {
    let exclude = ["tkinter".to_owned()];
    let key_of = |path, folder, exclude: &[String], sources, compressed| {
        let selection = Selection {
            exclude,
            sources,
            compressed,
        };
        embedded(digest("libraries"), path, digest(folder), &selection)
    };
    let key =
        |path, folder, exclude: &[String], sources| key_of(path, folder, exclude, sources, true);
    let archives = || {
        vec![
            key("/a", "stdlib", &[], true),
            key("/a", "packages", &[], true),
            key("/b", "stdlib", &[], true),
            key("/a", "stdlib", &exclude, true),
            key("/a", "stdlib", &[], false),
            key_of("/a", "stdlib", &[], true, false),
        ]
    };
    all_differ(archives);
    let content = |embedded: &[Digest]| {
        Content {
            embedded,
            ..plain_content()
        }
        .key()
    };
    all_differ(|| {
        let archives = archives();
        let lists = [
            &archives[..0],
            &archives[..1],
            &archives[..2],
            &archives[1..2],
        ];
        lists.map(content).into()
    });
}
