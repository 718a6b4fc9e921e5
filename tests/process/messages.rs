//! Messages for people: what happened, to whom and why, then one next step.

use std::os::unix::fs::symlink;

use crate::files::random_file;
use crate::lan::Lan;
use crate::sending::{receive, standing};

/// Fails unless a message stands in what a process said.
#[track_caller]
fn says(said: &str, message: &str) {
    assert!(said.contains(message), "{message:?} is not in:\n{said}");
}

#[test]
fn a_name_that_no_peer_offers() {
    let lan = Lan::new();
    random_file(&lan.folder("album/photos").join("lake.jpg"), 1000, 1);
    let _sharer = lan.share("sharer", &lan.folder("album"));
    let said = lan.get("getter", "photos", &lan.folder("got")).args(&["--wait", "2s"]).run().expect(3).stderr;
    says(&said, "chunkcast: no peer offers \"photos\" (1 peer answered within 2 s)\n");
    says(&said, "  files in that folder: chunkcast get 'photos/*'");
    says(&said, "  next: chunkcast ls");
}

#[test]
fn no_peer_at_all() {
    let lan = Lan::new();
    let where_asked = format!("no peer answered on port {} within 0.3 s (asked on lo)", lan.port);
    let ended = lan.get("getter", "talk.mkv", &lan.folder("got")).args(&["--wait", "300ms"]).run().expect(3);
    says(&ended.stderr, &format!("\"talk.mkv\" was not fetched: {where_asked}\n  next: README, Trouble"));
    says(&ended.stderr, "--peer HOST   # where broadcasts do not reach");
    let said = lan.launch("reader", &["ls", "--wait", "300ms"]).run().expect(0).stderr;
    says(&said, &format!("{where_asked}\n  next: README, Trouble"));
    let path = lan.path("notes.pdf");
    random_file(&path, 10, 2);
    let send = ["send".as_ref(), path.as_os_str(), "--to".as_ref(), "rec".as_ref()];
    let said = lan.launch("sender", &send).args(&["--wait", "300ms"]).run().expect(3).stderr;
    says(&said, &format!("\"notes.pdf\" was not sent to \"rec\": {where_asked}\n  next: README, Trouble"));
}

#[test]
fn files_that_need_no_fetching() {
    let lan = Lan::new();
    let [shared, got] = ["shared", "got"].map(|name| lan.folder(name));
    random_file(&shared.join("talk.mkv"), 100_000, 3);
    random_file(&shared.join("nothing"), 0, 4);
    let mut sharer = lan.share("sharer", &shared);
    sharer.wait_stderr(&["sharing 2 files"]);
    let said = lan.get("getter", "*", &got).run().expect(0).stderr;
    says(&said, "nothing: empty\n");
    let said = lan.get("getter", "*", &got).run().expect(0).stderr;
    says(&said, "talk.mkv: already here, verified\n");
}

#[test]
fn links_are_counted_and_not_listed() {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    random_file(&shared.join("file"), 10, 5);
    for number in 0..12 {
        symlink("file", shared.join(format!("link-{number}"))).unwrap();
    }
    let mut sharer = lan.launch("sharer", &["share".as_ref(), shared.as_os_str()]).start();
    sharer.wait_stderr(&["Ctrl-C ends"]);
    let said = sharer.interrupt().expect(0).stderr;
    assert_eq!(said.matches("left out").count(), 1, "{said}");
    says(&said, "left out 12 links (first: \"");
    says(&said, "\"); links are not followed\n");
}

#[test]
fn two_contents_of_one_name_are_told_apart_by_longer_names() {
    let lan = Lan::new();
    for (number, folder) in (6..).zip(["one", "two"]) {
        random_file(&lan.folder(&format!("shared/{folder}")).join("readme.txt"), 100, number);
    }
    let mut sharer = lan.share("sharer", &lan.folder("shared"));
    sharer.wait_stderr(&["sharing 2 files"]);
    let said = lan.get("getter", "readme.txt", &lan.folder("got")).run().expect(8).stderr;
    says(&said, "chunkcast: \"readme.txt\" stands for 2 different files\n  next: say which one:\n");
    for folder in ["one", "two"] {
        says(&said, &format!("chunkcast get {folder}/readme.txt "));
    }
}

#[test]
fn a_receiver_that_takes_one_file_is_told_once_with_the_command_for_the_others() {
    let lan = Lan::new();
    let folder = lan.folder("out files");
    for (number, name) in (8..).zip(["a", "b", "c", "d"]) {
        random_file(&folder.join(name), 1000, number);
    }
    let (receiver, _) = standing(receive(&lan, "rec", &["--yes", "--once"]));
    let send = ["send".as_ref(), folder.as_os_str(), "--to".as_ref(), "rec".as_ref()];
    let said = lan.launch("sender", &send).run().expect(10).stderr;
    receiver.end().expect(0);
    assert_eq!(said.matches("takes one file (receive --once)").count(), 1, "{said}");
    says(&said, "chunkcast: 3 of 4 files were not sent to \"rec\": rec (127.0.0.1:");
    says(&said, ") takes one file (receive --once); not sent: ");
    let command = said.lines().find(|line| line.contains("next: chunkcast send '")).unwrap();
    assert_eq!(command.matches("out files/").count(), 3, "{command}");
    assert!(command.contains("--to rec") && command.contains(&format!("--port {}", lan.port)), "{command}");
}

#[test]
fn an_interface_that_is_not_there() {
    let lan = Lan::new();
    let said = lan.launch("reader", &["ls", "--iface", "nope0"]).run().expect(4).stderr;
    says(&said, "chunkcast: --iface nope0: this host has ");
    says(&said, "lo");
}

#[test]
fn a_server_starts_with_one_line() {
    let lan = Lan::new();
    let folder = lan.folder("m");
    let serve = ["serve".as_ref(), folder.as_os_str(), "--mirror".as_ref(), "*".as_ref()];
    let mut server = lan.launch("server", &serve).start();
    server.wait_stdout("serving ");
    let ended = server.interrupt().expect(0);
    let shown = folder.display();
    let line =
        format!("serving 0 files from \"{shown}\"; mirroring '*' into \"{shown}\", up to 100.0 GiB; port ");
    assert_eq!(ended.stdout.matches(&line).count(), 1, "{}", ended.stdout);
    assert!(!ended.stderr.contains("mirroring"), "{}", ended.stderr);
}

#[test]
fn a_listing_in_full_names_the_peer_and_what_it_has() {
    let lan = Lan::new();
    let path = lan.path("talk.mkv");
    random_file(&path, 1000, 12);
    let _sharer = lan.share("lab-A", &path);
    let said = lan.launch("reader", &["ls", "--long"]).run().expect(0).stdout;
    says(&said, "  lab-A (127.0.0.1:");
    says(&said, "): complete\n");
}

#[test]
fn an_interrupted_download_counts_files() {
    let lan = Lan::new();
    let args = ["get", "talk.mkv", "--wait", "10m"];
    let mut getter = lan.launch("getter", &args).json_chunks().start();
    getter.wait_json("that it looks", |line| (line["t"] == "hello").then_some(()));
    let said = getter.interrupt().expect(130).stderr;
    says(&said, "the download is not complete: interrupted; 1 file is incomplete\n");
}
