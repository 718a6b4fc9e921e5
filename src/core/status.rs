//! A snapshot of the peer for people: `ls`, progress, `-v`.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::io::{ClassicContent, PeerRef};
use crate::types::{ContentId, PeerId};

/// What the peer knows and does at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The peers in the directory, in the order of their ids.
    pub peers: Vec<PeerStatus>,
    /// What they offer, in the order of (name, id).
    pub contents: Vec<ContentStatus>,
    /// What classic peers offer, in the order of names. Nothing of it is verified.
    pub classic: Vec<ClassicContent>,
    /// Downloads, in the order they were begun.
    pub downloads: Vec<DownloadStatus>,
    /// Connections that said hello.
    pub connections: usize,
    /// Contents named on connections, each counted on each of them.
    pub channels: usize,
    /// Uploads under way or queued.
    pub uploads: usize,
    /// Counters by name, for `-v` and for tests: what was dropped, refused, banned.
    pub counters: Vec<(&'static str, u64)>,
}

/// One peer in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerRef,
    /// Entries in its catalogue, as it says.
    pub catalogue: u32,
    /// Since it was last heard.
    pub silent_for: Duration,
    /// Whether a connection to it stands.
    pub connected: bool,
}

/// One content under one name, as the directory knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentStatus {
    /// The content.
    pub id: ContentId,
    /// The name.
    pub name: String,
    /// The size in bytes, as claimed.
    pub size: u64,
    /// Chunks there are.
    pub of: u32,
    /// Who offers it under this name, and how many chunks each holds.
    pub holders: Vec<(PeerRef, u32)>,
}

/// How an arrangement of neighbours stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighboursStatus {
    /// The owner; `None` at the owner itself.
    pub owner: Option<EndStatus>,
    /// The download neighbours.
    pub upstream: Vec<EndStatus>,
    /// Whether the owner said that it leaves.
    pub owner_left: bool,
    /// Whether the file is here, complete and published. Never at the owner.
    pub holds_all: bool,
    /// How many came to take from here and have all of it by now.
    pub takers_done: usize,
    /// How many came, lack chunks, and are connected.
    pub takers_open: usize,
    /// How many came, lacked chunks, and are gone.
    pub takers_lost: usize,
    /// Whether nothing is being sent, and nothing waits to be.
    pub quiet: bool,
}

/// An endpoint that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndStatus {
    /// Where.
    pub addr: SocketAddr,
    /// Who answered there last.
    pub peer: Option<PeerId>,
    /// Whether a connection stands.
    pub connected: bool,
    /// Chunks it has, or shows, as far as it told.
    pub have: u32,
}

/// One download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadStatus {
    /// The content.
    pub content: ContentId,
    /// Its name.
    pub name: String,
    /// Its size in bytes; as claimed until the manifest is verified.
    pub size: u64,
    /// Chunks there are; 0 until the manifest is verified.
    pub chunks: u32,
    /// Chunks had.
    pub have: u32,
    /// Bytes of the chunks had, and of chunks on their way.
    pub bytes: u64,
    /// Chunks asked for.
    pub in_flight: usize,
    /// Connected peers that hold some of it.
    pub sources: usize,
    /// Peers that chunks came from.
    pub contributors: usize,
}
