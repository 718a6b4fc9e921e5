//! Who has which chunks: what others tell, and what they are told.

use crate::core::catalogue::Holding;
use crate::core::connections::Connections;
use crate::core::door::ConnId;
use crate::core::native::session::channels::Channel;
use crate::core::native::session::{ListOut, Session};
use crate::core::native::{Ctx, Engine};
use crate::types::bitfield::Bitfield;
use crate::types::geometry::Geometry;
use crate::types::id::ContentId;
use crate::wire::message::Frame;

/// Chunks that one connection may tell again, in all; each costs work and tells nothing.
const HAVES_AGAIN_MAX: u32 = 4 << 20;
/// What so many neighbours have is no news that cannot wait: whoever lacks it finds it elsewhere, too.
const COPIES_MANY: u16 = 4;
/// So much of it waits for one neighbour; what is more goes out with all that waits.
const WAITING_MAX: usize = 3;

impl Engine {
    pub(in crate::core) fn on_have_map(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, theirs: u32, bits: &[u8]) {
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
        let listed = (!ctx.config.topology.is_mesh()).then(|| bits.iter().collect());
        if let Some((_, channel)) = ctx.conns.native_mut(conn).and_then(|c| c.channels.of_mut(&content)) {
            channel.remote = Some(bits);
        }
        self.count_remote(ctx, conn, &content, true);
        if let Some(listed) = listed {
            self.note_list(ctx, conn, content, listed);
        }
        if self.assigners.contains_key(&content) {
            let remote = ctx.conns.native(conn).and_then(|c| c.channels.of(&content)?.1.remote.as_ref());
            let had: Vec<u32> = remote.map_or(Vec::new(), |remote| remote.iter().collect());
            self.note_spread(ctx, conn, content, had);
        }
        self.request_manifest(ctx, conn, content);
        self.ask_for_chunks(ctx, content);
    }

    pub(in crate::core) fn on_have(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        theirs: u32,
        first: u32,
        count: u32,
    ) {
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
        let lists = !ctx.config.topology.is_mesh();
        let mut listed = Vec::new();
        let mut again = connection.haves_again;
        let Some((_, channel)) = connection.channels.of_mut(&content) else { return };
        let mut download = self.downloader.get_mut(&content);
        let mut download = download.as_mut().filter(|download| channel.counts_for(download.geometry));
        let remote = channel.remote.get_or_insert_with(|| Bitfield::empty(chunks));
        let before = remote.count();
        for chunk in first..end {
            if !remote.set(chunk) {
                continue;
            }
            if let Some(holders) = download.as_mut().and_then(|d| d.availability.get_mut(chunk as usize)) {
                *holders = holders.saturating_add(1);
            }
            if lists {
                listed.push(chunk);
            }
        }
        let new = remote.count().saturating_sub(before);
        again = again.saturating_add(count.saturating_sub(new));
        connection.haves_again = again;
        if again > HAVES_AGAIN_MAX {
            self.close_for_fault(ctx, conn, "tells the same chunks again and again");
        } else if new > 0 {
            if lists {
                self.note_list(ctx, conn, content, listed);
                return self.ask_for_chunks(ctx, content);
            }
            self.note_spread(ctx, conn, content, first..end);
            if chunks == 1 {
                self.request_manifest(ctx, conn, content);
            }
            self.ask_for_news(ctx, content, conn, first..end);
        }
    }

    /// Whether what the other side has of this channel's content is nothing to keep: the content was refused or
    /// withdrawn here, or is here whole, or the channel was replaced.
    fn needs_no_haves(&self, ctx: &Ctx<'_>, conn: ConnId, theirs: u32) -> bool {
        let Some(connection) = ctx.conns.native(conn) else { return false };
        let Some((number, channel)) = connection.channels.of_theirs(theirs) else { return false };
        let content = channel.content;
        if channel.withdrawn || connection.channels.is_former(number, channel) {
            return true;
        }
        // Among neighbours who has everything wants to know when the others do.
        // So does a seed that assigns.
        ctx.catalogue.get(&content).is_some_and(|holding| holding.is_complete())
            && self.downloader.get(&content).is_none()
            && ctx.config.topology.is_mesh()
            && !self.assigners.contains_key(&content)
    }

