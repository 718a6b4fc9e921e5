//! Transfers that go out stand in the one line of uploads, with native peers and with each other.

use chunkcast::types::PeerId;
use chunkcast::wire::frame;
use chunkcast::wire::message::{Frame, Hello};

use super::*;

const CONTENT: ContentId = ContentId([7; 32]);
/// The content has seven chunks of 16 KiB, the last of them short.
const SIZE: u64 = 100_000;
const CHUNK: u64 = 16 << 10;
/// A turn that takes so long does not take all of the link: another goes beside it.
const SLOW: Duration = Duration::from_millis(45);

/// A peer with so many upload slots that shares [`CONTENT`].
fn sharing(upload_slots: usize) -> Bench {
    let mut bench = Bench::with_limits(0, Limits { upload_slots, ..Limits::default() });
    bench.tell(Input::Stored(StoreReply::Offered { content: CONTENT, name: "x.png".into(), size: SIZE }));
    bench
}

/// The receiver of a transfer, each at a host of its own, has let the file come.
fn transfer(bench: &mut Bench, form: Form, ticket: u32) -> ConnId {
    let to = SocketAddr::from(([10, 0, 1, u8::try_from(ticket).unwrap()], 8080));
    let (name, sender) = ("x.png".to_owned(), "alice".to_owned());
    let send = Command::SendTransfer { ticket, to, form, content: CONTENT, name, sender };
    bench.tell(Input::Command(send));
    let conn = bench.dials.remove(0);
    bench.tell(Input::Connected { conn });
    if form == Form::Short {
        assert_eq!(bench.pull(conn).0, b"100000");
        bench.hears(conn, b"OK");
    }
    conn
}

/// A native peer asks for these chunks.
fn native(bench: &mut Bench, number: u8, chunks: impl IntoIterator<Item = u32>) -> ConnId {
    let conn = bench.accept(7117);
    let peer = PeerId([number; 16]);
    let hello = Hello { v: 1, peer, user: "x".into(), port: 7117, agent: "x".into() };
    let open = Frame::Open { channel: 0, content: CONTENT, size: 0, chunk_bytes: 0 };
    let requests = chunks.into_iter().map(|chunk| Frame::Request { channel: 0, chunk });
    for frame in [Frame::Hello(hello), open].into_iter().chain(requests) {
        let mut bytes = Vec::new();
        frame::encode(&frame, &mut bytes);
        assert_eq!(bench.hears(conn, &bytes), bytes.len());
    }
    conn
}

/// How many bytes of a file the peer would send on a connection now, once it has said what it says before.
fn offered(bench: &mut Bench, conn: ConnId) -> u64 {
    loop {
        let said = match bench.peer.next_segment(bench.now, conn) {
            Segment::Bytes { bytes, .. } => bytes.len() as u64,
            Segment::Span { len, .. } => return len,
            _ => return 0,
        };
        bench.peer.sent(bench.now, conn, said);
        bench.drain();
    }
}

/// The receiver takes so many bytes of a file, or what there is; returns how many.
fn takes(bench: &mut Bench, conn: ConnId, most: u64) -> u64 {
    let bytes = offered(bench, conn).min(most);
    if bytes > 0 {
        bench.peer.sent(bench.now, conn, bytes);
        bench.drain();
    }
    bytes
}

fn uploads(bench: &Bench) -> usize {
    bench.peer.status(bench.now).uploads
}

