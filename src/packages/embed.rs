//! Everything that Python may import, as one archive that lies in the snapshot.
//!
//! ```text
//! u32                  how many members there are
//! 8 × u32 a member     place and length of its name; place, stored and whole length of
//!                      its code; the same of its content
//! names
//! codes                compressed with zlib where that is shorter, unless all of the
//!                      snapshot is to be compressed
//! contents             likewise; not among the codes, of which imports read
//! ```
//!
//! Words are little endian, places count from the start, and 0 stands for what is not
//! there. Members are sorted by the bytes of their names, which are paths in the guest: a
//! folder's members lie beside each other, and one is found without any other index. The
//! name of an empty folder ends in `/`. `guest/embedded.py` reads it.
//!
//! The code of a source is its bytecode's, which belongs to it (`archives/pyc.rs`): the
//! archive says of every module what the mounted folders say.

use crate::archives::pyc;
use crate::error::{Error, Report, Stage};
use crate::inputs::walk::tree;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Words of a member in front of its name.
pub(super) const WORDS: usize = 8;
/// 6 gives 3 per cent less, and takes half as long again, which counts in a build script
/// without optimisation.
const LEVEL: u32 = 3;

/// What of the folders is embedded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    /// Modules that are left out, with all that is in them.
    pub(crate) exclude: &'a [String],
    /// Whether sources come along that have bytecode.
    pub(crate) sources: bool,
    /// Whether what is embedded is compressed.
    pub(crate) compressed: bool,
}

/// A file, or an empty folder.
struct Member {
    name: String,
    code: Option<Stored>,
    content: Option<Stored>,
}

/// Bytes, compressed if that is shorter.
struct Stored {
    bytes: Vec<u8>,
    whole: usize,
}

/// The archive of `folder`, which the guest sees at `guest_path`.
///
/// # Errors
/// [`Stage::Io`] when a file cannot be read; [`Stage::Packages`] for more than 4 GiB.
pub(crate) fn archive(
    folder: &Path,
    guest_path: &str,
    selection: &Selection<'_>,
) -> Result<Vec<u8>, Error> {
    let paths = tree(folder)?.into_par_iter();
    let members = paths.filter_map(|path| member(folder, guest_path, &path, selection).transpose());
    let mut members = members.collect::<Result<Vec<_>, _>>()?;
    members.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    written(&members).ok_or_else(too_large)
}

/// One archive of several, each of whose names sort behind those of the one before.
///
/// # Errors
/// [`Stage::Packages`] for more than 4 GiB.
pub(crate) fn joined(archives: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    join(archives).ok_or_else(too_large)
}

fn too_large() -> Error {
    Stage::Packages.error(
        Report::new("the standard library and the packages are too large to embed")
            .hint("say embed = \"none\" in [package.metadata.eryx], and mount them"),
    )
}

/// The file or empty folder at `path`, unless it is left out.
fn member(
    folder: &Path,
    guest_path: &str,
    path: &Path,
    selection: &Selection<'_>,
) -> Result<Option<Member>, Error> {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = relative.iter().map(|part| part.to_str()).collect();
    // Python does not see names that are not Unicode.
    let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let relative = parts.join("/");
    if excluded_by(&relative, selection.exclude).is_some() {
        return Ok(None);
    }
    let mut name = format!("{guest_path}/{relative}");
    if path.is_dir() {
        name.push('/');
        let (code, content) = (None, None);
        return Ok(Some(Member {
            name,
            code,
            content,
        }));
    }
    let content = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let bytecode = pyc::path_of(&relative)
        .and_then(|path| fs::read(folder.join(path)).ok())
        .filter(|bytecode| pyc::belongs(bytecode, &content));
    let stored = |bytes: &[u8]| Stored::new(bytes, selection.compressed);
    let code = bytecode.as_deref().map(pyc::code).map(stored);
    let kept = selection.sources || code.is_none();
    let content = kept.then(|| stored(&content));
    Ok(Some(Member {
        name,
        code,
        content,
    }))
}

