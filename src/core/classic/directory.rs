//! Who announced which chunk, as what, and until when that stands.
//!
//! Bounded in peers, in names of each peer and in bytes of names over all of them. What is known stays; what would be
//! too much is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::classic::files::{FileKey, Files};
use crate::core::io::ClassicContent;
use crate::core::limits::Limits;
use crate::types::Time;
use crate::wire::classic::records::{Tag, Tags};
use crate::wire::classic::{ANNOUNCEMENT_EXPIRY, ChunkName, ChunkRule, Dialect};

/// Files on offer that are named when a wanted one is not among them.
const FILES_TOLD_MAX: usize = 256;

/// Everybody who announced something.
#[derive(Debug)]
pub(super) struct Directory {
    peers: BTreeMap<IpAddr, Holder>,
    newest: Option<IpAddr>,
    name_bytes: usize,
    peers_max: usize,
    names_per_peer_max: usize,
    name_bytes_max: usize,
}

/// One of them.
#[derive(Debug, Default)]
struct Holder {
    user: Option<String>,
    /// By the stem of the file.
    files: BTreeMap<String, BTreeMap<ChunkName, Held>>,
    names: usize,
    /// In which dialect it delivered something.
    proven: Option<Dialect>,
    /// Until when it is not to be dialled: a connection to it has just ended.
    rests_until: Option<Time>,
}

/// One chunk that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// What its holder may speak.
    pub(super) dialects: BTreeSet<Dialect>,
    /// Its size in bytes, where announced.
    pub(super) size: Option<u64>,
    heard: Time,
    origin: Origin,
}

/// From where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// From a datagram.
    Announcement,
    /// From the file that another process writes.
    Dictionary,
}

/// One chunk, as it is taken in.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) name: ChunkName,
    pub(super) dialects: BTreeSet<Dialect>,
    pub(super) size: Option<u64>,
}

/// What was new in what was taken in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Chunks that were not known of the peer.
    pub(super) new: Vec<ChunkName>,
    /// So many had no room.
    pub(super) left_out: usize,
}

/// A chunk as one peer offers it.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) ip: IpAddr,
    pub(super) name: ChunkName,
    pub(super) dialects: BTreeSet<Dialect>,
    /// Its size in bytes, where announced.
    pub(super) size: Option<u64>,
}

/// Who offers which chunk of a file, by the chunk's number.
pub(super) type Offers = BTreeMap<u32, Vec<Offer>>;

impl Directory {
    /// Nobody yet.
    pub(super) fn new(limits: &Limits) -> Directory {
        Directory {
            peers: BTreeMap::new(),
            newest: None,
            name_bytes: 0,
            peers_max: limits.classic_peers_max,
            names_per_peer_max: limits.classic_names_per_peer_max,
            name_bytes_max: limits.classic_name_bytes_max,
        }
    }

    /// A peer told of some of its chunks.
    pub(super) fn hear(
        &mut self,
        now: Time,
        from: IpAddr,
        user: Option<String>,
        told: Vec<Told>,
        origin: Origin,
    ) -> Taken {
        let mut taken = Taken::default();
        if told.is_empty() {
            return taken;
        }
        if self.peers.len() >= self.peers_max && !self.peers.contains_key(&from) {
            taken.left_out = told.len();
            return taken;
        }
        let holder = self.peers.entry(from).or_default();
        if user.is_some() {
            holder.user = user;
        }
        for Told { name, dialects, size } in told {
            let bytes = cost(&name);
            let files = holder.files.get_mut(name.stem());
            if let Some(held) = files.and_then(|chunks| chunks.get_mut(&name)) {
                held.dialects.extend(dialects);
                held.size = size.or(held.size);
                held.heard = now;
                held.origin = origin;
                continue;
            }
            let name_bytes = self.name_bytes.saturating_add(bytes);
            if holder.names >= self.names_per_peer_max || name_bytes > self.name_bytes_max {
                taken.left_out = taken.left_out.saturating_add(1);
                continue;
            }
            let chunks = holder.files.entry(name.stem().to_owned()).or_default();
            chunks.insert(name.clone(), Held { dialects, size, heard: now, origin });
            holder.names = holder.names.saturating_add(1);
            self.name_bytes = name_bytes;
            taken.new.push(name);
        }
        if holder.names == 0 {
            self.peers.remove(&from);
        } else {
            self.newest = Some(from);
        }
        taken
    }

