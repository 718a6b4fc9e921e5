//! A process that dies at each of its calls in turn, and then the power fails: on a disk in memory, which loses what was
//! not brought to the device. The next process finds what the last one was told, and nothing torn.

use super::*;
use crate::core::{ClassicJob, ClassicReply, SpoolId, TransferJob, TransferReply};
use crate::store::fs::memory::MemoryDisk;
use crate::store::{ClassicStore, temp};
use crate::wire::classic::ChunkName;

const SPOOL: SpoolId = SpoolId(4);
const TARGET: &str = "/target";

/// A disk, and the process that uses it until it dies.
struct Machine {
    disk: MemoryDisk,
    plan: Arc<FaultPlan>,
}

impl Machine {
    /// An empty disk; the first process on it dies at this call.
    fn new(seed: u64, dies_at: u64) -> Machine {
        Machine { disk: MemoryDisk::new(seed), plan: Arc::new(FaultPlan::dead_from(dies_at)) }
    }

    fn open(&self) -> Result<Session, Fault> {
        let classic =
            ClassicStore { chunk_dir: PathBuf::from("/chunks"), records: None, remove_joined: false };
        let config = StoreConfig {
            state_dir: PathBuf::from("/state"),
            target_dir: PathBuf::from(TARGET),
            target_name: None,
            on_conflict: OnConflict::Rename,
            classic: Some(classic),
        };
        let store = Store::open_with(&config, self.disk.fs(Arc::clone(&self.plan)))?;
        let (_, woken) = channel();
        let mut session = Session { store, buffers: Buffers::new(1 << 20), woken, layout: Layout::Flat };
        session.run();
        Ok(session)
    }

    /// Runs a process until it has done this work or dies; it has no time for an orderly end. True when it did not die.
    fn run(&mut self, work: impl FnOnce(&mut Session) -> Option<PathBuf>) -> (Option<PathBuf>, bool) {
        let session = self.open();
        let told = session.ok().map(|mut session| {
            let told = work(&mut session);
            let has_struck = self.plan.has_struck();
            self.plan.strike_after(0);
            (told, has_struck)
        });
        self.plan = Arc::default();
        told.map_or((None, false), |(told, has_struck)| (told, !has_struck))
    }

    /// What stands under final names, by them.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let names = self.disk.files(Path::new(TARGET)).into_iter();
        let names =
            names.filter(|name| !temp::is_ours(name) && !name.contains(".part") && !name.contains(".state"));
        names.map(|name| (name.clone(), self.read(&Path::new(TARGET).join(name)))).collect()
    }

    fn read(&self, path: &Path) -> Vec<u8> {
        self.disk.read(path).map(|bytes| bytes.to_vec()).unwrap_or_default()
    }

    /// What the process was told of, if anything, is there; and so is nothing else.
    fn holds(&self, told: Option<PathBuf>, bytes: &[u8], what: &str) {
        if let Some(path) = told {
            assert_eq!(self.read(&path), bytes, "{what}: what was told of is lost");
        }
        for (name, there) in self.files() {
            assert_eq!(there, bytes, "{what}: {name} is torn");
        }
    }
}

/// A transfer with bytes around the file, as some senders have it.
fn transfer(session: &mut Session) -> Option<PathBuf> {
    session.submit(StoreJob::Transfer(TransferJob::OpenSpool { spool: SPOOL, bytes: None }));
    session.store.write_spool(SPOOL, b"6|abc");
    session.store.write_spool(SPOOL, b"def|");
    let keep = TransferJob::Keep { spool: SPOOL, name: "talk.mkv".to_owned(), skip: 2, bytes: 6 };
    session.submit(StoreJob::Transfer(keep)).into_iter().find_map(|reply| match reply {
        StoreReply::Transfer(TransferReply::Kept { path, .. }) => Some(path),
        _ => None,
    })
}

/// An answer of two chunks, and the file that they make.
fn join(session: &mut Session) -> Option<PathBuf> {
    let chunks = ["talk_1", "talk_2"].map(|name| ChunkName::parse(name).unwrap());
    for (name, bytes) in chunks.iter().zip([b"abc", b"def"]) {
        session.store.write_spool(SPOOL, bytes);
        let keep = ClassicJob::KeepSpool { spool: SPOOL, name: name.clone(), skip: 0 };
        session.submit(StoreJob::Classic(keep));
    }
    let merge = ClassicJob::Merge { ticket: 0, file: "talk.mkv".to_owned(), chunks: chunks.to_vec() };
    session.submit(StoreJob::Classic(merge)).into_iter().find_map(|reply| match reply {
        StoreReply::Classic(ClassicReply::Merged { path, .. }) => Some(path),
        _ => None,
    })
}

/// Dies at each call of this work, on disks that lose different things, until the work is done before that.
fn at_every_call(bytes: &[u8], work: impl Fn(&mut Session) -> Option<PathBuf>) {
    for seed in 0..4 {
        let survives = |at: u64, power_fails: bool| {
            let mut machine = Machine::new(seed, at);
            let (told, ended) = machine.run(&work);
            let what = format!("seed {seed}, died at {at}, then the power failed: {power_fails}");
            match power_fails {
                true => machine.disk.lose_power(),
                // What a process had written when it died is on the device a while later.
                false => machine.disk.settle(),
            }
            machine.holds(told, bytes, &what);
            let (told, _) = machine.run(&work);
            assert!(told.is_some(), "{what}: the next process fails");
            machine.disk.lose_power();
            machine.holds(told, bytes, &what);
            ended
        };
        let calls = (1..).find(|at| survives(*at, false) & survives(*at, true)).unwrap();
        assert!(calls > 20, "{calls} calls");
    }
}

#[test]
fn a_transfer_survives_a_power_failure_at_every_call() {
    at_every_call(b"abcdef", transfer);
}

#[test]
fn a_joined_file_survives_a_power_failure_at_every_call() {
    at_every_call(b"abcdef", join);
}

#[test]
fn a_download_survives_a_power_failure_at_every_call() {
    for len in [9, 8 * (16 << 10) + 1] {
        let content = Content::new("talk.mkv", len);
        at_every_call(&content.bytes, |session| session.download(&content).ok());
    }
}
