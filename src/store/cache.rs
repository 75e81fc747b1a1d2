//! Content-addressed entries, one file each, shared by whoever names the same
//! directory.
//!
//! ```text
//! <root>/
//!   link/<key>        linked component
//!   code/<key>        compiled instrumented component
//!   snapshot/<key>    finished component
//!   findings/<key>    what to warn of when the result is used
//!   verified/<key>    nothing: a snapshot of this code was loaded and ran
//!   native/<key>      native code of a finished component
//!   reuse/<key>       which of those has the code of other snapshots, too
//!   locks/<key>       held while an entry's pipeline runs
//! ```
//!
//! A key is the SHA-256 of everything that can change the entry; names on the disk are
//! bound to the build of this crate, too. An entry ends in the SHA-256 of its payload
//! and its own name, checked at every read, so that a damaged or misplaced one is
//! rebuilt. Entries appear by renaming a complete temporary file: a killed build leaves
//! at most a temporary file, which is swept later.

use crate::error::{Error, Report};
use crate::store::digest::{Digest, KeyBuilder};
use crate::store::files::{TEMPORARY_AGE, files, is_temporary, publish, sweep};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Ends every entry, in front of the payload's length (u64, little endian) and
/// SHA-256, and the entry's name.
const MAGIC: &[u8; 8] = b"eryxpre2";
const TRAILER_BYTES: usize = 8 + 8 + 32 + 32;

/// The stages that have entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Link,
    Code,
    Snapshot,
    /// What to warn of when another stage's entry of this key is used: a JSON array of
    /// strings.
    Findings,
    /// An empty entry: a snapshot of this code was loaded and ran.
    Verified,
    /// Native code of a snapshot.
    Native,
    /// Which native code other snapshots of the same code can be made from.
    Reuse,
}

impl Stage {
    const ALL: [Self; 7] = [
        Self::Link,
        Self::Code,
        Self::Snapshot,
        Self::Findings,
        Self::Verified,
        Self::Native,
        Self::Reuse,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Code => "code",
            Self::Snapshot => "snapshot",
            Self::Findings => "findings",
            Self::Verified => "verified",
            Self::Native => "native",
            Self::Reuse => "reuse",
        }
    }
}

/// What [`Cache::get`] found.
pub(crate) enum Lookup {
    /// The payload and its digest.
    Hit(Vec<u8>, Digest),
    Miss,
    /// An entry that failed its check; it has been removed. The text says which.
    Corrupt(String),
}

/// One cache directory.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    /// Which build of this crate makes the entries: those of another one are not for
    /// this one to find.
    build: &'static str,
}

