//! What strangers can make a peer do is bounded: hashing again, dialling, mirroring, and how long it turns one away.

use std::net::SocketAddr;
use std::time::Duration;

use chunkcast::core::{BrokenWhy, Command, Event, Input, Limits, PartState, StoreJob, StoreReply};
use chunkcast::types::{ContentId, PeerId, Time};
use chunkcast::wire::datagram;
use chunkcast::wire::message::{Announcement, CataloguePage, CatalogueRequest, Entry, Frame, Hello, Wanted};

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

fn mirroring(limits: Limits) -> Bench {
    let mut bench = Bench::with_limits(limits);
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
fn a_third_ban_holds_for_the_address_for_ten_minutes_whatever_port_it_claims() {
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
            assert!(bench.is_closing(conn), "ban {number}");
        }
        assert_eq!(bench.count(|event| matches!(event, Event::PeerBanned { .. })), 3);
        for (number, at_ms, admitted) in [(4, 599_000 + 599_999, is_own), (5, 599_000 + 600_000, true)] {
            bench.now = Time::from_millis(at_ms);
            let conn = greet(&mut bench, number);
            assert_eq!(!bench.is_closing(conn), admitted, "{from} at {at_ms} ms");
        }
    }
}

#[test]
fn a_mirror_dials_within_one_bound_however_many_announce_what_it_wants() {
    let mut bench = mirroring(Limits::default());
    let honest = SocketAddr::from(([10, 9, 9, 9], 7117));
    for number in 0..1_000_usize {
        let [.., high, low] = number.to_be_bytes();
        let from = SocketAddr::from(([10, 1, high, low], 7117));
        let mut peer = [7; 16];
        peer[..8].copy_from_slice(&(number as u64).to_be_bytes());
        for bytes in announcements(peer, 1_000, vec![offer(number, 1)]) {
            bench.hear(from, &bytes);
        }
    }
    for bytes in announcements([255; 16], 1_000, vec![offer(5_000, 1)]) {
        bench.hear(honest, &bytes);
    }
    let at_once = bench.dials.len();
    assert!((1..=64).contains(&at_once), "{at_once} dials at once");
    // Each fails at once. However often they are tried again, who did not fail yet is not kept waiting.
    let (mut dials, mut honest_dialled) = (0, false);
    for second in 0..120 {
        for (conn, to) in std::mem::take(&mut bench.dials) {
            dials += 1;
            honest_dialled |= to == honest;
            bench.tell(Input::Broken { conn, why: BrokenWhy::Refused });
        }
        assert!(dials <= 64 + second * 16, "{dials} dials in {second} s");
        bench.wait(1_000);
    }
    assert!(honest_dialled, "the honest peer was not dialled");
}

/// A peer of whom nobody has heard, and its address.
fn invented(number: u32) -> ([u8; 16], SocketAddr) {
    let (mut peer, [_, high, middle, low]) = ([7; 16], number.to_be_bytes());
    peer[..4].copy_from_slice(&number.to_be_bytes());
    (peer, SocketAddr::from(([172, 16 + high, middle, low], 7117)))
}

/// Hears a datagram without a look at all invariants, for what is heard thousands of times.
fn hear_one_of_many(bench: &mut Bench, from: SocketAddr, bytes: &[u8]) {
    bench.peer.handle(bench.now, Input::Datagram { iface: chunkcast::core::IfaceId(0), from, bytes });
    bench.carry_out();
}

/// Plays the store of which nothing is there, and a network in which only the peer `there` answers a dial, until a content is
/// looked for in the store. Gives after how many seconds; `None`: not within `seconds`.
fn opened_within(bench: &mut Bench, seconds: u64, content: ContentId, there: u8) -> Option<u64> {
    for second in 0..seconds {
        for (conn, to) in std::mem::take(&mut bench.dials) {
            if to == host(there) {
                bench.tell(Input::Connected { conn });
                bench.says_hello(conn, there);
            } else {
                bench.peer.handle(bench.now, Input::Broken { conn, why: BrokenWhy::Unreachable });
                bench.carry_out();
            }
        }
        if opens(bench, content) {
            return Some(second);
        }
        for job in std::mem::take(&mut bench.jobs) {
            let reply = match job {
                StoreJob::OpenPart { content, .. } => {
                    StoreReply::PartOpened { content, state: PartState::Fresh }
                }
                StoreJob::ClosePart { content } => StoreReply::PartClosed { content },
                job => panic!("{job:?}"),
            };
            bench.tell(Input::Stored(reply));
        }
        bench.now = bench.now + Duration::from_secs(1);
        bench.peer.handle(bench.now, Input::Tick);
        bench.carry_out();
    }
    None
}

