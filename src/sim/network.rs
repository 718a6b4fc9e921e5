//! The virtual network of streams: dials, bytes on their way between two sockets, closes and resets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::core::{BrokenWhy, ConnId, Input};
use crate::sim::host::{DISCOVERY_PORT, number_of};
use crate::sim::queue::Happening;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{End, Phase, Socket, Stream, StreamRef};
use crate::types::Time;

/// What a dial to an address where no machine answers takes to fail.
const NO_ANSWER: Duration = Duration::from_secs(3);
/// What a dial whose packets vanish takes to fail.
const DIAL_TIMEOUT: Duration = Duration::from_secs(127);
/// How long the driver waits for the last bytes of a closed connection to leave.
const LINGER: Duration = Duration::from_secs(2);

impl Simulation {
    pub(super) fn dial(&mut self, host: usize, conn: ConnId, to: SocketAddr) {
        let address = self.hosts[host].next_address();
        self.dial_from(host, address, conn, to);
    }

    /// Dials from an address that need not be the host's own.
    pub(super) fn dial_from(&mut self, host: usize, address: SocketAddr, conn: ConnId, to: SocketAddr) {
        let target = self.host_at(to.ip());
        let ends =
            [End::new(host, address, Socket::Held(conn)), End::new(target.unwrap_or(host), to, Socket::Gone)];
        let classic = to.port() != DISCOVERY_PORT;
        let transfer = classic && target.is_some_and(|target| self.hosts[target].spec.takes.is_some());
        let stream = self.streams.insert(Stream::dialled(ends, classic, transfer));
        self.hosts[host].attach(conn, stream, 0);
        let (wait, outcome) = match target {
            Some(target) if self.hosts[target].group != self.hosts[host].group => {
                (DIAL_TIMEOUT, Err(BrokenWhy::Unreachable))
            }
            Some(target) if self.hosts[target].powered => {
                let at = self.now + self.delay();
                self.queue.push(at, Happening::Syn { stream, to: index(target) });
                return;
            }
            _ => (NO_ANSWER, Err(BrokenWhy::Unreachable)),
        };
        self.queue.push(self.now + wait, Happening::Dialled { stream, outcome });
    }

    pub(super) fn syn_arrived(&mut self, stream: StreamRef, to: usize) {
        if self.hosts[to].paused_until > self.now {
            let at = self.hosts[to].paused_until;
            self.queue.push(at, Happening::Syn { stream, to: index(to) });
            return;
        }
        let Some(found) = self.streams.get(stream) else { return };
        let (from, asked) = (*found.ends[0].address, *found.ends[1].address);
        let answer_at = self.now + self.delay();
        let now = self.local_now(to);
        let listening = self.hosts[to].listens(asked.port());
        let peer = self.hosts[to].peer.as_mut().filter(|_| listening);
        let conn = match peer.map(|peer| peer.accepted(now, from, asked.port())) {
            Some(conn) => conn,
            None => match self
                .foreign_accepts(to, from.ip(), asked.port())
                .or_else(|| listening.then(|| self.hostile_accepts(to, from)).flatten())
            {
                Some(conn) => Some(conn),
                None => {
                    let outcome = Err(BrokenWhy::Refused);
                    self.queue.push(answer_at, Happening::Dialled { stream, outcome });
                    return;
                }
            },
        };
        self.oracle.heard(to, from.ip());
        self.queue.push(answer_at, Happening::Dialled { stream, outcome: Ok(()) });
        match conn {
            Some(conn) => {
                if let Some(end) = self.streams.end_mut(stream, 1) {
                    *end = End::new(to, asked, Socket::Held(conn));
                    end.out.last_arrival = answer_at;
                }
                self.hosts[to].attach(conn, stream, 1);
                self.mark_ready(stream, 1, true, true);
            }
            None => self.queue.push(answer_at, Happening::Reset { stream, end: 0 }),
        }
        self.mutated(to);
        self.touch(to);
    }

