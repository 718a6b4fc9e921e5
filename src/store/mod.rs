//! The only code that touches files. Every call on a file goes through `store/fs`.
//!
//! The library (`library.rs`) has whole files: the index of what was hashed, the manifests, and what is served. The
//! downloads (`downloads.rs`, `part.rs`, `state.rs`) have files on their way here; the I/O thread (`io_thread.rs`,
//! `publish.rs`) helps to write and publish them. Hashing goes in slices: the scan of what is shared (`scan.rs`), the
//! search for what is there of a download (`opening.rs`, `resume.rs`), and queries about manifests and chunks
//! (`query.rs`). `classic/` keeps the chunks of the classic dialects, and `transfer/` takes in transfers. This file routes
//! jobs to these rooms and replies back.

mod bad;
pub mod buffers;
pub mod classic;
mod config;
mod copying;
mod downloads;
pub mod drawing;
mod fault;
pub(crate) mod fault_plan;
pub mod folder;
pub(crate) mod fs;
mod hash;
mod index;
mod inspect;
mod io_thread;
mod library;
mod manifests;
mod opening;
mod part;
mod peek;
mod publish;
mod query;
mod resume;
mod scan;
pub mod scratch;
mod served;
mod spans;
mod spools;
mod state;
pub mod summary;
mod target;
pub(crate) mod temp;
#[cfg(test)]
mod tests;
mod transfer;
pub mod transfer_log;
mod walk;
mod watch;

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

pub use buffers::Buffers;
pub use config::{
    ClassicRecords, ClassicStore, OnConflict, ShareEvent, StoreConfig, StoreEvent, UnlistedChunks,
};
pub use hash::hash_path;
pub use peek::peek;
pub use walk::LINK_LEFT_OUT;

use crate::core::{Fault, FaultKind, SpoolId, StoreJob, StoreReply};
use crate::store::classic::{Classic, Work};
use crate::store::copying::{Copied, Copying};
use crate::store::downloads::{Downloads, Fill};
use crate::store::fs::Fs;
use crate::store::library::Library;
use crate::store::opening::{Opened, Opening, Step};
use crate::store::publish::Goal;
use crate::store::query::{Query, Question, page_from};
use crate::store::scan::Scan;
use crate::store::transfer::{Cutting, Transfers};
use crate::types::ContentId;
use crate::types::name::Layout;

/// The store of one process.
#[derive(Debug)]
pub struct Store {
    library: Library,
    scan: Scan,
    /// Before `classic`: what is on its way to its final name arrives there first.
    downloads: Downloads,
    classic: Option<Classic>,
    transfers: Transfers,
    tasks: VecDeque<Task>,
    /// Whether the scan has the next slice when both it and a task want one.
    scan_is_next: bool,
}

/// Work in slices that somebody waits for.
#[derive(Debug)]
enum Task {
    Open(ContentId, Box<Opening>),
    Copy(ContentId, Box<Copying>),
    Query(Box<Query>),
    Classic(Box<Work>),
    Cut(Box<Cutting>),
}

impl Store {
    /// Opens the state directory; the target folder is opened when the first download needs it.
    pub fn open(config: StoreConfig) -> Result<Store, Fault> {
        Store::open_with(&config, Fs::new())
    }

    /// The same, with files of these calls.
    pub(crate) fn open_with(config: &StoreConfig, fs: Fs) -> Result<Store, Fault> {
        let open = |path: &Path| {
            let opened = fs.make_private_folders(path).and_then(|()| fs.open_folder(path));
            opened.map_err(|errno| fault::of_state(path, errno))
        };
        let state_folder = open(&config.state_dir)?;
        let manifest_folder = open(&config.state_dir.join("manifests"))?;
        // The state directory itself may be any that a person named; this one is ours.
        fs.make_folder_private(&manifest_folder);
        let mut library = Library::new(fs.clone(), state_folder, manifest_folder);
        let mut classic = match &config.classic {
            Some(config) => Some(Classic::open(fs.clone(), config)?),
            None => None,
        };
        if let Some(classic) = &mut classic {
            classic.list(&mut library);
        }
        Ok(Store {
            library,
            scan: Scan::default(),
            classic,
            transfers: Transfers::new(fs.clone()),
            downloads: Downloads::new(fs, config),
            tasks: VecDeque::new(),
            scan_is_next: false,
        })
    }

