//! The channels of one connection, by our numbers, which numbers of the other side are over, and the chunks of a content that the
//! connection is told of, where they are not all that are here.
//!
//! What is over takes a bit.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Bitfield, ContentId, Geometry};

/// One content that this connection has named.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    /// They refused or withdrew it: nothing can be asked of them.
    pub(crate) refused: bool,
    /// We refused or withdrew it.
    pub(crate) withdrawn: bool,
    /// What is had of it grew since we told them. Of a channel that is not the newest, [`Channels`] knows.
    stale: bool,
    /// We named it to them by our number. What was refused at once was not.
    pub(crate) opened: bool,
    /// Their number for it, once they named it.
    pub(crate) theirs: Option<u32>,
    /// The cut they told us, once they know it.
    pub(crate) their_cut: Option<Geometry>,
    pub(crate) content: ContentId,
    /// What they have, once they said.
    pub(crate) remote: Option<Bitfield>,
    /// The cut we told them, once we know it.
    pub(crate) our_cut: Option<Geometry>,
    /// What we told them of what we have: a cursor into the holding's log, `None` for nothing yet.
    pub(crate) told: Option<usize>,
    /// What they are told of, if that is not all we have. The cursor then counts into this.
    pub(crate) advertised: Option<Box<Advertised>>,
    /// So many pages of its manifest did not come in time.
    pub(crate) pages_late: u32,
}

impl Channel {
    /// A channel of which nothing is known but its content.
    pub(crate) fn new(content: ContentId) -> Channel {
        Channel { content, ..Channel::default() }
    }

    /// Whether what the other side has counts for a download in this cut: it is a source, and cuts the content alike.
    pub(crate) fn counts_for(&self, cut: Option<Geometry>) -> bool {
        !self.refused && self.their_cut.is_some() && self.their_cut == cut
    }
}

