//! Bytes of a connection to messages, and each message to the flow that it concerns.

use crate::core::door::{ConnId, Event, Expect};
use crate::core::peer::Peer;
use crate::core::session::Phase;
use crate::types::time::Time;
use crate::wire::frame::{Decoded, FrameError};
use crate::wire::message::Frame;

/// The reason in the last frame of a peer that leaves the LAN.
pub(in crate::core) const LEAVING: &str = "leaving";

impl Peer {
    /// Decodes control bytes up to where payload begins, but no more frames than one connection may have handled before
    /// others have their turn; returns how many bytes were taken.
    pub(in crate::core) fn on_bytes(&mut self, now: Time, conn: ConnId, bytes: &[u8]) -> usize {
        let (mut rest, mut frames) = (bytes, 0_usize);
        if let Some(connection) = self.connections.native_mut(conn).filter(|c| c.phase == Phase::Greeting) {
            connection.note_first_words(bytes);
        }
        while let Some(connection) = self.connections.native_mut(conn) {
            let is_over = frames >= self.config.limits.frames_at_once_max;
            if rest.is_empty() || is_over || connection.expects() != Expect::Control {
                break;
            }
            connection.heard = now;
            connection.pinged = false;
            match connection.decoder.decode(rest) {
                Ok((taken, decoded)) => {
                    rest = rest.get(taken..).unwrap_or_default();
                    frames = frames.saturating_add(1);
                    match decoded {
                        Some(Decoded::Frame(frame)) => self.on_frame(now, conn, frame),
                        Some(Decoded::Chunk { channel, chunk, bytes }) => {
                            self.on_chunk_header(now, conn, channel, chunk, bytes);
                        }
                        None if taken == 0 => break,
                        None => {}
                    }
                }
                Err(error) => {
                    self.on_garbage(now, conn, &error);
                    return bytes.len();
                }
            }
        }
        bytes.len().saturating_sub(rest.len())
    }

    fn on_garbage(&mut self, now: Time, conn: ConnId, error: &FrameError) {
        let fault = match error {
            FrameError::Dialect(_) => "speaks no dialect of ours",
            FrameError::Length { .. } => "sent a frame of impossible length",
            FrameError::Kind(_) => "sent a frame of unknown kind",
            FrameError::Body { .. } => "sent a malformed frame",
        };
        self.close_for_fault(now, conn, fault);
    }

