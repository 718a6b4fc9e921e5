//! The core and readers by HTTP, played by hand through its interface: the reader, the disk and the time are the test's.

#![allow(clippy::expect_used, clippy::panic, reason = "a peer that does not take part has to fail")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chunkcast::core::{
    BrokenWhy, Command, Config, ConnId, Event, Expect, HttpConfig, Input, Limits, Output, Peer, Segment,
    SpanFault, SpanSource, SpoolId, StoreReply,
};
use chunkcast::types::{ContentId, Time};

#[path = "common/bench.rs"]
mod common;

use common::Bench as _;

const HERE: [u8; 4] = [10, 0, 0, 1];
const HOST: &str = "Host: 10.0.0.1:7117\r\n";

/// The peer under test and its disk.
struct Bench {
    peer: Peer,
    now: Time,
    events: Vec<Event>,
    files: BTreeMap<ContentId, Vec<u8>>,
}

/// One connection and what it said.
struct Reader {
    conn: ConnId,
    said: Vec<u8>,
    closed: bool,
    /// What the core did not take yet.
    held: Vec<u8>,
}

/// A parsed answer.
struct Answer {
    code: u16,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn id(n: u8) -> ContentId {
    ContentId([n; 32])
}

fn bytes_of(n: u8, len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 7 + usize::from(n)) % 251).expect("small")).collect()
}

fn config() -> Config {
    let http = Some(HttpConfig { names: vec!["lab-7".into()] });
    Config { http, ..common::config("alice", HERE.into()) }
}

impl common::Bench for Bench {
    fn core(&mut self) -> (&mut Peer, &mut Time) {
        (&mut self.peer, &mut self.now)
    }

    fn drain(&mut self) {
        while let Some(output) = self.peer.poll() {
            if let Output::Event(event) = output {
                self.events.push(event);
            }
        }
        self.peer.check_invariants();
    }

    fn spool(&mut self, spool: SpoolId, _: &[u8]) {
        panic!("readers send no files, but {spool} is written");
    }
}

impl Bench {
    fn new() -> Bench {
        Bench::with(config())
    }

    fn with(config: Config) -> Bench {
        let peer = Peer::new(config, 1, Time::ZERO);
        Bench { peer, now: Time::ZERO, events: Vec::new(), files: BTreeMap::new() }
    }

    fn share(&mut self, n: u8, name: &str, len: usize) -> ContentId {
        let content = id(n);
        self.files.insert(content, bytes_of(n, len));
        let size = len as u64;
        self.tell(Input::Stored(StoreReply::Offered { content, name: name.into(), size }));
        content
    }

    fn connect_from(&mut self, host: u8) -> Option<Reader> {
        let from = SocketAddr::from(([10, 0, 0, host], 40_000));
        let conn = self.peer.accepted(self.now, from, 7117)?;
        self.drain();
        Some(Reader { conn, said: Vec::new(), closed: false, held: Vec::new() })
    }

    fn connect(&mut self) -> Reader {
        self.connect_from(9).expect("there is room")
    }

    /// Hands over what a reader says, as far as the core takes it, in pieces of `size`.
    fn say(&mut self, reader: &mut Reader, text: &[u8], size: usize) {
        reader.held.extend_from_slice(text);
        while !reader.held.is_empty() && self.peer.expects(reader.conn) == Expect::Control {
            let piece = reader.held[..size.min(reader.held.len())].to_vec();
            let used = self.peer.received(self.now, reader.conn, &piece);
            self.drain();
            reader.held.drain(..used);
        }
    }

