//! Fetching: each dialect's answer, in any pieces, from peers in every state of repair.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use chunkcast::core::{
    BrokenWhy, ClassicConfig, ClassicEvent, ClassicFailure, ClassicReply, Command, ConnId, DictionaryUse,
    Expect, Fault, FaultKind, Input, Sink, StoreReply,
};
use chunkcast::wire::classic::request::RequestDecoder;
use chunkcast::wire::classic::{ChunkName, ChunkRule, Dialect};

use super::bench::{Bench, HERE, config, content, host, part};
use super::common::Bench as _;
use super::serving::answer;

/// What a peer of a dialect announces of these chunks of a file.
fn announces(dialect: Dialect, file: &[u8], indices: impl IntoIterator<Item = u32>) -> String {
    let name = |index| ChunkName::of_file("forest.png", index, dialect.name_form()).expect("a name");
    let names: Vec<(u32, String)> =
        indices.into_iter().map(|index| (index, format!("\"{}\"", name(index)))).collect();
    let list = || names.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>().join(", ");
    match dialect {
        Dialect::A | Dialect::ASize | Dialect::E => {
            format!(r#"{{"username": "bob", "files": [{}]}}"#, list())
        }
        Dialect::B | Dialect::BJson | Dialect::C => format!(r#"{{"chunks": [{}]}}"#, list()),
        Dialect::D => {
            let size = |index| part(file, ChunkRule::Fixed, index).map_or(0, <[u8]>::len);
            let told: Vec<String> =
                names.iter().map(|(index, name)| format!("{name}: {{\"size\": {}}}", size(*index))).collect();
            format!(r#"{{"chunks": {{{}}}}}"#, told.join(", "))
        }
    }
}

fn count(dialect: Dialect, file: &[u8]) -> u32 {
    dialect.chunk_rule().count(file.len() as u64).expect("few")
}

/// Takes the next dial of a peer that serves on `port`, and the request on it.
fn asked(bench: &mut Bench, port: u16) -> (ConnId, ChunkName) {
    loop {
        let (conn, to) = bench.next_dial().expect("somebody is asked");
        if to.port() != port {
            bench.tell(Input::Broken { conn, why: BrokenWhy::Refused });
            continue;
        }
        bench.tell(Input::Connected { conn });
        let said = bench.pull(conn);
        let (used, request) = RequestDecoder::new(port).push(&said.bytes).expect("a request");
        assert_eq!(used, said.bytes.len());
        let request = request.expect("a whole one");
        assert_eq!(said.half_closed, request.dialect != Dialect::D);
        return (conn, request.name);
    }
}

/// Answers requests as a peer of a dialect, in pieces, until nobody asks any more.
fn serve(bench: &mut Bench, dialect: Dialect, file: &[u8], piece: usize) {
    while let Some(dial) = bench.next_dial() {
        bench.dials.push_front(dial);
        let (conn, name) = asked(bench, dialect.tcp_port());
        if let Some(chunk) = part(file, dialect.chunk_rule(), name.index()) {
            bench.says(conn, &answer(dialect, &name, chunk), piece);
        }
        bench.ends(conn);
        bench.pull(conn);
    }
}

fn failure(bench: &Bench) -> Option<&ClassicFailure> {
    bench.events.iter().find_map(|event| match event {
        ClassicEvent::Failed { reason, .. } => Some(reason),
        _ => None,
    })
}

#[test]
fn a_file_comes_from_a_peer_of_each_dialect_in_any_pieces() {
    for dialect in Dialect::ALL {
        for (size, piece) in
            [(5, 1), (6, 2), (9, 3), (10, 1), (13, 1), (1_003, 1), (1_003, 19), (60_001, 60_001)]
        {
            let (mut bench, file) = (Bench::new(config()), content(size));
            bench.hear(host(2), &announces(dialect, &file, 1..=count(dialect, &file)));
            bench.get("forest.png", 60_000);
            serve(&mut bench, dialect, &file, piece);
            bench.wait_ms(3_000);
            assert_eq!(
                bench.merged,
                Some(("forest.png".into(), file)),
                "{dialect} {size} {:?}",
                bench.events
            );
            let finished = |event: &ClassicEvent| matches!(event, ClassicEvent::Finished { peers: 1, .. });
            assert_eq!(bench.count(finished), 1);
        }
    }
}

#[test]
fn a_peer_does_not_ask_itself_and_asks_another_program_of_its_host() {
    let file = content(1_003);
    // Another program of this host lists what this peer announced earlier.
    let mut bench = Bench::new(config());
    bench.hear(HERE.into(), &announces(Dialect::B, &file, 1..=5));
    bench.get("forest.png", 60_000);
    bench.wait_ms(30_000);
    assert!(bench.dials.is_empty(), "{:?}", bench.dials);
    bench.hear(host(2), &announces(Dialect::C, &file, 1..=5));
    assert!(bench.dials.iter().all(|(_, to)| to.ip() == host(2)), "{:?}", bench.dials);
    serve(&mut bench, Dialect::C, &file, 100);
    bench.wait_ms(3_000);
    assert_eq!(bench.merged, Some(("forest.png".into(), file.clone())));
    // One that has a port which this peer does not have is another peer.
    let ports = BTreeMap::from([(5000, 5000), (5001, 5001)]);
    let mut bench = Bench::new(ClassicConfig { ports, ..config() });
    bench.hear(HERE.into(), &announces(Dialect::B, &file, 1..=5));
    bench.get("forest.png", 60_000);
    assert!(bench.dials.iter().all(|(_, to)| to.port() == 8000), "{:?}", bench.dials);
    serve(&mut bench, Dialect::B, &file, 100);
    bench.wait_ms(3_000);
    assert_eq!(bench.merged, Some(("forest.png".into(), file)));
}

#[test]
fn a_peer_does_not_ask_itself_at_another_address_of_its_host() {
    let file = content(1_003);
    let mut bench = Bench::new(config());
    bench.peer.set_own_addresses(vec![HERE.into(), host(9)]);
    let own = [host(9), IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0])];
    for own in own {
        bench.hear(own, &announces(Dialect::B, &file, 1..=5));
    }
    bench.get("forest.png", 60_000);
    bench.wait_ms(30_000);
    assert!(bench.dials.is_empty(), "{:?}", bench.dials);
    bench.hear(host(2), &announces(Dialect::C, &file, 1..=5));
    assert!(bench.dials.iter().all(|(_, to)| to.ip() == host(2)), "{:?}", bench.dials);
    serve(&mut bench, Dialect::C, &file, 100);
    bench.wait_ms(3_000);
    assert_eq!(bench.merged, Some(("forest.png".into(), file.clone())));
    // Where it is bound to one address, another program may have the same port at the others.
    for other in &own[..2] {
        let mut bench = Bench::new(ClassicConfig { address_alone: true, ..config() });
        bench.peer.set_own_addresses(vec![HERE.into(), host(9)]);
        bench.hear(*other, &announces(Dialect::B, &file, 1..=5));
        bench.get("forest.png", 60_000);
        assert!(bench.dials.iter().any(|(_, to)| to.ip() == *other), "{:?}", bench.dials);
    }
}

#[test]
fn chunks_come_from_several_peers_at_once_and_dialects_mix() {
    let (mut bench, file) = (Bench::new(config()), content(60_001));
    bench.hear(host(2), &announces(Dialect::A, &file, [1, 2]));
    bench.hear(host(3), &announces(Dialect::C, &file, [3, 4]));
    bench.hear(host(4), &announces(Dialect::ASize, &file, [4, 5]));
    bench.get("forest", 60_000);
    assert_eq!(bench.dials.len(), 3, "one connection to each");
    while let Some((conn, to)) = bench.next_dial() {
        let dialect = match to.ip() {
            ip if ip == host(2) => Dialect::A,
            ip if ip == host(3) => Dialect::C,
            _ => Dialect::ASize,
        };
        if to.port() != dialect.tcp_port() {
            bench.tell(Input::Broken { conn, why: BrokenWhy::Refused });
            continue;
        }
        bench.dials.push_front((conn, to));
        let (conn, name) = asked(&mut bench, dialect.tcp_port());
        let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
        bench.says(conn, &answer(dialect, &name, chunk), 5_000);
        bench.ends(conn);
        bench.pull(conn);
    }
    assert_eq!(bench.merged, Some(("forest.png".into(), file)), "{:?}", bench.events);
}

#[test]
fn what_nobody_delivers_is_told_and_what_came_is_kept() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=4));
    bench.get("forest", 5_000);
    while bench.now < chunkcast::types::Time::from_millis(20_000) {
        while !bench.dials.is_empty() {
            let (conn, name) = asked(&mut bench, 5001);
            if name.index() != 3 {
                bench.says(conn, part(&file, ChunkRule::Fifths, name.index()).expect("it is"), 500);
            }
            bench.ends(conn);
            bench.pull(conn);
        }
        bench.wait_ms(100);
    }
    let missed = |event: &ClassicEvent| matches!(event, ClassicEvent::ChunkMissed { .. });
    let failed = |event: &ClassicEvent| matches!(event, ClassicEvent::ChunkFailed { .. });
    let waiting =
        |event: &ClassicEvent| matches!(event, ClassicEvent::Waiting { missing, .. } if *missing == [5]);
    assert_eq!(
        (bench.count(missed), bench.count(failed), bench.count(waiting)),
        (2, 1, 1),
        "{:?}",
        bench.events
    );
    let Some(ClassicFailure::Incomplete { missing }) = failure(&bench) else { panic!("{:?}", bench.events) };
    let missing: Vec<String> = missing.iter().map(ChunkName::to_string).collect();
    assert_eq!(missing, ["forest_3", "forest_5"]);
    assert_eq!((bench.kept.len(), &bench.merged), (3, &None));
}

