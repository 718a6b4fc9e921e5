//! What others say of who they are: invented peers, peers that only ask, and the id of somebody else.

use chunkcast::core::BrokenWhy;
use chunkcast::wire::message::Datagram;

use super::*;

/// Datagrams that are sent before a tenth of a second passes, so that no rate is exceeded.
const AT_ONCE: u32 = 80;

fn id(number: u32) -> PeerId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[15] = 1;
    PeerId(bytes)
}

/// An address of another network than [`host`] gives.
fn invented_host(number: u32) -> SocketAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    SocketAddr::from(([172, 16 + high, middle, low], 7117))
}

/// An announcement of a peer that offers nothing.
fn presence(peer: PeerId, answers: Option<u64>) -> Vec<u8> {
    let announcement = Announcement {
        peer,
        user: "x".into(),
        port: 7117,
        interval_ms: 60_000,
        known_peers: 9,
        generation: 1,
        catalogue: 0,
        entries: Vec::new(),
        answers,
    };
    datagram::encode_announcement(&announcement).0
}

fn question(peer: PeerId, wanted: Wanted) -> Vec<u8> {
    let query = Query { peer, user: "x".into(), port: 7117, nonce: 1, wanted };
    datagram::encode_query(&query).expect("it fits")
}

impl Bench {
    fn knows(&self, peer: PeerId) -> bool {
        self.peer.status(self.now).peers.iter().any(|known| known.peer.id == Some(peer))
    }

    fn known(&self) -> usize {
        self.peer.status(self.now).peers.len()
    }

    /// So many peers that nobody has heard of announce themselves, one or more at an address.
    fn flood(&mut self, first: u32, count: u32, at: impl Fn(u32) -> SocketAddr) {
        for number in first..first + count {
            self.hear_one_of_many(number, at(number), &presence(id(number), None));
        }
        self.drain();
    }

    /// Hears a datagram without checking everything, which takes long where thousands are known.
    fn hear_one_of_many(&mut self, number: u32, from: SocketAddr, bytes: &[u8]) {
        if number.is_multiple_of(AT_ONCE) {
            self.wait(100);
        }
        self.hear_at_once(from, bytes);
    }

    /// The same without a wait.
    fn hear_at_once(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.peer.handle(self.now, Input::Datagram { iface: IfaceId(0), from, bytes });
        while self.peer.poll().is_some() {}
    }

    /// A connection to `to` stands, and who is there says hello.
    fn dialled(&mut self, to: SocketAddr, peer: PeerId) -> ConnId {
        let at = self.dials.iter().position(|(_, dialled)| *dialled == to).expect("it is dialled");
        let conn = self.dials.remove(at).0;
        self.tell(Input::Connected { conn });
        self.greets(conn, peer, 7117);
        conn
    }

    /// A connection from `from` came in, and who is there says hello.
    fn comes(&mut self, from: SocketAddr, peer: PeerId, port: u16) -> ConnId {
        let from = SocketAddr::new(from.ip(), 40_000);
        let conn = self.peer.accepted(self.now, from, 7117).expect("there is room");
        self.drain();
        self.greets(conn, peer, port);
        conn
    }

    fn greets(&mut self, conn: ConnId, peer: PeerId, port: u16) {
        let hello = Hello { v: 1, peer, user: "x".into(), port, agent: "x".into() };
        self.says(conn, &Frame::Hello(hello));
    }

    fn leaves(&mut self, conn: ConnId) {
        self.says(conn, &Frame::Bye { reason: "leaving".into() });
    }

    fn breaks(&mut self, conn: ConnId) {
        self.tell(Input::Broken { conn, why: BrokenWhy::Reset });
    }

    /// The number of the last question of the peer under test.
    fn nonce(&self) -> u64 {
        match self.said.last().map(|said| datagram::decode(said)) {
            Some(Ok(Datagram::Query(query))) => query.nonce,
            other => panic!("{other:?}"),
        }
    }

    /// Whether a peer is known to hold [`CONTENT`].
    fn lists(&self, peer: PeerId) -> bool {
        let contents = self.peer.status(self.now).contents;
        contents.iter().any(|content| content.holders.iter().any(|(holder, _)| holder.id == Some(peer)))
    }
}

