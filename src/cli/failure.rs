//! A failure, shown and not buried: what happened, what was kept, what to run next.

use std::time::Duration;

use clap::Parser;

use crate::cli::args::{Action, Cli};
use crate::cli::exit::Exit;
use crate::cli::human;
use crate::cli::json::Line;
use crate::cli::output::Output;
use crate::cli::shown::Subject;
use crate::cli::wanted::shell_quoted;
use crate::core::{FailReason, FaultKind, PeerRef};
use crate::shell::terminal;
use crate::types::ContentId;
use crate::types::name::printable;

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
    /// Chunks had and chunks there are, of a download that was begun.
    pub(crate) had: Option<(u32, u32)>,
}

impl Failure {
    /// The failure of getting `what`, for `reason`.
    pub(crate) fn of(what: &str, reason: &FailReason, around: &Circumstances) -> Failure {
        let again = || format!("the same command again goes on where this ended: {}", command_line());
        let (happened, next) = match reason {
            FailReason::NobodyOffers { peers, similar } => nobody(*peers, similar, around),
            FailReason::Ambiguous { candidates } => {
                let mut lines: Vec<String> = candidates
                    .iter()
                    .take(LISTED_MAX)
                    .map(|(entry, peer)| {
                        let (size, peer) = (human::size(entry.size), human::peer(peer));
                        format!("chunkcast get id:{}   # {size}, at {peer}", entry.id.short())
                    })
                    .collect();
                lines.insert(0, "say which one:".to_owned());
                (format!("the name stands for {} different contents", candidates.len()), lines)
            }
            FailReason::Stalled { missing, of } => {
                let missing = match of {
                    0 => "nobody was there to tell what it consists of".to_owned(),
                    _ => {
                        let [missing, of] = [missing, of].map(|chunks| human::count(u64::from(*chunks)));
                        format!("nobody has the {missing} missing of {of} chunks")
                    }
                };
                (format!("{missing}, for {}", human::span(around.stall)), vec![again()])
            }
            FailReason::Integrity { struck } => {
                let peers: Vec<String> = struck.iter().take(LISTED_MAX).map(human::peer).collect();
                let happened = format!(
                    "what is delivered is not what the id demands; every peer that offers it was struck: {}",
                    peers.join(", ")
                );
                let next = "have the owner share the file anew, then run the same command again".to_owned();
                (happened, vec![next])
            }
            FailReason::OtherSize { claimed, size } => {
                let [claimed, size] = [claimed, size].map(|bytes| human::count(*bytes));
                let next = "ask whoever sends it to send it anew".to_owned();
                (
                    format!("it was offered with {claimed} bytes and has {size}; nothing of it was taken"),
                    vec![next],
                )
            }
            FailReason::KeepsChanging { times } => {
                let happened = format!("its owner replaced it {times} times before any of it was here");
                let next = "when its owner is done with it, run the same command again".to_owned();
                (happened, vec![next])
            }
            FailReason::Removed { from } => {
                let next = "see what is on offer: chunkcast ls".to_owned();
                (
                    format!(
                        "{} no longer has {}: the file was removed there",
                        human::peer(from),
                        human::quoted(what)
                    ),
                    vec![next],
                )
            }
            // The fault itself says what to do; then the same command goes on, unless something has to be decided.
            FailReason::Storage(fault) => {
                let decided = matches!(fault.kind, FaultKind::Full | FaultKind::Io | FaultKind::Busy);
                (printable(&fault.text), if decided { vec![again()] } else { Vec::new() })
            }
            FailReason::Cancelled => ("it was given up".to_owned(), vec![again()]),
        };
        let exit = Exit::of_reason(reason);
        Failure {
            exit,
            title: format!("{} was not fetched", human::quoted(what)),
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
            happened: format!(
                "it stands for more than the {found} that are fetched; the others are left out"
            ),
            kept: None,
            next: vec![
                "name fewer of them: a folder or an ending, for example 'photos/*' or '*.mkv'".to_owned(),
            ],
        }
    }

    /// What to do instead of the same command, which would fetch another content: a peer has replaced the one that this
    /// failed to get.
    pub(crate) fn replaced(&mut self, by: &ContentId, from: &PeerRef) {
        self.next = vec![format!("{} replaced it; the new version: {}", human::peer(from), command_for(by))];
    }

