//! What always holds of queues and slots. For tests and simulation.

use super::Uploader;

impl Uploader {
    /// Panics when a connection that asks is in no line, or in two.
    pub(crate) fn check(&self) {
        self.line.check();
        let waiting = self.requesters.values().filter(|requester| requester.waits.is_some()).count();
        assert_eq!(waiting, self.line.len(), "who waits stands in line");
        for (conn, requester) in &self.requesters {
            let (waits, active) = (requester.waits.is_some(), self.active.contains_key(conn));
            assert!(!(waits && active), "{conn} waits for what it has");
            assert!(requester.queue.is_empty() || waits || active, "{conn} is forgotten");
            let named = requester.waits.map(|(content, _)| content);
            assert!(
                !waits || named == requester.queue.front().map(|queued| queued.request.content),
                "{conn} waits elsewhere"
            );
        }
        for (conn, active) in &self.active {
            assert!(active.begun || self.queued(*conn) > 0, "{conn} has a slot for nothing");
        }
    }
}
