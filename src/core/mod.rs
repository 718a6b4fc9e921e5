//! The peer as one deterministic value: bytes, time and replies go in, instructions come out.
//!
//! Nothing here knows a socket, a file, a clock, a thread or the operating system's randomness. The same seed
//! and the same inputs give the same outputs, always. Payload goes around the core, never through it.
//!
//! [`io`] has the values that go in and out; [`Peer`] stands behind them.
//!
//! The released program ends at an index out of bounds and at a sum that overflows, so no other computer may cause one:
//! whatever is computed here is proven bounded, checked, or saturates.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

mod catalogue;
mod classic;
mod config;
mod connection;
mod connections;
mod context;
mod counters;
mod dialer;
mod engines;
mod http;
pub mod io;
pub mod limits;
mod looks;
mod native;
pub mod peer;
pub mod picker;
mod rates;
mod rhythm;
pub mod rng;
mod room;
mod sources;
mod spools;
pub mod status;
mod timers;
pub mod topology;
mod transfer;
mod uploader;

pub use config::Config;
pub use io::{
    BrokenWhy, BufferId, ChunkBytes, ClassicConfig, ClassicContent, ClassicEvent, ClassicFailure, ClassicJob,
    ClassicReply, Command, ConnId, DatagramTo, Decision, DictionaryUse, Direction, Event, EventObject,
    Expect, FailReason, Fault, FaultKind, HttpConfig, IfaceId, Input, OfferEnd, OfferEvent, Output,
    PartState, PeerRef, Reader, Recipient, Segment, Sink, SpanFault, SpanSource, SpoolId, StoreJob,
    StoreReply, TransferConfig, TransferEvent, TransferFailure, TransferJob, TransferReply, Voice,
};
pub use limits::{Limits, Tactics};
pub use peer::Peer;
pub use rng::Rng;
pub use status::Status;

pub use topology::{Place, Topology};
