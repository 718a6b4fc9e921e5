//! The core and transfers, played by hand through its interface: the other side, the disk and the time
//! are the test's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a peer that does not take part has to fail")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chunkcast::core::{
    BrokenWhy, Command, Config, ConnId, Event, Expect, Fault, FaultKind, Input, Limits, Output, Peer,
    Segment, SpanFault, SpanSource, SpoolId, StoreJob, StoreReply, TransferConfig, TransferEvent,
    TransferFailure, TransferJob, TransferReply,
};
use chunkcast::types::{ContentId, Time};
use chunkcast::wire::transfer::Form;

#[path = "common/bench.rs"]
mod common;
#[path = "transfer_core/turns.rs"]
mod turns;

use common::Bench as _;

/// The port of the three forms that are answered, and that of the named one.
const PORT: u16 = 8080;
const NAMED: u16 = 5000;

struct Bench {
    peer: Peer,
    now: Time,
    events: VecDeque<TransferEvent>,
    dials: Vec<ConnId>,
    woken: Vec<ConnId>,
    spools: BTreeMap<SpoolId, Vec<u8>>,
    /// Files under their final names.
    kept: BTreeMap<String, Vec<u8>>,
    disk_is_full: bool,
}

impl common::Bench for Bench {
    fn core(&mut self) -> (&mut Peer, &mut Time) {
        (&mut self.peer, &mut self.now)
    }

    fn drain(&mut self) {
        while let Some(output) = self.peer.poll() {
            match output {
                Output::Event(Event::Transfer(event)) => self.events.push_back(event),
                Output::Dial { conn, .. } => self.dials.push(conn),
                Output::Wake(conn) => self.woken.push(conn),
                Output::Store(StoreJob::Transfer(job)) => {
                    if let Some(reply) = self.store(job) {
                        self.peer.handle(self.now, Input::Stored(StoreReply::Transfer(reply)));
                    }
                }
                _ => {}
            }
        }
        self.peer.check_invariants();
    }

    fn spool(&mut self, spool: SpoolId, bytes: &[u8]) {
        self.spools.get_mut(&spool).unwrap().extend(bytes);
    }
}

impl Bench {
    fn new(quota_bytes: u64) -> Bench {
        Bench::with_limits(quota_bytes, Limits::default())
    }

    fn with_limits(quota_bytes: u64, limits: Limits) -> Bench {
        let ports = BTreeMap::from([(PORT, false), (NAMED, true)]);
        let config = Config {
            tcp_port: 0,
            discovers: false,
            broadcast: false,
            own_addresses: Vec::new(),
            transfers: Some(TransferConfig { ports, quota_bytes }),
            limits,
            ..common::config("bench", [10, 0, 0, 1].into())
        };
        Bench {
            peer: Peer::new(config, 1, Time::ZERO),
            now: Time::ZERO,
            events: VecDeque::new(),
            dials: Vec::new(),
            woken: Vec::new(),
            spools: BTreeMap::new(),
            kept: BTreeMap::new(),
            disk_is_full: false,
        }
    }

    fn store(&mut self, job: TransferJob) -> Option<TransferReply> {
        match job {
            TransferJob::OpenSpool { spool, .. } if self.disk_is_full => {
                let fault = Fault { kind: FaultKind::Full, text: "full".into() };
                Some(TransferReply::SpoolFailed { spool, fault })
            }
            TransferJob::OpenSpool { spool, .. } => {
                assert!(self.spools.insert(spool, Vec::new()).is_none(), "{spool} is in use");
                Some(TransferReply::Opened { spool })
            }
            TransferJob::ReadEnds { spool, head, tail } => {
                let bytes = &self.spools[&spool];
                Some(TransferReply::Ends {
                    spool,
                    head: bytes[..bytes.len().min(head)].to_vec(),
                    tail: bytes[bytes.len().saturating_sub(tail)..].to_vec(),
                    bytes: bytes.len() as u64,
                })
            }
            TransferJob::Keep { spool, name, skip, bytes } => {
                let all = self.spools.remove(&spool).unwrap();
                let at = usize::try_from(skip).unwrap();
                let file = all[at..at + usize::try_from(bytes).unwrap()].to_vec();
                let path = PathBuf::from(&name);
                self.kept.insert(name, file);
                Some(TransferReply::Kept { spool, path })
            }
            TransferJob::DropSpool { spool } => {
                self.spools.remove(&spool);
                None
            }
        }
    }

