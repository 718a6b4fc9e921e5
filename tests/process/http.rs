//! A browser's view of a real peer: raw sockets, and `curl` where there is one.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

use crate::child::{Child, Launch, PATIENCE, skip};
use crate::files::{MIB, random_file};
use crate::hosts::Hosts;
use crate::lan::Lan;
use crate::sending::{at_a_terminal, has_script};

/// Where a peer serves.
fn address(sharer: &mut Child) -> SocketAddr {
    let port = sharer.wait_json("its port", |line| line["tcp_port"].as_u64());
    SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap()))
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn share_says_where_browsers_find_it_by_address() {
    let lan = Lan::new();
    let source = lan.path("notes.txt");
    random_file(&source, 1_000, 1);
    let said = |child: &mut Child| {
        child.wait_json("its ports", |line| {
            (line["t"] == "hello").then(|| (line["tcp_port"].as_u64().unwrap(), line["urls"].clone()))
        })
    };
    let mut sharer = lan.share("sharer", &source);
    let (port, urls) = said(&mut sharer);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(urls, serde_json::json!([url]));
    sharer.wait_stderr(&[&format!("in any browser: {url}\n")]);
    let (head, page) = get(address(&mut sharer), "/", "");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(String::from_utf8(page).unwrap().contains("notes.txt"));
    sharer.interrupt().expect(0);
    // Where browsers may not see it, nothing is said of them.
    let mut quiet = lan
        .launch("quiet", &["share".as_ref(), source.as_os_str(), "--no-http".as_ref()])
        .json_chunks()
        .start();
    assert!(said(&mut quiet).1.is_null());
    quiet.wait_stderr(&["Ctrl-C ends"]);
    assert!(!quiet.interrupt().expect(0).stderr.contains("browser"));
}

#[test]
fn on_a_network_the_address_is_the_one_that_others_reach() {
    let Some(hosts) = Hosts::new(2) else { return };
    let source = hosts.path("notes.txt");
    random_file(&source, 1_000, 2);
    let mut sharer = hosts.share(1, "sharer", &source);
    let port = address(&mut sharer).port();
    let at = SocketAddr::from((hosts.address(1), port));
    sharer.wait_stderr(&[&format!("in any browser: http://{at}/\n")]);
    let (head, _) = hosts.inside(2, || get(at, "/", ""));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let ended = sharer.interrupt().expect(0);
    assert_eq!(ended.stderr.matches("in any browser").count(), 1, "{}", ended.stderr);
}

#[test]
fn share_says_what_it_reads() {
    if !has_script() {
        return skip("script", "no terminal can be made");
    }
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    // Holes are hashed like bytes.
    fs::File::create(&source).unwrap().set_len(256 * MIB).unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(&source).unwrap().set_modified(long_ago).unwrap();
    let launch = lan.launch("sharer", &["share".as_ref(), source.as_os_str()]);
    let (mut sharer, mut typed) = at_a_terminal(&lan, launch);
    sharer.wait_stdout("Ctrl-C ends");
    typed.write_all(b"\x03").unwrap();
    let said = sharer.end().expect(0).stdout;
    let (_, reading) = said.split_once("reading \"talk.mkv\": ").expect("what it reads");
    assert!(reading.contains(" % of 256.0 MiB"), "{said}");
    // The line gives way to what stays.
    assert!(reading.contains("\u{1b}[K"), "{said:?}");
}

/// Says something and reads until the other side closes.
fn exchange(to: SocketAddr, said: &[u8]) -> Vec<u8> {
    let mut stream = connect(to);
    // A peer that refuses early may close before all of it is out.
    let _ = stream.write_all(said);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn get(to: SocketAddr, path: &str, fields: &str) -> (String, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{fields}\r\n");
    split(&exchange(to, request.as_bytes()))
}

/// The head of an answer and what is behind it.
fn split(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end..].to_vec())
}

