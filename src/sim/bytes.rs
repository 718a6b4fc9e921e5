//! The real store of a host, on a disk in memory: for classic peers and transfers, whose bytes are all there.
//!
//! The disk outlives the processes on it. As in the real loop, a job reaches the store at once, and the store works on
//! in slices; only what it says takes the time of the virtual disk. A process that is killed dies at any of its calls,
//! and a power failure takes what was not brought to the device. What the core must never ask for is a complaint.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::core::{
    ChunkBytes, ClassicJob, ClassicReply, ConnId, FaultKind, Rng, SpanSource, SpoolId, StoreJob, StoreReply,
    TransferJob, TransferReply,
};
use crate::sim::scenario::DiskSpec;
use crate::store::fault_plan::FaultPlan;
use crate::store::fs::memory::MemoryDisk;
use crate::store::{Buffers, ClassicRecords, ClassicStore, OnConflict, Store, StoreConfig, StoreEvent, temp};
use crate::types::Time;
use crate::wire::classic::ChunkName;
use crate::wire::classic::announcement::BatchChunk;
use crate::wire::classic::records::{
    Dictionary, DictionaryShape, decode_dictionary, encode_available, encode_dictionary,
};

/// An A-size answer has its size among its bytes, and one byte too many tells that an answer is too long.
const BEYOND_CHUNK_MAX: u64 = 21;
/// A killed process dies within so many of its next calls.
const CALLS_BEFORE_DEATH_MAX: usize = 12;
/// Virtual time begins this long after 1970.
const BEGIN_NS: i64 = 1_700_000_000_000_000_000;

const CHUNKS: &str = "/chunks";
const TARGET: &str = "/target";
const AVAILABLE: &str = "/records/available.txt";
const DICTIONARY: &str = "/records/dictionary.txt";

/// See [the module](self).
#[derive(Debug)]
pub(in crate::sim) struct ByteStore {
    disk: MemoryDisk,
    /// The store of the running process.
    store: Option<Store>,
    plan: Arc<FaultPlan>,
    buffers: Buffers,
    config: StoreConfig,
    /// The most bytes of a chunk that the core said it takes; `None`: it takes no chunks.
    chunk_bytes_max: Option<u64>,
    /// Chunks of shared files that a digest was asked for: they are not on this disk.
    shared_of_digests: VecDeque<Vec<(ChunkName, ChunkBytes)>>,
    /// Files of which the store has said that they are there: they outlive the process, and a power failure.
    promised: Vec<(PathBuf, Arc<Vec<u8>>)>,
    /// What processes that died have left.
    left_before: Vec<PathBuf>,
    pub(in crate::sim) complaint: Option<String>,
}

/// What the store says next.
#[derive(Debug)]
pub(in crate::sim) enum Told {
    /// This.
    Reply(StoreReply),
    /// What is announced of kept chunks, and the chunks of shared files that go with it.
    Digested { reply: ClassicReply, shared: Vec<(ChunkName, ChunkBytes)> },
}

impl ByteStore {
    /// An empty disk. `chunk_bytes_max` is that of a host that keeps chunks.
    pub(in crate::sim) fn new(seed: u64, chunk_bytes_max: Option<u64>, records: bool) -> ByteStore {
        let classic = ClassicStore {
            chunk_dir: PathBuf::from(CHUNKS),
            records: records.then(|| ClassicRecords {
                available: Some(PathBuf::from(AVAILABLE)),
                unlisted: None,
                dictionary: PathBuf::from(DICTIONARY),
                shape: DictionaryShape::Addresses,
            }),
            remove_joined: false,
        };
        ByteStore {
            disk: MemoryDisk::new(seed),
            store: None,
            plan: Arc::default(),
            buffers: Buffers::default(),
            config: StoreConfig {
                state_dir: PathBuf::from("/state"),
                target_dir: PathBuf::from(TARGET),
                target_name: None,
                on_conflict: OnConflict::Rename,
                classic: chunk_bytes_max.map(|_| classic),
            },
            chunk_bytes_max,
            shared_of_digests: VecDeque::new(),
            promised: Vec::new(),
            left_before: Vec::new(),
            complaint: None,
        }
    }

