//! Who is known, what each offers, and what is known of it. Owns no connection and sends nothing.

pub(crate) mod copies;
pub(crate) mod directory;
