pub(in crate::core) mod pusher;
pub(in crate::core) mod receiving;
pub(in crate::core) mod sending;
