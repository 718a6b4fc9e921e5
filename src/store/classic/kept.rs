//! The chunks that are kept, by name, and those that are open for somebody.
//!
//! A chunk is a regular file that is not empty, directly in the folder, under the name it has on the wire. A link, a
//! FIFO or a folder of such a name is none.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::{ConnId, SpanFault};
use crate::store::fs::{File, Fs, FsResult, Stamp};
use crate::store::target::is_one_component;
use crate::wire::classic::ChunkName;

/// Chunks that are open at once at most; who asks for one more is told that there is none.
const OPEN_MAX: usize = 256;

/// The names of the chunks that are kept, so that each is found under any form of its name.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    by_place: BTreeMap<(String, u32), Vec<ChunkName>>,
}

/// The chunks that are open, each for a connection.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    by_conn: BTreeMap<ConnId, (File, Stamp)>,
}

impl Kept {
    /// From now on these alone.
    pub(crate) fn replace<'a>(&mut self, names: impl IntoIterator<Item = &'a ChunkName>) {
        self.by_place.clear();
        names.into_iter().for_each(|name| self.insert(name));
    }

    /// This one too.
    pub(crate) fn insert(&mut self, name: &ChunkName) {
        let names = self.by_place.entry((name.stem().to_owned(), name.index())).or_default();
        if !names.contains(name) {
            names.push(name.clone());
        }
    }

    /// This one no longer.
    pub(crate) fn remove(&mut self, name: &ChunkName) {
        if let Some(names) = self.by_place.get_mut(&(name.stem().to_owned(), name.index())) {
            names.retain(|other| other != name);
        }
    }

    /// The names under which a chunk may be kept, the likeliest first.
    pub(crate) fn stand_ins(&self, name: &ChunkName) -> Vec<ChunkName> {
        let of_place = self.by_place.get(&(name.stem().to_owned(), name.index()));
        let mut ranked: Vec<(u32, &ChunkName)> = of_place
            .into_iter()
            .flatten()
            .filter_map(|other| distance(name, other).map(|distance| (distance, other)))
            .collect();
        ranked.sort();
        ranked.into_iter().map(|(_, other)| other.clone()).collect()
    }
}

/// How far a name of the same stem and index is from the one that is wanted; `None`: it is of another file.
fn distance(wanted: &ChunkName, other: &ChunkName) -> Option<u32> {
    if wanted == other {
        Some(0)
    } else if wanted.extension() == other.extension() {
        Some(1)
    } else if wanted.extension().is_some() && other.extension().is_some() {
        None
    } else if wanted.merged_file_name() == other.merged_file_name() {
        Some(2)
    } else {
        // One of the two does not tell its extension.
        Some(3)
    }
}

impl Opened {
    /// Opens the first of these names that is a chunk, and whole, and tells its bytes.
    pub(crate) fn open(
        &mut self,
        fs: &Fs,
        folder: &File,
        conn: ConnId,
        names: &[ChunkName],
        mut is_whole: impl FnMut(&ChunkName, &Stamp) -> bool,
    ) -> Option<u64> {
        self.close(conn);
        if self.by_conn.len() >= OPEN_MAX {
            log::warn!("{OPEN_MAX} chunks are open; one more is refused");
            return None;
        }
        let mut whole = |name| open_chunk(fs, folder, name).ok().filter(|(_, stamp)| is_whole(name, stamp));
        let opened = names.iter().find_map(&mut whole)?;
        let bytes = opened.1.size;
        self.by_conn.insert(conn, opened);
        Some(bytes)
    }

    /// Closes the chunk that is open for a connection.
    pub(crate) fn close(&mut self, conn: ConnId) {
        self.by_conn.remove(&conn);
    }

    /// The connections that a chunk is open for.
    pub(crate) fn conns(&self) -> Vec<ConnId> {
        self.by_conn.keys().copied().collect()
    }

    /// The chunk that is open for a connection, after a look that it is as it was when its size was told. That it
    /// lost its name meanwhile does not matter.
    pub(crate) fn span(&self, fs: &Fs, conn: ConnId) -> Result<&File, SpanFault> {
        let (file, promised) = self.by_conn.get(&conn).ok_or(SpanFault::Gone)?;
        let now = fs.look(file).map_err(|_| SpanFault::Unreadable)?.stamp;
        if is_unchanged(&now, promised) { Ok(file) } else { Err(SpanFault::Changed) }
    }
}

/// Whether a file is the same and nobody wrote to it since. What changes with its names does not count.
pub(crate) fn is_unchanged(now: &Stamp, before: &Stamp) -> bool {
    now.same_file(before) && (now.size, now.mtime_ns) == (before.size, before.mtime_ns)
}

/// Opens a chunk to read.
pub(crate) fn open_chunk(fs: &Fs, folder: &File, name: &ChunkName) -> FsResult<(File, Stamp)> {
    let text = file_name(name)?;
    let file = fs.open_read_at(folder, Path::new(&text))?;
    let look = fs.look(&file)?;
    match look.kind {
        FileType::RegularFile if look.stamp.size > 0 => Ok((file, look.stamp)),
        FileType::RegularFile => Err(Errno::NOENT),
        _ => Err(Errno::LOOP),
    }
}

/// What a chunk is, if it is there.
pub(crate) fn look_at_chunk(fs: &Fs, folder: &File, name: &ChunkName) -> FsResult<Stamp> {
    let look = fs.look_at(folder, Path::new(&file_name(name)?))?;
    match look.kind {
        FileType::RegularFile if look.stamp.size > 0 => Ok(look.stamp),
        FileType::RegularFile => Err(Errno::NOENT),
        _ => Err(Errno::LOOP),
    }
}

/// The chunks in a folder, in the order of their names.
pub(crate) fn chunks_in(fs: &Fs, folder: &File) -> FsResult<Vec<(ChunkName, Stamp)>> {
    let mut chunks = Vec::new();
    let mut entries = fs.entries(folder)?;
    while let Some(entry) = fs.next_entry(&mut entries)? {
        let Ok(name) = entry.file_name().to_str() else { continue };
        if let Ok(name) = ChunkName::parse(name)
            && let Ok(stamp) = look_at_chunk(fs, folder, &name)
        {
            chunks.push((name, stamp));
        }
    }
    chunks.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(chunks)
}

/// The file's name of a chunk. What is read off the wire is harmless already; here it is about a file, so it is asked
/// again.
pub(crate) fn file_name(name: &ChunkName) -> FsResult<String> {
    Some(name.to_string()).filter(|name| is_one_component(name)).ok_or(Errno::NAMETOOLONG)
}
