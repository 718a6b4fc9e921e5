//! A host's virtual disk: what it holds of each content, and the store's answers to the core's native jobs.
//!
//! It outlives its host's peer. It knows each chunk only as right, rotten or not there; whether the bytes in a
//! chunk buffer are right is known from where they came from. Classic chunks and transfers have all their bytes, and the
//! real store keeps them (`bytes.rs`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::core::{BufferId, Rng, SpanFault, StoreJob, StoreReply};
use crate::sim::bytes::{ByteStore, Told, digested};
use crate::sim::content::SimContent;
use crate::sim::scenario::DiskSpec;
use crate::types::{Bitfield, ContentId, Geometry, Time};

/// The contents of the world, which disks and the wire name by their index.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) contents: Vec<Rc<SimContent>>,
    index: BTreeMap<ContentId, usize>,
}

/// What lies in a chunk buffer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) content: u32,
    pub(super) offset: u64,
    pub(super) filled: u32,
    pub(super) bad: bool,
    /// A write of it is under way.
    pub(super) busy: bool,
}

/// What a disk holds of one content.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) chunks: Bitfield,
    pub(super) rotten: Bitfield,
    /// Chunks of a part that were there, rotted, and were found out: what was said of them is still on its way.
    pub(super) lost: Bitfield,
    /// Named by its owner, or published: served at any cut.
    pub(super) whole: bool,
    /// A shared file that is not what was hashed any more.
    pub(super) changed: bool,
    /// The part is open in the running peer.
    pub(super) open: bool,
}

/// A disk, its queue of jobs, and the memory of the running peer's chunk buffers.
#[derive(Debug, Default)]
pub(super) struct Disk {
    buffers: Vec<Buffer>,
    /// Something the core must never do, in words.
    pub(super) complaint: Option<String>,
    pub(super) files: BTreeMap<usize, File>,
    jobs: VecDeque<StoreTask>,
    free_at: Time,
    pub(super) spec: DiskSpec,
    /// The real store of what is all there: classic chunks, and transfers.
    pub(super) bytes: Option<Box<ByteStore>>,
    /// What follows the reply that is being made.
    pub(super) told: Option<StoreReply>,
    /// Shared files that are not what they were; their new content is nobody's business.
    withdrawn: BTreeSet<usize>,
    pub(super) forges_manifests: bool,
    /// Bytes written to parts since the beginning of the world.
    pub(super) written_bytes: u64,
}

/// What the disk has to do next.
#[derive(Debug)]
pub(super) enum StoreTask {
    /// A job of the core's.
    Job(StoreJob),
    /// Something to tell unasked.
    Tell(StoreReply),
    /// The real store says what it has to say, and does a slice of its work.
    Turn,
}

impl Library {
    pub(super) fn new(contents: Vec<Rc<SimContent>>) -> Library {
        let index = contents.iter().enumerate().map(|(at, content)| (content.id, at)).collect();
        Library { contents, index }
    }

    pub(super) fn find(&self, id: &ContentId) -> Option<usize> {
        self.index.get(id).copied()
    }

    pub(super) fn geometry(&self, content: usize) -> Geometry {
        self.contents[content].geometry()
    }
}

impl Disk {
    pub(super) fn new(spec: DiskSpec, forges_manifests: bool, bytes: Option<ByteStore>) -> Disk {
        Disk { spec, bytes: bytes.map(Box::new), forges_manifests, ..Disk::default() }
    }

    /// Puts a whole file there that its owner shares, unless it was changed; returns what the store tells of it.
    pub(super) fn share(&mut self, library: &Library, content: usize) -> Option<StoreReply> {
        if self.withdrawn.contains(&content) {
            return None;
        }
        let shared = &library.contents[content];
        let chunks = shared.geometry().chunks();
        let file = self.files.entry(content).or_insert_with(|| File {
            name: shared.name.clone(),
            chunks: Bitfield::full(chunks),
            rotten: Bitfield::empty(chunks),
            lost: Bitfield::empty(chunks),
            whole: true,
            changed: false,
            open: false,
        });
        let size = shared.geometry().size_bytes();
        Some(StoreReply::Offered { content: shared.id, name: file.name.clone(), size })
    }

