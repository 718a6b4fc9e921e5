//! Pushes in the dialects of the field, in the simulated world.
//!
//! Nothing of them is verified, so every byte is really there, as on classic connections. `spec` says what can be
//! simulated; `world` lets hosts push, and answer; `watch` says what must
//! never be; `draw` draws scenarios from a seed.

mod draw;
mod spec;
mod watch;
mod world;

pub use draw::PushesDrawn;
pub use spec::TakesSpec;
pub use watch::PushOutcome;

pub(super) use watch::PushWatch;
