//! What the guest sees at build time: its mounts, a clock and randomness that are
//! the same in every build, and nothing else.
//!
//! Imports that are not WASI are answered by reflection on the component's type,
//! so that every version of the runtime's WIT works without knowing it.

use crate::error::{Error, Report};
use crate::filesystem::{self, Files, View};
use crate::random::Randomness;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{
    Component, Linker, LinkerInstance, Resource, ResourceTable, ResourceType, Val,
};
use wasmtime::{Engine, ResourceLimiter};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::filesystem::{WasiFilesystemCtxView, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, Network, OutputStream, Pollable, StreamResult,
};
use wasmtime_wasi::{
    Deterministic, FsPerms, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder,
    WasiCtxView, WasiView,
};

/// What a stub says when the guest calls it.
const NOT_AVAILABLE: &str = "not available during pre-initialization";

/// More of the guest's output than this is dropped.
const OUTPUT_LIMIT_BYTES: usize = 256 << 10;

/// Tables are the host's memory too. CPython's has some 16 000 elements.
const TABLE_LIMIT_ELEMENTS: usize = 1 << 20;

/// How far the guest's clocks move with each reading.
const CLOCK_STEP_NANOS: u64 = 10_000;

/// Where the guest's time starts: 2025-01-01T00:00:00Z, unless `SOURCE_DATE_EPOCH`
/// (<https://reproducible-builds.org/specs/source-date-epoch/>) says otherwise.
pub(crate) const DEFAULT_EPOCH_SECONDS: u64 = 1_735_689_600;

/// Bytes of WASI's insecure randomness before it repeats; CPython uses none.
const INSECURE_RANDOM_BYTES: u64 = 4 << 10;

/// The instance of wasmtime-wasi that `os.urandom` and the seeds of generators come
/// from.
const RANDOM: &str = "wasi:random/random@0.2.12";
/// The one that waits.
const MONOTONIC_CLOCK: &str = "wasi:clocks/monotonic-clock@0.2.12";
/// And the one that hands out the mounts.
const FILESYSTEM_PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// What one run of the guest may use, and what it sees.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings<'a> {
    /// Mounted at /python-stdlib, read-only.
    pub(crate) stdlib: &'a Path,
    /// Mounted at /site-packages, read-only.
    pub(crate) site_packages: &'a Path,
    /// Seconds since 1970 at which the guest's clock starts.
    pub(crate) epoch_seconds: u64,
    /// What the guest's random stream is derived from.
    pub(crate) seed: [u8; 32],
    /// Largest linear memory in bytes.
    pub(crate) memory_limit: u64,
    /// Where the folder behind /tmp is made.
    pub(crate) scratch: &'a Path,
}

/// Store data of one run.
pub(crate) struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: MemoryLimit,
    output: Output,
    randomness: Randomness,
    clock: CountingClock,
    /// Behind `wasi`, which has the folder for /tmp open.
    files: Files,
}