    /// A new process begins on this disk: parts are closed and the buffers' memory is new.
    pub(super) fn restart(&mut self, now: Time) {
        self.jobs.clear();
        self.buffers.clear();
        if let Some(bytes) = &mut self.bytes {
            bytes.open(now, &mut self.spec);
        }
        self.free_at = now;
        self.files.values_mut().for_each(|file| file.open = false);
    }

    /// The process ends in order.
    pub(super) fn close(&mut self, now: Time) {
        if let Some(bytes) = &mut self.bytes {
            bytes.close(now, &mut self.spec);
        }
    }

    /// The process died: each write under way is done or not.
    pub(super) fn killed(&mut self, library: &Library, rng: &mut Rng) {
        if let Some(bytes) = &mut self.bytes {
            bytes.kill(rng);
        }
        while let Some(task) = self.jobs.pop_front() {
            let writes = |job: &StoreJob| {
                matches!(job, StoreJob::WriteChunk { .. } | StoreJob::StoreSingleChunk { .. })
            };
            if let StoreTask::Job(job) = task
                && writes(&job)
                && rng.chance_ppm(500_000)
            {
                self.carry_out(library, job, rng);
            }
        }
    }

    /// The power went: each chunk of a part that is not published is there or not.
    pub(super) fn powered_off(&mut self, now: Time, rng: &mut Rng) {
        self.jobs.clear();
        if let Some(bytes) = &mut self.bytes {
            bytes.lose_power(now);
        }
        for file in self.files.values_mut().filter(|file| !file.whole) {
            for chunk in 0..file.chunks.len() {
                if rng.chance_ppm(250_000) {
                    file.chunks.clear(chunk);
                }
            }
        }
    }

    pub(super) fn mend(&mut self) {
        self.spec.free_bytes = None;
        self.spec.write_error_ppm = 0;
    }

    /// The owner changes a file that stands under its final name. The store does not know before it looks.
    pub(super) fn change(&mut self, content: usize) {
        if let Some(file) = self.files.get_mut(&content).filter(|file| file.whole) {
            file.changed = true;
        }
    }

    pub(super) fn rot(&mut self, content: usize, chunk: u32) {
        if let Some(file) = self.files.get_mut(&content) {
            file.rotten.set(chunk);
        }
    }

