//! The signals that ask the process to end, as events of the loop.

use std::io;
use std::sync::Arc;

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

/// The pipe that the signals are told through.
pub(super) struct Signals {
    pipe: signal_hook_mio::v1_0::Signals,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Signals> {
        let mut pipe = signal_hook_mio::v1_0::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        outlive_large_files()?;
        registry.register(&mut pipe, token, Interest::READABLE)?;
        Ok(Signals { pipe })
    }

    /// The signals that came since the last call. Reads the pipe until it would block.
    pub(super) fn pending(&mut self) -> impl Iterator<Item = i32> {
        self.pipe.pending()
    }
}

/// From here on a file that grows too large is an error of that file, not the end of the process: the signal is
/// caught, and that is all.
pub(super) fn outlive_large_files() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}
