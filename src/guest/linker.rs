//! What the guest's imports lead to: WASI, through this crate's views of it, and stubs.

use crate::error::{Error, Report, Stage};
use crate::guest::clock::GuestClocks;
use crate::guest::filesystem::GuestFilesystem;
use crate::guest::host::Host;
use crate::guest::random::GuestRandomness;
use crate::guest::stubs::define_stubs;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

/// A linker with WASI, and a stub for everything else `component` imports.
///
/// # Errors
/// [`Stage::Instantiate`] when an import is of a kind no stub can stand for.
pub(crate) fn linker(engine: &Engine, component: &Component) -> Result<Linker<Host>, Error> {
    let mut linker = Linker::new(engine);
    define_wasi(&mut linker)
        .and_then(|()| define_stubs(&mut linker, engine, component))
        .map_err(|e| {
            Stage::Instantiate
                .error(Report::new("cannot provide the component's imports").source(e))
        })?;
    Ok(linker)
}

/// What wasmtime-wasi implements, with files, randomness and waiting through this
/// crate's views, and without the sockets that [`define_stubs`] refuses: a fifth of
/// this crate's code would be their bindings, for a guest without network.
fn define_wasi(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    use wasmtime_wasi::cli::{WasiCli, WasiCliView};
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
    use wasmtime_wasi::random::WasiRandom;
    use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};

    let l = linker;
    // Streams, clocks, randomness and standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    // Two of them again: ours.
    l.allow_shadowing(true);
    random::random::add_to_linker::<Host, GuestRandomness>(l, |host| &mut host.randomness)?;
    clocks::monotonic_clock::add_to_linker::<Host, GuestClocks>(l, Host::guest_clocks)?;
    l.allow_shadowing(false);
    filesystem::types::add_to_linker::<Host, GuestFilesystem>(l, Host::view)?;
    filesystem::preopens::add_to_linker::<Host, GuestFilesystem>(l, Host::view)?;
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
