//! A failed download from classic peers: what happened, what was kept, what to do next.

use std::path::Path;
use std::time::Duration;

use crate::cli::classic::json::Line;
use crate::cli::command_line::again;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::output::Output;
use crate::cli::wanted::shell_quoted;
use crate::core::{ClassicFailure, FaultKind};
use crate::types::name::printable;
use crate::wire::classic::ChunkName;

/// The most names that are listed.
const LISTED_MAX: usize = 8;

/// How a file was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// On the network, after no native peer offered it.
    Beside,
    /// On the network, by a process that does all itself.
    Itself,
    /// In the dictionary that another process writes.
    InDictionary,
}

/// What surrounded a failure.
#[derive(Debug)]
pub(crate) struct Circumstances<'a> {
    pub(crate) looked: Looked,
    /// How long.
    pub(crate) wait: Duration,
    /// Chunks that are kept, and where.
    pub(crate) kept: u32,
    pub(crate) chunk_dir: &'a Path,
}

/// The exit code that a failure alone ends with.
pub(crate) fn exit_of(reason: &ClassicFailure) -> Exit {
    match reason {
        ClassicFailure::NobodyOffers { .. } => Exit::Nobody,
        ClassicFailure::Ambiguous { .. } => Exit::Ambiguous,
        ClassicFailure::Incomplete { .. } => Exit::GaveUp,
        ClassicFailure::Conflict { .. } => Exit::Integrity,
        ClassicFailure::Storage(fault) => Exit::of_fault(fault),
        ClassicFailure::Cancelled => Exit::Interrupted,
    }
}

/// The failure of getting `what`, for `reason`.
pub(crate) fn of(what: &str, reason: &ClassicFailure, around: &Circumstances<'_>) -> Failure {
    let (happened, next) = match reason {
        ClassicFailure::NobodyOffers { peers, files } => nobody(*peers, files, around),
        ClassicFailure::Ambiguous { files } => {
            let happened = format!("several files have this name: {}", listed(files));
            let with_extension = files.first().map(|file| printable(&shell_quoted(file)));
            let next = with_extension.map(|file| format!("use the name with its extension: {file}"));
            (happened, next.into_iter().collect())
        }
        ClassicFailure::Incomplete { missing } => {
            let names: Vec<String> = missing.iter().map(ChunkName::to_string).collect();
            let happened = format!("no classic peer delivers {}", listed(&names));
            (happened, vec![again()])
        }
        ClassicFailure::Conflict { text } => (
            format!("the chunks do not fit one file and were not joined: {}", printable(text)),
            vec![format!(
                "remove the wrong chunks from {}, then run the same command",
                human::quoted_path(around.chunk_dir)
            )],
        ),
        // The fault itself says what to do; then the same command goes on, unless something has to be decided.
        ClassicFailure::Storage(fault) => {
            let decided = matches!(fault.kind, FaultKind::Full | FaultKind::Io | FaultKind::Busy);
            (printable(&fault.text), if decided { vec![again()] } else { Vec::new() })
        }
        ClassicFailure::Cancelled => ("it was cancelled".to_owned(), vec![again()]),
    };
    Failure {
        exit: exit_of(reason),
        title: format!("{} was not fetched from classic peers", human::quoted(what)),
        happened,
        kept: kept(around.kept, around.chunk_dir),
        next,
    }
}

/// Tells of it: to people as of any failure, with `--json` marked as classic.
pub(crate) fn report(failure: &Failure, of: &Subject<'_>, reason: &ClassicFailure, out: &mut Output) {
    let missing = match reason {
        ClassicFailure::Incomplete { missing } => missing.iter().map(ChunkName::to_string).collect(),
        _ => Vec::new(),
    };
    let (message, next) = (failure.message(), failure.next.join("; "));
    let line = Line::Error {
        exit: failure.exit.code(),
        kind: failure.exit.word(),
        name: of.name.unwrap_or_default(),
        message: &message,
        next: Some(next.as_str()).filter(|next| !next.is_empty()),
        missing,
    };
    out.json(&line.marked());
    failure.show(out, of);
}

/// What is left of a download that ended; `None`: nothing.
pub(crate) fn kept(chunks: u32, chunk_dir: &Path) -> Option<String> {
    let dir = human::quoted_path(chunk_dir);
    (chunks > 0)
        .then(|| format!("{}, unverified, in {dir}", human::counted(chunks as usize, "chunk", "chunks")))
}

