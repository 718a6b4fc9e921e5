//! Which chunk next: a pure function of who has what.

use crate::core::limits::Limits;
use crate::core::rng::Rng;
use crate::types::{Bitfield, Geometry};

/// Fewer chunks are not asked for at once, where there are enough.
const WINDOW_FEW: u32 = 8;
/// The most of an ordinary file, whose chunks are at most two thousand.
pub(crate) const WINDOW_USUAL: u32 = 16;

/// The rarest of the chunks that the other side has and that are `open` (missing here and asked of nobody), a random one of
/// those equally rare. `availability[chunk]` counts the connected peers that have it.
pub fn rarest_first(had: &Bitfield, open: &Bitfield, availability: &[u16], rng: &mut Rng) -> Option<u32> {
    let mut best: Option<(u16, u32)> = None;
    let mut equals = 0_usize;
    for chunk in had.common(open) {
        let holders = *availability.get(chunk as usize)?;
        match best {
            Some((fewest, _)) if holders > fewest => {}
            Some((fewest, _)) if holders == fewest => {
                equals = equals.saturating_add(1);
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

/// A random one of the chunks that the other side has and that are `open` and `offered`.
pub(crate) fn any(
    had: &Bitfield,
    open: &Bitfield,
    offered: impl Fn(u32) -> bool,
    rng: &mut Rng,
) -> Option<u32> {
    let mut chosen = None;
    let is_offered = |chunk: &u32| had.get(*chunk) && offered(*chunk);
    for (before, chunk) in open.iter().filter(is_offered).enumerate() {
        // Each of the n so far is kept with probability 1/n.
        if rng.below(before.saturating_add(1)) == 0 {
            chosen = Some(chunk);
        }
    }
    chosen
}

/// How many chunks of a content with `chunks` chunks are asked for at once: half of their square root, but not less than
/// `WINDOW_FEW` nor more than `WINDOW_USUAL`; of very many a 128th, at most `max`; of the smallest an eighth, at least one.
///
/// What is asked for is not asked elsewhere: with many under way the last ones are late, and with few there is little to send.
pub fn window(chunks: u32, max: u32) -> usize {
    let usual = (chunks.isqrt() / 2).clamp(WINDOW_FEW, WINDOW_USUAL);
    (chunks / 8).min(usual.max(chunks / 128)).clamp(1, max.max(1)) as usize
}

/// How many chunks of a download are asked for at once, as far as the memory for chunks allows.
pub(crate) fn window_of(limits: &Limits, geometry: &Geometry) -> usize {
    // Others have to find room in the pool, too.
    let share = (limits.buffer_pool_bytes / 4).saturating_mul(3);
    let room = share.checked_div(u64::from(geometry.chunk_bytes())).unwrap_or(0);
    window(geometry.chunks(), limits.window_chunks_max.min(u32::try_from(room).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarest_open_chunk_wins() {
        let mut rng = Rng::new(1);
        let mut open = Bitfield::full(4);
        open.clear(1);
        assert_eq!(rarest_first(&Bitfield::full(4), &open, &[3, 1, 2, 1], &mut rng), Some(3));
        assert_eq!(rarest_first(&open, &Bitfield::full(4), &[3, 1, 2, 1], &mut rng), Some(3));
        assert_eq!(rarest_first(&Bitfield::empty(4), &open, &[1; 4], &mut rng), None);
    }

    #[test]
    fn equals_are_drawn_evenly() {
        let mut rng = Rng::new(7);
        let open = Bitfield::full(4);
        let mut drawn = [0; 4];
        for _ in 0..4000 {
            drawn[rarest_first(&open, &open, &[1; 4], &mut rng).unwrap() as usize] += 1;
        }
        assert!(drawn.iter().all(|count| (800..1200).contains(count)), "{drawn:?}");
    }

    #[test]
    fn any_of_those_that_are_open_is_as_likely() {
        let mut rng = Rng::new(7);
        let open = Bitfield::full(5);
        let mut drawn = [0; 5];
        for _ in 0..4000 {
            drawn[any(&open, &open, |chunk| chunk != 2, &mut rng).unwrap() as usize] += 1;
        }
        assert_eq!(drawn[2], 0);
        assert!([0, 1, 3, 4].iter().all(|at| (800..1200).contains(&drawn[*at])), "{drawn:?}");
        assert_eq!(any(&open, &open, |_| false, &mut rng), None);
    }

    #[test]
    fn the_window_follows_the_square_root_between_its_ends() {
        let chunks = [0, 1, 15, 16, 63, 64, 256, 400, 1024, 2048, 3200, 4096, 65_536];
        let windows = [1, 1, 1, 2, 7, 8, 8, 10, 16, 16, 25, 32, 32];
        assert_eq!(chunks.map(|chunks| window(chunks, 32)), windows);
        assert_eq!(window(1024, 3), 3);
    }
}
