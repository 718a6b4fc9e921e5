//! The values that go in and out of the core, in both directions.

mod classic;
mod event;
mod http;
pub(crate) mod json;
mod offer;
mod storage;
mod transfer;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use classic::{
    ChunkBytes, ClassicConfig, ClassicContent, ClassicEvent, ClassicFailure, ClassicJob, ClassicReply,
    DictionaryUse, SpoolId, Voice,
};
pub use event::{Event, FailReason, PeerRef};
pub use http::HttpConfig;
pub use json::{Direction, EventObject, Reader};
pub use offer::{Decision, OfferEnd, OfferEvent, Recipient};
pub use storage::{Fault, FaultKind, PartState, StoreJob, StoreReply};
pub use transfer::{TransferConfig, TransferEvent, TransferFailure, TransferJob, TransferReply};

use crate::types::ContentId;
use crate::types::name::Layout;
use crate::wire::message::{RefuseReason, Wanted};
use crate::wire::transfer::Form;

/// A connection: a slot and the generation of what is in it, so that a stale event finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The slot; small numbers that are used again.
    pub slot: u32,
    /// How often the slot was used before.
    pub generation: u32,
}

/// A network interface, by a number of the driver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfaceId(pub u32);

/// A chunk buffer. The core hands out the numbers (small, used again); the driver owns the memory, from the first
/// [`Sink::Buffer`] that names it until [`Output::Release`] or until the store's reply to the job it went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram came in.
    Datagram {
        /// The interface it came by (that of the network its source belongs to).
        iface: IfaceId,
        /// Its source.
        from: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A datagram came to a port of the classic dialects.
    ClassicDatagram {
        /// The local port.
        port: u16,
        /// Its source.
        from: SocketAddr,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A dial succeeded.
    Connected {
        /// The connection that was dialled.
        conn: ConnId,
    },
    /// The other side will send nothing more.
    EndOfStream {
        /// The connection.
        conn: ConnId,
    },
    /// A dial failed or a connection broke; the driver has forgotten it.
    Broken {
        /// The connection.
        conn: ConnId,
        /// Why.
        why: BrokenWhy,
    },
    /// The driver has carried out [`Segment::Close`] or [`Segment::Abort`] and forgotten the connection.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// A [`Segment::Span`] cannot be sent as promised.
    SpanFailed {
        /// The connection.
        conn: ConnId,
        /// What the span is of.
        source: SpanSource,
        /// Why.
        why: SpanFault,
    },
    /// The store answers, or tells what it found.
    Stored(StoreReply),
    /// A person or a script wants something.
    Command(Command),
    /// Time passed; deadlines may be due.
    Tick,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenWhy {
    /// Nobody listens there.
    Refused,
    /// No way there, or no answer.
    Unreachable,
    /// The other side reset it.
    Reset,
    /// Anything else the driver met.
    Failed,
}

impl BrokenWhy {
    /// The counter of connections that broke so.
    pub(crate) const fn counter(self) -> &'static str {
        match self {
            BrokenWhy::Refused => "connections refused by the other side",
            BrokenWhy::Unreachable => "connections to nowhere",
            BrokenWhy::Reset => "connections reset",
            BrokenWhy::Failed => "connections failed",
        }
    }
}

/// Why a span of a shared file cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanFault {
    /// The file is not what was hashed any more.
    Changed,
    /// The file is gone or cannot be opened.
    Gone,
    /// The file cannot be read there.
    Unreadable,
}

impl SpanFault {
    /// What others are told.
    pub(crate) const fn reason(self) -> RefuseReason {
        match self {
            SpanFault::Changed => RefuseReason::Changed,
            SpanFault::Gone => RefuseReason::Gone,
            SpanFault::Unreadable => RefuseReason::Unreadable,
        }
    }

    /// The fault that others are told of with this reason.
    pub(crate) fn of(reason: RefuseReason) -> Option<SpanFault> {
        [SpanFault::Changed, SpanFault::Gone, SpanFault::Unreadable]
            .into_iter()
            .find(|fault| fault.reason() == reason)
    }
}