impl Cache {
    /// Opens `root`, creating what is missing, for `build` of this crate.
    ///
    /// # Errors
    /// [`Error::Cache`] when it cannot be created.
    pub(crate) fn open(root: &Path, build: &'static str) -> Result<Self, Error> {
        for folder in Stage::ALL.map(Stage::name).into_iter().chain(["locks"]) {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|e| {
                Error::Cache(
                    Report::new(format!(
                        "cannot create the cache folder `{}`",
                        folder.display()
                    ))
                    .source(e)
                    .hint("choose another `cache-dir` (or ERYX_PREINIT_CACHE_DIR), or remove it"),
                )
            })?;
        }
        Ok(Self {
            root: root.to_owned(),
            build,
        })
    }

    fn path(&self, stage: Stage, key: Digest) -> PathBuf {
        self.root
            .join(stage.name())
            .join(self.name(key).to_string())
    }

    fn lock_path(&self, key: Digest) -> PathBuf {
        self.root.join("locks").join(self.name(key).to_string())
    }

    fn name(&self, key: Digest) -> Digest {
        KeyBuilder::new("entry")
            .part("build", self.build.as_bytes())
            .part("key", &key.0)
            .finish()
    }

    /// Reads and checks an entry, and marks it as recently used.
    pub(crate) fn get(&self, stage: Stage, key: Digest) -> Lookup {
        let path = self.path(stage, key);
        let Ok(mut bytes) = fs::read(&path) else {
            return Lookup::Miss;
        };
        match payload(&bytes, self.name(key)) {
            Some((len, digest)) => {
                bytes.truncate(len);
                // Eviction goes by age; failing to renew it only costs a rebuild.
                let _ = File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|file| file.set_modified(SystemTime::now()));
                Lookup::Hit(bytes, digest)
            }
            None => {
                let _ = fs::remove_file(&path);
                Lookup::Corrupt(format!(
                    "the cache entry `{}` is damaged and is built again",
                    path.display()
                ))
            }
        }
    }

    /// Publishes an entry; `digest` is the payload's.
    ///
    /// # Errors
    /// The I/O error; no partial entry is left.
    pub(crate) fn put(
        &self,
        stage: Stage,
        key: Digest,
        payload: &[u8],
        digest: Digest,
    ) -> std::io::Result<()> {
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(MAGIC);
        trailer.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&digest.0);
        trailer.extend_from_slice(&self.name(key).0);
        publish(&self.path(stage, key), &[payload, &trailer])
    }

    /// Waits until no other process runs the pipeline for `key`.
    ///
    /// The lock is the operating system's: it goes with its holder, however that
    /// dies. Where the file system has no locks, `None`: publishing is atomic
    /// anyway, only work may be done twice.
    pub(crate) fn lock(&self, key: Digest) -> Option<Lock> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.lock_path(key))
            .ok()?;
        file.lock().ok()?;
        Some(Lock { _file: file })
    }

    /// Removes the least recently used entries beyond `limit` bytes, but none of
    /// `keep`, and what dead builds left behind.
    pub(crate) fn evict(&self, limit: u64, keep: &[(Stage, Digest)]) {
        let keep: Vec<PathBuf> = keep.iter().map(|&(s, k)| self.path(s, k)).collect();
        let mut entries = Vec::new();
        let mut total = 0;
        for stage in Stage::ALL {
            let folder = self.root.join(stage.name());
            sweep(&folder);
            for (path, metadata) in files(&folder) {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                if is_temporary(&path) {
                    continue;
                }
                total += metadata.len();
                if !keep.contains(&path) {
                    entries.push((modified, metadata.len(), path));
                }
            }
        }
        entries.sort();
        for (_, len, path) in entries {
            if total <= limit {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                total -= len;
            }
        }
        // Lock files are empty; only those nobody holds are removed.
        for (path, metadata) in files(&self.root.join("locks")) {
            let old = metadata
                .modified()
                .ok()
                .and_then(|modified| modified.elapsed().ok())
                .is_some_and(|age| age > 24 * TEMPORARY_AGE);
            if old && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Held while one process runs the pipeline for a key.
pub(crate) struct Lock {
    _file: File,
}

/// The payload's length and digest, when the entry is whole, in its place, and they
/// match.
fn payload(entry: &[u8], name: Digest) -> Option<(usize, Digest)> {
    let len = entry.len().checked_sub(TRAILER_BYTES)?;
    let (payload, trailer) = entry.split_at(len);
    let (magic, rest) = trailer.split_at(8);
    let (size, rest) = rest.split_at(8);
    let (digest, own_name) = rest.split_at(32);
    // The digest last: it is the slow part.
    if magic != MAGIC || size != (len as u64).to_le_bytes() || own_name != name.0 {
        return None;
    }
    let actual = Digest::of(payload);
    (digest == actual.0).then_some((len, actual))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("sub"), "1").unwrap();
        (dir, cache)
    }

    fn key(content: &str) -> Digest {
        Digest::of(content.as_bytes())
    }

    fn put(cache: &Cache, stage: Stage, name: &str, payload: &[u8]) -> std::io::Result<()> {
        cache.put(stage, key(name), payload, Digest::of(payload))
    }

    #[test]
    fn parts_are_framed() {
        let ab = KeyBuilder::new("t").part("a", b"bc").finish();
        let a_b = KeyBuilder::new("t").part("ab", b"c").finish();
        let twice = KeyBuilder::new("t").part("a", b"b").part("", b"c").finish();
        assert!(ab != a_b && ab != twice && a_b != twice);
    }

    #[test]
    fn a_key_reads_back() {
        let key = key("x");
        assert_eq!(Digest::parse(&key.to_string()), Some(key));
        assert_eq!(Digest::parse("zz"), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
    }

    #[test]
    fn what_was_put_is_found() {
        let (_dir, cache) = cache();
        assert!(matches!(cache.get(Stage::Link, key("k")), Lookup::Miss));
        put(&cache, Stage::Link, "k", b"payload").unwrap();
        assert!(cache.path(Stage::Link, key("k")).is_file());
        let Lookup::Hit(bytes, digest) = cache.get(Stage::Link, key("k")) else {
            panic!("expected a hit");
        };
        assert_eq!(bytes, b"payload");
        assert_eq!(digest, Digest::of(b"payload"));
    }

    #[test]
    fn what_another_build_of_this_crate_put_is_not_found() {
        let (_dir, cache) = cache();
        put(&cache, Stage::Link, "k", b"payload").unwrap();
        let other = Cache::open(&cache.root, "2").unwrap();
        assert!(matches!(other.get(Stage::Link, key("k")), Lookup::Miss));
        put(&other, Stage::Link, "k", b"other").unwrap();
        assert!(
            matches!(cache.get(Stage::Link, key("k")), Lookup::Hit(bytes, _) if bytes == b"payload")
        );
    }

    #[test]
    fn an_entry_under_another_name_is_detected() {
        let (_dir, cache) = cache();
        put(&cache, Stage::Link, "k", b"payload").unwrap();
        let [from, to] = ["k", "other"].map(|name| cache.path(Stage::Link, key(name)));
        fs::copy(from, to).unwrap();
        let found = cache.get(Stage::Link, key("other"));
        assert!(matches!(found, Lookup::Corrupt(_)));
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_detected() {
        let (_dir, cache) = cache();
        let path = cache.path(Stage::Code, key("k"));
        put(&cache, Stage::Code, "k", b"payload").unwrap();
        let entry = fs::read(&path).unwrap();
        for at in 0..entry.len() {
            let mut damaged = entry.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(matches!(
                cache.get(Stage::Code, key("k")),
                Lookup::Corrupt(_)
            ));
            assert!(!path.exists(), "a damaged entry is removed");
            fs::write(&path, &entry[..at]).unwrap();
            assert!(matches!(
                cache.get(Stage::Code, key("k")),
                Lookup::Corrupt(_)
            ));
        }
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (_dir, cache) = cache();
        for (index, name) in ["old", "new", "kept"].into_iter().enumerate() {
            put(&cache, Stage::Link, name, &[0; 1000]).unwrap();
            let age = Duration::from_secs(1000 * (3 - index as u64));
            File::options()
                .write(true)
                .open(cache.path(Stage::Link, key(name)))
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        }
        let keep = [(Stage::Link, key("old"))];
        cache.evict(2 * (1000 + TRAILER_BYTES as u64), &keep);
        assert!(cache.path(Stage::Link, key("old")).is_file(), "in use");
        assert!(!cache.path(Stage::Link, key("new")).is_file());
        assert!(cache.path(Stage::Link, key("kept")).is_file());
    }

    #[test]
    fn what_a_killed_build_left_is_swept() {
        let (_dir, cache) = cache();
        let fresh = cache.root.join("link").join(".tmp-fresh");
        let stale = cache.root.join("link").join(".tmp-stale");
        for path in [&fresh, &stale] {
            fs::write(path, b"half").unwrap();
        }
        let folder = cache.root.join("link").join(".tmp-folder");
        fs::create_dir(&folder).unwrap();
        File::open(&folder)
            .unwrap()
            .set_modified(SystemTime::now() - 2 * TEMPORARY_AGE)
            .unwrap();
        File::options()
            .write(true)
            .open(&stale)
            .unwrap()
            .set_modified(SystemTime::now() - 2 * TEMPORARY_AGE)
            .unwrap();
        cache.evict(0, &[]);
        assert!(fresh.exists() && !stale.exists() && !folder.exists());
    }

    #[test]
    fn a_lock_excludes_and_is_released() {
        let (_dir, cache) = cache();
        let lock = cache.lock(key("k")).unwrap();
        let path = cache.lock_path(key("k"));
        assert!(File::open(&path).unwrap().try_lock().is_err());
        drop(lock);
        assert!(File::open(&path).unwrap().try_lock().is_ok());
    }

    #[test]
    fn a_file_in_the_way_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = Cache::open(&dir.path().join("file"), "1").unwrap_err();
        assert!(format!("{error:?}").contains("cache-dir"), "{error:?}");
    }

    #[test]
    fn publishing_replaces_whole_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("python.wasm");
        publish(&path, &[b"one"]).unwrap();
        publish(&path, &[b"tw", b"o"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
