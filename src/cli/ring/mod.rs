//! `ring`: an owner gives each peer a share of a file, and the peers pass the chunks on to their neighbours.

mod download;
mod endpoint;
mod owner;
mod peer;
mod record;
mod takers;

use clap::{Args, Subcommand};

use crate::cli::Outcome;
use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::output::Output;

const ABOUT: &str = "\
An owner gives each peer a share of the chunks of a file. Each peer downloads from one neighbour and uploads to another, \
and so the chunks travel around the ring until every peer has the whole file. Nothing is broadcast: you name every \
address.";

const EXAMPLES: &str = "\
Examples, each in its own terminal:
  chunkcast ring owner talk.mkv --listen 7200 --peers 3
  chunkcast ring peer 7200 7201 7202 -o one/      OWNER, LISTEN, NEIGHBOUR
  chunkcast ring peer 7200 7202 7203 -o two/
  chunkcast ring peer 7200 7203 7201 -o three/

Exit: see ring owner --help and ring peer --help.";

/// Pass a file along a ring of named neighbours
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct RingArgs {
    #[command(subcommand)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Place {
    Owner(owner::OwnerArgs),
    Peer(peer::PeerArgs),
}

impl RingArgs {
    /// Whether this place is there to download.
    pub(crate) fn fetches(&self) -> bool {
        matches!(self.place, Place::Peer(_))
    }
}

pub(crate) fn run(args: &RingArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    match &args.place {
        Place::Owner(args) => owner::run(args, global, out),
        Place::Peer(args) => peer::run(args, global, out),
    }
}
