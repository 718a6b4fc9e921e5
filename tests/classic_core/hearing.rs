//! Announcing and hearing.

use std::collections::BTreeMap;
use std::time::Duration;

use chunkcast::core::{ClassicConfig, ClassicEvent, Command, DatagramTo, DictionaryUse, Input, Voice};
use chunkcast::types::Time;
use chunkcast::wire::classic::announcement;
use chunkcast::wire::classic::{ChunkName, Dialect};
use chunkcast::wire::message::Wanted;

use super::bench::{Bench, HERE, config, content, host};
use super::common::Bench as _;

#[test]
fn what_is_shared_is_announced_to_everybody_and_to_who_was_heard() {
    let mut bench = Bench::new(config());
    bench.hear(host(2), r#"{"chunks": ["sea_1"]}"#);
    bench.share("forest.png", content(60_001));
    bench.share("empty", Vec::new());
    bench.wait_ms(2_000);
    let said: Vec<&str> =
        bench.datagrams.iter().map(|(_, bytes)| std::str::from_utf8(bytes).expect("text")).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    let names = r#""forest_1", "forest_2", "forest_3", "forest_4", "forest_5""#;
    let whole = r#""forest.png_1", "forest.png_2", "forest.png_3", "forest.png_4", "forest.png_5""#;
    assert_eq!(said[1], format!(r#"{{"chunks": [{names}], "ip_address": "10.0.0.1"}}"#));
    // Some of A know the one form, some the other, and some only the newest datagram.
    assert_eq!(said[2], format!(r#"{{"username": "alice", "files": [{names}, {whole}]}}"#));
    let to: Vec<DatagramTo> = bench.datagrams.iter().map(|(to, _)| *to).collect();
    assert_eq!(to[1], DatagramTo::One { iface: None, addr: (host(2), 5001).into() });
    assert_eq!(to[2], DatagramTo::EverybodyAt { port: 5000 });
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::Announced { chunks: 5 })), 1);
}

#[test]
fn a_chunk_that_is_kept_is_announced_in_both_forms_and_in_that_which_was_heard() {
    let mut bench = Bench::new(ClassicConfig { voices: vec![config().voices[0]], ..config() });
    for name in ["sea.png_1", "lake_1", "moor_1"] {
        bench.kept.insert(ChunkName::parse(name).expect("a name"), b"wet".to_vec());
    }
    bench.hear(host(2), r#"{"username": "bob", "files": ["lake.jpg_1"]}"#);
    bench.wait_ms(2_000);
    let said = announcement::decode(&bench.datagrams[0].1).expect("what others read");
    let names: Vec<String> = said.chunks.iter().map(|chunk| chunk.name.to_string()).collect();
    assert_eq!(names, ["lake_1", "lake.jpg_1", "moor_1", "sea_1", "sea.png_1"]);
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::Announced { chunks: 3 })), 1);
}

/// Shares what takes several datagrams to announce.
fn share_many(bench: &mut Bench) {
    for number in 0..20 {
        bench.share(&format!("a picture of a rather long name {number:02}.png"), content(10));
    }
}

#[test]
fn the_datagrams_of_a_round_come_one_by_one() {
    let mut bench = Bench::new(config());
    share_many(&mut bench);
    let mut times = Vec::new();
    while bench.now < Time::from_millis(4_000) {
        bench.wait_ms(1);
        let count = bench.datagrams.len() - times.len();
        times.extend(std::iter::repeat_n(bench.now.since(Time::ZERO).as_millis() as u64, count));
    }
    assert!(times.len() > 5, "{times:?}");
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (20..=50).contains(gap)), "{gaps:?}");
    let ports: Vec<DatagramTo> = bench.datagrams.iter().map(|(to, _)| *to).collect();
    assert_eq!(ports.last(), Some(&DatagramTo::EverybodyAt { port: 5000 }));
    // A file's names stand in one datagram.
    for (_, bytes) in &bench.datagrams {
        let said = announcement::decode(bytes).expect("what others read");
        let stems = said.chunks.chunk_by(|one, next| one.name.stem() == next.name.stem());
        assert!(stems.into_iter().all(|file| file.len() % 5 == 0), "{:?}", said.chunks);
    }
}

#[test]
fn who_leaves_says_nothing_more() {
    let mut bench = Bench::new(config());
    share_many(&mut bench);
    while bench.datagrams.is_empty() {
        bench.wait_ms(1);
    }
    bench.tell(Input::Command(Command::Leave));
    bench.wait_ms(90_000);
    assert_eq!(bench.datagrams.len(), 1, "the rest of the round is dropped");
}

