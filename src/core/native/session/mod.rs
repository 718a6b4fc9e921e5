//! A session with a native peer: its phase, its decoder, what it wants to send, the contents it has named.
//!
//! Owns the state of the conversation. What a message means is decided by the engine.

mod channel;
pub(crate) mod channels;
pub(crate) mod dialling;
mod guests;
pub(crate) mod life;
pub(crate) mod links;
pub(crate) mod outbox;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::connection::Transport;
use crate::core::io::{BufferId, PeerRef};
use crate::core::limits::Limits;
use crate::core::native::session::channels::Channels;
use crate::core::native::session::outbox::Outbox;
use crate::core::rates::Allowance;
use crate::core::room;
use crate::core::topology::Topology;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::frame::Decoder;
use crate::wire::message::CatalogueRequest;

/// Queued frames after which a connection that does not read is closed.
pub(crate) const QUEUED_FRAMES_MAX: usize = 4_096;
/// Catalogue requests of the other side that wait for their page.
pub(crate) const CATALOGUE_REQUESTS_MAX: usize = 16;
/// Cancelled chunks of one connection that may still come. Most are never answered; more than these are not on the way.
const CANCELLED_MAX: usize = 256;
/// Rejected requests of one connection: at once, and in the long run. An honest one is told of what is withdrawn, and
/// makes few.
const REJECTIONS_MAX: u32 = 512;
const REJECTIONS_PER_S: u32 = 8;
/// Declined offers of one connection: at once, and in the long run. Whoever sends a folder to somebody who wants nothing
/// of it makes many.
const DECLINES_MAX: u32 = 4_096;
const DECLINES_PER_S: u32 = 64;
/// So many of the first bytes that came on a connection that was dialled are kept, to tell who answers there.
const FIRST_WORDS_BYTES: usize = 64;

/// Channels of one connection that are looked at for a download that goes on.
const CHANNELS_LOOKED_AT: usize = 64;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Dialled, not connected yet.
    Dialling,
    /// Connected; the other side's hello is not here yet.
    Greeting,
    /// Both sides have said hello.
    Open,
    /// To be closed once what is encoded is sent. Takes no part in anything any more.
    Closing,
}

/// What is known of a connection: whether the peer that its hello names is where it says that it listens. An id
/// is public, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was not dialled there since.
    Untested,
    /// It answered there.
    Proven,
    /// Another peer answered there, or none.
    Refuted,
}

/// Who is at the other end, from its hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) peer: PeerId,
    pub(crate) user: String,
    /// The TCP port it listens on.
    pub(crate) port: u16,
    /// It only claims to be this peer, which is known at another address. It is served as anybody is; what it says of
    /// itself is not said of the peer.
    pub(crate) guest: bool,
}

/// A chunk that is coming in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming {
    pub(crate) content: ContentId,
    pub(crate) chunk: u32,
    /// Where it goes; `None` when nobody wants it any more.
    pub(crate) buffer: Option<BufferId>,
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// A chunk that is going out, behind the outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing {
    pub(crate) content: ContentId,
    pub(crate) chunk: u32,
    /// Chunks there are in the channel's cut.
    pub(crate) of: u32,
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) sent: u32,
    pub(crate) began: Time,
}

