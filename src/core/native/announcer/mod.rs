//! What this peer says of itself by datagram: announcements, and questions to everybody.

pub(in crate::core) mod say;
pub(in crate::core) mod state;
