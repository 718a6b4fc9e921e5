//! A process that dies, or whose disk fails, at any of its calls on files; then the same command again.

use std::fs;

use crate::child::skip;
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

/// A file of 64 chunks of 16 KiB.
const BYTES: u64 = MIB;
/// About how many calls on files a whole download of it makes; a fault beyond the last one changes nothing.
const CALLS: u64 = 170;
const ROUNDS: u64 = 20;

#[test]
fn dead_at_twenty_calls_it_resumes() {
    // `None`: a signal ended it.
    survives("abort@", "", 30, |code| matches!(code, None | Some(0)));
}

#[test]
fn one_failed_call_costs_at_most_the_same_command_again() {
    // EIO
    survives("5@", "", 31, |code| code.is_some());
}

#[test]
fn a_disk_that_fails_for_good_costs_at_most_the_same_command_again() {
    // ENOSPC
    survives("28@", "+", 32, |code| code.is_some());
}

/// Downloads with a fault at call after call, drawn by `seed`, each time followed by a download without one.
fn survives(fault: &str, from_then_on: &str, seed: u64, may_end_with: impl Fn(Option<i32>) -> bool) {
    if !cfg!(debug_assertions) {
        return skip("a debug build", "no faults were planned");
    }
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, BYTES, seed);
    let _sharer = lan.share("sharer", &source);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut faults_met = 0;
    for round in 0..ROUNDS {
        // One in each stretch of the download.
        let stretch = CALLS / ROUNDS;
        let at = round * stretch + rng.u64(1..=stretch);
        // A name of its own: the state directory of one round knows nothing of another.
        let (getter, folder) = (format!("getter-{round}"), lan.folder(&format!("round-{round}")));
        let target = folder.join("talk.mkv");
        fs::write(folder.join("precious"), "precious").unwrap();
        let faulty = ["env".to_owned(), format!("CHUNKCAST_FS_FAULT={fault}{at}{from_then_on}")];
        let first = lan.get(&getter, "talk.mkv", &folder).through(&faulty).run();
        assert!(may_end_with(first.code), "call {at}: {}", first.text());
        assert!(!first.stderr.contains("panicked"), "call {at}: {}", first.stderr);
        faults_met += u64::from(first.code != Some(0));
        assert!(first.code != Some(0) || target.exists(), "call {at}: {}", first.text());
        if target.exists() {
            assert_same(&source, &target);
        }

        lan.get(&getter, "talk.mkv", &folder).run().expect(0);
        assert_same(&source, &target);
        assert_eq!(fs::read(folder.join("precious")).unwrap(), b"precious");
        assert_eq!(names_in(&folder), ["precious", "talk.mkv"], "call {at}: what is left behind");
    }
    assert!(faults_met > 0, "no fault was met");
}