    /// Takes one segment, of which at most `most` bytes. False when there is none.
    fn pull(&mut self, reader: &mut Reader, most: u64) -> bool {
        let sent = match self.peer.next_segment(self.now, reader.conn) {
            Segment::Bytes { bytes, span_of } => {
                let bytes = bytes.to_vec();
                if let Some(source) = span_of.filter(|source| !self.has(source)) {
                    self.fail(reader, source);
                    return true;
                }
                let count = bytes.len().min(usize::try_from(most).expect("small"));
                reader.said.extend_from_slice(&bytes[..count]);
                count as u64
            }
            Segment::Span { source, offset, len } => {
                let SpanSource::Content(content) = source else { panic!("nothing else is sent") };
                let Some(file) = self.files.get(&content) else {
                    self.fail(reader, source);
                    return true;
                };
                let count = len.min(most);
                let (from, to) = (usize::try_from(offset).expect("small"), offset + count);
                reader.said.extend_from_slice(&file[from..usize::try_from(to).expect("small")]);
                count
            }
            Segment::Close => {
                let conn = reader.conn;
                reader.closed = true;
                self.tell(Input::Closed { conn });
                return false;
            }
            Segment::Nothing => {
                self.drain();
                return false;
            }
            Segment::HalfClose | Segment::Abort => panic!("nobody asked for that"),
        };
        self.peer.sent(self.now, reader.conn, sent);
        self.drain();
        true
    }

    fn has(&self, source: &SpanSource) -> bool {
        matches!(source, SpanSource::Content(content) if self.files.contains_key(content))
    }

    fn fail(&mut self, reader: &Reader, source: SpanSource) {
        self.tell(Input::SpanFailed { conn: reader.conn, source, why: SpanFault::Changed });
    }

    /// Reads and is read until nothing moves any more.
    fn settle(&mut self, reader: &mut Reader) {
        loop {
            while self.pull(reader, u64::MAX >> 1) {}
            let before = reader.held.len();
            if reader.closed || before == 0 {
                return;
            }
            self.say(reader, b"", usize::MAX);
            if reader.held.len() == before {
                return;
            }
        }
    }

    /// One request on a connection of its own.
    fn ask(&mut self, line: &str, fields: &str) -> Answer {
        let mut reader = self.connect();
        self.say(&mut reader, format!("{line} HTTP/1.1\r\n{HOST}{fields}\r\n").as_bytes(), usize::MAX);
        self.settle(&mut reader);
        let mut answers = answers(&reader.said, line.starts_with("HEAD"));
        assert_eq!(answers.len(), 1, "{line}");
        if !reader.closed {
            self.tell(Input::EndOfStream { conn: reader.conn });
            self.settle(&mut reader);
        }
        assert!(reader.closed);
        answers.remove(0)
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "")
    }

    fn sent(&self) -> Vec<(u64, u64)> {
        let sent = self.events.iter().filter_map(|event| match event {
            Event::HttpSent { first, bytes, .. } => Some((*first, *bytes)),
            _ => None,
        });
        sent.collect()
    }

    fn unsent(&self) -> Vec<(u64, &'static str)> {
        let unsent = self.events.iter().filter_map(|event| match event {
            Event::HttpUnsent { bytes, why, .. } => Some((*bytes, *why)),
            _ => None,
        });
        unsent.collect()
    }
}

