//! One peer, and others that say whatever they like to it, byte by byte: the core alone, in a time of its own.

#![allow(clippy::expect_used, clippy::panic, reason = "a peer that does not take part has to fail")]

use std::net::SocketAddr;
use std::time::Duration;

use chunkcast::core::{
    Command, Config, ConnId, Event, Expect, Fault, FaultKind, HttpConfig, IfaceId, Input, Limits, OfferEvent,
    Output, PartState, Peer, Segment, StoreJob, StoreReply,
};
use chunkcast::types::name::Layout;
use chunkcast::types::{Bitfield, ContentId, Geometry, PeerId, Time};
use chunkcast::wire::datagram;
use chunkcast::wire::frame;
use chunkcast::wire::message::{
    Announcement, Answer, CatalogueRequest, Datagram, Delivery, Entry, Frame, Hello, Offer, OfferAnswer,
    OfferOutcome, Query, RefuseReason, Wanted,
};

#[path = "hostile/bounds.rs"]
mod bounds;
#[path = "common/bench.rs"]
mod common;
#[path = "hostile/connections.rs"]
mod connections;
#[path = "hostile/dialling.rs"]
mod dialling;
#[path = "hostile/looks.rs"]
mod looks;
#[path = "hostile/peers.rs"]
mod peers;

const CONTENT: ContentId = ContentId([7; 32]);

/// The peer under test and what it said so far.
struct Bench {
    peer: Peer,
    now: Time,
    events: Vec<Event>,
    dials: Vec<(ConnId, SocketAddr)>,
    /// Connections that were dialled, until they are closed.
    open: Vec<ConnId>,
    jobs: Vec<StoreJob>,
    woken: Vec<ConnId>,
    datagrams: usize,
    /// The datagrams, in order.
    said: Vec<Vec<u8>>,
}

fn host(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 7117))
}

fn entry(id: ContentId, name: &str, have: u32) -> Entry {
    Entry { id, name: name.to_owned(), size: 100_000, have, of: 7 }
}

fn announcement(peer: u8, generation: u64, entries: Vec<Entry>) -> Vec<u8> {
    let announcement = Announcement {
        peer: PeerId([peer; 16]),
        user: format!("user-{peer}"),
        port: 7117,
        interval_ms: 60_000,
        known_peers: 9,
        generation,
        catalogue: u32::try_from(entries.len()).expect("few"),
        entries,
        answers: None,
    };
    datagram::encode_announcement(&announcement).0
}

fn bytes(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(frame, &mut out);
    out
}

/// A peer on host 1.
fn config() -> Config {
    common::config("me", host(1).ip())
}

fn hello(peer: u8) -> Hello {
    Hello { v: 1, peer: PeerId([peer; 16]), user: "x".into(), port: 7117, agent: "x".into() }
}

impl Bench {
    fn new() -> Bench {
        Bench::with(config())
    }

    fn with_limits(limits: Limits) -> Bench {
        Bench::with(Config { limits, ..config() })
    }

    fn serving_http(limits: Limits) -> Bench {
        let http = Some(HttpConfig { names: Vec::new() });
        Bench::with(Config { limits, http, ..config() })
    }

    /// The same for a user who named these peers.
    fn with_fixed(fixed_peers: Vec<SocketAddr>) -> Bench {
        Bench::with(Config { fixed_peers, ..config() })
    }

    fn with(config: Config) -> Bench {
        let peer = Peer::new(config, 1, Time::ZERO);
        let (events, dials, open) = (Vec::new(), Vec::new(), Vec::new());
        let (jobs, woken, said) = (Vec::new(), Vec::new(), Vec::new());
        Bench { peer, now: Time::ZERO, events, dials, open, jobs, woken, datagrams: 0, said }
    }

    fn drain(&mut self) {
        self.carry_out();
        self.peer.check_invariants();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Dial { conn, to } => self.dials.push((conn, to)),
                Output::Datagram { bytes, .. } => {
                    self.datagrams += 1;
                    self.said.push(bytes);
                }
                Output::Store(job) => self.jobs.push(job),
                Output::Wake(conn) => self.woken.push(conn),
                Output::Release(_) => {}
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.peer.handle(self.now, input);
        self.drain();
    }

    fn hear(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.tell(Input::Datagram { iface: IfaceId(0), from, bytes });
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.tell(Input::Tick);
    }

    fn get(&mut self, wanted: Wanted) {
        let (wait, stall) = (Duration::from_secs(1), Duration::from_secs(600));
        let (at, layout) = (None, Layout::Tree);
        self.tell(Input::Command(Command::Get { ticket: 0, wanted, at, layout, wait, stall }));
        self.wait(1);
    }

    /// Gets what is known, so that the search ends with its time.
    fn get_known(&mut self, wanted: Wanted) {
        self.get(wanted);
        self.wait(1_000);
    }

    fn says(&mut self, conn: ConnId, frame: &Frame) {
        self.says_unchecked(conn, frame);
        self.peer.check_invariants();
    }

    /// The same without a look at all invariants, for what is said thousands of times.
    fn says_unchecked(&mut self, conn: ConnId, frame: &Frame) {
        let bytes = bytes(frame);
        let mut used = 0;
        while used < bytes.len() {
            let taken = self.peer.received(self.now, conn, &bytes[used..]);
            self.carry_out();
            if taken == 0 {
                return;
            }
            used += taken;
        }
    }

