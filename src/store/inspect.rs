//! What simulations look at in a store, to tell whether the core handles it rightly.

use crate::core::{ConnId, SpoolId};
use crate::store::Store;
use crate::store::classic::Classic;

impl Store {
    /// Whether something waits for [`Store::poll`].
    pub(crate) fn has_events(&self) -> bool {
        self.library.has_events()
    }

    /// Whether a spool is there, or failed and was not dropped.
    pub(crate) fn has_spool(&self, spool: SpoolId) -> bool {
        self.transfers.has(spool)
            || self.classic.as_ref().is_some_and(|classic| classic.spools.contains(spool))
    }

    /// The bytes in the spool of a classic answer, if it is one.
    pub(crate) fn classic_spool_bytes(&self, spool: SpoolId) -> Option<u64> {
        self.classic.as_ref()?.spools.bytes(spool)
    }

    /// How many classic answers are on their way in.
    pub(crate) fn classic_spools(&self) -> usize {
        self.classic.as_ref().map_or(0, |classic| classic.spools.len())
    }

    /// The connections that a chunk is open for.
    pub(crate) fn chunks_open_for(&self) -> Vec<ConnId> {
        self.classic.as_ref().map(Classic::open_for).unwrap_or_default()
    }
}