#[test]
fn contents_that_never_come_keep_none_from_being_mirrored() {
    let mut bench = mirroring(Limits::default());
    // So many that they are more than the downloads that are active at once, each as large as all the room.
    for bytes in announcements([2; 16], 1_000, (0..1_000).map(|number| offer(number, ROOM_BYTES)).collect()) {
        bench.hear(host(2), &bytes);
    }
    for bytes in announcements([3; 16], 2, vec![offer(5_000, ROOM_BYTES / 2), offer(5_001, ROOM_BYTES / 2)]) {
        bench.hear(host(3), &bytes);
    }
    assert!(bench.dials.iter().any(|(_, to)| *to == host(2)), "what is claimed is tried");
    assert_eq!(opened_within(&mut bench, 9, id(5_000), 3), Some(0), "the honest peer's has to wait");
    assert!(opens(&bench, id(5_001)));
    assert_eq!(bench.count(|event| matches!(event, Event::Warning(_))), 0, "{:?}", bench.events);
    // And those that do not come give their places to the next.
    assert_eq!(opened_within(&mut bench, 120, id(9_999), 3), None);
    bench.connected(host(2), 2);
    let opened: Vec<usize> = (0..1_000).filter(|number| opens(&bench, id(*number))).collect();
    assert!(opened.iter().any(|number| *number >= 16) && opened.len() <= 64, "{opened:?}");
}

#[test]
fn claims_in_the_name_of_many_addresses_do_not_keep_a_mirror_busy() {
    for hosts in [1, 16, 250] {
        let mut bench = mirroring(Limits::default());
        for number in 0..hosts {
            // Two peers at each address, and at that of the honest one.
            for again in [0, 1_000] {
                let (peer, from) = invented(again + number);
                let from =
                    if number == 0 { host(2) } else { SocketAddr::new(invented(number).1.ip(), from.port()) };
                let first = (again + number) as usize * 8;
                let claims = (first..first + 8).map(|number| offer(number, 1_000)).collect();
                announcements(peer, 8, claims)
                    .iter()
                    .for_each(|bytes| hear_one_of_many(&mut bench, from, bytes));
            }
            if number % 40 == 0 {
                bench.wait(1_000);
            }
        }
        let honest = id(100_000);
        for bytes in announcements([2; 16], 1, vec![offer(100_000, 1_000)]) {
            bench.hear(host(2), &bytes);
        }
        let took = opened_within(&mut bench, 3_600, honest, 2);
        // 251 addresses, and 16 dials a second.
        assert!(took.is_some_and(|took| took <= 60), "{hosts} addresses: {took:?}");
        let begun = bench.count(|event| matches!(event, Event::Resolved { .. }));
        assert_eq!(begun, 1, "nobody was there to give any of the others");
    }
}

#[test]
fn peers_that_greet_and_have_nothing_of_what_they_claim_keep_a_mirror_busy_for_a_moment_only() {
    let mut bench = mirroring(Limits::default());
    for peer in 10..26 {
        bench.connected(host(peer), peer);
        let first = usize::from(peer) * 100;
        let claims = (first..first + 100).map(|number| offer(number, 1_000)).collect();
        announcements([peer; 16], 100, claims).iter().for_each(|bytes| bench.hear(host(peer), bytes));
    }
    for bytes in announcements([2; 16], 1, vec![offer(100_000, 1_000)]) {
        bench.hear(host(2), &bytes);
    }
    // They claim 256 at once, and 64 are tried at once, for some seconds each. With a minute for each it is four minutes.
    let took = opened_within(&mut bench, 3_600, id(100_000), 2);
    assert!(took.is_some_and(|took| took <= 90), "{took:?}");
}

