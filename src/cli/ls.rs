//! `ls`: lists what peers share now. It asks them and waits a second, instead of waiting for announcements.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::classic::listing;
use crate::cli::classic::setup::{Beside, Role};
use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::failure::{TROUBLE, no_answer};
use crate::cli::global::Global;
use crate::cli::json::{ContentEvent, Holder, Line, Who, seconds};
use crate::cli::output::Output;
use crate::cli::run::{Mode, Run, Target};
use crate::cli::units::{parse_duration, parse_interval};
use crate::cli::{Outcome, human, wanted};
use crate::core::status::{ContentStatus, PeerStatus};
use crate::core::{Command, Event, PeerRef, Status};
use crate::shell::ShellEvent;
use crate::types::name::printable;
use crate::wire::message::Wanted;

/// The most contents that are listed at once.
const CONTENTS_MAX: usize = 100_000;
/// The widest a name is in a table, in columns.
const NAME_COLUMNS_MAX: usize = 60;
/// Clears a terminal.
const CLEAR_TERMINAL: &str = "\u{1b}[H\u{1b}[2J";

const EXAMPLES: &str = "\
Examples:
  chunkcast ls                       all files on the network
  chunkcast ls '*.mkv' --long        with full ids and the peers that have them
  chunkcast ls --peers               the peers
  chunkcast ls --watch               update the list until Ctrl-C
  chunkcast ls --classic --wait 65s  classic peers too: they announce once a minute

Exit: 0, or 3 when no peer offers what you named.";

/// List the files that peers on the network share
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LsArgs {
    /// List only matching files: a pattern, a name, an id or id:PREFIX [default: all]
    #[arg(value_name = "GLOB", value_parser = Asked::parse)]
    asked: Option<Asked>,
    /// List the peers [default: their files]
    #[arg(long)]
    peers: bool,
    /// Show full ids and the peers that have each file; with --peers the ids of the peers [default: a table]
    #[arg(short, long)]
    long: bool,
    /// Update the list until Ctrl-C [default: list once]
    #[arg(short, long)]
    watch: bool,
    /// How long to wait for answers
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    wait: Duration,
    /// How often --watch updates the list
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_interval)]
    every: Duration,
    #[command(flatten)]
    classic: Beside,
}

/// What to list.
#[derive(Debug, Clone)]
struct Asked {
    /// As it was written, for messages.
    text: String,
    wanted: Wanted,
}

impl Asked {
    fn parse(text: &str) -> Result<Asked, String> {
        Ok(Asked { text: text.to_owned(), wanted: wanted::wanted(text)? })
    }
}

impl LsArgs {
    fn wanted(&self) -> &Wanted {
        self.asked.as_ref().map_or(&Wanted::All, |asked| &asked.wanted)
    }
}

pub(crate) fn run(args: &LsArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    let mode = Mode::native(args.classic.speak(Role::Hears, global));
    let mut run = Run::start("ls", global, Target::default(), mode, out)?;
    if let Some(hint) = listing::hint(args.wait).filter(|_| args.classic.classic && !args.watch) {
        run.out.note(hint);
    }
    let listed = list(args, global, &mut run);
    run.leave(|_, _| {});
    listed.map(|done| Outcome { exit: Exit::Ok, done, failed: 0, bytes: 0 })
}

/// Asks, and waits until the answers are in.
///
/// True when somebody may have more than was listed.
pub(crate) fn until_looked(run: &mut Run<'_>) -> Result<bool, Exit> {
    until(run, None)
}

/// Lists once, or until a signal; how many things were listed.
fn list(args: &LsArgs, global: &Global, run: &mut Run<'_>) -> Result<usize, Exit> {
    loop {
        run.reactor.command(Command::Look { wanted: args.wanted().clone(), wait: args.wait });
        let cut_short = until_looked(run)?;
        if args.watch && run.out.is_watched() {
            run.out.result(CLEAR_TERMINAL);
        }
        let status = run.reactor.status();
        let listed = match args.peers {
            true => list_peers(args, run, &status) + listing::list_peers(&status.classic, run.out),
            false => {
                let classic = &status.classic;
                list_contents(args, run, &status)
                    + listing::list_contents(classic, args.wanted(), args.long, run.out)
            }
        };
        if !args.peers && (cut_short || listed >= CONTENTS_MAX) {
            report_more(run, listed);
        }
        if let Some(exit) = run.out.ended() {
            return Err(exit);
        }
        if !args.watch {
            return outcome_of(args, global, run, &status, listed);
        }
        until(run, Some(Instant::now() + args.every))?;
    }
}

