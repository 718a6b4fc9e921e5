//! Datagrams in and out: announcements, queries and their answers.

use crate::core::io::{DatagramTo, Event, IfaceId, Output};
use crate::core::looks::Asker;
use crate::core::native::discovery::look::is_found_at_once;
use crate::core::native::effects::Effect;
use crate::core::native::peers::directory::{By, Heard};
use crate::core::native::{Ctx, Engine};
use crate::core::rates::Standing;
use crate::core::timers::Timer;
use crate::types::{ContentId, PeerId};
use crate::wire::datagram::{self, DatagramError};
use crate::wire::message::{Announcement, Datagram, Entry, Query, Wanted};
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::Duration;

impl Engine {
    pub(crate) fn on_datagram(&mut self, ctx: &mut Ctx, iface: IfaceId, from: SocketAddr, bytes: &[u8]) {
        if let Err(why) = datagram::glance(bytes) {
            return self.drop_datagram(ctx, why);
        }
        // Every question is as long as a datagram may be, so that it is told without being read.
        let question = bytes.len() == datagram::DATAGRAM_BYTES_MAX;
        let source = from.ip();
        let standing = match () {
            () if datagram::answers(bytes).is_some_and(|nonce| self.announcer.is_answer(ctx.now, nonce)) => {
                Standing::Answers
            }
            () if self.directory.is_proven_at(&source) => Standing::Known,
            () => Standing::Stranger,
        };
        if !ctx.rates.admits(ctx.now, standing, source, question) {
            return ctx.counters.add("datagrams over rate");
        }
        let decoded = datagram::decode(bytes);
        let junk = decoded.as_ref().is_err_and(|why| !matches!(why, DatagramError::Pattern));
        ctx.rates.took(ctx.now, standing, source, question, junk);
        match decoded {
            Ok(Datagram::Announcement(announcement)) => self.on_announcement(ctx, iface, from, announcement),
            Ok(Datagram::Query(query)) => self.on_query(ctx, iface, from, query),
            Err(why) => self.drop_datagram(ctx, why),
        }
    }

    fn drop_datagram(&mut self, ctx: &mut Ctx, why: DatagramError) {
        ctx.counters.add(match why {
            DatagramError::Size => "datagrams of wrong size",
            DatagramError::Malformed => "datagrams malformed",
            DatagramError::NewerVersion(_) => "datagrams of a newer version",
            DatagramError::Pattern => "queries with a pattern over the limit",
        });
    }

    fn on_announcement(&mut self, ctx: &mut Ctx, iface: IfaceId, from: SocketAddr, said: Announcement) {
        let Announcement {
            peer,
            user,
            port,
            interval_ms,
            known_peers,
            generation,
            catalogue,
            entries,
            answers,
        } = said;
        let answers_this = answers.is_some_and(|nonce| self.announcer.is_answer(ctx.now, nonce));
        let heard = Heard {
            peer,
            addr: SocketAddr::new(from.ip(), port),
            user,
            iface: Some(iface),
            interval: Some(Duration::from_millis(interval_ms)),
            by: if answers_this { By::Answer } else { By::Announcement },
        };
        if !self.is_believed(ctx, &heard) {
            return self.effects.push(Effect::HeardElsewhere { heard, entries });
        }
        if self.hear(ctx, heard) {
            self.believe_guest(ctx, &peer);
            self.on_catalogue(ctx, &peer, generation, Some(catalogue), entries, known_peers);
        }
    }

    fn on_query(&mut self, ctx: &mut Ctx, iface: IfaceId, from: SocketAddr, query: Query) {
        let addr = SocketAddr::new(from.ip(), query.port);
        let heard = Heard {
            peer: query.peer,
            addr,
            user: query.user,
            iface: Some(iface),
            interval: None,
            by: By::Question,
        };
        // A peer is answered even where there is no place for it, or somebody else has its id: the answer goes to who asked.
        let own = query.peer == ctx.id;
        let is_known = self.is_believed(ctx, &heard) && self.hear(ctx, heard);
        if own || ctx.is_leaving {
            return;
        }
        let one = matches!(query.wanted, Wanted::Id(_) | Wanted::Name(_));
        if is_known {
            self.believe_guest(ctx, &query.peer);
            self.directory.seeks(&query.peer, one.then(|| query.wanted.clone()));
            let is_sought = self.searches.iter().any(|(_, search)| search.wanted == query.wanted);
            if self.meet_seeker(ctx, &query.peer) || (one && is_sought) {
                self.directory.is_of_use(&query.peer);
            }
            // It may be of use no longer, and be forgotten sooner.
            self.await_expiry(ctx, &query.peer);
        }
        if !self.announcer.may_answer(ctx.now, from, query.peer) {
            return ctx.counters.add("queries over rate");
        }
        let asker = Asker { peer: query.peer, addr: from, iface, nonce: query.nonce };
        self.look_for_answer(ctx, asker, query.wanted);
    }