#[test]
fn ever_new_inventions_do_not_keep_a_mirror_from_dialling_a_peer_that_announces_itself_again() {
    let mut bench = mirroring(Limits::default());
    let says = |peer| {
        // A catalogue of which only some is told is walked.
        let announcement = Announcement {
            peer: PeerId(peer),
            user: "x".into(),
            port: 7117,
            interval_ms: 60_000,
            known_peers: 9,
            generation: 1,
            catalogue: 9,
            entries: Vec::new(),
            answers: None,
        };
        datagram::encode_announcement(&announcement).0
    };
    let (mut number, mut dialled) = (0, None);
    for second in 0..300_u64 {
        for _ in 0..20 {
            number += 1;
            // Their ids are lower than that of the honest one, so that they come first in every list.
            let (peer, from) = invented(number);
            hear_one_of_many(&mut bench, from, &says(peer));
        }
        if second % 60 == 30 {
            hear_one_of_many(&mut bench, host(2), &says([200; 16]));
        }
        for (conn, to) in std::mem::take(&mut bench.dials) {
            dialled = dialled.or((to == host(2)).then_some(second));
            bench.peer.handle(bench.now, Input::Broken { conn, why: BrokenWhy::Unreachable });
            bench.carry_out();
        }
        bench.wait(1_000);
    }
    // It is heard for the second time after 90 s.
    assert!(dialled.is_some_and(|second| second <= 95), "{dialled:?}");
}

#[test]
fn a_mirror_walks_a_catalogue_page_by_page_up_to_its_bound() {
    const PAGE: usize = 400;
    let mut bench = mirroring(Limits { walk_entries_max: 5 * PAGE, ..Limits::default() });
    for bytes in announcements([2; 16], 1_000_000, vec![offer(0, 1)]) {
        bench.hear(host(2), &bytes);
    }
    let conn = bench.connected(host(2), 2);
    let mut pages = 0;
    loop {
        let asked = bench.heard(conn).into_iter().find_map(|frame| match frame {
            Frame::CatalogueRequest(CatalogueRequest { after, .. }) => Some(after),
            _ => None,
        });
        let Some(after) = asked else { break };
        let first = pages * PAGE;
        assert_eq!(after.map(|(last, _)| last), first.checked_sub(1).map(id), "behind the page before");
        // The peer has nothing of them, so the mirror fetches none.
        let entries = (first..first + PAGE).map(|number| Entry { have: 0, ..offer(number, 1) }).collect();
        pages += 1;
        assert!(pages <= 5, "{pages} pages");
        bench.says(conn, &Frame::CataloguePage(CataloguePage { entries, more: true, generation: 1 }));
    }
    assert_eq!(pages, 5);
    assert_eq!(bench.count(|event| matches!(event, Event::Warning(text) if text.contains("more than"))), 1);
    assert!(!bench.is_closing(conn));
}

/// The place behind which a page is asked for on a connection, if one is.
fn asked_page(bench: &mut Bench, conn: chunkcast::core::ConnId) -> Option<Option<(ContentId, String)>> {
    bench.heard(conn).into_iter().find_map(|frame| match frame {
        Frame::CatalogueRequest(CatalogueRequest { after, .. }) => Some(after),
        _ => None,
    })
}

#[test]
fn who_lists_too_much_ends_nobody_elses_walk() {
    // Too many names of one content, and too many entries.
    for (names_max, walk_max) in [(4, 100_000), (10_000, 20)] {
        let limits =
            Limits { names_per_content_max: names_max, walk_entries_max: walk_max, ..Limits::default() };
        let mut bench = Bench::with_limits(limits);
        bench.get(Wanted::Glob("*".into()));
        for (peer, first) in [(2, offer(0, 1)), (3, offer(1, 1))] {
            for bytes in announcements([peer; 16], 1_000, vec![first]) {
                bench.hear(host(peer), &bytes);
            }
        }
        let [conn, other] = [2, 3].map(|peer| bench.connected(host(peer), peer));
        assert!(asked_page(&mut bench, conn).is_some() && asked_page(&mut bench, other).is_some());
        let names = (0..20).map(|name| Entry { name: format!("{name}.txt"), ..offer(0, 1) });
        let mut entries: Vec<Entry> = names.collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        bench.says(conn, &Frame::CataloguePage(CataloguePage { entries, more: true, generation: 1 }));
        for number in 1..4 {
            let page = CataloguePage { entries: vec![offer(number, 1)], more: true, generation: 1 };
            bench.says(other, &Frame::CataloguePage(page));
            let behind = asked_page(&mut bench, other).flatten().map(|(last, _)| last);
            assert_eq!(behind, Some(id(number)), "{names_max} names, {walk_max} entries");
        }
    }
}
