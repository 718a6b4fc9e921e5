pub(crate) mod offers;
pub(crate) mod receiving;
pub(crate) mod sending;
