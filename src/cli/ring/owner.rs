//! `ring owner`: gives each peer a share of the chunks of a file.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::drive::Driven;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;
use crate::cli::report::{Known, neighbours};
use crate::cli::ring::endpoint::{Endpoint, start};
use crate::cli::ring::takers::{OwnerStands, Takers};
use crate::cli::run::{Run, Target};
use crate::cli::units::{parse_duration, parse_size};
use crate::cli::{Outcome, human};
use crate::core::status::NeighboursStatus;
use crate::core::{Event, Place};
use crate::shell::ShellEvent;
use crate::store::ShareEvent;
use crate::types::name::printable;
use crate::types::{ContentId, Geometry};

const ABOUT: &str = "\
Cut a file into chunks and give each peer that connects a share: of N peers, peer k gets every N-th chunk, starting with \
chunk k. Each chunk leaves the owner once, and again only if a peer is lost. Shares that no peer came for are given to \
the other peers after --deal-after.

A file has at least five chunks: the chunks of a small file are smaller, down to 1 KiB (a file of up to 4 KiB has fewer \
chunks). If a file is too large for --chunk-size, the next sufficient power of two is used.";

const EXAMPLES: &str = "\
Examples:
  chunkcast ring owner talk.mkv --listen 7200
  chunkcast ring owner talk.mkv --listen 192.168.1.27:7200 --peers 12 --exit-when-done
  chunkcast ring owner talk.mkv --listen 7200 --chunk-size 1MiB --json

Exit: 0 all peers are complete (--exit-when-done), or ended by Ctrl-C or SIGTERM, 2 usage,
4 the port is in use, 5 a peer was lost (--exit-when-done), 7 the file cannot be read or changed.";

/// Share a file with a ring: each peer gets a share of the chunks
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(super) struct OwnerArgs {
    /// The file to share
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Listen here: a port, or an address of this host and a port
    #[arg(long, value_name = "PORT|ADDR:PORT", value_parser = Endpoint::parse)]
    listen: Endpoint,
    /// Chunk size: a power of two from 1KiB, or a multiple of 4KiB, up to 1MiB
    #[arg(long, value_name = "SIZE", default_value = "100KiB", value_parser = parse_chunk_bytes)]
    chunk_size: u32,
    /// Number of peers to expect
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    peers: u32,
    /// Give unclaimed shares to the peers that came, this long after the first peer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    deal_after: Duration,
    /// End when --peers peers are complete, or all others and a lost peer has been away for 30s [default: run until Ctrl-C]
    #[arg(long)]
    exit_when_done: bool,
}

/// What is handed out, once it is hashed.
#[derive(Debug, Clone, Copy)]
struct Offer {
    content: ContentId,
    cut: Geometry,
}

pub(super) fn run(args: &OwnerArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    if args.file.is_dir() {
        let why = format!("{} is a folder", human::quoted_path(&args.file));
        return Err(out.refuse(Exit::Usage, &why, Some("name one file in it")));
    }
    let next = Some("name one of this host's addresses");
    let listen = args.listen.listen(global).map_err(|why| out.refuse(Exit::Network, &why, next))?;
    let place =
        Place::Owner { chunk_bytes: args.chunk_size, peers: args.peers, reassign_after: args.deal_after };
    let mut run = start(global, Target::default(), listen, place, out)?;
    let mut owner = Owner { args, offer: None, takers: Takers::new(Instant::now()), all_done: false };
    let exit = match run.reactor.share(&args.file) {
        Ok(()) => run.drive(&mut owner).unwrap_or_else(|exit| exit),
        Err(fault) => run.report_fault(&fault),
    };
    run.leave(|run, event| {
        if let ShellEvent::Core(event) = &event {
            neighbours::report(run, event, None);
        }
    });
    let bytes = owner.offer.map_or(0, |offer| offer.cut.size_bytes());
    Ok(Outcome { bytes, ..Outcome::of(exit) })
}

/// What the owner waits for.
struct Owner<'a> {
    args: &'a OwnerArgs,
    offer: Option<Offer>,
    takers: Takers,
    all_done: bool,
}