    /// A peer told all that it has in this dialect: what else it announced in it is gone.
    pub(super) fn retain(&mut self, from: IpAddr, dialect: Dialect, told: &BTreeSet<ChunkName>) {
        let only = BTreeSet::from([dialect]);
        self.forget_where(|ip, name, held| *ip == from && held.dialects == only && !told.contains(name));
    }

    /// Forgets what was read from the file of another process and did not stand in it the last time.
    pub(super) fn forget_read_before(&mut self, now: Time) {
        self.forget_where(|_, _, held| held.origin == Origin::Dictionary && held.heard < now);
    }

    /// Forgets what was not announced for too long: who has nothing any more, and how much that was.
    pub(super) fn expire(&mut self, now: Time) -> Vec<(IpAddr, usize)> {
        self.forget_where(|_, _, held| held.heard + ANNOUNCEMENT_EXPIRY <= now)
    }

    /// When the next thing is forgotten.
    pub(super) fn expiry(&self) -> Option<Time> {
        let held = self.peers.values().flat_map(|holder| holder.files.values()).flat_map(BTreeMap::values);
        held.map(|held| held.heard + ANNOUNCEMENT_EXPIRY).min()
    }

    /// A peer delivered something in this dialect, or did not any more.
    pub(super) fn prove(&mut self, ip: IpAddr, dialect: Option<Dialect>) {
        if let Some(holder) = self.peers.get_mut(&ip) {
            holder.proven = dialect;
        }
    }

    /// In which dialect a peer delivered something.
    pub(super) fn proven(&self, ip: IpAddr) -> Option<Dialect> {
        self.peers.get(&ip)?.proven
    }

    /// A peer is not to be dialled before then.
    pub(super) fn rest(&mut self, ip: IpAddr, until: Time) {
        if let Some(holder) = self.peers.get_mut(&ip) {
            holder.rests_until = Some(until);
        }
    }

    /// Until when a peer is not to be dialled.
    pub(super) fn rests_until(&self, ip: IpAddr) -> Option<Time> {
        self.peers.get(&ip)?.rests_until
    }

