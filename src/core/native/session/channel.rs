//! Contents named on a connection: opened, agreed on, refused, withdrawn.

use std::cmp::Reverse;
use std::time::Duration;

use crate::core::door::{ConnId, Event};
use crate::core::native::session::channels::Channel;
use crate::core::native::session::{Phase, Session};
use crate::core::native::{Ctx, Engine};
use crate::core::room::KEPT;
use crate::types::bitfield::Bitfield;
use crate::types::geometry::Geometry;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::message::{Frame, RefuseReason};

/// When no connection could give its channels to others, so long passes before all are looked at again.
const CHANNELS_LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Names a content to the other side, if that was not done yet, or tells its cut once that is known.
    pub(in crate::core) fn open_channel(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: ContentId) {
        let cut = self.cut_to_tell(ctx, conn, &content);
        let channels_max = ctx.config.limits.channels_max;
        self.uncount_former(ctx, conn, &content);
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        let number = match connection.channels.of(&content) {
            Some((_, channel)) if channel.withdrawn || channel.refused => {
                if connection.channels.numbers() >= channels_max {
                    return;
                }
                connection.channels.add(content)
            }
            Some((_, channel)) if channel.opened && (channel.our_cut.is_some() || cut.is_none()) => return,
            Some((number, _)) => number,
            None if connection.channels.numbers() >= channels_max => return,
            None => connection.channels.add(content),
        };
        if let Some(channel) = connection.channels.get_mut(number) {
            channel.our_cut = cut;
            channel.withdrawn = false;
            channel.opened = true;
        }
        self.links.named(content, conn);
        let (size, chunk_bytes) = cut.map_or((0, 0), |cut| (cut.size_bytes(), cut.chunk_bytes()));
        self.say(ctx, conn, Frame::Open { channel: number, content, size, chunk_bytes });
        self.note_stale_haves(ctx, conn, content);
        self.request_manifest(ctx, conn, content);
    }

    /// The other side names a content.
    pub(in crate::core) fn on_open(
        &mut self,
        ctx: &mut Ctx<'_>,
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
        if let Err(fault) = self.note_their_channel(ctx, conn, theirs, content, their_cut) {
            return self.close_for_fault(ctx, conn, fault);
        }
        self.links.named(content, conn);
        let reason = self.why_not(ctx, conn, &content, their_cut);
        let Some(reason) = reason.or_else(|| self.no_channel_left(ctx, conn, &content)) else {
            self.open_channel(ctx, conn, content);
            self.seat(ctx, conn, content);
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

    /// A content was refused when it was named. Of a few it is remembered that they were named, for this peer may want them
    /// soon; anybody can name many.
    fn keep_refused(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: &ContentId) {
        let most = ctx.config.limits.channels_refused_kept_max;
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        if connection.channels.of(content).is_none_or(|(_, channel)| channel.opened) {
            return;
        }
        if connection.refused_kept < most {
            connection.refused_kept = connection.refused_kept.saturating_add(1);
        } else {
            self.end_channel(ctx, conn, content);
        }
    }

    /// The channel of a content is over on one connection.
    fn end_channel(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.end_channel(content);
        if connection.channels.of(content).is_none() {
            self.links.unnamed(content, conn);
        }
    }

    /// A content is here whole. On connections of many channels, the one for it is over where the other side has it whole, too.
    pub(in crate::core) fn end_sated_channels(&mut self, ctx: &mut Ctx<'_>, content: &ContentId) {
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
    fn tell_sated(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.numbers() <= ctx.config.limits.channels_unused_max
            || !ctx.config.topology.is_mesh()
        {
            return;
        }
        // They have to know the cut first.
        self.open_channel(ctx, conn, *content);
        let Some(holding) = ctx.catalogue.get(content) else { return };
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((channel, state)) = connection.channels.of_mut(content) else { return };
        let Some(cut) = state.our_cut else { return };
        state.told = Some(holding.logged());
        self.say(ctx, conn, Frame::Have { channel, first: 0, count: cut.chunks() });
    }

    /// The other side has all of a content: if it is here whole, too, and nothing more is to come of it, the channel is over.
    pub(in crate::core) fn end_sated_channel(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        content: &ContentId,
    ) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.numbers() <= ctx.config.limits.channels_unused_max {
            return;
        }
        let Some((_, channel)) = connection.channels.of(content) else { return };
        let is_agreed = channel.opened && channel.theirs.is_some() && !channel.withdrawn && !channel.refused;
        let is_quiet = !ctx.uploads.asks_for(conn, content)
            && connection.outgoing.is_none_or(|out| out.content != *content)
            && connection.incoming.is_none_or(|incoming| incoming.content != *content)
            && !connection.awaits_cancelled(content)
            && connection.manifest_asks.is_empty()
            && !connection.manifest_job;
        let is_whole = ctx.catalogue.get(content).is_some_and(|holding| holding.is_complete());
        // Where chunks are dealt or assigned, it matters who has which.
        let is_dealt = !ctx.config.topology.is_mesh() || self.assigners.contains_key(content);
        if is_agreed && is_quiet && is_whole && !is_dealt && self.downloader.get(content).is_none() {
            self.end_channel(ctx, conn, content);
        }
    }

    /// Why a content that is known here cannot be named on a connection, if there are too many channels.
    fn no_channel_left(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        content: &ContentId,
    ) -> Option<RefuseReason> {
        let limits = &ctx.config.limits;
        let (most, unused_max) = (limits.channels_open_max, limits.channels_unused_max);
        let is_open = ctx.conns.native(conn)?.channels.of(content)?.1.opened;
        if is_open || self.links.channels() <= most {
            return None;
        }
        // A connection that gives way frees many channels. When none does, all are looked at again only after a while.
        if ctx.now >= self.channels_looked_at + CHANNELS_LOOK_AGAIN || self.channels_looked_at == Time::ZERO {
            let unused = |connection: &Session| {
                connection.phase == Phase::Open
                    && connection.payload.is_none_or(|at| ctx.now.since(at) >= KEPT)
                    && connection.channels.open() > unused_max
            };
            let unused = ctx.conns.natives().filter(|(_, connection)| unused(connection));
            let rank = |connection: &Session| (connection.payload, Reverse(connection.channels.open()));
            let most_unused = unused.min_by_key(|(_, connection)| rank(connection));
            match most_unused.map(|(conn, _)| conn) {
                Some(other) => {
                    ctx.counters.add("connections that gave their channels to others");
                    self.close(ctx, other, Some("names many contents and fetches none"));
                    return (other == conn).then_some(RefuseReason::Busy);
                }
                None => self.channels_looked_at = ctx.now,
            }
        }
        ctx.counters.add("channels refused: too many are open");
        Some(RefuseReason::Busy)
    }

    /// The other side does not offer a content that we named.
    pub(in crate::core) fn on_refuse(
        &mut self,
        ctx: &mut Ctx<'_>,
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
    pub(in crate::core) fn on_withdraw(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        theirs: u32,
        reason: RefuseReason,
    ) {
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

    /// This peer no longer offers a content: whoever it was named to hears so.
    pub(in crate::core) fn withdraw_everywhere(
        &mut self,
        ctx: &mut Ctx<'_>,
        content: ContentId,
        reason: RefuseReason,
    ) {
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
        for (conn, ask) in ctx.uploads.cancel_content(&content) {
            self.give_request_back(ctx, conn);
            self.reject(ctx, conn, ask.channel, ask.content, ask.chunk, reason);
        }
    }

    /// The cut of a content that this peer can prove.
    pub(in crate::core) fn cut_of(&self, ctx: &Ctx<'_>, content: &ContentId) -> Option<Geometry> {
        ctx.catalogue.get(content).map(|holding| holding.geometry)
    }

    /// Keeps their number and cut. Their numbers are their own choice; the number of a content they named before may come
    /// once more, with the cut that they did not know then.
    fn note_their_channel(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        theirs: u32,
        content: ContentId,
        their_cut: Option<Geometry>,
    ) -> Result<(), &'static str> {
        let channels_max = ctx.config.limits.channels_max;
        let is_whole = ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
        self.uncount_former(ctx, conn, &content);
        let Some(connection) = ctx.conns.native_mut(conn) else { return Ok(()) };
        if let Some((number, channel)) = connection.channels.of_theirs(theirs) {
            let again = channel.content == content && channel.their_cut.is_none() && their_cut.is_some();
            if !again {
                return Err("named a content twice");
            }
            if let Some(channel) = connection.channels.get_mut(number) {
                channel.their_cut = their_cut;
            }
            return Ok(());
        }
        if theirs as usize >= channels_max {
            return Err("numbered its channels wrongly");
        }
        let number = match connection.channels.of(&content) {
            // What they refused under our number stays refused: it is named to them anew.
            Some((number, channel)) if channel.theirs.is_none() && !channel.refused => number,
            // Of what is whole here, a side that has it whole as well may end the channel, and name it anew when it lost it.
            Some((_, channel)) if !channel.refused && !channel.withdrawn && !is_whole => {
                return Err("named a content twice");
            }
            former => {
                // A former channel to which the other side gave a number has no use any more.
                if former.is_some_and(|(_, channel)| channel.theirs.is_some())
                    && !connection.awaits_cancelled(&content)
                {
                    connection.end_channel(&content);
                }
                if connection.channels.numbers() >= channels_max {
                    return Err("named too many contents");
                }
                connection.channels.add(content)
            }
        };
        connection.channels.note_theirs(number, theirs);
        if let Some(channel) = connection.channels.get_mut(number) {
            channel.their_cut = their_cut;
            channel.refused = false;
        }
        Ok(())
    }

    /// A channel that was withdrawn is about to be replaced: what the other side told on it counts no more.
    fn uncount_former(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: &ContentId) {
        let channel = ctx.conns.native(conn).and_then(|connection| connection.channels.of(content));
        if channel.is_some_and(|(_, channel)| channel.withdrawn) {
            self.count_remote(ctx, conn, content, false);
            if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(content)) {
                channel.remote = None;
            }
        }
    }

    /// Why a content that the other side named leads nowhere; `None` when it leads somewhere.
    fn why_not(
        &self,
        ctx: &Ctx<'_>,
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

    /// The cut this peer tells for a content: a complete holder serves any legal one, so it takes over what the other
    /// side has.
    fn cut_to_tell(&self, ctx: &Ctx<'_>, conn: ConnId, content: &ContentId) -> Option<Geometry> {
        let cut = self.cut_of(ctx, content)?;
        // An owner's peers have to agree, so that they can serve each other.
        let complete = ctx.catalogue.get(content).is_some_and(|holding| holding.is_complete())
            && ctx.config.topology.is_mesh();
        let theirs = ctx.conns.native(conn).and_then(|c| c.channels.of(content)?.1.their_cut);
        theirs.filter(|_| complete).or(Some(cut))
    }

    /// A peer does not hold a content after all.
    fn unlist(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: ContentId, reason: RefuseReason) {
        let Some(connection) = ctx.conns.native(conn) else { return };
        if connection.channels.of(&content).is_none_or(|(_, channel)| channel.refused) {
            // Said once is enough.
            return;
        }
        let (from, known) = (connection.peer_ref(), connection.known_peer());
        // Who only looks for it, too, will name it; so will a neighbour that does not know yet what there is.
        let holds = known.is_some_and(|peer| self.directory.is_holder(&peer, &content));
        let seeks = known.is_some_and(|peer| self.is_companion(ctx, &peer, &content)) && !holds;
        let not_yet = reason == RefuseReason::Unknown && (seeks || !ctx.config.topology.is_mesh());
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
