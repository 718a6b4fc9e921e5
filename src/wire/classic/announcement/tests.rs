use std::collections::BTreeMap;

use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 65);

const FORMS: [NameForm; 5] =
    [NameForm::Stem, NameForm::Full, NameForm::Inner, NameForm::FullTemp, NameForm::InnerTemp];

/// What Python's `eval` makes of a text, as far as these datagrams go.
#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Number(u64),
    List(Vec<Literal>),
    /// In the order of the text.
    Dict(Vec<(String, Literal)>),
}

/// Reads text that is both JSON and a Python literal, with the spaces of `json.dumps` and no others.
struct Strict<'a> {
    rest: &'a str,
}

impl<'a> Strict<'a> {
    fn read(bytes: &'a [u8]) -> Literal {
        assert!(bytes.is_ascii());
        let mut strict = Strict { rest: std::str::from_utf8(bytes).unwrap() };
        let literal = strict.literal();
        assert_eq!(strict.rest, "", "something stands behind the object");
        literal
    }

    fn takes(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn literal(&mut self) -> Literal {
        if self.rest.starts_with('"') {
            return Literal::Text(self.text());
        }
        if self.takes("[") {
            return Literal::List(self.parts("]", Strict::literal));
        }
        if self.takes("{") {
            return Literal::Dict(self.parts("}", |strict| {
                let key = strict.text();
                assert!(strict.takes(": "));
                (key, strict.literal())
            }));
        }
        let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        assert!(number == "0" || !number.starts_with('0'));
        Literal::Number(number.parse().expect("neither true nor false nor null"))
    }

    fn parts<T>(&mut self, close: &str, mut part: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut parts = Vec::new();
        while !self.takes(close) {
            assert!(parts.is_empty() || self.takes(", "));
            parts.push(part(self));
        }
        parts
    }

    fn text(&mut self) -> String {
        assert!(self.takes("\""));
        let mut units = Vec::new();
        loop {
            let c = self.rest.chars().next().unwrap();
            self.rest = &self.rest[1..];
            match c {
                '"' => return String::from_utf16(&units).unwrap(),
                '\\' => {
                    let escaped = self.rest.chars().next().unwrap();
                    self.rest = &self.rest[1..];
                    let unit = match escaped {
                        '"' | '\\' => u16::try_from(u32::from(escaped)).unwrap(),
                        'u' => {
                            let (digits, rest) = self.rest.split_at(4);
                            self.rest = rest;
                            u16::from_str_radix(digits, 16).unwrap()
                        }
                        'b' => 8,
                        't' => 9,
                        'n' => 10,
                        'f' => 12,
                        'r' => 13,
                        _ => panic!("\\{escaped} is no escape of both languages"),
                    };
                    units.push(unit);
                }
                ' '..='~' => units.push(u16::try_from(u32::from(c)).unwrap()),
                _ => panic!("{c:?} in a text"),
            }
        }
    }
}

impl Literal {
    fn members(self) -> Vec<(String, Literal)> {
        let Literal::Dict(members) = self else { panic!("{self:?} is no object") };
        members
    }

    fn texts(self) -> Vec<String> {
        let Literal::List(texts) = self else { panic!("{self:?} is no list") };
        texts.into_iter().map(Literal::only_text).collect()
    }

