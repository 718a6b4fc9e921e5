//! Contents that the other side names on a connection, refuses, or withdraws: every part that is concerned is told.

use crate::core::io::ConnId;
use crate::core::native::{Ctx, Engine};
use crate::types::{ContentId, Geometry};
use crate::wire::message::{Frame, RefuseReason};

impl Engine {
    /// The other side names a content.
    pub(crate) fn on_open(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        theirs: u32,
        content: ContentId,
        size: u64,
        chunk_bytes: u32,
    ) {
        let their_cut = match (size, chunk_bytes) {
            (0, 0) => None,
            _ => match Geometry::new(size, chunk_bytes) {
                Ok(cut) => Some(cut),
                Err(_) => return self.close_for_fault(ctx, conn, "named an impossible size"),
            },
        };
        self.uncount_former(ctx, conn, &content);
        if let Err(fault) = self.note_their_channel(ctx, conn, theirs, content, their_cut) {
            return self.close_for_fault(ctx, conn, fault);
        }
        self.links.named(content, conn);
        let reason = self.why_not(ctx, conn, &content, their_cut);
        let Some(reason) = reason.or_else(|| self.no_channel_left(ctx, conn, &content)) else {
            self.name_on(ctx, conn, content);
            self.begin_seeding(ctx, conn, content);
            self.note_stale_haves(ctx, conn, content);
            self.on_owner_cut(ctx, conn, content);
            self.request_manifest(ctx, conn, content);
            if ctx.conns.native(conn).is_some_and(|connection| !connection.transport.dialled) {
                self.note_taker(ctx, conn);
            }
            self.note_empty(ctx, conn, &content);
            self.look_at_names(ctx, content);
            return;
        };
        if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content)) {
            channel.withdrawn = true;
        }
        self.say(ctx, conn, Frame::Refuse { content, reason });
        self.keep_refused(ctx, conn, &content);
    }

    /// Why a content that the other side named leads nowhere; `None` when it leads somewhere.
    fn why_not(
        &self,
        ctx: &Ctx,
        conn: ConnId,
        content: &ContentId,
        their_cut: Option<Geometry>,
    ) -> Option<RefuseReason> {
        if ctx.is_leaving {
            return Some(RefuseReason::Unknown);
        }
        if self.cut_of(ctx, content).is_none() {
            let wanted = self.neighbourhood.content == Some(*content)
                || self.searches.iter().any(|(_, search)| search.fetches(content))
                || self.downloader.get(content).is_some_and(|download| download.wants_peers());
            return (!wanted).then_some(ctx.catalogue.why_gone(content));
        }
        let told = ctx.conns.native(conn).and_then(|c| c.channels.of(content)?.1.our_cut);
        match (their_cut, told.or_else(|| self.cut_to_tell(ctx, conn, content))) {
            (Some(theirs), Some(ours)) if theirs.size_bytes() != ours.size_bytes() => {
                Some(RefuseReason::Unknown)
            }
            (Some(theirs), Some(ours)) if theirs != ours => Some(RefuseReason::ChunkSize),
            _ => None,
        }
    }

    /// The other side does not offer a content that we named.
    pub(crate) fn on_refuse(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        content: ContentId,
        reason: RefuseReason,
    ) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.channels.of(&content).is_none() {
            return self.close_for_fault(ctx, conn, "refused what was not named");
        }
        self.unlist(ctx, conn, content, reason);
        self.on_neighbour_refusal(ctx, conn, content, reason);
    }

    /// The other side no longer offers what it named.
    pub(crate) fn on_withdraw(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, reason: RefuseReason) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((_, channel)) = connection.channels.of_theirs(theirs) else {
            return self.close_for_fault(ctx, conn, "withdrew what it did not name");
        };
        let content = channel.content;
        if self.is_former_channel(ctx, conn, theirs) {
            return;
        }
        self.unlist(ctx, conn, content, reason);
    }
}
