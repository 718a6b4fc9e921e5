//! A failure as users and scripts read it: what happened, what was kept, what to do next.

use std::time::Duration;

use clap::Parser;

use crate::cli::args::Cli;
use crate::cli::command_line::{again, command_for, command_line, command_to_get};
use crate::cli::exit::Exit;
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::json::Line;
use crate::cli::output::Output;
use crate::cli::wanted::argument_for;
use crate::core::{FailReason, FaultKind, PeerRef};
use crate::shell::terminal;
use crate::types::ContentId;
use crate::types::name::printable;
use crate::wire::message::Entry;

/// What follows the name of a download that failed.
const NOT_FETCHED: &str = " was not fetched";
/// The next step where nothing better is known.
pub(crate) const TROUBLE: &str = "README, Trouble";
/// The widest frame, in columns.
const FRAME_COLUMNS_MAX: usize = 100;
/// The most candidates, names or peers that are listed.
const LISTED_MAX: usize = 8;

/// Something that was asked for and did not come about. All text is safe to print.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A sentence without a full stop: the thing and its fate.
    pub(crate) title: String,
    pub(crate) happened: String,
    pub(crate) kept: Option<String>,
    /// What to do next, one line each.
    pub(crate) next: Vec<String>,
}

/// What surrounded a failure.
#[derive(Debug)]
pub(crate) struct Circumstances {
    /// How long was searched.
    pub(crate) wait: Duration,
    /// How long a download may go without holders.
    pub(crate) stall: Duration,
    /// The discovery port.
    pub(crate) port: u16,
    /// The size of the file in bytes, if it is known.
    pub(crate) size: Option<u64>,
    /// Chunks had and chunks there are, of a download that was begun.
    pub(crate) had: Option<(u32, u32)>,
}

impl Failure {
    /// The failure of getting `what`, for `reason`.
    pub(crate) fn of(what: &str, reason: &FailReason, around: &Circumstances) -> Failure {
        let (happened, next) = match reason {
            FailReason::NobodyOffers { peers, similar } => nobody(what, *peers, similar, around),
            FailReason::Ambiguous { candidates } => {
                let happened =
                    format!("{} stands for {} different files", human::quoted(what), candidates.len());
                (happened, choices(candidates))
            }
            FailReason::Stalled { missing, of } => {
                let stall = human::limit(around.stall);
                let happened = match (of, around.size) {
                    (0, _) => format!("for {stall} no peer was there that has this version"),
                    (of, Some(size)) => {
                        let left = human::size(human::share(size, *missing, *of));
                        format!("for {stall} no peer had the remaining {left}")
                    }
                    (of, None) => {
                        let [missing, of] = [missing, of].map(|chunks| human::count(u64::from(*chunks)));
                        format!("for {stall} no peer had the remaining {missing} of {of} chunks")
                    }
                };
                (happened, vec![again()])
            }
            FailReason::Integrity { banned } => {
                let peers: Vec<String> = banned.iter().take(LISTED_MAX).map(human::peer).collect();
                let happened = format!(
                    "the data does not match the id; every peer that offers it sent wrong chunks: {}",
                    peers.join(", ")
                );
                let next = "ask the owner to share the file again, then run the same command".to_owned();
                (happened, vec![next])
            }
            FailReason::OtherSize { claimed, size } => {
                let [claimed, size] = [claimed, size].map(|bytes| human::count(*bytes));
                let next = "ask the sender to send it again".to_owned();
                let happened =
                    format!("the sender offered {claimed} bytes and the file has {size}; nothing was kept");
                (happened, vec![next])
            }
            FailReason::KeepsChanging { times } => {
                let happened = format!("the owner replaced it {times} times before the first chunk arrived");
                let next = "run the same command again when the owner has finished editing".to_owned();
                (happened, vec![next])
            }
            FailReason::Removed { from } => {
                let (peer, name) = (human::peer(from), human::quoted(what));
                (format!("{peer} has removed {name}"), vec!["chunkcast ls".to_owned()])
            }
            // The fault itself says what to do; then the same command goes on, unless something has to be decided.
            FailReason::Storage(fault) => {
                let decided = matches!(fault.kind, FaultKind::Full | FaultKind::Io | FaultKind::Busy);
                (printable(&fault.text), if decided { vec![again()] } else { Vec::new() })
            }
            FailReason::Cancelled => ("it was cancelled".to_owned(), vec![again()]),
        };
        let exit = Exit::of_reason(reason);
        Failure {
            exit,
            title: format!("{}{NOT_FETCHED}", human::quoted(what)),
            happened,
            kept: around.had.map(|(have, of)| kept(have, of)),
            next,
        }
    }

