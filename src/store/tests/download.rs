//! Downloads: names, conflicts, writing, resuming, publishing.

use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;

use super::*;
use crate::core::FaultKind;

const MANY: usize = 20 * (16 << 10) + 77;

#[test]
fn sizes_at_every_edge_arrive() {
    for len in [0, 1, 1023, 1024, 1025, 16 << 10, (16 << 10) + 1, 32 << 10, MANY, 3_000_000] {
        let (place, content) = (Place::new(), Content::new("talk.mkv", len));
        let mut session = place.open();
        assert_eq!(session.download(&content).unwrap(), place.in_target("talk.mkv"));
        assert_eq!(fs::read(place.in_target("talk.mkv")).unwrap(), content.bytes);
        assert_eq!(place.listing(), ["talk.mkv"]);
        assert_eq!(session.served(&content).unwrap(), content.bytes);
        let state = place.open().open_part(&content).unwrap();
        assert!(matches!(state, PartState::Complete { path, .. } if path == place.in_target("talk.mkv")));
    }
}

#[test]
fn chunks_are_served_as_soon_as_they_are_stored() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    assert!(matches!(session.write(&content, 3), StoreReply::ChunkStored { chunk: 3, .. }));
    let (offset, len) = content.manifest.geometry.chunk_span(3).unwrap();
    let served = session.served(&content).unwrap();
    assert_eq!(&served[offset as usize..][..len as usize], content.chunk(3));
}

#[test]
fn bad_chunks_are_not_written() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    let mut wrong = content.chunk(2).to_vec();
    wrong[5] ^= 1;
    for (chunk, bytes) in
        [(2, &wrong[..]), (1, content.chunk(2)), (2, &wrong[1..]), (20, &wrong), (99, &wrong), (2, &[])]
    {
        let reply = session.write_bytes(&content, chunk, bytes);
        assert!(matches!(reply, StoreReply::ChunkBad { .. }), "{reply:?}");
    }
    assert!(fs::read(place.in_target(&content.part())).unwrap().iter().all(|byte| *byte == 0));
    assert_eq!(session.publish(&content).unwrap_err().kind, FaultKind::Bug);
}

#[test]
fn jobs_without_a_part_are_answered() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    assert_eq!(session.create(&content).unwrap_err().kind, FaultKind::Bug);
    assert!(matches!(session.write(&content, 0), StoreReply::ChunkFailed { .. }));
    assert_eq!(session.publish(&content).unwrap_err().kind, FaultKind::Bug);
    session.close(&content);
    assert_eq!(session.served(&content), Err(SpanFault::Gone));
}

#[test]
fn a_closed_part_goes_on_without_hashing_and_a_torn_one_is_hashed() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..7).for_each(|chunk| drop(session.write(&content, chunk)));
    session.close(&content);
    drop(session);
    let calls_to_resume = || {
        let plan = Arc::new(FaultPlan::dead_from(0));
        let mut session = place.open_as(place.config(), Some(&plan));
        let state = session.open_part(&content).unwrap();
        let PartState::Resumed { have, geometry } = state else { panic!("{state:?}") };
        assert_eq!(
            (have.iter().collect::<Vec<_>>(), geometry),
            ((0..7).collect(), content.manifest.geometry)
        );
        plan.calls()
    };
    let clean = calls_to_resume();
    // Nothing was written since, so the mark still holds; a mark that is not the last record does not.
    assert_eq!(calls_to_resume(), clean);
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.write(&content, 7);
    drop(session);
    fs::write(place.in_target(&content.part()), {
        let mut bytes = fs::read(place.in_target(&content.part())).unwrap();
        bytes[7 * (16 << 10)] ^= 1;
        bytes
    })
    .unwrap();
    let hashed = calls_to_resume();
    assert!(hashed >= clean + 8, "{hashed} calls against {clean}");
    assert_eq!(place.open().download(&content).unwrap(), place.in_target("talk.mkv"));
    assert_eq!(fs::read(place.in_target("talk.mkv")).unwrap(), content.bytes);
}

