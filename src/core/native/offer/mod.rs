pub(crate) mod pusher;
pub(crate) mod receiving;
pub(crate) mod sending;
