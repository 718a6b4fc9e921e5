//! The laws of the house, read off the source: who may import whom, what the core may not name, where `unsafe` may
//! stand, that no line knows the machine it was written on, how long files and functions are, and how wide documents are.
//! [`walls`] has the laws of the walls inside the core; what the source does not keep yet is listed in [`PENDING`] and
//! [`TOO_LONG`].
//!
//! Comments and literals are blanked before rules on code are asked, so that prose may speak of what code may not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read the source has to fail")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "laws/length.rs"]
mod length;
#[path = "laws/scan.rs"]
mod scan;
#[path = "laws/walls.rs"]
mod walls;
#[path = "laws/width.rs"]
mod width;

use length::too_long;
use scan::{Path as CodePath, paths};
use width::{WIDTH_MAX, too_wide};

/// Which rooms each room of `src` may name.
const ROOMS: &[(&str, &[&str])] = &[
    ("types", &["types"]),
    ("wire", &["wire", "types"]),
    ("core", &["core", "wire", "types"]),
    ("store", &["store", "core", "wire", "types"]),
    ("shell", &["shell", "store", "core", "wire", "types"]),
    ("sim", &["sim", "core", "wire", "types"]),
    ("cli", &["cli", "shell", "sim", "store", "core", "wire", "types"]),
];

/// The one file of the simulator that may name the store: it runs the real one on a disk in memory.
const STORE_OF_SIM: &str = "src/sim/bytes.rs";

/// Roles of the native engine: none names another; what concerns several stands beside them.
const ROLES: &[&str] =
    &["announcer", "seeding", "directory", "uploader", "downloader", "neighbourhood", "offers"];

/// Engines of the core. Each names of the core only itself and [`SHARED`], so none knows another.
const ENGINES: &[&str] = &["classic", "http", "native", "transfer"];

/// What the core lends to its engines, and what a connection is to all of them.
const SHARED: &[&str] = &[
    "catalogue",
    "config",
    "connection",
    "connections",
    "context",
    "counters",
    "dialer",
    "io",
    "limits",
    "looks",
    "picker",
    "rates",
    "rhythm",
    "rng",
    "room",
    "spools",
    "status",
    "timers",
    "topology",
    "uploader",
];

/// Names that make the core depend on sockets, clocks, hash order or chance.
const NAMES_NOT_IN_CORE: &[&str] = &[
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "RandomState",
    "DefaultHasher",
];

/// Modules of `std` that the core does without.
const STD_NOT_IN_CORE: &[&str] = &["fs", "thread", "process", "env", "os"];

/// Crates that bring the outside world with them, or a random source of their own.
const CRATES_NOT_IN_CORE: &[&str] = &[
    "chrono",
    "clap",
    "env_logger",
    "fastrand",
    "getrandom",
    "if_addrs",
    "libc",
    "mio",
    "rand",
    "rustix",
    "signal_hook",
    "signal_hook_mio",
    "socket2",
];

/// Types and crates of sockets, which are the shell's.
const SOCKETS: &[&str] =
    &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "mio", "socket2"];

/// The one file that calls the system about files, where each call can be counted, failed and recorded.
const SYSTEM_CALLS: &str = "src/store/fs/calls.rs";

/// The one file of the core that may name a random source: it makes the seeded stream of it.
const RANDOM_SOURCE: &str = "src/core/rng.rs";

/// The one module that may hold `unsafe`; none does today.
const UNSAFE_MODULE: Option<&str> = None;

/// Laws of the walls that the source does not keep yet, by number. Each is to be kept, and then taken off this list.
const PENDING: &[&str] = &[];

/// Files and functions that are too long today. What is not any more is taken off this list.
const TOO_LONG: &[&str] = &[];

/// Lines of ARCHITECTURE.md: a map fits on a page.
const MAP_LINES_MAX: usize = 150;

/// One line that breaks a law.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    law: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.law)
    }
}

#[test]
fn the_source_keeps_the_laws() {
    let files = tree();
    for room in ROOMS.iter().map(|(room, _)| room) {
        assert!(
            files.iter().any(|(file, _)| file.starts_with(&format!("src/{room}/"))),
            "no source in src/{room}"
        );
    }
    let broken: Vec<Violation> = files.iter().flat_map(|(file, text)| check(file, text)).collect();
    let lines: Vec<String> = broken.iter().map(Violation::to_string).collect();
    assert!(broken.is_empty(), "{} broken laws:\n{}", broken.len(), lines.join("\n"));
}

