//! Answers and transfers on their way in: each a file of its own that has no name yet.

use std::collections::BTreeMap;

use crate::core::SpoolId;
use crate::store::fs::FsResult;
use crate::store::temp::Temp;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Spools {
    by_id: BTreeMap<SpoolId, Spool>,
}

/// One of them.
#[derive(Debug)]
pub(crate) enum Spool {
    /// It is there.
    Open(Temp),
    /// It could not be written, and that was told. What comes until it is dropped is nobody's.
    Failed,
}

impl Spools {
    /// Takes in an empty one.
    pub(crate) fn open(&mut self, spool: SpoolId, temp: Temp) {
        self.by_id.insert(spool, Spool::Open(temp));
    }

    /// Whether it is there, or failed and was not dropped.
    pub(crate) fn contains(&self, spool: SpoolId) -> bool {
        self.by_id.contains_key(&spool)
    }

    /// How many are there.
    pub(crate) fn len(&self) -> usize {
        self.by_id.values().filter(|spool| matches!(spool, Spool::Open(_))).count()
    }

    /// The bytes in one that is there.
    pub(crate) fn bytes(&self, spool: SpoolId) -> Option<u64> {
        match self.by_id.get(&spool)? {
            Spool::Open(temp) => Some(temp.bytes()),
            Spool::Failed => None,
        }
    }

    /// The one that is there, or failed and was not dropped.
    pub(crate) fn get(&self, spool: SpoolId) -> Option<&Spool> {
        self.by_id.get(&spool)
    }

    /// Puts bytes behind those in a spool; for the first a file is made. A fault is told once.
    pub(crate) fn write(
        &mut self,
        spool: SpoolId,
        bytes: &[u8],
        make: impl FnOnce() -> FsResult<Temp>,
    ) -> FsResult<()> {
        if !self.contains(spool) {
            match make() {
                Ok(temp) => self.open(spool, temp),
                Err(errno) => {
                    self.fail(spool);
                    return Err(errno);
                }
            }
        }
        self.append(spool, bytes)
    }

    /// Puts bytes behind those in a spool that is there. A fault is told once.
    pub(crate) fn append(&mut self, spool: SpoolId, bytes: &[u8]) -> FsResult<()> {
        let Some(Spool::Open(temp)) = self.by_id.get_mut(&spool) else { return Ok(()) };
        let appended = temp.append(bytes);
        if appended.is_err() {
            self.fail(spool);
        }
        appended
    }

    /// Takes one out, to make something of it.
    pub(crate) fn take(&mut self, spool: SpoolId) -> Option<Spool> {
        self.by_id.remove(&spool)
    }

    /// Throws a spool away.
    pub(crate) fn drop_spool(&mut self, spool: SpoolId) {
        self.by_id.remove(&spool);
    }

    fn fail(&mut self, spool: SpoolId) {
        self.by_id.insert(spool, Spool::Failed);
    }
}
