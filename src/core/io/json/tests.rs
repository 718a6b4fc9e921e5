//! Each event and the object that it is, to the letter: programs read these.

use super::*;
use crate::core::io::SpanFault;
use crate::types::{Geometry, PeerId};
use crate::wire::message::Entry;

const NAME: &str = "talk.mkv";
const CONTENT: ContentId = ContentId([0xab; 32]);

fn lab() -> PeerRef {
    PeerRef { id: Some(PeerId([1; 16])), addr: "192.168.1.27:7117".parse().unwrap(), user: "lab-7".into() }
}

fn received() -> Event {
    Event::ChunkReceived {
        content: CONTENT,
        chunk: 12,
        bytes: 16384,
        from: lab(),
        from_complete: true,
        took: Duration::from_nanos(6_250_999),
    }
}

fn sent() -> Event {
    let took = Duration::from_millis(250);
    Event::ChunkSent { content: CONTENT, chunk: 12, bytes: 16384, of: 99, to: lab(), took }
}

/// Asserts what the object of each event is. `@FILE`, `@PEER` and `@CLASSIC` stand for what many have.
fn assert_objects(name: &str, rows: impl IntoIterator<Item = (Reader, Event, &'static str)>) {
    let file = format!(r#""id":"{CONTENT}","name":"{NAME}""#);
    let peer = format!(r#""peer":"{}","user":"lab-7","peer_id":"{}""#, lab().addr, "01".repeat(16));
    for (reader, event, object) in rows {
        let object = object.replace("@FILE", &file).replace("@PEER", &peer);
        let object = object.replace("@CLASSIC", r#""classic":true,"verified":false"#);
        let role = (reader == Reader::Neighbours).then_some("neighbour");
        let made = EventObject { event: &event, name, chunks: 64, role, reader };
        let mut bytes = Vec::new();
        Object::write(&mut bytes, 1, "now", |line| assert!(made.put_into(line), "{event:?}"));
        let object = object.replacen('{', r#"{"v":1,"ts":"now","#, 1);
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("{object}\n"), "{event:?}");
    }
}

#[test]
fn peers_and_contents() {
    let content = CONTENT;
    assert_objects(
        NAME,
        [
            (Reader::Output, Event::PeerFound(lab()), r#"{"t":"peer","event":"found",@PEER}"#),
            (
                Reader::Output,
                Event::PeerLost(PeerRef {
                    id: None,
                    addr: "[fe80::1]:7117".parse().unwrap(),
                    user: String::new(),
                }),
                r#"{"t":"peer","event":"lost","peer":"[fe80::1]:7117","user":""}"#,
            ),
            (
                Reader::Output,
                Event::PeerBanned { peer: lab(), why: "hash-mismatch" },
                r#"{"t":"peer","event":"struck",@PEER,"reason":"hash-mismatch"}"#,
            ),
            (
                Reader::Output,
                Event::Offered { content, name: NAME.into(), size: 1 << 20 },
                r#"{"t":"content","event":"shared",@FILE,"size":1048576,"of":64}"#,
            ),
            (
                Reader::Output,
                Event::Withdrawn { content, name: NAME.into(), why: SpanFault::Gone },
                r#"{"t":"content","event":"withdrawn",@FILE,"size":0,"of":0,"reason":"the file is gone"}"#,
            ),
            (
                Reader::Output,
                Event::Started { content, geometry: Geometry::new(1 << 20, 1 << 14).unwrap(), had: 3 },
                r#"{"t":"start",@FILE,"size":1048576,"chunks":64,"chunk_bytes":16384,"had":3}"#,
            ),
            (
                Reader::Output,
                Event::Finished {
                    content,
                    path: "./talk.mkv".into(),
                    bytes: 1 << 20,
                    took: Duration::from_millis(9800),
                    peers: 4,
                },
                r#"{"t":"done",@FILE,"path":"./talk.mkv","bytes":1048576,"dur":9.8,"peers":4,"verified":true,"skipped":false}"#,
            ),
            (
                Reader::Output,
                Event::Skipped { content, path: "./talk.mkv".into() },
                r#"{"t":"done",@FILE,"path":"./talk.mkv","bytes":0,"dur":0.0,"peers":0,"verified":false,"skipped":true}"#,
            ),
        ],
    );
}

#[test]
fn chunks_and_answers_by_http() {
    let (content, reader) = (CONTENT, "192.168.1.30:51514".parse().unwrap());
    assert_objects(
        NAME,
        [
            (
                Reader::Output,
                received(),
                r#"{"t":"chunk","dir":"down",@FILE,"index":12,"of":64,"bytes":16384,@PEER,"from_complete":true,"dur":0.00625,"ok":true}"#,
            ),
            (
                Reader::Output,
                sent(),
                r#"{"t":"chunk","dir":"up",@FILE,"index":12,"of":99,"bytes":16384,@PEER,"dur":0.25,"ok":true}"#,
            ),
            (
                Reader::Output,
                Event::ChunkUnsent { content, chunk: 12, to: lab(), why: "changed" },
                r#"{"t":"chunk","dir":"up",@FILE,"index":12,"of":64,@PEER,"ok":false,"reason":"changed"}"#,
            ),
            (
                Reader::Output,
                Event::HttpSent {
                    content,
                    first: 100,
                    bytes: 24,
                    of: 1000,
                    to: reader,
                    took: Duration::from_millis(6),
                },
                r#"{"t":"http","dir":"up",@FILE,"first":100,"asked":24,"of":1000,"bytes":24,"peer":"192.168.1.30:51514","dur":0.006,"ok":true}"#,
            ),
            (
                Reader::Output,
                Event::HttpUnsent {
                    content,
                    first: 0,
                    bytes: 24,
                    asked: 1000,
                    of: 1000,
                    to: reader,
                    why: "the connection broke",
                },
                r#"{"t":"http","dir":"up",@FILE,"first":0,"asked":1000,"of":1000,"bytes":24,"peer":"192.168.1.30:51514","ok":false,"reason":"the connection broke"}"#,
            ),
        ],
    );
}

#[test]
fn what_neighbours_do() {
    let content = CONTENT;
    assert_objects(
        NAME,
        [
            (
                Reader::Neighbours,
                received(),
                r#"{"t":"activity","what":"received_chunk",@FILE,"index":12,"of":64,"part":"neighbour",@PEER}"#,
            ),
            (
                Reader::Neighbours,
                sent(),
                r#"{"t":"activity","what":"sent_chunk",@FILE,"index":12,"of":99,"part":"neighbour",@PEER}"#,
            ),
            (
                Reader::Neighbours,
                Event::ChunkRequested { content, chunk: 3, from: lab() },
                r#"{"t":"activity","what":"requested_chunk",@FILE,"index":3,"of":64,"part":"neighbour",@PEER}"#,
            ),
            (
                Reader::Neighbours,
                Event::RequestReceived { content, chunk: 3, by: lab() },
                r#"{"t":"activity","what":"received_request",@FILE,"index":3,"of":64,"part":"neighbour",@PEER}"#,
            ),
            (
                Reader::Neighbours,
                Event::ListReceived { content, new: 3, have: 20, of: 103, from: lab() },
                r#"{"t":"activity","what":"received_list",@FILE,"of":103,"have":20,"new":3,"part":"neighbour",@PEER}"#,
            ),
            (
                Reader::Neighbours,
                Event::ListSent { content, new: 3, have: 20, of: 103, to: lab() },
                r#"{"t":"activity","what":"sent_list",@FILE,"of":103,"have":20,"new":3,"part":"neighbour",@PEER}"#,
            ),
        ],
    );
}

#[test]
fn what_is_asked_elsewhere_or_waited_for() {
    let content = CONTENT;
    let missed = || Event::ChunkMissed { content, chunk: 7, from: lab(), why: "hash-mismatch" };
    let other = Entry { id: ContentId([2; 32]), name: NAME.into(), size: 1, have: 1, of: 1 };
    assert_objects(
        NAME,
        [
            (Reader::Output, missed(), r#"{"t":"retry",@FILE,"index":7,@PEER,"reason":"hash-mismatch"}"#),
            (
                Reader::Output,
                Event::SourceLost { content, from: lab(), why: "gone" },
                r#"{"t":"retry",@FILE,@PEER,"reason":"gone"}"#,
            ),
            (
                Reader::Output,
                Event::Replaced { content, by: other, from: lab(), begun: false },
                r#"{"t":"retry",@FILE,@PEER,"reason":"replaced","replaced_by":"0202020202020202020202020202020202020202020202020202020202020202"}"#,
            ),
            (
                Reader::Output,
                Event::Waiting { content, missing: vec![3, 17], missing_count: 2 },
                r#"{"t":"retry",@FILE,"reason":"waiting-for-holders","missing":[3,17],"missing_count":2}"#,
            ),
            (
                Reader::Output,
                Event::Waiting { content, missing: vec![], missing_count: 0 },
                r#"{"t":"retry",@FILE,"reason":"waiting-for-holders","missing_count":0}"#,
            ),
            (
                Reader::Log,
                missed(),
                r#"{"t":"chunk","dir":"down",@FILE,"index":7,"of":64,@PEER,"ok":false,"reason":"hash-mismatch, asked elsewhere"}"#,
            ),
        ],
    );
}

#[test]
fn classic_events() {
    let at: std::net::SocketAddr = "192.168.2.65:8000".parse().unwrap();
    let (name, took) = (|| ChunkName::parse("forest_3").unwrap(), Duration::from_millis(250));
    let missed = || ClassicEvent::ChunkMissed {
        ticket: 0,
        name: name(),
        from: at,
        dialect: Dialect::ASize,
        why: "closed early".into(),
    };
    let rows = [
        (Reader::Output, ClassicEvent::Announced { chunks: 3 }, r#"{@CLASSIC,"t":"announced","chunks":3}"#),
        (
            Reader::Output,
            ClassicEvent::Heard { from: at.ip(), user: Some("alice".into()), chunks: vec![name()] },
            r#"{@CLASSIC,"t":"peer","event":"announced","peer":"192.168.2.65","user":"alice","count":1,"chunks":["forest_3"]}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::Gone { from: at.ip(), chunks: 2 },
            r#"{@CLASSIC,"t":"peer","event":"lost","peer":"192.168.2.65","count":2}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::Begun { ticket: 0, file: "forest.png".into(), had: 1, holders: 2 },
            r#"{@CLASSIC,"t":"start","name":"forest.png","had":1,"peers":2}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::ChunkReceived {
                ticket: 0,
                name: name(),
                bytes: 200,
                from: at,
                dialect: Dialect::BJson,
                took,
            },
            r#"{@CLASSIC,"t":"chunk","dir":"down","name":"forest_3","index":3,"bytes":200,"peer":"192.168.2.65:8000","dialect":"B-json","dur":0.25,"ok":true}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::ChunkSent { name: name(), bytes: 200, to: at, dialect: Dialect::BJson, took },
            r#"{@CLASSIC,"t":"chunk","dir":"up","name":"forest_3","index":3,"bytes":200,"peer":"192.168.2.65:8000","dialect":"B-json","dur":0.25,"ok":true}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::ChunkUnsent { name: name(), to: at, why: "no such chunk" },
            r#"{@CLASSIC,"t":"chunk","dir":"up","name":"forest_3","index":3,"peer":"192.168.2.65:8000","ok":false,"reason":"no such chunk"}"#,
        ),
        (
            Reader::Output,
            missed(),
            r#"{@CLASSIC,"t":"retry","name":"forest_3","index":3,"peer":"192.168.2.65:8000","dialect":"A-size","reason":"closed early"}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::ChunkFailed { ticket: 0, name: name() },
            r#"{@CLASSIC,"t":"retry","name":"forest_3","index":3,"reason":"nobody-delivers"}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::Waiting { ticket: 0, missing: vec![3, 5] },
            r#"{@CLASSIC,"t":"retry","reason":"waiting-for-announcements","missing":[3,5]}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::Finished {
                ticket: 0,
                path: "./forest.png".into(),
                bytes: 1000,
                took: Duration::from_millis(500),
                peers: 2,
            },
            r#"{@CLASSIC,"t":"done","name":"forest.png","path":"./forest.png","bytes":1000,"dur":0.5,"peers":2,"skipped":false}"#,
        ),
        (
            Reader::Output,
            ClassicEvent::Skipped { ticket: 0, path: "./forest.png".into() },
            r#"{@CLASSIC,"t":"done","name":"forest.png","path":"./forest.png","bytes":0,"dur":0.0,"peers":0,"skipped":true}"#,
        ),
        (
            Reader::Log,
            missed(),
            r#"{@CLASSIC,"t":"chunk","dir":"down","name":"forest_3","index":3,"peer":"192.168.2.65:8000","dialect":"A-size","ok":false,"reason":"closed early"}"#,
        ),
    ];
    assert_objects("forest.png", rows.map(|(reader, event, object)| (reader, Event::Classic(event), object)));
}

#[test]
fn events_without_an_object_say_so() {
    let event = Event::Left;
    let object = EventObject { event: &event, name: "", chunks: 0, role: None, reader: Reader::Output };
    Object::write(&mut Vec::new(), 1, "now", |line| assert!(!object.put_into(line)));
}
