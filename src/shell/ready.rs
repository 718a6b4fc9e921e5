//! Whose turn it is: the sockets that have something to do, first come, first served.

use std::collections::VecDeque;

/// A queue of keys in which each key stands at most once.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    queue: VecDeque<usize>,
    queued: Vec<bool>,
}

impl ReadyQueue {
    /// To the back of the queue, unless it stands in it already.
    pub(super) fn push(&mut self, key: usize) {
        if self.queued.len() <= key {
            self.queued.resize(key + 1, false);
        }
        if !self.queued[key] {
            self.queued[key] = true;
            self.queue.push_back(key);
        }
    }

    /// Whether a key stands in the queue.
    pub(super) fn contains(&self, key: usize) -> bool {
        self.queued.get(key).copied().unwrap_or(false)
    }

    /// Takes the first in the queue.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let key = self.queue.pop_front()?;
        self.queued[key] = false;
        Some(key)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_used_its_budget_waits_for_all_others() {
        let mut ready = ReadyQueue::default();
        for key in [4, 0, 4, 2, 0] {
            ready.push(key);
        }
        assert_eq!(ready.len(), 3);
        let mut visited = Vec::new();
        // Key 4 always has more to do; the others are done after one visit.
        for _ in 0..5 {
            let key = ready.pop().unwrap();
            visited.push(key);
            if key == 4 {
                ready.push(key);
            }
        }
        assert_eq!(visited, [4, 0, 2, 4, 4]);
    }

    proptest! {
        #[test]
        fn everybody_who_waits_is_served_once(keys in proptest::collection::vec(0usize..50, 0..200)) {
            let mut ready = ReadyQueue::default();
            for &key in &keys {
                ready.push(key);
            }
            let mut served: Vec<usize> = std::iter::from_fn(|| ready.pop()).collect();
            served.sort_unstable();
            let mut wanted = keys;
            wanted.sort_unstable();
            wanted.dedup();
            prop_assert_eq!(served, wanted);
            prop_assert!(ready.is_empty());
        }
    }
}
