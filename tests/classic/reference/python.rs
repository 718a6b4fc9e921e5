//! JSON as the field's programs, written in Python, write and read it: `json.dumps` and `json.loads`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value whose members keep their order, as Python's dictionaries do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// `true`, `false` or `null`: no names of Python, so that `eval` dies of them.
    Literal(&'static str),
    /// A number a size can be.
    Number(u64),
    /// Any other number; none of the dialects writes one.
    OtherNumber,
    Text(String),
    List(Vec<Json>),
    Members(Vec<(String, Json)>),
}

impl Json {
    /// A text.
    pub(crate) fn text(text: &str) -> Json {
        Json::Text(text.to_owned())
    }

    /// A list of texts.
    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Json {
        Json::List(texts.into_iter().map(Json::text).collect())
    }

    /// A dictionary, in this order.
    pub(crate) fn members<const N: usize>(members: [(&str, Json); N]) -> Json {
        Json::Members(members.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// What `json.loads` makes of the bytes; its error when they are no JSON.
    pub(crate) fn loads(bytes: &[u8]) -> Result<Json, String> {
        serde_json::from_slice(bytes).map_err(|e| format!("no JSON: {e}"))
    }

    /// What `json.dumps` writes: `", "` and `": "` between, ASCII alone, no newline at the end.
    pub(crate) fn dumps(&self) -> String {
        match self {
            Json::Literal(literal) => (*literal).to_owned(),
            Json::Number(number) => number.to_string(),
            Json::OtherNumber => panic!("no dialect writes it"),
            Json::Text(text) => dumps_text(text),
            Json::List(values) => {
                format!("[{}]", values.iter().map(Json::dumps).collect::<Vec<_>>().join(", "))
            }
            Json::Members(members) => {
                let members =
                    members.iter().map(|(key, value)| format!("{}: {}", dumps_text(key), value.dumps()));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// `value[key]`: with a key twice the last one counts.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        let Json::Members(members) = self else { return None };
        members.iter().rev().find(|(member, _)| member == key).map(|(_, value)| value)
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Json::Text(text) = self { Some(text) } else { None }
    }

    /// The texts of a list that holds nothing else.
    pub(crate) fn as_texts(&self) -> Option<Vec<String>> {
        let Json::List(values) = self else { return None };
        values.iter().map(|value| value.as_text().map(str::to_owned)).collect()
    }

    /// Whether `true`, `false` or `null` stands anywhere in it.
    pub(crate) fn has_literal(&self) -> bool {
        match self {
            Json::Literal(_) => true,
            Json::Number(_) | Json::OtherNumber | Json::Text(_) => false,
            Json::List(values) => values.iter().any(Json::has_literal),
            Json::Members(members) => members.iter().any(|(_, value)| value.has_literal()),
        }
    }
}

/// A text in quotes; everything but printable ASCII as `\uXXXX`, beyond 16 bits as a pair of them.
fn dumps_text(text: &str) -> String {
    let mut out = String::from('"');
    for char in text.chars() {
        match char {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            '\u{8}' => out += "\\b",
            '\u{c}' => out += "\\f",
            ' '..='~' => out.push(char),
            _ => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}")),
        }
    }
    out.push('"');
    out
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

/// Takes whatever comes; serde's own value would sort the members.
struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Literal(if value { "true" } else { "false" }))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Literal("null"))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = members.next_entry()? {
            list.push(member);
        }
        Ok(Json::Members(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_writes_what_python_writes() {
        let value = Json::members([
            ("chunks", Json::texts(["forêt_1", "a\"b\\c\u{7f}\n", "🌲"])),
            ("size", Json::Number(60_001)),
            ("none", Json::Literal("null")),
        ]);
        let text =
            r#"{"chunks": ["for\u00eat_1", "a\"b\\c\u007f\n", "\ud83c\udf32"], "size": 60001, "none": null}"#;
        assert_eq!(value.dumps(), text);
        assert_eq!(Json::loads(text.as_bytes()), Ok(value));
    }
}
