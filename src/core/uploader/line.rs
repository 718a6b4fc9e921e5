//! Who waits for a slot: as many tickets for each content as connections wait for it, and who of those is first.

use std::collections::{BTreeMap, VecDeque};

use crate::core::io::ConnId;
use crate::types::ContentId;

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

/// Who may have the next turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    All,
    /// No receivers outside the native protocol.
    Natives,
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
    /// How many of them are native peers, for each content that any of those waits for.
    natives: BTreeMap<ContentId, usize>,
    /// How many turns there were.
    turns: u64,
}

/// One who waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    standing: Standing,
    /// It is a receiver outside the native protocol.
    is_outside: bool,
    conn: ConnId,
    /// How many turns there had been before.
    since: u64,
}

impl Whom {
    fn takes(self, waiting: &Waiting) -> bool {
        self == Whom::All || !waiting.is_outside
    }
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

    /// Whether a native peer waits.
    pub(super) fn has_natives(&self) -> bool {
        !self.natives.is_empty()
    }

    pub(super) fn push(&mut self, conn: ConnId, content: ContentId, standing: Standing, is_outside: bool) {
        if standing.served {
            self.tickets.push_back(content);
        } else {
            self.tickets.insert(self.newcomers, content);
            self.newcomers = self.newcomers.saturating_add(1);
        }
        self.stand(&content, Waiting { standing, is_outside, conn, since: self.turns });
    }

    /// Who is next, as long as nobody is taken before.
    pub(super) fn first(&self, whom: Whom) -> Option<ConnId> {
        let waiting = self.waiting.get(self.next(whom)?)?;
        waiting.iter().find(|waiting| whom.takes(waiting)).map(|waiting| waiting.conn)
    }

    /// What the next ticket is for.
    pub(super) fn next(&self, whom: Whom) -> Option<&ContentId> {
        self.tickets.get(self.next_ticket(whom)?)
    }

    fn next_ticket(&self, whom: Whom) -> Option<usize> {
        match whom {
            Whom::All => (!self.tickets.is_empty()).then_some(0),
            Whom::Natives if self.natives.is_empty() => None,
            Whom::Natives => self.tickets.iter().position(|content| self.natives.contains_key(content)),
        }
    }

    /// Takes the one who is next.
    pub(super) fn pop(&mut self, whom: Whom) -> Option<ConnId> {
        self.pop_where(whom, |_| true)
    }

    /// Takes the first of those who wait for what the next ticket is for and are preferred; if none is, who is next.
    pub(super) fn pop_where(&mut self, whom: Whom, preferred: impl Fn(&ConnId) -> bool) -> Option<ConnId> {
        let ticket = self.next_ticket(whom)?;
        let content = self.tickets.remove(ticket)?;
        self.newcomers = self.newcomers.saturating_sub(usize::from(ticket < self.newcomers));
        self.turns = self.turns.saturating_add(1);
        let waiting = self.waiting.get(&content)?;
        let first = || waiting.iter().position(|waiting| whom.takes(waiting));
        let preferred = || waiting.iter().position(|waiting| whom.takes(waiting) && preferred(&waiting.conn));
        let at = self.passed_over(waiting, whom).or_else(preferred).or_else(first)?;
        self.leave(&content, at).map(|waiting| waiting.conn)
    }

    /// The place of who was passed over for too long, now and then: being behind must not keep anybody away for ever.
    fn passed_over(&self, waiting: &VecDeque<Waiting>, whom: Whom) -> Option<usize> {
        if !self.turns.is_multiple_of(LOOK_EVERY) {
            return None;
        }
        let patience = ROUNDS_MAX.saturating_mul((self.tickets.len() as u64).saturating_add(1));
        let those = waiting.iter().enumerate().filter(|(_, waiting)| whom.takes(waiting));
        let (at, longest) = those.min_by_key(|(_, waiting)| waiting.since)?;
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
        if !who.is_outside {
            let natives = self.natives.entry(*content).or_default();
            *natives = natives.saturating_add(1);
        }
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
        if who.is_some_and(|who| !who.is_outside)
            && let Some(natives) = self.natives.get_mut(content)
        {
            *natives = natives.saturating_sub(1);
            if *natives == 0 {
                self.natives.remove(content);
            }
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
        for (content, natives) in &self.natives {
            let waiting = self.waiting.get(content).into_iter().flatten();
            let those = waiting.filter(|waiting| !waiting.is_outside).count();
            assert!(*natives == those && those > 0, "native peers that wait for {content}");
        }
        let waiting: usize = self.waiting.values().map(VecDeque::len).sum();
        assert_eq!(waiting, self.tickets.len(), "tickets for nobody");
    }
}