    /// Queues a file, or all files below a folder, for hashing and sharing. The result comes through
    /// [`Store::poll`].
    pub fn share(&mut self, path: &Path) -> Result<(), Fault> {
        self.scan.share(path, &mut self.library)
    }

    /// The same, but a file is hashed only when nobody has written to it for two seconds; so is each file that changes later.
    /// [`ShareEvent::Unsettled`] tells which are waited for; [`ShareEvent::ScanDone`] does not wait for them, and comes once more
    /// when none is waited for any longer.
    pub fn share_when_quiet(&mut self, path: &Path) -> Result<(), Fault> {
        self.scan.is_patient = true;
        self.share(path)
    }

    /// Queues all files below a folder like [`Store::share`], and looks about every `interval` for what is new there,
    /// changed or gone; less often when looking takes long.
    pub fn watch(&mut self, path: &Path, interval: Duration) -> Result<(), Fault> {
        self.scan.watch(path, interval, &mut self.library)
    }

    /// Opens the folder that downloads are asked into, before the first of them: what is wrong with it is known at once.
    pub fn open_target(&mut self) -> Result<(), Fault> {
        self.downloads.target.folder().map(drop)
    }

    /// Nothing that comes from the network takes this name in the folder that downloads go to.
    pub fn reserve_name(&mut self, name: &'static str) {
        self.downloads.target.reserve(name);
    }

    /// The bytes that may still be written to the folder that downloads go to; `None` where that is not told.
    pub fn free_bytes(&mut self) -> Option<u64> {
        let folder = self.downloads.target.folder().ok()?;
        self.library.fs.free_bytes(&folder).ok()
    }

    /// Looks at the watched folders as soon as possible, and tries again what was left out.
    pub fn rescan(&mut self) {
        self.scan.watch.forget_left_out();
        self.scan.watch.hurry();
    }

    /// The bytes of all files served from below the folder at `path`.
    pub fn bytes_below(&self, path: &Path) -> u64 {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        self.library.served.bytes_below(&path)
    }

    /// How far the file is that is being hashed to be shared: its name, its bytes that are, and all of them.
    pub fn hashing(&self) -> Option<(String, u64, u64)> {
        self.scan.progress()
    }

