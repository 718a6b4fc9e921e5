//! Answers on their way in: each a file of its own that has no name yet.

use std::collections::BTreeMap;

use crate::core::name::quoted;
use crate::core::{Fault, FaultKind, SpoolId};
use crate::store::classic::folder::ChunkFolder;
use crate::store::classic::keeping::Keeping;
use crate::store::classic::temp::Temp;
use crate::store::fault;
use crate::wire::classic::ChunkName;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Spools {
    by_id: BTreeMap<SpoolId, Spool>,
}

#[derive(Debug)]
enum Spool {
    /// It has bytes.
    Open(Temp),
    /// It could not be written, and that was told. What comes until it is dropped is nobody's.
    Failed,
}

impl Spools {
    /// Puts bytes behind those in a spool; the first make it. A fault is told once.
    pub(crate) fn write(
        &mut self,
        folder: &mut ChunkFolder,
        spool: SpoolId,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let written = match self.by_id.get_mut(&spool) {
            Some(Spool::Failed) => return Ok(()),
            Some(Spool::Open(temp)) => temp.append(bytes),
            None => folder.make_temp().and_then(|mut temp| {
                temp.append(bytes)?;
                self.by_id.insert(spool, Spool::Open(temp));
                Ok(())
            }),
        };
        written.map_err(|errno| {
            self.by_id.insert(spool, Spool::Failed);
            fault::keeping("keep a chunk in", folder.path(), errno)
        })
    }

    /// Takes a spool to make a chunk of it; `None`: its fault was told before.
    pub(crate) fn keep(
        &mut self,
        spool: SpoolId,
        name: ChunkName,
        skip: u64,
    ) -> Result<Option<Keeping>, Fault> {
        match self.by_id.remove(&spool) {
            Some(Spool::Open(from)) if from.bytes() > skip => Ok(Some(Keeping::new(spool, name, from, skip))),
            Some(Spool::Failed) => Ok(None),
            Some(Spool::Open(_)) | None => {
                let shown = quoted(&name.to_string());
                let text = format!("no byte of the chunk {shown} came; ask another peer for it");
                Err(fault::fault(FaultKind::Io, text))
            }
        }
    }

    /// Throws a spool away.
    pub(crate) fn drop_spool(&mut self, spool: SpoolId) {
        self.by_id.remove(&spool);
    }
}
