//! Which offers and transfers are accepted without a question, and which are declined.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cli::receive::incoming::{Incoming, Offer};
use crate::cli::transfer::receiving::Transfer;
use crate::types::name::local_file_name;
use crate::types::{ContentId, PeerId};
use crate::wire::message::Answer;

/// The room for what comes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    /// What fits on the disk, as far as it tells.
    pub(super) free_bytes: Option<u64>,
    /// What transfers have taken of the quota.
    pub(super) pushed_bytes: u64,
}

/// What is to become of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Ask,
    /// With the reason that people here read.
    Decline(Answer, &'static str),
}

/// What the flags and the answers of the user allow.
#[derive(Debug)]
pub(super) struct Policy {
    yes: bool,
    from: Vec<String>,
    quota: u64,
    once: bool,
    /// Peers that somebody said are always to be believed.
    always: BTreeSet<PeerId>,
    /// The same for other programs' senders, which have only an address.
    always_at: BTreeSet<IpAddr>,
    /// What was accepted in this run and did not fail: each content under each file name, with its size.
    taken: BTreeMap<(ContentId, String), u64>,
    /// The names of those that are under way.
    under_way: BTreeMap<ContentId, String>,
    /// Transfers that were accepted and did not fail. What they take of the quota is counted where their bytes are.
    transfers: BTreeSet<u32>,
}

impl Policy {
    pub(super) fn new(yes: bool, from: Vec<String>, quota: u64, once: bool) -> Policy {
        Policy {
            yes,
            from,
            quota,
            once,
            always: BTreeSet::new(),
            always_at: BTreeSet::new(),
            taken: BTreeMap::new(),
            under_way: BTreeMap::new(),
            transfers: BTreeSet::new(),
        }
    }

    /// What is to become of what came.
    pub(super) fn verdict(&self, incoming: &Incoming, room: Room, may_ask: bool) -> Verdict {
        if let Some((answer, why)) = self.refusal(incoming, room) {
            return Verdict::Decline(answer, why);
        }
        match (self.yes || self.believes(incoming), may_ask) {
            (true, _) => Verdict::Accept,
            (false, true) => Verdict::Ask,
            (false, false) => Verdict::Decline(
                Answer::Declined,
                "there is no terminal to ask at; --yes or --from PEER accepts",
            ),
        }
    }

    /// Why it cannot be accepted, whatever the user says. Of a transfer, the name, the quota and the disk are checked where its bytes
    /// are.
    pub(super) fn refusal(&self, incoming: &Incoming, room: Room) -> Option<(Answer, &'static str)> {
        if let Incoming::Offer(offer) = incoming {
            if local_file_name(&offer.name).is_none() {
                return Some((Answer::Name, "its name cannot be a file name"));
            }
            if self.was_taken(offer) {
                // It goes on from what is here, and was counted then.
                return None;
            }
        }
        if self.once && !(self.taken.is_empty() && self.transfers.is_empty()) {
            return Some((Answer::Busy, "--once takes one file"));
        }
        let Incoming::Offer(offer) = incoming else { return None };
        let taken = self.quota.saturating_sub(self.quota_for_transfers()).saturating_add(room.pushed_bytes);
        if taken.saturating_add(offer.size) > self.quota {
            return Some((Answer::Quota, "it is larger than what is left of --quota"));
        }
        if room.free_bytes.is_some_and(|free| offer.size > free) {
            return Some((Answer::NoSpace, "the disk has too little space"));
        }
        None
    }

