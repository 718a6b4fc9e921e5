//! Which paths and links may be in a listing.

use super::codec::shared_bytes;
use super::{
    COMPONENT_BYTES_MAX, DEPTH_MAX, ENTRIES_MAX, EntryFault, EntryKind, ListingEntry, ListingError,
    PATH_BYTES_MAX,
};

/// Checks entries in the order of their paths: each alone, and that none is below another.
pub(super) fn check_all(entries: &[ListingEntry]) -> Result<(), ListingError> {
    if entries.len() > ENTRIES_MAX {
        return Err(ListingError::Entries);
    }
    let (mut bytes, mut before) = (0_u64, "");
    for (at, entry) in entries.iter().enumerate() {
        let path = entry.path.as_str();
        let refuse = |why| Err(ListingError::Entry { path: path.to_owned(), why });
        if let Some(why) = path_fault(path) {
            return refuse(why);
        }
        if at > 0 && path <= before {
            return if path == before { refuse(EntryFault::Twice) } else { Err(ListingError::Malformed) };
        }
        // The folders of a path that the path before has as well were looked at with that one.
        let shared = shared_bytes(before, path);
        let seen = entries.get(..at).unwrap_or_default();
        let new_folders = path.match_indices('/').map(|(end, _)| end).filter(|end| *end >= shared);
        for end in new_folders {
            let folder = path.get(..end).unwrap_or_default();
            if seen.binary_search_by(|other| other.path.as_str().cmp(folder)).is_ok() {
                return refuse(EntryFault::BelowAnEntry);
            }
        }
        match &entry.kind {
            EntryKind::File { size, .. } => bytes = bytes.checked_add(*size).ok_or(ListingError::Sizes)?,
            EntryKind::Link { target } => {
                if let Some(why) = link_fault(path, target) {
                    return refuse(why);
                }
            }
            EntryKind::EmptyFolder => {}
        }
        before = path;
    }
    Ok(())
}

fn path_fault(path: &str) -> Option<EntryFault> {
    if path.len() > PATH_BYTES_MAX {
        return Some(EntryFault::TooLong);
    }
    if path.contains('\0') {
        return Some(EntryFault::Zero);
    }
    if path.split('/').count() > DEPTH_MAX {
        return Some(EntryFault::TooDeep);
    }
    path.split('/').find_map(|component| match component {
        "" => Some(EntryFault::EmptyComponent),
        "." | ".." => Some(EntryFault::Dots),
        long if long.len() > COMPONENT_BYTES_MAX => Some(EntryFault::TooLong),
        _ => None,
    })
}

/// A link may go up only at the beginning of its target, and no further than to the folder itself. Above it there are only
/// real folders, so each step up is what it seems to be; and what goes down from there, through other links of this kind as
/// well, never leads out.
pub(super) fn link_fault(path: &str, target: &str) -> Option<EntryFault> {
    if target.contains('\0') {
        return Some(EntryFault::Zero);
    }
    if target.len() > PATH_BYTES_MAX {
        return Some(EntryFault::TooLong);
    }
    if target.is_empty() || target.starts_with('/') {
        return Some(EntryFault::LeadsOut);
    }
    let (mut above, mut goes_down) = (path.matches('/').count(), false);
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if goes_down || above == 0 => return Some(EntryFault::LeadsOut),
            ".." => above = above.saturating_sub(1),
            _ => goes_down = true,
        }
    }
    None
}
