//! `ring peer`: gets its share from the owner, and the rest from its neighbours.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::Outcome;
use crate::cli::args::Global;
use crate::cli::exit::Exit;
use crate::cli::failure::{Circumstances, Failure, command_line, kept};
use crate::cli::human;
use crate::cli::json::{Line, path_text, seconds};
use crate::cli::output::Output;
use crate::cli::ring::activity;
use crate::cli::ring::endpoint::{Endpoint, is_itself, settle};
use crate::cli::ring::record::Records;
use crate::cli::run::{Run, Standing, Target};
use crate::cli::telling::Known;
use crate::cli::transfer_log::Record;
use crate::cli::units::parse_duration;
use crate::core::name::printable;
use crate::core::status::{EndStatus, NeighboursStatus};
use crate::core::{ContentId, Event, FailReason, Place, Topology};
use crate::shell::ShellEvent;
use crate::store::OnConflict;

const ABOUT: &str = "\
Connect to the owner, store the share of the chunks that it hands out, and get the rest from the download neighbour, \
while the upload neighbour gets it from here. Each of the three is a port of this host, or HOST:PORT. Who is not up yet \
is tried again, so the order of starting does not matter. A peer that was interrupted goes on from what it has.

Beside the file stands NAME.summary.json: its id, its chunks, their ids, and where each came from.";

const EXAMPLES: &str = "\
Examples:
  chunkcast ring peer 7200 7201 7202 -o one/                     all on this host
  chunkcast ring peer 192.168.1.27:7200 7201 192.168.1.29:7201   on a network
  chunkcast ring peer 7200 7201 7202 --owner-fallback            the owner as the last resort
  chunkcast ring peer 7200 7201 7202 7203 --exit-when-done       two download neighbours

Exit: 0 complete, 2 usage, 4 the port is in use, 5 gave up (part kept), 6 integrity,
7 local storage, 8 a neighbour has another file, 124 timed out, 130 interrupted, 143 terminated.";

/// A peer whose neighbours did not come, or were lost, waits so long before it ends.
const TAKERS_AWAITED: Duration = Duration::from_secs(30);

/// Get a file from its owner and along neighbours
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(super) struct PeerArgs {
    /// Where the owner listens
    #[arg(value_name = "OWNER", value_parser = Endpoint::parse)]
    owner: Endpoint,
    /// Where this peer listens for its upload neighbour
    #[arg(value_name = "LISTEN", value_parser = Endpoint::parse)]
    listen: Endpoint,
    /// Where the download neighbour listens; there may be several
    #[arg(value_name = "NEIGHBOUR", required = true, value_parser = Endpoint::parse)]
    neighbours: Vec<Endpoint>,
    /// Where to: a folder (it exists, or ends in /), or a file name [default: .]
    #[arg(short, long, visible_alias = "dir", value_name = "DIR|FILE")]
    output: Option<PathBuf>,
    /// After so long without progress get what is missing from the owner, too
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5s",
          value_parser = parse_duration)]
    owner_fallback: Option<Duration>,
    /// End once the file is complete and so are the neighbours
    #[arg(long)]
    exit_when_done: bool,
    /// Keep each chunk as a file of its own, too: NAME.chunks/NUMBER
    #[arg(long)]
    keep_chunks: bool,
    /// How long a download that was begun waits for chunks
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    stall: Duration,
    /// How long it may take until the file is complete [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

/// What a peer was told and what it has come to.
#[derive(Debug)]
struct Download {
    content: Option<ContentId>,
    began: Instant,
    records: Records,
    have: u32,
    chunks: u32,
    bytes: u64,
    done: bool,
    /// When the neighbours' completeness last changed, or might have.
    changed: Instant,
    takers: (usize, usize, usize),
    stall: Duration,
}

