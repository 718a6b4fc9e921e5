//! The real binary over loopback: every claim of the README as a test with real processes, sockets and files.
//!
//! Each test has a [`lan::Lan`] of its own: a block of ports that it holds, a folder, and `--broadcast 127.255.255.255`,
//! so that nothing leaves this machine and tests run side by side. What a test waits for is always an event: a line of
//! a process's output, a datagram, an end. Timeouts only bound how long a broken build takes to fail.
//!
//! A downloader whose standard output nobody reads stops, since a pipe holds few lines; that is how a test catches a
//! transfer half-way at full speed (see [`child::Trap`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

mod cable;
#[path = "../common/child.rs"]
mod child;
mod crashes;
mod desktop;
mod files;
mod hosts;
#[path = "../common/lan.rs"]
mod lan;
mod wire_peer;

mod changes;
mod crowd;
mod cuts;
mod demo;
mod discovery;
mod endless;
mod failure_notice;
mod flood;
mod hostile_connections;
mod http;
mod junk;
mod messages;
mod names;
mod namespaces;
mod patterns;
mod places;
mod poison;
mod questions;
mod rates;
mod refusals;
mod resume;
mod ring;
mod ring_script;
mod sending;
mod serve;
mod state_files;
mod stopping;
mod strangers;
mod swarm;
mod trees;
