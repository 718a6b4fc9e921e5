//! A peer that is not ours, as a value: what it holds and wants, and how far each of its conversations is.
//!
//! It is as simple as those in the field: it answers a request with what it has, and fetches one chunk at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use crate::core::{ConnId, Rng};
use crate::sim::classic::{Ears, ForeignSpec, Manner};
use crate::sim::disk::Library;
use crate::types::Time;
use crate::wire::classic::announcement::{self, BatchChunk};
use crate::wire::classic::answer::{
    AnswerDecoder, AnswerHead, AnswerStep, Asked, PayloadExtent, found, leading_size, missing,
};
use crate::wire::classic::request::RequestDecoder;
use crate::wire::classic::{ChunkName, Dialect};

/// What an answer of a peer of [`Manner::Endless`] is made of, in bytes at a time.
const ENDLESS_PIECE: u64 = 64 << 10;
/// The most bytes of a chunk that it takes.
const CHUNK_BYTES_MAX: u64 = 64 << 20;
/// Digits of a size as text that are looked at.
const LEADING_BYTES: usize = 20;

/// See [the module](self).
#[derive(Debug)]
pub(in crate::sim) struct Foreign {
    pub(in crate::sim) spec: ForeignSpec,
    /// It runs.
    pub(in crate::sim) is_up: bool,
    /// Until when it has no listener.
    pub(in crate::sim) deaf_until: Time,
    pub(super) talks: BTreeMap<ConnId, Talk>,
    next_conn: u32,
    /// Who was served last when.
    served: BTreeMap<IpAddr, Time>,
    /// It binds its listener no more.
    is_dead: bool,
    /// Who announced which chunk in its dialect.
    heard: BTreeMap<String, BTreeSet<IpAddr>>,
    /// When it last heard a datagram.
    heard_at: Option<Time>,
    /// What it fetched.
    pub(in crate::sim) got: BTreeMap<ChunkName, Vec<u8>>,
}

/// One conversation.
#[derive(Debug)]
pub(super) enum Talk {
    /// It was asked.
    Serving(Serving),
    /// It asks.
    Fetching(Fetching),
}

/// A conversation in which it answers.
#[derive(Debug)]
pub(super) struct Serving {
    decoder: RequestDecoder,
    steps: VecDeque<AnswerStep>,
    payload: Vec<u8>,
    /// Not before this does the next step come.
    pub(super) waits_until: Option<Time>,
    /// A whole answer was written.
    pub(super) answered: bool,
}

/// A conversation in which it asks.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) name: ChunkName,
    pub(super) from: IpAddr,
    pub(super) asked: bool,
    decoder: AnswerDecoder,
    head: Option<AnswerHead>,
    bytes: Vec<u8>,
}

/// What it does next in a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It writes these bytes, in a segment of their own.
    Write(Vec<u8>),
    /// It goes on at this time.
    Pause(Time),
    /// It closes its writing half.
    HalfClose,
    /// It writes for ever.
    Endless(Vec<u8>),
    /// It waits for the other side.
    Nothing,
}

impl Foreign {
    pub(in crate::sim) fn new(spec: ForeignSpec) -> Foreign {
        Foreign {
            spec,
            is_up: false,
            deaf_until: Time::ZERO,
            talks: BTreeMap::new(),
            next_conn: 0,
            served: BTreeMap::new(),
            is_dead: false,
            heard: BTreeMap::new(),
            heard_at: None,
            got: BTreeMap::new(),
        }
    }

    /// It runs, and knows nothing of what it heard before.
    pub(in crate::sim) fn restart(&mut self) {
        self.is_up = true;
        self.deaf_until = Time::ZERO;
        self.talks.clear();
        self.served.clear();
        self.is_dead = false;
        self.heard.clear();
        self.heard_at = None;
    }

    pub(in crate::sim) fn stop(&mut self) {
        self.is_up = false;
        self.talks.clear();
    }

    /// The TCP port it listens on.
    pub(in crate::sim) fn tcp_port(&self) -> u16 {
        self.spec.dialect.tcp_port()
    }

    /// Whether it takes a connection from there now. It may die of it.
    pub(super) fn listens_to(&mut self, now: Time, from: IpAddr) -> bool {
        let manner = self.spec.manner;
        self.is_dead |= self.served.get(&from).is_some_and(|served| manner.dies_of(now.since(*served)));
        self.is_up && !self.is_dead && self.deaf_until <= now
    }

    /// All of a chunk went to somebody.
    pub(super) fn has_served(&mut self, now: Time, to: IpAddr) {
        if let Some(gap) = self.spec.manner.gap() {
            self.deaf_until = now + gap;
        }
        self.served.insert(to, now);
    }

