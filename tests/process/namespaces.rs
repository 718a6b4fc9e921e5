//! What only a namespace of one's own shows: no network, a read-only folder, a full disk.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::child::skip;
use crate::files::{MIB, assert_same, random_file};
use crate::lan::Lan;

#[test]
fn without_an_interface() {
    let Some(unshare) = unshare("--net") else {
        return skip("unshare", "no network namespace can be made here");
    };
    let lan = Lan::new();
    let ended = lan.get("getter", "talk.mkv", &lan.folder("got")).through(&unshare).run().expect(4);
    assert_eq!(ended.of_type("error").len(), 1, "{}", ended.text());
    let source = lan.path("talk.mkv");
    random_file(&source, 10, 90);
    lan.launch("sharer", &["share".as_ref(), source.as_os_str()]).through(&unshare).run().expect(4);
}

#[test]
fn into_a_read_only_folder() {
    let Some(unshare) = unshare("--mount") else {
        return skip("unshare", "no mount namespace can be made here");
    };
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, MIB, 91);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    fs::write(folder.join("precious"), "precious").unwrap();
    let mounted = script(
        &unshare,
        &folder,
        "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"",
    );
    let ended = lan.get("getter", "talk.mkv", &folder).through(&mounted).run().expect(7);
    let errors = ended.of_type("error");
    assert_eq!(errors.len(), 1, "{}", ended.text());
    assert!(errors[0]["message"].as_str().unwrap().to_lowercase().contains("read-only"), "{}", errors[0]);
    assert_eq!(crate::files::names_in(&folder), ["precious"]);
}

#[test]
fn onto_a_full_disk() {
    let Some(unshare) = unshare("--mount") else {
        return skip("unshare", "no mount namespace can be made here");
    };
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 4 * MIB, 92);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    let kept = lan.path("kept");
    // First with something in the way, then, in the same folder, without: what was kept is enough to go on.
    let mounted = script(
        &unshare,
        &folder,
        &format!(
            "mount -t tmpfs -o size=6m none \"$0\" && cd \"$0\" && printf precious >precious \
             && head -c 4m /dev/zero >ballast; \"$@\"; first=$?; cat precious; rm ballast; \
             \"$@\" && cp \"$0/talk.mkv\" '{}' && exit $first",
            kept.display()
        ),
    );
    let ended = lan.get("getter", "talk.mkv", &folder).through(&mounted).run().expect(7);
    assert!(ended.stdout.contains("precious"), "{}", ended.stdout);
    let errors = ended.of_type("error");
    assert_eq!((errors.len(), errors[0]["exit"].as_u64()), (1, Some(7)), "{}", ended.text());
    let message = errors[0]["message"].as_str().unwrap();
    assert!(
        message.contains("talk.mkv") && (message.contains("full") || message.contains("space")),
        "{message}"
    );
    assert_same(&source, &kept);
}

#[test]
fn where_files_may_not_become_so_large() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 4 * MIB, 93);
    let _sharer = lan.share("sharer", &source);
    let folder = lan.folder("got");
    // In blocks of 512 or 1024 bytes, as the shell likes. Going beyond it raises a signal that ends processes.
    let limited = ["sh", "-c", "ulimit -f 2048 && exec \"$0\" \"$@\""];
    let ended = lan.get("getter", "talk.mkv", &folder).through(&limited).run().expect(7);
    let errors = ended.of_type("error");
    assert_eq!(errors.len(), 1, "{}", ended.text());
    assert!(errors[0]["message"].as_str().unwrap().contains("too large"), "{}", errors[0]);
    lan.get("getter", "talk.mkv", &folder).run().expect(0);
    assert_same(&source, &folder.join("talk.mkv"));
}

/// The command that runs another in a new namespace; `None` when this machine does not let us.
fn unshare(kind: &str) -> Option<Vec<String>> {
    [vec!["unshare", kind], vec!["unshare", "--user", "--map-root-user", kind]].into_iter().find_map(
        |command| {
            let mut probe = Command::new(command[0]);
            probe.args(&command[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
            probe
                .status()
                .is_ok_and(|status| status.success())
                .then(|| command.into_iter().map(str::to_owned).collect())
        },
    )
}

/// The command that runs a script in a namespace; `$0` in it is the folder, `"$@"` the binary and its arguments.
fn script(unshare: &[String], folder: &Path, text: &str) -> Vec<String> {
    let mut words = unshare.to_vec();
    words.extend(["sh".to_owned(), "-c".to_owned(), text.to_owned(), folder.to_str().unwrap().to_owned()]);
    words
}
