//! Taking in what is pushed: who may, what is asked, what comes.

use std::net::SocketAddr;

use crate::core::connection::Transport;
use crate::core::door::{ConnId, Event, ForeignEvent, ForeignFailure, ForeignJob, Output, SpoolId, StoreJob};
use crate::core::peer::Peer;
use crate::core::push::Arrival;
use crate::core::push::conversation::{Conversation, Side};
use crate::core::push::taking::{Stage, Taking, Turn};
use crate::types::name::local_file_name;
use crate::types::time::Time;
use crate::wire::push::{Announced, Form, named};

impl Peer {
    /// A connection came in at a port for transfers; `is_named` where a digit begins the named form.
    pub(in crate::core) fn on_push_accepted(
        &mut self,
        now: Time,
        from: SocketAddr,
        is_named: bool,
    ) -> Option<ConnId> {
        if self.leaving.is_some() || !self.may_push(from) || !self.make_room(now, from.ip()) {
            self.counters.add("pushes refused");
            return None;
        }
        let push = self.pushes.number();
        let taking = Taking::new(push, is_named, now);
        let conn =
            self.connections.insert_transfer(Conversation::taking(Transport::accepted(from), taking), now);
        self.pushes.taking.insert(push, conn);
        self.time_push(now, conn);
        self.rouse(conn);
        Some(conn)
    }

    fn may_push(&self, from: SocketAddr) -> bool {
        let (ip, limits) = (from.ip(), &self.config.limits);
        let of_this_host = ip.is_loopback() || self.config.own_addresses.contains(&ip);
        let mine = || self.connections.transfers().filter(|(_, push)| push.transport.addr.ip() == ip).count();
        let room = of_this_host || mine() < limits.pushes_per_address_max;
        room && self.pushes.taking.len() < limits.pushes_max
    }

    pub(super) fn turn_taking(&mut self, now: Time, conn: ConnId, turn: Turn) {
        match turn {
            Turn::Nothing => {}
            Turn::Wake => self.rouse(conn),
            Turn::Described => self.on_described(now, conn),
            Turn::Whole(spool) => self.on_whole(now, conn, spool),
            Turn::Failed(reason) => self.fail_taking(conn, reason),
        }
    }

    pub(super) fn on_taken_bytes(&mut self, now: Time, conn: ConnId, bytes: u64) {
        let limits = &self.config.limits;
        let quota = self.config.foreign.as_ref().map_or(0, |foreign| foreign.quota_bytes);
        let Some(taking) = self.connections.transfer_mut(conn).and_then(Conversation::as_taking) else {
            return;
        };
        let (push, mut turn) = (taking.push, taking.stored(now, bytes));
        if taking.said.as_ref().is_none_or(|said| said.size.is_none()) {
            self.pushes.taken_bytes = self.pushes.taken_bytes.saturating_add(bytes);
            // Others took of the same quota meanwhile.
            if self.pushes.taken_bytes > quota {
                turn = Turn::Failed(ForeignFailure::OverQuota { left: quota.saturating_sub(taking.came) });
            }
        }
        if let Some((bytes, of)) = taking.news(now, limits) {
            self.event(Event::Foreign(ForeignEvent::Progress { push, bytes, of }));
        }
        self.turn_taking(now, conn, turn);
    }

    /// It is known what would come: is it refused without asking?
    fn on_described(&mut self, now: Time, conn: ConnId) {
        let left = self.quota_left();
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        let from = push.transport.addr;
        let Some(taking) = push.as_taking() else { return };
        taking.enter(now, Stage::Asked);
        let Some(said) = taking.said.clone() else { return };
        let refusal = match &said {
            Announced { name: Some(name), .. } if local_file_name(name).is_none() => {
                Some(ForeignFailure::NameRefused)
            }
            // Without a size, there must be room for something.
            Announced { size, .. } if size.unwrap_or(1) > left => Some(ForeignFailure::OverQuota { left }),
            _ => None,
        };
        let push = taking.push;
        match refusal {
            Some(reason) => self.fail_taking(conn, reason),
            None => self.event(Event::Foreign(ForeignEvent::Came { push, from, said })),
        }
    }

    fn quota_left(&self) -> u64 {
        let quota = self.config.foreign.as_ref().map_or(0, |foreign| foreign.quota_bytes);
        quota.saturating_sub(self.pushes.taken_bytes)
    }

    /// The quota is another. What was let come already may come.
    pub(in crate::core) fn on_limit_foreign(&mut self, quota_bytes: u64) {
        if let Some(foreign) = &mut self.config.foreign {
            foreign.quota_bytes = quota_bytes;
        }
    }

