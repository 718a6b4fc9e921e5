//! Several peers of several dialects hold parts of one file; some die, some are wrong.

use std::time::Duration;

use super::field::Field;
use crate::reference::dialect::Dialect;
use crate::reference::loopback::own_address;
use crate::reference::manner::{Manner, Sending};

#[test]
fn one_a_one_b_and_two_c_together_and_one_dies() {
    let (field, at) = (Field::new(3_000_000), own_address());
    let parts = [
        (Dialect::A, 0..3, Manner::default()),
        (Dialect::B, 2..4, Manner::default()),
        // Breaks off in the middle of whatever it is asked for.
        (Dialect::C, 0..5, Manner { sending: Sending::StopsAt(100_000), ..Manner::default() }),
        (Dialect::C, 3..5, Manner::default()),
    ];
    let holders: Vec<_> = parts
        .into_iter()
        .map(|(dialect, part, manner)| Field::holder(dialect, &field.chunks(dialect)[part], manner, at))
        .collect();
    let got = field.folder("got");
    field.get(at, &got).run().expect(0);
    field.assert_got(&got);
    for holder in &holders {
        assert_eq!(holder.uploader.death(), None);
    }
}

#[test]
fn one_that_is_killed_half_way_is_replaced() {
    let (field, at) = (Field::new(60_001), own_address());
    let slow = Sending::Pieces { bytes: 1000, gap: Duration::from_millis(30) };
    let chunks = field.chunks(Dialect::B);
    let doomed = Field::holder(Dialect::B, &chunks, Manner { sending: slow, ..Manner::default() }, at);
    let got = field.folder("got");
    let child = field.get(at, &got).start();
    doomed.uploader.wait_asked(1);
    let _other = Field::holder(Dialect::C, &chunks, Manner::default(), at);
    drop(doomed);
    child.end().expect(0);
    field.assert_got(&got);
}

#[test]
fn what_was_fetched_is_served_again() {
    let (field, middle, last) = (Field::new(60_001), own_address(), own_address());
    let holder = Field::holder(Dialect::B, &field.chunks(Dialect::B), Manner::default(), middle);
    let folder = field.folder("middle");
    let args = ["classic".as_ref(), "peer".as_ref(), "--get".as_ref(), field.stem.as_ref()];
    let args = [&args[..], &["--dir".as_ref(), folder.as_os_str()]].concat();
    let mut peer = field.launch(middle, &args).start();
    peer.wait_json("the whole file", |line| (line["t"] == "done").then_some(()));
    drop(holder);
    let got = field.folder("got");
    field.get(last, &got).run().expect(0);
    field.assert_got(&got);
    peer.interrupt().expect(0);
}

#[test]
fn chunks_that_cannot_be_of_one_file_are_told_and_not_merged() {
    let (field, other, at) = (Field::new(60_001), Field::new(1003), own_address());
    let mut strangers = other.chunks(Dialect::B);
    for (stranger, own) in strangers.iter_mut().zip(field.chunks(Dialect::B)) {
        stranger.name = own.name;
    }
    let _one = Field::holder(Dialect::B, &field.chunks(Dialect::B)[..3], Manner::default(), at);
    let _two = Field::holder(Dialect::B, &strangers[3..4], Manner::default(), at);
    let _three = Field::holder(Dialect::B, &strangers[4..], Manner::default(), at);
    let got = field.folder("got");
    let ended = field.get(at, &got).run().expect(6);
    assert!(!got.join(field.file()).exists());
    assert!(ended.text().contains("12001"), "{}", ended.text());
}

#[test]
fn a_chunk_that_nobody_delivers_is_named() {
    let (field, at) = (Field::new(1003), own_address());
    let chunks = field.chunks(Dialect::B);
    let _all_but_one =
        Field::holder(Dialect::B, &[&chunks[..2], &chunks[3..]].concat(), Manner::default(), at);
    let silent = Manner { sending: Sending::StopsAt(0), ..Manner::default() };
    let _useless = Field::holder(Dialect::C, &chunks[2..3], silent, at);
    let got = field.folder("got");
    let ended = field.get(at, &got).run().expect(5);
    let told = format!("CHUNK {}_3 CANNOT BE DOWNLOADED FROM ONLINE PEERS.", field.stem);
    assert!(ended.text().contains(&told), "{}", ended.text());
    assert!(!got.join(field.file()).exists());
}

#[test]
fn a_native_peer_is_preferred() {
    let (field, sharer, getter) = (Field::new(60_001), own_address(), own_address());
    let mut share = field.share(sharer);
    share.wait_json("its offer", |line| (line["t"] == "content").then_some(()));
    // The same name, other bytes.
    let mut lie = Field::new(1003).chunks(Dialect::B);
    for (lie, own) in lie.iter_mut().zip(field.chunks(Dialect::B)) {
        lie.name = own.name;
    }
    let _classic = Field::holder(Dialect::B, &lie, Manner::default(), getter);
    let got = field.folder("got");
    let ended = field.get(getter, &got).run().expect(0);
    field.assert_got(&got);
    assert_eq!(ended.of_type("done")[0]["verified"], true);
    assert!(!got.join(".chunkcast-classic").exists(), "nothing of theirs came");
    share.interrupt().expect(0);
}