/// Listens until `until`, or until the answers to a question are in.
///
/// True when the answers are in and somebody may have more.
fn until(run: &mut Run<'_>, until: Option<Instant>) -> Result<bool, Exit> {
    run.drive(&mut Listening(until))?
}

/// Until a moment, or until the answers are in.
struct Listening(Option<Instant>);

impl Driven for Listening {
    type End = Result<bool, Exit>;

    fn step(&mut self, _run: &mut Run<'_>) -> ControlFlow<Self::End, Option<Instant>> {
        match self.0 {
            Some(until) if Instant::now() >= until => ControlFlow::Break(Ok(false)),
            until => ControlFlow::Continue(until),
        }
    }

    fn take(&mut self, _run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Self::End> {
        match event {
            ShellEvent::Signal(signal) => ControlFlow::Break(Err(Exit::of_signal(signal))),
            ShellEvent::Core(Event::Looked { cut_short }) if self.0.is_none() => {
                ControlFlow::Break(Ok(cut_short))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Not all that is on offer is listed: who reads the list is not to take it for all.
fn report_more(run: &mut Run<'_>, listed: usize) {
    run.out.json(&Line::More { listed });
    run.out.fail(&format!(
        "the list is incomplete: it has {}, and more were announced or --wait was too short\n  \
         next: a longer --wait, for example 10s, or a pattern: chunkcast ls '*.mkv'",
        human::counted(listed, "file", "files")
    ));
}

/// What an empty list means.
fn outcome_of(
    args: &LsArgs,
    global: &Global,
    run: &mut Run<'_>,
    status: &Status,
    listed: usize,
) -> Result<usize, Exit> {
    if listed > 0 {
        return Ok(listed);
    }
    let answered = match status.peers.len() {
        0 => no_answer(args.wait, global.port),
        peers => {
            let answered = human::counted(peers, "peer", "peers");
            format!("{answered} answered within {}", human::limit(args.wait))
        }
    };
    let next = match status.peers.len() {
        0 => TROUBLE,
        _ => "chunkcast share FILE, on a machine that has the file",
    };
    if let Some(asked) = args.asked.as_ref().filter(|_| !args.peers) {
        let message = format!("no peer offers {} ({answered})", human::quoted(&asked.text));
        let next = if status.peers.is_empty() { next } else { "chunkcast ls" };
        run.out.error(Exit::Nobody, &message, Some(next));
        return Err(Exit::Nobody);
    }
    run.out.note(&match status.peers.len() {
        0 => format!("{answered}\n  next: {next}"),
        _ => format!("nothing is shared ({answered})\n  next: {next}"),
    });
    Ok(0)
}

fn list_contents(args: &LsArgs, run: &mut Run<'_>, status: &Status) -> usize {
    let wanted = args.wanted();
    let matching = status.contents.iter().filter(|content| wanted.matches(&content.name, &content.id));
    let contents: Vec<&ContentStatus> = matching.take(CONTENTS_MAX).collect();
    for content in &contents {
        let holders: Vec<Holder<'_>> =
            content.holders.iter().map(|(peer, have)| Holder::of(peer, *have)).collect();
        run.out.json(&Line::Content {
            event: ContentEvent::Listed,
            id: content.id,
            name: &content.name,
            size: content.size,
            of: content.of,
            holders: &holders,
        });
    }
    if !contents.is_empty() {
        let names = Names::of(status.peers.iter().map(|peer| &peer.peer));
        let table = if args.long { long_table(&contents, &names) } else { short_table(&contents) };
        run.out.result(table.trim_end());
    }
    contents.len()
}

fn short_table(contents: &[&ContentStatus]) -> String {
    let rows: Vec<Vec<String>> = contents
        .iter()
        .map(|content| {
            let name = human::shortened(&printable(&content.name), NAME_COLUMNS_MAX);
            vec![name, human::size(content.size), holders(content), content.id.short()]
        })
        .collect();
    human::table(&["NAME", "SIZE", "PEERS", "ID"], &[1], &rows)
}

fn long_table(contents: &[&ContentStatus], names: &Names) -> String {
    let mut text = String::new();
    for content in contents {
        text += &format!("{}\n  {}  {}\n", printable(&content.name), content.id, human::size(content.size));
        for (peer, have) in &content.holders {
            let [part, whole] = [have, &content.of].map(|chunks| human::count(u64::from(*chunks)));
            let held = match *have >= content.of {
                true => "complete".to_owned(),
                false => format!("{part} of {whole} chunks"),
            };
            text += &format!("  {} ({}): {held}\n", names.of_peer(peer), peer.addr);
        }
    }
    text
}

/// How many hold it; how many of them wholly, when not all do.
fn holders(content: &ContentStatus) -> String {
    let all = content.holders.len();
    let complete = content.holders.iter().filter(|(_, have)| *have >= content.of).count();
    if complete == all { all.to_string() } else { format!("{all} ({complete} complete)") }
}

fn list_peers(args: &LsArgs, run: &mut Run<'_>, status: &Status) -> usize {
    for peer in &status.peers {
        run.out.json(&Line::Peer {
            event: "listed",
            who: Who::of(&peer.peer),
            offers: peer.catalogue,
            silent: seconds(peer.silent_for),
            connected: peer.connected,
        });
    }
    if !status.peers.is_empty() {
        run.out.result(peer_table(&status.peers, args.long).trim_end());
    }
    status.peers.len()
}

/// The peers; `long` has their ids in full.
fn peer_table(peers: &[PeerStatus], long: bool) -> String {
    let names = Names::of(peers.iter().map(|peer| &peer.peer));
    let mut rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let heard = format!("{} ago", human::span(peer.silent_for));
            let offers = human::count(peer.catalogue.into());
            let mut row = vec![names.of_peer(&peer.peer), peer.peer.addr.to_string(), offers, heard];
            if long {
                row.push(peer.peer.id.map(|id| id.to_string()).unwrap_or_default());
            }
            row
        })
        .collect();
    rows.sort();
    let headings = ["PEER", "ADDRESS", "FILES", "HEARD", "ID"];
    human::table(if long { &headings } else { &headings[..4] }, &[2], &rows)
}

/// User names, and which of them several peers have.
#[derive(Debug)]
struct Names {
    peers_of: BTreeMap<String, usize>,
}

impl Names {
    fn of<'a>(peers: impl Iterator<Item = &'a PeerRef>) -> Names {
        let mut peers_of = BTreeMap::new();
        for peer in peers {
            *peers_of.entry(peer.user.clone()).or_insert(0) += 1;
        }
        Names { peers_of }
    }

    /// The peer's user name; `NAME#id4` when others have it too.
    fn of_peer(&self, peer: &PeerRef) -> String {
        let user = human::shortened(&printable(&peer.user), NAME_COLUMNS_MAX);
        match peer.id {
            Some(id) if self.peers_of.get(&peer.user).is_some_and(|peers| *peers > 1) => {
                format!("{user}#{}", id.short())
            }
            _ => user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ContentId, PeerId};

    fn peer(id: u8, user: &str) -> PeerRef {
        PeerRef { id: Some(PeerId([id; 16])), addr: "127.0.0.1:7117".parse().unwrap(), user: user.into() }
    }

    #[test]
    fn names_that_several_have_carry_the_beginning_of_an_id() {
        let status =
            |peer| PeerStatus { peer, catalogue: 1000, silent_for: Duration::from_secs(2), connected: false };
        let peers = [status(peer(0xab, "lab")), status(peer(0xcd, "lab")), status(peer(1, "one"))];
        let table = peer_table(&peers, false);
        assert_eq!(
            table,
            "PEER      ADDRESS         FILES  HEARD\n\
             lab#abab  127.0.0.1:7117  1,000  2.0 s ago\n\
             lab#cdcd  127.0.0.1:7117  1,000  2.0 s ago\n\
             one       127.0.0.1:7117  1,000  2.0 s ago\n"
        );
        assert!(peer_table(&peers, true).contains(&format!("2.0 s ago  {}\n", "ab".repeat(16))));
    }

    #[test]
    fn contents_in_short_and_in_full() {
        let content = ContentStatus {
            id: ContentId([0x3f; 32]),
            name: "talk\u{1b}.mkv".into(),
            size: 1 << 30,
            of: 2048,
            holders: vec![(peer(1, "one"), 2048), (peer(2, "two"), 7)],
        };
        let short = short_table(&[&content]);
        assert!(short.contains("1.0 GiB  2 (1 complete)  3f3f3f3f"), "{short}");
        let long = long_table(&[&content], &Names::of([&peer(1, "one")].into_iter()));
        assert!(
            long.contains(&"3f".repeat(32)) && long.contains("two (127.0.0.1:7117): 7 of 2,048 chunks\n"),
            "{long}"
        );
        assert!(!long.contains('\u{1b}') && !short.contains('\u{1b}'));
    }
}
