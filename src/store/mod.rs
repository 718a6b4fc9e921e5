//! The only code that touches files. Every system call of it goes through `store/fs.rs`.

pub mod buffers;
pub mod scratch;
pub mod transfer_log;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use buffers::Buffers;

use crate::core::{ContentId, Fault, SpanFault, StoreJob, StoreReply};

/// Where the store keeps things and how it treats what is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The state directory: share index, manifests. Made when missing.
    pub state_dir: PathBuf,
    /// The folder downloads are asked into.
    pub target_dir: PathBuf,
    /// The local file name of the one download (`-o FILE`); else it follows from the content's name.
    pub target_name: Option<String>,
    /// What to do when the target exists with other content.
    pub on_conflict: OnConflict,
}

/// What to do when the target of a download exists with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Take another name: `NAME (2)`.
    Rename,
    /// Leave it alone and do not download.
    Skip,
    /// Replace it, once the download is complete.
    Overwrite,
    /// Fail.
    Error,
}

/// What the store tells.
#[derive(Debug)]
pub enum StoreEvent {
    /// For the core.
    Reply(StoreReply),
    /// A path that was to be shared, or a file in it, is left out, and why, in a sentence.
    Skipped {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Everything that was to be shared by now is hashed.
    ScanDone {
        /// Files shared now.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
}

/// The store of one process.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Opens the state directory; the target folder is opened when the first download needs it.
    pub fn open(config: StoreConfig) -> Result<Store, Fault> {
        let _ = config;
        Ok(Store {})
    }

    /// Queues a file, or all files below a folder, for hashing and sharing. The result comes through
    /// [`Store::poll`].
    pub fn share(&mut self, path: &Path) -> Result<(), Fault> {
        let _ = path;
        Ok(())
    }

    /// Sets what the helper thread calls when a result of it waits to be polled.
    pub fn on_result(&mut self, wake: Box<dyn Fn() + Send>) {
        let _ = wake;
    }

    /// Takes a job; its reply comes through [`Store::poll`], at once or later.
    pub fn submit(&mut self, job: StoreJob, buffers: &mut Buffers) {
        let _ = (job, buffers);
    }

    /// Whether [`Store::step`] has something to do.
    pub fn has_work(&self) -> bool {
        false
    }

    /// Does one slice (about one chunk) of the work that was queued: hashing shares, checking parts.
    pub fn step(&mut self) {}

    /// The next thing to tell.
    pub fn poll(&mut self) -> Option<StoreEvent> {
        None
    }

    /// The open file that holds a content, after a look that it still is what was hashed; a part, for the chunks
    /// that are had. Offsets in it are those of the content.
    pub fn span(&mut self, content: &ContentId) -> Result<&File, SpanFault> {
        let _ = content;
        Err(SpanFault::Gone)
    }
}
