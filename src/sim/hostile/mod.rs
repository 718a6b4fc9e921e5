//! Hostile hosts in the simulated world: peers that are not ours, speak the native protocol with the real codecs, and mean harm.
//!
//! `spec` says what can be simulated, and draws worlds with such hosts from a seed; `state` is such a host as a value,
//! `datagrams` and `talks` let it act. Unlike a fault it never heals: what honest hosts want must come beside it. The worlds
//! have small limits, so that little is enough to exhaust a table and a campaign stays cheap.

mod datagrams;
mod spec;
mod state;
mod talks;

pub use spec::{HostileSpec, Hostility};

pub(super) use state::Hostile;
