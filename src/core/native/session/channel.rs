//! Contents named on a connection: opened, agreed on, refused, withdrawn.

use std::cmp::Reverse;
use std::time::Duration;

use crate::core::io::ConnId;
use crate::core::native::session::{Phase, Session};
use crate::core::native::{Ctx, Engine};
use crate::core::room::KEPT;
use crate::types::{ContentId, Geometry, Time};
use crate::wire::message::{Frame, RefuseReason};

/// When no connection could give its channels to others, so long passes before all are looked at again.
const CHANNELS_LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    /// Names a content to the other side, if that was not done yet, or tells its cut once that is known. False when there was
    /// nothing to say.
    pub(crate) fn open_channel(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) -> bool {
        let cut = self.cut_to_tell(ctx, conn, &content);
        let channels_max = ctx.config.limits.channels_max;
        let Some(connection) = ctx.conns.native_mut(conn) else { return false };
        if connection.phase != Phase::Open {
            return false;
        }
        let number = match connection.channels.of(&content) {
            Some((_, channel)) if channel.withdrawn || channel.refused => {
                if connection.channels.numbers() >= channels_max {
                    return false;
                }
                connection.channels.add(content)
            }
            Some((_, channel)) if channel.opened && (channel.our_cut.is_some() || cut.is_none()) => {
                return false;
            }
            Some((number, _)) => number,
            None if connection.channels.numbers() >= channels_max => return false,
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
        true
    }

    /// A content was refused when it was named. Of a few it is remembered that they were named, for this peer may want them
    /// soon; anybody can name many.
    pub(crate) fn keep_refused(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
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
    pub(crate) fn end_channel(&mut self, ctx: &mut Ctx, conn: ConnId, content: &ContentId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        connection.channels.end(content);
        if connection.channels.of(content).is_none() {
            self.links.unnamed(content, conn);
        }
    }

    /// Why a content that is known here cannot be named on a connection, if there are too many channels.
    pub(crate) fn no_channel_left(
        &mut self,
        ctx: &mut Ctx,
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

    /// The cut of a content that this peer can prove.
    pub(crate) fn cut_of(&self, ctx: &Ctx, content: &ContentId) -> Option<Geometry> {
        ctx.catalogue.get(content).map(|holding| holding.geometry)
    }

    /// Keeps their number and cut. Their numbers are their own choice; the number of a content they named before may come
    /// once more, with the cut that they did not know then.
    pub(crate) fn note_their_channel(
        &mut self,
        ctx: &mut Ctx,
        conn: ConnId,
        theirs: u32,
        content: ContentId,
        their_cut: Option<Geometry>,
    ) -> Result<(), &'static str> {
        let channels_max = ctx.config.limits.channels_max;
        let is_whole = ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete());
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
                    connection.channels.end(&content);
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

    /// The cut this peer tells for a content: a complete holder serves any legal one, so it takes over what the other
    /// side has.
    pub(crate) fn cut_to_tell(&self, ctx: &Ctx, conn: ConnId, content: &ContentId) -> Option<Geometry> {
        let cut = self.cut_of(ctx, content)?;
        let complete = ctx.catalogue.get(content).is_some_and(|holding| holding.is_complete())
            && !ctx.config.topology.agrees_on_layout();
        let theirs = ctx.conns.native(conn).and_then(|c| c.channels.of(content)?.1.their_cut);
        theirs.filter(|_| complete).or(Some(cut))
    }

    pub(crate) fn remote_has(&self, ctx: &Ctx, conn: ConnId, content: &ContentId, chunk: u32) -> bool {
        let remote = ctx.conns.native(conn).and_then(|c| c.channels.of(content)?.1.remote.as_ref());
        remote.is_some_and(|remote| remote.get(chunk))
    }

    /// Whether their number stands for a channel that was replaced here: they have not heard so yet, and will tell
    /// again on the new one.
    pub(crate) fn is_former_channel(&self, ctx: &Ctx, conn: ConnId, theirs: u32) -> bool {
        ctx.conns.native(conn).is_some_and(|connection| {
            let named = connection.channels.of_theirs(theirs);
            named.is_some_and(|(number, channel)| connection.channels.is_former(number, channel))
        })
    }
}
