//! The end of an offer, as an exit code and as text.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::command_line::{again, command_line};
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, TROUBLE, no_answer};
use crate::cli::human;
use crate::cli::wanted::shell_quoted;
use crate::core::{OfferEnd, PeerRef};
use crate::types::name::printable;
use crate::wire::message::{Answer, Delivery};

/// The most peers of one name that are listed.
const LISTED_MAX: usize = 8;

/// The exit code that the end of an offer stands for.
pub(super) fn exit_of(end: &OfferEnd) -> Exit {
    match end {
        OfferEnd::Verified => Exit::Ok,
        OfferEnd::Declined(_) => Exit::Declined,
        OfferEnd::Failed(Delivery::Integrity | Delivery::Size) => Exit::Integrity,
        OfferEnd::Failed(_) | OfferEnd::Lost => Exit::GaveUp,
        OfferEnd::Nobody { .. } => Exit::Nobody,
        OfferEnd::Ambiguous { .. } => Exit::Ambiguous,
        OfferEnd::Withdrawn => Exit::Storage,
    }
}

/// Whether nothing else can be sent to its recipient either.
pub(super) fn is_of_recipient(end: &OfferEnd) -> bool {
    match end {
        OfferEnd::Nobody { .. } | OfferEnd::Ambiguous { .. } | OfferEnd::Lost => true,
        OfferEnd::Declined(answer) => *answer == Answer::NotReceiving,
        OfferEnd::Verified | OfferEnd::Failed(_) | OfferEnd::Withdrawn => false,
    }
}

/// The failure of sending `name` to who was called `to`.
pub(super) fn failure_of(
    name: &str,
    to: &str,
    peer: Option<&PeerRef>,
    end: &OfferEnd,
    wait: Duration,
    port: u16,
) -> Failure {
    let who = peer.map_or_else(|| human::label(to), human::peer);
    let (happened, next) = match end {
        OfferEnd::Verified => (String::new(), Vec::new()),
        OfferEnd::Declined(answer) => declined(&who, *answer),
        OfferEnd::Failed(delivery) => {
            (format!("{who} accepted it, and then: {}", delivery.text()), vec![again()])
        }
        OfferEnd::Nobody { peers } => nobody(to, *peers, wait, port),
        OfferEnd::Ambiguous { candidates } => {
            let named = |peer: &PeerRef| match peer.id {
                Some(id) => format!("--to '{}#{}'   # {}", human::label(&peer.user), id.short(), peer.addr),
                None => format!("--to {}", peer.addr),
            };
            let mut lines = vec!["say which one:".to_owned()];
            lines.extend(candidates.iter().take(LISTED_MAX).map(named));
            (format!("{} peers have the name {}", candidates.len(), human::quoted(to)), lines)
        }
        OfferEnd::Lost => (format!("{who} went away and did not come back"), vec![again()]),
        OfferEnd::Withdrawn => ("the file changed or was removed meanwhile".to_owned(), vec![again()]),
    };
    let title = format!("{} was not sent to {}", human::quoted(name), human::quoted(to));
    Failure { exit: exit_of(end), title, happened, kept: None, next }
}

fn declined(who: &str, answer: Answer) -> (String, Vec<String>) {
    let happened = match answer {
        Answer::NotReceiving => format!("{who} does not receive files"),
        Answer::Quota => format!("{who} declined: it is larger than what is left of --quota there"),
        Answer::NoSpace => format!("{who} declined: the disk there has too little space"),
        Answer::Name => format!("{who} declined: the name cannot be a file name there"),
        Answer::Busy => format!("{who} takes no more files now"),
        Answer::Declined | Answer::Accepted | Answer::Other => format!("{who} declined"),
    };
    let next = match answer {
        Answer::NotReceiving => "on the other machine: chunkcast receive",
        Answer::Quota => "on the other machine: chunkcast receive with a larger --quota",
        Answer::NoSpace => "free some space there, or receive into another folder: --dir",
        Answer::Name => "give the file another name",
        Answer::Busy => "send it again later",
        _ => "ask the person there; without a terminal, receive accepts only with --yes or --from",
    };
    (happened, vec![next.to_owned()])
}

fn nobody(to: &str, peers: usize, wait: Duration, port: u16) -> (String, Vec<String>) {
    if peers == 0 {
        let by_address = "--to HOST, where broadcasts do not reach".to_owned();
        return (no_answer(wait, port), vec![TROUBLE.to_owned(), by_address]);
    }
    let (peers, within) = (human::counted(peers, "other peer", "other peers"), human::limit(wait));
    let happened = format!("no peer has the name {} ({peers} answered within {within})", human::quoted(to));
    (happened, vec!["chunkcast ls --peers".to_owned()])
}

