//! Serving: each dialect's request gets its answer, and nothing that is asked breaks anything.

use std::collections::BTreeMap;

use chunkcast::core::{ClassicEvent, ConnId, Input, Limits, Segment, SpanFault, SpanSource, StoreReply};
use chunkcast::types::ContentId;
use chunkcast::wire::classic::answer::{self, AnswerStep};
use chunkcast::wire::classic::{ChunkName, Dialect, NameForm, request};

use super::bench::{Bench, Said, config, content, host, part};
use super::common::Bench as _;

fn name(dialect: Dialect, index: u32) -> ChunkName {
    ChunkName::of_file("forest.png", index, dialect.name_form()).expect("a name")
}

/// The bytes of an answer.
pub(crate) fn answer(dialect: Dialect, name: &ChunkName, chunk: &[u8]) -> Vec<u8> {
    let steps = answer::found(dialect, name, chunk.len() as u64);
    let bytes = steps.into_iter().flat_map(|step| match step {
        AnswerStep::Bytes(bytes) => bytes,
        AnswerStep::Payload(_) => chunk.to_vec(),
        _ => Vec::new(),
    });
    bytes.collect()
}

fn asks(bench: &mut Bench, dialect: Dialect, index: u32) -> Said {
    let conn = bench.accept(dialect.tcp_port());
    bench.says(conn, &request::encode(dialect, &name(dialect, index)), 3);
    // Who asked closes its writing half at once; that ends nothing.
    bench.ends(conn);
    let said = bench.pull_all(conn);
    bench.ends(conn);
    bench.pull(conn);
    said
}

#[test]
fn every_dialect_is_served_from_shared_files_and_from_kept_chunks() {
    for dialect in Dialect::ALL {
        let mut classic = config();
        if dialect == Dialect::BJson {
            classic.dialects = BTreeMap::from([(host(9), dialect)]);
        }
        let rule = dialect.chunk_rule();
        for size in [5, 13, 60_001] {
            let (file, mut shared, mut kept) =
                (content(size), Bench::new(classic.clone()), Bench::new(classic.clone()));
            shared.share("pictures/forest.png", file.clone());
            for index in 1..=5 {
                let Some(chunk) = part(&file, rule, index) else { continue };
                kept.kept.insert(name(dialect, index), chunk.to_vec());
                let expected = answer(dialect, &name(dialect, index), chunk);
                for bench in [&mut shared, &mut kept] {
                    let said = asks(bench, dialect, index);
                    assert_eq!(said.bytes, expected, "{dialect} {size} {index}");
                    assert_eq!(said.half_closed, dialect != Dialect::D);
                    assert!(!said.closed);
                }
            }
            let sent = |event: &ClassicEvent| matches!(event, ClassicEvent::ChunkSent { .. });
            assert_eq!(shared.count(sent), kept.count(sent));
            assert!(shared.count(sent) > 0);
        }
    }
}

#[test]
fn both_name_forms_of_a_are_answered() {
    let (mut bench, file) = (Bench::new(config()), content(13));
    bench.share("forest.png", file.clone());
    let chunk = part(&file, Dialect::A.chunk_rule(), 1).expect("there");
    for form in [NameForm::Stem, NameForm::Full] {
        let name = ChunkName::of_file("forest.png", 1, form).expect("a name");
        let conn = bench.accept(5001);
        bench.says(conn, &request::encode(Dialect::A, &name), 999);
        assert_eq!(bench.pull(conn).bytes, chunk, "{name}");
    }
}

