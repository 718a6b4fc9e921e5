//! Mirroring: what others offer and is wanted here is fetched, and what appears later too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::door::{ConnId, Event, FailReason};
use crate::core::downloader::Phase;
use crate::core::limits::{MIRROR_SOURCE_WAIT, MIRROR_STALL};
use crate::core::mirror::{Claimant, Mirror, Refusal};
use crate::core::peer::Peer;
use crate::core::rng::Rng;
use crate::core::timers::Timer;
use crate::types::id::{ContentId, PeerId};
use crate::types::name::quoted;
use crate::types::time::Time;
use crate::types::units;
use crate::wire::message::{CatalogueRequest, Entry, Frame, Wanted};

/// Among the walks that a connection owes pages to, the key of the mirror's. No search has it, and
/// no look at a neighbour's catalogue.
pub(in crate::core) const MIRROR_KEY: u32 = u32::MAX;
/// How often the catalogues of peers that somebody named are walked again: they may not hear what is broadcast, nor
/// be heard.
const REVIEW_INTERVAL: Duration = Duration::from_secs(30);
/// Entries of one peer that are looked at together for what was put off; then others have their turn.
const PUT_OFF_LOOKS: usize = 1_000;
/// The pause after that.
const PUT_OFF_PAUSE: Duration = Duration::from_millis(50);
/// Endpoints that are not dialled at once are drawn after this time.
const DIALS_PAUSE: Duration = Duration::from_secs(1);
/// Holders of a content that may be dialled at once when it is heard of.
const HOLDERS_DIALLED: usize = 8;

impl Peer {
    /// Begins to mirror, in place of what was mirrored so far.
    pub(in crate::core) fn on_mirror(
        &mut self,
        now: Time,
        ticket: u32,
        wanted: Vec<Wanted>,
        room_bytes: u64,
    ) {
        if self.leaving.is_some() {
            return;
        }
        let claims_max = self.config.limits.mirror_claims_per_address_max;
        self.mirror = Some(Mirror::new(ticket, wanted.clone(), room_bytes, claims_max));
        let offered: Vec<(PeerId, Entry)> = self.directory.matching(&Wanted::All).collect();
        for (peer, entry) in offered {
            self.mirror_matches(now, &peer, &[entry]);
        }
        wanted.into_iter().for_each(|wanted| self.query(now, wanted));
        self.walk_all_for_mirror(now);
        self.timers.set(Timer::Mirror, now + REVIEW_INTERVAL);
    }

    /// Looks again at what failed, and at the peers that somebody named.
    pub(in crate::core) fn review_mirror(&mut self, now: Time) {
        let Some(mirror) = &mut self.mirror else { return };
        mirror.fail_parked(now, MIRROR_STALL);
        for (content, name, size) in mirror.due(now) {
            // One that has to wait once more is looked at again with the next review.
            let holder = self.directory.holders(&content).next().copied();
            if let Some(holder) = holder {
                let claimed_by = self.claims_of(&holder);
                self.fetch_for_mirror(now, content, &name, size, claimed_by);
            }
        }
        let open: Vec<PeerId> = self.links.all_open().map(|(peer, _)| *peer).collect();
        let fixed: Vec<PeerId> = open.into_iter().filter(|peer| self.is_fixed(peer)).collect();
        if let Some(mirror) = &mut self.mirror {
            let at = |peer: &PeerId| self.directory.get(peer).map(|known| known.addr.ip());
            mirror.forget_walks(now, |peer| fixed.contains(peer) || at(peer).is_none());
            mirror.forget_put_off(|ip, peer| at(peer) == Some(*ip));
        }
        self.fetch_what_was_put_off(now);
        self.dial_fixed_peers(now);
        self.walk_all_for_mirror(now);
        let review = now + REVIEW_INTERVAL;
        let retry = self.mirror.as_ref().and_then(|mirror| mirror.next_retry(now));
        self.timers.set(Timer::Mirror, retry.map_or(review, |retry| retry.min(review)));
    }

    /// A peer offers these entries: what is wanted of them and is not here is fetched.
    pub(in crate::core) fn mirror_matches(&mut self, now: Time, peer: &PeerId, entries: &[Entry]) {
        let claimed_by = self.claims_of(peer);
        let connected = self.links.to_peer(peer).is_some();
        for entry in entries {
            self.fetch_or_put_off(now, peer, entry, claimed_by);
            if connected {
                self.unpark_for_mirror(now, &entry.id);
            }
        }
    }