    pub(super) fn next_conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId { slot: self.next_conn, generation: 0 }
    }

    /// The datagrams of one round of announcements.
    pub(super) fn announcements(&self, address: Ipv4Addr, user: &str, library: &Library) -> Vec<Vec<u8>> {
        let held: Vec<(ChunkName, u64)> = self.held(library);
        let names: Vec<ChunkName> = held.iter().map(|(name, _)| name.clone()).collect();
        match self.spec.dialect {
            _ if names.is_empty() => Vec::new(),
            Dialect::A | Dialect::ASize | Dialect::E => announcement::encode_files(user, &names),
            Dialect::B | Dialect::BJson | Dialect::C => announcement::encode_chunks(address, &names),
            Dialect::D => {
                let now = chrono::NaiveDateTime::default();
                let batch = held.into_iter().map(|(name, size)| BatchChunk {
                    name,
                    size,
                    sha256: [0; 32],
                    made: now,
                });
                vec![announcement::encode_batch(address, &batch.collect::<Vec<_>>(), now).0]
            }
        }
    }

    /// Its chunks, by name and size.
    fn held(&self, library: &Library) -> Vec<(ChunkName, u64)> {
        let (rule, form) = (self.spec.dialect.chunk_rule(), self.spec.name_form());
        let mut held = Vec::new();
        for holding in &self.spec.holds {
            let content = &library.contents[holding.content];
            for index in 1..=rule.count(content.size()).unwrap_or(0) {
                let range = rule.range(content.size(), index);
                let name = ChunkName::of_file(&content.name, index, form);
                if let (Some(range), Ok(name)) = (range, name)
                    && (holding.chunks.is_empty() || holding.chunks.contains(&index))
                {
                    held.push((name, range.end - range.start));
                }
            }
        }
        held
    }

    fn chunk(&self, library: &Library, name: &ChunkName) -> Option<Vec<u8>> {
        let rule = self.spec.dialect.chunk_rule();
        self.held(library).iter().find(|(held, _)| held == name)?;
        self.spec.holds.iter().find_map(|holding| {
            let content = &library.contents[holding.content];
            let named = ChunkName::of_file(&content.name, name.index(), name.form()).ok()?;
            let range = rule.range(content.size(), name.index()).filter(|_| named == *name)?;
            Some(content.bytes(range.start, range.end - range.start))
        })
    }

    /// Somebody announces.
    pub(super) fn hear(&mut self, now: Time, from: IpAddr, bytes: &[u8]) {
        if let (Ears::OnePerBind(gap), Some(last)) = (self.spec.ears, self.heard_at)
            && now.since(last) < gap
        {
            return;
        }
        self.heard_at = Some(now);
        let Ok(told) = announcement::decode(bytes) else { return };
        if self.spec.ears == Ears::NewestOnly {
            self.heard.values_mut().for_each(|holders| _ = holders.remove(&from));
        }
        for chunk in told.chunks.iter().filter(|chunk| chunk.dialects.contains(&self.spec.dialect)) {
            self.heard.entry(chunk.name.to_string()).or_default().insert(from);
        }
    }

    /// What it fetches next: a chunk it lacks, and who announced it.
    pub(super) fn next_wish(&self, library: &Library, rng: &mut Rng) -> Option<(ChunkName, IpAddr)> {
        let (rule, form) = (self.spec.dialect.chunk_rule(), self.spec.name_form());
        let wishes = self.spec.wants.iter().flat_map(|content| {
            let content = &library.contents[*content];
            let count = rule.count(content.size()).unwrap_or(0);
            (1..=count).filter_map(|index| ChunkName::of_file(&content.name, index, form).ok())
        });
        let mut lacking = wishes.filter(|name| !self.got.contains_key(name));
        lacking.find_map(|name| {
            let holders = self.heard.get(&name.to_string())?;
            let holder = holders.iter().nth(rng.below(holders.len().max(1)))?;
            Some((name, *holder))
        })
    }

    /// Whether it has all of a content, and right.
    pub(in crate::sim) fn has_all(&self, library: &Library, content: usize) -> bool {
        let (rule, form) = (self.spec.dialect.chunk_rule(), self.spec.name_form());
        let content = &library.contents[content];
        (1..=rule.count(content.size()).unwrap_or(0)).all(|index| {
            let name = ChunkName::of_file(&content.name, index, form).ok();
            let range = rule.range(content.size(), index);
            name.zip(range).is_some_and(|(name, range)| {
                let truth = content.bytes(range.start, range.end - range.start);
                self.got.get(&name) == Some(&truth)
            })
        })
    }
}

