//! The classic part of a virtual disk: kept chunks, spools, chunks open for connections, merged files, the dictionary.
//!
//! What the driver and the core's jobs do to a spool has its effect at once and in order, as it has on a real disk that
//! one thread writes to; only replies take the disk's time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::core::{ClassicJob, ClassicReply, ConnId, Fault, FaultKind, Rng, SpoolId};
use crate::sim::scenario::DiskSpec;
use crate::wire::classic::ChunkName;
use crate::wire::classic::records::Dictionary;

/// An A-size answer has its size among its bytes, and one byte too many tells that an answer is too long.
const BEYOND_CHUNK_MAX: u64 = 21;

/// See the file's head.
#[derive(Debug, Default)]
pub(in crate::sim) struct Shelf {
    pub(in crate::sim) kept: BTreeMap<ChunkName, Rc<[u8]>>,
    /// What was kept once and is no longer. Who was being given it then has it all the same.
    replaced: Vec<(ChunkName, Rc<[u8]>)>,
    spools: BTreeMap<SpoolId, Vec<u8>>,
    /// Spools that could not be written and of which the core has not heard yet.
    failed: BTreeSet<SpoolId>,
    /// Spools that are becoming chunks.
    keeping: BTreeMap<SpoolId, Vec<u8>>,
    open: BTreeMap<ConnId, Rc<[u8]>>,
    merged: BTreeMap<String, Vec<u8>>,
    pub(in crate::sim) dictionary: Dictionary,
    /// The most bytes of a chunk that the core said it takes.
    pub(in crate::sim) chunk_bytes_max: u64,
    pub(in crate::sim) complaint: Option<String>,
}

impl Shelf {
    /// A new process begins: nothing is open, and what was being received is gone.
    pub(in crate::sim) fn restart(&mut self) {
        self.spools.clear();
        self.failed.clear();
        self.keeping.clear();
        self.open.clear();
    }

    /// What is kept, as the store tells it.
    pub(in crate::sim) fn listed(&self) -> ClassicReply {
        let chunks = self.kept.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect();
        ClassicReply::Kept { chunks }
    }

    /// Puts bytes behind those in a spool; the reply when that fails.
    pub(in crate::sim) fn append(
        &mut self,
        spool: SpoolId,
        bytes: &[u8],
        spec: &mut DiskSpec,
        rng: &mut Rng,
    ) -> Option<ClassicReply> {
        if self.failed.contains(&spool) {
            return None;
        }
        if let Err(fault) = takes(bytes.len(), spec, rng) {
            self.spools.remove(&spool);
            self.failed.insert(spool);
            return Some(ClassicReply::SpoolFailed { spool, fault });
        }
        let spooled = self.spools.entry(spool).or_default();
        spooled.extend_from_slice(bytes);
        if spooled.len() as u64 > self.chunk_bytes_max + BEYOND_CHUNK_MAX {
            let len = spooled.len();
            self.complain(format!("{spool} grows to {len} bytes, more than a chunk may have"));
        }
        None
    }

    /// Whether this reply may still be told: a spool that was thrown away meanwhile did not fail.
    pub(in crate::sim) fn still_holds(&mut self, reply: &ClassicReply) -> bool {
        match reply {
            ClassicReply::SpoolFailed { spool, .. } => self.failed.remove(spool),
            _ => true,
        }
    }

    /// What a job does at once; whether anything of it is left to do later.
    pub(in crate::sim) fn begin(&mut self, job: &ClassicJob) -> bool {
        match job {
            ClassicJob::DropSpool { spool } => {
                self.spools.remove(spool);
                self.failed.remove(spool);
                false
            }
            ClassicJob::CloseChunk { conn } => {
                self.open.remove(conn);
                false
            }
            ClassicJob::KeepSpool { spool, .. } => {
                if let Some(bytes) = self.spools.remove(spool) {
                    self.keeping.insert(*spool, bytes);
                } else if !self.failed.contains(spool) {
                    self.complain(format!("{spool} is kept, but nothing is in it"));
                }
                self.keeping.contains_key(spool)
            }
            _ => true,
        }
    }

