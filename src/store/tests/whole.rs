//! Contents of one chunk, stored as a whole: made, filled and named by the I/O thread.

use rustix::io::Errno;

use super::*;

impl Session {
    /// Hands these bytes over as all of a content, without a look at what comes of it.
    fn hand_whole(&mut self, content: &Content, bytes: &[u8], buffer: u32) {
        let buffer = BufferId(buffer);
        self.buffers.get_or_make(buffer, bytes.len()).copy_from_slice(bytes);
        self.store.submit(StoreJob::StoreSingleChunk { content: content.id, buffer }, &mut self.buffers);
    }

    /// The next replies, when there are some.
    fn wait(&mut self) -> Vec<StoreReply> {
        self.store.flush();
        let mut replies = replies(self.run());
        while replies.is_empty() {
            self.woken.recv_timeout(WAIT_MAX).unwrap();
            replies = self::replies(self.run());
        }
        for reply in &replies {
            if let StoreReply::SingleChunkStored { buffer, .. } | StoreReply::ChunkFailed { buffer, .. } =
                reply
            {
                self.buffers.release(*buffer);
            }
        }
        replies
    }

    /// Stores all of a content of which nothing is there.
    fn store_whole(&mut self, content: &Content) -> Result<PathBuf, Fault> {
        assert_eq!(self.open_part(content)?, PartState::Fresh);
        self.hand_whole(content, &content.bytes, 0);
        match self.wait().remove(0) {
            StoreReply::SingleChunkStored { path, .. } => Ok(path),
            StoreReply::ChunkFailed { fault, .. } => Err(fault),
            other => panic!("{other:?}"),
        }
    }
}

fn small(name: &str) -> Content {
    Content::new(name, 4_096)
}

#[test]
fn the_file_is_there_and_served() {
    for len in [1, 1_024, 4_096, 16_384] {
        let (place, content) = (Place::new(), Content::new("a.txt", len));
        let mut session = place.open();
        let path = session.store_whole(&content).unwrap();
        assert_eq!((path, place.listing()), (place.in_target("a.txt"), vec!["a.txt".to_owned()]));
        assert_eq!(fs::read(place.in_target("a.txt")).unwrap(), content.bytes);
        assert_eq!(session.served(&content), Ok(content.bytes.clone()));
        assert!(matches!(session.open_part(&content), Ok(PartState::Complete { .. })));
    }
}

#[test]
fn other_bytes_are_bad_and_leave_nothing() {
    let (place, content) = (Place::new(), small("a.txt"));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    let mut wrong = content.bytes.clone();
    wrong[4_095] ^= 1;
    for bytes in [&wrong[..], &content.bytes[..4_095], &[]] {
        session.hand_whole(&content, bytes, 0);
        let replies = session.wait();
        assert!(matches!(replies[..], [StoreReply::ChunkBad { chunk: 0, .. }]), "{replies:?}");
        session.buffers.release(BufferId(0));
        assert_eq!(place.listing(), [""; 0]);
    }
    // The right ones are taken all the same.
    session.hand_whole(&content, &content.bytes, 0);
    assert!(matches!(session.wait()[..], [StoreReply::SingleChunkStored { .. }]));
}

#[test]
fn what_is_in_the_way_is_left_alone() {
    let (place, content) = (Place::new(), small("a.txt"));
    fs::write(place.in_target("a.txt"), "mine").unwrap();
    fs::write(place.in_target(&content.part()), vec![1; 9_000]).unwrap();
    let mut session = place.open();
    assert_eq!(session.store_whole(&content).unwrap(), place.in_target("a (2).txt"));
    assert_eq!(place.listing(), ["a (2).txt", "a.txt"]);
    assert_eq!(fs::read(place.in_target("a (2).txt")).unwrap(), content.bytes);
    assert_eq!(fs::read(place.in_target("a.txt")).unwrap(), b"mine");
}

#[test]
fn what_came_there_meanwhile_is_compared() {
    let place = Place::new();
    let mut session = place.open();
    // So many that the folder is listed, and not looked into for each.
    for number in 0..40 {
        session.store_whole(&small(&format!("{number}.txt"))).unwrap();
    }
    let (same, other) = (small("same.txt"), small("other.txt"));
    for content in [&same, &other] {
        assert_eq!(session.open_part(content).unwrap(), PartState::Fresh);
    }
    fs::write(place.in_target("same.txt"), &same.bytes).unwrap();
    fs::write(place.in_target("other.txt"), vec![7; 4_096]).unwrap();
    for (number, content) in [&same, &other].into_iter().enumerate() {
        session.hand_whole(content, &content.bytes, number as u32);
    }
    let mut paths = Vec::new();
    while paths.len() < 2 {
        for reply in session.wait() {
            let StoreReply::SingleChunkStored { path, .. } = reply else { panic!("{reply:?}") };
            paths.push(path);
        }
    }
    paths.sort();
    assert_eq!(paths, [place.in_target("other (2).txt"), place.in_target("same.txt")]);
    assert_eq!(place.listing().len(), 43);
    assert_eq!(session.served(&same), Ok(same.bytes.clone()));
    // What is there when the folder is listed is found.
    assert!(matches!(session.open_part(&small("7.txt")), Ok(PartState::Complete { .. })));
}

