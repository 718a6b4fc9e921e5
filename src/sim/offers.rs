//! Files that hosts send to each other: the sender's command, and the answer of whoever sits at the receiver.

use std::time::Duration;

use crate::core::{Command, Decision, Event, Input, OfferEvent, Recipient};
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::simulation::Simulation;
use crate::wire::message::Answer;

/// How long a recipient is looked for.
const WAIT: Duration = Duration::from_secs(3);
/// How long an answer takes.
const ANSWER_TAKES: Duration = Duration::from_millis(100);
/// How long a download that was accepted waits for holders.
const STALL: Duration = Duration::from_secs(600);
/// The ticket of what was accepted; no get has it.
const TICKET: u32 = u32::MAX - 1;

impl Simulation {
    /// A host sends a content that it shares. The ticket is the number of the action.
    pub(super) fn send_content(&mut self, from: usize, content: usize, to: usize, number: usize) {
        let content = &self.library.contents[content];
        let (content, name) = (content.id, content.name.clone());
        let to = Recipient::Called(format!("host-{to}"));
        let command = Command::Offer { ticket: index(number), content, name, to, wait: WAIT };
        self.tell(from, Input::Command(command));
    }

    /// Whoever sits at a host is asked whether it takes an offer.
    pub(super) fn note_offer(&mut self, host: usize, event: &Event) {
        if let Event::Offer(OfferEvent::Came { offer, .. }) = event {
            let incarnation = self.hosts[host].incarnation;
            let answer = Happening::Answer { host: index(host), incarnation, offer: *offer };
            self.queue.push(self.now + ANSWER_TAKES, answer);
        }
    }

    pub(super) fn answer_offer(&mut self, host: usize, offer: u32) {
        let decision = match self.hosts[host].spec.receives {
            Some(true) => Decision::Accept,
            _ => Decision::Decline(Answer::Declined),
        };
        let command = Command::Answer { offer, decision, ticket: TICKET, stall: STALL };
        self.tell(host, Input::Command(command));
    }
}
