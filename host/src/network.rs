//! TCP connections, for Python that may have them.

use crate::clock;
use crate::host::Host;
use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use wasmtime::component::types::{ComponentFunc, Type};
use wasmtime::component::{ComponentType, LinkerInstance, Lower};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi::runtime;

/// The interface that the runtimes import.
pub(crate) const TCP: &str = "eryx:net/tcp@0.1.0";

/// Connections that one sandbox may have open.
const CONNECTIONS: usize = 64;

/// The most that is read at once: what Python asks for is the host's memory.
const READ_BYTES: usize = 64 << 10;

type Allow = dyn Fn(&str, u16) -> bool + Send + Sync;
type Done<T> = std::result::Result<T, TcpError>;

/// What one sandbox may connect to, and its connections.
#[derive(Default)]
pub(crate) struct Network {
    allow: Option<Arc<Allow>>,
    connections: HashMap<u32, Arc<TcpStream>>,
    next: u32,
}

/// Why something could not be done, as Python is told.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum TcpError {
    #[component(name = "connection-refused")]
    ConnectionRefused,
    #[component(name = "connection-reset")]
    ConnectionReset,
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "host-not-found")]
    #[allow(
        dead_code,
        reason = "belongs to the type: systems do not tell it apart"
    )]
    HostNotFound,
    #[component(name = "io-error")]
    IoError(String),
    #[component(name = "not-permitted")]
    NotPermitted(String),
    #[component(name = "invalid-handle")]
    InvalidHandle,
}

impl From<Error> for TcpError {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::ConnectionReset,
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::IoError(error.to_string()),
        }
    }
}

impl Network {
    pub(crate) fn new(allow: impl Fn(&str, u16) -> bool + Send + Sync + 'static) -> Self {
        Self {
            allow: Some(Arc::new(allow)),
            ..Self::default()
        }
    }

    fn check(&self, host: &str, port: u16) -> Done<()> {
        let Some(allow) = &self.allow else {
            let text = "the network is not offered by this host";
            return Err(TcpError::NotPermitted(text.to_owned()));
        };
        if !allow(host, port) {
            let text = format!("{host}:{port} is not allowed by this host");
            return Err(TcpError::NotPermitted(text));
        }
        if self.connections.len() >= CONNECTIONS {
            let text = format!("{CONNECTIONS} connections are open");
            return Err(TcpError::IoError(text));
        }
        Ok(())
    }

    fn add(&mut self, stream: TcpStream) -> u32 {
        // Never one that is in use: there are fewer connections than numbers.
        while self.connections.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let handle = self.next;
        self.next = handle.wrapping_add(1);
        self.connections.insert(handle, Arc::new(stream));
        handle
    }

    fn get(&self, handle: u32) -> Done<Arc<TcpStream>> {
        let stream = self.connections.get(&handle).cloned();
        stream.ok_or(TcpError::InvalidHandle)
    }
}

/// Defines a function of [`TCP`]; `false` if it is not known, or of another type.
pub(crate) fn define(
    linker: &mut LinkerInstance<'_, Host>,
    name: &str,
    func: &ComponentFunc,
) -> Result<bool> {
    let params: Vec<Type> = func.params().map(|(_, ty)| ty).collect();
    match (name, params.as_slice()) {
        ("connect", [Type::String, Type::U16, Type::U32]) => linker.func_wrap_async(
            name,
            |store: StoreContextMut<'_, Host>, (host, port, timeout): (String, u16, u32)| {
                Box::new(async move { Ok((connect(store, host, port, timeout).await,)) })
            },
        )?,
        ("read", [Type::U32, Type::U32, Type::U32]) => linker.func_wrap_async(
            name,
            |store: StoreContextMut<'_, Host>, (handle, length, timeout): (u32, u32, u32)| {
                Box::new(async move { Ok((read(store, handle, length, timeout).await,)) })
            },
        )?,
        ("write", [Type::U32, Type::U32, Type::List(_)]) => linker.func_wrap_async(
            name,
            |store: StoreContextMut<'_, Host>, (handle, timeout, bytes): (u32, u32, Vec<u8>)| {
                Box::new(async move { Ok((write(store, handle, timeout, bytes).await,)) })
            },
        )?,
        ("close", [Type::U32]) => linker.func_wrap(
            name,
            |mut store: StoreContextMut<'_, Host>, (handle,): (u32,)| {
                store.data_mut().network.connections.remove(&handle);
                Ok(())
            },
        )?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn connect(
    mut store: StoreContextMut<'_, Host>,
    host: String,
    port: u16,
    timeout: u32,
) -> Done<u32> {
    store.data().network.check(&host, port)?;
    // A task of tokio's: whoever polls this need not be.
    let connected = runtime::spawn(async move { TcpStream::connect((host, port)).await });
    let stream = within(timeout, connected).await?;
    Ok(store.data_mut().network.add(stream))
}

async fn read(
    store: StoreContextMut<'_, Host>,
    handle: u32,
    length: u32,
    timeout: u32,
) -> Done<Vec<u8>> {
    let stream = store.data().network.get(handle)?;
    let mut buffer = vec![0; READ_BYTES.min(length as usize)];
    let read = within(timeout, async {
        loop {
            stream.readable().await?;
            match stream.try_read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    });
    let count = read.await?;
    buffer.truncate(count);
    Ok(buffer)
}

async fn write(
    store: StoreContextMut<'_, Host>,
    handle: u32,
    timeout: u32,
    bytes: Vec<u8>,
) -> Done<u32> {
    let stream = store.data().network.get(handle)?;
    let written = within(timeout, async {
        loop {
            stream.writable().await?;
            match stream.try_write(&bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    });
    // At most what Python handed over, which 32 bits count.
    Ok(written.await? as u32)
}

/// What `work` gives within that many milliseconds; 0 are any number.
async fn within<T>(milliseconds: u32, work: impl Future<Output = std::io::Result<T>>) -> Done<T> {
    let timeout = Duration::from_millis(milliseconds.into());
    let until = (milliseconds > 0).then(|| Instant::now() + timeout);
    match clock::timeout(until, work).await {
        Some(done) => Ok(done?),
        None => Err(TcpError::TimedOut),
    }
}
