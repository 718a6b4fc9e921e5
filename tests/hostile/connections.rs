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
    for _ in 0..revokes_at_once() {
        assert!(revokes(&mut bench, conn));
    }
    assert_eq!(counted(&bench, "requests over the allowance"), 0);
    assert!(!bench.is_closing(conn));
}

fn revokes_at_once() -> u32 {
    Limits::default().revokes_at_once_max
}

/// Requests a chunk and revokes it; whether it was given back.
fn revokes(bench: &mut Bench, conn: ConnId) -> bool {
    bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
    bench.says(conn, &Frame::Revoke { channel: 0, chunk: 0 });
    let given_back = Frame::Reject { channel: 0, chunk: 0, reason: RefuseReason::Revoked };
    bench.heard(conn).contains(&given_back)
}

#[test]
fn requests_that_are_revoked_again_and_again_use_up_the_allowance() {
    let limits = Limits::default();
    let mut bench = Bench::new();
    let conn = served(&mut bench);
    let given_back = (0..1_000).filter(|_| revokes(&mut bench, conn)).count();
    // Those that cost nothing, and the allowance of requests; the others are rejected.
    assert_eq!(given_back, (limits.revokes_at_once_max + limits.requests_at_once_max) as usize);
    assert_eq!(counted(&bench, "requests over the allowance"), 1_000 - 512);
    // In the long run the revoked requests of a swarm cost nothing.
    for _ in 0..20 {
        bench.wait(1_000);
        assert!((0..limits.revokes_per_s).all(|_| revokes(&mut bench, conn)));
    }
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

/// A connection of this address that has requested so many chunks, if it is let in.
fn requests(bench: &mut Bench, ip: [u8; 4], peer: u16, chunks: u32) -> Option<ConnId> {
    let conn = greets(bench, ip, peer)?;
    bench.says_unchecked(conn, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    for chunk in 0..chunks {
        bench.says_unchecked(conn, &Frame::Request { channel: 0, chunk: chunk % 7 });
    }
    Some(conn)
}

/// The other side takes up to so many of the bytes that are to be sent next; returns how many.
fn takes(bench: &mut Bench, conn: ConnId, most: u64) -> u64 {
    let bytes = match bench.peer.next_segment(bench.now, conn) {
        Segment::Bytes { bytes, .. } => most.min(bytes.len() as u64),
        Segment::Span { len, .. } => most.min(len),
        _ => 0,
    };
    if bytes > 0 {
        bench.peer.sent(bench.now, conn, bytes);
        bench.carry_out();
    }
    bytes
}

#[test]
fn where_all_are_of_use_newcomers_are_refused_until_one_has_got_nothing_for_a_minute() {
    // One is served at a time, however slowly.
    let (upload_slots, upload_slot_stall) = (1, Duration::from_secs(600));
    let limits = Limits { connections_max: 16, upload_slots, upload_slot_stall, ..Limits::default() };
    let mut bench = Bench::with_limits(limits);
    bench.offers(CONTENT, "x");
    let mut conns = Vec::new();
    for number in 0..16 {
        let conn = greets(&mut bench, [10, 0, 9, number], u16::from(number)).expect("there is room");
        let open = Frame::Open { channel: 0, content: CONTENT, size: 100_000, chunk_bytes: 1 << 20 };
        bench.says(conn, &open);
        bench.says(conn, &Frame::Request { channel: 0, chunk: 0 });
        bench.heard(conn);
        conns.push(conn);
        bench.wait(100);
    }
    for _ in 0..5 {
        assert_eq!(greets(&mut bench, [10, 0, 8, 1], 100), None);
        bench.wait(11_000);
        conns.iter().for_each(|conn| bench.says(*conn, &Frame::Ping));
        conns.iter().for_each(|conn| drop(bench.heard(*conn)));
        assert_eq!(takes(&mut bench, conns[0], 17_000), 17_000);
    }
    assert_eq!(greets(&mut bench, [10, 0, 8, 1], 100), None);
    bench.wait(60_200 - 56_600);
    assert!(greets(&mut bench, [10, 0, 8, 1], 100).is_some());
    let gone: Vec<usize> = (0..16).filter(|at| !stands(&bench, conns[*at])).collect();
    assert_eq!(gone, [1], "of those that wait the first one goes, and not the one that is served");
}

#[test]
fn a_crowd_that_requests_and_takes_next_to_nothing_gives_way_to_addresses_that_have_no_connection() {
    let mut bench = Bench::with_limits(Limits { connections_max: 400, ..Limits::default() });
    bench.offers(CONTENT, "x");
    let press = |bench: &mut Bench, first_peer: u16| {
        let mut conns = Vec::new();
        for number in 0..9 * 62 {
            let ip = [10, 0, 7, u8::try_from(number / 62).expect("nine")];
            conns.extend(requests(bench, ip, first_peer + number, 64));
            settle(bench);
        }
        conns
    };
    let mut crowd = press(&mut bench, 0);
    // Beside them others were let in that have one connection each, and there are no places left.
    let mut honest: Vec<ConnId> = Vec::new();
    for round in 0..7_u8 {
        for number in 0..10 {
            let at = round * 10 + number;
            let conn = requests(&mut bench, [10, 0, 8, at], 10_000 + u16::from(at), 2);
            honest.push(conn.expect("an address without a connection is let in"));
            settle(&mut bench);
        }
        (0..50).for_each(|_| bench.wait(200));
        settle(&mut bench);
        crowd.retain(|conn| stands(&bench, *conn));
        for conn in &crowd {
            bench.says_unchecked(*conn, &Frame::Ping);
            takes(&mut bench, *conn, 50);
        }
        // The honest ones take what is theirs when they have their turn.
        for conn in &honest {
            bench.says_unchecked(*conn, &Frame::Ping);
            while takes(&mut bench, *conn, u64::MAX) > 0 {}
            bench.says_unchecked(*conn, &Frame::Request { channel: 0, chunk: 0 });
        }
        bench.peer.check_invariants();
    }
    let gone: Vec<usize> = (0..honest.len()).filter(|at| !stands(&bench, honest[*at])).collect();
    assert!(gone.is_empty(), "the crowd outlasted those that take chunks: {gone:?}");
}

#[test]
fn an_upload_of_which_next_to_nothing_is_taken_ends_and_a_slow_one_goes_on() {
    let mut bench = Bench::new();
    bench.offers(CONTENT, "x");
    let slow = requests(&mut bench, [10, 0, 9, 1], 1, 7).expect("there is room");
    let trickling = requests(&mut bench, [10, 0, 9, 2], 2, 7).expect("there is room");
    let unread = requests(&mut bench, [10, 0, 9, 3], 3, 7).expect("there is room");
    bench.heard(slow);
    bench.heard(trickling);
    for _ in 0..6 {
        bench.wait(10_000);
        for (conn, bytes) in [(slow, 16 << 10), (trickling, 1_000), (unread, 1)] {
            bench.says(conn, &Frame::Ping);
            takes(&mut bench, conn, bytes);
        }
        settle(&mut bench);
    }
    assert!(stands(&bench, slow));
    assert!(!stands(&bench, trickling), "an upload is kept for who takes 100 bytes a second of it");
    assert!(!stands(&bench, unread), "an upload is kept for who does not even read what is said before it");
}

#[test]
fn a_host_with_a_connection_opens_a_second_one_beside_an_idle_crowd() {
    let mut bench = Bench::with_limits(Limits { connections_max: 400, ..Limits::default() });
    let first = greets(&mut bench, [10, 0, 8, 1], 1).expect("there is room");
    crowd(&mut bench, 100);
    bench.wait(10);
    // Nobody gives way in the first second, in which it may still ask for something.
    assert_eq!(greets(&mut bench, [10, 0, 8, 1], 2), None);
    bench.wait(1_000);
    bench.offers(CONTENT, "x");
    bench.says(first, &Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 });
    bench.says(first, &Frame::Request { channel: 0, chunk: 0 });
    for number in 2..9 {
        greets(&mut bench, [10, 0, 8, 1], number).expect("an address with few connections is let in");
        settle(&mut bench);
    }
    // Only with many it takes its own places; those are in their first second.
    assert_eq!(greets(&mut bench, [10, 0, 8, 1], 9), None);
    bench.wait(1_000);
    assert!(greets(&mut bench, [10, 0, 8, 1], 10).is_some() && stands(&bench, first));
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
    assert_eq!(greets(&mut bench, [10, 0, 8, 1], 1), None, "each has a second to ask again");
    bench.wait(1_000);
    let peer = greets(&mut bench, [10, 0, 8, 1], 1).expect("the first reader gives way");
    settle(&mut bench);
    let standing: Vec<bool> = readers.iter().map(|conn| stands(&bench, *conn)).collect();
    assert!(stands(&bench, peer) && !standing[0] && standing[1..].iter().all(|stands| *stands));
}

#[test]
fn readers_that_take_next_to_nothing_of_a_file_give_way_and_lose_their_turn() {
    let mut bench = Bench::serving_http(Limits { connections_max: 8, ..Limits::default() });
    bench.offers(CONTENT, "x");
    let mut readers = Vec::new();
    for number in 0..8 {
        let from = SocketAddr::from(([10, 0, 9, number], 40_000));
        let conn = bench.peer.accepted(bench.now, from, 7117).expect("there is room");
        bench.drain();
        let request = format!("GET /{CONTENT} HTTP/1.1\r\nHost: 10.0.0.1:7117\r\n\r\n");
        assert_eq!(bench.peer.received(bench.now, conn, request.as_bytes()), request.len());
        bench.drain();
        readers.push(conn);
    }
    assert_eq!(greets(&mut bench, [10, 0, 8, 1], 1), None);
    // The last one takes what a slow link carries, the others a byte now and then.
    for _ in 0..4 {
        (0..75).for_each(|_| bench.wait(200));
        for (number, conn) in readers.iter().enumerate() {
            let most = if number == 7 { 16 << 10 } else { 10 };
            takes(&mut bench, *conn, 200);
            takes(&mut bench, *conn, most);
        }
        settle(&mut bench);
    }
    let peer = greets(&mut bench, [10, 0, 8, 1], 1).expect("a reader that takes nothing gives way");
    settle(&mut bench);
    (0..5).for_each(|_| bench.wait(200));
    assert!(stands(&bench, peer) && takes(&mut bench, readers[7], 16 << 10) > 0);
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

#[test]
fn the_cuts_of_contents_that_are_refused_meanwhile_are_no_requests() {
    let mut bench = Bench::new();
    let conn = bench.connected(host(2), 2);
    names(&mut bench, conn, 0..2_000);
    // The refusals are on their way, and the other side learns the cuts.
    for channel in 0..2_000 {
        let cut = Frame::Open { channel, content: numbered(channel), size: 100, chunk_bytes: 16 << 10 };
        bench.says_unchecked(conn, &cut);
    }
    assert!(!bench.is_closing(conn));
    // Each crosses a refusal once.
    for channel in 0..2_000 {
        let cut = Frame::Open { channel, content: numbered(channel), size: 100, chunk_bytes: 16 << 10 };
        bench.says_unchecked(conn, &cut);
    }
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
    // One chunk is of use for a minute: then the one whose last chunk is oldest gives way.
    for _ in 0..6 {
        bench.wait(10_000);
        for conn in [reader, other, late] {
            bench.says_unchecked(conn, &Frame::Ping);
            bench.heard(conn);
        }
        takes_a_chunk(&mut bench, late);
    }
    names(&mut bench, other, 110..120);
    assert!(!stands(&bench, reader) && [other, late].iter().all(|conn| stands(&bench, *conn)));
}
