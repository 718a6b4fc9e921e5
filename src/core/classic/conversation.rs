//! One classic connection: who is at the other end, and which of its two sides this peer is on.

use crate::core::classic::chunk_request::ChunkRequest;
use crate::core::classic::serving::Serving;
use crate::core::connection::Transport;
use crate::core::io::{ConnId, Expect, Segment};
use crate::types::Time;

/// One classic connection.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) transport: Transport,
    pub(super) side: Side,
}

/// Which side this peer is on.
#[derive(Debug)]
pub(super) enum Side {
    /// Somebody asks here.
    Serving(Serving),
    /// This peer asks.
    ChunkRequest(ChunkRequest),
    /// Neither any more: it is to be closed.
    Closing,
}

impl Conversation {
    /// One that came in at a port of the dialects whose own port is `tcp_port`.
    pub(crate) fn serving(transport: Transport, tcp_port: u16, now: Time) -> Conversation {
        Conversation { transport, side: Side::Serving(Serving::new(tcp_port, now)) }
    }

    /// One that is dialled, to ask for a chunk.
    pub(super) fn request(transport: Transport, request: ChunkRequest) -> Conversation {
        Conversation { transport, side: Side::ChunkRequest(request) }
    }

    /// The side that serves, if this is one.
    pub(super) fn as_serving(&mut self) -> Option<&mut Serving> {
        match &mut self.side {
            Side::Serving(serving) => Some(serving),
            Side::ChunkRequest(_) | Side::Closing => None,
        }
    }

    /// The side that asks, if this is one.
    pub(super) fn as_request(&mut self) -> Option<&mut ChunkRequest> {
        match &mut self.side {
            Side::ChunkRequest(request) => Some(request),
            Side::Serving(_) | Side::Closing => None,
        }
    }

    /// Whether a chunk is looked for or sent.
    pub(crate) fn is_serving(&self) -> bool {
        matches!(&self.side, Side::Serving(serving) if serving.is_busy())
    }

    /// When the side that serves last moved, if this is one.
    pub(crate) fn moved(&self) -> Option<Time> {
        match &self.side {
            Side::Serving(serving) => Some(serving.moved),
            Side::ChunkRequest(_) | Side::Closing => None,
        }
    }

    /// Whether the answer that is read seems to be over, but its end did not come.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(&self.side, Side::ChunkRequest(request) if request.quiet)
    }

    /// What the next bytes are.
    pub(crate) fn expects(&self) -> Expect {
        match &self.side {
            Side::Serving(serving) => serving.expects(),
            Side::ChunkRequest(request) => request.expects(),
            Side::Closing => Expect::Nothing,
        }
    }

    /// What is to be sent next; `conn` is this conversation.
    pub(crate) fn segment(&self, conn: ConnId) -> Segment<'_> {
        match &self.side {
            Side::Serving(serving) => serving.segment(conn),
            Side::ChunkRequest(request) => request.segment(),
            Side::Closing => Segment::Close,
        }
    }
}
