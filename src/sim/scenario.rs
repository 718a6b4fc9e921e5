//! What is simulated: hosts, links, contents, and a timeline of faults. Values only; a failure prints them.

use std::time::Duration;

use crate::core::Limits;
use crate::sim::classic::{ClassicSpec, ForeignSpec};
use crate::sim::hostile::HostileSpec;
use crate::sim::transfers::TakesSpec;
use crate::types::Time;
use crate::types::defaults::defaults;
use crate::wire::transfer::Form;

defaults! {
    /// A whole simulated world. Everything else that happens follows from it.
    #[derive(Debug, Clone)]
    pub struct Scenario {
        /// All randomness follows from this.
        pub seed: u64 = 0,
        /// The contents there are; hosts name them by their index.
        pub contents: Vec<ContentSpec> = Vec::new(),
        /// The hosts, each with at most one peer; actions name them by their index.
        pub hosts: Vec<HostSpec> = Vec::new(),
        /// What lies between them.
        pub network: NetworkSpec = NetworkSpec::default(),
        /// What happens to them and when, in any order.
        pub timeline: Vec<(Time, Action)> = Vec::new(),
        /// The bounds of every peer.
        pub limits: Limits = Limits::default(),
        /// How often every peer announces itself.
        pub announce_interval: Duration = Duration::from_secs(60),
        /// `Peer::check_invariants` runs after every so many mutations of a peer.
        pub check_every: u64 = 1,
        /// How often the oracle looks at the whole world.
        pub sweep_every: Duration = Duration::from_secs(1),
        /// Whether every frame that is written is decoded again and compared with what may be said.
        pub checks_protocol: bool = true,
        /// Whether every event is kept.
        pub keep_events: bool = true,
        /// Whether it is kept when each chunk came where.
        pub keep_arrivals: bool = false,
    }
}

/// One content.
#[derive(Debug, Clone)]
pub struct ContentSpec {
    /// The name it is shared under.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Tells apart contents of one name and size.
    pub seed: u64,
    /// The chunk size that a ring's owner wishes for, in bytes; `None`: that of native sharing.
    pub ring_chunk_bytes: Option<u32>,
    /// The chunk size that all peers use outside of a ring, in bytes; `None`: that of native sharing.
    pub chunk_bytes: Option<u32>,
}

defaults! {
    /// One host and its peer.
    ///
    /// The default: an honest host on a gigabit link with a fast disk that shares and wants nothing.
    #[derive(Debug, Clone)]
    pub struct HostSpec {
        /// What its uplink carries, in bytes a second.
        pub up: u64 = 125_000_000,
        /// What its downlink carries, in bytes a second.
        pub down: u64 = 125_000_000,
        /// Whether it keeps to the protocol.
        pub nature: Nature = Nature::Honest,
        /// Whether its peer leaves and ends once its gets are over.
        pub leaves: bool = false,
        /// How its peer speaks the classic dialects, if it does.
        pub classic: Option<ClassicSpec> = None,
        /// When its peer starts.
        pub starts_at: Time = Time::ZERO,
        /// The contents it shares from its start, wholly.
        pub shares: Vec<usize> = Vec::new(),
        /// What it fetches.
        pub gets: Vec<GetSpec> = Vec::new(),
        /// The pattern of what it mirrors, and the bytes it has room for.
        pub mirrors: Option<(String, u64)> = None,
        /// What it says to offers: to accept them, or to decline them. `None`: it takes none.
        pub receives: Option<bool> = None,
        /// What it does with what senders of other programs send to it. `None`: nobody can.
        pub takes: Option<TakesSpec> = None,
        /// Hosts it was told of (`--peer`).
        pub fixed_peers: Vec<usize> = Vec::new(),
        /// Whether it sends and hears broadcasts.
        pub broadcast: bool = true,
        /// Its disk.
        pub disk: DiskSpec = DiskSpec::default(),
        /// A peer that is not ours runs here instead of one of ours.
        pub foreign: Option<ForeignSpec> = None,
        /// Instead of a peer of ours one runs here that means harm.
        pub hostile: Option<HostileSpec> = None,
        /// Its place among neighbours; `None`: it is one of a mesh.
        pub place: Option<PlaceSpec> = None,
    }
}

