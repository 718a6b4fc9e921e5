//! The channels of one connection, by our numbers, and which numbers of the other side are over.
//!
//! What is over takes a bit.

use std::collections::BTreeMap;

use crate::core::session::Channel;

/// See the file's head.
#[derive(Debug)]
pub(in crate::core) struct Channels {
    /// By our numbers. Those of channels that are over are not used again.
    open: BTreeMap<u32, Box<Channel>>,
    /// Our next number.
    next: u32,
    /// Their numbers whose channels are over, a bit each.
    over: Bits,
    /// Of those, which had a cut told when they were over.
    late_cuts: Bits,
}

/// A set of small numbers.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    const fn new() -> Bits {
        Bits(Vec::new())
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    /// Adds a number; false when it was there.
    fn add(&mut self, number: u32) -> bool {
        let is_new = !self.has(number);
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (number % 64);
        }
        is_new
    }
}

impl Channels {
    /// No channels.
    pub(in crate::core) const fn new() -> Channels {
        Channels { open: BTreeMap::new(), next: 0, over: Bits::new(), late_cuts: Bits::new() }
    }

    /// How many numbers of ours are used up.
    pub(in crate::core) fn numbers(&self) -> usize {
        self.next as usize
    }

    /// How many channels are not over.
    pub(in crate::core) fn open(&self) -> usize {
        self.open.len()
    }

    /// The channel of a number of ours, unless it is over.
    pub(in crate::core) fn get(&self, number: u32) -> Option<&Channel> {
        self.open.get(&number).map(Box::as_ref)
    }

    /// The channel of a number of ours, to change it.
    pub(in crate::core) fn get_mut(&mut self, number: u32) -> Option<&mut Channel> {
        self.open.get_mut(&number).map(Box::as_mut)
    }

    /// The channel that was added last, with its number, unless it is over.
    pub(in crate::core) fn last(&self) -> Option<(u32, &Channel)> {
        let number = self.next.checked_sub(1)?;
        Some((number, self.get(number)?))
    }

    /// All that are not over, in the order of our numbers.
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.open.values().map(Box::as_ref)
    }

    /// Adds a channel; returns our number for it.
    pub(in crate::core) fn push(&mut self, channel: Channel) -> u32 {
        // Bounded by `Limits::channels_max`, which callers check.
        let number = self.next;
        self.next = number.saturating_add(1);
        self.open.insert(number, Box::new(channel));
        number
    }

    /// A channel is over; from now on their number for it is a bit. A number of ours that was never told and is the last is
    /// used again.
    pub(in crate::core) fn end(&mut self, number: u32) -> Option<Channel> {
        let was = *self.open.remove(&number)?;
        if !was.opened && self.next.checked_sub(1) == Some(number) {
            self.next = number;
        }
        if let Some(theirs) = was.theirs {
            self.over.add(theirs);
        }
        Some(was)
    }

    /// Whether the channel of a number of theirs is over.
    pub(in crate::core) fn is_over(&self, theirs: u32) -> bool {
        self.over.has(theirs)
    }

    /// The cut of a content was told on a channel that is over. False when it was before.
    pub(in crate::core) fn note_late_cut(&mut self, theirs: u32) -> bool {
        self.late_cuts.add(theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::ContentId;

    fn channel(number: u8, opened: bool) -> Channel {
        Channel { opened, theirs: Some(100 + u32::from(number)), ..Channel::new(ContentId([number; 32])) }
    }

    fn known(channels: &Channels) -> Vec<u8> {
        channels.iter().map(|channel| channel.content.0[0]).collect()
    }

    #[test]
    fn a_channel_that_is_over_is_a_bit_and_its_number_is_not_used_again() {
        let mut channels = Channels::new();
        for number in 0..4 {
            assert_eq!(channels.push(channel(number, true)), u32::from(number));
        }
        assert!(channels.end(1).is_some() && channels.end(3).is_some() && channels.end(3).is_none());
        assert_eq!((known(&channels), channels.numbers(), channels.open()), (vec![0, 2], 4, 2));
        assert!(channels.get(1).is_none() && channels.get_mut(3).is_none() && channels.last().is_none());
        let over: Vec<u32> = (0..300).filter(|theirs| channels.is_over(*theirs)).collect();
        assert_eq!(over, [101, 103]);
        assert_eq!(channels.push(channel(4, true)), 4);
        assert_eq!(channels.last().map(|(number, _)| number), Some(4));
    }

    #[test]
    fn a_number_that_was_never_told_is_used_again() {
        let mut channels = Channels::new();
        for round in 0..3 {
            assert_eq!(channels.push(channel(round, false)), 0);
            assert!(channels.end(0).is_some() && channels.numbers() == 0);
        }
        assert_eq!((channels.push(channel(7, true)), channels.push(channel(8, false))), (0, 1));
        assert!(channels.end(1).is_some() && channels.end(5).is_none());
        assert_eq!((known(&channels), channels.numbers()), (vec![7], 1));
        assert!((100..103).all(|theirs| channels.is_over(theirs)) && !channels.is_over(107));
    }
}
