//! The pushes' part of a virtual disk: spools, and files under their final names.
//!
//! What the driver and the core's jobs do to a spool has its effect at once and in order, as on a real disk that one
//! thread writes to; only replies take the disk's time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::core::{Fault, FaultKind, ForeignJob, ForeignReply, Rng, SpoolId};
use crate::sim::scenario::DiskSpec;

/// See the file's head.
#[derive(Debug, Default)]
pub(in crate::sim) struct Tray {
    /// Files under their final names, which outlive the process.
    pub(in crate::sim) kept: BTreeMap<String, Vec<u8>>,
    spools: BTreeMap<SpoolId, Vec<u8>>,
    /// Spools that could not be made or written, which the core may not have heard yet.
    failed: BTreeSet<SpoolId>,
    /// Spools on their way to a name.
    keeping: BTreeMap<SpoolId, Vec<u8>>,
    /// How often each number was opened, so that what is told of a thrown away spool is not told of the next.
    opened: BTreeMap<SpoolId, u64>,
    pub(in crate::sim) complaint: Option<String>,
}

impl Tray {
    /// A new process begins: what was coming is gone.
    pub(in crate::sim) fn restart(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        *self = Tray { kept, ..Tray::default() };
    }

    /// Whether a spool is one of these.
    pub(in crate::sim) fn has(&self, spool: SpoolId) -> bool {
        self.spools.contains_key(&spool) || self.failed.contains(&spool)
    }

    /// Whether something has no name yet.
    pub(in crate::sim) fn is_busy(&self) -> bool {
        !self.spools.is_empty() || !self.keeping.is_empty()
    }

    /// Puts bytes behind those in a spool; the reply when that fails.
    pub(in crate::sim) fn append(
        &mut self,
        spool: SpoolId,
        bytes: &[u8],
        spec: &mut DiskSpec,
        rng: &mut Rng,
    ) -> Option<ForeignReply> {
        let spooled = self.spools.get_mut(&spool)?;
        match takes(bytes.len(), spec, rng) {
            Ok(()) => {
                spooled.extend_from_slice(bytes);
                None
            }
            Err(fault) => {
                self.spools.remove(&spool);
                self.failed.insert(spool);
                Some(ForeignReply::SpoolFailed { spool, fault })
            }
        }
    }

    /// What a job does at once; what is left to tell, or to do, later.
    pub(in crate::sim) fn begin(&mut self, job: &ForeignJob, spec: &DiskSpec) -> Next {
        match job {
            ForeignJob::OpenSpool { spool, bytes } => {
                *self.opened.entry(*spool).or_default() += 1;
                self.failed.remove(spool);
                let too_many = spec.free_bytes.is_some_and(|free| bytes.unwrap_or(0) > free);
                if too_many || spec.free_bytes == Some(0) {
                    self.failed.insert(*spool);
                    return Next::Tell(ForeignReply::SpoolFailed { spool: *spool, fault: full() });
                }
                if self.spools.insert(*spool, Vec::new()).is_some() {
                    self.complain(format!("{spool} is opened twice"));
                }
                Next::Tell(ForeignReply::Opened { spool: *spool })
            }
            ForeignJob::ReadEnds { spool, head, tail } => match self.spools.get(spool) {
                Some(all) => Next::Tell(ForeignReply::Ends {
                    spool: *spool,
                    head: all[..all.len().min(*head)].to_vec(),
                    tail: all[all.len().saturating_sub(*tail)..].to_vec(),
                    bytes: all.len() as u64,
                }),
                None => self.must_have_failed(*spool),
            },
            ForeignJob::Keep { spool, .. } => match self.spools.remove(spool) {
                Some(bytes) => {
                    self.keeping.insert(*spool, bytes);
                    Next::Do
                }
                None => self.must_have_failed(*spool),
            },
            ForeignJob::DropSpool { spool } => {
                self.spools.remove(spool);
                self.failed.remove(spool);
                *self.opened.entry(*spool).or_default() += 1;
                Next::Nothing
            }
        }
    }

    /// Which opening of a spool a reply belongs to.
    pub(in crate::sim) fn opening(&self, reply: &ForeignReply) -> u64 {
        let (ForeignReply::Opened { spool }
        | ForeignReply::Ends { spool, .. }
        | ForeignReply::Kept { spool, .. }
        | ForeignReply::SpoolFailed { spool, .. }) = reply;
        self.opened.get(spool).copied().unwrap_or(0)
    }

