//! The share index: which file had which id when it was last hashed, so that it need not be hashed again.
//!
//! One append-only log of JSON lines in the state directory, shared by all processes of a user. What it says is a
//! hint: a file is known by device and inode, and an entry counts only while size, mtime and ctime are the same. A
//! lost or torn line costs a hashing, nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::store::bad;
use crate::store::fs::{File, Fs, FsResult, Make, Stamp};
use crate::types::ContentId;

/// The version of the lines this crate writes.
const LINE_VERSION: u32 = 1;
/// A file hashed within this time of its last change may have changed once more without a trace.
const TRUST_AGE_NS: i64 = 2_000_000_000;
/// Lines longer than this are no lines of ours.
const LINE_BYTES_MAX: u64 = 64 << 10;
/// Lines that wait to be written, in bytes: so many are written at once.
const PENDING_BYTES: usize = 32 << 10;
/// Lines that wait because another process has the lock are dropped beyond this, in bytes.
const PENDING_BYTES_MAX: usize = 4 << 20;
/// So many lines are read at once: about a millisecond.
const SLICE_LINES: usize = 1_000;
/// A log smaller than this is never compacted.
const COMPACT_BYTES_MIN: u64 = 64 << 10;

const LOG: &str = "index.log";
const LOCK: &str = "index.lock";

/// The index as this process knows it.
#[derive(Debug)]
pub(crate) struct Index {
    fs: Fs,
    folder: File,
    /// What the log says; `None` until somebody asks.
    known: Option<KnownFiles>,
    /// How far the log is read.
    reading: Option<Reading>,
    pending: Vec<u8>,
}

/// A log that is being read.
#[derive(Debug)]
struct Reading {
    log: File,
    /// The first byte that was not read.
    at: u64,
    known: KnownFiles,
    found: ReadLines,
}

/// By device and inode.
type KnownFiles = BTreeMap<(u64, u64), Known>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    stamp: Stamp,
    id: ContentId,
    hashed_ns: i64,
}

/// One line. The path is for people; the file is known by device and inode.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    v: u32,
    path: std::borrow::Cow<'a, str>,
    size: u64,
    mtime: i64,
    ctime: i64,
    inode: u64,
    dev: u64,
    hashed: i64,
    id: ContentId,
}

impl Index {
    /// The index in `folder`.
    pub(crate) fn new(fs: Fs, folder: File) -> Index {
        Index { fs, folder, known: None, reading: None, pending: Vec::new() }
    }

    /// Reads some more of the log, so that [`Index::get`] will not be long. True when all of it is known.
    pub(crate) fn read_on(&mut self) -> bool {
        if self.known.is_none() {
            // A log that cannot be read says nothing.
            self.known = self.read_slice().unwrap_or_else(|_| Some(KnownFiles::new()));
        }
        self.known.is_some()
    }

    /// The id that a file with this stamp has, when that is certain.
    pub(crate) fn get(&mut self, stamp: &Stamp) -> Option<ContentId> {
        while !self.read_on() {}
        let known = self.known.as_ref()?.get(&(stamp.dev, stamp.ino))?;
        let old_enough = known.hashed_ns.saturating_sub(known.stamp.mtime_ns) >= TRUST_AGE_NS
            && known.hashed_ns.saturating_sub(known.stamp.ctime_ns) >= TRUST_AGE_NS;
        (known.stamp == *stamp && old_enough).then_some(known.id)
    }

