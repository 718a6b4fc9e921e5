//! Whom this peer dials, asks, shows and serves, in an arrangement of neighbours; in a mesh, everybody.

pub(crate) mod neighbourhood;
