//! The one loop around a turn, which every command drives its peer with.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::cli::exit::Exit;
use crate::cli::run::Run;
use crate::shell::ShellEvent;

/// Why a command ends that has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything ended.
    Over,
    /// A signal came.
    Signal(i32),
    /// `--timeout` is over.
    TimedOut,
}

impl End {
    /// The exit code; `over` is that of what ended by itself.
    pub(crate) fn exit(self, over: Exit) -> Exit {
        match self {
            End::Over => over,
            End::Signal(signal) => Exit::of_signal(signal),
            End::TimedOut => Exit::TimedOut,
        }
    }
}

/// What a command does while its peer runs.
pub(crate) trait Driven {
    /// What ends it.
    type End;

    /// Does what is due before each turn. Continues with when to be asked again at the latest; `None`: after the next
    /// events.
    fn step(&mut self, _run: &mut Run<'_>) -> ControlFlow<Self::End, Option<Instant>> {
        ControlFlow::Continue(None)
    }

    /// Takes in an event.
    fn take(&mut self, run: &mut Run<'_>, event: ShellEvent) -> ControlFlow<Self::End>;
}

impl Run<'_> {
    /// Drives the peer until `driven` ends it, stdout takes nothing any more, or the loop breaks, which has been reported.
    pub(crate) fn drive<D: Driven>(&mut self, driven: &mut D) -> Result<D::End, Exit> {
        loop {
            let until = match driven.step(self) {
                ControlFlow::Continue(until) => until,
                ControlFlow::Break(end) => return Ok(end),
            };
            if let Some(exit) = self.out.ended() {
                return Err(exit);
            }
            self.turn(until)?;
            while let Some(event) = self.next_event() {
                if let ControlFlow::Break(end) = driven.take(self, event) {
                    return Ok(end);
                }
            }
        }
    }
}

/// The moment after so long; `None` beyond the clock's end, where no deadline is.
pub(crate) fn after(time: Duration) -> Option<Instant> {
    Instant::now().checked_add(time)
}

/// The earliest of these moments.
pub(crate) fn earliest<const N: usize>(moments: [Option<Instant>; N]) -> Option<Instant> {
    moments.into_iter().flatten().min()
}
