//! Files of equal content, and files in folders: each file that was asked for is written where it belongs, and nothing
//! else is.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use chunkcast::types::{ContentId, PeerId};
use chunkcast::wire::datagram;
use chunkcast::wire::message::{Announcement, Entry};

use crate::child::{Child, Ended, Trap};
use crate::files::{MIB, assert_same, files_below, names_in, random_file};
use crate::lan::Lan;

/// The names in the shared tree. Of `LICENSE` and `a.txt` there are several, of equal content; two are empty.
const NAMES: [&str; 9] = [
    "LICENSE",
    "a.txt",
    "hard.txt",
    "one/__init__.py",
    "pkg/LICENSE",
    "pkg/deep/down/main.py",
    "sub2/copy-of-a.txt",
    "sub2/main.py",
    "two/__init__.py",
];
/// What is fetched of them: each content once, the empty one without a byte.
const CONTENT_BYTES: u64 = 1_000 + 200_000 + 30_000 + 40_000;

/// Makes the tree of [`NAMES`].
fn tree(folder: &Path) {
    for name in NAMES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name {
            "LICENSE" | "pkg/LICENSE" => drop(random_file(&path, 1_000, 1)),
            "a.txt" | "sub2/copy-of-a.txt" => drop(random_file(&path, 200_000, 2)),
            "hard.txt" => fs::hard_link(folder.join("a.txt"), &path).unwrap(),
            "sub2/main.py" => drop(random_file(&path, 30_000, 3)),
            "pkg/deep/down/main.py" => drop(random_file(&path, 40_000, 4)),
            _ => fs::write(&path, b"").unwrap(),
        }
    }
}

/// `share` of the tree; returns once all of it is offered.
fn share_tree(lan: &Lan) -> (PathBuf, Child) {
    let shared = lan.folder("shared");
    tree(&shared);
    let mut sharer = lan.launch("sharer", &["share".as_ref(), shared.as_os_str()]).json_chunks().start();
    let mut left = NAMES.len();
    sharer.wait_json("all offers", |line| {
        left -= usize::from(line["t"] == "content");
        (left == 0).then_some(())
    });
    (shared, sharer)
}

/// `get` of several things into a folder.
fn get(lan: &Lan, wanted: &[&str], folder: &Path) -> Ended {
    let args = [&["get"], wanted, &["-o", folder.to_str().unwrap()]].concat();
    lan.launch("getter", &args).json_chunks().run()
}

/// The files below a folder, by their paths from there.
fn below(folder: &Path) -> Vec<String> {
    let strip = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files_below(folder).iter().map(strip).collect()
}

/// The bytes of all chunks that a process told it received.
fn fetched_bytes(ended: &Ended) -> u64 {
    let downs = ended.of_type("chunk").into_iter().filter(|line| line["dir"] == "down" && line["ok"] == true);
    downs.map(|line| line["bytes"].as_u64().unwrap()).sum()
}

/// The `done` lines and the summary tell exactly of these files in a folder.
fn assert_told(ended: &Ended, folder: &Path, files: &[&str]) {
    let told = ended.of_type("done");
    let mut paths: Vec<&str> = told.iter().map(|line| line["path"].as_str().unwrap()).collect();
    paths.sort();
    let expected: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
    assert_eq!(paths, expected.iter().map(|path| path.to_str().unwrap()).collect::<Vec<_>>());
    assert_eq!(ended.of_type("summary")[0]["done"], files.len(), "{}", ended.text());
}

#[test]
fn all_of_a_shared_tree_arrives_as_a_tree() {
    let lan = Lan::new();
    let (shared, _sharer) = share_tree(&lan);
    let listed = lan.launch("reader", &["ls", "--json"]).run().expect(0);
    assert_eq!(listed.of_type("content").len(), NAMES.len());
    let folder = lan.folder("all");
    let ended = get(&lan, &["*"], &folder).expect(0);
    assert_eq!(below(&folder), NAMES);
    for name in NAMES {
        assert_same(&shared.join(name), &folder.join(name));
    }
    assert_told(&ended, &folder, &NAMES);
    assert_eq!(fetched_bytes(&ended), CONTENT_BYTES, "each content is fetched once");
    let mut started: Vec<&str> =
        ended.of_type("start").iter().map(|line| line["name"].as_str().unwrap()).collect();
    started.sort();
    assert_eq!(started, NAMES, "each by its name");
    // The same again finds each in its place.
    let again = get(&lan, &["*"], &folder).expect(0);
    assert_told(&again, &folder, &NAMES);
    assert_eq!((fetched_bytes(&again), below(&folder)), (0, NAMES.map(str::to_owned).to_vec()));
}

