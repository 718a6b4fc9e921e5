//! How an offer ended, as an exit code and as people read it.

use std::time::Duration;

use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, command_line};
use crate::cli::human;
use crate::core::{PeerRef, PushEnd};
use crate::wire::message::{Answer, Delivery};

/// The most peers of one name that are listed.
const LISTED_MAX: usize = 8;

/// The exit code that the end of an offer stands for.
pub(super) fn exit_of(end: &PushEnd) -> Exit {
    match end {
        PushEnd::Verified => Exit::Ok,
        PushEnd::Declined(_) => Exit::Declined,
        PushEnd::Failed(Delivery::Integrity | Delivery::Size) => Exit::Integrity,
        PushEnd::Failed(_) | PushEnd::Lost => Exit::GaveUp,
        PushEnd::Nobody { .. } => Exit::Nobody,
        PushEnd::Ambiguous { .. } => Exit::Ambiguous,
        PushEnd::Withdrawn => Exit::Storage,
    }
}

/// Whether nothing else can be sent to its recipient either.
pub(super) fn is_of_recipient(end: &PushEnd) -> bool {
    match end {
        PushEnd::Nobody { .. } | PushEnd::Ambiguous { .. } | PushEnd::Lost => true,
        PushEnd::Declined(answer) => *answer == Answer::NotReceiving,
        PushEnd::Verified | PushEnd::Failed(_) | PushEnd::Withdrawn => false,
    }
}

/// The failure of sending `name` to who was called `to`.
pub(super) fn failure_of(
    name: &str,
    to: &str,
    peer: Option<&PeerRef>,
    end: &PushEnd,
    wait: Duration,
    port: u16,
) -> Failure {
    let again = || format!("the same command again goes on where this ended: {}", command_line());
    let who = peer.map_or_else(|| human::label(to), human::peer);
    let (happened, next) = match end {
        PushEnd::Verified => (String::new(), Vec::new()),
        PushEnd::Declined(answer) => declined(&who, *answer),
        PushEnd::Failed(delivery) => {
            (format!("{who} accepted it, and then: {}", delivery.text()), vec![again()])
        }
        PushEnd::Nobody { peers } => nobody(&who, *peers, wait, port),
        PushEnd::Ambiguous { candidates } => {
            let named = |peer: &PeerRef| match peer.id {
                Some(id) => format!("--to '{}#{}'   # {}", human::label(&peer.user), id.short(), peer.addr),
                None => format!("--to {}", peer.addr),
            };
            let mut lines = vec!["say which one:".to_owned()];
            lines.extend(candidates.iter().take(LISTED_MAX).map(named));
            (format!("{} peers are called {who}", candidates.len()), lines)
        }
        PushEnd::Lost => (format!("{who} went away and did not come back"), vec![again()]),
        PushEnd::Withdrawn => ("the file changed or vanished while it was sent".to_owned(), vec![again()]),
    };
    let title = format!("{} was not sent to {}", human::quoted(name), human::label(to));
    Failure { exit: exit_of(end), title, happened, kept: None, next }
}

fn declined(who: &str, answer: Answer) -> (String, Vec<String>) {
    let happened = match answer {
        Answer::NotReceiving => format!("{who} does not receive files"),
        Answer::Quota => format!("{who} declined: it is more than that peer takes in all"),
        Answer::NoSpace => format!("{who} declined: there is no space for it there"),
        Answer::Name => format!("{who} declined: the name makes no file name there"),
        Answer::Busy => format!("{who} declined: it has other files to receive now"),
        Answer::Declined | Answer::Accepted | Answer::Other => format!("{who} declined"),
    };
    let next = match answer {
        Answer::NotReceiving => "on the other machine: chunkcast receive",
        Answer::Quota => "on the other machine: chunkcast receive with a larger --quota",
        Answer::NoSpace => "free some space on the other machine, or use another folder there: --dir",
        Answer::Name => "give the file another name",
        Answer::Busy => "send it again later",
        // Without a terminal nobody was asked.
        _ => "without a terminal the other side takes files only with --yes or --from",
    };
    (happened, vec![next.to_owned()])
}

fn nobody(who: &str, peers: usize, wait: Duration, port: u16) -> (String, Vec<String>) {
    let wait = human::span(wait);
    match peers {
        0 => (
            format!("no peer {who} was found: looked for {wait}, and heard nobody at all"),
            vec![format!(
                "is 'chunkcast receive' running on the same network, with --port {port}? Where broadcasts do not \
                 reach, --to HOST does"
            )],
        ),
        _ => (
            format!(
                "no peer {who} was found: looked for {wait}, and heard {}",
                human::counted(peers, "other peer", "other peers")
            ),
            vec!["see who is there: chunkcast ls --peers".to_owned()],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PeerId;

    #[test]
    fn codes_are_those_of_the_table() {
        for (end, code) in [
            (PushEnd::Verified, 0),
            (PushEnd::Nobody { peers: 0 }, 3),
            (PushEnd::Lost, 5),
            (PushEnd::Failed(Delivery::NoSpace), 5),
            (PushEnd::Failed(Delivery::Integrity), 6),
            (PushEnd::Withdrawn, 7),
            (PushEnd::Ambiguous { candidates: vec![] }, 8),
            (PushEnd::Declined(Answer::Quota), 9),
        ] {
            assert_eq!(exit_of(&end).code(), code, "{end:?}");
        }
    }

    #[test]
    fn peers_of_one_name_are_listed_with_what_to_type() {
        let peer = |id| PeerRef {
            id: Some(PeerId([id; 16])),
            addr: "10.0.0.1:7117".parse().unwrap(),
            user: "lab\u{1b}[2J".into(),
        };
        let end = PushEnd::Ambiguous { candidates: vec![peer(1), peer(2)] };
        let failure = failure_of("a", "lab", None, &end, Duration::from_secs(3), 7117);
        assert!(failure.next[2].contains("#0202") && !failure.next[1].contains('\u{1b}'), "{failure:?}");
    }
}
