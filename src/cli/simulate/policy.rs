//! The choices of `--policy`, and the help that names them.

use crate::core::Limits;

/// What stands below the flags.
pub(super) const HELP: &str = "\
The peers are the real ones, and so are their frames; links, disks and time are not. Payload is not
carried. What real hosts do to each other on a real network is for scripts/swarm-lan.sh to show.

Choices of --policy (docs/swarm.md says what each is worth):
  random        ask for any chunk instead of the rarest first
  in-line       send what few neighbours have no sooner than the rest
  at-once       tell each neighbour at once of each chunk that came, even if many have that
  unasked       cancel a request that is to move, without hearing whether it was in time
  side-by-side  send several chunks at once, even if one takes all that the link carries
  strangers     connect to who has some of the file, not to who only looks for it, too
  unassigned    let the seed show everything to everybody from the beginning
  slots=K       send K chunks at once, at most
  window=K      ask for K chunks at once, over all sources, at most; of up to 2,048
                chunks never for more than 16
  neighbours=K  of up to K peers that have or want a file, connect to each
  drawn=K       where there are more, connect to K overlay neighbours

Examples:
  chunkcast simulate --peers 100 --size 256MiB --chunk-size 256KiB
  chunkcast simulate --peers 32 --policy unassigned,slots=1 --svg spread.svg
  chunkcast simulate --peers 8 --join staggered:2s --slow 1:12.5Mbit --json

Exit: 0 everybody has the file, 10 somebody never got it.";

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