#[test]
fn a_pattern_and_names_that_mean_the_same_files_write_each_once() {
    let lan = Lan::new();
    let (_, _sharer) = share_tree(&lan);
    let folder = lan.folder("all");
    let ended = get(&lan, &["LICENSE", "*", "pkg/LICENSE", "*.py"], &folder).expect(0);
    assert_told(&ended, &folder, &NAMES);
    assert_eq!(below(&folder), NAMES);
}

#[test]
fn equal_contents_are_written_under_each_name_that_was_asked_for() {
    let lan = Lan::new();
    let (shared, _sharer) = share_tree(&lan);
    // Each alone under its last component, and those that would be in each other's way under their paths.
    for (round, (wanted, written)) in [
        (&["a.txt", "hard.txt", "sub2/copy-of-a.txt"][..], &["a.txt", "copy-of-a.txt", "hard.txt"][..]),
        (&["LICENSE", "pkg/LICENSE"], &["LICENSE", "pkg/LICENSE"]),
        (&["one/__init__.py", "two/__init__.py"], &["one/__init__.py", "two/__init__.py"]),
        (&["sub2/main.py", "pkg/deep/down/main.py"], &["pkg/deep/down/main.py", "sub2/main.py"]),
        (&["pkg/LICENSE"], &["LICENSE"]),
        (&["pkg/LICENSE", "pkg/LICENSE"], &["LICENSE"]),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = lan.folder(&format!("got-{round}"));
        let ended = get(&lan, wanted, &folder).expect(0);
        assert_told(&ended, &folder, written);
        assert_eq!(below(&folder), written);
        for file in written {
            let name = wanted.iter().find(|name| name.ends_with(file)).unwrap();
            assert_same(&shared.join(name), &folder.join(file));
        }
    }
}

#[test]
fn flat_leaves_the_folders_out() {
    let lan = Lan::new();
    let (shared, _sharer) = share_tree(&lan);
    let folder = lan.folder("flat");
    let ended = get(&lan, &["*", "--flat"], &folder).expect(0);
    // Of equal contents with one last component there is one file; of different ones each has its own.
    let written = ["LICENSE", "__init__.py", "a.txt", "copy-of-a.txt", "hard.txt", "main (2).py", "main.py"];
    assert_told(&ended, &folder, &written);
    assert_eq!(below(&folder), written);
    for name in ["a.txt", "hard.txt", "sub2/copy-of-a.txt"] {
        assert_same(&shared.join(name), &folder.join(name.rsplit('/').next().unwrap()));
    }
}

#[test]
fn each_name_is_served_afterwards() {
    let lan = Lan::new();
    let (shared, sharer) = share_tree(&lan);
    let folder = lan.folder("all");
    let args = ["get", "*", "--seed", "-o", folder.to_str().unwrap()];
    let mut getter = lan.launch("getter", &args).json_chunks().start();
    let mut left = NAMES.len();
    getter.wait_json("all files", |line| {
        left -= usize::from(line["t"] == "done");
        (left == 0).then_some(())
    });
    sharer.interrupt();
    let listed = lan.launch("reader", &["ls", "--json"]).run().expect(0);
    let mut names: Vec<&str> =
        listed.of_type("content").iter().map(|line| line["name"].as_str().unwrap()).collect();
    names.sort();
    assert_eq!(names, NAMES);
    let second = lan.folder("second");
    get(&lan, &["*.txt"], &second).expect(0);
    assert_eq!(below(&second), ["a.txt", "hard.txt", "sub2/copy-of-a.txt"]);
    assert_same(&shared.join("a.txt"), &second.join("sub2/copy-of-a.txt"));
}

