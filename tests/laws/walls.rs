//! The laws of the walls inside the core: who may touch whose state, who may ask what, and who owns which memory.
//!
//! Each law is asked of a list of files with their texts, so that a planted breach is a list of one or two.

use std::collections::{BTreeMap, BTreeSet};

use super::scan::{Token, paths, tokens};
use super::{ENGINES, Violation, absolute, line_of_tests, module_of};

/// The modules of the native engine that form no circle. What stands beside them in its folder knows them all.
const NATIVE: [&str; 11] = [
    "announcer",
    "arrangement",
    "discovery",
    "download",
    "ledger",
    "mirror",
    "offer",
    "peers",
    "session",
    "topology",
    "upload",
];

/// Files that know which protocols there are: the connection, the table of connections, and the peer.
const KNOW_PROTOCOLS: [&str; 3] = ["src/core/connection.rs", "src/core/connections.rs", "src/core/peer.rs"];

/// The protocols that a connection turns out to speak.
const PROTOCOLS: [&str; 4] = ["Native", "Http", "Classic", "Transfer"];

/// The one file outside of the store that makes the table of chunk buffers, to lend it from there.
const BUFFERS_ARE_HELD_BY: &str = "src/shell/opening.rs";

/// One source file, cut into tokens, without its tests.
struct Source<'a> {
    file: &'a str,
    module: Vec<String>,
    text: &'a str,
    tokens: Vec<(usize, Token)>,
    tests_begin: usize,
}

/// What is broken, each with the number of its law.
pub(crate) fn breaches(files: &[(String, String)]) -> Vec<(&'static str, Violation)> {
    let sources: Vec<Source<'_>> = files.iter().filter_map(|(file, text)| Source::new(file, text)).collect();
    let core = || sources.iter().filter(|source| source.module[0] == "core");
    let mut broken = Vec::new();
    broken.extend(core().flat_map(engine_state).map(|breach| ("2", breach)));
    broken.extend(core().flat_map(impl_of_peer).map(|breach| ("3", breach)));
    broken.extend(native_circle(&sources).into_iter().map(|breach| ("4", breach)));
    broken.extend(core().flat_map(guards).map(|breach| ("5", breach)));
    broken.extend(ungranted(&sources).into_iter().map(|breach| ("6", breach)));
    broken.extend(sources.iter().flat_map(buffers).map(|breach| ("7", breach)));
    broken.extend(sources.iter().flat_map(topology).map(|breach| ("8", breach)));
    broken.extend(sources.iter().flat_map(heads).map(|breach| ("9", breach)));
    broken
}

