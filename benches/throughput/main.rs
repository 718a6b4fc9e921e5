//! One server, many readers over loopback: how fast it serves, how evenly, and how soon a newcomer is served.
//!
//! `cargo bench --bench throughput` measures a peer of its own. With `--addr` it measures a server that runs already, so that
//! others can be measured by the same readers: natively with `--content`, by HTTP with `--path`. `scripts/bench.sh` does.
//! The readers are one thread and throw away what they receive. One JSON line comes for each number of readers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark of something that does not work has no figures"
)]

mod process;
mod reader;
mod swarm;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;

use process::Sharer;
use reader::Speech;
use swarm::Figures;

/// What all readers of one run read together, unless `--total` says otherwise.
const TOTAL_BYTES: u64 = 4 << 30;
/// The file of a peer of our own.
const FILE_BYTES: u64 = 1 << 30;

/// What is measured.
struct Target {
    addr: SocketAddr,
    speech: Speech,
    size_bytes: u64,
    /// The server's process, whose time and memory are looked at.
    pid: Option<u32>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value")).as_str())
    };
    let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect(name));
    raise_limit();
    let total_bytes = number("--total").unwrap_or(TOTAL_BYTES);
    let readers: Vec<u64> = match value("--readers") {
        Some(list) => list.split(',').map(|count| count.parse().expect("--readers N,N,...")).collect(),
        None => vec![1, 8, 64, 256],
    };
    let (target, _sharer) = match value("--addr") {
        Some(addr) => {
            let speech = match (value("--content"), value("--path")) {
                (Some(id), None) => Speech::Native(id.parse().expect("--content ID")),
                (None, Some(path)) => Speech::Http(path.to_owned()),
                _ => panic!("either --content ID or --path /FILE, please"),
            };
            let pid = number("--pid").map(|pid| u32::try_from(pid).expect("--pid PID"));
            let size_bytes = number("--size").expect("--size BYTES");
            (Target { addr: addr.parse().expect("--addr HOST:PORT"), speech, size_bytes, pid }, None)
        }
        None => {
            let sharer = Sharer::start(FILE_BYTES);
            let speech = Speech::Native(sharer.content);
            let target =
                Target { addr: sharer.addr, speech, size_bytes: FILE_BYTES, pid: Some(sharer.pid()) };
            (target, Some(sharer))
        }
    };
    for readers in readers {
        let share_bytes = (total_bytes / readers.max(1)).min(target.size_bytes);
        println!("{}", swarm::run(&target, readers, share_bytes).to_json(readers));
    }
}

impl Figures {
    fn to_json(&self, readers: u64) -> serde_json::Value {
        let gib = self.bytes as f64 / (1u64 << 30) as f64;
        serde_json::json!({
            "readers": readers,
            "bytes": self.bytes,
            "seconds": self.took.as_secs_f64(),
            "gb_per_s": self.bytes as f64 / self.took.as_secs_f64() / 1e9,
            "slowest_over_fastest": self.slowest.as_secs_f64() / self.fastest.as_secs_f64(),
            "newcomer_first_chunk_ms": self.newcomer.map(|took| took.as_secs_f64() * 1e3),
            "server_cpu_s_per_gib": self.server_cpu_s.map(|cpu_s| cpu_s / gib),
            "server_peak_rss_mib": self.server_peak_rss_kib.map(|kib| kib as f64 / 1024.0),
        })
    }
}

/// Each reader has a descriptor: as many of them as this process may have.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Fills a file with bytes that no file system stores in less room.
fn fill(mut file: File, bytes: u64) {
    let mut stream = blake3::Hasher::new().update(b"throughput").finalize_xof();
    let mut block = vec![0; 1 << 20];
    for _ in 0..bytes / block.len() as u64 {
        stream.fill(&mut block);
        file.write_all(&block).expect("room for the file");
    }
}