/// The answers in what a reader got.
fn answers(mut said: &[u8], heads_only: bool) -> Vec<Answer> {
    let mut found = Vec::new();
    while !said.is_empty() {
        let end = said.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        let head = std::str::from_utf8(&said[..end]).expect("ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let code = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let code: u16 = code.parse().expect("a number");
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let fields: BTreeMap<String, String> = lines.map(field).collect();
        let len = fields.get("content-length").map_or(0, |len| len.parse().expect("a number"));
        let len = if heads_only || code == 304 { 0 } else { len };
        let body = said[end..end + len].to_vec();
        said = &said[end + len..];
        found.push(Answer { code, fields, body });
    }
    found
}

impl Answer {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

#[test]
fn a_file_is_read_by_id_by_name_and_by_a_beginning_of_its_id() {
    let mut bench = Bench::new();
    let content = bench.share(7, "films/my talk.mkv", 100_000);
    let whole = bytes_of(7, 100_000);
    let by_id = format!("/{content}");
    for path in
        [by_id.as_str(), "/films/my%20talk.mkv", "/films%2Fmy%20talk.mkv", "/my%20talk.mkv", "/07070707"]
    {
        let answer = bench.get(path);
        assert_eq!((answer.code, &answer.body), (200, &whole), "{path}");
        assert_eq!(answer.field("etag"), format!("\"{content}\""));
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert!(answer.field("content-disposition").contains("filename=\"my talk.mkv\""));
        assert!(answer.field("content-security-policy").contains("sandbox"));
    }
    assert_eq!(bench.sent(), [(0, 100_000); 5]);
    let head = bench.ask(&format!("HEAD {by_id}"), "");
    assert_eq!((head.code, head.field("content-length"), head.body.len()), (200, "100000", 0));
    bench.share(8, "empty", 0);
    let empty = bench.get("/empty");
    assert_eq!((empty.code, empty.body.len()), (200, 0));
    assert_eq!(bench.sent().len(), 5);
}

#[test]
fn parts_and_what_the_asker_has_already() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 100_000);
    let path = format!("GET /{content}");
    let whole = bytes_of(7, 100_000);
    for (range, part) in
        [("0-0", 0..1), ("16380-16390", 16_380..16_391), ("99999-", 99_999..100_000), ("-5", 99_995..100_000)]
    {
        let answer = bench.ask(&path, &format!("Range: bytes={range}\r\n"));
        assert_eq!((answer.code, &answer.body[..]), (206, &whole[part.clone()]), "{range}");
        assert_eq!(answer.field("content-range"), format!("bytes {}-{}/100000", part.start, part.end - 1));
    }
    let beyond = bench.ask(&path, "Range: bytes=100000-\r\n");
    assert_eq!((beyond.code, beyond.field("content-range")), (416, "bytes */100000"));
    let several = bench.ask(&path, "Range: bytes=0-1,3-4\r\n");
    assert_eq!((several.code, several.body.len()), (200, 100_000));
    let had = bench.ask(&path, &format!("If-None-Match: \"{content}\"\r\n"));
    assert_eq!((had.code, had.body.len()), (304, 0));
    let other = bench.ask(&path, "Range: bytes=5-\r\nIf-Range: \"other\"\r\n");
    assert_eq!((other.code, other.body.len()), (200, 100_000));
}

#[test]
fn nothing_but_what_is_shared_can_be_read() {
    let mut bench = Bench::new();
    bench.share(7, "etc/passwd", 100);
    for path in
        ["/../etc/passwd", "//", "/%2e%2e/etc/passwd", "/etc/", "/x", "/0707070", "/.", "/etc", "/%00"]
    {
        assert_eq!(bench.get(path).code, 404, "{path}");
    }
    assert_eq!(bench.get(&format!("/{}", id(8))).code, 404);
    for (path, code) in [("/%zz", 400), ("*", 400), ("http://evil/etc/passwd", 421)] {
        assert_eq!(bench.get(path).code, code, "{path}");
    }
    assert_eq!(bench.get("http://10.0.0.1/etc/passwd").code, 200);
    let post = bench.ask("POST /", "");
    assert_eq!((post.code, post.field("allow"), post.field("connection")), (405, "GET, HEAD", "close"));
    assert_eq!(bench.ask("GET /", "Content-Length: 5\r\n").code, 413);
    assert_eq!(bench.ask("GET /", "Transfer-Encoding: chunked\r\n").code, 411);
    assert!(bench.unsent().is_empty());
}

#[test]
fn a_host_is_ours_or_nobodys() {
    let mut bench = Bench::new();
    bench.share(7, "a", 10);
    for (host, code) in [
        ("10.0.0.1", 200),
        ("10.0.0.1:80", 200),
        ("127.0.0.1", 200),
        ("[::1]:7117", 200),
        ("localhost", 200),
        ("Lab-7", 200),
        ("lab-7.local.", 200),
        ("lab-7.evil.example", 421),
        ("evil.example", 421),
        ("10.0.0.2", 421),
        ("lab-7x", 421),
        ("", 400),
        ("a/b", 400),
    ] {
        let mut reader = bench.connect();
        bench.say(&mut reader, format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), usize::MAX);
        bench.settle(&mut reader);
        assert_eq!(answers(&reader.said, false)[0].code, code, "{host}");
        bench.tell(Input::Broken { conn: reader.conn, why: BrokenWhy::Reset });
    }
}