/// Reads one answer of a connection that stays.
fn read_answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn a_file_is_read_whole_in_parts_and_again() {
    let lan = Lan::new();
    let source = lan.path("naïve talk.mkv");
    let id = random_file(&source, 3 * MIB + 5, 600).to_string();
    let bytes = fs::read(&source).unwrap();
    let mut sharer = lan.share("sharer", &source);
    let to = address(&mut sharer);
    for path in [format!("/{id}"), "/na%C3%AFve%20talk.mkv".to_owned(), format!("/{}", &id[..8])] {
        let (head, body) = get(to, &path, "");
        assert!(head.starts_with("HTTP/1.1 200 ") && body == bytes, "{path}: {head}");
        assert!(head.contains("filename*=UTF-8''na%C3%AFve%20talk.mkv"), "{head}");
    }
    let (head, body) = get(to, &format!("/{id}"), "Range: bytes=1000000-2000000\r\n");
    assert!(head.starts_with("HTTP/1.1 206 ") && body == bytes[1_000_000..=2_000_000], "{head}");
    let (head, body) = get(to, &format!("/{id}"), &format!("If-None-Match: \"{id}\"\r\n"));
    assert!(head.starts_with("HTTP/1.1 304 ") && body.is_empty(), "{head}");
    // One connection, one request after the other; then two at once.
    let mut stream = connect(to);
    let request = format!("GET /{id} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).unwrap();
        assert!(read_answer(&mut stream).1 == bytes);
    }
    stream.write_all(request.repeat(2).as_bytes()).unwrap();
    for _ in 0..2 {
        assert!(read_answer(&mut stream).1 == bytes);
    }
    sharer.wait_json("what went", |line| {
        (line["t"] == "http" && line["asked"] == 1_000_001 && line["ok"] == true).then_some(())
    });
    drop(stream);
    sharer.interrupt().expect(0);
    let log = lan.transfer_log("sharer");
    let part =
        format!("UP http 1000000-2000000/{} \"naïve talk.mkv\" bytes=1000001 peer=127.0.0.1:", bytes.len());
    assert!(log.contains(&part), "{log}");
    // Not by way of the LAN: `log` takes --name for a filter.
    let state = lan.state("sharer");
    let args = ["log".as_ref(), "--json".as_ref(), "--state-dir".as_ref(), state.as_os_str()];
    let ended = Launch::new("log").args(&args).run().expect(0);
    assert!(ended.of_type("http").len() >= 7, "{}", ended.stdout);
}

#[test]
fn fifty_readers_and_a_native_peer_at_once() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    let id = random_file(&source, 2 * MIB, 601).to_string();
    let bytes = fs::read(&source).unwrap();
    let mut sharer = lan.share("sharer", &source);
    let to = address(&mut sharer);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert!(get(to, &format!("/{id}"), "").1 == bytes));
        }
        let folder = lan.folder("got");
        lan.get("getter", "talk.mkv", &folder).run().expect(0);
        assert!(fs::read(folder.join("talk.mkv")).unwrap() == bytes);
    });
}

#[test]
fn nothing_else_of_this_machine_can_be_read() {
    let lan = Lan::new();
    let shared = lan.folder("shared");
    random_file(&shared.join("talk.mkv"), 1000, 602);
    fs::write(shared.join("<img src=x onerror=alert(1)>.txt"), "x").unwrap();
    for folder in ["a", "b"] {
        fs::write(lan.folder(&format!("shared/{folder}")).join("same.txt"), folder).unwrap();
    }
    fs::write(lan.path("secret"), "secret").unwrap();
    let mut sharer = lan.share("sharer", &shared);
    sharer.wait_stderr(&["4 files"]);
    let to = address(&mut sharer);
    for path in
        ["/../secret", "//", "/%2e%2e/secret", "/..%2fsecret", "/etc/passwd", "//etc/passwd", "/talk.mkv/"]
    {
        let (head, body) = get(to, path, "");
        assert!(head.starts_with("HTTP/1.1 404 ") && !body.ends_with(b"secret"), "{path}: {head}");
    }
    let (head, page) = get(to, "/", "");
    let page = String::from_utf8(page).unwrap();
    assert!(head.contains("default-src 'none'"), "{head}");
    assert!(page.contains("talk.mkv") && page.contains("&lt;img src=x") && !page.contains("<img"), "{page}");
    let (head, page) = get(to, "/same.txt", "");
    assert!(head.starts_with("HTTP/1.1 300 "), "{head}");
    assert_eq!(String::from_utf8(page).unwrap().matches("<a href=").count(), 2);
    for (request, code) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "421"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        (format!("POST / HTTP/1.1\r\nHost: {to}\r\nContent-Length: 3\r\n\r\nabc"), "405"),
        (format!("GET / HTTP/1.1\r\nHost: {to}\r\nContent-Length: 3\r\n\r\nabc"), "413"),
        (format!("GET / HTTP/1.1\r\nHost: {to}\r\nX: {}\r\n\r\n", "y".repeat(9 << 10)), "431"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "505"),
    ] {
        let (head, _) = split(&exchange(to, request.as_bytes()));
        assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {head}");
        assert!(head.contains("Connection: close\r\n") || code == "421", "{head}");
    }
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"USER x\r\n",
    ] {
        assert_eq!(exchange(to, garbage), b"", "{garbage:?}");
    }
}

