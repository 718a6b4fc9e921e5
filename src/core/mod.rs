//! The peer as one deterministic value: bytes, time and replies go in, instructions come out.
//!
//! Nothing here knows a socket, a file, a clock, a thread or the operating system's randomness. The same seed
//! and the same inputs give the same outputs, always. Payload goes around the core, never through it.
//!
//! This file is the door: the values that cross it. [`Peer`] is what stands behind it.
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
pub mod door;
mod engines;
mod http;
mod leaving;
pub mod limits;
mod looks;
mod native;
pub mod peer;
pub mod picker;
mod places;
mod rates;
mod rhythm;
pub mod rng;
mod room;
mod sniffing;
mod spools;
pub mod status;
pub mod tactics;
mod timers;
pub mod topology;
mod transfer;
mod uploader;

pub use config::Config;
pub use door::{
    BrokenWhy, BufferId, ChunkBytes, ClassicConfig, ClassicContent, ClassicEvent, ClassicFailure, ClassicJob,
    ClassicReply, Command, ConnId, DatagramTo, Decision, DictionaryUse, Direction, Event, EventObject,
    Expect, FailReason, Fault, FaultKind, ForeignConfig, ForeignEvent, ForeignFailure, ForeignJob,
    ForeignReply, HttpConfig, IfaceId, Input, Output, PartState, PeerRef, PushEnd, PushEvent, Reader,
    Recipient, Segment, Sink, SpanFault, SpanSource, SpoolId, StoreJob, StoreReply, Voice,
};
pub use limits::Limits;
pub use peer::Peer;
pub use rng::Rng;
pub use status::Status;
pub use tactics::Tactics;
pub use topology::{Place, Topology};