#[test]
fn a_chunk_without_an_extension_is_served_and_announced_as_of_the_file_it_was_fetched_for() {
    let (mut bench, file) = (Bench::new(config()), content(13));
    let chunk = |index| part(&file, Dialect::A.chunk_rule(), index).expect("there");
    bench.hear(host(2), r#"{"username": "bob", "files": ["forest_1", "forest_2", "forest.png_3"]}"#);
    bench.get("forest.png", 60_000);
    while let Some((conn, _)) = bench.next_dial() {
        bench.tell(Input::Connected { conn });
        let said = bench.pull(conn);
        let (_, asked) = request::RequestDecoder::new(5001).push(&said.bytes).expect("a request");
        bench.says(conn, chunk(asked.expect("a whole one").name.index()), 99);
        bench.ends(conn);
        bench.pull(conn);
    }
    // Another file of this stem is somebody else's, and so is what a third host calls this one.
    bench.hear(host(3), r#"{"username": "eve", "files": ["forest.jpg_1", "forest.exe_2"]}"#);
    bench.datagrams.clear();
    bench.wait_ms(70_000);
    let all: String = bench.datagrams.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
    assert!(all.contains(r#""forest.png_1""#) && all.contains(r#""forest.png_2""#), "{all}");
    assert!(!all.contains("jpg") && !all.contains("exe"), "{all}");
    let mut asks = |text: &str| {
        let conn = bench.accept(5001);
        let name = ChunkName::parse(text).expect("a name");
        bench.says(conn, &request::encode(Dialect::A, &name), 999);
        bench.pull(conn).bytes
    };
    assert!(asks("forest.jpg_1").is_empty(), "bytes of another file");
    for text in ["forest_1", "forest.png_1"] {
        assert_eq!(asks(text), chunk(1), "{text}");
    }
}

#[test]
fn a_dialect_that_is_set_for_all_is_answered_in_where_the_request_does_not_tell() {
    let mut classic = config();
    classic.speaks = Some(Dialect::BJson);
    let (mut bench, file) = (Bench::new(classic), content(13));
    bench.share("forest.png", file.clone());
    let chunk = part(&file, Dialect::B.chunk_rule(), 1).expect("there");
    let said = asks(&mut bench, Dialect::B, 1);
    assert_eq!(said.bytes, answer(Dialect::BJson, &name(Dialect::B, 1), chunk));
    for told in [Dialect::A, Dialect::ASize, Dialect::E] {
        assert_eq!(asks(&mut bench, told, 1).bytes, answer(told, &name(told, 1), chunk), "{told}");
    }
    // The same key does not make it the same dialect.
    let mut classic = config();
    classic.speaks = Some(Dialect::A);
    let mut bench = Bench::new(classic);
    bench.share("forest.png", file.clone());
    let said = asks(&mut bench, Dialect::ASize, 1);
    assert_eq!(said.bytes, answer(Dialect::ASize, &name(Dialect::ASize, 1), chunk));
}

#[test]
fn what_is_not_here_is_a_connection_closed_after_nothing() {
    let mut bench = Bench::new(config());
    bench.share("forest.png", content(6));
    assert_eq!(asks(&mut bench, Dialect::C, 4), Said { half_closed: true, ..Said::default() });
    assert_eq!(asks(&mut bench, Dialect::ASize, 5).bytes, b"0");
    assert_eq!(asks(&mut bench, Dialect::D, 2).bytes, b"ERROR: Chunk not found");
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkUnsent { .. })), 3);
}

#[test]
fn one_connection_of_d_serves_one_request_after_the_other() {
    let mut bench = Bench::new(config());
    let file = content(204_801);
    bench.share("forest.png", file.clone());
    let conn = bench.accept(5000);
    for index in [1, 9, 3] {
        let name = name(Dialect::D, index);
        bench.says(conn, &request::encode(Dialect::D, &name), 1_000);
        let early = request::encode(Dialect::D, &name);
        assert_eq!(bench.says(conn, &early, 1_000), 0, "never two at once");
        let said = bench.pull_all(conn);
        match part(&file, Dialect::D.chunk_rule(), index) {
            Some(chunk) => assert_eq!(said.bytes, answer(Dialect::D, &name, chunk)),
            None => assert!(said.bytes.starts_with(b"ERROR")),
        }
    }
    bench.wait_ms(61_000);
    assert!(bench.pull(conn).closed, "idle for too long");
}

#[test]
fn an_object_on_the_native_port_is_a_classic_request() {
    let mut bench = Bench::new(config());
    bench.share("forest.png", content(10));
    let conn = bench.accept(7117);
    bench.says(conn, &request::encode(Dialect::B, &name(Dialect::B, 1)), 1);
    assert_eq!(bench.pull(conn).bytes, content(10)[..2]);
}

#[test]
fn a_file_that_changed_costs_the_connection_and_not_a_byte() {
    let mut bench = Bench::new(config());
    bench.share("forest.png", content(10));
    let conn = bench.accept(8000);
    bench.says(conn, &request::encode(Dialect::B, &name(Dialect::B, 1)), 99);
    let source = SpanSource::Content(ContentId([0; 32]));
    assert!(matches!(bench.peer.next_segment(bench.now, conn), Segment::Span { .. }));
    bench.tell(Input::SpanFailed { conn, source, why: SpanFault::Changed });
    assert_eq!(bench.pull(conn), Said { closed: true, ..Said::default() });
    assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkUnsent { .. })), 1);
}