#[test]
fn a_name_of_several_contents_is_a_choice() {
    let mut bench = Bench::new();
    let (a, b) = (bench.share(1, "one/talk.mkv", 10), bench.share(2, "two/talk.mkv", 20));
    let answer = bench.get("/talk.mkv");
    assert_eq!(answer.code, 300);
    for content in [a, b] {
        assert!(answer.text().contains(&format!("<a href=\"/{content}\">")), "{}", answer.text());
    }
    assert_eq!(bench.get("/two/talk.mkv").body, bytes_of(2, 20));
    // Several names of one content are no choice.
    bench.share(1, "three/other.mkv", 10);
    bench.share(1, "four/other.mkv", 10);
    assert_eq!(bench.get("/other.mkv").code, 200);
}

#[test]
fn the_listing_is_paged_and_harmless() {
    let mut bench = Bench::new();
    bench.share(1, "<script>alert(1)</script>\".txt", 10);
    let page = bench.get("/").text();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    for n in 0..250u8 {
        bench.share(n, &format!("file {n:03}"), 10);
    }
    let (mut path, mut seen, mut pages) = ("/".to_owned(), 0, 0);
    loop {
        let answer = bench.get(&path);
        assert_eq!((answer.code, answer.field("content-type")), (200, "text/html; charset=utf-8"));
        seen += answer.text().matches("<tr><td>").count();
        pages += 1;
        let text = answer.text();
        let Some((_, rest)) = text.split_once("<a href=\"/?after=") else { break };
        path = format!("/?after={}", rest.split('"').next().expect("a link"));
    }
    assert_eq!((seen, pages), (251, 2));
}

#[test]
fn requests_follow_each_other_however_they_are_split() {
    let stream = format!(
        "GET /a HTTP/1.1\r\n{HOST}\r\nHEAD /a HTTP/1.1\r\n{HOST}\r\nGET /x HTTP/1.1\r\n{HOST}\r\n\
         GET /a HTTP/1.1\r\n{HOST}Range: bytes=-5\r\nConnection: close\r\n\r\nGET /a"
    );
    let mut expected = None;
    for size in (1..stream.len()).chain([usize::MAX]) {
        let mut bench = Bench::new();
        bench.share(7, "a", 40_000);
        let mut reader = bench.connect();
        let mut rest = stream.as_bytes();
        while !rest.is_empty() && !reader.closed {
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            bench.say(&mut reader, piece, usize::MAX);
            bench.settle(&mut reader);
            rest = behind;
        }
        assert!(reader.closed, "it was asked to close");
        assert_eq!(&reader.said, expected.get_or_insert_with(|| reader.said.clone()), "{size}");
    }
    let said = expected.expect("some");
    assert!(said.ends_with(&bytes_of(7, 40_000)[39_995..]));
}

#[test]
fn what_is_no_http_is_closed_without_a_word() {
    for garbage in
        [&b"SSH-2.0-x\r\n"[..], b"\x16\x03\x01", b"get / HTTP/1.1\r\n", b"HELO x\r\n", b"GET /\r\n", b"Gx"]
    {
        let mut bench = Bench::new();
        let mut reader = bench.connect();
        bench.say(&mut reader, garbage, 1);
        bench.settle(&mut reader);
        assert!(reader.closed && reader.said.is_empty(), "{garbage:?}");
    }
    let mut bench = Bench::with(Config { http: None, ..config() });
    let mut reader = bench.connect();
    bench.say(&mut reader, b"GET / HTTP/1.1\r\n\r\n", usize::MAX);
    bench.settle(&mut reader);
    assert!(reader.closed && reader.said.is_empty());
}

