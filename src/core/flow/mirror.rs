//! Mirroring: what others offer and is wanted here is fetched, and what appears later too.

use std::time::Duration;

use crate::core::door::{ConnId, Event, FailReason};
use crate::core::id::{ContentId, PeerId};
use crate::core::limits::MIRROR_STALL;
use crate::core::mirror::{Mirror, Refusal};
use crate::core::peer::Peer;
use crate::core::time::Time;
use crate::core::timers::Timer;
use crate::wire::message::{CatalogueRequest, Entry, Frame, Wanted};

/// Among the walks that a connection owes pages to, the key of the mirror's. No search has it.
pub(in crate::core) const MIRROR_KEY: u32 = u32::MAX;
/// How often the catalogues of peers that somebody named are walked again: they may not hear what is broadcast, nor
/// be heard.
const REVIEW_INTERVAL: Duration = Duration::from_secs(30);

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
        self.mirror = Some(Mirror::new(ticket, wanted.clone(), room_bytes));
        let offered: Vec<Entry> = self.directory.matching(&Wanted::All).map(|(_, entry)| entry).collect();
        self.mirror_matches(now, &offered);
        wanted.into_iter().for_each(|wanted| self.query(now, wanted));
        self.walk_all_for_mirror(now);
        self.timers.set(Timer::Mirror, now + REVIEW_INTERVAL);
    }

    /// Looks again at what failed, and at the peers that somebody named.
    pub(in crate::core) fn review_mirror(&mut self, now: Time) {
        let Some(mirror) = &self.mirror else { return };
        for (content, name, size) in mirror.due(now) {
            let offered = self.directory.holders(&content).next().is_some();
            if offered {
                self.fetch_for_mirror(now, content, &name, size);
            }
        }
        let open: Vec<PeerId> = self.links.all_open().map(|(peer, _)| *peer).collect();
        let fixed: Vec<PeerId> = open.into_iter().filter(|peer| self.is_fixed(peer)).collect();
        if let Some(mirror) = &mut self.mirror {
            mirror.forget_walks(|peer| fixed.contains(peer) || self.directory.get(peer).is_none());
        }
        self.dial_fixed_peers(now);
        self.walk_all_for_mirror(now);
        let review = now + REVIEW_INTERVAL;
        let retry = self.mirror.as_ref().and_then(|mirror| mirror.next_retry(now));
        self.timers.set(Timer::Mirror, retry.map_or(review, |retry| retry.min(review)));
    }

    /// A peer offers these entries: what is wanted of them and is not here is fetched.
    pub(in crate::core) fn mirror_matches(&mut self, now: Time, entries: &[Entry]) {
        let Some(mirror) = &self.mirror else { return };
        let wanted: Vec<&Entry> = entries.iter().filter(|entry| mirror.wants(entry)).collect();
        for entry in wanted {
            self.fetch_for_mirror(now, entry.id, &entry.name, entry.size);
        }
    }

    /// A content is here wholly that was fetched, or (`fetched` false) was found here.
    pub(in crate::core) fn mirror_finished(&mut self, content: &ContentId, fetched: bool) {
        if let Some(mirror) = &mut self.mirror {
            mirror.finished(content, fetched);
        }
    }

    /// A download ended without the file: if the mirror wanted it, it is tried again.
    pub(in crate::core) fn mirror_failed(&mut self, now: Time, content: ContentId, reason: &FailReason) {
        let Some(download) = self.downloader.get(&content) else { return };
        let (name, size) = (&download.name, download.size_claimed);
        let again = self.mirror.as_mut().and_then(|mirror| mirror.failed(now, content, name, size));
        if let Some(again) = again.filter(|_| self.leaving.is_none() && *reason != FailReason::Cancelled) {
            self.timers.set_no_later(Timer::Mirror, again);
        }
    }

    /// The true size of a download is known. False when the mirror fetches it and has no room for that.
    pub(in crate::core) fn mirror_has_room(&mut self, content: &ContentId, size: u64) -> bool {
        let has_room = self.mirror.as_mut().is_none_or(|mirror| mirror.resize(content, size));
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
                self.dial_or_wait(now, addr);
            }
        }
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
        next: Option<(ContentId, String)>,
    ) {
        let Some(mirror) = &mut self.mirror else { return };
        if next.is_none() {
            return mirror.walk_ended(peer, generation);
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

    fn fetch_for_mirror(&mut self, now: Time, content: ContentId, name: &str, size: u64) {
        let is_here = self.catalogue.get(&content).is_some() || self.downloader.get(&content).is_some();
        let Some(mirror) = self.mirror.as_mut().filter(|_| !is_here && self.leaving.is_none()) else {
            return;
        };
        match mirror.take(now, content, size) {
            Ok(()) => {
                let ticket = mirror.ticket;
                self.event(Event::Resolved { ticket, content, name: name.to_owned(), size });
                self.begin_download(now, content, name, size, MIRROR_STALL);
            }
            Err(Refusal::Known) => {}
            Err(why) if !std::mem::replace(&mut mirror.full_said, true) => {
                self.event(Event::Warning(match why {
                    Refusal::TooMany => "too many files to mirror; no more are fetched".to_owned(),
                    _ => format!("no room to mirror a file of {size} bytes; smaller ones still are"),
                }));
            }
            Err(_) => {}
        }
    }
}
