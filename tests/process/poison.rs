//! Peers that send wrong bytes, and names that lead elsewhere.

use std::fs;

use crate::child::{Trap, chunk_lines};
use crate::files::{MIB, assert_same, files_below, names_in, random_file};
use crate::lan::Lan;
use crate::wire_peer::{Bytes, WirePeer};

/// Chunks asked for at once (`picker::window`): more cannot have come when the second was found wrong.
const WINDOW_CHUNKS: usize = 16;

#[test]
fn a_peer_that_sends_wrong_bytes_is_struck_and_the_file_is_right() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 64 * MIB, 30);
    // The honest one stops in between, so that the other is asked.
    let mut sharer = lan
        .launch("sharer", &["share".as_ref(), source.as_os_str()])
        .json_chunks()
        .trap(Trap::HoldServing(MIB))
        .start();
    sharer.wait_json("its offer", |line| (line["t"] == "content").then_some(()));
    let liar = WirePeer::start(&lan, "liar", "talk.mkv", fs::read(&source).unwrap(), Bytes::Wrong);
    let folder = lan.folder("got");
    let mut getter = lan.get("getter", "talk.mkv", &folder).start();
    getter.wait_json("the strike", |line| {
        (line["t"] == "peer" && line["event"] == "struck" && line["user"] == "liar").then_some(())
    });
    assert!(liar.chunks_sent() >= 1, "struck for something else");
    sharer.release();
    let ended = getter.end().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    assert!(chunk_lines(&ended.lines).all(|line| line["user"] != "liar"));
    let log = lan.transfer_log("getter");
    let wrong = log.lines().filter(|line| line.contains("user=liar failed hash-mismatch")).count();
    assert!((1..=WINDOW_CHUNKS).contains(&wrong), "{wrong} wrong chunks:\n{log}");
}

#[test]
fn with_only_such_peers_nothing_stands_under_the_final_name() {
    let lan = Lan::new();
    let mut content = vec![0; 300_000];
    fastrand::Rng::with_seed(31).fill(&mut content);
    let liar = WirePeer::start(&lan, "liar", "talk.mkv", content.clone(), Bytes::Wrong);
    let _second = WirePeer::start(&lan, "second liar", "talk.mkv", content, Bytes::Wrong);
    let folder = lan.folder("got");
    let ended = lan.get("getter", "talk.mkv", &folder).run().expect(6);
    assert!(liar.chunks_sent() >= 1, "the liar was never asked, so nothing was tested");
    assert!(!folder.join("talk.mkv").exists());
    assert!(ended.chunks().is_empty());
    let error = ended.of_type("error");
    assert_eq!((error.len(), error[0]["exit"].as_u64()), (1, Some(6)), "{}", ended.text());
}

#[test]
fn an_honest_wire_peer_is_served_from() {
    // Else the two tests above would show nothing: the wire peer speaks well enough to be believed.
    let lan = Lan::new();
    let mut content = vec![0; 300_000];
    fastrand::Rng::with_seed(32).fill(&mut content);
    let peer = WirePeer::start(&lan, "wire", "talk.mkv", content.clone(), Bytes::Right);
    let folder = lan.folder("got");
    lan.get("getter", "talk.mkv", &folder).run().expect(0);
    assert_eq!(fs::read(folder.join("talk.mkv")).unwrap(), content);
    assert_eq!(peer.chunks_sent(), 300_000_usize.div_ceil(16 << 10));
}

#[test]
fn names_that_lead_elsewhere_lead_nowhere() {
    let lan = Lan::new();
    let names = [
        "../evil",
        "../../evil",
        "/evil",
        "a/../../evil",
        "..",
        "sub/..",
        ".",
        "",
        "C:\\evil",
        "\\\\server\\share\\evil",
        ".bashrc",
        "evil\0.txt",
        "e\u{1b}[2Jvil\n",
        "CON",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let mut content = vec![0; 20_000];
        fastrand::Rng::with_seed(40 + number as u64).fill(&mut content);
        let peer = WirePeer::start(&lan, "wire", name, content.clone(), Bytes::Right);
        let outer = lan.folder(&format!("outer-{number}"));
        let folder = lan.folder(&format!("outer-{number}/inner/target"));
        let before = files_below(&lan.path("")).len();
        let id = peer.content().to_string();
        let ended = lan.get(&format!("getter-{number}"), &id, &folder).run();
        // No name is not announced. One of which nothing is left is refused, any other becomes a safe one.
        let codes = if name.is_empty() { [3, 7] } else { [0, 7] };
        assert!(
            ended.code.is_some_and(|code| codes.contains(&code)),
            "{name:?}: {:?}\n{}",
            ended.code,
            ended.text()
        );
        assert!(!ended.text().contains('\u{1b}'), "{name:?} reaches the terminal as it is");
        let below = files_below(&outer);
        for path in &below {
            assert_eq!(path.parent(), Some(folder.as_path()), "{name:?}");
            let local = path.file_name().unwrap().to_str().unwrap();
            assert!(
                !local.starts_with('.') && !local.contains(['\\', ':', '\n', '\u{1b}']),
                "{name:?} became {local:?}"
            );
            assert_eq!(fs::read(path).unwrap(), content, "{name:?}");
        }
        assert_eq!(below.len(), usize::from(ended.code == Some(0)), "{name:?}: {below:?}");
        // The state directory is the only other place with new files.
        let state = files_below(&lan.state(&format!("getter-{number}"))).len();
        assert_eq!(files_below(&lan.path("")).len(), before + below.len() + state, "{name:?}");
        assert_eq!(names_in(&outer), ["inner"], "{name:?}");
    }
}