#[test]
fn the_walls_stand() {
    let broken = walls::breaches(&tree());
    let new: Vec<String> = broken
        .iter()
        .filter(|(law, _)| !PENDING.contains(law))
        .map(|(law, breach)| format!("law {law}: {breach}"))
        .collect();
    assert!(new.is_empty(), "{} broken walls:\n{}", new.len(), new.join("\n"));
    for pending in PENDING {
        assert!(broken.iter().any(|(law, _)| law == pending), "law {pending} is kept: take it off PENDING");
    }
}

#[test]
fn documents_name_files_that_there_are() {
    let files = tree();
    let documents = files.iter().filter(|(file, _)| file.ends_with(".md"));
    let missing: Vec<String> = documents.flat_map(|(file, text)| missing_files(file, text, &files)).collect();
    assert!(missing.is_empty(), "no such file: {missing:#?}");
    let map = files.iter().find(|(file, _)| file == "ARCHITECTURE.md").map(|(_, text)| text.lines().count());
    assert!(map.is_some_and(|lines| lines <= MAP_LINES_MAX), "the map has {map:?} lines");
}

#[test]
fn files_that_are_missing_are_found() {
    let files = [("src/core/peer.rs".to_owned(), String::new())];
    let text = "`src/core/peer.rs`, but\n`src/core/gone.rs` and src/x/ and `src/y.rs`";
    let missing = ["docs/x.md: src/core/gone.rs", "docs/x.md: src/y.rs"];
    assert_eq!(missing_files("docs/x.md", text, &files), missing);
    // What was decided then speaks of the files of then.
    assert_eq!(missing_files("docs/decisions/0001-x.md", text, &files), [""; 0]);
}

/// The files of `src` that a document names and that are not there.
fn missing_files(file: &str, text: &str, files: &[(String, String)]) -> Vec<String> {
    if file.starts_with("docs/decisions/") {
        return Vec::new();
    }
    let words = text.split(|c: char| !(c.is_alphanumeric() || "/_.-".contains(c)));
    let named = words.filter(|word| word.starts_with("src/") && word.ends_with(".rs"));
    let missing = named.filter(|word| !files.iter().any(|(there, _)| there == word));
    missing.map(|word| format!("{file}: {word}")).collect()
}

#[test]
fn files_and_functions_are_short() {
    let long: Vec<String> = tree().iter().flat_map(|(file, text)| too_long(file, text)).collect();
    let new: Vec<&String> = long.iter().filter(|one| !TOO_LONG.contains(&one.as_str())).collect();
    assert!(new.is_empty(), "too long: {new:#?}");
    let kept: Vec<_> = TOO_LONG.iter().filter(|one| !long.iter().any(|found| found == *one)).collect();
    assert!(kept.is_empty(), "not too long any more, take them off TOO_LONG: {kept:#?}");
}

/// Every law that applies to a file, asked of its text. `file` is relative to the crate, with `/`.
fn check(file: &str, text: &str) -> Vec<Violation> {
    let mut broken = machine_paths(file, text);
    if file.ends_with(".md") {
        broken.extend(too_wide(text).map(|line| Violation {
            file: file.to_owned(),
            line,
            law: format!("documents wrap at {WIDTH_MAX} columns (scripts/wrap-docs.py)"),
        }));
    }
    if file.ends_with(".rs") {
        let found = paths(text);
        broken.extend(no_unsafe(file, &found));
        if let Some(module) = module_of(file) {
            broken.extend(imports(file, &module, &found));
            if matches!(module[0].as_str(), "types" | "wire" | "core") {
                broken.extend(purity(&module[0], file, &found));
            }
            // What tests set up and look at, they may reach directly.
            let tests_begin = line_of_tests(&module, text);
            let found: Vec<CodePath> = found.into_iter().filter(|path| path.line < tests_begin).collect();
            if matches!(module[0].as_str(), "store" | "sim" | "cli") {
                broken.extend(sockets(file, &found));
            }
            // The shell may ask the host through what looks like files.
            if matches!(module[0].as_str(), "store" | "cli") && file != SYSTEM_CALLS {
                broken.extend(file_calls(file, &found));
            }
        }
    }
    broken.sort_by_key(|violation| violation.line);
    broken
}

