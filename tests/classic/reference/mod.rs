//! The classic peers of the field, rebuilt with plain sockets and threads: how they behave, and how they break.
//!
//! To learn a dialect, read [`dialect`] (its ports, its request), [`announcer`] (what it says), [`listener`] (what it
//! hears, and what it dies of), [`uploader`] (what it answers) and [`downloader`] (how it reads an answer), in this
//! order. The other modules are what these stand on.
//!
//! [`programs`] has the four programs over a folder, as processes of their own, in each form that folders have.
//!
//! Announcer, listener and uploader run in threads of their own and end when they are dropped; a downloader runs in
//! the caller's. No wait is longer than [`life::PATIENCE`]. All addresses have to be of 127.0.0.0/8.

pub(crate) mod announcer;
pub(crate) mod dialect;
pub(crate) mod downloader;
pub(crate) mod life;
pub(crate) mod link;
pub(crate) mod listener;
pub(crate) mod loopback;
pub(crate) mod manner;
pub(crate) mod names;
pub(crate) mod programs;
pub(crate) mod python;
pub(crate) mod sha256;
pub(crate) mod split;
pub(crate) mod uploader;
