//! Contents that are offered no longer, or under fewer names: who is told.

use crate::core::io::{Output, StoreJob};
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::wire::message::{Frame, RefuseReason};

impl Engine {
    /// Somebody opens a content: if its files have several names, the store looks at each, for the bytes come from one of
    /// them only.
    pub(crate) fn look_at_names(&mut self, ctx: &mut Ctx, content: ContentId) {
        let is_whole = ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        if is_whole && ctx.catalogue.names(&content).nth(1).is_some() {
            ctx.outputs.push(Output::Store(StoreJob::Look { content }));
        }
    }

    /// A content is offered under one name less: a peer that has nothing of it yet may want it under that name. It hears that
    /// the content is withdrawn, and looks again at what is on offer.
    pub(crate) fn withdraw_from_beginners(
        &mut self,
        ctx: &mut Ctx,
        content: ContentId,
        reason: RefuseReason,
    ) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            let asks = ctx.uploads.has_request_for(conn, &content);
            let Some(connection) = ctx.conns.native_mut(conn) else { continue };
            let sends = connection.outgoing.is_some_and(|out| out.content == content);
            let Some((number, channel)) = connection.channels.of_mut(&content) else { continue };
            let begun = asks || sends || channel.remote.as_ref().is_some_and(|remote| remote.count() > 0);
            if begun || channel.withdrawn || channel.our_cut.is_none() || channel.theirs.is_none() {
                continue;
            }
            channel.withdrawn = true;
            connection.stale_haves.remove(&number);
            self.say(ctx, conn, Frame::Withdraw { channel: number, reason });
        }
    }

    /// This peer no longer offers a content: whoever it was named to hears so.
    pub(crate) fn withdraw_everywhere(&mut self, ctx: &mut Ctx, content: ContentId, reason: RefuseReason) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            let Some(connection) = ctx.conns.native_mut(conn) else { continue };
            let Some((number, channel)) = connection.channels.of_mut(&content) else { continue };
            if channel.withdrawn || channel.our_cut.is_none() {
                continue;
            }
            channel.withdrawn = true;
            connection.stale_haves.remove(&number);
            self.say(ctx, conn, Frame::Withdraw { channel: number, reason });
        }
        for (conn, request) in ctx.uploads.cancel_content(&content) {
            self.give_request_back(ctx, conn);
            self.reject(ctx, conn, request, reason);
        }
    }
}