/// A host's place among neighbours, which it was told by their indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceSpec {
    /// It super-seeds the content that it shares.
    Owner {
        /// How many peers are expected.
        peers: u32,
        /// How long after the first peer the shares of peers that did not come are assigned to the others.
        reassign_after: Duration,
    },
    /// It gets what the owner assigns to it, and the rest from its download neighbours. Its one get says what that is.
    Peer {
        /// The owner.
        owner: usize,
        /// Whom it downloads from.
        neighbours: Vec<usize>,
        /// After so long without progress it asks the owner for everything.
        owner_fallback: Option<Duration>,
    },
}

/// One download that a host wants.
#[derive(Debug, Clone)]
pub struct GetSpec {
    /// What.
    pub what: Target,
    /// How long after its peer's start.
    pub after: Duration,
    /// How long it looks for somebody who offers it.
    pub wait: Duration,
    /// How long it waits for holders.
    pub stall: Duration,
}

/// What a host wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The content with this index, by its id.
    Id(usize),
    /// Contents of this name.
    Name(String),
    /// Contents whose names match.
    Glob(String),
}

/// How a host treats the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// As it should.
    Honest,
    /// So many of a million spans it sends are wrong.
    Poisoner {
        /// Spans of a million.
        ppm: u32,
    },
    /// It says what it has and never sends a byte of it.
    Liar,
    /// It says what it has and never answers who asks for a manifest.
    Mute,
    /// It announces, takes connections, and never says a word on them.
    Silent,
    /// Its manifests are not those of the ids.
    Forger,
    /// Beside being a peer, it broadcasts mutilated datagrams.
    Garbage {
        /// How often.
        every: Duration,
    },
}

defaults! {
    /// A virtual disk.
    #[derive(Debug, Clone)]
    pub struct DiskSpec {
        /// What every job costs.
        pub latency: Duration = Duration::from_micros(100),
        /// How fast it writes, in bytes a second.
        pub rate: u64 = 1_000_000_000,
        /// How many bytes fit; `None`: all.
        pub free_bytes: Option<u64> = None,
        /// So many of a million writes fail.
        pub write_error_ppm: u32 = 0,
    }
}

defaults! {
    /// The network between the hosts: one broadcast domain.
    #[derive(Debug, Clone)]
    pub struct NetworkSpec {
        /// From any host to any other.
        pub latency: Duration = Duration::from_micros(200),
        /// A random time below this is added.
        pub jitter: Duration = Duration::ZERO,
        /// So many of a million datagrams are lost.
        pub loss_ppm: u32 = 0,
        /// So many of a million datagrams come twice.
        pub duplicate_ppm: u32 = 0,
        /// So many of a million datagrams come up to 100 ms late, and so out of order.
        pub reorder_ppm: u32 = 0,
        /// So many of a million datagrams are cut short or have a bit flipped.
        pub mutilate_ppm: u32 = 0,
        /// Bytes of a stream that travel together: a random number up to this.
        pub piece_bytes_max: u64 = 64 << 10,
        /// The send buffer of a socket, in bytes.
        pub send_buffer_bytes: u64 = 128 << 10,
        /// The receive window of a socket, in bytes.
        pub window_bytes: u64 = 512 << 10,
        /// Whether what happens at one instant comes in a random order.
        pub shuffle: bool = false,
    }
}

