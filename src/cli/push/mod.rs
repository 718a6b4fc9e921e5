//! Transfers in the formats of other programs on the command line: `receive --listen`, `send --dialect`.
//!
//! This module owns the flags, the printed text and the log records. The core owns the bytes on the wire.

pub(crate) mod receiving;
pub(crate) mod sending;

use crate::cli::exit::Exit;
use crate::core::ForeignFailure;

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