    /// What the other side has of a channel's content need not be kept, unless it `is_all`, of so many chunks.
    fn note_no_haves(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, theirs: u32, is_all: impl Fn(u32) -> bool) {
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

    /// Whether their number stands for a channel that was replaced here: they have not heard so yet, and will tell
    /// again on the new one.
    pub(in crate::core) fn is_former_channel(&self, ctx: &Ctx<'_>, conn: ConnId, theirs: u32) -> bool {
        ctx.conns.native(conn).is_some_and(|connection| {
            let named = connection.channels.of_theirs(theirs);
            named.is_some_and(|(number, channel)| connection.channels.is_former(number, channel))
        })
    }

    /// A holding grew: every connection on which the content was named is told when it next has room.
    pub(in crate::core) fn tell_haves(&mut self, ctx: &mut Ctx<'_>, content: ContentId) {
        if ctx.catalogue.get(&content).is_some() {
            for conn in self.links.on(&content).collect::<Vec<_>>() {
                self.note_stale(ctx, conn, content);
            }
        }
    }

    /// One connection is told of a holding when it next has room.
    pub(in crate::core) fn note_stale_haves(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: ContentId) {
        if ctx.catalogue.get(&content).is_some() {
            self.note_stale(ctx, conn, content);
        }
    }

    /// What waited for a frame that goes there anyway has waited for long enough.
    pub(in crate::core) fn tell_what_waits(&mut self, ctx: &mut Ctx<'_>, content: ContentId) {
        for conn in self.links.on(&content).collect::<Vec<_>>() {
            let Some(holding) = ctx.catalogue.get(&content) else { return };
            let Some(connection) = ctx.conns.native(conn) else { continue };
            let Some((number, channel)) = connection.channels.of(&content) else { continue };
            if connection.stale_haves.contains(&number) && !is_no_news(holding, channel, &[]) {
                self.wake(ctx, conn);
            }
        }
    }

    fn note_stale(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, content: ContentId) {
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        let Some((number, channel)) = connection.channels.of(&content) else { return };
        // Who has everything need not know more, unless it waits for others to have it too.
        let sated = ctx.config.topology.is_mesh()
            && channel.told.is_some()
            && channel.remote.as_ref().is_some_and(Bitfield::is_full);
        if channel.our_cut.is_none() || channel.withdrawn || sated {
            return;
        }
        let copies = self.downloader.get(&content).map_or(&[][..], |download| &download.availability);
        let waits = ctx.config.limits.tactics.haves_wait
            && ctx.config.topology.is_mesh()
            && ctx.catalogue.get(&content).is_some_and(|holding| is_no_news(holding, channel, copies));
        connection.stale_haves.insert(number);
        if !waits {
            self.wake(ctx, conn);
        }
    }

    /// Encodes what a connection was not told yet of what is had, as far as it fits.
    pub(in crate::core) fn encode_haves(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let lists = !ctx.config.topology.is_mesh();
        let Some(connection) = ctx.conns.native_mut(conn) else { return };
        while !connection.outbox_is_full() {
            let Some(number) = connection.stale_haves.pop_first() else { return };
            let Some(channel) = connection.channels.get_mut(number) else { continue };
            let (Some(holding), Some(cut)) = (ctx.catalogue.get(&channel.content), channel.our_cut) else {
                continue;
            };
            let content = channel.content;
            let (all, new) = match &channel.shown {
                Some(shown) => {
                    let told = channel.told.replace(shown.len());
                    let news = shown.since(told.unwrap_or(0));
                    let counts = (shown.len() as u32, news.len() as u32);
                    match told {
                        None if news.len() > 1 => {
                            let bits = shown.to_bytes();
                            connection.encode(&Frame::HaveMap { channel: number, bits });
                        }
                        _ => encode_ranges(connection, number, &news),
                    }
                    counts
                }
                None => {
                    let told = channel.told.replace(holding.logged());
                    encode_holding(connection, number, cut, holding, told)
                }
            };
            if lists && new > 0 {
                connection.lists_out.push(ListOut { content, new, have: all, of: cut.chunks() });
            }
        }
    }

    /// Adds what a connection's peer has to the counts of a download, or takes it out.
    pub(in crate::core) fn count_remote(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        content: &ContentId,
        add: bool,
    ) {
        if !self.is_counted(ctx.conns, conn, content) {
            return;
        }
        let remote = ctx.conns.native(conn).and_then(|c| c.channels.of(content)?.1.remote.as_ref());
        let (Some(remote), Some(download)) = (remote, self.downloader.get_mut(content)) else { return };
        for chunk in remote.iter() {
            if let Some(holders) = download.availability.get_mut(chunk as usize) {
                *holders = if add { holders.saturating_add(1) } else { holders.saturating_sub(1) };
            }
        }
    }

    /// Begins the counts of a download whose cut is known now.
    pub(in crate::core) fn count_all_remotes(&mut self, ctx: &mut Ctx<'_>, content: &ContentId) {
        let Some(download) = self.downloader.get_mut(content) else { return };
        let chunks = download.geometry.map_or(0, |geometry| geometry.chunks());
        download.availability = vec![0; chunks as usize];
        for conn in self.links.on(content).collect::<Vec<_>>() {
            self.count_remote(ctx, conn, content, true);
        }
    }

    /// Whether what a connection's peer has counts for a download: it is a source, and cuts the content alike.
    pub(in crate::core) fn is_counted(&self, conns: &Connections, conn: ConnId, content: &ContentId) -> bool {
        let Some((_, channel)) = conns.native(conn).and_then(|c| c.channels.of(content)) else {
            return false;
        };
        let Some(download) = self.downloader.get(content) else { return false };
        channel.counts_for(download.geometry)
    }
}

/// Whether the other side need not hear yet what it was not told of a holding: it has that, or it is little, of which there
/// are many `copies` among the neighbours. Until there is more to say it can wait; but in the end it is told that everything
/// is here.
fn is_no_news(holding: &Holding, channel: &Channel, copies: &[u16]) -> bool {
    let (Some(told), Some(remote), None) = (channel.told, &channel.remote, &channel.shown) else {
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
    connection: &mut Session,
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
            encode_ranges(connection, channel, news);
            return (all, new);
        }
        (None, None) if cut.chunks() > 0 => {
            connection.encode(&Frame::Have { channel, first: 0, count: cut.chunks() });
        }
        (None, Some(bits)) if bits.count() > 0 => {
            connection.encode(&Frame::HaveMap { channel, bits: bits.to_bytes() });
        }
        (None, _) => {}
    }
    (all, all)
}

/// Encodes chunks as ranges of neighbours.
fn encode_ranges(connection: &mut Session, channel: u32, chunks: &[u32]) {
    if let [first] = chunks {
        // By far the most news are of one chunk.
        return connection.encode(&Frame::Have { channel, first: *first, count: 1 });
    }
    let mut chunks = chunks.to_vec();
    chunks.sort_unstable();
    let mut rest = chunks.as_slice();
    while let Some(&first) = rest.first() {
        let count = (first..).zip(rest).take_while(|(expected, chunk)| *expected == **chunk).count();
        connection.encode(&Frame::Have { channel, first, count: count as u32 });
        rest = rest.get(count..).unwrap_or_default();
    }
}
