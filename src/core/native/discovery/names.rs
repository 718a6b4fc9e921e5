//! A content under several names, of which one is withdrawn: its file was edited or removed, and others with the same bytes are
//! still there.

use std::time::Duration;

use crate::core::door::{ConnId, FailReason, Output, StoreJob};
use crate::core::native::{Ctx, Engine};
use crate::types::id::ContentId;
use crate::wire::message::{Frame, RefuseReason};

/// What its only holder removed may be on offer again within this time: some programs save a file so.
const REMOVED_GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// Somebody opens a content: if its files have several names, the store looks at each, for the bytes come from one of
    /// them only.
    pub(in crate::core) fn look_at_names(&mut self, ctx: &mut Ctx<'_>, content: ContentId) {
        let is_whole = ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        if is_whole && ctx.catalogue.names(&content).nth(1).is_some() {
            ctx.outputs.push(Output::Store(StoreJob::Look { content }));
        }
    }

    /// A content is offered under one name less: a peer that has nothing of it yet may want it under that name. It hears that
    /// the content is withdrawn, and looks again at what is on offer.
    pub(in crate::core) fn withdraw_from_beginners(
        &mut self,
        ctx: &mut Ctx<'_>,
        content: ContentId,
        reason: RefuseReason,
    ) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            let asks = ctx.uploads.asks_for(conn, &content);
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

    /// A holder withdrew a content because its file changed or is gone. A download that was asked for by name, and of which
    /// nothing is here, counts on nobody any more who offers the content under other names only.
    pub(in crate::core) fn note_changed(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        content: ContentId,
        reason: RefuseReason,
    ) {
        if !matches!(reason, RefuseReason::Changed | RefuseReason::Gone)
            || ctx.catalogue.get(&content).is_some_and(|holding| holding.count() > 0)
        {
            return;
        }
        let from = ctx.conns.native(conn).map(|connection| connection.peer_ref());
        let Some(download) = self.downloader.get_mut(&content).filter(|download| download.wants_peers())
        else {
            return;
        };
        download.removed =
            from.filter(|_| reason == RefuseReason::Gone).map(|from| Box::new((ctx.now, from)));
        let asked = download.ticket.and_then(|ticket| self.searches.asked(ticket));
        if asked.is_some_and(|asked| asked.by_name) {
            self.directory.name_only(content, &download.name);
        }
    }

    /// The only holder of a download removed the file, and nothing of it is here: the download fails soon. True when it
    /// has.
    pub(in crate::core) fn review_removed(&mut self, ctx: &mut Ctx<'_>, content: ContentId) -> bool {
        let removed = self.downloader.get(&content).and_then(|download| download.removed.as_deref());
        let Some((since, from)) = removed.cloned() else { return false };
        let is_begun = ctx.catalogue.get(&content).is_some_and(|holding| holding.count() > 0);
        let is_over =
            !is_begun && ctx.now.since(since) >= REMOVED_GRACE && self.name_to_ask(ctx, &content).is_some();
        if is_over {
            self.fail_download(ctx, content, FailReason::Removed { from });
        }
        is_over
    }
}
