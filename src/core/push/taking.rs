//! The side of a push that takes a file in: what is heard of it, how much of it came, and how long that may take.
//!
//! Owns where the file begins and ends in the stream. Its bytes go into a spool, unseen.

use crate::core::door::{Expect, ForeignFailure, Segment, Sink, SpoolId};
use crate::core::limits::Limits;
use crate::types::time::Time;
use crate::wire::push::{Announced, Heard, Hearing, OK, Patience, PushError};

/// The side that takes.
#[derive(Debug)]
pub(in crate::core) struct Taking {
    /// The number of this push.
    pub(in crate::core) push: u32,
    /// When the connection came.
    pub(in crate::core) began: Time,
    /// What the sender said, once it has.
    pub(in crate::core) said: Option<Announced>,
    pub(in crate::core) stage: Stage,
    /// Bytes of the file that came.
    pub(in crate::core) came: u64,
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
pub(in crate::core) enum Stage {
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

/// What bytes, silence or an end brought about.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::core) enum Turn {
    /// Nothing to do.
    Nothing,
    /// There is something to say, or to read again.
    Wake,
    /// The file is described: it has to be decided whether it may come.
    Described,
    /// The whole file is in this spool.
    Whole(SpoolId),
    /// It failed.
    Failed(ForeignFailure),
}

impl Taking {
    /// A connection that came in, where a digit begins the named form or the short one.
    pub(in crate::core) fn new(push: u32, is_named: bool, now: Time) -> Taking {
        Taking {
            push,
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
    pub(in crate::core) fn is_silent(&self) -> bool {
        self.stage == Stage::Hearing && self.hearing.is_silent()
    }

    /// Goes on to another stage.
    pub(in crate::core) fn enter(&mut self, now: Time, stage: Stage) {
        (self.stage, self.since) = (stage, now);
    }

    /// The file may come: says so where that is said.
    pub(in crate::core) fn begin(&mut self, now: Time, spool: SpoolId, bytes_max: u64) {
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

    /// When it was let come.
    pub(in crate::core) fn accepted(&self) -> Time {
        self.accepted
    }

    /// Takes bytes of what is said: how many were used.
    pub(in crate::core) fn push(&mut self, now: Time, bytes: &[u8]) -> (usize, Turn) {
        match self.stage {
            Stage::Hearing => {
                self.moved = now;
                match self.hearing.push(bytes) {
                    Ok((used, heard)) => (used, self.heard(now, heard)),
                    Err(error) => (bytes.len(), Turn::Failed(ForeignFailure::Unclear(error))),
                }
            }
            Stage::Counting(_) => {
                let announced = self.size().unwrap_or_default();
                (bytes.len(), Turn::Failed(ForeignFailure::TooMany { announced }))
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
                self.said = Some(said);
                Turn::Described
            }
        }
    }

    /// So many bytes of the file went into the spool.
    pub(in crate::core) fn stored(&mut self, now: Time, bytes: u64) -> Turn {
        self.moved = now;
        self.came = self.came.saturating_add(bytes);
        match (self.stage, self.size()) {
            (Stage::Coming { spool, .. }, Some(size)) if self.came >= size => {
                self.enter(now, Stage::Counting(spool));
                Turn::Wake
            }
            (Stage::Coming { bytes_max, .. }, None) if self.came > bytes_max => {
                Turn::Failed(ForeignFailure::OverQuota { left: bytes_max })
            }
            _ => Turn::Nothing,
        }
    }

    /// The other side will send nothing more.
    pub(in crate::core) fn end(&mut self) -> Turn {
        match (self.stage, self.size()) {
            (Stage::Hearing | Stage::Asked | Stage::Opening(_), _) => {
                Turn::Failed(ForeignFailure::Unclear(PushError::CutShort))
            }
            (Stage::Coming { .. }, Some(_)) => {
                Turn::Failed(ForeignFailure::CutShort { came: self.came, of: self.size() })
            }
            (Stage::Coming { .. }, None) if self.came == 0 => Turn::Failed(ForeignFailure::Empty),
            (Stage::Coming { spool, .. } | Stage::Counting(spool), _) => Turn::Whole(spool),
            (Stage::Storing, _) => Turn::Nothing,
        }
    }

    /// Time has passed.
    pub(in crate::core) fn review(&mut self, now: Time, limits: &Limits) -> Turn {
        if self.deadline(limits).is_none_or(|deadline| now < deadline) {
            return Turn::Nothing;
        }
        match self.stage {
            Stage::Hearing => match self.hearing.patience() {
                Some(_) if now < self.since + limits.push_message_wait => match self.hearing.quiet() {
                    Ok(heard) => self.heard(now, heard),
                    Err(error) => Turn::Failed(ForeignFailure::Unclear(error)),
                },
                _ => Turn::Failed(ForeignFailure::Silent),
            },
            Stage::Asked => Turn::Failed(ForeignFailure::Unanswered),
            Stage::Coming { .. } => Turn::Failed(ForeignFailure::Stalled),
            Stage::Counting(spool) => Turn::Whole(spool),
            Stage::Opening(_) | Stage::Storing => Turn::Nothing,
        }
    }

    /// When [`Taking::review`] will find something, if nothing happens until then.
    pub(in crate::core) fn deadline(&self, limits: &Limits) -> Option<Time> {
        match self.stage {
            Stage::Hearing => {
                let pause = self.hearing.patience().map(|patience| match patience {
                    Patience::Short => limits.push_pause_short,
                    Patience::Long => limits.push_pause_long,
                });
                let wait = self.since + limits.push_message_wait;
                Some(pause.map_or(wait, |pause| wait.min(self.moved + pause)))
            }
            Stage::Asked => Some(self.since + limits.push_answer_wait),
            Stage::Coming { .. } => Some(self.moved + limits.push_stall_max),
            Stage::Counting(_) => Some(self.since + limits.push_pause_short),
            Stage::Opening(_) | Stage::Storing => None,
        }
    }

    /// How far it is, if it is time to tell.
    pub(in crate::core) fn news(&mut self, now: Time, limits: &Limits) -> Option<(u64, Option<u64>)> {
        let is_due = now.since(self.told) >= limits.push_progress_interval;
        is_due.then(|| {
            self.told = now;
            (self.came, self.size())
        })
    }

    /// The spool that it has.
    pub(in crate::core) fn spool(&self) -> Option<SpoolId> {
        match self.stage {
            Stage::Opening(spool) | Stage::Coming { spool, .. } | Stage::Counting(spool) => Some(spool),
            Stage::Hearing | Stage::Asked | Stage::Storing => None,
        }
    }

    /// Bytes of the quota that are set aside for it.
    pub(in crate::core) fn reserved(&self) -> u64 {
        self.spool().and(self.size()).unwrap_or(self.came)
    }

    /// When the last byte of the file came.
    pub(in crate::core) fn last_byte(&self) -> Time {
        self.moved
    }

    /// What the next bytes are.
    pub(in crate::core) fn expects(&self) -> Expect {
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
    pub(in crate::core) fn segment(&self) -> Segment<'_> {
        match OK.len().checked_sub(self.unsaid).and_then(|said| OK.get(said..)) {
            Some(bytes) if !bytes.is_empty() => Segment::Bytes { bytes, span_of: None },
            _ => Segment::Nothing,
        }
    }

    /// So many bytes of it are in the kernel.
    pub(in crate::core) fn sent(&mut self, bytes: u64) {
        self.unsaid = self.unsaid.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn size(&self) -> Option<u64> {
        self.said.as_ref()?.size
    }
}