#[test]
fn a_peer_without_a_listener_for_a_moment_is_tried_again() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.get("forest", 60_000);
    for refused in 0..10 {
        let (conn, _) = bench.dials.pop_front().expect("it is tried again");
        let why = if refused % 2 == 0 { BrokenWhy::Refused } else { BrokenWhy::Reset };
        bench.tell(Input::Broken { conn, why });
        assert!(bench.dials.is_empty());
        bench.wait_ms(50);
    }
    serve(&mut bench, Dialect::A, &file, 999);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file));
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkMissed { .. })), 0);
}

#[test]
fn the_next_connection_to_a_peer_waits_a_moment_unless_its_dialect_keeps_them() {
    for dialect in Dialect::ALL {
        let (mut bench, file) = (Bench::new(config()), content(102_400 * 2));
        bench.hear(host(2), &announces(dialect, &file, 1..=2));
        bench.get("forest", 60_000);
        let (conn, name) = asked(&mut bench, dialect.tcp_port());
        let chunk = part(&file, dialect.chunk_rule(), name.index()).expect("announced");
        bench.says(conn, &answer(dialect, &name, chunk), 9_999);
        bench.ends(conn);
        bench.pull(conn);
        let keeps = dialect == Dialect::D;
        assert_eq!(bench.dials.len(), usize::from(keeps), "{dialect}");
        bench.wait_ms(99);
        assert_eq!(bench.dials.len(), usize::from(keeps), "{dialect}");
        bench.wait_ms(1);
        assert_eq!(bench.dials.len(), 1, "{dialect}");
    }
}

