//! The command line as a process, as far as it needs no network: help, usage, hashes, the transfer log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to fail"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[path = "common/child.rs"]
mod child;

/// Every command, as the short help lists them.
const COMMANDS: [&str; 15] = [
    "share",
    "serve",
    "get",
    "send",
    "receive",
    "ls",
    "classic",
    "ring",
    "hash",
    "verify",
    "log",
    "demo",
    "simulate",
    "completions",
    "man",
];
/// The short help is no longer than this, in lines, nor wider, in columns.
const HELP_LINES_MAX: usize = 34;
const HELP_COLUMNS_MAX: usize = 100;

/// BLAKE3 of nothing, and of `abc`: from the hash's own test vectors and from `b3sum`.
const ID_OF_NOTHING: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
const ID_OF_ABC: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";

/// Three lines of a transfer log, as documented.
const LOG: &str = concat!(
    "2026-11-20T16:02:11.482+03:00 DOWN chunk 12/2048 \"talk.mkv\" bytes=524288 peer=192.168.1.27:7117 user=lab-7 ",
    "dur=0.006 ok\n",
    "2026-11-20T16:02:12.007+03:00 DOWN chunk 77/2048 \"talk.mkv\" peer=192.168.1.29:7117 failed hash-mismatch, ",
    "asked elsewhere\n",
    "2026-11-20T16:02:20.310+03:00 DONE \"notes.pdf\" id=",
    "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 bytes=0 dur=9.8 peers=4 verified\n",
);

fn chunkcast(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = child::chunkcast(&[]);
    // A command that is not refused, as it should be, must not reach beyond this machine.
    command.env("CHUNKCAST_BROADCAST", "127.255.255.255").args(args);
    command
}

