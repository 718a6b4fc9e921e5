//! The choices of `--policy`, and the help that names them.

use crate::core::Limits;

/// What stands below the flags.
pub(super) const HELP: &str = "\
The simulation runs the code of real peers with real frames. Links, disks and time are simulated,
and the payload is not carried. To measure real hosts on a real network, use scripts/swarm-lan.sh.

Choices of --policy (docs/log/swarm.md has their effects):
  random        request any chunk instead of the rarest first
  in-line       do not prefer chunks that few neighbours have
  at-once       send `have` for each new chunk at once, also to peers that do not need it
  unasked       move a queued request without waiting until its old peer has released it
  side-by-side  send several chunks at once, even if one fills the link
  strangers     connect only to peers that have a part of the file
  unassigned    let the seed advertise all chunks to all peers from the start
  slots=K       send at most K chunks at once
  window=K      request at most K chunks at once, over all sources; for files of up to 2,048
                chunks at most 16
  neighbours=K  connect to every peer while at most K peers have or want the file
  drawn=K       above that, connect to K overlay neighbours

Examples:
  chunkcast simulate --peers 100 --size 256MiB --chunk-size 256KiB
  chunkcast simulate --peers 32 --policy unassigned,slots=1 --svg spread.svg
  chunkcast simulate --peers 8 --join staggered:2s --slow 1:12.5Mbit --json

Exit: 0 all peers have the file, 10 a peer never got it.";

/// The names of those that take no number.
pub(super) const POLICIES: [(&str, Choice); 7] = [
    ("random", Choice::Random),
    ("unassigned", Choice::Unassigned),
    ("in-line", Choice::InLine),
    ("at-once", Choice::AtOnce),
    ("strangers", Choice::Strangers),
    ("unasked", Choice::Unasked),
    ("side-by-side", Choice::SideBySide),
];

/// One thing that is to be done otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Random,
    Unassigned,
    InLine,
    AtOnce,
    Strangers,
    Unasked,
    SideBySide,
    Slots(usize),
    Window(u32),
    Neighbours(usize),
    Drawn(usize),
}

impl Choice {
    pub(super) fn parse(text: &str) -> Result<Choice, String> {
        if let Some((_, choice)) = POLICIES.iter().find(|(name, _)| *name == text) {
            return Ok(*choice);
        }
        let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number > 0);
        match text.split_once('=').map(|(name, value)| (name, number(value))) {
            Some(("slots", Some(slots))) => Ok(Choice::Slots(slots.into())),
            Some(("window", Some(chunks))) => Ok(Choice::Window(chunks.into())),
            Some(("neighbours", Some(peers))) => Ok(Choice::Neighbours(peers.into())),
            Some(("drawn", Some(peers))) => Ok(Choice::Drawn(peers.into())),
            _ => Err(format!("'{}' is no such choice; --help lists them", text.escape_debug())),
        }
    }

    pub(super) fn apply(self, limits: &mut Limits) {
        match self {
            Choice::Random => limits.tactics.rarest_first = false,
            Choice::Unassigned => limits.tactics.seed_assigns = false,
            Choice::InLine => limits.tactics.scarce_first = false,
            Choice::AtOnce => limits.tactics.haves_wait = false,
            Choice::Strangers => limits.tactics.meets_seekers = false,
            Choice::Unasked => limits.tactics.revokes = false,
            Choice::SideBySide => limits.tactics.one_at_a_time = false,
            Choice::Slots(slots) => limits.upload_slots = slots,
            Choice::Window(chunks) => limits.window_chunks_max = chunks,
            Choice::Neighbours(peers) => limits.neighbours_max = peers,
            Choice::Drawn(peers) => limits.tactics.drawn_neighbours = peers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_choice_changes_what_it_says() {
        let with = |text: &str| {
            let mut limits = Limits::default();
            Choice::parse(text).unwrap().apply(&mut limits);
            limits
        };
        assert!(!with("random").tactics.rarest_first);
        assert_eq!(with("slots=7").upload_slots, 7);
        assert_eq!(with("window=9").window_chunks_max, 9);
        assert_eq!(with("neighbours=5").neighbours_max, 5);
        assert_eq!(with("drawn=5").tactics.drawn_neighbours, 5);
        for (name, _) in POLICIES {
            assert_ne!(with(name), Limits::default(), "{name}");
            assert!(HELP.contains(&format!("  {name} ")), "{name}");
        }
        for bad in ["", "slots", "slots=0", "slots=x", "luck"] {
            assert!(Choice::parse(bad).is_err(), "{bad}");
        }
    }
}
