//! Sharing: what is offered, what is left out, what changes.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode};

use super::*;
use crate::core::FaultKind;

#[test]
fn a_folder_shares_the_files_in_it() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::write(folder.join("a/b/deep \"q\"\n.txt"), b"deep").unwrap();
    fs::write(folder.join("empty"), b"").unwrap();
    fs::write(folder.join("large"), bytes(3_000_000, "large")).unwrap();
    fs::write(folder.join(".hidden"), b"hidden").unwrap();
    fs::create_dir(folder.join(".git")).unwrap();
    fs::write(folder.join(".git/config"), b"hidden").unwrap();
    fs::write(folder.join("x.0123abcd.part"), b"part").unwrap();
    fs::write(folder.join("x.0123abcd.state"), b"state").unwrap();
    fs::write(folder.join("x.0123abcd.state.bad-1"), b"state").unwrap();
    fs::write(folder.join(std::ffi::OsStr::from_bytes(b"not-\xffutf8")), b"other").unwrap();
    fs::write(place.path("outside"), b"secret").unwrap();
    symlink(place.path("outside"), folder.join("link")).unwrap();
    symlink(place.root.path(), folder.join("a/linked-folder")).unwrap();
    rustix::fs::mkfifoat(CWD, folder.join("fifo"), Mode::RWXU).unwrap();

    let events = place.open().share(&folder);
    let expected: Vec<(&str, Vec<u8>)> = vec![
        ("a/b/deep \"q\"\n.txt", b"deep".to_vec()),
        ("empty", vec![]),
        ("large", bytes(3_000_000, "large")),
        ("not-%ffutf8", b"other".to_vec()),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), id_of(&bytes), bytes.len() as u64))
        .collect();
    assert_eq!(offered(&events), expected);
    assert_eq!(skipped(&events), ["fifo", "link", "linked-folder"]);
    assert!(matches!(
        events.last(),
        Some(StoreEvent::Share(ShareEvent::ScanDone { files: 4, bytes: 3_000_009 }))
    ));
}

#[test]
fn what_is_named_is_shared_though_hidden_or_a_link() {
    let place = Place::new();
    fs::write(place.path(".hidden"), b"1").unwrap();
    fs::write(place.path("plain"), b"22").unwrap();
    symlink(place.path("plain"), place.path("link")).unwrap();
    let mut session = place.open();
    assert_eq!(offered(&session.share(&place.path(".hidden")))[0].0, ".hidden");
    assert_eq!(offered(&session.share(&place.path("link")))[0].0, "link");
    let missing = session.store.share(&place.path("missing")).unwrap_err();
    assert!(missing.text.contains("missing"), "{missing}");
    let fifo = place.path("fifo");
    rustix::fs::mkfifoat(CWD, &fifo, Mode::RWXU).unwrap();
    assert_eq!(session.store.share(&fifo).unwrap_err().kind, FaultKind::Denied);
}

#[test]
fn one_content_may_have_several_names_and_places() {
    let place = Place::new();
    for folder in ["a", "b"] {
        fs::create_dir(place.path(folder)).unwrap();
        fs::write(place.path(folder).join("same"), b"same").unwrap();
    }
    fs::write(place.path("a/other"), b"same").unwrap();
    let content = Content::cut("same", b"same".to_vec(), 16 << 10);
    let mut session = place.open();
    let names =
        |events: &[StoreEvent]| offered(events).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
    assert_eq!(names(&session.share(&place.path("a"))), ["other", "same"]);
    assert!(
        names(&session.share(&place.path("b"))).is_empty(),
        "the name is offered with this content already"
    );
    assert!(names(&session.share(&place.path("b"))).is_empty(), "nothing new");
    assert_eq!(session.served(&content).unwrap(), b"same");
    fs::remove_file(place.path("a/same")).unwrap();
    fs::write(place.path("a/other"), b"else").unwrap();
    assert_eq!(session.served(&content).unwrap(), b"same");
    // The last place of one name is gone; the other name still has one.
    fs::remove_file(place.path("b/same")).unwrap();
    assert_eq!(session.served(&content), Err(SpanFault::Gone));
    let told = session.run();
    let withdrawn: Vec<_> = told.iter().filter(|event| is_withdrawn(event)).collect();
    assert_eq!(withdrawn.len(), 2, "{told:?}");
    assert_eq!(offered(&told), [("other".to_owned(), id_of(b"else"), 4)]);
}

