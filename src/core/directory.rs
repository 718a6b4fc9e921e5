//! Who is there and who offers what, and when that expires.
//!
//! Owns what was heard of other peers. Decides neither whom to ask nor whom to dial.

mod entries;
mod interned;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::core::door::{IfaceId, PeerRef};
use crate::core::limits::Limits;
use crate::core::rng::Rng;
use crate::core::status::{ContentStatus, PeerStatus};
use crate::types::id::{ContentId, PeerId};
use crate::types::time::Time;
use crate::wire::message::{Entry, Wanted};
use entries::Entries;
use interned::Interned;
use standing::{Standing, Unconnected};

/// One peer that was heard.
#[derive(Debug)]
pub(in crate::core) struct Known {
    /// Its address and the TCP port it listens on.
    pub(in crate::core) addr: SocketAddr,
    /// Its user name, raw.
    user: Box<str>,
    /// The interface it was heard on, if by datagram.
    pub(in crate::core) iface: Option<IfaceId>,
    /// How many entries its catalogue has, as it says.
    pub(in crate::core) catalogue: u32,
    /// Connections to it that said hello.
    pub(in crate::core) connections: u32,
    /// How much is known for it.
    standing: Standing,
    /// Where it stands among those without a connection that are of its standing.
    place: u32,
    heard: Time,
    /// Since when it has announced itself at this interval.
    announced: Time,
    interval_ms: u32,
    generation: u64,
    entries: Entries,
    entry_bytes: usize,
    /// Entries of the present generation.
    fresh: u32,
    /// Whether it told entries that there was no room for.
    overfull: bool,
    /// When it last offered something new: grows with each offer of any peer.
    news: u64,
    /// What it looked for last, if that was one thing.
    seeks: Option<Arc<Wanted>>,
}

/// A content under one of its names.
type Title = (ContentId, String);

#[derive(Debug)]
struct Listed {
    size: u64,
    have: u32,
    of: u32,
    generation: u64,
    /// The generation in which it was first told.
    since: u64,
}

/// What a peer says of itself, by whichever way.
#[derive(Debug, Clone)]
pub(in crate::core) struct Heard {
    /// Who.
    pub(in crate::core) peer: PeerId,
    /// Its address and the TCP port it listens on.
    pub(in crate::core) addr: SocketAddr,
    /// Its user name.
    pub(in crate::core) user: String,
    /// The interface, if by datagram.
    pub(in crate::core) iface: Option<IfaceId>,
    /// How often it announces itself; `None` when it did not say.
    pub(in crate::core) interval: Option<Duration>,
    /// By what.
    pub(in crate::core) by: By,
}

/// What a peer was heard by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) enum By {
    /// It asked for something.
    Question,
    /// It told of itself without being asked by this peer.
    Announcement,
    /// It answered a question of this peer.
    Answer,
    /// It said hello over a connection, which proves its address.
    Hello,
}

/// What became of a peer that was heard.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::core) struct Taken {
    /// It was not known before.
    pub(in crate::core) new: bool,
    /// The peers that gave way to it.
    pub(in crate::core) gone: Vec<PeerRef>,
}

/// The shortest and the longest announcement interval that is believed.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// The interval of a peer that has not told its own.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// Of one content so many holders, and of each so many names, are looked at for some that hold it wholly.
const HOLDERS_LOOKED_AT: usize = 64;
const NAMES_LOOKED_AT: usize = 8;
/// What an entry costs beside its name, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// All peers that were heard and have not been silent for too long.
#[derive(Debug)]
pub(in crate::core) struct Directory {
    /// Boxed, so that what a map keeps free for more is not of the size of all that is known of a peer.
    peers: BTreeMap<PeerId, Box<Known>>,
    /// The peers that have no connection with this one.
    unconnected: Unconnected,
    /// The peers at each address.
    at_address: BTreeSet<(IpAddr, PeerId)>,
    holders: BTreeMap<ContentId, BTreeSet<PeerId>>,
    /// What peers list, and what they looked for last.
    titles: Interned<Title>,
    seekers: Interned<Wanted>,
    /// Contents that count as held only under one name.
    named_only: BTreeMap<ContentId, String>,
    entry_bytes: usize,
    /// Counts what was offered anew.
    news: u64,
    limits: Limits,
    own_addresses: Vec<IpAddr>,
}

