//! Which offers are taken without a question, and which not at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::name::local_file_name;
use crate::core::{ContentId, PeerId, PeerRef};
use crate::wire::message::Answer;

/// An offer that came in.
#[derive(Debug, Clone)]
pub(super) struct Incoming {
    pub(super) offer: u32,
    pub(super) from: PeerRef,
    pub(super) content: ContentId,
    /// From the network.
    pub(super) name: String,
    /// As claimed.
    pub(super) size: u64,
}

/// What is to become of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Ask,
    /// With the reason that people here read.
    Decline(Answer, &'static str),
}

/// What the flags, and whoever was asked, allow.
#[derive(Debug)]
pub(super) struct Policy {
    yes: bool,
    from: Vec<String>,
    quota: u64,
    once: bool,
    /// Peers that somebody said are always to be believed.
    always: BTreeSet<PeerId>,
    /// What was accepted in this run and did not fail: each content under each file name, with its size.
    taken: BTreeMap<(ContentId, String), u64>,
    /// The names of those that are under way.
    under_way: BTreeMap<ContentId, String>,
}

impl Policy {
    pub(super) fn new(yes: bool, from: Vec<String>, quota: u64, once: bool) -> Policy {
        let (taken, under_way) = (BTreeMap::new(), BTreeMap::new());
        Policy { yes, from, quota, once, always: BTreeSet::new(), taken, under_way }
    }

    /// What is to become of an offer. `free_bytes` is what fits on the disk, as far as it tells.
    pub(super) fn verdict(&self, incoming: &Incoming, free_bytes: Option<u64>, may_ask: bool) -> Verdict {
        if let Some((answer, why)) = self.refusal(incoming, free_bytes) {
            return Verdict::Decline(answer, why);
        }
        let from = &incoming.from;
        let believed = self.yes
            || from.id.is_some_and(|id| self.always.contains(&id))
            || self.from.iter().any(|named| from.is_called(named))
            || self.was_taken(incoming);
        match (believed, may_ask) {
            (true, _) => Verdict::Accept,
            (false, true) => Verdict::Ask,
            (false, false) => {
                Verdict::Decline(Answer::Declined, "nobody is here to be asked; --yes or --from PEER accepts")
            }
        }
    }

    /// Why an offer cannot be taken, whoever wants it.
    pub(super) fn refusal(
        &self,
        incoming: &Incoming,
        free_bytes: Option<u64>,
    ) -> Option<(Answer, &'static str)> {
        if local_file_name(&incoming.name).is_none() {
            return Some((Answer::Name, "its name makes no file name"));
        }
        if self.was_taken(incoming) {
            // It goes on from what is here, and was counted then.
            return None;
        }
        if self.once && !self.taken.is_empty() {
            return Some((Answer::Busy, "--once takes one file"));
        }
        let taken = self.taken.values().fold(0u64, |sum, size| sum.saturating_add(*size));
        if taken.saturating_add(incoming.size) > self.quota {
            return Some((Answer::Quota, "it is more than --quota allows"));
        }
        if free_bytes.is_some_and(|free| incoming.size > free) {
            return Some((Answer::NoSpace, "there is not enough space on the disk"));
        }
        None
    }

    /// From now on everything from this peer is accepted, as long as both run.
    pub(super) fn always(&mut self, from: &PeerRef) {
        self.always.extend(from.id);
    }

    /// An offer was accepted.
    pub(super) fn accepted(&mut self, incoming: &Incoming) {
        if let Some(name) = local_file_name(&incoming.name) {
            self.taken.insert((incoming.content, name.clone()), incoming.size);
            self.under_way.insert(incoming.content, name);
        }
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

    /// Whether the same thing was accepted before. Under another name it would be another file.
    fn was_taken(&self, incoming: &Incoming) -> bool {
        let key = local_file_name(&incoming.name).map(|name| (incoming.content, name));
        key.is_some_and(|key| self.taken.get(&key) == Some(&incoming.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(content: u8, name: &str, size: u64) -> Incoming {
        let addr = "192.168.1.27:7117".parse().unwrap();
        let from = PeerRef { id: Some(PeerId([1; 16])), addr, user: "lab-7".into() };
        Incoming { offer: 1, from, content: ContentId([content; 32]), name: name.into(), size }
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
            assert_eq!(policy(false, named).verdict(&offer, None, true), Verdict::Accept, "{named:?}");
        }
        assert_eq!(policy(true, &[]).verdict(&offer, None, false), Verdict::Accept);
        assert_eq!(policy(false, &["lab-8"]).verdict(&offer, None, true), Verdict::Ask);
        assert_eq!(answer(policy(false, &["lab-8"]).verdict(&offer, None, false)), Some(Answer::Declined));
        let mut policy = policy(false, &[]);
        policy.always(&offer.from);
        assert_eq!(policy.verdict(&offer, None, true), Verdict::Accept);
    }

    #[test]
    fn the_quota_counts_what_was_accepted_once_and_gives_back_what_failed() {
        let mut policy = Policy::new(true, Vec::new(), 100, false);
        let (first, second) = (incoming(1, "a", 60), incoming(2, "b", 60));
        assert_eq!(policy.verdict(&first, None, false), Verdict::Accept);
        policy.accepted(&first);
        assert_eq!(policy.verdict(&first, Some(0), false), Verdict::Accept);
        assert_eq!(answer(policy.verdict(&second, None, false)), Some(Answer::Quota));
        // A second copy is another file.
        assert_eq!(answer(policy.verdict(&incoming(1, "c", 60), None, false)), Some(Answer::Quota));
        policy.failed(&first.content);
        assert_eq!(policy.verdict(&second, None, false), Verdict::Accept);
        assert_eq!(answer(policy.verdict(&incoming(3, "c", u64::MAX), None, false)), Some(Answer::Quota));
        assert_eq!(answer(policy.verdict(&second, Some(59), false)), Some(Answer::NoSpace));
        policy.accepted(&second);
        policy.finished(&second.content);
        policy.failed(&second.content);
        assert_eq!(answer(policy.verdict(&first, None, false)), Some(Answer::Quota));
    }

    #[test]
    fn names_that_make_no_file_name_and_a_second_file_of_one() {
        let mut policy = Policy::new(true, Vec::new(), 100, true);
        for name in ["..", "a/", "\u{202e}", "  "] {
            assert_eq!(
                answer(policy.verdict(&incoming(1, name, 1), None, true)),
                Some(Answer::Name),
                "{name}"
            );
        }
        policy.accepted(&incoming(1, "a", 1));
        assert_eq!(answer(policy.verdict(&incoming(2, "b", 1), None, true)), Some(Answer::Busy));
    }
}
