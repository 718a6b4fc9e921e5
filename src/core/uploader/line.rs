//! Who waits for a slot: as many tickets for each content as connections wait for it, and who of those is first.

use std::collections::VecDeque;

use crate::core::door::ConnId;
use crate::core::id::ContentId;
use crate::core::sorted::SortedMap;

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
    waiting: SortedMap<ContentId, VecDeque<(Standing, ConnId)>>,
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
            self.newcomers += 1;
        }
        let waiting = self.waiting.entry(content).or_default();
        let at = waiting.partition_point(|(other, _)| *other <= standing);
        waiting.insert(at, (standing, conn));
    }

    /// Takes the one who is next.
    pub(super) fn pop(&mut self) -> Option<ConnId> {
        let content = self.tickets.pop_front()?;
        self.newcomers = self.newcomers.saturating_sub(1);
        let waiting = self.waiting.get_mut(&content)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&content);
        }
        first.map(|(_, conn)| conn)
    }

    /// Takes one out who waits for this content with this standing.
    pub(super) fn remove(&mut self, conn: ConnId, content: &ContentId, standing: Standing) {
        let Some(waiting) = self.waiting.get_mut(content) else { return };
        let first = waiting.partition_point(|(other, _)| *other < standing);
        let Some(at) = waiting.iter().skip(first).position(|(_, other)| *other == conn) else { return };
        waiting.remove(first + at);
        if waiting.is_empty() {
            self.waiting.remove(content);
        }
        // A newcomer's ticket is one of the first, another's rather one of the others: tickets of the same content are alike.
        let from = if standing.served { self.newcomers } else { 0 };
        let same = |ticket: &ContentId| ticket == content;
        let at = self.tickets.iter().skip(from).position(same).map(|at| at + from);
        if let Some(at) = at.or_else(|| self.tickets.iter().position(same)) {
            self.tickets.remove(at);
            self.newcomers -= usize::from(at < self.newcomers);
        }
    }

    /// Panics when tickets and those who wait do not agree.
    pub(super) fn check(&self) {
        assert!(self.newcomers <= self.tickets.len(), "more newcomers than tickets");
        let mut waiting = 0;
        for (content, line) in &self.waiting {
            assert!(!line.is_empty() && line.iter().is_sorted_by_key(|(standing, _)| *standing), "{content}");
            assert_eq!(
                self.tickets.iter().filter(|ticket| *ticket == content).count(),
                line.len(),
                "{content}"
            );
            waiting += line.len();
        }
        assert_eq!(waiting, self.tickets.len(), "tickets for nobody");
    }
}
