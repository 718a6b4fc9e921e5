//! Chunks of open parts, and what came of the work of the I/O thread, noted in the downloads and replied.

use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use crate::core::{BufferId, Fault, PartState, StoreReply};
use crate::store::downloads::{Download, Downloads, Other, Whole};
use crate::store::fault;
use crate::store::io_thread::{Outcome, Write};
use crate::store::library::Library;
use crate::store::publish::{self, Failure, Goal, Published};
use crate::store::served::Place;
use crate::store::target::Folder;
use crate::types::{ContentId, Geometry};

impl Downloads {
    /// Takes what the I/O thread has done by now. What came of a file that is no part is the
    /// caller's to tell; call until `None`.
    pub(crate) fn take_outcomes(&mut self, library: &mut Library) -> Option<Other> {
        while let Some(outcome) = self.io.next_outcome() {
            self.take(outcome, library);
        }
        self.others.pop_front()
    }

    /// Waits until no chunk of this content is with the I/O thread: a few at most are, and they are being written.
    pub(crate) fn settle(&mut self, content: &ContentId, library: &mut Library) {
        while self.part(content).is_some_and(|part| part.writing > 0)
            && let Some(outcome) = self.io.wait()
        {
            self.take(outcome, library);
        }
    }

    /// Waits until nothing is with the I/O thread.
    pub(crate) fn finish(&mut self, library: &mut Library) {
        while let Some(outcome) = self.io.wait() {
            self.take(outcome, library);
        }
    }

    fn take(&mut self, outcome: Outcome, library: &mut Library) {
        let reply = match outcome {
            Outcome::Written { content, chunk, buffer, result } => {
                if let Some(part) = self.part_mut(&content) {
                    part.writing -= 1;
                }
                self.written(content, chunk, buffer, result)
            }
            Outcome::Published(publish::Outcome {
                goal: goal @ (Goal::Joined(_) | Goal::Transferred(_)),
                result,
            }) => {
                return self.others.push_back((goal, result));
            }
            Outcome::Published(publish::Outcome { goal: Goal::Content(content), result })
                if matches!(self.by_content.get(&content), Some(Download::Whole(_))) =>
            {
                return self.stored(content, result, library);
            }
            Outcome::Published(publish::Outcome { goal: Goal::Content(content), result }) => match result {
                Ok(published) => self.published(content, published, library),
                Err(failure) => {
                    StoreReply::PartFailed { content, fault: self.not_published(content, failure) }
                }
            },
        };
        library.reply(reply);
    }

    /// Verifies a chunk and has it written into its part; a reply only when that is done at once.
    pub(crate) fn write(
        &mut self,
        content: ContentId,
        chunk: u32,
        buffer: BufferId,
        bytes: Arc<Vec<u8>>,
    ) -> Option<StoreReply> {
        let Some(Download::Open(part)) = self.by_content.get_mut(&content) else {
            let fault = fault::bug("a chunk came for a part that is not open");
            return Some(StoreReply::ChunkFailed { content, chunk, buffer, fault });
        };
        // Here and not by the I/O thread: the bytes are still in this processor's cache, and only verified ones leave it.
        let Some(offset) = part.place_of(chunk, &bytes) else {
            return Some(StoreReply::ChunkBad { content, chunk, buffer });
        };
        if self.io.suits(bytes.len()) {
            let (bytes, file) = (Arc::clone(&bytes), Arc::clone(&part.file));
            if self.io.write(Write { content, chunk, buffer, bytes, file, offset }).is_ok() {
                part.writing += 1;
                return None;
            }
        }
        let result = self.fs.write_at(&part.file, &bytes, offset);
        Some(self.written(content, chunk, buffer, result))
    }

    /// What came of a verified chunk, noted in its part.
    fn written(
        &mut self,
        content: ContentId,
        chunk: u32,
        buffer: BufferId,
        result: Result<(), Errno>,
    ) -> StoreReply {
        let Some(Download::Open(part) | Download::Leaving(part)) = self.by_content.get_mut(&content) else {
            let fault = fault::bug("a chunk was written into a part that is not open");
            return StoreReply::ChunkFailed { content, chunk, buffer, fault };
        };
        match result {
            Ok(()) => {
                part.note(&self.fs, chunk);
                StoreReply::ChunkStored { content, chunk, buffer }
            }
            Err(errno) => {
                let fault = fault::writing("write", &part.folder.path.join(&part.names.part), errno);
                StoreReply::ChunkFailed { content, chunk, buffer, fault }
            }
        }
    }

    /// What came of a content that was stored as a whole.
    fn stored(&mut self, content: ContentId, result: Result<Published, Failure>, library: &mut Library) {
        let Some(Download::Whole(whole)) = self.by_content.remove(&content) else { return };
        let Whole { name, folder, geometry, buffer, reopened } = *whole;
        let result = result.map(|published| self.serve(content, name, folder, published, library));
        let result = result.map_err(Failure::into_fault);
        if reopened {
            library.reply(match result.clone() {
                Ok(path) => StoreReply::PartOpened { content, state: PartState::Complete { geometry, path } },
                Err(fault) => StoreReply::PartFailed { content, fault },
            });
        }
        library.reply(match result {
            Ok(path) => StoreReply::SingleChunkStored { content, path, buffer },
            Err(fault) => StoreReply::ChunkFailed { content, chunk: 0, buffer, fault },
        });
    }

    /// Serves a file that has its final name from now on; gives its path.
    fn serve(
        &self,
        content: ContentId,
        name: String,
        folder: Folder,
        published: Published,
        library: &mut Library,
    ) -> PathBuf {
        let path: PathBuf = folder.path.join(&published.name);
        let place = folder.path_of(&published.name);
        let root = library.served.root(self.target.path(), folder.target);
        let place = Place { root: Some(root), path: place.into() };
        library.serve_download(place, published.stamp, content, name);
        path
    }

    fn published(&mut self, content: ContentId, published: Published, library: &mut Library) -> StoreReply {
        let path = match self.by_content.remove(&content) {
            Some(Download::Open(part) | Download::Leaving(part)) => {
                let (stamp, geometry) = (published.stamp, part.manifest.geometry);
                if Geometry::native(geometry.size_bytes()) == Ok(geometry)
                    && !library.manifests.is_there(&content, geometry.size_bytes())
                {
                    // That of a part that was resumed may have died with the process that made it; a failure costs a hashing.
                    let _ = library.manifests.put(&content, (*part.manifest).clone());
                }
                let path = self.serve(content, part.name, part.folder, published, library);
                library.index.put(&path, &stamp, &content, self.fs.now_ns());
                path
            }
            _ => self.target.path().join(&published.name),
        };
        StoreReply::Published { content, path }
    }

    fn not_published(&mut self, content: ContentId, failure: Failure) -> Fault {
        let download = self.by_content.remove(&content);
        match (failure, download) {
            (Failure::Kept(fault), Some(Download::Open(mut part))) => {
                part.publishing = false;
                self.by_content.insert(content, Download::Open(part));
                fault
            }
            (Failure::Kept(fault), Some(Download::Leaving(part))) => {
                part.close(&self.fs);
                fault
            }
            (Failure::Suspect(fault), Some(Download::Open(part) | Download::Leaving(part))) => {
                part.close_suspect(&self.fs);
                fault
            }
            (failure, _) => failure.into_fault(),
        }
    }
}
