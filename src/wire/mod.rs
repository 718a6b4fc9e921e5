//! Bytes to messages and back, one file a dialect: total, symmetric, no state but a decoder's.
//!
//! `docs/protocol.md` specifies every byte.

pub mod classic;
pub mod datagram;
pub mod frame;
mod glob;
pub mod http;
pub mod message;
