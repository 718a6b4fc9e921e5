//! The main job: shared here, found and fetched there.

use std::process::Command;

use crate::child::{Launch, chunk_lines, skip};
use crate::files::{MIB, assert_same, names_in, random_file};
use crate::lan::Lan;

#[test]
fn a_large_file_is_found_and_arrives_byte_equal() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    let id = random_file(&source, 256 * MIB, 1);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    let ended = lan.get("getter", "talk.mkv", &folder).start().end().expect(0);

    let target = folder.join("talk.mkv");
    assert_same(&source, &target);
    assert_eq!(names_in(&folder), ["talk.mkv"]);
    let done = ended.of_type("done");
    assert_eq!((done.len(), done[0]["id"].as_str()), (1, Some(id.to_string().as_str())));
    assert_eq!(ended.lines.last().unwrap()["t"], "summary");
    assert_eq!(chunk_lines(&ended.lines).map(|line| line["bytes"].as_u64().unwrap()).sum::<u64>(), 256 * MIB);

    let hashed = Launch::new("hash").args(&["hash".as_ref(), target.as_os_str()]).run().expect(0);
    assert_eq!(hashed.stdout.split_whitespace().next(), Some(id.to_string().as_str()));
    match Command::new("b3sum").arg(&target).output() {
        Ok(b3sum) => assert_eq!(String::from_utf8(b3sum.stdout).unwrap(), hashed.stdout),
        Err(_) => skip("b3sum", "its output was not compared with that of `hash`"),
    }
}

#[test]
fn a_second_get_finds_it_in_place() {
    let lan = Lan::new();
    let source = lan.path("notes.pdf");
    random_file(&source, MIB, 2);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    lan.get("getter", "notes.pdf", &folder).run().expect(0);
    let again = lan.get("getter", "notes.pdf", &folder).run().expect(0);
    assert!(again.chunks().is_empty());
    assert_eq!(names_in(&folder), ["notes.pdf"]);
}

#[test]
fn ids_prefixes_globs_and_names_of_folders_are_found() {
    let lan = Lan::new();
    let shared = lan.folder("shared/sub");
    let sources = ["one.txt", "two.txt"].map(|name| shared.join(name));
    let ids = [random_file(&sources[0], 70_000, 3), random_file(&sources[1], 10, 4)];
    let mut sharer = lan.share("sharer", &lan.path("shared"));
    sharer.wait_json("the second offer", |line| {
        (line["t"] == "content" && line["id"] == ids[1].to_string().as_str()).then_some(())
    });
    let first = ids[0].to_string();
    let prefix = format!("id:{}", &first[..12]);
    for (folder, what) in [
        ("by-id", first.as_str()),
        ("by-prefix", &prefix),
        ("by-name", "one.txt"),
        ("by-glob", "o*.txt"),
        ("by-path", "sub/one.txt"),
    ] {
        // A pattern keeps the folders of what it matches.
        let written = if folder == "by-glob" { "sub/one.txt" } else { "one.txt" };
        let folder = lan.folder(folder);
        let ended = lan.get("getter", what, &folder).run().expect(0);
        assert_eq!(ended.of_type("done").len(), 1, "{what}");
        assert_same(&sources[0], &folder.join(written));
    }
}

#[test]
fn ls_lists_what_is_offered_and_by_whom() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    let id = random_file(&source, 3 * MIB, 5);
    let _sharer = lan.share("lab-7", &source);
    let text = lan.launch("reader", &["ls"]).run().expect(0).stdout;
    assert!(text.contains("talk.mkv") && text.contains("3.0 MiB"), "{text}");
    let peers = lan.launch("reader", &["ls", "--peers"]).run().expect(0).stdout;
    assert!(peers.contains("lab-7"), "{peers}");
    let json = lan.launch("reader", &["ls", "*.mkv", "--json"]).run().expect(0);
    let content = json.of_type("content");
    assert_eq!(content.len(), 1);
    assert_eq!(content[0]["id"], id.to_string().as_str());
    assert_eq!(content[0]["holders"][0]["user"], "lab-7");
}

#[test]
fn the_transfer_log_tells_chunks_and_the_end() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    let id = random_file(&source, MIB, 6);
    let sharer = lan.share("sharer", &source);
    lan.get("getter", "talk.mkv", &lan.folder("got")).run().expect(0);
    sharer.interrupt().expect(0);

    let down = lan.transfer_log("getter");
    let chunks: Vec<&str> = down.lines().filter(|line| line.contains(" DOWN chunk ")).collect();
    assert_eq!(chunks.len(), 64, "{down}");
    for part in ["/64 \"talk.mkv\" bytes=16384 peer=127.0.0.1:", " user=sharer dur=", " ok"] {
        assert!(chunks.iter().all(|line| line.contains(part)), "{part} is not in each of\n{down}");
    }
    let last = down.lines().last().unwrap();
    assert!(
        last.contains(" DONE \"talk.mkv\" id=")
            && last.contains(&id.to_string()[..8])
            && last.contains("bytes=1048576"),
        "{last}"
    );
    let up = lan.transfer_log("sharer");
    assert_eq!(up.lines().filter(|line| line.contains(" UP chunk ")).count(), 64, "{up}");

    // Here --name and --peer are filters.
    let state = lan.state("getter");
    let args =
        ["log".as_ref(), "--name".as_ref(), "talk.mkv".as_ref(), "--state-dir".as_ref(), state.as_os_str()];
    let shown = Launch::new("log").args(&args).run().expect(0);
    assert!(shown.stdout.contains("DONE"), "{}", shown.stdout);
}

#[test]
fn verify_tells_whether_a_file_is_that_content() {
    let lan = Lan::new();
    let source = lan.path("a.bin");
    let id = random_file(&source, 100_000, 7).to_string();
    let other = "00".repeat(32);
    let args = |id: &str| ["verify".into(), source.clone().into_os_string(), id.into()];
    Launch::new("verify").args(&args(&id)).run().expect(0);
    Launch::new("verify").args(&args(&other)).run().expect(6);
}