impl Driven for Owner<'_> {
    type End = Exit;

    fn step(&mut self, run: &mut Run<'_>) -> ControlFlow<Exit, Option<Instant>> {
        let (args, now) = (self.args, Instant::now());
        if let (Some(offer), Some(status)) = (self.offer, run.reactor.core().neighbours()) {
            let stands = self.takers.owner_stands(&status, args.peers as usize, now);
            if stands == OwnerStands::Done && !std::mem::replace(&mut self.all_done, true) {
                let peers = human::counted(status.takers_done, "peer", "peers");
                neighbours::complete(run, &offer.content, offer.cut.chunks(), &format!(", at {peers}"));
            }
            match stands {
                OwnerStands::Done if args.exit_when_done => return ControlFlow::Break(Exit::Ok),
                OwnerStands::Left if args.exit_when_done => return ControlFlow::Break(lost(run, &status)),
                _ => {}
            }
        }
        ControlFlow::Continue(self.takers.next_look(now).filter(|_| args.exit_when_done))
    }

    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Exit> {
        match &event {
            ShellEvent::Signal(_) => return ControlFlow::Break(Exit::Ok),
            ShellEvent::Share(ShareEvent::Skipped { .. }) => return ControlFlow::Break(Exit::Storage),
            ShellEvent::Core(Event::Withdrawn { name, why, .. }) => {
                let why = format!("{}: {why}", human::label(name));
                let next = "start the owner and its peers again once the file stays as it is";
                run.out.error(Exit::Storage, &why, Some(next));
                return ControlFlow::Break(Exit::Storage);
            }
            ShellEvent::Core(event @ Event::Offered { .. }) if self.offer.is_none() => {
                self.offer = offered(self.args, run, event);
                if self.offer.is_none() {
                    return ControlFlow::Break(Exit::Usage);
                }
            }
            ShellEvent::Core(event) => neighbours::report(run, event, None),
            ShellEvent::Share(_) => {}
        }
        ControlFlow::Continue(())
    }
}

/// Some who came were lost and did not come back; the others are complete.
fn lost(run: &mut Run<'_>, status: &NeighboursStatus) -> Exit {
    let lost = human::counted(status.takers_lost, "peer was lost and did", "peers were lost and did");
    let why = format!("{lost} not come back; complete: {}", status.takers_done);
    run.out.error(
        Exit::GaveUp,
        &why,
        Some("start the owner and what was lost again: it goes on from its part"),
    );
    Exit::GaveUp
}

/// The file is hashed: tells what peers will get.
fn offered(args: &OwnerArgs, run: &mut Run<'_>, event: &Event) -> Option<Offer> {
    let Event::Offered { content, name, size } = event else { return None };
    let (content, name, size) = (*content, name.as_str(), *size);
    let cut = match Geometry::ring(size, args.chunk_size) {
        Ok(cut) => cut,
        Err(error) => {
            run.out.error(Exit::Usage, &error.to_string(), None);
            return None;
        }
    };
    run.known.insert(content, Known { name: name.into(), chunks: cut.chunks() });
    run.print(event, None);
    run.out.result(&format!("{content}  {}", printable(name)));
    let (chunks, peers) = (cut.chunks(), human::counted(args.peers as usize, "peer", "peers"));
    let note = format!(
        "{} in {} of {}; waiting for {peers} on port {}: chunkcast ring peer HOST:{} LISTEN NEIGHBOUR",
        human::size(size),
        human::counted(chunks as usize, "chunk", "chunks"),
        human::size(cut.chunk_bytes().into()),
        run.reactor.tcp_port(),
        run.reactor.tcp_port(),
    );
    run.out.note(&note);
    Some(Offer { content, cut })
}

/// Reads a chunk size.
fn parse_chunk_bytes(text: &str) -> Result<u32, String> {
    let bytes = parse_size(text)?;
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    Geometry::new(0, bytes).map(|cut| cut.chunk_bytes()).map_err(|error| error.to_string())
}