    /// Puts chunks there as if they had come earlier.
    pub(in crate::sim) fn put_chunks(&mut self, chunks: &[(ChunkName, Vec<u8>)]) {
        for (name, bytes) in chunks {
            self.disk.put(&Path::new(CHUNKS).join(name.to_string()), bytes);
        }
        if self.config.classic.as_ref().is_some_and(|classic| classic.records.is_some()) {
            let text = encode_available(chunks.iter().map(|(name, _)| name));
            self.disk.put(Path::new(AVAILABLE), text.as_bytes());
        }
    }

    /// Writes into the dictionary, as another process there would.
    pub(in crate::sim) fn write_down(&mut self, chunk: ChunkName, holder: std::net::IpAddr) {
        let mut dictionary = self.dictionary();
        dictionary.entry(chunk).or_default().push(holder);
        self.disk.put(Path::new(DICTIONARY), encode_dictionary(&dictionary).as_bytes());
    }

    /// A process begins.
    pub(in crate::sim) fn open(&mut self, now: Time, spec: &mut DiskSpec) {
        self.end();
        self.plan = Arc::default();
        self.shared_of_digests.clear();
        self.left_before = self.on_their_way();
        self.disk.set_now_ns(ns_of(now));
        // What would keep a process from its start is no concern of the network's.
        self.disk.set_limits(spec.free_bytes, 0);
        match Store::open_with(&self.config, self.disk.fs(Arc::clone(&self.plan))) {
            Ok(store) => self.store = Some(store),
            Err(fault) => self.complain(format!("the store cannot be opened: {}", fault.text)),
        }
        spec.free_bytes = self.disk.free_bytes();
    }

    /// The process ends in order.
    pub(in crate::sim) fn close(&mut self, now: Time, spec: &mut DiskSpec) {
        let failed = self.used(now, spec, |store, _| store.close()).unwrap_or_default();
        let is_sound = spec.write_error_ppm == 0 && spec.free_bytes.is_none();
        if let Some(fault) = failed.first().filter(|_| is_sound) {
            self.complain(format!("the store does not end in order: {}", fault.text));
        }
        self.store = None;
        if let Some(left) = self.left() {
            self.complain(format!("{} is left by a process that ended in order", left.display()));
        }
    }

    /// A file on its way to a name that the running process has forgotten.
    pub(in crate::sim) fn left(&self) -> Option<PathBuf> {
        let is_left = |path: &PathBuf| !self.left_before.contains(path) && !self.disk.is_locked(path);
        self.on_their_way().into_iter().find(is_left)
    }

    /// Files on their way to a name, of whatever process.
    fn on_their_way(&self) -> Vec<PathBuf> {
        let of_folder = |folder| {
            let names = self.disk.files(Path::new(folder)).into_iter();
            names.filter(|name| temp::is_ours(name)).map(move |name| Path::new(folder).join(name))
        };
        [CHUNKS, TARGET].into_iter().flat_map(of_folder).collect()
    }

    /// The process dies, at one of the calls that it would make next.
    pub(in crate::sim) fn kill(&mut self, rng: &mut Rng) {
        self.plan.strike_after(rng.below(CALLS_BEFORE_DEATH_MAX) as u64);
        if let Some(store) = &mut self.store {
            while store.has_work() && !self.plan.has_struck() {
                store.step();
                while store.poll().is_some() {}
            }
        }
        self.end();
        // The power does not fail before the kernel has written down what the process did.
        self.disk.settle();
    }

    /// The power goes.
    pub(in crate::sim) fn lose_power(&mut self, now: Time) {
        self.end();
        self.disk.set_now_ns(ns_of(now));
        self.disk.lose_power();
        let lost = self.promised.iter().find(|(path, bytes)| self.disk.read(path).as_ref() != Some(bytes));
        if let Some((path, _)) = lost {
            self.complain(format!("{} was said to be here, and is lost with the power", path.display()));
        }
    }

    /// The process is no more: nothing that is done in its name has an effect.
    fn end(&mut self) {
        self.plan.strike_after(0);
        self.store = None;
    }

    /// Hands the store a job.
    pub(in crate::sim) fn submit(&mut self, now: Time, spec: &mut DiskSpec, job: StoreJob) {
        if let Some(what) = self.store.as_ref().and_then(|store| self.nonsense(store, &job)) {
            self.complain(what);
        }
        let job = match job {
            StoreJob::Classic(ClassicJob::Digest { chunks }) => {
                let is_kept = |(_, bytes): &(ChunkName, ChunkBytes)| matches!(bytes, ChunkBytes::Kept);
                let (kept, shared) = chunks.into_iter().partition(is_kept);
                self.shared_of_digests.push_back(shared);
                StoreJob::Classic(ClassicJob::Digest { chunks: kept })
            }
            job => job,
        };
        self.used(now, spec, |store, buffers| store.submit(job, buffers));
    }

