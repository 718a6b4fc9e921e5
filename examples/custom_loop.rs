//! The core of chunkcast in a loop of one's own: two peers, a clock that this program winds, a network that is a queue, and
//! files in memory. No socket, file, thread or clock of the system takes part.
//!
//! ```text
//! cargo run --example custom_loop
//! ```
//!
//! The loop keeps the one law of the core: after each call that changes a peer, `poll` is drained.

#![allow(clippy::expect_used, clippy::panic, reason = "a world in memory that goes wrong has to say so")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chunkcast::core::{
    Command, Config, ConnId, DatagramTo, Event, Expect, IfaceId, Input, Limits, Output, PartState, Peer,
    Segment, Sink, SpanSource, StoreJob, StoreReply, Topology,
};
use chunkcast::types::manifest::ManifestBuilder;
use chunkcast::types::name::Layout;
use chunkcast::types::{ContentId, Geometry, Manifest, Time};
use chunkcast::wire::message::Wanted;

const PORT: u16 = 7117;

/// A peer with its disk and its end of each connection.
struct Host {
    peer: Peer,
    address: SocketAddr,
    /// Contents that are here, or come in, with what proves their chunks.
    files: BTreeMap<ContentId, (Manifest, Vec<u8>)>,
    /// The memory of chunk buffers, by the numbers that the core gives them.
    buffers: BTreeMap<u32, Vec<u8>>,
    links: BTreeMap<ConnId, Link>,
    events: Vec<Event>,
}

/// One end of a connection: the same connection at the other host, and the bytes that came from there.
struct Link {
    other: ConnId,
    inbox: VecDeque<u8>,
}

/// Two hosts on one network.
pub(crate) struct World {
    now: Time,
    hosts: [Host; 2],
}

fn main() {
    let content = (0..3_000_000_u32).map(|at| (at / 7 % 251) as u8).collect::<Vec<u8>>();
    let mut world = World::new();
    world.share("talk.mkv", content.clone());
    let received = world.get("talk.mkv");
    println!("{} bytes came in {}", received.len(), world.now);
    assert_eq!(received, content);
}

impl World {
    pub(crate) fn new() -> World {
        World { now: Time::ZERO, hosts: [Host::new(1), Host::new(2)] }
    }

    /// Host 0 shares a file: its disk says so, as after hashing it.
    pub(crate) fn share(&mut self, name: &str, bytes: Vec<u8>) {
        let size = bytes.len() as u64;
        let mut builder = ManifestBuilder::new(Geometry::native(size).expect("it is small"));
        builder.push(&bytes);
        let (content, manifest) = builder.finish().expect("all bytes are in");
        self.hosts[0].files.insert(content, (manifest, bytes));
        self.tell(0, Input::Stored(StoreReply::Offered { content, name: name.to_owned(), size }));
    }

    /// Host 1 gets a file; returns its bytes.
    pub(crate) fn get(&mut self, name: &str) -> Vec<u8> {
        let (wait, stall) = (Duration::from_secs(30), Duration::from_secs(60));
        let wanted = Wanted::Name(name.to_owned());
        let get = Command::Get { ticket: 1, wanted, at: None, layout: Layout::Flat, wait, stall };
        self.tell(1, Input::Command(get));
        loop {
            for event in std::mem::take(&mut self.hosts[1].events) {
                match event {
                    Event::Finished { content, .. } => return self.hosts[1].files[&content].1.clone(),
                    Event::Failed { .. } | Event::SearchFailed { .. } => panic!("{event:?}"),
                    _ => {}
                }
            }
            // Bytes move as long as there are any; then time goes on to the first deadline.
            if !(0..2).any(|host| self.move_bytes(host)) {
                let deadlines = self.hosts.iter().filter_map(|host| host.peer.deadline());
                self.now =
                    self.now.max(deadlines.map(|(at, _)| at).min().expect("a peer always has a deadline"));
                (0..2).for_each(|host| self.tell(host, Input::Tick));
            }
        }
    }