#[test]
fn datagrams_in_the_name_of_a_host_do_not_lock_it_out() {
    for asks in [true, false] {
        let mut bench = Bench::with_fixed(vec![host(3)]);
        for number in 0..64 {
            let datagram = if asks { question(id(number), Wanted::All) } else { presence(id(number), None) };
            bench.hear(host(2), &datagram);
            bench.hear(host(3), &datagram);
        }
        let conn = bench.comes(host(2), id(1_000), 7117);
        assert!(!bench.is_closing(conn), "asks: {asks}");
        // Nor is who was named by its address.
        bench.get(Wanted::Name("talk.mkv".into()));
        let conn = bench.dialled(host(3), id(1_001));
        assert!(!bench.is_closing(conn), "asks: {asks}");
        // An announcement of the host's own is heard.
        bench.hear(host(2), &presence(id(1_002), None));
        assert!(bench.knows(id(1_002)), "asks: {asks}");
    }
}

#[test]
fn who_looked_and_is_gone_is_forgotten_and_keeps_nobody_out() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "talk.mkv");
    for number in 0..80 {
        bench.hear(host(2), &question(id(number), Wanted::Glob("*".into())));
        bench.wait(200);
    }
    let answered = bench.datagrams;
    bench.hear(host(2), &question(id(1_000), Wanted::Name("talk.mkv".into())));
    bench.wait(200);
    assert!(bench.datagrams > answered, "who looks is answered");
    let conn = bench.comes(host(2), id(1_000), 7117);
    assert!(!bench.is_closing(conn));
    bench.wait(10_250);
    assert_eq!((bench.known(), bench.knows(id(1_000))), (1, true));
}

#[test]
fn a_question_is_answered_where_there_is_no_place_for_who_asks() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "talk.mkv");
    let open: Vec<ConnId> = (0..64).map(|number| bench.comes(host(2), id(number), 7_117)).collect();
    assert_eq!(open.len(), bench.known());
    bench.wait(2_000);
    let before = bench.datagrams;
    bench.hear(host(2), &question(id(1_000), Wanted::Id(CONTENT)));
    bench.wait(100);
    assert_eq!(bench.datagrams, before + 1);
}

#[test]
fn who_only_asked_stays_while_it_is_connected_or_looks_for_what_is_looked_for_or_held_here() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "folder/held.mkv");
    let name = |name: &str| Wanted::Name(name.into());
    bench.hear(host(2), &question(id(2), name("held.mkv")));
    bench.hear(host(3), &question(id(3), Wanted::Id(CONTENT)));
    bench.hear(host(4), &question(id(4), name("sought.mkv")));
    bench.hear(host(5), &question(id(5), name("later.mkv")));
    bench.hear(host(6), &question(id(6), name("other.mkv")));
    bench.hear(host(7), &question(id(7), Wanted::All));
    bench.hear(host(8), &question(id(8), Wanted::All));
    bench.comes(host(8), id(8), 7117);
    bench.get(name("sought.mkv"));
    bench.wait(5_000);
    // What is shared only now is held here, too.
    bench.offers(ContentId([8; 32]), "later.mkv");
    bench.wait(4_900);
    assert_eq!(bench.known(), 7);
    bench.wait(500);
    let known: Vec<u32> = (2..9).filter(|number| bench.knows(id(*number))).collect();
    assert_eq!(known, [2, 3, 4, 5, 8]);
    // It looks for something else now, which is not here.
    bench.hear(host(2), &question(id(2), name("other.mkv")));
    bench.wait(10_250);
    assert!(!bench.knows(id(2)) && bench.knows(id(3)));
}

