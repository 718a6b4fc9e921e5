//! One file and many who want it: the scenario that swarms are measured in, played and summed up.
//!
//! Host 0 has the file and is there from the beginning; all others want it. What a run came to is in
//! [`SwarmFigures`], how the chunks spread in [`Spread`].

mod figures;
mod spec;
mod spread;

pub use figures::SwarmFigures;
pub use spec::{Churn, Join, SwarmSpec};
pub use spread::{Arrival, Spread};

use crate::sim::simulation::{Failure, Simulation};
use crate::types::Time;
use crate::types::geometry::GeometryError;

/// A swarm under way.
#[derive(Debug)]
pub struct Swarm {
    spec: SwarmSpec,
    world: Simulation,
}

impl Swarm {
    /// The swarm before its first instant. Fails when the file cannot be cut as it is asked for.
    pub fn new(spec: SwarmSpec) -> Result<Swarm, GeometryError> {
        let world = Simulation::new(spec.scenario()?)?;
        Ok(Swarm { spec, world })
    }

    /// Lets so many things happen. Returns whether it goes on: somebody who will be there has not got the file yet, and the
    /// virtual time is not up.
    pub fn go_on(&mut self, happenings: u64) -> Result<bool, Failure> {
        let limit = self.spec.limit();
        let until = self.world.happenings() + happenings;
        self.world.run_while(limit, |world| world.happenings() < until)?;
        let over = self.complete() == self.spec.peers || self.world.happenings() < until;
        Ok(!over)
    }

    /// How many have the file.
    pub fn complete(&self) -> usize {
        self.world.spread().complete_count()
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// Things that happened so far.
    pub fn happenings(&self) -> u64 {
        self.world.happenings()
    }

    /// How the chunks spread.
    pub fn spread(&self) -> &Spread {
        self.world.spread()
    }

    /// What was asked for.
    pub fn spec(&self) -> &SwarmSpec {
        &self.spec
    }

    /// What it came to.
    pub fn figures(&self) -> SwarmFigures {
        SwarmFigures::of(&self.spec, &self.world.report(), self.world.spread())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn played(spec: SwarmSpec) -> SwarmFigures {
        let mut swarm = Swarm::new(spec).unwrap();
        while swarm.go_on(1_000).unwrap() {}
        swarm.figures()
    }

    #[test]
    fn everybody_gets_it_and_nobody_beats_the_bound() {
        let spec = SwarmSpec { peers: 5, size: 4 << 20, ..SwarmSpec::default() };
        let figures = played(spec.clone());
        assert_eq!(figures.complete, 5);
        assert!(figures.over_bound >= 1.0 && figures.over_bound < 2.0, "{figures:?}");
        assert!(figures.seed_copies >= 1.0 && figures.seed_copies < 3.0, "{figures:?}");
        assert_eq!(figures.payload_bytes, 5 * (4 << 20) + figures.wasted_bytes);
        assert_eq!(figures, played(spec.clone()));
        assert_ne!(figures.digest, played(SwarmSpec { seed: 2, ..spec }).digest);
    }

    #[test]
    fn a_crowd_asks_once_and_hears_one_answer() {
        let spec = SwarmSpec { peers: 50, size: 1 << 20, ..SwarmSpec::default() };
        let figures = played(spec);
        assert_eq!(figures.complete, 50);
        // Each peer asks and announces what it has once; the rest is what the seed says before, and its answer.
        assert!((100..110).contains(&figures.datagrams), "{figures:?}");
    }

    #[test]
    fn who_comes_late_is_slow_or_crashes_gets_it_too() {
        let spec = SwarmSpec {
            peers: 6,
            size: 2 << 20,
            join: Join::Staggered(Duration::from_millis(300)),
            churn: Some(Churn { share_percent: 50, every: Duration::from_millis(200) }),
            slow: vec![(3, 3_000_000)],
            keeps_arrivals: true,
            ..SwarmSpec::default()
        };
        let mut swarm = Swarm::new(spec).unwrap();
        while swarm.go_on(1_000).unwrap() {}
        assert_eq!(swarm.complete(), 6);
        let chunks = swarm.spread().chunks() as usize;
        assert_eq!(chunks, 128);
        // Each has each once; one that was written as its peer died was told by nobody.
        assert!((5 * chunks..=6 * chunks + 200).contains(&swarm.spread().arrivals().len()));
    }

    #[test]
    fn a_request_that_moves_is_given_back_first_so_nothing_comes_twice() {
        let spec =
            SwarmSpec { peers: 8, size: 8 << 20, chunk_bytes: Some(128 << 10), ..SwarmSpec::default() };
        let mut unasked = spec.clone();
        unasked.limits.tactics.revokes = false;
        let (revoked, unasked) = (played(spec), played(unasked));
        assert!(unasked.wasted_bytes > 0, "{unasked:?}");
        assert!(revoked.wasted_bytes < unasked.wasted_bytes, "{revoked:?} {unasked:?}");
    }

    #[test]
    fn a_cut_that_is_none_is_refused() {
        assert!(Swarm::new(SwarmSpec { chunk_bytes: Some(1_000), ..SwarmSpec::default() }).is_err());
    }
}
