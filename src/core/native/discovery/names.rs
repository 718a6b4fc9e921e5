//! A content under several names, of which one is withdrawn: its file was edited or removed, and others with the same bytes are
//! still there.

use crate::core::io::{ConnId, Event, FailReason};
use crate::core::native::{Ctx, Engine};
use crate::types::ContentId;
use crate::wire::message::RefuseReason;
use std::time::Duration;

/// What its only holder removed may be on offer again within this time: some programs save a file so.
const REMOVED_GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// A holder withdrew a content because its file changed or is gone. A download that was asked for by name, and of which
    /// nothing is here, counts on nobody any more who offers the content under other names only.
    pub(crate) fn note_changed(
        &mut self,
        ctx: &mut Ctx,
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
        let asked = download.wish.ticket.and_then(|ticket| self.searches.asked(ticket));
        if asked.is_some_and(|asked| asked.by_name) {
            self.directory.name_only(content, &download.wish.name);
        }
    }

    /// The only holder of a download removed the file, and nothing of it is here: the download fails soon. True when it
    /// has.
    pub(crate) fn review_removed(&mut self, ctx: &mut Ctx, content: ContentId) -> bool {
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

    /// A peer does not hold a content after all.
    pub(crate) fn unlist(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId, reason: RefuseReason) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.of(&content).is_none_or(|(_, channel)| channel.refused) {
            // Said once is enough.
            return;
        }
        let (from, known) = (connection.peer_ref(), connection.known_peer());
        // Who only looks for it, too, will name it; so will a neighbour that does not know yet what there is.
        let holds = known.is_some_and(|peer| self.directory.is_holder(&peer, &content));
        let seeks = known.is_some_and(|peer| self.is_on_overlay(ctx, &peer, &content)) && !holds;
        let not_yet = reason == RefuseReason::Unknown && (seeks || !ctx.config.topology.finds_peers());
        if let Some(peer) = known {
            self.directory.unlist(&peer, &content);
        }
        if self.downloader.get(&content).is_some_and(|download| download.wants_peers()) && !not_yet {
            ctx.outputs.event(Event::SourceLost { content, from, why: reason.text() });
        }
        self.note_changed(ctx, conn, content, reason);
        self.lose_source(ctx, conn, content);
        if self.name_to_ask(ctx, &content).is_some()
            && let Some(download) = self.downloader.get_mut(&content)
        {
            // The next review asks who has the name now, whenever the last question was.
            download.next_query = ctx.now;
        }
    }
}
