//! How often each thing happened that is not worth a line of its own.

use std::collections::BTreeMap;

/// Counters by name.
#[derive(Debug, Default)]
pub(crate) struct Counters(BTreeMap<&'static str, u64>);

impl Counters {
    /// It happened once more.
    pub(crate) fn add(&mut self, name: &'static str) {
        self.add_many(name, 1);
    }

    /// It happened so many times more.
    pub(crate) fn add_many(&mut self, name: &'static str, times: u64) {
        let count = self.0.entry(name).or_default();
        *count = count.saturating_add(times);
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count)).collect()
    }
}