#[test]
fn a_peer_that_rests_keeps_no_other_waiting_and_no_fetch_from_going_on() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.hear(host(3), &announces(Dialect::A, &file, 1..=2));
    // It waits for nobody who is not there yet.
    bench.get("forest", 0);
    assert_eq!(bench.dials.len(), 2);
    serve(&mut bench, Dialect::A, &file, 999);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file), "{:?}", bench.events);
}

#[test]
fn a_peer_that_never_closes_is_done_when_it_is_quiet_or_asked_again() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.get("forest", 60_000);
    let mut before = None;
    for index in 1..=5 {
        let (conn, name) = asked(&mut bench, 5001);
        // The peer closes a connection when it accepts the next one.
        if let Some(before) = before.replace(conn) {
            bench.ends(before);
            bench.pull(before);
        }
        assert!(bench.dials.is_empty(), "no third connection");
        bench.says(conn, part(&file, ChunkRule::Fifths, name.index()).expect("announced"), 999);
        bench.wait_ms(199);
        assert!(bench.dials.is_empty());
        bench.wait_ms(1);
        assert_eq!(bench.dials.len(), usize::from(index < 5));
    }
    assert_eq!(bench.merged, None);
    bench.wait_ms(1_300);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file), "{:?}", bench.events);
}

#[test]
fn who_announces_as_b_may_serve_elsewhere_or_answer_in_json() {
    for dialect in [Dialect::B, Dialect::BJson, Dialect::C] {
        let (mut bench, file) = (Bench::new(config()), content(1_003));
        bench.hear(host(2), &announces(dialect, &file, 1..=5));
        bench.get("forest", 60_000);
        let mut ports = Vec::new();
        while let Some((conn, to)) = bench.next_dial() {
            ports.push(to.port());
            bench.dials.push_front((conn, to));
            if to.port() == dialect.tcp_port() {
                let (conn, name) = asked(&mut bench, to.port());
                let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
                bench.says(conn, &answer(dialect, &name, chunk), 7);
                bench.ends(conn);
                bench.pull(conn);
            } else {
                let (conn, _) = bench.dials.pop_front().expect("it was there");
                bench.tell(Input::Broken { conn, why: BrokenWhy::Refused });
            }
        }
        assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file), "{dialect}");
        // What worked is tried first from then on.
        assert_eq!(ports.len(), if dialect == Dialect::C { 6 } else { 5 }, "{ports:?}");
        let told = |event: &ClassicEvent| matches!(event, ClassicEvent::ChunkReceived { dialect: d, .. } if *d == dialect);
        assert_eq!(bench.count(told), 5);
    }
}

