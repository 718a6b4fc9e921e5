//! The native protocol: peers found, contents fetched chunk by chunk from many at once, and served.
//!
//! Owns who is known and what they offer, what is fetched, what is offered to whom, and the indexes over sessions. What is here it
//! reads from and writes to the catalogue, which all engines share. Knows no other protocol.
//!
//! The parts, each a folder that calls only those before it: `peers` (who is known, and what each offers), `announcer`, `ledger` (the
//! mirror's books), `session` (connections, greetings, channels), `topology`, `upload` (with super-seeding), `download`, `discovery`
//! (datagrams, searches, catalogues), `offer` (files sent to somebody), `mirror`, and `arrangement` (of named neighbours). The files beside
//! them put together what concerns several.

mod announcer;
mod arrangement;
pub(crate) mod conversation;
pub(crate) mod discovery;
pub(crate) mod download;
pub(crate) mod effects;
mod ledger;
mod mirror;
mod naming;
mod offer;
mod peers;
pub(crate) mod session;
mod topology;
pub(crate) mod upload;

use std::collections::BTreeMap;

use crate::core::config::Config;
use crate::core::connections::Connections;
use crate::core::context::Context;
use crate::core::io::{Event, FailReason};
use crate::core::rates::Allowance;
use crate::core::rng::Rng;
use crate::core::status::Status;
use crate::core::timers::{Timer, Timers};
use crate::types::{ContentId, Time};
use announcer::Announcer;
pub(crate) use conversation::LEAVING;
use discovery::searches::Searches;
use download::downloader::Downloader;
use download::state::{Download, Phase};
use effects::Effects;
use ledger::mirror::Mirror;
use offer::offers::Offers;
use peers::copies::Copies;
use peers::directory::Directory;
pub(crate) use session::Session;
use session::links::Links;
use topology::neighbourhood::Neighbourhood;
use upload::idle::Idleness;
use upload::seeding::Policy;

/// What the engine is lent for one call.
pub(crate) type Ctx<'p> = Context<'p, &'p mut Connections>;

/// See [the module](self).
#[derive(Debug)]
pub(crate) struct Engine {
    effects: Effects,
    links: Links,
    /// When all connections were last looked at for one that gives its channels to others, in vain.
    channels_looked_at: Time,
    announcer: Announcer,
    directory: Directory,
    copies: Copies,
    searches: Searches,
    /// Entries of others' catalogues that may be looked at for what replaced something.
    replaced_looks: Allowance,
    /// How often this newcomer asked who is there.
    acquaintances: usize,
    downloader: Downloader,
    /// The contents that this peer super-seeds.
    seedings: BTreeMap<ContentId, Policy>,
    idleness: Idleness,
    offers: Offers,
    mirror: Option<Mirror>,
    /// Dials for all that the mirror wants.
    mirror_dials: Allowance,
    neighbourhood: Neighbourhood,
}

impl Engine {
    /// One that knows nobody.
    pub(crate) fn new(config: &Config, now: Time, rng: &mut Rng, timers: &mut Timers) -> Engine {
        let limits = &config.limits;
        let broadcasts = config.broadcast && config.discovers;
        let announcer = Announcer::new(config.announce_interval, limits.clone(), broadcasts, now, rng);
        if config.discovers {
            timers.set(Timer::Announce, announcer.rhythm.next());
            timers.set(Timer::Acquaint, now + limits.newcomer_asks.first().copied().unwrap_or_default());
        }
        let neighbourhood = Neighbourhood::new(&config.topology);
        if neighbourhood.owner.is_some() {
            timers.set(Timer::Dial, now);
        }
        Engine {
            effects: Effects::default(),
            links: Links::default(),
            channels_looked_at: Time::ZERO,
            announcer,
            directory: Directory::new(limits.clone(), config.own_addresses.clone()),
            copies: Copies::default(),
            searches: Searches::default(),
            replaced_looks: Allowance::new(limits.replaced_looks_at_once, limits.replaced_looks_per_s, now),
            acquaintances: 0,
            downloader: Downloader::new(limits.active_downloads_max, limits.buffer_pool_bytes),
            seedings: BTreeMap::new(),
            idleness: Idleness::default(),
            offers: Offers::default(),
            mirror: None,
            mirror_dials: Allowance::new(limits.mirror_dials_at_once, limits.mirror_dials_per_s, now),
            neighbourhood,
        }
    }

