//! What benches of the core share: a peer whose other sides, disk and time are the test's.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chunkcast::core::{Config, ConnId, Expect, Input, Limits, Peer, Sink, SpoolId, Topology};
use chunkcast::types::Time;

/// A native peer on this host, found by others, that speaks no other protocol.
pub(crate) fn config(user: &str, here: IpAddr) -> Config {
    Config {
        user: user.to_owned(),
        tcp_port: 7117,
        announce_interval: Duration::from_secs(60),
        discovers: true,
        topology: Topology::Mesh,
        classic: None,
        http: None,
        transfers: None,
        broadcast: true,
        fixed_peers: Vec::new(),
        own_addresses: vec![here],
        agent: "bench".to_owned(),
        limits: Limits::default(),
    }
}

/// A peer under test.
pub(crate) trait Bench {
    /// The peer, and what time it is for it.
    fn core(&mut self) -> (&mut Peer, &mut Time);
    /// Carries out what the peer asks for.
    fn drain(&mut self);
    /// Bytes of a connection go into a spool.
    fn spool(&mut self, spool: SpoolId, bytes: &[u8]);

    fn tell(&mut self, input: Input<'_>) {
        let (peer, now) = self.core();
        peer.handle(*now, input);
        self.drain();
    }

    /// Lets time pass, deadline by deadline.
    fn wait(&mut self, how_long: Duration) {
        let end = *self.core().1 + how_long;
        loop {
            let (peer, now) = self.core();
            let due = peer.deadline().map(|(at, _)| at).filter(|at| *at <= end);
            *now = due.map_or(end, |at| at.max(*now));
            self.tell(Input::Tick);
            if due.is_none() {
                return;
            }
        }
    }

    fn wait_ms(&mut self, ms: u64) {
        self.wait(Duration::from_millis(ms));
    }

    /// A connection from host 9; the test fails when there is no room for it.
    fn accept(&mut self, port: u16) -> ConnId {
        let (peer, now) = self.core();
        let conn = peer.accepted(*now, SocketAddr::from(([10, 0, 0, 9], 40_000)), port);
        self.drain();
        conn.unwrap_or_else(|| panic!("there is no room"))
    }

    /// The other side sends bytes; returns how many were taken.
    fn hears(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        let (mut used, mut idle) = (0, 0);
        while used < bytes.len() && idle < 2 {
            let (peer, now) = self.core();
            let taken = match peer.expects(conn) {
                Expect::Control => peer.received(*now, conn, &bytes[used..]),
                Expect::Payload { sink, left } => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - used);
                    peer.stored(*now, conn, count as u64);
                    // The peer's answer to the bytes is drained behind this.
                    if let Sink::Spool(spool) = sink {
                        self.spool(spool, &bytes[used..used + count]);
                    }
                    count
                }
                Expect::Nothing => 0,
            };
            self.drain();
            idle = if taken == 0 { idle + 1 } else { 0 };
            used += taken;
        }
        used
    }
}