    /// From now on everything from this sender is accepted, as long as both run.
    pub(super) fn always(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Offer(offer) => self.always.extend(offer.from.id),
            Incoming::Transfer(transfer) => self.always_at.extend([transfer.from.ip()]),
        }
    }

    /// It was accepted.
    pub(super) fn accepted(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Offer(offer) => {
                if let Some(name) = local_file_name(&offer.name) {
                    self.taken.insert((offer.content, name.clone()), offer.size);
                    self.under_way.insert(offer.content, name);
                }
            }
            Incoming::Transfer(transfer) => self.transfers.extend([transfer.number]),
        }
    }

    /// A transfer came to nothing. Whether it had been accepted.
    pub(super) fn transfer_failed(&mut self, transfer: u32) -> bool {
        self.transfers.remove(&transfer)
    }

    /// What offers leave of the quota, for transfers.
    pub(super) fn quota_for_transfers(&self) -> u64 {
        self.taken.values().fold(self.quota, |left, size| left.saturating_sub(*size))
    }

    /// What was accepted is here.
    pub(super) fn finished(&mut self, content: &ContentId) {
        self.under_way.remove(content);
    }

    /// What was accepted came to nothing, and gives its room back.
    pub(super) fn failed(&mut self, content: &ContentId) {
        if let Some(name) = self.under_way.remove(content) {
            self.taken.remove(&(*content, name));
        }
    }

    fn believes(&self, incoming: &Incoming) -> bool {
        match incoming {
            Incoming::Offer(offer) => {
                let from = &offer.from;
                from.id.is_some_and(|id| self.always.contains(&id))
                    || self.from.iter().any(|named| from.is_called(named))
                    || self.was_taken(offer)
            }
            Incoming::Transfer(transfer) => {
                self.always_at.contains(&transfer.from.ip())
                    || self.from.iter().any(|named| is_called(transfer, named))
            }
        }
    }

    /// Whether the same thing was accepted before. Under another name it would be another file.
    fn was_taken(&self, offer: &Offer) -> bool {
        let key = local_file_name(&offer.name).map(|name| (offer.content, name));
        key.is_some_and(|key| self.taken.get(&key) == Some(&offer.size))
    }
}

