//! The smallest honest host: runs Python code in the interpreter that the build
//! script pre-initialised, on plain Wasmtime.
//!
//! ```text
//! example-consumer 'print(1 + 1)'        code as the argument
//! example-consumer script.py             … from a file
//! example-consumer -                     … from stdin
//! example-consumer --time 'print(1)'     and what start-up and execution took
//! ```
//!
//! The code sees the standard library and the packages, read-only, and nothing
//! else: no other files, no network, no environment.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use wasmtime::component::{Component, Linker, ResourceTable, Val};
use wasmtime::{Config, Engine, Store, Strategy};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Python, started, with `json` and `re` imported.
static PYTHON: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/python.wasm"));

const USAGE: &str = "usage: example-consumer [--time] CODE | FILE.py | -";

fn main() -> Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let time = args.first().is_some_and(|arg| arg == "--time");
    if time {
        args.remove(0);
    }
    let [what] = args.as_slice() else {
        bail!("{USAGE}");
    };
    let code = match what.as_str() {
        "-" => {
            let mut code = String::new();
            std::io::stdin().read_to_string(&mut code)?;
            code
        }
        file if file.ends_with(".py") => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?
        }
        code => code.to_owned(),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?
        .block_on(run(&code, time))
}

async fn run(code: &str, time: bool) -> Result<()> {
    let started = Instant::now();
    let engine = engine()?;
    let component = load(&engine)?;
    let loaded = Instant::now();

    let linker = linker(&engine, &component)?;
    let mut store = Store::new(&engine, Host::new()?);
    let python = linker.instantiate_async(&mut store, &component).await?;
    let execute = python
        .get_func(&mut store, "execute")
        .context("python.wasm exports `execute`")?;
    let instantiated = Instant::now();

    let mut results = [Val::Bool(false)];
    execute
        .call_async(&mut store, &[Val::String(code.to_owned())], &mut results)
        .await?;
    let executed = Instant::now();

    let failed = match &results[0] {
        Val::Result(Ok(Some(output))) => {
            std::io::stdout().write_all(text(output, "stdout").as_bytes())?;
            std::io::stderr().write_all(text(output, "stderr").as_bytes())?;
            false
        }
        Val::Result(Err(Some(error))) => {
            match error.as_ref() {
                Val::String(traceback) => eprintln!("{traceback}"),
                other => eprintln!("{other:?}"),
            }
            true
        }
        other => bail!("unexpected answer from Python: {other:?}"),
    };
    if time {
        eprintln!("load        {:>8.1} ms", ms(started, loaded));
        eprintln!("instantiate {:>8.1} ms", ms(loaded, instantiated));
        eprintln!("execute     {:>8.1} ms", ms(instantiated, executed));
    }
    if failed {
        std::process::exit(1);
    }
    Ok(())
}

fn ms(from: Instant, to: Instant) -> f64 {
    (to - from).as_secs_f64() * 1e3
}

/// A field of the record that `execute` returns.
fn text<'a>(output: &'a Val, field: &str) -> &'a str {
    match output {
        Val::Record(fields) => fields
            .iter()
            .find(|(name, _)| name == field)
            .and_then(|(_, value)| match value {
                Val::String(text) => Some(text.as_str()),
                _ => None,
            })
            .unwrap_or_default(),
        _ => "",
    }
}

fn engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .max_wasm_stack(4 << 20)
        .async_stack_size(8 << 20);
    if cfg!(debug_assertions) && cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        // An unoptimised compiler should do as little as it can.
        config.strategy(Strategy::Winch);
    }
    Ok(Engine::new(&config)?)
}

/// Compiles Python's code the first time, and keeps it beside the program: that
/// takes seconds, loading it milliseconds.
fn load(engine: &Engine) -> Result<Component> {
    let program = std::env::current_exe()?;
    let compiled = program.with_file_name(format!(
        "{}-{}.cwasm",
        program.file_stem().unwrap_or_default().to_string_lossy(),
        &env!("ERYX_PYTHON_WASM_SHA256")[..16],
    ));
    if compiled.is_file() {
        // SAFETY: written below from what this program embeds, in a folder that
        // only those can write to who can replace the program. Wasmtime refuses
        // code of another version or configuration.
        if let Ok(component) = unsafe { Component::deserialize_file(engine, &compiled) } {
            return Ok(component);
        }
    }
    let component = Component::new(engine, PYTHON)?;
    if let Err(error) = publish(&compiled, &component.serialize()?) {
        eprintln!("note: cannot keep {}: {error}", compiled.display());
    }
    Ok(component)
}

/// Whole or not at all: another start may be reading.
fn publish(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary: PathBuf = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Host {
    fn new() -> Result<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.preopened_dir(
            env!("ERYX_PYTHON_STDLIB"),
            "/python-stdlib",
            FsPerms::ReadOnly,
        )?;
        // Packages, where the build has some.
        if !env!("ERYX_SITE_PACKAGES").is_empty() {
            let packages = env!("ERYX_SITE_PACKAGES");
            wasi.preopened_dir(packages, "/site-packages", FsPerms::ReadOnly)?;
        }
        Ok(Self {
            wasi: wasi.build(),
            table: ResourceTable::new(),
        })
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// WASI, and the functions of the runtime's world that plain code reaches.
/// Whatever else it imports (callbacks, TCP, TLS) traps when it is called.
fn linker(engine: &Engine, component: &Component) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    let mut root = linker.root();
    // No callbacks are offered.
    root.func_new("list-callbacks", |_, _, _, results| {
        results[0] = Val::List(Vec::new());
        Ok(())
    })?;
    // Output as it is written; `execute` returns all of it at the end.
    root.func_new("report-output", |_, _, _, _| Ok(()))?;
    // Lines as they are executed, for debuggers.
    root.func_new("report-trace", |_, _, _, _| Ok(()))?;
    linker.define_unknown_imports_as_traps(component)?;
    Ok(linker)
}