    /// What is left when a signal or the clock ends a command before its downloads.
    pub(crate) fn cut_short(exit: Exit, done: usize, open: usize, kept: Option<String>) -> Failure {
        let why = match exit {
            Exit::TimedOut => "the time of --timeout is over",
            Exit::Interrupted => "interrupted",
            _ => "terminated",
        };
        Failure {
            exit,
            title: "the download is not complete".to_owned(),
            happened: format!("{why}; {done} done, {open} not"),
            kept,
            next: vec![format!("the same command again goes on from there: {}", command_line())],
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

    /// Tells of it: framed on a terminal, in a line elsewhere, with `--json` in a JSON line too; beyond stderr as
    /// [`crate::cli::shown`] says.
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

    /// Title and what happened, in a sentence.
    pub(crate) fn message(&self) -> String {
        format!("{}: {}", self.title, self.happened)
    }

    /// Tells people alone, on stderr and beyond.
    pub(crate) fn show(&self, out: &mut Output, of: &Subject<'_>) {
        let text = if out.shown.frames() {
            let columns = terminal::stderr_columns().unwrap_or(80).min(FRAME_COLUMNS_MAX);
            self.framed(columns)
        } else {
            self.plain()
        };
        out.fail(&text);
        out.shown.add(self, of);
        let complaints = out.shown.complaints();
        out.complain(&complaints);
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
        for next in &self.next {
            text += &format!("\n  {next}");
        }
        text
    }
}

/// What is left of a download that ended.
pub(crate) fn kept(have: u32, of: u32) -> String {
    let (have, of) = (human::count(u64::from(have)), human::count(u64::from(of)));
    format!("{have} of {of} chunks, verified, in a .part file beside the target")
}

/// The command line of this process, as a shell reads it.
pub(crate) fn command_line() -> String {
    written(&arguments())
}

/// The command line of this process with a content in the place of what it fetches; of one that fetches nothing by name, a
/// short one.
pub(crate) fn command_for(content: &ContentId) -> String {
    let id = format!("id:{}", content.short());
    match Cli::try_parse().map(|cli| cli.action) {
        Ok(Action::Get(args)) => written(&with_id(arguments(), &args.wanted_texts(), id)),
        _ => format!("chunkcast get {id}"),
    }
}

fn arguments() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

fn written(arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| printable(&shell_quoted(word)));
    std::iter::once("chunkcast".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Puts an id in the place of what is wanted. The value of a flag may read like that, so a word behind a flag stays.
fn with_id(mut words: Vec<String>, wanted: &[&str], id: String) -> Vec<String> {
    let is_behind_flag = |at: usize| {
        at.checked_sub(1)
            .and_then(|at| words.get(at))
            .is_some_and(|word| word.starts_with('-') && word != "--")
    };
    let is_wanted = |at: &usize| words.get(*at).is_some_and(|word| wanted.contains(&word.as_str()));
    let all: Vec<usize> = (0..words.len()).filter(is_wanted).collect();
    let mut places: Vec<usize> = all.iter().copied().filter(|at| !is_behind_flag(*at)).collect();
    if places.is_empty() {
        places.extend(all.last());
    }
    let first = places.first().copied();
    match first.and_then(|at| words.get_mut(at)) {
        Some(word) => *word = id,
        None => words.push(id),
    }
    for at in places.into_iter().skip(1).rev() {
        words.remove(at);
    }
    words
}

fn nobody(peers: usize, similar: &[String], around: &Circumstances) -> (String, Vec<String>) {
    let heard = match peers {
        0 => "and heard no peer at all".to_owned(),
        _ => format!("and heard {}", human::counted(peers, "peer", "peers")),
    };
    let happened = format!("nobody offers it: asked the network for {}, {heard}", human::span(around.wait));
    let mut next = Vec::new();
    if !similar.is_empty() {
        let names: Vec<String> = similar.iter().take(LISTED_MAX).map(|name| human::quoted(name)).collect();
        next.push(format!("names on offer that look alike: {}", names.join(", ")));
    }
    next.push(match peers {
        0 => format!(
            "is 'chunkcast share' running on the same network, with --port {}? Where broadcasts do not reach, \
             --peer HOST does",
            around.port
        ),
        _ => "see what is on offer: chunkcast ls".to_owned(),
    });
    (happened, next)
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
    use crate::wire::message::Entry;

    fn around(had: Option<(u32, u32)>) -> Circumstances {
        Circumstances { wait: Duration::from_secs(3), stall: Duration::from_secs(600), port: 7117, had }
    }

    #[test]
    fn nobody_offers_it_says_what_was_tried_and_what_is_similar() {
        let reason = FailReason::NobodyOffers { peers: 2, similar: vec!["talk.mp4".into()] };
        let text = Failure::of("talk.mkv", &reason, &around(None)).plain();
        assert!(text.contains("\"talk.mkv\" was not fetched: nobody offers it"), "{text}");
        assert!(
            text.contains("3.0 s") && text.contains("heard 2 peers") && text.contains("\"talk.mp4\""),
            "{text}"
        );
        let reason = FailReason::NobodyOffers { peers: 0, similar: vec![] };
        let text = Failure::of("talk.mkv", &reason, &around(None)).plain();
        assert!(
            text.contains("no peer at all") && text.contains("--port 7117") && text.contains("--peer"),
            "{text}"
        );
    }

    #[test]
    fn several_contents_are_listed_with_what_to_type() {
        let peer = PeerRef { id: None, addr: "10.0.0.1:7117".parse().unwrap(), user: "lab\u{1b}[2J".into() };
        let entry = Entry { id: ContentId([0x3f; 32]), name: "a".into(), size: 1024, have: 1, of: 1 };
        let reason = FailReason::Ambiguous { candidates: vec![(entry.clone(), peer.clone()), (entry, peer)] };
        let text = Failure::of("a", &reason, &around(None)).plain();
        assert!(text.contains("chunkcast get id:3f3f3f3f   # 1.0 KiB, at lab"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn an_id_takes_the_place_of_what_was_wanted() {
        let line = |words: &str, wanted: &[&str]| {
            let words = words.split(' ').map(str::to_owned).collect();
            with_id(words, wanted, "id:1".to_owned()).join(" ")
        };
        assert_eq!(line("get a -o d --port 9", &["a"]), "get id:1 -o d --port 9");
        assert_eq!(line("get -o a a", &["a"]), "get -o a id:1");
        assert_eq!(line("get a -o a", &["a"]), "get id:1 -o a");
        assert_eq!(line("get a b -o d", &["a", "b"]), "get id:1 -o d");
        assert_eq!(line("get -q a", &["a"]), "get -q id:1");
        assert_eq!(line("get -- -a", &["-a"]), "get -- id:1");
        assert_eq!(line("get -o d", &[]), "get -o d id:1");
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