    fn only_text(self) -> String {
        let Literal::Text(text) = self else { panic!("{self:?} is no text") };
        text
    }
}

fn names() -> impl Strategy<Value = Vec<ChunkName>> {
    let file = prop_oneof!["[a-z .'\"é日😀_]{1,40}", "[\"\u{80}-\u{ffff}]{30,80}", "[a-z]{1,200}"];
    let name = (file, 1u32..200, prop::sample::select(&FORMS[..]));
    prop::collection::btree_set(name, 0..60).prop_map(|names| {
        let names = names.into_iter();
        let names = names.filter_map(|(file, index, form)| ChunkName::of_file(&file, index, form).ok());
        names.collect::<BTreeSet<ChunkName>>().into_iter().collect()
    })
}

fn batch(names: &[ChunkName], size: u64) -> Vec<BatchChunk> {
    let made = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap().and_hms_opt(4, 42, 43).unwrap();
    let chunk = |name: &ChunkName| BatchChunk { name: name.clone(), size, sha256: [0xab; 32], made };
    names.iter().map(chunk).collect()
}

fn written(names: &[ChunkName]) -> Vec<String> {
    names.iter().map(ChunkName::to_string).collect()
}

fn decoded_names(datagrams: &[Vec<u8>]) -> Vec<String> {
    let chunks = datagrams.iter().flat_map(|bytes| decode(bytes).unwrap().chunks);
    chunks.map(|chunk| chunk.name.to_string()).collect()
}

proptest! {
    #[test]
    fn files_are_announced_strictly(user: String, names in names()) {
        let datagrams = encode_files(&user, &names);
        let mut told = Vec::new();
        for bytes in &datagrams {
            prop_assert!(bytes.len() <= 1024);
            let members = Strict::read(bytes).members();
            let [(first, name), (second, files)] = <[_; 2]>::try_from(members).unwrap();
            prop_assert_eq!((first.as_str(), second.as_str()), ("username", "files"));
            prop_assert!(user.starts_with(&name.only_text()));
            let files = files.texts();
            prop_assert!(!files.is_empty());
            told.extend(files);
        }
        prop_assert_eq!(&told, &written(&names));
        prop_assert_eq!(told, decoded_names(&datagrams));
    }

    #[test]
    fn chunks_are_announced_strictly(address: [u8; 4], names in names()) {
        let datagrams = encode_chunks(address.into(), &names);
        let mut told = Vec::new();
        for bytes in &datagrams {
            prop_assert!(bytes.len() <= 1024);
            let begin = b"{\"chunks\": [";
            prop_assert!(bytes.starts_with(begin));
            let members = Strict::read(bytes).members();
            let [(_, chunks), (second, own)] = <[_; 2]>::try_from(members).unwrap();
            prop_assert_eq!(second, "ip_address");
            prop_assert_eq!(own.only_text().parse(), Ok(Ipv4Addr::from(address)));
            let chunks = chunks.texts();
            prop_assert!(!chunks.is_empty());
            told.extend(chunks);
        }
        prop_assert_eq!(&told, &written(&names));
        prop_assert_eq!(told, decoded_names(&datagrams));
    }

    #[test]
    fn batches_are_announced_strictly(address: [u8; 4], names in names(), size: u64) {
        let chunks = batch(&names, size);
        let (bytes, taken) = encode_batch(address.into(), &chunks, chunks.first().map_or_else(Default::default, |c| c.made));
        prop_assert_eq!(taken, names.len());
        let members = Strict::read(&bytes).members();
        let keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
        prop_assert_eq!(keys, ["peer_ip", "chunks", "timestamp", "batch_info"]);
        let told: BTreeMap<String, Literal> = members[1].1.clone().members().into_iter().collect();
        prop_assert_eq!(told.len(), names.len());
        let announcement = decode(&bytes).unwrap();
        prop_assert!(announcement.replaces_all);
        prop_assert_eq!(announcement.chunks.len(), names.len());
        for chunk in announcement.chunks {
            prop_assert!(told.contains_key(&chunk.name.to_string()));
            prop_assert_eq!((chunk.size, chunk.sha256, chunk.dialects), (Some(size), Some([0xab; 32]), &[Dialect::D][..]));
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, text: String, at: prop::sample::Index, byte: u8) {
        let _ = decode(&bytes);
        let _ = decode(format!("{{\"chunks\": {text}}}").as_bytes());
        let name = ChunkName::parse("forest_1.png").unwrap();
        let (mut changed, _) = encode_batch(OWN, &batch(&[name], 5), NaiveDateTime::default());
        let at = at.index(changed.len());
        changed[at] = byte;
        let _ = decode(&changed);
        let _ = decode(&changed[..at]);
    }
}

#[test]
#[should_panic(expected = "neither true nor false nor null")]
fn the_checker_is_strict() {
    Strict::read(br#"{"chunks": ["forest_1"], "last": true}"#);
}

#[test]
fn the_shapes_of_the_specification() {
    let chunk = |text| [ChunkName::parse(text).unwrap()];
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let only = |datagrams: Vec<Vec<u8>>| text(<[_; 1]>::try_from(datagrams).unwrap().concat());
    let files = r#"{"username": "alice", "files": ["forest_1"]}"#;
    assert_eq!(only(encode_files("alice", &chunk("forest_1"))), files);
    let chunks = r#"{"chunks": ["forest_1"], "ip_address": "192.168.2.65"}"#;
    assert_eq!(only(encode_chunks(OWN, &chunk("forest_1"))), chunks);
    let made = batch(&chunk("forest_1.png"), 200);
    let checksum = "ab".repeat(32);
    let batch = format!(
        r#"{{"peer_ip": "192.168.2.65", "chunks": {{"forest_1.png": {{"size": 200, "checksum": "{checksum}", "timestamp": "2026-11-20 04:42:43"}}}}, "timestamp": "2026-11-20 04:42:43", "batch_info": {{"current": 1, "total": 1}}}}"#
    );
    assert_eq!(text(encode_batch(OWN, &made, made[0].made).0), batch);
    assert!(encode_files("alice", &[]).is_empty());
    assert!(encode_chunks(OWN, &[]).is_empty());
}

#[test]
fn every_variation_is_heard() {
    use Dialect::*;
    const B_FAMILY: &[Dialect] = &[B, BJson, C];
    for (json, user, dialects) in [
        (r#"{"username": "alice", "files": ["forest_1"]}"#, Some("alice"), &[A][..]),
        (r#"{"name": "alice", "files": ["forest.png_1"]}"#, Some("alice"), &[A]),
        (r#"{"files": "forest_1"}"#, None, &[A]),
        (r#"{"username": 5, "files": ["forest_1.png"]}"#, None, &[ASize]),
        (r#"{"username": "alice", "files": ["forest.png_1_temp"]}"#, Some("alice"), &[E]),
        (r#"{"chunks": ["forest_1"]}"#, None, B_FAMILY),
        (r#"{"chunks":["forest_1"]}"#, None, B_FAMILY),
        (r#" {"chunk": ["forest_1"], "x": true}  "#, None, B_FAMILY),
        (r#"{"chunk": "forest_1"}"#, None, B_FAMILY),
        (r#"{"ip_address": "10.0.0.1", "chunks": ["forest_1"]}"#, None, B_FAMILY),
        (r#"{"chunks": {"forest_1.png": {}}, "batch_info": {"current": 1, "total": 2}}"#, None, &[D]),
    ] {
        let announcement = decode(json.as_bytes()).unwrap();
        assert_eq!((announcement.user.as_deref(), announcement.replaces_all), (user, false), "{json}");
        let [chunk] = &announcement.chunks[..] else { panic!("{json}") };
        assert_eq!((chunk.dialects, chunk.size, chunk.sha256), (dialects, None, None), "{json}");
    }
    let upper = format!(r#"{{"chunks": {{"a_1": {{"size": 7, "checksum": "{}"}}}}}}"#, "AB".repeat(32));
    let announcement = decode(upper.as_bytes()).unwrap();
    assert_eq!((announcement.chunks[0].sha256, announcement.replaces_all), (Some([0xab; 32]), true));
    assert!(decode(br#"{"chunks": {}}"#).unwrap().replaces_all);
}

#[test]
fn names_that_are_none_are_left_out() {
    let json = r#"{"files": ["a_1", "../a_1", 5, null, ["a_2"], "a", "a_1", "b.png_1"]}"#;
    let announcement = decode(json.as_bytes()).unwrap();
    assert_eq!(announcement.names_refused, 5);
    assert_eq!(decoded_names(&[json.as_bytes().to_vec()]), ["a_1", "b.png_1"]);
    let json = r#"{"chunks": {"a_1": 5, "a": {}, "b_1": {"size": -1, "checksum": "zz"}}}"#;
    let announcement = decode(json.as_bytes()).unwrap();
    assert_eq!((announcement.names_refused, announcement.chunks.len()), (2, 1));
    assert_eq!((announcement.chunks[0].size, announcement.chunks[0].sha256), (None, None));
}

#[test]
fn hostile_datagrams_are_refused() {
    let many = format!("{{\"files\": [{}0]}}", "0,".repeat(NAMES_MAX));
    let members: Vec<String> = (0..=NAMES_MAX).map(|at| format!("\"{at}\":0")).collect();
    let many_members = format!("{{\"chunks\":{{{}}}}}", members.join(","));
    let deep = format!("{{\"chunks\": {}", "[".repeat(60_000));
    let long = format!("{{\"files\": [\"{}\"]}}", "x".repeat(65_536));
    for (bytes, error) in [
        (&b""[..], AnnouncementError::Malformed),
        (b"[\"a_1\"]", AnnouncementError::Malformed),
        (b"{\"chunks\": [\"a_1\"]", AnnouncementError::Malformed),
        (b"{\"chunks\": [\"a_1\"]}x", AnnouncementError::Malformed),
        (b"{'chunks': ['a_1']}", AnnouncementError::Malformed),
        (b"{\"chunks\": [\"\\ud800_1\"]}", AnnouncementError::Malformed),
        (b"{\"chunks\": [\"\xff_1\"]}", AnnouncementError::Malformed),
        (b"{\"username\": \"alice\"}", AnnouncementError::NoChunks),
        (b"{\"chunks\": null}", AnnouncementError::Shape),
        (b"{\"files\": {\"a_1\": {}}}", AnnouncementError::Shape),
        (b"{\"files\": 5}", AnnouncementError::Shape),
        (deep.as_bytes(), AnnouncementError::Malformed),
        (many.as_bytes(), AnnouncementError::TooMany),
        (many_members.as_bytes(), AnnouncementError::TooMany),
        (long.as_bytes(), AnnouncementError::TooLong),
    ] {
        assert_eq!(decode(bytes), Err(error), "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
    }
    let user = format!("{{\"username\": \"{}\", \"files\": []}}", "é".repeat(5_000));
    assert_eq!(decode(user.as_bytes()).unwrap().user.unwrap().len(), 254);
}

#[test]
fn a_batch_that_udp_cannot_carry_is_cut() {
    let names: Vec<ChunkName> =
        (1..=1000).map(|index| ChunkName::of_file("forest.png", index, NameForm::Inner).unwrap()).collect();
    let (bytes, taken) = encode_batch(OWN, &batch(&names, 102_400), NaiveDateTime::default());
    assert!(bytes.len() <= BATCH_BYTES_MAX && (400..1000).contains(&taken));
    assert_eq!(decode(&bytes).unwrap().chunks.len(), taken);
}
