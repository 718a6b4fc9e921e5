//! The oracle of the classic dialects: what is announced is there, what is asked was announced, what is received and
//! merged is what was shared, unless somebody on the way is known to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{ClassicEvent, DatagramTo};
use crate::sim::disk::Library;
use crate::sim::host::Host;
use crate::sim::tcp::Streams;
use crate::types::Time;
use crate::wire::classic::request::Request;
use crate::wire::classic::split::FIFTHS;
use crate::wire::classic::{ANNOUNCEMENT_EXPIRY, ChunkName, ChunkRule, DATAGRAM_BYTES_MAX, announcement};

/// What may pass between the moment an entry expires and the last request by it.
const EXPIRY_SLACK: Duration = Duration::from_secs(5);

/// What one host heard, and whether it can be blamed.
#[derive(Debug, Default)]
struct Seen {
    heard: BTreeSet<(IpAddr, String)>,
    last_heard: BTreeMap<IpAddr, Time>,
    /// Something was done to it that cuts answers short without a sign.
    disturbed: bool,
}

/// See [the module](self).
#[derive(Debug, Default)]
pub(in crate::sim) struct ClassicWatch {
    hosts: Vec<Seen>,
}

impl ClassicWatch {
    pub(in crate::sim) fn new(hosts: usize) -> ClassicWatch {
        ClassicWatch { hosts: (0..hosts).map(|_| Seen::default()).collect() }
    }

    /// A new peer runs on a host: it has heard nothing.
    pub(in crate::sim) fn started(&mut self, host: usize) {
        self.hosts[host].heard.clear();
        self.hosts[host].last_heard.clear();
    }

    /// What a host sends or receives may break off without a sign from here on.
    pub(in crate::sim) fn disturb(&mut self, host: usize) {
        self.hosts[host].disturbed = true;
    }

    /// A datagram came to a classic port of a host.
    pub(in crate::sim) fn heard(&mut self, now: Time, host: usize, from: IpAddr, bytes: &[u8]) {
        let Ok(told) = announcement::decode(bytes) else { return };
        let seen = &mut self.hosts[host];
        seen.last_heard.insert(from, now);
        seen.heard.extend(told.chunks.into_iter().map(|chunk| (from, chunk.name.to_string())));
    }

    /// What goes to classic ports is what their listeners survive, and what it names is there.
    pub(in crate::sim) fn datagram(
        &self,
        host: usize,
        to: DatagramTo,
        bytes: &[u8],
        hosts: &[Host],
        library: &Library,
    ) -> Result<(), String> {
        let place = &hosts[host];
        let named = |ip: IpAddr| place.spec.fixed_peers.iter().any(|other| hosts[*other].ip == ip);
        let heard = |ip: IpAddr| self.hosts[host].last_heard.contains_key(&ip);
        let port = match to {
            DatagramTo::EverybodyAt { port } if place.spec.broadcast => port,
            DatagramTo::One { addr, .. } if named(addr.ip()) || heard(addr.ip()) => addr.port(),
            _ => return Err(format!("sends a classic datagram to {to:?}, which it may not")),
        };
        let Ok(told) = announcement::decode(bytes) else {
            return Err(format!("sends to {port} what nobody reads: {:?}", String::from_utf8_lossy(bytes)));
        };
        let is_batch = bytes.starts_with(b"{\"peer_ip\"");
        let begins_well = match port {
            5000 => bytes.starts_with(b"{\"username\": \""),
            5001 => bytes.starts_with(b"{\"chunks\": [") || is_batch,
            5002 => is_batch,
            _ => true,
        };
        if !begins_well || told.chunks.is_empty() || told.names_refused > 0 {
            return Err(format!("sends to {port} what kills: {:?}", String::from_utf8_lossy(bytes)));
        }
        if bytes.len() > DATAGRAM_BYTES_MAX && !is_batch {
            return Err(format!("sends {} bytes to {port}", bytes.len()));
        }
        let shared = |name: &ChunkName| {
            let mut files = place.disk.files.keys().map(|content| &library.contents[*content]);
            files.any(|file| !truths_of(file.name.as_str(), file.size(), name).is_empty())
        };
        let bytes = place.disk.bytes.as_ref();
        let absent = told.chunks.iter().find(|chunk| {
            bytes.is_none_or(|bytes| bytes.chunk(&chunk.name).is_none()) && !shared(&chunk.name)
        });
        match absent {
            Some(chunk) if !self.hosts[host].disturbed => {
                Err(format!("announces {}, which is not there", chunk.name))
            }
            _ => Ok(()),
        }
    }

    /// A chunk is asked for only under the name by which its holder announced it, not long ago.
    pub(in crate::sim) fn asked(
        &self,
        now: Time,
        host: usize,
        to: IpAddr,
        asked: &Request,
        hosts: &[Host],
    ) -> Result<(), String> {
        let (seen, name) = (&self.hosts[host], &asked.name);
        if to == hosts[host].ip {
            return Err(format!("asks itself for {name}"));
        }
        let written_down =
            hosts[host].disk.bytes.as_ref().map(|bytes| bytes.dictionary()).unwrap_or_default();
        if written_down.get(name).is_some_and(|holders| holders.contains(&to)) {
            return Ok(());
        }
        if !seen.heard.contains(&(to, name.to_string())) {
            return Err(format!("asks {to} for {name}, which it did not announce"));
        }
        let silent = seen.last_heard.get(&to).map_or(Duration::ZERO, |heard| now.since(*heard));
        match silent > ANNOUNCEMENT_EXPIRY + EXPIRY_SLACK {
            true => Err(format!("asks {to}, which has been silent for {silent:?}")),
            false => Ok(()),
        }
    }

