//! How long a build takes as extensions and packages grow, and what fusing, embedding and
//! compressing cost.
//!
//! ```text
//! cargo bench --bench scale --profile dev    # opt-level 0, as build scripts are
//! cargo bench --bench scale                  # optimised
//! cargo bench --bench scale -- fuse          # only `fuse`, `embed`, `compress`, `extensions` or `files`
//! ```
//!
//! The stages print their own times on stderr.

#[path = "../tests/native/mod.rs"]
mod native;
#[path = "../tests/runtime/mod.rs"]
mod runtime;

use eryx_preinit_build::{Artifact, Builder, CompilerChoice, Embed, Extension, Precompile};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let parts: [(&str, fn()); 5] = [
        ("fuse", fuse),
        ("embed", embed),
        ("compress", compress),
        ("extensions", extensions),
        ("files", files),
    ];
    for (name, part) in parts {
        if wanted.as_ref().is_none_or(|wanted| wanted == name) {
            part();
        }
    }
}

/// Modules fused, and as they were linked.
fn fuse() {
    in_turns([
        ("fused", &|builder| builder.config.fuse = true),
        ("unfused", &|builder| builder.config.fuse = false),
    ]);
}

/// Everything that may be imported embedded, and nothing of it.
fn embed() {
    in_turns([
        ("embed all", &|builder| builder.config.embed = Embed::All),
        ("none", &|builder| builder.config.embed = Embed::None),
    ]);
}

/// A way to build, and its name.
type Way<'a> = (&'a str, &'a dyn Fn(&mut Builder));

/// Builds from nothing, one way and the other in turns: the medians.
fn in_turns(ways: [Way<'_>; 2]) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        for ((_, change), times) in ways.iter().zip(&mut times) {
            let dir = tempfile::tempdir().unwrap();
            let mut builder = builder(dir.path());
            builder.config.runtime = Some(runtime::folder("0.14.0"));
            builder.config.imports = ["json", "re"].map(str::to_owned).into();
            change(&mut builder);
            let started = Instant::now();
            builder.build().unwrap();
            times.push(started.elapsed().as_secs_f64());
        }
    }
    for ((name, _), mut times) in ways.into_iter().zip(times) {
        times.sort_by(f64::total_cmp);
        println!("{name}: {:.2} s", times[times.len() / 2]);
    }
}

/// What each level leaves of the component and of native code of Cranelift, and how long
/// it takes with all else done.
fn compress() {
    let cache = tempfile::tempdir().unwrap();
    for level in [None, Some(3), Some(9), Some(19)] {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = builder(dir.path());
        builder.config.runtime = Some(runtime::folder("0.14.0"));
        builder.config.imports = ["json", "re"].map(str::to_owned).into();
        builder.config.cache_dir = Some(cache.path().to_owned());
        let mut precompile = Precompile::default();
        precompile.compiler = CompilerChoice::Cranelift;
        builder.config.precompile = Some(precompile);
        // What is embedded is another archive.
        builder.config.compress = level.map(|level| level % 3 + 1);
        builder.build().unwrap();
        builder.config.compress = level;
        let started = Instant::now();
        let built = builder.build().unwrap();
        let took = started.elapsed().as_secs_f64();
        let size = |file: &Option<Artifact>| file.as_ref().map_or(0, |file| file.bytes);
        let megabytes = |bytes| bytes as f64 / 1e6;
        println!(
            "compress {level:?}: python.wasm {:.2} MB, python.cwasm {:.2} MB; .zst {:.2} and {:.2} \
             MB, in {took:.1} s",
            megabytes(built.component.bytes),
            megabytes(size(&built.native)),
            megabytes(size(&built.component_zst)),
            megabytes(size(&built.native_zst)),
        );
        for (name, zst, whole) in [
            (
                "python.wasm",
                &built.component_zst,
                &Some(built.component.clone()),
            ),
            ("python.cwasm", &built.native_zst, &built.native),
        ] {
            let Some((zst, whole)) = zst.as_ref().zip(whole.as_ref()) else {
                continue;
            };
            let zst = fs::read(&zst.path).unwrap();
            let started = Instant::now();
            let bytes = zstd::bulk::decompress(&zst, whole.bytes as usize).unwrap();
            let took = started.elapsed().as_secs_f64() * 1e3;
            println!("  {name} of {} bytes again in {took:.0} ms", bytes.len());
        }
    }
}

fn extensions() {
    for count in [0, 1, 10, 100] {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = builder(dir.path());
        for index in 0..count {
            let name = format!("native_{index}");
            let path = dir.path().join(format!("{name}.so"));
            fs::write(&path, native::extension(&name, index)).unwrap();
            builder.config.extensions.push(Extension::new(path));
            builder.config.imports.push(name);
        }
        report("extensions", count, &builder);
    }
}

fn files() {
    // What all of these have in common is linked and compiled once.
    let cache = tempfile::tempdir().unwrap();
    for count in [1, 100, 1_000, 10_000] {
        let dir = tempfile::tempdir().unwrap();
        let mut builder = builder(dir.path());
        builder.config.cache_dir = Some(cache.path().to_owned());
        let package = dir.path().join("package");
        fs::create_dir(&package).unwrap();
        fs::write(package.join("__init__.py"), "").unwrap();
        for index in 1..count {
            let code = format!(
                "NAME = {index}\n{}",
                "# about as long as a module\n".repeat(99)
            );
            fs::write(package.join(format!("module_{index}.py")), code).unwrap();
        }
        builder.config.packages.push(package);
        builder.config.imports.push("package".to_owned());
        report("files in site-packages", count, &builder);
    }
}

fn builder(dir: &Path) -> Builder {
    let out = dir.join("out");
    fs::create_dir(&out).unwrap();
    let mut builder = Builder::new(out, runtime::folder("0.5.0"));
    builder.progress(|line| eprintln!("{line}"));
    builder
}

/// Builds twice: from nothing (but a cache, if there is one), and with nothing to do.
fn report(what: &str, count: i32, builder: &Builder) {
    // Files younger than this are always read again.
    std::thread::sleep(Duration::from_secs(4));
    let times = [(); 2].map(|()| {
        let started = Instant::now();
        builder.build().unwrap();
        started.elapsed().as_secs_f64()
    });
    println!(
        "{count:>6} {what}: {:.2} s, nothing changed {:.1} ms",
        times[0],
        times[1] * 1e3
    );
}
