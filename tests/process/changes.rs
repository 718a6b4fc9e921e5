//! The shared file changes or vanishes while it is served.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::child::{Child, Ended, Trap, chunk_lines};
use crate::files::{MIB, names_in, random_file};
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
        // What was on its way may have come with the new bytes, so that the only holder was struck.
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