/// What people and scripts ask of a running peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Find one content and fetch it, or each file that a pattern matches: each content under each of its names.
    Get {
        /// Comes back in the events about it.
        ticket: u32,
        /// What to fetch. [`Wanted::Glob`] and [`Wanted::All`] fetch each content they match.
        wanted: Wanted,
        /// Only as this holder offers it (its user name, `NAME#id4`, or address).
        at: Option<String>,
        /// What becomes of the folders in its name.
        layout: Layout,
        /// How long to look for somebody who offers it.
        wait: Duration,
        /// How long a download that was begun waits for holders.
        stall: Duration,
    },
    /// Find a file that classic peers announce, fetch its chunks and join them. Needs [`Config::classic`].
    ///
    /// [`Config::classic`]: crate::core::Config::classic
    GetClassic {
        /// Comes back in the events about it.
        ticket: u32,
        /// The file's name, with or without its extension.
        name: String,
        /// How long to wait for somebody who announces what is missing.
        wait: Duration,
    },
    /// From now on fetch each content that somebody offers, that matches, and that is not here; what is offered later
    /// too. Told like the contents of a [`Command::Get`], without an end. What failed is tried again; what was here
    /// and was withdrawn is not fetched again. Replaces what was mirrored so far.
    Mirror {
        /// Comes back in the events about it.
        ticket: u32,
        /// What to fetch: whatever one of these matches.
        wanted: Vec<Wanted>,
        /// Bytes that may be fetched in all; what is withdrawn gives its room back.
        room_bytes: u64,
    },
    /// Offer a file that is shared here to somebody, who fetches it if it is accepted. Told in [`OfferEvent`]s, the last
    /// of which is [`OfferEvent::Ended`].
    Offer {
        /// Comes back in the events about it; used once.
        ticket: u32,
        /// The content; all of it is shared here.
        content: ContentId,
        /// The name to offer it under.
        name: String,
        /// To whom.
        to: Recipient,
        /// How long to look for them.
        wait: Duration,
    },
    /// From now on take offers of others: each is told by [`OfferEvent::Came`]. Without this they are declined.
    Receive,
    /// Answer an offer. What is accepted is told like the content of a [`Command::Get`].
    Answer {
        /// The number of [`OfferEvent::Came`].
        offer: u32,
        /// The answer.
        decision: Decision,
        /// Comes back in the events about the download.
        ticket: u32,
        /// How long the download waits for holders.
        stall: Duration,
    },
    /// Ask everybody what they offer; what is heard stands in the status, as [`Event::Looked`] says.
    Look {
        /// What is looked for.
        wanted: Wanted,
        /// How long to listen.
        wait: Duration,
    },
    /// Send a shared file to somebody in a form of other programs. Told by [`TransferEvent`]s with this ticket.
    SendTransfer {
        /// Comes back in the events about it.
        ticket: u32,
        /// To whom.
        to: SocketAddr,
        /// In which form.
        form: Form,
        /// The file, shared and hashed.
        content: ContentId,
        /// The name it is sent under, without folders.
        name: String,
        /// The sender's name.
        sender: String,
    },
    /// Take in or decline what [`TransferEvent::Came`] asks about. What is over meanwhile is nobody's.
    AnswerTransfer {
        /// Which transfer.
        transfer: u32,
        /// Whether it may come.
        accept: bool,
    },
    /// From now on so many bytes may be taken in over all transfers, those included that were.
    LimitTransfers {
        /// How many.
        quota_bytes: u64,
    },
    /// Give up a download; its part is kept.
    Cancel {
        /// Which.
        content: ContentId,
    },
    /// Finish what is on the wire and queued, close every part with a clean mark, then say [`Event::Left`].
    Leave,
}

/// One instruction to the driver.
#[derive(Debug)]
pub enum Output {
    /// Send a datagram.
    Datagram {
        /// Where to.
        to: DatagramTo,
        /// What.
        bytes: Vec<u8>,
    },
    /// Connect.
    Dial {
        /// The id the connection has from here on.
        conn: ConnId,
        /// Where to.
        to: SocketAddr,
    },
    /// `expects` or `next_segment` of this connection turned from nothing to something, or what was to be sent gave
    /// way to [`Segment::Close`]: a driver that waits for room must hear of that too.
    Wake(ConnId),
    /// A job for the store.
    Store(StoreJob),
    /// The buffer's bytes are not needed; its memory may serve another.
    Release(BufferId),
    /// Something people or logs want to know.
    Event(Event),
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatagramTo {
    /// To the discovery port at the broadcast address of each interface, each from the sender's own socket there.
    Everybody,
    /// To this port at the broadcast address of each interface, each from the sender's own socket there.
    EverybodyAt {
        /// The port.
        port: u16,
    },
    /// To one address, from the own socket of one interface.
    One {
        /// The interface; `None`: the one whose network holds the address, else any.
        iface: Option<IfaceId>,
        /// The address.
        addr: SocketAddr,
    },
}

/// What the core makes of the next bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Control bytes: read into scratch memory and hand to `received`.
    Control,
    /// Payload: read no more than `left` bytes into the sink and tell `stored`.
    Payload {
        /// Where the bytes go.
        sink: Sink,
        /// How many are still to come.
        left: u64,
    },
    /// Do not read.
    Nothing,
}

/// Where payload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Into a chunk buffer of `len` bytes, from `at` on.
    Buffer {
        /// The buffer.
        buffer: BufferId,
        /// Where the next byte goes.
        at: u32,
        /// The chunk's length, and so the buffer's.
        len: u32,
    },
    /// Behind the bytes that are in a spool. How many are still to come may be unknown; `left` is then the most that
    /// are taken.
    Spool(SpoolId),
    /// Nowhere: nobody wants it any more.
    Discard,
}

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanSource {
    /// A shared content, or the verified chunks of one that is coming in.
    Content(ContentId),
    /// The kept chunk that [`ClassicJob::OpenChunk`] opened for this connection.
    Kept(ConnId),
}

/// What a connection wants to send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// These bytes.
    Bytes {
        /// The bytes.
        bytes: &'a [u8],
        /// A span of this follows at once. The kernel may wait for it; and if the file is not what it was, the
        /// driver says [`Input::SpanFailed`] *instead* of sending these bytes, which promise it.
        span_of: Option<SpanSource>,
    },
    /// Bytes of a shared file.
    Span {
        /// Of what.
        source: SpanSource,
        /// From which byte on.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Close the writing half.
    HalfClose,
    /// Close, letting what was sent arrive; then say [`Input::Closed`].
    Close,
    /// Close with a reset, so that what was sent does not look whole; then say [`Input::Closed`].
    Abort,
    /// Nothing for now.
    Nothing,
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}.{}", self.slot, self.generation)
    }
}

impl fmt::Display for SpanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SpanFault::Changed => "the file changed",
            SpanFault::Gone => "the file is gone",
            SpanFault::Unreadable => "the file cannot be read",
        })
    }
}
