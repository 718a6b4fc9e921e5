//! One connection, whatever is spoken on it: the transport's state, which is the same for all, and the protocol's.
//!
//! A connection that came in at the peer's own port is [`Protocol::Sniffing`] until its first byte says what it is. Everything
//! else is known when it is made. What the messages of a protocol mean is its engine's to say.

use std::net::SocketAddr;

use crate::core::classic::Conversation;
use crate::core::http::Reader;
use crate::core::io::{ConnId, Expect, Segment};
use crate::core::native::session::Session;
use crate::core::transfer::Transfer;
use crate::types::Time;

/// What is known of every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transport {
    /// The other end.
    pub(crate) addr: SocketAddr,
    /// This peer dialled it.
    pub(crate) dialled: bool,
    /// The driver was told `Nothing` to send and waits to be woken.
    pub(crate) asleep: bool,
    /// The driver has closed it.
    pub(crate) gone: bool,
}

/// A connection that has said nothing yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sniffing {
    pub(crate) transport: Transport,
    pub(crate) since: Time,
    /// It is to be closed.
    pub(crate) closing: bool,
}

/// What is spoken on a connection, and how far that is.
#[derive(Debug)]
pub(crate) enum Protocol {
    Sniffing(Sniffing),
    Native(Box<Session>),
    Http(Box<Reader>),
    Classic(Box<Conversation>),
    Transfer(Box<Transfer>),
}

/// Which protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sniffing,
    Native,
    Http,
    Classic,
    Transfer,
}

/// What the first byte of a connection says is spoken on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// A frame, or nothing that is known here: that is the native codec's to say.
    Native,
    /// A classic request is an object of JSON.
    Classic,
    /// A request by HTTP begins with the name of its method.
    Http,
}

impl Transport {
    pub(crate) const fn dialled(addr: SocketAddr) -> Transport {
        Transport { addr, dialled: true, asleep: true, gone: false }
    }

    pub(crate) const fn accepted(addr: SocketAddr) -> Transport {
        Transport { addr, dialled: false, asleep: true, gone: false }
    }
}

impl Sniffed {
    pub(crate) const fn of(first: u8) -> Sniffed {
        match first {
            b'{' => Sniffed::Classic,
            b'A'..=b'Z' => Sniffed::Http,
            _ => Sniffed::Native,
        }
    }
}

impl Protocol {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Protocol::Sniffing(_) => Kind::Sniffing,
            Protocol::Native(_) => Kind::Native,
            Protocol::Http(_) => Kind::Http,
            Protocol::Classic(_) => Kind::Classic,
            Protocol::Transfer(_) => Kind::Transfer,
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        match self {
            Protocol::Sniffing(sniffing) => &sniffing.transport,
            Protocol::Native(session) => &session.transport,
            Protocol::Http(reader) => &reader.transport,
            Protocol::Classic(conversation) => &conversation.transport,
            Protocol::Transfer(transfer) => &transfer.transport,
        }
    }

    pub(crate) fn transport_mut(&mut self) -> &mut Transport {
        match self {
            Protocol::Sniffing(sniffing) => &mut sniffing.transport,
            Protocol::Native(session) => &mut session.transport,
            Protocol::Http(reader) => &mut reader.transport,
            Protocol::Classic(conversation) => &mut conversation.transport,
            Protocol::Transfer(transfer) => &mut transfer.transport,
        }
    }

    /// Its turn to be served has come: until now it waited for others.
    pub(crate) fn note_turn(&mut self, now: Time) {
        if let Protocol::Http(reader) = self {
            reader.moved = now;
        }
    }

    /// What the next bytes are.
    pub(crate) fn expects(&self) -> Expect {
        match self {
            Protocol::Sniffing(sniffing) if sniffing.closing => Expect::Nothing,
            Protocol::Sniffing(_) => Expect::Control,
            Protocol::Native(session) => session.expects(),
            Protocol::Http(reader) => reader.expects(),
            Protocol::Classic(conversation) => conversation.expects(),
            Protocol::Transfer(transfer) => transfer.expects(),
        }
    }

    /// What is to be sent next; `conn` is this connection.
    pub(crate) fn segment(&self, conn: ConnId) -> Segment<'_> {
        match self {
            Protocol::Sniffing(sniffing) if sniffing.closing => Segment::Close,
            Protocol::Sniffing(_) => Segment::Nothing,
            Protocol::Native(session) => session.segment(),
            Protocol::Http(reader) => reader.segment(),
            Protocol::Classic(conversation) => conversation.segment(conn),
            Protocol::Transfer(transfer) => transfer.segment(),
        }
    }
}
