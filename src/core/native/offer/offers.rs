//! Offers of files, sent and received: which are open, and how far each has come.
//!
//! This module owns their numbers and states, and knows a connection only by its id. `sending.rs` and `receiving.rs` decide what
//! is said and fetched.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::core::io::{ConnId, PeerRef, Recipient};
use crate::types::{ContentId, PeerId, Time};

/// When the LAN is asked who is there, after a recipient was first looked for.
const QUERIES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(1)];
/// When the LAN is asked who else fetches what was accepted, after its first chunk could be asked for: all who accepted
/// at once are to know each other long before the sender has given each of them everything.
const SWARM_QUERIES: [Duration; 4] = [
    Duration::from_millis(50),
    Duration::from_millis(310),
    Duration::from_millis(600),
    Duration::from_secs(2),
];

/// An offer that this peer sends.
#[derive(Debug)]
pub(crate) struct SentOffer {
    pub(crate) content: ContentId,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) to: Recipient,
    pub(crate) stage: Stage,
    /// The peer that it was last sent to.
    pub(crate) peer: Option<PeerRef>,
}

/// How far an offer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The recipient is looked for.
    Seeking {
        /// Since when.
        since: Time,
        /// How long at most.
        until: Time,
        /// How often the LAN was asked.
        asked: usize,
        /// When a name that was heard counts as heard from everybody who has it.
        settles: Option<Time>,
    },
    /// It is with its recipient, under this number.
    Asked { conn: ConnId, number: u32 },
    /// Its recipient fetches it.
    Accepted { conn: ConnId, number: u32 },
}

/// An offer that this peer received.
#[derive(Debug)]
pub(crate) struct ReceivedOffer {
    /// Where it came from; `None`: that connection is over.
    pub(crate) conn: Option<ConnId>,
    /// The sender's number.
    pub(crate) theirs: u32,
    pub(crate) content: ContentId,
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) accepted: bool,
}

/// All offers, sent and received.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    /// Whether this peer receives offers at all.
    pub(crate) receives: bool,
    pub(crate) sent: BTreeMap<u32, SentOffer>,
    /// Who answered at the addresses of recipients; each may be known, and connected, at another of its own.
    pub(crate) met: BTreeMap<SocketAddr, PeerId>,
    pub(crate) received: BTreeMap<u32, ReceivedOffer>,
    /// Contents whose other receivers are looked for: since when, and how often they were.
    swarms: BTreeMap<ContentId, (Time, usize)>,
    next_number: u32,
    next_offer: u32,
}

impl Stage {
    /// Looks for a recipient from now on.
    pub(crate) fn seeking(now: Time, wait: Duration) -> Stage {
        Stage::Seeking { since: now, until: now + wait, asked: 0, settles: None }
    }

    /// The connection that it is on.
    pub(crate) fn conn(&self) -> Option<ConnId> {
        match self {
            Stage::Seeking { .. } => None,
            Stage::Asked { conn, .. } | Stage::Accepted { conn, .. } => Some(*conn),
        }
    }

    /// Whether the LAN is to be asked who is there now; counts.
    pub(crate) fn take_request(&mut self, now: Time) -> bool {
        let Stage::Seeking { since, asked, .. } = self else { return false };
        let due = QUERIES.get(*asked).is_some_and(|after| *since + *after <= now);
        *asked = asked.saturating_add(usize::from(due));
        due
    }

    /// When something is to be done about it without cause from outside.
    fn deadline(&self) -> Option<Time> {
        let Stage::Seeking { since, until, asked, settles } = self else { return None };
        let ask = QUERIES.get(*asked).map(|after| *since + *after);
        [Some(*until), ask, *settles].into_iter().flatten().min()
    }
}

impl Offers {
    /// Adds an offer to send. False when its ticket is taken.
    pub(crate) fn add(&mut self, ticket: u32, sent: SentOffer) -> bool {
        let free = !self.sent.contains_key(&ticket);
        if free {
            self.sent.insert(ticket, sent);
        }
        free
    }

    /// Whether an offer of ours is for whoever listens at this address.
    pub(crate) fn is_for(&self, addr: &SocketAddr) -> bool {
        self.sent.values().any(|sent| sent.to == Recipient::At(*addr))
    }

    /// Who was dialled at an address has said who it is.
    pub(crate) fn meet(&mut self, addr: SocketAddr, peer: PeerId) {
        if self.is_for(&addr) {
            self.met.insert(addr, peer);
        }
    }

    /// Our offers whose recipients are looked for.
    pub(crate) fn seeking(&self) -> Vec<u32> {
        let seeking = |sent: &SentOffer| matches!(sent.stage, Stage::Seeking { .. });
        self.sent.iter().filter(|(_, sent)| seeking(sent)).map(|(ticket, _)| *ticket).collect()
    }

    /// Our offers on a connection.
    pub(crate) fn on(&self, conn: ConnId) -> Vec<u32> {
        let on = |sent: &SentOffer| sent.stage.conn() == Some(conn);
        self.sent.iter().filter(|(_, sent)| on(sent)).map(|(ticket, _)| *ticket).collect()
    }

    /// Our offers of a content.
    pub(crate) fn of(&self, content: &ContentId) -> Vec<u32> {
        self.sent.iter().filter(|(_, sent)| sent.content == *content).map(|(ticket, _)| *ticket).collect()
    }