#[test]
fn who_only_asked_gives_way_before_who_announced_itself() {
    let mut bench = Bench::new();
    bench.flood(0, 4_000, invented_host);
    for number in 10_000..10_096 {
        bench.hear(invented_host(number), &question(id(number), Wanted::All));
    }
    bench.wait(1_000);
    bench.flood(20_000, 96, invented_host);
    assert_eq!(bench.known(), 4_096);
    let announced = (0..4_000).chain(20_000..20_096).filter(|number| bench.knows(id(*number)));
    assert_eq!(announced.count(), 4_096);
    // And who asks now takes the place of nobody that announced itself.
    bench.wait(1_000);
    bench.hear(host(2), &question(id(30_000), Wanted::All));
    assert_eq!((bench.known(), bench.knows(id(30_000))), (4_096, false));
}

#[test]
fn invented_peers_give_way_and_those_that_are_known_to_be_good_stay() {
    let mut bench = Bench::new();
    // One announces itself twice at its own interval, one answers, and one is connected to for a while.
    bench.hear(host(2), &presence(id(1_000_002), None));
    bench.wait(60_500);
    bench.hear(host(2), &presence(id(1_000_002), None));
    bench.get(Wanted::Name("talk.mkv".into()));
    let nonce = bench.nonce();
    bench.hear(host(3), &presence(id(1_000_003), Some(nonce)));
    let conn = bench.comes(host(4), id(1_000_004), 7117);
    bench.breaks(conn);
    bench.wait(2_000);
    bench.flood(0, 20_000, invented_host);
    assert!(bench.known() <= 4_096 + 1, "{}", bench.known());
    for good in 2..=4 {
        assert!(bench.knows(id(1_000_000 + good)), "{good}");
    }
    // Whoever comes now is known, and can be connected to.
    bench.hear(host(5), &announcement(5, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    assert!(bench.lists(PeerId([5; 16])));
    let conn = bench.comes(host(6), id(1_000_006), 7117);
    assert!(!bench.is_closing(conn) && bench.knows(id(1_000_006)));
    // The drawing hits old ones as well as new ones.
    let of = |range: std::ops::Range<u32>| range.filter(|number| bench.knows(id(*number))).count();
    assert!((500..1_500).contains(&of(16_000..18_000)), "{}", of(16_000..18_000));
}

#[test]
fn announcing_again_too_soon_proves_nothing() {
    let mut bench = Bench::new();
    for number in 0..4_096 {
        for _ in 0..2 {
            bench.hear_one_of_many(number, invented_host(number), &presence(id(number), None));
        }
    }
    // A number that is not that of a question of this peer proves as little.
    bench.wait(2_000);
    bench.hear(invented_host(1), &presence(id(1), Some(7)));
    bench.flood(10_000, 20_000, invented_host);
    let left = (0..4_096).filter(|number| bench.knows(id(*number))).count();
    assert!(left < 400, "{left} of 4,096 kept their places");
}

#[test]
fn who_announces_itself_regularly_goes_last() {
    let mut bench = Bench::new();
    bench.flood(0, 4_096, invented_host);
    bench.wait(60_500);
    bench.flood(0, 4_096, invented_host);
    assert_eq!(bench.known(), 4_096);
    bench.flood(10_000, 8_000, invented_host);
    let left = (0..4_096).filter(|number| bench.knows(id(*number))).count();
    assert_eq!((left, bench.known()), (4_095, 4_096));
}

#[test]
fn a_hello_with_the_id_of_another_takes_nothing_from_it() {
    for sees_it_dialled in [false, true] {
        let mut bench = Bench::new();
        let good = PeerId([2; 16]);
        bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
        let other = vec![entry(ContentId([8; 32]), "bait.mkv", 7)];
        let conn = if sees_it_dialled {
            bench.hear(host(66), &announcement(66, 1, other));
            bench.get_known(Wanted::Id(ContentId([8; 32])));
            bench.dialled(host(66), good)
        } else {
            bench.comes(host(66), good, 7117)
        };
        assert_eq!(bench.address_of(2), Some(host(2)), "dialled: {sees_it_dialled}");
        bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
        bench.says(conn, &Frame::Refuse { content: CONTENT, reason: RefuseReason::Gone });
        bench.says(conn, &Frame::Withdraw { channel: 0, reason: RefuseReason::Gone });
        assert!(bench.lists(good));
        bench.leaves(conn);
        assert!(bench.lists(good) && bench.address_of(2) == Some(host(2)), "dialled: {sees_it_dialled}");
        // It can still be fetched where it is.
        bench.get_known(Wanted::Id(CONTENT));
        let conn = bench.dialled(host(2), good);
        assert!(!bench.is_closing(conn));
    }
}

#[test]
fn who_is_at_another_port_of_the_same_host_is_another() {
    let mut bench = Bench::new();
    let good = PeerId([2; 16]);
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    let conn = bench.comes(host(2), good, 7118);
    assert_eq!(bench.address_of(2), Some(host(2)));
    bench.leaves(conn);
    assert!(bench.lists(good));
    // Nor does it take over a connection, whichever id is the lower.
    for good in [PeerId([0; 16]), PeerId([255; 16])] {
        let mut bench = Bench::new();
        bench.hear(host(2), &announcement(good.0[0], 1, vec![entry(CONTENT, "talk.mkv", 7)]));
        bench.get_known(Wanted::Id(CONTENT));
        let conn = bench.dialled(host(2), good);
        let other = bench.comes(host(2), good, 7118);
        assert!(!bench.is_closing(conn) && bench.address_of(good.0[0]) == Some(host(2)));
        bench.leaves(other);
        assert!(bench.lists(good));
    }
}

#[test]
fn an_impostor_does_not_keep_a_peer_in_the_directory() {
    let mut bench = Bench::new();
    let good = bench.comes(host(2), PeerId([2; 16]), 7117);
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.breaks(good);
    let conn = bench.comes(host(66), PeerId([2; 16]), 7117);
    for _ in 0..19 {
        bench.says(conn, &Frame::Ping);
        bench.heard(conn);
        bench.wait(10_000);
    }
    assert!(!bench.is_closing(conn) && !bench.lists(PeerId([2; 16])));
}

#[test]
fn who_comes_from_another_address_is_served() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "talk.mkv");
    bench.hear(host(2), &announcement(2, 1, Vec::new()));
    let conn = bench.comes(host(66), PeerId([2; 16]), 7117);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    let heard = bench.heard(conn);
    assert!(heard.iter().any(|frame| matches!(frame, Frame::Hello(_))), "{heard:?}");
    assert!(heard.iter().any(|frame| matches!(frame, Frame::Open { content: CONTENT, .. })), "{heard:?}");
    assert!(
        heard.iter().any(|frame| matches!(frame, Frame::Have { .. } | Frame::HaveMap { .. })),
        "{heard:?}"
    );
    bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
    assert!(matches!(bench.peer.next_segment(bench.now, conn), Segment::Bytes { .. } | Segment::Span { .. }));
    // Nor does one keep another out, unless it comes from the same place again.
    let (other, again) =
        (bench.comes(host(67), PeerId([2; 16]), 7117), bench.comes(host(66), PeerId([2; 16]), 7117));
    assert!(!bench.is_closing(conn) && !bench.is_closing(other) && bench.is_closing(again));
}

