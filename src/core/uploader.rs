//! Upload scheduling: round-robin over contents; within one content rare chunks first, then the peer with the least progress,
//! then newcomers. All protocols share this one queue. While native peers are served or wait, the other protocols have at most
//! half of the slots, because their receivers pass nothing on and are often slow.
//!
//! Owns the queues of requests and the upload slots. Knows neither files nor frames.
//!
//! Of each connection the calls come in this order, in a native session and, where it differs, in the other protocols:
//!
//! | when | native | HTTP, classic, transfers |
//! | --- | --- | --- |
//! | a chunk is requested | [`Uploader::push`] | [`Uploader::add_outside`], one at a time |
//! | requests or turns changed | [`Uploader::grant`], until it gives nobody; the native engine does that for all | the same |
//! | the connection is about to write | [`Uploader::begin`] | the same; the turn may have more bytes than [`Ask::bytes`], see [`Quantum`] |
//! | bytes are in the kernel | [`Uploader::carried`] (with frames and heads), [`Uploader::moved`] | the same |
//! | a chunk is out | [`Uploader::finish`], which may begin the next | [`Uploader::end_turn`] |
//! | the connection is over | [`Uploader::remove`] | the same |

mod check;
mod line;
mod quantum;
#[cfg(test)]
mod tests;
mod uplink;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::core::io::ConnId;
use crate::core::limits::Limits;
use crate::types::{ContentId, Time};
use line::{Line, Standing, Whom};
pub(crate) use quantum::Quantum;
use uplink::Uplink;

/// Who is less behind than one of so many parts of the file counts as equal.
const PROGRESS_PARTS: u64 = 64;
/// A turn is one chunk; over a fast link, as many as come to this. Fewer, longer turns cost the kernel less.
pub(crate) const TURN_BYTES: u64 = 1 << 20;
/// A turn that took longer is over with its chunk: over a slow link others would wait too long.
const TURN_QUICK: Duration = Duration::from_millis(2);
/// Of a chunk or a file that is on its way, so much counts as progress; what trickles does not.
const PROGRESS_BYTES: u64 = 16 << 10;
/// What no more neighbours have than this goes out first: whoever gets it can pass it on.
const SCARCE: u16 = 2;

/// One chunk that somebody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadRequest {
    /// Our channel on the connection that asked.
    pub(crate) channel: u32,
    /// The content.
    pub(crate) content: ContentId,
    /// The chunk, in the cut of that channel.
    pub(crate) chunk: u32,
    /// How many bytes that is.
    pub(crate) bytes: u32,
}

/// An upload slot in use.
#[derive(Debug, Clone, Copy)]
struct Active {
    /// When bytes last moved.
    moved: Time,
    /// Whether a chunk is on its way; before that the slot can be given back.
    begun: bool,
    /// When the turn began.
    since: Time,
    /// What went in it, without the chunk that is on its way.
    bytes: u64,
    /// How many bytes the chunk has that is on its way, or will be.
    len: u32,
    /// The receiver is slower than our link, so this upload no longer counts as saturating it.
    slow: bool,
}

/// A request that waits.
#[derive(Debug, Clone, Copy)]
struct Queued {
    request: UploadRequest,
    /// How far who asks had come with that content, in [`PROGRESS_PARTS`].
    part: u64,
}

/// A connection that asked at least once.
#[derive(Debug, Default)]
struct Requester {
    queue: VecDeque<Queued>,
    /// Whether it was served before.
    served: bool,
    /// It speaks another protocol than the native one.
    is_outside: bool,
    /// In whose line it stands, and as what.
    waits: Option<(ContentId, Standing)>,
}

/// Queues and slots.
#[derive(Debug)]
pub(crate) struct Uploader {
    slots: usize,
    slot_stall: Duration,
    one_at_a_time: bool,
    uplink: Uplink,
    requesters: BTreeMap<ConnId, Requester>,
    /// Connections with a queue and no slot.
    line: Line,
    /// Connections with a slot.
    active: BTreeMap<ConnId, Active>,
}

impl Uploader {
    /// Queues without requests, and slots; an upload that moves nothing for a while shares its slot.
    pub(crate) fn new(limits: &Limits) -> Uploader {
        Uploader {
            slots: limits.upload_slots.max(1),
            slot_stall: limits.upload_slot_stall,
            one_at_a_time: limits.tactics.one_at_a_time,
            uplink: Uplink::default(),
            requesters: BTreeMap::new(),
            line: Line::default(),
            active: BTreeMap::new(),
        }
    }

