//! Watching shared folders: looks at all that is in them again and again, and tells what is new, changed or gone.
//!
//! Owns when to look and what is seen; the files it finds are hashed by the scan. It looks, it is not told: that
//! works on every file system, costs no memory but the mark in each served file, and takes a hundredth of the time
//! at most, since the next look is put off by what the last one took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::core::SpanFault;
use crate::store::ShareEvent;
use crate::store::fs::{File, FsResult, Stamp};
use crate::store::library::Library;
use crate::store::served::{Place, name_of};
use crate::store::walk::{Step, Walk, Why};
use crate::types::defaults::defaults;

/// A file that looked the same for this long is taken; one that is being written is not.
const QUIET: Duration = Duration::from_secs(2);
/// How soon files that were not quiet are looked at again.
const SETTLE_INTERVAL: Duration = Duration::from_secs(1);
/// The next pass comes after so many times what the last one took.
const REST_FACTOR: u32 = 99;
/// But no later than this, or the interval that was asked for.
const REST_MAX: Duration = Duration::from_secs(600);
/// Entries looked at in one slice.
const SLICE_ENTRIES: u32 = 256;
/// Served files that one slice asks whether they were seen.
const SLICE_MARKS: u32 = 8_192;
/// Files that wait to be hashed; while there are so many, the walk waits too.
const QUEUE_MAX: usize = 1_024;
/// Files that are not quiet and are remembered; others are found again by the next pass.
const UNSETTLED_MAX: usize = 65_536;
/// Files that are left out and are remembered; others are tried again by every pass, without a word.
const LEFT_OUT_MAX: usize = 65_536;

defaults! {
    /// The watch over all folders that were named.
    #[derive(Debug)]
    pub(crate) struct Watch {
        roots: Vec<WatchedRoot> = Vec::new(),
        interval: Duration = Duration::ZERO,
        pub(crate) quiet: Duration = QUIET,
        pass: Option<Pass> = None,
        /// `None` until everything was hashed for the first time.
        next_pass: Option<Instant> = None,
        settle_at: Option<Instant> = None,
        /// A pass was asked for while one is under way, or before the first.
        again: bool = false,
        queue: BTreeSet<Place> = BTreeSet::new(),
        unsettled: BTreeMap<Place, Unsettled> = BTreeMap::new(),
        /// Told to people once, and not tried again while they look the same.
        left_out: BTreeMap<Place, Option<Stamp>> = BTreeMap::new(),
        /// A folder went away, or another has taken its place.
        moved: bool = false,
    }
}

#[derive(Debug)]
struct WatchedRoot {
    path: PathBuf,
    number: u32,
    there: bool,
}

/// One look at everything.
#[derive(Debug)]
struct Pass {
    /// The root that is looked at, by its place in the list.
    at: usize,
    stage: Stage,
    /// Time spent.
    busy: Duration,
}

#[derive(Debug)]
enum Stage {
    /// Opens the root.
    Open,
    /// Looks at each entry. When some could not be looked at, nothing is known of what is gone.
    Walk { walk: Box<Walk>, whole: bool },
    /// Withdraws what was not seen, from this number on.
    Sweep { from: u32 },
}

/// A file that was not quiet.
#[derive(Debug, Clone, Copy)]
struct Unsettled {
    stamp: Stamp,
    since_ns: i64,
}

impl Watch {
    /// Watches one more folder, the one of this number; looks at all of them about every `interval`.
    pub(crate) fn add(&mut self, path: &Path, number: u32, interval: Duration) {
        self.interval = interval;
        if !self.roots.iter().any(|root| root.number == number) {
            self.roots.push(WatchedRoot { path: path.to_path_buf(), number, there: true });
        }
    }

    /// Everything was hashed: from now on what changes is looked for.
    pub(crate) fn begin(&mut self) {
        if !self.roots.is_empty() && self.next_pass.is_none() {
            let rest = if std::mem::take(&mut self.again) { Duration::ZERO } else { self.interval };
            self.next_pass = Some(Instant::now() + rest);
        }
    }

