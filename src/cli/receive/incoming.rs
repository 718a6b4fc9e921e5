//! An offer of a peer, or a transfer of another program, before it is accepted.

use std::time::Instant;

use crate::cli::human;
use crate::cli::transfer::receiving::Transfer;
use crate::core::PeerRef;
use crate::types::ContentId;

/// One of either.
#[derive(Debug, Clone)]
pub(super) enum Incoming {
    Offer(Offer),
    Transfer(Transfer),
}

/// An offer that came in.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) number: u32,
    pub(super) from: PeerRef,
    pub(super) content: ContentId,
    /// From the network.
    pub(super) name: String,
    /// As claimed.
    pub(super) size: u64,
    /// When it came.
    pub(super) came: Instant,
}

/// Its number, as events give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Offer(u32),
    Transfer(u32),
}

impl Incoming {
    pub(super) fn number(&self) -> Number {
        match self {
            Incoming::Offer(offer) => Number::Offer(offer.number),
            Incoming::Transfer(transfer) => Number::Transfer(transfer.number),
        }
    }

    /// Who sends, safe to print.
    pub(super) fn sender(&self) -> String {
        match self {
            Incoming::Offer(offer) => human::peer(&offer.from),
            Incoming::Transfer(transfer) => transfer.sender(),
        }
    }

    /// What is sent, safe to print.
    pub(super) fn what(&self) -> String {
        match self {
            Incoming::Offer(offer) => format!("{} ({})", human::quoted(&offer.name), human::size(offer.size)),
            Incoming::Transfer(transfer) => transfer.what(),
        }
    }

    /// Whether both are surely of one sender: a peer by its id, another program's sender by its address.
    pub(super) fn is_of_sender_of(&self, other: &Incoming) -> bool {
        match (self, other) {
            (Incoming::Offer(one), Incoming::Offer(two)) => {
                one.from.id.is_some() && one.from.id == two.from.id
            }
            (Incoming::Transfer(one), Incoming::Transfer(two)) => one.from.ip() == two.from.ip(),
            _ => false,
        }
    }
}