    /// Queues a request of one who has `had` of the `of` parts it wants of that content. Follow with [`Uploader::grant`].
    pub(crate) fn push(&mut self, conn: ConnId, request: UploadRequest, had: u64, of: u64) {
        let part = had.saturating_mul(PROGRESS_PARTS).checked_div(of).unwrap_or(0);
        let requester = self.requesters.entry(conn).or_default();
        requester.queue.push_back(Queued { request, part });
        // It has come further since it asked for what is next.
        if let Some(next) = requester.queue.front_mut().filter(|next| next.request.content == request.content)
        {
            next.part = part;
        }
        match requester.waits {
            None => self.line_up(conn),
            Some((content, was)) if content == request.content && was.part != part => {
                let standing = Standing { part, ..was };
                requester.waits = Some((content, standing));
                self.line.change(conn, &content, was, standing);
            }
            Some(_) => {}
        }
    }

    /// Queues a request of a receiver outside the native protocol. None goes before another, wherever in a file it reads and
    /// however often it comes back; among peers it counts as half done. Follow with [`Uploader::grant`].
    pub(crate) fn add_outside(&mut self, conn: ConnId, request: UploadRequest) {
        self.requesters.entry(conn).or_default().is_outside = true;
        self.push(conn, request, 1, 2);
    }

    /// How many requests of `conn` are queued.
    pub(crate) fn queued(&self, conn: ConnId) -> usize {
        self.requesters.get(&conn).map_or(0, |requester| requester.queue.len())
    }

    /// Whether a connection is being served or waits.
    pub(crate) fn serves(&self, conn: ConnId) -> bool {
        self.active.contains_key(&conn) || self.queued(conn) > 0
    }

    /// When the turn of a connection began, if it has one.
    pub(crate) fn turn_began(&self, conn: ConnId) -> Option<Time> {
        self.active.get(&conn).map(|active| active.since)
    }

    /// Whether a connection has asked for something of a content that was not begun.
    pub(crate) fn has_request_for(&self, conn: ConnId, content: &ContentId) -> bool {
        self.requesters
            .get(&conn)
            .is_some_and(|requester| requester.queue.iter().any(|queued| queued.request.content == *content))
    }

