//! Which call on files fails, and how: for tests that count the calls and fail each in turn, and for simulated
//! processes that die.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

/// Counts calls, and strikes some of them.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    /// The number of the first call to strike, from 1 on; 0 strikes none.
    at: AtomicU64,
    how: How,
    calls: AtomicU64,
}

/// What the struck calls are.
#[derive(Debug, Clone, Copy, Default)]
enum How {
    /// The process ends at the first of them. Later calls of what is left of it have no effect.
    #[default]
    Death,
    /// As [`How::Death`], but really.
    Abort,
    /// So many of them fail.
    Fail { errno: Errno, calls: u64 },
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Struck {
    /// It is made.
    No,
    /// It fails, and may have begun.
    Fail(Errno),
    /// The process that would make it is dead.
    Dead,
    /// The process ends there.
    Abort,
}

impl FaultPlan {
    /// Reads `abort@N`, `ERRNO@N` (call N fails with that error number) or `ERRNO@N+` (it and all later ones).
    #[cfg(debug_assertions)]
    pub(crate) fn parse(text: &str) -> Option<FaultPlan> {
        let (what, at) = text.split_once('@')?;
        let (at, calls) = match at.strip_suffix('+') {
            Some(at) => (at, u64::MAX),
            None => (at, 1),
        };
        let how = match what {
            "abort" => How::Abort,
            number => How::Fail { errno: Errno::from_raw_os_error(number.parse().ok()?), calls },
        };
        Some(FaultPlan { at: AtomicU64::new(at.parse().ok()?), how, calls: AtomicU64::new(0) })
    }

    /// The process dies at call `at`.
    #[cfg(test)]
    pub(crate) fn dead_from(at: u64) -> FaultPlan {
        FaultPlan { at: AtomicU64::new(at), ..FaultPlan::default() }
    }

    /// Call `at` alone fails.
    #[cfg(test)]
    pub(crate) fn fail_once(at: u64, errno: Errno) -> FaultPlan {
        let how = How::Fail { errno, calls: 1 };
        FaultPlan { at: AtomicU64::new(at), how, calls: AtomicU64::new(0) }
    }

    /// The first of the struck calls comes after so many others from now.
    pub(crate) fn strike_after(&self, calls: u64) {
        self.at.store(self.calls.load(Ordering::SeqCst) + calls + 1, Ordering::SeqCst);
    }

    /// Whether a call was struck.
    pub(crate) fn has_struck(&self) -> bool {
        let at = self.at.load(Ordering::SeqCst);
        at > 0 && self.calls.load(Ordering::SeqCst) >= at
    }

    /// How many calls were made.
    #[cfg(test)]
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call and says what happens to it.
    pub(crate) fn count(&self) -> Struck {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let at = self.at.load(Ordering::SeqCst);
        let Some(after) = call.checked_sub(at).filter(|_| at > 0) else { return Struck::No };
        match self.how {
            How::Death if after == 0 => Struck::Fail(Errno::IO),
            How::Death => Struck::Dead,
            How::Abort => Struck::Abort,
            How::Fail { errno, calls } if after < calls => Struck::Fail(errno),
            How::Fail { .. } => Struck::No,
        }
    }
}
