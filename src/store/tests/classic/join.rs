//! Chunks that become a file.

use super::*;

const SIZES: [usize; 7] = [5, 9, 10, 13, 1003, 60_001, 3_000_000];

#[test]
fn five_chunks_become_the_file() {
    for size in SIZES.into_iter().chain([20 << 20]) {
        let place = Place::new();
        let whole = bytes(size, "whole");
        let chunks = place.put_five("forest", &whole);
        let mut session = place.open_classic();
        session.run();
        let (path, bytes) = session.merge("forest.png", &chunks).unwrap();
        assert_eq!((path.as_path(), bytes), (place.in_target("forest.png").as_path(), size as u64));
        assert!(fs::read(path).unwrap() == whole);
        assert_eq!(place.listing(), ["forest.png"]);
        assert_eq!(place.chunk_listing().len(), chunks.len());
    }
}

#[test]
fn joining_goes_in_slices() {
    let place = Place::new();
    let chunks = place.put_five("forest", &bytes(10 << 20, "whole"));
    let mut session = place.open_classic();
    session.run();
    let (file, job_chunks) = ("forest.png".to_owned(), chunks);
    session.store.submit(
        StoreJob::Classic(ClassicJob::Merge { ticket: 7, file, chunks: job_chunks }),
        &mut session.buffers,
    );
    let mut steps = 0;
    while session.store.has_work() {
        session.store.step();
        steps += 1;
    }
    // The look, ten slices of a mebibyte, the end.
    assert_eq!(steps, 12);
}

#[test]
fn what_has_the_name_is_treated_as_the_settings_say() {
    let (first, other) = (bytes(60_001, "first"), bytes(60_001, "other"));
    for (on_conflict, result, there) in [
        (OnConflict::Rename, Some("forest (2).png"), &other),
        (OnConflict::Overwrite, Some("forest.png"), &first),
        (OnConflict::Error, None, &other),
    ] {
        let place = Place::new();
        let chunks = place.put_five("forest", &first);
        fs::write(place.in_target("forest.png"), &other).unwrap();
        let mut session = place.open_as(StoreConfig { on_conflict, ..place.classic() }, None);
        session.run();
        for _ in 0..2 {
            match (session.merge("forest.png", &chunks), result) {
                (Ok((path, bytes)), Some(name)) => {
                    assert_eq!((path.as_path(), bytes), (place.in_target(name).as_path(), 60_001));
                    assert!(fs::read(path).unwrap() == first);
                }
                (Err(fault), None) => {
                    assert_eq!(fault.kind, FaultKind::Exists);
                    assert!(fault.text.contains("forest.png"), "{fault}");
                }
                (told, _) => panic!("{on_conflict:?}: {told:?}"),
            }
        }
        // The second time the file was there to the byte.
        assert!(fs::read(place.in_target("forest.png")).unwrap() == *there);
        assert_eq!(place.listing().len(), if result == Some("forest (2).png") { 2 } else { 1 });
    }
}

#[test]
fn names_are_made_local_and_may_be_given() {
    let place = Place::new();
    let chunks = place.put_five("forest", b"0123456789");
    let mut session = place.open_classic();
    session.run();
    assert_eq!(session.merge("../../.x\u{202e}y", &chunks).unwrap().0, place.in_target("_.xy"));
    assert_eq!(session.merge("..", &chunks).unwrap_err().kind, FaultKind::NameRefused);
    let given = StoreConfig { target_name: Some("mine".into()), ..place.classic() };
    let mut session = place.open_as(given, None);
    session.run();
    assert_eq!(session.merge("..", &chunks).unwrap().0, place.in_target("mine"));
}

#[test]
fn what_is_missing_or_unlike_is_named() {
    let place = Place::new();
    let mut chunks = place.put_five("forest", b"0123456789");
    let mut session = place.open_classic();
    session.run();
    chunks.push(name("forest_6"));
    let fault = session.merge("forest.png", &chunks).unwrap_err();
    assert!(fault.text.contains("forest_6"), "{fault}");
    assert_eq!(session.merge("forest.png", &[]).unwrap_err().kind, FaultKind::Bug);
    // Another form of a name stands for the same chunk.
    chunks.truncate(5);
    chunks[2] = name("forest.png_3");
    assert_eq!(session.merge("forest.png", &chunks).unwrap().1, 10);
}

