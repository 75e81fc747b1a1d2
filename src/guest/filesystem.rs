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
use crate::guest::scratch::{self, Budget, ENTRY_BYTES, within_scratch};
use crate::store::files::TEMPORARY;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue,
    NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

/// The first second of 1980 and the last of 2107: `zipfile` raises for files that are from
/// another time, as if the file and not the clock of the build were at fault.
const ZIP_FIRST: u64 = 315_532_800;
const ZIP_LAST: u64 = 4_354_819_199;

/// What one run of the guest knows of its files.
pub(crate) struct Files {
    /// When every file seems to be from, in seconds since 1970.
    file_seconds: u64,
    /// Inode numbers in the order the guest meets them.
    inodes: HashMap<(u64, u64), u64>,
    met: u64,
    /// Sorted entries not read yet, by directory stream.
    directories: HashMap<u32, std::vec::IntoIter<DirectoryEntry>>,
    /// Paths of mounts and of what is open, by descriptor.
    paths: HashMap<u32, OpenPath>,
    /// Whether anything was opened.
    used: bool,
    /// Files of packages that were opened since [`Files::watch`], if that was called.
    by_path: Option<BTreeSet<String>>,
    budget: Arc<Budget>,
    scratch: tempfile::TempDir,
}

/// Where a descriptor leads.
struct OpenPath {
    path: String,
    mount: bool,
}

