//! The channels of one connection, by our numbers, and which numbers of the other side are over.
//!
//! Most connections have one channel: it lies in the row itself, so that there is one way less to it through memory. What is
//! over takes a bit.

use crate::core::connection::Channel;

/// See the file's head.
#[derive(Debug)]
pub(in crate::core) struct Channels {
    row: Row,
    /// How many are not over.
    open: usize,
    /// Their numbers whose channels are over, a bit each.
    over: Vec<u64>,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the usual variant is the large one, and is meant to lie here")]
enum Row {
    One(Option<Channel>),
    /// A channel that is over leaves its place empty: its number is not used again.
    Many(Vec<Option<Box<Channel>>>),
}

impl Channels {
    /// No channels.
    pub(in crate::core) const fn new() -> Channels {
        Channels { row: Row::One(None), open: 0, over: Vec::new() }
    }

    /// How many numbers of ours are used up.
    pub(in crate::core) fn numbers(&self) -> usize {
        match &self.row {
            Row::One(one) => usize::from(one.is_some()),
            Row::Many(many) => many.len(),
        }
    }

    /// How many channels are not over.
    pub(in crate::core) fn open(&self) -> usize {
        self.open
    }

    /// The channel of a number of ours, unless it is over.
    pub(in crate::core) fn get(&self, number: u32) -> Option<&Channel> {
        match &self.row {
            Row::One(one) => one.as_ref().filter(|_| number == 0),
            Row::Many(many) => many.get(number as usize)?.as_deref(),
        }
    }

    /// The channel of a number of ours, to change it.
    pub(in crate::core) fn get_mut(&mut self, number: u32) -> Option<&mut Channel> {
        match &mut self.row {
            Row::One(one) => one.as_mut().filter(|_| number == 0),
            Row::Many(many) => many.get_mut(number as usize)?.as_deref_mut(),
        }
    }

    /// The channel that was added last, with its number, unless it is over.
    pub(in crate::core) fn last(&self) -> Option<(u32, &Channel)> {
        let number = self.numbers().checked_sub(1)? as u32;
        Some((number, self.get(number)?))
    }

    /// All that are not over, in the order of our numbers.
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = &Channel> {
        let (one, many) = match &self.row {
            Row::One(one) => (one.as_ref(), &[][..]),
            Row::Many(many) => (None, many.as_slice()),
        };
        one.into_iter().chain(many.iter().flatten().map(|channel| &**channel))
    }

    /// Adds a channel; returns our number for it.
    pub(in crate::core) fn push(&mut self, channel: Channel) -> u32 {
        // Bounded by `Limits::channels_max`, which callers check.
        let number = self.numbers() as u32;
        self.open = self.open.saturating_add(1);
        match &mut self.row {
            Row::One(one @ None) => *one = Some(channel),
            Row::One(one) => {
                let all = one.take().into_iter().chain([channel]);
                self.row = Row::Many(all.map(|channel| Some(Box::new(channel))).collect());
            }
            Row::Many(many) => many.push(Some(Box::new(channel))),
        }
        number
    }

    /// A channel is over; from now on their number for it is a bit. A number of ours that was never told and is the last is
    /// used again.
    pub(in crate::core) fn end(&mut self, number: u32) -> Option<Channel> {
        let was = match &mut self.row {
            // A row of one channel has no place that could be empty, so it becomes one of many.
            Row::One(one) if number == 0 => {
                let was = one.take();
                self.row = Row::Many(if was.is_some() { vec![None] } else { Vec::new() });
                was
            }
            Row::One(_) => None,
            Row::Many(many) => many.get_mut(number as usize)?.take().map(|channel| *channel),
        }?;
        self.open = self.open.saturating_sub(1);
        if let (Row::Many(many), false) = (&mut self.row, was.opened)
            && many.len().checked_sub(1) == Some(number as usize)
        {
            many.pop();
        }
        if let Some(theirs) = was.theirs {
            let word = theirs as usize / 64;
            if self.over.len() <= word {
                self.over.resize(word.saturating_add(1), 0);
            }
            if let Some(bits) = self.over.get_mut(word) {
                *bits |= 1 << (theirs % 64);
            }
        }
        Some(was)
    }

    /// Whether the channel of a number of theirs is over.
    pub(in crate::core) fn is_over(&self, theirs: u32) -> bool {
        self.over.get(theirs as usize / 64).is_some_and(|bits| bits >> (theirs % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::ContentId;

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