/// The law of imports, between rooms and between roles.
fn imports(file: &str, module: &[String], found: &[CodePath]) -> Vec<Violation> {
    let Some((room, allowed)) = ROOMS.iter().find(|(room, _)| *room == module[0]) else {
        return vec![Violation {
            file: file.to_owned(),
            line: 1,
            law: format!("{} is no room of the house", module[0]),
        }];
    };
    let role = |module: &[String]| {
        let mut names = module.iter().filter(|_| module[0] == "core");
        names.find_map(|name| ROLES.iter().find(|role| *role == name).copied())
    };
    let mut broken = Vec::new();
    for path in found {
        let Some(target) = absolute(module, &path.segments) else { continue };
        let Some(target_room) = target.first() else { continue };
        let is_excepted = file == STORE_OF_SIM && target_room == "store";
        let is_room = ROOMS.iter().any(|(room, _)| room == target_room);
        if is_room && !allowed.contains(&target_room.as_str()) && !is_excepted {
            broken.push(path.breaks(file, format!("{room} may not import {target_room}")));
        }
        let engine = module.get(1).filter(|name| module[0] == "core" && ENGINES.contains(&name.as_str()));
        if let (Some(engine), Some(part)) = (engine, target.get(1).filter(|_| target_room == "core"))
            && part.starts_with(char::is_lowercase)
            && part != engine
            && (ENGINES.contains(&part.as_str()) || engine != "native" && !SHARED.contains(&part.as_str()))
        {
            broken.push(path.breaks(file, format!("engine {engine} may not import {part}")));
        }
        if let (Some(own), Some(other)) = (role(module), role(&target))
            && own != other
        {
            broken.push(path.breaks(file, format!("role {own} may not import role {other}")));
        }
    }
    broken
}

/// What the core, and what it is made of, may not name. `room` is the one that `file` stands in.
fn purity(room: &str, file: &str, found: &[CodePath]) -> Vec<Violation> {
    let mut broken = Vec::new();
    for path in found {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        if let Some(name) = segments.iter().find(|name| NAMES_NOT_IN_CORE.contains(name)) {
            broken.push(path.breaks(file, format!("{room} may not name {name}")));
        } else if let ["std", module, ..] = segments[..]
            && STD_NOT_IN_CORE.contains(&module)
        {
            broken.push(path.breaks(file, format!("{room} may not name std::{module}")));
        } else if segments.len() > 1
            && CRATES_NOT_IN_CORE.contains(&segments[0])
            && !(file == RANDOM_SOURCE && segments[0] == "fastrand")
            // The dialects write dates; what time it is, their callers say.
            && !(room == "wire" && segments[0] == "chrono" && !matches!(segments[1], "Local" | "Utc"))
        {
            broken.push(path.breaks(file, format!("{room} may not use the crate {}", segments[0])));
        }
    }
    broken
}

/// Sockets outside the shell.
fn sockets(file: &str, found: &[CodePath]) -> Vec<Violation> {
    let names_one = |path: &&CodePath| path.segments.iter().any(|name| SOCKETS.contains(&name.as_str()));
    let law = || "sockets are the shell's".to_owned();
    found.iter().filter(names_one).map(|path| path.breaks(file, law())).collect()
}

/// Calls about files that do not go through the store's one file for them. Types may be named.
fn file_calls(file: &str, found: &[CodePath]) -> Vec<Violation> {
    let calls = |path: &&CodePath| {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        match segments[..] {
            ["std" | "rustix", "fs"] => true,
            ["std" | "rustix", "fs", name, ..] => {
                name.starts_with(char::is_lowercase) || name == "OpenOptions"
            }
            ["File", "open" | "create" | "create_new" | "options"] => true,
            _ => false,
        }
    };
    let law = || format!("calls about files stand in {SYSTEM_CALLS}");
    found.iter().filter(calls).map(|path| path.breaks(file, law())).collect()
}

/// `unsafe` outside its one module, or the lint against it switched off.
fn no_unsafe(file: &str, found: &[CodePath]) -> Vec<Violation> {
    if UNSAFE_MODULE == Some(file) {
        return Vec::new();
    }
    let unsafe_word = |path: &&CodePath| {
        path.segments.iter().any(|word| word == "unsafe" || word == "unsafe_code")
            && !path.in_forbidding_attribute
    };
    found
        .iter()
        .filter(unsafe_word)
        .map(|path| path.breaks(file, "unsafe is not allowed here".to_owned()))
        .collect()
}

