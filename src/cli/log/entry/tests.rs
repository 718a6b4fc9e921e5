//! What is written comes back: as people read it, and as `log --json` prints it.

use proptest::prelude::*;

use super::*;
use crate::cli::json::Who;
use crate::cli::log::writer::Ending;
use crate::core::{ClassicEvent, Event, EventObject, PeerRef, Reader};
use crate::types::PeerId;
use crate::wire::classic::{ChunkName, Dialect};

const STAMP: &str = "2026-11-20T16:02:11.482+03:00";
const NAME: &str = "talk\u{202e} \"1\".mkv";
const CONTENT: ContentId = ContentId([0xab; 32]);

fn lab() -> PeerRef {
    PeerRef { id: Some(PeerId([1; 16])), addr: "192.168.1.27:7117".parse().unwrap(), user: "lab-7".into() }
}

fn anon() -> PeerRef {
    PeerRef { id: None, addr: "[fe80::1]:7117".parse().unwrap(), user: String::new() }
}

fn spaced() -> PeerRef {
    PeerRef { user: "a b".into(), ..lab() }
}

fn chunk() -> ChunkName {
    ChunkName::parse("forest_3").unwrap()
}

fn line(object: &impl JsonLine) -> String {
    let mut bytes = Vec::new();
    object.write(&mut bytes, STAMP);
    String::from_utf8(bytes).unwrap()
}

fn line_of(event: &Event, name: &str, chunks: u32) -> String {
    line(&EventObject { event, name, chunks, role: Some("owner"), reader: Reader::Log })
}

