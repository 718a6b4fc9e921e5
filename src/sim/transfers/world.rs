//! Hosts that send to each other in the forms of other programs: the sender's command, the answer of whoever sits at the
//! receiver, and what the driver does with a spool's bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::{Command, Input, TransferEvent};
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::simulation::Simulation;
use crate::sim::transfers::TransferOutcome;
use crate::wire::transfer::Form;

impl Simulation {
    /// A host sends a content that it shares. The ticket is the number of the action.
    pub(in crate::sim) fn transfer_content(
        &mut self,
        from: usize,
        content: usize,
        to: usize,
        form: Form,
        number: usize,
    ) {
        if self.hosts[from].peer.is_none() {
            return;
        }
        let (ticket, shared) = (index(number), &self.library.contents[content]);
        let (id, name) = (shared.id, shared.name.clone());
        let to_addr = SocketAddr::new(self.hosts[to].ip, form.port());
        self.transfers.begun(ticket, from, to, content, form);
        // Somebody typed the address.
        self.oracle.heard(from, to_addr.ip());
        let sender = format!("host-{from}");
        let command = Command::SendTransfer { ticket, to: to_addr, form, content: id, name, sender };
        self.tell(from, Input::Command(command));
    }

    /// A peer tells something of transfers.
    pub(in crate::sim) fn note_transfer(&mut self, host: usize, event: &TransferEvent) {
        if let TransferEvent::Came { transfer, .. } = event
            && let Some(takes) = &self.hosts[host].spec.takes
        {
            let incarnation = self.hosts[host].incarnation;
            let answer = Happening::TransferAnswer { host: index(host), incarnation, transfer: *transfer };
            self.queue.push(self.now + takes.answer_takes, answer);
        }
        if let Err(what) = self.transfers.event(self.now, host, event, &self.hosts, &self.library) {
            self.oracle.fail(format!("host {host} {what}"));
        }
    }

    /// Whoever sits at a host says whether a transfer may come.
    pub(in crate::sim) fn answer_transfer(&mut self, host: usize, transfer: u32) {
        let accept = self.hosts[host].spec.takes.as_ref().is_some_and(|takes| takes.accepts);
        self.tell(host, Input::Command(Command::AnswerTransfer { transfer, accept }));
    }

    /// How a transfer ended, by the number of its action, if it did.
    pub fn transfer_outcome(&self, number: usize) -> Option<&TransferOutcome> {
        self.transfers.outcome(index(number))
    }

    /// Whether a transfer was begun, by the number of its action: its sender was running.
    pub fn is_begun(&self, number: usize) -> bool {
        self.transfers.is_begun(index(number))
    }

    /// What was sent to a host, by the names it stands under.
    pub fn transferred_files(&self, host: usize) -> Vec<(String, Arc<Vec<u8>>)> {
        self.hosts[host].disk.bytes.as_ref().map(|bytes| bytes.files()).unwrap_or_default()
    }

    /// Whether something that was sent to a host has no name yet.
    pub fn has_spools(&self, host: usize) -> bool {
        self.hosts[host].disk.bytes.as_ref().is_some_and(|bytes| bytes.is_busy())
    }
}