/// Absolute paths of the machine a line was written on; asked of every line, comments and literals too.
fn machine_paths(file: &str, text: &str) -> Vec<Violation> {
    // In two parts, so that this file does not hold what it looks for.
    let roots =
        [("/wo", "rk/"), ("/fa", "rm/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/tmp/", "wt/")];
    let mut broken = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (head, tail) in roots {
            let root = format!("{head}{tail}");
            // Preceded by a word character it is part of a relative path or of an address.
            let absolute = |(at, _): (usize, &str)| {
                !line[..at]
                    .chars()
                    .next_back()
                    .is_some_and(|before| before.is_alphanumeric() || "._-~$}".contains(before))
            };
            if line.match_indices(&root).any(absolute) {
                let law = format!("a path of a machine ({root})");
                broken.push(Violation { file: file.to_owned(), line: index + 1, law });
            }
        }
    }
    broken
}

impl CodePath {
    fn breaks(&self, file: &str, law: String) -> Violation {
        Violation {
            file: file.to_owned(),
            line: self.line,
            law: format!("{law}: `{}`", self.segments.join("::")),
        }
    }
}

/// The module a file of `src` is, below the crate; `None` for the crate roots and for files outside of `src`.
fn module_of(file: &str) -> Option<Vec<String>> {
    let inner = file.strip_prefix("src/")?.strip_suffix(".rs")?;
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let root = matches!(inner, "lib" | "main") || inner.starts_with("bin/");
    (!root).then_some(module)
}

/// The line at which the tests of a file of `src` begin; they stand at its bottom, or in files named `tests`.
fn line_of_tests(module: &[String], text: &str) -> usize {
    if module.iter().any(|name| name == "tests") {
        return 1;
    }
    // A test module in a file of its own is declared above the code.
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let begins = |pair: &[&str]| pair[0] == "#[cfg(test)]" && !pair[1].ends_with(';');
    lines.windows(2).position(begins).map_or(usize::MAX, |index| index + 1)
}

/// A path of this crate as segments below the crate root; `None` when it leads elsewhere.
fn absolute(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    match segments.first()?.as_str() {
        "crate" | "chunkcast" => Some(segments[1..].to_vec()),
        "super" => {
            let ups = segments.iter().take_while(|segment| *segment == "super").count();
            // Inside an inline module, such as that of the tests, one `super` more leads to the same place; going
            // up one less than written could hide nothing that going up all the way would show.
            let kept = module.len().saturating_sub(ups);
            Some(module[..kept].iter().chain(&segments[ups..]).cloned().collect())
        }
        _ => None,
    }
}

/// Every text file of the crate that is the project's own, with its path relative to the crate.
fn tree() -> Vec<(String, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files.sort();
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() && !matches!(name.as_str(), ".git" | "target" | "corpus" | "artifacts") {
            walk(root, &path, files);
        } else if kind.is_file()
            && name != "Cargo.lock"
            && name != ".git"
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            files.push((relative, text));
        }
    }
}

/// The lines at which a fixture breaks a law.
fn lines(file: &str, text: &str) -> Vec<usize> {
    check(file, text).iter().map(|violation| violation.line).collect()
}

#[test]
fn imports_across_rooms_are_found() {
    assert_eq!(lines("src/core/peer.rs", "use crate::store::Store;\n"), [1]);
    assert_eq!(
        lines("src/core/peer.rs", "\nuse crate::{\n    wire::frame,\n    shell::{self, Reactor},\n};\n"),
        [4, 4]
    );
    assert_eq!(lines("src/core/native/chunk.rs", "fn f() { super::super::super::sim::run() }"), [1]);
    assert_eq!(lines("src/wire/mod.rs", "fn f(x: chunkcast::cli::Args) {}"), [1]);
    assert_eq!(lines("src/shell/mod.rs", "fn f() {}\npub(crate) use crate::sim as world;"), [2]);
    assert_eq!(lines("src/sim/disk.rs", "type S = crate :: store\n :: Store;"), [1]);
    assert_eq!(lines("src/store/mod.rs", "pub use ::chunkcast::shell::ShellError;"), [1]);
    assert_eq!(lines("src/wire/frame.rs", "use crate::core::Peer;"), [1]);
    assert_eq!(lines("src/types/id.rs", "use crate::{core::Peer, wire::frame};"), [1, 1]);
    assert_eq!(lines("src/attic/mod.rs", ""), [1]);
}