    /// How many peers are known.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Their addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.peers.keys().copied()
    }

    /// Everything that is known, peer by peer.
    pub(super) fn all(&self) -> impl Iterator<Item = (IpAddr, &ChunkName, &Held)> {
        self.peers.iter().flat_map(|(ip, holder)| {
            holder.files.values().flatten().map(move |(name, held)| (*ip, name, held))
        })
    }

    /// What is known of files with this stem, peer by peer.
    pub(super) fn of_stem(&self, stem: &str) -> impl Iterator<Item = (IpAddr, &ChunkName, &Held)> {
        self.peers.iter().flat_map(move |(ip, holder)| {
            holder.files.get(stem).into_iter().flatten().map(move |(name, held)| (*ip, name, held))
        })
    }

    /// The extension of the file with this stem, if all who tell one agree.
    pub(super) fn extension_of(&self, stem: &str) -> Option<String> {
        let mut told = self.of_stem(stem).filter_map(|(_, name, _)| name.extension());
        let first = told.next()?;
        told.all(|other| other == first).then(|| first.to_owned())
    }

    /// What classic peers offer, in the order of names.
    pub(super) fn contents(&self) -> Vec<ClassicContent> {
        let mut contents: Vec<ClassicContent> =
            self.files().all().iter().map(|file| self.content(file)).collect();
        contents.sort_by(|a, b| a.file.cmp(&b.file));
        contents
    }

    fn files(&self) -> Files {
        let mut files = Files::default();
        self.all().for_each(|(_, name, _)| files.add(name));
        files
    }

    fn content(&self, file: &FileKey) -> ClassicContent {
        let mut chunks: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
        let mut dialects = BTreeSet::new();
        let mut sizes = BTreeMap::new();
        for (ip, name, held) in self.of_stem(file.stem()) {
            if !file.takes(name) {
                continue;
            }
            let holders = chunks.entry(name.index()).or_default();
            if !holders.contains(&ip) {
                holders.push(ip);
            }
            dialects.extend(held.dialects.iter().copied());
            sizes.extend(held.size.map(|size| (name.index(), size)));
        }
        let size = if sizes.len() == chunks.len() { ChunkRule::Fixed.whole(&sizes) } else { None };
        ClassicContent {
            file: file.merged_name(&file.file_name()),
            chunks,
            dialects: dialects.into_iter().collect(),
            size,
        }
    }

    /// The names of the files on offer.
    pub(super) fn file_names(&self) -> Vec<String> {
        let files = self.files();
        let names: BTreeSet<String> =
            files.all().iter().map(|file| file.merged_name(&file.file_name())).collect();
        names.into_iter().take(FILES_TOLD_MAX).collect()
    }

    /// Who offers which chunk of a file that is cut by this rule.
    pub(super) fn offers_of(&self, file: &FileKey, rule: ChunkRule) -> Offers {
        let mut offers = Offers::new();
        for (ip, name, held) in self.of_stem(file.stem()) {
            let dialects = held.dialects_of(rule);
            if file.takes(name) && rule.may_have(name.index()) && !dialects.is_empty() {
                let offer = Offer { ip, name: name.clone(), dialects, size: held.size };
                offers.entry(name.index()).or_default().push(offer);
            }
        }
        offers
    }

    /// The peer that announced something last, while it is known.
    pub(super) fn newest(&self) -> Option<IpAddr> {
        self.newest.filter(|ip| self.peers.contains_key(ip)).or(self.peers.keys().next().copied())
    }

    /// Who has what, as other processes read it, and who was heard last.
    pub(super) fn record(&self) -> (Tags, Option<IpAddr>) {
        let mut tags = Tags::new();
        for (ip, name, _) in self.all() {
            let username = self.peers.get(&ip).and_then(|holder| holder.user.clone()).unwrap_or_default();
            tags.entry(name.clone()).or_default().push(Tag { username, ip });
        }
        (tags, self.newest())
    }

    fn forget_where(&mut self, gone: impl Fn(&IpAddr, &ChunkName, &Held) -> bool) -> Vec<(IpAddr, usize)> {
        let mut silent = Vec::new();
        for (ip, holder) in &mut self.peers {
            let before = holder.names;
            for chunks in holder.files.values_mut() {
                chunks.retain(|name, held| {
                    let goes = gone(ip, name, held);
                    if goes {
                        holder.names = holder.names.saturating_sub(1);
                        self.name_bytes = self.name_bytes.saturating_sub(cost(name));
                    }
                    !goes
                });
            }
            holder.files.retain(|_, chunks| !chunks.is_empty());
            if holder.names == 0 {
                silent.push((*ip, before));
            }
        }
        self.peers.retain(|_, holder| holder.names > 0);
        silent
    }

    /// Panics when the sums are not those of what is there.
    pub(super) fn check(&self) {
        let bytes: usize = self.all().map(|(_, name, _)| cost(name)).sum();
        assert_eq!(bytes, self.name_bytes, "bytes of names of classic peers");
        assert!(bytes <= self.name_bytes_max && self.peers.len() <= self.peers_max);
        for (ip, holder) in &self.peers {
            let names: usize = holder.files.values().map(BTreeMap::len).sum();
            assert_eq!(names, holder.names, "names of {ip}");
            assert!((1..=self.names_per_peer_max).contains(&names), "{ip} is known for something");
        }
    }
}

