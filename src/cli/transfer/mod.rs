//! Transfers in the formats of other programs on the command line: `receive --listen`, `send --dialect`.
//!
//! This module owns the flags, the printed text and the log records. The core owns the bytes on the wire.

pub(crate) mod receiving;
pub(crate) mod sending;

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::cli::json::{Who, seconds};
use crate::cli::log::writer::Ending;
use crate::cli::run::Run;
use crate::core::{Direction, PeerRef, TransferFailure};
use crate::wire::transfer::Form;

/// The exit code of a transfer that failed.
fn exit_of(reason: &TransferFailure) -> Exit {
    match reason {
        TransferFailure::Storage(fault) => Exit::of_fault(fault),
        TransferFailure::OverQuota { .. }
        | TransferFailure::NameRefused
        | TransferFailure::NotShared
        | TransferFailure::File(_) => Exit::Storage,
        TransferFailure::Declined | TransferFailure::Unanswered | TransferFailure::Refused => Exit::Declined,
        TransferFailure::NoConnection(_) => Exit::Nobody,
        TransferFailure::Form(_) => Exit::Usage,
        TransferFailure::Cancelled => Exit::Interrupted,
        TransferFailure::Unclear(_)
        | TransferFailure::Silent
        | TransferFailure::TooMany { .. }
        | TransferFailure::CutShort { .. }
        | TransferFailure::Empty
        | TransferFailure::NoParts
        | TransferFailure::Stalled
        | TransferFailure::Broken(_)
        | TransferFailure::Unacknowledged
        | TransferFailure::NotOk
        | TransferFailure::NoOk => Exit::GaveUp,
    }
}

/// Adds to the transfer log that a file went or came in a form that nothing verifies; with whom, and in which.
fn log_transfer(
    run: &mut Run<'_>,
    dir: Direction,
    name: &str,
    bytes: u64,
    (addr, form): (SocketAddr, Form),
    took: Duration,
) {
    run.log(&Ending::Done {
        dir,
        id: None,
        name,
        bytes,
        who: Who::of(&PeerRef { id: None, addr, user: String::new() }),
        form: Some(form.as_str()),
        dur: seconds(took),
        verified: false,
        skipped: false,
    });
}
