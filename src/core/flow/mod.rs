//! What crosses roles: one file a flow. Each adds methods to [`crate::core::Peer`]; state stays with the roles.

pub(in crate::core) mod ask;
mod assign;
pub(in crate::core) mod cancel;
pub(in crate::core) mod channel;
pub(in crate::core) mod classic;
pub(in crate::core) mod conversation;
pub(in crate::core) mod deal;
pub(in crate::core) mod discovery;
pub(in crate::core) mod fetch;
mod foreign_push;
pub(in crate::core) mod have;
pub(in crate::core) mod http;
pub(in crate::core) mod idle;
pub(in crate::core) mod leave;
pub(in crate::core) mod link;
pub(in crate::core) mod manifest;
mod mirror;
pub(in crate::core) mod neighbours;
pub(in crate::core) mod progress;
pub(in crate::core) mod push;
pub(in crate::core) mod receive;
mod relocate;
pub(in crate::core) mod search;
pub(in crate::core) mod serve;
pub(in crate::core) mod sources;
pub(in crate::core) mod storage;
mod whole;
