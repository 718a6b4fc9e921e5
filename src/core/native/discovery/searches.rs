//! Searches: what somebody looks for, when to ask for it again, and when enough was heard.
//!
//! Owns the rhythm of questions. What was heard stands in the directory; what follows is decided in
//! `search.rs`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::io::{ConnId, PeerRef};
use crate::core::limits::Limits;
use crate::core::rng::Rng;
use crate::types::name::{Layout, destination};
use crate::types::{ContentId, PeerId, Time};
use crate::wire::message::{Entry, Wanted};

/// When a search asks for what it looks for, after its beginning.
const QUERIES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1)];
/// When it asks for the last time: for everything, so that names that look alike can be told.
const LAST_QUERY: Duration = Duration::from_millis(1500);
/// A search that goes on for longer asks again after so long, and after twice as long each time, up to the longest; each time
/// up to twice as late, as chance has it: where thousands began at once, their first questions may have drowned the answers.
const AGAIN_MIN: Duration = Duration::from_secs(2);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// Among several peers a name does not count as unique before this time: processes on busy machines need some time to
/// answer.
const SETTLE_MIN: Duration = Duration::from_millis(25);
/// Answers to a last question are waited for so long.
const ANSWERS_TAKE: Duration = Duration::from_millis(250);
/// How long beyond its end a search that fetches all that matches goes on asking for catalogue pages.
const PAGES_GRACE: Duration = Duration::from_secs(30);
/// How long beyond its end any other search waits for a page that was asked for: it promised to be over.
const LAST_PAGE_GRACE: Duration = Duration::from_secs(1);
/// What a content costs beside its name, in bytes.
const CONTENT_OVERHEAD_BYTES: usize = 96;

/// Why somebody looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Purpose {
    /// To fetch what is found; `at` one holder only.
    Get { ticket: u32, at: Option<String>, layout: Layout, stall: Duration },
    /// To see what is there.
    #[default]
    Look,
}

impl Purpose {
    /// Whether what this peer offers counts.
    pub(crate) fn is_about(&self, holder: &PeerRef) -> bool {
        match self {
            Purpose::Get { at: Some(at), .. } => holder.is_called(at),
            Purpose::Get { at: None, .. } | Purpose::Look => true,
        }
    }
}

/// A file that is fetched: a content, and the hash of where below the target folder it goes. The path itself would be one more
/// copy of each name.
pub(crate) type Title = (ContentId, [u8; 16]);

/// One search.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pub(crate) purpose: Purpose,
    pub(crate) wanted: Wanted,
    pub(crate) ends: Time,
    /// When an exact name that was heard counts as unique.
    pub(crate) settles: Option<Time>,
    /// Peers that were heard meanwhile.
    pub(crate) heard: BTreeSet<PeerId>,
    /// What matched and is being fetched already.
    begun: BTreeSet<Title>,
    /// Bytes of that: names, and what is kept beside them.
    begun_bytes: usize,
    /// Whether there was more than its bounds let in.
    pub(crate) cut_short: bool,
    /// Whether it has as many files as it takes. Then nobody needs to list any more.
    full: bool,
    /// Connections that were asked for pages.
    pub(crate) walks: BTreeMap<ConnId, Walk>,
    began: Time,
    asked: usize,
    asked_last: bool,
    /// When it asks again after that, and how long it waits the time after.
    again: Option<Time>,
    again_gap: Duration,
}

/// A walk through one peer's catalogue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// No page is awaited any more.
    pub(crate) over: bool,
    /// Entries that it has listed.
    pub(crate) entries: usize,
}

/// The next thing a search does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask everybody for what is wanted.
    Ask,
    /// Ask everybody for everything.
    QueryAll,
    /// Enough was heard, or the time is over.
    Decide,
    /// Nothing before this moment.
    Wait(Time),
}

impl Search {
    /// A search that begins now and listens for `wait`.
    pub(crate) fn new(purpose: Purpose, wanted: Wanted, wait: Duration, now: Time) -> Search {
        Search { purpose, wanted, ends: now + wait, began: now, again_gap: AGAIN_MIN, ..Search::default() }
    }

    /// A question was asked at `now`: after the last of the first ones, when the next is due.
    pub(crate) fn plan_next(&mut self, now: Time, rng: &mut Rng) {
        if self.asked_last {
            self.again = Some(now + self.again_gap + rng.duration_below(self.again_gap));
            self.again_gap = self.again_gap.saturating_mul(2).min(AGAIN_MAX);
        }
    }

    /// Whether it wants to know every match, not just one.
    pub(crate) fn is_broad(&self) -> bool {
        matches!(self.wanted, Wanted::All | Wanted::Glob(_) | Wanted::Prefix(_))
    }

    /// Whether all that matches is fetched, so that none of it has to wait for the search's end.
    pub(crate) fn takes_all(&self) -> bool {
        matches!(self.purpose, Purpose::Get { .. }) && matches!(self.wanted, Wanted::All | Wanted::Glob(_))
    }

    /// What becomes of the folders in a name.
    pub(crate) fn layout(&self) -> Layout {
        match self.purpose {
            Purpose::Get { layout, .. } => layout,
            Purpose::Look => Layout::Flat,
        }
    }