    fn tell(&mut self, host: usize, input: Input<'_>) {
        self.hosts[host].peer.handle(self.now, input);
        self.drain(host);
    }

    /// Carries out all that a peer asks for.
    fn drain(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].peer.poll() {
            match output {
                Output::Datagram { to, bytes } => self.datagram(host, to, &bytes),
                Output::Dial { conn, to } => self.dial(host, conn, to),
                Output::Store(job) => {
                    if let Some(reply) = self.hosts[host].carry_out(job) {
                        self.tell(host, Input::Stored(reply));
                    }
                }
                Output::Release(buffer) => drop(self.hosts[host].buffers.remove(&buffer.0)),
                Output::Event(event) => self.hosts[host].events.push(event),
                // This loop visits all connections, so none has to be woken.
                Output::Wake(_) => {}
            }
        }
    }

    fn datagram(&mut self, host: usize, to: DatagramTo, bytes: &[u8]) {
        let (from, other) = (self.hosts[host].address, 1 - host);
        if matches!(to, DatagramTo::One { addr, .. } if addr != self.hosts[other].address) {
            return;
        }
        self.tell(other, Input::Datagram { iface: IfaceId(0), from, bytes });
    }

    fn dial(&mut self, host: usize, conn: ConnId, to: SocketAddr) {
        let other = 1 - host;
        assert_eq!(to, self.hosts[other].address, "there are two hosts");
        let Some(accepted) = self.hosts[other].peer.accepted(self.now, self.hosts[host].address, PORT) else {
            return self.tell(host, Input::Broken { conn, why: chunkcast::core::BrokenWhy::Reset });
        };
        self.hosts[host].links.insert(conn, Link { other: accepted, inbox: VecDeque::new() });
        self.hosts[other].links.insert(accepted, Link { other: conn, inbox: VecDeque::new() });
        self.drain(other);
        self.tell(host, Input::Connected { conn });
    }

    /// Moves what the connections of a host have to say and have heard. False when that is nothing.
    fn move_bytes(&mut self, host: usize) -> bool {
        let conns: Vec<ConnId> = self.hosts[host].links.keys().copied().collect();
        conns.into_iter().fold(false, |moved, conn| self.write(host, conn) | self.read(host, conn) | moved)
    }

    fn write(&mut self, host: usize, conn: ConnId) -> bool {
        let place = &mut self.hosts[host];
        let bytes = match place.peer.next_segment(self.now, conn) {
            Segment::Bytes { bytes, .. } => bytes.to_vec(),
            Segment::Span { source: SpanSource::Content(content), offset, len } => {
                let from = usize::try_from(offset).expect("it is small");
                let len = usize::try_from(len).expect("it is small");
                place.files[&content].1[from..from + len].to_vec()
            }
            Segment::Close | Segment::Abort => {
                self.hang_up(host, conn);
                return true;
            }
            Segment::Span { .. } | Segment::HalfClose | Segment::Nothing => return false,
        };
        let other = place.links[&conn].other;
        if let Some(link) = self.hosts[1 - host].links.get_mut(&other) {
            link.inbox.extend(&bytes);
        }
        self.hosts[host].peer.sent(self.now, conn, bytes.len() as u64);
        self.drain(host);
        true
    }

    fn read(&mut self, host: usize, conn: ConnId) -> bool {
        let place = &mut self.hosts[host];
        let Some(link) = place.links.get_mut(&conn).filter(|link| !link.inbox.is_empty()) else {
            return false;
        };
        let bytes = link.inbox.make_contiguous();
        let taken = match place.peer.expects(conn) {
            Expect::Control => place.peer.received(self.now, conn, bytes),
            Expect::Payload { sink, left } => {
                let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                if let Sink::Buffer { buffer, at, len } = sink {
                    let memory = place.buffers.entry(buffer.0).or_insert_with(|| vec![0; len as usize]);
                    memory[at as usize..at as usize + count].copy_from_slice(&bytes[..count]);
                }
                place.peer.stored(self.now, conn, count as u64);
                count
            }
            Expect::Nothing => 0,
        };
        link.inbox.drain(..taken);
        self.drain(host);
        taken > 0
    }

    fn hang_up(&mut self, host: usize, conn: ConnId) {
        if let Some(link) = self.hosts[host].links.remove(&conn) {
            self.tell(host, Input::Closed { conn });
            if self.hosts[1 - host].links.remove(&link.other).is_some() {
                let why = chunkcast::core::BrokenWhy::Reset;
                self.tell(1 - host, Input::Broken { conn: link.other, why });
            }
        }
    }
}

