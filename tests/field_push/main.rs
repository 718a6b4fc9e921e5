//! Pushes in the dialects of the field over loopback: the binary against scripts that were written from the description of
//! the dialects alone, in both directions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

#[path = "../process/child.rs"]
#[allow(dead_code, reason = "the process tests use the rest of it")]
mod child;
mod cuts;
mod hostile;
#[path = "../process/lan.rs"]
#[allow(dead_code, reason = "the process tests use the rest of it")]
mod lan;
mod place;
mod receiving;
mod reference;
mod sending;
