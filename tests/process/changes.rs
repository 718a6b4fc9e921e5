//! The shared file changes or vanishes while it is served.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chunkcast::types::ContentId;
use serde_json::Value;

use crate::child::{Child, Ended, Trap, chunk_lines};
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

/// A file of 2,048 chunks of 32 KiB.
const BYTES: u64 = 64 * MIB;

#[test]
fn a_file_that_changes_while_served_is_withdrawn() {
    let scene = Scene::half_way();
    let mut file = OpenOptions::new().write(true).open(&scene.source).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&vec![0; usize::try_from(BYTES).unwrap()]).unwrap();
    drop(file);
    scene.ends_without_a_wrong_byte(&["changed"]);
}

#[test]
fn a_file_that_shrinks_while_served_is_withdrawn() {
    let scene = Scene::half_way();
    OpenOptions::new().write(true).open(&scene.source).unwrap().set_len(MIB).unwrap();
    scene.ends_without_a_wrong_byte(&["changed"]);
}

#[test]
fn a_file_that_vanishes_while_served_is_withdrawn() {
    let scene = Scene::half_way();
    fs::remove_file(&scene.source).unwrap();
    scene.ends_without_a_wrong_byte(&["gone", "vanished"]);
}

#[test]
fn a_file_that_is_replaced_while_served_is_withdrawn() {
    let scene = Scene::half_way();
    let other = scene.lan.path("other");
    random_file(&other, BYTES, 71);
    fs::rename(&other, &scene.source).unwrap();
    scene.ends_without_a_wrong_byte(&["changed", "gone", "replaced"]);
}

#[test]
fn what_was_edited_before_it_is_asked_for_is_fetched_as_it_is_now() {
    let lan = Lan::new();
    // Of one chunk, and of many.
    for (name, bytes) in [("small.txt", 1_000), ("talk.mkv", 5 * MIB)] {
        let source = lan.path(name);
        random_file(&source, bytes, 72);
        let sharer = lan.share(name, &source);
        let now = random_file(&source, bytes + 1, 73);
        let folder = lan.folder("got");
        let ended = lan.get("getter", name, &folder).args(&["--stall", "5s"]).run().expect(0);
        assert_same(&source, &folder.join(name));
        let said: Vec<_> =
            ended.of_type("retry").into_iter().filter(|line| line["reason"] == "replaced").collect();
        assert_eq!(said.len(), 1, "{}", ended.text());
        assert_eq!(said[0]["replaced_by"], now.to_string());
        assert!(
            ended.stderr.contains(&format!("replaced \"{name}\": getting the new version")),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.of_type("done").len(), 1);
        sharer.interrupt().expect(0);
    }
}

/// Of several files with the same bytes one is edited, or an empty one is filled: who asks for it by name must not get the
/// bytes that the others still have.
#[test]
fn what_was_edited_beside_files_with_the_same_bytes_is_fetched_as_it_is_now() {
    for bytes in [0, 1_000, 300_000] {
        let lan = Lan::new();
        let folder = lan.folder("shared");
        let names = ["A7", "pkg/B7", "pkg/C7", "zz7"];
        fs::create_dir_all(folder.join("pkg")).unwrap();
        let old = names.map(|name| random_file(&folder.join(name), bytes, 78))[0];
        let mut sharer = lan.launch("sharer", &["share".as_ref(), folder.as_os_str()]).json_chunks().start();
        sharer.wait_stderr(&["sharing 4 files"]);
        for name in names.iter().take(3) {
            let now = random_file(&folder.join(name), bytes + 1, 79);
            let ended = lan.get("getter", name, &lan.folder("got")).run().expect(0);
            let done = &ended.of_type("done")[0];
            assert_eq!(done["id"], now.to_string(), "{}", ended.text());
            assert_same(&folder.join(name), Path::new(done["path"].as_str().unwrap()));
        }
        // The last one is as it was, and still offered under its name.
        let ended = lan.get("getter", "zz7", &lan.folder("got")).run().expect(0);
        assert_eq!(ended.of_type("done")[0]["id"], old.to_string(), "{}", ended.text());
        sharer.interrupt().expect(0);
    }
}

