//! Hostile hosts at work in the world: when they act, and what they say on connections.

use std::net::SocketAddr;
use std::time::Duration;

use crate::core::ConnId;
use crate::sim::hostile::Hostility;
use crate::sim::hostile::datagrams::hostile_id;
use crate::sim::hostile::state::{endpoint, hello, invented, stranger};
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Piece, StreamRef};
use crate::types::PeerId;
use crate::wire::frame::{self, Decoded};
use crate::wire::message::{CataloguePage, Frame};

/// Connections with one host that request and cancel.
const FLOODING: usize = 2;
/// Addresses of no host from which an idle crowd dials.
const CROWD_ADDRESSES: usize = 12;
/// Requests that are taken back at once, in one burst.
const BURST: u32 = 8;
/// Entries of one page of an endless catalogue.
const PAGE_ENTRIES: usize = 16;
/// While so many bytes wait to be sent, nothing more is said.
const BACKLOG_BYTES_MAX: u64 = 4 << 10;

impl Simulation {
    /// A hostile host begins.
    pub(in crate::sim) fn start_hostile(&mut self, host: usize) {
        if let Some(hostile) = &mut self.hosts[host].hostile {
            hostile.is_up = true;
            let first = self.rng.duration_below(hostile.spec.every);
            self.schedule_hostile(host, first);
        }
    }

    fn schedule_hostile(&mut self, host: usize, after: Duration) {
        let incarnation = self.hosts[host].incarnation;
        self.queue.push(self.now + after, Happening::HostileActs { host: index(host), incarnation });
    }

    /// A hostile host does what it is there for, once.
    pub(in crate::sim) fn hostile_acts(&mut self, host: usize) {
        let Some(spec) = self.hosts[host].hostile.as_ref().map(|hostile| hostile.spec) else { return };
        match spec.manner {
            Hostility::IdleCrowd { connections } => {
                let from = stranger(&mut self.rng, CROWD_ADDRESSES);
                self.dial_an_honest_host(host, endpoint(from), connections);
            }
            Hostility::FloodsDatagrams => self.flood_datagrams(host),
            Hostility::FloodsFrames => {
                let from = self.hosts[host].next_address();
                self.dial_an_honest_host(host, from, FLOODING);
                self.on_all_talks(host, Simulation::flood_frames);
            }
            Hostility::ForgesSources => self.forge_source(host),
            Hostility::Impersonates => match self.rng.chance_ppm(500_000) {
                true => self.announce_as_another(host),
                false => {
                    let from = self.hosts[host].next_address();
                    self.dial_an_honest_host(host, from, FLOODING);
                }
            },
            Hostility::EndlessCatalogue => {
                if self.rng.chance_ppm(20_000) {
                    self.announce_endless(host);
                }
                self.on_all_talks(host, Simulation::give_a_page);
            }
        }
        self.schedule_hostile(host, spec.every);
    }

    /// Dials one of the honest hosts, unless so many conversations with it are under way.
    fn dial_an_honest_host(&mut self, host: usize, from: SocketAddr, most: usize) {
        let honest = self.honest_hosts();
        let Some(with) = honest.get(self.rng.below(honest.len().max(1))).copied() else { return };
        let claimed = match self.hosts[host].hostile.as_ref().map(|hostile| hostile.spec.manner) {
            Some(Hostility::Impersonates) => self.a_heard_id(host),
            _ => Some(PeerId(self.rng.bytes16())),
        };
        let (Some(id), Some(hostile)) = (claimed, &mut self.hosts[host].hostile) else { return };
        if hostile.talks.values().filter(|talk| talk.with == with).count() < most {
            let conn = hostile.converse(with, id);
            let to = self.hosts[with].tcp_address();
            self.dial_from(host, from, conn, to);
        }
    }

    fn on_all_talks(&mut self, host: usize, act: impl Fn(&mut Simulation, usize, ConnId)) {
        let Some(hostile) = &self.hosts[host].hostile else { return };
        let conns: Vec<ConnId> =
            hostile.talks.iter().filter(|(_, talk)| talk.greeted).map(|(conn, _)| *conn).collect();
        conns.into_iter().for_each(|conn| act(self, host, conn));
    }

    /// Requests, each taken back at once, pings, and complaints of chunks that never came.
    fn flood_frames(&mut self, host: usize, conn: ConnId) {
        let mut frames = Vec::new();
        for chunk in 0..BURST {
            frames.push(Frame::Request { channel: 0, chunk });
            frames.push(Frame::Cancel { channel: 0, chunk });
            frames.push(Frame::Ping);
        }
        if self.rng.chance_ppm(10_000) {
            frames.push(Frame::Bad { channel: 0, chunk: 0 });
        }
        self.hostile_says(host, conn, &frames);
    }

