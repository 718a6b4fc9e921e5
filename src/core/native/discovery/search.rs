//! Searches: asked, answered, walked through catalogues, decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::io::{ConnId, Event, FailReason, PeerRef};
use crate::core::native::discovery::searches::{Asked, Purpose, Search, Step, similar};
use crate::core::native::download::state::Wish;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::types::name::destination;
use crate::types::{ContentId, PeerId};
use crate::wire::message::{CatalogueRequest, Entry, Frame, Wanted};

/// So many names that look alike are told when a name was not found.
const SIMILAR_NAMES: usize = 5;
/// Commands that come within this time make one question of their searches.
const TOGETHER: Duration = Duration::from_micros(200);
/// Many searches at once ask for everything, and no more often than this.
const QUERY_ALL_GAP: Duration = Duration::from_millis(100);

impl Engine {
    pub(crate) fn on_get(&mut self, ctx: &mut Ctx, purpose: Purpose, wanted: Wanted, wait: Duration) {
        if let Purpose::Get { ticket, .. } = purpose {
            let by_name = matches!(wanted, Wanted::Name(_) | Wanted::Glob(_) | Wanted::All);
            self.searches.note_asked(ticket, Asked { purpose: purpose.clone(), by_name });
        }
        self.begin_search(ctx, Search::new(purpose, wanted, wait, ctx.now));
    }

    pub(crate) fn on_look(&mut self, ctx: &mut Ctx, wanted: Wanted, wait: Duration) {
        self.begin_search(ctx, Search::new(Purpose::Look, wanted, wait, ctx.now));
    }

    /// Takes the next step of a search.
    pub(crate) fn step_search(&mut self, ctx: &mut Ctx, key: u32) {
        let many = self.searches.len() > 1;
        loop {
            let Some(search) = self.searches.get_mut(key) else { return };
            let step = search.step(ctx.now);
            if matches!(step, Step::Ask | Step::QueryAll) {
                search.plan_next(ctx.now, ctx.rng);
            }
            match step {
                Step::Ask if !many => {
                    let wanted = search.wanted.clone();
                    self.query(ctx, wanted);
                    self.walk_fixed_again(ctx, key);
                }
                Step::Ask | Step::QueryAll => {
                    self.query_all(ctx);
                    self.walk_fixed_again(ctx, key);
                }
                Step::Decide => return self.decide_search(ctx, key),
                Step::Wait(until) => {
                    return ctx.timers.set(Timer::Search(key), until.max(ctx.now + Duration::from_micros(1)));
                }
            }
        }
    }

    /// A peer was heard, whatever it said.
    pub(crate) fn note_heard(&mut self, peer: &PeerId) {
        for (_, search) in self.searches.iter_mut() {
            search.heard.insert(*peer);
        }
    }

    /// A peer offers these entries: is something among them that is looked for?
    pub(crate) fn note_matches(&mut self, ctx: &mut Ctx, peer: &PeerId, entries: &[Entry], known_peers: u32) {
        if self.searches.len() == 0 || entries.is_empty() {
            return;
        }
        let Some(holder) = self.directory.peer_ref(peer) else { return };
        let delay_max = ctx.config.limits.answer_delay_max;
        // Who claims to know nobody else is not to keep others from being heard.
        let known_peers = known_peers.max(u32::try_from(self.directory.len()).unwrap_or(u32::MAX));
        for (key, search) in self.searches.iter_mut() {
            if search.purpose.is_about(&holder)
                && entries.iter().any(|entry| search.wanted.matches(&entry.name, &entry.id))
            {
                search.matched(ctx.now, known_peers, delay_max);
                if let Some(settles) = search.settles {
                    ctx.timers.set_no_later(Timer::Search(key), settles);
                }
            }
        }
    }

    /// Of what a peer offers, that which a search fetches whatever else there may be, with the search's key.
    pub(crate) fn matching_at_once(&self, peer: &PeerId, entries: &[Entry]) -> Vec<(u32, Entry)> {
        let mut matching = Vec::new();
        for (key, search) in self.searches.iter().filter(|(_, search)| search.takes_all()) {
            let Some(holder) = self.directory.peer_ref(peer) else { break };
            if search.purpose.is_about(&holder) {
                let new = entries.iter().filter(|entry| {
                    search.wanted.matches(&entry.name, &entry.id) && !search.has_begun(&search.title(entry))
                });
                matching.extend(new.map(|entry| (key, entry.clone())));
            }
        }
        matching
    }

