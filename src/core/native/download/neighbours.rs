//! Connects to those that an arrangement of neighbours names, and names its content to them.

use crate::core::io::{ConnId, FailReason, Fault, FaultKind};
use crate::core::native::topology::neighbourhood::Part;
use crate::core::native::{Ctx, Engine};
use crate::types::{ContentId, PeerId};
use std::net::SocketAddr;

impl Engine {
    /// Sees to it that this peer is connected to who was named, as far as it needs them.
    pub(crate) fn seek_neighbours(&mut self, ctx: &mut Ctx) {
        let ends = self.neighbourhood.ends().filter(|end| self.needs(ctx, end.addr));
        let ends: Vec<(SocketAddr, Option<PeerId>)> = ends.map(|end| (end.addr, end.peer)).collect();
        for (addr, peer) in ends {
            match peer.and_then(|peer| self.links.to_peer(&peer)) {
                Some(conn) => self.name_content(ctx, conn),
                None => {
                    self.dial_or_wait(ctx, addr);
                }
            }
        }
    }

    /// A connection to one of those that were named is open.
    pub(crate) fn greet_neighbour(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Part { owner, upstream } = self.part_at(ctx, conn);
        if owner && self.neighbourhood.content.is_none() {
            self.look_at_neighbour(ctx, conn);
        } else if owner || upstream {
            self.name_content(ctx, conn);
        }
    }

    /// Names the content on a connection where it never was. Who refused it names it once it has it.
    fn name_content(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let Some(content) = self.neighbourhood.content else { return };
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(&content));
        if channel.is_none_or(|(_, channel)| !channel.opened) {
            self.name_on(ctx, conn, content);
        }
    }

    /// The part that is here is of no use.
    pub(crate) fn refuse_part(&mut self, ctx: &mut Ctx, content: ContentId) {
        let kib = self.neighbourhood.cut.map_or(0, |cut| cut.chunk_bytes() >> 10);
        let text = format!(
            "a part of this file is here in chunks of another size than the owner's {kib} KiB; move the .part file away, \
             or use another folder (-o)"
        );
        let fault = Fault { kind: FaultKind::Denied, text };
        self.fail_download(ctx, content, FailReason::Storage(fault));
    }
}
