//! A checker of what one end writes: its frames are decoded again and compared with what its disk and the conversation
//! so far allow. It finds what the other side would only suffer from.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::Limits;
use crate::sim::disk::{Disk, Library};
use crate::wire::frame::{Decoded, Decoder};
use crate::wire::message::{Frame, RefuseReason};

/// What one end has said so far.
#[derive(Debug, Default)]
pub(super) struct Checker {
    decoder: Decoder,
    /// What its channels stand for, by content index.
    channels: BTreeMap<u32, usize>,
    /// The chunks it has asked for and neither got begun nor taken back: content, chunk.
    asked: BTreeSet<(usize, u32)>,
    /// How many requests for each chunk it took back: each may cross the chunk's coming.
    cancelled: BTreeMap<(usize, u32), u32>,
    /// How often it revoked each chunk without hearing that it was in time.
    revoked: BTreeMap<(usize, u32), u32>,
    /// Bytes of payload that the last chunk header promised and that are still to be written.
    promised: u64,
}

impl Checker {
    /// Control bytes are written. `other` is the checker of what the other end writes.
    pub(super) fn control(
        &mut self,
        mut bytes: &[u8],
        other: &mut Checker,
        disk: &Disk,
        library: &Library,
        limits: &Limits,
    ) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.promised > 0 {
                return Err(format!("writes a frame where {} bytes of payload are due", self.promised));
            }
            let (used, decoded) = match self.decoder.decode(bytes) {
                Ok(decoded) => decoded,
                Err(error) => return Err(format!("writes what is no frame: {error}")),
            };
            bytes = bytes.get(used..).unwrap_or_default();
            match decoded {
                Some(Decoded::Frame(frame)) => self
                    .frame(&frame, other, disk, library, limits)
                    .map_err(|what| format!("{what}: {frame:?}"))?,
                Some(Decoded::Chunk { channel, chunk, bytes }) => {
                    self.promised = u64::from(bytes);
                    self.answered(channel, chunk, other)?;
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Payload is written.
    pub(super) fn payload(&mut self, bytes: u64) -> Result<(), String> {
        match self.promised.checked_sub(bytes) {
            Some(left) => {
                self.promised = left;
                Ok(())
            }
            None => Err(format!("writes {bytes} bytes of payload where {} are due", self.promised)),
        }
    }

    /// The chunks it waits for.
    pub(super) fn asked(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.asked.iter().copied()
    }

    fn frame(
        &mut self,
        frame: &Frame,
        other: &mut Checker,
        disk: &Disk,
        library: &Library,
        limits: &Limits,
    ) -> Result<(), String> {
        match frame {
            Frame::Open { channel, content, .. } => {
                // It may come again for the same content, with the cut that was not known then.
                if let Some(content) = library.find(content)
                    && self.channels.insert(*channel, content).is_some_and(|before| before != content)
                {
                    return Err(format!("opens channel {channel} for two contents"));
                }
            }
            Frame::HaveMap { channel, bits } => {
                let set = (0u32..).zip(bits).flat_map(|(at, byte)| {
                    (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| at * 8 + bit)
                });
                for chunk in set {
                    self.claims(*channel, chunk, disk)?;
                }
            }
            Frame::Have { channel, first, count } => {
                for chunk in *first..first.saturating_add(*count) {
                    self.claims(*channel, chunk, disk)?;
                }
            }
            Frame::Request { channel, chunk } => {
                let content = self.content(*channel)?;
                if !self.asked.insert((content, *chunk)) {
                    return Err(format!("asks twice for chunk {chunk} of content {content}"));
                }
                // What was cancelled may have crossed it, and come before what is asked for now.
                if self.asked.len() > limits.queued_requests_max {
                    return Err(format!("waits for {} chunks of one peer", self.asked.len()));
                }
            }
            Frame::Cancel { channel, chunk } => {
                let wanted = (self.content(*channel)?, *chunk);
                if self.asked.remove(&wanted) {
                    self.take_back(wanted);
                }
            }
            Frame::Refuse { content, .. } => {
                if let Some(content) = library.find(content) {
                    other.give_up(content);
                }
            }
            Frame::Withdraw { channel, .. } => other.give_up(self.content(*channel)?),
            Frame::Revoke { channel, chunk } => {
                let wanted = (self.content(*channel)?, *chunk);
                *self.revoked.entry(wanted).or_default() += 1;
            }
            Frame::Reject { channel, chunk, reason: RefuseReason::Revoked } => {
                let answered = (self.content(*channel)?, *chunk);
                match other.revoked.get_mut(&answered).filter(|count| **count > 0) {
                    Some(count) => *count -= 1,
                    None => {
                        return Err(format!("gives back chunk {chunk} of content {}, unasked", answered.0));
                    }
                }
                // A revoked chunk may have been requested again meanwhile, and then it comes.
                other.asked.remove(&answered);
                other.take_back(answered);
            }
            Frame::Reject { channel, chunk, .. } => self.answered(*channel, *chunk, other)?,
            _ => {}
        }
        Ok(())
    }

    /// Nothing of a content comes any more but what is on its way.
    fn give_up(&mut self, content: usize) {
        let of_it: Vec<(usize, u32)> =
            self.asked.iter().filter(|asked| asked.0 == content).copied().collect();
        for chunk in of_it {
            self.asked.remove(&chunk);
            self.take_back(chunk);
        }
    }

    fn claims(&self, channel: u32, chunk: u32, disk: &Disk) -> Result<(), String> {
        let content = self.content(channel)?;
        match disk.holds_chunk(content, chunk) || disk.withdrew(content) {
            true => Ok(()),
            false => Err(format!("claims chunk {chunk} of content {content}, which is not on its disk")),
        }
    }

    /// A chunk, or the word that it will not come, answers what the other side asked for.
    fn answered(&self, channel: u32, chunk: u32, other: &mut Checker) -> Result<(), String> {
        let answered = (self.content(channel)?, chunk);
        if other.asked.remove(&answered) {
            return Ok(());
        }
        match other.cancelled.get_mut(&answered).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                Ok(())
            }
            None => Err(format!("answers for chunk {chunk} of content {}, which nobody asked", answered.0)),
        }
    }

    /// A request for a chunk was taken back, and may be answered all the same.
    fn take_back(&mut self, chunk: (usize, u32)) {
        *self.cancelled.entry(chunk).or_default() += 1;
    }

    fn content(&self, channel: u32) -> Result<usize, String> {
        self.channels
            .get(&channel)
            .copied()
            .ok_or_else(|| format!("names channel {channel}, which it never opened"))
    }
}
