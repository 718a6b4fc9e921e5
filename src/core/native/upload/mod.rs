//! Uploads to native peers: requests are checked and queued, and chunks sent in the turns that the one scheduler gives; other
//! peers hear what is here, and seeds advertise what they assign.

mod have;
pub(crate) mod idle;
pub(crate) mod seeding;
pub(crate) mod serve;