#[test]
fn a_way_that_answers_nothing_is_left_for_the_next_one() {
    let reads = ClassicConfig { dictionary: DictionaryUse::Read, ..config() };
    let (mut bench, file) = (Bench::new(reads), content(1_003));
    // Names alone, as another process wrote them, tell no dialect.
    let names = (1..=5).map(|index| ChunkName::parse(&format!("forest_{index}")).expect("a name"));
    bench.dictionary = names.map(|name| (name, vec![host(2)])).collect();
    let mut asked_at = BTreeMap::<u16, u32>::new();
    bench.get("forest.png", 60_000);
    while let Some((conn, to)) = bench.next_dial() {
        *asked_at.entry(to.port()).or_default() += 1;
        bench.tell(Input::Connected { conn });
        let said = bench.pull(conn);
        let (_, request) = RequestDecoder::new(to.port()).push(&said.bytes).expect("a request");
        let name = request.expect("a whole one").name;
        if to.port() == 8000 {
            let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
            bench.says(conn, &answer(Dialect::B, &name, chunk), 99);
        }
        bench.ends(conn);
        bench.pull(conn);
    }
    bench.wait_ms(3_000);
    assert!(bench.merged.as_ref().is_some_and(|(_, bytes)| *bytes == file), "{asked_at:?}");
    assert_eq!(asked_at.get(&8000), Some(&5), "{asked_at:?}");
    // Once on the other way, and never again when the right one is known; two chunks may be under way at once.
    assert!(asked_at.iter().all(|(port, count)| *port == 8000 || *count <= 2), "{asked_at:?}");
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkMissed { .. })), 0);
}

#[test]
fn what_no_way_leads_to_is_missed_once_each_way_was_gone_once() {
    let mut bench = Bench::new(ClassicConfig { dictionary: DictionaryUse::Read, ..config() });
    bench.dictionary = [(ChunkName::parse("forest_1").expect("a name"), vec![host(2)])].into();
    bench.get("forest.png", 60_000);
    let mut ports = Vec::new();
    while bench.count(|event| matches!(event, ClassicEvent::ChunkMissed { .. })) == 0 {
        let (conn, to) = bench.next_dial().expect("somebody is asked");
        ports.push(to.port());
        bench.tell(Input::Connected { conn });
        bench.pull(conn);
        bench.ends(conn);
        bench.pull(conn);
    }
    assert_eq!(ports, [5001, 8000, 5000]);
}