#[test]
fn connections_of_one_address_with_the_ids_of_others_have_an_end() {
    let mut bench = Bench::new();
    bench.flood(0, 100, invented_host);
    let guests = (0..100).map(|number| bench.comes(host(66), id(number), 7117)).collect::<Vec<_>>();
    let open = guests.into_iter().filter(|conn| !bench.is_closing(*conn)).count();
    assert_eq!(open, 64);
}

#[test]
fn a_peer_that_moved_is_known_where_it_is_once_a_dial_to_the_old_place_failed() {
    let mut bench = Bench::new();
    let moved = PeerId([2; 16]);
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    let old = bench.comes(host(2), moved, 7117);
    bench.breaks(old);
    let conn = bench.comes(host(3), moved, 7117);
    bench.heard(conn);
    assert!(bench.dials.is_empty());
    bench.get_known(Wanted::Id(CONTENT));
    assert_eq!(bench.address_of(2), Some(host(2)));
    let (dial, to) = bench.dials.pop().expect("it is dialled where it was");
    assert_eq!(to, host(2));
    bench.tell(Input::Broken { conn: dial, why: BrokenWhy::Unreachable });
    assert_eq!(bench.address_of(2), Some(host(3)));
    // The connection that stands is the peer's now, and what it offers is asked for there.
    let asked = |heard: &[Frame]| heard.iter().any(|f| matches!(f, Frame::Open { content: CONTENT, .. }));
    let heard = bench.heard(conn);
    assert!(asked(&heard), "{heard:?}");
    bench.leaves(conn);
    assert!(!bench.knows(moved));
}

