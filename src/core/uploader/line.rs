//! Who waits for a slot: as many tickets for each content as connections wait for it, and who of those is first.

use std::collections::{BTreeMap, VecDeque};

use crate::core::door::ConnId;
use crate::types::id::ContentId;

/// Nobody is passed over for more than so many rounds of the line.
const ROUNDS_MAX: u64 = 4;
/// Who was passed over is looked for every so many turns.
const LOOK_EVERY: u64 = 8;

/// What a connection's place in the line of a content depends on: the least goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    /// Parts of the content it has; see `PROGRESS_PARTS`.
    pub(super) part: u64,
    /// Whether it was served before; who was not is a newcomer.
    pub(super) served: bool,
}

/// All who wait.
///
/// A ticket is for a content, not for a connection: that a connection waits for a file gives a turn to who is furthest behind
/// with it. So being behind counts among those who want the same, and a large file's readers, who are behind for
/// long, keep nobody from a small one.
#[derive(Debug, Default)]
pub(super) struct Line {
    tickets: VecDeque<ContentId>,
    /// So many of the tickets, the first ones, are those of newcomers.
    newcomers: usize,
    /// Who waits for each content, in the order of standing; of the same standing, who came first.
    waiting: BTreeMap<ContentId, VecDeque<Waiting>>,
    /// How many turns there were.
    turns: u64,
}

/// One who waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    standing: Standing,
    conn: ConnId,
    /// How many turns there had been before.
    since: u64,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Whether somebody waits who was never served.
    pub(super) fn has_newcomers(&self) -> bool {
        self.newcomers > 0
    }

    pub(super) fn push(&mut self, conn: ConnId, content: ContentId, standing: Standing) {
        if standing.served {
            self.tickets.push_back(content);
        } else {
            self.tickets.insert(self.newcomers, content);
            self.newcomers = self.newcomers.saturating_add(1);
        }
        self.stand(&content, Waiting { standing, conn, since: self.turns });
    }

    /// Who is next, as long as nobody is taken before.
    pub(super) fn first(&self) -> Option<ConnId> {
        self.waiting.get(self.next()?)?.front().map(|waiting| waiting.conn)
    }

    /// What the next ticket is for.
    pub(super) fn next(&self) -> Option<&ContentId> {
        self.tickets.front()
    }

    /// Takes the one who is next.
    pub(super) fn pop(&mut self) -> Option<ConnId> {
        self.pop_where(|_| true)
    }

    /// Takes the first of those who wait for what the next ticket is for and are preferred; if none is, who is next.
    pub(super) fn pop_where(&mut self, preferred: impl Fn(&ConnId) -> bool) -> Option<ConnId> {
        let content = self.tickets.pop_front()?;
        self.newcomers = self.newcomers.saturating_sub(1);
        self.turns = self.turns.saturating_add(1);
        let waiting = self.waiting.get(&content)?;
        let preferred = || waiting.iter().position(|waiting| preferred(&waiting.conn));
        let at = self.passed_over(waiting).or_else(preferred).unwrap_or(0);
        self.leave(&content, at).map(|waiting| waiting.conn)
    }

    /// The place of who was passed over for too long, now and then: being behind must not keep anybody away for ever.
    fn passed_over(&self, waiting: &VecDeque<Waiting>) -> Option<usize> {
        if !self.turns.is_multiple_of(LOOK_EVERY) {
            return None;
        }
        let patience = ROUNDS_MAX.saturating_mul((self.tickets.len() as u64).saturating_add(1));
        let (at, longest) = waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.since)?;
        (self.turns.saturating_sub(longest.since) > patience).then_some(at)
    }

    /// One who waits for this content stands otherwise now.
    pub(super) fn change(&mut self, conn: ConnId, content: &ContentId, was: Standing, standing: Standing) {
        if let Some(waiting) = self.find(conn, content, was).and_then(|at| self.leave(content, at)) {
            self.stand(content, Waiting { standing, ..waiting });
        }
    }

    /// Takes one out who waits for this content with this standing.
    pub(super) fn remove(&mut self, conn: ConnId, content: &ContentId, standing: Standing) {
        if self.find(conn, content, standing).and_then(|at| self.leave(content, at)).is_none() {
            return;
        }
        // A newcomer's ticket is one of the first, another's rather one of the others: tickets of the same content are alike.
        let from = if standing.served { self.newcomers } else { 0 };
        let same = |ticket: &ContentId| ticket == content;
        let at = self.tickets.iter().skip(from).position(same).map(|at| at.saturating_add(from));
        if let Some(at) = at.or_else(|| self.tickets.iter().position(same)) {
            self.tickets.remove(at);
            self.newcomers = self.newcomers.saturating_sub(usize::from(at < self.newcomers));
        }
    }

    fn stand(&mut self, content: &ContentId, who: Waiting) {
        let waiting = self.waiting.entry(*content).or_default();
        let at = waiting.partition_point(|other| other.standing <= who.standing);
        waiting.insert(at, who);
    }

    fn find(&self, conn: ConnId, content: &ContentId, standing: Standing) -> Option<usize> {
        let waiting = self.waiting.get(content)?;
        let first = waiting.partition_point(|other| other.standing < standing);
        let behind = waiting.iter().skip(first).position(|other| other.conn == conn)?;
        first.checked_add(behind)
    }

    fn leave(&mut self, content: &ContentId, at: usize) -> Option<Waiting> {
        let waiting = self.waiting.get_mut(content)?;
        let who = waiting.remove(at);
        if waiting.is_empty() {
            self.waiting.remove(content);
        }
        who
    }

    /// Panics when tickets and those who wait do not agree.
    pub(super) fn check(&self) {
        assert!(self.newcomers <= self.tickets.len(), "more newcomers than tickets");
        for (content, line) in &self.waiting {
            assert!(
                !line.is_empty() && line.iter().is_sorted_by_key(|waiting| waiting.standing),
                "{content}"
            );
            assert_eq!(
                self.tickets.iter().filter(|ticket| *ticket == content).count(),
                line.len(),
                "{content}"
            );
        }
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        assert_eq!(waiting, self.tickets.len(), "tickets for nobody");
    }
}