    /// Begins to fetch what [`Peer::matching_at_once`] gave.
    pub(crate) fn begin_matching(&mut self, ctx: &mut Ctx, matching: Vec<(u32, Entry)>) {
        let names_max = ctx.config.limits.names_per_content_max;
        let mut found = Vec::new();
        let mut names: BTreeMap<ContentId, usize> = BTreeMap::new();
        for (key, entry) in matching {
            let Some(search) = self.searches.get(key) else { continue };
            let title = search.title(&entry);
            let anew = !self.searches.is_begun(&title);
            let names = names.entry(entry.id).or_default();
            let room = self.downloader.follower_count(&entry.id).saturating_add(*names) < names_max;
            let Some(search) = self.searches.get_mut(key) else { continue };
            let Entry { id, name, size, .. } = entry;
            if anew && !room {
                search.cut_short = true;
            } else if search.begin(title, &name, &ctx.config.limits) && anew {
                *names = names.saturating_add(1);
                let Purpose::Get { ticket, layout, stall, .. } = search.purpose else { continue };
                let (name, ticket) = (name.into(), Some(ticket));
                let wish =
                    Wish { name, layout, size_claimed: size, stall, began: ctx.now, ticket, renewed: 0 };
                found.push((id, wish));
                self.searches.note_begun_anew(&title);
            }
        }
        self.begin_found(ctx, found);
    }

    /// Says what was found, and only then begins to fetch it.
    fn begin_found(&mut self, ctx: &mut Ctx, mut found: Vec<(ContentId, Wish)>) {
        // Each file that is told of as found ends once, so it is not told of again while it is fetched.
        found.retain(|(content, wish)| !self.downloader.is_under(content, &wish.name, wish.layout));
        for (content, Wish { name, size_claimed: size, ticket, .. }) in &found {
            let Some(ticket) = *ticket else { continue };
            ctx.outputs.event(Event::Resolved {
                ticket,
                content: *content,
                name: Arc::clone(name),
                size: *size,
            });
        }
        for (content, wish) in found {
            self.begin_file(ctx, content, wish);
        }
    }

    /// Asks a peer for the pages of its catalogue that a search needs, connecting to it first if need be.
    pub(crate) fn walk_catalogue(&mut self, ctx: &mut Ctx, peer: &PeerId) {
        let Some(addr) = self.directory.get(peer).map(|known| known.addr) else { return };
        let conn = self.links.to_peer(peer);
        let fixed = self.is_fixed(ctx, peer);
        let partly = self.directory.is_partly_known(peer);
        let many = self.searches.len() > 1;
        let asks: Vec<(u32, Wanted)> = self
            .searches
            .iter()
            .filter(|(_, search)| fixed || (partly && (many || search.is_broad())))
            .filter(|(_, search)| conn.is_none_or(|conn| !search.walks.contains_key(&conn)))
            .map(|(key, search)| (key, search.wanted.clone()))
            .collect();
        let Some(conn) = conn else {
            if !asks.is_empty() {
                self.dial_or_wait(ctx, addr);
            }
            return;
        };
        for (key, wanted) in asks {
            self.request_page(ctx, conn, key, CatalogueRequest { wanted, after: None });
        }
    }

    /// A connection is over: no more pages come from it.
    pub(crate) fn end_walks(&mut self, ctx: &mut Ctx, conn: ConnId) {
        if let Some(mirror) = &mut self.mirror {
            mirror.walks.connection_over(conn);
        }
        let mut ended = Vec::new();
        for (key, search) in self.searches.iter_mut() {
            if let Some(walk) = search.walks.get_mut(&conn).filter(|walk| !walk.over) {
                walk.over = true;
                ended.push(key);
            }
        }
        for key in ended {
            ctx.timers.set_no_later(Timer::Search(key), ctx.now + Duration::from_micros(1));
        }
    }

