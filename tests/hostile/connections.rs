//! Connections that cost more than they are worth: crowds that idle, frames without end, channels without end.

use super::*;

/// How often something of this name was counted.
fn counted(bench: &Bench, name: &str) -> u64 {
    let counters = bench.peer.status(bench.now).counters;
    counters.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count)
}

#[test]
fn of_one_connection_a_bounded_number_of_frames_is_handled_at_once() {
    let at_once = Limits::default().frames_at_once_max;
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    let ping = bytes(&Frame::Ping);
    let pings = ping.repeat(1_000);
    let (mut used, mut turns) = (0, 0);
    while used < pings.len() {
        let taken = bench.peer.received(bench.now, conn, &pings[used..]);
        bench.drain();
        // What is left waits for the connection's next turn: more is still expected.
        assert!(taken > 0 && taken <= at_once * ping.len(), "{taken} bytes at once");
        assert_eq!(bench.peer.expects(conn), Expect::Control);
        used += taken;
        turns += 1;
    }
    assert_eq!(turns, 1_000usize.div_ceil(at_once));
    // The last frame counts like the first, however many turns it took.
    assert!(bench.heard(conn).contains(&Frame::Pong));
}

/// A connection on which a file of seven chunks can be requested, and nothing was yet.
fn served(bench: &mut Bench) -> ConnId {
    bench.offers(CONTENT, "x");
    let conn = bench.connected(host(2), 2);
    bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    bench.heard(conn);
    conn
}

#[test]
fn requests_that_are_cancelled_again_and_again_are_rejected_and_then_close_the_connection() {
    let at_once = u64::from(Limits::default().requests_at_once_max);
    let mut bench = Bench::new();
    let conn = served(&mut bench);
    let mut made = 0;
    while made < 10_000 && bench.peer.expects(conn) != Expect::Nothing {
        made += 1;
        bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
        bench.says(conn, &Frame::Cancel { channel: 0, chunk: 0 });
    }
    let over = counted(&bench, "requests over the allowance");
    assert_eq!(made - over, at_once, "requests that were taken");
    assert!(bench.is_closing(conn) && over <= 513, "{over} were rejected before the connection was closed");
}

#[test]
fn requests_over_the_allowance_are_rejected_as_busy_and_time_allows_more() {
    let limits = Limits::default();
    let mut bench = Bench::new();
    let conn = served(&mut bench);
    let rejected = |bench: &mut Bench, requests: u32| {
        for _ in 0..requests {
            bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
            bench.says(conn, &Frame::Cancel { channel: 0, chunk: 0 });
        }
        let mut heard = bench.heard(conn);
        heard.retain(|frame| matches!(frame, Frame::Reject { .. }));
        let busy = |frame: &Frame| matches!(frame, Frame::Reject { reason: RefuseReason::Busy, .. });
        assert!(heard.iter().all(busy), "{heard:?}");
        heard.len()
    };
    assert_eq!(rejected(&mut bench, limits.requests_at_once_max), 0);
    assert_eq!(rejected(&mut bench, 3), 3);
    bench.wait(1_000);
    assert_eq!(rejected(&mut bench, limits.requests_per_s + 3), 3);
    assert!(!bench.is_closing(conn));
}

#[test]
fn delivered_chunks_and_requests_that_the_holder_gave_back_cost_nothing() {
    let mut bench = Bench::new();
    let conn = served(&mut bench);
    for _ in 0..1_000 {
        bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
        bench.heard(conn);
        let Segment::Span { len, .. } = bench.peer.next_segment(bench.now, conn) else {
            panic!("the chunk is sent")
        };
        bench.peer.sent(bench.now, conn, len);
        bench.drain();
    }
    assert_eq!(bench.count(|event| matches!(event, Event::ChunkSent { .. })), 1_000);
    for _ in 0..1_000 {
        bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
        bench.says(conn, &Frame::Recall { channel: 0, chunk: 0 });
        let given_back = Frame::Reject { channel: 0, chunk: 0, reason: RefuseReason::Recalled };
        assert!(bench.heard(conn).contains(&given_back));
    }
    assert_eq!(counted(&bench, "requests over the allowance"), 0);
    assert!(!bench.is_closing(conn));
}

