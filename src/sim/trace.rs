//! The digest of a run: everything every peer puts out, in order, hashed, so that two runs of a seed can be compared.

use std::fmt::{self, Write};

use crate::core::{Output, StoreJob};
use crate::sim::simulation::Simulation;

/// Text that goes into a hash as it is written.
struct Hashed<'a>(&'a mut blake3::Hasher);

impl Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
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
        self.digest.update(&head);
        match output {
            Output::Datagram { to, bytes } => {
                self.digest.update(bytes);
                self.write_debug(to);
            }
            Output::Dial { conn, to } => self.write_debug(&(conn, to)),
            Output::Wake(conn) => {
                self.digest.update(&conn.slot.to_be_bytes());
            }
            Output::Store(StoreJob::CreatePart { content, .. }) => self.write_debug(content),
            Output::Store(job) => self.write_debug(job),
            Output::Release(buffer) => {
                self.digest.update(&buffer.0.to_be_bytes());
            }
            Output::Event(event) => self.write_debug(event),
        }
    }

    fn write_debug(&mut self, value: &dyn fmt::Debug) {
        // Writing into a hash cannot fail.
        let _ = write!(Hashed(&mut self.digest), "{value:?}");
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
