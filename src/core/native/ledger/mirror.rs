//! The mirror: what of the others' contents is to be here too, what became of each, and how much room is left.
//!
//! Owns the standing wish and the books about it. What is offered stands in the directory, what is held in the
//! catalogue; what follows is decided in `mirror/mod.rs`.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::core::native::ledger::walks::Walks;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::message::{Entry, Wanted};

/// Contents that the mirror keeps books about at most; beyond them nothing new is fetched.
pub(crate) const MIRRORED_MAX: usize = 500_000;
/// The first wait before a content that failed is tried again; it doubles with each failure.
const RETRY_WAIT_MIN: Duration = Duration::from_secs(5);
/// The longest.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);
/// Of the whole room this part may be taken by what is kept of contents that failed, so that they go on where they ended.
const KEPT_PART: u64 = 4;
/// What became of a content that was wanted, or was once here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// It is being fetched.
    Coming(Coming),
    /// It was fetched.
    Here { bytes: u64 },
    /// It was here and its owner took it away: it is not fetched again.
    Gone,
}

/// A content on its way. A claim of its size takes no room: else whoever announces large files that never come would keep all
/// others out. With its first chunk it takes the room for all of it, so that what is begun can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Coming {
    /// Bytes of the room that are its: those of its part that were kept, or all of its verified size.
    bytes: u64,
    failures: u32,
    /// Some of it came.
    came: bool,
    /// While nothing of it came: who claims to have it.
    claimed_by: Option<Claimant>,
}

/// Whose claims are counted together: those of the peers at one address that are connected, or of the others. Anybody can claim
/// something in the name of any address, but a connection proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claimant {
    pub(crate) ip: IpAddr,
    pub(crate) connected: bool,
}

/// A content that waits until a peer that offers it is connected.
#[derive(Debug)]
struct Parked {
    name: String,
    size: u64,
    since: Time,
}

/// A content that did not come.
#[derive(Debug)]
struct Failed {
    /// It is tried again from then on, if somebody offers it.
    again: Time,
    failures: u32,
    name: String,
    size: u64,
    /// Bytes of the room that its part takes, which is kept.
    kept_bytes: u64,
}

/// What follows when a content failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// It is tried again from then on.
    pub(crate) again: Time,
    /// Its part is to be deleted.
    pub(crate) drops_part: bool,
}

/// Why a content is not fetched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is coming, was fetched, was taken away, or waits to be tried again.
    Known,
    /// There is no room for it.
    NoRoom,
    /// There are no books for it.
    TooMany,
    /// Of too many others from the same address nothing came yet, or what is coming has all the room: it is put off.
    Later,
}

/// A content under one of its names, as a place in a catalogue.
type Title = (ContentId, String);

/// A standing wish for contents.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    /// Comes back in the events about it.
    pub(crate) ticket: u32,
    /// What is wanted: what any of these matches.
    wanted: Vec<Wanted>,
    /// Whether people heard that there is no room; until there is some again.
    pub(crate) full_said: bool,
    /// Bytes that may still come.
    room_bytes: u64,
    /// Bytes that could come at the start.
    room_bytes_max: u64,
    /// Bytes of the room that contents have which are coming, and parts of those that failed.
    coming_bytes: u64,
    kept_bytes: u64,
    /// Contents of which nothing came yet: how many from each address there may be, and are.
    claims_max: usize,
    claims: BTreeMap<Claimant, usize>,
    /// Those of the contents that are coming which wait for a peer.
    parked: BTreeMap<ContentId, Parked>,
    /// When endpoints were last drawn to be dialled.
    pub(crate) drawn: Option<Time>,
    /// Peers of which contents were put off, and from where on in their catalogues.
    put_off: BTreeMap<(IpAddr, PeerId), Title>,
    /// Addresses with fewer claims than a moment ago.
    freed: BTreeSet<IpAddr>,
    courses: BTreeMap<ContentId, Course>,
    failed: BTreeMap<ContentId, Failed>,
    /// How far the catalogues of the peers are walked.
    pub(crate) walks: Walks,
}

