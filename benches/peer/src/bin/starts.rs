//! Times starts of a program that runs one line of Python, from exec to exit: with
//! and without pre-initialisation, with and without native code made beforehand, this
//! crate's and its peer's (`eryx_runtime::preinit` and eryx 0.5.0), in one run.
//!
//! ```text
//! cargo build --release -p example-consumer
//! cargo run --release --manifest-path benches/peer/Cargo.toml --bin starts
//! ```
//!
//! Arguments: the number of starts (100), and of those that compile Python when they
//! start (5). Prints the median, the fastest and the slowest of each.

use anyhow::{Context, Result, ensure};
use eryx::{PythonExecutor, Sandbox};
use eryx_preinit_build::Builder;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const CODE: &str = "import json, re; print(json.dumps(1))";

/// One way to start: its name, and how often it is timed.
struct Row {
    name: &'static str,
    starts: usize,
    command: Vec<PathBuf>,
    times: Vec<Duration>,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [form, file, stdlib] = args.as_slice() {
        return start(form, Path::new(file), Path::new(stdlib));
    }
    let number = |at: usize, default| match args.get(at) {
        Some(number) => number.parse().context("the arguments are numbers of starts"),
        None => Ok(default),
    };
    let (many, few) = (number(0, 100)?, number(1, 5)?);
    let dir = tempfile::tempdir()?;
    let mut rows = prepare(dir.path(), many, few)?;
    // In turn, so that what else the machine does meets all of them.
    for round in 0..many.max(few) {
        for row in rows.iter_mut().filter(|row| round < row.starts) {
            let time = row.time()?;
            row.times.push(time);
        }
    }
    println!("{:<56} {:>6} {:>9} {:>9} {:>9}", "from exec to exit", "starts", "median", "fastest", "slowest");
    for row in &mut rows {
        row.times.sort();
        let ms = |at: usize| row.times[at].as_secs_f64() * 1e3;
        let last = row.times.len() - 1;
        println!(
            "{:<56} {:>6} {:>6.0} ms {:>6.0} ms {:>6.0} ms",
            row.name, row.starts, ms(row.times.len() / 2), ms(0), ms(last)
        );
    }
    Ok(())
}

impl Row {
    fn time(&self) -> Result<Duration> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        let started = Instant::now();
        let output = command.output()?;
        let time = started.elapsed();
        ensure!(
            output.stdout.trim_ascii_end() == b"1",
            "{}: {}{}",
            self.name,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(time)
    }
}

/// Makes every form of Python, and the commands that start them.
fn prepare(dir: &Path, many: usize, few: usize) -> Result<Vec<Row>> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/example-consumer");
    ensure!(example.is_file(), "first: cargo build --release -p example-consumer");
    let mut builder = Builder::new(dir, peer::runtime_folder()?);
    builder.config.imports = peer::IMPORTS.map(String::from).to_vec();
    let artifacts = builder.build()?;
    let stdlib = artifacts.stdlib.clone().context("a standard library")?;

    let linked = eryx_runtime::linker::link_with_extensions(&[])?;
    let ours = std::fs::read(&artifacts.component.path)?;
    let peers = peer::pre_initialize(&stdlib)?;
    let native = |name: &str, wasm: &[u8]| -> Result<PathBuf> {
        let file = dir.join(name);
        std::fs::write(&file, PythonExecutor::precompile(wasm)?)?;
        Ok(file)
    };
    let linked_wasm = dir.join("linked.wasm");
    std::fs::write(&linked_wasm, &linked)?;
    let itself = std::env::current_exe()?;
    let row = |name, starts, form: &str, file: PathBuf| Row {
        name,
        starts,
        command: vec![itself.clone(), form.into(), file, stdlib.clone()],
        times: Vec::new(),
    };
    Ok(vec![
        row("neither, in eryx", few, "wasm", linked_wasm),
        row("pre-initialised, in eryx", few, "wasm", artifacts.component.path.clone()),
        row("native code only, in eryx", many, "native", native("linked.cwasm", &linked)?),
        row("both: eryx's own, in eryx (the peer)", many, "native", native("peer.cwasm", &peers)?),
        row("both: this crate's, in eryx", many, "native", native("ours.cwasm", &ours)?),
        Row {
            name: "both: this crate's, in plain Wasmtime (the example)",
            starts: many,
            command: vec![example, CODE.into()],
            times: Vec::new(),
        },
    ])
}

/// What a start does.
fn start(form: &str, file: &Path, stdlib: &Path) -> Result<()> {
    let builder = match form {
        "wasm" => Sandbox::builder().with_wasm_file(file),
        // SAFETY: this program compiled the file, in a folder of its own.
        _ => unsafe { Sandbox::builder().with_precompiled_file(file) },
    };
    let sandbox = builder.with_python_stdlib(stdlib).build()?;
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(sandbox.execute(CODE))?;
    println!("{}", result.stdout);
    Ok(())
}