    /// Answers a query; `first` is the first entry that matches, if there is one.
    pub(crate) fn answer(
        &mut self,
        ctx: &mut Ctx,
        asker: Asker,
        wanted: Wanted,
        first: Option<(ContentId, String)>,
    ) {
        if matches!(wanted, Wanted::Id(_) | Wanted::Name(_)) && first.is_some() {
            self.directory.is_of_use(&asker.peer);
        }
        if !self.announcer.answer(ctx.now, asker, wanted, first, self.directory.len(), ctx.rng) {
            return ctx.counters.add("queries over rate");
        }
        self.send_answers(ctx);
    }

    /// Anybody can put a peer's id into a datagram. While that peer is known to be elsewhere, and can be reached there, it
    /// is not believed. Nor is one from where another peer answered. A peer on several networks is known by the first address it was heard from.
    pub(crate) fn is_believed(&mut self, ctx: &mut Ctx, heard: &Heard) -> bool {
        let dialled = self.links.to_endpoint(&heard.addr).and_then(|conn| ctx.conns.native(conn));
        let anothers = dialled
            .and_then(|connection| connection.identity.as_ref())
            .is_some_and(|identity| identity.peer != heard.peer);
        let elsewhere = self.directory.settled(ctx.now, &heard.peer).filter(|addr| *addr != heard.addr);
        let believed = elsewhere
            .is_none_or(|addr| self.links.to_peer(&heard.peer).is_none() && ctx.dialer.is_away(&addr));
        let believed = believed && !anothers;
        if !believed {
            ctx.counters.add("datagrams with the id of another peer");
        }
        believed
    }

    /// A known peer told some of its catalogue.
    pub(crate) fn on_catalogue(
        &mut self,
        ctx: &mut Ctx,
        peer: &PeerId,
        generation: u64,
        catalogue: Option<u32>,
        entries: Vec<Entry>,
        known_peers: u32,
    ) {
        self.note_matches(ctx, peer, &entries, known_peers);
        let counting = entries.iter().filter(|entry| self.directory.counts(entry));
        let listed: Vec<ContentId> = counting.map(|entry| entry.id).collect();
        let sought = entries.iter().filter(|entry| self.directory.counts(entry) && entry.have >= entry.of);
        let whole: Vec<(ContentId, String)> = sought
            .filter(|entry| self.downloader.get(&entry.id).is_some())
            .map(|entry| (entry.id, entry.name.clone()))
            .collect();
        if self.mirror.is_some() {
            self.effects.push(Effect::Listed { peer: *peer, entries: entries.clone() });
        }
        let matching = self.matching_at_once(peer, &entries);
        self.directory.list(peer, generation, catalogue, entries);
        self.begin_matching(ctx, matching);
        self.walk_catalogue(ctx, peer);
        for (content, name) in whole {
            self.note_owner(peer, generation, &content, &name);
        }
        for content in listed {
            if self.downloader.get(&content).is_some_and(|download| download.wants_peers()) {
                self.seek_holder(ctx, peer, content);
            }
        }
    }

