//! What strangers can make a peer do is bounded: hashing again, dialling, mirroring, and how long it turns one away.

use std::net::SocketAddr;

use chunkcast::core::{
    BrokenWhy, Command, ContentId, Event, Input, PartState, PeerId, StoreJob, StoreReply, Time,
};
use chunkcast::wire::datagram;
use chunkcast::wire::message::{Announcement, Entry, Frame, Hello, Wanted};

use crate::{Bench, CONTENT, host};

/// The room of the mirrors here, in bytes.
const ROOM_BYTES: u64 = 10_000_000;

fn id(number: usize) -> ContentId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    ContentId(id)
}

/// Datagrams in which one peer offers these contents; `catalogue`: how many it says that it has in all.
fn announcements(peer: [u8; 16], catalogue: u32, entries: Vec<Entry>) -> Vec<Vec<u8>> {
    let mut announcement = Announcement {
        peer: PeerId(peer),
        user: "x".into(),
        port: 7117,
        interval_ms: 60_000,
        known_peers: 9,
        generation: 1,
        catalogue,
        entries,
        answers: None,
    };
    let mut datagrams = Vec::new();
    while !announcement.entries.is_empty() {
        let (bytes, taken) = datagram::encode_announcement(&announcement);
        announcement.entries.drain(..taken);
        datagrams.push(bytes);
    }
    datagrams
}

fn offer(number: usize, size: u64) -> Entry {
    Entry { id: id(number), name: format!("{number}.bin"), size, have: 7, of: 7 }
}

fn mirroring() -> Bench {
    let mut bench = Bench::new();
    let wanted = vec![Wanted::Glob("*".into())];
    bench.tell(Input::Command(Command::Mirror { ticket: 0, wanted, room_bytes: ROOM_BYTES }));
    bench
}

fn opens(bench: &Bench, content: ContentId) -> bool {
    bench
        .jobs
        .iter()
        .any(|job| matches!(job, StoreJob::OpenPart { content: opened, .. } if *opened == content))
}

#[test]
fn a_content_is_hashed_again_once_in_ten_seconds_whoever_finds_it_bad() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "x");
    let rechecks =
        |bench: &Bench| bench.jobs.iter().filter(|job| matches!(job, StoreJob::Recheck { .. })).count();
    let find_bad = |bench: &mut Bench, peers: std::ops::Range<u8>| {
        for peer in peers {
            let conn = bench.connected(host(peer), peer);
            bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
            for chunk in 0..4 {
                bench.says(conn, &Frame::Bad { channel: 0, chunk });
            }
        }
    };
    find_bad(&mut bench, 2..42);
    assert_eq!(rechecks(&bench), 1);
    bench.wait(9_999);
    find_bad(&mut bench, 42..43);
    assert_eq!(rechecks(&bench), 1);
    bench.wait(1);
    find_bad(&mut bench, 43..45);
    assert_eq!(rechecks(&bench), 2);
}

#[test]
fn a_third_strike_holds_for_the_address_for_ten_minutes_whatever_port_it_claims() {
    for (from, is_own) in [(host(2), false), (host(1), true)] {
        let mut bench = Bench::new();
        let greet = |bench: &mut Bench, number: u8| {
            let conn =
                bench.peer.accepted(bench.now, SocketAddr::new(from.ip(), 40_000), 7117).expect("room");
            bench.drain();
            let (peer, port) = (PeerId([number; 16]), 8_000 + u16::from(number));
            bench.says(conn, &Frame::Hello(Hello { v: 1, peer, user: "x".into(), port, agent: "x".into() }));
            conn
        };
        // The first of the three is almost forgotten when the third comes.
        for (number, at_ms) in [(1, 0), (2, 300_000), (3, 599_000)] {
            bench.now = Time::from_millis(at_ms);
            let conn = greet(&mut bench, number);
            bench.says(conn, &Frame::Cancel { channel: 7, chunk: 0 });
            assert!(bench.is_closing(conn), "strike {number}");
        }
        assert_eq!(bench.count(|event| matches!(event, Event::PeerStruck { .. })), 3);
        for (number, at_ms, admitted) in [(4, 599_000 + 599_999, is_own), (5, 599_000 + 600_000, true)] {
            bench.now = Time::from_millis(at_ms);
            let conn = greet(&mut bench, number);
            assert_eq!(!bench.is_closing(conn), admitted, "{from} at {at_ms} ms");
        }
    }
}