/// See [the module](self).
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// The channel that was added last, unless it is over. Most connections have one: it lies here, without a way through a
    /// map, which is worth 3 % of the time with 300 simulated peers.
    newest: Option<(u32, Channel)>,
    /// The others, by our numbers. Those of channels that are over are not used again.
    others: BTreeMap<u32, Box<Channel>>,
    /// Our numbers of those others of which what is had grew since we told them.
    stale_others: BTreeSet<u32>,
    /// Their numbers to ours, where they differ.
    numbers_of_theirs: BTreeMap<u32, u32>,
    /// Our numbers of the others' contents.
    by_content: BTreeMap<ContentId, u32>,
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
    /// How many numbers of ours are used up.
    pub(crate) fn numbers(&self) -> usize {
        self.next as usize
    }

    /// How many channels are not over.
    pub(crate) fn open(&self) -> usize {
        self.others.len().saturating_add(usize::from(self.newest.is_some()))
    }

    /// The channel of a number of ours, unless it is over.
    pub(crate) fn get(&self, number: u32) -> Option<&Channel> {
        match &self.newest {
            Some((newest, channel)) if *newest == number => Some(channel),
            _ => self.others.get(&number).map(Box::as_ref),
        }
    }

    /// The channel of a number of ours, to change it.
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Channel> {
        match &mut self.newest {
            Some((newest, channel)) if *newest == number => Some(channel),
            _ => self.others.get_mut(&number).map(Box::as_mut),
        }
    }

    /// The channel that was added last, with its number, unless it is over.
    pub(crate) fn last(&self) -> Option<(u32, &Channel)> {
        self.newest.as_ref().map(|(number, channel)| (*number, channel))
    }

    /// All that are not over, in the order of our numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Channel> {
        let newest = self.newest.iter().map(|(_, channel)| channel);
        self.others.values().map(Box::as_ref).chain(newest)
    }

    /// The channel of a content is over: nothing more comes of it, what concerns it and is still on its way is passed over, and
    /// from now on their number for it is a bit. Returns our number. One that was never told and is the last is used again.
    pub(crate) fn end(&mut self, content: &ContentId) -> Option<u32> {
        let number = self.number_of(content)?;
        let newest = self.newest.take_if(|(newest, _)| *newest == number).map(|(_, channel)| channel);
        let was = newest.or_else(|| self.others.remove(&number).map(|channel| *channel))?;
        self.by_content.remove(content);
        self.stale_others.remove(&number);
        if !was.opened && self.next.checked_sub(1) == Some(number) {
            self.next = number;
        }
        if let Some(theirs) = was.theirs {
            self.over.add(theirs);
            self.numbers_of_theirs.remove(&theirs);
        }
        Some(number)
    }

    /// The other side names by `theirs` what our channel `number` is about.
    pub(crate) fn note_theirs(&mut self, number: u32, theirs: u32) {
        if let Some(channel) = self.get_mut(number) {
            channel.theirs = Some(theirs);
            if theirs != number {
                self.numbers_of_theirs.insert(theirs, number);
            }
        }
    }

    /// Our channel for a content, if it was named.
    pub(crate) fn of(&self, content: &ContentId) -> Option<(u32, &Channel)> {
        let number = self.number_of(content)?;
        Some((number, self.get(number)?))
    }

    /// Our channel for a content, to change it.
    pub(crate) fn of_mut(&mut self, content: &ContentId) -> Option<(u32, &mut Channel)> {
        let number = self.number_of(content)?;
        Some((number, self.get_mut(number)?))
    }

    /// Our number for a content. Most connections name one content, and most of the time it is the last.
    fn number_of(&self, content: &ContentId) -> Option<u32> {
        match self.last() {
            // The last channel of a content is its present one.
            Some((number, last)) if last.content == *content => Some(number),
            _ => self.by_content.get(content).copied(),
        }
    }

    /// Our channel that answers to their number.
    pub(crate) fn of_theirs(&self, theirs: u32) -> Option<(u32, &Channel)> {
        // Most of the time both sides name contents in the same order.
        match self.get(theirs) {
            Some(channel) if channel.theirs == Some(theirs) => Some((theirs, channel)),
            _ => {
                let number = *self.numbers_of_theirs.get(&theirs)?;
                Some((number, self.get(number)?))
            }
        }
    }

    /// Whether a channel of ours was replaced by another for the same content.
    pub(crate) fn is_former(&self, number: u32, channel: &Channel) -> bool {
        self.number_of(&channel.content).is_some_and(|current| current != number)
    }

    /// Makes our next channel, for a content that has none or whose former one is over.
    pub(crate) fn add(&mut self, content: ContentId) -> u32 {
        // Bounded by `Limits::channels_max`, which callers check.
        let number = self.next;
        self.next = number.saturating_add(1);
        if let Some((former, channel)) = self.newest.replace((number, Channel::new(content))) {
            if channel.stale {
                self.stale_others.insert(former);
            }
            self.by_content.insert(channel.content, former);
            self.others.insert(former, Box::new(channel));
        }
        number
    }

    /// Whether they are to be told what is had of a channel.
    pub(crate) fn is_stale(&self, number: u32) -> bool {
        match &self.newest {
            Some((newest, channel)) if *newest == number => channel.stale,
            _ => self.stale_others.contains(&number),
        }
    }

    /// Whether they are to be told what is had of some channel.
    pub(crate) fn any_is_stale(&self) -> bool {
        self.newest.as_ref().is_some_and(|(_, channel)| channel.stale) || !self.stale_others.is_empty()
    }

    /// They are to be told what is had of a channel, or need not be.
    pub(crate) fn set_stale(&mut self, number: u32, stale: bool) {
        match &mut self.newest {
            Some((newest, channel)) if *newest == number => channel.stale = stale,
            _ if stale => drop(self.stale_others.insert(number)),
            _ => drop(self.stale_others.remove(&number)),
        }
    }

    /// Takes out the first channel of which they are to be told.
    pub(crate) fn pop_stale(&mut self) -> Option<u32> {
        // The newest has the highest number.
        self.stale_others.pop_first().or_else(|| {
            let (number, channel) = self.newest.as_mut()?;
            std::mem::take(&mut channel.stale).then_some(*number)
        })
    }

    /// Whether the channel of a number of theirs is over.
    pub(crate) fn is_over(&self, theirs: u32) -> bool {
        self.over.has(theirs)
    }

    /// The cut of a content was told on a channel that is over. False when it was before.
    pub(crate) fn note_late_cut(&mut self, theirs: u32) -> bool {
        self.late_cuts.add(theirs)
    }
}

/// Some chunks of what is here, in the order in which they were advertised.
#[derive(Debug)]
pub(crate) struct Advertised {
    /// The chunks that were advertised one by one.
    order: Vec<u32>,
    bits: Bitfield,
    /// What was advertised before all was. The rest is not listed: a seed keeps this for each of thousands of connections.
    before_all: Option<Bitfield>,
}

impl Advertised {
    /// Nothing of `chunks` chunks.
    pub(crate) fn nothing(chunks: u32) -> Advertised {
        Advertised { order: Vec::new(), bits: Bitfield::empty(chunks), before_all: None }
    }

    /// Advertises one more chunk.
    pub(crate) fn add(&mut self, chunk: u32) {
        if self.bits.set(chunk) {
            self.order.push(chunk);
        }
    }