    /// What is wrong with a job.
    fn nonsense(&self, store: &Store, job: &StoreJob) -> Option<String> {
        match job {
            StoreJob::Classic(ClassicJob::KeepSpool { spool, .. }) if !store.has_spool(*spool) => {
                Some(format!("{spool} is kept, but nothing is in it"))
            }
            StoreJob::Classic(ClassicJob::OpenChunk { conn, .. }) if self.open_for().contains(conn) => {
                Some(format!("two chunks are open for {conn} at once"))
            }
            StoreJob::Classic(ClassicJob::Merge { file, chunks, .. }) => {
                let missing = chunks.iter().find(|name| self.chunk(name).is_none())?;
                Some(format!("{file} is merged of {missing}, which is not kept"))
            }
            StoreJob::Transfer(TransferJob::OpenSpool { spool, .. }) if store.has_spool(*spool) => {
                Some(format!("{spool} is opened twice"))
            }
            _ => None,
        }
    }

    /// Puts bytes behind those in a spool.
    pub(in crate::sim) fn write_spool(
        &mut self,
        now: Time,
        spec: &mut DiskSpec,
        spool: SpoolId,
        bytes: &[u8],
    ) {
        let is_classic = self.used(now, spec, |store, _| {
            store.write_spool(spool, bytes);
            store.classic_spool_bytes(spool)
        });
        let (Some(Some(len)), Some(max)) = (is_classic, self.chunk_bytes_max) else { return };
        if len > max + BEYOND_CHUNK_MAX {
            self.complain(format!("{spool} grows to {len} bytes, more than a chunk may have"));
        }
    }

