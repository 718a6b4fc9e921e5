//! Each listener against each announcer, and what kills a listener.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::chunks;
use crate::reference::announcer::{Announcer, Wording, say};
use crate::reference::dialect::Dialect;
use crate::reference::life::Life;
use crate::reference::listener::{Hearing, Listener, Reader};
use crate::reference::loopback::{BROADCAST, own_address};
use crate::reference::sha256;

/// Seldom enough that only the first announcement comes, often enough that several do.
const SELDOM: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_millis(10);

fn listener(reader: Reader) -> Listener {
    Listener::start(reader, &[SocketAddrV4::new(own_address(), 0)])
}

#[test]
fn who_understands_whom() {
    use Reader::{Batch, Chunks, Eval, Files, FirstValue};
    let understood = |wording: Wording| match wording {
        Wording::Username => vec![Files],
        Wording::Chunks | Wording::ChunksAndAddress => vec![Chunks, FirstValue, Eval],
        Wording::Batch => vec![Batch],
        // Those who say so are deaf to each other, but heard by chunkcast.
        Wording::Name | Wording::Chunk => vec![],
    };
    let wordings = [
        Wording::Username,
        Wording::Name,
        Wording::Chunks,
        Wording::ChunksAndAddress,
        Wording::Chunk,
        Wording::Batch,
    ];
    let chunks = chunks(Dialect::D, 300_000);
    let names: Vec<&str> = chunks.iter().map(|chunk| chunk.name.as_str()).collect();
    for wording in wordings {
        for reader in [Files, Chunks, FirstValue, Eval, Batch] {
            let (listener, from) = (listener(reader), own_address());
            let _announcer = Announcer::start(wording, &chunks, from, listener.at(), OFTEN);
            if understood(wording).contains(&reader) {
                let dictionary = listener.wait_for(from, &names);
                assert_eq!(dictionary.len(), names.len(), "{wording:?} to {reader:?}");
            } else if reader == Batch && matches!(wording, Wording::Chunks | Wording::ChunksAndAddress) {
                listener.wait_datagrams(2);
                assert_eq!((listener.death(), listener.dictionary().len()), (None, 0));
            } else {
                listener.wait_death();
            }
        }
    }
}

#[test]
fn the_newest_datagram_is_all_that_one_listener_knows() {
    let (from, b) = (own_address(), chunks(Dialect::A, 13));
    let listener = Listener::start_as(Reader::Files, Hearing::Newest, &[SocketAddrV4::new(own_address(), 0)]);
    for (count, chunks) in [(1, &b[..3]), (2, &b[3..])] {
        say(&Wording::Username.datagram(chunks, from), from, listener.at()[0]);
        listener.wait_datagrams(count);
    }
    assert_eq!(listener.dictionary().into_keys().collect::<Vec<_>>(), ["forest_4", "forest_5"]);
    // What it does not understand takes the place of what it did.
    say(&Wording::Username.datagram(&chunks(Dialect::ASize, 13), from), from, listener.at()[0]);
    listener.wait_datagrams(3);
    assert_eq!((listener.dictionary().len(), listener.death()), (0, None));
}

#[test]
fn who_binds_again_for_each_datagram_misses_those_of_a_burst() {
    let (from, pause) = (own_address(), Duration::from_millis(200));
    let hearing = Hearing::OnePerBind { pause };
    let listener = Listener::start_as(Reader::Files, hearing, &[SocketAddrV4::new(own_address(), 0)]);
    let all = chunks(Dialect::A, 60_001);
    let tell = |chunks: &[_]| say(&Wording::Username.datagram(chunks, from), from, listener.at()[0]);
    all.chunks(1).for_each(tell);
    listener.wait_for(from, &["forest_1"]);
    Life::default().pause(2 * pause);
    let of_burst = listener.datagrams().len();
    assert!(of_burst < 5, "{of_burst} were heard");
    // Each that comes a while after the one before is heard.
    for (count, chunks) in (of_burst + 1..).zip(all.chunks(1)) {
        tell(chunks);
        listener.wait_datagrams(count);
        Life::default().pause(2 * pause);
    }
    assert_eq!((listener.dictionary().len(), listener.death()), (5, None));
}

#[test]
fn every_dialect_says_what_its_listeners_understand() {
    for dialect in Dialect::ALL {
        let readers: &[Reader] = match Wording::of(dialect) {
            Wording::Username => &[Reader::Files],
            Wording::Chunks => &Reader::ON_5001,
            _ => &[Reader::Batch],
        };
        let chunks = chunks(dialect, 60_001);
        let names: Vec<&str> = chunks.iter().map(|chunk| chunk.name.as_str()).collect();
        for reader in readers {
            let at = own_address();
            let at: Vec<_> = dialect.udp_ports().iter().map(|port| SocketAddrV4::new(at, *port)).collect();
            let (listener, from) = (Listener::start(*reader, &at), own_address());
            let _announcer = Announcer::start(Wording::of(dialect), &chunks, from, &at[..1], SELDOM);
            listener.wait_for(from, &names);
            assert_eq!(listener.at(), at);
        }
    }
}