    /// Ends every search without a word; for a peer that leaves.
    pub(crate) fn drop_searches(&mut self, ctx: &mut Ctx) {
        for key in self.searches.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            ctx.timers.clear(Timer::Search(key));
            self.searches.remove(key);
        }
    }

    fn begin_search(&mut self, ctx: &mut Ctx, search: Search) {
        if ctx.is_leaving {
            return;
        }
        self.directory.is_here(&search.wanted);
        let key = self.searches.add(search);
        self.dial_fixed_peers(ctx);
        let peers: Vec<PeerId> = self.directory.peers().map(|(peer, _)| *peer).collect();
        for peer in peers {
            self.walk_catalogue(ctx, &peer);
        }
        ctx.timers.set(Timer::Search(key), ctx.now + TOGETHER);
    }

    /// A peer that somebody named may not hear what is broadcast, and what it offers may have grown: its catalogue is
    /// walked at each question.
    fn walk_fixed_again(&mut self, ctx: &mut Ctx, key: u32) {
        let open: Vec<(PeerId, ConnId)> = self.links.all_open().map(|(peer, conn)| (*peer, conn)).collect();
        for (peer, conn) in open {
            if self.is_fixed(ctx, &peer)
                && let Some(search) = self
                    .searches
                    .get_mut(key)
                    .filter(|search| search.walks.get(&conn).is_some_and(|walk| walk.over))
            {
                search.walks.remove(&conn);
                self.walk_catalogue(ctx, &peer);
            }
        }
    }

    pub(crate) fn request_page(&mut self, ctx: &mut Ctx, conn: ConnId, key: u32, request: CatalogueRequest) {
        if let (Some(search), Some(connection)) = (self.searches.get_mut(key), ctx.conns.native_mut(conn)) {
            search.walks.entry(conn).or_default().over = false;
            connection.walks.push_back(key);
            self.say(ctx, conn, Frame::CatalogueRequest(request));
        }
    }

    fn query_all(&mut self, ctx: &mut Ctx) {
        if self.searches.asked_all.is_none_or(|last| ctx.now.since(last) >= QUERY_ALL_GAP) {
            self.searches.asked_all = Some(ctx.now);
            self.query(ctx, Wanted::All);
        }
    }

    fn decide_search(&mut self, ctx: &mut Ctx, key: u32) {
        ctx.timers.clear(Timer::Search(key));
        let Some(search) = self.searches.get(key) else { return };
        // The holder whose offer settled the search may be gone by now. Others have all of the time to answer.
        if search.settles.is_some() && self.found(search).is_empty() {
            if let Some(search) = self.searches.get_mut(key) {
                search.settles = None;
            }
            return self.step_search(ctx, key);
        }
        let Purpose::Get { ticket, .. } = search.purpose else {
            let cut_short = search.cut_short || self.directory.is_overfull();
            self.searches.remove(key);
            return ctx.outputs.event(Event::Looked { cut_short });
        };
        let found = self.found(search);
        let reason = match found.len() {
            0 if search.begun() == 0 => Some(self.nobody_offers(search)),
            2.. if !search.takes_all() => Some(FailReason::Ambiguous { candidates: found.clone() }),
            _ => None,
        };
        if let Some(reason) = reason {
            self.searches.remove(key);
            return ctx.outputs.event(Event::SearchFailed { ticket, reason });
        }
        self.begin_matching(ctx, found.into_iter().map(|(entry, _)| (key, entry)).collect());
        let Some(search) = self.searches.remove(key) else { return };
        // Somebody who looks for one thing has it, however much else there is.
        let (found, cut_short) = (search.begun(), search.takes_all() && search.cut_short);
        self.searches.note_begun(search);
        ctx.outputs.event(Event::SearchDone { ticket, found, cut_short });
    }

    /// What is known of what is wanted and not begun yet, with the most complete holder of each: where all that matches is
    /// fetched, each file; else each content once, with its first name.
    pub(crate) fn found(&self, search: &Search) -> Vec<(Entry, PeerRef)> {
        let wanted = &search.wanted;
        let mut found: BTreeMap<(ContentId, String), (Entry, PeerRef)> = BTreeMap::new();
        // A whole path is meant before a last component.
        let exact = |entry: &Entry| matches!(wanted, Wanted::Name(name) if entry.name == *name);
        for (peer, entry) in self.directory.matching(wanted) {
            let Some(holder) = self.directory.peer_ref(&peer) else { continue };
            if !search.purpose.is_about(&holder) {
                continue;
            }
            // Nothing begins twice, and of a long catalogue this would be another copy.
            if search.has_begun(&search.title(&entry)) {
                continue;
            }
            let path =
                if search.takes_all() { destination(&entry.name, search.layout()) } else { String::new() };
            let title = (entry.id, path);
            match found.get(&title) {
                Some((best, _)) if (exact(best), best.have) >= (exact(&entry), entry.have) => {}
                _ => {
                    found.insert(title, (entry, holder));
                }
            }
        }
        if found.values().any(|(entry, _)| exact(entry)) {
            found.retain(|_, (entry, _)| exact(entry));
        }
        found.into_values().collect()
    }

    fn nobody_offers(&self, search: &Search) -> FailReason {
        let similar = match &search.wanted {
            Wanted::Name(name) | Wanted::Glob(name) => {
                let contents = self.directory.content_statuses();
                similar(name, contents.iter().map(|content| content.name.as_str()), SIMILAR_NAMES)
            }
            Wanted::All | Wanted::Id(_) | Wanted::Prefix(_) => Vec::new(),
        };
        FailReason::NobodyOffers { peers: search.heard.len(), similar }
    }
}
