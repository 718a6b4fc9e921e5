//! Who has which chunks: what others tell, and what they are told; also of contents that are offered no longer.

use crate::core::catalogue::Holding;
use crate::core::io::{ConnId, Output, StoreJob};
use crate::core::native::session::ListOut;
use crate::core::native::session::channels::Channel;
use crate::core::native::session::outbox::Outbox;
use crate::core::native::{Ctx, Engine};
use crate::types::{Bitfield, ContentId, Geometry};
use crate::wire::message::{Frame, RefuseReason};

/// What so many neighbours have is no news that cannot wait: whoever lacks it finds it elsewhere, too.
const COPIES_MANY: u16 = 4;
/// So much of it waits for one neighbour; what is more goes out with all that waits.
const WAITING_MAX: usize = 3;

impl Engine {
    /// A holding grew: every connection on which the content was named is told when it next has room.
    pub(crate) fn tell_haves(&mut self, ctx: &mut Ctx, content: ContentId) {
        if ctx.catalogue.get(&content).is_some() {
            for conn in self.links.on(&content).collect::<Vec<_>>() {
                self.note_stale(ctx, conn, content);
            }
        }
    }

    /// One connection is told of a holding when it next has room.
    pub(crate) fn note_stale_haves(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        if ctx.catalogue.get(&content).is_some() {
            self.note_stale(ctx, conn, content);
        }
    }

    /// What waited for a frame that goes there anyway has waited for long enough.
    pub(crate) fn tell_what_waits(&mut self, ctx: &mut Ctx, content: ContentId) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            let Some(holding) = ctx.catalogue.get(&content) else { return };
            let Some(connection) = ctx.conns.native(conn) else { continue };
            let Some((number, channel)) = connection.channels.of(&content) else { continue };
            if connection.channels.is_stale(number) && !is_no_news(holding, channel, &[]) {
                self.wake(ctx, conn);
            }
        }
    }

    fn note_stale(&mut self, ctx: &mut Ctx, conn: ConnId, content: ContentId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((number, channel)) = connection.channels.of(&content) else { return };
        // Who has everything need not know more, unless it waits for others to have it too.
        let sated = !ctx.config.topology.follows_lists()
            && channel.told.is_some()
            && channel.remote.as_ref().is_some_and(Bitfield::is_full);
        if channel.our_cut.is_none() || channel.withdrawn || sated {
            return;
        }
        let copies = self.copies.of(&content);
        let waits = ctx.config.limits.tactics.haves_wait
            && !ctx.config.topology.follows_lists()
            && ctx.catalogue.get(&content).is_some_and(|holding| is_no_news(holding, channel, copies));
        connection.channels.set_stale(number, true);
        if !waits {
            self.wake(ctx, conn);
        }
    }

    /// Encodes what a connection was not told yet of what is had, as far as it fits.
    pub(crate) fn encode_haves(&mut self, ctx: &mut Ctx, conn: ConnId) {
        let lists = ctx.config.topology.follows_lists();
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        while !connection.outbox.is_full() {
            let Some(number) = connection.channels.pop_stale() else { return };
            let Some(channel) = connection.channels.get_mut(number) else { continue };
            let (Some(holding), Some(cut)) = (ctx.catalogue.get(&channel.content), channel.our_cut) else {
                continue;
            };
            let content = channel.content;
            let (all, new) = match &channel.advertised {
                Some(advertised) => {
                    let count = advertised.bits().count();
                    let told = channel.told.replace(count as usize);
                    let news = advertised.since(told.unwrap_or(0));
                    let counts = (count, news.len() as u32);
                    match told {
                        None if news.len() > 1 => {
                            let bits = advertised.bits().to_bytes();
                            connection.outbox.encode(&Frame::HaveMap { channel: number, bits });
                        }
                        _ => encode_ranges(&mut connection.outbox, number, &news),
                    }
                    counts
                }
                None => {
                    let told = channel.told.replace(holding.logged());
                    encode_holding(&mut connection.outbox, number, cut, holding, told)
                }
            };
            if lists && new > 0 {
                connection.lists_out.push(ListOut { content, new, have: all, of: cut.chunks() });
            }
        }
    }
}

/// Whether the other side need not hear yet what it was not told of a holding: it has that, or it is little, of which there
/// are many `copies` among the neighbours. Until there is more to say it can wait; but in the end it is told that everything
/// is here.
fn is_no_news(holding: &Holding, channel: &Channel, copies: &[u16]) -> bool {
    let (Some(told), Some(remote), None) = (channel.told, &channel.remote, &channel.advertised) else {
        return false;
    };
    let news = holding.since(told);
    let is_common = |chunk: &u32| copies.get(*chunk as usize).is_some_and(|copies| *copies >= COPIES_MANY);
    // Most of the time it is seen without looking at what they have.
    let is_little = || news.len() <= WAITING_MAX && news.iter().all(is_common);
    let is_rest_little = || {
        let mut lacked = news.iter().filter(|chunk| !remote.get(**chunk));
        lacked.by_ref().take(WAITING_MAX).all(is_common) && lacked.next().is_none()
    };
    !holding.is_complete() && (is_little() || is_rest_little())
}

/// Encodes what of a holding was not told yet; returns how many chunks are had and how many of them this tells.
fn encode_holding(
    outbox: &mut Outbox,
    channel: u32,
    cut: Geometry,
    holding: &Holding,
    told: Option<usize>,
) -> (u32, u32) {
    let all = if holding.is_complete() { cut.chunks() } else { holding.count() };
    match (told, holding.bits()) {
        (Some(from), _) => {
            let news = holding.since(from);
            let new = news.len() as u32;
            encode_ranges(outbox, channel, news);
            return (all, new);
        }
        (None, None) if cut.chunks() > 0 => {
            outbox.encode(&Frame::Have { channel, first: 0, count: cut.chunks() });
        }
        (None, Some(bits)) if bits.count() > 0 => {
            outbox.encode(&Frame::HaveMap { channel, bits: bits.to_bytes() });
        }
        (None, _) => {}
    }
    (all, all)
}

/// Encodes chunks as ranges of neighbours.
fn encode_ranges(outbox: &mut Outbox, channel: u32, chunks: &[u32]) {
    if let [first] = chunks {
        // By far the most news are of one chunk.
        return outbox.encode(&Frame::Have { channel, first: *first, count: 1 });
    }
    let (mut few, mut many) = ([0; 16], Vec::new());
    let sorted = match few.get_mut(..chunks.len()) {
        Some(few) => few,
        None => {
            many.resize(chunks.len(), 0);
            many.as_mut_slice()
        }
    };
    sorted.copy_from_slice(chunks);
    sorted.sort_unstable();
    let mut rest = &*sorted;
    while let Some(&first) = rest.first() {
        let count = (first..).zip(rest).take_while(|(expected, chunk)| *expected == **chunk).count();
        outbox.encode(&Frame::Have { channel, first, count: count as u32 });
        rest = rest.get(count..).unwrap_or_default();
    }
}

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
            connection.channels.set_stale(number, false);
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
            connection.channels.set_stale(number, false);
            self.say(ctx, conn, Frame::Withdraw { channel: number, reason });
        }
        for (conn, request) in ctx.uploads.cancel_content(&content) {
            self.give_request_back(ctx, conn);
            self.reject(ctx, conn, request, reason);
        }
    }
}