#[test]
fn what_its_only_holder_removed_is_given_up_soon() {
    for twin in [false, true] {
        let lan = Lan::new();
        let folder = lan.folder("shared");
        for name in ["F9", "G9"] {
            random_file(&folder.join(name), 1_000, if twin || name == "F9" { 80 } else { 81 });
        }
        let mut sharer = lan.launch("sharer", &["share".as_ref(), folder.as_os_str()]).json_chunks().start();
        sharer.wait_stderr(&["sharing 2 files"]);
        fs::remove_file(folder.join("F9")).unwrap();
        // By itself it would wait for ten minutes.
        let ended = lan.get("getter", "F9", &lan.folder("got")).run().expect(3);
        assert!(ended.stderr.contains(") has removed \"F9\""), "{}", ended.stderr);
        assert!(ended.stderr.contains("next: chunkcast ls"), "{}", ended.stderr);
        assert!(names_in(&lan.folder("got")).is_empty());
        sharer.interrupt().expect(0);
    }
}

#[test]
fn what_was_edited_is_fetched_once_when_all_is_fetched() {
    const COUNT: usize = 10;
    let lan = Lan::new();
    let shared = lan.folder("shared");
    for number in 0..COUNT {
        random_file(&shared.join(format!("{number}.txt")), 1_000, 80 + number as u64);
    }
    let mut sharer = lan.share("sharer", &shared);
    sharer.wait_stderr(&[&format!("sharing {COUNT} files, ")]);
    let edited = shared.join("3.txt");
    let now = random_file(&edited, 1_001, 79);
    let folder = lan.folder("got");
    let ended = lan.get("getter", "*", &folder).args(&["--stall", "5s"]).run().expect(0);
    assert_same(&edited, &folder.join("3.txt"));
    assert_eq!(names_in(&folder).len(), COUNT, "{:?}", names_in(&folder));
    let replaced: Vec<_> =
        ended.of_type("retry").into_iter().filter(|line| line["reason"] == "replaced").collect();
    assert_eq!(replaced.len(), 1, "{}", ended.text());
    assert_eq!(replaced[0]["replaced_by"], now.to_string());
    assert_eq!(ended.of_type("done").len(), COUNT);
    let summary = &ended.of_type("summary")[0];
    assert_eq!(
        (summary["done"].as_u64(), summary["failed"].as_u64()),
        (Some(COUNT as u64), Some(0)),
        "{summary}"
    );
}

#[test]
fn another_sharers_files_of_the_same_names_replace_nothing() {
    const COUNT: usize = 40;
    let lan = Lan::new();
    let [first, second] = ["first", "second"].map(|name| {
        let folder = lan.folder(name);
        for number in 0..COUNT {
            random_file(&folder.join(format!("{number}.txt")), 1_000, (name.len() * 100 + number) as u64);
        }
        let mut sharer = lan.share(name, &folder);
        sharer.wait_stderr(&[&format!("sharing {COUNT} files, ")]);
        (folder, sharer)
    });
    // It offers them, and finds out that they are gone when it is asked.
    std::fs::remove_dir_all(&first.0).unwrap();
    let folder = lan.folder("got");
    let ended = lan.get("getter", "*", &folder).args(&["--stall", "3s"]).run();
    assert_eq!(ended.of_type("done").len(), COUNT, "{}", ended.text());
    assert!(ended.of_type("retry").iter().all(|line| line["reason"] != "replaced"), "{}", ended.stderr);
    assert_eq!(names_in(&folder).len(), COUNT, "{:?}", names_in(&folder));
    let summary = &ended.of_type("summary")[0];
    let count = Some(COUNT as u64);
    assert_eq!((summary["done"].as_u64(), summary["failed"].as_u64()), (count, count), "{summary}");
    assert!(ended.code.is_some_and(|code| code != 0), "{:?}", ended.code);
    second.1.interrupt().expect(0);
}

#[test]
fn what_is_half_here_or_wanted_by_its_id_waits_and_names_what_is_there_now() {
    let mut scene = Scene::half_way();
    let other = scene.lan.path("other");
    let now = random_file(&other, BYTES, 74);
    fs::rename(&other, &scene.source).unwrap();
    scene.getter.release();
    // What to do is this command, with all that belongs to it, but for the new version.
    let command = format!("chunkcast get id:{} -o {}", now.short(), scene.folder.display());
    let port = format!("--port {} ", scene.lan.port);
    let next =
        format!("replaced \"talk.mkv\": this download waits for the old version; for the new one: {command}");
    scene.getter.wait_stderr(&[&next]);
    let failed = scene.getter.end();
    assert_eq!(failed.stderr.matches(&port).count(), 2, "{}", failed.stderr);
    assert!(failed.stderr.contains("replaced it; for the new version: "), "{}", failed.stderr);
    assert_eq!(failed.stderr.matches(&command).count(), 2, "{}", failed.stderr);
    assert!(!failed.stderr.contains("continue with:"), "{}", failed.stderr);
    // By its id: somebody has it on a note.
    let before = random_file(&scene.source, MIB, 75);
    scene.sharer.interrupt().expect(0);
    let _sharer = scene.lan.share("sharer", &scene.source);
    let now = random_file(&scene.source, MIB, 76);
    let mut by_id = scene.lan.get("by-id", &before.to_string(), &scene.folder).start();
    let next = format!("chunkcast get id:{} -o", now.short());
    by_id.wait_stderr(&[&next]);
    let ended = by_id.interrupt().expect(130);
    assert!(ended.of_type("done").is_empty());
    assert!(ended.stderr.contains("replaced it; for the new version: "), "{}", ended.stderr);
}

