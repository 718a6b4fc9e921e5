//! Peers that send wrong bytes, and names that lead elsewhere.

use std::fs;

use crate::files::{MIB, assert_same, files_below, names_in, random_file};
use crate::lan::Lan;
use crate::wire_peer::{Bytes, WirePeer};

#[test]
fn a_peer_that_sends_wrong_bytes_is_struck_and_the_file_is_right() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 16 * MIB, 30);
    let _sharer = lan.share("sharer", &source);
    let liar = WirePeer::start(&lan, "liar", "talk.mkv", fs::read(&source).unwrap(), Bytes::Wrong);
    let folder = lan.folder("got");
    let ended = lan.get("getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
    assert!(liar.chunks_sent() >= 1, "the liar was never asked, so nothing was tested");
    assert!(ended.of_type("chunk").iter().all(|line| line["ok"] == false || line["user"] != "liar"));
    let log = lan.transfer_log("getter");
    let wrong = log.lines().filter(|line| line.contains("hash-mismatch")).count();
    assert!(wrong >= 1, "{log}");
    assert!(wrong <= 12, "after {wrong} wrong chunks it was still asked");
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
        // A name of which nothing is left is refused; any other becomes a safe one.
        assert!(matches!(ended.code, Some(0 | 7)), "{name:?}: {:?}\n{}", ended.code, ended.text());
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