#[test]
fn a_part_that_somebody_touched_after_its_clean_end_is_hashed() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..20).for_each(|chunk| drop(session.write(&content, chunk)));
    session.close(&content);
    let part = place.in_target(&content.part());
    let mut bytes = fs::read(&part).unwrap();
    bytes[0] ^= 1;
    bytes.truncate(19 * (16 << 10));
    fs::write(&part, bytes).unwrap();
    let PartState::Resumed { have, .. } = place.open().open_part(&content).unwrap() else { panic!() };
    assert_eq!(have.iter().collect::<Vec<_>>(), (1..19).collect::<Vec<_>>());
}

#[test]
fn a_part_of_nothing_is_removed_when_it_is_closed() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    assert_eq!(place.listing(), [content.part(), content.state()]);
    session.close(&content);
    assert!(place.listing().is_empty());
}

#[test]
fn every_corrupt_state_is_survived() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", 3 * (16 << 10) + 5));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..3).for_each(|chunk| drop(session.write(&content, chunk)));
    session.close(&content);
    drop(session);
    let (state, part) = (place.in_target(&content.state()), place.in_target(&content.part()));
    let (whole, half_done) = (fs::read(&state).unwrap(), fs::read(&part).unwrap());
    let flipped = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x81;
        bytes
    });
    let prefixes = (0..whole.len()).map(|len| whole[..len].to_vec());
    let manifests = place.path("state/chunkcast/manifests");
    for (number, corrupt) in prefixes.chain(flipped).chain([vec![0; 9], bytes(9000, "noise")]).enumerate() {
        fs::write(&part, &half_done).unwrap();
        fs::write(&state, &corrupt).unwrap();
        if number % 2 == 0 {
            let _ = fs::remove_dir_all(&manifests);
        }
        let mut session = place.open();
        match session.open_part(&content).unwrap() {
            PartState::Resumed { have, .. } => assert!(!have.get(3) && have.count() <= 3),
            PartState::Fresh => {}
            other => panic!("{other:?}"),
        }
        // What the opening left is whole again, whatever it was.
        drop(session);
        let path = place.open().download(&content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content.bytes, "{number}");
        for name in place.listing() {
            fs::remove_file(place.in_target(&name)).unwrap();
        }
    }
}

#[test]
fn a_lost_state_is_rebuilt_from_the_manifest_in_the_state_directory() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    [1, 4, 20].into_iter().for_each(|chunk| drop(session.write(&content, chunk)));
    drop(session);
    fs::write(place.in_target(&content.state()), b"CCS2 from the future").unwrap();
    for _ in 0..2 {
        let PartState::Resumed { have, .. } = place.open().open_part(&content).unwrap() else { panic!() };
        assert_eq!(have.iter().collect::<Vec<_>>(), [1, 4, 20]);
    }
    assert_eq!(place.listing().last().unwrap(), &format!("{}.bad-1", content.state()));
}

#[test]
fn what_is_in_the_way_is_treated_as_was_asked() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", 5000));
    let target = place.in_target("talk.mkv");
    let with = |on_conflict| place.open_as(StoreConfig { on_conflict, ..place.config() }, None);
    for there in [bytes(5000, "same size"), b"other".to_vec()] {
        fs::write(&target, &there).unwrap();
        let skipped = with(OnConflict::Skip).open_part(&content).unwrap();
        assert_eq!(skipped, PartState::Skipped { path: target.clone() });
        assert_eq!(with(OnConflict::Error).open_part(&content).unwrap_err().kind, FaultKind::Exists);
        let second = place.in_target("talk (2).mkv");
        assert_eq!(with(OnConflict::Rename).download(&content).unwrap(), second);
        assert_eq!(fs::read(&target).unwrap(), there);
        // The same command again finds it there.
        let again = with(OnConflict::Rename).open_part(&content).unwrap();
        assert!(matches!(again, PartState::Complete { path, .. } if path == second));
        fs::remove_file(second).unwrap();
        let mut session = with(OnConflict::Overwrite);
        session.open_part(&content).unwrap();
        session.create(&content).unwrap();
        assert_eq!(fs::read(&target).unwrap(), there, "until it is complete");
        session.write(&content, 0);
        assert_eq!(session.publish(&content).unwrap(), target);
        assert_eq!(fs::read(&target).unwrap(), content.bytes);
        for on_conflict in [OnConflict::Skip, OnConflict::Error, OnConflict::Overwrite, OnConflict::Rename] {
            let state = with(on_conflict).open_part(&content).unwrap();
            assert!(matches!(state, PartState::Complete { .. }), "{state:?}");
        }
    }
}

