//! The step from what the program gets to the same, compressed.
//!
//! One zstd frame a file, with its length in front and a checksum behind: the `zstd`
//! command unpacks it, too. What Python may import lies in the component as it is then
//! (`pipeline/embed.rs`), since bytes that are compressed already do not get shorter, and
//! sources share much with their bytecode.

use crate::error::{Error, Report, Stage};
use crate::pipeline::context::Context;
use crate::pipeline::keys;
use crate::store::cache::{EntryKind, Made};
use crate::store::digest::{Blob, Digest};
use std::io;
use std::thread;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// How far back a frame refers, as a power of two in bytes: behind all there is. Decoders
/// take 27 without being asked to.
const WINDOW_LOG: u32 = 26;
/// From this level on, a chance is not missed for want of memory.
const THOROUGH: u8 = 19;

/// Files of an output, compressed.
pub(crate) struct Compressed {
    pub(crate) component: Frame,
    pub(crate) native: Option<Frame>,
}

/// One file, compressed.
pub(crate) struct Frame {
    pub(crate) blob: Blob,
    pub(crate) cached: bool,
    pub(crate) key: Digest,
}

/// The component and its native code, compressed, from the cache or now; `None` where that
/// was not asked for.
///
/// # Errors
/// [`Stage::Io`] where there is not enough memory.
pub(crate) fn compress(
    cx: &Context<'_>,
    component: &Blob,
    native: Option<&Blob>,
) -> Result<Option<Compressed>, Error> {
    let Some(level) = cx.config.compress else {
        return Ok(None);
    };
    let frame = |what, blob| frame(cx, what, level, blob);
    // Each takes one core.
    let (component, native) = thread::scope(|scope| {
        let native = native.map(|native| scope.spawn(move || frame("native code", native)));
        let component = frame("component", component);
        let joined = |native: thread::ScopedJoinHandle<'_, _>| {
            native
                .join()
                .unwrap_or_else(|p| std::panic::resume_unwind(p))
        };
        (component, native.map(joined))
    });
    Ok(Some(Compressed {
        component: component?,
        native: native.transpose()?,
    }))
}

fn frame(cx: &Context<'_>, what: &str, level: u8, blob: &Blob) -> Result<Frame, Error> {
    let key = keys::compressed(blob.digest(), level);
    let entry = cx.cache.memo(EntryKind::Compressed, key, || {
        let compress = || compressed(&blob.bytes, level);
        let frame = cx
            .log
            .timed(&format!("compress the {what} (level {level})"), compress);
        let failed = |e| {
            let report = Report::new(format!("cannot compress the {what}")).source(e);
            Stage::Io.error(report.hint("a lower level takes less memory: compress = 9, say"))
        };
        frame.map(Made::from).map_err(failed)
    })?;
    Ok(Frame {
        blob: entry.blob,
        cached: entry.cached,
        key,
    })
}

/// `bytes` as one zstd frame.
pub(crate) fn compressed(bytes: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(level.into())?;
    compressor.include_checksum(true)?;
    compressor.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    compressor.set_parameter(CParameter::EnableLongDistanceMatching(true))?;
    if level >= THOROUGH {
        compressor.set_parameter(CParameter::ChainLog(WINDOW_LOG))?;
        compressor.set_parameter(CParameter::HashLog(WINDOW_LOG - 2))?;
    }
    compressor.compress(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_gives_the_bytes_back() {
        let bytes: Vec<u8> = (0..100_000_u32)
            .flat_map(|i| (i / 7).to_le_bytes())
            .collect();
        for level in 1..=22 {
            let frame = compressed(&bytes, level).unwrap();
            assert!(frame.len() < bytes.len() / 2, "level {level}");
            // As a decoder without any settings does.
            assert_eq!(zstd::decode_all(&frame[..]).unwrap(), bytes);
            let mut changed = frame.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(zstd::decode_all(&changed[..]).is_err());
        }
    }
}
