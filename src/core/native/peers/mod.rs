//! Who is known, what each offers, and what is known of it. Owns no connection and sends nothing.

pub(in crate::core) mod copies;
pub(in crate::core) mod directory;
