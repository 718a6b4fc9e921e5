//! `scripts/ring.sh`: a whole ring at once, and what happens when it fails or is interrupted.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::child::skip;
use crate::files::{MIB, assert_same, random_file};
use crate::lan::Lan;

/// The script, run with this binary in the folder `ring` of a test's own.
fn script(lan: &Lan, args: &[&str]) -> Option<Command> {
    let mut command = Command::new("bash");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/ring.sh")).args(args);
    command.env("CHUNKCAST", env!("CARGO_BIN_EXE_chunkcast"));
    command.env("RING_DIR", folder(lan)).env("RING_PORT", lan.port.to_string());
    let bash = Command::new("bash").arg("--version").stdout(Stdio::null()).status();
    if !bash.is_ok_and(|status| status.success()) {
        skip("bash", "scripts/ring.sh was not run");
        return None;
    }
    Some(command)
}

fn folder(lan: &Lan) -> PathBuf {
    lan.path("ring")
}

/// Waits until a file contains a text; the script's own end would be the other way for that to be over.
fn wait_for(script: &mut Child, path: &Path, text: &str) {
    while !std::fs::read_to_string(path).is_ok_and(|all| all.contains(text)) {
        assert_eq!(script.try_wait().unwrap(), None, "it ended before {text:?} stood in {}", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn it_ends_when_all_is_verified_and_prints_a_table() {
    let lan = Lan::new();
    let file = lan.path("talk: a film.mkv");
    random_file(&file, 2 * MIB, 510);
    let Some(mut command) = script(&lan, &["3", file.to_str().unwrap()]) else { return };
    let ended = command.output().unwrap();
    let table = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{table}\n{}", String::from_utf8_lossy(&ended.stderr));
    for number in 1..=3 {
        let name = format!("peer-{number}");
        assert_same(&file, &folder(&lan).join(&name).join("talk_ a film.mkv"));
        let row = table.lines().find(|line| line.starts_with(&name)).expect("a row for each");
        let cells: Vec<f64> = row.split_whitespace().skip(1).map(|cell| cell.parse().expect(row)).collect();
        let [owner, neighbour, _seconds] = cells[..] else { panic!("{row}") };
        assert!((owner - 7.0).abs() < 0.1 && (neighbour - 14.0).abs() < 0.1, "{row}");
    }
}

#[test]
fn one_that_fails_makes_it_fail() {
    // The owner's place, and that of the second peer.
    for taken in [0, 2] {
        let lan = Lan::new();
        let _other = TcpListener::bind(("127.0.0.1", lan.port + taken)).unwrap();
        let Some(mut command) = script(&lan, &["3"]) else { return };
        let ended = command.output().unwrap();
        let table = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(1), "{table}");
        assert!(taken == 0 || table.contains("peer-2     FAILED with exit code 4"), "{table}");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains(&format!("{} of 127.0.0.1 is in use", lan.port + taken)), "{said}");
    }
}

#[test]
fn interrupted_it_leaves_nobody_behind() {
    let lan = Lan::new();
    // Nobody is complete: the owner's file takes a while.
    let file = lan.path("talk.mkv");
    random_file(&file, 200 * MIB, 511);
    let Some(mut command) = script(&lan, &["2", file.to_str().unwrap()]) else { return };
    let mut script = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut script, &folder(&lan).join("peer-2.log"), " received chunk ");
    kill_process(Pid::from_child(&script), Signal::TERM).unwrap();
    let mut said = String::new();
    script.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(script.wait().unwrap().code(), Some(143), "{said}");
    let table: Vec<String> =
        BufReader::new(script.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(table.is_empty() && said.contains("interrupted"), "{table:?} {said}");
    // The ports are free again, so nobody is left.
    (0..=2).for_each(|number| drop(TcpListener::bind(("127.0.0.1", lan.port + number)).unwrap()));
}
