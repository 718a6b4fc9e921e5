//! Which chunks others have, as far as they told.

use crate::core::connections::Connections;
use crate::core::io::ConnId;
use crate::core::native::session::channels::Channel;
use crate::core::native::{Ctx, Engine};
use crate::types::{Bitfield, ContentId};
use crate::wire::message::Frame;

/// Chunks that one connection may tell again, in all; each costs work and tells nothing.
const HAVES_AGAIN_MAX: u32 = 4 << 20;

impl Engine {
    /// Names a content on a connection, tells what is here of it, and asks for what it takes to fetch it.
    pub(crate) fn name_on(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        self.uncount_former(ctx, conn, &content);
        if self.open_channel(ctx, conn, content) {
            self.note_stale_haves(ctx, conn, content);
            self.request_manifest(ctx, conn, content);
        }
    }

    pub(crate) fn on_have_map(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, bits: &[u8]) {
        if self.needs_no_haves(ctx, conn, theirs) {
            return self.note_no_haves(ctx, conn, theirs, |chunks| {
                Bitfield::from_bytes(chunks, bits).is_some_and(|bits| bits.is_full())
            });
        }
        let told = ctx.conns.native(conn).and_then(|connection| {
            let (_, channel) = connection.channels.of_theirs(theirs)?;
            Some((channel.content, Bitfield::from_bytes(channel.their_cut?.chunks(), bits)?))
        });
        let Some((content, bits)) = told else {
            return self.close_for_fault(ctx, conn, "sent a bitfield of wrong size");
        };
        self.count_remote(ctx, conn, &content, false);
        let chunks: Vec<u32> =
            if self.seedings.contains_key(&content) { bits.iter().collect() } else { Vec::new() };
        let new = bits.count();
        if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content)) {
            channel.remote = Some(bits);
        }
        self.count_remote(ctx, conn, &content, true);
        self.note_list(ctx, conn, content, chunks, new);
        self.request_manifest(ctx, conn, content);
        self.request_chunks(ctx, content);
    }

    pub(crate) fn on_have(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, first: u32, count: u32) {
        if self.needs_no_haves(ctx, conn, theirs) {
            return self.note_no_haves(ctx, conn, theirs, |chunks| first == 0 && count == chunks);
        }
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let told = connection.channels.of_theirs(theirs).and_then(|(_, channel)| {
            let chunks = channel.their_cut?.chunks();
            let end = first.checked_add(count).filter(|end| count > 0 && *end <= chunks)?;
            Some((channel.content, chunks, end))
        });
        let Some((content, chunks, end)) = told else {
            return self.close_for_fault(ctx, conn, "has chunks that do not exist");
        };
        let mut again = connection.haves_again;
        let Some((_, channel)) = connection.channels.of_mut(&content) else { return };
        let download = self.downloader.get(&content);
        let is_counted = download.is_some_and(|download| channel.counts_for(download.geometry));
        let remote = channel.remote.get_or_insert_with(|| Bitfield::empty(chunks));
        let before = remote.count();
        let mut copies = self.copies.find_mut(&content).filter(|_| is_counted);
        for chunk in first..end {
            if !remote.set(chunk) {
                continue;
            }
            if let Some(count) = copies.as_mut().and_then(|copies| copies.get_mut(chunk as usize)) {
                *count = count.saturating_add(1);
            }
        }
        let new = remote.count().saturating_sub(before);
        again = again.saturating_add(count.saturating_sub(new));
        connection.haves_again = again;
        if again > HAVES_AGAIN_MAX {
            self.close_for_fault(ctx, conn, "tells the same chunks again and again");
        } else if new > 0 {
            self.note_list(ctx, conn, content, first..end, new);
            if ctx.config.topology.follows_lists() {
                return self.request_chunks(ctx, content);
            }
            if chunks == 1 {
                self.request_manifest(ctx, conn, content);
            }
            self.request_news(ctx, content, conn, first..end);
        }
    }

    /// Whether what the other side has of this channel's content is nothing to keep: the content was refused or
    /// withdrawn here, or is here whole, or the channel was replaced.
    fn needs_no_haves(&self, ctx: &Ctx, conn: ConnId, theirs: u32) -> bool {
        let Some(connection) = ctx.conns.native(conn) else { return false };
        let Some((number, channel)) = connection.channels.of_theirs(theirs) else { return false };
        let content = channel.content;
        if channel.withdrawn || connection.channels.is_former(number, channel) {
            return true;
        }
        // On a ring a peer that has everything follows when the others do; so does a seed that super-seeds.
        ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete())
            && self.downloader.get(&content).is_none()
            && !ctx.config.topology.follows_lists()
            && !self.seedings.contains_key(&content)
    }

    /// What the other side has of a channel's content need not be kept, unless it `is_all`, of so many chunks.
    fn note_no_haves(&mut self, ctx: &mut Ctx, conn: ConnId, theirs: u32, is_all: impl Fn(u32) -> bool) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        // On connections of few channels nothing follows from it, so it is not looked at.
        if connection.channels.numbers() <= ctx.config.limits.channels_unused_max {
            return;
        }
        let Some((_, channel)) = connection.channels.of_theirs(theirs) else { return };
        if channel.their_cut.is_some_and(|cut| is_all(cut.chunks())) && !channel.withdrawn {
            let content = channel.content;
            self.end_sated_channel(ctx, conn, &content);
        }
    }

    /// Adds what a connection's peer has to the counts of a download, or takes it out.
    pub(crate) fn count_remote(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId, add: bool) {
        if !self.is_counted(ctx.conns, conn, content) {
            return;
        }
        let remote = ctx.conns.native(conn).and_then(|c| c.channels.of(content)?.1.remote.as_ref());
        if let Some(remote) = remote {
            self.copies.count(content, remote.iter(), add);
        }
    }

    /// Begins the counts of a download whose cut is known now.
    pub(crate) fn count_all_remotes(&mut self, ctx: &mut Ctx, content: &ContentId) {
        let Some(download) = self.downloader.get(content) else { return };
        self.copies.begin(*content, download.geometry.map_or(0, |geometry| geometry.chunks()));
        for conn in self.links.on(content).collect::<Vec<_>>() {
            self.count_remote(ctx, conn, content, true);
        }
    }

    /// Whether what a connection's peer has counts for a download: it is a source, and cuts the content alike.
    pub(crate) fn is_counted(&self, conns: &Connections, conn: ConnId, content: &ContentId) -> bool {
        let Some((_, channel)) = conns.native(conn).and_then(|c| c.channels.of(content)) else {
            return false;
        };
        let Some(download) = self.downloader.get(content) else { return false };
        channel.counts_for(download.geometry)
    }

    /// A channel that was withdrawn is about to be replaced: what the other side told on it counts no more.
    pub(crate) fn uncount_former(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(content));
        if channel.is_some_and(|(_, channel)| channel.withdrawn) {
            self.count_remote(ctx, conn, content, false);
            if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(content)) {
                channel.remote = None;
            }
        }
    }
}

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