fn is_withdrawn(event: &StoreEvent) -> bool {
    matches!(event, StoreEvent::Reply(StoreReply::Withdrawn { .. }))
}

#[test]
fn a_file_that_changes_is_withdrawn_and_offered_anew() {
    let place = Place::new();
    let (path, content) = (place.path("talk"), Content::new("talk", 100_000));
    fs::write(&path, &content.bytes).unwrap();
    let mut session = place.open();
    session.share(&path);
    assert_eq!(session.served(&content).unwrap(), content.bytes);
    // In place, to the same length.
    let changed = bytes(100_000, "changed");
    fs::write(&path, &changed).unwrap();
    assert_eq!(session.served(&content), Err(SpanFault::Changed));
    let told = session.run();
    assert!(is_withdrawn(&told[0]));
    assert_eq!(offered(&told), [("talk".to_owned(), id_of(&changed), 100_000)]);
    // Truncated.
    let changed = Content::cut("talk", changed, 16 << 10);
    fs::write(&path, b"short").unwrap();
    assert_eq!(session.served(&changed), Err(SpanFault::Changed));
    assert_eq!(offered(&session.run())[0].1, id_of(b"short"));
    // Gone, while it is open here: its last link is part of what it was.
    let short = Content::cut("talk", b"short".to_vec(), 16 << 10);
    fs::remove_file(&path).unwrap();
    assert!(session.served(&short).is_err());
    let told = session.run();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(is_withdrawn(&told[0]));
    assert_eq!(session.served(&short), Err(SpanFault::Gone));
}

#[test]
fn a_link_put_in_the_place_of_a_shared_file_or_folder_is_not_followed() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("file"), b"file").unwrap();
    fs::write(folder.join("sub/file"), b"sub file").unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/file"), b"sub file").unwrap();
    let mut session = place.open();
    session.share(&folder);
    fs::remove_file(folder.join("file")).unwrap();
    symlink(place.path("outside/file"), folder.join("file")).unwrap();
    fs::remove_dir_all(folder.join("sub")).unwrap();
    symlink(place.path("outside"), folder.join("sub")).unwrap();
    for bytes in [b"file".to_vec(), b"sub file".to_vec()] {
        assert_eq!(session.served(&Content::cut("file", bytes, 16 << 10)), Err(SpanFault::Gone));
    }
    assert!(offered(&session.run()).is_empty());
}

#[test]
fn a_link_put_in_the_place_of_a_file_that_was_named_is_not_followed() {
    let place = Place::new();
    let file = Content::new("file", 100);
    fs::write(place.path("secret"), b"secret").unwrap();
    fs::create_dir(place.path("shared")).unwrap();
    let path = place.path("shared/file");
    fs::write(&path, &file.bytes).unwrap();
    let mut session = place.open();
    session.share(&path);
    fs::remove_file(&path).unwrap();
    symlink(place.path("secret"), &path).unwrap();
    assert_eq!(session.served(&file), Err(SpanFault::Gone));
    assert!(offered(&session.run()).is_empty());
    // Neither is one in the place of its folder.
    fs::remove_file(&path).unwrap();
    fs::write(&path, &file.bytes).unwrap();
    session.share(&path);
    fs::rename(place.path("shared"), place.path("moved")).unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/file"), b"secret").unwrap();
    symlink(place.path("outside"), place.path("shared")).unwrap();
    fs::write(place.path("moved/file"), b"changed").unwrap();
    assert_eq!(session.served(&file), Err(SpanFault::Changed));
    assert_eq!(offered(&session.run()), [("file".to_owned(), id_of(b"changed"), 7)]);
}