#[test]
fn sizes_that_disagree_are_asked_elsewhere_and_else_are_a_conflict() {
    for others in [false, true] {
        let (mut bench, file) = (Bench::new(config()), content(60_001));
        bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
        bench.get("forest", 5_000);
        let mut cut = false;
        while let Some((conn, to)) = bench.next_dial() {
            bench.dials.push_front((conn, to));
            let (conn, name) = asked(&mut bench, 5001);
            let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
            let short = name.index() == 2 && to.ip() == host(2);
            cut |= short;
            bench.says(conn, if short { &chunk[..99] } else { chunk }, 9_999);
            if others && name.index() == 3 {
                bench.hear(host(3), &announces(Dialect::A, &file, 1..=2));
            }
            bench.ends(conn);
            bench.pull(conn);
        }
        assert!(cut || others);
        bench.wait_ms(10_000);
        match failure(&bench) {
            Some(ClassicFailure::Conflict { text }) if !others => {
                assert!(
                    text.contains("forest_2") && text.contains("99") && text.contains("10.0.0.2"),
                    "{text}"
                );
                assert_eq!(bench.merged, None);
            }
            None if others => assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn lies_and_floods_cost_the_holder_and_not_more() {
    let file = content(1_003);
    let answers: [(Dialect, &[u8]); 5] = [
        (Dialect::A, &[0x55; (1 << 20) + 1]),
        (Dialect::ASize, b"1999abc"),
        (Dialect::ASize, b"xyz"),
        (Dialect::D, b"999999\n"),
        (Dialect::D, b"201\nshort"),
    ];
    for (dialect, bytes) in answers {
        let mut bench = Bench::new(config());
        bench.hear(host(2), &announces(dialect, &file, [1]));
        bench.get("forest", 1_000);
        while bench.now < chunkcast::types::Time::from_millis(5_000) {
            if !bench.dials.is_empty() {
                let (conn, _) = asked(&mut bench, dialect.tcp_port());
                bench.says(conn, bytes, 64 << 10);
                bench.ends(conn);
                bench.pull(conn);
            }
            bench.wait_ms(100);
        }
        assert!(bench.kept.is_empty() && bench.merged.is_none(), "{dialect}");
        assert!(matches!(failure(&bench), Some(ClassicFailure::Incomplete { .. })), "{:?}", bench.events);
        assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkMissed { .. })), 2);
    }
}

#[test]
fn names_that_stand_for_nothing_or_for_several_files_are_told() {
    let mut bench = Bench::new(config());
    bench.hear(host(2), r#"{"files": ["sea_1.png", "sea_1.jpg", "forest_1"]}"#);
    bench.get("sea", 1_000);
    let files = vec!["sea.jpg".to_owned(), "sea.png".to_owned()];
    assert_eq!(failure(&bench), Some(&ClassicFailure::Ambiguous { files }));
    bench.events.clear();
    bench.get("forest_1", 1_000);
    bench.wait_ms(1_000);
    let files = vec!["forest.png".to_owned(), "sea.jpg".to_owned(), "sea.png".to_owned()];
    assert_eq!(failure(&bench), Some(&ClassicFailure::NobodyOffers { peers: 1, files }));
    assert!(bench.dials.is_empty());
}

#[test]
fn chunks_that_are_kept_are_not_fetched_again() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    for index in [1, 2, 4, 5] {
        let name = ChunkName::of_file("forest.png", index, Dialect::B.name_form()).expect("a name");
        bench.kept.insert(name, part(&file, ChunkRule::Fifths, index).expect("there").to_vec());
    }
    bench.hear(host(2), &announces(Dialect::C, &file, 1..=5));
    bench.get("forest", 60_000);
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::Begun { had: 4, .. })), 1);
    serve(&mut bench, Dialect::C, &file, 99);
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkReceived { .. })), 1);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file));
}

#[test]
fn leaving_gives_up_what_is_fetched() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.get("forest", 60_000);
    let (conn, _) = asked(&mut bench, 5001);
    bench.says(conn, b"some", 4);
    bench.tell(Input::Command(Command::Leave));
    assert_eq!(failure(&bench), Some(&ClassicFailure::Cancelled));
    assert!(bench.pull(conn).closed);
    assert!(bench.dials.is_empty());
}