/// Of the modules `exclude`, the one that the file `relative` belongs to.
pub(super) fn excluded_by<'e>(relative: &str, exclude: &'e [String]) -> Option<&'e String> {
    exclude.iter().find(|module| {
        let rest = relative.strip_prefix(&module.replace('.', "/"));
        rest.is_some_and(|rest| {
            rest.starts_with('/') || (rest.starts_with('.') && !rest.contains('/'))
        })
    })
}

impl Stored {
    fn new(bytes: &[u8], compressed: bool) -> Self {
        if !compressed {
            return Self {
                whole: bytes.len(),
                bytes: bytes.to_vec(),
            };
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(LEVEL));
        let compressed = encoder.write_all(bytes).and_then(|()| encoder.finish());
        let shorter = compressed.ok().filter(|short| short.len() < bytes.len());
        Self {
            whole: bytes.len(),
            bytes: shorter.unwrap_or_else(|| bytes.to_vec()),
        }
    }
}

/// The archive's bytes; `None` if its places do not fit in 32 bits.
fn written(members: &[Member]) -> Option<Vec<u8>> {
    let names = 4 + 4 * WORDS * members.len();
    let mut name_at = names;
    let mut data_at = names
        + members
            .iter()
            .map(|member| member.name.len())
            .sum::<usize>();
    let mut place = |stored: Option<&Stored>| match stored {
        None => [0; 3],
        Some(stored) => {
            let place = [data_at, stored.bytes.len(), stored.whole];
            data_at += stored.bytes.len();
            place
        }
    };
    let codes = || members.iter().map(|member| member.code.as_ref());
    let contents = || members.iter().map(|member| member.content.as_ref());
    let code_places: Vec<_> = codes().map(&mut place).collect();
    let content_places: Vec<_> = contents().map(&mut place).collect();
    u32::try_from(data_at).ok()?;
    let mut words = vec![members.len()];
    for (member, places) in members.iter().zip(code_places.iter().zip(&content_places)) {
        words.extend([name_at, member.name.len()]);
        words.extend(places.0.iter().chain(places.1));
        name_at += member.name.len();
    }
    let mut archive = Vec::with_capacity(data_at);
    for word in words {
        archive.extend_from_slice(&u32::try_from(word).ok()?.to_le_bytes());
    }
    for member in members {
        archive.extend_from_slice(member.name.as_bytes());
    }
    for stored in codes().chain(contents()).flatten() {
        archive.extend_from_slice(&stored.bytes);
    }
    Some(archive)
}

/// The members' words of an archive, its names, and the rest. What is not as [`written`]
/// writes it has none.
pub(super) fn taken_apart(archive: &[u8]) -> Option<(Vec<u32>, &[u8], &[u8])> {
    let (words, _) = archive.as_chunks::<4>();
    let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
    let count = usize::try_from(words.next()?).ok()?;
    let words: Vec<u32> = words.take(WORDS * count).collect();
    let names = 4 + 4 * words.len();
    let lengths = words.chunks(WORDS).map(|member| member[1] as usize);
    let data = names + lengths.sum::<usize>();
    Some((words, archive.get(names..data)?, archive.get(data..)?))
}

