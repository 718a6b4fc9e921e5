//! Who looks for what, as far as peers have asked.

use super::{Directory, Standing};
use crate::types::{ContentId, PeerId};
use crate::wire::message::Wanted;

impl Directory {
    /// A known peer looks for one thing, or for many.
    pub(crate) fn seeks(&mut self, peer: &PeerId, wanted: Option<Wanted>) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        if known.seeks.as_deref() == wanted.as_ref() {
            return;
        }
        if let Some(former) = known.seeks.take() {
            self.seekers.release(former);
        }
        known.seeks = wanted.map(|wanted| self.seekers.keep(wanted));
        self.set_standing(peer, Standing::Seeks, Standing::Asked);
    }

    /// This peer looks for or holds what another one looks for: that one stays, though it may never have announced itself.
    pub(crate) fn is_of_use(&mut self, peer: &PeerId) {
        self.set_standing(peer, Standing::Asked, Standing::Seeks);
    }

    /// Something is looked for or held here from now on: who looks for it is of use.
    pub(crate) fn is_here(&mut self, wanted: &Wanted) {
        if self.seeker_count(wanted) > 0 {
            let seekers = self.peers.iter().filter(|(_, known)| known.seeks.as_deref() == Some(wanted));
            let seekers: Vec<PeerId> = seekers.map(|(peer, _)| *peer).collect();
            seekers.iter().for_each(|peer| self.is_of_use(peer));
        }
    }

    /// Whether a peer looked for a content last, by its id or by this name.
    pub(crate) fn is_seeker(&self, peer: &PeerId, content: &ContentId, name: &str) -> bool {
        match self.peers.get(peer).and_then(|known| known.seeks.as_deref()) {
            Some(Wanted::Id(id)) => id == content,
            Some(Wanted::Name(wanted)) => wanted == name,
            _ => false,
        }
    }

    /// How many peers looked for a content last: by its id, or by this name, whichever are more.
    pub(crate) fn seekers_of(&self, content: &ContentId, name: &str) -> usize {
        let by_name = self.seeker_count(&Wanted::Name(name.to_owned()));
        by_name.max(self.seeker_count(&Wanted::Id(*content)))
    }

    /// How many peers looked for this, and for nothing after that.
    pub(crate) fn seeker_count(&self, wanted: &Wanted) -> usize {
        self.seekers.keepers(wanted)
    }
}
