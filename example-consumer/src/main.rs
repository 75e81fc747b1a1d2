//! The smallest honest host: runs Python code in the interpreter that the build
//! script started and compiled, on plain Wasmtime.
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

mod answer;

use answer::answer;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{InstancePre, Linker, LinkerInstance, ResourceTable, Val};
use wasmtime::{Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

// The module `python`: native code of Python, started, with `json` and `re`
// imported, and the settings it was compiled with.
include!(concat!(env!("OUT_DIR"), "/python.rs"));

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
    let runtime = runtime()?;
    let code = match what.as_str() {
        "--bench" => return runtime.block_on(bench()),
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
    runtime.block_on(run(&code, time))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
}

async fn run(code: &str, time: bool) -> Result<()> {
    let started = Instant::now();
    let engine = Engine::new(&python::config())?;
    let python = prepare(&engine)?;
    let loaded = Instant::now();
    let mut instance = Instance::new(&python).await?;
    let instantiated = Instant::now();
    let result = instance.execute(code).await?;
    let executed = Instant::now();

    if let Err(traceback) = &result {
        eprintln!("{traceback}");
    }
    if time {
        eprintln!("load        {:>8.1} ms", ms(loaded - started));
        eprintln!("instantiate {:>8.1} ms", ms(instantiated - loaded));
        eprintln!("execute     {:>8.1} ms", ms(executed - instantiated));
        let again = Instant::now();
        let mut second = Instance::new(&python).await?;
        let again_instantiated = Instant::now();
        let _ = second.execute("pass").await?;
        eprintln!("second instance: {:.1} ms", ms(again_instantiated - again));
        eprintln!(
            "`pass` in it:    {:.1} ms",
            ms(again_instantiated.elapsed())
        );
    }
    if result.is_err() {
        std::process::exit(1);
    }
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Loads Python, and links it with what the host offers.
fn prepare(engine: &Engine) -> Result<InstancePre<Host>> {
    // SAFETY: who can change the file in the build folder can change this program.
    // Mapping it is faster; a program that was moved has its own copy.
    let component = unsafe { python::load_file(engine, env!("ERYX_PYTHON_CWASM")) }
        .or_else(|_| python::load(engine))?;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (name, item) in component.component_type().imports(engine) {
        // Not `define_unknown_imports_as_traps`: it takes the version of WASI that the
        // component names for unknown, and hides the compatible one behind traps.
        if name.starts_with("wasi:") {
            continue;
        }
        match item.ty {
            ComponentItem::ComponentFunc(func) => define(&mut linker.root(), name, &func)?,
            ComponentItem::ComponentInstance(interface) => {
                let mut instance = linker.instance(name)?;
                for (name, item) in interface.exports(engine) {
                    if let ComponentItem::ComponentFunc(func) = item.ty {
                        define(&mut instance, name, &func)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(linker.instantiate_pre(&component)?)
}

/// What Python asks its host for, besides WASI: callbacks, output as it is written,
/// lines as they are executed, TCP, TLS. This host shows the output, and sleeps.
fn define(linker: &mut LinkerInstance<'_, Host>, name: &str, func: &ComponentFunc) -> Result<()> {
    let function = name.to_owned();
    match name {
        // `execute` returns all output once more, but not if the code fails.
        "report-output" => linker.func_new(name, |_, _, params, _| Ok(show(params)?))?,
        // What `asyncio` waits with, from runtime 0.6 on.
        "sleep" if func.async_() => linker.func_new_concurrent(name, |_, _, params, _| {
            Box::pin(async move {
                if let [Val::U64(nanoseconds)] = params {
                    tokio::time::sleep(Duration::from_nanos(*nanoseconds)).await;
                }
                Ok(())
            })
        })?,
        _ if func.async_() => linker.func_new_concurrent(name, move |_, ty, _, results| {
            let function = function.clone();
            Box::pin(async move { answer(&function, &ty, results) })
        })?,
        _ => linker.func_new(name, move |_, ty, _, results| {
            answer(&function, &ty, results)
        })?,
    }
    Ok(())
}

/// Prints what Python wrote: the stream, and text or (from runtime 0.14 on) bytes.
fn show(params: &[Val]) -> std::io::Result<()> {
    let [Val::U32(stream), output] = params else {
        return Ok(());
    };
    let bytes: Vec<u8> = match output {
        Val::String(text) => text.clone().into_bytes(),
        Val::List(list) => list
            .iter()
            .filter_map(|byte| match byte {
                Val::U8(byte) => Some(*byte),
                _ => None,
            })
            .collect(),
        _ => return Ok(()),
    };
    match stream {
        0 => std::io::stdout().write_all(&bytes),
        _ => std::io::stderr().write_all(&bytes),
    }
}

/// One Python, separate from all others.
struct Instance {
    store: Store<Host>,
    instance: wasmtime::component::Instance,
}

impl Instance {
    async fn new(python: &InstancePre<Host>) -> Result<Self> {
        let mut store = Store::new(python.engine(), Host::new()?);
        let instance = python.instantiate_async(&mut store).await?;
        Ok(Self { store, instance })
    }

    /// Runs Python code. The inner error is Python's traceback.
    async fn execute(&mut self, code: &str) -> Result<Result<(), String>> {
        let execute = self
            .instance
            .get_func(&mut self.store, "execute")
            .context("python.wasm exports `execute`")?;
        let mut results = [Val::Bool(false)];
        execute
            .call_async(
                &mut self.store,
                &[Val::String(code.to_owned())],
                &mut results,
            )
            .await?;
        let [result] = results;
        Ok(match result {
            Val::Result(Ok(_)) => Ok(()),
            Val::Result(Err(Some(error))) => Err(match *error {
                Val::String(traceback) => traceback,
                other => format!("{other:?}"),
            }),
            other => bail!("unexpected answer from Python: {other:?}"),
        })
    }
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

/// Instances kept at once, to see what each costs.
const IDLE: u32 = 100;

/// How long each rate is measured.
const SUSTAINED: Duration = Duration::from_secs(3);

/// What one core sustains, with memory and stacks from a pool.
async fn bench() -> Result<()> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(IDLE + 1)
        .total_core_instances((IDLE + 1) * 64)
        .total_memories(IDLE + 1)
        .total_tables((IDLE + 1) * 16)
        .total_stacks(IDLE + 1)
        .max_component_instance_size(1 << 20)
        .max_core_instances_per_component(64)
        .max_core_instance_size(4 << 20)
        .table_elements(100_000)
        // What an instance wrote is put back by copying, where that is cheaper than to
        // have the system take the pages away and bring them again.
        .linear_memory_keep_resident(8 << 20)
        .table_keep_resident(1 << 20)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = python::config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let python = prepare(&Engine::new(&config)?)?;
    // Once, to have everything that instances share in memory.
    let _ = Instance::new(&python).await?.execute("pass").await?;

    for code in [
        None,
        Some("pass"),
        Some("import json; json.dumps({'a': 1})"),
    ] {
        let before = on_core()?;
        let count = sustain(&python, code).await?;
        let rate = f64::from(count) / (on_core()? - before).as_secs_f64();
        let what = code.map_or_else(String::new, |code| format!(" that run `{code}`"));
        println!("{rate:>8.0} instances a second and core{what}");
    }
    let cores = std::thread::available_parallelism()?.get();
    let counts: Vec<Result<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| runtime()?.block_on(sustain(&python, None))))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    });
    let count: u32 = counts.into_iter().sum::<Result<u32>>()?;
    let rate = f64::from(count) / SUSTAINED.as_secs_f64();
    println!("{rate:>8.0} instances a second on all {cores} cores");

    let mut instances = Vec::new();
    let before = private_kib()?;
    for _ in 0..IDLE {
        instances.push(Instance::new(&python).await?);
    }
    let idle = private_kib()?;
    for instance in &mut instances {
        let _ = instance.execute("pass").await?;
    }
    let used = private_kib()?;
    let each = |kib: u64| kib.saturating_sub(before) / u64::from(IDLE);
    println!("{:>8} KiB for each idle instance", each(idle));
    println!("{:>8} KiB for each that has run `pass`", each(used));
    Ok(())
}

/// How many instances one thread makes, one after another, for `SUSTAINED`.
async fn sustain(python: &InstancePre<Host>, code: Option<&str>) -> Result<u32> {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < SUSTAINED {
        let mut instance = Instance::new(python).await?;
        if let Some(code) = code {
            instance.execute(code).await?.map_err(anyhow::Error::msg)?;
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