impl Mirror {
    /// A wish for what any of `wanted` matches, `room_bytes` in all; `claims_max` contents at once of which nothing came
    /// yet, from one address.
    pub(crate) fn new(ticket: u32, wanted: Vec<Wanted>, room_bytes: u64, claims_max: usize) -> Mirror {
        Mirror { ticket, wanted, room_bytes, room_bytes_max: room_bytes, claims_max, ..Mirror::default() }
    }

    /// What a peer is asked for when its catalogue is walked.
    pub(crate) fn asks_for(&self) -> Wanted {
        match &self.wanted[..] {
            [one] => one.clone(),
            _ => Wanted::All,
        }
    }

    /// Whether an entry of a peer is wanted and can be fetched from it. An empty content has no chunk that a peer could have:
    /// whoever lists it has all of it.
    pub(crate) fn wants(&self, entry: &Entry) -> bool {
        (entry.have > 0 || (entry.size == 0 && entry.of == 0))
            && self.wanted.iter().any(|wanted| wanted.matches(&entry.name, &entry.id))
    }

    /// A content is to be fetched that is said to have so many bytes; `claimed_by`: who says so, if those claims are counted.
    pub(crate) fn take(
        &mut self,
        now: Time,
        content: ContentId,
        size: u64,
        claimed_by: Option<Claimant>,
    ) -> Result<(), Refusal> {
        let (failures, kept_bytes) = match self.failed.get(&content) {
            Some(failed) if failed.again > now => return Err(Refusal::Known),
            failed => failed.map_or((0, 0), |failed| (failed.failures, failed.kept_bytes)),
        };
        if self.courses.contains_key(&content) {
            return Err(Refusal::Known);
        }
        if self.courses.len().saturating_add(self.failed.len()) >= MIRRORED_MAX {
            return Err(Refusal::TooMany);
        }
        let more_bytes = size.saturating_sub(kept_bytes);
        if more_bytes > self.room_bytes.saturating_add(self.coming_bytes) {
            return Err(Refusal::NoRoom);
        }
        if more_bytes > self.room_bytes {
            return Err(Refusal::Later);
        }
        if let Some(claimant) = claimed_by {
            let claims = self.claims.entry(claimant).or_insert(0);
            if *claims >= self.claims_max {
                return Err(Refusal::Later);
            }
            *claims = claims.saturating_add(1);
        }
        self.failed.remove(&content);
        self.kept_bytes = self.kept_bytes.saturating_sub(kept_bytes);
        self.coming_bytes = self.coming_bytes.saturating_add(kept_bytes);
        let coming = Coming { bytes: kept_bytes, failures, came: false, claimed_by };
        self.courses.insert(content, Course::Coming(coming));
        Ok(())
    }

    /// Whether a content is being fetched.
    pub(crate) fn is_coming(&self, content: &ContentId) -> bool {
        matches!(self.courses.get(content), Some(Course::Coming(_)))
    }

    /// Whether a content is being fetched of which nothing came yet.
    pub(crate) fn awaits_first(&self, content: &ContentId) -> bool {
        matches!(self.courses.get(content), Some(Course::Coming(coming)) if !coming.came)
    }

    /// A content that is to be fetched waits until a peer that offers it is connected.
    pub(crate) fn park(&mut self, now: Time, content: ContentId, name: &str, size: u64) {
        self.parked.insert(content, Parked { name: name.to_owned(), size, since: now });
    }

    /// A content waits no more; gives its name and size, if it did.
    pub(crate) fn unpark(&mut self, content: &ContentId) -> Option<(String, u64)> {
        self.parked.remove(content).map(|parked| (parked.name, parked.size))
    }

    /// The contents that wait.
    pub(crate) fn parked(&self) -> impl Iterator<Item = &ContentId> {
        self.parked.keys()
    }

    /// The peers of which contents were put off.
    pub(crate) fn peers_put_off(&self) -> impl Iterator<Item = &PeerId> {
        self.put_off.keys().map(|(_, peer)| peer)
    }