#[test]
fn a_log_of_long_paths_is_not_compacted_for_its_length() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let folder = place.path(&["long".repeat(50), "path".repeat(50)].join("/"));
    fs::create_dir_all(&folder).unwrap();
    (0..120).for_each(|number: u32| fs::write(folder.join(number.to_string()), b"file").unwrap());
    let log = place.path("state/chunkcast/index.log");
    place.open().share(&folder);
    let before = fs::metadata(&log).unwrap();
    assert!(before.len() > 120 * 540, "{} bytes", before.len());
    place.open().share(&folder);
    assert_eq!(fs::metadata(&log).unwrap().ino(), before.ino());
}

#[test]
fn the_index_spares_hashing_but_is_not_trusted_too_soon() {
    let place = Place::new();
    let (path, len) = (place.path("large"), 8 << 20);
    fs::write(&path, bytes(len, "large")).unwrap();
    let calls_of = |place: &Place| {
        let plan = Arc::new(FaultPlan::dead_from(0));
        let events = place.open_as(place.config(), Some(&plan)).share(&path);
        assert_eq!(offered(&events).len(), 1);
        plan.calls()
    };
    calls_of(&place);
    let log = place.path("state/chunkcast/index.log");
    let text = fs::read_to_string(&log).unwrap();
    // As if the file had had this age when it was hashed; lines that are none do no harm.
    let calls_at_age = |age_ns: i64| {
        let mut line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        line["hashed"] = (line["ctime"].as_i64().unwrap() + age_ns).into();
        fs::write(&log, format!("{text}garbage\n{line}\n{{\"v\":1,\"torn")).unwrap();
        calls_of(&place)
    };
    let (hashed, spared) = (calls_at_age(1_999_999_999), calls_at_age(2_000_000_000));
    assert!(spared + 8 < hashed, "{spared} calls against {hashed}");
    fs::remove_dir_all(place.path("state/chunkcast/manifests")).unwrap();
    assert!(calls_of(&place) > spared + 8, "hashed, since the manifest is lost");
}

#[test]
fn an_index_that_is_garbage_or_newer_is_put_aside() {
    let newer = "{\"v\":2,\"what\":1}\n";
    for text in ["\0\0\0garbage", newer] {
        let place = Place::new();
        fs::write(place.path("file"), b"file").unwrap();
        drop(place.open());
        let log = place.path("state/chunkcast/index.log");
        fs::write(&log, text).unwrap();
        assert_eq!(offered(&place.open().share(&place.path("file"))).len(), 1);
        assert_eq!(fs::read_to_string(log.with_extension("log.bad-1")).unwrap(), text);
        assert!(fs::read_to_string(&log).unwrap().contains(&id_of(b"file").to_string()));
    }
}

#[test]
fn two_stores_share_one_state_directory_and_compact_its_log() {
    let place = Place::new();
    fs::write(place.path("one"), b"one").unwrap();
    fs::write(place.path("two"), b"two").unwrap();
    let (mut first, mut second) = (place.open(), place.open());
    for _ in 0..300 {
        first.share(&place.path("one"));
        second.share(&place.path("two"));
    }
    let log = fs::read_to_string(place.path("state/chunkcast/index.log")).unwrap();
    assert!(log.len() < 128 << 10, "{} bytes", log.len());
    for id in [id_of(b"one"), id_of(b"two")] {
        assert!(log.contains(&id.to_string()));
    }
}

#[test]
fn many_small_files_take_little_memory_and_few_calls() {
    let place = Place::new();
    let folder = place.path("many");
    fs::create_dir(&folder).unwrap();
    for number in 0..2000 {
        fs::write(folder.join(format!("{number}.txt")), format!("file {number}")).unwrap();
    }
    let plan = Arc::new(FaultPlan::dead_from(0));
    let mut session = place.open_as(place.config(), Some(&plan));
    assert_eq!(offered(&session.share(&folder)).len(), 2000);
    let calls = plan.calls();
    assert!(calls < 2000 * 7, "{calls} calls");
    for number in (0..2000).rev() {
        let content = Content::cut("x", format!("file {number}").into_bytes(), 16 << 10);
        assert_eq!(session.served(&content).unwrap(), content.bytes);
    }
}

