//! Python, loaded and linked: what sandboxes are made from.

use crate::builder::SandboxBuilder;
use crate::error::Error;
use crate::host::Host;
#[cfg(feature = "compiler")]
use crate::snapshot::Snapshot;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre};

/// Python, loaded and linked. Clones share everything, and all methods may be called
/// from any thread.
#[derive(Clone)]
pub struct Python(Arc<Loaded>);

pub(crate) struct Loaded {
    pub(crate) component: Component,
    pub(crate) pre: InstancePre<Host>,
    /// Mounted read-only in every sandbox: the folder, and where.
    pub(crate) mounts: Vec<(PathBuf, &'static str)>,
    /// Whether the code asks at times if it may go on.
    pub(crate) epoch_interruption: bool,
    /// Whether the code counts what it does.
    pub(crate) consume_fuel: bool,
    /// The places of the pool, if there is one.
    pub(crate) places: Option<Arc<Semaphore>>,
}

impl Python {
    pub(crate) fn new(loaded: Loaded) -> Self {
        Self(Arc::new(loaded))
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.0
    }

    /// Python from a `python.wasm`, compiled now: this takes seconds. Short for
    /// [`Snapshot::from_wasm`] and [`Snapshot::load`]; sandboxes have no standard
    /// library then but what the snapshot holds.
    ///
    /// # Errors
    /// [`Error::Load`].
    #[cfg(feature = "compiler")]
    pub fn from_wasm(bytes: impl Into<std::borrow::Cow<'static, [u8]>>) -> Result<Self, Error> {
        Snapshot::from_wasm(bytes).load()
    }

    /// Python from native code, a `python.cwasm`. Short for
    /// [`Snapshot::from_cwasm`](crate::Snapshot::from_cwasm) and
    /// [`Snapshot::load`](crate::Snapshot::load).
    ///
    /// # Errors
    /// [`Error::Load`], also when the code was made by another Wasmtime, or for another
    /// processor.
    ///
    /// # Safety
    /// As [`Snapshot::from_cwasm`](crate::Snapshot::from_cwasm).
    #[allow(unsafe_code, reason = "the caller vouches for the code")]
    pub unsafe fn from_cwasm(
        bytes: impl Into<std::borrow::Cow<'static, [u8]>>,
    ) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the same.
        unsafe { crate::snapshot::Snapshot::from_cwasm(bytes) }.load()
    }

    /// A sandbox that is still to be made: give it what it may use, then
    /// [`build`](SandboxBuilder::build) it.
    pub fn sandbox(&self) -> SandboxBuilder {
        SandboxBuilder::new(self.clone())
    }

    /// The engine that all sandboxes run in.
    pub fn engine(&self) -> &Engine {
        self.0.pre.engine()
    }

    /// The component that they are instances of.
    pub fn component(&self) -> &Component {
        &self.0.component
    }

    /// The component with all its imports, for what `bindgen!` generates.
    pub fn instance_pre(&self) -> &InstancePre<Host> {
        &self.0.pre
    }

    /// A place in the pool, when one is free.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = self.0.places.clone()?;
        // Nobody closes it.
        places.acquire_owned().await.ok()
    }
}
