pub(in crate::core) mod assign;
pub(in crate::core) mod assigner;
pub(in crate::core) mod deal;
pub(in crate::core) mod dealer;
mod have;
pub(in crate::core) mod idle;
mod manifests;
pub(in crate::core) mod serve;
mod withdraw;
