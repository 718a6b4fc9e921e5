//! All readers of one run, in one loop, and the newcomer that joins when they are half through.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::Target;
use crate::process::{cpu_s, peak_rss_kib};
use crate::reader::Reader;

/// Memory that is received into.
const SCRATCH_BYTES: usize = 1 << 20;
/// A run in which nothing comes for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What came of a run.
pub(crate) struct Figures {
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    pub(crate) fastest: Duration,
    pub(crate) slowest: Duration,
    /// From the newcomer's first packet to its first whole chunk; `None` when there was nobody to join.
    pub(crate) newcomer: Option<Duration>,
    pub(crate) server_cpu_s: Option<f64>,
    pub(crate) server_peak_rss_kib: Option<u64>,
}

/// Runs `count` readers of `share_bytes` each.
pub(crate) fn run(target: &Target, count: u64, share_bytes: u64) -> Figures {
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut readers = Vec::new();
    let join = |readers: &mut Vec<Reader>, poll: &Poll, share_bytes: u64| {
        let number = readers.len();
        let mut stream = TcpStream::connect(target.addr).expect("a connection");
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(number), interest).expect("a registration");
        readers.push(Reader::new(stream, &target.speech, number as u64, target.size_bytes, share_bytes));
    };
    let cpu_before = target.pid.and_then(cpu_s);
    let began = Instant::now();
    for _ in 0..count {
        join(&mut readers, &poll, share_bytes);
    }
    let half = share_bytes.saturating_mul(count) / 2;
    let mut ready: VecDeque<usize> = VecDeque::new();
    // Whether each reader, and the newcomer, is among those.
    let mut waiting = vec![false; count as usize + 1];
    let mut unfinished = count as usize;
    let mut newcomer = None;
    let mut got_bytes = 0;
    while unfinished > 0 {
        let timeout = if ready.is_empty() { SILENCE_MAX } else { Duration::ZERO };
        poll.poll(&mut events, Some(timeout)).expect("a poll");
        assert!(!(events.is_empty() && ready.is_empty()), "the server has fallen silent");
        for event in &events {
            if let Some(waits) = waiting.get_mut(event.token().0)
                && !std::mem::replace(waits, true)
            {
                ready.push_back(event.token().0);
            }
        }
        for _ in 0..ready.len() {
            let Some(number) = ready.pop_front() else { break };
            waiting[number] = false;
            let Some(reader) = readers.get_mut(number) else { continue };
            if reader.finished.is_some() {
                continue;
            }
            let before = reader.got_bytes;
            if reader.turn(&mut scratch) {
                waiting[number] = true;
                ready.push_back(number);
            }
            got_bytes += reader.got_bytes - before;
            if reader.finished.is_some() {
                unfinished -= 1;
                let _ = reader.stream.shutdown(std::net::Shutdown::Both);
            }
        }
        if count > 1 && newcomer.is_none() && got_bytes > half {
            newcomer = Some(readers.len());
            unfinished += 1;
            // One chunk is all it wants.
            join(&mut readers, &poll, 1);
        }
    }
    let took = began.elapsed();
    let finished = || readers.iter().take(count as usize).filter_map(|reader| reader.finished);
    Figures {
        bytes: got_bytes,
        took,
        fastest: finished().min().unwrap_or_default(),
        slowest: finished().max().unwrap_or_default(),
        newcomer: newcomer.and_then(|number| readers.get(number)?.first),
        server_cpu_s: target.pid.and_then(cpu_s).zip(cpu_before).map(|(after, before)| after - before),
        server_peak_rss_kib: target.pid.and_then(peak_rss_kib),
    }
}
