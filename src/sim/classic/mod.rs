//! The classic dialects in the simulated world.
//!
//! Nothing of classic content is verified, so nothing of it can be described by an id: on a classic connection every
//! byte is really there, payload too. Contents are small, and a [`crate::sim::SimContent`] draws its bytes from its
//! seed. The real store keeps the chunks (`sim/bytes.rs`). `spec` says what can be simulated; `transfer` moves bytes between
//! a classic connection and a core; `foreign` is a peer that is not ours, and `world` lets it live; `checker` decodes what
//! is written on a classic connection; `watch` says what must never be.

mod checker;
mod command;
mod draw;
mod foreign;
mod gets;
mod spec;
mod transfer;
mod watch;
mod world;

pub use draw::ClassicDrawn;
pub use gets::ClassicOutcome;
pub use spec::{ClassicGetSpec, ClassicSpec, Ears, ForeignSpec, Holding, Manner};

pub(super) use checker::ClassicChecker;
pub(super) use foreign::Foreign;
pub(super) use gets::{ClassicGets, FIRST_TICKET};
pub(super) use watch::ClassicWatch;
