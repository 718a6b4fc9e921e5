//! The names in the target folder, as they were a moment ago. Before each download it is looked whether its file or its part
//! is there; where many small files come at once, one look at the whole folder stands for those at what is not there.
//!
//! What appears in the folder meanwhile is met when the file gets its name, as after a look too.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::store::fs::{File, Fs, FsResult};
use crate::store::target::Names;

/// So long a listing counts.
const LISTING_AGE_MAX: Duration = Duration::from_secs(1);
/// So many looks are made one by one within that time before the folder is listed.
const LOOKS_BEFORE: u32 = 16;
/// Of a folder with more names than this, each is looked at.
const NAMES_MAX: usize = 4_096;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct Listing {
    since: Instant,
    looks: u32,
    /// `None`: not listed, or too long a list.
    names: Option<BTreeSet<String>>,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing { since: Instant::now(), looks: 0, names: None }
    }
}

impl Listing {
    /// Whether neither a download's file nor its part was in the folder a moment ago, and no other download of this name
    /// has asked since.
    pub(crate) fn lacks(&mut self, fs: &Fs, folder: &File, names: &Names) -> bool {
        if self.since.elapsed() > LISTING_AGE_MAX {
            *self = Listing::default();
        }
        self.looks = self.looks.saturating_add(1);
        if self.looks == LOOKS_BEFORE {
            // A folder that cannot be listed may still be looked into.
            self.names = list(fs, folder).unwrap_or_default();
            self.since = Instant::now();
        }
        let Some(listed) = &mut self.names else { return false };
        !listed.contains(names.part.as_str()) && listed.insert(names.wished.clone())
    }
}

/// The names in a folder; `None` when these are too many.
fn list(fs: &Fs, folder: &File) -> FsResult<Option<BTreeSet<String>>> {
    let (mut entries, mut names) = (fs.entries(folder)?, BTreeSet::new());
    while let Some(entry) = fs.next_entry(&mut entries)? {
        if names.len() >= NAMES_MAX {
            return Ok(None);
        }
        // What is no text has none of our names.
        if let Ok(name) = entry.file_name().to_str() {
            names.insert(name.to_owned());
        }
    }
    Ok(Some(names))
}
