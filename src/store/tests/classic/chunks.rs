//! Spools that become chunks, and chunks that are opened.

use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;

use super::*;

#[test]
fn an_answer_becomes_a_chunk_and_is_served() {
    let place = Place::new();
    let mut session = place.open_classic();
    assert_eq!(kept(classic(replies(session.run()))), pairs(&[]));
    session.store.write_spool(SpoolId(0), b"first ");
    let written = session.job(ClassicJob::WriteSpool { spool: SpoolId(0), bytes: b"second".to_vec() });
    assert!(written.is_empty(), "{written:?}");
    let spooled = place.chunk_listing();
    assert!(spooled.len() == 1 && spooled[0].starts_with(".chunkcast-"), "{spooled:?}");
    let told = session.job(ClassicJob::KeepSpool { spool: SpoolId(0), name: name("forest_1"), skip: 0 });
    assert!(
        matches!(&told[..], [ClassicReply::ChunkKept { spool: SpoolId(0), name: of, bytes: 12 }] if *of == name("forest_1")),
        "{told:?}"
    );
    assert_eq!(place.chunk_listing(), ["forest_1"]);
    assert_eq!(session.list(), pairs(&[("forest_1", 12)]));
    assert_eq!(session.open_chunk(CONN, "forest_1"), Some(12));
    assert_eq!(session.span_bytes(CONN).unwrap(), b"first second");
    // Somebody else still sends what it was when a new one takes the name.
    assert!(matches!(&session.keep(0, "forest_1", b"new")[..], [ClassicReply::ChunkKept { bytes: 3, .. }]));
    assert_eq!(session.span_bytes(CONN).unwrap(), b"first second");
    assert_eq!(session.open_chunk(CONN, "forest_1"), Some(3));
    session.job(ClassicJob::CloseChunk { conn: CONN });
    assert_eq!(session.span_bytes(CONN), Err(SpanFault::Gone));
}

#[test]
fn what_stands_before_the_chunk_is_left_behind() {
    for (len, skip) in [(7, 6), (3_000_001, 5), (2 << 20, 1), ((1 << 20) + 4, 4)] {
        let place = Place::new();
        let mut session = place.open_classic();
        session.run();
        let all = bytes(len, "answer");
        all.chunks(100_000).for_each(|piece| session.store.write_spool(SpoolId(2), piece));
        session.store.submit(
            StoreJob::Classic(ClassicJob::KeepSpool {
                spool: SpoolId(2),
                name: name("forest_1.png"),
                skip: skip as u64,
            }),
            &mut session.buffers,
        );
        // A slice at a time: at most one mebibyte each, and one more step for the name.
        let mut steps = 0;
        while session.store.has_work() {
            session.store.step();
            steps += 1;
        }
        assert_eq!(steps, (len - skip).div_ceil(1 << 20) + 1);
        let left = (len - skip) as u64;
        let told = classic(replies(session.run()));
        assert!(matches!(&told[..], [ClassicReply::ChunkKept { bytes, .. }] if *bytes == left), "{told:?}");
        assert_eq!(session.list(), pairs(&[("forest_1.png", left)]), "{len} {skip}");
        assert_eq!(fs::read(place.in_chunks("forest_1.png")).unwrap(), all[skip..]);
        assert_eq!(place.chunk_listing(), ["forest_1.png"]);
    }
}

impl Session {
    fn list_of_start(&mut self) -> Vec<(String, u64)> {
        kept(classic(replies(self.run())))
    }
}