impl<'a> Source<'a> {
    fn new(file: &'a str, text: &'a str) -> Option<Source<'a>> {
        let module = module_of(file)?;
        let tests_begin = line_of_tests(&module, text);
        let tokens = tokens(text).into_iter().take_while(|(line, _)| *line < tests_begin).collect();
        Some(Source { file, module, text, tokens, tests_begin })
    }

    fn word(&self, at: usize) -> &str {
        match self.tokens.get(at) {
            Some((_, Token::Word(word))) => word,
            _ => "",
        }
    }

    fn is(&self, at: usize, sign: char) -> bool {
        matches!(self.tokens.get(at), Some((_, Token::Sign(found))) if *found == sign)
    }

    fn joins(&self, at: usize) -> bool {
        matches!(self.tokens.get(at), Some((_, Token::Join)))
    }

    /// The places of a word.
    fn places<'s>(&'s self, word: &'s str) -> impl Iterator<Item = usize> + 's {
        (0..self.tokens.len()).filter(move |at| self.word(*at) == word)
    }

    /// Whether `first::second` stands at `at`.
    fn path(&self, at: usize, first: &str, second: &str) -> bool {
        self.word(at) == first && self.joins(at + 1) && self.word(at + 2) == second
    }

    /// Whether `.name(` stands behind the word at `at`.
    fn calls(&self, at: usize, name: &str) -> bool {
        self.is(at + 1, '.') && self.word(at + 2) == name && self.is(at + 3, '(')
    }

    /// Where the bracket that opens at `at` closes.
    fn closing(&self, at: usize) -> usize {
        let mut depth = 0_usize;
        for here in at..self.tokens.len() {
            match self.tokens[here].1 {
                Token::Sign('(' | '{' | '[') => depth += 1,
                Token::Sign(')' | '}' | ']') if depth <= 1 => return here,
                Token::Sign(')' | '}' | ']') => depth -= 1,
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// The engine whose folder the file stands in; the rest of the core is the native one's.
    fn engine(&self) -> &str {
        let name = self.module.get(1).map_or("native", String::as_str);
        if ENGINES.contains(&name) { name } else { "native" }
    }

    fn breach(&self, at: usize, law: impl Into<String>) -> Violation {
        let line = self.tokens.get(at).map_or(1, |(line, _)| *line);
        Violation { file: self.file.to_owned(), line, law: law.into() }
    }
}

/// The types that have an `impl` block in a file, each with the place of its name: `impl A`, `impl<T> A<T>`, `impl B for A`.
fn impls<'s>(source: &'s Source<'_>) -> impl Iterator<Item = usize> + 's {
    source.places("impl").filter_map(|begin| {
        // `impl Trait` in a signature has no block of its own before the signature goes on.
        let begins_item = begin == 0 || source.is(begin - 1, '}') || source.is(begin - 1, ';');
        let begins_item = begins_item || source.is(begin - 1, ']') || source.is(begin - 1, '{');
        let (mut depth, mut name) = (0_usize, None);
        for at in begin + 1..source.tokens.len() {
            match &source.tokens[at].1 {
                Token::Sign('<') => depth += 1,
                Token::Sign('>') => depth = depth.saturating_sub(1),
                Token::Sign('{' | ';') if depth == 0 => break,
                Token::Word(word) if depth == 0 && word == "where" => break,
                Token::Word(word) if depth == 0 && !matches!(word.as_str(), "for" | "dyn" | "mut") => {
                    name = Some(at);
                }
                _ => {}
            }
        }
        name.filter(|_| begins_item)
    })
}

/// Law 2: what an engine has is seen by its own folder alone.
fn engine_state(source: &Source<'_>) -> Vec<Violation> {
    if !source.module.get(1).is_some_and(|name| ENGINES.contains(&name.as_str())) {
        return Vec::new();
    }
    let engine = source.places("Engine").find(|at| *at > 0 && source.word(at - 1) == "struct");
    let Some(engine) = engine else { return Vec::new() };
    let fields = engine + 1..source.closing(engine + 1);
    let shown = fields.filter(|at| source.word(*at) == "pub");
    shown.map(|at| source.breach(at, "the state of an engine is private to its folder")).collect()
}

/// Law 3: the peer's calls stand in one file.
fn impl_of_peer(source: &Source<'_>) -> Vec<Violation> {
    if source.file == "src/core/peer.rs" {
        return Vec::new();
    }
    let of_peer = impls(source).filter(|at| source.word(*at) == "Peer");
    of_peer.map(|at| source.breach(at, "`impl Peer` stands in src/core/peer.rs alone")).collect()
}

/// Law 4: inside the native engine imports, calls of the engine's methods, and uses of its state go one way.
fn native_circle(sources: &[Source<'_>]) -> Vec<Violation> {
    let inside: Vec<&Source<'_>> =
        sources.iter().filter(|it| it.module.starts_with(&native_root())).collect();
    if inside.is_empty() && sources.iter().any(|source| source.file == "src/core/peer.rs") {
        let law = "the native engine is not in src/core/native".to_owned();
        return vec![Violation { file: "src/core/peer.rs".to_owned(), line: 1, law }];
    }
    let homes = homes(&inside);
    let mut edges: BTreeMap<(&str, &str), Violation> = BTreeMap::new();
    for source in &inside {
        let Some(own) = native_module(&source.module) else { continue };
        let mut edge = |other: Option<&'static str>, breach: &dyn Fn(String) -> Violation| {
            if let Some(other) = other.filter(|other| *other != own) {
                let law = format!("{own} and {other} know each other, directly or through others");
                edges.entry((own, other)).or_insert_with(|| breach(law));
            }
        };
        for path in paths(source.text).iter().filter(|path| path.line < source.tests_begin) {
            let target = absolute(&source.module, &path.segments).unwrap_or_default();
            edge(native_module(&target), &|law| path.breaks(source.file, law));
        }
        for at in source.places("self").filter(|at| source.is(at + 1, '.')) {
            let home = homes.get(source.word(at + 2)).copied().flatten();
            edge(home, &|law| source.breach(at, law));
        }
    }
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(here) = next.pop() {
            if seen.insert(here) {
                next.extend(edges.keys().filter(|(begin, _)| *begin == here).map(|(_, end)| *end));
            }
        }
        seen.contains(to)
    };
    let circles: Vec<(&str, &str)> = edges.keys().copied().filter(|(from, to)| reaches(to, from)).collect();
    circles.iter().filter_map(|edge| edges.remove(edge)).collect()
}

fn native_root() -> Vec<String> {
    vec!["core".to_owned(), "native".to_owned()]
}

/// The module of the native engine that a path leads into.
fn native_module(path: &[String]) -> Option<&'static str> {
    let [core, native, name, ..] = path else { return None };
    NATIVE.into_iter().find(|module| core == "core" && native == "native" && name == module)
}

