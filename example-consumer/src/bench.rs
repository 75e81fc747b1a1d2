//! `--bench`: what one core sustains, with memory and stacks from a pool.

use anyhow::{Context, Result};
use eryx_preinit::{Error, Pool, Python};
use std::time::{Duration, Instant};

/// Instances kept at once, to see what each costs.
const IDLE: u32 = 100;

/// How long each rate is measured.
const SUSTAINED: Duration = Duration::from_secs(3);

pub fn run() -> Result<()> {
    let python = crate::python(|snapshot| snapshot.pool(Pool::new(IDLE + 1)))?;
    // Once, to have everything that instances share in memory.
    python
        .sandbox()
        .build_blocking()?
        .execute_blocking("pass")?;
    let json = "import json; json.dumps({'a': 1})";
    for code in [None, Some("pass"), Some(json)] {
        let before = on_core()?;
        let count = sustain(&python, code)?;
        let rate = f64::from(count) / (on_core()? - before).as_secs_f64();
        let what = code.map_or_else(String::new, |code| format!(" that run `{code}`"));
        println!("{rate:>8.0} instances a second and core{what}");
    }
    let cores = std::thread::available_parallelism()?.get();
    let counts: Result<Vec<u32>, Error> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| sustain(&python, None)))
            .collect();
        let counts = threads.into_iter().map(|t| t.join().expect("no panic"));
        counts.collect()
    });
    let rate = f64::from(counts?.iter().sum::<u32>()) / SUSTAINED.as_secs_f64();
    println!("{rate:>8.0} instances a second on all {cores} cores");
    memory(&python)
}

fn memory(python: &Python) -> Result<()> {
    let before = private_kib()?;
    let make = |_| python.sandbox().build_blocking();
    let mut sandboxes = (0..IDLE).map(make).collect::<Result<Vec<_>, _>>()?;
    let idle = private_kib()?;
    for sandbox in &mut sandboxes {
        sandbox.execute_blocking("pass")?;
    }
    let used = private_kib()?;
    let each = |kib: u64| kib.saturating_sub(before) / u64::from(IDLE);
    println!("{:>8} KiB for each idle instance", each(idle));
    println!("{:>8} KiB for each that has run `pass`", each(used));
    Ok(())
}

/// How many instances one thread makes, one after another, for `SUSTAINED`.
fn sustain(python: &Python, code: Option<&str>) -> Result<u32, Error> {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < SUSTAINED {
        let mut sandbox = python.sandbox().build_blocking()?;
        if let Some(code) = code {
            sandbox.execute_blocking(code)?;
        }
        count += 1;
    }
    Ok(count)
}

/// How long this thread has had a core: what else the machine does is not counted.
fn on_core() -> Result<Duration> {
    let path = "/proc/thread-self/schedstat";
    let stat = std::fs::read_to_string(path).context("--bench needs Linux")?;
    let nanoseconds = stat.split_whitespace().next().context("schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// Memory that this process shares with nothing, in KiB.
fn private_kib() -> Result<u64> {
    let path = "/proc/self/smaps_rollup";
    let smaps = std::fs::read_to_string(path).context("--bench needs Linux")?;
    let fields = smaps.lines().filter(|line| line.starts_with("Private_"));
    Ok(fields
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum())
}