pub(super) fn run(args: &PeerArgs, global: &Global, out: &mut Output) -> Outcome {
    let (listen, place, target) = match settings(args, global) {
        Ok(settings) => settings,
        Err((exit, why)) => {
            out.error(exit, &why, None);
            return Outcome::of(exit);
        }
    };
    let records = Records::new(target.dir.clone(), target.name.clone(), args.keep_chunks);
    let started = Run::start_as("ring", global, target, Standing::native(None), out, |config| {
        settle(config, listen);
        config.topology = Topology::Neighbours(place);
    });
    let mut run = match started {
        Ok(run) => run,
        Err(exit) => return Outcome::of(exit),
    };
    let now = Instant::now();
    let mut download = Download {
        content: None,
        began: now,
        records,
        have: 0,
        chunks: 0,
        bytes: 0,
        done: false,
        changed: now,
        takers: (0, 0, 0),
        stall: args.stall,
    };
    let exit = until_ended(args, &mut run, &mut download);
    // Said before the end, which may take a moment.
    let owner = owner_of(&run.neighbours());
    run.leave(|run, event| {
        if let ShellEvent::Core(event) = &event {
            activity::tell(run, event, owner.as_ref().and_then(|end| end.peer));
        }
    });
    download.records.catch_up(&mut run, true);
    Outcome { bytes: download.bytes, ..Outcome::of(exit) }
}

fn until_ended(args: &PeerArgs, run: &mut Run<'_>, download: &mut Download) -> Exit {
    // A deadline beyond the clock's end is none.
    let deadline = args.timeout.and_then(|timeout| download.began.checked_add(timeout));
    loop {
        let now = Instant::now();
        let linger = (download.done && args.exit_when_done).then(|| download.changed + TAKERS_AWAITED);
        let deadline = deadline.filter(|_| !download.done);
        let until = [deadline, download.records.deadline(now), linger].into_iter().flatten().min();
        if let Err(exit) = run.turn(until) {
            return exit;
        }
        let owner = owner_of(&run.neighbours()).and_then(|end| end.peer);
        while let Some(event) = run.next_event() {
            match event {
                ShellEvent::Signal(_) if download.done => return Exit::Ok,
                ShellEvent::Signal(signal) => {
                    return download.cut_short(run, Exit::of_signal(signal), "a signal ended it");
                }
                ShellEvent::Core(event) => {
                    activity::tell(run, &event, owner);
                    if let Some(exit) = download.take(run, &event, owner) {
                        return exit;
                    }
                }
                ShellEvent::Skipped { .. } | ShellEvent::Folder { .. } | ShellEvent::ScanDone { .. } => {}
            }
        }
        download.records.catch_up(run, false);
        let now = Instant::now();
        if deadline.is_some_and(|deadline| now >= deadline && !download.done) {
            let why = download.why_late(run);
            return download.cut_short(run, Exit::TimedOut, &why);
        }
        if args.exit_when_done && download.may_go(run.neighbours(), now) {
            return Exit::Ok;
        }
        if let Some(exit) = run.out.ended() {
            return exit;
        }
    }
}