    /// The offer of ours that has this number on a connection.
    pub(crate) fn numbered(&self, conn: ConnId, number: u32) -> Option<u32> {
        let is = |stage: &Stage| match stage {
            Stage::Seeking { .. } => false,
            Stage::Asked { conn: on, number: of } | Stage::Accepted { conn: on, number: of } => {
                (*on, *of) == (conn, number)
            }
        };
        self.sent.iter().find(|(_, sent)| is(&sent.stage)).map(|(ticket, _)| *ticket)
    }

    /// A number for another offer of ours.
    pub(crate) fn number(&mut self) -> u32 {
        self.next_number = self.next_number.wrapping_add(1);
        self.next_number
    }

    /// Keeps a received offer; returns our number for it.
    pub(crate) fn keep(&mut self, received: ReceivedOffer) -> u32 {
        self.next_offer = self.next_offer.wrapping_add(1);
        self.received.insert(self.next_offer, received);
        self.next_offer
    }

    /// The offers received on a connection, with our numbers.
    pub(crate) fn received_on(&self, conn: ConnId) -> impl Iterator<Item = (u32, &ReceivedOffer)> {
        let on = self.received.iter().filter(move |(_, received)| received.conn == Some(conn));
        on.map(|(offer, received)| (*offer, received))
    }

    /// The offers of a content that were accepted.
    pub(crate) fn accepted(&self, content: &ContentId) -> impl Iterator<Item = (u32, &ReceivedOffer)> {
        let of = self
            .received
            .iter()
            .filter(move |(_, received)| received.accepted && received.content == *content);
        of.map(|(offer, received)| (*offer, received))
    }

    /// What was accepted can be fetched now: from here on others who fetch it are looked for.
    pub(crate) fn begin_swarm(&mut self, now: Time, content: ContentId) {
        if self.accepted(&content).next().is_some() {
            self.swarms.insert(content, (now, 0));
        }
    }

    /// Nobody else who fetches a content is looked for any more.
    pub(crate) fn end_swarm(&mut self, content: &ContentId) {
        self.swarms.remove(content);
    }

    /// The contents whose other receivers are to be asked for now; counts.
    pub(crate) fn take_swarm_queries(&mut self, now: Time) -> Vec<ContentId> {
        let mut due = Vec::new();
        for (content, (since, asked)) in &mut self.swarms {
            if SWARM_QUERIES.get(*asked).is_some_and(|after| *since + *after <= now) {
                *asked = asked.saturating_add(1);
                due.push(*content);
            }
        }
        self.swarms.retain(|_, (_, asked)| *asked < SWARM_QUERIES.len());
        due
    }

    /// When something is to be done without cause from outside.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let seeking = self.sent.values().filter_map(|sent| sent.stage.deadline()).min();
        let swarms = self.swarms.values();
        let asks = swarms.filter_map(|(since, asked)| Some(*since + *SWARM_QUERIES.get(*asked)?)).min();
        [seeking, asks].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: ContentId = ContentId([1; 32]);
    const CONN: ConnId = ConnId { slot: 3, generation: 0 };

    fn sent(stage: Stage) -> SentOffer {
        let to = Recipient::Called("lab".into());
        SentOffer { content: CONTENT, name: "a".into(), size: 1, to, stage, peer: None }
    }

    #[test]
    fn a_recipient_is_asked_for_three_times_and_looked_for_until_its_end() {
        let mut stage = Stage::seeking(Time::ZERO, Duration::from_secs(3));
        let mut asked = Vec::new();
        for ms in [0, 0, 249, 250, 1_000, 2_000] {
            asked.push(stage.take_request(Time::from_millis(ms)));
        }
        assert_eq!(asked, [true, false, false, true, true, false]);
        assert_eq!(stage.deadline(), Some(Time::from_millis(3_000)));
    }

    #[test]
    fn offers_are_found_by_connection_number_and_content() {
        let mut offers = Offers::default();
        assert!(offers.add(7, sent(Stage::Asked { conn: CONN, number: 1 })));
        assert!(!offers.add(7, sent(Stage::Asked { conn: CONN, number: 2 })));
        assert!(offers.add(8, sent(Stage::seeking(Time::ZERO, Duration::from_secs(1)))));
        assert_eq!((offers.numbered(CONN, 1), offers.numbered(CONN, 2)), (Some(7), None));
        assert_eq!((offers.on(CONN), offers.seeking(), offers.of(&CONTENT)), (vec![7], vec![8], vec![7, 8]));
        assert_eq!(offers.deadline(), Some(Time::ZERO));
    }

    #[test]
    fn who_answers_at_an_address_is_remembered_for_recipients_alone() {
        let (mut offers, peer) = (Offers::default(), PeerId([4; 16]));
        let at = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let stage = Stage::seeking(Time::ZERO, Duration::from_secs(1));
        offers.add(1, SentOffer { to: Recipient::At(at(1)), ..sent(stage) });
        offers.meet(at(1), peer);
        offers.meet(at(2), peer);
        assert_eq!((offers.met.get(&at(1)), offers.met.get(&at(2))), (Some(&peer), None));
    }

    #[test]
    fn others_are_asked_for_only_of_what_was_accepted() {
        let mut offers = Offers::default();
        offers.begin_swarm(Time::ZERO, CONTENT);
        assert_eq!(offers.deadline(), None);
        let received = ReceivedOffer {
            conn: Some(CONN),
            theirs: 1,
            content: CONTENT,
            name: "a".into(),
            size: 1,
            accepted: true,
        };
        offers.keep(received);
        offers.begin_swarm(Time::ZERO, CONTENT);
        let mut asks = 0;
        while let Some(at) = offers.deadline() {
            asks += offers.take_swarm_queries(at).len();
        }
        assert_eq!(asks, SWARM_QUERIES.len());
    }
}
