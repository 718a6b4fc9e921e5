//! Foreign peers at work in the world: they announce, take connections and answer, and fetch.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::{ConnId, DatagramTo};
use crate::sim::classic::Manner;
use crate::sim::classic::foreign::{Fetching, Move, Serving, Talk};
use crate::sim::network::index;
use crate::sim::queue::Happening;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Phase, StreamRef};
use crate::wire::classic::request;

/// How long a foreign peer waits before it looks for the next chunk to fetch.
const WISH_EVERY: Duration = Duration::from_millis(700);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Simulation {
    /// A foreign peer begins.
    pub(in crate::sim) fn start_foreign(&mut self, host: usize) {
        let incarnation = self.hosts[host].incarnation;
        if let Some(foreign) = &mut self.hosts[host].foreign {
            foreign.restart();
            let first = self.rng.duration_below(Duration::from_millis(500));
            for (after, what) in [
                (first, Happening::ForeignAnnounces { host: index(host), incarnation }),
                (WISH_EVERY, Happening::ForeignWishes { host: index(host), incarnation }),
            ] {
                self.queue.push(self.now + after, what);
            }
            if let Manner::Floods(every) = foreign.spec.manner {
                let flood = Happening::ForeignFloods { host: index(host), incarnation };
                self.queue.push(self.now + every, flood);
            }
        }
    }

    pub(in crate::sim) fn foreign_announces(&mut self, host: usize) {
        let IpAddr::V4(address) = self.hosts[host].ip else { return };
        let incarnation = self.hosts[host].incarnation;
        let Some(foreign) = &self.hosts[host].foreign else { return };
        let datagrams = foreign.announcements(address, &format!("foreign-{host}"), &self.library);
        let (ports, every) = (foreign.spec.dialect.udp_ports(), foreign.spec.announce_every);
        for port in ports {
            for bytes in &datagrams {
                self.send_datagram(host, DatagramTo::EverybodyAt { port: *port }, bytes.clone());
            }
        }
        self.queue.push(self.now + every, Happening::ForeignAnnounces { host: index(host), incarnation });
    }

    /// Garbage to each classic port: noise, broken JSON, names that are paths.
    pub(in crate::sim) fn foreign_floods(&mut self, host: usize) {
        const TEXTS: [&str; 6] = [
            "{\"chunks\": [\"../../etc/passwd_1\", \"a/b_1\", \"x_0\", \"\", 7, null]}",
            "{\"username\": null, \"files\": {\"a\": []}}",
            "{\"chunks\": {\"x_1.png\": {\"size\": -1, \"checksum\": 3}}}",
            "{\"chunks\": [[[[[[[[[[[[",
            "[1, 2",
            "{\"chunks\": [\"noise_1\"",
        ];
        let incarnation = self.hosts[host].incarnation;
        let Some(Manner::Floods(every)) = self.hosts[host].foreign.as_ref().map(|f| f.spec.manner) else {
            return;
        };
        for port in [5000, 5001, 5002] {
            let bytes = match self.rng.below(TEXTS.len() + 2) {
                at if at < TEXTS.len() => TEXTS[at].as_bytes().to_vec(),
                at if at == TEXTS.len() => vec![0x5b; 60_000],
                _ => self.rng.bytes16().to_vec(),
            };
            self.send_datagram(host, DatagramTo::EverybodyAt { port }, bytes);
        }
        self.queue.push(self.now + every, Happening::ForeignFloods { host: index(host), incarnation });
    }

    pub(in crate::sim) fn foreign_heard(&mut self, host: usize, from: IpAddr, bytes: &[u8]) {
        if let Some(foreign) = &mut self.hosts[host].foreign {
            foreign.hear(self.now, from, bytes);
        }
    }

    /// One chunk is fetched at a time; when none is under way, the next one is.
    pub(in crate::sim) fn foreign_wishes(&mut self, host: usize) {
        let incarnation = self.hosts[host].incarnation;
        self.queue.push(self.now + WISH_EVERY, Happening::ForeignWishes { host: index(host), incarnation });
        let Some(foreign) = &mut self.hosts[host].foreign else { return };
        if foreign.talks.values().any(|talk| matches!(talk, Talk::Fetching(_))) {
            return;
        }
        let Some((name, from)) = foreign.next_wish(&self.library, &mut self.rng) else { return };
        let (conn, dialect) = (foreign.next_conn(), foreign.spec.dialect);
        foreign.talks.insert(conn, Talk::Fetching(Fetching::new(dialect, name, from)));
        self.dial(host, conn, SocketAddr::new(from, dialect.tcp_port()));
        let late = Happening::ForeignGoesOn { host: index(host), incarnation, conn };
        self.queue.push(self.now + PATIENCE, late);
    }

    /// A connection comes in, if somebody listens.
    pub(in crate::sim) fn foreign_accepts(
        &mut self,
        host: usize,
        from: IpAddr,
        local_port: u16,
    ) -> Option<ConnId> {
        let now = self.now;
        let foreign = self.hosts[host].foreign.as_mut()?;
        if foreign.tcp_port() != local_port || !foreign.listens_to(now, from) {
            return None;
        }
        let over: Vec<ConnId> = foreign
            .talks
            .iter()
            .filter(|(_, talk)| matches!(talk, Talk::Serving(Serving { answered: true, .. })))
            .map(|(conn, _)| *conn)
            .collect();
        let conn = foreign.next_conn();
        foreign.talks.insert(conn, Talk::Serving(Serving::new(local_port)));
        if foreign.spec.manner == Manner::NeverCloses {
            over.into_iter().for_each(|conn| self.foreign_closes(host, conn));
        }
        Some(conn)
    }

    /// A connection broke.
    pub(in crate::sim) fn foreign_lost(&mut self, host: usize, conn: ConnId) {
        if let Some(foreign) = &mut self.hosts[host].foreign {
            foreign.talks.remove(&conn);
        }
    }

    /// A pause is over, or patience is.
    pub(in crate::sim) fn foreign_goes_on(&mut self, host: usize, conn: ConnId) {
        let Some(foreign) = &self.hosts[host].foreign else { return };
        match foreign.talks.get(&conn) {
            Some(Talk::Fetching(_)) => self.foreign_closes(host, conn),
            Some(Talk::Serving(_)) => {
                if let Some((stream, end)) = self.hosts[host].socket(conn) {
                    self.mark_ready(stream, end, true, true);
                }
            }
            None => {}
        }
    }

    fn foreign_closes(&mut self, host: usize, conn: ConnId) {
        self.foreign_lost(host, conn);
        if let Some((stream, end)) = self.hosts[host].socket(conn) {
            self.close(stream, end);
        }
    }

    /// The next end of a host on which something can be done, and its connection, if that is open.
    pub(in crate::sim) fn next_ready(&mut self, host: usize) -> Option<(StreamRef, u8, Option<ConnId>)> {
        let (stream, end) = self.hosts[host].ready.pop_front()?;
        let Some(found) = self.streams.get_mut(stream) else { return Some((stream, end, None)) };
        let is_open = found.phase != Phase::Dialling || end != 0;
        let visited = &mut found.ends[usize::from(end)];
        (visited.wants_read, visited.wants_write) = (false, false);
        Some((stream, end, visited.conn().filter(|_| is_open)))
    }

    /// Everything a foreign peer has to do now on its connections.
    pub(in crate::sim) fn foreign_turn(&mut self, host: usize) {
        self.forget_closed();
        while let Some((stream, end, visited)) = self.next_ready(host) {
            if let Some(conn) = visited {
                self.foreign_reads(host, stream, end, conn);
                self.foreign_writes(host, stream, end, conn);
            }
            self.forget_closed();
        }
    }

    fn foreign_reads(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let from = &mut found.ends[usize::from(1 - end)];
        let available = from.out.available();
        from.out.peek_control(available, &mut self.scratch);
        from.out.consume(available);
        let ended = from.out.at_end();
        self.consumed(stream, 1 - end);
        let bytes = std::mem::take(&mut self.scratch);
        let Some(mut foreign) = self.hosts[host].foreign.take() else { return };
        let complaint = match foreign.talks.remove(&conn) {
            Some(Talk::Serving(mut serving)) => {
                serving.take(&bytes, &foreign, &self.library, &mut self.rng);
                foreign.talks.insert(conn, Talk::Serving(serving));
                None
            }
            Some(Talk::Fetching(mut fetching)) => {
                let complaint = fetching.take(&bytes).err();
                let chunk = fetching.chunk(ended).filter(|chunk| !chunk.is_empty());
                let over = complaint.is_some() || ended || chunk.is_some() || fetching.is_missing();
                if let Some(chunk) = chunk {
                    let told = self.watch.delivered(
                        &fetching.name,
                        fetching.from,
                        &chunk,
                        &self.hosts,
                        &self.library,
                    );
                    self.oracle.checked(host, conn, told);
                    foreign.got.insert(fetching.name.clone(), chunk);
                }
                if !over {
                    foreign.talks.insert(conn, Talk::Fetching(fetching));
                }
                complaint
            }
            None => None,
        };
        let over = !foreign.talks.contains_key(&conn);
        self.hosts[host].foreign = Some(foreign);
        self.scratch = bytes;
        if let Some(what) = complaint {
            self.oracle.fail(format!("foreign host {host} {conn}: {what}"));
        }
        let half_closed = self.streams.end_mut(stream, end).is_none_or(|end| end.out.fin);
        if over || (ended && half_closed) {
            self.foreign_closes(host, conn);
        }
    }

    fn foreign_writes(&mut self, host: usize, stream: StreamRef, end: u8, conn: ConnId) {
        let (now, incarnation) = (self.now, self.hosts[host].incarnation);
        loop {
            let Some(foreign) = &mut self.hosts[host].foreign else { return };
            let manner = foreign.spec.manner;
            let next = match foreign.talks.get_mut(&conn) {
                Some(Talk::Serving(serving)) => serving.next(now, manner),
                Some(Talk::Fetching(fetching)) if !fetching.asked => {
                    fetching.asked = true;
                    Move::Write(request::encode(foreign.spec.dialect, &fetching.name))
                }
                _ => Move::Nothing,
            };
            match next {
                Move::Nothing => return,
                Move::Write(bytes) => self.foreign_sends(stream, end, &bytes),
                Move::Pause(until) => {
                    let on = Happening::ForeignGoesOn { host: index(host), incarnation, conn };
                    self.queue.push(until, on);
                    return;
                }
                Move::Endless(bytes) => {
                    let Some(writer) = self.streams.end_mut(stream, end) else { return };
                    writer.write_blocked = true;
                    if writer.out.unsent() > 0 {
                        return;
                    }
                    self.foreign_sends(stream, end, &bytes);
                    return;
                }
                Move::HalfClose => {
                    if let Some(writer) = self.streams.end_mut(stream, end) {
                        writer.out.fin = true;
                    }
                    self.kick(stream, end);
                    let other = self.streams.end_mut(stream, 1 - end).map(|other| other.address.ip());
                    let Some(foreign) = &mut self.hosts[host].foreign else { return };
                    other.into_iter().for_each(|other| foreign.has_served(now, other));
                    if self.streams.end_mut(stream, 1 - end).is_some_and(|other| other.out.at_end()) {
                        self.foreign_closes(host, conn);
                    }
                    return;
                }
            }
        }
    }

    fn foreign_sends(&mut self, stream: StreamRef, end: u8, bytes: &[u8]) {
        let now = self.now;
        let Some(found) = self.streams.get_mut(stream) else { return };
        let [writer, other] = crate::sim::network::pair(&mut found.ends, end);
        writer.out.write_control(bytes);
        // Foreign peers may say what they like; the checker ofly counts their requests and answers.
        let _ = match end {
            0 => writer.classic.asks(bytes, &other.classic).map(drop),
            _ => writer.classic.answers(now, bytes, &other.classic),
        };
        self.kick(stream, end);
    }

    /// Whether a foreign peer has fetched all of a content, and right.
    pub fn foreign_has(&self, host: usize, content: usize) -> bool {
        let foreign = self.hosts[host].foreign.as_ref();
        foreign.is_some_and(|foreign| foreign.has_all(&self.library, content))
    }
}
