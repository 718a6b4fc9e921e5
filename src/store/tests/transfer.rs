//! Files that are sent here: from a spool to a final name, whole or not at all.

use super::*;
use crate::core::{FaultKind, SpoolId, TransferJob, TransferReply};

const SPOOL: SpoolId = SpoolId(4);

impl Session {
    /// What is answered to a job, or to bytes that were written before it.
    fn push(&mut self, job: TransferJob) -> Vec<TransferReply> {
        let replies = self.submit(StoreJob::Transfer(job));
        foreign(replies)
    }

    fn spool(&mut self, bytes: Option<u64>) -> Vec<TransferReply> {
        self.push(TransferJob::OpenSpool { spool: SPOOL, bytes })
    }

    /// The one reply to the wish for a name, or the failure that was told before.
    fn keep_transfer(&mut self, name: &str, skip: u64, bytes: u64) -> Result<PathBuf, Fault> {
        let mut replies = self.push(TransferJob::Keep { spool: SPOOL, name: name.to_owned(), skip, bytes });
        while replies.is_empty() {
            self.woken.recv_timeout(WAIT_MAX).unwrap();
            replies = foreign(self::replies(self.run()));
        }
        assert_eq!(replies.len(), 1, "{replies:?}");
        match replies.remove(0) {
            TransferReply::Kept { spool: SPOOL, path } => Ok(path),
            TransferReply::SpoolFailed { spool: SPOOL, fault } => Err(fault),
            other => panic!("{other:?}"),
        }
    }