#[test]
fn hostile_requests_cost_a_counter() {
    let mut bench = Bench::new(config());
    bench.share("forest.png", content(10));
    let long = vec![b'{'; 5_000];
    let requests: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n",
        b"\x00\x00\x00",
        &long,
        b"{\"filename\": \"../../secret_1\"}",
        b"{\"filename\": 7}",
        b"{\"filename\": \"forest_1\", \"chunk\": \"forest_1\"}",
    ];
    for request in requests {
        let conn = bench.accept(5001);
        bench.says(conn, request, 700);
        assert_eq!(bench.pull(conn), Said { closed: true, ..Said::default() });
    }
    assert_eq!(bench.counter("classic requests that are none"), 6);
    let slow = bench.accept(5001);
    bench.says(slow, b"{\"filename\"", 1);
    bench.wait_ms(5_000);
    assert!(bench.pull(slow).closed);
    let held: Vec<_> = (0..64).map(|_| bench.accept(5001)).collect();
    let from = std::net::SocketAddr::new(host(9), 1);
    assert_eq!(bench.peer.accepted(bench.now, from, 5001), None, "{} are enough", held.len());
}

#[test]
fn asking_again_and_again_for_what_is_not_here_ends() {
    let mut bench = Bench::new(config());
    let conn = bench.accept(5000);
    let closed = (0..1_000).any(|_| {
        bench.says(conn, &request::encode(Dialect::D, &name(Dialect::D, 1)), 99);
        bench.pull(conn).closed
    });
    assert!(closed);
    assert!(bench.count(|event| matches!(event, ClassicEvent::ChunkUnsent { .. })) < 100);
}

/// Asks on a new connection of dialect B, whose answer is the bare chunk, as it stands in line from then on.
fn begins(bench: &mut Bench, index: u32) -> ConnId {
    let conn = bench.accept(8000);
    bench.says(conn, &request::encode(Dialect::B, &name(Dialect::B, index)), 1_000);
    conn
}

/// How many bytes the peer would send on a connection now.
fn offered(bench: &mut Bench, conn: ConnId) -> u64 {
    match bench.peer.next_segment(bench.now, conn) {
        Segment::Span { len, .. } => len,
        _ => 0,
    }
}

/// Takes so many bytes of an answer.
fn takes(bench: &mut Bench, conn: ConnId, bytes: u64) {
    assert!(offered(bench, conn) >= bytes, "{conn} is offered less");
    bench.peer.sent(bench.now, conn, bytes);
    bench.wait_ms(0);
}

#[test]
fn answers_take_turns_from_shared_files_and_from_kept_chunks() {
    for is_kept in [false, true] {
        let (mut bench, file) = (Bench::new(config()), content(5 * 600_000));
        if is_kept {
            let chunk = part(&file, Dialect::B.chunk_rule(), 1).expect("there");
            bench.kept.insert(name(Dialect::B, 1), chunk.to_vec());
        } else {
            bench.share("forest.png", file);
        }
        let conns: Vec<ConnId> = (0..8).map(|_| begins(&mut bench, 1)).collect();
        let mut sent = [0; 8];
        // The first could take all of its answer before another has a tenth; it is ahead by no more than its two turns.
        while sent.iter().any(|sent| *sent < 600_000) {
            let mut moved = false;
            for at in [0; 9].into_iter().chain(0..8) {
                bench.wait_ms(3);
                let bytes = offered(&mut bench, conns[at]).min(40_000);
                if bytes > 0 {
                    takes(&mut bench, conns[at], bytes);
                    sent[at] += bytes;
                    moved = true;
                }
            }
            assert!(moved, "somebody has a turn");
            let (least, most) = (sent.iter().min().expect("some"), sent.iter().max().expect("some"));
            assert!(most - least <= 2 * (128 << 10), "{sent:?}");
        }
        assert_eq!(bench.count(|event| matches!(event, ClassicEvent::ChunkSent { .. })), 8);
        assert_eq!(bench.peer.status(bench.now).uploads, 0);
    }
}

