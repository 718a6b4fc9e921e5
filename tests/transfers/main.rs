//! Transfers in the forms of other programs over loopback: the binary against scripts that were written from the description of
//! the dialects alone, in both directions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

#[path = "../common/child.rs"]
mod child;
mod cuts;
mod hostile;
#[path = "../common/lan.rs"]
mod lan;
mod place;
mod receiving;
mod reference;
mod sending;