/// Whether the sender of a transfer is meant by a name or an address.
fn is_called(transfer: &Transfer, named: &str) -> bool {
    transfer.from.ip().to_string() == named || transfer.said.sender.as_deref() == Some(named)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::core::PeerRef;
    use crate::wire::transfer::{Announced, Form};

    fn incoming(content: u8, name: &str, size: u64) -> Incoming {
        let addr = "192.168.1.27:7117".parse().unwrap();
        let from = PeerRef { id: Some(PeerId([1; 16])), addr, user: "lab-7".into() };
        Incoming::Offer(Offer {
            number: 1,
            from,
            content: ContentId([content; 32]),
            name: name.into(),
            size,
            came: Instant::now(),
        })
    }

    fn transfer(number: u32, from: [u8; 4], sender: &str) -> Incoming {
        let (name, kind) = (Some("a.csv".to_owned()), None);
        let said = Announced { form: Form::Json, sender: Some(sender.to_owned()), name, kind, size: None };
        Incoming::Transfer(Transfer { number, from: (from, 9).into(), said })
    }

    fn free(bytes: u64) -> Room {
        Room { free_bytes: Some(bytes), pushed_bytes: 0 }
    }

    fn answer(verdict: Verdict) -> Option<Answer> {
        match verdict {
            Verdict::Decline(answer, _) => Some(answer),
            Verdict::Accept => Some(Answer::Accepted),
            Verdict::Ask => None,
        }
    }

    #[test]
    fn whoever_is_named_is_believed_and_others_are_asked_about() {
        let policy = |yes, from: &[&str]| {
            Policy::new(yes, from.iter().map(|text| (*text).to_owned()).collect(), 1 << 30, false)
        };
        let offer = incoming(1, "a.txt", 5);
        for named in [&["lab-7"][..], &["x", "192.168.1.27"], &["lab-7#0101"]] {
            assert_eq!(
                policy(false, named).verdict(&offer, Room::default(), true),
                Verdict::Accept,
                "{named:?}"
            );
        }
        assert_eq!(policy(true, &[]).verdict(&offer, Room::default(), false), Verdict::Accept);
        assert_eq!(policy(false, &["lab-8"]).verdict(&offer, Room::default(), true), Verdict::Ask);
        assert_eq!(
            answer(policy(false, &["lab-8"]).verdict(&offer, Room::default(), false)),
            Some(Answer::Declined)
        );
        let mut policy = policy(false, &[]);
        policy.always(&offer);
        assert_eq!(policy.verdict(&offer, Room::default(), true), Verdict::Accept);
    }

    #[test]
    fn the_quota_counts_what_was_accepted_once_and_gives_back_what_failed() {
        let mut policy = Policy::new(true, Vec::new(), 100, false);
        let (first, second) = (incoming(1, "a", 60), incoming(2, "b", 60));
        assert_eq!(policy.verdict(&first, Room::default(), false), Verdict::Accept);
        policy.accepted(&first);
        assert_eq!(policy.verdict(&first, free(0), false), Verdict::Accept);
        assert_eq!(answer(policy.verdict(&second, Room::default(), false)), Some(Answer::Quota));
        // A second copy is another file.
        assert_eq!(
            answer(policy.verdict(&incoming(1, "c", 60), Room::default(), false)),
            Some(Answer::Quota)
        );
        policy.failed(&ContentId([1; 32]));
        assert_eq!(policy.verdict(&second, Room::default(), false), Verdict::Accept);
        assert_eq!(
            answer(policy.verdict(&incoming(3, "c", u64::MAX), Room::default(), false)),
            Some(Answer::Quota)
        );
        assert_eq!(answer(policy.verdict(&second, free(59), false)), Some(Answer::NoSpace));
        policy.accepted(&second);
        policy.finished(&ContentId([2; 32]));
        policy.failed(&ContentId([2; 32]));
        assert_eq!(answer(policy.verdict(&first, Room::default(), false)), Some(Answer::Quota));
    }

    #[test]
    fn names_that_make_no_file_name_and_a_second_file_of_one() {
        let mut policy = Policy::new(true, Vec::new(), 100, true);
        for name in ["..", "a/", "\u{202e}", "  "] {
            assert_eq!(
                answer(policy.verdict(&incoming(1, name, 1), Room::default(), true)),
                Some(Answer::Name),
                "{name}"
            );
        }
        policy.accepted(&incoming(1, "a", 1));
        assert_eq!(answer(policy.verdict(&incoming(2, "b", 1), Room::default(), true)), Some(Answer::Busy));
    }

    #[test]
    fn pushes_are_believed_by_name_and_address_and_count_as_files() {
        let from = |text: &str| Policy::new(false, vec![text.to_owned()], 100, true);
        let one = transfer(1, [10, 0, 0, 2], "alice");
        for named in ["alice", "10.0.0.2"] {
            assert_eq!(from(named).verdict(&one, Room::default(), false), Verdict::Accept, "{named}");
        }
        let mut policy = from("bob");
        assert_eq!(answer(policy.verdict(&one, Room::default(), false)), Some(Answer::Declined));
        assert_eq!(policy.verdict(&one, Room::default(), true), Verdict::Ask);
        policy.always(&one);
        // Its address was meant, whatever it calls itself.
        assert_eq!(
            policy.verdict(&transfer(2, [10, 0, 0, 2], "eve"), Room::default(), true),
            Verdict::Accept
        );
        assert_eq!(policy.verdict(&transfer(2, [10, 0, 0, 3], "alice"), Room::default(), true), Verdict::Ask);
        policy.accepted(&one);
        assert_eq!(answer(policy.verdict(&incoming(1, "a", 1), Room::default(), true)), Some(Answer::Busy));
        assert!(policy.transfer_failed(1) && !policy.transfer_failed(1));
        assert_eq!(policy.verdict(&incoming(1, "a", 1), Room::default(), true), Verdict::Ask);
        policy.accepted(&incoming(1, "a", 1));
        assert_eq!(answer(policy.verdict(&one, Room::default(), true)), Some(Answer::Busy));
    }

    #[test]
    fn offers_and_pushes_share_one_quota() {
        let mut policy = Policy::new(true, Vec::new(), 100, false);
        let transferred = |bytes| Room { free_bytes: None, pushed_bytes: bytes };
        let offer = incoming(1, "a", 60);
        assert_eq!(policy.verdict(&offer, transferred(40), false), Verdict::Accept);
        assert_eq!(answer(policy.verdict(&offer, transferred(41), false)), Some(Answer::Quota));
        assert_eq!(policy.quota_for_transfers(), 100);
        policy.accepted(&offer);
        assert_eq!(policy.quota_for_transfers(), 40);
        policy.failed(&ContentId([1; 32]));
        assert_eq!(policy.quota_for_transfers(), 100);
    }
}