#[test]
fn where_no_other_name_will_do_what_came_there_meanwhile_stops_it() {
    for on_conflict in [OnConflict::Skip, OnConflict::Error] {
        let place = Place::new();
        let mut session = place.open_as(StoreConfig { on_conflict, ..place.config() }, None);
        for number in 0..40 {
            session.store_whole(&small(&format!("{number}.txt"))).unwrap();
        }
        // What is there is seen, however many came before.
        fs::write(place.in_target("there.txt"), "mine").unwrap();
        let there = session.open_part(&small("there.txt"));
        assert_ne!(there.ok(), Some(PartState::Fresh), "{on_conflict:?}");
        let late = small("late.txt");
        assert_eq!(session.open_part(&late).unwrap(), PartState::Fresh);
        fs::write(place.in_target("late.txt"), "mine").unwrap();
        session.hand_whole(&late, &late.bytes, 0);
        assert!(matches!(session.wait()[..], [StoreReply::ChunkFailed { .. }]));
        assert_eq!(place.listing().len(), 42, "no copy, and no part: {:?}", place.listing());
        assert_eq!(fs::read(place.in_target("late.txt")).unwrap(), b"mine");
    }
}

#[test]
fn a_part_that_may_not_be_on_the_device_is_gone() {
    let content = small("a.txt");
    let calls = {
        let (place, plan) = (Place::new(), Arc::new(FaultPlan::dead_from(0)));
        place.open_as(place.config(), Some(&plan)).store_whole(&content).unwrap();
        plan.calls()
    };
    let mut suspects = 0;
    for at in 1..=calls {
        let (place, plan) = (Place::new(), Arc::new(FaultPlan::fail_once(at, Errno::IO)));
        let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) else { continue };
        if session.store_whole(&content).is_err_and(|fault| fault.text.contains("save")) {
            suspects += 1;
            assert!(!place.in_target(&content.part()).exists(), "{at}");
        }
    }
    assert!(suspects > 0);
}

#[test]
fn who_lets_go_and_asks_again_hears_what_came_of_it() {
    let (place, content) = (Place::new(), small("a.txt"));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.hand_whole(&content, &content.bytes, 0);
    session.close(&content);
    let size = content.bytes.len() as u64;
    let (name, layout) = (content.name.clone(), Layout::Flat);
    let open = StoreJob::OpenPart { content: content.id, name, layout, size };
    assert!(session.submit(open).is_empty());
    let mut replies = session.wait();
    while replies.len() < 2 {
        replies.extend(session.wait());
    }
    let opened = |reply: &StoreReply| {
        matches!(reply, StoreReply::PartOpened { state: PartState::Complete { .. }, .. })
    };
    assert!(replies.iter().any(opened), "{replies:?}");
    assert!(replies.iter().any(|reply| matches!(reply, StoreReply::SingleChunkStored { .. })), "{replies:?}");
}

/// At whichever call the process dies or one fails: no half file has the final name, and the next run has all of it.
#[test]
fn any_call_may_fail() {
    let content = small("a.txt");
    let calls = {
        let (place, plan) = (Place::new(), Arc::new(FaultPlan::dead_from(0)));
        place.open_as(place.config(), Some(&plan)).store_whole(&content).unwrap();
        plan.calls()
    };
    assert!(calls > 8, "{calls}");
    for at in 1..=calls {
        for plan in [FaultPlan::dead_from(at), FaultPlan::fail_once(at, Errno::NOSPC)] {
            let (place, plan) = (Place::new(), Arc::new(plan));
            if let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) {
                let _ = session.store_whole(&content);
            }
            let named = fs::read(place.in_target("a.txt"));
            assert!(named.is_err() || named.is_ok_and(|bytes| bytes == content.bytes), "{at}");
            let mut session = place.open();
            assert_eq!(session.download(&content).unwrap(), place.in_target("a.txt"), "{at}");
            assert_eq!(fs::read(place.in_target("a.txt")).unwrap(), content.bytes, "{at}");
            assert_eq!(place.listing(), ["a.txt"], "{at}");
        }
    }
}
