//! Which system call on files fails, and how: for tests that count them and fail each in turn.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// Counts calls, and strikes one of them.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    /// The number of the call to strike, from 1 on; 0 strikes none.
    at: u64,
    /// How many calls are struck from there on.
    calls_struck: u64,
    /// What the struck calls give; `None`: the process aborts there.
    errno: Option<Errno>,
    calls: AtomicU64,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Struck {
    /// It is made.
    No,
    /// It fails.
    Fail(Errno),
    /// The process ends there.
    Abort,
}

impl FaultPlan {
    /// Reads `abort@N`, `ERRNO@N` (call N fails with that error number) or `ERRNO@N+` (it and all later ones).
    #[cfg(debug_assertions)]
    pub(crate) fn parse(text: &str) -> Option<FaultPlan> {
        let (what, at) = text.split_once('@')?;
        let (at, calls_struck) = match at.strip_suffix('+') {
            Some(at) => (at, u64::MAX),
            None => (at, 1),
        };
        let errno = match what {
            "abort" => None,
            number => Some(Errno::from_raw_os_error(number.parse().ok()?)),
        };
        Some(FaultPlan { at: at.parse().ok()?, calls_struck, errno, calls: AtomicU64::new(0) })
    }

    /// Call `at` and all later ones fail: as if the process had died there.
    #[cfg(test)]
    pub(crate) fn dead_from(at: u64) -> FaultPlan {
        FaultPlan { at, calls_struck: u64::MAX, errno: Some(Errno::IO), calls: AtomicU64::new(0) }
    }

    /// Call `at` alone fails.
    #[cfg(test)]
    pub(crate) fn fail_once(at: u64, errno: Errno) -> FaultPlan {
        FaultPlan { at, calls_struck: 1, errno: Some(errno), calls: AtomicU64::new(0) }
    }

    /// How many calls were made.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call and says what happens to it.
    pub(crate) fn count(&self) -> Struck {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.at == 0 || call < self.at || call - self.at >= self.calls_struck {
            return Struck::No;
        }
        self.errno.map_or(Struck::Abort, Struck::Fail)
    }
}
