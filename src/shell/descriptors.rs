//! How many files and sockets the process may have open, and how many of those connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Closed connections that linger at once.
const LINGERING_MAX: usize = 256;

/// Raises the limit of open descriptors as far as an ordinary process may, and returns it; `None`: there is none.
pub(super) fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            log::debug!("the limit of open files stays at {current:?}: {error}");
            current
        }
    }
}

/// How many connections there may be: as many as wished, but at most half of the descriptors, for the other half is
/// needed for files.
pub(super) fn connections_max(wished: usize, descriptors: Option<u64>) -> usize {
    let half = descriptors.and_then(|count| usize::try_from(count / 2).ok()).unwrap_or(usize::MAX);
    wished.min(half.max(1))
}

/// How many closed connections may linger: a few, and at most a quarter of the descriptors.
pub(super) fn lingering_max(descriptors: Option<u64>) -> usize {
    let quarter = descriptors.and_then(|count| usize::try_from(count / 4).ok()).unwrap_or(usize::MAX);
    LINGERING_MAX.min(quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        assert_eq!(connections_max(10_000, Some(1024)), 512);
        assert_eq!(connections_max(100, Some(1024)), 100);
        assert_eq!(connections_max(100, None), 100);
        assert_eq!(connections_max(100, Some(0)), 1);
        assert_eq!((lingering_max(Some(1024)), lingering_max(Some(64))), (256, 16));
        assert_eq!(lingering_max(None), LINGERING_MAX);
        assert!(raise_limit().is_none_or(|limit| limit > 0));
    }
}
