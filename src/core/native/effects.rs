//! What a part of the engine did that concerns parts above it: a value in a queue, which the engine sees to when the call, or
//! the frame, is over.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::core::io::{BufferId, ConnId, FailReason, PeerRef};
use crate::core::native::peers::directory::Heard;
use crate::types::id::{ContentId, PeerId};
use crate::types::name::Layout;
use crate::wire::message::{Delivery, Entry};

/// One of them.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A peer was heard, by datagram or hello.
    Heard(PeerId),
    /// A peer said hello, and that it listens at an endpoint.
    Met { dialled_to: Option<SocketAddr>, endpoint: SocketAddr, peer: PeerId },
    /// This peer answered at an endpoint that was dialled.
    Answered { at: SocketAddr, peer: PeerId },
    /// A connection stands to somebody who only claims to be a peer.
    GuestCame,
    /// A connection stands to a peer.
    Connected { conn: ConnId, peer: PeerId },
    /// A connection that was dialled is over; `said`: the first bytes that came, if they were no hello.
    DialOver { conn: ConnId, addr: SocketAddr, said: Option<Vec<u8>> },
    /// A connection is over, on which these contents were named.
    Disconnected { conn: ConnId, dialled: bool, buffer: Option<BufferId>, contents: Vec<ContentId> },
    /// A peer was banned, which had named these contents.
    Banned { peer: PeerRef, contents: Vec<ContentId> },
    /// A download has its manifest: chunks can come.
    Started(ContentId),
    /// A download ended, and the file is there or was skipped.
    Ended { content: ContentId, outcome: Delivery },
    /// A download ended without the file, under these names.
    Failed { content: ContentId, names: Vec<(String, Layout)>, reason: FailReason },
    /// Of what an address claims to have, some came, or will not: the mirror may want more of it.
    MirrorFreed,
    /// A peer that is known told these entries of its catalogue.
    Listed { peer: PeerId, entries: Vec<Entry> },
    /// Somebody offers these entries with the id of a peer that is known at another address.
    HeardElsewhere { heard: Heard, entries: Vec<Entry> },
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Effects(VecDeque<Effect>);

impl Effects {
    /// Leaves an effect for the engine.
    pub(crate) fn push(&mut self, effect: Effect) {
        self.0.push_back(effect);
    }

    /// Takes out the one that was left first.
    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }
}
