//! `hash`: prints the ids of files, as `b3sum` prints them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::json::{ContentEvent, Line};
use crate::cli::output::Output;
use crate::cli::progress::{Live, Pace};
use crate::cli::{Outcome, human};
use crate::core::Fault;
use crate::store;
use crate::store::folder::files_below;
use crate::types::name::printable;
use crate::types::{ContentId, Geometry};

/// Print the ids of files: their BLAKE3 hashes, as b3sum prints them
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  chunkcast hash talk.mkv\n  chunkcast hash photos/     one line for each file in the folder"
)]
pub(crate) struct HashArgs {
    /// Files, and folders of files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &HashArgs, out: &mut Output) -> Result<Outcome, Exit> {
    let (mut done, mut failures, mut sum) = (0, Vec::new(), 0u64);
    let mut fail = |out: &mut Output, fault: &Fault| {
        failures.push(Exit::of_fault(fault));
        out.error(Exit::of_fault(fault), &printable(&fault.text), None);
    };
    'paths: for path in &args.paths {
        let files = files_below(path).unwrap_or_else(|fault| {
            fail(out, &fault);
            Vec::new()
        });
        for path in &files {
            match hashed(path, out) {
                Ok((id, bytes)) => {
                    done += 1;
                    sum = sum.saturating_add(bytes);
                    report(path, id, bytes, out);
                }
                Err(fault) => fail(out, &fault),
            }
            if out.ended().is_some() {
                break 'paths;
            }
        }
    }
    Ok(Outcome { exit: Exit::of_all(done, &failures), done, failed: failures.len(), bytes: sum })
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

fn report(path: &Path, id: ContentId, bytes: u64, out: &mut Output) {
    let name = path.to_string_lossy();
    out.json(&Line::Content {
        event: ContentEvent::Hashed,
        id,
        name: &name,
        size: bytes,
        of: Geometry::native(bytes).map_or(0, |geometry| geometry.chunks()),
        holders: &[],
    });
    out.result(&line(id, &name));
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
