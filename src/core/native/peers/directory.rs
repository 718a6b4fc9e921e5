//! Who is there and who offers what, and when that expires.
//!
//! Owns what was heard of other peers. Decides neither whom to ask nor whom to dial.

mod entries;
mod interned;
mod listings;
mod room;
mod seekers;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use crate::core::io::{IfaceId, PeerRef};
use crate::core::limits::Limits;
use crate::core::rng::Rng;
use crate::core::status::PeerStatus;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::message::{Entry, Wanted};
use entries::Entries;
use interned::Interned;
use standing::{Standing, Unconnected};

/// One peer that was heard.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its address and the TCP port it listens on.
    pub(crate) addr: SocketAddr,
    /// Its user name, raw. Most are short enough to lie here, which of a thousand peers that know each other saves 30 MiB.
    user: SmolStr,
    /// The interface it was heard on, if by datagram.
    pub(crate) iface: Option<IfaceId>,
    /// How many entries its catalogue has, as it says.
    pub(crate) catalogue: u32,
    /// Connections to it that said hello.
    pub(crate) connections: u32,
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
pub(crate) struct Heard {
    /// Who.
    pub(crate) peer: PeerId,
    /// Its address and the TCP port it listens on.
    pub(crate) addr: SocketAddr,
    /// Its user name.
    pub(crate) user: String,
    /// The interface, if by datagram.
    pub(crate) iface: Option<IfaceId>,
    /// How often it announces itself; `None` when it did not say.
    pub(crate) interval: Option<Duration>,
    /// By what.
    pub(crate) by: By,
}

/// What a peer was heard by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
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
pub(crate) struct Taken {
    /// It was not known before.
    pub(crate) new: bool,
    /// The peers that gave way to it.
    pub(crate) gone: Vec<PeerRef>,
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
#[derive(Debug, Default)]
pub(crate) struct Directory {
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
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it said hello at the address that it has.
    pub(crate) fn is_greeted(&self) -> bool {
        self.standing == Standing::Greeted
    }

    /// Whether more is known for it than that it announced itself once: it did again at its own interval, answered or said hello.
    pub(crate) fn is_proven(&self) -> bool {
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
    pub(crate) fn new(limits: Limits, own_addresses: Vec<IpAddr>) -> Directory {
        Directory { limits, own_addresses, ..Directory::default() }
    }

    /// How many peers are known.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// A peer.
    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Known> {
        self.peers.get(peer).map(Box::as_ref)
    }

    /// All peers, in the order of their ids.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (&PeerId, &Known)> {
        self.peers.iter().map(|(peer, known)| (peer, &**known))
    }

    /// A peer as events name it.
    pub(crate) fn peer_ref(&self, peer: &PeerId) -> Option<PeerRef> {
        let known = self.peers.get(peer)?;
        Some(PeerRef { id: Some(*peer), addr: known.addr, user: known.user.to_string() })
    }

    /// A peer was heard. `Err`: there is no room for it. When places are short, a peer that has no connection gives way: one
    /// of those for which least is known, as chance has it. So what was only heard keeps nobody out that says hello.
    pub(crate) fn heard(&mut self, now: Time, heard: Heard, rng: &mut Rng) -> Result<Taken, &'static str> {
        if self.peers.contains_key(&heard.peer) {
            self.heard_again(now, heard);
            return Ok(Taken { new: false, gone: Vec::new() });
        }
        let gone = self.make_room(&heard, rng)?;
        let (peer, ip) = (heard.peer, heard.addr.ip());
        let known = Known {
            addr: heard.addr,
            user: SmolStr::new(&heard.user),
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
            if known.user != heard.user {
                known.user = SmolStr::new(&heard.user);
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

    /// Something came from a peer over a connection.
    pub(crate) fn touch(&mut self, now: Time, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.heard = now;
        }
    }

    /// A connection to a peer stands, or does no longer.
    pub(crate) fn connected(&mut self, peer: &PeerId, stands: bool) {
        self.unlist_unconnected(peer);
        if let Some(known) = self.peers.get_mut(peer) {
            let before = known.connections;
            known.connections = if stands { before.saturating_add(1) } else { before.saturating_sub(1) };
        }
        self.list_unconnected(peer);
    }

    /// Forgets a peer and what it offered.
    pub(crate) fn remove(&mut self, peer: &PeerId) {
        self.drop_entries(peer, |_, _| true);
        self.seeks(peer, None);
        self.unlist_unconnected(peer);
        if let Some(known) = self.peers.remove(peer) {
            self.at_address.remove(&(known.addr.ip(), *peer));
        }
    }

    /// Forgets the peers that were silent for too long and have no connection; returns them.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<PeerRef> {
        let silent = |known: &Known| self.expiry_of(known).is_some_and(|expiry| expiry <= now);
        let gone: Vec<PeerId> =
            self.peers.iter().filter(|(_, known)| silent(known)).map(|(id, _)| *id).collect();
        let refs = gone.iter().filter_map(|id| self.peer_ref(id)).collect();
        gone.iter().for_each(|id| self.remove(id));
        refs
    }

    /// When the next peer will have been silent for too long. Looks at all of them.
    pub(crate) fn expiry(&self) -> Option<Time> {
        self.peers.values().filter_map(|known| self.expiry_of(known)).min()
    }

    /// When a peer will have been silent for too long; `None` while a connection to it stands.
    pub(crate) fn expiry_of(&self, known: &Known) -> Option<Time> {
        let silence_max = match known.standing {
            Standing::Asked => self.limits.asker_silence_max,
            _ => known.interval().saturating_mul(self.limits.silent_intervals_max),
        };
        (known.connections == 0).then(|| known.heard + silence_max)
    }

    /// The peers, for people.
    pub(crate) fn peer_statuses(&self, now: Time) -> Vec<PeerStatus> {
        let status = |(id, known): (&PeerId, &Known)| PeerStatus {
            peer: PeerRef { id: Some(*id), addr: known.addr, user: known.user.to_string() },
            catalogue: known.catalogue,
            silent_for: now.since(known.heard),
            connected: known.connections > 0,
        };
        self.peers().map(status).collect()
    }

    /// Panics when the index of holders, or a count, is not what the peers and entries say.
    pub(crate) fn check(&self) {
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
