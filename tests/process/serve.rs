//! `serve`: folders are watched, what others offer is mirrored.

use std::fs;
use std::path::{Path, PathBuf};

use chunkcast::types::ContentId;
use rustix::process::Signal;

use crate::child::{Child, Launch};
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

/// `serve` with these arguments, looking often.
fn serve(lan: &Lan, name: &str, args: &[&str]) -> Launch {
    lan.launch(name, &["serve"]).args(args).args(&["--rescan", "100ms"]).json_chunks()
}

fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn wait_content(child: &mut Child, event: &str, name: &str, id: ContentId) {
    let id = id.to_string();
    child.wait_json(&format!("{name} {event} as {id}"), |line| {
        let is_it = line["t"] == "content" && line["event"] == event;
        (is_it && line["name"] == name && line["id"] == *id).then_some(())
    });
}

/// Waits until this content was mirrored; gives its path and the number of peers it came from.
fn wait_done(child: &mut Child, id: ContentId) -> (PathBuf, u64) {
    let id = id.to_string();
    child.wait_json(&format!("the end of {id}"), |line| {
        let path = line["path"].as_str().filter(|_| line["t"] == "done" && line["id"] == *id)?;
        Some((PathBuf::from(path), line["peers"].as_u64().unwrap()))
    })
}

#[test]
fn what_happens_in_a_folder_is_noticed() {
    let lan = Lan::new();
    let folder = lan.folder("shared");
    fs::create_dir(folder.join("below")).unwrap();
    let first = random_file(&folder.join("below/first"), 3 * MIB, 1);
    fs::write(folder.join(".hidden"), b"hidden").unwrap();
    let mut server = serve(&lan, "server", &[word(&folder)]).start();
    wait_content(&mut server, "shared", "below/first", first);

    let second = random_file(&folder.join("second"), 40_000, 2);
    wait_content(&mut server, "shared", "second", second);
    let changed = random_file(&folder.join("second"), 50_000, 3);
    wait_content(&mut server, "withdrawn", "second", second);
    wait_content(&mut server, "shared", "second", changed);
    fs::rename(folder.join("second"), folder.join("third")).unwrap();
    wait_content(&mut server, "withdrawn", "second", changed);
    wait_content(&mut server, "shared", "third", changed);

    let got = lan.folder("got");
    lan.get("getter", "third", &got).run().expect(0);
    assert_same(&got.join("third"), &folder.join("third"));
    fs::remove_file(folder.join("below/first")).unwrap();
    wait_content(&mut server, "withdrawn", "below/first", first);
    server.signal(Signal::TERM);
    let ended = server.end().expect(0);
    assert!(!ended.text().contains("hidden"), "{}", ended.text());
}

#[test]
fn people_read_one_line_a_change() {
    let lan = Lan::new();
    let folder = lan.folder("shared");
    random_file(&folder.join("first"), MIB, 1);
    let mut server = lan.launch("server", &["serve", word(&folder), "--rescan", "100ms"]).start();
    server.wait_stdout("serving 1 file, 1.0 MiB from \"");
    random_file(&folder.join("second"), 1024, 2);
    server.wait_stdout("shared: \"second\", 1.0 KiB\n");
    fs::remove_file(folder.join("second")).unwrap();
    server.wait_stdout("no longer shared: \"second\": the file is gone\n");
    for number in 0..50 {
        random_file(&folder.join(format!("{number:02}")), 10, 100 + number);
    }
    server.wait_stdout(" more\n");
    let ended = server.interrupt().expect(0);
    assert!(ended.stdout.lines().count() < 50, "{}", ended.stdout);
}

#[test]
fn a_hangup_looks_at_once() {
    let lan = Lan::new();
    let folder = lan.folder("shared");
    let first = random_file(&folder.join("first"), MIB, 1);
    let mut server = lan.launch("server", &["serve", word(&folder), "--rescan", "1h"]).json_chunks().start();
    wait_content(&mut server, "shared", "first", first);
    fs::remove_file(folder.join("first")).unwrap();
    server.signal(Signal::HUP);
    wait_content(&mut server, "withdrawn", "first", first);
    server.interrupt().expect(0);
}

#[test]
fn a_folder_goes_away_and_comes_back() {
    let lan = Lan::new();
    let [stays, stick] = ["stays", "stick"].map(|name| lan.folder(name));
    let here = random_file(&stays.join("here"), 1000, 1);
    let there = random_file(&stick.join("there"), MIB, 2);
    let mut server = serve(&lan, "server", &[word(&stays), word(&stick), "--mirror", "*.mkv"]).start();
    wait_content(&mut server, "shared", "there", there);
    fs::rename(&stick, lan.path("pulled")).unwrap();
    wait_content(&mut server, "withdrawn", "there", there);
    server.wait_stderr(&["stick\" is away"]);
    fs::rename(lan.path("pulled"), &stick).unwrap();
    server.wait_stderr(&["stick\" is back"]);
    let got = lan.folder("got");
    for id in [there, here] {
        lan.get("getter", &id.to_string(), &got).args(&["--wait", "60s"]).run().expect(0);
    }
    server.interrupt().expect(0);
}