#[test]
fn an_address_that_was_only_heard_of_is_tried_when_the_peer_comes_from_another() {
    let mut bench = Bench::new();
    let good = PeerId([2; 16]);
    // Somebody announced it first, from a place where nobody is.
    bench.hear(host(66), &announcement(2, 1, Vec::new()));
    let conn = bench.comes(host(2), good, 7117);
    let (dial, to) = bench.dials.pop().expect("where it was heard is tried");
    assert_eq!((to, bench.address_of(2)), (host(66), Some(host(66))));
    bench.tell(Input::Broken { conn: dial, why: BrokenWhy::Refused });
    assert_eq!(bench.address_of(2), Some(host(2)));
    bench.hear(host(2), &announcement(2, 2, vec![entry(CONTENT, "talk.mkv", 7)]));
    assert!(bench.lists(good) && !bench.is_closing(conn));
}

#[test]
fn a_peer_that_says_at_its_known_address_that_it_is_connected_is_known_by_that_connection() {
    let mut bench = Bench::new();
    let twofold = PeerId([2; 16]);
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    let conn = bench.comes(host(3), twofold, 7117);
    bench.get_known(Wanted::Id(CONTENT));
    let second = bench.dialled(host(2), twofold);
    assert!(!bench.is_closing(conn) && !bench.is_closing(second));
    bench.says(second, &Frame::Bye { reason: "a second connection".into() });
    assert_eq!(bench.address_of(2), Some(host(3)));
    assert!(!bench.is_closing(conn) && bench.lists(twofold));
    // A connection that ends otherwise says nothing of the kind.
    let mut bench = Bench::new();
    bench.hear(host(2), &announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]));
    bench.comes(host(66), twofold, 7117);
    bench.get_known(Wanted::Id(CONTENT));
    let good = bench.dialled(host(2), twofold);
    bench.breaks(good);
    assert_eq!(bench.address_of(2), Some(host(2)));
    bench.hear(host(66), &announcement(2, 9, Vec::new()));
    assert_eq!(bench.address_of(2), Some(host(2)));
}

/// An announcement of a peer that offers nothing, and says how often it announces itself.
fn presence_every(peer: PeerId, interval_ms: u64, answers: Option<u64>) -> Vec<u8> {
    let announcement = Announcement {
        peer,
        user: "x".into(),
        port: 7117,
        interval_ms,
        known_peers: 9,
        generation: 1,
        catalogue: 0,
        entries: Vec::new(),
        answers,
    };
    datagram::encode_announcement(&announcement).0
}

#[test]
fn a_longer_interval_is_not_believed_because_of_a_shorter_one() {
    let mut bench = Bench::new();
    for (pause, interval) in [(0, 1_000), (1_000, 1_000), (1_000, 3_600_000)] {
        bench.wait(pause);
        for number in 0..4_096 {
            bench.hear_at_once(invented_host(number), &presence_every(id(number), interval, None));
        }
    }
    assert_eq!(bench.known(), 4_096);
    // Those that announce themselves at the interval that they tell take the places, and keep them.
    for _ in 0..2 {
        bench.wait(60_000);
        bench.flood(10_000, 100, invented_host);
    }
    bench.flood(20_000, 4_000, invented_host);
    let good = (10_000..10_100).filter(|number| bench.knows(id(*number))).count();
    assert_eq!(good, 100);
}

#[test]
fn forged_answers_do_not_displace_who_announces_itself_regularly() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.flood(10_000, 100, invented_host);
        bench.wait(60_000);
    }
    bench.get(Wanted::Name("talk.mkv".into()));
    let nonce = bench.nonce();
    for number in 0..6_000 {
        bench.hear_at_once(invented_host(number), &presence_every(id(number), 3_600_000, Some(nonce)));
    }
    assert_eq!(bench.known(), 4_096);
    let good = (10_000..10_100).filter(|number| bench.knows(id(*number))).count();
    assert_eq!(good, 100);
}

