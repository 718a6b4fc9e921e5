//! The files that the four classic programs share, and the lines of their logs, as text.
//!
//! Reading is tolerant, because other programs write these files, and limited in size. Other modules decide where the
//! files are and how they are replaced as a whole. The lines here have no line ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, FixedOffset};
use serde_json::{Map, Value};

use crate::wire::classic::ChunkName;
use crate::wire::json::{between, member, string};

/// The file of the chunks that are here.
pub const AVAILABLE_CHUNKS: &str = "Available_Chunks.txt";
/// The file of who has what, as far as it was heard.
pub const CONTENT_DICTIONARY: &str = "The_Content_Dictionary.txt";
/// The log of what was fetched.
pub const DOWNLOAD_LOG: &str = "Download_Log.txt";
/// The log of what was served.
pub const UPLOAD_LOG: &str = "Upload_log.txt";
/// Dialect A's file of who has what.
pub const TAGS: &str = "tags.txt";
/// The file of who has what of one system that speaks A.
pub const CONTENT_DICT: &str = "content_dict.txt";
/// The file of one system that keeps no more than the last announcement.
pub const DICTIONARY_JSON: &str = "dictionary.json";
/// Dialect A's log of what was fetched.
pub const CLIENT_LOG: &str = "client.log";
/// Dialect A's log of what was served.
pub const SERVER_LOG: &str = "server.log";
/// The most bytes of a file that is read.
pub const RECORD_BYTES_MAX: usize = 4 << 20;
/// The most holders of one chunk that are read: each is compared with those before it.
const HOLDERS_MAX: usize = 256;

/// The shape of a file of who has what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DictionaryShape {
    /// `{"forest_1": ["192.168.2.65"]}`
    Addresses,
    /// `{"forest.png_1": [{"username": "alice", "ip": "25.0.0.2"}]}`
    Users,
    /// `{"ip_address": "192.168.2.65", "chunks": ["forest_1"]}`: the last announcement alone.
    Datagram,
}

/// Who has what: addresses by the name of the chunk, in the order in which they were heard.
pub type Dictionary = BTreeMap<ChunkName, Vec<IpAddr>>;
/// Who has what, with user names.
pub type Tags = BTreeMap<ChunkName, Vec<Tag>>;

/// One holder of a chunk in [`TAGS`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// How it calls itself.
    pub username: String,
    /// Where it is.
    pub ip: IpAddr,
}

/// Why a file is none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordError {
    /// Longer than [`RECORD_BYTES_MAX`].
    TooLong,
    /// No JSON of the right shape.
    Malformed,
}

/// The text of [`AVAILABLE_CHUNKS`].
pub fn encode_available<'a>(names: impl IntoIterator<Item = &'a ChunkName>) -> String {
    let names = names.into_iter().map(|name| string(&name.to_string()));
    between('{', [member("chunks", &between('[', names, ']'))], '}')
}

/// Reads [`AVAILABLE_CHUNKS`]: the names in its order, no name twice; what is no name is left out. An empty file has none.
///
/// # Errors
///
/// [`RecordError`] for a text of another shape.
pub fn decode_available(text: &[u8]) -> Result<Vec<ChunkName>, RecordError> {
    let names = match value(text)? {
        Value::Null => return Ok(Vec::new()),
        Value::Object(mut members) => members.remove("chunks").ok_or(RecordError::Malformed)?,
        list => list,
    };
    let Value::Array(names) = names else { return Err(RecordError::Malformed) };
    let mut seen = BTreeSet::new();
    let names = names.iter().filter_map(Value::as_str).filter_map(|name| ChunkName::parse(name).ok());
    Ok(names.filter(|name| seen.insert(name.clone())).collect())
}

/// The text of [`CONTENT_DICTIONARY`].
pub fn encode_dictionary(dictionary: &Dictionary) -> String {
    let entry = |(name, holders): (&ChunkName, &Vec<IpAddr>)| {
        let holders = holders.iter().map(|ip| string(&ip.to_string()));
        member(&name.to_string(), &between('[', holders, ']'))
    };
    between('{', dictionary.iter().map(entry), '}')
}

/// Reads who has what in any shape; what is no name or no address is left out. An empty file has none.
///
/// # Errors
///
/// [`RecordError`] for a text of another shape.
pub fn decode_dictionary(text: &[u8]) -> Result<Dictionary, RecordError> {
    let members = members(text)?;
    if let Some(Value::Array(names)) = members.get("chunks") {
        let holder = address(members.get("ip_address").unwrap_or(&Value::Null));
        let names = names.iter().filter_map(|name| ChunkName::parse(name.as_str()?).ok());
        return Ok(holder.map(|ip| names.map(|name| (name, vec![ip])).collect()).unwrap_or_default());
    }
    Ok(entries(members, address))
}

