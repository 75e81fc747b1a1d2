//! The guest's files at build time: two mounts that look the same on every
//! machine, and a /tmp of its own.
//!
//! A mount is a folder below OUT_DIR whose content follows from digests (`tree.rs`,
//! `stdlib.rs`), and shows nothing else:
//!
//! - Times, inode numbers, link counts, directory sizes and directory order are
//!   the file system's, not the package's, and CPython keeps them: they are made
//!   up.
//! - A symbolic link is what it leads to. One that leads out of its mount, or
//!   nowhere, is not there, and the path in a link is never told.
//! - Devices, pipes and names that are not Unicode are not there.
//!
//! /tmp is an empty folder on the host that goes with the run. What is written
//! there is counted, and is never given back: that bounds the disk it takes
//! without knowing how the file system stores it.

use crate::error::{Error, Report};
use crate::guest::host::Host;
use crate::store::files::TEMPORARY;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
    ErrorCode, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{
    DynOutputStream, FsError, FsResult, OutputStream, Pollable, StreamError, StreamResult,
};

/// The instance of wasmtime-wasi that all of this stands in front of.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// What the guest may write to /tmp in one run, in bytes, all in all.
pub(crate) const SCRATCH_BYTES: u64 = 64 << 20;

/// What a new file or folder in /tmp counts for, so that their number is bounded
/// too.
const ENTRY_BYTES: u64 = 4 << 10;

/// What one run of the guest knows of its files.
pub(crate) struct Files {
    epoch_seconds: u64,
    /// Inode numbers in the order the guest meets them.
    inodes: HashMap<(u64, u64), u64>,
    met: u64,
    /// Sorted entries not read yet, by directory stream.
    directories: HashMap<u32, std::vec::IntoIter<DirectoryEntry>>,
    /// Paths of mounts and of what was opened, by descriptor. Those of closed
    /// ones stay until the number is used again.
    paths: HashMap<u32, OpenPath>,
    budget: Arc<Budget>,
    scratch: tempfile::TempDir,
}

/// Where a descriptor leads.
struct OpenPath {
    path: String,
    mount: bool,
}

impl Files {
    /// What is open in `table`, but for the mounts, sorted.
    pub(crate) fn left_open(&self, table: &ResourceTable) -> Vec<String> {
        let mut paths: Vec<String> = self
            .paths
            .iter()
            .filter(|(id, opened)| {
                let descriptor = Resource::<Descriptor>::new_borrow(**id);
                !opened.mount && table.get(&descriptor).is_ok()
            })
            .map(|(_, opened)| opened.path.clone())
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Notes that the guest was handed a mount.
    pub(crate) fn mounted(&mut self, descriptor: u32, path: &str) {
        let path = path.to_owned();
        self.paths
            .insert(descriptor, OpenPath { path, mount: true });
    }

    fn opened(&mut self, folder: u32, name: &str, descriptor: u32) {
        let folder = self.paths.get(&folder).map_or("", |opened| &opened.path);
        let path = format!("{}/{name}", folder.trim_end_matches('/'));
        self.paths
            .insert(descriptor, OpenPath { path, mount: false });
    }

    /// `epoch_seconds` is the time every file seems to be from; /tmp is a folder in
    /// `scratch`.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder behind /tmp cannot be created.
    pub(crate) fn new(epoch_seconds: u64, scratch: &Path) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(scratch)
            .map_err(|e| Error::io("create a folder in", scratch, e))?;
        Ok(Self {
            epoch_seconds,
            inodes: HashMap::new(),
            met: 0,
            directories: HashMap::new(),
            paths: HashMap::new(),
            budget: Arc::new(Budget {
                left: AtomicU64::new(SCRATCH_BYTES),
                exceeded: AtomicBool::new(false),
            }),
            scratch,
        })
    }

    /// The host's folder behind /tmp.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Adds to the report of a failure that the guest's /tmp was full, if it was.
    pub(crate) fn explain(&self, report: Report) -> Report {
        if self.budget.exceeded.load(Ordering::Relaxed) {
            report.note(format!(
                "it wrote more than the {} MiB that /tmp holds while Python is pre-initialised",
                SCRATCH_BYTES >> 20
            ))
        } else {
            report
        }
    }

