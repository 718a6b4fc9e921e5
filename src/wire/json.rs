//! JSON as Python's `json.dumps` writes it, and the place where a JSON value in a stream ends.
//!
//! Some peers pass what they receive to `eval`, so the output looks like theirs: `", "` and `": "` between the parts,
//! only ASCII, no line end. `serde_json` does the reading.

use std::fmt::Write;

/// A string with its quotes.
pub(in crate::wire) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing into a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

/// A list, an object or what else has its parts, which are JSON already, between two brackets.
pub(in crate::wire) fn between(open: char, parts: impl IntoIterator<Item = String>, close: char) -> String {
    let mut out = String::from(open);
    for (at, part) in parts.into_iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        out.push_str(&part);
    }
    out.push(close);
    out
}

/// One member of an object; `value` is JSON already.
pub(in crate::wire) fn member(key: &str, value: &str) -> String {
    format!("{}: {value}", string(key))
}

/// Finds the byte that closes the list or object that a stream begins with. Whether that is JSON is not its concern.
#[derive(Debug, Default)]
pub(in crate::wire) struct ClosingScan {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl ClosingScan {
    /// Whether this byte, the next of the stream, is the one.
    pub(in crate::wire) fn closes(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_those_of_python() {
        // What `json.dumps` printed for these.
        for (text, json) in [
            ("", r#""""#),
            ("forest_1", r#""forest_1""#),
            ("a\"b\\c/d", r#""a\"b\\c/d""#),
            ("\n\r\t\u{8}\u{c}\u{1b}\u{7f}", r#""\n\r\t\b\f\u001b\u007f""#),
            ("é日", r#""\u00e9\u65e5""#),
            ("😀", r#""\ud83d\ude00""#),
        ] {
            assert_eq!(string(text), json);
        }
        assert_eq!(between('[', [], ']'), "[]");
        let object = between('{', [member("a", "1"), member("b", "[]")], '}');
        assert_eq!(object, r#"{"a": 1, "b": []}"#);
    }

    proptest! {
        #[test]
        fn strings_come_back(text: String) {
            let json = string(&text);
            prop_assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn an_object_closes_at_its_end(key: String, value: String, behind: Vec<u8>) {
            let list = between('[', [string(&value), "{}".to_owned()], ']');
            let object = between('{', [member(&key, &list)], '}');
            let bytes = [object.as_bytes(), &behind].concat();
            let mut scan = ClosingScan::default();
            prop_assert_eq!(bytes.iter().position(|byte| scan.closes(*byte)), Some(object.len() - 1));
        }
    }
}
