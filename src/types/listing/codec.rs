//! The bytes of a listing.

use super::{ENTRIES_MAX, EntryKind, LISTING_BYTES_MAX, Listing, ListingEntry, ListingError, paths};
use crate::types::id::ContentId;

/// What every listing begins with; the number is that of the format.
const HEAD: &[u8] = b"chunkcast folder 1\n";

const FILE: u8 = 0;
const EXECUTABLE: u8 = 1;
const EMPTY_FOLDER: u8 = 2;
const LINK: u8 = 3;

/// The kind, and the two lengths of the path.
const ENTRY_HEAD_BYTES: usize = 5;
/// The size and the id of a file.
const FILE_BYTES: usize = 40;
/// The length of a link's target.
const TARGET_LENGTH_BYTES: usize = 2;

impl Listing {
    /// Its bytes. The same entries always have the same.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        bytes.extend_from_slice(HEAD);
        let mut before = "";
        for entry in &self.entries {
            let path = entry.path.as_str();
            let shared = shared_bytes(before, path);
            let rest = path.as_bytes().get(shared..).unwrap_or_default();
            bytes.push(kind(&entry.kind));
            bytes.extend_from_slice(&length(shared));
            bytes.extend_from_slice(&length(rest.len()));
            bytes.extend_from_slice(rest);
            match &entry.kind {
                EntryKind::File { id, size, .. } => {
                    bytes.extend_from_slice(&size.to_be_bytes());
                    bytes.extend_from_slice(&id.0);
                }
                EntryKind::Link { target } => {
                    bytes.extend_from_slice(&length(target.len()));
                    bytes.extend_from_slice(target.as_bytes());
                }
                EntryKind::EmptyFolder => {}
            }
            before = path;
        }
        bytes
    }

    /// How many bytes [`Listing::encode`] gives.
    pub(super) fn encoded_len(&self) -> usize {
        let (mut sum, mut before) = (HEAD.len(), "");
        for entry in &self.entries {
            let body = match &entry.kind {
                EntryKind::File { .. } => FILE_BYTES,
                EntryKind::Link { target } => target.len().saturating_add(TARGET_LENGTH_BYTES),
                EntryKind::EmptyFolder => 0,
            };
            let rest = entry.path.len().saturating_sub(shared_bytes(before, &entry.path));
            sum = sum.saturating_add(ENTRY_HEAD_BYTES).saturating_add(rest).saturating_add(body);
            before = &entry.path;
        }
        sum
    }

    /// Reads a listing, whoever made it.
    ///
    /// # Errors
    ///
    /// [`ListingError`] for bytes that are not exactly what [`Listing::encode`] gives for some folder. Nothing of them
    /// can be used then.
    pub fn decode(bytes: &[u8]) -> Result<Listing, ListingError> {
        if bytes.len() > LISTING_BYTES_MAX {
            return Err(ListingError::Bytes);
        }
        let mut left = Reader(bytes.strip_prefix(HEAD).ok_or(ListingError::NotAListing)?);
        let mut entries: Vec<ListingEntry> = Vec::new();
        while !left.0.is_empty() {
            if entries.len() == ENTRIES_MAX {
                return Err(ListingError::Entries);
            }
            let before = entries.last().map_or("", |entry| entry.path.as_str());
            entries.push(left.entry(before).ok_or(ListingError::Malformed)?);
        }
        paths::check_all(&entries)?;
        Ok(Listing { entries })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(len)?;
        self.0 = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn length(&mut self) -> Option<usize> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    /// One entry; `None` where it is cut short or could be written in another way.
    fn entry(&mut self, before: &str) -> Option<ListingEntry> {
        let [kind] = self.array()?;
        let (shared, rest) = (self.length()?, self.length()?);
        let mut path = before.as_bytes().get(..shared)?.to_vec();
        path.extend_from_slice(self.take(rest)?);
        let path = String::from_utf8(path).ok()?;
        if shared_bytes(before, &path) != shared {
            return None;
        }
        let kind = match kind {
            FILE | EXECUTABLE => EntryKind::File {
                size: u64::from_be_bytes(self.array()?),
                id: ContentId(self.array()?),
                executable: kind == EXECUTABLE,
            },
            EMPTY_FOLDER => EntryKind::EmptyFolder,
            LINK => {
                let len = self.length()?;
                EntryKind::Link { target: String::from_utf8(self.take(len)?.to_vec()).ok()? }
            }
            _ => return None,
        };
        Some(ListingEntry { path, kind })
    }
}

fn kind(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { executable: false, .. } => FILE,
        EntryKind::File { executable: true, .. } => EXECUTABLE,
        EntryKind::EmptyFolder => EMPTY_FOLDER,
        EntryKind::Link { .. } => LINK,
    }
}

/// A length that was checked to be small enough.
fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// How many bytes two paths have in common at their beginnings.
pub(super) fn shared_bytes(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}