    /// A whole transfer, from the first byte to the final name.
    fn take_in(&mut self, name: &str, pieces: &[&[u8]]) -> Result<PathBuf, Fault> {
        match self.spool(None).remove(0) {
            TransferReply::Opened { .. } => {}
            TransferReply::SpoolFailed { fault, .. } => return Err(fault),
            other => panic!("{other:?}"),
        }
        pieces.iter().for_each(|piece| self.store.write_spool(SPOOL, piece));
        self.keep_transfer(name, 0, pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}

fn foreign(replies: Vec<StoreReply>) -> Vec<TransferReply> {
    let of = |reply| if let StoreReply::Transfer(reply) = reply { Some(reply) } else { None };
    replies.into_iter().filter_map(of).collect()
}

#[test]
fn what_came_has_its_name_when_it_is_whole_and_replaces_nothing() {
    let place = Place::new();
    let mut session = place.open();
    fs::write(place.in_target("x.png"), "precious").unwrap();
    let whole = bytes(3_000_000, "whole");
    let pieces: Vec<&[u8]> = whole.chunks(700_000).collect();
    let path = session.take_in("x.png", &pieces).unwrap();
    assert_eq!(path, place.in_target("x (2).png"));
    assert!(fs::read(path).unwrap() == whole);
    assert_eq!(fs::read(place.in_target("x.png")).unwrap(), b"precious");
    // A file may have no byte, and a name is only a suggestion.
    let path = session.take_in("../../etc/CON", &[]).unwrap();
    assert_eq!((path, place.listing().len()), (place.in_target("_CON"), 3));
    let fault = session.take_in("..", &[b"x"]).unwrap_err();
    assert_eq!((fault.kind, place.listing().len()), (FaultKind::NameRefused, 3), "{}", fault.text);
}

#[test]
fn what_stands_around_a_file_is_cut_away() {
    let place = Place::new();
    let mut session = place.open();
    // More than one slice of copying.
    let file = bytes(2_500_000, "file");
    let stream = [b"2500000".as_slice(), &file, b"alice"].concat();
    session.spool(None);
    session.store.write_spool(SPOOL, &stream);
    let ends = session.push(TransferJob::ReadEnds { spool: SPOOL, head: 9, tail: 5 });
    let [TransferReply::Ends { spool: SPOOL, head, tail, bytes }] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((&head[..7], &tail[..], *bytes), (&b"2500000"[..], &b"alice"[..], stream.len() as u64));
    let path = session.keep_transfer("alice.png", 7, file.len() as u64).unwrap();
    assert!(fs::read(path).unwrap() == file);
    assert_eq!(place.listing(), ["alice.png"]);
}

#[test]
fn nothing_is_left_of_what_is_thrown_away_or_of_who_died() {
    let place = Place::new();
    let mut session = place.open();
    session.spool(Some(100));
    session.store.write_spool(SPOOL, b"half");
    assert_eq!(place.listing().len(), 1, "a hidden file");
    assert!(session.push(TransferJob::DropSpool { spool: SPOOL }).is_empty());
    assert_eq!(place.listing(), [""; 0]);
    // Bytes that were on their way to it make no file.
    session.store.write_spool(SPOOL, b"late");
    assert_eq!(place.listing(), [""; 0]);
    // What a process left behind that died goes before the next file comes.
    fs::write(place.in_target(".chunkcast-4711-00000000deadbeef.temp"), "half").unwrap();
    drop(session);
    let mut session = place.open();
    session.take_in("x.png", &[b"whole"]).unwrap();
    assert_eq!(place.listing(), ["x.png"]);
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_a_byte() {
    let place = Place::new();
    let mut session = place.open();
    let replies = session.spool(Some(u64::MAX));
    let [TransferReply::SpoolFailed { fault, .. }] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(fault.kind, FaultKind::Full, "{}", fault.text);
    assert!(!fault.text.contains("resumes") && fault.text.contains("--dir"), "{}", fault.text);
    assert_eq!(place.listing(), [""; 0]);
}

#[test]
fn a_failure_is_told_once_and_at_every_failing_call_a_file_is_whole_or_not_there() {
    let whole = bytes(100_000, "whole");
    for at in 1.. {
        let place = Place::new();
        let plan = Arc::new(FaultPlan::fail_once(at, rustix::io::Errno::NOSPC));
        let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) else { continue };
        let before = plan.calls();
        let pieces: Vec<&[u8]> = whole.chunks(30_000).collect();
        let kept = session.take_in("x.png", &pieces);
        let calls = plan.calls();
        // Whatever comes after the end of it is told of nothing more.
        session.push(TransferJob::DropSpool { spool: SPOOL });
        assert!(foreign(replies(session.run())).is_empty(), "at {at}");
        let left = place.listing();
        match kept {
            Ok(path) => assert!(fs::read(path).unwrap() == whole, "at {at}"),
            Err(fault) => {
                assert_ne!(fault.kind, FaultKind::Bug, "at {at}: {}", fault.text);
                // What cannot be removed is swept away by the next process; a name that may not outlive the machine is
                // told as a failure, but the file is whole.
                for name in left.iter().filter(|name| !name.starts_with(".chunkcast-")) {
                    assert!(fs::read(place.in_target(name)).unwrap() == whole, "at {at}: {left:?}");
                }
            }
        }
        if at > calls {
            assert!(at > before + 8, "{at} calls");
            return;
        }
    }
}

#[test]
fn a_write_that_failed_is_told_once_whatever_is_asked_next() {
    let keep = || TransferJob::Keep { spool: SPOOL, name: "x.png".to_owned(), skip: 0, bytes: 5_000 };
    let ends = || TransferJob::ReadEnds { spool: SPOOL, head: 9, tail: 9 };
    for next in [keep as fn() -> TransferJob, ends] {
        let struck = (1..).find(|at| {
            let place = Place::new();
            let plan = Arc::new(FaultPlan::fail_once(*at, rustix::io::Errno::NOSPC));
            let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) else { return false };
            let opened = matches!(session.spool(None)[..], [TransferReply::Opened { .. }]);
            if !opened || plan.calls() >= *at {
                return false;
            }
            session.store.write_spool(SPOOL, &bytes(5_000, "whole"));
            assert!(plan.calls() >= *at, "the call after those that make it is the write");
            // The core has not heard yet that it failed.
            let replies = session.push(next());
            let [TransferReply::SpoolFailed { fault, .. }] = &replies[..] else { panic!("{replies:?}") };
            assert_eq!(fault.kind, FaultKind::Full, "{}", fault.text);
            session.push(TransferJob::DropSpool { spool: SPOOL });
            assert_eq!(place.listing(), [""; 0]);
            true
        });
        assert!(struck.is_some());
    }
}
