//! The chunks of the classic dialects: kept as files, opened for who asks, joined; and what is written down of them.
//!
//! Every chunk lies in one folder under the name it has on the wire (`kept.rs`). An answer comes in as a spool,
//! which becomes a chunk (`keeping.rs`); chunks are read in a row (`row.rs`) to be joined (`join.rs`).
//! The files that other programs read and write too are `available.rs` and `dictionary.rs`. Nothing here is verified,
//! and nothing of a chunk is brought to the device before it is joined.

mod available;
mod dictionary;
mod digest;
mod folder;
mod join;
mod keeping;
mod kept;
mod reading;
mod record_file;
mod records;
mod row;
mod seen;
mod split;
mod unlisted;

use std::collections::BTreeMap;
use std::path::Path;

use rustix::io::Errno;

pub use seen::{SeenFolder, TEMP, see};
pub use split::{append_line, note_available, split};

#[cfg(test)]
pub(crate) use split::split_with;

use crate::core::{ClassicJob, ClassicReply, ConnId, Fault, SpanFault, SpoolId, StoreReply};
use crate::store::classic::available::Available;
use crate::store::classic::digest::{Digesting, Known};
use crate::store::classic::folder::ChunkFolder;
use crate::store::classic::join::{Join, Joined};
use crate::store::classic::keeping::Keeping;
use crate::store::classic::kept::{Kept, Opened, chunks_in, file_name};
use crate::store::classic::records::Records;
use crate::store::classic::row::Row;
use crate::store::fs::{File, Fs, Stamp};
use crate::store::io_thread::IoThread;
use crate::store::library::Library;
use crate::store::publish::{Failure, Published, Request};
use crate::store::spools::Spools;
use crate::store::target::Target;
use crate::store::temp::Temp;
use crate::store::{ClassicStore, OnConflict, fault};
use crate::wire::classic::ChunkName;

/// All that is kept.
#[derive(Debug)]
pub(crate) struct Classic {
    fs: Fs,
    kept: Kept,
    opened: Opened,
    /// What was told of chunks last, which need not be read again.
    digests: BTreeMap<ChunkName, Known>,
    pub(crate) spools: Spools,
    records: Option<Records>,
    /// Files that the I/O thread has, by ticket.
    publishing: BTreeMap<u32, Publishing>,
    /// Chunks of files that were joined, to be removed at the end; `None`: they stay.
    joined: Option<Vec<ChunkName>>,
    /// Last: what is on its way in it is removed before it.
    folder: ChunkFolder,
}

/// A file on its way to its final name.
#[derive(Debug)]
struct Publishing {
    temp: Temp,
    row: Row,
}

/// Work in slices.
#[derive(Debug)]
pub(crate) enum Work {
    /// A spool becomes a chunk.
    Keep(Keeping),
    /// Chunks are read for what D announces of them.
    Digest(Digesting),
    /// Chunks become a file.
    Join(Join),
    /// The record of available chunks is changed.
    Record,
}

impl Classic {
    /// Opens the folder, and sweeps away what processes that died have left in it.
    pub(crate) fn open(fs: Fs, config: &ClassicStore) -> Result<Classic, Fault> {
        let folder = ChunkFolder::open(&fs, &config.chunk_dir, config.remove_joined)
            .map_err(|errno| fault::keeping("use the folder", &config.chunk_dir, errno))?;
        let records = match &config.records {
            Some(records) => Some(Records::open(&fs, records, &folder)?),
            None => None,
        };
        Ok(Classic {
            fs,
            kept: Kept::default(),
            opened: Opened::default(),
            digests: BTreeMap::new(),
            spools: Spools::default(),
            records,
            publishing: BTreeMap::new(),
            joined: config.remove_joined.then(Vec::new),
            folder,
        })
    }

    /// Carries out a job; what is left to do in slices is given back.
    pub(crate) fn submit(
        &mut self,
        job: ClassicJob,
        target: &mut Target,
        library: &mut Library,
    ) -> Option<Work> {
        match job {
            ClassicJob::List => {
                self.list(library);
                return self.queue_record();
            }
            ClassicJob::NoteAvailable { chunks } => return self.note(&chunks),
            ClassicJob::OpenChunk { conn, name } => {
                let bytes = self.open_chunk(conn, &name);
                reply(library, ClassicReply::ChunkOpened { conn, bytes });
                return self.queue_record();
            }
            ClassicJob::Digest { chunks } => return Some(Work::Digest(Digesting::new(chunks))),
            ClassicJob::CloseChunk { conn } => self.opened.close(conn),
            ClassicJob::WriteSpool { spool, bytes } => self.write_spool(spool, &bytes, library),
            ClassicJob::KeepSpool { spool, name, skip } => {
                match Keeping::of(&mut self.spools, spool, name, skip) {
                    Ok(Some(keeping)) if keeping.is_quick() => return self.keep(keeping, library),
                    Ok(Some(keeping)) => return Some(Work::Keep(keeping)),
                    // That it cannot be kept is told already.
                    Ok(None) => {}
                    Err(fault) => reply(library, ClassicReply::SpoolFailed { spool, fault }),
                }
            }
            ClassicJob::DropSpool { spool } => {
                self.spools.drop_spool(spool);
                // The number may serve another answer before this would be heard.
                library.retract_spool(spool);
            }
            ClassicJob::DropChunk { name } => return self.drop_chunk(&name),
            ClassicJob::LookAtTarget { ticket, file } => {
                let told = self.look_at_target(ticket, &file, target);
                reply(library, told);
            }
            ClassicJob::Merge { ticket, file, chunks } => {
                match self.begin_join(ticket, &file, &chunks, target) {
                    Ok(join) => return Some(Work::Join(join)),
                    Err(fault) => reply(library, ClassicReply::MergeFailed { ticket, fault }),
                }
            }
            ClassicJob::WriteDictionary { tags, newest } => {
                if let Some(records) = &mut self.records {
                    records.dictionary.write(&tags, newest);
                }
            }
            ClassicJob::ReadDictionary => {
                let read = |records: &mut Records| records.dictionary.read();
                let dictionary = self.records.as_mut().map(read).unwrap_or_default();
                reply(library, ClassicReply::DictionaryRead { dictionary });
            }
        }
        None
    }