impl Known {
    /// The newest state of its catalogue that it told of.
    pub(in crate::core) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it said hello at the address that it has.
    pub(in crate::core) fn is_greeted(&self) -> bool {
        self.standing == Standing::Greeted
    }

    /// Whether more is known for it than that it announced itself once: it did again at its own interval, answered or said hello.
    pub(in crate::core) fn is_proven(&self) -> bool {
        self.standing >= Standing::Regular
    }

    /// It is somewhere else now, so what was told of the state of its catalogue may have come from an impostor: the next state
    /// that it tells is its newest. What it was known to offer stays until then.
    fn doubt_generation(&mut self) {
        (self.generation, self.fresh) = (0, 0);
        self.entries.retain(|_, listed| {
            listed.generation = 0;
            true
        });
    }

    /// How often it announces itself.
    fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.into())
    }
}

impl Listed {
    /// The same as its peer told it.
    fn entry(&self, (id, name): &Title) -> Entry {
        Entry { id: *id, name: name.clone(), size: self.size, have: self.have, of: self.of }
    }
}

impl Directory {
    /// Nobody yet. Some limits except `own_addresses`.
    pub(in crate::core) fn new(limits: Limits, own_addresses: Vec<IpAddr>) -> Directory {
        Directory {
            peers: BTreeMap::new(),
            unconnected: Unconnected::default(),
            at_address: BTreeSet::new(),
            holders: BTreeMap::new(),
            titles: Interned::default(),
            seekers: Interned::default(),
            named_only: BTreeMap::new(),
            entry_bytes: 0,
            news: 0,
            limits,
            own_addresses,
        }
    }

    /// How many peers are known.
    pub(in crate::core) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether a peer at this address is more than an invention may be: it is connected, answered, said hello or announces
    /// itself regularly. Looks at no more peers than an address may have.
    pub(in crate::core) fn is_proven_at(&self, ip: &IpAddr) -> bool {
        let mut peers = self.at_address(*ip).take(self.limits.peers_per_address_max);
        let is_proven = |known: &Known| known.connections > 0 || known.standing >= Standing::Answered;
        peers.any(|peer| self.get(peer).is_some_and(is_proven))
    }

    /// A peer.
    pub(in crate::core) fn get(&self, peer: &PeerId) -> Option<&Known> {
        self.peers.get(peer).map(Box::as_ref)
    }

    /// All peers, in the order of their ids.
    pub(in crate::core) fn peers(&self) -> impl Iterator<Item = (&PeerId, &Known)> {
        self.peers.iter().map(|(peer, known)| (peer, &**known))
    }

    /// A peer as events name it.
    pub(in crate::core) fn peer_ref(&self, peer: &PeerId) -> Option<PeerRef> {
        let known = self.peers.get(peer)?;
        Some(PeerRef { id: Some(*peer), addr: known.addr, user: known.user.to_string() })
    }

