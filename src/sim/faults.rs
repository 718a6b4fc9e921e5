//! What goes wrong: the scenario's timeline, carried out.

use crate::core::{Command, Input};
use crate::sim::disk::StoreTask;
use crate::sim::queue::Happening;
use crate::sim::scenario::Action;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Socket, StreamRef};

impl Simulation {
    /// Carries out one line of the timeline.
    pub(super) fn act(&mut self, number: usize) {
        let Some((_, action)) = self.scenario.timeline.get(number) else { return };
        match action.clone() {
            Action::Kill(host) => self.kill(host),
            Action::PowerOff(host) => self.power_off(host),
            Action::Start(host) => {
                if !self.hosts[host].is_up() {
                    self.start(host);
                    self.answer_retransmissions(host);
                }
            }
            Action::Pause(host, span) => {
                self.watch.disturb(host);
                self.hosts[host].paused_until = self.now + span;
                let at = self.hosts[host].paused_until;
                self.queue.push(at, Happening::Resumed { host: crate::sim::network::index(host) });
            }
            Action::ClockJump(host, span) => {
                self.watch.disturb(host);
                self.hosts[host].clock_ahead += span;
                self.oracle.suspended(host);
                self.touch(host);
            }
            Action::Isolate(hosts) => {
                for host in hosts {
                    self.watch.disturb(host);
                    self.hosts[host].group = 1;
                }
            }
            Action::Rejoin => self.rejoin(),
            Action::Reset(a, b) => self.reset_between(a, b),
            Action::DiskFull(host) => self.hosts[host].disk.spec.free_bytes = Some(0),
            Action::DiskMended(host) => self.hosts[host].disk.mend(),
            Action::Change(host, content) => {
                self.watch.disturb(host);
                self.hosts[host].disk.change(content);
                self.oracle.suspect(host);
            }
            Action::Share(host, content) => {
                if let Some(reply) = self.hosts[host].disk.share(&self.library, content) {
                    self.submit(host, StoreTask::Tell(reply));
                }
            }
            Action::Rot(host, content, chunk) => {
                self.watch.disturb(host);
                self.hosts[host].disk.rot(content, chunk);
                self.oracle.suspect(host);
            }
            Action::Rates(host, up, down) => {
                self.watch.disturb(host);
                (self.hosts[host].spec.up, self.hosts[host].spec.down) = (up, down);
            }
            Action::Loss(ppm) => self.loss_ppm = ppm,
            Action::Send(from, content, to) => self.send_content(from, content, to, number),
            Action::Transfer(from, content, to, form) => {
                self.transfer_content(from, content, to, form, number)
            }
            Action::Cancel(host, content) => {
                let content = self.library.contents[content].id;
                self.tell(host, Input::Command(Command::Cancel { content }));
            }
            Action::Leave(host) => {
                self.hosts[host].leaving = true;
                self.tell(host, Input::Command(Command::Leave));
            }
            Action::GetAgain(host) => {
                for get in 0..self.hosts[host].gets.len() {
                    if self.hosts[host].peer.is_some() && self.hosts[host].gets.is_over(get) {
                        let failed = !self.hosts[host].gets.succeeded(get);
                        if failed {
                            self.ask(host, get);
                        }
                    }
                }
                self.ask_classic_again(host);
            }
        }
    }

    fn kill(&mut self, host: usize) {
        self.watch.disturb(host);
        if self.hosts[host].is_up() {
            let place = &mut self.hosts[host];
            place.disk.killed(&self.library, &mut place.rng);
            self.stop_process(host);
        }
    }

    /// The process is no more; its machine closes its sockets, some with a reset as when bytes were unread.
    pub(super) fn stop_process(&mut self, host: usize) {
        let left = self.hosts[host].left;
        if left {
            self.hosts[host].disk.close(self.now);
            self.oracle.heed_disk(host, &mut self.hosts[host].disk);
        }
        for (stream, end) in self.drop_peer(host) {
            let reset = !left && self.rng.chance_ppm(500_000);
            let at = self.now + self.delay();
            let Some(socket) = self.streams.end_mut(stream, end) else { continue };
            socket.socket = Socket::Gone;
            if reset {
                socket.out.forget_unsent();
                self.queue.push(at, Happening::Reset { stream, end: 1 - end });
            } else {
                socket.out.fin = true;
                self.kick(stream, end);
            }
            self.streams.remove_if_over(stream);
        }
    }

    fn power_off(&mut self, host: usize) {
        self.watch.disturb(host);
        self.hosts[host].powered = false;
        if self.hosts[host].is_up() {
            let place = &mut self.hosts[host];
            place.disk.powered_off(self.now, &mut place.rng);
            self.oracle.heed_disk(host, &mut place.disk);
        }
        for (stream, end) in self.drop_peer(host) {
            let Some(socket) = self.streams.end_mut(stream, end) else { continue };
            socket.socket = Socket::Gone;
            socket.in_uplink = false;
            socket.out.forget_unsent();
            self.streams.remove_if_over(stream);
        }
        self.hosts[host].uplink.clear();
    }

    /// A machine that is back knows nothing of its old streams: whoever still sends on them is reset.
    fn answer_retransmissions(&mut self, host: usize) {
        let at = self.now + self.delay();
        for (stream, found) in self.streams.iter() {
            for (end, forgotten) in (0u8..).zip(&found.ends) {
                let other = &found.ends[usize::from(1 - end)];
                let stale = forgotten.host() == host && forgotten.socket == Socket::Gone && !forgotten.quiet;
                if stale && other.conn().is_some() && other.out.is_waiting() {
                    self.queue.push(at, Happening::Reset { stream, end: 1 - end });
                }
            }
        }
    }

    /// Forgets a peer and returns the streams it leaves behind.
    fn drop_peer(&mut self, host: usize) -> Vec<(StreamRef, u8)> {
        self.transfers.died(host);
        let place = &mut self.hosts[host];
        place.peer = None;
        if let Some(foreign) = &mut place.foreign {
            foreign.stop();
        }
        if let Some(hostile) = &mut place.hostile {
            hostile.stop();
        }
        place.ready.clear();
        place.timer = None;
        place.streams().collect()
    }

    fn rejoin(&mut self) {
        self.hosts.iter_mut().for_each(|host| host.group = 0);
        let held_back: Vec<_> = self
            .streams
            .iter()
            .flat_map(|(stream, found)| {
                (0u8..).zip(&found.ends).filter(|(_, end)| end.held_back).map(move |(end, _)| (stream, end))
            })
            .collect();
        for (stream, end) in held_back {
            self.kick(stream, end);
        }
    }

    fn reset_between(&mut self, a: usize, b: usize) {
        let between: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, found)| {
                let [x, y] = [found.ends[0].host(), found.ends[1].host()];
                (x, y) == (a, b) || (x, y) == (b, a)
            })
            .map(|(stream, _)| stream)
            .collect();
        for stream in between {
            for end in [0, 1] {
                self.queue.push(self.now, Happening::Reset { stream, end });
            }
        }
    }
}
