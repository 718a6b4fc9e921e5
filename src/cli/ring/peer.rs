//! `ring peer`: gets its share from the owner, and the other chunks from its neighbours.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::Outcome;
use crate::cli::drive::{Driven, earliest};
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::report::neighbours;
use crate::cli::ring::download::Download;
use crate::cli::ring::endpoint::{Endpoint, is_itself, owner_of, start};
use crate::cli::run::{Run, Target};
use crate::cli::units::parse_duration;
use crate::core::Place;
use crate::shell::ShellEvent;
use crate::store::OnConflict;
use crate::types::PeerId;

const ABOUT: &str = "\
Connect to the owner, store the share of the chunks that it gives, and get the rest from the download neighbour. The \
upload neighbour gets its chunks from here. Each address is a port of this host, or HOST:PORT. An address that does not \
answer yet is tried again, so the start order does not matter. Run the same command again to continue an interrupted \
download.

NAME.summary.json beside the file lists its id, its chunks, their ids, and the source of each.";

const EXAMPLES: &str = "\
Examples:
  chunkcast ring peer 7200 7201 7202 -o one/                     all on this host
  chunkcast ring peer 192.168.1.27:7200 7201 192.168.1.29:7201   on a network
  chunkcast ring peer 7200 7201 7202 --owner-fallback            the owner as the last resort
  chunkcast ring peer 7200 7201 7202 7203 --exit-when-done       two download neighbours

Exit: 0 complete, 2 usage, 4 the port is in use, 5 gave up (part kept), 6 integrity,
7 local storage, 8 a neighbour has another file, 124 timed out, 130 interrupted, 143 terminated.";

/// Download a file from its owner and from neighbours
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(super) struct PeerArgs {
    /// Address of the owner
    #[arg(value_name = "OWNER", value_parser = Endpoint::parse)]
    owner: Endpoint,
    /// Listen here for the upload neighbour
    #[arg(value_name = "LISTEN", value_parser = Endpoint::parse)]
    listen: Endpoint,
    /// Address of the download neighbour (repeatable)
    #[arg(value_name = "NEIGHBOUR", required = true, value_parser = Endpoint::parse)]
    neighbours: Vec<Endpoint>,
    /// Target: a folder (it exists, or the word ends in /), or a file name [default: .]
    #[arg(short, long, visible_alias = "dir", value_name = "DIR|FILE")]
    output: Option<PathBuf>,
    /// Also ask the owner for missing chunks after this long without progress [default: never; without TIME 5s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5s",
          value_parser = parse_duration)]
    owner_fallback: Option<Duration>,
    /// End when this peer and its neighbours are complete [default: run until Ctrl-C]
    #[arg(long)]
    exit_when_done: bool,
    /// Also keep each chunk as a file: NAME.chunks/NUMBER [default: no]
    #[arg(long)]
    keep_chunks: bool,
    /// Give up after this long without a chunk
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    stall: Duration,
    /// Give up if the file is not complete after this long [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

pub(super) fn run(args: &PeerArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    let settings = settings(args, global);
    let (listen, place, target) = settings.map_err(|(exit, why)| out.refuse(exit, &why, None))?;
    let falls_back = args.owner_fallback.is_some();
    let mut download = Download::new(target.clone(), args.keep_chunks, args.stall, falls_back);
    let mut run = start(global, target, listen, place, out)?;
    // A deadline beyond the clock's end is none.
    let deadline = args.timeout.and_then(|timeout| download.began.checked_add(timeout));
    let mut waiting = Waiting { args, download: &mut download, deadline, owner: None };
    let exit = run.drive(&mut waiting).unwrap_or_else(|exit| exit);
    // Looked up before the end, which may take a moment.
    let owner = owner(&run);
    run.leave(|run, event| {
        if let ShellEvent::Core(event) = &event {
            neighbours::report(run, event, owner);
        }
    });
    download.records.catch_up(&mut run, true);
    Ok(Outcome { bytes: download.bytes, ..Outcome::of(exit) })
}

/// What a peer waits for.
struct Waiting<'a> {
    args: &'a PeerArgs,
    download: &'a mut Download,
    deadline: Option<Instant>,
    /// Who the owner is, looked up once for the events of a turn.
    owner: Option<Option<PeerId>>,
}

impl Driven for Waiting<'_> {
    type End = Exit;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<Exit, Option<Instant>> {
        self.download.records.catch_up(run, false);
        let now = Instant::now();
        let deadline = self.deadline.filter(|_| !self.download.done);
        if deadline.is_some_and(|deadline| now >= deadline) {
            let why = self.download.why_late(run);
            return ControlFlow::Break(self.download.cut_short(run, Exit::TimedOut, &why));
        }
        self.owner = None;
        if self.args.exit_when_done && self.download.may_go(run.reactor.core().neighbours(), now) {
            return ControlFlow::Break(Exit::Ok);
        }
        let linger = self.download.next_look(now).filter(|_| self.args.exit_when_done);
        ControlFlow::Continue(earliest([deadline, self.download.records.deadline(now), linger]))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Exit> {
        match event {
            ShellEvent::Signal(_) if self.download.done => return ControlFlow::Break(Exit::Ok),
            ShellEvent::Signal(signal) => {
                let exit = Exit::of_signal(signal);
                return ControlFlow::Break(self.download.cut_short(run, exit, "a signal ended it"));
            }
            ShellEvent::Core(event) => {
                let owner = *self.owner.get_or_insert_with(|| owner(run));
                neighbours::report(run, &event, owner);
                if let Some(exit) = self.download.take(run, &event, owner) {
                    return ControlFlow::Break(exit);
                }
            }
            ShellEvent::Share(_) => {}
        }
        ControlFlow::Continue(())
    }
}

/// Who the owner is, once it said hello.
fn owner(run: &Run<'_>) -> Option<PeerId> {
    owner_of(run.reactor.core().neighbours().as_ref()).and_then(|end| end.peer)
}

type Settings = ((Option<IpAddr>, u16), Place, Target);

/// The arguments, resolved; else exit code and sentence.
fn settings(args: &PeerArgs, global: &Global) -> Result<Settings, (Exit, String)> {
    let network = |why| (Exit::Network, why);
    let listen = args.listen.listen(global).map_err(network)?;
    let owner = args.owner.resolve(global.bind).map_err(network)?;
    let neighbours: Result<Vec<SocketAddr>, String> =
        args.neighbours.iter().map(|neighbour| neighbour.resolve(global.bind)).collect();
    let neighbours = neighbours.map_err(network)?;
    if let Some(own) = neighbours.iter().find(|addr| is_itself(listen, **addr)) {
        let why = format!("{own} is where this peer listens; name another as its neighbour");
        return Err((Exit::Usage, why));
    }
    if is_itself(listen, owner) {
        return Err((Exit::Usage, format!("{owner} is where this peer listens; the owner has another port")));
    }
    let place = Place::Peer { owner, neighbours, owner_fallback: args.owner_fallback, stall: args.stall };
    let target = Target::asked(args.output.as_deref(), true, OnConflict::Rename);
    Ok((listen, place, target.map_err(|why| (Exit::Usage, why))?))
}