/// The module in which each method of the native engine stands, and that whose type each of its fields has. `None`: beside
/// the modules.
fn homes<'s>(inside: &[&'s Source<'_>]) -> BTreeMap<&'s str, Option<&'static str>> {
    let mut homes = BTreeMap::new();
    for source in inside {
        for name in impls(source).filter(|at| source.word(*at) == "Engine" && source.is(at + 1, '{')) {
            let methods = (name + 1..source.closing(name + 1)).filter(|at| source.word(*at) == "fn");
            homes.extend(methods.map(|at| (source.word(at + 1), native_module(&source.module))));
        }
    }
    let types: BTreeMap<&str, &'static str> = inside.iter().flat_map(|source| types_of(source)).collect();
    for source in inside.iter().filter(|source| source.module == native_root()) {
        let Some(engine) = source.places("Engine").find(|at| *at > 0 && source.word(at - 1) == "struct")
        else {
            continue;
        };
        let mut field = "";
        for at in engine + 2..source.closing(engine + 1) {
            if source.is(at + 1, ':') {
                field = source.word(at);
            }
            if let Some(module) = types.get(source.word(at)) {
                homes.insert(field, Some(module));
            }
        }
    }
    homes
}

/// The types that a module of the native engine declares.
fn types_of<'s>(source: &'s Source<'_>) -> impl Iterator<Item = (&'s str, &'static str)> {
    let module = native_module(&source.module);
    let declared = |at: &usize| matches!(source.word(at - 1), "struct" | "enum");
    let places = (1..source.tokens.len()).filter(declared);
    module.into_iter().flat_map(move |module| places.clone().map(move |at| (source.word(at), module)))
}

/// Law 5: which protocol a connection speaks is asked in one `match`, never guessed at or asked one by one.
fn guards(source: &Source<'_>) -> Vec<Violation> {
    if KNOW_PROTOCOLS.contains(&source.file) {
        return Vec::new();
    }
    let mut broken = Vec::new();
    for at in 0..source.tokens.len() {
        let protocol = source.word(at).strip_prefix("is_").unwrap_or_default();
        let asks = PROTOCOLS.iter().any(|name| name.eq_ignore_ascii_case(protocol)) || protocol == "sniffing";
        if asks && source.is(at + 1, '(') {
            broken.push(source.breach(at, format!("`{}` asks for one protocol", source.word(at))));
        }
        let names =
            PROTOCOLS.iter().any(|name| source.path(at, "Protocol", name) || source.path(at, "Kind", name));
        if names && is_guard(source, at) {
            broken.push(source.breach(at, format!("a guard for the protocol {}", source.word(at + 2))));
        }
    }
    broken
}

/// Whether the path at `at` is what something is compared with: behind `==`, in `matches!`, or the pattern of a `let`.
fn is_guard(source: &Source<'_>, at: usize) -> bool {
    let begin = (0..at)
        .rev()
        .find(|before| [';', '{', '}'].iter().any(|sign| source.is(*before, *sign)))
        .map_or(0, |end| end + 1);
    let before = begin..at;
    let last_let = before.clone().rev().find(|here| source.word(*here) == "let");
    let is_pattern = last_let.is_some_and(|let_at| (let_at..at).all(|here| !source.is(here, '=')));
    let is_compared = before.clone().any(|here| {
        (source.is(here, '=') || source.is(here, '!')) && source.is(here + 1, '=') && here + 8 > at
    });
    let is_matched = before.clone().any(|here| source.word(here) == "matches" && source.is(here + 1, '!'));
    is_pattern || is_compared || is_matched
}