    /// Does what is left of a job.
    pub(in crate::sim) fn carry_out(
        &mut self,
        job: ClassicJob,
        spec: &mut DiskSpec,
        rng: &mut Rng,
    ) -> Option<ClassicReply> {
        match job {
            ClassicJob::List => Some(self.listed()),
            ClassicJob::OpenChunk { conn, name } => {
                let chunk = self.find(&name);
                let bytes = chunk.as_ref().map(|chunk| chunk.len() as u64);
                if let Some(chunk) = chunk
                    && self.open.insert(conn, chunk).is_some()
                {
                    self.complain(format!("two chunks are open for {conn} at once"));
                }
                Some(ClassicReply::ChunkOpened { conn, bytes })
            }
            ClassicJob::KeepSpool { spool, name, skip } => self.keep(spool, name, skip, spec, rng),
            ClassicJob::LookAtTarget { ticket, .. } => Some(ClassicReply::TargetFree { ticket }),
            ClassicJob::DropChunk { name } => {
                let dropped = self.kept.remove(&name);
                self.replaced.extend(dropped.map(|chunk| (name, chunk)));
                None
            }
            ClassicJob::Merge { ticket, file, chunks } => Some(self.merge(ticket, file, &chunks, spec, rng)),
            ClassicJob::WriteDictionary { dictionary, .. } => {
                self.dictionary = dictionary;
                None
            }
            ClassicJob::ReadDictionary => {
                Some(ClassicReply::DictionaryRead { dictionary: self.dictionary.clone() })
            }
            // Of shared files too, which are not here: the disk answers it.
            ClassicJob::Digest { .. }
            | ClassicJob::NoteAvailable { .. }
            | ClassicJob::CloseChunk { .. }
            | ClassicJob::WriteSpool { .. }
            | ClassicJob::DropSpool { .. } => None,
        }
    }

    /// Whether these bytes are, or were, what is kept of a chunk, under whatever form of its name.
    pub(in crate::sim) fn has_kept(&self, name: &ChunkName, bytes: &[u8]) -> bool {
        let same = |other: &ChunkName| (other.stem(), other.index()) == (name.stem(), name.index());
        let before = self.replaced.iter().map(|(other, chunk)| (other, chunk));
        self.kept.iter().chain(before).any(|(other, chunk)| same(other) && **chunk == *bytes)
    }

    /// Bytes of the chunk that is open for a connection.
    pub(in crate::sim) fn span(&self, conn: ConnId, offset: u64, len: u64) -> Option<&[u8]> {
        let chunk = self.open.get(&conn)?;
        let begin = usize::try_from(offset).ok()?;
        let end = begin.checked_add(usize::try_from(len).ok()?)?;
        chunk.get(begin..end)
    }

    /// A file that was merged, by the name it stands under.
    pub(in crate::sim) fn merged(&self, file: &str) -> Option<&[u8]> {
        self.merged.get(file).map(Vec::as_slice)
    }

    /// How many answers are being received.
    pub(in crate::sim) fn spools(&self) -> usize {
        self.spools.len()
    }

    /// The connections that chunks are open for.
    pub(in crate::sim) fn open(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.open.keys().copied()
    }

    /// A kept chunk of this name, or of the same chunk's in another form.
    pub(in crate::sim) fn find(&self, name: &ChunkName) -> Option<Rc<[u8]>> {
        let same = |other: &ChunkName| {
            let (a, b) = (name.extension(), other.extension());
            (name.stem(), name.index()) == (other.stem(), other.index())
                && (a == b || a.is_none() || b.is_none())
        };
        let chunk = self.kept.get(name);
        chunk.or_else(|| self.kept.iter().find(|(other, _)| same(other)).map(|(_, chunk)| chunk)).cloned()
    }

    fn keep(
        &mut self,
        spool: SpoolId,
        name: ChunkName,
        skip: u64,
        spec: &DiskSpec,
        rng: &mut Rng,
    ) -> Option<ClassicReply> {
        let bytes = self.keeping.remove(&spool)?;
        if rng.chance_ppm(spec.write_error_ppm) {
            return Some(ClassicReply::SpoolFailed { spool, fault: device_fails() });
        }
        let chunk = usize::try_from(skip).ok().and_then(|skip| bytes.get(skip..)).unwrap_or_default();
        if chunk.is_empty() {
            self.complain(format!("{name} is kept without a byte"));
        }
        if chunk.len() as u64 > self.chunk_bytes_max {
            self.complain(format!("{name} is kept with {} bytes, more than a chunk may have", chunk.len()));
        }
        let before = self.kept.insert(name.clone(), chunk.into());
        self.replaced.extend(before.filter(|before| **before != *chunk).map(|before| (name.clone(), before)));
        Some(ClassicReply::ChunkKept { spool, name, bytes: chunk.len() as u64 })
    }

    fn merge(
        &mut self,
        ticket: u32,
        file: String,
        chunks: &[ChunkName],
        spec: &mut DiskSpec,
        rng: &mut Rng,
    ) -> ClassicReply {
        let mut whole = Vec::new();
        for name in chunks {
            match self.kept.get(name) {
                Some(bytes) => whole.extend_from_slice(bytes),
                None => self.complain(format!("{file} is merged of {name}, which is not kept")),
            }
        }
        if let Err(fault) = takes(whole.len(), spec, rng) {
            return ClassicReply::MergeFailed { ticket, fault };
        }
        let mut free = file.clone();
        let mut number = 1;
        while self.merged.contains_key(&free) {
            free = format!("{file} ({number})");
            number += 1;
        }
        let bytes = whole.len() as u64;
        self.merged.insert(free.clone(), whole);
        ClassicReply::Merged { ticket, path: PathBuf::from(free), bytes }
    }

    fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }
}

/// Takes bytes off what is free on a disk.
fn takes(bytes: usize, spec: &mut DiskSpec, rng: &mut Rng) -> Result<(), Fault> {
    if rng.chance_ppm(spec.write_error_ppm) {
        return Err(device_fails());
    }
    match &mut spec.free_bytes {
        Some(free) if *free < bytes as u64 => {
            Err(Fault { kind: FaultKind::Full, text: "the disk is full".to_owned() })
        }
        Some(free) => {
            *free -= bytes as u64;
            Ok(())
        }
        None => Ok(()),
    }
}

fn device_fails() -> Fault {
    Fault { kind: FaultKind::Io, text: "the device fails".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOOL: SpoolId = SpoolId(3);

    fn name(text: &str) -> ChunkName {
        ChunkName::parse(text).unwrap()
    }

    fn shelf() -> (Shelf, DiskSpec, Rng) {
        (Shelf { chunk_bytes_max: 100, ..Shelf::default() }, DiskSpec::default(), Rng::new(1))
    }

    #[test]
    fn a_spool_becomes_a_chunk_without_what_is_not_its_own() {
        let (mut shelf, mut spec, mut rng) = shelf();
        for bytes in [&b"4"[..], b"abcd"] {
            assert!(shelf.append(SPOOL, bytes, &mut spec, &mut rng).is_none());
        }
        let job = ClassicJob::KeepSpool { spool: SPOOL, name: name("forest_1.png"), skip: 1 };
        assert!(shelf.begin(&job));
        // The number may serve the next answer while this one is being kept.
        assert!(shelf.append(SPOOL, b"next", &mut spec, &mut rng).is_none());
        let reply = shelf.carry_out(job, &mut spec, &mut rng);
        assert!(matches!(reply, Some(ClassicReply::ChunkKept { bytes: 4, .. })), "{reply:?}");
        assert_eq!(shelf.find(&name("forest_1")).as_deref(), Some(&b"abcd"[..]));
        assert_eq!((shelf.find(&name("forest_2")), shelf.spools()), (None, 1));
        assert_eq!(shelf.complaint, None);
    }

    #[test]
    fn what_was_kept_is_remembered_when_something_takes_its_place() {
        let (mut shelf, mut spec, mut rng) = shelf();
        for bytes in [&b"cut"[..], b"whole"] {
            shelf.append(SPOOL, bytes, &mut spec, &mut rng);
            let job = ClassicJob::KeepSpool { spool: SPOOL, name: name("forest_1.png"), skip: 0 };
            shelf.begin(&job);
            shelf.carry_out(job, &mut spec, &mut rng);
        }
        shelf.carry_out(ClassicJob::DropChunk { name: name("forest_1.png") }, &mut spec, &mut rng);
        assert_eq!(shelf.find(&name("forest_1")), None);
        let has_kept = |text: &str, bytes: &[u8]| shelf.has_kept(&name(text), bytes);
        assert!(has_kept("forest_1", b"cut") && has_kept("forest_1", b"whole"));
        assert!(!has_kept("forest_1", b"who") && !has_kept("forest_2", b"cut"));
    }

    #[test]
    fn a_spool_that_was_thrown_away_does_not_fail() {
        let (mut shelf, mut spec, mut rng) = shelf();
        spec.free_bytes = Some(2);
        let reply = shelf.append(SPOOL, b"abc", &mut spec, &mut rng).unwrap();
        assert!(shelf.append(SPOOL, b"d", &mut spec, &mut rng).is_none());
        shelf.begin(&ClassicJob::DropSpool { spool: SPOOL });
        assert!(!shelf.still_holds(&reply));
        let reply = shelf.append(SPOOL, b"abc", &mut spec, &mut rng).unwrap();
        assert!(shelf.still_holds(&reply) && !shelf.still_holds(&reply));
    }

    #[test]
    fn what_may_not_be_is_complained_of() {
        let (mut shelf, mut spec, mut rng) = shelf();
        shelf.append(SPOOL, &[0; 122], &mut spec, &mut rng);
        assert!(shelf.complaint.take().is_some());
        shelf.begin(&ClassicJob::KeepSpool { spool: SpoolId(4), name: name("a_1"), skip: 0 });
        assert!(shelf.complaint.is_some());
    }

    #[test]
    fn a_file_replaces_no_other() {
        let (mut shelf, mut spec, mut rng) = shelf();
        shelf.kept.insert(name("a_1"), b"x".as_slice().into());
        let mut merge = || {
            let job = ClassicJob::Merge { ticket: 0, file: "a.png".to_owned(), chunks: vec![name("a_1")] };
            match shelf.carry_out(job, &mut spec, &mut rng) {
                Some(ClassicReply::Merged { path, .. }) => path,
                other => panic!("{other:?}"),
            }
        };
        assert_ne!(merge(), merge());
    }
}
