//! The step from a snapshot to native code.

use crate::error::{Error, Report, Stage};
use crate::guest::engine::Compiler;
use crate::native::compile::{self, ConsumerCompiler, Identity, Precompiler};
use crate::native::reuse;
use crate::native::target::Target;
use crate::pipeline::context::Context;
use crate::pipeline::keys::{self, Keys};
use crate::store::cache::{Entry, EntryKind, Made};
use crate::store::digest::{Blob, Digest, KeyBuilder};
use crate::store::files::FileStamp;
use std::path::{Path, PathBuf};

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
    /// The consumer's function.
    Consumer(&'a ConsumerCompiler, MadeBy),
}

/// What the code of a consumer's function depends on, besides what it is given.
pub(crate) enum MadeBy {
    /// This executable, which holds the function, and every crate it calls in the version
    /// and with the features that cargo resolved; the place tells it from others there.
    Executable { path: PathBuf, place: String },
    /// The consumer's `eryx`: its version, and a digest of all it is built of.
    Eryx { version: String, built_of: String },
}

impl MadeBy {
    /// `eryx` is the version and the digest that the graph told.
    ///
    /// # Errors
    /// [`Stage::Io`] when the running executable cannot be found.
    pub(crate) fn of(
        compiler: &ConsumerCompiler,
        eryx: Option<&(String, String)>,
    ) -> Result<Self, Error> {
        let place = match (compiler.identity(), eryx) {
            (Identity::Eryx, Some((version, built_of))) => {
                return Ok(Self::Eryx {
                    version: version.clone(),
                    built_of: built_of.clone(),
                });
            }
            (Identity::Eryx, None) => "eryx",
            (Identity::Place(place), _) => place,
        };
        let path = std::env::current_exe()
            .map_err(|e| Error::io("find", Path::new("the running executable"), e))?;
        Ok(Self::Executable {
            path,
            place: place.to_owned(),
        })
    }

    /// Everything of it that decides the code, short of reading files.
    fn request(&self, key: &mut KeyBuilder) {
        match self {
            Self::Executable { path, place } => {
                key.part("place", place.as_bytes())
                    .part("executable", path.as_os_str().as_encoded_bytes());
                if let Ok(stamp) = FileStamp::of(path) {
                    stamp.parts(key);
                }
            }
            Self::Eryx { version, built_of } => {
                key.part("eryx", version.as_bytes())
                    .part("built of", built_of.as_bytes());
            }
        }
    }

    /// # Errors
    /// [`Stage::Io`] when the executable cannot be read.
    fn digest(&self) -> Result<Digest, Error> {
        let mut key = KeyBuilder::new("made by");
        match self {
            Self::Executable { path, place } => {
                let program = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
                key.part("place", place.as_bytes())
                    .part("executable", &Digest::of(&program).0);
            }
            Self::Eryx { .. } => self.request(&mut key),
        }
        Ok(key.finish())
    }
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
    /// Whether it is code for the consumer's `eryx`.
    pub(crate) fn is_for_eryx(&self) -> bool {
        match &self.compiler {
            NativeCompiler::Ours(_) => false,
            NativeCompiler::Consumer(compiler, _) => *compiler.identity() == Identity::Eryx,
        }
    }

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
            NativeCompiler::Consumer(_, made_by) => made_by.request(&mut key),
        }
        key.finish()
    }
}

/// Native code of `snapshot`, from the cache or compiled now.
///
/// # Errors
/// [`Stage::Precompile`] when no compiler takes the snapshot.
pub(crate) fn compile(
    cx: &Context<'_>,
    plan: &NativePlan<'_>,
    keys: &Keys,
    snapshot: &Blob,
) -> Result<NativeCode, Error> {
    match &plan.compiler {
        NativeCompiler::Ours(precompilers) => ours(cx, plan, keys, precompilers, snapshot),
        NativeCompiler::Consumer(compiler, made_by) => {
            let target = &plan.target.triple;
            let key = keys::native_by_consumer(snapshot.digest(), target, made_by.digest()?);
            let _lock = cx.cache.lock(key);
            let what = match made_by {
                MadeBy::Executable { .. } => format!("precompile (precompile_with, {target})"),
                MadeBy::Eryx { version, .. } => format!("precompile (eryx {version}, {target})"),
            };
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
        keys::native(snapshot.digest(), precompiler.fingerprint(), rank)
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
    Err(last.unwrap_or_else(|| Stage::Precompile.error(Report::new("no compiler to try"))))
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
