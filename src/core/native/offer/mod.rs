//! Files that are offered to somebody: the sender's side, the receiver's, and the table of both.

pub(crate) mod offers;
pub(crate) mod receiving;
pub(crate) mod sending;