#[test]
fn imports_that_the_law_allows_pass() {
    let fine = "use crate::core::{Peer, wire};\nuse crate::wire::frame::Frame;\nuse super::io::Input;\n";
    assert_eq!(lines("src/core/peer.rs", fine), []);
    assert_eq!(lines("src/core/peer.rs", "mod tests { use super::*; use super::super::io::Input; }"), []);
    assert_eq!(lines("src/core/peer.rs", "let store = self.store.shell(); store::x(); sim.cli = 1;"), []);
    assert_eq!(lines("src/cli/get.rs", "use crate::shell::Reactor;\nuse crate::store::StoreConfig;\n"), []);
    assert_eq!(lines("src/sim/bytes.rs", "use crate::store::Store;"), []);
    assert_eq!(lines("src/lib.rs", "pub mod shell;\npub mod sim;\nuse crate::sim::x;"), []);
}

#[test]
fn roles_do_not_know_each_other() {
    let native = "src/core/native";
    let downloader = "use crate::core::native::download::downloader::Downloader;";
    assert_eq!(lines(&format!("{native}/upload/seeding/by_place.rs"), downloader), [1]);
    assert_eq!(lines("src/core/uploader.rs", downloader), [1]);
    assert_eq!(
        lines(&format!("{native}/discovery/directory/expiry.rs"), "use super::super::announcer;"),
        [1]
    );
    assert_eq!(
        lines(
            &format!("{native}/download/downloader.rs"),
            "mod request;\nuse crate::core::{picker, uploader::Uploader};"
        ),
        [2]
    );
    assert_eq!(lines(&format!("{native}/download/downloader.rs"), "use crate::core::picker::pick;"), []);
    assert_eq!(lines(&format!("{native}/discovery/found.rs"), "use super::{announcer, directory};"), []);
}

#[test]
fn engines_know_only_what_they_are_lent() {
    assert_eq!(lines("src/core/http/mod.rs", "use crate::core::session::Session;"), [1]);
    assert_eq!(lines("src/core/http/meaning.rs", "fn f(x: super::super::classic::Conversation) {}"), [1]);
    assert_eq!(lines("src/core/transfer/arrivals.rs", "use crate::core::http::Reader;"), [1]);
    assert_eq!(lines("src/core/classic/ask.rs", "use crate::core::http::Reader;"), [1]);
    assert_eq!(lines("src/core/http/mod.rs", "use crate::core::{context::Context, http::reader};"), []);
    assert_eq!(lines("src/core/peer.rs", "use crate::core::{http, session::Session};"), []);
    assert_eq!(lines("src/core/native/upload.rs", "use crate::core::http::Reader;"), [1]);
    assert_eq!(lines("src/core/native/upload.rs", "use crate::core::picker::pick;"), []);
}

#[test]
fn what_the_core_may_not_name_is_found() {
    for line in [
        "use std::net::TcpStream;",
        "use std::net::{SocketAddr, UdpSocket};",
        "use std::{fmt, fs};",
        "let now = std::time::Instant::now();",
        "use std::collections::{BTreeMap, HashMap};",
        "let mut seen = HashSet::new();",
        "let r = fastrand::u64(..);",
        "use rustix::fs::open;",
        "std::thread::spawn(f);",
        "fn f(at: SystemTime) {}",
    ] {
        for file in ["src/core/peer.rs", "src/wire/frame.rs", "src/types/name.rs"] {
            assert_eq!(lines(file, line), [1], "{line}");
        }
        assert_eq!(lines("src/shell/mod.rs", line), [], "{line}");
    }
    assert_eq!(lines("src/core/rng.rs", "pub struct Rng(fastrand::Rng);"), []);
    assert_eq!(lines("src/wire/classic/records.rs", "use chrono::NaiveDateTime;\nuse chrono::Local;"), [2]);
    assert_eq!(
        lines("src/core/peer.rs", "use std::net::SocketAddr;\nuse std::time::Duration;\nlet fs = rand;"),
        []
    );
}

#[test]
fn sockets_outside_the_shell_are_found() {
    for line in ["use std::net::TcpStream;", "let s = socket2::Socket::new();", "fn f(poll: mio::Poll) {}"] {
        assert_eq!(lines("src/cli/get.rs", line), [1], "{line}");
        assert_eq!(lines("src/store/scan.rs", line), [1], "{line}");
        assert_eq!(lines("src/shell/listener.rs", line), [], "{line}");
        assert_eq!(lines("src/cli/get.rs", &format!("#[cfg(test)]\nmod tests {{ {line} }}")), [], "{line}");
    }
    assert_eq!(lines("src/cli/get.rs", "use std::net::{SocketAddr, ToSocketAddrs};"), []);
}

