//! Runs Python code in the interpreter that the build script started and compiled.
//!
//! ```text
//! example-consumer 'print(1 + 1)'        code as the argument
//! example-consumer script.py             … from a file
//! example-consumer -                     … from stdin
//! example-consumer --time 'print(1)'     and what start-up and execution took
//! example-consumer --bench               how many instances one core sustains
//! ```
//!
//! The code sees the standard library and the packages, read-only, and nothing
//! else: no other files, no network, no environment.

mod bench;

use anyhow::{Context, Result, bail};
use eryx_preinit::{Error, Python, Snapshot, Stream, snapshot};
use std::io::Write;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: example-consumer [--time] CODE | FILE.py | -, or --bench";

fn main() -> Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let time = args.first().is_some_and(|arg| arg == "--time");
    if time {
        args.remove(0);
    }
    let [what] = args.as_slice() else {
        bail!("{USAGE}");
    };
    match what.as_str() {
        "--bench" => bench::run(),
        "-" => run(&std::io::read_to_string(std::io::stdin())?, time),
        file if file.ends_with(".py") => {
            let code = std::fs::read_to_string(file);
            run(&code.with_context(|| format!("cannot read {file}"))?, time)
        }
        code => run(code, time),
    }
}

fn run(code: &str, time: bool) -> Result<()> {
    let started = Instant::now();
    let python = python(|snapshot| snapshot)?;
    let loaded = Instant::now();
    let mut sandbox = python.sandbox().on_output(show).build_blocking()?;
    let instantiated = Instant::now();
    let result = sandbox.execute_blocking(code);
    let executed = Instant::now();
    match &result {
        // Python has printed its traceback.
        Ok(_) | Err(Error::Python { .. }) => {}
        Err(error) => eprintln!("{error}"),
    }
    if time {
        eprintln!("load        {:>8.1} ms", ms(loaded - started));
        eprintln!("instantiate {:>8.1} ms", ms(instantiated - loaded));
        eprintln!("execute     {:>8.1} ms", ms(executed - instantiated));
        let again = Instant::now();
        let mut second = python.sandbox().build_blocking()?;
        eprintln!("second instance: {:.1} ms", ms(again.elapsed()));
        let pass = Instant::now();
        second.execute_blocking("pass")?;
        eprintln!("`pass` in it:    {:.1} ms", ms(pass.elapsed()));
    }
    if result.is_err() {
        std::process::exit(1);
    }
    Ok(())
}

/// Python as this build left it, `set` up in some way.
///
/// Its code is in this program, or in a `python.cwasm` beside it, which maps faster. Not in
/// the file that the build wrote, by its path: on the machine that this program is shipped
/// to, somebody else may be able to make that path.
fn python(set: impl Fn(Snapshot) -> Snapshot) -> Result<Python, Error> {
    let beside = std::env::current_exe().map(|program| program.with_file_name("python.cwasm"));
    match beside {
        // SAFETY: who can put a file beside this program can change the program.
        Ok(file) if file.is_file() => set(unsafe { snapshot!(file: file) }).load(),
        _ => set(snapshot!()).load(),
    }
}

/// Prints what Python printed.
fn show(stream: Stream, bytes: &[u8]) {
    // Who reads it may be gone: Python need not know.
    let _ = match stream {
        Stream::Stdout => std::io::stdout().write_all(bytes),
        Stream::Stderr => std::io::stderr().write_all(bytes),
    };
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
