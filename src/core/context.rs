//! What the engines share, lent to one of them for one call.
//!
//! An engine changes its own state and what it is lent. What concerns others it leaves in [`Context::after`], and the peer sees to
//! it when the call is over.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::core::catalogue::{Catalogue, LOOK_STEPS};
use crate::core::config::Config;
use crate::core::connection::{Protocol, Transport};
use crate::core::connections::Connections;
use crate::core::counters::Counters;
use crate::core::dialer::Dialer;
use crate::core::io::{ConnId, Event, Output};
use crate::core::looks::{Looks, Sought};
use crate::core::rates::Rates;
use crate::core::rng::Rng;
use crate::core::spools::Spools;
use crate::core::timers::Timers;
use crate::core::uploader::Uploader;
use crate::types::{ContentId, PeerId, Time};
use crate::wire::message::RefuseReason;

/// So many instructions have room without asking for memory.
const OUTPUTS_KEPT: usize = 1_024;

/// See [the module](self). `C`: the connections of the engine that is called, where it needs others than the one in question.
#[derive(Debug)]
pub(crate) struct Context<'p, C = ()> {
    pub(crate) now: Time,
    /// Who this peer is.
    pub(crate) id: PeerId,
    pub(crate) config: &'p Config,
    /// This peer is about to leave: nothing new begins.
    pub(crate) is_leaving: bool,
    pub(crate) timers: &'p mut Timers,
    pub(crate) outputs: &'p mut Outputs,
    pub(crate) counters: &'p mut Counters,
    pub(crate) catalogue: &'p mut Catalogue,
    pub(crate) uploads: &'p mut Uploader,
    pub(crate) looks: &'p mut Looks<Sought>,
    pub(crate) rng: &'p mut Rng,
    pub(crate) rates: &'p mut Rates,
    pub(crate) dialer: &'p mut Dialer,
    pub(crate) spools: &'p mut Spools,
    pub(crate) conns: C,
    pub(crate) after: After,
}

/// What is to be done when the call is over.
#[derive(Debug, Default)]
pub(crate) struct After {
    /// Who waits for an upload, or has one, changed.
    pub(crate) grant_uploads: bool,
    /// A connection that the driver does not know any more, and whose state may go.
    pub(crate) forget: Option<ConnId>,
    /// Something is over that a peer that leaves may have waited for.
    pub(crate) review_leaving: bool,
    /// What concerns engines that are not lent.
    pub(crate) later: Vec<Later>,
}

/// What one engine leaves to others.
#[derive(Debug)]
pub(crate) enum Later {
    /// A connection lost its place to another, and is to be closed.
    GiveWay(ConnId),
    /// A connection outside of the native protocol is served what is not here any more, and why.
    Unserved(ConnId, RefuseReason),
    /// A content is here whole from now on, with a name and its size in bytes.
    Whole(ContentId, String, u64),
}

/// Instructions that wait for the driver.
#[derive(Debug, Default)]
pub(crate) struct Outputs(VecDeque<Queued>);

/// By far the most instructions wake a connection, and are small; the others lie elsewhere.
#[derive(Debug)]
enum Queued {
    Wake(ConnId),
    Other(Box<Output>),
}

impl<C> Context<'_, C> {
    /// Whether an address is this host's, which limits by address except.
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        self.config.is_own(ip)
    }

    /// Tells the driver to visit a connection that has something to send, to read or to close, if it still knows it.
    pub(crate) fn wake(&mut self, conn: ConnId, transport: &mut Transport) {
        if !transport.gone {
            transport.asleep = false;
            self.outputs.push(Output::Wake(conn));
        }
    }

    /// Whether all names may be looked at once for an address, which then pays for it.
    pub(crate) fn may_look_at_all(&mut self, source: IpAddr) -> bool {
        let may = self.looks.admits(self.now, source) && self.looks.slice(self.now).is_some();
        if may {
            let steps = (self.catalogue.len() as u64).saturating_mul(LOOK_STEPS);
            self.looks.took(source, steps);
            self.counters.add_many("steps of looking through names", steps);
        }
        may
    }
}

impl Context<'_, &mut Connections> {
    /// Has the driver visit a connection that it still knows, which has something to send, to read or to close.
    pub(crate) fn rouse(&mut self, conn: ConnId) {
        if let Some(transport) = self.conns.get_mut(conn).map(Protocol::transport_mut)
            && !transport.gone
        {
            transport.asleep = false;
            self.outputs.push(Output::Wake(conn));
        }
    }
}

impl Outputs {
    pub(crate) fn push(&mut self, output: Output) {
        self.0.push_back(match output {
            Output::Wake(conn) => Queued::Wake(conn),
            output => Queued::Other(Box::new(output)),
        });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        let output = self.0.pop_front();
        if output.is_none() {
            // The next begins at the start of the memory again, instead of wandering through all of it; and a burst, as
            // when a pattern matches thousands, must not keep its memory.
            self.0.clear();
            self.0.shrink_to(OUTPUTS_KEPT);
        }
        output.map(|output| match output {
            Queued::Wake(conn) => Output::Wake(conn),
            Queued::Other(output) => *output,
        })
    }
}
