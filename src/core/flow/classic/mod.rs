//! The classic dialects: what is heard and announced, served and asked for, and what the store says about it.

mod announce;
mod ask;
mod converse;
mod files;
mod get;
mod hear;
mod serve;
mod storage;

use crate::core::classic::conversation::Side;
use crate::core::peer::Peer;

impl Peer {
    /// Panics when the state of the classic dialects does not hang together.
    pub(in crate::core) fn check_classic(&self) {
        self.classic.holders.check();
        self.classic.shelf.check();
        self.classic.fetches.check();
        for spool in self.classic.fetches.spools() {
            assert!(self.spools.contains(spool), "{spool} is in use");
        }
        let serving = self
            .connections
            .classics()
            .filter(|(_, conversation)| matches!(conversation.side, Side::Serving(_)));
        let served = serving.map(|(conn, conversation)| (conversation.transport.addr.ip(), conn)).collect();
        assert_eq!(self.classic.served, served, "conversations that are served");
        for (ticket, index, attempt) in self.classic.fetches.attempts() {
            let Some(conn) = attempt.conn else { continue };
            let side = self.connections.classic(conn).map(|conversation| &conversation.side);
            let asks = matches!(side, Some(Side::Asking(a)) if (a.ticket, a.index) == (ticket, index));
            assert!(asks, "{conn} asks for chunk {index} of fetch {ticket}");
        }
    }
}
