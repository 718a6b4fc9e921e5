//! The one I/O thread: chunks are written there while the loop receives the next, parts are published, and small files
//! are made there from nothing to their final name.
//!
//! It owns nothing: descriptors and memory go in, results come out. Chunks go there verified, and only as long as they
//! need not wait: not behind a sync, which can take as long as the device likes, nor in a long line. The rest is written
//! by the caller.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, available_parallelism};

use rustix::io::Errno;

use crate::core::{BufferId, Fault, FaultKind};
use crate::store::fs::{File, Fs};
use crate::store::part::LockedFile;
use crate::store::publish::{self, BATCH_MAX, Failure, Goal, Publisher};
use crate::store::target::Names;
use crate::store::{OnConflict, fault};
use crate::types::ContentId;

/// Chunks that may be with the I/O thread at once: enough to write while the loop has the processor's time for itself, few
/// enough to leave most of the buffers for what is on its way here.
const WRITES_MAX: usize = 8;
/// Shorter chunks are written in less time than it takes to hand them over.
const WRITE_BYTES_MIN: usize = 64 << 10;

/// Small files that are handed over together: a wake-up costs as much as making one of them.
const MADE_TOGETHER: usize = 16;

/// Something to do.
#[derive(Debug)]
enum Job {
    Write(Write),
    Publish(Box<publish::Request>),
    Make(Vec<NewFile>),
}

/// A file that is to be made of these verified bytes, and to be published.
#[derive(Debug)]
pub(crate) struct NewFile {
    pub(crate) content: ContentId,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) folder: Arc<File>,
    /// Where the folder is, for sentences.
    pub(crate) folder_path: Arc<Path>,
    /// Folders in which some were made on the way to it, and which are not synced yet.
    pub(crate) made_in: Vec<Arc<File>>,
    pub(crate) names: Names,
    pub(crate) on_conflict: OnConflict,
}

/// A verified chunk to write.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) content: ContentId,
    pub(crate) chunk: u32,
    /// Comes back with the outcome; until then the memory is not touched.
    pub(crate) buffer: BufferId,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) enum Outcome {
    Written { content: ContentId, chunk: u32, buffer: BufferId, result: Result<(), Errno> },
    Published(publish::Outcome),
}

/// The thread, from the first job on.
#[derive(Debug)]
pub(crate) struct IoThread {
    fs: Fs,
    wake: Wake,
    thread: Option<Running>,
    /// Where the disk is in memory there is no thread: the caller does the work, in the same order each time.
    inline: Option<Publisher>,
    /// Chunks that are with the thread.
    writing: usize,
    /// Parts that are with the thread.
    publishing: usize,
    /// Small files that are handed over with the next flush.
    gathered: Vec<NewFile>,
    /// Outcomes that were told and not taken.
    told: VecDeque<Outcome>,
    /// Whether a second thread can run beside the first.
    is_parallel: bool,
}

#[derive(Debug)]
struct Running {
    jobs: Sender<Job>,
    outcomes: Receiver<Vec<Outcome>>,
    thread: JoinHandle<()>,
}

/// What is called when an outcome waits.
#[derive(Clone, Default)]
struct Wake(Arc<Mutex<Option<WakeCall>>>);

type WakeCall = Box<dyn Fn() + Send>;

impl IoThread {
    /// No thread yet.
    pub(crate) fn new(fs: Fs) -> IoThread {
        let inline = fs.is_in_memory().then(Publisher::default);
        let is_parallel = inline.is_none() && available_parallelism().is_ok_and(|threads| threads.get() > 1);
        IoThread {
            fs,
            inline,
            wake: Wake::default(),
            thread: None,
            writing: 0,
            publishing: 0,
            gathered: Vec::new(),
            told: VecDeque::new(),
            is_parallel,
        }
    }

    /// Sets what is called when an outcome waits.
    pub(crate) fn on_result(&mut self, wake: WakeCall) {
        *self.wake.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    /// Whether a chunk of so many bytes is better written by the I/O thread than by the caller.
    pub(crate) fn suits(&self, bytes: usize) -> bool {
        self.is_parallel && bytes >= WRITE_BYTES_MIN && self.publishing == 0 && self.writing < WRITES_MAX
    }

    /// Takes a chunk; its outcome comes later.
    pub(crate) fn write(&mut self, write: Write) -> Result<(), Fault> {
        self.submit(Job::Write(write))?;
        self.writing += 1;
        Ok(())
    }

    /// Takes a complete part; its outcome comes later.
    pub(crate) fn publish(&mut self, request: publish::Request) -> Result<(), Fault> {
        self.submit(Job::Publish(Box::new(request)))?;
        self.publishing += 1;
        Ok(())
    }

    /// Takes a small file to make; its outcome comes later, but not before [`IoThread::flush`] is called.
    pub(crate) fn make(&mut self, file: NewFile) {
        self.gathered.push(file);
        self.publishing += 1;
        if self.gathered.len() >= MADE_TOGETHER {
            self.flush();
        }
    }

    /// Hands over what was gathered.
    pub(crate) fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let files = std::mem::take(&mut self.gathered);
        let contents: Vec<ContentId> = files.iter().map(|file| file.content).collect();
        if let Err(fault) = self.submit(Job::Make(files)) {
            let failed = |content| Outcome::not_made(content, Failure::Kept(fault.clone()));
            self.told.extend(contents.into_iter().map(failed));
        }
    }

    /// Whether an outcome was told already, so that nobody will be woken for it.
    pub(crate) fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// The next outcome, if one waits.
    pub(crate) fn next_outcome(&mut self) -> Option<Outcome> {
        if self.told.is_empty() {
            self.told.extend(self.thread.as_ref()?.outcomes.try_recv().ok()?);
        }
        self.take_told()
    }

