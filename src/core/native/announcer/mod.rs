//! What this peer says of itself by datagram: announcements, and questions to everybody.

pub(crate) mod say;
pub(crate) mod state;
