//! The summary file beside a ring download. Each new chunk updates it, and it keeps the chunks of earlier runs.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

use crate::cli::report::neighbours;
use crate::cli::run::Run;
use crate::core::{Fault, PeerRef};
use crate::store::summary::{Origin, Summary};
use crate::types::name::printable;
use crate::types::{Bitfield, ContentId, Geometry, PeerId};

/// A summary of no more chunks is written anew with each of them; a longer one as often as the next says.
const AT_ONCE_CHUNKS_MAX: usize = 128;
/// A long summary is written again after so many times what writing it took, so that it takes a twentieth of the time.
const REST: u32 = 19;
/// Chunks that were here before and are read again in one turn of the loop.
const READ_A_TURN: usize = 8;

/// What a peer writes beside its download.
#[derive(Debug)]
pub(super) struct Records {
    dir: PathBuf,
    name: Option<String>,
    keep_chunks: bool,
    content: Option<(ContentId, Geometry)>,
    summary: Option<Summary>,
    /// Chunks to be read, and where they came from in this run.
    waiting: VecDeque<u32>,
    origins: BTreeMap<u32, Origin>,
    /// When a long summary may be written again.
    due: Instant,
    scratch: Vec<u8>,
}

impl Records {
    /// Nothing yet. Goes to `dir`, under the name of the file, or `name`.
    pub(super) fn new(dir: PathBuf, name: Option<String>, keep_chunks: bool) -> Records {
        Records {
            dir,
            name,
            keep_chunks,
            content: None,
            summary: None,
            waiting: VecDeque::new(),
            origins: BTreeMap::new(),
            due: Instant::now(),
            scratch: Vec::new(),
        }
    }

    /// The download begins, or is complete already, with these chunks.
    pub(super) fn begin(&mut self, run: &mut Run<'_>, content: ContentId, cut: Geometry, held: &Bitfield) {
        if self.content.is_some() {
            return;
        }
        let known = run.known(&content).name;
        let name = self.name.clone().or_else(|| crate::types::name::local_file_name(&known));
        self.content = Some((content, cut));
        self.waiting = held.iter().collect();
        let name = name.unwrap_or_else(|| content.to_string());
        match Summary::open(&self.dir, &name, content, cut, self.keep_chunks) {
            Ok(summary) => self.summary = Some(summary),
            Err(fault) => self.give_up(run, &fault),
        }
        self.write(run, true);
    }

    /// A chunk came.
    pub(super) fn came(&mut self, chunk: u32, from: &PeerRef, owner: Option<PeerId>) {
        let (peer, user) = (from.addr.to_string(), from.user.clone());
        self.origins.insert(chunk, Origin { peer, user, part: neighbours::role_of(from, owner).to_owned() });
        self.waiting.push_back(chunk);
    }

    /// Reads what is to be told and writes it, as far as that is due; `all`: without regard to time.
    pub(super) fn catch_up(&mut self, run: &mut Run<'_>, all: bool) {
        let Some((content, cut)) = self.content else { return };
        let mut budget = if all { usize::MAX } else { READ_A_TURN };
        while budget > 0
            && let Some(summary) = &mut self.summary
            && let Some(chunk) = self.waiting.pop_front()
        {
            budget -= 1;
            let origin = self.origins.remove(&chunk);
            let read = run.reactor.store.read_chunk(&content, &cut, chunk, &mut self.scratch);
            if let Err(fault) = read.and_then(|()| summary.add(chunk, &self.scratch, origin)) {
                self.give_up(run, &fault);
            }
        }
        self.write(run, all);
    }

    /// When [`Records::catch_up`] has something to do again.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let summary = self.summary.as_ref()?;
        if !self.waiting.is_empty() {
            return Some(now);
        }
        summary.is_dirty().then_some(self.due)
    }

    fn write(&mut self, run: &mut Run<'_>, all: bool) {
        let Some(summary) = self.summary.as_mut().filter(|summary| summary.is_dirty()) else { return };
        let now = Instant::now();
        if all || now >= self.due || summary.len() <= AT_ONCE_CHUNKS_MAX {
            let written = summary.write();
            let ended = Instant::now();
            self.due = ended + REST * ended.duration_since(now);
            if let Err(fault) = written {
                self.give_up(run, &fault);
            }
        }
    }

    /// The download is more important than what is told of it.
    fn give_up(&mut self, run: &mut Run<'_>, fault: &Fault) {
        self.summary = None;
        run.out.fail(&format!("chunkcast: the summary is no longer written: {}", printable(&fault.text)));
    }
}