    /// Gives a file its name, without replacing another.
    pub(in crate::sim) fn carry_out(
        &mut self,
        job: ForeignJob,
        spec: &DiskSpec,
        rng: &mut Rng,
    ) -> Option<ForeignReply> {
        let ForeignJob::Keep { spool, name, skip, bytes } = job else { return None };
        let all = self.keeping.remove(&spool)?;
        if rng.chance_ppm(spec.write_error_ppm) {
            return Some(ForeignReply::SpoolFailed { spool, fault: device_fails() });
        }
        let (begin, len) = (usize::try_from(skip).ok()?, usize::try_from(bytes).ok()?);
        let Some(file) = begin.checked_add(len).and_then(|end| all.get(begin..end)) else {
            self.complain(format!("{bytes} bytes at {skip} are kept of {} that came", all.len()));
            return None;
        };
        let free = (1..).map(|number| if number == 1 { name.clone() } else { format!("{name} ({number})") });
        let free = free.into_iter().find(|name| !self.kept.contains_key(name)).unwrap_or(name);
        self.kept.insert(free.clone(), file.to_vec());
        Some(ForeignReply::Kept { spool, path: PathBuf::from(free) })
    }

    fn must_have_failed(&mut self, spool: SpoolId) -> Next {
        if !self.failed.contains(&spool) {
            self.complain(format!("{spool} is to be kept or read, but is not there"));
        }
        Next::Nothing
    }

    fn complain(&mut self, what: String) {
        self.complaint.get_or_insert(what);
    }
}

/// What follows from a job.
#[derive(Debug)]
pub(in crate::sim) enum Next {
    /// Nothing.
    Nothing,
    /// This is told when the disk comes to it.
    Tell(ForeignReply),
    /// It is carried out when the disk comes to it.
    Do,
}

/// Takes bytes off what is free on a disk.
fn takes(bytes: usize, spec: &mut DiskSpec, rng: &mut Rng) -> Result<(), Fault> {
    if rng.chance_ppm(spec.write_error_ppm) {
        return Err(device_fails());
    }
    match &mut spec.free_bytes {
        Some(free) if *free < bytes as u64 => Err(full()),
        Some(free) => {
            *free -= bytes as u64;
            Ok(())
        }
        None => Ok(()),
    }
}

fn full() -> Fault {
    Fault { kind: FaultKind::Full, text: "the disk is full".to_owned() }
}

fn device_fails() -> Fault {
    Fault { kind: FaultKind::Io, text: "the device fails".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOOL: SpoolId = SpoolId(3);

    fn keep() -> ForeignJob {
        ForeignJob::Keep { spool: SPOOL, name: "x.png".to_owned(), skip: 1, bytes: 3 }
    }

    #[test]
    fn a_spool_becomes_a_file_that_replaces_no_other() {
        let (mut tray, mut spec, mut rng) = (Tray::default(), DiskSpec::default(), Rng::new(1));
        for name in ["x.png", "x.png (2)"] {
            let open = ForeignJob::OpenSpool { spool: SPOOL, bytes: Some(4) };
            assert!(matches!(tray.begin(&open, &spec), Next::Tell(ForeignReply::Opened { .. })));
            assert!(tray.append(SPOOL, b"3abc", &mut spec, &mut rng).is_none() && tray.is_busy());
            assert!(matches!(tray.begin(&keep(), &spec), Next::Do));
            let reply = tray.carry_out(keep(), &spec, &mut rng);
            let Some(ForeignReply::Kept { path, .. }) = reply else { panic!("{reply:?}") };
            assert_eq!((path, &tray.kept[name][..]), (PathBuf::from(name), &b"abc"[..]));
        }
        assert!(!tray.is_busy() && tray.complaint.is_none());
    }

    #[test]
    fn a_failure_is_told_once_and_nonsense_is_complained_of() {
        let (mut tray, mut spec, mut rng) = (Tray::default(), DiskSpec::default(), Rng::new(1));
        tray.begin(&ForeignJob::OpenSpool { spool: SPOOL, bytes: None }, &spec);
        spec.free_bytes = Some(2);
        assert!(tray.append(SPOOL, b"abc", &mut spec, &mut rng).is_some());
        assert!(tray.append(SPOOL, b"d", &mut spec, &mut rng).is_none());
        assert!(matches!(tray.begin(&keep(), &spec), Next::Nothing) && tray.complaint.is_none());
        tray.begin(&ForeignJob::DropSpool { spool: SPOOL }, &spec);
        assert!(matches!(tray.begin(&keep(), &spec), Next::Nothing) && tray.complaint.is_some());
    }
}
