//! Junk from many addresses of one host to everybody, while another host fetches again and again.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::child::PATIENCE;
use crate::files::{MIB, assert_same, random_file};
use crate::hosts::Hosts;

const PORT: u16 = 7117;
const ADDRESSES: u8 = 200;
/// Bounds of the flood, whatever happens.
const DATAGRAMS_MAX: u32 = 3_000_000;
const FLOOD_MAX: Duration = Duration::from_secs(90);
/// So many come before the first fetch begins: more than are taken at once after a quiet time.
const DATAGRAMS_BEFORE: u32 = 40_000;
/// So many fetches at once, so many times: one hears of the file from another, which is done and gone a moment later.
const AT_ONCE: usize = 3;
const TIMES: usize = 3;

#[test]
fn junk_from_many_addresses_does_not_keep_hosts_from_finding_each_other() {
    let Some(hosts) = Hosts::new(3) else { return };
    let source = hosts.path("talk.mkv");
    random_file(&source, MIB, 9);
    let sharer = hosts.share(1, "sharer", &source);
    let addresses: Vec<Ipv4Addr> = (1..=ADDRESSES).map(|last| Ipv4Addr::new(10, 77, 1, last)).collect();
    addresses.iter().for_each(|address| hosts.add_address(3, *address));
    let voices: Vec<UdpSocket> = hosts.inside(3, || {
        let voice = |address: &Ipv4Addr| {
            let voice = UdpSocket::bind((*address, 0)).unwrap();
            voice.set_broadcast(true).unwrap();
            voice
        };
        addresses.iter().map(voice).collect()
    });
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let flood = std::thread::spawn({
        let (stop, sent, began) = (Arc::clone(&stop), Arc::clone(&sent), Instant::now());
        // One as long as a question, and one as long as an announcement: both begin as ours do, and make no sense.
        let junk = [1_200, 600].map(|bytes| {
            let mut junk = b"{\"chunkcast\":1,\"query\":{\"peer\":\"".to_vec();
            junk.resize(bytes, b'x');
            junk
        });
        let everybody = (Ipv4Addr::new(10, 77, 255, 255), PORT);
        move || {
            while !stop.load(Ordering::Relaxed) && began.elapsed() < FLOOD_MAX {
                for voice in &voices {
                    // What has no room is lost, as junk may be.
                    junk.iter().for_each(|junk| drop(voice.send_to(junk, everybody)));
                }
                let count = u32::try_from(2 * voices.len()).unwrap();
                if sent.fetch_add(count, Ordering::Relaxed) >= DATAGRAMS_MAX {
                    return;
                }
            }
        }
    });
    let began = Instant::now();
    while sent.load(Ordering::Relaxed) < DATAGRAMS_BEFORE && began.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    let mut failed = Vec::new();
    for time in 0..TIMES {
        let begun: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let folder = hosts.folder(&format!("got-{time}-{number}"));
                let get = hosts.get(2, &format!("getter-{time}-{number}"), "talk.mkv", &folder);
                (get.start(), folder)
            })
            .collect();
        for (get, folder) in begun {
            let ended = get.end();
            if ended.code == Some(0) {
                assert_same(&source, &folder.join("talk.mkv"));
            } else {
                failed.push(ended.text());
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    assert!(failed.is_empty(), "{} of {} failed: {failed:?}", failed.len(), TIMES * AT_ONCE);
    sharer.interrupt().expect(0);
}