#[test]
fn heads_have_five_seconds_and_eight_kibibytes() {
    let mut bench = Bench::new();
    let mut slow = bench.connect();
    bench.say(&mut slow, b"GET / HT", usize::MAX);
    for byte in b"TP/1." {
        bench.wait_ms(900);
        bench.say(&mut slow, &[*byte], usize::MAX);
    }
    bench.settle(&mut slow);
    assert!(!slow.closed);
    bench.wait_ms(600);
    bench.settle(&mut slow);
    assert!(slow.closed && slow.said.is_empty());

    let mut long = bench.connect();
    let head = format!("GET / HTTP/1.1\r\n{HOST}X: {}", "y".repeat(9 << 10));
    bench.say(&mut long, head.as_bytes(), 1000);
    bench.settle(&mut long);
    assert!(long.closed);
    assert_eq!(answers(&long.said, false)[0].code, 431);

    // Between requests there is more time, but not for ever.
    bench.share(7, "a", 10);
    let mut idle = bench.connect();
    bench.say(&mut idle, format!("GET /a HTTP/1.1\r\n{HOST}\r\n").as_bytes(), usize::MAX);
    bench.settle(&mut idle);
    bench.wait_ms(14_000);
    bench.settle(&mut idle);
    assert!(!idle.closed);
    bench.wait_ms(1_100);
    bench.settle(&mut idle);
    assert!(idle.closed);
}

#[test]
fn readers_take_turns_chunk_by_chunk() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 100_000);
    let ask = format!("GET /{content} HTTP/1.1\r\n{HOST}\r\n");
    let mut readers: Vec<Reader> = (0..8).map(|_| bench.connect()).collect();
    for reader in &mut readers {
        bench.say(reader, ask.as_bytes(), usize::MAX);
    }
    // Never is one ahead of another by more than what a turn may send: a chunk, for their links are slow.
    while readers.iter().any(|reader| reader.said.len() < 100_000) {
        let mut moved = false;
        for reader in &mut readers {
            bench.wait_ms(2);
            moved |= bench.pull(reader, 10_000);
        }
        assert!(moved, "somebody has a turn");
        let got = readers.iter().map(|reader| reader.said.len());
        let (least, most) = (got.clone().min().expect("some"), got.max().expect("some"));
        assert!(most - least <= 2 * 16_384 + 1_000, "{least} {most}");
    }
    for reader in &mut readers {
        bench.settle(reader);
        assert_eq!(answers(&reader.said, false)[0].body, bytes_of(7, 100_000));
    }
    assert_eq!(bench.sent().len(), 8);
}

#[test]
fn readers_of_different_ranges_take_turns_alike() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 400_000);
    let mut readers: Vec<Reader> = (0..4).map(|_| bench.connect()).collect();
    let mut slots: Vec<Reader> = (0..4).map(|_| bench.connect()).collect();
    for (number, reader) in readers.iter_mut().enumerate() {
        let (first, last) = (number * 100_000, number * 100_000 + 99_999);
        let ask = format!("GET /{content} HTTP/1.1\r\n{HOST}Range: bytes={first}-{last}\r\n\r\n");
        bench.say(reader, ask.as_bytes(), usize::MAX);
    }
    // Four more read the first kilobyte over and over.
    let ask = format!("GET /{content} HTTP/1.1\r\n{HOST}Range: bytes=0-999\r\n\r\n");
    while readers.iter().any(|reader| reader.said.len() < 100_000) {
        for reader in &mut slots {
            bench.wait_ms(2);
            bench.say(reader, ask.as_bytes(), usize::MAX);
            bench.pull(reader, 10_000);
        }
        for reader in &mut readers {
            bench.wait_ms(2);
            bench.pull(reader, 10_000);
        }
        let got = readers.iter().map(|reader| reader.said.len());
        let (least, most) = (got.clone().min().expect("some"), got.max().expect("some"));
        assert!(most - least <= 2 * 16_384 + 1_000, "{least} {most}");
    }
}