#[test]
fn a_file_that_is_still_being_written_is_shared_when_that_is_over() {
    let lan = Lan::new();
    let (folder, source) = (lan.folder("shared"), lan.path("shared/talk.mkv"));
    let old = random_file(&folder.join("old.txt"), 1_000, 77);
    let mut writer = File::create(&source).unwrap();
    writer.write_all(&vec![1; 300_000]).unwrap();
    let mut sharer = lan.launch("sharer", &["share".as_ref(), folder.as_os_str()]).json_chunks().start();
    sharer.wait_stderr(&["waiting for \"talk.mkv\": it was written to less than 2 s ago"]);
    let offered = |line: &Value| {
        (line["t"] == "content" && line["event"] == "shared").then(|| line["id"].as_str().unwrap().to_owned())
    };
    // What is quiet does not wait for it.
    assert_eq!(sharer.wait_json("the first offer", offered), old.to_string());
    sharer.wait_stderr(&["; 1 more once it is written; Ctrl-C ends"]);
    writer.write_all(&vec![2; 300_000]).unwrap();
    drop(writer);
    let whole = ContentId(*blake3::hash(&fs::read(&source).unwrap()).as_bytes());
    sharer.wait_json("the whole file", |line| (line["id"] == whole.to_string()).then_some(()));
    sharer.wait_stderr(&["sharing 2 files, "]);

    // It is written anew, in two steps; somebody asks for it between them.
    let mut writer = File::create(&source).unwrap();
    let mut getter = lan.get("getter", "talk.mkv", &lan.folder("got")).start();
    sharer.wait_json("the withdrawal", |line| (line["event"] == "withdrawn").then_some(()));
    writer.write_all(&vec![3; 400_000]).unwrap();
    drop(writer);
    getter.wait_json("the new file", |line| (line["t"] == "done").then_some(()));
    getter.end().expect(0);
    assert_same(&source, &lan.path("got/talk.mkv"));
    let ended = sharer.interrupt().expect(0);
    let sizes: Vec<u64> = ended
        .of_type("content")
        .iter()
        .filter(|line| line["event"] == "shared")
        .map(|line| line["size"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [1_000, 600_000, 400_000], "{}", ended.text());
    assert_eq!(ended.stderr.matches("once it is written").count(), 1, "{}", ended.stderr);
}

#[test]
fn of_many_files_that_are_being_written_the_first_few_are_named() {
    let lan = Lan::new();
    let folder = lan.folder("shared");
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    for number in 0..40 {
        fs::write(folder.join(format!("deep/er/{number}.txt")), number.to_string()).unwrap();
    }
    let mut sharer = lan.launch("sharer", &["share".as_ref(), folder.as_os_str()]).start();
    sharer.wait_stderr(&["waiting for 35 more files that were written to less than 2 s ago"]);
    sharer.wait_stderr(&["sharing 40 files"]);
    let said = sharer.interrupt().expect(0).stderr;
    let named: Vec<&str> = said.lines().filter(|line| line.contains("it was written to less than")).collect();
    assert_eq!(named.len(), 5, "{said}");
    assert!(named.iter().all(|line| line.contains("waiting for \"deep/er/")), "{said}");
    assert_eq!(said.matches("waiting for").count(), 6, "{said}");
}

#[test]
fn a_file_that_vanishes_before_it_is_shared_is_named() {
    let lan = Lan::new();
    let folder = lan.folder("shared");
    random_file(&folder.join("quiet.txt"), 1_000, 90);
    fs::write(folder.join("old.txt"), "just written").unwrap();
    let mut sharer = lan.launch("sharer", &["share".as_ref(), folder.as_os_str()]).start();
    sharer.wait_stderr(&["1 more once it is written"]);
    fs::remove_file(folder.join("old.txt")).unwrap();
    sharer.wait_stderr(&["old.txt\": it was removed before it could be shared"]);
    sharer.interrupt().expect(0);
}

#[test]
fn the_first_line_of_a_download_of_two_files_has_a_rate() {
    let lan = Lan::new();
    let folder = lan.folder("shared");
    for (name, seed) in [("one.bin", 91), ("two.bin", 92)] {
        random_file(&folder.join(name), 64 * MIB, seed);
    }
    let mut sharer = lan
        .launch("sharer", &["share".as_ref(), folder.as_os_str()])
        .json_chunks()
        .trap(Trap::HoldServing(8 * MIB))
        .start();
    sharer.wait_stderr(&["sharing 2 files"]);
    let into = lan.folder("got");
    let words = ["get".as_ref(), "one.bin".as_ref(), "two.bin".as_ref(), "-o".as_ref(), into.as_os_str()];
    let mut getter = lan.launch("getter", &words).start();
    // What came before the sharer was held, over the time since the downloads began.
    getter.wait_stderr(&[" of 128.0 MiB  "]);
    let said = getter.interrupt().expect(130).stderr;
    let line = said.lines().find(|line| line.contains("0 of 2 files  ")).unwrap();
    assert!(line.contains("/s  ") && line.contains(" left  1 peer"), "{line}");
    sharer.release();
    sharer.interrupt().expect(0);
}

/// A download that is held half-way.
struct Scene {
    lan: Lan,
    source: PathBuf,
    original: PathBuf,
    sharer: Child,
    getter: Child,
    folder: PathBuf,
}

impl Scene {
    fn half_way() -> Scene {
        let lan = Lan::new();
        let source = lan.path("talk.mkv");
        random_file(&source, BYTES, 70);
        let original = lan.path("original");
        fs::copy(&source, &original).unwrap();
        let sharer = lan.share("sharer", &source);
        let folder = lan.folder("got");
        let mut getter =
            lan.get("getter", "talk.mkv", &folder).args(&["--stall", "2s"]).trap(Trap::Hold(8 * MIB)).start();
        getter.wait_trapped();
        Scene { lan, source, original, sharer, getter, folder }
    }

    /// Lets the download go on: it gives up, both sides say why, and all that came is of the original.
    fn ends_without_a_wrong_byte(mut self, why: &[&str]) {
        let ended = self.getter.end();
        // What was on its way may have come with the new bytes, so that the only holder was banned.
        assert!(matches!(ended.code, Some(5 | 6)), "{:?}\n{}", ended.code, ended.stderr);
        // On the wire there is one reason for a file that is not what was offered.
        let said = ended.text();
        let told = ["changed there", "hash-mismatch"].iter().chain(why).any(|word| said.contains(word));
        assert!(told, "the getter does not say why:\n{}", ended.stderr);
        let reason = self.sharer.wait_json("the withdrawal", |line| {
            (line["t"] == "content" && line["event"] == "withdrawn").then(|| line["reason"].to_string())
        });
        assert!(why.iter().any(|word| reason.contains(word)), "the sharer says {reason}");
        self.sharer.wait_stderr(why);
        assert!(!names_in(&self.folder).contains(&"talk.mkv".to_owned()));
        assert!(!ended.of_type("retry").is_empty());
        assert_part_is_of(&ended, &self.folder, &self.original);
    }
}

/// Fails unless each chunk that was told as received stands in the part as in the original.
fn assert_part_is_of(ended: &Ended, folder: &Path, original: &Path) {
    let part = names_in(folder).into_iter().find(|name| name.ends_with(".part")).expect("a part");
    let files = [File::open(folder.join(part)).unwrap(), File::open(original).unwrap()];
    let chunk_bytes = ended.of_type("start")[0]["chunk_bytes"].as_u64().unwrap();
    let mut compared = 0;
    for line in chunk_lines(&ended.lines) {
        let offset = line["index"].as_u64().unwrap() * chunk_bytes;
        let mut bytes = [0, 1].map(|_| vec![0; usize::try_from(chunk_bytes).unwrap()]);
        for (file, bytes) in files.iter().zip(&mut bytes) {
            file.read_exact_at(bytes, offset).unwrap();
        }
        assert_eq!(bytes[0], bytes[1], "chunk {} is not of the original", line["index"]);
        compared += 1;
    }
    assert!(compared >= 256, "{compared} chunks");
}
