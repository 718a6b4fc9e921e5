//! How many of the connected peers have each chunk of what is fetched here: which chunk to ask for next, and which to send
//! first, goes by that.

use std::collections::BTreeMap;

use crate::types::ContentId;

/// The counts of each content whose geometry is known, chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Copies(BTreeMap<ContentId, Vec<u16>>);

impl Copies {
    /// Counts a content of so many chunks from now on; nobody has any yet.
    pub(crate) fn begin(&mut self, content: ContentId, chunks: u32) {
        self.0.insert(content, vec![0; chunks as usize]);
    }

    /// A content is fetched no longer.
    pub(crate) fn end(&mut self, content: &ContentId) {
        self.0.remove(content);
    }

    /// The counts of a content; empty when it is not fetched.
    pub(crate) fn of(&self, content: &ContentId) -> &[u16] {
        self.find(content).unwrap_or_default()
    }

    /// The counts of a content that is fetched.
    pub(crate) fn find(&self, content: &ContentId) -> Option<&[u16]> {
        self.0.get(content).map(Vec::as_slice)
    }

    /// The same, to change them.
    pub(crate) fn find_mut(&mut self, content: &ContentId) -> Option<&mut [u16]> {
        self.0.get_mut(content).map(Vec::as_mut_slice)
    }

    /// One more peer has each of these chunks, or one less.
    pub(crate) fn count(&mut self, content: &ContentId, chunks: impl IntoIterator<Item = u32>, add: bool) {
        let Some(counts) = self.find_mut(content) else { return };
        for chunk in chunks {
            if let Some(count) = counts.get_mut(chunk as usize) {
                *count = if add { count.saturating_add(1) } else { count.saturating_sub(1) };
            }
        }
    }
}