/// A connection from this address that says hello as peer number `peer`, if it is let in.
fn greets(bench: &mut Bench, ip: [u8; 4], peer: u16) -> Option<ConnId> {
    let conn = bench.peer.accepted(bench.now, SocketAddr::from((ip, 40_000)), 7117);
    bench.drain();
    let conn = conn?;
    let mut id = [0xee; 16];
    id[..2].copy_from_slice(&peer.to_be_bytes());
    let hello = Hello { v: 1, peer: PeerId(id), user: "x".into(), port: 7117, agent: "x".into() };
    bench.says(conn, &Frame::Hello(hello));
    Some(conn)
}

/// Closes the connections that the peer wants closed.
fn settle(bench: &mut Bench) {
    let mut woken = std::mem::take(&mut bench.woken);
    woken.sort_unstable();
    woken.dedup();
    for conn in woken {
        if bench.is_closing(conn) {
            bench.tell(Input::Closed { conn });
        }
    }
}

fn stands(bench: &Bench, conn: ConnId) -> bool {
    bench.peer.expects(conn) != Expect::Nothing
}

/// Connections that say hello and nothing more, as many as are let in of 62 from each of nine addresses.
fn crowd(bench: &mut Bench, first_peer: u16) -> Vec<ConnId> {
    let mut conns = Vec::new();
    for number in 0..9 * 62 {
        let ip = [10, 0, 7, u8::try_from(number / 62).expect("nine")];
        conns.extend(greets(bench, ip, first_peer + number));
        settle(bench);
    }
    conns
}

#[test]
fn an_idle_crowd_leaves_places_to_addresses_that_have_none_and_gives_way_to_them() {
    let mut bench = Bench::with_limits(Limits { connections_max: 400, ..Limits::default() });
    let crowd_conns = crowd(&mut bench, 0);
    let of_crowd = bench.peer.status(bench.now).connections;
    assert!((350..=360).contains(&of_crowd), "{of_crowd} of the crowd stand beside an eighth of the places");
    bench.wait(10);
    let mut honest = Vec::new();
    for number in 0..100 {
        let conn = greets(&mut bench, [10, 0, 8, number], 10_000 + u16::from(number));
        honest.push(conn.expect("an address without a connection is let in"));
        settle(&mut bench);
    }
    let all = bench.peer.status(bench.now).connections;
    assert!(all <= 400, "{all} connections stand");
    // The crowd presses on, and takes places of its own addresses alone.
    bench.wait(10);
    crowd(&mut bench, 20_000);
    assert!(honest.iter().all(|conn| stands(&bench, *conn)), "the crowd took places of others");
    let left = crowd_conns.iter().filter(|conn| stands(&bench, **conn)).count();
    assert!(left < of_crowd && bench.peer.status(bench.now).connections <= 400);
}

#[test]
fn who_was_of_no_use_for_longest_gives_way_and_never_who_uploads_or_downloads() {
    let mut bench = Bench::with_limits(Limits { connections_max: 16, ..Limits::default() });
    bench.offers(CONTENT, "x");
    let served: Vec<ConnId> = (0..4)
        .map(|number| {
            let conn = greets(&mut bench, [10, 0, 9, number], u16::from(number)).expect("there is room");
            bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
            bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
            conn
        })
        .collect();
    // A source that was dialled for a download that goes on, though it has sent nothing yet.
    let wanted = ContentId([9; 32]);
    bench.hear(host(20), &announcement(20, 1, vec![entry(wanted, "y", 7)]));
    bench.get_known(Wanted::Id(wanted));
    let source = bench.dials.first().expect("who has it is dialled").0;
    bench.tell(Input::Connected { conn: source });
    bench.says_hello(source, 20);
    bench.says(source, &Frame::Open { channel: 0, content: wanted, size: 100_000, chunk_bytes: 16 << 10 });
    let mut idle = Vec::new();
    for number in 0..200 {
        bench.wait(100);
        idle.push(greets(&mut bench, [10, 0, 8, number], 100 + u16::from(number)).expect("others give way"));
        settle(&mut bench);
    }
    assert!(served.iter().chain([&source]).all(|conn| stands(&bench, *conn)));
    let standing: Vec<bool> = idle.iter().map(|conn| stands(&bench, *conn)).collect();
    // Eleven places are left to those that idle, and the latest have them.
    assert_eq!(standing.iter().filter(|stands| **stands).count(), 11);
    assert!(standing[200 - 11..].iter().all(|stands| *stands), "{standing:?}");
    assert_eq!(counted(&bench, "connections that gave way to others"), 200 - 11);
}