#[test]
fn deep_folders_end_somewhere() {
    let place = Place::new();
    let mut deep = place.path("deep");
    fs::create_dir(&deep).unwrap();
    for _ in 0..80 {
        deep.push("d");
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("file"), b"too deep").unwrap();
    let events = place.open().share(&place.path("deep"));
    assert!(offered(&events).is_empty());
    assert_eq!(skipped(&events), ["d"]);
}

#[test]
fn hashing_a_path_tells_its_progress() {
    let place = Place::new();
    let content = Content::new("file", 2_500_000);
    fs::write(place.path("file"), &content.bytes).unwrap();
    let mut heard = Vec::new();
    let hashed = super::super::hash_path(&place.path("file"), |bytes| heard.push(bytes)).unwrap();
    assert_eq!(hashed, (content.id, 2_500_000));
    assert_eq!(heard, [1 << 20, 2 << 20, 2_500_000]);
    assert!(super::super::hash_path(place.root.path(), |_| ()).unwrap_err().text.contains("not a file"));
}

#[test]
fn a_file_that_was_just_written_to_is_shared_when_it_is_quiet() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("growing"), b"half").unwrap();
    fs::write(folder.join("old"), b"old").unwrap();
    let hours_ago = SystemTime::now() - Duration::from_secs(7200);
    fs::File::options().write(true).open(folder.join("old")).unwrap().set_modified(hours_ago).unwrap();
    let unsettled = |events: &[StoreEvent]| {
        let is_it = |event: &&StoreEvent| matches!(event, StoreEvent::Share(ShareEvent::Unsettled { name }) if name.ends_with("growing"));
        events.iter().filter(is_it).count()
    };
    let mut session = place.open();
    session.store.scan.watch.quiet = Duration::from_secs(3600);
    session.store.share_when_quiet(&folder).unwrap();
    let events = session.run();
    let old = Content::cut("old", b"old".to_vec(), 16 << 10);
    assert_eq!(offered(&events), [("old".to_owned(), old.id, 3)]);
    assert_eq!(unsettled(&events), 1);
    assert!(
        matches!(events.last(), Some(StoreEvent::Share(ShareEvent::ScanDone { files: 1, bytes: 3 }))),
        "{events:?}"
    );

    // It is told once, however often it is looked at.
    session.store.scan.watch.hurry();
    assert!(session.run().is_empty());
    fs::write(folder.join("growing"), b"half and half").unwrap();
    session.store.scan.watch.quiet = Duration::ZERO;
    session.store.scan.watch.hurry();
    let whole = Content::cut("growing", b"half and half".to_vec(), 16 << 10);
    let events = session.run();
    assert_eq!(offered(&events), [("growing".to_owned(), whole.id, 13)]);
    assert!(
        matches!(events.last(), Some(StoreEvent::Share(ShareEvent::ScanDone { files: 2, bytes: 16 }))),
        "{events:?}"
    );

    // It is written to again; somebody asks for it meanwhile.
    session.store.scan.watch.quiet = Duration::from_secs(3600);
    fs::write(folder.join("growing"), b"").unwrap();
    assert_eq!(session.served(&whole), Err(SpanFault::Changed));
    let events = session.run();
    assert_eq!((offered(&events).len(), unsettled(&events)), (0, 1), "{events:?}");
    fs::write(folder.join("growing"), b"other").unwrap();
    session.store.scan.watch.quiet = Duration::ZERO;
    session.store.scan.watch.hurry();
    let other = Content::cut("growing", b"other".to_vec(), 16 << 10);
    assert_eq!(offered(&session.run()), [("growing".to_owned(), other.id, 5)]);
}
