//! The store on real folders: what every test of it needs, and the tests by theme.

mod classic;
mod crash;
mod download;
mod power;
mod questions;
mod share;
mod transfer;
mod trees;
mod watch;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::fault_plan::FaultPlan;
use super::fs::Fs;
use super::{Buffers, OnConflict, ShareEvent, Store, StoreConfig, StoreEvent};
use crate::core::{BufferId, Fault, PartState, SpanFault, SpanSource, StoreJob, StoreReply};
use crate::types::manifest::ManifestBuilder;
use crate::types::name::Layout;
use crate::types::{ContentId, Geometry, Manifest};

/// How long a test waits for the I/O thread before it fails.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Folders for one user: state and target.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { root: tempfile::tempdir().unwrap() };
        fs::create_dir(place.target()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn target(&self) -> PathBuf {
        self.path("target")
    }

    fn in_target(&self, name: &str) -> PathBuf {
        self.target().join(name)
    }

    fn config(&self) -> StoreConfig {
        StoreConfig {
            state_dir: self.path("state/chunkcast"),
            target_dir: self.target(),
            target_name: None,
            on_conflict: OnConflict::Rename,
            classic: None,
        }
    }

    fn open(&self) -> Session {
        self.open_as(self.config(), None)
    }

    fn open_as(&self, config: StoreConfig, plan: Option<&Arc<FaultPlan>>) -> Session {
        self.try_open(&config, plan).unwrap()
    }

    fn try_open(&self, config: &StoreConfig, plan: Option<&Arc<FaultPlan>>) -> Result<Session, Fault> {
        let fs = plan.map_or_else(Fs::default, |plan| Fs::with_plan(Arc::clone(plan)));
        let mut store = Store::open_with(config, fs)?;
        let (wake, woken) = channel();
        store.on_result(Box::new(move || {
            let _ = wake.send(());
        }));
        Ok(Session { store, buffers: Buffers::new(1 << 20), woken, layout: Layout::Flat })
    }

    /// Names and sizes in the target folder, in order.
    fn listing(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.target())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// A store with its buffers.
struct Session {
    store: Store,
    buffers: Buffers,
    woken: Receiver<()>,
    /// What becomes of the folders in the names of its downloads.
    layout: Layout,
}

impl Session {
    /// Runs all slices and gives everything that was told.
    fn run(&mut self) -> Vec<StoreEvent> {
        let mut events = Vec::new();
        loop {
            events.extend(std::iter::from_fn(|| self.store.poll()));
            if !self.store.has_work() {
                return events;
            }
            self.store.step();
        }
    }

    fn share(&mut self, path: &Path) -> Vec<StoreEvent> {
        self.store.share(path).unwrap();
        self.run()
    }

    fn submit(&mut self, job: StoreJob) -> Vec<StoreReply> {
        self.store.submit(job, &mut self.buffers);
        replies(self.run())
    }

    /// The one reply to a job.
    fn ask(&mut self, job: StoreJob) -> StoreReply {
        let mut replies = self.submit(job);
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.remove(0)
    }

    fn open_part(&mut self, content: &Content) -> Result<PartState, Fault> {
        self.open_named(content, &content.name)
    }

    fn open_named(&mut self, content: &Content, name: &str) -> Result<PartState, Fault> {
        let size = content.bytes.len() as u64;
        let (name, layout) = (name.to_owned(), self.layout);
        match self.ask(StoreJob::OpenPart { content: content.id, name, layout, size }) {
            StoreReply::PartOpened { state, .. } => Ok(state),
            StoreReply::PartFailed { fault, .. } => Err(fault),
            other => panic!("{other:?}"),
        }
    }

    fn create(&mut self, content: &Content) -> Result<(), Fault> {
        let manifest = Box::new(content.manifest.clone());
        match self.ask(StoreJob::CreatePart { content: content.id, manifest }) {
            StoreReply::PartCreated { .. } => Ok(()),
            StoreReply::PartFailed { fault, .. } => Err(fault),
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, content: &Content, chunk: u32) -> StoreReply {
        let bytes = content.chunk(chunk).to_vec();
        self.write_bytes(content, chunk, &bytes)
    }

    fn write_bytes(&mut self, content: &Content, chunk: u32, bytes: &[u8]) -> StoreReply {
        let buffer = BufferId(0);
        self.buffers.get_or_make(buffer, bytes.len()).copy_from_slice(bytes);
        let mut replies = self.submit(StoreJob::WriteChunk { content: content.id, chunk, buffer });
        while replies.is_empty() {
            self.woken.recv_timeout(WAIT_MAX).unwrap();
            replies = self::replies(self.run());
        }
        assert_eq!(replies.len(), 1, "{replies:?}");
        if let StoreReply::ChunkStored { buffer, .. } = replies[0] {
            self.buffers.release(buffer);
        }
        replies.remove(0)
    }

    fn publish(&mut self, content: &Content) -> Result<PathBuf, Fault> {
        let mut replies = self.submit(StoreJob::Publish { content: content.id });
        while replies.is_empty() {
            self.woken.recv_timeout(WAIT_MAX).unwrap();
            replies = self::replies(self.run());
        }
        match replies.remove(0) {
            StoreReply::Published { path, .. } => Ok(path),
            StoreReply::PartFailed { fault, .. } => Err(fault),
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self, content: &Content) {
        let reply = self.ask(StoreJob::ClosePart { content: content.id });
        assert!(matches!(reply, StoreReply::PartClosed { .. }), "{reply:?}");
    }

    /// A whole download, from what is there to the final name; stops at the first failure.
    fn download(&mut self, content: &Content) -> Result<PathBuf, Fault> {
        let have = match self.open_part(content)? {
            PartState::Fresh => {
                self.create(content)?;
                None
            }
            PartState::Resumed { have, .. } => Some(have),
            PartState::Complete { path, .. } | PartState::Skipped { path } => return Ok(path),
        };
        for chunk in 0..content.manifest.geometry.chunks() {
            if have.as_ref().is_some_and(|have| have.get(chunk)) {
                continue;
            }
            match self.write(content, chunk) {
                StoreReply::ChunkStored { .. } => {}
                StoreReply::ChunkFailed { fault, .. } => return Err(fault),
                other => panic!("{other:?}"),
            }
        }
        self.publish(content)
    }

    /// All bytes of a content as they are served.
    fn served(&mut self, content: &Content) -> Result<Vec<u8>, SpanFault> {
        let mut bytes = vec![0; content.bytes.len() + 1];
        let read = self.store.read_span(SpanSource::Content(content.id), &mut bytes, 0)?.unwrap();
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// A content as somebody else offers it.
struct Content {
    name: String,
    bytes: Vec<u8>,
    id: ContentId,
    manifest: Manifest,
}

impl Content {
    fn new(name: &str, len: usize) -> Content {
        Content::cut(name, bytes(len, name), Geometry::native(len as u64).unwrap().chunk_bytes())
    }

    fn cut(name: &str, bytes: Vec<u8>, chunk_bytes: u32) -> Content {
        let mut builder = ManifestBuilder::new(Geometry::new(bytes.len() as u64, chunk_bytes).unwrap());
        builder.push(&bytes);
        let (id, manifest) = builder.finish().unwrap();
        Content { name: name.to_owned(), bytes, id, manifest }
    }

    fn chunk(&self, chunk: u32) -> &[u8] {
        let (offset, len) = self.manifest.geometry.chunk_span(chunk).unwrap();
        &self.bytes[offset as usize..][..len as usize]
    }

    fn part(&self) -> String {
        format!("{}.{}.part", self.name, self.id.short())
    }

    fn state(&self) -> String {
        format!("{}.{}.state", self.name, self.id.short())
    }
}

/// Bytes that look random and differ by seed.
fn bytes(len: usize, seed: &str) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn replies(events: Vec<StoreEvent>) -> Vec<StoreReply> {
    let reply = |event| if let StoreEvent::Reply(reply) = event { Some(reply) } else { None };
    events.into_iter().filter_map(reply).collect()
}

/// What was offered, in the order of names.
fn offered(events: &[StoreEvent]) -> Vec<(String, ContentId, u64)> {
    let offer = |event: &StoreEvent| match event {
        StoreEvent::Reply(StoreReply::Offered { name, content, size }) => {
            Some((name.clone(), *content, *size))
        }
        _ => None,
    };
    let mut offers: Vec<_> = events.iter().filter_map(offer).collect();
    offers.sort();
    offers
}

/// What was left out, by its file name, in order.
fn skipped(events: &[StoreEvent]) -> Vec<String> {
    let skip = |event: &StoreEvent| match event {
        StoreEvent::Share(ShareEvent::Skipped { path, .. }) => {
            Some(path.file_name().unwrap().to_string_lossy().into_owned())
        }
        _ => None,
    };
    let mut names: Vec<_> = events.iter().filter_map(skip).collect();
    names.sort();
    names
}

fn id_of(bytes: &[u8]) -> ContentId {
    ContentId(*blake3::hash(bytes).as_bytes())
}