#[test]
fn a_dialect_that_is_set_is_the_one_that_is_spoken() {
    let mut classic = config();
    classic.dialects = BTreeMap::from([(host(2), Dialect::BJson)]);
    classic.speaks = Some(Dialect::C);
    let (mut bench, file) = (Bench::new(classic), content(1_003));
    bench.hear(host(2), &announces(Dialect::B, &file, [1]));
    bench.hear(host(3), &announces(Dialect::B, &file, [2]));
    bench.hear(host(4), &announces(Dialect::A, &file, [3]));
    bench.get("forest", 60_000);
    let ports: Vec<(std::net::IpAddr, u16)> =
        bench.dials.iter().map(|(_, to)| (to.ip(), to.port())).collect();
    assert_eq!(ports, [(host(2), 8000), (host(3), 5000)]);
}

#[test]
fn what_another_process_heard_is_as_good_and_what_it_forgot_is_forgotten() {
    let mut classic = config();
    classic.dictionary = DictionaryUse::Read;
    let (mut bench, file) = (Bench::new(classic), content(1_003));
    bench.get("forest", 60_000);
    let name = |index: u32| ChunkName::parse(&format!("forest_{index}")).expect("a name");
    bench.dictionary = (1..=4).map(|index| (name(index), vec![host(2)])).collect();
    bench.wait_ms(500);
    serve(&mut bench, Dialect::C, &file, 99);
    assert_eq!((bench.kept.len(), &bench.merged), (4, &None), "{:?}", bench.events);
    bench.dictionary = BTreeMap::from([(name(5), vec![host(3)])]);
    bench.wait_ms(500);
    assert_eq!(bench.peer.status(bench.now).classic[0].chunks, BTreeMap::from([(5, vec![host(3)])]));
    serve(&mut bench, Dialect::C, &file, 99);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file));
    assert_eq!(bench.dictionaries, 0, "it is the other process that writes");
}

#[test]
fn when_one_of_two_holders_dies_the_other_delivers() {
    let (mut bench, file) = (Bench::new(config()), content(60_001));
    for last in [2, 3] {
        bench.hear(host(last), &announces(Dialect::A, &file, 1..=5));
    }
    bench.get("forest", 60_000);
    let mut served = 0;
    while let Some((conn, to)) = bench.next_dial() {
        bench.dials.push_front((conn, to));
        let (conn, name) = asked(&mut bench, 5001);
        let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
        if to.ip() == host(2) {
            bench.says(conn, &chunk[..100], 100);
            bench.tell(Input::Broken { conn, why: BrokenWhy::Reset });
        } else {
            served += 1;
            bench.says(conn, chunk, 999);
            bench.ends(conn);
            bench.pull(conn);
        }
        if bench.dials.is_empty() {
            bench.wait_ms(500);
        }
    }
    assert_eq!(served, 5);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file), "{:?}", bench.events);
}

#[test]
fn a_conflict_stays_one_when_nobody_else_delivers_the_chunk() {
    let (mut bench, file) = (Bench::new(config()), content(60_001));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.hear(host(3), &announces(Dialect::A, &file, [2]));
    bench.get("forest", 60_000);
    while bench.now < chunkcast::types::Time::from_millis(5_000) {
        while let Some((conn, to)) = bench.next_dial() {
            bench.dials.push_front((conn, to));
            let (conn, name) = asked(&mut bench, 5001);
            let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
            let len = if name.index() == 2 { 99 } else { chunk.len() };
            if to.ip() == host(2) {
                bench.says(conn, &chunk[..len], 9_999);
            }
            bench.ends(conn);
            bench.pull(conn);
        }
        bench.wait_ms(100);
    }
    let conflict = failure(&bench).is_some_and(|reason| matches!(reason, ClassicFailure::Conflict { .. }));
    assert!(conflict && bench.merged.is_none(), "{:?}", bench.events);
}

