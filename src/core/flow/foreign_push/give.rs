//! Pushing a shared file to a receiver of the field.

use std::net::SocketAddr;

use crate::core::connection::Transport;
use crate::core::door::{ConnId, Event, ForeignEvent, ForeignFailure, Output};
use crate::core::peer::Peer;
use crate::core::push::conversation::Conversation;
use crate::core::push::giving::{Giving, Turn};
use crate::core::timers::Timer;
use crate::types::id::ContentId;
use crate::types::time::Time;
use crate::wire::push::Outgoing;

impl Peer {
    /// A file is to be pushed; its size is known here.
    pub(in crate::core) fn on_send_foreign(
        &mut self,
        now: Time,
        ticket: u32,
        to: SocketAddr,
        content: ContentId,
        file: Outgoing,
    ) {
        let form = file.form;
        match self.script(content, file) {
            Ok((size, steps)) => {
                let mut giving = Giving::new(ticket, content, size, steps, form.is_acknowledged(), now);
                let again = self.dialer.again(now, &to);
                if let Some(again) = again {
                    giving.wait_until(again);
                }
                let conn = self
                    .connections
                    .insert_transfer(Conversation::giving(Transport::dialled(to), giving), now);
                if again.is_none() {
                    self.output(Output::Dial { conn, to });
                }
                self.time_push(now, conn);
            }
            Err(reason) => self.event(Event::Foreign(ForeignEvent::SendFailed { ticket, to, reason })),
        }
    }

    fn script(
        &self,
        content: ContentId,
        file: Outgoing,
    ) -> Result<(u64, Vec<crate::wire::push::Step>), ForeignFailure> {
        if self.leaving.is_some() || self.connections.len() >= self.config.limits.connections_max {
            return Err(ForeignFailure::Cancelled);
        }
        let whole = self.catalogue.get(&content).filter(|holding| holding.is_complete());
        let size = whole.ok_or(ForeignFailure::NotShared)?.geometry.size_bytes();
        let steps = Outgoing { size, ..file }.steps().map_err(ForeignFailure::Form)?;
        Ok((size, steps))
    }

    pub(super) fn on_giving_connected(&mut self, now: Time, conn: ConnId) {
        if let Some(giving) = self.connections.transfer_mut(conn).and_then(Conversation::as_giving) {
            giving.connected(now);
            self.rouse(conn);
        }
    }

    pub(super) fn turn_giving(&mut self, now: Time, conn: ConnId, turn: Turn) {
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        let to = push.transport.addr;
        let Some(giving) = push.as_giving() else { return };
        let (ticket, size) = (giving.ticket, giving.size);
        match turn {
            Turn::Nothing => {}
            Turn::Dial => self.output(Output::Dial { conn, to }),
            Turn::Wake => self.rouse(conn),
            Turn::Begun => {
                self.event(Event::Foreign(ForeignEvent::SendBegun { ticket }));
                self.rouse(conn);
            }
            Turn::Moved(bytes) => {
                self.event(Event::Foreign(ForeignEvent::SendProgress { ticket, bytes, of: size }))
            }
            Turn::Done => {
                let (took, acknowledged) = (now.since(giving.began), giving.acknowledged);
                self.dialer.succeeded(&to);
                let sent = ForeignEvent::Sent { ticket, to, bytes: size, took, acknowledged };
                self.event(Event::Foreign(sent));
                self.end_foreign_push(conn);
            }
            Turn::Failed(reason) => {
                self.note_receiver_failed(now, to);
                self.fail_giving(conn, reason);
            }
        }
    }

    /// The next file is sent to a receiver that failed after a wait.
    pub(super) fn note_receiver_failed(&mut self, now: Time, to: SocketAddr) {
        self.dialer.failed_at_most(now, to, self.config.limits.push_redial_wait_max);
    }

    pub(super) fn fail_giving(&mut self, conn: ConnId, reason: ForeignFailure) {
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        let to = push.transport.addr;
        let Some(giving) = push.as_giving() else { return };
        let (ticket, looks_whole) = (giving.ticket, giving.would_look_whole());
        let was_dialled = !giving.is_waiting();
        self.event(Event::Foreign(ForeignEvent::SendFailed { ticket, to, reason }));
        if !was_dialled {
            // The driver does not know of it.
            self.timers.clear(Timer::Connection(conn));
            return self.connections.remove(conn);
        }
        match looks_whole {
            true => self.abort_push(conn),
            false => self.end_foreign_push(conn),
        }
    }
}
