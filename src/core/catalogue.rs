//! What this peer holds, wholly or in part, and so offers.
//!
//! Owns which chunks are had and in which order they came. Knows no file: the store says what is there.

use std::collections::{BTreeMap, BTreeSet, btree_set};
use std::ops::Bound;
use std::time::Duration;

use crate::types::{Bitfield, ContentId, Geometry, Time};
use crate::wire::message::{Entry, Matcher, RefuseReason, Wanted};

/// So many contents that are gone are remembered.
const GONE_MAX: usize = 1_024;
/// What a look at a name takes, beside the steps of a pattern: it is somewhere in memory.
pub(crate) const LOOK_STEPS: u64 = 32;

/// One content that this peer holds some of.
#[derive(Debug)]
pub(crate) struct Holding {
    /// Size and cut.
    pub(crate) geometry: Geometry,
    have: Have,
    /// When it was last hashed again because a receiver found it bad.
    rechecked: Option<Time>,
}

#[derive(Debug)]
enum Have {
    /// Every chunk.
    All,
    /// These chunks; the log tells in which order the later ones came.
    Some { bits: Bitfield, log: Vec<u32> },
}

impl Holding {
    /// Whether every chunk is had.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.have {
            Have::All => true,
            Have::Some { bits, .. } => bits.is_full(),
        }
    }

    /// Whether chunk `chunk` of this cut is had.
    pub(crate) fn has(&self, chunk: u32) -> bool {
        match &self.have {
            Have::All => chunk < self.geometry.chunks(),
            Have::Some { bits, .. } => bits.get(chunk),
        }
    }

    /// How many chunks are had.
    pub(crate) fn count(&self) -> u32 {
        match &self.have {
            Have::All => self.geometry.chunks(),
            Have::Some { bits, .. } => bits.count(),
        }
    }

    /// The chunks that are had; `None` when that is all of them.
    pub(crate) fn bits(&self) -> Option<&Bitfield> {
        match &self.have {
            Have::All => None,
            Have::Some { bits, .. } => (!bits.is_full()).then_some(bits),
        }
    }

    /// How many chunks came one by one; what a cursor of who was told so far counts.
    pub(crate) fn logged(&self) -> usize {
        match &self.have {
            Have::All => 0,
            Have::Some { log, .. } => log.len(),
        }
    }

    /// The chunks that came since a cursor stood at `from`.
    pub(crate) fn since(&self, from: usize) -> &[u32] {
        match &self.have {
            Have::All => &[],
            Have::Some { log, .. } => log.get(from..).unwrap_or_default(),
        }
    }
}

/// Everything that this peer holds.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    holdings: BTreeMap<ContentId, Holding>,
    /// (content, name), in the order of pages.
    listed: BTreeSet<(ContentId, String)>,
    /// Contents whose file is not what it was, and why.
    gone: BTreeMap<ContentId, RefuseReason>,
    generation: u64,
}

impl Catalogue {
    /// Grows with each entry that comes or goes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// How many entries there are: one for each name of each content.
    pub(crate) fn len(&self) -> usize {
        self.listed.len()
    }

    /// What is held of a content.
    pub(crate) fn get(&self, content: &ContentId) -> Option<&Holding> {
        self.holdings.get(content)
    }

    /// Whether a content may be hashed again at `now`, no sooner than `gap` after the last time; it counts as done.
    pub(crate) fn take_recheck(&mut self, now: Time, content: &ContentId, gap: Duration) -> bool {
        let Some(holding) = self.holdings.get_mut(content) else { return false };
        let is_due = holding.rechecked.is_none_or(|last| now.since(last) >= gap);
        if is_due {
            holding.rechecked = Some(now);
        }
        is_due
    }

    /// Everything that is held wholly, in the order of (content, name), with its size.
    pub(crate) fn complete(&self) -> impl Iterator<Item = (ContentId, &str, u64)> {
        self.complete_from(Bound::Unbounded)
    }

    /// The names of a content that is held wholly, with its size.
    pub(crate) fn complete_of(&self, content: &ContentId) -> impl Iterator<Item = (&str, u64)> {
        let content = *content;
        self.complete_from(Bound::Included((content, String::new())))
            .take_while(move |(id, _, _)| *id == content)
            .map(|(_, name, size)| (name, size))
    }

    fn complete_from(
        &self,
        from: Bound<(ContentId, String)>,
    ) -> impl Iterator<Item = (ContentId, &str, u64)> {
        self.listed.range((from, Bound::Unbounded)).filter_map(|(id, name)| {
            let holding = self.holdings.get(id).filter(|holding| holding.is_complete())?;
            Some((*id, name.as_str(), holding.geometry.size_bytes()))
        })
    }

    /// The whole content is here, under this name (also).
    pub(crate) fn add_complete(&mut self, content: ContentId, name: &str, geometry: Geometry) {
        let holding =
            self.holdings.entry(content).or_insert(Holding { geometry, have: Have::All, rechecked: None });
        // A part keeps its log: cursors of connections point into it.
        if let Have::Some { bits, log } = &mut holding.have {
            let missing: Vec<u32> = bits.missing().collect();
            bits.set_range(0, bits.len());
            log.extend(missing);
        }
        self.list(content, name);
    }