/// News of what we have that stand in the outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListOut {
    pub(crate) content: ContentId,
    /// Chunks that were not told before, that were told by now, and that there are.
    pub(crate) new: u32,
    pub(crate) have: u32,
    pub(crate) of: u32,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) transport: Transport,
    pub(crate) phase: Phase,
    /// A ping is out.
    pub(crate) pinged: bool,
    /// A pong is owed.
    pub(crate) pong: bool,
    /// A manifest page is being read from the store.
    pub(crate) manifest_job: bool,
    /// So many chunks the other side said it has were told before.
    pub(crate) haves_again: u32,
    /// So often the other side said that a chunk from here was bad.
    pub(crate) bad_claims: u32,
    /// Files that are offered on it, in either direction, and whose outcome is not known.
    pub(crate) offers_open: usize,
    /// Requests of ours that are out, over all contents.
    pub(crate) asked: usize,
    /// When a byte last came.
    pub(crate) heard: Time,
    /// When a byte last went, or there was last nothing to send.
    pub(crate) moved: Time,
    /// Until then it is asked for nothing: it said it was busy.
    pub(crate) busy_until: Time,
    /// Our channels, by our numbers.
    pub(crate) channels: Channels,
    pub(crate) incoming: Option<Incoming>,
    pub(crate) decoder: Decoder,
    pub(crate) outbox: Outbox,
    /// What of the outbox tells what we have, where somebody wants to know.
    pub(crate) lists_out: Vec<ListOut>,
    pub(crate) outgoing: Option<Outgoing>,
    /// What a request waits there until its chunk is begun.
    pub(crate) turn: Option<Duration>,
    /// What a whole chunk from there takes, from its first byte to its last.
    pub(crate) pace: Option<Duration>,
    /// Channels that were refused here when they were named, and are remembered with their content.
    pub(crate) refused_kept: u32,
    /// Catalogue pages the other side asked for.
    pub(crate) catalogue_asks: VecDeque<CatalogueRequest>,
    /// One of those is being looked for.
    pub(crate) page_waits: bool,
    /// Manifest pages the other side asked for: our channel, first value.
    pub(crate) manifest_asks: VecDeque<(u32, u32)>,
    pub(crate) since: Time,
    /// The first bytes that came on a connection that was dialled, while they are not known to be a peer's.
    pub(crate) first_words: Option<Vec<u8>>,
    /// When a chunk, or a good part of one, last went over it, in either direction.
    pub(crate) payload: Option<Time>,
    pub(crate) identity: Option<Identity>,
    pub(crate) claim: Claim,
    /// Searches whose catalogue pages are to come, in the order they were asked for.
    pub(crate) walks: VecDeque<u32>,
    /// Requests that the other side may still make.
    pub(crate) requests: Allowance,
    /// Requests that the other side may still revoke and make anew.
    pub(crate) revokes: Allowance,
    /// Requests of the other side that may still be rejected.
    pub(crate) rejections: Allowance,
    /// Offers of the other side that may still be declined.
    pub(crate) declines: Allowance,
    /// Chunks we cancelled that may still come, the latest last.
    cancelled: VecDeque<(ContentId, u32)>,
}

impl Session {
    /// A session on a connection that is dialled, or came in, now.
    pub(crate) fn new(transport: Transport, limits: &Limits, now: Time) -> Session {
        let dialled = transport.dialled;
        Session {
            transport,
            phase: if dialled { Phase::Dialling } else { Phase::Greeting },
            since: now,
            first_words: None,
            payload: None,
            identity: None,
            claim: if dialled { Claim::Proven } else { Claim::Untested },
            decoder: Decoder::default(),
            incoming: None,
            outgoing: None,
            channels: Channels::default(),
            refused_kept: 0,
            lists_out: Vec::new(),
            catalogue_asks: VecDeque::new(),
            page_waits: false,
            manifest_asks: VecDeque::new(),
            manifest_job: false,
            pong: false,
            bad_claims: 0,
            walks: VecDeque::new(),
            busy_until: Time::ZERO,
            pinged: false,
            pace: None,
            turn: None,
            asked: 0,
            offers_open: 0,
            requests: Allowance::new(limits.requests_at_once_max, limits.requests_per_s, now),
            revokes: Allowance::new(limits.revokes_at_once_max, limits.revokes_per_s, now),
            rejections: Allowance::new(REJECTIONS_MAX, REJECTIONS_PER_S, now),
            declines: Allowance::new(DECLINES_MAX, DECLINES_PER_S, now),
            haves_again: 0,
            cancelled: VecDeque::new(),
            heard: now,
            moved: now,
            outbox: Outbox::default(),
        }
    }