#[test]
fn an_answer_without_bytes_is_no_chunk() {
    let place = Place::new();
    let mut session = place.open_classic();
    session.run();
    for skip in [0, 1] {
        let keep = ClassicJob::KeepSpool { spool: SpoolId(1), name: name("forest_1"), skip };
        let told = session.job(keep);
        assert!(matches!(&told[..], [ClassicReply::SpoolFailed { spool: SpoolId(1), .. }]), "{told:?}");
    }
    session.store.write_spool(SpoolId(1), b"12");
    let told = session.job(ClassicJob::KeepSpool { spool: SpoolId(1), name: name("forest_1"), skip: 2 });
    assert!(matches!(&told[..], [ClassicReply::SpoolFailed { .. }]), "{told:?}");
    assert!(place.chunk_listing().is_empty());
    session.store.write_spool(SpoolId(1), b"12");
    session.job(ClassicJob::DropSpool { spool: SpoolId(1) });
    session.job(ClassicJob::DropSpool { spool: SpoolId(99) });
    assert!(place.chunk_listing().is_empty());
}

#[test]
fn only_regular_files_with_bytes_are_chunks() {
    let place = Place::new();
    place.put_chunk("good_1", b"good");
    place.put_chunk("empty_1", b"");
    place.put_chunk("no chunk", b"x");
    fs::write(place.path("secret"), b"secret").unwrap();
    symlink(place.path("secret"), place.in_chunks("link_1")).unwrap();
    fs::create_dir(place.in_chunks("folder_1")).unwrap();
    rustix::fs::mkfifoat(CWD, place.in_chunks("fifo_1"), Mode::from_raw_mode(0o600)).unwrap();
    let all = ["good_1", "empty_1", "link_1", "folder_1", "fifo_1", "none_1"];
    fs::write(
        place.path("Available_Chunks.txt"),
        crate::wire::classic::records::encode_available(&names(&all)),
    )
    .unwrap();
    for config in [place.classic(), place.recorded()] {
        let mut session = place.open_as(config, None);
        assert_eq!(session.list_of_start(), pairs(&[("good_1", 4)]));
        assert_eq!(session.open_chunk(CONN, "good_1"), Some(4));
        for no_chunk in &all[1..] {
            assert_eq!(session.open_chunk(CONN, no_chunk), None, "{no_chunk}");
            assert_eq!(session.span_bytes(CONN), Err(SpanFault::Gone));
            assert!(session.merge("m", &names(&[no_chunk])).is_err(), "{no_chunk}");
        }
    }
    // A chunk that comes takes the place of what is none, and nobody's file is written to.
    let mut session = place.open_classic();
    session.run();
    for taken in ["link_1", "fifo_1", "empty_1"] {
        let told = session.keep(0, taken, b"bytes");
        assert!(matches!(&told[..], [ClassicReply::ChunkKept { .. }]), "{told:?}");
        assert_eq!(fs::read(place.in_chunks(taken)).unwrap(), b"bytes");
    }
    let told = session.keep(0, "folder_1", b"bytes");
    assert!(matches!(&told[..], [ClassicReply::SpoolFailed { .. }]), "{told:?}");
    assert_eq!(fs::read(place.path("secret")).unwrap(), b"secret");
    assert!(place.chunk_listing().iter().all(|name| !name.starts_with('.')));
}

#[test]
fn a_chunk_is_found_under_every_form_of_its_name() {
    let place = Place::new();
    place.put_chunk("forest.jpg_1", b"jpg");
    place.put_chunk("forest.png_1_temp", b"png temp");
    place.put_chunk("forest_2.png", b"two");
    place.put_chunk("lake_1", b"lake");
    let mut session = place.open_classic();
    session.run();
    for (wanted, bytes) in [
        ("forest.jpg_1", Some(3)),
        ("forest_1.jpg", Some(3)),
        ("forest_1.png", Some(8)),
        // Without an extension it stands for the one that receivers take for granted.
        ("forest_1", Some(8)),
        ("forest_2", Some(3)),
        ("forest_2.png_temp", Some(3)),
        ("forest_2.jpg", None),
        ("lake_1.jpg", Some(4)),
        ("lake.png_1", Some(4)),
        ("lake_2", None),
    ] {
        assert_eq!(session.open_chunk(CONN, wanted), bytes, "{wanted}");
    }
}