fn nobody(peers: usize, files: &[String], around: &Circumstances<'_>) -> (String, Vec<String>) {
    let wait = human::span(around.wait);
    let heard = human::counted(peers, "classic peer", "classic peers");
    let happened = match around.looked {
        Looked::Beside => format!(
            "no native peer offers it, and no classic peer announced it (listened for {wait}; {heard})"
        ),
        Looked::Itself => format!("no classic peer announced it (listened for {wait}; {heard})"),
        Looked::InDictionary => {
            format!("no peer in the dictionary has it (read for {wait}; {heard})")
        }
    };
    let mut next = Vec::new();
    if !files.is_empty() {
        next.push(format!("announced files: {}", listed(files)));
    }
    match (around.looked, peers) {
        (Looked::InDictionary, 0) => next.push(
            "start 'chunkcast classic discover', or another discovery program, with the same --dir and \
             --dictionary"
                .to_owned(),
        ),
        (Looked::Beside | Looked::Itself, 0) => {
            next.push("use --wait 65s: classic peers announce about once a minute".to_owned());
        }
        _ => {}
    }
    (happened, next)
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED_MAX).map(|name| human::quoted(name)).collect();
    let more = names.len().saturating_sub(LISTED_MAX);
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{and}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Fault;

    fn around(looked: Looked, kept: u32) -> Circumstances<'static> {
        Circumstances { looked, wait: Duration::from_secs(62), kept, chunk_dir: Path::new("d/chunks") }
    }

    fn missing() -> ClassicFailure {
        let missing = [3, 5].map(|index| ChunkName::parse(&format!("forest_{index}")).unwrap());
        ClassicFailure::Incomplete { missing: missing.to_vec() }
    }

    #[test]
    fn codes_are_those_of_the_table() {
        let fault = |kind| ClassicFailure::Storage(Fault { kind, text: String::new() });
        for (reason, code) in [
            (ClassicFailure::NobodyOffers { peers: 0, files: vec![] }, 3),
            (ClassicFailure::Ambiguous { files: vec![] }, 8),
            (missing(), 5),
            (ClassicFailure::Conflict { text: String::new() }, 6),
            (fault(FaultKind::Full), 7),
            (fault(FaultKind::Exists), 8),
        ] {
            assert_eq!(exit_of(&reason).code(), code, "{reason:?}");
        }
    }

    #[test]
    fn nobody_says_how_it_was_looked_for_and_what_there_is() {
        let reason = ClassicFailure::NobodyOffers { peers: 2, files: vec!["river\u{1b}.png".into()] };
        let failure = of("forest", &reason, &around(Looked::Beside, 0));
        assert!(failure.happened.contains("1:02 min") && failure.happened.contains("2 classic peers"));
        assert!(failure.next[0].contains("river") && !failure.next[0].contains('\u{1b}'));
        assert_eq!((failure.next.len(), failure.kept), (1, None));
        let reason = ClassicFailure::NobodyOffers { peers: 0, files: vec![] };
        let next = |looked| of("forest", &reason, &around(looked, 0)).next.join("");
        assert!(next(Looked::Beside).contains("--wait 65s"));
        assert!(next(Looked::InDictionary).contains("classic discover"));
    }

    #[test]
    fn what_is_missing_and_what_is_kept_is_named() {
        let failure = of("forest", &missing(), &around(Looked::Itself, 3));
        assert!(failure.happened.contains("\"forest_3\", \"forest_5\""), "{failure:?}");
        assert_eq!(failure.kept.as_deref(), Some("3 chunks, unverified, in \"d/chunks\""));
        let conflict = ClassicFailure::Conflict { text: "chunk 2 has 9 bytes where others have 8".into() };
        let failure = of("forest", &conflict, &around(Looked::Itself, 2));
        assert!(failure.happened.contains("chunk 2 has 9 bytes") && failure.next[0].contains("d/chunks"));
        let several = ClassicFailure::Ambiguous { files: vec!["f.png".into(), "f.jpg".into()] };
        let failure = of("f", &several, &around(Looked::Itself, 0));
        assert!(failure.happened.contains("\"f.png\", \"f.jpg\"") && failure.next[0].contains("f.png"));
    }
}