    pub(super) fn dial_answered(&mut self, stream: StreamRef, outcome: Result<(), BrokenWhy>) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let end = &mut found.ends[0];
        let (host, Some(conn)) = (end.host(), end.conn()) else { return };
        let input = match outcome {
            Ok(()) => {
                found.phase = Phase::Open;
                Input::Connected { conn }
            }
            Err(why) => {
                end.socket = Socket::Gone;
                Input::Broken { conn, why }
            }
        };
        match outcome {
            Ok(()) => self.mark_ready(stream, 0, true, true),
            Err(_) => {
                self.hosts[host].detach(conn);
                self.streams.remove_if_over(stream);
            }
        }
        self.tell(host, input);
    }

    /// Puts what an end has written on its host's uplink, as far as the other side's window allows.
    pub(super) fn kick(&mut self, stream: StreamRef, end: u8) {
        let window = self.scenario.network.window_bytes;
        let Some(found) = self.streams.get(stream) else { return };
        let (sender, receiver) = (&found.ends[usize::from(end)], &found.ends[usize::from(1 - end)]);
        let (host, out) = (sender.host(), &sender.out);
        if sender.in_uplink || (out.unsent() == 0 && (!out.fin || out.fin_sent)) {
            return;
        }
        let (apart, stuck) = (
            self.hosts[host].group != self.hosts[receiver.host()].group,
            out.unsent() > 0 && out.sendable(window) == 0,
        );
        if let Some(sender) = self.streams.end_mut(stream, end) {
            sender.held_back = apart;
            sender.window_blocked = stuck;
            if apart || stuck {
                return;
            }
            sender.in_uplink = true;
        }
        self.hosts[host].uplink.push_back((stream, end));
        self.start_uplink(host);
    }

    fn start_uplink(&mut self, host: usize) {
        while !self.hosts[host].uplink_busy {
            let Some((stream, end)) = self.hosts[host].uplink.pop_front() else { return };
            let network = &self.scenario.network;
            let piece = self.rng.next_u64() % network.piece_bytes_max.max(1) + 1;
            let Some(sender) = self.streams.end_mut(stream, end) else { continue };
            let bytes = sender.out.sendable(network.window_bytes).min(piece);
            if bytes > 0 {
                let at = self.now + at_rate(bytes, self.hosts[host].spec.up);
                self.hosts[host].uplink_busy = true;
                self.queue.push(at, Happening::Transmitted { host: index(host), stream, end, bytes });
                return;
            }
            sender.in_uplink = false;
            sender.window_blocked = sender.out.unsent() > 0;
            if sender.out.fin && !sender.out.fin_sent && sender.out.unsent() == 0 {
                self.send_fin(stream, end);
            }
        }
    }

    fn send_fin(&mut self, stream: StreamRef, end: u8) {
        let at = self.now + self.delay();
        let Some(sender) = self.streams.end_mut(stream, end) else { return };
        sender.out.fin_sent = true;
        sender.out.last_arrival = sender.out.last_arrival.max(at);
        let at = sender.out.last_arrival;
        self.queue.push(at, Happening::FinArrived { stream, end });
        if let Socket::Lingering(conn) = sender.socket {
            let host = sender.host();
            sender.socket = Socket::Gone;
            self.forgotten.push((host, conn));
        }
    }

    pub(super) fn transmitted(&mut self, host: usize, stream: StreamRef, end: u8, bytes: u64) {
        self.hosts[host].uplink_busy = false;
        let delay = self.delay();
        let (window, buffer) = (self.scenario.network.window_bytes, self.scenario.network.send_buffer_bytes);
        let mut woken = false;
        if let Some(found) = self.streams.get_mut(stream) {
            let to = found.ends[usize::from(1 - end)].host();
            let sender = &mut found.ends[usize::from(end)];
            let bytes = sender.out.transmit(bytes);
            if bytes > 0 {
                let through = self.hosts[to].downlink_free_at + at_rate(bytes, self.hosts[to].spec.down);
                let at = (self.now + delay).max(through).max(sender.out.last_arrival);
                self.hosts[to].downlink_free_at = through.max(self.now + delay);
                sender.out.last_arrival = at;
                self.queue.push(at, Happening::Arrived { stream, end, bytes });
            }
            woken = sender.write_blocked && sender.out.room(buffer) * 3 >= buffer;
            sender.write_blocked &= !woken;
            sender.in_uplink = false;
            sender.window_blocked = sender.out.unsent() > 0 && sender.out.sendable(window) == 0;
        }
        if woken {
            self.mark_ready(stream, end, false, true);
        }
        self.kick(stream, end);
        self.start_uplink(host);
    }

    pub(super) fn arrived(&mut self, stream: StreamRef, end: u8, bytes: u64) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let [sender, receiver] = pair(&mut found.ends, end);
        sender.out.arrive(bytes);
        match receiver.socket {
            Socket::Held(_) => self.mark_ready(stream, 1 - end, true, false),
            Socket::Lingering(_) => self.discard(stream, end),
            Socket::Gone if !self.hosts[receiver.host()].powered => {}
            Socket::Gone => {
                // Who throws away what comes on a classic connection does not do so for ever.
                let (quiet, expecting) = (receiver.quiet && !found.classic, sender.socket != Socket::Gone);
                self.discard(stream, end);
                if !quiet && expecting {
                    let at = self.now + self.delay();
                    self.queue.push(at, Happening::Reset { stream, end });
                }
            }
        }
        self.streams.remove_if_over(stream);
    }

    fn discard(&mut self, stream: StreamRef, end: u8) {
        if let Some(sender) = self.streams.end_mut(stream, end) {
            sender.out.discard_arrived();
        }
        self.consumed(stream, end);
    }

    pub(super) fn fin_arrived(&mut self, stream: StreamRef, end: u8) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let [sender, receiver] = pair(&mut found.ends, end);
        sender.out.fin_arrived = true;
        match receiver.socket {
            Socket::Held(_) => self.mark_ready(stream, 1 - end, true, false),
            Socket::Lingering(_) | Socket::Gone => self.streams.remove_if_over(stream),
        }
    }

    /// The reader took bytes that `end` had sent: when the writer waits for that, it hears of it.
    pub(super) fn consumed(&mut self, stream: StreamRef, end: u8) {
        let window = self.scenario.network.window_bytes;
        let at = self.now + self.delay();
        let Some(sender) = self.streams.end_mut(stream, end) else { return };
        if sender.window_blocked && sender.out.window_room(window) * 4 >= window {
            sender.window_blocked = false;
            self.queue.push(at, Happening::WindowOpened { stream, end });
        }
    }

    /// A reset is at `end`.
    pub(super) fn reset_arrived(&mut self, stream: StreamRef, end: u8) {
        let Some(socket) = self.streams.end_mut(stream, end) else { return };
        let (host, was) = (socket.host(), socket.socket);
        socket.socket = Socket::Gone;
        socket.quiet = true;
        socket.out.forget_unsent();
        let input = match was {
            Socket::Held(conn) => Some((conn, Input::Broken { conn, why: BrokenWhy::Reset })),
            Socket::Lingering(conn) => Some((conn, Input::Closed { conn })),
            Socket::Gone => None,
        };
        self.streams.remove_if_over(stream);
        if let Some((conn, input)) = input {
            self.hosts[host].detach(conn);
            self.tell(host, input);
        }
    }

    /// The core has asked to close: what was written still leaves, and then the driver forgets the connection.
    pub(super) fn close(&mut self, stream: StreamRef, end: u8) {
        let (now, delay) = (self.now, self.delay());
        let Some(found) = self.streams.get_mut(stream) else { return };
        let dialling = found.phase == Phase::Dialling && end == 0;
        let [closing, other] = pair(&mut found.ends, end);
        let Some(conn) = closing.conn() else { return };
        closing.quiet = true;
        if dialling || closing.out.fin_sent {
            closing.socket = Socket::Gone;
            let (host, answered) = (closing.host(), other.socket != Socket::Gone);
            if dialling && answered {
                self.queue.push(now + delay, Happening::Reset { stream, end: 1 });
            } else {
                self.streams.remove_if_over(stream);
            }
            self.forgotten.push((host, conn));
            return;
        }
        closing.socket = Socket::Lingering(conn);
        closing.out.fin = true;
        other.out.discard_arrived();
        self.queue.push(now + LINGER, Happening::LingerOver { stream, end });
        self.consumed(stream, 1 - end);
        self.kick(stream, end);
    }

    /// The core has asked for a reset: what was written and is not sent does not leave.
    pub(super) fn abort(&mut self, stream: StreamRef, end: u8) {
        let at = self.now + self.delay();
        let Some(closing) = self.streams.end_mut(stream, end) else { return };
        let Some(conn) = closing.conn() else { return };
        closing.socket = Socket::Gone;
        closing.quiet = true;
        closing.out.forget_unsent();
        let host = closing.host();
        self.forgotten.push((host, conn));
        self.queue.push(at, Happening::Reset { stream, end: 1 - end });
    }

    pub(super) fn linger_over(&mut self, stream: StreamRef, end: u8) {
        let at = self.now + self.delay();
        let Some(closing) = self.streams.end_mut(stream, end) else { return };
        if let Socket::Lingering(conn) = closing.socket {
            closing.socket = Socket::Gone;
            closing.out.forget_unsent();
            let host = closing.host();
            self.forgotten.push((host, conn));
            self.queue.push(at, Happening::Reset { stream, end: 1 - end });
        }
    }

    /// Who has this address.
    pub(super) fn host_at(&self, ip: IpAddr) -> Option<usize> {
        number_of(ip).map(|host| host as usize).filter(|host| *host < self.hosts.len())
    }

    /// What a packet takes from host to host.
    pub(super) fn delay(&mut self) -> Duration {
        let (latency, jitter) = (self.scenario.network.latency, self.scenario.network.jitter);
        if jitter.is_zero() { latency } else { latency + self.rng.duration_below(jitter) }
    }
}

/// The sending end and the receiving one.
pub(super) fn pair(ends: &mut [End; 2], sender: u8) -> [&mut End; 2] {
    let [a, b] = ends;
    if sender == 0 { [a, b] } else { [b, a] }
}

pub(super) fn index(host: usize) -> u32 {
    u32::try_from(host).unwrap_or(u32::MAX)
}

fn at_rate(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}

/// The earliest of what there is.
pub(super) fn earlier(a: Option<Time>, b: Time) -> bool {
    a.is_none_or(|a| b < a)
}
