//! `kill -9` at any moment, then the same command again.

use std::collections::BTreeSet;

use crate::child::Trap;
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

/// A file of 2,048 chunks of 16 KiB.
const BYTES: u64 = 32 * MIB;
const CHUNKS: usize = 2048;
/// Chunks asked for at once (`picker::window`): what was on its way may come again.
const WINDOW_CHUNKS: usize = 16;
/// The last byte count at which a kill certainly hits an incomplete download; see [`Trap`].
const KILL_BYTES_MAX: u64 = 24 * MIB;

#[test]
fn killed_at_twenty_byte_counts_it_resumes() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, BYTES, 20);
    let _sharer = lan.share("sharer", &source);
    let mut rng = fastrand::Rng::with_seed(20_261_120);
    for round in 0..20 {
        let kill_at = rng.u64(1..=KILL_BYTES_MAX);
        let folder = lan.folder(&format!("round-{round}"));
        let killed = lan.get("getter", "talk.mkv", &folder).trap(Trap::Kill(kill_at)).start().end();
        assert_eq!(killed.code, None, "round {round}: it ended before it was killed at {kill_at} bytes");
        assert!(
            !names_in(&folder).contains(&"talk.mkv".to_owned()),
            "round {round}: killed at {kill_at} bytes"
        );

        let resumed = lan.get("getter", "talk.mkv", &folder).run().expect(0);
        assert_same(&source, &folder.join("talk.mkv"));
        assert_eq!(names_in(&folder), ["talk.mkv"], "round {round}: what is left behind");

        let before: BTreeSet<u64> = killed.chunks().into_iter().collect();
        let after: BTreeSet<u64> = resumed.chunks().into_iter().collect();
        assert_eq!(
            (before.len(), after.len()),
            (killed.chunks().len(), resumed.chunks().len()),
            "a chunk came twice"
        );
        let again = before.intersection(&after).count();
        assert!(
            again <= WINDOW_CHUNKS,
            "round {round}: {again} chunks again after a kill at {kill_at} bytes"
        );
        // Chunks that were written but not told of yet need not come again, so there may be fewer than all.
        let of_all = before.union(&after).count();
        assert!(of_all <= CHUNKS && before.len() + after.len() <= CHUNKS + WINDOW_CHUNKS);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn interrupted_it_keeps_its_part_and_resumes() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, BYTES, 21);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    let mut getter = lan.get("getter", "talk.mkv", &folder).trap(Trap::Hold(8 * MIB)).start();
    getter.wait_trapped();
    let stopped = getter.interrupt().expect(130);
    assert!(stopped.chunks().len() < CHUNKS);
    assert!(!folder.join("talk.mkv").exists());
    let resumed = lan.get("getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    assert_eq!(stopped.chunks().len() + resumed.chunks().len(), CHUNKS);
    let had = resumed.of_type("start")[0]["had"].as_u64().unwrap();
    assert_eq!(usize::try_from(had).unwrap(), stopped.chunks().len());
}

#[test]
fn with_nobody_there_the_part_is_kept() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    let id = random_file(&source, BYTES, 22).to_string();
    let sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    let mut getter = lan.get("getter", "talk.mkv", &folder).trap(Trap::Kill(8 * MIB)).start();
    getter.wait_trapped();
    getter.end();
    sharer.kill();
    let alone = lan.get("getter", &id, &folder).args(&["--wait", "1s"]).run().expect(3);
    assert!(!folder.join("talk.mkv").exists(), "{}", alone.text());
    assert!(names_in(&folder).iter().any(|name| name.ends_with(".part")), "the part is kept");
}
