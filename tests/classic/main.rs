//! The classic dialects over loopback: reference peers as the field has them, first against each other, then with chunkcast.
//!
//! [`reference`] holds the peers, written from the description of the dialects alone: nothing of this crate is in
//! them, so that they can judge it. Every test draws addresses of its own from 127.0.0.0/8, on which even the fixed
//! ports of the dialects are free, and lets nothing leave this machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

#[path = "../common/child.rs"]
mod child;
mod reference;

mod among_themselves;
mod with_chunkcast;