    fn says_hello(&mut self, conn: ConnId, peer: u8) {
        self.says(conn, &Frame::Hello(hello(peer)));
    }

    /// A connection that came in and said hello.
    fn connected(&mut self, from: SocketAddr, peer: u8) -> ConnId {
        let from = SocketAddr::new(from.ip(), 40_000);
        let conn = self.peer.accepted(self.now, from, 7117).expect("there is room");
        self.drain();
        self.says_hello(conn, peer);
        conn
    }

    /// A connection to a holder of [`CONTENT`], which says so of a file of so many bytes in one chunk.
    fn holder(&mut self, peer: u8, size: u64) -> ConnId {
        let conn = self.connected(host(peer), peer);
        let chunk_bytes = 16 << 10;
        self.says(conn, &Frame::Open { channel: 0, content: CONTENT, size, chunk_bytes });
        self.says(conn, &Frame::Have { channel: 0, first: 0, count: 1 });
        conn
    }

    /// A chunk of so many bytes comes.
    fn sends(&mut self, conn: ConnId, chunk: u32, len: u32) {
        let mut header = Vec::new();
        frame::encode_chunk_header(0, chunk, len, &mut header);
        self.peer.received(self.now, conn, &header);
        self.drain();
        self.peer.stored(self.now, conn, u64::from(len));
        self.drain();
    }

    /// What is said on a connection from here.
    fn heard(&mut self, conn: ConnId) -> Vec<Frame> {
        let (mut decoder, mut frames) = (frame::Decoder::default(), Vec::new());
        while let Segment::Bytes { bytes, .. } = self.peer.next_segment(self.now, conn) {
            let said = bytes.to_vec();
            let mut at = 0;
            while at < said.len() {
                let (used, decoded) = decoder.decode(&said[at..]).expect("frames");
                at += used;
                frames.extend(decoded.and_then(|decoded| match decoded {
                    frame::Decoded::Frame(frame) => Some(frame),
                    frame::Decoded::Chunk { .. } => None,
                }));
            }
            self.peer.sent(self.now, conn, said.len() as u64);
            self.drain();
        }
        frames
    }

    fn is_closing(&mut self, conn: ConnId) -> bool {
        loop {
            match self.peer.next_segment(self.now, conn) {
                Segment::Bytes { bytes, .. } => {
                    let len = bytes.len() as u64;
                    self.peer.sent(self.now, conn, len);
                    self.drain();
                }
                segment => return segment == Segment::Close,
            }
        }
    }

    /// Where a peer is thought to be.
    fn address_of(&self, peer: u8) -> Option<SocketAddr> {
        let peers = self.peer.status(self.now).peers;
        peers.iter().find(|known| known.peer.id == Some(PeerId([peer; 16]))).map(|known| known.peer.addr)
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }

    fn counter(&self, name: &str) -> u64 {
        let counters = self.peer.status(self.now).counters;
        counters.iter().find(|(counter, _)| *counter == name).map_or(0, |(_, count)| *count)
    }

    fn offers(&mut self, content: ContentId, name: &str) {
        self.tell(Input::Stored(StoreReply::Offered { content, name: name.into(), size: 100_000 }));
    }
}

#[test]
fn a_datagram_with_the_id_of_another_changes_nothing_of_it() {
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.wait(1_000);
    bench.hear(host(66), &announcement(2, u64::MAX, Vec::new()));
    assert_eq!(bench.address_of(2), Some(host(2)));
    assert_eq!(bench.peer.status(bench.now).contents.len(), 1);
    // A connection holds it there however long it says nothing.
    bench.connected(host(2), 2);
    bench.wait(14_000);
    bench.hear(host(66), &announcement(2, u64::MAX, Vec::new()));
    assert_eq!(bench.address_of(2), Some(host(2)));
}