impl Download {
    /// Takes in an event; an exit code when it ends the command.
    fn take(&mut self, run: &mut Run<'_>, event: &Event, owner: Option<crate::core::PeerId>) -> Option<Exit> {
        match event {
            Event::Resolved { content, name, size, .. } => {
                self.content = Some(*content);
                self.bytes = *size;
                let chunks = run.held(content).map_or(0, |(cut, _)| cut.chunks());
                run.known.insert(*content, Known { name: name.clone(), chunks });
                run.out.note(&format!("getting {} ({})", human::label(name), human::size(*size)));
            }
            Event::Started { content, geometry, had } => {
                (self.have, self.chunks) = (*had, geometry.chunks());
                if *had > 0 {
                    run.out.note(&format!("{had} of {} chunks are here already", geometry.chunks()));
                }
                self.begin_records(run, content);
            }
            Event::ChunkReceived { chunk, from, .. } => {
                self.have += 1;
                self.records.came(*chunk, from, owner);
            }
            Event::Waiting { missing, missing_count, .. } => {
                let what = missing_text(missing, *missing_count);
                run.out.note(&format!("waiting for {what}: {}", sources_text(&run.neighbours())));
            }
            Event::NeighbourAway { addr } => {
                let who = self.who(run, *addr);
                run.out.note(&format!("{who} does not answer; it is tried again"));
            }
            Event::NeighbourBack { addr } => {
                let who = self.who(run, *addr);
                run.out.note(&format!("{who} answers"));
            }
            Event::Finished { content, path, bytes, took, peers } => {
                self.finished(run, *content, path, *bytes, *took, *peers);
            }
            Event::OtherContent { from, theirs, name, wanted } => {
                let failure = Failure {
                    exit: Exit::Ambiguous,
                    title: "a neighbour has another file".to_owned(),
                    happened: format!(
                        "{} offers {theirs} ({}), and the owner {wanted}",
                        human::peer(from),
                        human::label(name)
                    ),
                    kept: (self.have > 0).then(|| kept(self.have, self.chunks)),
                    next: vec!["name a neighbour that has the same owner".to_owned()],
                };
                failure.tell(run.out, Some(*wanted), None);
                return Some(Exit::Ambiguous);
            }
            Event::SearchFailed { reason, .. } => return Some(self.failed(run, reason)),
            Event::Failed { reason, .. } if *reason != FailReason::Cancelled => {
                return Some(self.failed(run, reason));
            }
            _ => {}
        }
        None
    }

    fn begin_records(&mut self, run: &mut Run<'_>, content: &ContentId) {
        if let Some((cut, held)) = run.held(content) {
            self.chunks = cut.chunks();
            if let Some(known) = run.known.get_mut(content) {
                known.chunks = cut.chunks();
            }
            self.records.begin(run, *content, cut, &held);
        }
    }

    fn finished(
        &mut self,
        run: &mut Run<'_>,
        id: ContentId,
        path: &Path,
        bytes: u64,
        took: Duration,
        peers: usize,
    ) {
        self.begin_records(run, &id);
        (self.done, self.bytes, self.changed) = (true, bytes, Instant::now());
        let Known { name, .. } = run.known(&id);
        run.log(&Record::Done { name: &name, id, bytes, took, peers, word: "verified" });
        let (dur, path) = (seconds(took), path_text(path));
        run.out.json(&Line::Done {
            id,
            name: &name,
            path: path.clone(),
            bytes,
            dur,
            peers,
            verified: true,
            skipped: false,
        });
        let more = format!(", verified, in {}: {}", human::span(took), printable(&path));
        activity::complete(run, &id, self.chunks, &more);
        self.records.catch_up(run, true);
    }

    /// Whether nobody needs this peer any more: it is complete, and so are its neighbours; or the owner, which knows, has
    /// gone; or nobody came for so long.
    fn may_go(&mut self, status: Option<NeighboursStatus>, now: Instant) -> bool {
        let Some(status) = status.filter(|status| self.done && status.holds_all) else { return false };
        let takers = (status.takers_done, status.takers_open, status.takers_lost);
        if takers != self.takers {
            (self.takers, self.changed) = (takers, now);
        }
        if status.takers_open > 0 || !status.quiet {
            return false;
        }
        let all_here = status.takers_done > 0 && status.takers_lost == 0;
        all_here || status.owner_left || now.duration_since(self.changed) >= TAKERS_AWAITED
    }

    fn failed(&self, run: &mut Run<'_>, reason: &FailReason) -> Exit {
        let content = self.content;
        let name = content.map_or_else(|| "the owner's file".to_owned(), |content| run.known(&content).name);
        let around = Circumstances {
            wait: Duration::ZERO,
            stall: self.stall,
            port: run.tcp_port(),
            had: Some((self.have, self.chunks)).filter(|(have, _)| *have > 0),
        };
        let mut failure = Failure::of(&name, reason, &around);
        if let FailReason::Stalled { .. } = reason {
            failure.happened = format!("{}; {}", self.missing(run), sources_text(&run.neighbours()));
        }
        let took = self.began.elapsed();
        run.log(&Record::Failed { name: &name, id: content, took, why: &failure.happened });
        failure.tell(run.out, content, Some(&name));
        failure.exit
    }

