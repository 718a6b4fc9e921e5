//! The side that receives a file: what is heard of it, how much of it came, and how long that may take.
//!
//! Owns where the file begins and ends in the stream. Its bytes go into a spool, unseen.

use std::net::SocketAddr;
use std::time::Duration;

use super::Turn;
use crate::core::io::{Expect, Segment, Sink, SpoolId, TransferEvent, TransferFailure};
use crate::core::limits::Limits;
use crate::types::Time;
use crate::wire::transfer::{Announced, Heard, Hearing, OK, Patience, TransferError};

/// The side that receives.
#[derive(Debug)]
pub(super) struct Receiving {
    /// The number of this transfer.
    pub(super) number: u32,
    /// When the connection came.
    pub(super) began: Time,
    /// What the sender said, once it has.
    pub(super) said: Option<Announced>,
    pub(super) stage: Stage,
    /// Bytes of the file that came.
    pub(super) came: u64,
    /// When the stage, or a message in it, began.
    since: Time,
    /// When a byte last came.
    moved: Time,
    /// When it was let come.
    accepted: Time,
    /// When it was last told how far it is.
    told: Time,
    hearing: Hearing,
    /// Of `OK`, so many bytes are still to go.
    unsaid: usize,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The file is described.
    Hearing,
    /// A person says whether it may come.
    Asked,
    /// The store makes room for it.
    Opening(SpoolId),
    /// It comes; no more than so many bytes are taken.
    Coming { spool: SpoolId, bytes_max: u64 },
    /// All that was announced is here: is that all there is?
    Counting(SpoolId),
    /// It is brought to its name.
    Storing,
}

impl Receiving {
    /// A connection that came in, where a digit begins the named form or the short one.
    pub(super) fn new(number: u32, is_named: bool, now: Time) -> Receiving {
        Receiving {
            number,
            began: now,
            said: None,
            stage: Stage::Hearing,
            came: 0,
            since: now,
            moved: now,
            accepted: now,
            told: now,
            hearing: Hearing::new(is_named),
            unsaid: 0,
        }
    }

    /// Whether the other side has said nothing at all.
    pub(super) fn is_silent(&self) -> bool {
        self.stage == Stage::Hearing && self.hearing.is_silent()
    }

    /// Goes on to another stage.
    pub(super) fn enter(&mut self, now: Time, stage: Stage) {
        (self.stage, self.since) = (stage, now);
    }

    /// The file may come: says so where that is said.
    pub(super) fn begin(&mut self, now: Time, spool: SpoolId, bytes_max: u64) {
        let size = self.size();
        if self.said.as_ref().is_some_and(|said| said.form.is_answered()) {
            self.unsaid = OK.len();
        }
        let stage = match size {
            Some(0) => Stage::Counting(spool),
            size => Stage::Coming { spool, bytes_max: size.unwrap_or(bytes_max) },
        };
        self.enter(now, stage);
        self.moved = now;
        (self.told, self.accepted) = (now, now);
    }

    /// Takes bytes of what is said: how many were used.
    pub(super) fn received(&mut self, now: Time, bytes: &[u8]) -> (usize, Turn) {
        match self.stage {
            Stage::Hearing => {
                self.moved = now;
                match self.hearing.push(bytes) {
                    Ok((used, heard)) => (used, self.heard(now, heard)),
                    Err(error) => (bytes.len(), Turn::Failed(TransferFailure::Unclear(error))),
                }
            }
            Stage::Counting(_) => {
                let announced = self.size().unwrap_or_default();
                (bytes.len(), Turn::Failed(TransferFailure::TooMany { announced }))
            }
            _ => (0, Turn::Nothing),
        }
    }

    fn heard(&mut self, now: Time, heard: Heard) -> Turn {
        match heard {
            Heard::Nothing => Turn::Nothing,
            Heard::Step => {
                (self.since, self.unsaid) = (now, OK.len());
                Turn::Wake
            }
            Heard::Announced(said) => {
                self.said = Some(said.clone());
                Turn::Described(said)
            }
        }
    }

    /// So many bytes of the file went into the spool.
    pub(super) fn stored(&mut self, now: Time, bytes: u64) -> Turn {
        self.moved = now;
        self.came = self.came.saturating_add(bytes);
        match (self.stage, self.size()) {
            (Stage::Coming { spool, .. }, Some(size)) if self.came >= size => {
                self.enter(now, Stage::Counting(spool));
                Turn::Wake
            }
            (Stage::Coming { bytes_max, .. }, None) if self.came > bytes_max => {
                Turn::Failed(TransferFailure::OverQuota { left: bytes_max })
            }
            _ => Turn::Nothing,
        }
    }