    /// Tries again what was left out, and tells of it again.
    pub(crate) fn forget_left_out(&mut self) {
        self.left_out.clear();
    }

    /// Looks as soon as possible.
    pub(crate) fn hurry(&mut self) {
        self.again = self.pass.is_some() || self.next_pass.is_none();
        if self.next_pass.is_some() {
            self.next_pass = Some(Instant::now());
        }
        self.settle_at = self.settle_at.map(|_| Instant::now());
    }

    /// Whether there is something to look at now.
    pub(crate) fn is_due(&self) -> bool {
        match self.pass {
            Some(_) => self.queue.len() < QUEUE_MAX,
            None => self.deadline().is_some_and(|deadline| deadline <= Instant::now()),
        }
    }

    /// Whether files wait to be hashed.
    pub(crate) fn has_files(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether no file waits until it is quiet, or to be hashed after that.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled.is_empty() && self.queue.is_empty()
    }

    /// When there is next something to look at, if no pass is under way.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let next_pass = self.next_pass.filter(|_| self.pass.is_none());
        [next_pass, self.settle_at].into_iter().flatten().min()
    }

    /// Whether a folder went away or was replaced since the last call.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Does one slice of looking; `hashed` is being hashed now.
    pub(crate) fn step(&mut self, hashed: Option<&Place>, library: &mut Library) {
        if !self.is_due() {
            return;
        }
        let began = Instant::now();
        if self.settle_at.is_some_and(|at| at <= began) {
            self.settle_at = None;
            self.queue.extend(self.unsettled.keys().cloned());
        }
        if self.pass.is_none() && self.next_pass.is_some_and(|at| at <= began) {
            library.served.begin_pass();
            self.pass = Some(Pass { at: 0, stage: Stage::Open, busy: Duration::ZERO });
        }
        let Some(mut pass) = self.pass.take() else { return };
        let over = match pass.stage {
            Stage::Open => self.open(&mut pass, library),
            Stage::Walk { .. } => self.walk(&mut pass, hashed, library),
            Stage::Sweep { from } => self.sweep(&mut pass, from, library),
        };
        pass.busy += began.elapsed();
        if over {
            pass.at += 1;
            pass.stage = Stage::Open;
        }
        if pass.at < self.roots.len() {
            self.pass = Some(pass);
        } else {
            let rest = pass.busy.saturating_mul(REST_FACTOR).min(REST_MAX).max(self.interval);
            let rest = if std::mem::take(&mut self.again) { Duration::ZERO } else { rest };
            self.next_pass = Some(Instant::now() + rest);
            log::debug!("looked at the shared folders, in {:?}", pass.busy);
        }
    }

    /// The next file to hash, open, if it is quiet and not served as it is.
    pub(crate) fn next_file(&mut self, library: &mut Library) -> Option<(Place, File, Stamp)> {
        let place = self.queue.pop_first()?;
        match library.served.open_at(&place) {
            Ok((file, look)) => {
                let served = library.served.see(&place, &look.stamp, &mut Vec::new());
                let quiet = served || self.is_quiet(&place, &look.stamp, library.fs.now_ns());
                if served || quiet {
                    self.unsettled.remove(&place);
                }
                (!served && quiet).then_some((place, file, look.stamp))
            }
            Err(errno) => {
                let was_awaited = self.unsettled.remove(&place).is_some();
                let is_gone = matches!(errno, Errno::NOENT | Errno::NOTDIR);
                if is_gone && was_awaited && !library.served.is_watched(&place) {
                    let why = "it was removed before it could be shared".to_owned();
                    library.skipped(library.served.path(&place), why);
                }
                if !is_gone {
                    let stamp = None;
                    self.leave_out(place, stamp, Why::Errno(errno), library);
                }
                None
            }
        }
    }

    /// A file changed while it was hashed: it is looked at again when it is quiet.
    pub(crate) fn unsettle(&mut self, place: Place, stamp: Stamp, now_ns: i64) {
        if self.unsettled.len() < UNSETTLED_MAX {
            self.unsettled.insert(place, Unsettled { stamp, since_ns: now_ns });
            self.settle_at.get_or_insert_with(|| Instant::now() + SETTLE_INTERVAL);
        }
    }

    /// Whether a file that is not watched was written to a moment ago. Then it is looked at again until it is quiet, and that
    /// is told.
    pub(crate) fn awaits(&mut self, place: &Place, stamp: &Stamp, library: &mut Library) -> bool {
        // What was moved or given other rights is not written to: only what changes its bytes changes this time.
        let quiet_ns = i64::try_from(self.quiet.as_nanos()).unwrap_or(i64::MAX);
        let was_told = self.unsettled.contains_key(place);
        // What could not be remembered would never be shared.
        let is_full = self.unsettled.len() >= UNSETTLED_MAX && !was_told;
        let now_ns = library.fs.now_ns();
        if is_full || now_ns.saturating_sub(stamp.mtime_ns) >= quiet_ns {
            return false;
        }
        self.unsettle(place.clone(), *stamp, now_ns);
        if !was_told {
            library.tell(ShareEvent::Unsettled { name: name_of(place, None) });
        }
        true
    }

    /// Something is not shared: told once, and not tried again while it looks like this.
    pub(crate) fn leave_out(&mut self, place: Place, stamp: Option<Stamp>, why: Why, library: &mut Library) {
        if !why.is_passing() {
            self.leave_out_for(place, stamp, why.spoken(), library);
        }
    }

    /// The same, for a reason in a sentence.
    pub(crate) fn leave_out_for(
        &mut self,
        place: Place,
        stamp: Option<Stamp>,
        why: String,
        library: &mut Library,
    ) {
        if self.left_out.get(&place) != Some(&stamp)
            && (self.left_out.len() < LEFT_OUT_MAX || self.left_out.contains_key(&place))
        {
            library.skipped(library.served.path(&place), why);
            self.left_out.insert(place, stamp);
        }
    }

    /// Opens the next root, or finds that it is away.
    fn open(&mut self, pass: &mut Pass, library: &mut Library) -> bool {
        let Some(root) = self.roots.get_mut(pass.at) else { return true };
        let opened = library.fs.open_folder(&root.path).map(Arc::new).and_then(|folder| {
            let walk = Walk::new(root.number, Arc::clone(&folder), &library.fs)?;
            Ok((folder, walk))
        });
        match opened {
            Ok((folder, walk)) => {
                self.moved |= library.served.set_folder(root.number, Some(folder));
                if !std::mem::replace(&mut root.there, true) {
                    library.tell(ShareEvent::Folder { path: root.path.clone(), away: None });
                }
                pass.stage = Stage::Walk { walk: Box::new(walk), whole: true };
            }
            Err(errno) if Why::Errno(errno).is_passing() => return true,
            Err(errno) => self.lose(pass, errno, library),
        }
        false
    }

    /// A root cannot be read: all below it is gone until it is back.
    fn lose(&mut self, pass: &mut Pass, errno: Errno, library: &mut Library) {
        let Some(root) = self.roots.get_mut(pass.at) else { return };
        self.moved |= library.served.set_folder(root.number, None);
        if std::mem::replace(&mut root.there, false) {
            let away = Some(crate::store::fault::spoken(errno));
            library.tell(ShareEvent::Folder { path: root.path.clone(), away });
        }
        pass.stage = Stage::Sweep { from: 0 };
    }

    fn walk(&mut self, pass: &mut Pass, hashed: Option<&Place>, library: &mut Library) -> bool {
        let Stage::Walk { walk, whole } = &mut pass.stage else { return true };
        for _ in 0..SLICE_ENTRIES {
            match walk.next(&library.fs) {
                Step::Onward | Step::Folder(_) => {}
                Step::File(path) => *whole &= self.see(walk, path, hashed, library),
                Step::LeftOut(path, why) => {
                    *whole &= !why.is_passing();
                    let stamp = walk.look(&path, &library.fs).ok().map(|look| look.stamp);
                    self.leave_out(walk.place(path), stamp, why, library);
                }
                Step::Unreadable(path, Errno::NOENT) if !path.as_os_str().is_empty() => {}
                Step::Unreadable(path, errno) => {
                    *whole &= !Why::Errno(errno).is_passing();
                    if path.as_os_str().is_empty() && *whole {
                        self.lose(pass, errno, library);
                        return false;
                    }
                    self.leave_out(walk.place(path), None, Why::Errno(errno), library);
                }
                Step::Over if *whole => {
                    pass.stage = Stage::Sweep { from: 0 };
                    return false;
                }
                Step::Over => return true,
            }
        }
        false
    }

    /// A file is there: is it what is served, or is it to be hashed? False when that cannot be told for the moment.
    fn see(&mut self, walk: &Walk, path: PathBuf, hashed: Option<&Place>, library: &mut Library) -> bool {
        let looked = look(walk, &path, library);
        let place = walk.place(path);
        let stamp = match looked {
            Ok(stamp) => stamp,
            Err(Why::Errno(Errno::NOENT)) => return true,
            Err(why) => {
                self.leave_out(place, None, why, library);
                return !why.is_passing();
            }
        };
        let mut changed = Vec::new();
        let same = library.served.see(&place, &stamp, &mut changed);
        changed.into_iter().for_each(|at| library.withdraw(at, SpanFault::Changed));
        let known = same || hashed == Some(&place) || self.left_out.get(&place) == Some(&Some(stamp));
        if !known && self.is_quiet(&place, &stamp, library.fs.now_ns()) {
            self.queue.insert(place);
        }
        true
    }

    /// Whether a file has looked like this for a while. One that has not is looked at again soon.
    fn is_quiet(&mut self, place: &Place, stamp: &Stamp, now_ns: i64) -> bool {
        let quiet_ns = i64::try_from(self.quiet.as_nanos()).unwrap_or(i64::MAX);
        // Clocks of other machines may be ahead; then what counts is how long it was seen to be so here.
        if now_ns.saturating_sub(stamp.mtime_ns.max(stamp.ctime_ns)) >= quiet_ns {
            return true;
        }
        match self.unsettled.get(place) {
            Some(seen) if seen.stamp == *stamp => {
                self.settle_at.get_or_insert_with(|| Instant::now() + SETTLE_INTERVAL);
                now_ns.saturating_sub(seen.since_ns).saturating_abs() >= quiet_ns
            }
            _ => {
                self.unsettle(place.clone(), *stamp, now_ns);
                false
            }
        }
    }

    /// Withdraws some of what was not seen.
    fn sweep(&mut self, pass: &mut Pass, from: u32, library: &mut Library) -> bool {
        let Some(root) = self.roots.get(pass.at) else { return true };
        let (gone, next) = library.served.unseen(root.number, from, SLICE_MARKS);
        gone.into_iter().for_each(|at| library.withdraw(at, SpanFault::Gone));
        match next {
            Some(from) => pass.stage = Stage::Sweep { from },
            None => return true,
        }
        false
    }
}

fn look(walk: &Walk, path: &Path, library: &Library) -> Result<Stamp, Why> {
    let looked: FsResult<_> = walk.look(path, &library.fs);
    match looked {
        Ok(look) if look.kind == FileType::RegularFile => Ok(look.stamp),
        Ok(look) => Err(Why::Kind(look.kind)),
        Err(errno) => Err(Why::Errno(errno)),
    }
}
