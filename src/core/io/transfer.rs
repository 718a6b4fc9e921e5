//! What goes in or out of the core for transfers: settings, instructions to the store, and what people
//! are told. Nothing of this content is verified: no form has an id to verify it by.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::io::{BrokenWhy, Fault, SpanFault, SpoolId};
use crate::wire::transfer::{Announced, SendError, TransferError};

/// How transfers are taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferConfig {
    /// Local TCP ports on which every connection is a transfer, each with whether a digit begins the named form there, or
    /// else the short one.
    pub ports: BTreeMap<u16, bool>,
    /// The most bytes that are taken in, over all transfers.
    pub quota_bytes: u64,
}

/// A job for the store.
#[derive(Debug)]
pub enum TransferJob {
    /// Make the file that the bytes of a transfer go into, where there is room for so many. Reply: `Opened` or
    /// `SpoolFailed`.
    OpenSpool {
        /// The spool.
        spool: SpoolId,
        /// How many bytes will come, where that was said.
        bytes: Option<u64>,
    },
    /// Read both ends of a spool. Reply: `Ends` or `SpoolFailed`.
    ReadEnds {
        /// The spool.
        spool: SpoolId,
        /// At most so many bytes of its beginning.
        head: usize,
        /// At most so many bytes of its end.
        tail: usize,
    },
    /// Give a spool its final name, durably, and without replacing what has it. Reply: `Kept` or `SpoolFailed`.
    Keep {
        /// The spool.
        spool: SpoolId,
        /// The name, as the sender suggests it.
        name: String,
        /// So many bytes at its beginning are not the file's.
        skip: u64,
        /// So many bytes behind them are the file.
        bytes: u64,
    },
    /// Throw a spool away, if it is there. No reply.
    DropSpool {
        /// The spool.
        spool: SpoolId,
    },
}

/// What the store answers.
#[derive(Debug)]
pub enum TransferReply {
    /// Bytes may come.
    Opened {
        /// The spool.
        spool: SpoolId,
    },
    /// Both ends of a spool.
    Ends {
        /// The spool.
        spool: SpoolId,
        /// The bytes of its beginning.
        head: Vec<u8>,
        /// The bytes of its end.
        tail: Vec<u8>,
        /// How many there are in all.
        bytes: u64,
    },
    /// The file stands under its final name; the spool's number is free.
    Kept {
        /// The spool.
        spool: SpoolId,
        /// Where.
        path: PathBuf,
    },
    /// A spool cannot be made, written, read or kept; it is gone.
    SpoolFailed {
        /// Which.
        spool: SpoolId,
        /// Why.
        fault: Fault,
    },
}

/// What people, logs and scripts want to know. Text in it that came from the network is raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferEvent {
    /// Somebody wants to send a file: a question, answered by [`crate::core::Command::AnswerTransfer`].
    Came {
        /// The number of this transfer.
        transfer: u32,
        /// From whom.
        from: SocketAddr,
        /// What the sender says of it. In the named form nothing is known yet.
        said: Announced,
    },
    /// A transfer that was accepted begins to come.
    Accepted {
        /// Which.
        transfer: u32,
    },
    /// How far a transfer is, now and then.
    Progress {
        /// Which.
        transfer: u32,
        /// So many bytes came.
        bytes: u64,
        /// Of so many, where that was said.
        of: Option<u64>,
    },
    /// A file stands under its name, unverified.
    Received {
        /// Which transfer.
        transfer: u32,
        /// From whom.
        from: SocketAddr,
        /// What the sender says of it; in the named form its name too, learnt at the end.
        said: Announced,
        /// Its size in bytes.
        bytes: u64,
        /// From the connection to the last byte.
        latency: Duration,
        /// From the acceptance to the last byte.
        took: Duration,
        /// Where.
        path: PathBuf,
    },
    /// A transfer ended without a file; nothing is left of it.
    Failed {
        /// Which transfer.
        transfer: u32,
        /// From whom.
        from: SocketAddr,
        /// The file's name, as far as it was said.
        name: Option<String>,
        /// Why.
        reason: TransferFailure,
    },
    /// The receiver let a file come.
    SendBegun {
        /// The ticket of [`crate::core::Command::SendTransfer`].
        ticket: u32,
    },
    /// How far a file is on its way out, now and then.
    SendProgress {
        /// The ticket.
        ticket: u32,
        /// So many bytes went.
        bytes: u64,
        /// Of so many.
        of: u64,
    },
    /// All of a file is sent.
    Sent {
        /// The ticket.
        ticket: u32,
        /// To whom.
        to: SocketAddr,
        /// Its size in bytes.
        bytes: u64,
        /// From the dial to now.
        took: Duration,
        /// Whether the receiver said that it has it; two of the forms never do.
        acknowledged: bool,
    },
    /// A file was not sent.
    SendFailed {
        /// The ticket.
        ticket: u32,
        /// To whom.
        to: SocketAddr,
        /// Why.
        reason: TransferFailure,
    },
}