#[test]
fn of_two_contents_of_one_name_neither_overwrites_the_other() {
    let place = Place::new();
    let [one, two] = [5000, 6000].map(|len| Content::new("talk.mkv", len));
    fs::write(place.in_target("talk.mkv"), b"to be replaced").unwrap();
    let names = ["talk.mkv", "talk (2).mkv"].map(|name| place.in_target(name));
    let config = StoreConfig { on_conflict: OnConflict::Overwrite, ..place.config() };
    let mut session = place.open_as(config.clone(), None);
    assert_eq!(session.download(&one).unwrap(), names[0]);
    assert_eq!(session.download(&two).unwrap(), names[1]);
    // The same command again.
    let mut session = place.open_as(config, None);
    assert!(matches!(session.open_part(&one).unwrap(), PartState::Complete { .. }));
    session.download(&two).unwrap();
    assert_eq!(names.map(|name| fs::read(name).unwrap()), [one.bytes, two.bytes]);
}

#[test]
fn links_folders_and_fifos_in_the_way_are_not_touched() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", 5000));
    fs::write(place.path("victim"), &content.bytes).unwrap();
    symlink(place.path("victim"), place.in_target("talk.mkv")).unwrap();
    fs::create_dir(place.in_target("talk (2).mkv")).unwrap();
    rustix::fs::mkfifoat(CWD, place.in_target("talk (3).mkv"), Mode::RWXU).unwrap();
    assert_eq!(place.open().download(&content).unwrap(), place.in_target("talk (4).mkv"));
    fs::remove_file(place.in_target("talk (4).mkv")).unwrap();
    for in_the_way in [0, 1] {
        let part = place.in_target(&content.part());
        match in_the_way {
            0 => symlink(place.path("victim"), &part).unwrap(),
            _ => rustix::fs::mkfifoat(CWD, &part, Mode::RWXU).unwrap(),
        }
        assert_eq!(place.open().download(&content).unwrap_err().kind, FaultKind::Denied);
        fs::remove_file(part).unwrap();
    }
    assert_eq!(fs::read(place.path("victim")).unwrap(), content.bytes);
    // Overwriting replaces the link, not what it points to.
    let config = StoreConfig { on_conflict: OnConflict::Overwrite, ..place.config() };
    fs::write(place.path("victim"), b"victim").unwrap();
    place.open_as(config, None).download(&content).unwrap();
    assert_eq!(fs::read(place.path("victim")).unwrap(), b"victim");
    assert_eq!(fs::read(place.in_target("talk.mkv")).unwrap(), content.bytes);
}

#[test]
fn files_that_somebody_linked_into_the_way_are_not_written_to() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..4).for_each(|chunk| drop(session.write(&content, chunk)));
    drop(session);
    let names = [content.part(), content.state()].map(|name| place.in_target(&name));
    let others = ["other part", "other state"].map(|name| place.path(name));
    for (name, other) in names.iter().zip(&others) {
        fs::hard_link(name, other).unwrap();
    }
    let before = others.each_ref().map(|other| fs::read(other).unwrap());
    let path = place.open().download(&content).unwrap();
    assert_eq!(fs::read(path).unwrap(), content.bytes);
    assert!(before == others.each_ref().map(|other| fs::read(other).unwrap()));
}

