//! What benches of the core share: a peer whose other sides, disk and time are the test's.

#![allow(dead_code, reason = "each suite uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

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
        foreign: None,
        broadcast: true,
        fixed_peers: Vec::new(),
        own_addresses: vec![here],
        agent: "bench".to_owned(),
        limits: Limits::default(),
    }
}

/// A peer under test.
pub(crate) trait Bench {
    fn peer(&mut self) -> &mut Peer;
    fn now(&mut self) -> &mut Time;
    /// Carries out what the peer asks for.
    fn drain(&mut self);
    /// Bytes of a connection go into a spool.
    fn spool(&mut self, spool: SpoolId, bytes: &[u8]);

    fn tell(&mut self, input: Input<'_>) {
        let now = *self.now();
        self.peer().handle(now, input);
        self.drain();
    }

    /// Lets time pass, deadline by deadline.
    fn wait(&mut self, how_long: Duration) {
        let end = *self.now() + how_long;
        while let Some((at, _)) = self.peer().deadline().filter(|(at, _)| *at <= end) {
            let now = *self.now();
            *self.now() = now.max(at);
            self.tell(Input::Tick);
        }
        *self.now() = end;
        self.tell(Input::Tick);
    }

    fn wait_ms(&mut self, ms: u64) {
        self.wait(Duration::from_millis(ms));
    }

    /// A connection from host 9; the test fails when there is no room for it.
    fn accept(&mut self, port: u16) -> ConnId {
        let (from, now) = (SocketAddr::from(([10, 0, 0, 9], 40_000)), *self.now());
        let conn = self.peer().accepted(now, from, port).expect("there is room");
        self.drain();
        conn
    }

    /// The other side sends bytes; returns how many were taken.
    fn hears(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        let (mut used, mut idle) = (0, 0);
        while used < bytes.len() && idle < 2 {
            let now = *self.now();
            let taken = match self.peer().expects(conn) {
                Expect::Control => self.peer().received(now, conn, &bytes[used..]),
                Expect::Payload { sink, left } => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - used);
                    if let Sink::Spool(spool) = sink {
                        self.spool(spool, &bytes[used..used + count]);
                    }
                    self.peer().stored(now, conn, count as u64);
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
