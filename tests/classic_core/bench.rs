//! The peer under test, with a disk in memory.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::NaiveDateTime;
use chunkcast::core::{
    ChunkBytes, ClassicConfig, ClassicEvent, ClassicJob, ClassicReply, Command, Config, ConnId, DatagramTo,
    DictionaryUse, Event, Expect, Input, Limits, Output, Peer, Segment, SpanSource, SpoolId, StoreJob,
    StoreReply, Voice,
};
use chunkcast::types::{ContentId, Time};
use chunkcast::wire::classic::announcement::BatchChunk;
use chunkcast::wire::classic::records::Dictionary;
use chunkcast::wire::classic::{ChunkName, ChunkRule, Dialect, NEXT_DIAL_PAUSE};

use crate::common::{self, Bench as _};

/// This host.
pub(crate) const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

pub(crate) struct Bench {
    pub(crate) peer: Peer,
    pub(crate) now: Time,
    pub(crate) events: Vec<ClassicEvent>,
    pub(crate) dials: VecDeque<(ConnId, SocketAddr)>,
    pub(crate) datagrams: Vec<(DatagramTo, Vec<u8>)>,
    /// Chunks that are kept.
    pub(crate) kept: BTreeMap<ChunkName, Vec<u8>>,
    /// Shared files.
    pub(crate) files: BTreeMap<ContentId, Vec<u8>>,
    pub(crate) merged: Option<(String, Vec<u8>)>,
    /// So often it was written who has what.
    pub(crate) dictionaries: usize,
    /// What another process wrote of it.
    pub(crate) dictionary: Dictionary,
    /// Spools that were thrown away, in order.
    pub(crate) jobs: Vec<String>,
    /// Something has the file's name and is to be left alone.
    pub(crate) is_left: bool,
    spools: BTreeMap<SpoolId, Vec<u8>>,
    open: BTreeMap<ConnId, Vec<u8>>,
    replies: VecDeque<ClassicReply>,
}

/// What came out of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) bytes: Vec<u8>,
    pub(crate) half_closed: bool,
    pub(crate) closed: bool,
}

pub(crate) fn host(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

pub(crate) fn config() -> ClassicConfig {
    ClassicConfig {
        address: HERE,
        voices: vec![Voice { dialect: Dialect::A, port: 5000 }, Voice { dialect: Dialect::B, port: 5001 }],
        announce_interval: Duration::from_secs(60),
        ports: BTreeMap::from([(5000, 5000), (5001, 5001), (8000, 8000)]),
        address_alone: false,
        dial_port: None,
        dialects: BTreeMap::new(),
        speaks: None,
        dictionary: DictionaryUse::Write,
        chunk_bytes_max: 1 << 20,
    }
}

pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at * 7 % 251).expect("small")).collect()
}

/// The bytes of a file's chunk.
pub(crate) fn part(file: &[u8], rule: ChunkRule, index: u32) -> Option<&[u8]> {
    let range = rule.range(file.len() as u64, index)?;
    file.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

impl common::Bench for Bench {
    fn core(&mut self) -> (&mut Peer, &mut Time) {
        (&mut self.peer, &mut self.now)
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.peer.poll() {
                match output {
                    Output::Event(Event::Classic(event)) => self.events.push(event),
                    Output::Dial { conn, to } => self.dials.push_back((conn, to)),
                    Output::Datagram { to, bytes } => self.datagrams.push((to, bytes)),
                    Output::Store(StoreJob::Classic(job)) => self.work(job),
                    _ => {}
                }
            }
            self.peer.check_invariants();
            match self.replies.pop_front() {
                Some(reply) => self.peer.handle(self.now, Input::Stored(StoreReply::Classic(reply))),
                None => return,
            }
        }
    }

    fn spool(&mut self, spool: SpoolId, bytes: &[u8]) {
        self.spools.entry(spool).or_default().extend(bytes);
    }
}

