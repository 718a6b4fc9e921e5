//! chunkcast: a headless peer that shares files on a local network.
//!
//! One process, one poll loop. Peers find each other by UDP broadcast, cut files into chunks, and fetch every chunk
//! from whichever peer has it: verified against the file's BLAKE3 hash, resumable, over plain TCP.
//!
//! The map, each line one floor of the house (`ARCHITECTURE.md` has the longer story):
//!
//! * [`types`]: the values that all the others share.
//! * [`core`]: the peer as one deterministic value; no sockets, files, clocks or threads.
//! * [`wire`]: bytes to messages and back.
//! * [`store`]: the only code that touches files.
//! * [`shell`]: the only code that touches sockets, clocks, signals and processes: the real driver.
//! * [`sim`]: the virtual driver: the same core in virtual time, with faults, checked by an oracle.
//! * [`cli`]: one file a command.

pub mod cli;
pub mod core;
pub mod shell;
pub mod sim;
pub mod store;
pub mod types;
pub mod wire;
