//! Several downloaders at once, and one whose sharer goes away.

use std::path::Path;

use crate::child::{Child, Trap, chunk_lines};
use crate::files::{MIB, assert_same, random_file};
use crate::lan::Lan;

/// A file of 2,048 chunks, the most there are below 2 GiB; see [`Trap`].
const BYTES: u64 = 64 * MIB;
const CHUNKS: usize = 2048;
const CHUNK_BYTES: u64 = BYTES / CHUNKS as u64;

#[test]
fn five_peers_at_once_serve_each_other_while_incomplete() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, BYTES, 10);
    // All five wait for the first announcement, so that none is far ahead.
    let mut getters: Vec<(String, Child)> = (0..5)
        .map(|number| {
            let name = format!("getter-{number}");
            let getter = lan.get(&name, "talk.mkv", &lan.folder(&name)).args(&["--wait", "60s"]).start();
            (name, getter)
        })
        .collect();
    for (_, getter) in &mut getters {
        getter.wait_json("its hello", |line| (line["t"] == "hello").then_some(()));
    }
    let _sharer = lan.share("sharer", &source);

    let mut from_incomplete = Vec::new();
    for (name, getter) in getters {
        let ended = getter.end().expect(0);
        assert_same(&source, &lan.path(&name).join("talk.mkv"));
        assert_eq!(ended.chunks().len(), CHUNKS);
        from_incomplete.push(chunk_lines(&ended.lines).filter(|line| line["from_complete"] == false).count());
        // The log names the peer of each chunk; the incomplete ones are those that are not the sharer.
        let log = lan.transfer_log(&name);
        let others =
            log.lines().filter(|line| line.contains(" DOWN chunk ") && line.contains(" user=getter-"));
        assert!(others.count() >= from_incomplete[from_incomplete.len() - 1]);
    }
    assert!(from_incomplete.iter().sum::<usize>() >= CHUNKS, "from incomplete peers: {from_incomplete:?}");
}

#[test]
fn a_download_outlives_its_sharer_on_a_partial_holder_and_waits_for_the_rest() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, BYTES, 11);
    let sharer = lan.share("sharer", &source);

    // The holder is caught with some 700 to 1,100 chunks, the other with at most 400.
    let mut holder = caught(&lan, "holder", 700);
    let mut other = caught(&lan, "other", 20);
    sharer.kill();
    let before = other.chunks_so_far();
    holder.release();
    other.release();

    // What one of the two has, both get; then each says what it waits for.
    for getter in [&mut holder, &mut other] {
        let missing = getter.wait_json("what it waits for", |line| {
            let missing = line["missing"].as_array().filter(|missing| !missing.is_empty())?;
            (line["t"] == "retry").then(|| (missing.len(), line["missing_count"].as_u64().unwrap()))
        });
        assert!(missing.0 as u64 <= missing.1 && missing.1 < CHUNKS as u64, "{missing:?}");
    }
    assert!(other.chunks_so_far() > before + 200, "{before} chunks before, {} after", other.chunks_so_far());
    assert!(!lan.path("holder").join("talk.mkv").exists() && !lan.path("other").join("talk.mkv").exists());

    let _sharer = lan.share("sharer", &source);
    for getter in [holder, other] {
        let name = getter.name.clone();
        let ended = getter.end().expect(0);
        assert_same(&source, &lan.path(&name).join("talk.mkv"));
        assert_eq!(ended.chunks().len(), CHUNKS, "no chunk is fetched twice");
        if name == "other" {
            assert!(chunk_lines(&ended.lines).any(|line| line["from_complete"] == false));
        }
    }
}

/// A downloader that has told of `chunks` chunks and is held there.
fn caught(lan: &Lan, name: &str, chunks: u64) -> Child {
    let folder = lan.folder(name);
    let mut getter =
        lan.get(name, "talk.mkv", Path::new(&folder)).trap(Trap::Hold(chunks * CHUNK_BYTES)).start();
    getter.wait_trapped();
    getter
}