/// Whether a text tells who has what, be it of nobody. Another program's file that is JSON too does not.
pub fn is_dictionary(text: &[u8]) -> bool {
    let is_of_chunks =
        |members: Map<String, Value>| members.keys().all(|name| ChunkName::parse(name).is_ok());
    dictionary_shape(text).is_some() || members(text).is_ok_and(is_of_chunks)
}

/// The shape of a text, as far as something in it tells.
pub fn dictionary_shape(text: &[u8]) -> Option<DictionaryShape> {
    let members = members(text).ok()?;
    if members.get("chunks").is_some_and(Value::is_array) {
        return Some(DictionaryShape::Datagram);
    }
    let holders =
        members.iter().filter(|(name, _)| ChunkName::parse(name).is_ok()).map(|(_, holders)| holders);
    let mut holders =
        holders.map(|holders| holders.as_array().and_then(|all| all.first()).unwrap_or(holders));
    holders.find_map(|holder| match holder {
        Value::String(_) => Some(DictionaryShape::Addresses),
        Value::Object(_) => Some(DictionaryShape::Users),
        _ => None,
    })
}

/// Who has what in the shape of the last announcement: `newest` and its chunks.
pub fn encode_datagram(tags: &Tags, newest: Option<IpAddr>) -> String {
    let is_newest = |holders: &[Tag]| holders.iter().any(|tag| Some(tag.ip) == newest);
    let names = tags.iter().filter(|(_, holders)| is_newest(holders));
    let names = names.map(|(name, _)| string(&name.to_string()));
    let ip = string(&newest.map(|ip| ip.to_string()).unwrap_or_default());
    between('{', [member("ip_address", &ip), member("chunks", &between('[', names, ']'))], '}')
}

/// The text of [`TAGS`].
pub fn encode_tags(tags: &Tags) -> String {
    let tag = |tag: &Tag| {
        let ip = string(&tag.ip.to_string());
        between('{', [member("username", &string(&tag.username)), member("ip", &ip)], '}')
    };
    let entry = |(name, holders): (&ChunkName, &Vec<Tag>)| {
        member(&name.to_string(), &between('[', holders.iter().map(tag), ']'))
    };
    between('{', tags.iter().map(entry), '}')
}

/// A line of [`DOWNLOAD_LOG`]; `time` is local.
pub fn download_line(time: DateTime<FixedOffset>, name: &ChunkName, from: IpAddr) -> String {
    let seconds = format!("{}.{:06}", time.timestamp(), time.timestamp_subsec_micros().min(999_999));
    string(&format!("{seconds} | {name} | {from} | {}", day_first(time)))
}

/// A line of [`UPLOAD_LOG`]; `time` is local.
pub fn upload_line(time: DateTime<FixedOffset>, name: &ChunkName, to: IpAddr) -> String {
    format!("{name} | {to} | {}", day_first(time))
}

/// A line of [`CLIENT_LOG`]; `time` is local.
pub fn client_line(time: DateTime<FixedOffset>, name: &ChunkName, from: IpAddr) -> String {
    format!("{}: Download of '{name}' from {from} is successful.", with_micros(time))
}

/// A line of [`SERVER_LOG`]; `time` is local.
pub fn server_line(time: DateTime<FixedOffset>, name: &ChunkName, from: IpAddr) -> String {
    format!("{}: Connection of '{name}' from {from} is successful.", with_micros(time))
}

/// What is said when every peer that announced a chunk has failed.
pub fn failure_line(name: &ChunkName) -> String {
    format!("CHUNK {name} CANNOT BE DOWNLOADED FROM ONLINE PEERS.")
}

fn day_first(time: DateTime<FixedOffset>) -> String {
    time.format("%d-%m-%Y %H:%M:%S").to_string()
}

