//! The oracle of transfers: what stands under a final name is what was sent, whole; who was told that it is there is right;
//! nothing is left of what did not come.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{TransferEvent, TransferFailure};
use crate::sim::disk::Library;
use crate::sim::host::Host;
use crate::types::Time;
use crate::wire::transfer::{Form, named};

/// How a transfer ended for its sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferOutcome {
    /// It went, and perhaps the receiver said that it has it.
    Sent {
        /// When.
        at: Time,
        /// Whether the receiver said so.
        acknowledged: bool,
    },
    /// It did not.
    Failed(TransferFailure),
    /// Its sender's process ended first.
    Died,
}

/// A transfer that somebody began.
#[derive(Debug)]
struct Transfer {
    from: usize,
    to: usize,
    content: usize,
    form: Form,
    outcome: Option<TransferOutcome>,
}

/// See [the module](self).
#[derive(Debug, Default)]
pub(in crate::sim) struct TransferWatch {
    /// By their tickets.
    transfers: BTreeMap<u32, Transfer>,
    /// Hosts whose process ended in the midst of something: streams of theirs may end like whole ones.
    ended: BTreeSet<usize>,
}

impl TransferWatch {
    /// A host sends a content to another.
    pub(in crate::sim) fn begun(&mut self, ticket: u32, from: usize, to: usize, content: usize, form: Form) {
        self.transfers.insert(ticket, Transfer { from, to, content, form, outcome: None });
    }

    /// The process of a host ended.
    pub(in crate::sim) fn died(&mut self, host: usize) {
        self.ended.insert(host);
        for transfer in self.transfers.values_mut().filter(|transfer| transfer.from == host) {
            transfer.outcome.get_or_insert(TransferOutcome::Died);
        }
    }

    /// How a transfer ended, if it did.
    pub(in crate::sim) fn outcome(&self, ticket: u32) -> Option<&TransferOutcome> {
        self.transfers.get(&ticket)?.outcome.as_ref()
    }

    /// Whether there is a transfer of this ticket.
    pub(in crate::sim) fn is_begun(&self, ticket: u32) -> bool {
        self.transfers.contains_key(&ticket)
    }

    /// Whether a host waits for the end of one of its transfers.
    pub(in crate::sim) fn is_pending(&self, host: usize) -> bool {
        self.transfers.values().any(|transfer| transfer.from == host && transfer.outcome.is_none())
    }

    /// What a peer says of transfers.
    pub(in crate::sim) fn event(
        &mut self,
        now: Time,
        host: usize,
        event: &TransferEvent,
        hosts: &[Host],
        library: &Library,
    ) -> Result<(), String> {
        match event {
            TransferEvent::Received { said, bytes, path, .. } => {
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
            TransferEvent::Sent { ticket, acknowledged, .. } => {
                let outcome = TransferOutcome::Sent { at: now, acknowledged: *acknowledged };
                let transfer = self.end(*ticket, outcome)?;
                let content = &library.contents[transfer.content];
                let is_there = || {
                    let whole = content.bytes(0, content.size());
                    let kept = hosts[transfer.to].disk.bytes.as_ref().map(|bytes| bytes.files());
                    kept.is_some_and(|kept| kept.iter().any(|(_, kept)| **kept == whole))
                };
                match !acknowledged || is_there() {
                    true => Ok(()),
                    false => Err(format!("heard from host {} that it has what it has not", transfer.to)),
                }
            }
            TransferEvent::SendFailed { ticket, reason, .. } => {
                self.end(*ticket, TransferOutcome::Failed(reason.clone())).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, ticket: u32, outcome: TransferOutcome) -> Result<&Transfer, String> {
        match self.transfers.get_mut(&ticket) {
            Some(transfer) if transfer.outcome.is_none() => {
                transfer.outcome = Some(outcome);
                Ok(transfer)
            }
            _ => Err(format!("tells of push {ticket}, which is none, or over")),
        }
    }

    /// Whether a file may stand under a name at a host: it is what somebody sent there in this form.
    fn may_stand(&self, host: usize, form: Form, kept: &[u8], library: &Library) -> bool {
        let mut transfers =
            self.transfers.values().filter(|transfer| transfer.to == host && transfer.form == form);
        transfers.any(|transfer| {
            let content = &library.contents[transfer.content];
            let whole = content.bytes(0, content.size());
            whole == kept || (self.ended.contains(&transfer.from) && is_cut(form, kept, &whole))
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