    /// `what` stands for more than the `found` files that are fetched.
    pub(crate) fn of_too_many(what: &str, found: usize) -> Failure {
        let found = human::counted(found, "file", "files");
        Failure {
            exit: Exit::Partial,
            title: format!("{} was not fetched completely", human::quoted(what)),
            happened: format!("more files match than the {found} that are fetched in one run"),
            kept: None,
            next: vec!["narrow the pattern, for example 'photos/*' or '*.mkv'".to_owned()],
        }
    }

    /// What to do instead of the same command, which would fetch another content: a peer has replaced the one that this
    /// failed to get.
    pub(crate) fn replaced(&mut self, by: &ContentId, from: &PeerRef) {
        self.next =
            vec![format!("{} replaced it; for the new version: {}", human::peer(from), command_for(by))];
    }

    /// What is left when a signal or the clock ends a command before its downloads.
    pub(crate) fn cut_short(exit: Exit, done: usize, open: usize, kept: Option<String>) -> Failure {
        let why = exit.cause();
        let open = match open {
            1 => "1 file is incomplete".to_owned(),
            _ => format!("{} files are incomplete", human::count(open as u64)),
        };
        let done = match done {
            0 => String::new(),
            _ => format!(", {} complete", human::count(done as u64)),
        };
        Failure {
            exit,
            title: "the download is not complete".to_owned(),
            happened: format!("{why}; {open}{done}"),
            kept,
            next: vec![again()],
        }
    }

