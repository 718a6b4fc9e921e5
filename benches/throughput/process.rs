//! The server's process: one of our own, started and ended, and what the system says of it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use chunkcast::types::ContentId;
use tempfile::TempDir;

/// A peer of our own that shares one file on the loopback network alone.
pub(crate) struct Sharer {
    pub(crate) addr: SocketAddr,
    pub(crate) content: ContentId,
    child: Child,
    _folder: TempDir,
}

impl Sharer {
    pub(crate) fn start(bytes: u64) -> Sharer {
        // Where there is memory to share, no disk is measured.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a folder");
        let path = folder.path().join("file.bin");
        crate::fill(File::create_new(&path).expect("a file"), bytes);
        let mut child = Command::new(env!("CARGO_BIN_EXE_chunkcast"))
            .arg("share")
            .arg(&path)
            .args(["--json", "-q", "--broadcast", "127.255.255.255", "--port", "7917", "--state-dir"])
            .arg(folder.path().join("state"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut port, mut content) = (None, None);
        while content.is_none() {
            let line = lines.next().expect("a line about the file").expect("text");
            let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            match line["t"].as_str() {
                Some("hello") => port = line["port"].as_u64().and_then(|port| u16::try_from(port).ok()),
                Some("content") => content = line["id"].as_str().and_then(|id| id.parse().ok()),
                _ => {}
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Sharer {
            addr: SocketAddr::from(([127, 0, 0, 1], port.expect("a port"))),
            content: content.expect("an id"),
            child,
            _folder: folder,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of processor time that a process has used; `None` where the system does not tell.
pub(crate) fn cpu_s(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // The kernel counts hundredths of a second for this file, on every architecture of ours.
    Some(ticks / 100.0)
}

/// The most memory that a process had resident so far.
pub(crate) fn peak_rss_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
