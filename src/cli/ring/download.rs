//! The download of a ring peer: its report and records, and the moment when no other peer needs this one any more.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::command_line::again;
use crate::cli::exit::Exit;
use crate::cli::failure::{Circumstances, Failure, kept};
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::report::{Known, neighbours};
use crate::cli::ring::endpoint::{missing_text, owner_of, sources_text, who};
use crate::cli::ring::record::Records;
use crate::cli::ring::takers::Takers;
use crate::cli::run::{Run, Target};
use crate::core::status::NeighboursStatus;
use crate::core::{Event, FailReason};
use crate::types::name::{Layout, printable};
use crate::types::{Bitfield, ContentId, PeerId};

/// The first few missing chunks that are named.
const MISSING_NAMED_MAX: usize = 8;

/// What a peer gets, and what it has come to.
#[derive(Debug)]
pub(super) struct Download {
    content: Option<ContentId>,
    target: Target,
    pub(super) began: Instant,
    pub(super) records: Records,
    /// The chunks that are here, among all there are once that is known.
    held: Bitfield,
    pub(super) bytes: u64,
    pub(super) done: bool,
    takers: Takers,
    stall: Duration,
    /// Whether the owner is asked for want of another source.
    falls_back: bool,
    /// Where something answered that is no peer.
    strangers: BTreeSet<SocketAddr>,
}

impl Download {
    /// Nothing of it is known yet.
    pub(super) fn new(target: Target, keep_chunks: bool, stall: Duration, falls_back: bool) -> Download {
        let now = Instant::now();
        let records = Records::new(target.dir.clone(), target.name.clone(), keep_chunks);
        Download {
            content: None,
            target,
            began: now,
            records,
            held: Bitfield::empty(0),
            bytes: 0,
            done: false,
            takers: Takers::new(now),
            stall,
            falls_back,
            strangers: BTreeSet::new(),
        }
    }