    /// Some chunks of a content are here.
    pub(crate) fn add_part(&mut self, content: ContentId, name: &str, geometry: Geometry, bits: Bitfield) {
        let have = Have::Some { bits, log: Vec::new() };
        self.holdings.entry(content).or_insert(Holding { geometry, have, rechecked: None });
        self.list(content, name);
    }

    /// One more chunk is had. True when it was not before.
    pub(crate) fn add_chunk(&mut self, content: &ContentId, chunk: u32) -> bool {
        match self.holdings.get_mut(content).map(|holding| &mut holding.have) {
            Some(Have::Some { bits, log }) => {
                let new = bits.set(chunk);
                if new {
                    log.push(chunk);
                }
                new
            }
            Some(Have::All) | None => false,
        }
    }

    /// A chunk of a part is not right any more. Who was told of it is refused when he asks.
    pub(crate) fn remove_chunk(&mut self, content: &ContentId, chunk: u32) {
        if let Some(Have::Some { bits, .. }) = self.holdings.get_mut(content).map(|holding| &mut holding.have)
        {
            bits.clear(chunk);
        }
    }

    /// The content is no longer offered under this name. True when that was its last name: nothing of it is held
    /// any more.
    pub(crate) fn remove_name(&mut self, content: &ContentId, name: &str) -> bool {
        if !self.listed.remove(&(*content, name.to_owned())) {
            return false;
        }
        self.generation = self.generation.saturating_add(1);
        let gone = self.names(content).next().is_none();
        if gone {
            self.holdings.remove(content);
        }
        gone
    }

    /// A content's file is not what it was: who asks for it hears why.
    pub(crate) fn note_gone(&mut self, content: ContentId, why: RefuseReason) {
        if self.gone.len() < GONE_MAX {
            self.gone.insert(content, why);
        }
    }

    /// Why a content that is not held is not.
    pub(crate) fn why_gone(&self, content: &ContentId) -> RefuseReason {
        self.gone.get(content).copied().unwrap_or(RefuseReason::Unknown)
    }

    /// Nothing of the content is held any more.
    pub(crate) fn remove(&mut self, content: &ContentId) {
        if self.holdings.remove(content).is_some() {
            for name in self.names(content).cloned().collect::<Vec<_>>() {
                self.listed.remove(&(*content, name));
            }
            self.generation = self.generation.saturating_add(1);
        }
    }

    /// All entries behind a cursor, in order.
    pub(crate) fn entries_after(
        &self,
        after: Option<(ContentId, String)>,
    ) -> impl Iterator<Item = Entry> + '_ {
        self.look(&Wanted::All, after.map_or(Bound::Unbounded, Bound::Excluded), u32::MAX)
    }

    /// Looks through the names from `from` on for what somebody looks for, in order, until about so many steps were
    /// taken.
    pub(crate) fn look<'a>(
        &'a self,
        wanted: &'a Wanted,
        from: Bound<(ContentId, String)>,
        steps_max: u32,
    ) -> Looking<'a> {
        // Ids stand in order, so that only those that may match are looked at.
        let first = match wanted {
            Wanted::Id(id) => Some(*id),
            Wanted::Prefix(digits) => Some(ContentId::first_with(digits)),
            Wanted::All | Wanted::Name(_) | Wanted::Glob(_) => None,
        };
        let from = match (from, first) {
            (Bound::Unbounded, Some(first)) => Bound::Included((first, String::new())),
            (from, _) => from,
        };
        let names = self.listed.range((from, Bound::Unbounded));
        let (matcher, ordered) = (wanted.matcher(), first.is_some());
        let steps_max = u64::from(steps_max);
        Looking { catalogue: self, names, matcher, ordered, looked: 0, steps_max, last: None, cut: false }
    }

    /// What is held under a name, for others.
    pub(crate) fn entry(&self, (id, name): &(ContentId, String)) -> Option<Entry> {
        let holding = self.holdings.get(id)?;
        let (size, of) = (holding.geometry.size_bytes(), holding.geometry.chunks());
        Some(Entry { id: *id, name: name.clone(), size, have: holding.count(), of })
    }

    fn list(&mut self, content: ContentId, name: &str) {
        if self.listed.insert((content, name.to_owned())) {
            self.gone.remove(&content);
            self.generation = self.generation.saturating_add(1);
        }
    }

    /// The names of a content.
    pub(crate) fn names(&self, content: &ContentId) -> impl Iterator<Item = &String> {
        let content = *content;
        let from = (content, String::new());
        self.listed.range(from..).take_while(move |(id, _)| *id == content).map(|(_, name)| name)
    }

    /// Panics when names and holdings do not agree.
    pub(crate) fn check(&self) {
        assert!(
            self.listed.iter().all(|(content, _)| self.holdings.contains_key(content)),
            "every entry is held"
        );
        for (content, holding) in &self.holdings {
            assert!(self.names(content).next().is_some(), "{content:?} has a name");
            if let Have::Some { bits, .. } = &holding.have {
                assert_eq!(bits.len(), holding.geometry.chunks());
            }
        }
    }
}

