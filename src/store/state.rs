//! The state file beside a part: the manifest, which chunks are written, and whether that is certain.
//!
//! A header, then records that are only ever added. Nothing is synced: the file is a hint, and what it lists is
//! hashed again, unless it ends in a clean mark that fits the part as it is now and the system has not been started
//! anew since (what a process writes survives the process, not the system).

use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::store::fs::{File, Fs, FsResult, Make, Stamp};
use crate::store::manifests::{self, ENCODED_BYTES_MAX};
use crate::types::{Bitfield, ContentId, Manifest};

/// The first bytes of a state file; the digit is the version.
const MAGIC: [u8; 4] = *b"CCS1";
/// Magic, process id, content id, length of the manifest.
const HEADER_BYTES: usize = 4 + 4 + 32 + 4;
const PID_OFFSET: u64 = 4;
/// The most bytes read of a state file: more records than a file of ours ever has.
const STATE_BYTES_MAX: u64 = ENCODED_BYTES_MAX + (64 << 20);

const CHUNK: u8 = 1;
const LOST: u8 = 2;
const CLEAN: u8 = 3;
const SUSPECT: u8 = 4;

/// Bytes of a record's checksum.
const CHECK_BYTES: usize = 4;
const INDEX_BYTES: usize = 4;
const CLEAN_BYTES: usize = 16 + 5 * 8;

/// An open state file. Who holds the part's lock may write it.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: File,
    /// Where the next record goes.
    end: u64,
    /// Records that could not be written yet.
    pending: Vec<u8>,
}

/// What a state file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// The verified manifest.
    pub(crate) manifest: Manifest,
    /// The chunks that are said to be written.
    pub(crate) listed: Bitfield,
    /// Whether they are certain.
    pub(crate) certain: bool,
    /// Whether a sync of the part failed: what memory says of it is not what is on the device.
    pub(crate) suspect: bool,
}

/// What there is where a state file would be.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing, or what a process that died while making it has left.
    Missing,
    /// Something that is no state of this content.
    Bad,
    /// A state.
    State(StateFile, Box<Saved>),
}