#[test]
fn a_peer_that_moved_is_believed_after_a_while() {
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.wait(61_000);
    bench.hear(host(3), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    assert_eq!(bench.address_of(2), Some(host(3)));
}

#[test]
fn who_comes_in_with_the_id_of_another_replaces_nobody() {
    for id in [0, 255] {
        let mut bench = Bench::new();
        bench.hear(host(2), &announcement(id, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
        bench.get_known(Wanted::Id(CONTENT));
        let dialled = bench.dials.first().expect("who has it is dialled").0;
        bench.tell(Input::Connected { conn: dialled });
        bench.says_hello(dialled, id);
        // It is served, and is not that peer.
        let other = bench.connected(host(66), id);
        assert!(!bench.is_closing(other) && !bench.is_closing(dialled));
        assert_eq!(bench.address_of(id), Some(host(2)));
    }
}

#[test]
fn requests_that_come_to_nothing_are_not_told_for_ever() {
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    for _ in 0..10_000 {
        bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
    }
    assert!(bench.is_closing(conn));
    assert!(bench.count(|event| matches!(event, Event::ChunkUnsent { .. })) <= 512);
}

#[test]
fn chunks_told_again_and_again_end_the_connection() {
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.get_known(Wanted::Id(CONTENT));
    let conn = bench.connected(host(3), 3);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 1 << 30, chunk_bytes: 1 << 10 });
    for _ in 0..6 {
        assert!(!bench.is_closing(conn));
        bench.says(conn, &Frame::Have { channel: 0, first: 0, count: 1 << 20 });
    }
    assert!(bench.is_closing(conn));
}

fn offer(number: u32) -> Frame {
    Frame::Offer(Offer { offer: number, id: CONTENT, name: "x".into(), size: 100_000 })
}

#[test]
fn offers_without_end_close_their_connection_alone() {
    let mut bench = Bench::new();
    bench.tell(Input::Command(Command::Receive));
    let (conn, other, third) =
        (bench.connected(host(2), 2), bench.connected(host(3), 3), bench.connected(host(4), 4));
    for number in 0..64 {
        bench.says(conn, &offer(number));
    }
    assert!(!bench.is_closing(conn));
    bench.says(conn, &offer(64));
    assert!(bench.is_closing(conn));
    let came = |event: &Event| matches!(event, Event::Offer(OfferEvent::Came { .. }));
    let gone = |event: &Event| matches!(event, Event::Offer(OfferEvent::Gone { .. }));
    assert_eq!((bench.count(came), bench.count(gone)), (64, 64));
    bench.says(other, &offer(0));
    bench.says(third, &offer(0));
    bench.says(other, &offer(0));
    assert!(bench.is_closing(other) && !bench.is_closing(third));
}

#[test]
fn offers_that_are_declined_again_and_again_close_the_connection() {
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    for number in 0..4_096 {
        bench.says(conn, &offer(number));
        assert!(!bench.is_closing(conn));
    }
    bench.says(conn, &offer(4_096));
    assert!(bench.is_closing(conn));
    assert_eq!(bench.count(|event| matches!(event, Event::Offer(_))), 0);
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    for _ in 0..100 {
        bench.says(conn, &Frame::OfferAnswer(OfferAnswer { offer: 7, answer: Answer::Accepted }));
        bench.says(conn, &Frame::OfferOutcome(OfferOutcome { offer: 7, outcome: Delivery::Verified }));
    }
    assert!(!bench.is_closing(conn));
    assert_eq!(bench.count(|event| matches!(event, Event::Offer(_))), 0);
}

#[test]
fn what_is_withdrawn_again_is_told_once() {
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.get_known(Wanted::Id(CONTENT));
    let conn = bench.connected(host(3), 3);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    for _ in 0..10 {
        let reason = chunkcast::wire::message::RefuseReason::Gone;
        bench.says(conn, &Frame::Withdraw { channel: 0, reason });
    }
    assert_eq!(bench.count(|event| matches!(event, Event::SourceLost { .. })), 1);
    assert!(!bench.is_closing(conn));
}

#[test]
fn a_whole_name_is_meant_before_a_last_component_whoever_has_more() {
    let other = ContentId([8; 32]);
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 1)]));
    bench.hear(
        host(3),
        &announcement(3, 1, vec![entry(CONTENT, "a/talk.mkv", 7), entry(other, "b/talk.mkv", 7)]),
    );
    bench.get_known(Wanted::Name("talk.mkv".into()));
    let resolved = |event: &Event| matches!(event, Event::Resolved { content: CONTENT, name, .. } if **name == *"talk.mkv");
    assert_eq!(bench.count(resolved), 1, "{:?}", bench.events);
}

