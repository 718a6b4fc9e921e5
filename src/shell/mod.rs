//! The only code that touches sockets, clocks, signals and processes: the real driver of the core.
//!
//! [`Reactor`] is one poll loop. Its parts, each in a file: `opening` makes it from settings, `listener` (one port) and `listeners` take connections in, `links` keeps them and
//! says whose turn it is, `reading` and `writing` move their bytes, at `pace`; `datagrams` and
//! `ifaces` are discovery's sockets, `udp_listeners` the UDP ports of the classic dialects; `reactor` turns all of these, and carries out what
//! the core says.
//! Beside it, for commands: `aside`, `host`, `process` and `terminal`.
//!
//! What a socket can do is two booleans, set by events and cleared only by `WouldBlock`. Every socket is registered
//! once, for both directions. Nothing scans all connections: only those are visited that woke or became ready.

#[doc(hidden)]
pub mod aside;
#[doc(hidden)]
pub mod host;
#[doc(hidden)]
pub mod process;
#[doc(hidden)]
pub mod terminal;

mod clock;
mod config;
mod datagrams;
mod descriptors;
mod ifaces;
mod links;
mod listener;
mod listeners;
mod opening;
mod pace;
mod port_use;
mod rate_limit;
mod reactor;
mod reading;
mod ready;
mod signals;
mod sockets;
mod udp_listeners;
mod writing;

#[cfg(test)]
mod tests;

pub use config::{ClassicPorts, Listen, Rates, ShellConfig, ShellError, ShellEvent, TransferPorts};
pub use reactor::Reactor;
