//! How the threads of a reference peer end: by a sign they wait on, and never later than [`PATIENCE`].

use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Longer than anything takes that works: it only bounds how long a broken build takes to fail.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often a thread that waits on a socket looks whether it is to end.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Whether a peer still runs.
#[derive(Debug, Default)]
pub(crate) struct Life {
    ended: Mutex<bool>,
    sign: Condvar,
}

impl Life {
    /// Tells every thread of the peer to end.
    pub(crate) fn end(&self) {
        *self.ended.lock().unwrap() = true;
        self.sign.notify_all();
    }

    /// Whether it was told to end.
    pub(crate) fn ended(&self) -> bool {
        *self.ended.lock().unwrap()
    }

    /// A pause that a dialect demands; an end cuts it short.
    pub(crate) fn pause(&self, pause: Duration) {
        let guard = self.ended.lock().unwrap();
        drop(self.sign.wait_timeout_while(guard, pause, |ended| !*ended).unwrap());
    }
}
