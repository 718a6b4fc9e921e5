//! Bytes to messages and back, one file a dialect: total, symmetric, no state but a decoder's.
//!
//! `docs/protocol.md` specifies every byte of the native ones, `docs/classic.md` and `docs/push.md` those of the field's.

pub mod classic;
pub mod datagram;
pub mod frame;
mod glob;
pub mod http;
mod json;
pub mod message;
pub mod push;
