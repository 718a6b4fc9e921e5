//! A peer that offers something from another address than the one at which it is known.

use crate::core::io::PeerRef;
use crate::core::native::discovery::searches::Search;
use crate::core::native::peers::directory::Heard;
use crate::core::native::session::Claim;
use crate::core::native::{Ctx, Engine};
use crate::wire::message::Entry;
use std::net::SocketAddr;

impl Engine {
    /// A peer offers something from another address than the one at which it is known. If that is wanted here, dials show who is
    /// where: an impostor that was heard first would keep the peer out as long as it likes.
    pub(crate) fn test_where_known(&mut self, ctx: &mut Ctx, heard: &Heard, entries: &[Entry]) {
        let Some(known) = self.directory.get(&heard.peer).filter(|known| known.addr != heard.addr) else {
            return;
        };
        let addr = known.addr;
        let is_sought = self.is_sought(heard, entries);
        if !is_sought && !self.is_for_mirror_anew(ctx, entries) {
            return;
        }
        if let Some(standing) = self.links.to_peer(&heard.peer) {
            return match self.claim_of(ctx, standing) {
                Claim::Proven => {}
                Claim::Untested => self.dial_to_test(ctx, addr, is_sought),
                Claim::Refuted => self.dial_to_test(ctx, heard.addr, is_sought),
            };
        }
        let dialled = self.links.to_endpoint(&addr).and_then(|conn| ctx.conns.native(conn));
        match dialled.map(|connection| connection.identity.as_ref().map(|identity| identity.peer)) {
            None => {
                self.dial_to_test(ctx, addr, is_sought);
                self.dial_to_test(ctx, heard.addr, is_sought);
            }
            Some(Some(there)) if there != heard.peer => {
                self.forget_impostors(ctx, &addr, &there);
                self.dial_to_test(ctx, heard.addr, is_sought);
            }
            // The answer there is awaited.
            Some(_) => {}
        }
    }

    /// Whether some of this is looked for or fetched.
    pub(crate) fn is_sought(&self, heard: &Heard, entries: &[Entry]) -> bool {
        let holder = PeerRef { id: Some(heard.peer), addr: heard.addr, user: heard.user.clone() };
        entries.iter().any(|entry| {
            let matches = |search: &Search| {
                search.purpose.is_about(&holder) && search.wanted.matches(&entry.name, &entry.id)
            };
            self.searches.iter().any(|(_, search)| matches(search))
                || self.downloader.get(&entry.id).is_some_and(|download| download.wants_peers())
        })
    }

    fn dial_to_test(&mut self, ctx: &mut Ctx, to: SocketAddr, is_sought: bool) {
        if is_sought {
            self.dial_though_connected(ctx, to);
        } else {
            self.dial_for_mirror(ctx, to);
        }
    }
}