    /// Contents that have waited for so long fail.
    pub(crate) fn fail_parked(&mut self, now: Time, after: Duration) {
        let late = self.parked.iter().filter(|(_, parked)| now.since(parked.since) >= after);
        let late: Vec<ContentId> = late.map(|(content, _)| *content).collect();
        for content in late {
            if let Some((name, size)) = self.unpark(&content) {
                self.failed(now, content, &name, size, None);
            }
        }
    }

    /// Whether there is room for so many bytes of a content, if it is being fetched.
    pub(crate) fn has_room(&self, content: &ContentId, size: u64) -> bool {
        match self.courses.get(content) {
            Some(Course::Coming(coming)) => size.saturating_sub(coming.bytes) <= self.room_bytes,
            _ => true,
        }
    }

    /// A content that is being fetched takes room for all of its `size` bytes, before any of them is written. False when there
    /// is none.
    pub(crate) fn reserve(&mut self, content: &ContentId, size: u64) -> bool {
        let Some(Course::Coming(coming)) = self.courses.get_mut(content) else { return true };
        let more = size.saturating_sub(coming.bytes);
        let Some(room) = self.room_bytes.checked_sub(more) else { return false };
        self.room_bytes = room;
        self.coming_bytes = self.coming_bytes.saturating_add(more);
        coming.bytes = coming.bytes.saturating_add(more);
        true
    }

    /// Nothing is there of a content that is being fetched: it has no room.
    pub(crate) fn nothing_there(&mut self, content: &ContentId) {
        if let Some(Course::Coming(coming)) = self.courses.get_mut(content) {
            let bytes = std::mem::take(&mut coming.bytes);
            self.coming_bytes = self.coming_bytes.saturating_sub(bytes);
            self.give_back(bytes);
        }
    }

    /// Some of a content that is being fetched came.
    pub(crate) fn came(&mut self, content: &ContentId) {
        let Some(Course::Coming(coming)) = self.courses.get_mut(content) else { return };
        coming.came = true;
        let claimed_by = coming.claimed_by.take();
        self.settle(claimed_by);
    }

    /// A content that was coming is here, with so many bytes; `None`: it was here all the time.
    pub(crate) fn finished(&mut self, content: &ContentId, fetched: Option<u64>) {
        let Some(coming) = self.take_coming(content) else { return };
        let bytes = fetched.unwrap_or(0);
        self.room_bytes = self.room_bytes.saturating_sub(bytes.saturating_sub(coming.bytes));
        self.give_back(coming.bytes.saturating_sub(bytes));
        if fetched.is_some() {
            self.courses.insert(*content, Course::Here { bytes });
        }
    }

