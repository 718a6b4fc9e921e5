//! Channels that are over because both sides have all of the content.

use crate::core::io::ConnId;
use crate::core::native::session::channels::Channel;
use crate::core::native::{Ctx, Engine};
use crate::types::{Bitfield, ContentId};
use crate::wire::message::Frame;

impl Engine {
    /// A content is here whole. On connections of many channels, the one for it is over where the other side has it whole, too.
    pub(crate) fn end_sated_channels(&mut self, ctx: &mut Ctx, content: &ContentId) {
        for conn in self.links.on(content).collect::<Vec<_>>() {
            let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(content));
            let has_all = |channel: &Channel| channel.remote.as_ref().is_some_and(Bitfield::is_full);
            let is_agreed = |channel: &Channel| channel.opened && !channel.withdrawn && !channel.refused;
            if channel.is_some_and(|(_, channel)| has_all(channel) && is_agreed(channel)) {
                self.tell_sated(ctx, conn, content);
                self.end_sated_channel(ctx, conn, content);
            }
        }
    }

    /// Who has all of a content is told that it is here whole, too, though it needs no chunk: else the channel would never be
    /// over there. On connections of few channels that is not worth a frame.
    fn tell_sated(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.numbers() <= ctx.config.limits.channels_unused_max
            || ctx.config.topology.follows_lists()
        {
            return;
        }
        // They have to know the cut first.
        self.name_on(ctx, conn, *content);
        let Some(holding) = ctx.catalogue.get(content) else { return };
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((channel, state)) = connection.channels.of_mut(content) else { return };
        let Some(cut) = state.our_cut else { return };
        state.told = Some(holding.logged());
        self.say(ctx, conn, Frame::Have { channel, first: 0, count: cut.chunks() });
    }

    /// The other side has all of a content: if it is here whole, too, and nothing more is to come of it, the channel is over.
    pub(crate) fn end_sated_channel(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.numbers() <= ctx.config.limits.channels_unused_max {
            return;
        }
        let Some((_, channel)) = connection.channels.of(content) else { return };
        let is_agreed = channel.opened && channel.theirs.is_some() && !channel.withdrawn && !channel.refused;
        let is_quiet = !ctx.uploads.has_request_for(conn, content)
            && connection.outgoing.is_none_or(|out| out.content != *content)
            && connection.incoming.is_none_or(|incoming| incoming.content != *content)
            && !connection.awaits_cancelled(content)
            && connection.manifest_asks.is_empty()
            && !connection.manifest_job;
        let is_whole = ctx.catalogue.get(content).is_some_and(|holding| holding.is_complete());
        // A peer that super-seeds has to know who has which chunk.
        let is_followed = ctx.config.topology.follows_lists() || self.seedings.contains_key(content);
        if is_agreed && is_quiet && is_whole && !is_followed && self.downloader.get(content).is_none() {
            self.end_channel(ctx, conn, content);
        }
    }
}