#[test]
fn beside_native_peers_transfers_have_half_of_the_slots() {
    let mut bench = sharing(4);
    let transfers: Vec<ConnId> = (1..=4).map(|ticket| transfer(&mut bench, Form::Short, ticket)).collect();
    let served =
        |bench: &mut Bench, conns: &[ConnId]| conns.iter().filter(|conn| offered(bench, **conn) > 0).count();
    assert_eq!(served(&mut bench, &transfers), 1);
    bench.wait_ms(20);
    assert_eq!(served(&mut bench, &transfers), 2);
    let natives: Vec<ConnId> = (1..=4).map(|number| native(&mut bench, number, 0..6)).collect();
    for natives_served in 1..=2 {
        bench.wait(SLOW);
        let both = (served(&mut bench, &transfers), served(&mut bench, &natives));
        assert_eq!(both, (2, natives_served));
    }

    // Nobody is ahead of another of its kind by more than two turns, and all get what they want.
    let mut sent: BTreeMap<ConnId, u64> = BTreeMap::new();
    let mut moved = true;
    while std::mem::take(&mut moved) {
        let mut at_once = 0;
        for conn in transfers.iter().chain(&natives) {
            bench.wait_ms(2);
            let bytes = takes(&mut bench, *conn, 10_000);
            at_once += usize::from(bytes > 0 && transfers.contains(conn));
            *sent.entry(*conn).or_default() += bytes;
            moved |= bytes > 0;
        }
        let is_native_waiting = natives.iter().any(|conn| sent[conn] < 6 * CHUNK);
        assert!(at_once <= 2 || !is_native_waiting, "{at_once} transfers had turns beside native peers");
        let of_transfers = || transfers.iter().map(|conn| sent[conn]);
        let ahead = of_transfers().max().unwrap() - of_transfers().min().unwrap();
        assert!(ahead <= 2 * CHUNK + 1_000, "{sent:?}");
    }
    assert!(transfers.iter().all(|conn| sent[conn] == SIZE), "{sent:?}");
    assert!(natives.iter().all(|conn| sent[conn] == 6 * CHUNK), "{sent:?}");
    assert_eq!(uploads(&bench), 0);
}

#[test]
fn a_receiver_that_takes_nothing_holds_nobody_up_for_longer_than_a_slot_may_stand_still() {
    for form in [Form::Short, Form::Named] {
        let mut bench = sharing(1);
        let stuck = transfer(&mut bench, form, 1);
        assert_eq!(offered(&mut bench, stuck), SIZE);
        let native = native(&mut bench, 2, 0..1);
        assert_eq!(offered(&mut bench, native), 0, "{form}: the slot is taken");
        bench.wait(Limits::default().upload_slot_stall);
        assert_eq!(takes(&mut bench, native, CHUNK), CHUNK, "{form}");
        bench.wait(Limits::default().send_stall_max);
        assert_eq!(bench.failure(), TransferFailure::Stalled, "{form}");
        assert_eq!(uploads(&bench), 0, "{form}");
    }
}

#[test]
fn pauses_of_a_form_hold_no_slot() {
    let mut bench = sharing(1);
    let (first, second) = (transfer(&mut bench, Form::Short, 1), transfer(&mut bench, Form::Short, 2));
    assert_eq!((offered(&mut bench, first), offered(&mut bench, second)), (SIZE, 0));
    // The named form says nothing before its turn, for nothing separates its size from the file.
    let named = transfer(&mut bench, Form::Named, 3);
    assert_eq!(bench.peer.next_segment(bench.now, named), Segment::Nothing);
    // The first is slow: the turn it has ends with its chunk.
    assert_eq!(takes(&mut bench, first, 10_000), 10_000);
    bench.wait_ms(10);
    assert_eq!(takes(&mut bench, first, CHUNK - 10_000), CHUNK - 10_000);
    assert_eq!(offered(&mut bench, first), 0, "the turn is over");
    // The second is through but for its last word.
    while takes(&mut bench, second, SIZE) == 0 {
        assert!(takes(&mut bench, named, CHUNK) > 0, "somebody has a turn");
    }
    assert_eq!(bench.peer.next_segment(bench.now, second), Segment::Nothing);
    assert!(offered(&mut bench, first) > 0 || offered(&mut bench, named) > 0, "the wait for OK holds a slot");
}

#[test]
fn a_receiver_that_waits_for_a_turn_is_not_blamed_and_hears_something_now_and_then() {
    let mut bench = sharing(1);
    let slow = transfer(&mut bench, Form::Short, 1);
    let mut waiting =
        [Form::Short, Form::Named].map(|form| (transfer(&mut bench, form, form as u32 + 2), 0, 0));
    for _ in 0..60 * 10 {
        // Its turn lasts as long as its chunk.
        assert_eq!(takes(&mut bench, slow, 20), 20);
        bench.wait_ms(100);
        for (conn, silent_ms, got) in &mut waiting {
            let meanwhile = takes(&mut bench, *conn, SIZE);
            *silent_ms = if meanwhile > 0 { 0 } else { *silent_ms + 100 };
            *got += meanwhile;
            assert!(*silent_ms <= 5_000 && meanwhile <= 4 << 10, "{meanwhile} after {silent_ms} ms");
        }
    }
    assert!(waiting.iter().all(|(_, _, got)| *got == 12 * (4 << 10)), "{waiting:?}");
    bench.tell(Input::Closed { conn: slow });
    let [(first, ..), (second, ..)] = waiting;
    assert_eq!(takes(&mut bench, first, SIZE), SIZE - 12 * (4 << 10));
    assert_eq!(takes(&mut bench, second, SIZE), SIZE - 12 * (4 << 10));
    assert_eq!(uploads(&bench), 0);
}

