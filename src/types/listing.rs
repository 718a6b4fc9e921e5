//! The listing of a folder: what is in it, as bytes that are the same on every machine.
//!
//! The listing is a content like any other, so the id of a folder is the BLAKE3 hash of these bytes. `docs/protocol.md`
//! specifies them. A [`Listing`] that exists is safe to write below a target folder: no path and no link leads out of it,
//! nothing lies below a file or a link, and no path comes twice. Times are not part of it.

mod codec;
mod paths;

use std::fmt;

use crate::types::id::ContentId;
use crate::types::name::quoted;

/// The most entries of a listing.
pub const ENTRIES_MAX: usize = 1_000_000;
/// The most bytes of a listing.
pub const LISTING_BYTES_MAX: usize = 64 << 20;
/// The most bytes of a path, with its separators, and of the target of a link.
pub const PATH_BYTES_MAX: usize = 1_024;
/// The most bytes of one component of a path.
pub const COMPONENT_BYTES_MAX: usize = 255;
/// The most components of a path.
pub const DEPTH_MAX: usize = 64;

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingEntry {
    /// Its path below the folder; `/` separates components.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry of a listing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file.
    File {
        /// Its content.
        id: ContentId,
        /// Its size in bytes.
        size: u64,
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A folder with nothing in it. Other folders are in the paths of what they hold.
    EmptyFolder,
    /// A symbolic link.
    Link {
        /// The path that it holds, relative to the folder that it is in.
        target: String,
    },
}

/// The contents of a folder, in the order of the bytes of their paths. Every value of this type has passed all checks.
///
/// ```
/// use chunkcast::types::ContentId;
/// use chunkcast::types::listing::{EntryKind, Listing, ListingEntry};
/// let file = EntryKind::File { id: ContentId([7; 32]), size: 3, executable: false };
/// let entry = |path: &str, kind| ListingEntry { path: path.to_owned(), kind };
/// let listing = Listing::new(vec![entry("src/main.rs", file.clone()), entry("empty", EntryKind::EmptyFolder)])?;
/// assert_eq!(Listing::decode(&listing.encode())?, listing);
/// assert!(Listing::new(vec![entry("../escape", file)]).is_err());
/// # Ok::<(), chunkcast::types::listing::ListingError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    entries: Vec<ListingEntry>,
}

/// Why bytes, or entries, are no listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingError {
    /// The bytes do not begin as a listing does.
    NotAListing,
    /// The bytes end inside an entry, or are not written in the one way there is.
    Malformed,
    /// It has more than [`ENTRIES_MAX`] entries.
    Entries,
    /// It has more than [`LISTING_BYTES_MAX`] bytes.
    Bytes,
    /// The sizes of its files add up to more than a number of 64 bits holds.
    Sizes,
    /// An entry cannot be written below a folder.
    Entry {
        /// The path of the entry.
        path: String,
        /// What is wrong with it.
        why: EntryFault,
    },
}

/// What is wrong with an entry of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryFault {
    /// The path is empty, or one of its components is: it begins or ends with `/`, or has `//` in it.
    EmptyComponent,
    /// A component is `.` or `..`.
    Dots,
    /// A path, or a target, has a zero byte in it.
    Zero,
    /// The path is longer than [`PATH_BYTES_MAX`], or a component is longer than [`COMPONENT_BYTES_MAX`].
    TooLong,
    /// The path has more than [`DEPTH_MAX`] components.
    TooDeep,
    /// Another entry has the same path.
    Twice,
    /// What it would lie in is a file, a link, or a folder that is said to be empty.
    BelowAnEntry,
    /// A link whose target is no relative path, or is not sure to lie in the folder.
    LeadsOut,
}

impl Listing {
    /// The listing of these entries, in whatever order they come.
    ///
    /// # Errors
    ///
    /// [`ListingError`] for the first entry that cannot be in a listing, or for a bound that is exceeded.
    pub fn new(mut entries: Vec<ListingEntry>) -> Result<Listing, ListingError> {
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        paths::check_all(&entries)?;
        let listing = Listing { entries };
        if listing.encoded_len() > LISTING_BYTES_MAX {
            return Err(ListingError::Bytes);
        }
        Ok(listing)
    }

    /// Its entries, in the order of the bytes of their paths.
    pub fn entries(&self) -> &[ListingEntry] {
        &self.entries
    }

    /// The entry of a path.
    pub fn get(&self, path: &str) -> Option<&ListingEntry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// How many files it has, and how many bytes these have together.
    pub fn files(&self) -> (u64, u64) {
        self.entries.iter().fold((0, 0), |(files, bytes), entry| match &entry.kind {
            EntryKind::File { size, .. } => (files.saturating_add(1), bytes.saturating_add(*size)),
            EntryKind::EmptyFolder | EntryKind::Link { .. } => (files, bytes),
        })
    }

    /// The id of the folder.
    pub fn id(&self) -> ContentId {
        ContentId(*blake3::hash(&self.encode()).as_bytes())
    }
}

/// Whether a link at `path` may be in a listing: its target is relative and in the folder, wherever other links of the
/// listing lead.
pub fn link_stays_inside(path: &str, target: &str) -> bool {
    paths::link_fault(path, target).is_none()
}

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListingError::NotAListing => f.write_str("it is not the listing of a folder"),
            ListingError::Malformed => f.write_str("its listing is malformed"),
            ListingError::Entries => f.write_str("it has more than 1,000,000 files, folders and links"),
            ListingError::Bytes => f.write_str("its listing is larger than 64 MiB"),
            ListingError::Sizes => f.write_str("the sizes of its files add up to more than 16 EiB"),
            ListingError::Entry { path, why } => write!(f, "the path {} {why}", quoted(path)),
        }
    }
}

impl fmt::Display for EntryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EntryFault::EmptyComponent => "has an empty component",
            EntryFault::Dots => "has a component \".\" or \"..\"",
            EntryFault::Zero => "has a zero byte in it",
            EntryFault::TooLong => "is longer than 1,024 bytes, or has a component of more than 255",
            EntryFault::TooDeep => "has more than 64 components",
            EntryFault::Twice => "comes twice",
            EntryFault::BelowAnEntry => "lies below something that is no folder",
            EntryFault::LeadsOut => "is a link that leads out of the folder",
        })
    }
}

impl std::error::Error for ListingError {}

#[cfg(test)]
mod tests;