#[test]
fn what_changed_since_it_was_promised_is_not_sent() {
    let place = Place::new();
    place.put_chunk("forest_1", b"promised");
    let mut session = place.open_classic();
    session.run();
    assert_eq!(session.open_chunk(CONN, "forest_1"), Some(8));
    fs::write(place.in_chunks("forest_1"), b"shorter").unwrap();
    assert_eq!(session.span_bytes(CONN), Err(SpanFault::Changed));
}

#[test]
fn open_chunks_are_bounded() {
    let place = Place::new();
    place.put_chunk("forest_1", b"bytes");
    let mut session = place.open_classic();
    session.run();
    let conn = |slot| ConnId { slot, generation: 1 };
    let opened = (0..300).filter(|slot| session.open_chunk(conn(*slot), "forest_1").is_some()).count();
    assert_eq!(opened, 256);
    session.job(ClassicJob::CloseChunk { conn: conn(0) });
    assert_eq!(session.open_chunk(conn(299), "forest_1"), Some(5));
}

/// Fails call `at` of writing and keeping a chunk; true when nothing failed any more.
fn fails_at(at: u64, errno: Errno) -> bool {
    let place = Place::new();
    // The same number of calls every time, as long as nothing fails.
    let opening = Arc::new(FaultPlan::dead_from(0));
    drop(place.open_as(place.classic(), Some(&opening)));
    let before = opening.calls();
    let plan = Arc::new(FaultPlan::fail_once(before + at, errno));
    let mut session = place.open_as(place.classic(), Some(&plan));
    session.run();
    for piece in [b"123", b"456", b"789"] {
        session.store.write_spool(SpoolId(4), piece);
    }
    let mut told = classic(replies(session.run()));
    if told.is_empty() {
        told = session.job(ClassicJob::KeepSpool { spool: SpoolId(4), name: name("forest_1"), skip: 3 });
    }
    let failed = match &told[..] {
        [ClassicReply::SpoolFailed { spool: SpoolId(4), fault }] => {
            assert!(fault.text.contains("forest_1") || fault.text.contains("chunks"), "{fault:?}");
            assert_eq!(fault.kind == FaultKind::Full, errno == Errno::NOSPC, "{fault:?}");
            true
        }
        [ClassicReply::ChunkKept { bytes: 6, .. }] => false,
        other => panic!("{other:?}"),
    };
    if plan.calls() < before + at {
        assert!(!failed && at > 6, "{at} calls");
        return true;
    }
    session.job(ClassicJob::DropSpool { spool: SpoolId(4) });
    let again = session.keep(4, "forest_2", b"later");
    assert!(matches!(&again[..], [ClassicReply::ChunkKept { bytes: 5, .. }]), "{again:?} at {at}");
    drop(session);
    let kept = if failed { vec!["forest_2"] } else { vec!["forest_1", "forest_2"] };
    // A hidden file whose removal was what failed is swept away by the next process.
    drop(place.open_classic());
    assert_eq!(place.chunk_listing(), kept, "at {at}");
    false
}

#[test]
fn a_full_or_broken_disk_costs_the_chunk_alone() {
    for errno in [Errno::NOSPC, Errno::IO] {
        assert!((1..).any(|at| fails_at(at, errno)));
    }
}

