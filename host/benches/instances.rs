//! What a program lives with at run time: modules fused, as they were linked, and fused
//! with everything embedded, side by side, in turns.
//!
//! ```text
//! cargo bench -p eryx-preinit --bench instances             # runtime 0.14.0
//! cargo bench -p eryx-preinit --bench instances -- 0.5.0
//! ```
//!
//! A time is the median. Rates and memory are those of one core, with a pool.

#[path = "../tests/python/package.rs"]
mod package;

use eryx_preinit::{Pool, Python, Snapshot};
use eryx_preinit_build::{Artifacts, Builder, Embed, Precompile};
use std::path::Path;
use std::time::{Duration, Instant};

/// Instances kept at once, to see what each costs.
const IDLE: u32 = 100;

/// Of what is short, and of what takes longer.
const TIMES: usize = 300;
const LONG_TIMES: usize = 7;

/// Imports that the snapshot does not have.
const NINE: &str = "import csv, decimal, dataclasses, argparse, urllib.request, \
                    xml.etree.ElementTree, email.message, typing, logging";

const LOOP: &str = "x = 0\nfor i in range(20_000):\n    x += i * i";

/// Programs of the processor's alone.
const PROGRAMS: [(&str, &str); 5] = [
    ("nbody", include_str!("nbody.py")),
    (
        "json dumps and loads",
        "import json\nrows = [{'id': i, 'name': f'n{i}', 'tags': ['a', 'b']} for i in range(5000)]\n\
         assert json.loads(json.dumps(rows)) == rows",
    ),
    (
        "regular expressions",
        "import re\ntext = 'id=17; name=\"Ada\"; at 2026-11-26 ' * 2000\n\
         n = len(re.findall(r'(\\w+)=(\"?)([^;\"]+)\\2|(\\d{4})-(\\d\\d)', text))\nassert n == 6000",
    ),
    (
        "building strings",
        "parts = []\nfor i in range(60_000):\n    parts.append(f'{i:05d}:{i % 7}'.upper())\n\
         assert len(','.join(parts).split(',')) == 60_000",
    ),
    (
        "churning a dict",
        "d = {}\nfor i in range(120_000):\n    d[i % 5003] = d.get((i * 7) % 5003, 0) + 1\n    \
         if i % 3 == 0: d.pop(i % 251, None)",
    ),
];

struct Variant {
    name: &'static str,
    python: Python,
    artifacts: Artifacts,
    cold: Duration,
    precompile: Duration,
}

