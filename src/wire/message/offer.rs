//! The messages about a file that one peer offers to another: the offer, its answer, and its outcome.

use serde::{Deserialize, Serialize};

use crate::types::ContentId;
use crate::wire::message::NAME_BYTES_MAX;

/// A file that its sender wants the other side to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The sender's number for it, used once on a connection.
    pub offer: u32,
    /// The content.
    pub id: ContentId,
    /// The name it is offered under: for display, never a path.
    pub name: String,
    /// The size in bytes, as claimed.
    pub size: u64,
}

impl Offer {
    /// Whether this may stand on the wire: a name of 1 to [`NAME_BYTES_MAX`] bytes.
    pub fn is_legal(&self) -> bool {
        (1..=NAME_BYTES_MAX).contains(&self.name.len())
    }
}

/// Whether an offer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferAnswer {
    /// The number of the offer.
    pub offer: u32,
    /// The answer.
    pub answer: Answer,
}

/// How an accepted offer ended at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferOutcome {
    /// The number of the offer.
    pub offer: u32,
    /// The outcome.
    pub outcome: Delivery,
}

/// What a receiver says to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It fetches the content now.
    Accepted,
    /// Whoever was asked does not want it.
    Declined,
    /// This peer takes no offers.
    NotReceiving,
    /// It is more than this peer takes in all.
    Quota,
    /// There is no room for it on the disk.
    NoSpace,
    /// The name makes no file name there.
    Name,
    /// Too many offers are open.
    Busy,
    /// A reason that is not known here.
    #[serde(other)]
    Other,
}

/// What became of a content at its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It is there, verified to the last byte, under its final name.
    Verified,
    /// There was no room for it on the disk.
    NoSpace,
    /// The name made no file name there.
    Name,
    /// The disk failed, or may not be written to.
    Storage,
    /// It has another size than was offered.
    Size,
    /// What was delivered was not what the id demands.
    Integrity,
    /// Nobody delivered what was missing for too long.
    GaveUp,
    /// Somebody gave it up.
    Cancelled,
    /// A reason that is not known here.
    #[serde(other)]
    Other,
}

impl Answer {
    /// What it means, as logs say it.
    pub fn text(self) -> &'static str {
        match self {
            Answer::Accepted => "accepted",
            Answer::Declined => "declined",
            Answer::NotReceiving => "not receiving",
            Answer::Quota => "larger than what is left of its quota",
            Answer::NoSpace => "the disk there has too little space",
            Answer::Name => "the name cannot be a file name there",
            Answer::Busy => "it takes no more files now",
            Answer::Other => "declined for another reason",
        }
    }
}

impl Delivery {
    /// What it means, as logs say it.
    pub fn text(self) -> &'static str {
        match self {
            Delivery::Verified => "verified",
            Delivery::NoSpace => "the disk there has too little space",
            Delivery::Name => "the name cannot be a file name there",
            Delivery::Storage => "the disk there failed or is not writable",
            Delivery::Size => "the file has another size than the offer",
            Delivery::Integrity => "the data that arrived does not match the id",
            Delivery::GaveUp => "no peer delivered the missing chunks",
            Delivery::Cancelled => "it was cancelled there",
            Delivery::Other => "it failed there",
        }
    }
}
