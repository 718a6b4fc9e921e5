//! How commands end when they are told to, and when nobody listens any more.

use std::process::Stdio;

use rustix::process::Signal;

use crate::child::Trap;
use crate::files::{MIB, random_file};
use crate::lan::Lan;

#[test]
fn a_sharer_ends_cleanly_on_both_signals() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 110);
    for signal in [Signal::INT, Signal::TERM] {
        let sharer = lan.share("sharer", &source);
        sharer.signal(signal);
        let ended = sharer.end().expect(0);
        assert_eq!(ended.lines.last().unwrap()["t"], "summary");
    }
}

#[test]
fn the_longest_turn_is_told_when_asked() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 113);
    let mut sharer = lan.launch("sharer", &["share".as_ref(), source.as_os_str()]).args(&["-v"]).start();
    sharer.wait_stdout("talk.mkv");
    let ended = sharer.interrupt().expect(0);
    let turn = ended.stderr.split("the longest turn of the loop took ").nth(1).unwrap_or_default();
    let (millis, _) = turn.split_once(" ms").unwrap();
    assert!(millis.parse::<f64>().unwrap() > 0.0, "{turn}");
}

#[test]
fn a_getter_says_which_signal_ended_it() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 64 * MIB, 111);
    let _sharer = lan.share("sharer", &source);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = lan.folder(&format!("got-{code}"));
        let mut getter = lan.get("getter", "talk.mkv", &folder).trap(Trap::Hold(4 * MIB)).start();
        getter.wait_trapped();
        getter.signal(signal);
        let ended = getter.end().expect(code);
        assert_eq!(ended.lines.last().unwrap()["exit"], code);
    }
}

#[test]
fn a_timeout_ends_it() {
    let lan = Lan::new();
    let args = ["--wait", "60s", "--timeout", "500ms"];
    lan.get("getter", "talk.mkv", &lan.folder("got")).args(&args).run().expect(124);
}

#[test]
fn a_closed_pipe_is_a_clean_end() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 112);
    let _sharer = lan.share("sharer", &source);
    let mut ls = crate::child::chunkcast(&[])
        .args([
            "ls",
            "--watch",
            "--json",
            "--port",
            &lan.port.to_string(),
            "--broadcast",
            crate::lan::BROADCAST,
        ])
        .arg("--state-dir")
        .arg(lan.state("reader"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(ls.stdout.take());
    let ended = ls.wait_with_output().unwrap();
    assert!(ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_getter_that_seeds_stays_and_serves() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 113);
    let sharer = lan.share("sharer", &source);
    let mut seeder = lan.get("seeder", "talk.mkv", &lan.folder("seeded")).args(&["--seed"]).start();
    seeder.wait_json("its file", |line| (line["t"] == "done").then_some(()));
    sharer.kill();
    let ended = lan.get("getter", "talk.mkv", &lan.folder("got")).run().expect(0);
    assert!(crate::child::chunk_lines(&ended.lines).all(|line| line["user"] == "seeder"));
    seeder.interrupt();
}