    /// The file that an entry becomes.
    pub(crate) fn title(&self, entry: &Entry) -> Title {
        title(entry.id, &entry.name, self.layout())
    }

    /// Whether a file is being fetched for it.
    pub(crate) fn has_begun(&self, title: &Title) -> bool {
        self.begun.contains(title)
    }

    /// How many files are being fetched for it.
    pub(crate) fn begun(&self) -> usize {
        self.begun.len()
    }

    /// A file that matches is to be fetched. False when it is already, or when it is one too many.
    pub(crate) fn begin(&mut self, title: Title, name: &str, limits: &Limits) -> bool {
        if self.begun.contains(&title) {
            return false;
        }
        let bytes = self.begun_bytes.saturating_add(name.len()).saturating_add(CONTENT_OVERHEAD_BYTES);
        if self.begun.len() >= limits.search_contents_max || bytes > limits.search_bytes_max {
            (self.cut_short, self.full) = (true, true);
            return false;
        }
        self.begun_bytes = bytes;
        self.begun.insert(title)
    }

    /// A page came over a connection, and `more` says whether others follow. Whether the next is to be asked for.
    pub(crate) fn walked(
        &mut self,
        now: Time,
        conn: ConnId,
        entries: usize,
        more: bool,
        limits: &Limits,
    ) -> bool {
        let in_time = now < if self.takes_all() { self.ends + PAGES_GRACE } else { self.ends };
        // One that is full takes no more of anything. Else what one peer lists too much ends its own walk alone.
        let walk = self.walks.entry(conn).or_default();
        walk.entries = walk.entries.saturating_add(entries);
        let goes_on = more && in_time && !self.full && walk.entries < limits.walk_entries_max;
        self.cut_short |= more && !goes_on;
        walk.over = !goes_on;
        goes_on
    }

    /// When it is over at the latest, whatever is on its way.
    fn grace_ends(&self) -> Time {
        self.ends + if self.takes_all() { PAGES_GRACE } else { LAST_PAGE_GRACE }
    }

    /// Whether it will fetch this content as soon as somebody offers it.
    pub(crate) fn fetches(&self, content: &ContentId) -> bool {
        matches!(self.purpose, Purpose::Get { .. }) && self.wanted == Wanted::Id(*content)
    }

    /// Something that is wanted was heard from somebody who knows `known_peers` peers.
    pub(crate) fn matched(&mut self, now: Time, known_peers: u32, delay_max: Duration) {
        let settles = match &self.wanted {
            Wanted::Id(_) => now,
            // Who knows nobody but the asker knows of nobody else who could answer.
            Wanted::Name(_) if known_peers <= 1 => now,
            Wanted::Name(_) => {
                now + Duration::from_millis(u64::from(known_peers)).clamp(SETTLE_MIN, delay_max)
            }
            Wanted::All | Wanted::Glob(_) | Wanted::Prefix(_) => return,
        };
        self.settles = Some(self.settles.map_or(settles, |present| present.min(settles)));
    }

    /// When the next question is due, if there is one, and whether it is the last.
    fn next_query(&self) -> Option<(Time, bool)> {
        // The last question comes early enough for its answers, however short the search is.
        let latest = self.ends.since(self.began).saturating_sub(ANSWERS_TAKE);
        let last = self.began + LAST_QUERY.min(latest);
        match QUERIES.get(self.asked).map(|after| self.began + *after) {
            Some(at) if at < last || self.asked == 0 => Some((at, false)),
            _ if self.asked_last => self.again.map(|at| (at, true)),
            _ => Some((last, true)),
        }
    }

    /// What to do at `now`.
    pub(crate) fn step(&mut self, now: Time) -> Step {
        let pages_due = self.walks.values().any(|walk| !walk.over);
        if pages_due && now >= self.grace_ends() {
            self.cut_short = true;
        }
        let pages_due = pages_due && now < self.grace_ends();
        if self.settles.is_some_and(|settles| settles <= now) || (now >= self.ends && !pages_due) {
            return Step::Decide;
        }
        let next_query = self.next_query().filter(|_| now < self.ends);
        match next_query {
            Some((at, last)) if at <= now => {
                self.asked = self.asked.saturating_add(1);
                self.asked_last = last;
                if last && !matches!(self.wanted, Wanted::Id(_)) { Step::QueryAll } else { Step::Ask }
            }
            _ => {
                let end = if now < self.ends { self.ends } else { self.grace_ends() };
                let next = next_query.map_or(end, |(at, _)| at.min(end));
                Step::Wait(self.settles.map_or(next, |settles| settles.min(next)))
            }
        }
    }
}

/// All searches, in the order they were begun.
#[derive(Debug, Default)]
pub(crate) struct Searches {
    /// When everything was last asked for, by whichever search.
    pub(crate) asked_all: Option<Time>,
    by_key: BTreeMap<u32, Search>,
    next_key: u32,
    /// What is fetched for searches that ended while others went on.
    begun: BTreeSet<Title>,
    /// What was begun for a search and then replaced, while any goes on.
    replaced: BTreeSet<Title>,
    /// What was begun for a search and failed, while any goes on: who asks for it again is not to wait for the end of that.
    failed: BTreeSet<Title>,
    /// What downloads came of, by the ticket of their command.
    asked: BTreeMap<u32, Asked>,
}

