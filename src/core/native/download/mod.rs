//! Downloads: which sources to connect to, which chunk to request of which source, what came, and when a download is over.
//!
//! Owns the downloads and the memory for chunks that come in. Searches, offers and the mirror begin downloads; what follows for
//! them from one that ends is left as an effect.

pub(crate) mod cancel;
pub(crate) mod downloader;
pub(crate) mod fetch;
pub(crate) mod flights;
mod have;
pub(crate) mod manifest;
mod mirrored;
pub(crate) mod overlay;
pub(crate) mod progress;
pub(crate) mod relocate;
pub(crate) mod requests;
pub(crate) mod single_chunk;
pub(crate) mod sources;
pub(crate) mod state;