    /// Until when it is, or was, of use; `None`: it stays, or closes anyway. `sought`: what
    /// downloads want of others; `is_served`: a chunk is on its way, or its turn has come.
    pub(crate) fn of_use_until(
        &self,
        now: Time,
        topology: &Topology,
        sought: &BTreeSet<ContentId>,
        is_served: bool,
    ) -> Option<Time> {
        match self.phase {
            Phase::Dialling | Phase::Closing => None,
            Phase::Greeting => (!self.transport.dialled).then_some(self.since + room::GRACE),
            // Whom an arrangement of neighbours names is part of it.
            Phase::Open if self.transport.dialled && !topology.finds_peers() => None,
            Phase::Open if self.is_used(now, sought) => None,
            Phase::Open => {
                let is_served = self.outgoing.is_some() || is_served;
                Some(room::while_busy(is_served, self.payload.unwrap_or(self.since)))
            }
        }
    }

    /// Whether this peer takes chunks on it, or will soon, or offers are open on it.
    fn is_used(&self, now: Time, sought: &BTreeSet<ContentId>) -> bool {
        let takes = self.asked > 0 || self.incoming.is_some();
        if takes || self.offers_open > 0 || (self.transport.dialled && !self.walks.is_empty()) {
            return true;
        }
        // That it names a content which is fetched here costs it nothing: so it must have been dialled, or moved a chunk.
        let lately = |at: Time| now.since(at) < room::KEPT;
        (self.transport.dialled || self.payload.is_some_and(lately))
            && self.channels.iter().take(CHANNELS_LOOKED_AT).any(|channel| {
                !channel.refused && channel.theirs.is_some() && sought.contains(&channel.content)
            })
    }

    /// Keeps the first bytes that came, as long as they are not known to be a peer's.
    pub(crate) fn note_first_words(&mut self, bytes: &[u8]) {
        if let Some(words) = &mut self.first_words {
            let room = FIRST_WORDS_BYTES.saturating_sub(words.len());
            words.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
    }

    /// The other side as events name it: with the port it listens on, once that is known.
    pub(crate) fn peer_ref(&self) -> PeerRef {
        match &self.identity {
            Some(identity) => PeerRef {
                id: Some(identity.peer),
                addr: SocketAddr::new(self.transport.addr.ip(), identity.port),
                user: identity.user.clone(),
            },
            None => PeerRef { id: None, addr: self.transport.addr, user: String::new() },
        }
    }

    /// The peer at the other end as the directory knows it; `None` for one that only claims to be that.
    pub(crate) fn known_peer(&self) -> Option<PeerId> {
        self.identity.as_ref().filter(|identity| !identity.guest).map(|identity| identity.peer)
    }

    /// Whether a chunk of this content was cancelled that may still come.
    pub(crate) fn awaits_cancelled(&self, content: &ContentId) -> bool {
        self.cancelled.iter().any(|(cancelled, _)| cancelled == content)
    }

    /// A request was taken back; its chunk may be on the way already.
    pub(crate) fn note_cancelled(&mut self, content: ContentId, chunk: u32) {
        if self.cancelled.len() >= CANCELLED_MAX {
            self.cancelled.pop_front();
        }
        self.cancelled.push_back((content, chunk));
    }

    /// Whether a request for this chunk was taken back, not long ago.
    pub(crate) fn was_cancelled(&self, content: &ContentId, chunk: u32) -> bool {
        self.cancelled.iter().any(|cancelled| *cancelled == (*content, chunk))
    }

    /// A request that was taken back is answered all the same. False when it was none.
    pub(crate) fn forget_cancelled(&mut self, content: ContentId, chunk: u32) -> bool {
        let at = self.cancelled.iter().position(|cancelled| *cancelled == (content, chunk));
        at.and_then(|at| self.cancelled.remove(at)).is_some()
    }
}