impl Bench {
    pub(crate) fn new(classic: ClassicConfig) -> Bench {
        Bench::limited(classic, Limits::default())
    }

    pub(crate) fn limited(classic: ClassicConfig, limits: Limits) -> Bench {
        let config = Config {
            discovers: false,
            classic: Some(classic),
            limits,
            ..common::config("alice", HERE.into())
        };
        Bench {
            peer: Peer::new(config, 1, Time::ZERO),
            now: Time::ZERO,
            events: Vec::new(),
            dials: VecDeque::new(),
            datagrams: Vec::new(),
            kept: BTreeMap::new(),
            files: BTreeMap::new(),
            merged: None,
            dictionaries: 0,
            dictionary: Dictionary::new(),
            jobs: Vec::new(),
            is_left: false,
            spools: BTreeMap::new(),
            open: BTreeMap::new(),
            replies: VecDeque::new(),
        }
    }

    pub(crate) fn hear(&mut self, from: IpAddr, json: &str) {
        let from = SocketAddr::new(from, 40_000);
        self.tell(Input::ClassicDatagram { port: 5000, from, bytes: json.as_bytes() });
    }

    pub(crate) fn get(&mut self, name: &str, wait_ms: u64) {
        let wait = Duration::from_millis(wait_ms);
        self.tell(Input::Command(Command::GetClassic { ticket: 7, name: name.into(), wait }));
    }

    pub(crate) fn share(&mut self, name: &str, bytes: Vec<u8>) {
        let content = ContentId([u8::try_from(self.files.len()).expect("few"); 32]);
        let size = bytes.len() as u64;
        self.files.insert(content, bytes);
        self.tell(Input::Stored(StoreReply::Offered { content, name: name.into(), size }));
    }

    /// The other side sends bytes, in pieces; returns how many were taken.
    pub(crate) fn says(&mut self, conn: ConnId, bytes: &[u8], piece: usize) -> usize {
        bytes.chunks(piece).map(|piece| self.hears(conn, piece)).sum()
    }

    pub(crate) fn ends(&mut self, conn: ConnId) {
        if self.peer.expects(conn) != Expect::Nothing {
            self.tell(Input::EndOfStream { conn });
        }
    }

    /// The next dial, which may come a moment after what came before it.
    pub(crate) fn next_dial(&mut self) -> Option<(ConnId, SocketAddr)> {
        if self.dials.is_empty() {
            self.wait(NEXT_DIAL_PAUSE);
        }
        self.dials.pop_front()
    }

    /// What the peer sends until it has nothing to send for now.
    pub(crate) fn pull(&mut self, conn: ConnId) -> Said {
        let mut said = Said::default();
        loop {
            let count = match self.peer.next_segment(self.now, conn) {
                Segment::Bytes { bytes, .. } => {
                    said.bytes.extend(bytes);
                    bytes.len() as u64
                }
                Segment::Span { source, offset, len } => {
                    let file = match source {
                        SpanSource::Content(content) => &self.files[&content],
                        SpanSource::Kept(conn) => &self.open[&conn],
                    };
                    // Never all at once.
                    let len = len.min(1 + len / 2);
                    let from = usize::try_from(offset).expect("small");
                    said.bytes.extend(&file[from..from + usize::try_from(len).expect("small")]);
                    len
                }
                Segment::HalfClose => {
                    said.half_closed = true;
                    1
                }
                Segment::Close | Segment::Abort => {
                    said.closed = true;
                    self.tell(Input::Closed { conn });
                    return said;
                }
                Segment::Nothing => return said,
            };
            self.peer.sent(self.now, conn, count);
            self.drain();
        }
    }

    /// Everything the peer sends, with the pauses it makes.
    pub(crate) fn pull_all(&mut self, conn: ConnId) -> Said {
        let mut all = self.pull(conn);
        for _ in 0..3 {
            self.wait_ms(1_250);
            let said = self.pull(conn);
            all.bytes.extend(said.bytes);
            all.half_closed |= said.half_closed;
            all.closed |= said.closed;
        }
        all
    }

