//! Bytes to messages and back, one file for each dialect: total, symmetric, without state except that of a decoder.
//!
//! `docs/protocol.md` specifies every byte of the native messages, `docs/classic.md` and `docs/sending.md` those of other
//! programs.
//!
//! The released program ends at an index out of bounds and at a sum that overflows, so no input from the network may
//! cause one.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

pub mod classic;
pub mod datagram;
pub mod frame;
pub mod http;
mod json;
pub mod message;
pub mod transfer;