/// Why a transfer failed, on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferFailure {
    /// The sender cannot be understood.
    Unclear(TransferError),
    /// It said nothing more for too long, before its file was described.
    Silent,
    /// The name makes no file name here.
    NameRefused,
    /// It was declined here.
    Declined,
    /// Nobody here said in time whether it may come.
    Unanswered,
    /// More than is left of the quota.
    OverQuota {
        /// So many bytes are left.
        left: u64,
    },
    /// More bytes came than were announced.
    TooMany {
        /// So many were.
        announced: u64,
    },
    /// The sender ended before all had come.
    CutShort {
        /// So many bytes came.
        came: u64,
        /// Of so many, where that was said.
        of: Option<u64>,
    },
    /// No byte of a file came, in a form that cannot tell an empty file from none.
    Empty,
    /// The size, the file and the name in the stream do not fit together.
    NoParts,
    /// No byte moved for too long.
    Stalled,
    /// The connection broke.
    Broken(BrokenWhy),
    /// This peer ended.
    Cancelled,
    /// The store failed.
    Storage(Fault),
    /// No connection in time, or none at all.
    NoConnection(BrokenWhy),
    /// The form cannot say this file.
    Form(SendError),
    /// The receiver closed before it let the file come.
    Refused,
    /// The receiver closed before it said that it has the file.
    Unacknowledged,
    /// The receiver said something else than `OK`.
    NotOk,
    /// The receiver said nothing in time, or reset the connection instead.
    NoOk,
    /// The file is not shared here.
    NotShared,
    /// The file is not what it was.
    File(SpanFault),
}

impl fmt::Display for TransferFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransferFailure::Unclear(error) => error.fmt(f),
            TransferFailure::Silent => f.write_str("the sender did not say in time what it sends"),
            TransferFailure::NameRefused => f.write_str("its name makes no file name here"),
            TransferFailure::Declined => f.write_str("declined"),
            TransferFailure::Unanswered => f.write_str("nobody said in time whether it may come"),
            TransferFailure::OverQuota { left } => write!(f, "more than the {left} bytes left of --quota"),
            TransferFailure::TooMany { announced } => {
                write!(f, "more came than the {announced} bytes announced")
            }
            TransferFailure::CutShort { came, of: Some(of) } => {
                write!(f, "the sender ended after {came} of {of} bytes")
            }
            TransferFailure::CutShort { came, of: None } => write!(f, "the sender ended after {came} bytes"),
            TransferFailure::Empty => f.write_str("the sender ended before a byte of the file"),
            TransferFailure::NoParts => f.write_str(
                "size, file and name in the stream do not fit together; something is missing of it",
            ),
            TransferFailure::Stalled => f.write_str("no byte moved for too long"),
            TransferFailure::Broken(why) => write!(f, "the connection broke: {}", words_of(*why)),
            TransferFailure::Cancelled => f.write_str("this peer ended"),
            TransferFailure::Storage(fault) => fault.fmt(f),
            TransferFailure::NoConnection(why) => write!(f, "no connection: {}", words_of(*why)),
            TransferFailure::Form(error) => error.fmt(f),
            TransferFailure::Refused => f.write_str(
                "the receiver did not answer and closed before the file: it declines, or takes another dialect",
            ),
            TransferFailure::Unacknowledged => {
                f.write_str("the receiver closed without saying that it has the file")
            }
            TransferFailure::NotOk => f.write_str("the receiver said something else than OK"),
            TransferFailure::NoOk => f.write_str("the receiver did not answer: no OK came"),
            TransferFailure::NotShared => f.write_str("the file is not shared"),
            TransferFailure::File(why) => why.fmt(f),
        }
    }
}

fn words_of(why: BrokenWhy) -> &'static str {
    match why {
        BrokenWhy::Refused => "nobody listens there",
        BrokenWhy::Unreachable => "no way there, or no answer",
        BrokenWhy::Reset => "the other side reset it",
        BrokenWhy::Failed => "it failed",
    }
}
