//! Requests, targets, and conditions.

use super::*;
use proptest::prelude::*;

type Decoded = (Vec<Request>, Option<RequestError>);

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let (mut decoder, mut found) = (RequestDecoder::default(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.push(piece) {
                Ok((used, request)) => {
                    found.extend(request);
                    piece = &piece[used..];
                }
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fn whole(text: &str) -> Decoded {
    decode(std::iter::once(text.as_bytes()))
}

fn refused(text: &str) -> Option<u16> {
    match whole(text) {
        (found, Some(RequestError::Refused(status))) if found.is_empty() => Some(status.code()),
        _ => None,
    }
}

#[test]
fn a_browser_is_understood() {
    let head = "GET /a%20b?x=1 HTTP/1.1\r\nHost: Lab-7:7117\r\nRange: bytes=1-2\r\nIf-None-Match: \"a\"\r\n\
                if-none-match: \"b\"\r\nIf-Range: \"c\"\r\n\r\n";
    let (found, error) = whole(head);
    assert_eq!((found.len(), error), (1, None));
    let request = &found[0];
    assert_eq!(request.target.path, "a b");
    assert_eq!(request.host, Some(Host::Name("lab-7".to_owned())));
    assert_eq!(request.conditions.range.as_deref(), Some("bytes=1-2"));
    assert_eq!(request.conditions.if_none_match.as_deref(), Some("\"a\",\"b\""));
    assert_eq!((request.head_only, request.stays), (false, Stays::Open));
}

#[test]
fn connections_stay_as_their_version_has_it() {
    for (line, fields, stays) in [
        ("HEAD / HTTP/1.1", "Host: x\r\n", Stays::Open),
        ("GET / HTTP/1.1", "Host: x\r\nConnection: TE, Close\r\n", Stays::Closes),
        ("GET / HTTP/1.0", "", Stays::Closes),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", Stays::Open),
    ] {
        assert_eq!(whole(&format!("{line}\r\n{fields}\r\n")).0[0].stays, stays, "{line} {fields}");
    }
}

#[test]
fn what_is_not_http_is_nobodys_request() {
    for text in [
        "get / HTTP/1.1\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HELO x\r\n",
        "GET /\r\n",
        " GET",
        "G\0",
        "G1",
        "ABCDEFGHIJKLMNOPQ",
        "GET / FTP/1.1\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert_eq!(whole(text), (vec![], Some(RequestError::Foreign)), "{text:?}");
    }
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let host = "Host: x\r\n";
    for (code, line, fields) in [
        (400, "GET / HTTP/1.1", ""),
        (400, "GET / HTTP/1.1", "Host: x\r\nHost: x\r\n"),
        (400, "GET / HTTP/1.1", "Host: x/y\r\n"),
        (400, "GET / HTTP/1.1", "Host: x\r\n folded\r\n"),
        (400, "GET / HTTP/1.1", "Host: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n"),
        (400, "GET / HTTP/1.1", "Host: x\r\nContent-Length: +1\r\n"),
        (400, "GET / HTTP/1.1", "Host: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        (411, "GET / HTTP/1.1", "Host: x\r\nTransfer-Encoding: chunked\r\n"),
        (413, "GET / HTTP/1.1", "Host: x\r\nContent-Length: 99999999999999999999999\r\n"),
        (405, "POST / HTTP/1.1", "Host: x\r\nContent-Length: 3\r\n"),
        (405, "DELETE /x HTTP/1.1", host),
        (505, "PRI * HTTP/2.0", ""),
        (400, "GET * HTTP/1.1", host),
        (400, "GET x HTTP/1.1", host),
        (400, "GET /%zz HTTP/1.1", host),
        (400, "GET /%ff HTTP/1.1", host),
    ] {
        assert_eq!(refused(&format!("{line}\r\n{fields}\r\n")), Some(code), "{line} {fields}");
    }
    assert_eq!(refused("GET / HTTP/1.1\nHost: x\n\n"), Some(400));
    let many: String = (0..=FIELDS_MAX).map(|n| format!("x{n}: y\r\n")).collect();
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Some(431));
}

#[test]
fn a_head_has_eight_kibibytes() {
    let filled = |len: usize| {
        let (before, behind) = ("GET / HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n");
        format!("{before}{}{behind}", "y".repeat(len - before.len() - behind.len()))
    };
    assert_eq!(whole(&filled(HEAD_BYTES_MAX)).0.len(), 1);
    assert_eq!(refused(&filled(HEAD_BYTES_MAX + 1)), Some(431));
    assert_eq!(refused(&format!("GET /{}", "y".repeat(9 << 10))), Some(431));
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET ",
        "HEAD ",
        "/",
        " HTTP/1.1\r\n",
        "Host: x\r\n",
        "Range: bytes=0-\r\n",
        "\r\n",
        "\n",
        "%41",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        " ",
        "\0",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn it_does_not_matter_how_bytes_are_split(stream in stream(), size in 1usize..9) {
        let whole = decode(std::iter::once(&stream[..]));
        prop_assert_eq!(decode(stream.chunks(size)), whole);
    }

    #[test]
    fn any_bytes_end_in_requests_or_an_error(stream in any::<Vec<u8>>()) {
        let _ = decode(std::iter::once(&stream[..]));
        let _ = understand(&stream);
    }
}

#[test]
fn paths_are_names_and_no_more() {
    for (text, path) in [
        ("/", ""),
        ("//", "/"),
        ("/a/b%2Fc", "a/b/c"),
        ("/../etc/passwd", "../etc/passwd"),
        ("/%2e%2e/x", "../x"),
        ("/a+b?after", "a+b"),
        ("/%E6%BC%A2", "漢"),
    ] {
        assert_eq!(Target::parse(text).map(|target| target.path).as_deref(), Some(path), "{text}");
    }
    for text in ["", "x", "/%", "/%4", "/%g0", "/%c0%ae", "/?after=x", "/?after=%ff"] {
        assert_eq!(Target::parse(text), None, "{text}");
    }
}

#[test]
fn hosts() {
    let ip = |text: &str| Host::Ip(text.parse().unwrap());
    for (text, host) in [
        ("127.0.0.1:7117", ip("127.0.0.1")),
        ("[::1]", ip("::1")),
        ("[fe80::1]:80", ip("fe80::1")),
        ("Lab.local.:7117", Host::Name("lab.local".into())),
    ] {
        assert_eq!(Host::parse(text), Some(host), "{text}");
    }
    for text in ["", ":80", "a b", "a@b", "a:b", "[::1", "[x]", "[::1]x", "::1", "a:99999", "é"] {
        assert_eq!(Host::parse(text), None, "{text}");
    }
    assert_eq!(split_absolute("http://a:1/b"), (Some("a:1"), "/b"));
    assert_eq!(split_absolute("HTTP://a"), (Some("a"), "/"));
    assert_eq!(split_absolute("/http://a"), (None, "/http://a"));
}

proptest! {
    #[test]
    fn any_name_comes_back(name in any::<String>(), id in any::<[u8; 32]>()) {
        prop_assert_eq!(percent_decoded(&percent_encoded(&name)), Some(name.clone()));
        let cursor = Cursor { name, id: ContentId(id) };
        let target = Target::parse(&format!("/?after={}", cursor.encoded())).unwrap();
        prop_assert_eq!(target.after, Some(cursor));
    }

    #[test]
    fn any_text_is_taken_or_refused(text in any::<String>()) {
        let _ = (Target::parse(&text), Host::parse(&text), split_absolute(&text));
    }
}

const ID: ContentId = ContentId([0xab; 32]);

fn judge(range: &str, size: u64) -> Verdict {
    Conditions { range: Some(range.to_owned()), ..Conditions::default() }.judge(&ID, size)
}

#[test]
fn ranges() {
    for (range, verdict) in [
        ("bytes=0-", Verdict::Part(0..10)),
        ("bytes=3-4", Verdict::Part(3..5)),
        ("Bytes = 3 - 99", Verdict::Part(3..10)),
        ("bytes=-3", Verdict::Part(7..10)),
        ("bytes=-99", Verdict::Part(0..10)),
        ("bytes=0-18446744073709551615", Verdict::Part(0..10)),
        ("bytes=10-", Verdict::Beyond),
        ("bytes=99999999999999999999999-", Verdict::Beyond),
        ("bytes=-0", Verdict::Beyond),
        ("bytes=4-3", Verdict::Whole),
        ("bytes=0-1,3-4", Verdict::Whole),
        ("bytes=-", Verdict::Whole),
        ("bytes=a-", Verdict::Whole),
        ("items=0-1", Verdict::Whole),
        ("", Verdict::Whole),
    ] {
        assert_eq!(judge(range, 10), verdict, "{range}");
    }
    assert_eq!((judge("bytes=0-", 0), judge("bytes=-5", 0)), (Verdict::Beyond, Verdict::Beyond));
}

#[test]
fn tags() {
    let tag = format!("\"{ID}\"");
    let has = |text: &str| {
        Conditions { if_none_match: Some(text.to_owned()), ..Conditions::default() }.judge(&ID, 10)
    };
    for text in [tag.clone(), format!("\"x\" , W/{tag}"), "*".to_owned()] {
        assert_eq!(has(&text), Verdict::NotModified, "{text}");
    }
    assert_eq!(has("\"x\""), Verdict::Whole);
    let resumed = |tag: &str| {
        let (range, if_range) = (Some("bytes=3-".to_owned()), Some(tag.to_owned()));
        Conditions { range, if_range, if_none_match: None }.judge(&ID, 10)
    };
    assert_eq!(resumed(&tag), Verdict::Part(3..10));
    for other in ["\"x\"".to_owned(), format!("W/{tag}"), "Fri, 20 Nov 2026 00:00:00 GMT".to_owned()] {
        assert_eq!(resumed(&other), Verdict::Whole, "{other}");
    }
}

proptest! {
    #[test]
    fn a_part_lies_within_the_content(text in "bytes=[0-9]{0,20}-[0-9]{0,20}|.*", size: u64) {
        if let Verdict::Part(part) = judge(&text, size) {
            prop_assert!(part.start < part.end && part.end <= size);
        }
    }
}
