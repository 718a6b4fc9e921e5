//! What tells the dialects apart: ports, names, the request.

use super::names::NameForm;
use super::python::Json;
use super::split::{self, Chunk};

/// A dialect of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// 2020: names as they are, raw bytes.
    A,
    /// 2020 with a status and the size before the bytes.
    ASize,
    /// 2021: raw bytes.
    B,
    /// 2021 with `["forest_1", 60001]` before the bytes.
    BJson,
    /// 2023: B on another port.
    C,
    /// Blocks, checksums, one connection for many requests.
    D,
    /// A on another port, with names that end in `_temp`.
    E,
}

impl Dialect {
    /// All of them.
    pub(crate) const ALL: [Dialect; 7] =
        [Dialect::A, Dialect::ASize, Dialect::B, Dialect::BJson, Dialect::C, Dialect::D, Dialect::E];

    /// Where announcements go.
    pub(crate) fn udp_ports(self) -> &'static [u16] {
        match self {
            Dialect::A | Dialect::ASize | Dialect::E => &[5000],
            Dialect::B | Dialect::BJson | Dialect::C => &[5001],
            Dialect::D => &[5001, 5002],
        }
    }

    /// Where chunks are asked for.
    pub(crate) fn tcp_port(self) -> u16 {
        match self {
            Dialect::A | Dialect::ASize => 5001,
            Dialect::B | Dialect::BJson => 8000,
            Dialect::C | Dialect::D | Dialect::E => 5000,
        }
    }

    /// How chunks are called; A has a second form, [`NameForm::AfterExtension`].
    pub(crate) fn names(self) -> NameForm {
        match self {
            Dialect::A | Dialect::B | Dialect::BJson | Dialect::C => NameForm::Bare,
            Dialect::ASize | Dialect::D => NameForm::BeforeExtension,
            Dialect::E => NameForm::Temp,
        }
    }

    /// Whether the answer is the bytes and nothing else.
    pub(crate) fn is_raw(self) -> bool {
        matches!(self, Dialect::A | Dialect::B | Dialect::C | Dialect::E)
    }

    /// The chunks of a file, under their names.
    pub(crate) fn split(self, file: &str, content: &[u8]) -> Vec<Chunk> {
        let pieces = if self == Dialect::D { split::in_blocks(content) } else { split::in_five(content) };
        (1..)
            .zip(pieces)
            .map(|(index, bytes)| Chunk { name: self.names().name(file, index), bytes })
            .collect()
    }

    /// The request for a chunk.
    pub(crate) fn request(self, name: &str) -> Vec<u8> {
        Json::members([(self.request_key(), Json::text(name))]).dumps().into_bytes()
    }

    /// The chunk that a request asks for; what is wrong with a request that asks for none.
    pub(crate) fn requested(self, request: &[u8]) -> Result<String, String> {
        let key = self.request_key();
        let request = Json::loads(request)?;
        let name = request.get(key).and_then(Json::as_text);
        name.map(str::to_owned).ok_or_else(|| format!("KeyError: {key:?} in {}", request.dumps()))
    }

    fn request_key(self) -> &'static str {
        match self {
            Dialect::A | Dialect::ASize | Dialect::E => "filename",
            Dialect::B | Dialect::BJson | Dialect::C => "requested_content",
            Dialect::D => "chunk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_to_the_byte() {
        let requests = Dialect::ALL.map(|dialect| {
            let request = dialect.request(&dialect.names().name("forest.png", 1));
            assert_eq!(dialect.requested(&request).unwrap(), dialect.names().name("forest.png", 1));
            String::from_utf8(request).unwrap()
        });
        let expected = [
            r#"{"filename": "forest_1"}"#,
            r#"{"filename": "forest_1.png"}"#,
            r#"{"requested_content": "forest_1"}"#,
            r#"{"requested_content": "forest_1"}"#,
            r#"{"requested_content": "forest_1"}"#,
            r#"{"chunk": "forest_1.png"}"#,
            r#"{"filename": "forest.png_1_temp"}"#,
        ];
        assert_eq!(requests, expected);
    }
}
