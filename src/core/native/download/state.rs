//! One download: its phase, its requests, the chunks on their way to the disk, who offered it and who is to blame.
//!
//! Knows no connection but by its id. Downloads side by side stand in `downloader.rs`.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::io::{ConnId, PeerRef};
use crate::core::limits::Limits;
use crate::core::native::download::flights::{Flight, Flights};
use crate::core::native::download::overlay::Overlay;
use crate::types::manifest::ManifestPages;
use crate::types::name::Layout;
use crate::types::{ContentId, Geometry, PeerId, Time};

/// So many peers are remembered that offered a content wholly.
const OWNERS_MAX: usize = 4;

/// A peer that offered a content wholly when it was to be fetched, or since.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) peer: PeerId,
    pub(crate) addr: SocketAddr,
    /// The state of its catalogue in which it last said so.
    pub(crate) generation: u64,
    /// What it offered up to here was looked at for another content of the same name.
    pub(crate) seen: u64,
}

/// How far a download has come.
#[derive(Debug, Default)]
pub(crate) enum Phase {
    /// Waits for its turn among many.
    #[default]
    Queued,
    /// The store looks for what is there already.
    Opening,
    /// The manifest is wanted; it comes in pages from one peer at a time.
    Manifest(Option<(ConnId, Box<ManifestPages>)>),
    /// There is one chunk, which proves itself and so the size that its holder tells: it is asked of this peer, or is whole
    /// and with the store.
    Proving(ConnId),
    /// The store makes the part.
    Creating,
    /// Chunks are asked for.
    Running,
    /// The store publishes the file.
    Publishing,
    /// The store lets go of the part.
    ClosingPart,
}

/// A chunk that is whole and on its way through verification to the disk.
#[derive(Debug, Clone)]
pub(crate) struct Storing {
    pub(crate) conn: ConnId,
    pub(crate) from: PeerRef,
    pub(crate) from_complete: bool,
    pub(crate) asked: Time,
}

/// A file that somebody wants: one content under one name.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) name: Arc<str>,
    pub(crate) layout: Layout,
    pub(crate) size_claimed: u64,
    pub(crate) stall: Duration,
    pub(crate) began: Time,
    /// The ticket of the search that it came of.
    pub(crate) ticket: Option<u32>,
    /// So often what was asked for was replaced, and begun anew, before this one.
    pub(crate) renewed: u32,
}

/// One download.
#[derive(Debug, Default)]
pub(crate) struct Download {
    /// Counts up with each download that is begun.
    pub(crate) number: u64,
    pub(crate) wish: Wish,
    /// Some peers that offered it wholly: what they offer under its name later has replaced it.
    pub(crate) owners: Vec<Owner>,
    /// The content that replaced it, once that was told.
    pub(crate) replaced_by: Option<Box<ContentId>>,
    /// Since when its file is not there any more at the holder that told so last, while nothing of it is here.
    pub(crate) removed: Option<Box<(Time, PeerRef)>>,
    pub(crate) phase: Phase,
    /// It was complete, and gave its place to another while the store publishes it.
    pub(crate) gave_way: bool,
    /// When a page of the manifest was last asked for.
    pub(crate) page_asked: Time,
    /// The most values of the manifest that came from one peer. Less than that again is no progress.
    pub(crate) values_best: u32,
    /// What begins when this one is over, one after the other: the content under its other names, or, when this one has
    /// failed, once more.
    pub(crate) followers: VecDeque<Wish>,
    /// Known from the manifest on.
    pub(crate) geometry: Option<Geometry>,
    /// What is asked for, by chunk.
    pub(crate) flights: Flights,
    /// Chunks on their way to the disk.
    pub(crate) storing: BTreeMap<u32, Storing>,
    /// Peers that chunks came from.
    pub(crate) contributors: BTreeSet<SocketAddr>,
    /// Peers that were banned for it.
    pub(crate) banned: Vec<PeerRef>,
    /// When it last got on, or could have.
    pub(crate) supplied: Time,
    /// `Event::Waiting` was said and not taken back.
    pub(crate) waiting: bool,
    /// When to ask the LAN for holders again, and how long to wait after that.
    pub(crate) next_query: Time,
    pub(crate) query_gap: Duration,
    /// What a whole chunk takes, from its first byte to its last.
    pub(crate) pace: Option<Duration>,
    /// So often its sources were found too few: each time it connects to twice as many of many holders.
    pub(crate) widened: u32,
    /// Whom it is connected to where many have or want it.
    pub(crate) overlay: Overlay,
}

/// How long after the first look a download asks the LAN again; doubles up to the longest.
const QUERY_GAP_MIN: Duration = Duration::from_secs(2);
const QUERY_GAP_MAX: Duration = Duration::from_secs(60);

impl Download {
    /// A download that waits for its turn.
    pub(crate) fn new(number: u64, wish: Wish) -> Download {
        let now = wish.began;
        Download {
            number,
            wish,
            page_asked: now,
            supplied: now,
            next_query: now + QUERY_GAP_MIN,
            query_gap: QUERY_GAP_MIN,
            ..Download::default()
        }
    }

