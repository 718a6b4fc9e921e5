//! The virtual store: what a disk answers to each of the core's jobs.

use std::path::PathBuf;

use chrono::NaiveDateTime;

use crate::core::{BufferId, ChunkBytes, Fault, FaultKind, PartState, Rng, SpanFault, StoreJob, StoreReply};
use crate::sim::disk::{Disk, File, Library};
use crate::types::manifest::ManifestPage;
use crate::types::{Bitfield, ContentId, Manifest};
use crate::wire::classic::ChunkName;
use crate::wire::classic::announcement::BatchChunk;

impl Disk {
    /// Does one job of the core's at once.
    pub(super) fn carry_out(
        &mut self,
        library: &Library,
        job: StoreJob,
        rng: &mut Rng,
    ) -> Option<StoreReply> {
        Some(match job {
            StoreJob::OpenPart { content, .. } => self.open_part(library, content),
            StoreJob::CreatePart { content, manifest } => self.create_part(library, content, &manifest),
            StoreJob::WriteChunk { content, chunk, buffer } => {
                self.write_chunk(library, content, chunk, buffer, rng)
            }
            StoreJob::StoreSingleChunk { content, buffer } => self.store_whole(library, content, buffer, rng),
            StoreJob::Publish { content } => self.publish(library, content),
            StoreJob::ClosePart { content } => {
                if let Some(file) = library.find(&content).and_then(|at| self.files.get_mut(&at)) {
                    file.open = false;
                }
                StoreReply::PartClosed { content }
            }
            StoreJob::DropPart { content } => {
                let file = library.find(&content);
                if file.is_some_and(|at| self.files.get(&at).is_some_and(|file| !file.whole))
                    && let Some(at) = file
                {
                    self.files.remove(&at);
                }
                StoreReply::PartClosed { content }
            }
            StoreJob::ReadManifest { content, chunk_bytes, first, conn, channel } => {
                let page = self.read_manifest(library, content, chunk_bytes, first, channel);
                let is_changed = |at: &usize| self.files.get(at).is_some_and(|file| file.changed);
                if let Some(at) = library.find(&content).filter(is_changed) {
                    self.told = self.withdraw(library, at, SpanFault::Changed);
                }
                StoreReply::ManifestRead { conn, content, page: page.map(Box::new) }
            }
            // A simulated file has no twin that could change without it.
            StoreJob::Look { .. } => return None,
            StoreJob::Recheck { content, chunk, chunk_bytes } => {
                self.recheck(library, content, chunk, chunk_bytes)
            }
            // The real store has them.
            StoreJob::Transfer(_) | StoreJob::Classic(_) => return None,
        })
    }

    /// What D announces of a chunk of a shared file, as far as foreign peers look at it: they do not verify.
    pub(super) fn digest(&self, library: &Library, name: ChunkName, bytes: ChunkBytes) -> Option<BatchChunk> {
        let ChunkBytes::Shared { content, bytes: size, .. } = bytes else { return None };
        let at = library.find(&content)?;
        self.files.get(&at).filter(|file| file.whole && !file.changed)?;
        Some(BatchChunk { name, size, sha256: [0; 32], made: NaiveDateTime::default() })
    }

    fn open_part(&mut self, library: &Library, content: ContentId) -> StoreReply {
        let Some(at) = library.find(&content) else {
            return StoreReply::PartOpened { content, state: PartState::Fresh };
        };
        let geometry = library.geometry(at);
        // What was changed is another content by now, and this one goes under another name.
        if self.files.get(&at).is_some_and(|file| file.changed) {
            self.files.remove(&at);
        }
        let state = match self.files.get_mut(&at) {
            None => PartState::Fresh,
            Some(file) if file.open => {
                let text = "the part is open already".to_owned();
                return StoreReply::PartFailed { content, fault: Fault { kind: FaultKind::Busy, text } };
            }
            Some(file) if file.whole => PartState::Complete { geometry, path: PathBuf::from(&file.name) },
            Some(file) => {
                for chunk in 0..file.chunks.len() {
                    if file.rotten.clear(chunk) {
                        file.chunks.clear(chunk);
                    }
                }
                file.open = true;
                PartState::Resumed { geometry, have: file.chunks.clone() }
            }
        };
        StoreReply::PartOpened { content, state }
    }

    fn create_part(&mut self, library: &Library, content: ContentId, manifest: &Manifest) -> StoreReply {
        let Some(at) = library.find(&content).filter(|at| library.contents[*at].manifest == *manifest) else {
            self.complain(format!("a part of {content:?} is made from a manifest that is not the right one"));
            return failed(content, FaultKind::Bug, "the manifest is not the right one");
        };
        if self.spec.free_bytes == Some(0) {
            return failed(content, FaultKind::Full, "the disk is full; make room and run it again");
        }
        let chunks = manifest.geometry.chunks();
        self.files.insert(
            at,
            File {
                name: library.contents[at].name.clone(),
                chunks: Bitfield::empty(chunks),
                rotten: Bitfield::empty(chunks),
                lost: Bitfield::empty(chunks),
                whole: false,
                changed: false,
                open: true,
            },
        );
        StoreReply::PartCreated { content }
    }

