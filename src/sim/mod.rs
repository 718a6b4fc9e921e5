//! The virtual driver: the same core as the real one runs, with the same codecs, in virtual time.
//!
//! A [`Scenario`] says which hosts there are, what they share and want, what lies between them and what goes wrong;
//! a [`Simulation`] plays it, an oracle watches every step, and a [`Report`] holds the figures. Everything follows from
//! the scenario's seed: the same scenario gives the same digest of everything that every peer puts out.
//!
//! Native payload is never carried. A chunk on a virtual wire is (content, offset, length, right or wrong), so that a
//! simulation of thousands of peers and gigabytes costs no more than its control bytes.

mod bytes;
mod checker;
mod classic;
mod content;
mod datagrams;
mod disk;
mod draw;
mod driver;
mod faults;
mod gets;
mod host;
mod hostile;
mod network;
mod offers;
mod oracle;
mod queue;
mod report;
mod scenario;
mod simulation;
mod store;
mod swarm;
mod tcp;
mod trace;
mod transfer;
mod transfers;

pub use classic::{
    ClassicDrawn, ClassicGetSpec, ClassicOutcome, ClassicSpec, Ears, ForeignSpec, Holding, Manner,
};
pub use content::SimContent;
pub use draw::Drawn;
pub use gets::Outcome;
pub use hostile::{HostileSpec, Hostility};
pub use report::{ChunkSources, HostReport, Report};
pub use scenario::{
    Action, ContentSpec, DiskSpec, GetSpec, HostSpec, Nature, NetworkSpec, PlaceSpec, Scenario, Target,
};
pub use simulation::{Failure, Simulation};
pub use swarm::{Arrival, Churn, Join, Spread, Swarm, SwarmFigures, SwarmSpec};
pub use transfers::{TakesSpec, TransferOutcome, TransfersDrawn};