    /// Whether its content is to be written under this name, by it or by another that follows.
    pub(crate) fn is_under(&self, name: &str, layout: Layout) -> bool {
        let same = |other: &str, other_layout: Layout| (other, other_layout) == (name, layout);
        let failed = matches!(self.phase, Phase::ClosingPart);
        (!failed && same(&self.wish.name, self.wish.layout))
            || self.followers.iter().any(|other| same(&other.name, other.layout))
    }

    /// Has a wish follow this download, unless it is that of this one or of another that follows.
    pub(crate) fn follow(&mut self, wish: Wish) {
        if !self.is_under(&wish.name, wish.layout) {
            self.followers.push_back(wish);
        }
    }

    /// A peer offers its content wholly under a name, in a state of its catalogue. The first few are remembered. A state
    /// in which it has the content under other names only may have a new version under the name of this download.
    pub(crate) fn note_owner(&mut self, peer: PeerId, addr: SocketAddr, name: &str, generation: u64) {
        if let Some(owner) = self.owners.iter_mut().find(|owner| owner.peer == peer) {
            owner.addr = addr;
            if *self.wish.name == *name {
                owner.generation = generation;
            }
        } else if self.owners.len() < OWNERS_MAX {
            self.owners.reserve_exact(1);
            self.owners.push(Owner { peer, addr, generation, seen: 0 });
        }
    }

    /// Whether it wants something of other peers.
    pub(crate) fn wants_peers(&self) -> bool {
        matches!(
            self.phase,
            Phase::Opening | Phase::Manifest(_) | Phase::Proving(_) | Phase::Creating | Phase::Running
        )
    }

    /// A chunk came whole after this time.
    pub(crate) fn note_pace(&mut self, took: Duration) {
        self.pace = Some(smoothed(self.pace, took));
    }

    /// Whether it asks for chunks.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether it takes a place among the active ones.
    pub(crate) fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Queued) && !self.gave_way
    }

    /// Whether `chunk` is asked for or on its way to the disk.
    pub(crate) fn is_under_way(&self, chunk: u32) -> bool {
        self.flights.contains_key(&chunk) || self.storing.contains_key(&chunk)
    }

    /// How many chunks are asked for and not late: what counts against the window.
    pub(crate) fn window_used(&self) -> usize {
        self.flights.timely()
    }

    /// The chunks asked of `conn`.
    pub(crate) fn flights_at(&self, conn: ConnId) -> Vec<u32> {
        let at = |flights: &Vec<Flight>| flights.iter().any(|flight| flight.conn == conn);
        self.flights.iter().filter(|(_, flights)| at(flights)).map(|(chunk, _)| *chunk).collect()
    }

    /// Marks the requests that took too long by `now`. Returns those that were not late before.
    pub(crate) fn mark_late(
        &mut self,
        now: Time,
        limits: &Limits,
        quiet_since: impl Fn(ConnId) -> Option<Time>,
    ) -> Vec<(u32, ConnId)> {
        let Some(geometry) = self.geometry else { return Vec::new() };
        let mut late = Vec::new();
        for (chunk, flights) in self.flights.iter() {
            let bytes = geometry.chunk_span(*chunk).map_or(0, |(_, len)| u64::from(len));
            for flight in flights.iter().filter(|flight| !flight.late) {
                let floor_ms = bytes.saturating_mul(1000).checked_div(limits.chunk_floor_bytes_per_s);
                let floor = floor_ms.map_or(Duration::MAX, Duration::from_millis);
                let is_late = match flight.begun {
                    Some(begun) => now.since(begun) > limits.chunk_grace.saturating_add(floor),
                    // Not begun: the queue before it may be long, so only silence of the whole connection counts.
                    None => {
                        let heard = quiet_since(flight.conn).unwrap_or(Time::ZERO).max(flight.asked);
                        now.since(heard) > limits.chunk_grace
                            || now.since(flight.asked) > limits.request_wait_max
                    }
                };
                if is_late {
                    late.push((*chunk, flight.conn));
                }
            }
        }
        late.iter().for_each(|(chunk, conn)| self.flights.mark_late(*chunk, *conn));
        late
    }

    /// If the manifest was coming from `conn`, it no longer is.
    pub(crate) fn forget_manifest_source(&mut self, conn: ConnId) {
        if matches!(&self.phase, Phase::Manifest(Some((from, _))) if *from == conn) {
            self.phase = Phase::Manifest(None);
        }
    }

    /// The LAN was asked for holders: the next time is later.
    pub(crate) fn queried(&mut self, now: Time) {
        self.next_query = now + self.query_gap;
        self.query_gap = self.query_gap.saturating_mul(2).min(QUERY_GAP_MAX);
    }

    /// It got on: what was asked of the LAN for want of holders may be asked again soon.
    pub(crate) fn got_on(&mut self, now: Time) {
        self.supplied = now;
        self.query_gap = QUERY_GAP_MIN;
    }
}

/// What something takes usually, of which the latest instance took `took`.
pub(crate) fn smoothed(usual: Option<Duration>, took: Duration) -> Duration {
    let Some(usual) = usual else { return took };
    usual.saturating_mul(7).saturating_add(took).checked_div(8).unwrap_or_default()
}