    /// The failure of a whole command that was there to download.
    pub(crate) fn of_command(exit: Exit, message: &str, next: Option<&str>) -> Failure {
        Failure {
            exit,
            title: "the download failed".to_owned(),
            happened: message.to_owned(),
            kept: None,
            next: next.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Reports it: framed on a terminal, otherwise in a line, with `--json` also in a JSON line; beyond stderr as
    /// [`crate::cli::failure_notice`] says.
    pub(crate) fn report(&self, out: &mut Output, id: Option<ContentId>, name: Option<&str>) {
        self.report_of(out, &Subject { id, name, path: None });
    }

    /// The same, of a subject of which more may be known.
    pub(crate) fn report_of(&self, out: &mut Output, of: &Subject<'_>) {
        self.report_to_scripts(out, of);
        self.show(out, of);
    }

    /// Tells of it wherever each failure is told by itself; who reads stderr knows it already.
    pub(crate) fn list(&self, out: &mut Output, of: &Subject<'_>) {
        self.report_to_scripts(out, of);
        out.shown.add(self, of);
    }

    fn report_to_scripts(&self, out: &mut Output, of: &Subject<'_>) {
        let next = self.next.join("; ");
        let message = self.message();
        out.json(&Line::Error {
            exit: self.exit.code(),
            kind: self.exit.word(),
            id: of.id,
            name: of.name,
            message: &message,
            next: Some(&next).filter(|next| !next.is_empty()).map(String::as_str),
        });
    }

    /// Title and what happened, in a sentence. The title is left out where the rest of a failed download names the file.
    pub(crate) fn message(&self) -> String {
        match self.title.strip_suffix(NOT_FETCHED) {
            Some(name) if self.happened.contains(name) => self.happened.clone(),
            _ => format!("{}: {}", self.title, self.happened),
        }
    }

    /// Tells people alone, on stderr and beyond.
    pub(crate) fn show(&self, out: &mut Output, of: &Subject<'_>) {
        self.show_plainly(out);
        out.shown.add(self, of);
        let complaints = out.shown.complaints();
        out.complain(&complaints);
    }

    /// Tells people on stderr alone: the dialog and scripts know it already.
    pub(crate) fn show_plainly(&self, out: &mut Output) {
        let text = if out.shown.frames() { self.framed(stderr_columns()) } else { self.plain() };
        out.fail(&text);
    }

    /// A frame of at most `columns`.
    fn framed(&self, columns: usize) -> String {
        let mut lines = vec![format!("┌ {}", self.title)];
        let mut add = |heading: &str, text: &str| {
            for (at, line) in wrapped(text, columns.saturating_sub(12)).iter().enumerate() {
                lines.push(format!("│ {:<9} {line}", if at == 0 { heading } else { "" }));
            }
        };
        add("happened", &self.happened);
        if let Some(kept) = &self.kept {
            add("kept", kept);
        }
        for (at, next) in self.next.iter().enumerate() {
            add(if at == 0 { "next" } else { "" }, next);
        }
        lines.push("└".to_owned());
        lines.join("\n")
    }

    /// One paragraph, the next steps below.
    fn plain(&self) -> String {
        let mut text = format!("chunkcast: {}", self.message());
        if let Some(kept) = &self.kept {
            text += &format!("; kept: {kept}");
        }
        for (at, next) in self.next.iter().enumerate() {
            text += &format!("\n  {}{next}", if at == 0 { "next: " } else { "" });
        }
        text
    }
}

fn stderr_columns() -> usize {
    terminal::stderr_columns().unwrap_or(80).min(FRAME_COLUMNS_MAX)
}

/// What is left of a download that ended.
pub(crate) fn kept(have: u32, of: u32) -> String {
    let (have, of) = (human::count(u64::from(have)), human::count(u64::from(of)));
    format!("{have} of {of} chunks, verified, in a .part file beside the target")
}

/// The commands that fetch one of several contents: those whose names tell them apart first, then ids.
fn choices(candidates: &[(Entry, PeerRef)]) -> Vec<String> {
    let mut lines = Vec::new();
    for by_name in [true, false] {
        for (entry, peer) in candidates.iter().take(LISTED_MAX) {
            let is_unique = candidates.iter().filter(|(other, _)| other.name == entry.name).count() == 1;
            if is_unique == by_name {
                let id = format!("id:{}", entry.id.short());
                let (size, peer) = (human::size(entry.size), human::peer(peer));
                // Where a name cannot be typed, its argument is the id.
                let is_named = is_unique && argument_for(&entry.id, &entry.name) != entry.id.to_string();
                let end = if entry.name.contains('@') { "@" } else { "" };
                let (word, size) = match is_named {
                    true => (format!("{}{end}", entry.name), format!("{id}, {size}")),
                    false => (id, size),
                };
                lines.push(format!("{}   # {size}, at {peer}", command_to_get(word)));
            }
        }
    }
    lines.insert(0, "say which one:".to_owned());
    lines
}

fn nobody(what: &str, peers: usize, similar: &[String], around: &Circumstances) -> (String, Vec<String>) {
    if peers == 0 {
        let by_address = format!("{} --peer HOST   # where broadcasts do not reach", command_line());
        return (no_answer(around.wait, around.port), vec![TROUBLE.to_owned(), by_address]);
    }
    let answered = human::counted(peers, "peer", "peers");
    let within = human::limit(around.wait);
    let happened = format!("no peer offers {} ({answered} answered within {within})", human::quoted(what));
    let mut next = vec!["chunkcast ls".to_owned()];
    let folder = format!("{}/", what.trim_end_matches('/'));
    if similar.iter().any(|name| name.starts_with(&folder)) {
        next.push(format!("files in that folder: {}", command_to_get(format!("{folder}*"))));
    } else if !similar.is_empty() {
        let names: Vec<String> = similar.iter().take(LISTED_MAX).map(|name| human::quoted(name)).collect();
        next.push(format!("similar names: {}", names.join(", ")));
    }
    (happened, next)
}

/// That no peer answered in time, and where this process asked.
pub(crate) fn no_answer(wait: Duration, port: u16) -> String {
    let asked = Cli::try_parse().map(|cli| cli.global.asked()).unwrap_or_default();
    let asked = if asked.is_empty() { String::new() } else { format!(" (asked {asked})") };
    format!("no peer answered on port {port} within {}{asked}", human::limit(wait))
}

/// Breaks a line between words so that it fits into `columns`; a longer word keeps a line of its own.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if human::width(line) + 1 + human::width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(had: Option<(u32, u32)>) -> Circumstances {
        let (wait, stall) = (Duration::from_secs(3), Duration::from_secs(600));
        Circumstances { wait, stall, port: 7117, size: None, had }
    }