    fn normalise(&self, stat: DescriptorStat) -> DescriptorStat {
        let time = Some(Datetime {
            seconds: self.epoch_seconds,
            nanoseconds: 0,
        });
        DescriptorStat {
            type_: stat.type_,
            link_count: 1,
            // The size of a directory is the file system's business.
            size: match stat.type_ {
                DescriptorType::Directory => 0,
                _ => stat.size,
            },
            data_access_timestamp: time,
            data_modification_timestamp: time,
            status_change_timestamp: time,
        }
    }

    fn inode(&mut self, hash: MetadataHashValue) -> MetadataHashValue {
        let lower = *self
            .inodes
            .entry((hash.lower, hash.upper))
            .or_insert_with(|| {
                self.met += 1;
                self.met
            });
        MetadataHashValue { lower, upper: 0 }
    }
}

/// How much the guest may still write.
struct Budget {
    left: AtomicU64,
    exceeded: AtomicBool,
}

impl Budget {
    fn take(&self, bytes: u64) -> Result<(), ErrorCode> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        taken.map(drop).map_err(|_| {
            self.exceeded.store(true, Ordering::Relaxed);
            ErrorCode::InsufficientSpace
        })
    }
}

/// Puts the functions of this file in front of wasmtime-wasi's.
pub(crate) fn define(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    /// One function: its name, its parameters behind the descriptor, and what
    /// answers it.
    macro_rules! method {
        ($name:literal, |$view:ident, $fd:ident $(, $param:ident: $ty:ty)*| $answer:expr) => {
            types.func_wrap_async(
                concat!("[method]descriptor.", $name),
                |mut store, ($fd, $($param,)*): (Resource<Descriptor>, $($ty,)*)| {
                    Box::new(async move {
                        let host: &mut Host = store.data_mut();
                        let mut $view = host.view();
                        Ok((code($answer)?,))
                    })
                },
            )?;
        };
    }
    method!("stat", |view, fd| view.stat(fd).await);
    method!("stat-at", |view, fd, _flags: PathFlags, path: String| view
        .stat_at(fd, path)
        .await);
    method!("metadata-hash", |view, fd| view.metadata_hash(fd).await);
    method!(
        "metadata-hash-at",
        |view, fd, _flags: PathFlags, path: String| view.metadata_hash_at(fd, path).await
    );
    method!("open-at", |view,
                        fd,
                        _links: PathFlags,
                        path: String,
                        how: OpenFlags,
                        flags: DescriptorFlags| {
        let folder = fd.rep();
        let opened = view.open_at(fd, path.clone(), how, flags).await;
        if let Ok(descriptor) = &opened {
            view.files.opened(folder, &path, descriptor.rep());
        }
        opened
    });
    method!("read-directory", |view, fd| view.read_directory(fd).await);
    // There are no links to read, and none can be made.
    method!("readlink-at", |_view, _fd, _path: String| Err::<String, _>(
        ErrorCode::Invalid.into()
    ));
    method!("symlink-at", |_view, _fd, _old: String, _new: String| {
        refused()
    });
    method!("link-at", |_view,
                        _fd,
                        _flags: PathFlags,
                        _old: String,
                        _to: Resource<Descriptor>,
                        _new: String| {
        refused()
    });
    method!("create-directory-at", |view, fd, path: String| view
        .create_directory_at(fd, path)
        .await);
    method!("remove-directory-at", |view, fd, path: String| {
        view.forget(&fd, &path).await;
        view.wasi.remove_directory_at(fd, path).await
    });
    method!("unlink-file-at", |view, fd, path: String| {
        view.forget(&fd, &path).await;
        view.wasi.unlink_file_at(fd, path).await
    });
    method!("rename-at", |view,
                          fd,
                          old: String,
                          to: Resource<Descriptor>,
                          new: String| {
        view.forget(&to, &new).await;
        view.wasi.rename_at(fd, old, to, new).await
    });
    method!("set-size", |view, fd, size: u64| view
        .set_size(fd, size)
        .await);
    method!("write", |view, fd, bytes: Vec<u8>, offset: u64| view
        .write(fd, bytes, offset)
        .await);
    method!("write-via-stream", |view, fd, offset: u64| view
        .write_via_stream(fd, offset));
    method!("append-via-stream", |view, fd| view.append_via_stream(fd));
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store, (stream,): (Resource<DirectoryEntryStream>,)| {
            let host: &mut Host = store.data_mut();
            let entry = host
                .view()
                .files
                .directories
                .get_mut(&stream.rep())
                .and_then(Iterator::next);
            Ok((Ok::<_, ErrorCode>(entry),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// An error the guest gets, apart from one that ends the run.
fn code<T>(result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

fn refused() -> FsResult<()> {
    Err(ErrorCode::NotPermitted.into())
}

/// Another handle for the same resource.
fn again<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

/// wasmtime-wasi's files, seen through ours.
pub(crate) struct View<'a> {
    pub(crate) wasi: WasiFilesystemCtxView<'a>,
    pub(crate) files: &'a mut Files,
}

impl View<'_> {
    /// Whether the descriptor belongs to a mount, not to /tmp.
    fn mounted(&self, fd: &Resource<Descriptor>) -> FsResult<bool> {
        let permissions = match self.wasi.table.get(fd)? {
            Descriptor::File(file) => file.perms,
            Descriptor::Dir(dir) => dir.perms,
        };
        Ok(permissions.write_not_permitted())
    }

    /// What is at `path`, links followed, if the guest may see it.
    async fn look(&mut self, fd: &Resource<Descriptor>, path: &str) -> FsResult<DescriptorStat> {
        let stat = self
            .wasi
            .stat_at(again(fd), PathFlags::SYMLINK_FOLLOW, path.to_owned())
            .await?;
        match stat.type_ {
            DescriptorType::Directory | DescriptorType::RegularFile => Ok(stat),
            // Opening a pipe could block for ever.
            _ => Err(ErrorCode::NoEntry.into()),
        }
    }

    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let stat = self.wasi.stat(fd).await?;
        Ok(self.files.normalise(stat))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let stat = self.look(&fd, &path).await?;
        Ok(self.files.normalise(stat))
    }

    async fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let hash = self.wasi.metadata_hash(fd).await?;
        Ok(self.files.inode(hash))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.look(&fd, &path).await?;
        let hash = self
            .wasi
            .metadata_hash_at(fd, PathFlags::SYMLINK_FOLLOW, path)
            .await?;
        Ok(self.files.inode(hash))
    }

    /// The host may give the inode number of what is removed to something new.
    async fn forget(&mut self, fd: &Resource<Descriptor>, path: &str) {
        let hash = self
            .wasi
            .metadata_hash_at(again(fd), PathFlags::empty(), path.to_owned())
            .await;
        if let Ok(hash) = hash
            && self.mounted(fd).is_ok_and(|mounted| !mounted)
        {
            self.files.inodes.remove(&(hash.lower, hash.upper));
        }
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let creates = how.contains(OpenFlags::CREATE) && !self.mounted(&fd)?;
        if creates {
            self.files.budget.take(ENTRY_BYTES)?;
        } else {
            self.look(&fd, &path).await?;
        }
        self.wasi
            .open_at(fd, PathFlags::SYMLINK_FOLLOW, path, how, flags)
            .await
    }

    async fn read_directory(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let stream = self.wasi.read_directory(again(&fd)).await?;
        match self.entries(&fd, &stream).await {
            Ok(entries) => {
                let entries = entries.into_iter();
                self.files.directories.insert(stream.rep(), entries);
                Ok(stream)
            }
            Err(error) => {
                HostDirectoryEntryStream::drop(&mut self.wasi, stream).map_err(FsError::trap)?;
                Err(error)
            }
        }
    }

    /// What the guest sees in a directory, sorted.
    async fn entries(
        &mut self,
        fd: &Resource<Descriptor>,
        stream: &Resource<DirectoryEntryStream>,
    ) -> FsResult<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        loop {
            let mut entry = match code(self.wasi.read_directory_entry(again(stream)).await)
                .map_err(FsError::trap)?
            {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(ErrorCode::IllegalByteSequence) => continue,
                Err(error) => return Err(error.into()),
            };
            match code(self.look(fd, &entry.name).await).map_err(FsError::trap)? {
                Ok(stat) => {
                    entry.type_ = stat.type_;
                    entries.push(entry);
                }
                Err(_) => continue,
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    async fn create_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        if !self.mounted(&fd)? {
            self.files.budget.take(ENTRY_BYTES)?;
        }
        self.wasi.create_directory_at(fd, path).await
    }

    async fn set_size(&mut self, fd: Resource<Descriptor>, size: u64) -> FsResult<()> {
        if !self.mounted(&fd)? {
            self.files.budget.take(size)?;
        }
        self.wasi.set_size(fd, size).await
    }

    async fn write(
        &mut self,
        fd: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: u64,
    ) -> FsResult<u64> {
        within_scratch(offset)?;
        self.files.budget.take(bytes.len() as u64)?;
        self.wasi.write(fd, bytes, offset).await
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        within_scratch(offset)?;
        let stream = self.wasi.write_via_stream(fd, offset)?;
        self.counted(&stream)?;
        Ok(stream)
    }

    fn append_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let stream = self.wasi.append_via_stream(fd)?;
        self.counted(&stream)?;
        Ok(stream)
    }

    /// Has `stream` count what goes through it.
    fn counted(&mut self, stream: &Resource<DynOutputStream>) -> FsResult<()> {
        let budget = self.files.budget.clone();
        let stream = self.wasi.table.get_mut(stream)?;
        let file = std::mem::replace(stream, Box::new(Gone));
        *stream = Box::new(Counted { file, budget });
        Ok(())
    }
}

/// A write far behind a file's end makes it that large, on some file systems with
/// zeros on the disk.
fn within_scratch(offset: u64) -> Result<(), ErrorCode> {
    if offset > SCRATCH_BYTES {
        Err(ErrorCode::FileTooLarge)
    } else {
        Ok(())
    }
}

/// A file's stream that counts against the budget.
struct Counted {
    file: DynOutputStream,
    budget: Arc<Budget>,
}

impl Counted {
    fn take(&self, bytes: usize) -> StreamResult<()> {
        self.budget.take(bytes as u64).map_err(|_| {
            // wasmtime-wasi goes by the number where there is one.
            let full = if cfg!(unix) {
                std::io::Error::from_raw_os_error(28)
            } else {
                std::io::ErrorKind::StorageFull.into()
            };
            StreamError::LastOperationFailed(full.into())
        })
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Counted {
    async fn ready(&mut self) {
        self.file.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Counted {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.file.write(bytes)
    }
    fn flush(&mut self) -> StreamResult<()> {
        self.file.flush()
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        self.file.check_write()
    }
    async fn blocking_write_and_flush(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.take(bytes.len())?;
        self.file.blocking_write_and_flush(bytes).await
    }
    async fn cancel(&mut self) {
        self.file.cancel().await;
    }
}

/// Holds the place of a stream for the moment that it changes hands.
struct Gone;

#[wasmtime_wasi::async_trait]
impl Pollable for Gone {
    async fn ready(&mut self) {}
}

impl OutputStream for Gone {
    fn write(&mut self, _: bytes::Bytes) -> StreamResult<()> {
        Err(StreamError::Closed)
    }
    fn flush(&mut self) -> StreamResult<()> {
        Err(StreamError::Closed)
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Err(StreamError::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_given_back_and_tells_when_it_was_not_enough() {
        let files = Files::new(0, &std::env::temp_dir()).unwrap();
        files.budget.take(SCRATCH_BYTES - 1).unwrap();
        assert!(!files.budget.exceeded.load(Ordering::Relaxed));
        assert!(files.budget.take(2).is_err());
        files.budget.take(1).unwrap();
        assert!(files.budget.take(1).is_err());
        let report = format!("{:?}", files.explain(Report::new("failed")));
        assert!(report.contains("64 MiB that /tmp holds"), "{report}");
    }

    #[test]
    fn a_number_that_the_host_uses_again_is_a_new_one_to_the_guest() {
        let mut files = Files::new(0, &std::env::temp_dir()).unwrap();
        let inode = |files: &mut Files, lower| {
            let hash = MetadataHashValue { lower, upper: 9 };
            files.inode(hash).lower
        };
        assert_eq!(inode(&mut files, 70), 1);
        assert_eq!(inode(&mut files, 50), 2);
        assert_eq!(inode(&mut files, 70), 1);
        files.inodes.remove(&(70, 9));
        assert_eq!(inode(&mut files, 70), 3);
    }

    #[test]
    fn the_folder_behind_tmp_goes_with_the_run() {
        let files = Files::new(0, &std::env::temp_dir()).unwrap();
        let folder = files.scratch().to_owned();
        std::fs::write(folder.join("x"), b"x").unwrap();
        drop(files);
        assert!(!folder.exists());
    }
}