#[test]
fn a_chunk_that_changes_meanwhile_is_not_joined() {
    let place = Place::new();
    let chunks = place.put_five("forest", &bytes(10 << 20, "whole"));
    let mut session = place.open_classic();
    session.run();
    let job = ClassicJob::Merge { ticket: 7, file: "forest.png".into(), chunks };
    session.store.submit(StoreJob::Classic(job), &mut session.buffers);
    (0..3).for_each(|_| session.store.step());
    fs::write(place.in_chunks("forest_4"), b"something else").unwrap();
    let told = classic(replies(session.run()));
    assert!(
        matches!(&told[..], [ClassicReply::MergeFailed { fault, .. }] if fault.text.contains("forest_4")),
        "{told:?}"
    );
    assert!(place.listing().is_empty());
}

#[test]
fn joined_chunks_are_removed_at_the_end_when_they_are_to_be() {
    let place = Place::new();
    let chunks = place.put_five("forest", b"0123456789");
    place.put_chunk("lake_1", b"another");
    fs::write(
        place.path("Available_Chunks.txt"),
        crate::wire::classic::records::encode_available(chunks.iter().chain(&[name("lake_1")])),
    )
    .unwrap();
    let mut config = place.recorded();
    if let Some(classic) = &mut config.classic {
        classic.remove_joined = true;
    }
    let mut session = place.open_as(config, None);
    session.run();
    session.merge("forest.png", &chunks).unwrap();
    assert_eq!(session.open_chunk(CONN, "forest_1"), Some(2));
    assert!(session.store.close().is_empty());
    drop(session);
    assert_eq!(place.chunk_listing(), ["lake_1"]);
    assert_eq!(place.listing(), ["forest.png"]);
    let text = fs::read_to_string(place.path("Available_Chunks.txt")).unwrap();
    assert_eq!(text, r#"{"chunks": ["lake_1"]}"#);
}

#[test]
fn what_is_to_be_left_alone_is_found_before_and_after_the_chunks_came() {
    let look = |session: &mut Session| {
        session.job(ClassicJob::LookAtTarget { ticket: 7, file: "forest.png".into() }).remove(0)
    };
    for on_conflict in [OnConflict::Rename, OnConflict::Overwrite, OnConflict::Skip, OnConflict::Error] {
        let place = Place::new();
        let chunks = place.put_five("forest", b"0123456789");
        let mut session = place.open_as(StoreConfig { on_conflict, ..place.classic() }, None);
        session.run();
        assert!(matches!(look(&mut session), ClassicReply::TargetFree { ticket: 7 }), "{on_conflict:?}");
        fs::write(place.in_target("forest.png"), b"mine").unwrap();
        let is_left = |told: &ClassicReply| matches!(told, ClassicReply::TargetLeft { ticket: 7, path } if *path == place.in_target("forest.png"));
        assert_eq!(is_left(&look(&mut session)), on_conflict == OnConflict::Skip, "{on_conflict:?}");
        if on_conflict == OnConflict::Skip {
            let job = ClassicJob::Merge { ticket: 7, file: "forest.png".into(), chunks };
            let told = session.job(job);
            assert!(told.len() == 1 && is_left(&told[0]), "{told:?}");
            assert_eq!(fs::read(place.in_target("forest.png")).unwrap(), b"mine");
            assert_eq!(place.listing(), ["forest.png"]);
        }
    }
    let place = Place::new();
    let config = StoreConfig { target_dir: place.path("no/such/folder"), ..place.classic() };
    let mut session = place.open_as(config, None);
    session.run();
    assert!(matches!(look(&mut session), ClassicReply::MergeFailed { ticket: 7, .. }));
}

#[test]
fn what_could_not_be_written_down_at_the_end_is_told() {
    let place = Place::new();
    let mut config = place.recorded();
    if let Some(classic) = &mut config.classic {
        classic.remove_joined = true;
    }
    let chunks = place.put_five("forest", b"0123456789");
    let names = crate::wire::classic::records::encode_available(&chunks);
    fs::write(place.path("Available_Chunks.txt"), names).unwrap();
    let plan = Arc::new(FaultPlan::dead_from(0));
    let mut session = place.open_as(config, Some(&plan));
    session.run();
    session.merge("forest.png", &chunks).unwrap();
    plan.strike_after(0);
    let failed: Vec<String> = session.store.close().into_iter().map(|fault| fault.text).collect();
    // Five chunks that stay, and the record that names them.
    assert_eq!(failed.len(), 6, "{failed:?}");
    assert!(failed[5].contains("Available_Chunks.txt"), "{failed:?}");
}
