//! Looking through the names that are offered here for what others ask for: what it may take, and whose turn it is.
//!
//! Owns the budgets and the lines. A query has a short first slice before all that waits: most are done then, whatever others
//! ask. What takes longer, and pages of the catalogue, have slices in turn, address by address, so that one that asks on
//! many connections has no more of them. So no number of them keeps the loop for longer than the budget.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::core::io::{ConnId, IfaceId};
use crate::core::limits::Limits;
use crate::core::sources::Sources;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::message::{CatalogueRequest, Wanted};

/// Who asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) peer: PeerId,
    /// From where.
    pub(crate) addr: SocketAddr,
    /// By which interface.
    pub(crate) iface: IfaceId,
    /// What comes back to the asker.
    pub(crate) nonce: u64,
}

/// A name of a content.
pub(crate) type Title = (ContentId, String);

/// What is looked for, and for what.
#[derive(Debug)]
pub(crate) enum Sought {
    /// An answer to a query: the first name behind `after` that matches.
    Answer { asker: Asker, wanted: Wanted, after: Option<Title> },
    /// A page for a connection: the names behind the request's cursor that match.
    Page { conn: ConnId, request: CatalogueRequest },
}

/// The budgets, and what waits: `T`s, each with the address that pays for it.
#[derive(Debug)]
pub(crate) struct Looks<T> {
    limits: Limits,
    /// Steps that may be taken at once; below zero after the last one took more.
    left: i64,
    filled: Time,
    /// Steps of each address that asked. In a second in which more ask than are counted, nothing is looked for for others.
    sources: Sources,
    /// Queries that had no slice yet.
    fresh: Line<T>,
    /// Queries that had one.
    queries: Line<T>,
    pages: Line<T>,
    /// Whether the next slice is for a page, if there is one.
    page_next: bool,
    /// Pages that wait for the next second, because their asker used up the present one.
    stalled: Vec<(IpAddr, T)>,
}

/// A slice that is to be taken.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    /// The address that pays for it.
    pub(crate) source: IpAddr,
    pub(crate) sought: T,
    /// What it took so far.
    pub(crate) taken: u64,
    /// The steps that it may take now.
    pub(crate) steps: u32,
}

/// What waits, in the order in which it came for each address; the addresses have their turns.
#[derive(Debug)]
struct Line<T> {
    of_sources: BTreeMap<IpAddr, VecDeque<Waiting<T>>>,
    turns: VecDeque<IpAddr>,
    len: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    sought: T,
    taken: u64,
}

impl<T> Line<T> {
    fn new() -> Line<T> {
        Line { of_sources: BTreeMap::new(), turns: VecDeque::new(), len: 0 }
    }

    fn of_source(&self, source: &IpAddr) -> usize {
        self.of_sources.get(source).map_or(0, VecDeque::len)
    }

    fn push(&mut self, source: IpAddr, sought: T, taken: u64) {
        let of_source = self.of_sources.entry(source).or_default();
        if of_source.is_empty() {
            self.turns.push_back(source);
        }
        of_source.push_back(Waiting { sought, taken });
        self.len = self.len.saturating_add(1);
    }

    fn pop(&mut self) -> Option<(IpAddr, Waiting<T>)> {
        let source = self.turns.pop_front()?;
        let of_source = self.of_sources.get_mut(&source)?;
        let next = of_source.pop_front()?;
        if of_source.is_empty() {
            self.of_sources.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.len = self.len.saturating_sub(1);
        Some((source, next))
    }

    /// Takes out the one that took most, of an address or of all.
    fn give_way(&mut self, source: Option<IpAddr>) {
        let all = self.of_sources.iter().filter(|(of, _)| source.is_none_or(|source| source == **of));
        let each = all.flat_map(|(of, waiting)| {
            waiting.iter().enumerate().map(move |(at, waiting)| (waiting.taken, *of, at))
        });
        let Some((_, source, at)) = each.max() else { return };
        let Some(of_source) = self.of_sources.get_mut(&source) else { return };
        of_source.remove(at);
        if of_source.is_empty() {
            self.of_sources.remove(&source);
            self.turns.retain(|other| *other != source);
        }
        self.len = self.len.saturating_sub(1);
    }
}

impl<T> Looks<T> {
    /// Nothing looked for yet.
    pub(crate) fn new(limits: &Limits, now: Time) -> Looks<T> {
        Looks {
            limits: limits.clone(),
            left: i64::from(limits.look_steps_at_once),
            filled: now,
            sources: Sources::new(now),
            fresh: Line::new(),
            queries: Line::new(),
            pages: Line::new(),
            page_next: false,
            stalled: Vec::new(),
        }
    }

