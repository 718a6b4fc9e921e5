//! Ids of contents (their BLAKE3 hashes) and of peers (random, new at each process start).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a file: its BLAKE3 hash, exactly what `b3sum` prints.
///
/// ```
/// use chunkcast::ContentId;
/// let id: ContentId = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85".parse()?;
/// assert_eq!(id.short(), "6437b3ac");
/// assert!(id.begins_with("6437b"));
/// # Ok::<(), chunkcast::types::id::NotAnId>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ContentId(pub [u8; 32]);

/// The id of a peer: 128 random bits drawn when its process starts; nothing persistent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(pub [u8; 16]);

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId {
    /// How many hexadecimal digits an id of this kind has.
    pub digits: usize,
}

impl ContentId {
    /// The first eight hexadecimal digits, as they appear in the names of part files.
    pub fn short(&self) -> String {
        text(&hex::<8>(&self.0)).to_owned()
    }

    /// Whether its hexadecimal digits begin with these.
    pub fn begins_with(&self, digits: &str) -> bool {
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let is = |(digit, nibble)| char::from(digit).to_digit(16) == Some(u32::from(nibble));
        digits.len().div_ceil(2) <= self.0.len() && digits.bytes().zip(nibbles).all(is)
    }

    /// The first of those that begin with these hexadecimal digits.
    pub(crate) fn first_with(digits: &str) -> ContentId {
        let mut id = ContentId([0; 32]);
        for (byte, digits) in id.0.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let nibble =
                |at: usize| digits.get(at).and_then(|digit| char::from(*digit).to_digit(16)).unwrap_or(0);
            *byte = u8::try_from(nibble(0) << 4 | nibble(1)).unwrap_or(u8::MAX);
        }
        id
    }
}

impl Ord for ContentId {
    /// Byte by byte. Ids are the keys of nearly everything, and hashes nearly always differ in the first eight bytes: those
    /// are compared as one number, which is several times quicker than a call to compare memory.
    fn cmp(&self, other: &ContentId) -> Ordering {
        let first = |id: &ContentId| id.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        match (first(self), first(other)) {
            (one, another) if one < another => Ordering::Less,
            (one, another) if one > another => Ordering::Greater,
            _ => self.0.cmp(&other.0),
        }
    }
}

impl Ord for PeerId {
    /// Byte by byte, as one number.
    fn cmp(&self, other: &PeerId) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PeerId {
    /// The first four hexadecimal digits, which tell apart peers of one name (`NAME#id4`).
    pub fn short(&self) -> String {
        text(&hex::<4>(&self.0)).to_owned()
    }
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an id: expected {} hexadecimal digits", self.digits)
    }
}

impl std::error::Error for NotAnId {}

/// Both ids are written as lower-case hexadecimal digits and read in either case; `$short` digits are shown in logs.
macro_rules! hex_id {
    ($name:ident, $bytes:literal, $short:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(text(&self.digits()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(text(&hex::<$short>(&self.0)))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                unhex::<$bytes>(text).map($name).ok_or(NotAnId { digits: 2 * $bytes })
            }
        }

        impl $name {
            /// Its hexadecimal digits, in ASCII.
            pub(crate) fn digits(&self) -> [u8; 2 * $bytes] {
                hex(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(text(&self.digits()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_id!(ContentId, 32, 8);
hex_id!(PeerId, 16, 4);

/// The first `N` digits of an id.
fn hex<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut digits = [0; N];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    digits
}

fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}

/// The digit of half a byte. Ids are written into several lines for each file that is fetched, so this is not left to the
/// formatter.
fn digit(nibble: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'?')
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, odd) = text.as_bytes().as_chunks();
    if pairs.len() != N || !odd.is_empty() {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let with = |at: usize, byte: u8| {
            let mut id = [7; 32];
            id[at] = byte;
            ContentId(id)
        };
        for (at, byte) in [(0, 6), (0, 200), (7, 8), (8, 6), (8, 8), (31, 6), (31, 255), (31, 7)] {
            let (one, other) = (ContentId([7; 32]), with(at, byte));
            assert_eq!(one.cmp(&other), one.0.cmp(&other.0), "{at} {byte}");
            assert_eq!(other.cmp(&one), other.0.cmp(&one.0), "{at} {byte}");
            let [one, other] =
                [one, other].map(|id| PeerId(std::array::from_fn(|half| id.0[2 * half + at % 2])));
            assert_eq!(one.cmp(&other), one.0.cmp(&other.0), "{at} {byte}");
        }
    }

    #[test]
    fn ids_read_what_they_write() {
        let id = ContentId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert_eq!(id.short(), "abababab");
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<ContentId>(&json).unwrap(), id);
    }

    #[test]
    fn anything_else_is_not_an_id() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"ä".repeat(32)] {
            assert_eq!(text.parse::<ContentId>(), Err(NotAnId { digits: 64 }), "{text}");
        }
    }
}