fn with_micros(time: DateTime<FixedOffset>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// The JSON of a whole file; null for one with nothing in it.
fn value(text: &[u8]) -> Result<Value, RecordError> {
    if text.len() > RECORD_BYTES_MAX {
        return Err(RecordError::TooLong);
    }
    if text.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(text).map_err(|_| RecordError::Malformed)
}

/// The members of the object that a file is.
fn members(text: &[u8]) -> Result<Map<String, Value>, RecordError> {
    match value(text)? {
        Value::Null => Ok(Map::new()),
        Value::Object(members) => Ok(members),
        _ => Err(RecordError::Malformed),
    }
}

/// A holder's address, beside a user name or alone.
fn address(holder: &Value) -> Option<IpAddr> {
    holder.get("ip").unwrap_or(holder).as_str()?.parse().ok()
}

/// The holders by name, each read by `holder`, none twice, and no name without.
fn entries<T: PartialEq>(
    members: Map<String, Value>,
    holder: impl Fn(&Value) -> Option<T>,
) -> BTreeMap<ChunkName, Vec<T>> {
    let mut entries = BTreeMap::new();
    for (name, told) in &members {
        let Ok(name) = ChunkName::parse(name) else { continue };
        let told = match told {
            Value::Array(told) => told.as_slice(),
            one => std::slice::from_ref(one),
        };
        let mut holders = Vec::new();
        for holder in told.iter().filter_map(&holder) {
            if holders.len() < HOLDERS_MAX && !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        if !holders.is_empty() {
            entries.insert(name, holders);
        }
    }
    entries
}

impl DictionaryShape {
    /// All of them.
    pub const ALL: [DictionaryShape; 3] =
        [DictionaryShape::Addresses, DictionaryShape::Users, DictionaryShape::Datagram];

    /// How people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            DictionaryShape::Addresses => "addresses",
            DictionaryShape::Users => "users",
            DictionaryShape::Datagram => "datagram",
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordError::TooLong => "longer than 4 MiB",
            RecordError::Malformed => "not JSON of the shape that belongs there",
        })
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_tags(text: &[u8]) -> Result<Tags, RecordError> {
        let user = |holder: &Value| holder.get("username")?.as_str().map(str::to_owned);
        let tag = |holder: &Value| {
            let username = user(holder).unwrap_or_default();
            holder.get("ip").and_then(address).map(|ip| Tag { username, ip })
        };
        members(text).map(|members| entries(members, tag))
    }

    fn name(text: &str) -> ChunkName {
        ChunkName::parse(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn time(text: &str) -> DateTime<FixedOffset> {
        DateTime::parse_from_rfc3339(text).unwrap()
    }

    #[test]
    fn the_shapes_of_the_specification() {
        let available = r#"{"chunks": ["forest_1", "forest_2"]}"#;
        assert_eq!(encode_available(&[name("forest_1"), name("forest_2")]), available);
        let dictionary = r#"{"forest_1": ["192.168.2.65", "192.168.2.2"]}"#;
        assert_eq!(encode_dictionary(&decode_dictionary(dictionary.as_bytes()).unwrap()), dictionary);
        let tags = r#"{"forest.png_1": [{"username": "alice", "ip": "25.0.0.2"}]}"#;
        assert_eq!(encode_tags(&decode_tags(tags.as_bytes()).unwrap()), tags);
        assert_eq!(encode_available(&[]), r#"{"chunks": []}"#);
        assert_eq!(encode_dictionary(&Dictionary::new()), "{}");
    }

    #[test]
    fn each_shape_of_a_dictionary_is_known_and_read() {
        use DictionaryShape::*;
        let known: Dictionary = [(name("a_1"), vec![ip("10.0.0.1")])].into();
        for (text, shape) in [
            (&br#"{"a_1": ["10.0.0.1"]}"#[..], Addresses),
            (br#"{"a_1": "10.0.0.1"}"#, Addresses),
            (br#"{"x": 1, "a_1": [{"username": "bob", "ip": "10.0.0.1"}]}"#, Users),
            (br#"{"ip_address": "10.0.0.1", "chunks": ["a_1", 5, "../a_1"]}"#, Datagram),
            (br#"{"chunks": ["a_1"], "ip_address": "10.0.0.1"}"#, Datagram),
        ] {
            assert_eq!((dictionary_shape(text), decode_dictionary(text)), (Some(shape), Ok(known.clone())));
        }
        let nobody = br#"{"chunks": ["a_1"]}"#;
        assert_eq!((dictionary_shape(nobody), decode_dictionary(nobody)), (Some(Datagram), Ok([].into())));
        for text in [&b""[..], b"{}", b"{\"a_1\": []}", b"{\"a\": [\"10.0.0.1\"]}", b"{\"a_1\": [\"10", b"[]"]
        {
            assert_eq!(dictionary_shape(text), None);
        }
        let tag = |ip: &str| Tag { username: "bob".into(), ip: self::ip(ip) };
        let tags: Tags =
            [(name("a_1"), vec![tag("10.0.0.1"), tag("10.0.0.2")]), (name("b_1"), vec![tag("10.0.0.2")])]
                .into();
        let newest = |newest: Option<&str>| encode_datagram(&tags, newest.map(ip));
        assert_eq!(newest(Some("10.0.0.1")), r#"{"ip_address": "10.0.0.1", "chunks": ["a_1"]}"#);
        assert_eq!(newest(Some("10.0.0.2")), r#"{"ip_address": "10.0.0.2", "chunks": ["a_1", "b_1"]}"#);
        assert_eq!(newest(None), r#"{"ip_address": "", "chunks": []}"#);
    }

    #[test]
    fn the_lines_of_the_specification() {
        let at = time("2026-11-20T04:28:00.406457+00:00");
        for (line, told) in [
            (
                download_line(at, &name("forest_1"), ip("192.168.2.65")),
                r#""1795148880.406457 | forest_1 | 192.168.2.65 | 20-11-2026 04:28:00""#,
            ),
            (
                upload_line(at, &name("forest_1"), ip("192.168.2.2")),
                "forest_1 | 192.168.2.2 | 20-11-2026 04:28:00",
            ),
            (
                client_line(time("2026-11-20T04:30:33.485372+03:00"), &name("forest.png_1"), ip("25.0.0.2")),
                "2026-11-20 04:30:33.485372: Download of 'forest.png_1' from 25.0.0.2 is successful.",
            ),
            (
                server_line(time("2026-11-20T04:30:33.485372+03:00"), &name("forest.png_1"), ip("25.0.0.2")),
                "2026-11-20 04:30:33.485372: Connection of 'forest.png_1' from 25.0.0.2 is successful.",
            ),
            (failure_line(&name("forest_3")), "CHUNK forest_3 CANNOT BE DOWNLOADED FROM ONLINE PEERS."),
        ] {
            assert_eq!(line, told);
        }
    }

    #[test]
    fn reading_is_tolerant() {
        assert_eq!(decode_available(b" \n"), Ok(Vec::new()));
        let one = Ok(vec![name("a_1")]);
        assert_eq!(decode_available(br#"["a_1"]"#), one);
        assert_eq!(decode_available(b"{\"x\": 1, \"chunks\": [\"a_1\", 5, \"../a_1\", \"a_1\"]}\r\n"), one);
        assert_eq!(decode_dictionary(b""), Ok(Dictionary::new()));
        let dictionary =
            br#"{"a_1": "10.0.0.1", "../b_1": ["10.0.0.1"], "c_1": [5, "x"], "d_1": ["::1", "::1"]}"#;
        let read = [(name("a_1"), vec![ip("10.0.0.1")]), (name("d_1"), vec![ip("::1")])];
        assert_eq!(decode_dictionary(dictionary), Ok(read.into()));
        let tags = br#"{"a_1": [{"ip": "10.0.0.1"}, {"username": "bob"}, "10.0.0.2"]}"#;
        let holder = Tag { username: String::new(), ip: ip("10.0.0.1") };
        assert_eq!(decode_tags(tags), Ok([(name("a_1"), vec![holder])].into()));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [&b"{\"chunks\": [\"a_1\""[..], b"5", b"{}", b"{\"chunks\": {}}", b"\xff", b"null x"] {
            assert_eq!(decode_available(text), Err(RecordError::Malformed));
        }
        for text in [&b"[]"[..], b"{\"a_1\": [\"10.0.0.1\"", b"7", b"{'a_1': []}"] {
            assert_eq!(decode_dictionary(text), Err(RecordError::Malformed));
            assert_eq!(decode_tags(text), Err(RecordError::Malformed));
        }
        let long = vec![b' '; RECORD_BYTES_MAX + 1];
        assert_eq!(decode_available(&long), Err(RecordError::TooLong));
        let deep = vec![b'['; 1 << 20];
        assert_eq!(decode_available(&deep), Err(RecordError::Malformed));
    }

    proptest! {
        #[test]
        fn files_come_back(
            entries in prop::collection::btree_map("[a-zé😀\"' ]{1,20}_[1-9](\\.png)?", prop::collection::btree_set(any::<[u8; 4]>(), 1..4), 0..8),
            user: String,
        ) {
            let holders = |ips: &std::collections::BTreeSet<[u8; 4]>| ips.iter().map(|ip| IpAddr::from(*ip)).collect();
            let dictionary: Dictionary = entries.iter().map(|(key, ips)| (name(key), holders(ips))).collect();
            let text = encode_dictionary(&dictionary);
            prop_assert!(text.is_ascii());
            prop_assert_eq!(decode_dictionary(text.as_bytes()), Ok(dictionary.clone()));
            let tag = |ip: &IpAddr| Tag { username: user.clone(), ip: *ip };
            let tags: Tags =
                dictionary.iter().map(|(key, ips)| (key.clone(), ips.iter().map(tag).collect())).collect();
            prop_assert_eq!(decode_tags(encode_tags(&tags).as_bytes()), Ok(tags));
            let names: Vec<ChunkName> = dictionary.into_keys().collect();
            prop_assert_eq!(decode_available(encode_available(&names).as_bytes()), Ok(names));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = (decode_available(&bytes), decode_dictionary(&bytes), decode_tags(&bytes));
        }
    }
}