    #[test]
    fn a_name_that_no_peer_offers_is_told_with_similar_ones() {
        let text = |peers, similar: &[&str]| {
            let similar = similar.iter().map(|name| (*name).to_owned()).collect();
            Failure::of("talk", &FailReason::NobodyOffers { peers, similar }, &around(None)).plain()
        };
        assert_eq!(
            text(2, &["talk.mp4"]),
            "chunkcast: no peer offers \"talk\" (2 peers answered within 3 s)\n  next: chunkcast ls\n  \
             similar names: \"talk.mp4\""
        );
        assert!(text(1, &["talk/a", "talks"]).contains("files in that folder: chunkcast get 'talk/*'"));
        let alone = text(0, &[]);
        let begin = "chunkcast: \"talk\" was not fetched: no peer answered on port 7117 within 3 s";
        assert!(alone.starts_with(begin) && alone.contains("next: README, Trouble"), "{alone}");
        assert!(alone.contains("--peer HOST"), "{alone}");
    }

    #[test]
    fn several_contents_are_listed_with_what_to_type() {
        let peer = PeerRef { id: None, addr: "10.0.0.1:7117".parse().unwrap(), user: "lab\u{1b}[2J".into() };
        let entry = |name: &str| {
            let entry = Entry { id: ContentId([0x3f; 32]), name: name.into(), size: 1024, have: 1, of: 1 };
            (entry, peer.clone())
        };
        let text = |names: &[&str]| {
            let candidates = names.iter().map(|name| entry(name)).collect();
            Failure::of("a", &FailReason::Ambiguous { candidates }, &around(None)).plain()
        };
        let same = text(&["a", "a"]);
        assert!(same.starts_with("chunkcast: \"a\" stands for 2 different files\n  next: say which one:\n"));
        assert!(same.contains("chunkcast get id:3f3f3f3f   # 1.0 KiB, at lab"), "{same}");
        assert!(!same.contains('\u{1b}'));
        let longer = text(&["a", "a", "x/a"]);
        let [name, id] = ["get x/a ", "get id:"].map(|word| longer.find(word).unwrap());
        assert!(name < id, "{longer}");
    }

    #[test]
    fn what_is_missing_is_told_in_bytes() {
        let happened = |of, size| {
            let around = Circumstances { size, ..around(None) };
            Failure::of("talk.mkv", &FailReason::Stalled { missing: 1016, of }, &around).happened
        };
        assert_eq!(happened(1200, Some(300 << 20)), "for 10 min no peer had the remaining 254.0 MiB");
        assert_eq!(happened(1200, None), "for 10 min no peer had the remaining 1,016 of 1,200 chunks");
        assert_eq!(happened(0, None), "for 10 min no peer was there that has this version");
    }

    #[test]
    fn an_end_before_its_time_counts_files() {
        let happened = |done, open| Failure::cut_short(Exit::Interrupted, done, open, None).happened;
        assert_eq!(happened(0, 1), "interrupted; 1 file is incomplete");
        assert_eq!(happened(2, 3), "interrupted; 3 files are incomplete, 2 complete");
    }

    #[test]
    fn a_frame_fits_its_columns() {
        let reason = FailReason::Stalled { missing: 5, of: 2048 };
        let failure = Failure::of("talk.mkv", &reason, &around(Some((2043, 2048))));
        let framed = failure.framed(60);
        let first_word_too_long = |line: &str| line.split_whitespace().any(|word| human::width(word) > 40);
        for line in framed.lines().filter(|line| !first_word_too_long(line)) {
            assert!(human::width(line) <= 60, "{line}");
        }
        assert!(framed.contains("2,043 of 2,048 chunks"), "{framed}");
        assert_eq!(failure.exit, Exit::GaveUp);
    }
}
