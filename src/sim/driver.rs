//! The driver's discipline, as the real one has it: one mutation, then drain; read only what is expected, write only
//! what is asked for and fits; visit a connection only when it woke or its socket became ready.

use crate::core::{Command, ConnId, DatagramTo, Input, Output, Segment, SpoolId, StoreJob, StoreReply};
use crate::sim::disk::StoreTask;
use crate::sim::host::{DISCOVERY_PORT, OWN_PORT};
use crate::sim::network::{earlier, index};
use crate::sim::queue::Happening;
use crate::sim::scenario::Nature;
use crate::sim::simulation::Simulation;
use crate::sim::tcp::{Phase, StreamRef};
use crate::sim::transfer::Step;
use crate::types::Time;

/// What one visit moves at most in each direction, in bytes, before others have their turn.
const VISIT_BYTES: u64 = 1 << 20;
/// Times a peer may be told at one instant that a deadline is due.
const TICKS_AT_ONCE_MAX: u32 = 1_000;

impl Simulation {
    /// Lets a host's driver do all that is to be done at this instant.
    pub(super) fn turn(&mut self, host: usize) {
        if !self.hosts[host].runs(self.now) {
            return;
        }
        if self.hosts[host].foreign.is_some() {
            return self.foreign_turn(host);
        }
        if self.hosts[host].hostile.is_some() {
            return self.hostile_turn(host);
        }
        let mut ticks = 0;
        loop {
            self.forget_closed();
            while let Some((stream, end)) = self.hosts[host].ready.pop_front() {
                self.visit(host, stream, end);
                self.forget_closed();
            }
            // It begins at the start of its memory again, instead of wandering through all of it.
            self.hosts[host].ready.clear();
            self.leave_when_done(host);
            let now = self.local_now(host);
            let Some(peer) = self.hosts[host].peer.as_mut() else { return };
            match peer.deadline() {
                Some((at, why)) if at <= now => {
                    ticks += 1;
                    if ticks > TICKS_AT_ONCE_MAX {
                        self.oracle.fail(format!("host {host}: the deadline \"{why}\" of {at} never passes"));
                        return;
                    }
                    peer.handle(now, Input::Tick);
                    self.mutated(host);
                }
                Some((at, _)) => {
                    self.set_timer(host, at);
                    break;
                }
                None => {
                    let transfers = self.transfers.is_pending(host);
                    self.oracle.no_deadline(host, &self.hosts[host], transfers);
                    break;
                }
            }
            if self.oracle.failed() {
                return;
            }
        }
        if self.hosts[host].left {
            self.stop_process(host);
        }
    }

    /// A host that is not there to share leaves once it has what it wants.
    fn leave_when_done(&mut self, host: usize) {
        let place = &mut self.hosts[host];
        if !place.spec.leaves || place.leaving {
            return;
        }
        let any = place.gets.len() + place.classic_gets.len() > 0;
        let over = (0..place.gets.len()).all(|get| place.gets.is_over(get)) && place.classic_gets.all_over();
        if any && over {
            place.leaving = true;
            self.tell(host, Input::Command(Command::Leave));
        }
    }

    fn set_timer(&mut self, host: usize, local: Time) {
        let ahead = u64::try_from(self.hosts[host].clock_ahead.as_nanos()).unwrap_or(u64::MAX);
        let at = Time::from_nanos(local.as_nanos().saturating_sub(ahead));
        if earlier(self.hosts[host].timer, at) {
            self.hosts[host].timer = Some(at);
            let incarnation = self.hosts[host].incarnation;
            self.queue.push(at, Happening::Timer { host: index(host), incarnation });
        }
    }

    /// Tells a host's core one thing.
    pub(super) fn tell(&mut self, host: usize, input: Input<'_>) {
        let now = self.local_now(host);
        if let Input::Broken { conn, .. } = input {
            self.foreign_lost(host, conn);
            self.hostile_lost(host, conn);
        }
        let Some(peer) = self.hosts[host].peer.as_mut() else { return };
        peer.handle(now, input);
        self.mutated(host);
        self.touch(host);
    }

