//! Transfers between simulated hosts, in the four forms of other programs.
//!
//! Nothing of a transfer is verified, so every byte is really there, as on classic connections, and the real store takes it
//! in (`sim/bytes.rs`). `spec` says what can be simulated; `world` lets hosts send, and answer; `watch` says what must never
//! be; `draw` draws scenarios from a seed.

mod draw;
mod spec;
mod watch;
mod world;

pub use draw::TransfersDrawn;
pub use spec::TakesSpec;
pub use watch::TransferOutcome;

pub(super) use watch::TransferWatch;
