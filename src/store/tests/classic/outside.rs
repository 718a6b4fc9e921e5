//! What commands do beside the peer: cutting files, noting names, appending lines.

use rustix::fs::{CWD, Mode};

use super::*;
use crate::store::classic::{append_line, note_available, split, split_with};
use crate::wire::classic::{ChunkRule, NameForm};

#[test]
fn a_file_is_cut_into_chunks_that_join_to_it() {
    for (size, rule, form, last) in [
        (1, ChunkRule::Fifths, NameForm::Stem, "forest_1"),
        (13, ChunkRule::Fifths, NameForm::Full, "forest.png_5"),
        (60_001, ChunkRule::Fifths, NameForm::FullTemp, "forest.png_5_temp"),
        (11_000_000, ChunkRule::Fifths, NameForm::Stem, "forest_5"),
        (204_801, ChunkRule::Fixed, NameForm::Inner, "forest_3.png"),
    ] {
        let place = Place::new();
        let (path, whole) = (place.path("forest.png"), bytes(size, "whole"));
        fs::write(&path, &whole).unwrap();
        let chunks = split(&path, &place.chunks(), form, rule).unwrap();
        assert_eq!(chunks.last(), Some(&name(last)));
        let mut session = place.open_classic();
        session.run();
        let (joined, _) = session.merge("joined", &chunks).unwrap();
        assert!(fs::read(joined).unwrap() == whole, "{size}");
        assert_eq!(place.chunk_listing().len(), chunks.len());
    }
}

#[test]
fn chunks_that_are_right_are_left_alone() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let path = place.path("forest.png");
    fs::write(&path, bytes(60_001, "whole")).unwrap();
    let cut = || split(&path, &place.chunks(), NameForm::Stem, ChunkRule::Fifths).unwrap();
    let inodes = || [1, 2].map(|n| fs::metadata(place.in_chunks(&format!("forest_{n}"))).unwrap().ino());
    let chunks = cut();
    let before = inodes();
    assert_eq!(cut(), chunks);
    assert_eq!(inodes(), before);
    let mut wrong = fs::read(place.in_chunks("forest_2")).unwrap();
    let right = wrong.clone();
    wrong[5] ^= 1;
    fs::write(place.in_chunks("forest_2"), wrong).unwrap();
    cut();
    assert_eq!(inodes()[0], before[0]);
    assert_eq!(fs::read(place.in_chunks("forest_2")).unwrap(), right);
}

#[test]
fn what_cannot_be_announced_is_refused() {
    let place = Place::new();
    for (file, text) in [("empty.png", "empty"), ("folder", "no file"), (".._x", "`..`"), ("none", "none")] {
        let path = place.path(file);
        match file {
            "folder" => fs::create_dir(&path).unwrap(),
            "empty.png" => fs::write(&path, b"").unwrap(),
            "none" => {}
            _ => fs::write(&path, b"bytes").unwrap(),
        }
        let fault = split(&path, &place.chunks(), NameForm::Stem, ChunkRule::Fifths).unwrap_err();
        assert!(fault.text.contains(text), "{fault}");
    }
}

#[test]
fn cutting_is_whole_or_told_at_every_failing_call() {
    for at in 1.. {
        let place = Place::new();
        let (path, whole) = (place.path("forest.png"), bytes(1003, "whole"));
        fs::write(&path, &whole).unwrap();
        let plan = Arc::new(FaultPlan::dead_from(at));
        let fs_ = Fs::with_plan(Arc::clone(&plan));
        let cut = split_with(&fs_, &path, &place.chunks(), NameForm::Stem, ChunkRule::Fifths);
        if plan.calls() < at {
            assert_eq!(cut.unwrap().len(), 5);
            assert!(at > 30, "{at} calls");
            return;
        }
        assert!(cut.is_err(), "at {at}");
        for (index, piece) in whole.chunks(201).enumerate() {
            if let Ok(there) = fs::read(place.in_chunks(&format!("forest_{}", index + 1))) {
                assert!(there == piece, "a torn chunk at {at}");
            }
        }
    }
}

#[test]
fn names_are_noted_beside_those_that_are_there() {
    let place = Place::new();
    let records = place.records();
    note_available(&records, &names(&["a_1", "a_2"])).unwrap();
    note_available(&records, &names(&["a_2", "b_1"])).unwrap();
    let text = fs::read_to_string(records.available.unwrap()).unwrap();
    assert_eq!(text, r#"{"chunks": ["a_1", "a_2", "b_1"]}"#);
    assert_eq!(listing(place.root.path()), ["Available_Chunks.txt", "target"]);
}

#[test]
fn lines_of_several_processes_do_not_mix() {
    let place = Place::new();
    let folder = place.path("deep/logs");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let folder = &folder;
            scope.spawn(move || {
                for _ in 0..50 {
                    append_line(folder, "Upload_log.txt", &writer.to_string().repeat(200)).unwrap();
                }
            });
        }
    });
    let text = fs::read_to_string(folder.join("Upload_log.txt")).unwrap();
    assert_eq!(text.lines().count(), 200);
    let whole = |line: &str| line.len() == 200 && line.bytes().all(|byte| byte == line.as_bytes()[0]);
    assert!(text.lines().all(whole) && text.ends_with('\n'));
    rustix::fs::mkfifoat(CWD, folder.join("fifo"), Mode::from_raw_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("Upload_log.txt", folder.join("link")).unwrap();
    for no_log in ["fifo", "link", "..", "a/b", ""] {
        assert!(append_line(&folder, no_log, "line").is_err(), "{no_log}");
    }
}