/// The archives as one; `None` if its places do not fit in 32 bits.
fn join(archives: &[Vec<u8>]) -> Option<Vec<u8>> {
    let parts = archives.iter().map(|archive| taken_apart(archive));
    let parts = parts.collect::<Option<Vec<_>>>()?;
    let words: usize = parts.iter().map(|(words, ..)| words.len()).sum();
    let mut names_at = 4 + 4 * words;
    let mut data_at = names_at + parts.iter().map(|(_, names, _)| names.len()).sum::<usize>();
    let count = u32::try_from(words / WORDS).ok()?;
    let mut joined = count.to_le_bytes().to_vec();
    for (words, names, data) in &parts {
        let own_names = 4 + 4 * words.len();
        let own_data = own_names + names.len();
        let moved = |place: u32, from: usize, to: usize| match place {
            0 => Some(0),
            place => u32::try_from(place as usize - from + to).ok(),
        };
        for member in words.chunks(WORDS) {
            for (at, &word) in member.iter().enumerate() {
                let word = match at {
                    0 => moved(word, own_names, names_at)?,
                    2 | 5 => moved(word, own_data, data_at)?,
                    _ => word,
                };
                joined.extend_from_slice(&word.to_le_bytes());
            }
        }
        names_at += names.len();
        data_at += data.len();
    }
    for (_, names, _) in &parts {
        joined.extend_from_slice(names);
    }
    for (.., data) in &parts {
        joined.extend_from_slice(data);
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// What the archive says: names, whether there is code, and contents.
    fn read(archive: &[u8]) -> Vec<(String, bool, Option<Vec<u8>>)> {
        let word = |at: usize| {
            let bytes = archive[4 * at..4 * at + 4].try_into().unwrap();
            u32::from_le_bytes(bytes) as usize
        };
        let data = |at: usize| {
            let (start, stored, whole) = (word(at), word(at + 1), word(at + 2));
            let bytes = &archive[start..start + stored];
            let mut out = bytes.to_vec();
            if stored != whole {
                out.clear();
                let mut decoder = flate2::read::ZlibDecoder::new(bytes);
                decoder.read_to_end(&mut out).unwrap();
            }
            assert_eq!(out.len(), whole);
            (start != 0).then_some(out)
        };
        let members = (0..word(0)).map(|member| {
            let at = 1 + WORDS * member;
            let name = archive[word(at)..word(at) + word(at + 1)].to_vec();
            let code = data(at + 2).is_some();
            (String::from_utf8(name).unwrap(), code, data(at + 5))
        });
        members.collect()
    }

    #[test]
    fn members_are_sorted_and_what_is_left_out_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("a.py", "a = 1\n"),
            ("a/__init__.py", ""),
            ("a/data.txt", &"long ".repeat(100)),
            ("a/b.py", "broken("),
            ("idle/x.py", ""),
            ("idle.py", ""),
            ("idle.txt/kept.py", ""),
            ("idler.py", ""),
            ("p/idle/x.py", ""),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::create_dir_all(dir.path().join("a/empty")).unwrap();
        let cached = dir.path().join("__pycache__");
        fs::create_dir(&cached).unwrap();
        let code = pyc::tests::bytecode(b"a = 1\n");
        fs::write(cached.join("a.cpython-314.pyc"), &code).unwrap();
        let exclude = ["idle".to_owned(), "p.idle".to_owned()];
        let made_as = |sources, compressed| {
            let selection = Selection {
                exclude: &exclude,
                sources,
                compressed,
            };
            archive(dir.path(), "/lib", &selection).unwrap()
        };
        let made = |sources| made_as(sources, true);
        let whole = read(&made(true));
        let names: Vec<_> = whole
            .iter()
            .map(|(name, code, _)| (&name[..], *code))
            .collect();
        assert_eq!(
            names,
            [
                ("/lib/a.py", true),
                ("/lib/a/__init__.py", false),
                ("/lib/a/b.py", false),
                ("/lib/a/data.txt", false),
                ("/lib/a/empty/", false),
                ("/lib/idle.txt/kept.py", false),
                ("/lib/idler.py", false),
            ]
        );
        let content =
            |members: &[(String, bool, Option<Vec<u8>>)], at: usize| members[at].2.clone();
        assert_eq!(content(&whole, 0).unwrap(), b"a = 1\n");
        assert_eq!(content(&whole, 3).unwrap(), "long ".repeat(100).as_bytes());
        assert_eq!(content(&whole, 4), None);
        // Two archives, as one.
        let selection = Selection {
            exclude: &exclude,
            sources: true,
            compressed: true,
        };
        let other = archive(dir.path(), "/site", &selection).unwrap();
        let both = read(&joined(&[made(true), other.clone()]).unwrap());
        let expected: Vec<_> = whole.iter().cloned().chain(read(&other)).collect();
        assert_eq!(both, expected);
        assert_eq!(joined(&[made(true)]).unwrap(), made(true));
        // Nothing is compressed, and all else is as it was.
        assert_eq!(read(&made_as(true, false)), whole);
        let long = "long ".repeat(100);
        let holds = |archive: &[u8]| archive.windows(500).any(|part| part == long.as_bytes());
        assert_eq!(
            [true, false].map(|on| holds(&made_as(true, on))),
            [false, true]
        );
        // What has no bytecode keeps its source.
        let without = read(&made(false));
        assert_eq!(content(&without, 0), None);
        assert_eq!(content(&without, 2).unwrap(), b"broken(");
    }
}