impl Host {
    fn new(number: u8) -> Host {
        let address = SocketAddr::from(([10, 0, 0, number], PORT));
        let config = Config {
            topology: Topology::Mesh,
            limits: Limits::default(),
            user: format!("host-{number}"),
            tcp_port: PORT,
            announce_interval: Duration::from_secs(60),
            discovers: true,
            broadcast: true,
            classic: None,
            http: None,
            transfers: None,
            fixed_peers: Vec::new(),
            own_addresses: vec![address.ip()],
            agent: "custom-loop".to_owned(),
        };
        let (files, buffers, links) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let peer = Peer::new(config, number.into(), Time::ZERO);
        Host { peer, address, files, buffers, links, events: Vec::new() }
    }

    /// A disk in memory: what a job asks for is done at once.
    fn carry_out(&mut self, job: StoreJob) -> Option<StoreReply> {
        Some(match job {
            StoreJob::OpenPart { content, .. } => StoreReply::PartOpened { content, state: PartState::Fresh },
            StoreJob::CreatePart { content, manifest } => {
                let size = usize::try_from(manifest.geometry.size_bytes()).expect("it is small");
                self.files.insert(content, (*manifest, vec![0; size]));
                StoreReply::PartCreated { content }
            }
            StoreJob::WriteChunk { content, chunk, buffer } => {
                let bytes = self.buffers.remove(&buffer.0).unwrap_or_default();
                let (manifest, file) = self.files.get_mut(&content)?;
                if !manifest.verify_chunk(&content, chunk, &bytes) {
                    return Some(StoreReply::ChunkBad { content, chunk, buffer });
                }
                let (offset, _) = manifest.geometry.chunk_span(chunk)?;
                let from = usize::try_from(offset).expect("it is small");
                file[from..from + bytes.len()].copy_from_slice(&bytes);
                StoreReply::ChunkStored { content, chunk, buffer }
            }
            StoreJob::StoreSingleChunk { content, buffer } => {
                let bytes = self.buffers.remove(&buffer.0).unwrap_or_default();
                let mut builder = ManifestBuilder::new(Geometry::native(bytes.len() as u64).ok()?);
                builder.push(&bytes);
                match builder.finish() {
                    Ok((id, manifest)) if id == content => self.files.insert(content, (manifest, bytes)),
                    _ => return Some(StoreReply::ChunkBad { content, chunk: 0, buffer }),
                };
                StoreReply::SingleChunkStored { content, path: PathBuf::from(content.short()), buffer }
            }
            StoreJob::Publish { content } => {
                StoreReply::Published { content, path: PathBuf::from(content.short()) }
            }
            StoreJob::ClosePart { content } | StoreJob::DropPart { content } => {
                StoreReply::PartClosed { content }
            }
            StoreJob::ReadManifest { content, first, conn, channel, .. } => {
                let page = self.files.get(&content).and_then(|(manifest, _)| manifest.page(channel, first));
                StoreReply::ManifestRead { conn, content, page: page.map(Box::new) }
            }
            StoreJob::Recheck { content, chunk, .. } => StoreReply::Rechecked { content, chunk, good: true },
            StoreJob::Look { .. } | StoreJob::Classic(_) | StoreJob::Transfer(_) => return None,
        })
    }
}