    /// Tells the core which of its connections the driver has closed and forgotten.
    pub(super) fn forget_closed(&mut self) {
        while let Some((host, conn)) = self.forgotten.pop() {
            self.hosts[host].detach(conn);
            self.tell(host, Input::Closed { conn });
        }
    }

    /// An end woke or its socket became ready: it is visited in its turn.
    pub(super) fn mark_ready(&mut self, stream: StreamRef, end: u8, read: bool, write: bool) {
        let Some(ready) = self.streams.end_mut(stream, end) else { return };
        let (host, queued) = (ready.host(), ready.wants_read || ready.wants_write);
        ready.wants_read |= read;
        ready.wants_write |= write;
        if !queued {
            self.hosts[host].ready.push_back((stream, end));
        }
        self.touch(host);
    }

    fn visit(&mut self, host: usize, stream: StreamRef, end: u8) {
        let Some(found) = self.streams.get_mut(stream) else { return };
        let dialling = found.phase == Phase::Dialling && end == 0;
        let visited = &mut found.ends[usize::from(end)];
        let (read, write) = (visited.wants_read, visited.wants_write);
        (visited.wants_read, visited.wants_write) = (false, false);
        let Some(conn) = visited.conn() else { return };
        if self.hosts[host].spec.nature == Nature::Silent {
            return;
        }
        if dialling {
            self.look_for_close(host, stream, conn);
            return;
        }
        if read {
            self.repeat(host, stream, end, true, |world| world.read_step(host, stream, end, conn));
        }
        if write {
            self.repeat(host, stream, end, false, |world| world.write_step(host, stream, end, conn));
        }
    }

    /// Repeats a step until there is nothing to do or the visit has moved its share.
    fn repeat(
        &mut self,
        host: usize,
        stream: StreamRef,
        end: u8,
        read: bool,
        step: impl Fn(&mut Self) -> Step,
    ) {
        let mut moved = 0;
        loop {
            moved += match step(self) {
                Step::Moved(bytes) => bytes,
                Step::TurnOver => VISIT_BYTES,
                Step::Stop => return,
            };
            if self.oracle.failed() || self.hosts[host].peer.is_none() {
                return;
            }
            if moved >= VISIT_BYTES {
                self.mark_ready(stream, end, read, !read);
                return;
            }
        }
    }

    /// A dial that the core gives up.
    fn look_for_close(&mut self, host: usize, stream: StreamRef, conn: ConnId) {
        let now = self.local_now(host);
        let Some(peer) = self.hosts[host].peer.as_mut() else { return };
        if matches!(peer.next_segment(now, conn), Segment::Close | Segment::Abort) {
            self.close(stream, 0);
        }
    }

