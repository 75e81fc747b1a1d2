//! The state of a finished guest, as wizer reads it.

use crate::error::{Report, Stage};
use crate::guest::environment;
use crate::guest::failure::Failure;
use crate::guest::instance::Guest;
use crate::wasm::complete::{self, Bare};
use crate::wasm::image::Image;
use wasmtime::component::{Lift, WasmList};
use wasmtime::error::Context as _;
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

impl Guest {
    /// Has the snapshot say that no environment variables were read yet; C code has them
    /// at the address `environ` of the component's only memory.
    pub(crate) fn forget_environment(&mut self, environ: Option<u32>) {
        self.environ = environ;
    }

    /// The component in the state that the guest is in, without what its memories hold.
    ///
    /// # Errors
    /// `Stage::Transform` when a memory cannot be read, or the component not written.
    pub(crate) async fn snapshot(
        &mut self,
        context: &ComponentContext<'_>,
    ) -> Result<Bare, Failure> {
        // Each accessor needs a page to hand over what it reads.
        self.store.data_mut().lift_memory_limit(true);
        let snapshot = Wizer::new().snapshot_component(context, self).await;
        self.store.data_mut().lift_memory_limit(false);
        // What could not be read was taken for empty.
        if let Some(error) = self.unreadable.take() {
            return Err(Failure::Final(
                Stage::Transform.error(
                    Report::new("cannot read the state of the finished Python")
                        .source(error)
                        .note("reading a memory takes one page behind it")
                        .hint("is a memory as large as it can be (4 GiB, or its own maximum)?"),
                ),
            ));
        }
        let images = std::mem::take(&mut self.images).into_iter();
        Ok(Bare {
            component: snapshot.map_err(|e| {
                Failure::Final(
                    Stage::Transform.error(Report::new("cannot write the snapshot").source(e)),
                )
            })?,
            images: images.map(|(_, image)| image).collect(),
        })
    }

    /// What the memory holds that this accessor hands over.
    async fn image(&mut self, instance: &str, func: &str) -> Image {
        let list: Option<WasmList<u8>> = self.access(instance, func).await;
        let memory = list
            .as_ref()
            .map_or(&[][..], |list| list.as_le_slice(&self.store));
        let environ = self.environ;
        let patch = environ.and_then(|address| environment::forgotten(memory, address));
        let image = Image::of(memory, patch);
        self.environment_forgotten |= patch.is_some();
        image
    }

    /// Calls an accessor that wizer made. Its trait leaves no room for errors: the
    /// first one is kept.
    async fn access<R: Lift + Send + Sync + 'static>(
        &mut self,
        instance: &str,
        func: &str,
    ) -> Option<R> {
        match self.try_access(instance, func).await {
            Ok(value) => Some(value),
            Err(error) => {
                let error = error.context(format!("the accessor {instance}#{func} failed"));
                self.unreadable.get_or_insert(error);
                None
            }
        }
    }

    async fn try_access<R: Lift + Send + Sync + 'static>(
        &mut self,
        instance: &str,
        func: &str,
    ) -> wasmtime::Result<R> {
        let store = &mut self.store;
        let instance = self
            .instance
            .get_export_index(&mut *store, None, instance)
            .context("no such instance")?;
        let func = self
            .instance
            .get_export_index(&mut *store, Some(&instance), func)
            .context("no such function")?;
        let func = self
            .instance
            .get_typed_func::<(), (R,)>(&mut *store, func)?;
        store.set_epoch_deadline(u64::MAX / 2);
        // The bound on what a call may hand over is meant for the guest's own.
        store.set_hostcall_fuel(usize::MAX);
        let (value,) = func.call_async(&mut *store, ()).await?;
        Ok(value)
    }
}

impl ComponentInstanceState for Guest {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        // wizer asks twice.
        let known = self.images.iter().position(|(name, _)| name == func);
        let number = match known {
            Some(number) => number,
            None => {
                let image = self.image(instance, func).await;
                self.images.push((func.to_owned(), image));
                self.images.len() - 1
            }
        };
        match complete::mark(number) {
            Ok(mark) => contents(&mark),
            Err(error) => {
                let error = wasmtime::Error::from_anyhow(error);
                self.unreadable.get_or_insert(error);
                contents(&[]);
            }
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.access(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.access(instance, func).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        let value: Option<f32> = self.access(instance, func).await;
        value.unwrap_or_default().to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        let value: Option<f64> = self.access(instance, func).await;
        value.unwrap_or_default().to_bits()
    }
}