    /// Does one slice; what is left is given back.
    pub(crate) fn step(
        &mut self,
        work: Work,
        target: &mut Target,
        io: &mut IoThread,
        library: &mut Library,
    ) -> Option<Work> {
        match work {
            Work::Keep(keeping) => self.keep(keeping, library),
            Work::Digest(digesting) => self.digest(digesting, library),
            Work::Join(join) => self.join(join, target, io, library),
            Work::Record => self.record(),
        }
    }

    /// Tells which chunks are kept.
    pub(crate) fn list(&mut self, library: &mut Library) {
        let chunks = self.relist();
        reply(library, ClassicReply::Kept { chunks });
    }

    /// Puts bytes behind those in a spool.
    pub(crate) fn write_spool(&mut self, spool: SpoolId, bytes: &[u8], library: &mut Library) {
        let folder = &mut self.folder;
        if let Err(errno) = self.spools.write(spool, bytes, || folder.make_temp()) {
            let fault = fault::keeping("keep a chunk in", self.folder.path(), errno);
            reply(library, ClassicReply::SpoolFailed { spool, fault });
        }
    }

    /// The chunk that is open for a connection.
    pub(crate) fn span(&self, conn: ConnId) -> Result<&File, SpanFault> {
        self.opened.span(&self.fs, conn)
    }

    /// The I/O thread is done with a file.
    pub(crate) fn published(
        &mut self,
        ticket: u32,
        result: Result<Published, Failure>,
        target: &Target,
        library: &mut Library,
    ) {
        let Some(Publishing { temp, row }) = self.publishing.remove(&ticket) else { return };
        let told = match result {
            Ok(Published { name, stamp }) => {
                temp.was_named();
                self.note_joined(&row);
                ClassicReply::Merged { ticket, path: target.path().join(name), bytes: stamp.size }
            }
            Err(failure) => ClassicReply::MergeFailed { ticket, fault: failure.into_fault() },
        };
        reply(library, told);
    }

    /// Looks at what is kept.
    fn relist(&mut self) -> Vec<(ChunkName, u64)> {
        let listed = match (&mut self.records, self.folder.get()) {
            (_, None) => Ok(Vec::new()),
            (Some(records), Some(folder)) => records.chunks(&self.fs, folder),
            (None, Some(folder)) => chunks_in(&self.fs, folder)
                .map(|chunks| chunks.into_iter().map(|(name, stamp)| (name, stamp.size)).collect()),
        };
        let chunks = listed.unwrap_or_else(|errno| {
            log::warn!("{}", fault::keeping("list", self.folder.path(), errno).text);
            Vec::new()
        });
        self.kept.replace(chunks.iter().map(|(name, _)| name));
        chunks
    }

    fn open_chunk(&mut self, conn: ConnId, name: &ChunkName) -> Option<u64> {
        let mut names = self.kept.stand_ins(name);
        if names.is_empty() && self.records.is_some() {
            // Another process may have added it.
            self.relist();
            names = self.kept.stand_ins(name);
        } else if self.records.is_none() {
            names.push(name.clone());
        }
        let (fs, folder) = (&self.fs, self.folder.get()?);
        let is_whole = |name: &ChunkName, stamp: &Stamp| {
            self.records.as_mut().is_none_or(|records| records.has_whole(fs, folder, name, stamp))
        };
        self.opened.open(fs, folder, conn, &names, is_whole)
    }

    /// Who has it open goes on reading it.
    fn drop_chunk(&mut self, name: &ChunkName) -> Option<Work> {
        self.kept.remove(name);
        if let (Ok(text), Some(folder)) = (file_name(name), self.folder.get()) {
            let _ = self.fs.unlink(folder, &text);
        }
        self.change_record(|available| available.remove(std::slice::from_ref(name)))
    }

