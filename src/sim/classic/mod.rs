//! The classic dialects in the simulated world.
//!
//! Nothing of classic content is verified, so nothing of it can be described by an id: on a classic connection every
//! byte is really there, payload too. Contents are small, and a [`crate::sim::SimContent`] draws its bytes from its
//! seed. `spec` says what can be simulated; `transfer` moves bytes between a classic
//! connection and a core; `foreign` is a peer that is not ours, and `field` lets it live; `tap` listens to what is
//! written on a classic connection; `watch` says what must never be.

mod command;
mod draw;
mod field;
mod foreign;
mod gets;
mod spec;
mod tap;
mod transfer;
mod watch;

pub use draw::ClassicDrawn;
pub use gets::ClassicOutcome;
pub use spec::{ClassicGetSpec, ClassicSpec, ForeignSpec, Holding, Manner};

pub(super) use foreign::Foreign;
pub(super) use gets::{ClassicGets, FIRST_TICKET};
pub(super) use tap::ClassicTap;
pub(super) use watch::ClassicWatch;
