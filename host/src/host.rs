//! The data of a sandbox's store.

use crate::callback::Callbacks;
use crate::limits::MemoryLimit;
use crate::network::Network;
use crate::output::Printed;
use std::any::Any;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// What Wasmtime hands to host functions of a sandbox.
pub struct Host {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) memory: MemoryLimit,
    pub(crate) callbacks: Arc<Callbacks>,
    pub(crate) printed: Printed,
    /// When the running execution has to be done.
    pub(crate) deadline: Option<Instant>,
    pub(crate) network: Network,
    pub(crate) data: Option<Box<dyn Any + Send>>,
}

impl Host {
    /// What [`SandboxBuilder::data`](crate::SandboxBuilder::data) gave this sandbox;
    /// `None` if that was nothing, or of another type.
    pub fn data<T: 'static>(&self) -> Option<&T> {
        self.data.as_deref()?.downcast_ref()
    }

    /// Like [`Host::data`], to change it.
    pub fn data_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.data.as_deref_mut()?.downcast_mut()
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