#[test]
fn a_file_that_goes_while_its_transfer_waits_needs_no_turn() {
    let mut bench = sharing(1);
    let slow = transfer(&mut bench, Form::Short, 1);
    assert_eq!(takes(&mut bench, slow, 20), 20);
    let name = "y.png".to_owned();
    let content = ContentId([8; 32]);
    bench.tell(Input::Stored(StoreReply::Offered { content, name: name.clone(), size: 100 }));
    let to = SocketAddr::from(([10, 0, 1, 2], 8080));
    let (form, sender) = (Form::Named, "alice".to_owned());
    bench.tell(Input::Command(Command::SendTransfer { ticket: 2, to, form, content, name, sender }));
    let conn = bench.dials.remove(0);
    bench.tell(Input::Connected { conn });
    assert_eq!(bench.pull(conn), (vec![], false));
    for _ in 0..50 {
        bench.wait_ms(100);
        assert_eq!(takes(&mut bench, slow, 20), 20);
    }
    let said = [b"100".as_slice(), &[b'*'; 100], b"alice"].concat();
    assert_eq!(bench.pull(conn), (said, false));
    assert_eq!(uploads(&bench), 1);
}

#[test]
fn a_transfer_that_fails_gives_its_turn_back() {
    let source = SpanSource::Content(CONTENT);
    let why = SpanFault::Changed;
    let ends: [fn(&mut Bench, ConnId); 4] = [
        |bench, conn| {
            bench.tell(Input::SpanFailed {
                conn,
                source: SpanSource::Content(CONTENT),
                why: SpanFault::Changed,
            })
        },
        |bench, conn| bench.tell(Input::Closed { conn }),
        |bench, conn| bench.tell(Input::Broken { conn, why: BrokenWhy::Reset }),
        |bench, conn| _ = bench.hears(conn, b"NO"),
    ];
    for (at, end) in ends.into_iter().enumerate() {
        let mut bench = sharing(1);
        let (first, second) = (transfer(&mut bench, Form::Json, 1), transfer(&mut bench, Form::Short, 2));
        bench.pull(first);
        assert_eq!(offered(&mut bench, second), SIZE);
        bench.hears(first, b"OK");
        assert_eq!(takes(&mut bench, second, SIZE), SIZE);
        assert_eq!(takes(&mut bench, first, 10), 10);
        let third = transfer(&mut bench, Form::Short, 3);
        assert_eq!(offered(&mut bench, third), 0);
        end(&mut bench, first);
        if at == 3 {
            // Nobody listens to the receiver while the file goes.
            bench.tell(Input::EndOfStream { conn: first });
        }
        assert_eq!(offered(&mut bench, third), SIZE, "{at}");
        // What waits for a turn is told when the file is gone.
        let waiting = transfer(&mut bench, Form::Short, 4);
        assert_eq!(offered(&mut bench, waiting), 0);
        let name = "x.png".to_owned();
        bench.tell(Input::Stored(StoreReply::Withdrawn { content: CONTENT, name, why }));
        assert_eq!(bench.failure(), TransferFailure::File(why));
        assert!(bench.pull(waiting).1);
        bench.tell(Input::SpanFailed { conn: third, source, why });
        assert_eq!(uploads(&bench), 0);
    }
}

#[test]
fn a_peer_that_leaves_gives_the_turns_of_what_it_cuts_to_others() {
    let mut bench = sharing(1);
    let (cut, finished) = (transfer(&mut bench, Form::Named, 1), transfer(&mut bench, Form::Short, 2));
    assert!(takes(&mut bench, cut, 10) == 10 && offered(&mut bench, finished) == 0);
    bench.tell(Input::Command(Command::Leave));
    assert_eq!(bench.failure(), TransferFailure::Cancelled);
    assert_eq!(takes(&mut bench, finished, SIZE), SIZE);
}
