//! `hash`: prints the ids of files, as `b3sum` prints them, and those of folders.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::json::{ContentEvent, Line};
use crate::cli::output::Output;
use crate::cli::progress::{Live, Pace};
use crate::cli::{Outcome, human};
use crate::core::{Fault, FaultKind};
use crate::store;
use crate::store::folder::{Tree, tree};
use crate::types::listing::{EntryKind, Listing, ListingEntry, ListingError};
use crate::types::name::printable;
use crate::types::{ContentId, Geometry};

const ABOUT: &str = "\
Print the ids of files: their BLAKE3 hashes, as b3sum prints them.

For a folder, a line for each file in it comes first, then the folder's own id, which is the same wherever the same \
files, links and empty folders are in it. Hidden files are left out.";

/// Print the ids of files and folders
#[derive(Debug, Args)]
#[command(
    long_about = ABOUT,
    after_help = "Examples:\n  chunkcast hash talk.mkv\n  chunkcast hash photos/     one line for each file in the folder, then the folder"
)]
pub(crate) struct HashArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &HashArgs, out: &mut Output) -> Result<Outcome, Exit> {
    let mut sums = Sums::default();
    for path in &args.paths {
        match tree(path) {
            Err(fault) => sums.fail(out, &fault),
            Ok(None) => {
                let hashed = hashed(path, out);
                sums.add(path, hashed, out);
            }
            Ok(Some(tree)) => sums.add_folder(path, tree, out),
        }
        if out.ended().is_some() {
            break;
        }
    }
    Ok(sums.outcome())
}

/// What came of all that was to be hashed.
#[derive(Debug, Default)]
struct Sums {
    done: usize,
    failures: Vec<Exit>,
    bytes: u64,
}

impl Sums {
    fn add(&mut self, path: &Path, hashed: Result<(ContentId, u64), Fault>, out: &mut Output) {
        match hashed {
            Ok((id, bytes)) => {
                self.done += 1;
                self.bytes = self.bytes.saturating_add(bytes);
                report(&path.to_string_lossy(), (id, bytes), bytes, out);
            }
            Err(fault) => self.fail(out, &fault),
        }
    }

    fn add_folder(&mut self, path: &Path, tree: Tree, out: &mut Output) {
        let listed = listing(path, tree, out, |file, hashed, out| self.add(file, hashed, out));
        match listed {
            Some(Ok(listing)) => {
                let name = folder_name(path);
                let bytes = listing.encode().len() as u64;
                report(&name, (listing.id(), bytes), listing.files().1, out);
            }
            Some(Err(error)) => self.fail(out, &cannot_be_listed(path, &error)),
            None => {}
        }
    }

    fn fail(&mut self, out: &mut Output, fault: &Fault) {
        let exit = Exit::of_fault(fault);
        self.failures.push(exit);
        out.error(exit, &printable(&fault.text), None);
    }

    fn outcome(self) -> Outcome {
        let exit = Exit::of_all(self.done, &self.failures);
        Outcome { exit, done: self.done, failed: self.failures.len(), bytes: self.bytes }
    }
}

/// The listing of a folder. `each` is told of every file what its id is, or why that is not known. What is left out is
/// told on stderr. `None` where a file cannot be read, or nobody reads the output any more.
pub(crate) fn listing(
    path: &Path,
    tree: Tree,
    out: &mut Output,
    mut each: impl FnMut(&Path, Result<(ContentId, u64), Fault>, &mut Output),
) -> Option<Result<Listing, ListingError>> {
    for (below, why) in &tree.left_out {
        out.note(&format!("left out {}: {why}", human::quoted_path(&path.join(below))));
    }
    let (mut entries, mut is_whole) = (tree.others, true);
    for (below, executable) in tree.files {
        let file = path.join(&below);
        let hashed = hashed(&file, out);
        match (&hashed, below.into_os_string().into_string()) {
            (&Ok((id, size)), Ok(path)) => {
                entries.push(ListingEntry { path, kind: EntryKind::File { id, size, executable } });
            }
            _ => is_whole = false,
        }
        each(&file, hashed, out);
        if out.ended().is_some() {
            return None;
        }
    }
    is_whole.then(|| Listing::new(entries))
}

/// How a folder is named in a list of files.
pub(crate) fn folder_name(path: &Path) -> String {
    format!("{}/", path.to_string_lossy().trim_end_matches('/'))
}

/// Why a folder has no id.
pub(crate) fn cannot_be_listed(path: &Path, error: &ListingError) -> Fault {
    let text = format!("{} cannot be one content: {error}", human::quoted_path(path));
    Fault { kind: FaultKind::Denied, text }
}

/// The id and size of a file; on a terminal it is seen how far that is.
pub(crate) fn hashed(path: &Path, out: &mut Output) -> Result<(ContentId, u64), Fault> {
    let shown = human::shortened(&printable(&path.to_string_lossy()), 40);
    // What is done in the blink of an eye needs no line.
    let (mut pace, mut every) = (Pace::default(), Live::from_now());
    let hashed = store::hash_path(path, |bytes| {
        let now = Instant::now();
        pace.add(now, bytes);
        if every.is_due(now) {
            out.show(&format!("{shown}  {}  {}", human::size(bytes), human::rate(pace.bytes_per_s())));
        }
    });
    out.clear();
    hashed
}

/// Prints the id of a content of `bytes`. `size` is what people take for its size: of a folder, that of its files.
fn report(name: &str, (id, bytes): (ContentId, u64), size: u64, out: &mut Output) {
    out.json(&Line::Content {
        event: ContentEvent::Hashed,
        id,
        name,
        size,
        of: Geometry::native(bytes).map_or(0, |geometry| geometry.chunks()),
        holders: &[],
    });
    out.result(&line(id, name));
}

/// The line that `b3sum` prints: with a backslash before it when the name had to be escaped.
fn line(id: ContentId, name: &str) -> String {
    if name.contains(['\\', '\n', '\r']) {
        let name = name.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
        return format!("\\{id}  {name}");
    }
    format!("{id}  {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_b3sum() {
        let id = ContentId([0xab; 32]);
        assert_eq!(line(id, "a b"), format!("{}  a b", "ab".repeat(32)));
        assert_eq!(line(id, "a\nb\\"), format!("\\{}  a\\nb\\\\", "ab".repeat(32)));
    }
}
