//! Reading what other programs write while they write it: what cannot be understood does not count, and what was read
//! last stays.

use crate::store::classic::record_file::{Held, RecordFile};
use crate::store::fault;
use crate::store::fs::Stamp;
use crate::wire::classic::records::RecordError;

/// A file that was written so shortly before it was read may be written again under the same stamp.
const SETTLED_AFTER_NS: i64 = 2_000_000_000;

/// What a shared file said when it could last be read.
#[derive(Debug)]
pub(crate) struct LastGood<T> {
    decode: fn(&[u8]) -> Result<T, RecordError>,
    value: T,
    /// Nothing has to be read again while the file has this stamp.
    settled: Option<Stamp>,
    /// The value came from a text that was not empty.
    had_text: bool,
    /// The file had nothing in it at the last look: perhaps somebody has truncated it and is about to write.
    emptied: Option<Stamp>,
}

impl<T: Default> LastGood<T> {
    /// Nothing was read yet.
    pub(crate) fn new(decode: fn(&[u8]) -> Result<T, RecordError>) -> LastGood<T> {
        LastGood { decode, value: T::default(), settled: None, had_text: false, emptied: None }
    }

    /// What was read last.
    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    /// Whether what was read last came from a text that was not empty.
    pub(crate) fn had_text(&self) -> bool {
        self.had_text
    }

    /// What the file says now, or else what it said last.
    pub(crate) fn read(&mut self, file: &mut RecordFile) -> &T {
        if self.settled.is_some() && file.stamp() == self.settled {
            return &self.value;
        }
        match file.read() {
            Ok(Held::Nothing) => self.take(T::default(), None),
            Ok(Held::Text(text, stamp)) => self.understand(&text, stamp, file),
            Ok(Held::Foreign) => {
                file.warn("no file that could be read; it counts as empty until it is moved")
            }
            Err(errno) => file.warn(&format!("cannot be read now: {}", fault::spoken(errno))),
        }
        &self.value
    }

    /// What it says is known, because it was written here.
    pub(crate) fn wrote(&mut self, value: T) {
        self.take(value, None);
        self.had_text = true;
    }

    fn understand(&mut self, text: &[u8], stamp: Stamp, file: &mut RecordFile) {
        let is_empty = text.trim_ascii().is_empty();
        if is_empty && self.had_text && self.emptied != Some(stamp) {
            self.emptied = Some(stamp);
            return;
        }
        match (self.decode)(text) {
            Ok(value) => {
                let settled = file.now_ns().saturating_sub(stamp.mtime_ns) > SETTLED_AFTER_NS;
                self.take(value, settled.then_some(stamp));
                self.had_text = !is_empty;
                file.is_well();
            }
            Err(error) => file.warn(&format!("{error}; what it said before counts until it can be read")),
        }
    }

    fn take(&mut self, value: T, settled: Option<Stamp>) {
        self.value = value;
        self.settled = settled;
        self.had_text = false;
        self.emptied = None;
    }
}
