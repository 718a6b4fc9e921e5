//! The examples run: what they show is tried here with their own functions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use chunkcast::Config;

#[path = "../examples/custom_loop.rs"]
#[allow(dead_code, reason = "its `main` is tried by its parts")]
mod custom_loop;
#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "its `main` reads arguments")]
mod embed;

#[test]
fn two_cores_share_a_file_in_a_loop_of_their_own() {
    for size in [0, 1, 5_000, 3_000_000] {
        let content = vec![7; size];
        let mut world = custom_loop::World::new();
        world.share("talk.mkv", content.clone());
        assert!(world.get("talk.mkv") == content, "{size}");
    }
}

#[test]
fn an_embedded_peer_gets_what_another_shares() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.txt");
    fs::write(&file, "hello").unwrap();
    let config = |name: &str| {
        let own = folder.path().join(name);
        fs::create_dir(&own).unwrap();
        // Named instead of found, so that no other test hears of it.
        Config { no_broadcast: true, ..Config::new(name, own.join("state"), own).on_loopback() }
    };
    let mut alice = embed::share(config("alice"), &file).unwrap();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, alice.tcp_port()));
    let mut bob = chunkcast::Reactor::new(Config { peers: vec![at], ..config("bob") }).unwrap();
    let got = embed::get(&mut bob, "talk.txt", || {
        embed::turn(&mut alice, Some(Instant::now()))?;
        Ok(())
    });
    let got = got.unwrap();
    assert_eq!(got.parent(), Some(folder.path().join("bob").as_path()));
    assert_eq!(fs::read_to_string(got).unwrap(), "hello");
}