#[test]
fn calls_about_files_are_found_outside_their_file() {
    for line in [
        "std::fs::write(a, b)",
        "use std::fs;",
        "rustix::fs::fsync(file)",
        "use std::{fs, io};",
        "File::open(path)",
    ] {
        assert_eq!(lines("src/store/part.rs", line), [1], "{line}");
        assert_eq!(lines("src/store/fs/calls.rs", line), [], "{line}");
        assert_eq!(lines("src/cli/log.rs", line), [1], "{line}");
        assert_eq!(lines("src/shell/host.rs", line), [], "{line}");
        assert_eq!(
            lines("src/store/part.rs", &format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{ {line} }}")),
            [],
            "{line}"
        );
        assert_eq!(lines("src/store/tests/crash.rs", line), [], "{line}");
    }
    assert_eq!(
        lines("src/store/part.rs", "use std::fs::File;\nuse rustix::fs::FileType;\nfs::write(a);"),
        []
    );
}

#[test]
fn unsafe_is_found() {
    assert_eq!(lines("src/shell/mod.rs", "fn f() {\n    unsafe { g() }\n}"), [2]);
    assert_eq!(lines("src/store/fs/calls.rs", "#[allow(unsafe_code)]\nfn f() {}"), [1]);
    assert_eq!(lines("benches/speed.rs", "unsafe fn f() {}"), [1]);
    assert_eq!(lines("src/lib.rs", "#![forbid(unsafe_code)]"), []);
    assert_eq!(lines("src/lib.rs", "#![deny(unsafe_code, missing_docs)]"), []);
}

#[test]
fn paths_of_a_machine_are_found_everywhere() {
    for (head, tail) in [("/ho", "me/somebody/x"), ("/ro", "ot/x"), ("/wo", "rk/x"), ("/Us", "ers/me")] {
        assert_eq!(lines("README.md", &format!("fine\ncd {head}{tail}\n")), [2], "{head}{tail}");
        assert_eq!(lines("src/lib.rs", &format!("// see {head}{tail}\n")), [1], "{head}{tail}");
        assert_eq!(lines("src/lib.rs", &format!("let x = \"{head}{tail}\";\n")), [1], "{head}{tail}");
    }
    assert_eq!(
        lines("README.md", "the frame/work/order, ~/Videos, $X/home/y, example.org/home/ and /etc/passwd\n"),
        []
    );
}

#[test]
fn wide_lines_of_documents_are_found() {
    let wide = "word ".repeat(21);
    let code = "a".repeat(120);
    let fine = [
        "word ".repeat(20),
        format!("| {wide}|"),
        format!("* `{code} {code}`"),
        format!("[{wide}](x.md),"),
        code.clone(),
        format!("```\n{wide}\n```"),
    ];
    for text in fine {
        assert_eq!(lines("docs/x.md", &text), [], "{text}");
    }
    for text in [wide.clone(), format!("* {wide}"), format!("{code} `a`"), format!("see [a](b.md) {wide}")] {
        assert_eq!(lines("README.md", &format!("fine\n{text}\n")), [2], "{text}");
        assert_eq!(lines("src/lib.rs", &format!("//! {text}\n")), [], "{text}");
    }
    assert_eq!(lines("docs/x.md", &format!("```\n```\n{wide}\n")), [3]);
}

#[test]
fn comments_and_literals_break_nothing() {
    let prose = r##"
        //! Not `use crate::store::Store;`, nor unsafe, nor Instant::now().
        /* std::fs /* and */ crate::shell::Reactor */
        const A: &str = "use crate::sim::x; \" unsafe { Instant }";
        const B: &str = r#"HashMap "quoted" unsafe"#;
        const C: &[u8] = b"std::fs";
        const D: char = '"'; const E: char = '\''; const F: u8 = b'"';
        fn f<'unsafe_a>(x: &'unsafe_a str) -> &'static str { x }
        fn g(store: u32) -> u32 { store }
    "##;
    assert_eq!(lines("src/core/peer.rs", prose), []);
    // What follows a literal is read again.
    assert_eq!(lines("src/core/peer.rs", "const A: &str = \"\\\"\"; use crate::store::S;"), [1]);
    assert_eq!(lines("src/core/peer.rs", "const A: &str = r\"\\\"; use crate::store::S;"), [1]);
    assert_eq!(lines("src/core/peer.rs", "/* /* */ */ use crate::store::S;"), [1]);
    assert_eq!(lines("src/core/peer.rs", "const Q: char = '\"';\nuse crate::store::S;"), [2]);
}