    /// Advertises every chunk.
    pub(crate) fn add_all(&mut self) {
        if self.before_all.is_none() {
            let all = Bitfield::full(self.bits.len());
            self.before_all = Some(std::mem::replace(&mut self.bits, all));
        }
    }

    /// The advertised chunks.
    pub(crate) fn bits(&self) -> &Bitfield {
        &self.bits
    }

    /// The chunks that were advertised since a cursor stood at `from`.
    pub(crate) fn since(&self, from: usize) -> Vec<u32> {
        let mut news = self.order.get(from..).unwrap_or_default().to_vec();
        if let Some(before) = self.before_all.as_ref().filter(|_| from <= self.order.len()) {
            news.extend(before.missing());
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds a channel for the content of this number; returns our number for it.
    fn add(channels: &mut Channels, content: u8, opened: bool) -> u32 {
        let number = channels.add(ContentId([content; 32]));
        channels.note_theirs(number, 100 + u32::from(content));
        channels.get_mut(number).unwrap().opened = opened;
        number
    }

    fn end(channels: &mut Channels, content: u8) -> Option<u32> {
        channels.end(&ContentId([content; 32]))
    }

    fn known(channels: &Channels) -> Vec<u8> {
        channels.iter().map(|channel| channel.content.0[0]).collect()
    }

    #[test]
    fn a_channel_that_is_over_is_a_bit_and_its_number_is_not_used_again() {
        let mut channels = Channels::default();
        for number in 0..4 {
            assert_eq!(add(&mut channels, number, true), u32::from(number));
        }
        assert!(
            end(&mut channels, 1).is_some()
                && end(&mut channels, 3).is_some()
                && end(&mut channels, 3).is_none()
        );
        assert_eq!((known(&channels), channels.numbers(), channels.open()), (vec![0, 2], 4, 2));
        assert!(channels.get(1).is_none() && channels.get_mut(3).is_none() && channels.last().is_none());
        let over: Vec<u32> = (0..300).filter(|theirs| channels.is_over(*theirs)).collect();
        assert_eq!(over, [101, 103]);
        assert_eq!(add(&mut channels, 4, true), 4);
        assert_eq!(channels.last().map(|(number, _)| number), Some(4));
    }

    #[test]
    fn what_grew_is_told_once_in_the_order_of_numbers() {
        let mut channels = Channels::default();
        (0..4).for_each(|content| {
            let number = add(&mut channels, content, true);
            channels.set_stale(number, true);
        });
        channels.set_stale(1, false);
        assert_eq!([0, 1, 3].map(|number| channels.is_stale(number)), [true, false, true]);
        assert!(end(&mut channels, 2).is_some() && channels.any_is_stale());
        let told: Vec<u32> = std::iter::from_fn(|| channels.pop_stale()).collect();
        assert_eq!((told, channels.any_is_stale()), (vec![0, 3], false));
        channels.set_stale(3, true);
        assert!(end(&mut channels, 3).is_some() && !channels.any_is_stale());
    }

    #[test]
    fn a_number_that_was_never_told_is_used_again() {
        let mut channels = Channels::default();
        for round in 0..3 {
            assert_eq!(add(&mut channels, round, false), 0);
            assert!(end(&mut channels, round).is_some() && channels.numbers() == 0);
        }
        assert_eq!((add(&mut channels, 7, true), add(&mut channels, 8, false)), (0, 1));
        assert!(end(&mut channels, 8).is_some() && end(&mut channels, 5).is_none());
        assert_eq!((known(&channels), channels.numbers()), (vec![7], 1));
        assert!((100..103).all(|theirs| channels.is_over(theirs)) && !channels.is_over(107));
    }

    #[test]
    fn it_grows_in_its_own_order_and_tells_nothing_twice() {
        let mut advertised = Advertised::nothing(5);
        [3, 1, 3].into_iter().for_each(|chunk| advertised.add(chunk));
        assert_eq!(
            (advertised.bits().count(), advertised.since(0), advertised.since(1)),
            (2, vec![3, 1], vec![1])
        );
        assert!(advertised.bits().get(3) && !advertised.bits().get(0));
        assert_eq!(advertised.bits().to_bytes(), [0b0101_0000]);
        advertised.add_all();
        advertised.add_all();
        assert_eq!(
            (advertised.bits().count(), advertised.since(2), advertised.since(1)),
            (5, vec![0, 2, 4], vec![1, 0, 2, 4])
        );
        advertised.add(2);
        assert!(advertised.since(5).is_empty());
    }
}