#[test]
fn a_folder_for_chunks_on_their_way_is_made_with_the_first_and_goes_with_the_last() {
    let place = Place::new();
    let mut config = place.classic();
    if let Some(classic) = &mut config.classic {
        classic.remove_joined = true;
    }
    let open = || {
        let mut session = place.open_as(config.clone(), None);
        assert_eq!(session.list_of_start(), pairs(&[]));
        session
    };
    let mut session = open();
    assert_eq!(session.open_chunk(CONN, "forest_1"), None);
    assert!(session.merge("forest.png", &names(&["forest_1"])).is_err());
    assert!(!place.chunks().exists(), "nothing came");
    session.store.write_spool(SpoolId(0), b"12");
    assert!(place.chunks().exists());
    session.job(ClassicJob::DropSpool { spool: SpoolId(0) });
    // Another process, for which nothing came, finds nothing in it.
    drop(open());
    assert!(!place.chunks().exists());
    let told = session.keep(0, "forest_1", b"12");
    assert!(matches!(&told[..], [ClassicReply::ChunkKept { bytes: 2, .. }]), "{told:?}");
    session.keep(1, "lake_1", b"345");
    session.merge("forest.png", &names(&["forest_1"])).unwrap();
    assert!(session.store.close().is_empty());
    drop(session);
    assert_eq!(place.chunk_listing(), ["lake_1"], "of a file that is not whole");
    let mut session = place.open_as(config.clone(), None);
    session.run();
    session.merge("lake.png", &names(&["lake_1"])).unwrap();
    session.store.write_spool(SpoolId(0), b"of an answer that is cut off");
    assert!(session.store.close().is_empty());
    drop(session);
    assert!(!place.chunks().exists());
}

#[test]
fn a_spool_that_is_thrown_away_is_not_said_to_have_failed() {
    let place = Place::new();
    let opening = Arc::new(FaultPlan::dead_from(0));
    drop(place.open_as(place.classic(), Some(&opening)));
    let plan = Arc::new(FaultPlan::fail_once(opening.calls() + 1, Errno::NOSPC));
    let mut session = place.open_as(place.classic(), Some(&plan));
    session.run();
    session.store.write_spool(SpoolId(4), b"123");
    session
        .store
        .submit(StoreJob::Classic(ClassicJob::DropSpool { spool: SpoolId(4) }), &mut session.buffers);
    // The next answer has the same number; the failure of the one before is not its own.
    let told = session.keep(4, "forest_1", b"12345");
    assert!(matches!(&told[..], [ClassicReply::ChunkKept { bytes: 5, .. }]), "{told:?}");
}

#[test]
fn a_chunk_that_cannot_be_written_is_said_to_have_failed_once() {
    let place = Place::new();
    let opening = Arc::new(FaultPlan::dead_from(0));
    drop(place.open_as(place.classic(), Some(&opening)));
    let plan = Arc::new(FaultPlan::fail_once(opening.calls() + 1, Errno::NOSPC));
    let mut session = place.open_as(place.classic(), Some(&plan));
    session.run();
    let told = session.keep(4, "forest_1", b"123");
    assert!(matches!(&told[..], [ClassicReply::SpoolFailed { spool: SpoolId(4), .. }]), "{told:?}");
    let told = session.keep(4, "forest_1", b"1234");
    assert!(matches!(&told[..], [ClassicReply::ChunkKept { bytes: 4, .. }]), "{told:?}");
}

#[test]
fn a_chunk_that_is_thrown_away_is_gone_from_the_record_too() {
    let place = Place::new();
    let mut session = place.open_as(place.recorded(), None);
    session.run();
    session.keep(0, "forest_1", b"wrong");
    session.keep(1, "forest.png_1", b"right");
    assert_eq!(session.open_chunk(CONN, "forest_1"), Some(5));
    session.job(ClassicJob::DropChunk { name: name("forest_1") });
    session.job(ClassicJob::DropChunk { name: name("never_1") });
    assert_eq!(session.span_bytes(CONN).unwrap(), b"wrong", "who has it open reads it to its end");
    assert_eq!(place.chunk_listing(), ["forest.png_1"]);
    session.open_chunk(CONN, "forest_1");
    assert_eq!(session.span_bytes(CONN).unwrap(), b"right");
    assert_eq!(session.list(), pairs(&[("forest.png_1", 5)]));
    let text = fs::read_to_string(place.path("Available_Chunks.txt")).unwrap();
    assert_eq!(text, r#"{"chunks": ["forest.png_1"]}"#);
}
