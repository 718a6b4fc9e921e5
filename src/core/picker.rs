//! Which chunk next: a pure function of who has what.

use crate::core::bitfield::Bitfield;
use crate::core::rng::Rng;

/// The rarest of the chunks that `remote` has and that are `open` (missing here and asked of nobody), a random one
/// of those equally rare. `availability[chunk]` counts the connected peers that have it.
pub fn rarest_first(
    remote: &Bitfield,
    availability: &[u16],
    open: impl Fn(u32) -> bool,
    rng: &mut Rng,
) -> Option<u32> {
    let mut best: Option<(u16, u32)> = None;
    let mut equals = 0;
    for (chunk, &holders) in (0u32..).zip(availability) {
        if !remote.get(chunk) || best.is_some_and(|(fewest, _)| holders > fewest) || !open(chunk) {
            continue;
        }
        match best {
            Some((fewest, _)) if holders == fewest => {
                equals += 1;
                // Each of the n equals so far is kept with probability 1/n.
                if rng.below(equals) == 0 {
                    best = Some((holders, chunk));
                }
            }
            _ => {
                equals = 1;
                best = Some((holders, chunk));
            }
        }
    }
    best.map(|(_, chunk)| chunk)
}

/// How many chunks of a content with `chunks` chunks are asked for at once: an eighth, at least one, at most `max`.
pub fn window(chunks: u32, max: u32) -> usize {
    (chunks / 8).clamp(1, max.max(1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_open_chunk_wins() {
        let mut rng = Rng::new(1);
        let remote = Bitfield::full(4);
        assert_eq!(rarest_first(&remote, &[3, 1, 2, 1], |chunk| chunk != 1, &mut rng), Some(3));
        assert_eq!(rarest_first(&remote, &[3, 1, 2, 1], |_| false, &mut rng), None);
        assert_eq!(rarest_first(&Bitfield::empty(4), &[1; 4], |_| true, &mut rng), None);
    }

    #[test]
    fn equals_are_drawn_evenly() {
        let mut rng = Rng::new(7);
        let remote = Bitfield::full(4);
        let mut drawn = [0; 4];
        for _ in 0..4000 {
            drawn[rarest_first(&remote, &[1; 4], |_| true, &mut rng).unwrap() as usize] += 1;
        }
        assert!(drawn.iter().all(|count| (800..1200).contains(count)), "{drawn:?}");
    }

    #[test]
    fn the_window_is_an_eighth() {
        assert_eq!([0, 1, 15, 16, 96, 4096].map(|chunks| window(chunks, 12)), [1, 1, 1, 2, 12, 12]);
    }
}