#[test]
fn whatever_is_in_the_way_of_a_state_is_put_aside() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let state = place.in_target(&content.state());
    let put_there: [fn(&std::path::Path); 3] = [
        |path| rustix::fs::mkfifoat(CWD, path, Mode::RWXU).unwrap(),
        |path| symlink("/dev/null", path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
    ];
    for (round, put) in put_there.into_iter().enumerate() {
        let mut session = place.open();
        session.open_part(&content).unwrap();
        session.create(&content).unwrap();
        session.write(&content, 3);
        drop(session);
        fs::remove_file(&state).unwrap();
        put(&state);
        let path = place.open().download(&content).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content.bytes, "{round}");
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_folder_is_not_overwritten() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", 5000));
    fs::create_dir(place.in_target("talk.mkv")).unwrap();
    let config = StoreConfig { on_conflict: OnConflict::Overwrite, ..place.config() };
    let fault = place.open_as(config, None).open_part(&content).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Exists);
}

#[test]
fn a_part_that_is_let_go_of_while_it_is_published_may_be_wanted_again() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..21).for_each(|chunk| drop(session.write(&content, chunk)));
    // Without a look at what the I/O thread has done.
    session.store.submit(StoreJob::Publish { content: content.id }, &mut session.buffers);
    session.store.submit(StoreJob::ClosePart { content: content.id }, &mut session.buffers);
    let (name, size) = (content.name.clone(), content.bytes.len() as u64);
    session.store.submit(
        StoreJob::OpenPart { content: content.id, name, layout: Layout::Flat, size },
        &mut session.buffers,
    );
    session.store.submit(StoreJob::Publish { content: content.id }, &mut session.buffers);
    let mut told = Vec::new();
    while !told.iter().any(|reply| matches!(reply, StoreReply::Published { .. })) {
        session.woken.recv_timeout(WAIT_MAX).unwrap();
        told.extend(replies(session.run()));
    }
    let [StoreReply::PartClosed { .. }, StoreReply::PartOpened { state, .. }, StoreReply::Published { .. }] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert!(matches!(state, PartState::Resumed { have, .. } if have.is_full()));
    assert_eq!(session.served(&content).unwrap(), content.bytes);
}

#[test]
fn a_name_that_is_taken_at_the_last_moment_is_not_overwritten() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    for (on_conflict, expected) in [(OnConflict::Rename, Some("talk (2).mkv")), (OnConflict::Error, None)] {
        let mut session = place.open_as(StoreConfig { on_conflict, ..place.config() }, None);
        session.open_part(&content).unwrap();
        session.create(&content).unwrap();
        (0..21).for_each(|chunk| drop(session.write(&content, chunk)));
        fs::write(place.in_target("talk.mkv"), b"quicker").unwrap();
        match (session.publish(&content), expected) {
            (Ok(path), Some(name)) => {
                assert_eq!(path, place.in_target(name));
                fs::remove_file(path).unwrap();
            }
            (Err(fault), None) => {
                assert_eq!(fault.kind, FaultKind::Exists);
                // The part is kept, and the way may become free.
                fs::remove_file(place.in_target("talk.mkv")).unwrap();
                assert_eq!(session.publish(&content).unwrap(), place.in_target("talk.mkv"));
                continue;
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(fs::read(place.in_target("talk.mkv")).unwrap(), b"quicker");
        fs::remove_file(place.in_target("talk.mkv")).unwrap();
    }
}

#[test]
fn hostile_names_stay_in_the_folder() {
    let long = format!("{}.tar.gz", "ü".repeat(400));
    let names = [
        "../../evil",
        "/etc/passwd",
        "a/../b",
        "..",
        ".",
        "",
        "x\0y",
        "\n",
        ".bashrc",
        "CON",
        &long,
        "a\\..\\b",
    ];
    for name in names {
        let (place, content) = (Place::new(), Content::new("x", MANY));
        let mut session = place.open();
        match session.open_named(&content, name) {
            Err(fault) => assert_eq!(fault.kind, FaultKind::NameRefused, "{name:?}"),
            Ok(_) => {
                session.create(&content).unwrap();
                (0..21).for_each(|chunk| drop(session.write(&content, chunk)));
                let path = session.publish(&content).unwrap();
                assert_eq!(path.parent().unwrap(), place.target(), "{name:?}");
                assert_eq!(place.listing().len(), 1);
            }
        }
        let mut entries: Vec<_> =
            fs::read_dir(place.root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        entries.sort();
        assert_eq!(entries, ["state", "target"], "{name:?}");
    }
    let (place, content) = (Place::new(), Content::new("x", 10));
    for name in ["a/b", "..", ""] {
        let config = StoreConfig { target_name: Some(name.to_owned()), ..place.config() };
        let fault = place.open_as(config, None).open_part(&content).unwrap_err();
        assert_eq!(fault.kind, FaultKind::NameRefused);
    }
    let config = StoreConfig { target_name: Some("mine".to_owned()), ..place.config() };
    assert_eq!(place.open_as(config, None).download(&content).unwrap(), place.in_target("mine"));
}

#[test]
fn a_part_has_one_process_at_a_time() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let (mut first, mut second) = (place.open(), place.open());
    first.open_part(&content).unwrap();
    second.open_part(&content).unwrap();
    first.create(&content).unwrap();
    let fault = second.create(&content).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Busy);
    assert!(fault.text.contains(&format!("process {}", std::process::id())), "{fault}");
    assert_eq!(place.open().open_part(&content).unwrap_err().kind, FaultKind::Busy);
    first.write(&content, 5);
    first.close(&content);
    assert!(matches!(place.open().open_part(&content).unwrap(), PartState::Resumed { .. }));
}

