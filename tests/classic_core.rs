//! The core and its classic dialects, played by hand through its interface: the other side, the disk and the time are the test's.

#![allow(clippy::expect_used, clippy::panic, reason = "a peer that does not take part has to fail")]

#[path = "classic_core/bench.rs"]
mod bench;
#[path = "common/bench.rs"]
mod common;
#[path = "classic_core/fetching.rs"]
mod fetching;
#[path = "classic_core/hearing.rs"]
mod hearing;
#[path = "classic_core/serving.rs"]
mod serving;