    /// Notes that the file at `path` was hashed, from `hashed_ns` on, while it had this stamp.
    pub(crate) fn put(&mut self, path: &Path, stamp: &Stamp, id: &ContentId, hashed_ns: i64) {
        if let Some(known) = &mut self.known {
            known.insert((stamp.dev, stamp.ino), Known { stamp: *stamp, id: *id, hashed_ns });
        }
        let line = Line {
            v: LINE_VERSION,
            path: path.to_string_lossy(),
            size: stamp.size,
            mtime: stamp.mtime_ns,
            ctime: stamp.ctime_ns,
            inode: stamp.ino,
            dev: stamp.dev,
            hashed: hashed_ns,
            id: *id,
        };
        if self.pending.is_empty() {
            // Ends a line that somebody's crash has torn.
            self.pending.push(b'\n');
        }
        if self.pending.len() < PENDING_BYTES_MAX && serde_json::to_writer(&mut self.pending, &line).is_ok() {
            self.pending.push(b'\n');
        }
        if self.pending.len() >= PENDING_BYTES {
            self.flush();
        }
    }

    /// Writes the lines that wait, with one appending call. While another process compacts the log, they go on
    /// waiting; when the log cannot be written, they are dropped.
    pub(crate) fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        match self.append() {
            Ok(false) => {}
            Ok(true) | Err(_) => self.pending = Vec::new(),
        }
    }

    /// Forgets what the log says, until somebody asks again.
    pub(crate) fn forget(&mut self) {
        self.flush();
        (self.known, self.reading) = (None, None);
    }

    fn append(&self) -> FsResult<bool> {
        let lock = self.fs.open_private_at(&self.folder, LOCK, Make::IfMissing)?;
        if !self.fs.try_lock(&lock)? {
            return Ok(false);
        }
        let log = self.fs.open_private_append_at(&self.folder, LOG)?;
        self.fs.append(&log, &self.pending)?;
        Ok(true)
    }

    /// Reads a slice of the log. All of it, once its end is reached: a log that is not one of this version is put aside, one
    /// that is mostly stale compacted.
    fn read_slice(&mut self) -> FsResult<Option<KnownFiles>> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => match self.fs.open_read_at(&self.folder, Path::new(LOG)) {
                Err(Errno::NOENT) => return Ok(Some(KnownFiles::new())),
                log => Reading { log: log?, at: 0, known: KnownFiles::new(), found: ReadLines::default() },
            },
        };
        let Reading { log, at, known, found } = &mut reading;
        let slice = read_lines(&self.fs, log, *at, SLICE_LINES, |line| {
            known.insert((line.dev, line.inode), Known::of(line));
        })?;
        found.add(&slice);
        *at += slice.bytes;
        if slice.bytes > 0 {
            self.reading = Some(reading);
            return Ok(None);
        }
        let Reading { at, known, found, .. } = reading;
        if found.newer || (found.good == 0 && found.bad > 0) {
            bad::put_aside(&self.fs, &self.folder, LOG)?;
            return Ok(Some(KnownFiles::new()));
        }
        if at > COMPACT_BYTES_MIN && found.good + found.bad > 2 * known.len() {
            // A log that cannot be compacted now is compacted another time.
            return Ok(Some(self.compact().unwrap_or(known)));
        }
        Ok(Some(known))
    }

    /// Writes the log anew without what later lines replace, under the lock that appenders take too.
    fn compact(&self) -> FsResult<KnownFiles> {
        let lock = self.fs.open_private_at(&self.folder, LOCK, Make::IfMissing)?;
        if !self.fs.try_lock(&lock)? {
            return Err(Errno::WOULDBLOCK);
        }
        let log = self.fs.open_read_at(&self.folder, Path::new(LOG))?;
        let mut lines: BTreeMap<(u64, u64), (Known, String)> = BTreeMap::new();
        read_lines(&self.fs, &log, 0, usize::MAX, |line| {
            let path = line.path.clone().into_owned();
            lines.insert((line.dev, line.inode), (Known::of(line), path));
        })?;
        let mut bytes = Vec::new();
        for (known, path) in lines.values() {
            let line = known.line(path);
            if serde_json::to_writer(&mut bytes, &line).is_ok() {
                bytes.push(b'\n');
            }
        }
        let draft = format!("{LOG}.{}", std::process::id());
        let file = self.fs.open_private_at(&self.folder, &draft, Make::IfMissing)?;
        self.fs.set_len(&file, 0)?;
        self.fs.write_at(&file, &bytes, 0)?;
        self.fs.rename_over(&self.folder, &draft, LOG)?;
        Ok(lines.into_iter().map(|(key, (known, _))| (key, known)).collect())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Known {
    fn of(line: &Line<'_>) -> Known {
        let stamp = Stamp {
            dev: line.dev,
            ino: line.inode,
            size: line.size,
            mtime_ns: line.mtime,
            ctime_ns: line.ctime,
        };
        Known { stamp, id: line.id, hashed_ns: line.hashed }
    }

    fn line<'a>(&self, path: &'a str) -> Line<'a> {
        Line {
            v: LINE_VERSION,
            path: path.into(),
            size: self.stamp.size,
            mtime: self.stamp.mtime_ns,
            ctime: self.stamp.ctime_ns,
            inode: self.stamp.ino,
            dev: self.stamp.dev,
            hashed: self.hashed_ns,
            id: self.id,
        }
    }
}