    /// One page of those that were asked for; more always follow.
    fn give_a_page(&mut self, host: usize, conn: ConnId) {
        let Some(hostile) = &mut self.hosts[host].hostile else { return };
        let Some(talk) = hostile.talks.get_mut(&conn).filter(|talk| talk.pages_due > 0) else { return };
        talk.pages_due -= 1;
        let entries = (0..PAGE_ENTRIES).map(|_| invented(&mut self.rng)).collect();
        let page = CataloguePage { entries, more: true, generation: 1 };
        self.hostile_says(host, conn, &[Frame::CataloguePage(page)]);
    }

    /// A connection comes in.
    pub(in crate::sim) fn hostile_accepts(&mut self, host: usize, from: SocketAddr) -> Option<ConnId> {
        let with = self.host_at(from.ip())?;
        let hostile = self.hosts[host].hostile.as_mut().filter(|hostile| hostile.is_up)?;
        Some(hostile.converse(with, hostile_id(host)))
    }

    /// A connection broke or was closed.
    pub(in crate::sim) fn hostile_lost(&mut self, host: usize, conn: ConnId) {
        if let Some(hostile) = &mut self.hosts[host].hostile {
            hostile.talks.remove(&conn);
        }
    }

    /// Everything a hostile host has to do now on its connections.
    pub(in crate::sim) fn hostile_turn(&mut self, host: usize) {
        self.forget_closed();
        while let Some((stream, end, visited)) = self.next_ready(host) {
            if let Some(conn) = visited {
                if end == 0 {
                    self.greet(host, conn);
                }
                self.hostile_reads(host, stream, end, conn);
            }
            self.forget_closed();
        }
    }

    /// It says hello, if it did not yet, and what its manner has it say at once.
    fn greet(&mut self, host: usize, conn: ConnId) {
        let Some(hostile) = &mut self.hosts[host].hostile else { return };
        let manner = hostile.spec.manner;
        let Some(talk) = hostile.talks.get_mut(&conn).filter(|talk| !talk.greeted) else { return };
        talk.greeted = true;
        let mut frames = vec![Frame::Hello(hello(talk.id))];
        match manner {
            Hostility::FloodsFrames => {
                let content = self.rng.below(self.library.contents.len());
                let content = self.library.contents[content].id;
                frames.push(Frame::Open { channel: 0, content, size: 0, chunk_bytes: 0 });
            }
            Hostility::Impersonates => frames.push(Frame::Bye { reason: "leaving".to_owned() }),
            _ => {}
        }
        self.hostile_says(host, conn, &frames);
    }

    fn hostile_says(&mut self, host: usize, conn: ConnId, frames: &[Frame]) {
        let Some((stream, end)) = self.hosts[host].socket(conn) else { return };
        let Some(writer) = self.streams.end_mut(stream, end) else { return };
        if frames.is_empty() || writer.out.fin || writer.out.unsent() > BACKLOG_BYTES_MAX {
            return;
        }
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame::encode(frame, &mut bytes));
        writer.out.write_control(&bytes);
        self.kick(stream, end);
    }

    /// It reads all that came, and throws payload away.
    fn hostile_reads(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let from = &mut found.ends[usize::from(1 - end)];
        let Some(hostile) = &mut self.hosts[host].hostile else { return };
        let Some(talk) = hostile.talks.get_mut(&conn) else { return };
        let (mut pings, mut greeted) = (0, false);
        while let Some(piece) = from.out.front() {
            let (Piece::Control { len } | Piece::Payload { len, .. }) = piece;
            if let Piece::Control { len } = piece {
                from.out.peek_control(len, &mut self.scratch);
                let mut rest = &self.scratch[..];
                while let Ok((used, Some(decoded))) = talk.decoder.decode(rest) {
                    rest = &rest[used..];
                    match decoded {
                        Decoded::Frame(Frame::Hello(_)) => greeted = true,
                        Decoded::Frame(Frame::Ping) => pings += 1,
                        Decoded::Frame(Frame::CatalogueRequest(_)) => talk.pages_due += 1,
                        Decoded::Frame(_) | Decoded::Chunk { .. } => {}
                    }
                }
            }
            from.out.consume(len);
        }
        let ended = from.out.at_end();
        self.consumed(stream, 1 - end);
        if greeted {
            self.greet(host, conn);
        }
        self.hostile_says(host, conn, &vec![Frame::Pong; pings]);
        if ended {
            self.hostile_lost(host, conn);
            self.close(stream, end);
        }
    }
}
