//! The exit codes: an interface for scripts.

use std::process::ExitCode;

use crate::core::{FailReason, Fault, FaultKind};
use crate::shell::ShellError;

/// How a command ended. The numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All complete and verified, or already there.
    Ok = 0,
    /// A bug of ours.
    Bug = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Nobody offers it.
    Nobody = 3,
    /// No network, or a port is in use.
    Network = 4,
    /// Gave up after retries; the part is kept.
    GaveUp = 5,
    /// Nobody delivers what the id demands.
    Integrity = 6,
    /// Local storage: full, read-only, no permission, name refused.
    Storage = 7,
    /// The name stands for several contents, or the target exists.
    Ambiguous = 8,
    /// Declined by the other side.
    Declined = 9,
    /// Some done, some failed.
    Partial = 10,
    /// Timed out.
    TimedOut = 124,
    /// Interrupted (SIGINT).
    Interrupted = 130,
    /// Terminated (SIGTERM, SIGHUP).
    Terminated = 143,
}

impl Exit {
    /// The number a script sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// A word for it, as JSON lines carry it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Bug => "bug",
            Exit::Usage => "usage",
            Exit::Nobody => "nobody-offers",
            Exit::Network => "network",
            Exit::GaveUp => "gave-up",
            Exit::Integrity => "integrity",
            Exit::Storage => "storage",
            Exit::Ambiguous => "ambiguous",
            Exit::Declined => "declined",
            Exit::Partial => "partial",
            Exit::TimedOut => "timed-out",
            Exit::Interrupted => "interrupted",
            Exit::Terminated => "terminated",
        }
    }

    /// What ended a command before its time, for people.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Exit::TimedOut => "the time of --timeout is over",
            Exit::Interrupted => "interrupted",
            _ => "terminated",
        }
    }

    /// The code of a command that a signal ended.
    pub(crate) fn of_signal(signal: i32) -> Exit {
        const SIGINT: i32 = 2;
        if signal == SIGINT { Exit::Interrupted } else { Exit::Terminated }
    }

    /// The code of a store's fault.
    pub(crate) fn of_fault(fault: &Fault) -> Exit {
        match fault.kind {
            FaultKind::Full
            | FaultKind::Denied
            | FaultKind::NameRefused
            | FaultKind::Busy
            | FaultKind::Io => Exit::Storage,
            FaultKind::Exists => Exit::Ambiguous,
            FaultKind::Bug => Exit::Bug,
        }
    }

    /// The code of a peer that cannot stand.
    pub(crate) fn of_shell(error: &ShellError) -> Exit {
        match error {
            ShellError::Network(_) => Exit::Network,
            ShellError::Storage(fault) => Exit::of_fault(fault),
        }
    }

    /// The code of a failed search or download. [`FailReason::Cancelled`] never stands alone: whatever cancelled it
    /// (a signal, a timeout) has a code of its own, which goes before this one.
    pub(crate) fn of_reason(reason: &FailReason) -> Exit {
        match reason {
            FailReason::NobodyOffers { .. } | FailReason::Removed { .. } => Exit::Nobody,
            FailReason::Ambiguous { .. } => Exit::Ambiguous,
            FailReason::Stalled { .. } | FailReason::KeepsChanging { .. } => Exit::GaveUp,
            FailReason::Integrity { .. } | FailReason::OtherSize { .. } => Exit::Integrity,
            FailReason::Storage(fault) => Exit::of_fault(fault),
            FailReason::Cancelled => Exit::Interrupted,
        }
    }

    /// The code of several things of which `done` succeeded and the others ended with `failures`.
    pub(crate) fn of_all(done: usize, failures: &[Exit]) -> Exit {
        match failures {
            [] => Exit::Ok,
            [first, ..] if done == 0 => *first,
            _ => Exit::Partial,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_table() {
        let fault = |kind| FailReason::Storage(Fault { kind, text: String::new() });
        let table = [
            (FailReason::NobodyOffers { peers: 0, similar: vec![] }, 3),
            (FailReason::Ambiguous { candidates: vec![] }, 8),
            (FailReason::Stalled { missing: 1, of: 2 }, 5),
            (FailReason::Integrity { banned: vec![] }, 6),
            (fault(FaultKind::Full), 7),
            (fault(FaultKind::Denied), 7),
            (fault(FaultKind::NameRefused), 7),
            (fault(FaultKind::Busy), 7),
            (fault(FaultKind::Io), 7),
            (fault(FaultKind::Exists), 8),
            (fault(FaultKind::Bug), 1),
        ];
        for (reason, code) in table {
            assert_eq!(Exit::of_reason(&reason).code(), code, "{reason:?}");
        }
        assert_eq!(Exit::of_shell(&ShellError::Network(String::new())).code(), 4);
        assert_eq!(
            (Exit::of_signal(2).code(), Exit::of_signal(15).code(), Exit::of_signal(1).code()),
            (130, 143, 143)
        );
        assert_eq!(Exit::TimedOut.code(), 124);
    }

    #[test]
    fn several_things() {
        assert_eq!(Exit::of_all(2, &[]), Exit::Ok);
        assert_eq!(Exit::of_all(0, &[Exit::Nobody, Exit::Nobody]), Exit::Nobody);
        assert_eq!(Exit::of_all(1, &[Exit::Nobody]), Exit::Partial);
    }
}
