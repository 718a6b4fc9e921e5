//! What chunkcast keeps of its own is for its user alone, whatever the umask says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::child::Trap;
use crate::files::{MIB, files_below, random_file};
use crate::lan::Lan;

/// Runs a command without an umask.
const OPEN_HANDED: [&str; 4] = ["sh", "-c", "umask 0; exec \"$@\"", "sh"];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn assert_private(folder: &Path) {
    let files = files_below(folder);
    assert!(!files.is_empty(), "{folder:?} has nothing in it");
    for path in files {
        assert_eq!(mode(&path), 0o600, "{path:?}");
        let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        for folder in above.iter().take_while(|above| above.starts_with(folder)) {
            assert_eq!(mode(folder), 0o700, "{folder:?}");
        }
    }
}

#[test]
fn what_is_kept_is_for_its_user_alone() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 16 * MIB, 90);
    let (state, log) = (lan.path("sharer's"), lan.path("logs/sharer.log"));
    let of_sharer = [
        "--state-dir".as_ref(),
        state.as_os_str(),
        "--log-file".as_ref(),
        log.as_os_str(),
        "--port".as_ref(),
    ];
    let port = lan.port.to_string();
    let mut sharer = crate::child::Launch::new("sharer")
        .args(&["share".as_ref(), source.as_os_str()])
        .args(&of_sharer)
        .args(&[&port, "--broadcast", crate::lan::BROADCAST, "--json"])
        .through(&OPEN_HANDED)
        .start();
    sharer.wait_json("its offer", |line| (line["t"] == "content").then_some(()));
    let folder = lan.folder("got");
    let mut getter =
        lan.get("getter", "talk.mkv", &folder).through(&OPEN_HANDED).trap(Trap::Hold(4 * MIB)).start();
    getter.wait_trapped();
    let beside: Vec<PathBuf> =
        files_below(&folder).into_iter().filter(|path| path.to_string_lossy().ends_with(".state")).collect();
    assert_eq!(beside.len(), 1, "the state of the part");
    assert_eq!(mode(&beside[0]), 0o600);
    getter.release();
    getter.end().expect(0);
    // What was fetched is an ordinary file of its user.
    assert_eq!(mode(&folder.join("talk.mkv")), 0o666);
    sharer.interrupt().expect(0);
    assert_private(&state);
    assert_private(log.parent().unwrap());
    for file in ["index.log", "manifests"] {
        assert!(state.join(file).exists(), "{file}");
    }
    let log = lan.state("getter").join("transfers.log");
    assert_eq!(mode(&log), 0o600);
}

#[test]
fn what_an_older_version_left_open_is_closed() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 1_000, 91);
    let share_once = || lan.share("sharer", &source).interrupt().expect(0);
    share_once();
    lan.get("getter", "nothing", &lan.folder("got")).args(&["--wait", "1ms"]).run().expect(3);
    let (sharers, getters) = (lan.state("sharer"), lan.state("getter"));
    let old = [sharers.join("index.log"), sharers.join("manifests"), getters.join("transfers.log")];
    for path in &old {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(open)).unwrap();
    }
    share_once();
    lan.get("getter", "nothing", &lan.folder("got")).args(&["--wait", "1ms"]).run().expect(3);
    for path in &old {
        assert_eq!(mode(path), if path.is_dir() { 0o700 } else { 0o600 }, "{path:?}");
    }
}
