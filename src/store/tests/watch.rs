//! Watched folders: what is new, changed, gone; what is left alone.

use std::os::unix::fs::symlink;

use super::*;

/// Longer than any test.
const INTERVAL: Duration = Duration::from_secs(3600);

/// A store that watches a folder and takes files at once.
fn watching(place: &Place, folder: &Path) -> (Session, Vec<StoreEvent>) {
    let mut session = place.open();
    session.store.watch(folder, INTERVAL).unwrap();
    session.store.scan.watch.quiet = Duration::ZERO;
    let events = session.run();
    (session, events)
}

fn looked(session: &mut Session) -> Vec<StoreEvent> {
    session.store.scan.watch.hurry();
    session.run()
}

/// What was offered and withdrawn, by name.
fn news(events: &[StoreEvent]) -> (Vec<String>, Vec<(String, SpanFault)>) {
    let gone = |event: &StoreEvent| match event {
        StoreEvent::Reply(StoreReply::Withdrawn { name, why, .. }) => Some((name.clone(), *why)),
        _ => None,
    };
    let mut gone: Vec<_> = events.iter().filter_map(gone).collect();
    gone.sort();
    (offered(events).into_iter().map(|(name, ..)| name).collect(), gone)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_changes_is_seen_once() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::write(folder.join("below/stays"), b"stays").unwrap();
    fs::write(folder.join("goes"), b"goes").unwrap();
    fs::write(folder.join("changes"), b"before").unwrap();
    symlink("goes", folder.join("link")).unwrap();
    let (mut session, events) = watching(&place, &folder);
    assert_eq!(news(&events).0, names(&["below/stays", "changes", "goes"]));
    assert_eq!(skipped(&events), ["link"]);
    assert!(matches!(looked(&mut session)[..], []), "nothing is told twice");

    fs::remove_file(folder.join("goes")).unwrap();
    fs::write(folder.join("changes"), b"and after").unwrap();
    fs::rename(folder.join("below"), folder.join("renamed")).unwrap();
    fs::write(folder.join(".hidden"), b"hidden").unwrap();
    fs::write(folder.join("x.0123abcd.part"), b"part").unwrap();
    let (here, gone) = news(&looked(&mut session));
    assert_eq!(here, names(&["changes", "renamed/stays"]));
    let gone: Vec<_> = gone.iter().map(|(name, why)| (name.as_str(), *why)).collect();
    let expected =
        [("below/stays", SpanFault::Gone), ("changes", SpanFault::Changed), ("goes", SpanFault::Gone)];
    assert_eq!(gone, expected);
    assert!(looked(&mut session).is_empty());
    session.store.rescan();
    assert_eq!(skipped(&session.run()), ["link"], "told again to who asks");
    let after = Content::cut("changes", b"and after".to_vec(), 16 << 10);
    assert_eq!(session.served(&after), Ok(after.bytes.clone()));
}

#[test]
fn a_file_that_is_being_written_waits() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir(&folder).unwrap();
    let (mut session, _) = watching(&place, &folder);
    session.store.scan.watch.quiet = Duration::from_secs(3600);
    fs::write(folder.join("growing"), b"half").unwrap();
    assert!(looked(&mut session).is_empty());
    fs::write(folder.join("growing"), b"half and half").unwrap();
    session.store.scan.watch.quiet = Duration::ZERO;
    let whole = Content::cut("growing", b"half and half".to_vec(), 16 << 10);
    assert_eq!(offered(&looked(&mut session)), [("growing".to_owned(), whole.id, 13)]);
}

#[test]
fn a_folder_goes_away_comes_back_and_is_replaced() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a"), b"a").unwrap();
    let (mut session, _) = watching(&place, &folder);
    fs::rename(&folder, place.path("away")).unwrap();
    let events = looked(&mut session);
    assert!(
        matches!(&events[0], StoreEvent::Share(ShareEvent::Folder { path, away: Some(_) }) if *path == folder),
        "{events:?}"
    );
    assert_eq!(news(&events).1, [("a".to_owned(), SpanFault::Gone)]);
    assert!(looked(&mut session).is_empty());
    fs::rename(place.path("away"), &folder).unwrap();
    let events = looked(&mut session);
    assert!(matches!(&events[0], StoreEvent::Share(ShareEvent::Folder { away: None, .. })), "{events:?}");
    assert_eq!(news(&events).0, names(&["a"]));
    fs::rename(&folder, place.path("old")).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("b"), b"b").unwrap();
    let events = looked(&mut session);
    assert_eq!(news(&events), (names(&["b"]), vec![("a".to_owned(), SpanFault::Gone)]));
}

#[test]
fn downloads_into_a_watched_folder_are_known_by_their_network_names() {
    let place = Place::new();
    let content = Content::new("far/away.bin", 40_000);
    let (mut session, _) = watching(&place, &place.target());
    session.download(&content).unwrap();
    assert!(looked(&mut session).is_empty(), "it is served already");
    fs::remove_file(place.in_target("away.bin")).unwrap();
    assert_eq!(news(&looked(&mut session)).1, [("far/away.bin".to_owned(), SpanFault::Gone)]);
    // The target folder was there: when it is away, no other is made in its place.
    fs::remove_dir_all(place.target()).unwrap();
    looked(&mut session);
    assert!(session.open_part(&content).is_err() && !place.target().exists());
    fs::create_dir(place.target()).unwrap();
    looked(&mut session);
    session.download(&content).unwrap();
    assert_eq!(place.listing(), ["away.bin"]);
}

#[test]
fn what_cannot_be_looked_at_for_the_moment_is_not_gone() {
    let place = Place::new();
    let folder = place.path("shared");
    fs::create_dir_all(folder.join("below")).unwrap();
    fs::write(folder.join("below/a"), b"a").unwrap();
    let (mut session, _) = watching(&place, &folder);
    // Every call of a pass in turn fails as when there are no descriptors, until a pass has none left to fail.
    for call in 1.. {
        let plan = Arc::new(FaultPlan::fail_once(call, rustix::io::Errno::MFILE));
        session.store.library.fs = Fs::with_plan(Arc::clone(&plan));
        assert!(looked(&mut session).is_empty(), "call {call}");
        if plan.calls() < call {
            assert!(call > 5, "{call} calls");
            return;
        }
    }
}