impl StateFile {
    /// Makes a new state file, in place of any that is there.
    pub(crate) fn create(
        fs: &Fs,
        folder: &File,
        name: &str,
        content: &ContentId,
        manifest: &Manifest,
    ) -> FsResult<StateFile> {
        // What is there may have another name, under which it is somebody's: it is not written over.
        match fs.unlink(folder, name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let file = fs.open_private_at(folder, name, Make::New)?;
        let manifest = manifests::encode(manifest);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + manifest.len());
        bytes.extend(MAGIC);
        bytes.extend(std::process::id().to_le_bytes());
        bytes.extend(content.0);
        bytes.extend(u32::try_from(manifest.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(manifest);
        fs.write_at(&file, &bytes, 0)?;
        Ok(StateFile { file, end: bytes.len() as u64, pending: Vec::new() })
    }

    /// Reads the state of a part that looks like `part` now, whose lock this process has.
    pub(crate) fn open(
        fs: &Fs,
        folder: &File,
        name: &str,
        content: &ContentId,
        part: &Stamp,
    ) -> FsResult<Found> {
        let file = match fs.open_private_at(folder, name, Make::Never) {
            Err(Errno::NOENT) => return Ok(Found::Missing),
            Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Ok(Found::Bad),
            other => other?,
        };
        let look = fs.look(&file)?;
        let len = look.stamp.size;
        let is_ours = look.kind == FileType::RegularFile && look.names == 1 && len <= STATE_BYTES_MAX;
        let Some(bytes_max) = usize::try_from(len).ok().filter(|_| is_ours) else {
            return Ok(Found::Bad);
        };
        let mut bytes = vec![0; bytes_max];
        let read = fs.read_at(&file, &mut bytes, 0)?;
        if is_unfinished(&bytes[..read]) {
            return Ok(Found::Missing);
        }
        let Some((saved, end)) = parse(&bytes[..read], content, part, boot_id(fs)) else {
            return Ok(Found::Bad);
        };
        if end < read as u64 {
            // What stands behind a torn record must not come to life when that is written over.
            fs.set_len(&file, end)?;
        }
        fs.write_at(&file, &std::process::id().to_le_bytes(), PID_OFFSET)?;
        Ok(Found::State(StateFile { file, end, pending: Vec::new() }, Box::new(saved)))
    }

    /// The process that a state file says has the part; a guess, for people.
    pub(crate) fn owner(fs: &Fs, folder: &File, name: &str) -> Option<u32> {
        let file = fs.open_read_at(folder, Path::new(name)).ok()?;
        let mut bytes = [0; 8];
        let whole = fs.read_at(&file, &mut bytes, 0).ok()? == bytes.len();
        let (magic, pid) = bytes.split_first_chunk::<4>()?;
        let pid = u32::from_le_bytes(*pid.first_chunk()?);
        (whole && *magic == MAGIC).then_some(pid)
    }

    /// Notes that a chunk is written. A note that cannot be written goes with the next one.
    pub(crate) fn chunk(&mut self, fs: &Fs, index: u32) {
        self.record(fs, CHUNK, &index.to_le_bytes());
    }

    /// Notes that a chunk is not there after all.
    pub(crate) fn lost(&mut self, fs: &Fs, index: u32) {
        self.record(fs, LOST, &index.to_le_bytes());
    }

    /// Notes that a sync of the part failed.
    pub(crate) fn suspect(&mut self, fs: &Fs) {
        self.record(fs, SUSPECT, &[]);
    }

    /// Marks all of this as certain for a part that looks like `part` now, after the last write to it.
    pub(crate) fn clean(&mut self, fs: &Fs, part: &Stamp) {
        let Some(boot) = boot_id(fs) else { return };
        let mut payload = boot.to_vec();
        payload.extend(stamp_bytes(part));
        self.record(fs, CLEAN, &payload);
    }

    fn record(&mut self, fs: &Fs, tag: u8, payload: &[u8]) {
        self.pending.push(tag);
        self.pending.extend(payload);
        self.pending.extend(check(tag, payload));
        if fs.write_at(&self.file, &self.pending, self.end).is_ok() {
            self.end += self.pending.len() as u64;
            self.pending.clear();
        }
    }
}

/// Whether this is the beginning of a state, without a single record: nothing is lost with it.
fn is_unfinished(bytes: &[u8]) -> bool {
    let magic_bytes = bytes.len().min(MAGIC.len());
    let begins = bytes[..magic_bytes] == MAGIC[..magic_bytes];
    let manifest_bytes = bytes.get(HEADER_BYTES - 4..HEADER_BYTES).and_then(<[u8]>::first_chunk);
    let whole = manifest_bytes.map(|len| HEADER_BYTES as u64 + u64::from(u32::from_le_bytes(*len)));
    let most = HEADER_BYTES as u64 + ENCODED_BYTES_MAX;
    begins && whole.is_none_or(|whole| (bytes.len() as u64) < whole && whole <= most)
}

fn parse(bytes: &[u8], content: &ContentId, part: &Stamp, boot: Option<[u8; 16]>) -> Option<(Saved, u64)> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (_pid, rest) = rest.split_first_chunk::<4>()?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    let (manifest_bytes, rest) = rest.split_first_chunk::<4>()?;
    let manifest_bytes = usize::try_from(u32::from_le_bytes(*manifest_bytes)).ok()?;
    if *magic != MAGIC || *id != content.0 {
        return None;
    }
    let manifest = manifests::decode(rest.get(..manifest_bytes)?)?;
    manifest.verify(content).ok()?;
    let mut records = rest.get(manifest_bytes..)?;
    let mut saved = Saved {
        listed: Bitfield::empty(manifest.geometry.chunks()),
        manifest,
        certain: false,
        suspect: false,
    };
    while let Some((record, after)) = split_record(records) {
        apply(record, &mut saved, part, boot);
        records = after;
    }
    Some((saved, (bytes.len() - records.len()) as u64))
}

fn apply((tag, payload): Record<'_>, saved: &mut Saved, part: &Stamp, boot: Option<[u8; 16]>) {
    // Only a mark that is the last record says anything.
    saved.certain = false;
    let index = payload.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    match (tag, index) {
        (CHUNK, Some(index)) => {
            saved.listed.set(index);
        }
        (LOST, Some(index)) => {
            saved.listed.clear(index);
        }
        (CLEAN, _) => {
            let (then, stamp) = payload.split_at(16);
            saved.certain = boot.is_some_and(|now| now == *then) && *stamp == *stamp_bytes(part);
        }
        _ => saved.suspect = true,
    }
}

/// A record's tag and payload.
type Record<'a> = (u8, &'a [u8]);

/// The first record, if it is whole and right, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let payload_bytes = match tag {
        CHUNK | LOST => INDEX_BYTES,
        CLEAN => CLEAN_BYTES,
        SUSPECT => 0,
        _ => return None,
    };
    let (payload, rest) = rest.split_at_checked(payload_bytes)?;
    let (sum, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
    (*sum == check(tag, payload)).then_some(((tag, payload), rest))
}

fn check(tag: u8, payload: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[tag]).update(payload);
    hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