    /// Whether nobody is being served and nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty() && self.line.is_empty()
    }

    /// How many connections are being served or wait.
    pub(crate) fn len(&self) -> usize {
        self.active.len().saturating_add(self.line.len())
    }

    /// How many connections wait for a slot.
    pub(crate) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Takes back a request that was not begun. True when it was there.
    pub(crate) fn cancel(&mut self, conn: ConnId, channel: u32, chunk: u32) -> bool {
        let Some(requester) = self.requesters.get_mut(&conn) else { return false };
        let Some(at) = requester
            .queue
            .iter()
            .position(|queued| (queued.request.channel, queued.request.chunk) == (channel, chunk))
        else {
            return false;
        };
        requester.queue.remove(at);
        self.review(conn);
        true
    }

    /// Takes back all requests for a content; returns them with who asked.
    pub(crate) fn cancel_content(&mut self, content: &ContentId) -> Vec<(ConnId, UploadRequest)> {
        self.cancel_where(|request| request.content == *content)
    }

    /// Takes back all requests for one chunk of a content, whose every channel cuts it alike; returns them with who
    /// asked.
    pub(crate) fn cancel_chunk(&mut self, content: &ContentId, chunk: u32) -> Vec<(ConnId, UploadRequest)> {
        self.cancel_where(|request| request.content == *content && request.chunk == chunk)
    }

    /// Forgets a connection and all it asked for.
    pub(crate) fn remove(&mut self, conn: ConnId) {
        self.leave_line(conn);
        self.requesters.remove(&conn);
        self.active.remove(&conn);
    }

    /// The next connection that gets a slot, if one is free. `copies` tells of a content that is still fetched here how many
    /// neighbours have each chunk.
    pub(crate) fn grant<'a>(
        &mut self,
        now: Time,
        copies: impl Fn(&ContentId) -> Option<&'a [u16]>,
    ) -> Option<ConnId> {
        let whom = self.whom(now)?;
        if self.moving(now) >= self.slots || self.waits_for_link(now, whom) {
            return None;
        }
        let conn = match copies(self.line.next(whom)?) {
            Some(copies) => self.line.pop_where(whom, |conn| {
                let queue = self.requesters.get(conn).map(|requester| &requester.queue);
                queue.into_iter().flatten().any(|queued| copies_of(copies, &queued.request) <= SCARCE)
            })?,
            None => self.line.pop(whom)?,
        };
        let requester = self.requesters.get_mut(&conn)?;
        requester.waits = None;
        let len = requester.queue.front().map_or(0, |next| next.request.bytes);
        self.note_slow(now);
        if self.active.is_empty() {
            self.uplink.begin(now);
        }
        let active = Active { moved: now, begun: false, since: now, bytes: 0, len, slow: false };
        self.active.insert(conn, active);
        Some(conn)
    }

    /// Who may have the next slot. While native peers are served or wait, no more than half of the slots are with others.
    fn whom(&self, now: Time) -> Option<Whom> {
        let is_outside =
            |conn: &ConnId| self.requesters.get(conn).is_some_and(|requester| requester.is_outside);
        let moving = self.active.iter().filter(|(_, active)| now.since(active.moved) < self.slot_stall);
        let (outside, natives) =
            moving.fold((0_usize, 0_usize), |(outside, natives), (conn, _)| match is_outside(conn) {
                true => (outside.saturating_add(1), natives),
                false => (outside, natives.saturating_add(1)),
            });
        match (outside < (self.slots / 2).max(1), self.line.has_natives()) {
            (true, _) => Some(Whom::All),
            (false, true) => Some(Whom::Natives),
            (false, false) => (natives == 0).then_some(Whom::All),
        }
    }

    /// Another upload goes beside the active ones: one that should be through by now is slow, and waits for its receiver.
    fn note_slow(&mut self, now: Time) {
        let is_over = |active: &Active| !active.slow && self.fills_until(now, active) <= Some(now);
        let over = self.active.iter().filter(|(_, active)| is_over(active)).map(|(conn, _)| *conn);
        for conn in over.collect::<Vec<_>>() {
            if let Some(active) = self.active.get_mut(&conn) {
                active.slow = true;
            }
        }
    }

    /// How many uploads move.
    fn moving(&self, now: Time) -> usize {
        self.active.values().filter(|active| now.since(active.moved) < self.slot_stall).count()
    }

    /// Whether who is next had better wait because one of those that are being served takes all that the link carries. What
    /// takes no time need not wait.
    fn waits_for_link(&self, now: Time, whom: Whom) -> bool {
        let next = self.line.first(whom).and_then(|conn| self.requesters.get(&conn)?.queue.front());
        let takes = next.map_or(Duration::ZERO, |next| self.uplink.takes(u64::from(next.request.bytes)));
        takes > TURN_QUICK && self.active.values().any(|active| self.fills_until(now, active) > Some(now))
    }

    /// The request that a connection with a slot is served next, if it is not being served; it leaves the queue.
    pub(crate) fn begin<'a>(
        &mut self,
        conn: ConnId,
        now: Time,
        copies: impl Fn(&ContentId) -> Option<&'a [u16]>,
    ) -> Option<UploadRequest> {
        let active = self.active.get_mut(&conn).filter(|active| !active.begun)?;
        let queue = &mut self.requesters.get_mut(&conn)?.queue;
        let content = queue.front()?.request.content;
        let next = copies(&content).and_then(|copies| {
            let of_it = (0..queue.len()).filter(|at| queue[*at].request.content == content);
            of_it.min_by_key(|at| copies_of(copies, &queue[*at].request))
        });
        let Queued { request, .. } = queue.remove(next.unwrap_or(0))?;
        if active.bytes == 0 {
            active.since = now;
        }
        active.moved = now;
        active.begun = true;
        active.len = request.bytes;
        Some(request)
    }

    /// So many bytes left, on a connection of any of those that ask here.
    pub(crate) fn carried(&mut self, now: Time, bytes: u64) {
        if !self.active.is_empty() {
            self.uplink.carried(now, bytes, !self.line.is_empty());
        }
    }

    /// What the link of this host carries, in bytes a second, as far as uploads have shown.
    pub(crate) fn carries(&self) -> Option<u64> {
        self.uplink.best()
    }

    /// Bytes of the upload to `conn` moved. True while its turn may take more than a chunk.
    pub(crate) fn moved(&mut self, conn: ConnId, now: Time) -> bool {
        let Some(active) = self.active.get_mut(&conn) else { return false };
        active.moved = now;
        now.since(active.since) < TURN_QUICK && !self.line.has_newcomers()
    }

    /// A chunk of `bytes` to `conn` is through. With another one its turn goes on, or it is over.
    pub(crate) fn finish(&mut self, conn: ConnId, now: Time, bytes: u64) {
        let quick = self.moved(conn, now);
        let asks_more = self.queued(conn) > 0;
        if let Some(active) = self.active.get_mut(&conn) {
            active.bytes = active.bytes.saturating_add(bytes);
            if asks_more && quick && active.bytes < TURN_BYTES {
                active.begun = false;
                return;
            }
        }
        self.end_turn(conn);
    }

    /// The slot of `conn` is free; it lines up again if it asks for more.
    pub(crate) fn end_turn(&mut self, conn: ConnId) {
        self.active.remove(&conn);
        if let Some(requester) = self.requesters.get_mut(&conn) {
            requester.served = true;
        }
        self.line_up(conn);
    }

    /// When the first upload will count as slow, if a request waits for a slot.
    pub(crate) fn deadline(&self, now: Time) -> Option<Time> {
        if self.line.is_empty() {
            return None;
        }
        let slow = |active: &Active| [Some(active.moved + self.slot_stall), self.fills_until(now, active)];
        self.active.values().flat_map(slow).flatten().filter(|at| *at > now).min()
    }

    /// Until when an upload counts as taking all that the link carries: as long as its chunk takes if it shares that with the
    /// others that move. Over a fast link there is nothing to win.
    fn fills_until(&self, now: Time, active: &Active) -> Option<Time> {
        let alone = self.uplink.takes(u64::from(active.len));
        if !self.one_at_a_time || self.uplink.is_beside() || active.slow || alone <= TURN_QUICK {
            return None;
        }
        let sharing = u32::try_from(self.moving(now).clamp(1, self.slots)).unwrap_or(u32::MAX);
        // Half as long again: part of its time it may have shared with one that is through by now.
        let shared = alone.saturating_mul(sharing);
        let longest = shared.saturating_mul(3).checked_div(2).unwrap_or(shared);
        Some((active.since + longest).min(active.moved + self.slot_stall))
    }

    fn cancel_where(&mut self, is_gone: impl Fn(&UploadRequest) -> bool) -> Vec<(ConnId, UploadRequest)> {
        let mut gone = Vec::new();
        for (conn, requester) in &mut self.requesters {
            gone.extend(
                requester
                    .queue
                    .iter()
                    .filter(|queued| is_gone(&queued.request))
                    .map(|queued| (*conn, queued.request)),
            );
            requester.queue.retain(|queued| !is_gone(&queued.request));
        }
        for (conn, _) in &gone {
            self.review(*conn);
        }
        gone
    }

    /// The queue of a connection became shorter otherwise than by serving it.
    fn review(&mut self, conn: ConnId) {
        let Some(requester) = self.requesters.get_mut(&conn) else { return };
        let next = requester.queue.front().map(|queued| queued.request.content);
        // A slot without a request would never be used, nor given back.
        if next.is_none()
            && let Some(active) = self.active.get(&conn).filter(|active| !active.begun)
        {
            requester.served |= active.bytes > 0;
            self.active.remove(&conn);
        }
        if let Some((content, _)) = requester.waits
            && next != Some(content)
        {
            self.leave_line(conn);
            self.line_up(conn);
        }
    }

    /// Puts a connection where it belongs now, if it asks for something and has no slot.
    fn line_up(&mut self, conn: ConnId) {
        self.leave_line(conn);
        let Some(requester) = self.requesters.get_mut(&conn).filter(|_| !self.active.contains_key(&conn))
        else {
            return;
        };
        if let Some(Queued { request, part }) = requester.queue.front() {
            let standing = Standing { part: *part, served: requester.served };
            requester.waits = Some((request.content, standing));
            self.line.push(conn, request.content, standing, requester.is_outside);
        }
    }

    fn leave_line(&mut self, conn: ConnId) {
        let waits = self.requesters.get_mut(&conn).and_then(|requester| requester.waits.take());
        if let Some((content, standing)) = waits {
            self.line.remove(conn, &content, standing);
        }
    }
}

/// Whether what went with `bytes` more after `sent` is another good part.
pub(crate) fn is_progress(sent: u64, bytes: u64) -> bool {
    sent.checked_div(PROGRESS_BYTES) < sent.saturating_add(bytes).checked_div(PROGRESS_BYTES)
}

fn copies_of(copies: &[u16], request: &UploadRequest) -> u16 {
    copies.get(request.chunk as usize).copied().unwrap_or(u16::MAX)
}
