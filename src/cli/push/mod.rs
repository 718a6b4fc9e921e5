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
use crate::core::{Direction, ForeignFailure, PeerRef};
use crate::wire::push::Form;

/// The exit code of a push that failed.
fn exit_of(reason: &ForeignFailure) -> Exit {
    match reason {
        ForeignFailure::Storage(fault) => Exit::of_fault(fault),
        ForeignFailure::OverQuota { .. }
        | ForeignFailure::NameRefused
        | ForeignFailure::NotShared
        | ForeignFailure::File(_) => Exit::Storage,
        ForeignFailure::Declined | ForeignFailure::Unanswered | ForeignFailure::Refused => Exit::Declined,
        ForeignFailure::NoConnection(_) => Exit::Nobody,
        ForeignFailure::Form(_) => Exit::Usage,
        ForeignFailure::Cancelled => Exit::Interrupted,
        ForeignFailure::Unclear(_)
        | ForeignFailure::Silent
        | ForeignFailure::TooMany { .. }
        | ForeignFailure::CutShort { .. }
        | ForeignFailure::Empty
        | ForeignFailure::NoParts
        | ForeignFailure::Stalled
        | ForeignFailure::Broken(_)
        | ForeignFailure::Unacknowledged
        | ForeignFailure::NotOk
        | ForeignFailure::NoOk => Exit::GaveUp,
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
