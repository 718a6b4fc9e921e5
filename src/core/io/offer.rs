//! What goes in or out of the core about files that somebody sends to somebody.

use std::net::SocketAddr;

use crate::core::io::PeerRef;
use crate::types::ContentId;
use crate::wire::message::{Answer, Delivery};

/// Who a file is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipient {
    /// Whoever is called so: a user name, `NAME#id4`, or an address with or without its port.
    Called(String),
    /// Whoever listens there.
    At(SocketAddr),
}

/// What is told of files that are sent, on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferEvent {
    /// The offer is with its recipient, who has to answer.
    Offered {
        /// The ticket of [`crate::core::Command::Offer`].
        ticket: u32,
        /// Who that is.
        to: PeerRef,
    },
    /// The recipient accepted, and fetches it.
    Accepted {
        /// The ticket of [`crate::core::Command::Offer`].
        ticket: u32,
        /// Who that is.
        to: PeerRef,
    },
    /// The recipient was lost; it is looked for again.
    Lost {
        /// The ticket of [`crate::core::Command::Offer`].
        ticket: u32,
        /// Who that was.
        to: PeerRef,
    },
    /// An offer is over.
    Ended {
        /// The ticket of [`crate::core::Command::Offer`].
        ticket: u32,
        /// Who it was with, as far as anybody was found.
        to: Option<PeerRef>,
        /// How.
        end: OfferEnd,
    },
    /// Somebody offers a file. [`crate::core::Command::Answer`] answers.
    Came {
        /// The number to answer to.
        offer: u32,
        /// Who.
        from: PeerRef,
        /// The content.
        content: ContentId,
        /// Its name, from the network.
        name: String,
        /// Its size in bytes, as claimed.
        size: u64,
    },
    /// What was accepted is here, and whoever offered it went away before it could be told.
    Untold {
        /// The content.
        content: ContentId,
    },
    /// Nobody waits for the answer to an offer any more.
    Gone {
        /// Its number.
        offer: u32,
    },
}

/// How an offer ended for its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferEnd {
    /// The recipient says that the file is there, verified.
    Verified,
    /// It was not taken.
    Declined(Answer),
    /// It was taken, and came to nothing.
    Failed(Delivery),
    /// Nobody is called so, or listens there.
    Nobody {
        /// How many peers were heard meanwhile.
        peers: usize,
    },
    /// Several are called so.
    Ambiguous {
        /// Who.
        candidates: Vec<PeerRef>,
    },
    /// The recipient went away and did not come back in time.
    Lost,
    /// The file is no longer what was to be sent.
    Withdrawn,
}

/// An offer that came in, as somebody decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Fetch it.
    Accept,
    /// Do not, and say why.
    Decline(Answer),
}