#[test]
fn the_target_folder_is_held_when_it_is_swapped() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    fs::rename(place.target(), place.path("moved")).unwrap();
    symlink(place.path("outside"), place.target()).unwrap();
    session.create(&content).unwrap();
    (0..21).for_each(|chunk| drop(session.write(&content, chunk)));
    session.publish(&content).unwrap();
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 0);
    assert_eq!(fs::read(place.path("moved/talk.mkv")).unwrap(), content.bytes);
}

#[test]
fn a_missing_target_folder_is_made_or_named() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", 10));
    let config = |folder: &str| StoreConfig { target_dir: place.path(folder), ..place.config() };
    assert!(place.open_as(config("new"), None).download(&content).is_ok());
    let fault = place.open_as(config("no/such"), None).open_part(&content).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Denied);
    assert!(fault.text.contains("mkdir") && fault.text.contains("no/such"), "{fault}");
    fs::write(place.path("file"), b"").unwrap();
    assert_eq!(place.open_as(config("file"), None).open_part(&content).unwrap_err().kind, FaultKind::Denied);
}

#[test]
fn a_full_disk_is_told_before_or_while_writing() {
    let place = Place::new();
    let huge = Content { manifest: huge_manifest(), ..Content::new("huge", 10) };
    let mut session = place.open();
    session.open_part(&huge).unwrap();
    let fault = session.create(&huge).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Full);
    assert!(fault.text.contains(&(1u64 << 40).to_string()), "{fault}");
    assert!(place.listing().is_empty());
    let content = Content::new("talk.mkv", MANY);
    for (errno, kind) in [
        (Errno::NOSPC, FaultKind::Full),
        (Errno::DQUOT, FaultKind::Full),
        (Errno::FBIG, FaultKind::Full),
        (Errno::IO, FaultKind::Io),
        (Errno::ROFS, FaultKind::Denied),
    ] {
        let mut kinds = Vec::new();
        for at in 1.. {
            let place = Place::new();
            let plan = Arc::new(FaultPlan::fail_once(at, errno));
            let Ok(mut session) = place.try_open(&place.config(), Some(&plan)) else { continue };
            match session.download(&content) {
                Err(fault) => kinds.push(fault.kind),
                Ok(_) if plan.calls() < at => break,
                Ok(_) => {}
            }
            // Whatever failed once: it goes on, here or in the next process.
            let path = match session.download(&content) {
                Ok(path) => path,
                Err(_) => {
                    drop(session);
                    place.open().download(&content).unwrap()
                }
            };
            assert_eq!(fs::read(path).unwrap(), content.bytes);
        }
        assert!(kinds.len() > 20 && kinds.iter().all(|other| *other == kind), "{errno:?}: {kinds:?}");
    }
}