    fn on_frame(&mut self, now: Time, conn: ConnId, frame: Frame) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.phase == Phase::Greeting {
            connection.first_words = None;
        }
        match (connection.phase, frame) {
            (Phase::Greeting, Frame::Hello(hello)) => self.on_hello(now, conn, hello),
            (Phase::Greeting, Frame::Bye { .. }) => self.on_end_of_stream(now, conn),
            (Phase::Greeting, _) => self.close_for_fault(now, conn, "spoke before its hello"),
            (Phase::Open, frame) => self.on_message(now, conn, frame),
            (Phase::Dialling | Phase::Closing, _) => {}
        }
    }

    fn on_message(&mut self, now: Time, conn: ConnId, frame: Frame) {
        let is_over = |theirs| self.connections.native(conn).is_some_and(|c| c.channels.is_over(theirs));
        if channel_of(&frame).is_some_and(is_over) {
            return self.on_frame_too_late(now, conn, &frame);
        }
        match frame {
            Frame::Hello(_) => self.close_for_fault(now, conn, "said hello twice"),
            Frame::CatalogueRequest(request) => self.on_catalogue_request(now, conn, request),
            Frame::CataloguePage(page) => self.on_catalogue_page(now, conn, page),
            Frame::Open { channel, content, size, chunk_bytes } => {
                self.on_open(now, conn, channel, content, size, chunk_bytes);
            }
            Frame::Refuse { content, reason } => self.on_refuse(now, conn, content, reason),
            Frame::Withdraw { channel, reason } => self.on_withdraw(now, conn, channel, reason),
            Frame::ManifestRequest { channel, first } => self.on_manifest_request(now, conn, channel, first),
            Frame::ManifestPage(page) => self.on_manifest_page(now, conn, page),
            Frame::HaveMap { channel, bits } => self.on_have_map(now, conn, channel, &bits),
            Frame::Have { channel, first, count } => self.on_have(now, conn, channel, first, count),
            Frame::Request { channel, chunk } => self.on_request(now, conn, channel, chunk),
            Frame::Cancel { channel, chunk } => self.on_cancel(now, conn, channel, chunk),
            Frame::Recall { channel, chunk } => self.on_recall(now, conn, channel, chunk),
            Frame::Reject { channel, chunk, reason } => self.on_reject(now, conn, channel, chunk, reason),
            Frame::Bad { channel, chunk } => self.on_bad(now, conn, channel, chunk),
            Frame::Show { channel } => self.on_show(now, conn, channel),
            Frame::Idle { channel } => self.on_idle(now, conn, channel),
            Frame::Offer(offer) => self.on_offer(now, conn, offer),
            Frame::OfferAnswer(said) => self.on_offer_answer(now, conn, said),
            Frame::OfferOutcome(said) => self.on_offer_outcome(now, conn, said),
            Frame::Ping => self.on_ping(now, conn),
            Frame::Pong => {}
            Frame::Bye { reason } => self.on_bye(now, conn, &reason),
        }
    }

    /// A frame for a channel that is over crossed what ended it, and says nothing: not even that the cut of the content is known
    /// now. One connection may not do so for ever.
    fn on_frame_too_late(&mut self, now: Time, conn: ConnId, frame: &Frame) {
        let asks = match *frame {
            // A cut is told once.
            Frame::Open { channel, size, chunk_bytes, .. } => {
                let adds_cut = (size, chunk_bytes) != (0, 0);
                let is_new = |peer: &mut Peer| {
                    peer.connections.native_mut(conn).is_some_and(|c| c.channels.note_late_cut(channel))
                };
                !(adds_cut && is_new(self))
            }
            _ => matches!(frame, Frame::Request { .. } | Frame::ManifestRequest { .. }),
        };
        let may_ask = |peer: &mut Peer| {
            peer.connections.native_mut(conn).is_some_and(|connection| connection.rejections.take(now))
        };
        if asks && !may_ask(self) {
            self.close_for_fault(now, conn, "asks for what it cannot have again and again");
        }
    }

    fn on_ping(&mut self, now: Time, conn: ConnId) {
        if let Some(connection) = self.connections.native_mut(conn) {
            connection.pong = true;
            self.wake(now, conn);
        }
    }

    /// The other side closes. When it leaves the LAN, that can be believed over a connection: it is gone at once.
    fn on_bye(&mut self, now: Time, conn: ConnId, reason: &str) {
        let peer = self.connections.native(conn).and_then(|connection| connection.known_peer());
        self.neighbourhood.owner_left |= reason == LEAVING && self.part_at(conn).owner;
        self.note_second(conn, reason);
        self.on_end_of_stream(now, conn);
        if let Some(peer) = peer.filter(|_| reason == LEAVING)
            && let Some(peer_ref) = self.directory.peer_ref(&peer)
        {
            self.directory.remove(&peer);
            self.event(Event::PeerLost(peer_ref));
        }
    }

    /// Queues a frame and sees to it that it is sent; who asks faster than it reads is closed.
    pub(in crate::core) fn say(&mut self, now: Time, conn: ConnId, frame: Frame) {
        let Some(connection) = self.connections.native_mut(conn) else { return };
        if connection.phase != Phase::Open {
            return;
        }
        if connection.queued_frames() >= crate::core::session::QUEUED_FRAMES_MAX {
            return self.close_for_fault(now, conn, "asks faster than it reads");
        }
        connection.push(frame);
        self.wake(now, conn);
    }
}

/// The channel that a frame is about.
fn channel_of(frame: &Frame) -> Option<u32> {
    match frame {
        Frame::Open { channel, .. }
        | Frame::Withdraw { channel, .. }
        | Frame::ManifestRequest { channel, .. }
        | Frame::HaveMap { channel, .. }
        | Frame::Have { channel, .. }
        | Frame::Request { channel, .. }
        | Frame::Cancel { channel, .. }
        | Frame::Recall { channel, .. }
        | Frame::Reject { channel, .. }
        | Frame::Bad { channel, .. }
        | Frame::Show { channel }
        | Frame::Idle { channel } => Some(*channel),
        Frame::ManifestPage(page) => Some(page.channel),
        _ => None,
    }
}