    pub(crate) fn count(&self, is: impl Fn(&ClassicEvent) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let counters = self.peer.status(self.now).counters;
        counters.iter().find(|(counted, _)| *counted == name).map_or(0, |(_, count)| *count)
    }

    fn work(&mut self, job: ClassicJob) {
        if let ClassicJob::DropSpool { spool } = &job {
            self.jobs.push(format!("drop {spool}"));
        }
        let reply = match job {
            ClassicJob::List => {
                let chunks = self.kept.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64));
                ClassicReply::Kept { chunks: chunks.collect() }
            }
            ClassicJob::OpenChunk { conn, name } => {
                // A name that tells no extension stands for one that does.
                let bare = |kept: &&ChunkName| {
                    kept.stem() == name.stem() && kept.index() == name.index() && kept.extension().is_none()
                };
                let stand_in = || self.kept.keys().find(bare).and_then(|bare| self.kept.get(bare));
                let found = self.kept.get(&name).or_else(stand_in).cloned();
                let bytes = found.as_ref().map(|bytes| bytes.len() as u64);
                found.map(|bytes| self.open.insert(conn, bytes));
                ClassicReply::ChunkOpened { conn, bytes }
            }
            ClassicJob::Digest { chunks } => {
                // The digest of these tests is the chunk's number.
                let digested = chunks.into_iter().filter_map(|(name, bytes)| {
                    let size = match bytes {
                        ChunkBytes::Kept => self.kept.get(&name)?.len() as u64,
                        ChunkBytes::Shared { bytes, .. } => bytes,
                    };
                    let sha256 = [u8::try_from(name.index()).expect("few chunks"); 32];
                    Some(BatchChunk { name, size, sha256, made: NaiveDateTime::default() })
                });
                ClassicReply::Digested { chunks: digested.collect(), now: NaiveDateTime::default() }
            }
            ClassicJob::CloseChunk { conn } => {
                assert!(self.open.remove(&conn).is_some(), "{conn} has a chunk open");
                return;
            }
            ClassicJob::WriteSpool { spool, bytes } => {
                return self.spools.entry(spool).or_default().extend(bytes);
            }
            ClassicJob::KeepSpool { spool, name, skip } => {
                let mut bytes = self.spools.remove(&spool).expect("something came");
                bytes.drain(..usize::try_from(skip).expect("small"));
                let len = bytes.len() as u64;
                self.kept.insert(name.clone(), bytes);
                ClassicReply::ChunkKept { spool, name, bytes: len }
            }
            ClassicJob::DropSpool { spool } => {
                self.spools.remove(&spool);
                return;
            }
            ClassicJob::DropChunk { name } => {
                assert!(self.kept.remove(&name).is_some(), "{name} is kept");
                return;
            }
            ClassicJob::LookAtTarget { ticket, file } if self.is_left => {
                ClassicReply::TargetLeft { ticket, path: file.into() }
            }
            ClassicJob::LookAtTarget { ticket, .. } => ClassicReply::TargetFree { ticket },
            ClassicJob::Merge { ticket, file, chunks } => {
                let bytes: Vec<u8> = chunks.iter().flat_map(|name| self.kept[name].clone()).collect();
                let reply = ClassicReply::Merged { ticket, path: (&file).into(), bytes: bytes.len() as u64 };
                self.merged = Some((file, bytes));
                reply
            }
            ClassicJob::WriteDictionary { .. } => {
                self.dictionaries += 1;
                return;
            }
            ClassicJob::ReadDictionary => {
                ClassicReply::DictionaryRead { dictionary: self.dictionary.clone() }
            }
            ClassicJob::NoteAvailable { .. } => return,
        };
        self.replies.push_back(reply);
    }
}