    /// When [`Store::step`] will next have something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.scan.watch.deadline()
    }

    /// Sets what the I/O thread calls when a result of it waits to be polled.
    pub fn on_result(&mut self, wake: Box<dyn Fn() + Send>) {
        self.downloads.on_result(wake);
    }

    /// Takes a job; its reply comes through [`Store::poll`], at once or later.
    pub fn submit(&mut self, job: StoreJob, buffers: &mut Buffers) {
        let reply = match job {
            StoreJob::OpenPart { content, name, layout, size } => self.open_part(content, name, layout, size),
            StoreJob::CreatePart { content, manifest } => {
                Some(self.downloads.create(content, *manifest, &mut self.library))
            }
            StoreJob::WriteChunk { content, chunk, buffer } => {
                self.downloads.write(content, chunk, buffer, buffers.share(buffer))
            }
            StoreJob::StoreSingleChunk { content, buffer } => {
                self.downloads.store_whole(content, buffer, buffers.share(buffer))
            }
            StoreJob::Publish { content } => self.downloads.publish(content),
            StoreJob::ClosePart { content } => Some(self.close_part(content, true)),
            StoreJob::DropPart { content } => Some(self.close_part(content, false)),
            StoreJob::ReadManifest { content, chunk_bytes, first, conn, channel } => {
                self.query(content, Question::Page { conn, channel, chunk_bytes, first })
            }
            StoreJob::Recheck { content, chunk, chunk_bytes } => {
                self.query(content, Question::Chunk { chunk, chunk_bytes })
            }
            StoreJob::Look { content } => {
                self.library.look_at_all(&content);
                None
            }
            StoreJob::Classic(job) => {
                if let Some(classic) = &mut self.classic
                    && let Some(work) = classic.submit(job, &mut self.downloads.target, &mut self.library)
                {
                    self.tasks.push_back(Task::Classic(Box::new(work)));
                }
                None
            }
            StoreJob::Transfer(job) => {
                let Downloads { target, io, .. } = &mut self.downloads;
                if let Some(cutting) = self.transfers.submit(job, target, io, &mut self.library) {
                    self.tasks.push_back(Task::Cut(Box::new(cutting)));
                }
                None
            }
        };
        if let Some(reply) = reply {
            self.library.reply(reply);
        }
    }

    /// Puts payload behind the bytes that are in a spool; the first make it. A failure is told through
    /// [`Store::poll`].
    pub fn write_spool(&mut self, spool: SpoolId, bytes: &[u8]) {
        if self.transfers.has(spool) {
            self.transfers.write(spool, bytes, self.downloads.target.path(), &mut self.library);
        } else if let Some(classic) = &mut self.classic {
            classic.write_spool(spool, bytes, &mut self.library);
        }
    }

    /// Hands over what was gathered for the I/O thread, so that one wake-up serves many small files. To be called
    /// before the caller waits for anything.
    pub fn flush(&mut self) {
        self.downloads.io.flush();
    }

    /// Whether [`Store::step`] has something to do.
    pub fn has_work(&self) -> bool {
        !self.tasks.is_empty() || self.downloads.io.has_told() || self.scan.has_work(&self.library)
    }

    /// Does one slice (about one chunk) of the work that was queued: hashing shares, checking parts.
    pub fn step(&mut self) {
        let scan_wants = self.scan.has_work(&self.library);
        if scan_wants && (self.scan_is_next || self.tasks.is_empty()) {
            self.scan_is_next = false;
            self.scan.step(&mut self.library);
            if self.scan.watch.take_moved() {
                self.downloads.target.release();
            }
        } else if let Some(task) = self.tasks.pop_front() {
            self.scan_is_next = true;
            self.step_task(task);
        }
        if !self.has_work() {
            self.library.index.flush();
            self.library.scratch = Vec::new();
        }
    }

    /// The next thing to tell.
    pub fn poll(&mut self) -> Option<StoreEvent> {
        self.take_outcomes();
        self.library.next_event()
    }

    fn take_outcomes(&mut self) {
        while let Some((goal, result)) = self.downloads.take_outcomes(&mut self.library) {
            let target = &self.downloads.target;
            match (goal, &mut self.classic) {
                (Goal::Joined(ticket), Some(classic)) => {
                    classic.published(ticket, result, target, &mut self.library);
                }
                (Goal::Transferred(spool), _) => {
                    self.transfers.published(spool, result, target, &mut self.library)
                }
                (Goal::Joined(_), None) | (Goal::Content(_), _) => {}
            }
        }
    }

    /// Ends in order: what was begun is finished, chunks that are not to stay are removed, and records are written. Gives
    /// what failed. The store is not to be used afterwards.
    pub fn close(&mut self) -> Vec<Fault> {
        self.downloads.finish(&mut self.library);
        self.take_outcomes();
        self.library.index.flush();
        self.classic.as_mut().map(Classic::close).unwrap_or_default()
    }

    fn open_part(
        &mut self,
        content: ContentId,
        name: String,
        layout: Layout,
        size: u64,
    ) -> Option<StoreReply> {
        if self.downloads.await_whole(&content) {
            return None;
        }
        if let Some(state) = self.downloads.reopen(&content) {
            return Some(StoreReply::PartOpened { content, state });
        }
        match Opening::new(content, name, layout, size, &mut self.downloads.target) {
            Ok(opening) => {
                self.step_task(Task::Open(content, Box::new(opening)));
                None
            }
            Err(fault) => Some(StoreReply::PartFailed { content, fault }),
        }
    }

    /// Lets go of a part, which is kept or deleted.
    fn close_part(&mut self, content: ContentId, keep: bool) -> StoreReply {
        let given_up = |task: &Task| matches!(task, Task::Open(of, _) | Task::Copy(of, _) if *of == content);
        if let Some(task) = self.tasks.iter().position(given_up).and_then(|at| self.tasks.remove(at)) {
            if let Task::Copy(_, copying) = task {
                copying.part.close(&self.library.fs);
            }
            let text = "the look for what is there of it was given up".to_owned();
            let fault = fault::fault(FaultKind::Busy, text);
            self.library.reply(StoreReply::PartFailed { content, fault });
        }
        self.downloads.settle(&content, &mut self.library);
        self.downloads.close(&content, keep);
        StoreReply::PartClosed { content }
    }

    /// Answers from an open part at once; queues a question about a whole file.
    fn query(&mut self, content: ContentId, question: Question) -> Option<StoreReply> {
        match (self.downloads.part(&content), question) {
            (Some(part), Question::Page { conn, channel, chunk_bytes, first }) => {
                let page = page_from(&part.manifest, channel, chunk_bytes, first).map(Box::new);
                Some(StoreReply::ManifestRead { conn, content, page })
            }
            (Some(_), Question::Chunk { chunk, chunk_bytes }) => {
                let scratch = &mut self.library.scratch;
                let good = self.downloads.recheck(&content, chunk, chunk_bytes, scratch);
                Some(StoreReply::Rechecked { content, chunk, good: good.unwrap_or(true) })
            }
            (None, _) => {
                self.step_task(Task::Query(Box::new(Query::new(content, question))));
                None
            }
        }
    }

    fn step_task(&mut self, task: Task) {
        match task {
            Task::Open(content, opening) => self.step_opening(content, *opening),
            Task::Copy(content, copying) => match copying.step(&mut self.library) {
                Copied::More(more) => self.tasks.push_back(Task::Copy(content, Box::new(more))),
                Copied::Done(part) => {
                    let reply = self.downloads.opened(content, Opened::Resumed(part));
                    self.library.reply(reply);
                }
                Copied::Failed(fault) => self.library.reply(StoreReply::PartFailed { content, fault }),
            },
            Task::Query(query) => {
                if let Some(query) = query.step(&mut self.library) {
                    self.tasks.push_back(Task::Query(Box::new(query)));
                }
            }
            Task::Cut(cutting) => {
                let Downloads { target, io, .. } = &mut self.downloads;
                if let Some(cutting) = self.transfers.step(*cutting, target, io, &mut self.library) {
                    self.tasks.push_back(Task::Cut(Box::new(cutting)));
                }
            }
            Task::Classic(work) => {
                let Some(classic) = &mut self.classic else { return };
                let Downloads { target, io, .. } = &mut self.downloads;
                if let Some(work) = classic.step(*work, target, io, &mut self.library) {
                    self.tasks.push_back(Task::Classic(Box::new(work)));
                }
            }
        }
    }

    /// Goes on looking for a download until that takes hashing.
    fn step_opening(&mut self, content: ContentId, mut opening: Opening) {
        let reply = loop {
            match opening.step(&mut self.library, &self.downloads.target) {
                Ok(Step::More(more)) if more.is_quick() => opening = more,
                Ok(Step::More(more)) => return self.tasks.push_back(Task::Open(content, Box::new(more))),
                Ok(Step::Done(opened)) => match self.downloads.to_fill(content, opened, &mut self.library) {
                    Ok(Fill::From(part)) => {
                        return self.step_task(Task::Copy(content, Box::new(Copying::new(part))));
                    }
                    Ok(Fill::Nothing(opened)) => break self.downloads.opened(content, opened),
                    Err(fault) => break StoreReply::PartFailed { content, fault },
                },
                Err(fault) => break StoreReply::PartFailed { content, fault },
            }
        };
        self.library.reply(reply);
    }
}