#[track_caller]
fn run(args: &[impl AsRef<OsStr>], exit: i32) -> Output {
    let output = chunkcast(args).output().unwrap();
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn without_arguments_there_is_a_short_help_with_examples() {
    let output = run(&[] as &[&str], 2);
    let help = text(&output.stderr);
    assert!(output.stdout.is_empty());
    // It fits a terminal that nobody made larger or smaller: a line a command, and what is typed first.
    assert!(help.lines().count() <= HELP_LINES_MAX, "{} lines:\n{help}", help.lines().count());
    for line in help.lines() {
        assert!(line.chars().count() <= HELP_COLUMNS_MAX, "{line}");
    }
    for command in COMMANDS {
        let begin = format!("\n  {command} ");
        assert_eq!(help.matches(&begin).count(), 1, "{command} is not in a line of its own:\n{help}");
    }
    for part in ["Examples:", "chunkcast get talk.mkv", "chunkcast COMMAND --help"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
}

#[test]
fn every_command_has_help() {
    for command in COMMANDS.into_iter().filter(|command| *command != "classic") {
        let help = text(&run(&[command, "--help"], 0).stdout);
        assert!(help.contains("--state-dir") && help.contains("Usage: chunkcast"), "{help}");
    }
    for program in ["announce", "discover", "upload", "download", "peer"] {
        let help = text(&run(&["classic", program, "--help"], 0).stdout);
        assert!(help.contains(&format!("Usage: chunkcast classic {program}")), "{help}");
        for part in ["--dir", "--dialect", "--udp-port", "--tcp-port", "--dictionary", "Examples:", "Exit: 0"]
        {
            assert!(help.contains(part), "{part} is not in {help}");
        }
    }
    assert!(text(&run(&["--version"], 0).stdout).starts_with("chunkcast 0."));
}

#[test]
fn help_is_plain() {
    let of_classic =
        ["announce", "discover", "upload", "download", "peer"].map(|program| vec!["classic", program]);
    let of_ring = ["owner", "peer"].map(|program| vec!["ring", program]);
    let commands = COMMANDS.map(|command| vec![command]).into_iter().chain(of_classic).chain(of_ring);
    for mut args in commands.chain([vec![]]) {
        args.push("--help");
        let help = text(&run(&args, 0).stdout);
        for vague in
            ["the field", "elsewhere", "alike", " so many", "Who hears", "whoever", "making", "somebody"]
        {
            assert!(!help.contains(vague), "{vague:?} is in the help of {args:?}:\n{help}");
        }
        assert!(help.contains("Example"), "{args:?}: {help}");
    }
}

#[test]
fn short_help_has_the_flags_of_the_command_alone_and_points_to_the_others() {
    let programs =
        ["announce", "discover", "upload", "download", "peer"].map(|program| vec!["classic", program]);
    let ring = ["owner", "peer"].map(|program| vec!["ring", program]);
    let commands = COMMANDS.map(|command| vec![command]);
    for mut args in commands.into_iter().chain(programs).chain(ring) {
        let long = format!("chunkcast {} --help", args.join(" "));
        args.push("-h");
        let help = text(&run(&args, 0).stdout);
        let pointers = help.lines().filter(|line| line.ends_with(&long)).count();
        assert_eq!(pointers, 1, "{args:?}: {help}");
        for flag in [
            "      --port <PORT>",
            "      --announce-interval",
            "      --limit-up",
            "      --state-dir",
            "      --dialog",
            "--quiet  ",
        ] {
            assert!(!help.contains(flag), "{args:?} has {flag}: {help}");
        }
        args.pop();
        args.push("--help");
        let help = text(&run(&args, 0).stdout);
        assert!(help.contains("--state-dir") && !help.lines().any(|line| line.ends_with(&long)), "{help}");
    }
    let help = text(&run(&["get", "-h"], 0).stdout);
    assert!(help.contains("--stall") && help.contains("Examples:"), "{help}");
}

#[test]
fn commands_without_network_have_no_flags_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let abc = folder.path().join("abc");
    fs::write(&abc, "abc").unwrap();
    let state = ["--state-dir", word(folder.path())];
    for args in [
        &["hash", word(&abc)][..],
        &["verify", word(&abc), ID_OF_ABC],
        &["log", state[0], state[1]],
        &["man"],
        &["completions", "bash"],
        &["simulate", "--peers", "2", "--size", "1MiB"],
    ] {
        run(args, 0);
        let help = text(&run(&[args[0], "--help"], 0).stdout);
        for flag in [
            &["--port", "9000"][..],
            &["--bind", "127.0.0.1"],
            &["--iface", "lo"],
            &["--broadcast", "127.255.255.255"],
            &["--no-broadcast"],
            &["--no-http"],
            &["--announce-interval", "5s"],
            &["--limit-up", "10MB"],
            &["--limit-down", "80Mbit"],
            &["--peer", "127.0.0.1"],
            &["--name", "me"],
        ] {
            // These two are filters of the log.
            if args[0] == "log" && ["--peer", "--name"].contains(&flag[0]) {
                continue;
            }
            let has_it = help.lines().any(|line| line.split_whitespace().next() == Some(flag[0]));
            assert!(!has_it, "{}: {help}", args[0]);
            for args in [[args, flag].concat(), [flag, args].concat()] {
                let output = run(&args, 2);
                let said = text(&output.stderr);
                assert!(output.stdout.is_empty(), "{output:?}");
                assert!(said.contains(flag[0]) && said.contains("no network"), "{args:?}: {said}");
            }
        }
        assert!(help.contains("--state-dir") && help.contains("--json"), "{help}");
        // The environment is that of other commands too.
        let mut command = chunkcast(args);
        let output = command.env("CHUNKCAST_PORT", "9000").env("CHUNKCAST_PEER", "h").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_value_that_cannot_be_read_is_blamed_on_what_gave_it() {
    let said = |args: &[&str], vars: &[(&str, &str)]| {
        let output = chunkcast(args).envs(vars.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        text(&output.stderr)
    };
    for (name, flag, value) in [
        ("CHUNKCAST_PORT", "--port", "abc"),
        ("CHUNKCAST_PORT", "--port", "70000"),
        ("CHUNKCAST_BIND", "--bind", "nowhere"),
        ("CHUNKCAST_ANNOUNCE_INTERVAL", "--announce-interval", "5"),
        ("CHUNKCAST_JSON", "--json", "xml"),
        ("CHUNKCAST_DIALOG", "--dialog", "perhaps"),
        ("CHUNKCAST_PEER", "--peer", "[::1]:9000"),
    ] {
        let from_variable = said(&["ls"], &[(name, value)]);
        let first = from_variable.lines().next().unwrap();
        assert!(first.contains(name) && first.contains(value), "{from_variable}");
        assert!(!first.contains(&format!("'{flag}")) && !first.contains("--peer"), "{from_variable}");
        // The flag goes over the variable, also where both are wrong.
        let typed = format!("{flag}={value}");
        for vars in [&[][..], &[(name, "wrong too")], &[(name, value)]] {
            let from_flag = said(&["ls", &typed], vars);
            let first = from_flag.lines().next().unwrap();
            assert!(first.contains(flag) && !first.contains(name), "{from_flag}");
        }
    }
    let said = said(&["ls", "--port", "abc"], &[]);
    assert!(said.contains("a port is a number from 1 to 65535"), "{said}");
}

#[test]
fn a_peer_by_an_ipv6_address_is_usage() {
    for peer in ["::1", "[::1]", "[::1]:9000", "127.0.0.1,[fe80::1]:9000"] {
        for args in
            [&["ls", "--peer", peer][..], &["get", "x", "--peer", peer], &["--peer", peer, "share", "x"]]
        {
            let output = run(args, 2);
            let said = text(&output.stderr);
            assert!(output.stdout.is_empty(), "{output:?}");
            assert!(said.contains("--peer") && said.contains("IPv4"), "{said}");
        }
    }
}

#[test]
fn names_in_sentences_are_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("my \"own\" file");
    fs::write(&file, "abc").unwrap();
    let quoted = format!("\"{}\"", word(&file).replace('"', "\\\""));
    let state = ["--state-dir", word(folder.path())];
    for (args, exit) in [
        (&["verify", word(&file), ID_OF_ABC][..], 0),
        (&["verify", word(&file), ID_OF_NOTHING], 6),
        (&["serve", word(&file)], 2),
        (&["ring", "owner", word(folder.path()), "--listen", "7200"], 2),
    ] {
        let output = run(args, exit);
        let said = text(&output.stdout) + &text(&output.stderr);
        let name = if exit == 2 && args[0] == "ring" {
            format!("\"{}\"", word(folder.path()))
        } else {
            quoted.clone()
        };
        assert!(said.contains(&name), "{args:?}: {said}");
    }
    let said = text(&run(&["log", state[0], state[1]], 0).stderr);
    let log = format!("no transfers logged yet in \"{}\"", word(&folder.path().join("transfers.log")));
    assert!(said.contains(&log), "{said}");
    let said = text(&run(&["get", "a", "b", "-o", "my file"], 2).stderr);
    assert!(said.contains("-o 'my file': several files cannot become one file"), "{said}");
    assert!(said.contains("to make a folder: -o 'my file/'"), "{said}");
}

#[test]
fn a_command_of_commands_without_one_shows_its_own_help() {
    let output = run(&["classic"], 2);
    let help = text(&output.stderr);
    assert!(output.stdout.is_empty());
    for part in ["Usage: chunkcast classic", "announce", "discover", "upload", "download", "peer"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
}

#[test]
fn what_classic_chunks_left_in_the_log_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = concat!(
        "2026-11-20T16:02:11.482+03:00 DOWN chunk 3/? \"forest_3\" bytes=200 peer=192.168.2.65:8000 classic=B ",
        "dur=0.012 ok\n",
        "2026-11-20T16:02:12.007+03:00 DONE \"forest.png\" bytes=1000 dur=0.5 peers=2 unverified\n",
    );
    fs::write(folder.path().join("transfers.log"), log).unwrap();
    let told = json(&run(&["log", "--json", "--state-dir", word(folder.path())], 0));
    assert_eq!((&told[0]["dialect"], &told[0]["index"]), (&"B".into(), &3.into()));
    assert_eq!((&told[1]["verified"], &told[1]["skipped"]), (&false.into(), &false.into()));
}

#[test]
fn what_makes_no_sense_is_usage() {
    for args in [
        &["what"][..],
        &["hash"],
        &["get"],
        &["--port", "0", "ls"],
        &["verify", "x", "1234"],
        &["get", "a", "b", "-o", "file"],
        &["completions", "what"],
        &["classic", "what"],
        &["classic", "download"],
        &["classic", "upload", "--dialect", "F"],
        &["get", "x", "--classic-dialect", "10.0.0.1=B"],
    ] {
        let output = run(args, 2);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_pattern_that_others_would_drop_is_usage_wherever_one_is_typed() {
    let (wildcards, inside) = ("*a".repeat(65), format!("*[{}]", "a".repeat(257)));
    for pattern in [wildcards.as_str(), inside.as_str()] {
        for args in [
            &["get", pattern][..],
            &["get", &format!("{pattern}@lab-7")],
            &["ls", pattern],
            &["serve", ".", "--mirror", pattern],
            &["log", "--name", pattern],
        ] {
            let said = text(&run(args, 2).stderr);
            assert!(said.contains("64 wildcards") && said.contains("256 bytes"), "{args:?}: {said}");
        }
    }
}

#[test]
fn flags_go_over_the_environment() {
    let begins = |args: &[&str]| {
        let output = chunkcast(args).env("CHUNKCAST_JSON", "lines").output().unwrap();
        text(&output.stdout).chars().next()
    };
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing");
    fs::write(&nothing, "").unwrap();
    assert_eq!(begins(&["hash", word(&nothing)]), Some('{'));
    assert_eq!(begins(&["hash", word(&nothing), "--json=off"]), Some('a'));
    assert_eq!(begins(&["--json=off", "hash", word(&nothing)]), Some('a'));
    assert_eq!(begins(&["completions", "fish"]), Some('#'));
    let refused = chunkcast(&["man"]).env("CHUNKCAST_PORT", "0").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn hashes_are_those_of_b3sum() {
    let folder = tempfile::tempdir().unwrap();
    let [nothing, abc, missing] = ["nothing", "abc", "missing"].map(|name| folder.path().join(name));
    fs::write(&nothing, "").unwrap();
    fs::write(&abc, "abc").unwrap();
    let output = run(&["hash".as_ref(), nothing.as_os_str(), abc.as_os_str()], 0);
    let lines = format!("{ID_OF_NOTHING}  {}\n{ID_OF_ABC}  {}\n", nothing.display(), abc.display());
    assert_eq!(text(&output.stdout), lines);
    assert!(output.stderr.is_empty());

    let output = run(&["hash".as_ref(), missing.as_os_str()], 7);
    assert!(text(&output.stderr).contains("missing"), "{output:?}");
    let output = run(&["hash", "--json", word(&missing), word(&abc)], 10);
    let lines = json(&output);
    let types: Vec<&str> = lines.iter().map(|line| line["t"].as_str().unwrap()).collect();
    assert_eq!(types, ["error", "content", "summary"]);
    assert_eq!((&lines[0]["exit"], &lines[2]["exit"]), (&7.into(), &10.into()));
    assert_eq!((&lines[1]["id"], &lines[1]["size"]), (&ID_OF_ABC.into(), &3.into()));
    for line in &lines {
        assert_eq!(line["v"], 1);
        chrono::DateTime::parse_from_rfc3339(line["ts"].as_str().unwrap()).unwrap();
    }
}

/// The bytes of a listing, written by hand as `docs/protocol.md` says.
fn listing_of_photos() -> Vec<u8> {
    let id = |text: &str| -> Vec<u8> {
        (0..32).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    };
    let mut bytes = b"chunkcast folder 1\n".to_vec();
    bytes.extend_from_slice(b"\x00\0\0\0\x03abc\0\0\0\0\0\0\0\x03");
    bytes.extend_from_slice(&id(ID_OF_ABC));
    bytes.extend_from_slice(b"\x02\0\0\0\x05empty");
    bytes.extend_from_slice(b"\x03\0\0\0\x08sub/link\0\x06../abc");
    bytes.extend_from_slice(b"\x01\0\x04\0\x03run\0\0\0\0\0\0\0\0");
    bytes.extend_from_slice(&id(ID_OF_NOTHING));
    bytes
}

#[test]
fn a_folder_has_an_id_of_its_own_which_is_the_same_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let expected = blake3::hash(&listing_of_photos()).to_hex().to_string();
    for place in ["photos", "elsewhere/other"] {
        let photos = folder.path().join(place);
        fs::create_dir_all(photos.join("sub")).unwrap();
        // Made in another order each time, so that folders list it otherwise.
        let mut names = ["abc", "sub/run"];
        if place != "photos" {
            names.reverse();
            fs::create_dir(photos.join("empty")).unwrap();
        }
        for name in names {
            fs::write(photos.join(name), if name == "abc" { "abc" } else { "" }).unwrap();
        }
        let _ = fs::create_dir(photos.join("empty"));
        fs::set_permissions(photos.join("sub/run"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("../abc", photos.join("sub/link")).unwrap();
        symlink("/etc/passwd", photos.join("out")).unwrap();
        fs::write(photos.join(".hidden"), "x").unwrap();
        let output = run(&["hash", word(&photos)], 0);
        let [abc, script] = ["abc", "sub/run"].map(|name| photos.join(name));
        let lines = format!(
            "{ID_OF_ABC}  {}\n{ID_OF_NOTHING}  {}\n{expected}  {}/\n",
            abc.display(),
            script.display(),
            photos.display()
        );
        assert_eq!(text(&output.stdout), lines);
        let out = photos.join("out");
        let left_out = format!(
            "left out \"{}\": it is a link that leads out of the folder, to \"/etc/passwd\"",
            out.display()
        );
        assert!(text(&output.stderr).contains(&left_out), "{}", text(&output.stderr));
        // A slash at the end changes nothing.
        let with_slash = format!("{}/", photos.display());
        assert_eq!(text(&run(&["hash", &with_slash], 0).stdout), lines);
        let folder = json(&run(&["hash", "--json", word(&photos)], 0)).remove(2);
        assert_eq!(
            (&folder["id"], &folder["size"], &folder["of"]),
            (&expected.as_str().into(), &3.into(), &1.into())
        );

        let said = run(&["verify", word(&photos), &expected], 0);
        assert!(text(&said.stdout).contains("is that content"), "{said:?}");
        fs::set_permissions(photos.join("sub/run"), fs::Permissions::from_mode(0o600)).unwrap();
        let said = run(&["verify", word(&photos), &format!("id:{}", &expected[..12])], 6);
        assert!(text(&said.stderr).contains("is not that content"), "{said:?}");
    }
}

#[test]
fn verify_tells_whether_a_file_is_that_content() {
    let folder = tempfile::tempdir().unwrap();
    let abc = folder.path().join("abc");
    fs::write(&abc, "abc").unwrap();
    let output = run(&["verify", word(&abc), ID_OF_ABC], 0);
    assert!(text(&output.stdout).contains("is that content"));
    let output = run(&["verify", word(&abc), ID_OF_NOTHING], 6);
    let said = text(&output.stderr);
    assert!(said.contains("is not that content") && said.contains(ID_OF_ABC), "{said}");
    run(&["verify", word(&folder.path().join("missing")), ID_OF_ABC], 7);
}

#[test]
fn verify_takes_the_beginning_of_an_id_as_get_does() {
    let folder = tempfile::tempdir().unwrap();
    let abc = folder.path().join("abc");
    fs::write(&abc, "abc").unwrap();
    for id in [&ID_OF_ABC[..8], &ID_OF_ABC[..63], ID_OF_ABC, &ID_OF_ABC[..8].to_uppercase()] {
        let output = run(&["verify", word(&abc), &format!("id:{id}")], 0);
        let said = text(&output.stdout);
        assert!(said.contains("is that content"), "{said}");
        let lines = json(&run(&["verify", "--json", word(&abc), &format!("id:{id}")], 0));
        assert_eq!((&lines[0]["t"], &lines[0]["id"]), (&"done".into(), &ID_OF_ABC.into()));
    }
    // The beginning of another id, however short.
    for id in ["0", &ID_OF_NOTHING[..8], &ID_OF_NOTHING[..63]] {
        let said = text(&run(&["verify", word(&abc), &format!("id:{id}")], 6).stderr);
        assert!(said.contains("is not that content") && said.contains(ID_OF_ABC), "{said}");
        assert!(said.contains(&format!("chunkcast get id:{id}")), "{said}");
    }
    // Too short to say which content is meant.
    for id in ["6", &ID_OF_ABC[..7]] {
        let said = text(&run(&["verify", word(&abc), &format!("id:{id}")], 8).stderr);
        assert!(said.contains("8 digits") && said.contains(ID_OF_ABC), "{said}");
    }
    for id in ["id:", "id:xyz", "abc", "6437b3ac", "*"] {
        let said = text(&run(&["verify", word(&abc), id], 2).stderr);
        assert!(said.contains("id:") && said.contains("hexadecimal digits"), "{said}");
    }
}

#[test]
fn the_log_is_printed_and_filtered() {
    let folder = tempfile::tempdir().unwrap();
    let state = word(folder.path());
    let lines = |args: &[&str]| {
        let args: Vec<&str> = ["log", "--state-dir", state].into_iter().chain(args.iter().copied()).collect();
        text(&run(&args, 0).stdout).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(lines(&[]).is_empty());
    fs::write(folder.path().join("transfers.log"), format!("{LOG}torn li")).unwrap();
    let all: Vec<&str> = LOG.lines().collect();
    assert_eq!(lines(&[]), all);
    assert_eq!(lines(&["--peer", "lab-7"]), all[..1]);
    assert_eq!(lines(&["--peer", "192.168.1.29"]), all[1..2]);
    assert_eq!(lines(&["--name", "*.pdf"]), all[2..]);
    assert_eq!(lines(&["--since", "2026-11-20T13:02:12Z"]), all[1..]);
    assert_eq!(lines(&["--since", "2026-11-20T13:02:12Z", "--name", "talk.mkv"]), all[1..2]);

    // What the environment says about the network filters nothing.
    let mut command = chunkcast(&["log", "--state-dir", state]);
    let output = command.env("CHUNKCAST_NAME", "me").env("CHUNKCAST_PEER", "h").output().unwrap();
    assert_eq!(text(&output.stdout).lines().count(), 3);

    let told = json(&run(&["log", "--json", "--state-dir", state], 0));
    let types: Vec<&str> = told.iter().map(|line| line["t"].as_str().unwrap()).collect();
    assert_eq!(types, ["chunk", "chunk", "done", "summary"]);
    assert_eq!(told[0]["ts"], "2026-11-20T16:02:11.482+03:00");
    assert_eq!((&told[0]["index"], &told[0]["of"], &told[0]["ok"]), (&12.into(), &2048.into(), &true.into()));
    assert_eq!(told[1]["reason"], "hash-mismatch, asked elsewhere");
    assert_eq!((&told[2]["id"], &told[2]["verified"]), (&ID_OF_NOTHING.into(), &true.into()));
}

#[test]
fn objects_are_printed_as_lines_behind_those_of_an_earlier_version() {
    let folder = tempfile::tempdir().unwrap();
    let state = word(folder.path());
    let object = concat!(
        r#"{"v":1,"ts":"2026-11-20T16:03:00.007+03:00","t":"chunk","dir":"down","id":"#,
        r#""af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","name":"talk\u202e.mkv","index":7,"of":9,"#,
        r#""bytes":512,"peer":"192.168.1.27:7117","user":"lab-7","peer_id":"01010101010101010101010101010101","#,
        r#""from_complete":true,"dur":0.0061,"ok":true,"later":[{}]}"#,
    );
    fs::write(folder.path().join("transfers.log.1"), LOG).unwrap();
    fs::write(folder.path().join("transfers.log"), format!("{object}\n{{\"v\":1,\"ts\"")).unwrap();
    let line = "2026-11-20T16:03:00.007+03:00 DOWN chunk 7/9 \"talk\\u{202e}.mkv\" bytes=512 \
                peer=192.168.1.27:7117 user=lab-7 dur=0.006 ok\n";
    assert_eq!(text(&run(&["log", "--state-dir", state], 0).stdout), format!("{LOG}{line}"));
    let asked = ["log", "--state-dir", state, "--since", "2026-11-20T13:03:00Z", "--peer", "lab-7"];
    assert_eq!(text(&run(&asked, 0).stdout), line);
    let told = json(&run(&["log", "--json", "--state-dir", state, "--name", "talk\u{202e}.mkv"], 0));
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((&told[0]["ts"], &told[0]["dur"]), (&"2026-11-20T16:03:00.007+03:00".into(), &0.0061.into()));
}

#[test]
fn a_reader_that_goes_is_a_clean_end() {
    let mut child = chunkcast(&["man"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn completions_and_manual_come_from_the_same_definition() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&run(&["completions", shell], 0).stdout).contains("on-conflict"));
    }
    let manual = text(&run(&["man"], 0).stdout);
    assert!(manual.starts_with(".ie") && manual.contains("chunkcast\\-get"), "{manual}");
    assert!(manual.contains("classic\\-announce"), "{manual}");
}
