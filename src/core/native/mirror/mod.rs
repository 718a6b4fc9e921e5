//! Mirroring: what others offer and is wanted here is fetched, and what appears later too.

use crate::core::io::{ConnId, Event};
use crate::core::limits::MIRROR_STALL;
use crate::core::native::ledger::mirror::{Claimant, Mirror, Refusal};
use crate::core::native::session::dialling::DIALS_PAUSE;
use crate::core::native::{Ctx, Engine};
use crate::core::rng::Rng;
use crate::core::timers::Timer;
use crate::types::name::quoted;
use crate::types::{ContentId, PeerId, Time, units};
use crate::wire::message::{CatalogueRequest, Entry, Frame, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Among the walks that a connection owes pages to, the key of the mirror's. No search has it, and
/// no look at a neighbour's catalogue.
pub(crate) const MIRROR_KEY: u32 = u32::MAX;
/// How often the catalogues of peers that somebody named are walked again: they may not hear what is broadcast, nor
/// be heard.
const REVIEW_INTERVAL: Duration = Duration::from_secs(30);
/// Entries of one peer that are looked at together for what was put off; then others have their turn.
const PUT_OFF_LOOKS: usize = 1_000;
/// The pause after that.
const PUT_OFF_PAUSE: Duration = Duration::from_millis(50);
/// Holders of a content that may be dialled at once when it is heard of.
const HOLDERS_DIALLED: usize = 8;

impl Engine {
    /// Begins to mirror, in place of what was mirrored so far.
    pub(crate) fn on_mirror(&mut self, ctx: &mut Ctx, ticket: u32, wanted: Vec<Wanted>, room_bytes: u64) {
        if ctx.is_leaving {
            return;
        }
        let claims_max = ctx.config.limits.mirror_claims_per_address_max;
        self.mirror = Some(Mirror::new(ticket, wanted.clone(), room_bytes, claims_max));
        let offered: Vec<(PeerId, Entry)> = self.directory.matching(&Wanted::All).collect();
        for (peer, entry) in offered {
            self.mirror_matches(ctx, &peer, &[entry]);
        }
        wanted.into_iter().for_each(|wanted| self.query(ctx, wanted));
        self.walk_all_for_mirror(ctx);
        ctx.timers.set(Timer::Mirror, ctx.now + REVIEW_INTERVAL);
    }

    /// Looks again at what failed, and at the peers that somebody named.
    pub(crate) fn review_mirror(&mut self, ctx: &mut Ctx) {
        let Some(mirror) = &mut self.mirror else { return };
        mirror.fail_parked(ctx.now, MIRROR_STALL);
        for (content, name, size) in mirror.due(ctx.now) {
            // One that has to wait once more is looked at again with the next review.
            let holder = self.directory.holders(&content).next().copied();
            if let Some(holder) = holder {
                let claimed_by = self.claims_of(ctx, &holder);
                self.fetch_for_mirror(ctx, content, &name, size, claimed_by);
            }
        }
        let open: Vec<PeerId> = self.links.all_open().map(|(peer, _)| *peer).collect();
        let fixed: Vec<PeerId> = open.into_iter().filter(|peer| self.is_fixed(ctx, peer)).collect();
        if let Some(mirror) = &mut self.mirror {
            let at = |peer: &PeerId| self.directory.get(peer).map(|known| known.addr.ip());
            mirror.walks.forget(ctx.now, |peer| fixed.contains(peer) || at(peer).is_none());
            mirror.forget_put_off(|ip, peer| at(peer) == Some(*ip));
        }
        self.fetch_what_was_put_off(ctx);
        self.dial_fixed_peers(ctx);
        self.walk_all_for_mirror(ctx);
        let review = ctx.now + REVIEW_INTERVAL;
        let retry = self.mirror.as_ref().and_then(|mirror| mirror.next_retry(ctx.now));
        ctx.timers.set(Timer::Mirror, retry.map_or(review, |retry| retry.min(review)));
    }

    /// A peer offers these entries: what is wanted of them and is not here is fetched.
    pub(crate) fn mirror_matches(&mut self, ctx: &mut Ctx, peer: &PeerId, entries: &[Entry]) {
        let claimed_by = self.claims_of(ctx, peer);
        let connected = self.links.to_peer(peer).is_some();
        for entry in entries {
            self.fetch_or_put_off(ctx, peer, entry, claimed_by);
            if connected {
                self.unpark_for_mirror(ctx, &entry.id);
            }
        }
    }

    /// Fetches an entry of a peer that the mirror wants. False when it has to wait for others.
    fn fetch_or_put_off(
        &mut self,
        ctx: &mut Ctx,
        peer: &PeerId,
        entry: &Entry,
        claimed_by: Option<Claimant>,
    ) -> bool {
        if !self.mirror.as_ref().is_some_and(|mirror| mirror.wants(entry)) {
            return true;
        }
        let refused = self.fetch_for_mirror(ctx, entry.id, &entry.name, entry.size, claimed_by);
        let ip = self.directory.get(peer).map(|known| known.addr.ip());
        let (Some(ip), Some(Refusal::Later), Some(mirror)) = (ip, refused, &mut self.mirror) else {
            return true;
        };
        mirror.put_off(ip, *peer, (entry.id, entry.name.clone()));
        false
    }

    /// Some of what addresses claim to have came, or will not: what was put off of their peers is fetched.
    pub(crate) fn fetch_what_was_put_off(&mut self, ctx: &mut Ctx) {
        while let Some(ip) = self.mirror.as_mut().and_then(Mirror::next_freed) {
            let mut after = None;
            while let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.may_claim(&ip))
                && let Some((peer, from)) = mirror.next_put_off(ip, after)
            {
                after = Some(peer);
                let listed: Vec<Entry> =
                    self.directory.entries_from(&peer, &from).take(PUT_OFF_LOOKS).collect();
                let claimed_by = self.claims_of(ctx, &peer);
                let all = listed.iter().all(|entry| self.fetch_or_put_off(ctx, &peer, entry, claimed_by));
                if let (true, PUT_OFF_LOOKS, Some(last), Some(mirror)) =
                    (all, listed.len(), listed.last(), &mut self.mirror)
                {
                    mirror.put_off(ip, peer, (last.id, last.name.clone()));
                    mirror.is_freed(ip);
                    return ctx.timers.set_no_later(Timer::MirrorNext, ctx.now + PUT_OFF_PAUSE);
                }
            }
        }
    }

    /// Whose a peer's claims are; `None`: many honest peers may be at its address.
    fn claims_of(&self, ctx: &Ctx, peer: &PeerId) -> Option<Claimant> {
        let ip = self.directory.get(peer)?.addr.ip();
        let connected = self.links.to_peer(peer).is_some();
        (!ctx.config.is_own(ip)).then_some(Claimant { ip, connected })
    }

    /// A peer is connected: what of its contents waited for that begins, and what was put off may be claimed.
    pub(crate) fn meet_for_mirror(&mut self, ctx: &mut Ctx, peer: &PeerId) {
        let Some(mirror) = &mut self.mirror else { return };
        let Some(ip) = self.directory.get(peer).map(|known| known.addr.ip()) else { return };
        let waiting = mirror.parked().filter(|content| self.directory.is_holder(peer, content));
        let waiting: Vec<ContentId> = waiting.copied().collect();
        mirror.is_freed(ip);
        waiting.iter().for_each(|content| self.unpark_for_mirror(ctx, content));
        self.fetch_what_was_put_off(ctx);
    }

    /// Begins to fetch a content that a peer offers who is connected. Another takes no place among the active downloads, and its
    /// holders are dialled.
    fn begin_or_park(&mut self, ctx: &mut Ctx, content: ContentId, name: &str, size: u64) {
        let is_open = self.directory.holders(&content).any(|peer| self.links.to_peer(peer).is_some());
        if is_open || !ctx.config.topology.finds_peers() {
            return self.begin_for_mirror(ctx, content, name, size);
        }
        if let Some(mirror) = &mut self.mirror {
            mirror.park(ctx.now, content, name, size);
        }
        let holders = self.directory.holders(&content).filter_map(|peer| self.directory.get(peer));
        let addrs: Vec<SocketAddr> = holders.take(HOLDERS_DIALLED).map(|known| known.addr).collect();
        for addr in addrs {
            self.dial_for_mirror(ctx, addr);
        }
    }

    /// A content of which a peer is connected that offers it begins, if it waited for that.
    fn unpark_for_mirror(&mut self, ctx: &mut Ctx, content: &ContentId) {
        let Some(mirror) = &mut self.mirror else { return };
        if let Some((name, size)) = mirror.unpark(content) {
            self.begin_for_mirror(ctx, *content, &name, size);
        }
    }

    fn begin_for_mirror(&mut self, ctx: &mut Ctx, content: ContentId, name: &str, size: u64) {
        let Some(mirror) = &self.mirror else { return };
        let ticket = mirror.ticket;
        ctx.outputs.event(Event::Resolved { ticket, content, name: name.into(), size });
        self.begin_download(ctx, content, name, size, MIRROR_STALL);
    }

    /// Walks the catalogue of a peer of which only some is known, connecting to it first if need be.
    pub(crate) fn walk_for_mirror(&mut self, ctx: &mut Ctx, peer: &PeerId) {
        if !self.is_to_walk(ctx, peer) {
            return;
        }
        match self.links.to_peer(peer) {
            Some(conn) => self.begin_walk(ctx, conn, peer),
            None => {
                if let Some(addr) = self.directory.get(peer).map(|known| known.addr) {
                    self.dial_for_mirror(ctx, addr);
                }
            }
        }
    }

    fn is_to_walk(&self, ctx: &Ctx, peer: &PeerId) -> bool {
        let (Some(mirror), Some(known)) = (&self.mirror, self.directory.get(peer)) else { return false };
        let worth_it = self.directory.is_partly_known(peer) || self.is_fixed(ctx, peer);
        // A peer that was never told of by datagram is not known to have a state at all.
        !ctx.is_leaving && worth_it && mirror.walks.may_begin(ctx.now, peer, known.generation())
    }

    fn begin_walk(&mut self, ctx: &mut Ctx, conn: ConnId, peer: &PeerId) {
        if let Some(mirror) = &self.mirror {
            let request = CatalogueRequest { wanted: mirror.asks_for(), after: None };
            self.ask_page_for_mirror(ctx, conn, peer, request);
        }
    }

    /// Dials peers of which the mirror wants something, as chance has it: whoever invents peers cannot come before all others.
    /// Half of the allowance is for those that are known better, and most of the rest for those that did not fail yet.
    fn dial_drawn(&mut self, ctx: &mut Ctx) {
        let Some(mirror) = &mut self.mirror else { return };
        if let Some(drawn) = mirror.drawn.filter(|drawn| ctx.now.since(*drawn) < DIALS_PAUSE) {
            return ctx.timers.set_no_later(Timer::Dial, drawn + DIALS_PAUSE);
        }
        mirror.drawn = Some(ctx.now);
        let mut draws = self.draws_for_mirror(ctx);
        let left = self.mirror_dials.left(ctx.now);
        let half = left.div_ceil(2);
        let shares = [(0, half), (1, half.saturating_sub(half / 4)), (2, left), (1, left), (0, left)];
        for (rank, share) in shares {
            for _ in 0..share.min(self.mirror_dials.left(ctx.now)) {
                let Some(addr) = draws.get_mut(rank).and_then(|draw| draw.next(ctx.rng)) else { break };
                self.dial_counted(ctx, addr);
            }
        }
        if draws.iter().any(|draw| !draw.is_empty()) {
            ctx.timers.set_no_later(Timer::Dial, ctx.now + DIALS_PAUSE);
        }
    }

    /// The endpoints that may be dialled for the mirror: of peers that are known better, of others, and of those that failed.
    fn draws_for_mirror(&mut self, ctx: &mut Ctx) -> [Draw; 3] {
        let mut draws = [const { Draw::new() }; 3];
        let Some(mirror) = &self.mirror else { return draws };
        let mut peers: BTreeSet<PeerId> = mirror.peers_put_off().copied().collect();
        for content in mirror.parked() {
            peers.extend(self.directory.holders(content).copied());
        }
        let to_walk = self.directory.peers().map(|(peer, _)| peer);
        peers.extend(to_walk.filter(|peer| self.is_to_walk(ctx, peer)).copied());
        let mut again = None;
        for peer in peers {
            let Some(known) = self.directory.get(&peer) else { continue };
            if self.links.to_peer(&peer).is_some() || ctx.config.fixed_peers.contains(&known.addr) {
                continue;
            }
            if let Some(waits) = ctx.dialer.again(ctx.now, &known.addr) {
                again = Some(again.map_or(waits, |again: Time| again.min(waits)));
                continue;
            }
            let rank = match (known.is_proven(), ctx.dialer.has_failed(&known.addr)) {
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
            ctx.timers.set_no_later(Timer::Dial, again.max(ctx.now + DIALS_PAUSE));
        }
        draws
    }

    /// Whether the mirror wants some of this that is not here.
    pub(crate) fn is_for_mirror_anew(&self, ctx: &Ctx, entries: &[Entry]) -> bool {
        let Some(mirror) = &self.mirror else { return false };
        entries.iter().any(|entry| mirror.wants(entry) && ctx.catalogue.get(&entry.id).is_none())
    }

    /// Walks the catalogues of all peers that are connected, and dials others.
    pub(crate) fn walk_all_for_mirror(&mut self, ctx: &mut Ctx) {
        if self.mirror.is_some() {
            let open: Vec<(PeerId, ConnId)> =
                self.links.all_open().map(|(peer, conn)| (*peer, conn)).collect();
            for (peer, conn) in open {
                if self.is_to_walk(ctx, &peer) {
                    self.begin_walk(ctx, conn, &peer);
                }
            }
            self.dial_drawn(ctx);
        }
    }

    /// A page of a walk came; what it lists is in the directory already.
    pub(crate) fn on_mirror_page(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        peer: &PeerId,
        generation: u64,
        entries: usize,
        next: Option<(ContentId, String)>,
    ) {
        let entries_max = ctx.config.limits.walk_entries_max;
        let Some(mirror) = &mut self.mirror else { return };
        let listed = mirror.walks.listed(peer, entries);
        if next.is_none() {
            return mirror.walks.ended(peer, generation);
        }
        if listed >= entries_max {
            mirror.walks.given_up(ctx.now, peer, generation);
            let who = self.directory.peer_ref(peer).map_or_else(String::new, |peer| peer.user);
            let text =
                format!("{who} offers more than {entries_max} files; the mirror knows no more of them");
            return ctx.outputs.event(Event::Warning(text));
        }
        let request = CatalogueRequest { wanted: mirror.asks_for(), after: next };
        self.ask_page_for_mirror(ctx, conn, peer, request);
    }

    fn ask_page_for_mirror(&mut self, ctx: &mut Ctx, conn: ConnId, peer: &PeerId, request: CatalogueRequest) {
        let Some(generation) = self.directory.get(peer).map(|known| known.generation()) else { return };
        if let (Some(mirror), Some(connection)) = (&mut self.mirror, ctx.conns.native_mut(conn)) {
            mirror.walks.began(ctx.now, *peer, conn, generation);
            connection.walks.push_back(MIRROR_KEY);
            self.say(ctx, conn, Frame::CatalogueRequest(request));
        }
    }

    /// Begins to fetch a content, unless that is refused; then gives why.
    fn fetch_for_mirror(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        name: &str,
        size: u64,
        claimed_by: Option<Claimant>,
    ) -> Option<Refusal> {
        let is_here = ctx.catalogue.get(&content).is_some() || self.downloader.get(&content).is_some();
        let mirror = self.mirror.as_mut().filter(|_| !is_here && !ctx.is_leaving)?;
        let Err(why) = mirror.take(ctx.now, content, size, claimed_by) else {
            self.begin_or_park(ctx, content, name, size);
            return None;
        };
        let is_new = matches!(why, Refusal::NoRoom | Refusal::TooMany)
            && !std::mem::replace(&mut mirror.full_said, true);
        if is_new {
            ctx.outputs.event(Event::Warning(match why {
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

    pub(crate) fn add(&mut self, endpoint: SocketAddr) {
        self.at.entry(endpoint.ip()).or_default().push(endpoint);
    }

    /// Whether none was left to draw.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.as_ref().map_or(self.at.is_empty(), Vec::is_empty)
    }

    /// An endpoint at an address of which none was drawn.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Option<SocketAddr> {
        let left = self.left.get_or_insert_with(|| self.at.keys().copied().collect());
        if left.is_empty() {
            return None;
        }
        let ip = left.swap_remove(rng.below(left.len()));
        let there = self.at.get(&ip)?;
        there.get(rng.below(there.len())).copied()
    }
}
