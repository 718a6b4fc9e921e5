//! Where one test takes place: a folder of its own, processes on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::child::{Child, Launch};
use crate::lan::Lan;

/// A folder that is gone with it, and ports of its own.
pub(crate) struct Place {
    lan: Lan,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { lan: Lan::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.lan.path(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A command on loopback, with JSON lines.
    pub(crate) fn launch(&self, command: &str) -> Launch {
        let state = self.path(&format!("state of {command}"));
        Launch::new(command)
            .args(&[
                command,
                "--json",
                "--port",
                &self.lan.port.to_string(),
                "--broadcast",
                "127.255.255.255",
                "--bind",
                "127.0.0.1",
                "--state-dir",
            ])
            .args(&[state])
    }

    /// A receiver that takes everything, and its address.
    pub(crate) fn receiver(&self, listen: &str) -> (Child, SocketAddr) {
        self.receiver_with(listen, &["--yes"])
    }

    /// A receiver with these flags, and its address.
    pub(crate) fn receiver_with(&self, listen: &str, flags: &[&str]) -> (Child, SocketAddr) {
        let launch = self.launch("receive").args(&["--listen", listen, "--dir"]).args(&[self.inbox()]);
        listening(launch.args(flags).start())
    }

    /// Where a receiver puts what comes.
    pub(crate) fn inbox(&self) -> PathBuf {
        self.path("inbox")
    }

    /// What lies there, hidden files too, in order.
    pub(crate) fn received(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.inbox()) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Waits until a receiver listens.
pub(crate) fn listening(mut child: Child) -> (Child, SocketAddr) {
    let port = child.wait_json("its port", |line| line["push_tcp"][0].as_u64());
    (child, SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())))
}

/// Waits for the next line about a transfer with this event.
pub(crate) fn told(child: &mut Child, event: &str) -> Value {
    child.wait_json(event, |line| (line["t"] == "foreign" && line["event"] == event).then(|| line.clone()))
}

/// Bytes that repeat nowhere soon.
pub(crate) fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.u8(..)).take(count).collect()
}

pub(crate) fn name_of(line: &Value) -> String {
    let path = Path::new(line["path"].as_str().unwrap());
    path.file_name().unwrap().to_str().unwrap().to_owned()
}
