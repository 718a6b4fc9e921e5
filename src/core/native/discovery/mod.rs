//! Who offers what: datagrams of others, searches, pages of catalogues, and names looked through for others.

pub(crate) mod datagrams;
pub(crate) mod look;
pub(crate) mod replaced;
pub(crate) mod search;
pub(crate) mod searches;
