//! The books of the mirror: what it wants, what became of each content, and how much room is left. Sends nothing and asks nobody.

pub(crate) mod mirror;
pub(crate) mod walks;
