//! Bytes to messages and back, one file a dialect: total, symmetric, no state but a decoder's.
//!
//! `docs/protocol.md` specifies every byte of the native ones, `docs/classic.md` and `docs/push.md` those of the field's.
//!
//! The released program ends at an index out of bounds and at a sum that overflows, so no other computer may cause one.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

pub mod classic;
pub mod datagram;
pub mod frame;
pub mod http;
mod json;
pub mod message;
pub mod push;
