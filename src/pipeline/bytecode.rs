//! The step from sources to bytecode, one file at a time: what is in the cache, and what
//! the guest compiles now.

use crate::error::Error;
use crate::guest::bytecode;
use crate::guest::failure::Failure;
use crate::guest::host::GuestSetup;
use crate::packages::bytecode::{Mount, Source};
use crate::pipeline::context::Context;
use crate::pipeline::keys;
use crate::store::cache::EntryKind;
use crate::store::digest::{Blob, Digest};
use rayon::prelude::*;
use wasmtime::component::Component;

/// The bytecode of what Python sees.
pub(crate) struct Bytecode<'a> {
    pub(crate) cx: &'a Context<'a>,
    /// The digest of the base libraries: CPython's is among them.
    pub(crate) libraries: Digest,
    pub(crate) mounts: Vec<Mount<'a>>,
}

impl Bytecode<'_> {
    /// Writes what is in the cache, and returns the sources that nobody compiled yet.
    ///
    /// # Errors
    /// `Stage::Io`.
    pub(crate) fn fill(&self) -> Result<Vec<Source>, Error> {
        let mut missing = Vec::new();
        for mount in &self.mounts {
            let sources = mount.without_bytecode()?;
            if sources.is_empty() {
                continue;
            }
            let look_up = |source: Source| self.look_up(source).transpose();
            let unknown = sources.into_par_iter().filter_map(look_up);
            missing.extend(unknown.collect::<Result<Vec<_>, _>>()?);
            mount.accept()?;
        }
        Ok(missing)
    }

    /// Writes the bytecode of `source`; the source, if it is not known.
    fn look_up(&self, source: Source) -> Result<Option<Source>, Error> {
        let entry = self.cx.cache.find(EntryKind::Bytecode, self.key(&source));
        match entry {
            None => Ok(Some(source)),
            Some(entry) => {
                self.write(&source, &entry.blob.bytes)?;
                Ok(None)
            }
        }
    }

    /// Has the guest compile `sources`. What does not compile is left as it is: Python says
    /// so when it imports it.
    ///
    /// # Errors
    /// [`Failure`] when Python does not start, or a body may have been missing;
    /// `Stage::Io`.
    pub(crate) fn compile(
        &self,
        component: &Component,
        setup: &GuestSetup<'_>,
        sources: &[Source],
        all_bodies: bool,
    ) -> Result<(), Failure> {
        let log = self.cx.log;
        let mut kept = Ok(());
        let mut left = Vec::new();
        log.timed("bytecode", || {
            bytecode::compile(component, setup, sources, all_bodies, |source, made| {
                if made.is_none() {
                    left.push(source.guest_path.clone());
                }
                if kept.is_ok() {
                    kept = self.keep(source, made);
                }
            })
        })?;
        kept.map_err(Failure::Final)?;
        log.say(&format!(
            "bytecode: {} sources compiled",
            sources.len() - left.len()
        ));
        for path in left {
            log.say(&format!("`{path}` does not compile"));
        }
        for mount in &self.mounts {
            mount.accept().map_err(Failure::Final)?;
        }
        Ok(())
    }

    fn keep(&self, source: &Source, made: Option<&[u8]>) -> Result<(), Error> {
        let bytes = made.unwrap_or_default();
        let blob = Blob::from(bytes.to_vec());
        let cache = &self.cx.cache;
        cache.store(EntryKind::Bytecode, self.key(source), &blob, &[]);
        self.write(source, bytes)
    }

    /// An entry without bytes is a source that does not compile.
    fn write(&self, source: &Source, bytes: &[u8]) -> Result<(), Error> {
        match bytes {
            [] => Ok(()),
            bytes => source.write(bytes),
        }
    }

    fn key(&self, source: &Source) -> Digest {
        keys::bytecode(self.libraries, &source.guest_path, &source.content)
    }
}
