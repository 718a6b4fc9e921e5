//! One back-off for every dial: what answers and is of no use is dialled a few times, not thousands of times.

use std::net::SocketAddr;
use std::time::Duration;

use chunkcast::core::{
    BrokenWhy, Command, ConnId, Event, Input, Limits, Place, Recipient, StoreReply, Topology,
};
use chunkcast::types::Time;
use chunkcast::types::name::Layout;
use chunkcast::wire::frame;
use chunkcast::wire::message::{CataloguePage, Frame, Wanted};

use super::{Bench, CONTENT, announcement, config, entry, host};

/// What happens at an endpoint that is dialled.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// Nobody listens.
    Refuses,
    /// It accepts, says this, and closes.
    Says(&'static [u8]),
    /// It accepts, says this, and resets the connection.
    Breaks(&'static [u8]),
    /// It accepts and says nothing more.
    Silence,
    /// It greets as a peer does, and closes.
    Greets,
    /// It greets as a peer that speaks another version of the protocol.
    OtherVersion,
    /// It greets, answers the question for its catalogue with an empty page, and closes.
    TellsNothing,
}

use Answer::*;

/// All that is of no use.
const USELESS: [Answer; 9] = [
    Refuses,
    Says(b""),
    Says(b"pong"),
    Says(b"\0\0\0"),
    Breaks(b"pong"),
    Silence,
    Greets,
    OtherVersion,
    TellsNothing,
];

/// More dials than this end a test that would never end.
const DIALS_MAX: usize = 2_000;

/// What this host dials in so much virtual time while everything answers like this, and when.
fn dials_within(bench: &mut Bench, answer: Answer, span: Duration) -> Vec<(Time, SocketAddr)> {
    let end = bench.now + span;
    let mut dials = Vec::new();
    loop {
        for (conn, to) in std::mem::take(&mut bench.dials) {
            dials.push((bench.now, to));
            answers(bench, conn, answer);
        }
        if dials.len() >= DIALS_MAX {
            return dials;
        }
        if !bench.dials.is_empty() {
            continue;
        }
        match bench.peer.deadline() {
            Some((at, _)) if at <= end => {
                bench.now = bench.now.max(at);
                bench.tell(Input::Tick);
                close_all(bench);
            }
            _ => {
                bench.now = end;
                return dials;
            }
        }
    }
}

/// Plays one dial to its end.
fn answers(bench: &mut Bench, conn: ConnId, answer: Answer) {
    if matches!(answer, Refuses) {
        return bench.tell(Input::Broken { conn, why: BrokenWhy::Refused });
    }
    bench.tell(Input::Connected { conn });
    match answer {
        Says(said) | Breaks(said) => {
            let mut left = said;
            while !left.is_empty() {
                let used = bench.peer.received(bench.now, conn, left);
                bench.drain();
                if used == 0 {
                    break;
                }
                left = &left[used..];
            }
        }
        Greets => bench.says_hello(conn, 2),
        OtherVersion => {
            let mut hello = Vec::new();
            frame::encode(&Frame::Hello(super::hello(2)), &mut hello);
            let text = String::from_utf8(hello).expect("JSON").replace("\"v\":1", "\"v\":9");
            bench.peer.received(bench.now, conn, text.as_bytes());
            bench.drain();
        }
        TellsNothing => {
            bench.says_hello(conn, 2);
            if bench.heard(conn).iter().any(|frame| matches!(frame, Frame::CatalogueRequest(_))) {
                let page = CataloguePage { generation: 1, entries: Vec::new(), more: false };
                bench.says(conn, &Frame::CataloguePage(page));
            }
        }
        Refuses | Silence => {}
    }
    match answer {
        Breaks(_) => bench.tell(Input::Broken { conn, why: BrokenWhy::Reset }),
        Silence => {}
        _ => bench.tell(Input::EndOfStream { conn }),
    }
    bench.open.push(conn);
    close_all(bench);
}

/// Closes what the peer wants closed, as a driver does.
fn close_all(bench: &mut Bench) {
    for conn in std::mem::take(&mut bench.open) {
        if bench.is_closing(conn) {
            bench.tell(Input::Closed { conn });
        } else {
            bench.open.push(conn);
        }
    }
}

/// What was told of those that answer and are no peers.
fn strangers(bench: &Bench) -> Vec<(SocketAddr, &[u8])> {
    let told = bench.events.iter().filter_map(|event| match event {
        Event::NotAPeer { addr, said } => Some((*addr, said.as_slice())),
        _ => None,
    });
    told.collect()
}

/// With the waits of the defaults, 0.5 s and then twice as long each time, nothing is dialled more often in a minute:
/// at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
const A_MINUTE_MAX: usize = 7;

#[test]
fn a_peer_of_a_ring_dials_what_is_of_no_use_ever_more_rarely() {
    let mut config = config();
    let (owner, neighbours, minute) = (host(2), vec![host(3)], Duration::from_secs(60));
    let stall = Duration::from_secs(600);
    config.topology = Topology::Neighbours(Place::Peer { owner, neighbours, owner_fallback: None, stall });
    for answer in USELESS {
        let mut bench = Bench::with(config.clone());
        bench.wait(1);
        let dials = dials_within(&mut bench, answer, minute);
        for to in [host(2), host(3)] {
            let count = dials.iter().filter(|(_, dialled)| *dialled == to).count();
            assert!((2..=A_MINUTE_MAX).contains(&count), "{answer:?}: {count} dials of {to}");
        }
        // It is told once what answers there; but nothing of those that speak as peers do, and of those that are away.
        let told = match answer {
            Says(said) | Breaks(said) => Some(said),
            Silence => Some(&b""[..]),
            Refuses | Greets | OtherVersion | TellsNothing => None,
        };
        let expected: Vec<_> = told.into_iter().flat_map(|said| [(host(2), said), (host(3), said)]).collect();
        let mut strangers = strangers(&bench);
        strangers.sort_unstable();
        assert_eq!(strangers, expected, "{answer:?}");
        let away = bench.count(|event| matches!(event, Event::NeighbourAway { .. }));
        let expected = match answer {
            // With its hello it is back, each time.
            Greets | TellsNothing => dials.len(),
            _ if told.is_some_and(|said| !said.is_empty()) => 0,
            _ => 2,
        };
        assert_eq!(away, expected, "{answer:?}");
    }
}

#[test]
fn who_takes_the_place_of_a_stranger_is_told_and_so_is_the_next_stranger() {
    let mut config = config();
    let (owner, neighbours, stall) = (host(2), Vec::new(), Duration::from_secs(600));
    config.topology = Topology::Neighbours(Place::Peer { owner, neighbours, owner_fallback: None, stall });
    let mut bench = Bench::with(config);
    bench.wait(1);
    for answer in [Says(b"pong"), Greets, Says(b"HTTP/1.1 400 Bad Request")] {
        dials_within(&mut bench, answer, Duration::from_secs(600));
    }
    let all = [(host(2), &b"pong"[..]), (host(2), b"HTTP/1.1 400 Bad Request")];
    assert_eq!(strangers(&bench), all);
    assert!(bench.count(|event| matches!(event, Event::NeighbourBack { .. })) >= 1);
}

#[test]
fn peers_that_are_named_are_dialled_ever_more_rarely_by_a_search_and_by_a_mirror() {
    let mut config = config();
    config.fixed_peers = vec![host(2)];
    for answer in USELESS {
        let mut bench = Bench::with(config.clone());
        let (wanted, wait, stall) =
            (Wanted::Name("talk.mkv".into()), Duration::from_secs(50), Duration::ZERO);
        bench.tell(Input::Command(Command::Get {
            ticket: 0,
            wanted,
            at: None,
            layout: Layout::Flat,
            wait,
            stall,
        }));
        let count = dials_within(&mut bench, answer, Duration::from_secs(60)).len();
        // Between its questions a search does not wait for a dial.
        assert!((1..=A_MINUTE_MAX).contains(&count), "a search, {answer:?}: {count} dials");
        let mut bench = Bench::with(config.clone());
        let command = Command::Mirror { ticket: 0, wanted: vec![Wanted::All], room_bytes: 1 << 30 };
        bench.tell(Input::Command(command));
        let count = dials_within(&mut bench, answer, Duration::from_secs(60)).len();
        assert!((1..=A_MINUTE_MAX).contains(&count), "a mirror, {answer:?}: {count} dials");
        assert!(strangers(&bench).len() <= 1, "{answer:?}");
    }
}

#[test]
fn a_recipient_is_dialled_ever_more_rarely() {
    for answer in [Refuses, Says(b""), Says(b"pong"), Breaks(b"pong"), Greets, OtherVersion] {
        let mut bench = Bench::new();
        bench.tell(Input::Stored(StoreReply::Offered {
            content: CONTENT,
            name: "talk.mkv".into(),
            size: 100_000,
        }));
        let (to, wait) = (Recipient::At(host(2)), Duration::from_secs(60));
        let (content, name) = (CONTENT, "talk.mkv".to_owned());
        bench.tell(Input::Command(Command::Offer { ticket: 0, content, name, to, wait }));
        let count = dials_within(&mut bench, answer, Duration::from_secs(60)).len();
        assert!((2..=A_MINUTE_MAX).contains(&count), "{answer:?}: {count} dials");
    }
}

#[test]
fn announcements_of_ever_new_peers_hasten_no_dial_beyond_the_first_wait() {
    for answer in [Refuses, Says(b"pong"), Greets] {
        let mut bench = Bench::new();
        bench.get(Wanted::Id(CONTENT));
        let mut dials = Vec::new();
        for step in 0..100u8 {
            let claims = announcement(100 + step, 1, vec![entry(CONTENT, "talk.mkv", 7)]);
            bench.hear(host(2), &claims);
            dials.extend(dials_within(&mut bench, answer, Duration::from_millis(100)));
        }
        // 10 s, and at most one dial in each half second.
        assert!((2..=21).contains(&dials.len()), "{answer:?}: {} dials", dials.len());
        // Nobody named that endpoint, and whoever announces could fill a terminal.
        assert_eq!(strangers(&bench), []);
        let wait_min = Limits::default().redial_wait_min;
        assert!(dials.windows(2).all(|pair| pair[1].0.since(pair[0].0) >= wait_min), "{answer:?}: {dials:?}");
    }
}

#[test]
fn a_connection_that_stood_for_a_while_makes_up_for_failures() {
    let mut config = config();
    config.fixed_peers = vec![host(2)];
    let mut bench = Bench::with(config);
    let command = Command::Mirror { ticket: 0, wanted: vec![Wanted::All], room_bytes: 1 << 30 };
    bench.tell(Input::Command(command));
    dials_within(&mut bench, Refuses, Duration::from_secs(60));
    let mut dialled = None;
    while dialled.is_none() {
        bench.wait(1_000);
        dialled = bench.dials.pop();
    }
    let (conn, _) = dialled.expect("it is dialled again");
    bench.tell(Input::Connected { conn });
    bench.says_hello(conn, 2);
    bench.wait(Limits::default().redial_forgives.as_millis() as u64);
    bench.tell(Input::EndOfStream { conn });
    assert!(bench.is_closing(conn));
    bench.tell(Input::Closed { conn });
    let hears = announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]);
    bench.wait(Limits::default().redial_wait_min.as_millis() as u64);
    bench.hear(host(2), &hears);
    assert_eq!(bench.dials.len(), 1, "the first wait is over");
}