#[test]
fn what_is_in_the_way_is_treated_as_was_asked_for_each_name() {
    let lan = Lan::new();
    let (shared, _sharer) = share_tree(&lan);
    let wanted = ["a.txt", "hard.txt", "sub2/copy-of-a.txt"];
    let prepared = |on_conflict: &str| {
        let folder = lan.folder(on_conflict);
        fs::write(folder.join("a.txt"), b"mine").unwrap();
        fs::write(folder.join("copy-of-a.txt"), b"mine").unwrap();
        folder
    };
    let run = |on_conflict: &str, folder: &Path| {
        get(&lan, &[&wanted[..], &["--on-conflict", on_conflict]].concat(), folder)
    };
    let folder = prepared("rename");
    let ended = run("rename", &folder).expect(0);
    assert_told(&ended, &folder, &["a (2).txt", "copy-of-a (2).txt", "hard.txt"]);
    assert_eq!(fs::read(folder.join("a.txt")).unwrap(), b"mine");
    // The file of the first name is there by then, so only the others are made.
    let folder = prepared("skip");
    run("skip", &folder).expect(0);
    assert_eq!(fs::read(folder.join("a.txt")).unwrap(), b"mine");
    assert_same(&shared.join("a.txt"), &folder.join("hard.txt"));
    let folder = prepared("overwrite");
    run("overwrite", &folder).expect(0);
    for name in ["a.txt", "copy-of-a.txt", "hard.txt"] {
        assert_same(&shared.join("a.txt"), &folder.join(name));
    }
    let folder = prepared("error");
    let ended = run("error", &folder).expect(10);
    assert_eq!(ended.of_type("summary")[0]["failed"], 2);
    assert_told(&ended, &folder, &["hard.txt"]);
}