fn main() {
    let version = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let version = version.unwrap_or_else(|| "0.14.0".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let variants = [
        ("unfused", false, Embed::None),
        ("fused", true, Embed::None),
        ("embedded", true, Embed::All),
    ]
    .map(|(name, fuse, embed)| {
        let change = |builder: &mut Builder| {
            builder.config.fuse = fuse;
            builder.config.embed = embed;
        };
        build(name, &version, &folder.path().join(name), change)
    });
    let names: Vec<_> = variants.iter().map(|variant| variant.name).collect();
    println!("runtime {version}: {}", names.join(", "));
    row(
        "cold build, s",
        variants.each_ref().map(|v| seconds(v.cold)),
    );
    row(
        "native code after that, s",
        variants.each_ref().map(|v| seconds(v.precompile)),
    );
    let size = |path: &Path| std::fs::metadata(path).unwrap().len() as f64 / 1e6;
    row(
        "python.wasm, MB",
        variants
            .each_ref()
            .map(|v| size(&v.artifacts.component.path)),
    );
    let native = |v: &Variant| size(&v.artifacts.native.as_ref().unwrap().path);
    row("python.cwasm, MB", variants.each_ref().map(native));
    instances(&variants);
    programs(&variants);
    let memory = variants.each_ref().map(memory);
    row("idle instance, KiB", memory.map(|[idle, _]| idle));
    row("after `pass`, KiB", memory.map(|[_, used]| used));
}

fn row<const N: usize>(what: &str, values: [f64; N]) {
    let values = values.map(|value| match value < 100.0 {
        true => format!("{value:>10.3}"),
        false => format!("{value:>10.0}"),
    });
    println!("{what:<36}{}", values.join(""));
}

/// Builds from nothing, and loads what came out, with a pool.
fn build(name: &'static str, version: &str, out: &Path, change: impl Fn(&mut Builder)) -> Variant {
    std::fs::create_dir_all(out).unwrap();
    let mut builder = Builder::new(out, package::folder(version));
    builder.config.imports = ["json", "re"].map(str::to_owned).into();
    change(&mut builder);
    let timed = |builder: &Builder| {
        let started = Instant::now();
        let artifacts = builder.build().unwrap();
        (artifacts, started.elapsed())
    };
    let (_, cold) = timed(&builder);
    builder.config.precompile = Some(Precompile::default());
    let (artifacts, precompile) = timed(&builder);
    // SAFETY: the build wrote the file, and nothing else writes there.
    let snapshot = unsafe { Snapshot::from_cwasm_file(&artifacts.native.as_ref().unwrap().path) };
    let snapshot = match builder.config.embed {
        Embed::None => snapshot.stdlib(artifacts.stdlib.as_ref().unwrap()),
        _ => snapshot,
    };
    Variant {
        name,
        python: snapshot.pool(Pool::new(IDLE + 1)).load().unwrap(),
        artifacts,
        cold,
        precompile,
    }
}

/// What it takes to have one, and to run the first code in it.
fn instances(variants: &[Variant; 3]) {
    let mut took = [const { [const { Vec::new() }; 3] }; 3];
    for _ in 0..TIMES {
        for (variant, took) in variants.iter().zip(&mut took) {
            let started = Instant::now();
            let mut sandbox = variant.python.sandbox().build_blocking().unwrap();
            let made = Instant::now();
            sandbox.execute_blocking("pass").unwrap();
            let first = Instant::now();
            sandbox.execute_blocking("pass").unwrap();
            took[0].push(made - started);
            took[1].push(first - started);
            took[2].push(first.elapsed());
        }
    }
    let took = took.map(|each| each.map(median));
    row("instantiate, ms", took.map(|[made, _, _]| made));
    row(
        "instantiate and first `pass`, ms",
        took.map(|[_, first, _]| first),
    );
    row("second `pass`, ms", took.map(|[_, _, second]| second));
    row(
        "instances a second and core",
        variants.each_ref().map(|v| rate(v, None)),
    );
    row(
        "… that run `pass`",
        variants.each_ref().map(|v| rate(v, Some("pass"))),
    );
}

fn programs(variants: &[Variant; 3]) {
    let untraced = format!("import sys\nsys.settrace(None)\n{LOOP}");
    let mut programs = vec![
        ("nine imports, ms", NINE),
        ("loop of 20 000, ms", LOOP),
        ("… after sys.settrace(None), ms", untraced.as_str()),
    ];
    let named = PROGRAMS.map(|(name, code)| (format!("{name}, ms"), code));
    programs.extend(named.iter().map(|(name, code)| (name.as_str(), *code)));
    for (name, code) in programs {
        let mut took = [const { Vec::new() }; 3];
        for _ in 0..LONG_TIMES {
            for (variant, took) in variants.iter().zip(&mut took) {
                let mut sandbox = variant.python.sandbox().build_blocking().unwrap();
                sandbox.execute_blocking("pass").unwrap();
                let started = Instant::now();
                sandbox.execute_blocking(code).unwrap();
                took.push(started.elapsed());
            }
        }
        row(name, took.map(median));
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// How many instances one thread makes in a second of processor time.
fn rate(variant: &Variant, code: Option<&str>) -> f64 {
    let (before, started) = (on_core(), Instant::now());
    let mut count = 0;
    while started.elapsed() < Duration::from_secs(2) {
        let mut sandbox = variant.python.sandbox().build_blocking().unwrap();
        if let Some(code) = code {
            sandbox.execute_blocking(code).unwrap();
        }
        count += 1;
    }
    f64::from(count) / (on_core() - before).as_secs_f64()
}

/// What an idle instance holds, and one that ran `pass`.
fn memory(variant: &Variant) -> [f64; 2] {
    let before = private_kib();
    let make = |_| variant.python.sandbox().build_blocking().unwrap();
    let mut sandboxes: Vec<_> = (0..IDLE).map(make).collect();
    let idle = private_kib();
    for sandbox in &mut sandboxes {
        sandbox.execute_blocking("pass").unwrap();
    }
    [idle, private_kib()].map(|kib| (kib - before) / f64::from(IDLE))
}

/// How long this thread has had a core.
fn on_core() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Memory that this process shares with nothing, in KiB.
fn private_kib() -> f64 {
    let smaps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let private = smaps.lines().filter(|line| line.starts_with("Private_"));
    private
        .map(|line| {
            line.split_whitespace()
                .nth(1)
                .unwrap()
                .parse::<f64>()
                .unwrap()
        })
        .sum()
}