    /// Frees the counts of a second that is over.
    pub(crate) fn forget(&mut self, now: Time) {
        self.sources.forget(now);
    }

    /// Begins another second when the present one is over.
    pub(crate) fn renew(&mut self, now: Time) {
        if self.sources.renew(now) {
            for (source, sought) in std::mem::take(&mut self.stalled) {
                self.pages.push(source, sought, 0);
            }
        }
    }

    /// Whether an address has not used up its steps of the present second.
    pub(crate) fn admits(&mut self, now: Time, source: IpAddr) -> bool {
        self.renew(now);
        self.sources.of(&source).is_some_and(|steps| steps < self.limits.look_steps_per_source_per_s)
    }

    /// How many steps the next slice may take; `None` before more are to be had. A slice is never less than whole, so that
    /// reading a pattern again takes little of it: those too many are a debt.
    pub(crate) fn slice(&mut self, now: Time) -> Option<u32> {
        let nanos = i64::try_from(now.since(self.filled).as_nanos()).unwrap_or(i64::MAX);
        let more = nanos.saturating_mul(i64::from(self.limits.look_steps_per_s)) / 1_000_000_000;
        // A moment too short for a single step is not lost: it counts the next time.
        if more > 0 {
            self.left = self.left.saturating_add(more).min(i64::from(self.limits.look_steps_at_once));
            self.filled = now;
        }
        (self.left > 0).then_some(self.limits.look_slice_steps)
    }

    /// So many steps were taken for an address.
    pub(crate) fn took(&mut self, source: IpAddr, steps: u64) {
        self.left = self.left.saturating_sub(i64::try_from(steps).unwrap_or(i64::MAX));
        self.sources.add(source, u32::try_from(steps).unwrap_or(u32::MAX));
    }

    /// Whether nothing waits for a slice.
    pub(crate) fn is_idle(&self) -> bool {
        self.fresh.len == 0 && self.queries.len == 0 && self.pages.len == 0
    }

    /// A query came. False when too many wait for their first slice.
    pub(crate) fn begin_query(&mut self, source: IpAddr, sought: T) -> bool {
        let has_room = self.fresh.len < self.limits.looks_max
            && self.fresh.of_source(&source) < self.limits.looks_per_source_max;
        if has_room {
            self.fresh.push(source, sought, 0);
        }
        has_room
    }

    /// A query took so many steps, and needs more. False when it, or another that took more, gave way.
    pub(crate) fn keep_query(&mut self, source: IpAddr, sought: T, taken: u64) -> bool {
        self.queries.push(source, sought, taken);
        let of_source = self.queries.of_source(&source) > self.limits.looks_per_source_max;
        let gives_way = of_source || self.queries.len > self.limits.looks_max;
        if gives_way {
            self.queries.give_way(of_source.then_some(source));
        }
        !gives_way
    }

    /// A page waits for a slice. A connection has one at most, and all of an address share its turns.
    pub(crate) fn keep_page(&mut self, source: IpAddr, sought: T) {
        self.pages.push(source, sought, 0);
    }

    /// Puts a page off until its asker has a new budget.
    pub(crate) fn stall_page(&mut self, source: IpAddr, sought: T) {
        self.stalled.push((source, sought));
    }

    /// Takes out what is next, if there is a budget for it.
    pub(crate) fn next(&mut self, now: Time) -> Option<Turn<T>> {
        let slice = self.slice(now)?;
        let turn = |steps, (source, Waiting { sought, taken })| Turn { source, sought, taken, steps };
        if let Some(fresh) = self.fresh.pop() {
            return Some(turn(slice.min(self.limits.look_first_steps), fresh));
        }
        self.page_next = !self.page_next;
        let (first, second) = match self.page_next {
            true => (&mut self.pages, &mut self.queries),
            false => (&mut self.queries, &mut self.pages),
        };
        first.pop().or_else(|| second.pop()).map(|next| turn(slice, next))
    }

