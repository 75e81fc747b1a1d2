//! Content-addressed entries, one file each, shared by whoever names the same
//! directory.
//!
//! ```text
//! <root>/
//!   <kind>/<name>     an entry: see [`EntryKind`]
//!   locks/<name>      held while an entry's pipeline runs
//! ```
//!
//! A key is the SHA-256 of everything that can change the entry. The name on the disk
//! covers the build of this crate, too: a build never reads what another build of this
//! crate wrote. An entry ends in a checksum of what it holds and its own name, looked at in
//! every read, so that a damaged or misplaced one is made again. The checksum is a CRC-32,
//! which reads fast in a build script that is not optimised: it finds damage, and no
//! digest would keep out those who may write to the folder. Entries appear by
//! renaming a complete temporary file: a killed build leaves at most a temporary file,
//! which is swept later.

use crate::error::{Error, Report, Stage};
use crate::log::Log;
use crate::store::digest::{Blob, Digest, KeyBuilder};
use crate::store::files::{TEMPORARY_AGE, files, is_temporary, publish, sweep};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::SystemTime;

/// Starts the trailer of every entry. Behind it are the lengths of the payload and of the
/// findings (u64, little endian), the entry's name, and the CRC-32 (u32, little endian) of
/// all that is in front of it.
const MAGIC: &[u8; 8] = b"eryxpre4";
const TRAILER_BYTES: usize = 8 + 2 * 8 + 32 + 4;

/// What an entry is. The names on the disk, and what the keys cover, are in
/// docs/how-it-works.md; `pipeline/keys.rs` makes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// A linked component, its core modules as they were linked.
    Link,
    /// A linked component, its core modules fused.
    Fuse,
    /// Compiled code of an instrumented component.
    Code,
    /// Bytecode of a source; nothing where it does not compile.
    Bytecode,
    /// What Python may import, as one archive.
    Embedded,
    /// A finished component.
    Snapshot,
    /// Nothing: a snapshot of this code was loaded and ran.
    Verified,
    /// Native code of a finished component.
    Native,
    /// Which native code other snapshots of the same code can be made from.
    Reuse,
    /// A finished component, or its native code, compressed.
    Compressed,
}

impl EntryKind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Link,
        Self::Fuse,
        Self::Code,
        Self::Bytecode,
        Self::Embedded,
        Self::Snapshot,
        Self::Verified,
        Self::Native,
        Self::Reuse,
        Self::Compressed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Fuse => "fuse",
            Self::Code => "code",
            Self::Bytecode => "bytecode",
            Self::Embedded => "embedded",
            Self::Snapshot => "snapshot",
            Self::Verified => "verified",
            Self::Native => "native",
            Self::Reuse => "reuse",
            Self::Compressed => "compressed",
        }
    }
}

/// What was made, before it is kept.
pub(crate) struct Made {
    pub(crate) blob: Blob,
    /// What to warn of whenever this is used, one sentence each.
    pub(crate) findings: Vec<String>,
}

impl From<Vec<u8>> for Made {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            blob: bytes.into(),
            findings: Vec::new(),
        }
    }
}

/// What is kept, made now or earlier.
pub(crate) struct Entry {
    pub(crate) blob: Blob,
    pub(crate) findings: Vec<String>,
    /// Whether it was made by an earlier build.
    pub(crate) cached: bool,
}

/// One cache directory.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    /// Which build of this crate makes the entries.
    build: &'static str,
    log: Log,
    /// Who hears of entries that are damaged or cannot be stored.
    troubles: Sender<String>,
}