    /// Fetches an entry of a peer that the mirror wants. False when it has to wait for others.
    fn fetch_or_put_off(
        &mut self,
        now: Time,
        peer: &PeerId,
        entry: &Entry,
        claimed_by: Option<Claimant>,
    ) -> bool {
        if !self.mirror.as_ref().is_some_and(|mirror| mirror.wants(entry)) {
            return true;
        }
        let refused = self.fetch_for_mirror(now, entry.id, &entry.name, entry.size, claimed_by);
        let ip = self.directory.get(peer).map(|known| known.addr.ip());
        let (Some(ip), Some(Refusal::Later), Some(mirror)) = (ip, refused, &mut self.mirror) else {
            return true;
        };
        mirror.put_off(ip, *peer, (entry.id, entry.name.clone()));
        false
    }

    /// Some of what addresses claim to have came, or will not: what was put off of their peers is fetched.
    pub(in crate::core) fn fetch_what_was_put_off(&mut self, now: Time) {
        while let Some(ip) = self.mirror.as_mut().and_then(Mirror::next_freed) {
            let mut after = None;
            while let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.may_claim(&ip))
                && let Some((peer, from)) = mirror.next_put_off(ip, after)
            {
                after = Some(peer);
                let listed: Vec<Entry> =
                    self.directory.entries_from(&peer, &from).take(PUT_OFF_LOOKS).collect();
                let claimed_by = self.claims_of(&peer);
                let all = listed.iter().all(|entry| self.fetch_or_put_off(now, &peer, entry, claimed_by));
                if let (true, PUT_OFF_LOOKS, Some(last), Some(mirror)) =
                    (all, listed.len(), listed.last(), &mut self.mirror)
                {
                    mirror.put_off(ip, peer, (last.id, last.name.clone()));
                    mirror.is_freed(ip);
                    return self.timers.set_no_later(Timer::MirrorNext, now + PUT_OFF_PAUSE);
                }
            }
        }
    }

    /// Whose a peer's claims are; `None`: many honest peers may be at its address.
    fn claims_of(&self, peer: &PeerId) -> Option<Claimant> {
        let ip = self.directory.get(peer)?.addr.ip();
        let connected = self.links.to_peer(peer).is_some();
        (!self.config.is_own(ip)).then_some(Claimant { ip, connected })
    }

    /// A peer is connected: what of its contents waited for that begins, and what was put off may be claimed.
    pub(in crate::core) fn meet_for_mirror(&mut self, now: Time, peer: &PeerId) {
        let Some(mirror) = &mut self.mirror else { return };
        let Some(ip) = self.directory.get(peer).map(|known| known.addr.ip()) else { return };
        let waiting = mirror.parked().filter(|content| self.directory.is_holder(peer, content));
        let waiting: Vec<ContentId> = waiting.copied().collect();
        mirror.is_freed(ip);
        waiting.iter().for_each(|content| self.unpark_for_mirror(now, content));
        self.fetch_what_was_put_off(now);
    }

    /// Begins to fetch a content that a peer offers who is connected. Another takes no place among the active downloads, and its
    /// holders are dialled.
    fn begin_or_park(&mut self, now: Time, content: ContentId, name: &str, size: u64) {
        let is_open = self.directory.holders(&content).any(|peer| self.links.to_peer(peer).is_some());
        if is_open || !self.config.topology.is_mesh() {
            return self.begin_for_mirror(now, content, name, size);
        }
        if let Some(mirror) = &mut self.mirror {
            mirror.park(now, content, name, size);
        }
        let holders = self.directory.holders(&content).filter_map(|peer| self.directory.get(peer));
        let addrs: Vec<SocketAddr> = holders.take(HOLDERS_DIALLED).map(|known| known.addr).collect();
        for addr in addrs {
            self.dial_for_mirror(now, addr);
        }
    }

    /// A content of which a peer is connected that offers it begins, if it waited for that.
    fn unpark_for_mirror(&mut self, now: Time, content: &ContentId) {
        let Some(mirror) = &mut self.mirror else { return };
        if let Some((name, size)) = mirror.unpark(content) {
            self.begin_for_mirror(now, *content, &name, size);
        }
    }

    fn begin_for_mirror(&mut self, now: Time, content: ContentId, name: &str, size: u64) {
        let Some(mirror) = &self.mirror else { return };
        let ticket = mirror.ticket;
        self.event(Event::Resolved { ticket, content, name: name.into(), size });
        self.begin_download(now, content, name, size, MIRROR_STALL);
    }

    /// How long a download waits for others when it does not get on. One of the mirror keeps its place for a moment only
    /// when nothing of it came and nobody who is connected says that it has it.
    pub(in crate::core) fn stall_of(&self, content: &ContentId) -> Duration {
        let stall = self.downloader.get(content).map_or(Duration::MAX, |download| download.stall);
        let is_source = |conn| {
            let Some(connection) = self.connections.native(conn) else { return false };
            let Some((_, channel)) = connection.channels.of(content) else { return false };
            // While it sends something else, it cannot say so.
            !channel.refused && !channel.withdrawn && (channel.opened || connection.incoming.is_some())
        };
        let awaits_first = self.mirror.as_ref().is_some_and(|mirror| mirror.awaits_first(content));
        match awaits_first && !self.links.on(content).any(is_source) {
            true => stall.min(MIRROR_SOURCE_WAIT),
            false => stall,
        }
    }

    /// A content is here wholly that was fetched, with so many bytes, or (`None`) was found here.
    pub(in crate::core) fn mirror_finished(&mut self, now: Time, content: &ContentId, fetched: Option<u64>) {
        if let Some(mirror) = &mut self.mirror {
            mirror.finished(content, fetched);
            self.fetch_what_was_put_off(now);
        }
    }

    /// Some of a content is about to be written. False when it is the mirror's and there is no room for all of it.
    pub(in crate::core) fn mirror_reserves(&mut self, content: &ContentId) -> bool {
        let geometry = self.downloader.get(content).and_then(|download| download.geometry);
        match (&mut self.mirror, geometry) {
            (Some(mirror), Some(geometry)) => mirror.reserve(content, geometry.size_bytes()),
            _ => true,
        }
    }

    /// A chunk of a content came and was right.
    pub(in crate::core) fn mirror_came(&mut self, now: Time, content: &ContentId) {
        if let Some(mirror) = &mut self.mirror {
            mirror.came(content);
            self.fetch_what_was_put_off(now);
        }
    }

    /// A chunk was not right: when it was the first, its content has no room.
    pub(in crate::core) fn mirror_missed(&mut self, now: Time, content: &ContentId) {
        let has_some = self.catalogue.get(content).is_some_and(|holding| holding.count() > 0)
            || self.downloader.get(content).is_some_and(|download| !download.storing.is_empty());
        if let Some(mirror) = self.mirror.as_mut().filter(|_| !has_some) {
            mirror.nothing_there(content);
            self.fetch_what_was_put_off(now);
        }
    }

    /// A download ended without the file: if the mirror wanted it, it is tried again. Says whether its part is to be deleted.
    pub(in crate::core) fn mirror_failed(
        &mut self,
        now: Time,
        content: ContentId,
        reason: &FailReason,
    ) -> bool {
        let Some(download) = self.downloader.get(&content) else { return false };
        let part_bytes = match download.phase {
            Phase::Running | Phase::Publishing => self.catalogue.get(&content).map(|holding| {
                let (count, geometry) = (u64::from(holding.count()), holding.geometry);
                count.saturating_mul(geometry.chunk_bytes().into()).min(geometry.size_bytes())
            }),
            Phase::Proving(_) => Some(0),
            _ => None,
        };
        let (name, size) = (&download.name, download.size_claimed);
        let failure =
            self.mirror.as_mut().and_then(|mirror| mirror.failed(now, content, name, size, part_bytes));
        if let Some(failure) = failure.filter(|_| self.leaving.is_none() && *reason != FailReason::Cancelled)
        {
            self.timers.set_no_later(Timer::Mirror, failure.again);
        }
        self.fetch_what_was_put_off(now);
        failure.is_some_and(|failure| failure.drops_part)
    }

    /// The true size of a download is known. False when the mirror fetches it and has no room for that now.
    pub(in crate::core) fn mirror_has_room(&mut self, content: &ContentId, size: u64) -> bool {
        let has_room = self.mirror.as_ref().is_none_or(|mirror| mirror.has_room(content, size));
        let grew = self.downloader.get(content).is_some_and(|download| download.size_claimed < size);
        if !has_room && grew {
            let text = format!(
                "a file of {} is larger than announced and does not fit into --mirror-max",
                units::size(size)
            );
            self.event(Event::Warning(text));
        }
        has_room
    }

    /// Walks the catalogue of a peer of which only some is known, connecting to it first if need be.
    pub(in crate::core) fn walk_for_mirror(&mut self, now: Time, peer: &PeerId) {
        if !self.is_to_walk(now, peer) {
            return;
        }
        match self.links.to_peer(peer) {
            Some(conn) => self.begin_walk(now, conn, peer),
            None => {
                if let Some(addr) = self.directory.get(peer).map(|known| known.addr) {
                    self.dial_for_mirror(now, addr);
                }
            }
        }
    }

    fn is_to_walk(&self, now: Time, peer: &PeerId) -> bool {
        let (Some(mirror), Some(known)) = (&self.mirror, self.directory.get(peer)) else { return false };
        let worth_it = self.directory.is_partly_known(peer) || self.is_fixed(peer);
        // A peer that was never told of by datagram is not known to have a state at all.
        self.leaving.is_none() && worth_it && mirror.may_walk(now, peer, known.generation())
    }

    fn begin_walk(&mut self, now: Time, conn: ConnId, peer: &PeerId) {
        if let Some(mirror) = &self.mirror {
            let request = CatalogueRequest { wanted: mirror.asks_for(), after: None };
            self.ask_page_for_mirror(now, conn, peer, request);
        }
    }

    /// Dials an endpoint that the mirror wants something of, within one bound for all of them: anybody can announce what it
    /// wants, in the name of any address. Half of that is not for who was heard last but for those that are drawn.
    pub(in crate::core) fn dial_for_mirror(&mut self, now: Time, addr: SocketAddr) -> bool {
        if self.config.fixed_peers.contains(&addr) || self.dialer.again(now, &addr).is_some() {
            return self.dial_or_wait(now, addr);
        }
        if !self.mirror_dials.has_above(now, self.config.limits.mirror_dials_at_once / 2) {
            self.timers.set_no_later(Timer::Dial, now + DIALS_PAUSE);
            return false;
        }
        self.dial_counted(now, addr)
    }

    fn dial_counted(&mut self, now: Time, addr: SocketAddr) -> bool {
        let dialled = self.dial(now, addr).is_some();
        if dialled {
            self.mirror_dials.take(now);
        }
        dialled
    }

    /// Dials peers of which the mirror wants something, as chance has it: whoever invents peers cannot come before all others.
    /// Half of the allowance is for those that are known better, and most of the rest for those that did not fail yet.
    fn dial_drawn(&mut self, now: Time) {
        let Some(mirror) = &mut self.mirror else { return };
        if let Some(drawn) = mirror.drawn.filter(|drawn| now.since(*drawn) < DIALS_PAUSE) {
            return self.timers.set_no_later(Timer::Dial, drawn + DIALS_PAUSE);
        }
        mirror.drawn = Some(now);
        let mut draws = self.draws_for_mirror(now);
        let left = self.mirror_dials.left(now);
        let half = left.div_ceil(2);
        let shares = [(0, half), (1, half.saturating_sub(half / 4)), (2, left), (1, left), (0, left)];
        for (rank, share) in shares {
            for _ in 0..share.min(self.mirror_dials.left(now)) {
                let Some(addr) = draws.get_mut(rank).and_then(|draw| draw.next(&mut self.rng)) else { break };
                self.dial_counted(now, addr);
            }
        }
        if draws.iter().any(|draw| !draw.is_empty()) {
            self.timers.set_no_later(Timer::Dial, now + DIALS_PAUSE);
        }
    }

    /// The endpoints that may be dialled for the mirror: of peers that are known better, of others, and of those that failed.
    fn draws_for_mirror(&mut self, now: Time) -> [Draw; 3] {
        let mut draws = [const { Draw::new() }; 3];
        let Some(mirror) = &self.mirror else { return draws };
        let mut peers: BTreeSet<PeerId> = mirror.peers_put_off().copied().collect();
        for content in mirror.parked() {
            peers.extend(self.directory.holders(content).copied());
        }
        let to_walk = self.directory.peers().map(|(peer, _)| peer);
        peers.extend(to_walk.filter(|peer| self.is_to_walk(now, peer)).copied());
        let mut again = None;
        for peer in peers {
            let Some(known) = self.directory.get(&peer) else { continue };
            if self.links.to_peer(&peer).is_some() || self.config.fixed_peers.contains(&known.addr) {
                continue;
            }
            if let Some(waits) = self.dialer.again(now, &known.addr) {
                again = Some(again.map_or(waits, |again: Time| again.min(waits)));
                continue;
            }
            let rank = match (known.is_proven(), self.dialer.has_failed(&known.addr)) {
                (true, _) => 0,
                (false, false) => 1,
                (false, true) => 2,
            };
            if let Some(draw) = draws.get_mut(rank).filter(|_| self.links.to_endpoint(&known.addr).is_none())
            {
                draw.add(known.addr);
            }
        }
        if let Some(again) = again {
            self.timers.set_no_later(Timer::Dial, again.max(now + DIALS_PAUSE));
        }
        draws
    }

    /// Whether a content is fetched for the mirror.
    pub(in crate::core) fn is_for_mirror(&self, content: &ContentId) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| mirror.is_coming(content))
    }

    /// Whether the mirror wants some of this that is not here.
    pub(in crate::core) fn is_for_mirror_anew(&self, entries: &[Entry]) -> bool {
        let Some(mirror) = &self.mirror else { return false };
        entries.iter().any(|entry| mirror.wants(entry) && self.catalogue.get(&entry.id).is_none())
    }

    /// Walks the catalogues of all peers that are connected, and dials others.
    pub(in crate::core) fn walk_all_for_mirror(&mut self, now: Time) {
        if self.mirror.is_some() {
            let open: Vec<(PeerId, ConnId)> =
                self.links.all_open().map(|(peer, conn)| (*peer, conn)).collect();
            for (peer, conn) in open {
                if self.is_to_walk(now, &peer) {
                    self.begin_walk(now, conn, &peer);
                }
            }
            self.dial_drawn(now);
        }
    }

    /// A page of a walk came; what it lists is in the directory already.
    pub(in crate::core) fn on_mirror_page(
        &mut self,
        now: Time,
        conn: ConnId,
        peer: &PeerId,
        generation: u64,
        entries: usize,
        next: Option<(ContentId, String)>,
    ) {
        let entries_max = self.config.limits.walk_entries_max;
        let Some(mirror) = &mut self.mirror else { return };
        let listed = mirror.walk_listed(peer, entries);
        if next.is_none() {
            return mirror.walk_ended(peer, generation);
        }
        if listed >= entries_max {
            mirror.walk_given_up(now, peer, generation);
            let who = self.directory.peer_ref(peer).map_or_else(String::new, |peer| peer.user);
            let text =
                format!("{who} offers more than {entries_max} files; the mirror knows no more of them");
            return self.event(Event::Warning(text));
        }
        let request = CatalogueRequest { wanted: mirror.asks_for(), after: next };
        self.ask_page_for_mirror(now, conn, peer, request);
    }

    fn ask_page_for_mirror(&mut self, now: Time, conn: ConnId, peer: &PeerId, request: CatalogueRequest) {
        let Some(generation) = self.directory.get(peer).map(|known| known.generation()) else { return };
        if let (Some(mirror), Some(connection)) = (&mut self.mirror, self.connections.native_mut(conn)) {
            mirror.walk_began(now, *peer, conn, generation);
            connection.walks.push_back(MIRROR_KEY);
            self.say(now, conn, Frame::CatalogueRequest(request));
        }
    }

    /// Begins to fetch a content, unless that is refused; then gives why.
    fn fetch_for_mirror(
        &mut self,
        now: Time,
        content: ContentId,
        name: &str,
        size: u64,
        claimed_by: Option<Claimant>,
    ) -> Option<Refusal> {
        let is_here = self.catalogue.get(&content).is_some() || self.downloader.get(&content).is_some();
        let mirror = self.mirror.as_mut().filter(|_| !is_here && self.leaving.is_none())?;
        let Err(why) = mirror.take(now, content, size, claimed_by) else {
            self.begin_or_park(now, content, name, size);
            return None;
        };
        let is_new = matches!(why, Refusal::NoRoom | Refusal::TooMany)
            && !std::mem::replace(&mut mirror.full_said, true);
        if is_new {
            self.event(Event::Warning(match why {
                Refusal::TooMany => "too many files to mirror; further files are not fetched".to_owned(),
                _ => format!(
                    "{} ({}) does not fit into --mirror-max; smaller files are still mirrored",
                    quoted(name),
                    units::size(size)
                ),
            }));
        }
        Some(why)
    }
}

/// Endpoints of which some are dialled, one of an address: many ports of one are no more than one.
#[derive(Debug)]
struct Draw {
    at: BTreeMap<IpAddr, Vec<SocketAddr>>,
    /// The addresses, once they are drawn from.
    left: Option<Vec<IpAddr>>,
}

impl Draw {
    const fn new() -> Draw {
        Draw { at: BTreeMap::new(), left: None }
    }

    fn add(&mut self, endpoint: SocketAddr) {
        self.at.entry(endpoint.ip()).or_default().push(endpoint);
    }

    /// Whether none was left to draw.
    fn is_empty(&self) -> bool {
        self.left.as_ref().map_or(self.at.is_empty(), Vec::is_empty)
    }

    /// An endpoint at an address of which none was drawn.
    fn next(&mut self, rng: &mut Rng) -> Option<SocketAddr> {
        let left = self.left.get_or_insert_with(|| self.at.keys().copied().collect());
        if left.is_empty() {
            return None;
        }
        let ip = left.swap_remove(rng.below(left.len()));
        let there = self.at.get(&ip)?;
        there.get(rng.below(there.len())).copied()
    }
}