/// What a reading of the log found.
#[derive(Debug, Default)]
struct ReadLines {
    good: usize,
    bad: usize,
    newer: bool,
    /// Of all lines, whichever they are; 0 at the end of the log.
    bytes: u64,
}

impl ReadLines {
    fn add(&mut self, more: &ReadLines) {
        self.good += more.good;
        self.bad += more.bad;
        self.newer |= more.newer;
        self.bytes += more.bytes;
    }
}

/// Reads at most so many lines, from the byte `at` on.
fn read_lines(
    fs: &Fs,
    log: &File,
    at: u64,
    lines_max: usize,
    mut each: impl FnMut(&Line<'_>),
) -> FsResult<ReadLines> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let mut reader = BufReader::with_capacity(64 << 10, FileReader { fs, file: log, at });
    let (mut found, mut bytes) = (ReadLines::default(), Vec::new());
    for _ in 0..lines_max {
        bytes.clear();
        let read =
            reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(|_| Errno::IO)?;
        if read == 0 {
            break;
        }
        found.bytes += read as u64;
        if bytes == b"\n" {
            continue;
        }
        match serde_json::from_slice::<Line<'_>>(&bytes) {
            Ok(line) if line.v == LINE_VERSION => {
                found.good += 1;
                each(&line);
            }
            _ => {
                found.bad += 1;
                found.newer |=
                    serde_json::from_slice::<Version>(&bytes).is_ok_and(|line| line.v > LINE_VERSION);
            }
        }
    }
    Ok(found)
}

/// A file as a stream, read through the one place of system calls.
struct FileReader<'a> {
    fs: &'a Fs,
    file: &'a File,
    at: u64,
}

impl Read for FileReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.fs.read_at(self.file, bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_read_in_slices() {
        let folder = tempfile::tempdir().unwrap();
        let index = || Index::new(Fs::default(), Fs::default().open_folder(folder.path()).unwrap());
        let stamp = |ino: u64| Stamp { dev: 1, ino, size: ino, mtime_ns: 5, ctime_ns: 5 };
        let id = |ino: u64| ContentId([ino as u8; 32]);
        let mut first = index();
        for ino in 0..2 * SLICE_LINES as u64 + 10 {
            first.put(Path::new("/a/file"), &stamp(ino), &id(ino), 10 * TRUST_AGE_NS);
        }
        drop(first);
        let mut second = index();
        // Three with lines, and one that finds the end.
        assert_eq!((0..10).position(|_| second.read_on()), Some(3));
        assert_eq!(second.get(&stamp(7)), Some(id(7)));
        assert_eq!(second.get(&stamp(2 * SLICE_LINES as u64 + 9)), Some(id(2 * SLICE_LINES as u64 + 9)));
        assert_eq!(second.get(&Stamp { size: 8, ..stamp(7) }), None);
        // Who asks without having it read gets it whole.
        assert_eq!(index().get(&stamp(1)), Some(id(1)));
        second.forget();
        assert!(!second.read_on());
    }
}
