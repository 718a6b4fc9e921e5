//! The numbers of spools that are in use, whatever their bytes become.

use std::collections::BTreeSet;

use crate::core::io::SpoolId;

/// The numbers in use.
#[derive(Debug, Default)]
pub(crate) struct Spools {
    used: BTreeSet<SpoolId>,
}

impl Spools {
    /// A number that is not in use, and is from now on.
    pub(crate) fn take(&mut self) -> SpoolId {
        let free = (0..).map(SpoolId).find(|spool| !self.used.contains(spool)).unwrap_or(SpoolId(u32::MAX));
        self.used.insert(free);
        free
    }

    /// A number is in use no longer.
    pub(crate) fn free(&mut self, spool: SpoolId) {
        self.used.remove(&spool);
    }

    /// Whether a number is in use.
    pub(crate) fn contains(&self, spool: SpoolId) -> bool {
        self.used.contains(&spool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spools_are_used_again() {
        let mut spools = Spools::default();
        assert_eq!([spools.take(), spools.take()], [SpoolId(0), SpoolId(1)]);
        spools.free(SpoolId(0));
        assert_eq!(spools.take(), SpoolId(0));
        assert!(spools.contains(SpoolId(1)));
    }
}