    /// How many peers a connection stands to.
    pub(crate) fn connected(&self) -> usize {
        self.links.open()
    }

    /// Whether a search is on.
    pub(crate) fn is_searching(&self) -> bool {
        self.searches.len() > 0
    }

    /// Whether a download is not over.
    pub(crate) fn is_fetching(&self) -> bool {
        !self.downloader.all_done()
    }

    /// From now on offers are taken.
    pub(crate) fn receive(&mut self) {
        self.offers.receives = true;
    }

    /// The moment of something that waits has come.
    pub(crate) fn review(&mut self, ctx: &mut Ctx, timer: Timer) {
        // The others are set with nearly every chunk.
        if !matches!(timer, Timer::UploadSlot | Timer::Idle) {
            ctx.rates.forget(ctx.now);
            ctx.looks.forget(ctx.now);
        }
        match timer {
            Timer::Connection(conn) => self.review_connection(ctx, conn),
            Timer::Acquaint => self.acquaint(ctx),
            Timer::Announce => self.announce(ctx),
            Timer::Answer => self.send_answers(ctx),
            Timer::Search(key) => self.step_search(ctx, key),
            Timer::Mirror => self.review_mirror(ctx),
            Timer::Download(content) => {
                let wants_peers = self.review_download(ctx, content);
                self.drain(ctx);
                if wants_peers {
                    self.review_supply(ctx, content);
                    self.fall_back(ctx, content);
                }
            }
            Timer::Offers => self.review_offers(ctx),
            Timer::MirrorNext => self.fetch_what_was_put_off(ctx),
            Timer::Dial => self.seek_all_sources(ctx),
            Timer::UploadSlot => self.grant_uploads(ctx),
            Timer::Expiry => self.expire_peers(ctx),
            Timer::Owner => self.ask_for_offer(ctx),
            Timer::Seeding => self.review_seeding(ctx),
            Timer::Idle => self.tell_idle(ctx),
            Timer::Look => self.look_on(ctx),
            Timer::Leave
            | Timer::ClassicAnnounce
            | Timer::ClassicDatagram
            | Timer::ClassicExpiry
            | Timer::ClassicDictionary
            | Timer::ClassicFetch(_) => {}
        }
    }

    /// This peer is about to leave: nothing new begins, and what is not about to be there is given up.
    pub(crate) fn leave(&mut self, ctx: &mut Ctx) {
        self.drop_searches(ctx);
        self.mirror = None;
        ctx.timers.clear(Timer::Mirror);
        let under_way: Vec<_> = self.downloader.iter().map(|(content, _)| content).collect();
        for content in under_way {
            let publishing = |download: &Download| matches!(download.phase, Phase::Publishing);
            let whole = |download: &Download| {
                matches!(download.phase, Phase::Proving(_)) && !download.storing.is_empty()
            };
            // A file that is being published will be there in a moment; its content is written under no other name then.
            if !self.downloader.get(&content).is_some_and(|d| publishing(d) || whole(d)) {
                self.fail_download(ctx, content, FailReason::Cancelled);
            } else if let Some(download) = self.downloader.get_mut(&content) {
                for _ in std::mem::take(&mut download.followers) {
                    ctx.outputs.event(Event::Failed { content, reason: FailReason::Cancelled });
                }
            }
        }
    }

    /// What is known of peers and what they offer, for people.
    pub(crate) fn status(&self, now: Time) -> Status {
        Status {
            peers: self.directory.peer_statuses(now),
            contents: self.directory.content_statuses(),
            connections: self.links.open(),
            channels: self.links.channels(),
            ..Status::default()
        }
    }

    /// Panics when something is not as it must be.
    pub(crate) fn check(&self, config: &Config, conns: &Connections) {
        self.directory.check();
        self.downloader.check(config.limits.buffer_pool_bytes);
        self.seedings.values().for_each(Policy::check);
        self.check_links(conns);
        assert!(self.downloader.wanting().iter().eq(&conns.sought), "what downloads want of others");
        self.check_flights(conns);
    }
}