    /// Takes a task in and says when it will be done.
    pub(super) fn submit(&mut self, now: Time, task: StoreTask) -> Time {
        let bytes = match &task {
            StoreTask::Job(
                StoreJob::WriteChunk { buffer, .. } | StoreJob::StoreSingleChunk { buffer, .. },
            ) => {
                let place = self.buffer(*buffer);
                if place.busy {
                    self.complain(format!("buffer {} goes into two jobs at once", buffer.0));
                }
                let place = self.buffer(*buffer);
                place.busy = true;
                u64::from(place.filled)
            }
            _ => 0,
        };
        let moving =
            std::time::Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.spec.rate.max(1));
        self.jobs.push_back(task);
        self.free_at = self.free_at.max(now) + moving;
        self.free_at + self.spec.latency
    }

    /// Does the oldest task and gives its reply, and what it led to.
    pub(super) fn finish_one(&mut self, library: &Library, rng: &mut Rng) -> [Option<StoreReply>; 2] {
        match self.jobs.pop_front() {
            Some(StoreTask::Job(job)) => [self.carry_out(library, job, rng), self.told.take()],
            Some(StoreTask::Tell(reply)) => [Some(reply), None],
            Some(StoreTask::Turn) | None => [None, None],
        }
    }

    /// Whether the oldest task is a turn of the real store.
    pub(super) fn is_turn_next(&self) -> bool {
        matches!(self.jobs.front(), Some(StoreTask::Turn))
    }

    /// What the real store says next.
    pub(super) fn poll_bytes(&mut self, library: &Library, now: Time) -> Option<StoreReply> {
        Some(match self.bytes.as_mut()?.poll(now, &mut self.spec)? {
            Told::Reply(reply) => reply,
            Told::Digested { reply, shared } => {
                let read = |(name, bytes)| self.digest(library, name, bytes);
                digested(reply, shared.into_iter().filter_map(read).collect())
            }
        })
    }

    /// Payload goes to `at` of a buffer whose first byte is at `offset` of the content.
    pub(super) fn fill(&mut self, buffer: BufferId, at: u32, content: u32, offset: u64, len: u32, bad: bool) {
        let place = self.buffer(buffer);
        let was = *place;
        if at == 0 {
            *place = Buffer { content, offset, filled: len, bad, busy: was.busy };
        } else {
            place.filled = at.saturating_add(len);
            place.bad |= bad || was.filled != at || was.content != content || was.offset != offset;
        }
        if was.busy {
            self.complain(format!("payload goes into buffer {} while it is being written", buffer.0));
        }
        if at != 0 && was.filled != at {
            self.complain(format!(
                "payload goes to {at} of buffer {}, which is filled to {}",
                buffer.0, was.filled
            ));
        }
    }

    /// The core gives a buffer back.
    pub(super) fn release(&mut self, buffer: BufferId) {
        if self.buffer(buffer).busy {
            self.complain(format!("buffer {} is released while it is being written", buffer.0));
        }
    }

    /// Whether bytes of a content can be sent from here, and whether they are right.
    pub(super) fn span(
        &self,
        library: &Library,
        content: usize,
        offset: u64,
        len: u64,
    ) -> Result<bool, SpanError> {
        let file = match self.files.get(&content) {
            Some(file) => file,
            None if self.withdrawn.contains(&content) => return Err(SpanError::Fault(SpanFault::Changed)),
            None => return Err(SpanError::NotHad),
        };
        if file.changed {
            return Err(SpanError::Fault(SpanFault::Changed));
        }
        let geometry = library.geometry(content);
        if len == 0 || offset.checked_add(len).is_none_or(|end| end > geometry.size_bytes()) {
            return Err(SpanError::NotHad);
        }
        let chunk_bytes = u64::from(geometry.chunk_bytes());
        let chunks = offset / chunk_bytes..=(offset + len - 1) / chunk_bytes;
        let flawless = file.rotten.count() == 0 && file.lost.count() == 0;
        let mut good = true;
        for chunk in chunks {
            // Chunks number at most a million.
            let chunk = u32::try_from(chunk).unwrap_or(u32::MAX);
            if !file.chunks.get(chunk) && !file.lost.get(chunk) {
                return Err(SpanError::NotHad);
            }
            good &= flawless || (!file.rotten.get(chunk) && !file.lost.get(chunk));
        }
        Ok(good)
    }

    /// What the store tells when a span of a changed file was asked for.
    pub(super) fn withdraw(
        &mut self,
        library: &Library,
        content: usize,
        why: SpanFault,
    ) -> Option<StoreReply> {
        let file = self.files.remove(&content)?;
        self.withdrawn.insert(content);
        Some(StoreReply::Withdrawn { content: library.contents[content].id, name: file.name, why })
    }

    /// How many chunks of a content are there.
    pub(super) fn chunks_held(&self, content: usize) -> u32 {
        self.files.get(&content).map_or(0, |file| file.chunks.count())
    }

    /// Whether a chunk is there, or was until it was found rotten.
    pub(super) fn holds_chunk(&self, content: usize, chunk: u32) -> bool {
        self.files.get(&content).is_some_and(|file| file.chunks.get(chunk) || file.lost.get(chunk))
    }

    /// Whether it held a shared file that was withdrawn, so that claims about it may still be on their way.
    pub(super) fn withdrew(&self, content: usize) -> bool {
        self.withdrawn.contains(&content)
    }

    /// Whether the whole content stands under its final name.
    pub(super) fn holds_whole(&self, content: usize) -> bool {
        self.files.get(&content).is_some_and(|file| file.whole && !file.changed)
    }

    pub(super) fn buffer(&mut self, buffer: BufferId) -> &mut Buffer {
        let slot = buffer.0 as usize;
        if self.buffers.len() <= slot {
            self.buffers.resize(slot + 1, Buffer::default());
        }
        &mut self.buffers[slot]
    }

    pub(super) fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }
}

/// Why bytes cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanError {
    /// The disk fails, as disks do.
    Fault(SpanFault),
    /// They were never verified here, so asking for them is the core's mistake.
    NotHad,
}