#[test]
fn a_target_that_is_to_be_left_alone_costs_no_peer_a_connection() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.is_left = true;
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.get("forest", 60_000);
    let skipped = |event: &ClassicEvent| matches!(event, ClassicEvent::Skipped { ticket: 7, .. });
    assert_eq!((bench.count(skipped), bench.dials.len()), (1, 0), "{:?}", bench.events);
    bench.wait_ms(60_000);
    assert_eq!((failure(&bench), &bench.merged), (None, &None));
}

#[test]
fn a_chunk_that_was_replaced_is_not_kept_under_its_other_name() {
    let (mut bench, file) = (Bench::new(config()), content(60_001));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.hear(host(3), &announces(Dialect::ASize, &file, [2]));
    bench.kept.insert(ChunkName::parse("forest_2").expect("a name"), b"short".to_vec());
    bench.get("forest", 60_000);
    while let Some((conn, to)) = bench.next_dial() {
        bench.dials.push_front((conn, to));
        let (conn, name) = asked(&mut bench, to.port());
        // Who announces the chunk as it was kept does not have it.
        if (to.ip(), name.index()) != (host(2), 2) {
            let dialect = if to.ip() == host(2) { Dialect::A } else { Dialect::ASize };
            let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
            bench.says(conn, &answer(dialect, &name, chunk), 9_999);
        }
        bench.ends(conn);
        bench.pull(conn);
        if bench.dials.is_empty() {
            bench.wait_ms(500);
        }
    }
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file), "{:?}", bench.events);
    let kept: Vec<String> = bench.kept.keys().map(ChunkName::to_string).collect();
    assert_eq!(kept, ["forest_1", "forest_3", "forest_4", "forest_5", "forest_2.png"]);
}

#[test]
fn a_spool_that_could_not_be_written_is_thrown_away_before_its_number_serves_again() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.get("forest", 60_000);
    let (conn, _) = asked(&mut bench, 5001);
    bench.says(conn, b"some", 4);
    let Expect::Payload { sink: Sink::Spool(spool), .. } = bench.peer.expects(conn) else {
        panic!("an answer comes in")
    };
    bench.jobs.clear();
    let fault = Fault { kind: FaultKind::Full, text: "the disk is full".to_owned() };
    bench.tell(Input::Stored(StoreReply::Classic(ClassicReply::SpoolFailed { spool, fault })));
    assert!(matches!(failure(&bench), Some(ClassicFailure::Storage(_))), "{:?}", bench.events);
    assert_eq!(bench.jobs, [format!("drop {spool}")]);
    assert!(bench.pull(conn).closed);
    bench.get("forest", 60_000);
    let (conn, _) = asked(&mut bench, 5001);
    bench.says(conn, b"more", 4);
    let again = Expect::Payload { sink: Sink::Spool(spool), left: (1 << 20) + 1 - 4 };
    assert_eq!(bench.peer.expects(conn), again, "small numbers are used again");
}

#[test]
fn of_several_names_of_a_chunk_the_quicker_is_asked_for() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    for dialect in [Dialect::A, Dialect::ASize, Dialect::E] {
        bench.hear(host(2), &announces(dialect, &file, 1..=5));
    }
    bench.get("forest", 60_000);
    let mut asked_for = 0;
    while let Some((conn, to)) = bench.next_dial() {
        bench.dials.push_front((conn, to));
        let (conn, name) = asked(&mut bench, to.port());
        assert_ne!(name.form(), Dialect::ASize.name_form(), "{name}");
        bench.says(conn, part(&file, ChunkRule::Fifths, name.index()).expect("announced"), 999);
        bench.ends(conn);
        bench.pull(conn);
        asked_for += 1;
    }
    assert_eq!((asked_for, bench.merged.is_some()), (5, true), "{:?}", bench.events);
}

#[test]
fn a_last_chunk_that_was_cut_short_is_asked_elsewhere() {
    let (mut bench, file) = (Bench::new(config()), content(60_001));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=5));
    bench.hear(host(3), &announces(Dialect::A, &file, [5]));
    bench.get("forest", 60_000);
    let mut cut = 0;
    while let Some((conn, to)) = bench.next_dial() {
        bench.dials.push_front((conn, to));
        let (conn, name) = asked(&mut bench, 5001);
        let chunk = part(&file, ChunkRule::Fifths, name.index()).expect("announced");
        // Whoever is asked for it first.
        let short = name.index() == 5 && cut == 0;
        cut += usize::from(short);
        bench.says(conn, if short { &chunk[..2_000] } else { chunk }, 9_999);
        bench.ends(conn);
        bench.pull(conn);
    }
    assert_eq!(cut, 1);
    assert_eq!(bench.merged.as_ref().map(|(_, bytes)| bytes), Some(&file), "{:?}", bench.events);
}