    /// When to look again whether one that is complete may go.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        self.takers.next_look(now).filter(|_| self.done)
    }

    /// Takes in an event; an exit code when it ends the command.
    pub(super) fn take(&mut self, run: &mut Run<'_>, event: &Event, owner: Option<PeerId>) -> Option<Exit> {
        match event {
            Event::Resolved { content, name, size, .. } => {
                self.content = Some(*content);
                self.bytes = *size;
                let chunks = run.reactor.core().held(content).map_or(0, |(cut, _)| cut.chunks());
                run.known.insert(*content, Known { name: Arc::clone(name), chunks });
                run.out.note(&format!("getting {} ({})", human::quoted(name), human::size(*size)));
            }
            Event::Started { content, geometry, had } => {
                if *had > 0 {
                    run.out.note(&format!("{had} of {} chunks are here already", geometry.chunks()));
                }
                self.begin_records(run, content);
            }
            Event::ChunkReceived { chunk, from, .. } => {
                self.held.set(*chunk);
                self.records.came(*chunk, from, owner);
            }
            Event::Waiting { missing, missing_count, .. } => {
                let what = missing_text(missing, *missing_count);
                run.out.note(&format!("waiting for {what}: {}", self.sources(run)));
            }
            Event::NeighbourAway { addr } => {
                let who = who(run.reactor.core().neighbours().as_ref(), *addr);
                run.out.note(&format!("{who} does not answer; trying again"));
            }
            Event::NotAPeer { addr, .. } => {
                self.strangers.insert(*addr);
            }
            Event::NeighbourBack { addr } => {
                let who = who(run.reactor.core().neighbours().as_ref(), *addr);
                run.out.note(&format!("{who} answers"));
            }
            Event::Finished { content, path, bytes, took, .. } => {
                self.finished(run, *content, path, *bytes, *took);
            }
            Event::OtherContent { from, theirs, name, wanted } => {
                let failure = Failure {
                    exit: Exit::Ambiguous,
                    title: "a neighbour has another file".to_owned(),
                    happened: format!(
                        "{} offers {theirs} ({}), and the owner {wanted}",
                        human::peer(from),
                        human::quoted(name)
                    ),
                    kept: self.had().map(|(have, of)| kept(have, of)),
                    next: vec!["name a neighbour that has the same owner".to_owned()],
                };
                self.report(run, &failure);
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
        if let Some((cut, held)) = run.reactor.core().held(content) {
            self.held = held.clone();
            if let Some(known) = run.known.get_mut(content) {
                known.chunks = cut.chunks();
            }
            self.records.begin(run, *content, cut, &held);
        }
    }

    fn finished(&mut self, run: &mut Run<'_>, id: ContentId, path: &Path, bytes: u64, took: Duration) {
        self.begin_records(run, &id);
        (self.done, self.bytes) = (true, bytes);
        self.takers.changed(Instant::now());
        let more = format!(", verified, in {}: {}", human::span(took), printable(&path.to_string_lossy()));
        neighbours::complete(run, &id, self.held.len(), &more);
        self.records.catch_up(run, true);
    }

    /// Whether nobody needs this peer any more.
    pub(super) fn may_go(&mut self, status: Option<NeighboursStatus>, now: Instant) -> bool {
        let status = status.filter(|status| self.done && status.holds_all);
        status.is_some_and(|status| self.takers.peer_may_go(&status, now))
    }

    fn failed(&self, run: &mut Run<'_>, reason: &FailReason) -> Exit {
        let content = self.content;
        let name = content
            .map_or_else(|| "the owner's file".to_owned(), |content| run.known(&content).name.to_string());
        let around = Circumstances {
            wait: Duration::ZERO,
            stall: self.stall,
            port: run.reactor.tcp_port(),
            size: None,
            had: self.had(),
        };
        let mut failure = Failure::of(&name, reason, &around);
        if content.is_none() {
            failure.title = format!("{name} was not fetched");
        }
        match reason {
            FailReason::Stalled { .. } => {
                failure.happened = format!("{}; {}", self.missing(), self.sources(run));
            }
            FailReason::Ambiguous { candidates } => {
                failure.happened = format!("the owner offers {} files instead of one", candidates.len());
            }
            _ => {}
        }
        let took = self.began.elapsed();
        run.log_failure(&name, content, took, &failure.happened);
        self.report(run, &failure);
        failure.exit
    }

    /// Says what is left when a signal or the clock ends it.
    pub(super) fn cut_short(&self, run: &mut Run<'_>, exit: Exit, why: &str) -> Exit {
        let failure = Failure {
            exit,
            title: "the file is not complete".to_owned(),
            happened: why.to_owned(),
            kept: self.had().map(|(have, of)| kept(have, of)),
            next: vec![again()],
        };
        if let Some(content) = self.content {
            let Known { name, .. } = run.known(&content);
            let took = self.began.elapsed();
            run.log_failure(&name, Some(content), took, why);
        }
        self.report(run, &failure);
        exit
    }

    /// What `--timeout` ran into.
    pub(super) fn why_late(&self, run: &Run<'_>) -> String {
        let status = run.reactor.core().neighbours();
        let Some(owner) = owner_of(status.as_ref()).filter(|_| self.content.is_none()) else {
            return format!(
                "the time of --timeout is over; {}; {}",
                self.missing(),
                sources_text(status.as_ref(), self.falls_back)
            );
        };
        match owner.peer {
            None if self.strangers.contains(&owner.addr) => {
                format!("what answers at {} is no chunkcast peer, and so not the owner", owner.addr)
            }
            None => format!("the owner at {} did not answer within --timeout", owner.addr),
            Some(_) => format!("the owner at {} offered nothing within --timeout", owner.addr),
        }
    }

    /// Chunks that are here, of how many, if there are any.
    fn had(&self) -> Option<(u32, u32)> {
        Some((self.held.count(), self.held.len())).filter(|(have, _)| *have > 0)
    }

    fn missing(&self) -> String {
        match self.held.len() - self.held.count() {
            0 if self.held.is_empty() => "the list of chunks is not here yet".to_owned(),
            0 => "all chunks are here".to_owned(),
            count => {
                let named: Vec<u32> = self.held.missing().take(MISSING_NAMED_MAX).collect();
                format!("{} {} missing", missing_text(&named, count), if count == 1 { "is" } else { "are" })
            }
        }
    }

    fn sources(&self, run: &Run<'_>) -> String {
        sources_text(run.reactor.core().neighbours().as_ref(), self.falls_back)
    }

    /// Tells of what it failed of.
    fn report(&self, run: &mut Run<'_>, failure: &Failure) {
        let name = self.content.map(|content| run.known(&content).name.to_string());
        let name = name.as_deref();
        let path = Some(self.target.path(name, Layout::Flat));
        failure.report_of(run.out, &Subject { id: self.content, name, path });
    }
}
