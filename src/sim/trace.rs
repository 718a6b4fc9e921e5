//! The digest of a run: everything every peer puts out, in order, hashed, so that two runs of a seed can be compared.

use std::fmt::{self, Write};

use crate::core::{Output, StoreJob};
use crate::sim::simulation::Simulation;

/// So much is hashed at once, in bytes: a hash of many small pieces costs several times that of a large one.
const HASHED_AT_ONCE: usize = 64 << 10;

/// The hash of a run so far, and what is still to be hashed.
#[derive(Debug, Default)]
pub(super) struct Trace {
    hasher: blake3::Hasher,
    waiting: Vec<u8>,
}

impl Trace {
    /// Takes some bytes in.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= HASHED_AT_ONCE {
            self.hasher.update(&self.waiting);
            self.waiting.clear();
        }
    }

    /// The digest of all that was taken in.
    pub(super) fn digest(&self) -> String {
        self.hasher.clone().update(&self.waiting).finalize().to_hex().to_string()
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.update(text.as_bytes());
        Ok(())
    }
}

impl Simulation {
    /// Takes one instruction of a host's peer into the digest.
    pub(super) fn digest_output(&mut self, host: usize, output: &Output) {
        let mut head = [0; 17];
        head[..8].copy_from_slice(&self.now.as_nanos().to_be_bytes());
        head[8..16].copy_from_slice(&(host as u64).to_be_bytes());
        head[16] = kind(output);
        self.trace.update(&head);
        match output {
            Output::Datagram { to, bytes } => {
                self.trace.update(bytes);
                self.write_debug(to);
            }
            Output::Dial { conn, to } => self.write_debug(&(conn, to)),
            Output::Wake(conn) => {
                self.trace.update(&conn.slot.to_be_bytes());
            }
            Output::Store(StoreJob::CreatePart { content, .. }) => self.write_debug(content),
            Output::Store(job) => self.write_debug(job),
            Output::Release(buffer) => {
                self.trace.update(&buffer.0.to_be_bytes());
            }
            Output::Event(event) => self.write_debug(event),
        }
    }

    fn write_debug(&mut self, value: &dyn fmt::Debug) {
        // Writing into a hash cannot fail.
        let _ = write!(self.trace, "{value:?}");
    }
}

fn kind(output: &Output) -> u8 {
    match output {
        Output::Datagram { .. } => 1,
        Output::Dial { .. } => 2,
        Output::Wake(_) => 3,
        Output::Store(_) => 4,
        Output::Release(_) => 5,
        Output::Event(_) => 6,
    }
}