/// Something that happens to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The peer's process is killed; its machine closes its sockets.
    Kill(usize),
    /// The machine loses power: nobody is told, and what was not synced may be lost.
    PowerOff(usize),
    /// A peer starts (again), on the same disk.
    Start(usize),
    /// The process stands still for so long.
    Pause(usize, Duration),
    /// The host's clock jumps ahead.
    ClockJump(usize, Duration),
    /// The hosts named are cut off from all others.
    Isolate(Vec<usize>),
    /// No host is cut off any more.
    Rejoin,
    /// Every stream between two hosts is reset.
    Reset(usize, usize),
    /// A disk takes no more bytes.
    DiskFull(usize),
    /// A disk takes all bytes again, and its writes succeed.
    DiskMended(usize),
    /// A shared file is changed by its owner.
    Change(usize, usize),
    /// A host shares one more content.
    Share(usize, usize),
    /// A chunk rots on a disk; nobody notices until it is hashed again: host, content, chunk.
    Rot(usize, usize, u32),
    /// A host's links change to these rates, in bytes a second: up, down.
    Rates(usize, u64, u64),
    /// The chance of a datagram to be lost, in a million.
    Loss(u32),
    /// A host sends a content that it shares to another: from, content, to.
    Send(usize, usize, usize),
    /// A host sends a content that it shares, in a form of other programs: from, content, to, form.
    Transfer(usize, usize, usize, Form),
    /// A host gives up a download.
    Cancel(usize, usize),
    /// A peer is asked to leave.
    Leave(usize),
    /// A host asks again for what it wanted and does not have.
    GetAgain(usize),
}

impl Scenario {
    /// A calm world without hosts.
    pub fn new(seed: u64) -> Scenario {
        Scenario { seed, ..Scenario::default() }
    }

    /// Adds a content and returns its index.
    pub fn content(&mut self, name: &str, size: u64) -> usize {
        let seed = self.contents.len() as u64;
        self.contents.push(ContentSpec {
            name: name.to_owned(),
            size,
            seed,
            ring_chunk_bytes: None,
            chunk_bytes: None,
        });
        self.contents.len() - 1
    }

    /// Adds a content that is cut for a ring and returns its index.
    pub fn ring_content(&mut self, name: &str, size: u64, chunk_bytes: u32) -> usize {
        let content = self.content(name, size);
        self.contents[content].ring_chunk_bytes = Some(chunk_bytes);
        content
    }

    /// Adds a host and returns its index.
    pub fn host(&mut self, host: HostSpec) -> usize {
        self.hosts.push(host);
        self.hosts.len() - 1
    }

    /// Something happens at `at`.
    pub fn at(&mut self, at: Time, action: Action) {
        self.timeline.push((at, action));
    }
}

impl HostSpec {
    /// The same on a link of `rate` bytes a second both ways.
    pub fn rate(mut self, rate: u64) -> HostSpec {
        (self.up, self.down) = (rate, rate);
        self
    }

    /// The same, sharing one more content.
    pub fn shares(mut self, content: usize) -> HostSpec {
        self.shares.push(content);
        self
    }

    /// The same, fetching one more thing from its start.
    pub fn gets(mut self, what: Target) -> HostSpec {
        let (wait, stall) = (Duration::from_secs(3), Duration::from_secs(600));
        self.gets.push(GetSpec { what, after: Duration::ZERO, wait, stall });
        self
    }

    /// The same, speaking the classic dialects too.
    pub fn classic(mut self, classic: ClassicSpec) -> HostSpec {
        self.classic = Some(classic);
        self
    }

    /// The same, with a peer that is not ours.
    pub fn foreign(mut self, foreign: ForeignSpec) -> HostSpec {
        self.foreign = Some(foreign);
        self
    }

    /// The same, with a peer that means harm.
    pub fn hostile(mut self, hostile: HostileSpec) -> HostSpec {
        self.hostile = Some(hostile);
        self
    }

    /// The same, mirroring what matches a pattern.
    pub fn mirrors(mut self, pattern: &str, room_bytes: u64) -> HostSpec {
        self.mirrors = Some((pattern.to_owned(), room_bytes));
        self
    }

    /// The same, with this place among neighbours.
    pub fn placed(mut self, place: PlaceSpec) -> HostSpec {
        self.place = Some(place);
        self
    }

    /// The same, taking all that is offered.
    pub fn receives(mut self) -> HostSpec {
        self.receives = Some(true);
        self
    }

    /// The same, taking in transfers.
    pub fn takes(mut self, takes: TakesSpec) -> HostSpec {
        self.takes = Some(takes);
        self
    }

    /// The same, starting at `at`.
    pub fn starts_at(mut self, at: Time) -> HostSpec {
        self.starts_at = at;
        self
    }
}