    /// A content that was coming failed; its part has `part_bytes`, or (`None`) as many as when it was begun. The part is kept,
    /// and counted, as long as such parts are few: whoever lets many files fail would fill the room with them.
    pub(crate) fn failed(
        &mut self,
        now: Time,
        content: ContentId,
        name: &str,
        size: u64,
        part_bytes: Option<u64>,
    ) -> Option<Failure> {
        let coming = self.take_coming(&content)?;
        let failures = coming.failures.saturating_add(1);
        let part_bytes = part_bytes.unwrap_or(coming.bytes).min(coming.bytes);
        let kept_max = self.room_bytes_max.checked_div(KEPT_PART).unwrap_or(0);
        let drops_part = self.kept_bytes.saturating_add(part_bytes) > kept_max;
        let kept_bytes = if drops_part { 0 } else { part_bytes };
        self.kept_bytes = self.kept_bytes.saturating_add(kept_bytes);
        self.give_back(coming.bytes.saturating_sub(kept_bytes));
        let wait = RETRY_WAIT_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_WAIT_MAX);
        let failed = Failed { again: now + wait, failures, name: name.to_owned(), size, kept_bytes };
        self.failed.insert(content, failed);
        Some(Failure { again: now + wait, drops_part })
    }

    /// Takes out a content that was coming.
    fn take_coming(&mut self, content: &ContentId) -> Option<Coming> {
        let Some(Course::Coming(coming)) = self.courses.get(content).copied() else { return None };
        self.courses.remove(content);
        self.parked.remove(content);
        self.coming_bytes = self.coming_bytes.saturating_sub(coming.bytes);
        self.settle(coming.claimed_by);
        Some(coming)
    }

    /// A content is not here any more; its owner took it away or changed it.
    pub(crate) fn gone(&mut self, content: ContentId) {
        match self.courses.get(&content).copied() {
            Some(Course::Coming(_)) => return,
            Some(Course::Here { bytes }) => self.give_back(bytes),
            None if self.courses.len() >= MIRRORED_MAX => return,
            Some(Course::Gone) | None => {}
        }
        self.courses.insert(content, Course::Gone);
    }

    /// A content is here by itself.
    pub(crate) fn returned(&mut self, content: &ContentId) {
        self.failed.remove(content);
        if self.courses.get(content) == Some(&Course::Gone) {
            self.courses.remove(content);
        }
    }

    /// What failed and may be tried again: content, name and size.
    pub(crate) fn due(&self, now: Time) -> Vec<(ContentId, String, u64)> {
        let due = self.failed.iter().filter(|(_, failed)| failed.again <= now);
        due.map(|(content, failed)| (*content, failed.name.clone(), failed.size)).collect()
    }

    /// When something that failed is next to be tried again.
    pub(crate) fn next_retry(&self, now: Time) -> Option<Time> {
        self.failed.values().map(|failed| failed.again).filter(|again| *again > now).min()
    }

    /// A content of a peer has to wait until others from its address came.
    pub(crate) fn put_off(&mut self, ip: IpAddr, peer: PeerId, title: Title) {
        let from = self.put_off.entry((ip, peer)).or_insert_with(|| title.clone());
        if title < *from {
            *from = title;
        }
    }

    /// An address that may claim more than a moment ago.
    pub(crate) fn next_freed(&mut self) -> Option<IpAddr> {
        self.freed.pop_first()
    }

    /// An address may claim more than is looked at for it now.
    pub(crate) fn is_freed(&mut self, ip: IpAddr) {
        self.freed.insert(ip);
    }

    /// Whether an address may claim more.
    pub(crate) fn may_claim(&self, ip: &IpAddr) -> bool {
        let may = |connected| {
            let claims = self.claims.get(&Claimant { ip: *ip, connected });
            claims.is_none_or(|claims| *claims < self.claims_max)
        };
        may(true) || may(false)
    }

    /// Takes out a peer at an address of which contents were put off, the first behind `after`, and from where on.
    pub(crate) fn next_put_off(&mut self, ip: IpAddr, after: Option<PeerId>) -> Option<(PeerId, Title)> {
        let first = (ip, after.unwrap_or(PeerId([0; 16])));
        let last = (ip, PeerId([u8::MAX; 16]));
        let mut there = self.put_off.range(first..=last).map(|((_, peer), _)| *peer);
        let peer = there.find(|peer| after.is_none_or(|after| *peer > after))?;
        Some((peer, self.put_off.remove(&(ip, peer))?))
    }

    /// Forgets what was put off of peers that are not there any more.
    pub(crate) fn forget_put_off(&mut self, is_there: impl Fn(&IpAddr, &PeerId) -> bool) {
        self.put_off.retain(|(ip, peer), _| is_there(ip, peer));
    }

    /// A claim is one no longer.
    fn settle(&mut self, claimed_by: Option<Claimant>) {
        let Some(claimant) = claimed_by else { return };
        if let Some(claims) = self.claims.get_mut(&claimant) {
            *claims = claims.saturating_sub(1);
            if *claims == 0 {
                self.claims.remove(&claimant);
            }
        }
        self.freed.insert(claimant.ip);
    }

    fn give_back(&mut self, bytes: u64) {
        if bytes > 0 {
            self.room_bytes = self.room_bytes.saturating_add(bytes);
            self.full_said = false;
            // A content that waits for room may have it.
            self.freed.extend(self.put_off.keys().map(|(ip, _)| *ip));
        }
    }
}