    /// A person or a rule has decided.
    pub(in crate::core) fn on_answer_foreign(&mut self, now: Time, push: u32, accept: bool) {
        let Some(conn) = self.pushes.taking.get(&push).copied() else { return };
        let left = self.quota_left();
        let Some(taking) = self.connections.transfer_mut(conn).and_then(Conversation::as_taking) else {
            return;
        };
        if taking.stage != Stage::Asked {
            return;
        }
        let size = taking.said.as_ref().and_then(|said| said.size);
        if !accept {
            return self.fail_taking(conn, ForeignFailure::Declined);
        }
        // Others were let come meanwhile.
        if size.unwrap_or(1) > left {
            return self.fail_taking(conn, ForeignFailure::OverQuota { left });
        }
        let spool = self.spools.take();
        taking.enter(now, Stage::Opening(spool));
        self.pushes.taken_bytes = self.pushes.taken_bytes.saturating_add(size.unwrap_or_default());
        self.output(Output::Store(StoreJob::Foreign(ForeignJob::OpenSpool { spool, bytes: size })));
        self.time_push(now, conn);
    }

    /// The store has made room: the sender is told to go on.
    pub(super) fn on_spool_opened(&mut self, now: Time, spool: SpoolId) {
        let left = self.quota_left();
        // Whose sender went meanwhile has been thrown away.
        let Some((conn, taking)) = self.taking_into(spool) else { return };
        if taking.stage != Stage::Opening(spool) {
            return;
        }
        taking.begin(now, spool, left);
        let push = taking.push;
        self.event(Event::Foreign(ForeignEvent::Accepted { push }));
        self.time_push(now, conn);
        self.rouse(conn);
    }

    /// Who takes into a spool.
    pub(super) fn taking_into(&mut self, spool: SpoolId) -> Option<(ConnId, &mut Taking)> {
        let is_it = |side: &Side| matches!(side, Side::Taking(taking) if taking.spool() == Some(spool));
        let conn = self.connections.transfers().find(|(_, push)| is_it(&push.side)).map(|(conn, _)| conn)?;
        Some((conn, self.connections.transfer_mut(conn)?.as_taking()?))
    }

    /// All of it is here.
    fn on_whole(&mut self, now: Time, conn: ConnId, spool: SpoolId) {
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        let from = push.transport.addr;
        let Some(taking) = push.as_taking() else { return };
        let Some(said) = taking.said.clone() else { return };
        let last = taking.last_byte();
        let (form, bytes) = (said.form, taking.came);
        let arrival = Arrival {
            push: taking.push,
            conn,
            from,
            bytes,
            latency: last.since(taking.began),
            took: last.since(taking.accepted()),
            said: said.clone(),
        };
        taking.enter(now, Stage::Storing);
        self.pushes.storing.insert(spool, arrival);
        let job = match form {
            Form::Named => ForeignJob::ReadEnds { spool, head: named::HEAD_BYTES, tail: named::TAIL_BYTES },
            Form::Json | Form::Steps | Form::Short => {
                ForeignJob::Keep { spool, name: name_of(&said, from), skip: 0, bytes }
            }
        };
        self.output(Output::Store(StoreJob::Foreign(job)));
    }

    /// It does not come. Nothing is left of it; who sends learns it by the connection's end.
    pub(super) fn fail_taking(&mut self, conn: ConnId, reason: ForeignFailure) {
        let Some(push) = self.connections.transfer_mut(conn) else { return };
        let from = push.transport.addr;
        let Some(taking) = push.as_taking() else { return };
        if taking.stage == Stage::Storing {
            // Whoever ends now has sent everything, and what is stored is told by the store.
            return self.end_foreign_push(conn);
        }
        let (number, name) = (taking.push, taking.said.as_ref().and_then(|said| said.name.clone()));
        if let Some(spool) = taking.spool() {
            let reserved = taking.reserved();
            self.pushes.taken_bytes = self.pushes.taken_bytes.saturating_sub(reserved);
            self.drop_push_spool(spool);
        }
        self.event(Event::Foreign(ForeignEvent::Failed { push: number, from, name, reason }));
        self.end_foreign_push(conn);
    }

    pub(super) fn drop_push_spool(&mut self, spool: SpoolId) {
        self.spools.free(spool);
        self.output(Output::Store(StoreJob::Foreign(ForeignJob::DropSpool { spool })));
    }
}

/// The name of a file whose sender may have said none.
fn name_of(said: &Announced, from: SocketAddr) -> String {
    said.name.clone().unwrap_or_else(|| {
        let address = from.ip().to_string().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        format!("push-from-{address}")
    })
}
