//! Carries out what the core says, and brings it what the store answers.

use crate::core::{Event, Input, Output, StoreReply};
use crate::shell::config::ShellEvent;
use crate::shell::reactor::Reactor;
use crate::shell::writing::why_broken;
use crate::store::StoreEvent;

impl Reactor {
    /// Carries out everything that the last mutation of the core asks for, and what follows from that in turn.
    /// To be called after each mutation.
    pub(super) fn drain(&mut self) {
        loop {
            while let Some(output) = self.peer.poll() {
                self.carry_out(output);
            }
            // One mutation, then drain: so one of these at a time.
            if let Some((conn, why)) = self.failed_dials.pop_front() {
                let now = self.clock.now();
                self.peer.handle(now, Input::Broken { conn, why });
                continue;
            }
            match self.store.poll() {
                Some(StoreEvent::Reply(reply)) => self.answered(reply),
                Some(StoreEvent::Skipped { path, why }) => {
                    self.event_queue.push_back(ShellEvent::Skipped { path, why });
                }
                Some(StoreEvent::Unsettled { name }) => {
                    self.event_queue.push_back(ShellEvent::Unsettled { name });
                }
                Some(StoreEvent::Folder { path, away }) => {
                    self.event_queue.push_back(ShellEvent::Folder { path, away });
                }
                Some(StoreEvent::ScanDone { files, bytes }) => {
                    self.event_queue.push_back(ShellEvent::ScanDone { files, bytes });
                }
                None => return,
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Datagram { to, bytes } => {
                self.up.moved(bytes.len() as u64);
                self.discovery.send(to, &bytes)
            }
            Output::Dial { conn, to } => {
                if let Err(error) = self.links.dial(conn, to, self.bind) {
                    log::debug!("{conn}: cannot dial {to}: {error}");
                    self.failed_dials.push_back((conn, why_broken(&error)));
                }
            }
            Output::Wake(conn) => self.links.wake(conn),
            Output::Store(job) => self.store.submit(job, &mut self.buffers),
            Output::Release(buffer) => self.buffers.release(buffer),
            Output::Event(Event::Left) => self.leave(),
            Output::Event(event) => self.event_queue.push_back(ShellEvent::Core(event)),
        }
    }

    fn answered(&mut self, reply: StoreReply) {
        if let StoreReply::ChunkStored { buffer, .. }
        | StoreReply::WholeStored { buffer, .. }
        | StoreReply::ChunkBad { buffer, .. }
        | StoreReply::ChunkFailed { buffer, .. } = reply
        {
            // Before the core hears of it: it may give the number to another chunk at once.
            self.buffers.release(buffer);
        }
        let now = self.clock.now();
        self.peer.handle(now, Input::Stored(reply));
    }
}