    /// Whether a host's pauses mean nothing on the world's clock.
    pub(in crate::sim) fn is_disturbed(&self, host: usize) -> bool {
        self.hosts[host].disturbed
    }

    /// What is received and merged is what was shared.
    pub(in crate::sim) fn event(
        &self,
        host: usize,
        event: &ClassicEvent,
        hosts: &[Host],
        library: &Library,
    ) -> Result<(), String> {
        let Some(store) = &hosts[host].disk.bytes else { return Ok(()) };
        match event {
            ClassicEvent::ChunkReceived { name, bytes, from, .. } => {
                let kept = store.kept(name).ok_or_else(|| format!("says {name} came, but it is not kept"))?;
                if kept.len() as u64 != *bytes {
                    return Err(format!("says {name} has {bytes} bytes; {} are kept", kept.len()));
                }
                let excused = self.excuses(name, from.ip(), &kept, hosts) || self.hosts[host].disturbed;
                if excused || is_right(name, &kept, library) {
                    return Ok(());
                }
                Err(format!("receives {name} from {from} with {bytes} bytes that are not its own"))
            }
            ClassicEvent::Finished { path, bytes, .. } => {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let merged = store.file(path).ok_or_else(|| format!("says {file} is there; it is not"))?;
                if merged.len() as u64 != *bytes {
                    return Err(format!("says {file} has {bytes} bytes; it has {}", merged.len()));
                }
                // Fewer than five chunks may be all of a tiny file, or the first of one that is a little larger.
                let may_be_a_part = ChunkRule::Fifths.count(*bytes) < Some(FIFTHS);
                let right = library.contents.iter().any(|content| {
                    let whole = content.size() == *bytes || (may_be_a_part && content.size() > *bytes);
                    whole && content.bytes(0, *bytes) == *merged
                });
                let of_file = file.rsplit_once('.').map_or(&*file, |(stem, _)| stem);
                match right || has_wrong(&hosts[host], of_file, library) {
                    true => Ok(()),
                    false => Err(format!("finishes {file}, which is not what was shared")),
                }
            }
            _ => Ok(()),
        }
    }

    /// What a foreign peer receives from one of ours is what was shared.
    pub(in crate::sim) fn delivered(
        &self,
        name: &ChunkName,
        from: IpAddr,
        chunk: &[u8],
        hosts: &[Host],
        library: &Library,
    ) -> Result<(), String> {
        // Among themselves they misunderstand each other: B takes B-json's header for data.
        let is_foreign = hosts.iter().any(|host| host.ip == from && host.foreign.is_some());
        match is_right(name, chunk, library) || is_foreign || self.excuses(name, from, chunk, hosts) {
            true => Ok(()),
            false => Err(format!("is given {} bytes of {name} by {from} that are not its own", chunk.len())),
        }
    }

    /// Whether a wrong chunk from there is nobody's mistake. Who kept it when it was asked for may have replaced it since.
    fn excuses(&self, name: &ChunkName, from: IpAddr, chunk: &[u8], hosts: &[Host]) -> bool {
        hosts.iter().zip(&self.hosts).find(|(host, _)| host.ip == from).is_none_or(|(host, seen)| {
            let hostile = host.spec.foreign.as_ref().is_some_and(|foreign| foreign.manner.is_hostile());
            hostile
                || seen.disturbed
                || host.disk.bytes.as_ref().is_some_and(|bytes| bytes.has_kept(name, chunk))
        })
    }

    /// Nothing stays open for a connection that is gone, and no spool without one.
    pub(in crate::sim) fn sweep(&self, now: Time, hosts: &[Host], streams: &Streams) -> Result<(), String> {
        for (number, host) in hosts.iter().enumerate().filter(|(_, host)| host.runs(now)) {
            let Some(bytes) = &host.disk.bytes else { continue };
            if let Some(conn) = bytes.open_for().into_iter().find(|conn| host.socket(*conn).is_none()) {
                return Err(format!("host {number} leaves a chunk open for {conn}, which is gone"));
            }
            if let Some(left) = bytes.left() {
                return Err(format!("host {number} has forgotten {}", left.display()));
            }
            let dialled =
                streams.iter().filter(|(_, stream)| stream.classic && stream.ends[0].host() == number);
            let (spools, dialled) = (bytes.spools(), dialled.count());
            if spools > dialled {
                return Err(format!("host {number} has {spools} spools for {dialled} connections"));
            }
        }
        Ok(())
    }
}

/// Whether a chunk of this file is kept there and wrong.
fn has_wrong(host: &Host, stem: &str, library: &Library) -> bool {
    let is_wrong =
        |(name, bytes): (ChunkName, Arc<Vec<u8>>)| name.stem() == stem && !is_right(&name, &bytes, library);
    host.disk.bytes.as_ref().is_some_and(|bytes| bytes.chunks().any(is_wrong))
}

/// Whether these are the bytes of a chunk that this name may stand for.
fn is_right(name: &ChunkName, chunk: &[u8], library: &Library) -> bool {
    library.contents.iter().any(|content| {
        let mut truths = truths_of(&content.name, content.size(), name).into_iter();
        truths.any(|(at, len)| content.bytes(at, len) == chunk)
    })
}

/// Where the chunk of this name may lie in a file: by each rule of cutting, if the name is one of the file's at all.
fn truths_of(file_name: &str, size: u64, chunk: &ChunkName) -> Vec<(u64, u64)> {
    let named = ChunkName::of_file(file_name, chunk.index(), chunk.form());
    let same = named.is_ok_and(|named| named.stem() == chunk.stem());
    let ranges = [ChunkRule::Fifths, ChunkRule::Fixed].into_iter();
    let ranges = ranges.filter_map(|rule| rule.range(size, chunk.index()).filter(|_| same));
    ranges.map(|range| (range.start, range.end - range.start)).collect()
}