/// A look through names. It ends with the last of them, or cut short when it took its steps.
#[derive(Debug)]
pub(crate) struct Looking<'a> {
    catalogue: &'a Catalogue,
    names: btree_set::Range<'a, (ContentId, String)>,
    matcher: Matcher<'a>,
    /// What does not match ends it: those that match stand together, from the first on.
    ordered: bool,
    looked: u64,
    steps_max: u64,
    last: Option<&'a (ContentId, String)>,
    cut: bool,
}

impl Looking<'_> {
    /// What it took so far.
    pub(crate) fn steps(&self) -> u64 {
        self.looked.saturating_mul(LOOK_STEPS).saturating_add(self.matcher.steps())
    }

    /// Behind which name it goes on, when it was cut short.
    pub(crate) fn cut_behind(&self) -> Option<(ContentId, String)> {
        self.last.filter(|_| self.cut).cloned()
    }
}

impl Iterator for Looking<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            // However few steps there are, it gets on.
            self.cut = self.last.is_some() && self.steps() >= self.steps_max;
            if self.cut {
                return None;
            }
            let title = self.names.next()?;
            self.last = Some(title);
            self.looked = self.looked.saturating_add(1);
            if self.matcher.matches(&title.1, &title.0) {
                if let Some(entry) = self.catalogue.entry(title) {
                    return Some(entry);
                }
            } else if self.ordered {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ContentId = ContentId([1; 32]);
    const B: ContentId = ContentId([2; 32]);

    fn cut(size: u64) -> Geometry {
        Geometry::native(size).unwrap()
    }

    #[test]
    fn a_part_grows_to_the_whole_and_cursors_stay_right() {
        let mut catalogue = Catalogue::default();
        catalogue.add_part(A, "a", cut(40_000), Bitfield::empty(3));
        assert!(catalogue.add_chunk(&A, 2) && !catalogue.add_chunk(&A, 2));
        assert_eq!(catalogue.get(&A).unwrap().since(0), [2]);
        catalogue.add_complete(A, "a", cut(40_000));
        let holding = catalogue.get(&A).unwrap();
        assert!(holding.is_complete() && holding.bits().is_none());
        assert_eq!(holding.since(1), [0, 1]);
        catalogue.check();
    }

    #[test]
    fn a_content_lives_as_long_as_its_last_name() {
        let mut catalogue = Catalogue::default();
        catalogue.add_complete(A, "a", cut(1));
        catalogue.add_complete(A, "b", cut(1));
        assert!(!catalogue.remove_name(&A, "a") && !catalogue.remove_name(&A, "a"));
        assert_eq!(catalogue.len(), 1);
        assert!(catalogue.remove_name(&A, "b"));
        assert!(catalogue.get(&A).is_none());
        catalogue.check();
    }

    #[test]
    fn pages_follow_each_other() {
        let mut catalogue = Catalogue::default();
        for name in ["x", "y"] {
            catalogue.add_complete(A, name, cut(1));
            catalogue.add_complete(B, name, cut(1));
        }
        let names =
            |after| catalogue.entries_after(after).map(|entry| (entry.id, entry.name)).collect::<Vec<_>>();
        let all = names(None);
        assert_eq!(all.len(), 4);
        assert_eq!(names(Some(all[1].clone())), all[2..]);
        let count = |wanted: &Wanted| catalogue.look(wanted, Bound::Unbounded, u32::MAX).count();
        assert_eq!([count(&Wanted::Id(B)), count(&Wanted::Id(ContentId([3; 32])))], [2, 0]);
    }

    #[test]
    fn a_look_goes_on_where_it_was_cut_and_ids_are_found_without_looking_at_others() {
        let mut catalogue = Catalogue::default();
        for first in 0..=255 {
            catalogue.add_complete(ContentId([first; 32]), &format!("{first}.txt"), cut(1));
        }
        for steps_max in [1, 100, 1_000, u32::MAX] {
            for (wanted, matching, looked_max) in [
                (Wanted::Glob("*1?.txt".into()), 30, 256),
                (Wanted::Name("77.txt".into()), 1, 256),
                (Wanted::Prefix("a".into()), 16, 17),
                (Wanted::Prefix("a0a".into()), 1, 2),
                (Wanted::Prefix("a01".into()), 0, 1),
                (Wanted::Prefix("ff".into()), 1, 1),
                (Wanted::All, 256, 256),
            ] {
                let (mut from, mut found, mut looked) = (Bound::Unbounded, 0, 0);
                loop {
                    let mut looking = catalogue.look(&wanted, from, steps_max);
                    found += looking.by_ref().count();
                    looked += looking.looked;
                    let Some(after) = looking.cut_behind() else { break };
                    from = Bound::Excluded(after);
                }
                assert_eq!(found, matching, "{wanted:?} {steps_max}");
                assert!(looked <= looked_max, "{wanted:?} {steps_max}: {looked}");
            }
        }
    }
}