#[test]
fn a_slow_head_is_not_waited_for() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 1000, 603);
    let mut sharer = lan.share("sharer", &source);
    let mut stream = connect(address(&mut sharer));
    stream.write_all(b"GET /talk.mkv HTTP/1.1\r\nHost: ").unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() && began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[test]
fn a_file_that_changes_on_its_way_is_cut() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 64 * MIB, 604);
    let mut sharer = lan.share("sharer", &source);
    let to = address(&mut sharer);
    let mut stream = connect(to);
    stream.write_all(format!("GET /talk.mkv HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).unwrap();
    // What sockets hold on the way is far less than the file.
    let mut first = vec![0; 1000];
    stream.read_exact(&mut first).unwrap();
    fs::OpenOptions::new().append(true).open(&source).unwrap().write_all(b"more").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 64 * MIB as usize - 1000, "{}", rest.len());
    sharer.wait_json("that it was cut", |line| (line["t"] == "http" && line["ok"] == false).then_some(()));
}

#[test]
fn without_http_a_reader_is_as_any_stranger() {
    let lan = Lan::new();
    let source = lan.path("talk.mkv");
    random_file(&source, 1000, 605);
    let args = ["share".as_ref(), source.as_os_str(), "--no-http".as_ref()];
    let mut sharer = lan.launch("sharer", &args).json_chunks().start();
    sharer.wait_json("the first offer", |line| (line["t"] == "content").then_some(()));
    let to = address(&mut sharer);
    assert_eq!(exchange(to, format!("GET / HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()), b"");
}

#[test]
fn curl_fetches_and_resumes() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("curl", "it fetched nothing");
    }
    let lan = Lan::new();
    let source = lan.path("my talk.mkv");
    let id = random_file(&source, 5 * MIB, 606).to_string();
    let bytes = fs::read(&source).unwrap();
    let mut sharer = lan.share("sharer", &source);
    let to = address(&mut sharer);
    let folder = lan.folder("got");
    let curl = |args: &[&str], path: &str| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--max-time", "60"]).args(args);
        let output = command.arg(format!("http://{to}{path}")).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    curl(&["-OJ"], "/my%20talk.mkv");
    assert!(fs::read(folder.join("my talk.mkv")).unwrap() == bytes);
    fs::write(folder.join("half"), &bytes[..2_000_000]).unwrap();
    curl(&["-C", "-", "-o", "half"], &format!("/{id}"));
    assert!(fs::read(folder.join("half")).unwrap() == bytes);
    let head = curl(&["-I"], &format!("/{id}"));
    assert!(head.contains(&format!("ETag: \"{id}\"")) && head.contains("Content-Length: 5242880"), "{head}");
    curl(&["-r", "10-19", "-o", "part"], &format!("/{id}"));
    assert_eq!(fs::read(folder.join("part")).unwrap(), &bytes[10..20]);
    let tag = format!("If-None-Match: \"{id}\"");
    assert_eq!(curl(&["-o", "none", "-w", "%{http_code}", "-H", &tag], &format!("/{id}")), "304");
    assert!(curl(&[], "/").contains("my talk.mkv"));
}