impl Files {
    /// What is open, but for the mounts, sorted.
    pub(crate) fn left_open(&self) -> Vec<String> {
        let opened = self.paths.values().filter(|opened| !opened.mount);
        let mut paths: Vec<String> = opened.map(|opened| opened.path.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Whether the guest opened anything: one that sees these files does, to start.
    pub(crate) fn used(&self) -> bool {
        self.used
    }

    /// Has files of packages noted that are opened from now on.
    pub(crate) fn watch(&mut self) {
        self.by_path = Some(BTreeSet::new());
    }

    /// What was noted.
    pub(crate) fn opened_by_path(&self) -> impl Iterator<Item = &str> {
        self.by_path.iter().flatten().map(String::as_str)
    }

    fn opened(&mut self, folder: u32, name: &str, descriptor: u32, is_file: bool) {
        let folder = self.paths.get(&folder).map_or("", |opened| &opened.path);
        let path = format!("{}/{name}", folder.trim_end_matches('/'));
        if let Some(by_path) = &mut self.by_path
            && is_file
            && path.starts_with("/site-packages/")
            && !is_metadata(&path)
        {
            by_path.insert(path.clone());
        }
        self.paths
            .insert(descriptor, OpenPath { path, mount: false });
        self.used = true;
    }

    /// `epoch_seconds` is the time every file seems to be from, or the nearest that zip
    /// files can hold; /tmp is a folder in `scratch`.
    ///
    /// # Errors
    /// `Stage::Io` when the folder behind /tmp cannot be created.
    pub(crate) fn new(epoch_seconds: u64, scratch: &Path) -> Result<Self, Error> {
        let scratch = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(scratch)
            .map_err(|e| Error::io("create a folder in", scratch, e))?;
        Ok(Self {
            file_seconds: epoch_seconds.clamp(ZIP_FIRST, ZIP_LAST),
            inodes: HashMap::new(),
            met: 0,
            directories: HashMap::new(),
            paths: HashMap::new(),
            used: false,
            by_path: None,
            budget: Arc::default(),
            scratch,
        })
    }

    /// The host's folder behind /tmp.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Adds to the report of a failure that the guest's /tmp was full, if it was.
    pub(crate) fn explain(&self, report: Report) -> Report {
        self.budget.explain(report)
    }

    fn normalise(&self, stat: DescriptorStat) -> DescriptorStat {
        let time = Some(Datetime {
            seconds: self.file_seconds,
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

/// Whether the file is a distribution's metadata: `importlib.metadata` finds it in the
/// archive, too.
fn is_metadata(path: &str) -> bool {
    let folder = path.rsplit('/').nth(1).unwrap_or_default();
    folder.ends_with(".dist-info") || folder.ends_with(".egg-info")
}

/// An error the guest gets, apart from one that ends the run.
fn code<T>(result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
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

/// Has wasmtime-wasi call [`View`] for what it calls its own view for.
pub(crate) struct GuestFilesystem;

impl HasData for GuestFilesystem {
    type Data<'a> = View<'a>;
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

    /// Counts what a write that starts at `offset` fills between it and the file's
    /// end: some file systems store the zeros.
    fn take_gap(&self, fd: &Resource<Descriptor>, offset: u64) -> FsResult<()> {
        within_scratch(offset)?;
        let Descriptor::File(file) = self.wasi.table.get(fd)? else {
            return Ok(());
        };
        let size = file.file.metadata().map_err(ErrorCode::from)?.len();
        Ok(self.files.budget.take(offset.saturating_sub(size))?)
    }

    /// Has `stream` count what goes through it.
    fn counted(&mut self, stream: &Resource<DynOutputStream>) -> FsResult<()> {
        let budget = self.files.budget.clone();
        scratch::count(self.wasi.table.get_mut(stream)?, budget);
        Ok(())
    }
}

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = preopens::Host::get_directories(&mut self.wasi)?;
        for (descriptor, path) in &directories {
            let path = path.clone();
            let mount = OpenPath { path, mount: true };
            self.files.paths.insert(descriptor.rep(), mount);
        }
        Ok(directories)
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.wasi.filesystem_error_code(error)
    }
}

/// What is ours comes first, what is passed on last.
impl HostDescriptor for View<'_> {
    async fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let stat = self.wasi.stat(fd).await?;
        Ok(self.files.normalise(stat))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Descriptor>,
        _links: PathFlags,
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
        _links: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.look(&fd, &path).await?;
        let hash = self
            .wasi
            .metadata_hash_at(fd, PathFlags::SYMLINK_FOLLOW, path)
            .await?;
        Ok(self.files.inode(hash))
    }

    async fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        _links: PathFlags,
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
        let folder = fd.rep();
        let is_file = !how.contains(OpenFlags::DIRECTORY);
        let opened = self
            .wasi
            .open_at(fd, PathFlags::SYMLINK_FOLLOW, path.clone(), how, flags)
            .await?;
        self.files.opened(folder, &path, opened.rep(), is_file);
        Ok(opened)
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.files.paths.remove(&fd.rep());
        HostDescriptor::drop(&mut self.wasi, fd)
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

    // There are no links to read, and none can be made.
    async fn readlink_at(&mut self, _fd: Resource<Descriptor>, _path: String) -> FsResult<String> {
        Err(ErrorCode::Invalid.into())
    }

    async fn symlink_at(
        &mut self,
        _fd: Resource<Descriptor>,
        _old: String,
        _new: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
    }

    async fn link_at(
        &mut self,
        _fd: Resource<Descriptor>,
        _links: PathFlags,
        _old: String,
        _to: Resource<Descriptor>,
        _new: String,
    ) -> FsResult<()> {
        Err(ErrorCode::NotPermitted.into())
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

    async fn remove_directory_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        self.forget(&fd, &path).await;
        self.wasi.remove_directory_at(fd, path).await
    }

    async fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.forget(&fd, &path).await;
        self.wasi.unlink_file_at(fd, path).await
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        old: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.forget(&to, &new).await;
        self.wasi.rename_at(fd, old, to, new).await
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
        self.take_gap(&fd, offset)?;
        self.files.budget.take(bytes.len() as u64)?;
        self.wasi.write(fd, bytes, offset).await
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.take_gap(&fd, offset)?;
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

    async fn advise(
        &mut self,
        fd: Resource<Descriptor>,
        offset: u64,
        len: u64,
        advice: Advice,
    ) -> FsResult<()> {
        self.wasi.advise(fd, offset, len, advice).await
    }

    async fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.wasi.sync_data(fd).await
    }

    async fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.wasi.sync(fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.wasi.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.wasi.get_type(fd).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<Descriptor>,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        self.wasi.set_times(fd, access, modification).await
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        links: PathFlags,
        path: String,
        access: NewTimestamp,
        modification: NewTimestamp,
    ) -> FsResult<()> {
        self.wasi
            .set_times_at(fd, links, path, access, modification)
            .await
    }

    async fn read(
        &mut self,
        fd: Resource<Descriptor>,
        len: u64,
        offset: u64,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.wasi.read(fd, len, offset).await
    }

    fn read_via_stream(
        &mut self,
        fd: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        self.wasi.read_via_stream(fd, offset)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Descriptor>,
        b: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.wasi.is_same_object(a, b).await
    }
}

impl HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let entries = self.files.directories.get_mut(&stream.rep());
        Ok(entries.and_then(Iterator::next))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.files.directories.remove(&stream.rep());
        HostDirectoryEntryStream::drop(&mut self.wasi, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