impl Cache {
    /// Opens `root`, creating what is missing, for `build` of this crate.
    ///
    /// # Errors
    /// [`Stage::Cache`] when it cannot be created.
    pub(crate) fn open(
        root: &Path,
        build: &'static str,
        log: Log,
        troubles: Sender<String>,
    ) -> Result<Self, Error> {
        for folder in EntryKind::ALL
            .map(EntryKind::name)
            .into_iter()
            .chain(["locks"])
        {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|e| {
                Stage::Cache.error(
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
            log,
            troubles,
        })
    }

    /// The entry of this kind under `key`: from the cache, or made and stored.
    ///
    /// # Errors
    /// Those of `make`. A cache that fails costs time, not the build.
    pub(crate) fn memo<E>(
        &self,
        kind: EntryKind,
        key: Digest,
        make: impl FnOnce() -> Result<Made, E>,
    ) -> Result<Entry, E> {
        if let Some(entry) = self.find(kind, key) {
            self.log.reused(kind.name());
            return Ok(entry);
        }
        let Made { blob, findings } = make()?;
        self.store(kind, key, &blob, &findings);
        Ok(Entry {
            blob,
            findings,
            cached: false,
        })
    }

    /// The entry, if it is there; it is marked as recently used. A damaged one is
    /// removed.
    pub(crate) fn find(&self, kind: EntryKind, key: Digest) -> Option<Entry> {
        let path = self.path(kind, key);
        let bytes = fs::read(&path).ok()?;
        let Some(entry) = parse(bytes, self.name(key)) else {
            let _ = fs::remove_file(&path);
            self.trouble(format!(
                "the cache entry `{}` is damaged and is built again",
                path.display()
            ));
            return None;
        };
        // Eviction goes by age; failing to renew it only costs a rebuild.
        let _ = File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        Some(entry)
    }

    /// Whether there is an entry, without a look at whether it is whole.
    pub(crate) fn has(&self, kind: EntryKind, key: Digest) -> bool {
        self.path(kind, key).is_file()
    }

    /// Has the entry made again.
    pub(crate) fn remove(&self, kind: EntryKind, key: Digest) {
        let _ = fs::remove_file(self.path(kind, key));
    }

    /// Keeps an entry for later builds; [`Cache::memo`] does so by itself.
    pub(crate) fn store(&self, kind: EntryKind, key: Digest, blob: &Blob, findings: &[String]) {
        if let Err(error) = self.put(kind, key, blob, findings) {
            self.trouble(format!(
                "cannot store the {} entry in the cache: {error}",
                kind.name()
            ));
        }
    }

    /// Says that something is wrong with an entry, as a warning of this build.
    pub(crate) fn trouble(&self, text: String) {
        // Nobody listens once the build has ended.
        let _ = self.troubles.send(text);
    }

    fn put(
        &self,
        kind: EntryKind,
        key: Digest,
        blob: &Blob,
        findings: &[String],
    ) -> std::io::Result<()> {
        let findings = serde_json::to_vec(findings)?;
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(MAGIC);
        trailer.extend_from_slice(&(blob.bytes.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&(findings.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&self.name(key).0);
        let checksum = checksum(&[&blob.bytes, &findings, &trailer]);
        trailer.extend_from_slice(&checksum.to_le_bytes());
        publish(&self.path(kind, key), &[&blob.bytes, &findings, &trailer])
    }

    fn path(&self, kind: EntryKind, key: Digest) -> PathBuf {
        self.root.join(kind.name()).join(self.name(key).to_string())
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
    /// `keep`, and what dead builds left behind. Files of other people's names stay.
    pub(crate) fn evict(&self, limit: u64, keep: &[(EntryKind, Digest)]) {
        let keep: Vec<PathBuf> = keep.iter().map(|&(k, key)| self.path(k, key)).collect();
        let mut entries = Vec::new();
        let mut total = 0;
        for kind in EntryKind::ALL {
            let folder = self.root.join(kind.name());
            sweep(&folder);
            for (path, metadata) in files(&folder).filter(|(path, _)| is_entry(path)) {
                total += metadata.len();
                if !keep.contains(&path) {
                    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
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
        self.remove_old_locks();
    }

    /// Lock files are empty; only those nobody holds are removed.
    fn remove_old_locks(&self) {
        for (path, metadata) in files(&self.root.join("locks")) {
            let age = metadata
                .modified()
                .ok()
                .and_then(|time| time.elapsed().ok());
            let old = age.is_some_and(|age| age > 24 * TEMPORARY_AGE);
            let free = || File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if old && is_entry(&path) && free() {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// Whether the name is one of [`Cache::name`].
fn is_entry(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    !is_temporary(path) && name.is_some_and(|name| Digest::parse(name).is_some())
}

/// Held while one process runs the pipeline for a key.
pub(crate) struct Lock {
    _file: File,
}

/// The CRC-32 of these pieces, one behind the other.
fn checksum(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// The entry in a file, when that is whole and in its place.
fn parse(mut file: Vec<u8>, name: Digest) -> Option<Entry> {
    let len = file.len().checked_sub(TRAILER_BYTES)?;
    let (content, trailer) = file.split_at(len);
    let (magic, rest) = trailer.split_at(8);
    let (sizes, rest) = rest.split_at(16);
    let (own_name, own_checksum) = rest.split_at(32);
    let size = u64::from_le_bytes(sizes[..8].try_into().ok()?);
    let (_, findings) = content.split_at_checked(usize::try_from(size).ok()?)?;
    let summed = &file[..file.len() - own_checksum.len()];
    if magic != MAGIC
        || sizes[8..] != (findings.len() as u64).to_le_bytes()
        || own_name != name.0
        // Last: it is the slow part.
        || own_checksum != checksum(&[summed]).to_le_bytes()
    {
        return None;
    }
    let findings = serde_json::from_slice(findings).ok()?;
    file.truncate(size as usize);
    Some(Entry {
        blob: file.into(),
        findings,
        cached: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, Receiver};
    use std::time::Duration;

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(&dir.path().join("sub"), "1").unwrap().0;
        (dir, cache)
    }

    fn key(content: &str) -> Digest {
        Digest::of(content.as_bytes())
    }

    fn open(root: &Path, build: &'static str) -> Result<(Cache, Receiver<String>), Error> {
        let (sender, troubles) = mpsc::channel();
        Ok((Cache::open(root, build, Log::default(), sender)?, troubles))
    }

    fn put(cache: &Cache, kind: EntryKind, name: &str, payload: &[u8]) {
        let findings = ["a finding".to_owned()];
        let blob = Blob::from(payload.to_vec());
        cache.put(kind, key(name), &blob, &findings).unwrap();
    }

    fn found(cache: &Cache, kind: EntryKind, name: &str) -> Option<Vec<u8>> {
        let entry = cache.find(kind, key(name))?;
        assert!(entry.cached);
        assert_eq!(entry.findings, ["a finding"]);
        Some(entry.blob.bytes)
    }

    #[test]
    fn what_was_put_is_found() {
        let (_dir, cache) = cache();
        assert_eq!(found(&cache, EntryKind::Link, "k"), None);
        put(&cache, EntryKind::Link, "k", b"payload");
        assert!(cache.path(EntryKind::Link, key("k")).is_file());
        assert_eq!(found(&cache, EntryKind::Link, "k").unwrap(), b"payload");
    }

    #[test]
    fn what_is_made_is_made_once_and_says_again_what_was_found() {
        let (_dir, cache) = cache();
        let make = || {
            let findings = vec!["a finding".to_owned()];
            let blob = b"payload".to_vec().into();
            Ok::<_, Error>(Made { blob, findings })
        };
        let made = cache.memo(EntryKind::Link, key("k"), make).unwrap();
        assert!(!made.cached);
        let again = cache.memo(EntryKind::Link, key("k"), || -> Result<Made, Error> {
            panic!("it is there")
        });
        let again = again.unwrap();
        assert!(again.cached && again.blob.bytes == made.blob.bytes);
        assert_eq!(again.findings, made.findings);
        let failed = cache.memo(EntryKind::Link, key("other"), || Err(()));
        assert!(failed.is_err() && !cache.has(EntryKind::Link, key("other")));
    }

    #[test]
    fn what_another_build_of_this_crate_put_is_not_found() {
        let (_dir, cache) = cache();
        put(&cache, EntryKind::Link, "k", b"payload");
        let (other, _troubles) = open(&cache.root, "2").unwrap();
        assert_eq!(found(&other, EntryKind::Link, "k"), None);
        put(&other, EntryKind::Link, "k", b"other");
        assert_eq!(found(&cache, EntryKind::Link, "k").unwrap(), b"payload");
    }

    #[test]
    fn an_entry_under_another_name_is_detected() {
        let (_dir, cache) = cache();
        put(&cache, EntryKind::Link, "k", b"payload");
        let [from, to] = ["k", "other"].map(|name| cache.path(EntryKind::Link, key(name)));
        fs::copy(from, &to).unwrap();
        assert_eq!(found(&cache, EntryKind::Link, "other"), None);
        assert!(!to.exists());
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, troubles) = open(dir.path(), "1").unwrap();
        let path = cache.path(EntryKind::Code, key("k"));
        put(&cache, EntryKind::Code, "k", b"payload");
        let entry = fs::read(&path).unwrap();
        for at in 0..entry.len() {
            let mut damaged = entry.clone();
            damaged[at] ^= 1;
            for file in [&damaged, &entry[..at]] {
                fs::write(&path, file).unwrap();
                assert_eq!(found(&cache, EntryKind::Code, "k"), None);
                assert!(!path.exists(), "a damaged entry is removed");
                assert!(troubles.try_recv().unwrap().contains("is damaged"));
            }
        }
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (_dir, cache) = cache();
        for (index, name) in ["old", "new", "kept"].into_iter().enumerate() {
            put(&cache, EntryKind::Link, name, &[0; 1000]);
            let age = Duration::from_secs(1000 * (3 - index as u64));
            File::options()
                .write(true)
                .open(cache.path(EntryKind::Link, key(name)))
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        }
        let keep = [(EntryKind::Link, key("old"))];
        let entry = (1000 + br#"["a finding"]"#.len() + TRAILER_BYTES) as u64;
        let foreign = cache.root.join("link/notes.tar");
        fs::write(&foreign, [0; 5000]).unwrap();
        cache.evict(2 * entry, &keep);
        assert!(foreign.is_file(), "not ours");
        assert!(cache.path(EntryKind::Link, key("old")).is_file(), "in use");
        assert!(!cache.path(EntryKind::Link, key("new")).is_file());
        assert!(cache.path(EntryKind::Link, key("kept")).is_file());
    }

    #[test]
    fn what_a_killed_build_left_is_swept() {
        let (_dir, cache) = cache();
        let fresh = cache.root.join("link").join(".eryx-preinit-fresh");
        let stale = cache.root.join("link").join(".eryx-preinit-stale");
        for path in [&fresh, &stale] {
            fs::write(path, b"half").unwrap();
        }
        let folder = cache.root.join("link").join(".eryx-preinit-folder");
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
    fn old_locks_go_and_files_of_others_stay() {
        let (_dir, cache) = cache();
        drop(cache.lock(key("free")).unwrap());
        let held = cache.lock(key("held")).unwrap();
        let foreign = cache.root.join("locks/notes.txt");
        fs::write(&foreign, "").unwrap();
        let [free, in_use] = ["free", "held"].map(|name| cache.lock_path(key(name)));
        for path in [&free, &in_use, &foreign] {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - 48 * TEMPORARY_AGE)
                .unwrap();
        }
        cache.evict(0, &[]);
        assert!(!free.exists() && in_use.exists() && foreign.exists());
        drop(held);
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
        let error = open(&dir.path().join("file"), "1").map(drop).unwrap_err();
        assert!(format!("{error:?}").contains("cache-dir"), "{error:?}");
    }
}
