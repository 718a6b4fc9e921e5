//! Announcing and hearing.

use std::collections::BTreeMap;
use std::time::Duration;

use chunkcast::core::{ClassicConfig, ClassicEvent, Command, DatagramTo, DictionaryUse, Input, Voice};
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
    let names = r#"["forest_1", "forest_2", "forest_3", "forest_4", "forest_5"]"#;
    assert_eq!(said[0], format!(r#"{{"username": "alice", "files": {names}}}"#));
    assert_eq!(said[3], format!(r#"{{"chunks": {names}, "ip_address": "10.0.0.1"}}"#));
    let to: Vec<DatagramTo> = bench.datagrams.iter().map(|(to, _)| *to).collect();
    assert_eq!(to[0], DatagramTo::EverybodyAt { port: 5000 });
    assert_eq!(to[3], DatagramTo::One { iface: None, addr: (host(2), 5001).into() });
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::Announced { chunks: 5 })), 1);
}

#[test]
fn d_is_announced_in_one_datagram_with_what_the_store_read() {
    let mut bench =
        Bench::new(ClassicConfig { voices: vec![Voice { dialect: Dialect::D, port: 5002 }], ..config() });
    bench.share("forest.png", content(102_401));
    // More chunks than a datagram has room for: announced in part, it would be taken for a shorter file.
    bench.share("long.bin", content(102_400 * 500));
    bench.wait_ms(2_000);
    let [(to, datagram)] = bench.datagrams.as_slice() else { panic!("{:?}", bench.datagrams) };
    assert_eq!(*to, DatagramTo::EverybodyAt { port: 5002 });
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