/// The shape of a manifest of 1 TiB.
fn huge_manifest() -> Manifest {
    let geometry = Geometry::native(1 << 40).unwrap();
    Manifest { geometry, values: Vec::new(), proof: Default::default() }
}

#[test]
fn a_download_that_changes_is_withdrawn_and_not_shared_anew() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", 5000));
    let mut session = place.open();
    let path = session.download(&content).unwrap();
    fs::write(path, b"edited").unwrap();
    assert_eq!(session.served(&content), Err(SpanFault::Changed));
    let told = replies(session.run());
    assert!(matches!(&told[..], [StoreReply::Withdrawn { name, .. }] if name == "talk.mkv"), "{told:?}");
}

#[test]
fn small_contents_take_few_calls() {
    let place = Place::new();
    let plan = Arc::new(FaultPlan::dead_from(0));
    let mut session = place.open_as(place.config(), Some(&plan));
    session.download(&Content::new("first", 4096)).unwrap();
    let before = plan.calls();
    session.download(&Content::new("second", 4096)).unwrap();
    assert!(plan.calls() - before <= 14, "{} calls", plan.calls() - before);
}

#[test]
fn a_part_replaced_by_somebody_is_not_published() {
    let (place, content) = (Place::new(), Content::new("talk.mkv", MANY));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..21).for_each(|chunk| drop(session.write(&content, chunk)));
    fs::remove_file(place.in_target(&content.part())).unwrap();
    fs::write(place.in_target(&content.part()), bytes(MANY, "wrong")).unwrap();
    assert!(session.publish(&content).is_err());
    assert!(!place.in_target("talk.mkv").exists());
}

#[test]
fn many_small_contents_are_published_together() {
    let contents: Vec<_> = (0..100).map(|number| Content::new(&format!("{number}.txt"), 4096)).collect();
    // Without a fault, then with one at one of the first calls of the I/O thread, whichever that is.
    let mut calls_before = 0;
    for number in 0..12 {
        let at = if number == 0 { 0 } else { calls_before + number };
        let place = Place::new();
        let plan = Arc::new(FaultPlan::fail_once(at, Errno::IO));
        let mut session = place.open_as(place.config(), Some(&plan));
        let Session { store, buffers, woken, .. } = &mut session;
        for content in &contents {
            let (name, size) = (content.name.clone(), 4096);
            let manifest = Box::new(content.manifest.clone());
            store.submit(
                StoreJob::OpenPart { content: content.id, name, layout: Layout::Flat, size },
                buffers,
            );
            store.submit(StoreJob::CreatePart { content: content.id, manifest }, buffers);
            buffers.get_or_make(BufferId(0), 4096).copy_from_slice(&content.bytes);
            store
                .submit(StoreJob::WriteChunk { content: content.id, chunk: 0, buffer: BufferId(0) }, buffers);
        }
        calls_before = plan.calls();
        for content in &contents {
            store.submit(StoreJob::Publish { content: content.id }, buffers);
        }
        let (mut published, mut failed) = (0, 0);
        while published + failed < contents.len() {
            match store.poll() {
                Some(StoreEvent::Reply(StoreReply::Published { .. })) => published += 1,
                Some(StoreEvent::Reply(StoreReply::PartFailed { .. })) => failed += 1,
                Some(_) => {}
                None => woken.recv_timeout(WAIT_MAX).unwrap(),
            }
        }
        assert!(failed <= usize::from(number > 0), "{failed} failed");
        for content in &contents {
            let there = fs::read(place.in_target(&content.name));
            assert!(there.map_or(failed == 1, |bytes| bytes == content.bytes));
        }
    }
}

/// Large enough that its chunks go to the I/O thread.
const LARGE: usize = 16 * LARGE_CHUNK as usize;
const LARGE_CHUNK: u32 = 128 << 10;

fn large() -> Content {
    Content::cut("talk.mkv", bytes(LARGE, "large"), LARGE_CHUNK)
}

