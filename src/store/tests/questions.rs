//! Manifests in pages, and chunks that somebody says are bad.

use super::*;
use crate::core::ConnId;
use crate::types::manifest::ManifestPages;

const CONN: ConnId = ConnId { slot: 3, generation: 1 };

fn manifest_read(session: &mut Session, content: &Content, chunk_bytes: u32) -> Option<Manifest> {
    let mut pages = ManifestPages::new();
    loop {
        let job = StoreJob::ReadManifest {
            content: content.id,
            chunk_bytes,
            first: pages.next_first(),
            conn: CONN,
            channel: 9,
        };
        let StoreReply::ManifestRead { conn: CONN, page, .. } = session.ask(job) else { panic!() };
        let page = *page?;
        assert_eq!((page.channel, page.chunk_bytes), (9, chunk_bytes));
        if let Some(manifest) = pages.push(page).unwrap() {
            return Some(manifest);
        }
    }
}

#[test]
fn manifests_are_given_in_every_legal_chunk_size() {
    for len in [0, 1, 1000, 1024, 5000, 16 << 10, 17_000, 100_000, (64 << 10) * 3, 3_000_001] {
        let (place, content) = (Place::new(), Content::new("talk", len));
        fs::write(place.path("talk"), &content.bytes).unwrap();
        let mut session = place.open();
        session.share(&place.path("talk"));
        for chunk_bytes in [1 << 10, 2 << 10, 4 << 10, 12 << 10, 16 << 10, 100 << 10, 1 << 20] {
            let manifest = manifest_read(&mut session, &content, chunk_bytes).unwrap();
            let expected = Content::cut("talk", content.bytes.clone(), chunk_bytes).manifest;
            assert_eq!(manifest, expected, "{len} in {chunk_bytes}");
            // What was computed for one who asked is kept for the next.
            assert_eq!(manifest_read(&mut session, &content, chunk_bytes), Some(expected));
        }
        assert_eq!(manifest_read(&mut session, &content, 3), None);
    }
}

#[test]
fn a_lost_manifest_is_made_again() {
    let (place, content) = (Place::new(), Content::new("talk", 100_000));
    fs::write(place.path("talk"), &content.bytes).unwrap();
    let file = place.path("state/chunkcast/manifests").join(content.id.to_string());
    for damage in ["", "CCM1 and no more"] {
        let mut session = place.open();
        session.share(&place.path("talk"));
        // Push what is kept in memory out of it.
        for number in 0..20 {
            let other = Content::new(&number.to_string(), 20_000);
            fs::write(place.path(&other.name), &other.bytes).unwrap();
            session.share(&place.path(&other.name));
        }
        fs::write(&file, damage).unwrap();
        assert_eq!(manifest_read(&mut session, &content, 16 << 10), Some(content.manifest.clone()));
        assert!(fs::read(&file).unwrap().len() > 100);
    }
}

#[test]
fn a_part_answers_for_its_manifest() {
    let (place, content) = (Place::new(), Content::new("talk", 100_000));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    assert_eq!(manifest_read(&mut session, &content, 16 << 10), Some(content.manifest.clone()));
    assert_eq!(manifest_read(&mut session, &content, 1 << 10), None);
    let unknown = Content::new("unknown", 10);
    assert_eq!(manifest_read(&mut session, &unknown, 16 << 10), None);
}

#[test]
fn a_chunk_is_hashed_again_when_somebody_says_it_is_bad() {
    let (place, content) = (Place::new(), Content::new("talk", 100_000));
    fs::write(place.path("talk"), &content.bytes).unwrap();
    let mut session = place.open();
    session.share(&place.path("talk"));
    for chunk_bytes in [1 << 10, 16 << 10, 100 << 10] {
        let chunk = 100_000 / chunk_bytes;
        let reply = session.ask(StoreJob::Recheck { content: content.id, chunk, chunk_bytes });
        assert!(matches!(reply, StoreReply::Rechecked { good: true, .. }), "{reply:?}");
    }
    // A disk that forgot: the bytes are wrong while the file looks as it did.
    let mut wrong = content.bytes.clone();
    wrong[50_000] ^= 1;
    fs::write(place.path("talk"), &wrong).unwrap();
    let at = session.store.library.served.any_of(&content.id).map(|file| file.place.clone()).unwrap();
    let look = session.store.library.served.open_at(&at).unwrap().1;
    session.store.library.offer(at, look.stamp, content.id);
    let good = session.ask(StoreJob::Recheck { content: content.id, chunk: 0, chunk_bytes: 16 << 10 });
    assert!(matches!(good, StoreReply::Rechecked { good: true, .. }));
    let replies = session.submit(StoreJob::Recheck { content: content.id, chunk: 3, chunk_bytes: 16 << 10 });
    let [
        StoreReply::Withdrawn { .. },
        StoreReply::Rechecked { good: false, .. },
        StoreReply::Offered { content: new, .. },
    ] = &replies[..]
    else {
        panic!("{replies:?}")
    };
    assert_eq!(*new, id_of(&wrong));
}

#[test]
fn a_bad_chunk_of_a_part_is_lost() {
    let (place, content) = (Place::new(), Content::new("talk", 100_000));
    let mut session = place.open();
    session.open_part(&content).unwrap();
    session.create(&content).unwrap();
    (0..3).for_each(|chunk| drop(session.write(&content, chunk)));
    let part = place.in_target(&content.part());
    let mut bytes = fs::read(&part).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&part, bytes).unwrap();
    let mut check = |chunk| {
        let reply = session.ask(StoreJob::Recheck { content: content.id, chunk, chunk_bytes: 16 << 10 });
        matches!(reply, StoreReply::Rechecked { good: true, .. })
    };
    assert_eq!([0, 1, 2].map(&mut check), [true, false, true]);
    session.close(&content);
    let PartState::Resumed { have, .. } = place.open().open_part(&content).unwrap() else { panic!() };
    assert_eq!(have.iter().collect::<Vec<_>>(), [0, 2]);
}