/// What a recipient did not take because it has enough.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    /// As it was typed.
    pub(super) to: &'a str,
    pub(super) peer: &'a PeerRef,
    /// The files that it did not take, and where they lie.
    pub(super) names: &'a [&'a str],
    pub(super) paths: &'a [PathBuf],
    /// How many files it was offered, and whether it took one of them.
    pub(super) all: usize,
    pub(super) took: bool,
}

impl Refusal<'_> {
    /// One failure for all of them, with the command that sends them; `flags` are those of this network.
    pub(super) fn failure(&self, flags: &str) -> Failure {
        let Refusal { to, peer, names, paths, all, took } = self;
        let (peer, count) = (human::peer(peer), names.len());
        let words: Vec<String> =
            paths.iter().map(|path| printable(&shell_quoted(&path.to_string_lossy()))).collect();
        let next = match count <= LISTED_MAX {
            true => {
                let to = printable(&shell_quoted(to));
                format!("chunkcast send {} --to {to}{flags}", words.join(" "))
            }
            false => command_line(),
        };
        let mut listed: Vec<String> = names.iter().take(LISTED_MAX).map(|name| human::quoted(name)).collect();
        if count > LISTED_MAX {
            listed.push(format!("{} more", human::count((count - LISTED_MAX) as u64)));
        }
        let why = if *took { "takes one file (receive --once)" } else { "takes no more files now" };
        let (not_sent, listed) = match count {
            1 => (format!("{} was", listed.join(", ")), String::new()),
            _ => (format!("{count} of {all} files were"), format!("; not sent: {}", listed.join(", "))),
        };
        Failure {
            exit: Exit::Declined,
            title: format!("{not_sent} not sent to {}", human::quoted(to)),
            happened: format!("{peer} {why}{listed}"),
            kept: None,
            next: vec![next],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PeerId;

    #[test]
    fn codes_are_those_of_the_table() {
        for (end, code) in [
            (OfferEnd::Verified, 0),
            (OfferEnd::Nobody { peers: 0 }, 3),
            (OfferEnd::Lost, 5),
            (OfferEnd::Failed(Delivery::NoSpace), 5),
            (OfferEnd::Failed(Delivery::Integrity), 6),
            (OfferEnd::Withdrawn, 7),
            (OfferEnd::Ambiguous { candidates: vec![] }, 8),
            (OfferEnd::Declined(Answer::Quota), 9),
        ] {
            assert_eq!(exit_of(&end).code(), code, "{end:?}");
        }
    }

    #[test]
    fn what_a_recipient_does_not_take_is_told_once() {
        let peer = PeerRef { id: None, addr: "10.0.0.1:7117".parse().unwrap(), user: "rec".into() };
        let paths = ["out/a b", "out/c"].map(PathBuf::from);
        let names = ["a b", "c"];
        let refusal = Refusal { to: "rec", peer: &peer, names: &names, paths: &paths, all: 3, took: true };
        let failure = refusal.failure(" --port 9000");
        assert_eq!(
            failure.message(),
            "2 of 3 files were not sent to \"rec\": rec (10.0.0.1:7117) takes one file (receive --once); not sent: \
             \"a b\", \"c\""
        );
        assert_eq!(failure.next, ["chunkcast send 'out/a b' out/c --to rec --port 9000"]);
        let many = vec!["x"; 20];
        let busy = Refusal { names: &many, took: false, ..refusal };
        let happened = busy.failure("").happened;
        assert!(
            happened.contains("takes no more files now") && happened.ends_with(", 12 more"),
            "{happened}"
        );
    }

    #[test]
    fn peers_of_one_name_are_listed_with_what_to_type() {
        let peer = |id| PeerRef {
            id: Some(PeerId([id; 16])),
            addr: "10.0.0.1:7117".parse().unwrap(),
            user: "lab\u{1b}[2J".into(),
        };
        let end = OfferEnd::Ambiguous { candidates: vec![peer(1), peer(2)] };
        let failure = failure_of("a", "lab", None, &end, Duration::from_secs(3), 7117);
        assert!(failure.next[2].contains("#0202") && !failure.next[1].contains('\u{1b}'), "{failure:?}");
    }
}
