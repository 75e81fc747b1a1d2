//! What is kept between builds: digests, files, folders, the cache.

pub(crate) mod cache;
pub(crate) mod checksum;
pub(crate) mod digest;
pub(crate) mod files;
pub(crate) mod folder;
