//! Mirroring: what others offer and is wanted here is fetched, and what appears later too.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::door::{ConnId, Event, FailReason};
use crate::core::id::{ContentId, PeerId};
use crate::core::limits::MIRROR_STALL;
use crate::core::mirror::{Mirror, Refusal};
use crate::core::peer::Peer;
use crate::core::time::Time;
use crate::core::timers::Timer;
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
/// Dials that the allowance has none for now are tried again after this time.
const DIALS_PAUSE: Duration = Duration::from_secs(1);

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
        let Some(mirror) = &self.mirror else { return };
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
        self.dial_fixed_peers(now);
        self.walk_all_for_mirror(now);
        let review = now + REVIEW_INTERVAL;
        let retry = self.mirror.as_ref().and_then(|mirror| mirror.next_retry(now));
        self.timers.set(Timer::Mirror, retry.map_or(review, |retry| retry.min(review)));
    }

    /// A peer offers these entries: what is wanted of them and is not here is fetched.
    pub(in crate::core) fn mirror_matches(&mut self, now: Time, peer: &PeerId, entries: &[Entry]) {
        let claimed_by = self.claims_of(peer);
        for entry in entries {
            self.fetch_or_put_off(now, peer, entry, claimed_by);
        }
    }

    /// Fetches an entry of a peer that the mirror wants. False when it has to wait for others from the same address.
    fn fetch_or_put_off(
        &mut self,
        now: Time,
        peer: &PeerId,
        entry: &Entry,
        claimed_by: Option<IpAddr>,
    ) -> bool {
        if !self.mirror.as_ref().is_some_and(|mirror| mirror.wants(entry)) {
            return true;
        }
        let refused = self.fetch_for_mirror(now, entry.id, &entry.name, entry.size, claimed_by);
        let (Some(ip), Some(Refusal::Later), Some(mirror)) = (claimed_by, refused, &mut self.mirror) else {
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
                let all = listed.iter().all(|entry| self.fetch_or_put_off(now, &peer, entry, Some(ip)));
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

    /// The address that a peer's claims count for; `None`: many honest peers may be there.
    fn claims_of(&self, peer: &PeerId) -> Option<IpAddr> {
        let ip = self.directory.get(peer)?.addr.ip();
        (!ip.is_loopback() && !self.config.own_addresses.contains(&ip)).then_some(ip)
    }

    /// A content is here wholly that was fetched, with so many bytes, or (`None`) was found here.
    pub(in crate::core) fn mirror_finished(&mut self, now: Time, content: &ContentId, fetched: Option<u64>) {
        if let Some(mirror) = &mut self.mirror {
            mirror.finished(content, fetched);
            self.fetch_what_was_put_off(now);
        }
    }

    /// A chunk came. False when it is of the mirror's and there is no room for what is here of its content.
    pub(in crate::core) fn mirror_came(&mut self, now: Time, content: &ContentId) -> bool {
        let (Some(mirror), Some(holding)) = (&mut self.mirror, self.catalogue.get(content)) else {
            return true;
        };
        let geometry = holding.geometry;
        let bytes = u64::from(holding.count()).saturating_mul(u64::from(geometry.chunk_bytes()));
        let has_room = mirror.came(content, bytes.min(geometry.size_bytes()));
        if !has_room && let Some(download) = self.downloader.get(content) {
            let text = format!(
                "no room to mirror the rest of {}: what is mirrored takes all that --mirror-max allows; smaller \
                 files still are; for this one give a larger --mirror-max, or remove some of the others",
                download.name
            );
            self.event(Event::Warning(text));
        }
        self.fetch_what_was_put_off(now);
        has_room
    }

    /// A download ended without the file: if the mirror wanted it, it is tried again.
    pub(in crate::core) fn mirror_failed(&mut self, now: Time, content: ContentId, reason: &FailReason) {
        let Some(download) = self.downloader.get(&content) else { return };
        let (name, size) = (&download.name, download.size_claimed);
        let again = self.mirror.as_mut().and_then(|mirror| mirror.failed(now, content, name, size));
        if let Some(again) = again.filter(|_| self.leaving.is_none() && *reason != FailReason::Cancelled) {
            self.timers.set_no_later(Timer::Mirror, again);
        }
        self.fetch_what_was_put_off(now);
    }

    /// The true size of a download is known. False when the mirror fetches it and has no room for that.
    pub(in crate::core) fn mirror_has_room(&mut self, content: &ContentId, size: u64) -> bool {
        let has_room = self.mirror.as_ref().is_none_or(|mirror| mirror.has_room(content, size));
        if !has_room {
            let text =
                format!("no room to mirror a file that is larger than it was said to be: {size} bytes");
            self.event(Event::Warning(text));
        }
        has_room
    }

    /// Walks the catalogue of a peer of which only some is known, connecting to it first if need be.
    pub(in crate::core) fn walk_for_mirror(&mut self, now: Time, peer: &PeerId) {
        let Some(mirror) = &self.mirror else { return };
        let Some(known) = self.directory.get(peer) else { return };
        let (addr, generation) = (known.addr, known.generation());
        let fixed = self.is_fixed(peer);
        let worth_it = fixed || self.directory.is_partly_known(peer);
        // A peer that was never told of by datagram is not known to have a state at all.
        if self.leaving.is_some() || !worth_it || !mirror.may_walk(now, peer, generation) {
            return;
        }
        match self.links.to_peer(peer) {
            Some(conn) => {
                let request = CatalogueRequest { wanted: mirror.asks_for(), after: None };
                self.ask_page_for_mirror(now, conn, peer, request);
            }
            None => {
                self.dial_for_mirror(now, addr);
            }
        }
    }

    /// Dials an endpoint that the mirror wants something of, within one bound for all of them: anybody can announce what it
    /// wants, in the name of any address. Where dials failed before, those that did not fail yet go first.
    pub(in crate::core) fn dial_for_mirror(&mut self, now: Time, addr: SocketAddr) -> bool {
        if self.config.fixed_peers.contains(&addr) || self.dialer.again(now, &addr).is_some() {
            return self.dial_or_wait(now, addr);
        }
        let kept =
            if self.dialer.has_failed(&addr) { self.config.limits.mirror_dials_at_once / 2 } else { 0 };
        if !self.mirror_dials.has_above(now, kept) {
            self.timers.set_no_later(Timer::Dial, now + DIALS_PAUSE);
            return false;
        }
        let dialled = self.dial(now, addr).is_some();
        if dialled {
            self.mirror_dials.take(now);
        }
        dialled
    }

    /// Whether a content is fetched for the mirror.
    pub(in crate::core) fn is_for_mirror(&self, content: &ContentId) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| mirror.is_coming(content))
    }

    /// The same for every peer.
    pub(in crate::core) fn walk_all_for_mirror(&mut self, now: Time) {
        if self.mirror.is_some() {
            let peers: Vec<PeerId> = self.directory.peers().map(|(peer, _)| *peer).collect();
            peers.iter().for_each(|peer| self.walk_for_mirror(now, peer));
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
        if let (Some(mirror), Some(connection)) = (&mut self.mirror, self.connections.get_mut(conn)) {
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
        claimed_by: Option<IpAddr>,
    ) -> Option<Refusal> {
        let is_here = self.catalogue.get(&content).is_some() || self.downloader.get(&content).is_some();
        let mirror = self.mirror.as_mut().filter(|_| !is_here && self.leaving.is_none())?;
        let Err(why) = mirror.take(now, content, size, claimed_by) else {
            let ticket = mirror.ticket;
            self.event(Event::Resolved { ticket, content, name: name.to_owned(), size });
            self.begin_download(now, content, name, size, MIRROR_STALL);
            return None;
        };
        let is_new = matches!(why, Refusal::NoRoom | Refusal::TooMany)
            && !std::mem::replace(&mut mirror.full_said, true);
        if is_new {
            self.event(Event::Warning(match why {
                Refusal::TooMany => "too many files to mirror; no more are fetched".to_owned(),
                _ => format!(
                    "no room to mirror a file of {size} bytes within --mirror-max; smaller ones still are; for this one \
                     give a larger --mirror-max, or remove some of the others"
                ),
            }));
        }
        Some(why)
    }
}