/// Law 6: bytes of files go out in turns that the one scheduler gives. It is asked for turns at one place, and an engine whose
/// connections send spans begins their turns.
fn ungranted(sources: &[Source<'_>]) -> Vec<Violation> {
    let mut broken = Vec::new();
    let mut spans: BTreeMap<&str, Vec<Violation>> = BTreeMap::new();
    let mut begins: BTreeSet<&str> = BTreeSet::new();
    for source in sources.iter().filter(|source| source.module[0] == "core") {
        let is_scheduler = source.module.get(1).is_some_and(|name| name == "uploader" || name == "uploads");
        for at in (0..source.tokens.len()).filter(|_| !is_scheduler) {
            let is_named = matches!(source.word(at), "uploads" | "uploader");
            if is_named && source.calls(at, "grant") && source.engine() != "native" {
                broken.push(source.breach(at, "an engine does not give turns to others"));
            }
            if is_named && source.calls(at, "begin") {
                begins.insert(source.engine());
            }
            // The file of the type declares the type.
            if source.path(at, "Segment", "Span") && source.word(at - 1) != "let" {
                let law =
                    format!("the engine {} sends files without turns of the scheduler", source.engine());
                spans.entry(source.engine()).or_default().push(source.breach(at, law));
            }
        }
    }
    spans.retain(|engine, _| !begins.contains(engine));
    broken.extend(spans.into_values().flatten());
    broken
}

/// Law 7: the store makes the memory of chunks, the core their numbers; everybody else is lent both.
fn buffers(source: &Source<'_>) -> Vec<Violation> {
    let room = source.module[0].as_str();
    let mut broken = Vec::new();
    for at in 0..source.tokens.len() {
        if source.word(at) == "BufferId" && source.is(at + 1, '(') && room != "core" {
            broken.push(source.breach(at, "the core alone gives numbers to buffers"));
        }
        if source.path(at, "Buffers", "new") && room != "store" && source.file != BUFFERS_ARE_HELD_BY {
            broken.push(source.breach(at, format!("the table of buffers is made in {BUFFERS_ARE_HELD_BY}")));
        }
        // The simulator has a disk of its own.
        let allocates =
            matches!(source.word(at), "with_capacity" | "resize" | "vec") && !matches!(room, "store" | "sim");
        let open = at + 1 + usize::from(source.is(at + 1, '!'));
        if allocates && (source.is(open, '(') || source.is(open, '[')) {
            let sized_as_chunk = |here: usize| {
                let word = source.word(here);
                word.contains("chunk") && ["bytes", "len", "size"].iter().any(|unit| word.contains(unit))
            };
            if (open..source.closing(open)).any(sized_as_chunk) {
                broken.push(source.breach(at, "memory for a chunk is made in src/store alone"));
            }
        }
    }
    broken
}

/// Law 8: how peers are arranged is asked of the topology, as a named decision.
fn topology(source: &Source<'_>) -> Vec<Violation> {
    if source.module.iter().any(|name| name == "topology") {
        return Vec::new();
    }
    let is_core = source.module[0] == "core";
    let mut broken = Vec::new();
    for at in 0..source.tokens.len() {
        if source.word(at) == "is_mesh" && source.is(at + 1, '(') {
            broken.push(source.breach(at, "`is_mesh` is asked outside of the topology"));
        }
        let compared = source.word(at) == "topology"
            && (source.is(at + 1, '=') || source.is(at + 1, '!'))
            && source.is(at + 2, '=');
        let named = source.word(at) == "Topology" && source.joins(at + 1);
        if compared || named && (is_core || is_guard(source, at)) {
            broken.push(source.breach(at, "the topology is matched outside of its module"));
        }
    }
    broken
}

/// Law 9: docs lead to another place by a link, which rustdoc checks.
fn heads(source: &Source<'_>) -> Vec<Violation> {
    let lines = source.text.lines().enumerate().filter(|(_, line)| line.contains("file's head"));
    let law = || "a link says where: [the module](self)".to_owned();
    lines.map(|(at, _)| Violation { file: source.file.to_owned(), line: at + 1, law: law() }).collect()
}

/// The places at which planted files break a law, as `file:line`.
fn broken(law: &str, files: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<(String, String)> =
        files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    let of_law = breaches(&files).into_iter().filter(|(broken, _)| *broken == law);
    of_law.map(|(_, breach)| format!("{}:{}", breach.file, breach.line)).collect()
}

#[test]
fn state_of_an_engine_that_others_see_is_found() {
    let http = "src/core/http/mod.rs";
    let seen = "pub(in crate::core) struct Engine {\n    pub(super) open: u32,\n}";
    assert_eq!(broken("2", &[(http, seen)]), ["src/core/http/mod.rs:2"]);
    let private = "pub(in crate::core) struct Engine {\n    open: u32,\n}\npub struct Order { pub to: u8 }";
    assert_eq!(broken("2", &[(http, private)]), [""; 0]);
    assert_eq!(broken("2", &[("src/core/peer.rs", seen)]), [""; 0]);
}

#[test]
fn methods_of_the_peer_in_other_files_are_found() {
    for text in
        ["impl Peer {\n}", "impl crate::core::Peer {}", "impl Ask for Peer {}", "mod a;\nimpl<'a> Peer {}"]
    {
        assert_eq!(broken("3", &[("src/core/native/upload.rs", text)]).len(), 1, "{text}");
        assert_eq!(broken("3", &[("src/core/peer.rs", text)]), [""; 0], "{text}");
    }
    for text in
        ["impl Peers {}", "impl Of<Peer> for Other {}", "fn f(x: impl Fn(&Peer)) {}", "// impl Peer {}"]
    {
        assert_eq!(broken("3", &[("src/core/native/upload.rs", text)]), [""; 0], "{text}");
    }
}

#[test]
fn circles_inside_the_native_engine_are_found() {
    let [session, download, upload, offer] = ["session.rs", "download/mod.rs", "upload/turns.rs", "offer.rs"]
        .map(|f| format!("src/core/native/{f}"));
    let down = (download.as_str(), "use super::session::Session;\nuse crate::core::native::upload::Turn;");
    let one_way =
        [(session.as_str(), "use super::Event;"), down, (upload.as_str(), "use super::super::session;")];
    assert_eq!(broken("4", &one_way), [""; 0]);
    let back = [down, (upload.as_str(), "fn f() {\n    super::super::download::request()\n}")];
    assert_eq!(broken("4", &back), [format!("{download}:2"), format!("{upload}:2")]);
    let through = [
        down,
        (upload.as_str(), "use crate::core::native::offer::Offer;"),
        (offer.as_str(), "use super::{discovery, download};"),
    ];
    assert_eq!(broken("4", &through).len(), 3);
    let in_tests = "fn f() {}\n#[cfg(test)]\nmod tests {\n use crate::core::native::download::x;\n}";
    assert_eq!(broken("4", &[down, (upload.as_str(), in_tests)]), [""; 0]);
}

#[test]
fn circles_of_calls_and_of_state_are_found() {
    let root = (
        "src/core/native/mod.rs",
        "struct Engine {\n a: Option<Searches>,\n}\nimpl Engine { fn drain(&mut self) { self.ask(); self.serve(); } }",
    );
    let upload =
        ("src/core/native/upload/mod.rs", "impl Engine {\n fn serve(&mut self) {\n self.ask();\n }\n}");
    let ask = ("src/core/native/download/ask.rs", "impl Engine {\n fn ask(&self) { self.drain() }\n}");
    assert_eq!(broken("4", &[root, upload, ask]), [""; 0]);
    let back =
        ("src/core/native/download/ask.rs", "impl Engine {\n fn ask(&mut self) {\n self\n.serve();\n }\n}");
    assert_eq!(
        broken("4", &[root, upload, back]),
        ["src/core/native/download/ask.rs:3", "src/core/native/upload/mod.rs:3"]
    );
    let searches = (
        "src/core/native/discovery/searches.rs",
        "struct Searches;\nimpl Engine { fn x(&self) { self.ask() } }",
    );
    let state = ("src/core/native/download/ask.rs", "impl Engine {\n fn ask(&self) {\n self.a.len();\n }\n}");
    assert_eq!(broken("4", &[root, searches, state]).len(), 2);
    assert_eq!(broken("4", &[root, searches, ask]), [""; 0]);
}

#[test]
fn a_core_without_a_native_engine_is_found() {
    assert_eq!(broken("4", &[("src/core/peer.rs", "")]), ["src/core/peer.rs:1"]);
}

#[test]
fn guards_for_one_protocol_are_found() {
    for text in [
        "if self.is_http(conn) {}",
        "if connection.is_sniffing() {}",
        "if kind == Kind::Http {}",
        "if self.connections.kind(conn) != Some(Kind::Native) {}",
        "let http = matches!(kind, Some(Kind::Http | Kind::Classic));",
        "if let Some(Protocol::Classic(it)) = self.connections.get_mut(conn) {}",
        "let Some(Protocol::Native(session)) = found else { return };",
    ] {
        assert!(!broken("5", &[("src/core/flow/x.rs", text)]).is_empty(), "{text}");
        assert_eq!(broken("5", &[("src/core/connections.rs", text)]), [""; 0], "{text}");
    }
    for text in [
        "match self.connections.kind(conn) { Some(Kind::Http) => {} Some(Kind::Native) => {} _ => {} }",
        "let speaks = Protocol::Native(Box::new(session));",
        "self.connections.become_protocol(conn, Protocol::Http(reader));",
        "let native = matches!(x, Wanted::All); let p = Protocol::Native(s);",
        "fn is_native_name() {}",
    ] {
        assert_eq!(broken("5", &[("src/core/flow/x.rs", text)]), [""; 0], "{text}");
    }
}

#[test]
fn files_that_go_out_without_a_turn_are_found() {
    let span =
        ("src/core/http/reader.rs", "fn f() -> Segment {\n    Segment::Span { source, offset, len }\n}");
    let begins =
        ("src/core/http/mod.rs", "let Some(ask) = ctx.uploads.begin(conn, now, |_| None) else { return };");
    assert_eq!(broken("6", &[span]), ["src/core/http/reader.rs:2"]);
    assert_eq!(broken("6", &[span, begins]), [""; 0]);
    // A turn of another engine does not count.
    assert_eq!(broken("6", &[("src/core/classic/serving.rs", span.1), begins]).len(), 1);
    let grants = ("src/core/http/mod.rs", "ctx.uploads.grant(now, |_| None);");
    assert_eq!(broken("6", &[grants]), ["src/core/http/mod.rs:1"]);
    assert_eq!(broken("6", &[("src/core/flow/serve.rs", "self.uploader.grant(now, f);")]), [""; 0]);
}

#[test]
fn memory_of_chunks_outside_of_the_store_is_found() {
    for text in [
        "let memory = vec![0; chunk_bytes as usize];",
        "let memory = Vec::with_capacity(usize::from(self.geometry.chunk_len(chunk)));",
        "memory.resize(chunk_size, 0);",
        "let buffers = Buffers::new(1 << 20);",
    ] {
        for file in ["src/core/native/download.rs", "src/shell/reading.rs", "src/cli/get.rs"] {
            assert_eq!(broken("7", &[(file, text)]), [format!("{file}:1")], "{text}");
        }
        assert_eq!(broken("7", &[("src/store/buffers.rs", text)]), [""; 0], "{text}");
    }
    assert_eq!(broken("7", &[("src/shell/reading.rs", "let id = BufferId(7);")]), ["src/shell/reading.rs:1"]);
    assert_eq!(broken("7", &[("src/core/downloader.rs", "let id = BufferId(7);")]), [""; 0]);
    assert_eq!(broken("7", &[(BUFFERS_ARE_HELD_BY, "let buffers = Buffers::new(1 << 20);")]), [""; 0]);
    assert_eq!(broken("7", &[("src/core/seeding.rs", "holders: vec![0; chunks as usize],")]), [""; 0]);
}

#[test]
fn docs_that_lead_nowhere_are_found() {
    let text = "//! The head.\n/// See the file's head.\nstruct A;\n/// See [the module](self).\nstruct B;";
    assert_eq!(broken("9", &[("src/core/x.rs", text)]), ["src/core/x.rs:2"]);
}

#[test]
fn questions_for_the_topology_outside_of_it_are_found() {
    for text in [
        "if self.config.topology.is_mesh() {}",
        "if config.topology == Topology::Mesh {}",
        "matches!(self.topology, Topology::Neighbours(_))",
        "let Topology::Neighbours(place) = topology else { return };",
    ] {
        assert!(!broken("8", &[("src/core/http/mod.rs", text)]).is_empty(), "{text}");
        assert!(!broken("8", &[("src/shell/reactor.rs", text)]).is_empty(), "{text}");
        assert_eq!(broken("8", &[("src/core/native/topology/ring.rs", text)]), [""; 0], "{text}");
    }
    assert_eq!(
        broken("8", &[("src/cli/ring.rs", "config.topology = Topology::Neighbours(place);")]),
        [""; 0]
    );
    assert_eq!(broken("8", &[("src/core/peer.rs", "self.topology.dials(conn)")]), [""; 0]);
}
