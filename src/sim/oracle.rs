//! The oracle: looks at everything, and says when something is as it must never be.
//!
//! The numbers are those of the invariants in the catalogue of faults: nothing is sent or claimed that the disk did
//! not verify (I1, I6), deadlines (I12), datagrams (I13), dials (I14), completion (I15), one connection a pair (I17),
//! honest peers are not banned (I20), tables stay within their limits (I7). What is checked where it happens stands in `driver` and `disk`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::{ConnId, DatagramTo, Event, Limits};
use crate::sim::disk::{Disk, Library};
use crate::sim::host::{Host, number_of};
use crate::sim::scenario::{PlaceSpec, Scenario};
use crate::sim::tcp::{Phase, Streams};
use crate::types::{Bitfield, ContentId, Time};
use crate::wire::datagram::{self, DATAGRAM_BYTES_MAX};
use crate::wire::message::Datagram;

/// Answers to one address within the gap between two answers to one asker.
const ANSWERS_A_GAP_MAX: usize = 32;
/// Who answers everybody has heard so many hosts.
const CROWD_MIN: usize = 32;
/// Datagrams of one burst come within this.
const BURST: Duration = Duration::from_millis(50);
/// Two connections between the same peers are settled within this.
const PAIR_SETTLE: Duration = Duration::from_secs(15);

/// What the oracle remembers of one host's running peer.
#[derive(Debug, Default)]
struct Watch {
    burst_began: Option<Time>,
    /// When it last answered a crowd.
    crowd_answered: Option<Time>,
    burst_datagrams: usize,
    answered: BTreeMap<SocketAddr, Vec<Time>>,
    /// The names that contents are resolved under and not finished.
    wanted: BTreeMap<ContentId, BTreeSet<String>>,
    /// Which hosts it heard from.
    heard: Bitfield,
    /// The addresses of no host that it heard from.
    strangers: BTreeSet<IpAddr>,
    /// Others may ban it: something on it is wrong.
    suspect: bool,
    /// Its clock jumped, so that times measured on the world's clock mean nothing.
    jumped: bool,
}

impl Watch {
    /// A peer that has done nothing yet, among so many hosts.
    fn new(hosts: usize, suspect: bool) -> Watch {
        Watch {
            heard: Bitfield::empty(u32::try_from(hosts).unwrap_or(u32::MAX)),
            suspect,
            ..Watch::default()
        }
    }

    fn has_heard(&self, from: IpAddr) -> bool {
        number_of(from).is_some_and(|host| self.heard.get(host)) || self.strangers.contains(&from)
    }
}

/// See [the module](self).
#[derive(Debug)]
pub(super) struct Oracle {
    violation: Option<String>,
    watches: Vec<Watch>,
    limits: Limits,
    /// Since when two hosts have held more than one connection.
    doubled: BTreeMap<(usize, usize), Time>,
}

impl Oracle {
    pub(super) fn new(scenario: &Scenario) -> Oracle {
        Oracle {
            violation: None,
            watches: scenario.hosts.iter().map(|_| Watch::new(scenario.hosts.len(), false)).collect(),
            limits: scenario.limits.clone(),
            doubled: BTreeMap::new(),
        }
    }

