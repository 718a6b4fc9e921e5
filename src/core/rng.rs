//! The core's only source of randomness: a stream that follows from the seed a driver hands in.

use std::time::Duration;

/// A seeded stream of random numbers (wyrand, from the `fastrand` crate). Not for secrets.
#[derive(Debug, Clone)]
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The stream that `seed` determines.
    pub fn new(seed: u64) -> Rng {
        Rng(fastrand::Rng::with_seed(seed))
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.0.usize(..bound) }
    }

    /// Any 64-bit number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Any 128 bits.
    pub fn bytes16(&mut self) -> [u8; 16] {
        self.0.u128(..).to_be_bytes()
    }

    /// A duration from zero up to, but not including, `bound`; zero when `bound` is zero.
    pub fn duration_below(&mut self, bound: Duration) -> Duration {
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(self.0.u64(..nanos)) }
    }

    /// True with probability `parts` in a million.
    pub fn chance_ppm(&mut self, parts: u32) -> bool {
        self.0.u32(..1_000_000) < parts
    }
}