#[test]
fn who_takes_nothing_lends_its_slot_and_is_closed_in_the_end() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 100_000);
    let ask = format!("GET /{content} HTTP/1.1\r\n{HOST}\r\n");
    let mut stuck: Vec<Reader> = (0..Limits::default().upload_slots).map(|_| bench.connect()).collect();
    for reader in &mut stuck {
        bench.say(reader, ask.as_bytes(), usize::MAX);
        assert!(bench.pull(reader, 10));
        // One that takes so long does not take all of the link: another goes beside it.
        bench.wait_ms(45);
    }
    let mut reader = bench.connect();
    bench.say(&mut reader, ask.as_bytes(), usize::MAX);
    assert!(!bench.pull(&mut reader, 10), "every slot is taken");
    bench.wait_ms(200);
    bench.settle(&mut reader);
    assert_eq!(answers(&reader.said, false)[0].body.len(), 100_000);
    bench.wait_ms(30_000);
    for reader in &mut stuck {
        bench.settle(reader);
        assert!(reader.closed);
    }
    assert_eq!(bench.unsent(), [(0, "takes no bytes"); 4]);
}

#[test]
fn a_file_that_changed_is_told_before_and_cut_after_its_head() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 100_000);
    let mut reader = bench.connect();
    bench.say(&mut reader, format!("GET /a HTTP/1.1\r\n{HOST}\r\n").as_bytes(), usize::MAX);
    let mut late = bench.connect();
    bench.say(&mut late, format!("GET /a HTTP/1.1\r\n{HOST}\r\n").as_bytes(), usize::MAX);
    assert!(bench.pull(&mut reader, u64::MAX >> 1) && bench.pull(&mut reader, 1000));
    bench.files.remove(&content);
    bench.settle(&mut reader);
    assert!(reader.closed);
    bench.settle(&mut late);
    assert_eq!((answers(&late.said, false)[0].code, late.closed), (410, true));
    assert_eq!(bench.unsent().len(), 2);
}

#[test]
fn what_is_withdrawn_while_readers_wait_is_told() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 100_000);
    let mut readers: Vec<Reader> = (0..6).map(|_| bench.connect()).collect();
    for reader in &mut readers {
        bench.say(reader, format!("GET /a HTTP/1.1\r\n{HOST}\r\n").as_bytes(), usize::MAX);
    }
    bench.files.remove(&content);
    let (name, why) = ("a".to_owned(), SpanFault::Gone);
    bench.tell(Input::Stored(StoreReply::Withdrawn { content, name, why }));
    for reader in &mut readers {
        bench.settle(reader);
        assert_eq!((answers(&reader.said, false)[0].code, reader.closed), (410, true));
    }
    assert_eq!(bench.get("/a").code, 404);
}

#[test]
fn a_peer_that_leaves_finishes_what_is_on_its_way() {
    let mut bench = Bench::new();
    let content = bench.share(7, "a", 100_000);
    let mut busy = bench.connect();
    bench.say(&mut busy, format!("GET /{content} HTTP/1.1\r\n{HOST}\r\n").as_bytes(), usize::MAX);
    assert!(bench.pull(&mut busy, 100));
    let mut idle = bench.connect();
    bench.say(&mut idle, b"GET", usize::MAX);
    bench.tell(Input::Command(Command::Leave));
    bench.settle(&mut idle);
    assert!(idle.closed && !bench.events.contains(&Event::Left));
    bench.settle(&mut busy);
    assert_eq!(answers(&busy.said, false)[0].body.len(), 100_000);
    assert!(busy.closed && bench.events.contains(&Event::Left));
}

#[test]
fn one_address_has_so_many_readers() {
    let mut bench = Bench::new();
    let most = Limits::default().http_readers_per_address_max;
    let mut readers = Vec::new();
    for _ in 0..most {
        let mut reader = bench.connect();
        bench.say(&mut reader, b"G", usize::MAX);
        readers.push(reader);
    }
    let mut one_more = bench.connect();
    bench.say(&mut one_more, b"G", usize::MAX);
    bench.settle(&mut one_more);
    assert!(one_more.closed);
    let mut other = bench.connect_from(8).expect("there is room");
    bench.say(&mut other, b"G", usize::MAX);
    bench.settle(&mut other);
    assert!(!other.closed);
}