    /// One round of announcements: at most four datagrams, going on where the last round ended.
    pub(crate) fn announce(&mut self, ctx: &mut Ctx) {
        // Who looks for something has said that it is there, and will soon have something to offer.
        let seeks = self.searches.len() > 0 || !self.downloader.all_done();
        if ctx.catalogue.len() == 0 && seeks {
            self.announcer.rhythm.put_off(ctx.now);
            return ctx.timers.set(Timer::Announce, self.announcer.rhythm.next());
        }
        self.announcer.rhythm.round_sent(ctx.now, ctx.rng);
        ctx.timers.set(Timer::Announce, self.announcer.rhythm.next());
        if ctx.is_leaving {
            return;
        }
        let mut left = ctx.catalogue.len();
        for _ in 0..ctx.config.limits.announce_datagrams_max {
            let mut entries: Vec<Entry> = self.entries_from_cursor(ctx, left.min(ENTRIES_A_DATAGRAM));
            let (bytes, taken) =
                datagram::encode_announcement(&self.announcement(ctx, entries.clone(), None));
            entries.truncate(taken);
            if let Some(last) = entries.pop() {
                self.announcer.cursor = Some((last.id, last.name));
            }
            self.send_to_all(ctx, bytes);
            left = left.saturating_sub(taken);
            if left == 0 || taken == 0 {
                break;
            }
        }
    }

    /// Sends the answers that are due.
    pub(crate) fn send_answers(&mut self, ctx: &mut Ctx) {
        while let Some(answer) = self.announcer.due_answer(ctx.now) {
            let Asker { addr, iface, nonce, .. } = answer.asker;
            let first = answer.first.as_ref().and_then(|title| ctx.catalogue.entry(title));
            let mut entries = Vec::from_iter(first);
            // When the budget is used up the first one will have to do.
            if let Some(steps) = self.steps_for_answer(ctx, &answer.wanted) {
                let from = answer.first.map_or(Bound::Unbounded, Bound::Excluded);
                let mut looking = ctx.catalogue.look(&answer.wanted, from, steps);
                entries.extend(looking.by_ref().take(ENTRIES_A_DATAGRAM));
                let steps = looking.steps();
                self.took_steps(ctx, addr.ip(), steps);
            }
            let (bytes, _) = datagram::encode_announcement(&self.announcement(ctx, entries, Some(nonce)));
            let alone = DatagramTo::One { iface: Some(iface), addr };
            let to = if answer.crowd { DatagramTo::Everybody } else { alone };
            ctx.outputs.push(Output::Datagram { to, bytes });
        }
        if let Some(at) = self.announcer.next_answer() {
            ctx.timers.set(Timer::Answer, at);
        }
    }

    /// How much an answer may look for what else matches; no more than a first slice while others wait for theirs.
    fn steps_for_answer(&mut self, ctx: &mut Ctx, wanted: &Wanted) -> Option<u32> {
        let first = ctx.config.limits.look_first_steps;
        if is_found_at_once(wanted) {
            return Some(first);
        }
        let slice = ctx.looks.slice(ctx.now)?;
        Some(if ctx.looks.is_idle() { slice } else { first })
    }

    /// A newcomer does not wait for the minute: it asks who is there, unless a search of its own asked already. Who has found
    /// what it looks for and asks for everything would be taken for one who looks for it no more.
    pub(crate) fn acquaint(&mut self, ctx: &mut Ctx) {
        let asks = ctx.config.limits.newcomer_asks;
        let asked = self.searches.len() > 0 || (self.acquaintances == 0 && self.announcer.has_asked());
        if !asked && (self.acquaintances == 0 || self.directory.len() == 0) {
            self.query(ctx, Wanted::All);
        }
        let last = asks.get(self.acquaintances).copied().unwrap_or_default();
        self.acquaintances = self.acquaintances.saturating_add(1);
        if let Some(next) = asks.get(self.acquaintances) {
            ctx.timers.set(Timer::Acquaint, ctx.now + next.saturating_sub(last));
        }
    }

    /// Forgets the peers that were silent for too long.
    pub(crate) fn expire_peers(&mut self, ctx: &mut Ctx) {
        for peer in self.directory.expire(ctx.now) {
            ctx.outputs.event(Event::PeerLost(peer));
        }
        if let Some(expiry) = self.directory.expiry() {
            // All are looked at each time; thousands that asked at about the same time are looked at together.
            ctx.timers.set(Timer::Expiry, expiry.max(ctx.now + EXPIRY_GAP));
        }
    }
}

/// The shortest time between two looks for peers that were silent for too long.
const EXPIRY_GAP: Duration = Duration::from_millis(250);

/// More entries than this fit in no datagram, however short their names.
const ENTRIES_A_DATAGRAM: usize = 16;
