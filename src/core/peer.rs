//! The peer: owns every role, routes each input to the flow that concerns it, and nothing more.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::door::{ConnId, Expect, Input, Output, Segment};
use crate::core::id::PeerId;
use crate::core::limits::Limits;
use crate::core::status::Status;
use crate::core::time::Time;

/// What a peer is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The user's name, for display.
    pub user: String,
    /// The TCP port the driver listens on.
    pub tcp_port: u16,
    /// How often it announces itself.
    pub announce_interval: Duration,
    /// Whether it sends broadcasts at all.
    pub broadcast: bool,
    /// Peers that somebody named: dialled and asked without being heard first.
    pub fixed_peers: Vec<SocketAddr>,
    /// This host's own addresses, which some limits except.
    pub own_addresses: Vec<std::net::IpAddr>,
    /// Program and version, for display.
    pub agent: String,
    /// All bounds.
    pub limits: Limits,
}

/// A chunkcast peer without sockets, files, clock or threads.
#[derive(Debug)]
pub struct Peer {}

impl Peer {
    /// A peer that begins at `now`; all its randomness comes from `seed`.
    pub fn new(config: Config, seed: u64, now: Time) -> Peer {
        let _ = (config, seed, now);
        Peer {}
    }

    /// Who this peer is.
    pub fn id(&self) -> PeerId {
        PeerId([0; 16])
    }

    /// Takes in one thing that happened. Drain [`Peer::poll`] afterwards.
    pub fn handle(&mut self, now: Time, input: Input<'_>) {
        let _ = (now, input);
    }

    /// A connection came in on `local_port`; `None`: refuse it (close it at once). Drain [`Peer::poll`] afterwards.
    pub fn accepted(&mut self, now: Time, from: SocketAddr, local_port: u16) -> Option<ConnId> {
        let _ = (now, from, local_port);
        None
    }

    /// What the next bytes of a connection are. Asked before each read.
    pub fn expects(&self, conn: ConnId) -> Expect {
        let _ = conn;
        Expect::Nothing
    }

    /// Hands over control bytes; returns how many the core took. What is left over is payload (ask
    /// [`Peer::expects`]), or must not be read any more. Drain [`Peer::poll`] afterwards.
    pub fn received(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let _ = (now, conn);
        bytes.len()
    }

    /// So many payload bytes went into the sink. Drain [`Peer::poll`] afterwards.
    pub fn stored(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let _ = (now, conn, bytes);
    }

    /// What a connection wants to send next: a look. Frames are made when they are pulled, so this may encode some
    /// into the connection's outbox; asking again gives the same answer until `sent` or another mutation.
    pub fn next_segment(&mut self, now: Time, conn: ConnId) -> Segment<'_> {
        let _ = (now, conn);
        Segment::Nothing
    }

    /// So many bytes of the segment are in the kernel (1 for [`Segment::HalfClose`] once it is done). Drain
    /// [`Peer::poll`] afterwards.
    pub fn sent(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let _ = (now, conn, bytes);
    }

    /// The next instruction; call until `None` after every mutation.
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// The earliest moment at which something must happen without input, and what.
    pub fn deadline(&self) -> Option<(Time, &'static str)> {
        None
    }

    /// A snapshot for people.
    pub fn status(&self, now: Time) -> Status {
        let _ = now;
        Status::default()
    }

    /// Panics when something is not as it must be. For tests and simulation.
    pub fn check_invariants(&self) {}
}
