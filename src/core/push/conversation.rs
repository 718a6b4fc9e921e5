//! One connection on which a file is pushed: who is at the other end, and which of its two sides this peer is on.

use crate::core::connection::Transport;
use crate::core::door::{Expect, Segment};
use crate::core::push::giving::Giving;
use crate::core::push::taking::Taking;

/// One connection.
#[derive(Debug)]
pub(in crate::core) struct Conversation {
    pub(in crate::core) transport: Transport,
    pub(in crate::core) side: Side,
}

/// Which side this peer is on.
#[derive(Debug)]
pub(in crate::core) enum Side {
    /// Something comes in.
    Taking(Taking),
    /// Something goes out.
    Giving(Giving),
    /// Neither any more: once these bytes are out, it is to be closed.
    Closing(&'static [u8]),
    /// What went out is not the whole file, and must not end like one.
    Aborting,
}

impl Conversation {
    /// One that came in.
    pub(in crate::core) fn taking(transport: Transport, taking: Taking) -> Conversation {
        Conversation { transport, side: Side::Taking(taking) }
    }

    /// One that is dialled.
    pub(in crate::core) fn giving(transport: Transport, giving: Giving) -> Conversation {
        Conversation { transport, side: Side::Giving(giving) }
    }

    /// The side that takes, if this is one.
    pub(in crate::core) fn as_taking(&mut self) -> Option<&mut Taking> {
        match &mut self.side {
            Side::Taking(taking) => Some(taking),
            Side::Giving(_) | Side::Closing(_) | Side::Aborting => None,
        }
    }

    /// The side that gives, if this is one.
    pub(in crate::core) fn as_giving(&mut self) -> Option<&mut Giving> {
        match &mut self.side {
            Side::Giving(giving) => Some(giving),
            Side::Taking(_) | Side::Closing(_) | Side::Aborting => None,
        }
    }

    /// What the next bytes are.
    pub(in crate::core) fn expects(&self) -> Expect {
        match &self.side {
            Side::Taking(taking) => taking.expects(),
            Side::Giving(giving) => giving.expects(),
            Side::Closing(_) | Side::Aborting => Expect::Nothing,
        }
    }

    /// What is to be sent next.
    pub(in crate::core) fn segment(&self) -> Segment<'_> {
        match &self.side {
            Side::Taking(taking) => taking.segment(),
            Side::Giving(giving) => giving.segment(),
            Side::Aborting => Segment::Abort,
            Side::Closing([]) => Segment::Close,
            Side::Closing(last) => Segment::Bytes { bytes: last, span_of: None },
        }
    }
}
