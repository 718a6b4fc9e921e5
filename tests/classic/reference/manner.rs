//! The quirks of uploaders: how they send, what they do with a connection afterwards, what they die of.

use std::time::Duration;

/// What an uploader does besides its dialect; the default is the sane one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// Not of D, whose connections the other side ends.
    pub(crate) ending: Ending,
    pub(crate) care: Care,
    pub(crate) sending: Sending,
    /// What the size it tells is too large by (A-size, B-json, D).
    pub(crate) lie_bytes: i64,
    /// Leaves out the pauses of A-size, B-json and D: what stands before the bytes goes with them.
    pub(crate) hurries: bool,
}

/// What becomes of a connection that was answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Closed at once.
    #[default]
    Closes,
    /// Closed when the next one was accepted.
    ClosesAtTheNext,
    /// Waits until the other side closes its writing half, gives up the port, closes, and binds the port again after a
    /// gap. Connections that waited to be accepted are reset.
    Rebinds { gap: Duration },
    /// The same, but it gives up the port only after this pause, without sharing it: if somebody has connected meanwhile,
    /// binding it again fails, and the program dies of that.
    RebindsOrDies { pause: Duration },
}

/// What a request for an unknown chunk, or none at all, does to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Care {
    /// It is answered as the dialect does.
    #[default]
    Answers,
    /// The program ends with a traceback.
    Dies,
}

/// How it sends the bytes of a chunk, and what stands before them in the same write where it hurries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sending {
    /// In one `sendall`.
    #[default]
    Whole,
    /// In small writes.
    Pieces { bytes: usize, gap: Duration },
    /// Only so many, then the connection ends.
    StopsAt(usize),
    /// Only so many, then nothing on a connection that stays open, even when the other side closed its half.
    StallsAt(usize),
    /// All, and more and more.
    Endless,
}