    /// The other side will send nothing more.
    pub(super) fn ended(&mut self) -> Turn {
        match (self.stage, self.size()) {
            (Stage::Hearing | Stage::Asked | Stage::Opening(_), _) => {
                Turn::Failed(TransferFailure::Unclear(TransferError::CutShort))
            }
            (Stage::Coming { .. }, Some(_)) => {
                Turn::Failed(TransferFailure::CutShort { came: self.came, of: self.size() })
            }
            (Stage::Coming { .. }, None) if self.came == 0 => Turn::Failed(TransferFailure::Empty),
            (Stage::Coming { spool, .. } | Stage::Counting(spool), _) => Turn::Whole(spool),
            (Stage::Storing, _) => Turn::Nothing,
        }
    }

    /// Time has passed.
    pub(super) fn review(&mut self, now: Time, limits: &Limits) -> Turn {
        if self.deadline(limits).is_none_or(|deadline| now < deadline) {
            return Turn::Nothing;
        }
        match self.stage {
            Stage::Hearing => match self.hearing.patience() {
                Some(_) if now < self.since + limits.transfer_message_wait => match self.hearing.quiet() {
                    Ok(heard) => self.heard(now, heard),
                    Err(error) => Turn::Failed(TransferFailure::Unclear(error)),
                },
                _ => Turn::Failed(TransferFailure::Silent),
            },
            Stage::Asked => Turn::Failed(TransferFailure::Unanswered),
            Stage::Coming { .. } => Turn::Failed(TransferFailure::Stalled),
            Stage::Counting(spool) => Turn::Whole(spool),
            Stage::Opening(_) | Stage::Storing => Turn::Nothing,
        }
    }

    /// When [`Receiving::review`] will find something, if nothing happens until then.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Time> {
        match self.stage {
            Stage::Hearing => {
                let pause = self.hearing.patience().map(|patience| match patience {
                    Patience::Short => limits.transfer_pause_short,
                    Patience::Long => limits.transfer_pause_long,
                });
                let wait = self.since + limits.transfer_message_wait;
                Some(pause.map_or(wait, |pause| wait.min(self.moved + pause)))
            }
            Stage::Asked => Some(self.since + limits.transfer_answer_wait),
            Stage::Coming { .. } => Some(self.moved + limits.transfer_stall_max),
            Stage::Counting(_) => Some(self.since + limits.transfer_pause_short),
            Stage::Opening(_) | Stage::Storing => None,
        }
    }

    /// How far it is, if it is time to tell.
    pub(super) fn news(&mut self, now: Time, limits: &Limits) -> Option<TransferEvent> {
        let is_due = now.since(self.told) >= limits.transfer_progress_interval;
        is_due.then(|| {
            self.told = now;
            TransferEvent::Progress { transfer: self.number, bytes: self.came, of: self.size() }
        })
    }

    /// It failed.
    pub(super) fn failed(&self, from: SocketAddr, reason: TransferFailure) -> TransferEvent {
        let name = self.said.as_ref().and_then(|said| said.name.clone());
        TransferEvent::Failed { transfer: self.number, from, name, reason }
    }

    /// The spool that it has.
    pub(super) fn spool(&self) -> Option<SpoolId> {
        match self.stage {
            Stage::Opening(spool) | Stage::Coming { spool, .. } | Stage::Counting(spool) => Some(spool),
            Stage::Hearing | Stage::Asked | Stage::Storing => None,
        }
    }

    /// Bytes of the quota that are set aside for it.
    pub(super) fn reserved(&self) -> u64 {
        self.spool().and(self.size()).unwrap_or(self.came)
    }

    /// From the connection to the last byte of the file, and from when it was let come.
    pub(super) fn durations(&self) -> (Duration, Duration) {
        (self.moved.since(self.began), self.moved.since(self.accepted))
    }

    /// What the next bytes are.
    pub(super) fn expects(&self) -> Expect {
        match self.stage {
            Stage::Hearing | Stage::Counting(_) => Expect::Control,
            Stage::Coming { spool, bytes_max } => {
                // Where the size was not said, one more than is taken, to know that it is too many.
                let most = if self.size().is_some() { bytes_max } else { bytes_max.saturating_add(1) };
                Expect::Payload { sink: Sink::Spool(spool), left: most.saturating_sub(self.came) }
            }
            Stage::Asked | Stage::Opening(_) | Stage::Storing => Expect::Nothing,
        }
    }

    /// What is to be sent next.
    pub(super) fn segment(&self) -> Segment<'_> {
        match OK.len().checked_sub(self.unsaid).and_then(|said| OK.get(said..)) {
            Some(bytes) if !bytes.is_empty() => Segment::Bytes { bytes, span_of: None },
            _ => Segment::Nothing,
        }
    }

    /// So many bytes of it are in the kernel.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.unsaid = self.unsaid.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// How many bytes the file has, where that was said.
    pub(super) fn size(&self) -> Option<u64> {
        self.said.as_ref()?.size
    }
}