    /// Says what is left when a signal or the clock ends it.
    fn cut_short(&self, run: &mut Run<'_>, exit: Exit, why: &str) -> Exit {
        let failure = Failure {
            exit,
            title: "the file is not complete".to_owned(),
            happened: why.to_owned(),
            kept: (self.have > 0).then(|| kept(self.have, self.chunks)),
            next: vec![format!("the same command again goes on from there: {}", command_line())],
        };
        if let Some(content) = self.content {
            let Known { name, .. } = run.known(&content);
            let took = self.began.elapsed();
            run.log(&Record::Failed { name: &name, id: Some(content), took, why });
        }
        failure.tell(run.out, self.content, None);
        exit
    }

    /// What `--timeout` ran into.
    fn why_late(&self, run: &Run<'_>) -> String {
        let status = run.neighbours();
        let Some(owner) = owner_of(&status).filter(|_| self.content.is_none()) else {
            return format!(
                "the time of --timeout is over; {}; {}",
                self.missing(run),
                sources_text(&status)
            );
        };
        match owner.peer {
            None => format!("the owner at {} was not reached within --timeout", owner.addr),
            Some(_) => format!("the owner at {} offered nothing within --timeout", owner.addr),
        }
    }

    fn missing(&self, run: &Run<'_>) -> String {
        let held = self.content.and_then(|content| run.held(&content));
        let Some((_, held)) = held else { return "what it consists of is not known yet".to_owned() };
        let missing: Vec<u32> = held.missing().take(8).collect();
        format!("{} are missing", missing_text(&missing, held.len() - held.count()))
    }

    fn who(&self, run: &Run<'_>, addr: SocketAddr) -> String {
        let owner = owner_of(&run.neighbours()).is_some_and(|end| end.addr == addr);
        format!("{} {addr}", if owner { "the owner" } else { "the download neighbour" })
    }
}

fn owner_of(status: &Option<NeighboursStatus>) -> Option<EndStatus> {
    status.as_ref().and_then(|status| status.owner.clone())
}

fn missing_text(missing: &[u32], count: u32) -> String {
    match count {
        0 => "what the file consists of".to_owned(),
        1 => format!("chunk {}", human::some_of(missing, 1)),
        _ => format!("chunks {}", human::some_of(missing, count.into())),
    }
}

/// From whom what is missing could come.
fn sources_text(status: &Option<NeighboursStatus>) -> String {
    let Some(status) = status else { return String::new() };
    let end = |what: &str, end: &EndStatus| {
        let state =
            if end.connected { format!("which shows {}", end.have) } else { "not connected".to_owned() };
        format!("{what} {} ({state})", end.addr)
    };
    let upstream = status.upstream.iter().map(|up| end("the download neighbour", up));
    let owner = status.owner.iter().map(|owner| end("with --owner-fallback from the owner", owner));
    let ends: Vec<String> = upstream.chain(owner).collect();
    format!("that could come from {}", ends.join(", or "))
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
    Ok((listen, place, target(args).map_err(|why| (Exit::Usage, why))?))
}

/// Where the file goes, as `-o` says.
fn target(args: &PeerArgs) -> Result<Target, String> {
    let on_conflict = OnConflict::Rename;
    let Some(output) = &args.output else { return Ok(Target { on_conflict, ..Target::default() }) };
    let text = output.to_string_lossy();
    if text.is_empty() {
        return Err("-o needs a folder or a file name".to_owned());
    }
    if text.ends_with('/') || output.is_dir() || output.file_name().is_none() {
        return Ok(Target { dir: output.clone(), name: None, on_conflict });
    }
    let name = output.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| "the file name after -o is not UTF-8; choose another".to_owned())?;
    let dir = output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Target { dir: dir.to_owned(), name: Some(name.to_owned()), on_conflict })
}