#[test]
fn who_claims_to_know_nobody_does_not_end_the_search() {
    let mut bench = Bench::new();
    for peer in 2..6 {
        bench.hear(host(peer), &announcement(peer, 1, Vec::new()));
    }
    bench.get(Wanted::Name("talk.mkv".into()));
    let other = ContentId([8; 32]);
    let mut alone = String::from_utf8(announcement(6, 1, vec![entry(other, "talk.mkv", 7)])).expect("JSON");
    alone = alone.replace("\"peers\":9", "\"peers\":0");
    bench.hear(host(6), alone.as_bytes());
    bench.wait(1);
    bench.hear(host(2), &announcement(2, 2, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.wait(1_000);
    assert_eq!(bench.count(|event| matches!(event, Event::SearchFailed { .. })), 1, "{:?}", bench.events);
}

#[test]
fn a_holder_that_leaves_or_withdraws_at_once_does_not_end_the_search() {
    let failed = |event: &Event| matches!(event, Event::SearchFailed { .. });
    for leaves in [true, false] {
        let mut bench = Bench::new();
        bench.get(Wanted::Name("talk.mkv".into()));
        let conn = bench.connected(host(2), 2);
        bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
        if leaves {
            bench.says(conn, &Frame::Bye { reason: "leaving".into() });
        } else {
            bench.hear(host(2), &announcement(2, 2, Vec::new()));
        }
        bench.wait(900);
        assert_eq!(bench.count(failed), 0, "{:?}", bench.events);
        bench.hear(host(3), &announcement(3, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
        bench.wait(50);
        let found = |event: &Event| matches!(event, Event::Resolved { content: CONTENT, .. });
        assert_eq!((bench.count(found), bench.count(failed)), (1, 0), "{:?}", bench.events);
    }
}

#[test]
fn a_search_whose_only_holder_left_fails_with_its_time() {
    let failed = |event: &Event| matches!(event, Event::SearchFailed { .. });
    let mut bench = Bench::new();
    bench.get(Wanted::Name("talk.mkv".into()));
    let conn = bench.connected(host(2), 2);
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.says(conn, &Frame::Bye { reason: "leaving".into() });
    bench.wait(998);
    assert_eq!(bench.count(failed), 0, "{:?}", bench.events);
    bench.wait(1);
    assert_eq!(bench.count(failed), 1, "{:?}", bench.events);
}

#[test]
fn a_list_of_one_name_waits_for_another_holder_of_it() {
    let looked = |event: &Event| matches!(event, Event::Looked { .. });
    let mut bench = Bench::new();
    let wanted = Wanted::Name("talk.mkv".into());
    bench.tell(Input::Command(Command::Look { wanted, wait: Duration::from_secs(1) }));
    bench.wait(1);
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.hear(host(2), &announcement(2, 2, Vec::new()));
    bench.wait(900);
    assert_eq!(bench.count(looked), 0, "{:?}", bench.events);
    bench.hear(host(3), &announcement(3, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.wait(50);
    assert_eq!(bench.count(looked), 1, "{:?}", bench.events);
}

#[test]
fn a_query_with_a_pattern_over_the_limit_is_dropped_and_counted() {
    let mut bench = Bench::new();
    for (count, dropped) in [(64, 0), (65, 1)] {
        let wanted = Wanted::Name("*".repeat(count));
        // The encoder makes no such query, so it is made of another of the same length.
        let query = Query { peer: PeerId([9; 16]), user: "x".into(), port: 7117, nonce: 1, wanted };
        let json = String::from_utf8(datagram::encode_query(&query).expect("it fits")).expect("JSON");
        bench.hear(host(9), json.replace("\"name\"", "\"glob\"").as_bytes());
        assert_eq!(bench.counter("queries with a pattern over the limit"), dropped, "{count}");
    }
    // A request over a connection is refused likewise.
    let conn = bench.connected(host(2), 2);
    let wanted = Wanted::Glob("*".repeat(65));
    bench.says(conn, &Frame::CatalogueRequest(CatalogueRequest { wanted, after: None }));
    assert!(bench.is_closing(conn));
}

/// What looking through names may take at one moment: the limit, and what one name and one pattern take more than they may.
const STEPS_AT_ONCE: u64 = 1_000_000 + 100_000;

/// A pattern within the limits that no name matches, of several words of bits.
fn hostile_pattern() -> Wanted {
    let bracket = format!("[!{}]", "~".repeat(20));
    Wanted::Glob(format!("*{}*{}~*", bracket.repeat(12), "a".repeat(600)))
}

fn query(peer: u16, wanted: Wanted) -> Vec<u8> {
    let [high, low] = peer.to_be_bytes();
    let peer = PeerId([[high, low]; 8].concat().try_into().expect("16 bytes"));
    let query = Query { peer, user: "x".into(), port: 7117, nonce: 1, wanted };
    datagram::encode_query(&query).expect("it fits")
}

/// A peer that shares so many files of long names.
fn sharing(files: u32) -> Bench {
    let mut bench = Bench::new();
    for file in 0..files {
        let mut content = ContentId([7; 32]);
        content.0[..4].copy_from_slice(&file.to_be_bytes());
        let name = format!("{file:05}{}", "a".repeat(900));
        // Not by way of `tell`, which looks whether everything is as it must be each time.
        let offered = StoreReply::Offered { content, name, size: 100_000 };
        bench.peer.handle(bench.now, Input::Stored(offered));
    }
    bench.drain();
    bench
}

#[test]
fn costly_patterns_take_a_slice_at_a_time_and_others_are_answered_between() {
    let mut bench = sharing(10_000);
    bench.wait(1_000);
    let mut steps = bench.counter("steps of looking through names");
    let mut most = 0;
    let mut count = |bench: &Bench| {
        let now = bench.counter("steps of looking through names");
        most = most.max(now - steps);
        steps = now;
    };
    // All at one moment, from two addresses.
    for number in 0..60 {
        let from = SocketAddr::from(([10, 0, 1, (number % 2) as u8], 2_000));
        bench.hear(from, &query(number, hostile_pattern()));
    }
    count(&bench);
    let before = bench.datagrams;
    bench.hear(host(200), &query(1_000, Wanted::Name(format!("00003{}", "a".repeat(900)))));
    bench.hear(host(201), &query(1_001, Wanted::Prefix("00000003".into())));
    let mut waited = 0;
    while bench.datagrams < before + 2 {
        bench.wait(5);
        count(&bench);
        waited += 5;
        assert!(waited <= 2_000, "not answered after {waited} ms");
    }
    // An address that goes on has used up what it may.
    for number in 100..160 {
        let from = SocketAddr::from(([10, 0, 1, (number % 2) as u8], 2_001));
        bench.hear(from, &query(number, hostile_pattern()));
        bench.wait(5);
        count(&bench);
    }
    for _ in 0..100 {
        bench.wait(5);
        count(&bench);
    }
    assert!(most <= STEPS_AT_ONCE, "{most} steps at one moment");
    assert!(bench.counter("queries over rate") >= 20, "{:?}", bench.peer.status(bench.now).counters);
}

#[test]
fn pages_for_costly_patterns_come_a_slice_at_a_time_and_are_complete() {
    let mut bench = sharing(10_000);
    let (hostile, honest) = (bench.connected(host(2), 2), bench.connected(host(3), 3));
    bench.heard(hostile);
    bench.heard(honest);
    let ask = |wanted: Wanted, after| Frame::CatalogueRequest(CatalogueRequest { wanted, after });
    for _ in 0..16 {
        bench.says(hostile, &ask(hostile_pattern(), None));
    }
    let (mut steps, mut most) = (bench.counter("steps of looking through names"), 0);
    let (mut found, mut ms) = (Vec::new(), 0);
    let wanted = Wanted::Glob("000*[05]a*".into());
    bench.says(honest, &ask(wanted.clone(), None));
    let mut is_over = false;
    // Until the honest one has all pages, and the other has used up what it may in a second: its pages take longer.
    while !is_over || bench.counter("catalogue pages put off") == 0 {
        for frame in bench.heard(honest) {
            let Frame::CataloguePage(page) = frame else { continue };
            found.extend(page.entries.iter().map(|entry| entry.name.clone()));
            let last = page.entries.last().map(|entry| (entry.id, entry.name.clone()));
            is_over = !page.more;
            if page.more {
                bench.says(honest, &ask(wanted.clone(), last));
            }
        }
        let said = bench.heard(hostile);
        assert!(said.is_empty(), "{said:?}");
        let now = bench.counter("steps of looking through names");
        most = most.max(now - steps);
        steps = now;
        bench.wait(5);
        ms += 5;
        assert!(ms < 2_000, "no page after {ms} ms");
    }
    assert_eq!(found.len(), 20);
    assert!(most <= STEPS_AT_ONCE, "{most} steps at one moment");
    // In the next second it goes on, and ends.
    while bench.heard(hostile).is_empty() {
        bench.wait(5);
        ms += 5;
        assert!(ms < 20_000, "no page after {ms} ms");
    }
}

#[test]
fn a_newcomer_where_another_failed_is_dialled_at_once() {
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.get_known(Wanted::Id(CONTENT));
    while let Some((conn, _)) = bench.dials.pop() {
        bench.tell(Input::Broken { conn, why: chunkcast::core::BrokenWhy::Refused });
        bench.wait(10_000);
    }
    assert!(bench.now < Time::from_millis(100_000), "{}", bench.now);
    bench.hear(host(2), &announcement(3, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    assert_eq!(bench.dials.first().map(|(_, to)| *to), Some(host(2)));
}

#[test]
fn an_id_that_was_lent_to_another_address_first_comes_home() {
    let mut bench = Bench::new();
    let held = || vec![entry(CONTENT, "talk.mkv", 7)];
    bench.hear(host(66), &announcement(2, 1, held()));
    bench.get_known(Wanted::Id(CONTENT));
    let dialled = bench.dials.pop().expect("who seems to have it is dialled").0;
    bench.tell(Input::Connected { conn: dialled });
    bench.says_hello(dialled, 66);
    bench.hear(host(66), &announcement(2, 1, held()));
    assert_eq!(bench.address_of(2), None);
    bench.hear(host(2), &announcement(2, 1, held()));
    assert_eq!(bench.dials.pop().map(|(_, to)| to), Some(host(2)));
}

/// A pattern matches [`CONTENT`] under these names, and the store is to look for the first.
fn wanting_names(limits: Limits, names: &[&str]) -> Bench {
    let mut bench = Bench::with_limits(limits);
    let entries = names.iter().map(|name| entry(CONTENT, name, 7)).collect();
    bench.hear(host(9), &announcement(9, 1, entries));
    bench.get_known(Wanted::Glob("*".into()));
    bench
}

impl Bench {
    /// The names that the store was asked to look for since the last time.
    fn opened(&mut self) -> Vec<String> {
        let name = |job| match job {
            StoreJob::OpenPart { content: CONTENT, name, layout: Layout::Tree, .. } => Some(name),
            _ => None,
        };
        std::mem::take(&mut self.jobs).into_iter().filter_map(name).collect()
    }

    fn opens(&mut self, state: PartState) {
        self.tell(Input::Stored(StoreReply::PartOpened { content: CONTENT, state }));
    }

    fn cannot_open(&mut self, kind: FaultKind) {
        let fault = Fault { kind, text: "no".into() };
        self.tell(Input::Stored(StoreReply::PartFailed { content: CONTENT, fault }));
        self.tell(Input::Stored(StoreReply::PartClosed { content: CONTENT }));
    }

    /// How many files were resolved, finished and failed.
    fn files(&self) -> (usize, usize, usize) {
        (
            self.count(|event| matches!(event, Event::Resolved { .. })),
            self.count(|event| matches!(event, Event::Finished { .. } | Event::Skipped { .. })),
            self.count(|event| matches!(event, Event::Failed { .. })),
        )
    }
}

fn complete(path: &str) -> PartState {
    PartState::Complete { geometry: Geometry::native(100_000).expect("a cut"), path: path.into() }
}

#[test]
fn each_name_of_a_content_is_a_file_one_after_the_other() {
    // Two names that make the same path are one file.
    let mut bench = wanting_names(Limits::default(), &["a/x", "b/x", "b//x", "c/x", "a /x"]);
    assert_eq!(bench.opened(), ["a /x"]);
    bench.opens(complete("a/x"));
    assert!(bench.peer.held(&CONTENT).is_some());
    assert_eq!(bench.opened(), ["b//x"]);
    // A place that cannot be is told of; the content stays here and goes to the others.
    bench.cannot_open(FaultKind::NameRefused);
    assert!(bench.peer.held(&CONTENT).is_some());
    assert_eq!(bench.opened(), ["b/x"]);
    bench.opens(PartState::Skipped { path: "b/x".into() });
    assert_eq!(bench.opened(), ["c/x"]);
    // What the store has copied is published as if it had been fetched, without a word to anybody.
    let dials = bench.dials.len();
    let geometry = Geometry::native(100_000).expect("a cut");
    let have = Bitfield::full(geometry.chunks());
    bench.opens(PartState::Resumed { geometry, have });
    assert!(matches!(bench.jobs[..], [StoreJob::Publish { content: CONTENT }]), "{:?}", bench.jobs);
    bench.tell(Input::Stored(StoreReply::Published { content: CONTENT, path: "c/x".into() }));
    assert_eq!((bench.files(), bench.dials.len()), ((4, 3, 1), dials));
    assert_eq!(bench.peer.status(bench.now).downloads.len(), 0);
    let done = |event: &Event| matches!(event, Event::SearchDone { found: 4, cut_short: false, .. });
    assert_eq!(bench.count(done), 1, "{:?}", bench.events);
}

#[test]
fn a_failure_of_the_content_is_one_of_each_of_its_names() {
    for kind in [FaultKind::Full, FaultKind::Io] {
        let mut bench = wanting_names(Limits::default(), &["a", "b", "c"]);
        bench.cannot_open(kind);
        assert_eq!((bench.files(), bench.opened()), ((3, 0, 3), vec!["a".to_owned()]));
    }
    let mut bench = wanting_names(Limits::default(), &["a", "b", "c"]);
    bench.opens(complete("a"));
    bench.tell(Input::Command(Command::Cancel { content: CONTENT }));
    assert_eq!(bench.files(), (3, 1, 2));
    assert!(bench.peer.held(&CONTENT).is_some(), "the first one is there");
    // Nobody comes: each is given up with the first.
    let mut bench = wanting_names(Limits::default(), &["a", "b", "c"]);
    bench.opens(PartState::Fresh);
    for _ in 0..700 {
        bench.wait(1_000);
    }
    assert_eq!(bench.files(), (3, 0, 3));
}

#[test]
fn who_leaves_waits_for_what_is_published_and_for_no_further_name() {
    let mut bench = wanting_names(Limits::default(), &["a", "b", "c"]);
    let geometry = Geometry::native(100_000).expect("a cut");
    bench.opens(PartState::Resumed { geometry, have: Bitfield::full(geometry.chunks()) });
    bench.tell(Input::Command(Command::Leave));
    assert_eq!((bench.files(), bench.peer.status(bench.now).downloads.len()), ((3, 0, 2), 1));
    bench.tell(Input::Stored(StoreReply::Published { content: CONTENT, path: "a".into() }));
    // Nothing is left that would hold it.
    assert_eq!((bench.files(), bench.peer.status(bench.now).downloads.len()), ((3, 1, 2), 0));
}

#[test]
fn of_one_content_so_many_names_are_taken_and_the_rest_is_told() {
    let names: Vec<String> = (0..9).map(|number| format!("dir/{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let limits = Limits { names_per_content_max: 4, ..Limits::default() };
    let bench = wanting_names(limits, &names);
    assert_eq!(bench.files().0, 4);
    let done = |event: &Event| matches!(event, Event::SearchDone { found: 4, cut_short: true, .. });
    assert_eq!(bench.count(done), 1, "{:?}", bench.events);
}

/// Somebody looks for [`CONTENT`], which was announced with 100 bytes, and the store has nothing of it.
fn wanting_100_bytes() -> Bench {
    let mut bench = Bench::new();
    let entry = Entry { id: CONTENT, name: "x".into(), size: 100, have: 1, of: 1 };
    bench.hear(host(9), &announcement(9, 1, vec![entry]));
    bench.get_known(Wanted::Id(CONTENT));
    bench.tell(Input::Stored(StoreReply::PartOpened { content: CONTENT, state: PartState::Fresh }));
    bench
}

fn asks(frames: &[Frame]) -> (usize, usize) {
    let chunks = frames.iter().filter(|frame| matches!(frame, Frame::Request { chunk: 0, .. })).count();
    let pages = frames.iter().filter(|frame| matches!(frame, Frame::ManifestRequest { .. })).count();
    (chunks, pages)
}

#[test]
fn one_chunk_is_asked_of_one_holder_and_nothing_is_told_before_it_is_stored() {
    let mut bench = wanting_100_bytes();
    let (first, second) = (bench.holder(2, 100), bench.holder(3, 100));
    assert_eq!((asks(&bench.heard(first)), asks(&bench.heard(second))), ((1, 0), (0, 0)));
    bench.sends(first, 0, 100);
    let Some(StoreJob::StoreSingleChunk { buffer, .. }) = bench.jobs.pop() else {
        panic!("{:?}", bench.jobs)
    };
    // Who else wants it is not told of a chunk that is only here in memory.
    let third = bench.connected(host(4), 4);
    bench.says(third, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    let claims = |frame: &Frame| matches!(frame, Frame::Have { .. } | Frame::HaveMap { .. });
    assert!(!bench.heard(third).iter().any(claims) && bench.peer.held(&CONTENT).is_none());
    bench.tell(Input::Stored(StoreReply::SingleChunkStored { content: CONTENT, path: "x".into(), buffer }));
    assert!(bench.heard(third).iter().any(claims) && bench.peer.held(&CONTENT).is_some());
    assert_eq!(bench.count(|event| matches!(event, Event::Finished { bytes: 100, .. })), 1);
}

/// One of several files with the same bytes was edited; that its new version is offered is heard by datagram before the
/// refusal comes by the connection.
#[test]
fn a_new_version_that_is_announced_before_the_refusal_of_the_old_one_is_fetched() {
    let entry = |id, name: &str| Entry { id, name: name.to_owned(), size: 100, have: 1, of: 1 };
    let edited = ContentId([8; 32]);
    // Of the old version another name is listed before the name in question, and after it.
    for twin in ["A", "z"] {
        let mut bench = Bench::new();
        bench.hear(host(9), &announcement(9, 4, vec![entry(CONTENT, "x"), entry(CONTENT, twin)]));
        bench.get_known(Wanted::Name("x".into()));
        bench.tell(Input::Stored(StoreReply::PartOpened { content: CONTENT, state: PartState::Fresh }));
        let conn = bench.holder(9, 100);
        assert_eq!(asks(&bench.heard(conn)), (1, 0));
        bench.hear(host(9), &announcement(9, 6, vec![entry(CONTENT, twin), entry(edited, "x")]));
        bench.says(conn, &Frame::Withdraw { channel: 0, reason: RefuseReason::Changed });
        bench.wait(1_000);
        let is_new =
            |event: &Event| matches!(event, Event::Replaced { by, begun: true, .. } if by.id == edited);
        assert_eq!(bench.count(is_new), 1, "{:?}", bench.events);
    }
}

#[test]
fn that_a_chunk_came_which_many_have_is_told_within_a_second() {
    let mut bench = Bench::new();
    let entry = Entry { id: CONTENT, name: "x".into(), size: 4 << 14, have: 4, of: 4 };
    bench.hear(host(9), &announcement(9, 1, vec![entry]));
    bench.get_known(Wanted::Id(CONTENT));
    let geometry = Geometry::new(4 << 14, 1 << 14).expect("four chunks");
    let mut have = Bitfield::empty(4);
    have.set(2);
    let state = PartState::Resumed { geometry, have };
    bench.tell(Input::Stored(StoreReply::PartOpened { content: CONTENT, state }));
    let mut with = |peer: u8, chunk: u32| {
        let conn = bench.connected(host(peer), peer);
        bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 4 << 14, chunk_bytes: 1 << 14 });
        bench.says(conn, &Frame::Have { channel: 0, first: chunk, count: 1 });
        if chunk == 0 {
            // With so many who are to get something from here, this peer does not idle.
            bench.says(conn, &Frame::Request { channel: 0, chunk: 2 });
        }
        (conn, bench.heard(conn))
    };
    let lacking = with(2, 2).0;
    let others: Vec<_> = (3..7).map(|peer| with(peer, 0)).collect();
    let asked = others.iter().find(|(_, heard)| asks(heard).0 > 0).expect("one of them is asked").0;
    bench.woken.clear();
    bench.sends(asked, 0, 1 << 14);
    let Some(StoreJob::WriteChunk { buffer, .. }) = bench.jobs.pop() else { panic!("{:?}", bench.jobs) };
    bench.tell(Input::Stored(StoreReply::ChunkStored { content: CONTENT, chunk: 0, buffer }));
    assert!(
        bench.peer.held(&CONTENT).is_some_and(|(_, bits)| bits.get(0)) && !bench.woken.contains(&lacking)
    );
    bench.wait(1_000);
    assert!(bench.woken.contains(&lacking));
    let is_told = |frame: &Frame| matches!(frame, Frame::Have { first: 0, count: 1, .. });
    let told = bench.heard(lacking);
    assert!(told.iter().any(is_told), "{told:?}");
}

#[test]
fn a_size_that_was_a_lie_is_found_out_and_others_are_asked() {
    let mut bench = wanting_100_bytes();
    let (liar, honest) = (bench.holder(2, 100), bench.holder(3, 5_000));
    assert_eq!((asks(&bench.heard(liar)), asks(&bench.heard(honest))), ((1, 0), (0, 0)));
    bench.sends(liar, 0, 100);
    let Some(StoreJob::StoreSingleChunk { buffer, .. }) = bench.jobs.pop() else {
        panic!("{:?}", bench.jobs)
    };
    bench.tell(Input::Stored(StoreReply::ChunkBad { content: CONTENT, chunk: 0, buffer }));
    assert!(bench.heard(liar).iter().any(|frame| matches!(frame, Frame::Bad { chunk: 0, .. })));
    // What the honest one tells is not what was looked for: its manifest shows what is right.
    assert_eq!(asks(&bench.heard(honest)), (0, 1));
    assert_eq!(bench.count(|event| matches!(event, Event::Started { .. })), 0);
}

#[test]
fn one_chunk_is_asked_elsewhere_when_it_is_late_and_counts_when_it_comes_after_all() {
    let mut bench = wanting_100_bytes();
    let (late, other) = (bench.holder(2, 100), bench.holder(3, 100));
    assert_eq!(asks(&bench.heard(late)), (1, 0));
    for _ in 0..6 {
        bench.wait(1_000);
    }
    assert!(bench.heard(late).iter().any(|frame| matches!(frame, Frame::Cancel { chunk: 0, .. })));
    assert_eq!(asks(&bench.heard(other)), (1, 0));
    // It crossed the cancel: passed over, and its sender is not to blame.
    bench.sends(late, 0, 100);
    assert!(
        !bench.is_closing(late)
            && bench.jobs.iter().all(|job| !matches!(job, StoreJob::StoreSingleChunk { .. }))
    );
    bench.sends(other, 0, 100);
    assert!(bench.jobs.iter().any(|job| matches!(job, StoreJob::StoreSingleChunk { .. })));
}

#[test]
fn one_chunk_of_another_length_than_was_told_closes_the_connection() {
    let mut bench = wanting_100_bytes();
    let conn = bench.holder(2, 100);
    bench.heard(conn);
    bench.sends(conn, 0, 99);
    assert!(bench.is_closing(conn));
    let next = bench.holder(3, 100);
    assert_eq!(asks(&bench.heard(next)), (1, 0));
}

#[test]
fn a_revoke_is_answered_when_it_is_in_time_and_by_the_chunk_when_it_is_not() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "x");
    let conn = bench.connected(host(2), 2);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    for chunk in 0..3 {
        bench.says(conn, &Frame::Request { channel: 0, chunk });
    }
    bench.heard(conn);
    let begun = |bench: &mut Bench| match bench.peer.next_segment(bench.now, conn) {
        Segment::Span { len, .. } => len,
        segment => panic!("{segment:?}"),
    };
    let len = begun(&mut bench);
    for chunk in [0, 2, 2, 6] {
        bench.says(conn, &Frame::Revoke { channel: 0, chunk });
    }
    assert_eq!(begun(&mut bench), len);
    bench.peer.sent(bench.now, conn, len);
    bench.drain();
    let rejects =
        |frames: Vec<Frame>| frames.into_iter().filter(|frame| matches!(frame, Frame::Reject { .. }));
    let told: Vec<Frame> = rejects(bench.heard(conn)).collect();
    assert_eq!(told, [Frame::Reject { channel: 0, chunk: 2, reason: RefuseReason::Revoked }]);
    // Chunk 1 is next, and then nothing is left.
    let len = begun(&mut bench);
    bench.peer.sent(bench.now, conn, len);
    bench.drain();
    assert!(bench.heard(conn).is_empty());
    assert_eq!(bench.count(|event| matches!(event, Event::ChunkSent { .. })), 2);
}

#[test]
fn an_answer_to_no_revoke_changes_nothing() {
    let mut bench = wanting_100_bytes();
    let (first, other) = (bench.holder(2, 100), bench.holder(3, 100));
    assert_eq!(asks(&bench.heard(first)), (1, 0));
    bench.says(first, &Frame::Reject { channel: 0, chunk: 0, reason: RefuseReason::Revoked });
    assert_eq!(asks(&bench.heard(other)), (0, 0));
    bench.sends(first, 0, 100);
    assert!(bench.jobs.iter().any(|job| matches!(job, StoreJob::StoreSingleChunk { .. })));
}

/// A datagram that is ours from its beginning, and no more than that.
fn junk(bytes: usize) -> Vec<u8> {
    let mut junk = b"{\"chunkcast\":1,\"query\":{\"peer\":\"".to_vec();
    junk.resize(bytes, b'x');
    junk
}

/// Junk of every kind from so many addresses.
fn flood(bench: &mut Bench, sources: u32) {
    for number in 0..sources {
        let from = SocketAddr::from((u32::to_be_bytes(0x0a4d_0000 + number), 7117));
        for bytes in [&b"x"[..], &[b'{'; 1_200], &junk(1_200), &junk(600)] {
            // Not by way of `tell`, which looks whether everything is as it must be each time.
            bench.peer.handle(bench.now, Input::Datagram { iface: IfaceId(0), from, bytes });
        }
    }
    bench.drain();
}

#[test]
fn junk_from_many_sources_keeps_out_neither_answers_nor_known_peers() {
    let mut bench = Bench::new();
    // It announces itself at its interval: a single datagram may be an invention.
    bench.hear(host(2), &announcement(2, 1, Vec::new()));
    bench.wait(60_500);
    bench.hear(host(2), &announcement(2, 1, Vec::new()));
    bench.get(Wanted::Name("talk.mkv".into()));
    let asked = bench.said.iter().rev().find_map(|bytes| match datagram::decode(bytes) {
        Ok(Datagram::Query(query)) => Some(query.nonce),
        _ => None,
    });
    flood(&mut bench, 10_000);
    // Peers that were not heard before answer, each from a host of its own.
    for peer in 3..100 {
        let id = ContentId([peer; 32]);
        let said = Announcement {
            peer: PeerId([peer; 16]),
            user: "x".into(),
            port: 7117,
            interval_ms: 60_000,
            known_peers: 9,
            generation: 1,
            catalogue: 1,
            entries: vec![entry(id, "talk.mkv", 7)],
            answers: asked,
        };
        bench.hear(host(peer), &datagram::encode_announcement(&said).0);
        assert_eq!(bench.address_of(peer), Some(host(peer)));
        flood(&mut bench, 100);
    }
    // A peer that is known tells of something new.
    bench.hear(host(2), &announcement(2, 2, vec![entry(CONTENT, "new.mkv", 7)]));
    let contents = bench.peer.status(bench.now).contents;
    assert!(contents.iter().any(|content| content.name == "new.mkv"), "{contents:?}");
}

#[test]
fn junk_of_some_hundred_hosts_keeps_no_stranger_out() {
    let mut bench = Bench::new();
    for second in 0..20 {
        // The same hosts again and again, within each second.
        for _ in 0..20 {
            flood(&mut bench, 256);
        }
        let peer = 100 + second;
        bench.hear(host(peer), &announcement(peer, 1, Vec::new()));
        assert_eq!(bench.address_of(peer), Some(host(peer)), "in second {second}");
        bench.wait(1_000);
    }
}
