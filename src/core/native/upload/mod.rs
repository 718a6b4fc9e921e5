pub(in crate::core) mod assign;
pub(in crate::core) mod assigner;
pub(in crate::core) mod deal;
pub(in crate::core) mod dealer;
pub(in crate::core) mod idle;
pub(in crate::core) mod serve;