/// What somebody asked for, as far as it still matters when the search is over.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Whether it was a name or a pattern: whatever has the name is wanted.
    pub(crate) by_name: bool,
}

impl Searches {
    /// Begins a search; returns its key.
    pub(crate) fn add(&mut self, search: Search) -> u32 {
        let key = self.next_key;
        self.next_key = self.next_key.wrapping_add(1);
        self.by_key.insert(key, search);
        key
    }

    /// A search.
    pub(crate) fn get(&self, key: u32) -> Option<&Search> {
        self.by_key.get(&key)
    }

    /// A search, to change it.
    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut Search> {
        self.by_key.get_mut(&key)
    }

    /// Somebody asks for something.
    pub(crate) fn note_asked(&mut self, ticket: u32, asked: Asked) {
        self.asked.insert(ticket, asked);
    }

    /// What was asked for with a ticket.
    pub(crate) fn asked(&self, ticket: u32) -> Option<&Asked> {
        self.asked.get(&ticket)
    }

    /// Takes a search out.
    pub(crate) fn remove(&mut self, key: u32) -> Option<Search> {
        let search = self.by_key.remove(&key);
        if self.by_key.is_empty() {
            // What is asked for later is asked for anew.
            self.begun.clear();
            self.replaced.clear();
            self.failed.clear();
        }
        search
    }

    /// What a search that was taken out fetches need not be fetched for those that go on.
    pub(crate) fn note_begun(&mut self, over: Search) {
        if !self.by_key.is_empty() {
            self.begun.extend(over.begun);
        }
    }

    /// A file is fetched that no search began: none of those that go on is to begin it.
    pub(crate) fn note_renewed(&mut self, title: Title) {
        if !self.by_key.is_empty() {
            self.replaced.remove(&title);
            self.begun.insert(title);
        }
    }

    /// A file is fetched no longer because it was replaced.
    pub(crate) fn note_replaced(&mut self, title: Title) {
        if !self.by_key.is_empty() {
            self.replaced.insert(title);
        }
    }

    /// A file that was begun has failed: another search that finds it begins it anew.
    pub(crate) fn note_failed(&mut self, title: Title) {
        if self.was_begun(&title) {
            self.failed.insert(title);
        }
    }

    /// A file that failed is begun anew.
    pub(crate) fn note_begun_anew(&mut self, title: &Title) {
        self.failed.remove(title);
    }

    /// Whether a file that is fetched for any search comes of that, or came, or failed.
    pub(crate) fn comes(&self, title: &Title) -> bool {
        self.was_begun(title) && !self.replaced.contains(title)
    }

    /// Whether a file is fetched for any search, or came for it.
    pub(crate) fn is_begun(&self, title: &Title) -> bool {
        self.was_begun(title) && !self.failed.contains(title)
    }

    fn was_begun(&self, title: &Title) -> bool {
        self.begun.contains(title) || self.by_key.values().any(|search| search.begun.contains(title))
    }

    /// All searches, to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Search)> {
        self.by_key.iter_mut().map(|(key, search)| (*key, search))
    }

    /// All searches.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Search)> {
        self.by_key.iter().map(|(key, search)| (*key, search))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// The file that a content becomes which is offered under `name`.
pub(crate) fn title(content: ContentId, name: &str, layout: Layout) -> Title {
    let path = blake3::hash(destination(name, layout).as_bytes());
    (content, path.as_bytes().first_chunk().copied().unwrap_or_default())
}

/// The names among `names` that look most like `wanted`, at most `count`: those that contain it or are contained in
/// it, or differ in few letters, regardless of case.
pub(crate) fn similar<'a>(wanted: &str, names: impl Iterator<Item = &'a str>, count: usize) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let folded = name.to_lowercase();
            let contains = !wanted.is_empty() && (folded.contains(&wanted) || wanted.contains(&folded));
            let distance = if contains { 1 } else { edit_distance(&wanted, &folded) };
            (contains || distance.saturating_mul(3) <= wanted.chars().count().max(3))
                .then_some((distance, name))
        })
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(count).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters must be put in, taken out or changed (Levenshtein); names longer than 64 letters are far from
/// everything.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(65).collect(), b.chars().take(65).collect());
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX / 4;
    }
    // Of the matrix one row is kept: its first cell counts the letters of `a` so far, the others stand below those of `b`.
    let mut row: Vec<usize> = (1..=b.len()).collect();
    let mut letters = 0_usize;
    for x in &a {
        let mut diagonal = letters;
        letters = letters.saturating_add(1);
        let mut left = letters;
        for (y, cell) in b.iter().zip(&mut row) {
            let changed = diagonal.saturating_add(usize::from(x != y));
            diagonal = *cell;
            *cell = changed.min(diagonal.saturating_add(1)).min(left.saturating_add(1));
            left = *cell;
        }
    }
    row.last().copied().unwrap_or(letters)
}
