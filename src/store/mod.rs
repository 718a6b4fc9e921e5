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

/// Hashes a whole file.
pub fn hash_path(path: &Path, mut progress: impl FnMut(u64)) -> Result<(ContentId, u64), Fault> {
    use std::io::Read;
    let fault = |e: std::io::Error| Fault {
        kind: crate::core::FaultKind::Io,
        text: format!("{}: {e}", path.display()),
    };
    let mut file = File::open(path).map_err(fault)?;
    let (mut hasher, mut size, mut buf) = (blake3::Hasher::new(), 0, vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buf).map_err(fault)?;
        if n == 0 {
            return Ok((ContentId(*hasher.finalize().as_bytes()), size));
        }
        hasher.update(&buf[..n]);
        size += n as u64;
        progress(size);
    }
}