    /// After every mutation of a peer: carries out what it asks for, and looks whether it is as it must be.
    pub(super) fn mutated(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].peer.as_mut().and_then(|peer| peer.poll()) {
            self.carry_out(host, output);
        }
        self.steps += 1;
        // A released program plays swarms alone, which never check: so it does without the code of all checks.
        let check_every = if cfg!(debug_assertions) { self.scenario.check_every } else { 0 };
        if check_every > 0
            && self.steps.is_multiple_of(check_every)
            && let Some(peer) = &self.hosts[host].peer
        {
            peer.check_invariants();
        }
    }

    fn carry_out(&mut self, host: usize, output: Output) {
        self.digest_output(host, &output);
        match output {
            Output::Datagram { to, bytes } => {
                let now = self.now;
                self.tally.hosts[host].datagrams_sent += 1;
                self.tally.hosts[host].datagram_bytes += bytes.len() as u64;
                if self.is_classic(to) {
                    let told = self.watch.datagram(host, to, &bytes, &self.hosts, &self.library);
                    self.oracle.datagram_told(host, told);
                } else {
                    self.oracle.datagram(now, host, to, &bytes, &self.hosts);
                }
                self.send_datagram(host, to, bytes);
            }
            Output::Dial { conn, to } => {
                self.oracle.dial(host, to, &self.hosts);
                self.dial(host, conn, to);
            }
            Output::Wake(conn) => {
                if let Some((stream, end)) = self.hosts[host].socket(conn) {
                    self.mark_ready(stream, end, true, true);
                }
            }
            Output::Store(StoreJob::ReadManifest { .. }) if self.hosts[host].spec.nature == Nature::Mute => {}
            Output::Store(job) => {
                self.submit(host, StoreTask::Job(job));
                self.oracle.heed_disk(host, &mut self.hosts[host].disk);
            }
            Output::Release(buffer) => {
                self.hosts[host].disk.release(buffer);
                self.oracle.heed_buffers(host, &mut self.hosts[host].disk);
            }
            Output::Event(event) => self.note(host, event),
        }
    }

    /// Whether a datagram goes to a port of the classic dialects.
    fn is_classic(&self, to: DatagramTo) -> bool {
        match to {
            DatagramTo::Everybody => false,
            DatagramTo::EverybodyAt { .. } => true,
            DatagramTo::One { addr, .. } => addr.port() != DISCOVERY_PORT && addr.port() != OWN_PORT,
        }
    }

    /// Gives the disk something to do.
    pub(super) fn submit(&mut self, host: usize, task: StoreTask) {
        let disk = &mut self.hosts[host].disk;
        let task = match (task, &mut disk.bytes) {
            (StoreTask::Job(job @ (StoreJob::Classic(_) | StoreJob::Transfer(_))), Some(bytes)) => {
                bytes.submit(self.now, &mut disk.spec, job);
                return self.await_bytes(host);
            }
            (task, _) => task,
        };
        let at = disk.submit(self.now, task);
        let incarnation = self.hosts[host].incarnation;
        self.queue.push(at, Happening::StoreDone { host: index(host), incarnation });
    }

    /// The real store of a host was used: what it has to say and to do takes its turn.
    pub(super) fn await_bytes(&mut self, host: usize) {
        self.oracle.heed_disk(host, &mut self.hosts[host].disk);
        if self.hosts[host].disk.bytes.as_ref().is_some_and(|bytes| bytes.is_waiting()) {
            self.submit(host, StoreTask::Turn);
        }
    }

    /// Payload goes behind what is in a spool.
    pub(super) fn write_spool(&mut self, host: usize, spool: SpoolId, payload: &[u8]) {
        let disk = &mut self.hosts[host].disk;
        if let Some(bytes) = &mut disk.bytes {
            bytes.write_spool(self.now, &mut disk.spec, spool, payload);
        }
        self.await_bytes(host);
    }

    /// The real store says what it has to say, one thing after the other, and does one slice.
    fn bytes_turn(&mut self, host: usize) {
        self.hear_bytes(host);
        let disk = &mut self.hosts[host].disk;
        if let Some(bytes) = &mut disk.bytes {
            bytes.step(self.now, &mut disk.spec);
        }
        self.hear_bytes(host);
        self.await_bytes(host);
    }

    fn hear_bytes(&mut self, host: usize) {
        while let Some(reply) = self.hosts[host].disk.poll_bytes(&self.library, self.now) {
            self.oracle.heed_disk(host, &mut self.hosts[host].disk);
            self.tell(host, Input::Stored(reply));
        }
    }

    /// The oldest job of a disk is done.
    pub(super) fn store_done(&mut self, host: usize) {
        let is_turn = self.hosts[host].disk.is_turn_next();
        let [reply, follows] = {
            let place = &mut self.hosts[host];
            place.disk.finish_one(&self.library, &mut place.rng)
        };
        if is_turn {
            return self.bytes_turn(host);
        }
        self.oracle.heed_disk(host, &mut self.hosts[host].disk);
        for reply in [reply, follows].into_iter().flatten() {
            if let StoreReply::ChunkBad { .. } = reply {
                self.tally.hosts[host].chunks_bad += 1;
            }
            self.tell(host, Input::Stored(reply));
        }
    }
}
