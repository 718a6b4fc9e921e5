//! What the store is told at its start, and what it tells.

use std::path::PathBuf;

use crate::core::StoreReply;
use crate::wire::classic::ChunkRule;
use crate::wire::classic::records::DictionaryShape;

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
    /// Where the chunks of the classic dialects are kept; `None`: nowhere, and no job comes for them.
    pub classic: Option<ClassicStore>,
}

/// Where the chunks of the classic dialects are kept, and what is written down about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicStore {
    /// The folder of the chunks; spools are in it too, hidden. Made when missing. Joined files go to
    /// [`StoreConfig::target_dir`].
    pub chunk_dir: PathBuf,
    /// The files that the field's programs share. `None`: none is read or written, and the chunks that are kept are
    /// those that lie in the folder.
    pub records: Option<ClassicRecords>,
    /// Whether the chunks of a file are removed when it was joined and the process ends.
    pub remove_joined: bool,
}

/// The files that the field's programs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicRecords {
    /// The chunks that are here. `None`: the programs in this folder keep no list.
    pub available: Option<PathBuf>,
    /// Which chunk files count that are not listed. `None`: none.
    pub unlisted: Option<UnlistedChunks>,
    /// Who has what.
    pub dictionary: PathBuf,
    /// The shape of a new dictionary.
    pub shape: DictionaryShape,
}

/// Which chunk files count that no list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnlistedChunks {
    /// How the files were cut.
    pub rule: ChunkRule,
    /// Names like `forest_1.png` count too.
    pub takes_inner: bool,
    /// Chunks have a folder of their own, where also those count that were there, beside a list, before this process.
    pub has_own_folder: bool,
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
    /// To the core.
    Reply(StoreReply),
    /// To people.
    Share(ShareEvent),
}

/// What becomes of what is to be shared.
#[derive(Debug)]
pub enum ShareEvent {
    /// A path that was to be shared, or a file in it, is left out, and why, in a sentence.
    Skipped {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file that is to be shared was written to a moment ago. It is shared once it is quiet.
    Unsettled {
        /// The name that it will have on the network.
        name: String,
    },
    /// A watched folder is away, and with it all that is in it; or it is back.
    Folder {
        /// Which.
        path: PathBuf,
        /// Why it is away; `None`: it is back.
        away: Option<String>,
    },
    /// Everything that was to be shared by now is hashed.
    ScanDone {
        /// Files shared now.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
}
