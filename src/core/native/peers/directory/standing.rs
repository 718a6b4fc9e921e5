//! How much is known for it that a peer is one, and which of those without a connection gives way to another.

use crate::core::native::peers::directory::By;
use crate::core::rng::Rng;
use crate::types::PeerId;

/// How much is known for a peer, at the address it has. When places are short, those for which least is known give way
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It asked and never announced itself, and nothing that it looks for is looked for or held here.
    Asked,
    /// It asked and never announced itself, and what it looks for is looked for or held here.
    Seeks,
    /// It announced itself once, or again sooner than it says that it does: anybody can send two datagrams.
    Announced,
    /// It answered a question of this peer, or somebody who heard the question did so in its name.
    Answered,
    /// It announced itself again at its own interval.
    Regular,
    /// It said hello over a connection.
    Greeted,
}

/// How many standings there are.
const STANDINGS: usize = Standing::Greeted as usize + 1;

impl Standing {
    /// That of a peer that is heard for the first time.
    pub(crate) fn new(by: By) -> Standing {
        Standing::Asked.after(by, false)
    }

    /// That of a peer that is heard again; `regular`: its first announcement is at least as long ago as its interval.
    pub(crate) fn after(self, by: By, regular: bool) -> Standing {
        let shown = match by {
            By::Question => Standing::Asked,
            By::Announcement if regular && self >= Standing::Announced => Standing::Regular,
            By::Announcement => Standing::Announced,
            By::Answer => Standing::Answered,
            By::Hello => Standing::Greeted,
        };
        self.max(shown)
    }

    /// The best standing that gives way to a new peer that was heard so, where no connection is concerned. Even those that
    /// announce themselves regularly do, after all others, because whoever has patience can invent them.
    pub(crate) fn gives_way_to(by: By) -> Standing {
        match by {
            By::Question => Standing::Seeks,
            By::Announcement | By::Answer | By::Hello => Standing::Regular,
        }
    }
}

/// The peers without a connection, by their standing. Each knows its place, so that any one is taken out at once.
#[derive(Debug, Default)]
pub(crate) struct Unconnected {
    of: [Vec<PeerId>; STANDINGS],
}

impl Unconnected {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.of.iter().map(Vec::len).sum()
    }

    /// How many of them said hello.
    pub(crate) fn greeted(&self) -> usize {
        self.all(Standing::Greeted).len()
    }

    /// How many of them did not.
    pub(crate) fn only_heard(&self) -> usize {
        self.of.iter().take(Standing::Greeted as usize).map(Vec::len).sum()
    }

    /// Adds a peer; returns its place.
    pub(crate) fn add(&mut self, standing: Standing, peer: PeerId) -> u32 {
        let Some(peers) = self.of.get_mut(standing as usize) else { return 0 };
        let place = peers.len();
        peers.push(peer);
        // Bounded by the limits on peers.
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Takes out the peer at a place; returns the one that has this place now.
    pub(crate) fn take(&mut self, standing: Standing, place: u32) -> Option<PeerId> {
        let (peers, place) = (self.of.get_mut(standing as usize)?, place as usize);
        if place < peers.len() {
            peers.swap_remove(place);
        }
        peers.get(place).copied()
    }

    /// The peer at a place.
    pub(crate) fn at(&self, standing: Standing, place: u32) -> Option<&PeerId> {
        self.all(standing).get(place as usize)
    }

    /// One of those for which least is known; `None` when all are of a better standing than `best`.
    pub(crate) fn draw_weakest(&self, best: Standing, rng: &mut Rng) -> Option<PeerId> {
        let weakest = self.of.get(..=best as usize)?.iter().find(|peers| !peers.is_empty())?;
        weakest.get(rng.below(weakest.len())).copied()
    }

    /// One of those that said hello.
    pub(crate) fn draw_greeted(&self, rng: &mut Rng) -> Option<PeerId> {
        let greeted = self.all(Standing::Greeted);
        greeted.get(rng.below(greeted.len())).copied()
    }

    fn all(&self, standing: Standing) -> &[PeerId] {
        self.of.get(standing as usize).map_or(&[], Vec::as_slice)
    }
}
