//! What each peer lists: who holds which content, under which names, and what is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Directory, HOLDERS_LOOKED_AT, Listed, NAMES_LOOKED_AT, Title, cost_of, is_named};
use crate::core::io::PeerRef;
use crate::core::status::ContentStatus;
use crate::types::{ContentId, PeerId};
use crate::wire::message::{Entry, Wanted};

impl Directory {
    /// A known peer tells some entries of its catalogue of `catalogue` entries (`None`: it does not say), in the
    /// state of `generation`. Once all entries of one generation are here, those of older ones go. Returns the
    /// contents that this peer was not known to hold before.
    pub(crate) fn list(
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
    pub(crate) fn unlist(&mut self, peer: &PeerId, content: &ContentId) {
        self.drop_entries(peer, |key, _| key.0 == *content);
    }

    /// What is heard of a content from now on counts only where it is offered under this name.
    pub(crate) fn name_only(&mut self, content: ContentId, name: &str) {
        self.named_only.insert(content, name.to_owned());
    }

    /// A content counts as held under any name again.
    pub(crate) fn any_name(&mut self, content: &ContentId) {
        self.named_only.remove(content);
    }

    /// Whether an entry counts.
    pub(crate) fn counts(&self, entry: &Entry) -> bool {
        is_named(&self.named_only, entry)
    }

    /// The peers that hold some of a content.
    pub(crate) fn holders(&self, content: &ContentId) -> impl Iterator<Item = &PeerId> {
        self.holders.get(content).into_iter().flatten()
    }

    /// How many peers hold some of a content.
    pub(crate) fn holder_count(&self, content: &ContentId) -> usize {
        self.holders.get(content).map_or(0, BTreeSet::len)
    }

    /// Whether a peer told that it holds some of a content.
    pub(crate) fn is_holder(&self, peer: &PeerId, content: &ContentId) -> bool {
        self.holders.get(content).is_some_and(|holders| holders.contains(peer))
    }

    /// Whether a peer told that it holds a content wholly.
    pub(crate) fn holds_all(&self, peer: &PeerId, content: &ContentId) -> bool {
        let Some(known) = self.peers.get(peer) else { return false };
        let from = (*content, String::new());
        let mut of_content = known.entries.from(&from).take_while(|(key, _)| key.0 == *content);
        of_content.any(|(_, listed)| listed.have >= listed.of)
    }

    /// Of the peers that hold a content, some that told that they hold it wholly, each with the state of its catalogue
    /// in which it last said so: under this name, if it did, or else under another.
    pub(crate) fn complete_holders<'a>(
        &'a self,
        content: &ContentId,
        name: &'a str,
    ) -> impl Iterator<Item = (PeerId, &'a str, u64)> {
        let from = (*content, String::new());
        self.holders(content).take(HOLDERS_LOOKED_AT).filter_map(move |peer| {
            let entries = self.peers.get(peer)?.entries.from(&from);
            let entries = entries.take_while(|(title, _)| title.0 == from.0).take(NAMES_LOOKED_AT);
            let whole = entries.filter(|(_, listed)| listed.have >= listed.of);
            let (title, listed) = whole.min_by_key(|(title, _)| title.1 != name)?;
            Some((*peer, title.1.as_str(), listed.generation))
        })
    }

    /// When a peer last offered something new, of all that any peer offered, and how many entries of it are known.
    pub(crate) fn news_of(&self, peer: &PeerId) -> Option<(u64, usize)> {
        self.peers.get(peer).map(|known| (known.news, known.entries.len()))
    }

    /// What a peer offers under exactly this name, and began to offer after a state of its catalogue: the latest of it.
    /// Looks at all its entries.
    pub(crate) fn named_since(&self, peer: &PeerId, name: &str, after: Option<u64>) -> Option<Entry> {
        let known = self.peers.get(peer)?;
        let named = known.entries.iter().filter(|(title, listed)| {
            // An empty file has no chunks to have.
            let can_be_fetched = listed.have > 0 || (listed.size == 0 && listed.of == 0);
            title.1 == name && can_be_fetched && after.is_none_or(|after| listed.since > after)
        });
        named.max_by_key(|(_, listed)| listed.since).map(|(title, listed)| listed.entry(title))
    }

    /// What is known of what somebody looks for: each entry with its peer, in the order of peers.
    pub(crate) fn matching<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = (PeerId, Entry)> + 'a {
        self.peers.iter().flat_map(move |(peer, known)| {
            known
                .entries
                .iter()
                .filter(|(title, _)| wanted.matches(&title.1, &title.0))
                .map(|(title, listed)| (*peer, listed.entry(title)))
        })
    }

    /// The entries of a peer that are known, from a place in its catalogue on.
    pub(crate) fn entries_from<'a>(
        &'a self,
        peer: &PeerId,
        from: &'a (ContentId, String),
    ) -> impl Iterator<Item = Entry> + 'a {
        let known = self.peers.get(peer).map(|known| known.entries.from(from));
        known.into_iter().flatten().map(|(title, listed)| listed.entry(title))
    }

    /// Whether fewer entries of a peer are known than it says it has.
    pub(crate) fn is_partly_known(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| known.fresh < known.catalogue)
    }

    /// Whether a peer told more than is kept of it.
    pub(crate) fn is_overfull(&self) -> bool {
        self.peers.values().any(|known| known.overfull)
    }

    /// What is offered, for people, in the order of (name, id).
    pub(crate) fn content_statuses(&self) -> Vec<ContentStatus> {
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

    pub(super) fn drop_entries(&mut self, peer: &PeerId, goes: impl Fn(&Title, &Listed) -> bool) {
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
}