impl Host {
    /// # Errors
    /// [`Error::Instantiate`] when a mount cannot be opened, [`Error::Io`] when
    /// there is no folder for /tmp.
    pub(crate) fn new(surroundings: &Surroundings<'_>) -> Result<Self, Error> {
        let output = Output::default();
        let stream = |purpose: &[u8]| Randomness::new(&surroundings.seed, purpose);
        let wall_clock = CountingClock::new(Duration::from_secs(surroundings.epoch_seconds));
        let clock = CountingClock {
            slept: wall_clock.slept.clone(),
            ..CountingClock::new(Duration::ZERO)
        };
        let mut builder = WasiCtxBuilder::new();
        builder
            .env("PYTHONHOME", "/python-stdlib")
            .env("PYTHONPATH", "/python-stdlib:/site-packages")
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(output.clone())
            .stderr(output.clone())
            .insecure_random(Deterministic::new(
                stream(b"insecure")
                    .bytes(INSECURE_RANDOM_BYTES)
                    .unwrap_or_default(),
            ))
            .insecure_random_seed(stream(b"seed").word().into())
            .wall_clock(wall_clock)
            .monotonic_clock(clock.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .allow_blocking_current_thread(true);
        let files = Files::new(surroundings.epoch_seconds, surroundings.scratch)?;
        for (host, guest, permissions) in [
            (surroundings.stdlib, "/python-stdlib", FsPerms::ReadOnly),
            (
                surroundings.site_packages,
                "/site-packages",
                FsPerms::ReadOnly,
            ),
            (files.scratch(), "/tmp", FsPerms::ReadWrite),
        ] {
            builder
                .preopened_dir(host, guest, permissions)
                .map_err(|e| {
                    Error::Instantiate(
                        Report::new(format!("cannot mount `{}` at {guest}", host.display()))
                            .source(e),
                    )
                })?;
        }
        Ok(Self {
            wasi: builder.build(),
            table: ResourceTable::new(),
            limits: MemoryLimit {
                bytes: surroundings.memory_limit,
                reached: false,
            },
            output,
            randomness: stream(b"secure"),
            clock,
            files,
        })
    }

    /// Files and folders that the guest has opened and not closed, sorted.
    pub(crate) fn left_open(&self) -> Vec<String> {
        self.files.left_open(&self.table)
    }

    /// The store's memory limiter.
    pub(crate) fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// Whether the guest asked for more memory than it may have.
    pub(crate) fn memory_limit_reached(&self) -> bool {
        self.limits.reached
    }

    /// `report`, with those limits the guest ran into that its own error may not
    /// tell.
    pub(crate) fn explain(&self, report: Report) -> Report {
        let report = self.files.explain(report);
        if self.limits.reached {
            report.note(format!(
                "it asked for more memory than memory-limit allows ({} MiB)",
                self.limits.bytes >> 20
            ))
        } else {
            report
        }
    }

    /// What the guest printed since the last call.
    pub(crate) fn take_output(&self) -> String {
        self.output.take()
    }

    /// The seeds that random number generators of the guest were given so far.
    pub(crate) fn seeds(&self) -> &[Vec<u8>] {
        self.randomness.seeds()
    }

    /// Whether there were more of them than are known.
    pub(crate) fn seeds_missed(&self) -> bool {
        self.randomness.seeds_missed()
    }

    /// Has the guest's clocks move on by `nanoseconds`, in no time.
    fn sleep(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clock.sleep(nanoseconds);
        monotonic_clock::Host::subscribe_duration(&mut WasiClocksView::clocks(self), 0)
    }

    /// The guest's files.
    pub(crate) fn view(&mut self) -> View<'_> {
        View {
            wasi: WasiFilesystemCtxView {
                ctx: self.wasi.filesystem(),
                table: &mut self.table,
            },
            files: &mut self.files,
        }
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

/// A linker with WASI, and a stub for everything else `component` imports.
///
/// # Errors
/// [`Error::Instantiate`] when an import is of a kind no stub can stand for.
pub(crate) fn linker(engine: &Engine, component: &Component) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    define_wasi(&mut linker)
        .and_then(|()| define_stubs(&mut linker, engine, component))
        .map_err(|e| {
            Error::Instantiate(Report::new("cannot provide the component's imports").source(e))
        })?;
    Ok(linker)
}

fn define_wasi(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define_interfaces(linker)?;
    filesystem::define(linker)?;
    linker.allow_shadowing(true);
    let mut random = linker.instance(RANDOM)?;
    random.func_wrap("get-random-bytes", |mut store, (len,): (u64,)| {
        let host: &mut Host = store.data_mut();
        let bytes = host.randomness.bytes(len);
        let bytes = bytes.ok_or_else(|| wasmtime::format_err!("asked for {len} random bytes"))?;
        Ok((bytes,))
    })?;
    random.func_wrap("get-random-u64", |mut store, ()| {
        let host: &mut Host = store.data_mut();
        Ok((host.randomness.word(),))
    })?;
    let mut clock = linker.instance(MONOTONIC_CLOCK)?;
    clock.func_wrap("subscribe-duration", |mut store, (duration,): (u64,)| {
        let host: &mut Host = store.data_mut();
        Ok((host.sleep(duration)?,))
    })?;
    clock.func_wrap("subscribe-instant", |mut store, (when,): (u64,)| {
        let host: &mut Host = store.data_mut();
        let left = when.saturating_sub(nanoseconds(host.clock.peek()));
        Ok((host.sleep(left)?,))
    })?;
    linker
        .instance(FILESYSTEM_PREOPENS)?
        .func_wrap("get-directories", |mut store, (): ()| {
            let host: &mut Host = store.data_mut();
            let directories = preopens::Host::get_directories(&mut host.filesystem())?;
            for (descriptor, path) in &directories {
                host.files.mounted(descriptor.rep(), path);
            }
            Ok((directories,))
        })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What wasmtime-wasi implements, but for the sockets that [`define_stubs`] refuses:
/// a fifth of this crate's code would be their bindings, for a guest without network.
fn define_interfaces(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::filesystem::WasiFilesystem;
    use wasmtime_wasi::p2::bindings::{cli, filesystem, random, sockets};
    use wasmtime_wasi::random::WasiRandom;
    use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

    let l = linker;
    // Streams, clocks, randomness and standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    filesystem::types::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    filesystem::preopens::add_to_linker::<Host, WasiFilesystem>(l, Host::filesystem)?;
    random::insecure::add_to_linker::<Host, WasiRandom>(l, |host| host.wasi.random())?;
    random::insecure_seed::add_to_linker::<Host, WasiRandom>(l, |host| host.wasi.random())?;
    cli::exit::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::environment::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(l, Host::cli)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<Host, WasiSockets>(l, &options, Host::sockets)?;
    sockets::instance_network::add_to_linker::<Host, WasiSockets>(l, Host::sockets)
}

/// Whether an import is left to wasmtime-wasi.
fn is_defined(name: &str) -> bool {
    name.starts_with("wasi:")
        && (!name.starts_with("wasi:sockets/")
            || name.starts_with("wasi:sockets/network@")
            || name.starts_with("wasi:sockets/instance-network@"))
}

fn define_stubs(
    linker: &mut Linker<Host>,
    engine: &Engine,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        match item.ty {
            _ if is_defined(name) => {}
            ComponentItem::ComponentFunc(func) => stub(&mut linker.root(), name, name, &func)?,
            ComponentItem::ComponentInstance(instance) => {
                let mut target = linker.instance(name)?;
                for (member, item) in instance.exports(engine) {
                    match item.ty {
                        ComponentItem::ComponentFunc(func) => {
                            let full = format!("{name}#{member}");
                            stub(&mut target, member, &full, &func)?;
                        }
                        ComponentItem::Resource(_) => {
                            target.resource(member, stubbed(member), |_, _| Ok(()))?;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Stands for any resource type of an import that is stubbed.
struct Stubbed;

/// The host's type of a stubbed import's resource, which may be one that it uses from
/// an interface of WASI that is not stubbed.
fn stubbed(resource: &str) -> ResourceType {
    match resource {
        "pollable" => ResourceType::host::<DynPollable>(),
        "input-stream" => ResourceType::host::<DynInputStream>(),
        "output-stream" => ResourceType::host::<DynOutputStream>(),
        "network" => ResourceType::host::<Network>(),
        _ => ResourceType::host::<Stubbed>(),
    }
}

fn stub(
    target: &mut LinkerInstance<'_, Host>,
    name: &str,
    full_name: &str,
    func: &ComponentFunc,
) -> wasmtime::Result<()> {
    // The guest's sys.stdout and sys.stderr: kept for reports. As bytes, because a list of
    // values takes thirty times the memory.
    if name == "report-output" {
        let types: Vec<Type> = func.params().map(|(_, ty)| ty).collect();
        match types.as_slice() {
            [Type::U32, Type::String] => {
                return target.func_wrap(name, |store, (_, text): (u32, String)| {
                    store.data().output.write(text.as_bytes());
                    Ok(())
                });
            }
            [Type::U32, Type::List(list)] if list.ty() == Type::U8 => {
                return target.func_wrap(name, |store, (_, bytes): (u32, Vec<u8>)| {
                    store.data().output.write(&bytes);
                    Ok(())
                });
            }
            _ => {}
        }
    }
    let full_name = full_name.to_owned();
    if func.async_() {
        target.func_new_concurrent(name, move |_, ty, _, results| {
            let full_name = full_name.clone();
            Box::pin(async move { answer(&full_name, &ty, results) })
        })
    } else {
        target.func_new(name, move |_, ty, _, results| {
            answer(&full_name, &ty, results)
        })
    }
}

fn answer(name: &str, ty: &ComponentFunc, results: &mut [Val]) -> wasmtime::Result<()> {
    for (result, ty) in results.iter_mut().zip(ty.results()) {
        *result = neutral(name, &ty).ok_or_else(|| {
            wasmtime::format_err!(
                "`{name}` is {NOT_AVAILABLE}, and its result has no neutral value"
            )
        })?;
    }
    Ok(())
}

/// A value of `ty` that says "not available" where it can and nothing where it
/// cannot; `None` when only a live object would do.
fn neutral(name: &str, ty: &Type) -> Option<Val> {
    Some(match ty {
        Type::Bool => Val::Bool(false),
        Type::S8 => Val::S8(0),
        Type::U8 => Val::U8(0),
        Type::S16 => Val::S16(0),
        Type::U16 => Val::U16(0),
        Type::S32 => Val::S32(0),
        Type::U32 => Val::U32(0),
        Type::S64 => Val::S64(0),
        Type::U64 => Val::U64(0),
        Type::Float32 => Val::Float32(0.0),
        Type::Float64 => Val::Float64(0.0),
        Type::Char => Val::Char(' '),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Map(_) => Val::Map(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Flags(_) => Val::Flags(Vec::new()),
        Type::Record(record) => Val::Record(
            record
                .fields()
                .map(|field| Some((field.name.to_owned(), neutral(name, &field.ty)?)))
                .collect::<Option<_>>()?,
        ),
        Type::Tuple(tuple) => Val::Tuple(
            tuple
                .types()
                .map(|ty| neutral(name, &ty))
                .collect::<Option<_>>()?,
        ),
        Type::Enum(names) => Val::Enum(names.names().next()?.to_owned()),
        Type::Variant(variant) => {
            // A case that carries text can say why; prefer it.
            let cases: Vec<_> = variant.cases().collect();
            let spoken = cases
                .iter()
                .rfind(|case| matches!(case.ty, Some(Type::String)));
            let case = match spoken {
                Some(case) => case,
                None => cases.first()?,
            };
            let payload = match &case.ty {
                None => None,
                Some(ty) => Some(Box::new(refusal(name, ty)?)),
            };
            Val::Variant(case.name.to_owned(), payload)
        }
        Type::Result(result) => match result.err() {
            Some(error) => Val::Result(Err(Some(Box::new(refusal(name, &error)?)))),
            None => Val::Result(Err(None)),
        },
        _ => return None,
    })
}

/// Like [`neutral`], for the error side: text says what is wrong.
fn refusal(name: &str, ty: &Type) -> Option<Val> {
    match ty {
        Type::String => Some(Val::String(format!("`{name}` is {NOT_AVAILABLE}"))),
        ty => neutral(name, ty),
    }
}

/// A clock that moves when it is read or waited for, and at no other time: what the
/// guest computes from it is the same in every build, and a loop that waits for a time
/// to come still ends.
#[derive(Clone)]
struct CountingClock {
    start: Duration,
    readings: Arc<AtomicU64>,
    /// Nanoseconds waited for, on all clocks.
    slept: Arc<AtomicU64>,
}

impl CountingClock {
    fn new(start: Duration) -> Self {
        Self {
            start,
            readings: Arc::default(),
            slept: Arc::default(),
        }
    }

    fn read(&self) -> Duration {
        let time = self.peek();
        self.readings.fetch_add(1, Ordering::Relaxed);
        time
    }

    /// What the next reading will be.
    fn peek(&self) -> Duration {
        let readings = self.readings.load(Ordering::Relaxed);
        self.start
            + Duration::from_nanos(readings.saturating_mul(CLOCK_STEP_NANOS))
            + Duration::from_nanos(self.slept.load(Ordering::Relaxed))
    }

    fn sleep(&self, nanoseconds: u64) {
        let slept = self.slept.load(Ordering::Relaxed);
        self.slept
            .store(slept.saturating_add(nanoseconds), Ordering::Relaxed);
    }
}

/// As WASI's clocks count.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl HostWallClock for CountingClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(CLOCK_STEP_NANOS)
    }
    fn now(&self) -> Duration {
        self.read()
    }
}

impl HostMonotonicClock for CountingClock {
    fn resolution(&self) -> u64 {
        CLOCK_STEP_NANOS
    }
    fn now(&self) -> u64 {
        nanoseconds(self.read())
    }
}

struct MemoryLimit {
    bytes: u64,
    reached: bool,
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let allowed = desired as u64 <= self.bytes;
        self.reached |= !allowed;
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_LIMIT_ELEMENTS)
    }
}

/// The guest's stdout and stderr, bounded.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

/// In place of what did not fit.
const OUTPUT_DROPPED: &[u8] = b"\n(it printed more than is kept)";

impl Output {
    fn write(&self, bytes: &[u8]) {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Above the limit the buffer ends in the notice.
        let Some(room) = OUTPUT_LIMIT_BYTES.checked_sub(buffer.len()) else {
            return;
        };
        match bytes.get(..room) {
            Some(first) if bytes.len() > room => {
                buffer.extend_from_slice(first);
                buffer.extend_from_slice(OUTPUT_DROPPED);
            }
            _ => buffer.extend_from_slice(bytes),
        }
    }

    fn take(&self) -> String {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *buffer)).into_owned()
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        Output::write(self, &bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_LIMIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{self, Compiler};

    /// What a stub answers for an import of type `() -> ty`.
    fn answer_of(definitions: &str, ty: &str) -> Option<Val> {
        let engine = engine::engine(Compiler::Cranelift).unwrap();
        let wat = format!("(component {definitions} (import \"f\" (func (result {ty}))))");
        let component = Component::new(&engine, wat::parse_str(wat).unwrap()).unwrap();
        let imports = component.component_type();
        let (_, import) = imports
            .imports(&engine)
            .find(|(name, _)| *name == "f")
            .unwrap();
        let ComponentItem::ComponentFunc(func) = import.ty else {
            panic!("f is a function");
        };
        let ty = func.results().next().unwrap();
        neutral("f", &ty)
    }

    #[test]
    fn results_refuse_and_say_why() {
        let Some(Val::Result(Err(Some(message)))) = answer_of("", "(result string (error string))")
        else {
            panic!("a result is an error");
        };
        assert_eq!(
            *message,
            Val::String("`f` is not available during pre-initialization".into())
        );
    }

    #[test]
    fn other_types_get_neutral_values() {
        for (ty, value) in [
            ("u32", Val::U32(0)),
            ("string", Val::String(String::new())),
            ("(list u8)", Val::List(Vec::new())),
            ("(option string)", Val::Option(None)),
            (
                "(tuple u8 bool)",
                Val::Tuple(vec![Val::U8(0), Val::Bool(false)]),
            ),
        ] {
            assert_eq!(answer_of("", ty), Some(value), "{ty}");
        }
    }

    #[test]
    fn errors_that_carry_text_are_preferred() {
        let definitions = r#"
            (type $e' (variant (case "refused") (case "io-error" string)))
            (import "e" (type $e (eq $e')))"#;
        let Some(Val::Result(Err(Some(error)))) = answer_of(definitions, "(result (error $e))")
        else {
            panic!("a result is an error");
        };
        let Val::Variant(case, Some(_)) = *error else {
            panic!("a case with text");
        };
        assert_eq!(case, "io-error");
    }

    #[test]
    fn sleeping_takes_no_time_and_printing_no_memory() {
        // Its output comes as a list of bytes.
        let bench = crate::testing::Workbench::new("0.14.0");
        let sleep = "
import time
before, wall = time.monotonic(), time.time()
time.sleep(3600)
deadline = time.monotonic() + 3600
while time.monotonic() < deadline:
    time.sleep(60)
print(round(time.monotonic() - before, 1), round(time.time() - wall, 1))
";
        let started = std::time::Instant::now();
        let printed = bench.fresh(&[sleep, "print('x' * 3_000_000)"]);
        assert!(started.elapsed() < Duration::from_secs(3600));
        assert_eq!(printed[0], Ok("7200.0 7200.0\n".to_owned()));
        let long = printed[1].as_ref().unwrap();
        assert_eq!(long.len(), OUTPUT_LIMIT_BYTES + OUTPUT_DROPPED.len());
    }

    #[test]
    fn output_is_bounded() {
        let output = Output::default();
        let all = "x".repeat(OUTPUT_LIMIT_BYTES);
        output.write(all.as_bytes());
        assert_eq!(output.take(), all);
        output.write(all.as_bytes());
        for _ in 0..3 {
            output.write(b"more");
        }
        let kept = output.take();
        assert_eq!(kept.len(), OUTPUT_LIMIT_BYTES + OUTPUT_DROPPED.len());
        assert!(kept.ends_with("x\n(it printed more than is kept)"));
        assert_eq!(output.take(), "");
    }
}