    fn write_chunk(
        &mut self,
        library: &Library,
        content: ContentId,
        chunk: u32,
        buffer: BufferId,
        rng: &mut Rng,
    ) -> StoreReply {
        let place = *self.buffer(buffer);
        self.buffer(buffer).busy = false;
        let Some(at) = library.find(&content) else {
            self.complain(format!("chunk {chunk} of the unknown {content:?} is written"));
            return StoreReply::ChunkBad { content, chunk, buffer };
        };
        let span = library.geometry(at).chunk_span(chunk);
        if place.content as usize != at || span != Some((place.offset, place.filled)) {
            let (content, offset, filled) = (place.content, place.offset, place.filled);
            self.complain(format!(
                "buffer {} holds {filled} bytes at {offset} of content {content}, not chunk {chunk} of {at}",
                buffer.0
            ));
        }
        if place.bad {
            return StoreReply::ChunkBad { content, chunk, buffer };
        }
        if rng.chance_ppm(self.spec.write_error_ppm) {
            let fault = Fault { kind: FaultKind::Io, text: "the device fails".to_owned() };
            return StoreReply::ChunkFailed { content, chunk, buffer, fault };
        }
        if let Some(free) = &mut self.spec.free_bytes {
            if *free < u64::from(place.filled) {
                let fault = Fault { kind: FaultKind::Full, text: "the disk is full".to_owned() };
                return StoreReply::ChunkFailed { content, chunk, buffer, fault };
            }
            *free -= u64::from(place.filled);
        }
        let fresh = match self.files.get_mut(&at) {
            Some(file) if file.open => {
                file.lost.clear(chunk);
                Some(file.chunks.set(chunk))
            }
            _ => None,
        };
        match fresh {
            Some(true) => self.written_bytes += u64::from(place.filled),
            Some(false) => self.complain(format!("chunk {chunk} of content {at} is written twice")),
            None => self.complain(format!("chunk {chunk} of content {at} is written without an open part")),
        }
        StoreReply::ChunkStored { content, chunk, buffer }
    }

    /// A part that is made, filled and published in one go. What the buffer should hold is known from the content, so a
    /// size that was a lie is seen as the hash would show it.
    fn store_whole(
        &mut self,
        library: &Library,
        content: ContentId,
        buffer: BufferId,
        rng: &mut Rng,
    ) -> StoreReply {
        let place = *self.buffer(buffer);
        let found = library.find(&content).filter(|at| place.content as usize == *at && !place.bad);
        let is_whole = |at: &usize| library.geometry(*at).size_bytes() == u64::from(place.filled);
        let Some(at) = found.filter(is_whole) else {
            self.buffer(buffer).busy = false;
            return StoreReply::ChunkBad { content, chunk: 0, buffer };
        };
        if self.files.get(&at).is_some_and(|file| file.open || file.whole) {
            self.complain(format!("{content:?} is stored as a whole over what is there"));
        }
        let manifest = library.contents[at].manifest.clone();
        if let StoreReply::PartFailed { fault, .. } = self.create_part(library, content, &manifest) {
            self.buffer(buffer).busy = false;
            return StoreReply::ChunkFailed { content, chunk: 0, buffer, fault };
        }
        let written = self.write_chunk(library, content, 0, buffer, rng);
        if !matches!(written, StoreReply::ChunkStored { .. }) {
            // Nothing of it is kept.
            self.files.remove(&at);
            return written;
        }
        match self.publish(library, content) {
            StoreReply::Published { content, path } => {
                StoreReply::SingleChunkStored { content, path, buffer }
            }
            other => other,
        }
    }

    fn publish(&mut self, library: &Library, content: ContentId) -> StoreReply {
        let file = library.find(&content).and_then(|at| self.files.get_mut(&at));
        match file {
            Some(file) if file.open && file.chunks.is_full() => {
                (file.whole, file.open) = (true, false);
                StoreReply::Published { content, path: PathBuf::from(&file.name) }
            }
            Some(file) if file.open && file.lost.count() > 0 => {
                failed(content, FaultKind::Io, "a chunk is not right any more; run it again")
            }
            _ => {
                self.complain(format!("{content:?} is published without being complete and open"));
                failed(content, FaultKind::Bug, "not complete")
            }
        }
    }

    fn read_manifest(
        &self,
        library: &Library,
        content: ContentId,
        chunk_bytes: u32,
        first: u32,
        channel: u32,
    ) -> Option<ManifestPage> {
        let at = library.find(&content)?;
        let file = self.files.get(&at).filter(|file| !file.changed)?;
        let native = library.geometry(at).chunk_bytes() == chunk_bytes;
        if !native || !(file.whole || file.open) {
            return None;
        }
        let mut page = library.contents[at].page(channel, first)?;
        if self.forges_manifests {
            match page.values.first_mut() {
                Some(value) => value[0] ^= 1,
                None => {
                    page.proof.iter_mut().for_each(|proof| proof.tail.iter_mut().for_each(|byte| *byte ^= 1))
                }
            }
        }
        Some(page)
    }

    /// A shared file with a rotten chunk is withdrawn next; of a part, the chunk is gone.
    fn recheck(&mut self, library: &Library, content: ContentId, chunk: u32, chunk_bytes: u32) -> StoreReply {
        let at = library.find(&content);
        let native = at.is_some_and(|at| library.geometry(at).chunk_bytes() == chunk_bytes);
        let file = at.and_then(|at| self.files.get_mut(&at).map(|file| (at, file)));
        let Some((at, file)) = file else { return StoreReply::Rechecked { content, chunk, good: false } };
        let good = !file.changed && if native { !file.rotten.get(chunk) } else { file.rotten.count() == 0 };
        if !good && file.whole {
            self.told = self.withdraw(library, at, SpanFault::Changed);
        } else if !good {
            file.chunks.clear(chunk);
            file.rotten.clear(chunk);
            file.lost.set(chunk);
        }
        StoreReply::Rechecked { content, chunk, good }
    }
}

fn failed(content: ContentId, kind: FaultKind, text: &str) -> StoreReply {
    StoreReply::PartFailed { content, fault: Fault { kind, text: text.to_owned() } }
}
