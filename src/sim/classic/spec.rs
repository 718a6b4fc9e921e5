//! What a host of a scenario speaks of the classic dialects, and what foreign peers are like. Values only.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::{DictionaryUse, Voice};
use crate::types::defaults::defaults;
use crate::wire::classic::{Dialect, NEXT_DIAL_PAUSE, NameForm, TCP_PORTS, UDP_PORTS};

defaults! {
    /// How a host with a peer of ours speaks the classic dialects.
    ///
    /// The default: announces as A and as B, hears and serves everything, and speaks natively too.
    #[derive(Debug, Clone)]
    pub struct ClassicSpec {
        /// Whether it speaks natively too.
        pub native: bool = true,
        /// In which dialects it announces, each on its own ports.
        pub dialects: Vec<Dialect> = vec![Dialect::A, Dialect::B],
        /// The UDP ports on which it hears announcements.
        pub hears: Vec<u16> = UDP_PORTS.to_vec(),
        /// Its TCP ports, each with the port of the dialects that it stands in for.
        pub ports: BTreeMap<u16, u16> = TCP_PORTS.into_iter().map(|port| (port, port)).collect(),
        /// The TCP port that it dials instead of a dialect's own.
        pub dial_port: Option<u16> = None,
        /// The dialects of hosts it was told of (`--classic-dialect`).
        pub told: Vec<(usize, Dialect)> = Vec::new(),
        /// The only dialect in which it asks; `None`: whichever a chunk was announced in.
        pub asks_in: Option<Dialect> = None,
        /// What the dictionary on its disk is to it.
        pub dictionary: DictionaryUse = DictionaryUse::None,
        /// The most bytes of a chunk that it takes.
        pub chunk_bytes_max: u64 = 4 << 20,
        /// Chunks that lie on its disk from the beginning, under names of this form.
        pub keeps: Vec<(Holding, NameForm)> = Vec::new(),
        /// What it fetches.
        pub gets: Vec<ClassicGetSpec> = Vec::new(),
    }
}

/// One file that a host wants from classic peers.
#[derive(Debug, Clone)]
pub struct ClassicGetSpec {
    /// The file's name.
    pub name: String,
    /// How long after its peer's start.
    pub after: Duration,
    /// How long it waits for somebody who announces what is missing.
    pub wait: Duration,
}

/// Chunks of one content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The content.
    pub content: usize,
    /// Its chunks, from 1; empty: all.
    pub chunks: Vec<u32>,
}

/// A peer that is not ours: it holds chunks, announces and serves them, and fetches, in one dialect.
#[derive(Debug, Clone)]
pub struct ForeignSpec {
    /// What it speaks.
    pub dialect: Dialect,
    /// What it has.
    pub holds: Vec<Holding>,
    /// Contents it fetches, a chunk at a time, from whoever announces them in its dialect.
    pub wants: Vec<usize>,
    /// The form of the names it uses; `None`: its dialect's.
    pub form: Option<NameForm>,
    /// What it is like.
    pub manner: Manner,
    /// What it makes of datagrams.
    pub ears: Ears,
    /// How often it announces.
    pub announce_every: Duration,
}

/// What a foreign peer is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As its dialect has it.
    Plain,
    /// It closes a connection when it accepts the next.
    NeverCloses,
    /// After each chunk it has no listener for so long.
    Rebinds(Duration),
    /// The same, and it dies of a client that comes back within [`NEXT_DIAL_PAUSE`] after its chunk.
    DiesOfHaste(Duration),
    /// It announces and then has nothing.
    Empty,
    /// It ends each answer in its midst.
    CutsShort,
    /// Its answers do not end.
    Endless,
    /// It says another size than it sends, where its dialect tells one, and sends fewer bytes.
    LiesAboutSize,
    /// It answers with bytes that are none of the file's.
    Forges,
    /// It says nothing on the connections it takes.
    Mute,
    /// It sends garbage to the classic ports this often, beside being what it is.
    Floods(Duration),
}

/// What a foreign peer makes of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ears {
    /// It keeps all that it hears.
    Keen,
    /// It binds its socket anew for each datagram, and so misses what comes within this time after one.
    OnePerBind(Duration),
    /// It keeps only the newest datagram of a peer.
    NewestOnly,
}

impl ClassicSpec {
    /// The same, announcing in these dialects.
    pub fn speaks(mut self, dialects: &[Dialect]) -> ClassicSpec {
        self.dialects = dialects.to_vec();
        self
    }

    /// The same, without native speech.
    pub fn classic_only(mut self) -> ClassicSpec {
        self.native = false;
        self
    }

    /// The same, fetching one more file, from so long after its start.
    pub fn gets(mut self, name: &str, after: Duration, wait: Duration) -> ClassicSpec {
        self.gets.push(ClassicGetSpec { name: name.to_owned(), after, wait });
        self
    }

    /// Where it announces in what.
    pub(in crate::sim) fn voices(&self) -> Vec<Voice> {
        let voices =
            |dialect: Dialect| dialect.udp_ports().iter().map(move |port| Voice { dialect, port: *port });
        self.dialects.iter().copied().flat_map(voices).collect()
    }
}

impl ForeignSpec {
    /// A peer of this dialect that has and wants nothing.
    pub fn new(dialect: Dialect) -> ForeignSpec {
        ForeignSpec {
            dialect,
            holds: Vec::new(),
            wants: Vec::new(),
            form: None,
            manner: Manner::Plain,
            ears: Ears::Keen,
            announce_every: Duration::from_secs(5),
        }
    }

    /// The same, holding these chunks too; none named: all.
    pub fn holds(mut self, content: usize, chunks: &[u32]) -> ForeignSpec {
        self.holds.push(Holding { content, chunks: chunks.to_vec() });
        self
    }

    /// The same, fetching this too.
    pub fn wants(mut self, content: usize) -> ForeignSpec {
        self.wants.push(content);
        self
    }

    /// The same, with names of this form.
    pub fn named(mut self, form: NameForm) -> ForeignSpec {
        self.form = Some(form);
        self
    }

    /// The same, with these ears.
    pub fn ears(mut self, ears: Ears) -> ForeignSpec {
        self.ears = ears;
        self
    }

    /// The form of the names it uses.
    pub(in crate::sim) fn name_form(&self) -> NameForm {
        self.form.unwrap_or(self.dialect.name_form())
    }

    /// The same, of this manner.
    pub fn manner(mut self, manner: Manner) -> ForeignSpec {
        self.manner = manner;
        self
    }
}

impl Manner {
    /// How long it has no listener after each chunk.
    pub(in crate::sim) fn gap(self) -> Option<Duration> {
        match self {
            Manner::Rebinds(gap) | Manner::DiesOfHaste(gap) => Some(gap),
            _ => None,
        }
    }

    /// Whether it does not survive a client that comes back so long after its chunk.
    pub(in crate::sim) fn dies_of(self, pause: Duration) -> bool {
        matches!(self, Manner::DiesOfHaste(_)) && pause < NEXT_DIAL_PAUSE
    }

    /// Whether what it sends may be wrong.
    pub(in crate::sim) fn is_hostile(self) -> bool {
        matches!(self, Manner::CutsShort | Manner::Endless | Manner::LiesAboutSize | Manner::Forges)
    }
}