/// Gives the store the first `count` chunks without a look at what comes of them.
fn hand_over(session: &mut Session, content: &Content, count: u32) {
    session.open_part(content).unwrap();
    session.create(content).unwrap();
    for chunk in 0..count {
        let buffer = BufferId(chunk);
        session.buffers.get_or_make(buffer, LARGE_CHUNK as usize).copy_from_slice(content.chunk(chunk));
        let job = StoreJob::WriteChunk { content: content.id, chunk, buffer };
        session.store.submit(job, &mut session.buffers);
    }
}

#[test]
fn chunks_that_are_written_elsewhere_are_each_replied_to() {
    let (place, content) = (Place::new(), large());
    let mut session = place.open();
    hand_over(&mut session, &content, 16);
    let mut stored = Vec::new();
    while stored.len() < 16 {
        match session.store.poll() {
            Some(StoreEvent::Reply(StoreReply::ChunkStored { chunk, buffer, .. })) => {
                assert_eq!(buffer, BufferId(chunk));
                stored.push(chunk);
            }
            Some(other) => panic!("{other:?}"),
            None => session.woken.recv_timeout(WAIT_MAX).unwrap(),
        }
    }
    stored.sort_unstable();
    assert_eq!(stored, (0..16).collect::<Vec<_>>());
    assert_eq!(fs::read(session.publish(&content).unwrap()).unwrap(), content.bytes);
}

#[test]
fn a_part_that_is_dropped_leaves_nothing() {
    let (place, content) = (Place::new(), large());
    let mut session = place.open();
    hand_over(&mut session, &content, 9);
    let replies = session.submit(StoreJob::DropPart { content: content.id });
    assert!(matches!(replies.last(), Some(StoreReply::PartClosed { .. })), "{replies:?}");
    assert!(place.listing().is_empty(), "{:?}", place.listing());
    assert_eq!(session.open_part(&content).unwrap(), PartState::Fresh);
}

#[test]
fn a_part_is_closed_when_its_last_chunk_is_written() {
    let (place, content) = (Place::new(), large());
    let mut session = place.open();
    hand_over(&mut session, &content, 9);
    let replies = session.submit(StoreJob::ClosePart { content: content.id });
    assert_eq!(replies.len(), 10, "{replies:?}");
    assert!(matches!(replies[9], StoreReply::PartClosed { .. }), "{replies:?}");
    assert!(replies[..9].iter().all(|reply| matches!(reply, StoreReply::ChunkStored { .. })), "{replies:?}");
    // With a clean mark: nothing is hashed again, and all nine count.
    let PartState::Resumed { have, .. } = session.open_part(&content).unwrap() else { panic!() };
    assert_eq!(have.iter().collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
}

#[test]
fn a_wrong_chunk_of_any_size_never_reaches_the_file() {
    let (place, content) = (Place::new(), large());
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    let wrong = bytes(LARGE_CHUNK as usize, "wrong");
    assert!(matches!(session.write_bytes(&content, 3, &wrong), StoreReply::ChunkBad { .. }));
    let part = fs::read(place.in_target(&content.part())).unwrap();
    assert!(part.iter().all(|byte| *byte == 0));
}

#[test]
fn a_failed_write_elsewhere_is_told() {
    let content = large();
    let calls_before = {
        let place = Place::new();
        let plan = Arc::new(FaultPlan::dead_from(0));
        let mut session = place.open_as(place.config(), Some(&plan));
        hand_over(&mut session, &content, 0);
        plan.calls()
    };
    let place = Place::new();
    let plan = Arc::new(FaultPlan::fail_once(calls_before + 1, Errno::NOSPC));
    let mut session = place.open_as(place.config(), Some(&plan));
    hand_over(&mut session, &content, 0);
    let StoreReply::ChunkFailed { fault, chunk: 0, .. } = session.write(&content, 0) else { panic!() };
    assert_eq!(fault.kind, FaultKind::Full);
    assert!(matches!(session.write(&content, 0), StoreReply::ChunkStored { .. }));
}
