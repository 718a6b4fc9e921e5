//! The classic dialects: what comes in by them, and what goes out.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::door::ClassicReply;
use crate::core::peer::Peer;
use crate::core::time::Time;

impl Peer {
    pub(in crate::core) fn on_classic_datagram(&mut self, _: Time, _: u16, _: SocketAddr, _: &[u8]) {}

    pub(in crate::core) fn on_get_classic(&mut self, _: Time, _: u32, _: String, _: Duration) {}

    pub(in crate::core) fn on_classic_stored(&mut self, _: Time, _: ClassicReply) {}
}
