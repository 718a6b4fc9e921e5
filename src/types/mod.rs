//! Values that every part of the program shares: ids, sizes, hashes, names, patterns, time.
//!
//! Nothing here has a state machine, a socket or a file. Arithmetic on bytes from the network is bounded, checked or
//! saturating, because the released program ends at a sum that overflows.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

pub mod bitfield;
pub(crate) mod defaults;
pub mod geometry;
pub mod glob;
pub mod id;
pub mod listing;
pub mod manifest;
pub mod name;
pub mod time;
pub mod units;

pub use bitfield::Bitfield;
pub use geometry::Geometry;
pub use id::{ContentId, PeerId};
pub use manifest::Manifest;
pub use time::Time;