#[test]
fn where_all_are_of_use_newcomers_are_refused() {
    let mut bench = Bench::with_limits(Limits { connections_max: 16, ..Limits::default() });
    bench.offers(CONTENT, "x");
    for number in 0..16 {
        let conn = greets(&mut bench, [10, 0, 9, number], u16::from(number)).expect("there is room");
        bench.says(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
        bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
    }
    bench.wait(1_000);
    assert_eq!(greets(&mut bench, [10, 0, 8, 1], 100), None);
    assert_eq!(bench.peer.status(bench.now).connections, 16);
}

#[test]
fn readers_that_keep_a_connection_open_give_way_like_peers() {
    let mut bench = Bench::serving_http(Limits { connections_max: 8, ..Limits::default() });
    let mut readers = Vec::new();
    for number in 0..8 {
        let from = SocketAddr::from(([10, 0, 9, number], 40_000));
        let conn = bench.peer.accepted(bench.now, from, 7117).expect("there is room");
        bench.drain();
        let request = b"GET /none HTTP/1.1\r\nHost: 10.0.0.1:7117\r\n\r\n";
        assert_eq!(bench.peer.received(bench.now, conn, request), request.len());
        bench.drain();
        readers.push(conn);
        settle(&mut bench);
        bench.wait(10);
    }
    assert!(readers.iter().all(|conn| stands(&bench, *conn)));
    let peer = greets(&mut bench, [10, 0, 8, 1], 1).expect("the first reader gives way");
    settle(&mut bench);
    let standing: Vec<bool> = readers.iter().map(|conn| stands(&bench, *conn)).collect();
    assert!(stands(&bench, peer) && !standing[0] && standing[1..].iter().all(|stands| *stands));
}

/// The id of content number `number`.
fn numbered(number: u32) -> ContentId {
    let mut id = [0xcc; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    ContentId(id)
}

/// Names contents `from` to `to` on channels of the same numbers, and takes what is said to that.
fn names(bench: &mut Bench, conn: ConnId, numbers: std::ops::Range<u32>) -> Vec<Frame> {
    let mut heard = Vec::new();
    for number in numbers {
        bench.says_unchecked(
            conn,
            &Frame::Open { channel: number, content: numbered(number), size: 0, chunk_bytes: 0 },
        );
        if number % 64 == 63 {
            heard.extend(bench.heard(conn));
        }
    }
    heard.extend(bench.heard(conn));
    heard
}

#[test]
fn of_channels_that_are_refused_a_bit_remains() {
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    let heard = names(&mut bench, conn, 0..20_000);
    let refused = heard.iter().filter(|frame| matches!(frame, Frame::Refuse { .. })).count();
    assert_eq!(refused, 20_000);
    let kept = bench.peer.status(bench.now).channels;
    assert!(kept <= Limits::default().channels_refused_kept_max as usize, "{kept} channels are kept");
    // What is still said on them crossed the refusal, and is passed over: also that the cut is known now.
    for channel in [0, 100, 19_999] {
        bench.says(conn, &Frame::Have { channel, first: 0, count: 1 });
        bench.says(conn, &Frame::Request { channel, chunk: 0 });
        bench.says(conn, &Frame::Cancel { channel, chunk: 0 });
        bench.says(conn, &Frame::Withdraw { channel, reason: RefuseReason::Gone });
    }
    let content = numbered(19_999);
    bench.says(conn, &Frame::Open { channel: 19_999, content, size: 100, chunk_bytes: 16 << 10 });
    assert!(bench.heard(conn).is_empty() && !bench.is_closing(conn));
}

#[test]
fn requests_on_a_refused_channel_of_which_a_bit_remains_end_the_connection_like_others() {
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    names(&mut bench, conn, 0..100);
    for _ in 0..512 {
        bench.says(conn, &Frame::Request { channel: 99, chunk: 0 });
    }
    assert!(!bench.is_closing(conn));
    bench.says(conn, &Frame::Request { channel: 99, chunk: 0 });
    assert!(bench.is_closing(conn));
}

/// A bench that offers so many files of one chunk.
fn offering(limits: Limits, files: u32) -> Bench {
    let mut bench = Bench::with_limits(limits);
    for number in 0..files {
        let name = format!("{number}.txt");
        let offered = StoreReply::Offered { content: numbered(number), name, size: 100 };
        bench.peer.handle(bench.now, Input::Stored(offered));
        while bench.peer.poll().is_some() {}
    }
    bench
}

#[test]
fn a_channel_of_what_both_sides_have_is_a_bit_and_can_be_named_anew() {
    let mut bench = offering(Limits { channels_unused_max: 50, ..Limits::default() }, 200);
    let conn = bench.connected(host(2), 2);
    names(&mut bench, conn, 0..200);
    assert_eq!(bench.peer.status(bench.now).channels, 200);
    let size = 100;
    for channel in 0..200 {
        bench.says(conn, &Frame::Open { channel, content: numbered(channel), size, chunk_bytes: 16 << 10 });
        bench.says(conn, &Frame::Have { channel, first: 0, count: 1 });
    }
    assert_eq!(bench.peer.status(bench.now).channels, 0);
    // The other side lost the file, and names it under a new number.
    bench.says(conn, &Frame::Withdraw { channel: 7, reason: RefuseReason::Gone });
    bench.heard(conn);
    bench.says(conn, &Frame::Open { channel: 300, content: numbered(7), size: 0, chunk_bytes: 0 });
    let opened = |frame: &Frame| matches!(frame, Frame::Open { content, .. } if *content == numbered(7));
    assert!(bench.heard(conn).iter().any(opened) && !bench.is_closing(conn));
    bench.says(conn, &Frame::Request { channel: 300, chunk: 0 });
    bench.heard(conn);
    assert!(matches!(bench.peer.next_segment(bench.now, conn), Segment::Span { len: 100, .. }));
}

/// Takes one chunk of content 0 on channel 0.
fn takes_a_chunk(bench: &mut Bench, conn: ConnId) {
    bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
    bench.heard(conn);
    let Segment::Span { len, .. } = bench.peer.next_segment(bench.now, conn) else { panic!("it is sent") };
    bench.peer.sent(bench.now, conn, len);
    bench.drain();
}

#[test]
fn when_too_many_channels_are_open_a_connection_that_fetches_nothing_gives_way() {
    let limits = Limits { channels_open_max: 3_000, ..Limits::default() };
    let mut bench = offering(limits, 1_500);
    let (reader, namer, other, late) = (
        bench.connected(host(2), 2),
        bench.connected(host(3), 3),
        bench.connected(host(4), 4),
        bench.connected(host(5), 5),
    );
    names(&mut bench, reader, 0..1_500);
    takes_a_chunk(&mut bench, reader);
    names(&mut bench, namer, 0..1_400);
    names(&mut bench, other, 0..100);
    assert_eq!(bench.peer.status(bench.now).channels, 3_000);
    names(&mut bench, late, 0..1);
    assert!(!stands(&bench, namer) && [reader, other, late].iter().all(|conn| stands(&bench, *conn)));
    // With nobody who can give way, a content is refused as a busy peer does.
    takes_a_chunk(&mut bench, late);
    names(&mut bench, late, 1..1_400);
    let over = names(&mut bench, other, 100..110);
    let busy = |frame: &&Frame| matches!(frame, Frame::Refuse { reason: RefuseReason::Busy, .. });
    assert_eq!(over.iter().filter(busy).count(), 10, "{over:?}");
    assert_eq!(bench.peer.status(bench.now).channels, 3_000 + 10);
    assert!([reader, other, late].iter().all(|conn| stands(&bench, *conn)));
}