    /// Whether the store has something to say or to do.
    pub(in crate::sim) fn is_waiting(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.has_work() || store.has_events())
    }

    /// Does one slice of what the store has to do.
    pub(in crate::sim) fn step(&mut self, now: Time, spec: &mut DiskSpec) {
        self.used(now, spec, |store, _| {
            if store.has_work() {
                store.step();
            }
        });
    }

    /// What the store says next.
    pub(in crate::sim) fn poll(&mut self, now: Time, spec: &mut DiskSpec) -> Option<Told> {
        loop {
            let StoreEvent::Reply(reply) = self.used(now, spec, |store, _| store.poll())?? else { continue };
            self.heed(&reply);
            return Some(match reply {
                StoreReply::Classic(reply @ ClassicReply::Digested { .. }) => {
                    Told::Digested { reply, shared: self.shared_of_digests.pop_front().unwrap_or_default() }
                }
                reply => Told::Reply(reply),
            });
        }
    }

    /// What the store says must make sense.
    fn heed(&mut self, reply: &StoreReply) {
        let fault = match reply {
            StoreReply::Classic(ClassicReply::ChunkKept { name, bytes, .. }) => {
                if *bytes == 0 || self.chunk_bytes_max.is_some_and(|max| *bytes > max) {
                    self.complain(format!("{name} is kept with {bytes} bytes, which no chunk may have"));
                }
                return;
            }
            StoreReply::Classic(ClassicReply::Merged { path, .. })
            | StoreReply::Transfer(TransferReply::Kept { path, .. }) => {
                let bytes = self.disk.read(path);
                return self.promised.extend(bytes.map(|bytes| (path.clone(), bytes)));
            }
            StoreReply::Classic(
                ClassicReply::SpoolFailed { fault, .. } | ClassicReply::MergeFailed { fault, .. },
            )
            | StoreReply::Transfer(TransferReply::SpoolFailed { fault, .. }) => fault,
            _ => return,
        };
        if fault.kind == FaultKind::Bug {
            self.complain(fault.text.clone());
        }
    }

    /// Bytes of the chunk that is open for a connection.
    pub(in crate::sim) fn span(&mut self, conn: ConnId, offset: u64, len: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).ok()?];
        let read = self.store.as_mut()?.read_span(SpanSource::Kept(conn), &mut bytes, offset);
        read.ok()?.ok().filter(|read| *read == bytes.len()).map(|_| bytes)
    }

    /// The connections that a chunk is open for.
    pub(in crate::sim) fn open_for(&self) -> Vec<ConnId> {
        self.store.as_ref().map(Store::chunks_open_for).unwrap_or_default()
    }

    /// How many answers are being received.
    pub(in crate::sim) fn spools(&self) -> usize {
        self.store.as_ref().map_or(0, Store::classic_spools)
    }

    /// The chunks that lie on the disk.
    pub(in crate::sim) fn chunks(&self) -> impl Iterator<Item = (ChunkName, Arc<Vec<u8>>)> + '_ {
        let names =
            self.disk.files(Path::new(CHUNKS)).into_iter().filter_map(|name| ChunkName::parse(&name).ok());
        names.filter_map(|name| self.kept(&name).map(|bytes| (name, bytes)))
    }

    /// The chunk that is kept under this name.
    pub(in crate::sim) fn kept(&self, name: &ChunkName) -> Option<Arc<Vec<u8>>> {
        let bytes = self.disk.read(&Path::new(CHUNKS).join(name.to_string()));
        bytes.filter(|bytes| !bytes.is_empty())
    }

    /// A kept chunk of this name, or of the same chunk's in another form.
    pub(in crate::sim) fn chunk(&self, name: &ChunkName) -> Option<Arc<Vec<u8>>> {
        let same = |other: &ChunkName| {
            let (a, b) = (name.extension(), other.extension());
            (name.stem(), name.index()) == (other.stem(), other.index())
                && (a == b || a.is_none() || b.is_none())
        };
        self.kept(name).or_else(|| self.chunks().find(|(other, _)| same(other)).map(|(_, bytes)| bytes))
    }

    /// Whether these bytes are, or were, what is kept of a chunk, under whatever form of its name.
    pub(in crate::sim) fn has_kept(&self, name: &ChunkName, bytes: &[u8]) -> bool {
        let is_it = |(other, there): (ChunkName, Arc<Vec<u8>>)| {
            (other.stem(), other.index()) == (name.stem(), name.index()) && **there == *bytes
        };
        let before = self.disk.replaced().into_iter();
        let before = before.filter_map(|(name, bytes)| Some((ChunkName::parse(&name).ok()?, bytes)));
        self.chunks().chain(before).any(is_it)
    }

    /// What the dictionary on the disk says.
    pub(in crate::sim) fn dictionary(&self) -> Dictionary {
        let text = self.disk.read(Path::new(DICTIONARY));
        text.and_then(|text| decode_dictionary(&text).ok()).unwrap_or_default()
    }

    /// The files under final names that were merged or sent here.
    pub(in crate::sim) fn files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        let names = self.disk.files(Path::new(TARGET)).into_iter().filter(|name| !name.starts_with('.'));
        names.filter_map(|name| self.file(Path::new(&name)).map(|bytes| (name, bytes))).collect()
    }

    /// A file under a final name; a relative path begins in the folder of such files.
    pub(in crate::sim) fn file(&self, path: &Path) -> Option<Arc<Vec<u8>>> {
        self.disk.read(&Path::new(TARGET).join(path))
    }

    /// Whether the running process has a file that has no final name yet.
    pub(in crate::sim) fn is_busy(&self) -> bool {
        self.on_their_way().iter().any(|path| path.starts_with(TARGET) && self.disk.is_locked(path))
    }

    /// Uses the store of the running process, on a disk that is as the scenario says.
    fn used<T>(
        &mut self,
        now: Time,
        spec: &mut DiskSpec,
        what: impl FnOnce(&mut Store, &mut Buffers) -> T,
    ) -> Option<T> {
        self.disk.set_now_ns(ns_of(now));
        self.disk.set_limits(spec.free_bytes, spec.write_error_ppm);
        let given = self.store.as_mut().map(|store| what(store, &mut self.buffers));
        spec.free_bytes = self.disk.free_bytes();
        given
    }

    fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }
}

/// What is announced of all, in the order of their names.
pub(in crate::sim) fn digested(reply: ClassicReply, shared: Vec<BatchChunk>) -> StoreReply {
    let ClassicReply::Digested { mut chunks, now } = reply else { return StoreReply::Classic(reply) };
    chunks.extend(shared);
    chunks.sort_by(|a, b| a.name.cmp(&b.name));
    StoreReply::Classic(ClassicReply::Digested { chunks, now })
}

fn ns_of(now: Time) -> i64 {
    BEGIN_NS.saturating_add(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
