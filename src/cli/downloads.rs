//! The downloads of one `get`: which there are, how far they are, how each ended. Owns their counts and what is told
//! of them; when to end is the command's business.

mod classic;
mod failures;
mod item;
mod progress;
mod stats;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::classic::fetches::Fetches;
use crate::cli::downloads::failures::Failures;
use crate::cli::downloads::item::Item;
use crate::cli::downloads::stats::OneFile;
use crate::cli::exit::Exit;
use crate::cli::failure::kept;
use crate::cli::failure_notice::Subject;
use crate::cli::human;
use crate::cli::progress::{Live, Pace, Plain, ProgressLine};
use crate::cli::run::{Run, Target};
use crate::cli::wanted::Request;
use crate::core::{Event, FailReason, PeerRef};
use crate::shell::ShellEvent;
use crate::types::ContentId;
use crate::types::name::{Layout, printable};

/// With more files than this, each is no longer announced on stderr.
const ANNOUNCED_MAX: usize = 20;

/// The downloads and the searches that lead to them.
#[derive(Debug, Default)]
pub(crate) struct Downloads {
    searches: Vec<Search>,
    items: BTreeMap<ContentId, Item>,
    /// How many files they are: a content may be wanted under several names.
    files: usize,
    /// How many of these have not ended: asked in every turn, so they are not counted each time.
    open_files: usize,
    /// Whether one of them was begun, so that bytes could come.
    is_paced: bool,
    /// What is fetched from classic peers; `None`: they are not asked.
    classic: Option<Fetches>,
    target: Target,
    done: usize,
    bytes: u64,
    /// Files that were left alone because others were in their place.
    left_alone: usize,
    /// When the first download was found, and when the last was complete.
    began: Option<Instant>,
    ended: Option<Instant>,
    /// Where chunks came from, with the peers' names.
    sources: BTreeMap<SocketAddr, String>,
    failures: Failures,
    wait: Duration,
    stall: Duration,
    port: u16,
    pace: Pace,
    live: Live,
    plain: Plain,
    json: ProgressLine,
}

/// A search, at the place of its ticket.
#[derive(Debug)]
struct Search {
    request: Request,
    ended: bool,
}

impl Downloads {
    /// The downloads of these requests; a request's place is its ticket.
    pub(crate) fn new(
        requests: Vec<Request>,
        target: Target,
        wait: Duration,
        stall: Duration,
        port: u16,
    ) -> Downloads {
        Downloads {
            searches: requests.into_iter().map(|request| Search { request, ended: false }).collect(),
            target,
            wait,
            stall,
            port,
            plain: Plain::from_now(),
            ..Downloads::default()
        }
    }

    /// What is to be done about a download that failed is this, not the same command again.
    pub(crate) fn advise(&mut self, advice: &'static str) {
        self.failures.advice = Some(advice);
    }

    /// Forgets the downloads that have ended, but for the counts: one of them may be begun again.
    pub(crate) fn forget_ended(&mut self) {
        self.items.retain(|_, item| !item.ended);
        self.files = self.open_files;
        self.is_paced &= !self.items.is_empty();
    }

