pub(in crate::core) mod datagrams;
pub(in crate::core) mod look;
pub(in crate::core) mod names;
pub(in crate::core) mod replaced;
pub(in crate::core) mod search;
pub(in crate::core) mod searches;
pub(in crate::core) mod supply;
