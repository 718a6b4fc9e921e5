//! The terminal of this process: how wide it is, and lines that somebody types.

use std::io;
use std::sync::mpsc::{Receiver, channel};

/// The columns of the terminal on stderr; `None` when there is none, or it does not say.
pub fn stderr_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// The columns of the terminal on stdout; `None` when there is none, or it does not say.
pub fn stdout_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// The next line of stdin, read beside the loop: waiting for a person must not keep the loop from signals and peers. An
/// empty line at the end of input.
pub fn read_line() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Who asked may have gone.
        let _ = sender.send(if read.is_ok() { line } else { String::new() });
    });
    receiver
}
