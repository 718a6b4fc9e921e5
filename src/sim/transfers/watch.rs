//! The oracle of pushes: what stands under a final name is what was sent, whole; who was told that it is there is right;
//! nothing is left of what did not come.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{ForeignEvent, ForeignFailure};
use crate::sim::disk::Library;
use crate::sim::host::Host;
use crate::types::Time;
use crate::wire::push::{Form, named};

/// How a push ended for its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// It went, and perhaps the receiver said that it has it.
    Sent {
        /// When.
        at: Time,
        /// Whether the receiver said so.
        acknowledged: bool,
    },
    /// It did not.
    Failed(ForeignFailure),
    /// Its sender's process ended first.
    Died,
}

/// A push that somebody began.
#[derive(Debug)]
struct Push {
    from: usize,
    to: usize,
    content: usize,
    form: Form,
    outcome: Option<PushOutcome>,
}

/// See [the module](self).
#[derive(Debug, Default)]
pub(in crate::sim) struct PushWatch {
    /// By their tickets.
    pushes: BTreeMap<u32, Push>,
    /// Hosts whose process ended in the midst of something: streams of theirs may end like whole ones.
    ended: BTreeSet<usize>,
}

impl PushWatch {
    /// A host pushes a content to another.
    pub(in crate::sim) fn begun(&mut self, ticket: u32, from: usize, to: usize, content: usize, form: Form) {
        self.pushes.insert(ticket, Push { from, to, content, form, outcome: None });
    }

    /// The process of a host ended.
    pub(in crate::sim) fn died(&mut self, host: usize) {
        self.ended.insert(host);
        for push in self.pushes.values_mut().filter(|push| push.from == host) {
            push.outcome.get_or_insert(PushOutcome::Died);
        }
    }

    /// How a push ended, if it did.
    pub(in crate::sim) fn outcome(&self, ticket: u32) -> Option<&PushOutcome> {
        self.pushes.get(&ticket)?.outcome.as_ref()
    }

    /// Whether there is a push of this ticket.
    pub(in crate::sim) fn is_begun(&self, ticket: u32) -> bool {
        self.pushes.contains_key(&ticket)
    }

    /// Whether a host waits for the end of one of its pushes.
    pub(in crate::sim) fn is_pending(&self, host: usize) -> bool {
        self.pushes.values().any(|push| push.from == host && push.outcome.is_none())
    }

    /// What a peer says of pushes.
    pub(in crate::sim) fn event(
        &mut self,
        now: Time,
        host: usize,
        event: &ForeignEvent,
        hosts: &[Host],
        library: &Library,
    ) -> Result<(), String> {
        match event {
            ForeignEvent::Received { said, bytes, path, .. } => {
                let name = path.to_string_lossy();
                let kept = hosts[host].disk.bytes.as_ref().and_then(|bytes| bytes.file(path));
                let kept = kept.ok_or_else(|| format!("says {name} is here; it is not"))?;
                if kept.len() as u64 != *bytes {
                    return Err(format!("says {name} has {bytes} bytes; it has {}", kept.len()));
                }
                match self.may_stand(host, said.form, &kept, library) {
                    true => Ok(()),
                    false => Err(format!("has {name} ({}) of {bytes} bytes, which nobody sent", said.form)),
                }
            }
            ForeignEvent::Sent { ticket, acknowledged, .. } => {
                let outcome = PushOutcome::Sent { at: now, acknowledged: *acknowledged };
                let push = self.end(*ticket, outcome)?;
                let content = &library.contents[push.content];
                let is_there = || {
                    let whole = content.bytes(0, content.size());
                    let kept = hosts[push.to].disk.bytes.as_ref().map(|bytes| bytes.files());
                    kept.is_some_and(|kept| kept.iter().any(|(_, kept)| **kept == whole))
                };
                match !acknowledged || is_there() {
                    true => Ok(()),
                    false => Err(format!("heard from host {} that it has what it has not", push.to)),
                }
            }
            ForeignEvent::SendFailed { ticket, reason, .. } => {
                self.end(*ticket, PushOutcome::Failed(reason.clone())).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, ticket: u32, outcome: PushOutcome) -> Result<&Push, String> {
        match self.pushes.get_mut(&ticket) {
            Some(push) if push.outcome.is_none() => {
                push.outcome = Some(outcome);
                Ok(push)
            }
            _ => Err(format!("tells of push {ticket}, which is none, or over")),
        }
    }

    /// Whether a file may stand under a name at a host: it is what somebody sent there in this form.
    fn may_stand(&self, host: usize, form: Form, kept: &[u8], library: &Library) -> bool {
        let mut pushes = self.pushes.values().filter(|push| push.to == host && push.form == form);
        pushes.any(|push| {
            let content = &library.contents[push.content];
            let whole = content.bytes(0, content.size());
            whole == kept || (self.ended.contains(&push.from) && is_cut(form, kept, &whole))
        })
    }
}

/// Whether these may be the bytes of a stream that its sender's machine closed in order before it was over: nothing tells
/// such a one from a whole one, where the size is not said, or is not parted from the file.
fn is_cut(form: Form, kept: &[u8], whole: &[u8]) -> bool {
    match form {
        Form::Json => whole.starts_with(kept),
        Form::Named => {
            let stream = [whole.len().to_string().as_bytes(), whole].concat();
            (1..=named::HEAD_BYTES)
                .any(|digits| stream.get(digits..).is_some_and(|rest| rest.starts_with(kept)))
        }
        Form::Steps | Form::Short => false,
    }
}
