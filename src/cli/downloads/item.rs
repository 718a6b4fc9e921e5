//! One download: under which names it is written, and how far it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::cli::progress::{Pace, ProgressLine};
use crate::core::PeerRef;
use crate::types::ContentId;
use crate::types::name::Layout;

/// One download.
#[derive(Debug)]
pub(super) struct Item {
    /// The name that it is being written under.
    pub(super) name: Arc<str>,
    pub(super) layout: Layout,
    /// The names that it is written under after that.
    pub(super) further: VecDeque<(Arc<str>, Layout)>,
    /// The first name that it was written under.
    pub(super) first: Option<Arc<str>>,
    pub(super) size: u64,
    pub(super) began: Instant,
    pub(super) chunks: u32,
    pub(super) have: u32,
    /// Bytes that are here now, and that were here before it began.
    pub(super) bytes: u64,
    pub(super) bytes_before: u64,
    pub(super) ended: bool,
    /// What a peer offers in its place, and which peer: the download waits for others.
    pub(super) replaced_by: Option<Box<(ContentId, PeerRef)>>,
    /// How fast it comes, once its turn has come: of very many most wait.
    pub(super) flow: Option<Box<Flow>>,
}

/// How fast a download comes, and when that was told last.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) pace: Pace,
    pub(super) line: ProgressLine,
}

impl Item {
    /// One that begins.
    pub(super) fn new(name: &Arc<str>, layout: Layout, size: u64) -> Item {
        Item {
            name: Arc::clone(name),
            layout,
            further: VecDeque::new(),
            first: None,
            size,
            began: Instant::now(),
            chunks: 0,
            have: 0,
            bytes: 0,
            bytes_before: 0,
            ended: false,
            replaced_by: None,
            flow: None,
        }
    }

    /// The content is written under its name, or is not to be: the next one is its turn, if there is one.
    pub(super) fn go_on(&mut self) {
        let next = self.further.pop_front();
        self.ended = next.is_none();
        if let Some((name, layout)) = next {
            (self.name, self.layout, self.began) = (name, layout, Instant::now());
        }
    }

    /// Bytes that came over the network.
    pub(super) fn fetched(&self) -> u64 {
        self.bytes.saturating_sub(self.bytes_before)
    }

    pub(super) fn flow_mut(&mut self) -> &mut Flow {
        self.flow.get_or_insert_default()
    }
}