    /// The requests, in the order of their tickets.
    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.searches.iter().map(|search| &search.request)
    }

    /// Whether everything that was asked for has ended.
    pub(crate) fn are_over(&self) -> bool {
        let native = self.open_files == 0 && self.searches.iter().all(|search| search.ended);
        native && self.classic.as_ref().is_none_or(Fetches::are_over)
    }

    /// How many files are complete.
    pub(crate) fn done(&self) -> usize {
        self.done + self.classic.as_ref().map_or(0, Fetches::done)
    }

    /// Bytes of a content that came over the network.
    pub(crate) fn fetched(&self, content: &ContentId) -> u64 {
        self.items.get(content).map_or(0, Item::fetched)
    }

    /// How many searches and downloads have not ended.
    pub(crate) fn open(&self) -> usize {
        let searches = self.searches.iter().filter(|search| !search.ended).count();
        searches + self.open_files + self.classic.as_ref().map_or(0, Fetches::open)
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> usize {
        self.failures.exits.len() + self.classic.as_ref().map_or(0, |classic| classic.failures().len())
    }

    /// Bytes of the complete files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.saturating_add(self.classic.as_ref().map_or(0, Fetches::bytes))
    }

    /// The exit code, once all is over.
    pub(crate) fn exit(&self) -> Exit {
        Exit::of_all(self.done(), &self.failures())
    }

    /// The exit codes of those that failed.
    pub(crate) fn failures(&self) -> Vec<Exit> {
        let classic = self.classic.as_ref().map_or(&[][..], Fetches::failures);
        [&self.failures.exits, classic].concat()
    }

    /// Takes in an event.
    pub(crate) fn take(&mut self, run: &mut Run<'_>, event: &ShellEvent) {
        let ShellEvent::Core(event) = event else { return };
        match event {
            Event::Resolved { ticket, content, name, size } => {
                self.begin(*ticket, *content, name, *size);
                self.name_known(run, content);
            }
            Event::SearchDone { ticket, found, cut_short } => {
                self.searched(run, *ticket, *found);
                if *cut_short {
                    self.cut_short(run, *ticket, *found);
                }
            }
            Event::SearchFailed { ticket, reason } => self.search_failed(run, *ticket, reason),
            Event::Classic(event) => self.take_classic(run, event),
            Event::Started { content, geometry, had } => {
                if let Some(item) = self.items.get_mut(content) {
                    (item.size, item.chunks, item.have) = (geometry.size_bytes(), geometry.chunks(), *had);
                    item.bytes_before = (u64::from(*had) * u64::from(geometry.chunk_bytes())).min(item.size);
                    item.bytes = item.bytes_before;
                    let now = Instant::now();
                    item.flow_mut().pace.begin(now, 0);
                    if !std::mem::replace(&mut self.is_paced, true) {
                        // The rate of the first line is that since its first byte could come, not since the search began.
                        self.pace.begin(now, 0);
                    }
                    self.announce(run, content);
                }
            }
            Event::ChunkReceived { content, from, .. } => {
                self.sources.entry(from.addr).or_insert_with(|| from.user.clone());
                if let Some(item) = self.items.get_mut(content) {
                    item.have = item.have.saturating_add(1).min(item.chunks);
                }
            }
            Event::Replaced { content, begun: true, .. } => {
                self.forget_replaced(content);
                self.name_known(run, content);
            }
            Event::Replaced { content, by, from, begun: false } => {
                if let Some(item) = self.items.get_mut(content) {
                    item.replaced_by = Some(Box::new((by.id, from.clone())));
                }
            }
            Event::Waiting { content, missing, missing_count } => {
                self.waiting(run, content, missing, *missing_count);
            }
            Event::Resumed { content } => {
                if let Some(item) = self.items.get(content) {
                    run.out.note(&format!("{}: continues", human::label(&item.name)));
                }
            }
            Event::Finished { content, path, bytes, took, peers } => {
                self.finished(run, content, path, *bytes, *took, *peers);
                self.name_known(run, content);
            }
            Event::Skipped { content, path } => {
                self.skipped(run, content, path);
                self.name_known(run, content);
            }
            Event::Failed { content, reason } => {
                self.failed_item(run, content, reason);
                self.name_known(run, content);
            }
            _ => {}
        }
    }

    /// Ends what has not ended when the command does: a line in the log for each.
    pub(crate) fn abandon(&mut self, run: &mut Run<'_>, why: &str) {
        self.open_files = 0;
        for (id, item) in self.items.iter_mut().filter(|(_, item)| !item.ended) {
            item.ended = true;
            let further = item.further.iter().map(|(name, _)| name);
            for name in std::iter::once(&item.name).chain(further) {
                run.log_failure(name, Some(*id), item.began.elapsed(), why);
            }
        }
        if let Some(classic) = &mut self.classic {
            classic.abandon(run, why);
        }
    }

    /// What replaced the only download that has not ended, and at which peer.
    pub(crate) fn open_replaced(&self) -> Option<(&ContentId, &PeerRef)> {
        let mut open = self.items.values().filter(|item| !item.ended);
        let (item, None) = (open.next()?, open.next()) else { return None };
        item.replaced_by.as_deref().map(|(by, from)| (by, from))
    }

    /// What is kept of the downloads that have not ended; `None`: nothing.
    pub(crate) fn kept(&self) -> Option<String> {
        let mut parts = self.items.values().filter(|item| {
            // The chunks were fetched for another name of the content, so nothing is kept for this one.
            !item.ended && item.have > 0 && item.first.is_none()
        });
        match (parts.next(), parts.next()) {
            (None, _) => self.classic.as_ref().and_then(Fetches::kept),
            (Some(item), None) => Some(kept(item.have, item.chunks)),
            _ => Some("what was verified, in .part files beside the targets".to_owned()),
        }
    }

    fn begin(&mut self, ticket: u32, content: ContentId, name: &Arc<str>, size: u64) {
        let search = self.searches.get(ticket as usize);
        let layout = search.map_or(Layout::Flat, |search| search.request.layout);
        if let Some(item) = self.items.get_mut(&content) {
            // A content without a search was accepted from a sender; accepted twice, it comes once.
            if search.is_some() {
                item.further.push_back((Arc::clone(name), layout));
                self.files += 1;
                self.open_files += 1;
                if item.ended {
                    item.go_on();
                }
            }
            return;
        }
        self.items.insert(content, Item::new(name, layout, size));
        self.began.get_or_insert_with(Instant::now);
        self.files += 1;
        self.open_files += 1;
    }

    /// Further messages about a content use the name that it is being written under.
    fn name_known(&self, run: &mut Run<'_>, content: &ContentId) {
        if let (Some(item), Some(known)) = (self.items.get(content), run.known.get_mut(content))
            && known.name != item.name
        {
            known.name = Arc::clone(&item.name);
        }
    }

    /// Another content is fetched in the place of this one.
    fn forget_replaced(&mut self, content: &ContentId) {
        let Some(item) = self.items.get_mut(content).filter(|item| !item.ended) else { return };
        item.go_on();
        if item.ended && item.first.is_none() {
            self.items.remove(content);
        }
        self.files = self.files.saturating_sub(1);
        self.open_files = self.open_files.saturating_sub(1);
    }

    fn announce(&self, run: &mut Run<'_>, content: &ContentId) {
        let Some(item) = self.items.get(content) else { return };
        if self.files > ANNOUNCED_MAX || item.first.is_some() {
            return;
        }
        let mut text = format!("getting {} ({})", human::quoted(&item.name), human::size(item.size));
        if item.have > 0 {
            let (have, chunks) = (human::count(item.have.into()), human::count(item.chunks.into()));
            text += &format!(", {have} of {chunks} chunks are here already");
        }
        run.out.note(&text);
    }

    fn searched(&mut self, run: &mut Run<'_>, ticket: u32, found: usize) {
        if found == 0 {
            let reason =
                FailReason::NobodyOffers { peers: run.reactor.status().peers.len(), similar: Vec::new() };
            return self.search_failed(run, ticket, &reason);
        }
        if let Some(search) = self.searches.get_mut(ticket as usize) {
            search.ended = true;
        }
        if found > ANNOUNCED_MAX {
            let size = self.items.values().map(|item| item.size).fold(0, u64::saturating_add);
            run.out.note(&format!(
                "getting {}, {}",
                human::counted(found, "file", "files"),
                human::size(size)
            ));
        }
    }

    /// What of the downloads that have not ended is known, as far as it is the same of all of them.
    pub(crate) fn open_subject(&self) -> Subject<'_> {
        let searches = self.searches.iter().filter(|search| !search.ended);
        let searches = searches.map(|search| (None, search.request.text.as_str(), Layout::Flat));
        let items = self.items.iter().filter(|(_, item)| !item.ended);
        let items = items.map(|(id, item)| (Some(*id), &*item.name, item.layout));
        let mut open = items.chain(searches);
        match (open.next(), open.next()) {
            (Some((id, name, layout)), None) => {
                Subject { id, name: Some(name), path: Some(self.target.path(id.map(|_| name), layout)) }
            }
            _ => Subject { path: Some(self.target.dir.clone()), ..Subject::default() },
        }
    }

    fn waiting(&self, run: &mut Run<'_>, content: &ContentId, missing: &[u32], count: u32) {
        let Some(item) = self.items.get(content) else { return };
        let what = match count {
            0 => "a peer that has this version; none is here".to_owned(),
            1 => format!("chunk {}; no peer here has it", human::some_of(missing, 1)),
            _ => format!("chunks {}; no peer here has them", human::some_of(missing, count.into())),
        };
        let (name, stall) = (human::label(&item.name), human::limit(self.stall));
        run.out.note(&format!("{name}: waiting for {what} (giving up after {stall})"));
    }

    fn finished(
        &mut self,
        run: &mut Run<'_>,
        content: &ContentId,
        path: &Path,
        bytes: u64,
        took: Duration,
        peers: usize,
    ) {
        let Some(item) = self.items.get_mut(content).filter(|item| !item.ended) else { return };
        item.bytes = bytes;
        let (name, first) = (item.name.clone(), item.first.clone());
        // Bytes fetched for the first name go on counting while the others are written.
        if peers == 0 && first.is_none() {
            item.bytes_before = bytes;
        }
        let fetched = item.fetched();
        item.first.get_or_insert_with(|| name.clone());
        item.go_on();
        self.open_files = self.open_files.saturating_sub(1);
        self.done += 1;
        self.ended = Some(Instant::now());
        self.bytes = self.bytes.saturating_add(bytes);
        run.out.result(&printable(&path.to_string_lossy()));
        if self.files <= ANNOUNCED_MAX {
            let from = self.sources.values().next().filter(|_| self.sources.len() == 1).map(String::as_str);
            let one = OneFile { name: &name, bytes, fetched, took, peers, from, same_as: first.as_deref() };
            run.out.note(&one.text());
        }
    }

    fn skipped(&mut self, run: &mut Run<'_>, content: &ContentId, path: &Path) {
        let Some(item) = self.items.get_mut(content).filter(|item| !item.ended) else { return };
        let name = &item.name.clone();
        item.go_on();
        self.open_files = self.open_files.saturating_sub(1);
        self.done += 1;
        self.left_alone += 1;
        let path = printable(&path.to_string_lossy());
        run.out.note(&format!("{}: {path} exists and was not changed", human::label(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_that_waits_is_small_and_shares_its_name() {
        // A get begins 100,000 of them.
        assert!(size_of::<Item>() <= 152, "{} bytes", size_of::<Item>());
        let requests = vec![Request::parse("*").unwrap()];
        let mut downloads = Downloads::new(requests, Target::default(), Duration::ZERO, Duration::ZERO, 7117);
        let (content, name) = (ContentId([1; 32]), Arc::from("talk.mkv"));
        downloads.begin(0, content, &name, 1);
        let item = downloads.items.get(&content).unwrap();
        assert!(Arc::ptr_eq(&item.name, &name) && item.flow.is_none());
    }
}
