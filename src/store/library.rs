//! What is known of whole files: which are served, their ids in the index, their manifests; and what is to be told.

use std::collections::VecDeque;
use std::path::PathBuf;

use crate::core::{ClassicReply, SpanFault, SpoolId, StoreReply, TransferReply};
use crate::store::fs::{File, Fs, Stamp};
use crate::store::hash::Hashed;
use crate::store::index::Index;
use crate::store::manifests::{Manifests, RechunkedValues};
use crate::store::served::{Place, Served, Withdrawal, name_of};
use crate::store::{ShareEvent, StoreEvent};
use crate::types::ContentId;

/// What the works of the store share.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) fs: Fs,
    pub(crate) index: Index,
    pub(crate) manifests: Manifests,
    pub(crate) served: Served,
    /// Places of files that changed and are to be hashed again.
    pub(crate) changed: VecDeque<Place>,
    /// Values that were asked for in smaller units than the manifest's.
    pub(crate) rechunked: RechunkedValues,
    /// Memory for the slices of hashing.
    pub(crate) scratch: Vec<u8>,
    events: VecDeque<StoreEvent>,
}

impl Library {
    /// Nothing yet; the index and the manifests lie in these folders.
    pub(crate) fn new(fs: Fs, state_folder: File, manifest_folder: File) -> Library {
        Library {
            index: Index::new(fs.clone(), state_folder),
            manifests: Manifests::new(fs.clone(), manifest_folder),
            served: Served::new(fs.clone()),
            fs,
            changed: VecDeque::new(),
            rechunked: RechunkedValues::default(),
            scratch: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// Something to tell people.
    pub(crate) fn tell(&mut self, event: ShareEvent) {
        self.events.push_back(StoreEvent::Share(event));
    }

    /// A reply for the core.
    pub(crate) fn reply(&mut self, reply: StoreReply) {
        self.events.push_back(StoreEvent::Reply(reply));
    }

    /// A spool was thrown away before it was heard that it was made, or failed: that is told no more, for its number may
    /// be another's by then.
    pub(crate) fn retract_spool(&mut self, thrown: SpoolId) {
        self.events.retain(|event| {
            let StoreEvent::Reply(reply) = event else { return true };
            let told = match reply {
                StoreReply::Classic(ClassicReply::SpoolFailed { spool, .. })
                | StoreReply::Transfer(
                    TransferReply::SpoolFailed { spool, .. }
                    | TransferReply::Opened { spool }
                    | TransferReply::Ends { spool, .. },
                ) => Some(*spool),
                _ => None,
            };
            told != Some(thrown)
        });
    }

    /// Whether there is something to tell.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next thing to tell.
    pub(crate) fn next_event(&mut self) -> Option<StoreEvent> {
        self.events.pop_front()
    }

    /// A file is left out of what is shared.
    pub(crate) fn skipped(&mut self, path: PathBuf, why: String) {
        self.tell(ShareEvent::Skipped { path, why });
    }

    /// The id of the file at a place, when the index is sure of it and its manifest is at hand.
    pub(crate) fn known_id(&mut self, stamp: &Stamp) -> Option<ContentId> {
        let id = self.index.get(stamp)?;
        self.manifests.is_there(&id, stamp.size).then_some(id)
    }

    /// Keeps what hashing the file at a place found.
    pub(crate) fn learn(&mut self, place: &Place, hashed: Hashed) {
        let Hashed { id, manifest, stamp, begun_ns } = hashed;
        // Without a manifest on disk the file is only hashed once more when one is asked for.
        let _ = self.manifests.put(&id, manifest);
        self.index.put(&self.served.path(place), &stamp, &id, begun_ns);
    }

    /// Shares the file at a place, and says so.
    pub(crate) fn offer(&mut self, place: Place, stamp: Stamp, content: ContentId) {
        let name = name_of(&place, None);
        if self.served.add(place, stamp, content, None) {
            self.reply(StoreReply::Offered { content, name, size: stamp.size });
        }
    }

    /// Serves a file that was downloaded; the core knows of it by another reply.
    pub(crate) fn serve_download(&mut self, place: Place, stamp: Stamp, content: ContentId, name: String) {
        self.served.add(place, stamp, content, Some(name.into()));
    }

    /// The open file of a content, after a look that it still is what was hashed. One that is not is withdrawn, and
    /// another of the same content takes its place.
    pub(crate) fn find(&mut self, content: &ContentId) -> Result<u32, SpanFault> {
        let mut withdrawn = Vec::new();
        let found = self.served.find(content, &mut withdrawn);
        withdrawn.into_iter().for_each(|withdrawal| self.withdrawn(withdrawal));
        found
    }

    /// Looks at the files of a content, under whichever names they are served, and withdraws those that are not what was
    /// hashed.
    pub(crate) fn look_at_all(&mut self, content: &ContentId) {
        for (at, why) in self.served.changed_of(content) {
            self.withdraw(at, why);
        }
    }

    /// Serves the file of this number no more.
    pub(crate) fn withdraw(&mut self, at: u32, why: SpanFault) {
        if let Some(withdrawal) = self.served.withdraw(at, why) {
            self.withdrawn(withdrawal);
        }
    }

    /// Tells of a withdrawal. What was shared is hashed again, in a watched folder when it is next seen; what was
    /// downloaded was not for sharing in any form.
    fn withdrawn(&mut self, Withdrawal { file, last_of_name, why }: Withdrawal) {
        if let Some(name) = last_of_name {
            self.reply(StoreReply::Withdrawn { content: file.content, name, why });
        }
        if file.download_name.is_none() && !self.served.is_watched(&file.place) {
            self.changed.push_back(file.place);
        }
    }
}