    /// What the peer sends, until it closes or has nothing to send for now.
    fn pull(&mut self, conn: ConnId) -> (Vec<u8>, bool) {
        let mut said = Vec::new();
        loop {
            let count = match self.peer.next_segment(self.now, conn) {
                Segment::Bytes { bytes, .. } => {
                    said.extend(bytes);
                    bytes.len() as u64
                }
                Segment::Span { len, .. } => {
                    said.extend(std::iter::repeat_n(b'*', usize::try_from(len).unwrap()));
                    len
                }
                Segment::HalfClose => 1,
                Segment::Close | Segment::Abort => {
                    self.tell(Input::Closed { conn });
                    return (said, true);
                }
                Segment::Nothing => return (said, false),
            };
            self.peer.sent(self.now, conn, count);
            self.drain();
        }
    }

    fn answer(&mut self, accept: bool) {
        let Some(TransferEvent::Came { transfer, .. }) = self.events.pop_front() else {
            panic!("nobody came")
        };
        self.tell(Input::Command(Command::AnswerTransfer { transfer, accept }));
    }

    fn failure(&mut self) -> TransferFailure {
        match self.events.pop_back() {
            Some(TransferEvent::Failed { reason, .. } | TransferEvent::SendFailed { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

const QUIET: Duration = Duration::from_secs(1);

#[test]
fn steps_go_on_after_silence_and_ok_comes_last_when_the_file_is_kept() {
    let mut bench = Bench::new(100);
    let conn = bench.accept(PORT);
    for message in [b".png".as_slice(), b"x.png"] {
        bench.hears(conn, message);
        assert_eq!(bench.pull(conn), (vec![], false), "before silence nothing is known");
        bench.wait(QUIET);
        assert_eq!(bench.pull(conn), (b"OK".to_vec(), false));
    }
    bench.hears(conn, b"5");
    bench.wait(QUIET);
    assert_eq!(bench.pull(conn), (vec![], false), "nobody has accepted");
    assert_eq!(bench.peer.expects(conn), Expect::Nothing);
    bench.answer(true);
    assert_eq!(bench.pull(conn), (b"OK".to_vec(), false));
    bench.hears(conn, b"abcde");
    assert!(bench.kept.is_empty(), "more may be on its way");
    bench.wait(QUIET);
    assert_eq!(bench.kept["x.png"], b"abcde");
    assert_eq!(bench.pull(conn), (b"OK".to_vec(), true));
    let Some(TransferEvent::Received { bytes: 5, latency, .. }) = bench.events.pop_back() else { panic!() };
    assert_eq!(latency, QUIET * 3);
}

#[test]
fn a_question_waits_for_its_answer_and_not_for_ever() {
    let mut bench = Bench::new(100);
    let conn = bench.accept(PORT);
    let glued = br#"{"name": "a", "fileName": "b.csv", "fileType": "csv"}file"#;
    assert_eq!(bench.hears(conn, glued), glued.len() - 4, "the file waits outside");
    bench.answer(false);
    assert_eq!(bench.pull(conn), (vec![], true));
    assert_eq!(bench.failure(), TransferFailure::Declined);

    let conn = bench.accept(PORT);
    bench.hears(conn, glued);
    bench.wait(Duration::from_secs(120));
    assert_eq!(bench.failure(), TransferFailure::Unanswered);
    assert_eq!(bench.pull(conn), (vec![], true));
    // The answer comes too late, and is nobody's.
    bench.answer(true);
    assert!(bench.spools.is_empty() && bench.kept.is_empty());
}

#[test]
fn a_slow_sender_is_borne_and_a_silent_one_is_not() {
    let mut bench = Bench::new(10_000);
    let conn = bench.accept(PORT);
    bench.hears(conn, b"200");
    bench.wait(QUIET);
    bench.answer(true);
    for _ in 0..199 {
        bench.hears(conn, b"x");
        bench.wait(Duration::from_secs(20));
    }
    assert!(!bench.events.iter().any(|event| matches!(event, TransferEvent::Failed { .. })));
    bench.wait(Duration::from_secs(20));
    assert_eq!(bench.failure(), TransferFailure::Stalled);
    assert!(bench.spools.is_empty(), "nothing is left of it");
    assert!(bench.pull(conn).1);
    // A number in pieces is one number.
    let conn = bench.accept(PORT);
    for _ in 0..20 {
        bench.hears(conn, b"1");
        bench.wait(Duration::from_millis(40));
    }
    bench.wait(QUIET);
    assert_eq!(bench.failure(), TransferFailure::OverQuota { left: 10_000 });
    assert!(bench.pull(conn).1);
    // Bytes of a message do not extend its time.
    let conn = bench.accept(PORT);
    for byte in b"{\"a\": 1234" {
        bench.hears(conn, &[*byte]);
        bench.wait(QUIET);
    }
    bench.wait(QUIET);
    assert_eq!(bench.failure(), TransferFailure::Silent);
    assert!(bench.pull(conn).1);
}

#[test]
fn a_quota_counts_what_was_let_come_and_gives_back_what_did_not() {
    let mut bench = Bench::new(100);
    let first = bench.accept(PORT);
    bench.hears(first, b"60");
    bench.wait(QUIET);
    bench.answer(true);
    let second = bench.accept(PORT);
    bench.hears(second, b"60");
    bench.wait(QUIET);
    assert_eq!(bench.failure(), TransferFailure::OverQuota { left: 40 });
    bench.tell(Input::EndOfStream { conn: first });
    assert_eq!(bench.failure(), TransferFailure::CutShort { came: 0, of: Some(60) });
    // Two whose size nobody says share what is left.
    let open = |bench: &mut Bench| {
        let conn = bench.accept(PORT);
        bench.hears(conn, br#"{"fileName": "b.csv"}"#);
        while !matches!(bench.events.front(), Some(TransferEvent::Came { .. })) {
            bench.events.pop_front().unwrap();
        }
        bench.answer(true);
        conn
    };
    let (third, fourth) = (open(&mut bench), open(&mut bench));
    bench.hears(third, &[b'x'; 70]);
    bench.hears(fourth, &[b'x'; 31]);
    assert!(matches!(bench.failure(), TransferFailure::OverQuota { .. }));
    bench.tell(Input::EndOfStream { conn: third });
    assert_eq!(bench.kept["b.csv"].len(), 70);
    assert!(bench.spools.is_empty());
}

#[test]
fn the_named_form_is_taken_apart_at_its_end() {
    let mut bench = Bench::new(1_000);
    let conn = bench.accept(NAMED);
    assert_eq!(bench.hears(conn, b"12345678901234alice"), 0, "nothing is taken before somebody accepts");
    bench.answer(true);
    assert_eq!(bench.pull(conn), (vec![], false), "nothing is answered");
    bench.hears(conn, b"12345678901234alice");
    bench.tell(Input::EndOfStream { conn });
    assert_eq!(bench.kept["alice.png"], b"345678901234", "12 bytes");
    assert_eq!(bench.pull(conn), (vec![], true));
    let conn = bench.accept(NAMED);
    bench.hears(conn, b"9");
    bench.events.clear();
    let transfer = 1;
    bench.tell(Input::Command(Command::AnswerTransfer { transfer, accept: true }));
    bench.hears(conn, b"9abc");
    bench.tell(Input::EndOfStream { conn });
    assert_eq!(bench.failure(), TransferFailure::NoParts);
    assert!(bench.spools.is_empty() && bench.pull(conn).1);
}

#[test]
fn a_full_disk_is_known_before_the_first_ok() {
    let mut bench = Bench::new(1_000);
    bench.disk_is_full = true;
    let conn = bench.accept(PORT);
    bench.hears(conn, b"5");
    bench.wait(QUIET);
    bench.answer(true);
    assert_eq!(bench.pull(conn), (vec![], true));
    assert!(matches!(bench.failure(), TransferFailure::Storage(_)));
}

#[test]
fn who_gives_says_each_step_after_the_last_was_answered() {
    let mut bench = Bench::new(0);
    let content = ContentId([7; 32]);
    bench.tell(Input::Stored(StoreReply::Offered { content, name: "x.png".into(), size: 3 }));
    let to = SocketAddr::from(([10, 0, 0, 9], 8080));
    let (name, sender) = ("x.png".to_owned(), "alice".to_owned());
    let send = Command::SendTransfer { ticket: 4, to, form: Form::Steps, content, name, sender };
    bench.tell(Input::Command(send.clone()));
    let conn = bench.dials.remove(0);
    assert_eq!(bench.peer.expects(conn), Expect::Nothing);
    bench.tell(Input::Connected { conn });
    for said in [b".png".as_slice(), b"x.png", b"3", b"***"] {
        assert_eq!(bench.pull(conn), (said.to_vec(), false));
        bench.hears(conn, b"O");
        assert_eq!(bench.pull(conn), (vec![], false));
        bench.hears(conn, b"K");
    }
    assert_eq!(bench.pull(conn), (vec![], true));
    let sent = bench.events.pop_back();
    assert!(
        matches!(sent, Some(TransferEvent::Sent { ticket: 4, bytes: 3, acknowledged: true, .. })),
        "{sent:?}"
    );

    // Nothing within ten seconds.
    bench.tell(Input::Command(send));
    let conn = bench.dials.remove(0);
    bench.tell(Input::Connected { conn });
    bench.pull(conn);
    bench.wait(Duration::from_secs(9));
    assert!(
        bench.events.is_empty() || !matches!(bench.events.back(), Some(TransferEvent::SendFailed { .. }))
    );
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.failure(), TransferFailure::NoOk);
    assert!(bench.pull(conn).1);
}

#[test]
fn what_is_broken_off_does_not_end_like_a_whole_file() {
    for (form, aborts) in
        [(Form::Json, true), (Form::Named, true), (Form::Steps, false), (Form::Short, false)]
    {
        let mut bench = Bench::new(0);
        let content = ContentId([7; 32]);
        bench.tell(Input::Stored(StoreReply::Offered { content, name: "x.png".into(), size: 3 }));
        let to = SocketAddr::from(([10, 0, 0, 9], 8080));
        let (name, sender) = ("x.png".to_owned(), "alice".to_owned());
        bench.tell(Input::Command(Command::SendTransfer { ticket: 4, to, form, content, name, sender }));
        let conn = bench.dials.remove(0);
        bench.tell(Input::Connected { conn });
        // Until the file is next.
        while !matches!(bench.peer.next_segment(bench.now, conn), Segment::Span { .. }) {
            if let Segment::Bytes { bytes, .. } = bench.peer.next_segment(bench.now, conn) {
                let said = bytes.len() as u64;
                bench.peer.sent(bench.now, conn, said);
            } else {
                bench.hears(conn, b"OK");
            }
            bench.drain();
        }
        bench.peer.sent(bench.now, conn, 1);
        bench.drain();
        // Whoever leaves goes at once where the end would be mistaken, and else has a moment to finish.
        if aborts {
            bench.tell(Input::Command(Command::Leave));
            assert_eq!(bench.failure(), TransferFailure::Cancelled);
        } else {
            let source = SpanSource::Content(content);
            bench.tell(Input::SpanFailed { conn, source, why: SpanFault::Changed });
            assert_eq!(bench.failure(), TransferFailure::File(SpanFault::Changed));
        }
        let end = if aborts { Segment::Abort } else { Segment::Close };
        assert_eq!(bench.peer.next_segment(bench.now, conn), end, "{form}");
        assert!(bench.pull(conn).1);
    }
}

#[test]
fn who_leaves_lets_what_comes_finish_and_sends_the_rest_away() {
    let mut bench = Bench::new(100);
    let (coming, asked) = (bench.accept(PORT), bench.accept(PORT));
    bench.hears(coming, b"2");
    bench.wait(QUIET);
    bench.answer(true);
    bench.hears(asked, b"2");
    bench.wait(QUIET);
    bench.tell(Input::Command(Command::Leave));
    assert!(bench.pull(asked).1);
    bench.pull(coming);
    bench.hears(coming, b"ab");
    bench.wait(QUIET);
    assert_eq!(bench.kept.values().next().unwrap(), b"ab");
    assert_eq!(bench.pull(coming), (b"OK".to_vec(), true));
}

#[test]
fn a_receiver_that_fails_is_dialled_for_the_next_file_after_a_wait() {
    let mut bench = Bench::new(0);
    let content = ContentId([3; 32]);
    bench.tell(Input::Stored(StoreReply::Offered { content, name: "x.png".into(), size: 3 }));
    let to = SocketAddr::from(([10, 0, 0, 9], 8080));
    let send = |ticket| {
        let (name, sender, form) = ("x.png".to_owned(), "alice".to_owned(), Form::Steps);
        Input::Command(Command::SendTransfer { ticket, to, form, content, name, sender })
    };
    let began = bench.now;
    for ticket in 0..20 {
        bench.tell(send(ticket));
        while bench.dials.is_empty() {
            bench.wait(Duration::from_millis(100));
        }
        let conn = bench.dials.remove(0);
        bench.tell(Input::Connected { conn });
        bench.pull(conn);
        // It accepts, reads, answers something and closes.
        bench.hears(conn, b"oops");
        assert_eq!(bench.failure(), TransferFailure::NotOk);
        bench.tell(Input::Closed { conn });
    }
    // 0.5 s, 1 s, and then 2 s.
    let waited = bench.now.since(began);
    assert!(waited >= Duration::from_millis(500 + 1_000 + 17 * 2_000), "{waited:?}");
    assert!(waited <= Duration::from_secs(40), "{waited:?}");
    // What waits for its dial is given up by who leaves.
    bench.tell(send(20));
    assert!(bench.dials.is_empty());
    bench.tell(Input::Command(Command::Leave));
    assert_eq!(bench.failure(), TransferFailure::Cancelled);
    assert!(bench.dials.is_empty());
}

#[test]
fn a_connection_that_the_driver_has_closed_is_not_woken() {
    let mut bench = Bench::new(1 << 20);
    for gone in [|conn| Input::Closed { conn }, |conn| Input::Broken { conn, why: BrokenWhy::Reset }] {
        let conn = bench.accept(PORT);
        bench.hears(conn, b"20");
        assert_eq!(bench.woken, [conn]);
        bench.woken.clear();
        bench.tell(gone(conn));
        assert_eq!(bench.woken, []);
        assert!(matches!(bench.events.pop_front(), Some(TransferEvent::Failed { .. })));
    }
}