impl Held {
    /// What its holder may speak, of the dialects that cut files by this rule.
    pub(super) fn dialects_of(&self, rule: ChunkRule) -> BTreeSet<Dialect> {
        self.dialects.iter().copied().filter(|dialect| dialect.chunk_rule() == rule).collect()
    }
}

/// Whether sizes tell that these are all the chunks of a file.
pub(super) fn is_sized(offers: &Offers) -> bool {
    let sizes = offers.iter().filter_map(|(index, of)| Some((*index, of.iter().find_map(|o| o.size)?)));
    ChunkRule::Fixed.whole(&sizes.collect()).is_some()
}

/// The bytes that a name is counted as.
fn cost(name: &ChunkName) -> usize {
    let texts = name.stem().len().saturating_add(name.extension().map_or(0, str::len));
    texts.saturating_add(std::mem::size_of::<ChunkName>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str], dialect: Dialect) -> Vec<Told> {
        let told = |name: &&str| Told {
            name: ChunkName::parse(name).unwrap(),
            dialects: BTreeSet::from([dialect]),
            size: None,
        };
        names.iter().map(told).collect()
    }

    fn host(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn what_is_announced_again_stays_and_the_rest_is_forgotten() {
        let mut directory = Directory::new(&Limits::default());
        let mut hear = |ms, host, names: &[&str]| {
            let told = told(names, Dialect::A);
            let taken = directory.hear(Time::from_millis(ms), host, None, told, Origin::Announcement);
            directory.check();
            taken.new.len()
        };
        assert_eq!(hear(0, host(1), &["a_1", "a_2"]), 2);
        assert_eq!(hear(0, host(2), &["a_1"]), 1);
        assert_eq!(hear(1_000, host(1), &["a_1", "b_1"]), 1);
        assert_eq!(directory.expire(Time::from_millis(179_999)), []);
        assert_eq!(directory.expire(Time::from_millis(180_000)), [(host(2), 1)]);
        directory.check();
        assert_eq!(directory.all().count(), 2);
        assert_eq!(directory.expiry(), Some(Time::from_millis(181_000)));
        assert_eq!(directory.expire(Time::from_millis(181_000)), [(host(1), 2)]);
        assert_eq!(directory.len(), 0);
    }

    #[test]
    fn who_says_all_it_has_takes_back_the_rest_of_that_dialect() {
        let mut directory = Directory::new(&Limits::default());
        let now = Time::ZERO;
        directory.hear(now, host(1), None, told(&["a_1.png", "a_2.png"], Dialect::D), Origin::Announcement);
        directory.hear(now, host(1), None, told(&["a_1"], Dialect::A), Origin::Announcement);
        let all = BTreeSet::from([ChunkName::parse("a_2.png").unwrap()]);
        directory.retain(host(1), Dialect::D, &all);
        directory.check();
        let names: Vec<String> = directory.all().map(|(_, name, _)| name.to_string()).collect();
        assert_eq!(names, ["a_1", "a_2.png"]);
    }

    #[test]
    fn a_flood_has_bounds() {
        let limits = Limits {
            classic_peers_max: 2,
            classic_names_per_peer_max: 3,
            classic_name_bytes_max: 5 * cost(&ChunkName::parse("a_1").unwrap()),
            ..Limits::default()
        };
        let mut directory = Directory::new(&limits);
        let mut left_out = |host| {
            let told = told(&["a_1", "a_2", "a_3", "a_4"], Dialect::A);
            let taken = directory.hear(Time::ZERO, host, None, told, Origin::Announcement);
            directory.check();
            taken.left_out
        };
        assert_eq!([left_out(host(1)), left_out(host(2)), left_out(host(3))], [1, 2, 4]);
    }
}