    /// Whether a file may be made: there is a folder for it, and nothing that is to be left alone has its name.
    fn look_at_target(&self, ticket: u32, file: &str, target: &mut Target) -> ClassicReply {
        let looked = target.wished(file).and_then(|wished| Ok((wished, target.folder()?)));
        let (wished, folder) = match looked {
            Ok(looked) => looked,
            Err(fault) => return ClassicReply::MergeFailed { ticket, fault },
        };
        let is_left =
            target.on_conflict == OnConflict::Skip && self.fs.look_at(&folder, Path::new(&wished)).is_ok();
        match is_left {
            true => ClassicReply::TargetLeft { ticket, path: target.path().join(wished) },
            false => ClassicReply::TargetFree { ticket },
        }
    }

    fn note(&mut self, names: &[ChunkName]) -> Option<Work> {
        self.change_record(|available| available.add(names))
    }

    fn change_record(&mut self, change: impl FnOnce(&mut Available)) -> Option<Work> {
        change(self.records.as_mut()?.available.as_mut()?);
        self.queue_record()
    }

    /// What is to be changed in the record of available chunks waits for its turn.
    fn queue_record(&mut self) -> Option<Work> {
        self.records.as_mut()?.queue().then_some(Work::Record)
    }

    fn record(&mut self) -> Option<Work> {
        self.records.as_mut()?.step().then_some(Work::Record)
    }

    fn keep(&mut self, keeping: Keeping, library: &mut Library) -> Option<Work> {
        match keeping.step(&self.fs, &mut self.folder, &mut library.scratch) {
            keeping::Step::More(keeping) => Some(Work::Keep(keeping)),
            keeping::Step::Done { spool, name, bytes } => {
                self.kept.insert(&name);
                if let Some(records) = &mut self.records {
                    records.put(&name);
                }
                let work = self.note(std::slice::from_ref(&name));
                reply(library, ClassicReply::ChunkKept { spool, name, bytes });
                work
            }
            keeping::Step::Failed { spool, fault } => {
                reply(library, ClassicReply::SpoolFailed { spool, fault });
                None
            }
        }
    }

    fn digest(&mut self, mut digesting: Digesting, library: &mut Library) -> Option<Work> {
        if digesting.step(self.folder.get(), &self.kept, &self.digests, library) {
            return Some(Work::Digest(digesting));
        }
        let chunks;
        (chunks, self.digests) = digesting.finish();
        let now = self.fs.local_time(self.fs.now_ns());
        reply(library, ClassicReply::Digested { chunks, now });
        None
    }

    fn begin_join(
        &self,
        ticket: u32,
        file: &str,
        chunks: &[ChunkName],
        target: &mut Target,
    ) -> Result<Join, Fault> {
        if chunks.is_empty() || self.publishing.contains_key(&ticket) {
            return Err(fault::bug("a file was to be joined of nothing, or twice at once"));
        }
        let path = self.folder.path();
        let folder = self.folder.get().ok_or_else(|| fault::keeping("read from", path, Errno::NOENT))?;
        let row = Row::new(&self.fs, folder, path, chunks, &self.kept)?;
        Join::new(&self.fs, ticket, file, path, row, target)
    }

    fn join(
        &mut self,
        join: Join,
        target: &mut Target,
        io: &mut IoThread,
        library: &mut Library,
    ) -> Option<Work> {
        let ticket = join.ticket();
        let told = match join.step(&mut library.scratch, target) {
            Ok(Joined::More(join)) => return Some(Work::Join(join)),
            Ok(Joined::There { path, row }) => {
                self.note_joined(&row);
                ClassicReply::Merged { ticket, path, bytes: row.bytes() }
            }
            Ok(Joined::Left { path, row }) => {
                self.note_joined(&row);
                ClassicReply::TargetLeft { ticket, path }
            }
            Ok(Joined::Copied { request, temp, row }) => {
                match io.publish(Request { made_in: target.take_made_in(), ..request }) {
                    Ok(()) => {
                        self.publishing.insert(ticket, Publishing { temp, row });
                        return None;
                    }
                    Err(fault) => ClassicReply::MergeFailed { ticket, fault },
                }
            }
            Err(fault) => ClassicReply::MergeFailed { ticket, fault },
        };
        reply(library, told);
        None
    }

    fn note_joined(&mut self, row: &Row) {
        if let Some(joined) = &mut self.joined {
            joined.extend(row.names());
        }
    }

    /// Removes the chunks that are not to stay, and writes down what is not yet. Gives what failed of that.
    pub(crate) fn close(&mut self) -> Vec<Fault> {
        let mut failed = Vec::new();
        let joined = self.joined.as_mut().map(std::mem::take).unwrap_or_default();
        for name in &joined {
            let Some(folder) = self.folder.get() else { break };
            match file_name(name).and_then(|text| self.fs.unlink(folder, &text)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    let path = self.folder.path().join(name.to_string());
                    failed.push(fault::keeping("remove", &path, errno));
                }
            }
        }
        if let Some(records) = &mut self.records {
            failed.extend(records.finish(&joined));
        }
        failed
    }

    /// The connections that a chunk is open for.
    pub(crate) fn open_for(&self) -> Vec<ConnId> {
        self.opened.conns()
    }
}

fn reply(library: &mut Library, reply: ClassicReply) {
    library.reply(StoreReply::Classic(reply));
}