#[test]
fn who_says_hello_first_with_the_id_of_another_does_not_keep_it_out() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "talk.mkv");
    let good = PeerId([2; 16]);
    let squatter = bench.comes(host(66), good, 7117);
    let conn = bench.comes(host(2), good, 7117);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    assert!(!bench.is_closing(conn), "it is served");
    // Whether somebody with this id is where the first one says that it listens, a dial shows.
    let (dial, to) = bench.dials.pop().expect("the known address is tried");
    assert_eq!((to, bench.address_of(2)), (host(66), Some(host(66))));
    bench.tell(Input::Broken { conn: dial, why: BrokenWhy::Refused });
    let proof = bench.dialled(host(2), good);
    assert_eq!(bench.address_of(2), Some(host(2)));
    assert!(bench.is_closing(squatter));
    // The peer closes one of the two connections, and is known where it is all the same.
    bench.says(proof, &Frame::Bye { reason: "a second connection".into() });
    assert!(!bench.is_closing(conn));
    assert_eq!(bench.address_of(2), Some(host(2)));
    bench.hear(host(2), &announcement(2, 1, vec![entry(ContentId([8; 32]), "other.mkv", 7)]));
    assert!(bench.peer.status(bench.now).contents.iter().any(|content| content.id == ContentId([8; 32])));
}

#[test]
fn an_impostor_that_was_heard_first_does_not_hide_what_a_peer_offers() {
    let good = PeerId([2; 16]);
    let offer = announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]);
    let squatted = || {
        let mut bench = Bench::new();
        bench.hear(host(66), &presence(good, None));
        bench.hear(host(2), &offer);
        assert!(bench.dials.is_empty(), "nobody looks for that");
        bench.get(Wanted::Name("talk.mkv".into()));
        bench.hear(host(2), &offer);
        assert!(!bench.lists(good), "either may be the peer");
        bench
    };
    // The peer answers before somebody else does where it was heard first, or after, or nobody is there.
    for (is_first, is_there) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut bench = squatted();
        if is_first {
            bench.dialled(host(2), good);
            assert_eq!(bench.address_of(2), Some(host(66)));
        }
        if is_there {
            bench.dialled(host(66), id(77));
        } else {
            let (dial, _) = bench.dials.remove(0);
            bench.tell(Input::Broken { conn: dial, why: BrokenWhy::Refused });
        }
        if !is_first {
            bench.dialled(host(2), good);
        }
        assert_eq!(bench.address_of(2), Some(host(2)), "first: {is_first}, there: {is_there}");
        bench.hear(host(66), &presence(good, None));
        bench.hear(host(2), &offer);
        assert!(bench.lists(good), "first: {is_first}, there: {is_there}");
    }
    // Where it is known and answers, it stays, whoever offers what is looked for in its name.
    let mut bench = squatted();
    bench.dialled(host(2), good);
    bench.dialled(host(66), good);
    for last in 67..90 {
        bench.hear(host(last), &offer);
        bench.wait(40);
    }
    assert!(bench.dials.is_empty() && bench.address_of(2) == Some(host(66)), "{:?}", bench.dials);
}

#[test]
fn an_impostor_that_stays_connected_does_not_hide_what_a_peer_offers() {
    let mut bench = Bench::new();
    let good = PeerId([2; 16]);
    let offer = announcement(2, 1, vec![entry(CONTENT, "talk.mkv", 7)]);
    let squatter = bench.comes(host(66), good, 7117);
    bench.get(Wanted::Name("talk.mkv".into()));
    bench.hear(host(2), &offer);
    bench.dialled(host(66), id(77));
    assert!(!bench.is_closing(squatter), "nobody else is this peer yet");
    bench.hear(host(2), &offer);
    bench.dialled(host(2), good);
    assert!(bench.is_closing(squatter));
    bench.hear(host(2), &offer);
    assert!(bench.lists(good));
}

