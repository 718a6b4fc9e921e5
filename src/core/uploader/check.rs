//! What always holds of queues and slots. For tests and simulation.

use super::Uploader;

impl Uploader {
    /// Panics when a connection that asks is in no line, or in two.
    pub(crate) fn check(&self) {
        self.line.check();
        let waiting = self.askers.values().filter(|asker| asker.waits.is_some()).count();
        assert_eq!(waiting, self.line.len(), "who waits stands in line");
        for (conn, asker) in &self.askers {
            let (waits, active) = (asker.waits.is_some(), self.active.contains_key(conn));
            assert!(!(waits && active), "{conn} waits for what it has");
            assert!(asker.queue.is_empty() || waits || active, "{conn} is forgotten");
            let named = asker.waits.map(|(content, _)| content);
            assert!(
                !waits || named == asker.queue.front().map(|queued| queued.ask.content),
                "{conn} waits elsewhere"
            );
        }
        for (conn, active) in &self.active {
            assert!(active.begun || self.queued(*conn) > 0, "{conn} has a slot for nothing");
        }
    }
}
