//! The target of a request on a host. Names are percent-encoded in both directions.

use std::net::{IpAddr, Ipv6Addr};

use crate::types::id::ContentId;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The decoded path without its first slash: an id, a name, or nothing, which is the listing. It leads to no file.
    pub path: String,
    /// Where the listing is to go on.
    pub after: Option<Cursor>,
}

/// The last entry of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The name, which listings are in the order of.
    pub name: String,
    /// The content, for there may be several of one name.
    pub id: ContentId,
}

/// What an asker takes a host for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, in lower case, without a dot at its end.
    Name(String),
}

impl Target {
    /// Reads a path with its query; `None` when it is neither valid nor text.
    pub fn parse(text: &str) -> Option<Target> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = percent_decoded(path.strip_prefix('/')?)?;
        let after = query.split('&').find_map(|part| part.strip_prefix("after="));
        match after {
            Some(text) => Some(Target { path, after: Some(Cursor::parse(text)?) }),
            None => Some(Target { path, after: None }),
        }
    }
}

impl Cursor {
    fn parse(text: &str) -> Option<Cursor> {
        let decoded = percent_decoded(text)?;
        let (id, name) = decoded.split_once('/')?;
        Some(Cursor { id: id.parse().ok()?, name: name.to_owned() })
    }

    /// As it stands in a query.
    pub fn encoded(&self) -> String {
        format!("{}/{}", self.id, percent_encoded(&self.name))
    }
}

impl Host {
    /// Reads `HOST` or `HOST:PORT`; the port tells nothing, for others may forward theirs.
    pub fn parse(text: &str) -> Option<Host> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((v6, rest)) => {
                let port = rest.strip_prefix(':').or(rest.is_empty().then_some(""))?;
                return is_port(port).then_some(Host::Ip(v6.parse::<Ipv6Addr>().ok()?.into()));
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.is_empty() || !host.chars().all(is_plain) || !is_port(port) {
            return None;
        }
        Some(match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()),
        })
    }
}

/// The authority and the rest of a target that names its host itself.
pub(super) fn split_absolute(target: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = target.split_at_checked(7) else { return (None, target) };
    if !scheme.eq_ignore_ascii_case("http://") {
        return (None, target);
    }
    match rest.find(['/', '?']).and_then(|end| rest.split_at_checked(end)) {
        Some((authority, path)) if path.starts_with('/') => (Some(authority), path),
        Some(_) => (None, target),
        None => (Some(rest), "/"),
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// The text that percent-encoded text stands for; `None` when it stands for none.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Text with everything percent-encoded that could mean something in a path, a query or a field.
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
}