#[test]
fn a_question_is_answered_though_another_has_the_id_of_who_asks() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "talk.mkv");
    bench.wait(2_000);
    bench.comes(host(66), PeerId([2; 16]), 7117);
    let before = bench.datagrams;
    bench.hear(host(2), &question(PeerId([2; 16]), Wanted::Id(CONTENT)));
    bench.wait(100);
    assert_eq!((bench.datagrams, bench.address_of(2)), (before + 1, Some(host(66))));
}

#[test]
fn who_answers_where_it_is_known_to_be_stays_the_peer_whoever_says_its_id() {
    for answers_with in [2, 77] {
        let mut bench = Bench::new();
        let good = PeerId([2; 16]);
        let first = bench.comes(host(2), good, 7117);
        bench.heard(first);
        let guest = bench.comes(host(66), good, 7117);
        assert!(!bench.is_closing(guest));
        let answered = bench.dialled(host(2), PeerId([answers_with; 16]));
        bench.heard(answered);
        assert_eq!(bench.address_of(2), Some(host(2)));
        // Once that is known, nobody can make it dial again and again.
        for last in 67..90 {
            bench.comes(host(last), good, 7117);
            bench.wait(100);
        }
        let dials = bench.dials.iter().filter(|(_, to)| *to == host(2)).count();
        assert_eq!(dials, 0, "answers with {answers_with}");
    }
}

#[test]
fn who_dials_again_hears_that_a_peer_is_there() {
    for first_hears in [2, 200] {
        let mut bench = Bench::new();
        let first = bench.comes(host(2), PeerId([first_hears; 16]), 7117);
        bench.heard(first);
        let second = bench.comes(host(2), PeerId([first_hears; 16]), 7117);
        let heard = bench.heard(second);
        assert!(
            matches!(&heard[..], [Frame::Hello(_), Frame::Bye { reason }] if reason == "a second connection"),
            "{heard:?}"
        );
    }
    // So whoever dials a peer that has a connection already counts its endpoint as one where a peer is.
    let mut bench = Bench::with_fixed(vec![host(3)]);
    bench.comes(host(2), PeerId([2; 16]), 7117);
    bench.get(Wanted::Name("talk.mkv".into()));
    for _ in 0..4 {
        for (conn, _) in std::mem::take(&mut bench.dials) {
            bench.tell(Input::Connected { conn });
            bench.greets(conn, PeerId([2; 16]), 7117);
            bench.says_unchecked(conn, &Frame::Bye { reason: "a second connection".into() });
        }
        bench.wait(1_000);
    }
    assert!(!bench.events.iter().any(|event| matches!(event, Event::NotAPeer { .. })), "{:?}", bench.events);
}

#[test]
fn junk_in_the_name_of_a_host_does_not_silence_it() {
    let mut bench = Bench::new();
    let mut junk = b"{\"chunkcast\":1,\"query\":{\"peer\":\"".to_vec();
    junk.resize(600, b'x');
    bench.wait(5_000);
    for _ in 0..8 {
        bench.hear(host(2), &junk);
    }
    bench.hear(host(2), &presence(id(7), None));
    assert!(bench.knows(id(7)));
}

#[test]
fn the_addresses_of_invented_peers_have_no_allowance_of_their_own() {
    let limits = Limits { datagrams_per_s: 40, ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    let regular = id(1_000_000);
    bench.hear(host(2), &presence(regular, None));
    bench.wait(60_000);
    bench.hear(host(2), &presence(regular, None));
    // An invented peer at each of many addresses; they are heard again and again.
    for number in 0..100 {
        bench.wait(100);
        bench.hear_at_once(invented_host(number), &presence(id(number), None));
    }
    bench.wait(10_000);
    for _ in 0..4 {
        for number in 0..100 {
            bench.hear_at_once(invented_host(number), &presence(id(number), None));
        }
    }
    bench.drain();
    let refused = bench.counter("datagrams over rate");
    assert!(refused > 0);
    bench.hear(host(2), &presence(regular, None));
    assert_eq!(bench.counter("datagrams over rate"), refused);
}