/// Lets a peer of D announce these chunks and then something else in their place, every two seconds, until the fetch is
/// over. How many seconds that took.
fn flickers_until_over(bench: &mut Bench, chunks: &str) -> u64 {
    let began = bench.now;
    while failure(bench).is_none() && bench.now < began + Duration::from_secs(300) {
        bench.hear(host(3), chunks);
        bench.wait_ms(1_000);
        bench.hear(host(3), r#"{"chunks": {"sea_1.png": {}}}"#);
        bench.wait_ms(1_000);
    }
    bench.now.since(began).as_secs()
}

#[test]
fn a_chunk_that_is_here_is_no_news_however_often_it_is_announced() {
    let (mut bench, file) = (Bench::new(config()), content(1_003));
    bench.hear(host(2), &announces(Dialect::A, &file, 1..=4));
    bench.get("forest.png", 20_000);
    serve(&mut bench, Dialect::A, &file, 500);
    let took = flickers_until_over(&mut bench, r#"{"chunks": {"forest_1.png": {}}}"#);
    let incomplete = matches!(failure(&bench), Some(ClassicFailure::Incomplete { .. }));
    assert!(incomplete && (20..24).contains(&took), "{took} s {:?}", bench.events);
}

#[test]
fn who_never_delivers_is_not_tried_for_ever_however_often_it_announces() {
    let mut bench = Bench::new(config());
    bench.get("forest.png", 40_000);
    let chunks = r#"{"chunks": {"forest_1.png": {}, "forest_2.png": {}}}"#;
    let took = flickers_until_over(&mut bench, chunks);
    let incomplete = matches!(failure(&bench), Some(ClassicFailure::Incomplete { .. }));
    assert!(incomplete && took < 90, "{took} s {:?}", bench.events);
    // The dials went nowhere, one after the other, with up to 2 s between. Who announces anew is tried anew while the wait
    // lasts.
    assert!(bench.dials.len() > 4, "{:?}", bench.dials);
}

/// How often a holder of many chunks is dialled in so many seconds, with the retries of each attempt, when each
/// connection ends like this.
fn dials_of_a_holder(seconds: u64, is_listening: bool) -> u64 {
    let (mut bench, file) = (Bench::new(config()), content(102_400 * 40));
    let announces = announces(Dialect::D, &file, 1..=40);
    bench.hear(host(2), &announces);
    bench.get("forest", 1_000 * seconds);
    let mut dials = 0;
    for _ in 0..10 * seconds {
        while let Some((conn, _)) = bench.dials.pop_front() {
            dials += 1;
            if dials > 2_000 {
                return dials;
            }
            if !is_listening {
                bench.tell(Input::Broken { conn, why: BrokenWhy::Refused });
                continue;
            }
            bench.tell(Input::Connected { conn });
            bench.pull(conn);
            bench.says(conn, b"oops", 4);
            bench.ends(conn);
            bench.pull(conn);
        }
        bench.wait_ms(100);
        // It announces again and again, so that it is worth another try.
        bench.hear(host(2), &announces);
    }
    dials
}

#[test]
fn a_holder_of_many_chunks_that_delivers_none_is_asked_ever_more_rarely() {
    // 0.5 s, 1 s, and then 2 s after each attempt.
    let attempts_max = 3 + 30 / 2;
    let answered = dials_of_a_holder(30, true);
    assert!((5..=attempts_max).contains(&answered), "{answered} dials");
    // Ten retries, 50 ms apart, are one attempt. It serves D on one port, and A-size on another.
    let refused = dials_of_a_holder(30, false);
    assert!((5..=attempts_max * 11 * 2).contains(&refused), "{refused} dials");
}