    /// A peer was heard. `Err`: there is no room for it. When places are short, a peer that has no connection gives way: one
    /// of those for which least is known, as chance has it. So what was only heard keeps nobody out that says hello.
    pub(in crate::core) fn heard(
        &mut self,
        now: Time,
        heard: Heard,
        rng: &mut Rng,
    ) -> Result<Taken, &'static str> {
        if self.peers.contains_key(&heard.peer) {
            self.heard_again(now, heard);
            return Ok(Taken { new: false, gone: Vec::new() });
        }
        let gone = self.make_room(&heard, rng)?;
        let (peer, ip) = (heard.peer, heard.addr.ip());
        let known = Known {
            addr: heard.addr,
            user: heard.user.as_str().into(),
            iface: heard.iface,
            catalogue: 0,
            connections: 0,
            standing: Standing::new(heard.by),
            place: 0,
            heard: now,
            announced: now,
            interval_ms: believed_ms(heard.interval.unwrap_or(INTERVAL_DEFAULT)),
            generation: 0,
            entries: Entries::new(),
            entry_bytes: 0,
            fresh: 0,
            overfull: false,
            news: 0,
            seeks: None,
        };
        self.peers.insert(peer, Box::new(known));
        self.at_address.insert((ip, peer));
        self.list_unconnected(&peer);
        Ok(Taken { new: true, gone })
    }

    /// A known peer was heard, maybe at another address.
    fn heard_again(&mut self, now: Time, heard: Heard) {
        let peer = heard.peer;
        self.unlist_unconnected(&peer);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.heard = now;
            let before = std::mem::replace(&mut known.addr, heard.addr);
            if *known.user != heard.user {
                known.user = heard.user.as_str().into();
            }
            known.iface = heard.iface.or(known.iface);
            let interval_ms = heard.interval.map_or(known.interval_ms, believed_ms);
            let another = std::mem::replace(&mut known.interval_ms, interval_ms) != interval_ms;
            let moved = before != heard.addr;
            if moved {
                known.doubt_generation();
            }
            if moved || another || known.standing < Standing::Announced {
                known.announced = now;
            }
            // Nobody announces itself too soon, but one datagram may take longer than another.
            let soonest = known.interval().saturating_mul(7).checked_div(8).unwrap_or_default();
            let regular = now.since(known.announced) >= soonest;
            // A standing belongs to an address, and a regular announcer to one interval.
            let standing = match known.standing {
                _ if moved => Standing::Asked,
                Standing::Regular if another => Standing::Announced,
                standing => standing,
            };
            known.standing = standing.after(heard.by, regular);
            if before.ip() != heard.addr.ip() {
                self.at_address.remove(&(before.ip(), peer));
                self.at_address.insert((heard.addr.ip(), peer));
            }
        }
        self.list_unconnected(&peer);
    }

    /// Makes room for a peer that is new, if there is none: returns the peers that had to go.
    fn make_room(&mut self, new: &Heard, rng: &mut Rng) -> Result<Vec<PeerRef>, &'static str> {
        let mut gone = Vec::new();
        let ip = new.addr.ip();
        let bounded = !(ip.is_loopback() || self.own_addresses.contains(&ip));
        if bounded && self.at_address(ip).count() >= self.limits.peers_per_address_max {
            let weakest = self.weakest_at(ip, new.by, rng).ok_or("too many peers of one address")?;
            gone.extend(self.give_way(&weakest));
        }
        if new.by != By::Hello && self.unconnected.only_heard() >= self.limits.peers_max {
            let best = Standing::gives_way_to(new.by);
            let weakest = self.unconnected.draw_weakest(best, rng).ok_or("peer table full")?;
            gone.extend(self.give_way(&weakest));
        }
        // A peer that said hello and is gone keeps nobody out either.
        if self.unconnected.greeted() >= self.limits.connections_max
            && let Some(one) = self.unconnected.draw_greeted(rng)
        {
            gone.extend(self.give_way(&one));
        }
        Ok(gone)
    }

    /// Of the peers at an address that have no connection, one of those for which least is known. A peer that only asked
    /// takes the place of nobody but another that only asked.
    fn weakest_at(&self, ip: IpAddr, by: By, rng: &mut Rng) -> Option<PeerId> {
        let unconnected = self.at_address(ip).filter_map(|peer| {
            let known = self.peers.get(peer).filter(|known| known.connections == 0)?;
            Some((known.standing, *peer))
        });
        let mut unconnected: Vec<(Standing, PeerId)> = unconnected.collect();
        let least = unconnected.iter().map(|(standing, _)| *standing).min()?;
        unconnected.retain(|(standing, _)| *standing == least);
        let drawn = unconnected.get(rng.below(unconnected.len()))?.1;
        (by != By::Question || least <= Standing::gives_way_to(by)).then_some(drawn)
    }

    fn give_way(&mut self, peer: &PeerId) -> Option<PeerRef> {
        let gone = self.peer_ref(peer);
        self.remove(peer);
        gone
    }

    /// The peers that are known at an address.
    fn at_address(&self, ip: IpAddr) -> impl Iterator<Item = &PeerId> {
        let ends = (ip, PeerId([0; 16]))..=(ip, PeerId([u8::MAX; 16]));
        self.at_address.range(ends).map(|(_, peer)| peer)
    }

    /// The peers that are known at an endpoint.
    pub(in crate::core) fn peers_at(&self, endpoint: &SocketAddr) -> Vec<PeerId> {
        let at_endpoint = |peer: &&PeerId| self.peers.get(peer).is_some_and(|known| known.addr == *endpoint);
        self.at_address(endpoint.ip()).filter(at_endpoint).copied().collect()
    }

    /// The peers without a connection that are known at an endpoint where another is.
    pub(in crate::core) fn impostors(&self, endpoint: &SocketAddr, there: &PeerId) -> Vec<PeerId> {
        let others = self.at_address(endpoint.ip()).filter(|peer| *peer != there);
        let at_endpoint = |known: &Known| known.addr == *endpoint && known.connections == 0;
        others.filter(|peer| self.get(peer).is_some_and(at_endpoint)).copied().collect()
    }

    /// Where a peer is known to be, unless it has been silent for so long that it may have moved.
    pub(in crate::core) fn settled(&self, now: Time, peer: &PeerId) -> Option<SocketAddr> {
        let known = self.peers.get(peer)?;
        let silence_max = known.interval().saturating_add(self.limits.announce_jitter_max);
        let settled = known.connections > 0 || now.since(known.heard) < silence_max;
        settled.then_some(known.addr)
    }

    /// A known peer tells some entries of its catalogue of `catalogue` entries (`None`: it does not say), in the
    /// state of `generation`. Once all entries of one generation are here, those of older ones go. Returns the
    /// contents that this peer was not known to hold before.
    pub(in crate::core) fn list(
        &mut self,
        peer: &PeerId,
        generation: u64,
        catalogue: Option<u32>,
        entries: Vec<Entry>,
    ) -> Vec<ContentId> {
        let mut news = Vec::new();
        let Some(known) = self.peers.get_mut(peer) else { return news };
        if generation < known.generation {
            return news;
        }
        if generation > known.generation {
            known.generation = generation;
            known.fresh = 0;
            known.overfull = false;
        }
        known.catalogue =
            catalogue.unwrap_or(known.catalogue.max(u32::try_from(entries.len()).unwrap_or(u32::MAX)));
        for entry in entries {
            if !is_named(&self.named_only, &entry) {
                continue;
            }
            let cost = cost_of(&entry.name);
            let content = entry.id;
            let key = self.titles.keep((content, entry.name));
            let Entry { size, have, of, .. } = entry;
            let mut listed = Listed { size, have, of, generation, since: generation };
            let is_new = known.entries.get(&key).is_none_or(|present| present.have == 0);
            if is_new {
                self.news = self.news.saturating_add(1);
                known.news = self.news;
            }
            let fresh_before = match known.entries.get_mut(&key) {
                Some(present) => {
                    listed.since = present.since;
                    let before = std::mem::replace(present, listed);
                    self.titles.release(key);
                    before.generation == generation
                }
                None => {
                    let bytes_of_peer = known.entry_bytes.saturating_add(cost);
                    let bytes_of_all = self.entry_bytes.saturating_add(cost);
                    let room = known.entries.len() < self.limits.entries_per_peer_max
                        && bytes_of_peer <= self.limits.entry_bytes_per_peer_max
                        && bytes_of_all <= self.limits.entry_bytes_max;
                    if !room {
                        known.overfull = true;
                        self.titles.release(key);
                        continue;
                    }
                    known.entry_bytes = bytes_of_peer;
                    self.entry_bytes = bytes_of_all;
                    if self.holders.entry(content).or_default().insert(*peer) {
                        news.push(content);
                    }
                    known.entries.insert(key, listed);
                    false
                }
            };
            known.fresh = known.fresh.saturating_add(u32::from(!fresh_before));
        }
        if known.fresh >= known.catalogue && (known.entries.len() as u64) > u64::from(known.fresh) {
            self.drop_entries(peer, |_, listed| listed.generation < generation);
        }
        news
    }

    /// A peer says that it does not hold a content (any more).
    pub(in crate::core) fn unlist(&mut self, peer: &PeerId, content: &ContentId) {
        self.drop_entries(peer, |key, _| key.0 == *content);
    }

    /// What is heard of a content from now on counts only where it is offered under this name.
    pub(in crate::core) fn name_only(&mut self, content: ContentId, name: &str) {
        self.named_only.insert(content, name.to_owned());
    }

    /// Whether an entry counts.
    pub(in crate::core) fn counts(&self, entry: &Entry) -> bool {
        is_named(&self.named_only, entry)
    }

    /// A content counts as held under any name again.
    pub(in crate::core) fn any_name(&mut self, content: &ContentId) {
        self.named_only.remove(content);
    }

    /// Something came from a peer over a connection.
    pub(in crate::core) fn touch(&mut self, now: Time, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.heard = now;
        }
    }

    /// A connection to a peer stands, or does no longer.
    pub(in crate::core) fn connected(&mut self, peer: &PeerId, stands: bool) {
        self.unlist_unconnected(peer);
        if let Some(known) = self.peers.get_mut(peer) {
            let before = known.connections;
            known.connections = if stands { before.saturating_add(1) } else { before.saturating_sub(1) };
        }
        self.list_unconnected(peer);
    }

    /// Forgets a peer and what it offered.
    pub(in crate::core) fn remove(&mut self, peer: &PeerId) {
        self.drop_entries(peer, |_, _| true);
        self.seeks(peer, None);
        self.unlist_unconnected(peer);
        if let Some(known) = self.peers.remove(peer) {
            self.at_address.remove(&(known.addr.ip(), *peer));
        }
    }

    /// Forgets the peers that were silent for too long and have no connection; returns them.
    pub(in crate::core) fn expire(&mut self, now: Time) -> Vec<PeerRef> {
        let silent = |known: &Known| self.expiry_of(known).is_some_and(|expiry| expiry <= now);
        let gone: Vec<PeerId> =
            self.peers.iter().filter(|(_, known)| silent(known)).map(|(id, _)| *id).collect();
        let refs = gone.iter().filter_map(|id| self.peer_ref(id)).collect();
        gone.iter().for_each(|id| self.remove(id));
        refs
    }

    /// When the next peer will have been silent for too long. Looks at all of them.
    pub(in crate::core) fn expiry(&self) -> Option<Time> {
        self.peers.values().filter_map(|known| self.expiry_of(known)).min()
    }

    /// When a peer will have been silent for too long; `None` while a connection to it stands.
    pub(in crate::core) fn expiry_of(&self, known: &Known) -> Option<Time> {
        let silence_max = match known.standing {
            Standing::Asked => self.limits.asker_silence_max,
            _ => known.interval().saturating_mul(self.limits.silent_intervals_max),
        };
        (known.connections == 0).then(|| known.heard + silence_max)
    }

    /// The peers that hold some of a content.
    pub(in crate::core) fn holders(&self, content: &ContentId) -> impl Iterator<Item = &PeerId> {
        self.holders.get(content).into_iter().flatten()
    }

    /// Whether a peer told that it holds a content wholly.
    pub(in crate::core) fn holds_all(&self, peer: &PeerId, content: &ContentId) -> bool {
        let Some(known) = self.peers.get(peer) else { return false };
        let from = (*content, String::new());
        let mut of_content = known.entries.from(&from).take_while(|(key, _)| key.0 == *content);
        of_content.any(|(_, listed)| listed.have >= listed.of)
    }

    /// Of the peers that hold a content, some that told that they hold it wholly, each with the state of its catalogue
    /// in which it last said so.
    pub(in crate::core) fn whole_holders(&self, content: &ContentId) -> impl Iterator<Item = (PeerId, u64)> {
        let from = (*content, String::new());
        self.holders(content).take(HOLDERS_LOOKED_AT).filter_map(move |peer| {
            let entries = self.peers.get(peer)?.entries.from(&from);
            let mut entries = entries.take_while(|(title, _)| title.0 == from.0).take(NAMES_LOOKED_AT);
            entries.find(|(_, listed)| listed.have >= listed.of).map(|(_, listed)| (*peer, listed.generation))
        })
    }

    /// The peers of another id that are known at an endpoint.
    pub(in crate::core) fn others_at(&self, endpoint: &SocketAddr, peer: &PeerId) -> Vec<PeerId> {
        let others = self.at_address(endpoint.ip()).filter(|other| *other != peer);
        others
            .filter(|other| self.peers.get(other).is_some_and(|known| known.addr == *endpoint))
            .copied()
            .collect()
    }

    /// When a peer last offered something new, of all that any peer offered, and how many entries of it are known.
    pub(in crate::core) fn news_of(&self, peer: &PeerId) -> Option<(u64, usize)> {
        self.peers.get(peer).map(|known| (known.news, known.entries.len()))
    }

    /// What a peer offers under exactly this name, and began to offer after a state of its catalogue: the latest of it.
    /// Looks at all its entries.
    pub(in crate::core) fn named_since(
        &self,
        peer: &PeerId,
        name: &str,
        after: Option<u64>,
    ) -> Option<Entry> {
        let known = self.peers.get(peer)?;
        let named = known.entries.iter().filter(|(title, listed)| {
            // An empty file has no chunks to have.
            let can_be_fetched = listed.have > 0 || (listed.size == 0 && listed.of == 0);
            title.1 == name && can_be_fetched && after.is_none_or(|after| listed.since > after)
        });
        named.max_by_key(|(_, listed)| listed.since).map(|(title, listed)| listed.entry(title))
    }

    /// How many peers hold some of a content.
    pub(in crate::core) fn holder_count(&self, content: &ContentId) -> usize {
        self.holders.get(content).map_or(0, BTreeSet::len)
    }

    /// A known peer looks for one thing, or for many.
    pub(in crate::core) fn seeks(&mut self, peer: &PeerId, wanted: Option<Wanted>) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        if known.seeks.as_deref() == wanted.as_ref() {
            return;
        }
        if let Some(former) = known.seeks.take() {
            self.seekers.release(former);
        }
        known.seeks = wanted.map(|wanted| self.seekers.keep(wanted));
        self.set_standing(peer, Standing::Seeks, Standing::Asked);
    }

    /// This peer looks for or holds what another one looks for: that one stays, though it may never have announced itself.
    pub(in crate::core) fn is_of_use(&mut self, peer: &PeerId) {
        self.set_standing(peer, Standing::Asked, Standing::Seeks);
    }

    /// Something is looked for or held here from now on: who looks for it is of use.
    pub(in crate::core) fn is_here(&mut self, wanted: &Wanted) {
        if self.seeker_count(wanted) > 0 {
            let seekers = self.peers.iter().filter(|(_, known)| known.seeks.as_deref() == Some(wanted));
            let seekers: Vec<PeerId> = seekers.map(|(peer, _)| *peer).collect();
            seekers.iter().for_each(|peer| self.is_of_use(peer));
        }
    }

    /// Whether a peer looked for a content last, by its id or by this name.
    pub(in crate::core) fn is_seeker(&self, peer: &PeerId, content: &ContentId, name: &str) -> bool {
        match self.peers.get(peer).and_then(|known| known.seeks.as_deref()) {
            Some(Wanted::Id(id)) => id == content,
            Some(Wanted::Name(wanted)) => wanted == name,
            _ => false,
        }
    }

    /// How many peers looked for a content last: by its id, or by this name, whichever are more.
    pub(in crate::core) fn seekers_of(&self, content: &ContentId, name: &str) -> usize {
        let by_name = self.seeker_count(&Wanted::Name(name.to_owned()));
        by_name.max(self.seeker_count(&Wanted::Id(*content)))
    }

    /// Whether a peer told that it holds some of a content.
    pub(in crate::core) fn is_holder(&self, peer: &PeerId, content: &ContentId) -> bool {
        self.holders.get(content).is_some_and(|holders| holders.contains(peer))
    }

    /// How many peers looked for this, and for nothing after that.
    fn seeker_count(&self, wanted: &Wanted) -> usize {
        self.seekers.keepers(wanted)
    }

    /// What is known of what somebody looks for: each entry with its peer, in the order of peers.
    pub(in crate::core) fn matching<'a>(
        &'a self,
        wanted: &'a Wanted,
    ) -> impl Iterator<Item = (PeerId, Entry)> + 'a {
        self.peers.iter().flat_map(move |(peer, known)| {
            known
                .entries
                .iter()
                .filter(|(title, _)| wanted.matches(&title.1, &title.0))
                .map(|(title, listed)| (*peer, listed.entry(title)))
        })
    }

    /// Whether a peer told more than is kept of it.
    pub(in crate::core) fn is_overfull(&self) -> bool {
        self.peers.values().any(|known| known.overfull)
    }

    /// The entries of a peer that are known, from a place in its catalogue on.
    pub(in crate::core) fn entries_from<'a>(
        &'a self,
        peer: &PeerId,
        from: &'a (ContentId, String),
    ) -> impl Iterator<Item = Entry> + 'a {
        let known = self.peers.get(peer).map(|known| known.entries.from(from));
        known.into_iter().flatten().map(|(title, listed)| listed.entry(title))
    }

    /// Whether fewer entries of a peer are known than it says it has.
    pub(in crate::core) fn is_partly_known(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| known.fresh < known.catalogue)
    }

    /// The peers, for people.
    pub(in crate::core) fn peer_statuses(&self, now: Time) -> Vec<PeerStatus> {
        let status = |(id, known): (&PeerId, &Known)| PeerStatus {
            peer: PeerRef { id: Some(*id), addr: known.addr, user: known.user.to_string() },
            catalogue: known.catalogue,
            silent_for: now.since(known.heard),
            connected: known.connections > 0,
        };
        self.peers().map(status).collect()
    }

    /// What is offered, for people, in the order of (name, id).
    pub(in crate::core) fn content_statuses(&self) -> Vec<ContentStatus> {
        let mut contents: BTreeMap<(&str, ContentId), ContentStatus> = BTreeMap::new();
        for (peer, known) in self.peers.iter() {
            for (title, listed) in known.entries.iter() {
                let (id, name) = &**title;
                let status = contents.entry((name, *id)).or_insert_with(|| ContentStatus {
                    id: *id,
                    name: name.clone(),
                    size: listed.size,
                    of: listed.of,
                    holders: Vec::new(),
                });
                let user = known.user.to_string();
                let holder = PeerRef { id: Some(*peer), addr: known.addr, user };
                status.holders.push((holder, listed.have));
            }
        }
        contents.into_values().collect()
    }

    /// Gives a peer that stands so another standing.
    fn set_standing(&mut self, peer: &PeerId, from: Standing, to: Standing) {
        if self.peers.get(peer).is_some_and(|known| known.standing == from) {
            self.unlist_unconnected(peer);
            if let Some(known) = self.peers.get_mut(peer) {
                known.standing = to;
            }
            self.list_unconnected(peer);
        }
    }

    /// Puts a peer among those without a connection, if it has none.
    fn list_unconnected(&mut self, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer).filter(|known| known.connections == 0) {
            known.place = self.unconnected.add(known.standing, *peer);
        }
    }

    /// Takes a peer out from among those without a connection, before its standing or its connections change.
    fn unlist_unconnected(&mut self, peer: &PeerId) {
        let Some(known) = self.peers.get(peer).filter(|known| known.connections == 0) else { return };
        let place = known.place;
        if let Some(moved) = self.unconnected.take(known.standing, place)
            && let Some(known) = self.peers.get_mut(&moved)
        {
            known.place = place;
        }
    }

    fn drop_entries(&mut self, peer: &PeerId, goes: impl Fn(&Title, &Listed) -> bool) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        let mut dropped = Vec::new();
        let (mut bytes, mut fresh) = (0_usize, 0_u32);
        known.entries.retain(|key, listed| {
            let keep = !goes(key, listed);
            if !keep {
                bytes = bytes.saturating_add(cost_of(&key.1));
                fresh = fresh.saturating_add(u32::from(listed.generation == known.generation));
                dropped.push(Arc::clone(key));
            }
            keep
        });
        known.entry_bytes = known.entry_bytes.saturating_sub(bytes);
        known.fresh = known.fresh.saturating_sub(fresh);
        self.entry_bytes = self.entry_bytes.saturating_sub(bytes);
        for title in dropped {
            let content = title.0;
            self.titles.release(title);
            let from = (content, String::new());
            let still = known.entries.from(&from).next().is_some_and(|(key, _)| key.0 == content);
            if !still && let Some(holders) = self.holders.get_mut(&content) {
                holders.remove(peer);
                if holders.is_empty() {
                    self.holders.remove(&content);
                }
            }
        }
    }

    /// Panics when the index of holders, or a count, is not what the peers and entries say.
    pub(in crate::core) fn check(&self) {
        let mut holders: BTreeMap<ContentId, BTreeSet<PeerId>> = BTreeMap::new();
        let (mut titles, mut seekers) = (BTreeMap::new(), BTreeMap::new());
        let mut bytes = 0_usize;
        let mut at_address = BTreeSet::new();
        for (peer, known) in self.peers.iter() {
            at_address.insert((known.addr.ip(), *peer));
            let place = self.unconnected.at(known.standing, known.place);
            assert!(
                known.connections > 0 || place == Some(peer),
                "{peer} is among those without a connection"
            );
            for (key, _) in known.entries.iter() {
                holders.entry(key.0).or_default().insert(*peer);
                bytes = bytes.saturating_add(cost_of(&key.1));
                count(titles.entry(&**key).or_default());
            }
            if let Some(wanted) = known.seeks.as_deref() {
                count(seekers.entry(wanted).or_default());
            }
        }
        assert_eq!(holders, self.holders, "the index of holders");
        self.titles.check(&titles);
        self.seekers.check(&seekers);
        assert_eq!(bytes, self.entry_bytes, "the bytes of entries");
        assert_eq!(at_address, self.at_address, "the peers of each address");
        let unconnected = self.peers.values().filter(|known| known.connections == 0).count();
        assert_eq!(unconnected, self.unconnected.len(), "the peers without a connection");
    }
}

/// Whether an entry has the one name that its content counts under, if there is one.
fn is_named(named_only: &BTreeMap<ContentId, String>, entry: &Entry) -> bool {
    named_only.get(&entry.id).is_none_or(|name| *name == entry.name)
}

/// The bytes that an entry of this name is counted as.
fn cost_of(name: &str) -> usize {
    name.len().saturating_add(ENTRY_OVERHEAD_BYTES)
}

fn count(counter: &mut usize) {
    *counter = counter.saturating_add(1);
}

/// As much of an interval as is believed, in milliseconds.
fn believed_ms(interval: Duration) -> u32 {
    u32::try_from(interval.clamp(INTERVAL_MIN, INTERVAL_MAX).as_millis()).unwrap_or(u32::MAX)
}