/// Asserts what people read of a line of the log, and what `log --json` prints of it.
fn assert_read(written: &str, text: &str, object: &str) {
    let entry = Entry::parse(written).unwrap_or_else(|| panic!("{written}"));
    let (name, id) = (quoted(NAME), CONTENT.to_string());
    assert_eq!(entry.to_string(), format!("{STAMP} {}", text.replace("@NAME", &name).replace("@ID", &id)));
    let name = serde_json::to_string(NAME).unwrap().replace('\u{202e}', "\\u202e");
    let object = object.replace("@NAME", &name).replace("@ID", &id);
    let object = object.replacen('{', &format!(r#"{{"v":1,"ts":"{STAMP}","#), 1);
    assert_eq!(line(&entry), format!("{object}\n"), "{written}");
}

#[test]
fn chunks_and_answers_by_http() {
    let (content, at) = (CONTENT, "192.168.2.65:8000".parse().unwrap());
    let took = Duration::from_micros(6_100);
    for (chunks, event, text, object) in [
        (
            2048,
            Event::ChunkReceived {
                content,
                chunk: 12,
                bytes: 524_288,
                from: lab(),
                from_complete: true,
                took,
            },
            r#"DOWN chunk 12/2048 @NAME bytes=524288 peer=192.168.1.27:7117 user=lab-7 dur=0.006 ok"#,
            r#"{"t":"chunk","dir":"down","name":@NAME,"index":12,"of":2048,"bytes":524288,"peer":"192.168.1.27:7117","user":"lab-7","dur":0.0061,"ok":true}"#,
        ),
        (
            2048,
            Event::ChunkMissed { content, chunk: 77, from: anon(), why: "hash-mismatch" },
            r#"DOWN chunk 77/2048 @NAME peer=[fe80::1]:7117 failed hash-mismatch, asked elsewhere"#,
            r#"{"t":"chunk","dir":"down","name":@NAME,"index":77,"of":2048,"bytes":null,"peer":"[fe80::1]:7117","user":null,"dur":null,"ok":false,"reason":"hash-mismatch, asked elsewhere"}"#,
        ),
        (
            2048,
            Event::ChunkSent { content, chunk: 12, bytes: 524_288, of: 2048, to: spaced(), took },
            r#"UP chunk 12/2048 @NAME bytes=524288 peer=192.168.1.27:7117 user="a b" dur=0.006 ok"#,
            r#"{"t":"chunk","dir":"up","name":@NAME,"index":12,"of":2048,"bytes":524288,"peer":"192.168.1.27:7117","user":"a b","dur":0.0061,"ok":true}"#,
        ),
        (
            2048,
            Event::HttpSent { content, first: 100, bytes: 24, of: 1000, to: at, took },
            r#"UP http 100-123/1000 @NAME bytes=24 peer=192.168.2.65:8000 dur=0.006 ok"#,
            r#"{"t":"http","dir":"up","name":@NAME,"first":100,"asked":24,"of":1000,"bytes":24,"peer":"192.168.2.65:8000","dur":0.0061,"ok":true}"#,
        ),
        (
            2048,
            Event::HttpUnsent {
                content,
                first: 0,
                bytes: 24,
                asked: 1000,
                of: 1000,
                to: at,
                why: "the connection broke",
            },
            r#"UP http 0-999/1000 @NAME bytes=24 peer=192.168.2.65:8000 failed the connection broke"#,
            r#"{"t":"http","dir":"up","name":@NAME,"first":0,"asked":1000,"of":1000,"bytes":24,"peer":"192.168.2.65:8000","dur":null,"ok":false,"reason":"the connection broke"}"#,
        ),
    ] {
        assert_read(&line_of(&event, NAME, chunks), text, object);
    }
}

#[test]
fn activities_and_files() {
    let (content, took) = (CONTENT, Duration::from_millis(9800));
    for (chunks, event, text, object) in [
        (
            103,
            Event::ChunkRequested { content, chunk: 3, from: lab() },
            r#"DOWN request 3/103 @NAME peer=192.168.1.27:7117 user=lab-7 ok"#,
            r#"{"t":"activity","what":"requested_chunk","name":@NAME,"index":3,"of":103,"peer":"192.168.1.27:7117","user":"lab-7"}"#,
        ),
        (
            103,
            Event::RequestReceived { content, chunk: 3, by: lab() },
            r#"UP request 3/103 @NAME peer=192.168.1.27:7117 user=lab-7 ok"#,
            r#"{"t":"activity","what":"received_request","name":@NAME,"index":3,"of":103,"peer":"192.168.1.27:7117","user":"lab-7"}"#,
        ),
        (
            2048,
            Event::ListReceived { content, new: 3, have: 20, of: 103, from: lab() },
            r#"DOWN list 20/103 @NAME new=3 peer=192.168.1.27:7117 user=lab-7 ok"#,
            r#"{"t":"activity","what":"received_list","name":@NAME,"of":103,"have":20,"new":3,"peer":"192.168.1.27:7117","user":"lab-7"}"#,
        ),
        (
            2048,
            Event::ListSent { content, new: 3, have: 20, of: 103, to: lab() },
            r#"UP list 20/103 @NAME new=3 peer=192.168.1.27:7117 user=lab-7 ok"#,
            r#"{"t":"activity","what":"sent_list","name":@NAME,"of":103,"have":20,"new":3,"peer":"192.168.1.27:7117","user":"lab-7"}"#,
        ),
        (
            2048,
            Event::Finished { content, path: "x".into(), bytes: 1 << 30, took, peers: 4 },
            r#"DONE @NAME id=@ID bytes=1073741824 dur=9.8 peers=4 verified"#,
            r#"{"t":"done","id":"@ID","name":@NAME,"bytes":1073741824,"dur":9.8,"peers":4,"verified":true,"skipped":false}"#,
        ),
        (
            2048,
            Event::Skipped { content, path: "x".into() },
            r#"DONE @NAME id=@ID bytes=0 dur=0.000 peers=0 skipped"#,
            r#"{"t":"done","id":"@ID","name":@NAME,"bytes":0,"dur":0.0,"peers":0,"verified":false,"skipped":true}"#,
        ),
        (
            0,
            Event::ChunkUnsent { content, chunk: 7, to: lab(), why: "w" },
            r#"UP chunk 7/? @NAME peer=192.168.1.27:7117 user=lab-7 failed w"#,
            r#"{"t":"chunk","dir":"up","name":@NAME,"index":7,"of":0,"bytes":null,"peer":"192.168.1.27:7117","user":"lab-7","dur":null,"ok":false,"reason":"w"}"#,
        ),
    ] {
        assert_read(&line_of(&event, NAME, chunks), text, object);
    }
}

#[test]
fn classic_events() {
    let at = "192.168.2.65:8000".parse().unwrap();
    for (event, text, object) in [
        (
            ClassicEvent::ChunkReceived {
                ticket: 0,
                name: chunk(),
                bytes: 200,
                from: at,
                dialect: Dialect::B,
                took: Duration::from_millis(12),
            },
            r#"DOWN chunk 3/? "forest_3" bytes=200 peer=192.168.2.65:8000 classic=B dur=0.012 ok"#,
            r#"{"t":"chunk","dir":"down","name":"forest_3","index":3,"of":0,"bytes":200,"peer":"192.168.2.65:8000","user":null,"dur":0.012,"dialect":"B","ok":true}"#,
        ),
        (
            ClassicEvent::ChunkSent {
                name: chunk(),
                bytes: 200,
                to: at,
                dialect: Dialect::B,
                took: Duration::from_millis(12),
            },
            r#"UP chunk 3/? "forest_3" bytes=200 peer=192.168.2.65:8000 classic=B dur=0.012 ok"#,
            r#"{"t":"chunk","dir":"up","name":"forest_3","index":3,"of":0,"bytes":200,"peer":"192.168.2.65:8000","user":null,"dur":0.012,"dialect":"B","ok":true}"#,
        ),
        (
            ClassicEvent::ChunkMissed {
                ticket: 0,
                name: chunk(),
                from: at,
                dialect: Dialect::ASize,
                why: "closed\nearly".into(),
            },
            r#"DOWN chunk 3/? "forest_3" peer=192.168.2.65:8000 classic=A-size failed closed\nearly"#,
            r#"{"t":"chunk","dir":"down","name":"forest_3","index":3,"of":0,"bytes":null,"peer":"192.168.2.65:8000","user":null,"dur":null,"dialect":"A-size","ok":false,"reason":"closed\nearly"}"#,
        ),
        (
            ClassicEvent::ChunkUnsent { name: chunk(), to: at, why: "no such chunk" },
            r#"UP chunk 3/? "forest_3" peer=192.168.2.65:8000 classic=? failed no such chunk"#,
            r#"{"t":"chunk","dir":"up","name":"forest_3","index":3,"of":0,"bytes":null,"peer":"192.168.2.65:8000","user":null,"dur":null,"dialect":"?","ok":false,"reason":"no such chunk"}"#,
        ),
        (
            ClassicEvent::Finished {
                ticket: 0,
                path: "x".into(),
                bytes: 1000,
                took: Duration::from_millis(500),
                peers: 2,
            },
            r#"DONE "forest.png" bytes=1000 dur=0.500 peers=2 unverified"#,
            r#"{"t":"done","id":null,"name":"forest.png","bytes":1000,"dur":0.5,"peers":2,"verified":false,"skipped":false}"#,
        ),
        (
            ClassicEvent::Skipped { ticket: 0, path: "x".into() },
            r#"DONE "forest.png" bytes=0 dur=0.000 peers=0 skipped"#,
            r#"{"t":"done","id":null,"name":"forest.png","bytes":0,"dur":0.0,"peers":0,"verified":false,"skipped":true}"#,
        ),
    ] {
        assert_read(&line_of(&Event::Classic(event), "forest.png", 0), text, object);
    }
}

#[test]
fn endings() {
    let (content, lab) = (CONTENT, lab());
    let at = PeerRef { addr: "192.168.2.65:8000".parse().unwrap(), ..anon() };
    for (ending, text, object) in [
        (
            Ending::Done {
                dir: Direction::Up,
                id: Some(content),
                name: NAME,
                bytes: 1000,
                who: Who::of(&lab),
                form: None,
                dur: 1.5,
                verified: false,
                skipped: false,
            },
            r#"DONE @NAME id=@ID bytes=1000 peer=192.168.1.27:7117 user=lab-7 dur=1.5 sent"#,
            r#"{"t":"done","id":"@ID","name":@NAME,"bytes":1000,"dur":1.5,"peers":null,"verified":false,"skipped":false}"#,
        ),
        (
            Ending::Done {
                dir: Direction::Down,
                id: None,
                name: NAME,
                bytes: 1000,
                who: Who::of(&at),
                form: Some("json"),
                dur: 0.0061,
                verified: false,
                skipped: false,
            },
            r#"DONE @NAME bytes=1000 peer=192.168.2.65:8000 push=json dur=0.006 received, unverified"#,
            r#"{"t":"done","id":null,"name":@NAME,"bytes":1000,"dur":0.0061,"peers":null,"verified":false,"skipped":false}"#,
        ),
        (
            Ending::Done {
                dir: Direction::Up,
                id: None,
                name: NAME,
                bytes: 1000,
                who: Who::of(&at),
                form: Some("json"),
                dur: 0.0061,
                verified: false,
                skipped: false,
            },
            r#"DONE @NAME bytes=1000 peer=192.168.2.65:8000 push=json dur=0.006 sent, unverified"#,
            r#"{"t":"done","id":null,"name":@NAME,"bytes":1000,"dur":0.0061,"peers":null,"verified":false,"skipped":false}"#,
        ),
        (
            Ending::Error { id: Some(content), name: NAME, dur: 3.0, message: "nobody offers it" },
            r#"FAIL @NAME id=@ID dur=3.0 nobody offers it"#,
            r#"{"t":"error","id":"@ID","name":@NAME,"dur":3.0,"message":"nobody offers it"}"#,
        ),
        (
            Ending::Error { id: None, name: NAME, dur: 3.0, message: "nobody\noffers it" },
            r#"FAIL @NAME dur=3.0 nobody\noffers it"#,
            r#"{"t":"error","id":null,"name":@NAME,"dur":3.0,"message":"nobody\noffers it"}"#,
        ),
    ] {
        assert_read(&line(&ending), text, object);
    }
}

#[test]
fn lines_of_an_earlier_version_are_read() {
    for (old, object) in [
        (
            r#"DOWN chunk 12/2048 @NAME bytes=524288 peer=192.168.1.27:7117 user="a b" dur=0.006 ok"#,
            r#"{"t":"chunk","dir":"down","name":@NAME,"index":12,"of":2048,"bytes":524288,"peer":"192.168.1.27:7117","user":"a b","dur":0.006,"ok":true}"#,
        ),
        (
            r#"DOWN chunk 3/? "forest_3" peer=192.168.2.65:8000 classic=A-size failed closed"#,
            r#"{"t":"chunk","dir":"down","name":"forest_3","index":3,"of":0,"bytes":null,"peer":"192.168.2.65:8000","user":null,"dur":null,"dialect":"A-size","ok":false,"reason":"closed"}"#,
        ),
        (
            r#"UP http 100-123/1000 @NAME bytes=24 peer=192.168.2.65:8000 dur=0.006 ok"#,
            r#"{"t":"http","dir":"up","name":@NAME,"first":100,"asked":24,"of":1000,"bytes":24,"peer":"192.168.2.65:8000","dur":0.006,"ok":true}"#,
        ),
        (
            r#"UP list 20/103 @NAME new=3 peer=192.168.1.27:7117 user=lab-7 ok"#,
            r#"{"t":"activity","what":"sent_list","name":@NAME,"of":103,"have":20,"new":3,"peer":"192.168.1.27:7117","user":"lab-7"}"#,
        ),
        (
            r#"DONE @NAME id=@ID bytes=1073741824 dur=9.8 peers=4 verified"#,
            r#"{"t":"done","id":"@ID","name":@NAME,"bytes":1073741824,"dur":9.8,"peers":4,"verified":true,"skipped":false}"#,
        ),
        (
            r#"FAIL @NAME dur=3.0 nobody offers it"#,
            r#"{"t":"error","id":null,"name":@NAME,"dur":3.0,"message":"nobody offers it"}"#,
        ),
    ] {
        let written =
            format!("{STAMP} {}", old.replace("@NAME", &quoted(NAME)).replace("@ID", &CONTENT.to_string()));
        assert_read(&written, old, object);
    }
}

proptest! {
    #[test]
    fn any_name_and_user_make_one_line_that_is_read_back(name in any::<String>(), user in any::<String>()) {
        let took = Duration::from_millis(6);
        let to = PeerRef { user: user.clone(), ..lab() };
        let event = Event::ChunkSent { content: CONTENT, chunk: 1, bytes: 3, of: 2, to, took };
        let written = line_of(&event, &name, 0);
        prop_assert!(!written.trim_end_matches('\n').chars().any(|c| c.is_control()));
        let entry = Entry::parse(&written).unwrap();
        prop_assert!(!entry.to_string().chars().any(|c| c.is_control()));
        prop_assert_eq!((&entry.name, entry.user()), (&name, Some(user.as_str()).filter(|user| !user.is_empty())));
        // What people read is read back, too: it is what an earlier version wrote.
        let again = text::parse(&entry.to_string()).unwrap();
        prop_assert_eq!((again.name, again.index, again.of), (name, Some(1), 2));
    }
}