impl Serving {
    pub(super) fn new(tcp_port: u16) -> Serving {
        Serving {
            decoder: RequestDecoder::new(tcp_port),
            steps: VecDeque::new(),
            payload: Vec::new(),
            waits_until: None,
            answered: false,
        }
    }

    /// Bytes came: when they end a request, the steps of its answer are laid out.
    pub(super) fn take(&mut self, bytes: &[u8], foreign: &Foreign, library: &Library, rng: &mut Rng) {
        let Ok((_, Some(request))) = self.decoder.push(bytes) else { return };
        let dialect = foreign.spec.dialect;
        let chunk = foreign.chunk(library, &request.name).filter(|_| foreign.spec.manner != Manner::Empty);
        let Some(mut chunk) = chunk else {
            self.steps = missing(dialect).into();
            return;
        };
        let told = match foreign.spec.manner {
            Manner::LiesAboutSize => chunk.len() as u64 + 7,
            _ => chunk.len() as u64,
        };
        match foreign.spec.manner {
            Manner::Mute => return,
            Manner::CutsShort => chunk.truncate(chunk.len() / 2),
            Manner::LiesAboutSize => chunk.truncate(chunk.len() - chunk.len().min(3)),
            Manner::Forges => chunk.iter_mut().for_each(|byte| *byte = rng.bytes16()[0]),
            _ => {}
        }
        self.payload = chunk;
        self.steps = found(dialect, &request.name, told).into();
        if foreign.spec.manner == Manner::CutsShort && dialect.keeps_connection() {
            self.steps.pop_back();
            self.steps.push_back(AnswerStep::HalfClose);
        }
    }

    /// The next step of the answer under way.
    pub(super) fn next(&mut self, now: Time, manner: Manner) -> Move {
        if let Some(until) = self.waits_until {
            if now < until {
                return Move::Nothing;
            }
            self.waits_until = None;
        }
        match self.steps.pop_front() {
            None => Move::Nothing,
            Some(AnswerStep::Bytes(bytes)) => Move::Write(bytes),
            Some(AnswerStep::Pause(pause)) => {
                self.waits_until = Some(now + pause);
                Move::Pause(now + pause)
            }
            Some(AnswerStep::Payload(size)) if manner == Manner::Endless => {
                self.steps.push_front(AnswerStep::Payload(size));
                Move::Endless(vec![b'7'; usize::try_from(ENDLESS_PIECE).unwrap_or(0)])
            }
            Some(AnswerStep::Payload(_)) => Move::Write(std::mem::take(&mut self.payload)),
            Some(AnswerStep::HalfClose) => {
                self.answered = true;
                if manner == Manner::NeverCloses { Move::Nothing } else { Move::HalfClose }
            }
            Some(AnswerStep::KeepOpen) => {
                self.answered = true;
                Move::Nothing
            }
        }
    }
}

impl Fetching {
    pub(super) fn new(dialect: Dialect, name: ChunkName, from: IpAddr) -> Fetching {
        let asked = Asked { name: name.clone(), announced_bytes: None, bytes_max: CHUNK_BYTES_MAX };
        let decoder = AnswerDecoder::new(dialect, asked);
        Fetching { name, from, asked: false, decoder, head: None, bytes: Vec::new() }
    }

    /// Bytes came. Fails when they are no answer of the dialect.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        if self.head.is_none() {
            let (used, head) = self.decoder.push(bytes).map_err(|error| error.to_string())?;
            bytes = &bytes[used..];
            if let Some(AnswerHead::Payload { begins_with, .. }) = &head {
                self.bytes.extend_from_slice(begins_with);
            }
            self.head = head;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The chunk, once all of it is there. `ended`: nothing more comes.
    pub(super) fn chunk(&self, ended: bool) -> Option<Vec<u8>> {
        let Some(AnswerHead::Payload { extent, .. }) = &self.head else { return None };
        match extent {
            PayloadExtent::Exact(size) if *size == self.bytes.len() as u64 => Some(self.bytes.clone()),
            PayloadExtent::ToEnd if ended => Some(self.bytes.clone()),
            PayloadExtent::SizedToEnd if ended => {
                let leading = &self.bytes[..self.bytes.len().min(LEADING_BYTES)];
                let digits = leading_size(leading, self.bytes.len() as u64)?;
                Some(self.bytes[digits..].to_vec())
            }
            _ => None,
        }
    }

    /// Whether there is nothing to wait for: the answer said that the chunk is not there.
    pub(super) fn is_missing(&self) -> bool {
        self.head == Some(AnswerHead::Missing)
    }
}