#[test]
fn no_more_answers_go_at_once_than_there_are_slots_and_a_short_one_goes_at_once() {
    let mut bench = Bench::new(config());
    bench.share("forest.png", content(5 * 65_536));
    let conns: Vec<ConnId> = (0..6).map(|_| begins(&mut bench, 2)).collect();
    for _ in 0..3 {
        // An answer that takes so long does not take all of the link: another goes beside it.
        conns.iter().for_each(|conn| _ = offered(&mut bench, *conn));
        bench.wait_ms(45);
    }
    let lens: Vec<u64> = conns.iter().map(|conn| offered(&mut bench, *conn)).collect();
    assert_eq!(lens, [65_536, 65_536, 65_536, 65_536, 0, 0]);
    takes(&mut bench, conns[1], 65_536);
    assert_eq!(offered(&mut bench, conns[4]), 65_536);
}

#[test]
fn a_pause_holds_no_slot() {
    let limits = Limits { upload_slots: 1, ..Limits::default() };
    let (mut bench, file) = (Bench::limited(config(), limits), content(300_000));
    bench.share("forest.png", file.clone());
    let conn = bench.accept(5000);
    bench.says(conn, &request::encode(Dialect::D, &name(Dialect::D, 1)), 1_000);
    assert_eq!(bench.pull(conn).bytes, b"102400\n");
    let other = begins(&mut bench, 1);
    assert_eq!(offered(&mut bench, other), 60_000);
    // The pause is over, and the slot is taken.
    bench.wait_ms(50);
    assert_eq!(offered(&mut bench, conn), 0);
    takes(&mut bench, other, 60_000);
    assert_eq!(offered(&mut bench, conn), 102_400);
}

#[test]
fn who_waits_for_a_turn_is_told_when_the_file_is_gone() {
    let limits = Limits { upload_slots: 1, ..Limits::default() };
    let mut bench = Bench::limited(config(), limits);
    bench.share("forest.png", content(500_000));
    let (first, second) = (begins(&mut bench, 1), begins(&mut bench, 2));
    assert_eq!((offered(&mut bench, first), offered(&mut bench, second)), (100_000, 0));
    let (gone, name) = (ContentId([0; 32]), "forest.png".to_owned());
    bench.tell(Input::Stored(StoreReply::Withdrawn { content: gone, name, why: SpanFault::Gone }));
    assert_eq!(bench.pull(second), Said { closed: true, ..Said::default() });
    bench.tell(Input::SpanFailed { conn: first, source: SpanSource::Content(gone), why: SpanFault::Gone });
    assert_eq!(bench.pull(first), Said { closed: true, ..Said::default() });
    assert_eq!(bench.peer.status(bench.now).uploads, 0);
}

#[test]
fn who_waits_in_the_middle_of_a_chunk_hears_something_now_and_then() {
    let limits = Limits { upload_slots: 1, ..Limits::default() };
    let mut bench = Bench::limited(config(), limits);
    bench.share("forest.png", content(5 * 600_000));
    let conns = [1, 2].map(|index| begins(&mut bench, index));
    assert_eq!(conns.map(|conn| offered(&mut bench, conn)), [600_000, 0]);
    bench.wait_ms(3);
    takes(&mut bench, conns[0], 100_000);
    takes(&mut bench, conns[0], (128 << 10) - 100_000);
    // The other is slow, and keeps its slot.
    let mut silent = 0;
    for _ in 0..50 {
        takes(&mut bench, conns[1], 1_000);
        bench.wait_ms(100);
        let meanwhile = offered(&mut bench, conns[0]);
        silent = if meanwhile > 0 { 0 } else { silent + 100 };
        assert!(silent < 1_400, "a receiver would take that for the end");
        assert!(meanwhile <= 4 << 10);
        if meanwhile > 0 {
            takes(&mut bench, conns[0], meanwhile);
        }
    }
    takes(&mut bench, conns[1], (128 << 10) - 50_000);
    assert!(offered(&mut bench, conns[0]) > 64 << 10);
    assert_eq!(offered(&mut bench, conns[1]), 0);
    bench.ends(conns[0]);
    bench.tell(Input::Closed { conn: conns[0] });
    assert!(offered(&mut bench, conns[1]) > 64 << 10);
}