#[test]
fn a_link_below_the_target_is_not_followed() {
    let lan = Lan::new();
    let (_, _sharer) = share_tree(&lan);
    let (folder, outside) = (lan.folder("got"), lan.folder("outside"));
    symlink(&outside, folder.join("pkg")).unwrap();
    fs::create_dir(folder.join("sub2")).unwrap();
    symlink(outside.join("made.py"), folder.join("sub2/main.py")).unwrap();
    let ended = get(&lan, &["*"], &folder).expect(10);
    assert_eq!(names_in(&outside), [""; 0], "nothing is written outside");
    let errors = ended.of_type("error");
    let named: Vec<&str> = errors.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(errors.len(), 2, "{}", ended.text());
    for name in ["pkg/LICENSE", "pkg/deep/down/main.py"] {
        assert!(named.contains(&name), "{named:?}");
    }
    for message in errors.iter().map(|line| line["message"].as_str().unwrap()) {
        assert!(message.contains("is a link") && !message.contains("kept"), "{message}");
    }
    // A link in place of a file is somebody's file.
    let mut written = NAMES.map(str::to_owned).to_vec();
    written.retain(|name| !name.starts_with("pkg/") && name != "sub2/main.py");
    written.push("sub2/main (2).py".to_owned());
    written.sort();
    assert_told(&ended, &folder, &written.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_file_and_a_folder_of_one_name_are_told_of_and_the_rest_goes_on() {
    let lan = Lan::new();
    let (one, two) = (lan.folder("one"), lan.folder("two"));
    random_file(&one.join("a"), 5_000, 1);
    fs::create_dir(two.join("a")).unwrap();
    random_file(&two.join("a/b"), 6_000, 2);
    random_file(&two.join("other.txt"), 7_000, 3);
    let (_first, mut second) = (lan.share("one", &one), lan.share("two", &two));
    second.wait_json("the second offer", |line| (line["t"] == "content").then_some(()));
    for first in ["a", "a/*"] {
        // Whichever is there first stays.
        let folder = lan.folder(if first == "a" { "file" } else { "folder" });
        get(&lan, &[first], &folder).expect(0);
        let ended = get(&lan, &["*"], &folder).expect(10);
        assert_eq!(ended.of_type("error").len(), 1, "{}", ended.text());
        let there = if first == "a" { ["a", "other.txt"] } else { ["a/b", "other.txt"] };
        assert_told(&ended, &folder, &there);
        assert_eq!(below(&folder), there);
    }
}

#[test]
fn a_name_that_is_no_path_is_refused_and_told_of() {
    let lan = Lan::new();
    let names = ["../outside", "/etc/passwd", "a//b", "a/../../c", "..", &format!("{}e", "d/".repeat(64))];
    let entries = names.iter().zip(1..).map(|(name, number)| Entry {
        id: ContentId([number; 32]),
        name: (*name).to_owned(),
        size: 5_000,
        have: 1,
        of: 1,
    });
    let announcement = Announcement {
        peer: PeerId([7; 16]),
        user: "hostile".to_owned(),
        port: 7117,
        interval_ms: 60_000,
        known_peers: 1,
        generation: 1,
        catalogue: u32::try_from(names.len()).unwrap(),
        entries: entries.collect(),
        answers: None,
    };
    let (bytes, listed) = datagram::encode_announcement(&announcement);
    assert_eq!(listed, names.len());
    let folder = lan.folder("got");
    let args = ["get", "*", "-o", folder.to_str().unwrap(), "--json"];
    let mut getter = lan.launch("getter", &args).start();
    // It listens once it has said hello.
    getter.wait_json("hello", |line| (line["t"] == "hello").then_some(()));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.send_to(&bytes, (Ipv4Addr::LOCALHOST, lan.port)).unwrap();
    let ended = getter.end().expect(7);
    let errors = ended.of_type("error");
    let mut told: Vec<&str> = errors.iter().map(|line| line["name"].as_str().unwrap()).collect();
    told.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(told, expected, "{}", ended.text());
    assert_eq!(names_in(&folder), [""; 0]);
    assert!(!lan.path("outside").exists() && !lan.path("c").exists());
}

#[test]
fn a_download_in_a_folder_resumes() {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    fs::create_dir_all(shared.join("films/new")).unwrap();
    random_file(&shared.join("films/new/talk.mkv"), 32 * MIB, 5);
    let _sharer = lan.share("sharer", &shared);
    let folder = lan.folder("got");
    let killed = lan.get("getter", "*", &folder).trap(Trap::Kill(16 * MIB)).start().end();
    let before = killed.chunks().len();
    let part = below(&folder);
    assert!(part.iter().all(|file| file.starts_with("films/new/talk.mkv.")), "{part:?}");
    // Parts are not shared, wherever they lie.
    random_file(&folder.join("later.txt"), 10, 6);
    let mut other = lan.launch("other", &["share".as_ref(), folder.as_os_str()]).json_chunks().start();
    other.wait_stderr(&["Ctrl-C ends"]);
    let offered = other.interrupt();
    assert!(offered.of_type("content").iter().all(|line| line["name"] == "later.txt"), "{}", offered.text());
    fs::remove_file(folder.join("later.txt")).unwrap();
    let resumed = lan.get("getter", "*", &folder).run().expect(0);
    assert_same(&shared.join("films/new/talk.mkv"), &folder.join("films/new/talk.mkv"));
    assert_eq!(below(&folder), ["films/new/talk.mkv"]);
    assert!(resumed.chunks().len() < 2048 - before + 256, "{} after {before}", resumed.chunks().len());
}

/// `share` of so many small files in a folder of the tree; returns once all of them are offered.
fn share_many(lan: &Lan, count: usize) -> Child {
    let shared = lan.folder("shared");
    fs::create_dir(shared.join("notes")).unwrap();
    for number in 0..count {
        fs::write(shared.join(format!("notes/{number:02}.txt")), format!("{number:02}")).unwrap();
    }
    let mut sharer = lan.launch("sharer", &["share".as_ref(), shared.as_os_str()]).json_chunks().start();
    let mut left = count;
    sharer.wait_json("all offers", |line| {
        left -= usize::from(line["t"] == "content");
        (left == 0).then_some(())
    });
    sharer
}

#[test]
fn a_get_of_many_files_ends_with_what_became_of_them() {
    let lan = Lan::new();
    let _sharer = share_many(&lan, 30);
    let folder = lan.folder("all");
    let last = |ended: &Ended| ended.stderr.lines().last().unwrap_or_default().to_owned();
    let get =
        || lan.launch("getter", &["get".as_ref(), "*".as_ref(), "-o".as_ref(), folder.as_os_str()]).run();
    let ended = get().expect(0);
    assert!(last(&ended).starts_with("30 files, 60 B in "), "{}", ended.stderr);
    assert!(last(&ended).ends_with(" from 1 peer, all verified"), "{}", ended.stderr);
    let again = get().expect(0);
    assert_eq!(last(&again), "30 files, 60 B: all here already, verified", "{}", again.stderr);
    // One of them is in the way of itself, as a folder.
    fs::remove_file(folder.join("notes/07.txt")).unwrap();
    fs::create_dir(folder.join("notes/07.txt")).unwrap();
    let partly = get().expect(10);
    let lines: Vec<&str> = partly.stderr.lines().rev().take(2).collect();
    assert!(
        lines[1].starts_with("29 of 30 files, 58 B: ") && lines[1].ends_with("; 1 failed"),
        "{}",
        partly.stderr
    );
    assert!(lines[0].contains("chunkcast get '*'"), "{}", partly.stderr);
}

#[test]
fn a_file_in_the_way_of_a_folder_is_told_of_once() {
    let lan = Lan::new();
    let _sharer = share_many(&lan, 5);
    let folder = lan.folder("all");
    fs::write(folder.join("notes"), "a file").unwrap();
    let ended = lan
        .launch("getter", &["get".as_ref(), "*".as_ref(), "-o".as_ref(), folder.as_os_str()])
        .run()
        .expect(7);
    assert_eq!(ended.stderr.matches("is no folder").count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("4 more files were not fetched for the same reason as \"notes/"),
        "{}",
        ended.stderr
    );
}
