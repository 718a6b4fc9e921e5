//! Datagrams of this peer, put together and sent.

use crate::core::io::DatagramTo;
use crate::core::io::Output;
use crate::core::native::{Ctx, Engine};
use crate::core::timers::Timer;
use crate::wire::datagram;
use crate::wire::message::Announcement;
use crate::wire::message::Entry;
use crate::wire::message::Query;
use crate::wire::message::Wanted;

impl Engine {
    /// What is offered changed; tell the others soon.
    pub(crate) fn announce_soon(&mut self, ctx: &mut Ctx) {
        if !ctx.config.discovers {
            return;
        }
        self.announcer.rhythm.changed(ctx.now, ctx.rng);
        ctx.timers.set(Timer::Announce, self.announcer.rhythm.next());
    }

    /// Asks everybody, and the peers that somebody named, for something.
    pub(crate) fn query(&mut self, ctx: &mut Ctx, wanted: Wanted) {
        let query = Query {
            peer: ctx.id,
            user: ctx.config.user.clone(),
            port: ctx.config.tcp_port,
            nonce: ctx.rng.next_u64(),
            wanted,
        };
        match datagram::encode_query(&query) {
            Some(bytes) => {
                self.announcer.ask(ctx.now, query.nonce);
                self.send_to_all(ctx, bytes);
            }
            None => ctx.counters.add("queries too long for a datagram"),
        }
    }

    pub(crate) fn announcement(&self, ctx: &Ctx, entries: Vec<Entry>, answers: Option<u64>) -> Announcement {
        Announcement {
            peer: ctx.id,
            user: ctx.config.user.clone(),
            port: ctx.config.tcp_port,
            interval_ms: u64::try_from(ctx.config.announce_interval.as_millis()).unwrap_or(u64::MAX),
            known_peers: u32::try_from(self.directory.len()).unwrap_or(u32::MAX),
            generation: ctx.catalogue.generation(),
            catalogue: u32::try_from(ctx.catalogue.len()).unwrap_or(u32::MAX),
            entries,
            answers,
        }
    }

    /// The next `count` entries behind the announcer's cursor, from the start again after the last one.
    pub(crate) fn entries_from_cursor(&self, ctx: &Ctx, count: usize) -> Vec<Entry> {
        let behind = ctx.catalogue.entries_after(self.announcer.cursor.clone());
        behind.chain(ctx.catalogue.entries_after(None)).take(count).collect()
    }

    pub(crate) fn send_to_all(&mut self, ctx: &mut Ctx, bytes: Vec<u8>) {
        if !ctx.config.discovers {
            return;
        }
        for addr in ctx.config.fixed_peers.clone() {
            let to = DatagramTo::One { iface: None, addr };
            ctx.outputs.push(Output::Datagram { to, bytes: bytes.clone() });
        }
        if ctx.config.broadcast {
            ctx.outputs.push(Output::Datagram { to: DatagramTo::Everybody, bytes });
        }
    }
}