#[test]
fn d_is_announced_in_one_datagram_with_what_the_store_read() {
    let mut bench = Bench::new(ClassicConfig {
        voices: [5001, 5002].map(|port| Voice { dialect: Dialect::D, port }).to_vec(),
        ..config()
    });
    bench.share("forest.png", content(102_401));
    // More chunks than a datagram has room for: announced in part, it would be taken for a shorter file.
    bench.share("long.bin", content(102_400 * 500));
    bench.wait_ms(2_000);
    let [(to, datagram), (other, same)] = bench.datagrams.as_slice() else { panic!("{:?}", bench.datagrams) };
    assert_eq!([*to, *other], [5001, 5002].map(|port| DatagramTo::EverybodyAt { port }));
    assert_eq!(datagram, same);
    let said = announcement::decode(datagram).expect("what others read");
    assert!(said.replaces_all);
    let told: Vec<_> =
        said.chunks.iter().map(|chunk| (chunk.name.to_string(), chunk.size, chunk.sha256)).collect();
    let first = ("forest_1.png".to_owned(), Some(102_400), Some([1; 32]));
    assert_eq!(told, [first, ("forest_2.png".to_owned(), Some(1), Some([2; 32]))]);
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::Announced { chunks: 2 })), 1);

    let own = String::from_utf8(datagram.clone()).expect("text");
    bench.hear(HERE.into(), &own);
    assert!(bench.peer.status(bench.now).classic.is_empty(), "it is its own");
}

#[test]
fn own_datagrams_are_not_heard_but_those_of_other_processes_here_are() {
    let mut bench = Bench::new(config());
    bench.share("forest.png", content(10));
    bench.wait_ms(2_000);
    let (_, own) = bench.datagrams[0].clone();
    bench.hear(HERE.into(), std::str::from_utf8(&own).expect("text"));
    assert!(bench.peer.status(bench.now).classic.is_empty());
    bench.hear(HERE.into(), r#"{"chunks": ["sea_1"]}"#);
    assert_eq!(bench.peer.status(bench.now).classic[0].file, "sea.png");
}

#[test]
fn news_is_told_once_and_silence_is_noticed() {
    let mut bench = Bench::new(config());
    bench.hear(host(2), r#"{"username": "bob", "files": ["a_1", "a_2"]}"#);
    bench.hear(host(2), r#"{"username": "bob", "files": ["a_1", "a_3"]}"#);
    let heard: Vec<usize> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            ClassicEvent::Heard { chunks, .. } => Some(chunks.len()),
            _ => None,
        })
        .collect();
    assert_eq!(heard, [2, 1]);
    bench.wait_ms(1_000);
    assert_eq!(bench.dictionaries, 2, "not for every datagram, but at the end");
    bench.wait_ms(180_000);
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::Gone { chunks: 3, .. })), 1);
    assert!(bench.peer.status(bench.now).classic.is_empty());
}

#[test]
fn hostile_datagrams_cost_a_counter() {
    let mut bench = Bench::new(config());
    for json in ["", "{", "[]", "null", "{\"chunks\": 7}", "{\"files\": {}}"] {
        bench.hear(host(2), json);
    }
    bench.hear(host(2), r#"{"chunks": ["../a_1", "a", "a/b_1", "", 7, null]}"#);
    bench.hear(host(2), &"[".repeat(64 << 10));
    let many = format!("{{\"chunks\": [{}\"a_1\"]}}", "\"a_1\",".repeat(5_000));
    bench.hear(host(2), &many);
    assert_eq!(bench.counter("classic names refused"), 6);
    assert!(bench.peer.status(bench.now).classic.is_empty() && bench.events.is_empty());
}

#[test]
fn who_looks_about_sees_what_another_process_heard() {
    let mut classic = config();
    classic.dictionary = DictionaryUse::Read;
    let mut bench = Bench::new(classic);
    let name = |text| ChunkName::parse(text).expect("a name");
    bench.dictionary = BTreeMap::from([(name("sea_1"), vec![host(2)])]);
    bench.tell(Input::Command(Command::Look { wanted: Wanted::All, wait: Duration::from_secs(1) }));
    assert_eq!(bench.peer.status(bench.now).classic[0].file, "sea.png");
    // It may be written only now.
    bench.dictionary.insert(name("lake_1.jpg"), vec![host(2)]);
    bench.wait_ms(1_000);
    assert_eq!(bench.peer.status(bench.now).classic.len(), 2);
    bench.dictionary.clear();
    bench.wait_ms(2_000);
    assert_eq!(bench.peer.status(bench.now).classic.len(), 2, "it is read no more");
}
