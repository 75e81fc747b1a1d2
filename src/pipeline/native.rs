//! The step from a snapshot to native code.

use crate::error::{Error, Report};
use crate::guest::engine::Compiler;
use crate::native::compile::{self, ConsumerCompiler, Precompiler};
use crate::native::reuse;
use crate::native::target::Target;
use crate::pipeline::context::Context;
use crate::pipeline::keys::{self, Keys};
use crate::store::cache::{Entry, EntryKind, Made};
use crate::store::digest::{Blob, Digest, KeyBuilder};
use crate::store::files::FileStamp;
use std::path::PathBuf;

/// Native code of a snapshot.
pub(crate) struct NativeCode {
    pub(crate) blob: Blob,
    pub(crate) cached: bool,
    pub(crate) key: Digest,
    /// What made it; `None` is the consumer's own function.
    pub(crate) compiler: Option<Compiler>,
}

/// Who makes native code.
pub(crate) enum NativeCompiler<'a> {
    /// This crate, in the order to try them.
    Ours(Vec<Precompiler>),
    /// The consumer's function, in this executable.
    Consumer(&'a ConsumerCompiler, PathBuf),
}

/// Who makes native code, and for which machine.
pub(crate) struct NativePlan<'a> {
    pub(crate) target: Target,
    pub(crate) compiler: NativeCompiler<'a>,
    /// Whether earlier native code may be used: an address map names positions in
    /// the component that move.
    pub(crate) reuse: bool,
}

impl NativePlan<'_> {
    /// Everything that decides the code, short of reading files.
    pub(crate) fn request(&self) -> Digest {
        let mut key = KeyBuilder::new("native request");
        key.part("target", self.target.triple.as_bytes());
        match &self.compiler {
            NativeCompiler::Ours(precompilers) => {
                for precompiler in precompilers {
                    key.part("compiler", &precompiler.fingerprint().0);
                }
            }
            NativeCompiler::Consumer(compiler, executable) => {
                key.part("place", compiler.place().as_bytes())
                    .part("executable", executable.as_os_str().as_encoded_bytes());
                if let Ok(stamp) = FileStamp::of(executable) {
                    stamp.parts(&mut key);
                }
            }
        }
        key.finish()
    }
}

/// Native code of `snapshot`, from the cache or compiled now.
///
/// # Errors
/// [`Error::Precompile`] when no compiler takes the snapshot.
pub(crate) fn compile(
    cx: &Context<'_>,
    plan: &NativePlan<'_>,
    keys: &Keys,
    snapshot: &Blob,
) -> Result<NativeCode, Error> {
    match &plan.compiler {
        NativeCompiler::Ours(precompilers) => ours(cx, plan, keys, precompilers, snapshot),
        NativeCompiler::Consumer(compiler, executable) => {
            let program =
                std::fs::read(executable).map_err(|e| Error::io("read", executable, e))?;
            let key = compiler.key(snapshot.digest, &plan.target, Digest::of(&program));
            let _lock = cx.cache.lock(key);
            let what = format!("precompile (precompile_with, {})", plan.target.triple);
            let entry = cx.cache.memo(EntryKind::Native, key, || {
                let compile = || compiler.compile(&snapshot.bytes, &plan.target);
                let code = cx.log.timed(&what, compile)?;
                compile::check(&code, &plan.target)?;
                Ok::<_, Error>(Made::from(code))
            })?;
            Ok(native_code(entry, key, None))
        }
    }
}

fn native_code(entry: Entry, key: Digest, compiler: Option<Compiler>) -> NativeCode {
    NativeCode {
        blob: entry.blob,
        cached: entry.cached,
        key,
        compiler,
    }
}

/// By the first compiler whose code is in the cache, or else that takes the snapshot.
fn ours(
    cx: &Context<'_>,
    plan: &NativePlan<'_>,
    keys: &Keys,
    precompilers: &[Precompiler],
    snapshot: &Blob,
) -> Result<NativeCode, Error> {
    let key = |rank: usize, precompiler: &Precompiler| {
        keys::native(snapshot.digest, precompiler.fingerprint(), rank)
    };
    let ranked = || precompilers.iter().enumerate();
    let mut known = ranked().filter(|(rank, p)| cx.cache.has(EntryKind::Native, key(*rank, p)));
    let first = known.next();
    let mut last = None;
    for (rank, precompiler) in first.into_iter().chain(ranked()) {
        let key = key(rank, precompiler);
        let made = cx.cache.memo(EntryKind::Native, key, || {
            let code = Precompiled {
                cx,
                plan,
                keys,
                precompiler,
                key,
            }
            .code(snapshot)?;
            compile::check(&code, &plan.target)?;
            Ok(Made::from(code))
        });
        match made {
            Ok(entry) => return Ok(native_code(entry, key, Some(precompiler.compiler))),
            Err(error) => {
                cx.log.say(&format!("{error}; trying another compiler"));
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::Precompile(Report::new("no compiler to try"))))
}

/// One compiler at work on one snapshot.
struct Precompiled<'a> {
    cx: &'a Context<'a>,
    plan: &'a NativePlan<'a>,
    keys: &'a Keys,
    precompiler: &'a Precompiler,
    /// The code's.
    key: Digest,
}

impl Precompiled<'_> {
    /// New native code: with the functions of earlier code where there is some, or else
    /// all of it.
    fn code(&self, snapshot: &Blob) -> Result<Vec<u8>, Error> {
        let Self {
            cx, precompiler, ..
        } = self;
        // Without a shape there is nothing to reuse, and no harm.
        let shape = self.plan.reuse.then(|| reuse::shape(&snapshot.bytes));
        let shape = shape.and_then(|shape| shape.ok().flatten());
        let reuse = shape.map(|s| keys::reuse(self.keys.link, s.digest, precompiler.fingerprint()));
        if let Some(code) = reuse.and_then(|reuse| self.reused(reuse, snapshot)) {
            return Ok(code);
        }
        let what = format!(
            "precompile ({}, {})",
            precompiler.compiler.name(),
            self.plan.target.triple
        );
        let code = cx
            .log
            .timed(&what, || precompiler.compile(&snapshot.bytes))?;
        if let Some(reuse) = reuse {
            let names = format!("{} {}", self.key, self.keys.snapshot);
            let names = Blob::from(names.into_bytes());
            cx.cache.store(EntryKind::Reuse, reuse, &names, &[]);
        }
        Ok(code)
    }

    /// Native code with the functions of the artifact that the entry `reuse` names.
    fn reused(&self, reuse: Digest, snapshot: &Blob) -> Option<Vec<u8>> {
        let Self {
            cx, precompiler, ..
        } = self;
        let names = cx.cache.find(EntryKind::Reuse, reuse)?.blob.bytes;
        let (native, earlier) = std::str::from_utf8(&names).ok()?.split_once(' ')?;
        let find = |kind, name| Some(cx.cache.find(kind, Digest::parse(name)?)?.blob.bytes);
        let artifact = find(EntryKind::Native, native)?;
        let earlier = find(EntryKind::Snapshot, earlier)?;
        let name = precompiler.compiler.name();
        let what = format!("precompile ({name}, functions reused)");
        let base = reuse::Base {
            wasm: &earlier,
            artifact: &artifact,
        };
        let spliced = cx.log.timed(&what, || {
            reuse::splice(base, &snapshot.bytes, &|module| {
                precompiler.compile_module(module)
            })
        });
        spliced
            .inspect_err(|error| {
                cx.log.say(&format!("cannot reuse native code: {error:#}"));
            })
            .ok()
    }
}
