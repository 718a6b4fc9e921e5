//! Values that every room shares and that know no room: ids, sizes, hashes, names, patterns, time.
//!
//! Nothing here has a state machine, a socket or a file. Whatever is computed from bytes of the network is proven bounded,
//! checked, or saturates: the released program ends at a sum that overflows.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects))]

pub mod bitfield;
pub(crate) mod defaults;
pub mod geometry;
pub mod glob;
pub mod id;
pub mod manifest;
pub mod name;
pub mod time;

pub use bitfield::Bitfield;
pub use geometry::Geometry;
pub use id::{ContentId, PeerId};
pub use manifest::Manifest;
pub use time::Time;