    /// The first thing that was wrong is kept.
    pub(super) fn fail(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// What a checker found.
    pub(super) fn checked(&mut self, host: usize, conn: ConnId, heard: Result<(), String>) {
        if let Err(what) = heard {
            self.fail(format!("host {host} {conn} {what}"));
        }
    }

    /// A host's disk was asked for something: what it complains of is wrong.
    pub(super) fn heed_disk(&mut self, host: usize, disk: &mut Disk) {
        self.heed_buffers(host, disk);
        if let Some(complaint) = disk.bytes.as_mut().and_then(|bytes| bytes.complaint.take()) {
            self.fail(format!("host {host}: {complaint}"));
        }
    }

    /// The same, where nothing but a chunk buffer was touched.
    pub(super) fn heed_buffers(&mut self, host: usize, disk: &mut Disk) {
        if let Some(complaint) = disk.complaint.take() {
            self.fail(format!("host {host}: {complaint}"));
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.violation.is_some()
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    /// A new peer runs on a host.
    pub(super) fn started(&mut self, host: usize) {
        let suspect = self.watches[host].suspect;
        self.watches[host] = Watch::new(self.watches.len(), suspect);
    }

    /// Others may rightly ban this host.
    pub(super) fn suspect(&mut self, host: usize) {
        self.watches[host].suspect = true;
    }

    pub(super) fn suspended(&mut self, host: usize) {
        self.watches[host].jumped = true;
    }

    /// A host's peer heard from an address.
    pub(super) fn heard(&mut self, host: usize, from: IpAddr) {
        match number_of(from) {
            Some(from) => drop(self.watches[host].heard.set(from)),
            None => drop(self.watches[host].strangers.insert(from)),
        }
    }

    /// I13: bursts, answers, sizes; I1: what is announced is there.
    pub(super) fn datagram(&mut self, now: Time, host: usize, to: DatagramTo, bytes: &[u8], hosts: &[Host]) {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return self.fail(format!("host {host} sends a datagram of {} bytes", bytes.len()));
        }
        let (announce_gap, answer_gap) = (self.limits.announce_gap_min, self.limits.answer_gap_min);
        let burst_max = self.limits.announce_datagrams_max;
        let watch = &mut self.watches[host];
        let complaint = match (datagram::decode(bytes), to) {
            (Err(error), _) => Some(format!("sends a datagram that nobody reads: {error}")),
            (Ok(Datagram::Query(_)), _) if bytes.len() != DATAGRAM_BYTES_MAX => {
                Some(format!("sends a query of {} bytes", bytes.len()))
            }
            (Ok(Datagram::Query(_)), _) => None,
            (Ok(Datagram::Announcement(said)), DatagramTo::One { addr, .. }) if said.answers.is_some() => {
                // Several processes may come and go at one address; mutilated ids make more of them than there are.
                let times = watch.answered.entry(addr).or_default();
                times.retain(|before| now.since(*before) < answer_gap);
                times.push(now);
                (times.len() > ANSWERS_A_GAP_MAX && !watch.jumped)
                    .then(|| format!("answers {addr} {} times within {answer_gap:?}", times.len()))
            }
            (Ok(Datagram::Announcement(said)), DatagramTo::Everybody) if said.answers.is_some() => {
                let last = watch.crowd_answered.replace(now);
                let early = last.is_some_and(|last| now.since(last) < announce_gap) && !watch.jumped;
                let heard = watch.heard.count() as usize + watch.strangers.len();
                match (early, heard < CROWD_MIN) {
                    (true, _) => Some(format!("answers everybody twice within {announce_gap:?}")),
                    (_, true) => Some(format!("answers everybody, and heard {heard} hosts")),
                    _ => None,
                }
            }
            (Ok(Datagram::Announcement(_)), _) => {
                let began = watch.burst_began.filter(|began| now.since(*began) <= BURST);
                let gap = watch.burst_began.map(|began| now.since(began));
                if began.is_none() {
                    (watch.burst_began, watch.burst_datagrams) = (Some(now), 0);
                }
                watch.burst_datagrams += usize::from(to == DatagramTo::Everybody);
                let early = began.is_none() && gap.is_some_and(|gap| gap < announce_gap) && !watch.jumped;
                match (early, watch.burst_datagrams > burst_max) {
                    (true, _) => Some(format!("announces again after {gap:?}")),
                    (_, true) => Some(format!("announces in {} datagrams", watch.burst_datagrams)),
                    _ => None,
                }
            }
        };
        let to_stranger = match to {
            DatagramTo::Everybody | DatagramTo::EverybodyAt { .. } => !hosts[host].spec.broadcast,
            DatagramTo::One { addr, .. } => {
                let named = hosts[host].spec.fixed_peers.iter().any(|other| hosts[*other].ip == addr.ip());
                !named && !self.watches[host].has_heard(addr.ip())
            }
        };
        match (complaint, to_stranger) {
            (Some(what), _) => self.fail(format!("host {host} {what}")),
            (None, true) => self.fail(format!("host {host} sends a datagram to {to:?}, which it may not")),
            (None, false) => {}
        }
    }

    /// What was found of a datagram to the classic ports.
    pub(super) fn datagram_told(&mut self, host: usize, told: Result<(), String>) {
        if let Err(what) = told {
            self.fail(format!("host {host} {what}"));
        }
    }

    /// I14: only to who was heard or named, and never to itself.
    pub(super) fn dial(&mut self, host: usize, to: SocketAddr, hosts: &[Host]) {
        let spec = &hosts[host].spec;
        let neighbours: Vec<usize> = match &spec.place {
            Some(PlaceSpec::Peer { owner, neighbours, .. }) => {
                [*owner].iter().chain(neighbours).copied().collect()
            }
            Some(PlaceSpec::Owner { .. }) | None => Vec::new(),
        };
        let named = spec.fixed_peers.iter().chain(&neighbours).any(|other| hosts[*other].tcp_address() == to);
        let dictionary = hosts[host].disk.bytes.as_ref().map(|bytes| bytes.dictionary());
        let written_down = dictionary.is_some_and(|says| says.values().any(|at| at.contains(&to.ip())));
        if named || written_down {
            return;
        }
        if to == hosts[host].tcp_address() {
            self.fail(format!("host {host} dials itself"));
        } else if to.port() < 1024 || !self.watches[host].has_heard(to.ip()) {
            self.fail(format!("host {host} dials {to}, which it never heard"));
        }
    }

    /// I12: while a get or a transfer is under way there is a deadline.
    pub(super) fn no_deadline(&mut self, host: usize, place: &Host, transfers: bool) {
        if (0..place.gets.len()).any(|get| place.gets.is_pending(get))
            || place.classic_gets.any_pending()
            || place.leaving
            || transfers
        {
            self.fail(format!("host {host} waits for something without a deadline"));
        }
    }

    /// I15: finished once, and only with the whole file; I20: honest peers are not banned.
    pub(super) fn event(&mut self, host: usize, event: &Event, hosts: &[Host], library: &Library) {
        match event {
            Event::Finished { content, .. } => {
                let whole =
                    library.find(content).is_some_and(|content| hosts[host].disk.holds_whole(content));
                if !whole {
                    self.fail(format!("host {host} says {content:?} is finished, but it is not whole"));
                } else if self.watches[host].wanted.entry(*content).or_default().pop_first().is_none() {
                    self.fail(format!("host {host} says twice that {content:?} is finished"));
                }
            }
            Event::Resolved { content, name, .. } => {
                // Asked for anew, or under another name, it may be finished anew.
                self.watches[host].wanted.entry(*content).or_default().insert(name.to_string());
            }
            Event::PeerBanned { peer, why } => {
                let banned = hosts.iter().position(|other| other.ip == peer.addr.ip());
                if let Some(banned) = banned
                    && hosts[banned].honest()
                    && hosts[host].honest()
                    && !self.watches[banned].suspect
                {
                    self.fail(format!("host {host} bans honest host {banned}: {why}"));
                }
            }
            Event::ChunkReceived { content, chunk, .. } => {
                let there = library
                    .find(content)
                    .is_some_and(|content| hosts[host].disk.holds_chunk(content, *chunk));
                if !there {
                    self.fail(format!(
                        "host {host} says it received chunk {chunk} of {content:?}, which is not there"
                    ));
                }
            }
            _ => {}
        }
    }

    /// Looks at the whole world.
    pub(super) fn sweep(&mut self, now: Time, hosts: &[Host], streams: &Streams, library: &Library) {
        self.sweep_pairs(now, hosts, streams);
        self.sweep_requests(hosts, streams);
        for (number, host) in hosts.iter().enumerate() {
            let Some(peer) = host.peer.as_ref().filter(|_| host.runs(now)) else { continue };
            peer.check_invariants();
            let status = peer.status(now + host.clock_ahead);
            // Peers are those that are connected, as many again that were, and those that were only heard.
            let connections_max = self.limits.connections_max;
            for (what, count, most) in [
                ("connections", status.connections, connections_max),
                ("peers", status.peers.len(), self.limits.peers_max + 2 * connections_max),
            ] {
                if count > most {
                    self.fail(format!("host {number} keeps {count} {what}, more than {most}"));
                }
            }
            for download in status.downloads {
                let held = library.find(&download.content).map_or(0, |at| host.disk.chunks_held(at));
                if download.have > held {
                    let (have, content) = (download.have, download.content);
                    self.fail(format!(
                        "host {number} claims {have} chunks of {content:?}, but {held} are there"
                    ));
                }
                if download.chunks > 0 && download.have + narrow(download.in_flight) > 2 * download.chunks {
                    self.fail(format!("host {number} asks more than twice for what it lacks"));
                }
            }
        }
    }

    /// I8: nobody asks more than two peers for one chunk.
    fn sweep_requests(&mut self, hosts: &[Host], streams: &Streams) {
        let mut asked: BTreeMap<(usize, usize, u32), u32> = BTreeMap::new();
        for (_, stream) in streams.iter() {
            for end in stream.ends.iter().filter(|end| end.conn().is_some() && hosts[end.host()].honest()) {
                for (content, chunk) in end.checker.asked() {
                    *asked.entry((end.host(), content, chunk)).or_default() += 1;
                }
            }
        }
        if let Some(((host, content, chunk), count)) = asked.into_iter().find(|(_, count)| *count > 2) {
            self.fail(format!("host {host} waits for chunk {chunk} of content {content} from {count} peers"));
        }
    }

    /// I17: two peers do not keep two connections.
    fn sweep_pairs(&mut self, now: Time, hosts: &[Host], streams: &Streams) {
        let mut count: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for (_, stream) in streams.iter() {
            let [a, b] = &stream.ends;
            let both =
                a.conn().is_some() && b.conn().is_some() && stream.phase == Phase::Open && !stream.classic;
            let sane = [a, b].iter().all(|end| hosts[end.host()].honest() && hosts[end.host()].runs(now));
            if both && sane && hosts[a.host()].group == hosts[b.host()].group {
                *count.entry((a.host().min(b.host()), a.host().max(b.host()))).or_default() += 1;
            }
        }
        self.doubled.retain(|pair, _| count.get(pair).is_some_and(|count| *count > 1));
        for (pair, _) in count.iter().filter(|(_, count)| **count > 1) {
            let since = *self.doubled.entry(*pair).or_insert(now);
            if now.since(since) > PAIR_SETTLE {
                self.violation
                    .get_or_insert(format!("hosts {pair:?} have held two connections since {since}"));
            }
        }
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