#[test]
fn what_others_offer_is_mirrored_and_served_from_there() {
    let lan = Lan::new();
    let [source, mirrored, got] = ["source", "mirrored", "got"].map(|name| lan.folder(name));
    let talk = random_file(&source.join("talk.mkv"), 5 * MIB, 1);
    random_file(&source.join("notes.txt"), 1000, 2);
    let mut server = serve(&lan, "server", &[word(&mirrored), "--mirror", "*.mkv"]).start();
    let mut sharer = serve(&lan, "sharer", &[word(&source)]).start();
    assert_eq!(wait_done(&mut server, talk), (mirrored.join("talk.mkv"), 1));
    let later = random_file(&source.join("later.mkv"), 100_000, 3);
    wait_content(&mut sharer, "shared", "later.mkv", later);
    wait_done(&mut server, later);
    sharer.interrupt().expect(0);
    lan.get("getter", "talk.mkv", &got).run().expect(0);
    assert_same(&got.join("talk.mkv"), &source.join("talk.mkv"));
    assert_eq!(names_in(&mirrored), ["later.mkv", "talk.mkv"]);
    server.interrupt().expect(0);
    assert!(lan.transfer_log("server").contains("DONE \"talk.mkv\""));
}

#[test]
fn an_empty_file_is_mirrored_too() {
    let lan = Lan::new();
    let [source, mirrored] = ["source", "mirrored"].map(|name| lan.folder(name));
    let empty = random_file(&source.join("empty.txt"), 0, 1);
    let other = random_file(&source.join("other.txt"), 10, 2);
    let mut server = serve(&lan, "server", &[word(&mirrored), "--mirror", "*.txt"]).start();
    let sharer = serve(&lan, "sharer", &[word(&source)]).start();
    wait_done(&mut server, other);
    assert_eq!(wait_done(&mut server, empty).0, mirrored.join("empty.txt"));
    assert_eq!(names_in(&mirrored), ["empty.txt", "other.txt"]);
    sharer.interrupt().expect(0);
    server.interrupt().expect(0);
}

#[test]
fn a_mirror_begins_again_where_it_ended() {
    let lan = Lan::new();
    let [source, mirrored] = ["source", "mirrored"].map(|name| lan.folder(name));
    let talk = random_file(&source.join("talk.mkv"), 5 * MIB, 1);
    let mut sharer = serve(&lan, "sharer", &[word(&source)]).start();
    let arguments = [word(&mirrored), "--mirror", "*.mkv"];
    let mut server = serve(&lan, "server", &arguments).start();
    wait_done(&mut server, talk);
    server.interrupt().expect(0);
    let mut server = serve(&lan, "server", &arguments).start();
    wait_content(&mut server, "shared", "talk.mkv", talk);
    // The owner takes it away; it is not fetched again.
    fs::remove_file(mirrored.join("talk.mkv")).unwrap();
    wait_content(&mut server, "withdrawn", "talk.mkv", talk);
    let later = random_file(&source.join("later.mkv"), 100_000, 3);
    wait_content(&mut sharer, "shared", "later.mkv", later);
    wait_done(&mut server, later);
    let ended = server.interrupt().expect(0);
    assert!(ended.of_type("start").iter().all(|line| line["id"] == *later.to_string()));
    assert_eq!(names_in(&mirrored), ["later.mkv"]);
}

#[test]
fn two_mirrors_of_each_other_come_to_hold_the_same() {
    let lan = Lan::new();
    let [one, two] = ["one", "two"].map(|name| lan.folder(name));
    let of_one = random_file(&one.join("same-name"), 2 * MIB, 1);
    let of_two = random_file(&two.join("same-name"), 3 * MIB, 2);
    let [mut first, mut second] = [("first", &one), ("second", &two)]
        .map(|(name, folder)| serve(&lan, name, &[word(folder), "--mirror", "*"]).start());
    assert_eq!(wait_done(&mut first, of_two).0, one.join("same-name (2)"));
    assert_eq!(wait_done(&mut second, of_one).0, two.join("same-name (2)"));
    // What one fetched the other has: after the next file nothing else was begun.
    let last = random_file(&one.join("last"), 1000, 3);
    wait_done(&mut second, last);
    for (server, begun) in [(first, 1), (second, 2)] {
        assert_eq!(server.interrupt().expect(0).of_type("start").len(), begun);
    }
    assert_same(&one.join("same-name (2)"), &two.join("same-name"));
    assert_eq!(names_in(&two), ["last", "same-name", "same-name (2)"]);
}

#[test]
fn there_is_an_end_to_what_is_mirrored() {
    let lan = Lan::new();
    let [source, shared, mirrored] = ["source", "shared", "mirrored"].map(|name| lan.folder(name));
    random_file(&mirrored.join("old"), MIB, 1);
    random_file(&source.join("large"), 4 * MIB, 2);
    let small = random_file(&source.join("small"), MIB, 3);
    let sharer = lan.share("sharer", &source);
    let arguments = ["--mirror", "*", "--mirror-dir", word(&mirrored), "--mirror-max", "3MiB"];
    let mut server = serve(&lan, "server", &[word(&shared)]).args(&arguments).start();
    assert_eq!(wait_done(&mut server, small).0, mirrored.join("small"));
    server.wait_stderr(&["does not fit into --mirror-max; smaller files are still mirrored"]);
    server.interrupt().expect(0);
    sharer.interrupt().expect(0);
    assert_eq!(names_in(&mirrored), ["old", "small"]);
}

#[test]
fn folders_that_cannot_be_served_are_refused() {
    let lan = Lan::new();
    let folder = lan.folder("folder");
    let file = lan.path("file");
    fs::write(&file, b"x").unwrap();
    let missing = lan.launch("server", &["serve", word(&folder), word(&lan.path("missing"))]).run().expect(7);
    assert!(missing.stderr.contains("missing"), "{}", missing.stderr);
    let of_file = lan.launch("server", &["serve", word(&file)]).run().expect(2);
    assert!(of_file.stderr.contains("chunkcast share"), "{}", of_file.stderr);
    let missing = lan.path("missing");
    let arguments = ["serve", word(&folder), "--mirror", "*", "--mirror-dir", word(&missing)];
    lan.launch("server", &arguments).run().expect(7);
    assert!(!missing.exists());
}