#[test]
fn broadcast_reaches_whom_it_reaches() {
    let (unicast, anywhere) = (listener(Reader::Chunks), own_address());
    let port = unicast.at()[0].port();
    let broadcast = Listener::start(Reader::Chunks, &[SocketAddrV4::new(BROADCAST, port)]);
    let both = Listener::start(Reader::Chunks, &[SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)]);
    say(br#"{"chunks": ["wide_1"]}"#, anywhere, SocketAddrV4::new(BROADCAST, port));
    broadcast.wait_for(anywhere, &["wide_1"]);
    both.wait_for(anywhere, &["wide_1"]);
    say(br#"{"chunks": ["narrow_1"]}"#, anywhere, unicast.at()[0]);
    assert_eq!(unicast.wait_for(anywhere, &["narrow_1"]).len(), 1);
    assert_eq!(broadcast.datagrams().len(), 1);
}

#[test]
fn what_kills_a_listener() {
    let long = format!(r#"{{"chunks": ["{}"]}}"#, "x".repeat(1025 - 16));
    let longest = format!(r#"{{"chunks": ["{}"]}}"#, "x".repeat(1024 - 16));
    let on_5001 = |datagram: &'static str, deadly_to: &[Reader]| (datagram.to_owned(), deadly_to.to_vec());
    let datagrams = [
        on_5001("{\"chunks\": [\"a_1\"]", &Reader::ON_5001),
        on_5001("", &Reader::ON_5001),
        on_5001("[]", &Reader::ON_5001),
        on_5001(r#"{"chunks": ["a_1"]} "#, &[]),
        on_5001(r#"{"chunks": []}"#, &[]),
        on_5001(r#"{"chunks": [1]}"#, &Reader::ON_5001),
        on_5001(r#"{"chunks": "a_1"}"#, &Reader::ON_5001),
        on_5001(r#"{"ip_address": "127.0.0.1", "chunks": ["a_1"]}"#, &[Reader::FirstValue]),
        on_5001(r#"{"chunks": ["a_1"], "port": 5000}"#, &[Reader::FirstValue]),
        on_5001(r#"{"chunks": ["a_1"], "ip_address": 5}"#, &[Reader::FirstValue]),
        on_5001(r#"{"chunks": ["a_1"], "ip_address": "127.0.0.1", "more": [true]}"#, &[Reader::Eval]),
        on_5001(r#"{"chunks": ["a_1"], "ip_address": "127.0.0.1", "more": null}"#, &[Reader::Eval]),
        (long, Reader::ON_5001.to_vec()),
        (longest, vec![]),
    ];
    for (datagram, deadly_to) in datagrams {
        for reader in Reader::ON_5001 {
            assert_kills(reader, &datagram, deadly_to.contains(&reader));
        }
    }
    assert_kills(Reader::Files, r#"{"files": ["a_1"], "username": "alice"}"#, false);
    assert_kills(Reader::Files, r#"{"files": ["a_1"]}"#, true);
    assert_kills(Reader::Files, r#"{"username": "alice"}"#, true);
    assert_kills(Reader::Files, r#"{"username": null, "files": []}"#, true);
    assert_kills(Reader::Batch, r#"{"chunks": {"a_1.png": {"size": 3}}}"#, true);
}

fn assert_kills(reader: Reader, datagram: &str, deadly: bool) {
    let (listener, from) = (listener(reader), own_address());
    say(datagram.as_bytes(), from, listener.at()[0]);
    if deadly {
        let death = listener.wait_death();
        assert_eq!(death.from.ip(), from, "{}", death.why);
        assert!(datagram.as_bytes().starts_with(&death.datagram));
    } else {
        listener.wait_datagrams(1);
        assert_eq!(listener.death(), None, "{datagram} to {reader:?}");
    }
}

#[test]
fn a_batch_replaces_what_a_peer_said_before() {
    let (listener, from) = (listener(Reader::Batch), own_address());
    let chunks = chunks(Dialect::D, 300_000);
    say(&Wording::Batch.datagram(&chunks[..2], from), from, listener.at()[0]);
    listener.wait_for(from, &["forest_1.png", "forest_2.png"]);
    say(&Wording::Batch.datagram(&chunks[2..], from), from, listener.at()[0]);
    let dictionary = listener.wait_for(from, &["forest_3.png"]);
    assert_eq!(dictionary.len(), 1);
    let told = listener.told(from, "forest_3.png").unwrap();
    assert_eq!(told.size_bytes, Some(chunks[2].bytes.len() as u64));
    assert_eq!(told.sha256, Some(sha256::hex(&chunks[2].bytes)));
}

#[test]
fn a_datagram_of_64_kib_kills_all_but_those_of_d() {
    let (listener, from) = (listener(Reader::Files), own_address());
    let filler = format!(r#"{{"chunks": {{}}, "filler": "{}"}}"#, "x".repeat(65_000));
    let d = Listener::start(Reader::Batch, &[SocketAddrV4::new(own_address(), 0)]);
    let to = [listener.at()[0], d.at()[0]];
    let _announcer = Announcer::repeat(filler.into_bytes(), from, &to, OFTEN);
    assert_eq!(listener.wait_death().datagram.len(), 1024);
    d.wait_datagrams(2);
    assert_eq!(d.death(), None);
}