fn stamp_bytes(stamp: &Stamp) -> Vec<u8> {
    let Stamp { dev, ino, size, mtime_ns, ctime_ns } = stamp;
    [dev.to_le_bytes(), ino.to_le_bytes(), size.to_le_bytes(), mtime_ns.to_le_bytes(), ctime_ns.to_le_bytes()]
        .concat()
}

/// What is different each time the system starts; `None` where it does not tell.
fn boot_id(fs: &Fs) -> Option<[u8; 16]> {
    let file = fs.open_read(Path::new("/proc/sys/kernel/random/boot_id")).ok()?;
    let mut text = [0; 36];
    let read = fs.read_at(&file, &mut text, 0).ok()?;
    (read == text.len()).then(|| blake3::hash(&text).as_bytes().first_chunk().copied())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Geometry;
    use crate::types::manifest::ManifestBuilder;

    const PART: Stamp = Stamp { dev: 1, ino: 2, size: 3 << 14, mtime_ns: 4, ctime_ns: 5 };
    const BOOT: Option<[u8; 16]> = Some([6; 16]);

    /// The header of a state file, then these records.
    fn file(records: &[(u8, Vec<u8>)]) -> (ContentId, Vec<u8>) {
        let mut builder = ManifestBuilder::new(Geometry::native(3 << 14).unwrap());
        builder.push(&[7; 3 << 14]);
        let (id, manifest) = builder.finish().unwrap();
        let manifest = manifests::encode(&manifest);
        let mut bytes =
            [&MAGIC[..], &[0; 4], &id.0, &(manifest.len() as u32).to_le_bytes(), &manifest].concat();
        for (tag, payload) in records {
            bytes.push(*tag);
            bytes.extend(payload);
            bytes.extend(check(*tag, payload));
        }
        (id, bytes)
    }

    fn chunk(index: u32) -> (u8, Vec<u8>) {
        (CHUNK, index.to_le_bytes().to_vec())
    }

    fn clean() -> (u8, Vec<u8>) {
        (CLEAN, [[6; 16].to_vec(), stamp_bytes(&PART)].concat())
    }

    fn listed(records: &[(u8, Vec<u8>)]) -> (Vec<u32>, bool, bool) {
        let (id, bytes) = file(records);
        let (saved, end) = parse(&bytes, &id, &PART, BOOT).unwrap();
        assert_eq!(end, bytes.len() as u64);
        (saved.listed.iter().collect(), saved.certain, saved.suspect)
    }

    #[test]
    fn only_a_mark_at_the_end_makes_certain() {
        assert_eq!(listed(&[]), (vec![], false, false));
        assert_eq!(listed(&[chunk(0), chunk(2), clean()]), (vec![0, 2], true, false));
        assert_eq!(listed(&[chunk(0), clean(), chunk(2)]), (vec![0, 2], false, false));
        assert_eq!(listed(&[chunk(0), chunk(2), (LOST, vec![0; 4]), clean()]), (vec![2], true, false));
        assert_eq!(listed(&[chunk(99), (SUSPECT, vec![]), clean()]), (vec![], true, true));
    }

    #[test]
    fn a_mark_of_another_start_or_another_part_makes_nothing_certain() {
        let (id, bytes) = file(&[chunk(1), clean()]);
        let certain = |part: &Stamp, boot| parse(&bytes, &id, part, boot).unwrap().0.certain;
        assert!(certain(&PART, BOOT));
        assert!(!certain(&PART, None) && !certain(&PART, Some([7; 16])));
        for other in [Stamp { ino: 9, ..PART }, Stamp { mtime_ns: 9, ..PART }, Stamp { size: 9, ..PART }] {
            assert!(!certain(&other, BOOT));
        }
    }

    #[test]
    fn torn_records_end_the_list_and_foreign_headers_are_none() {
        let (id, bytes) = file(&[chunk(0), chunk(1), clean()]);
        let header = file(&[]).1;
        for len in 0..bytes.len() {
            let parsed = parse(&bytes[..len], &id, &PART, BOOT);
            assert_eq!(parsed.is_some(), len >= header.len(), "{len}");
            assert!(parsed.is_none_or(|(saved, end)| !saved.certain && end <= len as u64));
            assert_eq!(is_unfinished(&bytes[..len]), len < header.len(), "{len}");
        }
        assert!(
            !is_unfinished(b"text")
                && !is_unfinished(&[0; 100])
                && !is_unfinished(&[&MAGIC[..], &[255; 60]].concat())
        );
        assert!(parse(&bytes, &ContentId([0; 32]), &PART, BOOT).is_none());
    }
}
