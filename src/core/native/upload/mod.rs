pub(crate) mod assign;
pub(crate) mod assigner;
pub(crate) mod deal;
pub(crate) mod dealer;
mod have;
pub(crate) mod idle;
mod manifests;
pub(crate) mod serve;
mod withdraw;