    /// When there is something to do again.
    pub(crate) fn due(&self, now: Time) -> Option<Time> {
        if !self.is_idle() {
            return Some(now + self.limits.look_gap);
        }
        (!self.stalled.is_empty()).then(|| self.sources.end().max(now + self.limits.look_gap))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            look_steps_at_once: 100,
            look_slice_steps: 40,
            look_steps_per_s: 1_000,
            look_steps_per_source_per_s: 150,
            ..Limits::default()
        }
    }

    #[test]
    fn what_is_taken_at_once_is_given_back_with_time_and_debts_are_paid_first() {
        let mut looks: Looks<()> = Looks::new(&limits(), Time::ZERO);
        let host = IpAddr::from([10, 0, 0, 1]);
        let mut slice = |ms, taken| {
            let slice = looks.slice(Time::from_millis(ms));
            looks.took(host, taken);
            slice
        };
        // The third takes 20 more than there were: they come back first.
        let slices = [slice(0, 40), slice(0, 40), slice(0, 40), slice(0, 0)];
        assert_eq!(slices, [Some(40), Some(40), Some(40), None]);
        assert_eq!([slice(20, 0), slice(21, 40), slice(60, 0)], [None, Some(40), None]);
        assert_eq!([slice(9_000, 99), slice(9_000, 1), slice(9_000, 0)], [Some(40), Some(40), None]);
    }

    #[test]
    fn moments_too_short_for_a_step_add_up() {
        let mut looks: Looks<()> = Looks::new(&limits(), Time::ZERO);
        looks.took(IpAddr::from([10, 0, 0, 1]), 100);
        let slices = (0..=10_000).map(|tenth| looks.slice(Time::from_nanos(tenth * 100_000)));
        assert_eq!(slices.last(), Some(Some(40)));
    }

    #[test]
    fn who_used_up_a_second_waits_for_the_next_and_others_do_not() {
        let mut looks: Looks<u8> = Looks::new(&limits(), Time::ZERO);
        let host = |last| IpAddr::from([10, 0, 0, last]);
        looks.took(host(1), 150);
        assert!(
            !looks.admits(Time::from_millis(999), host(1)) && looks.admits(Time::from_millis(999), host(2))
        );
        looks.stall_page(host(1), 7);
        assert!(looks.next(Time::ZERO).is_none());
        assert_eq!(looks.due(Time::ZERO), Some(Time::from_millis(1_000)));
        looks.renew(Time::from_millis(1_000));
        assert_eq!(
            looks.next(Time::from_millis(1_000)).map(|turn| (turn.source, turn.sought)),
            Some((host(1), 7))
        );
        assert!(looks.admits(Time::from_millis(1_000), host(1)));
    }

    #[test]
    fn a_query_comes_before_those_that_had_a_slice_and_addresses_have_turns() {
        let mut looks: Looks<u8> =
            Looks::new(&Limits { looks_max: 3, looks_per_source_max: 2, ..limits() }, Time::ZERO);
        let host = |last| IpAddr::from([10, 0, 0, last]);
        assert!(looks.keep_query(host(1), 1, 500) && looks.keep_query(host(2), 2, 100));
        assert!(looks.keep_query(host(2), 3, 200));
        [10, 11, 12].into_iter().for_each(|page| looks.keep_page(host(1), page));
        looks.keep_page(host(3), 13);
        // One of its own gives way to it, then one that took more than it.
        assert!(!looks.keep_query(host(2), 4, 150) && !looks.keep_query(host(3), 5, 50));
        assert!(
            looks.begin_query(host(1), 6) && looks.begin_query(host(1), 7) && !looks.begin_query(host(1), 8)
        );
        let order: Vec<u8> = std::iter::from_fn(|| looks.next(Time::ZERO).map(|turn| turn.sought)).collect();
        assert_eq!(order, [6, 7, 10, 2, 13, 5, 11, 4, 12]);
    }
}