    /// The next outcome, when it is there; `None` when nothing is with the thread.
    pub(crate) fn wait(&mut self) -> Option<Outcome> {
        if self.writing + self.publishing == 0 {
            return None;
        }
        self.flush();
        if self.told.is_empty() {
            self.told.extend(self.thread.as_ref()?.outcomes.recv().ok()?);
        }
        self.take_told()
    }

    fn take_told(&mut self) -> Option<Outcome> {
        let outcome = self.told.pop_front()?;
        match outcome {
            Outcome::Written { .. } => self.writing -= 1,
            Outcome::Published(_) => self.publishing -= 1,
        }
        Some(outcome)
    }

    fn submit(&mut self, job: Job) -> Result<(), Fault> {
        if let Some(publisher) = &mut self.inline {
            let (mut batch, mut outcomes) = (Vec::new(), Vec::new());
            gather(&self.fs, job, &mut batch, &mut outcomes);
            publish_all(&self.fs, batch, publisher, &mut outcomes);
            self.told.extend(outcomes);
            return Ok(());
        }
        let no_thread =
            || fault::fault(FaultKind::Io, "no thread can be started; try again later".to_owned());
        let running = match &self.thread {
            Some(running) => running,
            None => self.thread.insert(Running::start(&self.fs, &self.wake).map_err(|_| no_thread())?),
        };
        running.jobs.send(job).map_err(|_| fault::bug("the I/O thread has ended"))
    }
}

impl Drop for IoThread {
    /// Waits for what was begun.
    fn drop(&mut self) {
        self.flush();
        if let Some(Running { jobs, thread, .. }) = self.thread.take() {
            drop(jobs);
            let _ = thread.join();
        }
    }
}

impl Running {
    fn start(fs: &Fs, wake: &Wake) -> std::io::Result<Running> {
        let (jobs, to_do) = channel();
        let (done, outcomes) = channel();
        let (fs, wake) = (fs.clone(), wake.clone());
        let thread = std::thread::Builder::new()
            .name("io".to_owned())
            .spawn(move || run(&fs, &to_do, &done, &wake))?;
        Ok(Running { jobs, outcomes, thread })
    }
}

/// Does what comes until nothing can come any more. Nobody may listen by then; what was begun is done nevertheless.
fn run(fs: &Fs, to_do: &Receiver<Job>, done: &Sender<Vec<Outcome>>, wake: &Wake) {
    let mut publisher = Publisher::default();
    let mut next = None;
    while let Some(job) = next.take().or_else(|| to_do.recv().ok()) {
        let (mut batch, mut outcomes) = (Vec::new(), Vec::new());
        gather(fs, job, &mut batch, &mut outcomes);
        // Complete parts that wait, and small files, share their syncs.
        while !batch.is_empty() && batch.len() < BATCH_MAX && next.is_none() {
            let Ok(job) = to_do.try_recv() else { break };
            match job {
                Job::Write(_) => next = Some(job),
                job => gather(fs, job, &mut batch, &mut outcomes),
            }
        }
        publish_all(fs, batch, &mut publisher, &mut outcomes);
        let _ = done.send(outcomes);
        wake.call();
    }
}

fn publish_all(
    fs: &Fs,
    batch: Vec<publish::Request>,
    publisher: &mut Publisher,
    outcomes: &mut Vec<Outcome>,
) {
    if !batch.is_empty() {
        outcomes.extend(publisher.publish(fs, batch).into_iter().map(Outcome::Published));
    }
}

/// Does what a job needs before it is published, if it is to be.
fn gather(fs: &Fs, job: Job, batch: &mut Vec<publish::Request>, outcomes: &mut Vec<Outcome>) {
    match job {
        Job::Write(write) => outcomes.push(write.carry_out(fs)),
        Job::Publish(request) => batch.push(*request),
        Job::Make(files) => {
            for file in files {
                let content = file.content;
                match file.make(fs) {
                    Ok(request) => batch.push(request),
                    Err(fault) => outcomes.push(Outcome::not_made(content, Failure::Kept(fault))),
                }
            }
        }
    }
}

impl Outcome {
    /// A file could not be made.
    fn not_made(content: ContentId, why: Failure) -> Outcome {
        Outcome::Published(publish::Outcome { goal: Goal::Content(content), result: Err(why) })
    }
}

impl Write {
    /// Writes; lets go of the memory, so that the buffer is free once the outcome is told.
    fn carry_out(self, fs: &Fs) -> Outcome {
        let Write { content, chunk, buffer, bytes, file, offset } = self;
        let result = fs.write_at(&file, &bytes, offset);
        Outcome::Written { content, chunk, buffer, result }
    }
}

impl NewFile {
    /// Makes and fills the part; lets go of the memory.
    fn make(self, fs: &Fs) -> Result<publish::Request, Fault> {
        let NewFile { content, bytes, folder, folder_path, made_in, names, on_conflict } = self;
        let (file, there) = LockedFile::open_or_make(fs, &folder_path, &folder, &names)?;
        let size_bytes = bytes.len() as u64;
        let sized = if there > size_bytes { fs.set_len(&file, size_bytes) } else { Ok(()) };
        sized.and_then(|()| fs.write_at(&file, &bytes, 0)).map_err(|errno| {
            let _ = fs.unlink(&folder, &names.part);
            fault::writing("write", &folder_path.join(&names.part), errno)
        })?;
        Ok(publish::Request {
            goal: Goal::Content(content),
            size_bytes,
            file: Arc::new(file),
            folder,
            folder_path,
            made_in,
            names,
            has_state: false,
            on_conflict,
        })
    }
}

impl Wake {
    fn call(&self) {
        if let Some(wake) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            wake();
        }
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}
